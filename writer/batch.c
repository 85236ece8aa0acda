#include "writer/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/outcome.h"
#include "core/thread.h"

/* What delivery must know of a member; none of it: a fire-and-forget statement in its slot that went well. */
#define NOTE_LISTENER 1u
#define NOTE_HEAP 2u
#define NOTE_STAMPED 4u
#define NOTE_DURABLE 8u
#define NOTE_FAILED 16u

/* Outcomes kept for the next batch; a message or rows they hold are freed at once. */
#define SPARE_OUTCOMES 1024

/* How far ahead a record is fetched while the one before runs. */
#define PREFETCH_AHEAD 4

/* The clock is looked at after 1, 2, 4, 8 ... statements, and then every so many: a look is 30 ns. */
#define CLOCK_STRIDE_MAX 32

/* Between two attempts at a lock that SQLite's own busy timeout did not get (or with busy_timeout_ms=0). */
#define BUSY_PAUSE_NSEC 1000000

/* A checkpoint is due at this part of wal_bytes_max, so that one that a reader holds up is not yet over the bound. */
#define CHECKPOINT_PART 4

bool ps_batch_init(struct ps_batch *batch, struct ps_ring *ring, struct ps_counters *counters,
                   const struct ps_options *options)
{
	memset(batch, 0, sizeof *batch);
	batch->ring = ring;
	batch->counters = counters;
	batch->options = options;
	/* Members are indexed by ticket - base, and no more than a ring's worth can be there. */
	batch->capacity = ring->capacity;
	batch->notes = malloc(batch->capacity);
	batch->outcomes = malloc(batch->capacity * sizeof *batch->outcomes);
	if (batch->notes == NULL || batch->outcomes == NULL) {
		ps_batch_destroy(batch);
		return false;
	}
	return true;
}

void ps_batch_destroy(struct ps_batch *batch)
{
	while (batch->spare != NULL) {
		struct ps_outcome *outcome = batch->spare;

		batch->spare = outcome->result.arg;
		free(outcome);
	}
	free(batch->notes);
	free(batch->outcomes);
}

void ps_batch_connect(struct ps_batch *batch, struct ps_store *store)
{
	batch->store = store;
	batch->checkpoint_at = 0;
	batch->broken_code = 0;
}

/* ---- members and their outcomes ---- */

/* What stands in for an outcome when there is no memory for one. Nobody writes or frees it. */
static struct ps_outcome no_memory = {
	.result = {
		.status = PENSTOCK_ERROR,
		.code = SQLITE_NOMEM,
		.extended_code = SQLITE_NOMEM,
		.message = "out of memory",
	},
};

static struct ps_outcome *take_outcome(struct ps_batch *batch)
{
	struct ps_outcome *outcome = batch->spare;

	if (outcome != NULL) {
		batch->spare = outcome->result.arg;
		batch->spare_count--;
	} else {
		outcome = malloc(sizeof *outcome);
		if (outcome == NULL)
			return &no_memory;
	}
	memset(outcome, 0, sizeof *outcome);
	outcome->result.message = "";
	return outcome;
}

static void give_outcome(struct ps_batch *batch, struct ps_outcome *outcome)
{
	if (outcome == &no_memory)
		return;
	ps_outcome_reset(outcome);
	if (batch->spare_count == SPARE_OUTCOMES) {
		free(outcome);
		return;
	}
	outcome->result.arg = batch->spare;
	batch->spare = outcome;
	batch->spare_count++;
}

/* Makes a ticket a member, with an empty outcome if somebody listens. */
static void enter(struct ps_batch *batch, uint64_t ticket, const struct ps_record *record)
{
	size_t i = ticket - batch->base;
	unsigned char note = 0;

	batch->outcomes[i] = NULL;
	if (record->listener_kind == PS_LISTENER_HANDLE) {
		batch->outcomes[i] = &record->listener.handle->outcome;
		note |= NOTE_LISTENER;
	} else if (record->listener_kind == PS_LISTENER_CALLBACK) {
		batch->outcomes[i] = take_outcome(batch);
		note |= NOTE_LISTENER;
	}
	if (record->on_heap)
		note |= NOTE_HEAP;
	if (record->submit_nsec != 0)
		note |= NOTE_STAMPED;
	if (record->durable)
		note |= NOTE_DURABLE;
	batch->notes[i] = note;
}

