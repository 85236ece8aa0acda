/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNREADABLE "the answer is not what a node of a cluster gives"
#define NO_ROWS "the node gives no rows of it, as it does not know all that SQLite does: leave out RETURNING, or EXPLAIN"
#define FOREIGN_KEY "FOREIGN KEY constraint failed"

/* ---- errors ---- */

static bool begins_with(const char *text, const char *part)
{
	return strncmp(text, part, strlen(part)) == 0;
}

int ps_answer_code(const char *message)
{
	/* A primary key's message is the same as that of UNIQUE. */
	static const struct {
		const char *begins;
		int code;
	} codes[] = {
		{ "UNIQUE constraint failed", SQLITE_CONSTRAINT },
		{ "NOT NULL constraint failed", SQLITE_CONSTRAINT_NOTNULL },
		{ "CHECK constraint failed", SQLITE_CONSTRAINT_CHECK },
		{ FOREIGN_KEY, SQLITE_CONSTRAINT_FOREIGNKEY },
		{ "datatype mismatch", SQLITE_MISMATCH },
		{ "database or disk is full", SQLITE_FULL },
		{ "interrupted", SQLITE_INTERRUPT },
		{ "string or blob too big", SQLITE_TOOBIG },
		{ "cannot store ", SQLITE_CONSTRAINT_DATATYPE },
	};
	size_t i;

	for (i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		if (begins_with(message, codes[i].begins))
			return codes[i].code;
	}
	return SQLITE_ERROR;
}

bool ps_answer_is_not_applied(const char *error)
{
	char what[16], node[100], address[100];
	int end = -1;

	if (strcmp(error, "not leader") == 0 || strcmp(error, "store not open") == 0)
		return true;
	/* A follower could not even reach the leader: nothing of what it would have forwarded was sent. */
	sscanf(error,
	       "node failed to process %15s on remote node at %99s pool get: dial tcp %99s connect: connection refused%n", what,
	       node, address, &end);
	return end >= 0 && error[end] == '\0';
}

static enum ps_answer_kind say(struct ps_answer *answer, enum ps_answer_kind kind, const char *text)
{
	snprintf(answer->reason, sizeof answer->reason, "%s", text);
	return kind;
}

static enum ps_answer_kind judge_error(struct ps_answer *answer, const struct ps_json_node *error, bool grouped)
{
	/* A text that goes on behind a NUL is not the one that is known. */
	bool whole = strlen(error->text) == error->bytes;

	if (whole && ps_answer_is_not_applied(error->text))
		return say(answer, PS_ANSWER_NOT_APPLIED, error->text);
	if (whole && grouped && strcmp(error->text, FOREIGN_KEY) == 0)
		return say(answer, PS_ANSWER_FAILED, error->text);
	return say(answer, PS_ANSWER_UNKNOWN, error->text);
}

/* Of a group: behind a member that failed there are no results, and those before it are void. */
static enum ps_answer_kind judge_count(struct ps_answer *answer, const struct ps_json_node *results, size_t expected,
                                       bool grouped)
{
	const struct ps_json_node *result;
	size_t index = 0;

	for (result = ps_json_first(&answer->json, results); result != NULL; result = ps_json_next(&answer->json, result)) {
		index++;
		if (grouped && answer->failing == 0 && ps_json_member(&answer->json, result, "error") != NULL) {
			answer->failing = index;
			answer->result = result;
		}
	}
	if (answer->failing != 0 ? index > expected : index != expected) {
		snprintf(answer->reason, sizeof answer->reason, "%zu results came for %zu statements", index, expected);
		return PS_ANSWER_UNKNOWN;
	}
	if (answer->failing == 0)
		answer->result = ps_json_first(&answer->json, results);
	return PS_ANSWER_RESULTS;
}

enum ps_answer_kind ps_answer_read(struct ps_answer *answer, const char *text, size_t bytes, size_t expected, bool grouped)
{
	const struct ps_json_node *whole, *error, *results;

	answer->result = NULL;
	answer->failing = 0;
	if (!ps_json_read(&answer->json, text, bytes))
		return say(answer, PS_ANSWER_UNKNOWN, answer->json.lacks_memory ? "out of memory for the answer" : UNREADABLE);
	whole = &answer->json.nodes[0];
	error = ps_json_member(&answer->json, whole, "error");
	results = ps_json_member(&answer->json, whole, "results");
	if (error != NULL && error->type == PS_JSON_STRING && error->bytes > 0)
		return judge_error(answer, error, grouped);
	if (results == NULL || results->type != PS_JSON_ARRAY || error != NULL)
		return say(answer, PS_ANSWER_UNKNOWN, UNREADABLE);
	return judge_count(answer, results, expected, grouped);
}

void ps_answer_free(struct ps_answer *answer)
{
	ps_json_free(&answer->json);
}

/* ---- results ---- */

/* One statement's, as it is read. */
struct reading {
	struct ps_answer *answer;
	const struct ps_statement *statement;
	struct ps_outcome *outcome;
	uint64_t bytes, bytes_max;
	const struct ps_json_node *name; /* of the column */
	const struct ps_json_node *type;
};

