/*
 * traps_alone.c - what runs alone, or is felt by everybody behind it
 *
 * VACUUM, checkpoints, pragmas, ATTACH and temporary objects: what cannot run inside a transaction, or belongs to the connection.
 */
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
