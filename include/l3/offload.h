/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * offload.h - how the records of offloaded flows end
 *
 * The daemon does not see the packets of a flow that the kernel forwards alone, so
 * its end has to be told by the kernel's tracker. Two ways, and each makes up for
 * what the other lacks:
 *
 *   events   the tracker tells when it forgets an entry of class offloaded. Costs next to nothing, read many at a
 *            time (a wake-up for each would cost more than looking), but comes late (an entry stays for minutes after
 *            its FINs), and can get lost in a burst
 *   looking  a record's entry is looked up some seconds after its handshake, and each minute later. Finds an end
 *            early, at 10 us each: so under a budget, a small one (OFFLOAD_LOOKS_CALM), and a larger one when events
 *            were lost, cannot be had, or records run short
 *
 * Connections that the firewall itself makes the kernel's, because their first rules are `forward` by addresses and ports
 * (gateway_kernel_forwards()), begin unseen, too. Their records are made of the tracker's NEW events, some milliseconds late: what is
 * asked for flows or counters reads the events first. Of these connections no option of any SYN is known.
 *
 * An entry that went in state ESTABLISHED was taken away (`conntrack -F`) or was
 * silent for days: the connection may still live, so the record stays for
 * `timeout idle`, and takes the connection up again when a packet comes.
 */
#ifndef STANDIN_L3_OFFLOAD_H
#define STANDIN_L3_OFFLOAD_H

#include <ev.h>

#include "l3/flow.h"

struct l3;
struct gateway;
struct flow;
struct ct_entry;
struct ct_events;
struct diag;

struct offload {
	struct ct_events *ev;      /* owns; NULL: there are none */
	bool news;                 /* NEW events, too: woken by them when it is quiet */
	ev_io io;                  /* active: nothing has come since the last read */
	uint64_t read_ms;          /* when to read them next */
	uint64_t lost_ms;          /* when events got lost last; 0: never */
	uint64_t round_ms;         /* when the budget of looks was renewed */
	unsigned looks_left;       /* of it */
	uint32_t rejudge_at;       /* flow_next(): the next flow to be judged again */
	bool rejudging;
	uint64_t events, looks, lost; /* `show info`; lost: how often, not how many */
};

/* Once the tracker's request socket is open. Without events everything works, with more looking: *<d> is told. */
void offload_open(struct l3 *l3, struct diag *d);
void offload_close(struct l3 *l3);

/* Can there be records of what begins unseen? */
bool offload_news_possible(const struct l3 *l3);
/* There will be connections that begin unseen, or no more of them. */
void offload_news(struct l3 *l3, bool on);
/* Reads what events there are: for commands that ask for flows. Bounded. */
void offload_read(struct l3 *l3);
/* An event: an entry of class offloaded came, or went (also called by tests). */
void offload_born(struct l3 *l3, const struct ct_entry *e);

/* A flow was offloaded: there will be events. */
void offload_begun(struct l3 *l3);
/* Reads what events there are, and judges again, when it is time. Returns when it will be again, in clock_ms(); UINT64_MAX: there is no need. */
uint64_t offload_tick(struct l3 *l3);
/* Rules of gateways with .rejudge set have changed: their offloaded flows are judged anew, under a budget; those that are not
 * to be forwarded any more are called back, and their next turn meets the rules. */
void offload_rejudge(struct l3 *l3);
/* The timer of an offloaded flow of <gw> has run out. May it be looked up now? False: *<at> is when to ask again, in
 * clock_ms(). */
bool offload_may_look(struct gateway *gw, uint64_t *at);
/* Looks it up: the record goes, or its timer begins anew. */
void offload_look(struct flow *f);
/* A reset of a flow whose numbers are not known: has the tracker, which has seen it before us, taken it for the end? */
bool offload_reset(struct flow *f);
/* A packet of an offloaded flow was queued: the tracker had forgotten it and learns it again. */
void offload_seen(struct flow *f);
/* An entry is gone: the event's callback, and tests'. <l3> is a struct l3. */
void offload_gone(void *l3, const struct ct_entry *gone);

#endif
