/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reaper.h - outcomes for what is cancelled or expired while the writer waits for another process's lock
 *
 * As a rule a submission is looked at when its turn has come, and then it begins or has its outcome. Behind a lock that another
 * process keeps, turns do not come. So while it waits the writer looks at all that is queued, and tells those that have been
 * cancelled, or whose deadline has passed. Their slots stay where they are: what is left of such a record says so
 * (PS_ASKS_TOLD), and at its turn it is passed over.
 *
 * A look must be cheap, since there may be a million slots: of the records it goes over those that are new, once. It keeps the
 * earliest deadline, and whether any can be cancelled. Only when that deadline has passed, or the count of cancels has moved
 * (cancel.h), does it go over all.
 *
 * Invariants
 *   1. A look is due as long as somebody is to be told, from the first look that could have seen it.
 *   2. Who is told has not begun, and is told by the same step that begins others (ps_entries_begin): one outcome.
 *   3. SQLite's code is not on the stack when somebody is told, as callbacks are the program's: the busy handler only asks whether
 *      a look is due, and ends its wait.
 *
 * Failure modes: none.
 *
 * All of it is for the writer thread.
 */
#ifndef PENSTOCK_REAPER_H
#define PENSTOCK_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#include "writer/entries.h"

struct ps_reaper {
	struct ps_entries *entries;
	uint64_t seen;     /* the ticket behind the last that was looked at */
	uint64_t earliest; /* deadline of those */
	bool cancellable;  /* one of those */
	bool due;
	uint32_t cancels; /* the count at the last look */
};

void ps_reaper_init(struct ps_reaper *reaper, struct ps_entries *entries);
/* Whether anybody is to be told. */
bool ps_reaper_is_due(struct ps_reaper *reaper);
/* Tells them. */
void ps_reaper_reap(struct ps_reaper *reaper);

#endif
