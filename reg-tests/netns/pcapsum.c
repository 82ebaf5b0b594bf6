/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pcapsum.c - what a capture says about each TCP connection in it
 *
 *   pcapsum FILE
 *
 * One line for each connection, in the order of their first packets:
 *
 *   src=A:P dst=A:P syn=N synack=N rst=N fin=N c2s=BYTES s2c=BYTES resent=N outside=N segments=N
 *
 * syn counts SYNs without ACK, synack those with, both ways; rst counts resets until both ends have sent
 * their FIN (a segment that is late, or doubled, finds the socket gone after that); c2s and s2c are
 * the highest sequence number seen past the SYN's (FINs not counted); resent
 * are segments with data that end at or before data already seen; outside
 * those that end beyond every window that their receiver was seen to offer. src is who
 * sent the first packet. Reads tcpdump's classic format, Ethernet or raw IP,
 * either byte order, snap length 96 or more; VLAN tags and IPv6 extension headers
 * are not looked into. Exit status 1: damaged file.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include "tool.h"

#define MAX_CONNS 65536

struct end {
	int family;
	uint8_t addr[16];
	uint16_t port;
};

struct conn {
	struct end end[2]; /* [0] sent the first packet */
	unsigned syn, synack, rst, fin, resent, outside, segments;
	bool over[2]; /* sent its FIN */
	bool based[2];
	uint32_t base[2]; /* sequence number of the first byte */
	uint64_t high[2]; /* highest offset seen, past base */
	int wscale[2];    /* of its SYN; -1: none was there */
	bool offers[2];
	uint32_t right[2]; /* the farthest that it offers to take */
};

static struct conn *conns;
static size_t nconns;

static struct conn *conn_find(const struct end *src, const struct end *dst, int *dir)
{
	for (size_t i = nconns; i-- > 0;) {
		for (*dir = 0; *dir < 2; ++*dir) {
			if (!memcmp(&conns[i].end[*dir], src, sizeof(*src)) &&
			    !memcmp(&conns[i].end[!*dir], dst, sizeof(*dst)))
				return &conns[i];
		}
	}
	if (nconns == MAX_CONNS)
		die("more than %d connections", MAX_CONNS);
	*dir = 0;
	conns[nconns].end[0] = *src;
	conns[nconns].end[1] = *dst;
	return &conns[nconns++];
}

/* The window scale of a SYN's options, -1: none. */
static int syn_wscale(const uint8_t *opt, size_t len)
{
	while (len > 1 && opt[0] != TCPOPT_EOL) {
		size_t n = opt[0] == TCPOPT_NOP ? 1 : opt[1];

		if (opt[0] == TCPOPT_WINDOW && n == 3 && len >= n)
			return opt[2];
		if (n == 0 || n > len)
			break;
		opt += n;
		len -= n;
	}
	return -1;
}

/* What was offered to the sender of direction <dir>, and what it offers. */
static void conn_window(struct conn *c, int dir, const struct tcphdr *th, uint32_t len, int wscale)
{
	bool scaled = !th->syn && c->wscale[0] >= 0 && c->wscale[1] >= 0;
	uint32_t right = ntohl(th->ack_seq) + ((uint32_t)ntohs(th->window) << (scaled ? c->wscale[dir] : 0));

	if (th->syn)
		c->wscale[dir] = wscale;
	else if (len && c->offers[!dir] && (int32_t)(ntohl(th->seq) + len - c->right[!dir]) > 0)
		c->outside++;
	if (th->ack && !th->rst && (!c->offers[dir] || (int32_t)(right - c->right[dir]) > 0)) {
		c->offers[dir] = true;
		c->right[dir] = right;
	}
}

static void conn_segment(const struct end *src, const struct end *dst, const struct tcphdr *th, uint32_t len, int wscale)
{
	uint32_t seq = ntohl(th->seq) + th->syn;
	struct conn *c;
	uint64_t end;
	int dir;

	c = conn_find(src, dst, &dir);
	/* a new connection with the ports of an old one */
	if (th->syn && !th->ack && c->based[dir] && c->base[dir] != seq && (c->fin || c->rst)) {
		if (nconns == MAX_CONNS)
			die("more than %d connections", MAX_CONNS);
		c = &conns[nconns++];
		c->end[0] = *src;
		c->end[1] = *dst;
		dir = 0;
	}
	c->segments++;
	conn_window(c, dir, th, len, wscale);
	c->syn += th->syn && !th->ack;
	c->synack += th->syn && th->ack;
	c->rst += th->rst && !(c->over[0] && c->over[1]);
	c->fin += th->fin;
	c->over[dir] |= th->fin;
	if (!c->based[dir] && !th->rst) {
		c->based[dir] = true;
		c->base[dir] = seq;
	}
	/* the offset nearest to the highest one: streams may exceed 4 GB */
	end = c->high[dir] + (int32_t)(seq + len - c->base[dir] - (uint32_t)c->high[dir]);
	if (len && end <= c->high[dir])
		c->resent++;
	else if (len && !th->rst)
		c->high[dir] = end;
}

