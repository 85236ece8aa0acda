/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_cluster_parts.c - the parts of the cluster's store by themselves: the path, the statement before it is sent, the request, the answer
 */
#include "tests/kit.h"
#include "tests/random.h"

#include <locale.h>

#include "core/error.h"
#include "queue/record.h"
#include "writer/kind.h"
#include "writer/rqlite/address.h"
#include "writer/rqlite/answer.h"
#include "writer/rqlite/request.h"

/* What a library has that was built without clusters. */
#define ps_store_rqlite absent_store
#include "writer/rqlite/absent.c"
#undef ps_store_rqlite

TestSuite(cluster_parts, .init = kit_begin, .fini = harness_end);

/* ---- statements (rules 1 and 2) ---- */

static const char *refusal_of(struct ps_statement *statement, const char *sql)
{
	return ps_statement_read(statement, sql, strlen(sql));
}

Test(cluster_parts, what_surrounds_a_statement_is_cut_off)
{
	static const char *const texts[][2] = {
		{ "SELECT 1", "SELECT 1" },
		{ " \t\r\n;; /* c */ -- d\n SELECT 1 ; -- e", "SELECT 1" },
		{ "\xef\xbb\xbfSELECT 1;;", "SELECT 1" },
		{ "SELECT ';' /* ; */ AS \";\", [;], `;` -- ;\n, 2 ;", "SELECT ';' /* ; */ AS \";\", [;], `;` -- ;\n, 2" },
		{ "SELECT 1 -- no end", "SELECT 1" },
		{ "SELECT 1 /* no end", "SELECT 1" },
		{ "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM u; END; -- x",
		  "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM u; END" },
		{ "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END",
		  "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END" },
	};
	struct ps_statement statement = { .text = NULL };

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		const char *refusal = refusal_of(&statement, texts[i][0]);

		check(refusal == NULL, "%s: %s", texts[i][0], refusal);
		check(statement.bytes == strlen(texts[i][1]) && memcmp(statement.text, texts[i][1], statement.bytes) == 0,
		      "%.*s", (int)statement.bytes, statement.text);
	}
	ps_statement_free(&statement);
}

Test(cluster_parts, what_would_harm_a_node_is_refused)
{
	static const char *const texts[][2] = {
		{ "", "no statement" },
		{ " -- only a comment", "no statement" },
		{ "/* another */ ; \n", "no statement" },
		{ "\xef\xbb\xbf", "no statement" },
		{ "EXPLAIN", "no statement" },
		{ "SELECT 1; SELECT 2", "second statement" },
		{ "SELECT 1; x", "second statement" },
		{ "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END; SELECT 2", "second statement" },
		{ "SELECT 'open", "not closed" },
		{ "SELECT \"open", "not closed" },
		{ "SELECT [open", "not closed" },
		{ "BEGIN", "transaction" },
		{ "/* x */ begin immediate", "transaction" },
		{ ";COMMIT", "transaction" },
		{ "END", "transaction" },
		{ "ROLLBACK", "transaction" },
		{ "SAVEPOINT a", "transaction" },
		{ "RELEASE a", "transaction" },
		{ "EXPLAIN BEGIN", "transaction" },
		{ "ATTACH 'a' AS b", "refused" },
		{ "DETACH b", "refused" },
		{ "VACUUM", "refused" },
		{ "VACUUM INTO 'x'", "refused" },
		{ "PRAGMA foreign_keys=ON", "PRAGMA" },
		{ "PRAGMA user_version=3", "PRAGMA" },
		{ "PRAGMA main.user_version(3)", "PRAGMA" },
		{ "PRAGMA wal_checkpoint", "PRAGMA" },
		{ "EXPLAIN PRAGMA foreign_keys=ON", "PRAGMA" },
		{ "EXPLAIN QUERY PLAN PRAGMA foreign_keys=ON", "PRAGMA" },
		{ "CREATE TEMP TABLE a(b)", "TEMP" },
		{ "CREATE temporary VIEW a AS SELECT 1", "TEMP" },
		{ "CREATE TABLE temp.a(b)", "in temp" },
		{ "CREATE TABLE IF NOT EXISTS \"temp\" . a(b)", "in temp" },
		{ "SELECT ?0", "out of range" },
		/* Tcl's names may have quotes in them, behind any sign. */
		{ "SELECT :a('); SELECT 2 --')", "second statement" },
		{ "SELECT @a(\"); SELECT 2 --\")", "second statement" },
		{ "SELECT $::a('); SELECT 2 --')", "second statement" },
		{ "SELECT #a('); SELECT 2 --')", "second statement" },
		{ "SELECT :a(b", "no name" },
		{ "SELECT :a(\v)", "no name" },
		{ "SELECT :", "no name" },
		{ "SELECT $()", "no name" },
		{ "SELECT ?99999", "out of range" },
	};
	struct ps_statement statement = { .text = NULL };

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		const char *refusal = refusal_of(&statement, texts[i][0]);

		check(refusal != NULL, "\"%s\" may be sent", texts[i][0]);
		check(strstr(refusal, texts[i][1]) != NULL, "%s: %s", texts[i][0], refusal);
	}
	check(strstr(ps_statement_read(&statement, "SELECT 1\0x", 10), "NUL") != NULL);
	ps_statement_free(&statement);
}

Test(cluster_parts, pragmas_that_read_may_be_sent)
{
	static const char *const texts[] = { "PRAGMA table_info(t)", "PRAGMA main.index_list('t')", "PRAGMA user_version",
		                             "pragma main.user_version ;", "PRAGMA integrity_check(5)" };
	struct ps_statement statement = { .text = NULL };

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		check(refusal_of(&statement, texts[i]) == NULL, "%s", texts[i]);
		check(statement.effect == PS_EFFECT_READ);
	}
	ps_statement_free(&statement);
}

