/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_changes.c - changes(), total_changes() and last_insert_rowid()
 *
 * They tell of the statement before. A batch that runs a second time, or rows that ran as one, must not show in them.
 */
#include "tests/equivalence/traps.h"

Test(trap, a_table_with_foreign_keys_that_is_dropped_sets_changes)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=ON", "CREATE TABLE log(id INTEGER PRIMARY KEY,n)",
	             "CREATE TABLE t(a INTEGER PRIMARY KEY,b UNIQUE)",
	             "CREATE TABLE child(p REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)",
	             "CREATE TRIGGER r BEFORE UPDATE ON t BEGIN INSERT INTO log(n) VALUES(new.a); END",
	             "INSERT INTO t VALUES(20,'a'),(4,'b')", "INSERT INTO t(b) VALUES('c')", "INSERT INTO t(b) VALUES('d')",
	             "INSERT INTO t(b) VALUES('e') RETURNING *", "UPDATE OR FAIL t SET a=a+2 WHERE a>3", "DROP TABLE child",
	             "SELECT changes()", "UPDATE t SET a=a+3 WHERE a>14", "SELECT changes(),total_changes()");
}

Test(trap, changes_are_zero_for_what_is_no_dml)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1),(2,2),(3,3)", "CREATE TABLE u(a)", "SELECT 1",
	             "PRAGMA user_version=3", "CREATE INDEX i ON t(b)", "INSERT INTO t VALUES(4,4) RETURNING a",
	             "DELETE FROM t", "DROP TABLE t", "EXPLAIN QUERY PLAN DELETE FROM u");
}

Test(trap, changes_tells_of_the_statement_before)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1),(2,2),(3,3)", "SELECT changes()",
	             "INSERT OR ROLLBACK INTO t VALUES(9,9),(1,1)", "SELECT changes()", "DELETE FROM t WHERE a<3",
	             "CREATE TABLE u(a)", "INSERT INTO u VALUES(changes())", "UPDATE t SET b=changes()", "SELECT * FROM u");
}

Test(trap, changes_behind_a_replay_in_which_nothing_changed)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1),(2,2),(3,3)", "PRAGMA user_version", "DELETE FROM t WHERE a=99",
	             "INSERT OR ROLLBACK INTO t VALUES(1,1)", "SELECT changes()", "DELETE FROM t WHERE a=98",
	             "SELECT changes()", "INSERT INTO t VALUES(7,7),(8,8)", "PRAGMA user_version", "SELECT changes()",
	             "UPDATE t SET b=b WHERE a<0", "INSERT OR ROLLBACK INTO t VALUES(1,1)", "SELECT changes()");
}

/* A temporary table is found out only when it is prepared: the batch replays. */
Test(trap, changes_behind_a_replay_of_a_failing_statement)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1),(2,2),(3,3)", "PRAGMA user_version",
	             "INSERT INTO t SELECT a+10,abs(-9223372036854775807-a) FROM t", "CREATE TEMP TABLE tt(a)",
	             "SELECT changes()");
}

/* And a failing SELECT leaves changes() alone, also in a replay. */
Test(trap, changes_behind_a_replay_of_a_failing_select)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1),(2,2),(3,3)", "PRAGMA user_version",
	             "SELECT abs(-9223372036854775807-1)", "SELECT changes()", "DELETE FROM t WHERE a=99",
	             "CREATE TEMP TABLE tt(a)", "SELECT changes()");
}

/* The statement was prepared before the trigger was there. */
Test(trap, changes_in_a_trigger_of_a_known_statement)
{
	EXPECT_EQUAL(T_UNIQUE, "CREATE TABLE u(a,n)", "INSERT INTO u(a) VALUES(1)",
	             "CREATE TRIGGER tell AFTER INSERT ON u BEGIN UPDATE u SET n=changes() WHERE rowid=new.rowid; END",
	             "INSERT INTO t VALUES(1,1),(2,2),(3,3)", "PRAGMA user_version", "INSERT INTO u(a) VALUES(1)",
	             "INSERT OR ROLLBACK INTO t VALUES(1,1)", "SELECT * FROM u");
}

