/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * changes.h - what changes() and total_changes() say: what they would, had each statement run by itself, and once
 *
 * A batch that is rolled back because of one of its entries runs the others anew, which SQLite counts once more; many inserts
 * that run as one count as many; the COMMIT of a full-text table counts what it writes for itself.
 *
 * changes() is SQLite's own figure, and must be right in it: triggers save and restore that figure, and functions of the program
 * read it by sqlite3_changes(). So where it is wrong, it is set before the next statement that could see it: by a DELETE on a
 * virtual table of as many rows as it should be, none of which exists. total_changes() cannot be set; the SQL function of that
 * name is replaced by one that takes off what was undone, and what the DELETEs have counted.
 *
 * Invariants
 *   1. After a rollback changes() is what it was before the transaction, until a statement sets it anew.
 *   2. The function keeps what it needs as long as the connection lasts: a statement that a function of the connect hook left
 *      open keeps SQLite's connection, and calls it, when the store is gone.
 *
 * Failure modes: no memory. sqlite3_total_changes() called by a function of the program counts too much.
 */
#ifndef PENSTOCK_CHANGES_H
#define PENSTOCK_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

struct ps_changes;

/* Replaces the connection's function. NULL: no memory. */
struct ps_changes *ps_changes_new(sqlite3 *connection);
void ps_changes_release(struct ps_changes *changes);

/* Takes the SQL function back from whoever has taken it. */
void ps_changes_renew(struct ps_changes *changes);

void ps_changes_begin(struct ps_changes *changes);
void ps_changes_roll_back(struct ps_changes *changes);
/*
 * Behind the above, where the transaction was one statement's own: as when it fails in autocommit. SQLite then goes on counting
 * what its triggers did; `counted` is what it has counted of the statement itself.
 */
void ps_changes_fail(struct ps_changes *changes, int64_t counted);
/* changes() should be this. */
void ps_changes_correct(struct ps_changes *changes, int64_t count);
/* What it should be now. */
int64_t ps_changes_shown(const struct ps_changes *changes);
/*
 * Sets it, if need be. 0.4 us for one row, 47 ms for a million (SQLite 3.40.1, one machine). It takes the write lock: within a
 * transaction, or where the next statement takes it too. PRAGMA query_only is lifted for it. SQLite's code.
 */
int ps_changes_put_right(struct ps_changes *changes);

#endif
