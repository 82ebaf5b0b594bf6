/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_stat.c - show stat, show sess, show servers state, shutdown session
 *
 * Listings write about a chunk at a time and keep their place as a number
 * (stats.h), so a slow reader never stops the loop.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/cli.h"
#include "core/clock.h"
#include "l7/stats.h"
#include "l7/stream_priv.h"

enum { FORM_CSV, FORM_TYPED, FORM_JSON };

/* `show stat [<iid>|<proxy> <type> <sid>] [typed|json]`: what is asked for */
struct stat_ask {
	int form;
	int iid, types, sid; /* -1: all */
};

static bool stat_asked(const struct stat_ask *a, const struct stat_row *row)
{
	static const int bit[] = { [STAT_FRONTEND] = 1, [STAT_BACKEND] = 2, [STAT_SERVER] = 4 };

	return (a->iid < 0 || row->iid == (unsigned)a->iid) && (a->types < 0 || (a->types & bit[row->kind])) &&
	       (a->sid < 0 || row->sid == (unsigned)a->sid);
}

static void stat_write_csv(struct buf *out, const struct stat_row *row)
{
	for (int i = 0; i < STAT_COL_COUNT; i++) {
		const struct stat_value *v = &row->v[i];

		if (v->type == STAT_TEXT)
			buf_printf_grow(out, "%s,", v->text);
		else if (v->type == STAT_NUM)
			buf_printf_grow(out, "%lld,", (long long)v->num);
		else
			buf_printf_grow(out, ",");
	}
	buf_printf_grow(out, "\n");
}

static const char kind_letter[] = { [STAT_FRONTEND] = 'F', [STAT_BACKEND] = 'B', [STAT_SERVER] = 'S' };

static void stat_write_typed(struct buf *out, const struct stat_row *row)
{
	for (int i = 0; i < STAT_COL_COUNT; i++) {
		const struct stat_value *v = &row->v[i];

		if (v->type == STAT_NONE)
			continue;
		buf_printf_grow(out, "%c.%u.%u.%d.%s.1:", kind_letter[row->kind], row->iid, row->sid, i, stat_col_name[i]);
		if (v->type == STAT_TEXT)
			buf_printf_grow(out, "KNSV:str:%s\n", v->text);
		else
			buf_printf_grow(out, "MCPV:u64:%llu\n", (unsigned long long)v->num);
	}
}

static void stat_write_json(struct json *j, const struct stat_row *row)
{
	static const char *const kind[] = { "Frontend", "Backend", "Server" };

	json_arr_open(j, NULL);
	for (int i = 0; i < STAT_COL_COUNT; i++) {
		const struct stat_value *v = &row->v[i];

		if (v->type == STAT_NONE)
			continue;
		json_obj_open(j, NULL);
		json_str(j, "objType", str_c(kind[row->kind]));
		json_uint(j, "proxyId", row->iid);
		json_uint(j, "id", row->sid);
		json_obj_open(j, "field");
		json_int(j, "pos", i);
		json_str(j, "name", str_c(stat_col_name[i]));
		json_obj_close(j);
		json_uint(j, "processNum", 1);
		json_obj_open(j, "value");
		json_str(j, "type", v->type == STAT_TEXT ? STR("str") : STR("u64"));
		if (v->type == STAT_TEXT)
			json_str(j, "value", str_c(v->text));
		else
			json_uint(j, "value", v->num);
		json_obj_close(j);
		json_obj_close(j);
	}
	json_arr_close(j);
}

static int stat_proxy_id(struct cli_ctx *ctx, const char *word)
{
	struct proxy *px = proxy_find(ctx->w->l7, PX_CAP_FE | PX_CAP_BE, word);
	char *end;
	long v = strtol(word, &end, 10);

	return px ? (int)px->id : *end || end == word ? -2 : (int)v;
}

static enum cli_ret cmd_show_stat(struct cli_ctx *ctx)
{
	struct stat_ask *a = calloc(1, sizeof(*a));
	int at = 2;

