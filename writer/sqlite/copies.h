/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * copies.h - whether there is another copy of SQLite in this process than the one that the engine uses
 *
 * POSIX locks belong to the process, and each copy of SQLite keeps its own record of them. So two copies do not see each other's
 * locks: one that opens and closes the engine's database takes itself for its last user and removes the log. What is committed
 * from then on would be lost; presence.h notices. Such copies come with language bindings that bring their own SQLite.
 *
 * A copy is known by its dynamic symbols: an object that defines both sqlite3_open_v2 and sqlite3_libversion, and is not the one
 * that holds the VFS "unix" of the engine's SQLite.
 *
 * Failure modes: a copy whose symbols are hidden or stripped from the dynamic table (linked statically into a program or a module
 * that does not export them), one that was renamed, one in another namespace (dlmopen), and one that is loaded later are not
 * found. An object without a GNU hash table is passed over. A copy that is found may be unused, when the linker has bound every
 * call to the first one.
 */
#ifndef PENSTOCK_COPIES_H
#define PENSTOCK_COPIES_H

#include "core/options.h"

/* Tells the log of each, with the names of both objects. path: of the database. Any thread. */
void ps_copies_tell(const struct ps_options *options, const char *path);

#endif
