/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/entries.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/probe.h"
#include "core/thread.h"
#include "queue/completions.h"

/* None of these: a fire-and-forget statement in its slot that went well, or has not run yet. GONE alone: it has been told. */
#define NOTE_LISTENER 1u
#define NOTE_HEAP 2u
#define NOTE_STAMPED 4u
#define NOTE_DURABLE 8u
#define NOTE_FAILED 16u
#define NOTE_MAY_BEGIN 32u /* not before it has been looked at */
#define NOTE_GONE 64u      /* it did not begin */
#define NOTE_LATE 128u     /* its run begins it */

/* Outcomes kept for the next batch; a message or rows they hold are freed at once. */
#define SPARE_OUTCOMES 1024

/* What stands in for an outcome when there is no memory for one. Nobody writes or frees it. */
static struct ps_outcome no_memory = {
	.result = {
		.status = PENSTOCK_ERROR,
		.code = SQLITE_NOMEM,
		.extended_code = SQLITE_NOMEM,
		.message = "out of memory",
	},
};

/* The same for one that nobody listens to, and that may be there all the same. */
static struct ps_outcome no_memory_unknown = {
	.result = {
		.status = PENSTOCK_UNKNOWN,
		.code = SQLITE_NOMEM,
		.extended_code = SQLITE_NOMEM,
		.message = "out of memory",
	},
};

static bool stands_in(const struct ps_outcome *outcome)
{
	return outcome == &no_memory || outcome == &no_memory_unknown;
}

bool ps_entries_init(struct ps_entries *entries, struct ps_ring *ring, struct ps_counters *counters,
                     const struct ps_options *options)
{
	memset(entries, 0, sizeof *entries);
	entries->ring = ring;
	entries->counters = counters;
	entries->options = options;
	entries->bell = ps_bell_assign();
	/* No more than a ring's worth can be there at once. */
	entries->capacity = (size_t)ring->capacity; /* whose slots are in memory */
	entries->notes = malloc(entries->capacity);
	entries->outcomes = malloc(entries->capacity * sizeof *entries->outcomes);
	if (entries->notes == NULL || entries->outcomes == NULL) {
		ps_entries_destroy(entries);
		return false;
	}
	return true;
}

void ps_entries_destroy(struct ps_entries *entries)
{
	while (entries->spare != NULL) {
		struct ps_outcome *outcome = entries->spare;

		entries->spare = outcome->result.arg;
		free(outcome);
	}
	free(entries->notes);
	free(entries->outcomes);
}

/* ---- the pool ---- */

static struct ps_outcome *take_outcome(struct ps_entries *entries)
{
	struct ps_outcome *outcome = entries->spare;

	if (outcome != NULL) {
		entries->spare = outcome->result.arg;
		entries->spare_count--;
	} else {
		outcome = malloc(sizeof *outcome);
		if (outcome == NULL)
			return &no_memory;
	}
	memset(outcome, 0, sizeof *outcome);
	outcome->result.message = "";
	return outcome;
}

static void give_outcome(struct ps_entries *entries, struct ps_outcome *outcome)
{
	if (stands_in(outcome))
		return;
	ps_outcome_reset(outcome);
	if (entries->spare_count == SPARE_OUTCOMES) {
		free(outcome);
		return;
	}
	outcome->result.arg = entries->spare;
	entries->spare = outcome;
	entries->spare_count++;
}

/* ---- running ---- */

static unsigned char notes_of_asks(unsigned asks)
{
	unsigned note = 0;

	if ((asks & PS_ASKS_DURABLE) != 0)
		note |= NOTE_DURABLE;
	if ((asks & PS_ASKS_TO_BEGIN) != 0)
		note |= NOTE_MAY_BEGIN;
	if ((asks & PS_ASKS_TOLD) != 0)
		note |= NOTE_GONE;
	return (unsigned char)note;
}

