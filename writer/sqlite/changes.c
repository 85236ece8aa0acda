/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/changes.h"

#include <stdlib.h>

/* To set PRAGMA query_only again. */
#define QUERY_ONLY_ATTEMPTS 1000

#define MODULE "penstock_changes"

struct ps_changes {
	sqlite3 *connection;
	unsigned holders;        /* the store, and SQLite for the function */
	sqlite3_stmt *put_right; /* prepared when first needed */
	/* when the transaction under way began, as it should be */
	int64_t at_begin;
	int64_t total_at_begin;
	int64_t undone_at_begin;
	/* total_changes() counts these too much */
	int64_t total_undone;
	/* SQLite's own changes() is to be set to this */
	bool corrected;
	int64_t count;
};

/* ---- the table whose rows are deleted ---- */

struct cursor {
	sqlite3_vtab_cursor base;
	sqlite3_int64 left;
};

static int connect_table(sqlite3 *connection, void *arg, int count, const char *const *arguments, sqlite3_vtab **table,
                         char **message)
{
	int rc = sqlite3_declare_vtab(connection, "CREATE TABLE x(rows HIDDEN)");

	(void)arg;
	(void)count;
	(void)arguments;
	(void)message;
	if (rc != SQLITE_OK)
		return rc;
	/* Not from a trigger or view: what it does is the engine's alone. */
	sqlite3_vtab_config(connection, SQLITE_VTAB_DIRECTONLY);
	*table = sqlite3_malloc(sizeof **table);
	return *table != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

static int disconnect_table(sqlite3_vtab *table)
{
	sqlite3_free(table);
	return SQLITE_OK;
}

static int plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
	(void)table;
	for (int i = 0; i < info->nConstraint; i++) {
		if (info->aConstraint[i].usable && info->aConstraint[i].iColumn == 0 &&
		    info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ) {
			info->aConstraintUsage[i].argvIndex = 1;
			info->aConstraintUsage[i].omit = 1;
			info->idxNum = 1;
		}
	}
	return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **result)
{
	struct cursor *cursor = sqlite3_malloc(sizeof *cursor);

	(void)table;
	if (cursor == NULL)
		return SQLITE_NOMEM;
	*cursor = (struct cursor){ .left = 0 };
	*result = &cursor->base;
	return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
	sqlite3_free(cursor);
	return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int number, const char *text, int count, sqlite3_value **values)
{
	struct cursor *cursor = (struct cursor *)base;

	(void)text;
	cursor->left = number == 1 && count == 1 ? sqlite3_value_int64(values[0]) : 0;
	return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base)
{
	((struct cursor *)base)->left--;
	return SQLITE_OK;
}

static int is_at_end(sqlite3_vtab_cursor *base)
{
	return ((struct cursor *)base)->left <= 0;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int number)
{
	(void)base;
	(void)number;
	sqlite3_result_null(context);
	return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *id)
{
	*id = ((struct cursor *)base)->left;
	return SQLITE_OK;
}

/* Deletes a row, which is nothing; an insert or an update is refused. */
static int update(sqlite3_vtab *table, int count, sqlite3_value **values, sqlite3_int64 *id)
{
	(void)table;
	(void)values;
	(void)id;
	return count == 1 ? SQLITE_OK : SQLITE_READONLY;
}

/* Eponymous only: there is no xCreate. */
static const sqlite3_module module = {
	.xConnect = connect_table,
	.xBestIndex = plan,
	.xDisconnect = disconnect_table,
	.xOpen = open_cursor,
	.xClose = close_cursor,
	.xFilter = filter,
	.xNext = next,
	.xEof = is_at_end,
	.xColumn = column,
	.xRowid = rowid,
	.xUpdate = update,
};

/* ---- what is shown ---- */

int64_t ps_changes_shown(const struct ps_changes *changes)
{
	return changes->corrected ? changes->count : sqlite3_changes64(changes->connection);
}

static int64_t shown_total(const struct ps_changes *changes)
{
	return sqlite3_total_changes64(changes->connection) - changes->total_undone;
}

static void sql_total_changes(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int64(context, shown_total(sqlite3_user_data(context)));
}

static void release(void *arg)
{
	struct ps_changes *changes = arg;

	/* One thread at a time uses a connection, also what is left of it. */
	if (--changes->holders == 0)
		free(changes);
}

/* SQLite lets go of it when the connection ends or the function is replaced, or at once when this fails. */
static bool install_function(struct ps_changes *changes)
{
	changes->holders++;
	return sqlite3_create_function_v2(changes->connection, "total_changes", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, changes,
	                                  sql_total_changes, NULL, NULL, release) == SQLITE_OK;
}

struct ps_changes *ps_changes_new(sqlite3 *connection)
{
	struct ps_changes *changes = calloc(1, sizeof *changes);

	if (changes == NULL)
		return NULL;
	changes->connection = connection;
	changes->holders = 1;
	if (install_function(changes) && sqlite3_create_module_v2(connection, MODULE, &module, NULL, NULL) == SQLITE_OK)
		return changes;
	release(changes);
	return NULL;
}

void ps_changes_renew(struct ps_changes *changes)
{
	install_function(changes);
}

void ps_changes_release(struct ps_changes *changes)
{
	sqlite3_finalize(changes->put_right);
	changes->put_right = NULL;
	release(changes);
}

/* ---- bookkeeping ---- */

void ps_changes_begin(struct ps_changes *changes)
{
	changes->at_begin = ps_changes_shown(changes);
	changes->total_at_begin = shown_total(changes);
	changes->undone_at_begin = changes->total_undone;
}

void ps_changes_correct(struct ps_changes *changes, int64_t count)
{
	changes->corrected = sqlite3_changes64(changes->connection) != count;
	changes->count = count;
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

static int set(struct ps_changes *changes)
{
	int rc = SQLITE_OK;

	if (changes->put_right == NULL)
		rc = sqlite3_prepare_v3(changes->connection, "DELETE FROM " MODULE " WHERE rows = ?1", -1,
		                        SQLITE_PREPARE_PERSISTENT, &changes->put_right, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_bind_int64(changes->put_right, 1, changes->count);
	/* With PRAGMA count_changes it gives a row. */
	while (rc == SQLITE_OK || rc == SQLITE_ROW)
		rc = sqlite3_step(changes->put_right);
	sqlite3_reset(changes->put_right);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* PRAGMA query_only refuses a write of nothing, too. */
static int set_in_spite(struct ps_changes *changes)
{
	unsigned attempts = QUERY_ONLY_ATTEMPTS;
	int rc;

	if (sqlite3_exec(changes->connection, "PRAGMA query_only=0", NULL, NULL, NULL) != SQLITE_OK)
		return SQLITE_READONLY;
	rc = set(changes);
	/* Memory may lack. */
	while (sqlite3_exec(changes->connection, "PRAGMA query_only=1", NULL, NULL, NULL) != SQLITE_OK && --attempts > 0)
		;
	return rc;
}

int ps_changes_put_right(struct ps_changes *changes)
{
	sqlite3_int64 rowid = sqlite3_last_insert_rowid(changes->connection);
	int rc;

	if (!changes->corrected)
		return SQLITE_OK;
	rc = set(changes);
	if (rc == SQLITE_READONLY)
		rc = set_in_spite(changes);
	if (rc != SQLITE_OK)
		return rc;
	changes->total_undone += changes->count;
	changes->undone_at_begin += changes->count;
	changes->corrected = false;
	sqlite3_set_last_insert_rowid(changes->connection, rowid);
	return SQLITE_OK;
}
