/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3_cli.c - show flow, show gateway, kill flow, and l3's lines of show info
 *
 * Listings of flows keep their place with a cursor that moves on when the flow it
 * stands at goes away. Keys of the JSON are DESIGN §6's; more may follow them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli.h"
#include "core/clock.h"
#include "core/worker.h"
#include "l3/hold.h"
#include "l3/l3.h"

/* ---- show flow ---- */

static const char *const l3_cli_xlate[] = { [FLOW_XLATE_NONE] = "none", [FLOW_XLATE_DAEMON] = "daemon",
					    [FLOW_XLATE_KERNEL] = "kernel" };
static const char *const l3_cli_seen[] = { [FLOW_SEEN_ALL] = "all", [FLOW_SEEN_CLIENT_DATA] = "client-data",
					   [FLOW_SEEN_NONE] = "none" };

static uint64_t l3_cli_age(const struct flow *f)
{
	return clock_ms(f->gw->l3->w) - f->created_ms;
}

static void l3_cli_flow_json(struct cli_ctx *ctx, const struct flow *f)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];
	struct json *j = &ctx->j;

	json_obj_open(j, NULL);
	json_uint(j, "id", f->id);
	json_str(j, "gateway", str_c(f->gw->name));
	json_str(j, "state", str_c(flow_state_name[f->state]));
	json_str(j, "src", str_c(addr_print(&f->side[FLOW_CLIENT], src)));
	json_str(j, "dst", str_c(addr_print(&f->side[FLOW_SERVER], dst)));
	json_str(j, "frontend", str_c(f->frontend ? f->frontend : ""));
	json_uint(j, "promotions", f->promotions);
	json_uint(j, "demotions", f->demotions);
	json_int(j, "delta_c2s", xlate_delta(&f->xl, FLOW_CLIENT));
	json_int(j, "delta_s2c", xlate_delta(&f->xl, FLOW_SERVER));
	json_uint(j, "packets", f->packets[0] + f->packets[1]);
	json_uint(j, "bytes", f->bytes[0] + f->bytes[1]);
	json_uint(j, "age_ms", l3_cli_age(f));
	json_str(j, "seen", str_c(l3_cli_seen[f->seen]));
	json_str(j, "xlate", str_c(l3_cli_xlate[f->xlate_by]));
	json_uint(j, "held", f->hold ? f->hold->count : 0);
	json_str(j, "refused", str_c(f->refused ? f->refused : ""));
	json_obj_close(j);
}

static void l3_cli_flow_text(struct cli_ctx *ctx, const struct flow *f)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];

	buf_printf_grow(ctx->out,
			"%" PRIu64 ": gw=%s state=%s src=%s dst=%s fe=%s promotions=%u demotions=%u delta_c2s=%d delta_s2c=%d "
			"packets=%" PRIu64 " bytes=%" PRIu64 " age=%" PRIu64 "ms%s%s\n",
			f->id, f->gw->name, flow_state_name[f->state], addr_print(&f->side[FLOW_CLIENT], src),
			addr_print(&f->side[FLOW_SERVER], dst), f->frontend ? f->frontend : "-", f->promotions, f->demotions,
			xlate_delta(&f->xl, FLOW_CLIENT), xlate_delta(&f->xl, FLOW_SERVER), f->packets[0] + f->packets[1],
			f->bytes[0] + f->bytes[1], l3_cli_age(f), f->refused ? " refused=" : "", f->refused ? f->refused : "");
}

static void l3_cli_flow(struct cli_ctx *ctx, const struct flow *f)
{
	if (ctx->json)
		l3_cli_flow_json(ctx, f);
	else
		l3_cli_flow_text(ctx, f);
}

/* Also border's: the flow whose id is <word>, or NULL and answered. */
struct flow *l3_cli_find(struct cli_ctx *ctx, const char *word)
{
	struct flow *f = NULL;
	uint64_t id;

	if (!ctx->w->l3 || str_to_uint(str_c(word), &id) < 0)
		cli_err(ctx, "'%s' is not the id of a flow.", word);
	else if (!(f = flow_by_id(&ctx->w->l3->flows, id)))
		cli_err(ctx, "No flow has the id %s.", word);
	return f;
}

static enum cli_ret l3_cli_show_flow(struct cli_ctx *ctx)
{
	struct flow_cursor *c;
	struct flow *f;

