/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * quote.h - the TCP header that an ICMP error quotes
 *
 * Pure. A router that cannot deliver a packet sends its beginning back to whoever
 * sent it: addresses, ports and the sequence number, as they were at that router.
 * Behind a gateway that translates, that number is not the sender's own, who
 * ignores the error (tcp_v4_err() in net/ipv4/tcp_ipv4.c: out of window) and, with
 * "fragmentation needed", sends too large packets for ever. So the quote is translated back.
 *
 * RFC 792, 4443, 5927 4.1.
 */
#ifndef STANDIN_L3_QUOTE_H
#define STANDIN_L3_QUOTE_H

#include "l3/seg.h"

struct xlate;

struct quote {
	uint8_t *pkt;         /* borrows: as seg.pkt, the ICMP packet */
	uint32_t icmp_off;    /* ICMP header */
	uint32_t tcp_off;     /* quoted TCP header: 8 bytes of it are here */
	struct addr src, dst; /* of the quoted packet: src is who is told */
	uint32_t seq;         /* quoted */
};

/* Reads an ICMP or ICMPv6 error that quotes TCP. SEG_OK, SEG_NOT_TCP (another ICMP message, or it quotes another
 * protocol), or what is wrong with either packet. Lengths as for seg_parse(). */
enum seg_err quote_parse(struct quote *q, void *pkt, uint32_t have, uint32_t wire_len);

/* Writes the quoted sequence and keeps the ICMP checksum as right as it was. */
void quote_set_seq(struct quote *q, uint32_t seq);

/* Back to the numbers of side <d>, who sent the quoted packet. True when that changed the packet. */
bool quote_xlate(struct quote *q, int d, const struct xlate *x);

#endif
