/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * atomic_queue.cc - Maxim Egorushkin's AtomicQueue2, the one for elements that are no atomics, in both its modes
 *
 *   atomic_queue       try_push: the tail is claimed by compare-and-swap when there is room; a producer that finds it
 *                      full yields
 *   atomic_queue+push  push: the tail is claimed by an addition, room or not; a producer without room spins at its slot
 *
 * The consumer takes one at a time with try_pop, which is all there is; pop would spin on an empty queue for ever.
 */
#include <atomic_queue/atomic_queue.h>

#include "bench/peers/stalling.h"

namespace
{

template <class Record, bool PUSH> struct Peer {
	using Queue = atomic_queue::AtomicQueue2<Record, BENCH_CAPACITY>;

	static void *Open()
	{
		return new Queue;
	}

	static void Close(void *queue)
	{
		delete static_cast<Queue *>(queue);
	}

	static inline bool Enqueue(Queue *queue, const Record &record)
	{
		bool waited = false;

		if (PUSH) {
			/* It does not say whether it will wait. */
			waited = queue->was_full();
			queue->push(record);
			return waited;
		}
		while (!queue->try_push(record)) {
			waited = true;
			sched_yield();
		}
		return waited;
	}

	static void Produce(bench_producer *me)
	{
		auto *queue = static_cast<Queue *>(me->queue);
		Record record{};

		BENCH_PRODUCE(me, record, Enqueue(queue, record));
	}

	static inline uint64_t Dequeue(Queue *queue, bench_consumer *me)
	{
		Record record;

		if (!queue->try_pop(record))
			return 0;
		bench_look_at(me, &record);
		return 1;
	}

	static void Consume(bench_consumer *me)
	{
		auto *queue = static_cast<Queue *>(me->queue);

		BENCH_CONSUME(me, Dequeue(queue, me));
	}
};

template <bool PUSH> void Stall(bench_stall *me)
{
	StallingRecord record;

	StallingRecord::stall = me;
	Peer<StallingRecord, PUSH>::Enqueue(static_cast<typename Peer<StallingRecord, PUSH>::Queue *>(me->queue), record);
}

template <class Record, bool PUSH> constexpr bench_queue Describe(const char *name)
{
	bench_queue queue = {};

	queue.name = name;
	queue.bounded = true;
	queue.rounds_max = PUSH ? 3 : 0;
	queue.open = Peer<Record, PUSH>::Open;
	queue.close = Peer<Record, PUSH>::Close;
	queue.produce = Peer<Record, PUSH>::Produce;
	queue.consume = Peer<Record, PUSH>::Consume;
	return queue;
}

template <bool PUSH> constexpr bench_queue DescribeStalling(const char *name)
{
	bench_queue queue = Describe<StallingRecord, PUSH>(name);

	queue.stall = Stall<PUSH>;
	return queue;
}

template <bool PUSH> constexpr bench_queue DescribeBoth(const char *name, const bench_queue *stalled)
{
	bench_queue queue = Describe<bench_record, PUSH>(name);

	queue.stalled = stalled;
	return queue;
}

constexpr bench_queue stalling_try = DescribeStalling<false>("atomic_queue");
constexpr bench_queue stalling_push = DescribeStalling<true>("atomic_queue+push");

} // namespace

const bench_queue bench_atomic_queue = DescribeBoth<false>("atomic_queue", &stalling_try);
const bench_queue bench_atomic_push_queue = DescribeBoth<true>("atomic_queue+push", &stalling_push);