static void make_entry(struct ps_entries *entries, uint64_t ticket, const struct ps_record *record)
{
	size_t i = (size_t)(ticket - entries->base);
	unsigned char note = 0;

	entries->outcomes[i] = NULL;
	if (record->listener_kind == PS_LISTENER_HANDLE) {
		entries->outcomes[i] = &record->listener.handle->outcome;
		note |= NOTE_LISTENER;
	} else if (record->listener_kind == PS_LISTENER_CALLBACK) {
		entries->outcomes[i] = take_outcome(entries);
		note |= NOTE_LISTENER;
	}
	if (record->on_heap)
		note |= NOTE_HEAP;
	if (record->submit_nsec != 0)
		note |= NOTE_STAMPED;
	if (record->asks != 0)
		note |= notes_of_asks(record->asks);
	entries->notes[i] = note;
}

void ps_entries_enter(struct ps_entries *entries, uint64_t ticket, const struct ps_record *record)
{
	make_entry(entries, ticket, record);
	entries->end = ticket + 1;
}

struct ps_outcome *ps_entries_begin_run(struct ps_entries *entries, uint64_t ticket, struct ps_outcome *scratch)
{
	size_t i = (size_t)(ticket - entries->base);
	struct ps_outcome *outcome;

	if ((entries->notes[i] & (NOTE_MAY_BEGIN | NOTE_GONE)) != 0 && (entries->notes[i] & NOTE_LATE) == 0 &&
	    !ps_entries_begin(entries, ticket))
		return NULL;
	outcome = entries->outcomes[i];
	if (outcome != NULL && (entries->notes[i] & NOTE_LISTENER) == 0) {
		/* A run before this one failed; should this one go well, nobody may hear of that. */
		give_outcome(entries, outcome);
		outcome = entries->outcomes[i] = NULL;
	}
	if (outcome == &no_memory) {
		entries->notes[i] |= NOTE_FAILED;
		return NULL;
	}
	entries->notes[i] &= (unsigned char)~NOTE_FAILED;
	if (outcome == NULL) {
		/* Only what a run looks at: a statement that goes well leaves nothing else. */
		scratch->result.status = PENSTOCK_OK;
		scratch->result.changes = 0;
		scratch->result.last_insert_rowid = 0;
		scratch->blocks = NULL;
		return scratch;
	}
	ps_outcome_reset(outcome);
	return outcome;
}

/*
 * The entry's own outcome, for this status; one is found for a failing fire-and-forget statement too. NULL: there is no memory for it, and
 * another stands in. Who listens has had none from the first, and did not run.
 */
static struct ps_outcome *own_outcome(struct ps_entries *entries, uint64_t ticket, penstock_status status)
{
	size_t i = (size_t)(ticket - entries->base);

	if (entries->outcomes[i] == NULL)
		entries->outcomes[i] = take_outcome(entries);
	if (entries->outcomes[i] == &no_memory && status == PENSTOCK_UNKNOWN && (entries->notes[i] & NOTE_LISTENER) == 0)
		entries->outcomes[i] = &no_memory_unknown;
	return stands_in(entries->outcomes[i]) ? NULL : entries->outcomes[i];
}

void ps_entries_end_run(struct ps_entries *entries, uint64_t ticket, struct ps_outcome *outcome)
{
	size_t i = (size_t)(ticket - entries->base);
	struct ps_outcome *own;

	if (outcome->result.status == PENSTOCK_OK)
		return;
	entries->notes[i] |= NOTE_FAILED;
	if (entries->outcomes[i] == outcome)
		return;
	own = own_outcome(entries, ticket, outcome->result.status);
	if (own == NULL)
		ps_outcome_drop_rows(outcome);
	else
		*own = *outcome;
}

void ps_entries_note_row(struct ps_entries *entries, uint64_t ticket, int64_t rowid)
{
	size_t i = (size_t)(ticket - entries->base);

	if ((entries->notes[i] & NOTE_LISTENER) == 0)
		return;
	entries->outcomes[i]->result.changes = 1;
	entries->outcomes[i]->result.last_insert_rowid = rowid;
}

