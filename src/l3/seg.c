/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seg.c - read and change TCP segments where they lie
 *
 * Reading. Two lengths rule everything: `have`, the bytes in the buffer, and
 * `len`, what the IP header says. Every read is checked against `have` first
 * and every claim of the packet against `len`; the parser walks forward only,
 * and extension headers and options are bounded in number and size, so its
 * time is too. After seg_parse() said SEG_OK these hold, and nothing below
 * checks them again:
 *
 *     l4_off + 20 <= data_off <= MIN(have, len)
 *     data_off + data_len == len
 *     option positions lie, with what they point to, inside [l4_off + 20, data_off)
 *
 * Malformed options do not make a segment bad: the kernel ignores them from
 * there on (tcp_parse_options() in net/ipv4/tcp_input.c), so do we, and say so.
 *
 * Writing. A complete checksum is updated from the old and new words (RFC 1624,
 * equation 3), so a checksum that was wrong stays wrong: we must not repair what
 * the network damaged. A partial one covers only the pseudo header, where no
 * field that we write lies; it stays as it is until seg_finish(). Updating costs
 * 20 ns a field, computing a 64 KB packet 3.5 us: hence no "always in full".
 *
 * RFC 791, 8200, 9293 3.1, 7323, 2018, 1071, 1624; IPv6 jumbo payloads as the
 * kernel's BIG TCP makes them (RFC 2675).
 */
#include "l3/seg.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#define SEG_EXT_MAX     8    /* IPv6 extension headers */
#define SEG_EXT_BYTES   2048 /* and their bytes: no TCP that works comes near */
#define TCP_OFF_SEQ     4
#define TCP_OFF_ACK     8
#define TCP_OFF_WIN     14
#define IP4_OFF_CHECK   10
#define TCP_OFF_CHECK   16
#define TCPOPT_MD5_KIND 19
#define TCPOPT_AO_KIND  29
#define TCPOPT_MP_KIND  30
#define TCPOPT_FO_KIND  34
#define TCPOPT_EXP_KIND 254
#define TCPOPT_FO_MAGIC 0xf989 /* RFC 6994 experiment of Fast Open */

const char *const seg_err_name[SEG_ERR_COUNT] = {
	[SEG_OK] = "ok",           [SEG_SHORT] = "short",
	[SEG_BAD_IP] = "bad-ip",   [SEG_FRAGMENT] = "fragment",
	[SEG_NOT_TCP] = "not-tcp", [SEG_BAD_TCP] = "bad-tcp",
};

/* ---- bytes ---- */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* ---- checksums ----
 * Sums are of 16-bit words as they lie in memory: the ones' complement sum does not mind the byte
 * order as long as it is the same throughout (RFC 1071 2(B)). */

/* end-around carry: the sum of two 64-bit ones' complement numbers */
static inline uint64_t csum_add64(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

uint64_t csum_add_bytes(uint64_t sum, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t s0 = sum, s1 = 0, w[4], last = 0;

	/* two independent chains: the carry of one hides behind the other */
	for (; n >= sizeof(w); n -= sizeof(w), p += sizeof(w)) {
		memcpy(w, p, sizeof(w));
		s0 = csum_add64(s0, w[0]);
		s1 = csum_add64(s1, w[1]);
		s0 = csum_add64(s0, w[2]);
		s1 = csum_add64(s1, w[3]);
	}
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(w, p, 8);
		s0 = csum_add64(s0, w[0]);
	}
	if (n) {
		memcpy(&last, p, n);
		s1 = csum_add64(s1, last);
	}
	return csum_add64(s0, s1);
}

static uint16_t csum_fold16(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)((sum >> 16) + (sum & 0xffff));
}

uint16_t csum_fold(uint64_t sum)
{
	return (uint16_t)~csum_fold16(sum);
}

/* sum of the TCP pseudo header: addresses, protocol, TCP length */
static uint64_t seg_pseudo_sum(const struct seg *s)
{
	uint8_t tail[8];
	bool v6 = s->src.family == AF_INET6;
	uint64_t sum = csum_add_bytes(0, s->pkt + (v6 ? 8 : 12), v6 ? 32 : 8);

	put32(tail, s->len - s->l4_off);
	put32(tail + 4, IPPROTO_TCP);
	return csum_add_bytes(sum, tail, sizeof(tail));
}

