/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hooks.h"
#include "core/thread.h"
#include "writer/sqlite/inside.h"
#include "writer/sqlite/trust.h"

/* ---- the guard ---- */

#define GUARD "penstock_call"

struct guard {
	sqlite3_vtab base;
	struct ps_call *call;
};

/* The column's name keeps the statement below from meaning a table of the program's. */
static int connect_guard(sqlite3 *connection, void *arg, int count, const char *const *arguments, sqlite3_vtab **table,
                         char **message)
{
	int rc = sqlite3_declare_vtab(connection, "CREATE TABLE x(penstock_call_guard)");
	struct guard *guard;

	(void)count;
	(void)arguments;
	(void)message;
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_vtab_config(connection, SQLITE_VTAB_DIRECTONLY);
	guard = sqlite3_malloc(sizeof *guard);
	if (guard == NULL)
		return SQLITE_NOMEM;
	memset(guard, 0, sizeof *guard);
	guard->call = arg;
	*table = &guard->base;
	return SQLITE_OK;
}

static int disconnect_guard(sqlite3_vtab *table)
{
	sqlite3_free(table);
	return SQLITE_OK;
}

static int plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
	(void)table;
	(void)info;
	return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor)
{
	(void)table;
	*cursor = sqlite3_malloc(sizeof **cursor);
	return *cursor != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
	sqlite3_free(cursor);
	return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int count, sqlite3_value **values)
{
	(void)cursor;
	(void)number;
	(void)text;
	(void)count;
	(void)values;
	return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *cursor)
{
	(void)cursor;
	return SQLITE_OK;
}

static int is_at_end(sqlite3_vtab_cursor *cursor)
{
	(void)cursor;
	return 1;
}

static int column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int number)
{
	(void)cursor;
	(void)context;
	(void)number;
	return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *id)
{
	(void)cursor;
	*id = 0;
	return SQLITE_OK;
}

static int update(sqlite3_vtab *table, int count, sqlite3_value **values, sqlite3_int64 *id)
{
	(void)table;
	(void)count;
	(void)values;
	(void)id;
	return SQLITE_READONLY;
}

static int on_begin(sqlite3_vtab *table)
{
	(void)table;
	return SQLITE_OK;
}

/* Before a commit, which becomes a rollback when this fails. */
static int on_sync(sqlite3_vtab *table)
{
	struct ps_call *call = ((struct guard *)table)->call;

	if (!call->running)
		return SQLITE_OK;
	sqlite3_free(table->zErrMsg);
	table->zErrMsg = sqlite3_mprintf("a call's transaction is the engine's to commit");
	return SQLITE_AUTH;
}

static int on_rollback(sqlite3_vtab *table)
{
	struct ps_call *call = ((struct guard *)table)->call;

	if (call->running) {
		call->ended = true;
		ps_statement_deadline_stop_call(call->deadline);
	}
	return SQLITE_OK;
}

/* Eponymous only: there is no xCreate. */
static const sqlite3_module module = {
	.xConnect = connect_guard,
	.xBestIndex = plan,
	.xDisconnect = disconnect_guard,
	.xOpen = open_cursor,
	.xClose = close_cursor,
	.xFilter = filter,
	.xNext = next,
	.xEof = is_at_end,
	.xColumn = column,
	.xRowid = rowid,
	.xUpdate = update,
	.xBegin = on_begin,
	.xSync = on_sync,
	.xCommit = on_begin,
	.xRollback = on_rollback,
};

