/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clock.c - time
 *
 * libev's own "now" is wall clock, which jumps; so the worker reads the
 * monotonic clock once a cycle, when the loop wakes up, into now_ms. The two that
 * ask the kernel are weak symbols: a test program that defines its own has a fake
 * clock, and sets w->now_ms itself.
 */
#include "core/clock.h"

#include "core/worker.h"

uint64_t clock_ms(const struct worker *w)
{
	return w->now_ms;
}

__attribute__((weak)) uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

__attribute__((weak)) uint64_t clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
