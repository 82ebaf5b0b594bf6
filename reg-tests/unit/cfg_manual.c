/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg_manual.c - the manual names what there is: keywords of every section but proxies' (l7_manual.c), commands
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfg/cfg.h"
#include "core/cli.h"

static char *manual(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	cr_assert_not_null(f, "run from the top of the tree");
	cr_assert_gt(fread(text, 1, (1 << 20) - 1, f), 0);
	fclose(f);
	return text;
}

/* Is each word of <words> there, next to each other, or "timeout syn|idle" for "timeout idle"? */
static bool named(const char *text, const char *words)
{
	const char *last = strrchr(words, ' ');
	size_t head = last ? (size_t)(last - words) + 1 : 0;

	for (const char *p = text; (p = strstr(p, last ? last + 1 : words)); p++) {
		const char *line = p;

		while (line > text && line[-1] != '\n')
			line--;
		if (!head || memmem(line, p - line, words, head))
			return true;
	}
	return false;
}

static unsigned missing(const char *path, unsigned sections)
{
	char *text = manual(path);
	unsigned n = 0;

	for (const struct cfg_kw *kw = cfg_kw_first(); kw; kw = kw->next) {
		if (!(kw->sections & sections) || !kw->usage || named(text, kw->word))
			continue;
		fprintf(stderr, "not in %s: %s\n", path, kw->word);
		n++;
	}
	free(text);
	return n;
}

Test(cfg_manual, it_names_every_keyword_of_global)
{
	cr_assert_eq(missing("doc/configuration.md", CFG_GLOBAL), 0);
}

Test(cfg_manual, it_names_every_keyword_of_gateways)
{
	cr_assert_eq(missing("doc/configuration-gateway.md", CFG_GATEWAY), 0);
}

Test(cfg_manual, it_names_every_keyword_of_applications)
{
	cr_assert_eq(missing("doc/configuration-app.md", CFG_APP), 0);
}

static void words_of(const struct cli_kw *kw, char *words)
{
	*words = 0;
	for (int i = 0; kw->words[i]; i++) {
		strcat(words, i ? " " : "");
		strcat(words, kw->words[i]);
	}
}

/* The second column of the table's row whose first one has `words...` in it; "" when there is none. */
static void level_in(const char *text, const char *words, char *level)
{
	char quoted[130];

	snprintf(quoted, sizeof(quoted), "`%s", words);
	*level = 0;
	for (const char *p = text; p && *level == 0; p = strchr(p + 1, '\n')) {
		const char *row = *p == '\n' ? p + 1 : p, *cell = strstr(row, " | ");
		const char *at = memmem(row, cell ? cell - row : 0, quoted, strlen(quoted));

		if (*row == '|' && at && strchr("` ", at[strlen(quoted)]))
			sscanf(cell, " | %15[a-z]", level);
	}
}

Test(cfg_manual, it_tells_the_level_of_every_command)
{
	static const char *const names[] = { [CLI_USER] = "user", [CLI_OPERATOR] = "operator", [CLI_ADMIN] = "admin" };
	char *text = manual("doc/management.md"), words[128], level[16];
	unsigned n = 0;

	for (const struct cli_kw *kw = cli_first(); kw; kw = kw->next) {
		words_of(kw, words);
		level_in(text, words, level);
		if (strcmp(level, names[kw->level]) == 0)
			continue;
		fprintf(stderr, "%s: '%s' in doc/management.md, %s in fact\n", words, level, names[kw->level]);
		n++;
	}
	free(text);
	cr_assert_eq(n, 0);
}

Test(cfg_manual, it_names_every_command_of_the_stats_socket)
{
	char *text = manual("doc/management.md"), words[128];
	unsigned n = 0;

	for (const struct cli_kw *kw = cli_first(); kw; kw = kw->next) {
		words_of(kw, words);
		if (named(text, words))
			continue;
		fprintf(stderr, "not in doc/management.md: %s\n", words);
		n++;
	}
	free(text);
	cr_assert_eq(n, 0);
}
