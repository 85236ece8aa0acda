/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storm_os.c - every verb at once, and everything an operating system does to a program meanwhile
 *
 * Rounds, each with a file and an engine of its own. In a round producers submit in every way to a small ring, groups and calls too; threads pause
 * and unpause, stop and start, reconfigure, flush and open readers; one takes from a completion queue, whenever its descriptor
 * is readable; and at the same time
 *
 *   signals   in two rounds of three one every 100 us, to a thread drawn or to the process, with SA_RESTART and without; some
 *             handlers take long
 *   cancels   pthread_cancel of any of those threads; another takes its place (no call of Penstock's may be left half done,
 *             so a cancelled thread ends between two calls)
 *   forks     the child hears FORKED from every call
 *   outside   in some rounds another process takes the write lock again and again, holds it, and is killed with it
 *
 * Afterwards each submission is accounted for: accepted ones have exactly one outcome, OK ones are there exactly once, others
 * are not, each producer's rows are in its order, and the engine's own count of accepted ones agrees. What is in the queue when the
 * engine is closed is told of, and taken then. The main thread is the
 * watchdog: when a thread stays in one call for PENSTOCK_HANG seconds, or no handshake comes about, it prints what each is in,
 * and aborts.
 *
 *     PENSTOCK_HANDSHAKES=100000   how often the engine was paused and unpaused, or stopped and started (1000 unless set)
 *     PENSTOCK_SEED=1              what is drawn; the threads' interleaving is not
 *     PENSTOCK_HANG=60             seconds
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/penstock.h"
#include "tests/harness.h"
#include "tests/random.h"

#if defined(__SANITIZE_THREAD__)
#define WITH_FORK 0 /* TSan cannot follow a fork of many threads */
#else
#define WITH_FORK 1
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITH_CANCEL 0 /* they do not see that a cancelled thread leaves its frames (and their interceptors) */
#else
#define WITH_CANCEL 1
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define HANDSHAKES_DEFAULT 200
#else
#define HANDSHAKES_DEFAULT 1000
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])
#define PRODUCERS 4
#define EACH 20000
#define QUEUE_PLACES 64
#define WATCH_MS 2
#define HANDSHAKES_PER_ROUND 250
#define SIGNALS_NOT_EVERY 3 /* rounds without: a signal is a wake-up too, and would hide that one was lost */
#define OUTSIDE_EVERY 8     /* rounds: who waits for a lock does few handshakes */

static uint64_t seed = 1;

/* ---- what a round knows ------------------------------------------------------------------------------------------- */

enum stage { NOT_BEGUN, SUBMITTING, ACCEPTED, REFUSED };
enum heard { BY_NOBODY, BY_CALLBACK, BY_HANDLE, BY_EXECUTE, BY_QUEUE, WAYS };

struct fate {
	_Atomic unsigned char stage;
	unsigned char heard;
	bool wrong;
	_Atomic unsigned char outcomes;
	_Atomic int status;
	penstock_handle *handle;
	bool called;         /* by a call */
	unsigned char calls; /* of it */
};

static struct fate (*fates)[EACH];
static unsigned submitted[PRODUCERS];
static penstock *db;
static penstock_completions *queue;
static char *path;
static _Atomic bool over; /* the round's threads end */
static _Atomic unsigned handshakes, round_handshakes;
static uint64_t cancels, forks, outside_kills, submissions, lost;
static _Atomic uint64_t signals;

#define COMPLAIN(...)                                               \
	do {                                                        \
		fprintf(stderr, "storm: seed %" PRIu64 ": ", seed); \
		fprintf(stderr, __VA_ARGS__);                       \
		fputc('\n', stderr);                                \
		abort();                                            \
	} while (0)

/* ---- threads that are cancelled and begun again ------------------------------------------------------------------- */

struct place {
	unsigned index;
	void (*step)(struct place *place);
	uint64_t random;
	_Atomic uint64_t steps;
	const char *_Atomic inside; /* the call it is in */
	pthread_t thread;
};

#define PAUSERS 2
#define PLACES (PRODUCERS + PAUSERS + 3)

static struct place places[PLACES];

