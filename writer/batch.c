/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/batch.h"

#include <string.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/probe.h"
#include "writer/alone.h"
#include "writer/room.h"

/* How far ahead a record is fetched while the one before runs. */
#define PREFETCH_AHEAD 4

/* The clock is looked at after 1, 2, 4, 8 ... statements, and then every so many: a look is 30 ns. */
#define CLOCK_STRIDE_MAX 32

bool ps_batch_init(struct ps_batch *batch, const struct ps_store_kind *kind, struct ps_ring *ring, struct ps_counters *counters,
                   const struct ps_options *options, struct ps_state_word *state)
{
	memset(batch, 0, sizeof *batch);
	batch->kind = kind;
	batch->ring = ring;
	batch->counters = counters;
	batch->options = options;
	batch->patience = (struct ps_patience){
		.reaper = &batch->reaper,
		.ring = ring,
		.counters = counters,
		.options = options,
		.state = state,
		.say_away = kind->say_away,
	};
	batch->checkpointer.ring = ring;
	batch->checkpointer.options = options;
	ps_reaper_init(&batch->reaper, &batch->entries);
	return ps_entries_init(&batch->entries, ring, counters, options);
}

void ps_batch_destroy(struct ps_batch *batch)
{
	ps_entries_destroy(&batch->entries);
}

void ps_batch_connect(struct ps_batch *batch, struct ps_store *store)
{
	batch->store = store;
	batch->blocked_at = batch->wal_before = batch->wal_growth = 0;
	batch->last = batch->not_allowed = false;
	batch->stall = (struct ps_stall){ 0 };
	batch->lacks_room = false;
	batch->futile_until = 0;
	batch->broken_code = 0;
	batch->checkpointer.round = 0;
	batch->checkpointer.unfit = false;
}

/* ---- running ---- */

/* The limits of a batch that is being filled. */
struct filling {
	uint64_t limit; /* ticket */
	uint64_t room;  /* for so many statements */
	uint64_t bytes;
	uint64_t deadline;
	uint64_t next_look; /* ticket at which to look at the clock */
};

static bool is_filled(struct ps_batch *batch, struct filling *filling, uint64_t first, uint64_t next)
{
	uint64_t count = next - first;

	if (count > 0 && ps_patience_gives_up(&batch->patience))
		return true;
	if (next >= filling->limit || filling->room == 0 || filling->bytes >= (uint64_t)batch->keys.batch_bytes)
		return true;
	if (batch->keys.batch_usec == 0 || next < filling->next_look)
		return false;
	filling->next_look = next + (count < CLOCK_STRIDE_MAX ? count : CLOCK_STRIDE_MAX);
	return ps_deadline_passed(filling->deadline);
}

static void enter(struct ps_batch *batch, struct filling *filling, uint64_t ticket, const struct ps_record *record,
                  uint64_t *end)
{
	ps_entries_enter(&batch->entries, ticket, record);
	*end = ticket + 1;
	filling->room -= ps_record_statements(record) < filling->room ? ps_record_statements(record) : filling->room;
	filling->bytes += record->on_heap ? record->payload.heap.size : PS_INLINE_BYTES;
}

/* It is none to run with others. */
static bool falls_out(const struct ps_record *record)
{
	if ((record->asks & (PS_ASKS_TIMED | PS_ASKS_TOLD)) == 0)
		return false;
	return (record->asks & PS_ASKS_TOLD) != 0 || ps_deadline_passed(ps_record_deadline(record));
}

/* Looks for those that may run as one with `record`, at `first`: how many, up to `most`, and whether anybody listens to one. */
static unsigned find_fusing(struct ps_batch *batch, const struct ps_record *record, uint64_t first, unsigned most,
                            const struct ps_record **records, bool *heard)
{
	unsigned count = 1;

	records[0] = record;
	*heard = record->listener_kind != PS_LISTENER_NONE;
	for (; count < most; count++) {
		ps_ring_prefetch(batch->ring, first + count + PREFETCH_AHEAD);
		records[count] = ps_ring_peek(batch->ring, first + count);
		if (records[count] == NULL || !ps_store_fuses(batch->store, record, records[count]) ||
		    falls_out(records[count]))
			break;
		*heard |= records[count]->listener_kind != PS_LISTENER_NONE;
	}
	return count;
}

