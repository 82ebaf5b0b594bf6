/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * proto_h1_body.c - where bodies end
 *
 * Each body is fed whole, cut at every byte, and (the valid ones) in random pieces: the same bytes must be taken.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/h1.h"

static struct h1_body fresh(uint32_t flags, uint64_t clen)
{
	struct http_head head = { .flags = flags, .clen = clen };
	struct h1_body b;

	h1_body_init_req(&b, &head);
	return b;
}

static struct h1_body chunked(void)
{
	return fresh(HTTP_F_CHUNKED, 0);
}

/* From memory of exactly its size. */
static ssize_t feed(struct h1_body *b, const char *p, size_t n)
{
	char *m = malloc(n ? n : 1);
	ssize_t r;

	memcpy(m, p, n);
	r = h1_body_feed(b, m, n);
	free(m);
	return r;
}

/* In two pieces. Returns the bytes taken, or the error. */
static ssize_t feed_cut(struct h1_body *b, const char *p, size_t n, size_t cut)
{
	ssize_t first = feed(b, p, cut), second;

	if (first < 0)
		return first;
	if (!b->done)
		cr_assert_eq(first, (ssize_t)cut, "all is taken while a body goes on");
	second = feed(b, p + first, n - (size_t)first);
	return second < 0 ? second : first + second;
}

static const struct {
	const char *p;
	size_t tail; /* bytes that are not of the body */
} good[] = {
	{ "0\r\n\r\n", 0 },
	{ "0\r\n\r\nGET / HTTP/1.1\r\n", 16 },
	{ "5\r\nhello\r\n0\r\n\r\n", 0 },
	{ "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", 0 },
	{ "9\r\n012345678\r\nf\r\n0123456789abcde\r\n0\r\n\r\n", 0 },
	{ "0000000000000005\r\nhello\r\n0000\r\n\r\n", 0 },
	{ "5\r\n\r\n0\r\n\r\n0\r\n\r\n", 0 },
	{ "5;a\r\nhello\r\n0;b=c\r\n\r\n", 0 },
	{ "5 ; a=\"b;c\" \t;d\r\nhello\r\n0\r\n\r\n", 0 },
	{ "5;\r\nhello\r\n0\r\n\r\n", 0 },
	{ "5 \t\r\nhello\r\n0 \r\n\r\n", 0 },
	{ "0\r\nX-Sum: 1\r\ny:\r\n\r\nrest", 4 },
	{ "0\r\ngrpc-status: 0\r\ngrpc-message: a\tb \xff\r\n\r\n", 0 },
	{ "0\r\nHosts: x\r\nHos: y\r\n\r\n", 0 },
};

Test(h1_chunked, ends_where_the_last_chunk_and_the_trailers_end)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		size_t n = strlen(good[i].p);

		for (size_t cut = 0; cut <= n; cut++) {
			struct h1_body b = chunked();

			cr_assert_eq(feed_cut(&b, good[i].p, n, cut), (ssize_t)(n - good[i].tail), "\"%s\" cut at %zu",
				     good[i].p, cut);
			cr_assert(b.done);
		}
	}
}

Test(h1_chunked, ends_at_the_same_byte_however_it_is_cut)
{
	srand(20);
	for (int round = 0; round < 5000; round++) {
		size_t i = (size_t)rand() % ARRAY_SIZE(good), n = strlen(good[i].p), off = 0;
		struct h1_body b = chunked();

		while (off < n && !b.done) {
			size_t part = 1 + (size_t)rand() % 7;
			ssize_t r = feed(&b, good[i].p + off, MIN(part, n - off));

			cr_assert_geq(r, 0);
			off += (size_t)r;
		}
		cr_assert(b.done);
		cr_assert_eq(off, n - good[i].tail);
	}
}

#define BAD(lit, e)                                                                                          \
	{                                                                                                    \
		"" lit, sizeof(lit) - 1, e                                                                   \
	}

