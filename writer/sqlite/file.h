/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.h - the database's files, below the store: what is committed is made to survive, and the log brought into the database,
 * as long as that is where it was opened
 *
 * Invariants
 *   1. The main database file is never opened or closed by itself (that would drop the process's POSIX locks). The log is synced
 *      through SQLite's own file, and the descriptor for its folder is taken when the connection is: a durable commit needs none.
 *   2. A sync covers all that was committed before it, and the name of the -wal file too.
 *   3. As it closes, this connection alone brings the log into the database, or leaves it; after a failed sync nobody does.
 *   4. No -wal is deleted by a name that may be another database's by now.
 *   5. A checkpoint is made under the checkpoint lock, and in a way that is safe beside others' commits,
 *      or behind frames that are known not to be copied (checkpoint_lock.h, log_book.h).
 *   6. Nothing is copied from a log that is not the database's any more, or into a database that others may have written to since.
 *
 * Failure modes: SQLite's codes; the store says which of them break the engine.
 *
 * All of it is for the writer thread alone.
 */
#ifndef PENSTOCK_FILE_H
#define PENSTOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "writer/sqlite/busy.h"
#include "writer/sqlite/checkpoint_lock.h"
#include "writer/sqlite/log_book.h"
#include "writer/sqlite/presence.h"
#include "writer/store.h"

struct ps_file {
	sqlite3 *connection;
	const char *path;
	const struct ps_options *options;
	struct ps_busy *busy;
	uint64_t page_bytes;
	struct ps_log_book book;
	int folder_fd;        /* until it is synced; -1: it need not be */
	int write_out_fd;     /* the log, -1 until it is first needed */
	bool no_write_out;    /* it is not to be had */
	uint64_t written_out; /* of the log's content, the disk has been told to begin with */
	uint64_t looked_nsec;
	struct ps_presence presence;
	struct ps_checkpoint_lock lock;
	bool admitted; /* somebody else's checkpoint */
	bool passed;   /* what the last pass copied is known, and the lock was not let go of since */
};

/*
 * Takes the connection's hook of the log, until it is closed. path: as it was opened by. OK, or CANTOPEN (no descriptor is left), NOMEM
 * with the thread's message.
 */
int ps_file_init(struct ps_file *file, sqlite3 *connection, const char *path, const struct ps_options *options,
                 uint64_t page_bytes, struct ps_busy *busy);
/* Takes the hook back from whoever may have taken it. */
void ps_file_renew(struct ps_file *file);
/* What becomes of the log. */
enum ps_log_end {
	PS_LOG_COPIED, /* its content is brought into the database */
	PS_LOG_LEFT,   /* it stays for the next opener, unless one of the files is gone: then as above */
	PS_LOG_KEPT    /* it stays as it is, since the disk just failed */
};

/* Before the connection is closed. Which file is gone (not looked at when the log is kept), and what has come of the checkpoint. */
enum ps_gone ps_file_close(struct ps_file *file, enum ps_log_end end, enum ps_copied *copied);

/* Which of the files is gone. Not `now`: it looks once a millisecond at most, and else says none. */
enum ps_gone ps_file_look(struct ps_file *file, bool now);

/* Whether a write to the log may harm bytes beside it, when the power fails. */
bool ps_file_has_weak_sectors(struct ps_file *file);

/* Makes everything committed survive power loss. SQLITE_OK, or a code and what failed. */
int ps_file_sync(struct ps_file *file, const char **doing);

/*
 * Tells the disk to begin with what has been committed and not synced, once there is enough of it, and does not wait (unless the
 * disk's queue is full). Nothing is durable by that; but the next sync, in a checkpoint or for a pause, finds little left to wait for.
 */
void ps_file_write_out(struct ps_file *file);

/* Bytes of the log's content after the last commit; 0 after a checkpoint that copied all of it. */
uint64_t ps_file_wal_bytes(const struct ps_file *file);
/* Whether a checkpoint is likely to be due behind the next commit: the lock is taken before that if it is to be had, or let go of. */
void ps_file_expect_checkpoint(struct ps_file *file, bool expected);
/*
 * Copies the log into the database; wait_ms: not -1: also waits so long for readers, so that it begins anew. SQLite's code;
 * SQLITE_READONLY_DBMOVED: one of the files is gone.
 */
int ps_file_checkpoint(struct ps_file *file, int64_t wait_ms, enum ps_copied *copied);
/*
 * For one that somebody else makes on the connection, in any mode, until ps_file_release_checkpoint. False: not now.
 */
bool ps_file_admit_checkpoint(struct ps_file *file);
void ps_file_release_checkpoint(struct ps_file *file);

/* As ps_store_begin_pass and ps_store_end_pass. */
enum ps_log_pass_due ps_file_begin_pass(struct ps_file *file);
enum ps_gone ps_file_end_pass(struct ps_file *file, const struct ps_log_pass *pass, struct ps_log_pass_end *end);

#endif
