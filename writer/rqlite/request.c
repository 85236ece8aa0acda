/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/request.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

static bool reserve(struct ps_request *request, size_t more)
{
	size_t capacity = request->capacity == 0 ? 4096 : request->capacity;
	char *text;

	while (capacity - request->bytes < more) {
		if (__builtin_mul_overflow(capacity, (size_t)2, &capacity)) {
			request->lacks_memory = true;
			return false;
		}
	}
	if (capacity == request->capacity)
		return true;
	text = realloc(request->text, capacity);
	if (text == NULL) {
		request->lacks_memory = true;
		return false;
	}
	request->text = text;
	request->capacity = capacity;
	return true;
}

static void put(struct ps_request *request, const char *text, size_t bytes)
{
	if (!reserve(request, bytes))
		return;
	memcpy(request->text + request->bytes, text, bytes);
	request->bytes += bytes;
}

static void put_char(struct ps_request *request, char c)
{
	put(request, &c, 1);
}

/* How many bytes the character has; 0: it is none of UTF-8. */
static size_t character_bytes(const unsigned char *text, size_t bytes)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned code;
	size_t length, i;

	if (text[0] < 0x80)
		return 1;
	length = text[0] >= 0xf8 || text[0] < 0xc0 ? 0 : text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	if (length == 0 || length > bytes)
		return 0;
	code = text[0] & (0xffu >> (length + 1));
	for (i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3fu);
	}
	return code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : length;
}

/* The inside of a string. False: it is no UTF-8. */
static bool put_escaped(struct ps_request *request, const char *text, size_t bytes)
{
	size_t length;
	char escape[8];

	for (; bytes > 0; text += length, bytes -= length) {
		length = character_bytes((const unsigned char *)text, bytes);
		if (length == 0)
			return false;
		if (*text == '"' || *text == '\\')
			put_char(request, '\\');
		if ((unsigned char)*text >= 0x20) {
			put(request, text, length);
		} else {
			snprintf(escape, sizeof escape, "\\u%04x", *text);
			put(request, escape, 6);
		}
	}
	return true;
}

static void put_hex(struct ps_request *request, const unsigned char *data, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	put(request, "x'", 2);
	for (i = 0; i < bytes; i++) {
		put_char(request, digits[data[i] >> 4]);
		put_char(request, digits[data[i] & 15]);
	}
	put_char(request, '\'');
}

/* The locale's point, whatever bytes it has, becomes one. */
static void put_real(struct ps_request *request, double real)
{
	char text[40];
	bool is_integer = true;
	int i, length = snprintf(text, sizeof text, "%.17g", real);

	for (i = 0; i < length; i++) {
		bool is_point = strchr("0123456789e+-", text[i]) == NULL;

		if (!is_point)
			put_char(request, text[i]);
		else if (i == 0 || strchr("0123456789", text[i - 1]) != NULL)
			put_char(request, '.');
		is_integer &= !is_point && text[i] != 'e';
	}
	if (is_integer)
		put(request, ".0", 2);
}

/* ---- values ---- */

static const char *refuse(struct ps_request *request, int *code, int which, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static const char *refuse(struct ps_request *request, int *code, int which, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(request->refusal, sizeof request->refusal, format, args);
	va_end(args);
	*code = which;
	return request->refusal;
}

/* NULL, or why it cannot go. */
static const char *put_value(struct ps_request *request, const penstock_value *value, unsigned number, int *code)
{
	char text[32];

	switch (value->type) {
	case PENSTOCK_INTEGER:
		put(request, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)value->as.integer));
		return NULL;
	case PENSTOCK_FLOAT:
		if (!isfinite(value->as.real))
			return refuse(request, code, SQLITE_MISMATCH, "parameter %u is no finite number, and JSON has no other",
			              number);
		put_real(request, value->as.real);
		return NULL;
	case PENSTOCK_TEXT:
		put_char(request, '"');
		if (!put_escaped(request, value->as.data, value->bytes))
			return refuse(request, code, SQLITE_MISMATCH, "parameter %u is text that is not UTF-8", number);
		put_char(request, '"');
		return NULL;
	default:
		put(request, "null", 4);
		return NULL;
	}
}

