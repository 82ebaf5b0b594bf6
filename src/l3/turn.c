/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * turn.c - policy at the start of each turn, on held payload
 *
 * The framer reads the client's payload in order (f->framer_seq is its place) and
 * says where a turn begins. From there on the client's data is held (HELD,
 * HOLD_INSPECT) and the content rules are asked, again with every packet, until
 * they decide, the turn cannot be judged any more, or `inspect-delay` (without it:
 * `timeout hold`) ends the waiting. The server's data passes all the while.
 *
 *   in order, inside a turn     forwarded; the framer is fed
 *   within framer_blind()       forwarded in any order: body bytes begin no turn
 *   beyond a gap                held until the gap fills: a turn may begin in it
 *   a turn begins               held from there on. A packet with the end of one turn and
 *                               the beginning of the next is held whole; when the next is
 *                               promoted, its first part is sent on as a packet of its own
 *
 * Where framing is lost, nobody knows which of the following bytes begin a
 * request: the flow is promoted into the frontend that the rules name first (or
 * forwarded for good where no rule promotes). Unless what the client sends does
 * not matter: rules that decide without any payload decide so for every turn, and
 * a connection that only they speak of is never held for a head.
 */
#include "core/bug.h"
#include "core/worker.h"
#include "l3/hold.h"
#include "l3/l3.h"
#include "policy/ctx.h"

#define TURN_FLIGHT 10 /* segments that a client sends before the first is acknowledged (RFC 6928) */
#define TURN_INSPECT_MAX (64U << 10) /* payload bytes held to be judged */

static bool turn_has_rules(const struct gateway_conf *c)
{
	return c->content.count || c->dflt.act != GATEWAY_ACT_WATCH;
}

bool l3_turn_wanted(const struct flow *f)
{
	return f->policy == FLOW_POL_PROMOTE ||
	       (f->policy == FLOW_POL_OPEN && turn_has_rules(f->gw->conf) && !f->gw->removed);
}

static const struct xlate *turn_xlate(const struct flow *f)
{
	return f->xlate_by != FLOW_XLATE_NONE ? &f->xl : NULL;
}

/* ---- framing ---- */

/* The framer's first byte is <seq>: the connection's first, or where a client begins to speak again. */
static bool turn_begin_framing(struct flow *f, uint32_t seq)
{
	const struct seqtrk_side *cli = &f->trk.side[FLOW_CLIENT];
	bool first = (cli->f & SEQTRK_F_SYN) && (cli->f & SEQTRK_F_NXT) && seq_le(cli->nxt, cli->isn + 1);

	/* rules came with a reload in the middle of a turn: the next one begins when the server has spoken */
	if (!first && f->last_dir != FLOW_SERVER)
		return false;
	framer_init(&f->framer);
	answers_reset(&f->answers);
	f->framer_seq = first ? cli->isn + 1 : seq;
	f->framing = true;
	return true;
}

void l3_turn_resume(struct flow *f, enum framer_resume how, const struct h1_body *body, uint32_t seq)
{
	framer_resume(&f->framer, how, body);
	/* whether the response under way is whole, l7 does not tell */
	answers_lose(&f->answers);
	f->framer_seq = seq;
	f->framing = f->policy == FLOW_POL_OPEN;
	f->last_dir = FLOW_SERVER;
}

/* A promotion that waited until the server owed nothing. */
static void turn_settled(struct flow *f)
{
	if (f->state == FLOW_ST_HELD && f->hold->why == HOLD_INSPECT && framer_in_turn(&f->framer) &&
	    answers_settled(&f->answers))
		l3_turn_judge(f, false);
}

void l3_turn_server(struct flow *f, const struct seg *s, uint32_t nxt)
{
	struct str pl = seg_payload(s);
	uint32_t start = seg_data_seq(s), fresh = start + s->data_len - nxt, old = s->data_len - MIN(fresh, s->data_len);

	if (!f->framing)
		return;
	if (seq_gt(start, nxt) || old >= pl.n) { /* beyond a gap, or not copied */
		framer_server(&f->framer, NULL, 0, fresh);
		answers_skip(&f->answers, fresh);
	} else {
		framer_server(&f->framer, pl.p + old, pl.n - old, pl.n - old);
		answers_feed(&f->answers, pl.p + old, pl.n - old);
		answers_skip(&f->answers, s->data_len - pl.n);
	}
	turn_settled(f);
}

