/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * border_flow.c - promotion and demotion, step by step, on a fake queue, fake sockets, a fake stream and a
 * fake clock
 */
#include "border_fake.h"
#include "refuse.h"

/* ---- promotion ---- */

Test(promote, the_first_payload_goes_to_the_sockets_and_later_ones_go_there_directly)
{
	uint32_t id;

	bt_up(BT_RULE);
	id = bt_promoted();
	cr_assert(bt_local(id));
	cr_assert_eq(gt_flow_1()->state, FLOW_ST_PROMOTED);
	cr_assert_eq(bt_open, 2);
	/* each speaks in the name of the other end, at the numbers that this end knows */
	cr_assert_eq(bt_side(FLOW_CLIENT)->spec.snd_seq, BT_S);
	cr_assert_eq(bt_side(FLOW_CLIENT)->spec.rcv_seq, BT_C);
	cr_assert_eq(bt_side(FLOW_SERVER)->spec.snd_seq, BT_C);
	cr_assert_eq(bt_side(FLOW_SERVER)->spec.rcv_seq, BT_S);
	cr_assert_eq(bt_side(FLOW_CLIENT)->spec.local.port, 80);
	cr_assert_eq(bt_mark(0), MARK_SOCK_DIRECT);
	cr_assert_eq(bt_mark(1), MARK_SOCK_DIRECT);
	bt_down();
}

Test(promote, an_ack_that_comes_by_the_queue_behind_the_switch_is_sent_round_as_a_copy)
{
	uint32_t id;

	bt_up(BT_RULE);
	bt_carrying();
	gt_nsent = 0;
	id = gt_s2c(BT_S, BT_C + 4, SEG_ACK, NULL);
	cr_assert(gt_dropped(id));
	cr_assert_eq(gt_nsent, 1);
	cr_assert_eq(gt_sent[0].ack, BT_C + 4);
	cr_assert(bt_local(gt_c2s(BT_C + 4, BT_S, SEG_ACK, "queued before")), "and data by its verdict");
	cr_assert_eq(gt_nsent, 1);
	/* and so when the stream is over, and the kernel brings it to its end */
	bt_with->ops->ended((struct stream *)bt_with, bt_with->owner, (int[]){ -1, -1 }, false);
	bt_sock[0].open = bt_sock[1].open = false;
	bt_open = 0;
	bt_state[0] = bt_state[1] = 9; /* LAST_ACK */
	cr_assert(gt_dropped(gt_s2c(BT_S, BT_C + 4, SEG_ACK, NULL)));
	cr_assert_eq(gt_nsent, 2);
	bt_state[0] = bt_state[1] = 0;
	bt_down();
}

Test(promote, in_mid_flow_it_waits_until_both_ends_have_acknowledged_what_passed)
{
	struct flow *f;
	uint32_t id, more;

	bt_up("");
	gt_handshake();
	cr_assert(gt_passed(gt_c2s(BT_C, BT_S, SEG_ACK, "ping")));
	cr_assert(gt_passed(gt_s2c(BT_S, BT_C, SEG_ACK, "banner"))); /* does not acknowledge it */
	f = gt_flow_1();
	cr_assert_null(border_promote(f, "fe_in", GATEWAY_ELSE_FORWARD));
	cr_assert_eq(f->state, FLOW_ST_HELD);
	id = gt_c2s(BT_C + 4, BT_S, SEG_ACK, "more");
	cr_assert(gt_held(id));
	cr_assert(gt_passed(gt_s2c(BT_S + 6, BT_C + 4, SEG_ACK, NULL)), "a pure ACK passes");
	cr_assert_eq(f->state, FLOW_ST_HELD, "the client has not acknowledged the banner");
	more = gt_c2s(BT_C + 8, BT_S + 6, SEG_ACK, "data"); /* its ACK counts although it is held */
	bt_tasks();
	cr_assert_eq(f->state, FLOW_ST_PROMOTED);
	cr_assert(bt_local(id) && bt_local(more));
	cr_assert_eq(bt_side(FLOW_CLIENT)->spec.rcv_seq, BT_C + 4);
	cr_assert_eq(bt_side(FLOW_CLIENT)->spec.snd_seq, BT_S + 6);
	bt_down();
}

Test(promote, in_mid_flow_the_stream_reads_nothing_until_the_queue_was_empty)
{
	for (int patience = 0; patience < 2; patience++) {
		struct pktq *q;

		bt_up("");
		gt_handshake();
		q = flow_queue(gt_flow_1());
		q->was_empty = false; /* more comes while a batch is worked on */
		bt_begun = 0;
		cr_assert_null(border_promote(gt_flow_1(), "fe_in", GATEWAY_ELSE_FORWARD));
		for (unsigned i = 0; i < 10; i++) {
			bt_now_us += 1000;
			cr_assert(bt_local(gt_c2s(BT_C + 4 * i, BT_S, SEG_ACK, "more")));
			cr_assert_eq(bt_mark(0), MARK_SOCK_QUEUE, "or what comes now would overtake it");
		}
		cr_assert_eq(bt_begun, 0);
		if (patience)
			bt_now_us += 20000;
		else
			q->was_empty = true;
		gt_c2s(BT_C + 40, BT_S, SEG_ACK, "more");
		cr_assert_eq(bt_mark(0), MARK_SOCK_DIRECT);
		cr_assert_eq(bt_begun, 1);
		bt_down();
	}
}

