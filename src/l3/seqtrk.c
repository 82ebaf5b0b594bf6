/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seqtrk.c - follow both directions of a TCP connection from the middle
 *
 * The tracker stands between the ends and sees each segment before its receiver
 * does. So of a sender S and a receiver R it knows:
 *
 *   R.ack <= R's rcv_nxt <= S.nxt     R cannot have more than passed here
 *   R.right                           S cannot have been promised more: every window passed here
 *   S.ack <= S's rcv_nxt, and R's snd_una <= S.ack
 *
 * A segment of S is judged as R would (RFC 9293 3.10.7.4 with RFC 5961; R.ack is
 * what Linux calls rcv_wup):
 *
 *   end < R.ack                 OLD: R drops it and repeats its ACK
 *   seq > R.right               BAD_SEQ: beyond the window
 *   ack > R.nxt                 BAD_ACK: R never sent that
 *   ack < S.ack - S.max_win     CHALLENGE: too old to be heard
 *   else                        OK
 *
 * In doubt the edge goes up: nxt must cover all that R may have accepted, for a
 * cut below it would double bytes, and one above only waits for an ACK that
 * comes. So a probe beyond a closed window counts.
 *
 * A RST ends the record only where R would obey: at R.ack or at S.nxt (between
 * the two R cannot be told apart, but S sends no other). In the window, it is a
 * challenge: if the RST was real, another one with the right number follows.
 *
 * Handshake. SYNs may be repeated with fewer options (the server answers the one
 * that reached it), so the client's are ORed and the SYN-ACK decides. SYN-ACKs may
 * be repeated with another ISN (SYN cookies); the client's ACK tells which one it
 * took. Both ends may send SYNs (simultaneous open). Data in a SYN counts.
 *
 * Learning (no handshake seen, or recalled from the kernel): the first segment of
 * a direction is believed; if the second direction contradicts it, the second is
 * believed and the first must come again. Acknowledgements then raise the edge, selective
 * ones too, up to the window.
 */
#include "l3/seqtrk.h"

#include "l3/seg.h"
#include "l3/xlate.h"

#define SEQTRK_MSS_V4 536 /* RFC 9293 3.7.1 */
#define SEQTRK_MSS_V6 1220
#define SEQTRK_AGREE \
	(1u << 30) /* largest window: two directions learnt further apart contradict each other */

const char *const seqtrk_res_name[SEQTRK_RES_COUNT] = {
	[SEQTRK_OK] = "ok",
	[SEQTRK_SYN] = "syn",
	[SEQTRK_RESET] = "reset",
	[SEQTRK_OLD] = "old",
	[SEQTRK_CHALLENGE] = "challenge",
	[SEQTRK_NEW_SYN] = "new-syn",
	[SEQTRK_BAD_SEQ] = "bad-seq",
	[SEQTRK_BAD_ACK] = "bad-ack",
	[SEQTRK_BAD_FLAGS] = "bad-flags",
	[SEQTRK_UNKNOWN] = "unknown",
};

/* a segment in the tracker's numbers: seq its sender's, ack the peer's own */
struct seqtrk_view {
	uint32_t seq, end, ack, win; /* win in bytes */
	uint8_t flags;
};

static struct seqtrk_view seqtrk_view(const struct seqtrk *t, int d, const struct seg *s,
				      const struct xlate *x)
{
	bool scaled = (t->f & SEQTRK_C_WS) && !(s->flags & SEG_SYN);

	return (struct seqtrk_view){
		.seq = s->seq,
		.end = seg_end(s),
		.ack = xlate_ack(x, d, s->ack),
		.win = (uint32_t)s->win << (scaled ? t->side[d].wscale : 0),
		.flags = s->flags,
	};
}

static bool seqtrk_has(const struct seqtrk_side *side, uint8_t f)
{
	return (side->f & f) == f;
}

/* ---- moving ---- */

static void seqtrk_move_nxt(struct seqtrk_side *S, uint32_t end)
{
	S->nxt = S->f & SEQTRK_F_NXT ? seq_max(S->nxt, end) : end;
	S->f |= SEQTRK_F_NXT;
}

