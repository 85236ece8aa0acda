/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/workload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/input.h"
#include "tool/report.h"

#define CHUNK_BYTES ((size_t)1 << 20)
#define ALIGNMENT sizeof(penstock_value)

/* A setup may have made it, with an index or a trigger. */
static const char rows_setup[] = "CREATE TABLE IF NOT EXISTS " WORKLOAD_TABLE "(number INTEGER, text TEXT)";
static const char rows_statement[] = "INSERT INTO " WORKLOAD_TABLE " VALUES(?,?)";

struct workload_chunk {
	struct workload_chunk *next;
	size_t used, bytes;
	_Alignas(penstock_value) char data[];
};

/* What a reading function fills. */
struct reading {
	struct workload *workload;
	struct workload_part *part;
	bool no_memory;
};

/* Bytes that stay where they are until workload_free, or NULL. */
static void *keep(struct workload *workload, size_t bytes)
{
	struct workload_chunk *chunk = workload->chunks;
	void *kept;

	bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (chunk == NULL || chunk->bytes - chunk->used < bytes) {
		size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;

		chunk = malloc(sizeof *chunk + room);
		if (chunk == NULL)
			return NULL;
		chunk->next = workload->chunks;
		chunk->used = 0;
		chunk->bytes = room;
		workload->chunks = chunk;
	}
	kept = chunk->data + chunk->used;
	chunk->used += bytes;
	workload->bytes += bytes;
	return kept;
}

static struct workload_item *add_item(struct workload_part *part)
{
	if (part->count == part->room) {
		size_t room = part->room * 2 + 64;
		struct workload_item *items = reallocarray(part->items, room, sizeof *items);

		if (items == NULL)
			return NULL;
		part->items = items;
		part->room = room;
	}
	return &part->items[part->count];
}

static bool is_full(struct reading *reading)
{
	if (reading->workload->bytes < WORKLOAD_BYTES_MAX)
		return false;
	reading->workload->cut = true;
	return true;
}

static bool add_statement(void *arg, uint64_t line, const char *text, size_t bytes)
{
	struct reading *reading = arg;
	struct workload_item *item = add_item(reading->part);
	char *copy = keep(reading->workload, bytes + 1);

	if (item == NULL || copy == NULL) {
		reading->no_memory = true;
		return false;
	}
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	*item = (struct workload_item){ .data = copy, .count = bytes, .line = line };
	reading->part->count++;
	return !is_full(reading);
}

static bool add_record(void *arg, uint64_t line, const penstock_value *values, size_t count)
{
	struct reading *reading = arg;
	struct workload_item *item = add_item(reading->part);
	penstock_value *copies = keep(reading->workload, count * sizeof *copies);
	size_t bytes = 0;
	char *data;
	size_t i;

	for (i = 0; i < count; i++)
		bytes += values[i].bytes;
	data = keep(reading->workload, bytes);
	if (item == NULL || copies == NULL || data == NULL) {
		reading->no_memory = true;
		return false;
	}
	for (i = 0; i < count; i++) {
		memcpy(data, values[i].as.data, values[i].bytes);
		copies[i] = penstock_text_bytes(data, values[i].bytes);
		data += values[i].bytes;
	}
	*item = (struct workload_item){ .data = copies, .count = count, .line = line };
	reading->part->count++;
	return !is_full(reading);
}

/* The struct records holds a whole chunk of the file: too large for a stack. */
static bool read_csv(struct reading *reading, size_t number)
{
	struct records *records = calloc(1, sizeof *records);

	if (records == NULL)
		return false;
	records_init(records, &reading->workload->sources[number], NULL);
	input_read_csv(records, number, add_record, reading);
	records_free(records);
	free(records);
	return true;
}

