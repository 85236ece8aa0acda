/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/trust.h"

#include <stddef.h>

static int read_schema(sqlite3 *connection)
{
	return sqlite3_exec(connection, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
}

/* False: there was no memory to ask. */
static bool ask_deferring(sqlite3 *connection, bool *on)
{
	sqlite3_stmt *query;

	*on = false;
	if (!sqlite3_get_autocommit(connection))
		return true;
	/* This needs no schema, and ends nothing. */
	if (sqlite3_prepare_v2(connection, "PRAGMA defer_foreign_keys", -1, &query, NULL) == SQLITE_OK &&
	    sqlite3_step(query) == SQLITE_ROW)
		*on = sqlite3_column_int(query, 0) != 0;
	sqlite3_finalize(query);
	return sqlite3_errcode(connection) != SQLITE_NOMEM;
}

static void set_trust(sqlite3 *connection, int trusted)
{
	sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, trusted, NULL);
}

static bool is_trusted(sqlite3 *connection)
{
	int trusted = 1;

	sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, -1, &trusted);
	return trusted != 0;
}

bool ps_trust_defer_again(sqlite3 *connection)
{
	return sqlite3_exec(connection, "PRAGMA defer_foreign_keys=ON", NULL, NULL, NULL) != SQLITE_NOMEM;
}

bool ps_trust_read_schema(sqlite3 *connection)
{
	bool deferring;

	if (is_trusted(connection) || !ask_deferring(connection, &deferring))
		return true;
	/* Every statement would be prepared again when it is changed: only if need be. */
	if ((read_schema(connection) & 0xff) == SQLITE_CORRUPT) {
		set_trust(connection, 1);
		read_schema(connection);
		set_trust(connection, 0);
	}
	return !deferring || ps_trust_defer_again(connection);
}

int ps_trust_note_functions(sqlite3 *connection)
{
	int rc;

	if (is_trusted(connection))
		return SQLITE_OK;
	set_trust(connection, 1);
	rc = sqlite3_exec(connection, "PRAGMA writable_schema=RESET", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = read_schema(connection);
	set_trust(connection, 0);
	return rc;
}