/* A thread of a place may be signalled as long as nobody joins it. */
static pthread_mutex_t joining = PTHREAD_MUTEX_INITIALIZER;

static void *run_place(void *arg)
{
	struct place *place = arg;

	while (!over) {
		place->step(place);
		place->inside = "between";
		place->steps++;
		pthread_testcancel();
	}
	place->inside = "ended";
	return NULL;
}

static void fill_place(struct place *place)
{
	if (pthread_create(&place->thread, NULL, run_place, place) != 0)
		COMPLAIN("a thread cannot be created");
}

#define CALL(place, call)                \
	({                               \
		(place)->inside = #call; \
		(call);                  \
	})

static int64_t some_timeout(uint64_t *random)
{
	static const int64_t timeouts[] = { 0, 50, 1000, 5000 };

	return random_below(random, 8) != 0 ? PENSTOCK_FOREVER : timeouts[random_below(random, COUNT_OF(timeouts))];
}

/* Takes part in cancelling: usleep is a cancellation point. */
static void rest(uint64_t *random, unsigned usec)
{
	usleep(random_below(random, usec) + 1);
}

/* ---- producers ---------------------------------------------------------------------------------------------------- */

static void note(struct fate *fate, const penstock_result *result)
{
	fate->status = (int)result->status;
	fate->outcomes++;
}

static void on_outcome(void *arg, const penstock_result *result)
{
	(void)arg;
	note(result->arg, result);
}

/* As a call: writes its row, and says what becomes of it. Each runs once. */
static int write_row(sqlite3 *connection, void *arg, char **message)
{
	struct fate *fate = arg;
	size_t index = (size_t)(fate - &fates[0][0]);
	char sql[64];

	(void)message;
	fate->calls++;
	snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%zu,%zu,NULL)", index / EACH, index % EACH);
	if (sqlite3_exec(connection, sql, NULL, NULL, NULL) != SQLITE_OK)
		COMPLAIN("a call cannot write: %s", sqlite3_errmsg(connection));
	return fate->wrong ? SQLITE_CONSTRAINT : SQLITE_OK;
}

/* The same by a group, whose second member is what is wrong with it, or by a call. */
static int submit_as(struct place *place, const penstock_submission *submission, struct fate *fate, int64_t timeout,
                     penstock_handle **handle)
{
	penstock_submission members[2] = { PENSTOCK_SUBMISSION_INIT, PENSTOCK_SUBMISSION_INIT }, whole = *submission;
	penstock_value values[3] = { submission->values[0], penstock_int64(fate - fates[place->index]), submission->values[2] };

	whole.sql = NULL;
	whole.values = NULL;
	whole.value_count = 0;
	if (fate->called)
		return CALL(place, penstock_call(db, write_row, fate, &whole, timeout, handle));
	members[0].sql = "INSERT INTO t VALUES(?,?,?)";
	members[0].values = values;
	members[0].value_count = 3;
	members[1].sql = fate->wrong ? submission->sql : "SELECT changes()";
	members[1].values = fate->wrong ? submission->values : NULL;
	members[1].value_count = fate->wrong ? 3 : 0;
	return CALL(place, penstock_submit_group(db, members, 2, &whole, timeout, handle));
}

