/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trust.h - a schema that is not trusted, and is read all the same
 *
 * With trusted_schema off, SQLite lets nothing in the schema call a function that is not innocuous. Where such a call stands in a
 * CHECK, an index or a generated column, it does not even read the schema: the whole database counts as malformed, though only
 * that one table would be affected. Up to SQLite 3.40 and a few later versions that goes for every JSON function.
 *
 * Read while it is trusted, the schema is there, and only what uses such a call fails. But SQLite reads it again: when another
 * process has changed it, and when a transaction that changed it is rolled back. So the writer looks, before each transaction,
 * whether it can still be read, and else reads it as at first. Reading runs nothing of the schema's.
 *
 * A function that is not there yet when the schema is read is never asked whether it is innocuous, where it stands in one of the
 * three. So behind the connect hook, which brings the program's functions, the schema is read once more.
 *
 * In autocommit, reading ends PRAGMA defer_foreign_keys, as any statement does that reads; it is set again for the program's next one.
 *
 * Failure modes
 *   - A reader's connection is the caller's, and SQLite reads its schema again by itself.
 *   - Without memory to ask for defer_foreign_keys the schema is left as it is. Without memory to set it again, the program's next statement
 *     fails, and has not run: the deferring is owed to the one behind it.
 */
#ifndef PENSTOCK_TRUST_H
#define PENSTOCK_TRUST_H

#include <sqlite3.h>
#include <stdbool.h>

/*
 * Sees to it that the connection has the schema, where that is not trusted. Else it does nothing. False: defer_foreign_keys was on, and
 * there was no memory to set it again.
 */
bool ps_trust_read_schema(sqlite3 *connection);
bool ps_trust_defer_again(sqlite3 *connection);
/* The same where functions may have been added. SQLite's code. */
int ps_trust_note_functions(sqlite3 *connection);

#endif
