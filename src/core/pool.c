/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pool.c - pools of equal objects; arenas
 *
 * A chunk is 64 KB at a multiple of 64 KB, so an object's address tells its chunk. Places are
 * given out from the chunk's own list of free ones, then from what was never used:
 * pages are not touched before they are needed. One chunk is filled before the next, so
 * that after a burst the others run empty; an empty one is unmapped when
 * max_cached places are free without it.
 *
 * Objects so large that a chunk would hold a few are malloc'd, and at most max_cached of
 * them kept on a list threaded through their own first word. Under AddressSanitizer so is
 * everything and nothing is kept, so a use after free is reported where it happens.
 *
 * An arena hands out slices of chunks and never takes one back. Objects larger
 * than a chunk get one of their own, behind the current one, which stays open.
 */
#include "core/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/bug.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif
#ifndef POOL_ASAN
#define POOL_ASAN 0
#endif
#define POOL_CHUNK ((size_t)65536)
#define POOL_ALIGN ((size_t)16)
#define POOL_LARGE (POOL_CHUNK / 16) /* from here on an object is malloc'd */
#define POOL_CACHED_BYTES (64u << 10) /* kept for reuse, a pool of chunks: one of them, about */
#define POOL_CACHED_LARGE (4u << 20)   /* and one of malloc'd objects */
#define POOL_CACHED_MIN 64 /* of those, however large */

struct pool_chunk {
	struct list node; /* in struct pool.open; on no list when full */
	void *free_list;  /* threaded through the objects' first word */
	unsigned fresh;   /* objects from here on were never given out */
	unsigned used;
	char area[];
};
static_assert(offsetof(struct pool_chunk, area) % POOL_ALIGN == 0, "objects are aligned");

void pools_init(struct pools *ps)
{
	list_init(&ps->all);
}

static void *pool_pop(void **list)
{
	void *obj = *list;

	memcpy(list, obj, sizeof(void *));
	return obj;
}

static void pool_push(void **list, void *obj)
{
	memcpy(obj, list, sizeof(void *));
	*list = obj;
}

/* ---- chunks ---- */

static size_t pool_stride(const struct pool *p)
{
	return (p->size + POOL_ALIGN - 1) & ~(POOL_ALIGN - 1);
}