Test(cluster_parts, what_a_statement_does_is_known)
{
	static const struct {
		const char *sql;
		enum ps_effect effect;
		unsigned parameters;
		bool returning, upserts;
	} texts[] = {
		{ "SELECT ?, ?", PS_EFFECT_READ, 2, false, false },
		{ "VALUES(?3)", PS_EFFECT_READ, 3, false, false },
		{ "EXPLAIN DELETE FROM t", PS_EFFECT_READ, 0, false, false },
		{ "INSERT INTO t VALUES(:a,@b,$c,:a,?)", PS_EFFECT_INSERT, 4, false, false },
		{ "REPLACE INTO t VALUES('?', \"?\", [?], x'00', ?7)", PS_EFFECT_INSERT, 7, false, false },
		{ "INSERT INTO t VALUES(1) ON CONFLICT DO UPDATE SET a=?", PS_EFFECT_INSERT, 1, false, true },
		{ "INSERT INTO conflict VALUES(1)", PS_EFFECT_INSERT, 0, false, false },
		{ "UPDATE t SET a=? WHERE b=?2 RETURNING a", PS_EFFECT_CHANGE, 2, true, false },
		{ "DELETE FROM t", PS_EFFECT_CHANGE, 0, false, false },
		{ "WITH a AS (SELECT 1), b(c) AS (SELECT 2) INSERT INTO t SELECT 3", PS_EFFECT_INSERT, 0, false, false },
		{ "WITH RECURSIVE a AS MATERIALIZED (INSERT) UPDATE t SET a=1", PS_EFFECT_CHANGE, 0, false, false },
		{ "WITH replace AS (SELECT 1), \"delete\" AS (SELECT 1) SELECT 2", PS_EFFECT_READ, 0, false, false },
		{ "CREATE TABLE t AS SELECT 1", PS_EFFECT_SCHEMA, 0, false, false },
		{ "DROP TABLE t", PS_EFFECT_SCHEMA, 0, false, false },
		{ "ANALYZE", PS_EFFECT_SCHEMA, 0, false, false },
		{ "SELECT a$b, c?1, 'it''s ?'", PS_EFFECT_READ, 1, false, false },
		{ "SELECT ?1a, ?b, :a::b, :a(;), :::c", PS_EFFECT_READ, 5, false, false },
	};
	struct ps_statement statement = { .text = NULL };

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		const char *refusal = refusal_of(&statement, texts[i].sql);

		check(refusal == NULL, "%s: %s", texts[i].sql, refusal);
		check(statement.effect == texts[i].effect, "%s: %d", texts[i].sql, statement.effect);
		check(statement.parameters == texts[i].parameters, "%s: %u", texts[i].sql, statement.parameters);
		check(statement.returning == texts[i].returning && statement.upserts == texts[i].upserts, "%s", texts[i].sql);
	}
	ps_statement_free(&statement);
}

/*
 * SQLite reads texts of odd pieces as they are read here: what may be sent is an error to it, or one statement to the end of the text, with as
 * many parameters.
 */
Test(cluster_parts, what_may_be_sent_is_one_statement_to_sqlite)
{
	static const char *const pieces[] = { " ",
		                              "\n",
		                              "\v",
		                              "\f",
		                              "SELECT ",
		                              "1",
		                              "a",
		                              "x'00'",
		                              "'",
		                              "''",
		                              "\"",
		                              "`",
		                              "[",
		                              "]",
		                              ";",
		                              ",",
		                              "--",
		                              "/*",
		                              "*/",
		                              "(",
		                              ")",
		                              "?",
		                              "?2",
		                              ":",
		                              "::",
		                              ":a",
		                              "@b",
		                              "$c",
		                              "#d",
		                              "$",
		                              ".",
		                              "->>",
		                              "END",
		                              "*",
		                              "SELECT 1",
		                              "\xef\xbb\xbf",
		                              " AS ",
		                              "DELETE FROM t",
		                              "EXPLAIN ",
		                              "VALUES(",
		                              "\xc3\xa9",
		                              "+",
		                              "CREATE TRIGGER r DELETE ON t BEGIN " };
	struct ps_statement statement = { .text = NULL };
	unsigned sent = 0, whole = 0;
	uint64_t random = 7;
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, "CREATE TABLE t(a)", NULL, NULL, NULL), SQLITE_OK);
	for (unsigned i = 0; i < 200000; i++) {
		char sql[512] = "SELECT 1,", text[512];
		sqlite3_stmt *prepared;
		const char *tail;

		if (random_below(&random, 4) == 0)
			*sql = '\0';
		for (uint64_t count = random_below(&random, 9); count > 0; count--)
			strcat(sql, pieces[random_below(&random, COUNT_OF(pieces))]);
		if (refusal_of(&statement, sql) != NULL)
			continue;
		sent++;
		snprintf(text, sizeof text, "%.*s", (int)statement.bytes, statement.text);
		if (sqlite3_prepare_v2(db, text, -1, &prepared, &tail) != SQLITE_OK)
			continue;
		whole++;
		check(prepared != NULL && *tail == '\0', "%s", sql);
		check(statement.parameters == (unsigned)sqlite3_bind_parameter_count(prepared), "%s: %u", sql,
		      statement.parameters);
		sqlite3_finalize(prepared);
	}
	check(sent > 1000 && whole > 1000, "%u and %u", sent, whole);
	sqlite3_close(db);
	ps_statement_free(&statement);
}

/* ---- requests (rule 10) ---- */

