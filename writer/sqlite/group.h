/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group.h - several statements that happen together or not at all
 *
 * A group is what BEGIN IMMEDIATE, its members and COMMIT are on a plain connection that rolls back at the first error. The members run as
 * any statement does (run.c), which asks store->group for the few things that are different inside of one.
 *
 * In a transaction of its own SQLite itself decides all of that: what may be in a transaction, deferred keys in COMMIT, changes() and
 * last_insert_rowid() from one member to the next, also past a rollback.
 *
 * In a batch it runs among its neighbours, as long as all goes well. When a member fails the batch is rolled back and runs again, now
 * with a savepoint around each group, which undoes the one that fails. So groups that go well pay nothing for those that do not
 * (measured: a savepoint around each from the first run on makes a batch of groups a fifth slower). To a transaction of its own goes:
 *   - what the batch may be the cause of (no room, no memory, a lock);
 *   - what only ROLLBACK undoes, since a member or a function has ended the transaction; or undoes as ROLLBACK alone does: a change of
 *     the schema;
 *   - what would meet another state than that of a transaction that has just begun: statements that must be alone, functions that
 *     write, and full-text tables, which keep writes until the COMMIT.
 * Of deferred keys the count is zero where a group begins, and where it ends it is what its COMMIT would look at. A group that may have
 * left it below zero ends the batch (explain.h).
 *
 * Invariants
 *   1. A group that is not OK has left nothing in the database; all its members' outcomes are the group's.
 *   2. No member commits, nor what its functions prepare: the authorizer refuses it. When the transaction is gone all the same (a function
 *      has run what it had prepared before) the group fails, and says that a part may be there.
 *   3. Behind a group nothing is kept that was prepared under settings or a schema that ended with it.
 *
 * Failure modes: as of a statement alone. Without the lock (in BEGIN, in COMMIT, or in a member) all of it is tried again; for want of
 * room too, once; but not behind a member that a rollback does not undo (ATTACH, a pragma). An I/O error before COMMIT is the group's
 * ERROR; in COMMIT it may be UNKNOWN, as harm.h decides.
 */
#ifndef PENSTOCK_STORE_GROUP_H
#define PENSTOCK_STORE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

/* What the run of a member must know of its group. */
struct ps_store_group {
	uint64_t row_bytes; /* of the rows that the members have given so far */
	bool sets;          /* a member may have changed the connection */
	bool lasting;       /* a member may have changed what a rollback leaves: it cannot run again */
	bool renamed;       /* names may mean something else than before the group */
	bool meddled;       /* a function was denied what a batch's transaction does not allow */
	bool last;          /* the batch must end behind it */
};

#endif
