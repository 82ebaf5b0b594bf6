/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * forge.c - segments that no honest end would send
 *
 *   forge [-n TIMES] SRC SPORT DST DPORT KIND...
 *
 * Sends from this host, with raw sockets, what somebody who knows a
 * connection's addresses and ports but not its sequence numbers could send,
 * and packets that are broken in form; TIMES of each KIND (20), with sequence
 * numbers spread over the whole space. `all` means every kind in the table below.
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include "tool.h"

#define PACKET_MAX 256

struct packet {
	bool v6;
	struct in6_addr src, dst; /* v4: the first four bytes */
	struct tcphdr th;
	uint8_t options[40];
	unsigned options_len;
	unsigned doff; /* what the header says, in bytes; 0: the truth */
	unsigned cut;  /* of the TCP header, so many bytes are missing at the end */
	unsigned payload;
	bool bad_sum;
	unsigned fragment; /* IPv4: offset in bytes, of a fragment */
};

struct kind {
	const char *name;
	void (*make)(struct packet *p);
};

static void make_rst(struct packet *p)
{
	p->th.rst = 1;
}

static void make_rst_ack(struct packet *p)
{
	p->th.rst = p->th.ack = 1;
}

static void make_fin(struct packet *p)
{
	p->th.fin = p->th.ack = 1;
}

static void make_syn(struct packet *p)
{
	p->th.syn = 1;
}

static void make_synack(struct packet *p)
{
	p->th.syn = p->th.ack = 1;
}

static void make_data(struct packet *p)
{
	p->th.ack = p->th.psh = 1;
	p->payload = 100;
}

static void make_urgent(struct packet *p)
{
	make_data(p);
	p->th.urg = 1;
	p->th.urg_ptr = htons(50);
}

static void make_null(struct packet *p)
{
	p->payload = 10;
}

static void make_christmas(struct packet *p)
{
	p->th.syn = p->th.fin = p->th.rst = p->th.psh = p->th.ack = p->th.urg = 1;
}

static void make_short_header(struct packet *p)
{
	make_data(p);
	p->doff = 16;
}

static void make_long_header(struct packet *p)
{
	p->th.ack = 1;
	p->doff = 60;
}

static void make_cut(struct packet *p)
{
	p->th.ack = 1;
	p->cut = 8;
}

static void make_option_zero(struct packet *p)
{
	p->th.syn = 1;
	memcpy(p->options, "\x02\x00\x05\xb4\x03\x00\x00\x00", p->options_len = 8);
}

static void make_option_overrun(struct packet *p)
{
	p->th.syn = 1;
	memcpy(p->options, "\x01\x01\x01\x01\x01\x01\x08\x0a", p->options_len = 8);
}

static void make_sack(struct packet *p)
{
	p->th.ack = 1;
	memcpy(p->options, "\x01\x01\x05\x22", 4); /* longer than the header */
	p->options_len = 12;
}

static void make_bad_sum(struct packet *p)
{
	make_data(p);
	p->bad_sum = true;
}

static void make_fragment(struct packet *p)
{
	make_data(p);
	p->fragment = 1480;
}

static const struct kind kinds[] = {
	{ "rst", make_rst },
	{ "rst-ack", make_rst_ack },
	{ "fin", make_fin },
	{ "syn", make_syn },
	{ "syn-ack", make_synack },
	{ "data", make_data },
	{ "urgent", make_urgent },
	{ "null", make_null },
	{ "christmas", make_christmas },
	{ "bad-sum", make_bad_sum },
	{ "short-header", make_short_header },
	{ "long-header", make_long_header },
	{ "cut", make_cut },
	{ "option-zero", make_option_zero },
	{ "option-overrun", make_option_overrun },
	{ "sack", make_sack },
	{ "fragment", make_fragment },
};

