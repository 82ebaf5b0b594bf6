/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway.c - gateways as they run, and how a configuration becomes theirs
 *
 * A run-time gateway is found by its section's name. Applying an epoch:
 *
 *   prepare  opens queues that are not open yet (gateway_queue.c). At start the steering goes
 *            in here, because it may fail.
 *   commit   gives every gateway its new conf and queue. One that is no longer configured takes
 *            no new flows and asks no rules about those it has; a flow that another one's match
 *            lines describe goes over to that one with its next packet. It is gone with its last flow;
 *            until then the rules that bring the flows' packets stay (steering.c). A changed
 *            steering is put in by the helper thread; queues that nobody uses then are closed.
 *   abort    closes what prepare opened.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/worker.h"
#include "gateway_priv.h"
#include "l3/ct.h"
#include "l3/inject.h"
#include "l3/l3.h"
#include "l3/steering.h"

/* ---- objects ---- */

struct gateway *gateway_find(struct l3 *l3, const char *name)
{
	struct gateway *gw;

	list_for_each(gw, &l3->gateways, node)
		if (strcmp(gw->name, name) == 0)
			return gw;
	return NULL;
}

static void gateway_reap(struct worker *w, struct task *t);

struct gateway *gateway_new(struct l3 *l3, const struct gateway_conf *c, struct epoch *ep)
{
	struct gateway *gw = calloc(1, sizeof(*gw));
	int i;

	if (!gw)
		return NULL;
	gw->l3 = l3;
	gw->name = strdup(c->obj.name);
	gw->conf = c;
	gw->ep = ep ? epoch_get(ep) : NULL;
	gw->refs = 1;
	list_init(&gw->node);
	task_init(&gw->reaper, gateway_reap);
	for (i = 0; i < FLOW_TMR_COUNT; i++)
		list_init(&gw->timer[i]);
	return gw;
}

void gateway_free(struct gateway *gw)
{
	task_cancel(&gw->reaper);
	list_del(&gw->node);
	gateway_queue_leave(gw);
	epoch_put(gw->ep);
	free(gw->name);
	free(gw);
}

static void gateway_reap(struct worker *w, struct task *t)
{
	struct gateway *gw = container_of(t, struct gateway, reaper);
	struct l3 *l3 = gw->l3;

	if (gw->refs)
		return;
	gateway_free(gw);
	task_queue(w, &l3->sweep);
}

/* Never at once: its last flow may go while a queue that it owns is being read. */
void gateway_put(struct gateway *gw)
{
	if (gw->refs && --gw->refs)
		return;
	task_queue(gw->l3->w, &gw->reaper);
}

struct gateway *gateway_heir(const struct flow *f)
{
	struct gateway *gw;

	list_for_each(gw, &f->gw->l3->gateways, node)
		if (!gw->removed &&
		    gateway_matches(gw, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], f->in_if, f->out_if) > 0)
			return gw;
	return NULL;
}

unsigned gateway_timeout(const struct gateway *gw, enum flow_timer tmr)
{
	return gw->conf->timeout_ms[tmr];
}

void gateway_count(struct gateway_reasons *rs, const char *reason)
{
	unsigned i;

	for (i = 0; i < GATEWAY_REASONS - 1 && rs->r[i].name; i++)
		if (strcmp(rs->r[i].name, reason) == 0) {
			rs->r[i].count++;
			return;
		}
	if (!rs->r[i].name)
		rs->r[i].name = i == GATEWAY_REASONS - 1 ? "other" : reason;
	rs->r[i].count++;
}

void gateway_stall(struct flow *f, const char *why, uint64_t us)
{
	struct gateway *gw = f->gw;
	unsigned i = GATEWAY_STALLS - 1;

	f->held_us = (uint32_t)MIN(MAX(f->held_us, us), UINT32_MAX);
	hist_add(&gw->stall_us, us);
	if (us <= gw->stall[i].us)
		return;
	for (; i > 0 && gw->stall[i - 1].us < us; i--)
		gw->stall[i] = gw->stall[i - 1];
	gw->stall[i] = (struct gateway_stall){ .us = us, .flow = f->id, .at_ms = clock_ms(gw->l3->w), .why = why,
					       .src = f->side[FLOW_CLIENT], .dst = f->side[FLOW_SERVER] };
}

/* ---- prepare ---- */

/* What every gateway needs, once. */
static int gateway_common(struct l3 *l3, struct epoch *ep, struct diag *d)
{
	int rc;

	if (l3->inject)
		return 0;
	l3->mark_mask = ep->global.mark_mask;
	rc = inject_open(&l3->inject, l3->mark_mask);
	if (rc < 0) {
		diag_error(d, NULL, 0, "gateway : raw sockets: %s%s", strerror(-rc),
			   rc == -EPERM ? " (CAP_NET_RAW is needed)" : "");
		return rc;
	}
	rc = ct_open(&l3->ct);
	if (rc < 0)
		diag_warn(d, NULL, 0, "gateway : connection tracker: %s; offloaded flows cannot be called back", strerror(-rc));
	else
		offload_open(l3, d);
	l3->kernel_xlate = handover_selftest(l3->ct, &l3->no_kernel_xlate);
	return 0;
}

