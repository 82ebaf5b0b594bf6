/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * slots.h - many equal objects, each found by a number that is never given twice
 *
 * A pool (core/pool.h) whose objects stand side by side in chunks, without an allocator's
 * overhead, and can be walked in the order of their places. An object's id is its
 * place and how often that place was used before, so it finds the object in
 * constant time without an index, and an old id never finds a younger object.
 */
#ifndef STANDIN_CORE_SLOTS_H
#define STANDIN_CORE_SLOTS_H

#include "core/pool.h"

#define SLOTS_PLACE_BITS 24 /* of an id; so many objects, less one, at a time */
#define SLOTS_CHUNK      256 /* objects */

struct slots_chunk;

struct slots_entry {
	struct slots_chunk *chunk; /* owns; NULL: given back */
	uint64_t lap;              /* of the next chunk here: ids go on where the last one's ended */
	uint32_t next_vacant;      /* given back: another such entry, plus one; 0: none */
};

struct slots {
	struct pool *pool;         /* keeps the counts that `show pools` prints; nothing is allocated from it */
	struct slots_entry *entry; /* owns */
	uint32_t nb, cap;          /* entries in use, allocated */
	uint32_t vacant;           /* the first entry given back, plus one; 0: none */
	uint32_t room;             /* places without an object, in all chunks */
	struct list open;          /* struct slots_chunk with room; the first is in use */
};

/* <name> must outlive it, <ps> too. 0 or -ENOMEM. */
int slots_init(struct slots *s, struct pools *ps, const char *name, size_t size);
/* Its objects have been freed. */
void slots_destroy(struct slots *s);

/* A zeroed object, aligned to 8, and its id, above 0. NULL on no memory, or when all places are taken. */
void *slots_zalloc(struct slots *s, uint64_t *id) MUST_CHECK;
void slots_free(struct slots *s, uint64_t id);

/* The object at the place of <id>, NULL: none. It has <id> only if it was given <id>: objects know their ids, callers compare. */
void *slots_find(const struct slots *s, uint64_t id);
/* The first object at place *<at> or behind it, which moves behind the object; NULL: there is none. Begin with 0. Objects
 * that come or go meanwhile do no harm; one that comes may or may not be met. */
void *slots_next(const struct slots *s, uint32_t *at);

#endif