/* Nothing of a default is authorized. */
Test(trap, changes_in_a_default)
{
	EXPECT_EQUAL(T_UNIQUE, "CREATE TABLE u(a,n DEFAULT (changes()))", "INSERT INTO t VALUES(1,1),(2,2),(3,3)",
	             "PRAGMA user_version", "INSERT INTO u(a) VALUES(1)", "INSERT OR ROLLBACK INTO t VALUES(1,1)",
	             "SELECT * FROM u");
}

Test(trap, changes_behind_a_returning_statement_that_fails_in_its_commit)
{
	EXPECT_EQUAL(FAMILY, "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(1,7) RETURNING *", "SELECT changes()");
}

Test(trap, total_changes_counts_a_statement_once)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "INSERT INTO t VALUES(2,2)",
	             "INSERT OR ROLLBACK INTO t VALUES(1,1)", "SELECT total_changes()");
}

Test(trap, changes_of_a_statement_that_cannot_be_prepared_again)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1),(2,2)", "DELETE FROM t WHERE a=5", "INSERT INTO t VALUES(3,3),(4,4)",
	             "DROP TABLE t", "DELETE FROM t WHERE a=5");
}

Test(trap, the_rowid_is_the_statements_own)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(7,1)", "UPDATE t SET b=2", "SELECT last_insert_rowid()",
	             "CREATE TABLE u(a INTEGER PRIMARY KEY AUTOINCREMENT,b)", "INSERT INTO u(b) VALUES(last_insert_rowid())",
	             "INSERT OR ROLLBACK INTO t VALUES(9,9),(7,7)", "INSERT OR IGNORE INTO t VALUES(7,7)",
	             "INSERT INTO u(b) VALUES(last_insert_rowid())", "DELETE FROM u", "INSERT INTO u(b) VALUES(1)",
	             "CREATE TABLE w(a PRIMARY KEY) WITHOUT ROWID", "INSERT INTO w VALUES(3)", "SELEC", "SELECT * FROM u");
}

/* One trigger's changes() tells of the statement before, for every row of its own statement. */
#define TOLD                                                              \
	"CREATE TABLE t(a)", "CREATE TABLE a(x)", "CREATE TABLE told(n)", \
		"CREATE TRIGGER r AFTER INSERT ON a BEGIN INSERT INTO told VALUES(changes()); END"

Test(trap, changes_in_a_trigger_of_several_rows_behind_a_run)
{
	EXPECT_EQUAL_FUSED(true, TOLD, "eight:INSERT INTO t VALUES(?)", "INSERT INTO a VALUES(1),(2),(3)", "SELECT * FROM told",
	                   "SELECT changes()", "eight:INSERT INTO t VALUES(?)", "INSERT INTO a SELECT a FROM t",
	                   "SELECT count(*),sum(n) FROM told");
}

Test(trap, changes_in_a_trigger_of_several_rows_behind_a_replay)
{
	EXPECT_EQUAL(TOLD, "CREATE TABLE u(a UNIQUE)", "INSERT INTO t VALUES(1),(2),(3)", "PRAGMA user_version",
	             "INSERT INTO a VALUES(1),(2),(3)", "INSERT INTO u VALUES(1)", "INSERT OR ROLLBACK INTO u VALUES(1)",
	             "SELECT * FROM told");
	/* A temporary table runs alone, behind what was rolled back. */
	EXPECT_EQUAL(TOLD, "INSERT INTO t VALUES(1),(2)", "CREATE TEMP TABLE x(a)", "INSERT INTO a VALUES(1),(2)",
	             "INSERT OR FAIL INTO a VALUES(3),(4)", "SELECT * FROM told");
}

Test(trap, changes_in_two_levels_of_triggers_behind_a_run)
{
	EXPECT_EQUAL_FUSED(true, TOLD, "CREATE TABLE b(x)", "CREATE TABLE deep(n,m)",
	                   "CREATE TRIGGER q AFTER INSERT ON b BEGIN INSERT INTO deep VALUES('b',changes()); INSERT INTO a "
	                   "VALUES(1),(2); INSERT INTO deep VALUES('behind',changes()); END",
	                   "eight:INSERT INTO t VALUES(?)", "INSERT INTO b VALUES(1),(2),(3)", "SELECT * FROM told",
	                   "SELECT * FROM deep", "SELECT changes(),total_changes()");
}

