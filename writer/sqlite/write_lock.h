/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * write_lock.h - SQLite's write lock in the hand of a second connection of the engine's, for a moment
 *
 * A connection cannot checkpoint within a transaction of its own. What it needs that for (checkpoint_lock.h) a second one has: a reader's,
 * with the pragmas of the configuration (a key may be among them) and without the connect hook.
 *
 * Invariants
 *   1. It never checkpoints, not even as it closes.
 *   2. Only ps_write_lock_commit writes, and what it writes is what was there: readers see no change, and no schema is read anew.
 *
 * Failure modes: SQLite's codes. Whatever goes wrong, there is no connection left, and nothing is changed.
 */
#ifndef PENSTOCK_WRITE_LOCK_H
#define PENSTOCK_WRITE_LOCK_H

#include "core/options.h"

/* path: the engine's. Waits so long for whoever has it. SQLITE_OK and *holder, or a code. */
int ps_write_lock_take(const char *path, const struct ps_options *options, int wait_ms, sqlite3 **holder);
/* With a commit that writes one frame to the log, or without. SQLITE_OK: it has. */
int ps_write_lock_commit(sqlite3 *holder);
void ps_write_lock_drop(sqlite3 *holder);

#endif