/* Mappings stand side by side as a rule: aligned when the one before was. */
static void *pool_map(void)
{
	char *at = mmap(NULL, POOL_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t off;

	if (at == MAP_FAILED || (uintptr_t)at % POOL_CHUNK == 0)
		return at;
	munmap(at, POOL_CHUNK);
	at = mmap(NULL, 2 * POOL_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return at;
	off = -(uintptr_t)at % POOL_CHUNK;
	if (off)
		munmap(at, off);
	munmap(at + off + POOL_CHUNK, POOL_CHUNK - off);
	return at + off;
}

static struct pool_chunk *pool_grow(struct pool *p)
{
	struct pool_chunk *c = pool_map();

	if (c == MAP_FAILED)
		return NULL;
	list_add(&p->open, &c->node); /* zeroed by the system */
	p->cached += p->per_chunk;
	return c;
}

static void pool_shrink(struct pool *p, struct pool_chunk *c)
{
	list_del(&c->node);
	p->cached -= p->per_chunk;
	munmap(c, POOL_CHUNK);
}

static void *pool_take(struct pool *p)
{
	struct pool_chunk *c = list_first(&p->open, struct pool_chunk, node);
	void *obj;

	if (!c)
		c = pool_grow(p);
	if (!c)
		return NULL;
	obj = c->free_list ? pool_pop(&c->free_list) : c->area + c->fresh++ * pool_stride(p);
	if (++c->used == p->per_chunk)
		list_del(&c->node);
	p->cached--;
	return obj;
}

static void pool_give(struct pool *p, void *obj)
{
	struct pool_chunk *c = (void *)((uintptr_t)obj & ~(POOL_CHUNK - 1));

	pool_push(&c->free_list, obj);
	if (c->used-- == p->per_chunk)
		list_add_tail(&p->open, &c->node);
	p->cached++;
	if (c->used == 0 && p->cached >= p->max_cached + p->per_chunk)
		pool_shrink(p, c);
}

/* ---- one by one ---- */

static void *pool_take_large(struct pool *p)
{
	if (!p->free_list)
		return malloc(p->size);
	p->cached--;
	return pool_pop(&p->free_list);
}

static void pool_give_large(struct pool *p, void *obj)
{
	if (p->cached >= p->max_cached) {
		free(obj);
		return;
	}
	pool_push(&p->free_list, obj);
	p->cached++;
}

/* ---- pools ---- */

static void pool_drain(struct pool *p)
{
	struct pool_chunk *c, *next;

	while (p->free_list)
		free(pool_pop(&p->free_list));
	list_for_each_safe (c, next, &p->open, node)
		if (c->used == 0)
			pool_shrink(p, c);
}

void pools_destroy(struct pools *ps)
{
	struct pool *p, *next;

	list_for_each_safe (p, next, &ps->all, node) {
		WARN_ON(p->used);
		pool_drain(p);
		list_del(&p->node);
		free(p);
	}
}

struct pool *pool_create(struct pools *ps, const char *name, size_t size)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->name = name;
	p->size = MAX(size, sizeof(void *));
	list_init(&p->open);
	if (!POOL_ASAN && p->size < POOL_LARGE) {
		p->per_chunk = (unsigned)((POOL_CHUNK - sizeof(struct pool_chunk)) / pool_stride(p));
		p->max_cached = (unsigned)(POOL_CACHED_BYTES / pool_stride(p));
	} else if (!POOL_ASAN) {
		p->max_cached = MAX((unsigned)(POOL_CACHED_LARGE / p->size), POOL_CACHED_MIN);
	}
	list_add_tail(&ps->all, &p->node);
	return p;
}

void *pool_alloc(struct pool *p)
{
	void *obj = p->per_chunk ? pool_take(p) : pool_take_large(p);

	if (!obj) {
		p->fails++;
		return NULL;
	}
	p->used++;
	p->allocs++;
	return obj;
}

void *pool_zalloc(struct pool *p)
{
	void *obj = pool_alloc(p);

	if (obj)
		memset(obj, 0, p->size);
	return obj;
}

void pool_free(struct pool *p, void *obj)
{
	if (!obj)
		return;
	BUG_ON(!p->used);
	p->used--;
	if (p->per_chunk)
		pool_give(p, obj);
	else
		pool_give_large(p, obj);
}

/* ---- arenas ---- */

#define ARENA_ALIGN 16
#define ARENA_CHUNK 4000 /* with malloc's header, just below a page */

struct arena_hook {
	struct arena_hook *next;
	void (*fn)(void *arg);
	void *arg;
};

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	char area[] __attribute__((aligned(ARENA_ALIGN)));
};

void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void arena_reset(struct arena *a)
{
	while (a->hooks) {
		struct arena_hook *h = a->hooks;

		a->hooks = h->next;
		h->fn(h->arg);
	}
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
	a->used = 0;
}

static struct arena_chunk *arena_chunk_new(struct arena *a, size_t n)
{
	size_t size = MAX(n, (size_t)ARENA_CHUNK - sizeof(struct arena_chunk));
	struct arena_chunk *c = calloc(1, sizeof(*c) + size);

	if (!c)
		return NULL;
	c->size = size;
	if (a->chunks && n > size / 2) {
		c->next = a->chunks->next; /* a big one: the open chunk stays first */
		a->chunks->next = c;
	} else {
		c->next = a->chunks;
		a->chunks = c;
	}
	return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->chunks;
	void *p;

	if (n > SIZE_MAX / 2)
		return NULL;
	n = (MAX(n, (size_t)1) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (!c || c->size - c->used < n)
		c = arena_chunk_new(a, n);
	if (!c)
		return NULL;
	p = c->area + c->used;
	c->used += n;
	a->used += n;
	return p;
}

bool arena_on_reset(struct arena *a, void (*fn)(void *arg), void *arg)
{
	struct arena_hook *h = arena_alloc(a, sizeof(*h));

	if (!h)
		return false;
	*h = (struct arena_hook){ a->hooks, fn, arg };
	a->hooks = h;
	return true;
}

char *arena_strdup(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (p && s.n)
		memcpy(p, s.p, s.n);
	return p; /* zeroed: terminated */
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p = NULL;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0)
		p = arena_alloc(a, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
