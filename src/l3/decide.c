/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * decide.c - from what the rules say to what happens to the flow
 *
 *   watch    nothing: turn.c lets the turn pass and asks again at the next
 *   forward  offload: the next verdict makes the kernel forward alone. A flow with
 *            deltas stays translated here instead, unseen by policy
 *   promote  border's; where it is refused, `else` decides
 *   reject   resets to both ends, then nothing passes
 *   drop     nothing passes
 *
 * An offloaded flow can be called back: its connection's mark is changed through
 * ctnetlink, and the tracker learns the numbers from the next packets.
 *
 * With `option dry-run` a decision is counted and logged, and the flow watched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/bug.h"
#include "core/worker.h"
#include "l3/ct.h"
#include "l3/hold.h"
#include "l3/inject.h"
#include "l3/l3.h"
#include "l3/narrow.h"

const char *const gateway_act_name[GATEWAY_ACT_COUNT] = {
	[GATEWAY_ACT_WATCH] = "watch",	 [GATEWAY_ACT_FORWARD] = "forward", [GATEWAY_ACT_PROMOTE] = "promote",
	[GATEWAY_ACT_REJECT] = "reject", [GATEWAY_ACT_DROP] = "drop",
};

/* ---- ends ---- */

/* A bare segment to side <to>. */
static void decide_send(struct flow *f, int to, uint8_t flags, uint32_t seq)
{
	struct seg_spec sp = {
		.src = f->side[!to],
		.dst = f->side[to],
		.seq = seq,
		.flags = flags,
	};
	uint8_t pkt[SEG_BUILD_MAX];
	int n;

	if (f->trk.side[to].f & SEQTRK_F_NXT) {
		sp.ack = f->trk.side[to].nxt;
		sp.flags |= SEG_ACK;
	}
	n = seg_build(&sp, pkt, sizeof(pkt));
	if (n > 0)
		inject_wire(f->gw->l3->inject, pkt, (uint32_t)n, f->foreign_mark, f->want_class);
}

void l3_flow_reset(struct flow *f)
{
	int d;

	for (d = 0; d < 2; d++) {
		/* the receiver obeys only its exact next number (RFC 5961 3.2): what it acked, and the edge */
		uint32_t acked = xlate_seq(flow_xlate(f), !d, f->trk.side[d].ack);
		uint32_t edge = xlate_seq(flow_xlate(f), !d, f->trk.side[!d].nxt);

		bool has_edge = f->trk.side[!d].f & SEQTRK_F_NXT;

		if (has_edge)
			decide_send(f, d, SEG_RST, edge);
		if ((f->trk.side[d].f & SEQTRK_F_ACK) && !(has_edge && acked == edge))
			decide_send(f, d, SEG_RST, acked);
		/* not known: it says it itself, to one who was reset, and that one's answer has the right number */
		else if (!has_edge)
			decide_send(f, d, 0, edge - 1);
	}
	/* its ends are free to use the addresses again at once */
	f->trk.f |= SEQTRK_C_RST;
}

void l3_reset_unjudged(struct visit *v)
{
	struct flow *f = v->f;
	int to = !v->d;

	if (!v->judged)
		l3_forward(v);
	/* its answer could not be judged either, and would be asked about, and so on */
	if (!(f->trk.side[to].f & SEQTRK_F_NXT))
		return;
	pktq_flush(v->q);
	decide_send(f, to, 0, xlate_seq(flow_xlate(f), v->d, f->trk.side[v->d].nxt) - 1);
}

void l3_unhold(struct flow *f)
{
	flow_set_state(f, f->xlate_by == FLOW_XLATE_NONE ? FLOW_ST_WATCHED : FLOW_ST_TRANSLATED);
}

void l3_flow_end(struct flow *f, const char *how)
{
	if (f->state == FLOW_ST_CLOSING || f->dead)
		return;
	if (flow_hold(f))
		hold_forward(f);
	if (!flow_end(f))
		flow_set_end(f, how);
	flow_set_state(f, FLOW_ST_CLOSING);
	l3_log_end(f);
}

