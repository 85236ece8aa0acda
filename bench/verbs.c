/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verbs.c - pause, unpause, stop and start while none, eight or 64 producers are at it, and the grace period by itself
 *
 * handshake/penstock/VERB/LOAD/producers:N. Loads: "waiting": each producer waits for its outcome before it submits
 * again. "full": each submits as fast as the ring lets it, so a ring's worth of backlog stands before every verb.
 * "idle": there are none. A producer that is refused looks again after 100 us (64 of them: 800 us, or looking would be
 * all that the processors do).
 *
 * A verb has to wait for the backlog that was accepted before it; what it takes beyond that is the handshake. Every
 * submission has a completion callback that notes the time, and after the verb's grace period nothing new runs, so when
 * the verb returns the last note is the end of the backlog:
 *
 *     pause, stop      from the call to its return
 *     unpause, start   likewise, of the verb that ends it
 *     beyond           from the last outcome (or the call, if that was later) to its return
 *
 * `beyond` includes what the verb has to do to the file: a last checkpoint of up to 4 MiB of WAL, and closing it, with
 * their syncs. Three things tell that from the handshake. The process's calls of fsync and fdatasync are timed: `synced`,
 * what of them lies beyond, and beyond less synced of the same cycle is `handshake`. There is a third load, "small": as
 * full, with wal_bytes_max=64k, so that hardly anything is left to copy. A fourth, "leaving", is as waiting, with the key that leaves
 * the log to the next opener, under FULL, where the log is on the disk by then: nothing but the handshake is
 * left of beyond. (Under NORMAL it is synced first.) And handshake/penstock/grace, which is the RCU
 * grace period alone: the state word of a running engine is swapped for a copy of itself while eight producers submit.
 * Build with -Drcu_flavour=memb to compare.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/database.h"
#include "core/rcu.h"
#include "writer/engine.h"

#define PRODUCERS_MAX 64
#define PRODUCERS_JUDGED 8
#define CYCLES 200
#define CYCLES_UNJUDGED 100
#define CYCLES_MIN 10
#define CASE_NSEC UINT64_C(8000000000) /* no more cycles after this, on a machine that is too slow for all of them */
#define RUN_NSEC 5000000               /* of load between two verbs */
#define REFUSED_NSEC 12500             /* times the number of producers */
#define GRACE_CYCLES 2000
#define GRACE_RUN_NSEC 500000
#define BEYOND_MAX_USEC 1000.0
#define HANDSHAKE_MAX_USEC 500.0

enum bench_load { WAITING, FULL, SMALL, IDLE, LEAVING };

static const char *const bench_loads[] = { "waiting", "full", "small", "idle", "leaving" };

struct bench_worker {
	penstock *db;
	const penstock_statement *insert;
	bool waits;
	uint64_t refused_nsec;
	const uint32_t *stop;
	sem_t outcome;
	pthread_t id;
};

/* When the verb was called. */
static uint64_t bench_called;
/* When the last outcome was delivered, and how long syncs took since then or the call: written by the writer thread. */
static uint64_t bench_last_outcome;
static uint64_t bench_synced;

static int bench_sync(long call, int fd)
{
	uint64_t called = __atomic_load_n(&bench_called, __ATOMIC_ACQUIRE), begun = bench_nsec();
	int result = (int)syscall(call, fd);

	bench_note_sync(bench_nsec() - begun);
	if (begun < called)
		begun = called;
	__atomic_fetch_add(&bench_synced, bench_nsec() - begun, __ATOMIC_RELAXED);
	return result;
}

/* SQLite's calls, too, come here: what a program exports goes before what its libraries would find elsewhere. */
#pragma GCC visibility push(default)

