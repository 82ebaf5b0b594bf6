/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seqtrk.h - what is known of both directions of a TCP connection
 *
 * Pure: numbers in, numbers out; no clock, no log. It sees every segment that
 * the gateway sees and remembers what border needs to impersonate either end
 * at any time: options of the handshake, sequence edges, windows, timestamps.
 *
 * side[0] is the client (who sent the SYN), side[1] the server. A side's fields
 * describe what *it sent*. Everything is kept in the sender's own numbers: its
 * `nxt` as it counts, and its `ack` in the numbers of the peer, who sent what
 * is acknowledged. For a translated flow this means: seq before, ack after
 * translation - give seqtrk_see() the flow's xlate and it is done. What an end
 * knows of its peer is then nxt + delta (xlate_seq()).
 *
 * Only a segment that its receiver would accept (RFC 9293 3.10.7.4, RFC 5961)
 * moves anything; a forged one is answered SEQTRK_BAD_* and leaves no trace.
 *
 * All arithmetic is mod 2^32 (RFC 1982); seq_lt() and friends below.
 */
#ifndef STANDIN_L3_SEQTRK_H
#define STANDIN_L3_SEQTRK_H

#include "core/compiler.h"

struct seg;
struct xlate;

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return seq_lt(b, a);
}

static inline bool seq_ge(uint32_t a, uint32_t b)
{
	return seq_le(b, a);
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? b : a;
}

enum { /* struct seqtrk_side.f */
	SEQTRK_F_SYN   = 0x01, /* SYN seen: isn, mss and options are known */
	SEQTRK_F_NXT   = 0x02, /* nxt is known */
	SEQTRK_F_ACK   = 0x04, /* ack, win, wl1, right are known */
	SEQTRK_F_TSVAL = 0x08, /* tsval is known */
	SEQTRK_F_FIN   = 0x10, /* FIN seen */
	SEQTRK_F_WS    = 0x20, /* its SYN had window scale: wscale */
	SEQTRK_F_SACK  = 0x40, /* its SYN had SACK permitted */
	SEQTRK_F_TS    = 0x80, /* its SYN had timestamps */
};

struct seqtrk_side {
	uint32_t isn;
	uint32_t nxt;     /* the edge: highest sequence end of it that was let through */
	uint32_t ack;     /* highest acknowledgement it sent; the peer's isn: none yet */
	uint32_t win;     /* its newest window, in bytes (scaled) */
	uint32_t wl1;     /* seq of the segment that win is from */
	uint32_t max_win; /* largest it ever advertised, in bytes */
	uint32_t right;   /* highest ack + win it advertised: its peer may send up to here */
	uint32_t told;    /* ack + win of the newest that its peer was let see: segments that are held do not count */
	uint32_t tsval;   /* newest */
	uint16_t mss;     /* of its SYN; 536 (1220 for IPv6) when it gave none */
	uint8_t wscale;   /* of its SYN; in force with SEQTRK_C_WS */
	uint8_t f;        /* SEQTRK_F_* */
};

enum { /* struct seqtrk.f: what is agreed, and what forbids promotion */
	SEQTRK_C_WS     = 0x001, /* both ends have window scale: windows outside SYNs are scaled */
	SEQTRK_C_SACK   = 0x002, /* both ends have SACK */
	SEQTRK_C_TS     = 0x004, /* both ends have timestamps */
	SEQTRK_C_SYNACK = 0x008, /* SYN-ACK seen */
	SEQTRK_C_EST    = 0x010, /* and the ACK that answers it: established */
	SEQTRK_C_MPASK  = 0x020, /* the client asked for MPTCP */
	SEQTRK_C_MPTCP  = 0x040, /* and the server agreed */
	SEQTRK_C_MD5    = 0x080, /* signed (RFC 2385) */
	SEQTRK_C_TFO    = 0x100, /* Fast Open asked, or data in the SYN; informative */
	SEQTRK_C_URG    = 0x200, /* urgent data seen */
	SEQTRK_C_RST    = 0x400, /* a valid RST seen */
	SEQTRK_C_ISNS   = 0x800, /* SYN-ACKs with different ISNs: the client's ACK will tell which */
	SEQTRK_C_LEARNT = 0x1000, /* edges were learnt in mid-flow: acknowledgements may still raise them */
	SEQTRK_C_ADOPTED = 0x2000, /* the handshake passed unseen; what it agreed is the kernel's tracker's word */
	SEQTRK_C_AO     = 0x4000, /* signed (RFC 5925) */
	SEQTRK_C_V6     = 0x8000, /* IPv6: for the default MSS */
	SEQTRK_C_SPARSE = 0x10000, /* pure ACKs may pass unseen: what is known of acknowledgements and windows are lower bounds */
};

