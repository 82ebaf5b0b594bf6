/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pool.h - typed pools of equal objects, and arenas that are freed as a whole
 *
 * Pools hang off the worker and are used by its loop only: no locks. Objects stand
 * side by side in chunks, without an allocator's overhead; chunks that are empty go back to the
 * system but for a few. `show pools` counts. Under AddressSanitizer, and for objects
 * of pages, a pool is malloc() and free().
 *
 * An arena is for what lives and dies together: one transaction's strings, or
 * one configuration epoch. It is not tied to a worker.
 */
#ifndef STANDIN_CORE_POOL_H
#define STANDIN_CORE_POOL_H

#include "core/list.h"
#include "core/str.h"

struct pool {
	const char *name;
	size_t size;               /* of an object */
	unsigned per_chunk;        /* objects; 0: malloc'd one by one */
	struct list open;          /* struct pool_chunk with room; the first is in use */
	void *free_list;           /* malloc'd ones that wait for reuse */
	unsigned used;
	unsigned cached;           /* room for so many more without asking the system */
	unsigned max_cached;       /* what is beyond that is given back */
	uint64_t allocs, fails;
	struct list node;          /* in struct pools */
};

struct pools {
	struct list all;
};

void pools_init(struct pools *ps);
void pools_destroy(struct pools *ps); /* all objects must have been freed */

/* <name> must outlive the pool. Lives until pools_destroy(). */
struct pool *pool_create(struct pools *ps, const char *name, size_t size);
void *pool_alloc(struct pool *p) MUST_CHECK; /* uninitialised; NULL on no memory */
void *pool_zalloc(struct pool *p) MUST_CHECK;
void pool_free(struct pool *p, void *obj); /* NULL is fine */

struct arena_chunk;
struct arena_hook;
struct arena {
	struct arena_chunk *chunks;
	struct arena_hook *hooks; /* newest first; in the arena itself */
	size_t used; /* bytes handed out, for limits and `show info` */
	void *owner; /* what it is part of, for those who are given only the arena; NULL: nothing they know (epoch.h) */
};

void arena_init(struct arena *a);
void arena_reset(struct arena *a); /* frees everything; usable again */
/* Calls fn(arg) when the arena is reset, before its memory goes, newest first: for what lives in an arena's object
 * but not in its memory (a compiled regular expression, a descriptor). false on no memory: nothing is kept. */
bool arena_on_reset(struct arena *a, void (*fn)(void *arg), void *arg) MUST_CHECK;
/* Aligned to 16, zeroed. NULL on no memory. */
void *arena_alloc(struct arena *a, size_t n) MUST_CHECK;
/* Both add a terminating NUL that is not counted. NULL / STR_NULL on no memory. */
char *arena_strdup(struct arena *a, struct str s) MUST_CHECK;
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

#endif
