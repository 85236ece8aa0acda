/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mutex.c - a ring under a pthread mutex and two condition variables, with Penstock's batching
 *
 * The consumer takes a group under one lock and uses it outside. Producers that found the ring full are woken when a
 * tenth is free; the consumer sleeps when there is nothing, and is signalled only when it does.
 */
#include <pthread.h>
#include <stdlib.h>

#include "bench/peers/peers.h"

struct bench_locked {
	pthread_mutex_t mutex BENCH_OWN_LINE;
	pthread_cond_t room;
	pthread_cond_t work;
	unsigned waiting_producers;
	bool consumer_waits;
	bool woken;
	uint64_t head;
	uint64_t tail;
	struct bench_record records[BENCH_CAPACITY] BENCH_OWN_LINE;
};

static void *bench_locked_open(void)
{
	struct bench_locked *queue = bench_allocate(sizeof *queue);

	pthread_mutex_init(&queue->mutex, NULL);
	pthread_cond_init(&queue->room, NULL);
	pthread_cond_init(&queue->work, NULL);
	return queue;
}

static inline bool bench_locked_enqueue(struct bench_locked *queue, const struct bench_record *record)
{
	bool waited = false;

	pthread_mutex_lock(&queue->mutex);
	while (queue->tail - queue->head == BENCH_CAPACITY) {
		waited = true;
		queue->waiting_producers++;
		pthread_cond_wait(&queue->room, &queue->mutex);
		queue->waiting_producers--;
	}
	queue->records[queue->tail++ % BENCH_CAPACITY] = *record;
	if (queue->consumer_waits)
		pthread_cond_signal(&queue->work);
	pthread_mutex_unlock(&queue->mutex);
	return waited;
}

static void bench_locked_produce(struct bench_producer *me)
{
	struct bench_record record = { { 0 } };

	BENCH_PRODUCE(me, record, bench_locked_enqueue(me->queue, &record));
}

static inline uint64_t bench_locked_dequeue(struct bench_locked *queue, struct bench_consumer *me)
{
	struct bench_record records[BENCH_GROUP];
	uint64_t taken = 0, i;

	pthread_mutex_lock(&queue->mutex);
	queue->consumer_waits = true;
	while (queue->tail == queue->head && !queue->woken)
		pthread_cond_wait(&queue->work, &queue->mutex);
	queue->consumer_waits = false;
	while (queue->head != queue->tail && taken < BENCH_GROUP)
		records[taken++] = queue->records[queue->head++ % BENCH_CAPACITY];
	/* The same hysteresis as Penstock's: a wake is worth its price when a tenth is free. */
	if (queue->waiting_producers > 0 && BENCH_CAPACITY - (queue->tail - queue->head) >= BENCH_CAPACITY / 10)
		pthread_cond_broadcast(&queue->room);
	pthread_mutex_unlock(&queue->mutex);
	for (i = 0; i < taken; i++)
		bench_look_at(me, &records[i]);
	return taken;
}

static void bench_locked_consume(struct bench_consumer *me)
{
	BENCH_CONSUME(me, bench_locked_dequeue(me->queue, me));
}

/* A producer that loses its processor inside the lock. */
static void bench_locked_stall(struct bench_stall *me)
{
	struct bench_locked *queue = me->queue;

	pthread_mutex_lock(&queue->mutex);
	bench_stall_here(me);
	pthread_mutex_unlock(&queue->mutex);
}

static void bench_locked_wake(void *opaque)
{
	struct bench_locked *queue = opaque;

	pthread_mutex_lock(&queue->mutex);
	queue->woken = true;
	pthread_cond_broadcast(&queue->work);
	pthread_mutex_unlock(&queue->mutex);
}

const struct bench_queue bench_locked_queue = {
	.name = "mutex",
	.bounded = true,
	.sleeps = true,
	.open = bench_locked_open,
	.close = free,
	.produce = bench_locked_produce,
	.consume = bench_locked_consume,
	.wake = bench_locked_wake,
	.stall = bench_locked_stall,
};
