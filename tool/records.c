/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* SQLite cannot be built to hold a longer value. */
#define FIELD_MAX ((size_t)1 << 30)

/* csv_parser.pstate as csv_init leaves it, where blank lines are passed over; libcsv has no name for it in its header. */
#define BETWEEN_RECORDS 0

static int no_space(unsigned char byte)
{
	(void)byte;
	return 0;
}

static void parser_init(struct records *records)
{
	struct csv_parser *parser = &records->parser;

	csv_init(parser, CSV_STRICT | CSV_STRICT_FINI);
	/* libcsv would trim blanks around a field; RFC 4180 has them as part of it. */
	csv_set_space_func(parser, no_space);
	if (records->options.delimiter != 0)
		csv_set_delim(parser, (unsigned char)records->options.delimiter);
	/* libcsv has no way to do without. */
	if (records->options.unquoted)
		csv_set_quote(parser, '\0');
}

void records_init(struct records *records, struct source *source, const struct records_options *options)
{
	pthread_mutex_init(&records->lock, NULL);
	records->source = source;
	records->line = 1;
	if (options != NULL)
		records->options = *options;
	parser_init(records);
}

void records_free(struct records *records)
{
	pthread_mutex_destroy(&records->lock);
	csv_free(&records->parser);
	batch_free(&records->behind);
	batch_free(&records->first);
}

void batch_free(struct batch *batch)
{
	free(batch->records);
	free(batch->fields);
	free(batch->bytes);
	memset(batch, 0, sizeof *batch);
}

/* Makes room for `more` items behind `count`; returns the array, or NULL and leaves it as it was. */
static void *grow(void *array, size_t count, size_t more, size_t *room, size_t item)
{
	size_t wanted = count + more;
	void *grown;

	if (wanted <= *room)
		return array;
	wanted = wanted > *room * 2 ? wanted : *room * 2;
	grown = reallocarray(array, wanted, item);
	if (grown != NULL)
		*room = wanted;
	return grown;
}

static bool add_record(struct batch *batch, uint64_t line, const char *fault)
{
	struct record *records = grow(batch->records, batch->record_count, 1, &batch->record_room, sizeof *records);
	struct record *last;

	if (records == NULL)
		return false;
	batch->records = records;
	last = &records[batch->record_count];
	last->first = batch->record_count > 0 ? last[-1].first + last[-1].fields : 0;
	/* What a faulty record left of fields is given up. */
	if (fault != NULL)
		batch->field_count = last->first;
	last->fields = batch->field_count - last->first;
	last->line = line;
	last->fault = fault;
	last->header = false;
	batch->record_count++;
	return true;
}

static bool add_field(struct batch *batch, const void *field, size_t bytes)
{
	struct field *fields = grow(batch->fields, batch->field_count, 1, &batch->field_room, sizeof *fields);
	char *text;

	if (fields == NULL)
		return false;
	batch->fields = fields;
	/* One byte more, so that the address of an empty field is one, too. */
	text = grow(batch->bytes, batch->byte_count, bytes + 1, &batch->byte_room, 1);
	if (text == NULL)
		return false;
	batch->bytes = text;
	memcpy(text + batch->byte_count, field, bytes);
	fields[batch->field_count].offset = batch->byte_count;
	fields[batch->field_count].bytes = bytes;
	batch->field_count++;
	batch->byte_count += bytes;
	return true;
}

/* libcsv calls this with each field, and end_record behind the last one of a record. */
static void take_field(void *field, size_t bytes, void *arg)
{
	struct records *records = arg;

	if (!add_field(records->into, field, bytes))
		records->no_memory = true;
}

static void end_record(int terminator, void *arg)
{
	struct records *records = arg;

	(void)terminator;
	if (!add_record(records->into, records->at_line, NULL))
		records->no_memory = true;
	/* The next one may begin in the same piece. */
	records->at_line = records->line;
}

/* Turns the record under way into a faulty one. */
static void fail(struct records *records, const char *fault)
{
	csv_free(&records->parser);
	parser_init(records);
	if (!add_record(records->into, records->under_way ? records->at_line : records->line, fault))
		records->no_memory = true;
	records->under_way = false;
}

static void end_input(struct records *records, const char *fault)
{
	if (fault != NULL)
		fail(records, fault);
	records->ended = true;
}

