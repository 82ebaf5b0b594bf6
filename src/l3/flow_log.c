/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flow_log.c - one line for each flow that ended
 *
 * Without log-format:
 *   192.0.2.7:40312 > 198.51.100.4:443 edge/fe_inspect promotions 3 demotions 3 bytes 1520/88213 2041ms fin
 * that is client, server, gateway and the frontend promoted into last ("-": never), payload bytes from
 * client and from server as far as they passed through the daemon, how long it lived, how it ended.
 */
#include <inttypes.h>
#include <syslog.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/worker.h"
#include "gateway_priv.h"
#include "l3/l3.h"

#define FLOW_LOG_MAX 2048

struct flow_log {
	const struct flow *f;
	uint64_t age_ms;
};

static bool flow_log_put_ip(struct buf *out, const struct addr *a)
{
	char text[ADDR_STRLEN];

	return buf_printf(out, "%s", addr_print_ip(a, text));
}

typedef bool flow_log_fn(const struct flow_log *l, struct buf *out);

static bool flow_log_ci(const struct flow_log *l, struct buf *out)
{
	return flow_log_put_ip(out, &l->f->side[FLOW_CLIENT]);
}

static bool flow_log_cp(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%u", l->f->side[FLOW_CLIENT].port);
}

static bool flow_log_si(const struct flow_log *l, struct buf *out)
{
	return flow_log_put_ip(out, &l->f->side[FLOW_SERVER]);
}

static bool flow_log_sp(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%u", l->f->side[FLOW_SERVER].port);
}

static bool flow_log_gw(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%s", l->f->gw->name);
}

static bool flow_log_fe(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%s", flow_frontend(l->f) ? flow_frontend(l->f) : "-");
}

static bool flow_log_up(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, l->f->bytes[FLOW_CLIENT]);
}

static bool flow_log_down(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, l->f->bytes[FLOW_SERVER]);
}

static bool flow_log_age(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, l->age_ms);
}

static bool flow_log_end(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%s", flow_end(l->f) ? flow_end(l->f) : "-");
}

static bool flow_log_promotions(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%u", flow_promotions(l->f));
}

static bool flow_log_demotions(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%u", flow_demotions(l->f));
}

static bool flow_log_id(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, l->f->id);
}

static bool flow_log_refused(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%s", flow_refused(l->f) ? flow_refused(l->f) : "-");
}

static bool flow_log_held(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%u", l->f->held_us);
}

static bool flow_log_packets(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%" PRIu64, (uint64_t)l->f->packets);
}

static bool flow_log_state(const struct flow_log *l, struct buf *out)
{
	return buf_printf(out, "%s", flow_state_name[l->f->state == FLOW_ST_CLOSING ? l->f->was : flow_shown(l->f)]);
}

/* log-format's tags: HAProxy's where it has them */
static const struct {
	const char *name;
	flow_log_fn *fn;
} flow_log_tags[] = {
	{ "ci", flow_log_ci },	 { "cp", flow_log_cp },	  { "si", flow_log_si },  { "sp", flow_log_sp },
	{ "ft", flow_log_gw },	 { "f", flow_log_gw },	  { "b", flow_log_fe },	  { "U", flow_log_up },
	{ "B", flow_log_down },	 { "Tt", flow_log_age },  { "ts", flow_log_end }, { "np", flow_log_promotions },
	{ "nd", flow_log_demotions }, { "ni", flow_log_id }, { "nr", flow_log_refused }, { "nh", flow_log_held },
	{ "nk", flow_log_packets }, { "ns", flow_log_state },
};

static const char *const flow_log_names[] = { "ci", "cp", "si", "sp", "ft", "f", "b", "U", "B", "Tt", "ts", "np", "nd",
					      "ni", "nr", "nh", "nk", "ns", NULL };

static bool flow_log_tag(struct policy_ctx *ctx, const char *name, struct buf *out)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flow_log_tags); i++)
		if (strcmp(flow_log_tags[i].name, name) == 0) {
			flow_log_tags[i].fn(ctx->owner, out);
			return true;
		}
	return false;
}

const struct lf_source gateway_lf = { .tag = flow_log_tag, .names = flow_log_names };

static void flow_log_default(const struct flow_log *l, struct buf *out)
{
	const struct flow *f = l->f;
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];

	buf_printf(out, "%s > %s %s/%s promotions %u demotions %u bytes %" PRIu64 "/%" PRIu64 " %" PRIu64 "ms %s%s%s",
		   addr_print(&f->side[FLOW_CLIENT], src), addr_print(&f->side[FLOW_SERVER], dst), f->gw->name,
		   flow_frontend(f) ? flow_frontend(f) : "-", flow_promotions(f), flow_demotions(f), f->bytes[0], f->bytes[1], l->age_ms,
		   flow_end(f) ? flow_end(f) : "-", flow_refused(f) ? " refused " : "", flow_refused(f) ? flow_refused(f) : "");
}

/* HAProxy's `option tcplog`, with the gateway in the frontend's place: its manual, 8.2.2. */
static void flow_log_tcplog(const struct flow_log *l, struct buf *out)
{
	const struct flow *f = l->f;
	char src[ADDR_STRLEN], dst[ADDR_STRLEN];

	buf_printf(out, "%s %s %s/%s -/-/%" PRIu64 " %" PRIu64 " -- %u/%u/0/0/0 0/0 %s",
		   addr_print(&f->side[FLOW_CLIENT], src), f->gw->name, flow_frontend(f) ? flow_frontend(f) : "-",
		   addr_print(&f->side[FLOW_SERVER], dst), l->age_ms, f->bytes[FLOW_SERVER], f->gw->flows, f->gw->flows,
		   flow_end(f) ? flow_end(f) : "-");
}

static void flow_log_write(struct flow *f)
{
	const struct gateway_conf *c = f->gw->conf;
	struct flow_log l = { .f = f, .age_ms = clock_ms(f->gw->l3->w) - f->created_ms };
	struct stk_tracks *tracks = flow_tracks(f);
	char area[FLOW_LOG_MAX];
	struct buf out;

	if (list_empty(&c->log.targets) && (!c->log.global || list_empty(&c->log.global->targets)))
		return; /* nobody reads what takes a while to write */
	buf_wrap(&out, area, sizeof(area));
	if (c->logformat) {
		struct l3 *l3 = f->gw->l3;
		struct policy_ctx ctx = { .w = l3->w, .ep = f->gw->ep, .src = &f->side[0], .dst = &f->side[1],
					  .req_final = true, .res_final = true, .tmp = &l3->tmp, .owner = &l,
					  .lf = &gateway_lf, .tracks = &tracks };

		arena_reset(&l3->tmp);
		logformat_build(c->logformat, &ctx, &out);
	} else if (c->tcplog) {
		flow_log_tcplog(&l, &out);
	} else {
		flow_log_default(&l, &out);
	}
	log_send(f->gw->l3->w, &c->log, LOG_INFO, buf_str(&out));
}

void l3_log_end(struct flow *f)
{
	if (f->ended)
		return;
	f->ended = true;
	l3_track_bytes(f);
	flow_log_write(f); /* with what is still tracked */
	l3_track_end(f);
}
