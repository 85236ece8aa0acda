/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/statements.h"

#include <inttypes.h>

void *copy_of(const void *data, size_t bytes)
{
	char *copy = malloc(bytes + 1);

	memcpy(copy, data, bytes);
	copy[bytes] = '\0';
	return copy;
}

void append(struct list *list, struct statement *statement)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
		list->at = realloc(list->at, list->capacity * sizeof list->at[0]);
	}
	list->at[list->count++] = statement;
}

void free_statement(struct statement *statement)
{
	size_t i;

	for (i = 0; i < statement->value_count; i++) {
		if (statement->values[i].type == PENSTOCK_TEXT || statement->values[i].type == PENSTOCK_BLOB)
			free((void *)statement->values[i].as.data);
	}
	for (i = 0; i < statement->member_count; i++)
		free_statement(statement->members[i]);
	free(statement->members);
	free(statement->sql);
	free(statement);
}

void free_list(struct list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		free_statement(list->at[i]);
	free(list->at);
	*list = (struct list){ 0 };
}

struct statement *plain_statement(const char *sql, enum expected expected)
{
	struct statement *statement = calloc(1, sizeof *statement);

	statement->sql = strdup(sql);
	statement->bytes = strlen(sql);
	statement->expected = expected;
	return statement;
}

struct statement *empty_group(void)
{
	struct statement *group = calloc(1, sizeof *group);

	group->members = calloc(MEMBERS_MAX, sizeof(struct statement *));
	return group;
}

void add_member(struct statement *group, struct statement *member)
{
	group->members[group->member_count++] = member;
}

void write_value(FILE *out, int type, int64_t integer, double real, const void *data, size_t bytes)
{
	const unsigned char *at = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	size_t i;

	switch (type) {
	case SQLITE_INTEGER:
		fprintf(out, " i%" PRId64, integer);
		break;
	case SQLITE_FLOAT:
		fprintf(out, " f%.17g", real);
		break;
	case SQLITE_NULL:
		fprintf(out, " null");
		break;
	default:
		fprintf(out, " %c%zu:", type == SQLITE_TEXT ? 't' : 'b', bytes);
		for (i = 0; i < bytes; i++) {
			hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
			if (bytes > 300)
				continue;
			if (at[i] >= ' ' && at[i] < 127)
				fputc(at[i], out);
			else
				fprintf(out, "\\x%02x", at[i]);
		}
		if (bytes > 300)
			fprintf(out, "#%" PRIx64, hash);
		break;
	}
}

static const char *const endings[] = {
	[ALWAYS_BEGINS] = "",       [IN_TIME] = " (in time)",         [NOT_CANCELLED] = " (not cancelled)",
	[TOO_LATE] = " (too late)", [NEARLY_LATE] = " (nearly late)", [CANCELLED] = " (cancelled)",
};

void print_statement(FILE *out, const struct statement *statement)
{
	size_t i;

	for (i = 0; i < statement->member_count; i++) {
		fprintf(out, "%s", i == 0 ? "{ " : "; ");
		print_statement(out, statement->members[i]);
	}
	fprintf(out, "%.300s%s%s%s", statement->member_count > 0 ? " }" : statement->sql, statement->is_call ? " (call)" : "",
	        statement->goes_on ? " (goes on)" : "", statement->gives_up ? " (gives up)" : "");
	for (i = 0; i < statement->value_count; i++)
		write_value(out, statement->values[i].type, statement->values[i].as.integer, statement->values[i].as.real,
		            statement->values[i].as.data, statement->values[i].bytes);
	fprintf(out, "%s%s%s%s%s", statement->registered ? " (registered)" : "", statement->flags != 0 ? " (run alone)" : "",
	        statement->listener == BY_CALLBACK ? " (callback)"
	        : statement->listener == BY_NOBODY ? " (nobody)"
	                                           : "",
	        statement->ack == PENSTOCK_ACK_DURABLE ? " (durable)" : "", endings[statement->ending]);
}
