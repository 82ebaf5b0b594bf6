/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gateway_queue.c - which gateway has which of the kernel's queues
 *
 * Queues stand in l3->queues, known by their numbers, and outlive what a reload does to gateways: one that a
 * renamed or another gateway asks for by the same numbers is handed on as it is, packets included, and one that
 * nobody asks for any more stays open until the firewall rules that fill it are replaced. A gateway that is no longer
 * configured shares the queue with its successor until its last flow has gone.
 *
 * q->owner is the gateway whose rules new connections in it meet; for the packets of a flow it does not matter which
 * queue they come from.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/worker.h"
#include "gateway_priv.h"
#include "l3/hold.h"
#include "l3/l3.h"

static struct pktq *queue_find(struct l3 *l3, uint16_t first, uint16_t last)
{
	struct pktq *q;

	list_for_each(q, &l3->queues, node)
		if (q->first == first && q->last == last)
			return q;
	return NULL;
}

/* An open queue that has some of the numbers, but not just these. */
static struct pktq *queue_overlap(struct l3 *l3, uint16_t first, uint16_t last)
{
	struct pktq *q;

	list_for_each(q, &l3->queues, node)
		if (q->first <= last && first <= q->last)
			return q;
	return NULL;
}

int gateway_queue_prepare(struct l3 *l3, const struct gateway_conf *c, struct diag *d)
{
	struct pktq *q = queue_find(l3, c->queue_first, c->queue_last);
	char *err = NULL;
	int rc;

	if (q)
		return 0;
	q = queue_overlap(l3, c->queue_first, c->queue_last);
	if (q) {
		diag_error(d, c->obj.file, c->obj.line,
			   "gateway '%s' : queue %u-%u is in use as %u-%u; take these numbers, or others", c->obj.name,
			   c->queue_first, c->queue_last, q->first, q->last);
		return -EINVAL;
	}
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	rc = pktq_open(q, l3->w, c->queue_first, c->queue_last, &l3_path_handler, NULL, &err);
	if (rc < 0) {
		diag_error(d, c->obj.file, c->obj.line, "gateway '%s' : %s", c->obj.name, err ? err : "no memory");
		free(err);
		free(q);
		return rc;
	}
	list_add_tail(&l3->queues, &q->node);
	return 0;
}

void gateway_queue_commit(struct gateway *gw)
{
	gw->q = queue_find(gw->l3, gw->conf->queue_first, gw->conf->queue_last);
	if (gw->q)
		gw->q->owner = gw;
}

/* A flow may have packets in this queue, or wait for it to run dry: let go of them. */
static void queue_quit(struct l3 *l3, struct pktq *q)
{
	struct hold *h, *next;

	list_for_each_safe(h, next, &l3->holds, node) {
		struct flow *f = h->f;

		if (!hold_uses(h, q))
			continue;
		if (h->why == HOLD_INSPECT)
			l3_turn_judge(f, true);
		if (flow_border(f)) /* it may have been promoted just now */
			l3->border->timeout(f);
	}
	if (l3->border && l3->border->queue_gone)
		l3->border->queue_gone(q);
}

static void queue_close(struct l3 *l3, struct pktq *q)
{
	list_del(&q->node);
	if (q->owner) /* else it has not seen a packet */
		queue_quit(l3, q);
	pktq_close(q);
	free(q);
}

static struct gateway *queue_user(struct l3 *l3, const struct pktq *q)
{
	struct gateway *gw;

	list_for_each(gw, &l3->gateways, node)
		if (gw->q == q)
			return gw;
	return NULL;
}

void gateway_queue_sweep(struct l3 *l3)
{
	struct pktq *q, *tmp;

	list_for_each_safe(q, tmp, &l3->queues, node) {
		struct gateway *user = queue_user(l3, q);

		if (!user)
			queue_close(l3, q);
		else if (((struct gateway *)q->owner)->q != q)
			q->owner = user;
	}
}

void gateway_queue_leave(struct gateway *gw)
{
	struct pktq *q, *tmp;

	gw->q = NULL;
	list_for_each_safe(q, tmp, &gw->l3->queues, node) {
		struct gateway *heir;

		if (q->owner != gw)
			continue;
		heir = queue_user(gw->l3, q);
		if (!heir)
			heir = list_first(&gw->l3->gateways, struct gateway, node);
		if (heir)
			q->owner = heir;
		else
			queue_close(gw->l3, q);
	}
}

void gateway_queue_abort(struct l3 *l3)
{
	struct pktq *q, *tmp;

	list_for_each_safe(q, tmp, &l3->queues, node)
		if (!q->owner)
			queue_close(l3, q);
}
