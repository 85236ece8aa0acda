/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_alone.c - what runs alone, or is felt by everybody behind it
 *
 * VACUUM, checkpoints, pragmas, ATTACH and temporary objects: what cannot run inside a transaction, or belongs to the connection.
 */
#include "tests/equivalence/locales.h"
#include "tests/equivalence/traps.h"

Test(trap, vacuum_runs_alone)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "VACUUM", "INSERT INTO t VALUES(2,2)", "VACUUM INTO '$D/copy1.db'",
	             "VACUUM INTO '$D/copy1.db'", "DELETE FROM t", "VACUUM");
}

Test(trap, the_foreign_keys_pragma_acts_between_batches)
{
	EXPECT_EQUAL(FAMILY, "INSERT INTO child VALUES(1,1)", "PRAGMA foreign_keys=OFF", "INSERT INTO child VALUES(2,2)",
	             "INSERT INTO child VALUES(3,3)", "PRAGMA foreign_keys=ON", "INSERT INTO child VALUES(4,4)",
	             "DELETE FROM child WHERE id=2", "INSERT INTO parent VALUES(3)", "PRAGMA foreign_keys",
	             "SELECT * FROM child");
}

Test(trap, a_checkpoint_runs_between_batches)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "loose:PRAGMA wal_checkpoint(TRUNCATE)",
	             "INSERT INTO t VALUES(2,2)", "INSERT INTO t VALUES(3,3)", "loose:PRAGMA wal_checkpoint");
}

Test(trap, attached_files_take_part)
{
	EXPECT_EQUAL("ATTACH '$D/other.db' AS other", "CREATE TABLE other.z(a PRIMARY KEY)", "CREATE TABLE z2(a PRIMARY KEY)",
	             "INSERT INTO other.z VALUES(1)", "INSERT INTO z2 VALUES(1)", "INSERT OR ROLLBACK INTO other.z VALUES(1)",
	             "INSERT INTO other.z SELECT a+1 FROM z2", "DETACH other", "INSERT INTO other.z VALUES(9)", "DETACH other",
	             "INSERT INTO z2 VALUES(3)");
}

/* A batch must not need more locks than its statements. */
Test(trap, the_file_attached_to_itself_does_not_stand_in_the_way)
{
	EXPECT_EQUAL(T_UNIQUE, "ATTACH '$D/main.db' AS again", "INSERT INTO t VALUES(1,1)", "INSERT INTO t VALUES(2,2)",
	             "SELECT * FROM t", "PRAGMA recursive_triggers=ON", "INSERT INTO t VALUES(3,3)",
	             "INSERT INTO t VALUES(4,4)", "DETACH again", "INSERT INTO t VALUES(5,5)");
}

Test(trap, temp_tables_belong_to_the_connection)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "CREATE TEMP TABLE tt(a UNIQUE)", "INSERT INTO tt VALUES(1)",
	             "INSERT INTO tt VALUES(2)", "INSERT OR ROLLBACK INTO t VALUES(1,1)",
	             "INSERT OR ROLLBACK INTO tt VALUES(1)", "CREATE TEMP TABLE t(a,b)", "INSERT INTO t VALUES(1,1)",
	             "INSERT INTO main.t VALUES(2,2)", "DROP TABLE t", "INSERT INTO t VALUES(3,3)", "DROP TABLE t",
	             "SELECT * FROM tt");
}

Test(trap, query_only_is_for_everybody)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "PRAGMA query_only=ON", "INSERT INTO t VALUES(2,2)",
	             "SELECT * FROM t", "INSERT INTO t VALUES(3,3)", "PRAGMA query_only=OFF", "INSERT INTO t VALUES(4,4)");
}

Test(trap, running_alone_changes_nothing)
{
	EXPECT_EQUAL(FAMILY, T_UNIQUE, "alone:INSERT INTO t VALUES(1,1)", "alone:INSERT OR FAIL INTO t VALUES(2,2),(1,1)",
	             "alone:INSERT OR ROLLBACK INTO t VALUES(3,3),(1,1)", "INSERT INTO t VALUES(4,4)",
	             "alone:INSERT INTO child VALUES(1,1)", "alone:INSERT INTO parent VALUES(1)",
	             "alone:INSERT INTO child VALUES(1,1),(2,9) RETURNING *", "SELECT changes(),total_changes()",
	             "refused:COMMIT", "alone:SELECT * FROM t");
}

/* A second name of a file that is not the main one: a batch, or a statement with rows, must not lock it twice. */
Test(trap, a_file_attached_twice_does_not_stand_in_the_way)
{
	EXPECT_EQUAL("ATTACH '$D/near.db' AS a", "CREATE TABLE a.t(x)", "ATTACH '$D/near.db' AS b", "INSERT INTO b.t VALUES(1)",
	             "INSERT INTO b.t VALUES(2) RETURNING x", "INSERT INTO a.t VALUES(3) RETURNING x", "SELECT * FROM b.t");
}

#define FREE_PAGES                                                                                                                   \
	"CREATE TABLE t(x)",                                                                                                         \
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 90) INSERT INTO t SELECT zeroblob(3000) FROM n", \
		"DELETE FROM t"

Test(trap, a_pragma_that_returns_rows_without_columns)
{
	const struct setup setup = TRAP_SETUP(.pragmas = { PENSTOCK_PRAGMA("auto_vacuum", "2") }, .pragma_count = 1);

	EXPECT_EQUAL_WITH(setup, FREE_PAGES, "PRAGMA freelist_count", "PRAGMA incremental_vacuum(50)", "PRAGMA freelist_count",
	                  "INSERT INTO t VALUES(1)", "alone:PRAGMA incremental_vacuum(20)", "PRAGMA freelist_count",
	                  "PRAGMA incremental_vacuum", "PRAGMA freelist_count", "PRAGMA incremental_vacuum(5)",
	                  "SELECT changes()");
}

/* SQL's words are ASCII, whatever letters the process has. */
Test(trap, words_are_ascii_in_every_locale)
{
	const struct setup setup = TRAP_SETUP(.kinds = { &kind_locale });

	if (!locale_enter(kind_locale.locale))
		cr_skip_test("no such locale");
	EXPECT_EQUAL_WITH(setup, "create table t(i)", "insert into t values(1),(2)", "INSERT INTO t VALUES(1),(2)",
	                  "with c as (select 5) insert into t select * from c", "insert into t values(3) returning I",
	                  "delete from t where I=3", "refused:PRAGMA WAL_AUTOCHECKPOINT=1",
	                  "refused:pragma wal_autocheckpoint=1", "refused:commit", "PRAGMA FOREIGN_KEYS=ON",
	                  "pragma foreign_keys", "eight:insert into t values(?)", "eight:INSERT INTO T VALUES(?)", "vacuum");
}
