/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * path.c - what happens to a queued packet
 *
 * segment view -> flow -> tracker -> policy -> verdict. A packet finds its flow by
 * its addresses, whichever queue it came by; only a SYN in mangle FORWARD, where
 * both interfaces are known, makes one. Flows that border holds go to border;
 * OFFLOADED ones show up only when the kernel's tracker forgot them.
 *
 * What the tracker does not accept is forwarded all the same: its receiver will
 * judge it, and nothing of ours moved.
 */
#include <net/if.h>

#include "core/clock.h"
#include "core/worker.h"
#include "l3/ct.h"
#include "l3/hold.h"
#include "l3/inject.h"
#include "l3/l3.h"
#include "l3/narrow.h"
#include "l3/quote.h"
#include "l3/steer.h"

#define PATH_SYN_STALE_MS 1000 /* a handshake that takes longer has lost a packet, or has no other end */

/* ---- packets without a record ---- */

/* Its sender is told that there is no such connection. */
static void path_reset(struct visit *v)
{
	uint8_t rst[SEG_BUILD_MAX];
	int n = seg_build_rst(&v->s, rst, sizeof(rst));

	if (n > 0)
		inject_wire(v->l3->inject, rst, (uint32_t)n, mark_foreign(v->p->mark, v->l3->mark_mask), MARK_NONE);
	l3_drop(v);
}

/* Past maxflows: by `else`, and unseen from here on. */
static void path_overflow(struct visit *v, struct gateway *gw)
{
	gw->overflow++;
	switch (gw->conf->maxflows_else) {
	case GATEWAY_ELSE_REJECT:
		path_reset(v);
		return;
	case GATEWAY_ELSE_DROP:
		l3_drop(v);
		return;
	case GATEWAY_ELSE_FORWARD:
		break;
	}
	l3_forward_class(v, MARK_OFFLOADED);
}

/* A record, where there is room. */
static struct flow *path_record(struct visit *v, struct gateway *gw, const struct addr *cli, const struct addr *srv)
{
	if (gw->conf->maxflows && gw->flows >= gw->conf->maxflows)
		return NULL;
	return flow_new(&v->l3->flows, gw, cli, srv);
}

/* The same for a SYN, in place of the oldest handshake that does not get on, or of what came out of nothing and nobody answers: a
 * flood takes records from itself, never from connections that are established. */
static struct flow *path_record_syn(struct visit *v, struct gateway *gw)
{
	struct flow *f = path_record(v, gw, &v->s.src, &v->s.dst), *old;

	if (f)
		return f;
	old = list_first(&gw->timer[FLOW_TMR_SYN], struct flow, tmr);
	if (!old || clock_ms(v->l3->w) - flow_touched(old) < PATH_SYN_STALE_MS)
		return NULL;
	gw->evicted++;
	l3_flow_gone(old, "evicted");
	return path_record(v, gw, &v->s.src, &v->s.dst);
}

static void path_new_flow(struct visit *v, struct gateway *gw)
{
	struct flow *f = path_record_syn(v, gw);

	if (!f) {
		path_overflow(v, gw);
		return;
	}
	v->f = f;
	v->d = FLOW_CLIENT;
	flow_set_queue(f, v->q);
	f->in_if = v->p->in_if;
	f->out_if = v->p->out_if;
	f->foreign_mark = flow_mark(f, mark_foreign(v->p->mark, v->l3->mark_mask));
	f->packets++;
	f->bytes[FLOW_CLIENT] += v->s.data_len;
	f->mark_class = f->want_class = gw->conf->block ? MARK_HARD : MARK_OURS;
	seqtrk_init(&f->trk, &v->s);
	l3_decide_syn(v);
	if (!v->judged)
		l3_forward(v);
}

/* Its addresses change on the way: whose packets these are cannot be told by them. The kernel's, also the record
 * that its SYN may have got; <e> is the tracker's entry. */
static void path_nat(struct visit *v, struct gateway *gw, const struct ct_entry *e)
{
	int d;
	struct flow *f = flow_lookup(&v->l3->flows, &e->src, &e->reply_src, &d); /* as forwarded: behind DNAT, before SNAT */

	if (!f) {
		gateway_count(&gw->unsupported, "nat");
	} else if (f->state == FLOW_ST_OPENING || f->state == FLOW_ST_WATCHED) {
		l3_unsupported(f, "nat");
		l3_offload(f);
		f->mark_class = MARK_OFFLOADED;
	}
	l3_forward_class(v, MARK_OFFLOADED);
}

