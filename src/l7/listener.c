/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * listener.c - where connections are taken, kept open from one configuration to the next
 *
 * A listener is known by its address. prepare() opens those that the new
 * configuration adds: if one cannot be had nothing has changed. commit() moves
 * the others to their new lines and closes what nobody asks for any more. A
 * descriptor named by fd@ is duplicated, so that closing ours leaves the
 * starter's alone.
 *
 * A frontend at its maxconn, and the process at its own, stop watching; the
 * kernel's queue fills meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/bug.h"
#include "core/clock.h"
#include "l7/l7_priv.h"
#include "l7/stream_priv.h"

#define LISTENER_MAX_ACCEPT 64    /* connections a wake-up */
#define LISTENER_REST_S     0.1   /* after EMFILE and the like */
#define LISTENER_BACKLOG    4096

static void listener_io_cb(struct ev_loop *loop, ev_io *io, int revents);
static void listener_retry_cb(struct ev_loop *loop, ev_timer *t, int revents);

static bool listener_same(const struct listener *li, const struct bind_cfg *b)
{
	const struct cfg_addr *x = &li->key, *y = &b->addr;

	if (x->kind != y->kind || li->transparent != b->transparent ||
	    strcmp(li->interface ? li->interface : "", b->interface ? b->interface : "") != 0)
		return false;
	switch (x->kind) {
	case CFG_ADDR_INET: return addr_eq(&x->addr, &y->addr);
	case CFG_ADDR_FD: return x->fd == y->fd;
	default: return strcmp(x->path, y->path) == 0;
	}
}

static struct listener *listener_lookup(struct list *head, const struct bind_cfg *b)
{
	struct listener *li;

	list_for_each(li, head, node)
		if (listener_same(li, b))
			return li;
	return NULL;
}

static void listener_name(struct listener *li)
{
	char a[ADDR_STRLEN];

	switch (li->key.kind) {
	case CFG_ADDR_INET: snprintf(li->text, sizeof(li->text), "%s", addr_print(&li->key.addr, a)); break;
	case CFG_ADDR_FD: snprintf(li->text, sizeof(li->text), "fd@%d", li->key.fd); break;
	default: snprintf(li->text, sizeof(li->text), "unix@%s", li->key.path); break;
	}
}

static void listener_free(struct listener *li)
{
	ev_io_stop(li->l7->w->loop, &li->io);
	ev_timer_stop(li->l7->w->loop, &li->retry);
	if (li->fd >= 0)
		close(li->fd);
	if (li->key.kind == CFG_ADDR_UNIX && !li->fresh)
		unlink(li->key.path);
	list_del(&li->node);
	list_del(&li->px_node);
	proxy_put(li->px);
	free(li->interface);
	free(li);
}

/* ---- opening ---- */

struct listen_fail {
	const char *what;
	int err;
};

static int listener_fail(struct listen_fail *f, const char *what)
{
	f->what = what;
	f->err = errno;
	return -1;
}

static int listener_sockopts(struct listener *li, const struct bind_cfg *b, struct listen_fail *f)
{
	bool v6 = li->key.addr.family == AF_INET6;
	int one = 1, only = b->v6only ? 1 : 0;

	setsockopt(li->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(li->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (v6 && (b->v6only || b->v4v6))
		setsockopt(li->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (b->transparent &&
	    setsockopt(li->fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? 75 : IP_TRANSPARENT, &one, sizeof(one)) < 0)
		return listener_fail(f, "cannot make listening socket transparent");
	if (b->interface && setsockopt(li->fd, SOL_SOCKET, SO_BINDTODEVICE, b->interface, strlen(b->interface) + 1) < 0)
		return listener_fail(f, "cannot bind listener to device");
	if (b->defer_accept)
		setsockopt(li->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof(one));
	return 0;
}

static int listener_open_inet(struct listener *li, const struct bind_cfg *b, struct listen_fail *f)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sa(&li->key.addr, &ss);

	li->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (li->fd < 0)
		return listener_fail(f, "cannot create listening socket");
	if (listener_sockopts(li, b, f) < 0)
		return -1;
	if (bind(li->fd, (struct sockaddr *)&ss, len) < 0)
		return listener_fail(f, "cannot bind socket");
	return 0;
}

/* A path's socket may be left by a process that died: it is replaced if nobody answers on it. */
static int listener_open_unix(struct listener *li, const struct bind_cfg *b, struct listen_fail *f)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	bool abns = li->key.kind == CFG_ADDR_ABNS;
	socklen_t len = sizeof(un);
	int probe;

	snprintf(un.sun_path + abns, sizeof(un.sun_path) - abns, "%s", li->key.path);
	if (abns)
		len = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(li->key.path);
	li->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (li->fd < 0)
		return listener_fail(f, "cannot create listening socket");
	probe = abns ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe >= 0) {
		if (connect(probe, (struct sockaddr *)&un, len) < 0 && errno == ECONNREFUSED)
			unlink(un.sun_path);
		close(probe);
	}
	if (bind(li->fd, (struct sockaddr *)&un, len) < 0)
		return listener_fail(f, "cannot bind UNIX socket");
	if (!abns && b->has_mode)
		(void)!chmod(un.sun_path, b->mode);
	if (!abns && (b->uid != -1u || b->gid != -1u) && chown(un.sun_path, b->uid, b->gid) < 0)
		return listener_fail(f, "cannot change UNIX socket ownership");
	return 0;
}

