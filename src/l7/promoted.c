/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * promoted.c - streams whose sockets come from the gateway, and go back to it
 *
 * A promoted stream is accepted nowhere: both descriptors exist. side[1] holds the
 * server pseudo socket from the start, flagged SIDE_PSEUDO, unused until the
 * backend says so; a backend with servers of its own resets it and connects.
 *
 * Where a stream may leave. In mode tcp and in tunnels always. In mode http:
 *   after a request      all of it was sent to the server: the next client byte begins a request
 *   after a head         the response's head was given to the client and its body passes as it came
 *   now                  between requests, or in a body of either direction
 * and never with TLS of ours on either side, after an end of either side was
 * seen, or with bytes of ours in a buffer. promoted_point() is the one that says
 * so; asking, telling and stream_quiet() all go through it.
 */
#include <errno.h>

#include "core/bug.h"
#include "core/clock.h"
#include "l7/stream_priv.h"
#include "l7/tls.h"
#include "policy/sticktable.h"

/* ---- arriving ---- */

static int promoted_refusal(const struct l7 *l7, const struct px_cfg *fe)
{
	if (l7->w->stopping)
		return ESHUTDOWN;
	if (!fe || !fe->rt || fe->disabled)
		return ENOENT;
	if (l7->nb_streams >= l7->maxconn || (fe->maxconn && fe->rt->cur[PX_FE] >= fe->maxconn))
		return EBUSY;
	return 0;
}

void stream_begin(struct stream *s)
{
	task_queue(s->l7->w, &s->starter);
}

struct stream *stream_promote(struct worker *w, const struct cfg_object *frontend, const struct promoted *p)
{
	const struct px_cfg *fe = px_cfg_find(w->epoch, PX_CAP_FE, frontend->name);
	int err = promoted_refusal(w->l7, fe);
	struct stream *s = err ? NULL : stream_new(w->l7, fe);

	if (!s) {
		errno = err ? err : ENOMEM;
		return NULL;
	}
	s->src = p->src;
	s->dst = p->dst;
	if (p->in_if)
		strncpy(s->in_if, p->in_if, sizeof(s->in_if) - 1);
	conn_attach(&s->side[0].conn, p->fd[PROMOTED_CLIENT]);
	conn_attach(&s->side[1].conn, p->fd[PROMOTED_SERVER]);
	s->side[0].flags |= SIDE_PSEUDO;
	s->side[1].flags |= SIDE_PSEUDO;
	if (fe->promoted && fe->promoted->tls) {
		if (conn_tls_accept(&s->side[0].conn, fe->promoted->tls) < 0) {
			conn_detach(&s->side[0].conn);
			conn_detach(&s->side[1].conn);
			s->log.done = true;
			stream_end(s);
			errno = ENOMEM;
			return NULL;
		}
		s->tls_client = true;
	}
	s->pops = p->ops;
	s->powner = p->owner;
	s->tracks = stk_tracks_get(p->tracks);
	s->flow_tracks = p->tracks != NULL;
	fe->rt->c[PX_FE].conn_tot++;
	stream_first_state(s);
	/* the caller is not ready for callbacks yet */
	if (!p->later)
		stream_begin(s);
	return s;
}

/* ---- the server pseudo socket ---- */

bool promoted_server_is_pseudo(const struct stream *s)
{
	return conn_is_open(&s->side[1].conn) && (s->side[1].flags & SIDE_PSEUDO);
}

bool promoted_take_server(struct stream *s)
{
	struct conn *c = &s->side[1].conn;
	struct server *srv = s->srv;

	if (srv && srv->cfg->tls && c->ops == &conn_raw) {
		stream_set_state(s, STREAM_CONNECT);
		s->wait_ms = s->be_cfg->to_connect;
		backend_pseudo_tls(s);
		return true;
	}
	backend_connected(s);
	s->was_reused = s->requests > 1;
	return true;
}

void promoted_server_unused(struct stream *s)
{
	if (!promoted_server_is_pseudo(s))
		return;
	/* a close would leave TIME_WAIT behind, which a new connection of the same two ends would run into */
	s->side[1].flags = 0;
	s->side[1].conn.no_linger = true;
	conn_close(&s->side[1].conn);
	if (s->side[1].rx.area)
		buf_reset(&s->side[1].rx);
	splice_drop(s, 1);
	s->side[1].fwd = s->side[1].sent = 0;
}

/* l7 needs the server pseudo socket no more: it is kept, unwatched, for border to close. */
void promoted_server_done(struct stream *s)
{
	struct side *sd = &s->side[1];

	s->pserver_fd = conn_detach(&sd->conn);
}

/* ---- leaving ---- */

const char *stream_leave_why(const struct stream *s)
{
	if (!s->pops)
		return "not promoted";
	if (s->st == STREAM_DEAD || s->st == STREAM_LINGER)
		return "closing";
	if ((s->side[0].flags | s->side[1].flags) & (SIDE_EOF | SIDE_ERR | SIDE_SHUT | SIDE_SHUT_SOON))
		return "closing";
	if (s->tls_client || s->side[1].conn.ssl)
		return "tls";
	if (!promoted_server_is_pseudo(s))
		return "server side is not the pseudo socket";
	if (s->txn && s->txn->close_client && s->txn->res_st == RES_DONE)
		return "closing";
	return NULL;
}

static bool promoted_buffers_empty(const struct stream *s)
{
	for (int d = 0; d < 2; d++)
		if (s->side[d].rx.data > (d == 0 ? s->side[0].sent : 0) || side_pending_out(s, d))
			return false;
	return true;
}

