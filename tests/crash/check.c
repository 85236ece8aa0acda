/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/crash/check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DETAILS 3 /* what the trigger writes beside each row (scenario.c) */

/* The rows of the trace in ticket order; those without any outcome last. */
static size_t in_order[TRACE_ROWS];
static int64_t expected_sum[TRACE_ROWS];

/* What a state holds of each row. */
static struct seen {
	unsigned rows;
	unsigned details;
	unsigned distinct; /* bits */
} seen[TRACE_ROWS];

struct judgement {
	unsigned findings;
	char *why;
	size_t bytes;
};

static int compare_rows(const void *a, const void *b)
{
	const struct trace_row *left = &trace.rows[*(const size_t *)a], *right = &trace.rows[*(const size_t *)b];

	if ((left->status < 0) != (right->status < 0))
		return left->status < 0 ? 1 : -1;
	if (left->order != right->order)
		return left->order < right->order ? -1 : 1;
	return left < right ? -1 : left > right;
}

void check_prepare(void)
{
	static char text[TRACE_TEXT_MAX];
	size_t i;

	for (i = 0; i < trace.row_count; i++) {
		in_order[i] = i;
		expected_sum[i] = trace_sum(text, trace_text(trace.seed, i, text), i);
	}
	qsort(in_order, trace.row_count, sizeof in_order[0], compare_rows);
}

__attribute__((format(printf, 3, 4))) static void find(struct judgement *judgement, enum crash_finding finding,
                                                       const char *format, ...)
{
	va_list arguments;
	int length;

	if (judgement->findings == 0) {
		length = snprintf(judgement->why, judgement->bytes, "%s: ", crash_finding_name(finding));
		va_start(arguments, format);
		vsnprintf(judgement->why + length, judgement->bytes - (size_t)length, format, arguments);
		va_end(arguments);
	}
	judgement->findings |= 1u << finding;
}

/* ---- reading ---- */

static sqlite3_stmt *prepare(sqlite3 *connection, const char *sql)
{
	sqlite3_stmt *statement = NULL;

	return sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) == SQLITE_OK ? statement : NULL;
}

static void count_row(struct judgement *judgement, sqlite3_stmt *statement, bool bare)
{
	sqlite3_int64 id = sqlite3_column_int64(statement, 0);
	const void *text = sqlite3_column_text(statement, 1);
	size_t bytes = (size_t)sqlite3_column_bytes(statement, 1);

	if (id < 1 || id >= (sqlite3_int64)trace.row_count || trace.rows[id].bare != bare) {
		find(judgement, CRASH_CORRUPT, "a row %lld that nobody wrote", (long long)id);
		return;
	}
	/* Of a call: inserted, and not filled in. */
	if (bytes == 0)
		find(judgement, CRASH_PARTIAL, "row %lld is there without what the call was to fill in", (long long)id);
	else if (sqlite3_column_int64(statement, 2) != expected_sum[id] ||
	         trace_sum(text, bytes, (size_t)id) != expected_sum[id])
		find(judgement, CRASH_CORRUPT, "row %lld is not what was written", (long long)id);
	seen[id].rows++;
}

static void count_detail(struct judgement *judgement, sqlite3_stmt *statement)
{
	sqlite3_int64 id = sqlite3_column_int64(statement, 0), k = sqlite3_column_int64(statement, 1);

	if (id < 1 || id >= (sqlite3_int64)trace.row_count || k < 1 || k > DETAILS) {
		find(judgement, CRASH_CORRUPT, "a detail %lld of a row %lld", (long long)k, (long long)id);
		return;
	}
	seen[id].details++;
	seen[id].distinct |= 1u << k;
}