Test(promote, what_cannot_be_made_is_forwarded_and_counted_and_leaves_nothing_behind)
{
	static const struct {
		int at, err, stream;
		const char *why;
	} cases[] = {
		{ 1, EPERM, 0, "socket" },
		{ 2, EPERM, 0, "socket" },
		{ 1, EADDRINUSE, 0, "address-in-use" },
		{ 2, EADDRNOTAVAIL, 0, "address-in-use" },
		{ 2, ENOBUFS, 0, "socket" },
		{ 0, 0, EBUSY, "maxconn" },
		{ 0, 0, ENOMEM, "no-memory" },
		{ 0, 0, ENOENT, "no-frontend" },
		{ 0, 0, ESHUTDOWN, "stopping" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t id;

		bt_up(BT_RULE);
		bt_fail_at = cases[i].at;
		bt_fail_errno = cases[i].err;
		bt_stream_errno = cases[i].stream;
		id = bt_promoted();
		cr_assert(gt_passed(id), "%s: the payload is forwarded", cases[i].why);
		cr_assert_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
		cr_assert_null(bt_bf());
		cr_assert_eq(bt_open, 0);
		cr_assert_eq(bt_refused(&gt_gw->promote_failures, cases[i].why), 1, "counted as %s",
			     cases[i].why);
		cr_assert(gt_passed(gt_s2c(BT_S, BT_C + 4, SEG_ACK, "pong")));
		bt_stream_errno = 0;
		bt_down();
	}
}

Test(promote, whatever_cannot_be_allocated_the_connection_goes_on)
{
	unsigned counted = 0;
	bool refused = true;

	for (refuse_at = 1; refused; refuse_at++) {
		uint32_t id;

		bt_up(BT_RULE);
		refuse_from();
		id = bt_promoted();
		refused = refuse_until();
		cr_assert(gt_got(id), "allocation %u: it does not wait", refuse_at);
		if (gt_flow_1()->state == FLOW_ST_PROMOTED) {
			cr_assert_eq(bt_open, 2);
		} else {
			counted += bt_refused(&gt_gw->promote_failures, "no-memory");
			cr_assert(gt_passed(id), "allocation %u: forwarded", refuse_at);
			cr_assert_eq(bt_open, 0);
			cr_assert_null(bt_bf());
			cr_assert(gt_passed(gt_s2c(BT_S, BT_C + 4, SEG_ACK, "pong")));
		}
		bt_down();
	}
	cr_assert_gt(counted, 0);
}

Test(promote, a_rule_with_else_rejects_what_cannot_be_promoted)
{
	bt_up(" tcp-request content promote fe_in else reject if { dst_port 80 }\n");
	bt_fail_at = 1;
	bt_fail_errno = EPERM;
	cr_assert(gt_dropped(bt_promoted()));
	cr_assert_eq(gt_nsent, 2, "both ends are reset");
	cr_assert(gt_sent[0].flags & gt_sent[1].flags & SEG_RST);
	bt_down();
}

Test(promote, a_hold_that_runs_out_of_time_lets_everything_go)
{
	struct flow *f;
	uint32_t id;

	bt_up(" timeout hold 2s\n");
	gt_handshake();
	gt_c2s(BT_C, BT_S, SEG_ACK, "ping");
	f = gt_flow_1();
	cr_assert_null(border_promote(f, "fe_in", GATEWAY_ELSE_FORWARD));
	id = gt_c2s(BT_C + 4, BT_S, SEG_ACK, "more");
	gt_later(1999);
	cr_assert(gt_held(id));
	gt_later(2);
	cr_assert(gt_passed(id));
	cr_assert_eq(f->state, FLOW_ST_WATCHED);
	cr_assert_eq(bt_refused(&gt_gw->promote_failures, "hold-timeout"), 1);
	bt_down();
}

Test(promote, a_reset_ends_the_hold_and_passes)
{
	struct flow *f;
	uint32_t id;

	bt_up("");
	gt_handshake();
	gt_c2s(BT_C, BT_S, SEG_ACK, "ping");
	f = gt_flow_1();
	cr_assert_null(border_promote(f, "fe_in", GATEWAY_ELSE_FORWARD));
	id = gt_c2s(BT_C + 4, BT_S, SEG_ACK, "more");
	cr_assert(gt_passed(gt_s2c(BT_S, BT_C + 4, SEG_RST | SEG_ACK, NULL)));
	cr_assert(gt_passed(id));
	cr_assert_eq(f->state, FLOW_ST_CLOSING);
	bt_down();
}

Test(promote, ended_during_a_drain_the_daemon_lets_go_of_what_it_held)
{
	uint32_t id;

	bt_up("");
	gt_handshake();
	gt_c2s(BT_C, BT_S, SEG_ACK, "ping");
	cr_assert_null(border_promote(gt_flow_1(), "fe_in", GATEWAY_ELSE_FORWARD));
	id = gt_c2s(BT_C + 4, BT_S, SEG_ACK, "more");
	border_worker_destroy(&gt_w);
	pktq_flush(gt_gw->q);
	cr_assert(gt_passed(id));
	gt_w.epoch = NULL;
	gt_down();
}

/* ---- out of the kernel's hands ---- */

/* A pure ACK of the server with one block of selective acknowledgement. */
static void bt_sack(uint32_t ack, uint32_t left, uint32_t right)
{
	uint8_t opt[10] = { 5, 10 };

	for (int i = 0; i < 4; i++) {
		opt[2 + i] = (uint8_t)(left >> (24 - 8 * i));
		opt[6 + i] = (uint8_t)(right >> (24 - 8 * i));
	}
	gt_in(&(struct pkt){ .reverse = true, .seq = BT_S, .ack = ack, .flags = SEG_ACK, .win = 60000, .opt = opt, .opt_len = 10 },
	      PKTQ_HOOK_PREROUTING);
}

Test(recall, what_passed_unseen_has_arrived_before_a_cut_is_made)
{
	struct flow *f;

	bt_up("");
	gt_handshake();
	f = gt_flow_1();
	cr_assert_null(border_recall(f, "fe_in"));
	/* the kernel forwarded up to 5000; one segment, of 1000, was lost behind us */
	gt_c2s(BT_C + 900, BT_S, SEG_ACK, "again");
	gt_s2c(BT_S, BT_C + 1000, SEG_ACK, NULL);
	bt_wait(150);
	cr_assert_eq(f->state, FLOW_ST_WATCHED, "acknowledged, but what is on its way?");
	bt_sack(BT_C + 1000, BT_C + 2000, BT_C + 5000);
	gt_nsent = 0;
	bt_wait(55);
	cr_assert_eq(gt_nsent, 2, "both ends are asked for what they have");
	cr_assert_eq(gt_sent[0].flags, SEG_ACK);
	cr_assert_eq(f->state, FLOW_ST_WATCHED);
	gt_c2s(BT_C + 5000, BT_S, SEG_ACK, NULL);
	bt_sack(BT_C + 1000, BT_C + 2000, BT_C + 5000);
	bt_wait(2);
	cr_assert_eq(f->state, FLOW_ST_HELD);
	cr_assert(gt_passed(gt_c2s(BT_C + 1000, BT_S, SEG_ACK, "the missing one")));
	gt_s2c(BT_S, BT_C + 5000, SEG_ACK, NULL);
	bt_tasks();
	cr_assert_eq(f->state, FLOW_ST_PROMOTED);
	cr_assert_eq(bt_side(FLOW_SERVER)->spec.snd_seq, BT_C + 5000, "no byte twice, no ACK of what was not sent");
	cr_assert_eq(bt_side(FLOW_CLIENT)->spec.rcv_seq, BT_C + 5000);
	bt_down();
}

Test(recall, after_a_bulk_the_turn_is_held_until_both_ends_said_where_they_are)
{
	static char zeros[32768];
	struct flow *f;
	uint32_t id, s = BT_S, more;

	bt_up(" tcp-request content promote fe_in if { req.payload(2,3) -m str two }\n");
	gt_l3->narrow = true;
	gt_handshake();
	f = gt_flow_1();
	gt_c2s(BT_C, s, SEG_ACK, "\1 one");
	for (int i = 0; i < 6; i++, s += sizeof(zeros))
		gt_in(&(struct pkt){ .reverse = true, .seq = s, .ack = BT_C + 5, .flags = SEG_ACK, .win = 60000, .data = zeros,
				     .data_len = sizeof(zeros) }, PKTQ_HOOK_PREROUTING);
	cr_assert_eq(f->seen, FLOW_SEEN_CLIENT_DATA);
	s += 100000; /* unseen; the client has 50000 of it, and a gap */
	id = gt_c2s(BT_C + 5, s - 50000, SEG_ACK, "\1 two");
	cr_assert(gt_held(id));
	cr_assert_eq(f->state, FLOW_ST_HELD);
	cr_assert(gt_passed(gt_s2c(s - 50000, BT_C + 5, SEG_ACK, "again")), "nobody knows a cut yet");
	gt_c2s(BT_C + 10, s - 49995, SEG_ACK, NULL);
	bt_wait(150);
	cr_assert_eq(f->state, FLOW_ST_HELD, "acknowledged, but what is on its way?");
	gt_nsent = 0;
	bt_wait(110);
	cr_assert_eq(gt_nsent, 2, "both are asked");
	gt_s2c(s, BT_C + 5, SEG_ACK, NULL);
	more = gt_s2c(s, BT_C + 5, SEG_ACK, "new");
	cr_assert(gt_passed(more));
	gt_c2s(BT_C + 10, s - 49995, SEG_ACK, NULL);
	bt_wait(2);
	cr_assert_eq(f->state, FLOW_ST_HELD, "the cut is there, the client has a gap below it");
	cr_assert(gt_held(gt_s2c(s + 3, BT_C + 5, SEG_ACK, "newer")));
	gt_c2s(BT_C + 10, s + 3, SEG_ACK, NULL);
	bt_tasks();
	cr_assert_eq(f->state, FLOW_ST_PROMOTED);
	cr_assert_eq(bt_side(FLOW_CLIENT)->spec.snd_seq, s + 3);
	cr_assert_eq(bt_side(FLOW_SERVER)->spec.rcv_seq, s + 3);
	cr_assert_eq(bt_side(FLOW_SERVER)->spec.snd_seq, BT_C + 5);
	bt_down();
}

Test(recall, ends_that_do_not_answer_are_asked_again_and_then_left_alone)
{
	struct flow *f;

	bt_up(" timeout hold 2s\n");
	gt_handshake();
	f = gt_flow_1();
	cr_assert_null(border_recall(f, "fe_in"));
	gt_c2s(BT_C + 900, BT_S, SEG_ACK, "last");
	gt_s2c(BT_S, BT_C + 904, SEG_ACK, NULL);
	gt_nsent = 0;
	bt_wait(1900);
	cr_assert_geq(gt_nsent, 8);
	cr_assert_leq(gt_nsent, 20);
	cr_assert_not_null(bt_bf());
	bt_wait(200);
	cr_assert_null(bt_bf());
	cr_assert_eq(bt_refused(&gt_gw->promote_failures, "silent"), 1);
	bt_down();
}

/* ---- demotion ---- */

Test(demote, a_stream_at_rest_leaves_at_once_and_the_numbers_are_translated)
{
	struct flow *f;
	uint32_t id;

	bt_up(BT_RULE);
	bt_carrying();
	f = gt_flow_1();
	/* L7 made the request 10 bytes longer */
	bt_side(FLOW_SERVER)->q.acked = 14;
	bt_bytes[0] = 14;
	bt_leave();
	cr_assert(bt_detached);
	cr_assert_eq(f->state, FLOW_ST_TRANSLATED);
	cr_assert_eq(bt_open, 0);
	cr_assert_eq(xlate_delta(flow_xlate(f), FLOW_CLIENT), 10);
	cr_assert_eq(xlate_delta(flow_xlate(f), FLOW_SERVER), 0);
	cr_assert_eq(flow_demotions(f), 1);
	cr_assert_eq(f->bytes[0], 14);
	id = gt_c2s(BT_C + 4, BT_S, SEG_ACK, "more");
	cr_assert(gt_passed(id));
	cr_assert_gt(gt_got(id)->len, 0, "rewritten");
	bt_down();
}

Test(demote, whatever_cannot_be_allocated_it_leaves_or_stays_as_it_was)
{
	unsigned stayed = 0;
	bool refused = true;

	for (refuse_at = 1; refused; refuse_at++) {
		bt_up(BT_RULE);
		bt_carrying();
		bt_detached = false;
		refuse_from();
		bt_leave();
		refused = refuse_until();
		if (!bt_detached) {
			stayed++;
			cr_assert_eq(gt_flow_1()->state, FLOW_ST_PROMOTED);
			cr_assert_eq(bt_open, 2);
			cr_assert_eq(bt_refused(&gt_gw->demote_failures, "no-memory"), 1, "allocation %u", refuse_at);
			bt_leave(); /* another time it can */
		}
		cr_assert(bt_detached);
		cr_assert_eq(bt_open, 0);
		cr_assert(gt_passed(gt_s2c(BT_S, BT_C + 4, SEG_ACK, "pong")));
		bt_down();
	}
	cr_assert_gt(stayed, 0);
}

Test(demote, what_comes_meanwhile_is_held_and_its_ack_goes_to_the_socket_that_waits_for_it)
{
	struct flow *f;
	uint32_t id;

	bt_up(BT_RULE);
	bt_carrying();
	f = gt_flow_1();
	bt_side(FLOW_SERVER)->q.acked = 0;
	bt_side(FLOW_SERVER)->q.unacked = 4; /* the server has not acknowledged yet */
	bt_leave();
	cr_assert_eq(f->state, FLOW_ST_LEAVING);
	cr_assert_eq(bt_mark(0), MARK_SOCK_QUEUE);
	gt_nsent = 0;
	id = gt_s2c(BT_S, BT_C + 4, SEG_ACK | SEG_PSH, "pong");
	cr_assert(gt_held(id));
	cr_assert_eq(gt_nsent, 1, "the ACK without its data");
	cr_assert_eq(gt_sent[0].ack, BT_C + 4);
	cr_assert_eq(gt_sent[0].data_len, 0);
	cr_assert_eq(f->state, FLOW_ST_LEAVING);
	/* which the kernel takes */
	bt_side(FLOW_SERVER)->q.acked = 4;
	bt_side(FLOW_SERVER)->q.unacked = 0;
	bt_wait(1);
	cr_assert_neq(f->state, FLOW_ST_LEAVING);
	cr_assert_null(flow_border(f));
	cr_assert(gt_passed(id));
	bt_down();
}

Test(demote, what_moves_between_the_last_look_and_repair_sends_it_back_to_wait)
{
	bt_up(BT_RULE);
	bt_carrying();
	bt_moved = 3;
	bt_leave();
	cr_assert_eq(gt_flow_1()->state, FLOW_ST_LEAVING);
	cr_assert(!bt_detached);
	cr_assert_eq(bt_open, 2);
	bt_moved = 0;
	bt_wait(1);
	cr_assert(bt_detached);
	bt_down();
}

Test(demote, a_stream_that_has_left_its_point_carries_on_with_what_was_held)
{
	struct flow *f;
	uint32_t id;

	bt_up(BT_RULE);
	bt_carrying();
	f = gt_flow_1();
	bt_quiet = false;
	bt_leave();
	cr_assert_eq(f->state, FLOW_ST_LEAVING);
	bt_may_leave = false; /* the next request was in its buffers */
	id = gt_s2c(BT_S, BT_C + 4, SEG_ACK, "answer");
	bt_tasks();
	cr_assert_eq(f->state, FLOW_ST_PROMOTED);
	cr_assert(bt_cancelled && bt_local(id));
	cr_assert_eq(bt_refused(&gt_gw->demote_failures, "next-request"), 1);
	cr_assert_eq(bt_mark(0), MARK_SOCK_DIRECT);
	cr_assert_eq(bt_border()->leaving, 0);
	bt_wait(20000);
	cr_assert_eq(bt_asks, 0, "its own rules ask again");
	bt_down();
}

Test(demote, an_end_that_closes_meanwhile_is_the_proxys)
{
	bt_up(BT_RULE);
	bt_carrying();
	bt_quiet = false;
	bt_leave();
	bt_side(FLOW_SERVER)->q.tcp_state = 8; /* CLOSE_WAIT */
	bt_why = "closing";
	bt_wait(1);
	cr_assert_eq(gt_flow_1()->state, FLOW_ST_PROMOTED);
	cr_assert_eq(bt_refused(&gt_gw->demote_failures, "closing"), 1);
	bt_why = NULL;
	bt_down();
}

Test(demote, out_of_order_data_gets_what_was_held_until_the_gap_is_filled)
{
	struct flow *f;
	uint32_t id;

	bt_up(BT_RULE);
	bt_carrying();
	f = gt_flow_1();
	bt_quiet = false;
	bt_leave();
	cr_assert_eq(f->state, FLOW_ST_LEAVING);
	id = gt_c2s(BT_C + 8, BT_S, SEG_ACK, "late");
	cr_assert(gt_held(id));
	bt_side(FLOW_CLIENT)->q.rmem = 2000; /* something is there, and nothing can be read */
	bt_wait(1);
	cr_assert(bt_local(id));
	id = gt_c2s(BT_C + 4, BT_S, SEG_ACK, "miss");
	cr_assert(bt_local(id));
	bt_down();
}

Test(demote, a_receiver_that_takes_nothing_is_not_waited_for)
{
	bt_up(BT_RULE);
	bt_carrying();
	bt_quiet = false;
	bt_leave();
	bt_side(FLOW_CLIENT)->q.unacked = bt_side(FLOW_CLIENT)->q.unsent = 5000;
	bt_wait(900);
	cr_assert_eq(gt_flow_1()->state, FLOW_ST_LEAVING);
	bt_wait(300);
	cr_assert_eq(gt_flow_1()->state, FLOW_ST_PROMOTED);
	cr_assert_eq(bt_refused(&gt_gw->demote_failures, "busy"), 1);
	bt_down();
}

Test(demote, what_carries_no_messages_is_asked_again_after_pauses_that_double)
{
	unsigned asks = 0, last = 0;

	bt_up(BT_RULE " timeout hold 10ms\n");
	bt_carrying();
	bt_opaque = true;
	bt_side(FLOW_CLIENT)->q.unsent = 1 << 20; /* never comes to rest */
	bt_leave();
	for (unsigned ms = 0; ms < 2000; ms++) {
		bt_wait(1);
		if (bt_asks == (int)asks)
			continue;
		asks++;
		if (asks > 1)
			cr_assert_geq(ms - last, 60u << (asks - 2), "pause %u took %u ms", asks, ms - last);
		last = ms;
		bt_with->ops->may_leave((struct stream *)bt_with, bt_with->owner);
	}
	cr_assert_geq(asks, 3);
	cr_assert_leq(asks, 6);
	cr_assert_eq(gt_flow_1()->state, FLOW_ST_PROMOTED);
	bt_down();
}

Test(demote, the_clients_next_request_is_held_from_the_wish_on_but_not_for_long)
{
	uint32_t id;

	bt_up(BT_RULE);
	bt_carrying();
	bt_ask(true);
	id = gt_c2s(BT_C + 4, BT_S, SEG_ACK, "next");
	cr_assert(gt_held(id));
	bt_wait(64);
	cr_assert(bt_local(id), "its stream did not get on");
	gt_s2c(BT_S, BT_C + 4, SEG_ACK, NULL); /* the queue is read until it is dry */
	cr_assert_eq(bt_mark(0), MARK_SOCK_DIRECT);
	cr_assert_eq(gt_flow_1()->state, FLOW_ST_PROMOTED);
	bt_down();
}

Test(demote, what_the_client_says_after_the_server_is_judged_anew_and_the_rest_of_a_message_is_not)
{
	for (int answered = 0; answered < 2; answered++) {
		uint32_t id;

		bt_up(BT_RULE);
		bt_carrying();
		bt_server_last = answered;
		bt_leave();
		cr_assert(bt_detached);
		id = gt_c2s(BT_C + 4, BT_S, SEG_ACK, "more");
		bt_tasks();
		cr_assert_eq(flow_promotions(gt_flow_1()), answered ? 2 : 1);
		cr_assert_eq(gt_flow_1()->state, answered ? FLOW_ST_PROMOTED : gt_flow_1()->state);
		cr_assert_eq(bt_local(id), answered);
		bt_detached = bt_server_last = false;
		bt_down();
	}
}

/* ---- coming to rest ---- */

Test(calm, whoever_is_far_ahead_may_send_no_more_until_the_rest_was_read)
{
	struct flow *f;

	bt_up(BT_RULE);
	bt_carrying();
	f = gt_flow_1();
	bt_side(FLOW_CLIENT)->q.readable = 5 << 20;
	bt_side(FLOW_CLIENT)->q.snd_wnd = bt_side(FLOW_SERVER)->q.snd_wnd = 1 << 20;
	bt_leave();
	cr_assert_eq(f->state, FLOW_ST_PROMOTED);
	cr_assert_lt(bt_side(FLOW_CLIENT)->clamp, 100);
	cr_assert_eq(bt_side(FLOW_SERVER)->clamp, 128 << 10, "the other direction goes on");
	cr_assert_eq(bt_side(FLOW_SERVER)->unsent_max, 64 << 10);
	gt_nsent = 0;
	bt_side(FLOW_CLIENT)->q.readable = 10;
	bt_side(FLOW_SERVER)->q.unsent = 1 << 20; /* but not calm yet */
	bt_wait(1);
	cr_assert_eq(bt_side(FLOW_CLIENT)->clamp, 128 << 10);
	cr_assert_eq(bt_opened, 1, "by more than a larger clamp");
	cr_assert_eq(gt_nsent, 1, "it is made to tell of its window");
	cr_assert_eq(gt_sent[0].ack, BT_S);
	cr_assert_eq(f->state, FLOW_ST_PROMOTED);
	bt_side(FLOW_SERVER)->q.unsent = 0;
	bt_side(FLOW_CLIENT)->q.readable = 0;
	bt_wait(2);
	cr_assert(bt_detached);
	bt_down();
}

Test(calm, nothing_is_held_while_a_segment_is_missing)
{
	struct flow *f;

	bt_up(BT_RULE);
	bt_carrying();
	f = gt_flow_1();
	bt_side(FLOW_SERVER)->q.unsent = 1 << 20;
	bt_leave();
	cr_assert(bt_local(gt_c2s(BT_C + 8, BT_S, SEG_ACK, "late")), "by the queue, to the socket");
	bt_side(FLOW_SERVER)->q.unsent = 0;
	bt_side(FLOW_CLIENT)->q.readable = 1; /* whatever the socket can say */
	bt_wait(5);
	cr_assert_eq(f->state, FLOW_ST_PROMOTED);
	gt_c2s(BT_C + 4, BT_S, SEG_ACK, "miss");
	bt_side(FLOW_CLIENT)->q.received = 12;
	bt_side(FLOW_CLIENT)->q.readable = 0;
	bt_wait(10);
	cr_assert(bt_detached);
	bt_down();
}

/* ---- many ---- */

static void bt_many(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint16_t port = (uint16_t)(20000 + i);

		gt_nv = 0;
		gt_in(&(struct pkt){ .port = port,
				     .seq = GT_ISN,
				     .flags = SEG_SYN,
				     .win = 60000,
				     PKT_OPT(PKT_MSS("\x05\xb4")) },
		      PKTQ_HOOK_FORWARD);
		gt_in(&(struct pkt){ .port = port,
				     .reverse = true,
				     .seq = GT_SISN,
				     .ack = BT_C,
				     .flags = SEG_SYN | SEG_ACK,
				     .win = 60000,
				     PKT_OPT(PKT_MSS("\x05\xb4")) },
		      PKTQ_HOOK_PREROUTING);
		gt_in(&(struct pkt){ .port = port, .seq = BT_C, .ack = BT_S, .flags = SEG_ACK, .win = 60000 },
		      PKTQ_HOOK_PREROUTING);
		gt_in(&(struct pkt){ .port = port,
				     .seq = BT_C,
				     .ack = BT_S,
				     .flags = SEG_ACK,
				     .win = 60000,
				     .data = "ping",
				     .data_len = 4 },
		      PKTQ_HOOK_PREROUTING);
		bt_of(BT_FD + 2 * (int)i)->q.received = 4;
		bt_of(BT_FD + 2 * (int)i + 1)->q.acked = 4;
		bt_ask(false);
		bt_with->ops->may_leave((struct stream *)bt_with, bt_with->owner);
		bt_tasks();
	}
}