/* A write that has nothing to write makes it take part in the transaction. It sets changes() to 0. SQLite's code. */
static int set_guard(struct ps_call *call)
{
	int rc = SQLITE_OK;

	if (call->guard == NULL) {
		rc = sqlite3_create_module_v2(call->connection, GUARD, &module, call, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_prepare_v3(call->connection, "DELETE FROM " GUARD " WHERE penstock_call_guard", -1,
			                        SQLITE_PREPARE_PERSISTENT, &call->guard, NULL);
	}
	if (rc != SQLITE_OK)
		return rc;
	/* With PRAGMA count_changes it gives a row. */
	while ((rc = sqlite3_step(call->guard)) == SQLITE_ROW)
		;
	sqlite3_reset(call->guard);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void ps_call_destroy(struct ps_call *call)
{
	sqlite3_finalize(call->guard);
	free(call->open);
	*call = (struct ps_call){ .guard = NULL };
}

/* ---- the authorizer ---- */

static int refuse(struct ps_call *call, const char *what, const char *name, const char *why)
{
	snprintf(call->refusal, sizeof call->refusal, "%s%.40s is refused in a call: %s", what, name, why);
	return SQLITE_DENY;
}

/* With a value these ask for something, or are undone with the transaction. */
static bool is_harmless_pragma(const char *name)
{
	static const char *const harmless[] = {
		"application_id", "defer_foreign_keys", "foreign_key_check", "foreign_key_list", "incremental_vacuum",
		"index_info",     "index_list",         "index_xinfo",       "integrity_check",  "optimize",
		"quick_check",    "table_info",         "table_list",        "table_xinfo",      "user_version",
	};

	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
		if (sqlite3_stricmp(name, harmless[i]) == 0)
			return true;
	}
	return false;
}

/* Whatever creates or drops something in it writes to it. */
static bool is_schema_of_temp(const char *table, const char *database)
{
	return database != NULL && strcmp(database, "temp") == 0 &&
	       (strcmp(table, "sqlite_master") == 0 || strcmp(table, "sqlite_temp_master") == 0);
}

int ps_call_authorize(struct ps_call *call, int action, const char *first, const char *second, const char *database)
{
	static const char outlives[] = "it would outlive the call; submit it as a statement, or do it in a connect hook";

	call->asked = true;
	if (call->ended)
		return SQLITE_DENY;
	call->altered |= action == SQLITE_ALTER_TABLE;
	switch (action) {
	case SQLITE_TRANSACTION:
		return refuse(call, "", first,
		              "the engine begins and ends its transaction; for a part of it there is SAVEPOINT");
	case SQLITE_ATTACH:
		return refuse(call, "ATTACH", "", outlives);
	case SQLITE_DETACH:
		return refuse(call, "DETACH", "", outlives);
	case SQLITE_INSERT:
	case SQLITE_DELETE:
		return is_schema_of_temp(first, database) ? refuse(call, "a change of the schema of temp", "", outlives)
		                                          : SQLITE_OK;
	case SQLITE_ALTER_TABLE:
		return strcmp(first, "temp") == 0 ? refuse(call, "a change of the schema of temp", "", outlives) : SQLITE_OK;
	case SQLITE_PRAGMA:
		return second == NULL || is_harmless_pragma(first) ? SQLITE_OK : refuse(call, "PRAGMA ", first, outlives);
	default:
		return SQLITE_OK;
	}
}

/* ---- what is as before ---- */

static bool add_open(struct ps_call *call, size_t place, sqlite3_stmt *statement)
{
	sqlite3_stmt **more;

	if (place == call->open_room) {
		more = realloc(call->open, (call->open_room + 32) * sizeof *more);
		if (more == NULL)
			return false;
		call->open = more;
		call->open_room += 32;
	}
	call->open[place] = statement;
	return true;
}

static bool note_open(struct ps_call *call)
{
	sqlite3_stmt *statement = NULL;

	call->open_count = 0;
	while ((statement = sqlite3_next_stmt(call->connection, statement)) != NULL) {
		if (!add_open(call, call->open_count, statement))
			return false;
		call->open_count++;
	}
	return true;
}

static bool is_among(sqlite3_stmt *const *statements, size_t count, const sqlite3_stmt *statement)
{
	for (size_t i = 0; i < count; i++) {
		if (statements[i] == statement)
			return true;
	}
	return false;
}

static uint64_t hash_databases(sqlite3 *connection, int *count)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	const char *name;

	for (*count = 0; (name = sqlite3_db_name(connection, *count)) != NULL; *count += 1) {
		const char *parts[] = { *count > 0 ? name : "", sqlite3_db_filename(connection, name) };

		for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
			for (const char *at = parts[i] != NULL ? parts[i] : ""; *at != '\0'; at++)
				hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
			hash = (hash ^ 0x100) * UINT64_C(1099511628211);
		}
	}
	return hash;
}

