/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h1_body.c - where the body of an HTTP/1.x message ends (RFC 9112 6 and 7)
 *
 * The caller passes the body on as it came; this only counts. Three ways to end are trivial (none, a length, the
 * connection's close); the fourth is chunked: a machine over the bytes of size lines and trailers that jumps over
 * the chunks' data.
 *
 *     SIZE --SP--> BWS --;--> EXT          trailers and their end:
 *       |  \________|________/
 *       CR                                 TR_LINE --token--> TR_NAME --:--> TR_VALUE
 *       v                                   ^   |                               |
 *     SIZE_LF --LF, size 0----------------> |   CR                              CR
 *       | LF                                |   v                               v
 *       v                                   | END_LF --LF--> (done)           TR_LF
 *     DATA -> DATA_CR -> DATA_LF -> SIZE    |___________________________LF______|
 *
 * Strictness: size lines and trailer sections are bounded; sizes below 2^63 and of at most 16 digits; CRLF only;
 * no control bytes but HTAB in extensions and trailers (so none can hide a line end); BWS after a size is taken
 * (RFC 9112 7.1.1) also without an extension, as all do; no folding; no trailer that frames, routes or
 * authenticates the message (RFC 9110 6.5.1), for recipients that merge trailers into the head. Their names are not kept but
 * hashed on the way, since they may be split over any number of calls.
 */
#include "proto/h1.h"

enum h1_chunk_st {
	CK_SIZE,     /* in the digits */
	CK_BWS,      /* white space after them */
	CK_EXT,      /* behind ";" */
	CK_SIZE_LF,  /* the line's CR was seen */
	CK_DATA,     /* b->left bytes of data */
	CK_DATA_CR,  /* data complete */
	CK_DATA_LF,
	CK_TR_LINE,  /* at the start of a trailer line */
	CK_TR_NAME,  /* b->left: the hash of the name so far */
	CK_TR_VALUE,
	CK_TR_LF,
	CK_END_LF,   /* CR of the empty line was seen */
};

#define CK_MAX_DIGITS 16
#define CK_HASH_INIT  0xcbf29ce484222325u /* FNV-1a, 64 bits */

static uint64_t h1_hash_byte(uint64_t h, char c)
{
	uint8_t b = (uint8_t)c;

	if (b >= 'A' && b <= 'Z')
		b |= 0x20;
	return (h ^ b) * 0x100000001b3u;
}

/* Fields that must not come as trailers: framing, routing, authentication, control of the connection. */
static bool h1_trailer_forbidden(uint64_t hash)
{
	static const char *const names[] = {
		"transfer-encoding", "content-length", "host",    "connection",          "keep-alive",
		"proxy-connection",  "upgrade",        "te",      "trailer",             "expect",
		"content-encoding",  "content-type",   "cookie",  "content-range",       "set-cookie",
		"authorization",     "www-authenticate", "range", "proxy-authorization", "proxy-authenticate",
		"forwarded",         "x-forwarded-for", "max-forwards",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t h = CK_HASH_INIT;

		for (const char *c = names[i]; *c; c++)
			h = h1_hash_byte(h, *c);
		if (h == hash)
			return true;
	}
	return false;
}

static int h1_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* field-value and extension bytes: HTAB, SP, VCHAR, obs-text */
static bool h1_text(char c)
{
	uint8_t b = (uint8_t)c;

	return b == '\t' || (b >= ' ' && b != 0x7f);
}

/* The error for a byte that does not belong: what is dangerous anywhere has its own name. */
static enum h1_err h1_chunk_bad(char c, enum h1_err otherwise)
{
	return c == '\0' ? H1_E_NUL : c == '\n' ? H1_E_BARE_LF : otherwise;
}

static enum h1_err h1_expect_lf(struct h1_body *b, char c, enum h1_chunk_st next)
{
	b->state = next;
	return c == '\n' ? H1_OK : H1_E_BARE_CR;
}

static void h1_chunk_begin(struct h1_body *b)
{
	b->state = CK_SIZE;
	b->aux = 0;
	b->hdr_bytes = 0;
	b->left = 0;
}

/* One byte of a chunk's size line. */
static enum h1_err h1_size_byte(struct h1_body *b, char c)
{
	int digit;

	if (++b->hdr_bytes > H1_MAX_CHUNK_LINE)
		return H1_E_TOO_LONG;
	if (b->state == CK_SIZE) {
		digit = h1_hex(c);
		if (digit >= 0) {
			if (++b->aux > CK_MAX_DIGITS || b->left > (uint64_t)INT64_MAX >> 4)
				return H1_E_CHUNK_SIZE;
			b->left = b->left << 4 | (uint64_t)digit;
			return H1_OK;
		}
		if (!b->aux)
			return h1_chunk_bad(c, H1_E_CHUNK_SIZE);
	}
	if (c == '\r') {
		b->state = CK_SIZE_LF;
		return H1_OK;
	}
	if (b->state == CK_EXT)
		return h1_text(c) ? H1_OK : h1_chunk_bad(c, H1_E_CHUNK_EXT);
	if (c == ';') {
		b->state = CK_EXT;
		return H1_OK;
	}
	if (c != ' ' && c != '\t')
		return h1_chunk_bad(c, H1_E_CHUNK_SIZE);
	b->state = CK_BWS;
	return H1_OK;
}

/* One byte of the trailer section. */
static enum h1_err h1_trailer_byte(struct h1_body *b, char c)
{
	if (++b->hdr_bytes > H1_MAX_TRAILERS)
		return H1_E_TOO_LONG;
	switch ((enum h1_chunk_st)b->state) {
	case CK_TR_LINE:
		if (c == '\r') {
			b->state = CK_END_LF;
			return H1_OK;
		}
		if (c == ' ' || c == '\t')
			return H1_E_FOLD;
		if (!http_token_ok(str_n(&c, 1)))
			return h1_chunk_bad(c, H1_E_HDR_NAME);
		b->state = CK_TR_NAME;
		b->left = h1_hash_byte(CK_HASH_INIT, c);
		return H1_OK;
	case CK_TR_NAME:
		if (c == ':') {
			b->state = CK_TR_VALUE;
			return h1_trailer_forbidden(b->left) ? H1_E_TRAILER : H1_OK;
		}
		b->left = h1_hash_byte(b->left, c);
		return http_token_ok(str_n(&c, 1)) ? H1_OK : h1_chunk_bad(c, H1_E_HDR_NAME);
	default: /* CK_TR_VALUE */
		if (c == '\r')
			b->state = CK_TR_LF;
		else if (!h1_text(c))
			return h1_chunk_bad(c, H1_E_HDR_VALUE);
		return H1_OK;
	}
}

/* One byte that is not chunk data. */
static enum h1_err h1_chunk_byte(struct h1_body *b, char c)
{
	switch ((enum h1_chunk_st)b->state) {
	case CK_SIZE:
	case CK_BWS:
	case CK_EXT: return h1_size_byte(b, c);
	case CK_SIZE_LF:
		if (!b->left)
			b->hdr_bytes = 0;
		return h1_expect_lf(b, c, b->left ? CK_DATA : CK_TR_LINE);
	case CK_DATA_CR: b->state = CK_DATA_LF; return c == '\r' ? H1_OK : H1_E_CHUNK_END;
	case CK_DATA_LF: h1_chunk_begin(b); return c == '\n' ? H1_OK : H1_E_CHUNK_END;
	case CK_TR_LINE:
	case CK_TR_NAME:
	case CK_TR_VALUE: return h1_trailer_byte(b, c);
	case CK_TR_LF: return h1_expect_lf(b, c, CK_TR_LINE);
	case CK_END_LF: b->done = c == '\n'; return c == '\n' ? H1_OK : H1_E_BARE_CR;
	case CK_DATA: break; /* handled by the caller */
	}
	return H1_E_CHUNK_SIZE;
}

static ssize_t h1_chunked_feed(struct h1_body *b, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && !b->done) {
		enum h1_err e;

		if (b->state == CK_DATA) {
			uint64_t take = MIN(b->left, (uint64_t)(n - i));

			b->left -= take;
			i += (size_t)take;
			if (!b->left)
				b->state = CK_DATA_CR;
			continue;
		}
		e = h1_chunk_byte(b, p[i++]);
		if (e)
			return -(ssize_t)e;
	}
	return (ssize_t)i;
}

