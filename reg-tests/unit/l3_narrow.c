/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What of a watched connection passes without being queued (l3/narrow.h), on the fake queue.
 */
#include "l3_gateway.h"

#include "l3/narrow.h"

#define C1 (GT_ISN + 1)
#define S1 (GT_SISN + 1)
#define REQ(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define RULES " tcp-request inspect-delay 2s\n tcp-request content promote fe_in if { path_beg /inspect }\n"
#define PIECE 32768u
#define FEW 4 /* pieces, and it is bulk */

static char zeros[PIECE];
static uint32_t c, s; /* where both sides are */

/* What the kernel's tracker made of a reset. */
static bool tracker_closed;

bool __wrap_offload_reset(struct flow *f)
{
	return tracker_closed;
}

TestSuite(l3_narrow, .timeout = 20, .fini = gt_down);

static void nt_up(const char *rules)
{
	gt_up(rules);
	gt_l3->narrow = true;
	gt_handshake();
	c = C1;
	s = S1;
}

static uint32_t nt_client(const char *data)
{
	uint32_t id = gt_c2s(c, s, SEG_ACK | SEG_PSH, data);

	c += (uint32_t)strlen(data);
	return id;
}

static uint32_t nt_server_data(const char *data, unsigned n)
{
	uint32_t id = gt_in(&(struct pkt){ .reverse = true, .seq = s, .ack = c, .flags = SEG_ACK, .win = 60000, .data = data,
					   .data_len = n }, PKTQ_HOOK_PREROUTING);

	s += n;
	return id;
}

/* A response with <length> bytes to come, and <pieces> of them; the verdict of the last. */
static uint32_t nt_response(unsigned long length, unsigned pieces)
{
	char head[200];
	uint32_t id;

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n", length);
	id = nt_server_data(head, (unsigned)strlen(head));
	while (pieces--)
		id = nt_server_data(zeros, PIECE);
	return id;
}

static bool nt_bulk(void)
{
	return gt_flow_1()->seen == FLOW_SEEN_CLIENT_DATA;
}

Test(l3_narrow, the_packet_that_policy_lets_through_makes_the_connection_lean)
{
	nt_up(RULES);
	cr_expect_eq(gt_flow_1()->want_class, MARK_OURS, "it may be promoted with its first bytes");
	cr_expect_eq(gt_got(nt_client(REQ("/plain")))->req, MARK_LEAN);
	cr_expect_eq(gt_got(nt_response(2, 0))->req, -1);
}

Test(l3_narrow, so_does_a_server_that_speaks_first)
{
	nt_up(RULES);
	cr_expect_eq(gt_got(nt_server_data("220 hello\r\n", 11))->req, MARK_LEAN);
}

Test(l3_narrow, without_rules_or_directions_that_are_known_nothing_is_narrow)
{
	nt_up(" on-failure block\n");
	nt_client("hello");
	cr_expect_eq(gt_flow_1()->want_class, MARK_HARD);
	gt_down();
	nt_up(" steer manual\n");
	nt_client("hello");
	cr_expect_eq(gt_flow_1()->want_class, MARK_OURS);
}

Test(l3_narrow, segments_are_judged_by_what_passed_although_acks_are_not_seen)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	/* far beyond the window that the client offered with its request: it has acknowledged meanwhile */
	for (unsigned i = 0; i < 3; i++)
		nt_server_data(zeros, PIECE);
	cr_expect_eq(gt_l3->forged, 0);
	cr_expect_eq(gt_flow_1()->trk.side[FLOW_SERVER].nxt, s);
	gt_s2c(s + 70000, c, SEG_ACK, "beyond every window");
	cr_expect_eq(gt_l3->forged, 1, "without window scale 65535 is the most");
	cr_expect_eq(gt_flow_1()->trk.side[FLOW_SERVER].nxt, s);
}

Test(l3_narrow, a_large_response_is_bulk_and_the_next_request_is_judged_and_promoted)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(1000000, FEW);
	cr_assert(nt_bulk(), "the queue is empty");
	cr_expect_eq(gt_flow_1()->want_class, MARK_BULK);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
	s += 1000000 - FEW * PIECE; /* unseen */
	uint32_t id = nt_client(REQ("/inspect"));

	cr_expect_not(nt_bulk());
	cr_expect_str_eq(gt_promoted, "fe_in");
	cr_expect(gt_held(id));
	cr_expect(seqtrk_known(&gt_flow_1()->trk));
	cr_expect_eq(gt_flow_1()->trk.side[FLOW_SERVER].nxt, s);
	cr_expect_eq(gt_flow_1()->bytes[FLOW_SERVER], s - S1);
}