/* Reads the record's values; whether there is a blob, in *blob. False: no memory. */
static bool read_values(struct ps_request *request, const struct ps_record *record, bool *blob)
{
	const unsigned char *data = ps_record_values(record);
	uint32_t i;

	*blob = false;
	if (record->value_count > request->value_capacity) {
		penstock_value *values = reallocarray(request->values, record->value_count, sizeof *values);

		if (values == NULL)
			return false;
		request->values = values;
		request->value_capacity = record->value_count;
	}
	for (i = 0; i < record->value_count; i++) {
		data = ps_record_decode(data, &request->values[i]);
		*blob |= request->values[i].type == PENSTOCK_BLOB;
	}
	return true;
}

/* The text as it is, and the values by their numbers. */
static const char *put_plain(struct ps_request *request, const struct ps_statement *statement, int *code)
{
	const char *refusal = NULL;
	unsigned i;

	if (!put_escaped(request, statement->text, statement->bytes))
		return refuse(request, code, SQLITE_ERROR, "the SQL text is not UTF-8");
	put_char(request, '"');
	for (i = 0; i < statement->parameters && refusal == NULL; i++) {
		put_char(request, ',');
		refusal = put_value(request, &request->values[i], i + 1, code);
	}
	return refusal;
}

/* Blobs in the text, and a value of its own for every other place. */
static const char *put_places(struct ps_request *request, const struct ps_statement *statement, int *code)
{
	const char *refusal = NULL;
	size_t at = 0, i;

	for (i = 0; i < statement->place_count; i++) {
		const struct ps_place *place = &statement->places[i];
		const penstock_value *value = &request->values[place->number - 1];

		if (!put_escaped(request, statement->text + at, place->at - at))
			return refuse(request, code, SQLITE_ERROR, "the SQL text is not UTF-8");
		if (value->type == PENSTOCK_BLOB)
			put_hex(request, value->as.data, value->bytes);
		else
			put_char(request, '?');
		at = place->at + place->bytes;
	}
	if (!put_escaped(request, statement->text + at, statement->bytes - at))
		return refuse(request, code, SQLITE_ERROR, "the SQL text is not UTF-8");
	put_char(request, '"');
	for (i = 0; i < statement->place_count && refusal == NULL; i++) {
		unsigned number = statement->places[i].number;

		if (request->values[number - 1].type == PENSTOCK_BLOB)
			continue;
		put_char(request, ',');
		refusal = put_value(request, &request->values[number - 1], number, code);
	}
	return refusal;
}

/* ---- the request ---- */

void ps_request_begin(struct ps_request *request)
{
	request->bytes = request->count = 0;
	request->lacks_memory = false;
	put_char(request, '[');
}

const char *ps_request_add(struct ps_request *request, const struct ps_statement *statement, const struct ps_record *record,
                           int *code)
{
	size_t before = request->bytes;
	const char *refusal;
	bool blob;

	if (record->value_count != statement->parameters)
		return refuse(request, code, SQLITE_RANGE, "the statement takes %u values, not %u", statement->parameters,
		              record->value_count);
	if (!read_values(request, record, &blob))
		return refuse(request, code, SQLITE_NOMEM, "out of memory");
	if (request->count > 0)
		put_char(request, ',');
	put(request, "[\"", 2);
	/* A gap in the numbers is a parameter too, which no place stands for. */
	refusal = blob ? put_places(request, statement, code) : put_plain(request, statement, code);
	put_char(request, ']');
	if (refusal == NULL && request->lacks_memory)
		refusal = refuse(request, code, SQLITE_NOMEM, "out of memory");
	if (refusal != NULL) {
		request->bytes = before;
		request->lacks_memory = false;
		return refusal;
	}
	request->count++;
	return NULL;
}

bool ps_request_end(struct ps_request *request)
{
	put_char(request, ']');
	return !request->lacks_memory;
}

void ps_request_free(struct ps_request *request)
{
	free(request->text);
	free(request->values);
	memset(request, 0, sizeof *request);
}
