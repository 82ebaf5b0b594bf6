/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * http_final.c - actions that answer: deny, return, redirect
 *
 * The answer is put into side[0].tx and the transaction ends with it. A deny
 * uses the built-in page or errorfile of its status; a return says itself what
 * it answers, perhaps with a body from a format or a file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "l7/stream_priv.h"
#include "policy/sticktable.h"

#define RS_HTTP       (RS_HTTP_REQ | RS_HTTP_RES)
#define RETURN_HDRS   16
#define RETURN_MAX    8192 /* bytes of a body */

struct ret_hdr {
	struct str name;
	struct logformat *value;
};

struct ret_spec {
	int status;
	bool denies;               /* counts as a refusal: deny, and return with an error page */
	bool page;                 /* the built-in page */
	struct str ctype, body;
	struct logformat *lf;      /* the body, when it is to be computed */
	struct ret_hdr hdr[RETURN_HDRS];
	unsigned nb_hdr;
};

static unsigned final_at(const struct rule *r)
{
	return r->set == RS_HTTP_RES ? SMP_AT_L4 | SMP_AT_RES | SMP_AT_HRES | SMP_AT_HREQP
				     : SMP_AT_L4 | SMP_AT_REQ | SMP_AT_HREQ | SMP_AT_HREQP;
}

/* ---- parsing ---- */

static int ret_word_status(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args)
{
	uint64_t v;

	if (cfg_parse_uint(args[1], &v) || v < 200 || v > 599)
		return cfg_err(ln, "'%s' : '%s' expects a status from 200 to 599, not '%s'.", ln->args[0], args[0], args[1]);
	sp->status = (int)v;
	return 0;
}

static int ret_word_ctype(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args)
{
	sp->ctype = str_c(cfg_strdup(ln, args[1]));
	return 0;
}

static int ret_word_string(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args)
{
	sp->body = str_c(cfg_strdup(ln, args[1]));
	return 0;
}

static int ret_lf(struct cfg_line *ln, struct rule *r, const char *text, struct logformat **out)
{
	char *err = NULL;

	*out = logformat_parse(text, final_at(r), &l7_lf_source, &ln->ep->arena, &err);
	return *out ? 0 : cfg_err_take(ln, "'return'", &err);
}

static int ret_word_lf_string(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args)
{
	return ret_lf(ln, r, args[1], &sp->lf);
}

static int ret_read_file(struct cfg_line *ln, const char *name, struct str *out)
{
	FILE *f = fopen(name, "re");
	char *text = cfg_zalloc(ln, RETURN_MAX + 1);
	size_t n;

	if (!f)
		return cfg_err(ln, "'return' : cannot open '%s' (%s).", name, strerror(errno));
	n = text ? fread(text, 1, RETURN_MAX + 1, f) : 0;
	fclose(f);
	if (n > RETURN_MAX)
		return cfg_err(ln, "'return' : '%s' is longer than %d bytes.", name, RETURN_MAX);
	*out = str_n(text, n);
	return 0;
}

static int ret_word_file(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args)
{
	return ret_read_file(ln, args[1], &sp->body);
}

static int ret_word_lf_file(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args)
{
	struct str text;

	if (ret_read_file(ln, args[1], &text) < 0)
		return -1;
	return ret_lf(ln, r, text.p, &sp->lf);
}

static int ret_word_hdr(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args)
{
	struct ret_hdr *h = &sp->hdr[sp->nb_hdr];

	if (sp->nb_hdr == RETURN_HDRS)
		return cfg_err(ln, "'%s' : more than %d headers.", ln->args[1], RETURN_HDRS);
	if (!http_token_ok(str_c(args[1])))
		return cfg_err(ln, "'%s' : '%s' is not a header name.", ln->args[1], args[1]);
	h->name = str_c(cfg_strdup(ln, args[1]));
	sp->nb_hdr++;
	return ret_lf(ln, r, args[2], &h->value);
}

static int ret_word_default(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args)
{
	sp->page = true;
	return 0;
}

struct ret_word {
	const char *word;
	int args;
	bool deny; /* valid for deny too */
	int (*parse)(struct cfg_line *ln, struct rule *r, struct ret_spec *sp, char **args);
};

static const struct ret_word ret_words[] = {
	{ "deny_status", 1, true, ret_word_status }, { "status", 1, true, ret_word_status },
	{ "content-type", 1, true, ret_word_ctype }, { "string", 1, true, ret_word_string },
	{ "lf-string", 1, true, ret_word_lf_string }, { "file", 1, true, ret_word_file },
	{ "lf-file", 1, true, ret_word_lf_file }, { "hdr", 2, true, ret_word_hdr },
	{ "default-errorfiles", 0, true, ret_word_default },
};

static const struct ret_word *ret_word_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(ret_words); i++)
		if (strcmp(ret_words[i].word, word) == 0)
			return &ret_words[i];
	return NULL;
}