/* RFC 9293 3.10.7.4: the newer segment's window counts; with equal numbers a larger one does */
static void seqtrk_move_ack(struct seqtrk_side *S, const struct seqtrk_view *v, bool told)
{
	bool first = !(S->f & SEQTRK_F_ACK);

	if (first || seq_gt(v->ack, S->ack) || (v->ack == S->ack && seq_gt(v->seq, S->wl1)) ||
	    (v->ack == S->ack && v->seq == S->wl1 && (v->win > S->win || v->win == 0))) {
		S->win = v->win;
		S->wl1 = v->seq;
		if (told || first)
			S->told = told ? v->ack + v->win : v->ack;
	}
	S->ack = first ? v->ack : seq_max(S->ack, v->ack);
	S->right = first ? v->ack + v->win : seq_max(S->right, v->ack + v->win);
	S->max_win = MAX(S->max_win, v->win);
	S->f |= SEQTRK_F_ACK;
}

static void seqtrk_move_ts(struct seqtrk_side *S, const struct seg *s)
{
	if (!(s->opts & SEG_OPT_TS))
		return;
	S->tsval = S->f & SEQTRK_F_TSVAL ? seq_max(S->tsval, s->tsval) : s->tsval;
	S->f |= SEQTRK_F_TSVAL;
}

/* S echoes the newest TSval that it has of R (RFC 7323 4.3), perhaps one that passed unseen: what is said in R's name must not
 * be older. */
static void seqtrk_move_echo(struct seqtrk *t, int d, const struct seg *s)
{
	struct seqtrk_side *R = &t->side[!d];

	if ((t->f & SEQTRK_C_SPARSE) && (s->opts & SEG_OPT_TS) && (R->f & SEQTRK_F_TSVAL))
		R->tsval = seq_max(R->tsval, s->tsecr);
}

/* ---- handshake ---- */

static uint16_t seqtrk_mss(const struct seqtrk *t)
{
	return t->f & SEQTRK_C_V6 ? SEQTRK_MSS_V6 : SEQTRK_MSS_V4;
}

static void seqtrk_signed(struct seqtrk *t, const struct seg *s)
{
	t->f |= s->opts & SEG_OPT_MD5 ? SEQTRK_C_MD5 : 0;
	t->f |= s->opts & SEG_OPT_AO ? SEQTRK_C_AO : 0;
}

static void seqtrk_syn_options(struct seqtrk *t, int d, const struct seg *s)
{
	struct seqtrk_side *S = &t->side[d];
	uint16_t mss = s->opts & SEG_OPT_MSS && s->mss ? s->mss : seqtrk_mss(t);

	S->mss = S->f & SEQTRK_F_SYN ? MIN(S->mss, mss) : mss;
	if (s->opts & SEG_OPT_WS) {
		S->wscale = s->wscale;
		S->f |= SEQTRK_F_WS;
	}
	if (s->opts & SEG_OPT_SACKP)
		S->f |= SEQTRK_F_SACK;
	if (s->opts & SEG_OPT_TS)
		S->f |= SEQTRK_F_TS;
	seqtrk_signed(t, s);
	if ((s->opts & SEG_OPT_TFO) || s->data_len)
		t->f |= SEQTRK_C_TFO;
	if (s->opts & SEG_OPT_MPTCP)
		t->f |= d == 0 ? SEQTRK_C_MPASK : t->f & SEQTRK_C_MPASK ? SEQTRK_C_MPTCP : 0;
}

static void seqtrk_agree(struct seqtrk *t)
{
	uint8_t both = t->side[0].f & t->side[1].f;

	t->f &= ~(uint32_t)(SEQTRK_C_WS | SEQTRK_C_SACK | SEQTRK_C_TS);
	t->f |= both & SEQTRK_F_WS ? SEQTRK_C_WS : 0;
	t->f |= both & SEQTRK_F_SACK ? SEQTRK_C_SACK : 0;
	t->f |= both & SEQTRK_F_TS ? SEQTRK_C_TS : 0;
}

/* A SYN says how much its sender takes before it has acknowledged anything: what the peer may send is
 * known as soon as the peer's ISN is. */
