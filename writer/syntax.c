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

enum ps_keyword ps_syntax_keyword(const char *text)
{
	static const struct {
		const char *word;
		enum ps_keyword keyword;
	} words[] = {
		{ "INSERT", PS_KEYWORD_DML },    { "REPLACE", PS_KEYWORD_DML },  { "UPDATE", PS_KEYWORD_DML },
		{ "DELETE", PS_KEYWORD_DML },    { "WITH", PS_KEYWORD_WITH },    { "VACUUM", PS_KEYWORD_ALONE },
		{ "PRAGMA", PS_KEYWORD_ALONE },  { "ATTACH", PS_KEYWORD_ALONE }, { "DETACH", PS_KEYWORD_ALONE },
		{ "EXPLAIN", PS_KEYWORD_ALONE },
	};
	size_t length = 0, i;

	/* SQLite skips empty statements before the first one. */
	text = skip(text, true);
	if (*text == '\0')
		return PS_KEYWORD_NONE;
	while (isalpha((unsigned char)text[length]) || text[length] == '_')
		length++;
	for (i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strlen(words[i].word) == length && strncasecmp(text, words[i].word, length) == 0)
			return words[i].keyword;
	}
	return PS_KEYWORD_OTHER;
}
