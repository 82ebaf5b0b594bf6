/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * diag.h - what is wrong with a configuration, all of it, in one pass
 *
 * Parsers report and go on; whoever asked for the configuration (start, `-c`,
 * a reload) prints or sends what was collected. Messages have HAProxy's form:
 *   [ALERT]    (123) : config : parsing [site.cfg:12] : unknown keyword 'bidn' in 'frontend' section; did you mean 'bind'?
 */
#ifndef STANDIN_CFG_DIAG_H
#define STANDIN_CFG_DIAG_H

#include "core/list.h"
#include "core/log.h"

struct diag_msg {
	struct list node;
	enum msg_level level;
	char *text; /* owns; "config : parsing [file:line] : ..." */
};

struct diag {
	struct list msgs;
	unsigned errors, warnings;
};

void diag_init(struct diag *d);
void diag_free(struct diag *d);
/* <file> NULL: not tied to a place. */
void diag_error(struct diag *d, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5);
void diag_warn(struct diag *d, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5);
void diag_print(const struct diag *d); /* to stderr, in order */

/* Candidate closest to <word> by edit distance, or NULL when none is near enough. <next> returns
 * the candidates one by one, then NULL. */
const char *diag_nearest(const char *word, const char *(*next)(void *arg), void *arg);
/* The same over an array. */
const char *diag_nearest_of(const char *word, const char *const *list, size_t n);

#endif
