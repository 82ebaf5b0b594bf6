/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * border.c - the layer between L3 and L7: its records, and the way of packets to sockets
 *
 * Packets of a flow that border holds come here (border_packet()) and go on by
 * border's state. What is delivered to a pseudo socket is not translated: the
 * socket speaks the numbers of the end it talks to.
 *
 * Late switch (FACTS §1, 11). A new pair of sockets is fed by the daemon; packets
 * of the flow may still stand in the queue behind those that were held. Direct
 * delivery is switched on only when the queue was read dry and the verdicts were
 * sent, or a later packet would overtake them: an end that has no SACK takes that for a loss, repeats
 * itself, and what was overtaken is dropped for being older than that (PAWS). In mid-flow it would hardly ever be
 * dry. So the stream does not read its sockets until then, and the ends stop at their windows for a moment.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "border/border.h"
#include "border_priv.h"
#include "core/bug.h"
#include "core/cli.h"
#include "core/clock.h"
#include "core/layer.h"

/* ---- records ---- */

static void border_may_leave_task(struct worker *w, struct task *t);

struct border_flow *border_flow_new(struct flow *f)
{
	struct border *b = border_of(f);
	struct border_flow *bf = flow_ext(f) ? pool_zalloc(b->pool) : NULL;

	if (!bf) {
		flow_ext_trim(f);
		return NULL;
	}
	bf->f = f;
	bf->fd[0] = bf->fd[1] = -1;
	list_init(&bf->late);
	list_init(&bf->looks);
	list_init(&bf->soon);
	list_init(&bf->turn);
	list_init(&bf->waiters);
	task_init(&bf->may_leave, border_may_leave_task);
	list_add_tail(&b->all, &bf->node);
	f->ext->border = bf;
	return bf;
}

void border_flow_free(struct border_flow *bf)
{
	struct border *b = border_of(bf->f);

	border_done(bf, "ended");
	task_cancel(&bf->may_leave);
	border_unwatch(bf);
	border_wish_done(bf);
	list_del(&bf->node);
	list_del(&bf->late);
	if (flow_border(bf->f) == bf) {
		bf->f->ext->border = NULL;
		flow_ext_trim(bf->f);
	}
	pool_free(b->pool, bf);
}

void border_done(struct border_flow *bf, const char *why)
{
	struct border_waiter *wt;

	while ((wt = list_first(&bf->waiters, struct border_waiter, node))) {
		list_del(&wt->node);
		wt->done = true;
		wt->why = why;
		cli_wake(wt->ctx);
	}
}

void border_mark(struct border_flow *bf, unsigned value)
{
	uint32_t mark = mark_put(bf->f->foreign_mark, bf->f->gw->l3->mark_mask, value);
	int d;

	for (d = 0; d < 2; d++)
		if (bf->fd[d] >= 0)
			repair_set_mark(bf->fd[d], mark);
}

void border_close(struct border_flow *bf)
{
	repair_close(&bf->fd[0]);
	repair_close(&bf->fd[1]);
}

/* ---- to the sockets ---- */

void border_deliver(struct visit *v)
{
	struct border_flow *bf = flow_border(v->f);

	/* a fresh socket drops what acks less than it began with, data and all (RFC 5961 5). Later that is far behind, and
	 * after 2 GiB it would look like being ahead. */
	if (bf->fresh && (v->s.flags & SEG_ACK) && seq_lt(v->s.ack, bf->snd0[v->d])) {
		seg_set_ack(&v->s, bf->snd0[v->d]);
		seg_set_win(&v->s, bf->win0[v->d]);
	}
	v->f->bytes[v->d] -= v->s.data_len; /* it counts when the stream sends it on */
	if (seq_gt(seg_end(&v->s), bf->top[v->d]))
		bf->top[v->d] = seg_end(&v->s);
	if (bf->direct)
		l3_to_socket_late(v);
	else
		l3_to_socket(v);
}

void border_deliver_held(struct border_flow *bf)
{
	struct flow *f = bf->f;
	struct visit v;
	struct held *h;
	int d;

	for (d = 0; d < 2; d++)
		while (hold_pop(f, d, &v, &h)) {
			border_deliver(&v);
			hold_done(h);
		}
	hold_over(f);
}

/* ---- late switch ---- */

void border_begin(struct border_flow *bf)
{
	if (bf->waits && bf->s)
		stream_begin(bf->s);
	bf->waits = false;
}