static void seqtrk_open_window(struct seqtrk_side *S, const struct seqtrk_side *peer)
{
	if (S->f & SEQTRK_F_ACK || !(S->f & SEQTRK_F_SYN) || !(peer->f & SEQTRK_F_SYN))
		return;
	S->ack = peer->isn;
	S->wl1 = S->isn;
	S->right = S->told = peer->isn + 1 + S->win;
	S->f |= SEQTRK_F_ACK;
}

static void seqtrk_take_syn(struct seqtrk *t, int d, const struct seg *s, const struct seqtrk_view *v)
{
	struct seqtrk_side *S = &t->side[d], *R = &t->side[!d];

	if ((S->f & SEQTRK_F_SYN) && S->isn != v->seq) { /* another SYN cookie */
		S->f = 0;
		R->f &= (uint8_t)~SEQTRK_F_ACK;
		t->f |= SEQTRK_C_ISNS;
	}
	seqtrk_syn_options(t, d, s);
	if (!(S->f & SEQTRK_F_SYN)) {
		S->isn = v->seq;
		S->win = S->max_win = v->win;
	}
	S->f |= SEQTRK_F_SYN;
	seqtrk_move_nxt(S, v->end);
	seqtrk_move_ts(S, s);
	if (v->flags & SEG_ACK) {
		seqtrk_move_ack(S, v, true);
		t->f |= SEQTRK_C_SYNACK;
	}
	seqtrk_open_window(S, R);
	seqtrk_open_window(R, S);
	if (R->f & SEQTRK_F_SYN)
		seqtrk_agree(t);
}

static enum seqtrk_res seqtrk_judge_syn(const struct seqtrk *t, int d, const struct seqtrk_view *v)
{
	const struct seqtrk_side *S = &t->side[d], *R = &t->side[!d];
	bool over = (t->f & SEQTRK_C_RST) || (S->f & R->f & SEQTRK_F_FIN);

	if (v->flags & (SEG_FIN | SEG_RST))
		return SEQTRK_BAD_FLAGS;
	if ((v->flags & SEG_ACK) && !(R->f & SEQTRK_F_SYN))
		return SEQTRK_UNKNOWN;
	if (v->flags & SEG_ACK && !(t->f & SEQTRK_C_EST) &&
	    !(seq_gt(v->ack, R->isn) && seq_le(v->ack, R->nxt)))
		return SEQTRK_BAD_ACK;
	if (!(S->f & SEQTRK_F_SYN))
		return t->f & SEQTRK_C_LEARNT ? SEQTRK_UNKNOWN : SEQTRK_SYN;
	if (v->seq == S->isn && !over)
		return SEQTRK_SYN;
	if (v->flags & SEG_ACK)
		return t->f & SEQTRK_C_EST ? SEQTRK_CHALLENGE : SEQTRK_SYN;
	if (over || !(t->f & SEQTRK_C_SYNACK))
		return SEQTRK_NEW_SYN;
	return SEQTRK_CHALLENGE;
}

/* ---- judging ---- */

static enum seqtrk_res seqtrk_judge_rst(const struct seqtrk *t, int d, const struct seqtrk_view *v)
{
	const struct seqtrk_side *S = &t->side[d], *R = &t->side[!d];

	/* who has sent only a SYN takes a RST by its ACK (RFC 9293 3.10.7.3) */
	if (!(t->f & (SEQTRK_C_SYNACK | SEQTRK_C_LEARNT)) && d == 1)
		return v->flags & SEG_ACK && seq_gt(v->ack, R->isn) && seq_le(v->ack, R->nxt)
			   ? SEQTRK_RESET
			   : SEQTRK_BAD_ACK;
	if (!(S->f & SEQTRK_F_NXT))
		return SEQTRK_UNKNOWN;
	if (v->seq == S->nxt || ((R->f & SEQTRK_F_ACK) && v->seq == R->ack))
		return SEQTRK_RESET;
	if (!(R->f & SEQTRK_F_ACK))
		return SEQTRK_UNKNOWN;
	return seq_ge(v->seq, R->ack) && seq_le(v->seq, R->right) ? SEQTRK_CHALLENGE : SEQTRK_BAD_SEQ;
}

