/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_fused.c - what may run as one, and what may not (writer/sqlite/fuse.h)
 *
 * Each says whether inserts ran as one at all, so that a trap cannot pass because nothing was tried.
 */
#include "tests/equivalence/traps.h"

#define TEN_LETTERS "abcdefghij"
#define LONG_NAME                                                                                                       \
	"n" TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS \
		TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS

Test(fused, plain_inserts_run_as_one)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a INTEGER PRIMARY KEY,b UNIQUE,c NOT NULL CHECK(c>0) DEFAULT 5)",
	                   "eight:INSERT INTO t VALUES(?,?,?)", "SELECT changes()", "SELECT total_changes()",
	                   "SELECT last_insert_rowid()");
}

Test(fused, rowids_count_on)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT,b)", "INSERT INTO t VALUES(40,0)",
	                   "eight:INSERT INTO t(b) VALUES(?)", "eight:INSERT INTO t VALUES(NULL,?)",
	                   "SELECT * FROM sqlite_sequence");
}

/* SQLite writes the number when a statement ends. One of many rows that fails has not come to its end. */
Test(fused, numbers_are_not_given_again_behind_one_that_fails)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT,b CHECK(b<>7))",
	                   "eight:INSERT INTO t(b) VALUES(?)", "SELECT * FROM sqlite_sequence", "DELETE FROM t",
	                   "INSERT INTO t(b) VALUES(1)", "SELECT a FROM t", "SELECT * FROM sqlite_sequence");
}

Test(fused, the_ones_that_fail_fail_alone)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a UNIQUE,b)", "CREATE TABLE u(a UNIQUE)", "INSERT INTO t VALUES(3,0)",
	                   "eight:INSERT INTO t VALUES(?,?)", "SELECT changes()", "eight:INSERT INTO u VALUES(?)");
}

/* Those before it, which SQLite leaves in the transaction, are not there twice. */
Test(fused, one_of_a_wrong_type_fails_alone)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a ANY,b INT) STRICT", "CREATE TABLE u(a INT) STRICT",
	                   "eight:INSERT INTO t VALUES(?,?)", "SELECT changes(),total_changes()",
	                   "eight:INSERT INTO u VALUES(?)", "SELECT count(*) FROM t", "SELECT * FROM u");
}

Test(fused, not_where_a_row_refers_to_the_next)
{
	EXPECT_EQUAL_FUSED(false, "PRAGMA foreign_keys=ON", "CREATE TABLE t(a INTEGER PRIMARY KEY,b REFERENCES t(a))",
	                   "eight:INSERT INTO t VALUES(?,?)");
	EXPECT_EQUAL_FUSED(false, "PRAGMA foreign_keys=ON",
	                   "CREATE TABLE t(a INTEGER PRIMARY KEY,b,FOREIGN KEY(b) REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
	                   "eight:INSERT INTO t VALUES(?,?)");
}

Test(fused, not_where_conflicts_are_ignored_or_end_the_transaction)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a UNIQUE ON CONFLICT IGNORE)", "INSERT INTO t VALUES(8)",
	                   "eight:INSERT INTO t VALUES(?)", "SELECT changes()");
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a UNIQUE ON CONFLICT ROLLBACK)", "INSERT INTO t VALUES(5)",
	                   "eight:INSERT INTO t VALUES(?)");
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a UNIQUE ON CONFLICT FAIL)", "INSERT INTO t VALUES(5)",
	                   "eight:INSERT INTO t VALUES(?)");
}

Test(fused, not_where_a_trigger_looks)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a,n)",
	                   "CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET n=changes() WHERE rowid=new.rowid; END",
	                   "eight:INSERT INTO t(a) VALUES(?)");
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a)", "CREATE TABLE u(a)", "CREATE VIEW v AS SELECT a FROM t",
	                   "CREATE TRIGGER tr INSTEAD OF INSERT ON v BEGIN INSERT INTO t SELECT count(*) FROM t; END",
	                   "eight:INSERT INTO v VALUES(?)");
}