struct seqtrk {
	struct seqtrk_side side[2];
	uint32_t f;       /* SEQTRK_C_* */
};
static_assert(sizeof(struct seqtrk) <= 84, "one per flow");

enum seqtrk_res {
	SEQTRK_OK,        /* its receiver accepts it: edges were moved */
	SEQTRK_SYN,       /* first or retransmitted SYN or SYN-ACK of this connection */
	SEQTRK_RESET,     /* a RST that its receiver obeys */
	/* from here on nothing was moved; forward all the same, unless the caller knows better */
	SEQTRK_OLD,       /* all below what its receiver acknowledged: a late retransmission, a keepalive probe */
	SEQTRK_CHALLENGE, /* a RST or SYN that its receiver answers with a challenge ACK (RFC 5961 3, 4), or an ACK
	                   * too old to be heard (5). During a hold a RST of an end whose data is held looks so too. */
	SEQTRK_NEW_SYN,   /* a SYN with another ISN where the old connection allows a new one (both FINs or a RST
	                   * seen, or no answer yet): start anew. */
	SEQTRK_BAD_SEQ,   /* outside its receiver's window */
	SEQTRK_BAD_ACK,   /* acknowledges what was never sent */
	SEQTRK_BAD_FLAGS, /* no ACK, SYN or RST; SYN with FIN or RST */
	SEQTRK_UNKNOWN,   /* nothing to judge it by, and it cannot teach (RST or SYN while relearning) */
	SEQTRK_RES_COUNT
};
extern const char *const seqtrk_res_name[SEQTRK_RES_COUNT];

/* Did the receiver accept it: may it move states and timers? */
static inline bool seqtrk_acceptable(enum seqtrk_res r)
{
	return r <= SEQTRK_RESET;
}

/* Starts from a SYN that comes from the client. */
void seqtrk_init(struct seqtrk *t, const struct seg *syn);
/* Starts without a handshake (no-syn): nothing is known; both directions are learnt. Not promotable, unless adopted. */
void seqtrk_init_blind(struct seqtrk *t, bool v6);

/* What a handshake agreed that passed unseen, or of which only the SYN was seen, as the kernel's tracker knows it. */
struct seqtrk_agreed {
	bool ws, sack;     /* both ends have it */
	uint8_t wscale[2]; /* of each side's SYN; in force with ws */
};
/* Takes that for known. Call it before seqtrk_see() or seqtrk_relearn(): windows seen so far were not scaled. Whether there are
 * timestamps the next segment of each direction tells; a MSS that was not seen is the smallest that everybody
 * takes (RFC 9293 3.7.1). */
void seqtrk_adopt(struct seqtrk *t, const struct seqtrk_agreed *a);

/* A segment of side <d> passes. <x>: the flow's translation, or NULL; <s> is as it came, not yet
 * translated. Judges it and, when acceptable, moves edges, windows, timestamps, flags. */
enum seqtrk_res seqtrk_see(struct seqtrk *t, int d, const struct seg *s, const struct xlate *x);

/* The same without moving `nxt` or noting its FIN: for a segment that is held back, or a pure ACK that passes what is held.
 * Its ACK, window and timestamp count (FACTS §3: ACKs are learnt from held packets too). */
enum seqtrk_res seqtrk_hold(struct seqtrk *t, int d, const struct seg *s, const struct xlate *x);

/* Judges only. */
enum seqtrk_res seqtrk_judge(const struct seqtrk *t, int d, const struct seg *s, const struct xlate *x);

