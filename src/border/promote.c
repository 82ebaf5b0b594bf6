/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * promote.c - a live connection becomes two sockets
 *
 * Cut and drain (FACTS §3). The cut in each direction is what has been forwarded:
 * trk.side[d].nxt. What ends at or below it and every pure ACK still pass; of a
 * retransmission that straddles it the part below passes; new data and FINs wait. When
 * each end has acknowledged the other's cut, nothing is in flight between them
 * and two sockets can be made that know the whole state. On the first payload of
 * a connection, and at a turn, that is usually so at once. In mid-flow a probe asks
 * for the ACKs that a receiver would delay (probe.c).
 *
 *   1. hold; drain (HELD, up to `timeout hold`)
 *   2. make both sockets, not yet reachable: their SO_MARK says "queue"
 *   3. start the stream. Until here a failure closes the sockets under repair, lets the held packets
 *      pass, and nobody noticed.        -- point of no return --
 *   4. the held packets go to the sockets, their ACKs lifted
 *   5. when the queue is dry: direct delivery (border.c)
 *
 * A flow that the kernel forwarded alone is called back first (RECALLING): its numbers are learnt anew, and
 * what passed unseen must have arrived before the first cut. One that was in bulk (l3/narrow.h), and whose client's turn is held
 * already, settles in the drain: what the server sends passes until then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "border_priv.h"
#include "core/clock.h"
#include "l3/narrow.h"

#define PROMOTE_SETTLE_US 200000 /* what passed unseen has arrived after that, or is lost */

static bool promote_drained(const struct flow *f)
{
	return !seqtrk_in_flight(&f->trk, FLOW_CLIENT) && !seqtrk_in_flight(&f->trk, FLOW_SERVER);
}

/* The socket that talks to side <to> in the name of the other. */
static int promote_socket(struct border_flow *bf, int to, const char **step)
{
	struct flow *f = bf->f;
	struct seqtrk_repair r;
	struct repair_spec spec;
	int rc;

	seqtrk_repair(&f->trk, !to, flow_xlate(f), &r);
	spec = (struct repair_spec){
		.local = f->side[!to],
		.peer = f->side[to],
		.snd_seq = r.snd_seq,
		.rcv_seq = r.rcv_seq,
		.peer_mss = r.mss,
		.peer_wscale = r.wscale_peer,
		.local_wscale = r.wscale_own,
		.sack = r.sack,
		.timestamps = r.ts,
		.snd_wnd = r.snd_wnd,
		.max_wnd = r.max_window,
		.rcv_wnd = r.rcv_wnd,
		.tsval = r.tsval,
		.mark = mark_put(f->foreign_mark, f->gw->l3->mark_mask, MARK_SOCK_QUEUE),
	};
	spec.fd = border_stock_take(border_of(f), spec.local.family, &spec.fd_mark);
	rc = repair_make(&spec, &bf->fd[to], step);
	bf->snd0[to] = r.snd_seq;
	bf->rcv0[to] = bf->top[to] = r.rcv_seq;
	bf->shut[to] = border_window_is_shut(f, to, r.told_wnd);
	bf->wnd0[to] = r.snd_wnd;
	bf->win0[to] = (uint16_t)MIN(r.snd_wnd >> r.wscale_peer, 65535U);
	return rc;
}

static const char *promote_errno(int err)
{
	switch (err) {
	case ENOENT:
		return "no-frontend";
	case ENOMEM:
		return "no-memory";
	case EBUSY:
		return "maxconn";
	case ESHUTDOWN:
		return "stopping";
	}
	return "stream";
}

static const struct cfg_object *promote_frontend(const struct worker *w, const char *name)
{
	const struct cfg_object *o = w->epoch ? epoch_find(w->epoch, "frontend", name) : NULL;

	return o || !w->epoch ? o : epoch_find(w->epoch, "listen", name);
}

