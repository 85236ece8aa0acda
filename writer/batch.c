/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/probe.h"

/* How far ahead a record is fetched while the one before runs. */
#define PREFETCH_AHEAD 4

/* The clock is looked at after 1, 2, 4, 8 ... statements, and then every so many: a look is 30 ns. */
#define CLOCK_STRIDE_MAX 32

/* How long a full disk is left alone, on which a checkpoint has met no room. */
#define FUTILE_USEC 100000

/* A checkpoint is due at this part of wal_bytes_max, so that one that a reader holds up is not yet over the bound. */
#define CHECKPOINT_PART 4

bool ps_batch_init(struct ps_batch *batch, struct ps_ring *ring, struct ps_counters *counters, const struct ps_options *options,
                   struct ps_state_word *state)
{
	memset(batch, 0, sizeof *batch);
	batch->ring = ring;
	batch->counters = counters;
	batch->options = options;
	batch->patience = (struct ps_patience){
		.reaper = &batch->reaper,
		.ring = ring,
		.counters = counters,
		.options = options,
		.state = state,
	};
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
	batch->blocked_at = 0;
	batch->stall = (struct ps_stall){ 0 };
	batch->lacks_room = false;
	batch->futile_until = 0;
	batch->broken_code = 0;
}

/* ---- running ---- */

static enum ps_verdict run_group(struct ps_batch *batch, const struct ps_record *record, bool batched,
                                 struct ps_outcome *outcome)
{
	bool wanted = record->listener_kind != PS_LISTENER_NONE;
	uint64_t bytes_max = (uint64_t)batch->keys.result_bytes_max;

	batch->members += record->value_count - 1;
	if (!batched)
		return ps_store_run_group(batch->store, record, wanted, bytes_max, outcome);
	return ps_store_run_group_batched(batch->store, record, batch->careful, wanted, bytes_max, outcome);
}

/* Runs one entry; its outcome is as if for the first time. */
static enum ps_verdict run_entry(struct ps_batch *batch, uint64_t ticket, bool batched)
{
	struct ps_record *record = ps_ring_at(batch->ring, ticket);
	struct ps_outcome scratch, *outcome = ps_entries_begin_run(&batch->entries, ticket, &scratch);
	enum ps_verdict verdict;

	if (outcome == NULL || ps_fault(PS_FAULT_DROP_SLOT))
		return PS_DONE;
	if (record->kind == PS_KIND_GROUP)
		verdict = run_group(batch, record, batched, outcome);
	else
		verdict = ps_store_run(batch->store, record, batched, record->listener_kind != PS_LISTENER_NONE,
		                       (uint64_t)batch->keys.result_bytes_max, outcome);
	ps_entries_end_run(&batch->entries, ticket, outcome);
	return verdict;
}

static void note_broken(struct ps_batch *batch, const char *doing)
{
	const char *message;

	batch->broken_code = ps_store_error(batch->store, &message);
	snprintf(batch->broken_message, sizeof batch->broken_message, "%s: %s", doing, message);
}

static void note_broken_by(struct ps_batch *batch, uint64_t ticket)
{
	/* Others hear of it, and the log: the statement's own message may come from a function of the program and tell a value. */
	batch->broken_code = ps_entries_result(&batch->entries, ticket)->extended_code;
	snprintf(batch->broken_message, sizeof batch->broken_message, "running a statement: %s",
	         sqlite3_errstr(batch->broken_code));
}

/* What came of beginning, filling and committing a transaction. */
enum attempt {
	BEGUN,        /* or: goes on */
	FULL,         /* what has run is to be committed now */
	COMMITTED,    /* or else the outcomes are set, and it goes on */
	TROUBLE,      /* rolled back because of one entry */
	CAREFULLY,    /* the same, of a group; run all of them again, with savepoints */
	NOT_TOGETHER, /* rolled back; run each alone */
	NO_LOCK,      /* nothing ran: the lock was not to be had */
	TOLD,         /* nothing ran: the first has its outcome, as it waited for the lock too long */
	BROKEN,       /* an I/O error; outcomes are set */
};

