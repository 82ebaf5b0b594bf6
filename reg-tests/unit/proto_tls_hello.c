/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * proto_tls_hello.c - a look into TLS ClientHellos: real ones made by OpenSSL, and ones bent by hand
 */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "proto/tls_hello.h"

static uint8_t scratch[16384];

/* A ClientHello under construction. */
struct hello {
	uint8_t b[4096];
	size_t n;
};

static void put(struct hello *h, const void *p, size_t n)
{
	cr_assert_leq(h->n + n, sizeof(h->b));
	memcpy(h->b + h->n, p, n);
	h->n += n;
}

static void put16(struct hello *h, unsigned v)
{
	put(h, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

static void put_ext(struct hello *h, unsigned type, const void *p, size_t n)
{
	put16(h, type);
	put16(h, (unsigned)n);
	put(h, p, n);
}

static void put_sni(struct hello *h, const void *name, size_t n)
{
	put16(h, 0);
	put16(h, (unsigned)n + 5);
	put16(h, (unsigned)n + 3);
	put(h, "", 1);
	put16(h, (unsigned)n);
	put(h, name, n);
}

#define HS_BODY 9 /* where the handshake's body begins */

/* Everything before the extensions' bytes; finish() sets the lengths. */
static void begin(struct hello *h)
{
	*h = (struct hello){ 0 };
	put(h, "\x16\x03\x01\0\0\x01\0\0\0", HS_BODY);
	put16(h, 0x0303);
	put(h, "0123456789abcdef0123456789abcdef", 32);
	put(h, "\x02xy", 3);                     /* session id */
	put(h, "\0\x04\x0a\x0a\x13\x01", 6);     /* suites, a GREASE one first */
	put(h, "\x01\0", 2);                     /* compression */
	put16(h, 0);                             /* length of extensions, at HS_BODY + 45 */
}

#define EXT_LEN (HS_BODY + 2 + 32 + 3 + 6 + 2)

static void set_lengths(struct hello *h)
{
	size_t hs = h->n - HS_BODY, rec = h->n - 5;

	h->b[3] = (uint8_t)(rec >> 8);
	h->b[4] = (uint8_t)rec;
	h->b[7] = (uint8_t)(hs >> 8);
	h->b[8] = (uint8_t)hs;
}

static void finish(struct hello *h)
{
	size_t ext = h->n - EXT_LEN - 2;

	h->b[EXT_LEN] = (uint8_t)(ext >> 8);
	h->b[EXT_LEN + 1] = (uint8_t)ext;
	set_lengths(h);
}

/* In memory of exactly its size. */
static int parse(const uint8_t *p, size_t n, struct tls_hello *out, bool with_scratch)
{
	static uint8_t *m;

	free(m); /* the last one: <out> points into it */
	m = malloc(n ? n : 1);
	memcpy(m, p, n);
	return tls_hello_parse(m, n, out, with_scratch ? scratch : NULL, with_scratch ? sizeof(scratch) : 0);
}

static int parse_hello(const struct hello *h, struct tls_hello *out)
{
	return parse(h->b, h->n, out, false);
}

/* Each shorter part of a hello needs more, whether there is scratch or not. */
static void expect_incremental(const uint8_t *p, size_t n, bool with_scratch)
{
	struct tls_hello out;

	for (size_t i = 0; i < n; i++)
		cr_assert_eq(parse(p, i, &out, with_scratch), 0, "%zu of %zu bytes", i, n);
}

/* The same message in records of at most <frag> bytes. */
static size_t split_records(const uint8_t *p, size_t n, size_t frag, uint8_t *to)
{
	size_t len = 0;

	for (size_t off = 5; off < n; off += frag) {
		size_t part = n - off < frag ? n - off : frag;

		memcpy(to + len, (uint8_t[]){ 22, 3, 1, (uint8_t)(part >> 8), (uint8_t)part }, 5);
		memcpy(to + len + 5, p + off, part);
		len += 5 + part;
	}
	return len;
}

/* What OpenSSL sends for <name>; returns its length. */
static size_t real_hello(const char *name, int max_version, uint8_t *to, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	int n;

	SSL_set_bio(ssl, in, out);
	if (max_version)
		SSL_set_max_proto_version(ssl, max_version);
	if (name)
		SSL_set_tlsext_host_name(ssl, name);
	SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
	SSL_connect(ssl);
	n = BIO_read(out, to, (int)size);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return (size_t)n;
}

Test(tls_hello, a_real_one_gives_name_protocols_and_version)
{
	uint8_t b[2048];
	size_t n = real_hello("WWW.Example.org", 0, b, sizeof(b));
	struct tls_hello out;

	expect_incremental(b, n, false);
	cr_assert_eq(parse(b, n, &out, false), 1);
	cr_assert(out.has_sni);
	cr_assert_str_eq(out.sni, "www.example.org");
	cr_assert(str_eq(out.alpn, STR("\x02h2\x08http/1.1")));
	cr_assert_eq(out.version, 0x0304);
	cr_assert_eq(out.record_version, 0x0301);
}

Test(tls_hello, one_of_tls_1_2_without_a_name)
{
	uint8_t b[2048];
	size_t n = real_hello(NULL, TLS1_2_VERSION, b, sizeof(b));
	struct tls_hello out;

	cr_assert_eq(parse(b, n, &out, false), 1);
	cr_assert_not(out.has_sni);
	cr_assert_not(out.sni_invalid);
	cr_assert_str_eq(out.sni, "");
	cr_assert_eq(out.version, 0x0303);
}

Test(tls_hello, one_split_over_records_is_put_together)
{
	uint8_t b[2048], many[16384];
	size_t n = real_hello("a.example", 0, b, sizeof(b));
	struct tls_hello out;

	for (size_t frag = 1; frag < n; frag += frag < 8 ? 1 : 61) {
		size_t len = split_records(b, n, frag, many);

		expect_incremental(many, len, true);
		cr_assert_eq(parse(many, len, &out, true), 1, "fragments of %zu", frag);
		cr_assert_str_eq(out.sni, "a.example");
		cr_assert(str_eq(out.alpn, STR("\x02h2\x08http/1.1")));
		if (frag < n - 5)
			cr_assert_eq(parse(many, len, &out, false), -1, "without scratch");
	}
}

Test(tls_hello, the_scratch_needs_room_for_the_message_alone)
{
	uint8_t many[2048];
	struct tls_hello out;
	struct hello h;
	size_t n;

	begin(&h);
	put_sni(&h, "a.b", 3);
	finish(&h);
	n = split_records(h.b, h.n, 40, many);
	cr_assert_eq(tls_hello_parse(many, n, &out, scratch, h.n - 5), 1);
	cr_assert_eq(tls_hello_parse(many, n, &out, scratch, h.n - 6), -1);
	cr_assert_eq(tls_hello_parse(many, n, &out, scratch, 3), -1);
}

Test(tls_hello, what_follows_its_record_is_not_looked_at)
{
	struct tls_hello out;
	struct hello h;

	begin(&h);
	finish(&h);
	put(&h, "\x17\x03\x03\0\x01x", 6);
	cr_assert_eq(parse_hello(&h, &out), 1);
}

Test(tls_hello, extensions_may_be_absent)
{
	struct tls_hello out;
	struct hello h;

	begin(&h);
	h.n -= 2;
	set_lengths(&h);
	cr_assert_eq(parse_hello(&h, &out), 1);
	cr_assert_eq(out.version, 0x0303);
	cr_assert_null(out.alpn.p);
}

Test(tls_hello, grease_is_nothing)
{
	struct tls_hello out;
	struct hello h;

	begin(&h);
	put_ext(&h, 0x0a0a, "", 0);
	put_ext(&h, 43, "\x06\xfa\xfa\x03\x04\x03\x03", 7);
	put_ext(&h, 0x3a3a, "\0", 1);
	put_ext(&h, 0x3a3a, "\0", 1); /* only known ones are compared */
	put_sni(&h, "a.b", 3);
	finish(&h);
	cr_assert_eq(parse_hello(&h, &out), 1);
	cr_assert_eq(out.version, 0x0304);
	cr_assert_str_eq(out.sni, "a.b");
}

Test(tls_hello, names_are_lower_case_and_without_a_dot_at_the_end)
{
	static const struct {
		const char *in, *out;
	} t[] = { { "A.B-c.9", "a.b-c.9" }, { "a.b.", "a.b" }, { "_x.y", "_x.y" }, { "localhost", "localhost" } };
	struct tls_hello out;
	struct hello h;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		begin(&h);
		put_sni(&h, t[i].in, strlen(t[i].in));
		finish(&h);
		cr_assert_eq(parse_hello(&h, &out), 1);
		cr_assert_str_eq(out.sni, t[i].out);
		cr_assert(out.has_sni && !out.sni_invalid);
	}
}

Test(tls_hello, what_is_no_name_is_not_given_out)
{
	static const struct {
		const char *p;
		size_t n;
	} t[] = { { "a\0b", 3 }, { "a b", 3 },  { ".", 1 },     { ".a", 2 },      { "a..b", 4 }, { "a..", 3 },
		  { "[::1]", 5 }, { "a:80", 4 }, { "a/b", 3 },   { "\xc3\xa9", 2 }, { "a\n", 2 },  { "*.a", 3 } };
	char longer[300];
	struct tls_hello out;
	struct hello h;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		begin(&h);
		put_sni(&h, t[i].p, t[i].n);
		finish(&h);
		cr_assert_eq(parse_hello(&h, &out), 1);
		cr_assert(!out.has_sni && out.sni_invalid, "%zu", i);
		cr_assert_str_eq(out.sni, "");
	}
	memset(longer, 'a', sizeof(longer));
	for (size_t n = 254; n < 258; n++) {
		begin(&h);
		put_sni(&h, longer, n);
		finish(&h);
		cr_assert_eq(parse_hello(&h, &out), 1);
		cr_assert_eq(out.has_sni, n <= 255);
	}
}

