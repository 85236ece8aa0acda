/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls on the writer: when and how often the function runs, what it may do, what becomes of the connection behind it, and what is
 * said of it. And connect hooks that come late.
 */
#include "tests/kit.h"

#include <stdarg.h>

TestSuite(call, .init = kit_begin, .fini = harness_end);

/* ---- calling ----------------------------------------------------------------------------------------------------- */

/* What a function of these tests does: SQL texts, one after the other, up to NULL; the code of the first that fails. */
struct script {
	const char *const *texts;
	bool swallows; /* whatever fails */
	unsigned ran;
	char message[256]; /* of the last that failed */
};

static int run_script(sqlite3 *connection, void *arg, char **message)
{
	struct script *script = arg;
	int rc = SQLITE_OK;

	(void)message;
	script->ran++;
	for (size_t i = 0; script->texts[i] != NULL; i++) {
		rc = sqlite3_exec(connection, script->texts[i], NULL, NULL, NULL);
		if (rc != SQLITE_OK)
			snprintf(script->message, sizeof script->message, "%s", sqlite3_errmsg(connection));
		if (rc != SQLITE_OK && !script->swallows)
			return rc;
	}
	return SQLITE_OK;
}

/* Submits a call, waits for its outcome, and has its result until `release`. */
static const penstock_result *call(penstock *db, penstock_function *function, void *arg, int status, int code)
{
	static penstock_handle *handle;
	const penstock_result *result;

	penstock_handle_release(handle);
	handle = NULL;
	if (db == NULL)
		return NULL;
	expect(penstock_call(db, function, arg, NULL, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), status);
	result = penstock_handle_result(handle);
	check(result->extended_code == code, "%d, not %d: %s", result->extended_code, code, result->message);
	check(result->column_count == 0 && result->row_count == 0);
	return result;
}

static void release(void)
{
	call(NULL, NULL, NULL, 0, 0);
}

#define SCRIPT(...)                            \
	{                                      \
		.texts = (const char *const[]) \
		{                              \
			__VA_ARGS__, NULL      \
		}                              \
	}

static void call_script(penstock *db, int status, int code, const char *part, int swallows, ...)
{
	const char *texts[16];
	struct script script = { .texts = texts, .swallows = swallows };
	const penstock_result *result;
	va_list list;
	size_t count = 0;

	va_start(list, swallows);
	while ((texts[count] = va_arg(list, const char *)) != NULL)
		count++;
	va_end(list);
	result = call(db, run_script, &script, status, code);
	check(script.ran == 1);
	check(strstr(result->message, part) != NULL, "no \"%s\" in \"%s\"", part, result->message);
}

/* All of it goes well. */
#define CALL(db, ...) call_script(db, PENSTOCK_OK, SQLITE_OK, "", false, __VA_ARGS__, NULL)
/* The last text that is run fails, and the function says so. */
#define CALL_FAILS(db, code, part, ...) call_script(db, PENSTOCK_ERROR, code, part, false, __VA_ARGS__, NULL)
/* Whatever fails is swallowed. */
#define CALL_SWALLOWS(db, status, code, part, ...) call_script(db, status, code, part, true, __VA_ARGS__, NULL)

static int64_t ask(const char *sql)
{
	return kit_ask(harness_path("test.db"), sql);
}

static int64_t rows(void)
{
	return ask("SELECT count(*) FROM t");
}

