/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_failures.c - one statement fails, and nobody else notices
 *
 * Constraints, conflict clauses, RAISE, interrupts, a full database, rows that are too many: what SQLite undoes in autocommit is
 * undone, and no more than that, although a transaction has other habits.
 */
#include "tests/equivalence/traps.h"

#include "tests/equivalence/sides.h"

Test(trap, a_constraint_undoes_that_statement_only)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "INSERT INTO t VALUES(2,2),(3,1),(4,4)",
	             "INSERT INTO t VALUES(5,5)", "UPDATE t SET b=1", "INSERT OR ABORT INTO t VALUES(6,6),(1,7)",
	             "SELECT * FROM t");
}

/* SQLite undoes within a transaction only what it has foreseen; in autocommit everything. */
Test(trap, another_failure_undoes_that_statement_too)
{
	EXPECT_EQUAL("CREATE TABLE s(a INT) STRICT", "INSERT INTO s VALUES(1)", "INSERT INTO s VALUES(2),('x')",
	             "INSERT INTO s VALUES(3)", "INSERT INTO s VALUES(4),('x') RETURNING a", "SELECT changes(),total_changes()",
	             "SELECT * FROM s");
	/* A row that is too long. (Where a statement calls a function, SQLite has foreseen a failure.) */
	EXPECT_EQUAL("CREATE TABLE long(a)", "INSERT INTO long VALUES(2),(zeroblob(600000))", "CREATE TABLE t(a,b)",
	             "INSERT INTO t SELECT a,a FROM long", "INSERT INTO t VALUES(3,3),(4,zeroblob(600000))", "UPDATE t SET a=b",
	             "SELECT changes(),total_changes()", "SELECT a,length(b) FROM t");
	EXPECT_EQUAL("CREATE TABLE t(a)", "CREATE TABLE js(j)", "INSERT INTO js VALUES('[1,2]'),('nonsense')",
	             "INSERT INTO t SELECT value FROM js,json_each(j)", "INSERT INTO t VALUES(3)",
	             "alone:INSERT INTO t SELECT value FROM js,json_each(j) RETURNING a", "SELECT changes(),total_changes()",
	             "CREATE TABLE u AS SELECT value FROM js,json_each(j)", "SELECT * FROM t");
	/* What triggers did stays counted. */
	EXPECT_EQUAL(FAMILY, "CREATE TABLE s(a INT) STRICT",
	             "CREATE TRIGGER r AFTER INSERT ON s BEGIN INSERT INTO parent VALUES(NULL); END", "INSERT INTO s VALUES(1)",
	             "INSERT INTO s VALUES(2),('x') RETURNING a", "SELECT changes(),total_changes()",
	             "CREATE TRIGGER q AFTER INSERT ON s BEGIN INSERT INTO child VALUES(NULL,99); END",
	             "alone:INSERT INTO s VALUES(3),(4) RETURNING a", "SELECT changes(),total_changes()");
	EXPECT_EQUAL("CREATE TABLE t(a INTEGER PRIMARY KEY)", "INSERT OR REPLACE INTO t VALUES(1),('x')",
	             "INSERT OR IGNORE INTO t VALUES(2),('x')", "INSERT OR FAIL INTO t VALUES(3),('x')",
	             "INSERT INTO t VALUES(5)", "SELECT * FROM t");
}

Test(trap, or_rollback_takes_nobody_along)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "INSERT INTO t VALUES(2,2)",
	             "INSERT OR ROLLBACK INTO t VALUES(3,3),(4,1)", "INSERT INTO t VALUES(5,5)",
	             "UPDATE OR ROLLBACK t SET b=5 WHERE a=1", "INSERT INTO t VALUES(6,6)", "SELECT * FROM t");
}

Test(trap, raise_rollback_takes_nobody_along)
{
	EXPECT_EQUAL(T_UNIQUE, "CREATE TRIGGER r AFTER INSERT ON t WHEN new.a=3 BEGIN SELECT RAISE(ROLLBACK,'no three'); END",
	             "INSERT INTO t VALUES(1,1)", "INSERT INTO t VALUES(2,2),(3,3)", "INSERT INTO t VALUES(4,4)",
	             "INSERT OR IGNORE INTO t VALUES(3,3)", "INSERT INTO t VALUES(5,5)");
}

Test(trap, or_fail_keeps_the_rows_before)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "INSERT OR FAIL INTO t VALUES(2,2),(3,1),(4,4)",
	             "INSERT INTO t VALUES(5,5)", "UPDATE OR FAIL t SET b=b+1", "INSERT OR ROLLBACK INTO t VALUES(1,9)",
	             "SELECT * FROM t");
}

