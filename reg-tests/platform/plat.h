/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * plat.h - what the programs here share
 *
 * Each program shows one behaviour of the kernel that the code relies on, in a
 * network namespace of its own that ends with it. It prints "ok - what" or "not
 * ok - what: why" for each finding and exits 0 or 1; 77 with a reason where the
 * host cannot show it (not root, no such feature).
 *
 *	int main(void)
 *	{
 *		plat_begin();
 *		plat_is(1 + 1 == 2, "one and one is two");
 *		return plat_end();
 *	}
 *
 * Three tools: a wire, on which a program sees every packet that the host sends
 * and can inject any; repair sockets; and a queue. IPv4 unless it says otherwise.
 *
 *	wire: host 10.9.0.1/24, fd09::1/64 on v0; everything else is reached through it.
 *	10.7.0.0/16 and fd07::/64 are local (ip route local): addresses to impersonate.
 */
#ifndef PLAT_H
#define PLAT_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PLAT_USED __attribute__((unused)) static

/* ---- findings ---- */

static int plat_failed;

PLAT_USED bool __attribute__((format(printf, 2, 3))) plat_is(bool good, const char *fmt, ...)
{
	va_list ap;

	printf(good ? "ok - " : "not ok - ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	plat_failed |= !good;
	return good;
}

PLAT_USED void __attribute__((format(printf, 1, 2), noreturn)) plat_skip(const char *fmt, ...)
{
	va_list ap;

	printf("skip ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(77);
}

/* something that must work for the question even to be asked */
#define PLAT_NEED(cond)                                                                                 \
	do {                                                                                            \
		if (!(cond)) {                                                                          \
			printf("not ok - %s:%d: %s: %s\n", __FILE__, __LINE__, #cond, strerror(errno)); \
			exit(1);                                                                        \
		}                                                                                       \
	} while (0)

PLAT_USED int plat_end(void)
{
	return plat_failed;
}

/* runs a command quietly; 0 when it worked */
PLAT_USED int __attribute__((format(printf, 1, 2))) plat_sh(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	memcpy(cmd, "{ ", 2);
	n = 2 + vsnprintf(cmd + 2, sizeof(cmd) - 34, fmt, ap);
	va_end(ap);
	PLAT_NEED(n > 0 && n < (int)sizeof(cmd) - 32);
	snprintf(cmd + n, sizeof(cmd) - (size_t)n, "\n} >/dev/null 2>&1");
	return system(cmd);
}

PLAT_USED void plat_begin(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0)
		plat_skip("needs root");
	if (unshare(CLONE_NEWNET) < 0)
		plat_skip("no network namespaces: %s", strerror(errno));
	alarm(30);
	if (plat_sh("ip link set lo up"))
		plat_skip("needs iproute2");
}

PLAT_USED uint64_t plat_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

PLAT_USED bool plat_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* ---- the wire ---- */

struct plat_wire {
	int fd, ifindex;
};

struct plat_tcp {
	const char *src, *dst; /* for sending; dotted */
	uint32_t saddr, daddr; /* as received, network order */
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t win;
	bool ts;
	uint32_t tsval, tsecr;
	const void *data;
	unsigned len; /* of payload */
};

enum { PLAT_FIN = 1, PLAT_SYN = 2, PLAT_RST = 4, PLAT_PSH = 8, PLAT_ACK = 16 };

PLAT_USED struct plat_wire plat_wire_up(void)
{
	struct plat_wire w;
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };

	PLAT_NEED(
	    plat_sh("ip link add v0 address 02:00:00:00:00:01 type veth peer name v1 && "
		    "ip link set v1 up && ip link set v0 up && ip addr add 10.9.0.1/24 dev v0 && "
		    "ip -6 addr add fd09::1/64 dev v0 nodad && "
		    "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:99 nud permanent dev v0 && "
		    "ip -6 neigh add fd09::2 lladdr 02:00:00:00:00:99 nud permanent dev v0 && "
		    "ip route add default via 10.9.0.2 && ip -6 route add default via fd09::2 && "
		    "ip route add local 10.7.0.0/16 dev lo && ip -6 route add local fd07::/64 dev lo && "
		    "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter && echo 0 > "
		    "/proc/sys/net/ipv4/conf/v0/rp_filter") == 0);
	w.ifindex = (int)if_nametoindex("v1");
	w.fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
	PLAT_NEED(w.fd >= 0);
	ll.sll_ifindex = w.ifindex;
	PLAT_NEED(bind(w.fd, (struct sockaddr *)&ll, sizeof(ll)) == 0);
	return w;
}

static uint32_t plat_sum(const uint8_t *p, unsigned n, uint32_t sum)
{
	for (unsigned i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void plat_put(uint8_t *p, uint32_t v, int n)
{
	while (n--)
		p[n] = (uint8_t)v, v >>= 8;
}

/* IPv4 packet of <t> at <p>; its length */
PLAT_USED unsigned plat_tcp_make(uint8_t *p, const struct plat_tcp *t)
{
	unsigned opt = t->ts ? 12 : 0, len = 40 + opt + t->len;
	uint8_t *h = p + 20;

	memset(p, 0, 40 + opt);
	p[0] = 0x45;
	plat_put(p + 2, len, 2);
	p[8] = 64;
	p[9] = IPPROTO_TCP;
	PLAT_NEED(inet_pton(AF_INET, t->src, p + 12) == 1 && inet_pton(AF_INET, t->dst, p + 16) == 1);
	plat_put(p + 10, (uint16_t)~plat_sum(p, 20, 0), 2);
	plat_put(h, t->sport, 2);
	plat_put(h + 2, t->dport, 2);
	plat_put(h + 4, t->seq, 4);
	plat_put(h + 8, t->ack, 4);
	h[12] = (uint8_t)((20 + opt) / 4 << 4);
	h[13] = t->flags;
	plat_put(h + 14, t->win, 2);
	if (t->ts) {
		memcpy(h + 20, "\1\1\x08\x0a", 4);
		plat_put(h + 24, t->tsval, 4);
		plat_put(h + 28, t->tsecr, 4);
	}
	if (t->len)
		memcpy(h + 20 + opt, t->data, t->len);
	plat_put(h + 16, (uint16_t)~plat_sum(h, len - 20, plat_sum(p + 12, 8, IPPROTO_TCP + len - 20)), 2);
	return len;
}

/* a packet comes in from the wire */
PLAT_USED void plat_tcp_send(const struct plat_wire *w, const struct plat_tcp *t)
{
	uint8_t f[2048] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x99, 8, 0 };
	unsigned len = 14 + plat_tcp_make(f + 14, t);

	PLAT_NEED(send(w->fd, f, len, 0) == (ssize_t)len);
}

/* Ethernet's header leaves everything behind it out of alignment. */
static uint32_t plat_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool plat_tcp_read(const uint8_t *p, unsigned n, struct plat_tcp *t)
{
	const uint8_t *h = p + (p[0] & 15) * 4;
	unsigned doff;

	if (n < 40 || p[0] >> 4 != 4 || p[9] != IPPROTO_TCP)
		return false;
	memset(t, 0, sizeof(*t));
	memcpy(&t->saddr, p + 12, 4);
	memcpy(&t->daddr, p + 16, 4);
	t->sport = (uint16_t)(h[0] << 8 | h[1]);
	t->dport = (uint16_t)(h[2] << 8 | h[3]);
	t->seq = plat_be32(h + 4);
	t->ack = plat_be32(h + 8);
	doff = (h[12] >> 4) * 4u;
	t->flags = h[13];
	t->win = (uint16_t)(h[14] << 8 | h[15]);
	t->len = (unsigned)(p[2] << 8 | p[3]) - (unsigned)(h - p) - doff;
	for (unsigned i = 20; i + 1 < doff && h[i];) {
		if (h[i] == 1) {
			i++;
			continue;
		}
		if (h[i] == 8) {
			t->ts = true;
			t->tsval = plat_be32(h + i + 2);
			t->tsecr = plat_be32(h + i + 6);
		}
		if (h[i + 1] < 2)
			break;
		i += h[i + 1];
	}
	return true;
}

/* The next TCP packet (IPv4) that the host sends within <ms>; false: none. */
PLAT_USED bool plat_tcp_recv(const struct plat_wire *w, int ms, struct plat_tcp *t)
{
	uint64_t end = plat_ms() + (uint64_t)ms;
	uint8_t f[65536];

	for (;;) {
		struct sockaddr_ll from;
		socklen_t l = sizeof(from);
		ssize_t n = recvfrom(w->fd, f, sizeof(f), 0, (struct sockaddr *)&from, &l);
		uint64_t now = plat_ms();

		if (n < 0) {
			if (now >= end || !plat_readable(w->fd, (int)(end - now)))
				return false;
			continue;
		}
		if (from.sll_pkttype != PACKET_OUTGOING && n > 14 && f[12] == 8 && f[13] == 0 &&
		    plat_tcp_read(f + 14, (unsigned)n - 14, t))
			return true;
	}
}

/* any packet of IPv4 TCP or IPv6 TCP leaves within <ms>? */
PLAT_USED bool plat_anything(const struct plat_wire *w, int ms)
{
	uint64_t end = plat_ms() + (uint64_t)ms;
	uint8_t f[2048];

	while (plat_ms() < end) {
		struct sockaddr_ll from;
		socklen_t l = sizeof(from);
		ssize_t n = recvfrom(w->fd, f, sizeof(f), 0, (struct sockaddr *)&from, &l);

		if (n < 0)
			plat_readable(w->fd, (int)(end - plat_ms()));
		else if (from.sll_pkttype != PACKET_OUTGOING && n > 54 &&
			 ((f[12] == 8 && f[13] == 0 && f[23] == IPPROTO_TCP) ||
			  (f[12] == 0x86 && f[13] == 0xdd && f[20] == IPPROTO_TCP)))
			return true;
	}
	return false;
}

/* ---- repair sockets ---- */

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

struct plat_repair {
	const char *own, *peer; /* addresses; own is the one that is impersonated */
	uint16_t own_port, peer_port;
	uint32_t snd, rcv;
	bool ts;
	uint32_t tsval;
	uint32_t snd_wnd, rcv_wnd; /* 0: 65535 */
};

PLAT_USED int plat_set(int fd, int opt, int v)
{
	return setsockopt(fd, IPPROTO_TCP, opt, &v, sizeof(v));
}

PLAT_USED socklen_t plat_sa(struct sockaddr_storage *ss, const char *ip, uint16_t port)
{
	struct sockaddr_in *a4 = (void *)ss;
	struct sockaddr_in6 *a6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, ip, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons(port);
		return sizeof(*a4);
	}
	PLAT_NEED(inet_pton(AF_INET6, ip, &a6->sin6_addr) == 1);
	a6->sin6_family = AF_INET6;
	a6->sin6_port = htons(port);
	return sizeof(*a6);
}

/* steps 1 to 6 of FACTS 1: connected, still under repair */
PLAT_USED int plat_repair_connect(const struct plat_repair *r)
{
	struct sockaddr_storage own, peer;
	socklen_t l = plat_sa(&own, r->own, r->own_port), l2 = plat_sa(&peer, r->peer, r->peer_port);
	bool v6 = own.ss_family == AF_INET6;
	int fd = socket(own.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	PLAT_NEED(fd >= 0);
	PLAT_NEED(setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one,
			     sizeof(one)) == 0);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, 1) == 0);
	PLAT_NEED(plat_set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) == 0);
	PLAT_NEED(plat_set(fd, TCP_QUEUE_SEQ, (int)r->snd) == 0);
	PLAT_NEED(plat_set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE) == 0);
	PLAT_NEED(plat_set(fd, TCP_QUEUE_SEQ, (int)r->rcv) == 0);
	PLAT_NEED(plat_set(fd, TCP_MAXSEG, 1400) == 0);
	PLAT_NEED(bind(fd, (struct sockaddr *)&own, l) == 0);
	PLAT_NEED(connect(fd, (struct sockaddr *)&peer, l2) == 0);
	return fd;
}

