/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters.h - what the engine counts, readable as one snapshot at any time
 *
 * The writer owns the figures that describe outcomes, batches and checkpoints. It changes them between
 * ps_counters_begin and ps_counters_end (a sequence lock: odd while they change); a reader copies and tries again when the
 * sequence moved. Producers count refusals and waiting, each with an atomic add on a slow path.
 *
 * Invariants
 *   1. A snapshot is from between two changes of the writer, so its sums agree.
 *   2. accepted is the ring's tail, read after the snapshot of outcomes: never less than their sum; the difference is the
 *      queue depth.
 *
 * Failure modes: a reader that always meets a change yields and goes on; changes last as long as one batch's delivery.
 */
#ifndef PENSTOCK_COUNTERS_H
#define PENSTOCK_COUNTERS_H

#include <stdint.h>

#include "core/atomic.h"
#include "core/penstock.h"

/* The fields the writer changes between begin and end. Only 64-bit words. */
struct ps_writer_counters {
	uint64_t committed;
	uint64_t failed;
	uint64_t unknown;
	uint64_t shutdown;
	uint64_t batches;
	uint64_t replayed_batches;
	uint64_t replayed_statements;
	uint64_t alone;
	uint64_t fused;
	uint64_t queue_depth_max;
	uint64_t parks;
	uint64_t busy_retries;
	uint64_t wal_bytes;
	uint64_t wal_bytes_peak;
	uint64_t checkpoints;
	uint64_t checkpoint_nsec;
	uint64_t checkpoints_blocked;
	uint64_t wal_syncs;
	uint64_t schema_reprepares;
	penstock_histogram batch_size;
	penstock_histogram commit_nsec;
	penstock_histogram outcome_nsec;
};

struct ps_counters {
	uint32_t sequence PS_OWN_LINE;
	struct ps_writer_counters writer;
	uint64_t resolved; /* outcomes of all kinds, for the queue depth by itself */
	/* any thread, atomic adds */
	uint64_t refused[PENSTOCK_STATUS_COUNT] PS_OWN_LINE;
	uint64_t full_events;
	uint64_t full_nsec;
};

/* The writer, or with no writer running the thread that holds the control mutex. */
void ps_counters_begin(struct ps_counters *counters);
void ps_counters_end(struct ps_counters *counters);

/* Between begin and end. */
static inline void ps_count(uint64_t *word, uint64_t value)
{
	ps_bump_u64(word, value);
}

/* One figure by itself, with its own begin and end. */
static inline void ps_counters_add(struct ps_counters *counters, uint64_t *word, uint64_t value)
{
	ps_counters_begin(counters);
	ps_count(word, value);
	ps_counters_end(counters);
}

static inline void ps_count_max(uint64_t *word, uint64_t value)
{
	if (value > ps_load_relaxed_u64(word))
		ps_store_relaxed_u64(word, value);
}

void ps_histogram_add(penstock_histogram *histogram, uint64_t value);

/* Any thread: a consistent copy of the writer's part. */
void ps_counters_copy(const struct ps_counters *counters, struct ps_writer_counters *copy);

#endif