Test(l3_narrow, after_a_bulk_that_is_only_watched_the_connection_is_lean_again)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(1000000, FEW + 1); /* the last was on its way, and tells the class */
	s += 1000000 - (FEW + 1) * PIECE;
	cr_expect_eq(gt_got(nt_client(REQ("/plain")))->req, MARK_LEAN);
	nt_response(1000000, FEW);
	cr_expect(nt_bulk(), "and bulk again");
}

Test(l3_narrow, a_request_that_comes_before_the_response_is_whole_waits_for_its_end)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(1000000, FEW);
	uint32_t end = s + 1000000 - FEW * PIECE;

	s += PIECE * 3; /* unseen */
	uint32_t id = nt_client(REQ("/inspect"));

	cr_expect(gt_held(id));
	cr_expect_str_eq(gt_promoted, "", "the rest of the answer before is to come");
	s += PIECE; /* on its way when the class was changed */
	while (end - s > PIECE)
		nt_server_data(zeros, PIECE);
	cr_expect_str_eq(gt_promoted, "");
	nt_server_data(zeros, end - s);
	cr_expect_str_eq(gt_promoted, "fe_in");
}

Test(l3_narrow, what_a_response_of_more_than_four_gigabytes_left_unseen_is_told_by_its_end_only)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(10000000000ul, FEW);
	cr_assert(nt_bulk());
	s += (uint32_t)(10000000000ul - FEW * PIECE);
	nt_client(REQ("/inspect"));
	cr_expect_str_eq(gt_promoted, "fe_in");
	cr_expect_gt(gt_flow_1()->bytes[FLOW_SERVER], 10000000000ul);
}

Test(l3_narrow, numbers_that_are_more_than_half_the_way_round_are_no_step_back)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(3000000000ul, FEW);
	cr_assert(nt_bulk());
	s += 3000000000u - FEW * PIECE;
	nt_client(REQ("/inspect"));
	cr_expect_str_eq(gt_promoted, "fe_in");
	cr_expect(seqtrk_known(&gt_flow_1()->trk));
	cr_expect_gt(gt_flow_1()->bytes[FLOW_SERVER], 3000000000ul);
}

Test(l3_narrow, chunked_bodies_are_read_to_their_end)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n";

	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_server_data(head, sizeof(head) - 1);
	for (unsigned i = 0; i < 8; i++)
		nt_server_data(zeros, PIECE);
	cr_expect_not(nt_bulk());
}

Test(l3_narrow, forged_segments_do_not_end_a_bulk)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(1000000, FEW);
	gt_c2s(c + 0x40000000, s, SEG_ACK, "forged");
	gt_c2s(c + 0x40000000, s, SEG_ACK | SEG_FIN, NULL);
	gt_c2s(c + 0x40000000, s, SEG_ACK | SEG_RST, NULL);
	gt_s2c(s + 0x40000000, c, SEG_RST, NULL);
	cr_expect(nt_bulk());
	cr_expect_eq(gt_l3->forged, 3);
}

Test(l3_narrow, a_reset_that_nobody_can_judge_here_ends_it_when_the_tracker_took_it)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(1000000, FEW);
	gt_nsent = 0;
	cr_expect(gt_passed(gt_s2c(s + 700000, c, SEG_RST, NULL)));
	cr_expect(nt_bulk());
	cr_assert_eq(gt_nsent, 1, "the client is asked whether it was one");
	cr_expect_eq(gt_sent[0].ack, c);
	cr_expect_eq(gt_sent[0].flags, SEG_ACK);
	tracker_closed = true;
	cr_expect(gt_passed(gt_s2c(s + 700000, c, SEG_RST, NULL)));
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_CLOSING);
	cr_expect_eq(gt_l3->forged, 0);
}

Test(l3_narrow, a_client_that_took_the_reset_says_so)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(1000000, FEW);
	gt_s2c(s + 700000, c, SEG_RST, NULL);
	gt_c2s(gt_sent[0].ack, 0, SEG_RST, NULL); /* RFC 9293 3.5.2: no connection */
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_CLOSING);
}

