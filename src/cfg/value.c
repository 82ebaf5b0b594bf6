/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * value.c - times, sizes, numbers, addresses
 *
 * Times and sizes follow HAProxy (its manual, 2.5): a number and an optional
 * unit; a time without unit is in milliseconds; a time in microseconds is
 * rounded up, so that a timeout that was asked for is never none.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfg/cfg_priv.h"

#define CFG_TIME_MAX INT32_MAX /* ms; about 24.8 days, as HAProxy */

static const char *cfg_digits(const char *s, uint64_t *v, int *rc)
{
	size_t n = strspn(s, "0123456789");

	*rc = str_to_uint(str_n(s, n), v);
	return s + n;
}

int cfg_parse_time(const char *s, unsigned *ms)
{
	static const struct {
		const char *unit;
		uint64_t mul, div;
	} units[] = { { "", 1, 1 },      { "us", 1, 1000 },   { "ms", 1, 1 },      { "s", 1000, 1 },
		      { "m", 60000, 1 }, { "h", 3600000, 1 }, { "d", 86400000, 1 } };
	uint64_t v;
	int rc;
	const char *unit = cfg_digits(s, &v, &rc);

	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(unit, units[i].unit))
			continue;
		if (__builtin_mul_overflow(v, units[i].mul, &v))
			return -ERANGE;
		v = v / units[i].div + (v % units[i].div != 0);
		if (v > CFG_TIME_MAX)
			return -ERANGE;
		*ms = (unsigned)v;
		return 0;
	}
	return -EINVAL;
}

int cfg_parse_size(const char *s, uint64_t *bytes)
{
	static const char units[] = "kmgt"; /* each 2^10 times the one before */
	uint64_t v;
	int rc;
	const char *unit = cfg_digits(s, &v, &rc), *known;
	unsigned shift;

	if (rc)
		return rc;
	if (*unit) {
		known = unit[1] ? NULL : strchr(units, *unit | 0x20);
		if (!known)
			return -EINVAL;
		shift = 10 * (unsigned)(known - units + 1);
		if (v > UINT64_MAX >> shift)
			return -ERANGE;
		v <<= shift;
	}
	*bytes = v;
	return 0;
}

bool cfg_name_ok(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(":._-", *p))
			return false;
	return *name;
}

int cfg_parse_uint(const char *s, uint64_t *v)
{
	return str_to_uint(str_c(s), v);
}

/* ---- addresses ---- */

PRINTF_LIKE(2, 3) static int cfg_addr_err(char **err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (err && vasprintf(err, fmt, ap) < 0)
		*err = NULL;
	va_end(ap);
	return -EINVAL;
}

static int cfg_addr_path(struct cfg_addr *out, int kind, const char *whole, const char *path, char **err)
{
	if (!*path)
		return cfg_addr_err(err, "missing path in '%s'", whole);
	if (strlen(path) >= sizeof(out->path) - (kind == CFG_ADDR_ABNS))
		return cfg_addr_err(err, "path in '%s' is too long (max %zu)", whole, sizeof(out->path) - 1);
	out->kind = kind;
	strcpy(out->path, path);
	return 0;
}

static int cfg_addr_port(struct cfg_addr *out, const char *whole, const char *text, char **err)
{
	struct str last = str_c(text), first = str_cut(&last, '-');
	uint64_t lo, hi = 0;

	if (str_to_uint(first, &lo) || lo > 65535 || (last.p && (str_to_uint(last, &hi) || hi > 65535)))
		return cfg_addr_err(err, "invalid port '%s' in '%s'", text, whole);
	if (last.p && hi < lo)
		return cfg_addr_err(err, "the port range in '%s' ends before it begins", whole);
	out->has_port = true;
	out->addr.port = lo;
	out->port_last = last.p ? hi : 0;
	return 0;
}

static int cfg_addr_host(struct cfg_addr *out, int family, const char *whole, struct str host, char **err)
{
	char name[256];

	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_n(host.p + 1, host.n - 2);
	if (host.n == 0 || str_eq(host, STR("*"))) {
		out->any = true;
		out->addr.family = family == AF_UNSPEC ? AF_INET : family;
		return 0;
	}
	if (host.n >= sizeof(name))
		return cfg_addr_err(err, "host name too long in '%s'", whole);
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	if (addr_parse_ip(&out->addr, host) && addr_resolve(&out->addr, host, family))
		return cfg_addr_err(err, "invalid address: '%s' in '%s'", name, whole);
	if (family != AF_UNSPEC && out->addr.family != family)
		return cfg_addr_err(err, "'%s' is not an %s address", name,
				    family == AF_INET ? "IPv4" : "IPv6");
	return 0;
}

/* "fe80::1": what precedes the last colon is no address, the whole is. "::1:80" is ::1 and a port, as in
 * HAProxy. */
static bool cfg_addr_is_bare_v6(const char *s, const char *colon)
{
	struct addr a;

	return memchr(s, ':', colon - s) && addr_parse_ip(&a, str_n(s, colon - s)) &&
	       !addr_parse_ip(&a, str_c(s));
}

static int cfg_addr_inet(struct cfg_addr *out, int family, const char *whole, const char *s, char **err)
{
	const char *colon = strrchr(s, ':'), *bracket = strrchr(s, ']');
	struct str host = str_c(s);
	uint16_t port = 0;
	int rc = 0;

	if (colon && bracket && colon < bracket)
		colon = NULL; /* "[::1]" */
	if (colon && cfg_addr_is_bare_v6(s, colon))
		colon = NULL;
	if (colon) {
		host.n = colon - s;
		if (colon[1])
			rc = cfg_addr_port(out, whole, colon + 1, err);
		port = out->addr.port;
	}
	if (!rc)
		rc = cfg_addr_host(out, family, whole, host, err);
	out->addr.port = port;
	return rc;
}

int cfg_parse_addr(const char *s, struct cfg_addr *out, char **err)
{
	static const struct {
		const char *prefix;
		int family;
	} families[] = { { "ipv4@", AF_INET },
			 { "ipv6@", AF_INET6 },
			 { "tcp4@", AF_INET },
			 { "tcp6@", AF_INET6 },
			 { "tcp@", AF_UNSPEC } };
	uint64_t fd;

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	if (err)
		*err = NULL;
	if (*s == '/')
		return cfg_addr_path(out, CFG_ADDR_UNIX, s, s, err);
	if (strncmp(s, "unix@", 5) == 0)
		return cfg_addr_path(out, CFG_ADDR_UNIX, s, s + 5, err);
	if (strncmp(s, "abns@", 5) == 0)
		return cfg_addr_path(out, CFG_ADDR_ABNS, s, s + 5, err);
	if (strncmp(s, "fd@", 3) == 0) {
		if (cfg_parse_uint(s + 3, &fd) || fd > INT32_MAX)
			return cfg_addr_err(err, "file descriptor '%s' is not a valid integer in '%s'", s + 3,
					    s);
		out->kind = CFG_ADDR_FD;
		out->fd = (int)fd;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		size_t n = strlen(families[i].prefix);

		if (strncmp(s, families[i].prefix, n) == 0)
			return cfg_addr_inet(out, families[i].family, s, s + n, err);
	}
	return cfg_addr_inet(out, AF_UNSPEC, s, s, err);
}
