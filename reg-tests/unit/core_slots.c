/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_slots.c - numbered objects: ids, places, chunks
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/slots.h"

struct thing {
	uint64_t id;
	char text[232];
};

static struct pools ps;
static struct slots sl;

static void up(void)
{
	pools_init(&ps);
	cr_assert_eq(slots_init(&sl, &ps, "thing", sizeof(struct thing)), 0);
}

static void down(void)
{
	struct thing *t;
	uint32_t at = 0;

	while ((t = slots_next(&sl, &at)))
		slots_free(&sl, t->id);
	slots_destroy(&sl);
	pools_destroy(&ps);
}

TestSuite(slots, .init = up, .fini = down, .timeout = 30);

static struct thing *thing_new(void)
{
	uint64_t id;
	struct thing *t = slots_zalloc(&sl, &id);

	cr_assert(t);
	cr_assert_eq(t->id, 0, "zeroed");
	cr_assert_eq((uintptr_t)t % 8, 0);
	t->id = id;
	memset(t->text, 'x', sizeof(t->text));
	return t;
}

Test(slots, the_first_ids_are_small_and_find_their_objects)
{
	struct thing *a = thing_new(), *b = thing_new();

	cr_expect_eq(a->id, 1);
	cr_expect_eq(b->id, 2);
	cr_expect_eq(slots_find(&sl, 1), a);
	cr_expect_eq(slots_find(&sl, 2), b);
	cr_expect_null(slots_find(&sl, 0));
	cr_expect_null(slots_find(&sl, 3));
	cr_expect_null(slots_find(&sl, 1 << 20));
	slots_free(&sl, 1);
	cr_expect_null(slots_find(&sl, 1));
	slots_free(&sl, 2);
	cr_expect_eq(sl.pool->used, 0);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

Test(slots, an_id_is_never_given_twice)
{
	enum { ROUNDS = 400000 };
	uint64_t *ids = calloc(ROUNDS, sizeof(*ids)), held[100] = { 0 };
	uint64_t max = 0;
	unsigned i;

	srand(1);
	for (i = 0; i < ROUNDS; i++) {
		uint64_t *h = &held[rand() % ARRAY_SIZE(held)];

		if (*h)
			slots_free(&sl, *h);
		ids[i] = *h = thing_new()->id;
		max = MAX(max, *h);
	}
	for (i = 0; i < ARRAY_SIZE(held); i++)
		if (held[i])
			slots_free(&sl, held[i]);
	/* unique: each place once in a lap */
	qsort(ids, ROUNDS, sizeof(*ids), by_value);
	for (i = 1; i < ROUNDS; i++)
		cr_assert_neq(ids[i], ids[i - 1]);
	/* and far from what JSON's readers do not take: 2^53 would be reached after 2^29 laps */
	cr_expect_leq(max >> SLOTS_PLACE_BITS, ROUNDS / 16384 + 1);
	free(ids);
}

Test(slots, an_old_id_finds_no_younger_object_as_its_own)
{
	uint64_t first = thing_new()->id;
	struct thing *t = NULL;
	unsigned i;

	slots_free(&sl, first);
	for (i = 0; i < 100000 && !t; i++) {
		struct thing *n = thing_new();

		if (slots_find(&sl, first) == n)
			t = n;
		else
			slots_free(&sl, n->id);
	}
	cr_assert(t, "its place is used again some time");
	cr_expect_neq(t->id, first);
	slots_free(&sl, t->id);
}

Test(slots, a_walk_meets_every_object_once_in_the_order_of_places)
{
	struct thing *t, *all[1000];
	unsigned i, n = 0;
	uint32_t at = 0;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = thing_new();
	for (i = 0; i < ARRAY_SIZE(all); i += 3)
		slots_free(&sl, all[i]->id);
	for (i = 0; (t = slots_next(&sl, &at)); n++) {
		while (i % 3 == 0)
			i++;
		cr_assert_eq(t, all[i++]);
	}
	cr_expect_eq(n, 666);
	cr_expect_null(slots_next(&sl, &at));
}

Test(slots, a_walk_goes_on_when_objects_come_and_go)
{
	struct thing *a = thing_new(), *b = thing_new(), *c = thing_new();
	uint32_t at = 0;

	cr_expect_eq(slots_next(&sl, &at), a);
	slots_free(&sl, a->id);
	slots_free(&sl, b->id);
	cr_expect_eq(slots_next(&sl, &at), c);
	b = thing_new();
	cr_expect_eq(slots_next(&sl, &at), b);
	cr_expect_null(slots_next(&sl, &at));
}

Test(slots, what_a_burst_took_is_given_back)
{
	enum { BURST = 200000 };
	uint64_t *ids = calloc(BURST, sizeof(*ids)), last;
	struct thing *t;
	unsigned i;

	for (i = 0; i < BURST; i++)
		ids[i] = thing_new()->id;
	last = ids[BURST - 1];
	for (i = 0; i < BURST; i++)
		slots_free(&sl, ids[i]);
	cr_expect_leq(sl.room, 2 * 16384 + SLOTS_CHUNK);
	cr_expect_eq(sl.room, sl.pool->cached);
	/* places are taken again, with ids above those of before */
	for (i = 0; i < BURST; i++) {
		t = thing_new();
		cr_assert(t->id >> SLOTS_PLACE_BITS || t->id > last);
		ids[i] = t->id;
	}
	cr_expect_lt(ids[BURST - 1] & ((1 << SLOTS_PLACE_BITS) - 1), (last & ((1 << SLOTS_PLACE_BITS) - 1)) + 2 * SLOTS_CHUNK);
	for (i = 0; i < BURST; i++)
		slots_free(&sl, ids[i]);
	free(ids);
}
