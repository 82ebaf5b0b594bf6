/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * app_cli.c - the commands about applications on the stats socket
 *
 * Listings go by the application's id, or the event's number, so that they can
 * stop when the output is full and go on after things came and went. The keys of the
 * JSON forms are the contract's; more may be there.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app_priv.h"
#include "core/cli.h"
#include "core/clock.h"
#include "driver.h"

static double cli_mib(uint64_t bytes)
{
	return bytes / 1048576.0;
}

/* The application named by word <n>, or NULL and said. */
static struct app *cli_app(struct cli_ctx *ctx, int n)
{
	struct app *a;

	if (ctx->argc <= n) {
		cli_err(ctx, "Name of an app expected.");
		return NULL;
	}
	a = app_find(ctx->w, ctx->args[n]);
	if (!a)
		cli_err(ctx, "No such app.");
	return a;
}

/* `show <x> [<app>]`: an unknown name is refused at once. */
static enum cli_ret cli_show(struct cli_ctx *ctx)
{
	if (ctx->argc > 2 && !cli_app(ctx, 2))
		return CLI_DONE;
	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	return CLI_MORE;
}

static enum cli_ret cli_shown(struct cli_ctx *ctx)
{
	if (ctx->json) {
		json_arr_close(&ctx->j);
		buf_printf_grow(ctx->out, "\n");
	}
	return CLI_DONE;
}

/* Calls <fn> for each application from ctx->pos on that is asked for, until a chunk is full. */
static enum cli_ret cli_each_app(struct cli_ctx *ctx, void (*fn)(struct cli_ctx *ctx, struct app *a))
{
	struct app *a;

	list_for_each(a, &ctx->w->apps->apps, node) {
		if (a->id <= ctx->pos || (ctx->argc > 2 && strcmp(a->name, ctx->args[2])))
			continue;
		if (ctx->out->data >= CLI_CHUNK)
			return CLI_MORE;
		fn(ctx, a);
		ctx->pos = a->id;
	}
	return cli_shown(ctx);
}

/* ---- show app ---- */

static void cli_instance_json(struct cli_ctx *ctx, struct instance *in, const struct cgroup_usage *u)
{
	struct json *j = &ctx->j;
	char addr[ADDR_STRLEN];

	json_obj_open(j, NULL);
	json_str(j, "id", str_c(in->name));
	json_str(j, "role", str_c(inst_role_name(in->role)));
	json_str(j, "state", str_c(inst_st_name[in->st]));
	json_int(j, "pid", in->pid);
	json_str(j, "addr", str_c(addr_print(&in->addr, addr)));
	json_str(j, "release", str_c(in->cfg->release));
	json_uint(j, "memory_limit", in->limits.memory);
	json_num(j, "cpu_limit", in->limits.cpu_milli / 1000.0);
	json_uint(j, "pids_limit", in->limits.pids);
	json_uint(j, "memory_used", u->memory);
	json_uint(j, "age_ms", clock_ms(ctx->w) - in->born_ms);
	json_uint(j, "memory_noncache", u->noncache);
	json_uint(j, "pids_used", u->pids);
	json_uint(j, "ready_ms", in->ready_at_ms ? in->measure.rec.ready_ms : 0);
	json_str(j, "cause", str_c(in->cause));
	json_obj_close(j);
}

static void cli_instance_text(struct cli_ctx *ctx, struct instance *in, const struct cgroup_usage *u)
{
	char addr[ADDR_STRLEN], limit[32] = "-", cpu[32] = "-", pids[32] = "-";

	if (in->limits.memory)
		snprintf(limit, sizeof(limit), "%.1fM", cli_mib(in->limits.memory));
	if (in->limits.cpu_milli)
		snprintf(cpu, sizeof(cpu), "%.3f", in->limits.cpu_milli / 1000.0);
	if (in->limits.pids)
		snprintf(pids, sizeof(pids), "%u", in->limits.pids);
	buf_printf_grow(ctx->out,
			"  %-16s %-7s %-8s pid %-7d %-21s memory %.1fM/%s cpu %s pids %u/%s age %.1fs%s%s\n",
			in->name, inst_role_name(in->role), inst_st_name[in->st], (int)in->pid,
			addr_print(&in->addr, addr), cli_mib(u->memory), limit, cpu, u->pids, pids,
			(clock_ms(ctx->w) - in->born_ms) / 1000.0, *in->cause ? ": " : "", in->cause);
}

