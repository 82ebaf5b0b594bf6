/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * wish.c - from the wish to leave to the moment in which a connection can (demote.c goes on there)
 *
 * All of this is CARRYING; the flow is PROMOTED and bytes go their way.
 *
 *   asked    The stream was asked. It has sent nothing of its answer since, so the client's next
 *            request is still to come: it is held, lest it reach the stream that is about to go (what
 *            followed a request without waiting for the answer is the stream's). Packets come by the
 *            queue. The stream says when it may leave; asking may take as long as a body does, holding may
 *            not: after WISH_ASKED_US all is as before, until the stream says so.
 *   turn     It may leave, but WISH_LEAVING_MAX others are under way. Each needs the daemon's
 *            attention for a while, and has it sooner when not all have it at once.
 *   calm     Megabytes may stand in the sockets, and nothing new reaches the ends while they drain. So the
 *            sockets are told to take little at a time, from the stream and from their peers - nothing
 *            as long as much waits to be read, for a small window moves on with what arrives - and the
 *            connection runs on until little is left in them and nothing is missing (a loss shows as a
 *            gap in what was received): the hold that follows is as short as a round trip. A receiver
 *            that takes nothing would make it long, so it is not begun then. Limit: `timeout hold`.
 *   again    It did not come to rest in time, or a message began. What carries no messages is asked again
 *            after a pause, and so is what an operator's command waits for. A message has its own rules
 *            to ask.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "border_priv.h"
#include "core/clock.h"
#include "l3/trace.h"

#define WISH_LEAVING_MAX 256
#define WISH_TURNS       16 /* of them in one turn of the loop */
#define WISH_ASKED_US    20000
#define WISH_SMALL       (128 << 10) /* bytes in a socket that drain in a moment */
#define WISH_UNSENT      (64 << 10)
#define WISH_CLAMP_MIN   4096
#define WISH_SHUT        1 /* the kernel makes it a kilobyte: less than a segment */
#define WISH_UNCLAMP     (1U << 30)
#define WISH_PAUSE_MIN   5       /* 32 ms */
#define WISH_TRIES_US    3000000 /* for how long a command tries */

/* ---- turns ---- */

static bool wish_slot(struct border_flow *bf)
{
	struct border *b = border_of(bf->f);

	if (!bf->slot && b->leaving < WISH_LEAVING_MAX) {
		bf->slot = true;
		b->leaving++;
	}
	return bf->slot;
}

void border_wish_done(struct border_flow *bf)
{
	struct border *b = border_of(bf->f);

	list_del(&bf->turn);
	if (!bf->slot)
		return;
	bf->slot = false;
	b->leaving--;
	if (!list_empty(&b->turns))
		task_queue(b->w, &b->turn_task);
}

void border_wish_turns(struct worker *w, struct task *t)
{
	struct border *b = w->border;
	struct border_flow *bf;
	int n = 0;

	while (n++ < WISH_TURNS && b->leaving < WISH_LEAVING_MAX &&
	       (bf = list_first(&b->turns, struct border_flow, turn))) {
		list_del(&bf->turn);
		border_wish_start(bf);
	}
	if (n > WISH_TURNS)
		task_queue(w, t);
}

/* ---- giving up ---- */

/* How much of window side d is offered. Whoever is far ahead of the other end may send no more: bytes for
 * that end are there. A small window lets the rest go on, so that the drain of one direction is not a
 * standstill of the other. */
static void wish_clamp(struct border_flow *bf, int d, const struct repair_queues *q, uint32_t wnd)
{
	bool was_shut = bf->clamp[d] == WISH_SHUT;

	if (wnd == bf->clamp[d])
		return;
	bf->clamp[d] = wnd;
	if (was_shut)
		repair_open_window(bf->fd[d], wnd);
	else
		repair_clamp_window(bf->fd[d], wnd);
	/* it reads no more that would make it say so */
	if (was_shut && q)
		border_poke(bf, &(struct border_probe){ .to = d,
							.una = bf->snd0[d] + q->acked,
							.ack = bf->rcv0[d] + q->received,
							.win = q->snd_wnd });
}

static void wish_narrow(struct border_flow *bf, const struct repair_queues q[2])
{
	int d;

	for (d = 0; d < 2; d++) {
		/* not more than the other end takes, or what is held would overrun it when it is let go */
		uint32_t wnd = q[!d].snd_wnd ? q[!d].snd_wnd : WISH_SMALL;

		wnd = q[d].readable > WISH_SMALL ? WISH_SHUT
						 : MAX(MIN(wnd, (uint32_t)WISH_SMALL), WISH_CLAMP_MIN);
		wish_clamp(bf, d, &q[d], wnd);
		if (!bf->narrow)
			repair_limit_unsent(bf->fd[d], WISH_UNSENT);
	}
	bf->narrow = true;
}

void border_wish_off(struct border_flow *bf)
{
	struct repair_queues q[2];
	bool known = !bf->narrow || border_leave_look(bf, q) == 0;
	int d;

	/* what is unsent stays limited: a slow receiver's megabytes are not there when it is asked again */
	for (d = 0; d < 2 && bf->narrow; d++)
		wish_clamp(bf, d, known ? &q[d] : NULL, WISH_UNCLAMP);
	bf->asked_us = bf->calm_us = 0;
	bf->hold_client = bf->narrow = bf->again = false;
	border_unwatch(bf);
	border_wish_done(bf);
	if (flow_hold(bf->f))
		border_deliver_held(bf);
	border_late(bf);
}

/* Is there any use in asking again? */
static bool wish_stands(struct border_flow *bf)
{
	if (stream_leave_why(bf->s))
		return false;
	if (list_empty(&bf->waiters))
		return stream_is_opaque(bf->s);
	if (!bf->tries_us)
		bf->tries_us = clock_us();
	return clock_us() - bf->tries_us < WISH_TRIES_US;
}

void border_wish_failed(struct border_flow *bf, const char *why)
{
	bool again = wish_stands(bf);

	flow_log(bf->f, again ? LOG_INFO : LOG_NOTICE, "not demoted: %s", why);
	gateway_count(&bf->f->gw->demote_failures, why);
	trace_step(bf->f, "not demoted: %s", why);
	stream_leave_cancel(bf->s);
	border_wish_off(bf);
	if (!again) {
		bf->tries_us = 0;
		border_done(bf, why);
		return;
	}
	bf->again = true;
	bf->pause = MIN(MAX(bf->pause + 1, WISH_PAUSE_MIN),
			list_empty(&bf->waiters) ? BORDER_PERIODS - 1 : WISH_PAUSE_MIN + 2);
	border_watch(bf, bf->pause);
}

static void wish_ask_again(struct border_flow *bf)
{
	int rc;

	bf->again = false;
	border_unwatch(bf);
	rc = stream_leave_ask(bf->s, LEAVE_NOW);
	if (rc < 0)
		border_done(bf, strerror(-rc));
}

/* ---- on the way ---- */

/* Its packets come by the queue from here on. */
static int wish_queued(struct border_flow *bf, struct repair_queues q[2])
{
	bool direct = list_empty(&bf->late);
	int d, rc;

	list_del(&bf->late);
	bf->direct = false;
	bf->midway = true;
	border_begin(bf);
	border_mark(bf, MARK_SOCK_QUEUE);
	rc = border_leave_look(bf, q);
	for (d = 0; d < 2 && direct && rc == 0; d++)
		bf->top[d] = bf->cut[d];
	return rc;
}

void border_asked(struct stream *s, void *owner, bool req_done)
{
	struct border_flow *bf = owner;
	struct repair_queues q[2];

	if (bf->state != BORDER_ST_CARRYING || bf->asked_us || bf->calm_us || !wish_slot(bf))
		return;
	trace_step(bf->f, "asked to leave");
	bf->again = false;
	bf->asked_us = clock_us();
	if (wish_queued(bf, q) == 0 && req_done && hold_start(bf->f, HOLD_DRAIN) == 0) {
		bf->hold_client = true;
		border_leave_note_acks(bf, q);
	}
	border_watch(bf, 0);
}

static bool wish_is_calm(const struct border_flow *bf, const struct repair_queues q[2])
{
	int d;

	for (d = 0; d < 2; d++) {
		/* who takes nothing may do so for long */
		bool blocked = q[d].unsent && !q[d].snd_wnd;

		if (q[d].readable > WISH_SMALL || q[d].unsent > WISH_SMALL || blocked)
			return false;
	}
	return true;
}

/* Was something lost on the way to a socket, that its sender has to repeat? */
static bool wish_has_gap(const struct border_flow *bf, const struct repair_queues q[2])
{
	int d;

	for (d = 0; d < 2; d++)
		if (seq_gt(bf->top[d], bf->cut[d]) || (q[d].rmem && !q[d].readable))
			return true;
	return false;
}

static void wish_calm(struct border_flow *bf)
{
	struct repair_queues q[2];
	bool late, calm;

	if (flow_queue(bf->f))
		pktq_flush(flow_queue(bf->f));
	if (!stream_may_leave(bf->s)) {
		border_wish_failed(bf, stream_leave_why(bf->s) ? "closing" : "next-request");
		return;
	}
	if (border_leave_look(bf, q) < 0) {
		border_wish_failed(bf, "socket");
		return;
	}
	late = clock_us() - bf->calm_us > (uint64_t)gateway_timeout(bf->f->gw, FLOW_TMR_HOLD) * 1000;
	calm = wish_is_calm(bf, q);
	if (calm && (late || !wish_has_gap(bf, q)))
		border_leave_hold(bf, q);
	else if (late)
		border_wish_failed(bf, "busy");
	else
		wish_narrow(bf, q);
}

void border_wish_start(struct border_flow *bf)
{
	struct border *b = border_of(bf->f);
	struct repair_queues q[2];

	if (bf->state != BORDER_ST_CARRYING || bf->calm_us || !list_empty(&bf->turn))
		return;
	if (!wish_slot(bf)) {
		list_add_tail(&b->turns, &bf->turn);
		return;
	}
	bf->calm_us = clock_us();
	if (!bf->asked_us)
		wish_queued(bf, q);
	border_watch(bf, 0);
	wish_calm(bf);
}

void border_wish_poll(struct border_flow *bf)
{
	if (bf->calm_us)
		wish_calm(bf);
	else if (bf->again)
		wish_ask_again(bf);
	else if (!bf->asked_us)
		border_unwatch(bf);
	else if (clock_us() - bf->asked_us >= WISH_ASKED_US)
		border_wish_off(bf);
}
