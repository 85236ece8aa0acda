/*
 * ring.c - the ring by itself, against other queues
 *
 * One comparison per number of producers: in every round each queue runs once for a fixed time, the order moving on by
 * one from round to round. What is counted lies between two readings of the clock while everything runs; starting and
 * stopping is outside. In timed rounds the worst single enqueue is kept (queue.h).
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
#include "bench/queue.h"

#define PRODUCERS_MAX 64
#define ROUNDS 5
#define TIMED_ROUNDS 3
#define ROUND_NSEC 300000000
#define TIMED_ROUND_NSEC 200000000 /* no enqueue that is counted can have been worse than this and the stop */
#define WARM_UP_NSEC 5000000
#define SLICES_NSEC 300000000
#define GAP_NSEC 200000 /* longer than an interrupt, shorter than a slice */
#define SLICES_MAX 3.0

static const unsigned bench_counts[] = { 1, 2, 4, 8, 16, 32, 64 };
#define COUNTS (sizeof bench_counts / sizeof bench_counts[0])

struct bench_round {
	double mops;
	double fairness; /* slowest producer / fastest producer */
	double worst_room;
	double worst;
};

/* ---- one round ---- */

struct bench_thread {
	const struct bench_queue *queue;
	pthread_barrier_t *start;
	struct bench_producer *producer; /* or */
	struct bench_consumer *consumer;
	pthread_t id;
};

static void *bench_thread_main(void *arg)
{
	struct bench_thread *thread = arg;

	pthread_barrier_wait(thread->start);
	if (thread->producer != NULL)
		thread->queue->produce(thread->producer);
	else
		thread->queue->consume(thread->consumer);
	return NULL;
}

static void bench_create(struct bench_thread *thread)
{
	if (pthread_create(&thread->id, NULL, bench_thread_main, thread) != 0) {
		fprintf(stderr, "bench: no thread can be created\n");
		exit(1);
	}
}

static void bench_counts_of(const struct bench_producer *producers, unsigned count, uint64_t *counts)
{
	for (unsigned i = 0; i < count; i++)
		counts[i] = __atomic_load_n(&producers[i].count, __ATOMIC_RELAXED);
}

static void bench_result_of(struct bench_round *round, const struct bench_producer *producers, unsigned count,
                            const uint64_t *before, const uint64_t *after, uint64_t nsec)
{
	uint64_t sum = 0, least = UINT64_MAX, most = 0;

	memset(round, 0, sizeof *round);
	for (unsigned i = 0; i < count; i++) {
		uint64_t made = after[i] - before[i];

		sum += made;
		least = made < least ? made : least;
		most = made > most ? made : most;
		if ((double)producers[i].worst_room > round->worst_room)
			round->worst_room = (double)producers[i].worst_room;
		if ((double)producers[i].worst_full > round->worst)
			round->worst = (double)producers[i].worst_full;
	}
	if (round->worst_room > round->worst)
		round->worst = round->worst_room;
	round->mops = (double)sum / (double)nsec * 1e3;
	round->fairness = most == 0 ? 0 : (double)least / (double)most;
}

static void bench_round_of(const struct bench_queue *queue, unsigned count, bool timed, struct bench_round *round)
{
	static struct bench_producer producers[PRODUCERS_MAX];
	static struct bench_consumer consumer;
	struct bench_thread threads[PRODUCERS_MAX + 1];
	uint64_t before[PRODUCERS_MAX], after[PRODUCERS_MAX], started, ended;
	void *opened = queue->open();
	pthread_barrier_t start;
	uint32_t stop = 0;
	unsigned i;

	memset(producers, 0, sizeof producers);
	memset(&consumer, 0, sizeof consumer);
	consumer.queue = opened;
	pthread_barrier_init(&start, NULL, count + 2);
	for (i = 0; i < count; i++) {
		producers[i].timed = timed;
		producers[i].stop = &stop;
		producers[i].queue = opened;
		threads[i] = (struct bench_thread){ .queue = queue, .start = &start, .producer = &producers[i] };
		bench_create(&threads[i]);
	}
	threads[count] = (struct bench_thread){ .queue = queue, .start = &start, .consumer = &consumer };
	bench_create(&threads[count]);
	pthread_barrier_wait(&start);
	bench_sleep_nsec(WARM_UP_NSEC);
	bench_counts_of(producers, count, before);
	started = bench_nsec();
	bench_sleep_nsec(bench_amount(timed ? TIMED_ROUND_NSEC : ROUND_NSEC));
	bench_counts_of(producers, count, after);
	ended = bench_nsec();
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < count; i++)
		pthread_join(threads[i].id, NULL);
	__atomic_store_n(&consumer.drained, 1, __ATOMIC_RELEASE);
	if (queue->wake != NULL)
		queue->wake(opened);
	pthread_join(threads[count].id, NULL);
	pthread_barrier_destroy(&start);
	queue->close(opened);
	bench_result_of(round, producers, count, before, after, ended - started);
}

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
	struct bench_spread mops;
	struct bench_spread ratio; /* Penstock's throughput by this one's, round by round */
	struct bench_spread fairness;
	struct bench_spread worst_room;
	struct bench_spread worst;
};

