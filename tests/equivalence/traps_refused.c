/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps_refused.c - what is refused has no effect
 *
 * Transaction control, the engine's own pragmas, texts that are not exactly one statement, values too few or too many.
 */
#include "tests/equivalence/traps.h"

Test(trap, transaction_control_is_refused)
{
	EXPECT_EQUAL(T_UNIQUE, "INSERT INTO t VALUES(1,1)", "refused:BEGIN", "refused:COMMIT", "refused:END TRANSACTION",
	             "INSERT INTO t VALUES(2,2)", "refused:ROLLBACK", "refused:/*x*/ rollback", "refused:SAVEPOINT a",
	             "refused:RELEASE a", "refused:ROLLBACK TO a", "INSERT INTO t VALUES(3,3)", "refused:BEGIN EXCLUSIVE");
}

Test(trap, the_engines_pragmas_are_refused)
{
	EXPECT_EQUAL(T_UNIQUE, "refused:PRAGMA journal_mode=DELETE", "refused:PRAGMA main.journal_mode='off'",
	             "refused:PRAGMA synchronous=OFF", "refused:PRAGMA synchronous=0", "refused:PRAGMA wal_autocheckpoint=1",
	             "INSERT INTO t VALUES(1,1)");
}

/* The other ways to write it (pragma.c, getSafetyLevel). */
Test(trap, synchronous_off_is_refused_however_it_is_written)
{
	EXPECT_EQUAL(T_UNIQUE, "refused:PRAGMA synchronous=no", "refused:PRAGMA synchronous=false",
	             "refused:PRAGMA synchronous=00", "refused:PRAGMA synchronous=256", "refused:PRAGMA synchronous='off'",
	             "refused:PRAGMA main.synchronous(no)");
}

Test(trap, text_behind_the_statement_is_refused)
{
	EXPECT_EQUAL(T_UNIQUE, "single:INSERT INTO t VALUES(1,1); INSERT INTO t VALUES(2,2)",
	             "INSERT INTO t VALUES(3,3) ; -- x", "single:SELECT 1; COMMIT", "single:CREATE TABLE u(a); x");
}

Test(trap, a_refused_text_has_no_effect)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=ON", "single:PRAGMA foreign_keys=OFF; SELECT 1", "PRAGMA foreign_keys");
}

Test(trap, a_pragma_with_the_wrong_number_of_values_has_no_effect)
{
	EXPECT_EQUAL("PRAGMA foreign_keys=ON", "count:PRAGMA foreign_keys=OFF", "PRAGMA foreign_keys");
}

Test(trap, a_comment_is_no_statement)
{
	EXPECT_EQUAL(T_UNIQUE, "single:", "single:-- nothing", "single: /* nothing */ ;", "INSERT INTO t VALUES(1,1)");
}

Test(trap, a_nul_in_the_text_is_refused)
{
	const struct setup setup = { .batch_max = 100, .statement_cache = 10 };
	struct list list = { 0 };
	penstock_counters counters;
	char *found;

	append(&list, plain_statement("CREATE TABLE t(a)", AS_SQLITE));
	append(&list, plain_statement("INSERT INTO t VALUES(1) ; DELETE FROM t", NO_SINGLE));
	list.at[1]->sql[24] = '\0';
	append(&list, plain_statement("INSERT INTO t VALUES(2)", AS_SQLITE));
	found = difference(&setup, &list, &counters);
	cr_assert(found == NULL, "%s", found);
	free_list(&list);
}

/* SQLite has understood BEGIN before it sees what follows. */
Test(trap, what_only_begins_like_transaction_control_is_a_syntax_error)
{
	EXPECT_EQUAL(T_UNIQUE, "BEGIN nonsense", "END-1", "ROLLBACK TO s x", "SAVEPOINT", "RELEASE a b", "COMMIT 1",
	             "INSERT INTO t VALUES(1,1)");
}