/* `first` may come to nothing while the lock is waited for; NULL: it has begun before. */
static enum attempt begin(struct ps_batch *batch, enum ps_verdict (*store_begin)(struct ps_store *),
                          const struct ps_record *first)
{
	batch->fused = batch->members = 0;
	for (;;) {
		switch (store_begin(batch->store)) {
		case PS_DONE:
			ps_patience_renew(&batch->patience);
			return BEGUN;
		case PS_BUSY:
			if (!ps_patience_retry(&batch->patience))
				return NO_LOCK;
			if (first != NULL && (first->asks & PS_ASKS_TOLD) != 0)
				return TOLD;
			break;
		case PS_BROKEN:
			note_broken(batch, "beginning a transaction");
			return BROKEN;
		default:
			return NOT_TOGETHER;
		}
	}
}

/* Not published yet. */
static void count_wal(struct ps_batch *batch)
{
	penstock_counters *counters = &batch->counters->writer;
	uint64_t bytes = ps_store_wal_bytes(batch->store);

	ps_count_set(batch->counters, &counters->wal_bytes, bytes);
	ps_count_max(batch->counters, &counters->wal_bytes_peak, bytes);
	ps_count(batch->counters, &counters->schema_reprepares, ps_store_take_reprepares(batch->store));
}

static void count_commit(struct ps_batch *batch, uint64_t statements, uint64_t started)
{
	uint64_t took = ps_clock_nsec() - started;

	PS_PROBE(commit, batch->ring->owner, statements, took);
	batch->lacks_room = false;
	ps_count(batch->counters, &batch->counters->writer.batches, 1);
	ps_count(batch->counters, &batch->counters->writer.fused, batch->fused);
	ps_count_in(batch->counters, &batch->counters->writer.batch_size, statements + batch->members);
	ps_count_in(batch->counters, &batch->counters->writer.commit_nsec, took);
	count_wal(batch);
	ps_counters_publish(batch->counters);
}

static void make_unknown(struct ps_batch *batch, uint64_t first, uint64_t end, int code, const char *message)
{
	uint64_t i;

	for (i = first; i < end; i++) {
		if (!ps_entries_failed(&batch->entries, i))
			ps_entries_fail(&batch->entries, i, PENSTOCK_UNKNOWN, code, message);
	}
}

/* Whatever may be committed and may not, and what was committed before it may be concerned. */
static enum attempt leave_unknown(struct ps_batch *batch, uint64_t first, uint64_t end, const char *doing)
{
	note_broken(batch, doing);
	make_unknown(batch, first, end, batch->broken_code, batch->broken_message);
	return BROKEN;
}

/* The same, where nothing else is concerned. */
static enum attempt leave_unsure(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	const char *message;
	int code = ps_store_error(batch->store, &message);

	batch->lacks_room = ps_store_lacked_room(batch->store);
	make_unknown(batch, first, end, code, message);
	return COMMITTED;
}

/* An OK is of a file that was there after the commit. */
static enum attempt look_for_file(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	if (ps_store_look_for_file(batch->store) == PS_DONE)
		return COMMITTED;
	return leave_unknown(batch, first, end, "looking for the database");
}

static enum attempt commit(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	uint64_t started = ps_clock_nsec();

	for (;;) {
		switch (ps_store_commit(batch->store)) {
		case PS_DONE:
			count_commit(batch, end - first, started);
			return look_for_file(batch, first, end);
		case PS_BUSY:
			if (ps_patience_retry(&batch->patience))
				break;
			ps_store_rollback(batch->store);
			return NO_LOCK;
		case PS_UNSURE:
			return leave_unsure(batch, first, end);
		case PS_BROKEN:
			return leave_unknown(batch, first, end, "committing");
		default:
			return NOT_TOGETHER;
		}
	}
}

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

