/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_faults.c - what becomes of submissions when the disk, the memory or another process fails
 *
 * A VFS (shim.h) stands over SQLite's, counts and logs the calls, and fails the N-th of a kind once or for ever.
 * SQLite's memory (and, without sanitizers, everybody's) fails likewise.
 *
 * After each fault: every accepted submission has exactly one outcome; what is OK is in the file once, what is UNKNOWN at
 * most once, everything else not at all; nothing hangs (a watchdog's alarm) and no file stays open.
 *
 *     PENSTOCK_HANG=60        seconds after which a test counts as hung
 *     PENSTOCK_FAULT_STEP=1   every N of the exhaustive tests instead of every so many
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/penstock.h"
#include "tests/harness.h"
#include "tests/shim.h"
#include "writer/entries.h"

#define HANG_SECONDS 600

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- the VFS ---- */

/* Sets of calls. */
enum operation {
	OPEN = 1 << SHIM_OPEN,
	READ = 1 << SHIM_READ,
	WRITE = 1 << SHIM_WRITE,
	SYNC = 1 << SHIM_SYNC,
	TRUNCATE = 1 << SHIM_TRUNCATE,
	SIZE = 1 << SHIM_SIZE,
	LOCK = 1 << SHIM_LOCK,
	SHM_MAP = 1 << SHIM_SHM_MAP,
	SHM_LOCK = 1 << SHIM_SHM_LOCK,
	DELETE = 1 << SHIM_DELETE,
	ACCESS = 1 << SHIM_ACCESS,
	/* no call, but in the log */
	COMMIT_FRAME = 1 << SHIM_CALLS,
	OUTCOME = 1 << (SHIM_CALLS + 1)
};

#define MAY_FAIL (OPEN | READ | WRITE | SYNC | TRUNCATE | SIZE | LOCK | SHM_MAP | SHM_LOCK | DELETE | ACCESS)

enum kind { MAIN = SHIM_MAIN, WAL = SHIM_WAL, OTHER = SHIM_OTHER, TEMP = SHIM_TEMP };

#define ANY_FILE (MAIN | WAL | OTHER | TEMP)

struct event {
	enum operation operation;
	enum kind kind;
	void *arg;
};

static struct {
	pthread_mutex_t mutex;
	/* the fault: the at-th call among these fails; 0: none */
	unsigned operations;
	unsigned kinds;
	unsigned at;
	bool for_ever;
	bool only_after_commit; /* counts from the next frame on that ends a transaction */
	int code;               /* 0: what fits the operation */
	const char *name;       /* only of files whose name ends so; NULL: of any */
	unsigned seen;
	unsigned failed;
	sqlite3_int64 wal_space; /* a write beyond fails; 0: no limit */
	int lack_code;           /* ... with this; 0: SQLITE_FULL */
	unsigned long calls;
	unsigned temporary; /* files opened */
	struct event log[4096];
	size_t logged;
} disk = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void log_event(enum operation operation, enum kind kind, void *arg)
{
	pthread_mutex_lock(&disk.mutex);
	if (disk.logged < sizeof disk.log / sizeof disk.log[0])
		disk.log[disk.logged++] = (struct event){ operation, kind, arg };
	if (operation == COMMIT_FRAME)
		disk.only_after_commit = false;
	pthread_mutex_unlock(&disk.mutex);
}

static bool is_meant(const struct shim_event *event)
{
	size_t length = event->name == NULL ? 0 : strlen(event->name);

	if (disk.at == 0 || disk.only_after_commit || (disk.operations & (1u << event->call)) == 0 ||
	    (disk.kinds & event->file) == 0)
		return false;
	/* What is there already can be mapped on a full disk too. */
	if (event->call == SHIM_SHM_MAP && disk.code == SQLITE_IOERR_SHMSIZE && event->flags == 0)
		return false;
	return disk.name == NULL ||
	       (length >= strlen(disk.name) && strcmp(event->name + length - strlen(disk.name), disk.name) == 0);
}

/* SQLITE_OK, or the code to fail with. */
static int enter_call(const struct shim_event *event)
{
	unsigned operation = 1u << event->call;
	int code = SQLITE_OK;

	pthread_mutex_lock(&disk.mutex);
	disk.calls++;
	disk.temporary += event->call == SHIM_OPEN && event->file == SHIM_TEMP;
	if (is_meant(event)) {
		disk.seen++;
		if (disk.seen == disk.at || (disk.for_ever && disk.seen > disk.at)) {
			disk.failed++;
			code = disk.code != 0 ? disk.code : shim_natural_code(event->call);
		}
	}
	pthread_mutex_unlock(&disk.mutex);
	if (operation == SYNC && code == SQLITE_OK)
		log_event(SYNC, (enum kind)event->file, NULL);
	return code;
}

static int watch_disk(const struct shim_event *event)
{
	int code;

	if (event->after) {
		if (shim_is_commit_frame(event))
			log_event(COMMIT_FRAME, WAL, NULL);
		return SQLITE_OK;
	}
	code = enter_call(event);
	if (code == SQLITE_OK && event->call == SHIM_WRITE && event->file == SHIM_WAL && disk.wal_space != 0 &&
	    event->offset + event->bytes > disk.wal_space)
		code = disk.lack_code != 0 ? disk.lack_code : SQLITE_FULL;
	return code;
}

static void fail_call(unsigned operations, unsigned kinds, unsigned at, bool for_ever)
{
	pthread_mutex_lock(&disk.mutex);
	disk.operations = operations;
	disk.kinds = kinds;
	disk.at = at;
	disk.for_ever = for_ever;
	disk.only_after_commit = false;
	disk.code = 0;
	disk.name = NULL;
	disk.seen = 0;
	disk.failed = 0;
	pthread_mutex_unlock(&disk.mutex);
}

static void mend(void)
{
	fail_call(0, 0, 0, false);
	disk.wal_space = 0;
}

static unsigned long calls_so_far(void)
{
	unsigned long calls;

	pthread_mutex_lock(&disk.mutex);
	calls = disk.calls;
	pthread_mutex_unlock(&disk.mutex);
	return calls;
}

static void forget_log(void)
{
	pthread_mutex_lock(&disk.mutex);
	disk.logged = 0;
	pthread_mutex_unlock(&disk.mutex);
}

/* ---- memory ---- */

static struct {
	unsigned at;   /* the at-th allocation fails; 0: none */
	unsigned next; /* so many of the next ones fail */
	unsigned seen;
	bool failed;
} memory;

static bool memory_fails(void)
{
	if (__atomic_load_n(&memory.next, __ATOMIC_RELAXED) != 0) {
		__atomic_sub_fetch(&memory.next, 1, __ATOMIC_RELAXED);
		return true;
	}
	if (__atomic_load_n(&memory.at, __ATOMIC_RELAXED) == 0)
		return false;
	if (__atomic_add_fetch(&memory.seen, 1, __ATOMIC_RELAXED) != memory.at)
		return false;
	memory.failed = true;
	return true;
}

static void fail_memory(unsigned at)
{
	memory.seen = 0;
	memory.failed = false;
	__atomic_store_n(&memory.at, at, __ATOMIC_SEQ_CST);
}

static bool everybodys_memory; /* malloc below counts, SQLite's does not */

/* SQLite's allocations, whatever the build. */
static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int bytes)
{
	return !everybodys_memory && memory_fails() ? NULL : sqlite_memory.xMalloc(bytes);
}

static void *sqlite_realloc(void *old, int bytes)
{
	return !everybodys_memory && memory_fails() ? NULL : sqlite_memory.xRealloc(old, bytes);
}

#if !SANITIZED
#define VISIBLE __attribute__((visibility("default")))

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

VISIBLE void *malloc(size_t bytes)
{
	return everybodys_memory && memory_fails() ? NULL : __libc_malloc(bytes);
}

VISIBLE void *calloc(size_t count, size_t bytes)
{
	return everybodys_memory && memory_fails() ? NULL : __libc_calloc(count, bytes);
}

VISIBLE void *realloc(void *old, size_t bytes)
{
	return everybodys_memory && memory_fails() ? NULL : __libc_realloc(old, bytes);
}

VISIBLE void *aligned_alloc(size_t alignment, size_t bytes)
{
	return everybodys_memory && memory_fails() ? NULL : __libc_memalign(alignment, bytes);
}
#endif

/* ---- before and after ---- */

static sem_t gate_entered, gate_open;

static void begin(void)
{
	sqlite3_mem_methods counting;

	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
	if (sqlite_memory.xMalloc == NULL) {
		sqlite3_initialize();
		sqlite3_shutdown();
		sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
	}
	counting = sqlite_memory;
	counting.xMalloc = sqlite_malloc;
	counting.xRealloc = sqlite_realloc;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &counting);
	/* Without it an allocation may come out of a connection's own small store. */
	sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
	sqlite3_initialize();
	shim_install(watch_disk);
	sem_init(&gate_entered, 0, 0);
	sem_init(&gate_open, 0, 0);
	alarm(getenv("PENSTOCK_HANG") != NULL ? (unsigned)atoi(getenv("PENSTOCK_HANG")) : HANG_SECONDS);
}

TestSuite(fault, .init = begin, .fini = harness_end);

static unsigned open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

/* Not through the shim. */
static sqlite3 *open_outside(void)
{
	sqlite3 *connection;

	cr_assert(sqlite3_open_v2(harness_path("faults.db"), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") ==
	                  SQLITE_OK,
	          "the file cannot be opened");
	return connection;
}

static void run_on(sqlite3 *connection, const char *sql)
{
	cr_assert(sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(connection));
}

static void outside(const char *sql)
{
	sqlite3 *connection = open_outside();

	run_on(connection, sql);
	cr_assert(sqlite3_close(connection) == SQLITE_OK, "close");
}

static void new_file(void)
{
	static const char *const names[] = { "faults.db", "faults.db-wal", "faults.db-shm", "faults.db-journal" };
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		unlink(harness_path(names[i]));
}

static void new_file_with_table(void)
{
	new_file();
	outside("PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, data)");
	outside("CREATE TABLE times(id)");
}

/* How often the row is there: a table without a unique key tells of a statement that ran twice. */
static long long times_of(sqlite3 *connection, int id)
{
	sqlite3_stmt *statement;
	long long times;
	int rc;

	rc = sqlite3_prepare_v2(connection, "SELECT count(*) FROM times WHERE id=?", -1, &statement, NULL);
	if (rc == SQLITE_ERROR) /* not even the table */
		return 0;
	cr_assert(rc == SQLITE_OK, "%s", sqlite3_errmsg(connection));
	sqlite3_bind_int(statement, 1, id);
	cr_assert(sqlite3_step(statement) == SQLITE_ROW, "%s", sqlite3_errmsg(connection));
	times = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return times;
}

/* ---- submissions ---- */

/* One, with its id and whatever became of it. */
struct work {
	int id;
	int submitted; /* what submit said */
	penstock_handle *handle;
	unsigned outcomes;
	penstock_status status;
	int code;
};

#define WORKS_MAX 64

static struct work works[WORKS_MAX];
static size_t work_count;

static void on_outcome(void *arg, const penstock_result *result)
{
	struct work *work = arg;

	work->outcomes++;
	work->status = result->status;
	work->code = result->extended_code;
	log_event(OUTCOME, OTHER, arg);
}

static void forget_works(void)
{
	work_count = 0;
}

static struct work *submit_ack(penstock *db, const char *sql, penstock_ack ack)
{
	struct work *work = &works[work_count];
	penstock_value id = penstock_int64((int64_t)work_count);
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = sql,
		.values = &id,
		.value_count = strchr(sql, '?') != NULL ? 1 : 0,
		.ack = ack,
		.on_complete = on_outcome,
		.arg = work,
	};

	*work = (struct work){ .id = (int)work_count };
	work_count++;
	work->submitted = penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL);
	return work;
}

static struct work *submit(penstock *db, const char *sql)
{
	return submit_ack(db, sql, PENSTOCK_ACK_COMMITTED);
}

#define INSERT "INSERT INTO times VALUES(?)"
#define INSERT_AND_FAIL "INSERT INTO t VALUES(-1,?),(-1,0)" /* a constraint: for another failure the batch would run again */
#define INSERT_LARGE "INSERT INTO t SELECT ?,zeroblob(6000000)"

/* What holds whatever has failed. Once the engine is closed. */
static void check_works(const char *what, unsigned n)
{
	sqlite3 *connection;
	size_t i;

	mend();
	connection = open_outside();
	for (i = 0; i < work_count; i++) {
		struct work *work = &works[i];
		long long times = times_of(connection, work->id);

		if (work->submitted != PENSTOCK_OK) {
			cr_assert(work->outcomes == 0 && times == 0, "%s %u: refused %zu has %u outcomes, %lld rows", what, n,
			          i, work->outcomes, times);
			continue;
		}
		cr_assert(work->outcomes == 1, "%s %u: submission %zu has %u outcomes", what, n, i, work->outcomes);
		switch (work->status) {
		case PENSTOCK_OK:
			cr_assert(times <= 1, "%s %u: submission %zu is there %lld times", what, n, i, times);
			break;
		case PENSTOCK_UNKNOWN:
			cr_assert(times <= 1, "%s %u: unknown %zu is there %lld times", what, n, i, times);
			break;
		case PENSTOCK_ERROR:
		case PENSTOCK_SHUTDOWN:
			cr_assert(times == 0, "%s %u: %s %zu is there", what, n, penstock_status_name(work->status), i);
			break;
		default:
			cr_assert(false, "%s %u: submission %zu: %s", what, n, i, penstock_status_name(work->status));
		}
	}
	sqlite3_close(connection);
}

