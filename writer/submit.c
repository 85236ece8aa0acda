/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/submit.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/outcome.h"
#include "core/probe.h"
#include "core/thread.h"
#include "queue/completions.h"
#include "queue/group.h"
#include "writer/engine.h"

/* Of the submissions that nobody listens to, one in so many is timed: reading the clock costs more than a claim. */
#define SAMPLE_EVERY 64

#define FLAGS (PENSTOCK_RUN_ALONE | PENSTOCK_CANCELLABLE)

/* What groups have too: compilers would make calls of it, which cost each plain submit some 75 instructions. */
#define INLINED static inline __attribute__((always_inline))

#define CANCELLABLE_NEEDS_HANDLE "PENSTOCK_CANCELLABLE needs a handle, by which it would be cancelled"

/* No version of the struct will be larger. */
#define SUBMISSION_BYTES_MAX 4096

/* The length of a text, as it was given; what cannot be in memory stays too much. */
static size_t length_of(int64_t given)
{
	return (size_t)given == (uint64_t)given ? (size_t)given : SIZE_MAX;
}

void penstock_submission_init_size(penstock_submission *submission, size_t struct_size)
{
	if (submission == NULL || struct_size < sizeof submission->struct_size)
		return;
	memset(submission, 0, struct_size);
	submission->struct_size = struct_size;
	if (struct_size >= offsetof(penstock_submission, sql_bytes) + sizeof submission->sql_bytes)
		submission->sql_bytes = -1;
}

int64_t penstock_deadline(int64_t timeout_usec)
{
	int64_t now = (int64_t)(ps_clock_nsec() / PS_NSEC_PER_USEC);

	if (timeout_usec < 0)
		return 0;
	return timeout_usec > INT64_MAX - now ? INT64_MAX : now + timeout_usec;
}

int penstock_statement_register(penstock *db, const char *sql, int64_t sql_bytes, penstock_statement **statement)
{
	size_t bytes;
	int status;

	if (statement == NULL || sql == NULL)
		return ps_error(PENSTOCK_MISUSE,
		                "penstock_statement_register: the text or the place for the statement is NULL");
	*statement = NULL;
	bytes = sql_bytes < 0 ? strlen(sql) : length_of(sql_bytes);
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
	struct ps_record *record; /* as it will lie in the slot, but for what the ticket decides */
	uint64_t bytes;           /* of the payload */
	penstock_handle *handle;
	struct ps_turn *turn; /* in line for bytes, or NULL */
	uint64_t behind;      /* the tail when bytes were first lacking; 0: they never were */
	bool passed;          /* bytes are lacking, and all that was before it is done */
	bool final;           /* a refusal is for good; not one that waits for room */
	bool met_full;        /* counted as a full event */
	bool inside;          /* counted in db->inside: it sleeps for room, or takes its time to copy */
	bool looks;           /* it is not copied yet: the attempt only says what would become of it */
	bool refused;         /* so, for good, and counted */
};

/* As much as was known when the program was built; the rest as if it were not set. */
static int take_submission(const penstock_submission *given, penstock_submission *own)
{
	const size_t least = offsetof(penstock_submission, arg) + sizeof given->arg;
	size_t size = given->struct_size;
	int status;

	if (size < least || size % _Alignof(penstock_submission) != 0 || size > SUBMISSION_BYTES_MAX)
		return ps_error(PENSTOCK_MISUSE,
		                "penstock_submission.struct_size is %zu, which is no version of the struct; begin with"
		                " PENSTOCK_SUBMISSION_INIT",
		                size);
	status = ps_check_tail("", "the submission", given, size, sizeof *own);
	if (status != PENSTOCK_OK)
		return status;
	memset(own, 0, sizeof *own);
	memcpy(own, given, size < sizeof *own ? size : sizeof *own);
	own->struct_size = sizeof *own;
	return PENSTOCK_OK;
}

