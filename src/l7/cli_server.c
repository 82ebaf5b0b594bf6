/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_server.c - servers changed at run time: enable, disable, set server, weight
 *
 * Changes are overlays by name: a reload keeps them unless the text of what was
 * changed is different then (proxy.c).
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/cli.h"
#include "core/clock.h"
#include "l7/stream_priv.h"

/* "backend/server". NULL, and said so. */
static struct server *cli_server(struct cli_ctx *ctx, const char *word)
{
	const char *slash = word ? strchr(word, '/') : NULL;
	struct proxy *px;
	struct server *s;
	char be[256];

	if (!slash || (size_t)(slash - word) >= sizeof(be)) {
		cli_err(ctx, "Require 'backend/server'.");
		return NULL;
	}
	snprintf(be, sizeof(be), "%.*s", (int)(slash - word), word);
	px = proxy_find(ctx->w->l7, PX_CAP_BE, be);
	if (!px) {
		cli_err(ctx, "No such backend.");
		return NULL;
	}
	s = server_find(px, slash + 1);
	if (!s)
		cli_err(ctx, "No such server.");
	return s;
}

static enum cli_ret cmd_disable_server(struct cli_ctx *ctx)
{
	struct server *s = cli_server(ctx, ctx->argc > 2 ? ctx->args[2] : NULL);

	if (s)
		server_set_admin(s, s->admin | SRV_ADM_MAINT, NULL);
	return CLI_DONE;
}

static enum cli_ret cmd_enable_server(struct cli_ctx *ctx)
{
	struct server *s = cli_server(ctx, ctx->argc > 2 ? ctx->args[2] : NULL);

	if (s)
		server_set_admin(s, s->admin & ~SRV_ADM_MAINT, NULL);
	return CLI_DONE;
}

/* ---- weight ---- */

/* "<n>" or "<n>%" of the configured one; 0..256 */
static enum cli_ret server_weight(struct cli_ctx *ctx, struct server *s, const char *word)
{
	char *end;
	long v = strtol(word, &end, 10);

	if (end == word || v < 0 || (*end && strcmp(end, "%") != 0))
		return cli_err(ctx, "Require <weight> or <weight%%>.");
	if (*end == '%')
		v = (v * (long)s->cfg->weight + 99) / 100;
	if (v > 256)
		return cli_err(ctx, "Absolute weight can only be between 0 and 256 inclusive.");
	s->weight = (unsigned)v;
	s->weight_set = true;
	server_changed(s);
	return CLI_DONE;
}

static enum cli_ret cmd_set_weight(struct cli_ctx *ctx)
{
	struct server *s = cli_server(ctx, ctx->argc > 2 ? ctx->args[2] : NULL);

	if (!s)
		return CLI_DONE;
	return server_weight(ctx, s, ctx->argc > 3 ? ctx->args[3] : "");
}

static enum cli_ret cmd_get_weight(struct cli_ctx *ctx)
{
	struct server *s = cli_server(ctx, ctx->argc > 2 ? ctx->args[2] : NULL);

	return s ? cli_msg(ctx, "%u (initial %u)", s->weight, s->cfg->weight) : CLI_DONE;
}

/* ---- set server ---- */

static enum cli_ret set_state(struct cli_ctx *ctx, struct server *s, char **args)
{
	if (strcmp(args[0], "ready") == 0)
		server_set_admin(s, s->admin & ~(SRV_ADM_MAINT | SRV_ADM_DRAIN), NULL);
	else if (strcmp(args[0], "drain") == 0)
		server_set_admin(s, (s->admin | SRV_ADM_DRAIN) & ~SRV_ADM_MAINT, NULL);
	else if (strcmp(args[0], "maint") == 0)
		server_set_admin(s, (s->admin | SRV_ADM_MAINT) & ~SRV_ADM_DRAIN, NULL);
	else
		return cli_err(ctx, "'set server <srv> state' expects 'ready', 'drain' and 'maint'.");
	return CLI_DONE;
}

static enum cli_ret set_weight_arg(struct cli_ctx *ctx, struct server *s, char **args)
{
	return server_weight(ctx, s, args[0]);
}

