/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway.c - gateways as they run, and how a configuration becomes theirs
 *
 * A run-time gateway is found by its section's name. Applying an epoch:
 *
 *   prepare  opens the queues of new gateways (and of those whose numbers changed).
 *            A gateway that takes the numbers of one that goes away takes
 *            over its queue. At start the steering goes in here, because it may fail.
 *   commit   gives every gateway its new conf. One that is no longer configured
 *            forwards the flows it has, takes no new ones, and goes when the last
 *            has gone. A changed steering is put in by the helper thread.
 *   abort    closes what prepare opened.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bug.h"
#include "core/worker.h"
#include "gateway_priv.h"
#include "l3/ct.h"
#include "l3/hold.h"
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

/* A flow of another gateway may have packets in this queue, or wait for it to run dry: let go of them. */
static void gateway_quit_queue(struct l3 *l3, struct pktq *q)
{
	struct flow *f, *tmp;

	list_for_each_safe(f, tmp, &l3->flows.all, all) {
		if (f->q == q)
			f->q = NULL;
		else if (!hold_uses(f->hold, q))
			continue;
		if (f->state == FLOW_ST_HELD && f->hold->why == HOLD_INSPECT)
			l3_turn_judge(f, true);
		if (f->border) /* it may have been promoted just now */
			l3->border->timeout(f);
	}
}

static void gateway_close_queue(struct gateway *gw)
{
	if (!gw->q)
		return;
	gateway_quit_queue(gw->l3, gw->q);
	pktq_close(gw->q);
	free(gw->q);
	gw->q = NULL;
}

static void gateway_free(struct gateway *gw)
{
	task_cancel(&gw->reaper);
	list_del(&gw->node);
	gateway_close_queue(gw);
	epoch_put(gw->ep);
	free(gw->name);
	free(gw);
}

static void gateway_reap(struct worker *w, struct task *t)
{
	struct gateway *gw = container_of(t, struct gateway, reaper);

	if (gw->refs == 0)
		gateway_free(gw);
}

void gateway_put(struct gateway *gw)
{
	if (gw->refs && --gw->refs)
		return;
	/* its last flow may go while its own queue is being read */
	if (gw->q && gw->q->in_batch)
		task_queue(gw->l3->w, &gw->reaper);
	else
		gateway_free(gw);
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

/* ---- prepare ---- */

/* A gateway that <ep> does not know and that has exactly these queues. */
static struct gateway *gateway_heir_of(struct l3 *l3, const struct epoch *ep, const struct gateway_conf *c)
{
	struct gateway *gw;

	list_for_each(gw, &l3->gateways, node)
		if (gw->q && gw->q->first == c->queue_first && gw->q->last == c->queue_last &&
		    !epoch_find(ep, "gateway", gw->name))
			return gw;
	return NULL;
}

static int gateway_open_queue(struct gateway *gw, struct diag *d)
{
	const struct gateway_conf *c = gw->conf;
	char *err = NULL;
	int rc;

	gw->q = calloc(1, sizeof(*gw->q));
	if (!gw->q)
		return -ENOMEM;
	rc = pktq_open(gw->q, gw->l3->w, c->queue_first, c->queue_last, &l3_path_handler, gw, &err);
	if (rc < 0) {
		diag_error(d, c->obj.file, c->obj.line, "gateway '%s' : %s", gw->name, err ? err : "no memory");
		free(err);
		free(gw->q);
		gw->q = NULL;
	}
	return rc;
}

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
	return 0;
}

static int gateway_prepare_one(struct l3 *l3, struct epoch *ep, struct gateway_conf *c, struct diag *d)
{
	struct gateway *gw = gateway_find(l3, c->obj.name);

	if (gw && gw->q && gw->q->first == c->queue_first && gw->q->last == c->queue_last)
		return 0;
	if (gw && gw->q) {
		diag_error(d, c->obj.file, c->obj.line,
			   "gateway '%s' : the queue of a running gateway cannot change; give it another name", c->obj.name);
		return -EINVAL;
	}
	gw = gateway_new(l3, c, ep);
	if (!gw)
		return -ENOMEM;
	list_add_tail(&l3->pending, &gw->node);
	return gateway_heir_of(l3, ep, c) ? 0 : gateway_open_queue(gw, d);
}

int gateway_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d)
{
	struct l3_conf *lc = epoch_part(ep, &gateway_module);
	struct gateway_conf *c;
	struct l3 *l3 = w->l3;
	int rc;

	if (!l3 || (list_empty(&lc->gateways) && list_empty(&l3->gateways)))
		return 0;
	if (l3->inject && l3->mark_mask != ep->global.mark_mask)
		diag_warn(d, NULL, 0, "mark-mask cannot change while running: 0x%08x stays in use", l3->mark_mask);
	rc = gateway_common(l3, ep, d);
	if (rc < 0)
		return rc;
	list_for_each(c, &lc->gateways, node) {
		rc = gateway_prepare_one(l3, ep, c, d);
		if (rc < 0)
			return rc;
	}
	return old ? steering_check(l3, ep, d) : steering_start(l3, ep, d);
}

void gateway_abort(struct worker *w, struct epoch *ep)
{
	struct gateway *gw;

	if (!w->l3)
		return;
	while ((gw = list_first(&w->l3->pending, struct gateway, node)))
		gateway_put(gw);
}

/* ---- commit ---- */

static void gateway_retire(struct gateway *gw)
{
	if (gw->removed)
		return;
	gw->removed = true;
	gateway_put(gw); /* the list's reference; flows keep it listed until they are gone */
}

static void gateway_take_over(struct gateway *gw, struct gateway *from)
{
	gw->q = from->q;
	from->q = NULL;
	gw->q->owner = gw;
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
	gw->conf = c;
	epoch_get(ep);
	epoch_put(gw->ep);
	gw->ep = ep;
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
	list_for_each_safe(gw, tmp, &l3->pending, node) {
		struct gateway *from = gw->q ? NULL : gateway_heir_of(l3, ep, gw->conf);

		if (from)
			gateway_take_over(gw, from);
		list_del(&gw->node);
		list_add_tail(&l3->gateways, &gw->node);
	}
	list_for_each(c, &lc->gateways, node)
		gateway_commit_one(l3, ep, c);
	list_for_each_safe(gw, tmp, &l3->gateways, node)
		if (!epoch_find(ep, "gateway", gw->name))
			gateway_retire(gw);
	if (old)
		steering_change(l3, ep);
}
