/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Scenarios of a gateway: what happens to each packet, and to the connection.
 */
#include "l3_gateway.h"

#include <linux/netfilter/nf_conntrack_tcp.h>

#include "l3/ct.h"

#define C1 (GT_ISN + 1)
#define S1 (GT_SISN + 1)
#define REQ(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define RULES                                                                                                \
	" tcp-request inspect-delay 2s\n tcp-request content forward if { path_beg /download }\n"            \
	" tcp-request content promote fe_in if { path_beg /inspect }\n tcp-request content reject if { path /bad }\n"       \
	" tcp-request content drop if { path /gone }\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

TestSuite(l3_gateway, .timeout = 20, .fini = gt_down);

Test(l3_gateway, a_handshake_is_forwarded_and_then_watched)
{
	gt_up(RULES);
	gt_handshake();
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
	cr_expect_eq(gt_gw->flows, 1);
}

Test(l3_gateway, what_policy_forwards_is_left_to_the_kernel_with_its_first_request)
{
	gt_up(RULES);
	gt_handshake();
	uint32_t id = gt_c2s(C1, S1, SEG_ACK, REQ("/download"));

	cr_assert(gt_passed(id));
	cr_expect_eq(gt_got(id)->action, PKTQ_REPEAT);
	cr_expect_eq(gt_got(id)->req, MARK_OFFLOADED);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_OFFLOADED);
}

Test(l3_gateway, forwarding_by_default_without_content_rules_begins_at_the_syn)
{
	gt_up(" default-action forward\n");
	uint32_t syn = gt_syn(GT_ISN);

	cr_expect_eq(gt_got(syn)->req, MARK_OFFLOADED);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_OFFLOADED);
}

Test(l3_gateway, a_rule_that_forwards_at_the_syn_costs_one_packet)
{
	gt_up(" tcp-request connection forward if { dst_port 80 }\n" RULES);
	uint32_t syn = gt_syn(GT_ISN), id;

	cr_expect_eq(gt_got(syn)->req, MARK_OFFLOADED);
	id = gt_flow_1()->id;
	/* lost behind the gateway: the tracker has no entry, and the next is new to it */
	syn = gt_syn(GT_ISN);
	cr_expect_eq(gt_got(syn)->req, MARK_OFFLOADED);
	cr_expect_eq(gt_flow_1()->id, id, "it is the same connection");
	syn = gt_syn(GT_ISN + 5000);
	cr_expect_eq(gt_got(syn)->req, MARK_OFFLOADED);
	cr_expect_neq(gt_flow_1()->id, id, "another one");
	cr_expect_eq(gt_gw->flows, 1);
}

/* ---- ends of offloaded flows ---- */

static void tracker_forgets(uint8_t tcp_state)
{
	struct ct_entry e = { .src = gt_flow_1()->side[FLOW_CLIENT], .dst = gt_flow_1()->side[FLOW_SERVER], .tcp_state = tcp_state };

	e.reply_src = e.dst;
	e.reply_dst = e.src;
	offload_gone(gt_l3, &e);
	flow_reap(&gt_l3->flows);
}

Test(l3_gateway, an_offloaded_flow_ends_when_the_tracker_forgets_its_end)
{
	gt_up(" default-action forward\n");
	gt_syn(GT_ISN);
	gt_w.now_ms += 2000;
	tracker_forgets(TCP_CONNTRACK_TIME_WAIT);
	cr_expect_eq(gt_gw->flows, 0);
}

/* ---- connections that the firewall makes the kernel's ---- */

static unsigned kernel_forwards(const char *lines)
{
	struct cond_box b[COND_BOXES_MAX];
	unsigned n;

	gt_up(lines);
	n = gateway_kernel_forwards(gt_gw->conf, b, COND_BOXES_MAX);
	gt_down();
	return n;
}

Test(l3_gateway, rules_that_the_firewall_can_decide_are_its_own_up_to_the_first_that_it_cannot)
{
#define FWD(cond) " tcp-request connection forward if " cond "\n"
	cr_expect_eq(kernel_forwards(FWD("{ dst_port 22 25 }") FWD("{ src 10.0.0.0/8 }")), 3);
	cr_expect_eq(kernel_forwards(FWD("{ dst_port 22 }") " tcp-request connection reject if { src 10.0.0.0/8 }\n" FWD("{ dst_port 25 }")), 1);
	cr_expect_eq(kernel_forwards(" tcp-request connection set-mark 7/0xff\n" FWD("{ dst_port 22 }")), 0, "it is marked first");
	cr_expect_eq(kernel_forwards(FWD("!{ dst_port 22 }") FWD("{ dst_port 25 }")), 0);
	cr_expect_eq(kernel_forwards(" default-action forward\n"), 1, "all");
	cr_expect_eq(kernel_forwards(" default-action forward\n" RULES), 0);
	cr_expect_eq(kernel_forwards(" option dry-run\n default-action forward\n"), 0);
	cr_expect_eq(kernel_forwards(" on-failure block\n default-action forward\n"), 0);
	cr_expect_eq(kernel_forwards(" maxflows 5 else reject\n default-action forward\n"), 0);
	cr_expect_eq(kernel_forwards(" maxflows 5\n default-action forward\n"), 1);
	gt_up("");
}

static struct ct_entry tracker_entry(uint16_t port)
{
	struct ct_entry e = { .tcp_state = TCP_CONNTRACK_SYN_SENT, .mark = mark_put(5, MARK_MASK_DEFAULT, MARK_OFFLOADED) };

