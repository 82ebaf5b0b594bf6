/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fetches_http.c - the heads of HTTP messages
 *
 * All of these look at a struct http_head and do not care who parsed it: the
 * HTTP layer, or policy itself from held payload (pol_req_head()). Values are
 * views; only `base` and its like are put together in the evaluation's memory.
 *
 * Which value, when a name has several? Outside of ACLs hdr() gives the last
 * of all comma-separated values of all headers of that name, cook(name) the last
 * cookie, url_param() the first parameter; an occurrence can be asked for by
 * number. In ACLs every value is tried: then there is an iterator, whose `pos`
 * is the next header and `rest` what is left of the current one. Empty elements
 * of a list count ("a,,b" has three), as they do in HAProxy.
 */
#include "policy/policy_priv.h"

#include <ctype.h>
#include <stdio.h>

#define FETCH(fn)                                                                               \
	static enum smp_ret fn(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, \
			       struct smp_iter *it, struct sample *out)

/* ---- walking headers ---- */

/* The first element of the comma-separated list *rest, trimmed; rest->p is NULL after the last. Commas inside
 * "quoted strings" separate nothing. */
static struct str hdr_cut_value(struct str *rest)
{
	bool quoted = false;
	struct str elem = *rest;

	for (size_t i = 0; i < rest->n; i++) {
		char c = rest->p[i];

		if (c == '\\' && quoted && i + 1 < rest->n)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == ',' && !quoted) {
			elem.n = i;
			*rest = str_n(rest->p + i + 1, rest->n - i - 1);
			return str_trim(elem);
		}
	}
	*rest = STR_NULL;
	return str_trim(elem);
}

/* The next value of headers called <name> (empty: any); <full>: whole headers. */
static bool hdr_next(const struct http_head *h, struct str name, bool full, struct smp_iter *w,
		     struct str *out)
{
	while (!w->rest.p) {
		const struct http_hdr *hdr;

		if (w->pos >= h->nb_hdr)
			return false;
		hdr = &h->hdr[w->pos++];
		if (name.n && !str_ieq(hdr->name, name))
			continue;
		if (full) {
			*out = hdr->value;
			return true;
		}
		w->rest = str_n(hdr->value.p ? hdr->value.p : "", hdr->value.n);
	}
	*out = hdr_cut_value(&w->rest);
	return true;
}

static unsigned hdr_count(const struct http_head *h, struct str name, bool full)
{
	struct smp_iter w = { 0 };
	struct str v;
	unsigned n = 0;

	while (hdr_next(h, name, full, &w, &v))
		n++;
	return n;
}

/* Occurrence <occ>: 1 is the first, -1 the last. */
static bool hdr_occurrence(const struct http_head *h, struct str name, bool full, int64_t occ,
			   struct str *out)
{
	struct smp_iter w = { 0 };

	if (occ < 0)
		occ += (int64_t)hdr_count(h, name, full) + 1;
	if (occ < 1)
		return false;
	while (hdr_next(h, name, full, &w, out))
		if (--occ == 0)
			return true;
	return false;
}

/* hdr([name[,occ]]) and relatives */
static enum smp_ret hdr_fetch(const struct http_head *h, enum smp_ret why, const struct smp_arg *args,
			      int nb_args, struct smp_iter *it, struct str *out, bool full)
{
	struct str name = nb_args > 0 ? args[0].str : STR_NULL;
	int64_t occ = nb_args > 1 ? args[1].i : 0;

	if (!h)
		return why;
	if (occ || !it)
		return hdr_occurrence(h, name, full, occ ? occ : -1, out) ? SMP_FOUND : SMP_ABSENT;
	it->more = hdr_next(h, name, full, it, out);
	return it->more ? SMP_FOUND : SMP_ABSENT;
}

/* The address in a header's value: IPv4 with an optional port, IPv6, or IPv6 in brackets with an optional
 * port. */
