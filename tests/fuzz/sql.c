/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sql.c - fuzzes SQL text: statements through Penstock and through plain autocommit (tests/equivalence/)
 *
 * The first byte of an input chooses the tables, by the order in kinds.c ('a' is the first); the second chooses the size of the
 * batches and of the cache. Behind them stands one statement a line, all queued before the engine starts. A line that begins with
 * '!' is registered and nobody listens to it, so that it may run as one with its neighbours; '~' runs alone. Parameters get small
 * numbers, which count on from line to line.
 *
 * The second opinion is plain SQLite, as for the random rounds (oracle.h). Before that, each line runs there once, to learn what is
 * to be expected of it, and whether it can be compared at all. What cannot is left out:
 *
 *   1. What no two runs agree on: random(), the clock, addresses (EXPLAIN), tables about the process.
 *   2. What reaches files by name (ATTACH, VACUUM INTO), or settings that the contract keeps to itself (most pragmas).
 *   3. The functions for tests that break rules on purpose: generated rounds and traps try these.
 *   4. What takes more steps than STEPS_MAX.
 */
#include "tests/fuzz/fuzz.h"

#include <strings.h>

#include "tests/equivalence/autocommit.h"
#include "tests/equivalence/oracle.h"
#include "tests/equivalence/sides.h"

#define LINES_MAX 60
#define STEPS_MAX 50000 /* of SQLite's machine, for one statement */

/* What preparing a statement has shown. */
struct look {
	bool transaction; /* BEGIN and the like */
	bool left_out;
	bool loose_pages;
};

static const char *const functions_left_out[] = {
	"random",         "randomblob",        "date",
	"time",           "datetime",          "julianday",
	"unixepoch",      "strftime",          "current_date",
	"current_time",   "current_timestamp", "run_sql",
	"keep_sql",       "run_kept",          "drop_kept",
	"fail_code",      "fail_with",         "wrote_then",
	"load_extension", "fts3_tokenizer",    "sqlite_compileoption_get",
	"total_changes",
};

