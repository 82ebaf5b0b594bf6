/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * opt_cfg.c - `option` and `no option` in proxies
 *
 * The table says of each word of HAProxy's what it does here: sets a bit, has
 * arguments of its own, is always so, is ignored with a warning, or is refused.
 */
#include <stdlib.h>

#include "l7/cfg_priv.h"

enum opt_kind {
	OPT_BIT,     /* sets a bit */
	OPT_ALWAYS,  /* this is how we work anyway */
	OPT_IGNORED, /* no effect: warned about */
	OPT_REFUSED, /* would change what happens: error */
};

struct px_option {
	const char *word;
	enum opt_kind kind;
	uint32_t bit, clears; /* `option` sets bit and clears others */
	unsigned cap;         /* where it has an effect */
	int (*args)(struct cfg_line *ln, struct px_cfg *px);
};

static int opt_args_none(struct cfg_line *ln, struct px_cfg *px)
{
	if (ln->argc > 2)
		return cfg_err(ln, "'option %s' cannot handle unexpected argument '%s'.", ln->args[1], ln->args[2]);
	return 0;
}

static int opt_args_httplog(struct cfg_line *ln, struct px_cfg *px)
{
	px->opt &= ~PX_OPT_CLFLOG;
	if (ln->argc > 2 && strcmp(ln->args[2], "clf") == 0)
		px->opt |= PX_OPT_CLFLOG;
	else if (ln->argc > 2)
		return cfg_err(ln, "'option httplog' only supports 'clf' (got '%s').", ln->args[2]);
	px->lf_text = NULL;
	return 0;
}

static int opt_args_tcplog(struct cfg_line *ln, struct px_cfg *px)
{
	px->lf_text = NULL;
	return opt_args_none(ln, px);
}

static int opt_args_redispatch(struct cfg_line *ln, struct px_cfg *px)
{
	px->redispatch_every = 0;
	if (ln->argc == 2)
		return 0;
	int n = atoi(ln->args[2]);

	if (ln->argc > 3 || (n == 0 && strcmp(ln->args[2], "0") != 0))
		return cfg_err(ln, "'option redispatch' expects an optional number (got '%s').", ln->args[2]);
	if (n < 0)
		return cfg_err(ln, "'option redispatch' : negative intervals are not supported.");
	px->redispatch_every = n;
	return 0;
}

static int opt_args_forwardfor(struct cfg_line *ln, struct px_cfg *px)
{
	px->ff_header = "X-Forwarded-For";
	px->ff_has_except = px->ff_if_none = false;
	for (int i = 2; i < ln->argc; i++) {
		if (strcmp(ln->args[i], "if-none") == 0) {
			px->ff_if_none = true;
		} else if (strcmp(ln->args[i], "header") == 0 && http_token_ok(str_c(ln->args[i + 1]))) {
			px->ff_header = cfg_strdup(ln, ln->args[++i]);
		} else if (strcmp(ln->args[i], "except") == 0 && *ln->args[i + 1]) {
			if (netmask_parse(&px->ff_except, str_c(ln->args[++i])) < 0)
				return cfg_err(ln, "'option forwardfor except' expects <address>[/mask], not '%s'.",
					       ln->args[i]);
			px->ff_has_except = true;
		} else {
			return cfg_err(ln, "'option forwardfor' only supports 'except <net>', 'header <name>' and "
					   "'if-none' (got '%s').", ln->args[i]);
		}
	}
	return 0;
}