/* A pragma's value as text, or "". */
static void read_text(sqlite3 *connection, const char *sql, char value[24])
{
	sqlite3_stmt *statement;
	const char *text = NULL;

	if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		text = (const char *)sqlite3_column_text(statement, 0);
	snprintf(value, 24, "%s", text != NULL ? text : "");
	sqlite3_finalize(statement);
}

/* The schema's version of temp, if there is one yet: then the transaction has begun there too. */
static void read_temp(sqlite3 *connection, char value[24])
{
	value[0] = '\0';
	if (sqlite3_txn_state(connection, "temp") == SQLITE_TXN_WRITE)
		read_text(connection, "PRAGMA temp.schema_version", value);
}

static void note_settings(struct ps_call *call)
{
	call->main_name = sqlite3_db_name(call->connection, 0);
	for (int i = 0; i < PS_CALL_SETTINGS; i++) {
		call->settings[i] = -1;
		sqlite3_db_config(call->connection, PS_CALL_FIRST_SETTING + i, -1, &call->settings[i]);
	}
	for (int i = 0; i < PS_CALL_LIMITS; i++)
		call->limits[i] = sqlite3_limit(call->connection, i, -1);
	call->databases = hash_databases(call->connection, &call->database_count);
	read_temp(call->connection, call->temp);
}

/* Statements are prepared again where one has changed. */
static void restore_settings(const struct ps_call *call)
{
	const char *name = sqlite3_db_name(call->connection, 0);
	int now;

	if (name == NULL || strcmp(name, call->main_name) != 0)
		sqlite3_db_config(call->connection, SQLITE_DBCONFIG_MAINDBNAME, call->main_name);
	for (int i = 0; i < PS_CALL_SETTINGS; i++) {
		now = -1;
		sqlite3_db_config(call->connection, PS_CALL_FIRST_SETTING + i, -1, &now);
		if (now != call->settings[i])
			sqlite3_db_config(call->connection, PS_CALL_FIRST_SETTING + i, call->settings[i], &now);
	}
	for (int i = 0; i < PS_CALL_LIMITS; i++)
		sqlite3_limit(call->connection, i, call->limits[i]);
	sqlite3_extended_result_codes(call->connection, 1);
}

/* ---- what the authorizer would have refused ---- */

bool ps_call_is_exclusive(sqlite3 *connection)
{
	char value[24];

	read_text(connection, "PRAGMA main.locking_mode", value);
	return strcmp(value, "exclusive") == 0;
}

/* Behind the function. Nobody can put the engine's authorizer back but the engine. */
static bool has_authorizer(struct ps_call *call)
{
	sqlite3_stmt *probe = NULL;

	call->asked = false;
	sqlite3_prepare_v2(call->connection, "PRAGMA query_only", -1, &probe, NULL);
	sqlite3_finalize(probe);
	return call->asked;
}

/* What it has left behind without the authorizer, or NULL. What is attached is let go of behind the transaction. */
static const char *put_back_what_is_left(struct ps_call *call)
{
	const char *left = NULL;
	char value[24];
	int count;

	read_temp(call->connection, value);
	if (strcmp(value, call->temp) != 0)
		left = "the function has replaced the authorizer and changed the schema of temp, which is rolled back";
	if (ps_call_is_exclusive(call->connection) != call->exclusive) {
		sqlite3_exec(call->connection, call->exclusive ? "PRAGMA locking_mode=exclusive" : "PRAGMA locking_mode=normal",
		             NULL, NULL, NULL);
		left = "the function has replaced the authorizer and set locking_mode, which is put back";
	}
	read_text(call->connection, "PRAGMA query_only", value);
	if (strcmp(value, "1") == 0) {
		sqlite3_exec(call->connection, "PRAGMA query_only=0", NULL, NULL, NULL);
		left = "the function has replaced the authorizer and set query_only, which is put back";
	}
	if (hash_databases(call->connection, &count) != call->databases) {
		call->attached = true;
		left = "the function has replaced the authorizer and attached or detached a database; what it attached is detached";
	}
	return left;
}

