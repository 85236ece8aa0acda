/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/rqlite/statement.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "writer/syntax.h"

#define NOTHING "there is no statement in the text"
#define TRANSACTION "a cluster has no transaction that outlives a request; use penstock_submit_group"
#define ONE_NODE "it would be of one node alone"
#define NO_MEMORY "out of memory"

/* ---- tokens ---- */

enum kind { END, WORD, QUOTED, PLACE, SEMICOLON, OPEN, CLOSE, DOT, COMMA, OTHER, UNFINISHED };

struct token {
	enum kind kind;
	const char *text;
	size_t bytes;
};

/* As SQLite's tokenizer has it, whatever the locale. */
static bool is_in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
	       (c & 0x80) != 0;
}

static size_t word_bytes(const char *text)
{
	size_t bytes = 0;

	while (is_in_word(text[bytes]))
		bytes++;
	return bytes;
}

/* From its opening quote; 0: it is not closed. */
static size_t quoted_bytes(const char *text)
{
	char end = *text == '[' ? ']' : *text;
	size_t bytes = 1;

	for (;; bytes++) {
		if (text[bytes] == '\0')
			return 0;
		if (text[bytes] != end)
			continue;
		if (end == ']' || text[bytes + 1] != end)
			return bytes + 1;
		bytes++;
	}
}

/* As SQLite's tokenizer ends one: ? has digits, anything else a name, which may be Tcl's: $a::b(c). 0: it is none. */
static size_t place_bytes(const char *text)
{
	static const char ends[] = ") \t\n\v\f\r";
	size_t bytes = 1, in_name = 0;

	if (*text == '?')
		return bytes + strspn(text + 1, "0123456789");
	for (;; bytes++) {
		if (is_in_word(text[bytes]))
			in_name++;
		else if (text[bytes] == ':' && text[bytes + 1] == ':')
			bytes++;
		else
			break;
	}
	if (in_name == 0)
		return 0;
	if (text[bytes] != '(')
		return bytes;
	bytes++;
	bytes += strcspn(text + bytes, ends);
	return text[bytes] == ')' ? bytes + 1 : 0;
}

static struct token next_token(const char *text)
{
	static const struct {
		char c;
		enum kind kind;
	} signs[] = { { ';', SEMICOLON }, { '(', OPEN }, { ')', CLOSE }, { '.', DOT }, { ',', COMMA } };
	struct token token = { .kind = OTHER, .text = ps_syntax_skip(text, false), .bytes = 1 };
	size_t i;

	if (*token.text == '\0')
		return (struct token){ .kind = END, .text = token.text };
	if (strchr("'\"`[", *token.text) != NULL) {
		token.bytes = quoted_bytes(token.text);
		token.kind = token.bytes != 0 ? QUOTED : UNFINISHED;
	} else if (strchr("?:@#$", *token.text) != NULL) {
		token.bytes = place_bytes(token.text);
		token.kind = token.bytes != 0 ? PLACE : UNFINISHED;
	} else if (is_in_word(*token.text)) {
		token.kind = WORD;
		token.bytes = word_bytes(token.text);
	}
	for (i = 0; i < sizeof signs / sizeof signs[0]; i++) {
		if (*token.text == signs[i].c)
			token.kind = signs[i].kind;
	}
	return token;
}

static bool is_word(const struct token *token, const char *word)
{
	return token->kind == WORD && token->bytes == strlen(word) &&
	       sqlite3_strnicmp(token->text, word, (int)token->bytes) == 0;
}

static bool is_one_of(const struct token *token, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (is_word(token, *words))
			return true;
	}
	return false;
}

static struct token following(const struct token *token)
{
	return next_token(token->text + token->bytes);
}

/* ---- what is refused ---- */

/* These read, whatever they are given; those behind them when they are given nothing. */
static const char *const reading_pragmas[] = { "table_info",      "table_xinfo", "table_list",       "index_list",
	                                       "index_info",      "index_xinfo", "foreign_key_list", "foreign_key_check",
	                                       "integrity_check", "quick_check", "database_list",    "collation_list",
	                                       "function_list",   "module_list", "compile_options",  NULL };
