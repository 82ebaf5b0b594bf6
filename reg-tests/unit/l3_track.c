/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What stick tables count of a gateway's connections: segment in, counter out.
 */
#include "l3_gateway.h"

#include <linux/netfilter/nf_conntrack_tcp.h>

#include "l3/ct.h"
#include "policy/sticktable.h"

#define C1 (GT_ISN + 1)
#define S1 (GT_SISN + 1)
#define TABLES                                                                                                  \
	" stick-table type ip size 10 expire 1m store conn_cnt,conn_cur,sess_cnt,http_req_cnt,bytes_in_cnt,bytes_out_cnt,gpc0,gpt0\n" \
	" tcp-request inspect-delay 2s\n"
#define TRACK " tcp-request connection track-sc0 src\n"
#define PATHS "backend paths\n stick-table type string len 9 size 10 expire 1m store conn_cnt,conn_cur,http_req_cnt\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void up(const char *lines)
{
	struct diag d;

	gt_up(lines);
	diag_init(&d);
	cr_assert_eq(stktables_init(&gt_w), 0);
	cr_assert_eq(stk_cfg_module.prepare(&gt_w, gt_ep, NULL, &d), 0);
	stk_cfg_module.commit(&gt_w, gt_ep, NULL);
	diag_free(&d);
}

static void down(void)
{
	l3_worker_destroy(&gt_w);
	stktables_destroy(&gt_w);
	epoch_put(gt_ep);
	worker_destroy(&gt_w);
}

TestSuite(l3_track, .timeout = 20, .fini = down);

/* Of an entry of table <t>; -1: there is none. */
static int64_t of(const char *t, const char *key, const char *data)
{
	struct stk_table *table = stk_table_find(&gt_w, t);
	struct stk_entry *e;
	struct stk_key k;
	enum stk_data d;
	unsigned idx;

	cr_assert(table && stk_key_from_text(table, str_c(key), &k));
	e = stk_lookup(table, &k);
	if (!e)
		return -1;
	if (strcmp(data, "use") == 0)
		return e->refs;
	cr_assert(stk_data_find(str_c(data), &d, &idx));
	return (int64_t)stk_read(table, e, d, idx);
}

static int64_t client(const char *data)
{
	char ip[ADDR_STRLEN];

	return of("gw", addr_print_ip(&gt_flow_1()->side[FLOW_CLIENT], ip), data);
}

Test(l3_track, a_connection_is_counted_from_its_syn_to_its_reset)
{
	up(TABLES TRACK);
	gt_handshake();
	gt_syn(GT_ISN); /* repeated */
	cr_expect_eq(client("conn_cnt"), 1);
	cr_expect_eq(client("conn_cur"), 1);
	cr_expect_eq(client("sess_cnt"), 1);
	gt_c2s(C1, S1, SEG_RST | SEG_ACK, NULL);
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_CLOSING);
	cr_expect_eq(client("conn_cur"), 0);
	cr_expect_eq(client("use"), 0);
}

Test(l3_track, what_never_answers_is_counted_until_its_time_is_over)
{
	struct addr src;
	char ip[ADDR_STRLEN];

	up(TABLES TRACK);
	gt_syn(GT_ISN);
	src = gt_flow_1()->side[FLOW_CLIENT];
	cr_expect_eq(client("conn_cur"), 1);
	gt_later(75001);
	cr_expect_null(gt_flow_1());
	cr_expect_eq(of("gw", addr_print_ip(&src, ip), "conn_cur"), 0);
	cr_expect_eq(of("gw", ip, "conn_cnt"), 1);
}

