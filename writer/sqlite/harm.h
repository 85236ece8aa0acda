/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harm.h - what an I/O error may have broken: whose file it was, and whether the commit had begun
 *
 * Most I/O errors break nothing. A temporary file, a file that VACUUM INTO writes, an attached database and a page that cannot be
 * read fail one statement; before COMMIT a rollback mends everything. What was promised is in danger where the database's own
 * files were to be written or synced, in a commit or a checkpoint. SQLite's code does not tell the files apart, so they are asked:
 *
 *   - A commit that has begun, and a checkpoint, write to no other file than ours, unless a database is attached.
 *   - Else each file of SQLite's keeps the errno of its last failure (SQLITE_FCNTL_LAST_ERRNO). It stays until the file is read
 *     beyond its end, which is done before the next commit, so that what is told then is of that one.
 *   - The commit hook is called as a commit begins. It is set before the program's connect hook, which may put its own in the
 *     place; so its silence counts only when it was heard in the commit before.
 *   - In WAL mode a commit writes to the log alone. Behind the frame that ends it in the log only the index of the log
 *     is written: when that fails (SHMSIZE, SHMMAP) the frame is there, although nobody sees it. The next commit overwrites it;
 *     a crash before that may bring it back. So this one is in doubt, and all others are whole. (To void the frame would be
 *     another write and sync, behind SQLite's back and on a disk that is just full; and it may fail as well.)
 *   - A write for which there is no room (ENOSPC, which SQLite calls FULL; EDQUOT, EFBIG) has not been made.
 *
 * Invariants
 *   1. What cannot be told counts for the worse: a VFS that keeps no errno, a hook that is not heard.
 *   2. Before COMMIT in a transaction of ours nothing is asked: there is no harm.
 */
#ifndef PENSTOCK_HARM_H
#define PENSTOCK_HARM_H

#include <stdbool.h>

#include <sqlite3.h>

enum ps_harm {
	PS_HARMLESS, /* what failed has no effect, and nothing else is concerned */
	PS_NO_ROOM,  /* the same, for want of room for the database or its log */
	PS_IN_DOUBT, /* what failed may show after a crash; nothing else is concerned */
	PS_HARMFUL,  /* what was committed before may be concerned */
};

/* The writer's, for one connection. */
struct ps_harm_watch {
	sqlite3 *connection;
	bool committing; /* the hook was called since ps_harm_begin */
	bool heard;      /* ... and in the commit before */
	bool ours;       /* it was called at all, so the program has not taken it */
	bool stale;      /* a file may tell of an earlier failure */
};

/* Before the connect hook: takes the hook for commits, until the program takes it or ps_harm_end_watch. */
void ps_harm_watch(struct ps_harm_watch *watch, sqlite3 *connection);
void ps_harm_end_watch(struct ps_harm_watch *watch);
/* Whether it is known that the program has not taken the hook: a commit was heard since the above. */
bool ps_harm_has_hook(const struct ps_harm_watch *watch);
/* Takes the hook back from whoever may have taken it since that was known. */
void ps_harm_renew_watch(struct ps_harm_watch *watch);
/* A connect hook has run, and may have taken it. */
void ps_harm_forget_hook(struct ps_harm_watch *watch);
/* A file may tell of an error that nobody else has: the program met it. */
void ps_harm_suspect(struct ps_harm_watch *watch);

/* Before what may commit, or a checkpoint. */
void ps_harm_begin(struct ps_harm_watch *watch);
/* A commit of something written went well. */
void ps_harm_committed(struct ps_harm_watch *watch);
/* Whether that which failed cannot have begun to commit. Not for what commits past the hook: VACUUM, pragmas, checkpoints. */
bool ps_harm_is_before_commit(const struct ps_harm_watch *watch);
/* What an I/O error since ps_harm_begin may have broken. ours: no other file than the database and its log was to be written. */
enum ps_harm ps_harm_of(struct ps_harm_watch *watch, int extended_code, bool ours);
/* Whether, as far as commits go, that holds of what has failed and is not before the commit. */
bool ps_harm_is_ours(const struct ps_harm_watch *watch);
/* An I/O error was met: before the next commit the files are to be asked anew. */
void ps_harm_note(struct ps_harm_watch *watch, int extended_code);

/* Whether an error of a checkpoint since ps_harm_begin is one that the engine must not survive. */
bool ps_harm_breaks_checkpoint(struct ps_harm_watch *watch, int extended_code);

/* Whether it is an I/O error; without memory SQLite may say IOERR_NOMEM where it did no I/O. */
bool ps_harm_is_io_error(int extended_code);

#endif
