/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h1.c - heads of HTTP/1.x messages (RFC 9112): reading and writing
 *
 * Reading takes two passes. The first looks for the empty line, line by line with memchr(), and goes on where the
 * last call stopped; on its way it checks the start line as soon as that is complete, so that nonsense is not
 * waited for. The second runs once, over the complete head, and makes the views: each byte costs one table lookup.
 * Nothing is allocated and nothing is copied.
 *
 * Strictness. What may be read in two ways is refused, because a message that two parties read differently is how
 * requests are smuggled. Where RFC 9110/9112 leave a choice, this is ours:
 *
 *   line ends         CRLF only. A bare LF, which 9112 2.2 lets a recipient accept, and a bare CR are errors.
 *   empty lines       before a request: skipped, up to H1_MAX_EMPTY_LINES (9112 2.2). Before a response: error.
 *   request line      exactly one SP between its parts (9112 3); no HTTP/0.9; a later minor of HTTP/1 is read as
 *                     1.1 (9110 2.5), another major is an error, and so is any other spelling.
 *   request target    the four forms of 9112 3.2, "*" for OPTIONS and authority for CONNECT only; printable ASCII
 *                     without "#"; no user information (9110 4.2.4).
 *   header lines      no folding (9112 5.2), no white space around the name (5.1), no control bytes but HTAB.
 *   Content-Length    digits only, below 2^63. Equal repetitions, in one line or several, are made one (9110 8.6)
 *                     and the head flagged HTTP_F_FIXED; different ones are an error.
 *   Transfer-Encoding one line, known codings, "chunked" once and last, also in responses (9112 6.1 would let
 *                     them end by close). Beside a Content-Length, which 9112 6.3 lets it override, or in
 *                     HTTP/1.0: an error, as for any message that may be an attempt at smuggling.
 *   Host              exactly one in HTTP/1.1, at most one in 1.0, of valid bytes (9112 3.2); equal to the
 *                     target's authority where that has one (default ports aside), instead of being overridden.
 *   CONNECT           has no content (9110 9.3.6): a length above 0 or a coding is an error.
 *
 * Header names that only other parties confuse ("transfer_encoding") pass as they are.
 *
 * HAProxy 2.6, tried with the same messages, is more lenient: it takes a bare LF as a line end, folded lines (as
 * spaces), control bytes in values, several blanks in the request line, targets of no form, a missing or malformed
 * Host, HTTP/1.0 with a coding; and of Content-Length and Transfer-Encoding together it drops the former.
 */
#include "proto/h1.h"

#define H1_MAX_CLEN ((uint64_t)INT64_MAX)

/* ---- bytes ---- */

#define C_TOKEN 0x01 /* tchar, RFC 9110 5.6.2 */
#define C_URI   0x02 /* printable ASCII but "#" */
#define C_TEXT  0x04 /* field-value and reason-phrase: HTAB, SP, VCHAR, obs-text */
#define C_HOST  0x08 /* uri-host and port, RFC 3986 3.2.2 */
#define C_DIGIT 0x10

#define C_ALNUM (C_TOKEN | C_URI | C_TEXT | C_HOST)

