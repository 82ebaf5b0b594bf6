/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg_value.c - times, sizes, addresses; nearest words; conditions
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cfg/cfg.h"

Test(value, times_have_units)
{
	static const struct {
		const char *text;
		unsigned ms;
	} t[] = { { "0", 0 },
		  { "10", 10 },
		  { "10ms", 10 },
		  { "5s", 5000 },
		  { "2m", 120000 },
		  { "1h", 3600000 },
		  { "1d", 86400000 },
		  { "1us", 1 },
		  { "1000us", 1 },
		  { "1001us", 2 },
		  { "2147483647", INT32_MAX } };
	unsigned ms;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		cr_assert_eq(cfg_parse_time(t[i].text, &ms), 0, "%s", t[i].text);
		cr_assert_eq(ms, t[i].ms, "%s", t[i].text);
	}
	cr_assert_eq(cfg_parse_time("25d", &ms), -ERANGE);
	cr_assert_eq(cfg_parse_time("99999999999999999999", &ms), -ERANGE);
	cr_assert_eq(cfg_parse_time("999999999999999999d", &ms), -ERANGE);
	cr_assert_eq(cfg_parse_time("", &ms), -EINVAL);
	cr_assert_eq(cfg_parse_time("s", &ms), -EINVAL);
	cr_assert_eq(cfg_parse_time("1y", &ms), -EINVAL);
	cr_assert_eq(cfg_parse_time("1sx", &ms), -EINVAL);
	cr_assert_eq(cfg_parse_time("-1", &ms), -EINVAL);
}

Test(value, sizes_have_units)
{
	uint64_t v;

	cr_assert(cfg_parse_size("10", &v) == 0 && v == 10);
	cr_assert(cfg_parse_size("64k", &v) == 0 && v == 65536);
	cr_assert(cfg_parse_size("1M", &v) == 0 && v == 1 << 20);
	cr_assert(cfg_parse_size("2g", &v) == 0 && v == 2ull << 30);
	cr_assert(cfg_parse_size("1t", &v) == 0 && v == 1ull << 40);
	cr_assert_eq(cfg_parse_size("16777216t", &v), -ERANGE);
	cr_assert_eq(cfg_parse_size("1kb", &v), -EINVAL);
	cr_assert_eq(cfg_parse_size("k", &v), -EINVAL);
	cr_assert_eq(cfg_parse_size("", &v), -EINVAL);
	cr_assert_eq(cfg_parse_size("1.5m", &v), -EINVAL);
}

static const char *addr(const char *text)
{
	static char out[256];
	char ip[ADDR_STRLEN], *err = NULL;
	struct cfg_addr a;

	if (cfg_parse_addr(text, &a, &err)) {
		cr_assert_not_null(err);
		snprintf(out, sizeof(out), "error: %s", err);
		free(err);
	} else if (a.kind == CFG_ADDR_FD) {
		snprintf(out, sizeof(out), "fd %d", a.fd);
	} else if (a.kind != CFG_ADDR_INET) {
		snprintf(out, sizeof(out), "%s %s", a.kind == CFG_ADDR_UNIX ? "unix" : "abns", a.path);
	} else {
		snprintf(out, sizeof(out), "%s%s%s", addr_print(&a.addr, ip), a.any ? " any" : "",
			 a.has_port ? "" : " noport");
		if (a.port_last)
			sprintf(out + strlen(out), "-%u", a.port_last);
	}
	return out;
}

Test(value, addresses_of_every_kind)
{
	cr_assert_str_eq(addr("*:80"), "0.0.0.0:80 any");
	cr_assert_str_eq(addr(":80"), "0.0.0.0:80 any");
	cr_assert_str_eq(addr("1.2.3.4:80"), "1.2.3.4:80");
	cr_assert_str_eq(addr("1.2.3.4"), "1.2.3.4:0 noport");
	cr_assert_str_eq(addr("1.2.3.4:8000-8010"), "1.2.3.4:8000-8010");
	cr_assert_str_eq(addr("[::1]:80"), "[::1]:80");
	cr_assert_str_eq(addr("[::1]"), "[::1]:0 noport");
	cr_assert_str_eq(addr("::1:80"), "[::1]:80");
	cr_assert_str_eq(addr("fe80::1"), "[fe80::1]:0 noport");
	cr_assert_str_eq(addr("::1"), "[::1]:0 noport");
	cr_assert_str_eq(addr("2001:db8::5:80"), "[2001:db8::5]:80");
	cr_assert_str_eq(addr(":::80"), "[::]:80");
	cr_assert_str_eq(addr("ipv6@:80"), "[::]:80 any");
	cr_assert_str_eq(addr("ipv4@1.2.3.4:1"), "1.2.3.4:1");
	cr_assert_str_eq(addr("fd@7"), "fd 7");
	cr_assert_str_eq(addr("/run/x.sock"), "unix /run/x.sock");
	cr_assert_str_eq(addr("unix@x.sock"), "unix x.sock");
	cr_assert_str_eq(addr("abns@x"), "abns x");
}

