/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * strangers.h - programs that write to the file without Penstock: the sqlite3 shell, and Python with its module
 *
 * They know nothing of turns and pauses. Each has a process between itself and whoever began it, which says what to do, line by
 * line, and hears what was done. A row is a transaction (BEGIN IMMEDIATE to COMMIT) that is held for a moment. Neither checkpoints,
 * as docs/guarantees.md asks of plain connections. When that process is killed, its program is killed with it.
 */
#ifndef PENSTOCK_KILL_STRANGERS_H
#define PENSTOCK_KILL_STRANGERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum stranger { STRANGER_SHELL, STRANGER_PYTHON, STRANGERS };

const char *stranger_name(enum stranger stranger);
/* Whether its program can be had. */
bool stranger_is_there(enum stranger stranger);

struct stranger_task {
	const char *path;
	unsigned life;                              /* the number in its rows */
	_Atomic uint32_t *submitted, *acknowledged; /* in memory that outlives it */
	const _Atomic bool *ending;
	unsigned hang_seconds; /* for one row */
};

/* In a process of its own, which ends with it: status 0, if all went well. */
_Noreturn void stranger_write(enum stranger stranger, const struct stranger_task *task);

#endif
