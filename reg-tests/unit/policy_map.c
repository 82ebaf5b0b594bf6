/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_map.c - maps: files, every way to match, changes at run time
 */
#include "policy_test.h"

#include <unistd.h>

#include "policy/map_priv.h"

static struct world w;
static char path[] = "/tmp/standin-map-XXXXXX";

static void setup(void)
{
	world_init(&w);
	close(mkstemp(path));
}

static void teardown(void)
{
	unlink(path);
	world_fini(&w);
}

TestSuite(policy_map, .init = setup, .fini = teardown);

static void file(const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

/* "str(x),map_beg(@,none)": @ is the file */
static const char *eval(const char *expr)
{
	char text[512] = "";

	for (const char *p = expr; *p; p++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), *p == '@' ? "%s" : "%.1s", *p == '@' ? path : p);
	return world_eval(&w, text);
}

#define IS(expr, want)                                                      \
	do {                                                                \
		const char *got_ = eval(expr);                              \
		cr_expect_str_eq(got_, want, "%s: got '%s'", expr, got_);   \
	} while (0)

Test(policy_map, a_line_is_a_key_and_the_rest_of_it)
{
	file("# comment\n\n  key   value with  blanks \t\r\nkey second\nempty\n#x y\n");
	IS("str(key),map(@)", "value with  blanks");
	IS("str(empty),map(@)", "");
	IS("str(#x),map(@)", "ABSENT");
	IS("str(none),map(@)", "ABSENT");
	IS("str(none),map(@,the default)", "the default");
	IS("str(KEY),map_str(@)", "ABSENT");
}

Test(policy_map, the_first_key_that_matches_wins)
{
	file("/a one\n/ab two\nb three\n");
	IS("str(/abc),map_beg(@)", "two"); /* but here the longest */
	IS("str(xx/ab),map_end(@)", "two");
	IS("str(xxbxx),map_sub(@)", "three");
	IS("str(/x/b?q),map_dir(@)", "three");
	IS("str(www.b.example),map_dom(@)", "three");
	IS("str(c),map_sub(@)", "ABSENT");
}

Test(policy_map, regular_expressions_give_their_groups)
{
	file("^/([a-z]+)/([0-9]+)$ \\2-\\1-\\2\\\\\n^(.*)$ all \\0 \\7.\n");
	IS("str(/abc/42),map_regm(@)", "42-abc-42\\");
	IS("str(x),map_regm(@)", "all x .");
	IS("str(/abc/42),map_reg(@)", "\\2-\\1-\\2\\\\");
	file("[ 1\n");
	cr_expect(strstr(eval("str(x),map_reg(@)"), "map '"));
}

Test(policy_map, numbers_fit_ranges)
{
	file("80 web\n443 tls\n1024:2048 mid\n");
	IS("int(443),map_int(@)", "tls");
	IS("int(1500),map_int(@)", "mid");
	IS("int(81),map_int(@)", "ABSENT");
	IS("dst_port,map_int(@)", "tls");
}

static const char *ip(const char *addr)
{
	addr_parse_ip(&w.src, str_c(addr));
	return eval("src,map_ip(@,none)");
}

Test(policy_map, the_smallest_network_wins_wherever_it_stands)
{
	file("10.0.0.0/8 ten\n10.1.2.3 host\n10.1.0.0/255.255.0.0 sixteen\n2001:db8::/33 doc\n2001:db8::1 one\n10.1.0.0/16 again\n");
	cr_expect_str_eq(ip("10.1.2.3"), "host");
	cr_expect_str_eq(ip("10.1.2.4"), "sixteen");
	cr_expect_str_eq(ip("10.2.0.0"), "ten");
	cr_expect_str_eq(ip("11.0.0.0"), "none");
	cr_expect_str_eq(ip("2001:db8::1"), "one");
	cr_expect_str_eq(ip("2001:db8:7fff::"), "doc");
	cr_expect_str_eq(ip("2001:db8:8000::"), "none");
	cr_expect_str_eq(ip("::ffff:10.1.2.3"), "host", "as ACLs take it");
}

Test(policy_map, values_have_the_type_that_is_asked_for)
{
	file("a 7\nb -12\n");
	IS("str(b),map_str_int(@),add(2)", "-10");
	IS("str(c),map_str_int(@,5)", "5");
	cr_expect(strstr(eval("str(c),map_str_int(@,x)"), "the default 'x' is not a number"));
	file("a 192.0.2.1\n");
	IS("str(a),map_beg_ip(@),ipmask(24)", "192.0.2.0");
	file("a 7\nb x\n");
	cr_expect(strstr(eval("str(b),map_str_int(@)"), "value of 'b': 'x' is not a number"));
}

