/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fused.c - plain inserts that run as one, and those who listen to them: each hears its own outcome
 *
 * That nobody can tell it from single inserts is the business of tests/equivalence; here is what that cannot compare: rowids that SQLite
 * draws at random, who listens in which way, the program's own update hook, and how many ran as one at all.
 */
#include "tests/kit.h"

#include "writer/sqlite/rowids.h"

TestSuite(fused, .init = kit_begin, .fini = harness_end);

enum way { BY_NOBODY, BY_HANDLE, BY_CALLBACK, BY_QUEUE, WAYS };

#define ROWS 40

/* One insert on its way. */
static struct insert {
	penstock_handle *handle;
	penstock_status status;
	int64_t rowid, changes;
	unsigned outcomes;
	size_t columns;
} inserts[ROWS];

static penstock_statement *insert_statement;
static penstock_completions *queue;

static void take(struct insert *insert, const penstock_result *result)
{
	insert->status = result->status;
	insert->rowid = result->last_insert_rowid;
	insert->changes = result->changes;
	insert->columns = result->column_count;
	insert->outcomes++;
}

static void completed(void *arg, const penstock_result *result)
{
	take(arg, result);
}

static void submit(penstock *db, int number, enum way way, const penstock_submission *wish)
{
	penstock_value value = penstock_int64(number);
	penstock_submission submission = *wish;

	submission.statement = insert_statement;
	submission.values = &value;
	submission.value_count = 1;
	submission.arg = &inserts[number];
	if (way == BY_CALLBACK)
		submission.on_complete = completed;
	if (way == BY_QUEUE)
		submission.completions = queue;
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, way == BY_HANDLE ? &inserts[number].handle : NULL),
	       PENSTOCK_OK);
}

static void take_all(void)
{
	penstock_handle *taken[ROWS];
	size_t count;

	expect(penstock_completions_take(queue, taken, ROWS, &count), PENSTOCK_OK);
	for (size_t i = 0; i < count; i++) {
		const penstock_result *result = penstock_handle_result(taken[i]);

		take(result->arg, result);
		penstock_handle_release(taken[i]);
	}
	for (size_t i = 0; i < ROWS; i++) {
		if (inserts[i].handle == NULL)
			continue;
		take(&inserts[i], penstock_handle_result(inserts[i].handle));
		penstock_handle_release(inserts[i].handle);
		inserts[i].handle = NULL;
	}
}

static penstock *open_table(penstock_config *config, const char *table, const char *insert)
{
	penstock *db;

	config->batch_usec = 0;
	db = kit_open(config);
	expect(kit_execute(db, table), PENSTOCK_OK);
	expect(penstock_statement_register(db, insert, -1, &insert_statement), PENSTOCK_OK);
	expect(penstock_completions_open(db, ROWS, &queue), PENSTOCK_OK);
	return db;
}

static void close_table(penstock *db)
{
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void begin_rows(penstock *db)
{
	memset(inserts, 0, sizeof inserts);
	kit_block(db);
}

/* How many of them ran as one with others. */
static uint64_t end_rows(penstock *db)
{
	uint64_t before = kit_counters(db).fused;

	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	take_all();
	return kit_counters(db).fused - before;
}

/* All of them together, in this way, WAYS: in each in turn. */
static uint64_t run_rows(penstock *db, enum way way)
{
	penstock_submission plain = PENSTOCK_SUBMISSION_INIT;

	begin_rows(db);
	for (int i = 0; i < ROWS; i++)
		submit(db, i, way == WAYS ? (enum way)(i % WAYS) : way, &plain);
	return end_rows(db);
}

static int64_t row_of(int64_t number)
{
	char sql[80];

	snprintf(sql, sizeof sql, "SELECT rowid FROM t WHERE a=%" PRId64, number);
	return kit_ask(harness_path("test.db"), sql);
}

static void check_each(enum way way)
{
	for (int i = 0; i < ROWS; i++) {
		const struct insert *insert = &inserts[i];

		if (way == BY_NOBODY || (way == WAYS && i % WAYS == BY_NOBODY)) {
			check(insert->outcomes == 0, "%d", i);
			continue;
		}
		check(insert->outcomes == 1 && insert->status == PENSTOCK_OK && insert->changes == 1 && insert->columns == 0,
		      "%d: %u outcomes, %" PRId64 " changes", i, insert->outcomes, insert->changes);
		check(insert->rowid == row_of(i), "%d: %" PRId64 " is not %" PRId64, i, insert->rowid, row_of(i));
	}
}

/* Behind the largest rowid SQLite draws them: none tells of the one before. */
Test(fused, each_hears_its_own_rowid)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");

	expect(kit_execute(db, "INSERT INTO t(rowid) VALUES(9223372036854775807)"), PENSTOCK_OK);
	for (unsigned way = 0; way <= WAYS; way++) {
		/* 32 and 8. */
		cr_assert_eq(run_rows(db, (enum way)way), ROWS);
		check_each((enum way)way);
		expect(kit_execute(db, "DELETE FROM t WHERE a IS NOT NULL"), PENSTOCK_OK);
	}
	cr_assert_eq(kit_counters(db).replayed_batches, 0);
	close_table(db);
}

