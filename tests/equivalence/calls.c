/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/calls.h"

#include <inttypes.h>

#include "tests/equivalence/autocommit.h"
#include "tests/equivalence/outcome.h"
#include "tests/equivalence/sides.h"
#include "tests/kit.h"

/* SQLITE_OK, or what the part failed with. */
static int run_part(sqlite3 *connection, const struct statement *part, char side, FILE *log)
{
	sqlite3_stmt *prepared = NULL;
	size_t bytes;
	char *sql = text_for(part, side, &bytes);
	int rc = sqlite3_prepare_v2(connection, sql, (int)bytes, &prepared, NULL);

	fprintf(log, "\n    ");
	if (rc == SQLITE_OK) {
		bind_plain(prepared, part);
		while ((rc = sqlite3_step(prepared)) == SQLITE_ROW && sqlite3_stmt_busy(prepared)) {
			fprintf(log, " |");
			write_row(log, prepared);
		}
	}
	if (rc == SQLITE_DONE || (rc == SQLITE_OK && prepared == NULL))
		rc = SQLITE_OK;
	else
		rc = sqlite3_extended_errcode(connection);
	if (rc != SQLITE_OK)
		write_failure(log, part, rc, sqlite3_errmsg(connection));
	sqlite3_finalize(prepared);
	free(sql);
	fprintf(log, " changes=%" PRId64 " rowid=%" PRId64, (int64_t)sqlite3_changes64(connection),
	        (int64_t)sqlite3_last_insert_rowid(connection));
	return rc;
}

int run_parts(sqlite3 *connection, void *arg, char **message)
{
	struct call_run *run = arg;
	size_t bytes, i;
	FILE *log = open_memstream(&run->log, &bytes);
	int rc = SQLITE_OK;

	check(++run->times == 1, "a call runs twice");
	for (i = 0; i < run->call->member_count && !sqlite3_get_autocommit(connection); i++) {
		rc = run_part(connection, run->call->members[i], run->side, log);
		if (rc != SQLITE_OK && !run->call->goes_on)
			break;
		rc = SQLITE_OK;
	}
	if (rc != SQLITE_OK)
		*message = sqlite3_mprintf("%s", sqlite3_errmsg(connection));
	else if (run->call->gives_up && !sqlite3_get_autocommit(connection))
		rc = SQLITE_DONE, *message = sqlite3_mprintf("given up");
	fclose(log);
	return rc;
}

/* A write of nothing to some table of the database: changes() is 0. */
static void reset_changes(sqlite3 *connection)
{
	sqlite3_stmt *tables;
	char *sql = NULL;

	check(sqlite3_prepare_v2(connection,
	                         "SELECT name FROM main.sqlite_schema WHERE type='table' AND sql NOT LIKE 'CREATE VIRTUAL%' "
	                         "AND name NOT LIKE 'sqlite%' LIMIT 1",
	                         -1, &tables, NULL) == SQLITE_OK);
	if (sqlite3_step(tables) == SQLITE_ROW)
		sql = sqlite3_mprintf("DELETE FROM main.\"%w\" WHERE 0", sqlite3_column_text(tables, 0));
	sqlite3_finalize(tables);
	if (sql != NULL)
		sqlite3_exec(connection, sql, NULL, NULL, NULL);
	sqlite3_free(sql);
}

/* What is created or dropped in temp, which need not be said in the text. */
static int refuse_temp(void *arg, int action, const char *first, const char *second, const char *database, const char *trigger)
{
	bool temp = database != NULL && strcmp(database, "temp") == 0;

	(void)arg;
	(void)second;
	(void)trigger;
	if (action == SQLITE_ALTER_TABLE)
		return strcmp(first, "temp") == 0 ? SQLITE_DENY : SQLITE_OK;
	if (action != SQLITE_INSERT && action != SQLITE_DELETE)
		return SQLITE_OK;
	return temp && (strcmp(first, "sqlite_master") == 0 || strcmp(first, "sqlite_temp_master") == 0) ? SQLITE_DENY
	                                                                                                 : SQLITE_OK;
}

char *reference_call(sqlite3 *connection, const struct statement *statement)
{
	struct call_run run = { .call = statement, .side = 'r' };
	int64_t changes = 0, rowid = 0, total;
	char *text, *message = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	int rc;

	if (sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
		/* query_only */
		write_failure(out, statement, sqlite3_extended_errcode(connection), sqlite3_errmsg(connection));
		fprintf(out, " changes=0 rowid=0");
		fclose(out);
		return text;
	}
	reset_changes(connection);
	sqlite3_set_last_insert_rowid(connection, 0);
	total = sqlite3_total_changes64(connection);
	sqlite3_set_authorizer(connection, refuse_temp, NULL);
	rc = run_parts(connection, &run, &message);
	sqlite3_set_authorizer(connection, NULL, NULL);
	if (rc != SQLITE_OK) {
		write_failure(out, statement, rc, message);
	} else if (sqlite3_get_autocommit(connection)) {
		write_failure(out, statement, SQLITE_MISUSE, "its own");
	} else {
		changes = sqlite3_total_changes64(connection) - total;
		rowid = sqlite3_last_insert_rowid(connection);
		if (sqlite3_exec(connection, "COMMIT", NULL, NULL, NULL) == SQLITE_OK) {
			fprintf(out, "OK");
		} else {
			write_failure(out, statement, sqlite3_extended_errcode(connection), sqlite3_errmsg(connection));
			changes = rowid = 0;
		}
	}
	if (!sqlite3_get_autocommit(connection))
		roll_back_plain(connection);
	fprintf(out, " changes=%" PRId64 " rowid=%" PRId64 "%s", changes, rowid, run.log);
	fclose(out);
	free(run.log);
	sqlite3_free(message);
	return text;
}

bool may_be_part(const struct statement *statement)
{
	static const char *const words[] = { "PRAGMA", "ATTACH",  "DETACH",   "VACUUM",   "TEMP",
		                             "$D",     "run_sql", "run_kept", "keep_sql", "drop_kept" };
	size_t i;

	if (statement->expected != AS_SQLITE)
		return false;
	for (i = 0; i < COUNT_OF(words); i++) {
		if (strcasestr(statement->sql, words[i]) != NULL)
			return false;
	}
	return true;
}
