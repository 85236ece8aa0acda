/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_schema.c - statements follow the schema, and the meaning of names
 *
 * Also those that were prepared before it changed, and when the change is rolled back.
 */
#include "tests/equivalence/traps.h"

Test(trap, known_statements_follow_the_schema)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "SELECT * FROM t", "ALTER TABLE t ADD COLUMN c DEFAULT 5",
	             "SELECT * FROM t", "INSERT INTO t VALUES(1,1)", "ALTER TABLE t RENAME COLUMN b TO bb", "SELECT * FROM t",
	             "DROP TABLE t", "SELECT * FROM t", "INSERT INTO t VALUES(1,1)", "CREATE TABLE t(z,y,x)", "SELECT * FROM t",
	             "INSERT INTO t VALUES(1,1)", "INSERT INTO t VALUES(1,1,1)", "SELECT * FROM t");
}

Test(trap, a_rolled_back_schema_is_forgotten)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "CREATE TABLE u(a UNIQUE)", "INSERT INTO u VALUES(1)",
	             "INSERT OR ROLLBACK INTO u VALUES(1)", "INSERT INTO u VALUES(2)", "DROP TABLE u",
	             "INSERT OR ROLLBACK INTO t VALUES(1,1)", "INSERT INTO u VALUES(3)", "CREATE TABLE u(a,b)",
	             "INSERT INTO u VALUES(3)", "CREATE UNIQUE INDEX i ON t(a,b)", "SELECT * FROM u");
}

Test(trap, failing_ddl_has_no_effect)
{
	EXPECT_EQUAL("CREATE TABLE t(a,b)", "INSERT INTO t VALUES(1,1),(1,2)", "CREATE UNIQUE INDEX i ON t(a)",
	             "INSERT INTO t VALUES(2,2)", "CREATE TABLE u AS SELECT abs(-9223372036854775807-a) FROM t",
	             "CREATE TABLE t(x)", "ALTER TABLE t ADD COLUMN c NOT NULL", "INSERT INTO t VALUES(3,3)",
	             "SELECT * FROM t");
}

/* Also when it runs alone, behind which nothing could be rolled back. */

Test(trap, a_known_statement_means_what_its_names_mean_now)
{
	EXPECT_EQUAL("ATTACH ':memory:' AS aux", "CREATE TABLE aux.t(x)", "INSERT INTO t VALUES(1)", "CREATE TABLE main.t(x)",
	             "INSERT INTO t VALUES(1)", "SELECT (SELECT count(*) FROM aux.t),(SELECT count(*) FROM main.t)");
	EXPECT_EQUAL("CREATE TABLE u(x)", "INSERT INTO u VALUES(1)", "CREATE TEMP TABLE u(x)", "INSERT INTO u VALUES(1)",
	             "SELECT (SELECT count(*) FROM main.u),(SELECT count(*) FROM temp.u)", "SELECT count(*) FROM u",
	             "DROP TABLE temp.u", "INSERT INTO u VALUES(1)", "SELECT count(*) FROM u");
	EXPECT_EQUAL("CREATE TABLE u(x)", "DELETE FROM u", "INSERT INTO u VALUES(1)", "CREATE TEMP VIEW u AS SELECT 7 AS x",
	             "DELETE FROM u", "SELECT * FROM u", "DROP VIEW u", "DELETE FROM u", "SELECT count(*) FROM u");
}

Test(trap, a_known_statement_forgets_a_detached_table)
{
	EXPECT_EQUAL("ATTACH '$D/other.db' AS a", "ATTACH '$D/near.db' AS b", "CREATE TABLE a.t(x)", "CREATE TABLE b.t(x)",
	             "INSERT INTO t VALUES(1)", "DETACH a", "INSERT INTO t VALUES(1)", "SELECT count(*) FROM b.t",
	             "ATTACH '$D/other.db' AS a", "INSERT INTO t VALUES(1)",
	             "SELECT (SELECT count(*) FROM a.t),(SELECT count(*) FROM b.t)", "CREATE TABLE main.t(x)",
	             "INSERT INTO t VALUES(1)", "SELECT count(*) FROM main.t");
}

/* A registered one too, and what runs as one. */
Test(trap, a_registered_statement_means_what_its_names_mean_now)
{
	EXPECT_EQUAL("CREATE TABLE u(x)", "eight:INSERT INTO u VALUES(?)", "CREATE TEMP TABLE u(x)",
	             "eight:INSERT INTO u VALUES(?)", "SELECT (SELECT count(*) FROM main.u),(SELECT count(*) FROM temp.u)",
	             "DROP TABLE temp.u", "eight:INSERT INTO u VALUES(?)", "SELECT count(*) FROM u");
}

