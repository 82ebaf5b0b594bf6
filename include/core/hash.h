/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hash.h - keyed hashing and an intrusive hash table
 *
 * hash_bytes() is SipHash-1-3 under a key drawn at start, so that remote peers
 * cannot choose collisions (flow table, stick tables). The table doubles by
 * moving a few buckets per insertion: no insertion ever pays for all.
 */
#ifndef STANDIN_CORE_HASH_H
#define STANDIN_CORE_HASH_H

#include "core/compiler.h"

struct hash_key {
	uint64_t k[2];
};

void hash_key_random(struct hash_key *k);
uint64_t hash_bytes(const struct hash_key *k, const void *p, size_t n);

/* Packed: 12 bytes, so that where millions are embedded the owner's next word fills what would be a hole. */
struct hnode {
	struct hnode *next;
	uint32_t hash;
} __attribute__((packed, aligned(4)));

struct htable {
	struct hnode **bucket, **old; /* owns; old is NULL unless doubling */
	uint32_t mask, old_mask, moved;
	uint32_t count;
};

int htable_init(struct htable *t, uint32_t buckets /* rounded up to a power of 2 */);
void htable_destroy(struct htable *t); /* frees buckets, not elements */
void htable_insert(struct htable *t, struct hnode *n, uint32_t hash);
void htable_remove(struct htable *t, struct hnode *n);
/* First node with <hash> after <prev> (NULL: the first). Callers compare keys. */
struct hnode *htable_find(const struct htable *t, uint32_t hash, const struct hnode *prev);

#endif
