/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connection.h - opening a configured SQLite connection, the writer's or a reader's
 *
 * Every connection gets the busy timeout, DEFENSIVE, no extensions, and the limits; then the configured pragmas in order,
 * before anything that reads the file, which may need a key. The writer's is switched to WAL (or refused with the reason) and
 * never checkpoints inside COMMIT; a reader's is query_only and never checkpoints, not even when it closes: what does, does it under
 * the checkpoint lock (checkpoint_lock.h). Once the schema has been read it may be distrusted (trust.h). The
 * connect hook comes last; pragmas and hook may lift what is set here. An SQLite for one thread is refused before the first.
 */
#ifndef PENSTOCK_CONNECTION_H
#define PENSTOCK_CONNECTION_H

#include "core/options.h"
#include "writer/sqlite/busy.h"
#include "writer/sqlite/harm.h"
#include "writer/sqlite/peers.h"
#include "writer/sqlite/rowids.h"
#include "writer/store.h"

/*
 * OK and *connection, or CANTOPEN, CONFIG or NOMEM with the thread's message. with_hook: the hook is called (on this
 * thread). busy: the connection's handler in place of a busy timeout, or NULL. watch, rowids: are set before the hook, or NULL. peers:
 * of a writer, opened by this, in any case to be closed; or NULL. *locked: it failed for another process's lock or pause, and another
 * attempt may go well.
 */
int ps_connection_open(const char *path, const struct ps_options *options, enum ps_role role, bool with_hook,
                       struct ps_busy *busy, struct ps_harm_watch *watch, struct ps_rowids *rowids, struct ps_peers *peers,
                       sqlite3 **connection, bool *locked);
/* SQLite's name of the file that the path leads to; as ps_connection_open, without reading it. The caller's to free. */
int ps_connection_find_file(const char *path, const struct ps_options *options, char **file);
/* Whether an SQLite code means that another process holds a lock. */
bool ps_connection_met_lock(int code);

#endif
