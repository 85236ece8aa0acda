/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_functions.c - functions that fail, or that do more than compute
 */
#include "tests/equivalence/traps.h"

Test(trap, a_function_may_fail_with_any_code)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "INSERT INTO t VALUES(2,fail_code(1))",
	             "INSERT INTO t VALUES(3,fail_code(4))", "INSERT INTO t VALUES(4,fail_code(7))",
	             "INSERT INTO t VALUES(5,fail_code(8))", "INSERT INTO t VALUES(6,fail_code(9))",
	             "INSERT INTO t VALUES(7,fail_code(11))", "INSERT INTO t VALUES(8,fail_code(13))",
	             "INSERT INTO t VALUES(9,fail_code(14))", "INSERT INTO t VALUES(10,fail_code(17))",
	             "INSERT INTO t VALUES(11,fail_code(19))", "INSERT INTO t VALUES(12,fail_code(2067))",
	             "INSERT INTO t VALUES(13,13)", "SELECT fail_code(13)", "SELECT * FROM t");
}

#define WRITES_AND_FAILS(code) "INSERT INTO x VALUES(1) RETURNING run_sql('INSERT INTO u VALUES(1)'),fail_code(" code ")"
#define EXPECT_OWN_CODE(code)                                                                                                \
	EXPECT_EQUAL("CREATE TABLE u(a)", "CREATE TEMP TABLE x(a)", "ATTACH '$D/other.db' AS other", WRITES_AND_FAILS(code), \
	             "group:INSERT INTO u VALUES(2); " WRITES_AND_FAILS(code), "alone:" WRITES_AND_FAILS(code),              \
	             "SELECT total_changes()", "SELECT * FROM u", "SELECT * FROM x")

/* As if another process had the lock, which SQLite itself takes, and late, where a database is attached. */
Test(trap, a_function_that_fails_as_if_by_a_lock_has_met_none)
{
	EXPECT_OWN_CODE("5");
	EXPECT_OWN_CODE("261");
	EXPECT_OWN_CODE("517");
	EXPECT_OWN_CODE("773");
	EXPECT_OWN_CODE("6");
	EXPECT_OWN_CODE("262");
	EXPECT_OWN_CODE("15");
}

/* The disk is well: it is the function that says so, and the statement that fails. */
Test(trap, a_function_that_fails_with_ioerr_does_not_fail_the_engine)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "INSERT INTO t VALUES(2,fail_code(10))",
	             "INSERT INTO t VALUES(3,3)", "SELECT fail_code(10)", "INSERT INTO t VALUES(4,4)");
}

Test(trap, what_a_function_writes_within_a_select_is_its_own_transaction)
{
	EXPECT_EQUAL(FAMILY, "SELECT run_sql('INSERT INTO child VALUES(1,7)')", "INSERT INTO parent VALUES(7)",
	             "SELECT run_sql('INSERT INTO child VALUES(2,7)')", "SELECT changes(),total_changes()",
	             "SELECT * FROM child");
	EXPECT_EQUAL(FAMILY, "PRAGMA user_version=1", "SELECT keep_sql()", "SELECT 1", "SELECT run_kept()",
	             "INSERT INTO parent VALUES(7)", "SELECT run_kept()", "SELECT * FROM child", "SELECT drop_kept()");
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "PRAGMA user_version=1",
	             "SELECT run_sql('INSERT INTO t VALUES(2,1)')", "SELECT changes(),total_changes()");
	EXPECT_EQUAL("CREATE TABLE s(a INT) STRICT", "INSERT INTO s VALUES(1)",
	             "SELECT run_sql('INSERT INTO s VALUES(2),(''x'')')", "INSERT INTO s VALUES(3)",
	             "SELECT run_sql('INSERT INTO s VALUES(4)'),fail_code(1)", "SELECT changes(),total_changes()",
	             "SELECT * FROM s");
}

