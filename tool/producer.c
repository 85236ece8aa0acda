/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/producer.h"

#include "tool/input.h"
#include "tool/report.h"

void producer_outcome(void *arg, const penstock_result *result)
{
	(void)arg; /* on_error has an argument of its own; the result carries the submission's */
	if (result->status == PENSTOCK_OK)
		return;
	/* Only a failing engine gives these while it is open. Wakes producers that sleep in a FIFO. */
	if (result->status == PENSTOCK_UNKNOWN || result->status == PENSTOCK_SHUTDOWN)
		source_stop();
	report_outcome(result);
}

static void submit(const struct producer *producer, penstock_submission *submission, uint64_t line)
{
	int status;

	submission->struct_size = sizeof *submission;
	submission->ack = producer->ack;
	submission->on_complete = producer->ack == PENSTOCK_ACK_NONE ? NULL : producer_outcome;
	submission->arg = report_place(producer->input, line);
	status = penstock_submit(producer->db, submission, PENSTOCK_FOREVER, NULL);
	if (status == PENSTOCK_OK)
		return;
	if (status == PENSTOCK_FAILED || status == PENSTOCK_STOPPED || status == PENSTOCK_MISUSE)
		source_stop();
	/* That the engine failed is reported once, with the reason, when the run ends. */
	if (status != PENSTOCK_FAILED)
		report_refusal(submission->arg, status);
}

static bool submit_sql(void *arg, uint64_t line, const char *text, size_t bytes)
{
	penstock_submission submission = { .sql = text, .sql_bytes = (int64_t)bytes };

	submit(arg, &submission, line);
	return true;
}

static bool submit_record(void *arg, uint64_t line, const penstock_value *values, size_t count)
{
	const struct producer *producer = arg;
	penstock_submission submission = {
		.statement = producer->statement,
		.values = values,
		.value_count = count,
	};

	submit(producer, &submission, line);
	return true;
}

void producer_run(struct producer *producer)
{
	for (; producer->input < producer->end; producer->input++) {
		if (producer->records != NULL)
			input_read_csv(&producer->records[producer->input], producer->input, submit_record, producer);
		else
			input_read_sql(&producer->sources[producer->input], producer->input, submit_sql, producer);
		/* Stopped or not: whoever left earlier would be waited for. */
		if (producer->barrier != NULL)
			pthread_barrier_wait(producer->barrier);
	}
}