Test(fused, a_trigger_that_comes_between_is_seen)
{
	/* What had run as one is taken back with the rest when the trigger shows, and runs again one by one. */
	EXPECT_EQUAL("CREATE TABLE t(a,n)", "eight:INSERT INTO t(a) VALUES(?)", "DELETE FROM t WHERE a<3",
	             "CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET n=changes() WHERE rowid=new.rowid; END",
	             "eight:INSERT INTO t(a) VALUES(?)", "DROP TRIGGER tr", "eight:INSERT INTO t(a) VALUES(?)");
	EXPECT_EQUAL("CREATE TABLE t(a,n)", "eight:INSERT INTO t(a) VALUES(?)",
	             "CREATE TEMP TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET n=changes() WHERE rowid=new.rowid; END",
	             "eight:INSERT INTO t(a) VALUES(?)");
}

Test(fused, not_where_a_default_or_check_looks_at_the_neighbours)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a,n DEFAULT (changes()))", "eight:INSERT INTO t(a) VALUES(?)");
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a,n DEFAULT (last_insert_rowid()))", "eight:INSERT INTO t(a) VALUES(?)");
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a CHECK(total_changes()<6))", "eight:INSERT INTO t(a) VALUES(?)");
}

Test(fused, not_with_another_clause_or_shared_parameters)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a UNIQUE,b)", "INSERT INTO t VALUES(5,0)",
	                   "eight:INSERT OR IGNORE INTO t VALUES(?,?)", "eight:INSERT OR FAIL INTO t VALUES(?,?)",
	                   "eight:REPLACE INTO t VALUES(?,?)", "eight:INSERT INTO t VALUES(?,?) ON CONFLICT DO NOTHING",
	                   "eight:INSERT INTO t VALUES(?,?) RETURNING a", "eight:INSERT INTO t VALUES(?,?),(?,?)",
	                   "eight:INSERT INTO t VALUES(?,(SELECT count(*) FROM t)+?)", "eight:INSERT INTO temp.t VALUES(?,?)",
	                   "eight:INSERT INTO t SELECT ?,?");
}

/* Whose values would be taken for those of the next. */
Test(fused, not_with_one_that_lacks_a_value)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a,b)", "ragged:INSERT INTO t VALUES(?,?)", "SELECT * FROM t");
}

Test(fused, names_of_any_length)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE \"\"(a)", "eight:INSERT INTO \"\" VALUES(?)", "SELECT * FROM \"\"");
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE " LONG_NAME "(a)", "eight:INSERT INTO " LONG_NAME " VALUES(?)",
	                   "SELECT * FROM " LONG_NAME);
}

Test(fused, changes_in_a_trigger_behind_them)
{
	/* That of three rows, and of as many as had run as one. */
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a)", "CREATE TABLE u(a)", "CREATE TABLE w(a)",
	                   "CREATE TABLE seen(n,all_of_them)",
	                   "CREATE TRIGGER r AFTER INSERT ON w BEGIN INSERT INTO u SELECT a FROM t WHERE rowid<=new.a;"
	                   " INSERT INTO seen VALUES(changes(),total_changes()); END",
	                   "eight:INSERT INTO t VALUES(?)", "INSERT INTO w VALUES(3)", "eight:INSERT INTO t VALUES(?)",
	                   "INSERT INTO w VALUES(8)", "SELECT * FROM seen");
}

/* In autocommit SAVEPOINT is BUSY within a statement that writes, in a batch it is denied. */
Test(fused, not_where_a_function_meddles_with_the_transaction)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a,n DEFAULT (run_sql('SAVEPOINT s')))", "eight:INSERT INTO t(a) VALUES(?)",
	                   "SELECT * FROM t");
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a CHECK(run_sql('SAVEPOINT s')=5))", "eight:INSERT INTO t VALUES(?)",
	                   "SELECT * FROM t");
}

/* It was prepared before, so that no batch sees it coming. */
Test(fused, not_where_a_function_writes_what_cannot_be_committed)
{
	EXPECT_EQUAL_FUSED(false, FAMILY, "PRAGMA user_version=1", "SELECT keep_sql()",
	                   "CREATE TABLE t(a,n DEFAULT (run_kept()))", "SELECT 1", "eight:INSERT INTO t(a) VALUES(?)",
	                   "SELECT * FROM t", "INSERT INTO parent VALUES(7)", "SELECT * FROM child", "SELECT drop_kept()");
}

