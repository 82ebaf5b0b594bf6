/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * http_act.c - actions of http-request and http-response that edit heads
 *
 * Names and values that rules add live in the transaction's arena. Framing
 * headers cannot be edited: what is written would not be what is passed.
 */
#include <stdlib.h>

#include "l7/stream_priv.h"
#include "policy/regex.h"

#define RS_HTTP (RS_HTTP_REQ | RS_HTTP_RES)
#define HDR_VALUE_MAX 8192

struct hdr_match {
	enum { HDR_STR, HDR_BEG, HDR_END, HDR_SUB, HDR_REG } how;
	struct str name;
	struct regex *re;
};

static unsigned act_at(const struct rule *r)
{
	return r->set == RS_HTTP_RES ? SMP_AT_L4 | SMP_AT_RES | SMP_AT_HRES | SMP_AT_HREQP
				     : SMP_AT_L4 | SMP_AT_REQ | SMP_AT_HREQ | SMP_AT_HREQP;
}

static struct http_head *act_head(const struct rule *r, struct policy_ctx *ctx)
{
	return r->set == RS_HTTP_RES ? ctx->res : ctx->req;
}

static bool hdr_is_framing(const char *name)
{
	static const char *const names[] = { "content-length", "transfer-encoding", "connection", "upgrade" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static int hdr_check_name(struct cfg_line *ln, const char *name)
{
	if (!http_token_ok(str_c(name)))
		return cfg_err(ln, "'%s %s' : '%s' is not a header name.", ln->args[0], ln->args[1], name);
	if (hdr_is_framing(name))
		return cfg_err(ln, "'%s %s' : '%s' tells how the message is framed and cannot be changed by rules.",
			       ln->args[0], ln->args[1], name);
	return 0;
}

/* <name> <fmt> */
static int act_parse_hdr(struct cfg_line *ln, int *pos, struct rule *r)
{
	char *err = NULL;

	if (*pos + 2 > ln->argc)
		return cfg_err(ln, "'%s %s' expects exactly 2 arguments: <name> and <fmt>.", ln->args[0], ln->args[1]);
	if (hdr_check_name(ln, ln->args[*pos]) < 0)
		return -1;
	r->arg[0] = cfg_strdup(ln, ln->args[*pos]);
	r->arg[1] = logformat_parse(ln->args[*pos + 1], act_at(r), &l7_lf_source, &ln->ep->arena, &err);
	if (!r->arg[1])
		return cfg_err_take(ln, "error detected in a header's format", &err);
	*pos += 2;
	return 0;
}

/* The format's text in the transaction's arena; null on no memory. */
struct str act_build(const struct logformat *lf, struct policy_ctx *ctx)
{
	const char *fixed = logformat_const(lf);
	char area[HDR_VALUE_MAX], *copy;
	struct buf b;

	if (fixed)
		return str_c(fixed);
	buf_wrap(&b, area, sizeof(area));
	logformat_build(lf, ctx, &b);
	copy = arena_strdup(ctx->tmp, buf_str(&b));
	return copy ? str_n(copy, b.data) : STR_NULL;
}

static enum act_ret act_edit_failed(struct policy_ctx *ctx)
{
	struct stream *s = ctx->owner;

	s->fe->c[PX_FE].rewrites_failed++;
	return ACT_RET_CONT;
}

static enum act_ret act_set_header(const struct rule *r, struct policy_ctx *ctx)
{
	struct http_head *h = act_head(r, ctx);
	struct str v = act_build(r->arg[1], ctx);

	if (!h || !v.p || !http_hdr_set(h, str_c(r->arg[0]), v))
		return act_edit_failed(ctx);
	return ACT_RET_CONT;
}

static enum act_ret act_add_header(const struct rule *r, struct policy_ctx *ctx)
{
	struct http_head *h = act_head(r, ctx);
	struct str v = act_build(r->arg[1], ctx);

	if (!h || !v.p || !http_hdr_add(h, str_c(r->arg[0]), v))
		return act_edit_failed(ctx);
	return ACT_RET_CONT;
}

/* ---- del-header ---- */

/* <name> [-m str|beg|end|sub|reg] */
static int act_parse_del(struct cfg_line *ln, int *pos, struct rule *r)
{
	static const char *const how[] = { "str", "beg", "end", "sub", "reg" };
	struct hdr_match *m = cfg_zalloc(ln, sizeof(*m));
	char *err = NULL;
	unsigned i = 0;

	if (!m)
		return cfg_err(ln, "out of memory");
	if (*pos >= ln->argc)
		return cfg_err(ln, "'%s del-header' expects <name> [-m <method>].", ln->args[0]);
	m->name = str_c(cfg_strdup(ln, ln->args[(*pos)++]));
	if (*pos < ln->argc && strcmp(ln->args[*pos], "-m") == 0) {
		const char *word = ln->args[*pos + 1];

		while (i < ARRAY_SIZE(how) && strcmp(how[i], word) != 0)
			i++;
		if (i == ARRAY_SIZE(how))
			return cfg_err(ln, "'%s del-header' : unsupported matching method '%s': 'str', 'beg', 'end', 'sub' and "
					   "'reg' are supported.", ln->args[0], word);
		*pos += 2;
	}
	m->how = i;
	if (m->how == HDR_REG && !(m->re = regex_compile(&ln->ep->arena, m->name.p, true, &err)))
		return cfg_err_take(ln, "'del-header -m reg'", &err);
	if (m->how == HDR_STR && hdr_check_name(ln, m->name.p) < 0)
		return -1;
	r->arg[0] = m;
	return 0;
}

static bool str_ibegins(struct str s, struct str p)
{
	return s.n >= p.n && strncasecmp(s.p, p.p, p.n) == 0;
}

static bool hdr_matches(const struct hdr_match *m, struct str name, struct policy_ctx *ctx)
{
	struct str p = m->name;

	switch (m->how) {
	case HDR_STR: return str_ieq(name, p);
	case HDR_BEG: return str_ibegins(name, p);
	case HDR_END: return name.n >= p.n && str_ieq(str_n(name.p + name.n - p.n, p.n), p);
	case HDR_REG: return regex_match(m->re, name, ctx);
	case HDR_SUB:
		for (size_t i = 0; i + p.n <= name.n; i++)
			if (str_ibegins(str_n(name.p + i, name.n - i), p))
				return true;
		return false;
	}
	return false;
}

static bool hdr_name_is_framing(struct str name)
{
	char text[32];

	if (name.n >= sizeof(text))
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return hdr_is_framing(text);
}

static enum act_ret act_del_header(const struct rule *r, struct policy_ctx *ctx)
{
	struct http_head *h = act_head(r, ctx);

	for (unsigned i = 0; h && i < h->nb_hdr;)
		if (hdr_matches(r->arg[0], h->hdr[i].name, ctx) && !hdr_name_is_framing(h->hdr[i].name))
			http_hdr_del_at(h, i);
		else
			i++;
	return ACT_RET_CONT;
}

static struct action_kw http_actions[] = {
	{ .name = "set-header", .sets = RS_HTTP, .parse = act_parse_hdr, .exec = act_set_header,
	  .usage = "set-header <name> <fmt>", .help = "one header of this name, with this value" },
	{ .name = "add-header", .sets = RS_HTTP, .parse = act_parse_hdr, .exec = act_add_header,
	  .usage = "add-header <name> <fmt>", .help = "one more header" },
	{ .name = "del-header", .sets = RS_HTTP, .parse = act_parse_del, .exec = act_del_header,
	  .usage = "del-header <name> [-m str|beg|end|sub|reg]", .help = "removes headers by name" },
	{ .name = "allow", .sets = RS_HTTP, .is_final = true, .usage = "allow", .help = "ends the rules of this set" },
	{ 0 },
};

INITCALL http_act_register(void)
{
	action_register(http_actions);
}