void border_late(struct border_flow *bf)
{
	struct border *b = border_of(bf->f);

	bf->late_us = clock_us();
	list_del(&bf->late);
	list_add_tail(&b->late, &bf->late);
	if (!flow_queue(bf->f) || !flow_queue(bf->f)->in_batch)
		task_queue(b->w, &b->late_task);
}

#define LATE_US 20000 /* for so long the switch waits for the queue to be empty */

static void border_switch(struct border_flow *bf)
{
	list_del(&bf->late);
	bf->fresh = false;
	bf->direct = true;
	border_mark(bf, MARK_SOCK_DIRECT);
	trace_step(bf->f, "direct delivery");
	border_begin(bf);
}

/* Outside of a batch nobody reads the queue for us. Reading it ends in border_batch_end(); what is still late
 * then waits for the loop to read on. */
static void border_late_task(struct worker *w, struct task *t)
{
	struct border_flow *bf, *tmp;
	struct pktq *last = NULL;

	list_for_each_safe(bf, tmp, &w->border->late, late) {
		if (!flow_queue(bf->f))
			border_switch(bf);
	}
	while ((bf = list_first(&w->border->late, struct border_flow, late)) && flow_queue(bf->f) != last) {
		last = flow_queue(bf->f);
		pktq_read(last);
	}
}

void border_look(struct border_flow *bf)
{
	switch (bf->state) {
	case BORDER_ST_RECALLING:
		border_recall_poll(bf);
		break;
	case BORDER_ST_DRAINING:
		border_drain_poll(bf);
		break;
	case BORDER_ST_LEAVING:
		border_leave_poll(bf);
		break;
	case BORDER_ST_CARRYING:
		border_wish_poll(bf);
		break;
	}
}

static void border_batch_end(struct pktq *q, bool drained)
{
	struct border *b = q->w->border;
	struct border_flow *bf, *tmp;

	border_watch_batch(b);
	if (!drained)
		return;
	list_for_each_safe(bf, tmp, &b->late, late) {
		if (flow_queue(bf->f) != q)
			continue;
		/* in mid-flow the queue has filled meanwhile. Even now some may come before the kernel hears of the switch: they
		 * are read at once. */
		q->again = true;
		if (!bf->midway || q->was_empty || clock_us() - bf->late_us > LATE_US)
			border_switch(bf);
		else
			task_queue(b->w, &b->late_task);
	}
}

/* ---- what l3 asks for ---- */

static void border_packet(struct visit *v)
{
	struct border_flow *bf = flow_border(v->f);

	border_soon(bf);
	switch (bf->state) {
	case BORDER_ST_RECALLING:
		border_recall_packet(v);
		break;
	case BORDER_ST_DRAINING:
		border_drain_packet(v);
		break;
	case BORDER_ST_CARRYING:
		if (bf->hold_client && v->d == FLOW_CLIENT)
			border_leave_packet(v);
		else
			border_deliver(v);
		break;
	case BORDER_ST_LEAVING:
		border_leave_packet(v);
		break;
	}
}

static void border_timeout(struct flow *f)
{
	struct border_flow *bf = flow_border(f);

	switch (bf->state) {
	case BORDER_ST_DRAINING:
		border_drain_over(bf, "hold-timeout");
		break;
	case BORDER_ST_LEAVING:
		border_leave_cancel(bf, "hold-timeout");
		break;
	case BORDER_ST_CARRYING:
		border_wish_off(bf); /* what is held is the client's next request */
		break;
	case BORDER_ST_RECALLING:
		break;
	}
}

static void border_queue_gone(const struct pktq *q)
{
	struct border *b = q->w->border;
	struct border_flow *bf, *tmp;

	list_for_each_safe(bf, tmp, &b->all, node)
		if (flow_came_by(bf->f, q))
			border_timeout(bf->f);
}

static void border_kill(struct flow *f)
{
	struct border_flow *bf = flow_border(f);

	if (!bf) {
		border_sweep_last(border_of(f), f); /* what still comes is theirs, and ends there */
		return;
	}
	switch (bf->state) {
	case BORDER_ST_RECALLING:
		border_recall_over(bf, "killed");
		l3_flow_reset(f);
		l3_flow_end(f, "killed");
		break;
	case BORDER_ST_DRAINING:
		border_drain_over(bf, "killed");
		l3_flow_reset(f);
		l3_flow_end(f, "killed");
		break;
	case BORDER_ST_CARRYING:
	case BORDER_ST_LEAVING:
		stream_kill(bf->s); /* calls border_ended() */
		break;
	}
}