/* A field of the TCP header, 2 or 4 bytes at <off> from pkt, goes from <old> to <new>: RFC 1624 eqn. 3. A
 * timestamp may stand at an odd place: then its bytes count in the other half of the words. */
static void seg_csum_fix(struct seg *s, unsigned off, const void *old, const void *new, size_t n)
{
	uint8_t *check = s->pkt + s->l4_off + TCP_OFF_CHECK;
	uint32_t was = 0, is = 0;
	uint64_t change;
	uint16_t c;

	if (s->f & SEG_F_PARTIAL)
		return;
	memcpy(&was, old, n);
	memcpy(&is, new, n);
	change = (uint64_t)(uint32_t)~was + is;
	if ((off - s->l4_off) & 1)
		change = __builtin_bswap16(csum_fold16(change));
	memcpy(&c, check, 2);
	c = csum_fold((uint16_t)~c + change);
	memcpy(check, &c, 2);
}

static void seg_write(struct seg *s, unsigned off, const void *new, size_t n)
{
	uint8_t *p = s->pkt + off;

	if (memcmp(p, new, n) == 0)
		return;
	seg_csum_fix(s, off, p, new, n);
	memcpy(p, new, n);
	s->f |= SEG_F_DIRTY;
}

/* ---- IP ---- */

static enum seg_err seg_parse_ip4(struct seg *s, uint32_t wire_len)
{
	const uint8_t *p = s->pkt;
	uint32_t ihl, frag;

	if (s->have < sizeof(struct iphdr))
		return SEG_SHORT;
	ihl = (p[0] & 0x0f) * 4u;
	s->len = get16(p + 2);
	if (s->len == 0 && wire_len > UINT16_MAX) /* BIG TCP */
		s->len = wire_len;
	if (ihl < sizeof(struct iphdr) || s->len < ihl || s->len > wire_len)
		return SEG_BAD_IP;
	s->ttl = p[8];
	s->proto = p[9];
	s->l4_off = (uint16_t)ihl;
	s->src.family = s->dst.family = AF_INET;
	memcpy(&s->src.ip.v4, p + 12, 4);
	memcpy(&s->dst.ip.v4, p + 16, 4);
	frag = get16(p + 6);
	if (frag & (IP_MF | IP_OFFMASK))
		return SEG_FRAGMENT;
	return SEG_OK;
}

static bool ip6_is_ext(uint8_t proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_FRAGMENT || proto == IPPROTO_AH || proto == IPPROTO_MH;
}

/* Walks the extension headers from s->l4_off. A routing header with segments left stops the walk: the
 * packet's destination is not the one that its TCP checksum covers. */
static enum seg_err seg_skip_ext(struct seg *s)
{
	for (unsigned n = 0; ip6_is_ext(s->proto); n++) {
		const uint8_t *p = s->pkt + s->l4_off;
		uint32_t size;

		if (s->len < s->l4_off + 8u || n >= SEG_EXT_MAX || s->l4_off > SEG_EXT_BYTES)
			return SEG_BAD_IP;
		if (s->have < s->l4_off + 8u)
			return SEG_SHORT;
		if (s->proto == IPPROTO_FRAGMENT) {
			if (get16(p + 2) & 0xfff9) /* offset or more: not an atomic one (RFC 6946) */
				return SEG_FRAGMENT;
			size = 8;
		} else if (s->proto == IPPROTO_AH) {
			size = (p[1] + 2u) * 4;
		} else {
			if (s->proto == IPPROTO_ROUTING && p[3] != 0)
				return SEG_NOT_TCP;
			size = (p[1] + 1u) * 8;
		}
		s->proto = p[0];
		s->l4_off = (uint16_t)(s->l4_off + size);
	}
	return s->l4_off <= s->len ? SEG_OK : SEG_BAD_IP;
}

static enum seg_err seg_parse_ip6(struct seg *s, uint32_t wire_len)
{
	const uint8_t *p = s->pkt;

	if (s->have < sizeof(struct ip6_hdr))
		return SEG_SHORT;
	s->len = get16(p + 4) + (uint32_t)sizeof(struct ip6_hdr);
	if (s->len == sizeof(struct ip6_hdr) && wire_len > UINT16_MAX) /* jumbo payload */
		s->len = wire_len;
	if (s->len > wire_len)
		return SEG_BAD_IP;
	s->proto = p[6];
	s->ttl = p[7];
	s->l4_off = sizeof(struct ip6_hdr);
	s->src.family = s->dst.family = AF_INET6;
	memcpy(&s->src.ip.v6, p + 8, 16);
	memcpy(&s->dst.ip.v6, p + 24, 16);
	return seg_skip_ext(s);
}

