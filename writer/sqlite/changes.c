/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/changes.h"

#include <stdlib.h>

struct ps_changes {
	sqlite3 *connection;
	unsigned holders; /* the store, and SQLite for each function */
	/* when the transaction under way began, as shown */
	int64_t at_begin;
	int64_t total_at_begin;
	int64_t undone_at_begin;
	/* total_changes() counts these too much */
	int64_t total_undone;
	/* after a rollback: the right answer as long as SQLite's own two figures have not moved */
	bool corrected;
	int64_t count;
	int64_t stale_count;
	int64_t stale_total;
};

static int64_t shown(const struct ps_changes *changes)
{
	int64_t count = sqlite3_changes64(changes->connection);

	if (changes->corrected && count == changes->stale_count &&
	    sqlite3_total_changes64(changes->connection) == changes->stale_total)
		return changes->count;
	return count;
}

static int64_t shown_total(const struct ps_changes *changes)
{
	return sqlite3_total_changes64(changes->connection) - changes->total_undone;
}

static void sql_changes(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int64(context, shown(sqlite3_user_data(context)));
}

static void sql_total_changes(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int64(context, shown_total(sqlite3_user_data(context)));
}

void ps_changes_release(struct ps_changes *changes)
{
	/* One thread at a time uses a connection, also what is left of it. */
	if (--changes->holders == 0)
		free(changes);
}

static void let_go(void *changes)
{
	ps_changes_release(changes);
}

/* SQLite lets go of it when the connection ends, or at once when this fails. */
static int replace(struct ps_changes *changes, const char *name,
                   void (*function)(sqlite3_context *context, int count, sqlite3_value **values))
{
	changes->holders++;
	return sqlite3_create_function_v2(changes->connection, name, 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, changes, function, NULL,
	                                  NULL, let_go);
}

struct ps_changes *ps_changes_new(sqlite3 *connection)
{
	struct ps_changes *changes = calloc(1, sizeof *changes);

	if (changes == NULL)
		return NULL;
	changes->connection = connection;
	changes->holders = 1;
	if (replace(changes, "changes", sql_changes) == SQLITE_OK &&
	    replace(changes, "total_changes", sql_total_changes) == SQLITE_OK)
		return changes;
	ps_changes_release(changes);
	return NULL;
}

void ps_changes_begin(struct ps_changes *changes)
{
	changes->at_begin = shown(changes);
	changes->total_at_begin = shown_total(changes);
	changes->undone_at_begin = changes->total_undone;
}

void ps_changes_correct(struct ps_changes *changes, int64_t count)
{
	changes->corrected = true;
	changes->count = count;
	changes->stale_count = sqlite3_changes64(changes->connection);
	changes->stale_total = sqlite3_total_changes64(changes->connection);
}

void ps_changes_roll_back(struct ps_changes *changes)
{
	changes->total_undone += shown_total(changes) - changes->total_at_begin;
	ps_changes_correct(changes, changes->at_begin);
}

void ps_changes_fail(struct ps_changes *changes, int64_t counted)
{
	changes->total_undone = changes->undone_at_begin + counted;
	ps_changes_correct(changes, 0);
}

bool ps_changes_is_corrected(const struct ps_changes *changes)
{
	return changes->corrected;
}

void ps_changes_trust_sqlite(struct ps_changes *changes)
{
	changes->corrected = false;
}