Test(many, not_more_than_256_leave_at_once_and_each_has_its_turn)
{
	bt_up(BT_RULE);
	bt_quiet = false;
	bt_many(300);
	cr_assert_eq(gt_l3->flows.by_state[FLOW_ST_LEAVING], 256);
	cr_assert_eq(gt_l3->flows.by_state[FLOW_ST_PROMOTED], 44);
	bt_quiet = true;
	bt_wait(200);
	cr_assert_eq(gt_l3->flows.by_state[FLOW_ST_LEAVING] + gt_l3->flows.by_state[FLOW_ST_PROMOTED], 0);
	cr_assert_eq(gt_gw->demotions, 300);
	cr_assert_eq(bt_border()->leaving, 0);
	bt_down();
}

Test(many, what_a_waiting_flow_costs_does_not_grow_with_the_others_packets)
{
	unsigned before;

	bt_up(BT_RULE);
	bt_quiet = false;
	bt_many(100);
	before = bt_looks;
	for (unsigned i = 0; i < 50; i++) {
		gt_nv = 0;
		gt_in(&(struct pkt){ .port = 20000,
				     .reverse = true,
				     .seq = BT_S,
				     .ack = BT_C + 4,
				     .flags = SEG_ACK,
				     .win = 60000 },
		      PKTQ_HOOK_PREROUTING);
	}
	cr_assert_eq(bt_looks - before, 100, "one look, at two sockets, for each packet of its own");
	bt_down();
}

