/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the commands of l3 answer.
 */
#include "l3_gateway.h"

#include "core/cli.h"

#define C1 (GT_ISN + 1)
#define S1 (GT_SISN + 1)
#define REQ(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define RULES " tcp-request inspect-delay 2s\n tcp-request content promote fe_in if { path_beg /inspect }\n" \
	      " tcp-request content reject if { path /bad }\n"

static struct cli_ctx ctx;
static struct buf out;
static char *words[16], line[256];
static unsigned woken;

static void wake(struct cli_ctx *c)
{
	woken++;
}

static void down(void)
{
	gt_down();
	buf_free(&out);
}

TestSuite(l3_show, .timeout = 20, .fini = down);

/* Begins a command; what it said so far is in text(). */
static enum cli_ret begin(const char *cmd)
{
	const struct cli_kw *kw;
	char *w;

	ctx = (struct cli_ctx){ .w = &gt_w, .out = &out, .args = words, .wake = wake };
	buf_reset(&out);
	snprintf(line, sizeof(line), "%s", cmd);
	for (w = strtok(line, " "); w; w = strtok(NULL, " "))
		words[ctx.argc++] = w;
	if (strcmp(words[ctx.argc - 1], "json") == 0) {
		ctx.json = true;
		ctx.argc--;
	}
	words[ctx.argc] = NULL;
	json_init(&ctx.j, &out);
	for (kw = cli_first(); kw; kw = kw->next)
		if (kw->words[0] && strcmp(kw->words[0], words[0]) == 0 && strcmp(kw->words[1], words[1]) == 0)
			break;
	cr_assert(kw, "%s", cmd);
	ctx.kw = kw;
	return kw->parse(&ctx);
}

static const char *text(void)
{
	buf_put_grow(&out, "", 1);
	out.data--;
	return buf_head(&out);
}

static const char *run(const char *cmd)
{
	enum cli_ret ret = begin(cmd);

	while (ret == CLI_MORE)
		ret = ctx.kw->io(&ctx);
	if (ctx.kw->release)
		ctx.kw->release(&ctx);
	return text();
}

