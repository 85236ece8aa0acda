/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/columns.h"

#include <stdlib.h>
#include <string.h>

#include "tool/report.h"

/* ---- the statement ---- */

static bool wrong(const char *what, const char *sql, const char *why)
{
	report_say("%s '%s': %s; %s", what, sql, why, report_nothing());
	return false;
}

static bool take_names(struct target *target, sqlite3_stmt *statement)
{
	size_t i;

	target->count = (size_t)sqlite3_bind_parameter_count(statement);
	target->names = calloc(target->count, sizeof *target->names);
	for (i = 0; target->names != NULL && i < target->count; i++) {
		const char *name = sqlite3_bind_parameter_name(statement, (int)i + 1);

		/* ?5 counts as a name, too. */
		if (name == NULL || name[0] == '?')
			continue;
		target->named = true;
		target->names[i] = strdup(name + 1);
		if (target->names[i] == NULL)
			return false;
	}
	return target->names != NULL;
}

bool target_init(struct target *target, sqlite3 *reader, const char *what, const char *sql)
{
	sqlite3_stmt *statement = NULL, *second = NULL;
	const char *tail = "";
	bool good = false;

	*target = (struct target){ 0 };
	if (sqlite3_prepare_v2(reader, sql, -1, &statement, &tail) != SQLITE_OK)
		wrong(what, sql, sqlite3_errmsg(reader));
	else if (statement == NULL)
		wrong(what, sql, "this is no statement");
	else if (sqlite3_prepare_v2(reader, tail, -1, &second, NULL) != SQLITE_OK || second != NULL)
		wrong(what, sql, "this is more than one statement; use --setup for those before");
	else if (sqlite3_bind_parameter_count(statement) == 0)
		wrong(what, sql, "it has no parameters, so the records would go nowhere: write ? for each field");
	else if (!take_names(target, statement))
		wrong(what, sql, "out of memory");
	else
		good = true;
	sqlite3_finalize(second);
	sqlite3_finalize(statement);
	return good;
}

static const struct record *header_of(const struct batch *first)
{
	return first != NULL && first->records[0].header ? &first->records[0] : NULL;
}

static struct field field_at(const struct batch *batch, const struct record *record, size_t number)
{
	return batch->fields[record->first + number];
}

bool target_name_after(struct target *target, const struct batch *first)
{
	const struct record *header = header_of(first);
	size_t i;

	for (i = 0; header != NULL && i < target->count && i < header->fields; i++) {
		struct field field = field_at(first, header, i);

		free(target->names[i]);
		target->names[i] = strndup(first->bytes + field.offset, field.bytes);
		if (target->names[i] == NULL)
			return false;
		target->named = true;
	}
	return true;
}

void target_free(struct target *target)
{
	size_t i;

	for (i = 0; target->names != NULL && i < target->count; i++)
		free(target->names[i]);
	free(target->names);
	*target = (struct target){ 0 };
}

/* ---- the fields ---- */

static bool is_name(const struct batch *batch, struct field field, const char *name)
{
	return strlen(name) == field.bytes && sqlite3_strnicmp(batch->bytes + field.offset, name, (int)field.bytes) == 0;
}

/* The first field of the header from this one on that has the name; their number: none has. */
static size_t find_name(const struct batch *first, const char *name, size_t number)
{
	size_t count = first->records[0].fields;

	if (name == NULL)
		return count;
	while (number < count && !is_name(first, field_at(first, &first->records[0], number), name))
		number++;
	return number;
}

bool columns_init(struct columns *columns, const struct target *target, const struct batch *first, const char *file)
{
	const struct record *header = header_of(first);
	size_t *fields, i, number;

	columns->count = target->count;
	columns->header_count = header != NULL ? header->fields : 0;
	if (header == NULL || !target->named)
		return true;
	fields = calloc(target->count, sizeof *fields);
	columns->fields = fields;
	if (fields == NULL) {
		report_say("out of memory for the columns of '%s'; %s", file, report_nothing());
		return false;
	}
	for (i = 0; i < target->count; i++) {
		const char *name = target->names[i];

		number = find_name(first, name, 0);
		if (number == header->fields) {
			report_say("'%s': its header has no column '%s'; %s", file, name != NULL ? name : "?",
			           report_nothing());
			return false;
		}
		if (find_name(first, name, number + 1) < header->fields) {
			report_say("'%s': its header has the column '%s' twice; %s", file, name, report_nothing());
			return false;
		}
		fields[i] = number;
	}
	return true;
}

void columns_free(struct columns *columns)
{
	free((void *)(uintptr_t)columns->fields);
	columns->fields = NULL;
}

static bool is_null(const struct columns *columns, const penstock_value *value)
{
	return columns->null_text != NULL && strlen(columns->null_text) == value->bytes &&
	       memcmp(value->as.data, columns->null_text, value->bytes) == 0;
}