Test(tls_hello, malformed_extensions_are_refused)
{
	static const struct {
		const char *what;
		unsigned type;
		const char *p;
		size_t n;
	} t[] = {
		{ "empty sni", 0, "", 0 },
		{ "empty sni list", 0, "\0\0", 2 },
		{ "sni list too long", 0, "\0\x05\0\0\x01" "a", 6 },
		{ "sni list too short", 0, "\0\x03\0\0\x01" "a", 6 },
		{ "sni name too long", 0, "\0\x04\0\0\x02" "a", 6 },
		{ "empty sni name", 0, "\0\x03\0\0\0", 5 },
		{ "unknown type of name", 0, "\0\x04\x01\0\x01" "a", 6 },
		{ "two names", 0, "\0\x08\0\0\x01" "a\0\0\x01" "b", 10 },
		{ "bytes after the list", 0, "\0\x04\0\0\x01" "ab", 7 },
		{ "empty alpn", 16, "", 0 },
		{ "empty alpn list", 16, "\0\0", 2 },
		{ "empty protocol", 16, "\0\x03\0\x01" "a", 5 },
		{ "protocol too long", 16, "\0\x02\x02" "a", 4 },
		{ "bytes after alpn", 16, "\0\x02\x01" "ab", 5 },
		{ "no versions", 43, "\0", 1 },
		{ "odd versions", 43, "\x03\x03\x04\x03", 4 },
		{ "versions too long", 43, "\x04\x03\x04", 3 },
	};
	struct tls_hello out;
	struct hello h;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		begin(&h);
		put_ext(&h, t[i].type, t[i].p, t[i].n);
		finish(&h);
		cr_assert_eq(parse_hello(&h, &out), -1, "%s", t[i].what);
	}
}

