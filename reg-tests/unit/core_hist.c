/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_hist.c - histograms
 */
#include <criterion/criterion.h>

#include "core/hist.h"

Test(hist, an_empty_one_answers_zero)
{
	struct hist h = { 0 };

	cr_assert_eq(hist_percentile(&h, 50), 0);
	cr_assert_eq(hist_percentile(&h, 100), 0);
}

Test(hist, small_values_are_exact)
{
	struct hist h = { 0 };

	for (uint64_t v = 0; v < 8; v++)
		hist_add(&h, v);
	cr_assert_eq(hist_percentile(&h, 50), 3);
	cr_assert_eq(hist_percentile(&h, 100), 7);
}

Test(hist, percentiles_are_within_an_eighth)
{
	struct hist h = { 0 };

	for (uint64_t v = 1; v <= 100000; v++)
		hist_add(&h, v);
	for (unsigned pct = 1; pct <= 100; pct++) {
		uint64_t want = pct * 1000, got = hist_percentile(&h, pct);

		cr_assert_geq(got, want);
		cr_assert_leq(got, want + want / 8);
	}
	cr_assert_eq(hist_percentile(&h, 100), 100000, "never above the largest seen");
}

Test(hist, takes_any_value)
{
	struct hist h = { 0 };

	for (int shift = 0; shift < 64; shift++)
		hist_add(&h, 1ull << shift);
	hist_add(&h, UINT64_MAX);
	cr_assert_eq(h.count, 65);
	cr_assert_eq(hist_percentile(&h, 100), UINT64_MAX);
}

Test(hist, counted_by_powers_of_two_none_is_missing)
{
	static const uint64_t v[] = { 0, 1, 2, 3, 4, 7, 8, 15, 16, 1000, 1024, 1ULL << 32, 1ULL << 33, UINT64_MAX };
	struct hist h = { 0 };
	uint64_t sum = 0;

	for (unsigned i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		hist_add(&h, v[i]);
	cr_expect_eq(hist_pow2(&h, 0), 1);
	cr_expect_eq(hist_pow2(&h, 1), 1);
	cr_expect_eq(hist_pow2(&h, 2), 2);
	cr_expect_eq(hist_pow2(&h, 3), 2);
	cr_expect_eq(hist_pow2(&h, 4), 2);
	cr_expect_eq(hist_pow2(&h, 10), 1, "1000");
	cr_expect_eq(hist_pow2(&h, 11), 1, "1024");
	for (unsigned bits = 0; bits < HIST_POW2; bits++)
		sum += hist_pow2(&h, bits);
	cr_expect_eq(sum, sizeof(v) / sizeof(v[0]));
}