static void border_release(struct flow *f)
{
	struct border_flow *bf = flow_border(f);

	if (bf && bf->state == BORDER_ST_RECALLING)
		border_recall_over(bf, "ended"); /* it goes on without us */
	else if (bf)
		border_kill(f);
	if (bf && flow_border(f) == bf) {
		if (flow_hold(f))
			hold_drop(f);
		border_close(bf);
		border_flow_free(bf);
	}
	if (f->sockets) {
		border_sweep(border_of(f), f);
		f->sockets = false;
		border_of(f)->closing--;
	}
}

void border_carried(const struct flow *f, uint64_t bytes[2])
{
	struct border_flow *bf = flow_border(f);
	uint64_t n[2];

	if (!bf->s)
		return;
	stream_bytes(bf->s, n);
	bytes[0] += n[0];
	bytes[1] += n[1];
}

static const struct l3_border_ops border_ops = {
	.promote = border_promote,
	.packet = border_packet,
	.timeout = border_timeout,
	.batch_end = border_batch_end,
	.queue_gone = border_queue_gone,
	.kill = border_kill,
	.lingers = border_lingers,
	.replaced = border_replaced,
	.carried = border_carried,
	.release = border_release,
};

/* ---- what l7 asks for ---- */

static void border_may_leave_task(struct worker *w, struct task *t)
{
	border_wish_start(container_of(t, struct border_flow, may_leave));
}

static void border_may_leave(struct stream *s, void *owner)
{
	struct border_flow *bf = owner;

	task_queue(border_of(bf->f)->w, &bf->may_leave);
}

const struct promoted_ops border_stream_ops = {
	.asked = border_asked,
	.may_leave = border_may_leave,
	.ended = border_ended,
};

/* ---- the layer ---- */

int border_worker_init(struct worker *w)
{
	struct border *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->w = w;
	b->diag_fd = border_sweep_open();
	b->pool = pool_create(&w->pools, "border", sizeof(struct border_flow));
	list_init(&b->all);
	list_init(&b->late);
	list_init(&b->turns);
	task_init(&b->turn_task, border_wish_turns);
	task_init(&b->late_task, border_late_task);
	border_watch_init(b);
	border_stock_init(b);
	w->border = b;
	w->l3->border = &border_ops;
	return 0;
}

/* What the kernel still delivers for connections that L7 closed needs us as long as it needs the steering: without,
 * the ends' ACKs would reach each other, in numbers that mean nothing there. They are told by a reset instead. */
static void border_end_sockets(struct border *b)
{
	struct flow *f;
	uint32_t at = 0;

	while ((f = flow_next(&b->w->l3->flows, &at))) {
		if (f->sockets)
			border_sweep_last(b, f);
		f->sockets = false;
	}
}

/* A soft stop waits for the last byte. */
static unsigned border_busy(struct worker *w)
{
	const struct border *b = w->border;
	struct gateway *gw;
	struct flow *f;

	if (!b->closing)
		return 0;
	/* those with sockets are CLOSING */
	list_for_each(gw, &w->l3->gateways, node)
		list_for_each(f, &gw->timer[FLOW_TMR_CLOSE], tmr)
			if (f->sockets && border_lingers(f))
				return 1;
	return 0;
}

void border_worker_destroy(struct worker *w)
{
	struct border *b = w->border;
	struct border_flow *bf;

	if (!b)
		return;
	while ((bf = list_first(&b->all, struct border_flow, node))) {
		/* nobody has noticed it yet: goes on without us */
		if (bf->state == BORDER_ST_DRAINING)
			border_drain_over(bf, "stopping");
		else
			border_release(bf->f);
	}
	border_end_sockets(b);
	if (b->diag_fd >= 0)
		close(b->diag_fd);
	task_cancel(&b->late_task);
	task_cancel(&b->turn_task);
	border_watch_stop(b);
	border_stock_end(b);
	w->l3->border = NULL;
	free(b);
	w->border = NULL;
}

static struct layer border_layer = {
	.name = "border",
	.order = LAYER_BORDER,
	.init = border_worker_init,
	.destroy = border_worker_destroy,
	.busy = border_busy,
};

INITCALL border_init(void)
{
	layer_register(&border_layer);
}
