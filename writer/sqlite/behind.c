/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * behind.c - what a statement of a batch leaves behind in its transaction, and may not show to those behind it
 *
 * In autocommit each statement's own commit puts an end to it: violations of deferred keys are no longer counted, and full-text
 * tables have written what they held back. explain.h says how it is told which statements are concerned.
 *
 * Invariants
 *   1. Only writes are asked, once for each prepared form, and only where the schema has deferred keys or such tables.
 *   2. What cannot be told counts as if it were so.
 */
#include "writer/sqlite/inside.h"

#include "writer/sqlite/explain.h"

static void note_table(struct ps_store *store, const char *name, const char *sql)
{
	store->schema.deferred_keys |= ps_syntax_contains(sql, "deferred");
	if (!ps_syntax_contains(sql, "virtual table"))
		return;
	ps_statements_add_virtual(&store->statements, name);
	/* The one kind that is known to write at once. */
	store->schema.full_text |= !ps_syntax_contains(sql, "rtree");
}

/*
 * The database of temporary objects is not opened for the question: from then on more statements would read it, which ends PRAGMA
 * defer_foreign_keys.
 */
static bool has_temporary(sqlite3 *connection)
{
	unsigned version;

	return sqlite3_file_control(connection, "temp", SQLITE_FCNTL_DATA_VERSION, &version) == SQLITE_OK;
}

/* Once after each change of the schema. What cannot be read counts as there. */
void ps_behind_look_at_schema(struct ps_store *store)
{
	static const char tables[] = "SELECT name, sql FROM main.sqlite_schema WHERE type='table'",
			  all_tables[] = "SELECT name, sql FROM main.sqlite_schema WHERE type='table' "
					 "UNION ALL SELECT name, sql FROM temp.sqlite_schema WHERE type='table'";
	sqlite3_stmt *statement = NULL;
	int rc;

	if (store->schema.known && store->schema.at == store->schema_changes)
		return;
	store->schema.at = store->schema_changes;
	store->schema.deferred_keys = store->schema.full_text = false;
	ps_statements_forget_virtual(&store->statements);
	rc = sqlite3_prepare_v2(store->connection, has_temporary(store->connection) ? all_tables : tables, -1, &statement,
	                        NULL);
	while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(statement, 0);
		const char *sql = (const char *)sqlite3_column_text(statement, 1);

		rc = SQLITE_OK;
		if (name != NULL && sql != NULL)
			note_table(store, name, sql);
	}
	sqlite3_finalize(statement);
	store->schema.known = rc == SQLITE_DONE;
	if (rc != SQLITE_DONE)
		store->schema.deferred_keys = store->schema.full_text = true;
}

static void ask(struct ps_store *store, struct ps_prepared *prepared)
{
	const char *sql;
	int64_t count;

	if (prepared->asked)
		return;
	prepared->asked = true;
	sql = sqlite3_sql(prepared->statement);
	count = ps_changes_shown(store->changes);
	prepared->hides_violations =
		store->foreign_keys && store->schema.deferred_keys && ps_explain_may_hide_violations(store->connection, sql);
	prepared->writes_virtual = store->schema.full_text && ps_explain_writes_virtual(store->connection, sql);
	/* To explain a statement sets changes(). */
	ps_changes_correct(store->changes, count);
}

/*
 * A full-text table holds back what is written to it, for the COMMIT or whatever needs its index first; that would then set
 * changes() and count in total_changes(), and its index would not be that of autocommit. A savepoint has it write at once.
 */
static bool write_held_back(struct ps_store *store)
{
	int64_t count = ps_changes_shown(store->changes);
	bool written = ps_inside_step(store->savepoint) == SQLITE_OK && ps_inside_step(store->release) == SQLITE_OK;

	ps_changes_correct(store->changes, count);
	return written;
}

/*
 * After a write in a batch that went well: PS_DONE, or PS_DONE_LAST when what it has left behind would show in the statements behind
 * it, until the commit. functions_wrote: nobody can tell what.
 */
enum ps_verdict ps_behind_settle(struct ps_store *store, struct ps_prepared *prepared, bool functions_wrote)
{
	bool deferred_keys = store->foreign_keys && store->schema.deferred_keys;

	if ((prepared->read_only && !functions_wrote) || !(store->schema.full_text || deferred_keys))
		return PS_DONE;
	ask(store, prepared);
	/* On a plain connection it would not write at once within a transaction either. */
	if (store->group != NULL && store->schema.full_text && (functions_wrote || prepared->writes_virtual))
		return PS_ELSEWHERE;
	if (store->schema.full_text && (functions_wrote || prepared->writes_virtual) && !write_held_back(store))
		return PS_TAKE_OUT;
	return deferred_keys && (functions_wrote || prepared->hides_violations) ? PS_DONE_LAST : PS_DONE;
}