/* ... and the statements that inserted are there. */
static void check_present(const struct work *work, const char *what, unsigned n)
{
	sqlite3 *connection = open_outside();

	cr_assert(times_of(connection, work->id) == 1, "%s %u: submission %d was OK but is there %lld times", what, n, work->id,
	          times_of(connection, work->id));
	sqlite3_close(connection);
}

/* SELECT gate() holds the writer up until the gate is opened. */
static void gate(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sem_post(&gate_entered);
	while (sem_wait(&gate_open) != 0)
		;
	sqlite3_result_int(context, 1);
}

/* fail_once(code, n): at the n-th call. */
static int calls_of_fail_once;

static void fail_once(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	if (++calls_of_fail_once == sqlite3_value_int(values[1]))
		sqlite3_result_error_code(context, sqlite3_value_int(values[0]));
}

static int add_gate(sqlite3 *connection, void *arg)
{
	(void)arg;
	sqlite3_create_function(connection, "fail_once", 2, SQLITE_UTF8, NULL, fail_once, NULL, NULL);
	return sqlite3_create_function(connection, "gate", 0, SQLITE_UTF8, NULL, gate, NULL, NULL);
}

static void shut_gate(penstock *db)
{
	submit(db, "SELECT gate()");
	while (sem_wait(&gate_entered) != 0)
		;
}

static void open_gate(void)
{
	sem_post(&gate_open);
}

static void init_config(penstock_config *config)
{
	penstock_config_init(config);
	config->connect_hook = add_gate;
	config->batch_usec = 0;
	config->ring_slots = 64;
}

static penstock *open_engine(const penstock_config *config)
{
	penstock *db;

	cr_assert(penstock_open(harness_path("faults.db"), config, &db) == PENSTOCK_OK, "%s", penstock_error_message());
	return db;
}

static void close_engine(penstock *db)
{
	cr_assert(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
}

static void flush(penstock *db)
{
	cr_assert(penstock_flush(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
}

static void check_counters(penstock *db)
{
	penstock_counters counters = { .struct_size = sizeof counters };

	cr_assert(penstock_counters_read(db, &counters) == PENSTOCK_OK, "%s", penstock_error_message());
	cr_assert(counters.accepted ==
	                  counters.committed + counters.failed + counters.unknown + counters.shutdown + counters.queue_depth,
	          "the counters do not add up");
}

static void expect_failed(penstock *db, int code)
{
	char reason[200] = "";

	cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_FAILED, "phase %s", penstock_phase_name(penstock_phase_of(db)));
	cr_assert(penstock_failure(db, reason, sizeof reason) == code, "code %d", penstock_failure(db, NULL, 0));
	cr_assert(reason[0] != '\0', "no reason");
	cr_assert(submit(db, INSERT)->submitted == PENSTOCK_FAILED, "submitted");
	cr_assert(penstock_pause(db, PENSTOCK_FOREVER) == PENSTOCK_FAILED, "paused");
	cr_assert(penstock_start(db, PENSTOCK_FOREVER) == PENSTOCK_FAILED, "started");
	cr_assert(penstock_flush(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "flush: %s", penstock_error_message());
	cr_assert(penstock_queue_depth(db) == 0, "queued");
	check_counters(db);
}

/* ---- a commit fails ---- */

static void fail_a_commit(unsigned operations, int code, bool for_ever, bool restart)
{
	penstock_config config;
	penstock *db;
	struct work *after = NULL;
	unsigned n, met = 0;

	init_config(&config);
	config.batch_max = 4;
	for (n = 1;; n++) {
		unsigned failed;
		size_t i;

		new_file_with_table();
		forget_works();
		db = open_engine(&config);
		shut_gate(db);
		submit(db, INSERT);
		submit(db, INSERT_AND_FAIL);
		submit(db, INSERT);
		submit(db, INSERT);
		for (i = 0; i < 8; i++)
			submit(db, INSERT);
		fail_call(operations, WAL, n, for_ever);
		open_gate();
		flush(db);
		failed = disk.failed;
		if (failed != 0) {
			met++;
			/* The writer moves to FAILED before the last outcomes, but maybe after the first ones. */
			while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
				usleep(1000);
			flush(db);
			cr_assert(works[0].status == PENSTOCK_OK, "the gate");
			cr_assert(works[2].status == PENSTOCK_ERROR, "n %u: %s", n, penstock_status_name(works[2].status));
			if (n == 1) {
				cr_assert(works[1].status == PENSTOCK_UNKNOWN && works[3].status == PENSTOCK_UNKNOWN &&
				                  works[4].status == PENSTOCK_UNKNOWN,
				          "%s", penstock_status_name(works[1].status));
				cr_assert(works[1].code == code, "code %d", works[1].code);
				cr_assert(works[5].status == PENSTOCK_SHUTDOWN && works[12].status == PENSTOCK_SHUTDOWN, "%s",
				          penstock_status_name(works[5].status));
			}
			expect_failed(db, code);
		}
		if (failed == 0) {
			for (i = 1; i < work_count; i++)
				cr_assert(works[i].status == (i == 2 ? PENSTOCK_ERROR : PENSTOCK_OK), "%zu", i);
		}
		if (restart) {
			cr_assert(penstock_stop(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
			mend();
			cr_assert(penstock_start(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
			cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING && penstock_failure(db, NULL, 0) == 0,
			          "restart");
			after = submit(db, INSERT);
			flush(db);
			cr_assert(after->status == PENSTOCK_OK, "%d", after->code);
		}
		close_engine(db);
		check_works("commit", n);
		for (i = 0; i < work_count; i++) {
			if (works[i].submitted == PENSTOCK_OK && works[i].status == PENSTOCK_OK && i != 0)
				check_present(&works[i], "commit", n);
		}
		if (failed == 0)
			break;
	}
	cr_assert(met > 1, "only %u faults were met", met);
}

Test(fault, a_failed_sync_in_commit_is_unknown)
{
	fail_a_commit(SYNC, SQLITE_IOERR_FSYNC, false, false);
}

Test(fault, a_sync_that_fails_for_ever_does_not_hang)
{
	fail_a_commit(SYNC, SQLITE_IOERR_FSYNC, true, false);
}

Test(fault, a_failed_engine_can_be_stopped_and_started)
{
	fail_a_commit(SYNC, SQLITE_IOERR_FSYNC, false, true);
	fail_a_commit(SYNC, SQLITE_IOERR_FSYNC, true, true);
}

Test(fault, a_failed_write_of_the_log_is_unknown)
{
	fail_a_commit(WRITE, SQLITE_IOERR_WRITE, false, true);
	fail_a_commit(WRITE, SQLITE_IOERR_WRITE, true, false);
}

struct waiter {
	penstock *db;
	int status;
	int again; /* what the same call came to once more */
	int calls;
	sem_t started;
};

static void *submit_until_refused(void *arg)
{
	struct waiter *waiter = arg;
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT 1" };

	sem_post(&waiter->started);
	do {
		waiter->status = penstock_submit(waiter->db, &submission, PENSTOCK_FOREVER, NULL);
		waiter->calls++;
	} while (waiter->status == PENSTOCK_OK);
	return NULL;
}

static void *pause_it(void *arg)
{
	struct waiter *waiter = arg;

	sem_post(&waiter->started);
	waiter->status = penstock_pause(waiter->db, PENSTOCK_FOREVER);
	return NULL;
}

Test(fault, whoever_waits_for_room_or_for_a_pause_is_told_of_the_failure)
{
	penstock_config config;
	struct waiter producer = { 0 }, pauser = { 0 };
	pthread_t threads[2];
	unsigned round;

	init_config(&config);
	config.ring_slots = 4;
	for (round = 0; round < 20; round++) {
		new_file_with_table();
		forget_works();
		producer.db = pauser.db = open_engine(&config);
		sem_init(&producer.started, 0, 0);
		sem_init(&pauser.started, 0, 0);
		shut_gate(producer.db);
		submit(producer.db, INSERT);
		pthread_create(&threads[0], NULL, submit_until_refused, &producer);
		sem_wait(&producer.started);
		if (round % 2 == 1) {
			pthread_create(&threads[1], NULL, pause_it, &pauser);
			sem_wait(&pauser.started);
		}
		usleep(1000 * (round % 4));
		fail_call(SYNC, WAL, 1, true);
		open_gate();
		pthread_join(threads[0], NULL);
		if (round % 2 == 1) {
			pthread_join(threads[1], NULL);
			cr_assert(pauser.status == PENSTOCK_FAILED || pauser.status == PENSTOCK_OK, "pause: %s",
			          penstock_status_name(pauser.status));
		}
		cr_assert(producer.status == PENSTOCK_FAILED || producer.status == PENSTOCK_PAUSED, "submit: %s",
		          penstock_status_name(producer.status));
		cr_assert(works[1].status == PENSTOCK_UNKNOWN, "%s", penstock_status_name(works[1].status));
		close_engine(producer.db);
		check_works("waiters", round);
	}
}

static void *pause_it_twice(void *arg)
{
	struct waiter *waiter = arg;

	waiter->status = penstock_pause(waiter->db, PENSTOCK_FOREVER);
	waiter->again = penstock_pause(waiter->db, PENSTOCK_FOREVER);
	return NULL;
}

/* A failure ends the pause under way: whose it was has not paused. */
Test(fault, a_pauser_that_heard_of_the_failure_hears_of_it_again)
{
	struct waiter pauser = { 0 };
	penstock_config config;
	pthread_t thread;

	init_config(&config);
	new_file_with_table();
	forget_works();
	pauser.db = open_engine(&config);
	shut_gate(pauser.db);
	submit(pauser.db, INSERT);
	pthread_create(&thread, NULL, pause_it_twice, &pauser);
	while (penstock_phase_of(pauser.db) != PENSTOCK_PHASE_PAUSING)
		usleep(1000);
	fail_call(SYNC, WAL, 1, true);
	open_gate();
	pthread_join(thread, NULL);
	cr_assert(pauser.status == PENSTOCK_FAILED, "%s", penstock_status_name(pauser.status));
	cr_assert(pauser.again == PENSTOCK_FAILED, "%s", penstock_status_name(pauser.again));
	close_engine(pauser.db);
	check_works("pauser", 0);
}

/* ---- a full disk ---- */

/* error: 0, or that of a quota or a limit, for which SQLite says IOERR_WRITE. */
static void fill_the_disk(const char *large, int error)
{
	int code = error == 0 ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	penstock_config config;
	penstock *db;
	size_t i;

	init_config(&config);
	config.result_bytes_max = 1 << 20;
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	shut_gate(db);
	for (i = 1; i < 12; i++)
		submit(db, i % 5 == 0 ? large : INSERT);
	disk.wal_space = 600000;
	disk.lack_code = code;
	shim_errno = error;
	open_gate();
	flush(db);
	cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING, "%s", penstock_phase_name(penstock_phase_of(db)));
	for (i = 1; i < 12; i++) {
		cr_assert(works[i].status == (i % 5 == 0 ? PENSTOCK_ERROR : PENSTOCK_OK), "%zu: %s %d", i,
		          penstock_status_name(works[i].status), works[i].code);
		cr_assert(i % 5 != 0 || works[i].code == code, "code %d", works[i].code);
	}
	/* Nothing fits any more. */
	disk.wal_space = 1;
	submit(db, INSERT);
	submit(db, INSERT);
	submit(db, INSERT);
	flush(db);
	for (; i < work_count; i++)
		cr_assert(works[i].status == PENSTOCK_ERROR && works[i].code == code, "%s %d",
		          penstock_status_name(works[i].status), works[i].code);
	cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING, "%s", penstock_phase_name(penstock_phase_of(db)));
	disk.wal_space = 0;
	shim_errno = EIO;
	submit(db, INSERT);
	submit(db, large);
	flush(db);
	for (; i < work_count; i++)
		cr_assert(works[i].status == PENSTOCK_OK, "%s %d", penstock_status_name(works[i].status), works[i].code);
	check_counters(db);
	close_engine(db);
	check_works("full", 0);
	for (i = 1; i < work_count; i++) {
		if (i % 5 != 0 && works[i].status == PENSTOCK_OK && i + 1 < work_count)
			check_present(&works[i], "full", 0);
	}
}

Test(fault, a_full_disk_fails_what_does_not_fit)
{
	static const int errors[] = { 0, EDQUOT, EFBIG };

	/* Larger than SQLite's page cache, so that it is written before COMMIT; and smaller. */
	for (size_t i = 0; i < 3; i++) {
		fill_the_disk("INSERT INTO t SELECT ?,zeroblob(6000000)", errors[i]);
		fill_the_disk("INSERT INTO t SELECT ?,zeroblob(1000000)", errors[i]);
	}
}

/* A disk that the log has filled has room again when the log is brought into the database, and it begins anew. */
Test(fault, a_log_that_fills_the_disk_begins_anew)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_config config;
	penstock *db;

	init_config(&config);
	for (unsigned batched = 0; batched < 2; batched++) {
		new_file_with_table();
		forget_works();
		db = open_engine(&config);
		disk.wal_space = 300000;
		for (size_t i = 0; i < 60; i++) {
			if (i % 6 == 0)
				forget_works();
			if (batched && i % 6 == 0)
				shut_gate(db);
			submit(db, "INSERT INTO t SELECT NULL,zeroblob(30000+?*0)");
			submit(db, INSERT);
			if (batched && i % 6 == 5)
				open_gate();
			if (i % 6 == 5 || !batched)
				flush(db);
			for (size_t w = 0; i % 6 == 5 && w < work_count; w++)
				cr_assert(works[w].status == PENSTOCK_OK, "%zu: %s %d", i,
				          penstock_status_name(works[w].status), works[w].code);
		}
		cr_assert(penstock_counters_read(db, &counters) == PENSTOCK_OK && counters.checkpoints > 2);
		mend();
		close_engine(db);
	}
}

/* ... as soon as a reader lets it. A statement that is never to run twice is no exception. */
Test(fault, a_log_that_fills_the_disk_begins_anew_when_a_reader_has_left)
{
	penstock_config config;
	sqlite3 *reader;
	penstock *db;

	init_config(&config);
	for (unsigned way = 0; way < 3; way++) {
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .sql = "INSERT INTO t SELECT NULL,zeroblob(20000)",
			                           .flags = way == 1 ? PENSTOCK_RUN_ALONE : 0 };
		int ok = 0;

		new_file_with_table();
		forget_works();
		db = open_engine(&config);
		submit(db, INSERT);
		flush(db);
		cr_assert(penstock_reader_open(db, &reader) == PENSTOCK_OK, "%s", penstock_error_message());
		run_on(reader, "BEGIN; SELECT * FROM times");
		disk.wal_space = 300000;
		while (penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK)
			ok++;
		cr_assert(ok > 5, "%d", ok);
		for (int i = 0; i < 10; i++)
			cr_assert(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_ERROR);
		cr_assert(sqlite3_close(reader) == SQLITE_OK);
		if (way == 2)
			shut_gate(db);
		else
			cr_assert(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK, "%u: %s", way,
			          penstock_error_message());
		for (int i = 0; i < 5; i++)
			submit(db, "INSERT INTO t SELECT NULL,zeroblob(20000+?*0)");
		if (way == 2)
			open_gate();
		flush(db);
		for (size_t i = 1; i < work_count; i++)
			cr_assert(works[i].status == PENSTOCK_OK, "%u, %zu: %d", way, i, works[i].code);
		mend();
		close_engine(db);
	}
}

Test(fault, a_disk_full_once_loses_nothing)
{
	penstock_config config;
	unsigned n, failed;
	size_t i;

	init_config(&config);
	for (n = 1;; n++) {
		penstock *db;

		new_file_with_table();
		forget_works();
		db = open_engine(&config);
		shut_gate(db);
		for (i = 1; i < 9; i++)
			submit(db, INSERT);
		fail_call(WRITE, WAL, n, false);
		disk.code = SQLITE_FULL;
		open_gate();
		flush(db);
		failed = disk.failed;
		cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING, "n %u", n);
		for (i = 1; i < 9; i++)
			cr_assert(works[i].status == PENSTOCK_OK, "n %u: %zu: %s %d", n, i,
			          penstock_status_name(works[i].status), works[i].code);
		close_engine(db);
		check_works("full once", n);
		for (i = 1; i < 9; i++)
			check_present(&works[i], "full once", n);
		if (failed == 0)
			break;
	}
	cr_assert(n > 2, "no fault was met");
}

/* The batch may have taken what was lacking. */
Test(fault, what_lacks_room_in_a_batch_is_tried_again_alone)
{
	static const char *const texts[] = {
		"INSERT INTO t SELECT value,fail_once(13,1) FROM (SELECT 1 AS value UNION ALL SELECT 2)",
		"INSERT INTO t SELECT value,fail_once(7,1) FROM (SELECT 3 AS value UNION ALL SELECT 4)"
	};
	penstock_config config;
	penstock *db;
	size_t way, i;

	init_config(&config);
	for (way = 0; way < 2; way++) {
		new_file_with_table();
		forget_works();
		calls_of_fail_once = 0;
		db = open_engine(&config);
		shut_gate(db);
		submit(db, INSERT);
		submit(db, texts[way]);
		submit(db, INSERT);
		open_gate();
		flush(db);
		for (i = 1; i < 4; i++)
			cr_assert(works[i].status == PENSTOCK_OK, "%zu: %s %d", i, penstock_status_name(works[i].status),
			          works[i].code);
		cr_assert(calls_of_fail_once > 1, "it did not even fail");
		close_engine(db);
		check_works("room", (unsigned)way);
	}
}

/*
 * A statement that lacks room runs again when a checkpoint has made some, and once: not where none was to be had, and not one that
 * is never to run twice.
 */
static void run_where_room_is_lacking(bool alone, bool held_up)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t SELECT NULL,zeroblob(20000) WHERE coalesce(fail_once(0,0),1)",
		                           .flags = alone ? PENSTOCK_RUN_ALONE : 0 };
	int ok = 0, failed = 0, twice = 0, before = PENSTOCK_OK;
	penstock_config config;
	sqlite3 *reader;
	penstock *db;

	init_config(&config);
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	submit(db, INSERT);
	flush(db);
	cr_assert(penstock_reader_open(db, &reader) == PENSTOCK_OK, "%s", penstock_error_message());
	if (held_up)
		run_on(reader, "BEGIN; SELECT * FROM times");
	disk.wal_space = 300000;
	for (int i = 0; i < 60; i++) {
		int status;

		calls_of_fail_once = 0;
		status = penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL);
		cr_assert(status == PENSTOCK_OK || status == PENSTOCK_ERROR, "%s", penstock_error_message());
		cr_assert(calls_of_fail_once == 1 || (calls_of_fail_once == 2 && status == PENSTOCK_OK), "%d calls",
		          calls_of_fail_once);
		cr_assert(held_up || status == PENSTOCK_OK || before == PENSTOCK_OK, "there was room");
		ok += status == PENSTOCK_OK;
		failed += status == PENSTOCK_ERROR;
		twice += calls_of_fail_once == 2;
		before = status;
	}
	cr_assert(ok > 5);
	cr_assert((failed > 1) == (alone || held_up), "%d", failed);
	cr_assert((twice > 1) == (!alone && !held_up), "%d", twice);
	cr_assert(sqlite3_close(reader) == SQLITE_OK);
	mend();
	close_engine(db);
	check_works("room", 0);
}

