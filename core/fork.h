/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork.h - SQLite's own mutexes over a fork
 *
 * A fork copies a mutex as it is. Where a writer thread is inside SQLite's allocator at that moment, its mutex stays locked in the
 * child for ever, and the first thing that the child asks of SQLite waits for it: so a server that forks while an engine works could
 * not open another database in its workers. SQLite has no handler for that. So thread.c's handler takes its static mutexes before
 * a fork and lets go of them on both sides.
 *
 * Invariants
 *   1. They are taken in the order in which SQLite takes one within another: those of its VFSs (names of temporary files are random),
 *      that of its random numbers (a VFS gives the seed), that of the list of VFSs and the set-up, those of the page cache, and the
 *      allocator's, within which it takes none. ThreadSanitizer finds an order that is wrong.
 *   2. They are taken last of all that Penstock locks for a fork: whoever holds one of SQLite's waits for nothing of Penstock's.
 *
 * Failure modes: the mutexes of connections and open files are not among these. They belong to what the child must not use.
 */
#ifndef PENSTOCK_FORK_H
#define PENSTOCK_FORK_H

/* From now on: SQLite is set up, and stays so. Any thread. */
void ps_fork_holds_sqlite(void);

/* For the handlers of pthread_atfork. */
void ps_fork_lock_sqlite(void);
void ps_fork_unlock_sqlite(void);

#endif