Test(tls_hello, an_extension_given_twice_is_refused)
{
	struct tls_hello out;
	struct hello h;

	begin(&h);
	put_sni(&h, "a", 1);
	put_sni(&h, "b", 1);
	finish(&h);
	cr_assert_eq(parse_hello(&h, &out), -1);
}

Test(tls_hello, lengths_that_do_not_fit_are_refused)
{
	struct tls_hello out;
	struct hello h, bent;

	begin(&h);
	put_sni(&h, "a.b", 3);
	finish(&h);
	cr_assert_eq(parse_hello(&h, &out), 1);

	bent = h, bent.b[EXT_LEN + 1]++; /* extensions reach past the end */
	cr_assert_eq(parse_hello(&bent, &out), -1);
	bent = h, bent.b[EXT_LEN + 1]--; /* or leave a byte */
	cr_assert_eq(parse_hello(&bent, &out), -1);
	bent = h, bent.b[8]--; /* the message ends before its record */
	cr_assert_eq(parse_hello(&bent, &out), -1);
	bent = h, bent.b[8]++; /* or goes on in the next, and there is no scratch */
	cr_assert_eq(parse_hello(&bent, &out), -1);
	bent = h, bent.b[6] = 1; /* 64 KB: more than the scratch */
	cr_assert_eq(parse(bent.b, bent.n, &out, true), -1);
	bent = h, bent.b[HS_BODY + 34] = 33; /* session id */
	cr_assert_eq(parse_hello(&bent, &out), -1);
	bent = h, bent.b[HS_BODY + 38] = 3; /* odd suites */
	cr_assert_eq(parse_hello(&bent, &out), -1);
	bent = h, bent.b[HS_BODY + 38] = 0; /* none */
	cr_assert_eq(parse_hello(&bent, &out), -1);
	bent = h, bent.b[HS_BODY + 43] = 0; /* no compression method */
	cr_assert_eq(parse_hello(&bent, &out), -1);
	bent = h, bent.b[HS_BODY] = 2; /* SSL 2 */
	cr_assert_eq(parse_hello(&bent, &out), -1);
}

Test(tls_hello, other_protocols_are_told_by_their_first_bytes)
{
	static const char *const no[] = { "G", "\x15", "\x17\x03", "\x16\x02", "\x16\x03\x01\x40\x01", "\x80\x2e",
					  "\x16\x03\x01\x02\x05\x02" };
	struct tls_hello out;

	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		cr_assert_eq(parse((const uint8_t *)no[i], strlen(no[i]), &out, true), -1, "%zu", i);
	cr_assert_eq(parse((const uint8_t *)"\x16\x03\x01\0\0", 5, &out, true), -1, "empty fragment");
	cr_assert_eq(parse((const uint8_t *)"", 0, &out, true), 0);
}

Test(tls_hello, another_record_in_between_is_refused)
{
	uint8_t many[8192];
	struct tls_hello out;
	struct hello h;
	size_t n;

	begin(&h);
	finish(&h);
	n = split_records(h.b, h.n, 30, many);
	cr_assert_eq(parse(many, n, &out, true), 1);
	many[35] = 21; /* an alert */
	cr_assert_eq(parse(many, n, &out, true), -1);
	many[35] = 22;
	n = split_records(h.b, h.n + 1, 30, many); /* a byte behind the message in its last record */
	cr_assert_eq(parse(many, n, &out, true), -1);
}
