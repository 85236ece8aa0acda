/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/oracle.h"

#include <inttypes.h>
#include <unistd.h>

#include "tests/equivalence/autocommit.h"
#include "tests/equivalence/locales.h"
#include "tests/equivalence/sides.h"
#include "tests/kit.h"

#define HANG_SECONDS 600

void watch(unsigned more_seconds)
{
	const char *seconds = getenv("PENSTOCK_HANG");

	alarm((seconds != NULL ? (unsigned)atoi(seconds) : HANG_SECONDS) + more_seconds);
}

static void dump_query(FILE *out, sqlite3 *connection, const char *sql)
{
	sqlite3_stmt *prepared;

	fprintf(out, "%s\n", sql);
	if (sqlite3_prepare_v2(connection, sql, -1, &prepared, NULL) != SQLITE_OK) {
		fprintf(out, "  %s\n", sqlite3_errmsg(connection));
		return;
	}
	while (sqlite3_step(prepared) == SQLITE_ROW) {
		fprintf(out, " ");
		write_row(out, prepared);
		fprintf(out, "\n");
	}
	sqlite3_finalize(prepared);
}

static bool pages_are_loose(const struct setup *setup)
{
	size_t i = 0;

	while (setup->kinds[i] != NULL && !setup->kinds[i]->loose_pages)
		i++;
	return setup->kinds[i] != NULL;
}

/* The index of a full-text search is left out where its pages may differ; what is found in it is dumped. */
static char *dump_file(char side, const char *name, bool loose_pages)
{
	static const char *const questions[] = {
		"PRAGMA encoding",       "PRAGMA user_version",    "PRAGMA application_id",
		"PRAGMA schema_version", "PRAGMA page_count",      "PRAGMA freelist_count",
		"PRAGMA journal_mode",   "PRAGMA integrity_check", "PRAGMA foreign_key_check"
	};
	sqlite3 *connection = open_plain(side_path(side, name));
	sqlite3_stmt *tables;
	char *text, sql[300];
	size_t bytes, i;
	FILE *out = open_memstream(&text, &bytes);

	for (i = 0; i < sizeof questions / sizeof questions[0]; i++) {
		bool pages = strcmp(questions[i], "PRAGMA page_count") == 0,
		     free = strcmp(questions[i], "PRAGMA freelist_count") == 0;

		/* An attached file gets its first page from any transaction. */
		if (!(pages && strcmp(name, "main.db") != 0) && !((pages || free) && loose_pages))
			dump_query(out, connection, questions[i]);
	}
	dump_query(out, connection, "SELECT rowid,* FROM sqlite_schema");
	sqlite3_prepare_v2(
		connection,
		"SELECT l.name,l.wr FROM sqlite_schema s JOIN pragma_table_list l ON l.name=s.name AND l.schema='main' "
		"WHERE s.type='table' AND l.type IN('table','virtual',iif(?,'','shadow'))",
		-1, &tables, NULL);
	sqlite3_bind_int(tables, 1, loose_pages);
	while (sqlite3_step(tables) == SQLITE_ROW) {
		const char *table = (const char *)sqlite3_column_text(tables, 0);
		/* ANALYZE goes through the tables in the order of a hash table. */
		bool any_order = strncmp(table, "sqlite_stat", strlen("sqlite_stat")) == 0;

		snprintf(sql, sizeof sql, "SELECT %s* FROM \"%s\"%s",
		         sqlite3_column_int(tables, 1) || any_order ? "" : "rowid,", table, any_order ? " ORDER BY 1,2,3" : "");
		dump_query(out, connection, sql);
	}
	sqlite3_finalize(tables);
	fclose(out);
	sqlite3_close(connection);
	return text;
}

static int by_ticket(const void *left, const void *right)
{
	const struct pending *a = left, *b = right;

	return a->ticket < b->ticket ? -1 : a->ticket > b->ticket;
}

/* The lines from the first that differs to the end of its part (parts begin with a question, rows with a blank). */
static void write_part(FILE *out, const char *text, size_t from)
{
	unsigned lines = 0;

	for (; text[from] != '\0' && lines < 20; from++) {
		fputc(text[from], out);
		if (text[from] == '\n') {
			lines++;
			if (text[from + 1] != ' ')
				break;
		}
	}
}

static char *difference_of_texts(const char *name, const char *ours, const char *theirs)
{
	size_t same = 0, heading;
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	while (ours[same] == theirs[same] && ours[same] != '\0')
		same++;
	while (same > 0 && ours[same - 1] != '\n')
		same--;
	for (heading = same; heading > 0 && !(ours[heading - 1] == '\n' && ours[heading] != ' '); heading--)
		;
	fprintf(out, "%s: %.*s\n  Penstock\n", name, (int)strcspn(ours + heading, "\n"), ours + heading);
	write_part(out, ours, same);
	fprintf(out, "  autocommit\n");
	write_part(out, theirs, same);
	fclose(out);
	return text;
}

