/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ck_ring.c - Concurrency Kit's ring, mpsc: it publishes in claim order, so a producer that loses its processor between
 * the two stalls the others, who spin
 */
#include <stdlib.h>

#include <ck_ring.h>

#include "bench/peers/peers.h"

CK_RING_PROTOTYPE(bench, bench_record)

struct bench_ck {
	struct ck_ring ring BENCH_OWN_LINE;
	struct bench_record records[BENCH_CAPACITY] BENCH_OWN_LINE;
};

static void *bench_ck_open(void)
{
	struct bench_ck *queue = bench_allocate(sizeof *queue);

	ck_ring_init(&queue->ring, BENCH_CAPACITY);
	return queue;
}

static inline bool bench_ck_enqueue(struct bench_ck *queue, struct bench_record *record)
{
	bool waited = false;

	while (!CK_RING_ENQUEUE_MPSC(bench, &queue->ring, queue->records, record)) {
		waited = true;
		sched_yield();
	}
	return waited;
}

static void bench_ck_produce(struct bench_producer *me)
{
	struct bench_record record = { { 0 } };

	BENCH_PRODUCE(me, record, bench_ck_enqueue(me->queue, &record));
}

static inline uint64_t bench_ck_dequeue(struct bench_ck *queue, struct bench_consumer *me)
{
	struct bench_record record;

	if (!CK_RING_DEQUEUE_MPSC(bench, &queue->ring, queue->records, &record))
		return 0;
	bench_look_at(me, &record);
	return 1;
}

static void bench_ck_consume(struct bench_consumer *me)
{
	BENCH_CONSUME(me, bench_ck_dequeue(me->queue, me));
}

static void bench_ck_stall(struct bench_stall *me)
{
	struct bench_ck *queue = me->queue;
	struct bench_record *record;
	unsigned ticket;

	while ((record = CK_RING_ENQUEUE_RESERVE_MPSC(bench, &queue->ring, queue->records, &ticket)) == NULL)
		sched_yield();
	bench_stall_here(me);
	*record = (struct bench_record){ { 0 } };
	ck_ring_enqueue_commit_mpsc(&queue->ring, ticket);
}

const struct bench_queue bench_ck_queue = {
	.name = "ck_ring",
	.bounded = true,
	.rounds_max = 3,
	.open = bench_ck_open,
	.close = free,
	.produce = bench_ck_produce,
	.consume = bench_ck_consume,
	.stall = bench_ck_stall,
};