/* What it is to run. */
static int check_statement(const penstock_submission *submission)
{
	if ((submission->sql == NULL) == (submission->statement == NULL))
		return ps_error(PENSTOCK_MISUSE, "a submission needs either SQL text or a registered statement");
	if (submission->sql != NULL && submission->sql_bytes == 0)
		return ps_error(PENSTOCK_MISUSE,
		                "sql_bytes is 0, and an empty text is no statement; for a NUL-terminated text it is"
		                " negative, as PENSTOCK_SUBMISSION_INIT sets it, else the length of the text");
	if (submission->value_count != 0 && submission->values == NULL)
		return ps_error(PENSTOCK_MISUSE, "%zu values are promised, but values is NULL", submission->value_count);
	return PENSTOCK_OK;
}

/* What is asked for, and who listens. */
INLINED int check_terms(const penstock_submission *submission, bool with_handle)
{
	if ((unsigned)submission->ack > PENSTOCK_ACK_DURABLE || (submission->flags & ~FLAGS) != 0)
		return ps_error(PENSTOCK_MISUSE, "the submission's ack or flags are none of those there are");
	if ((submission->flags & PENSTOCK_CANCELLABLE) != 0 && !with_handle)
		return ps_error(PENSTOCK_MISUSE, CANCELLABLE_NEEDS_HANDLE);
	if (with_handle && submission->on_complete != NULL)
		return ps_error(PENSTOCK_MISUSE, "a submission has a handle or a callback, not both");
	if (submission->completions != NULL && submission->on_complete != NULL)
		return ps_error(PENSTOCK_MISUSE, "a submission has a completion queue or a callback, not both");
	if (submission->ack == PENSTOCK_ACK_NONE &&
	    (with_handle || submission->on_complete != NULL || submission->completions != NULL))
		return ps_error(PENSTOCK_MISUSE, "PENSTOCK_ACK_NONE means that nobody listens; drop the handle, the callback or"
		                                 " the completion queue");
	return PENSTOCK_OK;
}

/* In the completion queue, for the handle, of which its taker has a claim, and the caller another one if it wants a handle. */
static int take_place(penstock_completions *queue, struct pending *pending, bool with_handle)
{
	int status = ps_completions_take_place(queue);

	/* Room in the ring is not what is waited for: who submits may be who takes. */
	pending->final = true;
	if (status != PENSTOCK_OK)
		return status;
	pending->handle->completions = queue;
	if (with_handle)
		ps_handle_add_claim(pending->handle);
	return PENSTOCK_OK;
}

/* Of what was refused. */
static void drop_handle(penstock_handle *handle)
{
	if (handle->completions != NULL)
		ps_completions_give_back(handle->completions, 1);
	ps_handle_free(handle);
}

static int check_submission(const penstock_submission *submission, bool with_handle)
{
	int status;

	if (submission == NULL)
		return ps_error(PENSTOCK_MISUSE, "the submission is NULL");
	status = check_statement(submission);
	return status == PENSTOCK_OK ? check_terms(submission, with_handle) : status;
}

INLINED int find_listener(const penstock_submission *submission, struct pending *pending, bool with_handle)
{
	struct ps_record *record = pending->record;

	record->listener_kind = PS_LISTENER_NONE;
	record->submit_nsec = 0;
	if (with_handle || submission->completions != NULL) {
		pending->handle = ps_handle_new(0);
		if (pending->handle == NULL)
			return ps_error(PENSTOCK_NOMEM, "out of memory for a handle");
		if (submission->completions != NULL) {
			int status = take_place(submission->completions, pending, with_handle);

			if (status != PENSTOCK_OK)
				return status;
		}
		record->listener_kind = PS_LISTENER_HANDLE;
		record->listener.handle = pending->handle;
		if ((record->asks & PS_ASKS_CANCELLABLE) != 0)
			ps_cancel_allow(pending->handle);
	} else if (submission->on_complete != NULL) {
		record->listener_kind = PS_LISTENER_CALLBACK;
		record->listener.callback = submission->on_complete;
	}
	if (record->listener_kind != PS_LISTENER_NONE)
		record->submit_nsec = ps_clock_nsec();
	return PENSTOCK_OK;
}

