/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * border_priv.h - what border's files share: the record of a flow between L3 and L7
 *
 * A flow has a struct border_flow from the moment its drain begins until both
 * pseudo sockets are gone. Sockets are numbered by the side they talk to:
 * fd[FLOW_CLIENT] talks to the client in the server's name. Packets of direction d
 * therefore go to fd[d].
 *
 *   RECALLING f is WATCHED again after it was offloaded: the tracker is learning, and what passed unseen arrives. No
 *             sockets.
 *   DRAINING  f is HELD: both ends are acking what they were sent. No sockets.
 *   CARRYING  f is PROMOTED; the stream has the sockets. On the late list until the queue
 *             has run dry and the kernel may deliver to them directly. Once the stream is asked to
 *             leave, packets come by the queue again, and the client's next request is held (wish.c).
 *   LEAVING   f is LEAVING: packets come by the queue again and new data is held (demote.c).
 */
#ifndef STANDIN_BORDER_PRIV_H
#define STANDIN_BORDER_PRIV_H

#include "border/repair.h"
#include "core/worker.h"
#include "l3/hold.h"
#include "l3/l3.h"
#include "l7/promoted.h"

enum border_state { BORDER_ST_RECALLING, BORDER_ST_DRAINING, BORDER_ST_CARRYING, BORDER_ST_LEAVING };

struct border_flow {
	struct list node;       /* in struct border */
	struct list late;       /* struct border.late: direct delivery is due */
	struct list looks;      /* struct border.looks: on the way, looked at now and then */
	struct list soon;       /* struct border.soon: something happened */
	uint64_t look_us;       /* when the next look is due */
	uint8_t period;         /* which of struct border.looks */
	struct flow *f;
	enum border_state state;
	const char *frontend;   /* DRAINING: where to; the flow table's */
	enum gateway_else els;
	int fd[2];              /* the stream's while there is one */
	struct stream *s;       /* NULL before and after */
	struct list turn;       /* struct border.turns: the stream may leave, and others are leaving */
	bool slot;              /* one of those that are leaving */
	uint32_t snd0[2], rcv0[2]; /* sequences that fd[d] began with */
	bool fresh;             /* the sockets have not been delivered to directly yet: ACKs are lifted to snd0 */
	uint64_t late_us;       /* on the late list since */
	bool waits;             /* so does the stream, with what its sockets get */
	bool midway;            /* bytes were going both ways when the drain began: more of them are in the queue */
	bool direct;            /* the kernel delivers to the sockets; what comes by the queue all the same it did not know */
	bool shut[2];           /* side d had been told of no window worth sending into */
	uint32_t wnd0[2];       /* the window of side d that fd[d] began with, in bytes */
	uint16_t win0[2];       /* window field for segments of d whose ACK is lifted to snd0[d] */
	uint32_t top[2];        /* newest that side d's socket was given, since its packets come by the queue */
	uint32_t cut[2];        /* LEAVING: what side d sent up to here is the socket's, the rest is held */
	uint32_t acked[2];      /* LEAVING: newest ACK of d that the socket was given */
	uint16_t acked_win[2];
	uint64_t silent_us[2];  /* since when nothing came of a side, nor was it probed */
	uint32_t probe_us[2];   /* how long that may last */
	uint64_t start_us;      /* of the recall, the drain, or of leaving */
	bool settling;          /* DRAINING: something passed unseen before; there is no cut of the server's side yet */
	bool asked, heard[2];   /* RECALLING, settling: both sides were asked what they have; which has spoken since */
	uint64_t asked_us;      /* CARRYING: when the stream was asked to leave; 0: it was not */
	uint64_t calm_us;       /* CARRYING: since when it is to come to rest, to leave; 0: it is not */
	bool narrow;            /* its sockets take little at a time, to come to rest */
	uint32_t clamp[2];      /* the window they offer at most; 0: not limited yet */
	bool hold_client;       /* CARRYING: new data of the client is its next request: held */
	bool gap[2];            /* LEAVING: the socket has data out of order */
	uint64_t stuck_us;      /* LEAVING: since when nothing moves; 0: not known yet */
	uint32_t stuck_at;      /* what stood still then */
	bool again;             /* CARRYING: the next look is for asking the stream again */
	uint8_t pause;          /* how long the last such pause was: a period */
	uint64_t tries_us;      /* since when a command that waits tries again; 0: it does not */
	struct task may_leave;  /* the stream said it may */
	struct list waiters;    /* struct border_waiter: commands */
};

#define BORDER_PERIODS 14 /* 1, 2, 4 .. 8192 ms */

/* A command that waits for a promotion or demotion to be done. */
struct border_waiter {
	struct list node;       /* in a border_flow, or on no list */
	struct cli_ctx *ctx;
	bool done;
	const char *why;        /* a static word; NULL: it worked */
};

#define BORDER_STOCK 32 /* sockets: what a batch of packets may need */

struct border_stock {
	int fd[BORDER_STOCK];
	unsigned n;
	bool wanted;            /* by somebody, once */
	uint32_t mark;          /* that they have */
};

struct border {
	struct worker *w;
	struct pool *pool;
	struct list all;        /* struct border_flow, by node */
	struct list late;
	struct list looks[BORDER_PERIODS]; /* struct border_flow: those on their way, by how long they are left alone */
	struct list soon;       /* struct border_flow: to be looked at when the batch or the cycle ends */
	struct list turns;      /* struct border_flow: may leave, when one that leaves is done */
	unsigned leaving;       /* those with a slot */
	unsigned closing;       /* flows without border whose sockets carry them to their end */
	struct task soon_task;
	struct task turn_task;
	struct task stock_task;
	struct border_stock stock[2]; /* IPv4, IPv6 */
	ev_timer timer;         /* the next look */
	uint64_t timer_us;      /* when it fires; UINT64_MAX: idle */
	int diag_fd;            /* sock_diag: for what pseudo sockets leave behind; -1: none */
	struct task late_task;  /* promoted outside of a batch: read the queues until they are dry */
};