/* ---- letting a turn pass ---- */

/* Forwards the held packets that end at or below the framer's place. */
static void turn_release_fed(struct flow *f)
{
	struct visit v;
	struct held *h;

	while ((h = list_first(&f->hold->side[FLOW_CLIENT], struct held, node))) {
		uint32_t data_end = seg_data_seq(&h->s) + h->s.data_len;

		if (seq_gt(data_end, f->framer_seq))
			break;
		hold_pop(f, FLOW_CLIENT, &v, &h);
		l3_pass(&v);
		hold_done(h);
	}
}

/* The part of a held packet below the framer's place belongs to a turn that passed, the rest does not: sends
 * that part on by itself. */
static void turn_send_front(struct flow *f)
{
	struct held *h = f->hold ? list_first(&f->hold->side[FLOW_CLIENT], struct held, node) : NULL;
	uint32_t nxt = f->trk.side[FLOW_CLIENT].nxt;

	if (h && seq_lt(nxt, f->framer_seq))
		l3_send_part(f, FLOW_CLIENT, &h->s, nxt, f->framer_seq);
}

/* ---- judging ---- */

/* Do the rules decide whatever the client may send? Then framing does not matter. */
static bool turn_blind(struct flow *f, struct gateway_decision *dec)
{
	return gateway_judge_blind(f->gw, f, dec);
}

static void turn_give_up(struct flow *f)
{
	struct gateway_decision dec;

	/* where the turn does not matter it is judged without it: what the rules count is counted */
	if (!turn_blind(f, &dec) || !gateway_judge_turn(f->gw, f, STR_NULL, NULL, false, &dec))
		dec = f->gw->conf->lost;
	l3_track_turn_over(f);
	l3_decide(f, &dec);
	if (f->state == FLOW_ST_HELD && f->hold->why == HOLD_INSPECT) { /* refused, dry run */
		f->framing = false;
		f->policy = FLOW_POL_NONE;
		l3_unhold(f);
		hold_forward(f);
	}
}

/* Feeds what is held from the framer's place on. True: a turn begins at the new place, and something of it is here. */
static bool turn_feed(struct flow *f, struct str run)
{
	ssize_t off = framer_feed(&f->framer, run.p, run.n);

	if (off < 0)
		return true;
	f->framer_seq += (uint32_t)off;
	turn_release_fed(f);
	return (size_t)off < run.n;
}

/* Does the server owe nothing from before this turn? Where the count was lost, one that spoke last is trusted: but
 * for pipelining clients a request begins when its predecessor's answer is there. */
static bool turn_answered(struct flow *f)
{
	if (f->answers.unknown && f->last_dir == FLOW_SERVER)
		answers_reset(&f->answers);
	return answers_settled(&f->answers);
}

enum turn_step { TURN_AGAIN, TURN_WAIT, TURN_DONE };

/* One turn of what is held. */
static enum turn_step turn_judge_one(struct flow *f, struct str run, bool final)
{
	struct http_hdr hdr[FRAMER_MAX_HDR];
	struct http_head head = { .hdr = hdr, .max_hdr = FRAMER_MAX_HDR };
	struct gateway_decision dec = { 0 };
	enum framer_look look = framer_look(&f->framer, run.p, run.n, &head);
	bool answered;

