/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cas_seq.c - Vyukov's bounded queue: compare-and-swap on the tail, a sequence per slot, records used where they lie
 *
 *   cas-seq    a producer that finds it full yields
 *   cas-seq+p  it sleeps the way Penstock's does: what is left of a difference is the ring's own
 */
#include <stdlib.h>

#include "bench/peers/peers.h"
#include "core/clock.h"
#include "queue/park.h"

struct bench_cell {
	uint64_t sequence;
	struct bench_record record;
} BENCH_OWN_LINE;

struct bench_vyukov {
	uint64_t tail BENCH_OWN_LINE;
	uint64_t head BENCH_OWN_LINE;             /* the consumer's alone */
	struct ps_eventcount room BENCH_OWN_LINE; /* of the variant that sleeps */
	struct bench_cell cells[BENCH_CAPACITY];
};

static void *bench_vyukov_open(void)
{
	struct bench_vyukov *queue = bench_allocate(sizeof *queue);
	uint64_t i;

	for (i = 0; i < BENCH_CAPACITY; i++)
		queue->cells[i].sequence = i;
	return queue;
}

/* The cell of the next ticket, NULL when the queue is full. */
static inline struct bench_cell *bench_vyukov_claim(struct bench_vyukov *queue, uint64_t *ticket)
{
	uint64_t tail = __atomic_load_n(&queue->tail, __ATOMIC_RELAXED);

	for (;;) {
		struct bench_cell *cell = &queue->cells[tail % BENCH_CAPACITY];
		uint64_t sequence = __atomic_load_n(&cell->sequence, __ATOMIC_ACQUIRE);
		int64_t ahead = (int64_t)(sequence - tail);

		if (ahead < 0)
			return NULL;
		if (ahead > 0) {
			tail = __atomic_load_n(&queue->tail, __ATOMIC_RELAXED);
		} else if (__atomic_compare_exchange_n(&queue->tail, &tail, tail + 1, true, __ATOMIC_RELAXED,
		                                       __ATOMIC_RELAXED)) {
			*ticket = tail;
			return cell;
		}
	}
}

static inline bool bench_vyukov_try(struct bench_vyukov *queue, const struct bench_record *record)
{
	uint64_t ticket;
	struct bench_cell *cell = bench_vyukov_claim(queue, &ticket);

	if (cell == NULL)
		return false;
	cell->record = *record;
	__atomic_store_n(&cell->sequence, ticket + 1, __ATOMIC_RELEASE);
	return true;
}

static void bench_vyukov_stall(struct bench_stall *me)
{
	struct bench_cell *cell;
	uint64_t ticket;

	while ((cell = bench_vyukov_claim(me->queue, &ticket)) == NULL)
		sched_yield();
	bench_stall_here(me);
	cell->record = (struct bench_record){ { 0 } };
	__atomic_store_n(&cell->sequence, ticket + 1, __ATOMIC_RELEASE);
}

static inline bool bench_vyukov_enqueue(struct bench_vyukov *queue, const struct bench_record *record)
{
	bool waited = false;

	while (!bench_vyukov_try(queue, record)) {
		waited = true;
		sched_yield();
	}
	return waited;
}

static void bench_vyukov_produce(struct bench_producer *me)
{
	struct bench_record record = { { 0 } };

	BENCH_PRODUCE(me, record, bench_vyukov_enqueue(me->queue, &record));
}

static inline uint64_t bench_vyukov_dequeue(struct bench_vyukov *queue, struct bench_consumer *me)
{
	struct bench_cell *cell = &queue->cells[queue->head % BENCH_CAPACITY];

	if (__atomic_load_n(&cell->sequence, __ATOMIC_ACQUIRE) != queue->head + 1)
		return 0;
	bench_look_at(me, &cell->record);
	__atomic_store_n(&cell->sequence, queue->head + BENCH_CAPACITY, __ATOMIC_RELEASE);
	queue->head++;
	return 1;
}

static void bench_vyukov_consume(struct bench_consumer *me)
{
	BENCH_CONSUME(me, bench_vyukov_dequeue(me->queue, me));
}

const struct bench_queue bench_vyukov_queue = {
	.name = "cas-seq",
	.bounded = true,
	.open = bench_vyukov_open,
	.close = free,
	.produce = bench_vyukov_produce,
	.consume = bench_vyukov_consume,
	.stall = bench_vyukov_stall,
};

static inline bool bench_sleeping_enqueue(struct bench_vyukov *queue, const struct bench_record *record)
{
	bool waited = false;

	while (!bench_vyukov_try(queue, record)) {
		uint32_t key = ps_eventcount_prepare(&queue->room);

		waited = true;
		if (bench_vyukov_try(queue, record)) {
			ps_eventcount_cancel(&queue->room);
			break;
		}
		ps_eventcount_wait(&queue->room, key, PS_NEVER);
	}
	return waited;
}

static void bench_sleeping_produce(struct bench_producer *me)
{
	struct bench_record record = { { 0 } };

	BENCH_PRODUCE(me, record, bench_sleeping_enqueue(me->queue, &record));
}

/* A group, and then the look at who waits, as ps_ring_release does it. */
static inline uint64_t bench_sleeping_dequeue(struct bench_vyukov *queue, struct bench_consumer *me)
{
	uint64_t taken = 0;

	while (taken < BENCH_GROUP && bench_vyukov_dequeue(queue, me) != 0)
		taken++;
	if (ps_eventcount_waited(&queue->room)) {
		uint64_t room = BENCH_CAPACITY - (__atomic_load_n(&queue->tail, __ATOMIC_RELAXED) - queue->head);

		if (room >= BENCH_CAPACITY / 10)
			ps_eventcount_wake(&queue->room, (uint32_t)room);
	}
	return taken;
}

static void bench_sleeping_consume(struct bench_consumer *me)
{
	BENCH_CONSUME(me, bench_sleeping_dequeue(me->queue, me));
}

const struct bench_queue bench_sleeping_queue = {
	.name = "cas-seq+p",
	.bounded = true,
	.sleeps = true,
	.open = bench_vyukov_open,
	.close = free,
	.produce = bench_sleeping_produce,
	.consume = bench_sleeping_consume,
	.stall = bench_vyukov_stall,
};