static const char *const asking_pragmas[] = { "user_version",   "schema_version", "application_id", "page_count", "page_size",
	                                      "freelist_count", "encoding",       "foreign_keys",   NULL };

static const char *refuse_pragma(struct token token)
{
	struct token name = following(&token), behind = following(&name);

	if (behind.kind == DOT) {
		name = following(&behind);
		behind = following(&name);
	}
	if (is_one_of(&name, reading_pragmas))
		return NULL;
	if (is_one_of(&name, asking_pragmas) && (behind.kind == END || behind.kind == SEMICOLON))
		return NULL;
	return "a PRAGMA that does not merely read is refused: " ONE_NODE;
}

static bool is_temporary(const struct token *token)
{
	static const char *const words[] = { "TEMP", "TEMPORARY", NULL };

	if (token->kind == QUOTED && token->bytes == strlen("'temp'"))
		return sqlite3_strnicmp(token->text + 1, "temp", 4) == 0;
	return is_one_of(token, words);
}

/* CREATE TEMP TABLE t, and CREATE TABLE temp.t. */
static const char *refuse_create(struct token token)
{
	struct token behind;

	token = following(&token);
	if (is_temporary(&token))
		return "CREATE TEMP is refused: " ONE_NODE;
	for (; token.kind == WORD || token.kind == QUOTED; token = behind) {
		behind = following(&token);
		if (behind.kind == DOT && is_temporary(&token))
			return "CREATE in temp is refused: " ONE_NODE;
	}
	return NULL;
}

static const char *refuse_first(struct token token)
{
	static const char *const transactions[] = { "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", NULL };
	static const char *const files[] = { "ATTACH", "DETACH", "VACUUM", NULL };

	if (is_word(&token, "EXPLAIN")) {
		token = following(&token);
		if (is_word(&token, "QUERY")) {
			token = following(&token);
			token = following(&token);
		}
	}
	if (token.kind == END)
		return NOTHING;
	if (is_one_of(&token, transactions))
		return TRANSACTION;
	if (is_one_of(&token, files))
		return "ATTACH, DETACH and VACUUM are refused: " ONE_NODE;
	if (is_word(&token, "PRAGMA"))
		return refuse_pragma(token);
	return is_word(&token, "CREATE") ? refuse_create(token) : NULL;
}

/* ---- places ---- */

static unsigned number_of(const struct ps_statement *statement, const char *text, size_t bytes)
{
	unsigned number = 0;
	size_t i;

	if (*text == '?') {
		for (i = 1; i < bytes && number <= UINT16_MAX; i++)
			number = number * 10 + (unsigned)(text[i] - '0');
		return bytes > 1 ? number : statement->parameters + 1;
	}
	for (i = 0; i < statement->place_count; i++) {
		const struct ps_place *place = &statement->places[i];

		if (place->bytes == bytes && memcmp(statement->text + place->at, text, bytes) == 0)
			return place->number;
	}
	return statement->parameters + 1;
}

static const char *add_place(struct ps_statement *statement, const struct token *token)
{
	unsigned number = number_of(statement, token->text, token->bytes);

	if (number == 0 || number > UINT16_MAX)
		return "the number of a parameter is out of range";
	if (statement->place_count == statement->capacity) {
		size_t capacity = statement->capacity == 0 ? 16 : statement->capacity * 2;
		struct ps_place *places = reallocarray(statement->places, capacity, sizeof *places);

		if (places == NULL)
			return NO_MEMORY;
		statement->places = places;
		statement->capacity = capacity;
	}
	statement->places[statement->place_count++] =
		(struct ps_place){ .at = (size_t)(token->text - statement->text), .bytes = token->bytes, .number = number };
	if (number > statement->parameters)
		statement->parameters = number;
	return NULL;
}

/* ---- the whole text ---- */

