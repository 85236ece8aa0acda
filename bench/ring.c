/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.c - the ring by itself, saturated, against other queues
 *
 * One comparison per number of producers: in every round each queue runs once for a fixed time (round.h), the order
 * moving on by one from round to round. In timed rounds the worst single enqueue is kept (queue.h).
 *
 * A worst enqueue is first of all the scheduler's: a producer that loses its processor between claim and publish has
 * lost it for as long as the others' slices last. So the length of a slice is measured (two threads on one processor;
 * the gaps in what each sees of the clock), and what the same number of threads see that use no queue at all.
 *
 * A producer that finds a lock-free peer full yields, which costs less than sleeping and starves some producers
 * completely (fairness 0.00); Penstock's sleeps. So there are two lines per number of producers: against every bounded
 * peer, and against those that sleep too.
 *
 * 64 against 2 producers is a comparison of its own, so that both belong to the same rounds.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/plot.h"
#include "bench/round.h"

#define ROUNDS 5
#define TIMED_ROUNDS 3
#define QUICK_COUNTS 2 /* of those of producers, where a case looks at all of them */
#define ROUND_NSEC 300000000
#define TIMED_ROUND_NSEC 200000000 /* no enqueue that is counted can have been worse than this and the stop */
#define SLICES_NSEC 300000000
#define GAP_NSEC 200000 /* longer than an interrupt, shorter than a slice */
#define SLICES_MAX 3.0

static const unsigned bench_counts[] = { 1, 2, 4, 8, 16, 32, 64 };
#define COUNTS (sizeof bench_counts / sizeof bench_counts[0])

/* ---- a scheduler slice ---- */

struct bench_gaps {
	double gaps[1024];
	size_t count;
	pthread_barrier_t *start;
};

static void *bench_watch_gaps(void *arg)
{
	struct bench_gaps *gaps = arg;
	uint64_t last, end;

	pthread_barrier_wait(gaps->start);
	last = bench_nsec();
	end = last + SLICES_NSEC;
	while (last < end) {
		uint64_t now = bench_nsec();

		if (now - last > GAP_NSEC && gaps->count < sizeof gaps->gaps / sizeof gaps->gaps[0])
			gaps->gaps[gaps->count++] = (double)(now - last);
		last = now;
	}
	return NULL;
}

/* How long a thread runs while one other wants the same processor: ns. */
static double bench_slice(void)
{
	static double slice;
	static struct bench_gaps gaps[2];
	pthread_barrier_t start;
	pthread_attr_t attributes;
	pthread_t threads[2];
	cpu_set_t allowed, one;
	int cpu = 0;

	if (slice != 0)
		return slice;
	sched_getaffinity(0, sizeof allowed, &allowed);
	while (!CPU_ISSET(cpu, &allowed))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_attr_init(&attributes);
	pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		gaps[i].start = &start;
		if (pthread_create(&threads[i], &attributes, bench_watch_gaps, &gaps[i]) != 0)
			abort();
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	pthread_attr_destroy(&attributes);
	slice = bench_spread_of(gaps[0].gaps, gaps[0].count).median;
	if (slice == 0)
		slice = 4e6; /* it was never preempted; the usual length */
	return slice;
}

/* ---- all queues at one number of producers ---- */

struct bench_standing {
	const struct bench_queue *queue;
	struct bench_spread rate;
	struct bench_spread ratio; /* Penstock's rate by this one's, round by round */
	struct bench_spread fairness;
	struct bench_spread jain;
	struct bench_spread worst_room;
	struct bench_spread worst;
};

struct bench_comparison {
	struct bench_standing standings[BENCH_QUEUES_MAX + 1]; /* the last: no queue */
	size_t count;
	struct bench_comparison *next; /* of the next repetition */
};

static struct bench_comparison *bench_comparisons[COUNTS];