/* A trigger of main's sees main's tables; one of temp's what hides them. */
Test(trap, what_a_trigger_means_follows_too)
{
	EXPECT_EQUAL("CREATE TABLE t(x)", "CREATE TABLE u(x)",
	             "CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO u "
	             "VALUES(new.x); END",
	             "INSERT INTO t VALUES(1)", "CREATE TEMP TABLE u(x)", "INSERT INTO t VALUES(1)",
	             "SELECT (SELECT count(*) FROM main.u),(SELECT count(*) FROM temp.u)");
}

/* SQLite forgets the columns of views when it prepares a DROP, not when it runs one. (A pragma ends a batch.) */
Test(trap, a_view_forgets_the_columns_of_a_dropped_table)
{
	EXPECT_EQUAL("CREATE TABLE t(a,b,c)", "INSERT INTO t VALUES(1,2,3)", "CREATE VIEW v AS SELECT * FROM t",
	             "PRAGMA user_version", "DELETE FROM v", "DROP TABLE t", "SELECT * FROM v", "DELETE FROM v",
	             "CREATE TABLE t(x)", "INSERT INTO t VALUES(7)", "SELECT * FROM v", "SELECT a FROM v", "SELECT x FROM v",
	             "SELECT name FROM pragma_table_info('v')", "CREATE TABLE w AS SELECT * FROM v",
	             "SELECT sql FROM sqlite_schema");
}

Test(trap, a_view_over_a_view_forgets_them_too)
{
	EXPECT_EQUAL("CREATE TABLE t(a,b,c)", "CREATE VIEW v AS SELECT * FROM t", "CREATE VIEW w AS SELECT x.* FROM v AS x",
	             "CREATE TABLE t(a,b,c)", "SELECT name FROM pragma_table_info('w')", "DROP TABLE IF EXISTS t",
	             "DELETE FROM v", "CREATE TABLE t(x)", "SELECT * FROM w");
	EXPECT_EQUAL("CREATE TABLE t(a,b,c)", "CREATE VIEW v AS SELECT * FROM t", "ALTER TABLE t DROP COLUMN c",
	             "CREATE TABLE t(a,b,c)", "INSERT INTO v VALUES(1,2,3)", "DROP TABLE IF EXISTS t", "CREATE TABLE t(x,y,z)",
	             "SELECT * FROM v");
}

/* The first time they find nothing to do and are readers; the next time they write, and may fail half way. */
Test(trap, if_exists_does_once_nothing_and_then_something)
{
	EXPECT_EQUAL("CREATE TABLE t(a)", "INSERT INTO t VALUES(5),(-1),(6)", "CREATE TABLE u(a)",
	             "CREATE TABLE IF NOT EXISTS u AS SELECT abs(-9223372036854775807+a) FROM t", "DROP TABLE u",
	             "CREATE TABLE IF NOT EXISTS u AS SELECT abs(-9223372036854775807+a) FROM t", "SELECT * FROM u",
	             "INSERT INTO t VALUES(7)", "SELECT name FROM sqlite_schema");
	EXPECT_EQUAL("CREATE TABLE t(a)", "INSERT INTO t VALUES(5),(-9223372036854775807-1)", "CREATE TABLE s(a)",
	             "CREATE INDEX i ON s(a)", "CREATE INDEX IF NOT EXISTS i ON t(abs(a))", "DROP INDEX i",
	             "CREATE INDEX IF NOT EXISTS i ON t(abs(a))", "INSERT INTO s VALUES(7)", "SELECT name FROM sqlite_schema");
	/* Failures that SQLite does not foresee. */
	EXPECT_EQUAL("CREATE TABLE js(j)", "INSERT INTO js VALUES('[1,2]'),('nonsense')", "CREATE TABLE u(a)",
	             "CREATE TABLE IF NOT EXISTS u AS SELECT value FROM js,json_each(j)", "DROP TABLE u",
	             "CREATE TABLE IF NOT EXISTS u AS SELECT value FROM js,json_each(j)", "SELECT * FROM u",
	             "INSERT INTO js VALUES(7)", "SELECT name FROM sqlite_schema");
	EXPECT_EQUAL("CREATE TABLE long(a)", "INSERT INTO long VALUES(2),(zeroblob(600000))", "CREATE TABLE u(a)",
	             "CREATE TABLE IF NOT EXISTS u AS SELECT a,a AS b FROM long", "DROP TABLE u",
	             "CREATE TABLE IF NOT EXISTS u AS SELECT a,a AS b FROM long", "SELECT * FROM u",
	             "INSERT INTO long VALUES(7)", "SELECT name FROM sqlite_schema");
	EXPECT_EQUAL(FAMILY, "DROP TABLE IF EXISTS w", "DROP TABLE IF EXISTS parent", "INSERT INTO child VALUES(1,7)",
	             "CREATE TABLE IF NOT EXISTS parent(id INTEGER PRIMARY KEY)", "INSERT INTO parent VALUES(7)",
	             "INSERT INTO child VALUES(1,7)", "DROP TABLE IF EXISTS parent", "SELECT changes()", "SELECT * FROM child",
	             "DROP TABLE IF EXISTS child", "DROP TABLE IF EXISTS parent", "SELECT changes()");
}