static size_t sql_length(const penstock_submission *submission)
{
	if (submission->sql == NULL)
		return 0;
	return submission->sql_bytes >= 0 ? length_of(submission->sql_bytes) : strlen(submission->sql);
}

static uint8_t asks_of(const penstock_submission *submission)
{
	return (submission->ack == PENSTOCK_ACK_DURABLE ? PS_ASKS_DURABLE : 0) |
	       ((submission->flags & PENSTOCK_CANCELLABLE) != 0 ? PS_ASKS_CANCELLABLE : 0);
}

/* The block of a payload outside the slot, of which so many bytes are known. */
static int allocate_payload(struct pending *pending)
{
	struct ps_record *record = pending->record;

	record->payload.heap.size = pending->bytes;
	/* Values may share their bytes: what they come to may be more than there are addresses. */
	if ((size_t)pending->bytes == pending->bytes)
		record->payload.heap.data = malloc((size_t)pending->bytes);
	if (record->payload.heap.data == NULL)
		return ps_error(PENSTOCK_NOMEM, "out of memory for a submission of %llu bytes",
		                (unsigned long long)pending->bytes);
	return PENSTOCK_OK;
}

static int enqueue(penstock *db, struct pending *pending, bool may_wait);

static bool may_wait(int64_t timeout_usec)
{
	return timeout_usec != 0 && !ps_in_callback();
}

/* Whether a payload outside the slot is to be copied: much is not copied only to be refused. Who will wait for room copies before. */
static int look_ahead(penstock *db, struct pending *pending, int64_t timeout_usec)
{
	int status;

	pending->looks = true;
	status = enqueue(db, pending, may_wait(timeout_usec));
	pending->looks = false;
	pending->refused = status != PENSTOCK_OK && pending->final;
	return pending->refused ? status : PENSTOCK_OK;
}

/*
 * Does all that can be done before there is a slot. This alone reads the caller's memory, which may take any time (a page that
 * is swapped out, or on a network): what is between claim and publish holds up everybody, and what is in the section every verb.
 */
static int prepare(penstock *db, const penstock_submission *submission, struct pending *pending, int64_t timeout_usec,
                   bool with_handle)
{
	struct ps_record *record = pending->record;
	size_t sql_bytes = sql_length(submission);
	int status;

	status = ps_record_measure(submission, sql_bytes, &pending->bytes);
	if (status != PENSTOCK_OK)
		return status;
	record->statement = submission->statement;
	record->arg = submission->arg;
	record->value_count = (uint32_t)submission->value_count;
	record->asks = asks_of(submission);
	if (submission->deadline_usec != 0)
		pending->bytes += PS_DEADLINE_BYTES;
	record->kind = (submission->flags & PENSTOCK_RUN_ALONE) != 0 ? PS_KIND_ALONE : PS_KIND_STATEMENT;
	record->on_heap = pending->bytes > PS_INLINE_BYTES;
	/* A copy, and a thread's first section, may take long enough for a close to come and go. */
	if (record->on_heap || !ps_rcu_is_registered()) {
		if (record->on_heap)
			record->payload.heap.data = NULL;
		status = ps_engine_enter(db);
		if (status != PENSTOCK_OK)
			return status;
		pending->inside = true;
	}
	status = find_listener(submission, pending, with_handle);
	if (status != PENSTOCK_OK)
		return status;
	if (record->on_heap) {
		status = look_ahead(db, pending, timeout_usec);
		if (status == PENSTOCK_OK)
			status = allocate_payload(pending);
		if (status != PENSTOCK_OK)
			return status;
		ps_record_encode(record->payload.heap.data, submission, sql_bytes);
	} else {
		ps_record_encode(record->payload.bytes, submission, sql_bytes);
	}
	if (submission->deadline_usec != 0)
		ps_record_set_deadline(record, ps_deadline_at(submission->deadline_usec));
	return PENSTOCK_OK;
}

