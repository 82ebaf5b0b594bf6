/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_match.c - from words to commands, and help when that fails
 *
 * Commands are found by their registered words; the longest match wins, so
 * `show info` and `show info desc` could both exist. When nothing matches, the
 * commands nearest to what was typed are listed: those that share the first
 * words, else those with the smallest edit distance to them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cfg/diag.h"
#include "ops_priv.h"

#define CLI_HELP_NEAR   5
#define CLI_HELP_COLUMN 40

static int cli_nb_words(const struct cli_kw *kw)
{
	int n = 0;

	while (kw->words[n])
		n++;
	return n;
}

static bool cli_kw_matches(const struct cli_kw *kw, char **args, int argc, int words)
{
	int i;

	if (words > argc)
		return false;
	for (i = 0; i < words; i++) {
		if (strcmp(kw->words[i], args[i]) != 0)
			return false;
	}
	return true;
}

const struct cli_kw *cli_kw_find(char **args, int argc, int *nb_words)
{
	const struct cli_kw *kw, *best = NULL;

	*nb_words = 0;
	for (kw = cli_first(); kw; kw = kw->next) {
		int n = cli_nb_words(kw);

		if (n > *nb_words && cli_kw_matches(kw, args, argc, n)) {
			best = kw;
			*nb_words = n;
		}
	}
	return best;
}

static void cli_help_line(struct buf *out, const struct cli_kw *kw)
{
	char left[128];
	int i, n = 0;

	for (i = 0; kw->words[i] && n < (int)sizeof(left) - 1; i++)
		n += snprintf(left + n, sizeof(left) - n, "%s%s", i ? " " : "", kw->words[i]);
	if (kw->args && n < (int)sizeof(left) - 1)
		snprintf(left + n, sizeof(left) - n, " %s", kw->args);
	buf_printf_grow(out, "  %-*s: %s\n", CLI_HELP_COLUMN, left, kw->help ? kw->help : "");
}

/* How far <kw> is from the words typed: 0 when it begins with all of them. */
static unsigned cli_distance(const struct cli_kw *kw, char **words, int nb_words)
{
	unsigned far = 0;
	int i;

	for (i = 0; i < nb_words; i++) {
		size_t a, b;

		if (!kw->words[i])
			return far + (i ? 0 : 100);
		a = strlen(words[i]);
		b = strlen(kw->words[i]);
		if (strncmp(words[i], kw->words[i], MIN(a, b)) == 0)
			far += a > b ? a - b : 0;
		else
			far += diag_nearest_of(words[i], &kw->words[i], 1) ? 3 : 20 * (nb_words - i);
	}
	return far;
}

struct cli_near {
	const struct cli_kw *kw;
	unsigned far;
};

static int cli_near_cmp(const void *a, const void *b)
{
	const struct cli_near *x = a, *y = b;

	return x->far != y->far ? (x->far < y->far ? -1 : 1) : (x->kw < y->kw ? -1 : 1);
}

static int cli_name_cmp(const void *a, const void *b)
{
	const struct cli_kw *x = *(const struct cli_kw *const *)a, *y = *(const struct cli_kw *const *)b;
	int i, r;

	for (i = 0; x->words[i] && y->words[i]; i++) {
		r = strcmp(x->words[i], y->words[i]);
		if (r)
			return r;
	}
	return !!x->words[i] - !!y->words[i];
}

/* `help` closes every list, so it is not in it. */
static bool cli_is_listed(const struct cli_kw *kw, enum cli_level level)
{
	return kw->level <= level && strcmp(kw->words[0], "help") != 0;
}

/* Lists the commands allowed at ctx's level: those near to <words>, or all when there are none. */
void cli_help(struct cli_ctx *ctx, char **words, int nb_words, const char *title)
{
	const struct cli_kw *kw, **all;
	struct cli_near *near;
	unsigned n = 0, shown, i;

	for (kw = cli_first(); kw; kw = kw->next)
		n += cli_is_listed(kw, ctx->level);
	all = calloc(n + 1, sizeof(*all));
	near = calloc(n + 1, sizeof(*near));
	if (!all || !near)
		goto out;
	n = 0;
	for (kw = cli_first(); kw; kw = kw->next) {
		if (cli_is_listed(kw, ctx->level))
			near[n++] = (struct cli_near){ kw, cli_distance(kw, words, nb_words) };
	}
	if (nb_words)
		qsort(near, n, sizeof(*near), cli_near_cmp);
	for (shown = 0; shown < n; shown++) {
		if (nb_words && near[shown].far && (shown >= CLI_HELP_NEAR || near[shown].far > 30))
			break;
		all[shown] = near[shown].kw;
	}
	qsort(all, shown, sizeof(*all), cli_name_cmp);
	buf_printf_grow(ctx->out, "%s\n", title);
	for (i = 0; i < shown; i++)
		cli_help_line(ctx->out, all[i]);
	buf_printf_grow(ctx->out, "  %-*s: %s\n", CLI_HELP_COLUMN, "help [<command>]", "list matching or all commands");
	buf_printf_grow(ctx->out, "  %-*s: %s\n", CLI_HELP_COLUMN, "prompt", "toggle interactive mode with prompt");
	buf_printf_grow(ctx->out, "  %-*s: %s\n", CLI_HELP_COLUMN, "quit", "disconnect");
out:
	free(all);
	free(near);
}
