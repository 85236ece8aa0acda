/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "tool/report.h"

/* Devices and pipes lose nothing by being written to. */
static bool same_file(const struct stat *one, const struct stat *two)
{
	return S_ISREG(one->st_mode) && one->st_dev == two->st_dev && one->st_ino == two->st_ino;
}

static bool is_at(const struct stat *facts, const char *path)
{
	struct stat other;

	return stat(path, &other) == 0 && same_file(facts, &other);
}

/* Which file of this run it is, or NULL. */
static const char *clash(const struct stat *facts, const struct arguments *arguments, const struct source *sources)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-penstock" };
	const char *config_file = arguments->common.config.config_file;
	struct stat other;
	bool same = false;
	size_t i;

	for (i = 0; i < arguments->input_count + arguments->setup_count; i++)
		if (fstat(sources[i].descriptor, &other) == 0 && same_file(facts, &other))
			return "an input";
	for (i = 0; i < sizeof suffixes / sizeof suffixes[0] && !same; i++) {
		char *path = sqlite3_mprintf("%s%s", arguments->database, suffixes[i]);

		same = path == NULL || is_at(facts, path) || strcmp(path, arguments->rejects) == 0;
		sqlite3_free(path);
	}
	if (same)
		return "the database or belongs to it";
	return config_file != NULL && is_at(facts, config_file) ? "the configuration file" : NULL;
}

FILE *rejects_open(const struct arguments *arguments, const struct source *sources)
{
	const char *path = arguments->rejects, *what;
	int descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	bool made = descriptor < 0 && errno == ENOENT;
	struct stat facts;
	FILE *file;

	if (made)
		descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	if (descriptor < 0 || fstat(descriptor, &facts) != 0) {
		report_say("--rejects %s: cannot be written: %s; nothing was run", path, strerror(errno));
		if (descriptor >= 0)
			close(descriptor);
		return NULL;
	}
	what = clash(&facts, arguments, sources);
	file = what == NULL ? fdopen(descriptor, "w") : NULL;
	if (file != NULL)
		return file;
	report_say("--rejects %s: %s%s; nothing was run", path, what != NULL ? "this is " : strerror(errno),
	           what != NULL ? what : "");
	if (made)
		unlink(path);
	close(descriptor);
	return NULL;
}

bool rejects_begin(FILE *rejects, const char *path)
{
	struct stat facts;

	if (fstat(fileno(rejects), &facts) == 0 && (!S_ISREG(facts.st_mode) || ftruncate(fileno(rejects), 0) == 0))
		return true;
	report_say("--rejects %s: cannot be emptied: %s; %s", path, strerror(errno), report_nothing());
	return false;
}

char *rejects_statement(const char *text, size_t bytes)
{
	/* A semicolon in a comment ends nothing. What has no end either way would take the next statement into it. */
	static const char *const ends[] = { ";\n", "\n;\n", "*/;\n" };
	size_t i;

	for (i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		char *with_end = sqlite3_mprintf("%.*s%s", (int)bytes, text, ends[i]);

		if (with_end == NULL || sqlite3_complete(with_end))
			return with_end;
		sqlite3_free(with_end);
	}
	return NULL;
}

static void append_field(sqlite3_str *out, const struct records_options *options, bool first, const char *field, size_t bytes)
{
	size_t at;

	if (!first)
		sqlite3_str_appendchar(out, 1, options->delimiter != 0 ? options->delimiter : ',');
	if (!options->unquoted)
		sqlite3_str_appendchar(out, 1, '"');
	for (at = 0; at < bytes; at++)
		sqlite3_str_appendchar(out, field[at] == '"' && !options->unquoted ? 2 : 1, field[at]);
	if (!options->unquoted)
		sqlite3_str_appendchar(out, 1, '"');
}

char *rejects_record(const struct records_options *options, const penstock_value *values, size_t count, size_t *bytes)
{
	sqlite3_str *out = sqlite3_str_new(NULL);
	size_t i;

	for (i = 0; i < count; i++)
		append_field(out, options, i == 0, values[i].as.data, values[i].bytes);
	sqlite3_str_appendchar(out, 1, '\n');
	*bytes = (size_t)sqlite3_str_length(out);
	return sqlite3_str_finish(out);
}

/* Upper and lower case are the same, as where fields are given to columns. */
static bool same_header(const struct batch *one, const struct batch *two)
{
	size_t i;

	for (i = 0; i < one->records[0].fields && i < two->records[0].fields; i++)
		if (one->fields[i].bytes != two->fields[i].bytes ||
		    sqlite3_strnicmp(one->bytes + one->fields[i].offset, two->bytes + two->fields[i].offset,
		                     (int)one->fields[i].bytes) != 0)
			return false;
	return one->records[0].fields == two->records[0].fields;
}

bool rejects_header(const struct arguments *arguments, const struct batch *const *first, char **header)
{
	const struct batch *named = NULL;
	sqlite3_str *out;
	size_t i;

	*header = NULL;
	for (i = 0; arguments->records.header && i < arguments->input_count; i++) {
		if (named != NULL && first[i] != NULL && !same_header(named, first[i])) {
			report_say(
				"--rejects: '%s' has another header than the file before, and their records cannot be in one file; %s",
				arguments->inputs[i], report_nothing());
			return false;
		}
		named = first[i] != NULL ? first[i] : named;
	}
	if (named == NULL)
		return true;
	out = sqlite3_str_new(NULL);
	for (i = 0; i < named->records[0].fields; i++)
		append_field(out, &arguments->records, i == 0, named->bytes + named->fields[i].offset, named->fields[i].bytes);
	sqlite3_str_appendchar(out, 1, '\n');
	*header = sqlite3_str_finish(out);
	if (*header == NULL)
		report_say("out of memory for --rejects; %s", report_nothing());
	return *header != NULL;
}