static inline struct border *border_of(const struct flow *f)
{
	return f->gw->l3->w->border;
}

/* border.c */
struct border_flow *border_flow_new(struct flow *f);
void border_flow_free(struct border_flow *bf); /* wakes who waits with "ended"; sockets must be gone */
void border_done(struct border_flow *bf, const char *why); /* answers who waits */
void border_deliver(struct visit *v); /* to the pseudo socket, its ACK lifted where it must be */
/* Every held packet goes to the sockets; flow_hold() is gone. */
void border_deliver_held(struct border_flow *bf);
void border_mark(struct border_flow *bf, unsigned value); /* SO_MARK of both */
void border_late(struct border_flow *bf);
void border_begin(struct border_flow *bf); /* the stream may read, if it had to wait */
void border_look(struct border_flow *bf); /* how far is it? It may be gone after */
void border_close(struct border_flow *bf); /* both sockets, silently */

/* watch.c: when a flow on its way is looked at */
void border_watch_init(struct border *b);
void border_watch_stop(struct border *b);
void border_watch(struct border_flow *bf, unsigned period); /* after that, and then again, until border_unwatch() */
void border_soon(struct border_flow *bf);                   /* and when the batch is over: something happened */
void border_unwatch(struct border_flow *bf);
void border_watch_batch(struct border *b);                  /* the batch is over */

/* stock.c */
void border_stock_init(struct border *b);
void border_stock_end(struct border *b);
/* A prepared socket (border/repair.h) and its mark, or -1: none is left. */
int border_stock_take(struct border *b, int family, uint32_t *mark);

/* promote.c */
const char *border_promote(struct flow *f, const char *frontend, enum gateway_else els);
/* The same for an OFFLOADED flow: called back first. */
const char *border_recall(struct flow *f, const char *frontend);
void border_recall_packet(struct visit *v);
void border_recall_poll(struct border_flow *bf);
void border_recall_over(struct border_flow *bf, const char *why);
void border_drain_packet(struct visit *v);
void border_drain_poll(struct border_flow *bf);
void border_drain_over(struct border_flow *bf, const char *why); /* gives up: held packets pass */

/* wish.c */
void border_asked(struct stream *s, void *owner, bool req_done);
void border_wish_poll(struct border_flow *bf);
void border_wish_start(struct border_flow *bf);  /* the stream may leave */
void border_wish_failed(struct border_flow *bf, const char *why); /* it could not leave: asked again, or not */
void border_wish_off(struct border_flow *bf);    /* carries on as if nothing had been asked */
void border_wish_done(struct border_flow *bf);   /* it is somebody else's turn */
void border_wish_turns(struct worker *w, struct task *t);

/* demote.c */
int border_leave_look(struct border_flow *bf, struct repair_queues q[2]);
void border_leave_note_acks(struct border_flow *bf, const struct repair_queues q[2]);
void border_leave_hold(struct border_flow *bf, const struct repair_queues q[2]); /* little is in the sockets */
void border_leave_packet(struct visit *v);
void border_leave_poll(struct border_flow *bf);
void border_leave_cancel(struct border_flow *bf, const char *why);

/* Adds what its stream carried so far, of each side. */
void border_carried(const struct flow *f, uint64_t bytes[2]);

/* ending.c */
void border_ended(struct stream *s, void *owner, int fd[2], bool abort);
bool border_lingers(const struct flow *f);
bool border_replaced(const struct flow *f, int d);

/* sweep.c */
int border_sweep_open(void); /* a descriptor, or -errno */
void border_sweep(const struct border *b, const struct flow *f);
/* The same when the daemon ends, and what they had to deliver with it: their peers are told by a reset, by the kernel or, where
 * that takes them away without a word, from here. */
void border_sweep_last(const struct border *b, const struct flow *f);
/* What the kernel's socket that talks to side <d> is doing: TCP_TIME_WAIT, ...; 0: there is none (any more). */
int border_socket_state(const struct border *b, const struct flow *f, int d);

/* probe.c: small segments of our own. border_probe() asks side <to> to acknowledge what it has, now */
struct border_probe {
	int to;
	uint32_t una;           /* the lowest of ours that it has not acknowledged, in its view */
	uint32_t ack;           /* what whom we speak for has of it, and has said */
	uint32_t win;           /* bytes */
	uint32_t tsval;         /* with timestamps: newest that it was sent */
};
void border_probe_start(struct border_flow *bf, uint32_t after_us);
bool border_probe_due(struct border_flow *bf, int to);
void border_probe_heard(struct border_flow *bf, int d); /* a packet of side d came */
void border_probe(struct flow *f, const struct border_probe *pr);
/* Can side <to> send nothing, or only dribbles, into a window of <win> bytes? Then it waits for a larger one. */
bool border_window_is_shut(const struct flow *f, int to, uint32_t win);
/* Tells side <to> of a window, in the other's name, by a pure ACK; <una> is the sequence it has. For a flow without sockets. */
void border_tell_window(struct flow *f, const struct border_probe *pr);
/* Makes the socket that talks to side <to> say what window it offers, in that side's name: una is what the side has
 * acknowledged, ack what it has sent, win what it takes. */
void border_poke(struct border_flow *bf, const struct border_probe *pr);

extern const struct promoted_ops border_stream_ops;

#endif
