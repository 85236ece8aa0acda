/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kill_processes.c - engines of several processes on one file, killed and stopped again and again
 *
 * A supervisor keeps WORKERS processes alive, each with an engine on the same file, two producers and a thread that pauses all engines.
 * Again and again one of them is to be killed, or stopped, at the n-th passing of a named point (POINT_LIST) or by the supervisor at any time;
 * a stopped one goes on after a while, or is killed. Meanwhile the supervisor writes with a plain connection now and then, and so do
 * the sqlite3 shell and a Python program (strangers.h), which are killed now and then, too. Each producer and each stranger
 * counts in memory that outlives it how many rows it has submitted and how many were acknowledged, in order. In the end:
 *
 *   1. lost      each acknowledged row is there
 *   2. doubled   no row is there twice
 *   3. ghosts    no row is there that nobody submitted, and none behind one that is missing
 *   4. hung      behind each kill, and beside each stop that holds no lock, the others went on (a hang ends the program by SIGALRM)
 *
 * Then one process with CROWD threads and one with a single thread write to the file, each thread waiting for each of its rows, until each
 * has had its part: no thread is left behind for ever, and the check is made of their rows, too.
 *
 * Once per run the check itself is tried: on a file that was tampered with it must find each of the first three.
 *
 *     PENSTOCK_KILLS=5000   kills and stops (300 unless set)
 *     PENSTOCK_SEED=1       what is drawn; how the processes interleave is not
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include "core/penstock.h"
#include "tests/harness.h"
#include "tests/kill/strangers.h"
#include "tests/random.h"
#include "tests/shim.h"

#define KILLS_DEFAULT 300
#define WORKERS 4
#define PRODUCERS 2
#define WINDOW 6
#define HANG_SECONDS 120
#define CROWD 64
#define CROWD_ROWS 100 /* of each thread */
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* X(name, largest n drawn, whether others go on beside one that is stopped there, what has just happened or is about to) */
#define POINT_LIST(X)                                                                   \
	X(TIMER, 1, false, "any time")                                                  \
	X(OPENING, 1, true, "the database file is open, nothing is set up")             \
	X(ASKING, 20, true, "it is its turn, and it is about to ask for the lock")      \
	X(WRITING, 20, false, "a statement runs, at its turn, in a transaction")        \
	X(COMMITTED, 20, false, "the write lock is about to be let go, at its turn")    \
	X(LET_GO, 20, true, "the write lock is let go, and its turn may go on")         \
	X(PASSING, 10, true, "its turn has ended, and the next is about to be woken")   \
	X(WAITING, 10, true, "it has a ticket, and is about to sleep")                  \
	X(DELIVERING, 20, true, "in a completion callback, behind its turn")            \
	X(COPYING, 5, false, "the checkpoint thread is about to write to the database") \
	X(COPIED, 3, false, "it has synced the database")                               \
	X(PAUSED_ALL, 2, false, "all engines are paused by it")                         \
	X(CLOSING, 1, true, "the database file is about to be closed")

enum point {
#define POINT_ENUM(name, most, free, text) AT_##name,
	POINT_LIST(POINT_ENUM)
#undef POINT_ENUM
		POINTS
};

static const struct {
	const char *name;
	unsigned most;
	bool free;
} points[] = {
#define POINT_ENTRY(name, most, free, text) { #name, most, free },
	POINT_LIST(POINT_ENTRY)
#undef POINT_ENTRY
};

/* ---- what outlives a process -------------------------------------------------------------------------------------- */

struct life {
	_Atomic uint32_t submitted[PRODUCERS], acknowledged[PRODUCERS];
};

struct worker {
	_Atomic unsigned wanted; /* enum point */
	_Atomic unsigned to_pass;
	_Atomic int signal;
	_Atomic unsigned reached; /* enum point; POINTS: none yet */
};

