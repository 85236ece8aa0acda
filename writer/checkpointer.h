/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpointer.h - the checkpoint thread: brings the log into the database beside the writer
 *
 * A checkpoint that the writer makes itself stands in everybody's way: it copies megabytes and waits for the disk, and nobody's
 * statement runs meanwhile. So a thread with a connection of its own makes passes over the log (passive checkpoints), one for each
 * time that the writer asks, and the writer goes on. A pass that a commit has overtaken copies what was there, and syncs the database
 * by the thread's own descriptor, so that little is left for the next one.
 *
 * But a log that grows while it is copied is never copied whole, and only a log that is copied whole begins anew. So the job is
 * done in rounds: passes beside the writer until the rest is small; then the last one, which the writer waits for before its next
 * transaction (the hold). It finds little to copy and little to sync. The next commit begins the log anew. A pass is asked for right
 * behind a COMMIT, so it overlaps the delivery of that batch's outcomes. room.c decides all that.
 *
 *     writer    IDLE -> ASKED, wakes the thread               DONE -> IDLE, takes the report         -> LEAVE, joins
 *     thread                        ASKED -> a pass -> DONE; kicks the writer, should it sleep
 *
 * The thread is made when the first pass is asked for, and ends when the writer's connection does, or has the database to itself (PRAGMA
 * locking_mode=EXCLUSIVE). Idle it sleeps on the word.
 *
 * Invariants
 *   1. Who may change the word is said by the word: ASKED is the thread's, every other value the writer's. What belongs to a pass is
 *      written before the word that hands it over (X1, X3).
 *   2. A report is never lost, and never told of twice: it is marked in the ring before the word says DONE, and the writer, which
 *      takes the mark down with the report, does not sleep while it stands (P3, P4).
 *   3. While a pass is under way the writer's connection makes no checkpoint, and runs no statement that may (they run alone).
 *   4. A pass begins only under the checkpoint lock, which is kept for the whole job, and only when the log holds what no checkpoint has
 *      copied: a commit of the writer's that wrote frames, begun since the lock was taken and the last pass ended, or one that is known to
 *      lie behind what that has copied. So nobody can begin the log anew between the pass's look at it and its copying, which is what the
 *      WAL-reset bug takes (sqlite/checkpoint_lock.h, sqlite/log_book.h).
 *   5. The log is taken for empty only when the pass copied all of it, and no commit came since it was asked for.
 *   6. Nothing of the thread is left when the writer's connection closes: not while PAUSED, STOPPED or FAILED.
 *   7. It blocks every signal, as the writer does, and calls no function of the program's, but for what SQLite itself calls for each
 *      connection (a VFS of the program's, sqlite3_auto_extension). It is not pinned where the writer is.
 *   8. Beside the writer it gives way to whoever runs (SCHED_BATCH), unless the program has chosen another policy, which it inherits.
 *
 * Failure modes
 *   - The thread or its connection cannot be had: the writer makes checkpoints itself until it connects anew, and the log callback hears
 *     of it (NO_CHECKPOINT_THREAD).
 *   - An I/O error in a pass: the engine is FAILED once the writer has the report, as if the checkpoint had been its own. What was
 *     committed meanwhile is in the log, which nobody begins anew any more.
 *   - A -wal that somebody removes while the thread opens its connection: that may make a new one, which is empty. The pass cannot read
 *     it, and the engine fails as with any -wal that is gone (presence.h).
 *   - The checkpoint lock is not to be had, or no commit was begun under it: the writer does what it may by itself.
 *   - A pass that takes longer than the writer to fill the log up to wal_bytes_max: the writer waits for it.
 *
 * All of it is for the writer thread, but for the thread itself.
 */
#ifndef PENSTOCK_CHECKPOINTER_H
#define PENSTOCK_CHECKPOINTER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/options.h"
#include "queue/ring.h"
#include "writer/store.h"

/* What the kernel keeps of a thread's name, with the NUL. */
#define PS_THREAD_NAME_BYTES 16

struct ps_checkpointer {
	/* the writer's */
	struct ps_ring *ring;
	const struct ps_options *options;
	const char *path; /* of the database */
	char name[PS_THREAD_NAME_BYTES];
	pthread_t thread;
	bool exists;
	bool unfit;     /* not to be had, until the writer connects anew */
	bool asked;     /* a pass, whose report has not been taken */
	bool last;      /* that one is the last of its job */
	unsigned round; /* of the job under way, from 1 on; 0: there is none */

	uint32_t word PS_OWN_LINE;
	uint64_t store; /* struct ps_log_pass_store *, once the thread has it */
	struct ps_log_pass pass;
};

/* Asks for a pass. False: there is no thread, and there will be none. */
bool ps_checkpointer_ask(struct ps_checkpointer *checkpointer, bool last, bool syncs);
/* Whether the pass that was asked for is over. */
bool ps_checkpointer_is_done(const struct ps_checkpointer *checkpointer);
/* Sleeps until it is. */
void ps_checkpointer_wait(const struct ps_checkpointer *checkpointer);
/* Then: what came of it, valid until the next is asked for. */
const struct ps_log_pass *ps_checkpointer_take(struct ps_checkpointer *checkpointer);
/* Any pass is cut short, but for what the disk has been told to write already. */
void ps_checkpointer_hurry(struct ps_checkpointer *checkpointer);
/* Ends the thread, if there is one, behind any pass, whose report is not taken. */
void ps_checkpointer_end(struct ps_checkpointer *checkpointer);

#endif
