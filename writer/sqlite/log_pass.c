/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log_pass.c - the checkpoint thread's connection: passes over the log beside the writer (writer/checkpointer.h)
 *
 * It is configured as a reader's, so that what the database needs to be opened at all (a key, a VFS) is there; but without the
 * connect hook, which is the program's, and nothing of which a checkpoint needs.
 *
 * SQLite syncs the log before it copies, and the database behind a pass that no commit has overtaken. Behind one that was overtaken it
 * does not, since the log stays as it is; it is done here, through SQLite's own file, so that the last pass finds little to sync.
 *
 * Invariants
 *   1. It never writes but in a checkpoint, and never when it closes.
 *   2. It waits for no lock: a pass that meets one does what it can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/fault.h"
#include "writer/sqlite/connection.h"
#include "writer/sqlite/harm.h"
#include "writer/store.h"

struct ps_log_pass_store {
	sqlite3 *connection;
	bool syncs; /* its checkpoints do */
	struct ps_harm_watch harm;
};

static void note(struct ps_log_pass *pass, int code)
{
	pass->code = code;
	snprintf(pass->message, sizeof pass->message, "%s", sqlite3_errstr(code));
}

static int set_syncing(struct ps_log_pass_store *store, bool syncs)
{
	int rc =
		sqlite3_exec(store->connection, syncs ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		store->syncs = syncs;
	return rc;
}

void ps_log_pass_open(struct ps_log_pass_store **result, const char *path, const struct ps_options *options,
                      struct ps_log_pass *pass)
{
	struct ps_log_pass_store *store = calloc(1, sizeof *store);
	bool locked;

	*result = NULL;
	pass->unfit = true;
	if (store == NULL) {
		snprintf(pass->message, sizeof pass->message, "out of memory");
		return;
	}
	if (ps_connection_open(path, options, PS_READER, false, NULL, &store->harm, NULL, NULL, &store->connection, &locked) !=
	    PENSTOCK_OK) {
		snprintf(pass->message, sizeof pass->message, "%s", penstock_error_message());
		free(store);
		return;
	}
	sqlite3_busy_timeout(store->connection, 0);
	if (set_syncing(store, false) != SQLITE_OK) {
		note(pass, sqlite3_extended_errcode(store->connection));
		ps_log_pass_close(store);
		return;
	}
	pass->unfit = false;
	*result = store;
}

static int sync_database(struct ps_log_pass_store *store)
{
	sqlite3_file *file = NULL;

	if (!store->syncs)
		return SQLITE_OK;
	sqlite3_file_control(store->connection, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	return file == NULL || file->pMethods == NULL ? SQLITE_OK : file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

/* What cannot be looked at is all zeros, as no file is. */
static void look(const struct ps_log_pass_store *store, struct stat *database)
{
	if (stat(sqlite3_db_filename(store->connection, "main"), database) != 0)
		memset(database, 0, sizeof *database);
}

void ps_log_pass_run(struct ps_log_pass_store *store, struct ps_log_pass *pass)
{
	uint64_t started = ps_clock_nsec();
	bool syncs = pass->syncs && !ps_fault(PS_FAULT_SKIP_CHECKPOINT_SYNC);
	int frames = -1, copied = -1, rc;

	look(store, &pass->before);
	ps_harm_begin(&store->harm);
	rc = syncs == store->syncs ? SQLITE_OK : set_syncing(store, syncs);
	if (rc == SQLITE_OK)
		rc = sqlite3_wal_checkpoint_v2(store->connection, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
	if (rc == SQLITE_OK && !pass->last && copied > 0)
		rc = sync_database(store);
	else if (rc != SQLITE_OK)
		rc = sqlite3_extended_errcode(store->connection);
	look(store, &pass->after);
	pass->is_known = frames >= 0 && copied >= 0;
	pass->frames = pass->is_known ? (uint64_t)frames : 0;
	pass->copied = pass->is_known ? (uint64_t)copied : 0;
	pass->met_lock = ps_connection_met_lock(rc);
	if (rc != SQLITE_OK)
		note(pass, rc);
	pass->broken = ps_harm_breaks_checkpoint(&store->harm, rc);
	pass->nsec = ps_clock_nsec() - started;
}

void ps_log_pass_interrupt(struct ps_log_pass_store *store)
{
	sqlite3_interrupt(store->connection);
}

void ps_log_pass_close(struct ps_log_pass_store *store)
{
	if (store == NULL)
		return;
	ps_harm_end_watch(&store->harm);
	sqlite3_close_v2(store->connection);
	free(store);
}
