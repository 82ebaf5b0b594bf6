/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * proto_http.c - looking things up in a head, and editing it
 */
#include <criterion/criterion.h>

#include "proto/http.h"

#define cr_str(s, lit)                                                                                       \
	do {                                                                                                 \
		struct str s_ = (s);                                                                         \
		cr_assert(str_eq(s_, STR(lit)), "\"%.*s\", expected \"%s\"", STR_ARG(s_), lit);              \
	} while (0)

static struct http_hdr slots[4];

static struct http_head fresh(void)
{
	slots[0] = (struct http_hdr){ STR("Host"), STR("h:1") };
	slots[1] = (struct http_hdr){ STR("X"), STR("1") };
	slots[2] = (struct http_hdr){ STR("x"), STR("2") };
	return (struct http_head){ .hdr = slots, .nb_hdr = 3, .max_hdr = 4 };
}

static struct http_head target(struct str uri, enum http_meth meth)
{
	struct http_head h = fresh();

	h.uri = uri;
	h.meth = meth;
	return h;
}

Test(http_uri, has_path_query_and_host_in_every_form)
{
	static const struct {
		const char *uri;
		enum http_meth meth;
		const char *path, *query, *host;
	} t[] = {
		{ "/", HTTP_METH_GET, "/", NULL, "h:1" },
		{ "/a/b?c?d", HTTP_METH_GET, "/a/b", "c?d", "h:1" },
		{ "/a?", HTTP_METH_GET, "/a", "", "h:1" },
		{ "//evil/x", HTTP_METH_GET, "//evil/x", NULL, "h:1" },
		{ "*", HTTP_METH_OPTIONS, "*", NULL, "h:1" },
		{ "http://b:2/p?q", HTTP_METH_GET, "/p", "q", "b:2" },
		{ "http://b", HTTP_METH_GET, "/", NULL, "b" },
		{ "http://b?q/x", HTTP_METH_GET, "/", "q/x", "b" },
		{ "c:443", HTTP_METH_CONNECT, "", NULL, "c:443" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct http_head h = target(str_c(t[i].uri), t[i].meth);
		struct str q = http_query(&h);

		cr_assert(str_eq(http_path(&h), str_c(t[i].path)), "path of %s", t[i].uri);
		cr_assert(str_eq(q, str_c(t[i].query)) && !q.p == !t[i].query, "query of %s", t[i].uri);
		cr_assert(str_eq(http_host(&h), str_c(t[i].host)), "host of %s", t[i].uri);
	}
}

Test(http_uri, without_a_host_header_the_host_is_null)
{
	struct http_head h = target(STR("/"), HTTP_METH_GET);

	http_hdr_del(&h, STR("host"));
	cr_assert_null(http_host(&h).p);
}

Test(http_hdr, is_found_without_case_and_in_order)
{
	struct http_head h = fresh();
	unsigned pos = 0;

	cr_str(http_hdr_find(&h, STR("X"), &pos)->value, "1");
	cr_str(http_hdr_find(&h, STR("X"), &pos)->value, "2");
	cr_assert_null(http_hdr_find(&h, STR("X"), &pos));
	pos = 0;
	cr_assert_null(http_hdr_find(&h, STR("Y"), &pos));
}

Test(http_hdr, is_added_while_there_is_room)
{
	struct http_head h = fresh();

	cr_assert(http_hdr_add(&h, STR("y"), STR("3")));
	cr_assert_not(http_hdr_add(&h, STR("z"), STR("4")));
	cr_assert_eq(h.nb_hdr, 4);
	cr_str(h.hdr[3].name, "y");
}

Test(http_hdr, is_set_in_place_of_all_of_its_name)
{
	struct http_head h = fresh();

	cr_assert(http_hdr_set(&h, STR("x"), STR("9")));
	cr_assert_eq(h.nb_hdr, 2);
	cr_str(h.hdr[0].name, "Host");
	cr_str(h.hdr[1].value, "9");
	cr_assert(http_hdr_set(&h, STR("new"), STR("n")));
	cr_assert_eq(h.nb_hdr, 3);
}

Test(http_hdr, is_removed_wherever_it_stands)
{
	struct http_head h = fresh();

	cr_assert_eq(http_hdr_del(&h, STR("HOST")), 1);
	cr_assert_eq(http_hdr_del(&h, STR("none")), 0);
	cr_assert_eq(http_hdr_del(&h, STR("x")), 2);
	cr_assert_eq(h.nb_hdr, 0);
	h = fresh();
	http_hdr_del_at(&h, 1);
	cr_str(h.hdr[1].value, "2");
	cr_assert_eq(h.nb_hdr, 2);
}

Test(http_list, gives_trimmed_elements_and_respects_quotes)
{
	struct str rest = STR(" a , ,\"b,\\\",c\";q=1,,\td\t,"), e;

	cr_assert(http_list_next(&rest, &e));
	cr_str(e, "a");
	cr_assert(http_list_next(&rest, &e));
	cr_str(e, "\"b,\\\",c\";q=1");
	cr_assert(http_list_next(&rest, &e));
	cr_str(e, "d");
	cr_assert_not(http_list_next(&rest, &e));
}

Test(http_list, an_open_quote_reaches_to_the_end)
{
	struct str rest = STR("\"a,b\\"), e;

	cr_assert(http_list_next(&rest, &e));
	cr_str(e, "\"a,b\\");
	cr_assert_not(http_list_next(&rest, &e));
	rest = STR("a\\,b");
	cr_assert(http_list_next(&rest, &e));
	cr_str(e, "a\\"); /* outside of quotes it is a byte like others */
	cr_assert(http_list_has(STR("a, B"), STR("b")));
	cr_assert_not(http_list_has(STR("a, Bc"), STR("b")));
}

Test(http_meth, is_case_sensitive)
{
	cr_assert_eq(http_meth_parse(STR("GET")), HTTP_METH_GET);
	cr_assert_eq(http_meth_parse(STR("PATCH")), HTTP_METH_PATCH);
	cr_assert_eq(http_meth_parse(STR("get")), HTTP_METH_OTHER);
	cr_assert_eq(http_meth_parse(STR("")), HTTP_METH_OTHER);
}

Test(http_token, is_made_of_tchar_only)
{
	const char *tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	cr_assert(http_token_ok(str_c(tchar)));
	cr_assert_not(http_token_ok(STR("")));
	for (int c = 0; c < 256; c++) {
		char b = (char)c;

		cr_assert_eq(http_token_ok(str_n(&b, 1)), c && strchr(tchar, c), "byte %d", c);
	}
}

Test(http_reason, has_a_phrase_for_every_status)
{
	cr_assert_str_eq(http_reason(404), "Not Found");
	cr_assert_str_eq(http_reason(299), "Success");
	cr_assert_str_eq(http_reason(777), "Other");
}
