/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * changes.h - what changes() and total_changes() say in SQL: what they would, had nothing ever been rolled back and run again
 *
 * A batch that is rolled back because of one of its entries runs the others anew, which SQLite counts once more. So its two
 * functions are replaced, on the writer's connection, by two that take off what was undone.
 *
 * Invariants
 *   1. After a rollback changes() is what it was before the transaction, until a statement sets it anew.
 *   2. The functions keep what they need as long as the connection lasts: a statement that a function of the connect hook left
 *      open keeps SQLite's connection, and calls them, when the store is gone.
 *
 * Failure modes: no memory.
 */
#ifndef PENSTOCK_CHANGES_H
#define PENSTOCK_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

struct ps_changes;

/* Replaces the connection's functions. NULL: no memory. */
struct ps_changes *ps_changes_new(sqlite3 *connection);
void ps_changes_release(struct ps_changes *changes);

void ps_changes_begin(struct ps_changes *changes);
void ps_changes_roll_back(struct ps_changes *changes);
/*
 * Behind the above, where the transaction was one statement's own: as when it fails in autocommit. SQLite then goes on counting
 * what its triggers did; `counted` is what it has counted of the statement itself.
 */
void ps_changes_fail(struct ps_changes *changes, int64_t counted);
/* changes() is this, and not what SQLite says, until the next statement that changes something. */
void ps_changes_correct(struct ps_changes *changes, int64_t count);
bool ps_changes_is_corrected(const struct ps_changes *changes);
/* A statement has set it: SQLite is right again. */
void ps_changes_trust_sqlite(struct ps_changes *changes);

#endif
