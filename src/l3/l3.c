/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3.c - the layer: its life, its timer
 *
 * One timer serves all flows. Within a gateway flows of one class stand in the
 * order of expiry, so a tick looks at the heads only; l3_arm() keeps the timer
 * at the earliest moment anybody asked for, and a tick asks for the next.
 */
#include <errno.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <stdlib.h>
#include <syslog.h>

#include "core/clock.h"
#include "core/layer.h"
#include "core/log.h"
#include "core/worker.h"
#include "l3/ct.h"
#include "l3/hold.h"
#include "l3/inject.h"
#include "l3/l3.h"
#include "l3/narrow.h"
#include "l3/steering.h"

#define L3_END_LOOKS  10000 /* into the tracker, at the end: 0.1 s */
#define L3_TICK_FLOWS 500 /* timers of one tick; the rest waits for the next */

/* ---- the timer ---- */

static void l3_timer_cb(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct l3 *l3 = t->data;

	l3->timer_ms = UINT64_MAX;
	l3_tick(l3);
}

void l3_arm(struct l3 *l3, uint64_t ms)
{
	uint64_t now = clock_ms(l3->w);

	if (ms >= l3->timer_ms)
		return;
	l3->timer_ms = ms;
	if (!l3->w->loop)
		return; /* a test calls l3_tick() itself */
	ev_timer_stop(l3->w->loop, &l3->timer);
	ev_timer_set(&l3->timer, ms > now ? (double)(ms - now) / 1000.0 : 0., 0.);
	ev_timer_start(l3->w->loop, &l3->timer);
}

static void l3_expire_idle(struct flow *f)
{
	if (!narrow_idle(f))
		return; /* another period */
	/* what has deltas cannot go on without its record */
	if (f->xlate_by == FLOW_XLATE_DAEMON)
		l3_flow_reset(f);
	l3_flow_gone(f, "idle-timeout");
}

/* What pseudo sockets still deliver needs the record, however slow its receiver is; the kernel sets the limit. */
static void l3_expire_closing(struct flow *f)
{
	const struct l3_border_ops *border = f->gw->l3->border;

	if (!f->sockets || !border || !border->lingers(f))
		l3_flow_gone(f, "closed");
}

static void l3_expire(struct flow *f)
{
	switch ((enum flow_timer)f->timer) {
	case FLOW_TMR_SYN:
		l3_flow_gone(f, f->state == FLOW_ST_OPENING ? "syn-timeout" : "idle-timeout");
		break;
	case FLOW_TMR_IDLE:
		l3_expire_idle(f);
		break;
	case FLOW_TMR_INSPECT:
		l3_turn_judge(f, true);
		break;
	case FLOW_TMR_HOLD:
		if (flow_hold(f) && flow_hold(f)->why == HOLD_INSPECT)
			l3_turn_judge(f, true);
		else if (f->gw->l3->border)
			f->gw->l3->border->timeout(f);
		break;
	case FLOW_TMR_CLOSE:
		l3_expire_closing(f);
		break;
	case FLOW_TMR_OFFLOAD:
	case FLOW_TMR_OFFLOAD_OLD:
		offload_look(f);
		break;
	case FLOW_TMR_NONE:
		break;
	}
}

/* The heads of one list whose time has come. Returns when the next one's comes. */
static uint64_t l3_tick_list(struct gateway *gw, enum flow_timer tmr, unsigned *budget)
{
	uint64_t now = clock_ms(gw->l3->w);
	struct flow *f;

	while ((f = list_first(&gw->timer[tmr], struct flow, tmr))) {
		uint64_t at = flow_touched(f) + gateway_timeout(gw, tmr);

		if (at > now)
			return at;
		if ((tmr == FLOW_TMR_OFFLOAD || tmr == FLOW_TMR_OFFLOAD_OLD || (tmr == FLOW_TMR_IDLE && narrow_is(f))) &&
		    !offload_may_look(gw, &at))
			return at;
		if ((*budget)-- == 0)
			return now + 1;
		l3_expire(f);
		/* still the head: it has another period */
		if (!f->dead && f->timer == tmr && list_first(&gw->timer[tmr], struct flow, tmr) == f)
			flow_set_timer(f, tmr);
	}
	return UINT64_MAX;
}

void l3_tick(struct l3 *l3)
{
	unsigned budget = L3_TICK_FLOWS;
	uint64_t next = UINT64_MAX;
	struct gateway *gw, *tmp;
	int i;

	list_for_each_safe(gw, tmp, &l3->gateways, node) {
		gw->refs++;
		for (i = 0; i < FLOW_TMR_COUNT; i++) {
			uint64_t at = l3_tick_list(gw, (enum flow_timer)i, &budget);

			next = MIN(next, at);
		}
		gateway_put(gw);
	}
	next = MIN(next, offload_tick(l3));
	flow_reap(&l3->flows);
	if (next != UINT64_MAX)
		l3_arm(l3, next);
}

