/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_foreign_keys.c - keys that are checked at the end of a transaction
 *
 * In autocommit that is the end of the statement. In a batch a later statement could cure a violation, or hide it.
 */
#include "tests/equivalence/traps.h"

Test(trap, a_deferred_violation_fails_though_a_later_statement_cures_it)
{
	EXPECT_EQUAL(FAMILY, "INSERT INTO child VALUES(1,7)", "INSERT INTO parent VALUES(7)", "INSERT INTO child VALUES(2,7)",
	             "DELETE FROM parent WHERE id=7", "INSERT INTO parent VALUES(8)", "UPDATE child SET p=9 WHERE id=2",
	             "INSERT INTO parent VALUES(9)", "INSERT OR REPLACE INTO child VALUES(2,55)",
	             "INSERT INTO parent VALUES(55)", "SELECT * FROM child");
}

Test(trap, or_fail_keeps_no_rows_with_a_deferred_violation)
{
	EXPECT_EQUAL(FAMILY, "INSERT INTO parent VALUES(1)", "INSERT OR FAIL INTO child VALUES(1,7),(1,7)",
	             "INSERT INTO parent VALUES(7)", "SELECT * FROM child");
}

Test(trap, raise_fail_keeps_no_rows_with_a_deferred_violation)
{
	EXPECT_EQUAL(FAMILY, "CREATE TRIGGER r AFTER INSERT ON child WHEN new.id=3 BEGIN SELECT RAISE(FAIL,'no three'); END",
	             "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(1,7),(3,1)", "INSERT INTO parent VALUES(7)",
	             "SELECT * FROM child");
}

Test(trap, an_immediate_violation_fails_alone)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=ON", "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
	             "CREATE TABLE child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) ON DELETE CASCADE)",
	             "INSERT INTO child VALUES(1,1)", "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(1,1),(2,3)",
	             "INSERT INTO child VALUES(1,1)", "DELETE FROM parent", "SELECT * FROM child");
}

Test(trap, dropping_a_parent_fails_alone)
{
	EXPECT_EQUAL(FAMILY, "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(1,1)", "DROP TABLE parent",
	             "INSERT INTO parent VALUES(2)", "CREATE TABLE parent(id INTEGER PRIMARY KEY)", "SELECT * FROM parent");
}

/* It lasts for the transaction that follows, which is one statement. */
Test(trap, defer_foreign_keys_lasts_for_one_statement)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=ON", "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
	             "CREATE TABLE child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) ON DELETE RESTRICT)",
	             "CREATE TRIGGER back AFTER DELETE ON parent BEGIN INSERT INTO parent VALUES(old.id); END",
	             "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(1,1)", "PRAGMA defer_foreign_keys=ON",
	             "INSERT INTO parent VALUES(2)", "DELETE FROM parent WHERE id=1", "INSERT INTO parent VALUES(3)",
	             "SELECT * FROM parent");
}

Test(trap, defer_foreign_keys_outlasts_a_pragma)
{
	EXPECT_EQUAL(FAMILY, "CREATE TABLE now(p REFERENCES parent(id))", "PRAGMA defer_foreign_keys=ON", "PRAGMA foreign_keys",
	             "INSERT INTO now VALUES(5) RETURNING p", "INSERT INTO now VALUES(6) RETURNING p", "SELECT * FROM now");
}

/* What was prepared under it must not be kept: the actions of foreign keys are compiled in. */
Test(trap, defer_foreign_keys_is_not_remembered)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=ON", "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
	             "CREATE TABLE child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) ON DELETE RESTRICT)",
	             "CREATE TRIGGER back AFTER DELETE ON parent BEGIN INSERT INTO parent VALUES(old.id); END",
	             "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(1,1)", "PRAGMA defer_foreign_keys=ON",
	             "DELETE FROM parent WHERE id=1", "PRAGMA user_version", "DELETE FROM parent WHERE id=1");
}

Test(trap, defer_foreign_keys_survives_a_replay)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=ON", "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
	             "CREATE TABLE child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) ON DELETE RESTRICT)",
	             "CREATE TRIGGER back AFTER DELETE ON parent BEGIN INSERT INTO parent VALUES(old.id); END",
	             "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(1,1)", "PRAGMA defer_foreign_keys=ON",
	             "DELETE FROM parent WHERE id=1", "INSERT OR ROLLBACK INTO parent VALUES(1)", "SELECT * FROM parent");
}

/* Any statement that reads ends it, the engine's own among them: behind a change of the schema it reads that. */
#define DEFERRED_BEHIND_A_CHANGE                                                                                       \
	FAMILY, "CREATE TABLE strict(p REFERENCES parent(id) ON DELETE RESTRICT)",                                     \
		"CREATE TRIGGER back AFTER DELETE ON parent BEGIN INSERT INTO parent VALUES(old.id); END",             \
		"INSERT INTO parent VALUES(1)", "INSERT INTO strict VALUES(1)",                                        \
		"CREATE TABLE now(id INTEGER PRIMARY KEY,p REFERENCES parent(id))", "PRAGMA defer_foreign_keys=ON",    \
		"INSERT OR FAIL INTO now VALUES(4,5)", "CREATE INDEX now_p ON now(p)", "PRAGMA defer_foreign_keys=ON", \
		"DELETE FROM parent", "DELETE FROM parent", "DROP INDEX now_p", "PRAGMA defer_foreign_keys=ON",        \
		"DELETE FROM parent RETURNING id", "DELETE FROM parent RETURNING id"