/* Outside of any transaction. */
static void detach_what_is_left(struct ps_call *call)
{
	const char *name;
	char *sql;
	int count;

	hash_databases(call->connection, &count);
	while (call->attached && count-- > call->database_count && (name = sqlite3_db_name(call->connection, count)) != NULL) {
		sql = sqlite3_mprintf("DETACH %Q", name);
		if (sql != NULL)
			sqlite3_exec(call->connection, sql, NULL, NULL, NULL);
		sqlite3_free(sql);
	}
	call->attached = false;
}

/* What is the engine's on its connection (penstock.h has the list), from whoever has taken it. */
static void renew_handlers(struct ps_store *store)
{
	ps_statements_authorize(&store->statements);
	ps_statement_deadline_init(&store->deadline, store->connection, store->options->keys.statement_timeout_ms);
	ps_busy_install(&store->busy, store->connection);
	ps_file_renew(&store->file);
	ps_changes_renew(store->changes);
}

/*
 * Whether a virtual table may have it for itself: in its text is the name of one of the tables that it keeps, or it is a pragma. Where
 * the schema could not be read each may be one's.
 */
static bool is_of_virtual_table(const struct ps_store *store, sqlite3_stmt *statement)
{
	const struct ps_statements *statements = &store->statements;
	const char *text = sqlite3_sql(statement), *at;

	if (!store->schema.known)
		return true;
	if (statements->virtual_count == 0)
		return false;
	/* A blob that is read piece by piece has no text. */
	if (text == NULL || sqlite3_strnicmp(text, "PRAGMA", 6) == 0)
		return true;
	for (at = text; *at != '\0'; at++) {
		if (*at != '\'' && *at != '"' && *at != '[')
			continue;
		for (size_t i = 0; i < statements->virtual_count; i++) {
			const char *name = statements->virtual_tables[i];
			size_t length = strlen(name);

			if (strpbrk(name, "'\"]") != NULL ||
			    (sqlite3_strnicmp(at + 1, name, (int)length) == 0 && at[1 + length] == '_'))
				return true;
		}
	}
	return false;
}

/* The next one behind `statement` (NULL: the first) that was not there before the call. */
static sqlite3_stmt *next_new(const struct ps_call *call, sqlite3_stmt *statement)
{
	do
		statement = sqlite3_next_stmt(call->connection, statement);
	while (statement != NULL && (statement == *call->any_write || is_among(call->open, call->open_count, statement)));
	return statement;
}

/* Adds those that have begun to run, and are not at their end, behind what was open before. How many. */
static size_t note_running(struct ps_call *call)
{
	sqlite3_stmt *statement = NULL;
	size_t count = 0;

	while ((statement = next_new(call, statement)) != NULL) {
		if (sqlite3_stmt_busy(statement) && add_open(call, call->open_count + count, statement))
			count++;
	}
	return count;
}

/*
 * Finalizes what the function has left open: how many. Where there are virtual tables that goes for what still runs: what does not
 * may be theirs, and they would finalize it once more. (One that is renamed keeps statements with its old name.) Where nobody can tell
 * what runs is only reset.
 */
static unsigned finalize_left(struct ps_store *store)
{
	struct ps_call *call = &store->call;
	sqlite3_stmt *statement;
	size_t running;
	unsigned count = 0;
	bool plain;

	if (next_new(call, NULL) == NULL)
		return 0;
	/* It may finalize statements, the virtual tables' among them, and prepare the engine's. */
	ps_behind_look_at_schema(store);
	plain = store->statements.virtual_count == 0 && !store->schema.full_text && !call->altered;
	running = note_running(call);
	statement = next_new(call, NULL);
	while (statement != NULL) {
		bool runs = is_among(call->open + call->open_count, running, statement);

		if ((plain || runs) && !is_of_virtual_table(store, statement)) {
			/* With it may go what a virtual table had for it. */
			sqlite3_finalize(statement);
			count++;
			statement = next_new(call, NULL);
		} else {
			statement = next_new(call, statement);
		}
	}
	while ((statement = next_new(call, statement)) != NULL) {
		if (sqlite3_sql(statement) == NULL || !sqlite3_stmt_busy(statement))
			continue;
		sqlite3_reset(statement);
		count += store->schema.known ? 0 : 1;
	}
	return count;
}