/* ---- the layer ---- */

int l3_worker_init(struct worker *w)
{
	struct l3 *l3 = calloc(1, sizeof(*l3));
	int rc;

	if (!l3)
		return -ENOMEM;
	l3->w = w;
	list_init(&l3->gateways);
	list_init(&l3->pending);
	list_init(&l3->queues);
	task_init(&l3->sweep, gateway_sweep);
	list_init(&l3->traces);
	list_init(&l3->holds);
	l3->mark_mask = MARK_MASK_DEFAULT;
	l3->held_max = l3->held_flow_max = l3->inspect_max = UINT64_MAX; /* until there is a configuration */
	l3->timer_ms = UINT64_MAX;
	arena_init(&l3->tmp);
	l3->hold_pool = pool_create(&w->pools, "hold", sizeof(struct hold));
	rc = l3->hold_pool ? flow_table_init(&l3->flows, l3) : -ENOMEM;
	if (rc < 0) {
		free(l3);
		return rc;
	}
	ev_timer_init(&l3->timer, l3_timer_cb, 0., 0.);
	l3->timer.data = l3;
	w->l3 = l3;
	return 0;
}

/* Without us a connection with deltas, or with held data, would hang: it is told. */
static void l3_end_flows(struct l3 *l3)
{
	struct flow *f;
	uint32_t at = 0;

	while ((f = flow_next(&l3->flows, &at))) {
		if (flow_hold(f))
			hold_forward(f);
		if (f->xlate_by == FLOW_XLATE_DAEMON && !flow_border(f))
			l3_flow_reset(f);
		l3_flow_gone(f, "stopped");
	}
	flow_reap(&l3->flows);
}

/* Connections that go on without us, their numbers adjusted by the kernel. */
static unsigned l3_adjusted(const struct l3 *l3)
{
	unsigned n = 0, looks = L3_END_LOOKS;
	const struct flow *f;
	struct ct_entry e;
	uint32_t at = 0;

	while ((f = flow_next(&l3->flows, &at))) {
		if (f->state != FLOW_ST_OFFLOADED || f->xlate_by != FLOW_XLATE_KERNEL || !l3->ct)
			continue;
		if (looks-- == 0)
			break;
		n += ct_get(l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], &e) == 0 &&
		     e.tcp_state == TCP_CONNTRACK_ESTABLISHED;
	}
	return n;
}

void l3_worker_destroy(struct worker *w)
{
	struct l3 *l3 = w->l3;
	struct gateway *gw;
	unsigned adjusted;

	if (!l3)
		return;
	adjusted = l3_adjusted(l3);
	l3_end_flows(l3);
	steering_end(l3, adjusted);
	task_cancel(&l3->sweep);
	while ((gw = list_first(&l3->pending, struct gateway, node)))
		gateway_free(gw);
	while ((gw = list_first(&l3->gateways, struct gateway, node)))
		gateway_free(gw);
	if (w->loop)
		ev_timer_stop(w->loop, &l3->timer);
	inject_close(&l3->inject);
	offload_close(l3);
	if (l3->ct)
		ct_close(&l3->ct);
	trace_end(l3);
	flow_table_destroy(&l3->flows);
	arena_reset(&l3->tmp);
	buf_free(&l3->scratch);
	free(l3);
	w->l3 = NULL;
}

/* Flows that need the process: those that would be damaged without it. */
static unsigned l3_busy(struct worker *w)
{
	const struct flow_table *t = &w->l3->flows;

	return t->by_state[FLOW_ST_HELD] + t->by_state[FLOW_ST_PROMOTED] + t->by_state[FLOW_ST_LEAVING] +
	       t->by_state[FLOW_ST_TRANSLATED];
}

static void l3_log_state(struct worker *w)
{
	const struct gateway *gw;

	list_for_each(gw, &w->l3->gateways, node)
		log_printf(w, &w->epoch->global.log, LOG_NOTICE,
			   "Gateway %s%s has %u connections, %u of them promoted, %u translated. %llu promotions, %llu demotions.",
			   gw->name, gw->removed ? ", no longer configured," : "", gw->flows, gw->by_state[FLOW_ST_PROMOTED],
			   gw->by_state[FLOW_ST_TRANSLATED], (unsigned long long)gw->promotions,
			   (unsigned long long)gw->demotions);
}

static struct layer l3_layer = {
	.name = "l3",
	.order = LAYER_L3,
	.init = l3_worker_init,
	.destroy = l3_worker_destroy,
	.busy = l3_busy,
	.log_state = l3_log_state,
};

INITCALL l3_init(void)
{
	layer_register(&l3_layer);
}