	addr_parse_ip(&e.src, STR("10.0.0.1"));
	addr_parse_ip(&e.dst, STR("10.0.0.2"));
	e.src.port = port;
	e.dst.port = 80;
	e.reply_src = e.dst;
	e.reply_dst = e.src;
	return e;
}

Test(l3_gateway, a_connection_that_the_tracker_tells_of_has_a_record)
{
	struct ct_entry e = tracker_entry(PKT_CLI_PORT);

	gt_up(" default-action forward\n");
	offload_born(gt_l3, &e);
	cr_assert_eq(gt_gw->flows, 1);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_OFFLOADED);
	cr_expect_eq(gt_flow_1()->foreign_mark, 5);
	cr_expect_eq(gt_nv, 0);
	gt_w.now_ms += 2000;
	tracker_forgets(TCP_CONNTRACK_TIME_WAIT);
	cr_expect_eq(gt_gw->flows, 0);
}

Test(l3_gateway, of_connections_that_it_has_a_record_of_it_hears_nothing_new)
{
	struct ct_entry e = tracker_entry(PKT_CLI_PORT);
	uint64_t id;

	gt_up(" tcp-request connection forward if { src_port -m found }\n"); /* by the queue */
	cr_expect_eq(gt_got(gt_syn(GT_ISN))->req, MARK_OFFLOADED);
	id = gt_flow_1()->id;
	offload_born(gt_l3, &e);
	cr_expect_eq(gt_flow_1()->id, id, "its SYN made the entry");
	gt_w.now_ms += 60000;
	e.tcp_state = TCP_CONNTRACK_ESTABLISHED;
	offload_born(gt_l3, &e);
	cr_expect_eq(gt_flow_1()->id, id, "given over, or found again");
	e.tcp_state = TCP_CONNTRACK_SYN_SENT;
	offload_born(gt_l3, &e);
	flow_reap(&gt_l3->flows);
	cr_expect_neq(gt_flow_1()->id, id, "its addresses are used again");
	cr_expect_eq(gt_gw->flows, 1);
}

Test(l3_gateway, past_maxflows_they_are_counted)
{
	struct ct_entry e = tracker_entry(1), other = tracker_entry(2), stranger = tracker_entry(3);

	gt_up(" maxflows 1\n default-action forward\n");
	offload_born(gt_l3, &e);
	offload_born(gt_l3, &other);
	cr_expect_eq(gt_gw->flows, 1);
	cr_expect_eq(gt_gw->overflow, 1);
	stranger.dst.port = stranger.reply_src.port = 81;
	offload_born(gt_l3, &stranger);
	cr_expect_eq(gt_gw->overflow, 1, "none of ours");
}

Test(l3_gateway, an_event_of_an_older_connection_does_not_end_one_that_reuses_its_addresses)
{
	gt_up(" default-action forward\n");
	gt_syn(GT_ISN);
	gt_w.now_ms += 10;
	tracker_forgets(TCP_CONNTRACK_TIME_WAIT);
	cr_expect_eq(gt_gw->flows, 1);
}

Test(l3_gateway, what_the_tracker_forgets_in_the_middle_stays_decided_when_it_goes_on)
{
	gt_up(" timeout idle 1h\n" RULES);
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, REQ("/download"));
	gt_w.now_ms += 2000;
	tracker_forgets(TCP_CONNTRACK_ESTABLISHED);
	gt_later(3000000);
	cr_assert_eq(gt_gw->flows, 1);
	uint32_t id = gt_in(&(struct pkt){ .seq = C1 + strlen(REQ("/download")), .ack = S1, .flags = SEG_ACK, .win = 60000,
					   .data = REQ("/inspect"), .data_len = strlen(REQ("/inspect")) }, PKTQ_HOOK_FORWARD);

	cr_expect_eq(gt_got(id)->req, MARK_OFFLOADED);
	cr_expect_eq(gt_flow_1()->timer, FLOW_TMR_OFFLOAD);
	cr_expect_str_eq(gt_promoted, "");
}

Test(l3_gateway, what_the_tracker_forgets_in_the_middle_and_never_goes_on_goes_with_the_idle_timer)
{
	gt_up(" timeout idle 1h\n default-action forward\n");
	gt_syn(GT_ISN);
	gt_w.now_ms += 2000;
	tracker_forgets(TCP_CONNTRACK_ESTABLISHED);
	gt_later(3600001);
	cr_expect_eq(gt_gw->flows, 0);
}

Test(l3_gateway, watched_flows_do_not_care_what_the_tracker_forgets)
{
	gt_up(RULES);
	gt_handshake();
	gt_w.now_ms += 2000;
	tracker_forgets(TCP_CONNTRACK_TIME_WAIT);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
}

/* ---- what is not supported has a name ---- */

static uint64_t unsupported(const char *why)
{
	for (unsigned i = 0; i < GATEWAY_REASONS && gt_gw->unsupported.r[i].name; i++)
		if (strcmp(gt_gw->unsupported.r[i].name, why) == 0)
			return gt_gw->unsupported.r[i].count;
	return 0;
}

Test(l3_gateway, a_connection_whose_answers_take_another_way_is_counted_once)
{
	gt_up(RULES);
	gt_syn(GT_ISN);
	cr_expect(gt_passed(gt_c2s(C1, S1, SEG_ACK, NULL)));
	cr_expect(gt_passed(gt_c2s(C1, S1, SEG_ACK, REQ("/inspect"))));
	cr_expect_eq(unsupported("one-way"), 1);
	cr_expect_str_eq(gt_promoted, "");
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_OPENING, "a forged segment would decide nothing");
}