/* ---- TCP options ---- */

static void seg_parse_sack(struct seg *s, uint32_t off, unsigned len)
{
	if (len < 10 || (len - 2) % 8)
		return;
	s->opts |= SEG_OPT_SACK;
	s->nb_sack = (uint8_t)((len - 2) / 8);
	s->sack_off = (uint16_t)(off + 2);
}

static void seg_parse_ts(struct seg *s, uint32_t off, unsigned len)
{
	if (len != TCPOLEN_TIMESTAMP)
		return;
	s->opts |= SEG_OPT_TS;
	s->ts_off = (uint16_t)(off + 2);
	s->tsval = get32(s->pkt + off + 2);
	s->tsecr = get32(s->pkt + off + 6);
}

/* one option of <len> bytes at <off>, both checked */
static void seg_parse_opt(struct seg *s, uint32_t off, unsigned len)
{
	const uint8_t *p = s->pkt + off;
	bool syn = s->flags & SEG_SYN;

	switch (p[0]) {
	case TCPOPT_MAXSEG:
		if (len == TCPOLEN_MAXSEG && syn) {
			s->opts |= SEG_OPT_MSS;
			s->mss = get16(p + 2);
		}
		break;
	case TCPOPT_WINDOW:
		if (len == TCPOLEN_WINDOW && syn) {
			s->opts |= SEG_OPT_WS;
			s->wscale = MIN(p[2], 14);
		}
		break;
	case TCPOPT_SACK_PERMITTED:
		if (len == TCPOLEN_SACK_PERMITTED && syn)
			s->opts |= SEG_OPT_SACKP;
		break;
	case TCPOPT_SACK: seg_parse_sack(s, off, len); break;
	case TCPOPT_TIMESTAMP: seg_parse_ts(s, off, len); break;
	case TCPOPT_FO_KIND: s->opts |= SEG_OPT_TFO; break;
	case TCPOPT_MP_KIND: s->opts |= SEG_OPT_MPTCP; break;
	case TCPOPT_MD5_KIND: s->opts |= SEG_OPT_MD5; break;
	case TCPOPT_AO_KIND: s->opts |= SEG_OPT_AO; break;
	case TCPOPT_EXP_KIND:
		s->opts |= len >= 4 && get16(p + 2) == TCPOPT_FO_MAGIC ? SEG_OPT_TFO : SEG_OPT_OTHER;
		break;
	default: s->opts |= SEG_OPT_OTHER;
	}
}

static void seg_parse_opts(struct seg *s)
{
	uint32_t off = s->l4_off + sizeof(struct tcphdr), end = s->data_off;

	while (off < end) {
		const uint8_t *p = s->pkt + off;

		if (p[0] == TCPOPT_EOL)
			return;
		if (p[0] == TCPOPT_NOP) {
			off++;
			continue;
		}
		if (end - off < 2 || p[1] < 2 || p[1] > end - off) {
			s->opts |= SEG_OPT_BAD;
			return;
		}
		seg_parse_opt(s, off, p[1]);
		off += p[1];
	}
}

static enum seg_err seg_parse_tcp(struct seg *s)
{
	const uint8_t *p = s->pkt + s->l4_off;
	uint32_t doff, room = s->len - s->l4_off;

	if (room < sizeof(struct tcphdr))
		return SEG_BAD_TCP;
	if (s->have < s->l4_off + sizeof(struct tcphdr))
		return SEG_SHORT;
	doff = (p[12] >> 4) * 4u;
	if (doff < sizeof(struct tcphdr) || doff > room)
		return SEG_BAD_TCP;
	if (s->have < s->l4_off + doff)
		return SEG_SHORT;
	s->src.port = get16(p);
	s->dst.port = get16(p + 2);
	s->seq = get32(p + TCP_OFF_SEQ);
	s->ack = get32(p + TCP_OFF_ACK);
	s->flags = p[13];
	s->win = get16(p + TCP_OFF_WIN);
	s->urp = get16(p + 18);
	s->data_off = (uint16_t)(s->l4_off + doff);
	s->data_len = s->len - s->data_off;
	seg_parse_opts(s);
	return SEG_OK;
}

