/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/write_lock.h"

#include <stdio.h>

#include "core/error.h"
#include "writer/sqlite/connection.h"

int ps_write_lock_take(const char *path, const struct ps_options *options, int wait_ms, sqlite3 **holder)
{
	bool locked;
	int rc;

	if (ps_connection_open(path, options, PS_READER, false, NULL, NULL, NULL, NULL, holder, &locked) != PENSTOCK_OK)
		return locked ? SQLITE_BUSY : SQLITE_CANTOPEN;
	sqlite3_busy_timeout(*holder, wait_ms);
	rc = sqlite3_exec(*holder, "PRAGMA query_only=OFF; BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		return SQLITE_OK;
	ps_write_lock_drop(*holder);
	*holder = NULL;
	return rc;
}

static int note_version(void *arg, int count, char **values, char **names)
{
	(void)names;
	if (count == 1 && values[0] != NULL)
		snprintf(arg, 64, "PRAGMA main.user_version=%.20s; COMMIT", values[0]);
	return 0;
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

void ps_write_lock_drop(sqlite3 *holder)
{
	sqlite3_close_v2(holder);
}
