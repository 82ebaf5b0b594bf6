/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * demote.c - a promoted stream back to L3 (FACTS §4)
 *
 *   1. The stream is asked, and the connection comes to rest (wish.c). Its packets come by the queue.
 *   2. LEAVING. Per direction: what lies below the socket's rcv_nxt (the cut) is delivered to it, data and
 *      FINs at or beyond it are held. The ACK that rides on a held packet reaches the
 *      socket as a header-only copy.
 *   3. The stream runs on until it is quiet: nothing in its buffers, nothing unread, nothing
 *      unacknowledged, nothing out of order in either socket. Out-of-order data is
 *      helped: the held packets of that side go to the socket, and a new cut is made.
 *   4. Repair on; everything of 3 is checked again, because a socket under repair still
 *      receives and acknowledges (reg-tests/platform); the sequences are read.
 *   5. The stream is detached, the sockets are closed under repair: nothing is sent.
 *                                                   -- point of no return --
 *   6. Deltas and floors go into the flow; the tracker is told the edges; the held
 *      packets go through L3 as if they came now, policy included.
 *
 * Before 5 a failure switches direct delivery on again and gives the held packets to
 * the sockets. An end that closes meanwhile is such a failure: the proxy finishes.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <syslog.h>

#include "border_priv.h"
#include "core/clock.h"
#include "l3/inject.h"

#define LEAVE_TCP_ESTABLISHED 1 /* kernel: include/net/tcp_states.h */
#define LEAVE_FEW 64              /* so many do not crowd the queue by asking for an ACK at once */
#define LEAVE_PROBE_US 1000       /* else: silence of a side whose ACK is missing, until it is asked for it */
#define LEAVE_BLOCKED_US 1000000  /* how long a receiver may take nothing */
#define LEAVE_IDLE_US 100000      /* longer than a stream takes to handle what it read */

/* ---- starting ---- */

int border_leave_look(struct border_flow *bf, struct repair_queues q[2])
{
	int d, rc;

	for (d = 0; d < 2; d++) {
		rc = repair_queues(bf->fd[d], &q[d]);
		if (rc < 0)
			return rc;
		bf->cut[d] = bf->rcv0[d] + q[d].received;
	}
	return 0;
}

/* From here on ACKs on held packets are compared with what the sockets have. */
void border_leave_note_acks(struct border_flow *bf, const struct repair_queues q[2])
{
	int d;

	for (d = 0; d < 2; d++)
		bf->acked[d] = bf->snd0[d] + q[d].acked;
}

/* From here on new data is held. */
void border_leave_hold(struct border_flow *bf, const struct repair_queues q[2])
{
	struct flow *f = bf->f;

	if (hold_start(f, HOLD_DRAIN) < 0) {
		border_wish_failed(bf, "no-memory");
		return;
	}
	bf->start_us = clock_us();
	bf->stuck_us = 0;
	if (!bf->hold_client)
		border_leave_note_acks(bf, q);
	bf->asked_us = bf->calm_us = 0;
	bf->hold_client = bf->gap[0] = bf->gap[1] = false;
	bf->state = BORDER_ST_LEAVING;
	border_probe_start(bf, border_of(f)->leaving > LEAVE_FEW ? LEAVE_PROBE_US : 0);
	flow_set_state(f, FLOW_ST_LEAVING);
	border_leave_poll(bf);
}

void border_leave_cancel(struct border_flow *bf, const char *why)
{
	bf->state = BORDER_ST_CARRYING;
	flow_set_state(bf->f, FLOW_ST_PROMOTED);
	border_wish_failed(bf, why);
}

/* ---- packets meanwhile ---- */

/* The ACK on a held packet, alone, to the socket that waits for it. */
static void leave_pass_ack(struct visit *v)
{
	struct border_flow *bf = flow_border(v->f);
	uint8_t pkt[SEG_BUILD_MAX];
	struct seg s;
	int n;

	if (!(v->s.flags & SEG_ACK) || (seq_le(v->s.ack, bf->acked[v->d]) && v->s.win == bf->acked_win[v->d] && !v->s.nb_sack))
		return;
	n = seg_copy_ack(&v->s, pkt, sizeof(pkt));
	if (n <= 0 || seg_parse(&s, pkt, (uint32_t)n, (uint32_t)n) != SEG_OK)
		return;
	bf->acked[v->d] = v->s.ack;
	bf->acked_win[v->d] = v->s.win;
	if (bf->fresh && seq_lt(s.ack, bf->snd0[v->d])) {
		seg_set_ack(&s, bf->snd0[v->d]);
		seg_set_win(&s, bf->win0[v->d]);
	}
	inject_local(v->l3->inject, pkt, s.len, v->f->foreign_mark);
}

