/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * refuse.h - memory that is refused when a test wants it
 *
 * Every way to memory is the test's own (Makefile, WRAP_MEMORY): it counts, and refuses the <refuse_at>th
 * request since refuse_from(). To be included by one file of a program.
 */
#ifndef REFUSE_H
#define REFUSE_H

#include <stdlib.h>
#include <sys/mman.h>

#include "core/pool.h"

static bool refuse_armed;
static unsigned refuse_calls, refuse_at; /* refuse_at 0: none is refused */

static void refuse_from(void)
{
	refuse_calls = 0;
	refuse_armed = true;
}

/* True: one was refused. */
static bool refuse_until(void)
{
	refuse_armed = false;
	return refuse_at && refuse_calls >= refuse_at;
}

static bool refuse_this(void)
{
	return refuse_armed && ++refuse_calls == refuse_at;
}

void *__real_pool_alloc(struct pool *p);
void *__real_pool_zalloc(struct pool *p);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);

void *__wrap_pool_alloc(struct pool *p)
{
	return refuse_this() ? NULL : __real_pool_alloc(p);
}

void *__wrap_pool_zalloc(struct pool *p)
{
	return refuse_this() ? NULL : __real_pool_zalloc(p);
}

void *__wrap_malloc(size_t n)
{
	return refuse_this() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refuse_this() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return refuse_this() ? NULL : __real_realloc(p, n);
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	return refuse_this() ? MAP_FAILED : __real_mmap(at, n, prot, flags, fd, off);
}

#endif
