/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/fork.h"

#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include "core/atomic.h"

static const int mutexes[] = {
	SQLITE_MUTEX_STATIC_VFS1, SQLITE_MUTEX_STATIC_VFS2,   SQLITE_MUTEX_STATIC_VFS3,
	SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_MASTER, SQLITE_MUTEX_STATIC_OPEN,
	SQLITE_MUTEX_STATIC_LRU,  SQLITE_MUTEX_STATIC_PMEM,   SQLITE_MUTEX_STATIC_MEM,
};
#define COUNT (sizeof mutexes / sizeof mutexes[0])

static uint32_t holds;
static bool held; /* between the handlers of one fork */

void ps_fork_holds_sqlite(void)
{
	/* Nothing is ordered by it: a fork that does not see it yet is one before SQLite was used. */
	ps_store_relaxed_u32(&holds, 1);
}

void ps_fork_lock_sqlite(void)
{
	size_t i;

	held = ps_load_relaxed_u32(&holds) != 0;
	/* A static mutex is always there; without threads SQLite has none, and takes NULL. */
	for (i = 0; held && i < COUNT; i++)
		sqlite3_mutex_enter(sqlite3_mutex_alloc(mutexes[i]));
}

void ps_fork_unlock_sqlite(void)
{
	size_t i;

	for (i = COUNT; held && i > 0; i--)
		sqlite3_mutex_leave(sqlite3_mutex_alloc(mutexes[i - 1]));
}
