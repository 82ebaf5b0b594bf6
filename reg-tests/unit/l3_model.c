/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3_model.c - the tracker and the translation against slow models with random segments
 *
 * The tracker: two ends exchange bytes through a network that loses, doubles and reorders before and behind the
 * gateway. The model knows all: 64 bits count what each end sent, which bytes passed the gateway, what each end has
 * and what it has said. After each segment the tracker must know, in 32 bits from ISNs near every wrap:
 *
 *   - of every segment that an end really sent: its receiver would take it (or has had it already)
 *   - nxt: the highest byte that passed; ack, right: the highest that were said - where all is seen. Where pure ACKs pass
 *     unseen (sparse): not more than was said, and not below what seen segments say
 *   - of segments that nobody sent (numbers out of every window, ACKs of what was never sent): nothing moves
 *
 * The translation: numbers of 64 bits that L7 made longer or shorter, in segments, SACK edges and quoted headers.
 *
 * A run is its seed: L3_MODEL_SEED=n repeats one and no other.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

#include "l3/quote.h"
#include "l3/seqtrk.h"
#include "l3/xlate.h"
#include "l3_pkt.h"

#define RUNS  3000
#define STEPS 60

static uint32_t seed_now;
static uint64_t dice_state;

static uint32_t dice(uint32_t n)
{
	dice_state = dice_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((dice_state >> 33) % n);
}

static void dice_seed(uint32_t seed)
{
	seed_now = seed;
	dice_state = seed * 0x9e3779b97f4a7c15ull + 1;
	dice(2);
}

#define must(cond, fmt, ...) cr_assert(cond, "seed %u: " fmt, seed_now, ##__VA_ARGS__)

/* Runs <fn> with every seed, or with the one that is asked for. */
static void each_seed(void (*fn)(void))
{
	const char *one = getenv("L3_MODEL_SEED");

	for (uint32_t seed = 1; seed <= RUNS; seed++) {
		dice_seed(one ? (uint32_t)strtoul(one, NULL, 10) : seed);
		fn();
		if (one)
			return;
	}
}

/* ---- two ends ---- */

#define ROOM   256  /* segments that are remembered */
#define BLOCK  64   /* they are whole blocks */
#define WINDOW 3840 /* at first; small, so that it is often full */

struct piece {
	uint64_t seq, ack; /* bytes since the ISN; both as their sender means them */
	uint32_t len, win;
	bool known;        /* passed the gateway, and the tracker saw it */
};

struct end {
	uint32_t isn;
	uint8_t ws;
	uint64_t snd;          /* next byte that it sends first */
	uint64_t una;          /* what it knows that the other has */
	uint64_t may;          /* it was allowed to send up to here */
	uint64_t has;          /* of the other, in one piece */
	uint8_t part[1 << 12]; /* beyond: which blocks of it it has */
	uint64_t promised;     /* to the other: highest byte that may be sent */
	struct piece sent[ROOM];
	unsigned nsent;
	/* what passed of it, and what of that the tracker was shown */
	uint64_t top, said_ack, said_right;
	uint64_t shown_ack, shown_right;
	bool shown;
};

static struct end end[2];
static struct seqtrk t;
static bool sparse;
static uint8_t buf[4096];

/* Byte <n> of <d> on the wire. */
static uint32_t wire(int d, uint64_t n)
{
	return end[d].isn + 1 + (uint32_t)n;
}

static struct seg piece_seg(int d, const struct piece *p)
{
	struct pkt k = { .reverse = d, .flags = SEG_ACK, .seq = wire(d, p->seq), .ack = wire(!d, p->ack),
			 .win = (uint16_t)(p->win >> end[d].ws), .data_len = p->len };

	return pkt_seg(buf, &k);
}

static void up(void)
{
	static const uint32_t near[] = { 0, 0x7fffff00, 0x80000000, 0xffffff00, 0xfffffffe };
	uint8_t opt[7] = { 2, 4, 5, 0xb4, 3, 3, 0 };
	struct seg s;

	memset(end, 0, sizeof(end));
	memset(&t, 0, sizeof(t));
	for (int d = 0; d < 2; d++) {
		end[d].isn = near[dice(ARRAY_SIZE(near))] + dice(3);
		end[d].ws = (uint8_t)dice(5);
		end[d].promised = WINDOW;
	}
	for (int d = 0; d < 2; d++) {
		end[d].may = WINDOW;
		opt[6] = end[d].ws;
		s = pkt_seg(buf, &(struct pkt){ .reverse = d, .seq = end[d].isn, .ack = d ? end[0].isn + 1 : 0,
						.flags = d ? SEG_SYN | SEG_ACK : SEG_SYN, .win = WINDOW, .opt = opt, .opt_len = 7 });
		if (d == 0)
			seqtrk_init(&t, &s);
		else
			must(seqtrk_see(&t, 1, &s, NULL) == SEQTRK_SYN, "syn-ack");
	}
	s = piece_seg(0, &(struct piece){ .win = WINDOW });
	must(seqtrk_see(&t, 0, &s, NULL) == SEQTRK_OK, "ack");
	end[0].shown = end[1].shown = true;
	for (int d = 0; d < 2; d++) {
		end[d].said_right = end[d].shown_right = WINDOW;
	}
	sparse = false;
}

