/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * conn.h - one end of a stream: a descriptor, perhaps with TLS on it
 *
 * A conn is a file descriptor, the watcher on it and a small table of what
 * can be done with bytes there: plain or TLS. Everything is non-blocking;
 * nobody above knows which it is. conn_want() says what the owner waits for;
 * a TLS layer that must write to read, or read to write, adds to that.
 */
#ifndef STANDIN_L7_CONN_H
#define STANDIN_L7_CONN_H

#include <ev.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/net.h"

struct worker;
struct conn;
struct ssl_st;

struct conn_ops {
	const char *name;
	/* >0: bytes; 0: the peer ended; -EAGAIN; any other -errno: broken */
	ssize_t (*recv)(struct conn *c, void *p, size_t n);
	ssize_t (*send)(struct conn *c, const struct iovec *iov, int cnt);
	/* Bytes that recv() would give without the descriptor becoming readable. */
	bool (*pending)(const struct conn *c);
	/* 0: done; -EAGAIN; other -errno: failed, c->hs_err tells */
	int (*handshake)(struct conn *c);
	/* Nothing will be sent any more: close_notify where there is one. */
	void (*shut)(struct conn *c);
	/* Frees the layer; the descriptor stays. */
	void (*release)(struct conn *c);
};

extern const struct conn_ops conn_raw, conn_tls;

struct conn {
	int fd;                     /* owns; -1: none */
	const struct conn_ops *ops;
	struct ssl_st *ssl;         /* owns; TLS only */
	struct worker *w;
	void (*ready)(struct conn *c, int revents);
	ev_io io;
	uint8_t want;               /* EV_READ | EV_WRITE asked by the owner */
	uint8_t also;               /* what the layer itself waits for */
	bool hs_done;               /* no handshake is under way */
	bool no_linger;             /* close with a reset */
	bool cut;                   /* the peer's end was not announced: TLS without close_notify */
	const char *hs_err;         /* why the handshake failed; static or OpenSSL's */
};

void conn_init(struct conn *c, struct worker *w, void (*ready)(struct conn *c, int revents));
/* Takes <fd> (non-blocking). The layer starts as plain. */
void conn_attach(struct conn *c, int fd);
void conn_want(struct conn *c, int events);
/* Stops watching and gives the descriptor back, open. Frees the layer. */
int conn_detach(struct conn *c);
/* As an end, or as a break (->no_linger): then without a close_notify and with a reset. Safe on a closed conn. */
void conn_close(struct conn *c);
/* Starts a connect to <to> from <from> (NULL: any). 0, or -errno at once; -EINPROGRESS is 0. */
int conn_connect(struct conn *c, const struct sockaddr *to, socklen_t len, const struct addr *from, bool transparent);
int conn_sock_error(const struct conn *c); /* SO_ERROR as 0 or -errno */

static inline bool conn_is_open(const struct conn *c)
{
	return c->fd >= 0;
}

#endif
