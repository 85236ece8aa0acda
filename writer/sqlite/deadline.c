/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/deadline.h"

#include "core/clock.h"

#define STEPS_BETWEEN_LOOKS 1000

static int look(void *arg)
{
	struct ps_statement_deadline *deadline = arg;

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
	*deadline = (struct ps_statement_deadline){ .timeout_ms = timeout_ms };
	/* A handler of the connect hook's could end a COMMIT, or say so of one that was done. */
	sqlite3_progress_handler(connection, timeout_ms == 0 ? 0 : STEPS_BETWEEN_LOOKS, look, deadline);
}

void ps_statement_deadline_begin_call(struct ps_statement_deadline *deadline)
{
	deadline->all = true;
	deadline->at_nsec = deadline->timeout_ms == 0 ? PS_NEVER : ps_deadline(deadline->timeout_ms * 1000);
	deadline->expired = false;
}

void ps_statement_deadline_stop_call(struct ps_statement_deadline *deadline, sqlite3 *connection)
{
	deadline->stopped = true;
	/* SQLite looks before a statement's first write: behind what opens its transaction there is a jump. */
	sqlite3_progress_handler(connection, 1, look, deadline);
}

void ps_statement_deadline_destroy(sqlite3 *connection)
{
	sqlite3_progress_handler(connection, 0, NULL, NULL);
}
