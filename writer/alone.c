/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/alone.h"

#include "core/clock.h"
#include "writer/room.h"

/* In autocommit, behind a run in a transaction of its own that does not count. */
static enum ps_verdict run_once_more(struct ps_batch *batch, uint64_t ticket)
{
	ps_store_rollback(batch->store);
	ps_store_defer_again(batch->store);
	return ps_attempt_run(batch, ticket, false);
}

/* One statement by itself in autocommit, or in a transaction of its own when its effect may have to be undone. */
static enum ps_verdict run_once(struct ps_batch *batch, uint64_t ticket)
{
	struct ps_record *record = ps_ring_at(batch->ring, ticket);
	enum ps_verdict verdict;
	const char *message;
	int code;

	if (record->listener_kind == PS_LISTENER_NONE || !ps_store_wants_transaction(batch->store, record))
		return ps_attempt_run(batch, ticket, false);
	verdict = ps_store_begin_own(batch->store);
	if (verdict == PS_BROKEN)
		ps_attempt_note_broken(batch, "beginning a transaction");
	if (verdict == PS_TAKE_OUT) {
		ps_store_defer_again(batch->store);
		return ps_attempt_run(batch, ticket, false);
	}
	if (verdict != PS_DONE)
		return verdict;
	verdict = ps_attempt_run(batch, ticket, false);
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

/* The statement alone has failed for want of room. PS_ATTEMPT_BEGUN: it may run again. */
static enum ps_attempt make_room_for(struct ps_batch *batch, uint64_t ticket, bool again)
{
	enum ps_attempt result = ps_room_make(batch);

	if (result != PS_ATTEMPT_BEGUN)
		return result;
	return again && ps_entries_result(&batch->entries, ticket)->status == PENSTOCK_ERROR ? PS_ATTEMPT_BEGUN
	                                                                                     : PS_ATTEMPT_COMMITTED;
}

static enum ps_attempt shut_down_alone(struct ps_batch *batch, uint64_t ticket)
{
	ps_entries_fail(&batch->entries, ticket, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
	return PS_ATTEMPT_BROKEN;
}

/* It came to nothing as it waited for the lock, and has its outcome; others wait on. */
static enum ps_attempt leave_told(struct ps_batch *batch, uint64_t ticket)
{
	ps_store_take_back(batch->store);
	ps_store_defer_again(batch->store);
	ps_attempt_wait_on(batch, ticket + 1);
	return PS_ATTEMPT_COMMITTED;
}

/* Gets the lock for one that runs alone. PS_ATTEMPT_COMMITTED or PS_ATTEMPT_BROKEN: it is not to be had, and the outcome is set. */
static enum ps_attempt get_lock(struct ps_batch *batch, uint64_t ticket, enum ps_verdict (*store_begin)(struct ps_store *))
{
	enum ps_attempt result = ps_attempt_begin(batch, store_begin, ps_ring_at(batch->ring, ticket));

	switch (result) {
	case PS_ATTEMPT_TOLD:
		return leave_told(batch, ticket);
	case PS_ATTEMPT_NO_LOCK:
		ps_attempt_fail_without_lock(batch, ticket);
		return PS_ATTEMPT_COMMITTED;
	case PS_ATTEMPT_BROKEN:
		return shut_down_alone(batch, ticket);
	default:
		return result;
	}
}

/* Begins one that may come to nothing before that, and runs alone. Otherwise its outcome is set. */
static enum ps_attempt begin_alone(struct ps_batch *batch, uint64_t ticket)
{
	const struct ps_record *record = ps_ring_at(batch->ring, ticket);
	enum ps_attempt result = PS_ATTEMPT_NOT_TOGETHER;
	bool begun;