enum seg_err seg_parse(struct seg *s, void *pkt, uint32_t have, uint32_t wire_len)
{
	enum seg_err err;

	memset(s, 0, sizeof(*s));
	s->pkt = pkt;
	s->have = have;
	if (wire_len < have)
		wire_len = have;
	if (have < 1)
		return SEG_SHORT;
	switch (s->pkt[0] >> 4) {
	case 4: err = seg_parse_ip4(s, wire_len); break;
	case 6: err = seg_parse_ip6(s, wire_len); break;
	default: return SEG_BAD_IP;
	}
	if (err != SEG_OK)
		return err;
	/* bytes behind the IP packet (link padding) are not the packet's */
	s->have = MIN(s->have, s->len);
	if (s->proto != IPPROTO_TCP)
		return SEG_NOT_TCP;
	return seg_parse_tcp(s);
}

void seg_sack(const struct seg *s, unsigned i, uint32_t *left, uint32_t *right)
{
	const uint8_t *p = s->pkt + s->sack_off + 8 * i;

	*left = get32(p);
	*right = get32(p + 4);
}

/* ---- writers ---- */

static void seg_write32(struct seg *s, unsigned off, uint32_t v)
{
	uint8_t b[4];

	put32(b, v);
	seg_write(s, off, b, 4);
}

void seg_set_seq(struct seg *s, uint32_t seq)
{
	seg_write32(s, s->l4_off + TCP_OFF_SEQ, seq);
	s->seq = seq;
}

void seg_set_ack(struct seg *s, uint32_t ack)
{
	seg_write32(s, s->l4_off + TCP_OFF_ACK, ack);
	s->ack = ack;
}

void seg_set_win(struct seg *s, uint16_t win)
{
	uint8_t b[2];

	put16(b, win);
	seg_write(s, s->l4_off + TCP_OFF_WIN, b, 2);
	s->win = win;
}

void seg_set_tos(struct seg *s, uint8_t tos)
{
	uint8_t *p = s->pkt, was, is;
	uint16_t old = get16(p), c;

	if (s->src.family == AF_INET6) {
		was = (uint8_t)(old >> 4);
		is = (tos & 0xfc) | (was & 3);
		put16(p, (uint16_t)((old & 0xf00f) | is << 4));
	} else {
		was = p[1];
		is = (tos & 0xfc) | (was & 3);
		p[1] = is;
		c = csum_fold((uint64_t)(uint16_t)~get16(p + IP4_OFF_CHECK) + (uint16_t)~old + get16(p));
		put16(p + IP4_OFF_CHECK, c);
	}
	if (is != was)
		s->f |= SEG_F_DIRTY;
}

void seg_set_tsval(struct seg *s, uint32_t tsval)
{
	seg_write32(s, s->ts_off, tsval);
	s->tsval = tsval;
}

void seg_set_tsecr(struct seg *s, uint32_t tsecr)
{
	seg_write32(s, s->ts_off + 4u, tsecr);
	s->tsecr = tsecr;
}

void seg_set_sack(struct seg *s, unsigned i, uint32_t left, uint32_t right)
{
	seg_write32(s, s->sack_off + 8 * i, left);
	seg_write32(s, s->sack_off + 8 * i + 4, right);
}

static void seg_tcp_checksum(struct seg *s)
{
	uint8_t *check = s->pkt + s->l4_off + TCP_OFF_CHECK;
	uint16_t c = 0;

	memcpy(check, &c, 2);
	c = csum_fold(csum_add_bytes(seg_pseudo_sum(s), s->pkt + s->l4_off, s->len - s->l4_off));
	memcpy(check, &c, 2);
	s->f = (uint8_t)((s->f & ~SEG_F_PARTIAL) | SEG_F_DIRTY);
}

int seg_finish(struct seg *s)
{
	if (!(s->f & SEG_F_PARTIAL))
		return 0;
	return seg_checksum(s);
}

int seg_checksum(struct seg *s)
{
	uint16_t c = 0;

	if (!seg_is_whole(s))
		return -EMSGSIZE;
	if (s->src.family == AF_INET) {
		memcpy(s->pkt + 10, &c, 2);
		c = csum_fold(csum_add_bytes(0, s->pkt, s->l4_off));
		memcpy(s->pkt + 10, &c, 2);
	}
	seg_tcp_checksum(s);
	return 0;
}

