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
#define HTTP_F_FIXED       0x0080 /* the parser dropped what repeats: the head must be written anew, not passed as it came */

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

/* Edits of the header array, for rules. They borrow: <name> and <value> live as long as the head. The facts in
 * head->flags and head->clen stay those of the message as received, since they say how its body is framed:
 * whoever edits a framing or Connection header must know what it does. Names match without case. */
bool http_hdr_add(struct http_head *h, struct str name, struct str value); /* false: no slot left */
bool http_hdr_set(struct http_head *h, struct str name, struct str value); /* in the first one's place, others go */
unsigned http_hdr_del(struct http_head *h, struct str name);               /* how many went */
void http_hdr_del_at(struct http_head *h, unsigned idx);                   /* order of the others is kept */

/* Iterates the comma-separated elements of a header's value, trimmed; quoted strings (RFC 9110 5.6.4) are
 * respected, empty elements skipped (5.6.1.2). *rest is what is left. */
bool http_list_next(struct str *rest, struct str *elem);
bool http_list_has(struct str list, struct str token); /* without case */

/* Parts of the URI: path without query ("/" when empty; "*" for asterisk form, "" for CONNECT's authority form),
 * query without '?' (null when there is none), host as in the URI (absolute and authority form) or else the
 * Host header's value; host with its port, as received. */
struct str http_path(const struct http_head *h);
struct str http_query(const struct http_head *h);
struct str http_host(const struct http_head *h);

enum http_meth http_meth_parse(struct str s);
const char *http_reason(unsigned status);
bool http_token_ok(struct str s); /* RFC 9110 token, not empty */

#endif