	final |= run.n >= TURN_INSPECT_MAX;
	if (look == FRAMER_MORE && !final && !turn_blind(f, &dec))
		return TURN_WAIT;
	if (look == FRAMER_MORE)
		framer_lose(&f->framer, FRAMER_WHY_HELD);
	if (f->framer.state == FRAMER_ST_LOST) {
		turn_give_up(f);
		return TURN_DONE;
	}
	answered = look != FRAMER_REQUEST || turn_answered(f);
	if (look == FRAMER_REQUEST)
		l3_track_request(f);
	if (!gateway_judge_turn(f->gw, f, run, look == FRAMER_REQUEST ? &head : NULL, final, &dec)) {
		if (look == FRAMER_REQUEST)
			l3_track_requested(f);
		return TURN_WAIT;
	}
	if (look == FRAMER_REQUEST)
		l3_track_requested(f);
	if (dec.act == GATEWAY_ACT_PROMOTE && !answered) {
		if (!final)
			return TURN_WAIT;
		l3_promote_refused(f, "pipelined");
		dec.act = dec.els == GATEWAY_ELSE_REJECT ? GATEWAY_ACT_REJECT :
			  dec.els == GATEWAY_ELSE_DROP	 ? GATEWAY_ACT_DROP :
							   GATEWAY_ACT_WATCH;
	}
	if (dec.act == GATEWAY_ACT_PROMOTE)
		turn_send_front(f);
	l3_decide(f, &dec);
	if (f->state != FLOW_ST_HELD || f->hold->why != HOLD_INSPECT) {
		if (!f->border)
			l3_track_turn_over(f);
		return TURN_DONE;
	}
	l3_track_turn_over(f);
	/* watch, or a promotion that was refused */
	if (look == FRAMER_REQUEST)
		answers_asked(&f->answers, head.meth);
	return turn_feed(f, run) ? TURN_AGAIN : TURN_WAIT;
}

/* Nothing is left to judge: what remains stands beyond a gap, or there is nothing. */
static void turn_settle(struct flow *f)
{
	if (f->hold && hold_empty(f->hold)) {
		l3_unhold(f);
		hold_free(&f->hold);
	}
}

void l3_turn_judge(struct flow *f, bool final)
{
	enum turn_step step = TURN_AGAIN;
	bool fin;

	while (step == TURN_AGAIN) {
		struct str run = hold_payload(f, FLOW_CLIENT, f->framer_seq, &fin);

		if (run.n == 0) {
			if (final && !hold_empty(f->hold)) {
				framer_lose(&f->framer, FRAMER_WHY_GAP);
				turn_give_up(f);
				return;
			}
			break;
		}
		if (f->framer.state == FRAMER_ST_LOST) {
			turn_give_up(f);
			return;
		}
		if (framer_in_turn(&f->framer))
			step = turn_judge_one(f, run, final || fin);
		else
			step = turn_feed(f, run) ? TURN_AGAIN : TURN_WAIT;
		if (step == TURN_DONE)
			return;
		final = false; /* a turn that begins inside has its own time */
	}
	turn_send_front(f); /* what waits does not keep back what came before it */
	turn_settle(f);
}

/* ---- packets ---- */

/* Could not be held: the turn is judged by what is there, and the packet follows what came out of it. */
static void turn_overflow(struct visit *v)
{
	struct flow *f = v->f;

	l3_turn_judge(f, true);
	if (f->state == FLOW_ST_HELD && f->hold->why == HOLD_INSPECT) {
		framer_lose(&f->framer, FRAMER_WHY_HELD);
		turn_give_up(f);
	}
	if (f->border || f->policy == FLOW_POL_DROP)
		l3_drop(v);
	else
		l3_pass(v);
}

static void turn_hold(struct visit *v)
{
	struct flow *f = v->f;
	bool fresh = f->state != FLOW_ST_HELD, stuck;
	uint32_t count;

	seqtrk_hold(&f->trk, v->d, &v->s, turn_xlate(f));
	if (fresh) {
		if (hold_start(f, HOLD_INSPECT) < 0) {
			l3_pass(v);
			return;
		}
		flow_set_state(f, FLOW_ST_HELD);
		flow_set_timer(f, FLOW_TMR_INSPECT);
	}
	count = f->hold->count;
	if (hold_add(v) < 0) {
		turn_overflow(v);
		return;
	}
	/* one that repeats itself with a whole flight unacknowledged may not send more: no use in waiting for it */
	stuck = f->hold->count == count && count >= TURN_FLIGHT;
	l3_turn_judge(f, stuck);
}