	if (!a)
		return cli_err(ctx, "Out of memory.");
	ctx->priv = a;
	*a = (struct stat_ask){ .form = ctx->json ? FORM_JSON : FORM_CSV, .iid = -1, .types = -1, .sid = -1 };
	if (ctx->argc - at >= 3) {
		a->iid = stat_proxy_id(ctx, ctx->args[at]);
		if (a->iid == -2)
			return cli_err(ctx, "No such proxy.");
		a->types = atoi(ctx->args[at + 1]);
		a->sid = atoi(ctx->args[at + 2]);
		at += 3;
	}
	for (; at < ctx->argc; at++) {
		if (strcmp(ctx->args[at], "typed") == 0)
			a->form = FORM_TYPED;
		else if (strcmp(ctx->args[at], "up") != 0 && strcmp(ctx->args[at], "desc") != 0 &&
			 strcmp(ctx->args[at], "no-maint") != 0)
			return cli_err(ctx, "'show stat' takes [<proxy>|<iid> <type> <sid>] [typed|json], not '%s'.",
				       ctx->args[at]);
	}
	if (a->form == FORM_CSV) {
		buf_printf_grow(ctx->out, "# ");
		for (int i = 0; i < STAT_COL_COUNT; i++)
			buf_printf_grow(ctx->out, "%s,", stat_col_name[i]);
		buf_printf_grow(ctx->out, "\n");
	} else if (a->form == FORM_JSON) {
		json_arr_open(&ctx->j, NULL);
	}
	return CLI_MORE;
}

static enum cli_ret cmd_show_stat_io(struct cli_ctx *ctx)
{
	const struct stat_ask *a = ctx->priv;
	struct stat_row row;

	while (ctx->out->data < CLI_CHUNK) {
		if (!stats_next(ctx->w, &ctx->pos, &row)) {
			if (a->form == FORM_JSON)
				json_arr_close(&ctx->j);
			if (a->form == FORM_JSON)
				buf_printf_grow(ctx->out, "\n");
			return CLI_DONE;
		}
		if (!stat_asked(a, &row))
			continue;
		if (a->form == FORM_CSV)
			stat_write_csv(ctx->out, &row);
		else if (a->form == FORM_TYPED)
			stat_write_typed(ctx->out, &row);
		else
			stat_write_json(&ctx->j, &row);
	}
	return CLI_MORE;
}

static void cmd_free_priv(struct cli_ctx *ctx)
{
	free(ctx->priv);
	ctx->priv = NULL;
}

/* ---- show sess ---- */

static void sess_write_text(struct buf *out, const struct stream_info *i)
{
	char src[ADDR_STRLEN];
	const char *proto = i->src.family == AF_INET ? "tcpv4" : i->src.family == AF_INET6 ? "tcpv6" : "unix_stream";

	buf_printf_grow(out, "0x%llx: proto=%s src=%s fe=%s be=%s srv=%s st=%s age=%llus idle=%llus req=%u in=%llu "
			"out=%llu%s%s%s\n", (unsigned long long)i->id, proto,
			i->src.family == AF_UNSPEC ? "unix:1" : addr_print(&i->src, src), i->frontend,
			i->backend ? i->backend : "<NONE>", i->server ? i->server : "<none>", i->state,
			(unsigned long long)i->age_ms / 1000, (unsigned long long)i->idle_ms / 1000, i->requests,
			(unsigned long long)i->bytes[0], (unsigned long long)i->bytes[1], i->tls ? " tls" : "",
			i->promoted ? " promoted" : "", i->leaving ? " leaving" : "");
}

static void sess_write_json(struct json *j, const struct stream_info *i)
{
	char a[ADDR_STRLEN];

	json_obj_open(j, NULL);
	json_uint(j, "id", i->id);
	json_str(j, "src", str_c(addr_print(&i->src, a)));
	json_str(j, "dst", str_c(addr_print(&i->dst, a)));
	json_str(j, "frontend", str_c(i->frontend));
	json_str(j, "backend", str_c(i->backend ? i->backend : ""));
	json_str(j, "server", str_c(i->server ? i->server : ""));
	json_str(j, "mode", i->http ? STR("http") : STR("tcp"));
	json_str(j, "state", str_c(i->state));
	json_bool(j, "tls", i->tls);
	json_bool(j, "promoted", i->promoted);
	json_bool(j, "leaving", i->leaving);
	json_uint(j, "requests", i->requests);
	json_uint(j, "age_ms", i->age_ms);
	json_uint(j, "idle_ms", i->idle_ms);
	json_uint(j, "bytes_in", i->bytes[0]);
	json_uint(j, "bytes_out", i->bytes[1]);
	json_obj_close(j);
}

static enum cli_ret cmd_show_sess(struct cli_ctx *ctx)
{
	if (ctx->argc > 2)
		ctx->pos = strtoull(ctx->args[2], NULL, 0) - 1;
	if (ctx->argc > 2 && !stream_find(ctx->w->l7, ctx->pos + 1))
		return cli_err(ctx, "No such session (use 'show sess').");
	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	return CLI_MORE;
}

static enum cli_ret cmd_show_sess_io(struct cli_ctx *ctx)
{
	struct stream_info i;

