/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/database.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 512

static char folder[PATH_BYTES];
static char database[PATH_BYTES + 16];

/* unlink and rmdir are all it calls: it runs in signal handlers too. */
static void bench_remove_files(void)
{
	static const char *const endings[] = { "", "-wal", "-shm", "-journal", "-penstock" };
	char path[sizeof database + 16];

	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
		size_t length = strlen(database);

		memcpy(path, database, length);
		memcpy(path + length, endings[i], strlen(endings[i]) + 1);
		unlink(path);
	}
}

static void bench_clean_up(void)
{
	bench_remove_files();
	rmdir(folder);
}

static void bench_interrupted(int signal_number)
{
	bench_clean_up();
	_exit(128 + signal_number);
}

static void bench_make_folder(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(folder, sizeof folder, "%s/penstock-bench-XXXXXX", parent != NULL && parent[0] != '\0' ? parent : "/tmp");
	if (mkdtemp(folder) == NULL) {
		fprintf(stderr, "penstock-bench: %s: %s; set TMPDIR to a folder for databases\n", folder, strerror(errno));
		exit(1);
	}
	snprintf(database, sizeof database, "%s/bench.db", folder);
	atexit(bench_clean_up);
	signal(SIGINT, bench_interrupted);
	signal(SIGTERM, bench_interrupted);
}

const char *bench_database_new(void)
{
	if (folder[0] == '\0')
		bench_make_folder();
	bench_remove_files();
	return database;
}

void bench_database_remove(void)
{
	if (folder[0] != '\0')
		bench_remove_files();
}

/* ---- Penstock ---- */

penstock *bench_open(struct bench_case *self, const char *path, penstock_connect_hook *hook, const char *const *keys)
{
	penstock_config config;
	penstock *db;

	penstock_config_init(&config);
	config.connect_hook = hook;
	for (; keys != NULL && *keys != NULL; keys++) {
		char key[64];
		const char *equals = strchr(*keys, '=');

		snprintf(key, sizeof key, "%.*s", (int)(equals - *keys), *keys);
		if (penstock_config_set(&config, key, equals + 1) != PENSTOCK_OK) {
			bench_fail(self, "%s", penstock_error_message());
			return NULL;
		}
	}
	if (penstock_open(path, &config, &db) != PENSTOCK_OK) {
		bench_fail(self, "%s", penstock_error_message());
		return NULL;
	}
	return db;
}