static void packet_ip(const uint8_t *p, size_t caplen)
{
	struct end src = { 0 }, dst = { 0 };
	size_t iphlen, total;
	struct tcphdr th;

	if (caplen >= 20 && p[0] >> 4 == 4) {
		struct iphdr ip;

		memcpy(&ip, p, sizeof(ip));
		iphlen = ip.ihl * 4;
		total = ntohs(ip.tot_len);
		if (ip.protocol != IPPROTO_TCP || ntohs(ip.frag_off) & 0x1fff)
			return;
		src.family = dst.family = AF_INET;
		memcpy(src.addr, &ip.saddr, 4);
		memcpy(dst.addr, &ip.daddr, 4);
	} else if (caplen >= 40 && p[0] >> 4 == 6) {
		struct ip6_hdr ip6;

		memcpy(&ip6, p, sizeof(ip6));
		iphlen = sizeof(ip6);
		total = iphlen + ntohs(ip6.ip6_plen);
		if (ip6.ip6_nxt != IPPROTO_TCP)
			return;
		src.family = dst.family = AF_INET6;
		memcpy(src.addr, &ip6.ip6_src, 16);
		memcpy(dst.addr, &ip6.ip6_dst, 16);
	} else {
		return;
	}
	if (caplen < iphlen + sizeof(th))
		return;
	memcpy(&th, p + iphlen, sizeof(th));
	src.port = ntohs(th.source);
	dst.port = ntohs(th.dest);
	if (total >= iphlen + th.doff * 4U && th.doff >= 5)
		conn_segment(&src, &dst, &th, total - iphlen - th.doff * 4U,
			     syn_wscale(p + iphlen + sizeof(th), (caplen < iphlen + th.doff * 4U ? caplen : iphlen + th.doff * 4U) -
								     iphlen - sizeof(th)));
}

static void print_end(const char *name, const struct end *e)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(e->family, e->addr, text, sizeof(text));
	printf(e->family == AF_INET ? "%s=%s:%u " : "%s=[%s]:%u ", name, text, e->port);
}

int main(int argc, char **argv)
{
	struct {
		uint32_t magic, version, zone, sigfigs, snaplen, link;
	} head;
	struct {
		uint32_t sec, usec, caplen, len;
	} rec;
	static uint8_t data[1 << 18];
	size_t skip;
	bool swap;
	FILE *f;

	if (argc != 2)
		die("usage: pcapsum FILE");
	f = fopen(argv[1], "r");
	if (!f)
		die("%s: %s", argv[1], strerror(errno));
	conns = calloc(MAX_CONNS, sizeof(*conns));
	if (!conns || fread(&head, sizeof(head), 1, f) != 1)
		die("%s: not a capture", argv[1]);
	swap = head.magic == 0xd4c3b2a1 || head.magic == 0x4d3cb2a1;
	if (!swap && head.magic != 0xa1b2c3d4 && head.magic != 0xa1b23c4d)
		die("%s: not a capture", argv[1]);
	if (swap)
		head.link = __builtin_bswap32(head.link);
	skip = head.link == 1 ? sizeof(struct ether_header) : 0;
	while (fread(&rec, sizeof(rec), 1, f) == 1) {
		uint32_t caplen = swap ? __builtin_bswap32(rec.caplen) : rec.caplen;

		if (caplen > sizeof(data) || fread(data, 1, caplen, f) != caplen) {
			fprintf(stderr, "%s: damaged\n", argv[1]);
			return EXIT_WRONG;
		}
		if (caplen > skip)
			packet_ip(data + skip, caplen - skip);
	}
	for (struct conn *c = conns; c < conns + nconns; c++) {
		print_end("src", &c->end[0]);
		print_end("dst", &c->end[1]);
		printf("syn=%u synack=%u rst=%u fin=%u c2s=%llu s2c=%llu resent=%u outside=%u segments=%u\n", c->syn,
		       c->synack, c->rst, c->fin, (unsigned long long)c->high[0],
		       (unsigned long long)c->high[1], c->resent, c->outside, c->segments);
	}
	free(conns);
	fclose(f);
	return 0;
}