/* option httpchk [<uri> | <method> <uri> [<version>]] */
static int opt_args_httpchk(struct cfg_line *ln, struct px_cfg *px)
{
	px->chk_method = px->chk_uri = NULL;
	if (ln->argc == 3) {
		px->chk_uri = cfg_strdup(ln, ln->args[2]);
	} else if (ln->argc > 3) {
		px->chk_method = cfg_strdup(ln, ln->args[2]);
		px->chk_uri = cfg_strdup(ln, ln->args[3]);
		if (!http_token_ok(str_c(px->chk_method)))
			return cfg_err(ln, "'option httpchk' : '%s' is not a method.", ln->args[2]);
	}
	if (ln->argc > 5)
		return cfg_err(ln, "'option httpchk' : headers go into 'http-check send hdr' (unexpected '%s').",
			       ln->args[5]);
	if (px->chk_uri && px->chk_uri[0] != '/' && strcmp(px->chk_uri, "*") != 0)
		return cfg_err(ln, "'option httpchk' : '%s' is not a URI.", px->chk_uri);
	return 0;
}

#define BIT(w, b, c) { w, OPT_BIT, b, 0, c, NULL }
#define ALWAYS(w) { w, OPT_ALWAYS, 0, 0, PX_CAP_FE | PX_CAP_BE, NULL }
#define IGNORED(w) { w, OPT_IGNORED, 0, 0, PX_CAP_FE | PX_CAP_BE, NULL }
#define REFUSED(w) { w, OPT_REFUSED, 0, 0, PX_CAP_FE | PX_CAP_BE, NULL }
#define BOTH (PX_CAP_FE | PX_CAP_BE)

static const struct px_option px_option[] = {
	{ "httplog", OPT_BIT, PX_OPT_HTTPLOG, PX_OPT_TCPLOG, PX_CAP_FE, opt_args_httplog },
	{ "tcplog", OPT_BIT, PX_OPT_TCPLOG, PX_OPT_HTTPLOG | PX_OPT_CLFLOG, PX_CAP_FE, opt_args_tcplog },
	BIT("dontlognull", PX_OPT_DONTLOGNULL, PX_CAP_FE),
	BIT("dontlog-normal", PX_OPT_DONTLOGNORMAL, PX_CAP_FE),
	BIT("log-separate-errors", PX_OPT_LOGSEPERR, PX_CAP_FE),
	BIT("http-ignore-probes", PX_OPT_IGNOREPROBES, PX_CAP_FE),
	{ "http-keep-alive", OPT_BIT, PX_OPT_KEEPALIVE, PX_OPT_HTTPMODES, BOTH, NULL },
	{ "http-server-close", OPT_BIT, PX_OPT_SERVERCLOSE, PX_OPT_HTTPMODES, BOTH, NULL },
	{ "httpclose", OPT_BIT, PX_OPT_HTTPCLOSE, PX_OPT_HTTPMODES, BOTH, NULL },
	{ "forceclose", OPT_BIT, PX_OPT_HTTPCLOSE, PX_OPT_HTTPMODES, BOTH, NULL },
	{ "forwardfor", OPT_BIT, PX_OPT_FORWARDFOR, 0, BOTH, opt_args_forwardfor },
	BIT("transparent", PX_OPT_TRANSPARENT, PX_CAP_BE),
	BIT("auto-demote", PX_OPT_AUTODEMOTE, PX_CAP_FE),
	BIT("splice-auto", PX_OPT_SPLICE_AUTO, BOTH),
	BIT("splice-request", PX_OPT_SPLICE_REQ, BOTH),
	BIT("splice-response", PX_OPT_SPLICE_RES, BOTH),
	{ "redispatch", OPT_BIT, PX_OPT_REDISPATCH, 0, PX_CAP_BE, opt_args_redispatch },
	BIT("abortonclose", PX_OPT_ABRTCLOSE, PX_CAP_BE),
	BIT("prefer-last-server", PX_OPT_PREFLAST, PX_CAP_BE),
	BIT("allbackups", PX_OPT_ALLBACKUPS, PX_CAP_BE),
	BIT("clitcpka", PX_OPT_CLITCPKA, PX_CAP_FE),
	BIT("srvtcpka", PX_OPT_SRVTCPKA, PX_CAP_BE),
	BIT("tcpka", PX_OPT_CLITCPKA | PX_OPT_SRVTCPKA, BOTH),
	BIT("nolinger", PX_OPT_NOLINGER, BOTH),
	BIT("log-health-checks", PX_OPT_LOGCHECKS, PX_CAP_BE),
	{ "httpchk", OPT_BIT, PX_OPT_HTTPCHK, 0, PX_CAP_BE, opt_args_httpchk },
	ALWAYS("tcp-check"), ALWAYS("http-no-delay"), ALWAYS("http-use-htx"),
	ALWAYS("socket-stats"), ALWAYS("contstats"), ALWAYS("persist"),
	IGNORED("tcp-smart-accept"), IGNORED("tcp-smart-connect"),
	IGNORED("independent-streams"),
	IGNORED("idle-close-on-response"), IGNORED("http-pretend-keepalive"), IGNORED("disable-h2-upgrade"),
	IGNORED("h1-case-adjust-bogus-client"), IGNORED("h1-case-adjust-bogus-server"), IGNORED("spop-check"),
	IGNORED("logasap"),
	REFUSED("accept-invalid-http-request"), REFUSED("accept-invalid-http-response"),
	REFUSED("http-buffer-request"), REFUSED("http-use-proxy-header"), REFUSED("originalto"),
	REFUSED("checkcache"), REFUSED("external-check"), REFUSED("ldap-check"), REFUSED("mysql-check"),
	REFUSED("pgsql-check"), REFUSED("redis-check"), REFUSED("smtpchk"), REFUSED("ssl-hello-chk"),
	REFUSED("http-restrict-req-hdr-names"), REFUSED("http_proxy"), REFUSED("http-tunnel"),
};

