/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deadline.h - a deadline for each statement, so that one that never ends does not hold up everybody else
 *
 * SQLite's progress handler looks at the clock every thousand steps of the virtual machine. A statement that is too
 * late is interrupted: it fails with SQLITE_INTERRUPT, and what it wrote is rolled back, with the whole transaction;
 * the batch then runs the others again, and the failing one alone with a deadline of its own.
 *
 * Invariants
 *   1. Only a statement between begin and end is interrupted: no COMMIT and no ROLLBACK, nor anything of the engine's
 *      own.
 *   2. A statement that has ended (in autocommit: is committed) is not. SQLite calls the handler once more behind
 *      that, and would say that it was interrupted.
 *   3. A call (call.h) has one deadline for all its statements, from its beginning: it has its lock by then.
 *   4. What is asked whether it may begin has its locks then, and has done nothing: behind what opens its transactions there is a jump,
 *      and with a handler for each step SQLite looks there.
 *   5. The time that counts for a statement begins with the first look, which comes after the statement has its locks. So waiting for
 *      another process does not count, and a short statement never reads the clock.
 *
 * Failure modes: a single step that takes long (a SQL function, a long sort) is not cut short.
 */
#ifndef PENSTOCK_STATEMENT_DEADLINE_H
#define PENSTOCK_STATEMENT_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

struct ps_statement_deadline {
	sqlite3 *connection;
	bool (*begin)(void *arg); /* NULL: it may */
	void *begin_arg;
	int64_t timeout_ms;      /* 0: none */
	sqlite3_stmt *statement; /* that is running, or NULL */
	uint64_t at_nsec;        /* 0: not yet looked */
	bool expired;            /* the statement that ran last was interrupted */
	bool all;                /* whatever runs has the one deadline: a call */
	bool stopped;            /* whatever runs is interrupted */
};

/* Takes the connection's progress handler, whatever the timeout; the struct outlives its use of it. */
void ps_statement_deadline_init(struct ps_statement_deadline *deadline, sqlite3 *connection, int64_t timeout_ms);
void ps_statement_deadline_destroy(sqlite3 *connection);

/* One for all that a call runs, which begins now. Until ps_statement_deadline_init. */
void ps_statement_deadline_begin_call(struct ps_statement_deadline *deadline);
/* From now on everything that the call runs is interrupted before it has done anything. */
void ps_statement_deadline_stop_call(struct ps_statement_deadline *deadline);

/*
 * Whoever runs next is asked about, once it has the locks of all that it writes, and has done nothing; false: it is interrupted there. Until
 * the answer is true. NULL: nobody is.
 */
void ps_statement_deadline_ask(struct ps_statement_deadline *deadline, bool (*begin)(void *), void *arg);

static inline void ps_statement_deadline_begin(struct ps_statement_deadline *deadline, sqlite3_stmt *statement)
{
	deadline->statement = statement;
	deadline->at_nsec = 0;
	deadline->expired = false;
}

static inline void ps_statement_deadline_end(struct ps_statement_deadline *deadline)
{
	deadline->statement = NULL;
}

#endif