/* The outcome to write to; one is found for a failing fire-and-forget statement too. */
static struct ps_outcome *outcome_of(struct ps_batch *batch, uint64_t ticket)
{
	size_t i = ticket - batch->base;

	if (batch->outcomes[i] == NULL)
		batch->outcomes[i] = take_outcome(batch);
	return batch->outcomes[i];
}

static void fail_member(struct ps_batch *batch, uint64_t ticket, penstock_status status, int code, const char *message)
{
	struct ps_outcome *outcome = outcome_of(batch, ticket);

	batch->notes[ticket - batch->base] |= NOTE_FAILED;
	if (outcome == &no_memory)
		return;
	/* The rowid stays: SQLite's last_insert_rowid() survives a rollback too. */
	outcome->result.changes = 0;
	ps_outcome_fail(outcome, status, code, message);
}

/* ---- running ---- */

/* Runs one member; its outcome is as if for the first time. */
static enum ps_verdict run_member(struct ps_batch *batch, uint64_t ticket, bool batched)
{
	size_t i = ticket - batch->base;
	struct ps_record *record = ps_ring_at(batch->ring, ticket);
	struct ps_outcome scratch;
	struct ps_outcome *outcome = batch->outcomes[i];
	enum ps_verdict verdict;

	batch->notes[i] &= (unsigned char)~NOTE_FAILED;
	if (outcome == &no_memory) {
		batch->notes[i] |= NOTE_FAILED;
		return PS_DONE;
	}
	if (outcome != NULL) {
		if (outcome->result.status != PENSTOCK_OK || outcome->blocks != NULL)
			ps_outcome_reset(outcome);
		verdict = ps_store_run(batch->store, record, batched, record->listener_kind != PS_LISTENER_NONE,
		                       (uint64_t)batch->keys.result_bytes_max, outcome);
	} else {
		scratch.result.status = PENSTOCK_OK;
		scratch.result.changes = 0;
		scratch.result.last_insert_rowid = 0;
		scratch.blocks = NULL;
		verdict = ps_store_run(batch->store, record, batched, false, 0, &scratch);
		if (scratch.result.status == PENSTOCK_OK)
			return verdict;
		outcome = outcome_of(batch, ticket);
		if (outcome == &no_memory) {
			ps_outcome_drop_rows(&scratch);
			batch->notes[i] |= NOTE_FAILED;
			return verdict;
		}
		*outcome = scratch;
	}
	if (outcome->result.status != PENSTOCK_OK)
		batch->notes[i] |= NOTE_FAILED;
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
	const penstock_result *result = &batch->outcomes[ticket - batch->base]->result;

	batch->broken_code = result->extended_code;
	snprintf(batch->broken_message, sizeof batch->broken_message, "running a statement: %s", result->message);
}

