/*
 * shim.cc - the only C++ here: google-benchmark's interface, and two peers that are templates
 *
 * google-benchmark runs each case once (one iteration of manual time): a case makes its own rounds and statistics,
 * because what it compares has to take turns, which separate benchmarks do not.
 */
#include "bench/shim.h"

#include <benchmark/benchmark.h>

#include <vector>

#ifdef BENCH_ATOMIC_QUEUE
#include <atomic_queue/atomic_queue.h>
#endif
#ifdef BENCH_MOODYCAMEL
#include <concurrentqueue/concurrentqueue.h>
#endif

namespace
{

class Silent : public benchmark::BenchmarkReporter
{
public:
	bool ReportContext(const Context &) override
	{
		return true;
	}
	void ReportRuns(const std::vector<Run> &) override
	{
	}
};

void RunCase(benchmark::State &state, bench_case *each)
{
	for (auto _ : state) {
		each->state = &state;
		if (each->setup != nullptr)
			each->setup(each);
		each->run(each);
		if (each->teardown != nullptr)
			each->teardown(each);
		each->state = nullptr;
	}
}

} // namespace

bool bench_shim_begin(int *argc, char **argv)
{
	benchmark::Initialize(argc, argv);
	return !benchmark::ReportUnrecognizedArguments(*argc, argv);
}

void bench_shim_register(bench_case *each)
{
	benchmark::RegisterBenchmark(each->name, RunCase, each)->Iterations(1)->UseManualTime();
}

size_t bench_shim_run(bool silent)
{
	Silent none;

	return silent ? benchmark::RunSpecifiedBenchmarks(&none) : benchmark::RunSpecifiedBenchmarks();
}

void bench_shim_seconds(void *state, double seconds)
{
	static_cast<benchmark::State *>(state)->SetIterationTime(seconds);
}

void bench_shim_counter(void *state, const char *name, double value)
{
	static_cast<benchmark::State *>(state)->counters[name] = value;
}

void bench_shim_error(void *state, const char *message)
{
	static_cast<benchmark::State *>(state)->SkipWithError(message);
}

#ifdef BENCH_ATOMIC_QUEUE
namespace
{

/* The one for elements that are no atomics; its tail is claimed by compare-and-swap. */
using AtomicQueue = atomic_queue::AtomicQueue2<bench_record, BENCH_CAPACITY>;

void *AtomicOpen()
{
	return new AtomicQueue;
}

void AtomicClose(void *queue)
{
	delete static_cast<AtomicQueue *>(queue);
}

bool AtomicEnqueue(AtomicQueue *queue, const bench_record &record)
{
	bool waited = false;

	while (!queue->try_push(record)) {
		waited = true;
		sched_yield();
	}
	return waited;
}

void AtomicProduce(bench_producer *me)
{
	auto *queue = static_cast<AtomicQueue *>(me->queue);
	bench_record record = {};

	BENCH_PRODUCE(me, record, AtomicEnqueue(queue, record));
}

uint64_t AtomicDequeue(AtomicQueue *queue, bench_consumer *me)
{
	bench_record record;

	if (!queue->try_pop(record))
		return 0;
	me->sum += record.word[0];
	return 1;
}

void AtomicConsume(bench_consumer *me)
{
	auto *queue = static_cast<AtomicQueue *>(me->queue);

	BENCH_CONSUME(me, AtomicDequeue(queue, me));
}

const bench_queue atomic_peer = { "atomic_queue", true,          false,         0,      AtomicOpen,
	                          AtomicClose,    AtomicProduce, AtomicConsume, nullptr };

} // namespace
#endif

const bench_queue *bench_atomic_queue(void)
{
#ifdef BENCH_ATOMIC_QUEUE
	return &atomic_peer;
#else
	return nullptr;
#endif
}

#ifdef BENCH_MOODYCAMEL
namespace
{

using Moodycamel = moodycamel::ConcurrentQueue<bench_record>;

/* It has no bound: a producer that finds this many waits, or the backlog would fill the memory. */
const size_t MOODYCAMEL_MOST = 1 << 18;
const uint64_t MOODYCAMEL_LOOK = 1024;

void *MoodyOpen()
{
	return new Moodycamel(BENCH_CAPACITY);
}

void MoodyClose(void *queue)
{
	delete static_cast<Moodycamel *>(queue);
}

bool MoodyEnqueue(Moodycamel *queue, const moodycamel::ProducerToken &token, const bench_record &record)
{
	bool waited = false;

	if (record.word[0] % MOODYCAMEL_LOOK == 0) {
		while (queue->size_approx() > MOODYCAMEL_MOST) {
			waited = true;
			sched_yield();
		}
	}
	queue->enqueue(token, record);
	return waited;
}

void MoodyProduce(bench_producer *me)
{
	auto *queue = static_cast<Moodycamel *>(me->queue);
	moodycamel::ProducerToken token(*queue);
	bench_record record = {};

	BENCH_PRODUCE(me, record, MoodyEnqueue(queue, token, record));
}

uint64_t MoodyDequeue(Moodycamel *queue, moodycamel::ConsumerToken &token, bench_consumer *me)
{
	bench_record records[BENCH_GROUP];
	size_t taken = queue->try_dequeue_bulk(token, records, BENCH_GROUP);

	for (size_t i = 0; i < taken; i++)
		me->sum += records[i].word[0];
	return taken;
}

void MoodyConsume(bench_consumer *me)
{
	auto *queue = static_cast<Moodycamel *>(me->queue);
	moodycamel::ConsumerToken token(*queue);

	BENCH_CONSUME(me, MoodyDequeue(queue, token, me));
}

const bench_queue moodycamel_peer = { "moodycamel", false,        false,        0,      MoodyOpen,
	                              MoodyClose,   MoodyProduce, MoodyConsume, nullptr };

} // namespace
#endif

const bench_queue *bench_moodycamel(void)
{
#ifdef BENCH_MOODYCAMEL
	return &moodycamel_peer;
#else
	return nullptr;
#endif
}