bool bench_prepare(struct bench_case *self, penstock *db, penstock_statement **insert)
{
	penstock_submission create = { .struct_size = sizeof create, .sql_bytes = -1, .sql = BENCH_CREATE };
	struct bench_row row;

	if (penstock_execute(db, &create, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK ||
	    penstock_statement_register(db, BENCH_INSERT, -1, insert) != PENSTOCK_OK) {
		bench_fail(self, "%s", penstock_error_message());
		return false;
	}
	/* Prepared by the writer, and this thread known to the engine, before anything is measured. */
	bench_row_init(&row, *insert);
	if (penstock_execute(db, &row.submission, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK) {
		bench_fail(self, "%s", penstock_error_message());
		return false;
	}
	return true;
}

void bench_row_init(struct bench_row *row, const penstock_statement *insert)
{
	memset(row, 0, sizeof *row);
	memcpy(row->text, BENCH_TEXT_START, BENCH_TEXT_BYTES);
	row->values[0] = penstock_null();
	row->values[1] = penstock_int64(0);
	row->values[2] = penstock_text_bytes(row->text, BENCH_TEXT_BYTES);
	row->values[3] = penstock_double(0);
	row->submission.struct_size = sizeof row->submission;
	row->submission.statement = insert;
	row->submission.values = row->values;
	row->submission.value_count = 4;
}

/* ---- plain SQLite ---- */

#define BUSY_TIMEOUT_MS 60000

sqlite3 *bench_plain_open(const char *path, const char *synchronous, char *message, size_t bytes)
{
	sqlite3 *connection = NULL;
	char pragma[60];

	snprintf(pragma, sizeof pragma, "PRAGMA synchronous=%s", synchronous);
	if (sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ==
	            SQLITE_OK &&
	    sqlite3_busy_timeout(connection, BUSY_TIMEOUT_MS) == SQLITE_OK &&
	    sqlite3_exec(connection, pragma, NULL, NULL, NULL) == SQLITE_OK)
		return connection;
	snprintf(message, bytes, "%s: %s", path, connection == NULL ? "out of memory" : sqlite3_errmsg(connection));
	sqlite3_close(connection);
	return NULL;
}

sqlite3 *bench_plain_new(struct bench_case *self, const char *path, const char *synchronous)
{
	char message[200];
	sqlite3 *connection = bench_plain_open(path, synchronous, message, sizeof message);

	if (connection == NULL) {
		bench_fail(self, "%s", message);
	} else if (sqlite3_exec(connection, "PRAGMA journal_mode=WAL; " BENCH_CREATE "; INSERT INTO t VALUES(NULL,0,'',0)",
	                        NULL, NULL, NULL) != SQLITE_OK) {
		bench_fail(self, "%s: %s", path, sqlite3_errmsg(connection));
		sqlite3_close(connection);
		connection = NULL;
	}
	return connection;
}

bool bench_plain_arrived(struct bench_case *self, sqlite3 *connection, uint64_t rows)
{
	sqlite3_stmt *last = NULL;
	sqlite3_int64 id = 0;

	if (sqlite3_prepare_v2(connection, "SELECT max(id) FROM t", -1, &last, NULL) == SQLITE_OK &&
	    sqlite3_step(last) == SQLITE_ROW)
		id = sqlite3_column_int64(last, 0);
	sqlite3_finalize(last);
	/* Nothing is deleted, and there was one to begin with. */
	if ((uint64_t)id != rows + 1)
		bench_fail(self, "%lld rows of %llu arrived", id - 1, (unsigned long long)rows);
	return (uint64_t)id == rows + 1;
}

bool bench_inserter_init(struct bench_inserter *inserter, sqlite3 *connection, const char *begin)
{
	*inserter = (struct bench_inserter){ .connection = connection, .text = BENCH_TEXT_START };
	return sqlite3_prepare_v2(connection, BENCH_INSERT, -1, &inserter->insert, NULL) == SQLITE_OK &&
	       sqlite3_prepare_v2(connection, begin, -1, &inserter->begin, NULL) == SQLITE_OK &&
	       sqlite3_prepare_v2(connection, "COMMIT", -1, &inserter->commit, NULL) == SQLITE_OK;
}

void bench_inserter_finish(struct bench_inserter *inserter)
{
	sqlite3_finalize(inserter->insert);
	sqlite3_finalize(inserter->begin);
	sqlite3_finalize(inserter->commit);
}

static bool bench_step(sqlite3_stmt *statement)
{
	bool done = sqlite3_step(statement) == SQLITE_DONE;

	sqlite3_reset(statement);
	return done;
}

bool bench_inserter_rows(struct bench_inserter *inserter, uint64_t first, uint64_t count)
{
	bool whole = count < 2 || bench_step(inserter->begin);

	for (uint64_t i = first; i < first + count && whole; i++) {
		bench_text(inserter->text, i);
		sqlite3_bind_null(inserter->insert, 1);
		sqlite3_bind_int64(inserter->insert, 2, (sqlite3_int64)i);
		sqlite3_bind_text(inserter->insert, 3, inserter->text, BENCH_TEXT_BYTES, SQLITE_STATIC);
		sqlite3_bind_double(inserter->insert, 4, (double)i);
		whole = bench_step(inserter->insert);
	}
	return whole && (count < 2 || bench_step(inserter->commit));
}

/* ---- the raw loop ---- */

bool bench_raw_loop(struct bench_case *self, const char *synchronous, uint64_t rows, unsigned per_transaction,
                    struct bench_raw *raw)
{
	sqlite3 *connection = bench_plain_new(self, bench_database_new(), synchronous);
	struct bench_inserter inserter;
	uint64_t started, ended, i;
	bool whole;

	if (connection == NULL)
		return false;
	whole = bench_inserter_init(&inserter, connection, "BEGIN");
	started = bench_nsec();
	for (i = 0; i < rows && whole; i += per_transaction)
		whole = bench_inserter_rows(&inserter, i, rows - i < per_transaction ? rows - i : per_transaction);
	ended = bench_nsec();
	if (!whole)
		bench_fail(self, "the raw loop: %s", sqlite3_errmsg(connection));
	whole = whole && bench_plain_arrived(self, connection, rows);
	raw->seconds = (double)(ended - started) / 1e9;
	started = bench_nsec();
	bench_inserter_finish(&inserter);
	sqlite3_close(connection);
	raw->close_seconds = (double)(bench_nsec() - started) / 1e9;
	bench_database_remove();
	return whole;
}

#define SYNC_SECONDS 0.4
#define AUTOCOMMITS_MAX 2000
#define AUTOCOMMITS_MIN 40

uint64_t bench_raw_autocommits(struct bench_case *self)
{
	static uint64_t found;
	struct bench_raw raw;

	if (found == 0) {
		if (!bench_raw_loop(self, "FULL", AUTOCOMMITS_MIN, 1, &raw))
			return 0;
		found = (uint64_t)(SYNC_SECONDS * AUTOCOMMITS_MIN / raw.seconds);
		found = found < AUTOCOMMITS_MIN ? AUTOCOMMITS_MIN : found > AUTOCOMMITS_MAX ? AUTOCOMMITS_MAX : found;
	}
	return bench_amount(found);
}
