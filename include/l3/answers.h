/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * answers.h - how many answers an HTTP server still owes on a forwarded connection
 *
 * Pure. A connection may be promoted at a request only when every request before it
 * has been answered: L7 would take the answer to an earlier request for that to
 * its own. Clients that pipeline make the difference; for all others the count is
 * zero when a request begins. Requests are counted when their turn is passed on,
 * responses are framed from the server's bytes (RFC 9112 6).
 *
 * Bytes that pass out of order or unframeable make the count unknown; it is known
 * again where a request begins after the server was the last to speak.
 */
#ifndef STANDIN_L3_ANSWERS_H
#define STANDIN_L3_ANSWERS_H

#include "proto/h1.h"

#define ANSWERS_MAX 32      /* requests under way; more make the count unknown */
#define ANSWERS_HEAD 16384  /* longest head of a response */

struct answers {
	struct h1_body body;        /* of the response under way */
	struct h1_scan scan;
	char *head;                 /* owns: the bytes of a head that is not whole yet; malloc'd, NULL: none */
	uint32_t head_len;
	uint8_t owed;               /* requests whose response is not complete */
	uint8_t first;              /* index into meth of the oldest */
	bool in_body, unknown;
	uint8_t meth[ANSWERS_MAX];  /* enum http_meth of the requests owed */
};

/* At a point where nothing is owed. Zeroed memory is such a state. */
void answers_reset(struct answers *a);
/* A request with this method went to the server. */
void answers_asked(struct answers *a, enum http_meth meth);
/* The server's next <n> bytes, in order. */
void answers_feed(struct answers *a, const char *p, size_t n);
/* <n> bytes of the server passed, of which nobody knows what they said. */
void answers_skip(struct answers *a, size_t n);
/* Nothing is known any more. */
void answers_lose(struct answers *a);

/* May a request that begins now be taken by somebody who knows nothing of those before? */
static inline bool answers_settled(const struct answers *a)
{
	return !a->unknown && a->owed == 0;
}

/* Is there no more to it than whether the count is known? */
static inline bool answers_at_rest(const struct answers *a)
{
	return a->unknown || (a->owed == 0 && !a->in_body && !a->head);
}

#endif
