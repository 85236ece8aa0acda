/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue.h - a queue under test, and the loops its producers and its consumer run
 *
 * Every queue moves the same 120-byte record (what a 128-byte slot of Penstock holds beside its sequence) from N
 * producers to one consumer that does nothing but look at it, at both of its cache lines, as a consumer that wants the
 * record must (a queue that copies it out does so anyway). Each has its own copy of the loops below, made by the
 * macros, so that no call through a pointer stands between a producer and its queue.
 *
 * How a producer goes about it:
 *
 *   SATURATED  as fast as it goes; the count of each producer gives throughput and fairness
 *   TIMED      likewise, but the clock is read between any two enqueues, which costs more than the enqueue; only the
 *              worst is kept. An enqueue that met a full queue is kept apart from one that had room: the first is
 *              back-pressure, the second a flaw of the queue
 *   OPEN       thinks before each enqueue, by a schedule that does not wait for the queue: who is late catches up. The
 *              enqueue alone and the time since it was due go into histograms
 *
 * A queue may also say how a producer is stopped in the middle of an enqueue (`stall`): it has its place in the queue,
 * the consumer cannot see the record yet, and there it calls bench_stall_here.
 *
 * Invariants
 *   1. `stop` ends the producers; the consumer goes on until `drained`, set when all producers have ended, and the
 *      queue is empty, so no producer is left waiting for room.
 *   2. A producer numbers its records from 0 in the first word and the consumer adds up that word of each, so that
 *      after a round one can see that every record has arrived once (round.c). A record that no producer's loop made
 *      has 0 there.
 *   3. Counts are written by one thread, each on a line of its own, and read by the main thread at any time.
 */
#ifndef PENSTOCK_BENCH_QUEUE_H
#define PENSTOCK_BENCH_QUEUE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/bench.h"
#include "bench/histogram.h"

#define BENCH_QUEUES_MAX 16
#define BENCH_PRODUCERS_MAX 64
#define BENCH_CAPACITY 4096
#define BENCH_RECORD_WORDS 15

/* The consumer takes (and gives back) up to this many at a time where the queue has a way to. */
#define BENCH_GROUP 256

/* How the consumer of any queue that cannot sleep passes the time when there is nothing: look, offer the processor. */
#define BENCH_EMPTY_STALLS 200
#define BENCH_EMPTY_YIELDS 20