static struct page {
	_Atomic bool ending;
	_Atomic uint64_t turns, waited, skipped, succeeded, missed; /* of those that ended by themselves */
	_Atomic bool crowd_ending;
	_Atomic uint32_t crowd_rows[CROWD + 1]; /* by thread; the last one is alone in its process */
	_Atomic uint64_t crowd_turns[2], crowd_waited[2];
	struct worker workers[WORKERS];
	struct life lives[]; /* of the strangers, too: they are as the first producer */
} * page;

/* ---- a worker ----------------------------------------------------------------------------------------------------- */

static const char *path;
static struct worker *self;
static struct life *life;
static unsigned life_number;
static penstock *db;
static _Atomic bool running;
static __thread bool is_writer;

static void at(enum point point)
{
	if (point != self->wanted || atomic_fetch_sub(&self->to_pass, 1) != 1)
		return;
	self->reached = point;
	kill(getpid(), self->signal);
	/* It is a moment before it stops. */
	while (self->wanted == point)
		usleep(100);
}

/* Whatever the writer is doing meanwhile: only where one that is stopped there may hold up others. */
static void at_pass(const struct shim_event *event)
{
	if (event->call == SHIM_WRITE && event->file == SHIM_MAIN && !event->after)
		at(AT_COPYING);
	else if (event->call == SHIM_SYNC && event->file == SHIM_MAIN && event->after)
		at(AT_COPIED);
}

static int on_call(const struct shim_event *event)
{
	bool write_lock = event->offset == 0 && (event->flags & SQLITE_SHM_EXCLUSIVE) != 0;

	if (harness_is_checkpoint_thread()) {
		at_pass(event);
		return event->call == SHIM_SYNC && !event->after ? SHIM_SKIP : SQLITE_OK;
	}
	switch (event->call) {
	case SHIM_OPEN:
		if (event->after && event->file == SHIM_MAIN)
			at(AT_OPENING);
		break;
	case SHIM_SYNC:
		return event->after ? SQLITE_OK : SHIM_SKIP;
	case SHIM_SHM_LOCK:
		if (write_lock && !event->after && running)
			at(AT_ASKING);
		break;
	case SHIM_SHM_UNLOCK:
		if (write_lock && running)
			at(event->after ? AT_LET_GO : AT_COMMITTED);
		break;
	case SHIM_CLOSE:
		if (event->file == SHIM_MAIN)
			at(AT_CLOSING);
		break;
	default:
		break;
	}
	return SQLITE_OK;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* The futex that processes share. */
long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < COUNT_OF(arguments); i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_futex && is_writer) {
		if ((int)arguments[1] == FUTEX_WAIT_BITSET)
			at(AT_WAITING);
		else if ((int)arguments[1] == FUTEX_WAKE_BITSET)
			at(AT_PASSING);
	}
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

static void mark(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	at(AT_WRITING);
	sqlite3_result_int(context, 0);
}

static int hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	is_writer = true;
	return sqlite3_create_function(connection, "mark", 0, SQLITE_UTF8, NULL, mark, NULL, NULL);
}

static void must(int status, const char *what)
{
	if (status == PENSTOCK_OK)
		return;
	fprintf(stderr, "kill: process %u: %s: %s\n", life_number, what, penstock_error_message());
	abort();
}

static void on_complete(void *arg, const penstock_result *result)
{
	_Atomic uint32_t *acknowledged = arg;

	at(AT_DELIVERING);
	must(result->status, "a row");
	*acknowledged += 1;
}