Test(l3_track, a_refused_connection_is_no_session_and_counted_no_longer)
{
	struct addr src;
	char ip[ADDR_STRLEN];
	uint32_t id;

	up(TABLES TRACK " tcp-request connection reject if { sc0_conn_cnt gt 1 }\n");
	gt_handshake();
	src = gt_flow_1()->side[FLOW_CLIENT];
	gt_c2s(C1, S1, SEG_RST | SEG_ACK, NULL);
	gt_later(10001);
	id = gt_syn(GT_ISN + 100000);
	cr_expect(gt_dropped(id));
	cr_expect_null(gt_flow_1());
	cr_expect_eq(of("gw", addr_print_ip(&src, ip), "conn_cnt"), 2);
	cr_expect_eq(of("gw", ip, "sess_cnt"), 1);
	cr_expect_eq(of("gw", ip, "conn_cur"), 0);
	cr_expect_eq(of("gw", ip, "use"), 0);
}

Test(l3_track, a_dropped_connection_keeps_its_record_and_counts_no_longer)
{
	up(TABLES TRACK " tcp-request connection drop\n");
	cr_expect(gt_dropped(gt_syn(GT_ISN)));
	cr_assert(gt_flow_1());
	cr_expect_eq(client("conn_cnt"), 1);
	cr_expect_eq(client("sess_cnt"), 0);
	cr_expect_eq(client("conn_cur"), 0);
}

Test(l3_track, with_dry_run_it_counts_as_if_it_was_let_pass)
{
	up(TABLES TRACK " option dry-run\n tcp-request connection drop\n");
	gt_handshake();
	cr_expect_eq(client("sess_cnt"), 1);
	cr_expect_eq(client("conn_cur"), 1);
}

Test(l3_track, a_turn_that_waits_for_bytes_is_counted_once)
{
	const char *req = "GET /plain HTTP/1.1\r\nHost: h\r\n\r\n";
	uint32_t seq = C1, ids[3];

	up(TABLES TRACK " tcp-request content sc-inc-gpc0(0)\n tcp-request content promote fe_in if { path_beg /inspect }\n");
	gt_handshake();
	ids[0] = gt_c2s(seq, S1, SEG_ACK, "GET /pl");
	ids[1] = gt_c2s(seq + 7, S1, SEG_ACK, "ain HTTP/1.1\r\nHo");
	cr_expect(gt_held(ids[0]) && gt_held(ids[1]));
	ids[2] = gt_c2s(seq + 23, S1, SEG_ACK, "st: h\r\n\r\n");
	cr_assert(gt_passed(ids[0]) && gt_passed(ids[1]) && gt_passed(ids[2]));
	cr_expect_eq(client("http_req_cnt"), 1);
	cr_expect_eq(client("gpc0"), 1);
	gt_s2c(S1, C1 + 32, SEG_ACK, ANSWER);
	seq = C1 + (uint32_t)strlen(req);
	cr_assert(gt_passed(gt_c2s(seq, S1 + (uint32_t)strlen(ANSWER), SEG_ACK, req)));
	cr_expect_eq(client("http_req_cnt"), 2);
	cr_expect_eq(client("gpc0"), 2);
	cr_expect_eq(client("conn_cnt"), 1);
}

Test(l3_track, a_key_of_a_request_is_tracked_until_the_next_one)
{
	const char *a = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", *b = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
	uint32_t n = (uint32_t)strlen(a), m = (uint32_t)strlen(ANSWER);

	up(TABLES TRACK " tcp-request content track-sc1 path table paths\n tcp-request content set-tos 4 if { sc1_http_req_cnt gt 1 }\n"
	   PATHS);
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, a);
	cr_expect_eq(of("paths", "/a", "conn_cur"), 1);
	cr_expect_eq(of("paths", "/a", "http_req_cnt"), 1);
	gt_s2c(S1, C1 + n, SEG_ACK, ANSWER);
	gt_c2s(C1 + n, S1 + m, SEG_ACK, b);
	cr_expect_eq(of("paths", "/a", "conn_cur"), 0);
	cr_expect_eq(of("paths", "/b", "conn_cur"), 1);
	cr_expect_not(flow_has_tos(gt_flow_1()));
	gt_s2c(S1 + m, C1 + 2 * n, SEG_ACK, ANSWER);
	gt_c2s(C1 + 2 * n, S1 + 2 * m, SEG_ACK, a);
	cr_expect_eq(of("paths", "/a", "http_req_cnt"), 2);
	cr_expect(flow_has_tos(gt_flow_1()), "a rule behind sees what this request made of it");
	cr_expect_eq(client("http_req_cnt"), 3);
	gt_c2s(C1 + 3 * n, S1 + 2 * m, SEG_RST | SEG_ACK, NULL);
	cr_expect_eq(of("paths", "/a", "conn_cur"), 0);
}