/* What the tracker says of a packet without a record. One that was queued by its connection's class has an entry; for
 * others, anybody's packets, it is not asked. NULL: nothing. */
static const struct ct_entry *path_entry(const struct visit *v, struct ct_entry *e)
{
	return v->p->hook == PKTQ_HOOK_PREROUTING && v->l3->ct && ct_get(v->l3->ct, &v->s.src, &v->s.dst, e) == 0 ? e : NULL;
}

/* A connection that began unseen. It is a flow all the same, for policy may say what happens to one that cannot be
 * promoted; its numbers are learnt, as far as they are needed. <e>: the tracker's entry, or NULL. */
static void path_blind(struct visit *v, struct gateway *gw, bool from_client, const struct ct_entry *e)
{
	const struct addr *cli = from_client ? &v->s.src : &v->s.dst, *srv = from_client ? &v->s.dst : &v->s.src;
	struct flow *f = path_record(v, gw, cli, srv);

	if (!f) {
		gw->overflow++;
		l3_forward_class(v, MARK_OFFLOADED);
		return;
	}
	v->f = f;
	v->d = from_client ? FLOW_CLIENT : FLOW_SERVER;
	flow_set_queue(f, v->q);
	f->in_if = from_client ? v->p->in_if : v->p->out_if;
	f->out_if = from_client ? v->p->out_if : v->p->in_if;
	f->foreign_mark = flow_mark(f, mark_foreign(v->p->mark, v->l3->mark_mask));
	f->packets++;
	f->bytes[v->d] += v->s.data_len;
	f->mark_class = MARK_NONE;
	f->want_class = gw->conf->block ? MARK_HARD : MARK_OURS;
	f->last_dir = FLOW_SERVER; /* what the client says next begins a turn */
	seqtrk_init_blind(&f->trk, cli->family == AF_INET6);
	if (!e || l3_adopt_entry(f, e))
		l3_unsupported(f, "no-syn");
	flow_set_state(f, FLOW_ST_WATCHED);
	if (!l3_turn_wanted(f))
		l3_decide(f, &(struct gateway_decision){ .act = GATEWAY_ACT_FORWARD });
	l3_flow_packet(v);
}

/* A connection of class hard whose record is gone. Its numbers had to be translated, or a pseudo socket carried it; what was
 * to be done went with the daemon that knew it, and raw segments would be taken for other bytes than they are. With
 * `on-failure block` the class says so only after a crash: a daemon that ended well has reset those. */
static bool path_is_lost(const struct visit *v, const struct gateway *gw, const struct ct_entry *e)
{
	return e && (mark_get(e->mark, v->l3->mark_mask) & MARK_CLASS) == MARK_HARD &&
	       (!gw->conf->block || (v->l3->steer && steer_after_crash(v->l3->steer)));
}

static void path_lost(struct visit *v, struct gateway *gw)
{
	gateway_count(&gw->unsupported, "lost");
	path_reset(v);
}

static void path_no_flow(struct visit *v, struct gateway *gw)
{
	struct ct_entry room;
	const struct ct_entry *e;
	bool syn = (v->s.flags & (SEG_SYN | SEG_ACK)) == SEG_SYN, forward = v->p->hook == PKTQ_HOOK_FORWARD;
	int way = gateway_matches(gw, &v->s.src, &v->s.dst, v->p->in_if, v->p->out_if);

	if (syn && way >= 0) {
		if (!forward) /* it comes again in FORWARD, as new */
			l3_forward_class(v, MARK_NONE);
		else if (gw->removed || v->l3->w->stopping)
			l3_forward_class(v, MARK_OFFLOADED);
		else
			path_new_flow(v, gw);
		return;
	}
	v->l3->no_record++;
	e = path_entry(v, &room);
	if (e && e->nat)
		path_nat(v, gw, e);
	else if (path_is_lost(v, gw, e))
		path_lost(v, gw);
	else if (!(v->s.flags & (SEG_SYN | SEG_RST | SEG_FIN)) && way && !gw->removed && !v->l3->w->stopping)
		path_blind(v, gw, way > 0, e);
	else if (forward)
		l3_accept(v);
	else
		l3_forward_class(v, MARK_OFFLOADED);
}

