/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/functions.h"

#include <string.h>

#define ROW_BYTES_MAX 1000000 /* so that a row can be too long without a gigabyte */

static void interrupt_now(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	sqlite3_interrupt(sqlite3_context_db_handle(context));
	sqlite3_result_value(context, values[0]);
}

static void fail_with(sqlite3_context *context, int count, sqlite3_value **values)
{
	static const int codes[] = { SQLITE_ERROR,     SQLITE_CONSTRAINT, SQLITE_FULL,
		                     SQLITE_INTERRUPT, SQLITE_NOMEM,      SQLITE_MISMATCH };
	int wanted = sqlite3_value_int(values[0]);

	(void)count;
	if (wanted < (int)(sizeof codes / sizeof codes[0]))
		sqlite3_result_error_code(context, codes[wanted]);
	else if (wanted == 7)
		sqlite3_result_error(context, "failed by seven", -1);
	else
		sqlite3_result_int(context, wanted);
}

/* For traps: fails with any code. */
static void fail_code(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	sqlite3_result_error_code(context, sqlite3_value_int(values[0]));
}

/* For traps: runs SQL, and tells what came of it. */
static void run_sql(sqlite3_context *context, int count, sqlite3_value **values)
{
	const char *sql = (const char *)sqlite3_value_text(values[0]);
	int rc = sqlite3_exec(sqlite3_context_db_handle(context), sql, NULL, NULL, NULL);

	(void)count;
	sqlite3_result_int(context, rc & 0xff);
}

/* The same with a statement that was prepared before. */
#define KEPT_SQL "INSERT INTO child VALUES(NULL,7) /* kept */"

static sqlite3_stmt *kept(sqlite3_context *context)
{
	sqlite3_stmt *at = NULL;

	do
		at = sqlite3_next_stmt(sqlite3_context_db_handle(context), at);
	while (at != NULL && strcmp(sqlite3_sql(at), KEPT_SQL) != 0);
	return at;
}

static void keep_sql(sqlite3_context *context, int count, sqlite3_value **values)
{
	sqlite3_stmt *statement = kept(context);

	(void)count;
	(void)values;
	if (statement == NULL)
		sqlite3_prepare_v2(sqlite3_context_db_handle(context), KEPT_SQL, -1, &statement, NULL);
}

static void run_kept(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_step(kept(context));
	sqlite3_result_int(context, sqlite3_reset(kept(context)) & 0xff);
}

static void drop_kept(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_finalize(kept(context));
}

int prepare_connection(sqlite3 *connection, void *arg)
{
	const struct kind *const *at;

	for (at = arg; *at != NULL; at++) {
		if ((*at)->prepare != NULL)
			(*at)->prepare(connection);
	}
	sqlite3_limit(connection, SQLITE_LIMIT_LENGTH, ROW_BYTES_MAX);
	sqlite3_create_function(connection, "interrupt_now", 1, SQLITE_UTF8, NULL, interrupt_now, NULL, NULL);
	sqlite3_create_function(connection, "fail_with", 1, SQLITE_UTF8, NULL, fail_with, NULL, NULL);
	sqlite3_create_function(connection, "keep_sql", 0, SQLITE_UTF8, NULL, keep_sql, NULL, NULL);
	sqlite3_create_function(connection, "run_kept", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, run_kept, NULL, NULL);
	sqlite3_create_function(connection, "drop_kept", 0, SQLITE_UTF8, NULL, drop_kept, NULL, NULL);
	sqlite3_create_function(connection, "run_sql", 1, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, run_sql, NULL, NULL);
	return sqlite3_create_function(connection, "fail_code", 1, SQLITE_UTF8, NULL, fail_code, NULL, NULL);
}