Test(l3_track, bytes_are_counted_with_turns_and_at_the_end)
{
	const char *req = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
	uint32_t n = (uint32_t)strlen(req), m = (uint32_t)strlen(ANSWER);

	up(TABLES TRACK " tcp-request content watch\n");
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, req);
	cr_expect_eq(client("bytes_in_cnt"), n);
	gt_s2c(S1, C1 + n, SEG_ACK, ANSWER);
	cr_expect_eq(client("bytes_out_cnt"), 0, "not yet told");
	gt_c2s(C1 + n, S1 + m, SEG_RST | SEG_ACK, NULL);
	cr_expect_eq(client("bytes_in_cnt"), n);
	cr_expect_eq(client("bytes_out_cnt"), m);
}

Test(l3_track, l7_is_told_that_the_promoted_request_is_counted)
{
	up(TABLES TRACK " tcp-request content promote fe_in\n");
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_expect_str_eq(gt_promoted, "fe_in");
	cr_expect_eq(client("http_req_cnt"), 1);
	cr_expect(flow_tracks(gt_flow_1())->req_counted);
}

Test(l3_track, a_refused_promotion_counts_the_next_request_again)
{
	const char *req = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
	uint32_t n = (uint32_t)strlen(req);

	up(TABLES TRACK " tcp-request content promote fe_in\n");
	gt_handshake();
	gt_refuse = "busy";
	cr_assert(gt_passed(gt_c2s(C1, S1, SEG_ACK, req)));
	gt_s2c(S1, C1 + n, SEG_ACK, ANSWER);
	gt_c2s(C1 + n, S1 + (uint32_t)strlen(ANSWER), SEG_ACK, req);
	cr_expect_eq(client("http_req_cnt"), 2);
}

Test(l3_track, what_a_stream_tracked_goes_on_with_the_flow)
{
	struct stk_tracks *tr;
	struct flow *f;

	up(TABLES " tcp-request content track-sc0 src\n tcp-request content watch\n");
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
	f = gt_flow_1();
	cr_assert(f->ext->tracks);
	/* the same comes back: one reference goes */
	tr = stk_tracks_get(f->ext->tracks);
	l3_track_take(f, &tr);
	cr_expect_null(tr);
	cr_expect_eq(f->ext->tracks->refs, 1);
	/* the stream's own */
	tr = f->ext->tracks;
	f->ext->tracks = NULL;
	l3_track_take(f, &tr);
	cr_expect_null(tr);
	cr_expect_eq(f->ext->tracks->bytes[0], f->bytes[0], "what was carried before is not counted again");
	tr = NULL;
	l3_track_take(f, &tr);
	cr_expect(f->ext->tracks);
}

Test(l3_track, an_offloaded_connection_ends_with_the_trackers_event)
{
	struct ct_entry gone = { .tcp_state = TCP_CONNTRACK_TIME_WAIT };
	char ip[ADDR_STRLEN];

	up(TABLES TRACK " tcp-request connection forward\n");
	gt_syn(GT_ISN);
	gone.src = gt_flow_1()->side[FLOW_CLIENT];
	gone.reply_src = gt_flow_1()->side[FLOW_SERVER];
	cr_expect_eq(gt_flow_1()->state, FLOW_ST_OFFLOADED);
	cr_expect_eq(client("conn_cur"), 1);
	cr_expect_eq(client("sess_cnt"), 1);
	gt_w.now_ms += 2000;
	offload_gone(gt_l3, &gone);
	cr_expect_null(gt_flow_1());
	cr_expect_eq(of("gw", addr_print_ip(&gone.src, ip), "conn_cur"), 0);
}

