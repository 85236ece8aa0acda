/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * busy.h - the busy handler of the writer's connection
 *
 * SQLite calls it when it meets a lock, and tries again if it says so. One attempt at another process's lock takes
 * busy_timeout_ms at most, and one wait of a checkpoint for readers as long as its caller says; the engine is asked meanwhile
 * whether to wait on (patience.h).
 *
 * A wait in which nothing has begun yet ends early when somebody else in the queue is to be told meanwhile.
 *
 * SQLite's own handler comes to sleep 100 ms between its looks, which is too seldom to meet the moment in which none of several
 * readers that overlap stands in the way, and cannot be told to stop.
 *
 * A checkpoint waits for the lock that a reader of something older has, and goes on waiting for the same one when the next reader has it,
 * who reads all that is there and is in nobody's way. So as long as something is to be copied it is begun anew every few milliseconds, and
 * looks at who is there then.
 *
 * Invariants
 *   1. It is the connection's, whatever the connect hook or a PRAGMA busy_timeout has put there: it is put back behind both.
 *   2. A lock that a statement of a function's meets is not the lock of the statement that called the function. The function hears of it,
 *      as in autocommit, and what it fails with is its own.
 *
 * Failure modes: which statement meets a lock is told by how many are under way. One of a function's that has to read a schema first is
 * taken for the caller's, which may run again; but not what may run only once (run.c). One of a virtual table's own is taken for a
 * function's, and so is the caller's commit while a function has left a statement under way: such a lock is not tried again.
 */
#ifndef PENSTOCK_BUSY_H
#define PENSTOCK_BUSY_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "writer/patience.h"

struct ps_busy {
	struct ps_patience *patience;
	sqlite3 *connection;
	int64_t timeout_ms;
	int64_t readers_ms; /* how long a checkpoint waits for readers; -1: it is a lock that is waited for */
	uint64_t since;     /* the wait under way */
	bool anew;          /* a checkpoint that waited for readers was ended so that it is begun anew */
	bool at_turn;       /* this engine's, among those of other processes */
	bool met;           /* a lock, and no statement of a function has, since whoever asks has set this to false */
	bool unbegun;       /* though there may be a lock that was had, nothing has been done */
	bool or_nothing;    /* a checkpoint that does not get its lock copies nothing, instead of going on without */
};

void ps_busy_init(struct ps_busy *busy, struct ps_patience *patience, int64_t timeout_ms);
/* The struct outlives the connection's use of it. */
void ps_busy_install(struct ps_busy *busy, sqlite3 *connection);

#endif
