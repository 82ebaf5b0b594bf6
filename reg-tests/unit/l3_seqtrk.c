/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "l3/seqtrk.h"
#include "l3/xlate.h"
#include "l3_pkt.h"

static struct seqtrk t;
static uint8_t buf[8192];
static struct seg s;

/* a segment of side <d>: data of <len> bytes */
static struct seg *mk(int d, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t win, unsigned len)
{
	struct pkt k = { .reverse = d, .flags = flags, .seq = seq, .ack = ack, .win = win, .data_len = len };

	s = pkt_seg(buf, &k);
	return &s;
}

static enum seqtrk_res see(int d, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t win, unsigned len)
{
	return seqtrk_see(&t, d, mk(d, flags, seq, ack, win, len), NULL);
}

#define ALL_OPTS(ws, ts) PKT_OPT(PKT_MSS("\x05\xb4") PKT_SACKP PKT_TS(ts, "\0\0\0\0") PKT_NOP PKT_WS(ws))
#define C                0xfffffff0u /* client's ISN: wraps soon */
#define S                1000u       /* server's */

static void syn(void)
{
	struct pkt k = { .flags = SEG_SYN, .seq = C, .win = 64000, ALL_OPTS("\x07", "\0\0\0\x10") };

	s = pkt_seg(buf, &k);
	seqtrk_init(&t, &s);
}

static enum seqtrk_res synack(uint32_t isn)
{
	struct pkt k = { .reverse = true,
			 .flags = SEG_SYN | SEG_ACK,
			 .seq = isn,
			 .ack = C + 1,
			 .win = 65000,
			 ALL_OPTS("\x02", "\0\0\0\x20") };

	s = pkt_seg(buf, &k);
	return seqtrk_see(&t, 1, &s, NULL);
}

static void establish(void)
{
	syn();
	cr_assert_eq(synack(S), SEQTRK_SYN);
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 1, 500, 0), SEQTRK_OK);
}

Test(l3_seqtrk, a_handshake_tells_all_that_a_pseudo_socket_needs)
{
	struct seqtrk_repair r;

	syn();
	cr_assert_str_eq(seqtrk_refusal(&t), "opening");
	synack(S);
	cr_assert_str_eq(seqtrk_refusal(&t), "opening");
	see(0, SEG_ACK, C + 1, S + 1, 500, 0);
	cr_assert_null(seqtrk_refusal(&t));
	cr_assert(seqtrk_known(&t));
	cr_assert_not(seqtrk_in_flight(&t, 0));
	cr_assert_not(seqtrk_in_flight(&t, 1));

	/* a socket that talks to the server in the client's name */
	seqtrk_repair(&t, 0, NULL, &r);
	cr_assert_eq(r.snd_seq, C + 1);
	cr_assert_eq(r.rcv_seq, S + 1);
	cr_assert_eq(r.mss, 1460);
	cr_assert(r.ws && r.sack && r.ts);
	cr_assert_eq(r.wscale_peer, 2);
	cr_assert_eq(r.wscale_own, 7);
	cr_assert_eq(r.snd_wl1, S);
	cr_assert_eq(r.snd_wnd, 65000, "windows in a SYN-ACK are not scaled");
	cr_assert_eq(r.max_window, 65000);
	cr_assert_eq(r.rcv_wnd, 500 << 7);
	cr_assert_eq(r.rcv_wup, S + 1);
	cr_assert_eq(r.tsval, 0x10);
	cr_assert_eq(r.ts_recent, 0x20);

	/* and one that talks to the client in the server's name */
	seqtrk_repair(&t, 1, NULL, &r);
	cr_assert_eq(r.snd_seq, S + 1);
	cr_assert_eq(r.rcv_seq, C + 1);
	cr_assert_eq(r.snd_wnd, 500 << 7);
	cr_assert_eq(r.max_window, 64000, "the SYN's window was the larger one");
	cr_assert_eq(r.rcv_wnd, 65000);
}

