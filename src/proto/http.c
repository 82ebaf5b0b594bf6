/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * http.c - an HTTP message's head: looking things up and editing it
 *
 * The head is an array of views, in the order of the wire. Lookups walk it: a head has a dozen headers, and a
 * walk that compares lengths first is faster than any index built for one message. Nothing here allocates.
 */
#include "proto/http.h"

/* ---- methods and reasons ---- */

static const struct {
	struct str name;
	enum http_meth meth;
} http_meths[] = {
	{ STR("GET"), HTTP_METH_GET },         { STR("POST"), HTTP_METH_POST },
	{ STR("HEAD"), HTTP_METH_HEAD },       { STR("PUT"), HTTP_METH_PUT },
	{ STR("DELETE"), HTTP_METH_DELETE },   { STR("OPTIONS"), HTTP_METH_OPTIONS },
	{ STR("PATCH"), HTTP_METH_PATCH },     { STR("CONNECT"), HTTP_METH_CONNECT },
	{ STR("TRACE"), HTTP_METH_TRACE },
};

/* Methods are case-sensitive (RFC 9110 9.1): "get" is an unknown one. */
enum http_meth http_meth_parse(struct str s)
{
	for (size_t i = 0; i < ARRAY_SIZE(http_meths); i++)
		if (str_eq(s, http_meths[i].name))
			return http_meths[i].meth;
	return HTTP_METH_OTHER;
}

static const struct {
	uint16_t status;
	const char *reason;
} http_reasons[] = {
	{ 100, "Continue" },
	{ 101, "Switching Protocols" },
	{ 103, "Early Hints" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 203, "Non-Authoritative Information" },
	{ 204, "No Content" },
	{ 205, "Reset Content" },
	{ 206, "Partial Content" },
	{ 300, "Multiple Choices" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 305, "Use Proxy" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 402, "Payment Required" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 407, "Proxy Authentication Required" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 411, "Length Required" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 421, "Misdirected Request" },
	{ 422, "Unprocessable Content" },
	{ 425, "Too Early" },
	{ 426, "Upgrade Required" },
	{ 428, "Precondition Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

/* The phrase of RFC 9110 15; for a status it does not know, the name of its class. */
const char *http_reason(unsigned status)
{
	static const char *const class_name[] = { "Other",       "Informational", "Success",
						  "Redirection", "Client Error",  "Server Error" };

	for (size_t i = 0; i < ARRAY_SIZE(http_reasons); i++)
		if (http_reasons[i].status == status)
			return http_reasons[i].reason;
	return class_name[status / 100 < ARRAY_SIZE(class_name) ? status / 100 : 0];
}

/* ---- tokens and lists ---- */

/* RFC 9110 5.6.2 tchar, as a bit map over ASCII */
static bool http_tchar(uint8_t c)
{
	static const uint32_t map[8] = {
		0x00000000,
		0x03ff6cfa, /* ! # $ % & ' * + - . 0-9 */
		0xc7fffffe, /* A-Z ^ _ */
		0x57ffffff, /* ` a-z | ~ */
	};

	return map[c >> 5] >> (c & 31) & 1;
}

bool http_token_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!http_tchar((uint8_t)s.p[i]))
			return false;
	return s.n > 0;
}

/* Length of the element at the start of <s>: up to a comma outside of quotes, or the end. */
static size_t http_list_elem_len(struct str s)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && quoted)
			i++; /* a quoted pair: the next byte has no meaning */
		else if (c == ',' && !quoted)
			break;
	}
	return MIN(i, s.n);
}

bool http_list_next(struct str *rest, struct str *elem)
{
	while (rest->n) {
		size_t len = http_list_elem_len(*rest);
		struct str e = str_trim(str_n(rest->p, len));
		size_t skip = len + (len < rest->n);

		rest->p += skip;
		rest->n -= skip;
		if (e.n) {
			*elem = e;
			return true;
		}
	}
	return false;
}

bool http_list_has(struct str list, struct str token)
{
	struct str e;

	while (http_list_next(&list, &e))
		if (str_ieq(e, token))
			return true;
	return false;
}

