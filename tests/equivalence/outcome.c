/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/outcome.h"

#include <inttypes.h>

void write_failure(FILE *out, const struct statement *statement, int extended_code, const char *message)
{
	bool own = statement->expected == REFUSED || statement->expected == NO_SINGLE || extended_code == SQLITE_RANGE;

	/* Of a wrong text SQLite says SCHEMA where it has not read the schema since it changed, as behind VACUUM. */
	fprintf(out, "ERROR code=%d", extended_code == SQLITE_SCHEMA ? SQLITE_ERROR : extended_code);
	if (own)
		fprintf(out, " message=%s", message[0] != '\0' ? "(Penstock's)" : "(none)");
	else
		fprintf(out, " message=%s", message);
}

char *text_of_result(const struct statement *statement, const penstock_result *result)
{
	char *text;
	size_t bytes, row, column;
	FILE *out = open_memstream(&text, &bytes);

	if (result->status == PENSTOCK_ERROR) {
		write_failure(out, statement, result->extended_code, result->message);
		if (result->code != (result->extended_code & 0xff))
			fprintf(out, " primary code=%d", result->code);
	} else {
		fprintf(out, "%s", penstock_status_name(result->status) + strlen("PENSTOCK_"));
		if (result->code != 0 || result->extended_code != 0 || result->message[0] != '\0')
			fprintf(out, " code=%d,%d message=%s", result->code, result->extended_code, result->message);
	}
	fprintf(out, " changes=%" PRId64 " rowid=%" PRId64, result->changes, result->last_insert_rowid);
	if (statement->expected != LOOSE) {
		for (column = 0; column < result->column_count; column++)
			fprintf(out, " [%s]", result->column_names[column]);
		for (row = 0; result->column_count != 0 && row < result->row_count; row++) {
			fprintf(out, " |");
			for (column = 0; column < result->column_count; column++) {
				const penstock_value *cell = penstock_result_cell(result, row, column);

				write_value(out, cell->type, cell->as.integer, cell->as.real, cell->as.data, cell->bytes);
			}
		}
	}
	fclose(out);
	return text;
}