Test(many, by_the_clock_they_are_looked_at_less_and_less)
{
	unsigned before;

	bt_up(BT_RULE);
	bt_carrying();
	bt_quiet = false;
	bt_side(FLOW_SERVER)->q.unacked = 4;
	bt_leave();
	before = bt_looks;
	bt_wait(127); /* after 1, 3, 7, 15, 31, 63, 127 ms */
	cr_assert_eq((bt_looks - before) / 2, 7);
	before = bt_looks;
	bt_wait(640);
	cr_assert_eq((bt_looks - before) / 2, 10);
	bt_down();
}

Test(many, a_silent_side_is_probed_at_doubling_distances_unless_the_queue_is_behind)
{
	bt_up(BT_RULE);
	bt_carrying();
	bt_quiet = false;
	bt_side(FLOW_SERVER)->q.unacked = 4;
	bt_leave();
	gt_nsent = 0;
	bt_queue_busy = true;
	bt_wait(300);
	cr_assert_eq(gt_nsent, 0, "the answer may stand in the queue");
	bt_queue_busy = false;
	bt_wait(64);
	cr_assert_eq(gt_nsent, 1);
	cr_assert_eq(gt_sent[0].seq, BT_C + 4 - 1);
	bt_wait(2000);
	cr_assert_geq(gt_nsent, 4);
	cr_assert_leq(gt_nsent, 8);
	bt_down();
}