static int gateway_prepare_one(struct l3 *l3, struct epoch *ep, struct gateway_conf *c, struct diag *d)
{
	struct gateway *gw = gateway_find(l3, c->obj.name);
	int rc;

	if (gw && gw->conf->steer_manual != c->steer_manual) {
		/* ours and the operator's are the same chains: his would go with ours */
		diag_error(d, c->obj.file, c->obj.line, "gateway '%s' : 'steer' cannot change while it runs; stop and start",
			   gw->name);
		return -EINVAL;
	}
	rc = gateway_queue_prepare(l3, c, d);
	if (rc < 0 || gw)
		return rc;
	gw = gateway_new(l3, c, ep);
	if (!gw)
		return -ENOMEM;
	list_add_tail(&l3->pending, &gw->node);
	return 0;
}

static int gateway_prepare_all(struct l3 *l3, struct epoch *ep, struct diag *d)
{
	struct l3_conf *lc = epoch_part(ep, &gateway_module);
	struct gateway_conf *c;
	int rc = 0;

	list_for_each(c, &lc->gateways, node) {
		rc = gateway_prepare_one(l3, ep, c, d);
		if (rc < 0)
			break;
	}
	return rc;
}

void gateway_abort(struct worker *w, struct epoch *ep)
{
	struct gateway *gw;

	if (!w->l3)
		return;
	while ((gw = list_first(&w->l3->pending, struct gateway, node)))
		gateway_free(gw);
	gateway_queue_abort(w->l3);
}

int gateway_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d)
{
	struct l3_conf *lc = epoch_part(ep, &gateway_module);
	struct l3 *l3 = w->l3;
	int rc;

	if (!l3 || (list_empty(&lc->gateways) && list_empty(&l3->gateways)))
		return 0;
	if (l3->inject && l3->mark_mask != ep->global.mark_mask)
		diag_warn(d, NULL, 0, "mark-mask cannot change while running: 0x%08x stays in use", l3->mark_mask);
	rc = gateway_common(l3, ep, d);
	if (rc < 0)
		return rc;
	rc = gateway_prepare_all(l3, ep, d);
	if (rc == 0)
		rc = old ? steering_check(l3, ep, d) : steering_start(l3, ep, d);
	if (rc < 0)
		gateway_abort(w, ep);
	return rc;
}

/* ---- commit ---- */

static void gateway_retire(struct gateway *gw)
{
	if (gw->removed)
		return;
	gw->removed = true;
	gateway_put(gw); /* the list's reference; flows keep it listed until they are gone */
}

static void gateway_commit_one(struct l3 *l3, struct epoch *ep, struct gateway_conf *c)
{
	struct gateway *gw = gateway_find(l3, c->obj.name);

	if (!gw)
		return;
	if (gw->removed) {
		gw->removed = false;
		gw->refs++;
	}
	gw->rejudge |= gw->conf->rules_text != c->rules_text;
	gw->conf = c;
	epoch_get(ep);
	epoch_put(gw->ep);
	gw->ep = ep;
	gateway_queue_commit(gw);
	if (gw->rejudge)
		offload_rejudge(l3);
}

void gateway_commit(struct worker *w, struct epoch *ep, struct epoch *old)
{
	struct l3_conf *lc = epoch_part(ep, &gateway_module);
	struct gateway *gw, *tmp;
	struct l3 *l3 = w->l3;
	struct gateway_conf *c;

	if (!l3)
		return;
	l3->flows.max = ep->global.maxflows;
	l3->held_max = ep->global.hold_max;
	l3->held_flow_max = ep->global.hold_flow_max;
	l3->inspect_max = ep->global.inspect_max;
	list_for_each_safe(gw, tmp, &l3->pending, node) {
		list_del(&gw->node);
		list_add_tail(&l3->gateways, &gw->node);
	}
	list_for_each(c, &lc->gateways, node)
		gateway_commit_one(l3, ep, c);
	list_for_each_safe(gw, tmp, &l3->gateways, node)
		if (!epoch_find(ep, "gateway", gw->name))
			gateway_retire(gw);
	if (old) {
		steering_change(l3, ep);
		task_queue(w, &l3->sweep);
	}
}

void gateway_sweep(struct worker *w, struct task *t)
{
	struct l3 *l3 = container_of(t, struct l3, sweep);

	steering_change(l3, w->epoch);
	if (!l3->steering) /* else it is asked for again when the rules are in */
		gateway_queue_sweep(l3);
}