Test(l3_gateway, a_forged_ack_makes_no_connection_one_way)
{
	gt_up(RULES);
	gt_syn(GT_ISN);
	gt_c2s(C1 + 77, S1, SEG_ACK, NULL);
	cr_expect_eq(unsupported("one-way"), 0);
}

Test(l3_gateway, a_connection_that_is_signed_is_counted)
{
	gt_up(RULES);
	gt_in(&(struct pkt){ .seq = GT_ISN, .flags = SEG_SYN, .win = 60000,
			     PKT_OPT("\x13\x12zzzzzzzzzzzzzzzz") }, PKTQ_HOOK_FORWARD);
	gt_s2c(GT_SISN, C1, SEG_SYN | SEG_ACK, NULL);
	gt_c2s(C1, S1, SEG_ACK, NULL);
	cr_expect_eq(unsupported("md5"), 1);
	cr_expect_str_eq(flow_refused(gt_flow_1()), "md5");
}

Test(l3_gateway, what_the_tracker_knows_of_an_older_connection_makes_it_promotable)
{
	struct ct_entry e = { .tcp_state = TCP_CONNTRACK_ESTABLISHED, .wscale = { 7, 8 } };

	gt_up(RULES);
	gt_c2s(C1, S1, SEG_ACK, REQ("/plain"));
	e.src = e.reply_dst = gt_flow_1()->side[FLOW_CLIENT];
	e.dst = e.reply_src = gt_flow_1()->side[FLOW_SERVER];
	e.tcp_flags[0] = e.tcp_flags[1] = IP_CT_TCP_FLAG_SACK_PERM | IP_CT_TCP_FLAG_BE_LIBERAL;
	cr_expect_str_eq(l3_adopt_entry(gt_flow_1(), &e), "no-syn", "the tracker began in mid-flow itself");
	cr_expect_str_eq(seqtrk_refusal(&gt_flow_1()->trk), "no-syn");
	e.tcp_flags[0] = e.tcp_flags[1] = IP_CT_TCP_FLAG_SACK_PERM | IP_CT_TCP_FLAG_WINDOW_SCALE;
	cr_expect_null(l3_adopt_entry(gt_flow_1(), &e));
	cr_expect_eq(gt_flow_1()->trk.side[FLOW_CLIENT].wscale, 7);
	cr_expect_eq(gt_flow_1()->trk.side[FLOW_SERVER].wscale, 8);
	cr_expect_str_eq(seqtrk_refusal(&gt_flow_1()->trk), "unknown", "the server's numbers");
	gt_s2c(S1, C1 + strlen(REQ("/plain")), SEG_ACK, ANSWER);
	cr_expect_null(seqtrk_refusal(&gt_flow_1()->trk));
	cr_expect_eq(gt_flow_1()->trk.side[FLOW_SERVER].win, 60000u << 8);
	e.reply_src.port = 81;
	e.nat = true;
	cr_expect_str_eq(l3_adopt_entry(gt_flow_1(), &e), "nat");
}

Test(l3_gateway, a_watched_request_passes_and_the_next_is_judged_again)
{
	gt_up(RULES);
	gt_handshake();
	cr_expect(gt_passed(gt_c2s(C1, S1, SEG_ACK, REQ("/plain"))));
	gt_s2c(S1, C1 + strlen(REQ("/plain")), SEG_ACK, ANSWER);
	uint32_t id = gt_c2s(C1 + strlen(REQ("/plain")), S1 + strlen(ANSWER), SEG_ACK, REQ("/inspect"));

	cr_expect(gt_held(id));
	cr_expect_str_eq(gt_promoted, "fe_in");
}

Test(l3_gateway, a_head_in_two_pieces_waits_for_the_second)
{
	gt_up(RULES);
	gt_handshake();
	uint32_t a = gt_c2s(C1, S1, SEG_ACK, "GET /plain HTTP/1.1\r\n");

	cr_expect(gt_held(a));
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_HELD);
	uint32_t b = gt_c2s(C1 + 21, S1, SEG_ACK, "Host: h\r\n\r\n");

	cr_expect(gt_passed(a) && gt_passed(b));
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
	cr_expect_eq(gt_l3->held_bytes, 0);
}

Test(l3_gateway, pieces_in_the_wrong_order_are_judged_in_the_right_one)
{
	gt_up(RULES);
	gt_handshake();
	uint32_t b = gt_c2s(C1 + 23, S1, SEG_ACK, "Host: h\r\n\r\n");
	uint32_t a;

	cr_expect(gt_held(b));
	a = gt_c2s(C1, S1, SEG_ACK, "GET /inspect HTTP/1.1\r\n");
	cr_expect(gt_held(a) && gt_held(b));
	cr_expect_str_eq(gt_promoted, "fe_in");
}

Test(l3_gateway, a_repeated_held_packet_is_dropped)
{
	gt_up(RULES);
	gt_handshake();
	uint32_t a = gt_c2s(C1, S1, SEG_ACK, "GET /plain HTTP/1.1\r\n"), again;

	again = gt_c2s(C1, S1, SEG_ACK, "GET /plain HTTP/1.1\r\n");
	cr_expect(gt_held(a));
	cr_expect(gt_dropped(again));
}