	if (ctx->argc > 3)
		return cli_err(ctx, "'show flow' takes the id of a flow, or nothing.");
	if (ctx->argc == 3) {
		f = l3_cli_find(ctx, ctx->args[2]);
		if (!f)
			return CLI_DONE;
		if (ctx->json)
			json_arr_open(&ctx->j, NULL);
		l3_cli_flow(ctx, f);
		if (ctx->json)
			json_arr_close(&ctx->j);
		return CLI_DONE;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return cli_err(ctx, "Out of memory.");
	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	flow_cursor_start(c, &ctx->w->l3->flows);
	ctx->priv = c;
	return CLI_MORE;
}

static enum cli_ret l3_cli_show_flow_io(struct cli_ctx *ctx)
{
	struct flow *f;

	while (ctx->out->data < CLI_CHUNK) {
		f = flow_cursor_next(ctx->priv, &ctx->w->l3->flows);
		if (!f) {
			if (ctx->json)
				json_arr_close(&ctx->j);
			return CLI_DONE;
		}
		l3_cli_flow(ctx, f);
	}
	return CLI_MORE;
}

static void l3_cli_show_flow_release(struct cli_ctx *ctx)
{
	if (!ctx->priv)
		return;
	flow_cursor_stop(ctx->priv);
	free(ctx->priv);
	ctx->priv = NULL;
}

/* ---- show gateway ---- */

static void l3_cli_hist_json(struct json *j, const char *key, const struct hist *h)
{
	json_obj_open(j, key);
	json_uint(j, "p50", hist_percentile(h, 50));
	json_uint(j, "p99", hist_percentile(h, 99));
	json_uint(j, "max", h->max);
	json_obj_close(j);
}

static void l3_cli_reasons_json(struct json *j, const char *key, const struct gateway_reasons *rs)
{
	unsigned i;

	json_obj_open(j, key);
	for (i = 0; i < GATEWAY_REASONS && rs->r[i].name; i++)
		json_uint(j, rs->r[i].name, rs->r[i].count);
	json_obj_close(j);
}

static void l3_cli_gateway_json(struct cli_ctx *ctx, const struct gateway *gw)
{
	struct json *j = &ctx->j;
	int i;

	json_obj_open(j, NULL);
	json_str(j, "gateway", str_c(gw->name));
	json_uint(j, "packets", gw->packets);
	json_uint(j, "bytes", gw->bytes);
	json_obj_open(j, "flows");
	for (i = 0; i < FLOW_ST_COUNT; i++)
		json_uint(j, flow_state_name[i], gw->by_state[i]);
	json_obj_close(j);
	json_uint(j, "promotions", gw->promotions);
	json_uint(j, "demotions", gw->demotions);
	l3_cli_reasons_json(j, "promote_failures", &gw->promote_failures);
	l3_cli_hist_json(j, "insert_us", &gw->insert_us);
	l3_cli_hist_json(j, "remove_us", &gw->remove_us);
	l3_cli_reasons_json(j, "unsupported", &gw->unsupported);
	json_uint(j, "overflow", gw->overflow);
	json_obj_close(j);
}

static void l3_cli_reasons_text(struct buf *out, const char *what, const struct gateway_reasons *rs)
{
	unsigned i;

	if (!rs->r[0].name)
		return;
	buf_printf_grow(out, "  %s:", what);
	for (i = 0; i < GATEWAY_REASONS && rs->r[i].name; i++)
		buf_printf_grow(out, " %s %" PRIu64, rs->r[i].name, rs->r[i].count);
	buf_printf_grow(out, "\n");
}

static void l3_cli_gateway_text(struct cli_ctx *ctx, const struct gateway *gw)
{
	struct buf *out = ctx->out;
	int i;

	buf_printf_grow(out, "gateway %s: packets %" PRIu64 " bytes %" PRIu64 " promotions %" PRIu64 " demotions %" PRIu64 "%s\n",
			gw->name, gw->packets, gw->bytes, gw->promotions, gw->demotions, gw->removed ? " (removed)" : "");
	buf_printf_grow(out, "  flows:");
	for (i = 0; i < FLOW_ST_COUNT; i++)
		buf_printf_grow(out, " %s %u", flow_state_name[i], gw->by_state[i]);
	buf_printf_grow(out, "\n  insert_us: p50 %" PRIu64 " p99 %" PRIu64 " max %" PRIu64, hist_percentile(&gw->insert_us, 50),
			hist_percentile(&gw->insert_us, 99), gw->insert_us.max);
	buf_printf_grow(out, "  remove_us: p50 %" PRIu64 " p99 %" PRIu64 " max %" PRIu64 "\n",
			hist_percentile(&gw->remove_us, 50), hist_percentile(&gw->remove_us, 99), gw->remove_us.max);
	if (gw->overflow)
		buf_printf_grow(out, "  past maxflows: %" PRIu64 "\n", gw->overflow);
	l3_cli_reasons_text(out, "promote_failures", &gw->promote_failures);
	l3_cli_reasons_text(out, "unsupported", &gw->unsupported);
}

/* There are few gateways: all at once. */
static enum cli_ret l3_cli_show_gateway(struct cli_ctx *ctx)
{
	const char *name = ctx->argc > 2 ? ctx->args[2] : NULL;
	struct gateway *gw;

