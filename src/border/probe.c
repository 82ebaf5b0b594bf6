/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * probe.c - asking an end for the ACK it is delaying
 *
 * Drains wait for ACKs, and a receiver may delay an ACK by 40 to 500 ms (RFC 9293
 * 3.8.6.3) while everything else stands still. One byte below what the end has
 * acknowledged already - it is certainly there, and so is discarded whatever it
 * says - makes it answer at once: the keep-alive of RFC 9293 3.8.4, with the octet
 * that old implementations need. A segment without data would do too, but Linux
 * answers only two of those a second. Whoever stays silent is asked again, at growing
 * distances: each probe makes an answer, and both go through queues that others wait in.
 *
 * Windows must not get lost at the seams either. An end that was told of no room waits
 * for more, and the update may go astray: it came on a packet that was held, or went to a
 * pseudo socket while the end it was meant for hears of the other one, which has always had
 * room and so never announces any. So where the window that an end was told last is
 * (nearly) shut, promotion makes the socket repeat its own (border_poke(): it answers
 * to the keep-alive), and demotion passes the real one on.
 */
#include <errno.h>
#include <string.h>

#include "border_priv.h"
#include "core/clock.h"
#include "l3/inject.h"

#define PROBE_FIRST_US 10000
#define PROBE_MAX_US 640000

void border_probe_start(struct border_flow *bf, uint32_t after_us)
{
	bf->silent_us[0] = bf->silent_us[1] = clock_us();
	bf->probe_us[0] = bf->probe_us[1] = after_us;
}

void border_probe_heard(struct border_flow *bf, int d)
{
	bf->silent_us[d] = clock_us();
}

/* The answer stands in the queue already when the daemon is slow to read it; to ask again would only make the queue
 * longer, for everybody. */
bool border_probe_due(struct border_flow *bf, int to)
{
	uint64_t now = clock_us();

	if (now - bf->silent_us[to] < bf->probe_us[to] || (flow_queue(bf->f) && !pktq_dry(flow_queue(bf->f))))
		return false;
	bf->silent_us[to] = now;
	bf->probe_us[to] = MIN(MAX(bf->probe_us[to] * 2, PROBE_FIRST_US), PROBE_MAX_US);
	return true;
}

static void probe_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* Adds the timestamp option and <n> bytes of data to the bare segment of <len> bytes. */
static int probe_extend(uint8_t *pkt, int len, bool ts, uint32_t tsval, int data)
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
	memset(pkt + len, 0, (size_t)data);
	len += data;
	n = v4 ? len : len - 40;
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
	return len;
}

static void probe_send(struct flow *f, const struct border_probe *pr, uint32_t seq, int data)
{
	const struct seqtrk *t = &f->trk;
	unsigned scale = t->f & SEQTRK_C_WS ? t->side[!pr->to].wscale : 0;
	struct seg_spec sp = {
		.src = f->side[!pr->to],
		.dst = f->side[pr->to],
		.seq = seq,
		.ack = pr->ack,
		.win = (uint16_t)MIN(pr->win >> scale, 65535U),
		.flags = SEG_ACK,
	};
	uint8_t pkt[SEG_BUILD_MAX];
	struct seg s;
	int n = seg_build(&sp, pkt, sizeof(pkt));

	if (n < 0)
		return;
	n = probe_extend(pkt, n, t->f & SEQTRK_C_TS, pr->tsval, data);
	if (seg_parse(&s, pkt, (uint32_t)n, (uint32_t)n) == SEG_OK && seg_checksum(&s) == 0)
		inject_wire(f->gw->l3->inject, pkt, s.len, f->foreign_mark, f->state == FLOW_ST_LEAVING ? MARK_HARD : f->want_class);
}

void border_probe(struct flow *f, const struct border_probe *pr)
{
	probe_send(f, pr, pr->una - 1, 1);
}

void border_tell_window(struct flow *f, const struct border_probe *pr)
{
	probe_send(f, pr, pr->una, 0);
}

bool border_window_is_shut(const struct flow *f, int to, uint32_t win)
{
	return win < 2U * f->trk.side[!to].mss;
}

void border_poke(struct border_flow *bf, const struct border_probe *pr)
{
	struct flow *f = bf->f;
	unsigned scale = f->trk.f & SEQTRK_C_WS ? f->trk.side[pr->to].wscale : 0;
	struct seg_spec sp = {
		.src = f->side[pr->to],
		.dst = f->side[!pr->to],
		.seq = pr->ack - 1,
		.ack = pr->una,
		.win = (uint16_t)MIN(pr->win >> scale, 65535U),
		.flags = SEG_ACK,
	};
	uint8_t pkt[SEG_BUILD_MAX];
	int n = seg_build(&sp, pkt, sizeof(pkt));
	struct seg s;

	if (n < 0)
		return;
	n = probe_extend(pkt, n, false, 0, 1);
	if (seg_parse(&s, pkt, (uint32_t)n, (uint32_t)n) == SEG_OK && seg_checksum(&s) == 0)
		inject_local(f->gw->l3->inject, pkt, s.len, f->foreign_mark);
}
