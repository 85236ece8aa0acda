/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/engine.h"

#include <pthread.h>

#include "tests/equivalence/functions.h"
#include "tests/equivalence/outcome.h"
#include "tests/equivalence/sides.h"
#include "tests/kit.h"

#define READ_EACH 50 /* statements */
#define PRODUCERS 3

struct producer {
	pthread_t thread;
	penstock *db;
	struct pending *pending;
	size_t count;
};

static void take_result(struct pending *pending, const penstock_result *result)
{
	char *text;

	__atomic_add_fetch(&pending->outcomes, 1, __ATOMIC_RELAXED);
	if (pending->outcome == NULL) {
		text = text_of_result(pending->statement, result);
		check(asprintf(&pending->outcome, "%s%s", text, pending->run.log != NULL ? pending->run.log : "") >= 0);
		free(text);
	}
	pending->ticket = result->ticket;
}

static void completed(void *arg, const penstock_result *result)
{
	take_result(arg, result);
}

static void failed_unheard(void *arg, const penstock_result *result)
{
	(void)arg;
	take_result(result->arg, result);
}

/* What is to run; the text is the caller's to free. */
static char *fill_in(penstock *db, const struct statement *statement, penstock_submission *submission)
{
	penstock_statement *registered;
	size_t bytes;
	char *sql = text_for(statement, 'p', &bytes);

	submission->values = statement->values;
	submission->value_count = statement->value_count;
	if (statement->registered) {
		expect(penstock_statement_register(db, sql, (int64_t)bytes, &registered), PENSTOCK_OK);
		submission->statement = registered;
	} else {
		submission->sql = sql;
		submission->sql_bytes = bytes != 0 ? (int64_t)bytes : -1; /* an empty text ends with NUL */
	}
	return sql;
}

static int submit_group(penstock *db, const struct statement *group, const penstock_submission *whole, penstock_handle **handle)
{
	penstock_submission members[MEMBERS_MAX];
	char *texts[MEMBERS_MAX];
	size_t i;
	int status;

	for (i = 0; i < group->member_count; i++) {
		penstock_submission_init(&members[i]);
		texts[i] = fill_in(db, group->members[i], &members[i]);
	}
	status = penstock_submit_group(db, members, group->member_count, whole, PENSTOCK_FOREVER, handle);
	for (i = 0; i < group->member_count; i++)
		free(texts[i]);
	return status;
}

static void submit(penstock *db, struct pending *pending)
{
	const struct statement *statement = pending->statement;
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
	penstock_handle **handle = statement->listener == BY_HANDLE ? &pending->handle : NULL;
	char *sql = NULL, reason[256] = "";
	int status;

	submission.flags = statement->flags;
	submission.ack = statement->ack;
	submission.arg = pending;
	if (statement->listener == BY_CALLBACK)
		submission.on_complete = completed;
	switch (statement->ending) {
	case IN_TIME:
		submission.deadline_usec = INT64_MAX;
		break;
	case TOO_LATE:
		submission.deadline_usec = 1;
		break;
	case NEARLY_LATE:
		submission.deadline_usec = penstock_deadline(50);
		break;
	case CANCELLED:
	case NOT_CANCELLED:
		submission.flags |= PENSTOCK_CANCELLABLE;
		break;
	case ALWAYS_BEGINS:
		break;
	}
	if (statement->is_call) {
		pending->run = (struct call_run){ .call = statement, .side = 'p' };
		status = penstock_call(db, run_parts, &pending->run, &submission, PENSTOCK_FOREVER, handle);
	} else if (statement->member_count > 0) {
		status = submit_group(db, statement, &submission, handle);
	} else {
		sql = fill_in(db, statement, &submission);
		status = penstock_submit(db, &submission, PENSTOCK_FOREVER, handle);
	}
	if (status == PENSTOCK_FAILED)
		penstock_failure(db, reason, sizeof reason);
	check(status == PENSTOCK_OK, "%s %s", penstock_error_message(), reason);
	if (statement->ending == CANCELLED)
		pending->cancelled = penstock_handle_cancel(pending->handle) == PENSTOCK_OK;
	free(sql);
}

/* Somebody opens a reader, looks, and goes: nobody's outcome is another for that. */
static void read_beside(penstock *db)
{
	sqlite3 *reader;

	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	sqlite3_exec(reader, "SELECT * FROM sqlite_schema", NULL, NULL, NULL);
	check(sqlite3_close(reader) == SQLITE_OK, "a reader closes");
}

static void *produce(void *arg)
{
	struct producer *producer = arg;
	size_t i;

	for (i = 0; i < producer->count; i++)
		submit(producer->db, &producer->pending[i]);
	return NULL;
}

static penstock *open_engine(const struct setup *setup, size_t count)
{
	penstock_config config;
	penstock *db;

	penstock_config_init(&config);
	config.autostart = 0;
	config.ring_slots = setup->way == QUEUED ? (int64_t)count + 2 : setup->way == LIVE ? 16 : 64;
	config.ring_bytes = 1 << 30;
	config.batch_max = setup->batch_max;
	config.batch_usec = 0;
	config.batch_bytes = 1 << 28;
	config.statement_cache = setup->statement_cache;
	config.synchronous = setup->synchronous;
	config.wal_bytes_max = 65536 * 4;
	config.checkpoint_thread = !setup->writer_checkpoints;
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 1000;
	config.connect_hook = prepare_connection;
	config.connect_arg = (void *)setup->kinds;
	config.on_error = failed_unheard;
	if (setup->result_bytes_max != 0)
		config.result_bytes_max = setup->result_bytes_max;
	config.pragmas = setup->pragmas;
	config.pragma_count = setup->pragma_count;
	expect(penstock_open(side_path('p', "main.db"), &config, &db), PENSTOCK_OK);
	return db;
}

/* Runs all of them and fills in outcomes and tickets. */
void run_penstock(const struct setup *setup, struct pending *pending, size_t count, penstock_counters *counters)
{
	struct producer producers[PRODUCERS] = { 0 };
	size_t producer_count = setup->way == SEVERAL ? PRODUCERS : 1, i, from = 0;
	penstock *db = open_engine(setup, count);

	if (setup->way != QUEUED)
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	if (setup->way == SEVERAL) {
		/* The tables first: alone, and in order. */
		for (; from < setup->tables && from < count; from++)
			submit(db, &pending[from]);
		for (i = 0; i < producer_count; i++) {
			size_t share = (count - from) / producer_count;

			producers[i].db = db;
			producers[i].pending = pending + from + i * share;
			producers[i].count = i + 1 < producer_count ? share : count - from - i * share;
			pthread_create(&producers[i].thread, NULL, produce, &producers[i]);
		}
		for (i = 0; i < producer_count; i++)
			pthread_join(producers[i].thread, NULL);
	} else {
		for (i = 0; i < count; i++) {
			submit(db, &pending[i]);
			if (setup->way == LIVE && i % READ_EACH == READ_EACH - 1)
				read_beside(db);
		}
		if (setup->way == QUEUED)
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (i = 0; i < count; i++) {
		if (pending[i].statement->listener == BY_HANDLE) {
			penstock_handle_wait(pending[i].handle, PENSTOCK_FOREVER);
			take_result(&pending[i], penstock_handle_result(pending[i].handle));
			check(pending[i].ticket == penstock_handle_ticket(pending[i].handle), "tickets differ");
			penstock_handle_release(pending[i].handle);
		}
	}
	counters->struct_size = sizeof *counters;
	expect(penstock_counters_read(db, counters), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}