Test(policy_map, what_is_wrong_with_a_file_is_told_with_its_line)
{
	char want[100];

	cr_expect(strstr(eval("str(a),map(/nonexistent/map)"), "cannot open map file '/nonexistent/map'"));
	file("10.0.0.0/8 ok\nten.example no\n");
	snprintf(want, sizeof(want), "map '%s': 'ten.example' is not an address", path);
	cr_expect(strstr(eval("src,map_ip(@)"), want), "%s", eval("src,map_ip(@)"));
}

Test(policy_map, entries_come_change_and_go)
{
	struct policy_ctx *ctx = &w.ctx;
	struct sample s = { .type = SMP_T_STR, .v.str = STR("/b/x") };
	struct map_entry *e;
	struct map *m;

	file("/a one\n/b two\n");
	m = map_load(path, &w.err);
	cr_assert_not_null(m, "%s", w.err);
	cr_assert_eq(map_match_by(m, PAT_BEG, &w.err), 0);
	cr_assert_eq(map_match_by(m, PAT_STR, &w.err), 0);
	cr_assert_eq(map_give(m, SMP_T_STR, &w.err), 0);
	cr_expect_str_eq(map_find(m, PAT_BEG, &s, ctx, NULL)->value, "two");
	e = map_by_key(m, "/b", NULL);
	cr_assert_eq(map_set(m, e, "changed", &w.err), 0);
	cr_expect_str_eq(map_find(m, PAT_BEG, &s, ctx, NULL)->value, "changed");
	map_del(m, e);
	cr_expect_null(map_find(m, PAT_BEG, &s, ctx, NULL));
	cr_assert_eq(map_add(m, "/b/", "new", &w.err), 0);
	cr_expect_str_eq(map_find(m, PAT_BEG, &s, ctx, NULL)->value, "new");
	cr_expect_eq(map_by_ref(m, map_by_key(m, "/b/", NULL)->ref), map_by_key(m, "/b/", NULL));
	/* many come and go: the index stays as large as what is in it */
	for (int i = 0; i < 5000; i++) {
		char key[20];

		snprintf(key, sizeof(key), "k%d", i);
		cr_assert_eq(map_add(m, key, "v", &w.err), 0);
		map_del(m, map_by_key(m, key, NULL));
	}
	cr_expect_eq(m->count, 2);
	map_clear(m);
	cr_expect_null(map_find(m, PAT_BEG, &s, ctx, NULL));
	cr_assert_eq(map_add(m, "/b", "again", &w.err), 0);
	cr_expect_str_eq(map_find(m, PAT_BEG, &s, ctx, NULL)->value, "again");
	map_put(&m);
}

Test(policy_map, a_change_that_does_not_fit_changes_nothing)
{
	struct sample s = { .type = SMP_T_ADDR };
	struct map *m;

	addr_parse_ip(&s.v.addr, STR("10.1.2.3"));
	file("10.0.0.0/8 7\n");
	m = map_load(path, &w.err);
	cr_assert_eq(map_match_by(m, PAT_BEG, &w.err), 0);
	cr_assert_eq(map_match_by(m, PAT_IP, &w.err), 0);
	cr_assert_eq(map_give(m, SMP_T_SINT, &w.err), 0);
	cr_expect_lt(map_add(m, "not-an-address", "1", &w.err), 0);
	cr_expect_lt(map_add(m, "10.1.0.0/16", "not a number", &w.err), 0);
	cr_expect_lt(map_set(m, map_by_key(m, "10.0.0.0/8", NULL), "x", &w.err), 0);
	cr_expect_eq(m->count, 1);
	cr_expect_str_eq(map_find(m, PAT_IP, &s, &w.ctx, NULL)->value, "7");
	cr_assert_eq(map_add(m, "10.1.0.0/16", "16", &w.err), 0);
	cr_expect_str_eq(map_find(m, PAT_IP, &s, &w.ctx, NULL)->value, "16");
	map_del(m, map_by_key(m, "10.1.0.0/16", NULL));
	cr_expect_str_eq(map_find(m, PAT_IP, &s, &w.ctx, NULL)->value, "7");
	map_put(&m);
}
