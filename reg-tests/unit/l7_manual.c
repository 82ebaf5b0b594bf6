/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_manual.c - the manual names every keyword and action of proxies
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfg/cfg.h"
#include "policy/rule.h"

#define MANUAL "doc/configuration-proxies.md"

static char *manual(void)
{
	FILE *f = fopen(MANUAL, "re");
	char *text = calloc(1, 1 << 20);

	cr_assert_not_null(f, "run from the top of the tree");
	cr_assert_gt(fread(text, 1, (1 << 20) - 1, f), 0);
	fclose(f);
	return text;
}

Test(l7_manual, it_names_every_keyword_that_does_something)
{
	char *text = manual();
	unsigned missing = 0;

	for (const struct cfg_kw *kw = cfg_kw_first(); kw; kw = kw->next) {
		const char *last = strrchr(kw->word, ' ');

		if (!(kw->sections & CFG_PROXIES) || !kw->usage)
			continue;
		if (strstr(text, kw->word) || (strncmp(kw->word, "timeout ", 8) == 0 && strstr(text, last + 1)))
			continue;
		fprintf(stderr, "not in " MANUAL ": %s\n", kw->word);
		missing++;
	}
	cr_assert_eq(missing, 0);
	free(text);
}
