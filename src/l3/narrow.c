/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * narrow.c - what of a watched connection passes without being queued
 *
 * See the header for the model. The class is changed with verdicts, so the change takes effect with the packet that
 * causes it; narrow_off() asks the kernel's tracker, for when there is none. So does the beginning of a bulk, and when the
 * queue is empty: packets that pass would overtake those that wait there (a sender without SACK takes that for a loss).
 * What is on its way into the queue meanwhile is handled by what the record says, which is ahead of the class when
 * bulk begins, and behind it never: `seen` says client-data before the first packet passes unseen, and all again before
 * policy sees the client's next byte.
 */
#include "l3/narrow.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/worker.h"
#include "l3/ct.h"
#include "l3/l3.h"

#define NARROW_RUN (128U << 10)  /* bytes of the server in one go, until it is bulk */
#define NARROW_LEFT (128U << 10) /* bytes of a response still to come, for which it is worth it */

/* ---- classes ---- */

static bool narrow_may(const struct flow *f)
{
	const struct gateway_conf *c = f->gw->conf;

	return f->gw->l3->narrow && !c->steer_manual && !c->block && f->xlate_by == FLOW_XLATE_NONE && !flow_has_tos(f) &&
	       !f->recalled && !flow_border(f) && (f->policy == FLOW_POL_OPEN || f->policy == FLOW_POL_NONE) && (f->trk.f & SEQTRK_C_EST) &&
	       !(f->trk.f & SEQTRK_C_ADOPTED) && seqtrk_known(&f->trk);
}

void narrow_want(struct flow *f)
{
	if (narrow_may(f)) {
		f->want_class = MARK_LEAN;
		seqtrk_sparse(&f->trk);
	} else {
		f->want_class = f->gw->conf->block ? MARK_HARD : MARK_OURS;
	}
}

bool narrow_is(const struct flow *f)
{
	return f->mark_class & f->want_class & MARK_NARROW;
}

/* ---- into bulk ---- */

/* How much the server has sent since the client spoke last. Of a lean connection no other ACK of its is known. */
static uint32_t narrow_run(const struct flow *f)
{
	const struct seqtrk_side *cli = &f->trk.side[FLOW_CLIENT], *srv = &f->trk.side[FLOW_SERVER];

	return cli->f & SEQTRK_F_ACK ? srv->nxt - cli->ack : 0;
}

/* What is no HTTP may go both ways at once. Then a window full of the server's bytes is under way whenever the client speaks, and
 * a bulk would begin and end with each of its segments, and each time packets that pass overtake those in the queue. */
static bool narrow_is_one_way(const struct flow *f)
{
	return narrow_run(f) >= NARROW_RUN + f->trk.side[FLOW_CLIENT].max_win;
}

/* Does the client's next payload begin a turn, whatever the server sends until then? */
static bool narrow_is_bulk(const struct flow *f)
{
	const struct flow_turn *t = flow_turn(f);
	const struct answers *a;

	if (!t)
		return narrow_is_one_way(f) && (f->rest ? (f->rest & 3) != FRAMER_REST_START : !l3_turn_wanted(f));
	a = &t->answers;
	if (t->framer.state != FRAMER_ST_IDLE || a->unknown || a->owed != 1 || !a->in_body)
		return false;
	return a->body.kind == H1_BODY_CLOSE || (a->body.kind == H1_BODY_LENGTH && a->body.left >= NARROW_LEFT);
}

static bool narrow_may_begin(const struct flow *f)
{
	return !f->dead && f->state == FLOW_ST_WATCHED && f->seen == FLOW_SEEN_ALL && f->mark_class == MARK_LEAN &&
	       f->want_class == MARK_LEAN && !f->renewed && !flow_hold(f) && narrow_run(f) >= NARROW_RUN && narrow_is_bulk(f);
}

void narrow_data(struct flow *f, int d)
{
	struct l3 *l3 = f->gw->l3;

	if (f->want_class == MARK_OURS)
		narrow_want(f);
	if (d == FLOW_CLIENT || !narrow_may_begin(f))
		return;
	if (l3->nb_bulk < ARRAY_SIZE(l3->bulk) && (!l3->nb_bulk || l3->bulk[l3->nb_bulk - 1] != f->id))
		l3->bulk[l3->nb_bulk++] = f->id; /* no room: with another packet */
}

static void narrow_begin(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;

	/* without a tracker to ask (a test) the next verdict says it */
	if (l3->ct && ct_set_mark(l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], mark_bits(l3->mark_mask, MARK_BULK),
				  l3->mark_mask) < 0)
		return;
	trace_step(f, "bulk: of the server's packets none is needed");
	f->seen = FLOW_SEEN_CLIENT_DATA;
	f->want_class = MARK_BULK;
	if (l3->ct)
		f->mark_class = MARK_BULK;
	flow_set_timer(f, FLOW_TMR_OFFLOAD); /* it is quiet for us, and ends as an offloaded one may: unseen */
}

void narrow_batch_end(struct pktq *q, bool drained)
{
	struct gateway *gw = q->owner;
	struct l3 *l3 = gw->l3;
	unsigned i, n = 0;

	if (!l3->nb_bulk || !drained || !pktq_dry(q))
		return;
	for (i = 0; i < l3->nb_bulk; i++) {
		struct flow *f = flow_by_id(&l3->flows, l3->bulk[i]);

		if (f && flow_queue(f) != q)
			l3->bulk[n++] = l3->bulk[i];
		else if (f && narrow_may_begin(f))
			narrow_begin(f);
	}
	l3->nb_bulk = n;
}