const char *px_opt_name(uint32_t bit)
{
	for (size_t i = 0; i < ARRAY_SIZE(px_option); i++)
		if (px_option[i].bit == bit)
			return px_option[i].word;
	return "?";
}

static int opt_apply(struct cfg_line *ln, struct px_cfg *px, const struct px_option *o)
{
	if (o->cap && px->caps != PX_CAP_DEF && !(px->caps & o->cap))
		cfg_warn(ln, "'option %s' ignored because %s '%s' has no %s capability.", o->word, px->kind, px->name,
			 o->cap == PX_CAP_FE ? "frontend" : "backend");
	px->opt_set |= o->bit;
	if (ln->no_prefix || ln->default_prefix) {
		px->opt &= ~o->bit;
		if (ln->no_prefix)
			px->opt_no |= o->bit;
		return 0;
	}
	px->opt &= ~o->clears;
	px->opt |= o->bit;
	return o->args ? o->args(ln, px) : opt_args_none(ln, px);
}

static int px_parse_option(struct cfg_line *ln, const struct cfg_kw *kw)
{
	const char *names[ARRAY_SIZE(px_option)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(px_option); i++) {
		const struct px_option *o = &px_option[i];

		names[i] = o->word;
		if (strcmp(ln->args[1], o->word) != 0)
			continue;
		switch (o->kind) {
		case OPT_BIT: return opt_apply(ln, ln->obj, o);
		case OPT_ALWAYS: return opt_args_none(ln, ln->obj);
		case OPT_IGNORED: return cfg_warn(ln, "'option %s' has no effect and is ignored.", o->word);
		case OPT_REFUSED:
			if (ln->no_prefix)
				return 0;
			return cfg_err(ln, "'option %s' is not supported by this version.", o->word);
		}
	}
	near = diag_nearest_of(ln->args[1], names, ARRAY_SIZE(names));
	return cfg_err(ln, "unknown option '%s'" DIAG_MAYBE, ln->args[1], DIAG_MAYBE_ARG(near));
}

static struct cfg_kw opt_kws[] = {
	{ .word = "option", .sections = CFG_PROXIES, .parse = px_parse_option, .can_no = true,
	  .usage = "[no] option <word> [<args>]", .help = "switches; see the manual's list" },
	{ 0 },
};

INITCALL px_opt_register(void)
{
	cfg_register_keywords(opt_kws);
}