Test(l3_gateway, the_server_and_pure_acks_pass_while_a_turn_is_held)
{
	gt_up(RULES);
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, "GET /pl");
	cr_expect(gt_passed(gt_s2c(S1, C1, SEG_ACK, "early")));
	cr_expect(gt_passed(gt_c2s(C1 + 7, S1 + 5, SEG_ACK, NULL)));
	cr_expect_eq(gt_flow_1()->trk.side[FLOW_CLIENT].nxt, C1, "an ACK behind held data moves no edge");
}

Test(l3_gateway, an_ack_that_runs_ahead_hides_no_request_from_policy)
{
	gt_up(RULES);
	gt_handshake();
	gt_c2s(C1 + 1000, S1, SEG_ACK, NULL);
	cr_expect(gt_held(gt_c2s(C1, S1, SEG_ACK, REQ("/inspect"))));
	cr_expect_str_eq(gt_promoted, "fe_in");
}

Test(l3_gateway, a_turn_that_is_never_whole_is_promoted_when_the_delay_is_over)
{
	gt_up(RULES);
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, "GET /pl");
	gt_later(1999);
	cr_expect_str_eq(gt_promoted, "");
	gt_later(2);
	cr_expect_str_eq(gt_promoted, "fe_in");
}

Test(l3_gateway, where_promotion_is_refused_the_turn_passes)
{
	gt_up(RULES);
	gt_handshake();
	gt_refuse = "maxconn";
	cr_expect(gt_passed(gt_c2s(C1, S1, SEG_ACK, REQ("/inspect"))));
	cr_expect_str_eq(gt_gw->promote_failures.r[0].name, "maxconn");
	cr_expect_str_eq(flow_refused(gt_flow_1()), "maxconn");
}

Test(l3_gateway, a_refused_promotion_with_else_reject_resets_both_ends)
{
	gt_up(" tcp-request content promote fe_in else reject if { path /x }\n");
	gt_handshake();
	gt_refuse = "maxconn";
	cr_expect(gt_dropped(gt_c2s(C1, S1, SEG_ACK, REQ("/x"))));
	cr_expect_geq(gt_nsent, 2);
}

Test(l3_gateway, a_rejected_request_is_dropped_and_both_ends_are_reset)
{
	gt_up(RULES);
	gt_handshake();
	cr_expect(gt_dropped(gt_c2s(C1, S1, SEG_ACK, REQ("/bad"))));
	cr_assert_eq(gt_nsent, 2);
	for (unsigned i = 0; i < 2; i++) {
		cr_expect(gt_sent[i].flags & SEG_RST);
		cr_expect_eq(gt_sent[i].seq, gt_sent[i].dst.port == PKT_CLI_PORT ? S1 : C1);
	}
	cr_expect(gt_dropped(gt_c2s(C1, S1, SEG_ACK, "more")));
}

Test(l3_gateway, a_dropped_connection_goes_on_being_dropped)
{
	gt_up(RULES);
	gt_handshake();
	cr_expect(gt_dropped(gt_c2s(C1, S1, SEG_ACK, REQ("/gone"))));
	cr_expect(gt_dropped(gt_c2s(C1, S1, SEG_ACK, REQ("/plain"))));
	cr_expect_eq(gt_nsent, 0);
}