/* Steps 2 and 3. NULL, or why not; then nothing is left of them. */
static const char *promote_insert(struct border_flow *bf)
{
	struct flow *f = bf->f;
	struct worker *w = f->gw->l3->w;
	const struct cfg_object *fe = promote_frontend(w, bf->frontend);
	const char *step = "", *why = NULL;
	struct promoted p;
	int rc;

	if (!fe)
		return "no-frontend";
	rc = promote_socket(bf, FLOW_CLIENT, &step);
	if (rc == 0)
		rc = promote_socket(bf, FLOW_SERVER, &step);
	if (rc < 0) {
		flow_log(f, LOG_WARNING, "pseudo socket: %s: %s", step, strerror(-rc));
		border_close(bf);
		return rc == -EADDRNOTAVAIL || rc == -EADDRINUSE ? "address-in-use" : "socket";
	}
	p = (struct promoted){ .fd = { bf->fd[0], bf->fd[1] }, .src = f->side[FLOW_CLIENT], .dst = f->side[FLOW_SERVER],
			       .tracks = flow_tracks(f), .later = bf->midway, .ops = &border_stream_ops, .owner = bf };
	bf->s = stream_promote(w, fe, &p);
	bf->waits = bf->midway;
	if (!bf->s) {
		why = promote_errno(errno);
		border_close(bf);
	}
	return why;
}

/* The drain is over. */
static void promote_go(struct border_flow *bf)
{
	struct flow *f = bf->f;
	struct pktq *q = flow_queue(f);
	const char *why;
	int d;

	/* What passes must be gone before the sockets exist: early demux would take it for theirs, and the
	 * forwarding path drops what has a socket (kernel: ip_forward()). Our own steering turns that off (steer.c), and
	 * the ACK that came with the first payload need not be on its way first; but a verdict that changes the connection's
	 * class has to, for the sockets' output changes it, too. */
	if (q && (!f->gw->l3->steer || narrow_is(f)) && f->verdict_flush == (uint32_t)q->flushes)
		pktq_flush(q);
	why = promote_insert(bf);
	if (why) {
		border_drain_over(bf, why);
		return;
	}
	bf->state = BORDER_ST_CARRYING;
	bf->fresh = true;
	border_unwatch(bf);
	f->ext->frontend = bf->frontend;
	f->ext->promotions++;
	f->gw->promotions++;
	flow_set_refused(f, NULL);
	l3_turn_stop(f);
	flow_set_state(f, FLOW_ST_PROMOTED);
	/* the sockets' first output does it, too; but until then packets would be queued that those behind them overtake */
	if (bf->midway)
		l3_harden(f);
	border_deliver_held(bf);
	for (d = 0; d < 2; d++)
		if (bf->shut[d])
			border_poke(bf, &(struct border_probe){ .to = d,
							       .una = bf->snd0[d],
							       .ack = bf->rcv0[d],
							       .win = bf->wnd0[d] });
	border_late(bf);
	hist_add(&f->gw->insert_us, clock_us() - bf->start_us);
	border_done(bf, NULL);
}

/* A record for the way into <frontend>; NULL with *why. */
static struct border_flow *promote_record(struct flow *f, const char *frontend, enum gateway_else els, const char **why)
{
	struct border_flow *bf;

	const char *name;

	if (flow_border(f))
		*why = "busy";
	else if (!promote_frontend(f->gw->l3->w, frontend))
		*why = "no-frontend";
	else if (!(name = flow_name(&f->gw->l3->flows, frontend)) || !(bf = border_flow_new(f)))
		*why = "no-memory";
	else {
		bf->frontend = name;
		bf->els = els;
		bf->start_us = clock_us();
		return bf;
	}
	return NULL;
}

/* Side <to> is asked what it has. */
static void promote_probe(struct flow *f, int to)
{
	const struct seqtrk_side *own = &f->trk.side[to], *peer = &f->trk.side[!to];

	border_probe(f, &(struct border_probe){ .to = to,
						.una = xlate_seq(flow_xlate(f), !to, own->ack),
						.ack = peer->ack, /* not more than its peer has */
						.win = peer->win,
						.tsval = xlate_tsval(flow_xlate(f), !to, peer->tsval) });
}

/* Both ends have what was let through unseen, and have said so. What is still on its way lies beyond the edges that were
 * learnt, and a cut below it could not be healed: an end that had a gap would acknowledge more than the new socket
 * ever sent, which does not listen to that (RFC 9293 3.10.7.4). So that gets the time to arrive, and then each end is
 * asked; with a gap it answers with selective ACKs, which raise the edge. */
