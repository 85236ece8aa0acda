/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * split.c - fuzzes tool/split.c, and tool/source.c in front of it
 *
 * Lines that are no SQL are found by line: "GO", and the commands of the sqlite3 shell.
 *
 * The second opinion is the definition itself, in the slow form that the splitter exists to avoid: from the first byte that is
 * neither blank, comment, byte order mark nor semicolon, a statement goes to the first semicolon at which sqlite3_complete says
 * yes to the whole. Text, length, line and NUL mark of every statement must agree, however the input is cut into pieces.
 *
 * And SQLite's own parser must not see more than one statement in what comes out, where it accepts it at all. (But for a byte order
 * mark within: a blank to the parser, a word to sqlite3_complete.)
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include <sqlite3.h>

#include "tool/format.h"
#include "tool/source.h"
#include "tool/split.h"

#define MARK "\xEF\xBB\xBF"

struct text {
	const char *bytes;
	size_t size;
};

static bool starts(struct text text, size_t place, const char *what)
{
	return text.size - place >= strlen(what) && memcmp(text.bytes + place, what, strlen(what)) == 0;
}

static bool is_blank(struct text text, size_t place, size_t begin)
{
	return place < text.size && place < begin + 64 &&
	       (text.bytes[place] == ' ' || text.bytes[place] == '\t' || text.bytes[place] == '\r');
}

/* The end of the line of "GO" alone that begins at `place`; 0 where none does. As in split.c, at most 64 blanks in a row. */
static size_t end_of_go(struct text text, size_t place)
{
	size_t begin = place;

	if (place > 0 && text.bytes[place - 1] != '\n')
		return 0;
	while (is_blank(text, place, begin))
		place++;
	if (text.size - place < 2 || strncasecmp(text.bytes + place, "go", 2) != 0)
		return 0;
	begin = place += 2;
	while (is_blank(text, place, begin))
		place++;
	return place == text.size || text.bytes[place] == '\n' ? place : 0;
}

static bool is_dot(struct text text, size_t place)
{
	return text.bytes[place] == '.';
}

/* The place of the next statement's first byte, or the end. */
static size_t skip(struct text text, size_t place)
{
	while (place < text.size) {
		if (end_of_go(text, place) != 0) {
			place = end_of_go(text, place);
		} else if (strchr(" \t\n\f\r;", text.bytes[place]) != NULL && text.bytes[place] != '\0') {
			place++;
		} else if (starts(text, place, "--")) {
			while (place < text.size && text.bytes[place] != '\n')
				place++;
		} else if (starts(text, place, "/*")) {
			place += 2;
			while (place < text.size && !starts(text, place, "*/"))
				place++;
			place = place < text.size ? place + 2 : place;
		} else if (starts(text, place, MARK)) {
			place += strlen(MARK);
		} else {
			break;
		}
	}
	return place;
}

/* Of [begin, end) and a semicolon. */
static bool is_complete(struct text text, size_t begin, size_t end)
{
	char *copy = malloc(end - begin + 2);
	bool complete;

	must(copy != NULL);
	for (size_t i = begin; i < end; i++)
		copy[i - begin] = text.bytes[i] == '\0' ? ' ' : text.bytes[i];
	copy[end - begin] = ';';
	copy[end - begin + 1] = '\0';
	complete = sqlite3_complete(copy);
	free(copy);
	return complete;
}

static size_t find_end(struct text text, size_t begin)
{
	if (is_dot(text, begin)) {
		const char *newline = memchr(text.bytes + begin, '\n', text.size - begin);

		return newline != NULL ? (size_t)(newline - text.bytes) : text.size;
	}
	for (size_t end = begin; end < text.size; end++) {
		if ((text.bytes[end] == ';' || (end > begin && end_of_go(text, end) != 0)) && is_complete(text, begin, end))
			return end;
	}
	return text.size;
}

static uint64_t line_of(struct text text, size_t place)
{
	uint64_t line = 1;

	for (size_t i = 0; i < place; i++)
		line += text.bytes[i] == '\n';
	return line;
}

/* A PRAGMA may take effect while it is prepared. */
static int authorize(void *arg, int action, const char *a, const char *b, const char *c, const char *d)
{
	(void)arg;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return action == SQLITE_PRAGMA || action == SQLITE_ATTACH ? SQLITE_DENY : SQLITE_OK;
}

static void ask_parser(const struct split_statement *statement)
{
	static sqlite3 *db;
	sqlite3_stmt *prepared = NULL;
	const char *tail = NULL;

	if (db == NULL) {
		must(sqlite3_open(":memory:", &db) == SQLITE_OK);
		must(sqlite3_exec(db, "CREATE TABLE t(a, b, c); CREATE VIEW v AS SELECT a FROM t", NULL, NULL, NULL) ==
		     SQLITE_OK);
		sqlite3_set_authorizer(db, authorize, NULL);
	}
	if (sqlite3_prepare_v2(db, statement->text, (int)statement->bytes, &prepared, &tail) == SQLITE_OK)
		must(tail == statement->text + statement->bytes, "the parser ends %td bytes into \"%.*s\"",
		     tail - statement->text, (int)statement->bytes, statement->text);
	sqlite3_finalize(prepared);
}

/* Compares one statement that came out with the one that has to be next; returns where to go on. */
static size_t compare(struct text text, size_t place, const struct split_statement *got)
{
	size_t begin = skip(text, place);
	size_t end = find_end(text, begin);

	must(begin < text.size, "a statement \"%.*s\" that is not there", (int)got->bytes, got->text);
	must(got->bytes == end - begin, "%zu bytes, not %zu: \"%.*s\"", got->bytes, end - begin, (int)got->bytes, got->text);
	must(got->dot || got->nul == (memchr(text.bytes + begin, '\0', end - begin) != NULL));
	for (size_t i = 0; i < got->bytes; i++)
		must(got->text[i] == text.bytes[begin + i] ||
		     (got->nul && text.bytes[begin + i] == '\0' && got->text[i] == ' '));
	must(got->line == line_of(text, begin), "line %ju, not %ju", (uintmax_t)got->line, (uintmax_t)line_of(text, begin));
	must(got->dot == is_dot(text, begin));
	if (!got->dot && !got->nul && memmem(got->text, got->bytes, MARK, strlen(MARK)) == NULL)
		ask_parser(got);
	return end < text.size && text.bytes[end] == ';' && !got->dot ? end + 1 : end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = { .name = "input", .descriptor = 0 };
	struct split_statement statement;
	struct split split;
	struct text text;
	size_t place = 0;
	ssize_t got;

	if (size == 0)
		return 0;
	text = (struct text){ (const char *)data + 1, size - 1 };
	if (format_foreign(text.bytes, text.size) != NULL)
		return 0;
	feed_begin(data[0], data + 1, size - 1);
	if (starts(text, 0, MARK)) {
		text.bytes += strlen(MARK);
		text.size -= strlen(MARK);
	}
	split_init(&split);
	do {
		size_t room = data[0] == FEED_WHOLE ? size + 3 : data[0] % 61 + 3u;
		char *bytes = split_room(&split, room);

		must(bytes != NULL);
		got = source_read(&source, bytes, room);
		if (got < 0)
			break;
		split_added(&split, (size_t)got);
		while (split_next(&split, got == 0, &statement))
			place = compare(text, place, &statement);
	} while (got > 0);
	if (got < 0)
		must(feed_fails(data[0]) && errno == EIO);
	else
		must(skip(text, place) == text.size, "%zu bytes were left out", text.size - place);
	split_free(&split);
	return 0;
}