Test(l3_gateway, a_pipelined_request_is_promoted_when_those_before_it_are_answered)
{
	gt_up(RULES);
	gt_handshake();
	uint32_t n = strlen(REQ("/plain"));
	uint32_t id = gt_c2s(C1, S1, SEG_ACK, REQ("/plain") REQ("/inspect"));

	cr_expect(gt_held(id));
	cr_expect_str_eq(gt_promoted, "", "the answer to /plain is still owed");
	cr_assert_eq(gt_nsent, 1, "what comes before the turn is sent on by itself");
	cr_expect_eq(gt_sent[0].data_len, n);
	gt_s2c(S1, C1 + n, SEG_ACK, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
	cr_expect_str_eq(gt_promoted, "");
	gt_s2c(S1 + 39, C1 + n, SEG_ACK, "k");
	cr_expect_str_eq(gt_promoted, "fe_in");
}

Test(l3_gateway, the_body_of_a_request_passes_in_any_order)
{
	gt_up(RULES);
	gt_handshake();
	const char *head = "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n";
	uint32_t at = C1 + (uint32_t)strlen(head);

	cr_expect(gt_passed(gt_c2s(C1, S1, SEG_ACK, head)));
	cr_expect(gt_passed(gt_c2s(at + 10, S1, SEG_ACK, "0123456789")));
	cr_expect(gt_passed(gt_c2s(at, S1, SEG_ACK, "0123456789")));
	cr_expect(gt_held(gt_c2s(at + 20, S1, SEG_ACK, "GET")));
}

Test(l3_gateway, a_decision_at_the_syn_to_promote_waits_for_the_handshake)
{
	gt_up(" tcp-request connection promote fe_in if { dst_port 80 }\n");
	gt_handshake();
	cr_expect_str_eq(gt_promoted, "fe_in");
	cr_expect_str_eq(gt_flow_1()->ext->frontend, "fe_in");
}

Test(l3_gateway, a_rejected_syn_is_answered_with_a_reset_and_forgotten)
{
	gt_up(" tcp-request connection reject if { src 10.0.0.1 }\n");
	cr_expect(gt_dropped(gt_syn(GT_ISN)));
	cr_assert_eq(gt_nsent, 1);
	cr_expect_eq(gt_sent[0].flags, SEG_RST | SEG_ACK);
	cr_expect_eq(gt_sent[0].ack, GT_ISN + 1);
	cr_expect_eq(gt_l3->flows.count, 0);
}

Test(l3_gateway, with_dry_run_everything_passes)
{
	gt_up(RULES " option dry-run\n");
	gt_handshake();
	cr_expect(gt_passed(gt_c2s(C1, S1, SEG_ACK, REQ("/bad"))));
	cr_expect_eq(gt_gw->dry_run[GATEWAY_ACT_REJECT], 1);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
}

Test(l3_gateway, a_connection_that_began_unseen_is_judged_and_cannot_be_promoted)
{
	gt_up(" tcp-request content promote fe_in else reject if { path_beg /must }\n"
	      " tcp-request content promote fe_in if { path_beg /may }\n");
	gt_refuse = "no-syn";
	uint32_t id = gt_c2s(C1, S1, SEG_ACK, REQ("/may"));

	cr_expect_eq(gt_got(id)->req, MARK_OFFLOADED);
	gt_later(100000);
	id = gt_in(&(struct pkt){ .v6 = true, .seq = C1, .ack = S1, .flags = SEG_ACK, .win = 60000, .data = REQ("/must"),
				  .data_len = sizeof(REQ("/must")) - 1 }, PKTQ_HOOK_FORWARD);
	cr_expect(gt_dropped(id));
	cr_expect_geq(gt_nsent, 1);
}

Test(l3_gateway, without_rules_a_connection_that_began_unseen_is_left_to_the_kernel)
{
	gt_up("");
	uint32_t id = gt_s2c(S1, C1, SEG_ACK, "data");

	cr_expect_eq(gt_got(id)->req, MARK_OFFLOADED);
	cr_expect_eq(gt_flow_1()->side[FLOW_SERVER].port, PKT_SRV_PORT);
}

Test(l3_gateway, what_no_match_line_describes_is_none_of_ours)
{
	gt_up(RULES);
	uint32_t id = gt_in(&(struct pkt){ .reverse = true, .seq = 1, .flags = SEG_SYN, .win = 100 }, PKTQ_HOOK_FORWARD);

	cr_expect_eq(gt_got(id)->action, PKTQ_ACCEPT);
	cr_expect_eq(gt_l3->flows.count, 0);
}

Test(l3_gateway, a_forged_syn_from_the_server_makes_the_class_be_said_again)
{
	gt_up(RULES);
	gt_handshake();
	uint32_t id = gt_in(&(struct pkt){ .reverse = true, .seq = 77, .flags = SEG_SYN, .win = 100 }, PKTQ_HOOK_FORWARD);

	cr_expect_eq(gt_got(id)->req, MARK_OURS);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
}

Test(l3_gateway, a_syn_of_ours_without_a_record_comes_again_as_new)
{
	gt_up(RULES);
	uint32_t id = gt_in(&(struct pkt){ .seq = GT_ISN, .flags = SEG_SYN, .win = 100 }, PKTQ_HOOK_PREROUTING);

	cr_expect_eq(gt_got(id)->req, MARK_NONE);
	cr_expect_eq(gt_l3->flows.count, 0);
}

Test(l3_gateway, when_the_tracker_forgot_the_class_is_said_again)
{
	gt_up(RULES);
	gt_handshake();
	uint32_t id = gt_in(&(struct pkt){ .seq = C1, .ack = S1, .flags = SEG_ACK, .win = 60000 }, PKTQ_HOOK_FORWARD);

	cr_expect_eq(gt_got(id)->req, MARK_OURS);
}

Test(l3_gateway, a_forged_reset_ends_nothing_and_a_true_one_does)
{
	gt_up(RULES);
	gt_handshake();
	gt_s2c(S1 + 70000, 0, SEG_RST, NULL);
	gt_c2s(C1 + 5, 0, SEG_RST, NULL);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
	cr_expect(gt_passed(gt_s2c(S1, C1, SEG_RST | SEG_ACK, NULL)));
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_CLOSING);
	cr_expect_str_eq(flow_end(gt_flow_1()), "reset");
}

Test(l3_gateway, a_reset_lets_go_of_what_is_held)
{
	gt_up(RULES);
	gt_handshake();
	uint32_t id = gt_c2s(C1, S1, SEG_ACK, "GET /pl");

	gt_s2c(S1, C1, SEG_RST | SEG_ACK, NULL);
	cr_expect(gt_got(id));
	cr_expect_eq(gt_l3->held_bytes, 0);
}

Test(l3_gateway, after_both_fins_the_record_goes_with_the_close_timer)
{
	gt_up(RULES);
	gt_handshake();
	gt_c2s(C1, S1, SEG_FIN | SEG_ACK, NULL);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
	gt_s2c(S1, C1 + 1, SEG_FIN | SEG_ACK, NULL);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_CLOSING);
	cr_expect(gt_passed(gt_c2s(C1 + 1, S1 + 1, SEG_ACK, NULL)));
	gt_later(10001);
	cr_expect_eq(gt_l3->flows.count, 0);
}

Test(l3_gateway, a_new_connection_on_the_same_addresses_is_a_new_flow)
{
	gt_up(RULES);
	gt_handshake();
	gt_s2c(S1, C1, SEG_RST | SEG_ACK, NULL);
	cr_expect(gt_passed(gt_syn(GT_ISN + 900000)));
	cr_assert_eq(gt_l3->flows.count, 1);
	cr_expect_eq(gt_flow_1()->id, 2);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_OPENING);
}