/*
 * Runs the submission at *next as one with those behind it that are there and may. PS_ELSEWHERE: *next, which is behind those
 * that did, and whoever has been entered (see *end) are to run by themselves.
 */
static enum ps_verdict run_fused(struct ps_batch *batch, struct filling *filling, uint64_t *next,
                                 const struct ps_record *record, uint64_t *end)
{
	const struct ps_record *records[PS_FUSE_ROWS_MAX];
	unsigned most = ps_store_fuse_most(batch->store, record), count = 1, done, i;
	uint64_t first = *next;
	enum ps_verdict verdict;

	if (most == 0 || falls_out(record))
		return PS_ELSEWHERE;
	if (most > filling->limit - first)
		most = (unsigned)(filling->limit - first);
	if (most > filling->room)
		most = (unsigned)filling->room;
	for (records[0] = record; count < most; count++) {
		ps_ring_prefetch(batch->ring, first + count + PREFETCH_AHEAD);
		records[count] = ps_ring_peek(batch->ring, first + count);
		if (records[count] == NULL || !ps_store_fuses(record, records[count]) || falls_out(records[count]))
			break;
	}
	count = ps_store_fuse_width(batch->store, record, count);
	if (count == 0)
		return PS_ELSEWHERE;
	for (i = 0; i < count; i++) {
		enter(batch, filling, first + i, records[i], end);
		if (records[i]->asks != 0)
			ps_entries_begin_unasked(&batch->entries, first + i);
	}
	verdict = ps_store_run_fused(batch->store, records, count, &done);
	if (verdict == PS_DONE || verdict == PS_DONE_LAST)
		done = count;
	batch->fused += done;
	*next += done;
	return verdict;
}