#ifdef __cplusplus
extern "C" {
#endif

struct bench_record {
	uint64_t word[BENCH_RECORD_WORDS];
};

enum bench_kind { BENCH_SATURATED, BENCH_TIMED, BENCH_OPEN };

struct bench_producer {
	uint64_t count;
	uint64_t worst_room; /* ns */
	uint64_t worst_full; /* ns, of those that met a full queue */
	/* OPEN */
	uint64_t due;
	uint64_t random;
	uint64_t think_nsec; /* on average */
	struct bench_histogram *enqueue;
	struct bench_histogram *since_due;

	enum bench_kind kind;
	const uint32_t *stop;
	void *queue;
} __attribute__((aligned(128)));

struct bench_consumer {
	uint64_t count;
	uint64_t sum; /* of something in each record, so that it is looked at */
	uint32_t drained;
	void *queue;
} __attribute__((aligned(128)));

/* A producer that is stopped in the middle of its one enqueue. */
struct bench_stall {
	uint32_t inside; /* it is */
	uint32_t let_go;
	void *queue;
};

struct bench_queue {
	const char *name;
	bool bounded;        /* and FIFO across producers: a peer to be ahead of; otherwise for reference */
	bool sleeps;         /* a producer that finds it full sleeps, instead of looking again and again */
	bool reference;      /* not measured when only what has a target is */
	unsigned rounds_max; /* with more than two producers; 0: no bound. For queues that take seconds to come to a
	                        stop */
	void *(*open)(void);
	void (*close)(void *queue);
	void (*produce)(struct bench_producer *me);
	void (*consume)(struct bench_consumer *me);
	void (*wake)(void *queue); /* or NULL: the consumer looks at `drained` by itself */
	void (*stall)(struct bench_stall *me);
	/* The queue that the case `stalled` runs, when it is another than this (a record whose copying can be stopped). */
	const struct bench_queue *stalled;
};

static inline bool bench_flag(const uint32_t *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

static inline void bench_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	__asm__ __volatile__("" ::: "memory");
#endif
}

/* The first word is the record's number (or 0), the last 0. */
static inline void bench_look_at(struct bench_consumer *me, const struct bench_record *record)
{
	me->sum += record->word[0] + record->word[BENCH_RECORD_WORDS - 1];
}

/* One more look at an empty queue; `looks` counts them. */
static inline void bench_idle(unsigned *looks)
{
	if (++*looks < BENCH_EMPTY_STALLS)
		bench_pause();
	else
		sched_yield();
}

/* Cleared memory that has been touched: page faults belong to no round. */
void *bench_allocate(size_t bytes);
/* Sleeps, off the processor, until `let_go`. */
void bench_stall_here(struct bench_stall *me);
/* OPEN: sleeps until the next enqueue is due, and says when that is. 0: time to stop. */
uint64_t bench_think(struct bench_producer *me);

static inline void bench_note_worst(struct bench_producer *me, uint64_t nsec, bool waited)
{
	uint64_t *worst = waited ? &me->worst_full : &me->worst_room;

	if (nsec > *worst)
		*worst = nsec;
}

/* ENQUEUE: an expression that enqueues `record` and is true when it had to wait for room. */
#define BENCH_PRODUCE(me, record, ENQUEUE)                                               \
	do {                                                                             \
		uint64_t bench_count = 0, bench_last, bench_now, bench_due;              \
		bool bench_waited;                                                       \
		while ((me)->kind == BENCH_SATURATED && !bench_flag((me)->stop)) {       \
			(record).word[0] = bench_count;                                  \
			(void)(ENQUEUE);                                                 \
			__atomic_store_n(&(me)->count, ++bench_count, __ATOMIC_RELAXED); \
		}                                                                        \
		bench_last = bench_nsec();                                               \
		while ((me)->kind == BENCH_TIMED && !bench_flag((me)->stop)) {           \
			(record).word[0] = bench_count;                                  \
			bench_waited = (ENQUEUE);                                        \
			bench_now = bench_nsec();                                        \
			bench_note_worst((me), bench_now - bench_last, bench_waited);    \
			bench_last = bench_now;                                          \
			__atomic_store_n(&(me)->count, ++bench_count, __ATOMIC_RELAXED); \
		}                                                                        \
		while ((me)->kind == BENCH_OPEN && (bench_due = bench_think(me)) != 0) { \
			(record).word[0] = bench_count;                                  \
			bench_last = bench_nsec();                                       \
			bench_waited = (ENQUEUE);                                        \
			bench_now = bench_nsec();                                        \
			bench_note_worst((me), bench_now - bench_last, bench_waited);    \
			bench_histogram_note((me)->enqueue, bench_now - bench_last);     \
			bench_histogram_note((me)->since_due, bench_now - bench_due);    \
			__atomic_store_n(&(me)->count, ++bench_count, __ATOMIC_RELAXED); \
		}                                                                        \
	} while (0)

/* DEQUEUE: an expression that takes some records, adds to me->sum, and is the number taken. */
#define BENCH_CONSUME(me, DEQUEUE)                                                                           \
	do {                                                                                                 \
		unsigned bench_looks = 0;                                                                    \
		for (;;) {                                                                                   \
			bool bench_last = bench_flag(&(me)->drained);                                        \
			uint64_t bench_taken = (DEQUEUE);                                                    \
			if (bench_taken > 0) {                                                               \
				__atomic_store_n(&(me)->count, (me)->count + bench_taken, __ATOMIC_RELAXED); \
				bench_looks = 0;                                                             \
			} else if (bench_last) {                                                             \
				break;                                                                       \
			} else {                                                                             \
				bench_idle(&bench_looks);                                                    \
			}                                                                                    \
		}                                                                                            \
	} while (0)

/* peers.c. The queues in the order they are shown, Penstock's first; a NULL behind the last. */
const struct bench_queue *const *bench_queues(void);
/* Names, separated by commas, of the queues that were built, and of those that were not, with what they need. */
const char *bench_queues_measured(void);
const char *bench_queues_left_out(void);
/* No queue at all: what the scheduler alone does to a loop that reads the clock. */
extern const struct bench_queue bench_no_queue;

#ifdef __cplusplus
}
#endif

#endif