Test(trap, what_a_function_sets_is_set)
{
	EXPECT_EQUAL(FAMILY, "SELECT run_sql('PRAGMA foreign_keys=OFF')", "INSERT INTO child VALUES(1,7)",
	             "SELECT run_sql('PRAGMA foreign_keys=ON')", "INSERT INTO child VALUES(2,8)", "SELECT * FROM child");
	EXPECT_EQUAL(FAMILY, "CREATE TABLE now(p REFERENCES parent(id))", "SELECT run_sql('PRAGMA defer_foreign_keys=ON')",
	             "INSERT INTO now VALUES(5)", "INSERT INTO parent VALUES(5)", "SELECT * FROM now");
	EXPECT_EQUAL("SELECT run_sql('PRAGMA foreign_keys'),run_sql('PRAGMA synchronous')", "SELECT 1");
	EXPECT_EQUAL("CREATE TEMP TABLE x(a)", "SELECT run_sql('PRAGMA temp_store=MEMORY')",
	             "SELECT run_sql('PRAGMA wal_checkpoint')", "SELECT 1");
	EXPECT_EQUAL("SELECT run_sql('ATTACH ''$D/other.db'' AS o') AS code", "CREATE TABLE o.u(a)",
	             "INSERT INTO o.u VALUES(1)", "SELECT run_sql('DETACH o')", "SELECT * FROM o.u");
}

/* SQLite compiles it into a statement, which must not be kept. */
Test(trap, what_a_function_defers_in_a_group_ends_with_it)
{
	EXPECT_EQUAL(FAMILY, "CREATE TABLE now(p REFERENCES parent(id))",
	             "group:SELECT run_sql('PRAGMA defer_foreign_keys=ON'); INSERT INTO now VALUES(6); "
	             "INSERT INTO parent VALUES(6)",
	             "DELETE FROM now", "DELETE FROM parent", "INSERT INTO now VALUES(6)", "INSERT INTO parent VALUES(6)",
	             "SELECT * FROM now");
}

Test(trap, what_a_function_writes_within_a_statement_that_fails_is_undone)
{
	EXPECT_EQUAL("CREATE TABLE t(a UNIQUE)", "CREATE TABLE u(a)", "INSERT INTO t VALUES(5)",
	             "INSERT INTO t VALUES(5+run_sql('INSERT INTO u VALUES(1)'))", "SELECT changes(),total_changes()",
	             "INSERT INTO t VALUES(6+run_sql('INSERT INTO u VALUES(2)'))", "SELECT * FROM u",
	             "INSERT INTO t VALUES(5+run_sql('CREATE TABLE v(a)'))", "SELECT * FROM v", "SELECT * FROM t");
}

/* A temporary table runs alone; in autocommit what its function wrote to the database is undone with it. */
Test(trap, what_a_function_writes_within_a_failing_returning_is_undone)
{
	EXPECT_EQUAL("CREATE TEMP TABLE x(a UNIQUE)", "CREATE TABLE u(a)", "INSERT INTO x VALUES(5)",
	             "INSERT INTO x VALUES(6),(5) RETURNING run_sql('INSERT INTO u VALUES(1)')", "SELECT * FROM u",
	             "INSERT INTO x VALUES(7),(8) RETURNING run_sql('INSERT INTO u VALUES(2)'),fail_code(1)", "SELECT * FROM u",
	             "INSERT OR FAIL INTO x VALUES(9),(5) RETURNING run_sql('INSERT INTO u VALUES(3)')", "SELECT * FROM u",
	             "DELETE FROM x RETURNING run_sql('INSERT INTO u VALUES(4)'),fail_code(1811)", "SELECT changes()",
	             "SELECT * FROM x", "SELECT * FROM u");
}

/* Where OR FAIL keeps rows, alone too. */
Test(trap, a_failing_returning_keeps_the_rows_before_in_a_temporary_table)
{
	EXPECT_EQUAL("CREATE TEMP TABLE x(a UNIQUE)", "INSERT INTO x VALUES(5)",
	             "INSERT OR FAIL INTO x VALUES(6),(7),(5) RETURNING a", "SELECT changes()",
	             "alone:INSERT OR FAIL INTO x VALUES(8),(9),(5) RETURNING a", "SELECT changes()",
	             "alone:INSERT OR FAIL INTO x VALUES(10),(11),(5) RETURNING run_sql('SELECT 1')", "SELECT changes()",
	             "INSERT INTO x VALUES(12) RETURNING run_sql('INSERT INTO x VALUES(1)')",
	             "alone:INSERT OR FAIL INTO x VALUES(13),(14),(5) RETURNING run_sql('INSERT INTO x VALUES(1)')",
	             "SELECT changes()", "SELECT rowid,a FROM x");
}