Test(l3_narrow, both_fins_end_it_as_ever)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(1000000, FEW);
	s += 1000000 - FEW * PIECE;
	gt_s2c(s++, c, SEG_ACK | SEG_FIN, NULL);
	cr_expect_not(nt_bulk());
	cr_expect_eq(gt_flow_1()->bytes[FLOW_SERVER], s - 1 - S1);
	gt_c2s(c, s, SEG_ACK | SEG_FIN, NULL);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_CLOSING);
}

Test(l3_narrow, what_the_kernels_tracker_forgot_is_seen_again_and_stays_so)
{
	nt_up(RULES);
	nt_client(REQ("/plain"));
	nt_response(1000000, FEW + 1); /* one was on its way */
	s += PIECE;
	uint32_t id = gt_in(&(struct pkt){ .reverse = true, .seq = s, .ack = c, .flags = SEG_ACK, .win = 60000, .data = zeros,
					   .data_len = PIECE }, PKTQ_HOOK_FORWARD);

	s += PIECE;
	cr_expect_not(nt_bulk());
	cr_expect_neq(gt_got(id)->req, MARK_BULK);
	for (unsigned i = 0; i < 6; i++)
		nt_server_data(zeros, PIECE);
	cr_expect_not(nt_bulk(), "who is the client, the new entry may say otherwise");
}

Test(l3_narrow, bytes_that_go_both_ways_are_no_bulk_and_none_is_counted_backwards)
{
	uint64_t sent;

	nt_up(" tcp-request content promote fe_in if { req.payload(2,3) -m str two }\n");
	nt_client("\x01 one");
	for (unsigned i = 0; i < 40; i++) {
		nt_server_data(zeros, PIECE);
		gt_c2s(c, s - MIN(60000, i * PIECE), SEG_ACK, "more"); /* a window is under way */
		c += 4;
		cr_assert_not(nt_bulk());
	}
	for (unsigned i = 0; i < 8; i++)
		nt_server_data(zeros, PIECE);
	cr_assert(nt_bulk());
	sent = gt_flow_1()->bytes[FLOW_SERVER];
	gt_c2s(c, s - 8 * PIECE, SEG_ACK, "more"); /* was in the queue before it began */
	cr_expect_not(nt_bulk());
	cr_expect_eq(gt_flow_1()->bytes[FLOW_SERVER], sent);
}

Test(l3_narrow, an_opaque_connection_is_asked_again_when_its_client_speaks)
{
	nt_up(" tcp-request content promote fe_in if { req.payload(2,3) -m str two }\n");
	nt_client("\x01 one");
	for (unsigned i = 0; i < 8; i++)
		nt_server_data(zeros, PIECE);
	cr_assert(nt_bulk());
	s += 3 * PIECE;
	nt_client("\x01 two");
	cr_expect_not(nt_bulk());
	cr_expect_str_eq(gt_promoted, "fe_in");
	cr_expect_not(seqtrk_known(&gt_flow_1()->trk), "how far the server is, the drain learns");
	cr_expect_null(seqtrk_refusal(&gt_flow_1()->trk));
}

Test(l3_narrow, what_set_mark_sets_goes_to_the_connection_for_what_passes_unseen)
{
	nt_up(" tcp-request content set-mark 7/0xff if { path /marked }\n");
	cr_expect_eq(gt_got(nt_client(REQ("/plain")))->req, MARK_LEAN);
	nt_response(2, 0);
	nt_server_data("ok", 2);
	uint32_t id = nt_client(REQ("/marked"));

	cr_expect_eq(gt_got(id)->req, MARK_LEAN);
	cr_expect_eq(gt_got(id)->mark, 7u);
}

Test(l3_narrow, every_packet_is_changed_where_set_tos_says_so)
{
	nt_up(" tcp-request content set-tos 0x10 if { path /tos }\n");
	nt_client(REQ("/plain"));
	nt_response(2, 0);
	nt_server_data("ok", 2);
	cr_expect_eq(gt_got(nt_client(REQ("/tos")))->req, MARK_OURS);
	cr_expect_eq(gt_flow_1()->want_class, MARK_OURS);
}