static int listener_open_fd(struct listener *li, struct listen_fail *f)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	li->fd = fcntl(li->key.fd, F_DUPFD_CLOEXEC, 3);
	if (li->fd < 0 || getsockname(li->fd, (struct sockaddr *)&ss, &len) < 0)
		return listener_fail(f, "cannot use inherited descriptor");
	return net_nonblock(li->fd) < 0 ? listener_fail(f, "cannot make socket non-blocking") : 0;
}

static int listener_open(struct listener *li, const struct bind_cfg *b, struct listen_fail *f)
{
	int rc;

	switch (li->key.kind) {
	case CFG_ADDR_INET: rc = listener_open_inet(li, b, f); break;
	case CFG_ADDR_FD: rc = listener_open_fd(li, f); break;
	default: rc = listener_open_unix(li, b, f); break;
	}
	if (rc < 0)
		return rc;
	if (listen(li->fd, b->backlog ? b->backlog : b->px->backlog ? b->px->backlog : LISTENER_BACKLOG) < 0)
		return listener_fail(f, "cannot listen to socket");
	if (net_get_dst(li->fd, &li->addr) < 0)
		li->addr = (struct addr){ 0 };
	if (li->addr.family == AF_INET)
		li->any = li->addr.ip.v4.s_addr == 0;
	else if (li->addr.family == AF_INET6)
		li->any = memcmp(&li->addr.ip.v6, &in6addr_any, sizeof(in6addr_any)) == 0;
	li->any |= b->transparent;
	return 0;
}

static struct listener *listener_new(struct l7 *l7, const struct bind_cfg *b)
{
	struct listener *li = calloc(1, sizeof(*li));

	if (!li)
		return NULL;
	li->l7 = l7;
	li->fd = -1;
	li->key = b->addr;
	li->transparent = b->transparent;
	li->interface = b->interface ? strdup(b->interface) : NULL;
	li->fresh = true;
	list_init(&li->node);
	list_init(&li->px_node);
	ev_init(&li->io, listener_io_cb);
	ev_init(&li->retry, listener_retry_cb);
	listener_name(li);
	return li;
}

/* ---- configurations ---- */

static int listener_prepare(struct l7 *l7, const struct bind_cfg *b, struct diag *d)
{
	struct listen_fail f = { 0 };
	struct listener *li;
	char text[512];

	if (listener_lookup(&l7->listeners, b) || listener_lookup(&l7->fresh, b))
		return 0;
	li = listener_new(l7, b);
	BUG_ON(!li);
	list_add_tail(&l7->fresh, &li->node);
	if (listener_open(li, b, &f) == 0)
		return 0;
	snprintf(text, sizeof(text), "Starting %s %s: %s (%s) for [%s]", b->px->kind, b->px->name, f.what,
		 strerror(f.err), li->text);
	diag_add(d, MSG_ALERT, text);
	return -1;
}

int listeners_prepare(struct l7 *l7, struct l7_cfg *cfg, struct diag *d)
{
	struct px_cfg *px;
	struct bind_cfg *b;
	int rc = 0;

	list_for_each(px, &cfg->proxies, part_node) {
		if (px->disabled)
			continue;
		list_for_each(b, &px->binds, node)
			if (listener_prepare(l7, b, d) < 0)
				rc = -1;
	}
	if (rc < 0)
		listeners_abort(l7);
	return rc;
}

