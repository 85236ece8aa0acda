/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/attempt.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/fault.h"
#include "core/probe.h"

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

enum ps_verdict ps_attempt_run(struct ps_batch *batch, uint64_t ticket, bool batched)
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

void ps_attempt_note_broken(struct ps_batch *batch, const char *doing)
{
	const char *message;

	batch->broken_code = ps_store_error(batch->store, &message);
	snprintf(batch->broken_message, sizeof batch->broken_message, "%s: %s", doing, message);
}

void ps_attempt_note_broken_by(struct ps_batch *batch, uint64_t ticket)
{
	/* Others hear of it, and the log: the statement's own message may come from a function of the program and tell a value. */
	batch->broken_code = ps_entries_result(&batch->entries, ticket)->extended_code;
	snprintf(batch->broken_message, sizeof batch->broken_message, "running a statement: %s",
	         sqlite3_errstr(batch->broken_code));
}

bool ps_attempt_take_turn(struct ps_batch *batch, const struct ps_record *first)
{
	while (!ps_store_take_turn(batch->store) && ps_reaper_is_due(&batch->reaper)) {
		ps_reaper_reap(&batch->reaper);
		if (first != NULL && (first->asks & PS_ASKS_TOLD) != 0)
			return false;
	}
	return true;
}

void ps_attempt_end_turn(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	/* A sync takes longer than it takes another process to begin, and that one can have the processor meanwhile. */
	if (ps_store_commit_is_durable(batch->store) || ps_store_is_turn_over(batch->store) ||
	    !ps_entries_only_wake(&batch->entries, first, end))
		ps_store_end_turn(batch->store);
}

enum ps_attempt ps_attempt_begin(struct ps_batch *batch, enum ps_verdict (*store_begin)(struct ps_store *),
                                 const struct ps_record *first)
{
	batch->fused = batch->members = 0;
	if (!ps_attempt_take_turn(batch, first))
		return PS_ATTEMPT_TOLD;
	for (;;) {
		switch (store_begin(batch->store)) {
		case PS_DONE:
			ps_patience_renew(&batch->patience);
			return PS_ATTEMPT_BEGUN;
		case PS_BUSY:
			if (!ps_patience_retry(&batch->patience))
				return PS_ATTEMPT_NO_LOCK;
			if (first != NULL && (first->asks & PS_ASKS_TOLD) != 0)
				return PS_ATTEMPT_TOLD;
			break;
		case PS_BROKEN:
			ps_attempt_note_broken(batch, "beginning a transaction");
			return PS_ATTEMPT_BROKEN;
		default:
			return PS_ATTEMPT_NOT_TOGETHER;
		}
	}
}

/* Not published yet. */
void ps_attempt_count_wal(struct ps_batch *batch)
{
	penstock_counters *counters = &batch->counters->writer;
	uint64_t bytes = ps_store_wal_bytes(batch->store);

	ps_count_set(batch->counters, &counters->wal_bytes, bytes);
	ps_count_max(batch->counters, &counters->wal_bytes_peak, bytes);
	ps_count(batch->counters, &counters->schema_reprepares, ps_store_take_reprepares(batch->store));
}

static void count_turns(struct ps_batch *batch)
{
	penstock_counters *counters = &batch->counters->writer;
	struct ps_turn_counts counts = ps_store_take_turn_counts(batch->store);

	ps_count(batch->counters, &counters->turns, counts.taken);
	ps_count(batch->counters, &counters->turns_missed, counts.missed);
	/* As a rule nobody waits. */
	if (counts.waited == 0)
		return;
	ps_count(batch->counters, &counters->turns_waited, counts.waited);
	ps_count(batch->counters, &counters->turns_wait_nsec, counts.wait_nsec);
	ps_count(batch->counters, &counters->turns_skipped, counts.skipped);
	ps_count(batch->counters, &counters->turns_succeeded, counts.succeeded);
}

void ps_attempt_count_commit(struct ps_batch *batch, uint64_t statements, uint64_t started)
{
	uint64_t took = ps_clock_nsec() - started;

	PS_PROBE(commit, batch->ring->owner, statements, took);
	batch->lacks_room = false;
	ps_count(batch->counters, &batch->counters->writer.batches, 1);
	ps_count(batch->counters, &batch->counters->writer.fused, batch->fused);
	ps_count_in(batch->counters, &batch->counters->writer.batch_size, statements + batch->members);
	ps_count_in(batch->counters, &batch->counters->writer.commit_nsec, took);
	count_turns(batch);
	ps_attempt_count_wal(batch);
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
static enum ps_attempt leave_unknown(struct ps_batch *batch, uint64_t first, uint64_t end, const char *doing)
{
	ps_attempt_note_broken(batch, doing);
	make_unknown(batch, first, end, batch->broken_code, batch->broken_message);
	return PS_ATTEMPT_BROKEN;
}

/* The same, where nothing else is concerned. */
static enum ps_attempt leave_unsure(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	const char *message;
	int code = ps_store_error(batch->store, &message);

	batch->lacks_room = ps_store_lacked_room(batch->store);
	make_unknown(batch, first, end, code, message);
	return PS_ATTEMPT_COMMITTED;
}

enum ps_attempt ps_attempt_look_for_file(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	if (ps_store_look_for_file(batch->store) == PS_DONE)
		return PS_ATTEMPT_COMMITTED;
	return leave_unknown(batch, first, end, "looking for the database");
}

enum ps_attempt ps_attempt_commit(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	uint64_t started = ps_clock_nsec();

	for (;;) {
		switch (ps_store_commit(batch->store)) {
		case PS_DONE:
			ps_attempt_count_commit(batch, end - first, started);
			return ps_attempt_look_for_file(batch, first, end);
		case PS_BUSY:
			if (ps_patience_retry(&batch->patience))
				break;
			ps_store_rollback(batch->store);
			return PS_ATTEMPT_NO_LOCK;
		case PS_UNSURE:
			return leave_unsure(batch, first, end);
		case PS_BROKEN:
			return leave_unknown(batch, first, end, "committing");
		default:
			return PS_ATTEMPT_NOT_TOGETHER;
		}
	}
}

void ps_attempt_fail_without_lock(struct ps_batch *batch, uint64_t ticket)
{
	if (ps_patience_gives_up(&batch->patience))
		ps_entries_fail(&batch->entries, ticket, PENSTOCK_SHUTDOWN, SQLITE_OK, PS_GIVEN_UP);
	else if (!ps_entries_failed(&batch->entries, ticket))
		ps_entries_fail(&batch->entries, ticket, PENSTOCK_ERROR, SQLITE_BUSY, "database is locked");
}

void ps_attempt_wait_on(struct ps_batch *batch, uint64_t next)
{
	if (ps_ring_peek(batch->ring, next) != NULL)
		ps_patience_go_on(&batch->patience);
}