Test(l3_seqtrk, the_timestamp_for_repair_is_even_and_rounded_up)
{
	struct pkt k = { .flags = SEG_ACK,
			 .seq = C + 1,
			 .ack = S + 1,
			 .win = 1,
			 PKT_OPT(PKT_NOP PKT_NOP PKT_TS("\0\0\0\x33", "\0\0\0\0")) };
	struct seqtrk_repair r;

	establish();
	s = pkt_seg(buf, &k);
	seqtrk_see(&t, 0, &s, NULL);
	seqtrk_repair(&t, 0, NULL, &r);
	cr_assert_eq(r.tsval, 0x34);
}

Test(l3_seqtrk, only_options_of_both_ends_are_in_force)
{
	struct pkt k = { .reverse = true,
			 .flags = SEG_SYN | SEG_ACK,
			 .seq = S,
			 .ack = C + 1,
			 .win = 65000,
			 PKT_OPT(PKT_SACKP) };
	struct seqtrk_repair r;

	syn();
	s = pkt_seg(buf, &k);
	seqtrk_see(&t, 1, &s, NULL);
	see(0, SEG_ACK, C + 1, S + 1, 500, 0);
	seqtrk_repair(&t, 0, NULL, &r);
	cr_assert(r.sack && !r.ws && !r.ts);
	cr_assert_eq(r.wscale_own, 0);
	cr_assert_eq(r.rcv_wnd, 64000, "500 from the ACK does not take back what the SYN promised");
	cr_assert_eq(r.mss, 536, "no MSS option");
	cr_assert_eq(r.tsval, 0);
}

Test(l3_seqtrk, repeated_syns_and_syn_acks_change_nothing)
{
	struct seqtrk before;

	syn();
	cr_assert_eq(see(0, SEG_SYN, C, 0, 64000, 0), SEQTRK_SYN, "with fewer options");
	synack(S);
	cr_assert(t.f & SEQTRK_C_WS, "the server's answer tells that it got the first");
	before = t;
	cr_assert_eq(synack(S), SEQTRK_SYN);
	cr_assert_arr_eq(&before, &t, sizeof(t), "its window is not scaled this time either");
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 1, 500, 0), SEQTRK_OK);
	before = t;
	cr_assert_eq(synack(S), SEQTRK_SYN, "its ACK was lost");
	cr_assert_eq(see(0, SEG_SYN, C, 0, 9, 0), SEQTRK_SYN);
	cr_assert_arr_eq(&before, &t, sizeof(t));
}

Test(l3_seqtrk, the_clients_ack_tells_which_syn_cookie_it_took)
{
	struct seqtrk_repair r;

	syn();
	synack(S);
	cr_assert_eq(synack(S + 0x1000000), SEQTRK_SYN);
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 1, 500, 0), SEQTRK_OK, "it took the first");
	cr_assert_eq(see(1, SEG_ACK, S + 1, C + 1, 500, 10), SEQTRK_OK);
	seqtrk_repair(&t, 1, NULL, &r);
	cr_assert_eq(r.snd_seq, S + 11);
	cr_assert_null(seqtrk_refusal(&t));
}

Test(l3_seqtrk, a_simultaneous_open_is_a_handshake_too)
{
	syn();
	cr_assert_eq(see(1, SEG_SYN, S, 0, 5000, 0), SEQTRK_SYN);
	cr_assert_eq(see(0, SEG_SYN | SEG_ACK, C, S + 1, 5000, 0), SEQTRK_SYN);
	cr_assert_eq(see(1, SEG_SYN | SEG_ACK, S, C + 1, 5000, 0), SEQTRK_SYN);
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 1, 5000, 10), SEQTRK_OK);
	cr_assert_null(seqtrk_refusal(&t));
}

Test(l3_seqtrk, a_syn_ack_that_answers_something_else_is_refused)
{
	syn();
	cr_assert_eq(see(1, SEG_SYN | SEG_ACK, S, C + 2, 100, 0), SEQTRK_BAD_ACK);
	cr_assert_eq(see(1, SEG_SYN | SEG_ACK, S, C, 100, 0), SEQTRK_BAD_ACK);
	cr_assert_eq(see(1, SEG_ACK, S, C + 1, 100, 0), SEQTRK_UNKNOWN);
	cr_assert_eq(t.side[1].f, 0);
}

