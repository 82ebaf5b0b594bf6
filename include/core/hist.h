/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hist.h - histograms of durations with bounded error and constant size
 *
 * Buckets are powers of two split in eight: any percentile is right within
 * 12.5 %. Recording is a few instructions; no allocation.
 */
#ifndef STANDIN_CORE_HIST_H
#define STANDIN_CORE_HIST_H

#include "core/compiler.h"

#define HIST_BUCKETS 256

struct hist {
	uint64_t count, sum, max;
	uint32_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t value);
/* Upper edge of the bucket that holds the <pct> percentile (0..100), never above max; 0 when empty. */
uint64_t hist_percentile(const struct hist *h, double pct);

/* How many values have <bits> significant bits: 2^(bits-1) .. 2^bits - 1; 0: the value 0. The last that can be asked for is
 * HIST_POW2 - 1, which takes all that is larger. */
#define HIST_POW2 34
uint64_t hist_pow2(const struct hist *h, unsigned bits);

#endif
