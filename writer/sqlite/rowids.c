/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/rowids.h"

#include <stddef.h>

static void on_row(void *arg, int operation, const char *database, const char *table, sqlite3_int64 rowid)
{
	struct ps_rowids *rowids = arg;

	(void)operation;
	(void)database;
	(void)table;
	rowids->ours = true;
	if (rowids->at == NULL)
		return;
	if (rowids->heard < rowids->room)
		rowids->at[rowids->heard] = rowid;
	rowids->heard++;
}

void ps_rowids_watch(struct ps_rowids *rowids, sqlite3 *connection)
{
	*rowids = (struct ps_rowids){ .connection = connection };
	sqlite3_update_hook(connection, on_row, rowids);
}

void ps_rowids_end_watch(struct ps_rowids *rowids)
{
	/* Whosever it is: what is left of the connection is closing. */
	sqlite3_update_hook(rowids->connection, NULL, NULL);
}

bool ps_rowids_are_heard(const struct ps_rowids *rowids)
{
	return rowids->ours;
}

void ps_rowids_forget(struct ps_rowids *rowids)
{
	rowids->ours = false;
}

void ps_rowids_begin(struct ps_rowids *rowids, int64_t *at, unsigned count)
{
	rowids->at = at;
	rowids->room = count;
	rowids->heard = 0;
	/* To be heard again. */
	if (at != NULL)
		rowids->ours = false;
}

unsigned ps_rowids_end(struct ps_rowids *rowids)
{
	rowids->at = NULL;
	return rowids->heard;
}
