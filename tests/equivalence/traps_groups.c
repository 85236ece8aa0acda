/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_groups.c - groups, in a batch with neighbours
 *
 * Their reference is BEGIN IMMEDIATE, the members and COMMIT, or at the first error ROLLBACK.
 */
#include "tests/equivalence/traps.h"

Test(trap, a_group_that_fails_in_a_batch_is_undone_whole)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "group:INSERT INTO t VALUES(2,2); INSERT INTO t VALUES(3,1)",
	             "INSERT INTO t VALUES(2,5)", "group:INSERT INTO t VALUES(4,4); INSERT OR FAIL INTO t VALUES(6,6),(7,1)",
	             "group:INSERT INTO t VALUES(6,7) RETURNING *; SELECT count(*) FROM t", "SELECT * FROM t");
}

Test(trap, changes_go_on_within_a_group_and_past_its_failure)
{
	EXPECT_EQUAL(
		T_UNIQUE, "INSERT INTO t VALUES(1,1),(2,2)",
		"group:SELECT changes(),last_insert_rowid(); INSERT INTO t VALUES(3,3); SELECT changes(),last_insert_rowid(); "
		"DELETE FROM t WHERE a=9; SELECT changes(),last_insert_rowid(),total_changes()",
		"SELECT changes(),last_insert_rowid()",
		"group:INSERT INTO t VALUES(4,4),(5,5); UPDATE t SET b=b; CREATE TABLE x(a); SELECT 1 FROM nowhere",
		"SELECT changes(),total_changes()", "group:INSERT INTO t VALUES(4,4),(5,5); INSERT INTO t VALUES(6,1)",
		"SELECT changes(),total_changes()", "INSERT OR ROLLBACK INTO t VALUES(1,1)",
		"SELECT changes(),total_changes()");
}

Test(trap, a_group_that_ends_the_transaction_has_its_own)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)",
	             "group:INSERT INTO t VALUES(2,2); INSERT OR ROLLBACK INTO t VALUES(3,1)",
	             "CREATE TRIGGER r BEFORE DELETE ON t BEGIN SELECT RAISE(ROLLBACK,'no'); END",
	             "group:INSERT INTO t VALUES(4,4); DELETE FROM t; INSERT INTO t VALUES(5,5)", "INSERT INTO t VALUES(6,6)",
	             "group:INSERT INTO t VALUES(7,7); SELECT interrupt_now(a) FROM t", "SELECT * FROM t", "SELECT changes()");
}

Test(trap, deferred_keys_are_looked_at_where_a_group_ends)
{
	EXPECT_EQUAL(
		FAMILY, "INSERT INTO parent VALUES(1)", "group:INSERT INTO child VALUES(1,7); INSERT INTO parent VALUES(7)",
		"group:INSERT INTO child VALUES(2,8); SELECT changes()", "INSERT INTO parent VALUES(8)",
		"group:INSERT INTO child VALUES(3,9); INSERT INTO child VALUES(3,1)", "INSERT INTO parent VALUES(9)",
		"group:DELETE FROM parent WHERE id=7; UPDATE child SET p=8", "SELECT * FROM child", "SELECT * FROM parent");
}

/* With the keys off orphans may come in. Who cures one leaves SQLite's count of violations below zero. */
Test(trap, an_orphan_that_a_group_cures_hides_no_violation_behind_it)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=OFF", "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
	             "CREATE TABLE child(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",
	             "INSERT INTO parent VALUES(1),(5)", "INSERT INTO child VALUES(1),(5),(5),(2),(2),(2)",
	             "PRAGMA foreign_keys=ON", "INSERT INTO parent VALUES(3)",
	             "group:DELETE FROM parent WHERE id=1; INSERT INTO parent VALUES(2); INSERT INTO child VALUES(8)",
	             "INSERT INTO child VALUES(9)", "DELETE FROM parent WHERE id=5", "SELECT count(*) FROM child",
	             "group:UPDATE parent SET id=2 WHERE id=1; SELECT 1", "INSERT INTO child VALUES(10)",
	             "SELECT group_concat(id) FROM parent");
}

