/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seg.h - a TCP segment, seen where its packet lies
 *
 * Pure: bytes in, a view out. seg_parse() reads an IPv4 or IPv6 packet once and
 * notes where everything is; nothing is copied. The bytes may be a truncated
 * copy (a queue's copy range) of a packet of up to 64 KB and more (GSO, BIG
 * TCP): lengths come from the IP header, `have` says how much of it is here.
 * Headers must be here whole, or the answer is SEG_SHORT.
 *
 * Writers (seg_set_*, xlate) change the packet and the view together and keep
 * the checksum as it was: complete ones by RFC 1624, partial ones (GSO, see
 * SEG_F_PARTIAL) untouched until seg_finish() computes them.
 *
 * Network bytes are hostile: no input makes any of these read out of bounds.
 */
#ifndef STANDIN_L3_SEG_H
#define STANDIN_L3_SEG_H

#include "core/net.h"

/* TCP flags, as in byte 13 of the header */
#define SEG_FIN 0x01
#define SEG_SYN 0x02
#define SEG_RST 0x04
#define SEG_PSH 0x08
#define SEG_ACK 0x10
#define SEG_URG 0x20
#define SEG_ECE 0x40
#define SEG_CWR 0x80

enum seg_err {
	SEG_OK,
	SEG_SHORT,    /* headers are not (all) in the copy */
	SEG_BAD_IP,   /* not IPv4/IPv6, or lengths that contradict each other */
	SEG_FRAGMENT, /* a fragment: first or later. Addresses are valid, nothing else is */
	SEG_NOT_TCP,  /* another protocol; addresses (no ports), proto and l4_off are valid */
	SEG_BAD_TCP,  /* data offset below 20 or beyond the packet */
	SEG_ERR_COUNT
};
extern const char *const seg_err_name[SEG_ERR_COUNT]; /* "short", "bad-ip", "fragment", ... for counters */

enum { /* struct seg.opts: which options are there */
	SEG_OPT_MSS   = 0x001,
	SEG_OPT_WS    = 0x002,
	SEG_OPT_SACKP = 0x004, /* SACK permitted */
	SEG_OPT_SACK  = 0x008, /* blocks: nb_sack of them at sack_off */
	SEG_OPT_TS    = 0x010,
	SEG_OPT_TFO   = 0x020, /* Fast Open, kind 34 or experimental 254/f989 */
	SEG_OPT_MPTCP = 0x040, /* kind 30 */
	SEG_OPT_MD5   = 0x080, /* kind 19 */
	SEG_OPT_AO    = 0x100, /* kind 29 */
	SEG_OPT_OTHER = 0x200, /* something not in this list */
	SEG_OPT_BAD   = 0x400, /* malformed: parsing stopped there, as the kernel does; what came before counts */
};

#define SEG_F_PARTIAL 0x01 /* checksum not computed yet: NFQA_SKB_CSUMNOTREADY; the caller sets it after seg_parse() */
#define SEG_F_GSO     0x02 /* NFQA_SKB_GSO; the caller sets it; informative */
#define SEG_F_DIRTY   0x04 /* the packet was changed: the verdict must carry it */

struct seg {
	uint8_t *pkt;         /* borrows: the IP header; as long as the packet's buffer */
	uint32_t have;        /* bytes at pkt that are really there */
	uint32_t len;         /* true length of the IP packet */
	uint16_t l4_off;      /* TCP header */
	uint16_t data_off;    /* payload, from pkt */
	uint8_t proto;        /* IPPROTO_TCP, or what SEG_NOT_TCP found */
	uint8_t flags;        /* SEG_FIN ... */
	uint8_t f;            /* SEG_F_* */
	uint8_t ttl;          /* or hop limit */
	struct addr src, dst; /* with ports */
	uint32_t seq, ack;    /* as in the packet, host order; ack means nothing without SEG_ACK */
	uint32_t data_len;    /* payload, true length */
	uint16_t win;         /* as in the packet: not scaled */
	uint16_t urp;
	/* options; values and positions count only with their bit in opts. Positions are from pkt. */
	uint16_t opts;
	uint16_t mss;
	uint8_t wscale;       /* at most 14 (RFC 7323 2.3) */
	uint8_t nb_sack;
	uint16_t sack_off;    /* first block's left edge */
	uint16_t ts_off;      /* TSval; TSecr is 4 further */
	uint32_t tsval, tsecr;
};

