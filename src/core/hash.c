/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hash.c - SipHash-1-3 and a hash table that doubles a little at a time
 *
 * SipHash: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input
 * PRF", 2012; with one compression and three finalisation rounds.
 *
 * While the table doubles, both bucket arrays live. Buckets of the old one
 * below <moved> are empty; a hash whose old bucket is not yet moved lives there,
 * any other in the new array. So a hash is always in exactly one chain, and
 * lookups cost the same during a doubling. Each insertion moves a few buckets:
 * enough to be done long before the next doubling is due.
 */
#include "core/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/bug.h"

#define HTABLE_MOVE 4 /* old buckets moved by one insertion */
#define HTABLE_MAX  (1u << 30)

void hash_key_random(struct hash_key *k)
{
	ssize_t n;

	do {
		n = getrandom(k, sizeof(*k), 0);
	} while (n < 0 && errno == EINTR);
	if (n == sizeof(*k))
		return;
	/* Only a kernel without the call gets here. Unequal between runs is what is left. */
	k->k[0] = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	k->k[1] = (uint64_t)(uintptr_t)k * 0x9e3779b97f4a7c15ull;
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
	v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
}

static inline uint64_t load_le64(const uint8_t *p, size_t n)
{
	uint64_t r = 0;

	while (n--)
		r = r << 8 | p[n];
	return r;
}

uint64_t hash_bytes(const struct hash_key *k, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t left = n;
	uint64_t m, v[4] = {
		k->k[0] ^ 0x736f6d6570736575ull,
		k->k[1] ^ 0x646f72616e646f6dull,
		k->k[0] ^ 0x6c7967656e657261ull,
		k->k[1] ^ 0x7465646279746573ull,
	};

	for (; left >= 8; p += 8, left -= 8) {
		m = load_le64(p, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	m = (uint64_t)n << 56 | load_le64(p, left);
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int htable_init(struct htable *t, uint32_t buckets)
{
	uint32_t n = 8;

	if (buckets > HTABLE_MAX)
		return -EINVAL;
	while (n < buckets)
		n *= 2;
	*t = (struct htable){ .mask = n - 1 };
	t->bucket = calloc(n, sizeof(*t->bucket));
	return t->bucket ? 0 : -ENOMEM;
}

void htable_destroy(struct htable *t)
{
	free(t->bucket);
	free(t->old);
	*t = (struct htable){ 0 };
}

/* The one chain in which nodes of <hash> live now. */
static struct hnode **htable_chain(const struct htable *t, uint32_t hash)
{
	if (t->old && (hash & t->old_mask) >= t->moved)
		return &t->old[hash & t->old_mask];
	return &t->bucket[hash & t->mask];
}

static void htable_double(struct htable *t)
{
	uint32_t n = (t->mask + 1) * 2;
	struct hnode **b;

	if (t->mask + 1 >= HTABLE_MAX)
		return;
	b = calloc(n, sizeof(*b));
	if (!b)
		return; /* longer chains until memory comes back */
	t->old = t->bucket;
	t->old_mask = t->mask;
	t->moved = 0;
	t->bucket = b;
	t->mask = n - 1;
}

static void htable_move(struct htable *t, unsigned count)
{
	while (count-- && t->moved <= t->old_mask) {
		struct hnode *n = t->old[t->moved], *next;

		for (; n; n = next) {
			struct hnode **to = &t->bucket[n->hash & t->mask];

			next = n->next;
			n->next = *to;
			*to = n;
		}
		t->old[t->moved++] = NULL;
	}
	if (t->moved <= t->old_mask)
		return;
	free(t->old);
	t->old = NULL;
}

void htable_insert(struct htable *t, struct hnode *n, uint32_t hash)
{
	struct hnode **chain;

	if (t->old)
		htable_move(t, HTABLE_MOVE);
	else if (t->count > t->mask)
		htable_double(t);
	chain = htable_chain(t, hash);
	n->hash = hash;
	n->next = *chain;
	*chain = n;
	t->count++;
}

void htable_remove(struct htable *t, struct hnode *n)
{
	struct hnode **chain = htable_chain(t, n->hash), *prev = *chain;

	if (prev == n) {
		*chain = n->next;
	} else {
		while (prev && prev->next != n)
			prev = prev->next;
		if (WARN_ON(!prev))
			return;
		prev->next = n->next;
	}
	n->next = NULL;
	t->count--;
}

struct hnode *htable_find(const struct htable *t, uint32_t hash, const struct hnode *prev)
{
	struct hnode *n = prev ? prev->next : *htable_chain(t, hash);

	while (n && n->hash != hash)
		n = n->next;
	return n;
}
