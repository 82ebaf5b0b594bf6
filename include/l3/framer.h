/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * framer.h - where the turns of a forwarded connection begin
 *
 * A turn is the unit of decision (doc/internals/l3.md): for HTTP one request, found by framing the client's bytes; for
 * any other protocol it begins with the client's first payload after the server's last. The framer sees the client's
 * payload in order and says at which byte the next turn begins. It keeps no bytes, no pointers and no clock: what
 * is not yet judged is the caller's held payload, and the struct is a few words beside a flow.
 *
 * How a caller runs it, with the flow's held payload as one contiguous run <held>:
 *
 *     on the client's next in-order payload, when nothing is held:
 *             off = framer_feed(fr, p, n);
 *             off == n           forward it: it belongs to the turn under way (or to none)
 *             0 <= off < n       the bytes below <off> belong to the turn under way; a new turn begins at <off>:
 *                                hold from there on (or the whole segment), then "judge"
 *             off < 0            framing is lost (fr->why): promote, or do what the policy says instead
 *     judge, also whenever <held> grew:
 *             framer_look(fr, held, len, &head)
 *             FRAMER_MORE        wait for more payload, with a limit; at the limit framer_lose(fr, FRAMER_WHY_HELD)
 *             FRAMER_REQUEST     run the content rules with the request's head
 *             FRAMER_OPAQUE      run them on the payload alone
 *             FRAMER_LOST        as off < 0
 *     when the rules say "watch" (forward this turn): the held bytes are now passed to framer_feed(), from the
 *             turn's first byte on; it may answer that the next turn begins inside them (pipelining): judge again
 *     on the server's next new payload (not on retransmissions):
 *             framer_server(fr, p, n)
 *
 * While an HTTP request has an incomplete head nothing of it can be passed on, whatever the rules say: without the
 * head nobody knows where the turn ends. Where rules say "forward" the framer is no longer asked.
 *
 * Limits. Responses are not framed, so that they need not wait: of the server's bytes only the first after an
 * Upgrade or CONNECT request are looked at, to see whether it agreed. A client that pipelines behind such a request
 * is a loss of framing.
 */
#ifndef STANDIN_L3_FRAMER_H
#define STANDIN_L3_FRAMER_H

#include "proto/h1.h"

/* States. The first byte of a turn is always met in START, IDLE, ANSWER or OPAQUE, and leads to TURN. */
enum framer_st {
	FRAMER_ST_START,  /* no client payload so far; also after framer_init(). -> TURN */
	FRAMER_ST_TURN,   /* a turn begins with the next byte to be fed; look() judges it -> READY, LOST */
	FRAMER_ST_READY,  /* judged: feed() takes it from its first byte on -> REQUEST, OPAQUE */
	FRAMER_ST_REQUEST,/* inside a request's head or body -> IDLE, ANSWER, LOST */
	FRAMER_ST_IDLE,   /* HTTP, between requests -> TURN, LOST */
	FRAMER_ST_ANSWER, /* after an Upgrade or CONNECT request: the server's answer says what follows -> TURN, LOST */
	FRAMER_ST_OPAQUE, /* turns by change of direction -> TURN when the server spoke */
	FRAMER_ST_LOST,   /* final until framer_init() or framer_resume() */
	FRAMER_ST_COUNT
};
extern const char *const framer_st_name[FRAMER_ST_COUNT];

enum framer_why { /* framing was lost because */
	FRAMER_WHY_NONE,
	FRAMER_WHY_HEAD,     /* the head of a request is invalid; fr->err has the parser's reason */
	FRAMER_WHY_BODY,     /* so is a chunked body; fr->err */
	FRAMER_WHY_REPEATED, /* a repeated Content-Length: equal for us, but who knows for the server */
	FRAMER_WHY_UPGRADE,  /* bytes behind an Upgrade or CONNECT whose answer is not known */
	FRAMER_WHY_UNSEEN,   /* bytes were needed that the caller did not have (copied short) */
	FRAMER_WHY_HELD,     /* caller: the hold ran out before the turn could be judged */
	FRAMER_WHY_GAP,      /* caller: client bytes passed unseen */
	FRAMER_WHY_COUNT
};
extern const char *const framer_why_name[FRAMER_WHY_COUNT]; /* for counters and logs */

