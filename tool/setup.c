/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/setup.h"

#include "tool/input.h"
#include "tool/report.h"

/* ---- --setup ---- */

struct setting_up {
	penstock *db;
	size_t number;
	uint64_t faults; /* before it */
	bool failed;
};

/* The outcome of a statement that is waited for. */
static bool execute(penstock *db, const char *sql, int64_t bytes, void *place)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql = sql, .sql_bytes = bytes, .arg = place };
	penstock_handle *handle = NULL;
	int status = penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle);
	bool good = status == PENSTOCK_OK;

	if (handle == NULL)
		report_refusal(place, status);
	else if (!good)
		report_outcome(penstock_handle_result(handle));
	else
		report_something();
	penstock_handle_release(handle);
	return good;
}

static bool execute_next(void *arg, uint64_t line, const char *text, size_t bytes)
{
	struct setting_up *setting_up = arg;

	/* What is no statement has been reported in its place. */
	if (report_faults() != setting_up->faults)
		return false;
	if (input_is_bracket(text, bytes))
		return true;
	setting_up->failed = !execute(setting_up->db, text, (int64_t)bytes, place_pack(setting_up->number, line));
	return !setting_up->failed;
}

bool setup_run_files(penstock *db, struct source *sources, size_t count, size_t first)
{
	uint64_t faults = report_faults();
	size_t i;

	for (i = 0; i < count; i++) {
		struct setting_up setting_up = { .db = db, .number = first + i, .faults = faults };

		input_read_sql(&sources[i], first + i, execute_next, &setting_up);
		if (setting_up.failed || report_faults() != faults) {
			report_say("the setup failed; nothing else was run");
			return false;
		}
	}
	return true;
}

/* ---- the statement for the records ---- */

/* Without its header a file's fields would go to columns by their order, and so to wrong ones. */
static bool headers_are_whole(const struct arguments *arguments, const struct batch *const *first)
{
	size_t i;

	for (i = 0; arguments->records.header && i < arguments->input_count; i++)
		if (first[i] != NULL && !first[i]->records[0].header) {
			report_say("'%s': its header cannot be read: %s; %s", arguments->inputs[i], first[i]->records[0].fault,
			           report_nothing());
			return false;
		}
	return true;
}

/* The first file that has anything: it names the columns of --table. NULL: none has. */
static const struct batch *leading(const struct arguments *arguments, const struct batch *const *first)
{
	size_t i;

	for (i = 0; i < arguments->input_count; i++)
		if (first[i] != NULL)
			return first[i];
	return NULL;
}

static bool create_table(penstock *db, const struct arguments *arguments, const struct batch *first)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
	penstock_handle *handle = NULL;
	char *sql;
	int status;

	if (first == NULL || first->records[0].fields == 0) {
		report_say("--create: '%s' has no record to make the table '%s' after; %s", arguments->inputs[0],
		           arguments->table, report_nothing());
		return false;
	}
	sql = columns_create_sql(arguments->table, first, arguments->create == CREATE_GUESS);
	submission.sql = sql;
	status = sql != NULL ? penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle) : PENSTOCK_NOMEM;
	if (status != PENSTOCK_OK)
		report_say("--create: %s: %s", sql != NULL ? sql : "",
		           handle != NULL ? penstock_handle_result(handle)->message : penstock_error_message());
	else
		report_something();
	penstock_handle_release(handle);
	sqlite3_free(sql);
	return status == PENSTOCK_OK;
}

/* 0: there is no such table, or no memory. */
static size_t count_columns(sqlite3 *reader, const char *table)
{
	sqlite3_stmt *statement = NULL;
	size_t count = 0;

	if (sqlite3_prepare_v2(reader, "SELECT count(*) FROM pragma_table_info(?)", -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		count = (size_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return count;
}

/* The statement of --table; free with sqlite3_free. NULL: said. */
static char *insert_sql(sqlite3 *reader, const struct arguments *arguments, const struct batch *first)
{
	size_t count = count_columns(reader, arguments->table);
	char *sql;

	if (count == 0) {
		report_say("--table: there is no table '%s'; use --create, or --setup FILE to make it; %s", arguments->table,
		           report_nothing());
		return NULL;
	}
	sql = columns_insert_sql(arguments->table, first, count);
	if (sql == NULL)
		report_say("out of memory for --table; %s", report_nothing());
	return sql;
}

static bool fill_columns(const struct arguments *arguments, const struct target *target, const struct batch *const *first,
                         struct columns *columns)
{
	size_t i;

	for (i = 0; i < arguments->input_count; i++) {
		columns[i].null_text = arguments->null_text;
		columns[i].lax = arguments->lax;
		if (!columns_init(&columns[i], target, first[i], arguments->inputs[i]))
			return false;
		if (!arguments->common.quiet && columns_look_named(first[i]))
			report_say("warning: '%s': its first line looks like a header, and is taken for a record; use --header",
			           arguments->inputs[i]);
	}
	return true;
}

bool setup_statement(penstock *db, const struct arguments *arguments, const struct batch *const *first, struct columns *columns,
                     const penstock_statement **statement)
{
	const char *what = arguments->table != NULL ? "--table" : "--sql";
	struct target target = { 0 };
	penstock_statement *registered = NULL;
	sqlite3 *reader = NULL;
	char *made = NULL;
	const char *sql;
	bool good;

	if (!headers_are_whole(arguments, first))
		return false;
	if (arguments->create != CREATE_NOT && !create_table(db, arguments, leading(arguments, first)))
		return false;
	if (penstock_reader_open(db, &reader) != PENSTOCK_OK) {
		report_say("%s", penstock_error_message());
		return false;
	}
	if (arguments->table != NULL)
		made = insert_sql(reader, arguments, leading(arguments, first));
	sql = arguments->table != NULL ? made : arguments->sql;
	good = sql != NULL && target_init(&target, reader, what, sql);
	if (good && arguments->table != NULL && !target_name_after(&target, leading(arguments, first))) {
		report_say("out of memory for --table; %s", report_nothing());
		good = false;
	}
	sqlite3_close(reader);
	good = good && fill_columns(arguments, &target, first, columns);
	if (good && penstock_statement_register(db, sql, -1, &registered) != PENSTOCK_OK) {
		report_say("%s", penstock_error_message());
		good = false;
	}
	*statement = registered;
	target_free(&target);
	sqlite3_free(made);
	return good;
}