/* ---- packets of a flow ---- */

static void path_fins(struct flow *f)
{
	if (!(f->trk.side[0].f & f->trk.side[1].f & SEQTRK_F_FIN))
		return;
	if (f->state == FLOW_ST_WATCHED || f->state == FLOW_ST_TRANSLATED)
		l3_flow_end(f, "fin");
}

/* The old connection is over and its addresses are used again. */
static void path_reborn(struct visit *v)
{
	struct flow *f = v->f;
	struct gateway *gw = f->gw;

	l3_flow_gone(f, "reused");
	v->f = NULL;
	path_no_flow(v, gw);
}

/* The client acknowledges what did not pass here: the other direction takes another way. Only noted, for a segment
 * that nothing is known of decides nothing. */
static bool path_is_one_way(const struct visit *v, enum seqtrk_res r)
{
	const struct seqtrk *t = &v->f->trk;

	return r == SEQTRK_UNKNOWN && v->f->state == FLOW_ST_OPENING && v->d == FLOW_CLIENT && !(t->f & SEQTRK_C_SYNACK) &&
	       (v->s.flags & (SEG_ACK | SEG_SYN | SEG_RST)) == SEG_ACK && v->s.seq == t->side[FLOW_CLIENT].nxt;
}

/* Moves of the tracker that change the state. <r> is what it said, <nxt> the edge before; the packet has no verdict
 * yet. */
static void path_follow(struct visit *v, enum seqtrk_res r, uint32_t nxt, bool fresh)
{
	struct flow *f = v->f;

	if (path_is_one_way(v, r)) {
		l3_unsupported(f, "one-way");
	} else if (r == SEQTRK_UNKNOWN && (v->s.flags & SEG_RST) && f->state != FLOW_ST_OPENING) {
		/* (in OPENING it may be about the connection that had the addresses before) */
		if (offload_reset(f))
			l3_flow_end(f, "reset");
		else
			l3_reset_unjudged(v);
	} else if (!seqtrk_acceptable(r) && r != SEQTRK_CHALLENGE) {
		v->l3->forged++;
	} else if (r == SEQTRK_RESET) {
		l3_flow_end(f, "reset");
	} else {
		if (fresh && v->d == FLOW_SERVER)
			l3_turn_server(f, &v->s, nxt);
		if (f->state == FLOW_ST_OPENING && (f->trk.f & SEQTRK_C_EST))
			l3_established(v);
		if (f->state == FLOW_ST_WATCHED && f->timer == FLOW_TMR_SYN && flow_is_answered(f))
			flow_set_timer(f, FLOW_TMR_IDLE);
		path_fins(f);
	}
}

/* Whatever its receiver would not take says nothing of the connection, and puts no timer off. What nothing is known of may be
 * true. */
static void path_heard(struct flow *f, enum seqtrk_res r)
{
	if (seqtrk_acceptable(r) || r == SEQTRK_UNKNOWN)
		flow_touch(f);
}

void l3_watch(struct visit *v)
{
	struct flow *f = v->f;
	enum seqtrk_res r;
	uint32_t nxt;
	bool fresh;

	if (f->seen == FLOW_SEEN_CLIENT_DATA && narrow_visit(v))
		return;
	nxt = f->trk.side[v->d].nxt;
	if (v->d == FLOW_CLIENT && l3_turn_visit(v))
		return;
	/* A pure ACK stands behind what is held of its side, and must not move the edge there; nor over bytes that
	 * policy has yet to see, for it would not be asked about what then seems to be repeated. */
	if ((flow_hold(f) || l3_turn_wanted(f)) && seg_is_pure_ack(&v->s))
		r = seqtrk_hold(&f->trk, v->d, &v->s, flow_xlate(f));
	else
		r = seqtrk_see(&f->trk, v->d, &v->s, flow_xlate(f));
	if (r == SEQTRK_NEW_SYN) {
		path_reborn(v);
		return;
	}
	path_heard(f, r);
	/* bytes nobody saw before; the edge does not move for what is not acceptable */
	fresh = v->s.data_len && f->trk.side[v->d].nxt != nxt;
	if (fresh)
		f->last_dir = (uint8_t)v->d;
	path_follow(v, r, nxt, fresh);
	if (fresh && f->state == FLOW_ST_WATCHED)
		narrow_data(f, v->d);
	if (!v->judged)
		l3_forward(v);
	/* v has its verdict, and belongs to the entry from before; in FORWARD it may still have to make one */
	if (v->p->hook == PKTQ_HOOK_PREROUTING && handover_wanted(f))
		handover_now(f);
}