static void bench_compare_speed(struct bench_comparison *comparison, unsigned producers)
{
	static struct bench_round result[BENCH_QUEUES_MAX];
	double rate[BENCH_QUEUES_MAX][ROUNDS], ratio[BENCH_QUEUES_MAX][ROUNDS];
	double fairness[BENCH_QUEUES_MAX][ROUNDS], jain[BENCH_QUEUES_MAX][ROUNDS];
	size_t taken[BENCH_QUEUES_MAX] = { 0 }, n = comparison->count, i;
	unsigned rounds = bench_rounds(ROUNDS), r;

	for (r = 0; r < rounds; r++) {
		for (i = 0; i < n; i++) {
			size_t turn = (i + r) % n;

			if (bench_takes_part(comparison->standings[turn].queue, producers, r))
				bench_run_round(comparison->standings[turn].queue, producers, BENCH_SATURATED, 0, ROUND_NSEC,
				                &result[turn]);
		}
		for (i = 0; i < n; i++) {
			if (!bench_takes_part(comparison->standings[i].queue, producers, r))
				continue;
			rate[i][taken[i]] = result[i].rate;
			fairness[i][taken[i]] = result[i].fairness;
			jain[i][taken[i]] = result[i].jain;
			ratio[i][taken[i]++] = result[0].rate / (result[i].rate > 0 ? result[i].rate : 1);
		}
	}
	for (i = 0; i < n; i++) {
		comparison->standings[i].rate = bench_spread_of(rate[i], taken[i]);
		comparison->standings[i].ratio = bench_spread_of(ratio[i], taken[i]);
		comparison->standings[i].fairness = bench_spread_of(fairness[i], taken[i]);
		comparison->standings[i].jain = bench_spread_of(jain[i], taken[i]);
	}
}

static void bench_compare_worst(struct bench_comparison *comparison, unsigned producers)
{
	static struct bench_round result;
	double room[BENCH_QUEUES_MAX + 1][TIMED_ROUNDS], worst[BENCH_QUEUES_MAX + 1][TIMED_ROUNDS];
	size_t taken[BENCH_QUEUES_MAX + 1] = { 0 }, n = comparison->count + 1, i;
	unsigned rounds = bench_rounds(TIMED_ROUNDS), r;

	for (r = 0; r < rounds; r++) {
		for (i = 0; i < n; i++) {
			size_t turn = (i + r) % n;

			if (!bench_takes_part(comparison->standings[turn].queue, producers, r))
				continue;
			bench_run_round(comparison->standings[turn].queue, producers, BENCH_TIMED, 0, TIMED_ROUND_NSEC,
			                &result);
			room[turn][taken[turn]] = result.worst_room;
			worst[turn][taken[turn]++] = result.worst;
		}
	}
	for (i = 0; i < n; i++) {
		comparison->standings[i].worst_room = bench_spread_of(room[i], taken[i]);
		comparison->standings[i].worst = bench_spread_of(worst[i], taken[i]);
	}
}

static void bench_judge_ring(const struct bench_comparison *comparison, unsigned producers, bool sleeping)
{
	const struct bench_standing *nearest = NULL;
	struct bench_target target = { .limit = 1, .unit = " x", .decimals = 2 };
	size_t i;

	for (i = 0; i < comparison->count; i++) {
		const struct bench_standing *each = &comparison->standings[i];

		if (each->queue->bounded && (each->queue->sleeps || !sleeping) &&
		    (nearest == NULL || each->ratio.median < nearest->ratio.median))
			nearest = each;
	}
	target.figure = nearest->ratio;
	target.line = sleeping ? BENCH_NO_LINE : BENCH_LINE_RING;
	snprintf(target.what, sizeof target.what, "ring, %u producers: by the best bounded peer%s (%s)", producers,
	         sleeping ? " that sleeps" : "", nearest->queue->name);
	bench_judge(&target);
}

static void bench_plot_ring(const struct bench_comparison *comparison, unsigned producers)
{
	static char note[300];
	char names[200] = "";

	for (size_t i = 0; i < comparison->count; i++) {
		const struct bench_queue *queue = comparison->standings[i].queue;
		size_t length = strlen(names);

		bench_plot_point("ring", queue->name, producers, comparison->standings[i].rate);
		if (i > 0 && !queue->bounded)
			snprintf(names + length, sizeof names - length, "%s%s", length == 0 ? "" : ", ", queue->name);
	}
	snprintf(note, sizeof note, "For reference only (no bound, no order across producers, or a variant of ours): %s.",
	         names);
	bench_plot_describe("ring", NULL, NULL, names[0] == '\0' ? NULL : note);
}

static struct bench_comparison *bench_compare_now(unsigned producers)
{
	const struct bench_queue *const *queues = bench_queues();
	struct bench_comparison *comparison = bench_allocate(sizeof *comparison);

	for (; queues[comparison->count] != NULL; comparison->count++)
		comparison->standings[comparison->count].queue = queues[comparison->count];
	comparison->standings[comparison->count].queue = &bench_no_queue;
	bench_compare_speed(comparison, producers);
	bench_compare_worst(comparison, producers);
	bench_judge_ring(comparison, producers, false);
	bench_judge_ring(comparison, producers, true);
	bench_plot_ring(comparison, producers);
	return comparison;
}

static const struct bench_comparison *bench_compare_queues(unsigned index, unsigned repetition)
{
	struct bench_comparison **place = &bench_comparisons[index];

	for (; *place != NULL && repetition > 0; repetition--)
		place = &(*place)->next;
	if (*place == NULL)
		*place = bench_compare_now(bench_counts[index]);
	return *place;
}

