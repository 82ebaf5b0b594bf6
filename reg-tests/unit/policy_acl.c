/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_acl.c - patterns, ACLs, conditions with three values
 */
#include "policy_test.h"

#include <unistd.h>

static struct world w;

static void setup(void)
{
	world_init(&w);
}

static void teardown(void)
{
	world_fini(&w);
}

TestSuite(policy_acl, .init = setup, .fini = teardown);

struct row {
	const char *cond;
	char want;
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char got = world_test(&w, rows[i].cond);

		cr_expect_eq(got, rows[i].want, "%s: got %c, want %c (%s)", rows[i].cond, got, rows[i].want,
			     w.err ? w.err : "");
	}
}

#define CHECK(...)                                                 \
	do {                                                       \
		static const struct row rows_[] = { __VA_ARGS__ }; \
		check_rows(rows_, ARRAY_SIZE(rows_));              \
	} while (0)

static void check_err(int rc, const char *want)
{
	cr_expect(rc != 0);
	cr_expect_str_eq(w.err, want, "got '%s', want '%s'", w.err, want);
}

#define REQUEST                                                                                              \
	"GET /images/png/logo/32x32.png?q=1 HTTP/1.1\r\nHost: www1.dc-eu.example.com:80\r\nX: a, Bee\r\nX: " \
	"c\r\n"                                                                                              \
	"Xff: 192.0.2.1, nonsense, 198.51.100.7\r\nContent-Length: 5\r\n\r\n"

Test(policy_acl, string_methods_mean_what_haproxy_means)
{
	world_req(&w, REQUEST, false);
	CHECK({ "if { path /images/png/logo/32x32.png }", 'T' }, { "if { path /images }", 'F' },
	      { "if { path_beg /images }", 'T' }, { "if { path_beg /Images }", 'F' },
	      { "if { path_beg -i /Images }", 'T' }, { "if { path_end .gif .png }", 'T' },
	      { "if { path_end -i .PNG }", 'T' }, { "if { path_sub logo }", 'T' },
	      { "if { path_sub -i LOGO }", 'T' }, { "if { path_sub nope }", 'F' },
	      { "if { path_dir /images }", 'T' }, { "if { path_dir images/png }", 'T' },
	      { "if { path_dir /png/logo }", 'T' }, { "if { path_dir png }", 'T' },
	      { "if { path_dir pn }", 'F' }, { "if { path_dir 32x32 }", 'F' },
	      { "if { path_dir 32x32.png }", 'T' }, { "if { hdr_dom(host) www1 }", 'T' },
	      { "if { hdr_dom(host) .www1 }", 'T' }, { "if { hdr_dom(host) dc-eu.example:80 }", 'F' },
	      { "if { hdr_dom(host) example.com:80 }", 'T' }, { "if { hdr_dom(host) eu }", 'F' },
	      { "if { hdr_dom(host) dc }", 'F' }, { "if { path_len 26 }", 'T' },
	      { "if { path_len gt 26 }", 'F' }, { "if { path_reg ^/images/.*\\.png$ }", 'T' },
	      { "if { path_reg -i ^/IMAGES/ }", 'T' }, { "if { path_reg ^/IMAGES/ }", 'F' },
	      { "if { url_reg q=[0-9]$ }", 'T' }, { "if { path_beg }", 'F' },
	      { "if { path_dir -- / }", 'F' });
}

Test(policy_acl, criteria_take_converters_and_explicit_methods)
{
	world_req(&w, REQUEST, false);
	CHECK({ "if { path,upper /IMAGES/PNG/LOGO/32X32.PNG }", 'T' },
	      { "if { path_beg,upper /IMAGES }", 'T' }, { "if { path -m beg /images }", 'T' },
	      { "if { path -m len lt 27 }", 'T' }, { "if { path -m found }", 'T' },
	      { "if { hdr(nope) -m found }", 'F' }, { "if { req.payload(0,4) -m bin 47455420 }", 'T' },
	      { "if { req.payload(0,4) -m str GET~ }", 'T' }, { "if { req.payload(0,4),hex 47455420 }", 'T' },
	      { "if { req.hdr_val(content-length) -m bool }", 'T' }, { "if { src -m str 10.1.2.3 }", 'T' },
	      { "if { path -m int 0 }", 'T' }, { "if { path -m ip 1.2.3.4 }", 'F' },
	      { "if { always_true -m int 1 }", 'T' }, { "if { method -m beg G }", 'T' });
}

