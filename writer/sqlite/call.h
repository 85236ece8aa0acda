/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.h - a function of the program on the writer's connection: in a transaction that stays the engine's, and with nothing left behind
 *
 * The function may read and write as it likes, so it cannot run twice: it has a transaction of its own, alone between batches. It is
 * called with the lock held. It could end that transaction, by COMMIT; or unasked, by an OR ROLLBACK whose failure it swallows: then
 * what it writes next would be committed statement by statement. From outside a COMMIT and a BEGIN look as if nothing had happened. So
 * a guard takes part in the transaction: a virtual table, which SQLite asks before it commits and tells when it rolls back.
 *
 *   - The authorizer refuses to prepare transaction control (not SAVEPOINT), and what would outlive the call: ATTACH, objects in
 *     temp, and every pragma with a value that is not known to be a query, or to be undone by a rollback.
 *   - Whether the authorizer is still the engine's is tried when the function has returned. Where it is not, what it could not refuse is
 *     looked for: other databases, another schema of temp, query_only, locking_mode. Whoever left that fails, and it is put back.
 *   - The guard refuses a commit while the function runs. (What was prepared elsewhere is not asked about.)
 *   - Once the transaction has ended whatever runs is interrupted before its first write, and nothing is prepared any more.
 *
 * The program's commit and rollback hooks are not touched, which could not be put back. So before the first call of a connection an
 * empty transaction shows whether the commit hook is the engine's (harm.h), which a function then may not keep.
 *
 * Invariants
 *   1. What the function wrote is committed whole, by the engine, or not at all; and its outcome says which.
 *   2. Behind the function these are as before it: the authorizer, the handlers that are the engine's, the connection's settings
 *      (sqlite3_db_config), limits and names. Statements that it left open are finalized.
 *   3. Nothing that was prepared before a call is used after it.
 *
 * What a virtual table prepares for itself while the function runs, and keeps, must stay. It is known by the names of its shadow tables;
 * and where there are virtual tables, only what the function left running is taken for the function's.
 *
 * An interrupt that still stands when the function has returned would meet COMMIT and ROLLBACK. So it ends the transaction at once, and the
 * call comes to SQLITE_INTERRUPT unless the function failed with something else.
 *
 * Failure modes: no memory for the guard, or for the list of what was open: the function is not called. What the function does to
 * SQLite by means that nobody sees (sqlite3_file_control, hooks that the engine does not use, functions) stays.
 */
#ifndef PENSTOCK_SQLITE_CALL_H
#define PENSTOCK_SQLITE_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include "writer/sqlite/deadline.h"

/* The settings of sqlite3_db_config that are a number each, and more limits than there are. */
#define PS_CALL_FIRST_SETTING SQLITE_DBCONFIG_ENABLE_FKEY
#define PS_CALL_SETTINGS 21
#define PS_CALL_LIMITS 16

struct ps_call {
	sqlite3 *connection;
	sqlite3_stmt *const *any_write; /* the engine's own, which may be prepared anew at any time */
	struct ps_statement_deadline *deadline;
	sqlite3_stmt *guard; /* takes part in the transaction; prepared when first needed */
	bool running;        /* the function has not returned */
	bool ended;          /* its transaction has, meanwhile */
	bool altered;        /* it may have renamed a table */
	bool asked;          /* the authorizer has been */
	bool attached;       /* the databases are not those that were there */
	char refusal[192];   /* what the authorizer refused last, or "" */
	/* as it was before */
	const char *main_name;
	int settings[PS_CALL_SETTINGS];
	int limits[PS_CALL_LIMITS];
	uint64_t databases; /* a hash of their names and files */
	int database_count;
	bool exclusive;      /* PRAGMA locking_mode */
	char temp[24];       /* the version of its schema, or "" */
	sqlite3_stmt **open; /* every statement that there was */
	size_t open_count;
	size_t open_room;
};

void ps_call_destroy(struct ps_call *call);
/* Of a connection: whether PRAGMA locking_mode is exclusive. */
bool ps_call_is_exclusive(sqlite3 *connection);
/* What the authorizer says while the function runs. */
int ps_call_authorize(struct ps_call *call, int action, const char *first, const char *second, const char *database);

#endif