static void set_failed(struct ps_entries *entries, uint64_t ticket, penstock_status status, int code, const char *message)
{
	struct ps_outcome *outcome = own_outcome(entries, ticket, status);

	entries->notes[ticket - entries->base] |= NOTE_FAILED;
	if (outcome == NULL)
		return;
	/* The rowid stays: SQLite's last_insert_rowid() survives a rollback too. */
	outcome->result.changes = 0;
	ps_outcome_fail(outcome, status, code, message);
}

void ps_entries_fail(struct ps_entries *entries, uint64_t ticket, penstock_status status, int code, const char *message)
{
	if (ps_entries_begin(entries, ticket))
		set_failed(entries, ticket, status, code, message);
}

/* ---- beginning ---- */

static bool is_late(const struct ps_record *record)
{
	return ps_deadline_passed(ps_record_deadline(record));
}

/* Begins it (OK), or says why not. */
static penstock_status take(const struct ps_record *record)
{
	if ((record->asks & PS_ASKS_CANCELLABLE) != 0 && !ps_cancel_begin(record->listener.handle) &&
	    !ps_fault(PS_FAULT_SKIP_BEGIN))
		return PENSTOCK_CANCELLED;
	return is_late(record) && !ps_fault(PS_FAULT_SKIP_BEGIN) ? PENSTOCK_EXPIRED : PENSTOCK_OK;
}

static void come_to_nothing(struct ps_entries *entries, uint64_t ticket, penstock_status status)
{
	entries->notes[ticket - entries->base] |= NOTE_GONE;
	set_failed(entries, ticket, status, SQLITE_OK,
	           status == PENSTOCK_EXPIRED ? "its deadline passed before it had begun" : "cancelled before it had begun");
}

bool ps_entries_begin(struct ps_entries *entries, uint64_t ticket)
{
	unsigned char *note = &entries->notes[ticket - entries->base];
	penstock_status status;

	if ((*note & NOTE_MAY_BEGIN) == 0)
		return (*note & NOTE_GONE) == 0;
	*note &= (unsigned char)~(NOTE_MAY_BEGIN | NOTE_LATE);
	status = take(ps_ring_at(entries->ring, ticket));
	if (status != PENSTOCK_OK)
		come_to_nothing(entries, ticket, status);
	return status == PENSTOCK_OK;
}

void ps_entries_begin_late(struct ps_entries *entries, uint64_t ticket)
{
	if (ps_entries_may_begin(entries, ticket))
		entries->notes[ticket - entries->base] |= NOTE_LATE;
}

penstock_status ps_entries_begin_in_run(struct ps_entries *entries, uint64_t ticket)
{
	entries->notes[ticket - entries->base] &= (unsigned char)~(NOTE_MAY_BEGIN | NOTE_LATE);
	return take(ps_ring_at(entries->ring, ticket));
}

void ps_entries_end_in_nothing(struct ps_entries *entries, uint64_t ticket, penstock_status status)
{
	struct ps_outcome *outcome = own_outcome(entries, ticket, status);

	if (outcome != NULL)
		ps_outcome_reset(outcome);
	come_to_nothing(entries, ticket, status);
}

bool ps_entries_may_begin(const struct ps_entries *entries, uint64_t ticket)
{
	if (ticket < entries->end)
		return (entries->notes[ticket - entries->base] & NOTE_MAY_BEGIN) != 0;
	return (ps_ring_at(entries->ring, ticket)->asks & PS_ASKS_TO_BEGIN) != 0;
}

bool ps_entries_is_gone(const struct ps_entries *entries, uint64_t ticket)
{
	return (entries->notes[ticket - entries->base] & NOTE_GONE) != 0;
}

bool ps_entries_failed(const struct ps_entries *entries, uint64_t ticket)
{
	return (entries->notes[ticket - entries->base] & NOTE_FAILED) != 0;
}

const penstock_result *ps_entries_result(const struct ps_entries *entries, uint64_t ticket)
{
	return &entries->outcomes[ticket - entries->base]->result;
}

