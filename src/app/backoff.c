/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * backoff.c - when to try again: `restart backoff <min> <max> limit <n> per <t>`
 *
 * The first failure after serving for a while is answered at once; each further
 * one in a row doubles the wait, from min to max. Serving for BACKOFF_STABLE_MS
 * ends the row. Independent of that, <limit> failures within <period> are too
 * many: who asks then decides whether to give up or to wait for room.
 */
#include <string.h>

#include "app_priv.h"

void backoff_reset(struct backoff *b)
{
	memset(b, 0, sizeof(*b));
}

void backoff_fail(struct backoff *b, const struct backoff_policy *p, uint64_t now, uint64_t ready_ms)
{
	uint64_t delay = 0;

	if (ready_ms >= BACKOFF_STABLE_MS)
		b->row = 0;
	if (b->row > 0 || !ready_ms) {
		unsigned shift = MIN(ready_ms ? b->row - 1 : b->row, 20U);

		delay = MIN((uint64_t)p->min_ms << shift, (uint64_t)p->max_ms);
	}
	b->row++;
	b->not_before_ms = now + delay;
	b->failed_ms[b->nb++ % BACKOFF_WINDOW] = now;
}

uint64_t backoff_wait(const struct backoff *b, const struct backoff_policy *p, uint64_t now, bool *over)
{
	uint64_t wait = b->not_before_ms > now ? b->not_before_ms - now : 0;

	*over = false;
	if (p->limit && b->nb >= p->limit) {
		/* the failure that is <limit> back must have left the period */
		uint64_t then = b->failed_ms[(b->nb - p->limit) % BACKOFF_WINDOW] + p->period_ms;

		if (then > now) {
			*over = true;
			wait = MAX(wait, then - now);
		}
	}
	return wait;
}
