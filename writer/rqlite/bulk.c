/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/bulk.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/probe.h"
#include "queue/group.h"
#include "writer/attempt.h"
#include "writer/registry.h"

/* Between two rounds of asking the nodes. */
#define ROUND_MSEC 20

#define STATEMENTS "/db/request?blob_array&level=linearizable"
#define GROUP "/db/execute?transaction"

static struct ps_bulk *bulk_of(const struct ps_batch *batch)
{
	return (struct ps_bulk *)batch->store;
}

/* ---- what is sent ---- */

static bool runs_alone(const struct ps_record *record)
{
	return record->kind != PS_KIND_STATEMENT;
}

static const char *read_statement(struct ps_bulk *bulk, const struct ps_record *record)
{
	const char *sql;
	size_t bytes;

	if (record->statement != NULL) {
		sql = record->statement->text.data;
		bytes = record->statement->text.bytes;
	} else {
		sql = ps_record_sql(record, &bytes);
	}
	return ps_statement_read(&bulk->statement, sql, bytes);
}

/* NULL: it is in the request. */
static const char *add_statement(struct ps_bulk *bulk, uint64_t ticket, const struct ps_record *record, int *code)
{
	const char *refusal = read_statement(bulk, record);

	*code = SQLITE_AUTH;
	if (refusal != NULL)
		return refusal;
	if (bulk->sent_count == bulk->sent_capacity) {
		size_t capacity = bulk->sent_capacity == 0 ? 64 : bulk->sent_capacity * 2;
		struct ps_bulk_sent *sent = reallocarray(bulk->sent, capacity, sizeof *sent);

		*code = SQLITE_NOMEM;
		if (sent == NULL)
			return "out of memory";
		bulk->sent = sent;
		bulk->sent_capacity = capacity;
	}
	refusal = ps_request_add(&bulk->request, &bulk->statement, record, code);
	if (refusal == NULL)
		bulk->sent[bulk->sent_count++] = (struct ps_bulk_sent){ .ticket = ticket,
			                                                .effect = bulk->statement.effect,
			                                                .returning = bulk->statement.returning,
			                                                .upserts = bulk->statement.upserts };
	return refusal;
}

/* A transaction does not roll back for everything that goes wrong in a SELECT or RETURNING. */
static const char *add_group(struct ps_bulk *bulk, uint64_t ticket, const struct ps_record *record, uint32_t *failing,
                             int *code)
{
	const unsigned char *data = ps_group_first(record);
	struct ps_record member;
	const char *refusal = NULL;

	for (*failing = 0; *failing < record->value_count && refusal == NULL; ++*failing) {
		data = ps_group_get(data, &member);
		refusal = add_statement(bulk, ticket, &member, code);
		if (refusal == NULL && (bulk->statement.effect == PS_EFFECT_READ || bulk->statement.returning)) {
			*code = SQLITE_AUTH;
			refusal = "a group for a cluster has no SELECT and no RETURNING";
		}
	}
	return refusal;
}

/* Puts an entry into the request, or gives it its outcome; behind this there is memory for one. */
static void add(struct ps_batch *batch, uint64_t ticket)
{
	struct ps_bulk *bulk = bulk_of(batch);
	const struct ps_record *record = ps_ring_at(batch->ring, ticket);
	struct ps_outcome scratch, *outcome = ps_entries_begin_run(&batch->entries, ticket, &scratch);
	uint32_t failing = 0;
	const char *refusal;
	int code;

	if (outcome == NULL)
		return;
	if (record->kind == PS_KIND_GROUP)
		refusal = add_group(bulk, ticket, record, &failing, &code);
	else
		refusal = add_statement(bulk, ticket, record, &code);
	if (refusal == NULL)
		return;
	bulk->sent_count -= record->kind == PS_KIND_GROUP ? bulk->sent_count : 0;
	ps_outcome_fail(outcome, PENSTOCK_ERROR, code, refusal);
	outcome->failing = failing;
	ps_entries_end_run(&batch->entries, ticket, outcome);
}

/* Enters what is there, from `first` until the batch is filled, and begins it. Returns the ticket behind the last. */
static uint64_t fill(struct ps_batch *batch, uint64_t first, uint64_t limit)
{
	struct ps_bulk *bulk = bulk_of(batch);
	uint64_t bytes = 0, next = first;
	const struct ps_record *record;

	bulk->sent_count = 0;
	ps_request_begin(&bulk->request);
	while (next < limit && bytes < (uint64_t)batch->keys.batch_bytes &&
	       (record = ps_ring_peek(batch->ring, next)) != NULL) {
		if (next > first && runs_alone(record))
			break;
		ps_entries_enter(&batch->entries, next, record);
		bytes += record->on_heap ? record->payload.heap.size : PS_INLINE_BYTES;
		add(batch, next);
		next++;
		if (runs_alone(record))
			break;
	}
	return next;
}