static const struct {
	const char *p;
	size_t n;
	enum h1_err err;
} bad[] = {
	/* sizes */
	BAD("\r\n", H1_E_CHUNK_SIZE),
	BAD(" 5\r\n", H1_E_CHUNK_SIZE),
	BAD("+5\r\n", H1_E_CHUNK_SIZE),
	BAD("-5\r\n", H1_E_CHUNK_SIZE),
	BAD("0x5\r\n", H1_E_CHUNK_SIZE),
	BAD("5g\r\n", H1_E_CHUNK_SIZE),
	BAD("5 5\r\n", H1_E_CHUNK_SIZE),
	BAD("5,5\r\n", H1_E_CHUNK_SIZE),
	BAD(";a\r\n", H1_E_CHUNK_SIZE),
	BAD("\0" "5\r\n", H1_E_NUL),
	BAD("5\0\r\n", H1_E_NUL),
	BAD("8000000000000000\r\n", H1_E_CHUNK_SIZE),
	BAD("ffffffffffffffff\r\n", H1_E_CHUNK_SIZE),
	BAD("10000000000000005\r\n", H1_E_CHUNK_SIZE),
	BAD("00000000000000005\r\n", H1_E_CHUNK_SIZE),
	BAD("fffffffffffffffffffffffffffffffff\r\n", H1_E_CHUNK_SIZE),
	/* line ends: what TERM.EXT, EXT.TERM and their kin are made of */
	BAD("5\nhello", H1_E_BARE_LF),
	BAD("5\rhello", H1_E_BARE_CR),
	BAD("5\r\rhello", H1_E_BARE_CR),
	BAD("5;\nxx\r\n", H1_E_BARE_LF),
	BAD("5;a\nb\r\n", H1_E_BARE_LF),
	BAD("5;a\rb\r\n", H1_E_BARE_CR),
	BAD("5 \n", H1_E_BARE_LF),
	BAD("0\n\r\n", H1_E_BARE_LF),
	BAD("0\r\n\n", H1_E_BARE_LF),
	BAD("0\r\n\rx", H1_E_BARE_CR),
	/* extensions */
	BAD("5;a\x01\r\n", H1_E_CHUNK_EXT),
	BAD("5;a\x7f\r\n", H1_E_CHUNK_EXT),
	BAD("5;\0\r\n", H1_E_NUL),
	/* the end of a chunk's data */
	BAD("5\r\nhelloo\r\n", H1_E_CHUNK_END),
	BAD("5\r\nhello0\r\n\r\n", H1_E_CHUNK_END),
	BAD("5\r\nhello\n0\r\n\r\n", H1_E_CHUNK_END),
	BAD("5\r\nhello\rx", H1_E_CHUNK_END),
	BAD("5\r\nhello  0\r\n", H1_E_CHUNK_END),
	/* trailers */
	BAD("0\r\n a: b\r\n\r\n", H1_E_FOLD),
	BAD("0\r\na: b\r\n c\r\n\r\n", H1_E_FOLD),
	BAD("0\r\n: b\r\n\r\n", H1_E_HDR_NAME),
	BAD("0\r\na : b\r\n\r\n", H1_E_HDR_NAME),
	BAD("0\r\na\r\n\r\n", H1_E_HDR_NAME),
	BAD("0\r\na: b\nc: d\r\n\r\n", H1_E_BARE_LF),
	BAD("0\r\na: b\rc: d\r\n\r\n", H1_E_BARE_CR),
	BAD("0\r\na: b\x01\r\n\r\n", H1_E_HDR_VALUE),
	BAD("0\r\na: \0\r\n\r\n", H1_E_NUL),
	BAD("0\r\nContent-Length: 5\r\n\r\n", H1_E_TRAILER),
	BAD("0\r\nTRANSFER-ENCODING: chunked\r\n\r\n", H1_E_TRAILER),
	BAD("0\r\na: b\r\nhost: x\r\n\r\n", H1_E_TRAILER),
	BAD("0\r\nAuthorization: x\r\n\r\n", H1_E_TRAILER),
};

Test(h1_chunked, what_can_be_read_in_two_ways_is_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (size_t cut = 0; cut <= bad[i].n; cut++) {
			struct h1_body b = chunked();
			ssize_t r = feed_cut(&b, bad[i].p, bad[i].n, cut);

			cr_assert_eq(r, -(ssize_t)bad[i].err, "\"%s\" cut at %zu: %zd (%s), expected %s", bad[i].p, cut, r,
				     r < 0 ? h1_err_name((enum h1_err)-r) : "taken", h1_err_name(bad[i].err));
		}
	}
}

Test(h1_chunked, takes_sizes_up_to_2_63)
{
	struct h1_body b = chunked();

	cr_assert_eq(feed(&b, "7fffffffffffffff\r\nx", 19), 19);
	cr_assert_eq(h1_body_blind(&b), (uint64_t)INT64_MAX - 1);
	cr_assert_eq(h1_body_feed(&b, NULL, 1u << 30), 1 << 30);
}

/* Feeds <n> times <c> between <before> and <after>. */
static ssize_t feed_long(const char *before, char c, size_t n, const char *after)
{
	struct h1_body b = chunked();
	ssize_t r = feed(&b, before, strlen(before));

	while (r >= 0 && n--)
		r = feed(&b, &c, 1);
	return r < 0 ? r : feed(&b, after, strlen(after));
}