static void cli_app_one(struct cli_ctx *ctx, struct app *a)
{
	struct cgroup_usage u;
	struct instance *in;

	if (ctx->json) {
		json_obj_open(&ctx->j, NULL);
		json_str(&ctx->j, "app", str_c(a->name));
		json_str(&ctx->j, "state", str_c(app_state(a)));
		json_uint(&ctx->j, "failovers", a->failovers);
		json_str(&ctx->j, "release", str_c(a->cfg->release));
		json_arr_open(&ctx->j, "instances");
	} else {
		buf_printf_grow(ctx->out, "%s: %s, %llu failovers, release %s\n", a->name, app_state(a),
				(unsigned long long)a->failovers, a->cfg->release);
	}
	list_for_each(in, &a->instances, node) {
		in->driver->usage(in, &u);
		(ctx->json ? cli_instance_json : cli_instance_text)(ctx, in, &u);
	}
	if (ctx->json) {
		json_arr_close(&ctx->j);
		json_obj_close(&ctx->j);
	}
}

static enum cli_ret cli_show_app(struct cli_ctx *ctx)
{
	return cli_each_app(ctx, cli_app_one);
}

/* ---- show sizing ---- */

static void cli_spec_json(struct json *j, const char *key, const struct app_spec *s)
{
	json_obj_open(j, key);
	json_uint(j, "memory", s->memory);
	json_num(j, "cpu", s->cpu_milli / 1000.0);
	json_uint(j, "pids", s->pids);
	json_obj_close(j);
}

static void cli_sizing_one(struct cli_ctx *ctx, struct app *a)
{
	const struct app_spec *spec = &a->cfg->spec;
	struct sizing sz;

	app_sizing(a, &sz);
	if (ctx->json) {
		json_obj_open(&ctx->j, NULL);
		json_str(&ctx->j, "app", str_c(a->name));
		json_str(&ctx->j, "release", str_c(a->cfg->release));
		json_uint(&ctx->j, "starts", sz.starts);
		cli_spec_json(&ctx->j, "spec", spec);
		cli_spec_json(&ctx->j, "minimum", &sz.minimum);
		json_str(&ctx->j, "basis", str_c(sizing_basis_name(sz.basis)));
		json_uint(&ctx->j, "ready_ms", sz.ready_ms);
		json_str(&ctx->j, "why", str_c(sz.why));
		json_obj_close(&ctx->j);
		return;
	}
	buf_printf_grow(ctx->out, "%s: release %s, %s, %u good starts, shortest %u ms\n", a->name,
			a->cfg->release, sizing_basis_name(sz.basis), sz.starts, sz.ready_ms);
	buf_printf_grow(ctx->out, "  primary  memory %.1fM cpu %.3f pids %u\n", cli_mib(spec->memory),
			spec->cpu_milli / 1000.0, spec->pids);
	buf_printf_grow(ctx->out, "  standby  memory %.1fM cpu %.3f pids %u\n  because  %s\n",
			cli_mib(sz.minimum.memory), sz.minimum.cpu_milli / 1000.0, sz.minimum.pids, sz.why);
}

static enum cli_ret cli_show_sizing(struct cli_ctx *ctx)
{
	return cli_each_app(ctx, cli_sizing_one);
}

static enum cli_ret cli_forget_sizing(struct cli_ctx *ctx)
{
	struct app *a = cli_app(ctx, 2);

	if (!a)
		return CLI_DONE;
	history_forget(ctx->w->apps, a->name);
	store_forget(ctx->w->apps->store, a->name);
	app_resize(a);
	app_event(a, NULL, LOG_NOTICE, "forget", "what its starts took was forgotten, on demand");
	return CLI_DONE;
}

/* ---- show events ---- */

static void cli_event_one(struct cli_ctx *ctx, const struct app_event *e)
{
	time_t sec = e->e.at_ms / 1000;
	struct json *j = &ctx->j;
	char when[64];
	struct tm tm;
	size_t n;

	gmtime_r(&sec, &tm);
	n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - n, ".%03uZ", (unsigned)(e->e.at_ms % 1000));
	if (!ctx->json) {
		buf_printf_grow(ctx->out, "%s %s %s %s: %s\n", when, e->e.app,
				*e->e.instance ? e->e.instance : "-", e->e.kind, e->e.text);
		return;
	}
	json_obj_open(j, NULL);
	json_str(j, "time", str_c(when));
	json_uint(j, "time_ms", e->e.at_ms);
	json_str(j, "app", str_c(e->e.app));
	json_str(j, "instance", str_c(e->e.instance));
	json_str(j, "event", str_c(e->e.kind));
	json_str(j, "text", str_c(e->e.text));
	json_obj_close(j);
}

/* ctx->pos: the number of the event after the next one to show; 0 at first. */
static enum cli_ret cli_show_events(struct cli_ctx *ctx)
{
	const struct list *head = &ctx->w->apps->events;