static enum cli_ret set_health(struct cli_ctx *ctx, struct server *s, char **args)
{
	if (!s->cfg->check)
		return cli_err(ctx, "Health checks are not enabled on this server.");
	s->good = s->bad = 0;
	if (strcmp(args[0], "up") == 0)
		server_set_health(s, SRV_UP, "changed from CLI");
	else if (strcmp(args[0], "down") == 0)
		server_set_health(s, SRV_DOWN, "changed from CLI");
	else
		return cli_err(ctx, "'set server <srv> health' expects 'up' or 'down'.");
	return CLI_DONE;
}

/* <address> [port <port>] */
static enum cli_ret set_addr(struct cli_ctx *ctx, struct server *s, char **args)
{
	struct addr a = { 0 };
	uint64_t port = s->addr.port;
	char was[ADDR_STRLEN], is[ADDR_STRLEN];

	if (s->cfg->kind != SRV_ADDR_INET)
		return cli_err(ctx, "The address of '%s' cannot be set: it is '%s'.", s->name, s->cfg->addr_text);
	if (addr_parse_ip(&a, str_c(args[0])) < 0)
		return cli_err(ctx, "Invalid addr format: '%s'.", args[0]);
	if (args[1] && strcmp(args[1], "port") == 0 &&
	    (!args[2] || cfg_parse_uint(args[2], &port) || port < 1 || port > 65535))
		return cli_err(ctx, "Invalid port.");
	a.port = (uint16_t)port;
	if (addr_eq(&a, &s->addr))
		return cli_msg(ctx, "no need to change the addr, no need to change the port");
	addr_print(&s->addr, was);
	s->addr = a;
	s->addr_set = true;
	s->generation++; /* connections kept by clients are to the old one */
	return cli_msg(ctx, "address changed from '%s' to '%s' by 'stats socket command'", was, addr_print(&a, is));
}

static const struct {
	const char *word;
	enum cli_ret (*set)(struct cli_ctx *ctx, struct server *s, char **args);
} set_words[] = {
	{ "state", set_state }, { "weight", set_weight_arg }, { "health", set_health }, { "addr", set_addr },
};

static enum cli_ret cmd_set_server(struct cli_ctx *ctx)
{
	struct server *s = cli_server(ctx, ctx->argc > 2 ? ctx->args[2] : NULL);

	if (!s)
		return CLI_DONE;
	for (size_t i = 0; ctx->argc > 4 && i < ARRAY_SIZE(set_words); i++)
		if (strcmp(ctx->args[3], set_words[i].word) == 0)
			return set_words[i].set(ctx, s, &ctx->args[4]);
	return cli_err(ctx, "usage: set server <backend>/<server> addr | health | state | weight <value>");
}

/* ---- shutdown sessions server ---- */

static enum cli_ret cmd_shutdown_sessions(struct cli_ctx *ctx)
{
	struct server *srv = cli_server(ctx, ctx->argc > 3 ? ctx->args[3] : NULL);
	struct stream *s, *next;

	if (!srv)
		return CLI_DONE;
	list_for_each_safe(s, next, &ctx->w->l7->streams, node)
		if (s->st != STREAM_DEAD && s->srv == srv)
			stream_kill(s);
	return CLI_DONE;
}

static struct cli_kw server_cli_kws[] = {
	{ { "disable", "server" }, "<backend>/<server>", "put a server into maintenance", CLI_ADMIN, cmd_disable_server,
	  NULL, NULL },
	{ { "enable", "server" }, "<backend>/<server>", "take a server out of maintenance", CLI_ADMIN, cmd_enable_server,
	  NULL, NULL },
	{ { "set", "server" }, "<backend>/<server> state|weight|health|addr <value>", "change a server", CLI_ADMIN,
	  cmd_set_server, NULL, NULL },
	{ { "set", "weight" }, "<backend>/<server> <weight>[%]", "change a server's weight", CLI_ADMIN, cmd_set_weight,
	  NULL, NULL },
	{ { "get", "weight" }, "<backend>/<server>", "report a server's weight", CLI_USER, cmd_get_weight, NULL, NULL },
	{ { "shutdown", "sessions", "server" }, "<backend>/<server>", "end all connections on a server", CLI_ADMIN,
	  cmd_shutdown_sessions, NULL, NULL },
	{ .help = NULL },
};

INITCALL cli_server_register(void)
{
	cli_register(server_cli_kws);
}