/* What <d> sends now: new bytes, old ones, or none. */
static struct piece *speak(int d)
{
	struct end *e = &end[d];
	struct piece *p = &e->sent[e->nsent++ % ROOM];
	uint64_t room, len = BLOCK * (1u + dice(20)), back;

	*p = (struct piece){ .seq = e->snd, .ack = e->has };
	/* a window may shrink to nothing, but what was promised stays so */
	p->win = dice(6) ? BLOCK * dice(100) : 0;
	if (p->ack + p->win < e->promised)
		p->win = (uint32_t)(e->promised - p->ack);
	p->win = MIN(p->win, 65535u << e->ws) & ~((1u << e->ws) - 1);
	if (p->ack + p->win > e->promised)
		e->promised = p->ack + p->win;
	switch (dice(4)) {
	case 0: /* a pure ACK */
		break;
	case 1: /* once more */
		if (e->snd > e->una) {
			back = MIN((e->snd - e->una) / BLOCK, 100u);
			p->seq = e->una + BLOCK * dice((uint32_t)back);
			p->len = (uint32_t)MIN(e->snd - p->seq, len);
		}
		break;
	default:
		room = e->may > e->snd ? e->may - e->snd : 0;
		p->len = (uint32_t)MIN(room, len) / BLOCK * BLOCK;
		e->snd += p->len;
	}
	return p;
}

/* It arrives. */
static void hear(int d, const struct piece *p)
{
	struct end *e = &end[!d];

	for (uint64_t b = p->seq / BLOCK; b < (p->seq + p->len) / BLOCK; b++)
		if (b * BLOCK >= e->has)
			e->part[b % sizeof(e->part)] = 1;
	while (e->part[e->has / BLOCK % sizeof(e->part)]) {
		e->part[e->has / BLOCK % sizeof(e->part)] = 0;
		e->has += BLOCK;
	}
	e->una = MAX(e->una, p->ack);
	e->may = MAX(e->may, p->ack + p->win);
}

/* ---- the tracker beside them ---- */

static void knows(int d)
{
	const struct seqtrk_side *S = &t.side[d];
	const struct end *e = &end[d];

	must(S->nxt == wire(d, e->top), "side %d: nxt %u, passed up to %u", d, S->nxt, wire(d, e->top));
	if (!e->shown)
		return;
	must(seq_le(S->ack, wire(!d, e->said_ack)), "side %d: acknowledges more than it said", d);
	must(seq_le(S->right, wire(!d, e->said_right)), "side %d: allows more than it said", d);
	must(S->ack == wire(!d, e->shown_ack), "side %d: ack %u, said %u", d, S->ack, wire(!d, e->shown_ack));
	must(S->right == wire(!d, e->shown_right), "side %d: right %u, said %u", d, S->right, wire(!d, e->shown_right));
	must(!seqtrk_acked(&t, !d, wire(!d, e->said_ack) + 1), "side %d: a byte counts as had that it never said", d);
}

/* A segment that was really sent comes to the gateway. */
static void pass(int d, struct piece *p)
{
	struct end *e = &end[d];
	bool pure = p->len == 0;
	enum seqtrk_res r;
	struct seg s;

	e->said_ack = MAX(e->said_ack, p->ack);
	e->said_right = MAX(e->said_right, p->ack + p->win);
	if (sparse && pure)
		return;
	e->top = MAX(e->top, p->seq + p->len); /* bytes below it that were lost on their way here come again */
	s = piece_seg(d, p);
	r = seqtrk_see(&t, d, &s, NULL);
	/* what comes too late to say anything may be called old, or an ACK from long ago */
	must(r == SEQTRK_OK || (r == SEQTRK_OLD && p->seq + p->len < end[!d].said_ack) ||
		     (r == SEQTRK_CHALLENGE && p->ack < e->shown_ack), "side %d, seq %" PRIu64 " len %u: %s", d, p->seq, p->len, seqtrk_res_name[r]);
	if (r == SEQTRK_OK) {
		e->shown_ack = e->shown ? MAX(e->shown_ack, p->ack) : p->ack;
		e->shown_right = e->shown ? MAX(e->shown_right, p->ack + p->win) : p->ack + p->win;
		e->shown = true;
	}
	knows(0);
	knows(1);
}