static void bench_run_ring(struct bench_case *self)
{
	const struct bench_comparison *comparison = bench_compare_queues(self->number, self->repetition);
	const struct bench_queue *queue = self->what;
	const struct bench_standing *standing = comparison->standings;

	while (standing->queue != queue)
		standing++;
	bench_say(self, "worst_us", standing->worst.median / 1e3);
	bench_say(self, "worst_us_max", standing->worst.max / 1e3);
	bench_say(self, "worst_with_room_us", standing->worst_room.median / 1e3);
	if (queue == &bench_no_queue)
		return;
	bench_say_rate(self, standing->rate);
	bench_say_spread(self, "penstock_by_this", standing->ratio);
	bench_say_spread(self, "fairness", standing->fairness);
	bench_say_spread(self, "jain", standing->jain);
}

/* ---- the worst enqueue, in slices ---- */

static void bench_judge_worst(const char *kind, enum bench_line line, struct bench_spread figure)
{
	struct bench_target target = {
		.line = line, .figure = figure, .limit = SLICES_MAX, .at_most = true, .unit = " sl.", .decimals = 2
	};

	snprintf(target.what, sizeof target.what, "ring, worst enqueue of any count, %s", kind);
	bench_judge(&target);
}

static void bench_run_worst(struct bench_case *self)
{
	double slice = bench_slice();
	struct bench_spread worst = { 0 }, room = { 0 }, none = { 0 };
	unsigned counts = bench_quick ? QUICK_COUNTS : COUNTS;

	for (unsigned i = 0; i < counts; i++) {
		const struct bench_comparison *comparison = bench_compare_queues(i, self->repetition);
		const struct bench_standing *penstock = &comparison->standings[0];
		const struct bench_standing *nothing = &comparison->standings[comparison->count];

		if (penstock->worst.median >= worst.median)
			worst = penstock->worst;
		if (penstock->worst_room.median >= room.median)
			room = penstock->worst_room;
		if (nothing->worst.median >= none.median)
			none = nothing->worst;
	}
	worst = bench_spread_by(worst, slice);
	room = bench_spread_by(room, slice);
	bench_say(self, "slice_us", slice / 1e3);
	bench_say_spread(self, "worst_slices", worst);
	bench_say_spread(self, "worst_with_room_slices", room);
	bench_say(self, "no_queue_slices", none.median / slice);
	bench_judge_worst("with room", BENCH_NO_LINE, room);
	bench_judge_worst("waiting for room included", BENCH_LINE_WORST, worst);
}

/* ---- 64 against 2 ---- */

static void bench_run_scaling(struct bench_case *self)
{
	const struct bench_queue *penstock = bench_queues()[0];
	struct bench_target target = { .what = "ring, 64 producers by 2 producers", .limit = 0.7, .unit = " x", .decimals = 2 };
	static struct bench_round two, many;
	unsigned rounds = bench_rounds(ROUNDS), r;
	double ratio[ROUNDS], rate[ROUNDS];

	for (r = 0; r < rounds; r++) {
		bench_run_round(penstock, 2, BENCH_SATURATED, 0, ROUND_NSEC, &two);
		bench_run_round(penstock, 64, BENCH_SATURATED, 0, ROUND_NSEC, &many);
		rate[r] = many.rate;
		ratio[r] = many.rate / two.rate;
	}
	target.figure = bench_spread_of(ratio, rounds);
	bench_say_rate(self, bench_spread_of(rate, rounds));
	bench_say_spread(self, "64_by_2", target.figure);
	bench_judge(&target);
}

static void bench_add_ring_case(const struct bench_queue *queue, unsigned index, bool has_target)
{
	struct bench_case each = {
		.run = bench_run_ring, .what = queue, .number = index, .has_target = has_target, .line = BENCH_LINE_RING
	};

	snprintf(each.name, sizeof each.name, "ring/%s/producers:%u", queue->name, bench_counts[index]);
	bench_add(&each);
}

void bench_add_ring(void)
{
	const struct bench_queue *const *queues = bench_queues();
	struct bench_case scaling = { .name = "ring_scaling/penstock", .run = bench_run_scaling, .has_target = true };
	struct bench_case worst = {
		.name = "ring_worst/penstock", .run = bench_run_worst, .has_target = true, .line = BENCH_LINE_WORST
	};

	for (unsigned c = 0; c < COUNTS; c++) {
		for (size_t i = 0; queues[i] != NULL; i++)
			bench_add_ring_case(queues[i], c, i == 0);
		bench_add_ring_case(&bench_no_queue, c, false);
	}
	bench_add(&scaling);
	bench_add(&worst);
}