static const char *const pragmas[] = {
	"foreign_keys",       "recursive_triggers", "defer_foreign_keys", "user_version",   "application_id",
	"incremental_vacuum", "freelist_count",     "table_info",         "index_list",     "ignore_check_constraints",
	"count_changes",      "full_column_names",  "quick_check",        "schema_version", "reverse_unordered_selects",
};

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (strcasecmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

/* Tables that tell of the process or of the file's pages. */
static bool tells_of_itself(const char *table)
{
	static const char *const tables[] = { "dbstat",      "sqlite_stmt",   "bytecode",
		                              "tables_used", "sqlite_dbpage", "fts3tokenize" };

	return is_one_of(table, tables, COUNT_OF(tables)) || strncasecmp(table, "pragma_", 7) == 0;
}

static int authorize(void *arg, int action, const char *first, const char *second, const char *database, const char *trigger)
{
	struct look *look = arg;

	(void)database;
	(void)trigger;
	if (action == SQLITE_TRANSACTION || action == SQLITE_SAVEPOINT)
		look->transaction = true;
	else if (action == SQLITE_FUNCTION && second != NULL)
		look->left_out |= is_one_of(second, functions_left_out, COUNT_OF(functions_left_out));
	else if (action == SQLITE_PRAGMA)
		/* A value that is set must be a plain one: the schema's version is only read. */
		look->left_out |= !is_one_of(first, pragmas, COUNT_OF(pragmas)) ||
		                  (strcasecmp(first, "schema_version") == 0 && second != NULL);
	else if (action == SQLITE_ATTACH)
		look->left_out |= first == NULL || strcmp(first, ":memory:") != 0;
	else if (action == SQLITE_READ)
		look->left_out |= tells_of_itself(first);
	else if (action == SQLITE_CREATE_VTABLE)
		look->left_out |= second == NULL || (!look->loose_pages && strcasecmp(second, "rtree") != 0);
	/* Not before it is known whether it runs at all: preparing some pragmas acts. */
	return look->left_out || look->transaction ? SQLITE_DENY : SQLITE_OK;
}

static int count_down(void *arg)
{
	int *left = arg;

	return --*left < 0;
}

/* Behind white space and comments; before a statement semicolons are blank too, behind it the contract has none of them. */
static const char *skip_blank(const char *text, bool semicolons)
{
	for (;;) {
		if (*text != '\0' && strchr(semicolons ? " \t\f\r;" : " \t\f\r", *text) != NULL)
			text++;
		else if (strncmp(text, "--", 2) == 0)
			text += strlen(text);
		else if (strncmp(text, "/*", 2) == 0)
			text = strstr(text + 2, "*/") != NULL ? strstr(text + 2, "*/") + 2 : text + strlen(text);
		else
			return text;
	}
}

/* Where the first statement ends: behind the first semicolon that completes it. */
static const char *behind_first(char *text)
{
	char *at = text;

	while ((at = strchr(at, ';')) != NULL) {
		char after = *++at;
		int complete;

		*at = '\0';
		complete = sqlite3_complete(text);
		*at = after;
		if (complete)
			return at;
	}
	return text + strlen(text);
}

static void bind_numbers(struct statement *statement, sqlite3_stmt *prepared, size_t line)
{
	int i, count = sqlite3_bind_parameter_count(prepared);

	statement->value_count = (size_t)(count < VALUES_MAX ? count : VALUES_MAX);
	for (i = 0; i < (int)statement->value_count; i++)
		statement->values[i] = penstock_int64((int64_t)(line + (size_t)i));
}

static bool can_be_prepared(sqlite3 *connection, const char *sql)
{
	sqlite3_stmt *prepared = NULL;
	int rc = sqlite3_prepare_v2(connection, sql, -1, &prepared, NULL);

	sqlite3_finalize(prepared);
	return rc == SQLITE_OK;
}

/* Runs it on the scout, and says what is to be expected. False: it cannot be compared. */
static bool scout(sqlite3 *connection, struct statement *statement, size_t line, bool loose_pages)
{
	struct look look = { .loose_pages = loose_pages };
	const char *first = skip_blank(statement->sql, true);
	bool more = *skip_blank(behind_first((char *)first), false) != '\0';
	sqlite3_stmt *prepared = NULL;
	int steps = STEPS_MAX / 100, rc;

	/* Whether two statements or none come first to light depends on how a pragma is read: not worth an opinion. */
	if (more && strncasecmp(first, "PRAGMA", 6) == 0)
		return false;
	if (strncasecmp(first, "VACUUM", 6) == 0 && strcasestr(first, "INTO") != NULL)
		return false;
	sqlite3_set_authorizer(connection, authorize, &look);
	sqlite3_progress_handler(connection, 100, count_down, &steps);
	rc = sqlite3_prepare_v2(connection, statement->sql, -1, &prepared, NULL);
	sqlite3_set_authorizer(connection, NULL, NULL);
	if (look.transaction)
		/* Or one that is only the beginning of nonsense. */
		statement->expected = can_be_prepared(connection, statement->sql) ? REFUSED : AS_SQLITE;
	else if (rc == SQLITE_OK && (prepared == NULL || more))
		statement->expected = NO_SINGLE;
	else if (rc == SQLITE_OK && !look.left_out && !sqlite3_stmt_isexplain(prepared)) {
		bind_numbers(statement, prepared, line);
		sqlite3_finalize(prepared);
		free(reference_outcome(connection, statement));
		prepared = NULL;
		look.left_out = steps < 0 || statement->value_count >= VALUES_MAX;
	}
	look.left_out |= prepared != NULL && sqlite3_stmt_isexplain(prepared);
	sqlite3_finalize(prepared);
	sqlite3_progress_handler(connection, 0, NULL, NULL);
	return !look.left_out;
}

static struct statement *statement_of(const char *line)
{
	struct statement *statement;

	statement = plain_statement(line[0] == '!' || line[0] == '~' ? line + 1 : line, AS_SQLITE);
	statement->registered = line[0] == '!';
	statement->listener = line[0] == '!' ? BY_NOBODY : BY_HANDLE;
	statement->flags = line[0] == '~' ? PENSTOCK_RUN_ALONE : 0;
	return statement;
}

/* The lines that can be compared; `text` is cut up. */
static void take_lines(const struct setup *setup, struct list *list, char *text)
{
	sqlite3 *connection;
	char *line, *rest = text;
	size_t count = 0, i;

	clear_side('r');
	connection = open_reference(setup);
	for (i = 0; i < list->count; i++)
		free(reference_outcome(connection, list->at[i]));
	while ((line = strsep(&rest, "\n")) != NULL && count < LINES_MAX) {
		struct statement *statement = statement_of(line);

		if (line[0] != '\0' && scout(connection, statement, count, setup->kinds[0]->loose_pages)) {
			append(list, statement);
			count++;
		} else {
			free(statement->sql);
			free(statement);
		}
	}
	must(sqlite3_close(connection) == SQLITE_OK);
}

/* The kinds whose tables can be used without rules of their own. */
static const struct kind *choose_kind(uint8_t byte)
{
	size_t count = 0;
	const struct kind *kind;

	while (kinds[count] != NULL)
		count++;
	kind = kinds[(size_t)(uint8_t)(byte - 'a') % count];
	if (kind->locale != NULL || kind->prepare != NULL || (kind->needs != NULL && !sqlite3_compileoption_used(kind->needs)))
		return &kind_general;
	return kind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct setup setup = { .way = QUEUED, .synchronous = PENSTOCK_SYNCHRONOUS_OFF };
	struct list list = { 0 };
	penstock_counters counters;
	char *text, *found;
	size_t i;

	if (size < 3 || memchr(data, '\0', size) != NULL || memmem(data, size, "$D", 2) != NULL)
		return -1;
	setup.kinds[0] = choose_kind(data[0]);
	if (setup.kinds[0]->pragma.name != NULL)
		setup.pragmas[setup.pragma_count++] = setup.kinds[0]->pragma;
	setup.batch_max = (data[1] & 1) != 0 ? 1048576 : 1 + (data[1] >> 4);
	setup.statement_cache = (data[1] & 2) != 0 ? 3 : 128;
	for (i = 0; setup.kinds[0]->schema[i] != NULL; i++)
		append(&list, plain_statement(setup.kinds[0]->schema[i], AS_SQLITE));
	text = copy_of(data + 2, size - 2);
	take_lines(&setup, &list, text);
	found = difference(&setup, &list, &counters);
	must(found == NULL, "%s", found);
	free_list(&list);
	free(text);
	return 0;
}