static void produce(struct place *place)
{
	static const char padding[300];
	unsigned number = submitted[place->index];
	struct fate *fate = &fates[place->index][number];
	penstock_value values[3] = { penstock_int64(place->index), penstock_int64(number), penstock_null() };
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(?,?,?)",
		                           .values = values,
		                           .value_count = 3,
		                           .arg = fate };
	int64_t timeout = some_timeout(&place->random);
	penstock_handle *handle = NULL;
	int status;

	if (number == EACH) {
		rest(&place->random, 1000);
		return;
	}
	submitted[place->index] = number + 1;
	fate->heard = (unsigned char)random_below(&place->random, WAYS);
	switch (random_below(&place->random, 24)) {
	case 0:
		fate->wrong = true;
		values[1] = penstock_null();
		break;
	case 1:
		fate->wrong = true;
		submission.sql = "INSERT OR ROLLBACK INTO t VALUES(?,NULL+?,?)";
		break;
	case 2:
		submission.flags = PENSTOCK_RUN_ALONE;
		break;
	case 3:
		values[2] = penstock_blob(padding, sizeof padding);
		break;
	default:
		break;
	}
	if (fate->heard == BY_CALLBACK)
		submission.on_complete = on_outcome;
	if (fate->heard == BY_QUEUE)
		submission.completions = queue;
	fate->stage = SUBMITTING;
	if (fate->heard == BY_EXECUTE) {
		status = CALL(place, penstock_execute(db, &submission, timeout, &handle));
		if (handle != NULL)
			status = PENSTOCK_OK;
	} else if (random_below(&place->random, 4) == 0) {
		fate->called = random_below(&place->random, 2) == 0;
		status = submit_as(place, &submission, fate, timeout, fate->heard == BY_HANDLE ? &handle : NULL);
	} else {
		status = CALL(place, penstock_submit(db, &submission, timeout, fate->heard == BY_HANDLE ? &handle : NULL));
	}
	fate->handle = handle;
	fate->stage = status == PENSTOCK_OK ? ACCEPTED : REFUSED;
	if (status != PENSTOCK_OK && status != PENSTOCK_FULL && status != PENSTOCK_TIMEOUT && status != PENSTOCK_PAUSED &&
	    status != PENSTOCK_STOPPED)
		COMPLAIN("submit: %s: %s", penstock_status_name(status), penstock_error_message());
	if (status == PENSTOCK_FULL && fate->heard == BY_QUEUE &&
	    CALL(place, penstock_completions_notify_room(db, queue)) != PENSTOCK_OK)
		COMPLAIN("notify_room: %s", penstock_error_message());
	if (status != PENSTOCK_OK || random_below(&place->random, 8) == 0)
		rest(&place->random, 2000);
}

/* ---- the queue ---------------------------------------------------------------------------------------------------- */

static bool is_readable(int timeout_ms)
{
	struct pollfd look = { .fd = penstock_completions_descriptor(queue), .events = POLLIN };

	return poll(&look, 1, timeout_ms) == 1;
}

static size_t take_some(struct place *place, size_t room)
{
	penstock_handle *handles[16];
	size_t count;

	if (CALL(place, penstock_completions_take(queue, handles, room, &count)) != PENSTOCK_OK)
		COMPLAIN("take: %s", penstock_error_message());
	for (size_t i = 0; i < count; i++) {
		on_outcome(NULL, penstock_handle_result(handles[i]));
		penstock_handle_release(handles[i]);
	}
	return count;
}

/* Only what it is told of: a wake-up that was lost is found when the queue ends. */
static void take_once(struct place *place)
{
	if (is_readable(50))
		take_some(place, 1 + random_below(&place->random, 16));
	if (random_below(&place->random, 16) == 0)
		rest(&place->random, 3000);
}

/* The engine is closed: all has completed. */
static void end_queue(void)
{
	struct place last = { .inside = "ending" };

	while (penstock_completions_close(queue) != PENSTOCK_OK) {
		if (!is_readable(0))
			COMPLAIN("what is in the queue was not told of");
		if (take_some(&last, 16) == 0 && is_readable(0))
			COMPLAIN("nothing is taken of what was told of");
	}
}

/* ---- verbs -------------------------------------------------------------------------------------------------------- */

static void shake(void)
{
	round_handshakes++;
	handshakes++;
}

/* A cancelled pauser's pause would never end. */
static void end_pause(void *arg)
{
	struct place *place = arg;
	int status;

	do {
		status = CALL(place, penstock_unpause(db, some_timeout(&place->random)));
	} while (status == PENSTOCK_TIMEOUT);
	/* MISUSE: it went on after a TIMEOUT, or a stop and a start came between. */
	if (status == PENSTOCK_OK)
		shake();
	else if (status != PENSTOCK_STOPPED && status != PENSTOCK_MISUSE)
		COMPLAIN("unpause: %s: %s", penstock_status_name(status), penstock_error_message());
}