/* May <ack> of S stand? What R sent is below R.nxt - or, where edges were learnt, below what S allowed. */
static enum seqtrk_res seqtrk_judge_ack(const struct seqtrk *t, int d, const struct seqtrk_view *v)
{
	const struct seqtrk_side *S = &t->side[d], *R = &t->side[!d];

	if (R->f & SEQTRK_F_NXT && seq_gt(v->ack, R->nxt)) {
		if ((t->f & SEQTRK_C_LEARNT) && (!(S->f & SEQTRK_F_ACK) || seq_le(v->ack, S->right)))
			return SEQTRK_OK;
		if ((t->f & (SEQTRK_C_ISNS | SEQTRK_C_EST)) == SEQTRK_C_ISNS)
			return SEQTRK_OK;
		return SEQTRK_BAD_ACK;
	}
	if (S->f & SEQTRK_F_ACK && seq_lt(v->ack, S->ack - S->max_win)) {
		if ((t->f & (SEQTRK_C_ISNS | SEQTRK_C_EST)) == SEQTRK_C_ISNS)
			return SEQTRK_OK;
		return SEQTRK_CHALLENGE;
	}
	return SEQTRK_OK;
}

/* The highest number that R has promised to take, as far as anybody can know. Where its pure ACKs are not seen it may have
 * acknowledged all that passed here, and offered the largest window that it can. */
static uint32_t seqtrk_right(const struct seqtrk *t, int R)
{
	const struct seqtrk_side *r = &t->side[R], *s = &t->side[!R];
	uint32_t most = (uint32_t)UINT16_MAX << (t->f & SEQTRK_C_WS ? r->wscale : 0);

	return (t->f & SEQTRK_C_SPARSE) && (s->f & SEQTRK_F_NXT) ? seq_max(r->right, s->nxt + most) : r->right;
}

static enum seqtrk_res seqtrk_judge_view(const struct seqtrk *t, int d, const struct seqtrk_view *v)
{
	const struct seqtrk_side *R = &t->side[!d];

	if (v->flags & SEG_SYN)
		return seqtrk_judge_syn(t, d, v);
	if (v->flags & SEG_RST)
		return seqtrk_judge_rst(t, d, v);
	if (!(v->flags & SEG_ACK))
		return SEQTRK_BAD_FLAGS;
	if (R->f & SEQTRK_F_ACK) {
		if (seq_gt(v->seq, seqtrk_right(t, !d)))
			return SEQTRK_BAD_SEQ;
		if (seq_lt(v->end, R->ack))
			return seq_lt(v->end, R->ack - MAX(R->max_win, UINT16_MAX)) ? SEQTRK_BAD_SEQ
										    : SEQTRK_OLD;
	} else if (!(t->f & SEQTRK_C_LEARNT)) {
		return SEQTRK_UNKNOWN; /* data before any answer */
	}
	return seqtrk_judge_ack(t, d, v);
}

enum seqtrk_res seqtrk_judge(const struct seqtrk *t, int d, const struct seg *s, const struct xlate *x)
{
	struct seqtrk_view v = seqtrk_view(t, d, s, x);

	return seqtrk_judge_view(t, d, &v);
}

/* ---- seeing ---- */

/* Two directions learnt apart must fit: what S acknowledges is about what R sent. */
static void seqtrk_reconcile(struct seqtrk *t, int d)
{
	struct seqtrk_side *S = &t->side[d], *R = &t->side[!d];

	if (R->f & SEQTRK_F_NXT) {
		if (seq_gt(S->ack, R->nxt))
			R->nxt = S->ack; /* it was let through unseen */
		else if (R->nxt - S->ack > SEQTRK_AGREE)
			R->f &= (uint8_t) ~(SEQTRK_F_NXT | SEQTRK_F_ACK);
	}
	if (R->f & SEQTRK_F_ACK && seq_gt(R->ack, S->nxt))
		S->nxt = R->ack;
}

