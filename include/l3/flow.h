/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flow.h - the record of one forwarded connection, and the table of them
 *
 * The record is the truth about a connection; marks and kernel translation are
 * caches of it. It is found by the two addresses and ports its first packet had
 * when it was forwarded, in either order; lookup tells from which side a packet
 * comes.
 *
 * The record itself is what a connection needs for its whole life, in 240 bytes. What only some
 * need, or all for a moment, is in records of their own:
 *
 *   flow ---- ext ---+-- turn     a turn under way (turn.c)
 *                    +-- hold     packets without a verdict (hold.c)
 *                    +-- border   promoted, or on the way (border)
 *                    +-- tracks   what stick tables count of it (flow_track.c)
 *                    +   xl, promotions, set-mark ...
 *
 * Each may be absent, and to make one may fail: then the connection goes on without what it was for,
 * with the reason counted. None is made for a packet as such, only where a state changes.
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
#include "core/slots.h"
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
	FLOW_TMR_SYN,     /* handshake not done; or it began unseen, and only one end was heard of */
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

/* A turn under way: what framing needs between its first byte and the end of what answers it. Between turns a few bits
 * of the record do (framer_rest()), so a connection that idles costs no more than its record. */
struct flow_turn {
	struct framer framer;
	struct answers answers;      /* what the server owes, as long as the framer reads HTTP */
};

/* What only some connections need, or all for a moment: made at first need, given back when nothing in it is in use. A
 * promotion leaves it for the connection's life. */
struct flow_ext {
	struct hold *hold;           /* owns: packets without a verdict; NULL: none */
	struct flow_turn *turn;      /* owns: NULL: none is under way, or turns are not looked at (flow.rest) */
	struct border_flow *border;  /* border's: NULL when neither promoted nor on the way */
	struct stk_tracks *tracks;   /* counted: what stick tables count of it; NULL: nothing (flow_track.c) */
	const char *frontend;        /* promoted into last; before, with FLOW_POL_PROMOTE, to be promoted into. The table's. */
	struct xlate xl;             /* in use unless xlate_by is NONE */
	uint32_t promotions, demotions;
	uint32_t set_mark, set_mask; /* set-mark: of packets and sockets from here on; set_mask 0: nothing */
	uint8_t want_else;           /* enum gateway_else: what to do where FLOW_POL_PROMOTE's promotion fails */
	uint8_t tos;                 /* set-tos */
	bool has_tos : 1;
	bool no_handover : 1;        /* the kernel would not have its translation */
	bool adjusted : 1;           /* it has had it, and packets on their way may still carry that entry */
};

/* What every connection needs for its whole life. There may be a million. */
struct flow {
	struct hnode by_key;
	uint32_t framer_seq;         /* the client's byte that framer_feed() is given next, in the client's numbers */
	struct list tmr;             /* gateway's list of its timer; flow_table.dead */
	uint64_t id;
	struct addr side[2];         /* [FLOW_CLIENT] sent the first packet */
	struct gateway *gw;          /* counted */
	struct flow_ext *ext;        /* owns: NULL: nothing in it is in use */
	uint64_t bytes[2];           /* payload: as queued to us, or as pseudo sockets sent it on; of those in use now, see
				      * l3_flow_bytes() */
	uint64_t packets : 47;       /* as queued to us */
	uint64_t renewed : 1;        /* the kernel's tracker has another entry of it than its SYN made */
	uint64_t end_word : 8;       /* flow_end(), flow_refused() */
	uint64_t refused_word : 8;
	uint64_t created_ms : 47;
	uint64_t queue : 17;         /* flow_queue(): its first number, plus one */
	uint32_t touched_ms;         /* its lower half, see flow_touched() */
	uint32_t foreign_mark;       /* others' bits of the newest packet's mark, with what set-mark set */
	uint32_t in_if, out_if;      /* of the first packet */
	uint32_t verdict_flush;      /* its queue's flushes when its newest verdict was given: the same now, and that is not
				      * sent yet */
	uint32_t held_us;            /* longest that a packet of it waited for its verdict */
	uint32_t state : 3, was : 3; /* enum flow_state; was: the state before CLOSING */
	uint32_t timer : 3;          /* enum flow_timer */
	uint32_t policy : 3;
	uint32_t seen : 2, xlate_by : 2;
	uint32_t mark_class : 3;     /* enum mark_class: what the connection mark says, as far as we know */
	uint32_t want_class : 3;     /* what it should say: the next verdict sees to it */
	uint32_t last_dir : 1;       /* who sent the newest payload */
	uint32_t rest : 3;           /* framing between turns: FRAMER_REST_*; 0: turns are not looked at, or one is under way */
	uint32_t answers_lost : 1;   /* with rest: nobody knows what the server owes */
	uint32_t dead : 1;           /* out of the table; freed when the batch is over */
	uint32_t recalled : 1;       /* WATCHED again after OFFLOADED: border waits until the tracker has learnt it */
	uint32_t sockets : 1;        /* CLOSING: pseudo sockets carry it to its end; what comes goes to them */
	uint32_t ended : 1;          /* its log line was written */
	uint32_t traced : 1;         /* somebody listens (trace.h) */
	struct seqtrk trk;
};
static_assert(sizeof(struct flow) <= 240, "with its share of the table (a pointer or two) a flow takes 256 bytes");
static_assert(FLOW_ST_COUNT <= 8 && FLOW_TMR_COUNT < 8 && FLOW_POL_NONE < 8 && MARK_BULK < 8, "bit fields of struct flow");

