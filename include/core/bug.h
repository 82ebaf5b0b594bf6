/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bug.h - broken invariants
 *
 * BUG_ON() ends the process: the program is wrong and must not go on. Nothing
 * that comes from the network, a file or an operator may ever reach one.
 * WARN_ON() says it once and goes on; the caller drops the event.
 */
#ifndef STANDIN_CORE_BUG_H
#define STANDIN_CORE_BUG_H

#include "core/compiler.h"

/* Prints where and what to stderr and aborts (a core dump tells the rest). */
void bug_abort(const char *file, int line, const char *cond) __attribute__((noreturn, cold));
/* Prints where and what to stderr, once per place; counted for `show info`. */
void bug_warn(const char *file, int line, const char *cond, bool *said) __attribute__((cold));
unsigned bug_warnings(void);

#define BUG_ON(cond)                                                                                         \
	do {                                                                                                 \
		if (unlikely(cond))                                                                          \
			bug_abort(__FILE__, __LINE__, #cond);                                                \
	} while (0)

#define WARN_ON(cond)                                                                                        \
	({                                                                                                   \
		static bool said_;                                                                           \
		bool c_ = !!(cond);                                                                          \
		if (unlikely(c_))                                                                            \
			bug_warn(__FILE__, __LINE__, #cond, &said_);                                         \
		c_;                                                                                          \
	})

#endif
