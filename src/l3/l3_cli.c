/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3_cli.c - show flow, show gateway, kill flow, and l3's lines of show info
 *
 * Listings of flows keep their place by its number (flow_next()). Keys of the JSON are a promise (reg-tests/netns/12-contract.sh); more may follow them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli.h"
#include "core/clock.h"
#include "core/worker.h"
#include "l3/flow_filter.h"
#include "l3/hold.h"
#include "l3/l3.h"
#include "l3/narrow.h"

#define L3_CLI_FLOWS 1000 /* looked at in one go */

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
	uint64_t bytes[2];

	l3_flow_bytes(f, bytes);
	json_obj_open(j, NULL);
	json_uint(j, "id", f->id);
	json_str(j, "gateway", str_c(f->gw->name));
	json_str(j, "state", str_c(flow_state_name[flow_shown(f)]));
	json_str(j, "src", str_c(addr_print(&f->side[FLOW_CLIENT], src)));
	json_str(j, "dst", str_c(addr_print(&f->side[FLOW_SERVER], dst)));
	json_str(j, "frontend", str_c(flow_frontend(f) ? flow_frontend(f) : ""));
	json_uint(j, "promotions", flow_promotions(f));
	json_uint(j, "demotions", flow_demotions(f));
	json_int(j, "delta_c2s", xlate_delta(flow_xlate(f), FLOW_CLIENT));
	json_int(j, "delta_s2c", xlate_delta(flow_xlate(f), FLOW_SERVER));
	json_uint(j, "packets", (uint64_t)f->packets);
	json_uint(j, "bytes", bytes[0] + bytes[1]);
	json_uint(j, "age_ms", l3_cli_age(f));
	json_str(j, "seen", str_c(l3_cli_seen[f->seen]));
	json_str(j, "xlate", str_c(l3_cli_xlate[f->xlate_by]));
	json_uint(j, "held", flow_hold(f) ? flow_hold(f)->count : 0);
	json_uint(j, "held_us", f->held_us);
	json_str(j, "refused", str_c(flow_refused(f) ? flow_refused(f) : ""));
	json_obj_close(j);
}

static void l3_cli_flow_text(struct cli_ctx *ctx, const struct flow *f)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];
	uint64_t bytes[2];

	l3_flow_bytes(f, bytes);
	buf_printf_grow(ctx->out,
			"%" PRIu64 ": gw=%s state=%s src=%s dst=%s fe=%s promotions=%u demotions=%u delta_c2s=%d delta_s2c=%d "
			"packets=%" PRIu64 " bytes=%" PRIu64 " age=%" PRIu64 "ms%s%s\n",
			f->id, f->gw->name, flow_state_name[flow_shown(f)], addr_print(&f->side[FLOW_CLIENT], src),
			addr_print(&f->side[FLOW_SERVER], dst), flow_frontend(f) ? flow_frontend(f) : "-", flow_promotions(f), flow_demotions(f),
			xlate_delta(flow_xlate(f), FLOW_CLIENT), xlate_delta(flow_xlate(f), FLOW_SERVER), (uint64_t)f->packets,
			bytes[0] + bytes[1], l3_cli_age(f), flow_refused(f) ? " refused=" : "", flow_refused(f) ? flow_refused(f) : "");
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

/* A listing under way. */
struct l3_cli_list {
	uint32_t at;               /* flow_next() */
	struct flow_filter filter;
};

static enum cli_ret l3_cli_show_one(struct cli_ctx *ctx)
{
	struct flow *f = l3_cli_find(ctx, ctx->args[2]);

	if (!f)
		return CLI_DONE;
	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	l3_cli_flow(ctx, f);
	if (ctx->json)
		json_arr_close(&ctx->j);
	return CLI_DONE;
}

static enum cli_ret l3_cli_show_flow(struct cli_ctx *ctx)
{
	struct l3_cli_list *l;
	char *err = NULL;

	offload_read(ctx->w->l3);
	if (ctx->argc == 3)
		return l3_cli_show_one(ctx);
	l = calloc(1, sizeof(*l));
	if (!l)
		return cli_err(ctx, "Out of memory.");
	if (flow_filter_parse(&l->filter, ctx->argc - 2, ctx->args + 2, &err) < 0) {
		cli_err(ctx, "'show flow' : %s.", err ? err : "out of memory");
		free(err);
		free(l);
		return CLI_DONE;
	}
	if (ctx->json)
		json_arr_open(&ctx->j, NULL);
	ctx->priv = l;
	return CLI_MORE;
}

static enum cli_ret l3_cli_show_flow_io(struct cli_ctx *ctx)
{
	struct l3_cli_list *l = ctx->priv;
	uint64_t now = clock_ms(ctx->w);
	unsigned looked = 0;