static const uint8_t h1_class[256] = {
	['\t'] = C_TEXT,
	[' '] = C_TEXT,
	['"'] = C_URI | C_TEXT,
	['#'] = C_TOKEN | C_TEXT,
	['/'] = C_URI | C_TEXT,
	['<'] = C_URI | C_TEXT,
	['>'] = C_URI | C_TEXT,
	['?'] = C_URI | C_TEXT,
	['@'] = C_URI | C_TEXT,
	['\\'] = C_URI | C_TEXT,
	['{'] = C_URI | C_TEXT,
	['}'] = C_URI | C_TEXT,
	['^'] = C_TOKEN | C_URI | C_TEXT,
	['`'] = C_TOKEN | C_URI | C_TEXT,
	['|'] = C_TOKEN | C_URI | C_TEXT,
	['('] = C_URI | C_TEXT | C_HOST,
	[')'] = C_URI | C_TEXT | C_HOST,
	[','] = C_URI | C_TEXT | C_HOST,
	[':'] = C_URI | C_TEXT | C_HOST,
	[';'] = C_URI | C_TEXT | C_HOST,
	['='] = C_URI | C_TEXT | C_HOST,
	['['] = C_URI | C_TEXT | C_HOST,
	[']'] = C_URI | C_TEXT | C_HOST,
	['!'] = C_ALNUM,
	['$'] = C_ALNUM,
	['%'] = C_ALNUM,
	['&'] = C_ALNUM,
	['\''] = C_ALNUM,
	['*'] = C_ALNUM,
	['+'] = C_ALNUM,
	['-'] = C_ALNUM,
	['.'] = C_ALNUM,
	['_'] = C_ALNUM,
	['~'] = C_ALNUM,
	['0' ... '9'] = C_ALNUM | C_DIGIT,
	['A' ... 'Z'] = C_ALNUM,
	['a' ... 'z'] = C_ALNUM,
	[0x80 ... 0xff] = C_TEXT,
};

static inline bool h1_is(char c, uint8_t class)
{
	return h1_class[(uint8_t)c] & class;
}

/* Length of the run of <class> at the start of <s>. */
static inline size_t h1_span(struct str s, uint8_t class)
{
	size_t i = 0;

	while (i < s.n && h1_is(s.p[i], class))
		i++;
	return i;
}

static inline struct str h1_skip(struct str s, size_t n)
{
	return str_n(s.p + n, s.n - n);
}

/* ---- errors ---- */

static const char *const h1_err_names[] = {
	[H1_OK] = "ok",
	[H1_E_EMPTY_LINES] = "too many empty lines before the request",
	[H1_E_METHOD] = "invalid method",
	[H1_E_URI] = "invalid request target",
	[H1_E_VERSION] = "unsupported protocol version",
	[H1_E_STATUS] = "invalid status code",
	[H1_E_REASON] = "invalid reason phrase",
	[H1_E_BARE_CR] = "CR without LF",
	[H1_E_BARE_LF] = "LF without CR",
	[H1_E_NUL] = "NUL byte",
	[H1_E_FOLD] = "folded header line",
	[H1_E_HDR_NAME] = "invalid header name",
	[H1_E_HDR_VALUE] = "invalid header value",
	[H1_E_HDR_COUNT] = "too many headers",
	[H1_E_CLEN] = "invalid content-length",
	[H1_E_CLEN_CONFLICT] = "different content-lengths",
	[H1_E_TE] = "unsupported transfer-encoding",
	[H1_E_TE_CLEN] = "both transfer-encoding and content-length",
	[H1_E_TE_10] = "transfer-encoding in HTTP/1.0",
	[H1_E_HOST] = "missing, repeated or invalid host",
	[H1_E_HOST_CONFLICT] = "host differs from the request target",
	[H1_E_CHUNK_SIZE] = "invalid chunk size",
	[H1_E_CHUNK_EXT] = "invalid chunk extension",
	[H1_E_CHUNK_END] = "chunk without CRLF at its end",
	[H1_E_TRAILER] = "trailer field that must not be one",
	[H1_E_TOO_LONG] = "too long",
};
static_assert(ARRAY_SIZE(h1_err_names) == H1_E_COUNT, "a name for each error");

const char *h1_err_name(enum h1_err e)
{
	return (unsigned)e < H1_E_COUNT ? h1_err_names[e] : "unknown error";
}

/* What a parsing step works on. Steps return an error and leave the place in <at>. */
struct h1_parse {
	struct http_head *head;
	const char *at;      /* the byte to blame */
	struct str host;     /* of the Host header */
	unsigned nb_te;      /* Transfer-Encoding lines */
	bool upgrade;        /* there is an Upgrade header */
	bool conn_upgrade;   /* there is "Connection: upgrade" */
};

static enum h1_err h1_fail(struct h1_parse *ps, const char *at, enum h1_err e)
{
	ps->at = at;
	return e;
}

