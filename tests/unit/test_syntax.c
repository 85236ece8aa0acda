/* SPDX-License-Identifier: BSD-2-Clause */
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
	{ "SELECT 1", PS_KEYWORD_QUERY },
	{ "values(1)", PS_KEYWORD_QUERY },
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
		{ "", true },         { " \n\t\r\f", true }, { "-- x", true }, { "-- x\n", true },
		{ "/* x */ ", true }, { "/* x", true },      { "/*/", true },  { "\xef\xbb\xbf", true },
		{ ";", false },       { "x", false },        { "-", false },   { "/", false },
		{ "-- x\ny", false }, { "/* x */y", false }, { "\v", false },  { "/**/-", false },
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
		{ "PRAGMA a", true },
		{ "PRAGMA a;", true },
		{ ";;PRAGMA a; -- x", true },
		{ "PRAGMA a; /* ; */", true },
		{ "PRAGMA a; PRAGMA b", false },
		{ "PRAGMA a;;", false },
		{ "PRAGMA a='b;c'", true },
		{ "PRAGMA a=\"b;c\";", true },
		{ "PRAGMA a=`b;c`", true },
		{ "PRAGMA [a;b]", true },
		{ "PRAGMA [a;'b]", true },
		{ "PRAGMA [a] = 'b'; x", false },
		{ "PRAGMA a='b'';c'", true },
		{ "PRAGMA a='b'; c'", false },
		{ "PRAGMA a='open ;", true },
		{ "PRAGMA [open ;", true },
		{ "PRAGMA a -- ;\n = 1", true },
		{ "PRAGMA a /* ; */ = 1", true },
		{ "PRAGMA a-1;x", false },
		{ "PRAGMA a/1;x", false },
		{ "", true },
		{ ";", true },
		{ "PRAGMA a=']';x", false },
		{ "PRAGMA a='\"';x", false },
		{ "PRAGMA a=''", true },
		{ "PRAGMA a='';x", false },
	};

	for (size_t i = 0; i < COUNT_OF(texts); i++)
		check(ps_syntax_single(texts[i].text) == texts[i].single, "\"%s\"", texts[i].text);
}

