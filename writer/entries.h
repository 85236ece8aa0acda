/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entries.h - the entries of a batch, their outcomes, and the delivery of these
 *
 * An entry is a published ticket that the batch has entered. What delivery must know of it is one byte of notes, so that
 * going over a thousand fire-and-forget statements that went well touches none of their slots again. An outcome is found
 * only for entries with a listener, and for those that fail.
 *
 * An entry that may be cancelled, or has a deadline, is looked at once before it begins: whatever its kind, by whoever runs it. When
 * it does not begin it has failed so, and its runs are none. Nothing else can be made of it.
 *
 * Invariants
 *   1. Entered once per batch, delivered once, then retired: exactly one outcome.
 *   2. An outcome belongs to the handle, or to the pool here until its callback has returned.
 *   3. Counters are up to date before a listener hears.
 *   4. An entry that may be cancelled has begun before any outcome is set, so that a cancel behind it comes too late.
 *
 * Failure modes: without memory for an outcome one that says NOMEM stands in; a statement with a callback is then not run.
 */
#ifndef PENSTOCK_ENTRIES_H
#define PENSTOCK_ENTRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/counters.h"
#include "core/options.h"
#include "core/outcome.h"
#include "queue/ring.h"

struct ps_entries {
	struct ps_ring *ring;
	struct ps_counters *counters;
	const struct ps_options *options;
	struct ps_bell *bell;       /* of the engine's handles */
	penstock_completions *told; /* completion queues that get something in this delivery */
	/* by ticket - base */
	uint64_t base;
	uint64_t end; /* the ticket behind the last one entered */
	size_t capacity;
	unsigned char *notes;
	struct ps_outcome **outcomes;
	struct ps_outcome *spare; /* of the pool, not in use, chained by result.arg */
	size_t spare_count;
};

bool ps_entries_init(struct ps_entries *entries, struct ps_ring *ring, struct ps_counters *counters,
                     const struct ps_options *options);
void ps_entries_destroy(struct ps_entries *entries);

/* Makes a ticket at or behind base an entry, with an empty outcome if somebody listens. */
void ps_entries_enter(struct ps_entries *entries, uint64_t ticket, const struct ps_record *record);

/*
 * Begins an entry, with the lock held if it needs that. False: it has been cancelled or its deadline has passed; it has failed so.
 * Once begun it stays so.
 */
bool ps_entries_begin(struct ps_entries *entries, uint64_t ticket);
/*
 * The same of one that gets its locks only as it runs. Before the run: it does not begin the entry, if it has not begun yet. In it, with
 * the locks held and nothing done: OK, or what it comes to. Behind it, of one that is not to begin: that, whatever the run came to.
 */
void ps_entries_begin_late(struct ps_entries *entries, uint64_t ticket);
penstock_status ps_entries_begin_in_run(struct ps_entries *entries, uint64_t ticket);
void ps_entries_end_in_nothing(struct ps_entries *entries, uint64_t ticket, penstock_status status);
/* Whether it is one that ps_entries_begin has to look at, and has not. Also of a published ticket that is no entry yet. */
bool ps_entries_may_begin(const struct ps_entries *entries, uint64_t ticket);
/* Whether it came to nothing before it had begun. */
bool ps_entries_is_gone(const struct ps_entries *entries, uint64_t ticket);
/*
 * Of one that may begin, before its turn: has it come to nothing, its outcome is delivered, and its record says so (PS_ASKS_TOLD).
 * False: it has not.
 */
bool ps_entries_tell(struct ps_entries *entries, uint64_t ticket);
/* From `head` on: the ticket that the above cannot reach. */
uint64_t ps_entries_reach(struct ps_entries *entries, uint64_t head);

/*
 * Where a run of the entry puts its outcome, empty again: the entry's own, or *scratch when nobody listens. NULL: it does not begin,
 * or there is no memory to run it with; it has failed.
 */
struct ps_outcome *ps_entries_begin_run(struct ps_entries *entries, uint64_t ticket, struct ps_outcome *scratch);
/* After the run: notes whether it failed, and keeps what is in the scratch if it did. */
void ps_entries_end_run(struct ps_entries *entries, uint64_t ticket, struct ps_outcome *outcome);
/* After a run with others that went well: it was one row of their insert. */
void ps_entries_note_row(struct ps_entries *entries, uint64_t ticket, int64_t rowid);
/* Gives the entry this outcome instead of the one it has; but none to one that came to nothing before it had begun. */
void ps_entries_fail(struct ps_entries *entries, uint64_t ticket, penstock_status status, int code, const char *message);
bool ps_entries_failed(const struct ps_entries *entries, uint64_t ticket);
/* Of an entry that failed. */
const penstock_result *ps_entries_result(const struct ps_entries *entries, uint64_t ticket);

/* Delivery goes over all entries, or (two levels of acknowledgement in one batch) first over those that did not ask for
 * durable and then over those that did. */
enum ps_pass { PS_PASS_ALL, PS_PASS_NOT_DURABLE, PS_PASS_DURABLE };
bool ps_entries_any_durable(const struct ps_entries *entries, uint64_t first, uint64_t end);
/* Whether to deliver them is no more than to wake threads: no function of the program's is called, and nothing is synced. */
bool ps_entries_only_wake(const struct ps_entries *entries, uint64_t first, uint64_t end);
bool ps_entries_is_durable(const struct ps_entries *entries, uint64_t ticket);
/* Counts the entries of [first, end), tells whoever wants to know, and retires their records. */
void ps_entries_deliver(struct ps_entries *entries, uint64_t first, uint64_t end, enum ps_pass pass);

#ifdef PENSTOCK_FAULTS
/* A deliberate fault (core/fault.h): the same, before they are committed; what comes of them afterwards nobody hears. */
void ps_entries_deliver_early(struct ps_entries *entries, uint64_t first, uint64_t end);
#else
#define ps_entries_deliver_early(entries, first, end) ((void)0)
#endif

#endif