static void pause_once(struct place *place)
{
	int status = CALL(place, penstock_pause(db, some_timeout(&place->random)));

	if (status == PENSTOCK_OK) {
		pthread_cleanup_push(end_pause, place);
		if (random_below(&place->random, 4) == 0)
			rest(&place->random, 200);
		pthread_cleanup_pop(1);
	} else if (status != PENSTOCK_TIMEOUT && status != PENSTOCK_STOPPED) {
		COMPLAIN("pause: %s: %s", penstock_status_name(status), penstock_error_message());
	}
	if (random_below(&place->random, 8) == 0)
		rest(&place->random, 500);
}

static void start_again(void *arg)
{
	struct place *place = arg;
	int status;

	do {
		status = CALL(place, penstock_start(db, some_timeout(&place->random)));
	} while (status == PENSTOCK_TIMEOUT);
	if (status != PENSTOCK_OK)
		COMPLAIN("start: %s: %s", penstock_status_name(status), penstock_error_message());
	shake();
}

static void stop_once(struct place *place)
{
	int status;

	rest(&place->random, 3000);
	pthread_cleanup_push(start_again, place);
	status = CALL(place, penstock_stop_with(db, some_timeout(&place->random),
	                                        random_below(&place->random, 4) == 0 ? PENSTOCK_GIVE_UP : 0));
	if (status != PENSTOCK_OK && status != PENSTOCK_TIMEOUT)
		COMPLAIN("stop: %s", penstock_status_name(status));
	if (random_below(&place->random, 4) == 0)
		rest(&place->random, 300);
	pthread_cleanup_pop(1);
}

static void read_once(struct place *place)
{
	sqlite3 *reader;
	int status = CALL(place, penstock_reader_open(db, &reader)), state;

	if (status == PENSTOCK_OK) {
		/* SQLite's own calls are cancellation points. */
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
		if (sqlite3_close(reader) != SQLITE_OK)
			COMPLAIN("a reader does not close");
		pthread_setcancelstate(state, NULL);
	} else if (status != PENSTOCK_PAUSED) {
		COMPLAIN("reader_open: %s: %s", penstock_status_name(status), penstock_error_message());
	}
}

static void look_once(struct place *place)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_config change;
	char *text;
	size_t length;
	int status = PENSTOCK_OK;

	switch (random_below(&place->random, 5)) {
	case 0:
		status = CALL(place, penstock_flush(db, random_below(&place->random, 2000)));
		break;
	case 1:
		penstock_config_init(&change);
		change.batch_max = 1 + random_below(&place->random, 200);
		change.ring_bytes = 4096 + random_below(&place->random, 10000);
		change.spin_usec = random_below(&place->random, 2) * 20;
		change.linger_usec = random_below(&place->random, 4) == 0 ? 100 : 0;
		change.wal_bytes_max = random_below(&place->random, 2) ? 65536 : 1 << 20;
		change.when_full = random_below(&place->random, 2);
		change.when_paused = random_below(&place->random, 2);
		change.when_stopped = random_below(&place->random, 2);
		status = CALL(place, penstock_reconfigure(db, &change));
		break;
	case 2:
		status = CALL(place, penstock_counters_read(db, &counters));
		if (counters.accepted !=
		    counters.committed + counters.failed + counters.unknown + counters.shutdown + counters.queue_depth)
			COMPLAIN("the counters do not add up");
		break;
	case 3:
		status = CALL(place, penstock_metrics_prometheus(&db, NULL, 1, NULL, 0, &length));
		text = malloc(length);
		if (status == PENSTOCK_OK)
			status = CALL(place, penstock_metrics_prometheus(&db, NULL, 1, text, length, &length));
		if (status == PENSTOCK_OK && strlen(text) != length)
			COMPLAIN("the metrics are not as long as they say");
		free(text);
		break;
	default:
		read_once(place);
		break;
	}
	if (status != PENSTOCK_OK && status != PENSTOCK_TIMEOUT)
		COMPLAIN("%s: %s: %s", place->inside, penstock_status_name(status), penstock_error_message());
	rest(&place->random, 2000);
}

/* ---- signals ------------------------------------------------------------------------------------------------------ */

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	/* Now and then a thread is held up wherever it is. (A sleep would be a cancellation point inside whatever it is in.) */
	if (++signals % 64 == 0) {
		for (int i = 0; i < 100; i++)
			sched_yield();
	}
	errno = saved;
}

