/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/input.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tool/report.h"
#include "tool/split.h"

#define SQL_CHUNK 65536
#define NO_MEMORY "PENSTOCK_NOMEM: out of memory; "

/* What is whole in the split so far. */
static bool pass_statements(struct split *split, bool last, size_t number, input_statement *function, void *arg)
{
	struct split_statement statement;

	while (!source_stopped() && split_next(split, last, &statement)) {
		if (statement.dot)
			report_fault(place_pack(number, statement.line),
			             "a command of the sqlite3 shell, which is no SQL; line skipped");
		else if (statement.nul)
			report_fault(place_pack(number, statement.line),
			             "a NUL byte, which SQL text cannot hold; statement skipped");
		else if (!function(arg, statement.line, statement.text, statement.bytes))
			return false;
	}
	return true;
}

/* Takes `word` off the text; false when it does not begin with it. */
static bool take_word(const char **text, const char *end, const char *word)
{
	size_t bytes = strlen(word);
	const char *at = *text;

	while (at < end && isspace((unsigned char)*at))
		at++;
	if ((size_t)(end - at) < bytes || sqlite3_strnicmp(at, word, (int)bytes) != 0 ||
	    ((size_t)(end - at) > bytes && !isspace((unsigned char)at[bytes])))
		return false;
	*text = at + bytes;
	return true;
}

bool input_is_bracket(const char *text, size_t bytes)
{
	const char *end = text + bytes;
	bool begins = take_word(&text, end, "BEGIN");

	if (!begins && !take_word(&text, end, "COMMIT") && !take_word(&text, end, "END"))
		return false;
	if (begins && !take_word(&text, end, "DEFERRED") && !take_word(&text, end, "IMMEDIATE"))
		take_word(&text, end, "EXCLUSIVE");
	take_word(&text, end, "TRANSACTION");
	while (text < end && isspace((unsigned char)*text))
		text++;
	return text == end;
}

void input_read_sql(struct source *source, size_t number, input_statement *function, void *arg)
{
	struct split split;
	bool more = true;
	ssize_t got;

	split_init(&split);
	do {
		char *room = split_room(&split, SQL_CHUNK);

		if (room == NULL) {
			report_fault(place_pack(number, split.at_line),
			             errno == EFBIG ? "PENSTOCK_TOOBIG: no end of this statement within 1 GiB; "
			                              "the rest of the file was not read"
			                            : NO_MEMORY "the rest of the file was not read");
			break;
		}
		got = source_read(source, room, SQL_CHUNK);
		if (got == -1)
			report_fault(place_pack(number, split.line), source_error(source));
		if (got < 0)
			break;
		split_added(&split, (size_t)got);
		more = pass_statements(&split, got == 0, number, function, arg);
	} while (got > 0 && more);
	split_free(&split);
}

static bool pass_record(const struct batch *batch, const struct record *record, size_t number, penstock_value *values,
                        input_record *function, void *arg)
{
	const char *fault = record->fault;
	size_t i;

	if (record->header)
		return true;
	if (fault == NULL && values == NULL)
		fault = NO_MEMORY "record skipped";
	if (fault != NULL) {
		report_fault(place_pack(number, record->line), fault);
		return true;
	}
	for (i = 0; i < record->fields; i++) {
		const struct field *field = &batch->fields[record->first + i];

		values[i] = penstock_text_bytes(batch->bytes + field->offset, field->bytes);
	}
	return function(arg, record->line, values, record->fields);
}

void input_read_csv(struct records *records, size_t number, input_record *function, void *arg)
{
	struct batch batch = { 0 };
	penstock_value *values = NULL;
	size_t room = 0;
	enum records_got got;
	bool more = true;
	size_t i;

	while (more && (got = records_take(records, &batch)) == RECORDS_SOME) {
		/* No record has more fields than its batch. */
		if (values == NULL || batch.field_count > room) {
			free(values);
			room = batch.field_count * 2 + 1;
			values = calloc(room, sizeof *values);
		}
		for (i = 0; more && i < batch.record_count && !source_stopped(); i++)
			more = pass_record(&batch, &batch.records[i], number, values, function, arg);
	}
	/* Nobody parses on after this, so the line stands still. */
	if (more && got == RECORDS_NO_MEMORY)
		report_fault(place_pack(number, records->at_line), NO_MEMORY "the rest of the file was not read");
	free(values);
	batch_free(&batch);
}