static bool read_part(struct workload *workload, struct workload_part *part, const char *path, size_t number, bool csv)
{
	struct reading reading = { .workload = workload, .part = part };
	struct source *source = &workload->sources[number];
	uint64_t faults = report_faults();
	bool good;

	part->input = number;
	if (!source_open(source, path)) {
		report_say("cannot read '%s': %s; nothing was measured", path, source_error(source));
		return false;
	}
	if (csv)
		reading.no_memory = !read_csv(&reading, number);
	else
		input_read_sql(source, number, add_statement, &reading);
	good = report_faults() == faults && !reading.no_memory;
	if (reading.no_memory)
		report_say("out of memory for '%s'; use a smaller part of it", path);
	else if (!good)
		report_say("'%s' holds what cannot be run: mend it first", path);
	return good;
}

static bool read_setup(struct workload *workload, const struct workload_files *files)
{
	struct reading reading = { .workload = workload, .part = &workload->setup };

	workload->sources[0].name = workload->name;
	if (files->setup != NULL && !read_part(workload, &workload->setup, files->setup, 0, false))
		return false;
	if (!workload->endless)
		return true;
	workload->sources[WORKLOAD_ROWS_INPUT].name = workload->name;
	if (files->cluster)
		add_statement(&reading, 0, WORKLOAD_TABLE_DROP, strlen(WORKLOAD_TABLE_DROP));
	add_statement(&reading, 0, rows_setup, strlen(rows_setup));
	if (reading.no_memory)
		report_say("out of memory");
	return !reading.no_memory;
}

bool workload_read(struct workload *workload, const struct workload_files *files)
{
	bool csv = files->csv != NULL;
	size_t i;

	memset(workload, 0, sizeof *workload);
	workload->endless = !csv && files->sql_file_count == 0;
	workload->part_count = csv ? 1 : files->sql_file_count;
	workload->producers = workload->endless || csv ? files->threads : files->sql_file_count;
	workload->statement = workload->endless ? rows_statement : files->statement;
	workload->name = workload->endless ? "rows of 32 bytes (built in)" : csv ? files->csv : files->sql_files[0];
	workload->source_count = workload->part_count + 1 + workload->endless;
	workload->sources = calloc(workload->source_count, sizeof *workload->sources);
	workload->parts = calloc(workload->part_count + 1, sizeof *workload->parts);
	if (workload->sources == NULL || workload->parts == NULL) {
		report_say("out of memory for %zu files", workload->part_count);
		return false;
	}
	report_init(workload->sources);
	if (!read_setup(workload, files))
		return false;
	for (i = 0; i < workload->part_count; i++) {
		const char *path = csv ? files->csv : files->sql_files[i];

		if (!read_part(workload, &workload->parts[i], path, i + 1, csv))
			return false;
		if (workload->parts[i].count == 0) {
			report_say("there is no %s in '%s': nothing to measure", csv ? "record" : "statement", path);
			return false;
		}
	}
	return true;
}

void workload_free(struct workload *workload)
{
	size_t i;

	while (workload->chunks != NULL) {
		struct workload_chunk *next = workload->chunks->next;

		free(workload->chunks);
		workload->chunks = next;
	}
	for (i = 0; workload->parts != NULL && i < workload->part_count; i++)
		free(workload->parts[i].items);
	for (i = 0; workload->sources != NULL && i < workload->source_count; i++)
		source_close(&workload->sources[i]);
	free(workload->setup.items);
	free(workload->parts);
	free(workload->sources);
}

void workload_row(uint64_t row, penstock_value values[WORKLOAD_ROW_VALUES], char text[WORKLOAD_ROW_TEXT + 1])
{
	static const char digits[] = "0123456789abcdef";
	int i;

	/* Cheaper than printf, since a producer should not be what is measured. */
	for (i = 0; i < WORKLOAD_ROW_TEXT; i++)
		text[i] = digits[row >> (4 * (i % 16)) & 15];
	text[WORKLOAD_ROW_TEXT] = '\0';
	values[0] = penstock_int64((int64_t)row);
	values[1] = penstock_text_bytes(text, WORKLOAD_ROW_TEXT);
}