/* Parses a piece that holds at most one newline, at its end. It may hold carriage returns, which end lines as well. */
static void parse_piece(struct records *records, const char *piece, size_t bytes)
{
	struct csv_parser *parser = &records->parser;

	while (bytes > 0) {
		size_t parsed;

		if (records->skipping) {
			const char *line_end = memchr(piece, '\r', bytes);

			if (line_end == NULL)
				return;
			bytes -= (size_t)(line_end - piece);
			piece = line_end;
			records->skipping = false;
		}
		if (!records->under_way)
			records->at_line = records->line;
		/* Grow by doubling: libcsv adds blocks of one size, which takes quadratic time on a long field. */
		csv_set_blk_size(parser, parser->entry_size > RECORDS_CHUNK ? parser->entry_size : RECORDS_CHUNK);
		parsed = csv_parse(parser, piece, bytes, take_field, end_record, records);
		records->under_way = parser->pstate != BETWEEN_RECORDS;
		if (parsed == bytes) {
			if (parser->entry_pos > FIELD_MAX)
				end_input(records, "a field longer than SQLite can hold; the rest of the file was not read");
			return;
		}
		if (csv_error(parser) != CSV_EPARSE) {
			records->no_memory = true;
			return;
		}
		fail(records, records->options.unquoted ? "a NUL byte; record skipped"
		              : parser->quoted          ? "text behind the closing quote of a field; record skipped"
		                               : "a quote inside a field that does not begin with one; record skipped");
		records->skipping = true;
		piece += parsed;
		bytes -= parsed;
	}
}

/* Passes over the lines of --skip, however they end; returns what is behind them. */
static const char *skip_lines(struct records *records, const char *at, const char *end)
{
	for (; at < end && records->skipped < records->options.skip; at++) {
		bool behind = records->behind_return;

		records->behind_return = *at == '\r';
		/* The line feed behind a return belongs to it. */
		if (*at == '\r' || (*at == '\n' && !behind))
			records->skipped++;
		if (*at == '\n')
			records->line++;
	}
	return at;
}

static void parse_chunk(struct records *records, size_t bytes)
{
	const char *end = records->chunk + bytes;
	const char *at = skip_lines(records, records->chunk, end);

	while (at < end && !records->ended && !records->no_memory) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *next = newline != NULL ? newline + 1 : end;

		parse_piece(records, at, (size_t)(next - at));
		if (newline != NULL) {
			records->skipping = false;
			records->line++;
		}
		at = next;
	}
}

/* The record under way was quoted to the very end, or is whole without a newline. */
static void parse_end(struct records *records)
{
	const char *fault = NULL;

	if (csv_fini(&records->parser, take_field, end_record, records) != 0)
		fault = "the quote that opens a field is never closed";
	end_input(records, fault);
}

/* Copies the fields behind the last whole record of `from` to `to`, which is empty. */
static bool copy_rest(const struct batch *from, struct batch *to)
{
	size_t i = 0;

	if (from->record_count > 0)
		i = from->records[from->record_count - 1].first + from->records[from->record_count - 1].fields;
	for (; i < from->field_count; i++)
		if (!add_field(to, from->bytes + from->fields[i].offset, from->fields[i].bytes))
			return false;
	return true;
}

static void batch_empty(struct batch *batch)
{
	batch->record_count = 0;
	batch->field_count = 0;
	batch->byte_count = 0;
}

/* Under the lock. */
static enum records_got take(struct records *records, struct batch *batch)
{
	enum records_got result = RECORDS_SOME;
	ssize_t got = 0;

	batch_empty(batch);
	records->into = batch;
	if (!copy_rest(&records->behind, batch))
		records->no_memory = true;
	batch_empty(&records->behind);
	while (batch->record_count == 0 && !records->ended && !records->no_memory && got != SOURCE_STOPPED) {
		got = source_read(records->source, records->chunk, sizeof records->chunk);
		if (got > 0)
			parse_chunk(records, (size_t)got);
		else if (got == -1)
			end_input(records, source_error(records->source));
		else if (got == 0)
			parse_end(records);
	}
	if (!records->no_memory && !copy_rest(batch, &records->behind))
		records->no_memory = true;
	if (batch->record_count == 0) {
		result = records->no_memory ? RECORDS_NO_MEMORY : RECORDS_END;
		records->no_memory = false;
		records->ended = true;
	} else if (!records->begun) {
		records->begun = true;
		batch->records[0].header = records->options.header && batch->records[0].fault == NULL;
	}
	return result;
}

const struct batch *records_begin(struct records *records)
{
	return take(records, &records->first) == RECORDS_SOME ? &records->first : NULL;
}

enum records_got records_take(struct records *records, struct batch *batch)
{
	enum records_got result = RECORDS_SOME;

	pthread_mutex_lock(&records->lock);
	if (records->first.record_count > 0) {
		struct batch first = records->first;

		records->first = *batch;
		*batch = first;
		batch_empty(&records->first);
	} else {
		result = take(records, batch);
	}
	pthread_mutex_unlock(&records->lock);
	return result;
}
