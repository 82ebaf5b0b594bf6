/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * narrow.h - what of a watched connection passes without being queued
 *
 * Policy asks for little of what a connection sends: the client's payload, and when it begins and ends. A packet that nobody
 * needs costs as much in the queue as one that decides. So, by class of the connection's mark (l3/mark.h):
 *
 *   lean   watched, and policy has let payload through: pure ACKs pass unseen. What an end has acknowledged, and its window, are then lower
 *          bounds (SEQTRK_C_SPARSE), which payload in the other direction brings up to date.
 *   bulk   seen == FLOW_SEEN_CLIENT_DATA: the server sends much at one go. Until the client says something again, or somebody
 *          ends the connection, all that the server sends passes unseen, too.
 *
 * Both are caches, as every class is: a packet that is queued all the same (it was on its way, the kernel's tracker
 * forgot) goes on as it should.
 *
 * Bulk is entered where the client's next payload begins a turn whatever the server sends meanwhile:
 *
 *   HTTP     inside the body of the response to the only request under way, when the request is whole and much of the body's
 *            length is left, or it ends with the connection. Where the response ends is then known by number. A client that
 *            acknowledges just that has all of it, and the server has nothing more to say: the next request is judged, and
 *            may be promoted, as if every byte had been seen. One that comes earlier (pipelined) waits for the rest, as always.
 *   opaque   the server has spoken: what the client says next is a turn.
 *   no rules the same, for nobody asks.
 *
 * It is left with the client's payload or FIN, if the server would accept that; with the server's FIN; and by whoever
 * needs numbers (promote flow). How far the server has come is not known then but in the first case, and learnt again from
 * its packets (FACTS 5): a promotion waits for that in its drain. A reset of the server in bulk cannot be judged by numbers: the
 * kernel's tracker is asked what it made of it (offload_reset()).
 *
 * Not for connections that would be damaged without us (translated, `on-failure block`), whose packets are changed here (set-tos),
 * or that were not seen from the SYN. No bulk where the tracker's entry is not the first: its directions may be swapped. Not
 * with `steer manual`: who knows which rules are in force?
 */
#ifndef STANDIN_L3_NARROW_H
#define STANDIN_L3_NARROW_H

#include "core/compiler.h"

struct flow;
struct pktq;
struct visit;

/* The connection's next verdict gives it the class that a watched one should have now: lean, ours or hard. */
void narrow_want(struct flow *f);

/* New payload of side <d> is let through, of a flow that is watched: it is lean from now on, where it may be, and bulk
 * when this batch is over. */
void narrow_data(struct flow *f, int d);

/* A batch of packets of <q> is done and its verdicts are sent: the time for bulks to begin, where nothing waits. */
void narrow_batch_end(struct pktq *q, bool drained);

/* A packet of a flow in bulk. True: it has its verdict. False: bulk is over, it goes on like any other. */
bool narrow_visit(struct visit *v);

/* Everything is queued from now on, not only from the next verdict on: a cut is to be fixed. */
void narrow_off(struct flow *f);

/* Idle by what was queued: by what the kernel's tracker saw, too? */
bool narrow_idle(struct flow *f);

/* Are there packets of it that pass unseen? */
bool narrow_is(const struct flow *f);

#endif