/* Does the stream stand where it may leave, whatever lies in buffers? */
static bool promoted_point(const struct stream *s)
{
	const struct txn *t = s->txn;
	enum stream_leave_when when = (enum stream_leave_when)(s->leave - 1);

	if (stream_leave_why(s))
		return false;
	if (!s->is_http)
		return s->st == STREAM_XFER;
	if (s->st == STREAM_IDLE)
		return true;
	if (s->st != STREAM_XFER || !t)
		return false;
	if (t->res_st == RES_TUNNEL)
		return true;
	if (t->req_st == REQ_DONE && !side_pending_out(s, 1) && when == LEAVE_AFTER_REQUEST && !t->upgrade &&
	    t->meth != HTTP_METH_CONNECT)
		return true;
	if (t->res_st == RES_BODY || t->res_st == RES_DONE)
		return !side_out_tx(s, 0) && t->req_st == REQ_DONE;
	/* waiting for the response: the request's body may be under way */
	return t->req_st == REQ_BODY && t->sent_any && when == LEAVE_NOW && !side_out_tx(s, 1);
}

/* Is what the client sends next a new request? */
static bool promoted_request_read(const struct stream *s)
{
	const struct txn *t = s->txn;

	if (!s->is_http)
		return false;
	return s->st == STREAM_IDLE || (t && t->req_st == REQ_DONE && !t->upgrade && t->meth != HTTP_METH_CONNECT);
}

int stream_leave_ask(struct stream *s, enum stream_leave_when when)
{
	const char *why = stream_leave_why(s);

	/* the server side may not be chosen yet: ask the backend once it is */
	if (why)
		return -EOPNOTSUPP;
	s->leave = 1 + (int)when;
	s->leave_told = false;
	if (s->pops->asked)
		s->pops->asked(s, s->powner, promoted_request_read(s));
	if (!s->in_process)
		task_queue(s->l7->w, &s->starter);
	return 0;
}

void stream_leave_cancel(struct stream *s)
{
	s->leave = 0;
	s->leave_told = false;
	task_queue(s->l7->w, &s->starter); /* option auto-demote has a time to wait for */
}

bool stream_may_leave(const struct stream *s)
{
	return s->leave && promoted_point(s);
}

bool stream_quiet(const struct stream *s)
{
	return stream_may_leave(s) && promoted_buffers_empty(s);
}

bool stream_is_opaque(const struct stream *s)
{
	return !s->is_http || (s->txn && s->txn->res_st == RES_TUNNEL);
}

void promoted_check(struct stream *s)
{
	if (s->leave_told || s->st == STREAM_DEAD || !promoted_point(s))
		return;
	/* bytes of a body may lie in the buffers: they move on while border waits. A request that lies there does not. */
	if (s->st == STREAM_IDLE && !promoted_buffers_empty(s))
		return;
	s->leave_told = true;
	s->pops->may_leave(s, s->powner);
}

static void promoted_resume(const struct stream *s, struct stream_resume *out)
{
	const struct txn *t = s->txn;

	*out = (struct stream_resume){ .http = s->is_http, .bytes = { s->pbytes[0], s->pbytes[1] },
				       .server_last = s->pbytes[1] && s->plast == 1 };
	if (!s->is_http || (t && t->res_st == RES_TUNNEL)) {
		out->c2s = RESUME_TUNNEL;
	} else if (t && t->req_st == REQ_BODY) {
		out->c2s = RESUME_REQ_BODY;
		out->req = t->req_body;
	} else {
		out->c2s = RESUME_IDLE;
	}
}

void stream_bytes(const struct stream *s, uint64_t bytes[2])
{
	bytes[0] = s->pbytes[0];
	bytes[1] = s->pbytes[1];
}

void stream_detach(struct stream *s, struct stream_resume *out)
{
	BUG_ON(!s->pops || s->st == STREAM_DEAD);
	promoted_resume(s, out);
	conn_detach(&s->side[0].conn);
	conn_detach(&s->side[1].conn);
	s->pops = NULL;
	if (s->is_http && !s->txn)
		s->log.done = true; /* between requests there is nothing to tell */
	else
		stream_term(s, 'L', s->txn && s->txn->res_st == RES_HEAD ? 'H' : 'D');
	s->detached = true;
	stream_end(s);
	out->tracks = s->tracks;
	s->tracks = NULL;
}

void stream_kill(struct stream *s)
{
	if (s->st == STREAM_DEAD)
		return;
	stream_term(s, 'K', s->txn ? 'D' : '-');
	s->killed = true;
	s->side[0].conn.no_linger = s->side[1].conn.no_linger = true;
	stream_end(s);
}

/* The stream ended by itself. */
void promoted_end(struct stream *s)
{
	const struct promoted_ops *ops = s->pops;
	int fd[2];
	bool abort;

	if (!ops)
		return;
	s->pops = NULL;
	/* a server that was given up (pserver_fd) is no reason to take an answer away from the client */
	abort = s->side[0].conn.no_linger || ((s->side[1].flags & SIDE_PSEUDO) && s->side[1].conn.no_linger);
	fd[PROMOTED_CLIENT] = conn_detach(&s->side[0].conn);
	fd[PROMOTED_SERVER] = promoted_server_is_pseudo(s) ? conn_detach(&s->side[1].conn) : s->pserver_fd;
	s->pserver_fd = -1;
	ops->ended(s, s->powner, fd, abort);
}
