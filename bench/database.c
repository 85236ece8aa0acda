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
	static const char *const endings[] = { "", "-wal", "-shm", "-journal" };
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

	snprintf(folder, sizeof folder, "%s/penstock-bench-XXXXXX",
	         parent != NULL && parent[0] != '\0' ? parent : "/tmp");
	if (mkdtemp(folder) == NULL) {
		fprintf(stderr, "penstock-bench: %s: %s; set TMPDIR to a folder for databases\n", folder,
		        strerror(errno));
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
	penstock_submission create = { .struct_size = sizeof create, .sql = BENCH_CREATE };
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

/* ---- the raw loop ---- */

static bool bench_raw_rows(sqlite3 *connection, sqlite3_stmt *insert, uint64_t rows, unsigned per_transaction)
{
	char text[BENCH_TEXT_BYTES + 1] = BENCH_TEXT_START;
	sqlite3_stmt *begin, *commit;
	bool whole = true;

	sqlite3_prepare_v2(connection, "BEGIN", -1, &begin, NULL);
	sqlite3_prepare_v2(connection, "COMMIT", -1, &commit, NULL);
	for (uint64_t i = 0; i < rows && whole; i++) {
		if (per_transaction != 0 && i % per_transaction == 0) {
			sqlite3_step(begin);
			sqlite3_reset(begin);
		}
		bench_text(text, i);
		sqlite3_bind_null(insert, 1);
		sqlite3_bind_int64(insert, 2, (sqlite3_int64)i);
		sqlite3_bind_text(insert, 3, text, BENCH_TEXT_BYTES, SQLITE_STATIC);
		sqlite3_bind_double(insert, 4, (double)i);
		whole = sqlite3_step(insert) == SQLITE_DONE;
		sqlite3_reset(insert);
		if (per_transaction != 0 && (i % per_transaction == per_transaction - 1 || i == rows - 1)) {
			whole = whole && sqlite3_step(commit) == SQLITE_DONE;
			sqlite3_reset(commit);
		}
	}
	sqlite3_finalize(begin);
	sqlite3_finalize(commit);
	return whole;
}

bool bench_raw_loop(struct bench_case *self, const char *synchronous, uint64_t rows, unsigned per_transaction,
                    struct bench_raw *raw)
{
	const char *path = bench_database_new();
	sqlite3_stmt *insert = NULL;
	sqlite3 *connection = NULL;
	uint64_t started, ended;
	char pragmas[160];
	bool whole;

	snprintf(pragmas, sizeof pragmas,
	         "PRAGMA journal_mode=WAL; PRAGMA synchronous=%s; %s; INSERT INTO t VALUES(NULL,0,'',0)", synchronous,
	         BENCH_CREATE);
	whole = sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
	                        NULL) == SQLITE_OK &&
	        sqlite3_exec(connection, pragmas, NULL, NULL, NULL) == SQLITE_OK &&
	        sqlite3_prepare_v2(connection, BENCH_INSERT, -1, &insert, NULL) == SQLITE_OK;
	started = bench_nsec();
	whole = whole && bench_raw_rows(connection, insert, rows, per_transaction);
	ended = bench_nsec();
	if (!whole)
		bench_fail(self, "the raw loop: %s", connection == NULL ? "out of memory" : sqlite3_errmsg(connection));
	sqlite3_finalize(insert);
	sqlite3_close(connection);
	raw->seconds = (double)(ended - started) / 1e9;
	raw->close_seconds = (double)(bench_nsec() - ended) / 1e9;
	bench_database_remove();
	return whole;
}
