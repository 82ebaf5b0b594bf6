/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * converters_int.c - arithmetic on integers, and what makes booleans
 *
 * Sums and products stop at the ends of the 64-bit range instead of wrapping;
 * a division by zero gives the greatest number, its remainder zero (HAProxy's
 * manual, 7.3.1).
 */
#include "policy/policy_priv.h"

#define CONV(fn) \
	static bool fn(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp)

static int64_t int_end(bool negative)
{
	return negative ? INT64_MIN : INT64_MAX;
}

static int64_t int_add(int64_t a, int64_t b)
{
	int64_t r;

	return __builtin_add_overflow(a, b, &r) ? int_end(a < 0) : r;
}

static int64_t int_sub(int64_t a, int64_t b)
{
	int64_t r;

	return __builtin_sub_overflow(a, b, &r) ? int_end(a < 0) : r;
}

CONV(conv_add)
{
	smp->v.i = int_add(smp->v.i, args[0].i);
	return true;
}

CONV(conv_sub)
{
	smp->v.i = int_sub(smp->v.i, args[0].i);
	return true;
}

CONV(conv_mul)
{
	int64_t r;

	if (__builtin_mul_overflow(smp->v.i, args[0].i, &r))
		r = int_end((smp->v.i < 0) != (args[0].i < 0));
	smp->v.i = r;
	return true;
}

CONV(conv_div)
{
	if (args[0].i == 0)
		smp->v.i = INT64_MAX;
	else if (args[0].i == -1)
		smp->v.i = int_sub(0, smp->v.i); /* the smallest number has no positive */
	else
		smp->v.i /= args[0].i;
	return true;
}

CONV(conv_mod)
{
	smp->v.i = args[0].i == 0 || args[0].i == -1 ? 0 : smp->v.i % args[0].i;
	return true;
}

CONV(conv_neg)
{
	smp->v.i = int_sub(0, smp->v.i);
	return true;
}

CONV(conv_and)
{
	smp->v.i &= args[0].i;
	return true;
}

CONV(conv_or)
{
	smp->v.i |= args[0].i;
	return true;
}

CONV(conv_xor)
{
	smp->v.i ^= args[0].i;
	return true;
}

CONV(conv_cpl)
{
	smp->v.i = ~smp->v.i;
	return true;
}

CONV(conv_bool)
{
	smp->v.b = smp->v.i != 0;
	return true;
}

CONV(conv_not)
{
	smp->v.b = smp->v.i == 0;
	return true;
}

CONV(conv_odd)
{
	smp->v.b = smp->v.i & 1;
	return true;
}

CONV(conv_even)
{
	smp->v.b = !(smp->v.i & 1);
	return true;
}

CONV(conv_iif)
{
	smp->v.str = args[smp->v.b ? 0 : 1].str;
	return true;
}

static struct smp_conv_kw convs_int[] = {
	{ "add", SMP_T_SINT, SMP_T_SINT, "i", NULL, conv_add, "adds the argument" },
	{ "sub", SMP_T_SINT, SMP_T_SINT, "i", NULL, conv_sub, "subtracts the argument" },
	{ "mul", SMP_T_SINT, SMP_T_SINT, "i", NULL, conv_mul, "multiplies by the argument" },
	{ "div", SMP_T_SINT, SMP_T_SINT, "i", NULL, conv_div,
	  "divides by the argument; by 0: the greatest number" },
	{ "mod", SMP_T_SINT, SMP_T_SINT, "i", NULL, conv_mod,
	  "the remainder of a division by the argument; by 0: 0" },
	{ "neg", SMP_T_SINT, SMP_T_SINT, NULL, NULL, conv_neg, "the opposite number" },
	{ "and", SMP_T_SINT, SMP_T_SINT, "i", NULL, conv_and, "the bits also set in the argument" },
	{ "or", SMP_T_SINT, SMP_T_SINT, "i", NULL, conv_or, "the bits set here or in the argument" },
	{ "xor", SMP_T_SINT, SMP_T_SINT, "i", NULL, conv_xor, "the bits that differ from the argument's" },
	{ "cpl", SMP_T_SINT, SMP_T_SINT, NULL, NULL, conv_cpl, "all bits inverted" },
	{ "bool", SMP_T_SINT, SMP_T_BOOL, NULL, NULL, conv_bool, "true unless 0" },
	{ "not", SMP_T_SINT, SMP_T_BOOL, NULL, NULL, conv_not, "true when 0" },
	{ "odd", SMP_T_SINT, SMP_T_BOOL, NULL, NULL, conv_odd, "true when odd" },
	{ "even", SMP_T_SINT, SMP_T_BOOL, NULL, NULL, conv_even, "true when even" },
	{ "iif", SMP_T_BOOL, SMP_T_STR, "ss", NULL, conv_iif,
	  "the first argument when true, else the second" },
	{ NULL }
};

INITCALL converters_int_register(void)
{
	smp_register_convs(convs_int);
}