/* Whether an entry that has just been made may run now, with others. */
static bool begins(struct ps_batch *batch, uint64_t ticket, const struct ps_record *record)
{
	struct ps_outcome scratch;

	return (record->listener_kind == PS_LISTENER_NONE && record->asks == 0) ||
	       ps_entries_begin_run(&batch->entries, ticket, &scratch) != NULL;
}

/*
 * Runs the submission at *next as one with those behind it that are there and may. PS_ELSEWHERE: *next, which is behind those
 * that did, and whoever has been entered (see *end) are to run by themselves.
 */
static enum ps_verdict run_fused(struct ps_batch *batch, struct filling *filling, uint64_t *next,
                                 const struct ps_record *record, uint64_t *end)
{
	const struct ps_record *records[PS_FUSE_ROWS_MAX];
	int64_t rowids[PS_FUSE_ROWS_MAX];
	unsigned most = ps_store_fuse_most(batch->store, record), count, done, i;
	uint64_t first = *next;
	enum ps_verdict verdict;
	bool heard;

	if (most == 0 || falls_out(record))
		return PS_ELSEWHERE;
	if (most > filling->limit - first)
		most = (unsigned)(filling->limit - first);
	if (most > filling->room)
		most = (unsigned)filling->room;
	count = find_fusing(batch, record, first, most, records, &heard);
	count = ps_store_fuse_width(batch->store, record, count, heard);
	if (count == 0)
		return PS_ELSEWHERE;
	for (i = 0; i < count; i++) {
		enter(batch, filling, first + i, records[i], end);
		if (!begins(batch, first + i, records[i]))
			return PS_ELSEWHERE;
	}
	verdict = ps_store_run_fused(batch->store, records, count, heard ? rowids : NULL, &done);
	if (verdict == PS_DONE || verdict == PS_DONE_LAST)
		done = count;
	for (i = 0; heard && i < done; i++)
		ps_entries_note_row(&batch->entries, first + i, rowids[i]);
	batch->fused += done;
	*next += done;
	return verdict;
}

