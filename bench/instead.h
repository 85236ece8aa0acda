/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instead.h - what people would use instead of Penstock, each in a file of its own under peers/
 *
 * All write the same row (database.h) to a fresh table, and none says that a row is there before it would survive a loss of power.
 * The ways to use them:
 *
 *   one        one thread (connection, client) that waits for the outcome of each row before the next
 *   eight      eight of them
 *   many       64 of them
 *   in_flight  one thread with 1000 rows in flight. Who cannot have that puts 1000 into one transaction, and waits for it: then they
 *              happen together or not at all, which is less than the others give
 *   forget     one thread that hears of no row; the time ends when all are there. In transactions of 1000, where that is faster
 */
#ifndef PENSTOCK_BENCH_INSTEAD_H
#define PENSTOCK_BENCH_INSTEAD_H

#include "bench/crew.h"
#include "bench/database.h"
#include "bench/histogram.h"

enum bench_use { BENCH_ONE, BENCH_EIGHT, BENCH_MANY, BENCH_IN_FLIGHT, BENCH_FORGET, BENCH_USES };

#define BENCH_FLIGHT 1000

/* Times in ns; 0: nobody heard of any row. */
struct bench_used {
	double rows;
	double seconds;
	double p50, p99, p999, worst;
};

struct bench_instead {
	const char *name;
	/* Why it is not to be had here, or NULL; no function: it always is. */
	const char *(*left_out)(void);
	/* Starts it, before anything is measured; why it cannot be, or NULL. Or no function. */
	const char *(*begin)(void);
	/* Goes on for `nsec`; false: the case failed. */
	bool (*run)(struct bench_case *self, enum bench_use use, uint64_t nsec, struct bench_used *used);
};

/* Those whose libraries were not there are NULL. */
#define BENCH_OPTIONAL __attribute__((weak))

extern const struct bench_instead bench_postgresql_instead BENCH_OPTIONAL;
extern const struct bench_instead bench_rocksdb_instead BENCH_OPTIONAL;
extern const struct bench_instead bench_better_sqlite3_instead;
extern const struct bench_instead bench_peewee_instead;

/* The name as the cases have it, and how many threads that is. */
const char *bench_use_name(enum bench_use use);
unsigned bench_use_threads(enum bench_use use);

/* Those that are not measured here, and why; or "none". */
const char *bench_instead_left_out(void);

/* ---- for those that are used by threads of this process ---- */

struct bench_user {
	struct bench_histogram times;
	uint64_t rows;
	uint64_t worst;
};

static inline void bench_user_note(struct bench_user *user, uint64_t nsec)
{
	bench_histogram_note(&user->times, nsec);
	user->worst = nsec > user->worst ? nsec : user->worst;
}

/* The user of a hand, and when it ends. */
struct bench_user *bench_user_of(const struct bench_hand *hand);
uint64_t bench_user_until(const struct bench_hand *hand);
void *bench_user_context(const struct bench_hand *hand);

/*
 * A thread for each user; `ready` connects (or NULL), `work` goes on until bench_user_until, `done` disconnects (or NULL, in any case).
 * False: the case failed.
 */
bool bench_use_by_threads(struct bench_case *self, unsigned count, uint64_t nsec, void *context, bench_work *ready,
                          bench_work *work, bench_work *done, struct bench_used *used);

/* ---- for those that are programs of their own ---- */

/*
 * Ends a command that popen has begun, under timeout(1) if it may hang. read: what it was to print has come. False: the case failed, or it
 * hung, and is left out; `what` says who.
 */
bool bench_end_command(struct bench_case *self, FILE *child, bool read, const char *what);
/* Runs a command that prints rows, seconds, p50, p99, p99.9 and the longest in ns; false: the case failed, or it hung. */
bool bench_use_by_command(struct bench_case *self, const char *command, struct bench_used *used);

#endif