/* In the section: what only the engine's state and the ticket tell. */
static void fill(const penstock *db, const struct ps_state *state, const struct ps_claim *claim, const struct pending *pending)
{
	penstock_handle *handle = pending->handle;

	*claim->record = *pending->record;
	if (handle != NULL) {
		handle->default_timeout_usec =
			state->keys.results_timeout_ms < 0 ? PENSTOCK_FOREVER : state->keys.results_timeout_ms * 1000;
		handle->spin_usec = state->keys.spin_usec;
		handle->bell = db->batch.entries.bell;
		handle->ticket = claim->ticket;
	} else if (claim->record->listener_kind == PS_LISTENER_NONE && claim->ticket % SAMPLE_EVERY == 0) {
		claim->record->submit_nsec = ps_clock_nsec();
	}
}

/*
 * A slot, and the bytes of what lies outside of it. The slot is looked at first: bytes that are only taken to be given back
 * could turn away one that waits for room, in its last look, when no release will follow. Where the slot is lost after the
 * look, whoever waits is told (the return is a full barrier, as E2 wants it).
 */
static bool claim_slot(struct ps_ring *ring, struct pending *pending, uint64_t bytes_max, struct ps_claim *claim)
{
	if (!pending->record->on_heap)
		return ps_ring_claim(ring, claim);
	if (!ps_ring_has_room(ring, pending->turn))
		return false;
	if (pending->looks)
		return ps_ring_has_bytes(ring, pending->turn, pending->bytes, bytes_max);
	if (!ps_ring_reserve_bytes(ring, pending->turn, pending->bytes, bytes_max)) {
		if (pending->behind == 0)
			pending->behind = ps_ring_tail(ring);
		pending->passed = ps_ring_head(ring) >= pending->behind;
		return false;
	}
	if (ps_ring_claim_in_turn(ring, pending->turn, claim))
		return true;
	ps_ring_return_bytes(ring, pending->bytes);
	ps_eventcount_broadcast(&ring->room);
	return false;
}

/*
 * One attempt. The state is read and the slot published inside one section: after a verb's grace period nobody is between
 * "saw RUNNING" and "published" (state.h). Nothing in it sleeps. FULL: no room; with may_wait the caller is then counted
 * inside, so that the engine outlives its sleep. One that only looks claims nothing.
 */
