/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explain.h - what a statement's program does, as SQLite's EXPLAIN lists it
 *
 * Questions that no other interface answers. Its triggers and the actions of foreign keys are part of the list.
 *
 * Foreign keys. SQLite counts violations of deferred keys up and down, and looks at COMMIT whether the count is above zero. A
 * program that counts both ways can leave it below zero: rows that were orphans before are counted down, though nobody has
 * counted them up. In autocommit the statement's own commit sets the count back. In a transaction it would hide violations of
 * the statements behind it. SQLite counts nothing down while the count is zero. For a row that leaves a child table it looks at the
 * count, then takes one away: that never ends below zero, and does not count as down here. For a row that comes into a parent
 * table it looks once, then takes one away for each child row.
 *
 * Virtual tables. Full-text search keeps what a transaction has written in memory until a later statement or the COMMIT needs it;
 * what it then writes for itself sets last_insert_rowid() and is counted in total_changes().
 *
 * Functions. What a row of a fused insert calls must not be able to tell its neighbours apart (fuse.h).
 *
 * The form of the list is not promised. So it is tried once, on statements whose answer is known; where it cannot be read, the
 * answer is yes.
 *
 * To explain a statement sets SQLite's changes() to 0, so whoever asks puts it right.
 *
 * Failure modes: without memory the answer is yes.
 */
#ifndef PENSTOCK_EXPLAIN_H
#define PENSTOCK_EXPLAIN_H

#include <stdbool.h>

#include <sqlite3.h>

/* Whether the statement may leave the count of violated deferred keys below zero. */
bool ps_explain_may_hide_violations(sqlite3 *connection, const char *sql);
/* Whether it writes a virtual table. */
bool ps_explain_writes_virtual(sqlite3 *connection, const char *sql);
/* Whether it calls a function that is not SQLite's own, or one of SQLite's that tells what was changed before. */
bool ps_explain_calls_functions(sqlite3 *connection, const char *sql);

#endif
