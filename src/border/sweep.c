/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sweep.c - what pseudo sockets leave behind when their connection ended by itself
 *
 * The kernel closes them in the background, and the one whose peer closed last
 * stays for a minute in TIME_WAIT. It is in the way of a connection that reuses the
 * addresses (FACTS §2). The flow's record outlives the connection by `timeout
 * close`; when it goes, also because a SYN reuses the addresses, whatever sockets are
 * left are destroyed through sock_diag. As long as one of them still has something to say - a slow
 * reader takes its time, and a close does not wait for it - the record stays. Kernels before 6.9 do not do that for
 * TIME_WAIT; there the steering's tcp_early_demux=0 keeps forwarding right, and a
 * promotion of the reused addresses succeeds where timestamps are in use.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "border_priv.h"

int border_sweep_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

static void sweep_addr(const struct addr *a, __be32 ip[4], __be16 *port)
{
	memcpy(ip, &a->ip, a->family == AF_INET ? 4 : 16);
	*port = htons(a->port);
}

/* Asks <type> about the socket of <f> that talks to side <d>. Answered inside send(). */
static bool sweep_ask(int fd, const struct flow *f, int d, uint16_t type, uint16_t flags)
{
	const struct addr *local = &f->side[!d], *peer = &f->side[d];
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req_v2 req;
	} m = {
		.nlh = { .nlmsg_len = sizeof(m), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags },
		.req = { .sdiag_family = local->family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0U,
			 .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};

	sweep_addr(local, m.req.id.idiag_src, &m.req.id.idiag_sport);
	sweep_addr(peer, m.req.id.idiag_dst, &m.req.id.idiag_dport);
	return send(fd, &m, sizeof(m), 0) > 0;
}

static void sweep_one(int fd, const struct flow *f, int d)
{
	char answer[512];

	if (!sweep_ask(fd, f, d, SOCK_DESTROY, NLM_F_ACK))
		return;
	/* ENOENT is what one hopes for */
	while (recv(fd, answer, sizeof(answer), 0) > 0)
		;
}

void border_sweep(const struct border *b, const struct flow *f)
{
	int d;

	if (b->diag_fd < 0)
		return;
	for (d = 0; d < 2; d++)
		sweep_one(b->diag_fd, f, d);
}

int border_socket_state(const struct border *b, const struct flow *f, int d)
{
	union {
		struct nlmsghdr nlh;
		char room[1024];
	} u;
	const struct inet_diag_msg *m = NLMSG_DATA(&u.nlh);
	int state = 0;
	ssize_t n;

	if (b->diag_fd < 0 || !sweep_ask(b->diag_fd, f, d, SOCK_DIAG_BY_FAMILY, 0))
		return 0;
	while ((n = recv(b->diag_fd, &u, sizeof(u), 0)) > 0)
		if ((size_t)n >= NLMSG_LENGTH(sizeof(*m)) && u.nlh.nlmsg_type == SOCK_DIAG_BY_FAMILY)
			state = m->idiag_state;
	/* a listener is found where there is no connection */
	return state == TCP_CLOSE || state == TCP_LISTEN ? 0 : state;
}
