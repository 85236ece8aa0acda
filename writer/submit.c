/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/engine.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/outcome.h"
#include "core/thread.h"

/* Of the submissions that nobody listens to, one in so many is timed: reading the clock costs more than a claim. */
#define SAMPLE_EVERY 64

int penstock_statement_register(penstock *db, const char *sql, int64_t sql_bytes, penstock_statement **statement)
{
	size_t bytes;
	int status;

	if (statement == NULL || sql == NULL)
		return ps_error(PENSTOCK_MISUSE,
		                "penstock_statement_register: the text or the place for the statement is NULL");
	*statement = NULL;
	bytes = sql_bytes < 0 ? strlen(sql) : (size_t)sql_bytes;
	if (bytes > PS_LENGTH_MAX)
		return ps_error(PENSTOCK_TOOBIG, "the SQL text is %zu bytes long; SQLite takes at most %d", bytes,
		                PS_LENGTH_MAX);
	status = ps_engine_enter(db);
	if (status != PENSTOCK_OK)
		return status;
	*statement = ps_registry_add(&db->registry, db, sql, bytes);
	ps_engine_leave(db);
	return *statement != NULL ? PENSTOCK_OK : ps_error(PENSTOCK_NOMEM, "out of memory registering a statement");
}

/* A submission that is being prepared for the ring, and has no slot yet. */
struct pending {
	const penstock_submission *submission;
	size_t sql_bytes;
	uint64_t bytes;      /* of the payload */
	unsigned char *heap; /* it, when it does not fit the slot */
	penstock_handle *handle;
	struct ps_bell *bell;
	uint64_t started_nsec; /* 0: nobody listens */
	bool final;            /* a refusal is for good; not one that waits for room */
	bool met_full;         /* counted as a full event */
	bool inside;           /* counted in db->inside: it sleeps for room, or takes its time to copy */
};

static int check_submission(const penstock *db, const penstock_submission *submission, bool with_handle)
{
	if (submission == NULL)
		return ps_error(PENSTOCK_MISUSE, "the submission is NULL");
	if (submission->struct_size != sizeof *submission)
		return ps_error(PENSTOCK_MISUSE, "penstock_submission.struct_size is %zu, not %zu; set it to sizeof the struct",
		                submission->struct_size, sizeof *submission);
	if ((submission->sql == NULL) == (submission->statement == NULL))
		return ps_error(PENSTOCK_MISUSE, "a submission needs either SQL text or a registered statement");
	if (submission->statement != NULL && submission->statement->db != db)
		return ps_error(PENSTOCK_MISUSE, "the statement is registered with another engine");
	if (submission->value_count != 0 && submission->values == NULL)
		return ps_error(PENSTOCK_MISUSE, "%zu values are promised, but values is NULL", submission->value_count);
	if ((unsigned)submission->ack > PENSTOCK_ACK_DURABLE || (submission->flags & ~PENSTOCK_RUN_ALONE) != 0)
		return ps_error(PENSTOCK_MISUSE, "the submission's ack or flags are none of those there are");
	if (with_handle && submission->on_complete != NULL)
		return ps_error(PENSTOCK_MISUSE, "a submission has a handle or a callback, not both");
	if (submission->ack == PENSTOCK_ACK_NONE && (with_handle || submission->on_complete != NULL))
		return ps_error(PENSTOCK_MISUSE,
		                "PENSTOCK_ACK_NONE means that nobody listens; drop the handle or the callback");
	return PENSTOCK_OK;
}

/* Does what can be done before there is a slot: measures, copies to the heap what is long, finds a handle. */
static int prepare(penstock *db, struct pending *pending, bool with_handle)
{
	const penstock_submission *submission = pending->submission;
	int status;

	if (submission->sql != NULL)
		pending->sql_bytes = submission->sql_bytes > 0 ? (size_t)submission->sql_bytes : strlen(submission->sql);
	status = ps_record_measure(submission, pending->sql_bytes, &pending->bytes);
	if (status != PENSTOCK_OK)
		return status;
	if (pending->bytes > PS_INLINE_BYTES) {
		/* A copy may take long enough for a close to come and go. */
		status = ps_engine_enter(db);
		if (status != PENSTOCK_OK)
			return status;
		pending->inside = true;
		pending->heap = malloc(pending->bytes);
		if (pending->heap == NULL)
			return ps_error(PENSTOCK_NOMEM, "out of memory for a submission of %llu bytes",
			                (unsigned long long)pending->bytes);
		ps_record_encode(pending->heap, submission, pending->sql_bytes);
	}
	if (with_handle) {
		pending->handle = ps_handle_new(0);
		if (pending->handle == NULL)
			return ps_error(PENSTOCK_NOMEM, "out of memory for a handle");
	}
	if (with_handle || submission->on_complete != NULL)
		pending->started_nsec = ps_clock_nsec();
	return PENSTOCK_OK;
}