/* What S has, out of order, passed before, be it unseen. */
static void seqtrk_learn_sacks(struct seqtrk *t, int d, const struct seg *s, const struct xlate *x)
{
	struct seqtrk_side *S = &t->side[d], *R = &t->side[!d];
	uint32_t left, right;
	unsigned i;

	for (i = 0; i < s->nb_sack && (R->f & SEQTRK_F_NXT); i++) {
		seg_sack(s, i, &left, &right);
		right = xlate_ack(x, d, right);
		if (seq_gt(right, R->nxt) && seq_le(right, S->right))
			R->nxt = right;
	}
}

/* A first segment of a direction while learning contradicts the other direction? Then it wins. */
static void seqtrk_learn(struct seqtrk *t, int d, const struct seqtrk_view *v)
{
	struct seqtrk_side *S = &t->side[d], *R = &t->side[!d];

	if (!(t->f & SEQTRK_C_LEARNT) || seqtrk_has(S, SEQTRK_F_NXT | SEQTRK_F_ACK) ||
	    !seqtrk_has(R, SEQTRK_F_NXT | SEQTRK_F_ACK) || !(v->flags & SEG_ACK) ||
	    v->flags & (SEG_SYN | SEG_RST))
		return;
	if (v->ack - (R->nxt - SEQTRK_AGREE) > 2 * SEQTRK_AGREE ||
	    v->end - (R->ack - SEQTRK_AGREE) > 2 * SEQTRK_AGREE)
		R->f &= (uint8_t) ~(SEQTRK_F_NXT | SEQTRK_F_ACK);
}

/* The client's first ACK after SYN-ACKs with different ISNs says which one it took. */
static void seqtrk_choose_isn(struct seqtrk *t, const struct seqtrk_view *v)
{
	struct seqtrk_side *server = &t->side[1];

	t->f &= ~(uint32_t)SEQTRK_C_ISNS;
	if (server->isn + 1 == v->ack)
		return;
	server->isn = v->ack - 1;
	server->nxt = v->ack;
	server->wl1 = server->isn;
	t->side[0].f &= (uint8_t)~SEQTRK_F_ACK;
	seqtrk_open_window(&t->side[0], server);
}

/* In mid-flow options tell what no handshake did: each segment has them (RFC 7323 3.2, 2385, 5925, 8684 3.3). */
static void seqtrk_learn_options(struct seqtrk *t, const struct seg *s)
{
	seqtrk_signed(t, s);
	if (s->opts & SEG_OPT_MPTCP)
		t->f |= SEQTRK_C_MPTCP;
	if ((t->f & SEQTRK_C_ADOPTED) && (t->side[0].f & t->side[1].f & SEQTRK_F_TSVAL))
		t->f |= SEQTRK_C_TS;
}

static void seqtrk_take(struct seqtrk *t, int d, const struct seg *s, const struct seqtrk_view *v, const struct xlate *x,
			bool held)
{
	struct seqtrk_side *S = &t->side[d];

	if (d == 0 && (t->f & SEQTRK_C_SYNACK) && !(t->f & SEQTRK_C_EST)) {
		if (t->f & SEQTRK_C_ISNS)
			seqtrk_choose_isn(t, v);
		if (seq_gt(v->ack, t->side[1].isn))
			t->f |= SEQTRK_C_EST;
	}
	if (!held) {
		seqtrk_move_nxt(S, v->end);
		if (v->flags & SEG_FIN)
			S->f |= SEQTRK_F_FIN;
	} else if (!(S->f & SEQTRK_F_NXT)) {
		seqtrk_move_nxt(S, v->seq); /* learning: it was not let through, what is below was */
	}
	if (s->flags & SEG_URG && s->urp)
		t->f |= SEQTRK_C_URG;
	seqtrk_move_ack(S, v, !held || v->end == v->seq); /* pure ACKs are not held */
	seqtrk_move_ts(S, s);
	seqtrk_move_echo(t, d, s);
	if (t->f & SEQTRK_C_LEARNT) {
		seqtrk_reconcile(t, d);
		seqtrk_learn_sacks(t, d, s, x);
		seqtrk_learn_options(t, s);
	}
}