/* ---- delivery ---- */

bool ps_entries_is_durable(const struct ps_entries *entries, uint64_t ticket)
{
	return (entries->notes[ticket - entries->base] & NOTE_DURABLE) != 0;
}

bool ps_entries_any_durable(const struct ps_entries *entries, uint64_t first, uint64_t end)
{
	unsigned notes = 0;
	uint64_t i;

	for (i = first; i < end; i++)
		notes |= entries->notes[i - entries->base];
	return (notes & NOTE_DURABLE) != 0;
}

bool ps_entries_only_wake(const struct ps_entries *entries, uint64_t first, uint64_t end)
{
	uint64_t i;

	for (i = first; i < end; i++) {
		unsigned note = entries->notes[i - entries->base];

		if ((note & NOTE_DURABLE) != 0)
			return false;
		/* One that nobody listens to and that failed is told to on_error. */
		if ((note & (NOTE_LISTENER | NOTE_FAILED)) != 0 &&
		    ps_ring_at(entries->ring, i)->listener_kind != PS_LISTENER_HANDLE)
			return false;
	}
	return true;
}

static void tally(struct ps_counters *counters, penstock_status status)
{
	switch (status) {
	case PENSTOCK_OK:
		ps_count(counters, &counters->writer.committed, 1);
		break;
	case PENSTOCK_ERROR:
		ps_count(counters, &counters->writer.failed, 1);
		break;
	case PENSTOCK_UNKNOWN:
		ps_count(counters, &counters->writer.unknown, 1);
		break;
	case PENSTOCK_EXPIRED:
		ps_count(counters, &counters->writer.expired, 1);
		break;
	case PENSTOCK_CANCELLED:
		ps_count(counters, &counters->writer.cancelled, 1);
		break;
	default:
		ps_count(counters, &counters->writer.shutdown, 1);
		break;
	}
}

static bool in_pass(unsigned note, enum ps_pass pass)
{
	return pass == PS_PASS_ALL || ((note & NOTE_DURABLE) != 0) == (pass == PS_PASS_DURABLE);
}

static void count_entries(struct ps_entries *entries, uint64_t first, uint64_t end, enum ps_pass pass)
{
	struct ps_counters *counters = entries->counters;
	uint64_t now = 0, quiet = 0, told = 0, i;

	for (i = first; i < end; i++) {
		unsigned note = entries->notes[i - entries->base];
		penstock_status status = PENSTOCK_OK;
		uint64_t took = 0;

		if (!in_pass(note, pass))
			continue;
		if (note == 0) {
			quiet++;
			PS_PROBE(outcome, entries->ring->owner, i, PENSTOCK_OK, 0);
			continue;
		}
		if (note == NOTE_GONE)
			continue;
		if (note & NOTE_STAMPED) {
			if (now == 0)
				now = ps_clock_nsec();
			took = now - ps_ring_at(entries->ring, i)->submit_nsec;
			ps_count_in(counters, &counters->writer.outcome_nsec, took);
		}
		told++;
		if (note & NOTE_FAILED)
			status = ps_entries_result(entries, i)->status;
		tally(counters, status);
		PS_PROBE(outcome, entries->ring->owner, i, status, took);
	}
	ps_count(counters, &counters->writer.committed, quiet);
	ps_count(counters, &counters->writer.queue_depth, quiet + told);
	ps_bump_u64(&counters->resolved, quiet + told);
	ps_counters_publish(counters);
}

static void call(penstock_completion *completion, void *arg, const penstock_result *result)
{
	ps_callback_begin();
	completion(arg, result);
	ps_callback_end();
}

/* What a group's outcome says of its members. */
static void note_members(const struct ps_record *record, const struct ps_outcome *outcome, penstock_result *result)
{
	if (record->kind != PS_KIND_GROUP)
		return;
	result->member_count = record->value_count;
	result->failed_member = outcome->failing != 0 ? outcome->failing - 1 : record->value_count;
	/* A row that was rolled back. */
	if (result->status != PENSTOCK_OK)
		result->last_insert_rowid = 0;
}

