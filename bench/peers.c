/*
 * peers.c - Penstock's ring and the C queues beside it
 *
 *   penstock    queue/ring.h, as the engine uses it: a producer that finds it full sleeps on ring->room and is woken
 *               when a tenth is free; the consumer uses records where they lie, gives slots back in groups, and when it
 *               has looked at an empty ring for a while it parks
 *   penstock+y  the same, but a producer that finds it full yields, as the peers' do. For reference: the engine does not
 *   cas-seq     Vyukov's bounded queue: compare-and-swap on the tail, a sequence per slot, records used where they lie
 *   cas-seq+p   the same, but with Penstock's way to sleep: what is left of a difference is the ring's own
 *   mutex       a ring under a pthread mutex and two condition variables; the consumer takes a group under one lock
 *   ck_ring     Concurrency Kit's, mpsc: publishes in claim order, so a preempted producer stalls the others
 *
 * A producer of a lock-free peer that finds it full offers the processor and tries again, as such queues are commonly
 * used: none of them has a way to sleep. That is cheaper than sleeping, and unfair (see the fairness column).
 */
#include "bench/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <ck_ring.h>

#include "bench/shim.h"
#include "core/clock.h"
#include "queue/ring.h"

_Static_assert(sizeof(struct bench_record) == sizeof(struct ps_record),
               "every queue moves what a slot of Penstock holds");

#define OWN_LINE __attribute__((aligned(128)))

static void *bench_allocate(size_t bytes)
{
	void *memory = aligned_alloc(128, (bytes + 127) / 128 * 128);

	if (memory == NULL)
		abort();
	/* Page faults belong to no round. */
	memset(memory, 0, bytes);
	return memory;
}

/* ---- Penstock's ---- */

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

