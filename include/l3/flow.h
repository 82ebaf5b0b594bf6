/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flow.h - the record of one forwarded connection, and the table of them
 *
 * The record is the truth about a connection; marks and kernel translation are
 * caches of it. It is found by the two addresses and ports its first packet had
 * when it was forwarded, in either order; lookup tells from which side a packet
 * comes.
 *
 * Each state, what may be touched in it, and who leaves it:
 *
 *   OPENING     SYN seen. trk learns options and sequences. No hold, no border. Left by path (handshake
 *               done, RST) and the syn timer.
 *   WATCHED     every packet passes path. framer is fed when content rules look at turns. Left by path
 *               (policy, RST, FIN) and border (promote).
 *   HELD        hold exists; its cuts are trk.side[].nxt. why tells for whom: HOLD_INSPECT is path's,
 *               HOLD_DRAIN border's. The loop runs meanwhile; the hold timer ends it.
 *   PROMOTED    border exists with two sockets. trk and framer stand still. Left by border only.
 *   LEAVING     border and hold exist. Left by border only: WATCHED or TRANSLATED, or PROMOTED again.
 *   TRANSLATED  as WATCHED, with xl active and xlate_by != NONE.
 *   OFFLOADED   seen == NONE: nothing is queued but what the kernel forgot. Left by a SYN of a new
 *               connection, a recall (-> WATCHED or TRANSLATED, recalled), the offload timer. With xlate_by
 *               KERNEL it is shown and counted as translated (handover.h).
 *   CLOSING     FINs or RST seen; packets pass, translated where xl is active. Left by the close timer.
 *
 * `seen` and `xlate_by` are attributes of their own: what of the flow is queued to us, and who adjusts
 * its sequence numbers.
 */
#ifndef STANDIN_L3_FLOW_H
#define STANDIN_L3_FLOW_H

#include "core/hash.h"
#include "core/list.h"
#include "core/net.h"
#include "l3/answers.h"
#include "l3/framer.h"
#include "l3/mark.h"
#include "l3/seqtrk.h"
#include "l3/xlate.h"

struct worker;
struct l3;
struct gateway;
struct pktq;
struct hold;
struct border_flow;
struct stk_tracks;

enum { FLOW_CLIENT, FLOW_SERVER }; /* sides; also the direction of what they send: 0 c2s, 1 s2c */

enum flow_state {
	FLOW_ST_OPENING,
	FLOW_ST_WATCHED,
	FLOW_ST_HELD,
	FLOW_ST_PROMOTED,
	FLOW_ST_LEAVING,
	FLOW_ST_TRANSLATED,
	FLOW_ST_OFFLOADED,
	FLOW_ST_CLOSING,
	FLOW_ST_COUNT
};
extern const char *const flow_state_name[FLOW_ST_COUNT]; /* lower case, as `show flow` prints them */

enum flow_seen { FLOW_SEEN_ALL, FLOW_SEEN_CLIENT_DATA, FLOW_SEEN_NONE };
enum flow_xlate_by { FLOW_XLATE_NONE, FLOW_XLATE_DAEMON, FLOW_XLATE_KERNEL };

/* Which timeout runs; each has a list per gateway, in the order of its last touch: all O(1). */
enum flow_timer {
	FLOW_TMR_SYN,     /* handshake not done */
	FLOW_TMR_IDLE,    /* no packet */
	FLOW_TMR_INSPECT, /* held for more bytes */
	FLOW_TMR_HOLD,    /* held for the drain, or leaving */
	FLOW_TMR_CLOSE,   /* after FINs or RST */
	FLOW_TMR_OFFLOAD, /* offloaded: when the tracker is asked whether it still lives */
	FLOW_TMR_OFFLOAD_OLD, /* the same for one that has lived for a while */
	FLOW_TMR_COUNT,
	FLOW_TMR_NONE = FLOW_TMR_COUNT, /* promoted: the stream has its own */
};

/* How policy stands to the flow. */
enum flow_policy {
	FLOW_POL_OPEN,    /* undecided: the rules look at its turns */
	FLOW_POL_FORWARD, /* decided: the kernel forwards it alone */
	FLOW_POL_PROMOTE, /* decided at the SYN: promote as soon as the handshake is done */
	FLOW_POL_DROP,    /* decided: nothing of it passes any more */
	FLOW_POL_NONE,    /* nothing will ever look at it (no rules, or refused): forwarded and tracked */
};