Test(l3_seqtrk, data_in_a_syn_counts)
{
	struct pkt k = { .flags = SEG_SYN, .seq = C, .win = 64000, .data_len = 100, PKT_OPT("\x22\x02") };

	s = pkt_seg(buf, &k);
	seqtrk_init(&t, &s);
	cr_assert_eq(t.side[0].nxt, C + 101);
	cr_assert(t.f & SEQTRK_C_TFO);
	cr_assert_eq(see(1, SEG_SYN | SEG_ACK, S, C + 101, 100, 0), SEQTRK_SYN);
	cr_assert(seqtrk_acked(&t, 0, C + 101));
}

Test(l3_seqtrk, edges_move_over_the_wrap)
{
	establish();
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 1, 500, 1000), SEQTRK_OK);
	cr_assert_eq(t.side[0].nxt, C + 1001);
	cr_assert_lt(t.side[0].nxt, C);
	cr_assert(seqtrk_in_flight(&t, 0));
	cr_assert_eq(see(1, SEG_ACK, S + 1, C + 1001, 500, 0), SEQTRK_OK);
	cr_assert_not(seqtrk_in_flight(&t, 0));
	cr_assert_eq(t.side[1].win, 2000);
}

Test(l3_seqtrk, reordered_and_repeated_data_never_moves_an_edge_back)
{
	establish();
	see(0, SEG_ACK, C + 1001, S + 1, 500, 1000);
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 1, 499, 1000), SEQTRK_OK);
	cr_assert_eq(t.side[0].nxt, C + 2001);
	cr_assert_eq(t.side[0].win, 500 << 7, "an older segment's window does not count");
	see(1, SEG_ACK, S + 1, C + 2001, 500, 0);
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 1, 500, 1000), SEQTRK_OLD);
	cr_assert_eq(see(0, SEG_ACK, C + 1501, S + 1, 500, 1000), SEQTRK_OK, "the half beyond is new");
	cr_assert_eq(t.side[0].nxt, C + 2501);
}

Test(l3_seqtrk, a_keepalive_probe_is_old_and_moves_nothing)
{
	struct seqtrk before;

	establish();
	see(0, SEG_ACK, C + 1, S + 1, 500, 100);
	see(1, SEG_ACK, S + 1, C + 101, 500, 0);
	before = t;
	cr_assert_eq(see(0, SEG_ACK, C + 100, S + 1, 500, 0), SEQTRK_OLD);
	cr_assert_not(seqtrk_acceptable(SEQTRK_OLD));
	cr_assert_eq(see(0, SEG_ACK, C + 100, S + 1, 500, 1), SEQTRK_OK, "with a byte it ends at the edge");
	cr_assert_eq(t.side[0].nxt, before.side[0].nxt);
}

Test(l3_seqtrk, a_window_update_is_noted)
{
	establish();
	cr_assert_eq(see(1, SEG_ACK, S + 1, C + 1, 0, 0), SEQTRK_OK);
	cr_assert_eq(t.side[1].win, 0);
	cr_assert_eq(see(1, SEG_ACK, S + 1, C + 1, 700, 0), SEQTRK_OK);
	cr_assert_eq(t.side[1].win, 2800);
	cr_assert_eq(t.side[1].max_win, 65000);
}

Test(l3_seqtrk, what_lies_outside_the_window_moves_nothing)
{
	struct seqtrk before;

	establish();
	before = t;
	cr_assert_eq(see(0, SEG_ACK, C + 1 + 65001, S + 1, 500, 10), SEQTRK_BAD_SEQ);
	cr_assert_eq(see(0, SEG_ACK, C + 1 - 70000, S + 1, 500, 10), SEQTRK_BAD_SEQ);
	cr_assert_eq(see(0, SEG_ACK | SEG_FIN, C + 0x80000000, S + 1, 500, 0), SEQTRK_BAD_SEQ);
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 2, 500, 10), SEQTRK_BAD_ACK);
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 1 - 70000, 500, 10), SEQTRK_CHALLENGE);
	cr_assert_eq(see(0, 0, C + 1, 0, 500, 10), SEQTRK_BAD_FLAGS);
	cr_assert_eq(see(0, SEG_SYN | SEG_FIN, C, 0, 500, 10), SEQTRK_BAD_FLAGS);
	cr_assert_eq(see(0, SEG_SYN, C + 5, 0, 500, 0), SEQTRK_CHALLENGE);
	cr_assert_eq(see(1, SEG_SYN | SEG_ACK, S + 5, C + 1, 500, 0), SEQTRK_CHALLENGE);
	cr_assert_arr_eq(&before, &t, sizeof(t));
}