static void fill(struct ps_record *record, const struct pending *pending, uint64_t ticket)
{
	const penstock_submission *submission = pending->submission;

	record->statement = submission->statement;
	record->arg = submission->arg;
	record->value_count = (uint32_t)submission->value_count;
	record->durable = submission->ack == PENSTOCK_ACK_DURABLE;
	record->alone = (submission->flags & PENSTOCK_RUN_ALONE) != 0;
	record->submit_nsec = pending->started_nsec;
	if (pending->handle != NULL) {
		record->listener_kind = PS_LISTENER_HANDLE;
		record->listener.handle = pending->handle;
		pending->handle->ticket = ticket;
		pending->handle->bell = pending->bell;
	} else if (submission->on_complete != NULL) {
		record->listener_kind = PS_LISTENER_CALLBACK;
		record->listener.callback = submission->on_complete;
	} else {
		record->listener_kind = PS_LISTENER_NONE;
		if (ticket % SAMPLE_EVERY == 0)
			record->submit_nsec = ps_clock_nsec();
	}
	record->on_heap = pending->heap != NULL;
	if (pending->heap != NULL) {
		record->payload.heap.data = pending->heap;
		record->payload.heap.size = pending->bytes;
	} else {
		ps_record_encode(record->payload.bytes, submission, pending->sql_bytes);
	}
}

/*
 * A slot, and the bytes of what lies outside of it. The slot is looked at first: bytes that are only taken to be given back
 * could turn away one that waits for room, in its last look, when no release will follow. Where the slot is lost after the
 * look, whoever waits is told (the return is a full barrier, as E2 wants it).
 */
static bool claim_slot(struct ps_ring *ring, const struct pending *pending, uint64_t bytes_max, struct ps_claim *claim)
{
	if (pending->heap == NULL)
		return ps_ring_claim(ring, claim);
	if (!ps_ring_has_room(ring) || !ps_ring_reserve_bytes(ring, pending->bytes, bytes_max))
		return false;
	if (ps_ring_claim(ring, claim))
		return true;
	ps_ring_return_bytes(ring, pending->bytes);
	ps_eventcount_broadcast(&ring->room);
	return false;
}

/*
 * One attempt. The state is read and the slot published inside one section: after a verb's grace period nobody is between
 * "saw RUNNING" and "published" (state.h). Nothing in it sleeps. FULL: no room; with may_wait the caller is then counted
 * inside, so that the engine outlives its sleep.
 */
static int enqueue(penstock *db, struct pending *pending, bool may_wait)
{
	const struct ps_state *state;
	struct ps_claim claim;
	int status;

	pending->final = true;
	ps_rcu_enter();
	state = ps_state_read(&db->state);
	status = state->admit;
	if (status != PENSTOCK_OK) {
		ps_refuse(status);
	} else if (pending->submission->ack == PENSTOCK_ACK_DURABLE && state->keys.synchronous == PENSTOCK_SYNCHRONOUS_OFF) {
		status = ps_error(PENSTOCK_MISUSE, "durable outcomes need the key synchronous to be normal, full or extra");
	} else if (!claim_slot(&db->ring, pending, (uint64_t)state->keys.ring_bytes, &claim)) {
		status = ps_refuse(PENSTOCK_FULL);
	} else {
		if (pending->handle != NULL) {
			pending->handle->default_timeout_usec =
				state->keys.results_timeout_ms < 0 ? PENSTOCK_FOREVER : state->keys.results_timeout_ms * 1000;
			pending->handle->spin_usec = state->keys.spin_usec;
		}
		fill(claim.record, pending, claim.ticket);
		ps_ring_publish(&db->ring, &claim);
	}
	if (status == PENSTOCK_FULL) {
		pending->final = !may_wait || state->keys.when_full == PENSTOCK_WHEN_FULL_FAIL;
		if (!pending->met_full)
			ps_add_u64(&db->counters.full_events, 1);
		pending->met_full = true;
		if (!pending->final && !pending->inside) {
			ps_add_u32(&db->inside, 1);
			pending->inside = true;
		}
	}
	/* Here, since a caller that is not inside may not touch the engine after its section. */
	if (status != PENSTOCK_OK && pending->final)
		ps_add_u64(&db->counters.refused[status], 1);
	ps_state_leave(&db->state);
	return status;
}

