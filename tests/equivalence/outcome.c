/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/outcome.h"

#include <inttypes.h>

void write_failure(FILE *out, const struct statement *statement, int extended_code, const char *message)
{
	bool own = statement->expected == REFUSED || statement->expected == NO_SINGLE || extended_code == SQLITE_RANGE ||
	           (statement->is_call && extended_code == SQLITE_MISUSE);

	/* Of a wrong text SQLite says SCHEMA where it has not read the schema since it changed, as behind VACUUM. */
	fprintf(out, "ERROR code=%d", extended_code == SQLITE_SCHEMA ? SQLITE_ERROR : extended_code);
	if (own)
		fprintf(out, " message=%s", message[0] != '\0' ? "(Penstock's)" : "(none)");
	else
		fprintf(out, " message=%s", message);
}

void write_effect(FILE *out, int64_t changes, int64_t rowid)
{
	fprintf(out, " changes=%" PRId64 " rowid=%" PRId64, changes, rowid);
}

void write_group(FILE *out, size_t failed)
{
	fprintf(out, " failed=%zu", failed);
}

static void write_members(FILE *out, const struct statement *group, const penstock_result *result)
{
	size_t i;

	write_group(out, result->failed_member);
	if (result->member_count != group->member_count)
		fprintf(out, " members=%zu", result->member_count);
	for (i = 0; i < group->member_count; i++) {
		const penstock_result *member = penstock_result_member(result, i);
		char *text;

		if (result->status == PENSTOCK_OK) {
			text = text_of_result(group->members[i], member);
			fprintf(out, " {%s}", text);
			free(text);
		} else if (member != result) {
			fprintf(out, " a member that has a result of its own");
		}
	}
}

char *text_of_result(const struct statement *statement, const penstock_result *result)
{
	char *text;
	size_t bytes, row, column;
	FILE *out = open_memstream(&text, &bytes);

	if (result->status == PENSTOCK_ERROR) {
		write_failure(out,
		              !statement->is_call && result->failed_member < statement->member_count
		                      ? statement->members[result->failed_member]
		                      : statement,
		              result->extended_code, result->message);
		if (result->code != (result->extended_code & 0xff))
			fprintf(out, " primary code=%d", result->code);
	} else {
		fprintf(out, "%s", penstock_status_name(result->status) + strlen("PENSTOCK_"));
		if (result->code != 0 || result->extended_code != 0 || result->message[0] != '\0')
			fprintf(out, " code=%d,%d message=%s", result->code, result->extended_code, result->message);
	}
	write_effect(out, result->changes, result->last_insert_rowid);
	if (statement->member_count > 0 && !statement->is_call)
		write_members(out, statement, result);
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
