/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_cmds.c - the commands about the process itself
 *
 * What belongs to a layer (flows, streams, applications) registers there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/bug.h"
#include "core/clock.h"
#include "ops_priv.h"

extern char **environ;

/* ---- help ---- */

static enum cli_ret cmd_help(struct cli_ctx *ctx)
{
	cli_help(ctx, ctx->args + 1, ctx->argc - 1, "The following commands are valid at this level:");
	return CLI_DONE;
}

/* ---- show info ---- */

static void info_process(struct worker *w, struct info_sink *s)
{
	const struct cfg_global *g = w->epoch ? &w->epoch->global : NULL;
	uint64_t up = (clock_ms(w) - w->start_ms) / 1000;
	char text[64], host[256] = "";
	struct rlimit lim = { 0 };

	snprintf(text, sizeof(text), "%llud %lluh%02llum%02llus", (unsigned long long)up / 86400,
		 (unsigned long long)up / 3600 % 24, (unsigned long long)up / 60 % 60, (unsigned long long)up % 60);
	gethostname(host, sizeof(host) - 1);
	getrlimit(RLIMIT_NOFILE, &lim);
	info_str(s, "Name", "standin");
	info_str(s, "Version", STANDIN_VERSION);
	info_uint(s, "Nbthread", 1);
	info_uint(s, "Nbproc", 1);
	info_uint(s, "Process_num", 1);
	info_uint(s, "Pid", getpid());
	info_str(s, "Uptime", text);
	info_uint(s, "Uptime_sec", up);
	info_uint(s, "Ulimit-n", lim.rlim_cur);
	info_str(s, "node", g && g->node ? g->node : host);
	info_str(s, "description", g && g->description ? g->description : "");
	info_uint(s, "Stopping", w->stopping);
	info_uint(s, "Epoch", w->epoch ? w->epoch->id : 0);
	info_uint(s, "Epochs", epochs_alive());
	info_uint(s, "Reloads", w->ops->reloads);
	info_uint(s, "Reload_failures", w->ops->reload_failures);
	info_uint(s, "Loop_lag_us_p50", hist_percentile(&w->loop_lag_us, 50));
	info_uint(s, "Loop_lag_us_p99", hist_percentile(&w->loop_lag_us, 99));
	info_uint(s, "Loop_lag_us_max", w->loop_lag_us.max);
	info_uint(s, "DroppedLogs", log_dropped(w));
	info_uint(s, "Warnings", bug_warnings());
}

static enum cli_ret cmd_show_info(struct cli_ctx *ctx)
{
	struct info_sink sink = { .out = ctx->out, .form = ctx->json ? INFO_JSON : INFO_TEXT };
	const struct info_source *src;

	if (ctx->argc > 3)
		return cli_err(ctx, "'show info' takes 'typed' or 'json'.");
	if (ctx->argc == 3 && strcmp(ctx->args[2], "typed") == 0)
		sink.form = INFO_TYPED;
	else if (ctx->argc == 3)
		return cli_err(ctx, "'show info' takes 'typed' or 'json', not '%s'.", ctx->args[2]);
	if (ctx->json) {
		sink.json = &ctx->j;
		json_arr_open(&ctx->j, NULL);
	}
	info_process(ctx->w, &sink);
	for (src = info_first(); src; src = src->next)
		src->fill(ctx->w, &sink);
	if (ctx->json) {
		json_arr_close(&ctx->j);
		buf_printf_grow(ctx->out, "\n");
	}
	return CLI_DONE;
}

/* ---- the rest ---- */

static enum cli_ret cmd_show_version(struct cli_ctx *ctx)
{
	return cli_msg(ctx, "%s", STANDIN_VERSION);
}

static enum cli_ret cmd_show_env(struct cli_ctx *ctx)
{
	size_t n = ctx->argc > 2 ? strlen(ctx->args[2]) : 0;
	char **e;

	for (e = environ; *e; e++) {
		if (!n || (strncmp(*e, ctx->args[2], n) == 0 && (*e)[n] == '='))
			buf_printf_grow(ctx->out, "%s\n", *e);
	}
	return n && !ctx->out->data ? cli_err(ctx, "Variable not found") : CLI_DONE;
}

static enum cli_ret cmd_show_cli_sockets(struct cli_ctx *ctx)
{
	static const char *const names[] = { [CLI_USER] = "user", [CLI_OPERATOR] = "operator", [CLI_ADMIN] = "admin" };
	struct cli_listener *l;

	buf_printf_grow(ctx->out, "# socket lvl processes\n");
	list_for_each(l, &ctx->w->ops->listeners, node)
		buf_printf_grow(ctx->out, "%s%s %s all\n", l->spec[0] == '/' ? "unix@" : "", l->spec, names[l->level]);
	return CLI_DONE;
}