Test(trap, raise_fail_keeps_the_rows_before)
{
	EXPECT_EQUAL(T_UNIQUE, "CREATE TRIGGER r AFTER INSERT ON t WHEN new.a=3 BEGIN SELECT RAISE(FAIL,'no three'); END",
	             "INSERT INTO t VALUES(2,2),(3,3),(4,4)", "INSERT INTO t VALUES(5,5)",
	             "INSERT INTO t VALUES(6,6),(3,7) RETURNING *", "INSERT OR ROLLBACK INTO t VALUES(2,9)");
}

Test(trap, a_full_database_fails_what_does_not_fit)
{
	EXPECT_EQUAL("CREATE TABLE t(a,b)", "INSERT INTO t VALUES(1,zeroblob(50000))", "PRAGMA max_page_count=1",
	             "INSERT INTO t VALUES(2,zeroblob(10))", "INSERT INTO t VALUES(3,zeroblob(50000))",
	             "INSERT INTO t VALUES(4,zeroblob(10))", "INSERT OR FAIL INTO t VALUES(5,'x'),(6,zeroblob(50000))",
	             "DELETE FROM t WHERE a=1", "INSERT INTO t VALUES(7,zeroblob(20000))",
	             "INSERT INTO t VALUES(8,zeroblob(90000))", "PRAGMA max_page_count=100000",
	             "INSERT INTO t VALUES(9,zeroblob(90000))");
}

Test(trap, an_interrupt_ends_one_statement_only)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)",
	             "INSERT INTO t SELECT value+10,interrupt_now(value) FROM (SELECT 1 AS value UNION ALL SELECT 2 UNION ALL "
	             "SELECT 3)",
	             "INSERT INTO t VALUES(2,2)",
	             "SELECT interrupt_now(value) FROM (SELECT 1 AS value UNION ALL SELECT 2 UNION ALL SELECT 3)",
	             "INSERT INTO t VALUES(3,3)");
}

Test(trap, a_statement_with_too_many_rows_has_no_effect)
{
	static const char *const texts[] = { "INSERT INTO t VALUES(1,1)",
		                             "INSERT INTO t VALUES(2,zeroblob(3000)),(3,zeroblob(4000)) RETURNING *",
		                             "INSERT INTO t VALUES(4,4)" };
	unsigned way;

	for (way = 0; way < 4; way++) {
		penstock_config config;
		penstock *db;
		penstock_handle *handles[3];
		penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
		const penstock_result *result;
		size_t i;

		clear_side('p');
		penstock_config_init(&config);
		config.autostart = 0;
		config.result_bytes_max = 4096;
		cr_assert(penstock_open(side_path('p', "main.db"), &config, &db) == PENSTOCK_OK, "%s",
		          penstock_error_message());
		submission.sql = T_UNIQUE;
		cr_assert(penstock_submit(db, &submission, 0, NULL) == PENSTOCK_OK, "%s", penstock_error_message());
		for (i = 0; i < 3; i++) {
			submission.sql = texts[i];
			submission.flags = i == 1 && (way & 1) != 0 ? PENSTOCK_RUN_ALONE : 0;
			cr_assert(penstock_submit(db, &submission, 0, &handles[i]) == PENSTOCK_OK, "%s",
			          penstock_error_message());
			if (way < 2)
				continue;
			penstock_start(db, PENSTOCK_FOREVER);
			penstock_flush(db, PENSTOCK_FOREVER);
		}
		cr_assert(penstock_start(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
		for (i = 0; i < 3; i++) {
			penstock_handle_wait(handles[i], PENSTOCK_FOREVER);
			result = penstock_handle_result(handles[i]);
			cr_assert(result->status == (i == 1 ? PENSTOCK_ERROR : PENSTOCK_OK), "way %u, statement %zu: %s", way,
			          i, result->message);
			cr_assert(i != 1 || (result->code == SQLITE_TOOBIG && result->changes == 0 && result->row_count == 0),
			          "way %u: code %d, %lld changes", way, result->code, (long long)result->changes);
			penstock_handle_release(handles[i]);
		}
		submission.sql = "SELECT count(*) FROM t";
		submission.flags = 0;
		cr_assert(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handles[0]) == PENSTOCK_OK, "%s",
		          penstock_error_message());
		result = penstock_handle_result(handles[0]);
		cr_assert(result->cells[0].as.integer == 2, "way %u: %lld rows", way, (long long)result->cells[0].as.integer);
		penstock_handle_release(handles[0]);
		cr_assert(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "%s", penstock_error_message());
	}
}
