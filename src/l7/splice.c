/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * splice.c - bytes from one socket to the other through a pipe, without a copy
 *
 * Where nobody has to look at them: in mode tcp and in tunnels once the rules had their bytes, and in those parts of
 * HTTP bodies whose length is known (h1_body_blind()). TLS has to see everything.
 *
 * What was read from side d and is in the pipe stands behind side[d].rx: nothing is read while the pipe holds
 * anything, and it is filled only when rx is empty, so the order is tx, rx, pipe. One filling at a time: splice()
 * answers EAGAIN both for an empty socket and for a full pipe, and so there is never a doubt which it was.
 *
 * `option splice-request` and `splice-response` always want it; `splice-auto` when a read filled the buffer
 * (SIDE_BULK), until a filling comes out small: for messages the two calls cost the same as recv() and send(), and
 * the pipe comes on top.
 *
 * Pipes are kept for the next stream, up to `maxpipes`. One that still holds bytes nobody wants is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/bug.h"
#include "l7/stream_priv.h"

#define SPLICE_PIPE  (512 * 1024) /* bytes of room; the number of segments it takes follows from that */
#define SPLICE_MIN   (16 * 1024)  /* a shorter rest of a body is not worth it */
#define SPLICE_SMALL (8 * 1024)   /* splice-auto: less at a time is no bulk */
#define SPLICE_MORE  (128 * 1024) /* so much at a time: there is probably more */

struct splice_pipe {
	struct list node; /* in l7->pipes while free */
	int rd, wr;       /* owns */
	size_t data;
};

/* ---- pipes ---- */

static void pipe_close(struct l7 *l7, struct splice_pipe *p)
{
	close(p->rd);
	close(p->wr);
	free(p);
	l7->nb_pipes--;
}

static struct splice_pipe *pipe_get(struct l7 *l7)
{
	struct splice_pipe *p;
	int fd[2];

	if (!list_empty(&l7->pipes)) {
		p = list_first(&l7->pipes, struct splice_pipe, node);
		list_del(&p->node);
		l7->nb_pipes_free--;
		return p;
	}
	if (l7->nb_pipes >= l7->maxpipes)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p || pipe2(fd, O_NONBLOCK | O_CLOEXEC) < 0) {
		free(p);
		return NULL;
	}
	fcntl(fd[0], F_SETPIPE_SZ, SPLICE_PIPE); /* or what it had */
	list_init(&p->node);
	p->rd = fd[0];
	p->wr = fd[1];
	l7->nb_pipes++;
	return p;
}

void splice_trim(struct stream *s, int d)
{
	struct splice_pipe *p = s->side[d].pipe;
	struct l7 *l7 = s->l7;

	if (!p || p->data)
		return;
	s->side[d].pipe = NULL;
	if (l7->nb_pipes > l7->maxpipes) {
		pipe_close(l7, p);
		return;
	}
	list_add(&l7->pipes, &p->node);
	l7->nb_pipes_free++;
}

void splice_drop(struct stream *s, int d)
{
	struct splice_pipe *p = s->side[d].pipe;

	if (p && p->data) {
		s->side[d].pipe = NULL;
		pipe_close(s->l7, p);
	}
	splice_trim(s, d);
}

void splice_pipes_free(struct l7 *l7)
{
	struct splice_pipe *p, *next;

	list_for_each_safe(p, next, &l7->pipes, node) {
		list_del(&p->node);
		l7->nb_pipes_free--;
		pipe_close(l7, p);
	}
}

size_t splice_held(const struct stream *s, int d)
{
	return s->side[d].pipe ? s->side[d].pipe->data : 0;
}

/* ---- may it? ---- */

static bool splice_wanted(const struct stream *s, int d)
{
	uint32_t opt = s->fe_cfg->opt | (s->be_cfg ? s->be_cfg->opt : 0); /* answered here: no backend */

	if (opt & (d == 0 ? PX_OPT_SPLICE_REQ : PX_OPT_SPLICE_RES))
		return true;
	return (opt & PX_OPT_SPLICE_AUTO) && (s->side[d].flags & SIDE_BULK);
}

/* How many of the next bytes from side <d> nobody has to look at. */
static uint64_t splice_blind(const struct stream *s, int d)
{
	const struct txn *t = s->txn;

	if (!t)
		return d == 0 || s->log.t_data >= 0 || !s->be_cfg->tcp_res.count ? UINT64_MAX : 0;
	if (t->res_st == RES_TUNNEL)
		return UINT64_MAX;
	if (d == 0)
		return t->req_st == REQ_BODY && t->head_sent && !t->replayable && !t->body_bad ? h1_body_blind(&t->req_body) : 0;
	return t->res_st == RES_BODY && !t->res_bad ? h1_body_blind(&t->res_body) : 0;
}

bool splice_may(const struct stream *s, int d)
{
	const struct side *from = &s->side[d], *to = &s->side[!d];

	return s->st == STREAM_XFER && !from->rx.data && !(from->flags & SIDE_NOSPLICE) && splice_wanted(s, d) &&
	       from->conn.ops == &conn_raw && to->conn.ops == &conn_raw && conn_is_open(&to->conn) && to->conn.hs_done &&
	       !(to->flags & (SIDE_SHUT | SIDE_SHUT_SOON | SIDE_ERR)) && splice_blind(s, d) >= SPLICE_MIN;
}

/* ---- in ---- */

static void splice_account_in(struct stream *s, int d, size_t n)
{
	struct txn *t = s->txn;
	struct h1_body *b;

	if (d == 0)
		s->log.bytes_in += n;
	else if (s->log.t_data < 0)
		s->log.t_data = (int64_t)(stream_now(s) - s->log.accept_ms);
	if (!t || t->res_st == RES_TUNNEL)
		return;
	b = d == 0 ? &t->req_body : &t->res_body;
	BUG_ON(h1_body_feed(b, NULL, n) != (ssize_t)n);
	if (!b->done)
		return;
	if (d == 0)
		t->req_st = REQ_DONE;
	else
		t->res_st = RES_DONE;
}

ssize_t splice_in(struct stream *s, int d)
{
	struct side *sd = &s->side[d];
	uint64_t most = MIN(splice_blind(s, d), (uint64_t)SPLICE_PIPE);
	ssize_t n;

	if (!sd->pipe)
		sd->pipe = pipe_get(s->l7);
	if (!sd->pipe)
		return -ENOSYS;
	n = splice(sd->conn.fd, NULL, sd->pipe->wr, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n < 0)
		return errno == EINVAL ? -ENOSYS : -errno;
	if (n == 0)
		return 0;
	sd->pipe->data = n;
	if (n < SPLICE_SMALL)
		sd->flags &= ~SIDE_BULK;
	if (n >= SPLICE_MORE)
		sd->flags |= SIDE_MORE;
	else
		sd->flags &= ~SIDE_MORE;
	splice_account_in(s, d, n);
	return n;
}

/* ---- out ---- */

ssize_t splice_out(struct stream *s, int d)
{
	struct splice_pipe *p = s->side[!d].pipe;
	ssize_t n = splice(p->rd, NULL, s->side[d].conn.fd, NULL, p->data, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n < 0)
		return -errno;
	p->data -= n;
	return n;
}