static enum cli_ret cmd_show_pools(struct cli_ctx *ctx)
{
	uint64_t total = 0;
	struct pool *p;

	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	else
		buf_printf_grow(ctx->out, "Dumping pools usage.\n");
	list_for_each(p, &ctx->w->pools.all, node) {
		total += (uint64_t)(p->used + p->cached) * p->size;
		if (!ctx->json) {
			buf_printf_grow(ctx->out, "  - Pool %s (%zu bytes) : %u used, %u cached, %llu allocs, %llu failures\n",
					p->name, p->size, p->used, p->cached, (unsigned long long)p->allocs,
					(unsigned long long)p->fails);
			continue;
		}
		json_obj_open(&ctx->j, NULL);
		json_str(&ctx->j, "name", str_c(p->name));
		json_uint(&ctx->j, "size", p->size);
		json_uint(&ctx->j, "used", p->used);
		json_uint(&ctx->j, "cached", p->cached);
		json_uint(&ctx->j, "failures", p->fails);
		json_obj_close(&ctx->j);
	}
	if (ctx->json) {
		json_arr_close(&ctx->j);
		buf_printf_grow(ctx->out, "\n");
	} else {
		buf_printf_grow(ctx->out, "Total: %llu bytes.\n", (unsigned long long)total);
	}
	return CLI_DONE;
}

/* user | operator: lower the level of this connection */
static enum cli_ret cmd_lower_level(struct cli_ctx *ctx)
{
	enum cli_level to = strcmp(ctx->args[0], "user") == 0 ? CLI_USER : CLI_OPERATOR;

	if (ctx->level < to)
		return cli_err(ctx, "Permission denied");
	ctx->level = to;
	return CLI_DONE;
}

/* ---- reload ---- */

struct cmd_reload {
	struct ops_reload_waiter rw;
	struct cli_ctx *ctx; /* NULL once the operator has left */
	struct buf text;
	bool done, ok;
};

static void cmd_reload_done(struct ops_reload_waiter *rw, bool ok, const struct diag *d)
{
	struct cmd_reload *r = container_of(rw, struct cmd_reload, rw);
	const struct diag_msg *m;

	if (!r->ctx) {
		free(r);
		return;
	}
	list_for_each(m, &d->msgs, node)
		buf_printf_grow(&r->text, "%s\n", m->text);
	r->done = true;
	r->ok = ok;
	cli_wake(r->ctx);
}

static enum cli_ret cmd_reload(struct cli_ctx *ctx)
{
	struct cmd_reload *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return cli_err(ctx, "Out of memory.");
	r->rw.done = cmd_reload_done;
	list_init(&r->rw.node);
	r->ctx = ctx;
	rc = ops_reload(ctx->w, ctx->args + 1, ctx->argc - 1, &r->rw);
	if (rc < 0) {
		free(r);
		return cli_err(ctx, rc == -EALREADY	? "A reload is under way."
				    : rc == -ESHUTDOWN	? OPS_STOPPING
							: "Out of memory.");
	}
	ctx->priv = r;
	return CLI_WAIT;
}

static enum cli_ret cmd_reload_io(struct cli_ctx *ctx)
{
	struct cmd_reload *r = ctx->priv;

	if (!r->done)
		return CLI_WAIT;
	buf_put_grow(ctx->out, buf_head(&r->text), r->text.data);
	return r->ok ? cli_msg(ctx, "Success=1") : cli_err(ctx, "Success=0");
}

static void cmd_reload_release(struct cli_ctx *ctx)
{
	struct cmd_reload *r = ctx->priv;

	if (!r)
		return;
	ctx->priv = NULL;
	buf_free(&r->text);
	if (r->done)
		free(r);
	else
		r->ctx = NULL; /* cmd_reload_done() frees it */
}

static struct cli_kw cmd_kws[] = {
	{ { "help" }, "[<command>]", "list matching or all commands", CLI_USER, cmd_help, NULL, NULL },
	{ { "show", "info" }, "[typed|json]", "report information about the running process", CLI_USER, cmd_show_info,
	  NULL, NULL },
	{ { "show", "version" }, NULL, "show version of the current process", CLI_USER, cmd_show_version, NULL, NULL },
	{ { "show", "env" }, "[var]", "dump environment variables known to the process", CLI_OPERATOR, cmd_show_env,
	  NULL, NULL },
	{ { "show", "cli", "sockets" }, NULL, "dump list of cli sockets", CLI_OPERATOR, cmd_show_cli_sockets, NULL, NULL },
	{ { "show", "pools" }, NULL, "report information about the memory pools usage", CLI_OPERATOR, cmd_show_pools,
	  NULL, NULL },
	{ { "user" }, NULL, "lower the level of the current CLI session to user", CLI_USER, cmd_lower_level, NULL, NULL },
	{ { "operator" }, NULL, "lower the level of the current CLI session to operator", CLI_OPERATOR, cmd_lower_level,
	  NULL, NULL },
	{ { "reload" }, "[<file>...]", "read the configuration anew, or other files, and apply it", CLI_ADMIN, cmd_reload, cmd_reload_io,
	  cmd_reload_release },
	{ { NULL }, NULL, NULL, 0, NULL, NULL, NULL },
};

INITCALL cmd_register(void)
{
	cli_register(cmd_kws);
}