void l3_flow_gone(struct flow *f, const char *how)
{
	if (f->dead)
		return;
	if ((flow_border(f) || f->sockets) && f->gw->l3->border)
		f->gw->l3->border->release(f);
	if (flow_hold(f))
		hold_drop(f);
	if (!flow_end(f))
		flow_set_end(f, how);
	l3_log_end(f);
	flow_remove(f);
}

/* ---- decisions ---- */

void l3_flow_bytes(const struct flow *f, uint64_t bytes[2])
{
	bytes[0] = f->bytes[0];
	bytes[1] = f->bytes[1];
	if (flow_border(f) && f->gw->l3->border && f->gw->l3->border->carried)
		f->gw->l3->border->carried(f, bytes);
}

void l3_promote_refused(struct flow *f, const char *why)
{
	flow_set_refused(f, why);
	gateway_count(&f->gw->promote_failures, why);
	l3_track_turn_over(f);
	flow_log(f, LOG_NOTICE, "not promoted: %s", why);
}

void l3_offload(struct flow *f)
{
	f->policy = FLOW_POL_FORWARD;
	l3_turn_stop(f);
	if (f->xlate_by == FLOW_XLATE_DAEMON || flow_has_tos(f)) {
		/* what changes in its packets is changed here */
		f->policy = FLOW_POL_NONE;
		if (f->state == FLOW_ST_HELD)
			l3_unhold(f);
	} else {
		f->seen = FLOW_SEEN_NONE;
		f->want_class = MARK_OFFLOADED;
		flow_set_state(f, FLOW_ST_OFFLOADED);
	}
	if (flow_hold(f))
		hold_forward(f);
}

void l3_unsupported(struct flow *f, const char *why)
{
	if (!why || flow_refused(f))
		return;
	trace_step(f, "not to be promoted: %s", why);
	flow_set_refused(f, why);
	gateway_count(&f->gw->unsupported, why);
}

static void decide_drop(struct flow *f, const char *how)
{
	l3_track_end(f);
	f->policy = FLOW_POL_DROP;
	l3_turn_stop(f);
	if (flow_hold(f))
		hold_drop(f);
	if (f->state == FLOW_ST_HELD)
		l3_unhold(f);
	flow_set_end(f, how);
}

static void decide_reject(struct flow *f)
{
	decide_drop(f, "rejected");
	l3_flow_reset(f);
	l3_flow_end(f, "rejected");
}

static void decide_promote(struct flow *f, const struct gateway_decision *dec)
{
	const struct l3_border_ops *border = f->gw->l3->border;
	const char *why;

	why = border ? border->promote(f, dec->frontend, dec->els) : "no-border";
	if (!why)
		return;
	l3_promote_refused(f, why);
	switch (dec->els) {
	case GATEWAY_ELSE_REJECT:
		decide_reject(f);
		return;
	case GATEWAY_ELSE_DROP:
		decide_drop(f, "dropped");
		return;
	case GATEWAY_ELSE_FORWARD:
		break;
	}
	/* what the handshake lacks will not come: look no further. Else the turn passes and the next may do better; so
	 * where the numbers of both ends are yet to be learnt. */
	why = seqtrk_refusal(&f->trk);
	if (why && !((f->trk.f & SEQTRK_C_ADOPTED) && !seqtrk_known(&f->trk)))
		l3_offload(f);
}

/* set-mark and set-tos: from the next verdict on, both ways. Without memory the connection goes on as it is. */
static void decide_set(struct flow *f, const struct gateway_decision *dec)
{
	struct flow_ext *x;

	if (f->gw->conf->dry_run || !(dec->mark_mask || dec->has_tos))
		return;
	x = flow_ext(f);
	if (!x) {
		gateway_count(&f->gw->unsupported, "no-memory");
		return;
	}
	if (dec->mark_mask) {
		x->set_mark = (x->set_mark & ~dec->mark_mask) | dec->mark;
		x->set_mask |= dec->mark_mask;
		f->foreign_mark = flow_mark(f, f->foreign_mark);
		if (f->mark_class & MARK_NARROW)
			f->mark_class = MARK_NONE; /* the connection has to learn it, for what passes unseen */
	}
	if (dec->has_tos) {
		x->tos = dec->tos;
		x->has_tos = true;
		narrow_off(f);
	}
}

