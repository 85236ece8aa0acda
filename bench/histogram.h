/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histogram.h - many durations in little memory: eight buckets to each power of two, so a quantile is right to an eighth
 */
#ifndef PENSTOCK_BENCH_HISTOGRAM_H
#define PENSTOCK_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_BUCKETS 512

struct bench_histogram {
	uint32_t buckets[BENCH_BUCKETS];
};

static inline unsigned bench_bucket_of(uint64_t nsec)
{
	unsigned power;

	if (nsec < 8)
		return (unsigned)nsec;
	power = 63u - (unsigned)__builtin_clzll(nsec);
	return (power - 2) * 8 + (unsigned)(nsec >> (power - 3) & 7);
}

/* The longest duration of a bucket. */
static inline double bench_bucket_end(unsigned bucket)
{
	if (bucket < 8)
		return bucket;
	return (double)(((uint64_t)(8 + bucket % 8 + 1) << (bucket / 8 - 1)) - 1);
}

static inline void bench_histogram_note(struct bench_histogram *histogram, uint64_t nsec)
{
	histogram->buckets[bench_bucket_of(nsec)]++;
}

static inline void bench_histogram_add(struct bench_histogram *sum, const struct bench_histogram *other)
{
	for (unsigned i = 0; i < BENCH_BUCKETS; i++)
		sum->buckets[i] += other->buckets[i];
}

/* ns; 0 when nothing was noted. */
static inline double bench_histogram_quantile(const struct bench_histogram *histogram, double fraction)
{
	uint64_t total = 0, seen = 0;

	for (unsigned i = 0; i < BENCH_BUCKETS; i++)
		total += histogram->buckets[i];
	for (unsigned i = 0; i < BENCH_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > 0 && (double)seen >= fraction * (double)total)
			return bench_bucket_end(i);
	}
	return 0;
}

#endif
