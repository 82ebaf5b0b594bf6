/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * diag.h - what is wrong with a configuration, all of it, in one pass
 *
 * A suggestion is appended as DIAG_MAYBE: "...; did you mean 'x' maybe ?", or nothing.
 *
 * Parsers report and go on; whoever asked for the configuration (start, `-c`,
 * a reload) prints or sends what was collected. Messages have HAProxy's form:
 *   [ALERT]    (123) : config : parsing [site.cfg:12] : unknown keyword 'bidn' in 'frontend' section; did you mean 'bind' maybe ?
 */
#ifndef STANDIN_CFG_DIAG_H
#define STANDIN_CFG_DIAG_H

#include <stdarg.h>

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
void diag_vadd(struct diag *d, enum msg_level level, const char *file, int line, const char *fmt, va_list ap);
/* As it is, without "config : parsing ..." before it. */
void diag_add(struct diag *d, enum msg_level level, const char *text);
void diag_print(const struct diag *d); /* to stderr, in order */

/* For the end of messages: diag_error(..., "unknown mode '%s'" DIAG_MAYBE, word, DIAG_MAYBE_ARG(nearest)) */
#define DIAG_MAYBE "%s%s%s"
#define DIAG_MAYBE_ARG(n) (n) ? "; did you mean '" : "", (n) ? (n) : "", (n) ? "' maybe ?" : ""

/* Candidate closest to <word> by edit distance, or NULL when none is near enough. <next> returns
 * the candidates one by one, then NULL. */
const char *diag_nearest(const char *word, const char *(*next)(void *arg), void *arg);
/* The same over an array. */
const char *diag_nearest_of(const char *word, const char *const *list, size_t n);

#endif