/* In HELD: what continues or repeats the held data. False: an ACK, or below the cut. */
static bool turn_visit_held(struct visit *v)
{
	struct flow *f = v->f;
	uint32_t cut = f->framing ? f->framer_seq : f->trk.side[FLOW_CLIENT].nxt;
	enum seqtrk_where where = seqtrk_where(&v->s, cut);

	if (v->s.flags & (SEG_SYN | SEG_RST) || where == SEQTRK_BELOW ||
	    !seqtrk_acceptable(seqtrk_judge(&f->trk, v->d, &v->s, turn_xlate(f))))
		return false;
	/* repeated: what was sent on before may have been lost */
	if (where == SEQTRK_STRADDLES)
		l3_send_part(f, v->d, &v->s, v->s.seq, cut);
	turn_hold(v);
	return true;
}

/* A turn decided at the SYN, whose handshake ends with payload. */
static bool turn_visit_promote(struct visit *v)
{
	struct flow *f = v->f;
	struct gateway_decision dec = { GATEWAY_ACT_PROMOTE, f->want_frontend, f->want_else };

	if (hold_start(f, HOLD_INSPECT) < 0)
		return false;
	flow_set_state(f, FLOW_ST_HELD);
	if (hold_add(v) < 0) {
		l3_unhold(f);
		hold_free(&f->hold);
		return false;
	}
	f->policy = FLOW_POL_OPEN;
	l3_decide(f, &dec);
	if (f->state == FLOW_ST_HELD && f->hold->why == HOLD_INSPECT) {
		l3_unhold(f);
		hold_forward(f);
	}
	return true;
}

/* Payload of the client on a flow whose turns are looked at. */
static bool turn_visit_data(struct visit *v)
{
	struct flow *f = v->f;
	uint32_t start = seg_data_seq(&v->s), end = start + v->s.data_len;
	struct str pl = seg_payload(&v->s);
	ssize_t off;

	if (!f->framing && !turn_begin_framing(f, start))
		return false;
	if (seq_le(end, f->framer_seq))
		return false;
	if (end - f->framer_seq <= framer_blind(&f->framer)) {
		framer_feed(&f->framer, NULL, end - f->framer_seq);
		f->framer_seq = end;
		return false;
	}
	if (seq_le(start, f->framer_seq) && !framer_in_turn(&f->framer)) {
		pl.p += f->framer_seq - start;
		pl.n -= MIN(pl.n, f->framer_seq - start);
		off = framer_feed(&f->framer, pl.p, pl.n);
		if (off >= 0)
			f->framer_seq += (uint32_t)off;
		if (off >= 0 && (size_t)off == pl.n && f->framer_seq == end)
			return false;
	}
	turn_hold(v);
	return true;
}

bool l3_turn_visit(struct visit *v)
{
	struct flow *f = v->f;

	if (f->state == FLOW_ST_HELD)
		return turn_visit_held(v);
	if (!v->s.data_len || v->s.flags & (SEG_SYN | SEG_RST) || !(f->trk.f & (SEQTRK_C_SYNACK | SEQTRK_C_LEARNT)))
		return false;
	if (!l3_turn_wanted(f)) {
		f->framing = false;
		return false;
	}
	/* what is new to the framer need not be new to the tracker, whose edge an ACK may have moved */
	if (!seqtrk_acceptable(seqtrk_judge(&f->trk, v->d, &v->s, turn_xlate(f))))
		return false;
	if (f->state == FLOW_ST_OPENING) {
		seqtrk_hold(&f->trk, v->d, &v->s, NULL);
		if (!(f->trk.f & SEQTRK_C_EST))
			return false;
		flow_set_state(f, FLOW_ST_WATCHED);
		l3_unsupported(f, seqtrk_unsupported(&f->trk));
		if (f->policy == FLOW_POL_PROMOTE)
			return turn_visit_promote(v);
	}
	return turn_visit_data(v);
}