/* What the statement and its values are sent as; or why not. */
static const char *request_of(const char *sql, const penstock_value *values, size_t count, int *code)
{
	static struct ps_request request;
	static struct ps_statement statement;
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql = sql, .sql_bytes = -1, .values = values, .value_count = count
	};
	struct ps_record record = { .on_heap = 1, .value_count = (uint32_t)count };
	const char *refusal;
	static char text[4096];

	expect(ps_record_measure(&submission, strlen(sql), &record.payload.heap.size), PENSTOCK_OK);
	record.payload.heap.data = malloc(record.payload.heap.size);
	ps_record_encode(record.payload.heap.data, &submission, strlen(sql));
	ps_request_begin(&request);
	refusal = refusal_of(&statement, sql);
	check(refusal == NULL, "%s: %s", sql, refusal);
	*code = SQLITE_OK;
	refusal = ps_request_add(&request, &statement, &record, code);
	check(ps_request_end(&request));
	snprintf(text, sizeof text, "%.*s", (int)request.bytes, request.text);
	/* What was refused leaves nothing behind. */
	check(refusal == NULL || strcmp(text, "[]") == 0, "%s", text);
	if (refusal != NULL)
		snprintf(text, sizeof text, "%s", refusal);
	free(record.payload.heap.data);
	ps_request_free(&request);
	ps_statement_free(&statement);
	statement = (struct ps_statement){ .text = NULL };
	return text;
}

#define VALUES(...) ((const penstock_value[]){ __VA_ARGS__ }), COUNT_OF(((const penstock_value[]){ __VA_ARGS__ }))

Test(cluster_parts, values_go_out_as_what_they_are)
{
	int code;

	cr_assert_str_eq(request_of("SELECT 1 ;", NULL, 0, &code), "[[\"SELECT 1\"]]");
	cr_assert_str_eq(request_of("SELECT ?,?", VALUES(penstock_int64(INT64_MIN), penstock_null()), &code),
	                 "[[\"SELECT ?,?\",-9223372036854775808,null]]");
	cr_assert_str_eq(request_of("SELECT ?,?,?,?,?",
	                            VALUES(penstock_double(1), penstock_double(-0.0), penstock_double(0.1),
	                                   penstock_double(1e300), penstock_double(4503599627370.25)),
	                            &code),
	                 "[[\"SELECT ?,?,?,?,?\",1.0,-0.0,0.10000000000000001,1.0000000000000001e+300,4503599627370.25]]");
	cr_assert_str_eq(
		request_of("SELECT \"a\\b\"\n,?", VALUES(penstock_text_bytes("\"\\\n\0\x1f\x7f\xc3\xa9\xf0\x9f\x98\x80", 12)),
	                   &code),
		"[[\"SELECT \\\"a\\\\b\\\"\\u000a,?\",\"\\\"\\\\\\u000a\\u0000\\u001f\x7f\xc3\xa9\xf0\x9f\x98\x80\"]]");
	/* Blobs stand in the text, and every other place gets a value of its own. */
	cr_assert_str_eq(request_of("INSERT INTO t VALUES(?,?)", VALUES(penstock_blob("\0\xff", 2), penstock_int64(7)), &code),
	                 "[[\"INSERT INTO t VALUES(x'00ff',?)\",7]]");
	cr_assert_str_eq(request_of("SELECT ?2,?1,:a,?2,'?'",
	                            VALUES(penstock_int64(1), penstock_text("b"), penstock_blob("", 0)), &code),
	                 "[[\"SELECT ?,?,x'',?,'?'\",\"b\",1,\"b\"]]");
}

/* As Tcl names them; a place ends where its name does. */
Test(cluster_parts, names_of_places_are_whole)
{
	int code;

	cr_assert_str_eq(request_of("SELECT $a::b,$a::b::c(d),$a,:a,@a FROM t",
	                            VALUES(penstock_blob("\1", 1), penstock_blob("\2", 1), penstock_blob("\3", 1),
	                                   penstock_int64(4), penstock_blob("\5", 1)),
	                            &code),
	                 "[[\"SELECT x'01',x'02',x'03',?,x'05' FROM t\",4]]");
	cr_assert_str_eq(request_of("SELECT :a::b,@a('),$::c,#d(;),?b",
	                            VALUES(penstock_blob("\1", 1), penstock_int64(2), penstock_blob("\3", 1),
	                                   penstock_blob("\4", 1), penstock_int64(5)),
	                            &code),
	                 "[[\"SELECT x'01',?,x'03',x'04',?b\",2,5]]");
}

/* More places than there is room for at first. */
Test(cluster_parts, every_place_has_its_value)
{
	char sql[1024] = "SELECT ?", body[4096];
	penstock_value values[300] = { penstock_blob("\x7f", 1) };
	size_t bytes;
	int code;

	for (size_t i = 1; i < COUNT_OF(values); i++) {
		values[i] = penstock_int64((int64_t)i);
		strcat(sql, ",?");
	}
	bytes = (size_t)sprintf(body, "[[\"SELECT x'7f'%s\"", sql + strlen("SELECT ?"));
	for (size_t i = 1; i < COUNT_OF(values); i++)
		bytes += (size_t)sprintf(body + bytes, ",%zu", i);
	strcpy(body + bytes, "]]");
	cr_assert_str_eq(request_of(sql, values, COUNT_OF(values), &code), body);
}