static int ret_parse_words(struct cfg_line *ln, int *pos, struct rule *r, struct ret_spec *sp)
{
	while (*pos < ln->argc && strcmp(ln->args[*pos], "if") != 0 && strcmp(ln->args[*pos], "unless") != 0) {
		const struct ret_word *w = ret_word_find(ln->args[*pos]);

		if (!w)
			return cfg_err(ln, "'%s %s' : unknown keyword '%s'.", ln->args[0], ln->args[1], ln->args[*pos]);
		if (*pos + w->args >= ln->argc)
			return cfg_err(ln, "'%s %s' : '%s' expects %d argument%s.", ln->args[0], ln->args[1], w->word, w->args,
				       w->args > 1 ? "s" : "");
		if (w->parse(ln, r, sp, &ln->args[*pos]) < 0)
			return -1;
		*pos += 1 + w->args;
	}
	return 0;
}

static int act_parse_deny(struct cfg_line *ln, int *pos, struct rule *r)
{
	struct ret_spec *sp = cfg_zalloc(ln, sizeof(*sp));

	if (!sp)
		return cfg_err(ln, "out of memory");
	r->arg[0] = sp;
	sp->status = r->set == RS_HTTP_RES ? 502 : 403;
	sp->denies = true;
	if (ret_parse_words(ln, pos, r, sp) < 0)
		return -1;
	sp->page |= !sp->body.p && !sp->lf;
	if (sp->page && !reply_text(sp->status)) {
		int was = sp->status;

		sp->status = r->set == RS_HTTP_RES ? 502 : 403;
		cfg_warn(ln, "'%s deny' : status %d has no page of its own: %d is answered.", ln->args[0], was, sp->status);
	}
	return 0;
}

static int act_parse_return(struct cfg_line *ln, int *pos, struct rule *r)
{
	struct ret_spec *sp = cfg_zalloc(ln, sizeof(*sp));

	if (!sp)
		return cfg_err(ln, "out of memory");
	r->arg[0] = sp;
	sp->status = 200;
	if (ret_parse_words(ln, pos, r, sp) < 0)
		return -1;
	if ((sp->body.p || sp->lf) && !sp->ctype.p)
		return cfg_err(ln, "'%s return' : a body needs a 'content-type'.", ln->args[0]);
	if (sp->page && !reply_text(sp->status))
		return cfg_err(ln, "'%s return' : status %d has no page of its own.", ln->args[0], sp->status);
	return 0;
}

/* ---- answering ---- */

static bool ret_write_headers(struct policy_ctx *ctx, const struct ret_spec *sp, struct buf *out)
{
	for (unsigned i = 0; i < sp->nb_hdr; i++) {
		struct str v = act_build(sp->hdr[i].value, ctx);

		if (!buf_printf(out, "%.*s: %.*s\r\n", STR_ARG(sp->hdr[i].name), STR_ARG(v)))
			return false;
	}
	return true;
}

static bool ret_answer(struct stream *s, struct policy_ctx *ctx, const struct ret_spec *sp)
{
	struct buf *out = &s->side[0].tx;
	struct str body = sp->lf ? act_build(sp->lf, ctx) : sp->body;
	bool bare = sp->status == 204 || sp->status == 304;

	reply_decide_close(s);
	if (!reply_head(s, sp->status, NULL) || (!bare && !buf_printf(out, "content-length: %zu\r\n", body.n)) ||
	    (sp->ctype.p && body.n && !buf_printf(out, "content-type: %.*s\r\n", STR_ARG(sp->ctype))) ||
	    (sp->denies && !buf_putstr(out, STR("cache-control: no-cache\r\n"))) || !ret_write_headers(ctx, sp, out) ||
	    !reply_conn_header(s) || !buf_putstr(out, STR("\r\n")))
		return false;
	return bare || s->txn->meth == HTTP_METH_HEAD || buf_putstr(out, body);
}

static void ret_count(struct stream *s, const struct rule *r, const struct ret_spec *sp)
{
	bool res = r->set == RS_HTTP_RES;
	struct px_counters *c = res && s->be ? &s->be->c[PX_BE] : &s->fe->c[PX_FE];

	if (sp->denies) {
		if (res)
			c->denied_res++;
		else
			c->denied_req++;
		if (!res)
			stk_tracks_event(s->tracks, STK_EV_ERROR);
	} else {
		c->intercepted++;
	}
	stream_term(s, sp->denies ? 'P' : 'L', res ? 'H' : 'R');
}

static enum act_ret act_final(const struct rule *r, struct policy_ctx *ctx)
{
	const struct ret_spec *sp = r->arg[0];
	struct stream *s = ctx->owner;

	ret_count(s, r, sp);
	if (sp->page && !sp->nb_hdr) {
		reply_error(s, sp->status);
		return ACT_RET_DONE;
	}
	if (!ret_answer(s, ctx, sp))
		return ACT_RET_ERR;
	reply_finish(s, sp->status);
	return ACT_RET_DONE;
}

