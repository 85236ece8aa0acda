/*
 * test_syntax.c - what is known of a statement before SQLite sees it (writer/syntax.h)
 *
 * The tables are written out; then every text is also shown to SQLite, whose tokenizer must agree on where a statement begins.
 */
#include "tests/kit.h"

#include "writer/syntax.h"

TestSuite(syntax, .init = kit_begin, .fini = harness_end);

static const struct {
	const char *text;
	enum ps_keyword keyword;
} keywords[] = {
	{ "", PS_KEYWORD_NONE },
	{ " \t\n\f\r", PS_KEYWORD_NONE },
	{ ";;", PS_KEYWORD_NONE },
	{ "-- only a comment", PS_KEYWORD_NONE },
	{ "-- a comment\n; -- and one more\n", PS_KEYWORD_NONE },
	{ "/* INSERT */", PS_KEYWORD_NONE },
	{ "/* open INSERT", PS_KEYWORD_NONE },
	{ "\xef\xbb\xbf", PS_KEYWORD_NONE },
	{ "INSERT INTO t VALUES(1)", PS_KEYWORD_DML },
	{ "insert", PS_KEYWORD_DML },
	{ "Replace into t values(1)", PS_KEYWORD_DML },
	{ "UPDATE t SET a = 1", PS_KEYWORD_DML },
	{ "DELETE FROM t", PS_KEYWORD_DML },
	{ "; \xef\xbb\xbf /**/ -- x\n /* ; */ DELETE FROM t", PS_KEYWORD_DML },
	{ "/*/ INSERT */ DELETE FROM t", PS_KEYWORD_DML },
	{ "DELETE/**/FROM t", PS_KEYWORD_DML },
	{ "DELETE\"t\"", PS_KEYWORD_DML },
	{ "DELETED", PS_KEYWORD_OTHER },
	{ "DELET", PS_KEYWORD_OTHER },
	{ "DELETE_ALL", PS_KEYWORD_OTHER },
	{ "- DELETE FROM t", PS_KEYWORD_OTHER },
	{ "/ DELETE FROM t", PS_KEYWORD_OTHER },
	{ "\xef\xbb DELETE FROM t", PS_KEYWORD_OTHER },
	{ "\xef", PS_KEYWORD_OTHER },
	{ "WITH x AS (SELECT 1) DELETE FROM t", PS_KEYWORD_WITH },
	{ "SELECT 1", PS_KEYWORD_OTHER },
	{ "CREATE TABLE u(a)", PS_KEYWORD_OTHER },
	{ "123", PS_KEYWORD_OTHER },
	{ "PRAGMA user_version", PS_KEYWORD_PRAGMA },
	{ "pragma/**/user_version=1", PS_KEYWORD_PRAGMA },
	{ "EXPLAIN PRAGMA user_version", PS_KEYWORD_PRAGMA },
	{ "EXPLAIN/**/PRAGMA user_version", PS_KEYWORD_PRAGMA },
	{ "EXPLAIN QUERY PLAN PRAGMA user_version", PS_KEYWORD_PRAGMA },
	{ "explain -- x\n query /* y */ plan\tpragma user_version", PS_KEYWORD_PRAGMA },
	{ "EXPLAIN QUERY PRAGMA", PS_KEYWORD_PRAGMA }, /* an error to SQLite; the careful answer */
	{ "EXPLAIN SELECT 1", PS_KEYWORD_ALONE },
	{ "EXPLAIN QUERY PLAN SELECT 1", PS_KEYWORD_ALONE },
	{ "EXPLAIN", PS_KEYWORD_ALONE },
	{ "EXPLAINED", PS_KEYWORD_OTHER },
	{ "VACUUM", PS_KEYWORD_ALONE },
	{ "VACUUM;", PS_KEYWORD_ALONE },
	{ "ATTACH 'x' AS y", PS_KEYWORD_ALONE },
	{ "DETACH y", PS_KEYWORD_ALONE },
};

Test(syntax, the_first_word_decides)
{
	for (size_t i = 0; i < COUNT_OF(keywords); i++)
		check(ps_syntax_keyword(keywords[i].text) == keywords[i].keyword, "\"%s\" is %d", keywords[i].text,
		      (int)ps_syntax_keyword(keywords[i].text));
}

/* Where SQLite finds no statement there is no keyword, and the other way round. */
Test(syntax, sqlite_agrees_on_what_is_nothing)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "CREATE TABLE t(a)", NULL, NULL, NULL), SQLITE_OK);
	for (size_t i = 0; i < COUNT_OF(keywords); i++) {
		const char *text = keywords[i].text, *tail = text;
		sqlite3_stmt *statement = NULL;
		int rc = SQLITE_OK;

		/* SQLite returns at each semicolon, with nothing. */
		while (rc == SQLITE_OK && statement == NULL && *tail != '\0')
			rc = sqlite3_prepare_v2(db, tail, -1, &statement, &tail);
		check((rc == SQLITE_OK && statement == NULL) == (keywords[i].keyword == PS_KEYWORD_NONE), "\"%s\": %s", text,
		      sqlite3_errmsg(db));
		sqlite3_finalize(statement);
	}
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

Test(syntax, blank_is_white_space_and_comments)
{
	static const struct {
		const char *text;
		bool blank;
	} texts[] = {
		{ "", true }, { " \n\t\r\f", true }, { "-- x", true }, { "-- x\n", true }, { "/* x */ ", true },
		{ "/* x", true }, { "/*/", true }, { "\xef\xbb\xbf", true }, { ";", false }, { "x", false }, { "-", false },
		{ "/", false }, { "-- x\ny", false }, { "/* x */y", false }, { "\v", false }, { "/**/-", false },
	};

	for (size_t i = 0; i < COUNT_OF(texts); i++)
		check(ps_syntax_blank(texts[i].text) == texts[i].blank, "\"%s\"", texts[i].text);
}

Test(syntax, single_is_one_statement)
{
	static const struct {
		const char *text;
		bool single;
	} texts[] = {
		{ "PRAGMA a", true }, { "PRAGMA a;", true }, { ";;PRAGMA a; -- x", true }, { "PRAGMA a; /* ; */", true },
		{ "PRAGMA a; PRAGMA b", false }, { "PRAGMA a;;", false }, { "PRAGMA a='b;c'", true }, { "PRAGMA a=\"b;c\";", true },
		{ "PRAGMA a=`b;c`", true }, { "PRAGMA [a;b]", true }, { "PRAGMA [a;'b]", true }, { "PRAGMA [a] = 'b'; x", false },
		{ "PRAGMA a='b'';c'", true }, { "PRAGMA a='b'; c'", false }, { "PRAGMA a='open ;", true }, { "PRAGMA [open ;", true },
		{ "PRAGMA a -- ;\n = 1", true }, { "PRAGMA a /* ; */ = 1", true }, { "PRAGMA a-1;x", false }, { "PRAGMA a/1;x", false },
		{ "", true }, { ";", true }, { "PRAGMA a=']';x", false }, { "PRAGMA a='\"';x", false }, { "PRAGMA a=''", true },
		{ "PRAGMA a='';x", false },
	};

	for (size_t i = 0; i < COUNT_OF(texts); i++)
		check(ps_syntax_single(texts[i].text) == texts[i].single, "\"%s\"", texts[i].text);
}
