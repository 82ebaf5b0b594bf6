/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * drain.c - who is still connected to an instance that no longer serves
 *
 * The kernel is asked through sock_diag(7) (or, where it has no tcp_diag, /proc/net/tcp)
 * for established connections to the instance's port. The dump walks the whole table of connections, so it
 * runs on the helper thread, every DRAIN_MS, until there are none or the instance's `timeout stop` is over.
 * Connections that nobody uses but nobody closes either are what that limit is for.
 */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app_priv.h"

#define DRAIN_MS 50

struct drain {
	struct helper_job job;
	struct instance *in; /* borrows; NULL: cancelled */
	struct addr addr;
	int count; /* -1: no telling */
};

/* One answer of the dump: how many connections it held. *end: 1 it was the last, -1 an error. */
static int drain_count_msg(const char *buf, ssize_t len, int *end)
{
	const struct nlmsghdr *nh = (const struct nlmsghdr *)buf;
	int n = 0;

	for (; NLMSG_OK(nh, len); nh = NLMSG_NEXT(nh, len)) {
		if (nh->nlmsg_type == NLMSG_ERROR)
			*end = -1;
		else if (nh->nlmsg_type == NLMSG_DONE)
			*end = 1;
		else
			n++;
	}
	return n;
}

/* Connections of <family> whose local port is <port>; -1: the kernel does not tell this way. */
static int drain_ask(int family, uint16_t port)
{
	struct {
		struct nlmsghdr nh;
		struct inet_diag_req_v2 req;
	} ask = {
		.nh = { .nlmsg_len = sizeof(ask),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = 1 << TCP_ESTABLISHED,
			 .id = { .idiag_sport = htons(port) } },
	};
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), n = 0, end = 0;

	if (fd < 0)
		return -1;
	if (send(fd, &ask, sizeof(ask), 0) < 0)
		end = -1;
	while (!end) {
		ssize_t len = recv(fd, buf, sizeof(buf), 0);

		if (len <= 0)
			end = -1;
		else
			n += drain_count_msg(buf, len, &end);
	}
	close(fd);
	return end < 0 ? -1 : n;
}

/* The same from /proc/net/tcp or tcp6: "sl local:port remote:port state ...", in hexadecimal; state 01. */
static int drain_read(int family, uint16_t port)
{
	FILE *f = fopen(family == AF_INET6 ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
	unsigned local, state;
	char line[512];
	int n = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " %*[^:]: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &local, &state) == 2)
			n += local == port && state == TCP_ESTABLISHED;
	fclose(f);
	return n;
}

static int drain_count(int family, uint16_t port)
{
	int n = drain_ask(family, port);

	return n < 0 ? drain_read(family, port) : n;
}

static void drain_run(struct helper_job *job)
{
	struct drain *d = container_of(job, struct drain, job);
	int v4 = 0;

	d->count = drain_count(d->addr.family, d->addr.port);
	/* [::] also takes IPv4 connections, which the kernel lists as IPv6 only when mapped */
	if (d->addr.family == AF_INET6)
		v4 = drain_count(AF_INET, d->addr.port);
	if (d->count >= 0 && v4 > 0)
		d->count += v4;
}

static void drain_done(struct worker *w, struct helper_job *job)
{
	struct drain *d = container_of(job, struct drain, job);
	struct instance *in = d->in;
	int count = d->count;

	free(d);
	if (!in)
		return;
	in->drain = NULL;
	if (count == 0) {
		instance_cause(in, "drained");
		instance_event(in, INST_EV_DRAINED);
		return;
	}
	ev_timer_stop(w->loop, &in->tick);
	ev_timer_set(&in->tick, DRAIN_MS / 1000.0, 0.);
	ev_timer_start(w->loop, &in->tick);
}

void drain_begin(struct instance *in)
{
	struct drain *d = in->drain ? NULL : calloc(1, sizeof(*d));

	if (!d)
		return; /* the deadline ends it */
	d->in = in;
	d->addr = in->addr;
	d->job.run = drain_run;
	d->job.done = drain_done;
	in->drain = d;
	helper_submit(in->w, &d->job);
}

void drain_cancel(struct instance *in)
{
	if (in->drain)
		in->drain->in = NULL;
	in->drain = NULL;
}
