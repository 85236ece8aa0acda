/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * patience.h - how long the writer waits for another process's lock, and for readers
 *
 * A lock that is met is tried for busy_limit_ms. When that is over, everything accepted by then has waited for it together:
 * it is tried once more for each batch, without a wait, and who does not get it hears SQLITE_BUSY. So a lock that is never let
 * go of costs what is queued one busy_limit_ms in all, and not one a batch. Whoever is accepted later waits anew.
 *
 * The store asks here each millisecond while it waits. So a busy_limit_ms that is changed counts at once, and a stop that
 * gives up ends any wait. One attempt ends early when somebody who waits has been cancelled, or is too late, and is told before
 * the next one (reaper.h). When it was the first in the queue, the wait goes on for those behind it.
 *
 * Invariants
 *   1. A wait is over for the tickets before spent_before once it is spent, until the lock is had.
 *   2. Giving up lasts until the next start.
 *   3. Nobody waits for readers while a command is due: it would only make the log begin anew, which can be done later.
 *
 * Failure modes: none.
 *
 * All of it is for the writer thread (or whoever opens the engine), but for giving up.
 */
#ifndef PENSTOCK_PATIENCE_H
#define PENSTOCK_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/counters.h"
#include "core/options.h"
#include "core/state.h"
#include "queue/ring.h"

struct ps_reaper;

struct ps_patience {
	struct ps_reaper *reaper;
	const struct ps_ring *ring;
	struct ps_counters *counters;
	const struct ps_options *options;
	struct ps_state_word *state;
	void (*say_away)(const struct ps_options *options); /* when a wait begins */
	uint64_t since;        /* when those that wait now met the lock that has not been had since; 0: they have not */
	uint64_t spent_before; /* a ticket */
	bool spent;            /* busy_limit_ms is over */
	bool said;             /* to the log, of the lock that has not been had since */
	bool goes_on;          /* the next batch waits on for the lock that this one has waited for */
	uint32_t give_up;      /* a stop has said so */
};

/* Any thread: what has not begun is to be given up; or (before a start) not any more. */
void ps_patience_set_give_up(struct ps_patience *patience, bool give_up);
bool ps_patience_gives_up(const struct ps_patience *patience);

/* The one that the batch began with has left; others wait on. */
void ps_patience_go_on(struct ps_patience *patience);
/* Before a batch from `first` on: whoever came later waits anew. Returns `limit`, or a lesser one for those that have waited. */
uint64_t ps_patience_begin(struct ps_patience *patience, uint64_t first, uint64_t limit);
/* So long nobody waited for a lock, though there was work; they wait on. */
void ps_patience_pass_over(struct ps_patience *patience, uint64_t nsec);
/* Whether a lock was met that has not been had since, by this batch or one before it. */
bool ps_patience_is_tried(const struct ps_patience *patience);
/* The lock was had, or is not wanted any more. */
void ps_patience_renew(struct ps_patience *patience);

/* While a lock is waited for: whether to go on. */
bool ps_patience_lasts(struct ps_patience *patience);
/* Whether the attempt under way should end, so that somebody can be told. */
bool ps_patience_is_interrupted(struct ps_patience *patience);
/*
 * After an attempt that did not get the lock: counts and tells it, waits a moment, and gives outcomes to those that have been cancelled
 * or are too late. False: no other attempt.
 */
bool ps_patience_retry(struct ps_patience *patience);
/* While readers are waited for: whether to go on. */
bool ps_patience_lasts_for_readers(const struct ps_patience *patience);

#endif