/* ---- headers ---- */

const struct http_hdr *http_hdr_find(const struct http_head *h, struct str name, unsigned *pos)
{
	for (unsigned i = *pos; i < h->nb_hdr; i++) {
		if (str_ieq(h->hdr[i].name, name)) {
			*pos = i + 1;
			return &h->hdr[i];
		}
	}
	*pos = h->nb_hdr;
	return NULL;
}

bool http_hdr_add(struct http_head *h, struct str name, struct str value)
{
	if (h->nb_hdr >= h->max_hdr)
		return false;
	h->hdr[h->nb_hdr++] = (struct http_hdr){ .name = name, .value = value };
	return true;
}

void http_hdr_del_at(struct http_head *h, unsigned idx)
{
	h->nb_hdr--;
	memmove(&h->hdr[idx], &h->hdr[idx + 1], (h->nb_hdr - idx) * sizeof(*h->hdr));
}

/* Removes the headers called <name> from index <from> on, in one pass. */
static unsigned http_hdr_del_from(struct http_head *h, struct str name, unsigned from)
{
	unsigned to = from, nb = h->nb_hdr;

	for (unsigned i = from; i < nb; i++)
		if (!str_ieq(h->hdr[i].name, name))
			h->hdr[to++] = h->hdr[i];
	h->nb_hdr = to;
	return nb - to;
}

unsigned http_hdr_del(struct http_head *h, struct str name)
{
	return http_hdr_del_from(h, name, 0);
}

bool http_hdr_set(struct http_head *h, struct str name, struct str value)
{
	unsigned pos = 0;

	if (!http_hdr_find(h, name, &pos))
		return http_hdr_add(h, name, value);
	h->hdr[pos - 1] = (struct http_hdr){ .name = name, .value = value };
	http_hdr_del_from(h, name, pos);
	return true;
}

/* ---- the URI ---- */

/* The parts of a request target (RFC 9112 3.2). Absent parts are null. */
struct http_target {
	struct str authority; /* absolute and authority form */
	struct str rest;      /* path and query; null in authority form */
};

static struct http_target http_target_split(const struct http_head *h)
{
	struct http_target t = { .rest = h->uri };
	size_t scheme, auth;

	if (h->meth == HTTP_METH_CONNECT)
		return (struct http_target){ .authority = h->uri };
	if (!h->uri.n || h->uri.p[0] == '/' || h->uri.p[0] == '*')
		return t;

	for (scheme = 0; scheme < h->uri.n && h->uri.p[scheme] != ':'; scheme++)
		;
	if (!str_begins(str_n(h->uri.p + scheme, h->uri.n - scheme), STR("://")))
		return t;
	auth = scheme + 3;
	t.authority = str_n(h->uri.p + auth, h->uri.n - auth);
	for (size_t i = 0; i < t.authority.n; i++)
		if (t.authority.p[i] == '/' || t.authority.p[i] == '?')
			t.authority.n = i;
	auth += t.authority.n;
	t.rest = str_n(h->uri.p + auth, h->uri.n - auth);
	return t;
}

struct str http_path(const struct http_head *h)
{
	struct str s = http_target_split(h).rest;
	const char *q = s.n ? memchr(s.p, '?', s.n) : NULL;

	if (h->meth == HTTP_METH_CONNECT)
		return STR("");
	if (q)
		s.n = (size_t)(q - s.p);
	return s.n ? s : STR("/");
}

struct str http_query(const struct http_head *h)
{
	struct str s = http_target_split(h).rest;
	const char *q = s.n ? memchr(s.p, '?', s.n) : NULL;

	return q ? str_n(q + 1, s.n - (size_t)(q + 1 - s.p)) : STR_NULL;
}

struct str http_host(const struct http_head *h)
{
	struct str auth = http_target_split(h).authority;
	const struct http_hdr *hdr;
	unsigned pos = 0;

	if (auth.p)
		return auth;
	hdr = http_hdr_find(h, STR("host"), &pos);
	return hdr ? hdr->value : STR_NULL;
}
