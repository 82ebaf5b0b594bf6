/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * resolve.c - proxies once every section is read: names become objects, sense is checked
 */
#include <stdio.h>
#include <stdlib.h>

#include "l7/cfg_priv.h"
#include "l7/stream_priv.h"

#define LF_TCP  "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq"
#define LF_HTTP                                                                                              \
	"%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
#define LF_CLF                                                                                               \
	"%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc "    \
	"%bc %sc %rc %sq %bq %CC %CS %hrl %hsl"

static void px_resolve_log(struct px_cfg *px, struct diag *d)
{
	const char *text = px->lf_text;
	char *err = NULL;

	if (!(px->caps & PX_CAP_FE))
		return;
	if (!text && (px->opt & PX_OPT_HTTPLOG) && px->mode != PX_HTTP) {
		diag_warn(d, px->obj.file, px->obj.line, "'option httplog' not usable with %s '%s' (needs 'mode http'): "
			  "using 'option tcplog'.", px->kind, px->name);
		text = LF_TCP;
	}
	if (!text)
		text = px->opt & PX_OPT_HTTPLOG ? px->opt & PX_OPT_CLFLOG ? LF_CLF : LF_HTTP
						: px->opt & PX_OPT_TCPLOG ? LF_TCP : NULL;
	if (!text)
		return; /* a line at accept */
	px->ep->at = (struct cfg_place){ px->lf_text ? px->lf_file : px->obj.file, px->lf_text ? px->lf_line : px->obj.line, &px->obj };
	px->lf = logformat_parse(text, SMP_AT_L4 | SMP_AT_HREQP | SMP_AT_HRES | LF_LOG, &l7_lf_source, &px->ep->arena, &err);
	if (!px->lf)
		diag_error(d, px->ep->at.file, px->ep->at.line, "'log-format' : %s", err ? err : "out of memory");
	px->ep->at = (struct cfg_place){ 0 };
	free(err);
}

/* A backend by name for <px>, modes checked. */
static struct px_cfg *px_backend(struct px_cfg *px, const char *name, const char *file, int line, const char *what,
				 struct diag *d)
{
	struct px_cfg *be = px_cfg_find(px->ep, PX_CAP_BE, name);
	const char *near;

	if (!be) {
		near = epoch_nearest(px->ep, "backend", name);
		if (!near)
			near = epoch_nearest(px->ep, "listen", name);
		diag_error(d, file, line, "%s '%s': unable to find required %s: '%s'" DIAG_MAYBE, px->kind, px->name,
			   what, name, DIAG_MAYBE_ARG(near));
		return NULL;
	}
	if (be->mode != px->mode)
		diag_error(d, file, line, "%s '%s' (mode %s) tries to use backend '%s' (mode %s) as its %s.", px->kind,
			   px->name, px_mode_name[px->mode], name, px_mode_name[be->mode], what);
	return be;
}

static void px_resolve_switching(struct px_cfg *px, struct diag *d)
{
	struct use_be *u;

	if (!(px->caps & PX_CAP_FE))
		return;
	if (px->def_be_name)
		px->def_be = px_backend(px, px->def_be_name, px->def_be_file, px->def_be_line, "default_backend", d);
	else if (px->caps & PX_CAP_BE)
		px->def_be = px;
	list_for_each(u, &px->use_backends, node)
		if (!u->lf)
			u->be = px_backend(px, u->name, u->file, u->line, "use_backend", d);
}

static void px_resolve_rules(struct px_cfg *px, struct diag *d)
{
	struct {
		struct rule_set *rs;
		bool http;
		const char *what;
	} sets[] = {
		{ &px->tcp_conn, false, "tcp-request connection" }, { &px->tcp_sess, false, "tcp-request session" },
		 { &px->tcp_req, false, "tcp-request content" },
		{ &px->tcp_res, false, "tcp-response content" }, { &px->http_req, true, "http-request" },
		{ &px->http_res, true, "http-response" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		rule_set_resolve(px->ep, sets[i].rs, d);
		if (sets[i].http && px->mode != PX_HTTP && sets[i].rs->count)
			diag_warn(d, px->obj.file, px->obj.line, "'%s' rules ignored for %s '%s' as they require HTTP mode.",
				  sets[i].what, px->kind, px->name);
	}
}

static void px_warn_timeouts(struct px_cfg *px, struct diag *d)
{
	bool fe = (px->caps & PX_CAP_FE) && !px->to_client;
	bool be = (px->caps & PX_CAP_BE) && (!px->to_server || !px->to_connect) &&
		  (px->nb_servers || (px->opt & PX_OPT_TRANSPARENT));

	if (fe || be)
		diag_warn(d, px->obj.file, px->obj.line, "missing timeouts for %s '%s': without 'timeout client', 'timeout "
			  "connect' and 'timeout server' a dead peer is waited for without end.", px->kind, px->name);
}

/* Only a gateway promotes into a frontend, by a rule or at the stats socket. */
static void px_warn_no_bind(struct px_cfg *px, struct diag *d)
{
	const struct cfg_object *o;

	if (!(px->caps & PX_CAP_FE) || px->promoted || !list_empty(&px->binds))
		return;
	list_for_each(o, &px->ep->objects, node)
		if (strcmp(o->kind, "gateway") == 0)
			return;
	diag_warn(d, px->obj.file, px->obj.line, "%s '%s' has no 'bind', and there is no gateway to promote connections into "
		  "it.", px->kind, px->name);
}

static void px_warn_options(struct px_cfg *px, struct diag *d)
{
	static const uint32_t http_only[] = { PX_OPT_FORWARDFOR };

	if (px->mode == PX_HTTP)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(http_only); i++)
		if (px->opt & px->opt_set & http_only[i])
			diag_warn(d, px->obj.file, px->obj.line, "'option %s' ignored for %s '%s' as it requires HTTP mode.",
				  px_opt_name(http_only[i]), px->kind, px->name);
	if (px->retry_on & ~(RETRY_CONN_FAILURE | RETRY_SET | RETRY_NONE))
		diag_warn(d, px->obj.file, px->obj.line, "'retry-on' ignored for %s '%s' as it requires HTTP mode.",
			  px->kind, px->name);
}