Test(trap, defer_foreign_keys_outlasts_a_look_at_the_schema)
{
	EXPECT_EQUAL(DEFERRED_BEHIND_A_CHANGE);
}

Test(trap, defer_foreign_keys_outlasts_a_look_at_a_schema_that_is_not_trusted)
{
	EXPECT_EQUAL_WITH(TRAP_SETUP(.pragmas = { PENSTOCK_PRAGMA("trusted_schema", "0") }, .pragma_count = 1),
	                  DEFERRED_BEHIND_A_CHANGE);
}

/* Nor does it end with what the engine does for a statement that failed in a transaction of its own. */
Test(trap, defer_foreign_keys_outlasts_what_a_failure_left)
{
	EXPECT_EQUAL(FAMILY, "CREATE TABLE now(id INTEGER PRIMARY KEY,p REFERENCES parent(id))", "PRAGMA defer_foreign_keys=ON",
	             "INSERT OR IGNORE INTO now VALUES(1,2) RETURNING *", "PRAGMA defer_foreign_keys=ON",
	             "INSERT INTO now(p) VALUES(3)");
	EXPECT_EQUAL(FAMILY, "CREATE TABLE strict(p REFERENCES parent(id) ON UPDATE RESTRICT)",
	             "INSERT INTO parent VALUES(1),(2)", "INSERT INTO strict VALUES(1),(2)", "PRAGMA defer_foreign_keys=ON",
	             "UPDATE OR FAIL parent SET id=9 RETURNING *");
}

/* A commit that fails ends it too. */
Test(trap, defer_foreign_keys_ends_with_a_commit_that_fails)
{
	EXPECT_EQUAL(FAMILY, "CREATE TABLE now(id INTEGER PRIMARY KEY,p REFERENCES parent(id))",
	             "CREATE TABLE strict(p REFERENCES parent(id) ON DELETE RESTRICT)", "INSERT INTO parent VALUES(1)",
	             "INSERT INTO strict VALUES(1)", "PRAGMA defer_foreign_keys=ON", "INSERT INTO now VALUES(4,5) RETURNING id",
	             "timed:DELETE FROM parent", "PRAGMA defer_foreign_keys=ON", "DELETE FROM parent RETURNING id",
	             "INSERT INTO now VALUES(6,7)", "timed:DELETE FROM parent");
}

/* It reads the temporary database, where that has been opened; and the schema, where that is not in memory, as behind VACUUM. */
Test(trap, defer_foreign_keys_ends_where_sqlite_has_to_read)
{
	EXPECT_EQUAL(FAMILY, "CREATE TABLE now(id INTEGER PRIMARY KEY,p REFERENCES parent(id))", "VACUUM",
	             "PRAGMA defer_foreign_keys=ON", "INSERT INTO now VALUES(4,5)", "PRAGMA defer_foreign_keys=ON",
	             "INSERT INTO now VALUES(4,5)", "VACUUM", "PRAGMA synchronous=NORMAL", "PRAGMA synchronous",
	             "PRAGMA defer_foreign_keys=ON", "INSERT INTO now VALUES(4,5) RETURNING id");
	/* Also where the engine begins a transaction, and reads the schema in that: to return rows, or to wait for the lock. */
	EXPECT_EQUAL(FAMILY, "CREATE TABLE strict(p REFERENCES parent(id) ON DELETE RESTRICT)",
	             "INSERT INTO parent VALUES(1),(2)", "INSERT INTO strict VALUES(1),(2)", "VACUUM",
	             "PRAGMA defer_foreign_keys=ON", "timed:DELETE FROM parent", "VACUUM", "PRAGMA defer_foreign_keys=ON",
	             "PRAGMA defer_foreign_keys", "timed:DELETE FROM parent RETURNING id", "VACUUM",
	             "PRAGMA defer_foreign_keys=ON", "group:DELETE FROM parent; SELECT 1");
	/* Behind the rollback of a group that had changed it, too; not of one that might have. */
#define BEHIND_A_GROUP(sql)                                                                                               \
	EXPECT_EQUAL(FAMILY, "CREATE TABLE strict(p REFERENCES parent(id) ON DELETE RESTRICT)",                           \
	             "INSERT INTO parent VALUES(1)", "INSERT INTO strict VALUES(1)", "group:" sql "; SELECT 1 FROM gone", \
	             "PRAGMA defer_foreign_keys=ON", "DELETE FROM parent")
	BEHIND_A_GROUP("CREATE TABLE new(a)");
	BEHIND_A_GROUP("CREATE TEMP TABLE new(a)");
	BEHIND_A_GROUP("CREATE INDEX new ON strict(p)");
	BEHIND_A_GROUP("ALTER TABLE child RENAME TO new");
	BEHIND_A_GROUP("DROP TABLE child; INSERT INTO parent VALUES(2)");
	BEHIND_A_GROUP("CREATE TABLE IF NOT EXISTS parent(a)");
	BEHIND_A_GROUP("ANALYZE");
	/* But not where only a batch that changed it was rolled back. */
	EXPECT_EQUAL("PRAGMA foreign_keys=ON", "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
	             "CREATE TABLE now(id INTEGER PRIMARY KEY,p REFERENCES parent(id))",
	             "group:INSERT INTO gone VALUES(1) RETURNING *; SELECT 1", "PRAGMA defer_foreign_keys=ON",
	             "INSERT INTO now(p) VALUES(5)");
}

