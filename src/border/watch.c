/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * watch.c - when a flow on its way is looked at
 *
 * A flow that is being drained, that was asked to leave or that is leaving gets on when
 * one of its packets comes; so it is looked at when the batch with that packet is over
 * and its verdicts are sent (border_soon()). Not everything shows as a packet - a stream
 * that reads its last byte, a delayed ACK that has to be asked for - so each is looked at by the
 * clock too: 1, 2, 4 .. 64 ms after the last look, from 1 ms on again when a packet came.
 * Longer periods are pauses, after which a stream is asked again (wish.c).
 *
 * A look costs some ten system calls. What a flow costs must not grow with the
 * number of others, or many that leave at once keep the daemon from reading the very ACKs
 * that they wait for: looks by the clock have a budget for each turn of the loop, and the
 * oldest comes first. Those with the same period stand in the order in which they are
 * due, so the heads of the lists are all that is compared.
 */
#include "border_priv.h"
#include "core/clock.h"

#define WATCH_FIRST_US 1000
#define WATCH_LONGEST  6  /* period of looks, unless asked for more */
#define WATCH_BUDGET   32 /* looks by the clock in one turn of the loop */

static struct border_flow *watch_first(struct border *b)
{
	struct border_flow *best = NULL, *bf;
	int i;

	for (i = 0; i < BORDER_PERIODS; i++) {
		bf = list_first(&b->looks[i], struct border_flow, looks);
		if (bf && (!best || bf->look_us < best->look_us))
			best = bf;
	}
	return best;
}

static void watch_arm(struct border *b, uint64_t at_us)
{
	uint64_t now = clock_us();

	if (at_us >= b->timer_us)
		return;
	b->timer_us = at_us;
	if (!b->w->loop)
		return; /* a test */
	ev_timer_stop(b->w->loop, &b->timer);
	ev_timer_set(&b->timer, at_us > now ? (double)(at_us - now) / 1e6 : 0., 0.);
	ev_timer_start(b->w->loop, &b->timer);
}

void border_watch(struct border_flow *bf, unsigned period)
{
	struct border *b = border_of(bf->f);

	bf->period = (uint8_t)MIN(period, BORDER_PERIODS - 1U);
	bf->look_us = clock_us() + ((uint64_t)WATCH_FIRST_US << bf->period);
	list_del(&bf->looks);
	list_add_tail(&b->looks[bf->period], &bf->looks);
	watch_arm(b, bf->look_us);
}

void border_unwatch(struct border_flow *bf)
{
	list_del(&bf->looks);
	list_del(&bf->soon);
}

void border_soon(struct border_flow *bf)
{
	struct border *b = border_of(bf->f);

	if (list_empty(&bf->looks) || !list_empty(&bf->soon) || bf->again)
		return;
	list_add_tail(&b->soon, &bf->soon);
	if (!flow_queue(bf->f) || !flow_queue(bf->f)->in_batch)
		task_queue(b->w, &b->soon_task);
}

void border_watch_batch(struct border *b)
{
	struct border_flow *bf;

	while ((bf = list_first(&b->soon, struct border_flow, soon))) {
		list_del(&bf->soon);
		border_watch(bf, 0);
		border_look(bf);
	}
}

static void watch_soon_task(struct worker *w, struct task *t)
{
	border_watch_batch(w->border);
	flow_reap(&w->l3->flows);
}

static void watch_timer_cb(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct border *b = t->data;
	struct border_flow *bf;
	uint64_t now = clock_us();
	int budget = WATCH_BUDGET;

	b->timer_us = UINT64_MAX;
	while ((bf = watch_first(b)) && bf->look_us <= now && budget-- > 0) {
		/* what is called back is learnt elsewhere (l3): it says nothing here */
		border_watch(bf, bf->state == BORDER_ST_RECALLING ? 0 : MIN(bf->period + 1U, WATCH_LONGEST));
		border_look(bf);
	}
	flow_reap(&b->w->l3->flows);
	if (bf)
		watch_arm(b, bf->look_us);
}

void border_watch_init(struct border *b)
{
	int i;

	for (i = 0; i < BORDER_PERIODS; i++)
		list_init(&b->looks[i]);
	list_init(&b->soon);
	task_init(&b->soon_task, watch_soon_task);
	ev_timer_init(&b->timer, watch_timer_cb, 0., 0.);
	b->timer.data = b;
	b->timer_us = UINT64_MAX;
}

void border_watch_stop(struct border *b)
{
	task_cancel(&b->soon_task);
	if (b->w->loop)
		ev_timer_stop(b->w->loop, &b->timer);
}