Test(value, addresses_say_what_is_wrong)
{
	cr_assert_str_eq(addr("1.2.3.4:70000"), "error: invalid port '70000' in '1.2.3.4:70000'");
	cr_assert_str_eq(addr("1.2.3.4:x"), "error: invalid port 'x' in '1.2.3.4:x'");
	cr_assert_str_eq(addr("1.2.3.4:9-8"), "error: the port range in '1.2.3.4:9-8' ends before it begins");
	cr_assert_str_eq(addr("ipv4@[::1]:80"), "error: '::1' is not an IPv4 address");
	cr_assert_str_eq(addr("fd@x"), "error: file descriptor 'x' is not a valid integer in 'fd@x'");
	cr_assert_str_eq(addr("unix@"), "error: missing path in 'unix@'");
	/* a name that no resolver need be asked for */
	cr_assert_eq(strncmp(addr("a..b:80"), "error: invalid address: 'a..b' in 'a..b:80'", 60), 0);
}

Test(nearest, is_a_repaired_typo_not_a_guess)
{
	static const char *const w[] = {
		"bind", "default_backend", "http-request", "mode", "timeout", "acl"
	};

	cr_assert_str_eq(diag_nearest_of("bidn", w, ARRAY_SIZE(w)), "bind");
	cr_assert_str_eq(diag_nearest_of("defualt_backend", w, ARRAY_SIZE(w)), "default_backend");
	cr_assert_str_eq(diag_nearest_of("http_reqest", w, ARRAY_SIZE(w)), "http-request");
	cr_assert_str_eq(diag_nearest_of("tmeout", w, ARRAY_SIZE(w)), "timeout");
	cr_assert_null(diag_nearest_of("bogus", w, ARRAY_SIZE(w)));
	cr_assert_null(diag_nearest_of("x", w, ARRAY_SIZE(w)));
	cr_assert_null(diag_nearest_of("", w, ARRAY_SIZE(w)));
}

static int eval(const char *text)
{
	bool result = true;
	char *err = NULL;
	int rc = cfg_eval_condition(NULL, text, &result, &err);

	cr_assert_eq(rc != 0, err != NULL);
	free(err);
	return rc ? -1 : result;
}

Test(condition, precedence_and_negation)
{
	cr_assert_eq(eval(""), 0);
	cr_assert_eq(eval("0"), 0);
	cr_assert_eq(eval("12"), 1);
	cr_assert_eq(eval("!0"), 1);
	cr_assert_eq(eval("! 1 || 1"), 1);
	cr_assert_eq(eval("1 || 0 && 0"), 1);
	cr_assert_eq(eval("(1 || 0) && 0"), 0);
	cr_assert_eq(eval("0&&1||1"), 1);
	cr_assert_eq(eval("!(1 && 0)"), 1);
}

Test(condition, predicates)
{
	setenv("STANDIN_UNIT", "", 1);
	cr_assert_eq(eval("defined(STANDIN_UNIT)"), 1);
	cr_assert_eq(eval("defined(STANDIN_UNIT_NOT)"), 0);
	cr_assert_eq(eval("streq(a b,a b)"), 1);
	cr_assert_eq(eval("streq(,)"), 1);
	cr_assert_eq(eval("strneq(a,b)"), 1);
	cr_assert_eq(eval("feature(OPENSSL)"), 1);
	cr_assert_eq(eval("feature(QUIC)"), 0);
	cr_assert_eq(eval("version_atleast(2.6)"), 1);
	cr_assert_eq(eval("version_atleast(2.4-dev19)"), 1);
	cr_assert_eq(eval("version_atleast(2.7)"), 0);
	cr_assert_eq(eval("version_before(2.6-dev1)"), 0);
	cr_assert_eq(eval("version_before(3)"), 1);
}

Test(condition, what_cannot_be_read_is_an_error)
{
	static const char *const bad[] = { "foo",      "1 2",       "(1",   "1)",   "streq(a", "streq(a,b,c)",
					   "streq(a)", "nosuch(x)", "1 &&", "|| 1", "!",       "defined",
					   "1 & 1" };
	char deep[200];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_eq(eval(bad[i]), -1, "%s", bad[i]);
	memset(deep, '!', sizeof(deep));
	strcpy(deep + sizeof(deep) - 2, "1");
	cr_assert_eq(eval(deep), -1, "nesting is bounded");
}