void border_leave_packet(struct visit *v)
{
	struct border_flow *bf = flow_border(v->f);

	border_probe_heard(bf, v->d);
	if (bf->gap[v->d] || v->s.flags & (SEG_RST | SEG_SYN) || seqtrk_where(&v->s, bf->cut[v->d]) != SEQTRK_BEYOND) {
		border_deliver(v);
		return;
	}
	if (hold_add(v) < 0) {
		border_leave_cancel(bf, "no-memory");
		border_deliver(v);
		return;
	}
	leave_pass_ack(v);
}

/* ---- quiet? ---- */

/* Held packets of <d> to the socket: it has a gap that they fill. */
static void leave_help(struct border_flow *bf, int d)
{
	struct visit v;
	struct held *h;

	while (hold_pop(bf->f, d, &v, &h)) {
		border_deliver(&v);
		hold_done(h);
	}
}

static bool leave_is_quiet(const struct repair_queues *q)
{
	return q->readable == 0 && q->unacked == 0 && q->rmem == 0 && q->backlog == 0;
}

/* All is sent, only ACKs are missing: whoever delays his is asked for it. */
static void leave_probe(struct border_flow *bf, const struct repair_queues q[2])
{
	struct flow *f = bf->f;
	int d;

	if (q[0].readable || q[1].readable || q[0].unsent || q[1].unsent)
		return;
	for (d = 0; d < 2; d++)
		if (q[d].unacked && border_probe_due(bf, d))
			border_probe(f, &(struct border_probe){ .to = d,
								.una = bf->snd0[d] + q[d].acked,
								.ack = bf->cut[d],
								.win = q[d].rcv_wnd,
								.tsval = repair_tsval(bf->fd[d]) });
}

/* Both under repair and still quiet. 0; -EAGAIN: something moved. Repair is off again then. */
static int leave_freeze(struct border_flow *bf, struct repair_state st[2])
{
	struct repair_queues q[2];
	int d, rc;

	for (d = 0; d < 2; d++) {
		rc = repair_freeze(bf->fd[d], &st[d]);
		if (rc < 0)
			goto out;
	}
	rc = border_leave_look(bf, q);
	for (d = 0; d < 2 && rc == 0; d++)
		if (!leave_is_quiet(&q[d]) || st[d].tcp_state != LEAVE_TCP_ESTABLISHED || st[d].rcv_seq != bf->cut[d])
			rc = -EAGAIN;
	if (rc == 0)
		return 0;
	d = 2;
out:
	while (d-- > 0)
		repair_thaw(bf->fd[d]);
	return rc;
}

/* ---- leaving ---- */

static void leave_xlate(struct flow *f, const struct repair_state st[2])
{
	struct seqtrk *t = &f->trk;
	struct xlate *x = &f->ext->xl;
	uint32_t nxt[2] = { st[FLOW_CLIENT].rcv_seq, st[FLOW_SERVER].rcv_seq }, win[2], told[2];
	int d;

	xlate_set(x, st[FLOW_CLIENT].snd_seq, st[FLOW_CLIENT].rcv_seq, st[FLOW_SERVER].snd_seq, st[FLOW_SERVER].rcv_seq);
	trace_step(f, "deltas c2s %d s2c %d", xlate_delta(x, FLOW_CLIENT), xlate_delta(x, FLOW_SERVER));
	for (d = 0; d < 2; d++) {
		/* the socket that spoke to !d in d's name; and what d's own socket knows of d */
		const struct repair_state *in_name = &st[!d], *of = &st[d];

		if (t->f & SEQTRK_C_TS)
			xlate_set_ts_floor(x, d, in_name->tsval);
		xlate_set_ack_floor(x, d, in_name->rcv_seq,
				    (uint16_t)MIN(of->snd_wnd >> (t->f & SEQTRK_C_WS ? t->side[d].wscale : 0), 65535U));
		win[d] = MAX(of->snd_wnd, in_name->rcv_wnd); /* its peer may believe either */
		told[d] = in_name->rcv_wnd;
	}
	seqtrk_set(t, nxt, win, told);
	for (d = 0; d < 2; d++)
		t->side[d].win = st[d].snd_wnd;
}

/* A side whose peer offers room that the socket in its name did not have to offer: it must hear of it, or it waits
 * for its own window probe. */
static void leave_tell(struct flow *f, const struct repair_state st[2])
{
	int d;

	for (d = 0; d < 2; d++)
		if (border_window_is_shut(f, d, st[d].rcv_wnd) && st[!d].snd_wnd > st[d].rcv_wnd)
			border_tell_window(f, &(struct border_probe){ .to = d,
								      .una = st[d].snd_seq,
								      .ack = st[d].rcv_seq,
								      .win = st[!d].snd_wnd,
								      .tsval = st[d].tsval });
}