Test(cluster_parts, what_json_cannot_carry_is_refused)
{
	static const char *const not_utf8[] = {
		"\x80",  "\xc3",     "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
		"a\xff", "\xe2\x82", "\xc3\x28"
	};
	int code;

	for (size_t i = 0; i < COUNT_OF(not_utf8); i++) {
		check(strstr(request_of("SELECT ?", VALUES(penstock_text(not_utf8[i])), &code), "UTF-8") != NULL, "%zu", i);
		check(code == SQLITE_MISMATCH);
	}
	check(strstr(request_of("SELECT '\xff'", NULL, 0, &code), "UTF-8") != NULL);
	check(strstr(request_of("SELECT ?", VALUES(penstock_double(__builtin_inf())), &code), "finite") != NULL);
	check(strstr(request_of("SELECT ?", VALUES(penstock_double(__builtin_nan(""))), &code), "finite") != NULL);
	/* A node takes too few for an error and ignores what is too much. */
	check(strstr(request_of("SELECT ?", NULL, 0, &code), "takes 1 values, not 0") != NULL);
	check(code == SQLITE_RANGE);
	check(strstr(request_of("SELECT 1", VALUES(penstock_int64(1)), &code), "takes 0 values, not 1") != NULL);
	check(code == SQLITE_RANGE);
}

static struct ps_outcome take(enum ps_effect effect, const char *result, uint64_t bytes_max);

/* Makes a locale with this sign for the point, and nothing else; false: localedef cannot. */
static bool enter_locale_with(const char *point, const char *charset)
{
	char command[1000], name[40];

	snprintf(
		command, sizeof command,
		"cd '%s' && printf 'LC_NUMERIC\\ndecimal_point \"%s\"\\nthousands_sep \"\"\\ngrouping -1\\nEND LC_NUMERIC\\n' >point && "
		"localedef -c -i point -f %s ./point.%s >/dev/null 2>&1; test -d point.%s",
		harness_make_folder(), point, charset, charset, charset);
	setenv("LOCPATH", harness_make_folder(), 1);
	snprintf(name, sizeof name, "point.%s", charset);
	return system(command) == 0 && setlocale(LC_NUMERIC, name) != NULL;
}

/* Whatever stands for the point in the program's locale, be it of two bytes. */
Test(cluster_parts, reals_go_out_and_come_in_alike_in_any_locale)
{
	static const char *const points[][2] = { { "<U002C>", "ANSI_X3.4-1968" }, { "<U066B>", "UTF-8" } };
	struct ps_outcome outcome;
	char text[16];
	int code;

	for (size_t i = 0; i < COUNT_OF(points); i++) {
		if (!enter_locale_with(points[i][0], points[i][1])) {
			printf("# SKIP cluster_parts/locales: localedef cannot make one with %s for the point\n", points[i][0]);
			continue;
		}
		snprintf(text, sizeof text, "%g", 0.5);
		check(strcmp(text, "0.5") != 0);
		cr_assert_str_eq(request_of("SELECT ?,?", VALUES(penstock_double(0.5), penstock_double(-1.25e-7)), &code),
		                 "[[\"SELECT ?,?\",0.5,-1.2499999999999999e-07]]");
		outcome = take(PS_EFFECT_READ, "{\"columns\":[\"a\"],\"types\":[\"real\"],\"values\":[[-1.25e-07]]}", 4096);
		expect(outcome.result.status, PENSTOCK_OK);
		check(outcome.result.cells[0].as.real == -1.25e-7);
		ps_outcome_reset(&outcome);
		setlocale(LC_NUMERIC, "C");
	}
}

/* ---- answers (rules 4, 5, 6, 9) ---- */

static enum ps_answer_kind kind_of(const char *text, size_t expected, bool grouped)
{
	struct ps_answer answer = { .failing = 0 };
	enum ps_answer_kind kind = ps_answer_read(&answer, text, strlen(text), expected, grouped);

	ps_answer_free(&answer);
	return kind;
}

Test(cluster_parts, an_answer_is_believed_only_when_it_is_whole)
{
	static const char *const unknown[] = {
		"",
		"garbage",
		"{",
		"[]",
		"{}",
		"null",
		"7",
		"{\"results\":null}",
		"{\"results\":{}}",
		"{\"results\":[]}",
		"{\"results\":[{}]}",
		"{\"results\":[{},{},{}]}",
		"{\"results\":[{},{}]} x",
		"{\"results\":[{},{}],\"error\":\"leadership lost while committing log\"}",
		"{\"results\":[{},{}],\"error\":7}",
		"{\"error\":\"leadership lost while committing log\"}",
		"{\"error\":\"read protobuf length: EOF\"}",
		"{\"error\":\"write protobuf bytes: broken pipe\"}",
		"{\"error\":\"not leader or so\"}",
		"{\"error\":\"is not leader\"}",
		"{\"error\":\"not leader\\u0000 but applied\"}",
		"{\"error\":\"node failed to process Request on remote node at 127.0.0.1:4002: pool get: dial tcp 127.0.0.1:4002: i/o timeout\"}",
		"{\"error\":\"node failed to process Request on remote node at 127.0.0.1:4002: read protobuf length: read tcp "
		"127.0.0.1:5->127.0.0.1:4002: read: connection reset by peer\"}",
		"{\"error\":\"node failed to process Request on remote node at 127.0.0.1:4002: pool get: dial tcp 127.0.0.1:4002: connect: "
		"connection refused; and then\"}",
		"{\"error\":\"x: pool get: dial tcp 127.0.0.1:4002: connect: connection refused\"}",
		"{\"error\":\"FOREIGN KEY constraint failed\"}",
		"{\"results\":[{\"error\":\"\xff\"},{}]}",
	};
	static const char *const not_applied[] = {
		"{\"results\":[],\"error\":\"not leader\"}",
		"{\"error\":\"not leader\"}",
		"{\"error\":\"store not open\"}",
		"{\"error\":\"node failed to process Request on remote node at 127.0.0.1:4002: pool get: dial tcp 127.0.0.1:4002: connect: "
		"connection refused\"}",
		"{\"error\":\"node failed to process Execute on remote node at [::1]:4002: pool get: dial tcp [::1]:4002: connect: "
		"connection refused\"}",
	};

	for (size_t i = 0; i < COUNT_OF(unknown); i++)
		check(kind_of(unknown[i], 2, false) == PS_ANSWER_UNKNOWN, "%s", unknown[i]);
	for (size_t i = 0; i < COUNT_OF(not_applied); i++)
		check(kind_of(not_applied[i], 2, false) == PS_ANSWER_NOT_APPLIED, "%s", not_applied[i]);
	check(kind_of("{\"results\":[{},{\"error\":\"x\"}],\"time\":1e-3}", 2, false) == PS_ANSWER_RESULTS);
	/* A group ends with the member that failed; its COMMIT may fail for a deferred key. */
	check(kind_of("{\"results\":[{},{\"error\":\"x\"}]}", 3, true) == PS_ANSWER_RESULTS);
	check(kind_of("{\"results\":[{},{}]}", 3, true) == PS_ANSWER_UNKNOWN);
	check(kind_of("{\"error\":\"FOREIGN KEY constraint failed\"}", 3, true) == PS_ANSWER_FAILED);
	check(kind_of("{\"error\":\"leadership lost while committing log\"}", 3, true) == PS_ANSWER_UNKNOWN);
}