void listeners_abort(struct l7 *l7)
{
	struct listener *li, *next;

	list_for_each_safe(li, next, &l7->fresh, node) {
		li->fresh = li->fd < 0;
		listener_free(li);
	}
}

static void listener_watch(struct listener *li)
{
	struct ev_loop *loop = li->l7->w->loop;
	bool on = !li->l7->full && !li->px->full && !li->resting;

	if (on == ev_is_active(&li->io))
		return;
	if (!on) {
		ev_io_stop(loop, &li->io);
		return;
	}
	ev_io_set(&li->io, li->fd, EV_READ);
	ev_io_start(loop, &li->io);
}

static void listener_commit(struct listener *li, struct bind_cfg *b)
{
	struct proxy *px = b->px->rt;

	li->keep = true;
	li->fresh = false;
	li->cfg = b;
	b->rt = li;
	if (li->px != px) {
		proxy_put(li->px);
		li->px = proxy_get(px);
	}
	list_del(&li->px_node);
	list_add_tail(&px->listeners, &li->px_node);
	listener_watch(li);
}

void listeners_commit(struct l7 *l7, struct l7_cfg *cfg)
{
	struct listener *li, *next;
	struct px_cfg *px;
	struct bind_cfg *b;

	list_splice_tail(&l7->listeners, &l7->fresh);
	list_for_each(li, &l7->listeners, node)
		li->keep = false;
	list_for_each(px, &cfg->proxies, part_node) {
		if (px->disabled)
			continue;
		list_for_each(b, &px->binds, node) {
			li = listener_lookup(&l7->listeners, b);
			if (li)
				listener_commit(li, b);
		}
	}
	list_for_each_safe(li, next, &l7->listeners, node)
		if (!li->keep)
			listener_free(li);
	list_for_each(li, &l7->listeners, node)
		listener_watch(li);
}

void listeners_stop(struct l7 *l7)
{
	struct listener *li, *next;

	list_for_each_safe(li, next, &l7->listeners, node)
		listener_free(li);
	listeners_abort(l7);
}

/* ---- accepting ---- */

static void listener_retry_cb(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct listener *li = container_of(t, struct listener, retry);

	li->resting = false;
	listener_watch(li);
}

static void listener_rest(struct listener *li)
{
	li->resting = true;
	listener_watch(li);
	ev_timer_set(&li->retry, LISTENER_REST_S, 0.);
	ev_timer_start(li->l7->w->loop, &li->retry);
}

static unsigned listener_px_max(const struct proxy *px)
{
	return px->cfg->maxconn ? px->cfg->maxconn : UINT32_MAX;
}

/* Sets who is full; both are looked at again when a connection goes. */
static bool listener_room(struct listener *li)
{
	struct l7 *l7 = li->l7;
	struct listener *o;

	if (li->px->cur[PX_FE] >= listener_px_max(li->px)) {
		li->px->full = true;
		list_for_each(o, &li->px->listeners, px_node)
			listener_watch(o);
		return false;
	}
	if (l7->nb_streams >= l7->maxconn) {
		l7->full = true;
		list_for_each(o, &l7->listeners, node)
			listener_watch(o);
		return false;
	}
	return true;
}

void listeners_resume(struct l7 *l7, struct proxy *px)
{
	struct listener *li;

	if (l7->full && l7->nb_streams < l7->maxconn) {
		l7->full = false;
		list_for_each(li, &l7->listeners, node)
			listener_watch(li);
	}
	if (px->full && px->cur[PX_FE] < listener_px_max(px)) {
		px->full = false;
		list_for_each(li, &px->listeners, px_node)
			listener_watch(li);
	}
}

static void listener_io_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct listener *li = container_of(io, struct listener, io);

	for (int i = 0; i < LISTENER_MAX_ACCEPT && listener_room(li); i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct addr src = { 0 }, dst = li->addr;
		int fd = accept4(li->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (errno != EAGAIN)
				listener_rest(li);
			return;
		}
		if (addr_from_sa(&src, (struct sockaddr *)&ss) < 0)
			src = (struct addr){ 0 };
		if (li->any)
			net_get_dst(fd, &dst);
		stream_accept(li, fd, &src, &dst);
	}
}
