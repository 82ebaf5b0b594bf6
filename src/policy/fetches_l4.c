/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fetches_l4.c - what is known without looking at a byte: addresses, names,
 * our own TLS session, constants, the daemon itself
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cfg/epoch.h"
#include "policy/policy_priv.h"

static enum smp_ret smp_bool(struct sample *out, bool b)
{
	out->v.b = b;
	return SMP_FOUND;
}

static enum smp_ret smp_int(struct sample *out, int64_t i)
{
	out->v.i = i;
	return SMP_FOUND;
}

static enum smp_ret smp_text(struct sample *out, const char *s)
{
	if (!s)
		return SMP_ABSENT;
	out->v.str = str_c(s);
	return SMP_FOUND;
}

#define FETCH(fn)                                                                               \
	static enum smp_ret fn(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, \
			       struct smp_iter *it, struct sample *out)

/* ---- the connection ---- */

static enum smp_ret fetch_addr(const struct addr *a, struct sample *out)
{
	if (!a || !addr_is_set(a))
		return SMP_ABSENT;
	out->v.addr = *a;
	return SMP_FOUND;
}

static enum smp_ret fetch_port(const struct addr *a, struct sample *out)
{
	return a && addr_is_set(a) ? smp_int(out, a->port) : SMP_ABSENT;
}

FETCH(fetch_src)
{
	return fetch_addr(ctx->src, out);
}

FETCH(fetch_src_port)
{
	return fetch_port(ctx->src, out);
}

FETCH(fetch_dst)
{
	return fetch_addr(ctx->dst, out);
}

FETCH(fetch_dst_port)
{
	return fetch_port(ctx->dst, out);
}

FETCH(fetch_iface)
{
	return smp_text(out, ctx->in_if);
}

FETCH(fetch_flow_promotions)
{
	return smp_int(out, ctx->promotions);
}

FETCH(fetch_fe_name)
{
	return smp_text(out, ctx->fe_name);
}

FETCH(fetch_be_name)
{
	return smp_text(out, ctx->be_name);
}

FETCH(fetch_srv_name)
{
	return smp_text(out, ctx->srv_name);
}

FETCH(fetch_ssl_fc)
{
	return smp_bool(out, ctx->ssl_fc);
}

FETCH(fetch_ssl_fc_sni)
{
	return smp_text(out, ctx->ssl_sni);
}

/* ---- constants ---- */

FETCH(fetch_true)
{
	return smp_bool(out, true);
}

FETCH(fetch_false)
{
	return smp_bool(out, false);
}

FETCH(fetch_const_bool)
{
	return smp_bool(out, args[0].i != 0);
}

FETCH(fetch_const_int)
{
	return smp_int(out, args[0].i);
}

FETCH(fetch_const_str)
{
	out->v.str = args[0].str;
	return SMP_FOUND;
}

FETCH(fetch_const_addr)
{
	out->v.addr = *(const struct addr *)args[0].ptr;
	return SMP_FOUND;
}

static int check_bool(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	if (str_eq(args[0].str, STR("true")) || str_eq(args[0].str, STR("1")))
		args[0].i = 1;
	else if (!str_eq(args[0].str, STR("false")) && !str_eq(args[0].str, STR("0")))
		return pol_err(err, "'%s' is not a boolean value", args[0].str.p);
	return 0;
}

static int check_hex(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	struct str in = args[0].str;
	char *out = arena_alloc(a, in.n / 2 + 1);
	unsigned v;

	if (!out)
		return pol_err(err, "out of memory");
	for (size_t i = 0; i < in.n; i += 2) {
		if (in.n % 2 || strspn(in.p + i, "0123456789abcdefABCDEF") < 2 ||
		    sscanf(in.p + i, "%2x", &v) != 1)
			return pol_err(err, "'%s' is not an even number of hexadecimal digits", in.p);
		out[i / 2] = (char)v;
	}
	args[0].str = str_n(out, in.n / 2);
	return 0;
}

static int check_family(struct smp_arg *args, struct arena *a, int family, char **err)
{
	struct addr *addr = arena_alloc(a, sizeof(*addr));

	if (!addr)
		return pol_err(err, "out of memory");
	if (addr_parse_ip(addr, args[0].str) != 0 || addr->family != family)
		return pol_err(err, "'%s' is not an IPv%d address", args[0].str.p, family == AF_INET ? 4 : 6);
	args[0].ptr = addr;
	return 0;
}

static int check_ipv4(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	return check_family(args, a, AF_INET, err);
}

static int check_ipv6(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	return check_family(args, a, AF_INET6, err);
}

/* ---- the daemon ---- */

/* The configuration's environment (setenv, presetenv); without a configuration, the process's. */
static int check_env(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	const char *v = getenv(args[0].str.p);

	args[0].ptr = v ? arena_strdup(a, str_c(v)) : NULL;
	return v && !args[0].ptr ? pol_err(err, "out of memory") : 0;
}

FETCH(fetch_env)
{
	return smp_text(out, ctx->ep ? epoch_getenv(ctx->ep, args[0].str.p) : args[0].ptr);
}

enum { DATE_S, DATE_MS, DATE_US };

