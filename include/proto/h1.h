/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h1.h - HTTP/1.x on the wire (RFC 9112): heads, body framing, writing
 *
 * Pure: bytes in, structures out. Used by l7 for streams and by l3's framer to
 * find the turns of a connection that is only forwarded. Strict where leniency
 * means that two parties may see different messages (request smuggling).
 */
#ifndef STANDIN_PROTO_H1_H
#define STANDIN_PROTO_H1_H

#include "core/buf.h"
#include "proto/http.h"

/* ---- heads ---- */

/* What is remembered between calls while a head is incomplete, so that no byte is scanned twice. Zeroed for a
 * new head. Offsets only: the bytes may move between calls, but must be the same bytes. */
struct h1_scan {
	size_t seen;    /* bytes already searched for the end of the head */
	uint32_t start; /* where the start line begins, past empty lines before it */
	uint32_t line;  /* where the first header line begins; 0: the start line is not complete */
};

#define H1_MAX_EMPTY_LINES 4     /* before a request (RFC 9112 2.2) */
#define H1_MAX_METHOD      32    /* bytes */
#define H1_MAX_CHUNK_LINE  256   /* bytes of a chunk's size line, extensions and CRLF included */
#define H1_MAX_TRAILERS    8192  /* bytes of a trailer section */

enum h1_err {
	H1_OK = 0,
	H1_E_EMPTY_LINES, H1_E_METHOD, H1_E_URI, H1_E_VERSION, H1_E_STATUS, H1_E_REASON,
	H1_E_BARE_CR, H1_E_BARE_LF, H1_E_NUL, H1_E_FOLD, H1_E_HDR_NAME, H1_E_HDR_VALUE, H1_E_HDR_COUNT,
	H1_E_CLEN, H1_E_CLEN_CONFLICT, H1_E_TE, H1_E_TE_CLEN, H1_E_TE_10, H1_E_HOST, H1_E_HOST_CONFLICT,
	H1_E_CHUNK_SIZE, H1_E_CHUNK_EXT, H1_E_CHUNK_END, H1_E_TRAILER, H1_E_TOO_LONG,
	H1_E_COUNT
};
const char *h1_err_name(enum h1_err e);

/* Parses the head at <p>. head->hdr and head->max_hdr are set by the caller, as is head->is_response.
 * Returns >0: its length (head filled), 0: not all there, <0: -(enum h1_err), *err_pos the offset (<err_pos> may
 * be NULL). A bad start line and a bare LF are reported as soon as they are seen, the rest when the head is
 * complete; what is reported does not depend on how the bytes came. There is no limit of length but 4 GB: the
 * caller's buffer is the limit. */
ssize_t h1_head_parse(struct h1_scan *sc, const char *p, size_t n, struct http_head *head, size_t *err_pos);

/* Quick look at the first bytes of a connection: could any server take this for an HTTP/1 (or 0.9) request?
 * 1 yes, 0 no, -1 too few bytes. A yes promises nothing: h1_head_parse() may well reject it. */
int h1_looks_like_request(const char *p, size_t n);

/* ---- bodies ---- */

enum h1_body_kind { H1_BODY_NONE, H1_BODY_LENGTH, H1_BODY_CHUNKED, H1_BODY_CLOSE /* until EOF */, H1_BODY_TUNNEL };

struct h1_body {
	uint8_t kind;  /* enum h1_body_kind */
	uint8_t state; /* of the chunk parser; private to h1.c */
	uint8_t done;  /* all of it was seen */
	uint8_t aux;   /* chunk parser: digits of the size so far */
	uint32_t hdr_bytes; /* chunk parser: bytes of the line or trailer section so far, for limits */
	uint64_t left; /* bytes left of the length or of the current chunk (trailers: hash of the name) */
};

/* CONNECT is H1_BODY_NONE: whether a tunnel follows is the response's to say. */
void h1_body_init_req(struct h1_body *b, const struct http_head *req);
/* <meth> of the request answered (HEAD, CONNECT). 1xx other than 101 is H1_BODY_NONE. */
void h1_body_init_res(struct h1_body *b, const struct http_head *res, enum http_meth meth);
/* How many of the <n> bytes belong to this body (framing included). b->done tells the end. <0: -(enum h1_err).
 * The bytes themselves are looked at only where a body is chunked, and there not inside a chunk's data. */
ssize_t h1_body_feed(struct h1_body *b, const char *p, size_t n);
/* How many of the next bytes certainly belong to the body and need not be looked at: h1_body_feed() takes them with
 * <p> NULL. UINT64_MAX: all that will come. */
uint64_t h1_body_blind(const struct h1_body *b);

/* ---- writing ---- */

/* Start line, headers, empty line; false when <out> has too little room (nothing is written then). */
bool h1_head_write(const struct http_head *head, struct buf *out);

#endif