/* Does a SYN begin a new connection? The tracker does not follow what pseudo sockets carry. */
static bool path_is_reborn(const struct visit *v)
{
	const struct l3_border_ops *border = v->l3->border;

	if ((v->s.flags & (SEG_SYN | SEG_ACK)) != SEG_SYN)
		return false;
	if (v->f->sockets || flow_border(v->f))
		return !border || border->replaced(v->f, v->d);
	return seqtrk_judge(&v->f->trk, v->d, &v->s, flow_xlate(v->f)) == SEQTRK_NEW_SYN;
}

/* The kernel translates the flow, but for this packet: it had another entry, from before the handover (what is queued by class
 * in PREROUTING); or there is none any more. */
static void path_translated(struct visit *v)
{
	if (v->p->hook == PKTQ_HOOK_FORWARD && !handover_stands(v->f)) {
		handover_lost(v->f);
		l3_watch(v);
		return;
	}
	xlate_apply(flow_xlate(v->f), v->d, &v->s);
	l3_accept(v);
}

static void path_offloaded(struct visit *v)
{
	const struct seqtrk_side *cli = &v->f->trk.side[FLOW_CLIENT];
	bool syn = (v->s.flags & (SEG_SYN | SEG_ACK)) == SEG_SYN;

	/* repeated: no entry was made of the one before, which was dropped behind us */
	if (syn && !(v->d == FLOW_CLIENT && (cli->f & SEQTRK_F_SYN) && v->s.seq == cli->isn)) {
		path_reborn(v);
		return;
	}
	/* on its way into the queue when the mark was set, or the tracker forgot */
	offload_seen(v->f);
	if (v->f->xlate_by == FLOW_XLATE_KERNEL)
		path_translated(v);
	else
		l3_forward(v);
}

/* Nothing of it passes, and the record lasts as long as its ends try. */
static void path_drop(struct visit *v)
{
	path_heard(v->f, seqtrk_judge(&v->f->trk, v->d, &v->s, flow_xlate(v->f)));
	l3_drop(v);
}

static void path_closing(struct visit *v)
{
	struct flow *f = v->f;

	if (path_is_reborn(v)) {
		path_reborn(v);
		return;
	}
	if (f->sockets) {
		flow_touch(f); /* the sockets will judge it */
		l3_to_socket_late(v);
	} else if (f->policy == FLOW_POL_DROP) {
		path_drop(v);
	} else {
		l3_pass(v);
	}
}

/* A segment from before a demotion may ack less than its receiver has seen acked, too little to be heard (RFC 5961
 * 5): what border read from the sockets is true of its sender too. xlate would raise it when it leaves; here it
 * comes first, so that tracker and policy judge what the receiver will get. */
static void path_lift(struct visit *v)
{
	const struct xlate *x = flow_xlate(v->f);
	const struct xlate_floor *fl = &x->floor[v->d];

	if (!fl->has_ack || (v->s.flags & (SEG_ACK | SEG_RST)) != SEG_ACK || !seq_lt(xlate_ack(x, v->d, v->s.ack), fl->ack))
		return;
	seg_set_ack(&v->s, fl->ack + x->delta[!v->d]);
	seg_set_win(&v->s, fl->ack_win);
}

void l3_flow_packet(struct visit *v)
{
	struct flow *f = v->f;

	if (f->xlate_by == FLOW_XLATE_DAEMON) {
		xlate_note(flow_xlate(f), v->d, &v->s);
		path_lift(v);
	}
	switch ((enum flow_state)f->state) {
	case FLOW_ST_PROMOTED:
	case FLOW_ST_LEAVING:
		flow_touch(f);
		if (path_is_reborn(v))
			path_reborn(v);
		else
			v->l3->border->packet(v);
		return;
	case FLOW_ST_HELD:
		if (flow_hold(f)->why == HOLD_DRAIN) {
			v->l3->border->packet(v);
			return;
		}
		break;
	case FLOW_ST_OFFLOADED:
		path_offloaded(v);
		return;
	case FLOW_ST_CLOSING:
		path_closing(v);
		return;
	case FLOW_ST_OPENING:
	case FLOW_ST_WATCHED:
	case FLOW_ST_TRANSLATED:
	case FLOW_ST_COUNT:
		break;
	}
	if (f->policy == FLOW_POL_DROP)
		path_drop(v);
	else if (f->recalled && flow_border(f))
		v->l3->border->packet(v); /* hears of it, and has it watched */
	else
		l3_watch(v);
}

