/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * think.c - the ring with thinking time: an open loop
 *
 * All producers together have THINK_RATE enqueues a second to make, each by a schedule of its own with exponentially
 * distributed gaps; the rate is the same for every number of producers, so what differs is how many of them there are.
 * A producer sleeps until its next one is due, and one that is late does not push back the next, so a queue that is slow
 * for a while pays for all that came due meanwhile.
 *
 * Nearly always the queue is empty and the consumer has nothing to do: either it sleeps, and the enqueue that finds it
 * asleep pays for waking it, or it looks and looks. Hence the processor time of the whole process per enqueue stands
 * beside the times. `no_queue` shows what the timers and the scheduler alone cost, in both.
 */
#include <stdio.h>

#include "bench/plot.h"
#include "bench/round.h"

#define ROUNDS 3
#define ROUND_NSEC 300000000
#define THINK_RATE 50000.0

static const unsigned bench_counts[] = { 1, 2, 4, 8, 16, 32, 64 };
#define COUNTS (sizeof bench_counts / sizeof bench_counts[0])

struct bench_standing {
	const struct bench_queue *queue;
	struct bench_spread rate;
	struct bench_spread p50, p99;         /* of the enqueue: ns */
	struct bench_spread due_p50, due_p99; /* from when it was due until it was done: ns */
	struct bench_spread worst;
	struct bench_spread cpu_nsec;
};

struct bench_comparison {
	struct bench_standing standings[BENCH_QUEUES_MAX + 1];
	size_t count;
	struct bench_comparison *next; /* of the next repetition */
};

static struct bench_comparison *bench_comparisons[COUNTS];

/* One per figure, and of each one per round. */
struct bench_samples {
	double rate[ROUNDS], p50[ROUNDS], p99[ROUNDS], due_p50[ROUNDS], due_p99[ROUNDS], worst[ROUNDS], cpu[ROUNDS];
};

static void bench_sample_round(struct bench_samples *samples, unsigned r, const struct bench_round *round)
{
	samples->rate[r] = round->rate;
	samples->p50[r] = bench_histogram_quantile(&round->enqueue, 0.50);
	samples->p99[r] = bench_histogram_quantile(&round->enqueue, 0.99);
	samples->due_p50[r] = bench_histogram_quantile(&round->since_due, 0.50);
	samples->due_p99[r] = bench_histogram_quantile(&round->since_due, 0.99);
	samples->worst[r] = round->worst;
	samples->cpu[r] = round->cpu_nsec;
}

static void bench_stand(struct bench_standing *standing, struct bench_samples *samples, unsigned rounds)
{
	standing->rate = bench_spread_of(samples->rate, rounds);
	standing->p50 = bench_spread_of(samples->p50, rounds);
	standing->p99 = bench_spread_of(samples->p99, rounds);
	standing->due_p50 = bench_spread_of(samples->due_p50, rounds);
	standing->due_p99 = bench_spread_of(samples->due_p99, rounds);
	standing->worst = bench_spread_of(samples->worst, rounds);
	standing->cpu_nsec = bench_spread_of(samples->cpu, rounds);
}

static struct bench_comparison *bench_compare_now(unsigned producers)
{
	static struct bench_samples samples[BENCH_QUEUES_MAX + 1];
	static struct bench_round round;
	const struct bench_queue *const *queues = bench_queues();
	struct bench_comparison *comparison = bench_allocate(sizeof *comparison);
	unsigned taken[BENCH_QUEUES_MAX + 1] = { 0 }, rounds = bench_rounds(ROUNDS), r;
	size_t n, i;

	for (n = 0; queues[n] != NULL; n++)
		comparison->standings[n].queue = queues[n];
	comparison->standings[n++].queue = &bench_no_queue;
	for (r = 0; r < rounds; r++) {
		for (i = 0; i < n; i++) {
			size_t turn = (i + r) % n;

			if (!bench_takes_part(comparison->standings[turn].queue, producers, r))
				continue;
			bench_run_round(comparison->standings[turn].queue, producers, BENCH_OPEN, THINK_RATE, ROUND_NSEC,
			                &round);
			bench_sample_round(&samples[turn], taken[turn]++, &round);
		}
	}
	for (i = 0; i < n; i++) {
		bench_stand(&comparison->standings[i], &samples[i], taken[i]);
		bench_plot_point("ring_think", comparison->standings[i].queue->name, producers,
		                 comparison->standings[i].due_p99);
	}
	bench_plot_describe("ring_think", "producers", "ns from due to enqueued, p99", NULL);
	comparison->count = n;
	return comparison;
}

static void bench_run_think(struct bench_case *self)
{
	struct bench_comparison **place = &bench_comparisons[self->number];
	const struct bench_standing *standing;

	for (unsigned past = 0; *place != NULL && past < self->repetition; past++)
		place = &(*place)->next;
	if (*place == NULL)
		*place = bench_compare_now(bench_counts[self->number]);
	for (standing = (*place)->standings; standing->queue != self->what;)
		standing++;
	bench_say_spread(self, "items_per_second", standing->rate);
	bench_say_seconds(self, standing->p50.median / 1e9);
	bench_say(self, "asked_per_second", THINK_RATE);
	bench_say_spread(self, "p50_ns", standing->p50);
	bench_say_spread(self, "p99_ns", standing->p99);
	bench_say_spread(self, "worst_us", bench_spread_by(standing->worst, 1e3));
	bench_say(self, "due_p50_us", standing->due_p50.median / 1e3);
	bench_say_spread(self, "due_p99_us", bench_spread_by(standing->due_p99, 1e3));
	bench_say_spread(self, "cpu_us", bench_spread_by(standing->cpu_nsec, 1e3));
}

static void bench_add_think_case(const struct bench_queue *queue, unsigned index)
{
	struct bench_case each = { .run = bench_run_think, .what = queue, .number = index };

	snprintf(each.name, sizeof each.name, "ring_think/%s/producers:%u", queue->name, bench_counts[index]);
	bench_add(&each);
}

void bench_add_think(void)
{
	const struct bench_queue *const *queues = bench_queues();

	for (unsigned c = 0; c < COUNTS; c++) {
		for (size_t i = 0; queues[i] != NULL; i++)
			bench_add_think_case(queues[i], c);
		bench_add_think_case(&bench_no_queue, c);
	}
}
