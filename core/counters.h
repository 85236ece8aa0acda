/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters.h - what the engine counts, readable as one snapshot at any time
 *
 * The writer owns the figures that describe outcomes, batches and checkpoints. It changes its own set of them, and then
 * publishes the words it has changed in two copies, one after the other: the sequence says which of them stands still (Linux's latch, seqcount_latch_t). A reader copies that one, and tries again when the
 * sequence has moved. Producers count refusals and waiting, each with an atomic add on a slow path.
 *
 * Invariants
 *   1. A snapshot is from between two changes that the writer published, so its sums agree.
 *   2. accepted is the ring's tail, read after the snapshot of outcomes: never less than their sum; the difference is the
 *      queue depth.
 *   3. Wherever the writer stands, one of the copies is whole: a reader never waits for it, be it preempted by the reader itself.
 *
 * Failure modes: a reader whose copying is met by a change each time tries again; each of these is a step of the writer's.
 */
#ifndef PENSTOCK_COUNTERS_H
#define PENSTOCK_COUNTERS_H

#include <stdint.h>

#include "core/atomic.h"
#include "core/penstock.h"

#define PS_COUNTER_WORDS (sizeof(penstock_counters) / sizeof(uint64_t))

struct ps_counters {
	uint32_t sequence PS_OWN_LINE; /* even: the first copy stands still; odd: the second */
	/* Of the writer's words; what others count is 0 in them. queue_depth is the outcomes of all kinds there have been. */
	_Alignas(8) penstock_counters copies[2];
	/* the writer's own */
	penstock_counters writer PS_OWN_LINE;
	uint64_t changed[(PS_COUNTER_WORDS + 63) / 64]; /* bits of words that the copies do not have yet */
	uint64_t resolved;                              /* outcomes of all kinds, for the queue depth by itself */
	/* any thread, atomic adds */
	uint64_t refused[PENSTOCK_STATUS_LIMIT] PS_OWN_LINE;
	uint64_t full_events;
	uint64_t full_nsec;
};

/* The writer, or with no writer running the thread that holds the control mutex: all changes since the last time, as one. */
void ps_counters_publish(struct ps_counters *counters);

static inline void ps_count_changed(struct ps_counters *counters, const uint64_t *word)
{
	size_t i = (size_t)(word - (const uint64_t *)&counters->writer);

	counters->changed[i / 64] |= UINT64_C(1) << i % 64;
}

/* On words of counters->writer; seen once they are published. */
static inline void ps_count_set(struct ps_counters *counters, uint64_t *word, uint64_t value)
{
	*word = value;
	ps_count_changed(counters, word);
}

static inline void ps_count(struct ps_counters *counters, uint64_t *word, uint64_t value)
{
	if (value != 0)
		ps_count_set(counters, word, *word + value);
}

static inline void ps_count_max(struct ps_counters *counters, uint64_t *word, uint64_t value)
{
	if (value > *word)
		ps_count_set(counters, word, value);
}

/* Returns the bucket. */
size_t ps_histogram_add(penstock_histogram *histogram, uint64_t value);
void ps_count_in(struct ps_counters *counters, penstock_histogram *histogram, uint64_t value);

/* One figure by itself, published. */
static inline void ps_counters_add(struct ps_counters *counters, uint64_t *word, uint64_t value)
{
	ps_count(counters, word, value);
	ps_counters_publish(counters);
}

/*
 * Any thread: fills *to with a snapshot of the writer's words, as many as `bytes` of it hold, but for struct_size; what others count
 * is 0.
 */
void ps_counters_copy(const struct ps_counters *counters, penstock_counters *to, size_t bytes);

#endif
