/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/deadline.h"

#include "core/clock.h"

#define STEPS_BETWEEN_LOOKS 1000

static int look(void *arg)
{
	struct ps_statement_deadline *deadline = arg;

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

void ps_statement_deadline_destroy(sqlite3 *connection)
{
	sqlite3_progress_handler(connection, 0, NULL, NULL);
}