Test(fused, what_a_function_wrote_is_undone_with_the_rows_that_fail)
{
	EXPECT_EQUAL(FAMILY, "INSERT INTO parent VALUES(7)", "PRAGMA user_version=1", "SELECT keep_sql()",
	             "CREATE TABLE t(a UNIQUE,n DEFAULT (run_kept()))", "INSERT INTO t VALUES(5,0)", "SELECT 1",
	             "eight:INSERT INTO t(a) VALUES(?)", "SELECT changes(),total_changes()", "SELECT * FROM t",
	             "SELECT * FROM child", "SELECT drop_kept()");
}

Test(fused, a_table_of_sqlite_or_of_a_module_is_left_alone)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)", "INSERT INTO t VALUES(1)",
	                   "eight:INSERT INTO sqlite_sequence VALUES(?,?)");
}

Test(fused, wide_rows_and_more_than_the_widest)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a,b,c,d,e,f,g,h)", "eight:INSERT INTO t VALUES(?,?,?,?,?,?,?,?)",
	                   "eight:INSERT INTO t VALUES(?,?,?,?,?,?,?,?)", "eight:INSERT INTO t VALUES(?,?,?,?,?,?,?,?)",
	                   "eight:INSERT INTO t VALUES(?,?,?,?,?,?,?,?)", "eight:INSERT INTO t VALUES(?,?,?,?,?,?,?,?)",
	                   "eight:INSERT INTO \"t\" ( a , \"b\" ) values ( ? , 12 ) ; -- and no more");
}

/* ---- with those who listen --------------------------------------------------------------------------------------- */

Test(fused, who_listens_hears_each_rowid)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a INTEGER PRIMARY KEY,b)", "CREATE TABLE u(b,a INTEGER PRIMARY KEY)",
	                   "CREATE TABLE n(a)", "INSERT INTO t VALUES(40,0)", "heard:INSERT INTO t(b) VALUES(?)",
	                   "SELECT last_insert_rowid(),changes(),total_changes()", "heard:INSERT INTO u VALUES(?,?)",
	                   "SELECT last_insert_rowid(),changes(),total_changes()", "heard:INSERT INTO n VALUES(?)",
	                   "heard:INSERT INTO u VALUES(NULL,NULL)", "SELECT rowid,* FROM u", "SELECT rowid,* FROM n");
}

/* They end: first the largest is given, then the table is full. */
Test(fused, heard_numbers_come_to_their_end)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT,b)",
	                   "INSERT INTO t VALUES(9223372036854775799,0)", "heard:INSERT INTO t(b) VALUES(?)",
	                   "SELECT * FROM sqlite_sequence", "SELECT * FROM t");
	/* The whole batch runs again, each by itself. */
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT,b)",
	                   "INSERT INTO t VALUES(9223372036854775802,0)", "heard:INSERT INTO t(b) VALUES(?)",
	                   "SELECT * FROM sqlite_sequence", "SELECT * FROM t");
}

/* Behind the largest SQLite draws them, of the lower half, of which this table takes none. */
Test(fused, heard_rowids_come_to_their_end)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a INTEGER PRIMARY KEY CHECK(a>9223372036854770000),b)",
	                   "INSERT INTO t VALUES(9223372036854775801,0)", "heard:INSERT INTO t(b) VALUES(?)",
	                   "SELECT * FROM t");
}

Test(fused, the_ones_that_fail_fail_alone_though_others_listen)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a UNIQUE,b)", "CREATE TABLE u(a UNIQUE)", "INSERT INTO t VALUES(6,0)",
	                   "heard:INSERT INTO t VALUES(?,?)", "SELECT changes(),total_changes()",
	                   "heard:INSERT INTO u VALUES(?)", "SELECT rowid,* FROM t");
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT,b CHECK(b<>6))",
	                   "heard:INSERT INTO t(b) VALUES(?)", "SELECT * FROM sqlite_sequence");
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a ANY,b INT) STRICT", "CREATE TABLE u(a INT) STRICT",
	                   "heard:INSERT INTO t VALUES(?,?)", "heard:INSERT INTO u VALUES(?)", "SELECT rowid,* FROM u");
}

