/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cli_sock.c - the listening sockets of the stats socket
 *
 * A unix socket is bound under a temporary name and renamed into place, so
 * that its permissions are right from the first moment and a socket left by a
 * process that died is replaced without a gap. TCP sockets and inherited
 * descriptors (fd@N, as test drivers pass them) work the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ops_priv.h"

static void cli_on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
	cli_accept(io->data);
}

static void cli_on_rested(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct cli_listener *l = t->data;

	ev_io_start(loop, &l->io);
}

void cli_listener_rest(struct cli_listener *l, double s)
{
	ev_io_stop(l->w->loop, &l->io);
	ev_timer_set(&l->rest, s, 0.);
	ev_timer_start(l->w->loop, &l->rest);
}

static int cli_set_access(const char *path, const struct ops_socket_cfg *sc)
{
	if (sc->mode && chmod(path, sc->mode) < 0)
		return -errno;
	if ((sc->uid >= 0 || sc->gid >= 0) && chown(path, sc->uid, sc->gid) < 0)
		return -errno;
	return 0;
}

static int cli_bind_unix(const struct ops_socket_cfg *sc, char **unlink_path, char **err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat st;
	int fd, rc;

	if (lstat(sc->addr.path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		if (asprintf(err, "there is a file already, and it is no socket [%s]", sc->addr.path) < 0)
			*err = NULL;
		return -EEXIST;
	}
	rc = snprintf(un.sun_path, sizeof(un.sun_path), "%s.%d.tmp", sc->addr.path, (int)getpid());
	if (rc >= (int)sizeof(un.sun_path)) {
		if (asprintf(err, "path too long for a unix socket [%s]", sc->addr.path) < 0)
			*err = NULL;
		return -ENAMETOOLONG;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		goto fail;
	unlink(un.sun_path);
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		goto fail;
	if (cli_set_access(un.sun_path, sc) < 0 || listen(fd, 128) < 0 || rename(un.sun_path, sc->addr.path) < 0) {
		rc = -errno;
		unlink(un.sun_path);
		errno = -rc;
		goto fail;
	}
	*unlink_path = strdup(sc->addr.path);
	return fd;
fail:
	rc = -errno;
	if (asprintf(err, "cannot bind UNIX socket (%s) [%s]", strerror(-rc), sc->addr.path) < 0)
		*err = NULL;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int cli_bind_sa(const struct ops_socket_cfg *sc, char **err)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len;
	int fd, rc, one = 1;

	if (sc->addr.kind == CFG_ADDR_ABNS) {
		struct sockaddr_un *un = (struct sockaddr_un *)&ss;

		un->sun_family = AF_UNIX;
		/* abstract names are padded with zeroes to the full length, as HAProxy does */
		memcpy(un->sun_path + 1, sc->addr.path, strnlen(sc->addr.path, sizeof(un->sun_path) - 1));
		len = sizeof(*un);
	} else {
		len = addr_to_sa(&sc->addr.addr, &ss);
	}
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && ss.ss_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, 128) == 0)
		return fd;
	rc = -errno;
	if (asprintf(err, "cannot bind socket (%s) [%s]", strerror(-rc), sc->spec) < 0)
		*err = NULL;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* An inherited descriptor, which the caller of the program owns: ours is a duplicate. */
static int cli_take_fd(const struct ops_socket_cfg *sc, char **err)
{
	int fd = fcntl(sc->addr.fd, F_DUPFD_CLOEXEC, 3), yes = 0;
	socklen_t len = sizeof(yes);

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && !yes && listen(fd, 128) == 0)
		yes = 1;
	if (fd >= 0 && yes && net_nonblock(fd) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	if (asprintf(err, "descriptor %d is not a listening socket [%s]", sc->addr.fd, sc->spec) < 0)
		*err = NULL;
	return -EBADF;
}

/* Opens and starts the socket and adds it to ops->listeners. On failure *err is text for the caller to free. */
int cli_listener_open(struct ops *ops, const struct ops_socket_cfg *sc, struct cli_listener **out, char **err)
{
	struct cli_listener *l = calloc(1, sizeof(*l));
	struct stat st;
	int fd;

	if (!l)
		return -ENOMEM;
	if (sc->addr.kind == CFG_ADDR_UNIX)
		fd = cli_bind_unix(sc, &l->unlink_path, err);
	else if (sc->addr.kind == CFG_ADDR_FD)
		fd = cli_take_fd(sc, err);
	else
		fd = cli_bind_sa(sc, err);
	if (fd < 0) {
		free(l);
		return fd;
	}
	if (l->unlink_path && lstat(l->unlink_path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	l->w = ops->w;
	l->fd = fd;
	l->spec = strdup(sc->spec);
	l->level = sc->level;
	list_init(&l->node);
	list_add_tail(&ops->listeners, &l->node);
	ev_io_init(&l->io, cli_on_accept, fd, EV_READ);
	ev_init(&l->rest, cli_on_rested);
	l->io.data = l->rest.data = l;
	ev_io_start(ops->w->loop, &l->io);
	*out = l;
	return 0;
}

/* Is the file of a unix socket still the one that we made? */
static bool cli_listener_owns_file(const struct cli_listener *l)
{
	struct stat st;

	return l->unlink_path && lstat(l->unlink_path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino;
}

void cli_listener_update(struct cli_listener *l, const struct ops_socket_cfg *sc)
{
	int rc;

	l->level = sc->level;
	if (!cli_listener_owns_file(l))
		return;
	rc = cli_set_access(l->unlink_path, sc);
	if (rc < 0)
		msg_warning("'stats socket' : cannot change mode or owner (%s) [%s]", strerror(-rc), l->spec);
}

void cli_listener_close(struct cli_listener *l)
{
	ev_io_stop(l->w->loop, &l->io);
	ev_timer_stop(l->w->loop, &l->rest);
	if (cli_listener_owns_file(l))
		unlink(l->unlink_path);
	close(l->fd);
	list_del(&l->node);
	free(l->unlink_path);
	free(l->spec);
	free(l);
}