	if (name && !gateway_find(ctx->w->l3, name))
		return cli_err(ctx, "No gateway is called '%s'.", name);
	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	list_for_each(gw, &ctx->w->l3->gateways, node) {
		if (name && strcmp(name, gw->name) != 0)
			continue;
		if (ctx->json)
			l3_cli_gateway_json(ctx, gw);
		else
			l3_cli_gateway_text(ctx, gw);
	}
	if (ctx->json)
		json_arr_close(&ctx->j);
	return CLI_DONE;
}

/* ---- kill flow ---- */

static enum cli_ret l3_cli_kill_flow(struct cli_ctx *ctx)
{
	struct flow *f;

	if (ctx->argc != 3)
		return cli_err(ctx, "'kill flow' expects the id of a flow.");
	f = l3_cli_find(ctx, ctx->args[2]);
	if (!f)
		return CLI_DONE;
	if (f->state == FLOW_ST_OFFLOADED)
		return cli_err(ctx, "Flow %s is offloaded: its sequence numbers are not known.", ctx->args[2]);
	f->end = "killed";
	if (f->border) {
		f->gw->l3->border->kill(f);
		return CLI_DONE;
	}
	l3_flow_reset(f);
	l3_flow_end(f, "killed");
	f->policy = FLOW_POL_DROP;
	return CLI_DONE;
}

static struct cli_kw l3_cli_kws[] = {
	{ .words = { "show", "flow" }, .args = "[<id>]", .help = "forwarded and promoted connections",
	  .level = CLI_OPERATOR, .parse = l3_cli_show_flow, .io = l3_cli_show_flow_io, .release = l3_cli_show_flow_release },
	{ .words = { "show", "gateway" }, .args = "[<name>]", .help = "counters of gateways", .level = CLI_USER,
	  .parse = l3_cli_show_gateway },
	{ .words = { "kill", "flow" }, .args = "<id>", .help = "reset both ends of a connection", .level = CLI_ADMIN,
	  .parse = l3_cli_kill_flow },
	{ .words = { NULL } },
};

static void l3_cli_info(struct worker *w, struct info_sink *s)
{
	const struct l3 *l3 = w->l3;
	uint64_t unknown = 0;
	int i;

	if (!l3)
		return;
	for (i = 0; i < SEG_ERR_COUNT; i++)
		unknown += l3->unknown[i];
	info_uint(s, "Flows", l3->flows.count);
	info_uint(s, "MaxFlows", l3->flows.max);
	info_uint(s, "HeldBytes", l3->held_bytes);
	info_uint(s, "UnknownPackets", unknown);
	info_uint(s, "ForgedSegments", l3->forged);
	info_uint(s, "TruncatedPackets", l3->truncated);
	info_uint(s, "NoRecordPackets", l3->no_record);
	info_uint(s, "OffloadEvents", l3->offload.events);
	info_uint(s, "OffloadEventsLost", l3->offload.lost);
	info_uint(s, "OffloadLooks", l3->offload.looks);
}

static struct info_source l3_cli_source = { .fill = l3_cli_info };

INITCALL l3_cli_init(void)
{
	cli_register(l3_cli_kws);
	info_register(&l3_cli_source);
}
