/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * conn.c - descriptors, their watchers, and the plain layer
 *
 * The watcher is touched only when what is waited for changes; libev folds a
 * stop and a start within one cycle into at most one system call.
 */
#include "l7/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "core/worker.h"

static void conn_io_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct conn *c = container_of(io, struct conn, io);

	c->ready(c, revents);
}

void conn_init(struct conn *c, struct worker *w, void (*ready)(struct conn *c, int revents))
{
	*c = (struct conn){ .fd = -1, .ops = &conn_raw, .w = w, .ready = ready, .hs_done = true };
	ev_init(&c->io, conn_io_cb);
}

void conn_attach(struct conn *c, int fd)
{
	c->fd = fd;
	c->ops = &conn_raw;
	c->ssl = NULL;
	c->want = c->also = 0;
	c->hs_done = true;
	c->no_linger = c->cut = false;
	c->hs_err = NULL;
}

static void conn_watch(struct conn *c)
{
	int events = c->want | c->also;

	if (c->fd < 0 || (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) == events))
		return;
	if (!events && !ev_is_active(&c->io))
		return;
	ev_io_stop(c->w->loop, &c->io);
	if (!events)
		return;
	ev_io_set(&c->io, c->fd, events);
	ev_io_start(c->w->loop, &c->io);
}

void conn_want(struct conn *c, int events)
{
	c->want = events;
	conn_watch(c);
}

int conn_detach(struct conn *c)
{
	int fd = c->fd;

	if (fd < 0)
		return -1;
	ev_io_stop(c->w->loop, &c->io);
	c->ops->release(c);
	c->ops = &conn_raw;
	c->fd = -1;
	c->want = c->also = 0;
	return fd;
}

void conn_close(struct conn *c)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	bool abort = c->no_linger;
	int fd;

	if (c->fd >= 0 && !abort)
		c->ops->shut(c);
	fd = conn_detach(c);
	if (fd < 0)
		return;
	if (abort)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

int conn_sock_error(const struct conn *c)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -errno;
	return -err;
}

static int conn_bind_from(int fd, const struct addr *from, bool transparent)
{
	struct sockaddr_storage ss;
	int one = 1;
	socklen_t len = addr_to_sa(from, &ss);

	if (transparent && setsockopt(fd, from->family == AF_INET6 ? SOL_IPV6 : SOL_IP,
				      from->family == AF_INET6 ? 75 /* IPV6_TRANSPARENT */ : IP_TRANSPARENT, &one,
				      sizeof(one)) < 0)
		return -errno;
	setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

int conn_connect(struct conn *c, const struct sockaddr *to, socklen_t len, const struct addr *from, bool transparent)
{
	int one = 1, rc = 0;
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (to->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (from)
		rc = conn_bind_from(fd, from, transparent);
	if (rc == 0 && connect(fd, to, len) < 0 && errno != EINPROGRESS)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	conn_attach(c, fd);
	return 0;
}

/* ---- plain ---- */

static ssize_t conn_raw_recv(struct conn *c, void *p, size_t n)
{
	ssize_t got = recv(c->fd, p, n, 0);

	return got < 0 ? -errno : got;
}

static ssize_t conn_raw_send(struct conn *c, const struct iovec *iov, int cnt)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = cnt };
	ssize_t put = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

	return put < 0 ? -errno : put;
}

static bool conn_raw_pending(const struct conn *c)
{
	return false;
}

static int conn_raw_handshake(struct conn *c)
{
	c->hs_done = true;
	return 0;
}

static void conn_raw_nothing(struct conn *c)
{
}

const struct conn_ops conn_raw = {
	.name = "plain",
	.recv = conn_raw_recv,
	.send = conn_raw_send,
	.pending = conn_raw_pending,
	.handshake = conn_raw_handshake,
	.shut = conn_raw_nothing,
	.release = conn_raw_nothing,
};