Test(trap, defer_foreign_keys_outlasts_what_does_nothing)
{
	EXPECT_EQUAL(FAMILY, "CREATE TABLE strict(p REFERENCES parent(id) ON DELETE RESTRICT)",
	             "INSERT INTO parent VALUES(1),(2)", "INSERT INTO strict VALUES(1),(2)", "PRAGMA defer_foreign_keys=ON",
	             "DROP TRIGGER IF EXISTS temp.gone", "DELETE FROM parent WHERE id<5 RETURNING *");
}

/* With keys off orphans may come in. Who cures one leaves SQLite's count of violations below zero. */
#define ORPHANS                                                                                        \
	"PRAGMA foreign_keys=OFF", "CREATE TABLE parent(id INTEGER PRIMARY KEY)",                      \
		"CREATE TABLE child(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",           \
		"INSERT INTO parent VALUES(1),(5)", "INSERT INTO child VALUES(1),(5),(5),(2),(2),(2)", \
		"PRAGMA foreign_keys=ON"

Test(trap, a_cured_orphan_hides_no_violation)
{
	EXPECT_EQUAL(ORPHANS, "UPDATE parent SET id=2 WHERE id=1", "DELETE FROM parent WHERE id=5",
	             "INSERT INTO parent VALUES(77)", "SELECT group_concat(id) FROM parent", "loose:PRAGMA foreign_key_check");
	EXPECT_EQUAL(ORPHANS, "INSERT INTO parent VALUES(2)", "INSERT INTO child VALUES(8)", "DELETE FROM parent WHERE id=5",
	             "SELECT count(*) FROM child");
	EXPECT_EQUAL(ORPHANS, "DELETE FROM child WHERE p=2", "INSERT INTO child VALUES(8)", "SELECT count(*) FROM child");
	EXPECT_EQUAL(ORPHANS, "UPDATE child SET p=5 WHERE p=2", "UPDATE child SET p=9 WHERE p=1",
	             "SELECT count(*) FROM child WHERE p=9");
}

Test(trap, an_orphan_that_a_trigger_or_a_cascade_cures_hides_no_violation)
{
	EXPECT_EQUAL(ORPHANS, "CREATE TABLE u(a)",
	             "CREATE TRIGGER r AFTER INSERT ON u BEGIN UPDATE parent SET id=new.a WHERE id=1; END",
	             "INSERT INTO u VALUES(2)", "INSERT INTO child VALUES(8)", "SELECT count(*) FROM child");
	EXPECT_EQUAL("PRAGMA foreign_keys=OFF", "CREATE TABLE g(id INTEGER PRIMARY KEY)",
	             "CREATE TABLE parent(id INTEGER PRIMARY KEY REFERENCES g(id) ON UPDATE CASCADE)",
	             "CREATE TABLE child(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)", "INSERT INTO g VALUES(1),(5)",
	             "INSERT INTO parent VALUES(1),(5)", "INSERT INTO child VALUES(2),(2),(2)", "PRAGMA foreign_keys=ON",
	             "UPDATE g SET id=2 WHERE id=1", "INSERT INTO child VALUES(8)", "SELECT count(*) FROM child");
}

Test(trap, a_row_that_replaces_another_hides_no_violation)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=OFF", "CREATE TABLE parent(id INTEGER PRIMARY KEY,u UNIQUE ON CONFLICT REPLACE)",
	             "CREATE TABLE child(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",
	             "INSERT INTO parent VALUES(1,1),(5,5)", "INSERT INTO child VALUES(5),(2),(2),(2)",
	             "PRAGMA foreign_keys=ON", "INSERT INTO parent VALUES(2,5)", "INSERT INTO child VALUES(8)",
	             "DELETE FROM parent WHERE id=1", "SELECT count(*) FROM child");
}

/* Nor does one that failed leave a violation to those behind it. */
Test(trap, a_failed_row_leaves_no_violation_behind)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=OFF", "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
	             "CREATE TABLE child(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED,q UNIQUE CHECK(q<9))",
	             "INSERT INTO parent VALUES(1)", "INSERT INTO child VALUES(2,2),(3,3)", "PRAGMA foreign_keys=ON",
	             "INSERT INTO child VALUES(7,2)", "INSERT INTO child VALUES(8,10)", "INSERT INTO parent VALUES(4)",
	             "INSERT INTO child VALUES(1,4)", "INSERT OR FAIL INTO child VALUES(1,5),(7,2)",
	             "INSERT INTO parent VALUES(5)", "SELECT count(*) FROM child");
}