/* steps 7 to 9 */
PLAT_USED void plat_repair_options(int fd, const struct plat_repair *r)
{
	struct tcp_repair_opt opt[4] = { { TCPOPT_MAXSEG, 1400 }, { TCPOPT_WINDOW, 0 } };
	struct tcp_repair_window win = { .snd_wl1 = r->rcv - 1,
					 .snd_wnd = r->snd_wnd ? r->snd_wnd : 65535,
					 .max_window = 65535,
					 .rcv_wnd = r->rcv_wnd ? r->rcv_wnd : 65535,
					 .rcv_wup = r->rcv };
	unsigned n = 1;

	if (r->ts)
		opt[n++] = (struct tcp_repair_opt){ TCPOPT_TIMESTAMP, 0 };
	PLAT_NEED(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opt, n * sizeof(opt[0])) == 0);
	PLAT_NEED(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, sizeof(win)) == 0);
	if (r->ts)
		PLAT_NEED(plat_set(fd, TCP_TIMESTAMP, (int)r->tsval) == 0);
}

PLAT_USED void plat_repair_off(int fd)
{
	PLAT_NEED(plat_set(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE) == 0);
	PLAT_NEED(plat_set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP) == 0);
	PLAT_NEED(plat_set(fd, TCP_NODELAY, 1) == 0);
}

