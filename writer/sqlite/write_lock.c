/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/write_lock.h"

#include <stdio.h>
#include <time.h>

#include "core/clock.h"
#include "core/error.h"
#include "writer/sqlite/connection.h"

/* sqlite.org/walformat.html */
#define WRITE_LOCK 0
#define INDEX_PIECE_BYTES 32768

/* NULL: it has no index that others see. */
static sqlite3_file *file_with_index(sqlite3 *connection)
{
	sqlite3_file *file = NULL;
	void volatile *memory = NULL;

	sqlite3_file_control(connection, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	if (file == NULL || file->pMethods == NULL || file->pMethods->iVersion < 2 ||
	    file->pMethods->xShmMap(file, 0, INDEX_PIECE_BYTES, 0, &memory) != SQLITE_OK || memory == NULL)
		return NULL;
	return file;
}

int ps_write_lock_take(sqlite3 *connection, int wait_ms)
{
	struct timespec pause = ps_timespec(PS_NSEC_PER_MSEC);
	sqlite3_file *file = file_with_index(connection);
	int rc;

	if (file == NULL)
		return SQLITE_CANTOPEN;
	for (;;) {
		rc = file->pMethods->xShmLock(file, WRITE_LOCK, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
		if (rc != SQLITE_BUSY || wait_ms-- <= 0)
			return rc;
		nanosleep(&pause, NULL);
	}
}

void ps_write_lock_drop(sqlite3 *connection)
{
	sqlite3_file *file = file_with_index(connection);

	if (file != NULL)
		file->pMethods->xShmLock(file, WRITE_LOCK, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
}

/* ---- a commit ---- */

static int note_version(void *arg, int count, char **values, char **names)
{
	(void)names;
	if (count == 1 && values[0] != NULL)
		snprintf(arg, 64, "PRAGMA main.user_version=%.20s; COMMIT", values[0]);
	return 0;
}

int ps_write_lock_begin(const char *path, const struct ps_options *options, int wait_ms, sqlite3 **holder)
{
	bool locked;
	int rc;

	if (ps_connection_open(path, options, PS_READER, false, NULL, NULL, NULL, NULL, holder, &locked) != PENSTOCK_OK)
		return locked ? SQLITE_BUSY : SQLITE_CANTOPEN;
	sqlite3_busy_timeout(*holder, wait_ms);
	rc = sqlite3_exec(*holder, "PRAGMA query_only=OFF; BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		return SQLITE_OK;
	ps_write_lock_end(*holder);
	*holder = NULL;
	return rc;
}

int ps_write_lock_commit(sqlite3 *holder)
{
	char sql[64] = "";
	int rc = sqlite3_exec(holder, "PRAGMA main.user_version", note_version, sql, NULL);

	if (rc == SQLITE_OK && sql[0] == '\0')
		rc = SQLITE_NOMEM;
	/* SQLite does not look whether the value is another one. */
	return rc == SQLITE_OK ? sqlite3_exec(holder, sql, NULL, NULL, NULL) : rc;
}

void ps_write_lock_end(sqlite3 *holder)
{
	sqlite3_close_v2(holder);
}
