/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pool.c - pools of equal objects; arenas
 *
 * A pool keeps freed objects on a list threaded through their own first word,
 * at most max_cached of them: a burst's memory goes back to the allocator. Under
 * AddressSanitizer nothing is cached, so a use after free is reported where
 * it happens.
 *
 * An arena hands out slices of chunks and never takes one back. Objects larger
 * than a chunk get one of their own, behind the current one, which stays open.
 */
#include "core/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/bug.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_CACHED_BYTES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_CACHED_BYTES 0
#endif
#endif
#ifndef POOL_CACHED_BYTES
#define POOL_CACHED_BYTES (4u << 20) /* kept for reuse, a pool */
#endif
#define POOL_CACHED_MIN 64 /* objects, however large */

void pools_init(struct pools *ps)
{
	list_init(&ps->all);
}

static void pool_drain(struct pool *p)
{
	while (p->free_list) {
		void *obj = p->free_list;

		memcpy(&p->free_list, obj, sizeof(void *));
		free(obj);
	}
	p->cached = 0;
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
	if (POOL_CACHED_BYTES > 0)
		p->max_cached = MAX(POOL_CACHED_BYTES / p->size, (size_t)POOL_CACHED_MIN);
	list_add_tail(&ps->all, &p->node);
	return p;
}

void *pool_alloc(struct pool *p)
{
	void *obj = p->free_list;

	if (obj) {
		memcpy(&p->free_list, obj, sizeof(void *));
		p->cached--;
	} else {
		obj = malloc(p->size);
		if (!obj) {
			p->fails++;
			return NULL;
		}
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
	if (p->cached >= p->max_cached) {
		free(obj);
		return;
	}
	memcpy(obj, &p->free_list, sizeof(void *));
	p->free_list = obj;
	p->cached++;
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
