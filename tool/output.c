/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/output.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tool/json.h"

/* Room for any number as text. */
#define NUMBER_BYTES 40

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *number_text(const penstock_value *value, char *text)
{
	if (value->type == SQLITE_INTEGER)
		snprintf(text, NUMBER_BYTES, "%" PRId64, value->as.integer);
	else
		/* As SQLite prints it, so that it reads the same value. */
		sqlite3_snprintf(NUMBER_BYTES, text, "%!.17g", value->as.real);
	return text;
}

static void print_hex(const penstock_value *value)
{
	const unsigned char *bytes = value->as.data;
	size_t i;

	for (i = 0; i < value->bytes; i++)
		printf("%02x", bytes[i]);
}

/* ---- CSV ---- */

static void print_quoted(const char *text, size_t bytes)
{
	size_t i;

	if (bytes > 0 && memchr(text, '"', bytes) == NULL && memchr(text, ',', bytes) == NULL &&
	    memchr(text, '\n', bytes) == NULL && memchr(text, '\r', bytes) == NULL) {
		fwrite(text, 1, bytes, stdout);
		return;
	}
	putchar('"');
	for (i = 0; i < bytes; i++) {
		if (text[i] == '"')
			putchar('"');
		putchar(text[i]);
	}
	putchar('"');
}

static void print_csv_cell(const penstock_value *value)
{
	char number[NUMBER_BYTES];

	switch (value->type) {
	case SQLITE_NULL:
		break;
	case SQLITE_TEXT:
		print_quoted(value->as.data, value->bytes);
		break;
	case SQLITE_BLOB:
		print_hex(value);
		break;
	default:
		fputs(number_text(value, number), stdout);
		break;
	}
}

static void print_csv(const penstock_result *result)
{
	size_t row, column;

	for (column = 0; column < result->column_count; column++) {
		if (column > 0)
			putchar(',');
		print_quoted(result->column_names[column], strlen(result->column_names[column]));
	}
	fputs("\r\n", stdout);
	for (row = 0; row < result->row_count; row++) {
		for (column = 0; column < result->column_count; column++) {
			if (column > 0)
				putchar(',');
			print_csv_cell(penstock_result_cell(result, row, column));
		}
		fputs("\r\n", stdout);
	}
}

/* ---- JSON lines ---- */

static void print_json_cell(const penstock_value *value)
{
	char number[NUMBER_BYTES];

	switch (value->type) {
	case SQLITE_NULL:
		fputs("null", stdout);
		break;
	case SQLITE_TEXT:
		json_text(stdout, value->as.data, value->bytes);
		break;
	case SQLITE_BLOB:
		putchar('"');
		print_hex(value);
		putchar('"');
		break;
	case SQLITE_FLOAT:
		/* JSON has no word for them. */
		fputs(isfinite(value->as.real) ? number_text(value, number) : "null", stdout);
		break;
	default:
		fputs(number_text(value, number), stdout);
		break;
	}
}

static void print_json(const penstock_result *result)
{
	size_t row, column;

	for (row = 0; row < result->row_count; row++) {
		putchar('{');
		for (column = 0; column < result->column_count; column++) {
			if (column > 0)
				putchar(',');
			json_string(stdout, result->column_names[column]);
			putchar(':');
			print_json_cell(penstock_result_cell(result, row, column));
		}
		fputs("}\n", stdout);
	}
}

/* ---- a table ---- */

/* How many columns of a terminal the text takes, if it is UTF-8; else its bytes. */
static size_t width_of(const char *text, size_t bytes)
{
	size_t width = 0, i;

	for (i = 0; i < bytes; i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

/* The cell's text, in `number` or its own; a BLOB has none. */
static const char *table_text(const penstock_value *value, char *number, size_t *bytes)
{
	const char *text = "";

	if (value->type == SQLITE_TEXT) {
		*bytes = value->bytes;
		return value->as.data;
	}
	if (value->type == SQLITE_INTEGER || value->type == SQLITE_FLOAT)
		text = number_text(value, number);
	*bytes = strlen(text);
	return text;
}

static void print_table_cell(const penstock_value *value, size_t width, bool last)
{
	char number[NUMBER_BYTES];
	size_t bytes, i, taken;
	const char *text;

	if (value->type == SQLITE_BLOB) {
		print_hex(value);
		taken = value->bytes * 2;
	} else {
		text = table_text(value, number, &bytes);
		/* What would break the line or command the terminal. */
		for (i = 0; i < bytes; i++)
			putchar((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
		taken = width_of(text, bytes);
	}
	if (!last)
		printf("%*s", (int)(width - taken + 2), "");
}

static void print_table(const penstock_result *result)
{
	size_t *widths = calloc(result->column_count, sizeof *widths);
	size_t row, column, last = result->column_count - 1;

	if (widths == NULL)
		return;
	for (column = 0; column <= last; column++) {
		widths[column] = width_of(result->column_names[column], strlen(result->column_names[column]));
		for (row = 0; row < result->row_count; row++) {
			const penstock_value *value = penstock_result_cell(result, row, column);
			char number[NUMBER_BYTES];
			size_t bytes, width;
			const char *text = table_text(value, number, &bytes);

			width = value->type == SQLITE_BLOB ? value->bytes * 2 : width_of(text, bytes);
			if (width > widths[column])
				widths[column] = width;
		}
	}
	for (column = 0; column <= last; column++)
		printf("%s%*s", result->column_names[column],
		       column < last ? (int)(widths[column] + 2 -
		                             width_of(result->column_names[column], strlen(result->column_names[column])))
		                     : 0,
		       "");
	putchar('\n');
	for (row = 0; row < result->row_count; row++) {
		for (column = 0; column <= last; column++)
			print_table_cell(penstock_result_cell(result, row, column), widths[column], column == last);
		putchar('\n');
	}
	free(widths);
}

void output_rows(enum output_format format, const penstock_result *result)
{
	if (result->column_count == 0 || format == OUTPUT_NONE)
		return;
	pthread_mutex_lock(&lock);
	if (format == OUTPUT_CSV)
		print_csv(result);
	else if (format == OUTPUT_JSON)
		print_json(result);
	else
		print_table(result);
	pthread_mutex_unlock(&lock);
}
