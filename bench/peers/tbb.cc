/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tbb.cc - oneTBB's concurrent_bounded_queue: eight linked micro-queues in ticket order, a capacity, and sleeping on both
 * sides
 *
 * It takes one at a time; the consumer tries a group and sleeps in pop when there is nothing. A record that wake pushes
 * gets it out of there.
 */
#include <oneapi/tbb/concurrent_queue.h>

#include "bench/peers/stalling.h"

namespace
{

template <class Record> struct Peer {
	using Queue = tbb::concurrent_bounded_queue<Record>;

	static void *Open()
	{
		auto *queue = new Queue;

		queue->set_capacity(BENCH_CAPACITY);
		return queue;
	}

	static void Close(void *queue)
	{
		delete static_cast<Queue *>(queue);
	}

	static inline bool Enqueue(Queue *queue, const Record &record)
	{
		if (queue->try_push(record))
			return false;
		queue->push(record);
		return true;
	}

	static void Produce(bench_producer *me)
	{
		auto *queue = static_cast<Queue *>(me->queue);
		Record record{};

		BENCH_PRODUCE(me, record, Enqueue(queue, record));
	}

	static inline uint64_t Dequeue(Queue *queue, bench_consumer *me)
	{
		uint64_t taken = 0;
		Record record{};

		while (taken < BENCH_GROUP && queue->try_pop(record)) {
			bench_look_at(me, &record);
			taken++;
		}
		if (taken == 0 && !bench_flag(&me->drained)) {
			queue->pop(record);
			bench_look_at(me, &record);
			taken++;
		}
		return taken;
	}

	static void Consume(bench_consumer *me)
	{
		auto *queue = static_cast<Queue *>(me->queue);

		BENCH_CONSUME(me, Dequeue(queue, me));
	}

	static void Wake(void *queue)
	{
		static_cast<Queue *>(queue)->push(Record());
	}
};

void Stall(bench_stall *me)
{
	StallingRecord record;

	StallingRecord::stall = me;
	static_cast<Peer<StallingRecord>::Queue *>(me->queue)->push(record);
}

template <class Record> constexpr bench_queue Describe()
{
	bench_queue queue = {};

	queue.name = "tbb";
	queue.bounded = true;
	queue.sleeps = true;
	queue.open = Peer<Record>::Open;
	queue.close = Peer<Record>::Close;
	queue.produce = Peer<Record>::Produce;
	queue.consume = Peer<Record>::Consume;
	queue.wake = Peer<Record>::Wake;
	return queue;
}

constexpr bench_queue DescribeStalling()
{
	bench_queue queue = Describe<StallingRecord>();

	queue.stall = Stall;
	return queue;
}

constexpr bench_queue stalling = DescribeStalling();

constexpr bench_queue DescribeBoth()
{
	bench_queue queue = Describe<bench_record>();

	queue.stalled = &stalling;
	return queue;
}

} // namespace

const bench_queue bench_tbb_queue = DescribeBoth();
