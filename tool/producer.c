/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/producer.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tool/input.h"
#include "tool/rejects.h"
#include "tool/report.h"
#include "tool/tally.h"

static enum output_format output;

void producer_print_rows(enum output_format format)
{
	output = format;
}

void producer_outcome(void *arg, const penstock_result *result)
{
	(void)arg; /* on_error has an argument of its own; the result carries the submission's */
	if (result->status != PENSTOCK_OK) {
		/* Only a failing engine gives these while it is open. Wakes producers that sleep in a FIFO. */
		if (result->status == PENSTOCK_UNKNOWN || result->status == PENSTOCK_SHUTDOWN)
			source_stop();
		report_outcome(result);
	} else {
		atomic_fetch_add(&tally_at(place_input(result->arg))->changes, (uint64_t)result->changes);
		output_rows(output, result);
	}
}

/* The same where each outcome is told. */
static void on_complete(void *arg, const penstock_result *result)
{
	producer_outcome(arg, result);
	place_free(result->arg);
	report_done();
}

static void refused(const penstock_submission *submission, int status)
{
	if (status == PENSTOCK_FAILED || status == PENSTOCK_STOPPED || status == PENSTOCK_MISUSE)
		source_stop();
	/* That the engine failed is reported once, with the reason, when the run ends. */
	if (status != PENSTOCK_FAILED) {
		tally_read(place_input(submission->arg));
		report_refusal(submission->arg, status);
	}
	place_free(submission->arg);
}

/* Waits for each outcome, so that nothing runs behind one that fails. */
static void submit_and_wait(const struct producer *producer, penstock_submission *submission)
{
	penstock_handle *handle = NULL;
	int status = penstock_execute(producer->db, submission, PENSTOCK_FOREVER, &handle);

	if (handle == NULL) {
		refused(submission, status);
		return;
	}
	tally_read(producer->input);
	producer_outcome(NULL, penstock_handle_result(handle));
	place_free(submission->arg);
	penstock_handle_release(handle);
}

/* text: what --rejects would write. */
static void submit(const struct producer *producer, penstock_submission *submission, uint64_t line, const char *text,
                   size_t bytes)
{
	bool told = producer->ack != PENSTOCK_ACK_NONE;
	int status;

	submission->struct_size = sizeof *submission;
	submission->ack = producer->ack;
	submission->arg = producer->keeps ? place_keep(producer->input, line, text, bytes) : place_pack(producer->input, line);
	if (producer->waits) {
		submit_and_wait(producer, submission);
		return;
	}
	submission->on_complete = told ? on_complete : NULL;
	if (told)
		report_submitted();
	status = penstock_submit(producer->db, submission, PENSTOCK_FOREVER, NULL);
	if (status == PENSTOCK_OK) {
		tally_read(producer->input);
		return;
	}
	refused(submission, status);
	if (told)
		report_done();
}

/* ---- SQL ---- */

static bool submit_sql(void *arg, uint64_t line, const char *text, size_t bytes)
{
	const struct producer *producer = arg;
	penstock_submission submission = { .sql = text, .sql_bytes = (int64_t)bytes };
	char *with_end = NULL;

	if (input_is_bracket(text, bytes)) {
		atomic_fetch_add(&tally_at(producer->input)->transactions, 1);
		return true;
	}
	if (producer->keeps)
		with_end = rejects_statement(text, bytes);
	submit(producer, &submission, line, with_end != NULL ? with_end : "", with_end != NULL ? strlen(with_end) : 0);
	sqlite3_free(with_end);
	return true;
}

/* ---- CSV ---- */

static bool submit_record(void *arg, uint64_t line, const penstock_value *values, size_t count)
{
	struct producer *producer = arg;
	struct columns *columns = &producer->columns[producer->input];
	penstock_submission submission = { .statement = producer->statement, .values = producer->placed };
	size_t bytes = 0;
	char *text = NULL;
	const char *fault;
	bool extra;

	if (producer->keeps)
		text = rejects_record(&producer->records[producer->input].options, values, count, &bytes);
	fault = columns_place(columns, values, count, producer->placed, &extra);
	if (fault != NULL) {
		void *place = text != NULL ? place_keep(producer->input, line, text, bytes) : place_pack(producer->input, line);

		report_fault(place, fault);
		place_free(place);
	} else {
		if (extra && !atomic_exchange(&columns->told, true))
			report_say(
				"warning: %s:%ju: more fields than are wanted: the rest of them are left out, here and further on",
				producer->sources[producer->input].name, (uintmax_t)line);
		submission.value_count = columns->count;
		submit(producer, &submission, line, text != NULL ? text : "", bytes);
	}
	sqlite3_free(text);
	return true;
}

void producer_run(struct producer *producer)
{
	if (producer->records != NULL)
		producer->placed = calloc(producer->columns[0].count, sizeof *producer->placed);
	for (; producer->input < producer->end; producer->input++) {
		if (producer->records == NULL)
			input_read_sql(&producer->sources[producer->input], producer->input, submit_sql, producer);
		else if (producer->placed != NULL)
			input_read_csv(&producer->records[producer->input], producer->input, submit_record, producer);
		else
			report_fault(place_pack(producer->input, 1), "PENSTOCK_NOMEM: out of memory; the file was not read");
		/* Stopped or not: whoever left earlier would be waited for. */
		if (producer->barrier != NULL)
			pthread_barrier_wait(producer->barrier);
	}
	free(producer->placed);
}
