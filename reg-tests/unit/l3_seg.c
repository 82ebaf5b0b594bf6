/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "l3_pkt.h"

static uint8_t buf[70000];
static struct seg s;

static enum seg_err parse(const struct pkt *k)
{
	unsigned len = pkt_make(buf, k);

	return seg_parse(&s, buf, len, len);
}

/* a copy with exact bounds, so that AddressSanitizer sees every byte read beyond */
static enum seg_err parse_exact(const uint8_t *p, uint32_t have, uint32_t wire, struct seg *out)
{
	uint8_t *heap = malloc(have ? have : 1);
	enum seg_err err;

	memcpy(heap, p, have);
	err = seg_parse(out, heap, have, wire);
	if (err == SEG_OK) {
		uint32_t l, r, sum = 0;

		for (unsigned i = 0; i < out->nb_sack; i++) {
			seg_sack(out, i, &l, &r);
			sum += l + r;
		}
		struct str d = seg_payload(out);
		for (size_t i = 0; i < d.n; i++)
			sum += (uint8_t)d.p[i];
		cr_assert_eq(out->data_off + out->data_len, out->len, "%u", sum);
	}
	free(heap);
	return err;
}

Test(l3_seg, an_ipv4_segment_is_found_where_it_lies)
{
	struct pkt k = { .seq = 0x01020304,
			 .ack = 0xa0b0c0d0,
			 .flags = SEG_ACK | SEG_PSH,
			 .win = 501,
			 .ip_opt = 8,
			 .data = "hello",
			 .data_len = 5 };
	char a[ADDR_STRLEN];

	cr_assert_eq(parse(&k), SEG_OK);
	cr_assert_eq(s.l4_off, 28);
	cr_assert_eq(s.data_off, 48);
	cr_assert_eq(s.seq, k.seq);
	cr_assert_eq(s.ack, k.ack);
	cr_assert_eq(s.win, 501);
	cr_assert_eq(s.flags, SEG_ACK | SEG_PSH);
	cr_assert_eq(seg_end(&s), k.seq + 5);
	cr_assert(str_eq(seg_payload(&s), STR("hello")));
	cr_assert_str_eq(addr_print(&s.src, a), "10.0.0.1:40000");
	cr_assert_str_eq(addr_print(&s.dst, a), "10.0.0.2:80");
	cr_assert(seg_checksum_ok(&s));
}

Test(l3_seg, an_ipv6_segment_behind_an_extension_header_is_found)
{
	struct pkt k = { .v6 = true, .ip_opt = 16, .seq = 7, .flags = SEG_FIN | SEG_ACK, .data_len = 100 };
	char a[ADDR_STRLEN];

	cr_assert_eq(parse(&k), SEG_OK);
	cr_assert_eq(s.l4_off, 56);
	cr_assert_eq(seg_seq_len(&s), 101);
	cr_assert_str_eq(addr_print(&s.dst, a), "[2001:db8::2]:80");
	cr_assert(seg_checksum_ok(&s));
}

Test(l3_seg, options_of_a_syn_are_read)
{
	struct pkt k = { .flags = SEG_SYN,
			 PKT_OPT(PKT_MSS("\x05\xb4") PKT_SACKP PKT_TS("\0\0\1\0", "\0\0\0\2")
				     PKT_NOP PKT_WS("\x0f")) };

	cr_assert_eq(parse(&k), SEG_OK);
	cr_assert_eq(s.opts, SEG_OPT_MSS | SEG_OPT_SACKP | SEG_OPT_TS | SEG_OPT_WS);
	cr_assert_eq(s.mss, 1460);
	cr_assert_eq(s.wscale, 14, "RFC 7323 2.3: more than 14 means 14");
	cr_assert_eq(s.tsval, 256);
	cr_assert_eq(s.tsecr, 2);
}

Test(l3_seg, mss_and_scale_outside_a_syn_do_not_count)
{
	struct pkt k = { .flags = SEG_ACK, PKT_OPT(PKT_MSS("\x05\xb4") PKT_WS("\x07") PKT_NOP) };

	cr_assert_eq(parse(&k), SEG_OK);
	cr_assert_eq(s.opts, 0);
}

