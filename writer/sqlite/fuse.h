/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuse.h - many plain inserts as one INSERT of many rows
 *
 * Of what one row costs, SQLite spends about half on beginning and ending a statement. A run of submissions of one registered
 * statement, INSERT INTO t(...) VALUES(?, ...), therefore runs as INSERT ... VALUES(...), (...), ... with as many rows. To be kept
 * equal are the database, who fails, and what those hear who listen: each that it changed one row, and its own rowid.
 *
 * Invariants
 *   1. Rows are inserted one after the other in ticket order, as SQLite does for a list of rows: the same rowids, defaults,
 *      indexes.
 *   2. If it fails its entries run one by one: those behind the rows that are known to be in and whole at once, else all
 *      after the batch was rolled back. So which of them fails, and with what, is decided as ever.
 *   3. Only a table on which a row cannot see its neighbours in the statement, and cannot be kept when another one fails:
 *      an ordinary one of main, without triggers (SQLite's authorizer tells), references (they are checked when a statement
 *      ends) and conflict clauses (FAIL keeps rows, ROLLBACK ends the batch). Its defaults, checks, generated columns and indexes
 *      call none but SQLite's own functions, changes() and last_insert_rowid() not among them (explain.h). The table's own text
 *      decides of the rest, and where it only sounds as if, the answer is no.
 *   4. It is INSERT OR FAIL: what would have to undo the rows before a failing one keeps a journal of them, which inside a
 *      transaction goes to a temporary file from 64 KiB on. The rows that are in are counted then, and stay.
 *   5. What was found of a table holds until SQLite prepares the fused statement anew by itself. Then what it did is taken
 *      back and the table is looked at again.
 *   6. Where somebody listens the table has rowids, and each row's is heard (rowids.h). Where it was not, what was done is taken back.
 *
 * Failure modes: without memory, or beyond SQLite's limits (parameters, length of the text), statements are not fused.
 */
#ifndef PENSTOCK_FUSE_H
#define PENSTOCK_FUSE_H

#include "writer/sqlite/statements.h"

/* Whether the statement's next row is to run by itself, as far as is known; counts it. schema_changes counts what may have
 * made an unfit table fit. */
bool ps_fuse_pauses(struct ps_registered *statement, uint64_t schema_changes);
/* The largest number of rows, up to `count`, for which there is a prepared form (of those up to `most` wide); 0: none. */
unsigned ps_fuse_width(struct ps_statements *statements, struct ps_registered *statement, unsigned most, unsigned count,
                       uint64_t schema_changes);
/* The prepared form with as many rows as ps_fuse_width said. */
struct ps_prepared *ps_fuse_get(struct ps_registered *statement, unsigned most, unsigned width);
/* Whether its table may have no rowids, as far as a prepared form tells; where there is none the answer is no. */
bool ps_fuse_lacks_rowids(const struct ps_registered *statement);
/* A row failed: the next ones run one by one for a while. */
void ps_fuse_pause(struct ps_registered *statement);
/* The table may have changed: what is prepared is dropped. */
void ps_fuse_forget(struct ps_registered *statement);

#endif