/* The next row of a producer: by a callback, or (hears) it is waited for. */
static void submit_row(unsigned producer, bool hears)
{
	_Atomic uint32_t *submitted = &life->submitted[producer], *acknowledged = &life->acknowledged[producer];
	penstock_value values[] = { penstock_int64(life_number), penstock_int64(producer), penstock_int64(*submitted) };
	penstock_submission insert = { .struct_size = sizeof insert,
		                       .sql_bytes = -1,
		                       .sql = "INSERT INTO t VALUES(?,?,?,mark())",
		                       .values = values,
		                       .value_count = COUNT_OF(values) };

	*submitted += 1;
	if (hears) {
		must(penstock_execute(db, &insert, PENSTOCK_FOREVER, NULL), "a row");
		*acknowledged += 1;
		return;
	}
	insert.on_complete = on_complete;
	insert.arg = acknowledged;
	must(penstock_submit(db, &insert, PENSTOCK_FOREVER, NULL), "submitting");
}

/* The first one waits for each, so that a turn goes on; the second has a window of them, in whose callbacks there is none. */
static void *produce(void *arg)
{
	unsigned producer = (unsigned)(uintptr_t)arg;
	uint64_t random = random_mix(life_number * PRODUCERS + producer);

	while (!page->ending) {
		unsigned window = 1 + random_below(&random, WINDOW);

		if (producer == 0) {
			for (; window > 0; window--)
				submit_row(producer, true);
		} else {
			while (life->submitted[producer] - life->acknowledged[producer] < window)
				submit_row(producer, false);
		}
		usleep(random_below(&random, 400));
	}
	return NULL;
}

static void *pause_all(void *arg)
{
	uint64_t random = random_mix(life_number + 77);

	while (!page->ending) {
		usleep(5000 + random_below(&random, 60000));
		/* Somebody may be stopped who holds it up. */
		if (penstock_pause_all(db, 20000) != PENSTOCK_OK)
			continue;
		at(AT_PAUSED_ALL);
		must(penstock_unpause(db, PENSTOCK_FOREVER), "unpausing");
	}
	return arg;
}

static void work(void)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	pthread_t threads[PRODUCERS + 1];
	penstock_config config;
	uint64_t random;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shim_install(on_call);
	penstock_config_init(&config);
	config.connect_hook = hook;
	config.when_paused = PENSTOCK_HOLD;
	/* Where nothing is synced a pass is not either. A few lives' writers checkpoint themselves, beside the others' threads. */
	random = random_mix(life_number + 99);
	config.synchronous = random_below(&random, 2) == 0 ? PENSTOCK_SYNCHRONOUS_OFF : PENSTOCK_SYNCHRONOUS_NORMAL;
	config.wal_bytes_max = 65536 << random_below(&random, 5);
	config.checkpoint_thread = random_below(&random, 4) != 0;
	must(penstock_open(path, &config, &db), "opening");
	running = true;
	for (unsigned i = 0; i < COUNT_OF(threads); i++) {
		if (pthread_create(&threads[i], NULL, i < PRODUCERS ? produce : pause_all, (void *)(uintptr_t)i) != 0)
			abort();
	}
	for (unsigned i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	penstock_flush(db, PENSTOCK_FOREVER);
	penstock_counters_read(db, &counters);
	page->turns += counters.turns;
	page->waited += counters.turns_waited;
	page->skipped += counters.turns_skipped;
	page->succeeded += counters.turns_succeeded;
	page->missed += counters.turns_missed;
	must(penstock_close(db, PENSTOCK_FOREVER), "closing");
	_exit(0);
}

/* ---- the supervisor ----------------------------------------------------------------------------------------------- */

static pid_t pids[WORKERS];
static unsigned alive[WORKERS]; /* the number of the life */
static unsigned lives;

static void begin_life(unsigned worker)
{
	page->workers[worker].wanted = POINTS;
	page->workers[worker].reached = POINTS;
	alive[worker] = lives++;
	pids[worker] = fork();
	if (pids[worker] < 0) {
		perror("fork");
		exit(1);
	}
	if (pids[worker] > 0)
		return;
	self = &page->workers[worker];
	life_number = alive[worker];
	life = &page->lives[life_number];
	work();
}