Test(policy_acl, every_value_of_a_header_is_tried)
{
	world_req(&w, REQUEST, false);
	CHECK({ "if { hdr(x) a }", 'T' }, { "if { hdr(x) c }", 'T' }, { "if { hdr(x) bee }", 'F' },
	      { "if { hdr(x) -i bee }", 'T' }, { "if { hdr(x,1) c }", 'F' }, { "if { hdr(x,-1) c }", 'T' },
	      { "if { hdr_ip(xff) 198.51.100.0/24 }", 'T' }, { "if { hdr_ip(xff) 192.0.2.1 }", 'T' },
	      { "if { hdr_ip(xff) 10.0.0.1 }", 'F' }, { "if { req.hdr(xff),ipmask(24) 198.51.100.0 }", 'T' },
	      { "if { hdr_cnt(x) 3 }", 'T' }, { "if { req.fhdr(x) a }", 'F' });
}

Test(policy_acl, methods_match_by_meaning)
{
	world_req(&w, REQUEST, false);
	CHECK({ "if METH_GET", 'T' }, { "if METH_HEAD", 'F' }, { "if { method HEAD GET }", 'T' },
	      { "if { method get }", 'F' });
	world_req(&w, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", false);
	CHECK({ "if METH_GET", 'T' }, { "if METH_HEAD", 'T' });
	world_req(&w, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n", false);
	CHECK({ "if { method BREW }", 'T' }, { "if { method -i brew }", 'T' }, { "if { method brew }", 'F' });
}

Test(policy_acl, integers_have_ranges_and_operators)
{
	CHECK({ "if { int(5) 5 }", 'T' }, { "if { int(5) 1:9 }", 'T' }, { "if { int(5) 6: }", 'F' },
	      { "if { int(5) :5 }", 'T' }, { "if { int(5) 1-9 }", 'T' }, { "if { int(-5) -- -5 }", 'T' },
	      { "if { int(-5) lt 0 }", 'T' }, { "if { int(5) gt 5 }", 'F' }, { "if { int(5) ge 5 }", 'T' },
	      { "if { int(5) le 4 }", 'F' }, { "if { int(5) lt 6 }", 'T' }, { "if { int(5) eq 1 2 5 }", 'T' },
	      { "if { int(5) 1 2 3 }", 'F' }, { "if { int(5) gt 9223372036854775807 }", 'F' },
	      { "if { int(5) lt -9223372036854775808 }", 'F' }, { "if { int(5) x }", 'E' },
	      { "if { int(5) 9:1 }", 'E' }, { "if { int(5) 3.1 }", 'E' });
}

Test(policy_acl, tls_versions_are_written_with_a_dot)
{
	static const char hello[] = "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03"
				    "0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00\x00\x00";

	world_payload(&w, false, hello, sizeof(hello) - 1, false);
	CHECK({ "if { req.ssl_ver 3.3 }", 'T' }, { "if { req.ssl_ver 3 }", 'F' },
	      { "if { req.ssl_ver gt 3 }", 'T' }, { "if { req.ssl_ver 3.1:3.2 }", 'F' },
	      { "if { req.ssl_ver ge 3.3 }", 'T' }, { "if { req.ssl_ver gt 3.3 }", 'F' },
	      { "if { req.ssl_ver 3:3.3 }", 'T' }, { "if { req.ssl_ver 2 }", 'F' });
}

Test(policy_acl, addresses_match_networks_of_both_families)
{
	CHECK({ "if { src 10.0.0.0/8 }", 'T' }, { "if { src 10.1.2.3 }", 'T' },
	      { "if { src 10.1.2.4 }", 'F' }, { "if { src 10.1.2.3/32 }", 'T' },
	      { "if { src 0.0.0.0/0 }", 'T' }, { "if { src 192.168.0.0/16 10.1.0.0/255.255.0.0 }", 'T' },
	      { "if { src 10/8 }", 'F' }, { "if { ipv4(10.0.0.12) 10.12 }", 'T' },
	      { "if { ipv4(192.168.0.1) 192.168.1 }", 'T' }, { "if { src ::ffff:10.1.2.3 }", 'T' },
	      { "if { src ::ffff:0:0/96 }", 'T' }, { "if { dst 2001:db8::/32 }", 'T' },
	      { "if { dst 10.0.0.0/8 }", 'F' }, { "if { ipv6(::ffff:10.1.2.3) 10.0.0.0/8 }", 'T' },
	      { "if { ipv6(2002:a01:203::) 10.1.2.3 }", 'T' }, { "if { ipv6(::10.1.2.3) 10.1.2.3 }", 'T' },
	      { "if { ipv6(::1) ::1 }", 'T' }, { "if LOCALHOST", 'F' },
	      { "if { src 10.0.0.0/255.0.255.0 }", 'E' }, { "if { src 10.0.0.0/33 }", 'E' },
	      { "if { src example.com }", 'E' });
}

Test(policy_acl, many_networks_are_searched_by_bisection)
{
	char line[64];

	for (int i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "nets src 10.%d.%d.0/28", 200 - i, i % 7);
		cr_assert_eq(world_acl(&w, line), 0);
	}
	/* overlapping, in one set, unsorted */
	CHECK({ "if { src 172.16.0.0/12 10.0.0.0/9 10.64.0.0/10 10.1.0.0/16 192.0.2.0/24 1.0.0.0/8 }", 'T' },
	      { "if { src 172.16.0.0/12 10.128.0.0/9 10.2.0.0/16 192.0.2.0/24 1.0.0.0/8 10.1.2.4/30 }", 'F' },
	      { "if { src 10.1.2.0/30 10.0.0.0/16 }", 'T' }, { "if nets", 'F' });
}

Test(policy_acl, many_strings_are_found_by_hash)
{
	char line[4096] = "names str(n777) -i", *p = line + strlen(line);

	for (int i = 0; i < 40; i++)
		p += sprintf(p, " N%d", i * 37);
	cr_assert_eq(world_acl(&w, line), 0, "%s", w.err);
	CHECK({ "if names", 'T' });
	memcpy(strstr(line, "n777"), "n778", 4);
	memcpy(line, "other", 5);
	cr_assert_eq(world_acl(&w, line), 0);
	CHECK({ "if other", 'F' });
}

Test(policy_acl, case_is_ignored_only_for_patterns_behind_the_flag)
{
	char path[] = "/tmp/policy_acl_XXXXXX", line[256];
	int fd = mkstemp(path);
	const char *text = "# a comment\n\n  Alpha \t\r\n #hash\nBeta\n";

	cr_assert(fd >= 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	for (int i = 0; i < 4; i++) {
		static const char *const values[] = { "Alpha", "alpha", "Gamma", "#hash" };

		snprintf(line, sizeof(line), "exact%d str(%s) -f %s -i gamma", i, values[i], path);
		cr_expect_eq(world_acl(&w, line), 0, "%s", w.err);
		snprintf(line, sizeof(line), "folded%d str(%s) -i -f %s", i, values[i], path);
		cr_expect_eq(world_acl(&w, line), 0, "%s", w.err);
	}
	CHECK({ "if exact0", 'T' }, { "if exact1", 'F' }, { "if exact2", 'T' }, { "if exact3", 'T' },
	      { "if folded0", 'T' }, { "if folded1", 'T' }, { "if folded2", 'F' });
	snprintf(line, sizeof(line), "bad src -f %s", path);
	cr_expect(world_acl(&w, line) < 0);
	cr_expect(strstr(w.err, ":3: 'Alpha' is not an address"), "%s", w.err);
	unlink(path);
	cr_expect(world_acl(&w, line) < 0);
	cr_expect(strstr(w.err, "No such file"), "%s", w.err);
}

Test(policy_acl, lines_of_one_name_are_alternatives)
{
	world_acl(&w, "static always_false");
	CHECK({ "if static", 'F' });
	world_acl(&w, "static always_true");
	CHECK({ "if static", 'T' }, { "if !static", 'F' }, { "unless static", 'F' });
}

/* t true, f false, w not known yet */
static void three_values(void)
{
	world_acl(&w, "t always_true");
	world_acl(&w, "f always_false");
	world_acl(&w, "w wait_end");
}

Test(policy_acl, conditions_follow_three_valued_logic)
{
	three_values();
	CHECK({ "if t", 'T' }, { "if f", 'F' }, { "if w", 'W' }, { "if !t", 'F' }, { "if !f", 'T' },
	      { "if !w", 'W' }, { "if ! w", 'W' }, { "if !!t", 'T' }, { "if t t", 'T' }, { "if t f", 'F' },
	      { "if t w", 'W' }, { "if w t", 'W' }, { "if f w", 'F' }, { "if w f", 'F' }, { "if w w", 'W' },
	      { "if t || w", 'T' }, { "if w || t", 'T' }, { "if f || w", 'W' }, { "if w || f", 'W' },
	      { "if f || f", 'F' }, { "if w or t", 'T' }, { "if w OR f", 'W' }, { "if f w || t", 'T' },
	      { "if w f || f", 'F' }, { "if t w || f t", 'W' }, { "if f t || t t", 'T' },
	      { "if f || t f || t !f", 'T' }, { "unless t", 'F' }, { "unless f", 'T' }, { "unless w", 'W' },
	      { "unless w f", 'T' }, { "unless w || t", 'F' }, { "if t !w || !f", 'T' },
	      { "if !t || !w", 'W' });
	w.ctx.req_final = true;
	CHECK({ "if w", 'T' }, { "if t w", 'T' }, { "if !w", 'F' });
}

Test(policy_acl, a_value_that_may_grow_is_not_false_yet)
{
	world_req(&w, "hello", false);
	CHECK({ "if { req.len gt 3 }", 'T' }, { "if { req.len gt 5 }", 'W' }, { "if !{ req.len gt 5 }", 'W' },
	      { "if !{ req.len gt 3 }", 'F' }, { "if { req.payload(0,0) -m sub ell }", 'T' },
	      { "if { req.payload(0,0) -m sub nope }", 'W' }, { "if { req.payload(0,5) -m sub nope }", 'F' },
	      { "if REQ_CONTENT", 'T' });
	world_req(&w, "hello", true);
	CHECK({ "if { req.len gt 5 }", 'F' }, { "if { req.payload(0,0) -m sub nope }", 'F' },
	      { "if HTTP", 'F' }, { "unless HTTP", 'T' });
}

Test(policy_acl, a_decision_does_not_wait_for_what_cannot_change_it)
{
	world_req(&w, "GET /ins", false);
	CHECK({ "if { src 10.0.0.0/8 } || { path_beg /inspect }", 'T' },
	      { "if { src 11.0.0.0/8 } { path_beg /inspect }", 'F' }, { "if { path_beg /inspect }", 'W' });
}

/* A decision made early is the decision that the whole payload gives. */
Test(policy_acl, no_split_of_the_payload_changes_a_decision)
{
	static const struct row rows[] = {
		{ "if { path_beg /images }", 'T' },       { "if { hdr(x) zz }", 'F' },
		{ "if METH_POST || { hdr(x) c }", 'T' },  { "if { req.ssl_sni a.example }", 'F' },
		{ "if HTTP { req.ver 1.1 }", 'T' },       { "if { req.payload(0,3) -m str GET }", 'T' },
		{ "unless { hdr(host) -m found }", 'F' }, { "if HTTP_URL_SLASH !HTTP_CONTENT", 'F' },
	};
	size_t n = strlen(REQUEST);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t cut = 0; cut <= n; cut++) {
			char got;

			world_payload(&w, false, REQUEST, cut, cut == n);
			got = world_test(&w, rows[i].cond);
			cr_expect(got == rows[i].want || (got == 'W' && cut < n), "%s after %zu bytes: %c",
				  rows[i].cond, cut, got);
		}
}

Test(policy_acl, predefined_acls_exist)
{
	static const char *const names[] = { "FALSE",         "TRUE",         "HTTP",
					     "HTTP_1.0",      "HTTP_1.1",     "HTTP_2.0",
					     "HTTP_CONTENT",  "HTTP_URL_ABS", "HTTP_URL_SLASH",
					     "HTTP_URL_STAR", "LOCALHOST",    "METH_CONNECT",
					     "METH_DELETE",   "METH_GET",     "METH_HEAD",
					     "METH_OPTIONS",  "METH_POST",    "METH_PUT",
					     "METH_TRACE",    "REQ_CONTENT",  "WAIT_END" };
	char line[64];

	world_req(&w, REQUEST, true);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(line, sizeof(line), "if %s", names[i]);
		cr_expect_neq(world_test(&w, line), 'E', "%s: %s", names[i], w.err);
	}
	CHECK({ "if HTTP HTTP_1.1 HTTP_URL_SLASH HTTP_CONTENT !HTTP_1.0 !HTTP_URL_STAR !HTTP_URL_ABS", 'T' });
}

