/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fetches_payload.c - what can be told from bytes that were not passed on yet
 *
 * At L3 the bytes are a turn's held packets, in a proxy the unread content of
 * a buffer. More may follow: as long as the context is not final, a fetch
 * that could answer otherwise with more bytes answers SMP_WAIT, or gives its
 * value and says that it may change (req.len).
 *
 * A ClientHello or an HTTP head in the payload is parsed once per payload and
 * kept in ctx->cache, whose memory is the evaluation's: ten rules that ask
 * for ten headers cost one parse. This is also how path, hdr() and all others of
 * fetches_http.c work where no layer above has parsed a request.
 */
#include "policy/policy_priv.h"

#include "cfg/epoch.h"
#include "proto/h1.h"
#include "proto/tls_hello.h"

#define PAYLOAD_MAX_HDR   101   /* as tune.http.maxhdr, when there is no configuration */
#define PAYLOAD_HELLO_MAX 16384 /* a hello split over records is put together in this much */

#define FETCH(fn)                                                                               \
	static enum smp_ret fn(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, \
			       struct smp_iter *it, struct sample *out)

/* ---- the cache ---- */

static bool payload_same(struct str a, struct str b)
{
	return a.p == b.p && a.n == b.n;
}

static void payload_check_cache(struct policy_ctx *ctx)
{
	if (!payload_same(ctx->cache.req, ctx->req_payload)) {
		ctx->cache.req = ctx->req_payload;
		ctx->cache.hello = ctx->cache.req_http = SEEN_NOT_TRIED;
	}
	if (!payload_same(ctx->cache.res, ctx->res_payload)) {
		ctx->cache.res = ctx->res_payload;
		ctx->cache.res_http = SEEN_NOT_TRIED;
	}
}

static enum smp_ret payload_why(int8_t seen, bool final)
{
	return seen == SEEN_YES ? SMP_FOUND : seen == SEEN_WAIT && !final ? SMP_WAIT : SMP_ABSENT;
}

/* ---- HTTP heads ---- */

static struct http_head *payload_head_new(struct policy_ctx *ctx, bool is_response)
{
	unsigned max = ctx->ep && ctx->ep->global.max_hdr ? ctx->ep->global.max_hdr : PAYLOAD_MAX_HDR;
	struct http_head *h = pol_tmp(ctx, sizeof(*h));

	if (!h)
		return NULL;
	h->hdr = pol_tmp(ctx, max * sizeof(h->hdr[0]));
	h->max_hdr = max;
	h->is_response = is_response;
	return h->hdr ? h : NULL;
}

/* Parses <s> into *head, which is made when there is none yet. */
static enum policy_seen payload_parse_head(struct policy_ctx *ctx, struct str s, bool is_response,
					   struct http_head **head)
{
	struct h1_scan scan = { 0 };
	size_t err_pos;
	ssize_t n;
	int like;

	if (!s.n)
		return SEEN_WAIT;
	if (!is_response) {
		like = h1_looks_like_request(s.p, s.n);
		if (like <= 0)
			return like < 0 ? SEEN_WAIT : SEEN_NO;
	} else if (memcmp(s.p, "HTTP/1.", MIN(s.n, (size_t)7)) != 0) {
		return SEEN_NO;
	}
	if (!*head)
		*head = payload_head_new(ctx, is_response);
	if (!*head)
		return SEEN_NO;
	n = h1_head_parse(&scan, s.p, s.n, *head, &err_pos);
	return n > 0 ? SEEN_YES : n == 0 ? SEEN_WAIT : SEEN_NO;
}

const struct http_head *pol_req_head(struct policy_ctx *ctx, enum smp_ret *why)
{
	if (ctx->req) {
		*why = SMP_FOUND;
		return ctx->req;
	}
	payload_check_cache(ctx);
	if (ctx->cache.req_http == SEEN_NOT_TRIED)
		ctx->cache.req_http = payload_parse_head(ctx, ctx->req_payload, false, &ctx->cache.req_head);
	*why = payload_why(ctx->cache.req_http, ctx->req_final);
	return *why == SMP_FOUND ? ctx->cache.req_head : NULL;
}

const struct http_head *pol_res_head(struct policy_ctx *ctx, enum smp_ret *why)
{
	if (ctx->res) {
		*why = SMP_FOUND;
		return ctx->res;
	}
	payload_check_cache(ctx);
	if (ctx->cache.res_http == SEEN_NOT_TRIED)
		ctx->cache.res_http = payload_parse_head(ctx, ctx->res_payload, true, &ctx->cache.res_head);
	*why = payload_why(ctx->cache.res_http, ctx->res_final);
	return *why == SMP_FOUND ? ctx->cache.res_head : NULL;
}