	while (ctx->out->data < CLI_CHUNK && streams_next(ctx->w, &ctx->pos, &i)) {
		if (ctx->json)
			sess_write_json(&ctx->j, &i);
		else
			sess_write_text(ctx->out, &i);
		if (ctx->argc > 2)
			goto done;
	}
	if (ctx->out->data >= CLI_CHUNK)
		return CLI_MORE;
done:
	if (ctx->json) {
		json_arr_close(&ctx->j);
		buf_printf_grow(ctx->out, "\n");
	}
	return CLI_DONE;
}

static enum cli_ret cmd_shutdown_session(struct cli_ctx *ctx)
{
	struct stream *s = ctx->argc > 2 ? stream_find(ctx->w->l7, strtoull(ctx->args[2], NULL, 0)) : NULL;

	if (!s)
		return cli_err(ctx, "No such session (use 'show sess').");
	stream_kill(s);
	return CLI_DONE;
}

/* ---- show servers state, show backend ---- */

static enum cli_ret cmd_show_servers_state(struct cli_ctx *ctx)
{
	if (ctx->argc > 3 && !proxy_find(ctx->w->l7, PX_CAP_BE, ctx->args[3]))
		return cli_err(ctx, "Can't find backend.");
	buf_printf_grow(ctx->out, "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight "
			"srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health "
			"srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl "
			"srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n");
	return CLI_MORE;
}

static void state_write(struct buf *out, const struct server *s, uint64_t now)
{
	char a[ADDR_STRLEN];
	bool maint = s->admin & SRV_ADM_MAINT;

	buf_printf_grow(out, "%u %s %u %s %s %d %d %u %u %llu %d %d %u %d 0 0 0 - %u - %d %u - - 0\n", s->px->id, s->px->name,
			s->id, s->name, s->addr.family == AF_UNSPEC ? "-" : addr_print_ip(&s->addr, a),
			!maint && s->health == SRV_UP ? 2 : 0, maint ? 1 : s->admin & SRV_ADM_DRAIN ? 8 : 0, s->weight,
			s->cfg->weight, (unsigned long long)(now - s->change_ms) / 1000, s->check_result < 0 ? 1 : 6,
			s->check_result < 0 ? 0 : s->check_result == PROBE_OK ? 3 : 2, s->health == SRV_UP ? s->cfg->rise : 0,
			s->cfg->check ? 6 : 0, s->addr.port, s->cfg->ssl, s->cfg->check_port);
}

static enum cli_ret cmd_show_servers_state_io(struct cli_ctx *ctx)
{
	uint64_t now = clock_ms(ctx->w), at = 0;
	struct server *s;
	struct proxy *px;

	list_for_each(px, &ctx->w->l7->proxies, node) {
		if (ctx->argc > 3 && strcmp(ctx->args[3], px->name) != 0)
			continue;
		list_for_each(s, &px->servers, node) {
			if (at++ < ctx->pos)
				continue;
			if (ctx->out->data >= CLI_CHUNK)
				return CLI_MORE;
			state_write(ctx->out, s, now);
			ctx->pos++;
		}
	}
	return CLI_DONE;
}

static enum cli_ret cmd_show_backend(struct cli_ctx *ctx)
{
	struct proxy *px;

	buf_printf_grow(ctx->out, "# name\n");
	list_for_each(px, &ctx->w->l7->proxies, node)
		if (px->caps & PX_CAP_BE)
			buf_printf_grow(ctx->out, "%s\n", px->name);
	return CLI_DONE;
}

static struct cli_kw stat_kws[] = {
	{ { "show", "stat" }, "[{<proxy>|<iid>} <type> <sid>] [typed|json]", "report counters of proxies and servers",
	  CLI_USER, cmd_show_stat, cmd_show_stat_io, cmd_free_priv },
	{ { "show", "sess" }, "[<id>] [json]", "report connections at work", CLI_OPERATOR, cmd_show_sess, cmd_show_sess_io,
	  NULL },
	{ { "shutdown", "session" }, "<id>", "end a connection now", CLI_ADMIN, cmd_shutdown_session, NULL, NULL },
	{ { "show", "servers", "state" }, "[<backend>]", "dump the state of servers", CLI_USER, cmd_show_servers_state,
	  cmd_show_servers_state_io, NULL },
	{ { "show", "backend" }, NULL, "list backends", CLI_USER, cmd_show_backend, NULL, NULL },
	{ .help = NULL },
};

INITCALL cli_stat_register(void)
{
	cli_register(stat_kws);
}