/* ---- values in (rules 11 and 12) ---- */

/* The outcome of one statement from its result; to be reset. */
static struct ps_outcome take_of(const struct ps_statement *statement, const char *result, bool wanted, uint64_t bytes_max)
{
	struct ps_answer answer = { .locale = newlocale(LC_ALL_MASK, "C", (locale_t)0) };
	struct ps_outcome outcome = { .result.message = "" };
	char text[4096];

	snprintf(text, sizeof text, "{\"results\":[%s]}", result);
	check(ps_answer_read(&answer, text, strlen(text), 1, false) == PS_ANSWER_RESULTS, "%s", text);
	ps_answer_take(&answer, statement, wanted, bytes_max, &outcome);
	ps_answer_free(&answer);
	freelocale(answer.locale);
	return outcome;
}

static struct ps_outcome take(enum ps_effect effect, const char *result, uint64_t bytes_max)
{
	struct ps_statement statement = { .effect = effect };

	return take_of(&statement, result, true, bytes_max);
}

Test(cluster_parts, numbers_come_in_with_all_their_digits)
{
	struct ps_outcome outcome =
		take(PS_EFFECT_READ,
	             "{\"columns\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"],"
	             "\"types\":[\"integer\",\"integer\",\"real\",\"\",\"integer\",\"real\",\"numeric\",\"integer\",\"\"],"
	             "\"values\":[[9223372036854775807,-9223372036854775808,1,1,12345678901234567000,"
	             "9000000000000000000,1.5e+300,9223372036854775808,null]]}",
	             4096);
	const penstock_value *cells = outcome.result.cells;

	cr_assert_eq(outcome.result.status, PENSTOCK_OK);
	cr_assert_eq(outcome.result.row_count, 1);
	cr_assert_eq(outcome.result.column_count, 9);
	cr_assert_str_eq(outcome.result.column_names[8], "i");
	check(cells[0].type == PENSTOCK_INTEGER && cells[0].as.integer == INT64_MAX);
	check(cells[1].type == PENSTOCK_INTEGER && cells[1].as.integer == INT64_MIN);
	check(cells[2].type == PENSTOCK_FLOAT && cells[2].as.real == 1.0);
	check(cells[3].type == PENSTOCK_INTEGER && cells[3].as.integer == 1);
	check(cells[4].type == PENSTOCK_FLOAT && cells[4].as.real == 12345678901234567000.0);
	check(cells[5].type == PENSTOCK_FLOAT && cells[5].as.real == 9e18);
	check(cells[6].type == PENSTOCK_FLOAT && cells[6].as.real == 1.5e300);
	check(cells[7].type == PENSTOCK_FLOAT && cells[7].as.real == 9223372036854775808.0);
	check(cells[8].type == PENSTOCK_NULL);
	ps_outcome_reset(&outcome);
}

/* By the affinity that SQLite gives to a declared type. */
Test(cluster_parts, a_number_is_a_real_where_sqlite_keeps_reals)
{
	static const char *const types[] = { "double", "DOUBLE PRECISION", "float", "real", "a realm" }, *const others[] = {
		"", "int", "numeric", "decimal(10,2)", "floating point", "double int", "blob", "text"
	};
	struct ps_outcome outcome;
	char result[256];

	for (size_t i = 0; i < COUNT_OF(types) + COUNT_OF(others); i++) {
		bool real = i < COUNT_OF(types);

		snprintf(result, sizeof result, "{\"columns\":[\"a\"],\"types\":[\"%s\"],\"values\":[[7],[-0.5]]}",
		         real ? types[i] : others[i - COUNT_OF(types)]);
		outcome = take(PS_EFFECT_READ, result, 4096);
		cr_assert_eq(outcome.result.row_count, 2);
		check(outcome.result.cells[0].type == (real ? PENSTOCK_FLOAT : PENSTOCK_INTEGER), "%s", result);
		check(outcome.result.cells[1].type == PENSTOCK_FLOAT && outcome.result.cells[1].as.real == -0.5);
		ps_outcome_reset(&outcome);
	}
}

