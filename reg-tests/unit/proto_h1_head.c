/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * proto_h1_head.c - heads of HTTP/1 messages: what is taken, what is refused and why
 *
 * Each message of the tables is given whole, and again in two parts split at every byte: the answer must be the
 * same. Bytes lie in memory of exactly their size, so that ASan sees a read past them.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/h1.h"

#define MAX_HDR 16
#define H       "Host: a\r\n"

/* A message on the heap; strings with NUL bytes inside are given by their array. */
#define MSG(lit)                                                                                             \
	{                                                                                                    \
		"" lit, sizeof(lit) - 1                                                                      \
	}

struct reject {
	struct {
		const char *p;
		size_t n;
	} msg;
	enum h1_err err;
};

static struct http_hdr slots[MAX_HDR];
static struct http_head head;

static char *exact(const char *p, size_t n)
{
	char *m = malloc(n ? n : 1);

	memcpy(m, p, n);
	return m;
}

static ssize_t parse_at(struct h1_scan *sc, const char *p, size_t n, bool response, size_t *pos)
{
	head = (struct http_head){ .hdr = slots, .max_hdr = MAX_HDR, .is_response = response };
	return h1_head_parse(sc, p, n, &head, pos);
}

/* As if it came in two segments, the first of <cut> bytes: the first answer that is not "more". */
static ssize_t parse_split(const char *msg, size_t n, size_t cut, bool response, size_t *pos)
{
	struct h1_scan sc = { 0 };
	char *first = exact(msg, cut), *all;
	ssize_t r = parse_at(&sc, first, cut, response, pos);

	free(first);
	if (r)
		return r;
	all = exact(msg, n);
	r = parse_at(&sc, all, n, response, pos);
	free(all);
	return r;
}

static void expect_reject(const struct reject *t, bool response)
{
	size_t pos, whole_pos = 0;

	for (size_t cut = t->msg.n + 1; cut-- > 0;) {
		ssize_t r = parse_split(t->msg.p, t->msg.n, cut, response, &pos);

		cr_assert_eq(r, -(ssize_t)t->err, "\"%s\" cut at %zu: %zd (%s), expected %s", t->msg.p, cut, r,
			     r < 0 ? h1_err_name((enum h1_err)-r) : "taken", h1_err_name(t->err));
		if (cut == t->msg.n)
			whole_pos = pos;
		cr_assert_eq(pos, whole_pos, "\"%s\" cut at %zu: position %zu, whole %zu", t->msg.p, cut, pos, whole_pos);
		cr_assert_leq(pos, t->msg.n);
	}
}

/* Parses a valid message, also split at every byte; <tail> bytes after the head are not part of it. Leaves the
 * head of the last parse in <head>, over the literal. */
static void expect_accept(const char *msg, size_t tail, bool response)
{
	size_t n = strlen(msg), pos;
	struct h1_scan sc = { 0 };

	for (size_t cut = 0; cut <= n; cut++) {
		ssize_t r = parse_split(msg, n, cut, response, &pos);

		cr_assert_eq(r, (ssize_t)(n - tail), "\"%s\" cut at %zu: %zd (%s)", msg, cut, r,
			     r < 0 ? h1_err_name((enum h1_err)-r) : "length");
	}
	cr_assert_eq(parse_at(&sc, msg, n, response, &pos), (ssize_t)(n - tail));
	cr_assert_eq(head.len, n - tail);
}

#define cr_str(s, lit) cr_assert(str_eq(s, STR(lit)), "\"%.*s\", expected \"%s\"", STR_ARG(s), lit)

/* ---- requests ---- */

Test(h1_request, a_plain_request_gives_its_parts)
{
	expect_accept("GET /a/b?c=d HTTP/1.1\r\nHost: example.org\r\nX-Case:  kept as is \t\r\nEmpty:\r\n\r\n", 0, false);
	cr_str(head.method, "GET");
	cr_assert_eq(head.meth, HTTP_METH_GET);
	cr_str(head.uri, "/a/b?c=d");
	cr_assert_eq(head.minor, 1);
	cr_assert_eq(head.nb_hdr, 3);
	cr_str(head.hdr[1].name, "X-Case");
	cr_str(head.hdr[1].value, "kept as is");
	cr_str(head.hdr[2].value, "");
	cr_assert_eq(head.flags, HTTP_F_HOST);
}