/* Until a row has been heard nobody knows whether the next will be. */
Test(fused, the_first_of_a_connection_runs_by_itself)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");

	/* One, then 32, then 2 for three times, and one. */
	cr_assert_eq(run_rows(db, BY_CALLBACK), 38);
	check_each(BY_CALLBACK);
	cr_assert_eq(kit_counters(db).replayed_batches, 0);
	close_table(db);
}

Test(fused, not_without_rowids)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID", "INSERT INTO t VALUES(?)");

	expect(kit_execute(db, "CREATE TABLE heard(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO heard VALUES(1)"), PENSTOCK_OK);
	/* First, when nothing is known of the table, somebody listens; last nobody. */
	for (unsigned way = WAYS; way-- > 0;) {
		cr_assert_eq(run_rows(db, (enum way)way), way == BY_NOBODY ? ROWS : 0);
		for (int i = 0; i < ROWS; i++)
			check(inserts[i].outcomes == (way != BY_NOBODY) && inserts[i].rowid == 0, "%d", i);
		expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
	}
	/* A table of that name that has them. */
	expect(kit_execute(db, "DROP TABLE t"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	cr_assert_eq(run_rows(db, BY_CALLBACK), ROWS);
	check_each(BY_CALLBACK);
	cr_assert_eq(kit_counters(db).replayed_batches, 0);
	close_table(db);
}

/* Those to whom nobody listens run as one up to there. */
Test(fused, who_is_not_heard_runs_as_one_before_those_who_are)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID", "INSERT INTO t VALUES(?)");
	penstock_submission plain = PENSTOCK_SUBMISSION_INIT;

	expect(kit_execute(db, "CREATE TABLE heard(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO heard VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(run_rows(db, BY_NOBODY), ROWS);
	expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
	begin_rows(db);
	for (int i = 0; i < ROWS; i++)
		submit(db, i, i < 8 ? BY_NOBODY : BY_CALLBACK, &plain);
	cr_assert_eq(end_rows(db), 8);
	close_table(db);
}

/* Those before it are in, it fails alone, and those behind it run by themselves. */
static void fail_one(enum way way)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES(?)");

	expect(kit_execute(db, "INSERT INTO t VALUES(20)"), PENSTOCK_OK);
	cr_assert_eq(run_rows(db, way), 20);
	for (int i = 0; i < ROWS; i++) {
		if (way == BY_NOBODY || i % WAYS == BY_NOBODY)
			continue;
		check(inserts[i].outcomes == 1 && inserts[i].status == (i == 20 ? PENSTOCK_ERROR : PENSTOCK_OK), "%d", i);
		check(inserts[i].changes == (i != 20) && inserts[i].rowid == (i == 20 ? 0 : row_of(i)), "%d: %" PRId64, i,
		      inserts[i].rowid);
	}
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), ROWS);
	cr_assert_eq(kit_counters(db).replayed_batches, 0);
	close_table(db);
}

Test(fused, one_that_fails_among_those_who_listen)
{
	fail_one(WAYS);
}

Test(fused, one_that_fails_among_those_to_whom_nobody_listens)
{
	fail_one(BY_NOBODY);
}