static enum seqtrk_res seqtrk_input(struct seqtrk *t, int d, const struct seg *s, const struct xlate *x,
				    bool held)
{
	struct seqtrk_view v = seqtrk_view(t, d, s, x);
	enum seqtrk_res res;

	seqtrk_learn(t, d, &v);
	res = seqtrk_judge_view(t, d, &v);
	if (res == SEQTRK_OK)
		seqtrk_take(t, d, s, &v, x, held);
	else if (res == SEQTRK_SYN && !(t->f & SEQTRK_C_EST))
		seqtrk_take_syn(t, d, s, &v);
	else if (res == SEQTRK_RESET)
		t->f |= SEQTRK_C_RST;
	return res;
}

enum seqtrk_res seqtrk_see(struct seqtrk *t, int d, const struct seg *s, const struct xlate *x)
{
	return seqtrk_input(t, d, s, x, false);
}

enum seqtrk_res seqtrk_hold(struct seqtrk *t, int d, const struct seg *s, const struct xlate *x)
{
	return seqtrk_input(t, d, s, x, true);
}

void seqtrk_init(struct seqtrk *t, const struct seg *syn)
{
	struct seqtrk_view v;

	*t = (struct seqtrk){ .f = syn->src.family == AF_INET6 ? SEQTRK_C_V6 : 0 };
	v = seqtrk_view(t, 0, syn, NULL);
	seqtrk_take_syn(t, 0, syn, &v);
}

void seqtrk_init_blind(struct seqtrk *t, bool v6)
{
	*t = (struct seqtrk){ .f = v6 ? SEQTRK_C_LEARNT | SEQTRK_C_V6 : SEQTRK_C_LEARNT };
}

void seqtrk_adopt(struct seqtrk *t, const struct seqtrk_agreed *a)
{
	for (int d = 0; d < 2; d++) {
		struct seqtrk_side *S = &t->side[d];

		if (!(S->f & SEQTRK_F_SYN))
			S->mss = seqtrk_mss(t);
		S->wscale = a->wscale[d];
		S->f &= (uint8_t)~SEQTRK_F_TSVAL;
	}
	/* asked for, and the answer was not seen */
	if ((t->f & (SEQTRK_C_MPASK | SEQTRK_C_SYNACK)) == SEQTRK_C_MPASK)
		t->f |= SEQTRK_C_MPTCP;
	t->f &= ~(uint32_t)(SEQTRK_C_WS | SEQTRK_C_SACK | SEQTRK_C_TS);
	t->f |= a->ws ? SEQTRK_C_WS : 0;
	t->f |= a->sack ? SEQTRK_C_SACK : 0;
	t->f |= SEQTRK_C_ADOPTED | SEQTRK_C_LEARNT | SEQTRK_C_SYNACK | SEQTRK_C_EST;
}

void seqtrk_relearn(struct seqtrk *t)
{
	for (int d = 0; d < 2; d++)
		t->side[d].f &= (uint8_t) ~(SEQTRK_F_NXT | SEQTRK_F_ACK);
	t->f = (t->f & ~(uint32_t)SEQTRK_C_SPARSE) | SEQTRK_C_LEARNT;
}

void seqtrk_sparse(struct seqtrk *t)
{
	t->f |= SEQTRK_C_SPARSE;
}

void seqtrk_missed(struct seqtrk *t, int d, uint32_t edge, bool all)
{
	struct seqtrk_side *S = &t->side[d], *R = &t->side[!d];

	S->nxt = edge;
	if (all) {
		/* what R has said of it is not known, but that is not older than a window; in numbers that can be compared */
		R->ack = edge - SEQTRK_AGREE;
		R->right = R->told = edge + R->win;
		return;
	}
	S->f &= (uint8_t)~SEQTRK_F_NXT;
	R->f &= (uint8_t)~SEQTRK_F_ACK;
	t->f |= SEQTRK_C_LEARNT;
}

bool seqtrk_known(const struct seqtrk *t)
{
	return seqtrk_has(&t->side[0], SEQTRK_F_NXT | SEQTRK_F_ACK) &&
	       seqtrk_has(&t->side[1], SEQTRK_F_NXT | SEQTRK_F_ACK);
}