Test(h1_request, what_follows_the_head_is_left)
{
	expect_accept("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 5, false);
	cr_assert_eq(head.flags, HTTP_F_HOST | HTTP_F_CLEN);
	cr_assert_eq(head.clen, 5);
}

Test(h1_request, empty_lines_before_it_belong_to_its_length)
{
	expect_accept("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 0, false);
	cr_str(head.method, "GET");
}

Test(h1_request, http_1_0_needs_no_host)
{
	expect_accept("GET / HTTP/1.0\r\n\r\n", 0, false);
	cr_assert_eq(head.minor, 0);
	cr_assert_eq(head.nb_hdr, 0);
}

Test(h1_request, a_later_minor_is_read_as_1_1)
{
	expect_accept("GET / HTTP/1.7\r\n" H "\r\n", 0, false);
	cr_assert_eq(head.minor, 1);
}

Test(h1_request, all_forms_of_targets_are_taken)
{
	static const char *const ok[] = {
		"OPTIONS * HTTP/1.1\r\n" H "\r\n",
		"OPTIONS / HTTP/1.1\r\n" H "\r\n",
		"GET http://a/x HTTP/1.1\r\n" H "\r\n",
		"GET http://A:80/x HTTP/1.1\r\n" H "\r\n",
		"GET http://a HTTP/1.1\r\nHost: a:80\r\n\r\n",
		"GET http://a: HTTP/1.1\r\nHost: a:80\r\n\r\n",
		"GET https://a:443/ HTTP/1.1\r\n" H "\r\n",
		"GET http://[2001:db8::1]:8080/ HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n",
		"GET http://a?q HTTP/1.1\r\n" H "\r\n",
		"CONNECT a:443 HTTP/1.1\r\n" H "\r\n",
		"CONNECT a:80 HTTP/1.1\r\n" H "\r\n",
		"CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\n\r\n",
		"CONNECT [::1]:22 HTTP/1.1\r\nHost: [::1]:22\r\n\r\n",
		"CONNECT a:22 HTTP/1.1\r\nHost: a:22\r\nContent-Length: 0\r\n\r\n",
		"GET /\"<>\\^`{|}~%zz HTTP/1.1\r\n" H "\r\n",
		"M-SEARCH / HTTP/1.1\r\n" H "\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a_b.example:8080\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ok); i++)
		expect_accept(ok[i], 0, false);
}

Test(h1_request, connection_tokens_are_found_in_any_line)
{
	expect_accept("GET / HTTP/1.1\r\n" H "Connection: foo, Keep-Alive\r\nUpgrade: websocket\r\n"
		      "connection: ,UPGRADE,,close\r\n\r\n", 0, false);
	cr_assert_eq(head.flags, HTTP_F_HOST | HTTP_F_CONN_KAL | HTTP_F_CONN_CLOSE | HTTP_F_CONN_UPG);
}

Test(h1_request, upgrade_needs_both_headers_and_1_1)
{
	expect_accept("GET / HTTP/1.1\r\n" H "Connection: upgrade\r\n\r\n", 0, false);
	cr_assert_not(head.flags & HTTP_F_CONN_UPG);
	expect_accept("GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\n\r\n", 0, false);
	cr_assert_not(head.flags & HTTP_F_CONN_UPG);
	expect_accept("GET / HTTP/1.0\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 0, false);
	cr_assert_not(head.flags & HTTP_F_CONN_UPG);
}

Test(h1_request, expect_is_noticed_but_not_from_1_0)
{
	expect_accept("PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 0, false);
	cr_assert(head.flags & HTTP_F_EXPECT_100);
	expect_accept("PUT / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", 0, false);
	cr_assert_not(head.flags & HTTP_F_EXPECT_100);
}

Test(h1_request, equal_content_lengths_are_made_one)
{
	expect_accept("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\nX: y\r\nContent-length: 05\r\n\r\n", 0, false);
	cr_assert_eq(head.clen, 5);
	cr_assert_eq(head.nb_hdr, 3);
	cr_str(head.hdr[1].value, "5");
	cr_str(head.hdr[2].name, "X");
	cr_assert(head.flags & HTTP_F_FIXED);
}

Test(h1_request, lengths_reach_to_2_63)
{
	expect_accept("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775799\r\n\r\n", 0, false);
	cr_assert_eq(head.clen, 9223372036854775799u);
}

Test(h1_request, codings_are_read_without_case)
{
	expect_accept("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \tChunked \r\n\r\n", 0, false);
	cr_assert_eq(head.flags, HTTP_F_HOST | HTTP_F_CHUNKED);
	expect_accept("POST / HTTP/1.1\r\n" H "TRANSFER-encoding: gzip ,chunked\r\n\r\n", 0, false);
	cr_assert_eq(head.flags, HTTP_F_HOST | HTTP_F_CHUNKED);
}

/* ---- requests that are refused ---- */

#define POST_(hdrs) MSG("POST / HTTP/1.1\r\n" H hdrs "\r\n")
#define GET_(hdrs)  MSG("GET / HTTP/1.1\r\n" hdrs "\r\n")

static const struct reject bad_lengths[] = {
	/* CL.CL */
	{ POST_("Content-Length: 5\r\nContent-Length: 6\r\n"), H1_E_CLEN_CONFLICT },
	{ POST_("Content-Length: 5, 6\r\n"), H1_E_CLEN_CONFLICT },
	{ POST_("Content-Length: 5, 5\r\ncontent-length: 6\r\n"), H1_E_CLEN_CONFLICT },
	/* what strtol() and friends would take */
	{ POST_("Content-Length: +5\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: -5\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 0x5\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 5 5\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 5.0\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 5;6\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: \"5\"\r\n"), H1_E_CLEN },
	{ POST_("Content-Length:\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: ,5\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 5,\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: five\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 9223372036854775808\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 18446744073709551616\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 18446744073709551621\r\n"), H1_E_CLEN },
	{ POST_("Content-Length: 99999999999999999999999999999999999\r\n"), H1_E_CLEN },
	/* CL.TE, TE.CL */
	{ POST_("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), H1_E_TE_CLEN },
	{ POST_("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), H1_E_TE_CLEN },
	{ POST_("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), H1_E_TE_CLEN },
	/* TE.TE: one of them hidden from one of two parties */
	{ POST_("Transfer-Encoding: xchunked\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chunkedx\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chunked;a=b\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: \"chunked\"\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: identity\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: identity, chunked\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chunked, identity\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chunked, chunked\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chunked,\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: ,chunked\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chunked, gzip\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: gzip\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding:\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chun ked\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), H1_E_TE },
	{ POST_("Transfer-Encoding: \x0b" "chunked\r\n"), H1_E_HDR_VALUE },
	{ POST_("Transfer-Encoding: chunked\x0c\r\n"), H1_E_HDR_VALUE },
	{ POST_("Transfer-Encoding : chunked\r\n"), H1_E_HDR_NAME },
	{ POST_("Transfer-Encoding\t: chunked\r\n"), H1_E_HDR_NAME },
	{ POST_("Transfer-Encoding:\r\n chunked\r\n"), H1_E_TE },
	{ POST_("X: y\r\n Transfer-Encoding: chunked\r\n"), H1_E_FOLD },
	{ POST_("X: y\rTransfer-Encoding: chunked\r\n"), H1_E_BARE_CR },
	{ POST_("X: y\nTransfer-Encoding: chunked\r\n"), H1_E_BARE_LF },
	{ MSG("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), H1_E_TE_10 },
	{ MSG("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), H1_E_TE_10 },
	{ MSG("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\n"), H1_E_CLEN },
	{ MSG("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n"), H1_E_TE },
};

Test(h1_smuggling, lengths_that_can_be_read_in_two_ways_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_lengths); i++)
		expect_reject(&bad_lengths[i], false);
}

static const struct reject bad_lines[] = {
	{ MSG("GET / HTTP/1.1\nHost: a\n\n"), H1_E_BARE_LF },
	{ MSG("GET / HTTP/1.1\r\nHost: a\n\r\n"), H1_E_BARE_LF },
	{ MSG("GET / HTTP/1.1\r\nHost: a\r\n\n"), H1_E_BARE_LF },
	{ MSG("GET / HTTP/1.1\r\n\n"), H1_E_BARE_LF },
	{ MSG("\nGET / HTTP/1.1\r\n" H "\r\n"), H1_E_BARE_LF },
	{ MSG("\rGET / HTTP/1.1\r\n" H "\r\n"), H1_E_BARE_CR },
	{ MSG("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), H1_E_EMPTY_LINES },
	{ GET_(H "X: a\rb\r\n"), H1_E_BARE_CR },
	{ GET_(H "X: a\r\r\n"), H1_E_BARE_CR },
	{ GET_(H "X: a\0b\r\n"), H1_E_NUL },
	{ GET_(H "X\0: a\r\n"), H1_E_NUL },
	{ GET_(H "X: a\x01\r\n"), H1_E_HDR_VALUE },
	{ GET_(H "X: a\x7f\r\n"), H1_E_HDR_VALUE },
	{ GET_(H "X: a\x1b[0m\r\n"), H1_E_HDR_VALUE },
	{ GET_(H "X: a\r\n\tb\r\n"), H1_E_FOLD },
	{ GET_(H "X: a\r\n b\r\n"), H1_E_FOLD },
	{ GET_(H "X: a\r\n \r\n"), H1_E_FOLD },
	{ GET_(" X: a\r\n" H), H1_E_FOLD },
	{ GET_(H ": a\r\n"), H1_E_HDR_NAME },
	{ GET_(H "X : a\r\n"), H1_E_HDR_NAME },
	{ GET_(H "X Y: a\r\n"), H1_E_HDR_NAME },
	{ GET_(H "X\r\n"), H1_E_BARE_CR },
	{ GET_(H "(X): a\r\n"), H1_E_HDR_NAME },
	{ GET_(H "X\xc3\xa9: a\r\n"), H1_E_HDR_NAME },
	{ GET_(H "\"X\": a\r\n"), H1_E_HDR_NAME },
	{ GET_(H "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n10:\r\n11:\r\n12:\r\n13:\r\n14:\r\n15:\r\n16:\r\n"),
	  H1_E_HDR_COUNT },
};

Test(h1_request, broken_lines_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_lines); i++)
		expect_reject(&bad_lines[i], false);
}

static const struct reject bad_starts[] = {
	{ MSG(" GET / HTTP/1.1\r\n" H "\r\n"), H1_E_METHOD },
	{ MSG("GET\t/ HTTP/1.1\r\n" H "\r\n"), H1_E_METHOD },
	{ MSG("GET\r\n\r\n"), H1_E_METHOD },
	{ MSG("G(T / HTTP/1.1\r\n\r\n"), H1_E_METHOD },
	{ MSG("G\0T / HTTP/1.1\r\n\r\n"), H1_E_METHOD },
	{ MSG("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n\r\n"), H1_E_METHOD },
	{ MSG("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), H1_E_METHOD },
	{ MSG("GET  / HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("GET \r\n\r\n"), H1_E_URI },
	{ MSG("GET /\x01 HTTP/1.1\r\n\r\n"), H1_E_URI },
	{ MSG("GET /a#b HTTP/1.1\r\n\r\n"), H1_E_URI },
	{ MSG("GET /\xc3\xa9 HTTP/1.1\r\n\r\n"), H1_E_URI },
	{ MSG("GET /\t HTTP/1.1\r\n\r\n"), H1_E_URI },
	{ MSG("GET /\0 HTTP/1.1\r\n\r\n"), H1_E_NUL },
	{ MSG("GET /\rX HTTP/1.1\r\n\r\n"), H1_E_BARE_CR },
	{ MSG("GET a HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("GET * HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("OPTIONS *x HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"), H1_E_URI },
	{ MSG("GET ://a/ HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("GET http:///x HTTP/1.1\r\nHost:\r\n\r\n"), H1_E_URI },
	{ MSG("GET http://u@a/ HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("GET http://a:b/ HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("CONNECT / HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("CONNECT a HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("CONNECT a: HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("CONNECT :80 HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("CONNECT http://a:80/ HTTP/1.1\r\n" H "\r\n"), H1_E_URI },
	{ MSG("GET /\r\n\r\n"), H1_E_VERSION },
	{ MSG("GET / \r\n\r\n"), H1_E_VERSION },
	{ MSG("GET /  HTTP/1.1\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/1.1 \r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/1.1x\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/1.10\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/01.1\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/1.\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/1\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / http/1.1\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/0.9\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/2.0\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / HTTP/1,1\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("GET / ICY/1.1\r\n" H "\r\n"), H1_E_VERSION },
	{ MSG("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), H1_E_VERSION },
};

Test(h1_request, broken_request_lines_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_starts); i++)
		expect_reject(&bad_starts[i], false);
}

static const struct reject bad_hosts[] = {
	{ GET_("X: a\r\n"), H1_E_HOST },
	{ MSG("GET http://a/ HTTP/1.1\r\n\r\n"), H1_E_HOST },
	{ GET_("Host: a\r\nHost: a\r\n"), H1_E_HOST },
	{ GET_("Host: a\r\nhost: b\r\n"), H1_E_HOST },
	{ MSG("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), H1_E_HOST },
	{ GET_("Host: a b\r\n"), H1_E_HOST },
	{ GET_("Host: a/b\r\n"), H1_E_HOST },
	{ GET_("Host: a@b\r\n"), H1_E_HOST },
	{ GET_("Host: a:80x\r\n"), H1_E_HOST },
	{ GET_("Host: a:80:81\r\n"), H1_E_HOST },
	{ GET_("Host: [::1\r\n"), H1_E_HOST },
	{ GET_("Host: [::1]x\r\n"), H1_E_HOST },
	{ GET_("Host: ::1\r\n"), H1_E_HOST },
	{ GET_("Host: a\xff\r\n"), H1_E_HOST },
	{ MSG("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), H1_E_HOST_CONFLICT },
	{ MSG("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"), H1_E_HOST_CONFLICT },
	{ MSG("GET http://a:443/ HTTP/1.1\r\nHost: a\r\n\r\n"), H1_E_HOST_CONFLICT },
	{ MSG("GET https://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n"), H1_E_HOST_CONFLICT },
	{ MSG("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"), H1_E_HOST_CONFLICT },
	{ MSG("GET http://a?@b HTTP/1.1\r\nHost: b\r\n\r\n"), H1_E_HOST_CONFLICT },
	{ MSG("CONNECT a:443 HTTP/1.1\r\nHost: b\r\n\r\n"), H1_E_HOST_CONFLICT },
	{ MSG("CONNECT a:22 HTTP/1.1\r\nHost: a\r\n\r\n"), H1_E_HOST_CONFLICT },
	{ MSG("CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n"), H1_E_HOST_CONFLICT },
};

Test(h1_smuggling, hosts_that_differ_or_repeat_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_hosts); i++)
		expect_reject(&bad_hosts[i], false);
}

Test(h1_request, the_position_of_an_error_is_told)
{
	struct h1_scan sc = { 0 };
	const char *msg = "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01\r\n\r\n";
	size_t pos = 0;

	cr_assert_eq(parse_at(&sc, msg, strlen(msg), false, &pos), -H1_E_HDR_VALUE);
	cr_assert_eq(pos, 29);
	sc = (struct h1_scan){ 0 };
	cr_assert_eq(parse_at(&sc, msg, strlen(msg), false, NULL), -H1_E_HDR_VALUE);
}

Test(h1_request, no_byte_is_searched_twice)
{
	struct h1_scan sc = { 0 };
	const char *msg = "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789";

	cr_assert_eq(parse_at(&sc, msg, strlen(msg), false, NULL), 0);
	cr_assert_eq(sc.seen, strlen(msg));
	cr_assert_eq(sc.line, 16);
}

/* ---- responses ---- */

Test(h1_response, a_plain_response_gives_its_parts)
{
	expect_accept("HTTP/1.1 404 Not \t\xe9 Found\r\nContent-Length: 3\r\n\r\nabc", 3, true);
	cr_assert_eq(head.status, 404);
	cr_str(head.reason, "Not \t\xe9 Found");
	cr_assert_eq(head.clen, 3);
}

Test(h1_response, the_reason_may_be_empty_or_missing)
{
	expect_accept("HTTP/1.1 200 \r\n\r\n", 0, true);
	cr_str(head.reason, "");
	expect_accept("HTTP/1.0 200\r\n\r\n", 0, true);
	cr_assert_eq(head.minor, 0);
	cr_assert_eq(head.status, 200);
}

Test(h1_response, several_hosts_in_a_response_mean_nothing)
{
	expect_accept("HTTP/1.1 200 OK\r\nHost: a b\r\nHost: c\r\n\r\n", 0, true);
}

static const struct reject bad_responses[] = {
	{ MSG("\r\nHTTP/1.1 200 OK\r\n\r\n"), H1_E_VERSION },
	{ MSG("HTTP/2.0 200 OK\r\n\r\n"), H1_E_VERSION },
	{ MSG("HTTP/1.x 200 OK\r\n\r\n"), H1_E_VERSION },
	{ MSG("HTTP/1.1\r\n\r\n"), H1_E_VERSION },
	{ MSG("ICY 200 OK\r\n\r\n"), H1_E_VERSION },
	{ MSG("HTTP/1.1  200 OK\r\n\r\n"), H1_E_STATUS },
	{ MSG("HTTP/1.1 20 OK\r\n\r\n"), H1_E_STATUS },
	{ MSG("HTTP/1.1 2000 OK\r\n\r\n"), H1_E_STATUS },
	{ MSG("HTTP/1.1 099 OK\r\n\r\n"), H1_E_STATUS },
	{ MSG("HTTP/1.1 2x0 OK\r\n\r\n"), H1_E_STATUS },
	{ MSG("HTTP/1.1 200OK\r\n\r\n"), H1_E_STATUS },
	{ MSG("HTTP/1.1 \r\n\r\n"), H1_E_STATUS },
	{ MSG("HTTP/1.1 200 O\x01K\r\n\r\n"), H1_E_REASON },
	{ MSG("HTTP/1.1 200 O\rK\r\n\r\n"), H1_E_BARE_CR },
	{ MSG("HTTP/1.1 200 O\0K\r\n\r\n"), H1_E_NUL },
	{ MSG("HTTP/1.1 200 OK\n\n"), H1_E_BARE_LF },
	{ MSG("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), H1_E_TE_CLEN },
	{ MSG("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), H1_E_TE_10 },
	{ MSG("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), H1_E_TE },
	{ MSG("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), H1_E_CLEN_CONFLICT },
	{ MSG("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), H1_E_FOLD },
};

Test(h1_response, broken_responses_are_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_responses); i++)
		expect_reject(&bad_responses[i], true);
}

/* ---- a guess, writing ---- */

Test(h1_guess, requests_look_like_requests)
{
	static const char *const yes[] = {
		"GET /",      "GET / HTTP/1.1\r\n",      "\r\n\nGET /",   "get /",    "GET http://a", "POST\t/",
		"GET /\r\n",  "BREW pot HTTP/1.1\r\n",   "GET x HTTP/1.", "X / HTTP/", " GET /",
	};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		cr_assert_eq(h1_looks_like_request(yes[i], strlen(yes[i])), 1, "\"%s\"", yes[i]);
}

Test(h1_guess, other_protocols_do_not)
{
	static const struct {
		const char *p;
		size_t n;
	} no[] = { MSG("\x16\x03\x01\x02\x00"), MSG("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), MSG("EHLO example.org\r\n"),
		   MSG("*1\r\n$4\r\nPING\r\n"), MSG("GET foo\r\n"), MSG("\0\0\0\x08\x04\xd2\x16\x2f"),
		   MSG("USER a b c :d\r\n"), MSG("\x10\x0e\x00\x04MQTT") };

	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		cr_assert_eq(h1_looks_like_request(no[i].p, no[i].n), 0, "%zu: \"%s\"", i, no[i].p);
}

Test(h1_guess, too_few_bytes_leave_it_open)
{
	static const char *const open[] = { "", "G", "GET", "GET ", "\r\n", "EHLO ", "GET foo" };

	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		cr_assert_eq(h1_looks_like_request(open[i], strlen(open[i])), -1, "\"%s\"", open[i]);
}

Test(h1_write, a_parsed_head_is_written_as_it_was)
{
	const char *msg = "GET /a HTTP/1.1\r\nHost: a\r\nX-y: z z\r\nE: \r\n\r\n";
	char area[256];
	struct buf out;

	expect_accept(msg, 0, false);
	buf_wrap(&out, area, sizeof(area));
	cr_assert(h1_head_write(&head, &out));
	cr_assert(str_eq(buf_str(&out), str_c(msg)));

	msg = "HTTP/1.0 204 \r\nA: b\r\n\r\n";
	expect_accept(msg, 0, true);
	buf_reset(&out);
	cr_assert(h1_head_write(&head, &out));
	cr_assert(str_eq(buf_str(&out), str_c(msg)));
}

Test(h1_write, all_of_it_is_written_or_nothing)
{
	const char *msg = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
	size_t n = strlen(msg);
	char area[64];
	struct buf out;

	expect_accept(msg, 0, true);
	buf_wrap(&out, area, n - 1);
	cr_assert_not(h1_head_write(&head, &out));
	cr_assert_eq(out.data, 0);
	buf_wrap(&out, area, n);
	out.head = 5; /* room only after moving */
	cr_assert(h1_head_write(&head, &out));
	cr_assert(str_eq(buf_str(&out), str_c(msg)));
}

Test(h1_error, each_has_a_name)
{
	for (int e = 0; e < H1_E_COUNT; e++)
		cr_assert_not_null(h1_err_name((enum h1_err)e));
	cr_assert_str_eq(h1_err_name((enum h1_err)1000), "unknown error");
}
