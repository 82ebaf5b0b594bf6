/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * turn.c - policy at the start of each turn, on held payload
 *
 * The framer reads the client's payload in order (f->framer_seq is its place) and
 * says where a turn begins. It exists (flow_turn()) from there until the turn is over and answered; in
 * between f->rest says all of it. From there on the client's data is held (HELD,
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
 * a connection that only they speak of is never held for a head. Unless they count
 * requests (flow_track.c): then a request must be seen to be one.
 */
#include <errno.h>

#include "core/bug.h"
#include "core/worker.h"
#include "l3/hold.h"
#include "l3/l3.h"
#include "l3/narrow.h"
#include "policy/ctx.h"

#define TURN_FLIGHT 10 /* segments that a client sends before the first is acknowledged (RFC 6928) */

/* Rules look at the flow's turns, or its requests are to be counted. */
static bool turn_has_rules(const struct flow *f)
{
	const struct gateway_conf *c = f->gw->conf;

	return c->content.count || c->dflt.act != GATEWAY_ACT_WATCH || l3_track_wants_requests(f);
}

bool l3_turn_wanted(const struct flow *f)
{
	return f->policy == FLOW_POL_PROMOTE ||
	       (f->policy == FLOW_POL_OPEN && turn_has_rules(f) && !f->gw->removed);
}

/* ---- framing ---- */

static bool turn_framing(const struct flow *f)
{
	return f->rest || flow_turn(f);
}

void l3_turn_stop(struct flow *f)
{
	f->rest = 0;
	flow_turn_free(f);
}

/* Nobody can look at the turn: it passes, and the next one begins when the server has spoken. */
static void turn_no_memory(struct flow *f)
{
	l3_unsupported(f, "no-memory");
	l3_turn_stop(f);
}

/* What framing a turn needs, made when it is at rest. NULL on no memory: framing has stopped. */
static struct flow_turn *turn_wake(struct flow *f)
{
	struct flow_turn *t = flow_turn(f);

	if (t)
		return t;
	t = flow_turn_new(f);
	if (!t) {
		turn_no_memory(f);
		return NULL;
	}
	framer_wake(&t->framer, f->rest);
	t->answers.unknown = f->answers_lost;
	f->rest = 0;
	return t;
}

/* Is the turn over, and answered? Then a few bits tell where framing is. */
static void turn_rest(struct flow *f)
{
	struct flow_turn *t = flow_turn(f);
	uint8_t rest = t && f->state != FLOW_ST_HELD && answers_at_rest(&t->answers) ? framer_rest(&t->framer) : 0;

	if (!rest)
		return;
	f->answers_lost = t->answers.unknown;
	f->rest = rest;
	flow_turn_free(f);
}

/* How many of the client's next bytes may be anything. */
static uint64_t turn_blind_bytes(const struct flow *f)
{
	struct framer at_rest;

	if (flow_turn(f))
		return framer_blind(&flow_turn(f)->framer);
	framer_wake(&at_rest, f->rest);
	return framer_blind(&at_rest);
}

/* The framer's first byte is <seq>: the connection's first, or where a client begins to speak again. */
static bool turn_begin_framing(struct flow *f, uint32_t seq)
{
	const struct seqtrk_side *cli = &f->trk.side[FLOW_CLIENT];
	bool first = (cli->f & SEQTRK_F_SYN) && (cli->f & SEQTRK_F_NXT) && seq_le(cli->nxt, cli->isn + 1);

	/* rules came with a reload in the middle of a turn: the next one begins when the server has spoken */
	if (!first && f->last_dir != FLOW_SERVER)
		return false;
	f->rest = FRAMER_REST_START;
	f->answers_lost = false;
	f->framer_seq = first ? cli->isn + 1 : seq;
	return true;
}

void l3_turn_resume(struct flow *f, const struct turn_resume *re, uint32_t seq)
{
	struct framer fr = { 0 };
	struct flow_turn *t;

	l3_turn_stop(f);
	f->framer_seq = seq;
	f->last_dir = FLOW_SERVER;
	if (f->policy != FLOW_POL_OPEN)
		return;
	framer_resume(&fr, re->how, re->body);
	if (re->server_spoke)
		framer_server(&fr, NULL, 0, 1); /* of what it said it need only know that it did */
	/* whether the response under way is whole, l7 does not tell */
	f->answers_lost = true;
	f->rest = framer_rest(&fr);
	if (f->rest)
		return;
	t = flow_turn_new(f);
	if (!t) {
		turn_no_memory(f);
		return;
	}
	t->framer = fr;
	t->answers.unknown = true;
}

static bool turn_is_held(const struct flow *f)
{
	return f->state == FLOW_ST_HELD && flow_hold(f)->why == HOLD_INSPECT;
}

