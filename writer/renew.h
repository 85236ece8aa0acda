/*
 * renew.h - the write-ahead log that an earlier run left behind is written anew before anything is appended to it
 *
 * After a sync has failed, the system may hold pages of the log that never reached the disk and look clean (Linux marks them
 * so, and tells of the error once). Whoever opens the database next reads them as valid frames; no later sync writes them;
 * and what is committed behind them is gone with them after a loss of power, because recovery ends at the first frame that
 * is not there. Nobody can tell by looking: the run that met the error may have been another program's. A checkpoint is no
 * way out: it may not copy a frame into the database before that frame is on the disk, or a loss of power meanwhile leaves
 * half a transaction in the database and no log to complete it from.
 *
 * So each byte of the log is written where it stands, with the value it has. That makes its page dirty, whatever it was
 * before, and the sync behind it a true one.
 *
 * Invariants
 *   1. The caller holds the write lock: nobody appends to the log, begins it anew or cuts it off. Readers may read: they see
 *      the same bytes all the time. So this neither waits for them nor fails because of them.
 *   2. It is safe at every moment: a byte that is on the disk already is only ever written with its own value. A disk writes
 *      whole sectors and does not know which of their bytes are new, so this takes no more for granted than
 *      SQLITE_IOCAP_POWERSAFE_OVERWRITE, which SQLite does for every file on Unix.
 *   3. Before it is done the connection may not checkpoint, also not as it is closed.
 *
 * Failure modes: a sync that failed on the database itself while readers keep the log's index alive through the restart:
 * pages that a checkpoint had copied before are taken to be there. Without readers the index is rebuilt, and all of the log
 * is copied again.
 */
#ifndef PENSTOCK_RENEW_H
#define PENSTOCK_RENEW_H

#include <sqlite3.h>

/* In a transaction that holds the write lock. SQLITE_OK, or the code of what failed. */
int ps_renew_log(sqlite3 *connection);

#endif
