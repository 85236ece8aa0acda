/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpoint_lock.h - who may copy the log into the database, and what must come before
 *
 * SQLite before 3.51.3 (but for the mended 3.50.7 and 3.44.6) has the WAL-reset bug. A checkpoint reads the header of the log's index,
 * and then how much of the log is copied. When all of it was copied, another connection's commit may begin the log anew between
 * the two. Then the checkpoint takes the new log for the old one, and marks as copied what nobody has copied: it is lost. A commit
 * can begin the log anew only while all of it is copied. So a checkpoint is safe that begins while some of the log is not, and one
 * that nobody can commit beside.
 *
 * What sees to that is a lock on a byte of the side file (beside.h), one for all engines of all processes: who has it
 * checkpoints, and nobody else. It is tried, never waited for. Under it there are two ways:
 *
 *     take -> a commit of one's own that wrote frames, begun after that -> one checkpoint in any mode -> drop
 *     take -> SQLite's write lock (write_lock.h) -> one PASSIVE checkpoint -> drop
 *
 * The first is for whoever commits anyhow: the lock is taken before the batch behind which a checkpoint will be due. Other processes
 * may commit beside the copying. The second is for the rest (a pause of an idle engine, a full disk): it writes nothing, and others
 * wait for the lock as they would behind a commit. Where the linked SQLite does not have the bug a checkpoint needs the lock alone:
 * another process may have one that does.
 *
 * The checkpoint that SQLite makes as the last connection closes needs none of this: SQLite has the whole database to itself then.
 *
 * Invariants
 *   1. No lock, no checkpoint. From the taking to the dropping no other engine makes one, so what was committed in between is in
 *      the log and not copied when the checkpoint begins.
 *   2. A commit that had begun before the lock was taken does not count: another engine may have copied it. Nor does one count for
 *      two checkpoints.
 *   3. Whoever dies lets go of it. Whoever is stopped keeps it: the log grows until it goes on, and the counters tell.
 *
 * Failure modes
 *   - Another engine has it: PS_CHECKPOINT_NOT, another time.
 *   - A file system without such locks, or a database that is no file of the system's: every engine on it is in the same case and
 *     goes the second way, which by itself is safe beside others that go it too.
 *   - Such locks fail in this process alone: those of the others can be seen. PS_CHECKPOINT_NOT, as long as there are any.
 *   - A side file that cannot be created or opened, or is foreign: others may have the lock. PS_CHECKPOINT_NOT, but where the linked
 *     SQLite does not have the bug. The log grows until the last connection closes. It is tried again each time.
 *   - The side file is removed while somebody holds the lock: whoever comes then has a lock of his own. It is looked for its name
 *     after each taking, so that lasts for one checkpoint.
 *   - The lock cannot be dropped, since the call fails: the side file is closed, and opened anew.
 *   - Whoever checkpoints without the lock (a plain connection, an older Penstock, a function that calls sqlite3_wal_checkpoint)
 *     exposes itself, and everybody to itself.
 *
 * For one thread: the one that commits. It asks the checkpoint thread for passes (writer/checkpointer.h), each as good as a checkpoint of
 * its own, and keeps the lock from before the first until behind the last.
 */
#ifndef PENSTOCK_CHECKPOINT_LOCK_H
#define PENSTOCK_CHECKPOINT_LOCK_H

#include <stdbool.h>

#include "writer/sqlite/beside.h"

struct ps_checkpoint_lock {
	struct ps_beside beside;
	int error; /* why there is no side file, or 0 */
	bool taken;
	bool heard;      /* a commit since then */
	bool alone_safe; /* the linked SQLite does not have the bug */
};

enum ps_checkpoint_right {
	PS_CHECKPOINT_NOT,
	PS_CHECKPOINT_LOCKED, /* PASSIVE, while SQLite's write lock is held */
	PS_CHECKPOINT_ANY,    /* one, in any mode */
};

/* database: SQLite's name of it. Fails never; ps_checkpoint_lock_problem tells. */
void ps_checkpoint_lock_init(struct ps_checkpoint_lock *lock, const char *database);
void ps_checkpoint_lock_destroy(struct ps_checkpoint_lock *lock);
/* What is wrong with the side file, so that there will be no checkpoint until it is mended; or NULL. */
const char *ps_checkpoint_lock_problem(const struct ps_checkpoint_lock *lock);

/* Not within a transaction. What may be done until it is dropped; again, when it was taken already. */
enum ps_checkpoint_right ps_checkpoint_lock_take(struct ps_checkpoint_lock *lock);
/* A commit has written frames. */
void ps_checkpoint_lock_hear(struct ps_checkpoint_lock *lock);
/* A checkpoint was made, and the lock is kept for another: that takes another commit. */
void ps_checkpoint_lock_use(struct ps_checkpoint_lock *lock);
/* Behind the checkpoint, or without one. */
void ps_checkpoint_lock_drop(struct ps_checkpoint_lock *lock);

#endif