void l3_decide(struct flow *f, const struct gateway_decision *dec)
{
	decide_set(f, dec);
	trace_step(f, "decided: %s%s%s", gateway_act_name[dec->act], dec->frontend ? " " : "", dec->frontend ? dec->frontend : "");
	if (f->gw->conf->dry_run && dec->act != GATEWAY_ACT_WATCH) {
		flow_log(f, LOG_NOTICE, "dry-run: would %s", gateway_act_name[dec->act]);
		f->gw->dry_run[dec->act]++;
		return;
	}
	switch (dec->act) {
	case GATEWAY_ACT_WATCH:
		return;
	case GATEWAY_ACT_FORWARD:
		l3_offload(f);
		return;
	case GATEWAY_ACT_PROMOTE:
		decide_promote(f, dec);
		return;
	case GATEWAY_ACT_REJECT:
		decide_reject(f);
		return;
	case GATEWAY_ACT_DROP:
		decide_drop(f, "dropped");
		return;
	case GATEWAY_ACT_COUNT:
		break;
	}
}

/* ---- recall ---- */

static int decide_mark(struct flow *f, enum mark_class cls)
{
	struct l3 *l3 = f->gw->l3;

	if (!l3->ct)
		return -EOPNOTSUPP;
	return ct_set_mark(l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], mark_bits(l3->mark_mask, cls), l3->mark_mask);
}

void l3_harden(struct flow *f)
{
	decide_mark(f, MARK_HARD);
}

static void decide_recalled(struct flow *f)
{
	f->seen = FLOW_SEEN_ALL;
	f->policy = FLOW_POL_NONE;
	f->recalled = true;
	seqtrk_relearn(&f->trk);
}

const char *l3_recall(struct flow *f)
{
	const char *why = f->trk.f & SEQTRK_C_SYNACK ? NULL : l3_adopt(f); /* it was forwarded before its SYN-ACK */
	int rc;

	if (why)
		return why;
	if (f->seen == FLOW_SEEN_CLIENT_DATA) {
		narrow_off(f);
		f->recalled = true;
		return NULL;
	}
	if (f->xlate_by == FLOW_XLATE_KERNEL) {
		f->recalled = true; /* border has it already */
		why = handover_back(f);
		f->recalled = false;
		if (!why)
			decide_recalled(f);
		return why;
	}
	rc = decide_mark(f, MARK_OURS);
	if (rc < 0)
		return rc == -ENOENT ? "not-tracked" : "recall";
	f->mark_class = f->want_class = MARK_OURS;
	decide_recalled(f);
	flow_set_state(f, FLOW_ST_WATCHED);
	return NULL;
}

void l3_unrecall(struct flow *f)
{
	f->recalled = false;
	/* from a bulk: watched on */
	if (f->state != FLOW_ST_WATCHED || f->policy == FLOW_POL_OPEN || decide_mark(f, MARK_OFFLOADED) < 0)
		return;
	f->mark_class = f->want_class = MARK_OFFLOADED;
	f->seen = FLOW_SEEN_NONE;
	flow_set_state(f, FLOW_ST_OFFLOADED);
}

/* Connection rules are asked as at its SYN, but a promotion that they want needs a turn to begin with. */
static bool decide_still_forward(struct flow *f, struct gateway_decision *dec)
{
	const struct gateway_conf *c = f->gw->conf;

	if (gateway_judge_syn(f->gw, f, dec))
		return dec->act == GATEWAY_ACT_FORWARD;
	dec->act = GATEWAY_ACT_WATCH;
	return c->content.count == 0 && c->dflt.act != GATEWAY_ACT_PROMOTE;
}

void l3_rejudge(struct flow *f)
{
	struct gateway_decision dec;
	const char *why;

	if (f->gw->removed || f->gw->conf->dry_run || decide_still_forward(f, &dec))
		return;
	why = l3_recall(f);
	trace_step(f, "the rules have changed: %s", why ? why : "called back");
	if (why)
		return;
	f->recalled = false;
	f->policy = FLOW_POL_OPEN;
	l3_turn_stop(f);
	f->last_dir = FLOW_CLIENT; /* the next turn begins when the server has spoken */
	if (dec.act == GATEWAY_ACT_DROP || dec.act == GATEWAY_ACT_REJECT)
		decide_drop(f, dec.act == GATEWAY_ACT_DROP ? "dropped" : "rejected"); /* no number that a reset would need is known */
	else
		decide_set(f, &dec);
}