	/* a filter may pass over many before one is shown */
	while (ctx->out->data < CLI_CHUNK && looked++ < L3_CLI_FLOWS) {
		struct flow *f = flow_next(&ctx->w->l3->flows, &l->at);

		if (!f) {
			if (ctx->json)
				json_arr_close(&ctx->j);
			return CLI_DONE;
		}
		if (flow_filter_match(&l->filter, f, now))
			l3_cli_flow(ctx, f);
	}
	return CLI_MORE;
}

static void l3_cli_show_flow_release(struct cli_ctx *ctx)
{
	struct l3_cli_list *l = ctx->priv;

	if (!l)
		return;
	free(l);
	ctx->priv = NULL;
}

/* ---- show gateway ---- */

static void l3_cli_hist_json(struct json *j, const char *key, const struct hist *h)
{
	unsigned bits;

	json_obj_open(j, key);
	json_uint(j, "p50", hist_percentile(h, 50));
	json_uint(j, "p99", hist_percentile(h, 99));
	json_uint(j, "max", h->max);
	json_uint(j, "p90", hist_percentile(h, 90));
	json_uint(j, "p999", hist_percentile(h, 99.9));
	json_uint(j, "count", h->count);
	/* by powers of two: element i counts values below 2^i */
	json_arr_open(j, "pow2");
	for (bits = 0; bits < HIST_POW2 && h->max >> bits; bits++)
		json_uint(j, NULL, hist_pow2(h, bits));
	if (h->count && bits < HIST_POW2)
		json_uint(j, NULL, hist_pow2(h, bits));
	json_arr_close(j);
	json_obj_close(j);
}

static void l3_cli_stalls_json(struct json *j, const struct gateway *gw)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];
	const struct gateway_stall *s;

	json_arr_open(j, "stalls");
	for (s = gw->stall; s < gw->stall + GATEWAY_STALLS && s->us; s++) {
		json_obj_open(j, NULL);
		json_uint(j, "us", s->us);
		json_uint(j, "flow", s->flow);
		json_str(j, "why", str_c(s->why));
		json_str(j, "src", str_c(addr_print(&s->src, src)));
		json_str(j, "dst", str_c(addr_print(&s->dst, dst)));
		json_uint(j, "ago_ms", clock_ms(gw->l3->w) - s->at_ms);
		json_obj_close(j);
	}
	json_arr_close(j);
}

static void l3_cli_reasons_json(struct json *j, const char *key, const struct gateway_reasons *rs)
{
	unsigned i;

	json_obj_open(j, key);
	for (i = 0; i < GATEWAY_REASONS && rs->r[i].name; i++)
		json_uint(j, rs->r[i].name, rs->r[i].count);
	json_obj_close(j);
}

static struct pktq_kernel l3_cli_queue(const struct gateway *gw)
{
	struct pktq_kernel k = { 0 };

	if (gw->q && gw->q->fd >= 0)
		pktq_kernel(gw->q, &k);
	return k;
}

static void l3_cli_gateway_json(struct cli_ctx *ctx, const struct gateway *gw)
{
	struct json *j = &ctx->j;
	struct pktq_kernel k = l3_cli_queue(gw);
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
	l3_cli_reasons_json(j, "demote_failures", &gw->demote_failures);
	l3_cli_hist_json(j, "insert_us", &gw->insert_us);
	l3_cli_hist_json(j, "remove_us", &gw->remove_us);
	l3_cli_hist_json(j, "stall_us", &gw->stall_us);
	l3_cli_stalls_json(j, gw);
	l3_cli_reasons_json(j, "unsupported", &gw->unsupported);
	json_obj_open(j, "queue");
	json_uint(j, "waiting", k.waiting);
	json_uint(j, "overrun", k.overrun);
	json_obj_close(j);
	json_str(j, "translation", str_c(gw->l3->kernel_xlate ? "kernel" : "daemon"));
	json_uint(j, "overflow", gw->overflow);
	json_uint(j, "evicted", gw->evicted);
	json_obj_open(j, "dry_run");
	for (i = GATEWAY_ACT_WATCH + 1; i < GATEWAY_ACT_COUNT; i++)
		json_uint(j, gateway_act_name[i], gw->dry_run[i]);
	json_obj_close(j);
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

/* "insert_us: count 12 p50 31 .. max 80; below 32: 7, 64: 4, 128: 1" */
static void l3_cli_hist_text(struct buf *out, const char *what, const struct hist *h)
{
	const char *sep = "; below";
	unsigned bits;

	buf_printf_grow(out, "  %s: count %" PRIu64 " p50 %" PRIu64 " p90 %" PRIu64 " p99 %" PRIu64 " p999 %" PRIu64 " max %" PRIu64,
			what, h->count, hist_percentile(h, 50), hist_percentile(h, 90), hist_percentile(h, 99),
			hist_percentile(h, 99.9), h->max);
	for (bits = 0; bits < HIST_POW2; bits++) {
		uint64_t n = hist_pow2(h, bits);

		if (!n)
			continue;
		buf_printf_grow(out, "%s %llu: %" PRIu64, sep, 1ULL << bits, n);
		sep = ",";
	}
	buf_printf_grow(out, "\n");
}

static void l3_cli_stalls_text(struct buf *out, const struct gateway *gw)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];
	const struct gateway_stall *s;

	for (s = gw->stall; s < gw->stall + GATEWAY_STALLS && s->us; s++)
		buf_printf_grow(out, "  stall: %" PRIu64 "us %s flow %" PRIu64 " %s > %s %" PRIu64 "s ago\n", s->us, s->why, s->flow,
				addr_print(&s->src, src), addr_print(&s->dst, dst), (clock_ms(gw->l3->w) - s->at_ms) / 1000);
}

