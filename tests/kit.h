/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kit.h - what the tests of a whole engine share
 *
 * The gate: a SQL function gate() that a connect hook registers; while the gate is shut it holds up whoever calls it, so
 * a test decides how long the writer is busy. Threads of a test check with `check`, since an assertion of Criterion's only
 * works on the test's own thread. Every test has a watchdog: a hang ends it with SIGALRM (nothing else is timed).
 */
#ifndef PENSTOCK_KIT_H
#define PENSTOCK_KIT_H

#include "tests/harness.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "writer/engine.h"

#define KIT_UNUSED __attribute__((unused))
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

#define SHORT 20000 /* microseconds; for a deadline that is to pass */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define KIT_SANITIZED 1
#else
#define KIT_SANITIZED 0
#endif

static _Atomic int hook_code; /* what the connect hook returns */
static _Atomic unsigned hook_calls;

/* PENSTOCK_HANG: seconds after which a test counts as hung. */
static KIT_UNUSED void kit_begin(void)
{
	const char *seconds = getenv("PENSTOCK_HANG");

	hook_code = SQLITE_OK;
	hook_calls = 0;
	alarm(seconds != NULL ? (unsigned)atoi(seconds) : 120);
}

/* On any thread. */
#define check(condition, ...)                                                                        \
	do {                                                                                         \
		if (!(condition)) {                                                                  \
			fprintf(stderr, "%s:%d: %s does not hold.", __FILE__, __LINE__, #condition); \
			fprintf(stderr, " " __VA_ARGS__);                                            \
			fputc('\n', stderr);                                                         \
			abort();                                                                     \
		}                                                                                    \
	} while (0)

/* A call came to a status; on any thread. */
#define expect(call, wanted)                                                                                         \
	do {                                                                                                         \
		int got_ = (call);                                                                                   \
		if (got_ != (wanted)) {                                                                              \
			fprintf(stderr, "%s:%d: %s is %s, not %s: %s\n", __FILE__, __LINE__, #call,                  \
			        penstock_status_name(got_), penstock_status_name(wanted), penstock_error_message()); \
			abort();                                                                                     \
		}                                                                                                    \
	} while (0)

static KIT_UNUSED void expect_message(const char *part)
{
	check(strstr(penstock_error_message(), part) != NULL, "no \"%s\" in \"%s\"", part, penstock_error_message());
}

static KIT_UNUSED void kit_sleep_usec(long usec)
{
	struct timespec moment = { .tv_sec = usec / 1000000, .tv_nsec = usec % 1000000 * 1000 };

	nanosleep(&moment, NULL);
}

/* Waits for something that must come; the watchdog ends it otherwise. */
#define await(condition)                     \
	do {                                 \
		while (!(condition))         \
			kit_sleep_usec(200); \
	} while (0)

static KIT_UNUSED pthread_t kit_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, run, arg) == 0);
	return thread;
}

static KIT_UNUSED void kit_join(pthread_t thread)
{
	check(pthread_join(thread, NULL) == 0);
}

/* ---- the gate ---------------------------------------------------------------------------------------------------- */

struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool shut;
	unsigned entered; /* how often it was called */
	unsigned inside;
};

#define GATE_INIT                                                                       \
	{                                                                               \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
	}

static struct gate sql_gate = GATE_INIT;  /* gate() in SQL */
static struct gate hook_gate = GATE_INIT; /* in the connect hook */
static struct gate drop_gate = GATE_INIT; /* in a destructor that closing the connection calls */

static KIT_UNUSED void gate_pass(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	gate->entered++;
	gate->inside++;
	pthread_cond_broadcast(&gate->changed);
	while (gate->shut)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	gate->inside--;
	pthread_mutex_unlock(&gate->mutex);
}

static KIT_UNUSED void gate_set(struct gate *gate, bool shut)
{
	pthread_mutex_lock(&gate->mutex);
	gate->shut = shut;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
}

/* Whether somebody stands before it. */
static KIT_UNUSED bool gate_is_taken(struct gate *gate)
{
	bool taken;

	pthread_mutex_lock(&gate->mutex);
	taken = gate->inside > 0;
	pthread_mutex_unlock(&gate->mutex);
	return taken;
}

/* Waits until somebody stands before it. */
static KIT_UNUSED void gate_await(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	while (gate->inside == 0)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
}

static void gate_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	gate_pass(&sql_gate);
	sqlite3_result_int(context, 1);
}

static void gate_drop(void *arg)
{
	(void)arg;
	gate_pass(&drop_gate);
}

static KIT_UNUSED int kit_hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	hook_calls++;
	gate_pass(&hook_gate);
	if (hook_code != SQLITE_OK)
		return hook_code;
	return sqlite3_create_function_v2(connection, "gate", 0, SQLITE_UTF8, NULL, gate_function, NULL, NULL, gate_drop);
}

/* ---- engines ----------------------------------------------------------------------------------------------------- */

static KIT_UNUSED penstock_config kit_config(void)
{
	penstock_config config;

	penstock_config_init(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	config.connect_hook = kit_hook;
	config.batch_usec = 0; /* what is in one batch must not depend on how slow the machine is */
	return config;
}

static KIT_UNUSED penstock *kit_open_path(const char *path, const penstock_config *config)
{
	penstock *db = NULL;

	expect(penstock_open(path, config, &db), PENSTOCK_OK);
	check(db != NULL);
	return db;
}

static KIT_UNUSED penstock *kit_open(const penstock_config *config)
{
	return kit_open_path(harness_path("test.db"), config);
}

static KIT_UNUSED int kit_submit(penstock *db, const char *sql, int64_t timeout_usec, penstock_handle **handle)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = sql };

	return penstock_submit(db, &submission, timeout_usec, handle);
}

