/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clock.c - time
 *
 * libev's own "now" is wall clock, which jumps; so the worker reads the
 * monotonic clock once a cycle, when the loop wakes up, into now_ms.
 */
#include "core/clock.h"

#include "core/worker.h"

uint64_t clock_ms(const struct worker *w)
{
	return w->now_ms;
}

uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