/* ---- demotes that can never happen (doc/internals/border.md) ---- */

static const char *be_never_demotes(const struct px_cfg *be)
{
	if (be->promoted_srv)
		return be->promoted_srv->ssl ? "'server promoted@ ssl' encrypts what goes to the server" : NULL;
	if (!be->nb_servers && (be->opt & PX_OPT_TRANSPARENT))
		return NULL;
	return "the server's side must be the promoted connection's ('option transparent' and no server, or a 'server ... "
	       "promoted@')";
}

static const char *fe_never_demotes(const struct px_cfg *fe)
{
	const char *why = "it has no backend";
	const struct use_be *u;

	if (fe->promoted && fe->promoted->ssl)
		return "'bind promoted@ ssl' decrypts what comes from the client";
	if (fe->def_be && !(why = be_never_demotes(fe->def_be)))
		return NULL;
	list_for_each(u, &fe->use_backends, node)
		if (u->lf || (u->be && !(why = be_never_demotes(u->be))))
			return NULL;
	return why;
}

static const struct rule *px_demote_rule(const struct px_cfg *px)
{
	const struct rule_set *sets[] = { &px->tcp_req, &px->tcp_res, &px->http_req, &px->http_res };
	const struct rule *r;

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		list_for_each(r, &sets[i]->rules, node)
			if (strcmp(r->kw->name, "demote") == 0)
				return r;
	return NULL;
}

static void px_warn_demote(struct px_cfg *px, struct diag *d)
{
	const struct rule *r = px_demote_rule(px);
	const char *why = (px->caps & PX_CAP_FE) ? fe_never_demotes(px) : be_never_demotes(px);

	if (r && why)
		diag_warn(d, r->file, r->line, "'demote' in %s '%s' can never happen: %s.", px->kind, px->name, why);
	else if ((px->opt & px->opt_set & PX_OPT_AUTODEMOTE) && (px->caps & PX_CAP_FE) && why)
		diag_warn(d, px->obj.file, px->obj.line, "'option auto-demote' has no effect for %s '%s': %s.", px->kind,
			  px->name, why);
}

static void px_resolve(struct px_cfg *px, struct diag *d)
{
	struct bind_cfg *b;
	struct srv_cfg *s;

	px_resolve_log(px, d);
	px_resolve_switching(px, d);
	px_resolve_rules(px, d);
	px_warn_timeouts(px, d);
	px_warn_no_bind(px, d);
	px_warn_options(px, d);
	px_warn_demote(px, d);
	list_for_each(b, &px->binds, node)
		bind_cfg_resolve(px, b, d);
	if (px->promoted)
		bind_cfg_resolve(px, px->promoted, d);
	list_for_each(s, &px->servers, node)
		srv_cfg_resolve(px, s, d);
	if (px->promoted_srv && px->nb_servers > 1)
		diag_error(d, px->promoted_srv->file, px->promoted_srv->line, "'server %s promoted@' must be the only server "
			   "of %s '%s'.", px->promoted_srv->name, px->kind, px->name);
	if ((px->opt & PX_OPT_TRANSPARENT) && (px->caps & PX_CAP_BE) && px->nb_servers && !px->promoted_srv)
		diag_warn(d, px->obj.file, px->obj.line, "'option transparent' ignored for %s '%s': it has servers.", px->kind,
			  px->name);
}

void l7_cfg_resolve(struct epoch *ep, struct diag *d)
{
	struct l7_cfg *c = l7_cfg_of(ep);
	struct px_cfg *px;

	list_for_each(px, &c->proxies, part_node)
		if (px->caps != PX_CAP_DEF && !px->disabled)
			px_resolve(px, d);
}
