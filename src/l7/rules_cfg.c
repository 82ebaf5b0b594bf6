/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rules_cfg.c - acl, rule sets, use_backend, errorfile in proxies
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "l7/cfg_priv.h"
#include "l7/reply.h"
#include "l7/stream_priv.h"

#define SECTIONS_RULES (CFG_FRONTEND | CFG_BACKEND | CFG_LISTEN)

static int px_parse_acl(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	return acl_parse_line(ln, &px->acls);
}

static void px_warn_mode(struct cfg_line *ln, const struct cfg_kw *kw)
{
	const struct px_cfg *px = ln->obj;

	if (px->mode != PX_HTTP)
		cfg_hint(ln, "'%s' has an effect in mode http only.", kw->word);
}

static int px_parse_http_request(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	px_warn_mode(ln, kw);
	return rule_parse(ln, 1, RS_HTTP_REQ, kw->word, &px->http_req, &px->acls);
}

static int px_parse_http_response(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	px_warn_mode(ln, kw);
	return rule_parse(ln, 1, RS_HTTP_RES, kw->word, &px->http_res, &px->acls);
}

static int px_parse_tcp_conn(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (!(px->caps & PX_CAP_FE))
		return cfg_err(ln, "'%s' rules are not allowed in '%s' sections.", kw->word, px->kind);
	return rule_parse(ln, 2, RS_TCP_CONN, kw->word, &px->tcp_conn, &px->acls);
}

static int px_parse_tcp_content(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	return rule_parse(ln, 2, RS_TCP_CONTENT, kw->word, &px->tcp_req, &px->acls);
}

static int px_parse_tcp_session(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (!(px->caps & PX_CAP_FE))
		return cfg_err(ln, "'%s' rules are not allowed in '%s' sections.", kw->word, px->kind);
	return rule_parse(ln, 2, RS_TCP_SESS, kw->word, &px->tcp_sess, &px->acls);
}

static int px_parse_tcp_res(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (!(px->caps & PX_CAP_BE))
		return cfg_err(ln, "'%s' rules are not allowed in '%s' sections.", kw->word, px->kind);
	return rule_parse(ln, 2, RS_TCP_RES, kw->word, &px->tcp_res, &px->acls);
}

/* A backend name that may hold %[...]: then it is computed for each request. */
static int use_be_name(struct cfg_line *ln, struct use_be *u)
{
	char *err = NULL;

	u->name = cfg_strdup(ln, ln->args[1]);
	if (!strstr(u->name, "%["))
		return 0;
	u->lf = logformat_parse(u->name, SMP_AT_L4 | SMP_AT_REQ | SMP_AT_HREQ | SMP_AT_HREQP, &l7_lf_source,
				&ln->ep->arena, &err);
	return u->lf ? 0 : cfg_err_take(ln, "'use_backend'", &err);
}

static int px_parse_use_backend(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;
	struct use_be *u = cfg_zalloc(ln, sizeof(*u));
	char *err = NULL;

	if (!u)
		return cfg_err(ln, "out of memory");
	if (ln->argc < 2)
		return cfg_err(ln, "'use_backend' expects a backend name.");
	u->file = ln->file;
	u->line = ln->line;
	if (use_be_name(ln, u) < 0)
		return -1;
	if (ln->argc > 2) {
		if (strcmp(ln->args[2], "if") != 0 && strcmp(ln->args[2], "unless") != 0)
			return cfg_err(ln, "unexpected keyword '%s' after 'use_backend %s', only 'if' and 'unless' are "
					   "allowed.", ln->args[2], u->name);
		u->cond = cond_parse(&px->acls, &ln->ep->arena, ln->argc - 2, ln->args + 2, &err);
		if (!u->cond)
			return cfg_err_take(ln, "error detected while parsing switching rule", &err);
	}
	list_add_tail(&px->use_backends, &u->node);
	return 0;
}

#define ERRORFILE_MAX 16384