/* ---- ends ---- */

Test(ends, a_connection_killed_while_it_leaves_gives_everything_back)
{
	struct flow *f;
	uint32_t id;

	bt_up(BT_RULE);
	bt_carrying();
	f = gt_flow_1();
	bt_quiet = false;
	bt_leave();
	id = gt_s2c(BT_S, BT_C + 4, SEG_ACK, "answer");
	cr_assert(gt_held(id));
	gt_l3->border->kill(f);
	pktq_flush(gt_gw->q);
	cr_assert_eq(f->state, FLOW_ST_CLOSING);
	cr_assert(gt_got(id));
	cr_assert_eq(bt_border()->leaving, 0);
	cr_assert_eq(bt_open, 0);
	bt_down();
}

Test(ends, bytes_of_a_promoted_connection_are_counted_as_they_are_sent_on)
{
	uint64_t n[2];

	bt_up(BT_RULE);
	bt_carrying();
	bt_bytes[0] = 0;
	l3_flow_bytes(gt_flow_1(), n);
	cr_assert_eq(n[0], 0, "given to the socket, not sent on yet");
	bt_bytes[0] = 14;
	bt_bytes[1] = 1000;
	l3_flow_bytes(gt_flow_1(), n);
	cr_assert(n[0] == 14 && n[1] == 1000);
	gt_l3->border->kill(gt_flow_1());
	l3_flow_bytes(gt_flow_1(), n);
	cr_assert(n[0] == 14 && n[1] == 1000, "and stay so when it ended there");
	bt_down();
}