static int enqueue(penstock *db, struct pending *pending, bool may_wait)
{
	const struct ps_record *record = pending->record;
	const struct ps_state *state;
	struct ps_claim claim;
	int status;

	pending->final = true;
	ps_rcu_enter();
	if (db->fork_generation != ps_fork_generation()) {
		ps_state_leave(&db->state);
		return ps_refuse(PENSTOCK_FORKED);
	}
	state = ps_state_read(&db->state);
	status = state->admit;
	if (record->statement != NULL && record->statement->db != db) {
		status = ps_error(PENSTOCK_MISUSE, "the statement is registered with another engine");
	} else if (pending->handle != NULL && pending->handle->completions != NULL &&
	           pending->handle->completions->engine != db->number) {
		status = ps_error(PENSTOCK_MISUSE, "the completion queue belongs to another engine");
	} else if (status != PENSTOCK_OK) {
		ps_refuse(status);
	} else if ((record->asks & PS_ASKS_DURABLE) != 0 && state->keys.synchronous == PENSTOCK_SYNCHRONOUS_OFF) {
		status = ps_error(PENSTOCK_MISUSE, "durable outcomes need the key synchronous to be normal, full or extra");
	} else if (!claim_slot(&db->ring, pending, (uint64_t)state->keys.ring_bytes, &claim)) {
		status = ps_refuse(PENSTOCK_FULL);
	} else if (!pending->looks) {
		fill(db, state, &claim, pending);
		ps_ring_publish(&db->ring, &claim);
		/* Not before: who looks would make the hole wide that the writer may see. */
		PS_PROBE(submit, db, claim.ticket, pending->bytes);
	}
	if (status == PENSTOCK_FULL) {
		pending->final = !may_wait || state->keys.when_full == PENSTOCK_WHEN_FULL_FAIL;
		if (!pending->met_full) {
			ps_add_u64(&db->counters.full_events, 1);
			PS_PROBE(full, db, pending->bytes, !pending->final);
		}
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

/* Counts what was refused before it came to the ring. */
static int refuse(penstock *db, int status)
{
	if (!ps_engine_look(db))
		status = ps_refuse(PENSTOCK_FORKED);
	else
		ps_add_u64(&db->counters.refused[status], 1);
	ps_engine_leave(db);
	return status;
}

/* Sleeps until there is room, the state changes or the deadline passes. */
static int enqueue_when_room(penstock *db, struct pending *pending, int64_t timeout_usec)
{
	uint64_t started = ps_clock_nsec();
	uint64_t deadline = ps_engine_deadline(db, timeout_usec);
	struct ps_turn turn;
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
			status = ps_refuse(PENSTOCK_FULL);
			ps_add_u64(&db->counters.refused[PENSTOCK_FULL], 1);
			break;
		}
		if (pending->passed && pending->turn == NULL) {
			ps_eventcount_cancel(&db->ring.room);
			pending->turn = &turn;
			ps_line_join(&db->ring.line, &turn);
			continue;
		}
		ps_eventcount_wait(&db->ring.room, key, deadline);
	}
	if (pending->turn != NULL) {
		ps_line_leave(&db->ring.line, &turn);
		ps_eventcount_broadcast(&db->ring.room);
	}
	ps_add_u64(&db->counters.full_nsec, ps_clock_nsec() - started);
	return status;
}

/* What has been prepared, if it was. */
INLINED int finish(penstock *db, struct pending *pending, int status, int64_t timeout_usec, penstock_handle **handle)
{
	if (status == PENSTOCK_OK)
		status = enqueue(db, pending, may_wait(timeout_usec));
	else if (!pending->refused && status != PENSTOCK_STOPPED &&
	         status != PENSTOCK_FORKED) /* then it is closed, and may be gone */
		status = refuse(db, status);
	if (status == PENSTOCK_FULL && !pending->final)
		status = enqueue_when_room(db, pending, timeout_usec);
	if (pending->inside)
		ps_engine_leave(db);
	if (status != PENSTOCK_OK) {
		ps_record_retire(pending->record);
		if (pending->handle != NULL)
			drop_handle(pending->handle);
	} else if (handle != NULL) {
		*handle = pending->handle;
	}
	return status;
}

int penstock_submit(penstock *db, const penstock_submission *submission, int64_t timeout_usec, penstock_handle **handle)
{
	struct ps_record record;
	struct pending pending = { .record = &record };
	penstock_submission own;
	int status = PENSTOCK_OK;

	if (handle != NULL)
		*handle = NULL;
	if (db == NULL)
		return ps_error(PENSTOCK_MISUSE, "the engine is NULL");
	record.on_heap = 0;
	if (submission != NULL && submission->struct_size != sizeof *submission) {
		status = take_submission(submission, &own);
		submission = &own;
	}
	if (status == PENSTOCK_OK)
		status = check_submission(submission, handle != NULL);
	if (status == PENSTOCK_OK)
		status = prepare(db, submission, &pending, timeout_usec, handle != NULL);
	return finish(db, &pending, status, timeout_usec, handle);
}

/* ---- groups ---- */

/* The thread's message, with the member that it is about. */
static int name_member(int status, size_t index)
{
	char message[256];

	snprintf(message, sizeof message, "%s", penstock_error_message());
	return ps_error(status, "member %zu of the group: %s", index, message);
}

