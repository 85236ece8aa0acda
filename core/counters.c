/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/counters.h"

#include <math.h>
#include <string.h>

#define SUB_BITS 3 /* eight buckets to a power of two */
#define SUB_BUCKETS (1u << SUB_BITS)

_Static_assert(sizeof(penstock_counters) % sizeof(uint64_t) == 0, "copied word by word");

/* The sequence points readers to the other copy before this one changes. */
static void hand_on(struct ps_counters *counters, penstock_counters *copy)
{
	const uint64_t *from = (const uint64_t *)&counters->writer;
	uint64_t *to = (uint64_t *)copy;
	size_t i;

	ps_store_release_u32(&counters->sequence, ps_load_relaxed_u32(&counters->sequence) + 1);
	for (i = 0; i < sizeof counters->changed / sizeof counters->changed[0]; i++) {
		uint64_t bits = counters->changed[i];

		for (; bits != 0; bits &= bits - 1) {
			size_t word = i * 64 + (size_t)__builtin_ctzll(bits);

			/* C1: each word after the sequence that turned readers away; pairs with C2 in ps_counters_copy. (Free on
			 * x86-64.) The sequence that turns them back comes after all of them, being a release too. */
			ps_store_release_u64(&to[word], from[word]);
		}
	}
}

void ps_counters_publish(struct ps_counters *counters)
{
	hand_on(counters, &counters->copies[0]);
	hand_on(counters, &counters->copies[1]);
	memset(counters->changed, 0, sizeof counters->changed);
}

void ps_counters_copy(const struct ps_counters *counters, penstock_counters *all, size_t bytes)
{
	uint64_t *to = (uint64_t *)all;
	size_t words = bytes / sizeof(uint64_t), i;
	uint32_t before;

	do {
		const uint64_t *from;

		/* C2: the sequence before the words, and each word (an acquire) before the second look; pairs with C1 in hand_on. */
		before = ps_load_acquire_u32(&counters->sequence);
		from = (const uint64_t *)&counters->copies[before & 1];
		for (i = 1; i < words; i++)
			to[i] = ps_load_acquire_u64(&from[i]);
	} while (ps_load_acquire_u32(&counters->sequence) != before);
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

size_t ps_histogram_add(penstock_histogram *histogram, uint64_t value)
{
	size_t bucket = bucket_of(value);

	histogram->count++;
	histogram->sum += value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->buckets[bucket]++;
	return bucket;
}

void ps_count_in(struct ps_counters *counters, penstock_histogram *histogram, uint64_t value)
{
	size_t bucket = ps_histogram_add(histogram, value);

	ps_count_changed(counters, &histogram->count);
	ps_count_changed(counters, &histogram->sum);
	ps_count_changed(counters, &histogram->max);
	ps_count_changed(counters, &histogram->buckets[bucket]);
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