static void end_process(pid_t pid, unsigned number)
{
	int status;

	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 || WIFSTOPPED(status))
		;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		fprintf(stderr, "kill: process %u ended by itself: status %#x\n", number, (unsigned)status);
		exit(1);
	}
}

static void end_life(unsigned worker)
{
	end_process(pids[worker], alive[worker]);
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Which was told to end. */
static void await_end(pid_t pid, unsigned number)
{
	int status;

	if (waitpid(pid, &status, 0) == pid && status == 0)
		return;
	fprintf(stderr, "kill: process %u: status %#x\n", number, (unsigned)status);
	exit(1);
}

static uint64_t acknowledged_but_by(unsigned worker)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		for (unsigned p = 0; p < PRODUCERS && i != worker; p++)
			sum += page->lives[alive[i]].acknowledged[p];
	}
	return sum;
}

static void await_progress(unsigned but)
{
	uint64_t before = acknowledged_but_by(but);

	while (acknowledged_but_by(but) == before)
		usleep(200);
}

/* Until it came to the point; or, after a while, not: then the supervisor does it. */
static void await_point(unsigned worker, uint64_t *random, int signal)
{
	for (unsigned looks = 0; looks < 400; looks++) {
		siginfo_t info = { .si_pid = 0 };

		if (waitid(P_PID, (id_t)pids[worker], &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
			return;
		if (page->workers[worker].wanted == AT_TIMER && random_below(random, 30) == 0)
			break;
		usleep(100);
	}
	kill(pids[worker], signal);
}

static void stop_and_go_on(unsigned worker, uint64_t *random)
{
	struct worker *it = &page->workers[worker];
	int status;

	while (waitpid(pids[worker], &status, WUNTRACED) < 0)
		;
	if (!WIFSTOPPED(status)) {
		fprintf(stderr, "kill: process %u ended by itself: status %#x\n", alive[worker], (unsigned)status);
		exit(1);
	}
	if (it->reached != POINTS && points[it->reached].free)
		await_progress(worker);
	else
		usleep(random_below(random, 50000));
	if (random_below(random, 2) == 0) {
		end_life(worker);
		begin_life(worker);
		return;
	}
	it->wanted = POINTS;
	kill(pids[worker], SIGCONT);
}

static sqlite3 *open_plain(void)
{
	sqlite3 *connection;

	if (sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
		exit(1);
	sqlite3_busy_timeout(connection, HANG_SECONDS * 1000);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_exec(connection, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF", NULL, NULL,
	             NULL);
	return connection;
}

static void run_plain(sqlite3 *connection, const char *sql)
{
	if (sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK)
		return;
	fprintf(stderr, "kill: %s: %s\n", sql, sqlite3_errmsg(connection));
	exit(1);
}

/* With a plain connection, which knows nothing of turns and pauses, and holds its transaction for a moment. */
static void write_as_a_stranger(void)
{
	sqlite3 *connection = open_plain();

	run_plain(connection, "BEGIN IMMEDIATE; INSERT INTO strangers VALUES(1)");
	usleep(3000);
	run_plain(connection, "COMMIT");
	sqlite3_close(connection);
}

/* ---- many threads beside one -------------------------------------------------------------------------------------- */

static void *write_and_wait(void *arg)
{
	_Atomic uint32_t *rows = arg;

	while (!page->crowd_ending) {
		penstock_value values[] = { penstock_int64(life_number),
			                    penstock_int64(atomic_fetch_add(&life->submitted[0], 1)) };
		penstock_submission insert = { .struct_size = sizeof insert,
			                       .sql_bytes = -1,
			                       .sql = "INSERT INTO t VALUES(?,0,?,0)",
			                       .values = values,
			                       .value_count = COUNT_OF(values) };

		must(penstock_execute(db, &insert, PENSTOCK_FOREVER, NULL), "a row of the crowd");
		life->acknowledged[0]++;
		*rows += 1;
	}
	return NULL;
}

_Noreturn static void be_crowd(unsigned number, unsigned first, unsigned count)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	pthread_t threads[CROWD];
	penstock_config config;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	penstock_config_init(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	must(penstock_open(path, &config, &db), "opening");
	for (unsigned i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, write_and_wait, &page->crowd_rows[first + i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	penstock_counters_read(db, &counters);
	page->crowd_turns[number] = counters.turns;
	page->crowd_waited[number] = counters.turns_waited;
	must(penstock_close(db, PENSTOCK_FOREVER), "closing");
	_exit(0);
}

/* Until each thread has so many more. */
static void await_crowd(uint32_t more, const pid_t processes[2])
{
	uint32_t before[CROWD + 1];

	for (unsigned i = 0; i <= CROWD; i++)
		before[i] = page->crowd_rows[i];
	for (unsigned i = 0; i <= CROWD; i++) {
		while (page->crowd_rows[i] - before[i] < more && !has_ended(processes[0]) && !has_ended(processes[1]))
			usleep(1000);
	}
}

static void write_as_a_crowd(void)
{
	unsigned first[] = { 0, CROWD, CROWD + 1 }, crowd_lives[2];
	pid_t processes[2];

	alarm(HANG_SECONDS);
	for (unsigned i = 0; i < 2; i++) {
		crowd_lives[i] = lives++;
		processes[i] = fork();
		if (processes[i] < 0) {
			perror("fork");
			exit(1);
		}
		if (processes[i] == 0) {
			life_number = crowd_lives[i];
			life = &page->lives[life_number];
			be_crowd(i, first[i], first[i + 1] - first[i]);
		}
	}
	/* First both are at work. */
	await_crowd(1, processes);
	await_crowd(CROWD_ROWS, processes);
	page->crowd_ending = true;
	for (unsigned i = 0; i < 2; i++)
		await_end(processes[i], crowd_lives[i]);
	printf("kill: %u threads of one process beside a single one, each waits: %" PRIu32 " rows and %" PRIu32 ", in %" PRIu64
	       " turns and %" PRIu64 ", of which %" PRIu64 " and %" PRIu64 " were waited for; left behind 0\n",
	       CROWD, page->lives[crowd_lives[0]].acknowledged[0], page->lives[crowd_lives[1]].acknowledged[0],
	       page->crowd_turns[0], page->crowd_turns[1], page->crowd_waited[0], page->crowd_waited[1]);
}

/* ---- programs that are strangers ---------------------------------------------------------------------------------- */

static struct {
	bool there;
	pid_t pid;
	unsigned life;
	uint64_t rows; /* of lives that have ended */
} strangers[STRANGERS];

static uint64_t rows_of_stranger(unsigned i)
{
	return strangers[i].there ? strangers[i].rows + page->lives[strangers[i].life].acknowledged[0] : 0;
}

static void begin_stranger(unsigned i)
{
	struct stranger_task task = { .path = path, .life = lives++, .ending = &page->ending, .hang_seconds = HANG_SECONDS };

	task.submitted = &page->lives[task.life].submitted[0];
	task.acknowledged = &page->lives[task.life].acknowledged[0];
	strangers[i].life = task.life;
	strangers[i].pid = fork();
	if (strangers[i].pid < 0) {
		perror("fork");
		exit(1);
	}
	if (strangers[i].pid == 0)
		stranger_write((enum stranger)i, &task);
}

static void begin_strangers(void)
{
	for (unsigned i = 0; i < STRANGERS; i++) {
		strangers[i].there = stranger_is_there((enum stranger)i);
		if (strangers[i].there)
			begin_stranger(i);
		else
			printf("# SKIP kill/processes: no %s that writes as a stranger\n", stranger_name((enum stranger)i));
	}
}

static void kill_stranger(uint64_t *random)
{
	unsigned i = random_below(random, STRANGERS);

	if (!strangers[i].there)
		return;
	/* Somebody else has just committed: it is to come to its own transaction, too. */
	usleep(random_below(random, 20000));
	end_process(strangers[i].pid, strangers[i].life);
	strangers[i].rows = rows_of_stranger(i);
	begin_stranger(i);
}

/* Each gets another row into the file. */
static void await_strangers(void)
{
	for (unsigned i = 0; i < STRANGERS; i++) {
		uint64_t before = rows_of_stranger(i);

		while (strangers[i].there && rows_of_stranger(i) == before && !has_ended(strangers[i].pid))
			usleep(200);
	}
}

/* ---- the check ---------------------------------------------------------------------------------------------------- */

struct verdict {
	uint64_t rows, lost, doubled, ghosts;
};

static struct verdict check_rows(sqlite3 *connection)
{
	uint64_t(*there)[PRODUCERS] = calloc(lives, sizeof *there);
	struct verdict verdict = { 0 };
	sqlite3_stmt *statement;

	if (there == NULL ||
	    sqlite3_prepare_v2(connection, "SELECT life,p,count(*),count(DISTINCT n),max(n) FROM t GROUP BY life,p", -1,
	                       &statement, NULL) != SQLITE_OK)
		exit(1);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		int64_t i = sqlite3_column_int64(statement, 0), p = sqlite3_column_int64(statement, 1);
		uint64_t count = (uint64_t)sqlite3_column_int64(statement, 2),
			 distinct = (uint64_t)sqlite3_column_int64(statement, 3);
		uint64_t behind = (uint64_t)sqlite3_column_int64(statement, 4) + 1;

		verdict.rows += count;
		verdict.doubled += count - distinct;
		if (i < 0 || i >= lives || p < 0 || p >= PRODUCERS || behind > page->lives[i].submitted[p] ||
		    distinct != behind) {
			verdict.ghosts++;
			continue;
		}
		there[i][p] = distinct;
	}
	sqlite3_finalize(statement);
	for (unsigned i = 0; i < lives; i++) {
		for (unsigned p = 0; p < PRODUCERS; p++) {
			if (there[i][p] < page->lives[i].acknowledged[p])
				verdict.lost++;
		}
	}
	free(there);
	return verdict;
}

static bool is_corrupt(sqlite3 *connection)
{
	sqlite3_stmt *statement;
	bool ok;

	sqlite3_prepare_v2(connection, "PRAGMA integrity_check(1)", -1, &statement, NULL);
	ok = sqlite3_step(statement) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
	sqlite3_finalize(statement);
	return !ok;
}

/* Whether the check sees what it is there for. */
static bool try_the_check(sqlite3 *connection)
{
	struct verdict without, twice, more;

	run_plain(connection, "BEGIN; DELETE FROM t WHERE rowid IN (SELECT max(rowid) FROM t WHERE life=0)");
	run_plain(connection, "DELETE FROM t WHERE life=1");
	without = check_rows(connection);
	run_plain(connection, "ROLLBACK; BEGIN; INSERT INTO t SELECT * FROM t ORDER BY rowid LIMIT 1");
	twice = check_rows(connection);
	run_plain(connection, "ROLLBACK; BEGIN; INSERT INTO t VALUES(0,0,1000000000,0)");
	more = check_rows(connection);
	run_plain(connection, "ROLLBACK");
	return without.lost > 0 && twice.doubled > 0 && more.ghosts > 0;
}

static uint64_t environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static unsigned kills, stops, plain; /* how many there were */
static unsigned at_points[POINTS];   /* of kills and stops */

static void kill_or_stop(uint64_t *random)
{
	unsigned worker = random_below(random, WORKERS);
	struct worker *it = &page->workers[worker];
	enum point point = (enum point)random_below(random, POINTS);
	bool stop = random_below(random, 3) == 0;

	alarm(HANG_SECONDS);
	it->reached = POINTS;
	it->signal = stop ? SIGSTOP : SIGKILL;
	it->to_pass = 1 + random_below(random, points[point].most);
	it->wanted = point;
	await_point(worker, random, it->signal);
	at_points[it->reached == POINTS ? AT_TIMER : it->reached]++;
	if (stop) {
		stop_and_go_on(worker, random);
		stops++;
	} else {
		end_life(worker);
		begin_life(worker);
		kills++;
	}
	await_progress(WORKERS);
	if (random_below(random, 10) == 0) {
		write_as_a_stranger();
		plain++;
	}
	if (random_below(random, 5) == 0)
		kill_stranger(random);
}

static void end_all(void)
{
	alarm(HANG_SECONDS);
	await_strangers();
	page->ending = true;
	for (unsigned i = 0; i < WORKERS; i++)
		await_end(pids[i], alive[i]);
	for (unsigned i = 0; i < STRANGERS; i++) {
		if (strangers[i].there)
			await_end(strangers[i].pid, strangers[i].life);
	}
}

static void report(const struct verdict *verdict, unsigned reached, unsigned corrupt, uint64_t seed)
{
	uint64_t acknowledged = 0;

	for (unsigned i = 0; i < lives; i++)
		acknowledged += (uint64_t)page->lives[i].acknowledged[0] + page->lives[i].acknowledged[1];
	printf("kill: %u kills and %u stops of %u processes (%u at %u named points), %" PRIu64 " rows, %" PRIu64
	       " acknowledged; of strangers %u by a connection, %" PRIu64 " by sqlite3, %" PRIu64 " by Python; lost %" PRIu64
	       ", doubled %" PRIu64 ", ghosts %" PRIu64 ", hung 0, corrupt %u; the last %u had %" PRIu64
	       " turns, waited for %" PRIu64 ", skipped %" PRIu64 ", succeeded %" PRIu64 ", missed %" PRIu64 "; seed %" PRIu64
	       "\n",
	       kills, stops, WORKERS, kills + stops - at_points[AT_TIMER], reached, verdict->rows, acknowledged, plain,
	       rows_of_stranger(STRANGER_SHELL), rows_of_stranger(STRANGER_PYTHON), verdict->lost, verdict->doubled,
	       verdict->ghosts, corrupt, WORKERS, page->turns, page->waited, page->skipped, page->succeeded, page->missed,
	       seed);
}

int main(void)
{
	unsigned wanted = (unsigned)environment("PENSTOCK_KILLS", KILLS_DEFAULT), reached = 0, faults;
	uint64_t seed = environment("PENSTOCK_SEED", 1), random = random_mix(seed);
	struct verdict verdict;
	sqlite3 *connection;
	bool seen;

	path = harness_path("kill.db");
	page = mmap(NULL, sizeof *page + (2 * wanted + 2 * WORKERS + STRANGERS + 2) * sizeof page->lives[0],
	            PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	connection = open_plain();
	run_plain(connection, "CREATE TABLE t(life,p,n,x); CREATE TABLE strangers(a)");
	sqlite3_close(connection);
	for (unsigned i = 0; i < WORKERS; i++)
		begin_life(i);
	begin_strangers();
	while (kills + stops < wanted)
		kill_or_stop(&random);
	end_all();
	write_as_a_crowd();
	connection = open_plain();
	verdict = check_rows(connection);
	for (unsigned i = AT_TIMER + 1; i < POINTS; i++)
		reached += at_points[i] != 0;
	faults = is_corrupt(connection);
	report(&verdict, reached, faults, seed);
	seen = try_the_check(connection);
	sqlite3_close(connection);
	if (!seen)
		fprintf(stderr, "kill: the check did not see what was tampered with\n");
	harness_end();
	faults += verdict.lost != 0 || verdict.doubled != 0 || verdict.ghosts != 0 || !seen || reached < 5;
	printf("%s kill/processes\n", faults == 0 ? "ok" : "not ok");
	return faults != 0;
}