static int px_parse_errorfile(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;
	int idx = reply_index(atoi(ln->args[1]));
	char *text;
	size_t n;
	FILE *f;

	if (ln->argc != 3)
		return cfg_err(ln, "'errorfile' expects <status_code> and <file> as arguments.");
	if (idx < 0)
		return cfg_err(ln, "'errorfile' : status code '%s' is not one that is answered here.", ln->args[1]);
	if (strcmp(ln->args[2], "/dev/null") == 0) {
		px->errorfile[idx] = str_n("", 0);
		return 0;
	}
	f = fopen(ln->args[2], "re");
	if (!f)
		return cfg_err(ln, "'errorfile' : cannot open '%s' (%s).", ln->args[2], strerror(errno));
	text = cfg_zalloc(ln, ERRORFILE_MAX + 1);
	n = text ? fread(text, 1, ERRORFILE_MAX + 1, f) : 0;
	fclose(f);
	if (!n || n > ERRORFILE_MAX)
		return cfg_err(ln, "'errorfile' : '%s' is empty or longer than %d bytes.", ln->args[2], ERRORFILE_MAX);
	px->errorfile[idx] = str_n(text, n);
	return 0;
}

static int px_parse_inspect(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct px_cfg *px = ln->obj;

	if (ln->argc != 3)
		return cfg_err(ln, "'%s' expects a time.", kw->word);
	return cfg_time_arg(ln, kw->word, ln->args[2], kw->word[4] == 'r' && kw->word[6] == 'q' ? &px->inspect_ms
											       : &px->res_inspect_ms);
}

static struct cfg_kw rules_kws[] = {
	{ .word = "acl", .sections = SECTIONS_RULES, .parse = px_parse_acl,
	  .usage = "acl <name> <fetch> [<flags>] <value>...", .help = "names a test" },
	{ .word = "http-request", .sections = SECTIONS_RULES, .parse = px_parse_http_request,
	  .usage = "http-request <action> [<args>] [if|unless <cond>]", .help = "what is done with requests" },
	{ .word = "http-response", .sections = SECTIONS_RULES, .parse = px_parse_http_response,
	  .usage = "http-response <action> [<args>] [if|unless <cond>]", .help = "what is done with responses" },
	{ .word = "tcp-request connection", .sections = SECTIONS_RULES, .parse = px_parse_tcp_conn,
	  .usage = "tcp-request connection <action> [if|unless <cond>]", .help = "at accept" },
	{ .word = "tcp-request content", .sections = SECTIONS_RULES, .parse = px_parse_tcp_content,
	  .usage = "tcp-request content <action> [if|unless <cond>]", .help = "on the first bytes" },
	{ .word = "tcp-request session", .sections = SECTIONS_RULES, .parse = px_parse_tcp_session,
	  .usage = "tcp-request session <action> [if|unless <cond>]", .help = "once the client's connection is complete" },
	{ .word = "tcp-request inspect-delay", .sections = CFG_PROXIES, .parse = px_parse_inspect,
	  .usage = "tcp-request inspect-delay <time>", .help = "how long content rules wait for bytes" },
	{ .word = "tcp-response content", .sections = SECTIONS_RULES, .parse = px_parse_tcp_res,
	  .usage = "tcp-response content <action> [if|unless <cond>]", .help = "on the server's first bytes" },
	{ .word = "tcp-response inspect-delay", .sections = CFG_PROXIES, .parse = px_parse_inspect,
	  .usage = "tcp-response inspect-delay <time>", .help = "how long tcp-response content rules wait" },
	{ .word = "use_backend", .sections = CFG_FRONTEND | CFG_LISTEN, .parse = px_parse_use_backend,
	  .usage = "use_backend <name> [if|unless <cond>]", .help = "the backend, by the first condition that holds" },
	{ .word = "errorfile", .sections = CFG_PROXIES, .parse = px_parse_errorfile,
	  .usage = "errorfile <code> <file>", .help = "a file sent instead of a built-in answer" },
	{ 0 },
};

INITCALL px_rules_register(void)
{
	cfg_register_keywords(rules_kws);
}
