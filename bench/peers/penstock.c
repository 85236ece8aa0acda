/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * penstock.c - queue/ring.h, as the engine uses it
 *
 *   penstock    a producer that finds the ring full sleeps on ring->room and is woken when a tenth is free; the consumer
 *               uses records where they lie, gives slots back in groups, and when it has looked at an empty ring for a
 *               while it parks
 *   penstock+y  the same, but a producer that finds it full yields, as those of the lock-free peers do. For reference:
 *               the engine does not
 */
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peers.h"
#include "core/clock.h"
#include "queue/ring.h"

_Static_assert(sizeof(struct bench_record) == sizeof(struct ps_record), "every queue moves what a slot of Penstock holds");

static void *bench_penstock_open(void)
{
	struct ps_ring *ring = bench_allocate(sizeof *ring);

	if (!ps_ring_init(ring, BENCH_CAPACITY))
		abort();
	return ring;
}

static void bench_penstock_close(void *queue)
{
	ps_ring_destroy(queue);
	free(queue);
}

/* As pass and pass_when_room in writer/submit.c do it. True: it had to wait. */
static bool bench_penstock_claim(struct ps_ring *ring, struct ps_claim *claim)
{
	bool waited = false;

	while (!ps_ring_claim(ring, claim)) {
		uint32_t key = ps_eventcount_prepare(&ring->room);

		waited = true;
		if (ps_ring_claim(ring, claim)) {
			ps_eventcount_cancel(&ring->room);
			break;
		}
		ps_eventcount_wait(&ring->room, key, PS_NEVER);
	}
	return waited;
}

static inline bool bench_penstock_enqueue(struct ps_ring *ring, const struct bench_record *record)
{
	struct ps_claim claim;
	bool waited = bench_penstock_claim(ring, &claim);

	memcpy(claim.record, record, sizeof *record);
	ps_ring_publish(ring, &claim);
	return waited;
}

static void bench_penstock_produce(struct bench_producer *me)
{
	struct bench_record record = { { 0 } };

	BENCH_PRODUCE(me, record, bench_penstock_enqueue(me->queue, &record));
}

static void bench_penstock_idle(struct ps_ring *ring, uint64_t next, unsigned *looks)
{
	bool slept;

	if (++*looks < BENCH_EMPTY_STALLS)
		bench_pause();
	else if (*looks < BENCH_EMPTY_STALLS + BENCH_EMPTY_YIELDS || ps_ring_park(ring, next, PS_NEVER, &slept) == PS_PARK_HOLE)
		sched_yield();
}

static void bench_penstock_consume(struct bench_consumer *me)
{
	struct ps_ring *ring = me->queue;
	uint64_t next = 0;
	unsigned looks = 0;

	for (;;) {
		bool last = bench_flag(&me->drained);
		uint64_t first = next;
		const struct ps_record *record;

		while (next - first < BENCH_GROUP && (record = ps_ring_peek(ring, next)) != NULL) {
			bench_look_at(me, (const struct bench_record *)(const void *)record);
			next++;
		}
		if (next != first) {
			ps_ring_release(ring, next);
			__atomic_store_n(&me->count, next, __ATOMIC_RELAXED);
			looks = 0;
		} else if (last) {
			return;
		} else {
			bench_penstock_idle(ring, next, &looks);
		}
	}
}

static void bench_penstock_wake(void *queue)
{
	struct ps_ring *ring = queue;

	ps_store_release_u32(&ring->attention, 1);
	ps_ring_kick(ring);
}

static void bench_penstock_stall(struct bench_stall *me)
{
	struct ps_claim claim;

	bench_penstock_claim(me->queue, &claim);
	bench_stall_here(me);
	memset(claim.record, 0, sizeof *claim.record);
	ps_ring_publish(me->queue, &claim);
}

/* As the lock-free peers do it. */
static inline bool bench_yielding_enqueue(struct ps_ring *ring, const struct bench_record *record)
{
	struct ps_claim claim;
	bool waited = false;

	while (!ps_ring_claim(ring, &claim)) {
		waited = true;
		sched_yield();
	}
	memcpy(claim.record, record, sizeof *record);
	ps_ring_publish(ring, &claim);
	return waited;
}

static void bench_yielding_produce(struct bench_producer *me)
{
	struct bench_record record = { { 0 } };

	BENCH_PRODUCE(me, record, bench_yielding_enqueue(me->queue, &record));
}

const struct bench_queue bench_penstock_queue = {
	.name = "penstock",
	.sleeps = true,
	.open = bench_penstock_open,
	.close = bench_penstock_close,
	.produce = bench_penstock_produce,
	.consume = bench_penstock_consume,
	.wake = bench_penstock_wake,
	.stall = bench_penstock_stall,
};

const struct bench_queue bench_yielding_queue = {
	.name = "penstock+y",
	.reference = true,
	.open = bench_penstock_open,
	.close = bench_penstock_close,
	.produce = bench_yielding_produce,
	.consume = bench_penstock_consume,
	.wake = bench_penstock_wake,
	.stall = bench_penstock_stall,
};
