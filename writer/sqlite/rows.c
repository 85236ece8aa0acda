/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/rows.h"

#include <string.h>

int ps_rows_bind(sqlite3_stmt *statement, const struct ps_record *record, uint32_t first)
{
	const unsigned char *data = ps_record_values(record);
	uint32_t i;
	int rc = SQLITE_OK;

	for (i = first; i < first + record->value_count && rc == SQLITE_OK; i++) {
		penstock_value value;

		data = ps_record_decode(data, &value);
		switch (value.type) {
		case PENSTOCK_NULL:
			rc = sqlite3_bind_null(statement, (int)i);
			break;
		case PENSTOCK_INTEGER:
			rc = sqlite3_bind_int64(statement, (int)i, value.as.integer);
			break;
		case PENSTOCK_FLOAT:
			rc = sqlite3_bind_double(statement, (int)i, value.as.real);
			break;
		case PENSTOCK_TEXT:
			rc = sqlite3_bind_text(statement, (int)i, value.as.data, (int)value.bytes, SQLITE_STATIC);
			break;
		case PENSTOCK_BLOB:
			rc = sqlite3_bind_blob(statement, (int)i, value.as.data, (int)value.bytes, SQLITE_STATIC);
			break;
		}
	}
	return rc;
}

/* A copy with a NUL behind it; NULL without memory. */
static void *copy_bytes(struct ps_outcome *outcome, const void *data, size_t bytes)
{
	char *copy = ps_outcome_allocate(outcome, bytes + 1);

	if (copy == NULL)
		return NULL;
	if (bytes != 0)
		memcpy(copy, data, bytes);
	copy[bytes] = '\0';
	return copy;
}

static bool collect_names(struct ps_outcome *outcome, sqlite3_stmt *statement)
{
	size_t columns = (size_t)sqlite3_column_count(statement), i;
	const char **names;

	if (columns == 0)
		return true;
	names = ps_outcome_allocate(outcome, columns * sizeof *names);
	if (names == NULL)
		return false;
	for (i = 0; i < columns; i++) {
		const char *name = sqlite3_column_name(statement, (int)i);

		names[i] = name == NULL ? NULL : copy_bytes(outcome, name, strlen(name));
		if (names[i] == NULL)
			return false;
	}
	outcome->result.column_names = names;
	outcome->result.column_count = columns;
	return true;
}

/* Room for one more row of cells. */
static penstock_value *next_row(struct ps_outcome *outcome)
{
	size_t columns = outcome->result.column_count;
	size_t used = outcome->result.row_count * columns;
	penstock_value *cells = (penstock_value *)outcome->result.cells;

	if (used + columns > outcome->cell_capacity) {
		size_t capacity = outcome->cell_capacity == 0 ? columns : 2 * (used + columns);
		size_t bytes;

		if (__builtin_mul_overflow(capacity, sizeof *cells, &bytes))
			return NULL;
		cells = ps_outcome_allocate(outcome, bytes);
		if (cells == NULL)
			return NULL;
		if (used != 0)
			memcpy(cells, outcome->result.cells, used * sizeof *cells);
		outcome->result.cells = cells;
		outcome->cell_capacity = capacity;
	}
	return cells + used;
}

static enum ps_collected collect_row(struct ps_outcome *outcome, sqlite3_stmt *statement, uint64_t *bytes, uint64_t bytes_max)
{
	penstock_value *row;
	size_t i;

	if (outcome->result.column_count == 0 && !collect_names(outcome, statement))
		return PS_NO_MEMORY;
	row = next_row(outcome);
	if (row == NULL)
		return PS_NO_MEMORY;
	for (i = 0; i < outcome->result.column_count; i++) {
		penstock_value *cell = &row[i];
		const void *data;

		*bytes += sizeof *cell;
		switch (sqlite3_column_type(statement, (int)i)) {
		case SQLITE_INTEGER:
			*cell = penstock_int64(sqlite3_column_int64(statement, (int)i));
			continue;
		case SQLITE_FLOAT:
			*cell = penstock_double(sqlite3_column_double(statement, (int)i));
			continue;
		case SQLITE_NULL:
			*cell = penstock_null();
			continue;
		case SQLITE_TEXT:
			data = sqlite3_column_text(statement, (int)i);
			*cell = penstock_text_bytes(data, (size_t)sqlite3_column_bytes(statement, (int)i));
			break;
		default:
			data = sqlite3_column_blob(statement, (int)i);
			*cell = penstock_blob(data, (size_t)sqlite3_column_bytes(statement, (int)i));
			break;
		}
		if (cell->bytes != 0 && data == NULL)
			return PS_NO_MEMORY;
		*bytes += cell->bytes;
		if (*bytes > bytes_max)
			return PS_TOO_MANY_BYTES;
		cell->as.data = copy_bytes(outcome, data, cell->bytes);
		if (cell->as.data == NULL)
			return PS_NO_MEMORY;
	}
	if (*bytes > bytes_max)
		return PS_TOO_MANY_BYTES;
	outcome->result.row_count++;
	return PS_COLLECTED;
}

int ps_rows_collect(sqlite3_stmt *statement, bool wanted, uint64_t *bytes, uint64_t bytes_max, struct ps_outcome *outcome,
                    enum ps_collected *collected)
{
	int rc;

	*collected = PS_COLLECTED;
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		/* No row, but the code of a function that failed: one step more would run it anew, without end. */
		if (!sqlite3_stmt_busy(statement))
			return rc;
		/* PRAGMA incremental_vacuum gives rows without a column, one for each page. */
		if (!wanted || sqlite3_column_count(statement) == 0)
			continue;
		*collected = collect_row(outcome, statement, bytes, bytes_max);
		if (*collected != PS_COLLECTED)
			return SQLITE_ROW;
	}
	if (rc == SQLITE_DONE && wanted && outcome->result.column_count == 0 && !collect_names(outcome, statement))
		*collected = PS_NO_MEMORY;
	/* That, too, may be the code of a function that failed: only the reset tells. */
	return rc == SQLITE_DONE && sqlite3_reset(statement) != SQLITE_OK ? SQLITE_ERROR : rc;
}