/* ---- anything at all ---- */

static uint32_t bt_seed;

static uint32_t bt_dice(uint32_t n)
{
	bt_seed = bt_seed * 1664525u + 1013904223u;
	return (bt_seed >> 8) % n;
}

/* A segment near what its flow is at, mostly in order. */
static void bt_random_packet(unsigned port, uint32_t at[2])
{
	static const uint8_t flags[] = { SEG_ACK, SEG_ACK,           SEG_ACK, SEG_ACK | SEG_PSH,
					 SEG_ACK, SEG_FIN | SEG_ACK, SEG_RST, SEG_RST | SEG_ACK };
	int d = (int)bt_dice(2);
	unsigned n = bt_dice(3) ? 1 + bt_dice(40) : 0;
	uint32_t seq = at[d] + (bt_dice(4) ? 0 : bt_dice(60)) - (bt_dice(5) ? 0 : bt_dice(30));
	uint8_t f = flags[bt_dice(300) ? bt_dice(5) : bt_dice(ARRAY_SIZE(flags))];

	gt_in(&(struct pkt){ .port = (uint16_t)port,
			     .reverse = d == FLOW_SERVER,
			     .seq = seq,
			     .ack = at[!d] - (bt_dice(3) ? 0 : bt_dice(20)),
			     .flags = f,
			     .win = (uint16_t)bt_dice(65536),
			     .data_len = n },
	      bt_dice(20) ? PKTQ_HOOK_PREROUTING : PKTQ_HOOK_FORWARD);
	if (seq == at[d])
		at[d] += n;
}

