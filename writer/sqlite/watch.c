#include "writer/sqlite/watch.h"

#include "core/clock.h"

#define STEPS_BETWEEN_LOOKS 1000

static int look(void *arg)
{
	struct ps_watch *watch = arg;

	if (watch->statement == NULL || !sqlite3_stmt_busy(watch->statement))
		return 0;
	if (watch->deadline == 0)
		watch->deadline = ps_deadline(watch->timeout_ms * 1000);
	else if (ps_deadline_passed(watch->deadline))
		watch->expired = true;
	return watch->expired;
}

void ps_watch_init(struct ps_watch *watch, sqlite3 *connection, int64_t timeout_ms)
{
	*watch = (struct ps_watch){ .timeout_ms = timeout_ms };
	/* A handler of the connect hook's could end a COMMIT, or say so of one that was done. */
	sqlite3_progress_handler(connection, timeout_ms == 0 ? 0 : STEPS_BETWEEN_LOOKS, look, watch);
}

void ps_watch_destroy(sqlite3 *connection)
{
	sqlite3_progress_handler(connection, 0, NULL, NULL);
}