const char *columns_place(const struct columns *columns, const penstock_value *values, size_t count, penstock_value *placed,
                          bool *extra)
{
	size_t wanted = columns->fields != NULL ? columns->header_count : columns->count;
	size_t i;

	*extra = false;
	if (!columns->lax && columns->header_count > 0 && count != columns->header_count)
		return count < columns->header_count ? "fewer fields than the header has; record skipped"
		                                     : "more fields than the header has; record skipped";
	if (!columns->lax && count != wanted)
		return count < wanted ? "fewer fields than the statement has parameters; record skipped"
		                      : "more fields than the statement has parameters; record skipped";
	*extra = count > wanted;
	for (i = 0; i < columns->count; i++) {
		size_t number = columns->fields != NULL ? columns->fields[i] : i;

		placed[i] = number < count && !is_null(columns, &values[number]) ? values[number] : penstock_null();
	}
	return NULL;
}

/* ---- --table ---- */

static void append_name(sqlite3_str *out, const struct batch *first, size_t number)
{
	const struct record *header = header_of(first);
	struct field field;

	if (header == NULL) {
		sqlite3_str_appendf(out, "c%d", (int)number + 1);
		return;
	}
	field = field_at(first, header, number);
	sqlite3_str_appendf(out, "\"%.*w\"", (int)field.bytes, first->bytes + field.offset);
}

enum kind { KIND_NOTHING, KIND_INTEGER, KIND_REAL, KIND_TEXT };

/* What SQLite would make of the text where a column has numeric affinity, and would give back as it was. */
static enum kind kind_of(const char *text, size_t bytes)
{
	char copy[32];
	char *end;

	if (bytes == 0)
		return KIND_NOTHING;
	if (bytes >= sizeof copy || strspn(text, "+-0123456789.eE") < bytes)
		return KIND_TEXT;
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	/* A leading zero or plus may mean something, as in a postal code or a telephone number. */
	if (copy[0] == '+' ||
	    (copy[copy[0] == '-'] == '0' && bytes > 1u + (copy[0] == '-') && copy[1 + (copy[0] == '-')] != '.'))
		return KIND_TEXT;
	strtod(copy, &end);
	if (*end != '\0')
		return KIND_TEXT;
	/* More digits than int64 holds would be rounded. */
	if (strpbrk(copy, ".eE") == NULL)
		return bytes <= 18 ? KIND_INTEGER : KIND_TEXT;
	return KIND_REAL;
}

static const char *type_of(const struct batch *first, size_t number)
{
	enum kind kind = KIND_NOTHING;
	size_t i;

	for (i = 0; i < first->record_count; i++) {
		const struct record *record = &first->records[i];
		struct field field;
		enum kind one;

		if (record->header || record->fault != NULL || number >= record->fields)
			continue;
		field = field_at(first, record, number);
		one = kind_of(first->bytes + field.offset, field.bytes);
		if (one > kind)
			kind = one;
	}
	return kind == KIND_INTEGER ? "INTEGER" : kind == KIND_REAL ? "REAL" : "TEXT";
}

char *columns_create_sql(const char *table, const struct batch *first, bool guess)
{
	sqlite3_str *out = sqlite3_str_new(NULL);
	size_t i;

	sqlite3_str_appendf(out, "CREATE TABLE IF NOT EXISTS \"%w\"(", table);
	for (i = 0; i < first->records[0].fields; i++) {
		sqlite3_str_appendall(out, i > 0 ? ", " : "");
		append_name(out, first, i);
		sqlite3_str_appendf(out, " %s", guess ? type_of(first, i) : "TEXT");
	}
	sqlite3_str_appendall(out, ")");
	return sqlite3_str_finish(out);
}

char *columns_insert_sql(const char *table, const struct batch *first, size_t table_columns)
{
	const struct record *header = header_of(first);
	size_t count = header != NULL ? header->fields : table_columns;
	sqlite3_str *out = sqlite3_str_new(NULL);
	size_t i;

	sqlite3_str_appendf(out, "INSERT INTO \"%w\"", table);
	for (i = 0; header != NULL && i < count; i++) {
		sqlite3_str_appendall(out, i > 0 ? ", " : "(");
		append_name(out, first, i);
	}
	sqlite3_str_appendall(out, header != NULL ? ") VALUES(" : " VALUES(");
	for (i = 0; i < count; i++)
		sqlite3_str_appendall(out, i > 0 ? ",?" : "?");
	sqlite3_str_appendall(out, ")");
	return sqlite3_str_finish(out);
}

/* ---- a header that nobody named ---- */

static bool looks_like_name(const char *text, size_t bytes)
{
	return bytes > 0 && bytes < 64 && kind_of(text, bytes) == KIND_TEXT && strchr("0123456789+-.", text[0]) == NULL;
}

bool columns_look_named(const struct batch *first)
{
	const struct record *one, *two;
	bool number = false;
	size_t i;

	if (first == NULL || first->record_count < 2)
		return false;
	one = &first->records[0];
	two = &first->records[1];
	if (one->header || one->fault != NULL || two->fault != NULL || one->fields != two->fields)
		return false;
	for (i = 0; i < one->fields; i++) {
		struct field name = field_at(first, one, i), value = field_at(first, two, i);
		enum kind kind = kind_of(first->bytes + value.offset, value.bytes);

		if (!looks_like_name(first->bytes + name.offset, name.bytes))
			return false;
		number |= kind == KIND_INTEGER || kind == KIND_REAL;
	}
	return number;
}