static void check_integrity(struct judgement *judgement, sqlite3 *connection)
{
	sqlite3_stmt *statement = prepare(connection, "PRAGMA integrity_check(1)");

	if (statement == NULL || sqlite3_step(statement) != SQLITE_ROW)
		find(judgement, CRASH_CORRUPT, "integrity_check: %s", sqlite3_errmsg(connection));
	else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
		find(judgement, CRASH_CORRUPT, "integrity_check: %s", sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
}

static void count_rows(struct judgement *judgement, sqlite3 *connection, sqlite3_stmt *rows, bool bare)
{
	int code;

	while ((code = sqlite3_step(rows)) == SQLITE_ROW)
		count_row(judgement, rows, bare);
	if (code != SQLITE_DONE)
		find(judgement, CRASH_CORRUPT, "reading rows: %s", sqlite3_errmsg(connection));
	sqlite3_finalize(rows);
}

/* False: there are no tables (yet), or they cannot be read. */
static bool read_all(struct judgement *judgement, sqlite3 *connection, sqlite3_int64 *counted)
{
	sqlite3_stmt *rows = prepare(connection, "SELECT id, text, sum FROM t");
	sqlite3_stmt *details, *counter;
	int code = sqlite3_errcode(connection);

	if (rows == NULL) {
		if (code != SQLITE_ERROR)
			find(judgement, CRASH_CORRUPT, "opening: %s", sqlite3_errmsg(connection));
		return false;
	}
	count_rows(judgement, connection, rows, false);
	rows = prepare(connection, "SELECT id, text, sum FROM b");
	if (rows != NULL)
		count_rows(judgement, connection, rows, true);
	details = prepare(connection, "SELECT id, k FROM d");
	counter = prepare(connection, "SELECT rows FROM n");
	*counted = 0;
	if (details != NULL) {
		while ((code = sqlite3_step(details)) == SQLITE_ROW)
			count_detail(judgement, details);
		if (code != SQLITE_DONE)
			find(judgement, CRASH_CORRUPT, "reading details: %s", sqlite3_errmsg(connection));
	}
	if (counter != NULL && sqlite3_step(counter) == SQLITE_ROW)
		*counted = sqlite3_column_int64(counter, 0);
	sqlite3_finalize(details);
	sqlite3_finalize(counter);
	return true;
}

/* ---- deciding ---- */

static bool is_promised(const struct trace_row *row, size_t told, enum check_how how)
{
	if (row->status == PENSTOCK_OK && row->told_at < told)
		return row->durable || how != CHECK_POWER;
	return how == CHECK_END && row->silent && row->status < 0;
}

static void check_row(struct judgement *judgement, size_t id, size_t told, enum check_how how)
{
	const struct trace_row *row = &trace.rows[id];
	const struct seen *there = &seen[id];
	unsigned details = row->bare ? 0 : DETAILS;

	if (there->rows > 1)
		find(judgement, CRASH_TWICE, "row %zu is there %u times", id, there->rows);
	if (there->details != there->rows * details || (there->rows == 1 && there->distinct != ((1u << details) - 1) << 1))
		find(judgement, CRASH_PARTIAL, "row %zu is there %u times, with %u details", id, there->rows, there->details);
	if (there->rows > 0 && (row->status == PENSTOCK_ERROR || row->status == PENSTOCK_SHUTDOWN))
		find(judgement, CRASH_GHOST, "row %zu is there, and its outcome is %s", id, penstock_status_name(row->status));
	if (there->rows == 0 && is_promised(row, told, how))
		find(judgement, CRASH_LOST, "row %zu: its outcome was OK (event %zu), and it is gone", id, row->told_at + 1);
}

/* The rows of a group lie behind one another. */
static void check_group(struct judgement *judgement, size_t id)
{
	size_t group = trace.rows[id].group;

	if (group != 0 && group != id && (seen[id].rows == 0) != (seen[group].rows == 0))
		find(judgement, CRASH_PARTIAL, "of a group row %zu is there %u times, and row %zu %u times", group,
		     seen[group].rows, id, seen[id].rows);
}

/* Behind a missing row there is none. One whose outcome is UNKNOWN may be missing when others came after a restart. */
static void check_holes(struct judgement *judgement)
{
	size_t missing = 0, i;
	bool unknown = false;

	for (i = 0; i < trace.row_count; i++) {
		size_t id = in_order[i];
		int status = trace.rows[id].status;

		if (id == 0 || status < 0 || status == PENSTOCK_ERROR || status == PENSTOCK_SHUTDOWN)
			continue;
		if (seen[id].rows == 0) {
			if (missing == 0 || unknown) {
				missing = id;
				unknown = status == PENSTOCK_UNKNOWN;
			}
		} else if (missing != 0 && (!unknown || status == PENSTOCK_UNKNOWN)) {
			find(judgement, CRASH_HOLE, "row %zu is there, and row %zu before it is not", id, missing);
			return;
		}
	}
}

static void look(struct judgement *judgement, sqlite3 *connection, size_t told, enum check_how how)
{
	sqlite3_int64 counted = 0, total = 0;
	size_t id;

	memset(seen, 0, trace.row_count * sizeof seen[0]);
	if (read_all(judgement, connection, &counted)) {
		check_integrity(judgement, connection);
	} else if (judgement->findings == 0 && is_promised(&trace.rows[0], told, how)) {
		find(judgement, CRASH_LOST, "the tables: their outcome was OK (event %zu), and they are gone",
		     trace.rows[0].told_at + 1);
	}
	for (id = 1; id < trace.row_count; id++) {
		check_row(judgement, id, told, how);
		check_group(judgement, id);
		total += trace.rows[id].bare ? 0 : seen[id].rows;
	}
	if (counted != total)
		find(judgement, CRASH_PARTIAL, "the counter says %lld rows, and %lld are there", (long long)counted,
		     (long long)total);
	check_holes(judgement);
}

unsigned check_state(size_t told, enum check_how how, bool checkpoint, char *why, size_t bytes)
{
	struct judgement judgement = { 0, why, bytes };
	sqlite3 *connection = NULL;
	int code;

	code = sqlite3_open_v2("crash.db", &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
	                       "crash-disk");
	if (code != SQLITE_OK)
		crash_die("a state cannot be opened: %s", sqlite3_errstr(code));
	sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (sqlite3_exec(connection, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK)
		crash_die("exclusive locking: %s", sqlite3_errmsg(connection));
	look(&judgement, connection, told, how);
	if (checkpoint && judgement.findings == 0) {
		if (sqlite3_wal_checkpoint_v2(connection, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
			find(&judgement, CRASH_CORRUPT, "checkpoint: %s", sqlite3_errmsg(connection));
		look(&judgement, connection, told, how);
	}
	if (sqlite3_close(connection) != SQLITE_OK)
		crash_die("a state cannot be closed");
	return judgement.findings;
}

unsigned check_outcomes(char *why, size_t bytes)
{
	struct judgement judgement = { 0, why, bytes };
	size_t id;

	for (id = 0; id < trace.row_count; id++) {
		const struct trace_row *row = &trace.rows[id];

		if (row->outcomes > 1)
			find(&judgement, CRASH_TWICE, "row %zu had %u outcomes", id, row->outcomes);
		if (row->outcomes == 0 && !row->silent)
			find(&judgement, CRASH_LOST, "row %zu never had an outcome", id);
	}
	return judgement.findings;
}
