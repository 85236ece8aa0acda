/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/deadline.h"

#include "core/clock.h"

#define STEPS_BETWEEN_LOOKS 1000

static int look(void *arg);

static void install(struct ps_statement_deadline *deadline)
{
	int steps = deadline->begin != NULL || deadline->stopped ? 1 : deadline->timeout_ms != 0 ? STEPS_BETWEEN_LOOKS : 0;

	sqlite3_progress_handler(deadline->connection, steps, look, deadline);
}

/* Behind what opens a statement's transactions there is a jump, where SQLite looks: it has its locks, and has done nothing. */
static bool may_begin(struct ps_statement_deadline *deadline)
{
	if (deadline->statement == NULL ||
	    (!sqlite3_stmt_readonly(deadline->statement) && sqlite3_txn_state(deadline->connection, NULL) != SQLITE_TXN_WRITE))
		return true;
	if (!deadline->begin(deadline->begin_arg))
		return false;
	ps_statement_deadline_ask(deadline, NULL, NULL);
	return true;
}

static int look(void *arg)
{
	struct ps_statement_deadline *deadline = arg;

	if (deadline->begin != NULL)
		return !may_begin(deadline);
	if (deadline->all) {
		deadline->expired |= ps_deadline_passed(deadline->at_nsec);
		return deadline->stopped || deadline->expired;
	}
	if (deadline->statement == NULL || !sqlite3_stmt_busy(deadline->statement))
		return 0;
	if (deadline->at_nsec == 0)
		deadline->at_nsec = ps_deadline(deadline->timeout_ms * 1000);
	else if (ps_deadline_passed(deadline->at_nsec))
		deadline->expired = true;
	return deadline->expired;
}

void ps_statement_deadline_init(struct ps_statement_deadline *deadline, sqlite3 *connection, int64_t timeout_ms)
{
	*deadline = (struct ps_statement_deadline){ .connection = connection, .timeout_ms = timeout_ms };
	/* A handler of the connect hook's could end a COMMIT, or say so of one that was done. */
	install(deadline);
}

void ps_statement_deadline_ask(struct ps_statement_deadline *deadline, bool (*begin)(void *), void *arg)
{
	deadline->begin = begin;
	deadline->begin_arg = arg;
	install(deadline);
}

void ps_statement_deadline_begin_call(struct ps_statement_deadline *deadline)
{
	deadline->all = true;
	deadline->at_nsec = deadline->timeout_ms == 0 ? PS_NEVER : ps_deadline(deadline->timeout_ms * 1000);
	deadline->expired = false;
}

void ps_statement_deadline_stop_call(struct ps_statement_deadline *deadline)
{
	deadline->stopped = true;
	install(deadline);
}

void ps_statement_deadline_destroy(sqlite3 *connection)
{
	sqlite3_progress_handler(connection, 0, NULL, NULL);
}