/* As pass and pass_when_room in writer/engine.c do it. */
static bool bench_penstock_enqueue(struct ps_ring *ring, const struct bench_record *record)
{
	struct ps_claim claim;
	bool waited = false;

	while (!ps_ring_claim(ring, &claim)) {
		uint32_t key = ps_eventcount_prepare(&ring->room);

		waited = true;
		if (ps_ring_claim(ring, &claim)) {
			ps_eventcount_cancel(&ring->room);
			break;
		}
		ps_eventcount_wait(&ring->room, key, PS_NEVER);
	}
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
		bench_stall();
	else if (*looks < BENCH_EMPTY_STALLS + BENCH_EMPTY_YIELDS ||
	         ps_ring_park(ring, next, PS_NEVER, &slept) == PS_PARK_HOLE)
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
			ps_ring_prefetch(ring, next + 4);
			me->sum += *(const uint64_t *)(const void *)record;
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

/* As the lock-free peers do it. */
static bool bench_yielding_enqueue(struct ps_ring *ring, const struct bench_record *record)
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

static const struct bench_queue bench_yielding_queue = {
	.name = "penstock+y",
	.open = bench_penstock_open,
	.close = bench_penstock_close,
	.produce = bench_yielding_produce,
	.consume = bench_penstock_consume,
	.wake = bench_penstock_wake,
};

static const struct bench_queue bench_penstock_queue = {
	.name = "penstock",
	.open = bench_penstock_open,
	.close = bench_penstock_close,
	.produce = bench_penstock_produce,
	.consume = bench_penstock_consume,
	.wake = bench_penstock_wake,
};

/* ---- compare-and-swap and a sequence per slot ---- */

struct bench_cell {
	uint64_t sequence;
	struct bench_record record;
} OWN_LINE;

struct bench_vyukov {
	uint64_t tail OWN_LINE;
	uint64_t head OWN_LINE;             /* the consumer's alone */
	struct ps_eventcount room OWN_LINE; /* of the variant that sleeps */
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

static bool bench_vyukov_try(struct bench_vyukov *queue, const struct bench_record *record)
{
	uint64_t tail = __atomic_load_n(&queue->tail, __ATOMIC_RELAXED);

	for (;;) {
		struct bench_cell *cell = &queue->cells[tail % BENCH_CAPACITY];
		uint64_t sequence = __atomic_load_n(&cell->sequence, __ATOMIC_ACQUIRE);
		int64_t ahead = (int64_t)(sequence - tail);

		if (ahead < 0)
			return false;
		if (ahead > 0) {
			tail = __atomic_load_n(&queue->tail, __ATOMIC_RELAXED);
		} else if (__atomic_compare_exchange_n(&queue->tail, &tail, tail + 1, true, __ATOMIC_RELAXED,
		                                       __ATOMIC_RELAXED)) {
			cell->record = *record;
			__atomic_store_n(&cell->sequence, tail + 1, __ATOMIC_RELEASE);
			return true;
		}
	}
}

static bool bench_vyukov_enqueue(struct bench_vyukov *queue, const struct bench_record *record)
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

static uint64_t bench_vyukov_dequeue(struct bench_vyukov *queue, struct bench_consumer *me)
{
	struct bench_cell *cell = &queue->cells[queue->head % BENCH_CAPACITY];

	if (__atomic_load_n(&cell->sequence, __ATOMIC_ACQUIRE) != queue->head + 1)
		return 0;
	__builtin_prefetch(&queue->cells[(queue->head + 4) % BENCH_CAPACITY]);
	me->sum += cell->record.word[0];
	__atomic_store_n(&cell->sequence, queue->head + BENCH_CAPACITY, __ATOMIC_RELEASE);
	queue->head++;
	return 1;
}

static void bench_vyukov_consume(struct bench_consumer *me)
{
	BENCH_CONSUME(me, bench_vyukov_dequeue(me->queue, me));
}

static const struct bench_queue bench_vyukov_queue = {
	.name = "cas-seq",
	.bounded = true,
	.open = bench_vyukov_open,
	.close = free,
	.produce = bench_vyukov_produce,
	.consume = bench_vyukov_consume,
};

static bool bench_sleeping_enqueue(struct bench_vyukov *queue, const struct bench_record *record)
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
static uint64_t bench_sleeping_dequeue(struct bench_vyukov *queue, struct bench_consumer *me)
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

static const struct bench_queue bench_sleeping_queue = {
	.name = "cas-seq+p",
	.bounded = true,
	.sleeps = true,
	.open = bench_vyukov_open,
	.close = free,
	.produce = bench_sleeping_produce,
	.consume = bench_sleeping_consume,
};

/* ---- a mutex ---- */

struct bench_locked {
	pthread_mutex_t mutex OWN_LINE;
	pthread_cond_t room;
	pthread_cond_t work;
	unsigned waiting_producers;
	bool consumer_waits;
	bool woken;
	uint64_t head;
	uint64_t tail;
	struct bench_record records[BENCH_CAPACITY] OWN_LINE;
};

static void *bench_locked_open(void)
{
	struct bench_locked *queue = bench_allocate(sizeof *queue);

	pthread_mutex_init(&queue->mutex, NULL);
	pthread_cond_init(&queue->room, NULL);
	pthread_cond_init(&queue->work, NULL);
	return queue;
}

static bool bench_locked_enqueue(struct bench_locked *queue, const struct bench_record *record)
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

static uint64_t bench_locked_dequeue(struct bench_locked *queue, struct bench_consumer *me)
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
		me->sum += records[i].word[0];
	return taken;
}

static void bench_locked_consume(struct bench_consumer *me)
{
	BENCH_CONSUME(me, bench_locked_dequeue(me->queue, me));
}

static void bench_locked_wake(void *opaque)
{
	struct bench_locked *queue = opaque;

	pthread_mutex_lock(&queue->mutex);
	queue->woken = true;
	pthread_cond_broadcast(&queue->work);
	pthread_mutex_unlock(&queue->mutex);
}

static const struct bench_queue bench_locked_queue = {
	.name = "mutex",
	.bounded = true,
	.sleeps = true,
	.open = bench_locked_open,
	.close = free,
	.produce = bench_locked_produce,
	.consume = bench_locked_consume,
	.wake = bench_locked_wake,
};

/* ---- ck_ring ---- */

CK_RING_PROTOTYPE(bench, bench_record)

struct bench_ck {
	struct ck_ring ring OWN_LINE;
	struct bench_record records[BENCH_CAPACITY] OWN_LINE;
};

static void *bench_ck_open(void)
{
	struct bench_ck *queue = bench_allocate(sizeof *queue);

	ck_ring_init(&queue->ring, BENCH_CAPACITY);
	return queue;
}

static bool bench_ck_enqueue(struct bench_ck *queue, struct bench_record *record)
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

static uint64_t bench_ck_dequeue(struct bench_ck *queue, struct bench_consumer *me)
{
	struct bench_record record;

	if (!CK_RING_DEQUEUE_MPSC(bench, &queue->ring, queue->records, &record))
		return 0;
	me->sum += record.word[0];
	return 1;
}

static void bench_ck_consume(struct bench_consumer *me)
{
	BENCH_CONSUME(me, bench_ck_dequeue(me->queue, me));
}

static const struct bench_queue bench_ck_queue = {
	.name = "ck_ring",
	.bounded = true,
	.rounds_max = 3,
	.open = bench_ck_open,
	.close = free,
	.produce = bench_ck_produce,
	.consume = bench_ck_consume,
};

/* ---- none ---- */

static void *bench_none_open(void)
{
	return NULL;
}

static void bench_none_close(void *queue)
{
	(void)queue;
}

static bool bench_none_enqueue(const struct bench_record *record)
{
	__asm__ __volatile__("" : : "r"(record) : "memory");
	return false;
}

static void bench_none_produce(struct bench_producer *me)
{
	struct bench_record record = { { 0 } };

	BENCH_PRODUCE(me, record, bench_none_enqueue(&record));
}

static void bench_none_consume(struct bench_consumer *me)
{
	while (!bench_flag(&me->drained))
		bench_sleep_nsec(1000000);
}

const struct bench_queue bench_no_queue = {
	.name = "no queue",
	.open = bench_none_open,
	.close = bench_none_close,
	.produce = bench_none_produce,
	.consume = bench_none_consume,
};

const struct bench_queue *const *bench_queues(void)
{
	static const struct bench_queue *all[BENCH_QUEUES_MAX + 1];
	size_t count = 0;

	if (all[0] != NULL)
		return all;
	all[count++] = &bench_penstock_queue;
	/* No peer can be judged by another's absence: all bounded ones, always. The others only when somebody looks at
	 * them. */
	all[count++] = &bench_vyukov_queue;
	all[count++] = &bench_sleeping_queue;
	all[count++] = &bench_locked_queue;
	all[count++] = &bench_ck_queue;
	if (bench_atomic_queue() != NULL)
		all[count++] = bench_atomic_queue();
	if (bench_only_targets)
		return all;
	if (bench_moodycamel() != NULL)
		all[count++] = bench_moodycamel();
	all[count++] = &bench_yielding_queue;
	return all;
}
