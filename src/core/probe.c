/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * probe.c - one attempt to find out whether something serves
 *
 *   start -> connecting -> (TCP) done
 *                       -> (HTTP) sending -> reading the status line -> done
 *
 * One deadline covers all of it. The callback never runs inside
 * probe_start(): what fails at once is reported by the timer, after 0 s.
 *
 * A connect to a free local port within the ephemeral range may meet itself (TCP
 * simultaneous open, RFC 9293 3.5) and look established: such a probe is
 * answered as refused. Probes end with a reset (linger 0) so that they leave no
 * TIME_WAIT behind.
 */
#include "core/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/worker.h"

#define PROBE_REQ_MAX 2048

static const char *const probe_result_names[] = {
	[PROBE_OK] = "ok",
	[PROBE_REFUSED] = "connection refused",
	[PROBE_TIMEOUT_CONNECT] = "connect timeout",
	[PROBE_TIMEOUT_RESPONSE] = "response timeout",
	[PROBE_CLOSED] = "closed before a response",
	[PROBE_BAD_REPLY] = "invalid response",
	[PROBE_BAD_STATUS] = "unwanted status",
	[PROBE_NO_RESOURCE] = "no resource",
};

const char *probe_result_name(enum probe_result r)
{
	return (unsigned)r < ARRAY_SIZE(probe_result_names) ? probe_result_names[r] : "?";
}

static void probe_io_cb(struct ev_loop *loop, ev_io *ev, int revents);
static void probe_timer_cb(struct ev_loop *loop, ev_timer *ev, int revents);

void probe_init(struct probe *p, struct worker *w, void (*done)(struct probe *p, enum probe_result res))
{
	memset(p, 0, sizeof(*p));
	p->w = w;
	p->done = done;
	p->fd = -1;
	ev_init(&p->io, probe_io_cb);
	ev_init(&p->timer, probe_timer_cb);
}

void probe_cancel(struct probe *p)
{
	if (!p->running)
		return;
	ev_io_stop(p->w->loop, &p->io);
	ev_timer_stop(p->w->loop, &p->timer);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->running = false;
}

static void probe_end(struct probe *p, enum probe_result res)
{
	p->took_us = clock_us() - p->start_us;
	probe_cancel(p);
	p->done(p, res);
}

/* Reports <res> from the loop, soon. */
static void probe_end_later(struct probe *p, enum probe_result res, int error)
{
	p->error = error;
	p->early = res;
	ev_timer_stop(p->w->loop, &p->timer);
	ev_timer_set(&p->timer, 0., 0.);
	ev_timer_start(p->w->loop, &p->timer);
}

static void probe_watch(struct probe *p, int events)
{
	if (p->io.events == events && ev_is_active(&p->io))
		return;
	ev_io_stop(p->w->loop, &p->io);
	ev_io_set(&p->io, p->fd, events);
	ev_io_start(p->w->loop, &p->io);
}

static int probe_connect(struct probe *p)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sa(&p->spec.addr, &ss);

	p->fd = socket(p->spec.addr.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return errno;
	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(p->fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
		return errno;
	return 0;
}

/* What an errno of socket() or connect() says about the server, or about us. */
static enum probe_result probe_errno_result(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
	case EAGAIN:
	case EACCES:
	case EPERM:
	case EAFNOSUPPORT: return PROBE_NO_RESOURCE;
	case ETIMEDOUT: return PROBE_TIMEOUT_CONNECT;
	}
	return PROBE_REFUSED;
}

void probe_start(struct probe *p, const struct probe_spec *spec)
{
	int error;

	probe_cancel(p);
	p->spec = *spec;
	p->running = true;
	p->connected = false;
	p->early = PROBE_OK;
	p->error = p->status = 0;
	p->reply_len = p->sent = 0;
	p->start_us = clock_us();
	error = probe_connect(p);
	if (error) {
		probe_end_later(p, probe_errno_result(error), error);
		return;
	}
	probe_watch(p, EV_WRITE);
	ev_now_update(p->w->loop); /* the deadline counts from here, not from when the cycle began */
	ev_timer_set(&p->timer, spec->timeout_ms / 1000., 0.);
	ev_timer_start(p->w->loop, &p->timer);
}

