/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * diag.c - collecting what is wrong with a configuration
 *
 * Messages are kept as text, in the order found, because whoever asked for the
 * configuration may be a terminal, a socket or a log.
 *
 * The nearest word is by optimal string alignment distance (insertion, deletion,
 * substitution, swap of neighbours), at most a third of the word, so that a
 * suggestion is a typo's repair and not a guess.
 */
#include "cfg/diag.h"

#include <stdarg.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/bug.h"

#define DIAG_WORD_MAX 64 /* longer words have no nearest */

void diag_init(struct diag *d)
{
	*d = (struct diag){ 0 };
	list_init(&d->msgs);
}

void diag_free(struct diag *d)
{
	struct diag_msg *m, *next;

	list_for_each_safe (m, next, &d->msgs, node) {
		list_del(&m->node);
		free(m->text);
		free(m);
	}
	d->errors = d->warnings = 0;
}

void diag_add(struct diag *d, enum msg_level level, const char *text)
{
	struct diag_msg *m = calloc(1, sizeof(*m));

	if (level == MSG_ALERT)
		d->errors++;
	else if (level == MSG_WARNING)
		d->warnings++;
	if (!m || !(m->text = strdup(text))) {
		free(m); /* counted, if not told */
		return;
	}
	m->level = level;
	list_add_tail(&d->msgs, &m->node);
}

void diag_vadd(struct diag *d, enum msg_level level, const char *file, int line, const char *fmt, va_list ap)
{
	struct buf text = { 0 };

	buf_printf_grow(&text, "config : ");
	if (file)
		buf_printf_grow(&text, "parsing [%s:%d] : ", file, line);
	buf_vprintf_grow(&text, fmt, ap);
	buf_put_grow(&text, "", 1);
	diag_add(d, level, buf_head(&text));
	buf_free(&text);
}

#define DIAG_DEFINE(name, level)                                                    \
	void name(struct diag *d, const char *file, int line, const char *fmt, ...) \
	{                                                                           \
		va_list ap;                                                         \
                                                                                    \
		va_start(ap, fmt);                                                  \
		diag_vadd(d, level, file, line, fmt, ap);                           \
		va_end(ap);                                                         \
	}

DIAG_DEFINE(diag_error, MSG_ALERT)
DIAG_DEFINE(diag_warn, MSG_WARNING)

void diag_print(const struct diag *d)
{
	const struct diag_msg *m;

	list_for_each (m, &d->msgs, node)
		msg_print(m->level, m->text);
}

/* ---- the nearest word ---- */

static unsigned diag_distance(const char *a, const char *b)
{
	unsigned row[3][DIAG_WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > DIAG_WORD_MAX || lb > DIAG_WORD_MAX)
		return UINT32_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];

		cur[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			cur[j] = MIN(MIN(prev[j], cur[j - 1]) + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cur[j] = MIN(cur[j], prev2[j - 2] + 1);
		}
	}
	return row[la % 3][lb];
}

const char *diag_nearest(const char *word, const char *(*next)(void *arg), void *arg)
{
	unsigned best = MAX(strlen(word) / 3, 1u) + 1;
	const char *found = NULL, *c;

	while ((c = next(arg))) {
		unsigned dist = diag_distance(word, c);

		if (dist < best && dist < strlen(word)) {
			best = dist;
			found = c;
		}
	}
	return found;
}

struct diag_list {
	const char *const *list;
	size_t n, at;
};

static const char *diag_list_next(void *arg)
{
	struct diag_list *l = arg;

	return l->at < l->n ? l->list[l->at++] : NULL;
}

const char *diag_nearest_of(const char *word, const char *const *list, size_t n)
{
	struct diag_list l = { .list = list, .n = n };

	return diag_nearest(word, diag_list_next, &l);
}
