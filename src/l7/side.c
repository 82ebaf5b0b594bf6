/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * side.c - bytes in and out of the two sides of a stream
 *
 * Order towards side d: all of side[d].tx, then the approved part of
 * side[!d].rx. A new head is put into tx only when nothing older waits in the
 * other's rx, so this is the order of the messages too.
 *
 * While the request may have to be sent again (txn->replayable) what goes to
 * the server stays in its buffers and only `sent` and `tx_sent` move; when room
 * is needed the keeping ends and the request is not replayable any more.
 */
#include <errno.h>
#include <unistd.h>

#include "core/bug.h"
#include "l7/stream_priv.h"

static bool side_buf(struct stream *s, struct buf *b)
{
	if (b->area)
		return true;
	b->area = pool_alloc(s->l7->p_buf);
	b->size = s->l7->bufsize;
	b->head = b->data = 0;
	return b->area;
}

bool side_need_rx(struct stream *s, int d)
{
	return side_buf(s, &s->side[d].rx);
}

bool side_need_tx(struct stream *s, int d)
{
	return side_buf(s, &s->side[d].tx);
}

static void side_buf_drop(struct stream *s, struct buf *b)
{
	if (!b->area || b->data)
		return;
	pool_free(s->l7->p_buf, b->area);
	*b = (struct buf){ 0 };
}

void side_trim(struct stream *s, int d)
{
	side_buf_drop(s, &s->side[d].rx);
	side_buf_drop(s, &s->side[d].tx);
	splice_trim(s, d);
}

static bool side_keeps(const struct stream *s)
{
	return s->txn && s->txn->replayable;
}

void side_consume(struct stream *s, int d, size_t n)
{
	struct side *sd = &s->side[d];

	BUG_ON(n > sd->rx.data);
	buf_consume(&sd->rx, n);
	sd->fwd = sd->fwd > n ? sd->fwd - n : 0;
	sd->sent = sd->sent > n ? sd->sent - n : 0;
}

void side_keep_end(struct stream *s)
{
	struct side *srv = &s->side[1];

	if (!side_keeps(s))
		return;
	s->txn->replayable = false;
	if (s->side[0].sent)
		side_consume(s, 0, s->side[0].sent);
	buf_consume(&srv->tx, srv->tx_sent);
	srv->tx_sent = 0;
}

void side_rewind(struct stream *s)
{
	s->side[1].tx_sent = 0;
	s->side[0].sent = 0;
	s->side[1].flags &= ~SIDE_STALLED;
	if (!s->txn)
		return;
	s->txn->scan = (struct h1_scan){ 0 };
	s->txn->res.status = 0;
}

void side_drop_out(struct stream *s, int d)
{
	struct side *to = &s->side[d], *from = &s->side[!d];

	if (from->fwd)
		side_consume(s, !d, from->fwd);
	buf_reset(&to->tx);
	to->tx_sent = 0;
	splice_drop(s, !d);
}

bool side_pending_out(const struct stream *s, int d)
{
	return side_out_tx(s, d) || side_out_rx(s, d) || splice_held(s, !d);
}

bool side_room(const struct stream *s, int d)
{
	const struct side *sd = &s->side[d];

	if (splice_held(s, d))
		return false;
	if (!sd->rx.area || buf_room(&sd->rx))
		return true;
	return d == 0 && side_keeps(s) && sd->sent; /* keeping could end */
}

static void side_make_room(struct stream *s, int d)
{
	struct side *sd = &s->side[d];

	if (!buf_room(&sd->rx) && d == 0)
		side_keep_end(s);
	if (!buf_contig_room(&sd->rx))
		buf_align(&sd->rx);
}

static bool side_broke(struct stream *s, int d, int err)
{
	struct side *sd = &s->side[d];

	sd->flags = (sd->flags | SIDE_ERR | SIDE_EOF) & ~SIDE_MORE;
	sd->err = -err;
	return true;
}

/* A read into a pipe. false: it cannot be done this way. */
static bool side_splice(struct stream *s, int d, ssize_t *n)
{
	if (!splice_may(s, d))
		return false;
	*n = splice_in(s, d);
	if (*n != -ENOSYS)
		return true;
	s->side[d].flags |= SIDE_NOSPLICE;
	return false;
}

/* What a read of any kind came to. */
static bool side_was_read(struct stream *s, int d, ssize_t n)
{
	struct side *sd = &s->side[d];

	if (n == -EAGAIN || n == -EINTR) {
		sd->flags &= ~SIDE_MORE;
		return false;
	}
	if (n < 0)
		return side_broke(s, d, (int)n);
	if (n == 0)
		sd->flags = (sd->flags | SIDE_EOF) & ~SIDE_MORE;
	else
		sd->read_ms = stream_now(s);
	return true;
}

bool side_recv(struct stream *s, int d)
{
	struct side *sd = &s->side[d];
	size_t room;
	ssize_t n;

	if (!conn_is_open(&sd->conn) || (sd->flags & (SIDE_EOF | SIDE_ERR)) || !sd->conn.hs_done || splice_held(s, d))
		return false;
	if (side_splice(s, d, &n))
		return side_was_read(s, d, n);
	if (!side_need_rx(s, d))
		return false;
	side_make_room(s, d);
	room = buf_contig_room(&sd->rx);
	if (!room)
		return false;
	n = sd->conn.ops->recv(&sd->conn, buf_tail(&sd->rx), room);
	if (n > 0) {
		sd->rx.data += n;
		if ((size_t)n == room && room == s->l7->bufsize)
			sd->flags |= SIDE_BULK;
		if ((size_t)n == room || sd->conn.ops->pending(&sd->conn))
			sd->flags |= SIDE_MORE;
		else
			sd->flags &= ~SIDE_MORE;
	}
	return side_was_read(s, d, n);
}

