/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * regex.h - regular expressions: PCRE2 with JIT and limits, compiled into an epoch's arena
 */
#ifndef STANDIN_POLICY_REGEX_H
#define STANDIN_POLICY_REGEX_H

#include "core/pool.h"
#include "core/str.h"

struct policy_ctx;

struct regex;
struct regex *regex_compile(struct arena *a, const char *text, bool icase, char **err);
bool regex_match(const struct regex *re, struct str s, struct policy_ctx *ctx);
#define REGEX_GROUPS 10 /* \0 to \9 */
struct regex_groups {
	struct str g[REGEX_GROUPS]; /* p NULL: did not take part */
	size_t start, end;          /* of the whole match */
};
/* From offset <from> on. False: no match, or a limit was hit. */
bool regex_exec(const struct regex *re, struct str s, size_t from, struct policy_ctx *ctx,
		struct regex_groups *m);

#endif