	/* The lock is had for a moment: the statement itself would not tell when it has got it. */
	if (ps_store_needs_lock(batch->store, record))
		result = get_lock(batch, ticket, record->kind == PS_KIND_GROUP ? ps_store_begin_group : ps_store_begin_own);
	if (result == PS_ATTEMPT_COMMITTED || result == PS_ATTEMPT_BROKEN)
		return result;
	begun = ps_entries_begin(&batch->entries, ticket);
	if (result == PS_ATTEMPT_BEGUN)
		ps_store_rollback(batch->store);
	/* For this one, or, when it came to nothing, for the next. */
	ps_store_defer_again(batch->store);
	return begun ? PS_ATTEMPT_BEGUN : PS_ATTEMPT_COMMITTED;
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
static enum ps_attempt commit_call(struct ps_batch *batch, uint64_t ticket)
{
	enum ps_attempt result = ps_attempt_commit(batch, ticket, ticket + 1);

	switch (result) {
	case PS_ATTEMPT_COMMITTED:
	case PS_ATTEMPT_BROKEN:
		return result;
	default:
		/* The lock of an attached database, too, only fails it: it has begun. */
		batch->lacks_room = ps_store_lacked_room(batch->store);
		fail_call(batch, ticket);
		return PS_ATTEMPT_COMMITTED;
	}
}

/* A function of the program, in a transaction of its own; once, since it may do what no rollback undoes. */
static enum ps_attempt run_call(struct ps_batch *batch, uint64_t ticket, const struct ps_record *record)
{
	struct ps_outcome scratch, *outcome;
	enum ps_attempt result;
	bool begun;

	ps_store_expect_call(batch->store);
	result = get_lock(batch, ticket, ps_store_begin);
	if (result == PS_ATTEMPT_COMMITTED || result == PS_ATTEMPT_BROKEN)
		return result;
	if (result != PS_ATTEMPT_BEGUN) {
		fail_call(batch, ticket);
		return PS_ATTEMPT_COMMITTED;
	}
	begun = ps_entries_begin(&batch->entries, ticket);
	if (!begun)
		ps_store_rollback(batch->store);
	ps_store_defer_again(batch->store);
	if (!begun)
		return PS_ATTEMPT_COMMITTED;
	outcome = ps_entries_begin_run(&batch->entries, ticket, &scratch);
	if (outcome == NULL) {
		/* No memory to say what came of it: it is not called. */
		ps_store_rollback(batch->store);
		return PS_ATTEMPT_COMMITTED;
	}
	ps_store_call(batch->store, record->payload.call.function, record->payload.call.arg, outcome);
	ps_entries_end_run(&batch->entries, ticket, outcome);
	if (!ps_entries_failed(&batch->entries, ticket)) {
		result = commit_call(batch, ticket);
	} else {
		ps_store_rollback(batch->store);
		result = ps_attempt_look_for_file(batch, ticket, ticket + 1);
	}
	ps_store_leave_call(batch->store);
	return result;
}

/* A connect hook that comes late. */
static enum ps_attempt run_hook(struct ps_batch *batch, uint64_t ticket, const struct ps_record *record)
{
	struct ps_outcome scratch, *outcome = ps_entries_begin_run(&batch->entries, ticket, &scratch);
	enum ps_verdict verdict;

	if (outcome == NULL)
		return PS_ATTEMPT_COMMITTED;
	verdict = ps_store_add_hook(batch->store, record->payload.hook.hook, record->payload.hook.arg, outcome);
	ps_entries_end_run(&batch->entries, ticket, outcome);
	if (verdict == PS_DONE)
		return PS_ATTEMPT_COMMITTED;
	ps_attempt_note_broken_by(batch, ticket);
	return PS_ATTEMPT_BROKEN;
}

static enum ps_attempt run_statement(struct ps_batch *batch, uint64_t ticket, const struct ps_record *record, bool tried)
{
	bool again = record->kind != PS_KIND_ALONE && (record->asks & PS_ASKS_ALONE) == 0;
	uint64_t started = ps_clock_nsec();
	enum ps_attempt result;