Test(l3_seg, sack_blocks_are_found)
{
	struct pkt k = { .flags = SEG_ACK,
			 PKT_OPT("\1\1\5\x12"
				 "\0\0\0\1"
				 "\0\0\0\2"
				 "\xff\xff\xff\xf0"
				 "\0\0\0\5") };
	uint32_t l, r;

	cr_assert_eq(parse(&k), SEG_OK);
	cr_assert_eq(s.opts, SEG_OPT_SACK);
	cr_assert_eq(s.nb_sack, 2);
	seg_sack(&s, 1, &l, &r);
	cr_assert_eq(l, 0xfffffff0);
	cr_assert_eq(r, 5);
}

Test(l3_seg, options_that_forbid_promotion_are_recognised)
{
	struct {
		const char *opt;
		unsigned n;
		uint16_t want;
	} t[] = {
		{ "\x1e\x04\0\0", 4, SEG_OPT_MPTCP },
		{ "\x13\x12"
		  "0123456789abcdef",
		  18, SEG_OPT_MD5 },
		{ "\x1d\x04\1\2", 4, SEG_OPT_AO },
		{ "\x22\x02", 2, SEG_OPT_TFO },
		{ "\xfe\x04\xf9\x89", 4, SEG_OPT_TFO },
		{ "\xfe\x04\x12\x34", 4, SEG_OPT_OTHER },
		{ "\x08\x09"
		  "0123456",
		  9, 0 },
		{ "\x05\x0b"
		  "012345678",
		  11, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct pkt k = { .flags = SEG_SYN, .opt = t[i].opt, .opt_len = t[i].n };

		cr_assert_eq(parse(&k), SEG_OK);
		cr_assert_eq(s.opts, t[i].want, "case %zu: %x", i, s.opts);
	}
}

Test(l3_seg, malformed_options_end_there_and_what_came_before_counts)
{
	struct pkt zero = { .flags = SEG_SYN, PKT_OPT(PKT_MSS("\x05\xb4") "\x08\x00\x01\x01") };
	struct pkt big = { .flags = SEG_SYN, PKT_OPT(PKT_MSS("\x05\xb4") "\x03\x28\x01\x01") };
	struct pkt one = { .flags = SEG_SYN, PKT_OPT(PKT_MSS("\x05\xb4") "\1\1\1\x03") };
	struct pkt eol = { .flags = SEG_SYN, PKT_OPT("\0\x03\x28\x01") };

	cr_assert_eq(parse(&zero), SEG_OK);
	cr_assert_eq(s.opts, SEG_OPT_MSS | SEG_OPT_BAD);
	cr_assert_eq(parse(&big), SEG_OK);
	cr_assert_eq(s.opts, SEG_OPT_MSS | SEG_OPT_BAD);
	cr_assert_eq(parse(&one), SEG_OK);
	cr_assert_eq(s.opts, SEG_OPT_MSS | SEG_OPT_BAD);
	cr_assert_eq(parse(&eol), SEG_OK);
	cr_assert_eq(s.opts, 0);
}

Test(l3_seg, every_truncation_is_short_and_never_read_beyond)
{
	struct pkt k[] = { { .flags = SEG_ACK,
			     .data_len = 33,
			     PKT_OPT("\1\1\5\x0a"
				     "\0\0\0\1"
				     "\0\0\0\2") },
			   { .v6 = true,
			     .ip_opt = 24,
			     .flags = SEG_ACK,
			     .data_len = 33,
			     PKT_OPT(PKT_NOP PKT_NOP PKT_TS("abcd", "efgh")) } };

	for (size_t i = 0; i < ARRAY_SIZE(k); i++) {
		unsigned len = pkt_make(buf, &k[i]), head = len - 33;
		struct seg t;

		for (unsigned n = 0; n < len; n++)
			cr_assert_eq(parse_exact(buf, n, len, &t), n < head ? SEG_SHORT : SEG_OK,
				     "%zu: %u of %u", i, n, len);
		cr_assert_eq(t.data_len, 33);
		cr_assert_eq(seg_is_whole(&t), false);
	}
}

Test(l3_seg, a_truncated_copy_keeps_the_true_length)
{
	struct pkt k = { .flags = SEG_ACK, .seq = 100, .data_len = 60000 };
	unsigned len = pkt_make(buf, &k);

	cr_assert_eq(seg_parse(&s, buf, 128, len), SEG_OK);
	cr_assert_eq(s.data_len, 60000);
	cr_assert_eq(seg_end(&s), 60100);
	cr_assert_eq(seg_payload(&s).n, 128 - 40);
	cr_assert_eq(seg_checksum(&s), -EMSGSIZE);
}

Test(l3_seg, padding_behind_the_packet_is_not_payload)
{
	struct pkt k = { .flags = SEG_ACK };
	unsigned len = pkt_make(buf, &k);

	memset(buf + len, 0xee, 6);
	cr_assert_eq(seg_parse(&s, buf, len + 6, len + 6), SEG_OK);
	cr_assert_eq(s.data_len, 0);
	cr_assert_eq(seg_payload(&s).n, 0);
	cr_assert_eq(s.have, s.len, "what goes back with a verdict is the packet alone");
}

Test(l3_seg, lengths_that_lie_are_refused)
{
	struct pkt k = { .flags = SEG_ACK, .data_len = 10 };
	unsigned len = pkt_make(buf, &k);

	pkt_be(buf + 2, len + 1, 2);
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_BAD_IP);
	pkt_be(buf + 2, 19, 2);
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_BAD_IP);
	pkt_be(buf + 2, 39, 2);
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_BAD_TCP);
	pkt_make(buf, &k);
	buf[32] = 0x40;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_BAD_TCP);
	buf[32] = 0xf0;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_BAD_TCP);
	buf[0] = 0x44;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_BAD_IP);
	buf[0] = 0x55;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_BAD_IP);
}