/* ---- out of it ---- */

/* What is left of the response under way, where it has a length; else 0. */
static uint64_t narrow_left(const struct flow *f)
{
	const struct flow_turn *t = flow_turn(f);

	return t && !t->answers.unknown && t->answers.in_body && t->answers.body.kind == H1_BODY_LENGTH ? t->answers.body.left : 0;
}

/* <n> of the server's bytes passed unseen. True: all of the response. */
static bool narrow_passed(struct flow *f, uint64_t n)
{
	uint64_t left = narrow_left(f);

	f->bytes[FLOW_SERVER] += n;
	if (left > INT32_MAX && n != left)
		answers_lose(&flow_turn(f)->answers); /* how often the number went round, nobody saw */
	else if (left)
		answers_skip(&flow_turn(f)->answers, n);
	return left && n == left;
}

/* The server has sent up to <edge>, and perhaps more. True: no more. */
static bool narrow_missed(struct flow *f, uint32_t edge)
{
	uint32_t nxt = f->trk.side[FLOW_SERVER].nxt;
	uint64_t left = narrow_left(f), n = edge - nxt;
	bool all;

	if (left && (uint32_t)left == n) {
		n = left; /* just the end of the response, however long it was */
	} else {
		edge = seq_max(edge, nxt); /* what the client says may be older than what was queued before the bulk */
		n = edge - nxt;
	}
	all = narrow_passed(f, n);
	trace_step(f, "bulk is over: %" PRIu64 " bytes passed%s", n, all ? ", all that were due" : "");
	f->seen = FLOW_SEEN_ALL;
	f->last_dir = FLOW_SERVER;
	seqtrk_missed(&f->trk, FLOW_SERVER, edge, all);
	flow_set_timer(f, FLOW_TMR_IDLE);
	return all;
}

void narrow_off(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;
	struct pktq *q = flow_queue(f);

	if (f->seen == FLOW_SEEN_CLIENT_DATA)
		narrow_missed(f, f->trk.side[FLOW_SERVER].nxt);
	if (!((f->mark_class | f->want_class) & MARK_NARROW))
		return;
	f->want_class = MARK_OURS;
	/* a verdict that waits to be sent may say the class from before */
	if (q && f->verdict_flush == (uint32_t)q->flushes)
		pktq_flush(q);
	/* one that the tracker does not know is queued as new */
	if (l3->ct && ct_set_mark(l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], mark_bits(l3->mark_mask, MARK_OURS),
				  l3->mark_mask) == 0)
		f->mark_class = MARK_OURS;
}

/* Would the server take it, as far as that can be told? What it acknowledges is not known here. */
static bool narrow_believes(const struct visit *v)
{
	struct seqtrk t = v->f->trk;

	seqtrk_missed(&t, FLOW_SERVER, v->s.ack, false);
	return seqtrk_acceptable(seqtrk_judge(&t, v->d, &v->s, NULL));
}

bool narrow_visit(struct visit *v)
{
	struct flow *f = v->f;
	uint32_t edge = f->trk.side[FLOW_SERVER].nxt;

	if (v->p->hook == PKTQ_HOOK_FORWARD) {
		/* the kernel's tracker forgot it */
	} else if (v->d == FLOW_SERVER) {
		if (v->s.flags & SEG_RST) {
			if (!offload_reset(f)) {
				l3_reset_unjudged(v);
				return true;
			}
			narrow_missed(f, edge);
			return false;
		}
		if (!(v->s.flags & SEG_FIN)) {
			f->bytes[FLOW_SERVER] -= v->s.data_len; /* with all that passed */
			l3_forward(v);
			return true;
		}
		edge = v->s.seq;
	} else if (seg_is_pure_ack(&v->s) || v->s.flags & SEG_SYN) {
		l3_forward(v); /* the server answers a SYN by an ACK (RFC 5961 4); a new connection begins after FINs or a RST */
		return true;
	} else if (!narrow_believes(v)) {
		v->l3->forged++;
		l3_forward(v);
		return true;
	} else if (v->s.flags & SEG_ACK) {
		edge = v->s.ack;
	}
	if (narrow_missed(f, edge))
		narrow_want(f);
	else
		narrow_off(f);
	return false;
}

/* ---- idle ---- */

static uint32_t narrow_sysctl(const char *path, uint32_t otherwise)
{
	char text[24] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

/* How long ago the tracker saw a packet. An entry's time begins anew with each one; it is shorter while data is
 * unacknowledged (nf_conntrack_tcp_packet() in net/netfilter/nf_conntrack_proto_tcp.c). */
static uint32_t narrow_silent_s(const struct ct_entry *e)
{
	uint32_t full = narrow_sysctl("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", 432000),
		 unacked = narrow_sysctl("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_unacknowledged", 300);

	if (e->timeout_s <= unacked && unacked < full)
		full = unacked;
	return full > e->timeout_s ? full - e->timeout_s : 0;
}

bool narrow_idle(struct flow *f)
{
	struct l3 *l3 = f->gw->l3;
	struct ct_entry e;

	if (!narrow_is(f) || !l3->ct || ct_get(l3->ct, &f->side[FLOW_CLIENT], &f->side[FLOW_SERVER], &e) < 0 ||
	    e.tcp_state != TCP_CONNTRACK_ESTABLISHED)
		return true;
	return (uint64_t)narrow_silent_s(&e) * 1000 >= gateway_timeout(f->gw, FLOW_TMR_IDLE);
}
