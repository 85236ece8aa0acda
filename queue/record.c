/* SPDX-License-Identifier: BSD-2-Clause */
#include "queue/record.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"

int ps_record_measure(const penstock_submission *submission, size_t sql_bytes, uint64_t *bytes)
{
	uint64_t total = 0;
	size_t i;

	if (sql_bytes > PS_LENGTH_MAX)
		return ps_error(PENSTOCK_TOOBIG, "the SQL text is %zu bytes long; SQLite takes at most %d", sql_bytes,
		                PS_LENGTH_MAX);
	if (submission->statement == NULL)
		total += sizeof(uint32_t) + sql_bytes + 1;
	/* SQLite's own bound (SQLITE_MAX_VARIABLE_NUMBER) is lower; this one keeps value_count in 32 bits. */
	if (submission->value_count > PS_LENGTH_MAX)
		return ps_error(PENSTOCK_TOOBIG, "%zu values are more than SQLite can bind", submission->value_count);
	for (i = 0; i < submission->value_count; i++) {
		const penstock_value *value = &submission->values[i];

		switch (value->type) {
		case PENSTOCK_NULL:
			total += 1;
			break;
		case PENSTOCK_INTEGER:
		case PENSTOCK_FLOAT:
			total += 1 + sizeof(int64_t);
			break;
		case PENSTOCK_TEXT:
		case PENSTOCK_BLOB:
			if (value->bytes > PS_LENGTH_MAX)
				return ps_error(PENSTOCK_TOOBIG, "value %zu is %zu bytes long; SQLite takes at most %d", i + 1,
				                value->bytes, PS_LENGTH_MAX);
			if (value->bytes != 0 && value->as.data == NULL)
				return ps_error(PENSTOCK_MISUSE, "value %zu has %zu bytes at NULL; use penstock_null()", i + 1,
				                value->bytes);
			total += 1 + sizeof(uint32_t) + value->bytes;
			break;
		default:
			return ps_error(PENSTOCK_MISUSE, "value %zu has the type %d, which is none of penstock_type", i + 1,
			                (int)value->type);
		}
	}
	*bytes = total;
	return PENSTOCK_OK;
}

static unsigned char *put(unsigned char *data, const void *from, size_t bytes)
{
	if (bytes != 0)
		memcpy(data, from, bytes);
	return data + bytes;
}

static unsigned char *put_counted(unsigned char *data, const void *from, size_t bytes)
{
	uint32_t count = (uint32_t)bytes;

	data = put(data, &count, sizeof count);
	return put(data, from, bytes);
}

void ps_record_encode(unsigned char *data, const penstock_submission *submission, size_t sql_bytes)
{
	size_t i;

	if (submission->statement == NULL) {
		data = put_counted(data, submission->sql, sql_bytes);
		*data++ = '\0';
	}
	for (i = 0; i < submission->value_count; i++) {
		const penstock_value *value = &submission->values[i];

		*data++ = (unsigned char)value->type;
		switch (value->type) {
		case PENSTOCK_INTEGER:
			data = put(data, &value->as.integer, sizeof value->as.integer);
			break;
		case PENSTOCK_FLOAT:
			data = put(data, &value->as.real, sizeof value->as.real);
			break;
		case PENSTOCK_TEXT:
		case PENSTOCK_BLOB:
			data = put_counted(data, value->as.data, value->bytes);
			break;
		case PENSTOCK_NULL:
			break;
		}
	}
}

static const unsigned char *get_counted(const unsigned char *data, size_t *bytes)
{
	uint32_t count;

	memcpy(&count, data, sizeof count);
	*bytes = count;
	return data + sizeof count;
}

const char *ps_record_sql(const struct ps_record *record, size_t *sql_bytes)
{
	return (const char *)get_counted(ps_record_payload(record), sql_bytes);
}

const unsigned char *ps_record_values(const struct ps_record *record)
{
	size_t sql_bytes;

	if (record->statement != NULL)
		return ps_record_payload(record);
	return (const unsigned char *)ps_record_sql(record, &sql_bytes) + sql_bytes + 1;
}

const unsigned char *ps_record_decode(const unsigned char *data, penstock_value *value)
{
	value->type = (penstock_type)*data++;
	switch (value->type) {
	case PENSTOCK_INTEGER:
		memcpy(&value->as.integer, data, sizeof value->as.integer);
		return data + sizeof value->as.integer;
	case PENSTOCK_FLOAT:
		memcpy(&value->as.real, data, sizeof value->as.real);
		return data + sizeof value->as.real;
	case PENSTOCK_TEXT:
	case PENSTOCK_BLOB:
		data = get_counted(data, &value->bytes);
		value->as.data = data;
		return data + value->bytes;
	case PENSTOCK_NULL:
		break;
	}
	return data;
}

static unsigned char *place_of_deadline(struct ps_record *record)
{
	unsigned char *end = record->on_heap ? record->payload.heap.data + record->payload.heap.size
	                                     : record->payload.bytes + sizeof record->payload.bytes;

	return end - PS_DEADLINE_BYTES;
}

void ps_record_set_deadline(struct ps_record *record, uint64_t deadline)
{
	memcpy(place_of_deadline(record), &deadline, sizeof deadline);
	record->asks |= PS_ASKS_TIMED;
}

uint64_t ps_record_deadline(const struct ps_record *record)
{
	uint64_t deadline = PS_NEVER;

	if ((record->asks & PS_ASKS_TIMED) != 0)
		memcpy(&deadline, place_of_deadline((struct ps_record *)record), sizeof deadline);
	return deadline;
}

void ps_record_retire(struct ps_record *record)
{
	if (record->on_heap)
		free(record->payload.heap.data);
	record->on_heap = 0;
}
