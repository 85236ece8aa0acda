#include "writer/syntax.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* White space as SQLite's tokenizer has it, comments, and the byte order mark that it skips too (tokenize.c). */
static const char *skip(const char *text, bool semicolons)
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
	return *skip(text, false) == '\0';
}

bool ps_syntax_single(const char *text)
{
	text = skip(text, true);
	while (*text != '\0' && *text != ';') {
		if (strchr("'\"`[", *text) != NULL) {
			const char end[] = { *text == '[' ? ']' : *text, '\0' };

			text += 1 + strcspn(text + 1, end);
		}
		if (*text != '\0')
			text++;
		text = skip(text, false);
	}
	return *text == '\0' || ps_syntax_blank(text + 1);
}

static size_t word_length(const char *text)
{
	size_t length = 0;

	while (isalpha((unsigned char)text[length]) || text[length] == '_')
		length++;
	return length;
}

static bool word_is(const char *text, const char *word)
{
	return strlen(word) == word_length(text) && strncasecmp(text, word, strlen(word)) == 0;
}

/* What is explained, behind EXPLAIN and EXPLAIN QUERY PLAN. */
static const char *explained(const char *text)
{
	text = skip(text + strlen("EXPLAIN"), false);
	if (word_is(text, "QUERY")) {
		text = skip(text + strlen("QUERY"), false);
		if (word_is(text, "PLAN"))
			text = skip(text + strlen("PLAN"), false);
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
		{ "DELETE", PS_KEYWORD_DML },   { "WITH", PS_KEYWORD_WITH },     { "PRAGMA", PS_KEYWORD_PRAGMA },
		{ "VACUUM", PS_KEYWORD_ALONE }, { "ATTACH", PS_KEYWORD_ALONE },  { "DETACH", PS_KEYWORD_ALONE },
	};
	size_t i;

	/* SQLite skips empty statements before the first one. */
	text = skip(text, true);
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