static bool promote_is_settled(struct border_flow *bf)
{
	int d;

	if (clock_us() - bf->start_us < PROMOTE_SETTLE_US)
		return false;
	if (!bf->asked) {
		bf->asked = true;
		border_probe_start(bf, 0);
	}
	for (d = 0; d < 2; d++)
		if (!bf->heard[d] && border_probe_due(bf, d))
			promote_probe(bf->f, d);
	return bf->heard[0] && bf->heard[1];
}

/* Step 1. NULL, or why not; <bf> is as it was then. */
static const char *promote_begin(struct border_flow *bf)
{
	struct flow *f = bf->f;
	const char *why = seqtrk_refusal(&f->trk);

	if (why)
		return why;
	bf->midway = !flow_hold(f);
	if (hold_start(f, HOLD_DRAIN) < 0)
		return "no-memory";
	bf->state = BORDER_ST_DRAINING;
	bf->start_us = clock_us();
	/* every ACK counts from here on, and after a bulk all that the server sends */
	if (f->mark_class == MARK_BULK || f->seen != FLOW_SEEN_ALL || !promote_drained(f))
		narrow_off(f);
	bf->settling = !seqtrk_known(&f->trk);
	trace_step(f, "cut c2s %u s2c %u%s", f->trk.side[FLOW_CLIENT].nxt, f->trk.side[FLOW_SERVER].nxt,
		   bf->settling ? ", and more" : "");
	border_probe_start(bf, 0);
	flow_set_state(f, FLOW_ST_HELD);
	if (!bf->settling && promote_drained(f)) {
		promote_go(bf);
	} else {
		border_watch(bf, 0);
		border_drain_poll(bf);
	}
	return NULL;
}

/* Did something pass unseen just now, in a bulk? Where nothing is held for the promotion yet, nothing need be while it
 * arrives: bytes go both ways meanwhile. */
static bool promote_must_learn(struct flow *f)
{
	if (flow_hold(f) || seqtrk_refusal(&f->trk))
		return false;
	if (f->mark_class == MARK_BULK || f->seen != FLOW_SEEN_ALL || f->trk.f & SEQTRK_C_LEARNT)
		narrow_off(f);
	/* known again is not all */
	return !seqtrk_known(&f->trk) || (f->trk.f & SEQTRK_C_LEARNT && !(f->trk.f & SEQTRK_C_ADOPTED));
}

static void promote_learn(struct border_flow *bf)
{
	bf->state = BORDER_ST_RECALLING;
	bf->f->recalled = true;
	border_watch(bf, 0);
}

const char *border_promote(struct flow *f, const char *frontend, enum gateway_else els)
{
	const char *why = NULL;
	struct border_flow *bf = promote_record(f, frontend, els, &why);

	if (!bf)
		return why;
	if (promote_must_learn(f)) {
		promote_learn(bf);
		return NULL;
	}
	why = promote_begin(bf);
	if (why)
		border_flow_free(bf);
	return why;
}

/* ---- out of the kernel's hands ---- */

const char *border_recall(struct flow *f, const char *frontend)
{
	const char *why = NULL;
	struct border_flow *bf = promote_record(f, frontend, GATEWAY_ELSE_FORWARD, &why);

	if (!bf)
		return why;
	why = l3_recall(f);
	if (why) {
		border_flow_free(bf);
		return why;
	}
	promote_learn(bf);
	return NULL;
}

void border_recall_over(struct border_flow *bf, const char *why)
{
	struct flow *f = bf->f;

	l3_promote_refused(f, why);
	border_done(bf, why);
	border_flow_free(bf);
	l3_unrecall(f);
}

void border_recall_packet(struct visit *v)
{
	struct border_flow *bf = flow_border(v->f);

	bf->heard[v->d] |= bf->asked;
	l3_watch(v); /* it may be gone after */
}

