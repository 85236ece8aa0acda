/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew.h - N threads that are let go together
 *
 * Each prepares (opens its connection, fills its row), waits at a barrier until all have, works, and ends. The time runs from just
 * before they are let go, since the thread that does it may not get a processor soon after, to the end of the last.
 */
#ifndef PENSTOCK_BENCH_CREW_H
#define PENSTOCK_BENCH_CREW_H

#include <pthread.h>

#include "bench/bench.h"

#define BENCH_CREW_MAX 64

struct bench_crew;

struct bench_hand {
	struct bench_crew *crew;
	unsigned number;   /* from 0 */
	void *own;         /* the thread's, for whoever comes after it to clean up */
	char message[200]; /* not empty: it failed */
	pthread_t id;
};

typedef void bench_work(struct bench_hand *hand);

struct bench_crew {
	void *context;     /* shared by all */
	bench_work *ready; /* or NULL */
	bench_work *work;  /* not called when ready has left a message */
	unsigned count;

	struct bench_hand hands[BENCH_CREW_MAX];
	pthread_barrier_t barrier;
	uint64_t started; /* nsec */
	uint64_t ended;
};

/* Lets them go; ends the program when there are no threads to be had. */
void bench_crew_begin(struct bench_crew *crew);
/* Waits for all; false: the case failed. */
bool bench_crew_end(struct bench_case *self, struct bench_crew *crew);

#endif