/* SQLite says of these, and of DROP TRIGGER IF EXISTS, that they only read when there is nothing to do. */
#define TELLS "AFTER INSERT ON t BEGIN UPDATE t SET n=changes() WHERE rowid=new.rowid; END"

Test(trap, a_trigger_that_was_there_once_is_seen_when_it_comes_back)
{
	EXPECT_EQUAL("CREATE TABLE t(a,n)", "CREATE TRIGGER tell " TELLS, "CREATE TRIGGER IF NOT EXISTS tell " TELLS,
	             "DROP TRIGGER tell", "eight:INSERT INTO t(a) VALUES(?)", "CREATE TRIGGER IF NOT EXISTS tell " TELLS,
	             "eight:INSERT INTO t(a) VALUES(?)", "SELECT * FROM t");
	EXPECT_EQUAL("CREATE TABLE t(a UNIQUE,n)", "DROP TRIGGER IF EXISTS tell", "CREATE TRIGGER tell " TELLS,
	             "INSERT INTO t(a) VALUES(7)", "DROP TRIGGER IF EXISTS tell", "eight:INSERT INTO t(a) VALUES(?)",
	             "INSERT OR ROLLBACK INTO t(a) VALUES(7)", "INSERT INTO t(a) VALUES(70)", "SELECT * FROM t");
}

/* What cannot be prepared any more fails for that, not for the number of its values. */
Test(trap, the_values_of_a_statement_whose_table_is_gone_are_not_counted)
{
	EXPECT_EQUAL("CREATE TABLE t(a,b)", "count:INSERT INTO t VALUES(?,?)", "DROP TABLE t",
	             "count:INSERT INTO t VALUES(?,?)", "CREATE TABLE t(a)", "count:INSERT INTO t VALUES(?,?)");
}

/* The schema of temp, which has no cookie that begin would look at. */
Test(trap, what_is_temporary_is_noticed_behind_what_ran_before)
{
	if (!sqlite3_compileoption_used("ENABLE_FTS3"))
		return;
	EXPECT_EQUAL("CREATE TABLE t(a)", "INSERT INTO t VALUES(1)", "CREATE VIRTUAL TABLE temp.f USING fts4(a)",
	             "INSERT INTO f VALUES('one'),('two')", "SELECT changes(),total_changes()", "INSERT INTO t VALUES(2)",
	             "INSERT INTO f VALUES('three')", "SELECT changes(),total_changes(),last_insert_rowid()",
	             "SELECT count(*) FROM f WHERE f MATCH 'one OR three'", "SELECT changes(),total_changes()");
}

Test(trap, a_known_statement_forgets_what_another_temp_store_has_dropped)
{
	if (!sqlite3_compileoption_used("ENABLE_FTS3"))
		return;
	EXPECT_EQUAL("CREATE VIRTUAL TABLE f USING fts4(a)", "CREATE TABLE t(a)", "CREATE TEMP TABLE f(a)",
	             "INSERT INTO f VALUES('one')", "INSERT INTO f VALUES('one')", "SELECT changes(),total_changes()",
	             "PRAGMA temp_store=MEMORY", "INSERT INTO f VALUES('one')", "SELECT changes(),total_changes()",
	             "INSERT INTO f VALUES('one')", "SELECT changes(),total_changes()",
	             "SELECT count(*) FROM f WHERE f MATCH 'one'");
}