/* One of the caller's members, as this library knows it. */
static int take_member(const penstock_submission *members, size_t index, penstock_submission *own)
{
	const size_t size = members->struct_size, terms = offsetof(penstock_submission, ack);
	const penstock_submission *given = (const penstock_submission *)((const char *)members + index * size);
	int status;

	if (given->struct_size != size)
		return ps_error(PENSTOCK_MISUSE, "struct_size is %zu, and that of the first %zu", given->struct_size, size);
	status = take_submission(given, own);
	for (size_t i = terms; status == PENSTOCK_OK && i < sizeof *own; i++) {
		if (((const char *)own)[i] != 0)
			return ps_error(PENSTOCK_MISUSE,
			                "it has terms of its own (ack, flags, a listener and what follows them);"
			                " give them to the whole");
	}
	return status == PENSTOCK_OK ? check_statement(own) : status;
}

/* What the members' payload takes. */
static int measure_members(const penstock_submission *members, size_t count, uint64_t *total)
{
	penstock_submission member;
	uint64_t bytes;
	int status;

	*total = 0;
	for (size_t i = 0; i < count; i++) {
		status = take_member(members, i, &member);
		if (status == PENSTOCK_OK)
			status = ps_record_measure(&member, sql_length(&member), &bytes);
		if (status != PENSTOCK_OK)
			return name_member(status, i);
		*total += ps_group_bytes(bytes);
	}
	return PENSTOCK_OK;
}

/* Writes them, as they were measured. */
static int encode_members(penstock *db, const penstock_submission *members, size_t count, unsigned char *data)
{
	penstock_submission member;
	size_t sql_bytes;
	uint64_t bytes;

	for (size_t i = 0; i < count; i++) {
		take_member(members, i, &member);
		if (member.statement != NULL && member.statement->db != db)
			return name_member(ps_error(PENSTOCK_MISUSE, "the statement is registered with another engine"), i);
		sql_bytes = sql_length(&member);
		ps_record_measure(&member, sql_bytes, &bytes);
		data = ps_group_put(data, &member, sql_bytes, bytes);
	}
	return PENSTOCK_OK;
}

/* What stands for a whole, as this library knows it; NULL: the defaults. */
static int take_whole(const penstock_submission *given, penstock_submission *own)
{
	*own = (penstock_submission)PENSTOCK_SUBMISSION_INIT;
	return given != NULL ? take_submission(given, own) : PENSTOCK_OK;
}

/* It has no statement of its own. */
static int check_whole(const penstock_submission *whole, const char *of_what, bool with_handle)
{
	if (whole->sql != NULL || whole->statement != NULL || whole->values != NULL || whole->value_count != 0)
		return ps_error(PENSTOCK_MISUSE, "what stands for the whole %s has SQL, a statement or values: leave them out",
		                of_what);
	return check_terms(whole, with_handle);
}

static int check_group(const penstock_submission *members, size_t count, const penstock_submission *whole, bool with_handle)
{
	if (members == NULL || count == 0)
		return ps_error(PENSTOCK_MISUSE, "a group needs at least one member");
	if (count > PENSTOCK_GROUP_MAX)
		return ps_error(PENSTOCK_TOOBIG, "%zu members are too many for a group, which may have %d", count,
		                PENSTOCK_GROUP_MAX);
	return check_whole(whole, "group", with_handle);
}

/* As prepare. */
static int prepare_group(penstock *db, const penstock_submission *members, size_t count, const penstock_submission *whole,
                         struct pending *pending, int64_t timeout_usec, bool with_handle)
{
	struct ps_record *record = pending->record;
	int status = measure_members(members, count, &pending->bytes);