Test(fault, what_lacks_room_alone_runs_again_once_there_is_some)
{
	run_where_room_is_lacking(false, false);
	run_where_room_is_lacking(true, false);
	run_where_room_is_lacking(false, true);
	run_where_room_is_lacking(true, true);
}

/* Whichever of its syncs it is; one of them is that of the statement that runs alone for the second time. */
Test(fault, a_failed_sync_of_what_is_tried_again_alone_ends_the_engine)
{
	penstock_config config;
	unsigned n, met = 0;

	init_config(&config);
	for (n = 1; n < 6; n++) {
		penstock *db;

		new_file_with_table();
		forget_works();
		calls_of_fail_once = 0;
		db = open_engine(&config);
		shut_gate(db);
		submit(db, INSERT);
		submit(db, "INSERT INTO times SELECT ? WHERE coalesce(fail_once(13,1),1)");
		submit(db, INSERT);
		fail_call(SYNC, WAL, n, false);
		open_gate();
		flush(db);
		if (works[1].status == PENSTOCK_OK && works[2].status == PENSTOCK_UNKNOWN) {
			met++;
			while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
				usleep(1000);
			expect_failed(db, SQLITE_IOERR_FSYNC);
			cr_assert(works[3].status == PENSTOCK_SHUTDOWN, "n %u: %s", n, penstock_status_name(works[3].status));
		}
		close_engine(db);
		check_works("alone", n);
	}
	cr_assert(met == 1, "met %u times", met);
}

static void count_error(void *arg, const penstock_result *result)
{
	(void)result;
	++*(unsigned *)arg;
}

Test(fault, nobody_hears_of_an_error_that_the_second_run_did_not_have)
{
	static const char bytes[200]; /* outside the slot */
	penstock_value values[] = { penstock_int64(1), penstock_blob(bytes, sizeof bytes) };
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO times SELECT ? WHERE length(?)+coalesce(fail_once(13,1),1)",
		                           .values = values,
		                           .value_count = 2 };
	penstock_config config;
	unsigned errors = 0;
	penstock *db;

	init_config(&config);
	config.on_error = count_error;
	config.on_error_arg = &errors;
	new_file_with_table();
	forget_works();
	calls_of_fail_once = 0;
	db = open_engine(&config);
	shut_gate(db);
	submit(db, "INSERT INTO t VALUES(NULL,1)");
	cr_assert(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK, "%s", penstock_error_message());
	open_gate();
	flush(db);
	close_engine(db);
	cr_assert(calls_of_fail_once == 2, "%d runs", calls_of_fail_once);
	cr_assert(errors == 0, "%u errors", errors);
	check_present(&works[1], "second run", 0);
}

Test(fault, a_replay_may_meet_a_failure_of_its_own)
{
	penstock_config config;
	penstock *db;
	size_t i;

	init_config(&config);
	new_file_with_table();
	forget_works();
	calls_of_fail_once = 0;
	db = open_engine(&config);
	shut_gate(db);
	submit(db, INSERT);
	submit(db, "INSERT INTO times SELECT ? WHERE fail_once(13,2) IS NULL"); /* well at first, not in the replay */
	submit(db, INSERT);
	submit(db, INSERT);
	submit(db, "INSERT OR ROLLBACK INTO t SELECT 1,? FROM (SELECT 1 UNION ALL SELECT 2)");
	submit(db, INSERT);
	open_gate();
	flush(db);
	close_engine(db);
	cr_assert(calls_of_fail_once == 3, "%d calls", calls_of_fail_once);
	check_works("replay", 0);
	for (i = 1; i < 7; i++) {
		cr_assert(works[i].status == (i == 5 ? PENSTOCK_ERROR : PENSTOCK_OK), "%zu: %s %d", i,
		          penstock_status_name(works[i].status), works[i].code);
		if (i != 5)
			check_present(&works[i], "replay", 0);
	}
}

/* starve(n): fails, SQLite prepares every statement again, and from the statement's end on n allocations fail; the first time. */
static unsigned starving;
static bool has_starved;

static void starve(sqlite3_context *context, int count, sqlite3_value **values)
{
	sqlite3 *connection = sqlite3_context_db_handle(context);

	(void)count;
	sqlite3_result_error_code(context, SQLITE_MISMATCH); /* for which SQLite leaves the transaction as it is */
	if (has_starved)
		return;
	has_starved = true;
	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
	starving = (unsigned)sqlite3_value_int(values[0]);
}

static int begin_to_starve(unsigned what, void *arg, void *statement, void *text)
{
	(void)what;
	(void)arg;
	(void)statement;
	(void)text;
	__atomic_store_n(&memory.next, starving, __ATOMIC_RELAXED);
	starving = 0;
	return 0;
}

static int add_starve(sqlite3 *connection, void *arg)
{
	sqlite3_trace_v2(connection, SQLITE_TRACE_PROFILE, begin_to_starve, NULL);
	sqlite3_create_function(connection, "starve", 1, SQLITE_UTF8, NULL, starve, NULL, NULL);
	return add_gate(connection, arg);
}

static penstock *starve_a_rollback(unsigned allocations)
{
	char starving_sql[80];
	penstock_config config;
	penstock *db;

	init_config(&config);
	config.connect_hook = add_starve;
	new_file_with_table();
	forget_works();
	has_starved = false;
	snprintf(starving_sql, sizeof starving_sql, "INSERT INTO times SELECT ? WHERE starve(%u) IS NULL", allocations);
	db = open_engine(&config);
	shut_gate(db);
	submit(db, INSERT);
	submit(db, starving_sql);
	submit(db, INSERT);
	open_gate();
	flush(db);
	return db;
}

Test(fault, a_rollback_that_lacks_memory_is_tried_again)
{
	for (unsigned n = 1; n < 6; n++) {
		penstock *db = starve_a_rollback(n);

		for (size_t i = 1; i < 4; i++)
			cr_assert(works[i].status == (i == 2 ? PENSTOCK_ERROR : PENSTOCK_OK), "%u, %zu: %s %d", n, i,
			          penstock_status_name(works[i].status), works[i].code);
		cr_assert(memory.next == 0, "%u did not lack", n);
		close_engine(db);
		check_works("memory", n);
		check_present(&works[1], "memory", n);
		check_present(&works[3], "memory", n);
	}
}

Test(fault, without_a_rollback_nothing_is_ok)
{
	penstock *db = starve_a_rollback(1000000);

	while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
		usleep(1000);
	__atomic_store_n(&memory.next, 0, __ATOMIC_RELAXED);
	for (size_t i = 1; i < 4; i++)
		cr_assert(works[i].status == PENSTOCK_SHUTDOWN, "%zu: %s %d", i, penstock_status_name(works[i].status),
		          works[i].code);
	expect_failed(db, SQLITE_NOMEM);
	close_engine(db);
	check_works("memory", 1000000);
}

/* Fails, and from then on nothing can be allocated. */
static int starve_and_fail(sqlite3 *connection, void *arg, char **message)
{
	(void)arg;
	(void)message;
	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
	__atomic_store_n(&memory.next, 1000000, __ATOMIC_RELAXED);
	return SQLITE_MISMATCH;
}

static int never_called(sqlite3 *connection, void *arg)
{
	(void)connection;
	(void)arg;
	cr_assert(false, "the hook was called");
	return SQLITE_OK;
}

static void *add_hook(void *arg)
{
	cr_assert(penstock_on_connect(arg, never_called, NULL) == PENSTOCK_SHUTDOWN, "%s", penstock_error_message());
	return NULL;
}