/* Somebody who does not know the numbers. */
static void forge(int d)
{
	struct seqtrk before = t;
	struct pkt k = { .reverse = d, .flags = SEG_ACK, .win = (uint16_t)dice(65536), .data_len = dice(3) * 100,
			 .seq = wire(d, end[d].top), .ack = wire(!d, end[!d].top) };
	enum seqtrk_res r;
	struct seg s;

	switch (dice(4)) {
	case 0: k.seq += (1u << 24) + dice(1u << 30); break;           /* beyond every window */
	case 1: k.seq -= (1u << 24) + dice(1u << 30); break;           /* long ago */
	case 2: k.ack += 1 + dice(1u << 30); break;                    /* never sent */
	case 3: k.seq += (1u << 24) + dice(1u << 30), k.flags = SEG_RST; break;
	}
	s = pkt_seg(buf, &k);
	r = seqtrk_see(&t, d, &s, NULL);
	must(!seqtrk_acceptable(r), "side %d: forged, and %s", d, seqtrk_res_name[r]);
	must(memcmp(&before, &t, sizeof(t)) == 0, "side %d: forged (%s), and something moved", d, seqtrk_res_name[r]);
}

/* One step: somebody speaks, or something old comes late; it may be lost on either side of the gateway. */
static void step(void)
{
	int d = (int)dice(2);
	struct piece *p;

	if (end[d].nsent && dice(6) == 0)
		p = &end[d].sent[(end[d].nsent - 1 - dice(MIN(end[d].nsent, 8u))) % ROOM];
	else
		p = speak(d);
	if (dice(12) == 0)
		return; /* lost before the gateway */
	pass(d, p);
	if (dice(12))
		hear(d, p);
	if (dice(8) == 0)
		forge((int)dice(2));
}

static void run_all_seen(void)
{
	up();
	for (int i = 0; i < STEPS; i++)
		step();
}

static void run_sparse(void)
{
	up();
	for (int i = 0; i < STEPS / 4; i++)
		step();
	sparse = true;
	seqtrk_sparse(&t);
	for (int i = 0; i < STEPS; i++)
		step();
}

Test(l3_model, the_tracker_knows_what_both_ends_said)
{
	each_seed(run_all_seen);
}

Test(l3_model, where_pure_acks_are_not_seen_it_knows_bounds)
{
	each_seed(run_sparse);
}

/* Part of it passes unseen. What is learnt then are bounds: an edge is where some byte passed, and when both ends have said where they
 * are and nothing is under way, it is exact. */
static void unseen(void (*fn)(int))
{
	int i, d;

	up();
	for (i = 0; i < STEPS / 2; i++)
		step();
	for (i = 0; i < 20; i++) {
		struct piece *p = speak(d = (int)dice(2));

		end[d].top = MAX(end[d].top, p->seq + p->len);
		end[d].said_ack = MAX(end[d].said_ack, p->ack);
		end[d].said_right = MAX(end[d].said_right, p->ack + p->win);
		hear(d, p);
	}
	fn((int)dice(2));
	for (i = 0; i < 6; i++) { /* both say where they are, as often as it takes */
		struct piece p;
		struct seg s;
		enum seqtrk_res r;

		d = i & 1;
		p = (struct piece){ .seq = end[d].snd, .ack = end[d].has };
		if (i < 2 && end[d].snd > end[d].una) { /* once more, first */
			p.seq = end[d].una;
			p.len = BLOCK;
		}
		p.win = (uint32_t)(MAX(end[d].promised, p.ack + 4096) - p.ack);
		p.win = MIN(p.win, 65535u << end[d].ws) & ~((1u << end[d].ws) - 1);
		s = piece_seg(d, &p);
		r = seqtrk_see(&t, d, &s, NULL);
		must(r == SEQTRK_OK || (p.len && r == SEQTRK_OLD && p.seq + p.len < end[!d].has), "side %d says where it is: %s", d,
		     seqtrk_res_name[r]);
		must(r != SEQTRK_OK || !(t.side[!d].f & SEQTRK_F_NXT) || seq_ge(t.side[!d].nxt, wire(!d, p.ack)), "side %d: less than is acknowledged", !d);
	}
	must(seqtrk_known(&t), "not known");
	for (d = 0; d < 2; d++) {
		must(t.side[d].nxt == wire(d, end[d].snd), "side %d: edge %u, is %u", d, t.side[d].nxt, wire(d, end[d].snd));
		must(t.side[d].ack == wire(!d, end[d].has), "side %d: ack", d);
	}
}