/* Whatever else is inserted, before, meanwhile and behind: where rowids go is of the size that was told. */
Test(fused, rowids_go_where_they_are_asked_for)
{
	int64_t at[4] = { -1, -1, -1, -1 };
	struct ps_rowids rowids;
	sqlite3 *connection;

	check(sqlite3_open(":memory:", &connection) == SQLITE_OK);
	ps_rowids_watch(&rowids, connection);
	check(sqlite3_exec(connection, "CREATE TABLE t(a); INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	check(ps_rowids_are_heard(&rowids));
	ps_rowids_begin(&rowids, at, 2);
	check(!ps_rowids_are_heard(&rowids));
	check(sqlite3_exec(connection, "INSERT INTO t VALUES(1),(2),(3)", NULL, NULL, NULL) == SQLITE_OK);
	cr_assert_eq(ps_rowids_end(&rowids), 3);
	check(ps_rowids_are_heard(&rowids));
	check(at[0] == 2 && at[1] == 3 && at[2] == -1);
	ps_rowids_begin(&rowids, at, 3);
	check(sqlite3_exec(connection, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	cr_assert_eq(ps_rowids_end(&rowids), 1);
	check(sqlite3_exec(connection, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	check(at[0] == 5 && at[1] == 3 && at[2] == -1);
	ps_rowids_end_watch(&rowids);
	check(sqlite3_close(connection) == SQLITE_OK);
}

/* ---- the program's own update hook ------------------------------------------------------------------------------- */

static unsigned updates;

static void on_update(void *arg, int operation, const char *database, const char *table, sqlite3_int64 rowid)
{
	(void)arg;
	(void)operation;
	(void)database;
	(void)table;
	(void)rowid;
	updates++;
}

static void take_hook(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_update_hook(sqlite3_context_db_handle(context), on_update, NULL);
}

static int hook_with_function(sqlite3 *connection, void *arg)
{
	int code = kit_hook(connection, arg);

	if (code != SQLITE_OK)
		return code;
	return sqlite3_create_function(connection, "take_hook", 0, SQLITE_UTF8, NULL, take_hook, NULL, NULL);
}

static int hook_with_update_hook(sqlite3 *connection, void *arg)
{
	sqlite3_update_hook(connection, on_update, NULL);
	return arg == NULL ? kit_hook(connection, arg) : SQLITE_OK;
}

static int take_hook_in_call(sqlite3 *connection, void *arg, char **message)
{
	(void)arg;
	(void)message;
	sqlite3_update_hook(connection, on_update, NULL);
	return SQLITE_OK;
}

static void expect_program_hears(penstock *db)
{
	uint64_t before = kit_counters(db).replayed_batches;

	for (unsigned round = 0; round < 3; round++) {
		updates = 0;
		cr_assert_eq(run_rows(db, round % 2 == 0 ? BY_CALLBACK : BY_HANDLE), 0);
		check_each(BY_CALLBACK);
		cr_assert_eq(updates, ROWS);
		updates = 0;
		expect(kit_execute(db, "DELETE FROM t WHERE a>-1"), PENSTOCK_OK);
		cr_assert_eq(updates, ROWS);
	}
	cr_assert_eq(run_rows(db, WAYS), 0);
	check_each(WAYS);
	expect(kit_execute(db, "DELETE FROM t WHERE a>-1"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).replayed_batches, before);
	/* Who does not listen has no need of it. */
	cr_assert_eq(run_rows(db, BY_NOBODY), ROWS);
}

Test(fused, an_update_hook_of_the_connect_hook_hears_every_row)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = hook_with_update_hook;
	db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");
	expect_program_hears(db);
	close_table(db);
}

Test(fused, an_update_hook_that_comes_late_hears_every_row)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");

	expect(kit_execute(db, "INSERT INTO t VALUES(-1)"), PENSTOCK_OK);
	cr_assert_eq(run_rows(db, BY_CALLBACK), ROWS);
	expect(kit_execute(db, "DELETE FROM t WHERE a>-1"), PENSTOCK_OK);
	expect(penstock_on_connect(db, hook_with_update_hook, &updates), PENSTOCK_OK);
	expect_program_hears(db);
	close_table(db);
}

Test(fused, an_update_hook_of_a_call_hears_every_row)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");
	penstock_submission plain = PENSTOCK_SUBMISSION_INIT;

	expect(kit_execute(db, "INSERT INTO t VALUES(-1)"), PENSTOCK_OK);
	expect(penstock_call(db, take_hook_in_call, NULL, &plain, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect_program_hears(db);
	close_table(db);
}

/* Nobody sees it come: what ran as one is taken back, once. */
Test(fused, an_update_hook_of_a_function_hears_every_row)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = hook_with_function;
	db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");
	expect(kit_execute(db, "INSERT INTO t VALUES(-1)"), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT take_hook()"), PENSTOCK_OK);
	/* Behind one that was taken back they run one by one for a while in any case. */
	cr_assert_eq(run_rows(db, BY_CALLBACK), 0);
	check_each(BY_CALLBACK);
	cr_assert_eq(kit_counters(db).replayed_batches, 1);
	expect(kit_execute(db, "DELETE FROM t WHERE a>-1"), PENSTOCK_OK);
	for (unsigned round = 0; round < 20; round++) {
		updates = 0;
		cr_assert_eq(run_rows(db, BY_CALLBACK), 0);
		cr_assert_eq(updates, ROWS);
	}
	cr_assert_eq(kit_counters(db).replayed_batches, 1);
	close_table(db);
}

static sqlite3_stmt *left_open;

static int leave_open(sqlite3 *connection, void *arg)
{
	check(sqlite3_prepare_v2(connection, "INSERT INTO t VALUES(1)", -1, &left_open, NULL) == SQLITE_OK);
	return arg == NULL ? SQLITE_OK : SQLITE_ERROR;
}

/* The connection stays as long as that statement; what the engine's hook would write to is gone. */
static void end_what_was_left(void)
{
	check(sqlite3_update_hook(sqlite3_db_handle(left_open), NULL, NULL) == NULL);
	check(sqlite3_finalize(left_open) == SQLITE_OK);
}

Test(fused, what_outlives_the_engine_is_not_heard)
{
	penstock_config config = kit_config();
	penstock *db;

	kit_change(harness_path("test.db"), "CREATE TABLE t(a)");
	config.connect_hook = leave_open;
	db = kit_open(&config);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	end_what_was_left();
	config.connect_arg = &left_open;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	end_what_was_left();
}

/* ---- what is asked of them --------------------------------------------------------------------------------------- */

/* What was cancelled or is late is no row of it; a cancel behind the outcome comes too late. */
Test(fused, cancelled_and_late_ones_are_none_of_the_rows)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");
	uint64_t ran;

	expect(kit_execute(db, "INSERT INTO t VALUES(-1)"), PENSTOCK_OK);
	begin_rows(db);
	for (int i = 0; i < ROWS; i++) {
		penstock_submission wish = PENSTOCK_SUBMISSION_INIT;

		wish.flags = i % 2 == 0 ? PENSTOCK_CANCELLABLE : 0;
		wish.deadline_usec = i == 15 || i == 16 ? 1 : i % 3 == 0 ? INT64_MAX : 0;
		submit(db, i, BY_HANDLE, &wish);
	}
	expect(penstock_handle_cancel(inserts[10].handle), PENSTOCK_OK);
	expect(penstock_handle_cancel(inserts[34].handle), PENSTOCK_OK);
	ran = end_rows(db);
	for (int i = 0; i < ROWS; i++) {
		penstock_status wanted = i == 10 || i == 34   ? PENSTOCK_CANCELLED
		                         : i == 15 || i == 16 ? PENSTOCK_EXPIRED
		                                              : PENSTOCK_OK;

		check(inserts[i].outcomes == 1 && inserts[i].status == wanted, "%d: %s", i,
		      penstock_status_name(inserts[i].status));
		check(inserts[i].changes == (wanted == PENSTOCK_OK), "%d", i);
		if (wanted == PENSTOCK_OK)
			check(inserts[i].rowid == row_of(i), "%d", i);
	}
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), ROWS - 4 + 1);
	cr_assert_eq(kit_counters(db).cancelled, 2);
	cr_assert_eq(kit_counters(db).expired, 2);
	cr_assert(ran >= 8 && ran < ROWS - 4, "%" PRIu64, ran);
	close_table(db);
}

Test(fused, a_cancel_behind_them_is_too_late)
{
	penstock_config config = kit_config();
	penstock *db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");
	penstock_submission wish = PENSTOCK_SUBMISSION_INIT;

	wish.flags = PENSTOCK_CANCELLABLE;
	expect(kit_execute(db, "INSERT INTO t VALUES(-1)"), PENSTOCK_OK);
	begin_rows(db);
	for (int i = 0; i < ROWS; i++)
		submit(db, i, BY_HANDLE, &wish);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).fused, ROWS);
	for (int i = 0; i < ROWS; i++)
		cr_assert_neq(penstock_handle_cancel(inserts[i].handle), PENSTOCK_OK);
	take_all();
	check_each(BY_HANDLE);
	close_table(db);
}

/* Each may ask for durable or not; the sync comes before the outcomes of those that did. */
Test(fused, durable_ones_among_others)
{
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = open_table(&config, "CREATE TABLE t(a)", "INSERT INTO t VALUES(?)");
	expect(kit_execute(db, "INSERT INTO t VALUES(-1)"), PENSTOCK_OK);
	begin_rows(db);
	for (int i = 0; i < ROWS; i++) {
		penstock_submission wish = PENSTOCK_SUBMISSION_INIT;

		wish.ack = i % 5 == 0 ? PENSTOCK_ACK_DURABLE : PENSTOCK_ACK_COMMITTED;
		submit(db, i, i % 2 == 0 ? BY_CALLBACK : BY_QUEUE, &wish);
	}
	cr_assert_eq(end_rows(db), ROWS);
	check_each(BY_CALLBACK);
	cr_assert_eq(kit_counters(db).wal_syncs, 1);
	close_table(db);
}
