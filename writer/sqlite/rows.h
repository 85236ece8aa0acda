/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rows.h - values from a record into a prepared statement, and rows from the statement into an outcome
 *
 * Invariants
 *   1. Values are bound without a copy: the record's payload stays where it is until the outcome is delivered, and every run
 *      binds every parameter anew.
 *   2. Rows are copied into the outcome's memory, since the statement goes on to the next submission; no more bytes than the
 *      submission may have, cells included.
 *
 * Failure modes: SQLite's codes; no memory, or too many bytes, for the rows.
 */
#ifndef PENSTOCK_ROWS_H
#define PENSTOCK_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "core/outcome.h"
#include "queue/record.h"

enum ps_collected { PS_COLLECTED, PS_TOO_MANY_BYTES, PS_NO_MEMORY };

/* To the parameters from `first` on. SQLite's code. */
int ps_rows_bind(sqlite3_stmt *statement, const struct ps_record *record, uint32_t first);
/*
 * Steps to the end, keeping the rows if they are wanted; SQLite's last code, and whether they could be kept. *bytes: of rows, so far; they may
 * come to bytes_max.
 */
int ps_rows_collect(sqlite3_stmt *statement, bool wanted, uint64_t *bytes, uint64_t bytes_max, struct ps_outcome *outcome,
                    enum ps_collected *collected);

#endif