/* Waits a little for another process's lock. False: busy_limit_ms is over. */
static bool wait_for_lock(struct ps_batch *batch, uint64_t *since)
{
	struct timespec pause = ps_timespec(BUSY_PAUSE_NSEC);
	uint64_t now = ps_clock_nsec();

	ps_counters_begin(batch->counters);
	ps_count(&batch->counters->writer.busy_retries, 1);
	ps_counters_end(batch->counters);
	if (*since == 0) {
		*since = now - (uint64_t)batch->options->keys.busy_timeout_ms * 1000000;
		ps_log(batch->options, PENSTOCK_LOG_WARNING,
		       "another process holds the database's lock; the writer keeps trying (busy_limit_ms)");
	}
	if (batch->keys.busy_limit_ms != 0 && now - *since >= (uint64_t)batch->keys.busy_limit_ms * 1000000)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

enum attempt {
	COMMITTED,
	TROUBLE,   /* rolled back because of one member */
	NOT_TOGETHER, /* rolled back; run each alone */
	NO_LOCK,   /* nothing ran: the lock was not to be had */
	BROKEN,    /* an I/O error; outcomes are set */
};

static enum attempt begin(struct ps_batch *batch)
{
	uint64_t since = 0;

	for (;;) {
		switch (ps_store_begin(batch->store)) {
		case PS_DONE:
			return COMMITTED;
		case PS_BUSY:
			if (!wait_for_lock(batch, &since))
				return NO_LOCK;
			break;
		case PS_BROKEN:
			note_broken(batch, "beginning a transaction");
			return BROKEN;
		default:
			return NOT_TOGETHER;
		}
	}
}

static void count_commit(struct ps_batch *batch, uint64_t statements, uint64_t started)
{
	uint64_t took = ps_clock_nsec() - started;

	ps_counters_begin(batch->counters);
	ps_count(&batch->counters->writer.batches, 1);
	ps_histogram_add(&batch->counters->writer.batch_size, statements);
	ps_histogram_add(&batch->counters->writer.commit_nsec, took);
	ps_counters_end(batch->counters);
}

static enum attempt commit(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	uint64_t since = 0, started = ps_clock_nsec(), i;

	for (;;) {
		switch (ps_store_commit(batch->store)) {
		case PS_DONE:
			count_commit(batch, end - first, started);
			return COMMITTED;
		case PS_BUSY:
			if (wait_for_lock(batch, &since))
				break;
			ps_store_rollback(batch->store);
			return NO_LOCK;
		case PS_BROKEN:
			note_broken(batch, "committing");
			for (i = first; i < end; i++) {
				if ((batch->notes[i - batch->base] & NOTE_FAILED) == 0)
					fail_member(batch, i, PENSTOCK_UNKNOWN, batch->broken_code, batch->broken_message);
			}
			return BROKEN;
		default:
			return NOT_TOGETHER;
		}
	}
}

/* The limits of a batch that is being filled. */
struct filling {
	uint64_t limit; /* ticket */
	uint64_t bytes;
	uint64_t deadline;
	uint64_t next_look; /* ticket at which to look at the clock */
};

static bool is_filled(struct ps_batch *batch, struct filling *filling, uint64_t first, uint64_t next)
{
	uint64_t count = next - first;

	if (next >= filling->limit || filling->bytes >= (uint64_t)batch->keys.batch_bytes)
		return true;
	if (batch->keys.batch_usec == 0 || next < filling->next_look)
		return false;
	filling->next_look = next + (count < CLOCK_STRIDE_MAX ? count : CLOCK_STRIDE_MAX);
	return ps_deadline_passed(filling->deadline);
}

/*
 * Runs [first, *end) as one transaction. With `filling` the end is open: members are entered as they are found, and *end
 * says how far it came. *culprit is the member that made TROUBLE.
 */
static enum attempt attempt(struct ps_batch *batch, uint64_t first, uint64_t *end, struct filling *filling,
                            uint64_t *culprit)
{
	enum attempt begun = begin(batch);
	uint64_t i;

	if (begun != COMMITTED)
		return begun;
	for (i = first; filling != NULL ? !is_filled(batch, filling, first, i) : i < *end; i++) {
		if (filling != NULL && i >= *end) {
			struct ps_record *record = ps_ring_peek(batch->ring, i);

			if (record == NULL || (i > first && ps_store_must_be_alone(record)))
				break;
			ps_ring_prefetch(batch->ring, i + PREFETCH_AHEAD);
			enter(batch, i, record);
			*end = i + 1;
			filling->bytes += record->on_heap ? record->payload.heap.size : PS_INLINE_BYTES;
		}
		switch (run_member(batch, i, true)) {
		case PS_DONE:
			continue;
		case PS_BROKEN:
			note_broken_by(batch, i);
			ps_store_rollback(batch->store);
			for (*end = i + 1; i > first; i--)
				fail_member(batch, i - 1, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
			return BROKEN;
		default:
			ps_store_rollback(batch->store);
			*culprit = i;
			return TROUBLE;
		}
	}
	return commit(batch, first, *end);
}

/* One statement by itself in autocommit, or in a transaction of its own when its effect may have to be undone. */
static enum ps_verdict run_once(struct ps_batch *batch, uint64_t ticket)
{
	struct ps_record *record = ps_ring_at(batch->ring, ticket);
	enum ps_verdict verdict;
	const char *message;
	int code;

	if (record->listener_kind == PS_LISTENER_NONE || !ps_store_wants_transaction(batch->store, record))
		return run_member(batch, ticket, false);
	verdict = ps_store_begin(batch->store);
	if (verdict == PS_BROKEN)
		note_broken(batch, "beginning a transaction");
	if (verdict == PS_TAKE_OUT)
		return run_member(batch, ticket, false);
	if (verdict != PS_DONE)
		return verdict;
	verdict = run_member(batch, ticket, false);
	if (verdict == PS_TOO_LONG || verdict == PS_BROKEN || verdict == PS_BUSY) {
		ps_store_rollback(batch->store);
		return verdict == PS_TOO_LONG ? PS_DONE : verdict;
	}
	/* OR ROLLBACK has ended it. */
	if (!ps_store_in_transaction(batch->store))
		return PS_DONE;
	verdict = ps_store_commit(batch->store);
	if (verdict == PS_DONE)
		return PS_DONE;
	ps_store_rollback(batch->store);
	if (verdict == PS_BUSY)
		return PS_BUSY;
	code = ps_store_error(batch->store, &message);
	fail_member(batch, ticket, verdict == PS_BROKEN ? PENSTOCK_UNKNOWN : PENSTOCK_ERROR, code, message);
	return verdict == PS_BROKEN ? PS_BROKEN : PS_DONE;
}

static enum attempt run_alone(struct ps_batch *batch, uint64_t ticket)
{
	uint64_t since = 0, started = ps_clock_nsec();

	for (;;) {
		switch (run_once(batch, ticket)) {
		case PS_BUSY:
			if (wait_for_lock(batch, &since))
				break;
			if ((batch->notes[ticket - batch->base] & NOTE_FAILED) == 0)
				fail_member(batch, ticket, PENSTOCK_ERROR, SQLITE_BUSY, "database is locked");
			return COMMITTED;
		case PS_BROKEN:
			if (batch->notes[ticket - batch->base] & NOTE_FAILED)
				note_broken_by(batch, ticket);
			else
				fail_member(batch, ticket, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
			return BROKEN;
		default:
			count_commit(batch, 1, started);
			return COMMITTED;
		}
	}
}

/* ---- delivery ---- */

static void tally(struct ps_writer_counters *counters, penstock_status status)
{
	switch (status) {
	case PENSTOCK_OK:
		ps_count(&counters->committed, 1);
		break;
	case PENSTOCK_ERROR:
		ps_count(&counters->failed, 1);
		break;
	case PENSTOCK_UNKNOWN:
		ps_count(&counters->unknown, 1);
		break;
	default:
		ps_count(&counters->shutdown, 1);
		break;
	}
}

/* Delivery goes over all members, or (two levels of acknowledgement in one batch) first over those without the durable note
 * and then over those with it: members whose note is `value` under `mask`. */
struct pass {
	unsigned mask;
	unsigned value;
};

static const struct pass everybody = { 0, 0 };
static const struct pass not_durable = { NOTE_DURABLE, 0 };
static const struct pass durable = { NOTE_DURABLE, NOTE_DURABLE };

static void count_members(struct ps_batch *batch, uint64_t first, uint64_t end, struct pass pass)
{
	struct ps_writer_counters *counters = &batch->counters->writer;
	uint64_t now = 0, quiet = 0, i;

	ps_counters_begin(batch->counters);
	for (i = first; i < end; i++) {
		unsigned note = batch->notes[i - batch->base];

		if ((note & pass.mask) != pass.value)
			continue;
		if (note == 0) {
			quiet++;
			continue;
		}
		if (note & NOTE_STAMPED) {
			if (now == 0)
				now = ps_clock_nsec();
			ps_histogram_add(&counters->outcome_nsec, now - ps_ring_at(batch->ring, i)->submit_nsec);
		}
		tally(counters, note & NOTE_FAILED ? batch->outcomes[i - batch->base]->result.status : PENSTOCK_OK);
	}
	ps_count(&counters->committed, quiet);
	ps_counters_end(batch->counters);
}

static void call(penstock_completion *completion, void *arg, const penstock_result *result)
{
	ps_callback_begin();
	completion(arg, result);
	ps_callback_end();
}

/* Tells whoever wants to know, and retires the record. */
static void deliver_member(struct ps_batch *batch, uint64_t ticket)
{
	size_t i = ticket - batch->base;
	struct ps_record *record = ps_ring_at(batch->ring, ticket);
	struct ps_outcome *outcome = batch->outcomes[i];
	penstock_result result;

	if (record->on_heap) {
		uint64_t bytes = record->payload.heap.size;

		ps_record_retire(record);
		ps_ring_return_bytes(batch->ring, bytes);
	}
	if (outcome == NULL)
		return;
	if (record->listener_kind == PS_LISTENER_HANDLE) {
		outcome->result.ticket = ticket;
		outcome->result.arg = record->arg;
		ps_handle_complete(record->listener.handle);
		return;
	}
	result = outcome->result;
	result.ticket = ticket;
	result.arg = record->arg;
	if (record->listener_kind == PS_LISTENER_CALLBACK)
		call(record->listener.callback, record->arg, &result);
	else if (batch->options->on_error != NULL)
		call(batch->options->on_error, batch->options->on_error_arg, &result);
	give_outcome(batch, outcome);
}

static void pass_over(struct ps_batch *batch, uint64_t first, uint64_t end, struct pass pass)
{
	const unsigned concerned = NOTE_LISTENER | NOTE_HEAP | NOTE_FAILED;
	uint64_t i;

	count_members(batch, first, end, pass);
	for (i = first; i < end; i++) {
		unsigned note = batch->notes[i - batch->base];

		if ((note & pass.mask) == pass.value && (note & concerned) != 0)
			deliver_member(batch, i);
	}
}

static bool any_durable(const struct ps_batch *batch, uint64_t first, uint64_t end)
{
	unsigned notes = 0;
	uint64_t i;

	for (i = first; i < end; i++)
		notes |= batch->notes[i - batch->base];
	return (notes & NOTE_DURABLE) != 0;
}

/* Syncs for those that asked for durable. What fails here may or may not survive. */
static bool sync_durable(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	uint64_t i;

	ps_counters_begin(batch->counters);
	ps_count(&batch->counters->writer.wal_syncs, 1);
	ps_counters_end(batch->counters);
	if (ps_store_sync(batch->store) == PS_DONE)
		return true;
	note_broken(batch, "syncing the write-ahead log");
	for (i = first; i < end; i++) {
		if ((batch->notes[i - batch->base] & (NOTE_DURABLE | NOTE_FAILED)) == NOTE_DURABLE)
			fail_member(batch, i, PENSTOCK_UNKNOWN, batch->broken_code, batch->broken_message);
	}
	return false;
}

/* Delivers what has been committed (or has failed) and gives the slots back. False: broken in the sync. */
static bool deliver(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	bool whole = true;

	if (batch->broken_code != 0 || !any_durable(batch, first, end) || ps_store_commit_is_durable(batch->store)) {
		pass_over(batch, first, end, everybody);
	} else {
		pass_over(batch, first, end, not_durable);
		whole = sync_durable(batch, first, end);
		pass_over(batch, first, end, durable);
	}
	ps_ring_release(batch->ring, end);
	return whole;
}

/* ---- the batch ---- */

static void count_replay(struct ps_batch *batch, uint64_t statements)
{
	ps_counters_begin(batch->counters);
	ps_count(&batch->counters->writer.replayed_batches, 1);
	ps_count(&batch->counters->writer.replayed_statements, statements);
	ps_counters_end(batch->counters);
}

static void fail_for_lock(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	for (; first < end; first++)
		fail_member(batch, first, PENSTOCK_ERROR, SQLITE_BUSY, "database is locked");
}

/* Runs [*next, end) one by one and delivers each. */
static bool each_alone(struct ps_batch *batch, uint64_t *next, uint64_t end)
{
	while (*next < end) {
		enum attempt result = run_alone(batch, *next);

		*next += 1;
		if (!deliver(batch, *next - 1, *next) || result == BROKEN)
			return false;
	}
	return true;
}

/*
 * The members [*next, end) have run, `culprit` made trouble and everything was rolled back: runs them again so that each
 * has the outcome of its autocommit. Each round either delivers something or brings the culprit nearer (invariant 3).
 */
static bool settle(struct ps_batch *batch, uint64_t *next, uint64_t end, uint64_t culprit)
{
	while (*next < end) {
		uint64_t stop = culprit;

		if (*next == culprit) {
			if (!each_alone(batch, next, *next + 1))
				return false;
			culprit = end;
			continue;
		}
		count_replay(batch, stop - *next);
		switch (attempt(batch, *next, &stop, NULL, &culprit)) {
		case TROUBLE:
			continue;
		case NOT_TOGETHER:
			if (!each_alone(batch, next, stop))
				return false;
			continue;
		case NO_LOCK:
			fail_for_lock(batch, *next, stop);
			break;
		case COMMITTED:
			break;
		case BROKEN:
			break;
		}
		if (!deliver(batch, *next, stop))
			return false;
		*next = stop;
		if (batch->broken_code != 0)
			return false;
	}
	return true;
}

static void count_alone(struct ps_batch *batch)
{
	ps_counters_begin(batch->counters);
	ps_count(&batch->counters->writer.alone, 1);
	ps_counters_end(batch->counters);
}

/* The members from `first` on that are there, up to the batch's limit. */
static uint64_t enter_all(struct ps_batch *batch, uint64_t first, uint64_t limit)
{
	const struct ps_record *record;

	for (; first < limit && (record = ps_ring_peek(batch->ring, first)) != NULL; first++)
		enter(batch, first, record);
	return first;
}

/* Enters [first, *entered) and delivers [first, *next) of them. */
static bool run_and_deliver(struct ps_batch *batch, uint64_t *next, uint64_t limit, uint64_t *entered)
{
	const struct ps_keys *keys = &batch->keys;
	uint64_t first = *next, end = first, culprit = first;
	struct ps_record *record = ps_ring_at(batch->ring, first);
	bool alone = ps_store_must_be_alone(record);
	struct filling filling;

	if (limit - first > (uint64_t)keys->batch_max)
		limit = first + (uint64_t)keys->batch_max;
	if (limit - first > batch->capacity)
		limit = first + batch->capacity;
	if (alone || limit - first == 1 || ps_ring_peek(batch->ring, first + 1) == NULL) {
		if (alone)
			count_alone(batch);
		enter(batch, first, record);
		*entered = first + 1;
		return each_alone(batch, next, first + 1);
	}
	filling = (struct filling){
		.limit = limit,
		.deadline = ps_deadline(keys->batch_usec),
		.next_look = first + 1,
	};
	switch (attempt(batch, first, &end, &filling, &culprit)) {
	case COMMITTED:
	case BROKEN:
		break;
	case TROUBLE:
		*entered = end;
		return settle(batch, next, end, culprit);
	case NOT_TOGETHER:
		if (end == first)
			enter(batch, end++, record);
		*entered = end;
		return each_alone(batch, next, end);
	case NO_LOCK:
		if (end == first)
			end = enter_all(batch, first, limit);
		fail_for_lock(batch, first, end);
		break;
	}
	*entered = end;
	*next = end;
	return deliver(batch, first, end) && batch->broken_code == 0;
}

bool ps_batch_run(struct ps_batch *batch, uint64_t *next, uint64_t limit, const struct ps_keys *keys)
{
	uint64_t entered = *next, i;

	batch->base = *next;
	batch->keys = *keys;
	if (run_and_deliver(batch, next, limit, &entered))
		return true;
	/* Broken with members left: rolled back, and not to be run again. */
	for (i = *next; i < entered; i++)
		fail_member(batch, i, PENSTOCK_SHUTDOWN, batch->broken_code, batch->broken_message);
	if (entered > *next)
		deliver(batch, *next, entered);
	*next = entered;
	return false;
}

void ps_batch_shut_down(struct ps_batch *batch, uint64_t first, uint64_t limit, int code, const char *reason)
{
	uint64_t i;

	batch->base = first;
	for (i = first; i < limit; i++) {
		enter(batch, i, ps_ring_at(batch->ring, i));
		fail_member(batch, i, PENSTOCK_SHUTDOWN, code, reason);
	}
	pass_over(batch, first, limit, everybody);
	ps_ring_release(batch->ring, limit);
}

/* ---- checkpoints ---- */

static bool checkpoint(struct ps_batch *batch, bool restart, bool *blocked)
{
	uint64_t started = ps_clock_nsec();
	enum ps_verdict verdict = ps_store_checkpoint(batch->store, restart, blocked);

	ps_counters_begin(batch->counters);
	ps_count(&batch->counters->writer.checkpoints, 1);
	ps_count(&batch->counters->writer.checkpoint_nsec, ps_clock_nsec() - started);
	ps_count(&batch->counters->writer.checkpoints_blocked, *blocked ? 1 : 0);
	ps_counters_end(batch->counters);
	if (verdict == PS_DONE)
		return true;
	note_broken(batch, "checkpointing");
	return false;
}

static void count_wal(struct ps_batch *batch)
{
	struct ps_writer_counters *counters = &batch->counters->writer;
	uint64_t bytes = ps_store_wal_bytes(batch->store);

	ps_counters_begin(batch->counters);
	ps_store_relaxed_u64(&counters->wal_bytes, bytes);
	ps_count_max(&counters->wal_bytes_peak, bytes);
	ps_count(&counters->schema_reprepares, ps_store_take_reprepares(batch->store));
	ps_counters_end(batch->counters);
}

bool ps_batch_checkpoint(struct ps_batch *batch)
{
	uint64_t step = (uint64_t)batch->keys.wal_bytes_max / CHECKPOINT_PART;
	uint64_t bytes = ps_store_wal_bytes(batch->store);
	bool blocked = false;

	count_wal(batch);
	if (batch->checkpoint_at == 0)
		batch->checkpoint_at = step;
	if (bytes < batch->checkpoint_at)
		return true;
	if (!checkpoint(batch, false, &blocked))
		return false;
	if (bytes >= (uint64_t)batch->keys.wal_bytes_max) {
		if (!checkpoint(batch, true, &blocked))
			return false;
		if (blocked)
			ps_log(batch->options, PENSTOCK_LOG_WARNING,
			       "the write-ahead log is %llu bytes long: a reader keeps it from beginning anew",
			       (unsigned long long)bytes);
	}
	/* Held up by a reader: not again for every batch, but when it has grown by as much again. */
	batch->checkpoint_at = blocked ? bytes + step : step;
	count_wal(batch);
	return true;
}