static uint32_t sum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len > 1; len -= 2, p += 2)
		sum += p[0] << 8 | p[1];
	return len ? sum + (p[0] << 8) : sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static size_t build_tcp(const struct packet *p, uint8_t *out)
{
	size_t alen = p->v6 ? 16 : 4, hlen = sizeof(p->th) + (p->options_len + 3) / 4 * 4, len;
	struct tcphdr th = p->th;
	uint32_t sum;

	th.doff = (p->doff ? p->doff : hlen) / 4;
	memcpy(out, &th, sizeof(th));
	memcpy(out + sizeof(th), p->options, hlen - sizeof(th));
	memset(out + hlen, 'x', p->payload);
	len = hlen + p->payload - p->cut;
	sum = sum_add(sum_add(IPPROTO_TCP + len, &p->src, alen), &p->dst, alen);
	th.check = sum_fold(sum_add(sum, out, len)) ^ (p->bad_sum ? 0x5555 : 0);
	memcpy(out + offsetof(struct tcphdr, check), &th.check, 2);
	return len;
}

static size_t build(const struct packet *p, uint8_t *out)
{
	size_t len;

	if (p->v6) {
		struct ip6_hdr ip6 = {
			.ip6_nxt = IPPROTO_TCP, .ip6_hlim = 64, .ip6_src = p->src, .ip6_dst = p->dst
		};

		len = build_tcp(p, out + sizeof(ip6));
		ip6.ip6_vfc = 6 << 4;
		ip6.ip6_plen = htons(len);
		memcpy(out, &ip6, sizeof(ip6));
		return sizeof(ip6) + len;
	} else {
		struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP };

		len = build_tcp(p, out + sizeof(ip));
		ip.tot_len = htons(sizeof(ip) + len);
		ip.frag_off = htons(p->fragment / 8);
		memcpy(&ip.saddr, &p->src, 4);
		memcpy(&ip.daddr, &p->dst, 4);
		ip.check = sum_fold(sum_add(0, &ip, sizeof(ip)));
		memcpy(out, &ip, sizeof(ip));
		return sizeof(ip) + len;
	}
}

static void send_packet(int fd, const struct packet *p)
{
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_addr = p->dst };
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	uint8_t data[PACKET_MAX];
	size_t len = build(p, data);

	memcpy(&to4.sin_addr, &p->dst, 4);
	if (sendto(fd, data, len, 0, p->v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4,
		   p->v6 ? sizeof(to6) : sizeof(to4)) < 0)
		die("send: %s", strerror(errno));
}

static void send_kind(int fd, const struct packet *base, const struct kind *k, int times)
{
	for (int i = 0; i < times; i++) {
		struct packet p = *base;

		p.th.seq = htonl((uint32_t)(UINT32_MAX / times) * i + (uint32_t)lrand48() % 1000);
		p.th.ack_seq = htonl((uint32_t)mrand48());
		k->make(&p);
		if (!p.v6 || !p.fragment)
			send_packet(fd, &p);
	}
}

int main(int argc, char **argv)
{
	struct packet base = { .th = { .window = htons(1000) } };
	int opt, fd, times = 20;

	while ((opt = getopt(argc, argv, "n:")) != -1) {
		if (opt != 'n' || (times = atoi(optarg)) < 1)
			return EXIT_UNABLE;
	}
	argv += optind;
	if (argc - optind < 5) {
		fprintf(stderr, "usage: forge [-n TIMES] SRC SPORT DST DPORT KIND...\nkinds: all");
		for (const struct kind *k = kinds; k < kinds + sizeof(kinds) / sizeof(*kinds); k++)
			fprintf(stderr, " %s", k->name);
		die("%s", "");
	}
	base.v6 = strchr(argv[0], ':');
	if (inet_pton(base.v6 ? AF_INET6 : AF_INET, argv[0], &base.src) != 1 ||
	    inet_pton(base.v6 ? AF_INET6 : AF_INET, argv[2], &base.dst) != 1)
		die("not an address: %s or %s", argv[0], argv[2]);
	base.th.source = htons(atoi(argv[1]));
	base.th.dest = htons(atoi(argv[3]));
	fd = socket(base.v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		die("raw socket: %s", strerror(errno));
	for (char **want = argv + 4; *want; want++) {
		bool found = false;

		for (const struct kind *k = kinds; k < kinds + sizeof(kinds) / sizeof(*kinds); k++) {
			if (strcmp(*want, "all") && strcmp(*want, k->name))
				continue;
			found = true;
			send_kind(fd, &base, k, times);
		}
		if (!found)
			die("unknown kind: %s", *want);
	}
	close(fd);
	return 0;
}
