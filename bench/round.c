/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/round.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define WARM_UP_NSEC 5000000
#define QUICK_PART 60             /* in quick mode a round takes this part of its time */
#define THINK_MOST 8.0            /* times the average */
#define STALL_AFTER_NSEC 20000000 /* what runs on behind a stall until the stop */

struct bench_thread {
	const struct bench_queue *queue;
	struct bench_producer *producer; /* or */
	struct bench_consumer *consumer;
	pthread_t id;
};

static struct bench_producer producers[BENCH_PRODUCERS_MAX];
static struct bench_consumer consumer;
static struct bench_histogram enqueues[BENCH_PRODUCERS_MAX], since_dues[BENCH_PRODUCERS_MAX];
static struct bench_thread threads[BENCH_PRODUCERS_MAX + 1];
static unsigned count;
static uint32_t stop;
static void *opened;
static pthread_barrier_t start;

/* ---- thinking ---- */

/* Exponentially distributed, so that producers meet as they please. */
static uint64_t bench_thought(struct bench_producer *me)
{
	double part;

	me->random ^= me->random << 13;
	me->random ^= me->random >> 7;
	me->random ^= me->random << 17;
	part = -log(((double)(me->random >> 11) + 1) / 9007199254740993.0);
	return (uint64_t)((double)me->think_nsec * (part < THINK_MOST ? part : THINK_MOST)) + 1;
}

uint64_t bench_think(struct bench_producer *me)
{
	uint64_t due = me->due;

	while (!bench_flag(me->stop)) {
		struct timespec until = { .tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000) };

		if (bench_nsec() >= due) {
			me->due = due + bench_thought(me);
			return due;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	return 0;
}

/* ---- threads ---- */

static void *bench_thread_main(void *arg)
{
	struct bench_thread *thread = arg;

	/* Whoever thinks sleeps as short as the timer can. */
	if (thread->producer != NULL && thread->producer->kind == BENCH_OPEN)
		prctl(PR_SET_TIMERSLACK, 1UL);
	pthread_barrier_wait(&start);
	if (thread->producer == NULL) {
		thread->queue->consume(thread->consumer);
		return NULL;
	}
	thread->producer->due = bench_nsec() + bench_thought(thread->producer);
	thread->queue->produce(thread->producer);
	return NULL;
}

static void bench_create(pthread_t *id, void *(*main_of)(void *), void *arg)
{
	if (pthread_create(id, NULL, main_of, arg) != 0) {
		fprintf(stderr, "penstock-bench: no thread can be created\n");
		exit(1);
	}
}

static void bench_start(const struct bench_queue *queue, unsigned wanted, enum bench_kind kind, double rate)
{
	count = wanted;
	stop = 0;
	opened = queue->open();
	memset(producers, 0, sizeof producers);
	memset(enqueues, 0, sizeof enqueues);
	memset(since_dues, 0, sizeof since_dues);
	memset(&consumer, 0, sizeof consumer);
	consumer.queue = opened;
	pthread_barrier_init(&start, NULL, count + 2);
	for (unsigned i = 0; i < count; i++) {
		producers[i].kind = kind;
		producers[i].stop = &stop;
		producers[i].queue = opened;
		producers[i].random = 88172645463325252u * (2 * i + 1);
		producers[i].think_nsec = kind == BENCH_OPEN ? (uint64_t)(1e9 * count / rate) : 1;
		producers[i].enqueue = &enqueues[i];
		producers[i].since_due = &since_dues[i];
		threads[i] = (struct bench_thread){ .queue = queue, .producer = &producers[i] };
		bench_create(&threads[i].id, bench_thread_main, &threads[i]);
	}
	threads[count] = (struct bench_thread){ .queue = queue, .consumer = &consumer };
	bench_create(&threads[count].id, bench_thread_main, &threads[count]);
	pthread_barrier_wait(&start);
	bench_sleep_nsec(WARM_UP_NSEC);
}

/*
 * Each producer numbers its records from 0, so the sum of all numbers is known when every record has arrived once (a
 * queue's own last record, and a stalled one, are 0). A figure of a queue that loses some is worth nothing.
 */
static void bench_check_sum(const struct bench_queue *queue)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += producers[i].count * (producers[i].count - 1) / 2;
	if (queue == &bench_no_queue || sum == consumer.sum)
		return;
	fprintf(stderr, "penstock-bench: %s: records were lost, or arrived twice\n", queue->name);
	exit(1);
}