struct bench_comparison {
	bool measured;
	struct bench_standing standings[BENCH_QUEUES_MAX + 1]; /* the last: no queue */
	size_t count;
};

static struct bench_comparison bench_comparisons[COUNTS];

static bool bench_takes_part(const struct bench_queue *queue, unsigned producers, unsigned round)
{
	return producers <= 2 || queue->rounds_max == 0 || round < queue->rounds_max;
}

static void bench_compare_speed(struct bench_comparison *comparison, unsigned producers)
{
	double mops[BENCH_QUEUES_MAX][ROUNDS], ratio[BENCH_QUEUES_MAX][ROUNDS], fairness[BENCH_QUEUES_MAX][ROUNDS];
	size_t taken[BENCH_QUEUES_MAX] = { 0 }, n = comparison->count, i;
	unsigned rounds = bench_rounds(ROUNDS), r;
	struct bench_round result[BENCH_QUEUES_MAX];

	for (r = 0; r < rounds; r++) {
		for (i = 0; i < n; i++) {
			size_t turn = (i + r) % n;

			if (bench_takes_part(comparison->standings[turn].queue, producers, r))
				bench_round_of(comparison->standings[turn].queue, producers, false, &result[turn]);
		}
		for (i = 0; i < n; i++) {
			if (!bench_takes_part(comparison->standings[i].queue, producers, r))
				continue;
			mops[i][taken[i]] = result[i].mops;
			fairness[i][taken[i]] = result[i].fairness;
			ratio[i][taken[i]++] = result[0].mops / (result[i].mops > 0 ? result[i].mops : 1e-6);
		}
	}
	for (i = 0; i < n; i++) {
		comparison->standings[i].mops = bench_spread_of(mops[i], taken[i]);
		comparison->standings[i].ratio = bench_spread_of(ratio[i], taken[i]);
		comparison->standings[i].fairness = bench_spread_of(fairness[i], taken[i]);
	}
}

