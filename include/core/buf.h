/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * buf.h - a byte buffer whose content is always contiguous
 *
 *   area            head          head+data       size
 *   |  consumed      |  content       |  room      |
 *
 * Parsers see the content as one run. Consuming moves head; when it meets the
 * end of the content both go back to 0 for free; buf_align() moves the content
 * to the front only when somebody needs the room.
 *
 * A buf either has a fixed area (pool, stack) or grows: the *_grow functions
 * realloc() the area up to a limit and are for logs, CLI output and the like,
 * not for traffic.
 */
#ifndef STANDIN_CORE_BUF_H
#define STANDIN_CORE_BUF_H

#include <stdarg.h>
#include <sys/types.h>

#include "core/str.h"

struct buf {
	char *area; /* owns, or borrows, as its user says */
	size_t size, head, data;
};

static inline char *buf_head(const struct buf *b)
{
	return b->area + b->head;
}

static inline char *buf_tail(const struct buf *b)
{
	return b->area + b->head + b->data;
}

/* bytes that can be written at buf_tail() without moving anything */
static inline size_t buf_contig_room(const struct buf *b)
{
	return b->size - b->head - b->data;
}

/* bytes that can be written after buf_align() */
static inline size_t buf_room(const struct buf *b)
{
	return b->size - b->data;
}

static inline struct str buf_str(const struct buf *b)
{
	return str_n(buf_head(b), b->data);
}

static inline void buf_reset(struct buf *b)
{
	b->head = b->data = 0;
}

static inline void buf_consume(struct buf *b, size_t n)
{
	b->data -= n;
	b->head = b->data ? b->head + n : 0;
}

static inline void buf_wrap(struct buf *b, char *area, size_t size)
{
	*b = (struct buf){ .area = area, .size = size };
}

void buf_align(struct buf *b); /* move the content to the front of the area */

/* Append all or nothing; false when it does not fit. Aligns when needed. */
bool buf_put(struct buf *b, const void *p, size_t n);
bool buf_putstr(struct buf *b, struct str s);
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same, growing the (malloc'd or NULL) area. False on no memory: nothing was appended. */
bool buf_put_try(struct buf *b, const void *p, size_t n) MUST_CHECK;
/* And aborting on no memory. */
void buf_put_grow(struct buf *b, const void *p, size_t n);
void buf_printf_grow(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf_grow(struct buf *b, const char *fmt, va_list ap);
void buf_free(struct buf *b); /* free() a grown area */

#endif
