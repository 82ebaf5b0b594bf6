/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ct.h - the kernel's connection tracker, by netlink
 *
 * Requests are answered inside sendmsg() (ctnetlink works in the caller's
 * context), so each call is a send and a receive that never wait: 5 to 20 us.
 * A tuple may be given in either direction; addresses and ports are as seen on
 * the wire of that direction. Marks are changed under a mask, so foreign bits
 * stay.
 *
 * Sequence adjustment: the kernel adds a number to the sequences of a direction,
 * and takes it off the acknowledgements and SACK edges of the other. It does so
 * only for entries that ctnetlink created; on one that packets made, the attribute answers
 * success and does nothing (reg-tests/platform/ct-seqadj.c).
 */
#ifndef STANDIN_L3_CT_H
#define STANDIN_L3_CT_H

#include "core/net.h"

struct ct;

struct ct_entry {
	struct addr src, dst;             /* original direction */
	struct addr reply_src, reply_dst; /* reply direction: dst and src, where there is no NAT */
	uint32_t mark;
	uint32_t status;                  /* IPS_* of linux/netfilter/nf_conntrack_common.h */
	uint32_t id;
	uint32_t timeout_s;
	uint8_t tcp_state;                /* TCP_CONNTRACK_* */
	uint8_t tcp_flags[2];             /* IP_CT_TCP_FLAG_* of who sends in original, in reply direction */
	uint8_t wscale[2];                /* theirs; 0 unless both have window scale */
	int32_t adjust[2];                /* added to sequences of the original, of the reply direction */
	bool nat;                         /* addresses or ports are changed: such flows are not supported */
	bool helper;                      /* a helper follows it (FTP and the like) */
};

/* Opens the request socket. 0 or -errno (-EPERM; -EPROTONOSUPPORT: the kernel has no ctnetlink). */
int ct_open(struct ct **out);
void ct_close(struct ct **ct);

/* All: 0, -ENOENT when the tracker does not know the tuple, else -errno. */
int ct_get(struct ct *ct, const struct addr *src, const struct addr *dst, struct ct_entry *out);
/* mark = (mark & ~mask) | (value & mask) */
int ct_set_mark(struct ct *ct, const struct addr *src, const struct addr *dst, uint32_t value, uint32_t mask);
int ct_delete(struct ct *ct, const struct addr *src, const struct addr *dst);
/* Makes an entry of an established connection as <e> says: addresses of both directions, mark, timeout_s, tcp_flags,
 * wscale, adjust. <at>: a sequence number in the recent past of each direction. -EEXIST: there is one. */
int ct_create(struct ct *ct, const struct ct_entry *e, const uint32_t at[2]);

/* Events, for records of offloaded flows (offload.h): DESTROY, and NEW when asked for. A
 * filter in the kernel lets only entries through whose mark has (mark & mask) == value; <fn> sees TCP only, with
 * tcp_state as it was when the entry came or went (kernels before 5.9: TCP_CONNTRACK_NONE for those that went). */
struct ct_events;
typedef void ct_event_fn(void *arg, const struct ct_entry *e, bool gone);
int ct_events_open(struct ct_events **out, uint32_t value, uint32_t mask, ct_event_fn *fn, void *arg);
/* NEW events, too, or no more. 0 or -errno. */
int ct_events_news(struct ct_events *ev, bool on);
int ct_events_fd(const struct ct_events *ev);
/* Reads what is there, about <budget> messages at most. The number read, or -errno; -ENOBUFS: some were lost, and
 * nobody knows which: call again for the others. */
int ct_events_read(struct ct_events *ev, unsigned budget);
void ct_events_close(struct ct_events **ev);

#endif