static int check_date(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	static const char *const units[] = { [DATE_S] = "s", [DATE_MS] = "ms", [DATE_US] = "us" };

	if (nb_args < 2)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (str_eq(args[1].str, str_c(units[i]))) {
			args[1].i = (int64_t)i;
			return 0;
		}
	return pol_err(err, "'%s' is no unit of time; 's', 'ms' or 'us' expected", args[1].str.p);
}

FETCH(fetch_date)
{
	static const int64_t per_s[] = { [DATE_S] = 1, [DATE_MS] = 1000, [DATE_US] = 1000000 };
	int64_t unit = per_s[nb_args > 1 ? args[1].i : DATE_S];
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	/* an offset is given in seconds without unit, else in the unit */
	return smp_int(out, ts.tv_sec * unit + ts.tv_nsec / (1000000000 / unit) + (nb_args ? args[0].i : 0));
}

FETCH(fetch_rand)
{
	uint32_t bound = nb_args && args[0].i > 0 && args[0].i <= UINT32_MAX ? (uint32_t)args[0].i : 0;

	return smp_int(out, bound ? arc4random_uniform(bound) : arc4random());
}

FETCH(fetch_uuid)
{
	uint8_t b[16];
	char *p = pol_tmp(ctx, 37);

	if (!p)
		return SMP_ABSENT;
	arc4random_buf(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 9562 5.4: version 4 */
	b[8] = (b[8] & 0x3f) | 0x80;
	for (int i = 0, at = 0; i < 16; i++)
		at += snprintf(p + at, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	return smp_text(out, p);
}

FETCH(fetch_hostname)
{
	char *p = pol_tmp(ctx, 256);

	return p && gethostname(p, 255) == 0 ? smp_text(out, p) : SMP_ABSENT;
}

FETCH(fetch_pid)
{
	return smp_int(out, getpid());
}

static struct smp_fetch_kw fetches_l4[] = {
	{ "src", SMP_T_ADDR, SMP_AT_L4, NULL, fetch_src, "the client's address" },
	{ "src_port", SMP_T_SINT, SMP_AT_L4, NULL, fetch_src_port, "the client's port" },
	{ "dst", SMP_T_ADDR, SMP_AT_L4, NULL, fetch_dst, "the address that the client connected to" },
	{ "dst_port", SMP_T_SINT, SMP_AT_L4, NULL, fetch_dst_port, "the port that the client connected to" },
	{ "iface", SMP_T_STR, SMP_AT_L4, NULL, fetch_iface, "the interface that the connection came in by" },
	{ "flow_promotions", SMP_T_SINT, SMP_AT_L4, NULL, fetch_flow_promotions,
	  "in a gateway's rules: how often the connection was promoted so far" },
	{ "fe_name", SMP_T_STR, 0, NULL, fetch_fe_name, "the name of the frontend" },
	{ "be_name", SMP_T_STR, 0, NULL, fetch_be_name, "the name of the backend" },
	{ "srv_name", SMP_T_STR, 0, NULL, fetch_srv_name, "the name of the server" },
	{ "ssl_fc", SMP_T_BOOL, 0, NULL, fetch_ssl_fc, "true when the client's side is TLS that we decrypt" },
	{ "ssl_fc_sni", SMP_T_STR, 0, NULL, fetch_ssl_fc_sni, "the server name of that TLS session" },
	{ "always_true", SMP_T_BOOL, 0, NULL, fetch_true, "true" },
	{ "always_false", SMP_T_BOOL, 0, NULL, fetch_false, "false" },
	{ "bool", SMP_T_BOOL, 0, "s", fetch_const_bool, "a constant: true, false, 1 or 0", check_bool },
	{ "int", SMP_T_SINT, 0, "i", fetch_const_int, "a constant integer" },
	{ "str", SMP_T_STR, 0, "s", fetch_const_str, "a constant string" },
	{ "meth", SMP_T_METH, 0, "s", fetch_const_str, "a constant HTTP method" },
	{ "bin", SMP_T_BIN, 0, "s", fetch_const_str, "a constant block of bytes, as hexadecimal digits",
	  check_hex },
	{ "ipv4", SMP_T_ADDR, 0, "s", fetch_const_addr, "a constant IPv4 address", check_ipv4 },
	{ "ipv6", SMP_T_ADDR, 0, "s", fetch_const_addr, "a constant IPv6 address", check_ipv6 },
	{ "env", SMP_T_STR, 0, "s", fetch_env, "an environment variable of the configuration", check_env },
	{ "date", SMP_T_SINT, 0, "IS", fetch_date,
	  "the time since 1970, plus an offset, in the given unit (s, ms, us; default s)", check_date },
	{ "rand", SMP_T_SINT, 0, "I", fetch_rand, "a random number below the argument, or below 2^32" },
	{ "uuid", SMP_T_STR, 0, "I", fetch_uuid, "a new random UUID (version 4)" },
	{ "hostname", SMP_T_STR, 0, NULL, fetch_hostname, "the host's name" },
	{ "pid", SMP_T_SINT, 0, NULL, fetch_pid, "the daemon's process id" },
	{ NULL }
};

INITCALL fetches_l4_register(void)
{
	smp_register_fetches(fetches_l4);
}