/* After an I/O error: what ran before is rolled back, and will not run again. */
static enum attempt abandon(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	ps_store_rollback(batch->store);
	for (; end > first; end--)
		ps_entries_fail(&batch->entries, end - 1, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
	return BROKEN;
}

/* Runs the entry at `ticket`, of a transaction that began at `first`. TROUBLE: it was this one. */
static enum attempt run_one(struct ps_batch *batch, uint64_t first, uint64_t ticket)
{
	switch (run_entry(batch, ticket, true)) {
	case PS_DONE:
		return BEGUN;
	case PS_DONE_LAST:
		return FULL;
	case PS_BROKEN:
		note_broken_by(batch, ticket);
		return abandon(batch, first, ticket);
	case PS_CAREFULLY:
		ps_store_rollback(batch->store);
		batch->careful = true;
		return CAREFULLY;
	default:
		ps_store_rollback(batch->store);
		return TROUBLE;
	}
}

/*
 * Runs the entries from *next to `end`, as many as it can. *next is then the one behind the last that ran; on TROUBLE the
 * failing one.
 */
static enum attempt run_entries(struct ps_batch *batch, uint64_t first, uint64_t *next, uint64_t end)
{
	enum attempt result = BEGUN;

	while (*next < end) {
		result = run_one(batch, first, *next);
		if (result == TROUBLE || result == CAREFULLY)
			break;
		*next += 1;
		if (result != BEGUN)
			break;
	}
	return result;
}

/*
 * Enters and runs what is there, from `first` until the batch is filled. *entered is behind the last one entered, and *next behind
 * the last that ran; on TROUBLE that is the failing one, or *entered when it was one of several that ran as one: which shows when
 * they run again.
 */
static enum attempt fill(struct ps_batch *batch, struct filling *filling, uint64_t first, uint64_t *next, uint64_t *entered)
{
	/* Those of an attempt before this one. */
	enum attempt result = run_entries(batch, first, next, *entered);

	while (result == BEGUN && !is_filled(batch, filling, first, *next)) {
		struct ps_record *record = ps_ring_peek(batch->ring, *next);

		if (record == NULL || (*next > first && (ps_record_statements(record) > filling->room ||
		                                         ps_store_must_be_alone(batch->store, record))))
			break;
		switch (run_fused(batch, filling, next, record, entered)) {
		case PS_DONE:
			continue;
		case PS_DONE_LAST:
			return FULL;
		case PS_TAKE_OUT:
			ps_store_rollback(batch->store);
			*next = *entered;
			return TROUBLE;
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
 * TROUBLE it is the failing one. With `filling` the end is open: entries are found as it goes, and *end says how far it came.
 */
static enum attempt attempt(struct ps_batch *batch, uint64_t first, uint64_t *end, struct filling *filling, uint64_t *next)
{
	enum attempt result = begin(batch, ps_store_begin, filling != NULL ? ps_ring_at(batch->ring, first) : NULL);

	*next = first;
	/* Nothing has run, so no entry has an outcome; without the lock the caller gives them one. */
	if (result != BEGUN)
		return result;
	result = filling != NULL ? fill(batch, filling, first, next, end) : run_entries(batch, first, next, *end);
	if (result != BEGUN && result != FULL)
		return result;
	if (ps_fault(PS_FAULT_EARLY_OUTCOME))
		ps_entries_deliver_early(&batch->entries, first, *next);
	return commit(batch, first, *next);
}

/* In autocommit, behind a run in a transaction of its own that does not count. */
static enum ps_verdict run_once_more(struct ps_batch *batch, uint64_t ticket)
{
	ps_store_rollback(batch->store);
	ps_store_defer_again(batch->store);
	return run_entry(batch, ticket, false);
}

/* One statement by itself in autocommit, or in a transaction of its own when its effect may have to be undone. */
static enum ps_verdict run_once(struct ps_batch *batch, uint64_t ticket)
{
	struct ps_record *record = ps_ring_at(batch->ring, ticket);
	enum ps_verdict verdict;
	const char *message;
	int code;

	if (record->listener_kind == PS_LISTENER_NONE || !ps_store_wants_transaction(batch->store, record))
		return run_entry(batch, ticket, false);
	verdict = ps_store_begin_own(batch->store);
	if (verdict == PS_BROKEN)
		note_broken(batch, "beginning a transaction");
	if (verdict == PS_TAKE_OUT) {
		ps_store_defer_again(batch->store);
		return run_entry(batch, ticket, false);
	}
	if (verdict != PS_DONE)
		return verdict;
	verdict = run_entry(batch, ticket, false);
	if (verdict == PS_HALF_DONE) {
		ps_store_rollback(batch->store);
		ps_store_note_failure(batch->store, false);
		return PS_DONE;
	}
	if (verdict == PS_TAKE_OUT)
		return run_once_more(batch, ticket);
	if (verdict == PS_TOO_LONG || verdict == PS_BROKEN || verdict == PS_BUSY) {
		ps_store_rollback(batch->store);
		return verdict == PS_TOO_LONG ? PS_DONE : verdict;
	}
	/* OR ROLLBACK has ended it. */
	if (!ps_store_in_transaction(batch->store))
		return PS_DONE;
	/* Its rows are not too many, so it can fail as it should, in its own commit. */
	if (ps_store_commit_would_fail(batch->store))
		return run_once_more(batch, ticket);
	verdict = ps_store_commit(batch->store);
	if (verdict == PS_DONE)
		return PS_DONE;
	if (verdict == PS_BUSY) {
		ps_store_rollback(batch->store);
		return PS_BUSY;
	}
	ps_store_note_failure(batch->store, true);
	code = ps_store_error(batch->store, &message);
	ps_entries_fail(&batch->entries, ticket, verdict == PS_TAKE_OUT ? PENSTOCK_ERROR : PENSTOCK_UNKNOWN, code, message);
	return verdict == PS_BROKEN ? PS_BROKEN : PS_DONE;
}

/* Without the lock, in autocommit. */
static void fail_without_lock(struct ps_batch *batch, uint64_t ticket)
{
	if (ps_patience_gives_up(&batch->patience))
		ps_entries_fail(&batch->entries, ticket, PENSTOCK_SHUTDOWN, SQLITE_OK, PS_GIVEN_UP);
	else if (!ps_entries_failed(&batch->entries, ticket))
		ps_entries_fail(&batch->entries, ticket, PENSTOCK_ERROR, SQLITE_BUSY, "database is locked");
}

/* wait_ms: as for ps_store_checkpoint. */
static bool checkpoint(struct ps_batch *batch, int64_t wait_ms, bool *blocked)
{
	uint64_t started = ps_clock_nsec(), now;
	enum ps_verdict verdict = ps_store_checkpoint(batch->store, wait_ms, blocked);

	now = ps_clock_nsec();
	if (wait_ms > 0)
		ps_stall_end(&batch->stall, started, now, *blocked);
	ps_count(batch->counters, &batch->counters->writer.checkpoints, 1);
	ps_count(batch->counters, &batch->counters->writer.checkpoint_nsec, now - started);
	ps_count(batch->counters, &batch->counters->writer.checkpoints_blocked, *blocked ? 1 : 0);
	count_wal(batch);
	ps_counters_publish(batch->counters);
	PS_PROBE(checkpoint, batch->ring->owner, now - started, batch->counters->writer.wal_bytes, *blocked);
	if (verdict == PS_DONE)
		return true;
	note_broken(batch, "checkpointing");
	return false;
}

/* There is none for a write. BEGUN: now there may be some. */
static enum attempt make_room(struct ps_batch *batch)
{
	bool blocked;

	batch->lacks_room = true;
	if (!ps_deadline_passed(batch->futile_until))
		return COMMITTED;
	if (!checkpoint(batch, -1, &blocked))
		return BROKEN;
	if (ps_store_made_room(batch->store))
		return BEGUN;
	/* The database has no room either: what it took to find that out is not to be had for every statement. */
	if (!blocked)
		batch->futile_until = ps_deadline(FUTILE_USEC);
	return COMMITTED;
}

/* The statement alone has failed for want of room. BEGUN: it may run again. */
static enum attempt make_room_for(struct ps_batch *batch, uint64_t ticket, bool again)
{
	enum attempt result = make_room(batch);

	if (result != BEGUN)
		return result;
	return again && ps_entries_result(&batch->entries, ticket)->status == PENSTOCK_ERROR ? BEGUN : COMMITTED;
}

static enum attempt shut_down_alone(struct ps_batch *batch, uint64_t ticket)
{
	ps_entries_fail(&batch->entries, ticket, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
	return BROKEN;
}

/* Behind one that was told while it waited: the wait is that of the next one, if there is one. */
static void wait_on(struct ps_batch *batch, uint64_t next)
{
	if (ps_ring_peek(batch->ring, next) != NULL)
		ps_patience_go_on(&batch->patience);
}

/* Begins one that may come to nothing before that, and runs alone. Otherwise its outcome is set. */
static enum attempt begin_alone(struct ps_batch *batch, uint64_t ticket)
{
	const struct ps_record *record = ps_ring_at(batch->ring, ticket);
	enum attempt result = NOT_TOGETHER;
	bool begun;

	/* The lock is had for a moment: the statement itself would not tell when it has got it. */
	if (ps_store_needs_lock(batch->store, record))
		result = begin(batch, ps_store_begin_own, record);
	if (result == TOLD) {
		wait_on(batch, ticket + 1);
		return COMMITTED;
	}
	if (result == BROKEN)
		return shut_down_alone(batch, ticket);
	if (result == NO_LOCK) {
		fail_without_lock(batch, ticket);
		return COMMITTED;
	}
	begun = ps_entries_begin(&batch->entries, ticket);
	if (result == BEGUN)
		ps_store_rollback(batch->store);
	return begun ? BEGUN : COMMITTED;
}

/* It is not committed, or has not even begun. */
static void fail_call(struct ps_batch *batch, uint64_t ticket)
{
	struct ps_outcome scratch;
	const char *message;
	int code = ps_store_error(batch->store, &message);

	/* Without what it told of the run. */
	ps_entries_begin_run(&batch->entries, ticket, &scratch);
	ps_entries_fail(&batch->entries, ticket, PENSTOCK_ERROR, code, message);
}

/* The function has run, and will not once more, whatever comes of the commit. */
static enum attempt commit_call(struct ps_batch *batch, uint64_t ticket)
{
	enum attempt result = commit(batch, ticket, ticket + 1);

	switch (result) {
	case COMMITTED:
	case BROKEN:
		return result;
	default:
		/* The lock of an attached database, too, only fails it: it has begun. */
		batch->lacks_room = ps_store_lacked_room(batch->store);
		fail_call(batch, ticket);
		return COMMITTED;
	}
}

/* A function of the program, in a transaction of its own; once, since it may do what no rollback undoes. */
static enum attempt run_call(struct ps_batch *batch, uint64_t ticket, const struct ps_record *record)
{
	struct ps_outcome scratch, *outcome;
	enum attempt result;

	ps_store_expect_call(batch->store);
	result = begin(batch, ps_store_begin, record);
	switch (result) {
	case BEGUN:
		if (ps_entries_begin(&batch->entries, ticket)) {
			ps_store_defer_again(batch->store);
			break;
		}
		ps_store_rollback(batch->store);
		return COMMITTED;
	case TOLD:
		wait_on(batch, ticket + 1);
		return COMMITTED;
	case NO_LOCK:
		fail_without_lock(batch, ticket);
		return COMMITTED;
	case BROKEN:
		return shut_down_alone(batch, ticket);
	default:
		fail_call(batch, ticket);
		return COMMITTED;
	}
	outcome = ps_entries_begin_run(&batch->entries, ticket, &scratch);
	if (outcome == NULL) {
		/* No memory to say what came of it: it is not called. */
		ps_store_rollback(batch->store);
		return COMMITTED;
	}
	ps_store_call(batch->store, record->payload.call.function, record->payload.call.arg, outcome);
	ps_entries_end_run(&batch->entries, ticket, outcome);
	if (!ps_entries_failed(&batch->entries, ticket)) {
		result = commit_call(batch, ticket);
	} else {
		ps_store_rollback(batch->store);
		result = look_for_file(batch, ticket, ticket + 1);
	}
	ps_store_leave_call(batch->store);
	return result;
}

/* A connect hook that comes late. */
static enum attempt run_hook(struct ps_batch *batch, uint64_t ticket, const struct ps_record *record)
{
	struct ps_outcome scratch, *outcome = ps_entries_begin_run(&batch->entries, ticket, &scratch);
	enum ps_verdict verdict;

	if (outcome == NULL)
		return COMMITTED;
	verdict = ps_store_add_hook(batch->store, record->payload.hook.hook, record->payload.hook.arg, outcome);
	ps_entries_end_run(&batch->entries, ticket, outcome);
	if (verdict == PS_DONE)
		return COMMITTED;
	note_broken_by(batch, ticket);
	return BROKEN;
}

static enum attempt run_alone(struct ps_batch *batch, uint64_t ticket)
{
	const struct ps_record *record = ps_ring_at(batch->ring, ticket);
	uint64_t started = ps_clock_nsec();
	bool again = record->kind != PS_KIND_ALONE && (record->asks & PS_ASKS_ALONE) == 0, tried = batch->lacks_room;
	enum attempt result;

	batch->fused = 0;
	ps_store_enter_alone(batch->store);
	if (record->kind != PS_KIND_CALL && ps_entries_may_begin(&batch->entries, ticket)) {
		result = begin_alone(batch, ticket);
		if (result != BEGUN)
			return result;
		ps_store_defer_again(batch->store);
	}
	if (tried && make_room(batch) == BROKEN)
		return shut_down_alone(batch, ticket);
	if (record->kind == PS_KIND_CALL)
		return run_call(batch, ticket, record);
	if (record->kind == PS_KIND_HOOK)
		return run_hook(batch, ticket, record);
	for (;; ps_store_defer_again(batch->store)) {
		batch->members = 0;
		switch (run_once(batch, ticket)) {
		case PS_BUSY:
			if (ps_patience_retry(&batch->patience))
				break;
			fail_without_lock(batch, ticket);
			return COMMITTED;
		case PS_BROKEN:
			if (!ps_entries_failed(&batch->entries, ticket))
				return shut_down_alone(batch, ticket);
			note_broken_by(batch, ticket);
			return BROKEN;
		default:
			if (ps_patience_is_tried(&batch->patience) && ps_store_needs_lock(batch->store, record))
				ps_patience_renew(&batch->patience);
			if (!ps_entries_failed(&batch->entries, ticket)) {
				count_commit(batch, 1, started);
				return look_for_file(batch, ticket, ticket + 1);
			}
			/* An emptied database fails its statements before they commit. */
			if (tried || !ps_store_lacked_room(batch->store))
				return look_for_file(batch, ticket, ticket + 1);
			tried = true;
			result = make_room_for(batch, ticket, again);
			if (result != BEGUN)
				return result;
			ps_store_take_back(batch->store);
		}
	}
}

/* ---- delivery ---- */

/* Syncs for those that asked for durable. What fails here may or may not survive. */
static bool sync_durable(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	uint64_t i;

	ps_counters_add(batch->counters, &batch->counters->writer.wal_syncs, 1);
	if (ps_store_sync(batch->store) == PS_DONE)
		return true;
	note_broken(batch, "syncing the write-ahead log");
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
		enum attempt result = COMMITTED;

		*next += 1;
		if (ps_entries_is_gone(&batch->entries, ticket))
			; /* it has its outcome */
		else if (ps_patience_gives_up(&batch->patience) ||
		         (no_lock && ps_store_needs_lock(batch->store, ps_ring_at(batch->ring, ticket))))
			fail_without_lock(batch, ticket);
		else
			result = run_alone(batch, ticket);
		if (!deliver(batch, ticket, *next) || result == BROKEN)
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
		enum attempt result;

		if (*next == failing) {
			if (!each_alone(batch, next, *next + 1, false))
				return false;
			failing = end;
			continue;
		}
		PS_PROBE(replay, batch->ring->owner, first, stop - first);
		count_replay(batch, stop - first);
		if (ps_fault(PS_FAULT_SKIP_REPLAY)) {
			result = COMMITTED;
			reached = stop;
		} else {
			result = attempt(batch, first, &stop, NULL, &reached);
		}
		if (result == TROUBLE || result == CAREFULLY) {
			failing = result == TROUBLE ? reached : end;
			continue;
		}
		if (result == NOT_TOGETHER || result == NO_LOCK) {
			if (!each_alone(batch, next, stop, result == NO_LOCK))
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

/* Passes over those at *next that have been told before their turn, and gives their slots back. */
static void pass_told(struct ps_batch *batch, uint64_t *next, uint64_t limit)
{
	const struct ps_record *record;

	while (*next < limit && (record = ps_ring_peek(batch->ring, *next)) != NULL && (record->asks & PS_ASKS_TOLD) != 0)
		*next += 1;
	ps_ring_release(batch->ring, *next);
	wait_on(batch, *next);
}

/* Whether it runs by itself, in autocommit, where one that may come to nothing would not tell when it has got the lock. */
static bool is_lone(struct ps_batch *batch, const struct ps_record *record, uint64_t first, uint64_t limit)
{
	if (limit - first > 1 && ps_ring_peek(batch->ring, first + 1) != NULL)
		return false;
	return (record->asks & PS_ASKS_TO_BEGIN) == 0 || !ps_store_needs_lock(batch->store, record);
}

/* Enters [first, *entered) and delivers [first, *next) of them. */
static bool run_and_deliver(struct ps_batch *batch, uint64_t *next, uint64_t limit, uint64_t *entered)
{
	const struct ps_keys *keys = &batch->keys;
	uint64_t first = *next, end = first, reached = first;
	struct ps_record *record = ps_ring_at(batch->ring, first);
	enum attempt result;
	struct filling filling;
	bool alone;

	batch->careful = false;
	if ((record->asks & PS_ASKS_TOLD) != 0) {
		pass_told(batch, next, limit);
		return true;
	}
	alone = ps_store_must_be_alone(batch->store, record);
	if (limit - first > (uint64_t)keys->batch_max)
		limit = first + (uint64_t)keys->batch_max;
	if (limit - first > batch->entries.capacity)
		limit = first + batch->entries.capacity;
	if (alone || is_lone(batch, record, first, limit)) {
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
	if (result == CAREFULLY) {
		count_replay(batch, end - first);
		result = attempt(batch, first, &end, &filling, &reached);
	}
	switch (result) {
	case TROUBLE:
		*entered = end;
		return settle(batch, next, end, reached);
	case TOLD:
		pass_told(batch, next, limit);
		return true;
	case NOT_TOGETHER:
	case NO_LOCK:
		if (end == first && result == NO_LOCK)
			end = enter_all(batch, first, limit);
		else if (end == first)
			ps_entries_enter(&batch->entries, end++, record);
		*entered = end;
		return each_alone(batch, next, end, result == NO_LOCK);
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
	if (run_and_deliver(batch, next, limit, &entered))
		return true;
	/* Broken with entries left: rolled back, and not to be run again. */
	for (i = *next; i < entered; i++)
		ps_entries_fail(&batch->entries, i, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
	if (entered > *next)
		deliver(batch, *next, entered);
	*next = entered;
	return false;
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

/* ---- checkpoints ---- */

/* Held up by a reader: not again for every batch, but when it has grown by a part of what it is, or a wait is due. */
static bool checkpoint_is_due(const struct ps_batch *batch, uint64_t bytes)
{
	uint64_t most = (uint64_t)batch->keys.wal_bytes_max;
	uint64_t step = (batch->blocked_at > most ? batch->blocked_at : most) / CHECKPOINT_PART;

	return bytes >= batch->blocked_at + step ||
	       (bytes >= most && batch->keys.checkpoint_wait_ms > 0 && ps_stall_is_due(&batch->stall, ps_clock_nsec()));
}

bool ps_batch_checkpoint(struct ps_batch *batch)
{
	uint64_t bytes = ps_store_wal_bytes(batch->store);
	bool blocked = false;
	int64_t wait_ms;

	if (!checkpoint_is_due(batch, bytes)) {
		ps_store_write_out(batch->store);
		return true;
	}
	if (!checkpoint(batch, -1, &blocked))
		return false;
	if (bytes >= (uint64_t)batch->keys.wal_bytes_max) {
		wait_ms = ps_stall_begin(&batch->stall, ps_clock_nsec(), batch->keys.checkpoint_wait_ms);
		if (!checkpoint(batch, wait_ms, &blocked))
			return false;
		if (blocked && wait_ms > 0)
			ps_log(batch->options, PENSTOCK_EVENT_WAL_HELD,
			       "the write-ahead log is %llu bytes long: a reader keeps it from beginning anew",
			       (unsigned long long)bytes);
	}
	batch->blocked_at = blocked ? bytes : 0;
	return true;
}
