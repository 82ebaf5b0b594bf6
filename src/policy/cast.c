/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cast.c - from one sample type to another
 *
 * One table says which types convert into which; it is asked when an
 * expression is parsed, so that an impossible chain is an error of the
 * configuration and not a rule that never matches. At run time a cast that the
 * table allows can still fail for a value ("abc" is no address): the sample is
 * then absent. HAProxy's meanings (its manual, 7.1): a string that is no
 * number has the value of the digits it begins with, binary data read as a
 * string end at the first NUL.
 *
 * Nothing is copied but what has to be printed.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "policy/policy_priv.h"

const char *const smp_type_name[SMP_T_COUNT + 1] = {
	[SMP_T_BOOL] = "boolean", [SMP_T_SINT] = "integer", [SMP_T_ADDR] = "address",
	[SMP_T_STR] = "string",   [SMP_T_BIN] = "binary",   [SMP_T_METH] = "method",
	[SMP_T_ANY] = "any",
};

int64_t pol_atoi(struct str s)
{
	bool neg = s.n && s.p[0] == '-';
	uint64_t v = 0, max = (uint64_t)INT64_MAX + neg;

	for (size_t i = neg || (s.n && s.p[0] == '+'); i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - '0';

		if (digit > 9)
			break;
		if (v > (max - digit) / 10) {
			v = max;
			break;
		}
		v = v * 10 + digit;
	}
	return neg ? (int64_t)(0 - v) : (int64_t)v;
}

static bool cast_none(struct sample *s, struct policy_ctx *ctx)
{
	return true;
}

static bool cast_bool_sint(struct sample *s, struct policy_ctx *ctx)
{
	s->v.i = s->v.b;
	return true;
}

static bool cast_sint_bool(struct sample *s, struct policy_ctx *ctx)
{
	s->v.b = s->v.i != 0;
	return true;
}

static bool cast_print_int(struct sample *s, struct policy_ctx *ctx, int64_t v)
{
	char *p = pol_tmp(ctx, 24);

	if (!p)
		return false;
	s->v.str = str_n(p, snprintf(p, 24, "%lld", (long long)v));
	return true;
}

static bool cast_bool_str(struct sample *s, struct policy_ctx *ctx)
{
	return cast_print_int(s, ctx, s->v.b);
}

static bool cast_sint_str(struct sample *s, struct policy_ctx *ctx)
{
	return cast_print_int(s, ctx, s->v.i);
}

static bool cast_sint_addr(struct sample *s, struct policy_ctx *ctx)
{
	uint32_t ip = (uint32_t)s->v.i;

	s->v.addr = (struct addr){ .family = AF_INET };
	s->v.addr.ip.v4.s_addr = htonl(ip);
	return true;
}

/* eight bytes, the most significant first */
static bool cast_sint_bin(struct sample *s, struct policy_ctx *ctx)
{
	uint64_t v = (uint64_t)s->v.i;
	char *p = pol_tmp(ctx, 8);

	if (!p)
		return false;
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (char)v;
	s->v.str = str_n(p, 8);
	return true;
}

static bool cast_bool_bin(struct sample *s, struct policy_ctx *ctx)
{
	s->v.i = s->v.b;
	return cast_sint_bin(s, ctx);
}

static bool cast_addr_sint(struct sample *s, struct policy_ctx *ctx)
{
	if (s->v.addr.family != AF_INET)
		return false;
	s->v.i = ntohl(s->v.addr.ip.v4.s_addr);
	return true;
}

static bool cast_addr_str(struct sample *s, struct policy_ctx *ctx)
{
	char *p = pol_tmp(ctx, ADDR_STRLEN);

	if (!p || !addr_is_set(&s->v.addr))
		return false;
	addr_print_ip(&s->v.addr, p);
	s->v.str = str_c(p);
	return true;
}