/* The error for byte *p where it does not belong: what is dangerous anywhere has a name of its own. */
static enum h1_err h1_bad_byte(struct h1_parse *ps, const char *p, enum h1_err otherwise)
{
	return h1_fail(ps, p, *p == '\0' ? H1_E_NUL : *p == '\r' ? H1_E_BARE_CR : otherwise);
}

/* ---- request target ---- */

/* host [ ":" port ], also empty; an IPv6 address in brackets. */
static bool h1_authority_ok(struct str a)
{
	size_t host = h1_span(a, C_HOST), i;
	const char *end;

	if (host != a.n)
		return false;
	if (a.n && a.p[0] == '[') {
		end = memchr(a.p, ']', a.n);
		if (!end)
			return false;
		i = (size_t)(end - a.p) + 1;
	} else {
		for (i = 0; i < a.n && a.p[i] != ':'; i++)
			if (a.p[i] == '[' || a.p[i] == ']')
				return false;
	}
	if (i == a.n)
		return true;
	if (a.p[i] != ':')
		return false;
	a = h1_skip(a, i + 1);
	return h1_span(a, C_DIGIT) == a.n;
}

/* Without ":<port>", or an empty port. */
static struct str h1_strip_port(struct str a, struct str port)
{
	if (a.n > port.n && a.p[a.n - port.n - 1] == ':' && str_eq(h1_skip(a, a.n - port.n), port))
		a.n -= port.n + 1;
	else if (a.n && a.p[a.n - 1] == ':')
		a.n--;
	return a;
}

/* Do the target's authority, where it has one, and the Host header name the same? The scheme's default port may
 * be left out; CONNECT has no scheme, and its target must have a port where Host often has none. */
static bool h1_host_agrees(const struct http_head *h, struct str host)
{
	static const struct str http = STR("80"), https = STR("443");
	bool connect = h->meth == HTTP_METH_CONNECT;
	struct str auth = http_host(h), port;

	if (h->uri.p[0] == '/' || h->uri.p[0] == '*')
		return true;
	port = connect || (h->uri.n > 6 && strncasecmp(h->uri.p, "https:", 6) == 0) ? https : http;
	if (str_ieq(h1_strip_port(auth, port), h1_strip_port(host, port)))
		return true;
	return connect && str_ieq(h1_strip_port(auth, http), h1_strip_port(host, http));
}

/* The form of the target fits the method (RFC 9112 3.2). */
static bool h1_target_ok(const struct http_head *h)
{
	struct str u = h->uri, auth;
	size_t scheme;

	if (h->meth == HTTP_METH_CONNECT) {
		/* authority form: the port is not optional */
		return h1_authority_ok(u) && u.p[0] != ':' && memchr(u.p, ':', u.n) && h1_is(u.p[u.n - 1], C_DIGIT);
	}
	if (u.p[0] == '/')
		return true;
	if (u.p[0] == '*')
		return u.n == 1 && h->meth == HTTP_METH_OPTIONS;

	scheme = h1_span(u, C_TOKEN);
	if (!scheme || !str_begins(h1_skip(u, scheme), STR("://")))
		return false;
	auth = http_host(h);
	return auth.n && auth.p[0] != ':' && h1_authority_ok(auth);
}

/* ---- start line ---- */

/* The method's bytes, as far as they came: <line> need not be complete. Also for a part of a line, so that what
 * is not HTTP is refused without waiting for a line end that may never come. */
static enum h1_err h1_check_method(struct h1_parse *ps, struct str line, size_t *len)
{
	size_t n = h1_span(str_n(line.p, MIN(line.n, H1_MAX_METHOD + 1)), C_TOKEN);

	*len = n;
	if (n > H1_MAX_METHOD || (n < line.n && (n == 0 || line.p[n] != ' ')))
		return h1_fail(ps, line.p + n, H1_E_METHOD);
	return H1_OK;
}

