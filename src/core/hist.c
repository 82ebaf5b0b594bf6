/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hist.c - histograms of durations
 *
 * Values below 8 have a bucket each. Above, a value's bucket is its highest
 * bit and the three bits after it. The last bucket takes all that is
 * larger (2^33 and more: over two hours in microseconds).
 */
#include "core/hist.h"

#define HIST_SUB_BITS 3
#define HIST_SUB      (1u << HIST_SUB_BITS)

static unsigned hist_bucket_of(uint64_t v)
{
	unsigned msb, idx;

	if (v < HIST_SUB)
		return v;
	msb = 63 - __builtin_clzll(v);
	idx = (msb - HIST_SUB_BITS + 1) * HIST_SUB + (v >> (msb - HIST_SUB_BITS) & (HIST_SUB - 1));
	return MIN(idx, HIST_BUCKETS - 1u);
}

/* largest value of the bucket */
static uint64_t hist_bucket_top(unsigned idx)
{
	unsigned shift;

	if (idx < HIST_SUB)
		return idx;
	if (idx == HIST_BUCKETS - 1)
		return UINT64_MAX;
	shift = idx / HIST_SUB - 1;
	return ((uint64_t)(HIST_SUB + idx % HIST_SUB + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	h->max = MAX(h->max, value);
	h->bucket[hist_bucket_of(value)]++;
}

uint64_t hist_percentile(const struct hist *h, double pct)
{
	double want = (double)h->count * MIN(MAX(pct, 0.0), 100.0) / 100.0;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen && (double)seen >= want)
			return MIN(hist_bucket_top(i), h->max);
	}
	return h->max;
}

uint64_t hist_pow2(const struct hist *h, unsigned bits)
{
	uint64_t n = 0, lo = bits ? 1ULL << (bits - 1) : 0, hi = bits ? (1ULL << bits) - 1 : 0;
	unsigned i = hist_bucket_of(lo), last = bits >= HIST_POW2 - 1 ? HIST_BUCKETS - 1 : hist_bucket_of(hi);

	for (; i <= last; i++)
		n += h->bucket[i];
	return n;
}