/* Nobody hears a rowid there, nor of one. */
Test(fused, not_without_rowids_where_somebody_listens)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE h(a)", "INSERT INTO h VALUES(1)",
	                   "CREATE TABLE t(a PRIMARY KEY,b) WITHOUT ROWID", "heard:INSERT INTO t VALUES(?,?)",
	                   "SELECT * FROM t", "heard:INSERT INTO t(b,a) VALUES(?,?)");
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE h(a)", "INSERT INTO h VALUES(1)",
	                   "CREATE TABLE t(a INTEGER PRIMARY KEY,b) WITHOUT ROWID", "eight:INSERT INTO t VALUES(?,?)",
	                   "DELETE FROM t", "heard:INSERT INTO t VALUES(?,?)", "DROP TABLE t", "CREATE TABLE t(a,b)",
	                   "heard:INSERT INTO t VALUES(?,?)", "SELECT rowid,* FROM t");
	EXPECT_EQUAL("CREATE TABLE t(a,b)", "heard:INSERT INTO t VALUES(?,?)", "DROP TABLE t",
	             "CREATE TABLE t(a PRIMARY KEY,b) WITHOUT ROWID", "heard:INSERT INTO t VALUES(?,?)", "SELECT * FROM t");
}

/* Each would tell how many rows it has inserted. */
Test(fused, not_where_each_counts_its_changes)
{
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a)", "PRAGMA count_changes=1", "heard:INSERT INTO t VALUES(?)",
	                   "eight:INSERT INTO t VALUES(?)");
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a UNIQUE)", "heard:INSERT INTO t VALUES(?)", "PRAGMA count_changes=1",
	                   "DELETE FROM t WHERE a<>4", "heard:INSERT INTO t VALUES(?)", "SELECT a FROM t");
	/* Those before the one that fails would tell nothing. */
	EXPECT_EQUAL_FUSED(false, "CREATE TABLE t(a UNIQUE)", "PRAGMA count_changes=1", "INSERT INTO t VALUES(4)",
	                   "heard:INSERT INTO t VALUES(?)");
}

Test(fused, a_trigger_that_comes_between_is_heard)
{
	EXPECT_EQUAL("CREATE TABLE t(a,n)", "CREATE TABLE log(a)", "heard:INSERT INTO t(a) VALUES(?)",
	             "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES(changes()),(last_insert_rowid()); END",
	             "heard:INSERT INTO t(a) VALUES(?)", "SELECT * FROM log", "DROP TRIGGER tr",
	             "heard:INSERT INTO t(a) VALUES(?)");
}

Test(fused, changes_in_a_trigger_behind_heard_ones)
{
	EXPECT_EQUAL_FUSED(true, "CREATE TABLE t(a)", "CREATE TABLE w(a)", "CREATE TABLE seen(n,all_of_them,rowid_before)",
	                   "CREATE TRIGGER r BEFORE INSERT ON w BEGIN"
	                   " INSERT INTO seen VALUES(changes(),total_changes(),last_insert_rowid()); END",
	                   "heard:INSERT INTO t VALUES(?)", "INSERT INTO w VALUES(3)", "SELECT * FROM seen");
}

/* An update hook of the program's own stays heard, by it alone. */
Test(fused, not_where_the_program_hears_the_rows)
{
	EXPECT_EQUAL_FUSED_WITH(TRAP_SETUP(.kinds = { &kind_heard }), false, "CREATE TABLE t(a)",
	                        "heard:INSERT INTO t VALUES(?)", "heard:INSERT INTO t VALUES(?)",
	                        "SELECT count(*),sum(was_heard(rowid)) FROM t");
	EXPECT_EQUAL_FUSED_WITH(TRAP_SETUP(.kinds = { &kind_heard }), true, "CREATE TABLE t(a)",
	                        "eight:INSERT INTO t VALUES(?)", "heard:INSERT INTO t VALUES(?)",
	                        "SELECT count(*),sum(was_heard(rowid)) FROM t");
}

/* In the middle of a batch: what ran as one, and was not heard, is taken back. */
Test(fused, a_hook_that_a_function_takes_is_seen)
{
	EXPECT_EQUAL_WITH(TRAP_SETUP(.kinds = { &kind_taken }), "CREATE TABLE t(a)", "heard:INSERT INTO t VALUES(?)",
	                  "SELECT take_hook()", "heard:INSERT INTO t VALUES(?)", "heard:INSERT INTO t VALUES(?) ",
	                  "SELECT count(*) FROM t WHERE rowid>8 AND was_heard(rowid)");
	EXPECT_EQUAL_WITH(TRAP_SETUP(.kinds = { &kind_taken }), "CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES(7)",
	                  "SELECT take_hook()", "heard:INSERT INTO t VALUES(?)", "SELECT rowid,* FROM t");
}