/* "HTTP/1." DIGIT at the start of <s> */
static bool h1_version(struct http_head *h, struct str s)
{
	if (s.n < 8 || !str_begins(s, STR("HTTP/1.")) || !h1_is(s.p[7], C_DIGIT))
		return false;
	h->minor = s.p[7] != '0';
	return true;
}

/* <line>: without its CRLF */
static enum h1_err h1_request_line(struct h1_parse *ps, struct str line)
{
	struct http_head *h = ps->head;
	enum h1_err e;
	size_t n;

	e = h1_check_method(ps, line, &n);
	if (e)
		return e;
	if (n == line.n)
		return h1_fail(ps, line.p + n, H1_E_METHOD);
	h->method = str_n(line.p, n);
	h->meth = http_meth_parse(h->method);
	line = h1_skip(line, n + 1);

	n = h1_span(line, C_URI);
	if (n == 0 || (n < line.n && line.p[n] != ' '))
		return n < line.n ? h1_bad_byte(ps, line.p + n, H1_E_URI) : h1_fail(ps, line.p, H1_E_URI);
	h->uri = str_n(line.p, n);
	if (n == line.n) /* HTTP/0.9 */
		return h1_fail(ps, line.p + n, H1_E_VERSION);
	line = h1_skip(line, n + 1);

	if (line.n != 8 || !h1_version(h, line))
		return h1_fail(ps, line.p, H1_E_VERSION);
	if (!h1_target_ok(h))
		return h1_fail(ps, h->uri.p, H1_E_URI);
	return H1_OK;
}

/* As h1_check_method(), for a response: is what came the start of "HTTP/1."? */
static enum h1_err h1_check_version(struct h1_parse *ps, struct str line)
{
	struct str want = STR("HTTP/1.");
	size_t n = MIN(line.n, want.n);

	if (n && memcmp(line.p, want.p, n) != 0)
		return h1_fail(ps, line.p, H1_E_VERSION);
	return H1_OK;
}

/* The SP after the code may be missing where there is no reason: common, and read by all in the same way. */
static enum h1_err h1_status_line(struct h1_parse *ps, struct str line)
{
	struct http_head *h = ps->head;
	size_t n;

	if (!h1_version(h, line) || line.n < 9 || line.p[8] != ' ')
		return h1_fail(ps, line.p, H1_E_VERSION);
	line = h1_skip(line, 9);