static void bt_random_sockets(void)
{
	for (int i = 0; i < bt_nsock; i++) {
		struct repair_queues *q = &bt_sock[i].q;

		if (!bt_sock[i].open || bt_dice(2))
			continue;
		q->readable = bt_dice(6) ? 0 : (int)bt_dice(1 << 20);
		q->unsent = bt_dice(6) ? 0 : (int)bt_dice(1 << 20);
		q->unacked = q->unsent + (bt_dice(4) ? 0 : 7);
		q->rmem = bt_dice(8) ? 0 : 4096;
		q->received += bt_dice(20);
		q->acked += bt_dice(20);
		q->snd_wnd = bt_dice(4) ? 60000 : 0;
		q->tcp_state = bt_dice(500) ? 1 : 8;
	}
	bt_may_leave = bt_dice(10);
	bt_quiet = bt_dice(4);
	bt_opaque = bt_dice(2);
	bt_why = bt_dice(60) ? NULL : "closing";
	bt_moved = bt_dice(5) ? 0 : 1;
	bt_fail_at = bt_dice(30) ? 0 : 1 + (int)bt_dice(2);
	bt_fail_errno = EPERM;
	bt_stream_errno = bt_dice(40) ? 0 : EBUSY;
	bt_server_last = bt_dice(2);
}

