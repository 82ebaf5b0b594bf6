/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * probe.c - asking an end for the ACK it is delaying
 *
 * Drains wait for ACKs, and a receiver may delay an ACK by 40 to 500 ms (RFC 9293
 * 3.8.6.3) while everything else stands still. One byte below what the end has
 * acknowledged already - it is certainly there, and so is discarded whatever it
 * says - makes it answer at once: the keep-alive of RFC 9293 3.8.4, with the octet
 * that old implementations need. A segment without data would do too, but Linux
 * answers only two of those a second.
 */
#include <errno.h>
#include <string.h>

#include "border_priv.h"
#include "core/clock.h"
#include "l3/inject.h"

#define PROBE_EVERY_US 10000

bool border_probe_due(struct border_flow *bf)
{
	uint64_t now = clock_us();

	if (now - bf->probe_us < PROBE_EVERY_US)
		return false;
	bf->probe_us = now;
	return true;
}

static void probe_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* Adds the timestamp option and one byte of data to the bare segment of <len> bytes. */
static int probe_extend(uint8_t *pkt, int len, bool ts, uint32_t tsval)
{
	bool v4 = pkt[0] >> 4 == 4;
	uint8_t *tcp = pkt + (v4 ? 20 : 40), *at = v4 ? pkt + 2 : pkt + 4;
	int n;

	if (ts) {
		static const uint8_t head[] = { 1, 1, 8, 10 }; /* NOP, NOP, timestamps (RFC 7323 A) */

		memcpy(pkt + len, head, sizeof(head));
		probe_put32(pkt + len + 4, tsval);
		probe_put32(pkt + len + 8, 0); /* no echo: it would be taken for a round trip */
		len += 12;
		tcp[12] = (20 + 12) / 4 << 4;
	}
	pkt[len++] = 0;
	n = v4 ? len : len - 40;
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
	return len;
}

void border_probe(struct flow *f, const struct border_probe *pr)
{
	const struct seqtrk *t = &f->trk;
	unsigned scale = t->f & SEQTRK_C_WS ? t->side[!pr->to].wscale : 0;
	struct seg_spec sp = {
		.src = f->side[!pr->to],
		.dst = f->side[pr->to],
		.seq = pr->una - 1,
		.ack = pr->ack,
		.win = (uint16_t)MIN(pr->win >> scale, 65535U),
		.flags = SEG_ACK,
	};
	uint8_t pkt[SEG_BUILD_MAX];
	struct seg s;
	int n = seg_build(&sp, pkt, sizeof(pkt));

	if (n < 0)
		return;
	n = probe_extend(pkt, n, t->f & SEQTRK_C_TS, pr->tsval);
	if (seg_parse(&s, pkt, (uint32_t)n, (uint32_t)n) == SEG_OK && seg_checksum(&s) == 0)
		inject_wire(f->gw->l3->inject, pkt, s.len, f->foreign_mark);
}