Test(l3_seqtrk, a_reset_must_be_exact)
{
	establish();
	see(0, SEG_ACK, C + 1, S + 1, 500, 1000);
	cr_assert_eq(see(0, SEG_RST, C + 500, 0, 0, 0), SEQTRK_CHALLENGE);
	cr_assert_eq(see(0, SEG_RST, C + 1002, 0, 0, 0), SEQTRK_CHALLENGE);
	cr_assert_eq(see(0, SEG_RST, C - 5, 0, 0, 0), SEQTRK_BAD_SEQ);
	cr_assert_eq(see(0, SEG_RST, C + 100000, 0, 0, 0), SEQTRK_BAD_SEQ);
	cr_assert_null(seqtrk_refusal(&t));
	struct seqtrk saved = t;
	cr_assert_eq(see(0, SEG_RST, C + 1001, 0, 0, 0), SEQTRK_RESET, "at all it sent");
	cr_assert_str_eq(seqtrk_refusal(&t), "rst");
	t = saved;
	cr_assert_eq(see(0, SEG_RST, C + 1, 0, 0, 0), SEQTRK_RESET, "at what its receiver acknowledged");
	t = saved;
	cr_assert_eq(see(1, SEG_RST | SEG_ACK, S + 1, C + 1001, 0, 0), SEQTRK_RESET);
}

Test(l3_seqtrk, a_refused_connection_is_reset_by_its_ack)
{
	syn();
	cr_assert_eq(see(1, SEG_RST, C + 1, 0, 0, 0), SEQTRK_BAD_ACK);
	cr_assert_eq(see(1, SEG_RST | SEG_ACK, 0, C + 7, 0, 0), SEQTRK_BAD_ACK);
	cr_assert_eq(see(1, SEG_RST | SEG_ACK, 0, C + 1, 0, 0), SEQTRK_RESET);
}

Test(l3_seqtrk, a_fin_is_noted_and_forbids_promotion)
{
	establish();
	cr_assert_eq(see(1, SEG_ACK | SEG_FIN, S + 1, C + 1, 500, 100), SEQTRK_OK);
	cr_assert_eq(t.side[1].nxt, S + 102);
	cr_assert_str_eq(seqtrk_refusal(&t), "fin");
}

Test(l3_seqtrk, a_new_connection_on_old_ports_is_seen_after_the_end_only)
{
	establish();
	see(1, SEG_ACK | SEG_FIN, S + 1, C + 1, 500, 0);
	cr_assert_eq(see(0, SEG_SYN, C + 99999, 0, 500, 0), SEQTRK_CHALLENGE);
	see(0, SEG_ACK | SEG_FIN, C + 1, S + 2, 500, 0);
	cr_assert_eq(see(0, SEG_SYN, C + 99999, 0, 500, 0), SEQTRK_NEW_SYN);
	syn();
	cr_assert_eq(see(0, SEG_SYN, C + 99999, 0, 500, 0), SEQTRK_NEW_SYN);
}

Test(l3_seqtrk, what_forbids_promotion_has_a_name)
{
	struct pkt mp = { .flags = SEG_SYN, .seq = C, .win = 9, PKT_OPT("\x1e\x04\0\0") };
	struct pkt mpa = { .reverse = true,
			   .flags = SEG_SYN | SEG_ACK,
			   .seq = S,
			   .ack = C + 1,
			   .win = 9,
			   PKT_OPT("\x1e\x04\0\0") };
	struct pkt urg = {
		.flags = SEG_ACK | SEG_URG, .seq = C + 1, .ack = S + 1, .win = 9, .urp = 1, .data_len = 1
	};

	s = pkt_seg(buf, &mp);
	seqtrk_init(&t, &s);
	see(1, SEG_SYN | SEG_ACK, S, C + 1, 9, 0);
	see(0, SEG_ACK, C + 1, S + 1, 9, 0);
	cr_assert_null(seqtrk_refusal(&t), "the server did not agree to MPTCP");

	syn();
	s = pkt_seg(buf, &mpa);
	seqtrk_see(&t, 1, &s, NULL);
	see(0, SEG_ACK, C + 1, S + 1, 9, 0);
	cr_assert_null(seqtrk_refusal(&t), "the client did not ask for it");

	s = pkt_seg(buf, &mp);
	seqtrk_init(&t, &s);
	s = pkt_seg(buf, &mpa);
	seqtrk_see(&t, 1, &s, NULL);
	see(0, SEG_ACK, C + 1, S + 1, 9, 0);
	cr_assert_str_eq(seqtrk_refusal(&t), "mptcp");

	establish();
	s = pkt_seg(buf, &urg);
	seqtrk_see(&t, 0, &s, NULL);
	cr_assert_str_eq(seqtrk_refusal(&t), "urgent");
}

