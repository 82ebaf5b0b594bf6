/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The flow table, its timers and listings; and answers counted off against requests.
 */
#include "l3/answers.h"
#include "l3_gateway.h"

static struct addr ft_addr(unsigned i)
{
	struct addr a = { .family = AF_INET, .port = (uint16_t)(1024 + i % 60000) };

	a.ip.v4.s_addr = htonl(0x0a000000 + i / 60000);
	return a;
}

static const struct addr ft_server = { .family = AF_INET, .port = 80 };

static struct flow *ft_new(unsigned i)
{
	struct addr a = ft_addr(i);

	return flow_new(&gt_l3->flows, gt_gw, &a, &ft_server);
}

static void ft_up(void)
{
	gt_up("");
}

TestSuite(l3_flow, .init = ft_up, .fini = gt_down, .timeout = 20);

Test(l3_flow, a_flow_is_found_from_both_sides)
{
	struct addr a = ft_addr(1);
	struct flow *f = ft_new(1);
	int side = -1;

	cr_assert_eq(flow_lookup(&gt_l3->flows, &a, &ft_server, &side), f);
	cr_expect_eq(side, FLOW_CLIENT);
	cr_assert_eq(flow_lookup(&gt_l3->flows, &ft_server, &a, &side), f);
	cr_expect_eq(side, FLOW_SERVER);
}

Test(l3_flow, a_hundred_thousand_flows_are_found_and_removed)
{
	unsigned i;

	for (i = 0; i < 100000; i++)
		cr_assert(ft_new(i));
	for (i = 0; i < 100000; i++) {
		struct addr a = ft_addr(i);
		int side;
		struct flow *f = flow_lookup(&gt_l3->flows, &a, &ft_server, &side);

		cr_assert(f);
		cr_assert_eq(flow_by_id(&gt_l3->flows, f->id), f);
		flow_remove(f);
		cr_assert_null(flow_lookup(&gt_l3->flows, &a, &ft_server, &side));
	}
	flow_reap(&gt_l3->flows);
	cr_expect_eq(gt_l3->flows.count, 0);
	cr_expect_eq(gt_gw->refs, 1);
}

Test(l3_flow, the_global_limit_holds)
{
	gt_l3->flows.max = 1;
	cr_assert(ft_new(1));
	cr_expect_null(ft_new(2));
}

Test(l3_flow, a_listing_goes_on_when_the_flow_it_stands_at_is_removed)
{
	struct flow *f[4];
	uint32_t at = 0;
	unsigned i;

	for (i = 0; i < 4; i++)
		f[i] = ft_new(i);
	cr_expect_eq(flow_next(&gt_l3->flows, &at), f[0]);
	flow_remove(f[1]);
	flow_remove(f[2]);
	flow_reap(&gt_l3->flows);
	cr_expect_eq(flow_next(&gt_l3->flows, &at), f[3]);
	cr_expect_null(flow_next(&gt_l3->flows, &at));
}

Test(l3_flow, timers_expire_in_the_order_of_the_last_touch)
{
	struct flow *a = ft_new(1), *b;

	gt_w.now_ms += 10;
	b = ft_new(2);
	gt_w.now_ms += 10;
	flow_touch(a);
	gt_later(gt_gw->conf->timeout_ms[FLOW_TMR_SYN] - 10);
	cr_assert_eq(gt_l3->flows.count, 1);
	cr_expect_eq(gt_flow_1(), a);
	cr_expect_neq(gt_flow_1(), b);
}

Test(l3_flow, counts_follow_the_states)
{
	struct flow *f = ft_new(1);

	cr_expect_eq(gt_gw->by_state[FLOW_ST_OPENING], 1);
	flow_set_state(f, FLOW_ST_WATCHED);
	cr_expect_eq(gt_gw->by_state[FLOW_ST_OPENING], 0);
	cr_expect_eq(gt_l3->flows.by_state[FLOW_ST_WATCHED], 1);
	flow_remove(f);
	cr_expect_eq(gt_gw->by_state[FLOW_ST_WATCHED], 0);
}

/* ---- answers ---- */

static struct answers an;

static void an_feed(const char *s)
{
	answers_feed(&an, s, strlen(s));
}

static void an_done(void)
{
	answers_reset(&an);
}

TestSuite(l3_answers, .fini = an_done);

Test(l3_answers, a_response_with_a_length_is_counted_off)
{
	answers_asked(&an, HTTP_METH_GET);
	cr_expect_not(answers_settled(&an));
	an_feed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
	cr_expect_not(answers_settled(&an));
	an_feed("c");
	cr_expect(answers_settled(&an));
}

Test(l3_answers, heads_may_come_byte_by_byte)
{
	const char *s = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

	answers_asked(&an, HTTP_METH_GET);
	for (; *s; s++) {
		cr_expect_not(answers_settled(&an));
		answers_feed(&an, s, 1);
	}
	cr_expect(answers_settled(&an));
}

Test(l3_answers, head_requests_have_no_bodies_and_interim_responses_answer_nothing)
{
	answers_asked(&an, HTTP_METH_HEAD);
	answers_asked(&an, HTTP_METH_GET);
	an_feed("HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
	cr_expect_eq(an.owed, 1);
	an_feed("HTTP/1.1 204 No Content\r\n\r\n");
	cr_expect(answers_settled(&an));
}

Test(l3_answers, several_responses_in_one_segment_are_all_counted)
{
	for (int i = 0; i < 3; i++)
		answers_asked(&an, HTTP_METH_GET);
	an_feed("HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	cr_expect(answers_settled(&an));
}

Test(l3_answers, unseen_body_bytes_are_skipped_and_unseen_heads_make_it_unknown)
{
	answers_asked(&an, HTTP_METH_GET);
	an_feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
	answers_skip(&an, 10);
	cr_expect(answers_settled(&an));
	answers_asked(&an, HTTP_METH_GET);
	answers_skip(&an, 1);
	cr_expect(an.unknown);
}

Test(l3_answers, a_response_nobody_asked_for_or_nonsense_makes_it_unknown)
{
	an_feed("HTTP/1.1 200 OK\r\n\r\n");
	cr_expect(an.unknown);
	answers_reset(&an);
	answers_asked(&an, HTTP_METH_GET);
	an_feed("SSH-2.0-x\r\n\r\n");
	cr_expect(an.unknown);
}

Test(l3_answers, an_endless_head_makes_it_unknown)
{
	char x[1000];

	memset(x, 'a', sizeof(x));
	answers_asked(&an, HTTP_METH_GET);
	an_feed("HTTP/1.1 200 OK\r\nX: ");
	for (int i = 0; i < 100; i++)
		answers_feed(&an, x, sizeof(x));
	cr_expect(an.unknown);
}

Test(l3_answers, more_requests_than_can_be_counted_make_it_unknown)
{
	for (int i = 0; i <= ANSWERS_MAX; i++)
		answers_asked(&an, HTTP_METH_GET);
	cr_expect(an.unknown);
}