/* NULL, or how they differ. */
static char *compare_outcome(const struct pending *pending, const char *reference, size_t index)
{
	const struct statement *statement = pending->statement;
	bool ok = strncmp(reference, "OK", 2) == 0;
	unsigned wanted = statement->listener != BY_NOBODY ? 1 : ok ? 0 : 1;
	const char *got = pending->outcome != NULL ? pending->outcome : "(nothing)";
	char *text;
	size_t bytes;
	FILE *out;

	if (pending->outcomes == wanted && (wanted == 0 || strcmp(got, reference) == 0))
		return NULL;
	out = open_memstream(&text, &bytes);
	fprintf(out, "statement %zu: ", index);
	print_statement(out, statement);
	fprintf(out, "\n  Penstock   %.1500s (%u outcomes)\n  autocommit %.1500s\n", got, pending->outcomes, reference);
	fclose(out);
	return text;
}

/* Whether the text is an outcome of this status and message, and tells nothing else; of a group, that no member failed. */
static bool tells_only(const struct statement *statement, const char *text, const char *status_and_message)
{
	char wanted[200], failed[40] = "";

	if (statement->member_count > 0 && !statement->is_call)
		snprintf(failed, sizeof failed, " failed=%zu", statement->member_count);
	snprintf(wanted, sizeof wanted, "%s changes=0 rowid=0%s", status_and_message, failed);
	return strcmp(text, wanted) == 0;
}

/* Whether it never began, so that plain autocommit does not run it either. */
static bool came_to_nothing(const struct pending *pending)
{
	const struct statement *statement = pending->statement;
	const char *got = pending->outcome != NULL ? pending->outcome : "";
	bool expired = tells_only(statement, got, "EXPIRED code=0,0 message=its deadline passed before it had begun");
	bool cancelled = tells_only(statement, got, "CANCELLED code=0,0 message=cancelled before it had begun");

	check(cancelled == pending->cancelled, "a cancel was %s, and the outcome is %s", pending->cancelled ? "OK" : "too late",
	      got);
	check(!expired || statement->ending == TOO_LATE || statement->ending == NEARLY_LATE, "it was not late");
	check(statement->ending != TOO_LATE || expired, "late, and the outcome is %s", got);
	return (expired || cancelled) && pending->outcomes == 1;
}

static char *compare_files(const char *name, bool loose_pages)
{
	char *ours, *theirs, *difference = NULL;

	if (access(side_path('p', name), F_OK) != 0 && access(side_path('r', name), F_OK) != 0)
		return NULL;
	ours = dump_file('p', name, loose_pages);
	theirs = dump_file('r', name, loose_pages);
	if (strcmp(ours, theirs) != 0)
		difference = difference_of_texts(name, ours, theirs);
	free(ours);
	free(theirs);
	return difference;
}

static void check_counters(const penstock_counters *counters, size_t count)
{
	check(counters->accepted == count, "accepted");
	check(counters->accepted == counters->committed + counters->failed + counters->unknown + counters->shutdown +
	                                    counters->expired + counters->cancelled + counters->queue_depth,
	      "the counters do not add up");
	check(counters->unknown == 0 && counters->shutdown == 0, "unknown or shutdown");
}

static void enter_locale(const struct setup *setup)
{
	size_t i;

	for (i = 0; setup->kinds[i] != NULL; i++) {
		if (setup->kinds[i]->locale != NULL)
			check(locale_enter(setup->kinds[i]->locale));
	}
}

/* Runs the list both ways. NULL when nobody can see the batching. */
char *difference(const struct setup *setup, const struct list *list, penstock_counters *counters)
{
	static const char *const names[] = { "main.db", "other.db", "near.db", "far.db" };
	struct pending *pending = calloc(list->count, sizeof *pending);
	sqlite3 *reference;
	char *found = NULL;
	size_t i;

	clear_side('p');
	clear_side('r');
	enter_locale(setup);
	for (i = 0; i < list->count; i++) {
		pending[i].statement = list->at[i];
		pending[i].ticket = i;
	}
	run_penstock(setup, pending, list->count, counters);
	if (setup->way == SEVERAL)
		qsort(pending, list->count, sizeof *pending, by_ticket);
	for (i = 0; i < list->count; i++) {
		if (setup->way == SEVERAL)
			list->at[i] = (struct statement *)pending[i].statement;
	}
	reference = open_reference(setup);
	for (i = 0; i < list->count; i++) {
		if (!came_to_nothing(&pending[i])) {
			char *outcome = reference_outcome(reference, pending[i].statement);

			if (found == NULL)
				found = compare_outcome(&pending[i], outcome, i);
			free(outcome);
		}
		free(pending[i].outcome);
		free(pending[i].run.log);
	}
	check(sqlite3_close(reference) == SQLITE_OK, "the reference is busy");
	free(pending);
	locale_leave();
	for (i = 0; i < COUNT_OF(names) && found == NULL; i++)
		found = compare_files(names[i], pages_are_loose(setup));
	if (found == NULL)
		check_counters(counters, list->count);
	/* Nobody else has the files. */
	if (found == NULL && counters->busy_retries != 0)
		check(asprintf(&found, "counters: a lock was another process's\n  %" PRIu64 " attempts met one\n",
		               counters->busy_retries) > 0);
	return found;
}