Test(l3_seg, fragments_and_other_protocols_are_told_apart)
{
	struct pkt k = { .flags = SEG_ACK, .data_len = 10 };
	unsigned len = pkt_make(buf, &k);

	buf[6] = 0x20;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_FRAGMENT);
	buf[6] = 0;
	buf[7] = 1;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_FRAGMENT);
	buf[6] = 0x40;
	buf[7] = 0;
	buf[9] = IPPROTO_UDP;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_NOT_TCP);
	cr_assert_eq(s.proto, IPPROTO_UDP);
	cr_assert_eq(s.src.family, AF_INET);
}

Test(l3_seg, an_atomic_ipv6_fragment_is_whole_and_others_are_fragments)
{
	struct pkt k = { .v6 = true, .ip_opt = 8, .flags = SEG_ACK, .data_len = 10 };
	unsigned len = pkt_make(buf, &k);

	buf[6] = IPPROTO_FRAGMENT;
	buf[41] = buf[42] = buf[43] = 0;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_OK);
	cr_assert_eq(s.data_len, 10);
	buf[43] = 1;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_FRAGMENT);
	buf[43] = 8;
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_FRAGMENT);
}

Test(l3_seg, an_endless_chain_of_extension_headers_ends)
{
	memset(buf, 0, 2000);
	buf[0] = 0x60;
	pkt_be(buf + 4, 1960, 2);
	buf[6] = IPPROTO_HOPOPTS; /* next header 0 again, size 8, and again */
	cr_assert_eq(seg_parse(&s, buf, 2000, 2000), SEG_BAD_IP);
}

Test(l3_seg, more_extension_headers_than_any_real_packet_has_are_refused)
{
	struct pkt k = { .v6 = true, .ip_opt = 9 * 8, .flags = SEG_ACK };
	unsigned len = pkt_make(buf, &k);

	for (unsigned i = 0; i < 9; i++)
		memcpy(buf + 40 + 8 * i, i < 8 ? "\x3c\0\1\4\0\0\0\0" : "\x06\0\1\4\0\0\0\0", 8);
	cr_assert_eq(seg_parse(&s, buf, len, len), SEG_BAD_IP);
	buf[40 + 8 * 7] = IPPROTO_TCP; /* eight are taken */
	memmove(buf + 40 + 8 * 8, buf + 40 + 8 * 9, 20);
	pkt_be(buf + 4, len - 40 - 8, 2);
	cr_assert_eq(seg_parse(&s, buf, len - 8, len - 8), SEG_OK);
}

