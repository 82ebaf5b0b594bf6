/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_pool.c - pools and arenas
 */
#include <criterion/criterion.h>

#include "core/pool.h"

Test(pool, counts_what_is_used)
{
	struct pools ps;
	struct pool *p;
	void *a, *b;

	pools_init(&ps);
	p = pool_create(&ps, "thing", 40);
	a = pool_alloc(p);
	b = pool_zalloc(p);
	cr_assert_neq(a, b);
	cr_assert_eq(p->used, 2);
	pool_free(p, a);
	pool_free(p, NULL);
	cr_assert_eq(p->used, 1);
	pool_free(p, b);
	cr_assert_eq(p->allocs, 2);
	pools_destroy(&ps);
	cr_assert(list_empty(&ps.all));
}

Test(pool, zalloc_zeroes_a_reused_object)
{
	struct pools ps;
	struct pool *p;
	unsigned char *a;

	pools_init(&ps);
	p = pool_create(&ps, "thing", 64);
	a = pool_alloc(p);
	memset(a, 0xff, 64);
	pool_free(p, a);
	a = pool_zalloc(p);
	for (int i = 0; i < 64; i++)
		cr_assert_eq(a[i], 0);
	pool_free(p, a);
	pools_destroy(&ps);
}

/* Objects of <size>, as many as a burst brings: each has its own bytes, and after it few are kept. */
static void burst(size_t size)
{
	enum { N = 3000 };
	static unsigned char *obj[N];
	struct pools ps;
	struct pool *p;

	pools_init(&ps);
	p = pool_create(&ps, "thing", size);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			obj[i] = pool_alloc(p);
			cr_assert_eq((uintptr_t)obj[i] % 16, 0);
			memset(obj[i], i & 0xff, size);
		}
		cr_assert_eq(p->used, N);
		for (int i = 0; i < N; i++) {
			int k = (i * 7 + round) % N; /* in another order */

			for (size_t b = 0; b < size; b++)
				cr_assert_eq(obj[k][b], k & 0xff);
			pool_free(p, obj[k]);
		}
		cr_assert_eq(p->used, 0);
		cr_assert_lt(p->cached, p->max_cached + MAX(p->per_chunk, 1u), "%zu: %u are kept", size, p->cached);
	}
	pools_destroy(&ps);
}

Test(pool, objects_are_apart_and_a_burst_is_given_back, .timeout = 30)
{
	burst(8);
	burst(40);
	burst(96);
	burst(1392);
	burst(4000);
	burst(16384);
}

Test(pool, places_are_used_again_before_new_ones_are_made)
{
	struct pools ps;
	struct pool *p;
	void *a, *b;

	pools_init(&ps);
	p = pool_create(&ps, "thing", 96);
	a = pool_alloc(p);
	b = pool_alloc(p);
	for (int i = 0; i < 100000; i++) {
		pool_free(p, a);
		a = pool_alloc(p);
	}
	cr_assert_leq(p->used + p->cached, MAX(p->per_chunk, 2u));
	pool_free(p, a);
	pool_free(p, b);
	pools_destroy(&ps);
}

Test(arena, gives_zeroed_aligned_memory_of_any_size)
{
	struct arena a;

	arena_init(&a);
	for (size_t n = 0; n < 20000; n = n * 2 + 1) {
		unsigned char *p = arena_alloc(&a, n);

		cr_assert_not_null(p);
		cr_assert_eq((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < n; i++)
			cr_assert_eq(p[i], 0);
		memset(p, 0xaa, n);
	}
	arena_reset(&a);
	cr_assert_null(a.chunks);
	cr_assert_eq(a.used, 0);
}

Test(arena, a_big_object_does_not_close_the_open_chunk)
{
	struct arena a;
	char *x, *y;

	arena_init(&a);
	x = arena_alloc(&a, 16);
	cr_assert_not_null(arena_alloc(&a, 1 << 20));
	y = arena_alloc(&a, 16);
	cr_assert_eq(y - x, 16);
	arena_reset(&a);
}

Test(arena, strings_are_terminated)
{
	struct arena a;

	arena_init(&a);
	cr_assert_str_eq(arena_strdup(&a, str_n("abcdef", 3)), "abc");
	cr_assert_str_eq(arena_strdup(&a, STR_NULL), "");
	cr_assert_str_eq(arena_printf(&a, "%s-%d", "x", 5), "x-5");
	cr_assert_null(arena_alloc(&a, SIZE_MAX), "an absurd size is refused, not wrapped");
	arena_reset(&a);
}

static char order[8];

static void note(void *arg)
{
	strcat(order, arg);
}

Test(arena, hooks_run_newest_first_and_once)
{
	struct arena a;

	arena_init(&a);
	cr_assert(arena_on_reset(&a, note, "1"));
	cr_assert(arena_on_reset(&a, note, "2"));
	arena_reset(&a);
	arena_reset(&a);
	cr_assert_str_eq(order, "21");
}
