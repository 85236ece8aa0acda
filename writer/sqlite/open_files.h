/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open_files.h - which files this process has open through SQLite, and which of them only seem so since a fork
 *
 * SQLite keeps one record per file of the locks that the process holds (POSIX gives them to processes, not to descriptors).
 * A forked child inherits the record, but not the locks. A connection that it opens to such a file takes none either, for the
 * record says that they are held: the parent, which then sees itself as the last, deletes the write-ahead log under it, and
 * what the child has committed goes with the log. Nor does the record ever go away. So such a file is refused to the child.
 *
 * Every connection of the engine, a reader's too, enters its file, and leaves when SQLite ends the connection: after the file
 * is closed, and however long a statement that somebody left open keeps it. A file that is closed at the fork (the engine is
 * stopped, paused or closed, and no reader is open) is not refused.
 *
 * Invariants
 *   1. A file is entered before its connection takes the first lock, and left after it has let go of the last.
 *   2. The list is whole in the child: the mutex is held over the fork.
 *
 * Failure modes: files opened by others than the engine (ATTACH, connections of the program's own) are not known here.
 */
#ifndef PENSTOCK_OPEN_FILES_H
#define PENSTOCK_OPEN_FILES_H

#include <sqlite3.h>

/* Enters the connection's file. OK, or with the thread's message CANTOPEN (inherited by a fork) or NOMEM. */
int ps_open_files_enter(sqlite3 *connection, const char *path);

#endif