/* ---- redirect ---- */

enum redir_kind { REDIR_LOCATION, REDIR_PREFIX, REDIR_SCHEME };

struct redir_spec {
	enum redir_kind kind;
	struct logformat *to;
	int code;
	bool drop_query, append_slash;
};

static int redir_word(struct cfg_line *ln, int *pos, struct rule *r, struct redir_spec *sp)
{
	static const char *const kinds[] = { "location", "prefix", "scheme" };
	const char *word = ln->args[*pos], *value = ln->args[*pos + 1];

	for (int i = 0; i < 3; i++)
		if (strcmp(word, kinds[i]) == 0) {
			sp->kind = i;
			*pos += 2;
			return ret_lf(ln, r, value, &sp->to);
		}
	if (strcmp(word, "code") == 0) {
		sp->code = atoi(value);
		*pos += 2;
		return sp->code == 301 || sp->code == 302 || sp->code == 303 || sp->code == 307 || sp->code == 308
			       ? 0 : cfg_err(ln, "'redirect' : 'code' must be 301, 302, 303, 307 or 308, not '%s'.", value);
	}
	if (strcmp(word, "drop-query") == 0) {
		sp->drop_query = true;
		*pos += 1;
		return 0;
	}
	return cfg_err(ln, "'redirect' supports 'location', 'prefix', 'scheme', 'code' and 'drop-query' (got '%s').", word);
}

static int act_parse_redirect(struct cfg_line *ln, int *pos, struct rule *r)
{
	struct redir_spec *sp = cfg_zalloc(ln, sizeof(*sp));

	if (!sp)
		return cfg_err(ln, "out of memory");
	r->arg[0] = sp;
	sp->code = 302;
	while (*pos < ln->argc && strcmp(ln->args[*pos], "if") != 0 && strcmp(ln->args[*pos], "unless") != 0)
		if (redir_word(ln, pos, r, sp) < 0)
			return -1;
	return sp->to ? 0 : cfg_err(ln, "'redirect' needs one of 'location', 'prefix', 'scheme'.");
}

static bool redir_write_location(struct policy_ctx *ctx, const struct redir_spec *sp, struct buf *out)
{
	struct str to = act_build(sp->to, ctx), uri, host;
	struct http_head *h = ctx->req;

	if (sp->kind == REDIR_LOCATION || !h)
		return buf_printf(out, "location: %.*s\r\n", STR_ARG(to));
	uri = h->uri;
	if (uri.n && uri.p[0] != '/')
		uri = http_path(h);
	if (sp->drop_query)
		uri = str_cut(&uri, '?');
	host = sp->kind == REDIR_SCHEME ? http_host(h) : STR_NULL;
	return buf_printf(out, "location: %.*s%s%.*s%.*s\r\n", STR_ARG(to), sp->kind == REDIR_SCHEME ? "://" : "",
			  STR_ARG(host), STR_ARG(uri));
}

static enum act_ret act_redirect(const struct rule *r, struct policy_ctx *ctx)
{
	const struct redir_spec *sp = r->arg[0];
	struct stream *s = ctx->owner;
	struct buf *out = &s->side[0].tx;

	s->fe->c[PX_FE].intercepted++;
	stream_term(s, 'L', 'R');
	reply_decide_close(s);
	if (!reply_head(s, sp->code, NULL) || !buf_putstr(out, STR("content-length: 0\r\n")) ||
	    !redir_write_location(ctx, sp, out) ||
	    (sp->code < 303 && sp->code != 301 && !buf_putstr(out, STR("cache-control: no-cache\r\n"))) ||
	    !reply_conn_header(s) || !buf_putstr(out, STR("\r\n")))
		return ACT_RET_ERR;
	reply_finish(s, sp->code);
	return ACT_RET_DONE;
}

static struct action_kw final_actions[] = {
	{ .name = "deny", .sets = RS_HTTP, .is_final = true, .parse = act_parse_deny, .exec = act_final,
	  .usage = "deny [deny_status <code>] [content-type <t> string <s>] [hdr <name> <fmt>]",
	  .help = "refuses with an error page" },
	{ .name = "return", .sets = RS_HTTP, .is_final = true, .parse = act_parse_return, .exec = act_final,
	  .usage = "return [status <code>] [content-type <t>] [string <s>|lf-string <fmt>|file <f>|lf-file <f>] "
		   "[hdr <name> <fmt>]...",
	  .help = "answers by itself" },
	{ .name = "redirect", .sets = RS_HTTP_REQ, .is_final = true, .parse = act_parse_redirect, .exec = act_redirect,
	  .usage = "redirect location|prefix|scheme <fmt> [code <code>] [drop-query]", .help = "sends elsewhere" },
	{ 0 },
};

INITCALL http_final_register(void)
{
	action_register(final_actions);
}
