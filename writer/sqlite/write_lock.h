/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * write_lock.h - SQLite's write lock beside a checkpoint, and a commit that changes nothing
 *
 * A connection cannot checkpoint within a transaction of its own, but in the log's index the write lock is a lock like the others.
 * It is taken there, through the file that SQLite has open, as SQLite takes it: whoever would commit waits. A PASSIVE
 * checkpoint asks for no lock but its own, so the same connection can make one meanwhile. Nothing is opened by a name, which
 * may lead to other files by now: SQLite would put a new log in the place of one that was removed.
 *
 * A commit needs a second connection: a reader's, with the pragmas of the configuration (a key may be among them) and without the
 * connect hook. That opens the files by their names. So whoever wants one looks for them (presence.h) before it, and again before it
 * writes: by then they are open.
 *
 * Invariants
 *   1. The second connection never checkpoints, not even as it closes.
 *   2. It writes what was there: readers see no change, and no schema is read anew.
 *
 * Failure modes
 *   - SQLite's codes. Whatever goes wrong, nothing is locked, no connection is left, and nothing is changed.
 *   - A checkpoint that finds the index broken, because a process died as it wrote it, rebuilds it and lets go of the lock with that.
 */
#ifndef PENSTOCK_WRITE_LOCK_H
#define PENSTOCK_WRITE_LOCK_H

#include <sqlite3.h>

#include "core/options.h"

/* Not within a transaction of the connection, which runs nothing but a PASSIVE checkpoint until it is dropped. Waits so long for others. */
int ps_write_lock_take(sqlite3 *connection, int wait_ms);
void ps_write_lock_drop(sqlite3 *connection);
/* path: the engine's. SQLITE_OK and *holder, with the lock and nothing written; or a code. */
int ps_write_lock_begin(const char *path, const struct ps_options *options, int wait_ms, sqlite3 **holder);
/* Writes one frame to the log. SQLITE_OK: it has. */
int ps_write_lock_commit(sqlite3 *holder);
void ps_write_lock_end(sqlite3 *holder);

#endif
