/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * syntax.h - the little that must be known of a statement before SQLite may see it
 *
 * Some statements act while they are prepared (a PRAGMA sets its flag then, also behind EXPLAIN), so whether one may be
 * prepared inside a transaction is decided from its first keyword. Everything else is left to SQLite's own parser.
 */
#ifndef PENSTOCK_SYNTAX_H
#define PENSTOCK_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

enum ps_keyword {
	PS_KEYWORD_NONE, /* nothing but white space and comments */
	PS_KEYWORD_OTHER,
	PS_KEYWORD_QUERY,  /* SELECT, VALUES */
	PS_KEYWORD_DML,    /* INSERT, REPLACE, UPDATE, DELETE: changes() is theirs */
	PS_KEYWORD_WITH,   /* DML or SELECT; only the prepared statement tells */
	PS_KEYWORD_ALONE,  /* VACUUM, ATTACH, DETACH, EXPLAIN: never inside a transaction */
	PS_KEYWORD_PRAGMA, /* also behind EXPLAIN: acts when prepared; alone too */
};

/* text is NUL-terminated. */
/* What is behind white space and comments, and semicolons too when they are asked for. */
const char *ps_syntax_skip(const char *text, bool semicolons);
enum ps_keyword ps_syntax_keyword(const char *text);
/* Whether only white space and comments are left. */
bool ps_syntax_blank(const char *text);
/* Whether nothing but that follows the first semicolon outside of strings and comments; right for what has no body, as a
 * pragma, and needed where preparing acts before the rest of the text can be looked at. */
bool ps_syntax_single(const char *text);

/* Whether the word stands anywhere in the text. Letters of either case are the same, in English, whatever the locale. */
bool ps_syntax_contains(const char *text, const char *word);

/* The row of a plain insert: from its opening parenthesis on, and how many question marks are in it. */
struct ps_syntax_row {
	size_t into; /* where INSERT ends */
	size_t at;
	size_t bytes;
	unsigned places;
};

/*
 * Whether the text is INSERT INTO table [(columns)] VALUES (row) and nothing else, the row being of ?, NULL and numbers: then
 * more such rows may follow the first. Says no where it does not know.
 */
bool ps_syntax_plain_insert(const char *text, struct ps_syntax_row *row);

#endif