/* Tells whoever wants to know, and retires the record. */
static void deliver_entry(struct ps_entries *entries, uint64_t ticket, uint32_t *bits)
{
	struct ps_record *record = ps_ring_at(entries->ring, ticket);
	struct ps_outcome *outcome = entries->outcomes[ticket - entries->base];
	uint64_t heap_bytes = ps_record_heap_bytes(record);
	penstock_completions *queue;
	penstock_result result;

	if (heap_bytes != 0) {
		ps_record_retire(record);
		ps_ring_return_bytes(entries->ring, heap_bytes);
	}
	if (outcome == NULL)
		return;
	if (record->listener_kind == PS_LISTENER_HANDLE) {
		note_members(record, outcome, &outcome->result);
		outcome->result.ticket = ticket;
		outcome->result.arg = record->arg;
		queue = record->listener.handle->completions;
		ps_handle_complete(record->listener.handle, bits);
		if (queue != NULL)
			ps_completions_put(queue, record->listener.handle, &entries->told);
		return;
	}
	result = outcome->result;
	note_members(record, outcome, &result);
	result.ticket = ticket;
	result.arg = record->arg;
	if (record->listener_kind == PS_LISTENER_CALLBACK)
		call(record->listener.callback, record->arg, &result);
	else if (entries->options->on_error != NULL)
		call(entries->options->on_error, entries->options->on_error_arg, &result);
	give_outcome(entries, outcome);
}

/* Who waits on a handle, or for a completion queue's descriptor. */
static void wake_listeners(struct ps_entries *entries, uint32_t bits)
{
	ps_bell_ring(entries->bell, bits);
	if (entries->told != NULL) {
		ps_completions_tell(entries->told);
		entries->told = NULL;
	}
}

void ps_entries_deliver(struct ps_entries *entries, uint64_t first, uint64_t end, enum ps_pass pass)
{
	const unsigned concerned = NOTE_LISTENER | NOTE_HEAP | NOTE_FAILED;
	uint32_t bits = 0;
	uint64_t i;

	count_entries(entries, first, end, pass);
	for (i = first; i < end; i++) {
		unsigned note = entries->notes[i - entries->base];

		if ((note & concerned) != 0 && in_pass(note, pass))
			deliver_entry(entries, i, &bits);
	}
	wake_listeners(entries, bits);
}

uint64_t ps_entries_reach(struct ps_entries *entries, uint64_t head)
{
	/* When all that was entered is delivered, entries may begin anew. */
	if (entries->end <= head)
		entries->base = head;
	return entries->base + entries->capacity;
}

bool ps_entries_tell(struct ps_entries *entries, uint64_t ticket)
{
	struct ps_record *record = ps_ring_at(entries->ring, ticket);
	size_t i = (size_t)(ticket - entries->base);
	uint32_t bits = 0;

	if (!is_late(record) && ((record->asks & PS_ASKS_CANCELLABLE) == 0 || !ps_cancel_asked(record->listener.handle)))
		return false;
	if (ticket >= entries->end)
		make_entry(entries, ticket, record);
	if (ps_entries_begin(entries, ticket)) /* a deliberate fault */
		return false;
	count_entries(entries, ticket, ticket + 1, PS_PASS_ALL);
	deliver_entry(entries, ticket, &bits);
	wake_listeners(entries, bits);
	/* What is left is an empty text, which nobody listens to. */
	memset(record, 0, sizeof *record);
	record->asks = PS_ASKS_TOLD;
	entries->notes[i] = NOTE_GONE;
	entries->outcomes[i] = NULL;
	return true;
}

#ifdef PENSTOCK_FAULTS
void ps_entries_deliver_early(struct ps_entries *entries, uint64_t first, uint64_t end)
{
	ps_entries_deliver(entries, first, end, PS_PASS_ALL);
	memset(&entries->notes[first - entries->base], 0, (size_t)(end - first));
}
#endif
