/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * presence.h - whether the database, its log and the log's index are still what their names lead to
 *
 * SQLite goes on with a file that has lost its name, and no call fails. Whoever opens the database next finds another log, or
 * none: what was committed meanwhile is gone. Where the index is another one too, each overwrites what the other has written.
 * That happens when somebody tidies up or restores a backup under a running program. It also happens without anybody's slip:
 * POSIX locks belong to the process, so a second copy of SQLite in it takes itself for the last user of the file, and removes
 * the log as it closes.
 *
 * Invariants
 *   1. A file is known by device and inode, as its name led to them when the connection was opened. SQLite has it open, so no
 *      other file is given the same inode.
 *   2. As long as the index tells of frames, the log begins with the header that the index was made from. So one that was emptied
 *      or written over is noticed, too; and so is a database that was emptied. It is as long as the index tells, and the next look
 *      finds the last frame that a look has found: so one that was cut short is noticed.
 *   3. A look in the midst of a change, when another process commits or begins the log anew, finds everything there; the next
 *      one decides.
 *
 * Failure modes: bytes that others write into the midst of the files, or cut off the database, are not noticed. Nor is what they cut
 * off the log, when a commit comes before the next look and the last frame that a look has found still has its beginning. An index
 * that is emptied ends the process with SIGBUS, as in SQLite itself: it is memory. Of a VFS whose files have no such names, only what that
 * VFS says itself counts (SQLITE_FCNTL_HAS_MOVED), and invariant 2.
 */
#ifndef PENSTOCK_PRESENCE_H
#define PENSTOCK_PRESENCE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <sqlite3.h>

enum ps_gone {
	PS_GONE_NOTHING,
	PS_GONE_DATABASE,
	PS_GONE_CONTENT, /* of the database */
	PS_GONE_WAL,
	PS_GONE_SHM
};

struct ps_presence {
	sqlite3 *connection;
	bool by_name; /* the VFS is SQLite's own: the names must be there */
	bool database_known, wal_known, shm_known;
	uint64_t frames; /* in the log, as of the last look that found it whole */
	struct stat wal, shm;
	struct stat database; /* as of the last look that found everything, or of ps_presence_note_database */
	struct stat expected; /* the same, before the change under way */
	char shm_name[PATH_MAX];
};

/* Of a connection in WAL mode that has read the database. */
void ps_presence_init(struct ps_presence *presence, sqlite3 *connection);
/* The first of the files that is gone. Four stats and one or two short reads: 4 us. */
enum ps_gone ps_presence_look(struct ps_presence *presence);
/* Whether a checkpoint has copied all that the index tells of; also when it cannot be told. */
bool ps_presence_is_log_copied(sqlite3 *connection);
/* Behind a look that found everything, and before another thread of the engine's changes the database. */
void ps_presence_expect_change(struct ps_presence *presence);
/* It has: so it is known as that has left it, if nobody else had changed it before. */
void ps_presence_note_change(struct ps_presence *presence, const struct stat *before, const struct stat *after);
/* "", "-wal" or "-shm" */
const char *ps_presence_suffix(enum ps_gone gone);
/*
 * Behind a checkpoint of one's own, in whose midst the log has lost its name: who wrote to the database is oneself. Others who have the
 * same index are kept out meanwhile, and those who have another one have left it, and a log, by their names.
 */
void ps_presence_note_database(struct ps_presence *presence);
/*
 * Whether what a log that has lost its name holds may still be brought into the database: nobody has put another log in its place that
 * holds anything, or written to the database since it was last known.
 */
enum ps_saving {
	PS_SAVING_NOT,
	PS_SAVING_SHARED, /* the index is there: it keeps out whoever opens the database meanwhile */
	PS_SAVING_LOCKED  /* it is not: only while nobody else has the database open */
};
enum ps_saving ps_presence_saving_of_log(struct ps_presence *presence);

#endif