	for (;; ps_store_defer_again(batch->store)) {
		batch->members = 0;
		switch (run_once(batch, ticket)) {
		case PS_BUSY:
			if (ps_patience_retry(&batch->patience)) {
				if ((record->asks & PS_ASKS_TOLD) != 0)
					return leave_told(batch, ticket);
				ps_store_take_back(batch->store);
				break;
			}
			ps_attempt_fail_without_lock(batch, ticket);
			return PS_ATTEMPT_COMMITTED;
		case PS_BROKEN:
			if (!ps_entries_failed(&batch->entries, ticket))
				return shut_down_alone(batch, ticket);
			ps_attempt_note_broken_by(batch, ticket);
			return PS_ATTEMPT_BROKEN;
		default:
			if (ps_patience_is_tried(&batch->patience) && ps_store_needs_lock(batch->store, record))
				ps_patience_renew(&batch->patience);
			if (!ps_entries_failed(&batch->entries, ticket)) {
				ps_attempt_count_commit(batch, 1, started);
				return ps_attempt_look_for_file(batch, ticket, ticket + 1);
			}
			/* An emptied database fails its statements before they commit. */
			if (tried || !ps_store_lacked_room(batch->store))
				return ps_attempt_look_for_file(batch, ticket, ticket + 1);
			tried = true;
			result = make_room_for(batch, ticket, again);
			if (result != PS_ATTEMPT_BEGUN)
				return result;
			ps_store_take_back(batch->store);
		}
	}
}

/* One that begins as it runs. */
struct late {
	struct ps_batch *batch;
	uint64_t ticket;
	penstock_status status; /* why it does not begin, or OK */
};

static bool begin_late(void *arg)
{
	struct late *late = arg;

	/* Of one that runs once it is only to be known whether it has. */
	if (ps_entries_may_begin(&late->batch->entries, late->ticket))
		late->status = ps_entries_begin_in_run(&late->batch->entries, late->ticket);
	return late->status == PENSTOCK_OK;
}

static enum ps_attempt run_late(struct ps_batch *batch, uint64_t ticket, const struct ps_record *record, bool tried)
{
	struct late late = { .batch = batch, .ticket = ticket, .status = PENSTOCK_OK };
	enum ps_attempt result;

	ps_entries_begin_late(&batch->entries, ticket);
	ps_store_ask_late(batch->store, begin_late, &late);
	result = run_statement(batch, ticket, record, tried);
	ps_store_ask_late(batch->store, NULL, NULL);
	/* What failed before it had its locks has an outcome, so it has begun, or comes to nothing. */
	if (ps_entries_may_begin(&batch->entries, ticket))
		begin_late(&late);
	if (late.status != PENSTOCK_OK) {
		ps_store_take_back(batch->store);
		ps_entries_end_in_nothing(&batch->entries, ticket, late.status);
		ps_store_defer_again(batch->store);
	}
	return result;
}

static enum ps_attempt run_at_turn(struct ps_batch *batch, uint64_t ticket)
{
	const struct ps_record *record = ps_ring_at(batch->ring, ticket);
	bool late = false, tried = batch->lacks_room;
	enum ps_attempt result;

	batch->fused = 0;
	ps_store_enter_alone(batch->store, record);
	/* What only reads needs no turn, and may take its time. */
	if (!ps_store_needs_lock(batch->store, record)) {
		ps_store_end_turn(batch->store);
	} else if (!ps_attempt_take_turn(batch, record)) {
		ps_store_defer_again(batch->store);
		ps_attempt_wait_on(batch, ticket + 1);
		return PS_ATTEMPT_COMMITTED;
	}
	if (record->kind != PS_KIND_CALL && ps_entries_may_begin(&batch->entries, ticket)) {
		late = ps_store_locks_late(batch->store, record);
		result = late ? PS_ATTEMPT_BEGUN : begin_alone(batch, ticket);
		if (result != PS_ATTEMPT_BEGUN)
			return result;
	}
	if (tried && ps_room_make(batch) == PS_ATTEMPT_BROKEN)
		return shut_down_alone(batch, ticket);
	if (record->kind == PS_KIND_CALL)
		return run_call(batch, ticket, record);
	if (record->kind == PS_KIND_HOOK)
		return run_hook(batch, ticket, record);
	return late || record->kind == PS_KIND_ALONE ? run_late(batch, ticket, record, tried)
	                                             : run_statement(batch, ticket, record, tried);
}

enum ps_attempt ps_alone_run(struct ps_batch *batch, uint64_t ticket)
{
	enum ps_attempt result = run_at_turn(batch, ticket);

	ps_attempt_end_turn(batch, ticket, ticket + 1);
	return result;
}
