/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hold.h - packets of a flow that wait without a verdict
 *
 * Holding a packet is not answering the kernel about it. What is kept here is its
 * name in the queue and a copy: rules look at the payload, and a packet whose
 * numbers change when it is let go must be replaced whole. Bounded in bytes, per
 * flow and over all flows.
 *
 * Per direction the packets stand in the order of their sequence numbers; what is
 * covered by a held packet already is dropped: its sender repeated itself.
 */
#ifndef STANDIN_L3_HOLD_H
#define STANDIN_L3_HOLD_H

#include "core/list.h"
#include "l3/pktq.h"
#include "l3/seg.h"

struct flow;
struct visit;


extern const char *const hold_why_name[];

enum hold_why {
	HOLD_INSPECT, /* policy waits for more bytes of the client's turn; the server's data passes */
	HOLD_DRAIN,   /* border waits until both ends have acked what they were sent */
};

struct held {
	struct pktq_mem mem;   /* first: freed when the verdict is sent */
	struct list node;
	struct pktq *q;        /* borrows: a queue that closes has its packets released first */
	struct pktq_pkt p;     /* data points to copy */
	struct seg s;          /* pkt points to copy */
	uint64_t at_us;        /* when it was held */
	uint8_t copy[] __attribute__((aligned(8)));
};

struct hold {
	struct list node;      /* struct l3.holds */
	struct flow *f;
	enum hold_why why;
	struct list side[2];   /* struct held, by sequence */
	uint32_t count, bytes;
	uint64_t *total;       /* borrows: l3's sum */
	uint64_t since_us;
	uint64_t longest_us;   /* that one of its packets waited, since it was empty last */
	uint32_t judged;       /* INSPECT: payload bytes the rules have seen */
};

/* Makes flow_hold() when there is none; 0 or -ENOMEM. */
int hold_start(struct flow *f, enum hold_why why);
/* Keeps v's packet. 0: held, or dropped as a repetition (v->judged either way). -ENOSPC: over the budget, -ENOMEM,
 * -EMSGSIZE: truncated by the queue; then it has no verdict yet. */
int hold_add(struct visit *v);
/* The payload of direction <d> from <seq> on, as far as it goes without a gap, and whether it ends in a FIN. A view into a
 * held packet, or into l3->scratch until it is used again. 0, or -ENOMEM: it cannot be had in one piece. */
int hold_payload(struct flow *f, int d, uint32_t seq, struct str *run, bool *fin);

/* Does <h> (NULL: no) hold a packet that came by <q>? */
bool hold_uses(const struct hold *h, const struct pktq *q);

/* Takes the next packet of <d> (by sequence) out and makes a visit of it; false when there is none. Give it a verdict,
 * then hold_done(). */
bool hold_pop(struct flow *f, int d, struct visit *v, struct held **h);
void hold_done(struct held *h);

static inline bool hold_empty(const struct hold *h)
{
	return h->count == 0;
}

/* Of all directions: forwarded as watched segments / dropped. flow_hold() is gone after. */
void hold_forward(struct flow *f);
void hold_drop(struct flow *f);
void hold_over(struct flow *f);  /* the flow's, if it has one, must be empty: gone */
void hold_free(struct hold **h); /* one that is not flow_hold() any more; must be empty */

#endif
