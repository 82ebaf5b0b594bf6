/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * repair.h - pseudo sockets: TCP sockets made from a connection that others opened
 *
 * Pure system calls: no flow, no stream. The recipe and its order are FACTS §1
 * (making) and §4 (taking apart). Needs CAP_NET_ADMIN.
 */
#ifndef STANDIN_BORDER_REPAIR_H
#define STANDIN_BORDER_REPAIR_H

#include "core/net.h"

/* One end of a connection, as a socket that impersonates `local` towards `peer`. Windows are in bytes. */
struct repair_spec {
	struct addr local, peer;
	uint32_t snd_seq;          /* next byte we send to the peer */
	uint32_t rcv_seq;          /* next byte we expect from it */
	uint16_t peer_mss;         /* from the peer's SYN; 0: none was given */
	uint8_t peer_wscale, local_wscale; /* 0 when there is none */
	bool sack, timestamps;     /* both ends have it */
	uint32_t snd_wnd;          /* the peer's last window */
	uint32_t max_wnd;          /* the largest it ever offered */
	uint32_t rcv_wnd;          /* what the impersonated end last offered, from rcv_seq on */
	uint32_t tsval;            /* newest TSval sent to the peer for the impersonated end */
	uint32_t mark;             /* SO_MARK */
	int fd;                    /* made by repair_prepare() for this family, now repair_make()'s; -1: none */
	uint32_t fd_mark;          /* the mark that one has */
};

/* What a socket under repair stands at. */
struct repair_state {
	uint8_t tcp_state;         /* TCP_ESTABLISHED, ... */
	uint32_t snd_seq, rcv_seq; /* next byte to send, next byte expected */
	uint32_t snd_wnd, rcv_wnd;
	uint32_t tsval;            /* what a segment sent now would carry */
};

/* How much waits in a socket's queues. */
struct repair_queues {
	int readable;   /* in-order bytes not read */
	int unacked;    /* bytes written and not acked by the peer, FIN included */
	int unsent;     /* of them, not sent yet */
	uint32_t rmem;  /* receive memory in use: above 0 with readable 0 is out-of-order data */
	uint32_t backlog;
	uint32_t received; /* sequence numbers received in order since the socket was made, mod 2^32 */
	uint32_t acked;    /* bytes that the peer acknowledged since then, mod 2^32 */
	uint32_t snd_wnd;  /* what the peer accepts, in bytes; 0 before Linux 5.4 */
	uint32_t rcv_wnd;  /* what we offered last, in bytes; 0 before Linux 6.2 */
	uint8_t tcp_state;
};

/* Half of repair_make(), which knows nothing of the connection yet: for a stock. A descriptor, or -errno with *step naming
 * the call that failed. Neither bound nor connected: close() is all that it needs. */
int repair_prepare(int family, uint32_t mark, const char **step);
/* Makes the socket, established, not reading yet: nothing is sent. *fd on success. -errno, with *step naming the
 * call that failed; spec->fd is closed then. */
int repair_make(const struct repair_spec *spec, int *fd, const char **step);

/* SO_MARK: where the peer's packets go (l3/mark.h). 0 or -errno. */
int repair_set_mark(int fd, uint32_t mark);
/* Caps the window we offer from now on. */
void repair_clamp_window(int fd, uint32_t bytes);
/* The same behind a cap of less than a segment. With a larger cap alone the window would stay shut: the kernel lets it grow with what
 * arrives (tcp_set_window_clamp(), tcp_grow_window()), and nothing can. What is offered then is said with the next ACK. */
void repair_open_window(int fd, uint32_t bytes);
/* Caps what the socket takes that is not sent yet. */
void repair_limit_unsent(int fd, uint32_t bytes);
int repair_queues(int fd, struct repair_queues *q);

/* The TSval that a segment sent now would carry. */
uint32_t repair_tsval(int fd);

/* Repair on; reads where the socket stands. A socket under repair still receives and acks. On failure repair is
 * off again. */
int repair_freeze(int fd, struct repair_state *st);
/* Repair off, without a window probe. */
int repair_thaw(int fd);
/* Closes under repair: nothing is sent, no TIME_WAIT stays. *fd becomes -1. */
void repair_close(int *fd);

#endif