	for (const struct list *n = head->prev; n != head; n = n->prev) {
		const struct app_event *e = list_entry(n, struct app_event, e.node);

		if (ctx->pos && e->seq >= ctx->pos)
			continue;
		if (ctx->out->data >= CLI_CHUNK)
			return CLI_MORE;
		ctx->pos = e->seq;
		if (ctx->argc <= 2 || !strcmp(e->e.app, ctx->args[2]))
			cli_event_one(ctx, e);
	}
	return cli_shown(ctx);
}

/* ---- doing ---- */

static enum cli_ret cli_failover(struct cli_ctx *ctx)
{
	struct app *a = cli_app(ctx, 2);
	struct instance *in, *to = NULL;

	if (!a)
		return CLI_DONE;
	list_for_each(in, &a->instances, node)
		if (in->role == INST_STANDBY && in->st == INST_ST_READY && !app_outdated(a, in))
			to = to ? to : in;
	if (!a->primary || a->primary->st != INST_ST_READY)
		return cli_err(ctx, "There is no ready primary to take over from.");
	if (!to)
		return cli_err(ctx, "No standby is ready.");
	if (a->promotion)
		return cli_err(ctx, "A failover is under way.");
	app_switch(a, to, "on demand");
	app_reconcile_later(a);
	return CLI_DONE;
}

static enum cli_ret cli_start(struct cli_ctx *ctx)
{
	struct app *a = cli_app(ctx, 2);

	if (!a)
		return CLI_DONE;
	if (a->want == APP_STOP || a->gave_up)
		app_event(a, NULL, LOG_NOTICE, "start", "started on demand");
	a->want = APP_RUN;
	a->gave_up = false;
	backoff_reset(&a->backoff[INST_PRIMARY]);
	backoff_reset(&a->backoff[INST_STANDBY]);
	app_reconcile_later(a);
	return CLI_DONE;
}

static enum cli_ret cli_stop(struct cli_ctx *ctx)
{
	struct app *a = cli_app(ctx, 2);

	if (!a)
		return CLI_DONE;
	if (a->want == APP_RUN)
		app_event(a, NULL, LOG_NOTICE, "stop", "stopped on demand");
	a->want = APP_STOP;
	app_reconcile_later(a);
	return CLI_DONE;
}

/* Every instance is replaced, a new one ready before the primary goes. */
static enum cli_ret cli_restart(struct cli_ctx *ctx)
{
	struct app *a = cli_app(ctx, 2);
	struct instance *in;

	if (!a)
		return CLI_DONE;
	if (a->want == APP_STOP || a->gave_up)
		return cli_start(ctx);
	app_event(a, NULL, LOG_NOTICE, "restart", "restarted on demand");
	list_for_each(in, &a->instances, node)
		in->outdated = true;
	app_reconcile_later(a);
	return CLI_DONE;
}

static struct cli_kw app_cli[] = {
	{ .words = { "show", "app" },
	  .args = "[<name>] [json]",
	  .help = "applications and their instances",
	  .level = CLI_USER,
	  .parse = cli_show,
	  .io = cli_show_app },
	{ .words = { "show", "sizing" },
	  .args = "[<app>] [json]",
	  .help = "what a standby is started in, and why",
	  .level = CLI_USER,
	  .parse = cli_show,
	  .io = cli_show_sizing },
	{ .words = { "show", "events" },
	  .args = "[<app>] [json]",
	  .help = "what happened to applications, newest first",
	  .level = CLI_USER,
	  .parse = cli_show,
	  .io = cli_show_events },
	{ .words = { "failover", "app" },
	  .args = "<name>",
	  .help = "let the standby take over",
	  .level = CLI_ADMIN,
	  .parse = cli_failover },
	{ .words = { "start", "app" },
	  .args = "<name>",
	  .help = "start it, also after it gave up",
	  .level = CLI_ADMIN,
	  .parse = cli_start },
	{ .words = { "stop", "app" },
	  .args = "<name>",
	  .help = "end all its instances",
	  .level = CLI_ADMIN,
	  .parse = cli_stop },
	{ .words = { "restart", "app" },
	  .args = "<name>",
	  .help = "replace its instances, standby first",
	  .level = CLI_ADMIN,
	  .parse = cli_restart },
	{ .words = { "forget", "sizing" },
	  .args = "<app>",
	  .help = "forget what its starts took",
	  .level = CLI_ADMIN,
	  .parse = cli_forget_sizing },
	{ .words = { NULL } },
};

INITCALL app_cli_register(void)
{
	cli_register(app_cli);
}