/* ---- the SYN ---- */

static void decide_syn_reject(struct visit *v)
{
	uint8_t rst[SEG_BUILD_MAX];
	int n = seg_build_rst(&v->s, rst, sizeof(rst));

	if (n > 0)
		inject_wire(v->l3->inject, rst, (uint32_t)n, v->f->foreign_mark, MARK_NONE);
	l3_drop(v);
	l3_flow_gone(v->f, "rejected");
}

static void decide_syn_drop(struct visit *v)
{
	v->f->policy = FLOW_POL_DROP;
	flow_set_end(v->f, "dropped");
	l3_track_end(v->f);
	l3_drop(v);
}

/* Noted, until the handshake is done. */
static void decide_syn_promote(struct visit *v, const struct gateway_decision *dec)
{
	struct flow *f = v->f;
	const char *name = flow_name(&v->l3->flows, dec->frontend);

	if (name && flow_ext(f)) {
		f->ext->frontend = name;
		f->ext->want_else = (uint8_t)dec->els;
		f->policy = FLOW_POL_PROMOTE;
		return;
	}
	l3_promote_refused(f, "no-memory");
	switch (dec->els) {
	case GATEWAY_ELSE_REJECT:
		decide_syn_reject(v);
		return;
	case GATEWAY_ELSE_DROP:
		decide_syn_drop(v);
		return;
	case GATEWAY_ELSE_FORWARD:
		break;
	}
	l3_offload(f);
}

static void decide_syn_act(struct visit *v, const struct gateway_decision *dec)
{
	struct flow *f = v->f;

	switch (dec->act) {
	case GATEWAY_ACT_WATCH:
		return;
	case GATEWAY_ACT_FORWARD:
		l3_offload(f); /* the SYN's own verdict tells the kernel: it is the only packet of it that we see */
		return;
	case GATEWAY_ACT_PROMOTE:
		decide_syn_promote(v, dec);
		return;
	case GATEWAY_ACT_REJECT:
		decide_syn_reject(v);
		return;
	case GATEWAY_ACT_DROP:
		decide_syn_drop(v);
		return;
	case GATEWAY_ACT_COUNT:
		break;
	}
}

void l3_decide_syn(struct visit *v)
{
	struct flow *f = v->f;
	const struct gateway_conf *c = f->gw->conf;
	struct gateway_decision dec;
	bool decided;

	decided = gateway_judge_syn(f->gw, f, &dec);
	decide_set(f, &dec);
	if (c->dry_run || !decided || (dec.act != GATEWAY_ACT_REJECT && dec.act != GATEWAY_ACT_DROP))
		l3_track_session(f);
	if (!decided) {
		/* no rule will ever look at a turn: the default holds at once */
		if (c->content.count || c->dflt.act != GATEWAY_ACT_FORWARD)
			return;
		dec = c->dflt;
	}
	if (c->dry_run && dec.act != GATEWAY_ACT_WATCH) {
		flow_log(f, LOG_NOTICE, "dry-run: would %s", gateway_act_name[dec.act]);
		f->gw->dry_run[dec.act]++;
		return;
	}
	decide_syn_act(v, &dec);
}

void l3_established(struct visit *v)
{
	struct flow *f = v->f;
	struct gateway_decision dec;

	flow_set_state(f, FLOW_ST_WATCHED);
	l3_unsupported(f, seqtrk_unsupported(&f->trk));
	if (f->policy == FLOW_POL_PROMOTE) {
		/* the server must have its ACK, whoever speaks next */
		if (!v->judged)
			l3_forward(v);
		dec = (struct gateway_decision){ GATEWAY_ACT_PROMOTE, f->ext->frontend, f->ext->want_else };
		f->policy = FLOW_POL_OPEN;
		l3_decide(f, &dec);
	}
}
