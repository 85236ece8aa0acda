/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * autocommit.h - the reference: plain SQLite, one statement after the other
 *
 * A connection set up as Penstock sets up its own (defensive, no trusted schema, WAL, the same functions), on which each
 * statement is prepared, run to its end and finalized, in autocommit. Nothing here knows of batches, so whatever it answers is
 * right by definition. A group is BEGIN IMMEDIATE, its members and COMMIT, or at the first error ROLLBACK.
 */
#ifndef PENSTOCK_EQUIVALENCE_AUTOCOMMIT_H
#define PENSTOCK_EQUIVALENCE_AUTOCOMMIT_H

#include "tests/equivalence/engine.h"

/* A bare connection. */
sqlite3 *open_plain(const char *path);
sqlite3 *open_reference(const struct setup *setup);
/* What the statement comes to, as text_of_result writes it; the caller frees it. */
char *reference_outcome(sqlite3 *connection, const struct statement *statement);
/* An interrupt lasts as long as anything runs, and an R-tree keeps a blob open (which has no SQL) until the transaction ends. */
void roll_back_plain(sqlite3 *connection);
void bind_plain(sqlite3_stmt *prepared, const struct statement *statement);
/* The row that it stands at. */
void write_row(FILE *out, sqlite3_stmt *prepared);

#endif