Test(l3_gateway, a_handshake_that_does_not_end_is_forgotten)
{
	gt_up(" timeout syn 3s\n");
	gt_syn(GT_ISN);
	gt_later(2999);
	cr_expect_eq(gt_l3->flows.count, 1);
	gt_later(2);
	cr_expect_eq(gt_l3->flows.count, 0);
}

Test(l3_gateway, every_packet_puts_the_idle_timer_off)
{
	gt_up(" timeout idle 10s\n");
	gt_handshake();
	gt_later(9000);
	gt_c2s(C1, S1, SEG_ACK, NULL);
	gt_later(9000);
	cr_expect_eq(gt_l3->flows.count, 1);
	gt_later(1001);
	cr_expect_eq(gt_l3->flows.count, 0);
}

Test(l3_gateway, past_maxflows_new_connections_are_only_forwarded)
{
	gt_up(" maxflows 1\n");
	gt_syn(GT_ISN);
	uint32_t id = gt_in(&(struct pkt){ .v6 = true, .seq = 1, .flags = SEG_SYN, .win = 100 }, PKTQ_HOOK_FORWARD);

	cr_expect_eq(gt_got(id)->req, MARK_OFFLOADED);
	cr_expect_eq(gt_gw->overflow, 1);
	cr_expect_eq(gt_l3->flows.count, 1);
}

Test(l3_gateway, what_is_not_tcp_or_malformed_passes_and_is_counted)
{
	static uint8_t junk[64];
	struct pktq_pkt p = { .ref.id = 7, .family = AF_INET, .data = junk, .len = 0 };

	gt_up(RULES);
	for (unsigned len = 0; len < sizeof(junk); len++) {
		memset(junk, (int)len * 7, sizeof(junk));
		junk[0] = len & 1 ? 0x45 : 0x60;
		p.len = p.full_len = len;
		gt_nv = 0;
		l3_path_handler.packet(gt_gw, gt_gw->q, &p);
		cr_assert_eq(gt_nv, 1);
		cr_assert_eq(gt_v[0].action, PKTQ_ACCEPT);
	}
	cr_expect_eq(gt_l3->flows.count, 0);
}

Test(l3_gateway, held_packets_beyond_the_budget_end_the_holding)
{
	gt_up(RULES);
	gt_handshake();
	gt_l3->held_max = 100;
	uint32_t a = gt_c2s(C1, S1, SEG_ACK, "GET /plain HTTP/1.1\r\n");
	uint32_t b = gt_c2s(C1 + 21, S1, SEG_ACK, "X: 0123456789012345678901234567890123456789012345678901234567890\r\n");

	cr_expect(gt_held(a) || gt_got(a));
	cr_expect(gt_got(b), "the second does not fit");
	cr_expect_leq(gt_l3->held_bytes, 100);
}

Test(l3_gateway, one_connection_has_its_own_budget)
{
	gt_up(RULES);
	gt_handshake();
	gt_refuse = "maxconn";
	gt_l3->held_flow_max = 100;
	uint32_t a = gt_c2s(C1, S1, SEG_ACK, "GET /plain HTTP/1.1\r\n");

	cr_expect(gt_held(a));
	cr_expect(gt_got(gt_c2s(C1 + 21, S1, SEG_ACK, "X: 0123456789012345678901234567890123456789012345678901234567890\r\n")));
	cr_expect(gt_got(a));
}

Test(l3_gateway, a_turn_that_is_longer_than_what_rules_may_wait_for_is_judged_by_what_is_there)
{
	gt_up(" tcp-request inspect-delay 9s\n tcp-request content promote fe_in if { req.payload(0,500) -m found }\n");
	gt_handshake();
	gt_l3->inspect_max = 12;
	cr_expect(gt_held(gt_c2s(C1, S1, SEG_ACK, "\1 six 78")));
	cr_expect(gt_passed(gt_c2s(C1 + 8, S1, SEG_ACK, "9012")));
	cr_expect_str_eq(gt_promoted, "");
}

Test(l3_gateway, a_turns_first_packet_that_cannot_be_held_keeps_nothing_back_behind_it)
{
	gt_up(RULES);
	gt_handshake();
	gt_refuse = "maxconn"; /* nobody knows what it says: it would be promoted */
	gt_l3->held_max = 0;
	cr_expect(gt_passed(gt_c2s(C1, S1, SEG_ACK, "GET /plain HTTP/1.1\r\n")));
	cr_expect_str_eq(gt_promoted, "fe_in");
	gt_l3->held_max = UINT64_MAX;
	cr_expect(gt_passed(gt_c2s(C1 + 21, S1, SEG_ACK, "Host: h\r\n\r\n")), "not for what came before it, which has passed");
}

Test(l3_gateway, protocols_without_requests_have_turns_by_direction)
{
	gt_up(" tcp-request content promote fe_in if { req.payload(0,4) -m str QUIT }\n");
	gt_handshake();
	cr_expect(gt_passed(gt_s2c(S1, C1, SEG_ACK, "220 hi\r\n")));
	cr_expect(gt_passed(gt_c2s(C1, S1 + 8, SEG_ACK, "HELO\r\n")));
	cr_expect(gt_passed(gt_s2c(S1 + 8, C1 + 6, SEG_ACK, "250 ok\r\n")));
	cr_expect(gt_held(gt_c2s(C1 + 6, S1 + 16, SEG_ACK, "QUIT\r\n")));
	cr_expect_str_eq(gt_promoted, "fe_in");
}

