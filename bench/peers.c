/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peers.c - which queues stand beside Penstock's ring, and what all of them share
 *
 * A producer of a lock-free peer that finds it full offers the processor and tries again, as such queues are commonly
 * used: none of them has a way to sleep. That is cheaper than sleeping, and unfair (see the fairness column).
 */
#include "bench/peers/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STALL_LOOK_NSEC 100000

static const struct bench_peer {
	const struct bench_queue *queue; /* NULL: not built */
	const char *name;
	const char *needs;
} bench_peers[] = {
	{ &bench_penstock_queue, "penstock", NULL },
	{ &bench_vyukov_queue, "cas-seq", NULL },
	{ &bench_sleeping_queue, "cas-seq+p", NULL },
	{ &bench_locked_queue, "mutex", NULL },
	{ &bench_ck_queue, "ck_ring", NULL },
	{ &bench_wfcq_queue, "wfcqueue", "liburcu-dev" },
	{ &bench_atomic_queue, "atomic_queue", "libatomic-queue-dev" },
	{ &bench_atomic_push_queue, "atomic_queue+push", "libatomic-queue-dev" },
	{ &bench_tbb_queue, "tbb", "libtbb-dev" },
	{ &bench_moodycamel_queue, "moodycamel", "libconcurrentqueue-dev" },
	{ &bench_yielding_queue, "penstock+y", NULL },
};
#define PEERS (sizeof bench_peers / sizeof bench_peers[0])

_Static_assert(PEERS <= BENCH_QUEUES_MAX, "raise BENCH_QUEUES_MAX");

/* No peer can be judged by another's absence: all bounded ones, always. The others only when somebody looks at them. */
const struct bench_queue *const *bench_queues(void)
{
	static const struct bench_queue *all[PEERS + 1];
	size_t count = 0;

	if (all[0] != NULL)
		return all;
	for (size_t i = 0; i < PEERS; i++) {
		const struct bench_queue *queue = bench_peers[i].queue;

		if (queue != NULL && !(bench_only_targets && queue->reference))
			all[count++] = queue;
	}
	return all;
}

const char *bench_queues_measured(void)
{
	static char names[400];

	names[0] = '\0';
	for (const struct bench_queue *const *queue = bench_queues(); *queue != NULL; queue++)
		snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", names[0] == '\0' ? "" : ", ",
		         (*queue)->name);
	return names;
}

const char *bench_queues_left_out(void)
{
	static char names[600];

	names[0] = '\0';
	for (size_t i = 0; i < PEERS; i++) {
		const struct bench_peer *peer = &bench_peers[i];
		const char *between = names[0] == '\0' ? "" : ", ";

		if (peer->queue == NULL)
			snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s (built without %s)", between,
			         peer->name, peer->needs);
		else if (bench_only_targets && peer->queue->reference)
			snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s (only for reference)", between,
			         peer->name);
	}
	return names[0] == '\0' ? "none" : names;
}

/* ---- shared ---- */

void *bench_allocate(size_t bytes)
{
	void *memory = aligned_alloc(128, (bytes + 127) / 128 * 128);

	if (memory == NULL)
		abort();
	memset(memory, 0, bytes);
	return memory;
}

void bench_stall_here(struct bench_stall *me)
{
	__atomic_store_n(&me->inside, 1, __ATOMIC_RELEASE);
	while (!bench_flag(&me->let_go))
		bench_sleep_nsec(STALL_LOOK_NSEC);
}

/* ---- none ---- */

static void *bench_none_open(void)
{
	return NULL;
}

static void bench_none_close(void *queue)
{
	(void)queue;
}

static inline bool bench_none_enqueue(const struct bench_record *record)
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
	.name = "no_queue",
	.open = bench_none_open,
	.close = bench_none_close,
	.produce = bench_none_produce,
	.consume = bench_none_consume,
};
