/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * match.c - the registry of sections and keywords, and which of them a line is
 *
 * Filled before main() and never changed after: facts about the program, read
 * by any thread. A keyword may be of several words; the longest that the line
 * begins with wins. When none does, the line's fault is told as precisely as
 * the tables allow: known elsewhere, nearly known, half known, unknown.
 */
#include "cfg/cfg_priv.h"
#include "core/bug.h"

static struct cfg_section *cfg_sections;
static struct cfg_kw *cfg_kws;

void cfg_register_section(struct cfg_section *s)
{
	BUG_ON(cfg_section_find(s->name));
	s->next = cfg_sections;
	cfg_sections = s;
}

const struct cfg_section *cfg_section_find(const char *name)
{
	const struct cfg_section *s = cfg_sections;

	while (s && strcmp(s->name, name))
		s = s->next;
	return s;
}

void cfg_register_keywords(struct cfg_kw *kws)
{
	for (struct cfg_kw *kw = kws; kw->word; kw++) {
		struct cfg_kw **at = &cfg_kws;

		while (*at && strcmp((*at)->word, kw->word) < 0)
			at = &(*at)->next;
		/* two owners of one word in one section */
		for (struct cfg_kw *k = *at; k && strcmp(k->word, kw->word) == 0; k = k->next)
			BUG_ON(k->sections & kw->sections);
		kw->next = *at;
		*at = kw;
	}
}

const struct cfg_kw *cfg_kw_first(void)
{
	return cfg_kws;
}

/* How many of the keyword's words the line begins with; all of them: also its number of words. */
static int cfg_kw_common(const struct cfg_kw *kw, const struct cfg_line *ln)
{
	struct str rest = str_c(kw->word);
	int n = 0;

	while (rest.p && n < ln->argc) {
		struct str word = str_cut(&rest, ' ');

		if (!str_eq(word, str_c(ln->args[n])))
			break;
		n++;
	}
	return n;
}

const struct cfg_kw *cfg_kw_match(const struct cfg_line *ln)
{
	const struct cfg_kw *best = NULL;
	int most = 0;

	for (const struct cfg_kw *kw = cfg_kws; kw; kw = kw->next) {
		int n;

		if (!(kw->sections & ln->section->bit))
			continue;
		n = cfg_kw_common(kw, ln);
		if (n > most && n == cfg_kw_words(kw)) {
			best = kw;
			most = n;
		}
	}
	return best;
}

/* ---- what is wrong with a line that is none ---- */

static bool cfg_kw_elsewhere(const struct cfg_line *ln)
{
	for (const struct cfg_kw *kw = cfg_kws; kw; kw = kw->next)
		if (!(kw->sections & ln->section->bit) && cfg_kw_common(kw, ln) == cfg_kw_words(kw))
			return true;
	return false;
}

/* Candidates for the first word: keywords of this section, then section names; or for the second one. */
struct cfg_cand {
	const struct cfg_line *ln;
	const struct cfg_kw *kw;
	const struct cfg_section *s;
	const char *first; /* NULL: first words */
	char word[64];
};

static const char *cfg_cand_next(void *arg)
{
	struct cfg_cand *c = arg;

	while (c->kw) {
		struct str rest = str_c(c->kw->word), word = str_cut(&rest, ' ');
		bool here = c->kw->sections & c->ln->section->bit;

		c->kw = c->kw->next;
		if (c->first) {
			here = here && rest.p && str_eq(word, str_c(c->first));
			word = str_cut(&rest, ' ');
		}
		if (!here || word.n >= sizeof(c->word))
			continue;
		memcpy(c->word, word.p, word.n);
		c->word[word.n] = '\0';
		return c->word;
	}
	if (c->s && !c->first) {
		const char *name = c->s->name;

		c->s = c->s->next;
		return name;
	}
	return NULL;
}

/* A copy of the nearest in <dst>, since candidates share one buffer. */
static const char *cfg_nearest(const struct cfg_line *ln, const char *first, const char *word, char dst[64])
{
	struct cfg_cand c = { .ln = ln, .first = first };
	const char *found = NULL, *cand;

	/* diag_nearest() keeps pointers to candidates: let each new one compete with the best so far */
	c.kw = cfg_kws;
	c.s = cfg_sections;
	while ((cand = cfg_cand_next(&c))) {
		const char *two[2] = { found ? found : cand, cand };

		if (diag_nearest_of(word, two, 2) != cand)
			continue;
		memmove(dst, cand, strlen(cand) + 1);
		found = dst;
	}
	return found;
}

/* "'timeout' expects 'client', 'server', ... (got 'clinet')" */
static bool cfg_kw_half(struct cfg_line *ln)
{
	const char *first = ln->args[0], *second = ln->argc > 1 ? ln->args[1] : "", *cand;
	struct cfg_cand c = { .ln = ln, .kw = cfg_kws, .first = first };
	struct buf known = { 0 };
	char near_buf[64];
	const char *near;

	while ((cand = cfg_cand_next(&c)))
		buf_printf_grow(&known, "%s'%s'", known.data ? ", " : "", cand);
	if (!known.data)
		return false;
	near = *second ? cfg_nearest(ln, first, second, near_buf) : NULL;
	if (*second && strcmp(first, "option") == 0)
		cfg_err(ln, "unknown option '%s'" DIAG_MAYBE, second, DIAG_MAYBE_ARG(near));
	else if (*second && near)
		cfg_err(ln, "unknown keyword '%s %s' in '%s' section" DIAG_MAYBE, first, second,
			ln->section->name, DIAG_MAYBE_ARG(near));
	else
		cfg_err(ln, "'%s' supports %.*s (%s%s%s)", first, STR_ARG(buf_str(&known)),
			*second ? "got '" : "nothing was given", second, *second ? "'" : "");
	buf_free(&known);
	return true;
}

void cfg_kw_unknown(struct cfg_line *ln)
{
	char near_buf[64];
	const char *near;

	if (cfg_kw_half(ln))
		return;
	if (cfg_kw_elsewhere(ln)) {
		cfg_err(ln, "'%s' not allowed in '%s' section.", ln->args[0], ln->section->name);
		return;
	}
	near = cfg_nearest(ln, NULL, ln->args[0], near_buf);
	cfg_err(ln, "unknown keyword '%s' in '%s' section" DIAG_MAYBE, ln->args[0], ln->section->name,
		DIAG_MAYBE_ARG(near));
}
