/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Translation against a model that counts bytes in 64 bits and never wraps.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "l3/xlate.h"
#include "l3_pkt.h"

static uint8_t buf[8192];

static uint32_t rnd32(void)
{
	return (uint32_t)rand() << 16 ^ (uint32_t)rand();
}

Test(l3_xlate, deltas_are_those_of_the_two_sockets)
{
	struct xlate x = { 0 };

	cr_assert_not(xlate_active(&x));
	/* the client was sent 300 more and the server 100 less than each believes of the other */
	xlate_set(&x, 1300, 500, 400, 1000);
	cr_assert(xlate_active(&x));
	cr_assert_eq(xlate_delta(&x, 0), -100);
	cr_assert_eq(xlate_delta(&x, 1), 300);
	cr_assert_eq(xlate_seq(&x, 0, 500), 400);
	cr_assert_eq(xlate_ack(&x, 0, 1300), 1000);
	cr_assert_eq(xlate_seq(&x, 1, 1000), 1300);
	cr_assert_eq(xlate_ack(&x, 1, 400), 500);
	cr_assert_eq(xlate_seq(NULL, 1, 7), 7);
}

/* Each end counts its bytes from an ISN with 64 bits; the gateway added <extra> bytes to what was sent
 * before. What the receiver reads from the wire must be what the model says, for all 32-bit values. */
Test(l3_xlate, agrees_with_a_64_bit_model_across_every_wrap)
{
	srand(7);
	for (int i = 0; i < 30000; i++) {
		uint64_t isn[2] = { rnd32(), rnd32() };
		uint64_t sent[2] = { rnd32() % 5000000000ull, rnd32() % 5000000000ull };
		int64_t extra[2] = { (int32_t)rnd32(), (int32_t)rnd32() };
		int d = rand() & 1;
		struct xlate x = { .delta = { (uint32_t)extra[0], (uint32_t)extra[1] } };
		uint32_t sackl = rnd32(), sackr = sackl + 1000, l, r;
		uint8_t opt[] = "\1\1\5\x0a"
				"llllrrrr";
		struct pkt k = { .v6 = i & 1,
				 .reverse = d,
				 .flags = SEG_ACK,
				 .win = 77,
				 .data_len = (unsigned)i % 50,
				 /* sender's own count, and the peer's bytes as the sender sees them */
				 .seq = (uint32_t)(isn[d] + sent[d]),
				 .ack = (uint32_t)(isn[!d] + sent[!d] + (uint64_t)extra[!d]),
				 .opt = opt,
				 .opt_len = 12 };
		struct seg s;

		pkt_be(opt + 4, sackl, 4);
		pkt_be(opt + 8, sackr, 4);
		s = pkt_seg(buf, &k);
		xlate_apply(&x, d, &s);
		cr_assert_eq(s.seq, (uint32_t)(isn[d] + sent[d] + (uint64_t)extra[d]));
		cr_assert_eq(s.ack, (uint32_t)(isn[!d] + sent[!d]));
		seg_sack(&s, 0, &l, &r);
		cr_assert_eq(l, sackl - (uint32_t)extra[!d]);
		cr_assert_eq(r - l, 1000);
		cr_assert_eq(s.win, 77);
		cr_assert(seg_checksum_ok(&s));
	}
}

Test(l3_xlate, a_segment_without_ack_keeps_its_ack_field)
{
	struct xlate x = { .delta = { 5, 6 } };
	struct pkt k = { .flags = SEG_RST, .seq = 1, .ack = 0 };
	struct seg s = pkt_seg(buf, &k);

	xlate_apply(&x, 0, &s);
	cr_assert_eq(s.seq, 6);
	cr_assert_eq(s.ack, 0);
}

