/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * quote.c - read and translate what ICMP errors quote
 *
 * Both the error and the packet inside it are read by seg_parse(), which is
 * bounded. A quote is cut short by nature: the RFC promises 8 bytes behind the IP
 * header, Linux sends as much as fits in 576 or 1280 bytes. So SEG_SHORT is no
 * error here as long as those 8 bytes, ports and sequence, are present.
 */
#include "l3/quote.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "l3/xlate.h"

#define QUOTE_ICMP_HDR 8 /* bytes before the quote, both versions */
#define QUOTE_TCP_MIN  8
#define QUOTE_IP_MAX   65575 /* what the quoted packet may have been long */

static bool quote_is_error(const struct seg *s)
{
	uint8_t type = s->pkt[s->l4_off];

	if (s->src.family == AF_INET6)
		return s->proto == IPPROTO_ICMPV6 && type >= ICMP6_DST_UNREACH && type <= ICMP6_PARAM_PROB;
	return s->proto == IPPROTO_ICMP &&
	       (type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB);
}

enum seg_err quote_parse(struct quote *q, void *pkt, uint32_t have, uint32_t wire_len)
{
	struct seg s, in;
	enum seg_err err = seg_parse(&s, pkt, have, wire_len);
	uint32_t off = s.l4_off + QUOTE_ICMP_HDR;
	const uint8_t *t;

	if (err != SEG_NOT_TCP)
		return err == SEG_OK ? SEG_NOT_TCP : err;
	if (s.have <= off)
		return SEG_SHORT;
	if (!quote_is_error(&s))
		return SEG_NOT_TCP;
	err = seg_parse(&in, s.pkt + off, s.have - off, QUOTE_IP_MAX);
	if (err != SEG_OK && err != SEG_SHORT)
		return err;
	if (in.src.family != s.src.family || in.proto != IPPROTO_TCP)
		return SEG_NOT_TCP;
	if (in.have < (uint32_t)in.l4_off + QUOTE_TCP_MIN)
		return SEG_SHORT;
	t = in.pkt + in.l4_off;
	*q = (struct quote){
		.pkt = pkt, .icmp_off = s.l4_off, .tcp_off = off + in.l4_off, .src = in.src, .dst = in.dst
	};
	q->src.port = (uint16_t)(t[0] << 8 | t[1]);
	q->dst.port = (uint16_t)(t[2] << 8 | t[3]);
	q->seq = (uint32_t)t[4] << 24 | (uint32_t)t[5] << 16 | (uint32_t)t[6] << 8 | t[7];
	return SEG_OK;
}

void quote_set_seq(struct quote *q, uint32_t seq)
{
	uint8_t *p = q->pkt + q->tcp_off + 4, *check = q->pkt + q->icmp_off + 2;
	uint32_t was, is = htonl(seq);
	uint16_t c;

	/* RFC 1624 eqn. 3; both headers have an even number of bytes, so words line up */
	memcpy(&was, p, 4);
	memcpy(&c, check, 2);
	c = csum_fold((uint64_t)(uint16_t)~c + (uint32_t)~was + is);
	memcpy(p, &is, 4);
	memcpy(check, &c, 2);
	q->seq = seq;
}

bool quote_xlate(struct quote *q, int d, const struct xlate *x)
{
	if (x->delta[d] == 0)
		return false;
	quote_set_seq(q, q->seq - x->delta[d]);
	return true;
}