Test(l3_seqtrk, held_segments_teach_acks_and_leave_the_edge)
{
	establish();
	see(1, SEG_ACK, S + 1, C + 1, 500, 100);
	cr_assert_not(seqtrk_acked(&t, 1, S + 101));
	cr_assert_eq(seqtrk_hold(&t, 0, mk(0, SEG_ACK | SEG_FIN, C + 1, S + 101, 400, 50), NULL), SEQTRK_OK);
	cr_assert(seqtrk_acked(&t, 1, S + 101));
	cr_assert_eq(t.side[0].nxt, C + 1);
	cr_assert_null(seqtrk_refusal(&t), "a FIN beyond the cut is no hindrance");
}

Test(l3_seqtrk, a_segment_lies_below_beyond_or_across_a_cut)
{
	uint32_t cut = 5;

	cr_assert_eq(seqtrk_where(mk(0, SEG_ACK, cut - 10, 0, 0, 10), cut), SEQTRK_BELOW);
	cr_assert_eq(seqtrk_where(mk(0, SEG_ACK, cut - 10, 0, 0, 11), cut), SEQTRK_STRADDLES);
	cr_assert_eq(seqtrk_where(mk(0, SEG_ACK, cut, 0, 0, 1), cut), SEQTRK_BEYOND);
	cr_assert_eq(seqtrk_where(mk(0, SEG_ACK, cut, 0, 0, 0), cut), SEQTRK_BELOW);
	cr_assert_eq(seqtrk_where(mk(0, SEG_ACK, cut + 9, 0, 0, 0), cut), SEQTRK_BELOW, "a pure ACK passes");
	cr_assert_eq(seqtrk_where(mk(0, SEG_ACK | SEG_FIN, cut, 0, 0, 0), cut), SEQTRK_BEYOND);
	cr_assert_eq(seqtrk_where(mk(0, SEG_ACK | SEG_FIN, cut - 1, 0, 0, 0), cut), SEQTRK_BELOW);
}

Test(l3_seqtrk, relearning_takes_the_next_segment_of_each_direction)
{
	struct seqtrk_repair r;

	establish();
	seqtrk_relearn(&t);
	cr_assert_not(seqtrk_known(&t));
	cr_assert_null(seqtrk_refusal(&t), "the handshake is known: a drain learns the rest");
	cr_assert_eq(see(0, SEG_RST, 77, 0, 0, 0), SEQTRK_UNKNOWN);
	cr_assert_eq(see(0, SEG_ACK, C + 5000000, S + 9000000, 600, 100), SEQTRK_OK);
	cr_assert_not(seqtrk_known(&t));
	cr_assert_eq(see(1, SEG_ACK, S + 9000000, C + 5000050, 600, 0), SEQTRK_OK);
	cr_assert(seqtrk_known(&t));
	cr_assert_null(seqtrk_refusal(&t));
	cr_assert_eq(see(1, SEG_ACK, S + 9000000, C + 5000400, 600, 0), SEQTRK_OK,
		     "what passed unseen is acknowledged");
	seqtrk_repair(&t, 1, NULL, &r);
	cr_assert_eq(r.rcv_seq, C + 5000400);
	cr_assert_eq(r.wscale_own, 2, "the handshake's facts stay");
}