void border_recall_poll(struct border_flow *bf)
{
	struct flow *f = bf->f;
	const char *why;

	if (f->state != FLOW_ST_WATCHED && f->state != FLOW_ST_TRANSLATED) {
		border_recall_over(bf, "closing");
	} else if (promote_is_settled(bf) && seqtrk_known(&f->trk)) {
		f->recalled = false;
		border_unwatch(bf);
		why = promote_begin(bf);
		if (why)
			border_recall_over(bf, why);
	} else if (clock_us() - bf->start_us > (uint64_t)gateway_timeout(f->gw, FLOW_TMR_HOLD) * 1000) {
		border_recall_over(bf, "silent");
	}
}

void border_drain_poll(struct border_flow *bf)
{
	struct flow *f = bf->f;
	const struct seqtrk *t = &f->trk;
	int d;

	if (bf->settling) {
		const char *why = seqtrk_refusal(t);

		if (why) {
			border_drain_over(bf, why);
			return;
		}
		if (!promote_is_settled(bf) || !seqtrk_known(t))
			return;
		bf->settling = false;
		trace_step(f, "cut s2c %u", t->side[FLOW_SERVER].nxt);
		if (promote_drained(f)) {
			promote_go(bf);
			return;
		}
	}
	for (d = 0; d < 2; d++) {
		if (seqtrk_in_flight(t, !d) && border_probe_due(bf, d))
			promote_probe(f, d);
	}
}

void border_drain_over(struct border_flow *bf, const char *why)
{
	struct flow *f = bf->f;
	struct gateway_decision dec = { .act = GATEWAY_ACT_WATCH };

	l3_promote_refused(f, why);
	if (bf->els == GATEWAY_ELSE_REJECT)
		dec.act = GATEWAY_ACT_REJECT;
	else if (bf->els == GATEWAY_ELSE_DROP)
		dec.act = GATEWAY_ACT_DROP;
	border_done(bf, why);
	border_flow_free(bf);
	l3_unhold(f);
	if (dec.act != GATEWAY_ACT_WATCH)
		l3_decide(f, &dec);
	/* the turn passes; the framer has not read it */
	l3_turn_stop(f);
	if (flow_hold(f))
		hold_forward(f);
}

/* A packet while both ends are acking. */
void border_drain_packet(struct visit *v)
{
	struct flow *f = v->f;
	struct border_flow *bf = flow_border(f);
	enum seqtrk_where where;
	enum seqtrk_res r;

	border_probe_heard(bf, v->d);
	bf->heard[v->d] |= bf->asked;
	if (v->s.flags & (SEG_RST | SEG_SYN)) {
		r = seqtrk_see(&f->trk, v->d, &v->s, flow_xlate(f));
		if (r == SEQTRK_RESET || (r == SEQTRK_UNKNOWN && (v->s.flags & SEG_RST) && offload_reset(f))) {
			border_drain_over(bf, "rst");
			l3_flow_end(f, "reset");
		}
		if (r == SEQTRK_UNKNOWN && (v->s.flags & SEG_RST))
			l3_reset_unjudged(v);
		else
			l3_forward(v);
		return;
	}
	where = seqtrk_where(&v->s, f->trk.side[v->d].nxt);
	if (seg_seq_len(&v->s) == 0) {
		/* it stands behind what is held, and must not move the edge there */
		seqtrk_hold(&f->trk, v->d, &v->s, flow_xlate(f));
		l3_forward(v);
	} else if (where == SEQTRK_BELOW || (v->d == FLOW_SERVER && bf->settling)) {
		l3_pass(v); /* or it says where the cut is */
	} else {
		/* to let all of it pass would move the cut, again and again while a sender repeats itself */
		if (where == SEQTRK_STRADDLES)
			l3_send_part(f, v->d, &v->s, v->s.seq, f->trk.side[v->d].nxt);
		r = seqtrk_hold(&f->trk, v->d, &v->s, flow_xlate(f));
		if (!seqtrk_acceptable(r)) {
			l3_forward(v);
			return;
		}
		if (hold_add(v) < 0) {
			border_drain_over(bf, "no-memory");
			l3_pass(v);
			return;
		}
	}
	if (!bf->settling && promote_drained(f))
		promote_go(bf);
}