Test(l3_xlate, nothing_to_do_leaves_the_packet_clean)
{
	struct xlate x = { 0 };
	struct pkt k = { .flags = SEG_ACK,
			 .seq = 1,
			 .ack = 2,
			 .data_len = 9,
			 PKT_OPT("\1\1\5\x0a"
				 "\0\0\0\1"
				 "\0\0\0\2") };
	struct seg s = pkt_seg(buf, &k);

	xlate_apply(&x, 1, &s);
	cr_assert_eq(s.f & SEG_F_DIRTY, 0);
}

Test(l3_xlate, old_timestamps_are_raised_to_the_floor_until_it_is_far_behind)
{
	struct xlate x = { 0 };
	struct pkt k = { .flags = SEG_ACK, PKT_OPT(PKT_NOP PKT_NOP PKT_TS("\xff\xff\xff\xf0", "\0\0\0\1")) };
	struct seg s = pkt_seg(buf, &k);

	xlate_set_ts_floor(&x, 0, 10); /* 26 later than the packet's, over the wrap */
	xlate_apply(&x, 1, &s);
	cr_assert_eq(s.tsval, 0xfffffff0, "the other direction's floor");
	xlate_apply(&x, 0, &s);
	cr_assert_eq(s.tsval, 10);
	cr_assert_eq(s.tsecr, 1);
	cr_assert(seg_checksum_ok(&s));
	cr_assert_eq(xlate_tsval(&x, 0, 9), 10);
	cr_assert_eq(xlate_tsval(&x, 0, 11), 11);

	seg_set_tsval(&s, 10 + (1u << 30));
	xlate_apply(&x, 0, &s);
	cr_assert_eq(s.tsval, 10 + (1u << 30));
	cr_assert_not(xlate_active(&x), "and may not catch a later wrap");
	seg_set_tsval(&s, 9);
	xlate_apply(&x, 0, &s);
	cr_assert_eq(s.tsval, 9);
}

Test(l3_xlate, old_acks_are_raised_with_the_window_that_belongs_to_the_floor)
{
	struct xlate x = { .delta = { 0, 50 } };
	struct pkt k = { .flags = SEG_ACK, .ack = 1000, .win = 999 };
	struct pkt rst = { .flags = SEG_ACK | SEG_RST, .ack = 1000, .win = 999 };
	struct seg s = pkt_seg(buf, &k);

	xlate_set_ack_floor(&x, 0, 970, 111);
	xlate_apply(&x, 0, &s);
	cr_assert_eq(s.ack, 970, "950 would be too old");
	cr_assert_eq(s.win, 111);
	cr_assert(seg_checksum_ok(&s));

	s = pkt_seg(buf, &rst);
	xlate_apply(&x, 0, &s);
	cr_assert_eq(s.ack, 950, "a reset is translated, not improved");

	k.ack = 1030;
	s = pkt_seg(buf, &k);
	xlate_apply(&x, 0, &s);
	cr_assert_eq(s.ack, 980);
	cr_assert_eq(s.win, 999);

	k.ack = 970 + 50 + (1u << 30);
	s = pkt_seg(buf, &k);
	xlate_apply(&x, 0, &s);
	cr_assert_not(x.floor[0].has_ack);
}

Test(l3_xlate, two_translations_back_to_back_are_none)
{
	struct pkt k = { .flags = SEG_ACK,
			 .seq = 3,
			 .ack = 0xfffffff0,
			 .data_len = 5,
			 PKT_OPT("\1\1\5\x0a"
				 "\0\0\0\1"
				 "\xff\0\0\2") };
	uint8_t orig[200];
	struct seg s = pkt_seg(buf, &k);
	struct xlate x = { .delta = { 0xdead0000, 0x7fffffff } };
	struct xlate y = { .delta = { -x.delta[0], -x.delta[1] } };

	memcpy(orig, buf, s.len);
	xlate_apply(&x, 0, &s);
	cr_assert_neq(memcmp(orig, buf, s.len), 0);
	xlate_apply(&y, 0, &s);
	cr_assert_arr_eq(orig, buf, s.len);
}