/* ---- set-mark, set-tos ---- */

Test(l3_gateway, a_mark_that_is_set_at_the_syn_stays_on_every_packet)
{
	gt_up(" tcp-request connection set-mark 0x10/0xf0 if { dst_port 80 }\n tcp-request content set-mark 7/0xf if { path /plain }\n" RULES);
	uint32_t id = gt_syn(GT_ISN);

	cr_expect_eq(gt_got(id)->action, PKTQ_ACCEPT);
	cr_expect_eq(gt_got(id)->mark, 0x10);
	id = gt_s2c(GT_SISN, C1, SEG_SYN | SEG_ACK, NULL);
	cr_expect_eq(gt_got(id)->mark, 0x10);
	gt_c2s(C1, S1, SEG_ACK, NULL);
	id = gt_c2s(C1, S1, SEG_ACK, REQ("/plain"));
	cr_expect_eq(gt_got(id)->mark, 0x17, "the packet that was judged has it too");
	cr_expect_eq(gt_flow_1()->foreign_mark, 0x17, "as pseudo sockets will");
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
	gt_s2c(S1, C1 + strlen(REQ("/plain")), SEG_ACK, ANSWER);
	id = gt_c2s(C1 + strlen(REQ("/plain")), S1 + strlen(ANSWER), SEG_ACK, REQ("/download"));
	cr_expect_eq(gt_got(id)->req, MARK_OFFLOADED);
	cr_expect_eq(gt_got(id)->mark, 0x17, "which the chain saves with the class");
}

Test(l3_gateway, with_dry_run_no_mark_is_set)
{
	gt_up(" option dry-run\n tcp-request connection set-mark 0x10\n" RULES);
	cr_expect_eq(gt_got(gt_syn(GT_ISN))->mark, 0);
}

Test(l3_gateway, a_connection_whose_tos_is_set_stays_here_for_it)
{
	gt_up(" tcp-request connection set-tos 0x20\n tcp-request connection forward\n");
	uint32_t id = gt_syn(GT_ISN);

	cr_expect_gt(gt_got(id)->len, 0, "it was changed");
	gt_s2c(GT_SISN, C1, SEG_SYN | SEG_ACK, NULL);
	gt_c2s(C1, S1, SEG_ACK, NULL);
	id = gt_c2s(C1, S1, SEG_ACK, REQ("/inspect"));
	cr_expect(gt_passed(id));
	cr_expect_gt(gt_got(id)->len, 0);
	cr_expect_str_eq(gt_promoted, "");
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
}

/* ---- handing a translated connection over ---- */

/* A connection as a demotion leaves it, whose policy asks no more. */
static struct flow *demoted(uint32_t cli_snd)
{
	struct xlate *x;
	struct flow *f;

	gt_handshake();
	f = gt_flow_1();
	cr_assert(flow_ext(f));
	x = &f->ext->xl;
	xlate_set(x, cli_snd, C1, S1, S1);
	x->delta[FLOW_CLIENT] = 0;
	f->xlate_by = FLOW_XLATE_DAEMON;
	xlate_set_ack_floor(x, FLOW_CLIENT, S1, 60000);
	xlate_set_ack_floor(x, FLOW_SERVER, C1, 60000);
	f->policy = FLOW_POL_NONE;
	f->mark_class = f->want_class = MARK_HARD;
	flow_set_state(f, FLOW_ST_TRANSLATED);
	return f;
}

Test(l3_gateway, a_demoted_connection_without_deltas_is_offloaded_when_both_ends_have_gone_on)
{
	gt_up(RULES);
	struct flow *f = demoted(S1);
	uint32_t id = gt_c2s(C1, S1, SEG_ACK, "x");

	cr_expect_eq(gt_got(id)->req, -1);
	cr_expect_eq(f->state, FLOW_ST_TRANSLATED, "the server may still have old segments under way");
	gt_s2c(S1, C1, SEG_ACK, NULL);
	cr_expect_eq(f->state, FLOW_ST_OFFLOADED);
	cr_expect_eq(f->xlate_by, FLOW_XLATE_NONE);
	id = gt_c2s(C1 + 1, S1, SEG_ACK, NULL);
	cr_expect_eq(gt_got(id)->req, MARK_OFFLOADED);
}

Test(l3_gateway, without_deltas_it_is_watched_again_where_policy_has_not_decided)
{
	gt_up(RULES);
	struct flow *f = demoted(S1);
	uint32_t id;

	f->policy = FLOW_POL_OPEN;
	gt_s2c(S1, C1, SEG_ACK, NULL);
	gt_c2s(C1, S1, SEG_ACK, NULL);
	cr_expect_eq(f->state, FLOW_ST_WATCHED);
	cr_expect_eq(f->xlate_by, FLOW_XLATE_NONE);
	id = gt_s2c(S1, C1, SEG_ACK, "x");
	cr_expect_eq(gt_got(id)->req, MARK_OURS, "it lives without the daemon");
}

Test(l3_gateway, what_is_below_a_floor_shows_that_old_segments_are_under_way)
{
	gt_up(RULES);
	struct flow *f = demoted(S1);

	gt_c2s(C1, S1, SEG_ACK, "x");
	gt_s2c(S1, C1 - 1, SEG_ACK, NULL);
	cr_expect_eq(f->state, FLOW_ST_TRANSLATED);
	gt_s2c(S1, C1, SEG_ACK, NULL);
	cr_expect_eq(f->state, FLOW_ST_OFFLOADED);
}