Test(policy_acl, wrong_lines_are_told_with_their_reason)
{
	check_err(world_acl(&w, "a"), "'acl' expects <name> <criterion> [flags] [operator] [<value>]...");
	check_err(world_acl(&w, "a$ path /"), "character '$' is not permitted in acl name 'a$'");
	check_err(world_acl(&w, "or path /"),
		  "acl name 'or' will never match. 'or' is used to express a logical "
		  "disjunction within a condition");
	check_err(world_acl(&w, "a pth_beg /"),
		  "error detected while parsing ACL 'a' : unknown fetch method 'pth'; did you "
		  "mean 'path'? in ACL expression 'pth_beg'");
	check_err(
	    world_acl(&w, "a path -m bge /"),
	    "error detected while parsing ACL 'a' : unknown matching method 'bge'; did you mean 'beg'?");
	check_err(world_acl(&w, "a path -x /"),
		  "error detected while parsing ACL 'a' : '-x' is not a valid ACL option. "
		  "Please use '--' before any pattern beginning with a '-'");
	check_err(world_acl(&w, "a path -M -f x"),
		  "error detected while parsing ACL 'a' : '-M' (map files) is not supported yet");
	check_err(world_acl(&w, "a req.payload(0,2) 1603"),
		  "error detected while parsing ACL 'a' : matching method must be specified first (using "
		  "'-m') when using "
		  "a sample fetch of this type ('req.payload')");
	check_err(world_acl(&w, "a req.payload(0,2) -m ip 1.2.3.4"),
		  "error detected while parsing ACL 'a' : matching method 'ip' cannot be used with "
		  "'req.payload', which "
		  "gives type 'binary'");
	check_err(world_acl(&w, "a path_reg ("),
		  "error detected while parsing ACL 'a' : regular expression '(' is invalid "
		  "at position 1: missing closing parenthesis");
}

