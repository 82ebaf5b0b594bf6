/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * xlate.h - sequence translation after a demotion
 *
 * Pure. Between promotion and demotion the two halves of a connection grew by
 * different amounts, so numbers must be moved from then on. For a segment of
 * direction d (0: client to server, 1: back), mod 2^32:
 *
 *     seq  += delta[d]         ack, SACK edges -= delta[!d]
 *
 * Two floors keep segments alive that were sent before the demotion (FACTS §4):
 *   TSval  below what the pseudo socket had sent would be dropped by PAWS
 *          (RFC 7323 5): raised to it
 *   ACK    below what the receiver already saw acknowledged may be dropped
 *          (RFC 5961 5): raised to it, and the window made the one that belongs to
 *          it, so that the right edge is never promised further
 * A floor switches itself off when the numbers have left it 2^30 behind: before
 * they could come round and be taken for old.
 *
 * Packets keep their checksum's kind: complete ones are updated by RFC 1624,
 * partial ones need seg_finish() before the packet leaves.
 */
#ifndef STANDIN_L3_XLATE_H
#define STANDIN_L3_XLATE_H

#include "core/compiler.h"

struct seg;

struct xlate_floor {
	uint32_t ts;      /* TSval of direction d not below this */
	uint32_t ack;     /* translated ACK of direction d not below this: what its receiver counts */
	uint16_t ack_win; /* window field (not scaled) of a segment whose ACK was raised */
	bool has_ts, has_ack;
};

struct xlate {
	uint32_t delta[2];
	struct xlate_floor floor[2];
	bool clean[2]; /* a segment of direction d came that is beyond its floors: see xlate_note() */
};

/* Does <x> change anything at all? */
bool xlate_active(const struct xlate *x);

/* Sets the deltas (mod 2^32) from the four sequences read at demotion: <cli_*> of the socket that talks
 * to the client, <srv_*> of the one that talks to the server. Floors are kept. */
void xlate_set(struct xlate *x, uint32_t cli_snd, uint32_t cli_rcv, uint32_t srv_snd, uint32_t srv_rcv);
void xlate_set_ts_floor(struct xlate *x, int d, uint32_t tsval);
void xlate_set_ack_floor(struct xlate *x, int d, uint32_t ack, uint16_t win);

/* <s> of direction <d> has arrived, and was not changed yet: is it beyond the floors? Where both directions are, nothing that was
 * sent before the demotion is expected any more, and deltas are all that is left to do. */
void xlate_note(struct xlate *x, int d, const struct seg *s);
bool xlate_settled(const struct xlate *x);
/* Floors are not needed any more. */
void xlate_drop_floors(struct xlate *x);

/* Translates <s> of direction <d> in place. Marks SEG_F_DIRTY when something changed. */
void xlate_apply(struct xlate *x, int d, struct seg *s);

/* One number at a time: <seq> of side d as its peer counts; <ack> that side d sent, as side !d counts;
 * a TSval of side d as its peer sees it. <x> may be NULL. */
uint32_t xlate_seq(const struct xlate *x, int d, uint32_t seq);
uint32_t xlate_ack(const struct xlate *x, int d, uint32_t ack);
uint32_t xlate_tsval(const struct xlate *x, int d, uint32_t tsval);

/* What `show flow` prints: deltas as signed numbers; 0 for NULL. */
static inline int32_t xlate_delta(const struct xlate *x, int d)
{
	return x ? (int32_t)x->delta[d] : 0;
}

#endif
