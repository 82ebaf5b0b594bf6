/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fuzz target: a packet is parsed, changed in every way, rebuilt, tracked. The first two bytes say how much
 * longer than the copy the packet was on the wire.
 */
#include <stdlib.h>

#include "core/bug.h"
#include "l3/seg.h"
#include "l3/seqtrk.h"
#include "l3/xlate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xlate x = { .delta = { 0x80000001, 77 } };
	uint8_t out[SEG_BUILD_MAX], *p;
	struct seqtrk t;
	struct seg s;
	uint32_t have, wire;
	int n;

	if (size < 2)
		return 0;
	have = (uint32_t)size - 2;
	wire = have + (uint32_t)(data[0] << 8 | data[1]);
	p = malloc(have ? have : 1); /* exact, so that reading beyond is seen */
	memcpy(p, data + 2, have);
	if (seg_parse(&s, p, have, wire) == SEG_OK) {
		bool good = seg_checksum_ok(&s);

		BUG_ON(s.data_off + s.data_len != s.len || s.data_off > s.have || s.l4_off + 20 > s.data_off);
		xlate_set_ts_floor(&x, 0, s.tsval + 5);
		xlate_set_ack_floor(&x, 0, s.ack + 9, 3);
		seqtrk_init_blind(&t, s.src.family == AF_INET6);
		seqtrk_see(&t, 0, &s, NULL);
		seqtrk_see(&t, 1, &s, &x);
		seqtrk_init(&t, &s);
		seqtrk_see(&t, 1, &s, NULL);
		seqtrk_adopt(&t, &(struct seqtrk_agreed){ .ws = true, .sack = true, .wscale = { 14, 7 } });
		seqtrk_relearn(&t);
		seqtrk_see(&t, 0, &s, NULL);
		seqtrk_see(&t, 1, &s, &x);
		BUG_ON(seqtrk_known(&t) && seqtrk_refusal(&t) && strcmp(seqtrk_refusal(&t), "no-syn") == 0);
		xlate_note(&x, 0, &s);
		seg_set_tos(&s, data[0]);
		xlate_apply(&x, 0, &s);
		BUG_ON(good && !seg_checksum_ok(&s));
		n = seg_copy_ack(&s, out, sizeof(out));
		BUG_ON(n < 0);
		n = seg_build_rst(&s, out, sizeof(out));
		BUG_ON(n < 0 && !(s.flags & SEG_RST));
		s.f |= SEG_F_PARTIAL;
		BUG_ON((seg_finish(&s) == 0) != seg_is_whole(&s));
	}
	free(p);
	return 0;
}