static _Atomic bool calm;

static void *send_signals(void *arg)
{
	uint64_t random = seed + 11;

	(void)arg;
	while (!calm && seed % SIGNALS_NOT_EVERY != 0) {
		int number = random_below(&random, 2) ? SIGUSR1 : SIGUSR2;
		unsigned to = random_below(&random, PLACES + 1);

		pthread_mutex_lock(&joining);
		if (to == PLACES)
			kill(getpid(), number);
		else
			pthread_kill(places[to].thread, number);
		pthread_mutex_unlock(&joining);
		usleep(100);
	}
	return NULL;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &action, NULL);
}

/* ---- cancellation ------------------------------------------------------------------------------------------------- */

static const char *_Atomic canceller_inside = "between";

/* False: its thread has not ended yet. */
static bool refill(struct place *place)
{
	bool ended;

	pthread_mutex_lock(&joining);
	ended = pthread_tryjoin_np(place->thread, NULL) == 0;
	if (ended)
		fill_place(place);
	pthread_mutex_unlock(&joining);
	return ended;
}

static void *cancel_threads(void *arg)
{
	uint64_t random = seed + 12;

	(void)arg;
	while (!calm && WITH_CANCEL) {
		struct place *place = &places[random_below(&random, PLACES)];

		usleep(random_below(&random, 20000));
		canceller_inside = place->inside;
		pthread_cancel(place->thread);
		/* It ends once the call that it is in has returned. */
		while (!refill(place) && !calm)
			usleep(500);
		cancels++;
		canceller_inside = "between";
	}
	canceller_inside = "ended";
	return NULL;
}

/* ---- forks -------------------------------------------------------------------------------------------------------- */

static bool is_told_forked(void)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT 1" };
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_handle *handle;
	size_t length, count;
	sqlite3 *reader;

	return penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_FORKED &&
	       penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_FORKED &&
	       penstock_flush(db, PENSTOCK_FOREVER) == PENSTOCK_FORKED &&
	       penstock_pause(db, PENSTOCK_FOREVER) == PENSTOCK_FORKED &&
	       penstock_unpause(db, PENSTOCK_FOREVER) == PENSTOCK_FORKED &&
	       penstock_stop(db, PENSTOCK_FOREVER) == PENSTOCK_FORKED &&
	       penstock_start(db, PENSTOCK_FOREVER) == PENSTOCK_FORKED &&
	       penstock_reader_open(db, &reader) == PENSTOCK_FORKED &&
	       penstock_counters_read(db, &counters) == PENSTOCK_FORKED &&
	       penstock_completions_take(queue, &handle, 1, &count) == PENSTOCK_FORKED &&
	       penstock_completions_notify_room(db, queue) == PENSTOCK_FORKED &&
	       penstock_metrics_prometheus(&db, NULL, 1, NULL, 0, &length) == PENSTOCK_FORKED && penstock_is_stopped(db) &&
	       penstock_queue_depth(db) == 0 && penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_FORKED;
}

static void *fork_children(void *arg)
{
	uint64_t random = seed + 13;
	int status;
	pid_t child;

	(void)arg;
	while (!calm && WITH_FORK) {
		/* Seldom: each makes every page of the process copied on its next write. */
		usleep(20000 + random_below(&random, 200000));
		child = fork();
		if (child == 0) {
			alarm(60);
			_exit(is_told_forked() ? 0 : 1);
		}
		while (waitpid(child, &status, 0) < 0)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			COMPLAIN("a forked child: %#x", (unsigned)status);
		forks++;
	}
	return NULL;
}

/* ---- the process outside ------------------------------------------------------------------------------------------ */