static void missed(int d)
{
	seqtrk_sparse(&t);
	/* all that it sent, or less, is known of it; the other direction is seen but for its pure ACKs */
	t.side[!d].nxt = wire(!d, end[!d].top);
	if (dice(2))
		seqtrk_missed(&t, d, wire(d, end[d].top), true);
	else
		seqtrk_missed(&t, d, wire(d, end[d].una), false);
}

static void relearn(int d)
{
	seqtrk_relearn(&t);
}

static void run_missed(void)
{
	unseen(missed);
}

static void run_relearn(void)
{
	unseen(relearn);
}

Test(l3_model, after_a_bulk_the_next_words_of_both_ends_say_where_they_are)
{
	each_seed(run_missed);
}

Test(l3_model, after_all_passed_unseen_the_next_words_of_both_ends_say_where_they_are)
{
	each_seed(run_relearn);
}

/* ---- translation, byte by byte ---- */

static void be_add(uint8_t *p, uint32_t delta)
{
	/* as one would on paper: from the last byte on, with a carry */
	for (int i = 3, carry = 0; i >= 0; i--) {
		int sum = p[i] + (uint8_t)(delta >> (8 * (3 - i))) + carry;

		p[i] = (uint8_t)sum;
		carry = sum >> 8;
	}
}

static void run_xlate(void)
{
	struct xlate x = { .delta = { dice(1u << 31) * 2 + dice(2), dice(1u << 31) * 2 + dice(2) } };
	uint8_t want[512], opt[40] = { 1, 1, 5 };
	unsigned blocks = dice(5), hl, len;
	int d = (int)dice(2);
	bool v6 = dice(2);
	struct pkt k = { .v6 = v6, .reverse = d, .seq = dice(1u << 31) * 2, .ack = dice(1u << 31) * 2,
			 .flags = dice(6) ? SEG_ACK : SEG_RST, .win = 7, .data_len = dice(90), .opt = opt };
	struct seg s;

	if (blocks) {
		opt[3] = (uint8_t)(2 + 8 * blocks);
		for (unsigned i = 4; i < 4 + 8 * blocks; i++)
			opt[i] = (uint8_t)dice(256);
		k.opt_len = 4 + 8 * blocks;
	}
	/* by hand: each number, then the checksum over everything anew */
	len = pkt_make(want, &k);
	hl = v6 ? 40 : 20;
	be_add(want + hl + 4, x.delta[d]);
	if (k.flags & SEG_ACK)
		be_add(want + hl + 8, 0u - x.delta[!d]);
	for (unsigned i = 0; i < 2 * blocks; i++)
		be_add(want + hl + 24 + 4 * i, 0u - x.delta[!d]);
	memset(want + hl + 16, 0, 2);
	pkt_be(want + hl + 16, pkt_tcp_csum(want, hl, len), 2);

	s = pkt_seg(buf, &k);
	xlate_apply(&x, d, &s);
	must(memcmp(buf, want, len) == 0, "%s, %u SACK blocks, flags %x", v6 ? "IPv6" : "IPv4", blocks, k.flags);
}

Test(l3_model, translated_segments_are_what_one_would_write_by_hand)
{
	each_seed(run_xlate);
}

static void run_quote(void)
{
	struct xlate x = { .delta = { dice(1u << 31) * 2 + dice(2), dice(1u << 31) * 2 + dice(2) } };
	int d = (int)dice(2);
	unsigned n = 8 + dice(60), len = 20 + 8 + 20 + n;
	uint8_t in[256], want[256];
	struct quote q;

	/* what the router had was translated already */
	pkt_make(in, &(struct pkt){ .reverse = d, .seq = dice(1u << 31) * 2, .ack = 5, .flags = SEG_ACK, .data_len = 100 });
	memset(buf, 0, 64);
	memcpy(buf, in, 20);
	pkt_be(buf + 2, len, 2);
	buf[9] = IPPROTO_ICMP;
	memset(buf + 20, 0, 8);
	buf[20] = 3;
	buf[21] = 4;
	memcpy(buf + 28, in, 20 + n);
	pkt_be(buf + 22, pkt_naive_csum(buf + 20, len - 20, 0), 2);
	memcpy(want, buf, len);
	be_add(want + 28 + 24, 0u - x.delta[d]);
	memset(want + 22, 0, 2);
	pkt_be(want + 22, pkt_naive_csum(want + 20, len - 20, 0), 2);
	must(quote_parse(&q, buf, len, len) == SEG_OK, "not read");
	must(quote_xlate(&q, d, &x) == (x.delta[d] != 0), "delta %u", x.delta[d]);
	must(memcmp(buf, want, len) == 0, "%u bytes quoted", n);
}

Test(l3_model, quoted_numbers_are_what_their_sender_knows)
{
	each_seed(run_quote);
}