PLAT_USED int plat_repair_socket(const struct plat_repair *r)
{
	int fd = plat_repair_connect(r);

	plat_repair_options(fd, r);
	plat_repair_off(fd);
	return fd;
}

PLAT_USED int plat_tcp_state(int fd)
{
	struct tcp_info ti;
	socklen_t l = sizeof(ti);

	memset(&ti, 0, sizeof(ti));
	PLAT_NEED(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &l) == 0);
	return ti.tcpi_state;
}

#define PLAT_ESTABLISHED 1

/* ---- the queue ---- */

struct plat_queue {
	struct plat_queue *older; /* keeps what lives to the end reachable, for LeakSanitizer */
	struct mnl_socket *s;
	unsigned num;
	char buf[80000];
	int left; /* bytes of buf not looked at */
	struct nlmsghdr *next;
};

struct plat_pkt {
	uint32_t id, mark, skbinfo, cap_len;
	uint8_t hook;
	uint8_t *p;
	unsigned len;
};

static struct nlmsghdr *plat_nfq_msg(char *buf, unsigned type, unsigned num)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons((uint16_t)num);
	return nlh;
}

/* Listens on queue <num>; skips the test where the kernel has no queue. */
PLAT_USED struct plat_queue *plat_queue_open(unsigned num, unsigned copy, uint32_t flags)
{
	static struct plat_queue *newest;
	struct plat_queue *q = calloc(1, sizeof(*q));
	struct nfqnl_msg_config_cmd cmd = { .command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET) };
	struct nfqnl_msg_config_params par = { .copy_range = htonl(copy), .copy_mode = NFQNL_COPY_PACKET };
	char buf[512];
	struct nlmsghdr *nlh;

	q->num = num;
	q->older = newest;
	newest = q;
	q->s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK);
	PLAT_NEED(q->s && mnl_socket_bind(q->s, 0, MNL_SOCKET_AUTOPID) == 0);
	nlh = plat_nfq_msg(buf, NFQNL_MSG_CONFIG, num);
	nlh->nlmsg_flags |= NLM_F_ACK;
	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(cmd), &cmd);
	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(par), &par);
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(flags));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(flags));
	PLAT_NEED(mnl_socket_sendto(q->s, nlh, nlh->nlmsg_len) > 0);
	if (mnl_socket_recvfrom(q->s, buf, sizeof(buf)) < 0 ||
	    ((struct nlmsgerr *)mnl_nlmsg_get_payload((struct nlmsghdr *)(void *)buf))->error)
		plat_skip("no packet queue in this kernel");
	return q;
}

