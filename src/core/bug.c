/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bug.c - broken invariants: say where, then abort or go on
 *
 * Nothing here allocates or takes a lock: it runs when the program is known to
 * be wrong, on whichever thread found out.
 */
#include "core/bug.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned bug_warned; /* atomic; a fact about the program, not run-time state */

static void bug_say(const char *what, const char *file, int line, const char *cond)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "standin: %s at %s:%d: %s\n", what, file, line, cond);

	if (n > (int)sizeof(text) - 1)
		n = sizeof(text) - 1;
	if (n > 0 && write(STDERR_FILENO, text, n) < 0)
		return; /* nobody left to tell */
}

void bug_abort(const char *file, int line, const char *cond)
{
	bug_say("broken invariant", file, line, cond);
	abort();
}

void bug_warn(const char *file, int line, const char *cond, bool *said)
{
	__atomic_add_fetch(&bug_warned, 1, __ATOMIC_RELAXED);
	if (__atomic_exchange_n(said, true, __ATOMIC_RELAXED))
		return;
	bug_say("unexpected, event dropped", file, line, cond);
}

unsigned bug_warnings(void)
{
	return __atomic_load_n(&bug_warned, __ATOMIC_RELAXED);
}