FETCH(fetch_proto_http)
{
	enum smp_ret why;

	out->v.b = pol_req_head(ctx, &why) != NULL;
	return why;
}

/* ---- ClientHello ---- */

static enum policy_seen payload_parse_hello(struct policy_ctx *ctx)
{
	struct str s = ctx->req_payload;
	uint8_t scratch[PAYLOAD_HELLO_MAX];
	struct tls_hello *h = ctx->cache.tls;
	char *alpn;
	int rc;

	if (!s.n)
		return SEEN_WAIT;
	if (s.p[0] != 0x16) /* handshake: spares everything below for all that is not TLS */
		return SEEN_NO;
	if (!h)
		h = ctx->cache.tls = pol_tmp(ctx, sizeof(*h));
	if (!h)
		return SEEN_NO;
	rc = tls_hello_parse((const uint8_t *)s.p, s.n, h, scratch, sizeof(scratch));
	if (rc <= 0)
		return rc == 0 ? SEEN_WAIT : SEEN_NO;
	if (h->alpn.n) { /* it may point into our stack */
		alpn = arena_strdup(ctx->tmp, h->alpn);
		h->alpn = alpn ? str_n(alpn, h->alpn.n) : STR_NULL;
	}
	return SEEN_YES;
}

static const struct tls_hello *pol_hello(struct policy_ctx *ctx, enum smp_ret *why)
{
	payload_check_cache(ctx);
	if (ctx->cache.hello == SEEN_NOT_TRIED)
		ctx->cache.hello = payload_parse_hello(ctx);
	*why = payload_why(ctx->cache.hello, ctx->req_final);
	return *why == SMP_FOUND ? ctx->cache.tls : NULL;
}

FETCH(fetch_req_ssl_sni)
{
	enum smp_ret why;
	const struct tls_hello *h = pol_hello(ctx, &why);

	if (!h)
		return why;
	if (!h->has_sni)
		return SMP_ABSENT;
	out->v.str = str_c(h->sni);
	return SMP_FOUND;
}

/* The version in the hello's own field, as HAProxy gives it: clients that offer TLS 1.3 say 3.3 there. */
FETCH(fetch_req_ssl_ver)
{
	const uint8_t *p = (const uint8_t *)ctx->req_payload.p;
	enum smp_ret why;
	const struct tls_hello *h = pol_hello(ctx, &why);
	uint16_t v;

	if (!h)
		return why;
	v = ctx->req_payload.n > 10 ? (uint16_t)(p[9] << 8 | p[10]) : h->version;
	out->v.i = (int64_t)(v >> 8) << 16 | (v & 0xff);
	return SMP_FOUND;
}

/* "h2,http/1.1" from RFC 7301's length-prefixed names */
FETCH(fetch_req_ssl_alpn)
{
	enum smp_ret why;
	const struct tls_hello *h = pol_hello(ctx, &why);
	size_t at = 0, n = 0;
	char *p;

	if (!h)
		return why;
	p = h->alpn.n ? pol_tmp(ctx, h->alpn.n) : NULL;
	if (!p)
		return SMP_ABSENT;
	while (at < h->alpn.n) {
		size_t len = (uint8_t)h->alpn.p[at++];

		if (len > h->alpn.n - at)
			break;
		if (n)
			p[n++] = ',';
		memcpy(p + n, h->alpn.p + at, len);
		n += len;
		at += len;
	}
	out->v.str = str_n(p, n);
	return SMP_FOUND;
}

FETCH(fetch_req_ssl_hello_type)
{
	enum smp_ret why;

	if (!pol_hello(ctx, &why))
		return why;
	out->v.i = 1;
	return SMP_FOUND;
}

FETCH(fetch_res_ssl_hello_type)
{
	const uint8_t *p = (const uint8_t *)ctx->res_payload.p;
	size_t n = ctx->res_payload.n, rec;

	if ((n > 0 && p[0] != 0x16) || (n > 1 && p[1] != 3))
		return SMP_ABSENT;
	if (n < 9)
		return ctx->res_final ? SMP_ABSENT : SMP_WAIT;
	rec = (size_t)p[3] << 8 | p[4];
	if (rec < 4)
		return SMP_ABSENT;
	if (n < 5 + MIN(rec, 4 + ((size_t)p[6] << 16 | (size_t)p[7] << 8 | p[8])))
		return ctx->res_final ? SMP_ABSENT : SMP_WAIT;
	out->v.i = p[5];
	return SMP_FOUND;
}

/* ---- raw bytes ---- */

static enum smp_ret payload_len(struct str s, bool final, struct sample *out)
{
	out->v.i = (int64_t)s.n;
	out->may_change = !final;
	return SMP_FOUND;
}

FETCH(fetch_req_len)
{
	return payload_len(ctx->req_payload, ctx->req_final, out);
}