/* Whatever comes first behind it hears why the engine has failed, as the log does: here a connect hook that comes late. */
Test(fault, without_a_rollback_no_hook_is_called)
{
	penstock_config config;
	pthread_t thread;
	penstock *db;

	init_config(&config);
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	shut_gate(db);
	cr_assert(penstock_call(db, starve_and_fail, NULL, NULL, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK);
	cr_assert(pthread_create(&thread, NULL, add_hook, db) == 0);
	while (penstock_queue_depth(db) < 3)
		usleep(1000);
	open_gate();
	while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
		usleep(1000);
	__atomic_store_n(&memory.next, 0, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	expect_failed(db, SQLITE_NOMEM);
	close_engine(db);
	check_works("memory", 1000000);
}

/* Of a database without a log, whose header says so when the step behind the new mode's row is over. */
Test(fault, an_open_whose_switch_to_wal_fails_says_so)
{
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		penstock_config config;
		penstock *db;
		int status;

		init_config(&config);
		new_file();
		outside("CREATE TABLE times(id, data)");
		fail_call(WRITE | SYNC, MAIN | OTHER, n, false);
		status = penstock_open(harness_path("faults.db"), &config, &db);
		failed = disk.failed != 0;
		mend();
		cr_assert((status != PENSTOCK_OK) == failed, "%u: %s", n, penstock_status_name(status));
		cr_assert(!failed || strstr(penstock_error_message(), "switching to WAL") != NULL, "%u: %s", n,
		          penstock_error_message());
		cr_assert(failed || n > 1, "nothing has failed");
		if (status == PENSTOCK_OK)
			close_engine(db);
	}
}

/* ---- an error that breaks nothing that was promised ---- */

#define COLD                                                                          \
	"PRAGMA journal_mode=WAL;"                                                    \
	"CREATE TABLE times(id);"                                                     \
	"CREATE TABLE cold(a INTEGER PRIMARY KEY, b TEXT NOT NULL);"                  \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<12000)" \
	" INSERT INTO cold SELECT i,hex(randomblob(100)) FROM n"

/* A statement, the calls that fail for ever while it runs among others, and what becomes of it. */
struct harmless {
	const char *sql;
	unsigned operations, kinds;
	const char *name; /* of the file; NULL: any */
	int code, error;  /* 0: the natural one; EIO */
	penstock_status status;
	int expected; /* code */
};

/* Among others in a batch (if it may be), and between others by itself. */
static void fail_without_harm(const struct harmless *fault, const char *before, bool batched)
{
	penstock_config config;
	penstock *db;
	size_t first;

	init_config(&config);
	new_file();
	unlink(harness_path("out.db"));
	outside(COLD);
	forget_works();
	db = open_engine(&config);
	submit(db, INSERT);
	if (before != NULL)
		submit(db, before);
	flush(db);
	cr_assert(works[work_count - 1].status == PENSTOCK_OK, "%s: %d", before, works[work_count - 1].code);
	if (batched)
		shut_gate(db);
	first = work_count;
	fail_call(fault->operations, fault->kinds, 1, true);
	disk.name = fault->name;
	disk.code = fault->code;
	shim_errno = fault->error != 0 ? fault->error : EIO;
	for (size_t i = 0; i < 3; i++) {
		submit(db, i == 1 ? fault->sql : INSERT);
		if (!batched)
			flush(db);
	}
	if (batched)
		open_gate();
	flush(db);
	cr_assert(disk.failed > 0, "%s: nothing failed", fault->sql);
	mend();
	shim_errno = EIO;
	submit(db, INSERT);
	flush(db);
	cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING, "%s, %d: %s", fault->sql, fault->code,
	          penstock_phase_name(penstock_phase_of(db)));
	for (size_t i = first; i < work_count; i++) {
		bool meant = i == first + 1;

		cr_assert(works[i].status == (meant ? fault->status : PENSTOCK_OK), "%s, %d: %zu: %s %d", fault->sql,
		          fault->code, i - first, penstock_status_name(works[i].status), works[i].code);
		cr_assert(!meant || works[i].code == fault->expected, "%s, %d: %d", fault->sql, fault->code, works[i].code);
	}
	check_counters(db);
	close_engine(db);
	for (size_t i = first; i < work_count; i++) {
		if (i != first + 1)
			check_present(&works[i], fault->sql, 0);
	}
}

static void fail_each_without_harm(const struct harmless *faults, size_t count, const char *before)
{
	for (size_t i = 0; i < count; i++) {
		fail_without_harm(&faults[i], before, false);
		fail_without_harm(&faults[i], before, true);
	}
}

#define FAIL_WITHOUT_HARM(faults, before) fail_each_without_harm(faults, sizeof(faults) / sizeof(faults)[0], before)

static const char *with_path(const char *format, const char *name)
{
	static char sql[2][4300];
	static unsigned turn;

	turn = (turn + 1) % 2;
	snprintf(sql[turn], sizeof sql[turn], format, harness_path(name));
	return sql[turn];
}

Test(fault, what_another_file_does_not_take_fails_one_statement)
{
	const char *vacuum = with_path("VACUUM INTO '%s'", "out.db");
	const struct harmless faults[] = {
		{ vacuum, WRITE, MAIN, "out.db", 0, EFBIG, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ vacuum, WRITE, MAIN, "out.db", 0, EDQUOT, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ vacuum, WRITE, MAIN, "out.db", 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ vacuum, WRITE, MAIN, "out.db", SQLITE_FULL, 0, PENSTOCK_ERROR, SQLITE_FULL },
		{ vacuum, SYNC, MAIN, "out.db", 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_FSYNC },
		{ vacuum, OPEN, MAIN, "out.db", 0, 0, PENSTOCK_ERROR, SQLITE_CANTOPEN },
		{ vacuum, READ, MAIN, "faults.db", 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_READ },
	};

	FAIL_WITHOUT_HARM(faults, NULL);
}

/* With its log, and with a journal. What its own sync leaves in doubt is told so, and is no affair of this database's. */
Test(fault, what_an_attached_database_does_not_take_fails_one_statement)
{
	static const char insert[] = "INSERT INTO o.t VALUES(1)";
	static const char many[] = "INSERT INTO o.t SELECT b FROM cold";
	static const struct harmless faults[] = {
		{ insert, WRITE, WAL, "attached.db-wal", 0, EFBIG, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ insert, WRITE, WAL, "attached.db-wal", 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ insert, WRITE, WAL, "attached.db-wal", SQLITE_FULL, 0, PENSTOCK_ERROR, SQLITE_FULL },
		{ many, WRITE, WAL, "attached.db-wal", 0, EDQUOT, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ insert, SYNC, WAL, "attached.db-wal", 0, EIO, PENSTOCK_UNKNOWN, SQLITE_IOERR_FSYNC },
		{ insert, READ, MAIN, "attached.db", 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_READ },
	};
	static const struct harmless with_journal[] = {
		{ insert, WRITE, MAIN, "attached.db", 0, EFBIG, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ insert, WRITE, OTHER, "attached.db-journal", 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ insert, OPEN, OTHER, "attached.db-journal", 0, 0, PENSTOCK_ERROR, SQLITE_CANTOPEN },
		{ insert, SYNC, MAIN, "attached.db", 0, EIO, PENSTOCK_UNKNOWN, SQLITE_IOERR_FSYNC },
	};
	char attach[4300], name[4200];

	snprintf(name, sizeof name, "%s", harness_path("attached.db"));
	snprintf(attach, sizeof attach, "ATTACH '%s' AS o", name);
	for (int log = 1; log >= 0; log--) {
		sqlite3 *connection;

		unlink(name);
		cr_assert(sqlite3_open_v2(name, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") == SQLITE_OK);
		run_on(connection, log ? "PRAGMA journal_mode=WAL; CREATE TABLE t(a)" : "CREATE TABLE t(a)");
		sqlite3_close(connection);
		if (log)
			FAIL_WITHOUT_HARM(faults, attach);
		else
			FAIL_WITHOUT_HARM(with_journal, attach);
	}
}

Test(fault, without_temporary_files_what_needs_one_fails_alone)
{
	static const char sort[] = "CREATE INDEX by_b ON cold(b)", table[] = "CREATE TEMP TABLE big AS SELECT * FROM cold";
	static const char read[] = "SELECT max(b) FROM (SELECT b FROM cold ORDER BY b||random() LIMIT 100000)";
	static const struct harmless faults[] = {
		{ sort, OPEN, TEMP, NULL, SQLITE_IOERR_GETTEMPPATH, 0, PENSTOCK_ERROR, SQLITE_IOERR_GETTEMPPATH },
		{ sort, OPEN, TEMP, NULL, 0, 0, PENSTOCK_ERROR, SQLITE_CANTOPEN },
		{ sort, WRITE, TEMP, NULL, SQLITE_FULL, 0, PENSTOCK_ERROR, SQLITE_FULL },
		{ sort, WRITE, TEMP, NULL, 0, EFBIG, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ read, OPEN, TEMP, NULL, SQLITE_IOERR_GETTEMPPATH, 0, PENSTOCK_ERROR, SQLITE_IOERR_GETTEMPPATH },
		{ read, WRITE, TEMP, NULL, 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
		{ table, OPEN, TEMP, NULL, SQLITE_IOERR_GETTEMPPATH, 0, PENSTOCK_ERROR, SQLITE_IOERR_GETTEMPPATH },
		{ table, OPEN, TEMP, NULL, 0, 0, PENSTOCK_ERROR, SQLITE_CANTOPEN },
		{ table, WRITE, TEMP, NULL, SQLITE_FULL, 0, PENSTOCK_ERROR, SQLITE_FULL },
		{ table, WRITE, TEMP, NULL, 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_WRITE },
	};

	FAIL_WITHOUT_HARM(faults, NULL);
}

/* Among others a statement of many rows needs one, to be undone; in autocommit it does not. */
Test(fault, without_temporary_files_what_needs_one_in_a_batch_alone_runs_alone)
{
	static const char update[] = "UPDATE cold SET b=b||'x'";
	static const char returning[] = "UPDATE cold SET b=b||'x' RETURNING 1";
	static const char replace[] =
		"REPLACE INTO cold WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000)"
		" SELECT i,hex(randomblob(90)) FROM n";
	static const struct {
		int operation, code, error;
	} ways[] = { { OPEN, SQLITE_IOERR_GETTEMPPATH, 0 },
		     { OPEN, SQLITE_CANTOPEN, 0 },
		     { WRITE, SQLITE_FULL, 0 },
		     { WRITE, SQLITE_IOERR_WRITE, EIO },
		     { WRITE, SQLITE_IOERR_WRITE, EFBIG } };
	static const char *const texts[] = { update, replace, returning };

	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		for (size_t j = 0; j < sizeof texts / sizeof texts[0]; j++) {
			struct harmless fault = { texts[j],     ways[i].operation, TEMP,        NULL,
				                  ways[i].code, ways[i].error,     PENSTOCK_OK, SQLITE_OK };

			fail_without_harm(&fault, NULL, true);
			/* Alone it has a transaction around it, for its rows. */
			if (texts[j] == returning)
				fail_without_harm(&fault, NULL, false);
		}
	}
}

/* The others are not rolled back for it again and again; but after a while it is tried. */
Test(fault, what_needs_a_temporary_file_in_a_batch_is_remembered)
{
	static const char update[] = "UPDATE cold SET b=b||'x'";
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_statement *statement;
	penstock_config config;

	init_config(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	for (unsigned registered = 0; registered < 2; registered++) {
		penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
		uint64_t replayed = 0;
		penstock *db;

		new_file();
		outside(COLD);
		outside("DELETE FROM cold WHERE a>1000");
		forget_works();
		db = open_engine(&config);
		cr_assert(penstock_statement_register(db, update, -1, &statement) == PENSTOCK_OK);
		if (registered)
			submission.statement = statement;
		else
			submission.sql = update;
		fail_call(OPEN, TEMP, 1, true);
		for (unsigned i = 0; i < 1002; i++) {
			work_count = 0;
			shut_gate(db);
			submit(db, INSERT);
			cr_assert(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK);
			submit(db, INSERT);
			open_gate();
			flush(db);
			cr_assert(penstock_counters_read(db, &counters) == PENSTOCK_OK);
			replayed = i == 0 ? counters.replayed_batches : replayed;
			cr_assert(counters.failed == 0 && works[1].status == PENSTOCK_OK && works[2].status == PENSTOCK_OK);
			cr_assert(disk.failed == 1 || i > 1000, "%u: %u", i, disk.failed);
			cr_assert(i > 1000 || counters.replayed_batches == replayed, "%u", i);
		}
		cr_assert(replayed > 0 && counters.replayed_batches > replayed && disk.failed == 2, "%u", disk.failed);
		close_engine(db);
	}
}

/* With nothing to undo it with but the end of its transaction. */
Test(fault, rows_that_are_too_many_are_undone_without_a_temporary_file)
{
	static const char returning[] = "UPDATE cold SET b=b||'x' RETURNING a";
	penstock_config config;
	sqlite3 *connection;
	sqlite3_stmt *statement;

	init_config(&config);
	config.result_bytes_max = 4096;
	for (unsigned flags = 0; flags <= PENSTOCK_RUN_ALONE; flags++) {
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .sql = returning,
			                           .flags = flags,
			                           .on_complete = on_outcome,
			                           .arg = &works[1] };
		penstock *db;

		new_file();
		outside(COLD);
		forget_works();
		db = open_engine(&config);
		submit(db, INSERT);
		fail_call(OPEN, TEMP, 1, true);
		works[work_count] = (struct work){ .id = (int)work_count };
		work_count++;
		cr_assert(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK);
		submit(db, INSERT);
		flush(db);
		mend();
		cr_assert(works[1].status == PENSTOCK_ERROR && works[1].code == SQLITE_TOOBIG, "%d", works[1].code);
		cr_assert(works[2].status == PENSTOCK_OK);
		close_engine(db);
		check_present(&works[2], "too many", flags);
		connection = open_outside();
		cr_assert(sqlite3_prepare_v2(connection, "SELECT count(*) FROM cold WHERE b LIKE '%x'", -1, &statement, NULL) ==
		          SQLITE_OK);
		cr_assert(sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0) == 0);
		sqlite3_finalize(statement);
		sqlite3_close(connection);
	}
}

Test(fault, what_cannot_be_read_fails_one_statement)
{
	static const struct harmless faults[] = {
		{ "SELECT max(b) FROM cold", READ, MAIN, NULL, 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_READ },
		{ "UPDATE cold SET b=b||'x'", READ, MAIN, NULL, 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_READ },
		{ "UPDATE cold SET b=b||'x' RETURNING a", READ, MAIN, NULL, 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_READ },
		{ "DELETE FROM cold WHERE a=7000", READ, MAIN, NULL, 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_READ },
	};

	FAIL_WITHOUT_HARM(faults, NULL);
}

/* What was to be written before the commit, as nobody can tell without the errno, or behind a hook of the program's. */
static int allow_commit(void *arg)
{
	(void)arg;
	return 0;
}

static int add_commit_hook(sqlite3 *connection, void *arg)
{
	sqlite3_commit_hook(connection, allow_commit, NULL);
	return add_gate(connection, arg);
}

static void fail_a_spill(penstock_connect_hook *hook, penstock_status status)
{
	penstock_config config;
	penstock *db;

	init_config(&config);
	config.connect_hook = hook;
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	submit(db, INSERT);
	flush(db);
	fail_call(WRITE, WAL, 7, false);
	submit(db, INSERT_LARGE);
	flush(db);
	cr_assert(disk.failed == 1 && works[1].status == status && works[1].code == SQLITE_IOERR_WRITE, "%s %d",
	          penstock_status_name(works[1].status), works[1].code);
	if (status == PENSTOCK_UNKNOWN) {
		while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
			usleep(1000);
		expect_failed(db, SQLITE_IOERR_WRITE);
	} else {
		submit(db, INSERT);
		submit(db, INSERT_LARGE);
		flush(db);
		cr_assert(works[2].status == PENSTOCK_OK && works[3].status == PENSTOCK_OK);
	}
	close_engine(db);
	check_works("spill", 0);
}

Test(fault, a_failed_write_of_the_log_before_the_commit_fails_one_statement)
{
	fail_a_spill(add_gate, PENSTOCK_ERROR);
}

Test(fault, whether_the_commit_had_begun_is_not_told_by_a_hook_of_the_programs)
{
	fail_a_spill(add_commit_hook, PENSTOCK_UNKNOWN);
}

Test(fault, whose_file_it_was_is_not_told_without_an_errno)
{
	penstock_config config;
	penstock *db;

	init_config(&config);
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	unlink(harness_path("out.db"));
	fail_call(WRITE, MAIN, 1, false);
	disk.name = "out.db";
	shim_errno = -1;
	submit(db, with_path("VACUUM INTO '%s'", "out.db"));
	flush(db);
	while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
		usleep(1000);
	shim_errno = EIO;
	cr_assert(works[0].status == PENSTOCK_UNKNOWN, "%s", penstock_status_name(works[0].status));
	expect_failed(db, SQLITE_IOERR_WRITE);
	close_engine(db);
}

/* A VFS over SQLite's that fails by itself: the file below knows of nothing, but a commit has no other. */
Test(fault, a_commit_that_fails_above_the_file_is_unknown)
{
	for (int batched = 0; batched < 2; batched++) {
		for (int write = 0; write < 2; write++) {
			penstock_config config;
			penstock *db;

			init_config(&config);
			new_file_with_table();
			forget_works();
			db = open_engine(&config);
			submit(db, INSERT);
			flush(db);
			if (batched)
				shut_gate(db);
			fail_call(write ? WRITE : SYNC, WAL, 1, true);
			shim_errno = 0;
			submit(db, INSERT);
			if (batched) {
				submit(db, INSERT);
				open_gate();
			}
			flush(db);
			shim_errno = EIO;
			cr_assert(works[work_count - 1].status == PENSTOCK_UNKNOWN, "%s",
			          penstock_status_name(works[work_count - 1].status));
			while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
				usleep(1000);
			expect_failed(db, write ? SQLITE_IOERR_WRITE : SQLITE_IOERR_FSYNC);
			close_engine(db);
			check_works("above", 0);
		}
	}
}

/* An earlier failure is not taken for that of another file. */
Test(fault, a_file_that_failed_before_is_asked_anew)
{
	const char *vacuum = with_path("VACUUM INTO '%s'", "out.db");
	const struct harmless fault = { vacuum, WRITE, MAIN, "out.db", 0, EIO, PENSTOCK_ERROR, SQLITE_IOERR_WRITE };
	static const unsigned kinds[] = { MAIN, WAL };
	penstock_config config;
	penstock *db;

	init_config(&config);
	for (size_t i = 0; i < 2; i++) {
		new_file();
		unlink(harness_path("out.db"));
		outside(COLD);
		forget_works();
		db = open_engine(&config);
		submit(db, INSERT);
		submit(db, "INSERT INTO cold VALUES(-1,zeroblob(4000000))"); /* in the log, and not in the cache */
		flush(db);
		fail_call(READ, kinds[i], 1, true);
		submit(db, "SELECT count(*) FROM cold WHERE substr(b,-1)='q'");
		flush(db);
		cr_assert(works[2].status == PENSTOCK_ERROR && works[2].code == SQLITE_IOERR_READ, "%s %d",
		          penstock_status_name(works[2].status), works[2].code);
		fail_call(fault.operations, fault.kinds, 1, true);
		disk.name = fault.name;
		submit(db, vacuum);
		flush(db);
		mend();
		submit(db, INSERT);
		flush(db);
		cr_assert(works[3].status == PENSTOCK_ERROR && works[4].status == PENSTOCK_OK, "%zu: %s", i,
		          penstock_status_name(works[3].status));
		close_engine(db);
	}
}

/* ---- the index of the log ---- */

#define INSERT_100K "INSERT INTO times SELECT ?,zeroblob(100000)"

/* An engine whose log is so long that with one more of these its index grows. */
static penstock *open_with_a_long_log(void)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_config config;
	penstock *db;

	init_config(&config);
	config.wal_bytes_max = 256 << 20;
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	new_file();
	outside("PRAGMA journal_mode=WAL; CREATE TABLE times(id, data)");
	forget_works();
	db = open_engine(&config);
	do {
		work_count = 0;
		submit(db, "INSERT INTO times SELECT ?-1,zeroblob(100000)");
		flush(db);
		cr_assert(penstock_counters_read(db, &counters) == PENSTOCK_OK);
	} while (counters.wal_bytes < (uint64_t)(4062 - 26) * (4096 + 24));
	forget_works();
	return db;
}