Test(l3_seg, writing_keeps_the_checksum_right)
{
	struct pkt k = { .seq = 0xfffffffe,
			 .ack = 5,
			 .flags = SEG_ACK,
			 .win = 9,
			 .data_len = 77,
			 /* timestamps at an odd place, SACK at another */
			 PKT_OPT(PKT_NOP PKT_TS("\xff\xff\xff\xff", "\0\0\0\1") "\5\x0a"
										"\0\0\0\1"
										"\x80\0\0\2") };

	for (int v6 = 0; v6 < 2; v6++) {
		k.v6 = v6;
		cr_assert_eq(parse(&k), SEG_OK);
		seg_set_seq(&s, k.seq);
		cr_assert_eq(s.f & SEG_F_DIRTY, 0, "nothing was changed");
		seg_set_seq(&s, 3);
		seg_set_ack(&s, 0xffffffff);
		seg_set_win(&s, 0x1234);
		seg_set_tsval(&s, 0);
		seg_set_tsecr(&s, 0xdeadbeef);
		seg_set_sack(&s, 0, 0xcafe0001, 7);
		cr_assert(s.f & SEG_F_DIRTY);
		cr_assert(seg_checksum_ok(&s));
		cr_assert_eq(pkt_tcp_csum(buf, s.l4_off, s.len), 0, "the naive sum agrees");
		cr_assert_eq(seg_parse(&s, buf, s.len, s.len), SEG_OK);
		cr_assert_eq(s.seq, 3);
		cr_assert_eq(s.ack, 0xffffffff);
		cr_assert_eq(s.win, 0x1234);
		cr_assert_eq(s.tsval, 0);
		cr_assert_eq(s.tsecr, 0xdeadbeef);
	}
}

Test(l3_seg, a_wrong_checksum_is_not_repaired)
{
	struct pkt k = { .flags = SEG_ACK, .data_len = 20 };

	parse(&k);
	buf[s.data_off] ^= 0x40;
	seg_set_seq(&s, 12345);
	cr_assert_not(seg_checksum_ok(&s));
}

Test(l3_seg, a_partial_checksum_is_left_alone_and_then_completed)
{
	struct pkt k = { .flags = SEG_ACK, .data_len = 65000 };
	uint16_t partial;

	parse(&k);
	partial = (uint16_t)~csum_fold(pkt_pseudo(buf, s.len - s.l4_off));
	pkt_be(buf + s.l4_off + 16, partial, 2);
	s.f |= SEG_F_PARTIAL | SEG_F_GSO;
	seg_set_seq(&s, 99);
	cr_assert_eq(buf[s.l4_off + 16] << 8 | buf[s.l4_off + 17], partial);
	cr_assert_eq(seg_finish(&s), 0);
	cr_assert_eq(s.f & SEG_F_PARTIAL, 0);
	cr_assert(seg_checksum_ok(&s));
	cr_assert_eq(pkt_tcp_csum(buf, s.l4_off, s.len), 0);
}

Test(l3_seg, checksums_of_any_length_and_alignment_agree_with_the_naive_sum)
{
	for (unsigned i = 0; i < 4096; i++)
		buf[i] = (uint8_t)(rand() >> 7);
	for (unsigned off = 0; off < 9; off++)
		for (unsigned n = 0; n < 300; n++) {
			uint16_t c = csum_fold(csum_add_bytes(0, buf + off, n));

			cr_assert_eq(ntohs(c), pkt_naive_csum(buf + off, n, 0), "%u+%u", off, n);
		}
	memset(buf, 0xff, sizeof(buf));
	cr_assert_eq(csum_fold(csum_add_bytes(0, buf, 65536)), 0);
}

Test(l3_seg, the_ack_that_rode_on_data_can_be_sent_alone)
{
	uint8_t out[SEG_BUILD_MAX];
	struct pkt k = { .seq = 50,
			 .ack = 60,
			 .flags = SEG_ACK | SEG_PSH | SEG_FIN | SEG_URG,
			 .urp = 3,
			 .win = 77,
			 .data_len = 5000,
			 .ip_opt = 8,
			 PKT_OPT(PKT_NOP PKT_NOP PKT_TS("abcd", "efgh")) };

	for (int v6 = 0; v6 < 2; v6++) {
		struct seg c;
		int n;

		k.v6 = v6;
		parse(&k);
		n = seg_copy_ack(&s, out, sizeof(out));
		cr_assert_gt(n, 0);
		cr_assert_eq(seg_parse(&c, out, (uint32_t)n, (uint32_t)n), SEG_OK);
		cr_assert(seg_is_pure_ack(&c));
		cr_assert(seg_checksum_ok(&c));
		cr_assert_eq(c.seq, 50);
		cr_assert_eq(c.ack, 60);
		cr_assert_eq(c.win, 77);
		cr_assert_eq(c.tsval, s.tsval);
		cr_assert(addr_eq(&c.src, &s.src) && addr_eq(&c.dst, &s.dst));
		if (!v6)
			cr_assert_eq(pkt_naive_csum(out, c.l4_off, 0), 0);
	}
	cr_assert_eq(seg_copy_ack(&s, out, 40), -EMSGSIZE);
}

