/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l3_record.c - what a connection keeps allocated, and what becomes of it where something cannot be
 */
#include "l3_gateway.h"
#include "refuse.h"

#define C1 (GT_ISN + 1)
#define S1 (GT_SISN + 1)

static uint64_t lr_count(const struct gateway_reasons *rs, const char *name)
{
	for (unsigned i = 0; i < GATEWAY_REASONS && rs->r[i].name; i++)
		if (strcmp(rs->r[i].name, name) == 0)
			return rs->r[i].count;
	return 0;
}

/* ---- what is kept ---- */

#define LR_RULES " tcp-request content promote fe_in if { path /up }\n tcp-request content watch\n"
#define LR_GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define LR_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

TestSuite(l3_record, .timeout = 60);

static unsigned lr_used(void)
{
	return gt_l3->flows.exts->used + gt_l3->flows.turns->used;
}

Test(l3_record, between_requests_a_connection_is_its_record_and_no_more)
{
	struct flow *f;

	gt_up(LR_RULES);
	gt_handshake();
	f = gt_flow_1();
	cr_expect_null(f->ext);
	gt_c2s(C1, S1, SEG_ACK, LR_GET("/"));
	cr_expect(flow_turn(f), "a request is under way");
	gt_s2c(S1, C1 + strlen(LR_GET("/")), SEG_ACK, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
	cr_expect(flow_turn(f), "two bytes of its answer are missing");
	gt_s2c(S1 + strlen(LR_OK), C1 + strlen(LR_GET("/")), SEG_ACK, "ok");
	cr_expect_null(f->ext);
	cr_expect_eq(lr_used(), 0);
	cr_expect_eq(f->rest & 3, FRAMER_REST_IDLE);
	/* and the next is judged as ever */
	gt_c2s(C1 + strlen(LR_GET("/")), S1 + strlen(LR_OK) + 2, SEG_ACK, LR_GET("/up"));
	cr_expect_str_eq(gt_promoted, "fe_in");
	gt_down();
}

Test(l3_record, a_connection_that_is_not_http_keeps_nothing_between_its_turns)
{
	struct flow *f;
	unsigned i;

	gt_up(LR_RULES);
	gt_handshake();
	f = gt_flow_1();
	for (i = 0; i < 3; i++) {
		cr_expect(gt_passed(gt_c2s(C1 + 2 * i, S1 + i, SEG_ACK, "\x16")));
		cr_expect_null(f->ext);
		cr_expect(gt_passed(gt_c2s(C1 + 2 * i + 1, S1 + i, SEG_ACK, "\x03")), "of the same turn");
		cr_expect(gt_passed(gt_s2c(S1 + i, C1 + 2 * i + 2, SEG_ACK, "x")));
		cr_expect_null(f->ext);
	}
	cr_expect_eq(f->rest, FRAMER_REST_OPAQUE | FRAMER_REST_SPOKE);
	gt_down();
}

Test(l3_record, what_the_server_says_between_requests_is_remembered)
{
	struct flow *f;
	uint32_t c = C1 + strlen(LR_GET("/")), s = S1 + strlen(LR_OK);

	gt_up(LR_RULES);
	gt_handshake();
	f = gt_flow_1();
	gt_c2s(C1, S1, SEG_ACK, LR_GET("/"));
	gt_s2c(S1, c, SEG_ACK, LR_OK);
	cr_expect_not(f->answers_lost);
	gt_s2c(s, c, SEG_ACK, "HTTP/1.1 408 Request Timeout\r\n\r\n");
	cr_expect(f->answers_lost);
	cr_expect_null(f->ext);
	gt_down();
}

/* ---- what cannot be had ---- */

/* A connection of two requests; every packet of it must get on its way. True: memory was refused. */
static bool lr_requests(const char *rules)
{
	uint32_t ids[16], c = C1, s = S1;
	unsigned n = 0, i;
	bool refused;

	gt_up(rules);
	gt_refuse = "test"; /* what framing loses would be promoted */
	refuse_from();
	ids[n++] = gt_syn(GT_ISN);
	ids[n++] = gt_in(&(struct pkt){ .reverse = true, .seq = GT_SISN, .ack = C1, .flags = SEG_SYN | SEG_ACK, .win = 60000,
					PKT_OPT(PKT_MSS("\x05\xb4")) }, PKTQ_HOOK_PREROUTING);
	ids[n++] = gt_c2s(C1, S1, SEG_ACK, NULL);
	for (i = 0; i < 2; i++) {
		ids[n++] = gt_c2s(c, s, SEG_ACK, "GET / HTTP/1.1\r\n");
		ids[n++] = gt_c2s(c + 16, s, SEG_ACK, "Host: a\r\n\r\n");
		c += 16 + 11;
		ids[n++] = gt_s2c(s, c, SEG_ACK, "HTTP/1.1 200 OK\r\nContent-");
		ids[n++] = gt_s2c(s + 25, c, SEG_ACK, "Length: 2\r\n\r\nok");
		s += 25 + 15;
	}
	refused = refuse_until();
	for (i = 0; i < n; i++)
		cr_assert(gt_passed(ids[i]), "allocation %u: packet %u of %u", refuse_at, i, n);
	return refused;
}

static bool lr_counted(const char *name)
{
	return lr_count(&gt_gw->unsupported, name) || lr_count(&gt_gw->promote_failures, name) || gt_gw->overflow;
}

Test(l3_record, a_connection_goes_on_whatever_cannot_be_allocated)
{
	unsigned silent = 0;

	for (refuse_at = 1; lr_requests(LR_RULES); refuse_at++) {
		uint32_t c = C1 + 2 * 27, s = S1 + 2 * 40;

		/* and the next request is judged again, unless framing was lost for good */
		silent += !lr_counted("no-memory");
		if (gt_flow_1() && gt_flow_1()->policy == FLOW_POL_OPEN) {
			gt_c2s(c, s, SEG_ACK, LR_GET("/up"));
			cr_expect_str_eq(gt_promoted, "fe_in", "allocation %u", refuse_at);
		}
		gt_down();
	}
	cr_expect_gt(refuse_at, 6, "record, extension, turn, hold, held packets");
	/* a packet that cannot be held, and a head of an answer that cannot be collected, end a turn in ways of their own */
	cr_expect_leq(silent, 8, "%u of %u were not counted", silent, refuse_at);
	gt_down();
}

Test(l3_record, a_mark_that_cannot_be_kept_is_counted_and_the_connection_goes_on)
{
	for (refuse_at = 1; lr_requests(" tcp-request connection set-mark 0x10\n tcp-request connection watch\n"); refuse_at++) {
		cr_expect(lr_counted("no-memory"), "allocation %u", refuse_at);
		gt_down();
	}
	cr_expect_gt(refuse_at, 2);
	gt_down();
}

Test(l3_record, a_promotion_decided_at_the_syn_that_cannot_be_noted_is_refused)
{
	unsigned counted = 0;

	gt_refuse = NULL;
	for (refuse_at = 1; refuse_at < 10; refuse_at++) {
		gt_up(" tcp-request connection promote fe_in\n");
			refuse_from();
		cr_assert(gt_passed(gt_syn(GT_ISN)), "allocation %u", refuse_at);
		refuse_until();
		if (lr_count(&gt_gw->promote_failures, "no-memory")) {
			counted++;
			cr_expect_eq(gt_flow_1()->state, FLOW_ST_OFFLOADED);
			cr_expect_str_eq(flow_refused(gt_flow_1()), "no-memory");
		}
		gt_down();
	}
	cr_expect_geq(counted, 2, "the frontend's name, the extension");
}

/* ---- many ---- */

#ifdef __SANITIZE_ADDRESS__
#define LR_BYTES 1024 /* it has memory of its own for each of ours */
#else
#define LR_BYTES 256
#endif

static struct addr lr_addr(unsigned i)
{
	struct addr a = { .family = AF_INET, .port = (uint16_t)(1024 + i % 60000) };

	a.ip.v4.s_addr = htonl(0x0a000000 + i / 60000);
	return a;
}

static const struct addr lr_server = { .family = AF_INET, .port = 80 };

static size_t lr_rss(void)
{
	unsigned long all, rss = 0;
	FILE *fp = fopen("/proc/self/statm", "r");

	cr_assert(fp && fscanf(fp, "%lu %lu", &all, &rss) == 2);
	fclose(fp);
	return rss * (size_t)sysconf(_SC_PAGESIZE);
}

Test(l3_record, a_million_connections_are_kept_found_and_timed_out_in_256_bytes_each)
{
	enum { MILLION = 1000000 };
	unsigned i, ticks = 0;
	size_t before;
	int side;

	gt_up("");
	before = lr_rss();
	for (i = 0; i < MILLION; i++) {
		struct addr a = lr_addr(i);
		struct flow *f = flow_new(&gt_l3->flows, gt_gw, &a, &lr_server);

		cr_assert(f);
		if (i % 2) {
			f->trk.f |= SEQTRK_C_EST;
			flow_set_state(f, FLOW_ST_WATCHED);
		}
	}
	cr_expect_leq((lr_rss() - before) / MILLION, LR_BYTES);
	for (i = 0; i < MILLION; i++) {
		struct addr a = lr_addr(i);
		struct flow *f = flow_lookup(&gt_l3->flows, &lr_server, &a, &side);

		cr_assert(f && side == FLOW_SERVER);
		cr_assert_eq(flow_by_id(&gt_l3->flows, f->id), f);
	}
	gt_w.now_ms += gt_gw->conf->timeout_ms[FLOW_TMR_SYN];
	for (; gt_l3->flows.count > MILLION / 2; ticks++)
		gt_later(1);
	cr_expect_leq(ticks, MILLION / 2 / 500 + 1, "a tick takes a bounded number");
	cr_expect_eq(gt_gw->by_state[FLOW_ST_WATCHED], MILLION / 2);
	gt_w.now_ms += gt_gw->conf->timeout_ms[FLOW_TMR_IDLE];
	while (gt_l3->flows.count)
		gt_later(1);
	cr_expect_eq(gt_l3->flows.flows.pool->used, 0);
	cr_expect_lt(lr_rss(), before + 32 * LR_BYTES * 4096, "and their memory was given back");
	gt_down();
}
