/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * round.h - one round of one queue: N producers and a consumer for a while
 *
 * What is counted lies between two readings of the clock while everything runs; starting, warming up and stopping are
 * outside. One round at a time.
 */
#ifndef PENSTOCK_BENCH_ROUND_H
#define PENSTOCK_BENCH_ROUND_H

#include "bench/queue.h"

struct bench_round {
	double rate;       /* enqueues a second, all producers */
	double fairness;   /* slowest producer / fastest producer */
	double jain;       /* Jain's index of the producers' counts: 1 all alike, 1/N one alone */
	double worst_room; /* ns; not SATURATED */
	double worst;
	double cpu_nsec; /* processor time of the whole process for each enqueue */
	/* OPEN */
	struct bench_histogram enqueue;
	struct bench_histogram since_due;
};

/* nsec: how long, when not in quick mode. rate: OPEN only, how many enqueues a second are due, all producers together. */
void bench_run_round(const struct bench_queue *queue, unsigned producers, enum bench_kind kind, double rate, uint64_t nsec,
                     struct bench_round *round);

struct bench_stalled_round {
	double nsec;       /* how long the one stood still */
	double due;        /* enqueues that were due from the others meanwhile */
	double made;       /* that they made */
	double going;      /* how many of them made any */
	double worst;      /* ns: the longest enqueue of the others, that had begun before the stall ended */
	double worst_room; /* of those that did not meet a full queue */
};

/* A round of OPEN in which one more producer stands still in the middle of its enqueue. */
void bench_run_stalled_round(const struct bench_queue *queue, unsigned producers, double rate, uint64_t nsec,
                             struct bench_stalled_round *round);

/* Whether a queue is measured in this round (from 0): those that take seconds to come to a stop are in fewer of them. */
static inline bool bench_takes_part(const struct bench_queue *queue, unsigned producers, unsigned round)
{
	return producers <= 2 || queue->rounds_max == 0 || round < (bench_quick ? 1 : queue->rounds_max);
}

#endif