static void bench_compare_worst(struct bench_comparison *comparison, unsigned producers)
{
	double room[BENCH_QUEUES_MAX + 1][TIMED_ROUNDS], worst[BENCH_QUEUES_MAX + 1][TIMED_ROUNDS];
	size_t taken[BENCH_QUEUES_MAX + 1] = { 0 }, n = comparison->count + 1, i;
	unsigned rounds = bench_rounds(TIMED_ROUNDS), r;

	for (r = 0; r < rounds; r++) {
		for (i = 0; i < n; i++) {
			struct bench_round result;

			if (!bench_takes_part(comparison->standings[i].queue, producers, r))
				continue;
			bench_round_of(comparison->standings[i].queue, producers, true, &result);
			room[i][taken[i]] = result.worst_room;
			worst[i][taken[i]++] = result.worst;
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
	snprintf(target.what, sizeof target.what, "ring, %u producers: by the best bounded peer%s (%s)", producers,
	         sleeping ? " that sleeps" : "", nearest->queue->name);
	bench_judge(&target);
}

static void bench_plot_ring(const struct bench_comparison *comparison, unsigned producers)
{
	for (size_t i = 0; i < comparison->count; i++) {
		struct bench_spread rate = comparison->standings[i].mops;

		rate.median *= 1e6;
		rate.min *= 1e6;
		rate.max *= 1e6;
		bench_plot_point("ring", comparison->standings[i].queue->name, producers, rate);
	}
}

static const struct bench_comparison *bench_compare_queues(unsigned index)
{
	struct bench_comparison *comparison = &bench_comparisons[index];
	const struct bench_queue *const *queues = bench_queues();

	if (comparison->measured)
		return comparison;
	while (queues[comparison->count] != NULL) {
		comparison->standings[comparison->count].queue = queues[comparison->count];
		comparison->count++;
	}
	comparison->standings[comparison->count].queue = &bench_no_queue;
	bench_compare_speed(comparison, bench_counts[index]);
	bench_compare_worst(comparison, bench_counts[index]);
	bench_judge_ring(comparison, bench_counts[index], false);
	bench_judge_ring(comparison, bench_counts[index], true);
	bench_plot_ring(comparison, bench_counts[index]);
	comparison->measured = true;
	return comparison;
}

static void bench_run_ring(struct bench_case *self)
{
	const struct bench_comparison *comparison = bench_compare_queues(self->number);
	const struct bench_queue *queue = self->what;
	const struct bench_standing *standing = comparison->standings;

	while (standing->queue != queue)
		standing++;
	bench_say(self, "worst_us", standing->worst.median / 1e3);
	bench_say(self, "worst_us_max", standing->worst.max / 1e3);
	bench_say(self, "worst_with_room_us", standing->worst_room.median / 1e3);
	if (queue == &bench_no_queue)
		return;
	bench_say_seconds(self, 1e-6 / (standing->mops.median > 0 ? standing->mops.median : 1e-6));
	bench_say_spread(self, "Mops", standing->mops);
	bench_say_spread(self, "penstock_by_this", standing->ratio);
	bench_say(self, "fairness", standing->fairness.median);
}

/* ---- the worst enqueue, in slices ---- */

static struct bench_spread bench_in_slices(struct bench_spread spread, double slice)
{
	spread.median /= slice;
	spread.min /= slice;
	spread.max /= slice;
	return spread;
}

static void bench_judge_worst(const char *kind, struct bench_spread figure)
{
	struct bench_target target = {
		.figure = figure, .limit = SLICES_MAX, .at_most = true, .unit = " sl.", .decimals = 2
	};

	snprintf(target.what, sizeof target.what, "ring, worst enqueue of any count, %s", kind);
	bench_judge(&target);
}

static void bench_run_worst(struct bench_case *self)
{
	double slice = bench_slice();
	struct bench_spread worst = { 0 }, room = { 0 }, none = { 0 };

	for (unsigned i = 0; i < COUNTS; i++) {
		const struct bench_comparison *comparison = bench_compare_queues(i);
		const struct bench_standing *penstock = &comparison->standings[0];
		const struct bench_standing *nothing = &comparison->standings[comparison->count];

		if (penstock->worst.median >= worst.median)
			worst = penstock->worst;
		if (penstock->worst_room.median >= room.median)
			room = penstock->worst_room;
		if (nothing->worst.median >= none.median)
			none = nothing->worst;
	}
	worst = bench_in_slices(worst, slice);
	room = bench_in_slices(room, slice);
	bench_say(self, "slice_us", slice / 1e3);
	bench_say_spread(self, "worst_slices", worst);
	bench_say_spread(self, "worst_with_room_slices", room);
	bench_say(self, "no_queue_slices", none.median / slice);
	bench_judge_worst("with room", room);
	bench_judge_worst("waiting for room included", worst);
}

/* ---- 64 against 2 ---- */

static void bench_run_scaling(struct bench_case *self)
{
	const struct bench_queue *penstock = bench_queues()[0];
	struct bench_target target = {
		.what = "ring, 64 producers by 2 producers", .limit = 0.7, .unit = " x", .decimals = 2
	};
	unsigned rounds = bench_rounds(ROUNDS), r;
	double ratio[ROUNDS];

	for (r = 0; r < rounds; r++) {
		struct bench_round two, many;

		bench_round_of(penstock, 2, false, &two);
		bench_round_of(penstock, 64, false, &many);
		ratio[r] = many.mops / two.mops;
	}
	target.figure = bench_spread_of(ratio, rounds);
	bench_say_spread(self, "64_by_2", target.figure);
	bench_judge(&target);
}

void bench_add_ring(void)
{
	const struct bench_queue *const *queues = bench_queues();
	struct bench_case scaling = { .name = "ring/64_by_2", .run = bench_run_scaling, .has_target = true };
	struct bench_case worst = { .name = "ring/worst", .run = bench_run_worst, .has_target = true };

	for (unsigned c = 0; c < COUNTS; c++) {
		for (size_t i = 0; queues[i] != NULL; i++) {
			struct bench_case each = {
				.run = bench_run_ring, .what = queues[i], .number = c, .has_target = i == 0
			};

			snprintf(each.name, sizeof each.name, "ring/%u/%s", bench_counts[c], queues[i]->name);
			bench_add(&each);
		}
		{
			struct bench_case each = { .run = bench_run_ring, .what = &bench_no_queue, .number = c };

			snprintf(each.name, sizeof each.name, "ring/%u/no_queue", bench_counts[c]);
			bench_add(&each);
		}
	}
	bench_add(&scaling);
	bench_add(&worst);
}