void seqtrk_set(struct seqtrk *t, const uint32_t nxt[2], const uint32_t win[2], const uint32_t told[2])
{
	for (int d = 0; d < 2; d++) {
		struct seqtrk_side *S = &t->side[d];

		S->nxt = nxt[d];
		S->ack = nxt[!d];
		S->win = win[d];
		S->wl1 = nxt[d];
		S->right = nxt[!d] + win[d];
		S->told = nxt[!d] + told[d];
		S->max_win = MAX(S->max_win, win[d]);
		S->f |= SEQTRK_F_NXT | SEQTRK_F_ACK;
	}
	t->f &= ~(uint32_t)(SEQTRK_C_LEARNT | SEQTRK_C_SPARSE);
}

/* ---- questions ---- */

enum seqtrk_where seqtrk_where(const struct seg *s, uint32_t cut)
{
	if (seg_seq_len(s) == 0 || seq_le(seg_end(s), cut))
		return SEQTRK_BELOW;
	return seq_ge(s->seq, cut) ? SEQTRK_BEYOND : SEQTRK_STRADDLES;
}

bool seqtrk_acked(const struct seqtrk *t, int d, uint32_t cut)
{
	const struct seqtrk_side *peer = &t->side[!d];

	return (peer->f & SEQTRK_F_ACK) && seq_ge(peer->ack, cut);
}

bool seqtrk_in_flight(const struct seqtrk *t, int d)
{
	return !(t->side[d].f & SEQTRK_F_NXT) || !seqtrk_acked(t, d, t->side[d].nxt);
}

const char *seqtrk_unsupported(const struct seqtrk *t)
{
	return t->f & SEQTRK_C_MPTCP ? "mptcp" : t->f & SEQTRK_C_MD5 ? "md5" : t->f & SEQTRK_C_AO ? "ao" :
	       t->f & SEQTRK_C_URG   ? "urgent" : NULL;
}

const char *seqtrk_refusal(const struct seqtrk *t)
{
	const char *why;

	if (t->f & SEQTRK_C_RST)
		return "rst";
	if (!(t->side[0].f & SEQTRK_F_SYN) && !(t->f & SEQTRK_C_ADOPTED))
		return "no-syn";
	if (!(t->f & SEQTRK_C_EST))
		return "opening";
	why = seqtrk_unsupported(t);
	if (why)
		return why;
	if ((t->side[0].f | t->side[1].f) & SEQTRK_F_FIN)
		return "fin";
	return seqtrk_known(t) || (t->side[0].f & t->side[1].f & SEQTRK_F_SYN) ? NULL : "unknown";
}

/* ---- repair ---- */

void seqtrk_repair(const struct seqtrk *t, int as, const struct xlate *x, struct seqtrk_repair *out)
{
	const struct seqtrk_side *own = &t->side[as], *peer = &t->side[!as];
	uint32_t tsval = xlate_tsval(x, as, own->tsval);

	*out = (struct seqtrk_repair){
		.snd_seq = xlate_seq(x, as, own->nxt),
		.rcv_seq = peer->nxt,
		.mss = peer->mss,
		.ws = t->f & SEQTRK_C_WS,
		.sack = t->f & SEQTRK_C_SACK,
		.ts = t->f & SEQTRK_C_TS,
		.snd_wl1 = peer->nxt - 1,
		.snd_wnd = peer->win,
		.max_window = MAX(peer->max_win, peer->win),
		.rcv_wnd = seq_gt(own->right, peer->nxt) ? own->right - peer->nxt : 0,
		.rcv_wup = peer->nxt,
		.told_wnd = seq_gt(own->told, peer->nxt) ? own->told - peer->nxt : 0,
		.ts_recent = peer->tsval,
	};
	if (out->ws) {
		out->wscale_peer = peer->wscale;
		out->wscale_own = own->wscale;
	}
	if (out->ts)
		out->tsval = (tsval + 1) & ~1u; /* odd would mean microseconds (FACTS §1) */
}