/* ---- calling ---- */

static const char *message_of(struct ps_store *store, int rc, char *text, size_t bytes)
{
	if (rc == SQLITE_INTERRUPT && store->deadline.expired) {
		snprintf(text, bytes, "interrupted: the call ran longer than statement_timeout_ms (%lld)",
		         (long long)store->options->keys.statement_timeout_ms);
		return text;
	}
	if (rc == SQLITE_AUTH && store->call.refusal[0] != '\0')
		return store->call.refusal;
	if ((sqlite3_extended_errcode(store->connection) & 0xff) == (rc & 0xff) && rc != SQLITE_DONE && rc != SQLITE_ROW &&
	    sqlite3_errmsg(store->connection)[0] != '\0')
		return sqlite3_errmsg(store->connection);
	snprintf(text, bytes, "the function returned %d (%s); only SQLITE_OK commits", rc, sqlite3_errstr(rc));
	return text;
}

/* It returned something else than SQLITE_OK. */
static void fail(struct ps_store *store, struct ps_outcome *outcome, int rc, const char *message)
{
	char text[160];

	if (message == NULL || message[0] == '\0')
		message = message_of(store, rc, text, sizeof text);
	ps_outcome_fail(outcome, PENSTOCK_ERROR, rc, message);
	/* A code that SQLite does not have. */
	if ((rc & 0xff) == SQLITE_OK)
		outcome->result.code = SQLITE_ERROR;
}

/* What it must not do; what it has returned says more. */
static void misuse(struct ps_outcome *outcome, const char *message)
{
	if (outcome->result.status == PENSTOCK_OK)
		ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_MISUSE, message);
}

void ps_store_expect_call(struct ps_store *store)
{
	/* Its commit would be the one that ends PRAGMA defer_foreign_keys. */
	if (ps_harm_has_hook(&store->harm) || store->one_by_one || ps_inside_step(store->begin) != SQLITE_OK)
		return;
	ps_inside_step(store->commit);
	ps_inside_end_transaction(store);
}

static bool prepare(struct ps_store *store, struct ps_outcome *outcome)
{
	struct ps_call *call = &store->call;
	int rc;

	call->connection = store->connection;
	call->any_write = &store->any_write;
	call->deadline = &store->deadline;
	call->ended = call->altered = call->attached = false;
	call->exclusive = store->exclusive;
	call->refusal[0] = '\0';
	rc = set_guard(call);
	if (rc != SQLITE_OK) {
		ps_outcome_fail(outcome, PENSTOCK_ERROR, rc, sqlite3_errmsg(store->connection));
		return false;
	}
	ps_changes_correct(store->changes, 0);
	ps_inside_forget_statements(store);
	if (!note_open(call)) {
		ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_NOMEM, "out of memory for a call");
		return false;
	}
	note_settings(call);
	sqlite3_set_last_insert_rowid(store->connection, 0);
	return true;
}

static int call_function(struct ps_store *store, penstock_function *function, void *arg, char **message, bool *waited)
{
	struct ps_call *call = &store->call;
	int rc;

	store->statements.call = call;
	call->running = true;
	ps_statement_deadline_begin_call(&store->deadline);
	ps_thread.wait_refused = false;
	ps_callback_begin();
	rc = function(store->connection, arg, message);
	ps_callback_end();
	*waited = ps_thread.wait_refused;
	call->running = false;
	return rc;
}

