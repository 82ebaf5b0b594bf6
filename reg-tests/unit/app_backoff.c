/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * backoff.c on a clock that the test turns.
 */
#include <criterion/criterion.h>

#include "../../src/app/app_priv.h"

static const struct backoff_policy policy = { .min_ms = 100, .max_ms = 1000, .limit = 5, .period_ms = 60000 };

Test(backoff, nothing_failed_nothing_waits)
{
	struct backoff b = { 0 };
	bool over;

	cr_assert_eq(backoff_wait(&b, &policy, 12345, &over), 0);
	cr_assert(!over);
}

Test(backoff, the_first_failure_after_serving_is_answered_at_once)
{
	struct backoff b = { 0 };
	bool over;

	backoff_fail(&b, &policy, 1000, 5000);
	cr_assert_eq(backoff_wait(&b, &policy, 1000, &over), 0);
	backoff_fail(&b, &policy, 2000, 500);
	cr_assert_eq(backoff_wait(&b, &policy, 2000, &over), 100);
	backoff_fail(&b, &policy, 3000, 500);
	cr_assert_eq(backoff_wait(&b, &policy, 3000, &over), 200);
}

Test(backoff, what_never_got_ready_waits_twice_as_long_each_time_up_to_the_maximum)
{
	static const unsigned waits[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
	struct backoff_policy p = policy;
	struct backoff b = { 0 };
	bool over;

	p.limit = 0;
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		uint64_t now = 10000 * (i + 1);

		backoff_fail(&b, &p, now, 0);
		cr_expect_eq(backoff_wait(&b, &p, now, &over), waits[i], "failure %zu", i + 1);
		cr_expect_eq(backoff_wait(&b, &p, now + waits[i] - 1, &over), 1);
		cr_expect_eq(backoff_wait(&b, &p, now + waits[i], &over), 0);
	}
}

Test(backoff, serving_for_long_ends_a_row_of_failures)
{
	struct backoff b = { 0 };
	bool over;

	for (int i = 0; i < 3; i++)
		backoff_fail(&b, &policy, 1000, 0);
	backoff_fail(&b, &policy, 20000, BACKOFF_STABLE_MS);
	cr_assert_eq(backoff_wait(&b, &policy, 20000, &over), 0);
}

Test(backoff, the_limit_lasts_until_the_period_has_room_again)
{
	struct backoff b = { 0 };
	bool over;

	for (int i = 0; i < 5; i++)
		backoff_fail(&b, &policy, 1000 + i * 10000, 0);
	cr_assert_eq(backoff_wait(&b, &policy, 45000, &over), 16000); /* the first was at 1 s: until 61 s */
	cr_assert(over);
	backoff_wait(&b, &policy, 61000, &over);
	cr_assert(!over);
	backoff_fail(&b, &policy, 62000, 0);
	backoff_wait(&b, &policy, 62000, &over);
	cr_assert(over, "five within a minute again");
}

Test(backoff, the_window_is_right_after_it_wrapped)
{
	struct backoff b = { 0 };
	bool over;

	for (int i = 0; i < 3 * BACKOFF_WINDOW + 7; i++)
		backoff_fail(&b, &policy, 20000ULL * i, 20000);
	backoff_wait(&b, &policy, 20000ULL * (3 * BACKOFF_WINDOW + 7), &over);
	cr_assert(!over, "three a minute are below the limit");
}