Test(h1_chunked, size_lines_and_trailers_are_bounded)
{
	cr_assert_eq(feed_long("5;", 'x', H1_MAX_CHUNK_LINE - 3, "\r\n"), 2);
	cr_assert_eq(feed_long("5;", 'x', H1_MAX_CHUNK_LINE - 2, "\r\n"), -H1_E_TOO_LONG);
	cr_assert_eq(feed_long("5", ' ', 100000, "\r\n"), -H1_E_TOO_LONG);
	cr_assert_eq(feed_long("0\r\na:", 'x', H1_MAX_TRAILERS - 3, "\r\n"), 2);
	cr_assert_eq(feed_long("0\r\na:", 'x', H1_MAX_TRAILERS - 2, "\r\n"), -H1_E_TOO_LONG);
	cr_assert_eq(feed_long("0\r\n", 'x', 100000, ""), -H1_E_TOO_LONG);
}

Test(h1_chunked, many_small_trailer_lines_are_bounded_too)
{
	struct h1_body b = chunked();
	ssize_t r = feed(&b, "0\r\n", 3);

	for (int i = 0; i < 3000 && r >= 0; i++)
		r = feed(&b, "a:\r\n", 4);
	cr_assert_eq(r, -H1_E_TOO_LONG);
}

Test(h1_chunked, takes_nothing_when_it_is_done)
{
	struct h1_body b = chunked();

	feed(&b, "0\r\n\r\n", 5);
	cr_assert_eq(feed(&b, "x", 1), 0);
	cr_assert_eq(h1_body_blind(&b), 0);
}

Test(h1_length, takes_its_bytes_and_no_more)
{
	struct h1_body b = fresh(HTTP_F_CLEN, 5);

	cr_assert_eq(feed(&b, "abc", 3), 3);
	cr_assert_eq(h1_body_blind(&b), 2);
	cr_assert_not(b.done);
	cr_assert_eq(feed(&b, "deGET", 5), 2);
	cr_assert(b.done);
	b = fresh(HTTP_F_CLEN, 0);
	cr_assert(b.done);
}

Test(h1_body, requests_without_length_have_none)
{
	struct h1_body b = fresh(0, 0);

	cr_assert_eq(b.kind, H1_BODY_NONE);
	cr_assert(b.done);
	cr_assert_eq(feed(&b, "x", 1), 0);
}

/* RFC 9112 6.3 */
Test(h1_body, responses_have_the_body_that_status_and_method_say)
{
	static const struct {
		uint16_t status;
		enum http_meth meth;
		uint32_t flags;
		enum h1_body_kind kind;
	} t[] = {
		{ 200, HTTP_METH_GET, HTTP_F_CLEN, H1_BODY_LENGTH },
		{ 200, HTTP_METH_GET, HTTP_F_CHUNKED, H1_BODY_CHUNKED },
		{ 200, HTTP_METH_GET, 0, H1_BODY_CLOSE },
		{ 200, HTTP_METH_HEAD, HTTP_F_CLEN, H1_BODY_NONE },
		{ 200, HTTP_METH_HEAD, HTTP_F_CHUNKED, H1_BODY_NONE },
		{ 404, HTTP_METH_HEAD, 0, H1_BODY_NONE },
		{ 100, HTTP_METH_GET, HTTP_F_CLEN, H1_BODY_NONE },
		{ 103, HTTP_METH_GET, 0, H1_BODY_NONE },
		{ 101, HTTP_METH_GET, HTTP_F_CLEN, H1_BODY_TUNNEL },
		{ 204, HTTP_METH_GET, HTTP_F_CLEN, H1_BODY_NONE },
		{ 204, HTTP_METH_GET, HTTP_F_CHUNKED, H1_BODY_NONE },
		{ 304, HTTP_METH_GET, HTTP_F_CLEN, H1_BODY_NONE },
		{ 200, HTTP_METH_CONNECT, HTTP_F_CLEN, H1_BODY_TUNNEL },
		{ 204, HTTP_METH_CONNECT, 0, H1_BODY_TUNNEL },
		{ 407, HTTP_METH_CONNECT, HTTP_F_CLEN, H1_BODY_LENGTH },
		{ 205, HTTP_METH_GET, HTTP_F_CLEN, H1_BODY_LENGTH },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct http_head head = { .is_response = true, .status = t[i].status, .flags = t[i].flags, .clen = 7 };
		struct h1_body b;

		h1_body_init_res(&b, &head, t[i].meth);
		cr_assert_eq(b.kind, t[i].kind, "%u to method %d", t[i].status, t[i].meth);
		cr_assert_eq(b.done, t[i].kind == H1_BODY_NONE);
	}
}

Test(h1_body, until_close_and_tunnels_take_everything)
{
	struct h1_body b = { .kind = H1_BODY_CLOSE };

	cr_assert_eq(feed(&b, "abc", 3), 3);
	cr_assert_not(b.done);
	cr_assert_eq(h1_body_blind(&b), UINT64_MAX);
	b = (struct h1_body){ .kind = H1_BODY_TUNNEL };
	cr_assert_eq(feed(&b, "abc", 3), 3);
}

Test(h1_body, is_sixteen_bytes)
{
	cr_assert_eq(sizeof(struct h1_body), 16);
}