/* Before it is sent again: without what is too late by now. */
static void fill_again(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	struct ps_bulk *bulk = bulk_of(batch);
	uint64_t ticket;

	bulk->sent_count = 0;
	ps_request_begin(&bulk->request);
	for (ticket = first; ticket < end; ticket++) {
		if (ps_entries_failed(&batch->entries, ticket))
			continue;
		if (ps_deadline_passed(ps_record_deadline(ps_ring_at(batch->ring, ticket))))
			ps_entries_fail(&batch->entries, ticket, PENSTOCK_EXPIRED, SQLITE_OK,
			                "its deadline passed before a node had taken it");
		else
			add(batch, ticket);
	}
}

/* ---- what came of it ---- */

/* Of what is in the request. */
static void fail_sent(struct ps_batch *batch, penstock_status status, int code, const char *message)
{
	struct ps_bulk *bulk = bulk_of(batch);
	size_t i;

	for (i = 0; i < bulk->sent_count; i++)
		ps_entries_fail(&batch->entries, bulk->sent[i].ticket, status, code, message);
}

static void fail_away(struct ps_batch *batch)
{
	char message[600];

	if (ps_patience_gives_up(&batch->patience)) {
		fail_sent(batch, PENSTOCK_SHUTDOWN, SQLITE_OK, PS_GIVEN_UP);
		return;
	}
	snprintf(message, sizeof message, "no node of the cluster takes it: %s", bulk_of(batch)->cluster.reason);
	fail_sent(batch, PENSTOCK_ERROR, SQLITE_BUSY, message);
}

static void take_statement(struct ps_batch *batch, const struct ps_bulk_sent *sent)
{
	struct ps_bulk *bulk = bulk_of(batch);
	const struct ps_record *record = ps_ring_at(batch->ring, sent->ticket);
	struct ps_statement statement = { .effect = sent->effect, .returning = sent->returning, .upserts = sent->upserts };
	struct ps_outcome scratch, *outcome = ps_entries_begin_run(&batch->entries, sent->ticket, &scratch);

	ps_answer_take(&bulk->answer, &statement, record->listener_kind != PS_LISTENER_NONE,
	               (uint64_t)batch->keys.result_bytes_max, outcome);
	ps_entries_end_run(&batch->entries, sent->ticket, outcome);
}

/* Each member's result is the group's memory. */
static void take_members(struct ps_batch *batch, bool wanted, struct ps_outcome *whole)
{
	struct ps_bulk *bulk = bulk_of(batch);
	penstock_result *results = wanted ? ps_outcome_allocate(whole, bulk->sent_count * sizeof *results) : NULL;
	size_t i;

	if (bulk->answer.failing != 0) {
		struct ps_statement statement = { .effect = bulk->sent[bulk->answer.failing - 1].effect };

		ps_answer_take(&bulk->answer, &statement, false, 0, whole);
		whole->failing = bulk->answer.failing;
		return;
	}
	for (i = 0; i < bulk->sent_count && whole->result.status == PENSTOCK_OK; i++) {
		struct ps_statement statement = { .effect = bulk->sent[i].effect, .upserts = bulk->sent[i].upserts };
		struct ps_outcome own = { .result = { .message = "", .arg = NULL }, .blocks = whole->blocks };

		ps_answer_take(&bulk->answer, &statement, wanted, 0, &own);
		whole->blocks = own.blocks;
		if (own.result.status != PENSTOCK_OK) {
			*whole = own;
			whole->result.changes = 0;
			return;
		}
		whole->result.changes += own.result.changes;
		/* last_insert_rowid() lasts within a transaction. */
		if (own.result.last_insert_rowid == 0)
			own.result.last_insert_rowid = whole->result.last_insert_rowid;
		whole->result.last_insert_rowid = own.result.last_insert_rowid;
		if (results != NULL)
			results[i] = own.result;
	}
	whole->result.members = results;
}

static void take_group(struct ps_batch *batch, uint64_t ticket)
{
	struct ps_outcome scratch, *outcome = ps_entries_begin_run(&batch->entries, ticket, &scratch);

	take_members(batch, ps_ring_at(batch->ring, ticket)->listener_kind != PS_LISTENER_NONE, outcome);
	ps_entries_end_run(&batch->entries, ticket, outcome);
}

static void count_commit(struct ps_batch *batch, uint64_t statements, uint64_t started)
{
	uint64_t took = ps_clock_nsec() - started;

	PS_PROBE(commit, batch->ring->owner, statements, took);
	ps_count(batch->counters, &batch->counters->writer.batches, 1);
	ps_count_in(batch->counters, &batch->counters->writer.batch_size, statements);
	ps_count_in(batch->counters, &batch->counters->writer.commit_nsec, took);
	ps_counters_publish(batch->counters);
}

