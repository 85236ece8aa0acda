/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * split.h - SQL text into statements
 *
 * Bytes go in as they are read, statements come out as soon as they are whole. SQLite's own rule decides where one
 * ends: sqlite3_complete, which knows that the semicolons inside CREATE TRIGGER do not. But it reads a text from its
 * first byte, so asking it at each semicolon of a long literal would take quadratic time. The scan here therefore knows
 * just enough SQL to tell semicolons from quoted text and comments, looks at every byte once however the input is
 * cut into pieces, and asks sqlite3_complete at a bare semicolon only.
 *
 * Inside a trigger those are many as well. Once sqlite3_complete has said no to a statement, only the END of a trigger
 * can finish it, so it is not asked again before a semicolon with three bytes of code between it and the one before.
 *
 * Two things in SQL files are no SQL, and are found by line, as the sqlite3 shell finds them. A dot where a statement
 * would begin begins a command of that shell, up to the end of the line. A line of "GO" alone, which other systems have, ends a statement where a
 * semicolon would.
 *
 * Empty statements, and comments and white space before a statement, are dropped; the end of the input ends the last
 * one. A statement with a NUL byte is found whole as if that were a blank, but marked: SQLite would read up to it only.
 */
#ifndef PENSTOCK_TOOL_SPLIT_H
#define PENSTOCK_TOOL_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest statement that is waited for; SQLite cannot be built to take one. */
#define SPLIT_STATEMENT_MAX ((size_t)1 << 30)

struct split {
	char *text;
	size_t capacity; /* of text, less one byte for a terminator */
	size_t length;
	size_t scanned;   /* everything before it has been looked at */
	size_t begin;     /* of the statement under way, when begun */
	size_t since;     /* bytes of code since the last bare semicolon in it */
	size_t counted;   /* everything before it is in line */
	uint64_t line;    /* of the byte at counted, from 1 */
	uint64_t at_line; /* where the statement under way begins */
	char within;      /* '-' and '*' in comments, else the byte that ends the quoted text; 0 in code */
	bool begun;
	bool fresh;   /* a line begins at scanned */
	bool trigger; /* sqlite3_complete has said no at a bare semicolon */
	bool nul;
};

struct split_statement {
	const char *text; /* without its semicolon; until the next call with this split */
	size_t bytes;
	uint64_t line; /* of its first byte */
	bool nul;      /* it held NUL bytes and must not be run */
	bool dot;      /* it is no statement, but a command of the sqlite3 shell */
};

void split_init(struct split *split);
void split_free(struct split *split);
/*
 * Room for `bytes` more input, to be followed by split_added. NULL with errno ENOMEM, or EFBIG when the statement under
 * way has outgrown SPLIT_STATEMENT_MAX.
 */
char *split_room(struct split *split, size_t bytes);
void split_added(struct split *split, size_t bytes);
/* The next statement, or false when more input is needed; with `last` there is none, so the rest is a statement. */
bool split_next(struct split *split, bool last, struct split_statement *statement);

#endif