PLAT_USED void plat_queue_close(struct plat_queue *q)
{
	mnl_socket_close(q->s); /* q itself stays, as all do */
}

static int plat_pkt_attr(const struct nlattr *a, void *arg)
{
	struct plat_pkt *k = arg;

	switch (mnl_attr_get_type(a)) {
	case NFQA_PACKET_HDR: {
		struct nfqnl_msg_packet_hdr *h = mnl_attr_get_payload(a);

		k->id = ntohl(h->packet_id);
		k->hook = h->hook;
		break;
	}
	case NFQA_MARK: k->mark = ntohl(mnl_attr_get_u32(a)); break;
	case NFQA_SKB_INFO: k->skbinfo = ntohl(mnl_attr_get_u32(a)); break;
	case NFQA_CAP_LEN: k->cap_len = ntohl(mnl_attr_get_u32(a)); break;
	case NFQA_PAYLOAD:
		k->p = mnl_attr_get_payload(a);
		k->len = mnl_attr_get_payload_len(a);
		break;
	default: break;
	}
	return MNL_CB_OK;
}

/* The next queued packet within <ms>; it lies in the queue's buffer until the next call. */
PLAT_USED bool plat_queue_get(struct plat_queue *q, int ms, struct plat_pkt *k)
{
	for (;;) {
		while (q->next && mnl_nlmsg_ok(q->next, q->left)) {
			struct nlmsghdr *nlh = q->next;

			q->next = mnl_nlmsg_next(nlh, &q->left);
			if (nlh->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
				continue;
			memset(k, 0, sizeof(*k));
			mnl_attr_parse(nlh, sizeof(struct nfgenmsg), plat_pkt_attr, k);
			return true;
		}
		q->next = NULL;
		if (!plat_readable(mnl_socket_get_fd(q->s), ms))
			return false;
		q->left = (int)mnl_socket_recvfrom(q->s, q->buf, sizeof(q->buf));
		if (q->left > 0)
			q->next = (struct nlmsghdr *)(void *)q->buf;
	}
}

/* <mark> -1: left alone. <data> NULL: the packet as it was. */
PLAT_USED void plat_verdict(struct plat_queue *q, uint32_t id, int verdict, int64_t mark, const void *data,
			    unsigned len)
{
	struct nfqnl_msg_verdict_hdr vh = { .verdict = htonl((uint32_t)verdict), .id = htonl(id) };
	static char buf[70000];
	struct nlmsghdr *nlh = plat_nfq_msg(buf, NFQNL_MSG_VERDICT, q->num);

	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(vh), &vh);
	if (mark >= 0)
		mnl_attr_put_u32(nlh, NFQA_MARK, htonl((uint32_t)mark));
	if (data)
		mnl_attr_put(nlh, NFQA_PAYLOAD, len, data);
	PLAT_NEED(mnl_socket_sendto(q->s, nlh, nlh->nlmsg_len) > 0);
}

