/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * xlate.c - add two numbers, and keep what was sent earlier from being dropped
 *
 * See the header for the model. The deltas come from the sequences that were
 * read from the two sockets when both were empty and acknowledged:
 *
 *     client <-- A --|gateway|-- B --> server
 *     delta[0] = B.snd - A.rcv        (FACTS §4)
 *     delta[1] = A.snd - B.rcv
 *
 * so they are absolute: a second promotion and demotion sets new ones and does
 * not add to the old.
 *
 * A floor compares numbers mod 2^32, which is only right while they are less
 * than 2^31 apart. It is dropped when the flow has moved 2^30 beyond: nothing so
 * old is still on its way, and the comparison is still good.
 */
#include "l3/xlate.h"

#include "l3/seg.h"
#include "l3/seqtrk.h"

#define XLATE_FLOOR_LIFE (1u << 30)

bool xlate_active(const struct xlate *x)
{
	return x->delta[0] || x->delta[1] || x->floor[0].has_ts || x->floor[0].has_ack ||
	       x->floor[1].has_ts || x->floor[1].has_ack;
}

void xlate_set(struct xlate *x, uint32_t cli_snd, uint32_t cli_rcv, uint32_t srv_snd, uint32_t srv_rcv)
{
	x->delta[0] = srv_snd - cli_rcv;
	x->delta[1] = cli_snd - srv_rcv;
	x->clean[0] = x->clean[1] = false;
}

void xlate_set_ts_floor(struct xlate *x, int d, uint32_t tsval)
{
	x->floor[d].ts = tsval;
	x->floor[d].has_ts = true;
}

void xlate_set_ack_floor(struct xlate *x, int d, uint32_t ack, uint16_t win)
{
	x->floor[d].ack = ack;
	x->floor[d].ack_win = win;
	x->floor[d].has_ack = true;
}

uint32_t xlate_seq(const struct xlate *x, int d, uint32_t seq)
{
	return x ? seq + x->delta[d] : seq;
}

uint32_t xlate_ack(const struct xlate *x, int d, uint32_t ack)
{
	return x ? ack - x->delta[!d] : ack;
}

uint32_t xlate_tsval(const struct xlate *x, int d, uint32_t tsval)
{
	if (x && x->floor[d].has_ts && seq_lt(tsval, x->floor[d].ts))
		return x->floor[d].ts;
	return tsval;
}

/* Is <v> below the floor <at>, which <has> says is set? Drops a floor that is outlived. */
static bool xlate_below(bool *has, uint32_t at, uint32_t v)
{
	if (!*has)
		return false;
	if (seq_lt(v, at))
		return true;
	if (v - at >= XLATE_FLOOR_LIFE)
		*has = false;
	return false;
}

static void xlate_sack(uint32_t delta, struct seg *s)
{
	for (unsigned i = 0; i < s->nb_sack; i++) {
		uint32_t left, right;

		seg_sack(s, i, &left, &right);
		seg_set_sack(s, i, left - delta, right - delta);
	}
}

void xlate_note(struct xlate *x, int d, const struct seg *s)
{
	const struct xlate_floor *fl = &x->floor[d];

	if ((s->flags & (SEG_ACK | SEG_RST | SEG_SYN)) != SEG_ACK)
		return;
	if (fl->has_ack && seq_lt(s->ack - x->delta[!d], fl->ack))
		return;
	if (fl->has_ts && (!(s->opts & SEG_OPT_TS) || seq_lt(s->tsval, fl->ts)))
		return;
	x->clean[d] = true;
}

bool xlate_settled(const struct xlate *x)
{
	return x->clean[0] && x->clean[1];
}

void xlate_drop_floors(struct xlate *x)
{
	for (int d = 0; d < 2; d++)
		x->floor[d].has_ts = x->floor[d].has_ack = false;
}

void xlate_apply(struct xlate *x, int d, struct seg *s)
{
	struct xlate_floor *fl = &x->floor[d];

	seg_set_seq(s, s->seq + x->delta[d]);
	if (s->flags & SEG_ACK) {
		uint32_t ack = s->ack - x->delta[!d];

		if (xlate_below(&fl->has_ack, fl->ack, ack) && !(s->flags & SEG_RST)) {
			ack = fl->ack;
			seg_set_win(s, fl->ack_win);
		}
		seg_set_ack(s, ack);
	}
	if ((s->opts & SEG_OPT_SACK) && x->delta[!d])
		xlate_sack(x->delta[!d], s);
	if ((s->opts & SEG_OPT_TS) && xlate_below(&fl->has_ts, fl->ts, s->tsval))
		seg_set_tsval(s, fl->ts);
}