/* It holds its writes back until the COMMIT. */
Test(trap, full_text_in_a_group)
{
	if (!sqlite3_compileoption_used("ENABLE_FTS3"))
		return;
	EXPECT_EQUAL(
		"CREATE VIRTUAL TABLE f USING fts4(a)", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)",
		"group:INSERT INTO f VALUES('one'); SELECT changes(),total_changes(),last_insert_rowid(); INSERT INTO f VALUES('two')",
		"SELECT changes(),total_changes()", "INSERT INTO t VALUES(2)",
		"group:INSERT INTO f VALUES('three'); INSERT INTO t VALUES(3); SELECT changes(),last_insert_rowid()",
		"SELECT changes(),total_changes()", "group:INSERT INTO f VALUES('four'); SELECT 1 FROM nowhere",
		"SELECT changes(),total_changes()", "SELECT count(*) FROM f WHERE f MATCH 'four OR two'");
}

Test(trap, names_are_as_before_a_group_that_failed)
{
	EXPECT_EQUAL(T_UNIQUE, "CREATE TABLE x(a)", "INSERT INTO x VALUES(1)",
	             "group:CREATE TABLE y(a,b); INSERT INTO y VALUES(1,2); SELECT * FROM y; INSERT INTO t VALUES(1,1),(2,1)",
	             "CREATE TABLE y(c)", "INSERT INTO y VALUES(1,2)", "INSERT INTO y VALUES(3)", "SELECT * FROM y",
	             "group:CREATE TEMP TABLE x(c,d); INSERT INTO x VALUES(1); SELECT 1", "INSERT INTO x VALUES(1)",
	             "group:DROP TABLE x; CREATE VIEW x AS SELECT 5 AS a; SELECT * FROM x; SELECT * FROM nowhere",
	             "SELECT * FROM x");
}

/* An R-tree keeps a blob open until the transaction ends, and an interrupt lasts as long as anything runs: also for ROLLBACK. */
Test(trap, an_interrupt_in_the_transaction_of_an_rtree)
{
	if (!sqlite3_compileoption_used("ENABLE_RTREE"))
		return;
	EXPECT_EQUAL("CREATE VIRTUAL TABLE r USING rtree(id,x0,x1)", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)",
	             "INSERT INTO r VALUES(1,2,3),(2,3,4)", "UPDATE r SET x0=x0-1", "SELECT interrupt_now(1) FROM t",
	             "SELECT count(*) FROM t", "INSERT INTO t VALUES(2)", "UPDATE r SET x0=x0-1",
	             "UPDATE t SET a=interrupt_now(2)", "SELECT * FROM t",
	             "group:UPDATE r SET x0=x0-1; SELECT interrupt_now(1) FROM t; INSERT INTO t VALUES(3)", "SELECT changes()",
	             "group:UPDATE r SET x0=x0-1; INSERT INTO t VALUES(4)", "SELECT * FROM t", "SELECT * FROM r");
}

/* What a rollback leaves is not done once more. */
Test(trap, a_group_that_has_attached_runs_once)
{
	EXPECT_EQUAL("CREATE TABLE t(a)", "group:ATTACH ':memory:' AS m; INSERT INTO t VALUES(1); SELECT fail_code(13)",
	             "DETACH m", "group:PRAGMA user_version=3; INSERT INTO t VALUES(1); SELECT fail_code(13)",
	             "PRAGMA user_version", "group:INSERT INTO t VALUES(1); SELECT fail_code(13)", "SELECT count(*) FROM t");
}

Test(trap, functions_that_write_within_a_group)
{
	EXPECT_EQUAL(
		FAMILY, "CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES(1)",
		"group:SELECT run_sql('INSERT INTO t VALUES(2)'); SELECT changes(); INSERT INTO t VALUES(3)",
		"group:SELECT run_sql('INSERT INTO t VALUES(4)'); INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(5)",
		"group:INSERT INTO t VALUES(6); SELECT run_sql('INSERT INTO child VALUES(1,7)'); INSERT INTO parent VALUES(7)",
		"SELECT keep_sql()", "group:SELECT run_kept(); SELECT changes(); INSERT INTO t VALUES(8)",
		"group:DELETE FROM parent WHERE id=7; SELECT run_kept(); INSERT INTO t VALUES(9)", "SELECT drop_kept()",
		"SELECT * FROM t", "SELECT * FROM child");
}

Test(trap, numbers_of_autoincrement_behind_a_group_that_failed)
{
	EXPECT_EQUAL("CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT,b UNIQUE)", "INSERT INTO t(b) VALUES(1)",
	             "group:INSERT INTO t(b) VALUES(2); INSERT INTO t(b) VALUES(3),(1)", "INSERT INTO t(b) VALUES(4)",
	             "group:INSERT INTO t(b) VALUES(5); INSERT INTO t(b) VALUES(6)", "SELECT * FROM t",
	             "SELECT * FROM sqlite_sequence");
}