/* The frames are in the log by then, which a recovery after a crash would find. */
Test(fault, an_index_that_cannot_grow_in_a_commit_leaves_that_one_in_doubt)
{
	static const int codes[] = { SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_SHMMAP };

	for (size_t c = 0; c < 2; c++) {
		for (unsigned batched = 0; batched < 3; batched++) {
			penstock *db = open_with_a_long_log();

			if (batched == 2)
				shut_gate(db);
			else
				submit(db, "SELECT 1");
			fail_call(SHM_MAP, ANY_FILE, 1, true);
			disk.code = codes[c];
			submit(db, batched == 1 ? INSERT_100K " RETURNING id" : INSERT_100K);
			if (batched == 2) {
				submit(db, "INSERT INTO times SELECT ?,zeroblob(-1) FROM nowhere");
				submit(db, INSERT_100K);
				open_gate();
			}
			flush(db);
			cr_assert(disk.failed > 0, "it did not grow");
			cr_assert(works[1].status == PENSTOCK_UNKNOWN && works[1].code == codes[c], "%u: %s %d", batched,
			          penstock_status_name(works[1].status), works[1].code);
			cr_assert(batched != 2 || (works[2].status == PENSTOCK_ERROR && works[3].status == PENSTOCK_UNKNOWN),
			          "%s", penstock_status_name(works[3].status));
			/* What the index has room for goes well, and everything when it may grow again. */
			submit(db, "INSERT INTO times VALUES(?,0)");
			flush(db);
			cr_assert(works[work_count - 1].status == PENSTOCK_OK, "%d", works[work_count - 1].code);
			mend();
			for (int i = 0; i < 3; i++)
				submit(db, INSERT_100K);
			flush(db);
			cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING);
			check_counters(db);
			close_engine(db);
			check_works("index", batched);
			for (size_t i = batched == 2 ? 4 : 2; i < work_count; i++) {
				cr_assert(works[i].status == PENSTOCK_OK, "%zu: %d", i, works[i].code);
				check_present(&works[i], "index", batched);
			}
		}
	}
}

/* With a reader in the way; else the log begins anew, and what the index holds of it is enough. */
Test(fault, an_index_that_cannot_grow_before_the_commit_fails_one_statement)
{
	for (unsigned way = 0; way < 4; way++) {
		bool batched = way % 2 != 0, held = way >= 2;
		penstock *db = open_with_a_long_log();
		sqlite3 *reader = NULL;
		const struct work *large;

		submit(db, "INSERT INTO times VALUES(?,0)");
		flush(db);
		if (held) {
			cr_assert(penstock_reader_open(db, &reader) == PENSTOCK_OK, "%s", penstock_error_message());
			run_on(reader, "BEGIN; SELECT 1 FROM times");
		}
		if (batched)
			shut_gate(db);
		fail_call(SHM_MAP, ANY_FILE, 1, true);
		disk.code = SQLITE_IOERR_SHMSIZE;
		large = submit(db, "INSERT INTO times SELECT ?,zeroblob(6000000)");
		submit(db, "INSERT INTO times VALUES(?,0)");
		if (batched)
			open_gate();
		flush(db);
		cr_assert(disk.failed > 0 && large->status == (held ? PENSTOCK_ERROR : PENSTOCK_OK) &&
		                  large->code == (held ? SQLITE_IOERR_SHMSIZE : SQLITE_OK),
		          "%u: %s %d", way, penstock_status_name(large->status), large->code);
		cr_assert(works[work_count - 1].status == PENSTOCK_OK, "%d", works[work_count - 1].code);
		mend();
		cr_assert(sqlite3_close(reader) == SQLITE_OK);
		close_engine(db);
		check_works("index", way);
		check_present(&works[work_count - 1], "index", way);
	}
}

/* Another process has made the log so long. */
Test(fault, an_index_that_cannot_be_mapped_to_be_read_fails_what_reads_it)
{
	penstock_config config;
	penstock *db;

	init_config(&config);
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	submit(db, INSERT);
	flush(db);
	outside("PRAGMA wal_autocheckpoint=0; INSERT INTO t SELECT 1,zeroblob(20000000)");
	fail_call(SHM_MAP, ANY_FILE, 1, true);
	submit(db, INSERT);
	flush(db);
	shut_gate(db);
	submit(db, INSERT);
	submit(db, "SELECT max(id) FROM times");
	open_gate();
	flush(db);
	mend();
	submit(db, INSERT);
	flush(db);
	for (size_t i = 1; i < work_count - 1; i++)
		cr_assert(works[i].code == SQLITE_IOERR_SHMMAP || i == 2, "%zu: %s %d", i,
		          penstock_status_name(works[i].status), works[i].code);
	cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING && works[work_count - 1].status == PENSTOCK_OK);
	close_engine(db);
	check_works("index", 0);
}

/* ---- temporary files ---- */

/* Rows whose keys lie all over three trees that are larger than a few dozen pages. */
static penstock *open_scattered(penstock_statement **insert)
{
	static const char fill[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)"
				   " INSERT INTO wide SELECT hex(randomblob(16)),random(),random() FROM n";
	penstock_config config;
	penstock *db;

	init_config(&config);
	config.ring_slots = 4096;
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	new_file();
	outside("PRAGMA journal_mode=WAL; CREATE TABLE wide(a TEXT PRIMARY KEY, b UNIQUE, c); CREATE INDEX i ON wide(c)");
	outside(fill);
	forget_works();
	db = open_engine(&config);
	cr_assert(penstock_statement_register(db, "INSERT INTO wide VALUES(?,?,?)", -1, insert) == PENSTOCK_OK);
	return db;
}

static void submit_scattered(penstock *db, const penstock_statement *insert, unsigned rows)
{
	for (unsigned i = 0; i < rows; i++) {
		int64_t number = (int64_t)(i * 2654435761u);
		char text[24];
		penstock_value values[] = { penstock_text(text), penstock_int64(number << 20 | i), penstock_int64(-number) };
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .statement = insert,
			                           .values = values,
			                           .value_count = 3 };

		snprintf(text, sizeof text, "%016llx", (unsigned long long)number);
		cr_assert(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK, "%s",
		          penstock_error_message());
	}
	flush(db);
}

/* A statement alone needs none, so neither do many: what undoes one of them inside a transaction would be in such a file. */
Test(fault, inserts_that_run_as_one_need_no_temporary_file)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_statement *insert;
	penstock *db = open_scattered(&insert);

	disk.temporary = 0;
	submit_scattered(db, insert, 20000);
	cr_assert(penstock_counters_read(db, &counters) == PENSTOCK_OK);
	cr_assert(counters.fused > 15000 && counters.committed == 20000, "%llu fused, %llu committed",
	          (unsigned long long)counters.fused, (unsigned long long)counters.committed);
	cr_assert(disk.temporary == 0, "%u temporary files", disk.temporary);
	close_engine(db);
}

/* ---- checkpoints ---- */

