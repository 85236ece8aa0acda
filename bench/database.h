/*
 * database.h - fresh database files, the row every figure is about, and the raw loop
 *
 * The row: id NULL (so the next one), an integer, 32 bytes of text, a double. The raw loop is the yardstick: one
 * thread, one prepared INSERT, transactions of a given number of rows (0: autocommit), SQLite's own checkpoints.
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

struct bench_raw {
	double seconds;       /* first row to last COMMIT */
	double close_seconds; /* and then closing, with its checkpoint */
};

/* synchronous: "NORMAL" or "FULL". False: the case failed. */
bool bench_raw_loop(struct bench_case *self, const char *synchronous, uint64_t rows, unsigned per_transaction,
                    struct bench_raw *raw);

#endif
