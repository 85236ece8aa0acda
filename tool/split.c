/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tool/source.h"

#define LINE_COMMENT '-'
#define BLOCK_COMMENT '*'

void split_init(struct split *split)
{
	memset(split, 0, sizeof *split);
	split->line = 1;
	split->fresh = true;
}

void split_free(struct split *split)
{
	free(split->text);
	split->text = NULL;
}

/* Moves the line count on to a place. */
static void count_lines(struct split *split, size_t place)
{
	const char *at = split->text + split->counted;
	const char *end = split->text + place;

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		split->line++;
		at++;
	}
	split->counted = place;
}

char *split_room(struct split *split, size_t bytes)
{
	size_t keep = split->begun ? split->begin : split->scanned;
	size_t wanted;

	if (keep > 0) {
		count_lines(split, keep);
		memmove(split->text, split->text + keep, split->length - keep);
		split->length -= keep;
		split->scanned -= keep;
		split->counted = 0;
		split->begin = 0;
	}
	wanted = split->length + bytes;
	if (wanted > split->capacity) {
		size_t capacity = split->capacity * 2 > wanted ? split->capacity * 2 : wanted;
		char *text;

		if (wanted > SPLIT_STATEMENT_MAX) {
			errno = EFBIG;
			return NULL;
		}
		text = realloc(split->text, capacity + 1);
		if (text == NULL)
			return NULL;
		split->text = text;
		split->capacity = capacity;
	}
	return split->text + split->length;
}

void split_added(struct split *split, size_t bytes)
{
	split->length += bytes;
}

/* Looks for the end of the comment or quoted text at `scanned`; false when it is not there yet. */
static bool leave(struct split *split)
{
	char last = split->within == LINE_COMMENT ? '\n' : split->within;
	char *at = split->text + split->scanned;
	char *end = split->text + split->length;

	while ((at = memchr(at, last, (size_t)(end - at))) != NULL) {
		at++;
		if (last == BLOCK_COMMENT && at == end) {
			split->scanned = split->length - 1;
			return false;
		}
		if (last == BLOCK_COMMENT && *at != '/')
			continue;
		if (last == BLOCK_COMMENT)
			at++;
		split->scanned = (size_t)(at - split->text);
		split->fresh = split->within == LINE_COMMENT;
		split->within = 0;
		return true;
	}
	split->scanned = split->length;
	return false;
}

/* Whether the statement under way ends at `end`, which is behind a bare semicolon or the end of the input. */
static bool complete(struct split *split, size_t end)
{
	char *begin = split->text + split->begin;
	char *nul = begin;
	char next = split->text[end];

	while ((nul = memchr(nul, '\0', (size_t)(split->text + end - nul))) != NULL) {
		*nul = ' ';
		split->nul = true;
	}
	split->text[end] = '\0';
	split->trigger = !sqlite3_complete(begin);
	split->text[end] = next;
	return !split->trigger;
}

/* Whether a semicolon at `end` would end it. */
static bool would_be_complete(struct split *split, size_t end)
{
	bool trigger = split->trigger, would;
	char there = split->text[end];

	split->text[end] = ';';
	would = complete(split, end + 1);
	split->text[end] = there;
	split->trigger = trigger;
	return would;
}

static void begin_statement(struct split *split)
{
	split->begun = true;
	split->begin = split->scanned;
	split->since = 0;
	split->trigger = false;
	split->nul = false;
	count_lines(split, split->begin);
	split->at_line = split->line;
}

static void end_statement(struct split *split, struct split_statement *statement, size_t end)
{
	statement->text = split->text + split->begin;
	statement->bytes = end - split->begin;
	statement->line = split->at_line;
	statement->nul = split->nul;
	statement->dot = false;
	split->begun = false;
}

/* Behind more blanks than that, a word is not looked for. */
#define BLANKS_MAX 64

enum found { FOUND_NOT, FOUND, FOUND_MAYBE };

static size_t skip_blanks(const struct split *split, size_t at)
{
	size_t end = split->length - at > BLANKS_MAX ? at + BLANKS_MAX : split->length;

	while (at < end && (split->text[at] == ' ' || split->text[at] == '\t' || split->text[at] == '\r'))
		at++;
	return at;
}

/* Whether the line that begins at `scanned` is "GO" alone; then *end is behind it. MAYBE: so far, and there is more to come. */
static enum found find_go(const struct split *split, bool last, size_t *end)
{
	static const char word[] = "GO";
	size_t at = skip_blanks(split, split->scanned);
	size_t i;

