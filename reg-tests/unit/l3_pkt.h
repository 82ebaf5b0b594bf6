/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3_pkt.h - packets for tests: written by hand, checksummed by a second, naive implementation
 */
#ifndef L3_PKT_H
#define L3_PKT_H

#include <arpa/inet.h>
#include <string.h>

#include "l3/seg.h"

struct pkt {
	bool v6;
	unsigned ip_opt;          /* bytes of IPv4 options, or of IPv6 destination options (multiple of 8) */
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t win, urp;
	const void *opt;          /* TCP options, padded with NOPs here */
	unsigned opt_len;
	const void *data;         /* NULL: a pattern */
	unsigned data_len;
	bool reverse;             /* server to client */
	uint16_t port;            /* the client's; 0: PKT_CLI_PORT */
};

#define PKT_CLI_PORT 40000
#define PKT_SRV_PORT 80

static inline void pkt_be(uint8_t *p, uint32_t v, int n)
{
	while (n--)
		p[n] = (uint8_t)v, v >>= 8;
}

/* RFC 1071, one 16-bit word after the other */
static inline uint16_t pkt_naive_csum(const uint8_t *p, unsigned n, uint32_t sum)
{
	for (unsigned i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8, sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

static inline uint32_t pkt_pseudo(const uint8_t *p, unsigned l4_len)
{
	bool v6 = p[0] >> 4 == 6;
	uint32_t sum = IPPROTO_TCP + (l4_len & 0xffff) + (l4_len >> 16);

	for (unsigned i = v6 ? 8 : 12; i < (v6 ? 40u : 20u); i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static inline uint16_t pkt_tcp_csum(const uint8_t *p, unsigned l4, unsigned len)
{
	return pkt_naive_csum(p + l4, len - l4, pkt_pseudo(p, len - l4));
}

/* writes the packet, returns its length */
static inline unsigned pkt_make(uint8_t *p, const struct pkt *k)
{
	unsigned ip = (k->v6 ? 40 : 20) + k->ip_opt, optlen = (k->opt_len + 3) & ~3u;
	unsigned len = ip + 20 + optlen + k->data_len;
	uint8_t *t = p + ip;
	const uint8_t cli = k->reverse ? 2 : 1, srv = k->reverse ? 1 : 2;
	const uint16_t cli_port = k->port ? k->port : PKT_CLI_PORT;

	memset(p, 0, ip + 20);
	if (k->v6) {
		p[0] = 0x60;
		pkt_be(p + 4, len - 40, 2);
		p[6] = k->ip_opt ? IPPROTO_DSTOPTS : IPPROTO_TCP;
		p[7] = 63;
		memcpy(p + 8, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0", 15), p[23] = cli;
		memcpy(p + 24, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0", 15), p[39] = srv;
		if (k->ip_opt) {
			p[40] = IPPROTO_TCP;
			p[41] = (uint8_t)(k->ip_opt / 8 - 1);
			p[42] = 1; /* PadN */
			p[43] = (uint8_t)(k->ip_opt - 4);
		}
	} else {
		p[0] = (uint8_t)(0x40 | ip / 4);
		pkt_be(p + 2, len, 2);
		p[8] = 63;
		p[9] = IPPROTO_TCP;
		memcpy(p + 12, "\x0a\0\0", 3), p[15] = cli;
		memcpy(p + 16, "\x0a\0\0", 3), p[19] = srv;
		memset(p + 20, 1, k->ip_opt); /* NOPs */
		pkt_be(p + 10, pkt_naive_csum(p, ip, 0), 2);
	}
	pkt_be(t, k->reverse ? PKT_SRV_PORT : cli_port, 2);
	pkt_be(t + 2, k->reverse ? cli_port : PKT_SRV_PORT, 2);
	pkt_be(t + 4, k->seq, 4);
	pkt_be(t + 8, k->ack, 4);
	t[12] = (uint8_t)((20 + optlen) / 4 << 4);
	t[13] = k->flags;
	pkt_be(t + 14, k->win, 2);
	pkt_be(t + 18, k->urp, 2);
	memset(t + 20, 1, optlen);
	if (k->opt_len)
		memcpy(t + 20, k->opt, k->opt_len);
	for (unsigned i = 0; i < k->data_len; i++)
		t[20 + optlen + i] = k->data ? ((const uint8_t *)k->data)[i] : (uint8_t)(i % 251);
	pkt_be(t + 16, pkt_tcp_csum(p, ip, len), 2);
	return len;
}

/* makes and parses; the packet lives in <buf> */
static inline struct seg pkt_seg(uint8_t *buf, const struct pkt *k)
{
	struct seg s;
	unsigned len = pkt_make(buf, k);

	if (seg_parse(&s, buf, len, len) != SEG_OK)
		abort();
	return s;
}

/* options as they look on the wire */
#define PKT_MSS(v)     "\x02\x04" v
#define PKT_WS(v)      "\x03\x03" v
#define PKT_SACKP      "\x04\x02"
#define PKT_TS(v, e)   "\x08\x0a" v e
#define PKT_NOP        "\x01"
#define PKT_OPT(lit)   .opt = lit, .opt_len = sizeof(lit) - 1

#endif