static void leave_resume(struct flow *f, struct stream_resume *re)
{
	static const enum framer_resume how[] = { [RESUME_IDLE] = FRAMER_RESUME_IDLE, [RESUME_REQ_BODY] = FRAMER_RESUME_BODY,
						  [RESUME_TUNNEL] = FRAMER_RESUME_TUNNEL };

	f->bytes[0] += re->bytes[0];
	f->bytes[1] += re->bytes[1];
	l3_track_take(f, &re->tracks);
	l3_track_turn_over(f);
	l3_turn_resume(f, &(struct turn_resume){ how[re->c2s], &re->req, re->server_last }, f->trk.side[FLOW_CLIENT].nxt);
}

/* The held packets, in the order in which they came, through L3 as it is now. */
static void leave_release(struct flow *f, struct hold *hold)
{
	struct hold *kept;
	struct visit v;
	struct held *h;
	int d;

	for (;;) {
		struct held *a = list_first(&hold->side[0], struct held, node), *b = list_first(&hold->side[1], struct held, node);

		if (!a && !b)
			break;
		d = !a || (b && b->at_us < a->at_us);
		kept = f->ext->hold;
		f->ext->hold = hold;
		hold_pop(f, d, &v, &h);
		f->ext->hold = kept;
		l3_flow_packet(&v);
		hold_done(h);
	}
	hold_free(&hold);
}

/* Steps 5 and 6. */
static void leave_go(struct border_flow *bf, const struct repair_state st[2])
{
	struct flow *f = bf->f;
	struct hold *hold = flow_hold(f);
	struct stream_resume re = { 0 };

	stream_detach(bf->s, &re);
	bf->s = NULL;
	border_close(bf);

	leave_xlate(f, st);
	f->xlate_by = xlate_active(&f->ext->xl) ? FLOW_XLATE_DAEMON : FLOW_XLATE_NONE;
	f->ext->demotions++;
	f->gw->demotions++;
	/* the sockets' output made the connection hard (l3/mark.h): say anew what it should be */
	f->mark_class = MARK_NONE;
	f->want_class = f->xlate_by != FLOW_XLATE_NONE || f->gw->conf->block ? MARK_HARD : MARK_OURS;
	hist_add(&f->gw->remove_us, clock_us() - bf->start_us);
	border_done(bf, NULL);
	border_flow_free(bf);
	f->ext->hold = NULL;
	l3_unhold(f);
	leave_resume(f, &re);
	leave_tell(f, st);
	leave_release(f, hold);
}

/* Nothing moves, and no retransmission is to come that would change that: a receiver takes nothing, or the stream does
 * not handle what it has. */
static bool leave_is_stuck(struct border_flow *bf, const struct repair_queues q[2])
{
	uint32_t moved = q[0].received + q[1].received + q[0].acked + q[1].acked + (uint32_t)(q[0].readable + q[1].readable);
	bool unsent = q[0].unsent || q[1].unsent, unacked = q[0].unacked || q[1].unacked;
	uint64_t now = clock_us();

	if (moved != bf->stuck_at || !bf->stuck_us) {
		bf->stuck_us = now;
		bf->stuck_at = moved;
		return false;
	}
	if (unsent)
		return now - bf->stuck_us > LEAVE_BLOCKED_US;
	return !unacked && !bf->gap[0] && !bf->gap[1] && now - bf->stuck_us > LEAVE_IDLE_US;
}

/* Why the flow cannot leave any more; NULL: it can. */
static const char *leave_refusal(const struct border_flow *bf, const struct repair_queues q[2])
{
	if (q[0].tcp_state != LEAVE_TCP_ESTABLISHED || q[1].tcp_state != LEAVE_TCP_ESTABLISHED || stream_leave_why(bf->s))
		return "closing";
	/* it waits for more of a message than came before the cut (the rest of a request, the answer to one that came
	 * with the one before), and that is held; the next demoting message tries again */
	if (!stream_may_leave(bf->s))
		return "next-request";
	return NULL;
}

void border_leave_poll(struct border_flow *bf)
{
	struct repair_state st[2];
	struct repair_queues q[2];
	const char *why;
	int d;

	if (flow_queue(bf->f))
		pktq_flush(flow_queue(bf->f));
	why = border_leave_look(bf, q) < 0 ? "socket" : leave_refusal(bf, q);
	for (d = 0; d < 2 && !why; d++) {
		/* memory in use and nothing to read: out of order. It gets all that comes until the gap is filled: the
		 * sender needs its duplicate ACKs to repeat what is missing. */
		bf->gap[d] = q[d].rmem && !q[d].readable;
		if (bf->gap[d])
			leave_help(bf, d);
	}
	if (!why && leave_is_stuck(bf, q))
		why = "busy";
	if (why)
		border_leave_cancel(bf, why);
	else if (!stream_quiet(bf->s) || !leave_is_quiet(&q[0]) || !leave_is_quiet(&q[1]))
		leave_probe(bf, q);
	else if (leave_freeze(bf, st) == 0)
		leave_go(bf, st);
}