	for (i = 0; word[i] != '\0'; i++, at++) {
		if (at == split->length)
			return last ? FOUND_NOT : FOUND_MAYBE;
		if ((split->text[at] & ~0x20) != word[i])
			return FOUND_NOT;
	}
	*end = at = skip_blanks(split, at);
	if (at == split->length)
		return last ? FOUND : FOUND_MAYBE;
	return split->text[at] == '\n' ? FOUND : FOUND_NOT;
}

/* The command of the shell that begins at `scanned`; false when its end is not there yet. */
static bool take_dot(struct split *split, bool last, struct split_statement *statement)
{
	const char *newline = memchr(split->text + split->scanned, '\n', split->length - split->scanned);
	size_t end = newline != NULL ? (size_t)(newline - split->text) : split->length;

	if (newline == NULL && !last)
		return false;
	begin_statement(split);
	end_statement(split, statement, end);
	statement->dot = true;
	split->scanned = end;
	return true;
}

/* Passes over a line of "GO". *ended: it ends `statement`. */
static enum found take_go(struct split *split, bool last, struct split_statement *statement, bool *ended)
{
	size_t end;
	enum found found = find_go(split, last, &end);

	*ended = found == FOUND && split->begun;
	if (*ended && !would_be_complete(split, split->scanned)) {
		*ended = false;
		return FOUND_NOT;
	}
	if (*ended)
		end_statement(split, statement, split->scanned);
	if (found == FOUND)
		split->scanned = end;
	return found;
}

/* The comment that begins at `scanned`, if one does; '?' when that takes one more byte to say. */
static char comment(const struct split *split, bool last)
{
	const char *at = split->text + split->scanned;
	char second = *at == '-' ? '-' : '*';

	if (split->scanned + 1 == split->length)
		return last ? 0 : '?';
	return at[1] == second ? second : 0;
}

/* How much of a byte order mark is at `scanned`: a blank to SQLite's parser, and a word to sqlite3_complete. */
static size_t mark(const struct split *split)
{
	size_t bytes = 0;

	while (bytes < strlen(SOURCE_MARK) && split->scanned + bytes < split->length &&
	       split->text[split->scanned + bytes] == SOURCE_MARK[bytes])
		bytes++;
	return bytes;
}

bool split_next(struct split *split, bool last, struct split_statement *statement)
{
	while (split->scanned < split->length) {
		char byte = split->text[split->scanned];
		size_t marked;
		bool ended;
		char kind;

		if (split->within != 0) {
			if (!leave(split))
				break;
			continue;
		}
		if (split->fresh) {
			enum found found = take_go(split, last, statement, &ended);

			if (found == FOUND_MAYBE)
				return false;
			split->fresh = false;
			if (ended)
				return true;
			if (found == FOUND)
				continue;
		}
		switch (byte) {
		case ' ':
		case '\t':
		case '\n':
		case '\f':
		case '\r':
			split->fresh = byte == '\n';
			split->scanned++;
			continue;
		case ';':
			split->scanned++;
			if (!split->begun)
				continue;
			if ((!split->trigger || split->since == strlen("END")) && complete(split, split->scanned)) {
				end_statement(split, statement, split->scanned - 1);
				return true;
			}
			split->since = 0;
			continue;
		case '-':
		case '/':
			kind = comment(split, last);
			if (kind == '?')
				return false;
			if (kind == 0)
				break;
			split->within = kind;
			split->scanned += 2;
			continue;
		case '\xEF':
			/* Where files with one are put together it comes before a statement; within one it stays. */
			marked = split->begun ? 0 : mark(split);
			if (marked == strlen(SOURCE_MARK)) {
				split->scanned += marked;
				continue;
			}
			if (marked > 0 && split->scanned + marked == split->length && !last)
				return false;
			break;
		case '.':
			if (!split->begun)
				return take_dot(split, last, statement);
			break;
		case '\'':
		case '"':
		case '`':
			split->within = byte;
			break;
		case '[':
			split->within = ']';
			break;
		default:
			break;
		}
		if (!split->begun)
			begin_statement(split);
		/* A NUL is taken for a blank, and is no code either. */
		split->since += byte != '\0';
		split->scanned++;
	}
	if (!last || !split->begun)
		return false;
	complete(split, split->length);
	end_statement(split, statement, split->length);
	return true;
}
