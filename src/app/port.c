/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * port.c - a port of the application's range for a new instance
 *
 * The range is gone through in turn, so that a port rests as long as possible
 * before it is used again. A port is free if none of the application's
 * instances has it - until everything in a dead one's cgroup is gone - and
 * binding to it works. The first round binds as a server without SO_REUSEADDR
 * would, which connections in TIME_WAIT prevent; if that leaves none, the second
 * takes those too. Ranges of two applications do not overlap (app_cfg.c).
 */
#include <errno.h>
#include <unistd.h>

#include "app_priv.h"

/* 0, or errno */
static int port_bind(const struct addr *a, bool reuse)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sa(a, &ss);
	int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	int rc = 0;

	if (fd < 0)
		return 0; /* no telling */
	if (reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len))
		rc = errno;
	close(fd);
	return rc;
}

static bool port_used(const struct app *a, const struct addr *addr)
{
	const struct instance *in;

	list_for_each(in, &a->instances, node)
		if (in->addr.port == addr->port)
			return true;
	return false;
}

uint16_t app_port(struct app *a, int *why)
{
	unsigned n = a->cfg->port_last - a->cfg->listen.port + 1;
	struct addr addr = a->cfg->listen;

	for (int reuse = 0; reuse < 2; reuse++)
		for (unsigned i = 0; i < n; i++) {
			unsigned at = a->last_port >= a->cfg->listen.port && a->last_port <= a->cfg->port_last
					  ? a->last_port - a->cfg->listen.port + 1 + i
					  : i;

			addr.port = a->cfg->listen.port + at % n;
			*why = port_used(a, &addr) ? EADDRINUSE : port_bind(&addr, reuse);
			if (!*why) {
				a->last_port = addr.port;
				return addr.port;
			}
		}
	return 0;
}