/* Until it is killed. */
static int hold_the_lock(const char *file, uint64_t random)
{
	sqlite3 *connection;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sqlite3_open_v2(file, &connection, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return 1;
	sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_wal_autocheckpoint(connection, 0);
	sqlite3_busy_timeout(connection, 10);
	for (;;) {
		sqlite3_exec(connection, "PRAGMA synchronous=OFF; BEGIN IMMEDIATE; INSERT INTO outside VALUES(1)", NULL, NULL,
		             NULL);
		usleep(random_below(&random, 2500));
		sqlite3_exec(connection, "COMMIT", NULL, NULL, NULL);
		usleep(random_below(&random, 4000));
	}
}

static void *disturb_from_outside(void *arg)
{
	uint64_t random = seed + 14;

	(void)arg;
	while (!calm && seed % OUTSIDE_EVERY == 1) {
		char text[32];
		char *arguments[] = { "storm_os", path, text, NULL };
		pid_t child;

		snprintf(text, sizeof text, "%" PRIu64, random_next(&random));
		if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) != 0)
			COMPLAIN("the process outside cannot be begun");
		usleep(3000 + random_below(&random, 30000));
		kill(child, SIGKILL);
		while (waitpid(child, NULL, 0) < 0)
			;
		outside_kills++;
	}
	return NULL;
}

/* ---- the account -------------------------------------------------------------------------------------------------- */

static void check_fate(const struct fate *fate, unsigned times, unsigned p, unsigned n)
{
	bool given_up = fate->outcomes != 0 && fate->status == PENSTOCK_SHUTDOWN;
	int wanted = given_up ? PENSTOCK_SHUTDOWN : fate->wrong ? PENSTOCK_ERROR : PENSTOCK_OK;
	unsigned present = fate->stage == ACCEPTED && !fate->wrong && !given_up;
	bool heard = fate->heard != BY_NOBODY || fate->wrong || given_up;

	if (fate->stage != ACCEPTED && fate->stage != REFUSED)
		COMPLAIN("submission %u of producer %u was left half done", n, p);
	if (fate->calls != (fate->called && fate->stage == ACCEPTED && !given_up))
		COMPLAIN("submission %u of producer %u: called %u times", n, p, fate->calls);
	if (times < present)
		lost++;
	if (times != present)
		COMPLAIN("submission %u of producer %u: %u rows, not %u", n, p, times, present);
	if (fate->outcomes != (fate->stage == ACCEPTED && heard))
		COMPLAIN("submission %u of producer %u: %u outcomes", n, p, fate->outcomes);
	if (fate->outcomes != 0 && fate->status != wanted)
		COMPLAIN("submission %u of producer %u: %s", n, p, penstock_status_name(fate->status));
}

static void settle_accounts(uint64_t accepted)
{
	static unsigned char times[PRODUCERS][EACH];
	int last[PRODUCERS];
	sqlite3 *connection;
	sqlite3_stmt *statement;
	uint64_t counted = 0;

	memset(times, 0, sizeof times);
	for (unsigned p = 0; p < PRODUCERS; p++)
		last[p] = -1;
	if (sqlite3_open(path, &connection) != SQLITE_OK ||
	    sqlite3_prepare_v2(connection, "SELECT p,n FROM t ORDER BY rowid", -1, &statement, NULL) != SQLITE_OK)
		COMPLAIN("%s", sqlite3_errmsg(connection));
	while (sqlite3_step(statement) == SQLITE_ROW) {
		int p = sqlite3_column_int(statement, 0), n = sqlite3_column_int(statement, 1);

		if (n <= last[p])
			COMPLAIN("producer %d: %d behind %d", p, n, last[p]);
		last[p] = n;
		times[p][n]++;
	}
	sqlite3_finalize(statement);
	sqlite3_close(connection);
	for (unsigned p = 0; p < PRODUCERS; p++) {
		for (unsigned n = 0; n < submitted[p]; n++) {
			struct fate *fate = &fates[p][n];

			if (fate->handle != NULL) {
				note(fate, penstock_handle_result(fate->handle));
				penstock_handle_release(fate->handle);
			}
			check_fate(fate, times[p][n], p, n);
			counted += fate->stage == ACCEPTED;
		}
		memset(fates[p], 0, submitted[p] * sizeof fates[p][0]);
		submissions += submitted[p];
	}
	if (counted != accepted)
		COMPLAIN("%" PRIu64 " accepted, %" PRIu64 " counted", accepted, counted);
}

/* ---- the watchdog ------------------------------------------------------------------------------------------------- */