static void l3_cli_gateway_text(struct cli_ctx *ctx, const struct gateway *gw)
{
	struct pktq_kernel k = l3_cli_queue(gw);
	struct buf *out = ctx->out;
	int i;

	buf_printf_grow(out, "gateway %s: packets %" PRIu64 " bytes %" PRIu64 " promotions %" PRIu64 " demotions %" PRIu64 "%s\n",
			gw->name, gw->packets, gw->bytes, gw->promotions, gw->demotions, gw->removed ? " (removed)" : "");
	buf_printf_grow(out, "  flows:");
	for (i = 0; i < FLOW_ST_COUNT; i++)
		buf_printf_grow(out, " %s %u", flow_state_name[i], gw->by_state[i]);
	buf_printf_grow(out, "\n  queue: waiting %" PRIu64 " overrun %" PRIu64, k.waiting, k.overrun);
	buf_printf_grow(out, "\n  translation: %s%s%s%s\n", gw->l3->kernel_xlate ? "kernel" : "daemon",
			gw->l3->no_kernel_xlate ? " (" : "", gw->l3->no_kernel_xlate ? gw->l3->no_kernel_xlate : "",
			gw->l3->no_kernel_xlate ? ")" : "");
	l3_cli_hist_text(out, "insert_us", &gw->insert_us);
	l3_cli_hist_text(out, "remove_us", &gw->remove_us);
	l3_cli_hist_text(out, "stall_us", &gw->stall_us);
	l3_cli_stalls_text(out, gw);
	if (gw->conf->dry_run) {
		buf_printf_grow(out, "  dry-run:");
		for (i = GATEWAY_ACT_WATCH + 1; i < GATEWAY_ACT_COUNT; i++)
			buf_printf_grow(out, " %s %" PRIu64, gateway_act_name[i], gw->dry_run[i]);
		buf_printf_grow(out, "\n");
	}
	if (gw->overflow)
		buf_printf_grow(out, "  past maxflows: %" PRIu64 "\n", gw->overflow);
	if (gw->evicted)
		buf_printf_grow(out, "  half-open, given up for others: %" PRIu64 "\n", gw->evicted);
	l3_cli_reasons_text(out, "promote_failures", &gw->promote_failures);
	l3_cli_reasons_text(out, "demote_failures", &gw->demote_failures);
	l3_cli_reasons_text(out, "unsupported", &gw->unsupported);
}

/* There are few gateways: all at once. */
static enum cli_ret l3_cli_show_gateway(struct cli_ctx *ctx)
{
	const char *name = ctx->argc > 2 ? ctx->args[2] : NULL;
	struct gateway *gw;

	offload_read(ctx->w->l3);
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
	flow_set_end(f, "killed");
	if (flow_border(f) || f->sockets) {
		f->gw->l3->border->kill(f);
		return CLI_DONE;
	}
	narrow_off(f);
	if (flow_hold(f))
		hold_drop(f); /* no rule let it pass */
	l3_flow_reset(f);
	l3_flow_end(f, "killed");
	/* after a bulk a client's next number is not known: the server answers what it says with a reset */
	if (seqtrk_known(&f->trk))
		f->policy = FLOW_POL_DROP;
	return CLI_DONE;
}

static struct cli_kw l3_cli_kws[] = {
	{ .words = { "show", "flow" }, .args = "[<id>] " FLOW_FILTER_USAGE, .help = "forwarded and promoted connections",
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