	if (h1_span(line, C_DIGIT) != 3 || line.p[0] == '0' || (line.n > 3 && line.p[3] != ' '))
		return h1_fail(ps, line.p, H1_E_STATUS);
	h->status = (uint16_t)((line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0'));
	line = h1_skip(line, MIN(line.n, 4));

	n = h1_span(line, C_TEXT);
	if (n < line.n)
		return h1_bad_byte(ps, line.p + n, H1_E_REASON);
	h->reason = line;
	return H1_OK;
}

/* ---- headers that the parser must understand ---- */

/* One decimal number, RFC 9110 8.6. Sign, spaces inside, nothing at all: no. */
static bool h1_number(struct str s, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (!h1_is(s.p[i], C_DIGIT) || v > (H1_MAX_CLEN - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	*out = v;
	return s.n > 0;
}

/* Cuts the next comma-separated element off *rest, trimmed, empty ones included; for headers in which anything
 * unusual is suspicious. false: there was none left. */
static bool h1_list_cut(struct str *rest, struct str *elem)
{
	const char *comma;

	if (!rest->p)
		return false;
	comma = memchr(rest->p, ',', rest->n);
	*elem = str_trim(str_n(rest->p, comma ? (size_t)(comma - rest->p) : rest->n));
	*rest = comma ? str_n(comma + 1, rest->n - (size_t)(comma + 1 - rest->p)) : STR_NULL;
	return true;
}

/* Handlers see a header in place, as the last of the array; one they take out of it they set to a null name. */

static enum h1_err h1_on_clen(struct h1_parse *ps, struct http_hdr *hdr)
{
	struct http_head *h = ps->head;
	struct str rest = hdr->value, elem = STR_NULL, first = STR_NULL;
	bool known = h->flags & HTTP_F_CLEN;
	uint64_t v;

	while (h1_list_cut(&rest, &elem)) {
		if (!h1_number(elem, &v))
			return h1_fail(ps, hdr->value.p, H1_E_CLEN);
		if ((h->flags & HTTP_F_CLEN) && v != h->clen)
			return h1_fail(ps, hdr->value.p, H1_E_CLEN_CONFLICT);
		if (h->flags & HTTP_F_CLEN)
			h->flags |= HTTP_F_FIXED;
		else
			first = elem;
		h->flags |= HTTP_F_CLEN;
		h->clen = v;
	}
	if (known)
		hdr->name = STR_NULL;
	else
		hdr->value = first;
	return H1_OK;
}

static enum h1_err h1_on_te(struct h1_parse *ps, struct http_hdr *hdr)
{
	static const struct str codings[] = { STR("gzip"), STR("deflate"), STR("compress"), STR("x-gzip"),
					      STR("x-compress") };
	struct http_head *h = ps->head;
	struct str rest = hdr->value, elem = STR_NULL;

	if (ps->nb_te++)
		return h1_fail(ps, hdr->name.p, H1_E_TE);
	while (h1_list_cut(&rest, &elem)) {
		bool known = false;

		if (h->flags & HTTP_F_CHUNKED) /* something follows it */
			return h1_fail(ps, hdr->value.p, H1_E_TE);
		if (str_ieq(elem, STR("chunked"))) {
			h->flags |= HTTP_F_CHUNKED;
			continue;
		}
		for (size_t i = 0; i < ARRAY_SIZE(codings); i++)
			known |= str_ieq(elem, codings[i]);
		if (!known)
			return h1_fail(ps, hdr->value.p, H1_E_TE);
	}
	if (!(h->flags & HTTP_F_CHUNKED))
		return h1_fail(ps, hdr->value.p, H1_E_TE);
	return H1_OK;
}

static enum h1_err h1_on_host(struct h1_parse *ps, struct http_hdr *hdr)
{
	struct http_head *h = ps->head;

	if (h->is_response)
		return H1_OK;
	if ((h->flags & HTTP_F_HOST) || !h1_authority_ok(hdr->value))
		return h1_fail(ps, hdr->value.p, H1_E_HOST);
	h->flags |= HTTP_F_HOST;
	ps->host = hdr->value;
	return H1_OK;
}

static enum h1_err h1_on_connection(struct h1_parse *ps, struct http_hdr *hdr)
{
	struct str rest = hdr->value, elem;

	while (http_list_next(&rest, &elem)) {
		if (str_ieq(elem, STR("close")))
			ps->head->flags |= HTTP_F_CONN_CLOSE;
		else if (str_ieq(elem, STR("keep-alive")))
			ps->head->flags |= HTTP_F_CONN_KAL;
		else if (str_ieq(elem, STR("upgrade")))
			ps->conn_upgrade = true;
	}
	return H1_OK;
}

static enum h1_err h1_on_upgrade(struct h1_parse *ps, struct http_hdr *hdr)
{
	ps->upgrade |= hdr->value.n > 0;
	return H1_OK;
}

static enum h1_err h1_on_expect(struct h1_parse *ps, struct http_hdr *hdr)
{
	/* from an HTTP/1.0 client it is ignored, RFC 9110 10.1.1 */
	if (!ps->head->is_response && ps->head->minor >= 1 && http_list_has(hdr->value, STR("100-continue")))
		ps->head->flags |= HTTP_F_EXPECT_100;
	return H1_OK;
}

static const struct {
	struct str name;
	enum h1_err (*fn)(struct h1_parse *ps, struct http_hdr *hdr);
} h1_known[] = {
	{ STR("host"), h1_on_host },
	{ STR("expect"), h1_on_expect },
	{ STR("upgrade"), h1_on_upgrade },
	{ STR("connection"), h1_on_connection },
	{ STR("content-length"), h1_on_clen },
	{ STR("transfer-encoding"), h1_on_te },
};

/* What can only be told from all headers together. */
static enum h1_err h1_conclude(struct h1_parse *ps, const char *start)
{
	struct http_head *h = ps->head;

	if (ps->nb_te && h->minor == 0)
		return h1_fail(ps, start, H1_E_TE_10);
	if (ps->nb_te && (h->flags & HTTP_F_CLEN))
		return h1_fail(ps, start, H1_E_TE_CLEN);
	/* Upgrade is ignored in HTTP/1.0, RFC 9110 7.8 */
	if (ps->upgrade && ps->conn_upgrade && h->minor >= 1)
		h->flags |= HTTP_F_CONN_UPG;
	if (h->is_response)
		return H1_OK;

	if (!(h->flags & HTTP_F_HOST) && h->minor >= 1)
		return h1_fail(ps, start, H1_E_HOST);
	if (h->meth == HTTP_METH_CONNECT && ps->nb_te)
		return h1_fail(ps, start, H1_E_TE);
	if (h->meth == HTTP_METH_CONNECT && h->clen)
		return h1_fail(ps, start, H1_E_CLEN);
	if ((h->flags & HTTP_F_HOST) && !h1_host_agrees(h, ps->host))
		return h1_fail(ps, start, H1_E_HOST_CONFLICT);
	return H1_OK;
}

/* ---- header lines ---- */

/* One header line at <p>, of a complete head: a CRLF follows somewhere. *next is set past it. */
static enum h1_err h1_header_line(struct h1_parse *ps, const char *p, const char **next)
{
	struct http_head *h = ps->head;
	struct http_hdr *hdr;
	const char *q = p, *v;
	enum h1_err e = H1_OK;

	if (*p == ' ' || *p == '\t')
		return h1_fail(ps, p, H1_E_FOLD);
	while (h1_is(*q, C_TOKEN))
		q++;
	if (q == p || *q != ':')
		return h1_bad_byte(ps, q, H1_E_HDR_NAME);
	for (v = q + 1; h1_is(*v, C_TEXT); v++)
		;
	if (v[0] != '\r' || v[1] != '\n')
		return h1_bad_byte(ps, v, H1_E_HDR_VALUE);
	if (h->nb_hdr >= h->max_hdr)
		return h1_fail(ps, p, H1_E_HDR_COUNT);

	hdr = &h->hdr[h->nb_hdr++];
	hdr->name = str_n(p, (size_t)(q - p));
	hdr->value = str_trim(str_n(q + 1, (size_t)(v - q - 1)));
	*next = v + 2;
	for (size_t i = 0; i < ARRAY_SIZE(h1_known); i++) {
		if (str_ieq(hdr->name, h1_known[i].name)) {
			e = h1_known[i].fn(ps, hdr);
			break;
		}
	}
	if (!hdr->name.p)
		h->nb_hdr--;
	return e;
}

/* ---- finding the lines ---- */

enum h1_step { H1_STEP_DONE, H1_STEP_MORE, H1_STEP_FAIL };

/* Passes empty lines before the start line; sc->start is then known for good. */
static enum h1_step h1_skip_empty(struct h1_scan *sc, struct h1_parse *ps, struct str in, enum h1_err *e)
{
	while (!ps->head->is_response && sc->start < in.n && (in.p[sc->start] == '\r' || in.p[sc->start] == '\n')) {
		const char *p = in.p + sc->start;

		*e = H1_E_BARE_LF;
		if (*p == '\n')
			goto fail;
		if (sc->start + 1 == in.n)
			return H1_STEP_MORE;
		*e = H1_E_BARE_CR;
		if (p[1] != '\n')
			goto fail;
		*e = H1_E_EMPTY_LINES;
		if (sc->start >= 2 * H1_MAX_EMPTY_LINES)
			goto fail;
		sc->start += 2;
		continue;
	fail:
		*e = h1_fail(ps, p, *e);
		return H1_STEP_FAIL;
	}
	sc->seen = MAX(sc->seen, sc->start);
	return sc->start < in.n ? H1_STEP_DONE : H1_STEP_MORE;
}

/* The next line end from sc->seen on, which must be a CRLF. <eol>: where its CR is. */
static enum h1_step h1_next_line(struct h1_scan *sc, struct h1_parse *ps, struct str in, size_t *eol, enum h1_err *e)
{
	const char *lf = memchr(in.p + sc->seen, '\n', in.n - sc->seen);
	size_t at;

	if (!lf) {
		sc->seen = in.n;
		return H1_STEP_MORE;
	}
	at = (size_t)(lf - in.p);
	if (at == sc->start || in.p[at - 1] != '\r') {
		*e = h1_fail(ps, lf, H1_E_BARE_LF);
		return H1_STEP_FAIL;
	}
	*eol = at - 1;
	sc->seen = at + 1;
	return H1_STEP_DONE;
}

static enum h1_err h1_start_line(struct h1_parse *ps, const struct h1_scan *sc, const char *p, size_t eol)
{
	struct str line = str_n(p + sc->start, eol - sc->start);

	return ps->head->is_response ? h1_status_line(ps, line) : h1_request_line(ps, line);
}

/* Finds the end of the head: *end is where its empty line begins. The start line is parsed on the way. */
static enum h1_step h1_find_end(struct h1_scan *sc, struct h1_parse *ps, struct str in, size_t *end, enum h1_err *e)
{
	enum h1_step step;
	bool parsed = false;
	size_t eol = 0, n;

	if (!sc->line) {
		struct str line;

		step = h1_skip_empty(sc, ps, in, e);
		if (step != H1_STEP_DONE)
			return step;
		line = h1_skip(in, sc->start);
		*e = ps->head->is_response ? h1_check_version(ps, line) : h1_check_method(ps, line, &n);
		if (*e)
			return H1_STEP_FAIL;
		step = h1_next_line(sc, ps, in, &eol, e);
		if (step != H1_STEP_DONE)
			return step;
		*e = h1_start_line(ps, sc, in.p, eol);
		if (*e)
			return H1_STEP_FAIL;
		sc->line = (uint32_t)sc->seen;
		parsed = true;
	}
	do {
		step = h1_next_line(sc, ps, in, &eol, e);
		if (step != H1_STEP_DONE)
			return step;
	} while (in.p[eol - 1] != '\n');

	if (!parsed) /* in an earlier call: its views are gone */
		*e = h1_start_line(ps, sc, in.p, sc->line - 2);
	*end = eol;
	return *e ? H1_STEP_FAIL : H1_STEP_DONE;
}

static void h1_head_reset(struct http_head *h)
{
	*h = (struct http_head){ .is_response = h->is_response, .hdr = h->hdr, .max_hdr = h->max_hdr };
}

ssize_t h1_head_parse(struct h1_scan *sc, const char *p, size_t n, struct http_head *head, size_t *err_pos)
{
	struct h1_parse ps = { .head = head, .at = p };
	enum h1_err e = H1_OK;
	size_t end = 0;

	h1_head_reset(head);
	if (n > UINT32_MAX) {
		e = H1_E_TOO_LONG;
		goto fail;
	}
	switch (h1_find_end(sc, &ps, str_n(p, n), &end, &e)) {
	case H1_STEP_MORE: return 0;
	case H1_STEP_FAIL: goto fail;
	case H1_STEP_DONE: break;
	}
	for (const char *q = p + sc->line; q < p + end;) {
		e = h1_header_line(&ps, q, &q);
		if (e)
			goto fail;
	}
	e = h1_conclude(&ps, p + sc->start);
	if (e)
		goto fail;
	head->len = end + 2;
	return (ssize_t)head->len;
fail:
	if (err_pos)
		*err_pos = (size_t)(ps.at - p);
	return -(ssize_t)e;
}

/* ---- a guess ---- */

/* A method that servers know, in any case */
static bool h1_known_method(struct str s)
{
	char upper[8];

	if (s.n >= sizeof(upper))
		return false;
	for (size_t i = 0; i < s.n; i++)
		upper[i] = (char)(s.p[i] >= 'a' && s.p[i] <= 'z' ? s.p[i] - 32 : s.p[i]);
	return http_meth_parse(str_n(upper, s.n)) != HTTP_METH_OTHER;
}

/* Wider than what h1_head_parse() accepts, on purpose: where the answer decides whether a connection is judged as
 * HTTP, what a lenient server would still take for a request must not slip through as "something else". So: any
 * empty lines before it, a known method in any case with "/" or a scheme after it (also without version), or any
 * first line with "HTTP/" in it. White space before it counts as nothing. */
int h1_looks_like_request(const char *p, size_t n)
{
	const size_t enough = 4096; /* of the first line: without an end by then, one with a blank is taken for one */
	struct str s = str_n(p, n), t;
	const char *lf;
	size_t len;

	while (s.n && memchr("\r\n \t", s.p[0], 4))
		s = h1_skip(s, 1);
	s.n = MIN(s.n, enough);
	len = h1_span(s, C_TOKEN);
	if (len == s.n)
		return len < enough ? -1 : 0;
	if (len == 0 || (s.p[len] != ' ' && s.p[len] != '\t'))
		return 0;
	if (h1_known_method(str_n(s.p, len))) {
		t = str_trim(h1_skip(s, len));
		if (t.n && t.p[0] == '/')
			return 1;
		if (t.n >= 4 && strncasecmp(t.p, "http", 4) == 0)
			return 1;
	}
	lf = memchr(s.p, '\n', s.n);
	if (lf)
		s.n = (size_t)(lf - s.p);
	if (memmem(s.p, s.n, "HTTP/", 5))
		return 1;
	return lf ? 0 : s.n < enough ? -1 : 1;
}

/* ---- writing ---- */

/* Appends to memory that is known to be large enough. */
static char *h1_put(char *to, struct str s)
{
	if (s.n)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

/* The parts of the start line, without its CRLF; views into <tmp> or the head. */
static unsigned h1_start_parts(const struct http_head *h, char tmp[16], struct str part[5])
{
	struct str version = h->minor ? STR("HTTP/1.1") : STR("HTTP/1.0");

	if (!h->is_response) {
		part[0] = h->method;
		part[1] = STR(" ");
		part[2] = h->uri;
		part[3] = STR(" ");
		part[4] = version;
		return 5;
	}
	tmp[0] = ' ';
	tmp[1] = (char)('0' + h->status / 100 % 10);
	tmp[2] = (char)('0' + h->status / 10 % 10);
	tmp[3] = (char)('0' + h->status % 10);
	tmp[4] = ' '; /* also before an empty reason, RFC 9112 4 */
	part[0] = version;
	part[1] = str_n(tmp, 5);
	part[2] = h->reason;
	return 3;
}

bool h1_head_write(const struct http_head *head, struct buf *out)
{
	struct str part[5];
	char tmp[16], *to;
	unsigned nb = h1_start_parts(head, tmp, part);
	size_t need = 4; /* two CRLF */

	for (unsigned i = 0; i < nb; i++)
		need += part[i].n;
	for (unsigned i = 0; i < head->nb_hdr; i++)
		need += head->hdr[i].name.n + 2 + head->hdr[i].value.n + 2;
	if (need > buf_room(out))
		return false;
	if (need > buf_contig_room(out))
		buf_align(out);

	to = buf_tail(out);
	for (unsigned i = 0; i < nb; i++)
		to = h1_put(to, part[i]);
	to = h1_put(to, STR("\r\n"));
	for (unsigned i = 0; i < head->nb_hdr; i++) {
		to = h1_put(to, head->hdr[i].name);
		to = h1_put(to, STR(": "));
		to = h1_put(to, head->hdr[i].value);
		to = h1_put(to, STR("\r\n"));
	}
	h1_put(to, STR("\r\n"));
	out->data += need;
	return true;
}