Test(cluster_parts, text_and_blobs_come_in_whole)
{
	struct ps_outcome outcome = take(
		PS_EFFECT_READ,
		"{\"columns\":[\"a\",\"b\",\"c\"],\"types\":[\"text\",\"blob\",\"blob\"],\"values\":[[\"x\\u0000\\u00e9\\n\",[0,255,16],[]]]}",
		4096);
	const penstock_value *cells = outcome.result.cells;

	cr_assert_eq(outcome.result.status, PENSTOCK_OK);
	check(cells[0].type == PENSTOCK_TEXT && cells[0].bytes == 5 && memcmp(cells[0].as.data, "x\0\xc3\xa9\n", 6) == 0);
	check(cells[1].type == PENSTOCK_BLOB && cells[1].bytes == 3 && memcmp(cells[1].as.data, "\0\xff\x10", 3) == 0);
	check(cells[2].type == PENSTOCK_BLOB && cells[2].bytes == 0);
	ps_outcome_reset(&outcome);
}

/* With a node of the tree for each of its bytes it would take fifty times as much. */
Test(cluster_parts, a_blob_is_one_node_of_the_tree)
{
	static char text[1 << 16] =
		"{\"results\":[{\"columns\":[\"a\",\"b\"],\"types\":[\"blob\",\"blob\"],\"values\":[[[1],[]],[[0";
	size_t bytes = strlen(text);
	struct ps_json json;
	uint32_t i, blob = 0;

	for (i = 1; i < 10000; i++)
		bytes += (size_t)sprintf(text + bytes, ",%u", i % 256);
	strcpy(text + bytes, "],[1]]]}]}");
	check(ps_json_read(&json, text, strlen(text)));
	check(json.count < 30, "%u", json.count);
	for (i = 0; i < json.count; i++) {
		if (json.nodes[i].type == PS_JSON_BYTES && json.nodes[i].bytes == 10000)
			blob = i;
	}
	check(blob != 0);
	for (i = 0; i < 10000; i++)
		check((unsigned char)json.nodes[blob].text[i] == i % 256, "%u", i);
	ps_json_free(&json);
}

Test(cluster_parts, what_a_node_rewrites_is_an_error_that_names_the_cast)
{
	static const char *const types[] = { "date", "datetime", "timestamp", "boolean" };
	struct ps_outcome outcome;
	char result[256];

	for (size_t i = 0; i < COUNT_OF(types); i++) {
		snprintf(result, sizeof result, "{\"columns\":[\"born\"],\"types\":[\"%s\"],\"values\":[[%s]]}", types[i],
		         i == 3 ? "true" : "\"0001-01-01T00:00:00Z\"");
		outcome = take(PS_EFFECT_READ, result, 4096);
		cr_assert_eq(outcome.result.status, PENSTOCK_ERROR);
		check(strstr(outcome.result.message, "CAST(born AS TEXT)") != NULL, "%s", outcome.result.message);
		cr_assert_eq(outcome.result.row_count, 0);
		ps_outcome_reset(&outcome);
		/* A write has happened all the same. */
		outcome = take(PS_EFFECT_INSERT, result, 4096);
		cr_assert_eq(outcome.result.status, PENSTOCK_UNKNOWN);
		ps_outcome_reset(&outcome);
		snprintf(result, sizeof result, "{\"columns\":[\"born\"],\"types\":[\"%s\"],\"values\":[[null]]}", types[i]);
		outcome = take(PS_EFFECT_READ, result, 4096);
		cr_assert_eq(outcome.result.status, PENSTOCK_OK);
		ps_outcome_reset(&outcome);
	}
}

