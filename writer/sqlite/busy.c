/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/busy.h"

#include <time.h>

#include "core/clock.h"
#include "writer/sqlite/presence.h"

/*
 * Between two looks at a lock: a millisecond more each time, up to this. For readers always one: they leave for moments. At the engine's
 * turn, too: of the other engines nobody asks meanwhile.
 */
#define PAUSE_MS_MAX 10

/* How long one look of a checkpoint at the readers holds. */
#define READERS_NSEC (2 * PS_NSEC_PER_MSEC)

/* Whether a statement that a function runs asks: besides it, the one that called the function is under way. */
static bool is_nested(sqlite3 *connection)
{
	unsigned under_way = 0;

	for (sqlite3_stmt *at = sqlite3_next_stmt(connection, NULL); at != NULL; at = sqlite3_next_stmt(connection, at))
		under_way += sqlite3_stmt_busy(at) != 0;
	return under_way > 1;
}

static bool waits_on(struct ps_busy *busy, int count)
{
	bool for_readers = busy->readers_ms >= 0, often = for_readers || busy->at_turn;
	uint64_t limit = (uint64_t)(for_readers ? busy->readers_ms : busy->timeout_ms) * PS_NSEC_PER_MSEC;
	uint64_t now = ps_clock_nsec();
	struct timespec pause;

	busy->met |= !is_nested(busy->connection);
	if (count == 0)
		busy->since = now;
	if (now - busy->since >= limit)
		return false;
	if (for_readers && now - busy->since >= READERS_NSEC && !ps_presence_is_log_copied(busy->connection)) {
		busy->anew = true;
		return false;
	}
	if (for_readers ? !ps_patience_lasts_for_readers(busy->patience) : !ps_patience_lasts(busy->patience))
		return false;
	if (!for_readers && (busy->unbegun || sqlite3_txn_state(busy->connection, NULL) == SQLITE_TXN_NONE) &&
	    ps_patience_is_interrupted(busy->patience))
		return false;
	pause = ps_timespec(PS_NSEC_PER_MSEC * (uint64_t)(often || count == 0    ? 1
	                                                  : count < PAUSE_MS_MAX ? count
	                                                                         : PAUSE_MS_MAX));
	nanosleep(&pause, NULL);
	return true;
}

static int on_busy(void *arg, int count)
{
	struct ps_busy *busy = arg;

	if (waits_on(busy, count))
		return 1;
	/* SQLite looks before the first page. */
	if (busy->or_nothing)
		sqlite3_interrupt(busy->connection);
	return 0;
}

void ps_busy_init(struct ps_busy *busy, struct ps_patience *patience, int64_t timeout_ms)
{
	*busy = (struct ps_busy){ .patience = patience, .timeout_ms = timeout_ms, .readers_ms = -1 };
}

void ps_busy_install(struct ps_busy *busy, sqlite3 *connection)
{
	busy->connection = connection;
	sqlite3_busy_handler(connection, on_busy, busy);
}