/* What is known of the tokens before. */
struct reading {
	unsigned depth;
	bool known;     /* the effect */
	bool with;      /* in the names of a WITH */
	bool name_next; /* of which one comes now */
	bool on;        /* the word before was ON */
	bool trigger;
	unsigned end; /* of a trigger: 1 behind a semicolon, 2 behind "; END" */
};

static void begin(struct ps_statement *statement, struct reading *reading, const struct token *first)
{
	static const char *const reads[] = { "EXPLAIN", "PRAGMA", NULL };
	struct token second = following(first);

	*reading = (struct reading){ .known = true };
	statement->effect = PS_EFFECT_SCHEMA;
	if (is_one_of(first, reads))
		statement->effect = PS_EFFECT_READ;
	else if (is_word(first, "CREATE"))
		reading->trigger = is_word(&second, "TRIGGER");
	else
		reading->known = false;
	reading->with = reading->name_next = is_word(first, "WITH");
}

static void look_at_word(struct ps_statement *statement, struct reading *reading, const struct token *token)
{
	static const char *const reads[] = { "SELECT", "VALUES", NULL }, *const inserts[] = { "INSERT", "REPLACE", NULL },
				 *const changes[] = { "UPDATE", "DELETE", NULL };

	bool on = reading->on;

	reading->on = is_word(token, "ON");
	if (reading->depth > 0 || reading->trigger)
		return;
	statement->returning |= is_word(token, "RETURNING");
	statement->upserts |= on && is_word(token, "CONFLICT");
	if (reading->known || is_word(token, "WITH") || is_word(token, "RECURSIVE"))
		return;
	if (reading->name_next) {
		reading->name_next = false;
		return;
	}
	reading->known = true;
	if (is_one_of(token, reads))
		statement->effect = PS_EFFECT_READ;
	else if (is_one_of(token, inserts))
		statement->effect = PS_EFFECT_INSERT;
	else if (is_one_of(token, changes))
		statement->effect = PS_EFFECT_CHANGE;
	else
		reading->known = !reading->with;
}

/* Whether the statement ends with this semicolon. */
static bool ends(struct reading *reading, const struct token *token)
{
	bool ended = token->kind == SEMICOLON && (!reading->trigger || reading->end == 2);

	if (token->kind == SEMICOLON)
		reading->end = 1;
	else
		reading->end = reading->end == 1 && is_word(token, "END") ? 2 : 0;
	return ended;
}

static const char *look_at(struct ps_statement *statement, struct reading *reading, const struct token *token)
{
	switch (token->kind) {
	case UNFINISHED:
		return "unrecognized token: a quote is not closed, or a parameter has no name";
	case PLACE:
		return add_place(statement, token);
	case OPEN:
		reading->depth++;
		break;
	case CLOSE:
		reading->depth -= reading->depth > 0;
		break;
	case COMMA:
		reading->name_next = reading->with && !reading->known && reading->depth == 0;
		break;
	case QUOTED:
		reading->name_next &= reading->depth > 0;
		break;
	case WORD:
		look_at_word(statement, reading, token);
		break;
	default:
		break;
	}
	return NULL;
}

const char *ps_statement_read(struct ps_statement *statement, const char *sql, size_t bytes)
{
	struct token token;
	struct reading reading;
	const char *refusal;

	statement->text = ps_syntax_skip(sql, true);
	statement->bytes = statement->place_count = statement->parameters = 0;
	statement->returning = statement->upserts = false;
	if (strlen(sql) != bytes)
		return "the SQL text has a NUL byte in it";
	token = next_token(statement->text);
	if (token.kind == END)
		return NOTHING;
	refusal = refuse_first(token);
	if (refusal != NULL)
		return refusal;
	for (begin(statement, &reading, &token); token.kind != END && !ends(&reading, &token); token = following(&token)) {
		refusal = look_at(statement, &reading, &token);
		if (refusal != NULL)
			return refusal;
		statement->bytes = (size_t)(token.text + token.bytes - statement->text);
	}
	if (*ps_syntax_skip(token.text, true) != '\0')
		return "there is a second statement in the text; submit it by itself";
	return NULL;
}

void ps_statement_free(struct ps_statement *statement)
{
	free(statement->places);
}
