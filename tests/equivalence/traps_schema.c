/*
 * traps_schema.c - statements follow the schema
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