/* Its gateway is no longer configured: does another one want it? What is on its way through border or waits in a hold
 * comes to its end first. */
static void path_orphan(struct flow *f)
{
	struct gateway *heir = flow_border(f) || flow_hold(f) ? NULL : gateway_heir(f);

	if (heir)
		flow_change_gateway(f, heir);
}

static void path_flow(struct visit *v)
{
	struct flow *f = v->f;

	if (f->gw->removed)
		path_orphan(f);
	flow_set_queue(f, v->q);
	f->foreign_mark = flow_mark(f, mark_foreign(v->p->mark, v->l3->mark_mask));
	f->packets++;
	f->bytes[v->d] += v->s.data_len;
	f->renewed |= v->p->hook == PKTQ_HOOK_FORWARD && !(v->s.flags & SEG_SYN);
	l3_flow_packet(v);
}

/* An entry that adjusts would do so to the error, too, as if it were a segment of the connection that it belongs to, and
 * spoil it: the announced MTU grows by the delta (nf_confirm() in net/netfilter/nf_conntrack_proto.c lets only errors in
 * reply direction alone). So a copy is sent, which finds an entry that does not adjust; the flow is handed over
 * again with a later packet. One that waited in the queue meanwhile has the old entry: so for all of its errors. */
static void path_quote_again(struct visit *v, struct flow *f)
{
	if (f->xlate_by == FLOW_XLATE_KERNEL)
		handover_back(f);
	inject_wire(v->l3->inject, v->p->data, v->p->len, mark_foreign(v->p->mark, v->l3->mark_mask), MARK_HARD);
	l3_drop(v);
}

/* Not TCP: an ICMP error may be about a segment that was translated here. Its sender must know the number that
 * it quotes, or it takes no notice (path MTU discovery). This host's own error about a segment that the kernel was to
 * translate quotes it as it came. */
static void path_quote(struct visit *v)
{
	bool early = v->p->hook == PKTQ_HOOK_OUTPUT && mark_get(v->p->mark, v->l3->mark_mask) == MARK_OFFLOADED;
	struct flow *f = NULL;
	struct quote q;
	int d;

	if (quote_parse(&q, v->p->data, v->p->len, v->p->full_len) != SEG_OK)
		v->l3->unknown[SEG_NOT_TCP]++;
	else
		f = flow_lookup(&v->l3->flows, &q.src, &q.dst, &d);
	if (f && f->xlate_by != FLOW_XLATE_NONE) {
		if (!early && quote_xlate(&q, d, flow_xlate(f)))
			v->s.f |= SEG_F_DIRTY;
		if (f->ext->adjusted && v->p->len == v->p->full_len) {
			path_quote_again(v, f);
			return;
		}
	}
	l3_accept(v);
}

static void path_packet(void *owner, struct pktq *q, struct pktq_pkt *p)
{
	struct gateway *gw = owner;
	struct visit v = { .l3 = gw->l3, .q = q, .p = p };
	enum seg_err err;

	gw->packets++;
	gw->bytes += p->full_len;
	err = seg_parse(&v.s, p->data, p->len, p->full_len);
	if (err == SEG_NOT_TCP) {
		path_quote(&v);
		return;
	}
	if (err != SEG_OK) {
		gw->l3->unknown[err]++;
		gateway_count(&gw->unsupported, seg_err_name[err]);
		l3_accept(&v);
		return;
	}
	if (p->csum_partial)
		v.s.f |= SEG_F_PARTIAL;
	v.f = flow_lookup(&gw->l3->flows, &v.s.src, &v.s.dst, &v.d);
	if (v.f)
		path_flow(&v);
	else
		path_no_flow(&v, gw);
}

static void path_batch_end(void *owner, struct pktq *q, bool drained)
{
	struct gateway *gw = owner;

	if (gw->l3->border)
		gw->l3->border->batch_end(q, drained);
	narrow_batch_end(q, drained);
	flow_reap(&gw->l3->flows);
}

const struct pktq_handler l3_path_handler = { .packet = path_packet, .batch_end = path_batch_end };