Test(l3_gateway, with_deltas_it_stays_here_where_the_kernel_cannot_translate)
{
	gt_up(RULES);
	struct flow *f = demoted(S1 + 100);

	gt_c2s(C1, S1 + 100, SEG_ACK, "x");
	gt_s2c(S1, C1 + 1, SEG_ACK, NULL);
	gt_c2s(C1 + 1, S1 + 100, SEG_ACK, NULL);
	cr_expect(xlate_settled(flow_xlate(f)));
	cr_expect_eq(f->state, FLOW_ST_TRANSLATED);
}

Test(l3_gateway, what_the_kernel_translates_is_translated_here_when_it_comes_here)
{
	gt_up(RULES);
	struct flow *f = demoted(S1 + 100);
	uint32_t id;

	f->xlate_by = FLOW_XLATE_KERNEL;
	f->seen = FLOW_SEEN_NONE;
	f->mark_class = f->want_class = MARK_OFFLOADED;
	flow_set_state(f, FLOW_ST_OFFLOADED);
	cr_expect_eq(gt_gw->by_state[FLOW_ST_TRANSLATED], 1, "it is counted for what it is");
	cr_expect_eq(gt_gw->by_state[FLOW_ST_OFFLOADED], 0);

	/* it stood in the queue at the handover */
	id = gt_s2c(S1, C1, SEG_ACK, "late");
	cr_expect_eq(gt_got(id)->action, PKTQ_ACCEPT);
	cr_expect_gt(gt_got(id)->len, 0, "translated");
	cr_expect_eq(f->state, FLOW_ST_OFFLOADED);

	/* the tracker has forgotten it */
	id = gt_in(&(struct pkt){ .reverse = true, .seq = S1 + 4, .ack = C1, .flags = SEG_ACK, .win = 60000, .data = "more",
				  .data_len = 4 }, PKTQ_HOOK_FORWARD);
	cr_expect_eq(gt_got(id)->req, MARK_HARD);
	cr_expect_gt(gt_got(id)->len, 0);
	cr_expect_eq(f->state, FLOW_ST_TRANSLATED);
	cr_expect_eq(f->xlate_by, FLOW_XLATE_DAEMON);
	cr_expect_eq(gt_gw->by_state[FLOW_ST_TRANSLATED], 1);
}

/* ---- floods ---- */

static uint32_t seg_from(uint16_t port, const struct pkt *k)
{
	static uint8_t buf[128];
	struct pktq_pkt p = { .ref.id = ++gt_id, .family = AF_INET, .hook = PKTQ_HOOK_FORWARD, .data = buf };

	p.len = p.full_len = pkt_make(buf, k);
	pkt_be(buf + (k->reverse ? 22 : 20), port, 2);
	gt_nv = 0;
	l3_path_handler.packet(gt_gw, gt_gw->q, &p);
	l3_path_handler.batch_end(gt_gw, gt_gw->q, true);
	return p.ref.id;
}

static uint32_t syn_from(uint16_t port)
{
	return seg_from(port, &(struct pkt){ .seq = 7, .flags = SEG_SYN, .win = 1000 });
}

Test(l3_gateway, a_flood_of_syns_takes_records_from_itself_only)
{
	unsigned i;

	gt_up(" maxflows 10\n" RULES);
	gt_handshake();
	for (i = 0; i < 50; i++)
		syn_from((uint16_t)(50000 + i));
	cr_expect_eq(gt_gw->flows, 10);
	cr_expect_eq(gt_gw->overflow, 41, "the first ones may still be answered");
	cr_expect_eq(gt_gw->evicted, 0);
	gt_w.now_ms += 1500;
	for (i = 0; i < 5; i++) {
		uint32_t id = syn_from((uint16_t)(51000 + i));

		cr_expect_eq(gt_got(id)->req, -1, "it has a record, and will be judged");
	}
	cr_expect_eq(gt_gw->evicted, 5);
	cr_expect_eq(gt_gw->flows, 10);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_WATCHED, "who was there first is there still");
}

Test(l3_gateway, a_flood_of_acks_out_of_nothing_keeps_no_record_that_a_connection_needs)
{
	struct flow *f;
	unsigned i;

	gt_up(" maxflows 10\n" RULES);
	/* one that began unseen, and goes on in both directions */
	seg_from(49999, &(struct pkt){ .seq = C1, .ack = S1, .flags = SEG_ACK, .win = 60000 });
	seg_from(49999, &(struct pkt){ .reverse = true, .seq = S1, .ack = C1, .flags = SEG_ACK, .win = 60000 });
	f = gt_flow_1();
	for (i = 0; i < 50; i++)
		seg_from((uint16_t)(50000 + i), &(struct pkt){ .seq = 7, .ack = 9, .flags = SEG_ACK, .win = 1000 });
	cr_expect_eq(gt_gw->flows, 10);
	gt_w.now_ms += 1500;
	for (i = 0; i < 12; i++)
		syn_from((uint16_t)(51000 + i));
	cr_expect_eq(gt_gw->evicted, 9);
	cr_expect_eq(gt_gw->by_state[FLOW_ST_OPENING], 9, "new connections have records");
	cr_expect_eq(gt_flow_1(), f, "and so has who was there first");
	/* it lives as long as it is used, the others as long as a handshake may take */
	gt_later(gt_gw->conf->timeout_ms[FLOW_TMR_SYN]);
	cr_expect_eq(gt_gw->flows, 1);
	cr_expect_eq(gt_flow_1(), f);
}