FETCH(fetch_res_len)
{
	return payload_len(ctx->res_payload, ctx->res_final, out);
}

/* <off>, <len>; length 0: all there is from the offset on, which may grow */
static enum smp_ret payload_slice(struct str s, bool final, const struct smp_arg *args, struct sample *out)
{
	size_t off = (size_t)args[0].i, len = (size_t)args[1].i;

	if (off >= s.n || len > s.n - off)
		return final ? SMP_ABSENT : SMP_WAIT;
	out->v.str = str_n(s.p + off, len ? len : s.n - off);
	out->may_change = !len && !final;
	return SMP_FOUND;
}

static int check_payload(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	for (int i = 0; i < 2; i++)
		if (args[i].i < 0 || args[i].i > INT32_MAX)
			return pol_err(err, "argument %d: '%s' is out of range", i + 1, args[i].str.p);
	return 0;
}

FETCH(fetch_req_payload)
{
	return payload_slice(ctx->req_payload, ctx->req_final, args, out);
}

FETCH(fetch_res_payload)
{
	return payload_slice(ctx->res_payload, ctx->res_final, args, out);
}

FETCH(fetch_wait_end)
{
	bool response = ctx->res || ctx->res_payload.p;

	out->v.b = true;
	return (response ? ctx->res_final : ctx->req_final) ? SMP_FOUND : SMP_WAIT;
}

#define OF_REQ (SMP_AT_REQ | SMP_AT_HREQ)

static struct smp_fetch_kw fetches_payload[] = {
	{ "req.len", SMP_T_SINT, SMP_AT_REQ, NULL, fetch_req_len,
	  "the number of bytes of the request that are there; may still grow" },
	{ "req_len", SMP_T_SINT, SMP_AT_REQ, NULL, fetch_req_len, "old name of req.len" },
	{ "req.payload", SMP_T_BIN, SMP_AT_REQ, "ii", fetch_req_payload,
	  "bytes of the request: offset, length; length 0: all from the offset on", check_payload },
	{ "req.proto_http", SMP_T_BOOL, OF_REQ, NULL, fetch_proto_http,
	  "true when the request's bytes hold a valid HTTP/1 head" },
	{ "req_proto_http", SMP_T_BOOL, OF_REQ, NULL, fetch_proto_http, "old name of req.proto_http" },
	{ "req.ssl_sni", SMP_T_STR, SMP_AT_REQ, NULL, fetch_req_ssl_sni,
	  "the server name in a ClientHello that passes through, lower case" },
	{ "req_ssl_sni", SMP_T_STR, SMP_AT_REQ, NULL, fetch_req_ssl_sni, "old name of req.ssl_sni" },
	{ "req.ssl_ver", SMP_T_SINT, SMP_AT_REQ, NULL, fetch_req_ssl_ver,
	  "the version field of that ClientHello, major * 65536 + minor; TLS 1.2 and 1.3 both say 3.3", NULL,
	  SMP_KW_DOTTED },
	{ "req_ssl_ver", SMP_T_SINT, SMP_AT_REQ, NULL, fetch_req_ssl_ver, "old name of req.ssl_ver", NULL,
	  SMP_KW_DOTTED },
	{ "req.ssl_alpn", SMP_T_STR, SMP_AT_REQ, NULL, fetch_req_ssl_alpn,
	  "the protocols offered in that ClientHello, separated by commas" },
	{ "req.ssl_hello_type", SMP_T_SINT, SMP_AT_REQ, NULL, fetch_req_ssl_hello_type,
	  "1 when the request's bytes begin with a whole ClientHello" },
	{ "req_ssl_hello_type", SMP_T_SINT, SMP_AT_REQ, NULL, fetch_req_ssl_hello_type,
	  "old name of req.ssl_hello_type" },
	{ "res.len", SMP_T_SINT, SMP_AT_RES, NULL, fetch_res_len,
	  "the number of bytes of the response that are there; may still grow" },
	{ "res.payload", SMP_T_BIN, SMP_AT_RES, "ii", fetch_res_payload,
	  "bytes of the response: offset, length; length 0: all from the offset on", check_payload },
	{ "res.ssl_hello_type", SMP_T_SINT, SMP_AT_RES, NULL, fetch_res_ssl_hello_type,
	  "the type of the TLS handshake message that the response begins with (2: ServerHello)" },
	{ "rep_ssl_hello_type", SMP_T_SINT, SMP_AT_RES, NULL, fetch_res_ssl_hello_type,
	  "old name of res.ssl_hello_type" },
	{ "wait_end", SMP_T_BOOL, SMP_AT_REQ | SMP_AT_RES, NULL, fetch_wait_end,
	  "true once no more bytes will be waited for; not known before" },
	{ NULL }
};

INITCALL fetches_payload_register(void)
{
	smp_register_fetches(fetches_payload);
}