static KIT_UNUSED int kit_insert(penstock *db, int64_t number, int64_t timeout_usec, penstock_handle **handle)
{
	penstock_value value = penstock_int64(number);
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t(a) VALUES(?)",
		                           .values = &value,
		                           .value_count = 1 };

	return penstock_submit(db, &submission, timeout_usec, handle);
}

/* With a registered statement of one value, as inserts that may run as one need it. */
static KIT_UNUSED int kit_submit_by(penstock *db, penstock_statement *statement, int64_t number, int64_t timeout_usec)
{
	penstock_value value = penstock_int64(number);
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .statement = statement, .values = &value, .value_count = 1
	};

	return penstock_submit(db, &submission, timeout_usec, NULL);
}

static KIT_UNUSED int kit_execute(penstock *db, const char *sql)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = sql };

	return penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL);
}

/* An engine with a table t(a). */
static KIT_UNUSED penstock *kit_open_table(const penstock_config *config)
{
	penstock *db = kit_open(config);

	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	return db;
}

/* Shuts the gate and waits until the writer stands before it. */
static KIT_UNUSED void kit_block(penstock *db)
{
	gate_set(&sql_gate, true);
	expect(kit_submit(db, "SELECT gate()", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	gate_await(&sql_gate);
}

static KIT_UNUSED void kit_unblock(void)
{
	gate_set(&sql_gate, false);
}

static KIT_UNUSED void kit_await_phase(penstock *db, penstock_phase phase)
{
	await(penstock_phase_of(db) == phase);
}

static KIT_UNUSED penstock_counters kit_counters(const penstock *db)
{
	penstock_counters counters = { .struct_size = sizeof counters };

	expect(penstock_counters_read(db, &counters), PENSTOCK_OK);
	return counters;
}

/* What an outsider reads: one number. */
static KIT_UNUSED int64_t kit_ask(const char *path, const char *sql)
{
	sqlite3 *connection;
	sqlite3_stmt *statement;
	int64_t number;

	check(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK, "%s", path);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_busy_timeout(connection, 30000);
	check(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
	      sqlite3_errmsg(connection));
	check(sqlite3_step(statement) == SQLITE_ROW, "%s: %s", sql, sqlite3_errmsg(connection));
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	check(sqlite3_close(connection) == SQLITE_OK);
	return number;
}

/* What an outsider changes, in a database that may have to be created. */
static KIT_UNUSED void kit_change(const char *path, const char *sql)
{
	sqlite3 *connection;

	check(sqlite3_open(path, &connection) == SQLITE_OK, "%s", path);
	check(sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(connection));
	check(sqlite3_close(connection) == SQLITE_OK);
}

/* As aux: other.db, in which a table u(a) is created. */
static KIT_UNUSED void kit_attach_other(penstock *db)
{
	char sql[400];

	kit_change(harness_path("other.db"), "CREATE TABLE u(a)");
	snprintf(sql, sizeof sql, "ATTACH '%s' AS aux", harness_path("other.db"));
	expect(kit_execute(db, sql), PENSTOCK_OK);
}

/* How many descriptors of this process are open on files whose path begins so. */
static KIT_UNUSED int kit_open_files(const char *path)
{
	char link[64], target[4096];
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	check(folder != NULL);
	while ((entry = readdir(folder)) != NULL) {
		ssize_t length;

		snprintf(link, sizeof link, "/proc/self/fd/%.20s", entry->d_name);
		length = readlink(link, target, sizeof target - 1);
		if (length > 0 && (size_t)length >= strlen(path) && memcmp(target, path, strlen(path)) == 0)
			count++;
	}
	closedir(folder);
	return count;
}

/* "" when there is no such thread (any more). */
static KIT_UNUSED void kit_thread_name(pid_t thread, char *name, size_t bytes)
{
	char path[96];
	FILE *file;

	name[0] = '\0';
	snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)thread);
	file = fopen(path, "r");
	if (file == NULL)
		return;
	if (fgets(name, (int)bytes, file) == NULL)
		name[0] = '\0';
	fclose(file);
	name[strcspn(name, "\n")] = '\0';
}

/* The thread id of the only thread with this name, or (NULL) with a writer's; 0: none. */
static KIT_UNUSED pid_t kit_find_thread(const char *wanted)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;
	pid_t found = 0;

	check(folder != NULL);
	while ((entry = readdir(folder)) != NULL) {
		pid_t thread = (pid_t)atol(entry->d_name);
		unsigned number;
		char name[32], colon;

		kit_thread_name(thread, name, sizeof name);
		if (wanted != NULL ? strcmp(name, wanted) != 0 : sscanf(name, "ps%u%c", &number, &colon) != 2 || colon != ':')
			continue;
		check(found == 0, "two threads are named %s", name);
		found = thread;
	}
	closedir(folder);
	return found;
}

static KIT_UNUSED pid_t kit_find_writer(void)
{
	return kit_find_thread(NULL);
}

/* A field of /proc/self/task/TID/status, as text. */
static KIT_UNUSED void kit_thread_status(pid_t thread, const char *field, char *value, size_t bytes)
{
	char path[96], line[4096];
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)thread);
	file = fopen(path, "r");
	check(file != NULL, "%s", path);
	value[0] = '\0';
	while (fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
			snprintf(value, bytes, "%s", line + strlen(field) + 1 + strspn(line + strlen(field) + 1, " \t"));
	}
	fclose(file);
	value[strcspn(value, "\n")] = '\0';
}

static KIT_UNUSED bool kit_thread_sleeps(pid_t thread)
{
	char state[32];

	kit_thread_status(thread, "State", state, sizeof state);
	return state[0] == 'S';
}

#endif