/* Fills *s from <have> bytes at <pkt>. <wire_len> is the packet's length where known (NFQA_CAP_LEN), else
 * <have>; IP headers that claim more are SEG_BAD_IP. On SEG_NOT_TCP and SEG_FRAGMENT what the enum says is valid. */
enum seg_err seg_parse(struct seg *s, void *pkt, uint32_t have, uint32_t wire_len);

/* sequence numbers a segment takes: payload, SYN and FIN */
static inline uint32_t seg_seq_len(const struct seg *s)
{
	return s->data_len + !!(s->flags & SEG_SYN) + !!(s->flags & SEG_FIN);
}

static inline uint32_t seg_end(const struct seg *s)
{
	return s->seq + seg_seq_len(s);
}

/* first sequence number of the payload */
static inline uint32_t seg_data_seq(const struct seg *s)
{
	return s->seq + !!(s->flags & SEG_SYN);
}

/* the payload that is here: may be shorter than data_len */
static inline struct str seg_payload(const struct seg *s)
{
	uint32_t n = s->have > s->data_off ? s->have - s->data_off : 0;

	return str_n((const char *)s->pkt + s->data_off, MIN(n, s->data_len));
}

static inline bool seg_is_whole(const struct seg *s)
{
	return s->have >= s->len;
}

/* only an ACK: no payload, SYN, FIN, RST */
static inline bool seg_is_pure_ack(const struct seg *s)
{
	return (s->flags & (SEG_SYN | SEG_FIN | SEG_RST | SEG_ACK)) == SEG_ACK && s->data_len == 0;
}

/* SACK block <i> of nb_sack */
void seg_sack(const struct seg *s, unsigned i, uint32_t *left, uint32_t *right);

/* Writers: packet, view and (complete) checksum change together. Setting the value that is there
 * already changes nothing and leaves SEG_F_DIRTY alone. */
void seg_set_seq(struct seg *s, uint32_t seq);
void seg_set_ack(struct seg *s, uint32_t ack);
void seg_set_win(struct seg *s, uint16_t win);
void seg_set_tsval(struct seg *s, uint32_t tsval); /* only with SEG_OPT_TS */
void seg_set_tsecr(struct seg *s, uint32_t tsecr);
void seg_set_sack(struct seg *s, unsigned i, uint32_t left, uint32_t right);
/* The DSCP of <tos>, in the IP header; the two bits of ECN stay as they are (RFC 3168 5). */
void seg_set_tos(struct seg *s, uint8_t tos);

/* Before a changed packet leaves: computes the TCP checksum of a SEG_F_PARTIAL one in full (the kernel
 * takes a replaced packet's checksum as complete) and clears the flag. Nothing to do for others. 0, or
 * -EMSGSIZE when that needs bytes that are not here (copy range too small). */
int seg_finish(struct seg *s);

/* Recomputes IPv4 header and TCP checksum whatever they were. 0 or -EMSGSIZE. */
int seg_checksum(struct seg *s);
/* Is the TCP checksum right? Only for whole packets whose checksum is complete. */
bool seg_checksum_ok(const struct seg *s);

/* ---- making packets. All write to <dst> of <size> bytes (SEG_BUILD_MAX suffices), with complete
 * checksums, and return the length, or -EMSGSIZE. ---- */
#define SEG_BUILD_MAX 160

/* <s> without its payload, SYN, FIN, PSH and URG: the pure ACK that rode on it. IPv4 and TCP options are
 * kept, IPv6 extension headers are not (they may be a jumbo payload's). */
int seg_copy_ack(const struct seg *s, void *dst, size_t size);

/* A bare segment without options or payload. */
struct seg_spec {
	struct addr src, dst; /* same family */
	uint32_t seq, ack;
	uint16_t win;
	uint8_t flags;
	uint8_t ttl; /* 0: 64 */
};
int seg_build(const struct seg_spec *sp, void *dst, size_t size);

/* The RST that answers <s>, sent to its sender in its receiver's name (RFC 9293 3.10.7.1): takes its
 * sequence from <s>'s ACK, or acknowledges <s> when it has none. -EINVAL: <s> is a RST itself. */
int seg_build_rst(const struct seg *s, void *dst, size_t size);

/* Internet checksum helpers (RFC 1071), for others who write packets: ones' complement sum of <n>
 * bytes in network order, unfolded; csum_fold() makes the 16 bits that go into a header. */
uint64_t csum_add_bytes(uint64_t sum, const void *p, size_t n); /* <n> odd only at the end */
uint16_t csum_fold(uint64_t sum);

#endif