/* 32 bytes; may be copied. */
struct framer {
	uint8_t state;      /* enum framer_st */
	uint8_t flags;      /* FRAMER_F_* of framer.c */
	uint8_t why, err;   /* with FRAMER_ST_LOST: enum framer_why, enum h1_err */
	uint8_t blank;      /* IDLE: bytes of empty lines passed */
	uint32_t head_left; /* READY, REQUEST: bytes of the head still to be fed */
	union {
		struct h1_scan scan; /* TURN */
		struct h1_body body; /* READY, REQUEST */
	};
};

enum framer_look { FRAMER_MORE, FRAMER_REQUEST, FRAMER_OPAQUE, FRAMER_LOST };

/* A connection seen from its start: the client's first payload begins its first turn. */
void framer_init(struct framer *fr);

/* Goes on where an L7 stream stopped (l7/promoted.h). <body>: with FRAMER_RESUME_BODY what is left of the
 * request's; copied. After FRAMER_RESUME_TUNNEL the turn under way goes on until the server speaks. */
enum framer_resume {
	FRAMER_RESUME_IDLE,   /* the client's next byte begins a request */
	FRAMER_RESUME_BODY,   /* a request's body is under way */
	FRAMER_RESUME_TUNNEL, /* opaque */
};
void framer_resume(struct framer *fr, enum framer_resume how, const struct h1_body *body);

/* The client's next <n> bytes, in order and each once. Returns the offset in 0..n at which a new turn begins, n when
 * none does; -1: framing is lost. Bytes from the offset on are not taken: they come again, with what follows them,
 * after framer_look() judged the turn. <p> may be NULL when framer_blind() is at least <n>. */
ssize_t framer_feed(struct framer *fr, const char *p, size_t n);

/* Judges the turn that begins at <p>. To be asked again with the same bytes and more of them while it answers
 * FRAMER_MORE; asking again after another answer is allowed and gives the same. <head>: as for h1_head_parse() (hdr
 * and max_hdr set), filled with views into <p> with FRAMER_REQUEST; NULL when the caller does not need it (then more
 * than FRAMER_MAX_HDR headers are a loss). */
#define FRAMER_MAX_HDR 101
enum framer_look framer_look(struct framer *fr, const char *p, size_t n, struct http_head *head);

/* The server sent <n> new bytes of payload. <p>: the first <have> of them, NULL and 0 when their contents are not at
 * hand (they are only looked at after an Upgrade or CONNECT request, and then 12 suffice). */
void framer_server(struct framer *fr, const char *p, size_t have, size_t n);

/* How many of the client's next bytes need not be seen: data of a body, or all (UINT64_MAX). */
uint64_t framer_blind(const struct framer *fr);

/* The caller cannot go on: FRAMER_WHY_HELD or FRAMER_WHY_GAP. */
void framer_lose(struct framer *fr, enum framer_why why);

/* Between turns a framer is at rest, and few bits tell all of it: one of the first three, and whether the server spoke since. */
enum {
	FRAMER_REST_START = 1, /* no client payload so far */
	FRAMER_REST_IDLE,      /* HTTP, between requests */
	FRAMER_REST_OPAQUE,    /* in a turn of bytes that are not looked at, or behind it */
	FRAMER_REST_SPOKE = 4, /* OR: the server sent payload */
};
/* These bits, or 0: it is not at rest. */
uint8_t framer_rest(const struct framer *fr);
/* As it was when framer_rest() gave <rest>, which is not 0. */
void framer_wake(struct framer *fr, uint8_t rest);

/* A turn has begun and is held, judged or not. */
static inline bool framer_in_turn(const struct framer *fr)
{
	return fr->state == FRAMER_ST_TURN || fr->state == FRAMER_ST_READY;
}

#endif
