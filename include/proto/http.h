/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * http.h - the head of an HTTP message, as views into the bytes it was read from
 *
 * Produced by proto/h1, read by policy (samples), edited by l7 (rules) and
 * written by proto/h1 again. Strings are borrowed: from the input buffer for
 * what was parsed, from a transaction's arena for what rules added. Nobody
 * copies a header to look at it.
 */
#ifndef STANDIN_PROTO_HTTP_H
#define STANDIN_PROTO_HTTP_H

#include "core/str.h"

enum http_meth {
	HTTP_METH_OTHER, HTTP_METH_GET, HTTP_METH_HEAD, HTTP_METH_POST, HTTP_METH_PUT, HTTP_METH_DELETE,
	HTTP_METH_OPTIONS, HTTP_METH_TRACE, HTTP_METH_CONNECT, HTTP_METH_PATCH,
};

struct http_hdr {
	struct str name, value; /* value trimmed; name as received */
};

/* facts that the parser drew from the headers */
#define HTTP_F_CHUNKED     0x0001 /* Transfer-Encoding ends in chunked */
#define HTTP_F_CLEN        0x0002 /* valid Content-Length */
#define HTTP_F_CONN_CLOSE  0x0004 /* Connection: close */
#define HTTP_F_CONN_KAL    0x0008 /* Connection: keep-alive */
#define HTTP_F_CONN_UPG    0x0010 /* Connection: upgrade, with Upgrade: */
#define HTTP_F_EXPECT_100  0x0020
#define HTTP_F_HOST        0x0040

struct http_head {
	bool is_response;
	uint8_t minor;        /* HTTP/1.<minor>; 0 or 1 */
	enum http_meth meth;  /* request */
	uint16_t status;      /* response */
	struct str method, uri;      /* request; uri as received (origin, absolute, authority, asterisk form) */
	struct str reason;    /* response */
	uint32_t flags;
	uint64_t clen;        /* with HTTP_F_CLEN */
	struct http_hdr *hdr; /* array of <max>, provided by the caller */
	unsigned nb_hdr, max_hdr;
	size_t len;           /* bytes of the head on the wire, with the empty line and any leading CRLF */
};

/* First header called <name> at or after index *pos; *pos is set past it. NULL: no more. */
const struct http_hdr *http_hdr_find(const struct http_head *h, struct str name, unsigned *pos);

/* Iterates the comma-separated values of a header's value, quotes respected. */
bool http_list_next(struct str *rest, struct str *elem);

/* Parts of the URI: path without query ("/" when empty; "*" for asterisk form), query without '?', host as in
 * the URI (absolute and authority form) or else the Host header. */
struct str http_path(const struct http_head *h);
struct str http_query(const struct http_head *h);
struct str http_host(const struct http_head *h);

enum http_meth http_meth_parse(struct str s);
const char *http_reason(unsigned status);
bool http_token_ok(struct str s); /* RFC 9110 token, not empty */

#endif