/* A promotion that waited until the server owed nothing. */
static void turn_settled(struct flow *f)
{
	const struct flow_turn *t = flow_turn(f);

	if (t && turn_is_held(f) && framer_in_turn(&t->framer) && answers_settled(&t->answers))
		l3_turn_judge(f, false);
}

void l3_turn_server(struct flow *f, const struct seg *s, uint32_t nxt)
{
	struct flow_turn *t = flow_turn(f);
	struct str pl = seg_payload(s);
	uint32_t start = seg_data_seq(s), fresh = start + s->data_len - nxt, old = s->data_len - MIN(fresh, s->data_len);

	if (!t) {
		/* between turns it says what nobody asked for */
		if (f->rest) {
			f->rest |= FRAMER_REST_SPOKE;
			f->answers_lost = true;
		}
		return;
	}
	if (seq_gt(start, nxt) || old >= pl.n) { /* beyond a gap, or not copied */
		framer_server(&t->framer, NULL, 0, fresh);
		answers_skip(&t->answers, fresh);
	} else {
		framer_server(&t->framer, pl.p + old, pl.n - old, pl.n - old);
		answers_feed(&t->answers, pl.p + old, pl.n - old);
		answers_skip(&t->answers, s->data_len - pl.n);
	}
	turn_settled(f);
	turn_rest(f);
}

/* ---- letting a turn pass ---- */