Test(l3_seg, a_reset_answers_as_the_rfc_says)
{
	uint8_t out[SEG_BUILD_MAX];
	struct pkt ack = { .seq = 50, .ack = 60, .flags = SEG_ACK, .data_len = 9 };
	struct pkt syn = { .v6 = true, .seq = 0xffffffff, .flags = SEG_SYN };
	struct pkt rst = { .seq = 50, .flags = SEG_RST };
	struct seg c;
	int n;

	parse(&ack);
	n = seg_build_rst(&s, out, sizeof(out));
	cr_assert_eq(seg_parse(&c, out, (uint32_t)n, (uint32_t)n), SEG_OK);
	cr_assert_eq(c.flags, SEG_RST);
	cr_assert_eq(c.seq, 60);
	cr_assert(addr_eq(&c.src, &s.dst) && addr_eq(&c.dst, &s.src));
	cr_assert(seg_checksum_ok(&c));

	parse(&syn);
	n = seg_build_rst(&s, out, sizeof(out));
	cr_assert_eq(seg_parse(&c, out, (uint32_t)n, (uint32_t)n), SEG_OK);
	cr_assert_eq(c.flags, SEG_RST | SEG_ACK);
	cr_assert_eq(c.seq, 0);
	cr_assert_eq(c.ack, 0, "SYN takes one number");
	cr_assert(seg_checksum_ok(&c));

	parse(&rst);
	cr_assert_eq(seg_build_rst(&s, out, sizeof(out)), -EINVAL);
}

Test(l3_seg, random_damage_is_survived)
{
	struct pkt k[] = {
		{ .flags = SEG_ACK,
		  .data_len = 20,
		  .ip_opt = 8,
		  PKT_OPT("\1\1\5\x0a"
			  "\0\0\0\1"
			  "\0\0\0\2") },
		{ .v6 = true, .ip_opt = 24, .flags = SEG_SYN, PKT_OPT(PKT_MSS("\x05\xb4") PKT_SACKP) }
	};

	srand(1);
	for (int i = 0; i < 40000; i++) {
		unsigned len = pkt_make(buf, &k[i & 1]), hits = (unsigned)rand() % 6;
		struct seg t;

		while (hits--)
			buf[(unsigned)rand() % len] = (uint8_t)rand();
		parse_exact(buf, (unsigned)rand() % (len + 1), len, &t);
	}
}

Test(l3_seg, tos_changes_the_dscp_and_leaves_ecn_and_checksums_right)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pkt k = { .v6 = v6, .flags = SEG_ACK, .seq = 1, .ack = 2, .win = 3, .data_len = 40 };
		uint8_t p[256];
		unsigned n = pkt_make(p, &k);
		struct seg sg;

		if (v6)
			p[1] |= 0x30; /* ECN of the traffic class: congestion was met; 0x0 of the flow label */
		else
			p[1] |= 3, pkt_be(p + 10, 0, 2), pkt_be(p + 10, pkt_naive_csum(p, 20, 0), 2);
		cr_assert_eq(seg_parse(&sg, p, n, n), SEG_OK);
		seg_set_tos(&sg, 0xff);
		cr_assert(sg.f & SEG_F_DIRTY);
		seg_set_tos(&sg, 0x20);
		cr_assert_eq(v6 ? (p[0] & 15) << 4 | p[1] >> 4 : p[1], 0x23);
		cr_assert_eq(p[0] >> 4, v6 ? 6 : 4);
		if (!v6)
			cr_assert_eq(pkt_naive_csum(p, 20, 0), 0);
		cr_assert(seg_checksum_ok(&sg));
		sg.f = 0;
		seg_set_tos(&sg, 0x20);
		cr_assert_not(sg.f & SEG_F_DIRTY, "nothing to change");
	}
}