PLAT_USED void plat_verdict_batch(struct plat_queue *q, uint32_t id, int verdict)
{
	struct nfqnl_msg_verdict_hdr vh = { .verdict = htonl((uint32_t)verdict), .id = htonl(id) };
	char buf[256];
	struct nlmsghdr *nlh = plat_nfq_msg(buf, NFQNL_MSG_VERDICT_BATCH, q->num);

	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(vh), &vh);
	PLAT_NEED(mnl_socket_sendto(q->s, nlh, nlh->nlmsg_len) > 0);
}

/* ---- rules, UDP over lo ---- */

/* iptables -t mangle <rule>; skips the test where the kernel lacks what the rule needs */
PLAT_USED void __attribute__((format(printf, 1, 2))) plat_rule(const char *fmt, ...)
{
	char rule[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rule, sizeof(rule), fmt, ap);
	va_end(ap);
	if (plat_sh("PATH=$PATH:/usr/sbin:/sbin iptables -w 5 -t mangle %s", rule))
		plat_skip("iptables -t mangle %s does not work here", rule);
}

/* packets counted by rule <n> (from 1) of <chain> in mangle */
PLAT_USED long plat_count(const char *chain, int n)
{
	char cmd[256], line[512];
	long count = -1;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "PATH=$PATH:/usr/sbin:/sbin iptables -w 5 -t mangle -L %s %d -v -x -n",
		 chain, n);
	f = popen(cmd, "r");
	PLAT_NEED(f);
	if (fgets(line, sizeof(line), f))
		count = strtol(line, NULL, 10);
	pclose(f);
	return count;
}

struct plat_udp {
	int tx, rx;
};

/* datagrams from 127.0.0.1 to 127.0.0.1:<port> */
PLAT_USED struct plat_udp plat_udp_open(uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t l = plat_sa(&ss, "127.0.0.1", port);
	struct plat_udp u = { socket(AF_INET, SOCK_DGRAM, 0), socket(AF_INET, SOCK_DGRAM, 0) };

	PLAT_NEED(bind(u.rx, (struct sockaddr *)&ss, l) == 0 &&
		  connect(u.tx, (struct sockaddr *)&ss, l) == 0);
	return u;
}

PLAT_USED bool plat_udp_send(const struct plat_udp *u, const char *text)
{
	return send(u->tx, text, strlen(text), 0) == (ssize_t)strlen(text);
}

PLAT_USED bool plat_udp_got(const struct plat_udp *u, int ms, const char *text)
{
	char buf[256];
	ssize_t n = plat_readable(u->rx, ms) ? recv(u->rx, buf, sizeof(buf), 0) : -1;

	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

#endif
