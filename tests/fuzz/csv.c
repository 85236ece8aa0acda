/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * csv.c - fuzzes tool/records.c, and tool/source.c in front of it
 *
 * The second opinion is a reader of RFC 4180 that has the whole file before it: same records, lines, faults and fields, whatever
 * the pieces. The rules are those of records.h, which gives libcsv's: a line ends with CR, LF or both; a NUL or a blank is a
 * byte of its field.
 */
#include "tests/fuzz/fuzz.h"

#include "tool/format.h"
#include "tool/records.h"

#define MARK "\xEF\xBB\xBF"

struct text {
	const char *bytes;
	size_t size;
};

enum verdict { WHOLE, STRAY_QUOTE, TEXT_BEHIND, NEVER_CLOSED };

static const char *const sentences[] = {
	[STRAY_QUOTE] = "a quote inside a field",
	[TEXT_BEHIND] = "text behind the closing quote",
	[NEVER_CLOSED] = "never closed",
};

#define FIELDS_MAX 4096

/* One record of the reference; its fields are cut out of `bytes`. */
struct expected {
	enum verdict verdict;
	uint64_t line;
	size_t fields;
	size_t begins[FIELDS_MAX + 1];
	char *bytes;
	size_t count;
};

static bool ends_line(char byte)
{
	return byte == '\r' || byte == '\n';
}

static void put(struct expected *record, char byte)
{
	record->bytes[record->count++] = byte;
}

/* Reads the quoted field whose quote is before `place`; returns the place behind its closing quote. */
static size_t read_quoted(struct text text, size_t place, struct expected *record)
{
	for (;; place++) {
		if (place == text.size) {
			record->verdict = NEVER_CLOSED;
			return place;
		}
		if (text.bytes[place] != '"') {
			put(record, text.bytes[place]);
		} else if (place + 1 < text.size && text.bytes[place + 1] == '"') {
			put(record, '"');
			place++;
		} else {
			break;
		}
	}
	place++;
	if (place < text.size && text.bytes[place] != ',' && !ends_line(text.bytes[place]))
		record->verdict = TEXT_BEHIND;
	return place;
}

static size_t read_bare(struct text text, size_t place, struct expected *record)
{
	for (; place < text.size && text.bytes[place] != ',' && !ends_line(text.bytes[place]); place++) {
		if (text.bytes[place] == '"') {
			record->verdict = STRAY_QUOTE;
			break;
		}
		put(record, text.bytes[place]);
	}
	return place;
}

/* Reads the record that begins at `place`; returns where to go on. */
static size_t read_record(struct text text, size_t place, struct expected *record)
{
	record->verdict = WHOLE;
	record->fields = 0;
	record->count = 0;
	record->line = 1;
	for (size_t i = 0; i < place; i++)
		record->line += text.bytes[i] == '\n';
	for (;;) {
		must(record->fields < FIELDS_MAX);
		record->begins[record->fields++] = record->count;
		if (place < text.size && text.bytes[place] == '"')
			place = read_quoted(text, place + 1, record);
		else
			place = read_bare(text, place, record);
		if (record->verdict != WHOLE || place == text.size || text.bytes[place] != ',')
			break;
		place++;
	}
	record->begins[record->fields] = record->count;
	while (place < text.size && !ends_line(text.bytes[place]))
		place++;
	return place;
}

static void compare(const struct batch *batch, const struct record *got, const struct expected *record)
{
	must(got->line == record->line, "line %ju, not %ju", (uintmax_t)got->line, (uintmax_t)record->line);
	if (record->verdict != WHOLE) {
		must(got->fault != NULL && strstr(got->fault, sentences[record->verdict]) != NULL,
		     "line %ju: \"%s\", not \"%s\"", (uintmax_t)got->line, got->fault != NULL ? got->fault : "",
		     sentences[record->verdict]);
		must(got->fields == 0);
		return;
	}
	must(got->fault == NULL, "line %ju: %s", (uintmax_t)got->line, got->fault);
	must(got->fields == record->fields, "line %ju: %zu fields, not %zu", (uintmax_t)got->line, got->fields, record->fields);
	for (size_t i = 0; i < got->fields; i++) {
		const struct field *field = &batch->fields[got->first + i];
		size_t bytes = record->begins[i + 1] - record->begins[i];

		must(got->first + i < batch->field_count && field->offset + field->bytes <= batch->byte_count);
		must(field->bytes == bytes, "line %ju, field %zu: %zu bytes, not %zu", (uintmax_t)got->line, i + 1,
		     field->bytes, bytes);
		must(memcmp(batch->bytes + field->offset, record->bytes + record->begins[i], bytes) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = { .name = "input", .descriptor = 0 };
	static struct records records;
	struct batch batch = { 0 };
	struct expected record;
	struct text text;
	size_t place = 0;
	bool failed = false;
	enum records_got got;

	if (size == 0 || size > FIELDS_MAX)
		return 0;
	text = (struct text){ (const char *)data + 1, size - 1 };
	if (format_foreign(text.bytes, text.size) != NULL)
		return 0;
	feed_begin(data[0], data + 1, size - 1);
	if (text.size >= strlen(MARK) && memcmp(text.bytes, MARK, strlen(MARK)) == 0) {
		text.bytes += strlen(MARK);
		text.size -= strlen(MARK);
	}
	record.bytes = malloc(size);
	must(record.bytes != NULL);
	memset(&records, 0, sizeof records);
	records_init(&records, &source, NULL);
	while ((got = records_take(&records, &batch)) == RECORDS_SOME) {
		must(batch.record_count > 0);
		for (size_t i = 0; i < batch.record_count; i++) {
			while (place < text.size && ends_line(text.bytes[place]))
				place++;
			must(!failed);
			/* An input that ends with an error ends with a record that says so, instead of the one under way. */
			failed = feed_fails(data[0]) && batch.records[i].fault != NULL &&
			         strstr(batch.records[i].fault, "Input/output error") != NULL;
			if (failed) {
				must(batch.records[i].fields == 0);
				continue;
			}
			must(place < text.size, "a record on line %ju that is not there", (uintmax_t)batch.records[i].line);
			place = read_record(text, place, &record);
			compare(&batch, &batch.records[i], &record);
		}
	}
	must(got == RECORDS_END);
	must(records_take(&records, &batch) == RECORDS_END);
	must(failed == feed_fails(data[0]));
	if (!failed) {
		while (place < text.size && ends_line(text.bytes[place]))
			place++;
		must(place == text.size, "%zu bytes were left out", text.size - place);
	}
	batch_free(&batch);
	records_free(&records);
	free(record.bytes);
	return 0;
}