/* The row that may be repeated, and how many parameters are in it. NULL: no plain insert. */
static const struct {
	const char *text;
	const char *row;
	unsigned places;
} inserts[] = {
	{ "INSERT INTO t VALUES(?)", "(?)", 1 },
	{ "insert into T values ( ? , ? ) ; ", "( ? , ? )", 2 },
	{ "INSERT INTO t(a) VALUES(?)", "(?)", 1 },
	{ "INSERT INTO t ( a , \"b c\" ,c_1)VALUES(?,?,?)", "(?,?,?)", 3 },
	{ "INSERT/**/INTO\n\"t\"VALUES(NULL,1,22,?)-- x", "(NULL,1,22,?)", 1 },
	{ ";INSERT INTO t VALUES(?)", NULL, 0 },
	{ "-- x\nINSERT INTO t VALUES(/*,*/?);;", "(/*,*/?)", 1 },
	{ "INSERT INTO t VALUES(NULL)", "(NULL)", 0 },
	{ "INSERT INTO t VALUES(7)", "(7)", 0 },
	{ "INSERT INTO _t9 VALUES(?)", "(?)", 1 },
	{ "", NULL, 0 },
	{ "INSERT", NULL, 0 },
	{ "INSERT INTO", NULL, 0 },
	{ "INSERT INTO t", NULL, 0 },
	{ "INSERT INTO t VALUES", NULL, 0 },
	{ "INSERT INTO t VALUES(", NULL, 0 },
	{ "INSERT INTO t VALUES(?", NULL, 0 },
	{ "INSERT INTO t VALUES(?,", NULL, 0 },
	{ "INSERT INTO t VALUES()", NULL, 0 },
	{ "INSERT INTO t VALUES(?,)", NULL, 0 },
	{ "INSERT INTO t VALUES(? ?)", NULL, 0 },
	{ "INSERT INTO t VALUES(?1)", NULL, 0 },
	{ "INSERT INTO t VALUES(:a)", NULL, 0 },
	{ "INSERT INTO t VALUES(-1)", NULL, 0 },
	{ "INSERT INTO t VALUES(1.5)", NULL, 0 },
	{ "INSERT INTO t VALUES(1e5)", NULL, 0 },
	{ "INSERT INTO t VALUES(0x10)", NULL, 0 },
	{ "INSERT INTO t VALUES('x')", NULL, 0 },
	{ "INSERT INTO t VALUES(NULLS)", NULL, 0 },
	{ "INSERT INTO t VALUES(?+1)", NULL, 0 },
	{ "INSERT INTO t VALUES(?),(?)", NULL, 0 },
	{ "INSERT INTO t VALUES(?) RETURNING a", NULL, 0 },
	{ "INSERT INTO t VALUES(?) ON CONFLICT DO NOTHING", NULL, 0 },
	{ "INSERT INTO t VALUES(?); DELETE FROM t", NULL, 0 },
	{ "INSERT OR IGNORE INTO t VALUES(?)", NULL, 0 },
	{ "REPLACE INTO t VALUES(?)", NULL, 0 },
	{ "INSERTED INTO t VALUES(?)", NULL, 0 },
	{ "INSERT INTO main.t VALUES(?)", NULL, 0 },
	{ "INSERT INTO t AS u VALUES(?)", NULL, 0 },
	{ "INSERT INTO 9t VALUES(?)", NULL, 0 },
	{ "INSERT INTO 't' VALUES(?)", NULL, 0 },
	{ "INSERT INTO \"t\"\"u\" VALUES(?)", NULL, 0 },
	{ "INSERT INTO \"t VALUES(?)", NULL, 0 },
	{ "INSERT INTO t() VALUES(?)", NULL, 0 },
	{ "INSERT INTO t(a,) VALUES(?)", NULL, 0 },
	{ "INSERT INTO t(a b) VALUES(?)", NULL, 0 },
	{ "INSERT INTO t(a VALUES(?)", NULL, 0 },
	{ "INSERT INTO t(a", NULL, 0 },
	{ "INSERT INTO t(\"a", NULL, 0 },
	{ "INSERT INTO t DEFAULT VALUES", NULL, 0 },
	{ "INSERT INTO t SELECT ?", NULL, 0 },
	{ "EXPLAIN INSERT INTO t VALUES(?)", NULL, 0 },
};

Test(syntax, plain_inserts)
{
	for (size_t i = 0; i < COUNT_OF(inserts); i++) {
		const char *text = inserts[i].text, *wanted = inserts[i].row;
		struct ps_syntax_row row;
		bool plain = ps_syntax_plain_insert(text, &row);

		check(plain == (wanted != NULL), "\"%s\"", text);
		if (!plain)
			continue;
		check(row.places == inserts[i].places, "\"%s\": %u", text, row.places);
		check(row.bytes == strlen(wanted) && memcmp(text + row.at, wanted, row.bytes) == 0, "\"%s\": \"%.*s\"", text,
		      (int)row.bytes, text + row.at);
	}
}

/* What is called a plain insert is one to SQLite, with so many parameters; and so it is with its row twice. */
Test(syntax, sqlite_takes_a_plain_inserts_row_twice)
{
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "CREATE TABLE t(a, \"b c\", c_1, d); CREATE TABLE _t9(a)", NULL, NULL, NULL), SQLITE_OK);
	for (size_t i = 0; i < COUNT_OF(inserts); i++) {
		const char *text = inserts[i].text;
		struct ps_syntax_row row;
		sqlite3_stmt *statement;
		char twice[256];

		if (!ps_syntax_plain_insert(text, &row))
			continue;
		snprintf(twice, sizeof twice, "%.*s,%.*s", (int)(row.at + row.bytes), text, (int)row.bytes, text + row.at);
		/* How many columns the table has is not its business. */
		if (sqlite3_prepare_v2(db, twice, -1, &statement, NULL) != SQLITE_OK) {
			check(strstr(sqlite3_errmsg(db), "values") != NULL, "\"%s\": %s", twice, sqlite3_errmsg(db));
			continue;
		}
		check(sqlite3_bind_parameter_count(statement) == (int)(2 * row.places), "\"%s\"", twice);
		sqlite3_finalize(statement);
	}
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}