struct flow {
	struct hnode by_key, by_id;
	struct list all;             /* flow_table.all, in the order of ids */
	struct list tmr;             /* gateway's list of its timer */
	uint64_t id;
	struct addr side[2];         /* [FLOW_CLIENT] sent the first packet */
	struct gateway *gw;          /* counted */
	struct pktq *q;              /* borrows: where its packets came from last; NULL when that closed */
	uint64_t verdict_flush;      /* q->flushes when its newest verdict was given: the same now, and that is not sent yet */
	uint8_t state, seen, xlate_by, timer, policy;
	uint8_t was;                 /* CLOSING: the state before */
	uint8_t mark_class;          /* enum mark_class: what the connection mark says, as far as we know */
	uint8_t want_class;          /* what it should say: the next verdict sees to it */
	bool dead;                   /* out of the table; freed when the batch is over */
	bool recalled;               /* WATCHED again after OFFLOADED: border waits until the tracker has learnt it */
	bool sockets;                /* CLOSING: pseudo sockets carry it to its end; what comes goes to them */
	bool ended;                  /* its log line was written */
	bool traced;                 /* somebody listens (trace.h) */
	uint32_t held_us;            /* longest that a packet of it waited for its verdict */
	uint32_t foreign_mark;       /* others' bits of the newest packet's mark, with what set-mark set */
	uint32_t set_mark, set_mask; /* set-mark: of packets and sockets from here on; set_mask 0: nothing */
	uint8_t tos;                 /* set-tos */
	bool has_tos;
	bool no_handover;            /* the kernel would not have its translation */
	bool adjusted;               /* it has had it, and packets on their way may still carry that entry */
	uint32_t in_if, out_if;      /* of the first packet */
	uint64_t created_ms, touched_ms;
	uint64_t packets[2];         /* as queued to us */
	uint64_t bytes[2];           /* payload: as queued to us, or as pseudo sockets sent it on; of those in use now, see
				      * l3_flow_bytes() */
	struct seqtrk trk;
	struct xlate xl;
	struct hold *hold;           /* owns: packets without a verdict; NULL: none */
	struct framer framer;        /* turns, while policy is OPEN and rules look at them */
	uint32_t framer_seq;         /* the client's byte that framer_feed() is given next, in the client's numbers */
	struct answers answers;      /* what the server owes, as long as the framer reads HTTP */
	uint8_t last_dir;            /* who sent the newest payload */
	bool framing;                /* framer and framer_seq are in use */
	struct border_flow *border;  /* border's: NULL when neither promoted nor on the way */
	char *frontend;              /* owns: promoted into last; NULL: never */
	struct stk_tracks *tracks;   /* counted: what stick tables count of it; NULL: nothing (flow_track.c) */
	char *want_frontend;         /* owns: FLOW_POL_PROMOTE's, until the handshake is done */
	uint8_t want_else;           /* enum gateway_else: what to do where that fails */
	uint32_t promotions, demotions;
	const char *end;             /* how it ended: a static word, for the log */
	const char *refused;         /* why it is not promoted: a static word, or NULL */
};

struct flow_table {
	struct l3 *l3;
	struct pool *pool;
	struct htable by_key, by_id;
	struct list all;
	struct list dead;            /* struct flow, by .all */
	struct list cursors;         /* struct flow_cursor */
	uint64_t next_id;
	uint64_t max;                /* global maxflows */
	uint32_t count;
	uint32_t by_state[FLOW_ST_COUNT]; /* as flow_shown() */
	uint32_t offloaded;          /* in OFFLOADED */
};

/* A listing's place: follows when the flow it stands at goes away. */
struct flow_cursor {
	struct list node;
	struct flow *next;           /* NULL: at the end */
};

int flow_table_init(struct flow_table *t, struct l3 *l3);
void flow_table_destroy(struct flow_table *t); /* every flow is gone */

/* The flow between <src> and <dst>, with the side that <src> is in *side; NULL: none. */
struct flow *flow_lookup(const struct flow_table *t, const struct addr *src, const struct addr *dst, int *side);
struct flow *flow_by_id(const struct flow_table *t, uint64_t id);

/* A new record, in OPENING, of a connection from <src> to <dst>. Takes a reference of <gw>. NULL on no memory or when
 * the table is full. The addresses are not in the table yet. */
struct flow *flow_new(struct flow_table *t, struct gateway *gw, const struct addr *src, const struct addr *dst);

/* It is <gw>'s from now on, with its state; its timer begins anew. */
void flow_change_gateway(struct flow *f, struct gateway *gw);
/* Takes it out of table and lists; held packets must have their verdicts. It is freed by flow_reap(). */
void flow_remove(struct flow *f);
/* Frees what was removed: at the end of a batch, when nobody has a pointer any more. */
void flow_reap(struct flow_table *t);

/* The state that users are shown, and that counters count. */
enum flow_state flow_shown(const struct flow *f);
/* The only one who changes the state: counts, checks with flow_assert(), starts the state's timer. */
void flow_set_state(struct flow *f, enum flow_state st);
void flow_assert(const struct flow *f);

/* Starts <tmr>, in place of what ran. */
void flow_set_timer(struct flow *f, enum flow_timer tmr);
/* Something of the flow was seen: its timer begins anew. Not for INSPECT and HOLD, which are limits. */
void flow_touch(struct flow *f);

/* <mark> as packets of the flow have it behind the daemon: with what set-mark set. */
static inline uint32_t flow_mark(const struct flow *f, uint32_t mark)
{
	return (mark & ~f->set_mask) | f->set_mark;
}

void flow_set_frontend(struct flow *f, const char *name);

void flow_cursor_start(struct flow_cursor *c, struct flow_table *t);
struct flow *flow_cursor_next(struct flow_cursor *c, struct flow_table *t); /* NULL: the end */
void flow_cursor_stop(struct flow_cursor *c);

/* A line about this flow for operators, to the gateway's log targets. */
void flow_log(struct flow *f, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
