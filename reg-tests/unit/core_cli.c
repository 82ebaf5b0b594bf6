/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_cli.c - the registry of commands; answers; a fake clock
 */
#include <criterion/criterion.h>

#include "core/cli.h"
#include "core/clock.h"
#include "core/worker.h"

static struct cli_kw kws[] = {
	{ .words = { "unit", "show", NULL } },
	{ .words = { "unit", NULL } },
	{ .words = { "unit", "add", "x", NULL } },
	{ .words = { NULL } },
};

INITCALL unit_register(void)
{
	cli_register(kws);
}

Test(cli, commands_are_listed_by_their_words)
{
	const struct cli_kw *want[] = { &kws[1], &kws[2], &kws[0] };
	size_t n = 0;

	for (const struct cli_kw *kw = cli_first(); kw; kw = kw->next)
		if (strcmp(kw->words[0], "unit") == 0)
			cr_assert_eq(kw, want[n++]);
	cr_assert_eq(n, 3);
}

static int woken;

static void wake(struct cli_ctx *ctx)
{
	woken++;
}

Test(cli, answers_are_lines_and_end_the_command)
{
	struct buf out = { 0 };
	struct cli_ctx ctx = { .out = &out };

	cr_assert_eq(cli_msg(&ctx, "hello %d", 1), CLI_DONE);
	cr_assert_not(ctx.failed);
	cr_assert_eq(cli_err(&ctx, "no"), CLI_DONE);
	cr_assert(ctx.failed);
	cr_assert(str_eq(buf_str(&out), STR("hello 1\nno\n")));
	cli_wake(&ctx);
	ctx.wake = wake;
	cli_wake(&ctx);
	cr_assert_eq(woken, 1);
	buf_free(&out);
}

Test(cli, info_lines_have_haproxys_forms)
{
	struct buf out = { 0 };
	struct info_sink sink = { .out = &out, .form = INFO_TEXT };

	info_uint(&sink, "Uptime", 5);
	info_str(&sink, "Name", NULL);
	cr_assert(str_eq(buf_str(&out), STR("Uptime: 5\nName: \n")));
	buf_reset(&out);
	sink = (struct info_sink){ .out = &out, .form = INFO_TYPED };
	info_uint(&sink, "Uptime", 5);
	info_str(&sink, "Name", "x");
	cr_assert(str_eq(buf_str(&out), STR("0.Uptime.1:MGP:u64:5\n1.Name.1:POS:str:x\n")));
	buf_free(&out);
}

uint64_t clock_us(void)
{
	return 42000;
}

Test(clock, a_test_may_have_its_own)
{
	struct worker w;

	cr_assert_eq(clock_us(), 42000);
	cr_assert_eq(worker_init(&w), 0);
	cr_assert_eq(clock_ms(&w), 42);
	cr_assert_gt(clock_wall_ms(), 1500000000000);
	worker_destroy(&w);
}
