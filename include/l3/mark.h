/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mark.h - what our four mark bits mean on packets, sockets and connections
 *
 * `mark-mask` gives four adjacent bits of the 32; every value below is a
 * number 0..15 in them. All other bits are foreign (quality of service,
 * multi-WAN) and always kept: use mark_put(), never a bare assignment. The same
 * table, with the rules that act on it, is in doc/internals/marks.md.
 *
 *   bits 1-0  class   0 none, 1 ours, 2 hard, 3 offloaded. Same meaning wherever
 *                     they stand, so that somebody else's unmasked CONNMARK save
 *                     or restore copies them without changing what they say.
 *   bit  2    narrow  on a connection of class 1 or 3: 5 lean, 7 bulk
 *             direct  on a socket: deliver to it without the queue (copied to a
 *                     connection it says nothing: 6 is hard as 2 is)
 *   bit  3    verb    on a packet: 10cc (8..11) save class cc into the
 *                     connection, 1101 and 1111 (13, 15) the narrow ones; 1110 (14)
 *                     route to the local socket
 *
 * A connection's class decides what the rules in mangle PREROUTING do with its
 * packets, in both directions:
 *   none       nothing; a first packet that a `match` line describes is queued in
 *              mangle FORWARD, and gets class ours there (hard: on-failure block)
 *   ours       queued; forwarded by the kernel when nobody listens on the queue
 *   hard       queued, dropped when nobody listens: held, translated here,
 *              promoted, leaving - it would be damaged without the daemon.
 *              A pseudo socket that is switched to DIRECT gets them unqueued.
 *   offloaded  not queued
 *   lean       as ours, but pure ACKs are not queued
 *   bulk       as offloaded, but the client's payload is queued, and who opens or ends
 *              something (SYN, FIN, RST). Narrow classes: l3/narrow.h
 *
 * What the daemon does, by verdict (nfq), socket option or ctnetlink (ct):
 *   forward, nothing changes     NF_ACCEPT, mark left alone
 *   forward and change class     NF_REPEAT, mark_put(mark, mask, MARK_REQ(class)): the chain saves
 *                                the class, clears our bits and accepts. The packet is not queued
 *                                again, and a payload given with the verdict is the one that goes on.
 *   to the pseudo socket         NF_ACCEPT, mark_put(mark, mask, MARK_LOCAL); only from PREROUTING
 *   SYN of class ours queued in PREROUTING, no record (daemon restarted)
 *                                NF_REPEAT, MARK_REQ(MARK_NONE): it comes again from FORWARD, as new
 *   packet of ours, not a SYN, no record ("no-syn")
 *                                a record is made, its numbers are learnt; policy may offload it at once
 *   queued in FORWARD, not a first SYN: the tracker forgot it (conntrack -F), or a forged SYN made a new
 *                                entry. NF_REPEAT with the class the flow should have; what no match line
 *                                describes: NF_ACCEPT
 *   change class with no packet at hand
 *                                ct_set_mark(.., mark_bits(mask, class), mask)
 *   socket to / off the queue    SO_MARK = mark_put(foreign, mask, MARK_SOCK_QUEUE / MARK_SOCK_DIRECT)
 *   inject to the pseudo socket  raw socket with SO_MARK mark_put(foreign, mask, MARK_LOCAL): it is
 *                                looped through lo, which the rules let pass
 *   inject to a real end         raw socket with SO_MARK mark_put(foreign, mask, MARK_REQ(class)): the same in OUTPUT.
 *                                Without, its first packet after a flush would make a connection of no class
 *
 * A pseudo socket's value differs from MARK_LOCAL, or its own output would be
 * looped back; its output re-marks the connection hard, should the tracker have
 * forgotten it.
 */
#ifndef STANDIN_L3_MARK_H
#define STANDIN_L3_MARK_H

#include "core/compiler.h"

#define MARK_CLASS       0x3                 /* the class bits */
#define MARK_NARROW      0x4                 /* connection: with class ours or offloaded */
#define MARK_VERB        0x8                 /* packet: a request, or MARK_LOCAL */

enum mark_class {
	MARK_NONE, MARK_OURS, MARK_HARD, MARK_OFFLOADED,
	MARK_LEAN = MARK_NARROW | MARK_OURS,
	MARK_BULK = MARK_NARROW | MARK_OFFLOADED,
};

#define MARK_REQ(class)  (0x8u | (class))    /* packet, with NF_REPEAT: save this class */
#define MARK_LOCAL       0xeu                /* packet: route to the local socket */
#define MARK_SOCK_QUEUE  ((unsigned)MARK_HARD) /* socket: its packets come by the queue */
#define MARK_SOCK_DIRECT (0x4u | MARK_HARD)  /* socket: its packets come directly */
#define MARK_ALL         0xfu
#define MARK_MASK_DEFAULT 0x0f000000u

/* Does a packet's value ask for a class, and for which? */
static inline bool mark_is_req(unsigned value)
{
	return (value & MARK_VERB) && value != MARK_LOCAL;
}

static inline enum mark_class mark_req_class(unsigned value)
{
	return (enum mark_class)(value & (MARK_NARROW | MARK_CLASS));
}

/* four adjacent bits? */
static inline bool mark_mask_valid(uint32_t mask)
{
	return mask && mask / (mask & -mask) == MARK_ALL;
}

/* value (0..15) -> bits of a mark */
static inline uint32_t mark_bits(uint32_t mask, unsigned value)
{
	return (mask & -mask) * value;
}

/* the value in <mark> */
static inline unsigned mark_get(uint32_t mark, uint32_t mask)
{
	return (mark & mask) / (mask & -mask);
}

/* <mark> with our bits replaced, foreign bits kept */
static inline uint32_t mark_put(uint32_t mark, uint32_t mask, unsigned value)
{
	return (mark & ~mask) | mark_bits(mask, value);
}

/* <mark> without our bits */
static inline uint32_t mark_foreign(uint32_t mark, uint32_t mask)
{
	return mark & ~mask;
}

#endif