Test(l3_seqtrk, what_passed_unseen_and_arrived_behind_a_gap_is_known_by_selective_acks)
{
	/* 300 bytes after a gap of 100 */
	struct pkt k = { .reverse = true, .flags = SEG_ACK, .seq = S + 1, .ack = C + 1000, .win = 600,
			 PKT_OPT("\x05\x0a\x00\x00\x04\x3c\x00\x00\x05\x68") };

	cr_assert_eq(C + 1100, 0x43c);
	for (int relearn = 0; relearn < 2; relearn++) {
		establish();
		see(0, SEG_ACK, C + 1, S + 1, 500, 999);
		if (relearn) {
			seqtrk_relearn(&t);
			see(0, SEG_ACK, C + 900, S + 1, 500, 100);
		}
		s = pkt_seg(buf, &k);
		cr_assert_eq(seqtrk_see(&t, 1, &s, NULL), SEQTRK_OK);
		cr_assert_eq(t.side[0].nxt, relearn ? C + 1400 : C + 1000, "a tracker that saw all believes itself");
		cr_assert_eq(seqtrk_in_flight(&t, 0), relearn);
	}
	/* and nothing beyond the window that was offered */
	k.win = 2;
	seqtrk_relearn(&t);
	see(0, SEG_ACK, C + 900, S + 1, 500, 100);
	s = pkt_seg(buf, &k);
	seqtrk_see(&t, 1, &s, NULL);
	cr_assert_eq(t.side[0].nxt, C + 1000);
}

Test(l3_seqtrk, where_pure_acks_pass_unseen_a_window_is_what_it_may_have_become)
{
	establish(); /* the client scales by 7 */
	seqtrk_sparse(&t);
	for (uint32_t n = 0; n < 4u << 20; n += 4096)
		cr_assert_eq(see(1, SEG_ACK, S + 1 + n, C + 1, 600, 4096), SEQTRK_OK);
	cr_assert_eq(see(1, SEG_ACK, S + 1 + (4u << 20) + (65535u << 7) + 1, C + 1, 600, 1), SEQTRK_BAD_SEQ);
	cr_assert_eq(see(1, SEG_ACK, S + 1 + (4u << 20) + 100000, C + 1, 600, 1), SEQTRK_OK, "a gap");
	cr_assert_eq(see(1, SEG_ACK, S + 1, C + 2, 600, 1), SEQTRK_BAD_ACK, "all that the client sent was seen");
}

Test(l3_seqtrk, what_a_client_echoes_is_the_oldest_that_may_be_said_to_it)
{
	struct pkt k = { .flags = SEG_ACK, .seq = C + 1, .ack = S + 1, .win = 500, .data_len = 1,
			 PKT_OPT(PKT_TS("\0\0\1\0", "\0\0\7\0")) };
	struct seqtrk_repair r;

	establish();
	s = pkt_seg(buf, &k);
	seqtrk_see(&t, 0, &s, NULL);
	seqtrk_repair(&t, 1, NULL, &r);
	cr_assert_eq(r.tsval, 0x20u, "where all is seen nobody is believed");
	seqtrk_sparse(&t);
	k.seq++;
	s = pkt_seg(buf, &k);
	seqtrk_see(&t, 0, &s, NULL);
	seqtrk_repair(&t, 1, NULL, &r);
	cr_assert_eq(r.tsval, 0x700u);
}

Test(l3_seqtrk, a_server_whose_end_is_known_is_known_after_what_passed_unseen)
{
	uint32_t far = S + 1 + 0xc0000000u; /* more than can be compared with the ACK before */

	establish();
	seqtrk_sparse(&t);
	seqtrk_missed(&t, 1, far, true);
	cr_assert(seqtrk_known(&t));
	cr_assert(seqtrk_in_flight(&t, 1), "not before the client has said so");
	cr_assert_eq(see(0, SEG_ACK, C + 1, far, 500, 10), SEQTRK_OK);
	cr_assert_not(seqtrk_in_flight(&t, 1));
	cr_assert_eq(see(1, SEG_ACK, far, C + 11, 500, 10), SEQTRK_OK);
	cr_assert_eq(see(0, SEG_ACK, C + 11, far + 11, 500, 10), SEQTRK_BAD_ACK);
}

