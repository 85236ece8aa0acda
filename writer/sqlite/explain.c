/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/explain.h"

#include <pthread.h>
#include <string.h>

/* sqlite.org/opcode.html; the columns of EXPLAIN: addr, opcode, p1, p2, p3, p4, p5, comment. */
enum { ADDRESS = 0, OPCODE = 1, P1 = 2, P2 = 3, P4 = 5, COLUMNS = 8 };

/* What is asked of each line of a list. False: that is enough. */
typedef bool look_at_line(void *arg, sqlite3_stmt *line, const char *opcode);

/* Whether the list was read to its end, or as far as `look` wanted. */
static bool for_each_line(sqlite3 *connection, const char *sql, look_at_line *look, void *arg)
{
	char *text = sqlite3_mprintf("EXPLAIN %s", sql);
	sqlite3_stmt *list = NULL;
	int rc = SQLITE_NOMEM;

	if (text != NULL)
		rc = sqlite3_prepare_v2(connection, text, -1, &list, NULL);
	sqlite3_free(text);
	if (rc == SQLITE_OK && sqlite3_column_count(list) != COLUMNS)
		rc = SQLITE_ERROR;
	while (rc == SQLITE_OK && (rc = sqlite3_step(list)) == SQLITE_ROW) {
		const char *opcode = (const char *)sqlite3_column_text(list, OPCODE);

		rc = opcode == NULL ? SQLITE_NOMEM : look(arg, list, opcode) ? SQLITE_OK : SQLITE_DONE;
	}
	sqlite3_finalize(list);
	return rc == SQLITE_DONE;
}

/* ---- foreign keys ---- */

struct counting {
	bool up;
	bool down;   /* though it is not sure that so much was counted up */
	int skip_to; /* where the last look at the count goes when it is zero */
};

/*
 * FkIfZero jumps over what counts down, when nothing is counted. For a row that leaves a child table the -1 is the last of what is
 * jumped over: behind each look it is counted once. Behind the -1 of a loop over child rows, for one that comes into a parent table, is
 * the jump back to the next of them, and nobody looks again.
 */
static bool note_counting(void *arg, sqlite3_stmt *line, const char *opcode)
{
	struct counting *counting = arg;
	int address = sqlite3_column_int(line, ADDRESS), amount = sqlite3_column_int(line, P2);

	/* Each trigger, and each action of a key, is a program of its own. */
	if (address == 0)
		counting->skip_to = 0;
	/* With P1 zero both are about the immediate keys. */
	if (sqlite3_column_int(line, P1) == 0)
		return true;
	if (strcmp(opcode, "FkIfZero") == 0)
		counting->skip_to = amount;
	if (strcmp(opcode, "FkCounter") == 0) {
		counting->up |= amount > 0;
		counting->down |= amount < 0 && !(amount == -1 && counting->skip_to == address + 1);
	}
	return !(counting->up && counting->down);
}

static bool may_fall_below_zero(sqlite3 *connection, const char *sql, bool *may)
{
	struct counting counting = { 0 };
	bool whole = for_each_line(connection, sql, note_counting, &counting);

	*may = counting.up && counting.down;
	return whole;
}

/* ---- whether the list is as it is taken to be ---- */

static bool readable;

static bool knows_what_is_known(sqlite3 *connection)
{
	static const struct {
		const char *sql;
		bool may;
	} known[] = {
		{ "INSERT INTO c VALUES(1)", false }, { "UPDATE c SET p=1", false },  { "DELETE FROM p", false },
		{ "UPDATE p SET i=i+1", true },       { "UPDATE g SET i=i+1", true },
	};
	bool may;

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!may_fall_below_zero(connection, known[i].sql, &may) || may != known[i].may)
			return false;
	}
	return true;
}

static void try_reading(void)
{
	sqlite3 *connection;

	if (sqlite3_open_v2(":memory:", &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
	    sqlite3_exec(connection,
	                 "PRAGMA foreign_keys=1; CREATE TABLE g(i INTEGER PRIMARY KEY);"
	                 "CREATE TABLE p(i INTEGER PRIMARY KEY REFERENCES g ON UPDATE CASCADE);"
	                 "CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED);"
	                 "CREATE TABLE n(p REFERENCES p ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED)",
	                 NULL, NULL, NULL) == SQLITE_OK)
		readable = knows_what_is_known(connection);
	sqlite3_close(connection);
}

static bool can_be_read(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, try_reading);
	return readable;
}

bool ps_explain_may_hide_violations(sqlite3 *connection, const char *sql)
{
	bool may;

	return !can_be_read() || !may_fall_below_zero(connection, sql, &may) || may;
}

static bool look_for_update(void *arg, sqlite3_stmt *line, const char *opcode)
{
	bool *writes = arg;

	(void)line;
	*writes = strcmp(opcode, "VUpdate") == 0;
	return !*writes;
}

bool ps_explain_writes_virtual(sqlite3 *connection, const char *sql)
{
	bool writes = false;

	return !can_be_read() || !for_each_line(connection, sql, look_for_update, &writes) || writes;
}

/* ---- functions ---- */

/* Whether "name(n)", as the list shows a function, is SQLite's own and tells nothing of what was changed before. */
static bool is_innocent(sqlite3 *connection, const char *shown)
{
	static const char *const tellers[] = { "changes", "total_changes", "last_insert_rowid" };
	size_t length = strcspn(shown, "(");
	sqlite3_stmt *query;
	bool own;

	for (size_t i = 0; i < sizeof tellers / sizeof tellers[0]; i++) {
		if (strlen(tellers[i]) == length && sqlite3_strnicmp(tellers[i], shown, (int)length) == 0)
			return false;
	}
	if (sqlite3_prepare_v2(connection, "SELECT min(builtin) FROM pragma_function_list WHERE name = ?1 COLLATE NOCASE", -1,
	                       &query, NULL) != SQLITE_OK)
		return false;
	own = sqlite3_bind_text(query, 1, shown, (int)length, SQLITE_STATIC) == SQLITE_OK &&
	      sqlite3_step(query) == SQLITE_ROW && sqlite3_column_int(query, 0) == 1;
	sqlite3_finalize(query);
	return own;
}

static bool look_for_function(void *arg, sqlite3_stmt *line, const char *opcode)
{
	bool *calls = arg;
	const char *shown;

	if (strstr(opcode, "Func") == NULL && strstr(opcode, "Agg") == NULL)
		return true;
	shown = (const char *)sqlite3_column_text(line, P4);
	*calls = shown == NULL || !is_innocent(sqlite3_db_handle(line), shown);
	return !*calls;
}

bool ps_explain_calls_functions(sqlite3 *connection, const char *sql)
{
	bool calls = false;

	return !can_be_read() || !for_each_line(connection, sql, look_for_function, &calls) || calls;
}