/* After an I/O error: what ran before is rolled back, and will not run again. */
static enum ps_attempt abandon(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	ps_store_rollback(batch->store);
	for (; end > first; end--)
		ps_entries_fail(&batch->entries, end - 1, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
	return PS_ATTEMPT_BROKEN;
}

/* Runs the entry at `ticket`, of a transaction that began at `first`. PS_ATTEMPT_TROUBLE: it was this one. */
static enum ps_attempt run_one(struct ps_batch *batch, uint64_t first, uint64_t ticket)
{
	switch (ps_attempt_run(batch, ticket, true)) {
	case PS_DONE:
		return PS_ATTEMPT_BEGUN;
	case PS_DONE_LAST:
		return PS_ATTEMPT_FULL;
	case PS_BROKEN:
		ps_attempt_note_broken_by(batch, ticket);
		return abandon(batch, first, ticket);
	case PS_CAREFULLY:
		ps_store_rollback(batch->store);
		batch->careful = true;
		return PS_ATTEMPT_CAREFULLY;
	default:
		ps_store_rollback(batch->store);
		return PS_ATTEMPT_TROUBLE;
	}
}

/*
 * Runs the entries from *next to `end`, as many as it can. *next is then the one behind the last that ran; on PS_ATTEMPT_TROUBLE the
 * failing one.
 */
static enum ps_attempt run_entries(struct ps_batch *batch, uint64_t first, uint64_t *next, uint64_t end)
{
	enum ps_attempt result = PS_ATTEMPT_BEGUN;

	while (*next < end) {
		result = run_one(batch, first, *next);
		if (result == PS_ATTEMPT_TROUBLE || result == PS_ATTEMPT_CAREFULLY)
			break;
		*next += 1;
		if (result != PS_ATTEMPT_BEGUN)
			break;
	}
	return result;
}

/*
 * Enters and runs what is there, from `first` until the batch is filled. *entered is behind the last one entered, and *next behind
 * the last that ran; on PS_ATTEMPT_TROUBLE that is the failing one, or *entered when it was one of several that ran as one: which shows when
 * they run again.
 */
static enum ps_attempt fill(struct ps_batch *batch, struct filling *filling, uint64_t first, uint64_t *next, uint64_t *entered)
{
	/* Those of an attempt before this one. */
	enum ps_attempt result = run_entries(batch, first, next, *entered);

	while (result == PS_ATTEMPT_BEGUN && !is_filled(batch, filling, first, *next)) {
		struct ps_record *record = ps_ring_peek(batch->ring, *next);

		if (record == NULL || (*next > first && (ps_record_statements(record) > filling->room ||
		                                         ps_store_must_be_alone(batch->store, record))))
			break;
		switch (run_fused(batch, filling, next, record, entered)) {
		case PS_DONE:
			continue;
		case PS_DONE_LAST:
			return PS_ATTEMPT_FULL;
		case PS_TAKE_OUT:
			ps_store_rollback(batch->store);
			*next = *entered;
			return PS_ATTEMPT_TROUBLE;
		default:
			break;
		}
		ps_ring_prefetch(batch->ring, *next + PREFETCH_AHEAD);
		if (*next >= *entered)
			enter(batch, filling, *next, record, entered);
		/* Who has been entered runs, also when the batch is filled by then. */
		result = run_entries(batch, first, next, *entered);
	}
	return result;
}

/*
 * Runs [first, *end) as one transaction, or as many of them as it can: *next is behind the last one committed (or broken); on
 * PS_ATTEMPT_TROUBLE it is the failing one. With `filling` the end is open: entries are found as it goes, and *end says how far it came.
 */
static enum ps_attempt attempt_at_turn(struct ps_batch *batch, uint64_t first, uint64_t *end, struct filling *filling,
                                       uint64_t *next)
{
	enum ps_attempt result =
		ps_attempt_begin(batch, ps_store_begin, filling != NULL ? ps_ring_at(batch->ring, first) : NULL);

	*next = first;
	/* Nothing has run, so no entry has an outcome; without the lock the caller gives them one. */
	if (result != PS_ATTEMPT_BEGUN)
		return result;
	ps_store_enter_together(batch->store);
	result = filling != NULL ? fill(batch, filling, first, next, end) : run_entries(batch, first, next, *end);
	if (result != PS_ATTEMPT_BEGUN && result != PS_ATTEMPT_FULL)
		return result;
	if (ps_fault(PS_FAULT_EARLY_OUTCOME))
		ps_entries_deliver_early(&batch->entries, first, *next);
	result = ps_attempt_commit(batch, first, *next);
	if (result == PS_ATTEMPT_COMMITTED)
		ps_room_committed(batch);
	return result;
}

static enum ps_attempt attempt(struct ps_batch *batch, uint64_t first, uint64_t *end, struct filling *filling, uint64_t *next)
{
	enum ps_attempt result = attempt_at_turn(batch, first, end, filling, next);

	ps_attempt_end_turn(batch, first, *next);
	return result;
}

/* ---- delivery ---- */

/* Syncs for those that asked for durable. What fails here may or may not survive. */
static bool sync_durable(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	uint64_t i;

	ps_counters_add(batch->counters, &batch->counters->writer.wal_syncs, 1);
	if (ps_store_sync(batch->store) == PS_DONE)
		return true;
	ps_attempt_note_broken(batch, "syncing the write-ahead log");
	for (i = first; i < end; i++) {
		if (ps_entries_is_durable(&batch->entries, i) && !ps_entries_failed(&batch->entries, i))
			ps_entries_fail(&batch->entries, i, PENSTOCK_UNKNOWN, batch->broken_code, batch->broken_message);
	}
	return false;
}

/* Delivers what has been committed (or has failed) and gives the slots back. False: broken in the sync. */
static bool deliver(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	bool whole = true;

	if (batch->broken_code != 0 || !ps_entries_any_durable(&batch->entries, first, end) ||
	    ps_store_commit_is_durable(batch->store)) {
		ps_entries_deliver(&batch->entries, first, end, PS_PASS_ALL);
	} else {
		ps_entries_deliver(&batch->entries, first, end, PS_PASS_NOT_DURABLE);
		whole = ps_fault(PS_FAULT_SKIP_SYNC) || sync_durable(batch, first, end);
		ps_entries_deliver(&batch->entries, first, end, PS_PASS_DURABLE);
	}
	ps_ring_release(batch->ring, end);
	return whole;
}

/* ---- the batch ---- */

static void count_replay(struct ps_batch *batch, uint64_t statements)
{
	ps_count(batch->counters, &batch->counters->writer.replayed_batches, 1);
	ps_count(batch->counters, &batch->counters->writer.replayed_statements, statements);
	ps_counters_publish(batch->counters);
}

/*
 * Runs [*next, end) one by one and delivers each. no_lock: the lock was not to be had, which in autocommit each would hear,
 * but for those that only read.
 */
static bool each_alone(struct ps_batch *batch, uint64_t *next, uint64_t end, bool no_lock)
{
	while (*next < end) {
		uint64_t ticket = *next;
		enum ps_attempt result = PS_ATTEMPT_COMMITTED;

		*next += 1;
		if (ps_entries_is_gone(&batch->entries, ticket))
			; /* it has its outcome */
		else if (ps_patience_gives_up(&batch->patience) ||
		         (no_lock && ps_store_needs_lock(batch->store, ps_ring_at(batch->ring, ticket))))
			ps_attempt_fail_without_lock(batch, ticket);
		else
			result = ps_alone_run(batch, ticket);
		if (!deliver(batch, ticket, *next) || result == PS_ATTEMPT_BROKEN)
			return false;
	}
	return true;
}

/*
 * The entries [*next, end) have run, `failing` made trouble and everything was rolled back: runs them again so that each
 * has the outcome of its autocommit. Each round either delivers something or brings the failing nearer (invariant 3).
 */
static bool settle(struct ps_batch *batch, uint64_t *next, uint64_t end, uint64_t failing)
{
	while (*next < end) {
		uint64_t stop = failing, first = *next, reached = *next;
		enum ps_attempt result;

		if (*next == failing) {
			if (!each_alone(batch, next, *next + 1, false))
				return false;
			failing = end;
			continue;
		}
		PS_PROBE(replay, batch->ring->owner, first, stop - first);
		count_replay(batch, stop - first);
		if (ps_fault(PS_FAULT_SKIP_REPLAY)) {
			result = PS_ATTEMPT_COMMITTED;
			reached = stop;
		} else {
			result = attempt(batch, first, &stop, NULL, &reached);
		}
		if (result == PS_ATTEMPT_TROUBLE || result == PS_ATTEMPT_CAREFULLY) {
			failing = result == PS_ATTEMPT_TROUBLE ? reached : end;
			continue;
		}
		if (result == PS_ATTEMPT_NOT_TOGETHER || result == PS_ATTEMPT_NO_LOCK) {
			if (!each_alone(batch, next, stop, result == PS_ATTEMPT_NO_LOCK))
				return false;
			continue;
		}
		*next = reached;
		if (!deliver(batch, first, reached) || batch->broken_code != 0)
			return false;
	}
	return true;
}

/* The entries from `first` on that are there, up to the batch's limit. */
static uint64_t enter_all(struct ps_batch *batch, uint64_t first, uint64_t limit)
{
	const struct ps_record *record;

	for (; first < limit && (record = ps_ring_peek(batch->ring, first)) != NULL; first++)
		ps_entries_enter(&batch->entries, first, record);
	return first;
}

void ps_batch_pass_told(struct ps_batch *batch, uint64_t *next, uint64_t limit)
{
	const struct ps_record *record;

	while (*next < limit && (record = ps_ring_peek(batch->ring, *next)) != NULL && (record->asks & PS_ASKS_TOLD) != 0)
		*next += 1;
	ps_ring_release(batch->ring, *next);
	ps_attempt_wait_on(batch, *next);
}

/* Whether it runs by itself, in autocommit, where one that may come to nothing would not tell when it has got the lock. */
static bool is_lone(struct ps_batch *batch, const struct ps_record *record, uint64_t first, uint64_t limit)
{
	if (limit - first > 1 && ps_ring_peek(batch->ring, first + 1) != NULL)
		return false;
	return (record->asks & PS_ASKS_TO_BEGIN) == 0 || !ps_store_needs_lock(batch->store, record);
}

bool ps_batch_run_transactions(struct ps_batch *batch, uint64_t *next, uint64_t limit, uint64_t *entered)
{
	const struct ps_keys *keys = &batch->keys;
	uint64_t first = *next, end = first, reached = first;
	struct ps_record *record = ps_ring_at(batch->ring, first);
	enum ps_attempt result;
	struct filling filling;
	bool alone;

	batch->careful = false;
	if (!ps_room_hold(batch))
		return false;
	if ((record->asks & PS_ASKS_TOLD) != 0) {
		ps_batch_pass_told(batch, next, limit);
		return true;
	}
	ps_room_expect_checkpoint(batch);
	alone = ps_store_must_be_alone(batch->store, record);
	if (limit - first > (uint64_t)keys->batch_max)
		limit = first + (uint64_t)keys->batch_max;
	if (limit - first > batch->entries.capacity)
		limit = first + batch->entries.capacity;
	if (alone || is_lone(batch, record, first, limit)) {
		/* It may checkpoint. */
		if (alone && !ps_room_settle(batch))
			return false;
		if (alone)
			ps_counters_add(batch->counters, &batch->counters->writer.alone, 1);
		ps_entries_enter(&batch->entries, first, record);
		*entered = first + 1;
		return each_alone(batch, next, first + 1, false);
	}
	filling = (struct filling){
		.limit = limit,
		.room = (uint64_t)keys->batch_max,
		.deadline = ps_deadline(keys->batch_usec),
		.next_look = first + 1,
	};
	result = attempt(batch, first, &end, &filling, &reached);
	if (result == PS_ATTEMPT_CAREFULLY) {
		count_replay(batch, end - first);
		result = attempt(batch, first, &end, &filling, &reached);
	}
	switch (result) {
	case PS_ATTEMPT_TROUBLE:
		*entered = end;
		return settle(batch, next, end, reached);
	case PS_ATTEMPT_TOLD:
		ps_batch_pass_told(batch, next, limit);
		return true;
	case PS_ATTEMPT_NOT_TOGETHER:
	case PS_ATTEMPT_NO_LOCK:
		if (end == first && result == PS_ATTEMPT_NO_LOCK)
			end = enter_all(batch, first, limit);
		else if (end == first)
			ps_entries_enter(&batch->entries, end++, record);
		*entered = end;
		return each_alone(batch, next, end, result == PS_ATTEMPT_NO_LOCK);
	default:
		*entered = end;
		*next = reached;
		/* Who has been entered and has not run yet, since the transaction had to end, runs now. */
		return deliver(batch, first, reached) && batch->broken_code == 0 && settle(batch, next, end, end);
	}
}

bool ps_batch_run(struct ps_batch *batch, uint64_t *next, uint64_t limit, const struct ps_keys *keys)
{
	uint64_t entered = *next, i;

	batch->entries.base = *next;
	batch->keys = *keys;
	limit = ps_patience_begin(&batch->patience, *next, limit);
	if (batch->kind->run(batch, next, limit, &entered))
		return true;
	/* Broken with entries left: rolled back, and not to be run again. */
	for (i = *next; i < entered; i++)
		ps_entries_fail(&batch->entries, i, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
	if (entered > *next)
		deliver(batch, *next, entered);
	*next = entered;
	return false;
}

void ps_batch_wait_for_lock(struct ps_batch *batch, uint64_t *next, uint64_t limit)
{
	uint64_t first = *next, i;

	batch->entries.base = first;
	limit = ps_patience_begin(&batch->patience, first, limit);
	if (ps_patience_retry(&batch->patience)) {
		ps_patience_go_on(&batch->patience);
		return;
	}
	*next = enter_all(batch, first, limit);
	for (i = first; i < *next; i++) {
		if (!ps_entries_is_gone(&batch->entries, i))
			ps_attempt_fail_without_lock(batch, i);
	}
	/* Nothing was committed, and the file may not be touched: no sync. */
	ps_entries_deliver(&batch->entries, first, *next, PS_PASS_ALL);
	ps_ring_release(batch->ring, *next);
}

uint64_t ps_batch_shut_down(struct ps_batch *batch, uint64_t first, uint64_t limit, int code, const char *reason)
{
	uint64_t i;

	batch->entries.base = first;
	limit = enter_all(batch, first, limit);
	for (i = first; i < limit; i++)
		ps_entries_fail(&batch->entries, i, PENSTOCK_SHUTDOWN, code, reason);
	ps_entries_deliver(&batch->entries, first, limit, PS_PASS_ALL);
	ps_ring_release(batch->ring, limit);
	return limit;
}