Test(l3_seqtrk, a_server_whose_end_is_not_known_says_it_with_its_next_segment)
{
	establish();
	seqtrk_sparse(&t);
	seqtrk_missed(&t, 1, S + 5000, false);
	cr_assert_not(seqtrk_known(&t));
	cr_assert_null(seqtrk_refusal(&t));
	cr_assert_eq(see(0, SEG_ACK, C + 1, S + 5000, 500, 10), SEQTRK_OK);
	cr_assert(seqtrk_in_flight(&t, 1));
	cr_assert_eq(see(1, SEG_ACK, S + 9000, C + 11, 500, 0), SEQTRK_OK);
	cr_assert(seqtrk_known(&t));
	cr_assert(seqtrk_in_flight(&t, 1));
	cr_assert_eq(see(0, SEG_ACK, C + 11, S + 9000, 500, 0), SEQTRK_OK);
	cr_assert_not(seqtrk_in_flight(&t, 1));
}

Test(l3_seqtrk, a_forged_first_segment_does_not_poison_relearning)
{
	establish();
	seqtrk_relearn(&t);
	see(0, SEG_ACK, C + 0x50000000, S + 0x60000000, 600, 100);
	cr_assert_eq(see(1, SEG_ACK, S + 9000, C + 5000, 600, 0), SEQTRK_OK);
	cr_assert_not(seqtrk_known(&t));
	cr_assert_eq(see(0, SEG_ACK, C + 5000, S + 9000, 600, 10), SEQTRK_OK);
	cr_assert(seqtrk_known(&t));
	cr_assert_eq(t.side[0].nxt, C + 5010);
}

Test(l3_seqtrk, a_flow_without_syn_is_followed_and_never_promoted)
{
	seqtrk_init_blind(&t, false);
	see(0, SEG_ACK, 100, 200, 600, 10);
	see(1, SEG_ACK, 200, 110, 600, 10);
	cr_assert(seqtrk_known(&t));
	cr_assert_str_eq(seqtrk_refusal(&t), "no-syn");
}

Test(l3_seqtrk, an_adopted_flow_learns_timestamps_and_what_forbids_promotion_from_its_segments)
{
	static const struct seqtrk_agreed agreed = { .ws = true, .sack = true, .wscale = { 7, 2 } };
	struct pkt k = { .flags = SEG_ACK, .seq = C + 100, .ack = S + 200, .win = 500, PKT_OPT(PKT_TS("\0\0\1\0", "\0\0\0\0")) };
	struct seqtrk_repair r;

	syn(); /* its SYN-ACK passed unseen */
	seqtrk_adopt(&t, &agreed);
	seqtrk_relearn(&t);
	s = pkt_seg(buf, &k);
	cr_assert_eq(seqtrk_see(&t, 0, &s, NULL), SEQTRK_OK);
	cr_assert_str_eq(seqtrk_refusal(&t), "unknown");
	cr_assert_eq(see(1, SEG_ACK, S + 200, C + 100, 600, 0), SEQTRK_OK);
	cr_assert_null(seqtrk_refusal(&t));
	seqtrk_repair(&t, 0, NULL, &r);
	cr_assert(r.ws && r.sack && !r.ts, "the server's segment had no timestamp");
	cr_assert(r.wscale_own == 7 && r.wscale_peer == 2);
	cr_assert_eq(r.snd_wnd, 600u << 2);
	cr_assert_eq(r.mss, 536, "nobody saw the server's");

	syn();
	seqtrk_adopt(&t, &agreed);
	seqtrk_relearn(&t);
	s = pkt_seg(buf, &k);
	seqtrk_see(&t, 0, &s, NULL);
	k = (struct pkt){ .reverse = true, .flags = SEG_ACK, .seq = S + 200, .ack = C + 100, .win = 500,
			  PKT_OPT(PKT_TS("\0\0\2\0", "\0\0\0\0") "\x1d\x04\1\2") };
	s = pkt_seg(buf, &k);
	seqtrk_see(&t, 1, &s, NULL);
	cr_assert_str_eq(seqtrk_refusal(&t), "ao");
	seqtrk_repair(&t, 0, NULL, &r);
	cr_assert(r.ts);
	cr_assert_eq(r.tsval, 0x100);
}

