/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sizing.c with the records of FACTS §6.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "app/sizing.h"

#define MIB  1048576.0
#define FULL ((struct app_spec){ 512ULL << 20, 1000, 256 })

static const struct sizing_params params = { .margin_pct = 30, .start_timeout_ms = 30000 };

static struct start_rec good(double noncache, double mapped, bool cold)
{
	return (struct start_rec){ .result = START_OK, .noncache = noncache * MIB, .mapped = mapped * MIB, .cold = cold,
				   .file_rss = mapped * MIB, .cpu_us = 50000, .procs = 3, .ready_ms = 60, .spec = FULL };
}

static struct sizing of(const struct start_rec *r, size_t n)
{
	struct sizing s;
	struct app_spec full = FULL;

	sizing_compute(&s, r, n, &full, &params);
	return s;
}

Test(sizing, the_five_measured_applications_get_the_formulas_figure_after_three_starts)
{
	static const struct {
		const char *name;
		double noncache, mapped, warm, cold, formula;
	} facts[] = {
		{ "python", 9.9, 0.7, 9.95, 10.1, 15.0 }, { "nginx", 3.1, 1.3, 3.2, 5.5, 6.8 },
		{ "redis", 2.8, 6.9, 3.2, 6.8, 13.6 },	  { "java", 24.7, 17.9, 24.9, 55.1, 56.4 },
		{ "node", 8.5, 34.0, 8.4, 45.1, 56.3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		struct start_rec r[3] = { good(facts[i].noncache, facts[i].mapped, true),
					  good(facts[i].noncache, 0, false), good(facts[i].noncache, 0, false) };
		struct sizing s = of(r, 3);
		double mib = s.minimum.memory / MIB;

		cr_expect(fabs(mib - facts[i].formula) < 0.3, "%s: %.2f, not %.1f", facts[i].name, mib, facts[i].formula);
		cr_expect(mib >= 1.1 * facts[i].warm, "%s: %.2f is tight when warm", facts[i].name, mib);
		cr_expect(mib >= facts[i].cold, "%s: %.2f is too small when cold", facts[i].name, mib);
		cr_expect_eq(s.basis, SIZING_MEASURED);
	}
}

Test(sizing, without_a_good_start_a_standby_is_as_large_as_its_primary)
{
	struct start_rec bad = { .result = START_TIMEOUT, .spec = FULL };
	struct app_spec full = FULL;
	struct sizing s = of(NULL, 0);

	cr_expect(!memcmp(&s.minimum, &full, sizeof(full)));
	cr_expect_eq(s.basis, SIZING_DEFAULT);
	s = of(&bad, 1);
	cr_expect(!memcmp(&s.minimum, &full, sizeof(full)));
	cr_expect_eq(s.basis, SIZING_DEFAULT);
}

Test(sizing, few_samples_make_it_more_careful)
{
	struct start_rec r[3] = { good(10, 1, true), good(10, 1, true), good(10, 1, true) };
	uint64_t one = of(r, 1).minimum.memory, two = of(r, 2).minimum.memory, three = of(r, 3).minimum.memory;

	cr_expect_gt(one, two);
	cr_expect_gt(two, three);
	cr_expect_not_null(strstr(of(r, 1).why, "only 1 start seen"));
	cr_expect_null(strstr(of(r, 3).why, "only"));
}

Test(sizing, files_that_were_never_seen_cold_count_as_all_their_mapped_pages)
{
	struct start_rec r[3] = { good(10, 0, false), good(10, 0, false), good(10, 0, false) };

	r[1].file_rss = 6 * MIB;
	cr_expect(fabs(of(r, 3).minimum.memory / MIB - (1.3 * 16 + 1)) < 0.1);
	r[2].cold = true;
	r[2].mapped = 2 * MIB;
	cr_expect(fabs(of(r, 3).minimum.memory / MIB - (1.3 * 12 + 1)) < 0.1, "a cold start knows better");
}

Test(sizing, it_is_never_above_the_spec_nor_below_the_floors)
{
	struct start_rec r[3] = { good(600, 0, true), good(600, 0, true), good(600, 0, true) };
	struct sizing s = of(r, 3);

	cr_expect_eq(s.minimum.memory, 512ULL << 20);
	for (int i = 0; i < 3; i++) {
		r[i] = good(0.1, 0, true);
		r[i].cpu_us = 10;
		r[i].procs = 1;
	}
	s = of(r, 3);
	cr_expect_eq(s.minimum.memory, SIZING_MEMORY_FLOOR);
	cr_expect_eq(s.minimum.cpu_milli, SIZING_CPU_FLOOR);
	cr_expect_eq(s.minimum.pids, SIZING_PIDS_FLOOR);
}

Test(sizing, a_floor_above_the_spec_is_the_spec)
{
	struct app_spec tiny = { 1 << 20, 20, 4 };
	struct start_rec r = good(0.1, 0, true);
	struct sizing s;

	sizing_compute(&s, &r, 1, &tiny, &params);
	cr_expect(!memcmp(&s.minimum, &tiny, sizeof(tiny)));
}

Test(sizing, what_the_primary_is_not_limited_in_its_standby_is_not_either)
{
	struct start_rec r[3] = { good(10, 1, true), good(10, 1, true), good(10, 1, true) };
	struct app_spec only_memory = { .memory = 64 << 20 };
	struct sizing s;

	sizing_compute(&s, r, 3, &only_memory, &params);
	cr_expect_gt(s.minimum.memory, 0);
	cr_expect_eq(s.minimum.cpu_milli, 0);
	cr_expect_eq(s.minimum.pids, 0);
}

Test(sizing, what_the_host_could_not_measure_stays_at_the_spec)
{
	struct start_rec r[3] = { good(0, 0, false), good(0, 0, false), good(0, 0, false) };

	cr_expect_eq(of(r, 3).minimum.memory, 512ULL << 20);
	cr_expect_lt(of(r, 3).minimum.cpu_milli, 1000);
}

Test(sizing, the_quota_lets_it_be_ready_in_five_times_its_time)
{
	struct start_rec r[3] = { good(10, 1, true), good(10, 1, true), good(10, 1, true) };

	for (int i = 0; i < 3; i++) {
		r[i].cpu_us = 1000000; /* java: one second of work, ready in 400 ms */
		r[i].ready_ms = 400;
	}
	cr_expect_eq(of(r, 3).minimum.cpu_milli, 650); /* 1.3 s in 2 s */
}

static struct start_rec failed(const struct sizing *s, enum start_result why)
{
	return (struct start_rec){ .result = why, .standby = true, .spec = s->minimum, .ready_ms = 30000 };
}

Test(sizing, an_oom_kill_raises_memory_by_half_until_it_fits)
{
	struct start_rec r[8] = { good(10, 1, true), good(10, 1, true), good(10, 1, true) };
	struct sizing s = of(r, 3), t;
	uint64_t first = s.minimum.memory;

	r[3] = failed(&s, START_OOM);
	t = of(r, 4);
	cr_expect_eq(t.basis, SIZING_RAISED);
	cr_expect_geq(t.minimum.memory, first * 3 / 2);
	cr_expect_eq(t.minimum.cpu_milli, s.minimum.cpu_milli, "only what it lacked");
	cr_expect_not_null(strstr(t.why, "1 bad start of standbys, raised"));
	r[4] = failed(&t, START_OOM);
	cr_expect_geq(of(r, 5).minimum.memory, first * 9 / 4);
	for (int i = 5; i < 8; i++) {
		s = of(r, i);
		r[i] = failed(&s, START_OOM);
	}
	cr_expect_leq(of(r, 8).minimum.memory, 512ULL << 20);
}

Test(sizing, a_standby_that_got_ready_but_thrashed_gets_more_memory)
{
	struct start_rec r[4] = { good(10, 1, true), good(10, 1, true), good(10, 1, true) };
	struct sizing s = of(r, 3);

	r[3] = good(10, 1, true);
	r[3].standby = true;
	r[3].spec = s.minimum;
	cr_expect_eq(of(r, 4).basis, SIZING_MEASURED);
	r[3].mem_hits = 10000;
	cr_expect_eq(of(r, 4).basis, SIZING_RAISED);
	cr_expect_geq(of(r, 4).minimum.memory, s.minimum.memory * 3 / 2);
}

Test(sizing, being_late_and_throttled_raises_cpu_only)
{
	struct start_rec r[4] = { good(10, 1, true), good(10, 1, true), good(10, 1, true) };
	struct sizing s = of(r, 3), t;

	r[3] = failed(&s, START_TIMEOUT);
	r[3].throttled_us = 20000000;
	t = of(r, 4);
	cr_expect_geq(t.minimum.cpu_milli, s.minimum.cpu_milli * 3 / 2);
	cr_expect_eq(t.minimum.memory, s.minimum.memory);
}

Test(sizing, a_failure_without_a_visible_cause_raises_everything)
{
	struct start_rec r[4] = { good(10, 1, true), good(10, 1, true), good(10, 1, true) };
	struct sizing s = of(r, 3), t;

	r[3] = failed(&s, START_EXIT);
	t = of(r, 4);
	cr_expect_gt(t.minimum.memory, s.minimum.memory);
	cr_expect_gt(t.minimum.cpu_milli, s.minimum.cpu_milli);
	cr_expect_gt(t.minimum.pids, s.minimum.pids);
}

Test(sizing, a_failure_at_full_size_or_of_a_primary_says_nothing_about_the_minimum)
{
	struct start_rec r[4] = { good(10, 1, true), good(10, 1, true), good(10, 1, true) };
	struct sizing s = of(r, 3), t;

	r[3] = failed(&s, START_EXIT);
	r[3].spec = FULL;
	t = of(r, 4);
	cr_expect_eq(t.minimum.memory, s.minimum.memory);
	r[3].spec = s.minimum;
	r[3].standby = false;
	t = of(r, 4);
	cr_expect_eq(t.minimum.memory, s.minimum.memory);
	cr_expect_eq(t.basis, SIZING_MEASURED);
}
