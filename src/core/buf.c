/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * buf.c - contiguous byte buffers
 *
 * The fixed forms append all or nothing and never reallocate. The *_grow forms
 * double the area: amortised constant time, and they abort when memory is out,
 * which is why traffic does not use them.
 */
#include "core/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/bug.h"

#define BUF_GROW_MIN 256

void buf_align(struct buf *b)
{
	if (!b->head)
		return;
	if (b->data)
		memmove(b->area, b->area + b->head, b->data);
	b->head = 0;
}

/* Room for <n> bytes at buf_tail(), moving the content when that is enough. */
static bool buf_reserve(struct buf *b, size_t n)
{
	if (n <= buf_contig_room(b))
		return true;
	if (n > buf_room(b))
		return false;
	buf_align(b);
	return true;
}

bool buf_put(struct buf *b, const void *p, size_t n)
{
	if (!buf_reserve(b, n))
		return false;
	if (n)
		memcpy(buf_tail(b), p, n);
	b->data += n;
	return true;
}

bool buf_putstr(struct buf *b, struct str s)
{
	return buf_put(b, s.p, s.n);
}

static bool buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	char *tmp = NULL;
	bool ok = false;
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(b->area ? buf_tail(b) : NULL, b->area ? buf_contig_room(b) : 0, fmt, ap);
	if (n >= 0 && (size_t)n < buf_contig_room(b)) {
		b->data += n;
		ok = true;
	} else if (n >= 0 && (size_t)n <= buf_room(b) && (n = vasprintf(&tmp, fmt, again)) >= 0) {
		/* the terminating NUL had no place, or the content must move: rare */
		ok = buf_put(b, tmp, n);
		free(tmp);
	}
	va_end(again);
	return ok;
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return ok;
}

static bool buf_try_grow(struct buf *b, size_t n)
{
	size_t size = MAX(b->size, (size_t)BUF_GROW_MIN);
	char *area;

	if (buf_reserve(b, n))
		return true;
	while (size - b->data < n)
		BUG_ON(__builtin_mul_overflow(size, 2, &size));
	buf_align(b);
	area = realloc(b->area, size);
	if (!area)
		return false;
	b->area = area;
	b->size = size;
	return true;
}

static void buf_grow(struct buf *b, size_t n)
{
	BUG_ON(!buf_try_grow(b, n));
}

bool buf_put_try(struct buf *b, const void *p, size_t n)
{
	if (!n)
		return true;
	if (!buf_try_grow(b, n))
		return false;
	memcpy(buf_tail(b), p, n);
	b->data += n;
	return true;
}

void buf_put_grow(struct buf *b, const void *p, size_t n)
{
	BUG_ON(!buf_put_try(b, p, n));
}

void buf_vprintf_grow(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n > 0) {
		buf_grow(b, (size_t)n + 1);
		vsnprintf(buf_tail(b), (size_t)n + 1, fmt, again);
		b->data += n;
	}
	va_end(again);
}

void buf_printf_grow(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf_grow(b, fmt, ap);
	va_end(ap);
}

void buf_free(struct buf *b)
{
	free(b->area);
	*b = (struct buf){ 0 };
}