Test(l3_seqtrk, a_translated_flow_is_kept_in_the_senders_numbers)
{
	struct xlate x = { .delta = { 100, (uint32_t)-40 } };
	struct seqtrk_repair r;
	uint32_t nxt[2] = { C + 1000, S + 2000 }, win[2] = { 9000, 8000 }, told[2] = { 0, 8000 };

	establish();
	seqtrk_set(&t, nxt, win, told);
	seqtrk_repair(&t, 0, &x, &r);
	cr_assert_eq(r.rcv_wnd, 9000);
	cr_assert_eq(r.told_wnd, 0, "what the socket had offered");
	/* the client acknowledges the server's 2000 as it counts them: 40 less */
	cr_assert_eq(seqtrk_see(&t, 0, mk(0, SEG_ACK, C + 1000, S + 1960, 600, 10), &x), SEQTRK_OK);
	cr_assert_eq(seqtrk_see(&t, 0, mk(0, SEG_ACK, C + 1000, S + 2000, 600, 10), &x), SEQTRK_BAD_ACK);
	cr_assert_eq(seqtrk_see(&t, 1, mk(1, SEG_ACK, S + 2000, C + 1110, 600, 0), &x), SEQTRK_OK);
	cr_assert_not(seqtrk_in_flight(&t, 0));
	seqtrk_repair(&t, 0, &x, &r);
	cr_assert_eq(r.snd_seq, C + 1110, "as the server counts the client's bytes");
	cr_assert_eq(r.rcv_seq, S + 2000);
	seqtrk_repair(&t, 1, &x, &r);
	cr_assert_eq(r.snd_seq, S + 1960);
	cr_assert_eq(r.rcv_seq, C + 1010);
}

/* A simulated transfer both ways with loss, reordering and repetition: never is a real segment refused,
 * and the edges end where the ends are. */
Test(l3_seqtrk, no_real_segment_is_refused_under_loss_and_reordering)
{
	uint32_t snd[2] = { C + 1, S + 1 }, rcv[2] = { S + 1, C + 1 }; /* rcv[d]: what d expects of !d */
	uint32_t una[2] = { C + 1, S + 1 };

	srand(3);
	establish();
	for (int i = 0; i < 20000; i++) {
		int d = rand() & 1;
		bool lost = rand() % 10 == 0, again = rand() % 5 == 0;
		uint32_t seq = again ? una[d] : snd[d];
		unsigned len = (unsigned)rand() % 1000;
		enum seqtrk_res res;

		if (seq + len - una[d] > 60000)
			seq = una[d], len = MIN(len, snd[d] - una[d]);
		if (!again && seq == snd[d])
			snd[d] += len;
		else
			len = MIN(len, snd[d] - seq);
		res = see(d, SEG_ACK, seq, rcv[d], 65535, len);
		cr_assert(res == SEQTRK_OK || res == SEQTRK_OLD, "%d: %s", i, seqtrk_res_name[res]);
		if (!lost) {
			if (seq_le(seq, rcv[!d]) && seq_gt(seq + len, rcv[!d]))
				rcv[!d] = seq + len;
			una[!d] = seq_max(una[!d], rcv[d]);
		}
		cr_assert_eq(t.side[d].nxt, snd[d]);
	}
	cr_assert(seq_le(t.side[0].ack, rcv[0]) && seq_le(t.side[1].ack, rcv[1]));
}

Test(seqtrk, a_window_on_a_held_segment_is_known_but_not_told)
{
	struct seqtrk_repair r;

	establish();
	cr_assert_eq(seqtrk_see(&t, 1, mk(1, SEG_ACK, S + 1, C + 1, 600, 1000), NULL), SEQTRK_OK);
	cr_assert_eq(seqtrk_see(&t, 0, mk(0, SEG_ACK, C + 1, S + 1001, 0, 0), NULL), SEQTRK_OK);
	cr_assert_eq(seqtrk_hold(&t, 0, mk(0, SEG_ACK, C + 1, S + 1001, 500, 100), NULL), SEQTRK_OK);
	seqtrk_repair(&t, 0, NULL, &r);
	cr_assert_gt(r.rcv_wnd, 0);
	cr_assert_eq(r.told_wnd, 0, "the server has seen a closed window");
	/* a pure ACK passes what is held */
	cr_assert_eq(seqtrk_hold(&t, 0, mk(0, SEG_ACK, C + 101, S + 1001, 500, 0), NULL), SEQTRK_OK);
	seqtrk_repair(&t, 0, NULL, &r);
	cr_assert_eq(r.told_wnd, r.rcv_wnd);
}
