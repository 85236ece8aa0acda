/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * moodycamel.cc - Cameron Desrochers's BlockingConcurrentQueue: a queue for each producer, so no order across producers,
 * no bound, and a consumer that sleeps
 *
 * Without a bound the backlog would fill the memory: a producer that finds very much of it waits. A record that wake
 * enqueues gets the consumer out of its sleep.
 */
#include <concurrentqueue/blockingconcurrentqueue.h>

#include "bench/peers/stalling.h"

namespace
{

const size_t BACKLOG_MAX = 1 << 18;
const uint64_t BACKLOG_LOOK = 1024;

template <class Record> struct Peer {
	using Queue = moodycamel::BlockingConcurrentQueue<Record>;

	static void *Open()
	{
		return new Queue(BENCH_CAPACITY);
	}

	static void Close(void *queue)
	{
		delete static_cast<Queue *>(queue);
	}

	static inline bool Enqueue(Queue *queue, const moodycamel::ProducerToken &token, const Record &record)
	{
		bool waited = false;

		if (record.word[0] % BACKLOG_LOOK == 0) {
			while (queue->size_approx() > BACKLOG_MAX) {
				waited = true;
				sched_yield();
			}
		}
		queue->enqueue(token, record);
		return waited;
	}

	static void Produce(bench_producer *me)
	{
		auto *queue = static_cast<Queue *>(me->queue);
		moodycamel::ProducerToken token(*queue);
		Record record{};

		BENCH_PRODUCE(me, record, Enqueue(queue, token, record));
	}

	static inline uint64_t Dequeue(Queue *queue, moodycamel::ConsumerToken &token, bench_consumer *me)
	{
		Record records[BENCH_GROUP];
		size_t taken = bench_flag(&me->drained) ? queue->try_dequeue_bulk(token, records, BENCH_GROUP)
		                                        : queue->wait_dequeue_bulk(token, records, BENCH_GROUP);

		for (size_t i = 0; i < taken; i++)
			bench_look_at(me, &records[i]);
		return taken;
	}

	static void Consume(bench_consumer *me)
	{
		auto *queue = static_cast<Queue *>(me->queue);
		moodycamel::ConsumerToken token(*queue);

		BENCH_CONSUME(me, Dequeue(queue, token, me));
	}

	static void Wake(void *queue)
	{
		static_cast<Queue *>(queue)->enqueue(Record());
	}
};

void Stall(bench_stall *me)
{
	StallingRecord record;

	StallingRecord::stall = me;
	static_cast<Peer<StallingRecord>::Queue *>(me->queue)->enqueue(record);
}

template <class Record> constexpr bench_queue Describe()
{
	bench_queue queue = {};

	queue.name = "moodycamel";
	queue.reference = true;
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

const bench_queue bench_moodycamel_queue = DescribeBoth();
