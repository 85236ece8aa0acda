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
