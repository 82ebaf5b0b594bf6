/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * part.c - a piece of a held packet, sent on by itself
 *
 * A cut can lie inside a packet: the end of one turn and the beginning of the
 * next, or a retransmission that runs from what both ends know into what is held.
 * The packet is held whole and the part below the cut goes to the receiver as
 * packets of their own, each fit for the path (the original may be a GSO packet).
 */
#include <errno.h>
#include <string.h>

#include "l3/inject.h"
#include "l3/l3.h"

#define PART_HEADROOM 40 /* TCP options, at most */
#define PART_MSS_MIN 88

/* Writes the length of <pkt> into its IP header. */
static int part_set_len(uint8_t *pkt, uint32_t len)
{
	bool v4 = pkt[0] >> 4 == 4;
	uint32_t n = v4 ? len : len - 40;
	uint8_t *at = pkt + (v4 ? 2 : 4);

	if (n > 0xffff)
		return -EMSGSIZE;
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
	return 0;
}

/* <n> bytes of <from>'s payload from <seq> on; tracked, translated, sent. */
static int part_send(struct flow *f, int d, const struct seg *from, uint32_t seq, uint32_t n)
{
	uint8_t pkt[SEG_BUILD_MAX + 65536];
	int hdr = seg_copy_ack(from, pkt, sizeof(pkt)), rc;
	struct seg s;

	if (hdr < 0)
		return hdr;
	memcpy(pkt + hdr, from->pkt + from->data_off + (seq - seg_data_seq(from)), n);
	rc = part_set_len(pkt, (uint32_t)hdr + n);
	if (rc < 0)
		return rc;
	if (seg_parse(&s, pkt, (uint32_t)hdr + n, (uint32_t)hdr + n) != SEG_OK)
		return -EBADMSG;
	seg_set_seq(&s, seq);
	seqtrk_see(&f->trk, d, &s, flow_xlate(f));
	if (f->xlate_by == FLOW_XLATE_DAEMON)
		xlate_apply(flow_xlate(f), d, &s);
	rc = seg_checksum(&s);
	return rc < 0 ? rc : inject_wire(f->gw->l3->inject, pkt, s.len, f->foreign_mark, f->want_class);
}

int l3_send_part(struct flow *f, int d, const struct seg *s, uint32_t from, uint32_t to)
{
	uint32_t mss = f->trk.side[!d].mss, start = seg_data_seq(s);
	int rc = 0;

	if (!seg_is_whole(s) || mss < PART_MSS_MIN)
		return -EMSGSIZE;
	if (seq_lt(from, start))
		from = start;
	if (seq_gt(to, start + s->data_len))
		to = start + s->data_len;
	while (rc == 0 && seq_lt(from, to)) {
		uint32_t n = MIN(to - from, mss - PART_HEADROOM);

		rc = part_send(f, d, s, from, n);
		from += n;
	}
	return rc;
}