/* Sleeps until there is room, the state changes or the deadline passes. */
static int enqueue_when_room(penstock *db, struct pending *pending, int64_t timeout_usec)
{
	uint64_t started = ps_clock_nsec();
	uint64_t deadline = ps_engine_deadline(db, timeout_usec);
	int status;

	for (;;) {
		uint32_t key = ps_eventcount_prepare(&db->ring.room);

		/* The second look, for room and for the state alike: a verb that has moved the state wakes all who wait. */
		status = enqueue(db, pending, true);
		if (status == PENSTOCK_OK || pending->final) {
			ps_eventcount_cancel(&db->ring.room);
			break;
		}
		if (ps_deadline_passed(deadline)) {
			ps_eventcount_cancel(&db->ring.room);
			status = ps_refuse(PENSTOCK_TIMEOUT);
			ps_add_u64(&db->counters.refused[PENSTOCK_TIMEOUT], 1);
			break;
		}
		ps_eventcount_wait(&db->ring.room, key, deadline);
	}
	ps_add_u64(&db->counters.full_nsec, ps_clock_nsec() - started);
	return status;
}

int penstock_submit(penstock *db, const penstock_submission *submission, int64_t timeout_usec, penstock_handle **handle)
{
	struct pending pending = { .submission = submission, .bell = db == NULL ? NULL : db->batch.entries.bell };
	bool may_wait = timeout_usec != 0 && !ps_in_callback();
	int status;

	if (handle != NULL)
		*handle = NULL;
	if (db == NULL)
		return ps_error(PENSTOCK_MISUSE, "the engine is NULL");
	if (db->fork_generation != ps_fork_generation())
		return ps_refuse(PENSTOCK_FORKED);
	status = check_submission(db, submission, handle != NULL);
	if (status == PENSTOCK_OK)
		status = prepare(db, &pending, handle != NULL);
	/* Closed: the engine may be gone before this could count it. */
	if (status != PENSTOCK_OK && status != PENSTOCK_STOPPED)
		ps_add_u64(&db->counters.refused[status], 1);
	if (status == PENSTOCK_OK)
		status = enqueue(db, &pending, may_wait);
	if (status == PENSTOCK_FULL && !pending.final)
		status = enqueue_when_room(db, &pending, timeout_usec);
	if (pending.inside)
		ps_engine_leave(db);
	if (status != PENSTOCK_OK) {
		free(pending.heap);
		if (pending.handle != NULL)
			ps_handle_free(pending.handle);
	} else if (handle != NULL) {
		*handle = pending.handle;
	}
	return status;
}

int penstock_try_submit(penstock *db, const penstock_submission *submission, penstock_handle **handle)
{
	return penstock_submit(db, submission, 0, handle);
}

int penstock_execute(penstock *db, const penstock_submission *submission, int64_t timeout_usec, penstock_handle **result)
{
	penstock_handle *handle;
	uint64_t deadline;
	int status;

	if (result != NULL)
		*result = NULL;
	status = ps_engine_enter_to_wait(db, "penstock_execute");
	if (status != PENSTOCK_OK)
		return status;
	deadline = ps_engine_deadline(db, timeout_usec);
	ps_engine_leave(db);
	status = penstock_submit(db, submission, timeout_usec, &handle);
	if (status != PENSTOCK_OK)
		return status;
	if (!ps_handle_wait_until(handle, deadline)) {
		status = ps_refuse(PENSTOCK_TIMEOUT);
	} else {
		const penstock_result *outcome = penstock_handle_result(handle);

		status = outcome->status;
		if (status != PENSTOCK_OK)
			ps_error(status, "%s", outcome->message);
	}
	if (result != NULL)
		*result = handle;
	else
		penstock_handle_release(handle);
	return status;
}