/* What cannot be told. Of a statement that has written nobody may say that it had no effect. */
static bool fail(struct reading *reading, int code, const char *message)
{
	bool wrote = reading->statement->effect != PS_EFFECT_READ;
	char text[320];

	snprintf(text, sizeof text, "%s%s", wrote ? "the statement may be applied, but " : "", message);
	ps_outcome_fail(reading->outcome, wrote ? PENSTOCK_UNKNOWN : PENSTOCK_ERROR, code, text);
	return false;
}

static bool fail_unreadable(struct reading *reading)
{
	return fail(reading, SQLITE_PROTOCOL, UNREADABLE);
}

static bool fail_for_memory(struct reading *reading)
{
	return fail(reading, SQLITE_NOMEM, "out of memory for the rows");
}

static bool is_rewritten(const struct ps_json_node *type)
{
	static const char *const types[] = { "date", "datetime", "timestamp", "boolean" };
	size_t i;

	for (i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (ps_json_is(type, types[i]))
			return true;
	}
	return false;
}

static bool contains_any(const char *text, const char *const *patterns)
{
	while (*patterns != NULL && sqlite3_strlike(*patterns, text, 0) != 0)
		patterns++;
	return *patterns != NULL;
}

/* Whether SQLite keeps every number as a real there, as its rules for the affinity of a declared type have it. */
static bool is_real(const struct ps_json_node *type)
{
	static const char *const others[] = { "%int%", "%char%", "%clob%", "%text%", "%blob%", NULL };
	static const char *const reals[] = { "%real%", "%floa%", "%doub%", NULL };

	return type != NULL && !contains_any(type->text, others) && contains_any(type->text, reals);
}

static bool read_number(struct reading *reading, const struct ps_json_node *node, penstock_value *cell)
{
	long long integer;
	double real;
	char *end;

	if (!is_real(reading->type) && strspn(node->text, "-0123456789") == node->bytes) {
		errno = 0;
		integer = strtoll(node->text, &end, 10);
		if (errno == 0 && *end == '\0') {
			*cell = penstock_int64(integer);
			return true;
		}
	}
	/* Beyond int64 it is a real: the node prints one without an exponent. */
	real = strtod_l(node->text, &end, reading->answer->locale);
	if (*end != '\0')
		return fail_unreadable(reading);
	*cell = penstock_double(real);
	return true;
}

/* Or bytes; NULL without memory. */
static const char *copy_text(struct reading *reading, const struct ps_json_node *node)
{
	char *copy = ps_outcome_allocate(reading->outcome, node->bytes + 1);

	if (copy == NULL)
		fail_for_memory(reading);
	else
		memcpy(copy, node->text, node->bytes + 1);
	return copy;
}

static bool read_cell(struct reading *reading, const struct ps_json_node *node, penstock_value *cell)
{
	bool copies = node->type == PS_JSON_STRING || node->type == PS_JSON_BYTES;
	const char *copy;
	char message[240];

	reading->bytes += sizeof *cell + (copies ? node->bytes : 0);
	if (reading->bytes > reading->bytes_max) {
		snprintf(message, sizeof message,
		         "the rows take more than result_bytes_max (%llu bytes); ask for fewer, or raise it",
		         (unsigned long long)reading->bytes_max);
		return fail(reading, SQLITE_TOOBIG, message);
	}
	if (node->type == PS_JSON_NULL) {
		*cell = penstock_null();
		return true;
	}
	if (is_rewritten(reading->type)) {
		snprintf(message, sizeof message,
		         "a node rewrites what is declared %s: ask for CAST(%.100s AS TEXT), or another type",
		         reading->type->text, reading->name->text);
		return fail(reading, SQLITE_MISMATCH, message);
	}
	if (node->type == PS_JSON_NUMBER)
		return read_number(reading, node, cell);
	if (!copies)
		return fail_unreadable(reading);
	copy = copy_text(reading, node);
	if (copy == NULL)
		return false;
	*cell = node->type == PS_JSON_BYTES ? penstock_blob(copy, node->bytes) : penstock_text_bytes(copy, node->bytes);
	return true;
}

static bool read_row(struct reading *reading, const struct ps_json_node *row, const struct ps_json_node *columns,
                     const struct ps_json_node *types, penstock_value *cells)
{
	const struct ps_json *json = &reading->answer->json;
	const struct ps_json_node *node;

	if (row->type != PS_JSON_ARRAY || row->count != columns->count)
		return fail_unreadable(reading);
	reading->name = ps_json_first(json, columns);
	reading->type = ps_json_first(json, types);
	for (node = ps_json_first(json, row); node != NULL; node = ps_json_next(json, node), cells++) {
		if (!read_cell(reading, node, cells))
			return false;
		reading->name = ps_json_next(json, reading->name);
		reading->type = ps_json_next(json, reading->type);
	}
	return true;
}

