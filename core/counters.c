/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/counters.h"

#include <math.h>
#include <sched.h>

#define SUB_BITS 3 /* eight buckets to a power of two */
#define SUB_BUCKETS (1u << SUB_BITS)

_Static_assert(sizeof(struct ps_writer_counters) % sizeof(uint64_t) == 0, "copied word by word");

void ps_counters_begin(struct ps_counters *counters)
{
	/* C1: odd before any figure changes; the add is a full barrier. Pairs with C2 in ps_counters_copy. */
	ps_add_u32(&counters->sequence, 1);
}

void ps_counters_end(struct ps_counters *counters)
{
	/* C1: even after all figures changed; pairs with C2 in ps_counters_copy. */
	ps_store_release_u32(&counters->sequence, ps_load_relaxed_u32(&counters->sequence) + 1);
}

void ps_counters_copy(const struct ps_counters *counters, struct ps_writer_counters *copy)
{
	const uint64_t *from = (const uint64_t *)&counters->writer;
	uint64_t *to = (uint64_t *)copy;
	size_t words = sizeof *copy / sizeof(uint64_t);
	uint32_t before;
	size_t i;

	for (;;) {
		/* C2: the sequence before the figures; pairs with C1 in ps_counters_end. */
		before = ps_load_acquire_u32(&counters->sequence);
		if ((before & 1) == 0) {
			/* C2: each load acquires, so that the second look at the sequence comes after all of them; pairs with C1 in
			 * ps_counters_begin. (Free on x86-64.) */
			for (i = 0; i < words; i++)
				to[i] = ps_load_acquire_u64(&from[i]);
			if (ps_load_acquire_u32(&counters->sequence) == before)
				return;
		}
		sched_yield();
	}
}

static size_t bucket_of(uint64_t value)
{
	unsigned exponent;
	size_t bucket;

	if (value < SUB_BUCKETS)
		return (size_t)value;
	exponent = 63 - (unsigned)__builtin_clzll(value);
	bucket = (size_t)(exponent - SUB_BITS) * SUB_BUCKETS + (size_t)(value >> (exponent - SUB_BITS));
	return bucket < PENSTOCK_HISTOGRAM_BUCKETS ? bucket : PENSTOCK_HISTOGRAM_BUCKETS - 1;
}

uint64_t penstock_histogram_floor(size_t bucket)
{
	unsigned shift;

	if (bucket >= PENSTOCK_HISTOGRAM_BUCKETS)
		bucket = PENSTOCK_HISTOGRAM_BUCKETS - 1;
	if (bucket < 2 * SUB_BUCKETS)
		return bucket;
	shift = (unsigned)(bucket / SUB_BUCKETS) - 1;
	return (uint64_t)(bucket % SUB_BUCKETS + SUB_BUCKETS) << shift;
}

void ps_histogram_add(penstock_histogram *histogram, uint64_t value)
{
	ps_count(&histogram->count, 1);
	ps_count(&histogram->sum, value);
	ps_count_max(&histogram->max, value);
	ps_count(&histogram->buckets[bucket_of(value)], 1);
}

uint64_t penstock_histogram_quantile(const penstock_histogram *histogram, double fraction)
{
	uint64_t wanted, seen = 0, ceiling;
	size_t i;

	if (histogram == NULL || histogram->count == 0)
		return 0;
	if (!(fraction > 0))
		fraction = 0;
	if (fraction > 1)
		fraction = 1;
	wanted = (uint64_t)ceil(fraction * (double)histogram->count);
	if (wanted == 0)
		wanted = 1;
	for (i = 0; i + 1 < PENSTOCK_HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= wanted)
			break;
	}
	/* The bucket's last value, but never more than the largest that was counted. */
	ceiling = i + 1 < PENSTOCK_HISTOGRAM_BUCKETS ? penstock_histogram_floor(i + 1) - 1 : histogram->max;
	return ceiling < histogram->max ? ceiling : histogram->max;
}
