/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/fuse.h"

#include <stdlib.h>
#include <string.h>

#include "writer/sqlite/explain.h"

/* So many rows run one by one behind one that failed: a fused statement that fails has cost the work of all its rows. */
#define PAUSE_ROWS 512

/* The second width is this part of the first, the third of the second: 32, 8, 2. */
#define NARROWER 4

static unsigned width_of(unsigned most, size_t index)
{
	while (index-- > 0)
		most /= NARROWER;
	return most;
}

/* Whether rows of one statement could see each other in the table's definition, or be kept one without the other. */
static bool is_suspicious(const char *definition)
{
	static const char *const words[] = { "references", "conflict", "virtual table" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (ps_syntax_contains(definition, words[i]))
			return true;
	}
	return false;
}

static bool table_is_fit(sqlite3 *connection, const char *table, struct ps_fuse *fuse)
{
	sqlite3_stmt *query;
	bool fit = false;

	/* SQLite's own tables are not described like others. */
	if (sqlite3_strnicmp(table, "sqlite_", (int)strlen("sqlite_")) == 0)
		return false;
	if (sqlite3_prepare_v2(connection,
	                       "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE", -1,
	                       &query, NULL) != SQLITE_OK)
		return false;
	if (sqlite3_bind_text(query, 1, table, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW) {
		const char *definition = (const char *)sqlite3_column_text(query, 0);

		fit = definition != NULL && !is_suspicious(definition);
		fuse->numbers = fit && ps_syntax_contains(definition, "autoincrement");
		fuse->rowless = fit && ps_syntax_contains(definition, "without");
	}
	sqlite3_finalize(query);
	return fit;
}

static char *append(char *end, const char *text, size_t bytes)
{
	memcpy(end, text, bytes);
	return end + bytes;
}

/* The statement's text with its row `width` times, and OR FAIL. NULL without memory, and when
 * SQLite would not take it. */
static char *text_of(const struct ps_registered *statement, unsigned width, size_t *bytes)
{
	static const char or_fail[] = " OR FAIL";
	const struct ps_syntax_row *row = &statement->row;
	const char *sql = statement->base.text.data;
	size_t head = row->at + row->bytes;
	char *text, *end;

	if (row->bytes >= PS_LENGTH_MAX / width)
		return NULL;
	*bytes = head + strlen(or_fail) + (width - 1) * (row->bytes + 1);
	text = malloc(*bytes + 1);
	if (text == NULL)
		return NULL;
	end = append(text, sql, row->into);
	end = append(end, or_fail, strlen(or_fail));
	end = append(end, sql + row->into, head - row->into);
	for (; width > 1; width--) {
		*end++ = ',';
		end = append(end, sql + row->at, row->bytes);
	}
	*end = '\0';
	return text;
}

static bool prepare_width(struct ps_statements *statements, struct ps_registered *statement, struct ps_prepared *prepared,
                          unsigned width)
{
	size_t bytes;
	char *text = text_of(statement, width, &bytes);
	const char *message;
	bool whole;
	int code;

	if (text == NULL)
		return false;
	whole = ps_statements_prepare(statements, prepared, text, bytes, 0, &code, &message);
	free(text);
	if (!whole)
		return false;
	/* With PRAGMA count_changes each would give a row. */
	if (prepared->inserts && prepared->columns == 0 && (unsigned)prepared->parameters == width * statement->row.places &&
	    table_is_fit(statements->connection, statements->inserted, &statement->fuse) &&
	    !ps_explain_calls_functions(statements->connection, sqlite3_sql(prepared->statement)))
		return true;
	ps_statements_unprepare(prepared);
	return false;
}

bool ps_fuse_pauses(struct ps_registered *statement, uint64_t schema_changes)
{
	struct ps_fuse *fuse = &statement->fuse;

	if (fuse->pause > 0) {
		fuse->pause--;
		return true;
	}
	return fuse->unfit && fuse->unfit_at == schema_changes;
}

unsigned ps_fuse_width(struct ps_statements *statements, struct ps_registered *statement, unsigned most, unsigned count,
                       uint64_t schema_changes)
{
	struct ps_fuse *fuse = &statement->fuse;

	for (size_t i = 0; i < PS_FUSE_WIDTHS; i++) {
		unsigned width = width_of(most, i);

		if (width < 2)
			return 0;
		if (width > count)
			continue;
		fuse->unfit = false;
		if (fuse->widths[i].statement != NULL || prepare_width(statements, statement, &fuse->widths[i], width))
			return width;
		/* A narrower one may be within SQLite's limits; when none is, this is not tried for every row. */
		fuse->unfit = true;
		fuse->unfit_at = schema_changes;
	}
	return 0;
}

struct ps_prepared *ps_fuse_get(struct ps_registered *statement, unsigned most, unsigned width)
{
	size_t i = 0;

	while (width_of(most, i) != width)
		i++;
	return &statement->fuse.widths[i];
}

bool ps_fuse_lacks_rowids(const struct ps_registered *statement)
{
	for (size_t i = 0; statement->fuse.rowless && i < PS_FUSE_WIDTHS; i++) {
		if (statement->fuse.widths[i].statement != NULL)
			return true;
	}
	return false;
}

void ps_fuse_pause(struct ps_registered *statement)
{
	statement->fuse.pause = PAUSE_ROWS;
}

void ps_fuse_forget(struct ps_registered *statement)
{
	for (size_t i = 0; i < PS_FUSE_WIDTHS; i++) {
		if (statement->fuse.widths[i].statement != NULL)
			ps_statements_unprepare(&statement->fuse.widths[i]);
	}
}