int fsync(int fd)
{
	return bench_sync(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return bench_sync(SYS_fdatasync, fd);
}

#pragma GCC visibility pop

static void bench_completed(void *arg, const penstock_result *result)
{
	struct bench_worker *worker = arg;

	(void)result;
	__atomic_store_n(&bench_synced, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&bench_last_outcome, bench_nsec(), __ATOMIC_RELEASE);
	if (worker->waits)
		sem_post(&worker->outcome);
}

static void *bench_work(void *arg)
{
	struct bench_worker *worker = arg;
	struct bench_row row;
	uint64_t i = 0;

	bench_row_init(&row, worker->insert);
	row.submission.on_complete = bench_completed;
	row.submission.arg = worker;
	while (__atomic_load_n(worker->stop, __ATOMIC_ACQUIRE) == 0) {
		bench_row_next(&row, i++);
		if (penstock_submit(worker->db, &row.submission, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK) {
			bench_sleep_nsec(worker->refused_nsec);
			continue;
		}
		while (worker->waits && sem_wait(&worker->outcome) != 0 && errno == EINTR)
			;
	}
	return NULL;
}

/* ---- an engine with busy producers ---- */

struct bench_busy {
	penstock *db;
	struct bench_worker workers[PRODUCERS_MAX];
	unsigned producers;
	uint32_t stop;
};

static bool bench_busy_begin(struct bench_case *self, struct bench_busy *busy, enum bench_load load, unsigned producers)
{
	const char *own = load == SMALL ? "wal_bytes_max=64k" : load == LEAVING ? "leave_wal=yes" : NULL;
	const char *level = load == LEAVING ? "synchronous=full" : "synchronous=normal";
	const char *keys[] = { level, "ring_slots=16384", own, NULL };
	penstock_statement *insert;

	busy->stop = 0;
	busy->producers = producers;
	busy->db = bench_open(self, bench_database_new(), NULL, keys);
	if (busy->db == NULL)
		return false;
	if (!bench_prepare(self, busy->db, &insert)) {
		penstock_close(busy->db, PENSTOCK_FOREVER);
		return false;
	}
	for (unsigned i = 0; i < busy->producers; i++) {
		struct bench_worker *worker = &busy->workers[i];

		*worker = (struct bench_worker){ .db = busy->db,
			                         .insert = insert,
			                         .waits = load == WAITING || load == LEAVING,
			                         .refused_nsec = (uint64_t)REFUSED_NSEC * producers,
			                         .stop = &busy->stop };
		sem_init(&worker->outcome, 0, 0);
		if (pthread_create(&worker->id, NULL, bench_work, worker) != 0)
			abort();
	}
	return true;
}

static void bench_busy_end(struct bench_busy *busy)
{
	__atomic_store_n(&busy->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < busy->producers; i++) {
		pthread_join(busy->workers[i].id, NULL);
		sem_destroy(&busy->workers[i].outcome);
	}
	penstock_close(busy->db, PENSTOCK_FOREVER);
	bench_database_remove();
}

/* ---- pause and stop ---- */

struct bench_verb {
	const char *name;
	enum bench_load load;
	unsigned producers;
	const char *back_name;
	int (*there)(penstock *db, int64_t timeout_usec);
	int (*back)(penstock *db, int64_t timeout_usec);
};

static void bench_say_distribution(struct bench_case *self, const char *name, double *values, size_t count)
{
	char longer[64];

	bench_sort(values, count);
	snprintf(longer, sizeof longer, "%s_p50_us", name);
	bench_say(self, longer, bench_quantile(values, count, 0.50));
	snprintf(longer, sizeof longer, "%s_p99_us", name);
	bench_say(self, longer, bench_quantile(values, count, 0.99));
	snprintf(longer, sizeof longer, "%s_max_us", name);
	bench_say(self, longer, values[count - 1]);
}

/* In microseconds. */
struct bench_times {
	double total[CYCLES];
	double beyond[CYCLES];
	double back[CYCLES];
	double synced[CYCLES];
	double handshake[CYCLES];
};

static bool bench_cycle(const struct bench_verb *verb, penstock *db, struct bench_times *times, size_t i)
{
	uint64_t called, last, returned;
	int status;

	bench_sleep_nsec(RUN_NSEC);
	called = bench_nsec();
	__atomic_store_n(&bench_synced, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&bench_called, called, __ATOMIC_RELEASE);
	status = verb->there(db, PENSTOCK_FOREVER);
	returned = bench_nsec();
	if (status != PENSTOCK_OK)
		return false;
	last = __atomic_load_n(&bench_last_outcome, __ATOMIC_ACQUIRE);
	times->total[i] = (double)(returned - called) / 1e3;
	times->beyond[i] = (double)(returned - (last > called ? last : called)) / 1e3;
	times->synced[i] = (double)__atomic_load_n(&bench_synced, __ATOMIC_RELAXED) / 1e3;
	times->handshake[i] = times->beyond[i] - times->synced[i];
	called = bench_nsec();
	status = verb->back(db, PENSTOCK_FOREVER);
	times->back[i] = (double)(bench_nsec() - called) / 1e3;
	return status == PENSTOCK_OK;
}

/* The limit is on the p99: what stands for the rounds here is the distribution's least and most. */
static void bench_judge_p99(const double *sorted, size_t count, const char *beyond_what, const struct bench_verb *verb,
                            enum bench_line line, double limit)
{
	struct bench_target target = { .line = line, .limit = limit, .at_most = true, .unit = " us" };

	target.figure = (struct bench_spread){ bench_quantile(sorted, count, 0.99), sorted[0], sorted[count - 1], count };
	snprintf(target.what, sizeof target.what, "%s beyond %s, p99, 8 at it, %s", verb->name, beyond_what,
	         bench_loads[verb->load]);
	bench_judge(&target);
}

static void bench_run_verb(struct bench_case *self)
{
	static struct bench_times times;
	const struct bench_verb *verb = self->what;
	size_t cycles = (size_t)bench_amount(self->has_target ? CYCLES : CYCLES_UNJUDGED), i;
	struct bench_busy busy;
	uint64_t until;
	bool whole = true;

	if (!bench_busy_begin(self, &busy, verb->load, verb->producers))
		return;
	until = bench_nsec() + bench_amount(CASE_NSEC);
	for (i = 0; i < cycles && whole && (i < CYCLES_MIN || bench_nsec() < until); i++)
		whole = bench_cycle(verb, busy.db, &times, i);
	cycles = i;
	if (!whole)
		bench_fail(self, "%s", penstock_error_message());
	bench_busy_end(&busy);
	if (!whole)
		return;
	bench_say(self, "cycles", (double)cycles);
	bench_say_distribution(self, verb->name, times.total, cycles);
	bench_say_distribution(self, "beyond", times.beyond, cycles);
	bench_say_distribution(self, verb->back_name, times.back, cycles);
	bench_say_distribution(self, "synced", times.synced, cycles);
	bench_say_distribution(self, "handshake", times.handshake, cycles);
	bench_say_seconds(self, bench_quantile(times.beyond, cycles, 0.50) / 1e6);
	if (!self->has_target)
		return;
	if (verb->load == LEAVING) {
		bench_judge_p99(times.beyond, cycles, "backlog", verb, BENCH_LINE_VERBS, HANDSHAKE_MAX_USEC);
		return;
	}
	bench_judge_p99(times.beyond, cycles, "backlog", verb, BENCH_NO_LINE, BEYOND_MAX_USEC);
	bench_judge_p99(times.handshake, cycles, "backlog and syncs", verb, BENCH_LINE_VERBS, HANDSHAKE_MAX_USEC);
}

/* ---- the grace period ---- */

static void bench_run_grace(struct bench_case *self)
{
	static double took[GRACE_CYCLES];
	size_t cycles = (size_t)bench_amount(GRACE_CYCLES), i;
	struct bench_target target = { .limit = BEYOND_MAX_USEC, .at_most = true, .unit = " us" };
	struct bench_busy busy;

	if (!bench_busy_begin(self, &busy, *(const enum bench_load *)self->what, PRODUCERS_JUDGED))
		return;
	for (i = 0; i < cycles; i++) {
		struct ps_keys keys = ps_state_keys(&busy.db->state);
		uint64_t before;

		bench_sleep_nsec(GRACE_RUN_NSEC);
		pthread_mutex_lock(&busy.db->control.mutex);
		before = bench_nsec();
		ps_state_retune(&busy.db->state, &keys);
		took[i] = (double)(bench_nsec() - before) / 1e3;
		pthread_mutex_unlock(&busy.db->control.mutex);
	}
	bench_busy_end(&busy);
	bench_say_distribution(self, "grace", took, cycles);
	bench_say_seconds(self, bench_quantile(took, cycles, 0.50) / 1e6);
	target.figure = (struct bench_spread){ bench_quantile(took, cycles, 0.99), took[0], took[cycles - 1], cycles };
	snprintf(target.what, sizeof target.what, "grace period alone, p99, 8 at it, %s",
	         bench_loads[*(const enum bench_load *)self->what]);
	bench_judge(&target);
}

void bench_add_verbs(void)
{
	static const struct {
		enum bench_load load;
		unsigned producers;
	} places[] = { { IDLE, 0 },     { WAITING, 8 }, { FULL, 8 },   { SMALL, 8 },
		       { WAITING, 64 }, { FULL, 64 },   { SMALL, 64 }, { LEAVING, 8 } };
	enum { PLACES = sizeof places / sizeof places[0] };
	static struct bench_verb verbs[2 * PLACES];
	static const enum bench_load loads[] = { WAITING, FULL };

	for (size_t i = 0; i < 2 * PLACES; i++) {
		struct bench_case each = { .run = bench_run_verb, .what = &verbs[i], .line = BENCH_LINE_VERBS };

		verbs[i] = i < PLACES ? (struct bench_verb){ .name = "pause",
			                                     .back_name = "unpause",
			                                     .there = penstock_pause,
			                                     .back = penstock_unpause }
		                      : (struct bench_verb){ .name = "stop",
			                                     .back_name = "start",
			                                     .there = penstock_stop,
			                                     .back = penstock_start };
		verbs[i].load = places[i % PLACES].load;
		verbs[i].producers = places[i % PLACES].producers;
		each.has_target = verbs[i].producers == PRODUCERS_JUDGED;
		each.extra = verbs[i].load == SMALL && !each.has_target;
		snprintf(each.name, sizeof each.name, "handshake/penstock/%s/%s/producers:%u", verbs[i].name,
		         bench_loads[verbs[i].load], verbs[i].producers);
		bench_add(&each);
	}
	for (size_t i = 0; i < 2; i++) {
		struct bench_case each = { .run = bench_run_grace, .what = &loads[i], .has_target = true };

		snprintf(each.name, sizeof each.name, "handshake/penstock/grace/%s/producers:8", bench_loads[loads[i]]);
		bench_add(&each);
	}
}