/* Part of the connection passed unseen (offloaded; packets lost by the queue): forgets what moved (nxt,
 * ack, windows), keeps the handshake's facts. The next segment of each direction teaches them again;
 * seqtrk_known() tells when both did and agree. What the kernel let through unseen just before may still be
 * on its way beyond the gateway, above the edge that was learnt: fix no cut before it can have arrived
 * and its receiver has said so (border's promote.c). */
void seqtrk_relearn(struct seqtrk *t);
bool seqtrk_known(const struct seqtrk *t);

/* From now on pure ACKs may pass unseen. All payload, SYNs, FINs and RSTs are seen as before. */
void seqtrk_sparse(struct seqtrk *t);

/* What side <d> sent up to <edge> passed unseen, and pure ACKs of its peer. <all>: and no more than that; else where
 * it stands is learnt again from its next segment. */
void seqtrk_missed(struct seqtrk *t, int d, uint32_t edge, bool all);

/* After demotion border knows better. <nxt[d]>: what side d sent in all, in its own numbers; all of it is
 * acknowledged. <win[d]>: bytes that d may be believed to accept now, <told[d]>: what of it its peer knows of. */
void seqtrk_set(struct seqtrk *t, const uint32_t nxt[2], const uint32_t win[2], const uint32_t told[2]);

/* ---- questions for a cut (FACTS §3). A cut is a sequence number of side <d>, in its own numbers ---- */
enum seqtrk_where {
	SEQTRK_BELOW,     /* ends at or below the cut; pure ACKs at the cut are below */
	SEQTRK_STRADDLES, /* begins below, ends beyond */
	SEQTRK_BEYOND,    /* data or FIN that begins at or beyond the cut */
};
enum seqtrk_where seqtrk_where(const struct seg *s, uint32_t cut);
/* Has the peer acknowledged all that <d> sent below <cut>? False while unknown. */
bool seqtrk_acked(const struct seqtrk *t, int d, uint32_t cut);
/* Is anything of <d> unacknowledged? */
bool seqtrk_in_flight(const struct seqtrk *t, int d);

/* Where the handshake was seen, edges that are not known are no reason: a drain learns them.
 * Why this connection cannot be promoted now, by name ("no-syn", "opening", "mptcp", "md5", "ao", "urgent", "fin",
 * "rst", "unknown"), or NULL when it can. The names are those of `promote_failures`. */
const char *seqtrk_refusal(const struct seqtrk *t);

/* What it does that no second socket can continue: "mptcp", "md5", "ao", "urgent", or NULL. */
const char *seqtrk_unsupported(const struct seqtrk *t);

/* ---- what TCP_REPAIR needs to impersonate one end towards the other (FACTS §1) ---- */
struct seqtrk_repair {
	uint32_t snd_seq;    /* TCP_QUEUE_SEQ of the send queue: in the peer's view of the impersonated end */
	uint32_t rcv_seq;    /* TCP_QUEUE_SEQ of the receive queue: the peer's own next sequence */
	uint16_t mss;        /* TCP_MAXSEG and TCPOPT_MAXSEG: from the peer's SYN */
	uint8_t wscale_peer; /* TCPOPT_WINDOW = peer's | own << 16; both 0 without SEQTRK_C_WS */
	uint8_t wscale_own;
	bool ws, sack, ts;   /* what both have */
	uint32_t snd_wl1;    /* rcv_seq - 1 */
	uint32_t snd_wnd;    /* the peer's last window, bytes */
	uint32_t max_window; /* largest the peer ever advertised, bytes */
	uint32_t rcv_wnd;    /* what the impersonated end last advertised, from rcv_seq on, bytes */
	uint32_t rcv_wup;    /* rcv_seq */
	uint32_t told_wnd;   /* what of rcv_wnd the peer knows of, bytes */
	uint32_t tsval;      /* TCP_TIMESTAMP: even, not below any TSval sent for the impersonated end; 0 without ts */
	uint32_t ts_recent;  /* newest TSval of the peer, informative */
};
/* <as>: the side that is impersonated; the socket talks to side !as. Meant for when both cuts are acked. */
void seqtrk_repair(const struct seqtrk *t, int as, const struct xlate *x, struct seqtrk_repair *out);

#endif