static void bench_stop(const struct bench_queue *queue)
{
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i].id, NULL);
	__atomic_store_n(&consumer.drained, 1, __ATOMIC_RELEASE);
	if (queue->wake != NULL)
		queue->wake(opened);
	pthread_join(threads[count].id, NULL);
	pthread_barrier_destroy(&start);
	queue->close(opened);
	bench_check_sum(queue);
}

/* ---- what was counted ---- */

struct bench_instant {
	uint64_t nsec;
	uint64_t cpu_nsec;
	uint64_t counts[BENCH_PRODUCERS_MAX];
};

static void bench_look(struct bench_instant *instant)
{
	struct rusage usage;

	for (unsigned i = 0; i < count; i++)
		instant->counts[i] = __atomic_load_n(&producers[i].count, __ATOMIC_RELAXED);
	getrusage(RUSAGE_SELF, &usage);
	instant->cpu_nsec = ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000 +
	                    ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
	instant->nsec = bench_nsec();
}

static void bench_worst_of(double *worst, double *worst_room)
{
	*worst = *worst_room = 0;
	for (unsigned i = 0; i < count; i++) {
		*worst_room = fmax(*worst_room, (double)producers[i].worst_room);
		*worst = fmax(*worst, (double)producers[i].worst_full);
	}
	*worst = fmax(*worst, *worst_room);
}

static void bench_result_of(struct bench_round *round, const struct bench_instant *before, const struct bench_instant *after)
{
	double sum = 0, squares = 0, least = INFINITY, most = 0;

	memset(round, 0, sizeof *round);
	for (unsigned i = 0; i < count; i++) {
		double made = (double)(after->counts[i] - before->counts[i]);

		sum += made;
		squares += made * made;
		least = fmin(least, made);
		most = fmax(most, made);
		bench_histogram_add(&round->enqueue, &enqueues[i]);
		bench_histogram_add(&round->since_due, &since_dues[i]);
	}
	bench_worst_of(&round->worst, &round->worst_room);
	round->rate = sum / (double)(after->nsec - before->nsec) * 1e9;
	round->fairness = most == 0 ? 0 : least / most;
	round->jain = squares == 0 ? 0 : sum * sum / (count * squares);
	round->cpu_nsec = sum == 0 ? 0 : (double)(after->cpu_nsec - before->cpu_nsec) / sum;
}

void bench_run_round(const struct bench_queue *queue, unsigned wanted, enum bench_kind kind, double rate, uint64_t nsec,
                     struct bench_round *round)
{
	struct bench_instant before, after;

	bench_start(queue, wanted, kind, rate);
	bench_look(&before);
	bench_sleep_nsec(bench_quick ? nsec / QUICK_PART : nsec);
	bench_look(&after);
	bench_stop(queue);
	bench_result_of(round, &before, &after);
}

/* ---- one stands still ---- */

static const struct bench_queue *stalled_queue;

static void *bench_stall_main(void *arg)
{
	stalled_queue->stall(arg);
	return NULL;
}

void bench_run_stalled_round(const struct bench_queue *queue, unsigned wanted, double rate, uint64_t nsec,
                             struct bench_stalled_round *round)
{
	struct bench_stall stall = { 0 };
	struct bench_instant before, after;
	pthread_t stalled;

	memset(round, 0, sizeof *round);
	bench_start(queue, wanted, BENCH_OPEN, rate);
	stalled_queue = queue;
	stall.queue = opened;
	bench_create(&stalled, bench_stall_main, &stall);
	while (!bench_flag(&stall.inside))
		bench_sleep_nsec(10000);
	bench_look(&before);
	bench_sleep_nsec(nsec);
	bench_look(&after);
	__atomic_store_n(&stall.let_go, 1, __ATOMIC_RELEASE);
	bench_sleep_nsec(STALL_AFTER_NSEC);
	pthread_join(stalled, NULL);
	bench_stop(queue);
	for (unsigned i = 0; i < count; i++) {
		double made = (double)(after.counts[i] - before.counts[i]);

		round->made += made;
		round->going += made > 0;
	}
	round->nsec = (double)(after.nsec - before.nsec);
	round->due = rate * round->nsec / 1e9;
	bench_worst_of(&round->worst, &round->worst_room);
}
