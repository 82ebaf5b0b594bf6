/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h1.c - fuzz target: heads and bodies of HTTP/1 messages
 *
 * Input: a byte (bit 0: a response, bits 1-3: the method it answers, bits 4-7: how the bytes are cut), then the bytes.
 * What must hold: what is told does not depend on the cuts; an accepted head, written anew, is accepted again
 * with the same facts; a body takes the same bytes however they come.
 */
#include "lib/fuzz.h"
#include "proto/h1.h"

#define MAX_HDR 32

struct parsed {
	struct http_hdr hdr[MAX_HDR];
	struct http_head head;
	ssize_t r;
	size_t pos;
};

static void parse(struct h1_scan *sc, const char *p, size_t n, bool response, struct parsed *out)
{
	out->head = (struct http_head){ .hdr = out->hdr, .max_hdr = MAX_HDR, .is_response = response };
	out->pos = 0;
	out->r = h1_head_parse(sc, p, n, &out->head, &out->pos);
	CHECK(out->r <= (ssize_t)n && out->r > -(ssize_t)H1_E_COUNT);
	CHECK(out->pos <= n);
}

/* Gives <step> bytes more each time. */
static void parse_cut(const char *p, size_t n, size_t step, bool response, struct parsed *out)
{
	struct h1_scan sc = { 0 };

	for (size_t have = 0;; have = MIN(n, have + step)) {
		char *m = fuzz_dup(p, have);

		parse(&sc, m, have, response, out);
		free(m);
		if (out->r || have == n)
			return;
	}
}

static void check_rewrite(const struct parsed *a)
{
	char area[70000];
	struct h1_scan sc = { 0 };
	struct parsed b;
	struct buf out;

	buf_wrap(&out, area, sizeof(area));
	if (!h1_head_write(&a->head, &out))
		return;
	parse(&sc, buf_head(&out), out.data, a->head.is_response, &b);
	CHECK(b.r == (ssize_t)out.data);
	CHECK(b.head.flags == (a->head.flags & ~(uint32_t)HTTP_F_FIXED));
	CHECK(b.head.clen == a->head.clen && b.head.nb_hdr == a->head.nb_hdr && b.head.minor == a->head.minor);
	CHECK(b.head.meth == a->head.meth && b.head.status == a->head.status);
	CHECK(str_eq(b.head.uri, a->head.uri) && str_eq(b.head.reason, a->head.reason));
	for (unsigned i = 0; i < b.head.nb_hdr; i++) {
		CHECK(str_eq(b.head.hdr[i].name, a->head.hdr[i].name));
		CHECK(str_eq(b.head.hdr[i].value, a->head.hdr[i].value));
	}
}

static ssize_t feed_cut(struct h1_body *b, const char *p, size_t n, size_t step)
{
	size_t off = 0;

	while (off < n && !b->done) {
		size_t part = MIN(step, n - off);
		char *m = fuzz_dup(p + off, part);
		bool blind = h1_body_blind(b) >= part;
		ssize_t r = h1_body_feed(b, blind ? NULL : m, part);

		free(m);
		if (r < 0)
			return r;
		CHECK((size_t)r == part || b->done);
		off += (size_t)r;
	}
	return (ssize_t)off;
}

static void check_body(const struct h1_body *init, const char *p, size_t n, size_t step)
{
	struct h1_body a = *init, b = *init;
	ssize_t whole = h1_body_feed(&a, p, n);

	CHECK(whole <= (ssize_t)n);
	CHECK(feed_cut(&b, p, n, step) == whole);
	CHECK(whole < 0 || (a.done == b.done && a.left == b.left && a.state == b.state));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	bool response;
	struct h1_scan sc = { 0 };
	struct parsed whole, cut;
	struct h1_body body;
	const char *p;
	size_t step;

	if (n < 1 || n > 4096)
		return 0;
	response = data[0] & 1;
	step = 1 + (data[0] >> 4);
	p = (const char *)data + 1;
	n--;

	parse(&sc, p, n, response, &whole);
	parse_cut(p, n, step, response, &cut);
	CHECK(cut.r == whole.r);
	CHECK(whole.r >= 0 || cut.pos == whole.pos);
	h1_looks_like_request(p, n);
	if (whole.r > 0) {
		if (!response) {
			CHECK(h1_looks_like_request(p, n) == 1);
			CHECK(http_path(&whole.head).p && http_host(&whole.head).n <= n);
			http_query(&whole.head);
		}
		check_rewrite(&whole);
		if (response)
			h1_body_init_res(&body, &whole.head, (enum http_meth)(data[0] >> 1 & 7));
		else
			h1_body_init_req(&body, &whole.head);
		check_body(&body, p + whole.r, n - (size_t)whole.r, step);
	}
	body = (struct h1_body){ .kind = H1_BODY_CHUNKED };
	check_body(&body, p, n, step);
	return 0;
}