Test(policy_acl, wrong_conditions_are_told_with_their_reason)
{
	static const struct {
		const char *cond, *want;
	} rows[] = {
		{ "if", "missing condition" },
		{ "when x", "'if' or 'unless' expected" },
		{ "if TRUE ||", "the condition ends too early" },
		{ "if || TRUE", "nothing before '||' in condition" },
		{ "if TRUE !", "the condition ends too early" },
		{ "if { path /", "missing closing '}' in condition" },
		{ "if { }", "nothing between '{' and '}'" },
		{ "if METH_GTE", "no such ACL : 'METH_GTE'; did you mean 'METH_GET'?" },
		{ "if zzzzzz", "no such ACL : 'zzzzzz'" },
		{ "if { pth / }",
		  "error detected while parsing an anonymous ACL : unknown fetch method 'pth'; did you mean "
		  "'path'? in ACL expression 'pth'" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect_null(world_cond(&w, rows[i].cond));
		cr_expect_str_eq(w.err, rows[i].want, "%s: got '%s'", rows[i].cond, w.err);
	}
}

Test(policy_acl, conditions_tell_what_they_need_and_where_they_cannot_work)
{
	char *what = NULL;

	world_acl(&w, "l7 path_beg /");
	world_acl(&w, "mixed src 10.0.0.0/8");
	world_acl(&w, "mixed status 200");
	cr_expect_eq(cond_needs(NULL), 0u);
	cr_expect_eq(cond_needs(world_cond(&w, "if TRUE")), 0u);
	cr_expect_eq(cond_needs(world_cond(&w, "if l7 || !{ src 1.2.3.4 }")),
		     (unsigned)(SMP_AT_HREQ | SMP_AT_L4));
	cr_expect_not(cond_conflicts(world_cond(&w, "if l7"), SMP_AT_HREQ, "here", &what));
	cr_expect(cond_conflicts(world_cond(&w, "if TRUE l7"), SMP_AT_L4, "here", &what));
	cr_expect_str_eq(
	    what, "acl 'l7' will never match because it only involves keywords that are incompatible with "
		  "'here' ('path')");
	cr_expect(cond_conflicts(world_cond(&w, "if mixed"), SMP_AT_L4, "here", &what));
	cr_expect_str_eq(what, "acl 'mixed' involves keyword 'status' which is incompatible with 'here'");
	cr_expect(cond_conflicts(world_cond(&w, "if { req.len 5 }"), SMP_AT_L4, "here", &what));
	cr_expect_str_eq(
	    what, "anonymous acl will never match because it uses keyword 'req.len' which is incompatible "
		  "with 'here'");
	free(what);
}

Test(policy_acl, an_expression_that_explodes_does_not_match)
{
	char text[4096];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	world_req(&w, text, true);
	CHECK({ "if { req.payload(0,0) -m reg ^(a|aa|a*)*b$ }", 'F' });
}

/* ---- boxes ---- */

static bool in_range(const uint8_t ends[2][16], const struct addr *a)
{
	const void *ip = a->family == AF_INET ? (const void *)&a->ip.v4 : (const void *)&a->ip.v6;
	size_t n = a->family == AF_INET ? 4 : 16;

	return memcmp(ip, ends[0], n) >= 0 && memcmp(ip, ends[1], n) <= 0;
}

static bool in_boxes(const struct cond_box *b, int n)
{
	const struct addr *s = &w.src, *d = &w.dst;

	for (int i = 0; i < n; i++)
		if ((b[i].family == AF_UNSPEC || b[i].family == s->family) && s->port >= b[i].sport[0] &&
		    s->port <= b[i].sport[1] && d->port >= b[i].dport[0] && d->port <= b[i].dport[1] &&
		    (!b[i].has_src || in_range(b[i].src, s)) && (!b[i].has_dst || in_range(b[i].dst, d)))
			return true;
	return false;
}

static void random_ends(void)
{
	static const char *const v4[] = { "10.0.0.0", "10.1.2.3", "10.255.255.255", "11.0.0.0", "192.0.2.77", "9.255.255.255" };
	static const char *const v6[] = { "2001:db8::1", "2001:db8:ffff::", "2001:db9::", "fe80::1", "::1" };
	bool six = rand() & 1;

	addr_parse_ip(&w.src, str_c(six ? v6[rand() % 5] : v4[rand() % 6]));
	addr_parse_ip(&w.dst, str_c(six ? v6[rand() % 5] : v4[rand() % 6]));
	w.src.port = (uint16_t)rand();
	w.dst.port = (uint16_t)(rand() & 1 ? 20 + rand() % 8 : rand());
}

Test(policy_acl, a_condition_about_addresses_and_ports_is_a_union_of_boxes)
{
	static const struct {
		const char *cond;
		int n; /* -1: it is not */
	} rows[] = {
		{ "if { dst_port 22 }", 1 },
		{ "if { dst_port 21 22 25:27 }", 3 },
		{ "if { src 10.0.0.0/8 }", 1 },
		{ "if { src 10.0.0.0/8 2001:db8::/32 } { dst_port 22 25 }", 4 },
		{ "if { dst_port 22 } or { src 10.1.2.3 } { src_port ge 1024 }", 2 },
		{ "if { dst_port lt 24 }", 1 },
		{ "if both", 3 },
		{ "if TRUE", 1 },
		{ "if TRUE { dst 10.0.0.0/8 }", 1 },
		{ "if { src 10.0.0.0/8 } { dst 2001:db8::/32 }", 0 }, /* never */
		{ "unless { dst_port 22 }", -1 },
		{ "if !{ dst_port 22 }", -1 },
		{ "if { dst_port 22 } { dst_port 22 23 }", -1 },
		{ "if { src,ipmask(24) 10.1.2.0 }", -1 },
		{ "if { dst_port,add(1) 23 }", -1 },
		{ "if FALSE", -1 },
		{ "if { rand(2) 1 }", -1 },
		{ "if { src -m found }", -1 },
		{ "if { dst_port 22 } or { path /x }", -1 },
		{ "if { dst_port 1 3 5 7 9 11 13 15 17 } { src_port 1 3 5 7 9 11 13 15 }", -1 }, /* 72 */
	};
	struct cond_box b[COND_BOXES_MAX];

	cr_assert_eq(world_acl(&w, "both dst_port 22 23"), 0);
	cr_assert_eq(world_acl(&w, "both src 10.1.2.3"), 0);
	srand(7);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cond *c = world_cond(&w, rows[i].cond);
		int n = c ? cond_boxes(c, b, COND_BOXES_MAX) : -2;

		cr_expect_eq(n, rows[i].n, "%s: %d boxes (%s)", rows[i].cond, n, w.err ? w.err : "");
		for (int k = 0; n >= 0 && k < 2000; k++) {
			random_ends();
			cr_assert_eq(in_boxes(b, n), cond_eval(c, &w.ctx) == COND_TRUE, "%s: port %u", rows[i].cond, w.dst.port);
		}
	}
	cr_expect_eq(cond_boxes(NULL, b, 1), 1);
	cr_expect_eq(cond_boxes(world_cond(&w, "if { dst_port 22 23 }"), b, 1), -1, "no room");
}