/* <n> bytes went to side d: first of tx, then of the other's rx. */
static void side_account(struct stream *s, int d, size_t n)
{
	struct side *to = &s->side[d], *from = &s->side[!d];
	bool keep = d == 1 && side_keeps(s);
	size_t of_tx = MIN(n, side_out_tx(s, d));

	to->write_ms = stream_now(s);
	s->pbytes[!d] += n;
	s->plast = (uint8_t)!d;
	if (d == 0)
		s->log.bytes_out += n;
	to->tx_sent += of_tx;
	from->sent += n - of_tx;
	if (keep)
		return;
	buf_consume(&to->tx, to->tx_sent);
	to->tx_sent = 0;
	side_consume(s, !d, from->sent);
}

static bool side_finish(struct stream *s, int d)
{
	struct side *sd = &s->side[d];

	if (!(sd->flags & SIDE_SHUT_SOON) || (sd->flags & (SIDE_SHUT | SIDE_ERR)) || splice_held(s, !d))
		return false;
	sd->flags |= SIDE_SHUT;
	sd->conn.ops->shut(&sd->conn);
	shutdown(sd->conn.fd, SHUT_WR);
	return true;
}

/* The peer takes no more. A server may have answered and closed: what it sent is still read. If it did not, what is
 * kept may go to another. */
static bool side_send_failed(struct stream *s, int d, int err)
{
	struct side *sd = &s->side[d];

	if (d == 0)
		return side_broke(s, d, err);
	if (!side_keeps(s))
		side_drop_out(s, 1);
	sd->flags |= SIDE_SHUT;
	sd->err = -err;
	if (s->is_http)
		side_recv(s, 1);
	else
		side_broke(s, d, err);
	return true;
}

/* What is in the pipe for side d: everything before it was sent. */
static bool side_send_pipe(struct stream *s, int d)
{
	struct side *to = &s->side[d];
	ssize_t n = splice_out(s, d);

	if (n == -EAGAIN || n == -EINTR) {
		to->flags |= SIDE_STALLED;
		return false;
	}
	if (n < 0)
		return side_send_failed(s, d, (int)n);
	to->write_ms = stream_now(s);
	s->pbytes[!d] += n;
	s->plast = (uint8_t)!d;
	if (d == 0)
		s->log.bytes_out += n;
	if (splice_held(s, !d))
		to->flags |= SIDE_STALLED;
	else
		side_finish(s, d);
	return true;
}

bool side_send(struct stream *s, int d)
{
	struct side *to = &s->side[d], *from = &s->side[!d];
	size_t tx = side_out_tx(s, d), rx = side_out_rx(s, d);
	struct iovec iov[2];
	int cnt = 0;
	ssize_t n;

	if (!tx && !rx && !splice_held(s, !d))
		return side_finish(s, d);
	if (to->flags & (SIDE_SHUT | SIDE_ERR)) {
		if (d == 1 && side_keeps(s))
			return false;
		side_drop_out(s, d);
		return true;
	}
	if (!tx && !rx)
		return side_send_pipe(s, d);
	if (tx)
		iov[cnt++] = (struct iovec){ buf_head(&to->tx) + to->tx_sent, tx };
	if (rx)
		iov[cnt++] = (struct iovec){ buf_head(&from->rx) + from->sent, rx };
	n = to->conn.ops->send(&to->conn, iov, cnt);
	if (n == -EAGAIN || n == -EINTR) {
		to->flags |= SIDE_STALLED;
		return false;
	}
	if (n < 0)
		return side_send_failed(s, d, (int)n);
	side_account(s, d, n);
	if ((size_t)n < tx + rx)
		to->flags |= SIDE_STALLED;
	else
		side_finish(s, d);
	return true;
}

void side_close_server(struct stream *s, bool abort)
{
	struct side *sd = &s->side[1];

	if (abort)
		sd->conn.no_linger = true;
	if (sd->flags & SIDE_PSEUDO)
		promoted_server_done(s);
	else
		conn_close(&sd->conn);
	buf_reset(&sd->rx);
	splice_drop(s, 1);
	sd->fwd = sd->sent = 0;
	sd->flags = 0;
	sd->err = 0;
	server_put(s->conn_srv);
	s->conn_srv = NULL;
}

/* ---- what to wait for ---- */

static int side_events(const struct stream *s, int d)
{
	const struct side *sd = &s->side[d];
	int ev = 0;

	if (d == 1 && s->st == STREAM_CONNECT)
		return sd->conn.hs_done ? EV_WRITE : 0; /* a handshake asks for itself */
	if (d == 0 && s->st == STREAM_HELLO)
		return 0;
	if (!(sd->flags & (SIDE_EOF | SIDE_ERR)) && side_room(s, d))
		ev |= EV_READ;
	if (d == 1 && s->st != STREAM_XFER)
		return ev;
	if ((sd->flags & SIDE_STALLED) && !(sd->flags & (SIDE_SHUT | SIDE_ERR)) && side_pending_out(s, d))
		ev |= EV_WRITE;
	return ev;
}

void side_want(struct stream *s)
{
	for (int d = 0; d < 2; d++)
		if (conn_is_open(&s->side[d].conn))
			conn_want(&s->side[d].conn, side_events(s, d));
}
