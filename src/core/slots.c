/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * slots.c - numbered objects in chunks
 *
 *     id = lap << SLOTS_PLACE_BITS | place + 1        place = chunk's entry * SLOTS_CHUNK + index
 *
 * Places are given out like the hand of a clock: of the first open chunk from one end to
 * the other, then the chunk's lap is over and the next open one has its turn. A lap gives each place
 * once at most, so lap and place together are unique. While fewer than SLOTS_SPARE
 * places are free a new chunk is made instead of beginning a lap: ids stay below
 * 2^53, what JSON's readers take, for years of any rate that this program reaches.
 *
 * A chunk's objects are mapped by themselves. An empty one goes back to the system when many places
 * are free without it; its entry remembers the lap.
 *
 * Under AddressSanitizer free places are poisoned, so that misuse is seen.
 */
#include "core/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/bug.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLOTS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOTS_ASAN 1
#endif
#endif
#ifdef SLOTS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define SLOTS_SPARE   16384 /* places */
#define SLOTS_ENTRIES ((1u << (SLOTS_PLACE_BITS - 8)) - 1) /* the last place + 1 fits, too */
#define SLOTS_WORDS   (SLOTS_CHUNK / 64)

static_assert(SLOTS_CHUNK == 256, "an entry's places are 8 bits of an id");

struct slots_chunk {
	struct list node;           /* struct slots.open; on no list when full */
	uint64_t used[SLOTS_WORDS]; /* by index */
	uint64_t lap;
	uint32_t entry;
	uint16_t count;             /* objects */
	uint16_t at;                /* the hand: this lap gave out what lies below */
	char *area;                 /* owns: the objects, in pages of their own */
};

static size_t slots_area_bytes(const struct slots *s)
{
	return SLOTS_CHUNK * s->pool->size;
}

static void *slots_object(const struct slots *s, struct slots_chunk *c, unsigned i)
{
	return c->area + i * s->pool->size;
}

/* The first index from <i> on whose bit, XORed with <flip>, is set; SLOTS_CHUNK: none. */
static unsigned slots_scan(const struct slots_chunk *c, unsigned i, uint64_t flip)
{
	unsigned word = i / 64;
	uint64_t bits;

	if (i >= SLOTS_CHUNK)
		return SLOTS_CHUNK;
	bits = (c->used[word] ^ flip) & (~0ULL << i % 64);
	while (!bits && ++word < SLOTS_WORDS)
		bits = c->used[word] ^ flip;
	return bits ? word * 64 + (unsigned)__builtin_ctzll(bits) : SLOTS_CHUNK;
}

static unsigned slots_free_from(const struct slots_chunk *c, unsigned i)
{
	return slots_scan(c, i, ~0ULL);
}

static unsigned slots_used_from(const struct slots_chunk *c, unsigned i)
{
	return slots_scan(c, i, 0);
}

/* ---- chunks ---- */

/* An entry without a chunk. NULL on no memory. */
static struct slots_entry *slots_vacant(struct slots *s)
{
	struct slots_entry *e;

	if (s->vacant) {
		e = &s->entry[s->vacant - 1];
		s->vacant = e->next_vacant;
		return e;
	}
	if (s->nb == SLOTS_ENTRIES)
		return NULL;
	if (s->nb == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 16;
		struct slots_entry *grown = realloc(s->entry, cap * sizeof(*grown));

		if (!grown)
			return NULL;
		s->entry = grown;
		s->cap = cap;
	}
	e = &s->entry[s->nb++];
	*e = (struct slots_entry){ 0 };
	return e;
}

static void slots_vacate(struct slots *s, struct slots_entry *e)
{
	e->chunk = NULL;
	e->next_vacant = s->vacant;
	s->vacant = (uint32_t)(e - s->entry) + 1;
}

static struct slots_chunk *slots_chunk_new(const struct slots *s)
{
	struct slots_chunk *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->area = mmap(NULL, slots_area_bytes(s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->area == MAP_FAILED) {
		free(c);
		return NULL;
	}
	ASAN_POISON_MEMORY_REGION(c->area, slots_area_bytes(s));
	return c;
}

static void slots_chunk_free(const struct slots *s, struct slots_chunk *c)
{
	ASAN_UNPOISON_MEMORY_REGION(c->area, slots_area_bytes(s));
	munmap(c->area, slots_area_bytes(s));
	free(c);
}

static struct slots_chunk *slots_grow(struct slots *s)
{
	struct slots_entry *e = slots_vacant(s);
	struct slots_chunk *c = e ? slots_chunk_new(s) : NULL;

