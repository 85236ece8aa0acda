#include "tool/producer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tool/report.h"
#include "tool/split.h"

#define SQL_CHUNK 65536
#define NO_MEMORY "PENSTOCK_NOMEM: out of memory; "

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

static void submit_sql(const struct producer *producer, const struct split_statement *statement)
{
	penstock_submission submission = { .sql = statement->text, .sql_bytes = (int64_t)statement->bytes };

	if (statement->nul)
		report_fault(report_place(producer->input, statement->line),
		             "a NUL byte, which SQL text cannot hold; statement skipped");
	else
		submit(producer, &submission, statement->line);
}

static void run_sql(const struct producer *producer)
{
	struct split_statement statement;
	struct split split;
	ssize_t got;

	split_init(&split);
	do {
		char *room = split_room(&split, SQL_CHUNK);

		if (room == NULL) {
			report_fault(report_place(producer->input, split.at_line),
			             errno == EFBIG ? "PENSTOCK_TOOBIG: no end of this statement within 1 GiB; "
			                              "the rest of the file was not read"
			                            : NO_MEMORY "the rest of the file was not read");
			break;
		}
		got = source_read(producer->source, room, SQL_CHUNK);
		if (got == -1)
			report_fault(report_place(producer->input, split.line), strerrordesc_np(errno));
		if (got < 0)
			break;
		split_added(&split, (size_t)got);
		while (!source_stopped() && split_next(&split, got == 0, &statement))
			submit_sql(producer, &statement);
	} while (got > 0);
	split_free(&split);
}

static void submit_record(const struct producer *producer, const struct batch *batch, const struct record *record,
                          penstock_value *values)
{
	penstock_submission submission = { .statement = producer->statement, .values = values };
	const char *fault = record->fault;
	size_t i;

	if (fault == NULL && values == NULL)
		fault = NO_MEMORY "record skipped";
	if (fault != NULL) {
		report_fault(report_place(producer->input, record->line), fault);
		return;
	}
	for (i = 0; i < record->fields; i++) {
		const struct field *field = &batch->fields[record->first + i];

		values[i] = penstock_text_bytes(batch->bytes + field->offset, field->bytes);
	}
	submission.value_count = record->fields;
	submit(producer, &submission, record->line);
}

static void run_csv(const struct producer *producer)
{
	struct batch batch = { 0 };
	penstock_value *values = NULL;
	size_t room = 0;
	enum records_got got;
	size_t i;

	while ((got = records_take(producer->records, &batch)) == RECORDS_SOME) {
		/* No record has more fields than its batch. */
		if (values == NULL || batch.field_count > room) {
			free(values);
			room = batch.field_count * 2 + 1;
			values = calloc(room, sizeof *values);
		}
		for (i = 0; i < batch.record_count && !source_stopped(); i++)
			submit_record(producer, &batch, &batch.records[i], values);
	}
	/* Nobody parses on after this, so the line stands still. */
	if (got == RECORDS_NO_MEMORY)
		report_fault(report_place(producer->input, producer->records->at_line),
		             NO_MEMORY "the rest of the file was not read");
	free(values);
	batch_free(&batch);
}

void producer_run(const struct producer *producer)
{
	if (producer->records != NULL)
		run_csv(producer);
	else
		run_sql(producer);
}
