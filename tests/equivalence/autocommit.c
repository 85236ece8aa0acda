/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/autocommit.h"

#include <inttypes.h>

#include "tests/equivalence/calls.h"
#include "tests/equivalence/functions.h"
#include "tests/equivalence/outcome.h"
#include "tests/equivalence/sides.h"
#include "tests/kit.h"

/* Whether changes() tells of it. */
static bool is_dml(const char *sql)
{
	static const char *const words[] = { "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH" };
	size_t i;

	while (*sql == ' ' || *sql == ';' || *sql == '/')
		sql = *sql == '/' ? strstr(sql, "*/") + 2 : sql + 1;
	for (i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (sqlite3_strnicmp(sql, words[i], (int)strlen(words[i])) == 0)
			return true;
	}
	return false;
}

sqlite3 *open_plain(const char *path)
{
	sqlite3 *connection;

	check(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK, "%s", path);
	sqlite3_extended_result_codes(connection, 1);
	return connection;
}

sqlite3 *open_reference(const struct setup *setup)
{
	sqlite3 *connection = open_plain(side_path('r', "main.db"));
	size_t i;

	sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	for (i = 0; i < setup->pragma_count; i++) {
		char *pragma = sqlite3_mprintf("PRAGMA %s=%Q", setup->pragmas[i].name, setup->pragmas[i].value);

		sqlite3_exec(connection, pragma, NULL, NULL, NULL);
		sqlite3_free(pragma);
	}
	sqlite3_exec(connection, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF", NULL, NULL, NULL);
	prepare_connection(connection, (void *)setup->kinds);
	return connection;
}

void bind_plain(sqlite3_stmt *prepared, const struct statement *statement)
{
	size_t i;

	for (i = 0; i < statement->value_count; i++) {
		const penstock_value *value = &statement->values[i];
		int at = (int)i + 1;

		switch (value->type) {
		case PENSTOCK_INTEGER:
			sqlite3_bind_int64(prepared, at, value->as.integer);
			break;
		case PENSTOCK_FLOAT:
			sqlite3_bind_double(prepared, at, value->as.real);
			break;
		case PENSTOCK_TEXT:
			sqlite3_bind_text(prepared, at, value->as.data, (int)value->bytes, SQLITE_TRANSIENT);
			break;
		case PENSTOCK_BLOB:
			sqlite3_bind_blob(prepared, at, value->as.data, (int)value->bytes, SQLITE_TRANSIENT);
			break;
		case PENSTOCK_NULL:
			sqlite3_bind_null(prepared, at);
			break;
		}
	}
}

void write_row(FILE *out, sqlite3_stmt *prepared)
{
	int i;

	for (i = 0; i < sqlite3_column_count(prepared); i++) {
		int type = sqlite3_column_type(prepared, i);
		const void *data = type == SQLITE_TEXT   ? (const void *)sqlite3_column_text(prepared, i)
		                   : type == SQLITE_BLOB ? sqlite3_column_blob(prepared, i)
		                                         : NULL;

		write_value(out, type, type == SQLITE_INTEGER ? sqlite3_column_int64(prepared, i) : 0,
		            type == SQLITE_FLOAT ? sqlite3_column_double(prepared, i) : 0, data,
		            data != NULL ? (size_t)sqlite3_column_bytes(prepared, i) : 0);
	}
}

/* Steps to the end; the rows go to *rows as text. */
static int run_plain(sqlite3_stmt *prepared, char **rows, const struct statement *statement)
{
	size_t bytes;
	FILE *out = open_memstream(rows, &bytes), *lines;
	char *row_text;
	size_t row_bytes;
	int rc, i;

	lines = open_memstream(&row_text, &row_bytes);
	/* Else it is the code of a function that failed. */
	while ((rc = sqlite3_step(prepared)) == SQLITE_ROW && sqlite3_stmt_busy(prepared)) {
		/* Some pragmas have rows without columns; nobody has a use for these. */
		if (sqlite3_column_count(prepared) > 0)
			fprintf(lines, " |");
		write_row(lines, prepared);
	}
	fclose(lines);
	/* The names behind the steps: a schema change may have renamed them. */
	if (statement->expected != LOOSE) {
		for (i = 0; i < sqlite3_column_count(prepared); i++)
			fprintf(out, " [%s]", sqlite3_column_name(prepared, i));
		fputs(row_text, out);
	}
	free(row_text);
	fclose(out);
	/* A function may fail with that code. */
	return rc == SQLITE_DONE && sqlite3_reset(prepared) != SQLITE_OK ? SQLITE_ERROR : rc;
}

/* What one statement comes to, and what it has changed. */
static char *outcome_of_one(sqlite3 *connection, const struct statement *statement, int64_t *changes)
{
	char *text, *rows = NULL, *sql;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	sqlite3_stmt *prepared = NULL;
	size_t sql_bytes;
	bool counts;
	int rc = SQLITE_OK;

	*changes = 0;
	sql = text_for(statement, 'r', &sql_bytes);
	if (statement->expected == REFUSED || statement->expected == NO_SINGLE) {
		write_failure(out, statement, statement->expected == REFUSED ? SQLITE_AUTH : SQLITE_ERROR, "its own");
	} else if (statement->expected == WRONG_COUNT && is_dml(sql) == false && sqlite3_strnicmp(sql, "PRAGMA", 6) == 0) {
		/* Preparing a pragma would act. */
		write_failure(out, statement, SQLITE_RANGE, "its own");
	} else if ((rc = sqlite3_prepare_v2(connection, sql, (int)sql_bytes, &prepared, NULL)) != SQLITE_OK) {
		write_failure(out, statement, sqlite3_extended_errcode(connection), sqlite3_errmsg(connection));
	} else if (statement->expected == WRONG_COUNT) {
		write_failure(out, statement, SQLITE_RANGE, "its own");
	} else {
		bind_plain(prepared, statement);
		rc = run_plain(prepared, &rows, statement);
		if (rc == SQLITE_DONE) {
			fprintf(out, "OK");
		} else {
			write_failure(out, statement, sqlite3_extended_errcode(connection), sqlite3_errmsg(connection));
			free(rows);
			rows = NULL;
		}
		counts = is_dml(sql) && !sqlite3_stmt_readonly(prepared);
		sqlite3_finalize(prepared);
		prepared = NULL;
		if (counts)
			*changes = sqlite3_changes64(connection);
	}
	sqlite3_finalize(prepared);
	write_effect(out, *changes, sqlite3_last_insert_rowid(connection));
	if (rows != NULL)
		fputs(rows, out);
	free(rows);
	free(sql);
	fclose(out);
	return text;
}

static bool goes_well(FILE *out, sqlite3 *connection, const struct statement *group, const char *sql)
{
	if (sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	write_failure(out, group, sqlite3_extended_errcode(connection), sqlite3_errmsg(connection));
	return false;
}

void roll_back_plain(sqlite3 *connection)
{
	sqlite3_stmt *at = NULL;

	if (sqlite3_exec(connection, "ROLLBACK", NULL, NULL, NULL) != SQLITE_INTERRUPT)
		return;
	while ((at = sqlite3_next_stmt(connection, at)) != NULL) {
		if (sqlite3_stmt_busy(at) && sqlite3_sql(at) == NULL)
			sqlite3_reset(at);
	}
	sqlite3_exec(connection, "ROLLBACK", NULL, NULL, NULL);
	check(sqlite3_get_autocommit(connection), "%s", sqlite3_errmsg(connection));
}

static char *outcome_of_group(sqlite3 *connection, const struct statement *group)
{
	char *text, *members, *one;
	size_t bytes, members_bytes, i = 0;
	FILE *out = open_memstream(&text, &bytes), *behind = open_memstream(&members, &members_bytes);
	int64_t changes = 0, of_one, rowid;
	bool well = goes_well(out, connection, group, "BEGIN IMMEDIATE"), run = well;

	while (well && i < group->member_count) {
		one = outcome_of_one(connection, group->members[i], &of_one);
		well = strncmp(one, "OK", 2) == 0;
		if (well)
			fprintf(behind, " {%s}", one), i++;
		else
			fwrite(one, 1, (size_t)(strstr(one, " changes=") - one), out);
		changes += of_one;
		free(one);
	}
	rowid = sqlite3_last_insert_rowid(connection);
	if (well && (well = goes_well(out, connection, group, "COMMIT")))
		fprintf(out, "OK");
	if (!well) {
		roll_back_plain(connection);
		changes = rowid = 0;
	}
	fclose(behind);
	write_effect(out, changes, rowid);
	write_group(out, run ? i : group->member_count);
	if (well)
		fputs(members, out);
	free(members);
	fclose(out);
	return text;
}

/* What the statement comes to in autocommit, as text_of_result writes it. */
char *reference_outcome(sqlite3 *connection, const struct statement *statement)
{
	int64_t changes;

	sqlite3_set_last_insert_rowid(connection, 0);
	if (statement->is_call)
		return reference_call(connection, statement);
	if (statement->member_count > 0)
		return outcome_of_group(connection, statement);
	return outcome_of_one(connection, statement, &changes);
}