static bool read_names(struct reading *reading, const struct ps_json_node *columns)
{
	const char **names = ps_outcome_allocate(reading->outcome, columns->count * sizeof *names);
	const struct ps_json_node *node;
	size_t count = 0;

	if (names == NULL)
		return fail_for_memory(reading);
	for (node = ps_json_first(&reading->answer->json, columns); node != NULL;
	     node = ps_json_next(&reading->answer->json, node)) {
		names[count] = copy_text(reading, node);
		if (names[count++] == NULL)
			return false;
	}
	reading->outcome->result.column_names = names;
	reading->outcome->result.column_count = count;
	return true;
}

static bool are_strings(const struct ps_json *json, const struct ps_json_node *array)
{
	const struct ps_json_node *node;

	if (array == NULL || array->type != PS_JSON_ARRAY)
		return false;
	for (node = ps_json_first(json, array); node != NULL; node = ps_json_next(json, node)) {
		if (node->type != PS_JSON_STRING)
			return false;
	}
	return true;
}

/* *rows: how many there are. False: the outcome says why not. */
static bool read_rows(struct reading *reading, const struct ps_json_node *result, const struct ps_json_node *columns,
                      bool wanted, int64_t *rows)
{
	const struct ps_json *json = &reading->answer->json;
	const struct ps_json_node *types = ps_json_member(json, result, "types"),
				  *values = ps_json_member(json, result, "values"), *row;
	penstock_value *cells;
	size_t bytes;

	if (!are_strings(json, columns) || !are_strings(json, types) || types->count != columns->count || columns->count == 0 ||
	    (values != NULL && values->type != PS_JSON_ARRAY && values->type != PS_JSON_NULL))
		return fail_unreadable(reading);
	*rows = values != NULL ? values->count : 0;
	if (!wanted)
		return true;
	if (!read_names(reading, columns))
		return false;
	if (*rows == 0)
		return true;
	if (__builtin_mul_overflow((size_t)*rows * columns->count, sizeof *cells, &bytes))
		return fail_for_memory(reading);
	cells = ps_outcome_allocate(reading->outcome, bytes);
	if (cells == NULL)
		return fail_for_memory(reading);
	reading->outcome->result.cells = cells;
	for (row = ps_json_first(json, values); row != NULL; row = ps_json_next(json, row), cells += columns->count) {
		if (!read_row(reading, row, columns, types, cells))
			return false;
	}
	reading->outcome->result.row_count = (size_t)*rows;
	return true;
}

/* A count that is not there is 0. */
static bool read_count(struct reading *reading, const struct ps_json_node *result, const char *name, int64_t *count)
{
	const struct ps_json_node *node = ps_json_member(&reading->answer->json, result, name);
	penstock_value value = penstock_int64(0);

	reading->type = NULL;
	if (node != NULL &&
	    (node->type != PS_JSON_NUMBER || !read_number(reading, node, &value) || value.type != PENSTOCK_INTEGER))
		return fail_unreadable(reading);
	*count = value.as.integer;
	return true;
}

/* Of a statement without rows. */
static void read_changes(struct reading *reading, const struct ps_json_node *result)
{
	const struct ps_statement *statement = reading->statement;
	int64_t changes, rowid;

	if (!read_count(reading, result, "rows_affected", &changes) || !read_count(reading, result, "last_insert_id", &rowid))
		return;
	if (changes < 0) {
		fail_unreadable(reading);
		return;
	}
	reading->outcome->result.changes = changes;
	if (statement->effect == PS_EFFECT_INSERT && changes > 0 && !statement->upserts)
		reading->outcome->result.last_insert_rowid = rowid;
}

void ps_answer_take(struct ps_answer *answer, const struct ps_statement *statement, bool wanted, uint64_t bytes_max,
                    struct ps_outcome *outcome)
{
	const struct ps_json_node *result = answer->result, *error, *columns;
	struct reading reading = { .answer = answer, .statement = statement, .outcome = outcome, .bytes_max = bytes_max };
	bool changes = statement->effect == PS_EFFECT_INSERT || statement->effect == PS_EFFECT_CHANGE;
	int64_t rows = 0;

	answer->result = ps_json_next(&answer->json, result);
	error = ps_json_member(&answer->json, result, "error");
	columns = ps_json_member(&answer->json, result, "columns");
	if (result->type != PS_JSON_OBJECT || (error != NULL && error->type != PS_JSON_STRING)) {
		fail_unreadable(&reading);
	} else if (error != NULL) {
		ps_outcome_fail(outcome, PENSTOCK_ERROR, ps_answer_code(error->text), error->text);
	} else if (columns != NULL) {
		/* Of RETURNING, or a query. */
		if (read_rows(&reading, result, columns, wanted, &rows) && changes)
			outcome->result.changes = rows;
	} else if (wanted && (statement->returning || statement->effect == PS_EFFECT_READ)) {
		/* A node runs what it has not understood as it runs what has no rows; its count is not of it, either. */
		fail(&reading, SQLITE_PROTOCOL, NO_ROWS);
	} else if (changes) {
		read_changes(&reading, result);
	}
}
