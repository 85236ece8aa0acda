/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path.h - where a database may lie, and how its file comes to be
 *
 * Left to itself SQLite opens whatever a path leads to, and creates it with a mode that the umask decides. Here the
 * path is resolved and its file created before SQLite sees it.
 *
 * Invariants
 *   1. A file that is created here has mode 0600 from the moment it is there, whatever the umask; SQLite gives the
 *      -wal and the -shm the mode of the database. The mode of a file that is there already stays as it is.
 *   2. The path that SQLite is given leads through no symbolic link: the folder is resolved, and the file itself is
 *      none, or (follow_symlinks) is resolved with it. The connections are opened so that they do not follow one that
 *      comes after.
 *   3. The database file is never opened here: to close it would drop the locks that this process holds on it through
 *      its connections.
 *   4. Nobody but this user and root can put files into the folder, or take them away: it belongs to one of them, and
 *      only this process's own group may write to it besides. Where everybody may write but the sticky bit is set
 *      (/tmp), what is there of the database's files must be theirs too. (Unless shared_folder.)
 *
 * A URI and ":memory:" are SQLite's to interpret: what is created by way of a URI has the mode that SQLite gives it,
 * and no part of its path may be a symbolic link (unless follow_symlinks); its folder is looked at once it is open.
 *
 * Failure modes: CANTOPEN with what is wrong and what to do, and NOMEM. The folders above are not looked at, nor who
 * else is in the group; and in a folder like /tmp somebody may still be quicker than SQLite with a -wal.
 */
#ifndef PENSTOCK_PATH_H
#define PENSTOCK_PATH_H

#include "core/options.h"

/*
 * The path for SQLite to open, the caller's to free; with `create` a file is there. Or a status with the thread's
 * message, and *place is NULL.
 */
int ps_path_find(const char *path, const struct ps_options *options, bool create, char **place);
/* What is wrong with a path that could not be opened: a status, with the thread's message. */
int ps_path_explain(const char *path, bool create, int system_errno, const char *sqlite_message);
/* Invariant 4, for a file by its whole name; path is for the message. */
int ps_path_check_folder(const char *path, const char *file, const struct ps_options *options);
/* Neither a URI nor ":memory:". */
bool ps_path_is_plain(const char *path);
/* CANTOPEN, with the message for a link. */
int ps_path_refuse_link(const char *path);
/* The folder that a file lies in; the caller's to free. NULL without memory. */
char *ps_path_folder(const char *path);

#endif
