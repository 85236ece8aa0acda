/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wal_repair.h - of the write-ahead log that was left behind, what is missing on the disk is written anew before anything is
 * appended to it
 *
 * After a sync has failed, the system may hold pages of the log that never reached the disk and look clean (Linux marks them
 * so, and tells of the error once). Whoever opens the database next reads them as valid frames; no later sync writes them;
 * and what is committed behind them is gone with them after a loss of power, because recovery ends at the first frame that
 * is not there. Nobody remembers: the run that met the error may have been another program's. A checkpoint is no way out: it
 * may not copy a frame into the database before that frame is on the disk, or a loss of power meanwhile leaves half a
 * transaction in the database and no log to complete it from.
 *
 * So whenever the writer connects the log is synced, which brings out what is dirty, and then read from the disk (disk.h) and
 * compared with what everybody sees of it. From the first byte in which they differ it is written as everybody sees it, which
 * makes its pages dirty whatever they were before, and synced again. That byte is in a frame that is not whole on the disk, so
 * recovery would end before it: from there on no byte is of use to anybody yet.
 *
 * The log's header is written and synced by itself, as SQLite does when it begins the log anew. Where the header is missing,
 * that of an older log may be on the disk, and its frames. The database has all that is in them, but must not be given a part
 * of them, which is what a recovery would do that finds the older header before frames of which some were overwritten.
 *
 * Invariants
 *   1. The caller holds the write lock: nobody appends to the log, begins it anew or cuts it off. Readers may read: they see
 *      the same bytes all the time. So this neither waits for them nor fails because of them.
 *   2. No byte is written that a recovery could need, so a loss of power within the write takes nothing away. Bytes before the
 *      first one, in its sector, are beside the write: they take SQLITE_IOCAP_POWERSAFE_OVERWRITE for granted, as SQLite does
 *      for every file on Unix.
 *   3. When it is done all of the log is on the disk, its name too.
 *   4. Before it is done the connection may not checkpoint, also not as it is closed.
 *   5. A log that is all there costs one sync and one reading; one that is empty, or not there, nothing.
 *
 * Failure modes
 *   - A disk that cannot be read past the cache: all of the log is written anew. That takes for granted that bytes which are
 *     there already survive being written with their own value, also when the power fails within; it is still better than to
 *     append behind a frame that may not be there. (In memory nothing survives anyhow; a file system that never overwrites in
 *     place, like btrfs, keeps the old bytes.)
 *   - A block that cannot be read counts as missing, and so does what lies behind it.
 *   - A sync that failed on the database itself while readers keep the log's index alive through the restart: pages that a
 *     checkpoint had copied before are taken to be there. Without readers the index is rebuilt, and all of the log is copied
 *     again.
 */
#ifndef PENSTOCK_WAL_REPAIR_H
#define PENSTOCK_WAL_REPAIR_H

#include <sqlite3.h>

/* In a transaction that holds the write lock. SQLITE_OK, or the code of what failed. */
int ps_wal_repair(sqlite3 *connection);

#endif
