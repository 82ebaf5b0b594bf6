/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * answers.c - responses counted off against requests
 *
 * A small framer for the server's direction: head, body, next. A head that is
 * split over segments is collected; bodies are only counted. Interim responses (1xx)
 * answer nothing; after 101 and a successful CONNECT the connection is no longer
 * HTTP, and owes nothing.
 */
#include "l3/answers.h"

#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX_HDR 101

static void answers_drop_head(struct answers *a)
{
	free(a->head);
	a->head = NULL;
	a->head_len = 0;
	a->scan = (struct h1_scan){ 0 };
}

void answers_reset(struct answers *a)
{
	answers_drop_head(a);
	*a = (struct answers){ 0 };
}

void answers_lose(struct answers *a)
{
	answers_drop_head(a);
	a->unknown = true;
	a->in_body = false;
}

void answers_asked(struct answers *a, enum http_meth meth)
{
	if (a->unknown)
		return;
	if (a->owed == ANSWERS_MAX) {
		answers_lose(a);
		return;
	}
	a->meth[(a->first + a->owed++) % ANSWERS_MAX] = (uint8_t)meth;
}

/* The response under way is complete. */
static void answers_done(struct answers *a)
{
	a->in_body = false;
	a->first = (uint8_t)((a->first + 1) % ANSWERS_MAX);
	a->owed--;
}

static void answers_head(struct answers *a, const struct http_head *h)
{
	if (h->status < 200 && h->status != 101)
		return;
	h1_body_init_res(&a->body, h, (enum http_meth)a->meth[a->first]);
	a->in_body = true;
	if (a->body.kind == H1_BODY_TUNNEL)
		answers_reset(a);
	else if (a->body.done || a->body.kind == H1_BODY_NONE)
		answers_done(a);
}

/* How many of the bytes belong to the head under way; 0: none, the count is lost. */
static size_t answers_feed_head(struct answers *a, const char *p, size_t n)
{
	struct http_hdr hdr[ANSWERS_MAX_HDR];
	struct http_head h = { .is_response = true, .hdr = hdr, .max_hdr = ANSWERS_MAX_HDR };
	size_t before = a->head_len, err_pos;
	const char *at = p;
	ssize_t len;
	char *grown;

	if (a->owed == 0 || before + n > ANSWERS_HEAD + 65536)
		goto lost;
	if (a->head) {
		grown = realloc(a->head, before + n);
		if (!grown)
			goto lost;
		memcpy(grown + before, p, n);
		at = a->head = grown;
	}
	len = h1_head_parse(&a->scan, at, before + n, &h, &err_pos);
	if (len < 0)
		goto lost;
	if (len > 0) {
		answers_head(a, &h);
		answers_drop_head(a);
		return (size_t)len - before;
	}
	if (before + n > ANSWERS_HEAD)
		goto lost;
	if (!a->head) {
		a->head = malloc(n);
		if (!a->head)
			goto lost;
		memcpy(a->head, p, n);
	}
	a->head_len = (uint32_t)(before + n);
	return n;
lost:
	answers_lose(a);
	return 0;
}

static size_t answers_feed_body(struct answers *a, const char *p, size_t n)
{
	ssize_t used = h1_body_feed(&a->body, p, n);

	if (used < 0) {
		answers_lose(a);
		return 0;
	}
	if (a->body.done)
		answers_done(a);
	return (size_t)used;
}

void answers_feed(struct answers *a, const char *p, size_t n)
{
	while (n && !a->unknown) {
		bool in_body = a->in_body;
		uint8_t owed = a->owed;
		size_t used = in_body ? answers_feed_body(a, p, n) : answers_feed_head(a, p, n);

		p += used;
		n -= used;
		/* a response that ends without a byte moves the state, not the place */
		if (used == 0 && a->in_body == in_body && a->owed == owed)
			return;
	}
}

void answers_skip(struct answers *a, size_t n)
{
	if (a->unknown || n == 0)
		return;
	if (!a->in_body || a->body.kind == H1_BODY_CHUNKED || (a->body.kind == H1_BODY_LENGTH && a->body.left < n)) {
		answers_lose(a);
		return;
	}
	if (a->body.kind != H1_BODY_LENGTH)
		return;
	a->body.left -= n;
	if (a->body.left == 0)
		answers_done(a);
}
