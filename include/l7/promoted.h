/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * promoted.h - how border hands live connections to l7, and takes them back
 *
 * A promoted stream is a stream like any other whose two connections exist
 * from the start: its client side is the client pseudo socket; its server side
 * is the server pseudo socket when the backend says `option transparent` (or
 * `server x promoted@`), else the server pseudo socket is closed and the
 * backend connects as usual.
 *
 * Leaving (border drives, doc/internals/border.md, FACTS §4):
 *   1. a rule or the operator asks: stream_leave_ask(). At the moment asked for l7 calls
 *      ops->may_leave() once the stream stands at a point from which it may leave: server side
 *      is the pseudo socket, no TLS of ours, at a message boundary or in a body that is passed on as
 *      it came. stream_leave_cancel() takes the wish back.
 *   2. border holds the flow's packets and lets the stream run on. Whenever it wants to know it asks
 *      stream_quiet(): nothing waits in the stream's buffers in either direction (bytes may
 *      still be in the kernel's).
 *   3. stream_detach() gives both descriptors back, untouched and open, fills *out and frees the
 *      stream (its log line says it was demoted). Point of no return is border's.
 */
#ifndef STANDIN_L7_PROMOTED_H
#define STANDIN_L7_PROMOTED_H

#include "core/net.h"
#include "proto/h1.h"

struct worker;
struct stream;
struct stk_tracks;
struct cfg_object;

enum { PROMOTED_CLIENT, PROMOTED_SERVER };

/* What the L3 framer must know to go on where l7 stopped. */
struct stream_resume {
	bool http;                 /* the stream was in mode http */
	enum { RESUME_IDLE,        /* between requests: next client byte begins a request */
	       RESUME_REQ_BODY,    /* request body under way: req tells what is left */
	       RESUME_TUNNEL,      /* opaque (upgrade, CONNECT, mode tcp) */
	} c2s;
	struct h1_body req;        /* framing left of the request under way */
	bool server_last;          /* the newest bytes were the server's: the client's next begin a turn */
	uint64_t bytes[2];         /* carried in each direction while promoted: [0] c2s, [1] s2c */
	struct stk_tracks *tracks; /* what the stream tracked, or NULL: counted, the taker's */
};

struct promoted_ops {
	/* The stream was asked to leave; nothing was sent since. <req_done>: the request under way was read to its end, so
	 * what the client sends from now on is its next, which is not for this stream. May be NULL. */
	void (*asked)(struct stream *s, void *owner, bool req_done);
	/* The stream, asked to leave, may. Border answers by its own steps 2 and 3, later: not from inside. */
	void (*may_leave)(struct stream *s, void *owner);
	/* The stream ended by itself. Border gets whichever pseudo sockets l7 still had open, to close them
	 * without leaving TIME_WAIT behind; -1 where l7 closed (non-transparent server side). <abort>: the
	 * other end must see a reset. */
	void (*ended)(struct stream *s, void *owner, int fd[2], bool abort);
};

struct promoted {
	int fd[2];                 /* client and server pseudo socket, non-blocking; the stream's on success */
	struct addr src, dst;      /* the client's, and the server it connected to */
	const char *in_if;         /* or NULL */
	struct stk_tracks *tracks; /* what stick tables count of the connection, or NULL; the stream counts it, too */
	bool later;                /* the stream reads nothing until stream_begin() */
	const struct promoted_ops *ops;
	void *owner;               /* the flow's border record */
};

/* <frontend>: a cfg_object of kind "frontend" (or "listen") in the worker's current epoch. Returns the stream, or
 * NULL with errno: ENOENT, ENOMEM, EBUSY (maxconn), ESHUTDOWN. On failure the descriptors stay the caller's. */
struct stream *stream_promote(struct worker *w, const struct cfg_object *frontend, const struct promoted *p);
/* For one that was to wait. */
void stream_begin(struct stream *s);

/* When a `demote` rule takes effect. Called from the rule's exec() with ctx->owner of an l7 rule set. */
enum stream_leave_when { LEAVE_NOW, LEAVE_AFTER_REQUEST, LEAVE_AFTER_RESPONSE_HEAD };
/* 0: may_leave() will come, once; -EOPNOTSUPP: it never can (reason below). A stream that was accepted, not
 * promoted, always answers -EOPNOTSUPP. */
int stream_leave_ask(struct stream *s, enum stream_leave_when when);
const char *stream_leave_why(const struct stream *s); /* "server side is not the pseudo socket", "tls", ... or NULL */
void stream_leave_cancel(struct stream *s);
bool stream_quiet(const struct stream *s);
/* Asked to leave: does it (still) stand at a point from which it may? What is in its buffers does not matter. */
bool stream_may_leave(const struct stream *s);
/* Mode tcp, or a tunnel: no message begins or ends in what it carries. */
bool stream_is_opaque(const struct stream *s);
void stream_bytes(const struct stream *s, uint64_t bytes[2]); /* sent on since it was promoted: of [0] the client, [1] the server */
void stream_detach(struct stream *s, struct stream_resume *out);
void stream_kill(struct stream *s);       /* ends it now, as `shutdown session`; ended() is called */

#endif