bool seg_checksum_ok(const struct seg *s)
{
	if (!seg_is_whole(s) || (s->f & SEG_F_PARTIAL))
		return false;
	return csum_fold(csum_add_bytes(seg_pseudo_sum(s), s->pkt + s->l4_off, s->len - s->l4_off)) == 0;
}

/* ---- builders ---- */

/* IP header of a packet of <l4_len> bytes behind it; returns its size. <p> is zeroed. */
static unsigned seg_put_ip(uint8_t *p, const struct addr *src, const struct addr *dst, uint8_t ttl,
			   unsigned l4_len)
{
	if (src->family == AF_INET6) {
		p[0] = 0x60;
		put16(p + 4, (uint16_t)l4_len);
		p[6] = IPPROTO_TCP;
		p[7] = ttl;
		memcpy(p + 8, &src->ip.v6, 16);
		memcpy(p + 24, &dst->ip.v6, 16);
		return sizeof(struct ip6_hdr);
	}
	p[0] = 0x45;
	put16(p + 2, (uint16_t)(sizeof(struct iphdr) + l4_len));
	put16(p + 6, IP_DF);
	p[8] = ttl;
	p[9] = IPPROTO_TCP;
	memcpy(p + 12, &src->ip.v4, 4);
	memcpy(p + 16, &dst->ip.v4, 4);
	return sizeof(struct iphdr);
}

/* checksums of a packet that we made ourselves */
static int seg_seal(void *pkt, unsigned len)
{
	struct seg made;

	if (seg_parse(&made, pkt, len, len) != SEG_OK || seg_checksum(&made) < 0)
		return -EINVAL;
	return (int)len;
}

int seg_copy_ack(const struct seg *s, void *dst, size_t size)
{
	unsigned tcp_len = s->data_off - s->l4_off, ip_len;
	uint8_t *p = dst;

	if (size < 60 + tcp_len)
		return -EMSGSIZE;
	memset(p, 0, 60 + tcp_len);
	if (s->src.family == AF_INET6) {
		ip_len = seg_put_ip(p, &s->src, &s->dst, s->ttl, tcp_len);
		memcpy(p, s->pkt, 4); /* traffic class, flow label */
	} else {
		ip_len = s->l4_off; /* with its options */
		memcpy(p, s->pkt, ip_len);
		put16(p + 2, (uint16_t)(ip_len + tcp_len));
	}
	memcpy(p + ip_len, s->pkt + s->l4_off, tcp_len);
	p[ip_len + 13] = SEG_ACK;
	put16(p + ip_len + 18, 0); /* no urgent data, no pointer */
	return seg_seal(p, ip_len + tcp_len);
}

int seg_build(const struct seg_spec *sp, void *dst, size_t size)
{
	uint8_t *p = dst;
	unsigned ip_len;

	if (size < sizeof(struct ip6_hdr) + sizeof(struct tcphdr))
		return -EMSGSIZE;
	memset(p, 0, sizeof(struct ip6_hdr) + sizeof(struct tcphdr));
	ip_len = seg_put_ip(p, &sp->src, &sp->dst, sp->ttl ? sp->ttl : 64, sizeof(struct tcphdr));
	p += ip_len;
	put16(p, sp->src.port);
	put16(p + 2, sp->dst.port);
	put32(p + TCP_OFF_SEQ, sp->seq);
	put32(p + TCP_OFF_ACK, sp->ack);
	p[12] = (sizeof(struct tcphdr) / 4) << 4;
	p[13] = sp->flags;
	put16(p + TCP_OFF_WIN, sp->win);
	return seg_seal(dst, ip_len + sizeof(struct tcphdr));
}

int seg_build_rst(const struct seg *s, void *dst, size_t size)
{
	struct seg_spec sp = { .src = s->dst, .dst = s->src, .flags = SEG_RST };

	if (s->flags & SEG_RST)
		return -EINVAL;
	if (s->flags & SEG_ACK) {
		sp.seq = s->ack;
	} else {
		sp.ack = seg_end(s);
		sp.flags |= SEG_ACK;
	}
	return seg_build(&sp, dst, size);
}
