/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/crew.h"

#include <stdio.h>
#include <stdlib.h>

static void *bench_hand_run(void *arg)
{
	struct bench_hand *hand = arg;

	if (hand->crew->ready != NULL)
		hand->crew->ready(hand);
	/* All are ready, and off. */
	pthread_barrier_wait(&hand->crew->barrier);
	pthread_barrier_wait(&hand->crew->barrier);
	if (hand->message[0] == '\0')
		hand->crew->work(hand);
	return NULL;
}

void bench_crew_begin(struct bench_crew *crew)
{
	pthread_barrier_init(&crew->barrier, NULL, crew->count + 1);
	for (unsigned i = 0; i < crew->count; i++) {
		crew->hands[i] = (struct bench_hand){ .crew = crew, .number = i };
		if (pthread_create(&crew->hands[i].id, NULL, bench_hand_run, &crew->hands[i]) != 0) {
			fprintf(stderr, "penstock-bench: no thread can be created\n");
			exit(1);
		}
	}
	pthread_barrier_wait(&crew->barrier);
	crew->started = bench_nsec();
	pthread_barrier_wait(&crew->barrier);
}

bool bench_crew_end(struct bench_case *self, struct bench_crew *crew)
{
	const char *failed = NULL;

	for (unsigned i = 0; i < crew->count; i++) {
		pthread_join(crew->hands[i].id, NULL);
		if (failed == NULL && crew->hands[i].message[0] != '\0')
			failed = crew->hands[i].message;
	}
	crew->ended = bench_nsec();
	pthread_barrier_destroy(&crew->barrier);
	if (failed != NULL)
		bench_fail(self, "%s", failed);
	return failed == NULL;
}