Test(cluster_parts, a_result_that_cannot_be_read_is_none)
{
	static const char *const results[] = {
		"7",
		"null",
		"{\"columns\":7}",
		"{\"columns\":[\"a\"]}",
		"{\"columns\":[\"a\"],\"types\":[]}",
		"{\"columns\":[],\"types\":[]}",
		"{\"columns\":[7],\"types\":[\"\"]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":7}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[7]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[1,2]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[{}]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[true]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[[256]]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[[-1]]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[[1.5]]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[[\"a\"]]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[[1,2,\"a\",3]]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[[1,[2],3]]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[[1,1000]]]}",
		"{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[[1,1e1]]]}",
		"{\"error\":7}",
	};
	struct ps_outcome outcome;

	for (size_t i = 0; i < COUNT_OF(results); i++) {
		outcome = take(PS_EFFECT_READ, results[i], 4096);
		check(outcome.result.status == PENSTOCK_ERROR && outcome.result.row_count == 0, "%s", results[i]);
		ps_outcome_reset(&outcome);
		outcome = take(PS_EFFECT_CHANGE, results[i], 4096);
		check(outcome.result.status == PENSTOCK_UNKNOWN, "%s", results[i]);
		ps_outcome_reset(&outcome);
	}
	outcome = take(PS_EFFECT_INSERT, "{\"rows_affected\":1.5}", 4096);
	cr_assert_eq(outcome.result.status, PENSTOCK_UNKNOWN);
	ps_outcome_reset(&outcome);
	outcome = take(PS_EFFECT_CHANGE, "{\"rows_affected\":-1}", 4096);
	check(outcome.result.status == PENSTOCK_UNKNOWN && outcome.result.changes == 0);
	ps_outcome_reset(&outcome);
	/* More than may be returned. */
	outcome = take(PS_EFFECT_READ, "{\"columns\":[\"a\"],\"types\":[\"\"],\"values\":[[1],[2]]}", sizeof(penstock_value));
	check(outcome.result.status == PENSTOCK_ERROR && outcome.result.code == SQLITE_TOOBIG);
	ps_outcome_reset(&outcome);
}

/* What a node has not understood it runs as what has no rows. */
Test(cluster_parts, rows_that_do_not_come_are_no_rows)
{
	static const struct {
		enum ps_effect effect;
		bool returning, wanted;
		penstock_status status;
	} cases[] = {
		{ PS_EFFECT_READ, false, true, PENSTOCK_ERROR },    { PS_EFFECT_READ, false, false, PENSTOCK_OK },
		{ PS_EFFECT_INSERT, true, true, PENSTOCK_UNKNOWN }, { PS_EFFECT_INSERT, true, false, PENSTOCK_OK },
		{ PS_EFFECT_CHANGE, true, true, PENSTOCK_UNKNOWN }, { PS_EFFECT_CHANGE, false, true, PENSTOCK_OK },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct ps_statement statement = { .effect = cases[i].effect, .returning = cases[i].returning };
		struct ps_outcome outcome =
			take_of(&statement, "{\"last_insert_id\":7,\"rows_affected\":5}", cases[i].wanted, 4096);

		check(outcome.result.status == cases[i].status, "%zu: %s", i, outcome.result.message);
		check(outcome.result.status == PENSTOCK_OK || outcome.result.changes == 0);
		ps_outcome_reset(&outcome);
	}
}

static size_t garble(char *text, size_t bytes, size_t room, uint64_t *random)
{
	static const char signs[] = "{}[],:\"\\0123456789.-+eEnulltruefalse \x01\x7f\x80\xc3\xff";
	uint64_t changes = 1 + random_below(random, 4);

	for (; changes > 0 && bytes > 0; changes--) {
		size_t at = random_below(random, bytes), length = 1 + random_below(random, bytes - at);

		switch (random_below(random, 4)) {
		case 0:
			text[at] = signs[random_below(random, sizeof signs)];
			break;
		case 1: /* a part is lost */
			memmove(text + at, text + at + length, bytes - at - length);
			bytes -= length;
			break;
		case 2: /* or comes twice */
			length = length < room - bytes ? length : room - bytes;
			memmove(text + at + length, text + at, bytes - at);
			bytes += length;
			break;
		default:
			bytes = at;
			break;
		}
	}
	return bytes;
}

/* Garbage is refused, or read as what it says; of a write that is never an ERROR unless it says so. */
Test(cluster_parts, garbage_is_no_answer)
{
	static const char *const answers[] = {
		"{\"results\":[{\"last_insert_id\":7,\"rows_affected\":1},{\"error\":\"UNIQUE constraint failed: t.a\"}],\"time\":0.1}",
		"{\"results\":[{\"columns\":[\"a\",\"b\"],\"types\":[\"integer\",\"blob\"],\"values\":[[1,[0,255]],[-2.5e3,null],[[1,[2],3],[[[4]]]]]},{}]}",
		"{\"results\":[{\"columns\":[\"\\u00e9\\n\"],\"types\":[\"text\"],\"values\":[[\"\\ud83d\\ude00 \\\\x\"]]},{\"rows_affected\":2}]}",
		"{\"results\":[],\"error\":\"not leader\"}",
	};
	struct ps_answer answer = { .locale = newlocale(LC_ALL_MASK, "C", (locale_t)0) };
	uint64_t random = 1;
	unsigned whole = 0;

	for (unsigned i = 0; i < 40000; i++) {
		const char *from = answers[i % COUNT_OF(answers)];
		struct ps_statement statement = { .effect = i % 2 == 0 ? PS_EFFECT_CHANGE : PS_EFFECT_READ };
		size_t bytes;
		char room[512], *text;

		strcpy(room, from);
		bytes = garble(room, strlen(from), sizeof room, &random);
		/* So that a byte beyond is seen. */
		text = malloc(bytes > 0 ? bytes : 1);
		memcpy(text, room, bytes);
		if (ps_answer_read(&answer, text, bytes, 2, false) == PS_ANSWER_RESULTS) {
			for (unsigned of = 0; of < 2; of++) {
				bool says = ps_json_member(&answer.json, answer.result, "error") != NULL;
				struct ps_outcome outcome = { .result.message = "" };

				ps_answer_take(&answer, &statement, true, 4096, &outcome);
				check(statement.effect == PS_EFFECT_READ || says || outcome.result.status != PENSTOCK_ERROR,
				      "%.*s", (int)bytes, text);
				ps_outcome_reset(&outcome);
			}
			whole++;
		}
		ps_answer_free(&answer);
		free(text);
	}
	check(whole > 100 && whole < 20000, "%u were whole", whole);
	freelocale(answer.locale);
}

Test(cluster_parts, changes_and_rowid_are_the_statements_own)
{
	static const struct {
		enum ps_effect effect;
		const char *result;
		int64_t changes, rowid;
	} results[] = {
		{ PS_EFFECT_INSERT, "{\"last_insert_id\":7,\"rows_affected\":1}", 1, 7 },
		{ PS_EFFECT_INSERT, "{\"last_insert_id\":7}", 0, 0 },
		{ PS_EFFECT_CHANGE, "{\"last_insert_id\":7,\"rows_affected\":3}", 3, 0 },
		{ PS_EFFECT_CHANGE, "{\"last_insert_id\":7}", 0, 0 },
		{ PS_EFFECT_SCHEMA, "{\"last_insert_id\":7,\"rows_affected\":3}", 0, 0 },
		{ PS_EFFECT_SCHEMA, "{}", 0, 0 },
		{ PS_EFFECT_CHANGE, "{\"columns\":[\"a\"],\"types\":[\"integer\"],\"values\":[[1],[2]]}", 2, 0 },
		{ PS_EFFECT_CHANGE, "{\"columns\":[\"a\"],\"types\":[\"\"]}", 0, 0 },
		{ PS_EFFECT_READ, "{\"columns\":[\"a\"],\"types\":[\"integer\"],\"values\":[[1],[2]]}", 0, 0 },
	};

	for (size_t i = 0; i < COUNT_OF(results); i++) {
		struct ps_outcome outcome = take(results[i].effect, results[i].result, 4096);

		check(outcome.result.status == PENSTOCK_OK, "%s", outcome.result.message);
		check(outcome.result.changes == results[i].changes && outcome.result.last_insert_rowid == results[i].rowid,
		      "%s: %lld %lld", results[i].result, (long long)outcome.result.changes,
		      (long long)outcome.result.last_insert_rowid);
		ps_outcome_reset(&outcome);
	}
}

Test(cluster_parts, errors_have_the_codes_of_sqlite)
{
	cr_assert_eq(ps_answer_code("NOT NULL constraint failed: t.a"), SQLITE_CONSTRAINT_NOTNULL);
	cr_assert_eq(ps_answer_code("UNIQUE constraint failed: t.a"), SQLITE_CONSTRAINT);
	cr_assert_eq(ps_answer_code("FOREIGN KEY constraint failed"), SQLITE_CONSTRAINT_FOREIGNKEY);
	cr_assert_eq(ps_answer_code("no such table: t"), SQLITE_ERROR);
}

/* ---- the path ---- */

Test(cluster_parts, a_library_without_clusters_says_so)
{
	struct ps_options options = { .log = NULL };

	expect((absent_store.check)("rqlite://h", &options), PENSTOCK_CANTOPEN);
	expect_message("built without clusters");
	check(ps_store_kind_of("rqlite://h") == &ps_store_rqlite);
	check(ps_store_kind_of("rqlite:/h") == &ps_store_sqlite && ps_store_kind_of("./rqlite://h") == &ps_store_sqlite);
}

Test(cluster_parts, a_path_names_nodes_user_and_tls)
{
	struct ps_address address;

	expect(ps_address_read(&address,
	                       "rqlite://me@one:4001,two,[::1]:17,[::2]/?tls=yes&ca=/a/ca.pem&cert=c&key=k&timeout_ms=15000"),
	       PENSTOCK_OK);
	cr_assert_eq(address.host_count, 4);
	cr_assert_str_eq(address.hosts[0], "one:4001");
	cr_assert_str_eq(address.hosts[1], "two:4001");
	cr_assert_str_eq(address.hosts[2], "[::1]:17");
	cr_assert_str_eq(address.hosts[3], "[::2]:4001");
	cr_assert_str_eq(address.user, "me");
	check(address.tls && address.timeout_ms == 15000);
	cr_assert_str_eq(address.ca, "/a/ca.pem");
	cr_assert_str_eq(address.cert, "c");
	cr_assert_str_eq(address.key, "k");
	ps_address_free(&address);
	expect(ps_address_read(&address, "rqlite://h?tls=no&timeout_ms=1"), PENSTOCK_OK);
	check(!address.tls);
	cr_assert_eq(address.timeout_ms, 1);
	ps_address_free(&address);
	expect(ps_address_read(&address, "rqlite://h:1,h:65535,[::ffff:127.0.0.1]:04001"), PENSTOCK_OK);
	cr_assert_eq(address.host_count, 3);
	ps_address_free(&address);
	expect(ps_address_read(&address, "rqlite://h?timeout_ms=3600000"), PENSTOCK_OK);
	cr_assert_eq(address.timeout_ms, 3600000);
	ps_address_free(&address);
	expect(ps_address_read(&address, "rqlite://h"), PENSTOCK_OK);
	check(!address.tls && address.timeout_ms > 10000 && address.user == NULL);
	ps_address_free(&address);
}

Test(cluster_parts, a_wrong_path_is_told_without_its_password)
{
	static const char *const paths[] = { "rqlite://",
		                             "rqlite:///",
		                             "rqlite://a,",
		                             "rqlite://a:x/",
		                             "rqlite://a:/",
		                             "rqlite://:1/",
		                             "rqlite://a:0/",
		                             "rqlite://a:65536/",
		                             "rqlite://a:0000000001/",
		                             "rqlite://a:1:2/",
		                             "rqlite://::1/",
		                             "rqlite://fe80::1:4001/",
		                             "rqlite://[::1/",
		                             "rqlite://[]/",
		                             "rqlite://]/",
		                             "rqlite://[::1]a/",
		                             "rqlite://a[::1]/",
		                             "rqlite://[::1]:/",
		                             "rqlite://a/db",
		                             "rqlite://a b/",
		                             "rqlite://a/?x=1",
		                             "rqlite://a/?tls",
		                             "rqlite://a/?tls=maybe",
		                             "rqlite://a/?tls=nn",
		                             "rqlite://a/?tls=np",
		                             "rqlite://a/?ca=x",
		                             "rqlite://a/?tls=yes&cert=x",
		                             "rqlite://a/?timeout_ms=0",
		                             "rqlite://a/?timeout_ms=1x",
		                             "rqlite://a/?timeout_ms=",
		                             "rqlite://a/?timeout_ms=3600001",
		                             "rqlite://me:secret@a/",
		                             "rqlite://me:secret@x@a/" };
	struct ps_address address;

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		check(ps_address_read(&address, paths[i]) == PENSTOCK_CANTOPEN, "%s", paths[i]);
		check(strstr(penstock_error_message(), "secret") == NULL, "%s", penstock_error_message());
	}
	expect_message("PENSTOCK_CLUSTER_PASSWORD");
}
