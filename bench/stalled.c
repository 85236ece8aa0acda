/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stalled.c - a producer that stands still in the middle of its enqueue, and what the others still get
 *
 * Seven producers in an open loop (think.c), slow enough that what they have to enqueue during the stall fits into the
 * queue; an eighth takes its place in the queue and sleeps there before the record can be seen, as a thread does that
 * loses its processor. The consumer of a FIFO queue cannot pass that place: that is order, and no flaw. What tells
 * queues apart is whether the other producers can go on into the room there is.
 *
 * Where each queue is stopped: Penstock and cas-seq between claim and publish; mutex inside the lock; ck_ring between
 * reserve and commit, which its interface has; wfcqueue between the exchange of the tail and the link, by hand, since its
 * interface has no such place; the C++ queues in the copy of the record, which they make when they have their place.
 * (moodycamel's producers have a queue each, so there nobody meets the one that stands still.)
 */
#include <stdio.h>

#include "bench/round.h"

#define PRODUCERS 8
#define ROUNDS 5
#define STALL_MSEC 50
#define RATE 40000 /* 2000 in a stall, half of what the queue holds */

_Static_assert(STALL_MSEC *RATE / 1000 * 2 <= BENCH_CAPACITY, "what is due during a stall fits into the queue");

struct bench_standing {
	const struct bench_queue *queue;
	struct bench_spread rate; /* enqueues a second of the others, during the stall */
	struct bench_spread part; /* of what was due */
	struct bench_spread going;
	struct bench_spread worst;
	struct bench_spread worst_room;
};

struct bench_comparison {
	struct bench_standing standings[BENCH_QUEUES_MAX];
	struct bench_comparison *next; /* of the next repetition */
};

static struct bench_comparison *bench_comparisons;

static struct bench_comparison *bench_compare_now(void)
{
	static double rate[BENCH_QUEUES_MAX][ROUNDS], part[BENCH_QUEUES_MAX][ROUNDS], going[BENCH_QUEUES_MAX][ROUNDS];
	static double worst[BENCH_QUEUES_MAX][ROUNDS], room[BENCH_QUEUES_MAX][ROUNDS];
	const struct bench_queue *const *queues = bench_queues();
	struct bench_comparison *comparison = bench_allocate(sizeof *comparison);
	unsigned rounds = bench_rounds(ROUNDS), r;
	size_t n = 0, i;

	for (; queues[n] != NULL; n++)
		comparison->standings[n].queue = queues[n];
	for (r = 0; r < rounds; r++) {
		for (i = 0; i < n; i++) {
			size_t turn = (i + r) % n;
			const struct bench_queue *queue = queues[turn];
			struct bench_stalled_round round;

			bench_run_stalled_round(queue->stalled != NULL ? queue->stalled : queue, PRODUCERS - 1, RATE,
			                        STALL_MSEC * UINT64_C(1000000), &round);
			rate[turn][r] = round.made / round.nsec * 1e9;
			part[turn][r] = round.made / round.due;
			going[turn][r] = round.going;
			worst[turn][r] = round.worst;
			room[turn][r] = round.worst_room;
		}
	}
	for (i = 0; i < n; i++) {
		comparison->standings[i].rate = bench_spread_of(rate[i], rounds);
		comparison->standings[i].part = bench_spread_of(part[i], rounds);
		comparison->standings[i].going = bench_spread_of(going[i], rounds);
		comparison->standings[i].worst = bench_spread_of(worst[i], rounds);
		comparison->standings[i].worst_room = bench_spread_of(room[i], rounds);
	}
	return comparison;
}

static void bench_run_stalled(struct bench_case *self)
{
	struct bench_comparison **place = &bench_comparisons;
	const struct bench_standing *standing;

	for (unsigned past = 0; *place != NULL && past < self->repetition; past++)
		place = &(*place)->next;
	if (*place == NULL)
		*place = bench_compare_now();
	for (standing = (*place)->standings; standing->queue != self->what;)
		standing++;
	bench_say_rate(self, standing->rate);
	bench_say_spread(self, "part_of_due", standing->part);
	bench_say_spread(self, "producers_going", standing->going);
	bench_say_spread(self, "worst_us", bench_spread_by(standing->worst, 1e3));
	bench_say_spread(self, "worst_with_room_us", bench_spread_by(standing->worst_room, 1e3));
	bench_say(self, "stall_us", STALL_MSEC * 1e3);
}

void bench_add_stalled(void)
{
	for (const struct bench_queue *const *queue = bench_queues(); *queue != NULL; queue++) {
		struct bench_case each = { .run = bench_run_stalled, .what = *queue };

		snprintf(each.name, sizeof each.name, "stalled/%s/producers:%u", (*queue)->name, PRODUCERS);
		bench_add(&each);
	}
}
