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
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h> /* newer than glibc's netinet/tcp.h */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "border_priv.h"
#include "l3/inject.h"

/* kernel: include/net/tcp_states.h */
enum { SWEEP_CLOSE = 7, SWEEP_LAST_ACK = 9, SWEEP_LISTEN = 10, SWEEP_CLOSING = 11 };

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
static bool sweep_ask(int fd, const struct flow *f, int d, uint16_t type, uint16_t flags, uint8_t ext)
{
	const struct addr *local = &f->side[!d], *peer = &f->side[d];
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req_v2 req;
	} m = {
		.nlh = { .nlmsg_len = sizeof(m), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags },
		.req = { .sdiag_family = local->family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0U, .idiag_ext = ext,
			 .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};

	sweep_addr(local, m.req.id.idiag_src, &m.req.id.idiag_sport);
	sweep_addr(peer, m.req.id.idiag_dst, &m.req.id.idiag_dport);
	return send(fd, &m, sizeof(m), 0) > 0;
}

static void sweep_one(int fd, const struct flow *f, int d)
{
	char answer[512];

	if (!sweep_ask(fd, f, d, SOCK_DESTROY, NLM_F_ACK, 0))
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

/* What the kernel says of a socket. */
struct sweep_socket {
	int state;             /* TCP_ESTABLISHED, ...; 0: there is none */
	bool has_info;
	uint32_t queued;       /* sequence numbers not acknowledged, sent or not */
	struct tcp_info info;
};

static void sweep_read(const struct nlmsghdr *nlh, struct sweep_socket *so)
{
	struct inet_diag_msg *m = NLMSG_DATA(nlh);
	struct rtattr *a = (struct rtattr *)(m + 1);
	int left = (int)(nlh->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

	so->state = m->idiag_state;
	so->queued = m->idiag_wqueue;
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type != INET_DIAG_INFO)
			continue;
		memcpy(&so->info, RTA_DATA(a), MIN(sizeof(so->info), RTA_PAYLOAD(a)));
		so->has_info = true;
	}
}

static void sweep_look(const struct border *b, const struct flow *f, int d, uint8_t ext, struct sweep_socket *so)
{
	union {
		struct nlmsghdr nlh;
		char room[2048];
	} u;
	ssize_t n;

	*so = (struct sweep_socket){ 0 };
	if (b->diag_fd < 0 || !sweep_ask(b->diag_fd, f, d, SOCK_DIAG_BY_FAMILY, 0, ext))
		return;
	while ((n = recv(b->diag_fd, &u, sizeof(u), 0)) > 0)
		if (NLMSG_OK(&u.nlh, n) && u.nlh.nlmsg_type == SOCK_DIAG_BY_FAMILY &&
		    u.nlh.nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			sweep_read(&u.nlh, so);
	/* a listener is found where there is no connection */
	if (so->state == SWEEP_CLOSE || so->state == SWEEP_LISTEN)
		so->state = 0;
}

int border_socket_state(const struct border *b, const struct flow *f, int d)
{
	struct sweep_socket so;

	sweep_look(b, f, d, 0, &so);
	return so.state;
}

/* ---- when the daemon ends ---- */

/* As the kernel resets a connection: at the next number that it would send. */
static void sweep_reset(const struct flow *f, int d, const struct sweep_socket *so)
{
	uint8_t pkt[SEG_BUILD_MAX];
	struct seqtrk_repair r; /* the tracker has stood still since the socket was made of it */
	struct seg_spec sp;
	uint32_t una;
	int n;

	seqtrk_repair(&f->trk, !d, flow_xlate(f), &r);
	una = r.snd_seq + (uint32_t)so->info.tcpi_bytes_acked;
	sp = (struct seg_spec){
		.src = f->side[!d],
		.dst = f->side[d],
		.seq = una + so->queued - so->info.tcpi_notsent_bytes,
		.ack = r.rcv_seq + (uint32_t)so->info.tcpi_bytes_received,
		.flags = SEG_RST | SEG_ACK,
	};
	n = seg_build(&sp, pkt, sizeof(pkt));
	if (n > 0)
		inject_wire(f->gw->l3->inject, pkt, (uint32_t)n, f->foreign_mark, f->want_class);
}

void border_sweep_last(const struct border *b, const struct flow *f)
{
	struct sweep_socket so;
	int d;

	for (d = 0; d < 2; d++) {
		sweep_look(b, f, d, 1 << (INET_DIAG_INFO - 1), &so);
		if ((so.state == SWEEP_LAST_ACK || so.state == SWEEP_CLOSING) && so.has_info)
			sweep_reset(f, d, &so);
		if (so.state)
			sweep_one(b->diag_fd, f, d);
	}
}