/* Reads the answer. False: nothing was applied, and it may be sent again. */
static bool take_answer(struct ps_batch *batch, bool group, uint64_t started)
{
	struct ps_bulk *bulk = bulk_of(batch);
	const struct ps_http *http = &bulk->cluster.http;
	enum ps_answer_kind kind = ps_answer_read(&bulk->answer, http->body, http->bytes, bulk->sent_count, group);
	size_t i;

	switch (kind) {
	case PS_ANSWER_RESULTS:
		if (group)
			take_group(batch, bulk->sent[0].ticket);
		for (i = 0; i < bulk->sent_count && !group; i++)
			take_statement(batch, &bulk->sent[i]);
		count_commit(batch, bulk->sent_count, started);
		break;
	case PS_ANSWER_FAILED:
		fail_sent(batch, PENSTOCK_ERROR, ps_answer_code(bulk->answer.reason), bulk->answer.reason);
		break;
	case PS_ANSWER_NOT_APPLIED:
		ps_cluster_lose(&bulk->cluster, bulk->answer.reason);
		break;
	case PS_ANSWER_UNKNOWN:
		ps_cluster_lose(&bulk->cluster, bulk->answer.reason);
		fail_sent(batch, PENSTOCK_UNKNOWN, SQLITE_IOERR, bulk->answer.reason);
		break;
	}
	ps_answer_free(&bulk->answer);
	return kind != PS_ANSWER_NOT_APPLIED;
}

/* ---- sending ---- */

/* While a node is waited for: those behind the batch that are cancelled or too late hear of it. */
static bool goes_on(void *arg)
{
	struct ps_batch *batch = arg;

	ps_reaper_reap(&batch->reaper);
	return !ps_patience_gives_up(&batch->patience);
}

/* A moment in which those that are cancelled or too late hear of it. False: no other round. */
static bool rest_a_round(struct ps_batch *batch)
{
	struct timespec moment = ps_timespec(PS_NSEC_PER_MSEC);
	unsigned i;

	if (!ps_patience_retry(&batch->patience))
		return false;
	for (i = 1; i < ROUND_MSEC && ps_patience_lasts(&batch->patience); i++) {
		nanosleep(&moment, NULL);
		ps_reaper_reap(&batch->reaper);
	}
	return true;
}

/* Sends the request once. False: it was not applied, for sure. */
static bool send_once(struct ps_batch *batch, bool group, uint64_t started)
{
	struct ps_bulk *bulk = bulk_of(batch);

	switch (ps_cluster_ask(&bulk->cluster, group ? GROUP : STATEMENTS, bulk->request.text, bulk->request.bytes)) {
	case PS_HTTP_ANSWERED:
		return take_answer(batch, group, started);
	case PS_HTTP_REFUSED:
		fail_sent(batch, PENSTOCK_ERROR, bulk->cluster.http.status == 401 ? SQLITE_AUTH : SQLITE_ERROR,
		          bulk->cluster.reason);
		return true;
	case PS_HTTP_NOT_SENT:
		return false;
	default:
		fail_sent(batch, PENSTOCK_UNKNOWN, SQLITE_IOERR, bulk->cluster.reason);
		return true;
	}
}

/* Sends [first, end), which is in the request, until it may have been applied or there is no time left. */
static void send_until_taken(struct ps_batch *batch, uint64_t first, uint64_t end)
{
	struct ps_bulk *bulk = bulk_of(batch);
	bool group = ps_ring_at(batch->ring, first)->kind == PS_KIND_GROUP;
	uint64_t started = ps_clock_nsec();

	while (bulk->sent_count > 0) {
		if (!ps_request_end(&bulk->request)) {
			fail_sent(batch, PENSTOCK_ERROR, SQLITE_NOMEM, "out of memory");
			return;
		}
		if (ps_cluster_find(&bulk->cluster) && send_once(batch, group, started)) {
			ps_patience_renew(&batch->patience);
			return;
		}
		if (!rest_a_round(batch)) {
			fail_away(batch);
			return;
		}
		fill_again(batch, first, end);
	}
}

/* Without a leader. False: the time is over; or the first one has been told meanwhile. */
static bool find_leader(struct ps_batch *batch, const struct ps_record *first)
{
	while (!ps_cluster_find(&bulk_of(batch)->cluster)) {
		if (!rest_a_round(batch) || (first->asks & PS_ASKS_TOLD) != 0)
			return false;
	}
	return true;
}

bool ps_bulk_run(struct ps_batch *batch, uint64_t *next, uint64_t limit, uint64_t *entered)
{
	const struct ps_record *record = ps_ring_at(batch->ring, *next);
	uint64_t first = *next;
	bool found = false;

	bulk_of(batch)->cluster.http.goes_on = goes_on;
	bulk_of(batch)->cluster.http.arg = batch;
	if ((record->asks & PS_ASKS_TOLD) == 0) {
		if (limit - first > (uint64_t)batch->keys.batch_max)
			limit = first + (uint64_t)batch->keys.batch_max;
		if (limit - first > batch->entries.capacity)
			limit = first + batch->entries.capacity;
		found = find_leader(batch, record);
	}
	if ((record->asks & PS_ASKS_TOLD) != 0) {
		ps_batch_pass_told(batch, next, limit);
		return true;
	}
	*next = *entered = fill(batch, first, limit);
	if (found)
		send_until_taken(batch, first, *next);
	else
		fail_away(batch);
	ps_entries_deliver(&batch->entries, first, *next, PS_PASS_ALL);
	ps_ring_release(batch->ring, *next);
	return true;
}

bool ps_bulk_rest(struct ps_batch *batch)
{
	(void)batch;
	return true;
}