static bool hdr_parse_ip(struct str s, struct addr *a)
{
	const char *end;
	uint64_t port;
	struct str tail;

	if (s.n > 1 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		s = str_n(s.p + 1, s.n - 2);
	if (addr_parse_ip(a, s) == 0)
		return true;
	if (s.n && s.p[0] == '[') {
		end = memchr(s.p, ']', s.n);
		if (!end || addr_parse_ip(a, str_n(s.p + 1, end - s.p - 1)) != 0 || a->family != AF_INET6)
			return false;
		tail = str_n(end + 1, s.n - (end + 1 - s.p));
		if (!tail.n)
			return true;
	} else {
		end = s.n ? memchr(s.p, ':', s.n) : NULL;
		if (!end || addr_parse_ip(a, str_n(s.p, end - s.p)) != 0)
			return false;
		tail = str_n(end, s.n - (end - s.p));
	}
	return tail.p[0] == ':' && str_to_uint(str_n(tail.p + 1, tail.n - 1), &port) == 0 && port <= 65535;
}

static enum smp_ret hdr_fetch_ip(const struct http_head *h, enum smp_ret why, const struct smp_arg *args,
				 int nb_args, struct smp_iter *it, struct sample *out)
{
	struct str v;

	do {
		enum smp_ret ret = hdr_fetch(h, why, args, nb_args, it, &v, false);

		if (ret != SMP_FOUND)
			return ret;
		if (hdr_parse_ip(v, &out->v.addr))
			return SMP_FOUND;
	} while (it && it->more);
	return SMP_ABSENT;
}

static enum smp_ret hdr_fetch_val(const struct http_head *h, enum smp_ret why, const struct smp_arg *args,
				  int nb_args, struct smp_iter *it, struct sample *out)
{
	struct str v;
	enum smp_ret ret = hdr_fetch(h, why, args, nb_args, it, &v, false);

	if (ret == SMP_FOUND)
		out->v.i = pol_atoi(v);
	return ret;
}

static enum smp_ret hdr_fetch_cnt(const struct http_head *h, enum smp_ret why, const struct smp_arg *args,
				  int nb_args, struct sample *out, bool full)
{
	if (!h)
		return why;
	out->v.i = hdr_count(h, nb_args > 0 ? args[0].str : STR_NULL, full);
	return SMP_FOUND;
}

/* "host,user-agent,accept": all names in order, as they came */
static enum smp_ret hdr_fetch_names(struct policy_ctx *ctx, const struct http_head *h, enum smp_ret why,
				    const struct smp_arg *args, int nb_args, struct sample *out)
{
	char delim = nb_args && args[0].str.n ? args[0].str.p[0] : ',';
	size_t n = 0;
	char *p;

	if (!h)
		return why;
	for (unsigned i = 0; i < h->nb_hdr; i++)
		n += h->hdr[i].name.n + 1;
	p = pol_tmp(ctx, n + 1);
	if (!p)
		return SMP_ABSENT;
	n = 0;
	for (unsigned i = 0; i < h->nb_hdr; i++) {
		if (i)
			p[n++] = delim;
		memcpy(p + n, h->hdr[i].name.p, h->hdr[i].name.n);
		n += h->hdr[i].name.n;
	}
	out->v.str = str_n(p, n);
	return SMP_FOUND;
}

/* The same six for either direction. */
#define HDR_FETCHES(dir)                                                         \
	FETCH(fetch_##dir##_hdr)                                                 \
	{                                                                        \
		enum smp_ret why;                                                \
		const struct http_head *h = pol_##dir##_head(ctx, &why);         \
		return hdr_fetch(h, why, args, nb_args, it, &out->v.str, false); \
	}                                                                        \
	FETCH(fetch_##dir##_fhdr)                                                \
	{                                                                        \
		enum smp_ret why;                                                \
		const struct http_head *h = pol_##dir##_head(ctx, &why);         \
		return hdr_fetch(h, why, args, nb_args, it, &out->v.str, true);  \
	}                                                                        \
	FETCH(fetch_##dir##_hdr_cnt)                                             \
	{                                                                        \
		enum smp_ret why;                                                \
		const struct http_head *h = pol_##dir##_head(ctx, &why);         \
		return hdr_fetch_cnt(h, why, args, nb_args, out, false);         \
	}                                                                        \
	FETCH(fetch_##dir##_fhdr_cnt)                                            \
	{                                                                        \
		enum smp_ret why;                                                \
		const struct http_head *h = pol_##dir##_head(ctx, &why);         \
		return hdr_fetch_cnt(h, why, args, nb_args, out, true);          \
	}                                                                        \
	FETCH(fetch_##dir##_hdr_ip)                                              \
	{                                                                        \
		enum smp_ret why;                                                \
		const struct http_head *h = pol_##dir##_head(ctx, &why);         \
		return hdr_fetch_ip(h, why, args, nb_args, it, out);             \
	}                                                                        \
	FETCH(fetch_##dir##_hdr_val)                                             \
	{                                                                        \
		enum smp_ret why;                                                \
		const struct http_head *h = pol_##dir##_head(ctx, &why);         \
		return hdr_fetch_val(h, why, args, nb_args, it, out);            \
	}                                                                        \
	FETCH(fetch_##dir##_hdr_names)                                           \
	{                                                                        \
		enum smp_ret why;                                                \
		const struct http_head *h = pol_##dir##_head(ctx, &why);         \
		return hdr_fetch_names(ctx, h, why, args, nb_args, out);         \
	}

HDR_FETCHES(req)
HDR_FETCHES(res)

/* hdr() means the message whose rules are running */
FETCH(fetch_hdr)
{
	return ctx->res ? fetch_res_hdr(ctx, args, nb_args, it, out)
			: fetch_req_hdr(ctx, args, nb_args, it, out);
}

/* ---- cookies ---- */

/* The first of the ';'- or ','-separated pieces of *rest; quotes protect both. */
static struct str cook_cut(struct str *rest)
{
	bool quoted = false;
	struct str s = *rest;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			quoted = !quoted;
		if (quoted || (s.p[i] != ';' && s.p[i] != ','))
			continue;
		*rest = str_n(s.p + i + 1, s.n - i - 1);
		return str_n(s.p, i);
	}
	*rest = STR_NULL;
	return s;
}

/* The next cookie called <name> (empty: any). Of a Set-Cookie only the first pair is a cookie. */
static bool cook_next(const struct http_head *h, struct str name, struct smp_iter *w, struct str *out)
{
	struct str header = h->is_response ? STR("Set-Cookie") : STR("Cookie");

	for (;;) {
		struct str pair, key;

		while (!w->rest.p) {
			const struct http_hdr *hdr = w->pos < h->nb_hdr ? &h->hdr[w->pos++] : NULL;

			if (!hdr)
				return false;
			if (str_ieq(hdr->name, header) && hdr->value.n)
				w->rest = hdr->value;
		}
		pair = cook_cut(&w->rest);
		if (h->is_response)
			w->rest = STR_NULL;
		if (!pair.n || !memchr(pair.p, '=', pair.n))
			continue;
		key = str_trim(str_cut(&pair, '='));
		if (name.n && !str_eq(key, name))
			continue;
		*out = str_trim(pair);
		return true;
	}
}

/* cook([name]): with an iterator each, else the last one of that name, or the first of all. */
static enum smp_ret cook_fetch(const struct http_head *h, enum smp_ret why, const struct smp_arg *args,
			       int nb_args, struct smp_iter *it, struct str *out)
{
	struct str name = nb_args ? args[0].str : STR_NULL, v;
	struct smp_iter w = { 0 };
	enum smp_ret ret = SMP_ABSENT;

	if (!h)
		return why;
	if (it) {
		it->more = cook_next(h, name, it, out);
		return it->more ? SMP_FOUND : SMP_ABSENT;
	}
	while ((ret == SMP_ABSENT || name.n) && cook_next(h, name, &w, &v)) {
		*out = v;
		ret = SMP_FOUND;
	}
	return ret;
}

static enum smp_ret cook_fetch_cnt(const struct http_head *h, enum smp_ret why, const struct smp_arg *args,
				   int nb_args, struct sample *out)
{
	struct smp_iter w = { 0 };
	struct str v;

	if (!h)
		return why;
	for (out->v.i = 0; cook_next(h, nb_args ? args[0].str : STR_NULL, &w, &v);)
		out->v.i++;
	return SMP_FOUND;
}

static enum smp_ret cook_fetch_val(const struct http_head *h, enum smp_ret why, const struct smp_arg *args,
				   int nb_args, struct smp_iter *it, struct sample *out)
{
	struct str v;
	enum smp_ret ret = cook_fetch(h, why, args, nb_args, it, &v);

	if (ret == SMP_FOUND)
		out->v.i = pol_atoi(v);
	return ret;
}

#define COOK_FETCHES(dir)                                                  \
	FETCH(fetch_##dir##_cook)                                          \
	{                                                                  \
		enum smp_ret why;                                          \
		const struct http_head *h = pol_##dir##_head(ctx, &why);   \
		return cook_fetch(h, why, args, nb_args, it, &out->v.str); \
	}                                                                  \
	FETCH(fetch_##dir##_cook_cnt)                                      \
	{                                                                  \
		enum smp_ret why;                                          \
		const struct http_head *h = pol_##dir##_head(ctx, &why);   \
		return cook_fetch_cnt(h, why, args, nb_args, out);         \
	}                                                                  \
	FETCH(fetch_##dir##_cook_val)                                      \
	{                                                                  \
		enum smp_ret why;                                          \
		const struct http_head *h = pol_##dir##_head(ctx, &why);   \
		return cook_fetch_val(h, why, args, nb_args, it, out);     \
	}

COOK_FETCHES(req)
COOK_FETCHES(res)

/* ---- the request line ---- */

/* From the first slash of the path on, with the query. p is NULL where the URI has no path: "*", an authority
 * (CONNECT), "http://host" (RFC 9112 3.2). */
static struct str uri_pathq(struct str uri)
{
	const char *p = uri.n ? memchr(uri.p, ':', uri.n) : NULL;
	size_t n;

	if (uri.n && uri.p[0] == '/')
		return uri;
	if (!p)
		return STR_NULL;
	n = uri.n - (p - uri.p);
	if (n < 3 || memcmp(p, "://", 3) != 0)
		return STR_NULL;
	for (p += 3, n -= 3; n && *p != '/'; p++, n--)
		if (*p == '?')
			return STR_NULL;
	return n ? str_n(p, n) : STR_NULL;
}

static struct str uri_path(struct str uri)
{
	struct str s = uri_pathq(uri);
	const char *q = s.p ? memchr(s.p, '?', s.n) : NULL;

	if (q)
		s.n = q - s.p;
	return s;
}

static enum smp_ret smp_view(struct str s, struct sample *out)
{
	out->v.str = s;
	return s.p ? SMP_FOUND : SMP_ABSENT;
}

FETCH(fetch_path)
{
	enum smp_ret why;
	const struct http_head *h = pol_req_head(ctx, &why);

	return h ? smp_view(uri_path(h->uri), out) : why;
}

FETCH(fetch_pathq)
{
	enum smp_ret why;
	const struct http_head *h = pol_req_head(ctx, &why);

	return h ? smp_view(uri_pathq(h->uri), out) : why;
}

FETCH(fetch_query)
{
	enum smp_ret why;
	const struct http_head *h = pol_req_head(ctx, &why);
	struct str s;

	if (!h)
		return why;
	s = h->uri;
	str_cut(&s, '?');
	return smp_view(s, out);
}

FETCH(fetch_url)
{
	enum smp_ret why;
	const struct http_head *h = pol_req_head(ctx, &why);

	return h ? smp_view(h->uri, out) : why;
}

/* the first Host header, then the path */
static enum smp_ret fetch_host_and(struct policy_ctx *ctx, bool query, struct sample *out)
{
	enum smp_ret why;
	const struct http_head *h = pol_req_head(ctx, &why);
	struct str host = STR(""), path;
	struct smp_iter w = { 0 };
	char *p;

	if (!h)
		return why;
	hdr_next(h, STR("host"), true, &w, &host);
	path = query ? uri_pathq(h->uri) : uri_path(h->uri);
	p = pol_tmp(ctx, host.n + path.n + 1);
	if (!p)
		return SMP_ABSENT;
	if (host.n)
		memcpy(p, host.p, host.n);
	if (path.n)
		memcpy(p + host.n, path.p, path.n);
	return smp_view(str_n(p, host.n + path.n), out);
}

FETCH(fetch_base)
{
	return fetch_host_and(ctx, false, out);
}

FETCH(fetch_baseq)
{
	return fetch_host_and(ctx, true, out);
}

FETCH(fetch_method)
{
	static const char *const names[] = {
		[HTTP_METH_OTHER] = "OTHER",     [HTTP_METH_GET] = "GET",     [HTTP_METH_HEAD] = "HEAD",
		[HTTP_METH_POST] = "POST",       [HTTP_METH_PUT] = "PUT",     [HTTP_METH_DELETE] = "DELETE",
		[HTTP_METH_OPTIONS] = "OPTIONS", [HTTP_METH_TRACE] = "TRACE", [HTTP_METH_CONNECT] = "CONNECT",
		[HTTP_METH_PATCH] = "PATCH",
	};
	const struct http_head *h;
	enum smp_ret why;

	if (!ctx->req && ctx->sent.known && ctx->sent.meth < ARRAY_SIZE(names))
		return smp_view(str_c(names[ctx->sent.meth]), out);
	h = pol_req_head(ctx, &why);
	return h ? smp_view(h->method, out) : why;
}

static enum smp_ret smp_version(unsigned minor, struct sample *out)
{
	return smp_view(minor ? STR("1.1") : STR("1.0"), out);
}

FETCH(fetch_req_ver)
{
	const struct http_head *h;
	enum smp_ret why;

	if (!ctx->req && ctx->sent.known)
		return smp_version(ctx->sent.minor, out);
	h = pol_req_head(ctx, &why);
	return h ? smp_version(h->minor, out) : why;
}

FETCH(fetch_res_ver)
{
	enum smp_ret why;
	const struct http_head *h = pol_res_head(ctx, &why);

	return h ? smp_version(h->minor, out) : why;
}

FETCH(fetch_status)
{
	enum smp_ret why;
	const struct http_head *h = pol_res_head(ctx, &why);

	if (!h)
		return why;
	out->v.i = h->status;
	return SMP_FOUND;
}

/* ---- parameters of the URL ---- */

/* The first "name=value" of *rest, which is cut at '&', ';' and <delim>. */
static bool param_next(struct str *rest, char delim, struct str name, struct str *value)
{
	while (rest->p) {
		struct str s = *rest, key;
		size_t i = 0;

		while (i < s.n && s.p[i] != '&' && s.p[i] != ';' && (!delim || s.p[i] != delim))
			i++;
		*rest = i < s.n ? str_n(s.p + i + 1, s.n - i - 1) : STR_NULL;
		s.n = i;
		if (!s.n || !memchr(s.p, '=', s.n))
			continue;
		key = str_cut(&s, '=');
		if (name.n && !str_eq(key, name))
			continue;
		*value = s;
		return true;
	}
	return false;
}

static enum smp_ret param_fetch(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args,
				struct smp_iter *it, struct str *out)
{
	char delim = nb_args > 1 && args[1].str.n ? args[1].str.p[0] : 0;
	struct smp_iter one = { 0 };
	enum smp_ret why;
	const struct http_head *h = pol_req_head(ctx, &why);

	if (!h)
		return why;
	if (!it)
		it = &one;
	if (!it->started) {
		it->started = true;
		it->rest = h->uri;
		str_cut(&it->rest, delim ? delim : '?');
	}
	it->more = param_next(&it->rest, delim, nb_args ? args[0].str : STR_NULL, out);
	return it->more ? SMP_FOUND : SMP_ABSENT;
}

FETCH(fetch_urlp)
{
	return param_fetch(ctx, args, nb_args, it, &out->v.str);
}

FETCH(fetch_urlp_val)
{
	struct str v;
	enum smp_ret ret = param_fetch(ctx, args, nb_args, it, &v);

	if (ret == SMP_FOUND)
		out->v.i = pol_atoi(v);
	return ret;
}

#define OF_REQ SMP_AT_HREQ
#define OF_RES SMP_AT_HRES
#define KEPT   (SMP_AT_HREQ | SMP_AT_HREQP)

static struct smp_fetch_kw fetches_http[] = {
	{ "method", SMP_T_METH, KEPT, NULL, fetch_method, "the request's method" },
	{ "path", SMP_T_STR, OF_REQ, NULL, fetch_path,
	  "the URL from its path's first slash up to the question mark" },
	{ "pathq", SMP_T_STR, OF_REQ, NULL, fetch_pathq, "the path with the query string" },
	{ "query", SMP_T_STR, OF_REQ, NULL, fetch_query, "what follows the URL's question mark" },
	{ "url", SMP_T_STR, OF_REQ, NULL, fetch_url, "the URL as it was sent" },
	{ "base", SMP_T_STR, OF_REQ, NULL, fetch_base, "the first Host header followed by the path" },
	{ "baseq", SMP_T_STR, OF_REQ, NULL, fetch_baseq,
	  "the first Host header followed by path and query string" },
	{ "req.ver", SMP_T_STR, KEPT, NULL, fetch_req_ver, "the request's HTTP version: 1.0 or 1.1" },
	{ "req_ver", SMP_T_STR, KEPT, NULL, fetch_req_ver, "old name of req.ver" },
	{ "hdr", SMP_T_STR, OF_REQ | OF_RES, "SI", fetch_hdr,
	  "req.hdr where requests are handled, res.hdr where responses are; in ACLs always req.hdr" },
	{ "req.hdr", SMP_T_STR, OF_REQ, "SI", fetch_req_hdr,
	  "a comma-separated value of a request header: name, occurrence (1 first, -1 last; default last)" },
	{ "req.fhdr", SMP_T_STR, OF_REQ, "SI", fetch_req_fhdr,
	  "the same for whole headers, commas included" },
	{ "req.hdr_cnt", SMP_T_SINT, OF_REQ, "S", fetch_req_hdr_cnt, "how many values req.hdr has" },
	{ "hdr_cnt", SMP_T_SINT, OF_REQ, "S", fetch_req_hdr_cnt, "old name of req.hdr_cnt" },
	{ "req.fhdr_cnt", SMP_T_SINT, OF_REQ, "S", fetch_req_fhdr_cnt,
	  "how many headers of that name there are" },
	{ "req.hdr_ip", SMP_T_ADDR, OF_REQ, "SI", fetch_req_hdr_ip,
	  "the address in a request header's value, with or without port" },
	{ "hdr_ip", SMP_T_ADDR, OF_REQ, "SI", fetch_req_hdr_ip, "old name of req.hdr_ip" },
	{ "req.hdr_val", SMP_T_SINT, OF_REQ, "SI", fetch_req_hdr_val,
	  "a request header's value as an integer" },
	{ "hdr_val", SMP_T_SINT, OF_REQ, "SI", fetch_req_hdr_val, "old name of req.hdr_val" },
	{ "req.hdr_names", SMP_T_STR, OF_REQ, "S", fetch_req_hdr_names,
	  "the names of all request headers, separated by a comma or the given character" },
	{ "res.hdr", SMP_T_STR, OF_RES, "SI", fetch_res_hdr, "as req.hdr, of the response" },
	{ "shdr", SMP_T_STR, OF_RES, "SI", fetch_res_hdr, "old name of res.hdr" },
	{ "res.fhdr", SMP_T_STR, OF_RES, "SI", fetch_res_fhdr, "as req.fhdr, of the response" },
	{ "res.hdr_cnt", SMP_T_SINT, OF_RES, "S", fetch_res_hdr_cnt, "as req.hdr_cnt, of the response" },
	{ "res.fhdr_cnt", SMP_T_SINT, OF_RES, "S", fetch_res_fhdr_cnt, "as req.fhdr_cnt, of the response" },
	{ "res.hdr_ip", SMP_T_ADDR, OF_RES, "SI", fetch_res_hdr_ip, "as req.hdr_ip, of the response" },
	{ "res.hdr_val", SMP_T_SINT, OF_RES, "SI", fetch_res_hdr_val, "as req.hdr_val, of the response" },
	{ "res.hdr_names", SMP_T_STR, OF_RES, "S", fetch_res_hdr_names, "as req.hdr_names, of the response" },
	{ "req.cook", SMP_T_STR, OF_REQ, "S", fetch_req_cook,
	  "the value of the last cookie of that name; without name, of the first" },
	{ "cook", SMP_T_STR, OF_REQ, "S", fetch_req_cook, "old name of req.cook" },
	{ "req.cook_cnt", SMP_T_SINT, OF_REQ, "S", fetch_req_cook_cnt,
	  "how many cookies (of that name) were sent" },
	{ "cook_cnt", SMP_T_SINT, OF_REQ, "S", fetch_req_cook_cnt, "old name of req.cook_cnt" },
	{ "req.cook_val", SMP_T_SINT, OF_REQ, "S", fetch_req_cook_val, "a cookie's value as an integer" },
	{ "cook_val", SMP_T_SINT, OF_REQ, "S", fetch_req_cook_val, "old name of req.cook_val" },
	{ "res.cook", SMP_T_STR, OF_RES, "S", fetch_res_cook,
	  "the value of a cookie that the response sets" },
	{ "scook", SMP_T_STR, OF_RES, "S", fetch_res_cook, "old name of res.cook" },
	{ "res.cook_cnt", SMP_T_SINT, OF_RES, "S", fetch_res_cook_cnt, "how many cookies the response sets" },
	{ "res.cook_val", SMP_T_SINT, OF_RES, "S", fetch_res_cook_val,
	  "the value of such a cookie as an integer" },
	{ "url_param", SMP_T_STR, OF_REQ, "SS", fetch_urlp,
	  "a parameter of the URL: name (default: any), what it begins behind instead of '?'" },
	{ "urlp", SMP_T_STR, OF_REQ, "SS", fetch_urlp, "short for url_param" },
	{ "urlp_val", SMP_T_SINT, OF_REQ, "SS", fetch_urlp_val, "such a parameter as an integer" },
	{ "res.ver", SMP_T_STR, OF_RES, NULL, fetch_res_ver, "the response's HTTP version: 1.0 or 1.1" },
	{ "resp_ver", SMP_T_STR, OF_RES, NULL, fetch_res_ver, "old name of res.ver" },
	{ "status", SMP_T_SINT, OF_RES, NULL, fetch_status, "the response's status code" },
	{ NULL }
};

INITCALL fetches_http_register(void)
{
	smp_register_fetches(fetches_http);
}