static void bt_random_wish(void)
{
	struct border_flow *bf;
	unsigned n = bt_dice(4);

	list_for_each (bf, &bt_border()->all, node) {
		const struct promoted *p = (const struct promoted *)bf->s;

		if (!p || n--)
			continue;
		switch (bt_dice(25)) {
		case 0: __wrap_stream_kill(bf->s); break;
		case 1: gt_l3->border->kill(bf->f); break;
		case 2: p->ops->asked(bf->s, p->owner, bt_dice(2)); break;
		default: p->ops->may_leave(bf->s, p->owner); break;
		}
		return;
	}
}

Test(chaos, whatever_happens_each_packet_gets_one_verdict_and_no_socket_is_left)
{
	for (unsigned seed = 1; seed <= 150; seed++) {
		uint32_t at[6][2];

		bt_seed = seed;
		bt_nsock = bt_nstreams = 0;
		bt_up(" timeout hold 200ms\n timeout close 300ms\n tcp-request content promote fe_in\n");
		for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
			at[i][0] = at[i][1] = 0;
		for (unsigned step = 0; step < 600 && bt_nsock < BT_FDS - 4; step++) {
			unsigned i = bt_dice(ARRAY_SIZE(at)), port = 30000 + i;

			if (!at[i][0] || !bt_dice(100)) {
				at[i][0] = GT_ISN + 100000 * step;
				at[i][1] = GT_SISN + 7000 * step;
				gt_in(&(struct pkt){ .port = (uint16_t)port,
						     .seq = at[i][0]++,
						     .flags = SEG_SYN,
						     .win = 60000,
						     PKT_OPT(PKT_MSS("\x05\xb4")) },
				      PKTQ_HOOK_FORWARD);
				gt_in(&(struct pkt){ .port = (uint16_t)port,
						     .reverse = true,
						     .seq = at[i][1]++,
						     .ack = at[i][0],
						     .flags = SEG_SYN | SEG_ACK,
						     .win = 60000,
						     PKT_OPT(PKT_MSS("\x05\xb4")) },
				      PKTQ_HOOK_PREROUTING);
				gt_in(&(struct pkt){ .port = (uint16_t)port,
						     .seq = at[i][0],
						     .ack = at[i][1],
						     .flags = SEG_ACK,
						     .win = 60000 },
				      PKTQ_HOOK_PREROUTING);
			} else if (bt_dice(3)) {
				bt_random_packet(port, at[i]);
			} else if (bt_dice(2)) {
				bt_random_sockets();
			} else if (bt_dice(2)) {
				bt_random_wish();
			} else {
				gt_later(bt_dice(60));
				bt_wait(1 + bt_dice(20));
			}
			if (!bt_dice(3))
				bt_tasks();
			cr_assert_leq(bt_border()->leaving, gt_l3->flows.count);
		}
		bt_stream_errno = bt_fail_at = 0;
		bt_down();
		for (unsigned id = 1; id <= gt_id; id++)
			cr_assert_eq(gt_times[id], 1, "seed %u: packet %u has %u verdicts", seed, id,
				     gt_times[id]);
	}
}
