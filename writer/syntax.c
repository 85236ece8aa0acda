/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/syntax.h"

#include <string.h>

#include <sqlite3.h>

/* White space as SQLite's tokenizer has it, comments, and the byte order mark that it skips too (tokenize.c). */
const char *ps_syntax_skip(const char *text, bool semicolons)
{
	for (;;) {
		if (strchr(" \t\n\f\r", *text) != NULL && *text != '\0') {
			text++;
		} else if (semicolons && *text == ';') {
			text++;
		} else if (text[0] == '-' && text[1] == '-') {
			text += strcspn(text, "\n");
		} else if (text[0] == '/' && text[1] == '*') {
			const char *end = strstr(text + 2, "*/");

			text = end != NULL ? end + 2 : text + strlen(text);
		} else if (memcmp(text, "\xef\xbb\xbf", strnlen(text, 3)) == 0 && strnlen(text, 3) == 3) {
			text += 3;
		} else {
			return text;
		}
	}
}

bool ps_syntax_blank(const char *text)
{
	return *ps_syntax_skip(text, false) == '\0';
}

bool ps_syntax_single(const char *text)
{
	text = ps_syntax_skip(text, true);
	while (*text != '\0' && *text != ';') {
		if (strchr("'\"`[", *text) != NULL) {
			const char end[] = { *text == '[' ? ']' : *text, '\0' };

			text += 1 + strcspn(text + 1, end);
		}
		if (*text != '\0')
			text++;
		text = ps_syntax_skip(text, false);
	}
	return *text == '\0' || ps_syntax_blank(text + 1);
}

/* Not isalpha and isdigit, which ask the locale, as SQLite does not. */
static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t word_length(const char *text)
{
	size_t length = 0;

	while (is_letter(text[length]))
		length++;
	return length;
}

static bool word_is(const char *text, const char *word)
{
	return strlen(word) == word_length(text) && sqlite3_strnicmp(text, word, (int)strlen(word)) == 0;
}

/* What is explained, behind EXPLAIN and EXPLAIN QUERY PLAN. */
static const char *explained(const char *text)
{
	text = ps_syntax_skip(text + strlen("EXPLAIN"), false);
	if (word_is(text, "QUERY")) {
		text = ps_syntax_skip(text + strlen("QUERY"), false);
		if (word_is(text, "PLAN"))
			text = ps_syntax_skip(text + strlen("PLAN"), false);
	}
	return text;
}

enum ps_keyword ps_syntax_keyword(const char *text)
{
	static const struct {
		const char *word;
		enum ps_keyword keyword;
	} words[] = {
		{ "INSERT", PS_KEYWORD_DML },   { "REPLACE", PS_KEYWORD_DML },   { "UPDATE", PS_KEYWORD_DML },
		{ "DELETE", PS_KEYWORD_DML },   { "WITH", PS_KEYWORD_WITH },     { "SELECT", PS_KEYWORD_QUERY },
		{ "VALUES", PS_KEYWORD_QUERY }, { "PRAGMA", PS_KEYWORD_PRAGMA }, { "VACUUM", PS_KEYWORD_ALONE },
		{ "ATTACH", PS_KEYWORD_ALONE }, { "DETACH", PS_KEYWORD_ALONE },
	};
	size_t i;

	/* SQLite skips empty statements before the first one. */
	text = ps_syntax_skip(text, true);
	if (*text == '\0')
		return PS_KEYWORD_NONE;
	if (word_is(text, "EXPLAIN"))
		return word_is(explained(text), "PRAGMA") ? PS_KEYWORD_PRAGMA : PS_KEYWORD_ALONE;
	for (i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (word_is(text, words[i].word))
			return words[i].keyword;
	}
	return PS_KEYWORD_OTHER;
}

bool ps_syntax_contains(const char *text, const char *word)
{
	for (; *text != '\0'; text++) {
		if (sqlite3_strnicmp(text, word, (int)strlen(word)) == 0)
			return true;
	}
	return false;
}

/* ---- plain inserts ---- */

static const char *after_word(const char *text, const char *word)
{
	text = ps_syntax_skip(text, false);
	return word_is(text, word) ? text + strlen(word) : NULL;
}

static const char *after_char(const char *text, char wanted)
{
	text = ps_syntax_skip(text, false);
	return *text == wanted ? text + 1 : NULL;
}

/* A name, in quotes or of letters, digits and underscores. */
static const char *after_name(const char *text)
{
	size_t length = 0;

	text = ps_syntax_skip(text, false);
	if (*text == '"') {
		text += 1 + strcspn(text + 1, "\"");
		/* Two quotes are one within a name: not known here. */
		return text[0] == '"' && text[1] != '"' ? text + 1 : NULL;
	}
	while (is_letter(text[length]) || is_digit(text[length]))
		length++;
	return length > 0 && !is_digit(*text) ? text + length : NULL;
}

static const char *after_columns(const char *text)
{
	text = after_char(text, '(');
	while (text != NULL) {
		text = after_name(text);
		if (text != NULL && *ps_syntax_skip(text, false) == ')')
			return ps_syntax_skip(text, false) + 1;
		if (text != NULL)
			text = after_char(text, ',');
	}
	return NULL;
}

static const char *after_element(const char *text, unsigned *places)
{
	size_t digits;

	text = ps_syntax_skip(text, false);
	if (*text == '?') {
		*places += 1;
		/* ?1 would mean the same value in every row. */
		return is_digit(text[1]) ? NULL : text + 1;
	}
	if (word_is(text, "NULL"))
		return text + strlen("NULL");
	digits = strspn(text, "0123456789");
	return digits > 0 ? text + digits : NULL;
}

bool ps_syntax_plain_insert(const char *text, struct ps_syntax_row *row)
{
	const char *at = text, *open;

	row->places = 0;
	if ((at = after_word(at, "INSERT")) == NULL)
		return false;
	row->into = (size_t)(at - text);
	if ((at = after_word(at, "INTO")) == NULL || (at = after_name(at)) == NULL)
		return false;
	if (*ps_syntax_skip(at, false) == '(' && (at = after_columns(at)) == NULL)
		return false;
	if ((at = after_word(at, "VALUES")) == NULL || *ps_syntax_skip(at, false) != '(')
		return false;
	open = ps_syntax_skip(at, false);
	for (at = open + 1; (at = after_element(at, &row->places)) != NULL; at++) {
		at = ps_syntax_skip(at, false);
		if (*at == ')')
			break;
		if (*at != ',')
			return false;
	}
	if (at == NULL)
		return false;
	row->at = (size_t)(open - text);
	row->bytes = (size_t)(at + 1 - open);
	at = ps_syntax_skip(at + 1, true);
	return *at == '\0';
}
