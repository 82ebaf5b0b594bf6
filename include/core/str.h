/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * str.h - a borrowed run of bytes: pointer and length, never terminated
 *
 * A struct str owns nothing. It is valid as long as what it points into.
 */
#ifndef STANDIN_CORE_STR_H
#define STANDIN_CORE_STR_H

#include <string.h>
#include <strings.h>

#include "core/compiler.h"

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){ .p = "" lit, .n = sizeof(lit) - 1 })
#define STR_NULL ((struct str){ .p = NULL, .n = 0 })
/* for printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_c(const char *c)
{
	return (struct str){ .p = c, .n = c ? strlen(c) : 0 };
}

static inline struct str str_n(const char *p, size_t n)
{
	return (struct str){ .p = p, .n = n };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive */
static inline bool str_ieq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static inline bool str_begins(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* Without white space (space, tab) at both ends. */
static inline struct str str_trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.n--;
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* Decimal digits only, all of <s>. 0, -EINVAL, or -ERANGE; *v is then untouched. */
int str_to_uint(struct str s, uint64_t *v);
/* The same with an optional leading '-'. */
int str_to_int(struct str s, int64_t *v);

/* Takes what precedes the first <sep> off *rest and returns it. Without <sep> that is all, and *rest becomes
 * STR_NULL: `while (rest.p)` walks every field, empty ones too. */
struct str str_cut(struct str *rest, char sep);

#endif