/* Forwards the held packets that end at or below the framer's place. */
static void turn_release_fed(struct flow *f)
{
	struct visit v;
	struct held *h;

	while ((h = list_first(&flow_hold(f)->side[FLOW_CLIENT], struct held, node))) {
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
	struct hold *hold = flow_hold(f);
	struct held *h = hold ? list_first(&hold->side[FLOW_CLIENT], struct held, node) : NULL;
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
	if (!flow_turn(f) || (f->state == FLOW_ST_HELD && !turn_is_held(f)))
		return; /* decided, or border's */
	/* refused, dry run */
	l3_turn_stop(f);
	f->policy = FLOW_POL_NONE;
	if (turn_is_held(f)) {
		l3_unhold(f);
		hold_forward(f);
	}
}

/* Feeds what is held from the framer's place on. True: a turn begins at the new place, and something of it is here. */
static bool turn_feed(struct flow *f, struct str run)
{
	ssize_t off = framer_feed(&flow_turn(f)->framer, run.p, run.n);

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
	struct answers *a = &flow_turn(f)->answers;

	if (a->unknown && f->last_dir == FLOW_SERVER)
		answers_reset(a);
	return answers_settled(a);
}

enum turn_step { TURN_AGAIN, TURN_WAIT, TURN_DONE };

/* One turn of what is held. */
static enum turn_step turn_judge_one(struct flow *f, struct str run, bool final)
{
	struct http_hdr hdr[FRAMER_MAX_HDR];
	struct http_head head = { .hdr = hdr, .max_hdr = FRAMER_MAX_HDR };
	struct gateway_decision dec = { 0 };
	struct framer *fr = &flow_turn(f)->framer;
	enum framer_look look = framer_look(fr, run.p, run.n, &head);
	bool answered;

	final |= run.n >= f->gw->l3->inspect_max;
	if (look == FRAMER_MORE && !final && (!turn_blind(f, &dec) || l3_track_wants_requests(f)))
		return TURN_WAIT;
	if (look == FRAMER_MORE)
		framer_lose(fr, FRAMER_WHY_HELD);
	if (fr->state == FRAMER_ST_LOST) {
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
	if (!turn_is_held(f)) {
		if (dec.act != GATEWAY_ACT_PROMOTE) /* L7 does not count the request again */
			l3_track_turn_over(f);
		return TURN_DONE;
	}
	l3_track_turn_over(f);
	/* watch, or a promotion that was refused */
	narrow_data(f, FLOW_CLIENT);
	if (look == FRAMER_REQUEST)
		answers_asked(&flow_turn(f)->answers, head.meth);
	return turn_feed(f, run) ? TURN_AGAIN : TURN_WAIT;
}

/* Nothing is left to judge: what remains stands beyond a gap, or there is nothing. */
static void turn_settle(struct flow *f)
{
	if (flow_hold(f) && hold_empty(flow_hold(f))) {
		l3_unhold(f);
		hold_over(f);
	}
	turn_rest(f);
}

void l3_turn_judge(struct flow *f, bool final)
{
	struct framer *fr = &flow_turn(f)->framer; /* until the turn is DONE */
	enum turn_step step = TURN_AGAIN;
	struct str run;
	bool fin;

	while (step == TURN_AGAIN) {
		if (hold_payload(f, FLOW_CLIENT, f->framer_seq, &run, &fin) < 0) {
			l3_unsupported(f, "no-memory");
			framer_lose(fr, FRAMER_WHY_HELD);
			turn_give_up(f);
			return;
		}
		if (run.n == 0) {
			if (final && !hold_empty(flow_hold(f))) {
				framer_lose(fr, FRAMER_WHY_GAP);
				turn_give_up(f);
				return;
			}
			break;
		}
		if (fr->state == FRAMER_ST_LOST) {
			turn_give_up(f);
			return;
		}
		if (framer_in_turn(fr))
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

/* Could not be held: the turn is judged by what is there, and the packet follows what came out of it. Where turns are still
 * looked at, framing is lost with its bytes. */
static void turn_overflow(struct visit *v)
{
	struct flow *f = v->f;
	bool framing;

	l3_turn_judge(f, true);
	framing = turn_framing(f) && (f->state != FLOW_ST_HELD || turn_is_held(f));
	if (framing && seq_gt(seg_data_seq(&v->s) + v->s.data_len, f->framer_seq) && turn_wake(f)) {
		framer_lose(&flow_turn(f)->framer, FRAMER_WHY_HELD);
		turn_give_up(f);
	}
	if (flow_border(f) || f->policy == FLOW_POL_DROP)
		l3_drop(v);
	else
		l3_pass(v);
}

static void turn_hold(struct visit *v)
{
	struct flow *f = v->f;
	bool fresh = f->state != FLOW_ST_HELD, stuck;
	uint32_t count;
	int rc;

	seqtrk_hold(&f->trk, v->d, &v->s, flow_xlate(f));
	if (fresh) {
		if (hold_start(f, HOLD_INSPECT) < 0) {
			turn_no_memory(f);
			l3_pass(v);
			return;
		}
		flow_set_state(f, FLOW_ST_HELD);
		flow_set_timer(f, FLOW_TMR_INSPECT);
	}
	count = flow_hold(f)->count;
	rc = hold_add(v);
	if (rc < 0) {
		l3_unsupported(f, rc == -ENOMEM ? "no-memory" : NULL);
		turn_overflow(v);
		return;
	}
	/* one that repeats itself with a whole flight unacknowledged may not send more: no use in waiting for it */
	stuck = flow_hold(f)->count == count && count >= TURN_FLIGHT;
	l3_turn_judge(f, stuck);
}

/* In HELD: what continues or repeats the held data. False: an ACK, or below the cut. */
static bool turn_visit_held(struct visit *v)
{
	struct flow *f = v->f;
	uint32_t cut = turn_framing(f) ? f->framer_seq : f->trk.side[FLOW_CLIENT].nxt;
	enum seqtrk_where where = seqtrk_where(&v->s, cut);

	if (v->s.flags & (SEG_SYN | SEG_RST) || where == SEQTRK_BELOW ||
	    !seqtrk_acceptable(seqtrk_judge(&f->trk, v->d, &v->s, flow_xlate(f))))
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
	struct gateway_decision dec = { GATEWAY_ACT_PROMOTE, f->ext->frontend, f->ext->want_else };

	if (hold_start(f, HOLD_INSPECT) < 0)
		return false;
	flow_set_state(f, FLOW_ST_HELD);
	if (hold_add(v) < 0) {
		l3_unhold(f);
		hold_over(f);
		return false;
	}
	f->policy = FLOW_POL_OPEN;
	l3_decide(f, &dec);
	if (turn_is_held(f)) {
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
	struct flow_turn *t;
	ssize_t off;

	if (!turn_framing(f) && !turn_begin_framing(f, start))
		return false;
	if (seq_le(end, f->framer_seq))
		return false;
	if (end - f->framer_seq <= turn_blind_bytes(f)) {
		if (flow_turn(f))
			framer_feed(&flow_turn(f)->framer, NULL, end - f->framer_seq);
		f->framer_seq = end;
		turn_rest(f);
		return false;
	}
	t = turn_wake(f);
	if (!t)
		return false;
	if (seq_le(start, f->framer_seq) && !framer_in_turn(&t->framer)) {
		pl.p += f->framer_seq - start;
		pl.n -= MIN(pl.n, f->framer_seq - start);
		off = framer_feed(&t->framer, pl.p, pl.n);
		if (off >= 0)
			f->framer_seq += (uint32_t)off;
		if (off >= 0 && (size_t)off == pl.n && f->framer_seq == end) {
			turn_rest(f);
			return false;
		}
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
		l3_turn_stop(f);
		return false;
	}
	/* what is new to the framer need not be new to the tracker, whose edge an ACK may have moved */
	if (!seqtrk_acceptable(seqtrk_judge(&f->trk, v->d, &v->s, flow_xlate(f))))
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