Test(l3_track, rules_that_are_asked_again_for_the_same_bytes_count_them_once)
{
	uint32_t id;

	up(TABLES TRACK " tcp-request content sc-inc-gpc0(0)\n tcp-request content promote fe_in if { req.payload(0,12) -m sub xyz }\n");
	gt_handshake();
	id = gt_c2s(C1, S1, SEG_ACK, "\001\002\003\004");
	gt_c2s(C1 + 4, S1, SEG_ACK, "\001\002\003\004");
	cr_expect(gt_held(id));
	cr_expect_eq(client("gpc0"), 1);
	gt_c2s(C1 + 8, S1, SEG_ACK, "\001\002\003\004");
	cr_expect(gt_passed(id));
	cr_expect_eq(client("gpc0"), 1);
	cr_expect_eq(client("http_req_cnt"), 0);
	gt_s2c(S1, C1 + 12, SEG_ACK, "\001");
	gt_c2s(C1 + 12, S1 + 1, SEG_ACK, "\001\002\003\004");
	cr_expect_eq(client("gpc0"), 2, "another turn");
}

Test(l3_track, what_content_rules_drop_or_reject_counts_no_longer)
{
	up(TABLES TRACK " tcp-request content drop if { path /gone }\n");
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, "GET /gone HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_expect_eq(client("conn_cnt"), 1);
	cr_expect_eq(client("http_req_cnt"), 1);
	cr_expect_eq(client("conn_cur"), 0);
}

Test(l3_track, requests_are_counted_though_no_rule_looks_at_them)
{
	const char *req = "GET /plain HTTP/1.1\r\nHost: h\r\n\r\n";
	uint32_t n = (uint32_t)strlen(req), m = (uint32_t)strlen(ANSWER);

	up(TABLES TRACK " tcp-request content promote fe_in if { sc0_http_req_cnt gt 2 }\n");
	gt_handshake();
	for (uint32_t i = 0; i < 2; i++) {
		gt_c2s(C1 + i * n, S1 + i * m, SEG_ACK, "GET /plain HTT");
		cr_assert(gt_passed(gt_c2s(C1 + i * n + 14, S1 + i * m, SEG_ACK, req + 14)));
		cr_expect_eq(client("http_req_cnt"), i + 1, "a head in two segments is a request, too");
		gt_s2c(S1 + i * m, C1 + (i + 1) * n, SEG_ACK, ANSWER);
	}
	gt_c2s(C1 + 2 * n, S1 + 2 * m, SEG_ACK, "GET /plain HTT");
	cr_expect_str_eq(gt_promoted, "");
	gt_c2s(C1 + 2 * n + 14, S1 + 2 * m, SEG_ACK, req + 14);
	cr_expect_str_eq(gt_promoted, "fe_in", "the third is the one too many");
}

Test(l3_track, requests_are_counted_where_only_connections_have_rules)
{
	const char *req = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

	up(TABLES TRACK " tcp-request connection reject if { sc0_http_req_cnt gt 100 }\n");
	gt_handshake();
	cr_assert(gt_passed(gt_c2s(C1, S1, SEG_ACK, req)));
	cr_expect_eq(client("http_req_cnt"), 1);
}

Test(l3_track, a_table_without_requests_does_not_make_turns)
{
	up(" stick-table type ip size 10 expire 1m store conn_rate(1m)\n" TRACK);
	gt_handshake();
	cr_expect_not(l3_turn_wanted(gt_flow_1()));
	cr_assert(gt_passed(gt_c2s(C1, S1, SEG_ACK, "GET /a HTTP/1.1\r\n")));
}