static inline struct hold *flow_hold(const struct flow *f)
{
	return f->ext ? f->ext->hold : NULL;
}

static inline struct border_flow *flow_border(const struct flow *f)
{
	return f->ext ? f->ext->border : NULL;
}

static inline struct stk_tracks *flow_tracks(const struct flow *f)
{
	return f->ext ? f->ext->tracks : NULL;
}

static inline struct flow_turn *flow_turn(const struct flow *f)
{
	return f->ext ? f->ext->turn : NULL;
}

/* Its translation; NULL: there is none. */
static inline struct xlate *flow_xlate(const struct flow *f)
{
	return f->xlate_by != FLOW_XLATE_NONE ? &f->ext->xl : NULL;
}

static inline uint32_t flow_promotions(const struct flow *f)
{
	return f->ext ? f->ext->promotions : 0;
}

static inline uint32_t flow_demotions(const struct flow *f)
{
	return f->ext ? f->ext->demotions : 0;
}

/* The frontend that it was promoted into last; NULL: never. */
static inline const char *flow_frontend(const struct flow *f)
{
	return flow_promotions(f) ? f->ext->frontend : NULL;
}

/* <mark> as packets of the flow have it behind the daemon: with what set-mark set. */
static inline uint32_t flow_mark(const struct flow *f, uint32_t mark)
{
	return f->ext ? (mark & ~f->ext->set_mask) | f->ext->set_mark : mark;
}

static inline bool flow_has_tos(const struct flow *f)
{
	return f->ext && f->ext->has_tos;
}

/* Static words, kept as small numbers: <word> must live as long as the program. */
struct flow_words {
	const char *word[256];       /* [0]: NULL */
	unsigned n;
};

struct flow_table {
	struct l3 *l3;
	struct slots flows;          /* struct flow, by id */
	struct pool *exts, *turns;
	struct htable by_key;
	struct list names;           /* struct flow_name: of frontends that were promoted into */
	struct flow_words words;
	struct list dead;            /* struct flow, by .tmr */
	uint64_t max;                /* global maxflows */
	uint32_t count;
	uint32_t by_state[FLOW_ST_COUNT]; /* as flow_shown() */
	uint32_t offloaded;          /* in OFFLOADED */
};

int flow_table_init(struct flow_table *t, struct l3 *l3);
void flow_table_destroy(struct flow_table *t); /* every flow is gone */

/* The flow between <src> and <dst>, with the side that <src> is in *side; NULL: none. */
struct flow *flow_lookup(const struct flow_table *t, const struct addr *src, const struct addr *dst, int *side);
struct flow *flow_by_id(const struct flow_table *t, uint64_t id);

/* A new record, in OPENING, of a connection from <src> to <dst>. Takes a reference of <gw>. NULL on no memory or when
 * the table is full. The addresses are not in the table yet. Its id is never given again. */
struct flow *flow_new(struct flow_table *t, struct gateway *gw, const struct addr *src, const struct addr *dst);

/* It is <gw>'s from now on, with its state; its timer begins anew. */
void flow_change_gateway(struct flow *f, struct gateway *gw);
/* Takes it out of table and lists; held packets must have their verdicts. It is freed by flow_reap(). */
void flow_remove(struct flow *f);
/* Frees what was removed: at the end of a batch, when nobody has a pointer any more. */
void flow_reap(struct flow_table *t);

/* Were both ends heard of? */
bool flow_is_answered(const struct flow *f);
/* The state that users are shown, and that counters count. */
enum flow_state flow_shown(const struct flow *f);
/* The only one who changes the state: counts, checks with flow_assert(), starts the state's timer. */
void flow_set_state(struct flow *f, enum flow_state st);
void flow_assert(const struct flow *f);

/* Starts <tmr>, in place of what ran. */
void flow_set_timer(struct flow *f, enum flow_timer tmr);
/* Something of the flow was seen, which its receiver takes: its timer begins anew. Not for INSPECT and HOLD, which are limits. */
void flow_touch(struct flow *f);

/* The table's next flow in the order of places, from *<at> on, which moves on; NULL: there is none. Begin with 0. Flows may come
 * and go meanwhile. */
struct flow *flow_next(const struct flow_table *t, uint32_t *at);

/* Its extension, made when there is none. NULL on no memory. */
struct flow_ext *flow_ext(struct flow *f) MUST_CHECK;
/* Something in its extension went: gives it back when it was the last. */
void flow_ext_trim(struct flow *f);
/* A turn begins: makes flow_turn(), zeroed. NULL on no memory. */
struct flow_turn *flow_turn_new(struct flow *f) MUST_CHECK;
void flow_turn_free(struct flow *f); /* if there is one */

/* How it ended, and why it is not promoted; NULL: it has not, nothing stands against it. */
const char *flow_end(const struct flow *f);
const char *flow_refused(const struct flow *f);
void flow_set_end(struct flow *f, const char *word);
void flow_set_refused(struct flow *f, const char *word); /* NULL: takes it back */

/* The table's copy of a frontend's name, as long as the table lives. NULL on no memory. */
const char *flow_name(struct flow_table *t, const char *name);

/* Where its packets came from last; NULL when that closed. */
struct pktq *flow_queue(const struct flow *f);
void flow_set_queue(struct flow *f, const struct pktq *q);
bool flow_came_by(const struct flow *f, const struct pktq *q);

/* When it was touched last, in clock_ms(), not more than 49 days ago. */
uint64_t flow_touched(const struct flow *f);

/* A line about this flow for operators, to the gateway's log targets. */
void flow_log(struct flow *f, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
