/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_hash.c - SipHash-1-3 and the table that doubles a little at a time
 */
#include <criterion/criterion.h>

#include "core/hash.h"

/* From another implementation: CPython 3.11 hashes bytes with SipHash-1-3, key 0 under PYTHONHASHSEED=0. */
Test(hash, agrees_with_another_implementation)
{
	struct hash_key zero = { { 0, 0 } };
	uint8_t seq[63];

	for (unsigned i = 0; i < sizeof(seq); i++)
		seq[i] = i;
	cr_assert_eq(hash_bytes(&zero, "a", 1), 0x407448d2b89b1813);
	cr_assert_eq(hash_bytes(&zero, "abcdefgh", 8), 0x3f7b849c0b8e35ea);
	cr_assert_eq(hash_bytes(&zero, "hello, standin!!", 16), 0x31192dcaf3e3f8ca);
	cr_assert_eq(hash_bytes(&zero, seq, sizeof(seq)), 0x385d3e39e5f37359);
}

Test(hash, depends_on_the_key)
{
	struct hash_key a, b;

	hash_key_random(&a);
	hash_key_random(&b);
	cr_assert_neq(hash_bytes(&a, "x", 1), hash_bytes(&b, "x", 1));
}

struct elem {
	struct hnode node;
	uint32_t key;
};

static struct elem *elem_find(const struct htable *t, uint32_t key, uint32_t hash)
{
	struct hnode *n = NULL;

	while ((n = htable_find(t, hash, n)))
		if (container_of(n, struct elem, node)->key == key)
			return container_of(n, struct elem, node);
	return NULL;
}

static uint32_t elem_hash(uint32_t key)
{
	return key * 2654435761u;
}

#define N 5000

Test(htable, finds_everything_at_every_moment_of_a_doubling)
{
	static struct elem e[N];
	struct htable t;

	cr_assert_eq(htable_init(&t, 8), 0);
	for (uint32_t i = 0; i < N; i++) {
		e[i].key = i;
		htable_insert(&t, &e[i].node, elem_hash(i));
		for (uint32_t k = i > 100 ? i - 100 : 0; k <= i; k++)
			cr_assert_eq(elem_find(&t, k, elem_hash(k)), &e[k]);
		cr_assert_eq(elem_find(&t, i / 2, elem_hash(i / 2)), &e[i / 2]);
	}
	cr_assert_eq(t.count, N);
	cr_assert_geq(t.mask + 1, N / 2);
	htable_destroy(&t);
}

Test(htable, removes_while_doubling)
{
	static struct elem e[N];
	struct htable t;

	htable_init(&t, 8);
	for (uint32_t i = 0; i < N; i++) {
		e[i].key = i;
		htable_insert(&t, &e[i].node, elem_hash(i));
		if (i % 3 == 2)
			htable_remove(&t, &e[i - 1].node);
	}
	for (uint32_t i = 0; i < N; i++)
		cr_assert_eq(elem_find(&t, i, elem_hash(i)), i % 3 == 1 && i + 1 < N ? NULL : &e[i]);
	htable_destroy(&t);
}

Test(htable, equal_hashes_are_told_apart_by_their_keys)
{
	struct elem e[20];
	struct htable t;

	htable_init(&t, 1);
	for (uint32_t i = 0; i < 20; i++) {
		e[i].key = i;
		htable_insert(&t, &e[i].node, 42);
	}
	for (uint32_t i = 0; i < 20; i++)
		cr_assert_eq(elem_find(&t, i, 42), &e[i]);
	cr_assert_null(htable_find(&t, 43, NULL));
	htable_destroy(&t);
}