/* Its C interface, which a function of the user's may call. */
Test(trap, changes_as_a_function_sees_it)
{
	EXPECT_EQUAL_WITH(TRAP_SETUP(.kinds = { &kind_functions }), "CREATE TABLE t(a UNIQUE)",
	                  "SELECT wrote_then('CREATE TABLE u(a)',516)", "SELECT wrote_then('SELECT 1',0)",
	                  "INSERT INTO t VALUES(1),(2),(3)", "INSERT OR ROLLBACK INTO t VALUES(9),(1)",
	                  "SELECT wrote_then('SELECT 1',0)", "eight:INSERT INTO t VALUES(?)",
	                  "SELECT wrote_then('SELECT 1',0)");
}

#define FTS(module) \
	"CREATE VIRTUAL TABLE f USING " module "(a)", "CREATE TABLE l(n)", "INSERT INTO f(rowid,a) VALUES(12,'x'),(5,'y z')"

/* FTS writes its index in the COMMIT; what it counts there is seen, or not, by the next. */
Test(trap, changes_behind_a_full_text_index)
{
	if (sqlite3_compileoption_used("ENABLE_FTS4")) {
		EXPECT_EQUAL_WITH(TRAP_SETUP(.kinds = { &kind_fts4 }), FTS("fts4"), "SELECT changes()", "DROP TABLE f",
		                  "SELECT changes()");
		EXPECT_EQUAL_WITH(TRAP_SETUP(.kinds = { &kind_fts4 }), FTS("fts4"), "INSERT INTO l VALUES(changes())",
		                  "INSERT INTO f(a) VALUES('x'),('x'),('y')", "UPDATE f SET a='z' WHERE a='none'",
		                  "INSERT INTO l VALUES(changes())", "CREATE TABLE m(n)", "INSERT INTO l VALUES(changes())",
		                  "SELECT * FROM l");
	}
	if (sqlite3_compileoption_used("ENABLE_FTS5"))
		EXPECT_EQUAL_WITH(TRAP_SETUP(.kinds = { &kind_fts5 }), FTS("fts5"), "UPDATE f SET a='z' WHERE rowid=15",
		                  "alone:DROP TABLE IF EXISTS f", "INSERT INTO l VALUES(changes())", "SELECT * FROM l");
}

/* FTS5 flushes rows of the statements before when a rowid goes backwards. */
Test(trap, the_rowid_behind_a_full_text_index_is_the_statements_own)
{
	if (!sqlite3_compileoption_used("ENABLE_FTS5"))
		cr_skip_test("no FTS5");
	EXPECT_EQUAL_WITH(TRAP_SETUP(.kinds = { &kind_fts5 }), "CREATE VIRTUAL TABLE f USING fts5(a,b)",
	                  "eight:INSERT INTO f(a,b) VALUES(?,?)", "DELETE FROM f WHERE rowid=7", "SELECT last_insert_rowid()");
}

Test(trap, changes_behind_a_returning_statement_that_cannot_be_prepared_again)
{
	EXPECT_EQUAL("CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES(NULL) RETURNING *",
	             "CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO nowhere VALUES(new.a); END",
	             "INSERT INTO t VALUES(NULL) RETURNING *", "SELECT changes()");
}

/* R*Tree writes its nodes, and leaves the rowid of the last. */
Test(trap, the_rowid_that_another_module_leaves_stays_beside_a_full_text_index)
{
	if (!sqlite3_compileoption_used("ENABLE_FTS4") || !sqlite3_compileoption_used("ENABLE_RTREE"))
		cr_skip_test("no FTS4 or no R*Tree");
	EXPECT_EQUAL_WITH(TRAP_SETUP(.kinds = { &kind_fts4 }), "CREATE VIRTUAL TABLE f USING fts4(a)",
	                  "CREATE VIRTUAL TABLE rt USING rtree(id,x0,x1)", "INSERT INTO rt VALUES(24,0,0),(25,0,0)",
	                  "DELETE FROM rt WHERE id=24", "PRAGMA user_version", "DELETE FROM rt WHERE id>10",
	                  "SELECT last_insert_rowid()");
}