	if (!c) {
		if (e)
			slots_vacate(s, e);
		return NULL;
	}
	c->entry = (uint32_t)(e - s->entry);
	c->lap = e->lap;
	e->chunk = c;
	s->room += SLOTS_CHUNK;
	s->pool->cached += SLOTS_CHUNK;
	list_add(&s->open, &c->node);
	return c;
}

static void slots_shrink(struct slots *s, struct slots_chunk *c)
{
	struct slots_entry *e = &s->entry[c->entry];

	e->lap = c->lap + 1;
	slots_vacate(s, e);
	s->room -= SLOTS_CHUNK;
	s->pool->cached -= SLOTS_CHUNK;
	list_del(&c->node);
	slots_chunk_free(s, c);
}

static void slots_new_lap(struct slots_chunk *c)
{
	c->lap++;
	c->at = 0;
}

/* Where the hand goes next: a chunk and *<i>, a free place in it. NULL: there is none. */
static struct slots_chunk *slots_pick(struct slots *s, unsigned *i)
{
	struct slots_chunk *c = list_first(&s->open, struct slots_chunk, node), *fresh;

	if (c) {
		*i = slots_free_from(c, c->at);
		if (*i < SLOTS_CHUNK)
			return c;
		slots_new_lap(c);
		list_del(&c->node);
		list_add_tail(&s->open, &c->node);
	}
	fresh = s->room < SLOTS_SPARE ? slots_grow(s) : NULL;
	c = fresh ? fresh : list_first(&s->open, struct slots_chunk, node);
	if (!c)
		return NULL;
	*i = slots_free_from(c, c->at);
	if (*i == SLOTS_CHUNK) { /* what got free in it lies behind the hand */
		slots_new_lap(c);
		*i = slots_free_from(c, 0);
	}
	return c;
}

/* ---- objects ---- */

int slots_init(struct slots *s, struct pools *ps, const char *name, size_t size)
{
	*s = (struct slots){ .pool = pool_create(ps, name, (size + 7) & ~(size_t)7) };
	list_init(&s->open);
	return s->pool ? 0 : -ENOMEM;
}

void slots_destroy(struct slots *s)
{
	uint32_t k;

	for (k = 0; k < s->nb; k++)
		if (s->entry[k].chunk)
			slots_chunk_free(s, s->entry[k].chunk);
	free(s->entry);
	s->pool->cached = 0;
	*s = (struct slots){ 0 };
}

void *slots_zalloc(struct slots *s, uint64_t *id)
{
	struct slots_chunk *c;
	unsigned i;
	void *obj;

	c = slots_pick(s, &i);
	if (!c) {
		s->pool->fails++;
		return NULL;
	}
	c->used[i / 64] |= 1ULL << i % 64;
	c->at = (uint16_t)(i + 1);
	if (++c->count == SLOTS_CHUNK)
		list_del(&c->node);
	s->room--;
	s->pool->cached--;
	s->pool->used++;
	s->pool->allocs++;
	*id = c->lap << SLOTS_PLACE_BITS | (c->entry * SLOTS_CHUNK + i + 1);
	obj = slots_object(s, c, i);
	ASAN_UNPOISON_MEMORY_REGION(obj, s->pool->size);
	return memset(obj, 0, s->pool->size);
}

/* The chunk of <id>'s place, and its index there. NULL: no object is there. */
static struct slots_chunk *slots_locate(const struct slots *s, uint64_t id, unsigned *i)
{
	uint32_t place = (uint32_t)(id & ((1u << SLOTS_PLACE_BITS) - 1));
	struct slots_chunk *c;

	if (place-- == 0 || place / SLOTS_CHUNK >= s->nb)
		return NULL;
	c = s->entry[place / SLOTS_CHUNK].chunk;
	*i = place % SLOTS_CHUNK;
	return c && c->used[*i / 64] & 1ULL << *i % 64 ? c : NULL;
}

void slots_free(struct slots *s, uint64_t id)
{
	unsigned i;
	struct slots_chunk *c = slots_locate(s, id, &i);

	if (WARN_ON(!c))
		return;
	ASAN_POISON_MEMORY_REGION(slots_object(s, c, i), s->pool->size);
	c->used[i / 64] &= ~(1ULL << i % 64);
	if (c->count-- == SLOTS_CHUNK)
		list_add_tail(&s->open, &c->node);
	s->room++;
	s->pool->cached++;
	s->pool->used--;
	if (c->count == 0 && s->room > 2 * SLOTS_SPARE)
		slots_shrink(s, c);
}

void *slots_find(const struct slots *s, uint64_t id)
{
	unsigned i;
	struct slots_chunk *c = slots_locate(s, id, &i);

	return c ? slots_object(s, c, i) : NULL;
}

void *slots_next(const struct slots *s, uint32_t *at)
{
	unsigned i = *at % SLOTS_CHUNK;
	uint32_t k;

	for (k = *at / SLOTS_CHUNK; k < s->nb; k++, i = 0) {
		struct slots_chunk *c = s->entry[k].chunk;

		if (!c)
			continue;
		i = slots_used_from(c, i);
		if (i == SLOTS_CHUNK)
			continue;
		*at = k * SLOTS_CHUNK + i + 1;
		return slots_object(s, c, i);
	}
	*at = s->nb * SLOTS_CHUNK;
	return NULL;
}