static unsigned lines(const char *cmd)
{
	unsigned n = 0;

	for (const char *p = run(cmd); (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

Test(l3_show, flows_are_chosen_by_state_address_frontend_and_age)
{
	gt_up(RULES);
	gt_handshake();
	gt_w.now_ms += 5000;
	gt_in(&(struct pkt){ .v6 = true, .seq = GT_ISN, .flags = SEG_SYN, .win = 60000 }, PKTQ_HOOK_FORWARD);
	cr_assert(flow_ext(gt_flow_1()));
	gt_flow_1()->ext->frontend = flow_name(&gt_l3->flows, "fe_in");
	gt_flow_1()->ext->promotions = 1;

	cr_expect_eq(lines("show flow"), 2);
	cr_expect_eq(lines("show flow state watched"), 1);
	cr_expect_eq(lines("show flow state opening"), 1);
	cr_expect_eq(lines("show flow state held"), 0);
	cr_expect_eq(lines("show flow dst :80"), 2);
	cr_expect_eq(lines("show flow dst :81"), 0);
	cr_expect_eq(lines("show flow src :80"), 0);
	cr_expect_eq(lines("show flow addr :40000 addr 2001:db8::/32"), 1);
	cr_expect_eq(lines("show flow src [2001:db8::1]:40000"), 1);
	cr_expect_eq(lines("show flow src 0.0.0.0/0"), 1);
	cr_expect_eq(lines("show flow older 4s"), 1);
	cr_expect_eq(lines("show flow younger 4s"), 1);
	cr_expect_eq(lines("show flow older 4s younger 4s"), 0);
	cr_expect_eq(lines("show flow frontend fe_in"), 1);
	cr_expect_eq(lines("show flow frontend -"), 1);
	cr_expect_eq(lines("show flow gateway gw state watched frontend fe_in"), 1);
	cr_expect_eq(lines("show flow gateway other"), 0);
	cr_expect_eq(lines("show flow 1"), 1);
}

Test(l3_show, a_filter_that_makes_no_sense_is_told)
{
	gt_up(RULES);
	cr_expect(strstr(run("show flow state asleep"), "'state' expects a state (opening"), "%s", text());
	cr_expect(strstr(run("show flow sate watched"), "unknown filter 'sate'"), "%s", text());
	cr_expect(strstr(run("show flow src 10.0.0.0/33"), "not '10.0.0.0/33'"), "%s", text());
	cr_expect(strstr(run("show flow src 10.0.0.1:0"), "not '10.0.0.1:0'"), "%s", text());
	cr_expect(strstr(run("show flow state watched older"), "'older' expects a time"), "%s", text());
}

Test(l3_show, a_traced_flow_tells_each_step_until_it_is_gone)
{
	gt_up(RULES);
	gt_handshake();
	cr_assert_eq(begin("trace flow 1"), CLI_WAIT);
	cr_expect_eq(woken, 1);
	gt_c2s(C1, S1, SEG_ACK | SEG_PSH, "GET /ba");
	gt_s2c(S1, C1, SEG_ACK, NULL);
	gt_c2s(C1 + 7, S1, SEG_ACK, "d HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_expect_eq(ctx.kw->io(&ctx), CLI_WAIT);
	cr_expect(strstr(text(), " is watched\n"), "%s", text());
	cr_expect(strstr(text(), " watched -> held\n"));
	cr_expect(strstr(text(), " c2s PA seq 1001:1008 ack 5001 win 60000: held\n"));
	cr_expect(strstr(text(), " s2c A seq 5001:5001 ack 1001 win 60000: forwarded\n"));
	cr_expect(strstr(text(), " decided: reject\n"));
	cr_expect(strstr(text(), " c2s A seq 1008:1031 ack 5001 win 60000: dropped\n"));
	cr_expect(strstr(text(), " -> closing\n"));
	cr_expect_not(strstr(text(), "gone"));
	gt_later(10001);
	cr_expect_eq(ctx.kw->io(&ctx), CLI_DONE);
	cr_expect(strstr(text(), " gone: rejected\n"));
	ctx.kw->release(&ctx);
}

Test(l3_show, a_listener_that_leaves_costs_nothing_any_more)
{
	gt_up(RULES);
	gt_handshake();
	cr_assert_eq(begin("trace flow 1"), CLI_WAIT);
	cr_expect(gt_flow_1()->traced);
	ctx.kw->release(&ctx);
	cr_expect_not(gt_flow_1()->traced);
	gt_c2s(C1, S1, SEG_ACK, REQ("/plain"));
}

Test(l3_show, a_listener_that_does_not_read_loses_lines_and_is_told)
{
	gt_up(" default-action watch\n");
	gt_handshake();
	begin("trace flow 1");
	for (unsigned i = 0; i < 8000; i++) {
		gt_nv = 0;
		gt_s2c(S1, C1, SEG_ACK, NULL);
	}
	ctx.kw->io(&ctx);
	cr_expect_lt(out.data, 300000);
	buf_reset(&out);
	gt_s2c(S1, C1, SEG_ACK, NULL);
	ctx.kw->io(&ctx);
	cr_expect(strstr(text(), "lines lost\n"), "%s", text());
	ctx.kw->release(&ctx);
}

Test(l3_show, the_longest_waits_of_held_packets_are_kept)
{
	gt_up(RULES);
	gt_handshake();
	gt_c2s(C1, S1, SEG_ACK, "GET /pla");
	usleep(3000);
	gt_c2s(C1 + 8, S1, SEG_ACK, "in HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_expect_eq(gt_gw->stall_us.count, 1);
	cr_expect_geq(gt_gw->stall[0].us, 3000);
	cr_expect_geq(gt_flow_1()->held_us, 3000);
	cr_expect(strstr(run("show gateway"), "us inspect flow 1 "), "%s", text());
	for (unsigned us = 1; us < 20; us++)
		gateway_stall(gt_flow_1(), "drain", us * 1000000);
	cr_expect_eq(gt_gw->stall[0].us, 19000000);
	cr_expect_eq(gt_gw->stall[GATEWAY_STALLS - 1].us, 12000000);
	run("show gateway json");
	cr_expect(strstr(text(), "\"stalls\":[{\"us\":19000000,\"flow\":1,\"why\":\"drain\","), "%s", text());
	cr_expect(strstr(text(), "\"pow2\":["));
}

Test(l3_show, the_kernels_counters_of_a_gateways_queues_are_added_up)
{
	struct pktq_kernel k = { 0 };

	gt_up(RULES);
	pktq_kernel_line("    3  12345     9 2 65531     1     1      100  1\n", 4, 7, &k);
	pktq_kernel_line("    4  12345     5 2 65531     7     2      100  1\n", 4, 7, &k);
	pktq_kernel_line("    7  12345     1 2 65531     0     3      100  1\n", 4, 7, &k);
	pktq_kernel_line("    8  12345     1 2 65531     1     1      100  1\n", 4, 7, &k);
	pktq_kernel_line("nonsense\n", 0, 65535, &k);
	cr_expect_eq(k.waiting, 6);
	cr_expect_eq(k.overrun, 12);
}
