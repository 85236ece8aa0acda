/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wfcqueue.c - liburcu's wait-free concurrent queue, bounded by a counter of credits
 *
 * It is a linked list, so the bound and the nodes are ours. A producer takes a credit before it enqueues and yields when
 * there is none; the consumer splices off all there is and gives the credits back in groups. Each producer has as many
 * nodes as there are credits and uses them in turn: when it holds a credit, fewer than that many are on their way, the
 * queue is FIFO, so its oldest node is free. So nothing is allocated while it runs.
 *
 * The interface has no way to stop in the middle of an enqueue: bench_wfcq_stall does by hand what cds_wfcq_enqueue
 * does (exchange of the tail, link), with the stop in between.
 */
#define _LGPL_SOURCE /* inline, as a program would have it that cares */
#include <urcu/uatomic.h>
#include <urcu/wfcqueue.h>

#include <stdlib.h>

#include "bench/peers/peers.h"

struct bench_node {
	struct cds_wfcq_node link;
	struct bench_record record;
} BENCH_OWN_LINE;

struct bench_wfcq {
	struct cds_wfcq_tail tail BENCH_OWN_LINE;
	struct __cds_wfcq_head head BENCH_OWN_LINE;
	long credits BENCH_OWN_LINE;
	unsigned producers; /* that have taken their nodes */
	/* the consumer's */
	struct __cds_wfcq_head taken_head BENCH_OWN_LINE;
	struct cds_wfcq_tail taken_tail;
};

/* One queue at a time; the nodes are kept from round to round. */
static struct bench_node (*bench_nodes)[BENCH_CAPACITY];

static void *bench_wfcq_open(void)
{
	struct bench_wfcq *queue = bench_allocate(sizeof *queue);

	if (bench_nodes == NULL)
		bench_nodes = bench_allocate(BENCH_PRODUCERS_MAX * sizeof *bench_nodes);
	__cds_wfcq_init(&queue->head, &queue->tail);
	__cds_wfcq_init(&queue->taken_head, &queue->taken_tail);
	queue->credits = BENCH_CAPACITY;
	return queue;
}

/* True: it had to wait. */
static inline bool bench_wfcq_take_credit(struct bench_wfcq *queue)
{
	long credits = uatomic_read(&queue->credits);
	bool waited = false;

	for (;;) {
		long before;

		if (credits == 0) {
			waited = true;
			sched_yield();
			credits = uatomic_read(&queue->credits);
			continue;
		}
		before = uatomic_cmpxchg(&queue->credits, credits, credits - 1);
		if (before == credits)
			return waited;
		credits = before;
	}
}

static inline bool bench_wfcq_enqueue(struct bench_wfcq *queue, struct bench_node *node, const struct bench_record *record)
{
	bool waited = bench_wfcq_take_credit(queue);

	cds_wfcq_node_init(&node->link);
	node->record = *record;
	cds_wfcq_enqueue(&queue->head, &queue->tail, &node->link);
	return waited;
}

static void bench_wfcq_produce(struct bench_producer *me)
{
	struct bench_wfcq *queue = me->queue;
	struct bench_node *nodes = bench_nodes[uatomic_add_return(&queue->producers, 1) - 1];
	struct bench_record record = { { 0 } };

	BENCH_PRODUCE(me, record, bench_wfcq_enqueue(queue, &nodes[record.word[0] % BENCH_CAPACITY], &record));
}

static inline uint64_t bench_wfcq_dequeue(struct bench_wfcq *queue, struct bench_consumer *me)
{
	uint64_t taken = 0;

	if (cds_wfcq_empty(&queue->taken_head, &queue->taken_tail))
		__cds_wfcq_splice_nonblocking(&queue->taken_head, &queue->taken_tail, &queue->head, &queue->tail);
	while (taken < BENCH_GROUP) {
		struct cds_wfcq_node *link = __cds_wfcq_dequeue_nonblocking(&queue->taken_head, &queue->taken_tail);

		if (link == NULL || link == CDS_WFCQ_WOULDBLOCK)
			break;
		bench_look_at(me, &caa_container_of(link, struct bench_node, link)->record);
		taken++;
	}
	if (taken > 0)
		uatomic_add(&queue->credits, (long)taken);
	return taken;
}

static void bench_wfcq_consume(struct bench_consumer *me)
{
	BENCH_CONSUME(me, bench_wfcq_dequeue(me->queue, me));
}

static void bench_wfcq_stall(struct bench_stall *me)
{
	static struct bench_node node;
	struct bench_wfcq *queue = me->queue;
	struct cds_wfcq_node *before;

	bench_wfcq_take_credit(queue);
	cds_wfcq_node_init(&node.link);
	before = uatomic_xchg(&queue->tail.p, &node.link);
	bench_stall_here(me);
	CMM_STORE_SHARED(before->next, &node.link);
}

const struct bench_queue bench_wfcq_queue = {
	.name = "wfcqueue",
	.bounded = true,
	.open = bench_wfcq_open,
	.close = free,
	.produce = bench_wfcq_produce,
	.consume = bench_wfcq_consume,
	.stall = bench_wfcq_stall,
};
