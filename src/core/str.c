/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * str.c - what does not belong inline: numbers and searching in borrowed bytes
 */
#include "core/str.h"

#include <errno.h>

int str_to_uint(struct str s, uint64_t *v)
{
	uint64_t r = 0;

	if (!s.n)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - '0';

		if (digit > 9)
			return -EINVAL;
		if (__builtin_mul_overflow(r, 10, &r) || __builtin_add_overflow(r, digit, &r))
			return -ERANGE;
	}
	*v = r;
	return 0;
}

int str_to_int(struct str s, int64_t *v)
{
	bool neg = s.n && s.p[0] == '-';
	uint64_t u;
	int rc = str_to_uint(neg ? str_n(s.p + 1, s.n - 1) : s, &u);

	if (rc)
		return rc;
	if (u > (uint64_t)INT64_MAX + neg)
		return -ERANGE;
	*v = neg ? (int64_t)(0 - u) : (int64_t)u;
	return 0;
}

struct str str_cut(struct str *rest, char sep)
{
	const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
	struct str head = *rest;

	if (!at) {
		*rest = STR_NULL;
		return head;
	}
	head.n = at - rest->p;
	*rest = str_n(at + 1, rest->n - head.n - 1);
	return head;
}