static int64_t number_of(sqlite3 *connection, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t number;

	check(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
	      sqlite3_errmsg(connection));
	check(sqlite3_step(statement) == SQLITE_ROW, "%s", sql);
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

static penstock *open_table(void)
{
	penstock_config config = kit_config();

	return kit_open_table(&config);
}

static void close_db(penstock *db)
{
	release();
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- what it does ------------------------------------------------------------------------------------------------ */

/* Moves *arg from account 1 to account 2, if it is there. */
static int transfer(sqlite3 *connection, void *arg, char **message)
{
	int64_t amount = *(int64_t *)arg, balance = number_of(connection, "SELECT a FROM t WHERE rowid=1");
	char text[128];

	check(!sqlite3_get_autocommit(connection) && sqlite3_txn_state(connection, "main") == SQLITE_TXN_WRITE);
	if (balance < amount) {
		*message = sqlite3_mprintf("only %lld are there", (long long)balance);
		return SQLITE_CONSTRAINT;
	}
	snprintf(text, sizeof text, "UPDATE t SET a=a-%lld WHERE rowid=1; UPDATE t SET a=a+%lld WHERE rowid=2",
	         (long long)amount, (long long)amount);
	return sqlite3_exec(connection, text, NULL, NULL, NULL);
}

Test(call, reads_decides_and_writes_as_one_transaction)
{
	penstock *db = open_table();
	int64_t amount = 30;

	expect(kit_execute(db, "INSERT INTO t VALUES(100), (0)"), PENSTOCK_OK);
	cr_assert_eq(call(db, transfer, &amount, PENSTOCK_OK, SQLITE_OK)->changes, 2);
	cr_assert_eq(ask("SELECT a FROM t WHERE rowid=2"), 30);
	amount = 71;
	cr_assert_str_eq(call(db, transfer, &amount, PENSTOCK_ERROR, SQLITE_CONSTRAINT)->message, "only 70 are there");
	cr_assert_eq(ask("SELECT a FROM t WHERE rowid=2"), 30);
	close_db(db);
}

static int insert_and_return(sqlite3 *connection, void *arg, char **message)
{
	(void)message;
	check(sqlite3_exec(connection, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	return *(int *)arg;
}

Test(call, anything_but_ok_rolls_back_and_is_the_outcome)
{
	static const int codes[] = { SQLITE_DONE, SQLITE_ROW, SQLITE_ERROR,       SQLITE_BUSY, SQLITE_FULL,
		                     256,         -1,         SQLITE_IOERR_WRITE, 12345,       SQLITE_CONSTRAINT_TRIGGER };
	penstock *db = open_table();
	int code;

	for (size_t i = 0; i < COUNT_OF(codes); i++) {
		const penstock_result *result;

		code = codes[i];
		result = call(db, insert_and_return, &code, PENSTOCK_ERROR, code);
		check(result->code != SQLITE_OK && result->message[0] != '\0');
		check(result->changes == 0 && result->last_insert_rowid == 0);
		cr_assert_eq(rows(), 0);
	}
	code = SQLITE_DONE;
	check(strstr(call(db, insert_and_return, &code, PENSTOCK_ERROR, code)->message, "only SQLITE_OK commits") != NULL);
	code = SQLITE_OK;
	call(db, insert_and_return, &code, PENSTOCK_OK, code);
	cr_assert_eq(rows(), 1);
	CALL_FAILS(db, SQLITE_ERROR, "no such table: u", "INSERT INTO t VALUES(2)", "INSERT INTO u VALUES(2)");
	cr_assert_eq(rows(), 1);
	close_db(db);
}

static int say_nothing(sqlite3 *connection, void *arg, char **message)
{
	(void)connection;
	(void)arg;
	*message = sqlite3_mprintf("");
	return SQLITE_CONSTRAINT;
}

Test(call, an_error_has_a_message)
{
	penstock *db = open_table();

	check(strstr(call(db, say_nothing, NULL, PENSTOCK_ERROR, SQLITE_CONSTRAINT)->message,
	             sqlite3_errstr(SQLITE_CONSTRAINT)) != NULL);
	close_db(db);
}

static int count_rows(sqlite3 *connection, void *arg, char **message)
{
	(void)message;
	*(int64_t *)arg = number_of(connection, "SELECT count(*) FROM t");
	return SQLITE_OK;
}

Test(call, has_its_turn_in_the_order_of_tickets)
{
	penstock *db = open_table();
	int64_t seen[20];

	kit_block(db);
	for (size_t i = 0; i < COUNT_OF(seen); i++) {
		for (size_t k = 0; k < i; k++)
			expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		expect(penstock_call(db, count_rows, &seen[i], NULL, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (size_t i = 0; i < COUNT_OF(seen); i++)
		check(seen[i] == (int64_t)(i * (i + 1) / 2), "%zu: %lld", i, (long long)seen[i]);
	close_db(db);
}

/* One before and one behind it fail, so that the batches around it are replayed. */
Test(call, is_not_concerned_by_the_replays_of_its_neighbours)
{
	penstock_config config = kit_config();
	struct script script = SCRIPT("INSERT INTO t VALUES(1)");
	penstock *db = kit_open_table(&config);

	expect(kit_execute(db, "CREATE TABLE u(a INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO u VALUES(1)"), PENSTOCK_OK);
	kit_block(db);
	for (unsigned i = 0; i < 10; i++) {
		expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
		expect(kit_submit(db, "INSERT INTO u VALUES(1)", 0, NULL), PENSTOCK_OK);
		expect(penstock_call(db, run_script, &script, NULL, 0, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(script.ran, 10);
	cr_assert_eq(rows(), 20);
	close_db(db);
}

Test(call, does_not_begin_while_the_lock_is_anothers)
{
	penstock_config config = kit_config();
	struct script script = SCRIPT("INSERT INTO t VALUES(1)");
	penstock_handle *handle;
	sqlite3 *outsider;
	penstock *db;

	config.busy_timeout_ms = 1;
	config.busy_limit_ms = 20;
	db = kit_open_table(&config);
	check(sqlite3_open(harness_path("test.db"), &outsider) == SQLITE_OK);
	check(sqlite3_exec(outsider, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	call(db, run_script, &script, PENSTOCK_ERROR, SQLITE_BUSY);
	cr_assert_eq(script.ran, 0);
	config.busy_limit_ms = 0;
	penstock_config_init(&config);
	config.busy_limit_ms = 0;
	expect(penstock_reconfigure(db, &config), PENSTOCK_OK);
	expect(penstock_call(db, run_script, &script, NULL, 0, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, SHORT), PENSTOCK_TIMEOUT);
	cr_assert_eq(script.ran, 0);
	check(sqlite3_exec(outsider, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(script.ran, 1);
	penstock_handle_release(handle);
	/* A stop that gives up does not begin it either. */
	check(sqlite3_exec(outsider, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	expect(penstock_call(db, run_script, &script, NULL, 0, &handle), PENSTOCK_OK);
	expect(penstock_stop_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_SHUTDOWN);
	cr_assert_eq(script.ran, 1);
	penstock_handle_release(handle);
	check(sqlite3_close(outsider) == SQLITE_OK);
	close_db(db);
}

Test(call, runs_once_when_its_commit_fails)
{
	penstock_config config = kit_config();
	penstock_pragma keys = PENSTOCK_PRAGMA("foreign_keys", "1");
	struct script script = SCRIPT("INSERT INTO t VALUES(1)", "INSERT INTO child VALUES(7)");
	penstock *db;

	config.pragmas = &keys;
	config.pragma_count = 1;
	db = kit_open_table(&config);
	expect(kit_execute(db, "CREATE TABLE parent(p INTEGER PRIMARY KEY)"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE child(p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"), PENSTOCK_OK);
	cr_assert_eq(call(db, run_script, &script, PENSTOCK_ERROR, SQLITE_CONSTRAINT_FOREIGNKEY)->last_insert_rowid, 0);
	cr_assert_eq(script.ran, 1);
	cr_assert_eq(rows(), 0);
	CALL(db, "INSERT INTO child VALUES(7)", "INSERT INTO parent VALUES(7)");
	CALL(db, "PRAGMA defer_foreign_keys=1", "DELETE FROM parent", "DELETE FROM child");
	close_db(db);
}

/* What the engine does before the first call of a connection must not be the commit that ends the deferring. */
Test(call, is_the_one_that_deferred_keys_are_deferred_for)
{
	penstock_config config = kit_config();
	penstock_pragma keys = PENSTOCK_PRAGMA("foreign_keys", "1");
	penstock *db;

	config.pragmas = &keys;
	config.pragma_count = 1;
	db = kit_open_table(&config);
	expect(kit_execute(db, "CREATE TABLE parent(p INTEGER PRIMARY KEY)"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE child(p REFERENCES parent)"), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "PRAGMA defer_foreign_keys=1"), PENSTOCK_OK);
	CALL(db, "INSERT INTO child VALUES(7)", "INSERT INTO parent VALUES(7)");
	CALL_FAILS(db, SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY", "INSERT INTO child VALUES(8)",
	           "INSERT INTO parent VALUES(8)");
	close_db(db);
}

/* Then every write gives a row, the guard's too. */
Test(call, runs_with_count_changes)
{
	penstock *db = open_table();

	expect(kit_execute(db, "PRAGMA count_changes=1"), PENSTOCK_OK);
	CALL(db, "INSERT INTO t VALUES(1)");
	cr_assert_eq(rows(), 1);
	close_db(db);
}

/* ---- whose transaction it is ------------------------------------------------------------------------------------- */

Test(call, may_not_end_or_begin_a_transaction)
{
	static const char *const refused[] = { "BEGIN", "BEGIN EXCLUSIVE", "COMMIT", "END", "ROLLBACK", "COMMIT; BEGIN" };
	penstock *db = open_table();

	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		CALL_FAILS(db, SQLITE_AUTH, "SAVEPOINT", "INSERT INTO t VALUES(1)", refused[i]);
		cr_assert_eq(rows(), 0);
		/* Nothing has happened when the refusal is swallowed. */
		CALL_SWALLOWS(db, PENSTOCK_OK, SQLITE_OK, "", "INSERT INTO t VALUES(1)", refused[i], "DELETE FROM t");
		cr_assert_eq(rows(), 0);
	}
	CALL(db, "SAVEPOINT s", "INSERT INTO t VALUES(1)", "ROLLBACK TO s", "INSERT INTO t VALUES(2)", "RELEASE s",
	     "SAVEPOINT left_open", "INSERT INTO t VALUES(3)");
	cr_assert_eq(ask("SELECT sum(a) FROM t"), 5);
	close_db(db);
}

/* 200 rows, the failure in between, and 200 rows more with a statement from before: none of them is there. */
static int swallow_rollback(sqlite3 *connection, void *arg, char **message)
{
	const char *const *around = arg;
	sqlite3_stmt *insert, *first = NULL;
	bool again = around[1] != NULL;

	(void)message;
	check(sqlite3_prepare_v2(connection, "INSERT INTO t VALUES(1)", -1, &insert, NULL) == SQLITE_OK);
	if (again)
		check(sqlite3_prepare_v2(connection, around[1], -1, &first, NULL) == SQLITE_OK);
	for (unsigned i = 0; i < 400; i++) {
		if (i == 200) {
			check(sqlite3_exec(connection, around[0], NULL, NULL, NULL) != SQLITE_OK);
			check(sqlite3_get_autocommit(connection));
			check(sqlite3_exec(connection, "INSERT INTO t VALUES(2)", NULL, NULL, NULL) == SQLITE_AUTH);
			check(sqlite3_exec(connection, "SAVEPOINT s", NULL, NULL, NULL) == SQLITE_AUTH);
			if (again)
				sqlite3_step(first);
		}
		sqlite3_step(insert);
		sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	sqlite3_finalize(first);
	return SQLITE_OK;
}

Test(call, a_rollback_that_the_function_swallows_is_found_out)
{
	/* What rolls back, and what is prepared before that to begin another transaction. */
	static const char *const around[][2] = { { "INSERT OR ROLLBACK INTO u VALUES(1)", NULL },
		                                 { "INSERT OR ROLLBACK INTO u VALUES(1)", "SAVEPOINT s" },
		                                 { "INSERT INTO v VALUES(1)", NULL },
		                                 { "INSERT INTO v VALUES(1)", "SAVEPOINT s" },
		                                 { "INSERT INTO w VALUES(1), (1)", NULL } };
	penstock_config config = kit_config();
	penstock *db;

	for (int limit = 0; limit <= 1; limit++) {
		config.statement_timeout_ms = limit ? 60000 : 0;
		db = kit_open(&config);
		expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS t(a)"), PENSTOCK_OK);
		expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS u(a UNIQUE)"), PENSTOCK_OK);
		expect(kit_execute(db, "INSERT OR IGNORE INTO u VALUES(1)"), PENSTOCK_OK);
		expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS v(a)"), PENSTOCK_OK);
		expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS w(a UNIQUE ON CONFLICT ROLLBACK)"), PENSTOCK_OK);
		expect(kit_execute(db,
		                   "CREATE TRIGGER IF NOT EXISTS r BEFORE INSERT ON v BEGIN SELECT RAISE(ROLLBACK, 'no'); END"),
		       PENSTOCK_OK);
		for (size_t i = 0; i < COUNT_OF(around); i++) {
			const penstock_result *result =
				call(db, swallow_rollback, (void *)around[i], PENSTOCK_ERROR, SQLITE_MISUSE);

			check(strstr(result->message, "OR ROLLBACK") != NULL, "%s", result->message);
			cr_assert_eq(rows(), 0);
			expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
			expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
		}
		CALL_FAILS(db, SQLITE_CONSTRAINT_UNIQUE, "UNIQUE", "INSERT INTO t VALUES(1)",
		           "INSERT OR ROLLBACK INTO u VALUES(1)");
		cr_assert_eq(rows(), 0);
		close_db(db);
	}
}

static sqlite3_stmt *kept[2];

static int keep_statements(sqlite3 *connection, void *arg)
{
	(void)arg;
	check(sqlite3_prepare_v2(connection, "COMMIT", -1, &kept[0], NULL) == SQLITE_OK);
	check(sqlite3_prepare_v2(connection, "BEGIN", -1, &kept[1], NULL) == SQLITE_OK);
	return SQLITE_OK;
}

/* mode: 0: with statements from the connect hook; 1: without the authorizer; 2: and a ROLLBACK. */
static int commit_and_begin(sqlite3 *connection, void *arg, char **message)
{
	int mode = *(int *)arg;

	(void)message;
	check(sqlite3_exec(connection, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	if (mode > 0)
		sqlite3_set_authorizer(connection, NULL, NULL);
	if (mode == 2)
		check(sqlite3_exec(connection, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
	else if (mode == 1)
		check(sqlite3_exec(connection, "COMMIT", NULL, NULL, NULL) == SQLITE_AUTH);
	else
		check(sqlite3_step(kept[0]) != SQLITE_DONE);
	if (mode > 0)
		sqlite3_exec(connection, "BEGIN", NULL, NULL, NULL);
	else
		sqlite3_step(kept[1]);
	sqlite3_exec(connection, "INSERT INTO t VALUES(2)", NULL, NULL, NULL);
	sqlite3_reset(kept[0]);
	sqlite3_reset(kept[1]);
	return SQLITE_OK;
}

Test(call, a_commit_or_rollback_of_its_own_does_not_pass)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = keep_statements;
	db = kit_open_table(&config);
	for (int mode = 0; mode <= 2; mode++) {
		/* The engine asks about what was prepared before it was there, too. */
		call(db, commit_and_begin, &mode, mode == 0 ? PENSTOCK_OK : PENSTOCK_ERROR,
		     mode == 0 ? SQLITE_OK : SQLITE_MISUSE);
		cr_assert_eq(rows(), mode == 0 ? 2 : 0);
		expect(kit_execute(db, "BEGIN"), PENSTOCK_ERROR);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
		expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
	}
	sqlite3_finalize(kept[0]);
	sqlite3_finalize(kept[1]);
	close_db(db);
}

/* ---- what it leaves ---------------------------------------------------------------------------------------------- */

Test(call, may_not_change_what_outlives_it)
{
	static const char *const refused[] = { "PRAGMA query_only=1",
		                               "PRAGMA locking_mode=EXCLUSIVE",
		                               "PRAGMA busy_timeout=1",
		                               "PRAGMA writable_schema=1",
		                               "PRAGMA synchronous=OFF",
		                               "PRAGMA foreign_keys=1",
		                               "PRAGMA main.journal_mode=DELETE",
		                               "PRAGMA temp_store=MEMORY",
		                               "PRAGMA ignore_check_constraints(1)",
		                               "PRAGMA case_sensitive_like=1",
		                               "PRAGMA recursive_triggers=1",
		                               "PRAGMA max_page_count=10",
		                               "ATTACH ':memory:' AS x",
		                               "DETACH temp",
		                               "CREATE TEMP TABLE t(a)",
		                               "CREATE TABLE temp.t(a)",
		                               "CREATE TEMP VIEW t AS SELECT 1",
		                               "CREATE TEMP TRIGGER x BEFORE INSERT ON t BEGIN SELECT RAISE(IGNORE); END",
		                               "CREATE INDEX temp.i ON scratch(a)",
		                               "CREATE VIRTUAL TABLE temp.x USING fts5(a)",
		                               "CREATE VIEW temp.t AS SELECT 1",
		                               "CREATE TABLE temp.t AS SELECT 1",
		                               "ALTER TABLE temp.scratch RENAME TO t",
		                               "ALTER TABLE temp.scratch ADD COLUMN b",
		                               "DROP TABLE temp.scratch",
		                               "DROP TABLE scratch" };
	penstock *db = open_table();

	expect(kit_execute(db, "CREATE TEMP TABLE scratch(a)"), PENSTOCK_OK);
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		CALL_FAILS(db, SQLITE_AUTH, "outlive the call", "INSERT INTO t VALUES(1)", refused[i]);
		cr_assert_eq(rows(), 0);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
		cr_assert_eq(rows(), 1);
		expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
	}
	CALL(db, "INSERT INTO scratch VALUES(1)", "PRAGMA user_version=7", "PRAGMA table_info(t)", "PRAGMA foreign_key_check",
	     "PRAGMA integrity_check(1)", "PRAGMA query_only", "PRAGMA synchronous");
	cr_assert_eq(ask("PRAGMA user_version"), 7);
	CALL_FAILS(db, SQLITE_ERROR, "no such table", "PRAGMA user_version=8", "SELECT * FROM u");
	cr_assert_eq(ask("PRAGMA user_version"), 7);
	close_db(db);
}

static int always(void *arg)
{
	++*(int *)arg;
	return 1;
}

static int always_busy(void *arg, int count)
{
	(void)count;
	++*(int *)arg;
	return 0;
}

static int note_wal(void *arg, sqlite3 *connection, const char *database, int pages)
{
	(void)connection;
	(void)database;
	(void)pages;
	++*(int *)arg;
	return SQLITE_ERROR;
}

static int deny_inserts(void *arg, int action, const char *a, const char *b, const char *c, const char *d)
{
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	if (action != SQLITE_INSERT)
		return SQLITE_OK;
	++*(int *)arg;
	return SQLITE_DENY;
}

static void wrong_total(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int(context, -1);
}

/* Takes what is the engine's, and changes every setting and limit. arg counts how often somebody is asked behind it. */
static int change_everything(sqlite3 *connection, void *arg, char **message)
{
	int value;

	(void)message;
	check(sqlite3_exec(connection, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_progress_handler(connection, 1, always, arg);
	sqlite3_busy_handler(connection, always_busy, arg);
	sqlite3_commit_hook(connection, always, arg);
	sqlite3_wal_hook(connection, note_wal, arg);
	sqlite3_set_authorizer(connection, deny_inserts, arg);
	sqlite3_create_function(connection, "total_changes", 0, SQLITE_UTF8, NULL, wrong_total, NULL, NULL);
	sqlite3_extended_result_codes(connection, 0);
	for (int i = SQLITE_DBCONFIG_ENABLE_FKEY; i <= SQLITE_DBCONFIG_ENABLE_FKEY + 20; i++) {
		value = -1;
		if (sqlite3_db_config(connection, i, -1, &value) == SQLITE_OK && value != -1)
			sqlite3_db_config(connection, i, !value, &value);
	}
	sqlite3_db_config(connection, SQLITE_DBCONFIG_MAINDBNAME, "other");
	for (int i = 0; i < 12; i++)
		sqlite3_limit(connection, i, i == SQLITE_LIMIT_LENGTH ? 1000 : 1);
	return SQLITE_OK;
}

static int look_at_everything(sqlite3 *connection, void *arg, char **message)
{
	int *values = arg;

	(void)message;
	for (int i = 0; i < 21; i++)
		sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_FKEY + i, -1, &values[i]);
	for (int i = 0; i < 12; i++)
		values[21 + i] = sqlite3_limit(connection, i, -1);
	check(strcmp(sqlite3_db_name(connection, 0), "main") == 0);
	return SQLITE_OK;
}

Test(call, handlers_and_settings_are_as_before)
{
	penstock_config config = kit_config();
	int before[33] = { 0 }, after[33] = { 0 }, asked = 0;
	penstock_handle *handle;
	uint64_t wal_bytes;
	penstock *db;

	config.statement_timeout_ms = 60000;
	db = kit_open_table(&config);
	call(db, look_at_everything, before, PENSTOCK_OK, SQLITE_OK);
	call(db, change_everything, &asked, PENSTOCK_OK, SQLITE_OK);
	cr_assert_eq(rows(), 1);
	call(db, look_at_everything, after, PENSTOCK_OK, SQLITE_OK);
	cr_assert_eq(memcmp(before, after, sizeof before), 0);
	wal_bytes = kit_counters(db).wal_bytes;
	expect(kit_execute(db, "INSERT INTO t VALUES(2)"), PENSTOCK_OK);
	check(kit_counters(db).wal_bytes > wal_bytes);
	expect(kit_execute(db, "BEGIN"), PENSTOCK_ERROR);
	expect(kit_submit(db, "SELECT total_changes()", 0, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(penstock_result_cell(penstock_handle_result(handle), 0, 0)->as.integer == 2);
	penstock_handle_release(handle);
	expect(kit_execute(db, "CREATE TABLE u(a UNIQUE)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO u VALUES(1)"), PENSTOCK_OK);
	expect(kit_submit(db, "INSERT INTO u VALUES(1)", 0, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	cr_assert_eq(penstock_handle_result(handle)->extended_code, SQLITE_CONSTRAINT_UNIQUE);
	penstock_handle_release(handle);
	cr_assert_eq(asked, 0);
	close_db(db);
}

/* Without the authorizer, which would refuse each of them. arg: texts up to a NULL; the last one is what it returns. */
static int leave_behind(sqlite3 *connection, void *arg, char **message)
{
	const char *const *texts = arg;

	(void)message;
	sqlite3_set_authorizer(connection, NULL, NULL);
	for (; texts[1] != NULL; texts++)
		check(sqlite3_exec(connection, texts[0], NULL, NULL, NULL) == SQLITE_OK, "%s: %s", texts[0],
		      sqlite3_errmsg(connection));
	return atoi(texts[0]);
}

Test(call, what_is_left_behind_without_the_authorizer_is_found_out)
{
	static const char *const left[][4] = {
		{ "INSERT INTO t VALUES(1)", "ATTACH ':memory:' AS other", "0", NULL },
		{ "INSERT INTO t VALUES(1)", "ATTACH '' AS other; ATTACH ':memory:' AS more", "0", NULL },
		{ "INSERT INTO t VALUES(1)", "CREATE TEMP TABLE t(a)", "0", NULL },
		{ "INSERT INTO t VALUES(1)", "CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t; END", "0", NULL },
		{ "INSERT INTO t VALUES(1)", "PRAGMA query_only=1", "0", NULL },
		{ "INSERT INTO t VALUES(1)", "PRAGMA locking_mode=exclusive", "0", NULL },
		{ "INSERT INTO t VALUES(1)", "ATTACH ':memory:' AS other", "19", NULL },
		{ "PRAGMA query_only=1", "PRAGMA locking_mode=exclusive", "19", NULL },
	};
	static const char *const nothing[] = { "INSERT INTO t VALUES(5)", "INSERT INTO own VALUES(1)", "0", NULL };
	penstock *db = open_table();
	penstock_counters before;
	int64_t count = 0;

	for (size_t i = 0; i < COUNT_OF(left); i++) {
		bool fails = strcmp(left[i][2], "19") == 0;
		const penstock_result *result =
			call(db, leave_behind, (void *)left[i], PENSTOCK_ERROR, fails ? SQLITE_CONSTRAINT : SQLITE_MISUSE);

		check(fails || strstr(result->message, "replaced the authorizer") != NULL, "%s", result->message);
		cr_assert_eq(rows(), count);
		/* All is as before: this goes to main, is seen by others, and statements share a transaction. */
		kit_block(db);
		before = kit_counters(db);
		for (int k = 0; k < 5; k++)
			expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		kit_unblock();
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(kit_counters(db).batches - before.batches, 2);
		count += 5;
		cr_assert_eq(rows(), count);
	}
	/* What may stay: rows of what is in temp already. */
	expect(kit_execute(db, "CREATE TEMP TABLE own(a)"), PENSTOCK_OK);
	call(db, leave_behind, (void *)left[2], PENSTOCK_ERROR, SQLITE_MISUSE);
	call(db, leave_behind, (void *)nothing, PENSTOCK_OK, SQLITE_OK);
	cr_assert_eq(rows(), count + 1);
	close_db(db);
}

/* Another process's lock is waited for with the engine's patience, not with the function's handler. */
Test(call, the_busy_handler_is_the_engines_again)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	sqlite3 *outsider;
	int asked = 0;
	penstock *db;

	config.busy_timeout_ms = 1;
	db = kit_open_table(&config);
	call(db, change_everything, &asked, PENSTOCK_OK, SQLITE_OK);
	check(sqlite3_open(harness_path("test.db"), &outsider) == SQLITE_OK);
	check(sqlite3_exec(outsider, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);
	await(kit_counters(db).busy_retries > 2);
	check(sqlite3_exec(outsider, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	check(sqlite3_close(outsider) == SQLITE_OK);
	cr_assert_eq(asked, 0);
	close_db(db);
}

Test(call, what_was_prepared_before_is_looked_at_anew)
{
	penstock *db = open_table();
	penstock_statement *insert;

	expect(penstock_statement_register(db, "INSERT INTO t(a) VALUES(?)", -1, &insert), PENSTOCK_OK);
	for (int i = 0; i < 20; i++)
		expect(kit_submit_by(db, insert, i, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	CALL(db, "ALTER TABLE t RENAME TO old", "CREATE TABLE t(b DEFAULT 7, a CHECK(a < 100))", "INSERT INTO t(a) VALUES(5)");
	for (int i = 0; i < 20; i++)
		expect(kit_submit_by(db, insert, i, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 100, 0, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	CALL_FAILS(db, SQLITE_ERROR, "no such table: nowhere", "DROP TABLE t", "CREATE TABLE t(a)", "DROP TABLE nowhere");
	expect(kit_insert(db, 100, 0, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 2, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 23);
	cr_assert_eq(ask("SELECT count(*) FROM t WHERE b=7"), 23);
	cr_assert_eq(ask("SELECT count(*) FROM old"), 21);
	close_db(db);
}

/* arg: what is left, and how. */
static int leave_open(sqlite3 *connection, void *arg, char **message)
{
	int how = *(int *)arg;
	/* What it has besides its statement is lost; here it can still be reached. */
	static sqlite3_blob *blob;
	sqlite3_stmt *statement;

	(void)message;
	check(sqlite3_exec(connection, "INSERT INTO t VALUES('text')", NULL, NULL, NULL) == SQLITE_OK);
	if (how == 3)
		return sqlite3_blob_open(connection, "main", "t", "a", sqlite3_last_insert_rowid(connection), 1, &blob);
	check(sqlite3_prepare_v2(connection, how == 2 ? "INSERT INTO t VALUES(2), (3) RETURNING a" : "SELECT a FROM t", -1,
	                         &statement, NULL) == SQLITE_OK);
	if (how > 0)
		check(sqlite3_step(statement) == SQLITE_ROW);
	return SQLITE_OK;
}

static int count_statements(sqlite3 *connection, void *arg, char **message)
{
	sqlite3_stmt *statement = NULL;
	int count = 0;

	(void)message;
	while ((statement = sqlite3_next_stmt(connection, statement)) != NULL)
		count++;
	*(int *)arg = count;
	return SQLITE_OK;
}

/* The table has a blob open until the transaction ends, and as long as that runs nothing else does: not even a look at the schema. */
static int interrupt_a_table(sqlite3 *connection, void *arg, char **message)
{
	(void)message;
	check(sqlite3_exec(connection, "CREATE TABLE new(a); DELETE FROM boxes WHERE id > 150", NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_interrupt(connection);
	check(sqlite3_exec(connection, "SELECT 1", NULL, NULL, NULL) == SQLITE_INTERRUPT);
	return *(int *)arg;
}

Test(call, what_a_virtual_table_has_open_stays_when_the_schema_cannot_be_read)
{
	static const int returns[] = { SQLITE_INTERRUPT, SQLITE_OK, SQLITE_INTERRUPT };
	penstock *db = open_table();

	expect(kit_execute(db, "CREATE VIRTUAL TABLE boxes USING rtree(id, a, b)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO boxes WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200)"
	                       " SELECT i, i, i+1 FROM n"),
	       PENSTOCK_OK);
	for (size_t i = 0; i < COUNT_OF(returns); i++) {
		int code = returns[i];

		call(db, interrupt_a_table, &code, PENSTOCK_ERROR, SQLITE_INTERRUPT);
		expect(kit_execute(db, "DELETE FROM boxes WHERE id=1"), PENSTOCK_OK);
		expect(kit_execute(db, "INSERT INTO boxes VALUES(1, 2, 3)"), PENSTOCK_OK);
	}
	cr_assert_eq(ask("SELECT count(*) FROM boxes"), 200);
	close_db(db);
}

Test(call, statements_left_open_are_finalized_and_an_error)
{
	penstock *db = open_table();
	int before, after;

	call(db, count_statements, &before, PENSTOCK_OK, SQLITE_OK);
	/* The handle of a blob is the function's own leak. */
	for (int how = 0; how <= (KIT_SANITIZED ? 2 : 3); how++) {
		const penstock_result *result = call(db, leave_open, &how, PENSTOCK_ERROR, SQLITE_MISUSE);

		check(strstr(result->message, "left a statement open") != NULL, "%s", result->message);
		call(db, count_statements, &after, PENSTOCK_OK, SQLITE_OK);
		cr_assert_eq(after, before);
		cr_assert_eq(rows(), 0);
	}
	close_db(db);
}

/* They keep statements of their own, which are not the function's to finalize. */
Test(call, may_use_virtual_tables)
{
	penstock *db = open_table();

	CALL(db, "CREATE VIRTUAL TABLE words USING fts5(a)", "INSERT INTO words VALUES('one two')",
	     "SELECT * FROM words WHERE words MATCH 'two'");
	CALL(db, "CREATE VIRTUAL TABLE boxes USING rtree(id, a, b)", "INSERT INTO boxes VALUES(1, 2, 3)",
	     "SELECT * FROM boxes WHERE a > 1");
	CALL(db, "CREATE VIRTUAL TABLE old USING fts4(a)", "INSERT INTO old VALUES('one two')", "UPDATE old SET a='three'");
	for (int i = 0; i < 3; i++) {
		CALL(db, "INSERT INTO words VALUES('three')", "DELETE FROM old", "INSERT INTO old VALUES('four')");
		CALL_FAILS(db, SQLITE_ERROR, "nowhere", "INSERT INTO words VALUES('five')", "UPDATE boxes SET a=0",
		           "SELECT * FROM nowhere");
		expect(kit_execute(db, "INSERT INTO words VALUES('six')"), PENSTOCK_OK);
	}
	cr_assert_eq(ask("SELECT count(*) FROM words"), 7);
	cr_assert_eq(ask("SELECT count(*) FROM words WHERE words MATCH 'five'"), 0);
	close_db(db);
}

static int leave_a_scan_open(sqlite3 *connection, void *arg, char **message)
{
	sqlite3_stmt *statement;

	(void)message;
	check(sqlite3_prepare_v2(connection, arg, -1, &statement, NULL) == SQLITE_OK);
	check(sqlite3_step(statement) == SQLITE_ROW);
	return SQLITE_OK;
}

/* What the scan runs within is the table's, which finalizes it with the scan. */
Test(call, a_scan_of_a_virtual_table_that_is_left_open_is_finalized)
{
	penstock *db = open_table();

	CALL(db, "CREATE VIRTUAL TABLE words USING fts5(a)", "INSERT INTO words VALUES('one two'),('three')");
	CALL(db, "CREATE VIRTUAL TABLE old USING fts4(a)", "INSERT INTO old VALUES('one two'),('three')");
	for (int i = 0; i < 3; i++) {
		call(db, leave_a_scan_open, "SELECT a FROM words", PENSTOCK_ERROR, SQLITE_MISUSE);
		call(db, leave_a_scan_open, "SELECT a FROM old", PENSTOCK_ERROR, SQLITE_MISUSE);
		CALL(db, "INSERT INTO words VALUES('four')", "INSERT INTO old VALUES('four')", "SELECT a FROM old");
	}
	cr_assert_eq(ask("SELECT count(*) FROM words WHERE words MATCH 'four'"), 3);
	cr_assert_eq(ask("SELECT count(*) FROM old WHERE old MATCH 'four'"), 3);
	close_db(db);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static penstock *the_engine;
static penstock_handle *the_handle;

/* Each call that would wait, by its number; false behind the last. */
static bool wait_somehow(int which, int *status)
{
	penstock_submission insert = PENSTOCK_SUBMISSION_INIT;
	sqlite3 *reader;
	penstock *other;

	insert.sql = "INSERT INTO t VALUES(1)";
	switch (which) {
	case 0:
		*status = penstock_execute(the_engine, &insert, PENSTOCK_FOREVER, NULL);
		return true;
	case 1:
		*status = penstock_flush(the_engine, 0);
		return true;
	case 2:
		*status = penstock_handle_wait(the_handle, SHORT);
		return true;
	case 3:
		*status = penstock_pause(the_engine, 0);
		return true;
	case 4:
		*status = penstock_stop(the_engine, 0);
		return true;
	case 5:
		*status = penstock_close(the_engine, 0);
		return true;
	case 6:
		*status = penstock_reader_open(the_engine, &reader);
		return true;
	case 7:
		*status = penstock_on_connect(the_engine, kit_hook, NULL);
		return true;
	case 8:
		*status = penstock_open(harness_path("other.db"), NULL, &other);
		return true;
	default:
		return false;
	}
}

static int wait_in_call(sqlite3 *connection, void *arg, char **message)
{
	int status;

	(void)message;
	check(sqlite3_exec(connection, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	check(wait_somehow(*(int *)arg, &status));
	expect(status, PENSTOCK_MISUSE);
	return SQLITE_OK;
}

Test(call, may_not_wait_for_an_engine)
{
	int which, status;

	the_engine = open_table();
	/* Held up, so that waiting for it would be waiting. */
	for (which = 0; which <= 8; which++) {
		const penstock_result *result;
		penstock_handle *handle;

		kit_block(the_engine);
		expect(penstock_call(the_engine, wait_in_call, &which, NULL, 0, &handle), PENSTOCK_OK);
		expect(kit_insert(the_engine, 1, 0, &the_handle), PENSTOCK_OK);
		kit_unblock();
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
		result = penstock_handle_result(handle);
		cr_assert_eq(result->extended_code, SQLITE_MISUSE);
		check(strstr(result->message, "wait") != NULL, "%s", result->message);
		penstock_handle_release(handle);
		expect(penstock_handle_wait(the_handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(the_handle);
		cr_assert_eq(rows(), which + 1);
	}
	check(!wait_somehow(which, &status));
	close_db(the_engine);
}

static int submit_in_call(sqlite3 *connection, void *arg, char **message)
{
	(void)connection;
	(void)message;
	for (int i = 0; i < 3; i++)
		expect(kit_insert(the_engine, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	if (--*(int *)arg > 0)
		expect(penstock_call(the_engine, submit_in_call, arg, NULL, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	return SQLITE_OK;
}

Test(call, may_submit)
{
	int left = 5;

	the_engine = open_table();
	call(the_engine, submit_in_call, &left, PENSTOCK_OK, SQLITE_OK);
	await(rows() == 15);
	cr_assert_eq(left, 0);
	close_db(the_engine);
}

/* ---- what is said ------------------------------------------------------------------------------------------------ */

static int look_at_counts(sqlite3 *connection, void *arg, char **message)
{
	int64_t *seen = arg;

	(void)message;
	seen[0] = number_of(connection, "SELECT changes()");
	seen[1] = number_of(connection, "SELECT last_insert_rowid()");
	return SQLITE_OK;
}

Test(call, counts_what_the_function_changed)
{
	penstock *db = open_table();
	struct script script = SCRIPT("INSERT INTO t VALUES(1), (2)", "UPDATE t SET a=a+1", "INSERT INTO t VALUES(3)",
	                              "DELETE FROM t WHERE a=2");
	const penstock_result *result = call(db, run_script, &script, PENSTOCK_OK, SQLITE_OK);
	int64_t seen[2] = { -1, -1 };

	cr_assert_eq(result->changes, 6);
	cr_assert_eq(result->last_insert_rowid, 3);
	check(result->ticket > 0);
	expect(kit_execute(db, "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a=a+1; END"), PENSTOCK_OK);
	script = (struct script)SCRIPT("INSERT INTO t VALUES(9)");
	result = call(db, run_script, &script, PENSTOCK_OK, SQLITE_OK);
	cr_assert_eq(result->changes, 4);
	cr_assert_eq(result->last_insert_rowid, 4);
	result = call(db, look_at_counts, seen, PENSTOCK_OK, SQLITE_OK);
	cr_assert_eq(result->changes, 0);
	cr_assert_eq(result->last_insert_rowid, 0);
	cr_assert_eq(seen[0], 0);
	cr_assert_eq(seen[1], 0);
	close_db(db);
}

struct heard {
	_Atomic int calls;
	penstock_status status;
	void *arg;
};

static void hear(void *arg, const penstock_result *result)
{
	struct heard *heard = arg;

	heard->status = result->status;
	heard->arg = result->arg;
	heard->calls++;
}

Test(call, is_submitted_as_its_submission_says)
{
	penstock_config config = kit_config();
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
	struct heard heard = { .calls = 0 };
	struct script script = SCRIPT("INSERT INTO t VALUES(1)"), bad = SCRIPT("INSERT INTO nowhere VALUES(1)");
	penstock_handle *handle;
	penstock *db;

	config.on_error = hear;
	config.on_error_arg = &heard;
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	whole.ack = PENSTOCK_ACK_DURABLE;
	whole.arg = &heard;
	expect(penstock_call(db, run_script, &script, &whole, 0, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(penstock_handle_result(handle)->arg == &heard);
	penstock_handle_release(handle);
	cr_assert_eq(kit_counters(db).wal_syncs, 1);
	whole.ack = PENSTOCK_ACK_DEFAULT;
	whole.on_complete = hear;
	expect(penstock_call(db, run_script, &script, &whole, 0, NULL), PENSTOCK_OK);
	await(heard.calls == 1);
	check(heard.status == PENSTOCK_OK && heard.arg == &heard);
	/* Nobody listens: the failure is for on_error. */
	whole.on_complete = NULL;
	whole.ack = PENSTOCK_ACK_NONE;
	expect(penstock_call(db, run_script, &bad, &whole, 0, NULL), PENSTOCK_OK);
	await(heard.calls == 2);
	check(heard.status == PENSTOCK_ERROR);
	cr_assert_eq(rows(), 2);
	close_db(db);
}

Test(call, bad_calls_are_misuse)
{
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
	struct script script = SCRIPT("INSERT INTO t VALUES(1)");
	penstock_value value = penstock_int64(1);
	penstock_handle *handle = (penstock_handle *)1;
	penstock_statement *statement;
	penstock *db = open_table();

	expect(penstock_statement_register(db, "SELECT 1", -1, &statement), PENSTOCK_OK);
	expect(penstock_call(NULL, run_script, &script, NULL, 0, &handle), PENSTOCK_MISUSE);
	cr_assert_null(handle);
	expect(penstock_call(db, NULL, &script, NULL, 0, NULL), PENSTOCK_MISUSE);
	expect_message("function");
	whole.sql = "SELECT 1";
	expect(penstock_call(db, run_script, &script, &whole, 0, NULL), PENSTOCK_MISUSE);
	expect_message("leave them out");
	whole.sql = NULL;
	whole.statement = statement;
	expect(penstock_call(db, run_script, &script, &whole, 0, NULL), PENSTOCK_MISUSE);
	whole.statement = NULL;
	whole.values = &value;
	expect(penstock_call(db, run_script, &script, &whole, 0, NULL), PENSTOCK_MISUSE);
	whole.values = NULL;
	whole.value_count = 1;
	expect(penstock_call(db, run_script, &script, &whole, 0, NULL), PENSTOCK_MISUSE);
	whole.value_count = 0;
	whole.on_complete = hear;
	expect(penstock_call(db, run_script, &script, &whole, 0, &handle), PENSTOCK_MISUSE);
	whole.on_complete = NULL;
	whole.flags = 1u << 30;
	expect(penstock_call(db, run_script, &script, &whole, 0, NULL), PENSTOCK_MISUSE);
	whole.flags = 0;
	whole.ack = PENSTOCK_ACK_DURABLE; /* synchronous is OFF */
	expect(penstock_call(db, run_script, &script, &whole, 0, &handle), PENSTOCK_MISUSE);
	whole.struct_size = 3;
	expect(penstock_call(db, run_script, &script, &whole, 0, NULL), PENSTOCK_MISUSE);
	cr_assert_eq(kit_counters(db).refused[PENSTOCK_MISUSE], 8);
	cr_assert_eq(script.ran, 0);
	close_db(db);
}

static int take_long(sqlite3 *connection, void *arg, char **message)
{
	(void)arg;
	(void)message;
	check(sqlite3_exec(connection, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	return sqlite3_exec(connection, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n",
	                    NULL, NULL, NULL);
}

Test(call, ends_when_it_takes_too_long)
{
	penstock_config config = kit_config();
	const penstock_result *result;
	penstock *db;

	config.statement_timeout_ms = 50;
	db = kit_open_table(&config);
	result = call(db, take_long, NULL, PENSTOCK_ERROR, SQLITE_INTERRUPT);
	check(strstr(result->message, "statement_timeout_ms") != NULL, "%s", result->message);
	cr_assert_eq(rows(), 0);
	/* What runs behind it has a time of its own. */
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	call(db, take_long, NULL, PENSTOCK_ERROR, SQLITE_INTERRUPT);
	CALL(db, "INSERT INTO t VALUES(1)");
	cr_assert_eq(rows(), 2);
	close_db(db);
}

Test(call, has_a_deadline_and_is_cancelled_as_any_submission)
{
	penstock_submission late = PENSTOCK_SUBMISSION_INIT, wanted = PENSTOCK_SUBMISSION_INIT;
	struct script script = SCRIPT("INSERT INTO t VALUES(1)");
	penstock_handle *expired, *cancelled, *done;
	penstock *db = open_table();

	late.deadline_usec = penstock_deadline(0);
	wanted.flags = PENSTOCK_CANCELLABLE;
	wanted.deadline_usec = penstock_deadline(INT64_C(3600000000));
	kit_block(db);
	expect(penstock_call(db, run_script, &script, &late, 0, &expired), PENSTOCK_OK);
	expect(penstock_call(db, run_script, &script, &wanted, 0, &cancelled), PENSTOCK_OK);
	expect(penstock_call(db, run_script, &script, &wanted, 0, &done), PENSTOCK_OK);
	expect(penstock_handle_cancel(cancelled), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_handle_wait(done, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(expired, PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
	expect(penstock_handle_wait(cancelled, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	expect(penstock_handle_cancel(done), PENSTOCK_TOO_LATE);
	cr_assert_eq(script.ran, 1);
	cr_assert_eq(rows(), 1);
	penstock_handle_release(expired);
	penstock_handle_release(cancelled);
	penstock_handle_release(done);
	close_db(db);
}

/* ---- the engine's states ----------------------------------------------------------------------------------------- */

Test(call, waits_runs_or_is_refused_as_any_submission)
{
	penstock_config config = kit_config();
	struct script script = SCRIPT("INSERT INTO t VALUES(1)");
	penstock_handle *first, *second;
	penstock *db;

	kit_change(harness_path("test.db"), "CREATE TABLE t(a)");
	config.autostart = 0;
	config.when_stopped = PENSTOCK_HOLD;
	db = kit_open(&config);
	expect(penstock_call(db, run_script, &script, NULL, 0, &first), PENSTOCK_OK);
	cr_assert_eq(script.ran, 0);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(first, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_call(db, run_script, &script, NULL, 0, &second), PENSTOCK_PAUSED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_call(db, run_script, &script, NULL, 0, &second), PENSTOCK_OK);
	close_db(db);
	cr_assert_eq(script.ran, 1);
	expect(penstock_handle_wait(second, 0), PENSTOCK_SHUTDOWN);
	penstock_handle_release(first);
	penstock_handle_release(second);
}

/* A call that runs as others stop the engine is finished. */
static int pass_gate(sqlite3 *connection, void *arg, char **message)
{
	(void)message;
	gate_pass(arg);
	return sqlite3_exec(connection, "INSERT INTO t VALUES(1)", NULL, NULL, NULL);
}

Test(call, that_has_begun_is_finished_by_a_stop_that_gives_up)
{
	struct gate gate = GATE_INIT;
	penstock_handle *running, *waiting;
	penstock *db = open_table();

	gate_set(&gate, true);
	expect(penstock_call(db, pass_gate, &gate, NULL, 0, &running), PENSTOCK_OK);
	gate_await(&gate);
	expect(penstock_call(db, pass_gate, &gate, NULL, 0, &waiting), PENSTOCK_OK);
	expect(penstock_stop_with(db, 0, PENSTOCK_GIVE_UP), PENSTOCK_TIMEOUT);
	gate_set(&gate, false);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(running, 0), PENSTOCK_OK);
	expect(penstock_handle_wait(waiting, 0), PENSTOCK_SHUTDOWN);
	penstock_handle_release(running);
	penstock_handle_release(waiting);
	cr_assert_eq(rows(), 1);
	close_db(db);
}

/* ---- late hooks -------------------------------------------------------------------------------------------------- */

/* Adds the function named so, which answers how many hooks were called before it. */
static _Atomic int hooks_called;

static void answer(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int(context, (int)(intptr_t)sqlite3_user_data(context));
}

static int add_function(sqlite3 *connection, void *arg)
{
	return sqlite3_create_function(connection, arg, 0, SQLITE_UTF8, (void *)(intptr_t)hooks_called++, answer, NULL, NULL);
}

static int refuse_with(sqlite3 *connection, void *arg)
{
	(void)connection;
	return *(int *)arg;
}

static int64_t reader_ask(penstock *db, const char *sql)
{
	sqlite3 *reader;
	int64_t number;

	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	number = number_of(reader, sql);
	check(sqlite3_close(reader) == SQLITE_OK);
	return number;
}

static int set_pragma(sqlite3 *connection, void *arg)
{
	return sqlite3_exec(connection, arg, NULL, NULL, NULL);
}

/* As where the connect hook has lowered it. */
Test(call, a_late_hook_that_lowers_synchronous_leaves_durable_what_it_is)
{
	static char *const lowered[] = { "PRAGMA synchronous=NORMAL", "PRAGMA synchronous=OFF" };
	penstock_submission durable = PENSTOCK_SUBMISSION_INIT;
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
	db = kit_open_table(&config);
	durable.sql = "INSERT INTO t VALUES(1)";
	durable.ack = PENSTOCK_ACK_DURABLE;
	for (size_t i = 0; i < COUNT_OF(lowered); i++) {
		expect(penstock_on_connect(db, set_pragma, lowered[i]), PENSTOCK_OK);
		expect(penstock_execute(db, &durable, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		check(kit_counters(db).wal_syncs == i + 1, "%s", lowered[i]);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(call, a_late_hook_runs_now_and_on_every_later_connection)
{
	penstock *db = open_table();

	hooks_called = 0;
	expect(kit_execute(db, "SELECT one()"), PENSTOCK_ERROR);
	expect(penstock_on_connect(db, add_function, "one"), PENSTOCK_OK);
	cr_assert_eq(hooks_called, 1);
	expect(kit_execute(db, "INSERT INTO t VALUES(one())"), PENSTOCK_OK);
	expect(penstock_on_connect(db, add_function, "two"), PENSTOCK_OK);
	hooks_called = 10;
	cr_assert_eq(reader_ask(db, "SELECT one()"), 10);
	/* In their order. */
	hooks_called = 10;
	cr_assert_eq(reader_ask(db, "SELECT two()"), 11);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	hooks_called = 20;
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(hooks_called, 22);
	expect(kit_execute(db, "INSERT INTO t VALUES(one() + two())"), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(one() + two())"), PENSTOCK_OK);
	cr_assert_eq(ask("SELECT max(a) FROM t"), 45);
	close_db(db);
}

struct late {
	penstock *db;
	_Atomic int status;
};

static void *hook_late(void *arg)
{
	struct late *late = arg;

	late->status = penstock_on_connect(late->db, add_function, "one");
	return NULL;
}

/* What was submitted before it does not know the function; what comes behind it does. */
Test(call, a_late_hook_has_its_turn_among_the_submissions)
{
	struct late late = { .status = -1 };
	penstock_handle *before, *behind;
	pthread_t thread;
	uint64_t depth;

	late.db = open_table();
	kit_block(late.db);
	expect(kit_submit(late.db, "INSERT INTO t VALUES(one())", 0, &before), PENSTOCK_OK);
	depth = penstock_queue_depth(late.db);
	thread = kit_thread(hook_late, &late);
	await(penstock_queue_depth(late.db) > depth);
	expect(kit_submit(late.db, "INSERT INTO t VALUES(one())", 0, &behind), PENSTOCK_OK);
	cr_assert_eq(late.status, -1);
	kit_unblock();
	kit_join(thread);
	expect(late.status, PENSTOCK_OK);
	expect(penstock_handle_wait(before, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	expect(penstock_handle_wait(behind, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(before);
	penstock_handle_release(behind);
	close_db(late.db);
}

static int leave_transaction(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_exec(connection, "BEGIN; INSERT INTO t VALUES(1)", NULL, NULL, NULL);
}

Test(call, a_late_hook_that_fails_is_not_kept)
{
	penstock *db = open_table();
	int code = SQLITE_CONSTRAINT;

	expect(penstock_on_connect(db, refuse_with, &code), PENSTOCK_ERROR);
	expect_message(sqlite3_errstr(SQLITE_CONSTRAINT));
	expect(penstock_on_connect(db, leave_transaction, NULL), PENSTOCK_ERROR);
	expect_message("left a transaction open");
	cr_assert_eq(rows(), 0);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(reader_ask(db, "SELECT count(*) FROM t"), 1);
	close_db(db);
}

/* ways: how it is written, and whether the hook says that it failed. */
static int leave_wal(sqlite3 *connection, void *arg)
{
	const char *const *way = arg;
	int rc = sqlite3_exec(connection, way[0], NULL, NULL, NULL);

	check(rc == SQLITE_AUTH);
	return way[1] != NULL ? rc : SQLITE_OK;
}

Test(call, a_late_hook_that_leaves_wal_is_refused_and_the_engine_goes_on)
{
	static const char *const ways[][2] = { { "PRAGMA journal_mode=DELETE", NULL },
		                               { "PRAGMA main.journal_mode('memory')", NULL },
		                               { "PRAGMA journal_mode=off", "fails" } };
	penstock *db = open_table();

	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
		expect(penstock_on_connect(db, leave_wal, (void *)ways[i]), PENSTOCK_ERROR);
		expect_message("Penstock needs WAL");
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	}
	expect(penstock_on_connect(db, set_pragma, "PRAGMA journal_mode=WAL"), PENSTOCK_OK);
	cr_assert_eq(penstock_failure(db, NULL, 0), 0);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(reader_ask(db, "SELECT count(*) FROM t"), 6);
	close_db(db);
}

Test(call, without_a_connection_a_late_hook_is_kept_for_the_next)
{
	penstock_config config = kit_config();
	int code = SQLITE_OK;
	penstock *db;

	hooks_called = 0;
	kit_change(harness_path("test.db"), "CREATE TABLE t(a)");
	config.autostart = 0;
	db = kit_open(&config);
	expect(penstock_on_connect(db, add_function, "one"), PENSTOCK_OK);
	cr_assert_eq(hooks_called, 0);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(hooks_called, 1);
	expect(kit_execute(db, "INSERT INTO t VALUES(one())"), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_on_connect(db, add_function, "two"), PENSTOCK_OK);
	cr_assert_eq(hooks_called, 1);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(two())"), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_on_connect(db, refuse_with, &code), PENSTOCK_OK);
	code = SQLITE_ERROR;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("the connect hook refused");
	code = SQLITE_OK;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(one() + two())"), PENSTOCK_OK);
	close_db(db);
}

Test(call, a_late_hook_takes_nothing_that_is_the_engines)
{
	penstock *db = open_table();

	expect(penstock_on_connect(NULL, add_function, NULL), PENSTOCK_MISUSE);
	expect(penstock_on_connect(db, NULL, NULL), PENSTOCK_MISUSE);
	close_db(db);
}