static void tell_state(void)
{
	penstock_counters counters = { .struct_size = sizeof counters };

	fprintf(stderr, "storm: hung in round of seed %" PRIu64 " after %u handshakes; phase %s, %" PRIu64 " queued\n", seed,
	        (unsigned)handshakes, penstock_phase_name(penstock_phase_of(db)), penstock_queue_depth(db));
	if (penstock_counters_read(db, &counters) == PENSTOCK_OK)
		fprintf(stderr,
		        "  accepted %" PRIu64 ", batches %" PRIu64 ", parks %" PRIu64 ", wakes %" PRIu64 ", busy %" PRIu64 "\n",
		        counters.accepted, counters.batches, counters.parks, counters.wakes, counters.busy_retries);
	for (unsigned i = 0; i < PLACES; i++)
		fprintf(stderr, "  thread %u: %s\n", i, places[i].inside);
	fprintf(stderr, "  cancelling: %s\n", canceller_inside);
}

static bool any_place_is_stuck(unsigned hang_ms)
{
	static uint64_t before[PLACES + 1];
	static unsigned quiet_ms[PLACES + 1];
	bool stuck = false;

	for (unsigned i = 0; i <= PLACES; i++) {
		uint64_t now = i < PLACES ? places[i].steps : handshakes;

		quiet_ms[i] = now == before[i] ? quiet_ms[i] + WATCH_MS : 0;
		before[i] = now;
		stuck = stuck || quiet_ms[i] >= hang_ms;
	}
	return stuck;
}

/* Waits; meanwhile every place has to move, or else the wait itself has to end. */
static void watch(bool (*is_done)(void), bool look_at_places)
{
	const char *text = getenv("PENSTOCK_HANG");
	unsigned waited_ms = 0, hang_ms = text != NULL ? (unsigned)atoi(text) * 1000 : 60000;

	while (!is_done()) {
		struct timespec moment = { .tv_nsec = WATCH_MS * 1000000 };

		/* A signal ends the sleep early. */
		if (nanosleep(&moment, NULL) != 0)
			continue;
		if (look_at_places ? any_place_is_stuck(hang_ms) : (waited_ms += WATCH_MS) >= hang_ms) {
			tell_state();
			abort();
		}
	}
}

static unsigned round_target;

static bool round_is_done(void)
{
	return round_handshakes >= round_target;
}

static pthread_t watched;

static bool watched_has_ended(void)
{
	return pthread_tryjoin_np(watched, NULL) == 0;
}

static void join_watched(pthread_t thread)
{
	watched = thread;
	watch(watched_has_ended, false);
}

/* ---- rounds ------------------------------------------------------------------------------------------------------- */

static void must(int status, const char *what)
{
	if (status != PENSTOCK_OK)
		COMPLAIN("%s: %s: %s", what, penstock_status_name(status), penstock_error_message());
}

static void execute(const char *sql)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = sql };

	must(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), sql);
}

static void open_engine(uint64_t *random)
{
	static const int64_t slots[] = { 2, 16, 256 };
	penstock_config config;
	const char *const names[] = { "storm.db", "storm.db-wal", "storm.db-shm" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		unlink(harness_path(names[i]));
	penstock_config_init(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	config.ring_slots = slots[random_below(random, COUNT_OF(slots))];
	config.on_error = on_outcome;
	config.busy_limit_ms = 0;
	config.checkpoint_thread = random_below(random, 4) != 0;
	config.leave_wal = random_below(random, 2);
	must(penstock_open(path, &config, &db), "open");
	must(penstock_completions_open(db, QUEUE_PLACES, &queue), "a completion queue");
	execute("CREATE TABLE t(p, n NOT NULL, pad)");
	execute("CREATE TABLE outside(a)");
}

static void *close_engine(void *arg)
{
	must(penstock_close(db, PENSTOCK_FOREVER), "close");
	return arg;
}

static void *run_on(void *arg)
{
	/* Whatever state it was left in: run what is held. */
	must(penstock_start(db, PENSTOCK_FOREVER), "start");
	if (penstock_phase_of(db) == PENSTOCK_PHASE_PAUSED)
		must(penstock_unpause(db, PENSTOCK_FOREVER), "unpause");
	return arg;
}

static void *flush_all(void *arg)
{
	must(penstock_flush(db, PENSTOCK_FOREVER), "flush");
	return arg;
}

/* On another thread, so that this one watches. */
static void do_watched(void *(*run)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, NULL) != 0)
		COMPLAIN("a thread cannot be created");
	join_watched(thread);
}