	if (status != PENSTOCK_OK)
		return status;
	record->statement = NULL;
	record->arg = whole->arg;
	record->value_count = (uint32_t)count;
	record->asks = asks_of(whole) | ((whole->flags & PENSTOCK_RUN_ALONE) != 0 ? PS_ASKS_ALONE : 0);
	if (whole->deadline_usec != 0)
		pending->bytes += PS_DEADLINE_BYTES;
	record->kind = PS_KIND_GROUP;
	status = ps_engine_enter(db);
	if (status != PENSTOCK_OK)
		return status;
	pending->inside = true;
	record->on_heap = 1;
	record->payload.heap.data = NULL;
	status = find_listener(whole, pending, with_handle);
	if (status == PENSTOCK_OK)
		status = look_ahead(db, pending, timeout_usec);
	if (status == PENSTOCK_OK)
		status = allocate_payload(pending);
	if (status == PENSTOCK_OK)
		status = encode_members(db, members, count, record->payload.heap.data);
	if (status == PENSTOCK_OK && whole->deadline_usec != 0)
		ps_record_set_deadline(record, ps_deadline_at(whole->deadline_usec));
	return status;
}

int penstock_submit_group(penstock *db, const penstock_submission *members, size_t count, const penstock_submission *whole,
                          int64_t timeout_usec, penstock_handle **handle)
{
	struct ps_record record;
	struct pending pending = { .record = &record };
	penstock_submission own;
	int status;

	if (handle != NULL)
		*handle = NULL;
	if (db == NULL)
		return ps_error(PENSTOCK_MISUSE, "the engine is NULL");
	record.on_heap = 0;
	status = take_whole(whole, &own);
	if (status == PENSTOCK_OK)
		status = check_group(members, count, &own, handle != NULL);
	if (status == PENSTOCK_OK)
		status = prepare_group(db, members, count, &own, &pending, timeout_usec, handle != NULL);
	return finish(db, &pending, status, timeout_usec, handle);
}

/* ---- functions ---- */

int ps_submit_record(penstock *db, struct ps_record *record, const penstock_submission *whole, int64_t timeout_usec,
                     penstock_handle **handle)
{
	struct pending pending = { .record = record };
	penstock_submission own;
	int status = take_whole(whole, &own);

	record->on_heap = 0;
	record->statement = NULL;
	record->value_count = 0;
	record->arg = own.arg;
	record->asks = asks_of(&own);
	if (status == PENSTOCK_OK)
		status = check_whole(&own, "call", handle != NULL);
	if (own.deadline_usec != 0)
		ps_record_set_deadline(record, ps_deadline_at(own.deadline_usec));
	/* A thread's first section may take long enough for a close to come and go. */
	if (status == PENSTOCK_OK && !ps_rcu_is_registered()) {
		status = ps_engine_enter(db);
		pending.inside = status == PENSTOCK_OK;
	}
	if (status == PENSTOCK_OK)
		status = find_listener(&own, &pending, handle != NULL);
	return finish(db, &pending, status, timeout_usec, handle);
}

int penstock_try_submit(penstock *db, const penstock_submission *submission, penstock_handle **handle)
{
	return penstock_submit(db, submission, 0, handle);
}

static bool names_queue(const penstock_submission *submission)
{
	return submission != NULL &&
	       submission->struct_size >= offsetof(penstock_submission, completions) + sizeof submission->completions &&
	       submission->completions != NULL;
}

static bool is_cancellable(const penstock_submission *submission)
{
	return submission != NULL &&
	       submission->struct_size >= offsetof(penstock_submission, flags) + sizeof submission->flags &&
	       (submission->flags & PENSTOCK_CANCELLABLE) != 0;
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
	/* Nobody could cancel it: the handle is not the caller's. */
	if (result == NULL && is_cancellable(submission)) {
		status = refuse(db, ps_error(PENSTOCK_MISUSE, CANCELLABLE_NEEDS_HANDLE));
		ps_engine_leave(db);
		return status;
	}
	if (names_queue(submission)) {
		status = refuse(db, ps_error(PENSTOCK_MISUSE, "penstock_execute waits by itself; drop the completion queue, or"
		                                              " submit with penstock_submit"));
		ps_engine_leave(db);
		return status;
	}
	deadline = ps_engine_deadline(db, timeout_usec);
	status = penstock_submit(db, submission, timeout_usec, &handle);
	/* The handle outlives the engine. */
	ps_engine_leave(db);
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