static void probe_timer_cb(struct ev_loop *loop, ev_timer *ev, int revents)
{
	struct probe *p = container_of(ev, struct probe, timer);

	if (p->early != PROBE_OK)
		probe_end(p, p->early);
	else
		probe_end(p, p->connected ? PROBE_TIMEOUT_RESPONSE : PROBE_TIMEOUT_CONNECT);
}

/* 0 when connected, or errno */
static int probe_connect_error(struct probe *p)
{
	struct addr a = { 0 }, b = { 0 };
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	if (!error && (net_get_src(p->fd, &a) || net_get_dst(p->fd, &b)))
		return ENOTCONN;
	return !error && addr_eq(&a, &b) ? ECONNREFUSED : error;
}

/* The same bytes each time, so that a partial send can go on. Length, or -1: does not fit. */
static int probe_request(const struct probe *p, char dst[PROBE_REQ_MAX])
{
	const struct probe_spec *s = &p->spec;
	char host[ADDR_STRLEN];
	int n;

	n = snprintf(dst, PROBE_REQ_MAX,
		     "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: standin-check\r\nConnection: close\r\n\r\n",
		     s->method ? s->method : "GET", s->path ? s->path : "/",
		     s->host ? s->host : addr_print(&s->addr, host));
	return n < PROBE_REQ_MAX ? n : -1;
}

static void probe_send(struct probe *p)
{
	char req[PROBE_REQ_MAX];
	int len = probe_request(p, req);
	ssize_t n;

	if (len < 0) {
		p->error = EMSGSIZE;
		probe_end(p, PROBE_NO_RESOURCE);
		return;
	}
	n = send(p->fd, req + p->sent, len - p->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		p->error = errno;
		probe_end(p, PROBE_CLOSED);
		return;
	}
	if (n > 0)
		p->sent += n;
	if (p->sent == (unsigned)len)
		probe_watch(p, EV_READ);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The status in "HTTP/1.x NNN" followed by a space or the line's end (RFC 9112, 4); 0: incomplete; -1: not
 * HTTP. */
static int probe_status(const char *s, unsigned n)
{
	static const char proto[] = "HTTP/1.";

	if (memcmp(s, proto, MIN(n, sizeof(proto) - 1)))
		return -1;
	if (n < 13)
		return memchr(s, '\n', n) ? -1 : 0;
	if (!is_digit(s[7]) || s[8] != ' ' || !is_digit(s[9]) || !is_digit(s[10]) || !is_digit(s[11]) ||
	    !strchr(" \r\n", s[12]) || s[9] == '0')
		return -1;
	return (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
}

static void probe_recv(struct probe *p)
{
	unsigned min = p->spec.status_min ? p->spec.status_min : 200;
	unsigned max = p->spec.status_max   ? p->spec.status_max
		       : p->spec.status_min ? p->spec.status_min
					    : 399;
	ssize_t n = recv(p->fd, p->reply + p->reply_len, sizeof(p->reply) - p->reply_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		p->error = n < 0 ? errno : 0;
		probe_end(p, PROBE_CLOSED);
		return;
	}
	p->reply_len += n;
	p->status = probe_status(p->reply, p->reply_len);
	if (p->status < 0) {
		p->status = 0;
		probe_end(p, PROBE_BAD_REPLY);
	} else if (p->status > 0) {
		bool wanted = (unsigned)p->status >= min && (unsigned)p->status <= max;

		probe_end(p, wanted ? PROBE_OK : PROBE_BAD_STATUS);
	}
}

static void probe_io_cb(struct ev_loop *loop, ev_io *ev, int revents)
{
	struct probe *p = container_of(ev, struct probe, io);

	if (p->connected && (revents & EV_READ)) {
		probe_recv(p);
		return;
	}
	if (!p->connected) {
		p->error = probe_connect_error(p);
		if (p->error) {
			probe_end(p, probe_errno_result(p->error));
			return;
		}
		p->connected = true;
		if (p->spec.kind == PROBE_TCP) {
			probe_end(p, PROBE_OK);
			return;
		}
	}
	probe_send(p);
}