static bool cast_addr_bin(struct sample *s, struct policy_ctx *ctx)
{
	size_t n = s->v.addr.family == AF_INET6 ? 16 : 4;
	char *p = pol_tmp(ctx, 16);

	if (!p || !addr_is_set(&s->v.addr))
		return false;
	memcpy(p, &s->v.addr.ip, n);
	s->v.str = str_n(p, n);
	return true;
}

static bool cast_str_sint(struct sample *s, struct policy_ctx *ctx)
{
	if (!s->v.str.n)
		return false;
	s->v.i = pol_atoi(s->v.str);
	return true;
}

static bool cast_str_bool(struct sample *s, struct policy_ctx *ctx)
{
	if (!cast_str_sint(s, ctx))
		return false;
	s->v.b = s->v.i != 0;
	return true;
}

static bool cast_str_addr(struct sample *s, struct policy_ctx *ctx)
{
	struct addr a;

	if (addr_parse_ip(&a, s->v.str) != 0)
		return false;
	s->v.addr = a;
	return true;
}

static bool cast_str_meth(struct sample *s, struct policy_ctx *ctx)
{
	return s->v.str.n != 0;
}

static bool cast_bin_str(struct sample *s, struct policy_ctx *ctx)
{
	const char *nul = s->v.str.n ? memchr(s->v.str.p, 0, s->v.str.n) : NULL;

	if (nul)
		s->v.str.n = nul - s->v.str.p;
	return true;
}

static bool cast_bin_meth(struct sample *s, struct policy_ctx *ctx)
{
	return cast_bin_str(s, ctx) && s->v.str.n != 0;
}

static smp_cast_fn *const cast_table[SMP_T_COUNT][SMP_T_COUNT] = {
	[SMP_T_BOOL] = { [SMP_T_BOOL] = cast_none,
			 [SMP_T_SINT] = cast_bool_sint,
			 [SMP_T_STR] = cast_bool_str,
			 [SMP_T_BIN] = cast_bool_bin },
	[SMP_T_SINT] = { [SMP_T_SINT] = cast_none,
			 [SMP_T_BOOL] = cast_sint_bool,
			 [SMP_T_ADDR] = cast_sint_addr,
			 [SMP_T_STR] = cast_sint_str,
			 [SMP_T_BIN] = cast_sint_bin },
	[SMP_T_ADDR] = { [SMP_T_ADDR] = cast_none,
			 [SMP_T_SINT] = cast_addr_sint,
			 [SMP_T_STR] = cast_addr_str,
			 [SMP_T_BIN] = cast_addr_bin },
	[SMP_T_STR] = { [SMP_T_STR] = cast_none,
			[SMP_T_BIN] = cast_none,
			[SMP_T_BOOL] = cast_str_bool,
			[SMP_T_SINT] = cast_str_sint,
			[SMP_T_ADDR] = cast_str_addr,
			[SMP_T_METH] = cast_str_meth },
	[SMP_T_BIN] = { [SMP_T_BIN] = cast_none, [SMP_T_STR] = cast_bin_str, [SMP_T_METH] = cast_bin_meth },
	[SMP_T_METH] = { [SMP_T_METH] = cast_none, [SMP_T_STR] = cast_none, [SMP_T_BIN] = cast_none },
};

smp_cast_fn *smp_cast_find(enum smp_type from, enum smp_type to)
{
	return to == SMP_T_ANY ? cast_none : cast_table[from][to];
}

bool smp_cast_exists(enum smp_type from, enum smp_type to)
{
	return cast_table[from][to] != NULL;
}

bool sample_cast(struct sample *s, enum smp_type to, struct policy_ctx *ctx)
{
	smp_cast_fn *fn = cast_table[s->type][to];

	if (!fn || !fn(s, ctx))
		return false;
	s->type = to;
	return true;
}

bool sample_to_str(const struct sample *s, struct policy_ctx *ctx, struct str *out)
{
	struct sample t = *s;

	if (!sample_cast(&t, SMP_T_STR, ctx))
		return false;
	*out = t.v.str;
	return true;
}