ssize_t h1_body_feed(struct h1_body *b, const char *p, size_t n)
{
	if (b->done)
		return 0;
	switch ((enum h1_body_kind)b->kind) {
	case H1_BODY_CHUNKED: return h1_chunked_feed(b, p, n);
	case H1_BODY_LENGTH:
		n = (size_t)MIN(b->left, (uint64_t)n);
		b->left -= n;
		b->done = b->left == 0;
		return (ssize_t)n;
	case H1_BODY_NONE: b->done = 1; return 0;
	case H1_BODY_CLOSE:
	case H1_BODY_TUNNEL: break;
	}
	return (ssize_t)n;
}

uint64_t h1_body_blind(const struct h1_body *b)
{
	if (b->done)
		return 0;
	switch ((enum h1_body_kind)b->kind) {
	case H1_BODY_NONE: return 0;
	case H1_BODY_CHUNKED: return b->state == CK_DATA ? b->left : 0;
	case H1_BODY_LENGTH: return b->left;
	case H1_BODY_CLOSE:
	case H1_BODY_TUNNEL: break;
	}
	return UINT64_MAX;
}

/* ---- what kind of body, RFC 9112 6.3 ---- */

static void h1_body_set(struct h1_body *b, enum h1_body_kind kind, uint64_t left)
{
	*b = (struct h1_body){ .kind = (uint8_t)kind, .left = left };
	b->done = kind == H1_BODY_NONE || (kind == H1_BODY_LENGTH && left == 0);
}

void h1_body_init_req(struct h1_body *b, const struct http_head *req)
{
	if (req->flags & HTTP_F_CHUNKED)
		h1_body_set(b, H1_BODY_CHUNKED, 0);
	else if (req->flags & HTTP_F_CLEN)
		h1_body_set(b, H1_BODY_LENGTH, req->clen);
	else
		h1_body_set(b, H1_BODY_NONE, 0);
}

void h1_body_init_res(struct h1_body *b, const struct http_head *res, enum http_meth meth)
{
	if (res->status == 101 || (meth == HTTP_METH_CONNECT && res->status / 100 == 2))
		h1_body_set(b, H1_BODY_TUNNEL, 0);
	else if (meth == HTTP_METH_HEAD || res->status / 100 == 1 || res->status == 204 || res->status == 304)
		h1_body_set(b, H1_BODY_NONE, 0);
	else if (res->flags & HTTP_F_CHUNKED)
		h1_body_set(b, H1_BODY_CHUNKED, 0);
	else if (res->flags & HTTP_F_CLEN)
		h1_body_set(b, H1_BODY_LENGTH, res->clen);
	else
		h1_body_set(b, H1_BODY_CLOSE, 0);
}