Test(fault, a_failed_checkpoint_loses_nothing)
{
	static const unsigned operations[] = { WRITE, SYNC, TRUNCATE, READ };
	penstock_config config;
	unsigned o, n, failed, met = 0;
	size_t i;

	init_config(&config);
	config.wal_bytes_max = 65536;
	for (o = 0; o < 4; o++) {
		for (n = 1; n < 200; n++) {
			penstock *db;

			new_file_with_table();
			forget_works();
			config.checkpoint_thread = n / 2 % 2;
			db = open_engine(&config);
			fail_call(operations[o], MAIN, n, n % 2 == 0);
			for (i = 0; i < 30; i++) {
				submit(db, i % 2 == 0 ? INSERT : "INSERT INTO t SELECT ?,zeroblob(20000)");
				flush(db);
			}
			pthread_mutex_lock(&disk.mutex);
			failed = disk.failed;
			pthread_mutex_unlock(&disk.mutex);
			if (failed != 0 && penstock_phase_of(db) == PENSTOCK_PHASE_FAILED)
				met++;
			check_counters(db);
			cr_assert(penstock_stop(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
			mend();
			cr_assert(penstock_start(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
			submit(db, INSERT);
			flush(db);
			cr_assert(works[30].status == PENSTOCK_OK, "%d", works[30].code);
			close_engine(db);
			check_works("checkpoint", n);
			for (i = 0; i <= 30; i += 2) {
				if (works[i].submitted == PENSTOCK_OK && works[i].status == PENSTOCK_OK)
					check_present(&works[i], "checkpoint", n);
			}
			if (failed == 0)
				break;
			if (n > 20)
				n += 10;
		}
	}
	cr_assert(met > 3, "only %u checkpoints failed", met);
}

/* ---- durable ---- */

/* The place of a work's outcome in the log. */
static size_t outcome_at(const struct work *work)
{
	size_t i;

	for (i = 0; i < disk.logged; i++) {
		if (disk.log[i].operation == OUTCOME && disk.log[i].arg == work)
			return i;
	}
	cr_assert(false, "submission %d has no outcome in the log", work->id);
	return 0;
}

/* The place of the last such event before another. */
static size_t last_before(enum operation operation, size_t before)
{
	size_t i;

	for (i = before; i-- > 0;) {
		if (disk.log[i].operation == operation && disk.log[i].kind == WAL)
			return i + 1;
	}
	return 0;
}

static void run_two_levels(int64_t synchronous, const char *first)
{
	penstock_config config;
	penstock *db;

	init_config(&config);
	config.synchronous = synchronous;
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	submit(db, INSERT);
	if (first != NULL)
		submit(db, first);
	flush(db);
	shut_gate(db);
	submit(db, INSERT);
	submit_ack(db, INSERT, PENSTOCK_ACK_DURABLE);
	submit(db, INSERT);
	submit_ack(db, INSERT, PENSTOCK_ACK_DURABLE);
	forget_log();
	open_gate();
	flush(db);
	close_engine(db);
	check_works("levels", 0);
}

Test(fault, a_durable_outcome_comes_after_a_sync_that_comes_after_its_commit)
{
	size_t committed_one, committed_two, durable_one, durable_two, commit, sync;

	run_two_levels(PENSTOCK_SYNCHRONOUS_NORMAL, NULL);
	committed_one = outcome_at(&works[2]);
	durable_one = outcome_at(&works[3]);
	committed_two = outcome_at(&works[4]);
	durable_two = outcome_at(&works[5]);
	commit = last_before(COMMIT_FRAME, committed_one);
	sync = last_before(SYNC, durable_one);
	cr_assert(commit > 0 && sync > 0, "no commit, or no sync");
	cr_assert(last_before(COMMIT_FRAME, durable_two) == commit, "they were not one transaction");
	cr_assert(sync > commit, "the sync is before the commit");
	/* Those that did not ask for it do not wait. */
	cr_assert(committed_one < sync && committed_two < sync, "they waited for the sync");
}

static void expect_everyone_synced(void)
{
	size_t i;

	for (i = work_count - 4; i < work_count; i++) {
		size_t outcome = outcome_at(&works[i]);

		cr_assert(last_before(COMMIT_FRAME, outcome) > 0, "no commit");
		cr_assert(last_before(SYNC, outcome) > last_before(COMMIT_FRAME, outcome), "%zu came before the sync", i);
	}
}

Test(fault, with_full_every_outcome_comes_after_the_sync)
{
	run_two_levels(PENSTOCK_SYNCHRONOUS_FULL, NULL);
	expect_everyone_synced();
	run_two_levels(PENSTOCK_SYNCHRONOUS_EXTRA, NULL);
	expect_everyone_synced();
	/* A submission may turn it up ... */
	run_two_levels(PENSTOCK_SYNCHRONOUS_NORMAL, "PRAGMA synchronous=FULL");
	expect_everyone_synced();
}

/* Where SQLite has to fill up the last sector of a durable commit, it does so only for all. */
Test(fault, with_weak_sectors_normal_is_full)
{
	shim_weak_sectors = true;
	run_two_levels(PENSTOCK_SYNCHRONOUS_NORMAL, NULL);
	expect_everyone_synced();
	run_two_levels(PENSTOCK_SYNCHRONOUS_NORMAL, "PRAGMA synchronous=NORMAL");
	expect_everyone_synced();
	shim_weak_sectors = false;
}

static void count_raises(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)level;
	(void)message;
	if (event == PENSTOCK_EVENT_SYNCHRONOUS_RAISED)
		++*(unsigned *)arg;
}

static unsigned raises_told(bool weak_sectors, int synchronous)
{
	penstock_config config;
	unsigned told = 0;

	init_config(&config);
	config.synchronous = synchronous;
	config.log = count_raises;
	config.log_arg = &told;
	new_file_with_table();
	shim_weak_sectors = weak_sectors;
	close_engine(open_engine(&config));
	shim_weak_sectors = false;
	return told;
}

Test(fault, that_normal_is_raised_to_full_is_told)
{
	cr_assert(raises_told(true, PENSTOCK_SYNCHRONOUS_NORMAL) == 1);
	cr_assert(raises_told(true, PENSTOCK_SYNCHRONOUS_FULL) == 0);
	cr_assert(raises_told(false, PENSTOCK_SYNCHRONOUS_NORMAL) == 0);
}

static void expect_durable_synced(const char *first)
{
	size_t outcome;

	run_two_levels(PENSTOCK_SYNCHRONOUS_FULL, first);
	outcome = outcome_at(&works[work_count - 1]);
	cr_assert(last_before(SYNC, outcome) > last_before(COMMIT_FRAME, outcome), "%s: durable came before the sync", first);
}

/* ... or down, which must not reach those that ask for durable. */
Test(fault, durable_holds_when_a_submission_lowers_synchronous)
{
	expect_durable_synced("PRAGMA synchronous=NORMAL");
	expect_durable_synced("PRAGMA synchronous=1");
	expect_durable_synced("PRAGMA main.synchronous(normal)");
}

Test(fault, a_durable_statement_alone_is_synced)
{
	penstock_config config;
	penstock *db;
	size_t outcome;
	unsigned way;
	static const char *const texts[] = { INSERT, INSERT " RETURNING id", "CREATE TABLE fresh(a)" };

	init_config(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	for (way = 0; way < 3; way++) {
		new_file_with_table();
		forget_works();
		db = open_engine(&config);
		submit(db, INSERT);
		flush(db);
		forget_log();
		submit_ack(db, texts[way], PENSTOCK_ACK_DURABLE);
		flush(db);
		close_engine(db);
		outcome = outcome_at(&works[1]);
		cr_assert(last_before(SYNC, outcome) > last_before(COMMIT_FRAME, outcome), "%s", texts[way]);
	}
}

Test(fault, a_failing_sync_for_durable_is_unknown_for_those_alone)
{
	penstock_config config;
	penstock *db;

	init_config(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	config.batch_max = 5;
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	submit(db, INSERT);
	flush(db);
	shut_gate(db);
	submit(db, INSERT);
	submit_ack(db, INSERT, PENSTOCK_ACK_DURABLE);
	submit_ack(db, INSERT_AND_FAIL, PENSTOCK_ACK_DURABLE);
	submit(db, INSERT);
	submit_ack(db, INSERT, PENSTOCK_ACK_DURABLE);
	submit(db, INSERT);
	fail_call(SYNC, WAL, 1, false);
	disk.only_after_commit = true;
	open_gate();
	flush(db);
	while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
		usleep(1000);
	flush(db);
	cr_assert(works[2].status == PENSTOCK_OK && works[5].status == PENSTOCK_OK, "committed: %s",
	          penstock_status_name(works[2].status));
	cr_assert(works[3].status == PENSTOCK_UNKNOWN && works[6].status == PENSTOCK_UNKNOWN, "durable: %s",
	          penstock_status_name(works[3].status));
	cr_assert(works[3].code == SQLITE_IOERR_FSYNC, "%d", works[3].code);
	cr_assert(works[4].status == PENSTOCK_ERROR, "error: %s", penstock_status_name(works[4].status));
	cr_assert(works[7].status == PENSTOCK_SHUTDOWN, "next batch: %s", penstock_status_name(works[7].status));
	expect_failed(db, SQLITE_IOERR_FSYNC);
	close_engine(db);
	check_works("durable", 0);
}

/* ---- pause ---- */

Test(fault, a_paused_engine_makes_no_call)
{
	penstock_config config;
	struct waiter producer = { 0 };
	pthread_t thread;
	sqlite3 *reader;
	unsigned round;
	int hold;

	for (hold = 0; hold < 3; hold++) {
		init_config(&config);
		config.when_paused = PENSTOCK_HOLD;
		config.when_stopped = PENSTOCK_REFUSE;
		if (hold < 2)
			config.wal_bytes_max = 65536;
		config.checkpoint_thread = hold != 1;
		new_file_with_table();
		forget_works();
		producer.db = open_engine(&config);
		sem_init(&producer.started, 0, 0);
		pthread_create(&thread, NULL, submit_until_refused, &producer);
		for (round = 0; round < 10; round++) {
			unsigned long before;

			submit(producer.db, INSERT);
			cr_assert(penstock_pause(producer.db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
			before = calls_so_far();
			cr_assert(works[work_count - 1].outcomes == 1, "paused before its outcome");
			cr_assert(penstock_reader_open(producer.db, &reader) == PENSTOCK_PAUSED, "a reader while paused");
			/* What the engine must not keep anybody from. */
			outside("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; INSERT INTO t(data) VALUES(1); COMMIT");
			if (round % 3 == 0)
				outside("PRAGMA journal_mode=DELETE; VACUUM; PRAGMA journal_mode=WAL");
			usleep(5000);
			cr_assert(calls_so_far() == before, "%lu calls while paused", calls_so_far() - before);
			cr_assert(penstock_unpause(producer.db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s",
			          penstock_error_message());
			cr_assert(calls_so_far() > before, "no call after unpause");
		}
		cr_assert(penstock_stop(producer.db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
		pthread_join(thread, NULL);
		cr_assert(producer.status == PENSTOCK_STOPPED, "%s", penstock_status_name(producer.status));
		close_engine(producer.db);
		check_works("pause", 0);
	}
}

/* ---- another process's lock ---- */

static uint64_t busy_retries(penstock *db)
{
	penstock_counters counters = { .struct_size = sizeof counters };

	cr_assert(penstock_counters_read(db, &counters) == PENSTOCK_OK, "%s", penstock_error_message());
	return counters.busy_retries;
}

Test(fault, an_outside_writer_delays_and_fails_nothing)
{
	penstock_config config;
	penstock *db;
	sqlite3 *holder;
	unsigned round;
	size_t i;

	for (round = 0; round < 3; round++) {
		init_config(&config);
		config.busy_timeout_ms = round == 1 ? 20 : 0;
		config.busy_limit_ms = round == 2 ? 0 : 600000;
		new_file_with_table();
		forget_works();
		db = open_engine(&config);
		holder = open_outside();
		/* A single one, and then a batch. */
		for (i = 0; i < 2; i++) {
			uint64_t before = busy_retries(db);
			size_t from;

			if (i == 1)
				shut_gate(db);
			from = work_count;
			run_on(holder, "BEGIN IMMEDIATE; INSERT INTO t(data) VALUES(1)");
			do {
				submit(db, INSERT);
			} while (i == 1 && work_count < from + 20);
			if (i == 1)
				open_gate();
			while (busy_retries(db) < before + 3)
				usleep(1000);
			for (; from < work_count; from++)
				cr_assert(works[from].outcomes == 0, "an outcome without the lock");
			run_on(holder, "COMMIT");
			flush(db);
		}
		for (i = 0; i < work_count; i++)
			cr_assert(works[i].status == PENSTOCK_OK, "%s %d", penstock_status_name(works[i].status),
			          works[i].code);
		cr_assert(busy_retries(db) >= 6, "not counted");
		sqlite3_close(holder);
		close_engine(db);
		check_works("busy", round);
		for (i = 0; i < work_count; i++) {
			if (i != 1) /* the gate */
				check_present(&works[i], "busy", round);
		}
	}
}

static sem_t lock_met;

static void post_lock_met(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
	if (event == PENSTOCK_EVENT_LOCKED)
		sem_post(&lock_met);
}

struct opening {
	penstock_config config;
	penstock *db;
	enum { TO_OPEN, TO_START, TO_UNPAUSE } how;
	int status;
	char message[200];
};

static void *open_somehow(void *arg)
{
	struct opening *opening = arg;

	switch (opening->how) {
	case TO_OPEN:
		opening->status = penstock_open(harness_path("faults.db"), &opening->config, &opening->db);
		break;
	case TO_START:
		opening->status = penstock_start(opening->db, PENSTOCK_FOREVER);
		break;
	case TO_UNPAUSE:
		opening->status = penstock_unpause(opening->db, PENSTOCK_FOREVER);
		break;
	}
	snprintf(opening->message, sizeof opening->message, "%s", penstock_error_message());
	return NULL;
}

static void init_opening(struct opening *opening, int how, int64_t limit_ms)
{
	memset(opening, 0, sizeof *opening);
	opening->how = how;
	init_config(&opening->config);
	opening->config.busy_timeout_ms = 0;
	opening->config.busy_limit_ms = limit_ms;
	opening->config.log = post_lock_met;
	new_file_with_table();
	sem_init(&lock_met, 0, 0);
	if (how == TO_OPEN)
		return;
	opening->db = open_engine(&opening->config);
	cr_assert((how == TO_START ? penstock_stop : penstock_pause)(opening->db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s",
	          penstock_error_message());
}

Test(fault, an_outside_writer_delays_connecting_and_fails_it_not)
{
	struct opening opening;
	pthread_t thread;
	sqlite3 *holder;
	int how, autostart;

	for (how = TO_OPEN; how <= TO_UNPAUSE; how++) {
		for (autostart = how == TO_OPEN ? 0 : 1; autostart < 2; autostart++) {
			init_opening(&opening, how, 600000);
			opening.config.autostart = autostart;
			holder = open_outside();
			run_on(holder, "BEGIN IMMEDIATE");
			pthread_create(&thread, NULL, open_somehow, &opening);
			while (sem_wait(&lock_met) != 0)
				;
			run_on(holder, "COMMIT");
			pthread_join(thread, NULL);
			cr_assert(opening.status == PENSTOCK_OK, "%d: %s", how, opening.message);
			cr_assert(busy_retries(opening.db) > 0, "not counted");
			sqlite3_close(holder);
			close_engine(opening.db);
		}
	}
}

Test(fault, after_busy_limit_connecting_fails)
{
	struct opening opening;
	sqlite3 *holder;
	int how, autostart;

	for (how = TO_OPEN; how <= TO_UNPAUSE; how++) {
		for (autostart = how == TO_OPEN ? 0 : 1; autostart < 2; autostart++) {
			init_opening(&opening, how, 5);
			opening.config.autostart = autostart;
			holder = open_outside();
			run_on(holder, "BEGIN IMMEDIATE");
			open_somehow(&opening);
			cr_assert(opening.status == PENSTOCK_CANTOPEN, "%d: %s", how, penstock_status_name(opening.status));
			cr_assert(strstr(opening.message, "locked") != NULL, "%s", opening.message);
			run_on(holder, "COMMIT");
			open_somehow(&opening);
			cr_assert(opening.status == PENSTOCK_OK, "%d: %s", how, opening.message);
			sqlite3_close(holder);
			close_engine(opening.db);
		}
	}
}

/* Nothing is left to be done with the file, so nobody waits for its lock. */
Test(fault, a_stop_ends_the_wait_of_an_unpause_for_a_lock)
{
	struct opening opening;
	pthread_t thread;
	sqlite3 *holder;

	init_opening(&opening, TO_UNPAUSE, 0);
	holder = open_outside();
	run_on(holder, "BEGIN IMMEDIATE");
	pthread_create(&thread, NULL, open_somehow, &opening);
	while (sem_wait(&lock_met) != 0)
		;
	cr_assert(penstock_stop(opening.db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
	pthread_join(thread, NULL);
	cr_assert(opening.status == PENSTOCK_STOPPED, "%s", penstock_status_name(opening.status));
	cr_assert(penstock_failure(opening.db, NULL, 0) == 0, "stopped as failed");
	sqlite3_close(holder);
	close_engine(opening.db);
}

/* For the next three: an engine that does not wait for a lock for long, held at its gate. */
static penstock *open_impatient_engine(penstock_log *log)
{
	penstock_config config;
	penstock *db;

	init_config(&config);
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 20;
	config.log = log;
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	shut_gate(db);
	return db;
}

/* Has the gated statements run while somebody else has the lock, which is still held afterwards. */
static sqlite3 *run_gated_without_lock(penstock *db)
{
	sqlite3 *holder = open_outside();

	run_on(holder, "BEGIN IMMEDIATE");
	open_gate();
	flush(db);
	return holder;
}

Test(fault, after_busy_limit_the_statements_fail_and_the_next_ones_do_not)
{
	penstock *db = open_impatient_engine(NULL);
	sqlite3 *holder;
	size_t i;

	for (i = 1; i < 8; i++)
		submit(db, INSERT);
	holder = run_gated_without_lock(db);
	submit(db, INSERT);
	flush(db);
	submit(db, INSERT " RETURNING *");
	flush(db);
	for (i = 1; i < work_count; i++)
		cr_assert(works[i].status == PENSTOCK_ERROR && (works[i].code & 0xff) == SQLITE_BUSY, "%s %d",
		          penstock_status_name(works[i].status), works[i].code);
	cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING, "%s", penstock_phase_name(penstock_phase_of(db)));
	run_on(holder, "COMMIT");
	i = work_count;
	submit(db, INSERT);
	submit(db, INSERT);
	flush(db);
	for (; i < work_count; i++)
		cr_assert(works[i].status == PENSTOCK_OK, "%s %d", penstock_status_name(works[i].status), works[i].code);
	check_counters(db);
	sqlite3_close(holder);
	close_engine(db);
	check_works("busy", 0);
}

/* Each lock anew, however few statements have met it. */
Test(fault, a_lock_that_is_met_again_is_told_again)
{
	penstock_config config;
	sqlite3 *holder;
	penstock *db;

	sem_init(&lock_met, 0, 0);
	init_config(&config);
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 600000;
	config.log = post_lock_met;
	for (int way = 0; way < 3; way++) {
		new_file_with_table();
		forget_works();
		db = open_engine(&config);
		holder = open_outside();
		for (int lock = 0; lock < 3; lock++) {
			int waits;
			uint64_t before = busy_retries(db);

			if (way == 2)
				shut_gate(db);
			run_on(holder, "BEGIN IMMEDIATE");
			submit(db, way == 1 ? INSERT " RETURNING *" : INSERT);
			if (way == 2) {
				submit(db, INSERT);
				open_gate();
			}
			while (busy_retries(db) < before + 3)
				usleep(1000);
			run_on(holder, "COMMIT");
			flush(db);
			sem_getvalue(&lock_met, &waits);
			cr_assert(waits == 3 * way + lock + 1, "way %d, lock %d: told %d times", way, lock, waits);
		}
		sqlite3_close(holder);
		for (size_t i = 0; i < work_count; i++)
			cr_assert(works[i].status == PENSTOCK_OK, "%s %d", penstock_status_name(works[i].status),
			          works[i].code);
		close_engine(db);
		check_works("again", (unsigned)way);
	}
}

/* ... and so is the next one behind a lock that was waited for in vain. */
Test(fault, a_lock_that_is_met_after_a_limit_is_told_again)
{
	penstock_config config;
	sqlite3 *holder;
	penstock *db;
	int waits;

	sem_init(&lock_met, 0, 0);
	init_config(&config);
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 20;
	config.log = post_lock_met;
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	holder = open_outside();
	for (int lock = 1; lock < 4; lock++) {
		run_on(holder, "BEGIN IMMEDIATE");
		/* One lock, however many wait for it in vain. */
		for (int i = 0; i < 3; i++) {
			cr_assert(submit(db, INSERT)->submitted == PENSTOCK_OK);
			flush(db);
			cr_assert(works[work_count - 1].status == PENSTOCK_ERROR);
			sem_getvalue(&lock_met, &waits);
			cr_assert(waits == lock, "lock %d: told %d times", lock, waits);
		}
		run_on(holder, "COMMIT");
		submit(db, INSERT);
		flush(db);
		cr_assert(works[work_count - 1].status == PENSTOCK_OK);
	}
	sqlite3_close(holder);
	close_engine(db);
	check_works("limit", 0);
}

/* A VFS may say in a commit too that somebody holds a lock. */
static void meet_a_lock_in_commit(size_t count, bool for_ever)
{
	penstock_config config;
	penstock *db;
	size_t i;

	init_config(&config);
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = for_ever ? 20 : 600000;
	new_file_with_table();
	forget_works();
	db = open_engine(&config);
	shut_gate(db);
	for (i = 1; i <= count; i++)
		submit(db, INSERT " RETURNING *");
	fail_call(WRITE, WAL, 1, for_ever);
	disk.code = SQLITE_BUSY;
	open_gate();
	flush(db);
	cr_assert(disk.failed > 0 && busy_retries(db) > 0, "it was not met");
	mend();
	submit(db, INSERT);
	flush(db);
	for (i = 1; i < work_count; i++) {
		bool failed = for_ever && i <= count;

		cr_assert(works[i].status == (failed ? PENSTOCK_ERROR : PENSTOCK_OK), "%zu: %s %d", i,
		          penstock_status_name(works[i].status), works[i].code);
		cr_assert(works[i].code == (failed ? SQLITE_BUSY : SQLITE_OK), "%zu: %d", i, works[i].code);
	}
	cr_assert(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING, "%s", penstock_phase_name(penstock_phase_of(db)));
	check_counters(db);
	close_engine(db);
	check_works("commit", for_ever);
	for (i = 1; i < work_count; i++) {
		if (works[i].status == PENSTOCK_OK)
			check_present(&works[i], "commit", for_ever);
	}
}

Test(fault, a_commit_that_meets_a_lock_is_tried_again)
{
	for (size_t count = 1; count < 8; count += 6) {
		meet_a_lock_in_commit(count, false);
		meet_a_lock_in_commit(count, true);
	}
}

/* Else the last of them would hear after as many times busy_limit_ms as there are. */
Test(fault, a_batch_waits_for_a_lock_once)
{
	static const int64_t batches[] = { 1000, 2, 1 };
	sqlite3 *holder;
	penstock *db;
	int waits, i;

	for (size_t way = 0; way < sizeof batches / sizeof batches[0]; way++) {
		penstock_config change;

		sem_init(&lock_met, 0, 0);
		db = open_impatient_engine(post_lock_met);
		penstock_config_init(&change);
		change.batch_max = batches[way];
		cr_assert(penstock_reconfigure(db, &change) == PENSTOCK_OK, "%s", penstock_error_message());
		/* Nor does one that needs no lock give back what the others have waited. */
		for (i = 1; i < 8; i++)
			submit(db, i % 3 == 0 ? "SELECT count(*) FROM t" : INSERT);
		holder = run_gated_without_lock(db);
		sem_getvalue(&lock_met, &waits);
		cr_assert(waits == 1, "way %zu: %d", way, waits);
		for (i = 1; i < 8; i++)
			cr_assert(works[i].status == (i % 3 == 0 ? PENSTOCK_OK : PENSTOCK_ERROR), "way %zu, %d: %s", way, i,
			          penstock_status_name(works[i].status));
		sqlite3_close(holder);
		close_engine(db);
		check_works("lock", (unsigned)way);
	}
}

/* The trigger puts back what RESTRICT would not let go at once. */
#define RESTRICTED                                                                                     \
	"CREATE TABLE parent(id INTEGER PRIMARY KEY); INSERT INTO parent VALUES(1);"                   \
	"CREATE TABLE child(p REFERENCES parent(id) ON DELETE RESTRICT); INSERT INTO child VALUES(1);" \
	"CREATE TRIGGER back AFTER DELETE ON parent BEGIN INSERT INTO parent VALUES(old.id); END"

/* The pragma is for the next statement, and not for its first attempt. */
Test(fault, defer_foreign_keys_outlasts_a_wait_for_a_lock)
{
	static const char *const deletes[] = { "DELETE FROM parent", "DELETE FROM parent RETURNING id" };
	penstock_config config;
	penstock *db;
	sqlite3 *holder;
	size_t i;

	init_config(&config);
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 0;
	new_file_with_table();
	forget_works();
	holder = open_outside();
	run_on(holder, RESTRICTED);
	db = open_engine(&config);
	submit(db, "PRAGMA foreign_keys=ON");
	flush(db);
	for (i = 0; i < sizeof deletes / sizeof deletes[0]; i++) {
		uint64_t before = busy_retries(db);

		run_on(holder, "BEGIN IMMEDIATE");
		submit(db, "PRAGMA defer_foreign_keys=ON");
		submit(db, deletes[i]);
		while (busy_retries(db) < before + 3)
			usleep(1000);
		run_on(holder, "COMMIT");
		submit(db, deletes[i]);
		flush(db);
		for (size_t from = work_count - 3; from < work_count; from++)
			cr_assert((works[from].status == PENSTOCK_OK) == (from < work_count - 1), "%s: %zu: %s %d", deletes[i],
			          from, penstock_status_name(works[from].status), works[from].code);
	}
	sqlite3_close(holder);
	close_engine(db);
}

/* Alone they would not: a batch of them must not need it either. */
Test(fault, reads_need_no_lock)
{
	penstock *db = open_impatient_engine(NULL);
	sqlite3 *holder;
	size_t i;

	for (i = 1; i < 4; i++)
		submit(db, "SELECT count(*) FROM t");
	submit(db, "PRAGMA user_version");
	holder = run_gated_without_lock(db);
	sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL);
	sqlite3_close(holder);
	for (i = 1; i < work_count; i++)
		cr_assert(works[i].status == PENSTOCK_OK, "%zu: %s %d", i, penstock_status_name(works[i].status),
		          works[i].code);
	close_engine(db);
}

/* ---- the N-th call ---- */

static bool life_by_thread; /* who checkpoints */

/* Everything an engine does, whatever each step says. */
static void live_a_life(void)
{
	penstock_config config;
	penstock *db = NULL;
	sqlite3 *reader;
	int status;

	init_config(&config);
	config.batch_max = 8;
	config.wal_bytes_max = 65536;
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 5;
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	config.when_stopped = PENSTOCK_HOLD;
	config.trusted_schema = 0; /* the schema is looked at before each transaction */
	config.checkpoint_thread = life_by_thread;
	status = penstock_open(harness_path("faults.db"), &config, &db);
	if (status != PENSTOCK_OK) {
		cr_assert(db == NULL && penstock_error_message()[0] != '\0', "an engine with an error");
		return;
	}
	submit(db, "CREATE TABLE IF NOT EXISTS times(id)");
	submit(db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY,data)");
	submit(db, INSERT);
	submit_ack(db, INSERT, PENSTOCK_ACK_DURABLE);
	submit(db, INSERT_AND_FAIL);
	submit(db, INSERT " RETURNING id");
	submit(db, "INSERT INTO t SELECT ?,zeroblob(70000)");
	submit(db, "INSERT OR ROLLBACK INTO t SELECT ?,1 FROM t,t");
	submit(db, INSERT);
	if (penstock_reader_open(db, &reader) == PENSTOCK_OK) {
		sqlite3_exec(reader, "SELECT * FROM times", NULL, NULL, NULL);
		sqlite3_close(reader);
	}
	cr_assert(penstock_flush(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
	if (penstock_pause(db, PENSTOCK_FOREVER) == PENSTOCK_OK)
		penstock_unpause(db, PENSTOCK_FOREVER);
	submit(db, "SELECT * FROM times");
	submit(db, INSERT);
	cr_assert(penstock_stop(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
	submit_ack(db, INSERT, PENSTOCK_ACK_DURABLE);
	penstock_start(db, PENSTOCK_FOREVER);
	submit(db, INSERT);
	check_counters(db);
	cr_assert(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
}

static unsigned step_of(unsigned otherwise)
{
	const char *text = getenv("PENSTOCK_FAULT_STEP");

	return text != NULL && atoi(text) > 0 ? (unsigned)atoi(text) : otherwise;
}

static bool is_insert(const struct work *work, size_t index)
{
	(void)work;
	/* live_a_life's order */
	return index == 2 || index == 3 || index == 5 || index == 8 || index == 10 || index == 11 || index == 12;
}

static void check_life(const char *what, unsigned n)
{
	size_t i;

	check_works(what, n);
	for (i = 0; i < work_count; i++) {
		if (is_insert(&works[i], i) && works[i].submitted == PENSTOCK_OK && works[i].status == PENSTOCK_OK)
			check_present(&works[i], what, n);
	}
}

static void fail_each_call_of(bool by_thread, unsigned operations, bool for_ever, unsigned step)
{
	unsigned n, files;

	life_by_thread = by_thread;
	new_file();
	forget_works();
	live_a_life(); /* what is opened once */
	files = open_files();
	for (n = 1;; n += step) {
		unsigned failed;

		new_file();
		forget_works();
		fail_call(operations, ANY_FILE, n, for_ever);
		live_a_life();
		failed = disk.failed;
		check_life("call", n);
		cr_assert(open_files() == files, "call %u: %u files are open, not %u", n, open_files(), files);
		if (failed == 0)
			break;
	}
	cr_assert(n > 5, "only %u faults were met", n);
}

/* With checkpoints by the writer, and by the thread. */
static void fail_each_call(unsigned operations, bool for_ever, unsigned step)
{
	fail_each_call_of(false, operations, for_ever, step);
	fail_each_call_of(true, operations, for_ever, step);
}

Test(fault, any_call_may_fail_once)
{
	fail_each_call(MAY_FAIL, false, step_of(3));
}

Test(fault, any_call_may_fail_for_ever)
{
	fail_each_call(MAY_FAIL, true, step_of(5));
}

Test(fault, any_write_or_sync_may_fail)
{
	fail_each_call(WRITE | SYNC | TRUNCATE, false, step_of(1));
	fail_each_call(WRITE | SYNC | TRUNCATE, true, step_of(2));
}

/* ---- the N-th allocation ---- */

static void fail_each_allocation(bool by_thread, unsigned step)
{
	unsigned n, files;

	life_by_thread = by_thread;
	new_file();
	forget_works();
	live_a_life();
	files = open_files();
	for (n = 1;; n += step) {
		bool failed;

		new_file();
		forget_works();
		fail_memory(n);
		live_a_life();
		failed = memory.failed;
		fail_memory(0);
		check_life("allocation", n);
		cr_assert(open_files() == files, "allocation %u: %u files are open, not %u", n, open_files(), files);
		if (!failed)
			break;
	}
	cr_assert(n > 100, "only %u allocations", n);
}

Test(fault, any_allocation_of_sqlites_may_fail)
{
	fail_each_allocation(false, step_of(SANITIZED ? 29 : 7));
	fail_each_allocation(true, step_of(SANITIZED ? 29 : 7));
}

/* A pragma of which a part is missing would be another one. */
Test(fault, an_open_without_memory_never_blames_the_configuration)
{
#if SANITIZED
	cr_skip_test("the sanitizer's malloc");
#else
	penstock_pragma pragma = PENSTOCK_PRAGMA("user_version", "7");
	penstock_config config;
	bool failed = true;
	char path[4200];
	FILE *file;
	unsigned n;

	snprintf(path, sizeof path, "%s", harness_path("faults.ini"));
	file = fopen(path, "w");
	cr_assert(file != NULL && fputs("batch_max = 5\n[pragmas]\ncache_size = -100\n", file) >= 0 && fclose(file) == 0);
	init_config(&config);
	config.config_file = path;
	config.pragmas = &pragma;
	config.pragma_count = 1;
	config.autostart = 0;
	new_file_with_table();
	everybodys_memory = true;
	for (n = 1; failed; n++) {
		penstock *db = NULL;
		int status;

		fail_memory(n);
		status = penstock_open(harness_path("faults.db"), &config, &db);
		failed = memory.failed;
		fail_memory(0);
		cr_assert(status == PENSTOCK_OK || status == PENSTOCK_NOMEM || status == PENSTOCK_CANTOPEN, "n %u: %s: %s", n,
		          penstock_status_name(status), penstock_error_message());
		if (status == PENSTOCK_OK)
			close_engine(db);
	}
	everybodys_memory = false;
	cr_assert(n > 10, "only %u allocations", n);
#endif
}

/* What RESTRICT would not let go at once: without the pragma, and with it where the n-th allocation fails. Whether that was met. */
static bool defer_without_memory(penstock *db, unsigned n, unsigned *done)
{
	const struct work *plain = &works[1], *pragma = &works[3], *first = &works[4], *second = &works[5];
	bool failed;

	forget_works();
	/* Ends what the round before has left. */
	submit(db, "DELETE FROM t");
	flush(db);
	submit(db, "DELETE FROM parent");
	flush(db);
	shut_gate(db);
	submit(db, "PRAGMA defer_foreign_keys=ON");
	submit(db, "DELETE FROM parent");
	submit(db, "DELETE FROM parent");
	fail_memory(n);
	open_gate();
	flush(db);
	failed = memory.failed;
	fail_memory(0);
	cr_assert(plain->code == SQLITE_CONSTRAINT_TRIGGER, "allocation %u: %d", n, plain->code);
	*done += first->status == PENSTOCK_OK;
	if (pragma->status != PENSTOCK_OK)
		return failed;
	cr_assert(first->status == PENSTOCK_OK || first->code == SQLITE_NOMEM, "allocation %u: %d", n, first->code);
	/* It is for one only. */
	cr_assert(first->status != PENSTOCK_OK || second->status != PENSTOCK_OK, "allocation %u", n);
	return failed;
}

/* A deferring that is lost for want of memory would fail a statement that is right. */
Test(fault, defer_foreign_keys_is_not_lost_where_memory_is)
{
	penstock_config config;
	unsigned n, done = 0;
	penstock *db;

	init_config(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	config.trusted_schema = 0; /* the schema is looked at before each statement, and that ends the deferring */
	new_file_with_table();
	forget_works();
	outside(RESTRICTED);
	db = open_engine(&config);
	submit(db, "PRAGMA foreign_keys=ON");
	flush(db);
	for (n = 1; defer_without_memory(db, n, &done); n++)
		continue;
	cr_assert(n > 10 && done > 1, "%u allocations, %u times done", n, done);
	close_engine(db);
}

/* A pragma acts as it is prepared, also where there is no memory behind that: what it set is known all the same, and off is refused. */
Test(fault, synchronous_is_not_off_behind_a_pragma_without_memory)
{
	bool failed = true;
	unsigned n;
	penstock *db;

	new_file_with_table();
	forget_works();
	db = open_engine(NULL);
	for (n = 1; failed; n++) {
		forget_works();
		fail_memory(n);
		submit(db, "PRAGMA synchronous=OFF");
		flush(db);
		failed = memory.failed;
		fail_memory(0);
		/* An overflow, if it is 0. */
		submit(db, "SELECT abs(synchronous - (synchronous = 0) + (-9223372036854775807)) FROM pragma_synchronous");
		flush(db);
		cr_assert(works[0].status == PENSTOCK_ERROR && works[1].status == PENSTOCK_OK, "allocation %u: %d, %d", n,
		          works[0].code, works[1].code);
	}
	cr_assert(n > 10, "%u allocations", n);
	close_engine(db);
}

Test(fault, any_allocation_may_fail)
{
#if SANITIZED
	cr_skip_test("the sanitizer's malloc");
#else
	if (getenv("LD_PRELOAD") != NULL && strstr(getenv("LD_PRELOAD"), "vgpreload") != NULL)
		cr_skip_test("valgrind's malloc");
	everybodys_memory = true;
	fail_each_allocation(true, step_of(11));
	everybodys_memory = false;
#endif
}

#if !SANITIZED
static void submit_registered(penstock *db, const penstock_statement *insert)
{
	struct work *work = &works[work_count];
	penstock_value id = penstock_int64((int64_t)work_count);
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.statement = insert,
		.values = &id,
		.value_count = 1,
		.on_complete = on_outcome,
		.arg = work,
	};

	*work = (struct work){ .id = (int)work_count };
	work_count++;
	work->submitted = penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL);
}

/* So many together, of which the n-th allocation fails. Whether it was met. */
static bool run_registered(unsigned n)
{
	penstock_config config;
	penstock_statement *insert;
	penstock *db;
	bool failed;

	init_config(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	db = open_engine(&config);
	cr_assert(penstock_statement_register(db, INSERT, -1, &insert) == PENSTOCK_OK);
	submit(db, INSERT);
	shut_gate(db);
	for (unsigned i = 0; i < 40; i++)
		submit_registered(db, insert);
	everybodys_memory = true;
	fail_memory(n);
	/* It may be passed again when the batch runs again. */
	for (unsigned i = 0; i < 10; i++)
		open_gate();
	flush(db);
	failed = memory.failed;
	fail_memory(0);
	everybodys_memory = false;
	close_engine(db);
	while (sem_trywait(&gate_open) == 0 || sem_trywait(&gate_entered) == 0)
		;
	return failed;
}
#endif

/* Who hears that there was no memory for its outcome has no row. */
Test(fault, inserts_that_run_as_one_without_memory_for_an_outcome)
{
#if SANITIZED
	cr_skip_test("the sanitizer's malloc");
#else
	bool failed = true;
	unsigned n, lacked = 0;

	for (n = 1; failed; n += step_of(7)) {
		new_file_with_table();
		forget_works();
		failed = run_registered(n);
		check_works("allocation", n);
		for (size_t i = 0; i < work_count; i++) {
			/* All but what shuts the gate. */
			if (works[i].status == PENSTOCK_OK && i != 1)
				check_present(&works[i], "allocation", n);
			lacked += works[i].code == SQLITE_NOMEM;
		}
	}
	cr_assert(lacked > 0, "of %u allocations none was of an outcome", n);
#endif
}

/* Nobody listens, and there is no memory to say what it came to: what stands in for that says it, and is as good for the next. */
Test(fault, what_stands_in_for_an_outcome_stays_as_it_is)
{
#if SANITIZED
	cr_skip_test("the sanitizer's malloc");
#else
	const struct ps_record record = { .kind = PS_KIND_STATEMENT };
	struct ps_outcome *outcomes[3];
	unsigned char notes[3];
	struct ps_entries entries = { .capacity = 3, .notes = notes, .outcomes = outcomes };

	for (uint64_t i = 0; i < 3; i++)
		ps_entries_enter(&entries, i, &record);
	everybodys_memory = true;
	__atomic_store_n(&memory.next, 1000, __ATOMIC_RELAXED);
	ps_entries_end_in_nothing(&entries, 0, PENSTOCK_EXPIRED);
	ps_entries_fail(&entries, 1, PENSTOCK_UNKNOWN, SQLITE_IOERR, "it may be there");
	ps_entries_fail(&entries, 2, PENSTOCK_ERROR, SQLITE_FULL, "it is not there");
	__atomic_store_n(&memory.next, 0, __ATOMIC_RELAXED);
	everybodys_memory = false;
	for (uint64_t i = 0; i < 3; i++)
		cr_assert(ps_entries_failed(&entries, i) && ps_entries_result(&entries, i)->code == SQLITE_NOMEM, "%d", (int)i);
	cr_assert_eq(ps_entries_result(&entries, 0)->status, PENSTOCK_ERROR);
	cr_assert_eq(ps_entries_result(&entries, 1)->status, PENSTOCK_UNKNOWN);
	cr_assert_eq(ps_entries_result(&entries, 2)->status, PENSTOCK_ERROR);
#endif
}