static void storm_round(void)
{
	static void *(*const disturbers[])(void *) = { send_signals, cancel_threads, fork_children, disturb_from_outside };
	pthread_t threads[COUNT_OF(disturbers)];
	uint64_t random = seed;
	penstock_counters counters = { .struct_size = sizeof counters };

	over = calm = false;
	round_handshakes = 0;
	memset(submitted, 0, sizeof submitted);
	open_engine(&random);
	for (unsigned i = 0; i < PLACES; i++) {
		places[i].index = i;
		places[i].random = random_next(&random);
		places[i].step = i < PRODUCERS             ? produce
		                 : i < PRODUCERS + PAUSERS ? pause_once
		                 : i == PLACES - 2         ? take_once
		                 : i == PLACES - 1         ? stop_once
		                                           : look_once;
		places[i].inside = "begun";
		fill_place(&places[i]);
	}
	for (size_t i = 0; i < COUNT_OF(disturbers); i++) {
		if (pthread_create(&threads[i], NULL, disturbers[i], NULL) != 0)
			COMPLAIN("a thread cannot be created");
	}
	watch(round_is_done, true);
	calm = true;
	for (size_t i = 0; i < COUNT_OF(disturbers); i++)
		join_watched(threads[i]);
	over = true;
	for (unsigned i = PRODUCERS; i < PLACES; i++)
		join_watched(places[i].thread);
	do_watched(run_on);
	for (unsigned i = 0; i < PRODUCERS; i++)
		join_watched(places[i].thread);
	do_watched(flush_all);
	must(penstock_counters_read(db, &counters), "counters");
	do_watched(close_engine);
	end_queue();
	settle_accounts(counters.accepted - 2);
}

int main(int count, char **arguments)
{
	const char *text = getenv("PENSTOCK_HANDSHAKES");
	unsigned wanted = text != NULL ? (unsigned)atoi(text) : HANDSHAKES_DEFAULT;
	uint64_t first;

	if (count == 3)
		return hold_the_lock(arguments[1], strtoull(arguments[2], NULL, 10));
	text = getenv("PENSTOCK_SEED");
	first = seed = text != NULL ? strtoull(text, NULL, 10) : 1;
	path = strdup(harness_path("storm.db"));
	fates = calloc(PRODUCERS, sizeof *fates);
	catch_signals();
	for (; handshakes < wanted; seed++) {
		round_target = wanted - handshakes < HANDSHAKES_PER_ROUND ? wanted - handshakes : HANDSHAKES_PER_ROUND;
		storm_round();
	}
	free(fates);
	free(path);
	if ((cancels == 0 && WITH_CANCEL) || (signals == 0 && first % SIGNALS_NOT_EVERY != 0) ||
	    (outside_kills == 0 && first % OUTSIDE_EVERY == 1) || (forks == 0 && WITH_FORK))
		COMPLAIN("something did not take part");
	if (!WITH_FORK)
		printf("# SKIP storm_os/fork: ThreadSanitizer cannot follow a fork of many threads\n");
	if (!WITH_CANCEL)
		printf("# SKIP storm_os/cancel: the sanitizers cannot follow a cancellation\n");
	printf("storm: %u handshakes, %" PRIu64 " submissions, %" PRIu64 " signals, %" PRIu64 " cancels, %" PRIu64
	       " forks, %" PRIu64 " outside writers killed; hung 0, lost %" PRIu64 "; seeds %" PRIu64 " to %" PRIu64
	       ", SQLite %s\n",
	       (unsigned)handshakes, submissions, (uint64_t)signals, cancels, forks, outside_kills, lost, first, seed - 1,
	       sqlite3_libversion());
	harness_end();
	printf("ok storm/every_verb_among_signals_cancels_forks_and_an_outside_writer\n");
	return 0;
}
