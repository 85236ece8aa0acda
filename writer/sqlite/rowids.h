/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rowids.h - the rowid of each row of an insert, as SQLite's update hook tells it
 *
 * An INSERT of many rows leaves the rowid of its last one alone. The others are not the ones before it: they may be given, and from
 * 2^63 - 1 on SQLite draws them at random. The hook is called with each as it goes in, for 4 ns, where RETURNING costs more than
 * the row does. It is not called for a table WITHOUT ROWID.
 *
 * There is one such hook for a connection. The engine's is set before the program's connect hook, which may put its own in the place,
 * as may a function or a call later: SQLite does not say so, and the program's could not be put back. So the engine's counts as there
 * once it has been heard, and no longer when it keeps silent.
 *
 * Invariants
 *   1. The program's hook is never taken from it while the store is open.
 *   2. Rowids are of use only where as many were heard as there were rows.
 *
 * For the writer thread alone.
 */
#ifndef PENSTOCK_ROWIDS_H
#define PENSTOCK_ROWIDS_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

/* The writer's, for one connection. */
struct ps_rowids {
	sqlite3 *connection;
	bool ours;   /* it was heard since the program may have taken it */
	int64_t *at; /* where the rowids go; NULL: nowhere */
	unsigned room;
	unsigned heard;
};

/* Before the connect hook: takes the hook, until the program takes it or ps_rowids_end_watch. */
void ps_rowids_watch(struct ps_rowids *rowids, sqlite3 *connection);
void ps_rowids_end_watch(struct ps_rowids *rowids);
/* Whether the next rows will be heard, as far as is known. */
bool ps_rowids_are_heard(const struct ps_rowids *rowids);
/* The program may have taken the hook. */
void ps_rowids_forget(struct ps_rowids *rowids);

/* Around the insert of `count` rows, whose rowids go to `at`; NULL: they are not asked for. How many were heard. */
void ps_rowids_begin(struct ps_rowids *rowids, int64_t *at, unsigned count);
unsigned ps_rowids_end(struct ps_rowids *rowids);

#endif