void ps_store_call(struct ps_store *store, penstock_function *function, void *arg, struct ps_outcome *outcome)
{
	char *message = NULL;
	int64_t total;
	const char *left;
	bool waited, replaced;
	int rc;

	if (!prepare(store, outcome))
		return;
	total = sqlite3_total_changes64(store->connection);
	rc = call_function(store, function, arg, &message, &waited);
	if (rc != SQLITE_OK)
		fail(store, outcome, rc, message);
	if (ps_inside_end_interrupted(store) && rc == SQLITE_OK)
		fail(store, outcome, SQLITE_INTERRUPT, sqlite3_errstr(SQLITE_INTERRUPT));
	sqlite3_free(message);
	replaced = !has_authorizer(&store->call);
	store->statements.call = NULL;
	outcome->result.changes = sqlite3_total_changes64(store->connection) - total;
	outcome->result.last_insert_rowid = sqlite3_last_insert_rowid(store->connection);
	renew_handlers(store);
	ps_harm_renew_watch(&store->harm);
	ps_rowids_forget(&store->rowids);
	restore_settings(&store->call);
	left = replaced ? put_back_what_is_left(&store->call) : NULL;
	if (left != NULL)
		misuse(outcome, left);
	store->reprepares += ps_statements_forget_all(&store->statements);
	ps_harm_suspect(&store->harm);
	if (finalize_left(store) > 0)
		misuse(outcome, "the function left a statement open, and the call is rolled back; finalize each of them");
	/* Not before: it prepares a statement of the engine's, which would be taken for one that was left open. */
	ps_inside_forget_statements(store);
	if (store->call.ended || !ps_store_in_transaction(store))
		misuse(outcome,
		       "the call's transaction was rolled back before the function returned, by OR ROLLBACK for one, and the"
		       " function did not say so; return what the statement failed with");
	if (waited)
		misuse(outcome,
		       "the function called what would wait for an engine, which is refused there; the call is rolled back");
	if (outcome->result.status != PENSTOCK_OK)
		outcome->result.changes = outcome->result.last_insert_rowid = 0;
	/* changes() and total_changes() tell what was done, rolled back or not, as behind any ROLLBACK. */
	ps_changes_begin(store->changes);
}

void ps_store_leave_call(struct ps_store *store)
{
	detach_what_is_left(&store->call);
	/* As behind any COMMIT or ROLLBACK: full-text tables write in it, which counts. */
	ps_changes_correct(store->changes, sqlite3_changes64(store->connection));
	/* The schema may be the one before. */
	ps_inside_forget_statements(store);
	ps_inside_read_settings(store);
}

/* ---- late hooks ---- */

enum ps_verdict ps_store_add_hook(struct ps_store *store, penstock_connect_hook *function, void *arg,
                                  struct ps_outcome *outcome)
{
	struct ps_hook *hook = ps_hook_new(function, arg);
	const char *refusal;
	bool left_open;
	char text[256];
	int rc;

	if (ps_inside_is_stuck(store)) {
		ps_outcome_fail(outcome, PENSTOCK_SHUTDOWN, store->error_code, store->error_message);
		free(hook);
		return PS_BROKEN;
	}
	if (hook == NULL) {
		ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_NOMEM, "out of memory for a connect hook");
		return PS_DONE;
	}
	ps_statements_begin_hook(&store->statements);
	ps_callback_begin();
	rc = function(store->connection, arg);
	ps_callback_end();
	refusal = ps_statements_end_hook(&store->statements);
	if (rc == SQLITE_OK && refusal != NULL)
		rc = SQLITE_AUTH;
	left_open = ps_store_in_transaction(store);
	ps_inside_end_transaction(store);
	renew_handlers(store);
	ps_harm_forget_hook(&store->harm);
	ps_rowids_forget(&store->rowids);
	if (rc == SQLITE_OK)
		rc = ps_trust_note_functions(store->connection);
	ps_inside_forget_statements(store);
	ps_inside_read_settings(store);
	/* Who asks for durable is to have it all the same. */
	ps_inside_read_synchronous(store);
	ps_harm_suspect(&store->harm);
	if (rc == SQLITE_OK && !left_open) {
		ps_hooks_add(store->options->hooks, hook);
		return PS_DONE;
	}
	free(hook);
	if (rc == SQLITE_OK) {
		rc = SQLITE_MISUSE;
		snprintf(text, sizeof text, "the connect hook has left a transaction open; end it there");
	} else {
		snprintf(text, sizeof text, "the connect hook refused the connection: %s",
		         refusal != NULL ? refusal : sqlite3_errstr(rc));
	}
	ps_outcome_fail(outcome, PENSTOCK_ERROR, rc, text);
	return PS_DONE;
}
