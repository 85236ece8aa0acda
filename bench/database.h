/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * database.h - fresh database files, the row every figure is about, and the raw loop
 *
 * The row: id NULL (so the next one), an integer, 32 bytes of text, a double. The raw loop is the yardstick: one
 * thread, one prepared INSERT, transactions of a given number of rows (1: autocommit), SQLite's own checkpoints.
 */
#ifndef PENSTOCK_BENCH_DATABASE_H
#define PENSTOCK_BENCH_DATABASE_H

#include <sqlite3.h>

#include "bench/bench.h"
#include "core/penstock.h"

#define BENCH_CREATE "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT(32), c REAL)"
#define BENCH_INSERT "INSERT INTO t VALUES(?,?,?,?)"
#define BENCH_TEXT_BYTES 32

/* The path of a database file that does not exist; the folder goes when the program ends. One at a time. */
const char *bench_database_new(void);
void bench_database_remove(void);

/* Never the same text twice in a row. */
static inline void bench_text(char text[BENCH_TEXT_BYTES], uint64_t number)
{
	for (unsigned i = 0; i < 8; i++)
		text[i] = (char)('a' + (number >> (4 * i) & 15));
}

#define BENCH_TEXT_START "abcdefghijklmnopqrstuvwxyz012345"

/* An engine with keys set to `name=value` pairs, a NULL behind the last; NULL when it could not be opened (the case
 * failed). */
penstock *bench_open(struct bench_case *self, const char *path, penstock_connect_hook *hook, const char *const *keys);
/* Has the table and the row's INSERT; false: the case failed. */
bool bench_prepare(struct bench_case *self, penstock *db, penstock_statement **insert);

/* One submission of the row and what it points to. Initialize with bench_row_init, change with bench_row_next. */
struct bench_row {
	penstock_submission submission;
	penstock_value values[4];
	char text[BENCH_TEXT_BYTES + 1];
};

void bench_row_init(struct bench_row *row, const penstock_statement *insert);
static inline void bench_row_next(struct bench_row *row, uint64_t number)
{
	bench_text(row->text, number);
	row->values[1].as.integer = (int64_t)number;
	row->values[3].as.real = (double)number;
}

/* ---- plain SQLite, for the raw loop and the peers ---- */

/* A new file at path with the table and one row in it, WAL; NULL: the case failed. */
sqlite3 *bench_plain_new(struct bench_case *self, const char *path, const char *synchronous);
/* One more connection, which waits for the others' locks; NULL, and the reason in message. */
sqlite3 *bench_plain_open(const char *path, const char *synchronous, char *message, size_t bytes);

/* Whether the new file has so many more rows by now; false: the case failed. Costs nothing. */
bool bench_plain_arrived(struct bench_case *self, sqlite3 *connection, uint64_t rows);

/* A connection's statements. */
struct bench_inserter {
	sqlite3 *connection;
	sqlite3_stmt *insert;
	sqlite3_stmt *begin;
	sqlite3_stmt *commit;
	char text[BENCH_TEXT_BYTES + 1];
};

/* begin: "BEGIN" or "BEGIN IMMEDIATE". To be finished in any case; the connection stays the caller's. */
bool bench_inserter_init(struct bench_inserter *inserter, sqlite3 *connection, const char *begin);
void bench_inserter_finish(struct bench_inserter *inserter);
/* Rows first to first + count - 1, in one transaction if that is more than one. */
bool bench_inserter_rows(struct bench_inserter *inserter, uint64_t first, uint64_t count);

/* ---- the raw loop ---- */

struct bench_raw {
	double seconds;       /* first row to last COMMIT */
	double close_seconds; /* and then closing, with its checkpoint */
};

/* synchronous: "NORMAL" or "FULL". False: the case failed. */
bool bench_raw_loop(struct bench_case *self, const char *synchronous, uint64_t rows, unsigned per_transaction,
                    struct bench_raw *raw);
/*
 * How many rows in autocommit under FULL fit in a round (0.4 s): syncs differ by a factor of a hundred between disks,
 * so it is found out, once. 0: the case failed.
 */
uint64_t bench_raw_autocommits(struct bench_case *self);

#endif
