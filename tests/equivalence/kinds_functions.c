/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_functions.c - functions that write, that fail, and that do both
 *
 * A function of the user's may write through the connection that called it, within a SELECT, an INSERT, a trigger, or a statement
 * that fails afterwards; and it may fail with any code that SQLite knows. Left out are the extended codes of
 * I/O, which docs/guarantees.md tells apart, and a write that ends the transaction of the statement that called for it (OR ROLLBACK).
 *
 * Beside an attached file a statement takes its locks by itself, and each code of a lock may be a function's.
 */
#include "tests/equivalence/kinds.h"

/* A statement that inserts, by the function, into the table it goes over would never end. */
static bool has_grown(sqlite3 *connection)
{
	sqlite3_stmt *count;
	bool grown;

	if (sqlite3_prepare_v2(connection, "SELECT count(*)>500 FROM fu", -1, &count, NULL) != SQLITE_OK)
		return false;
	grown = sqlite3_step(count) == SQLITE_ROW && sqlite3_column_int(count, 0) != 0;
	sqlite3_finalize(count);
	return grown;
}

/* wrote_then(sql, code): runs the SQL, then fails with the code, if it is not 0. */
static void wrote_then(sqlite3_context *context, int count, sqlite3_value **values)
{
	const char *sql = (const char *)sqlite3_value_text(values[0]);
	int code = sqlite3_value_int(values[1]);

	(void)count;
	if (!has_grown(sqlite3_context_db_handle(context)))
		sqlite3_exec(sqlite3_context_db_handle(context), sql, NULL, NULL, NULL);
	if (code != 0)
		sqlite3_result_error_code(context, code);
	else
		sqlite3_result_int64(context, sqlite3_changes64(sqlite3_context_db_handle(context)));
}

static void prepare(sqlite3 *connection)
{
	sqlite3_create_function(connection, "wrote_then", 2, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, wrote_then, NULL, NULL);
}

#define CODES                                                                                                                  \
	"${0|0|0|0|0|0|1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24|25|26|100|101|261|262|516|517|773|1299|" \
	"1555|2067|787|275|523|1811|779|4363}"
#define WRITES                                                                                                            \
	"'${INSERT INTO fw VALUES($n,$n)|INSERT INTO fu(b) VALUES($n)|DELETE FROM fw|UPDATE fu SET b=b+1|INSERT INTO ft " \
	"VALUES($n)|CREATE TABLE IF NOT EXISTS fn(a)|DROP TABLE IF EXISTS fn|INSERT INTO fn VALUES($n)|SELECT 1|nonsense}'"

static const char *const schema[] = {
	"CREATE TABLE fw(a UNIQUE,b)",
	"CREATE TABLE fu(a INTEGER PRIMARY KEY,b)",
	"CREATE TABLE fs(a UNIQUE,b)", /* scanned, and not written to meanwhile: that might have no end */
	"CREATE TEMP TABLE ft(a UNIQUE)",
	"CREATE TABLE fg(a UNIQUE,n DEFAULT (wrote_then('INSERT INTO fu(b) VALUES(100)',0)))",
	"CREATE TRIGGER fu_writes AFTER DELETE ON fu BEGIN SELECT wrote_then('INSERT INTO fw VALUES(77,'||old.b||')',0); END",
	NULL,
};

static const struct template templates[] = {
	SQL(6, "INSERT$O INTO fw VALUES$[($k,$n)]$R"),
	SQL(4, "INSERT$O INTO fu(b) VALUES$[($k)]$R"),
	SQL(4, "SELECT wrote_then(" WRITES "," CODES ")"),
	SQL(4, "INSERT$O INTO ${fw|fu} VALUES($k,wrote_then(" WRITES "," CODES "))$R"),
	SQL(4, "INSERT$O INTO ft VALUES$[($k)] RETURNING wrote_then(" WRITES "," CODES ")"),
	SQL(3, "INSERT$O INTO ft VALUES($n),($n) RETURNING wrote_then(" WRITES ",0)"),
	SQL(3, "INSERT$O INTO fw VALUES($k,$n),($k,$n) RETURNING wrote_then(" WRITES "," CODES ")"),
	SQL(3, "UPDATE$O fs SET b=wrote_then(" WRITES "," CODES ") WHERE a<$k"),
	SQL(3, "DELETE FROM fs WHERE a=$k OR wrote_then(" WRITES ",0)>$n"),
	SQL(3, "INSERT$O INTO fs VALUES$[($k,$n)]"),
	SQL(2, "DELETE FROM fu WHERE a<$k$R"),
	SQL(3, "INSERT$O INTO fg(a) VALUES$[($k)]$R"),
	SQL(2, "SELECT fail_code(" CODES ")"),
	SQL(2, "SELECT a,fail_code(" CODES ") FROM fw WHERE a>$n"),
	SQL(2, "INSERT$O INTO fw SELECT a+24,fail_code(" CODES ") FROM fw WHERE a<$k"),
	SQL(2, "INSERT$O INTO ft SELECT a+fail_code(" CODES ") FROM fw"),
	SQL(1, "CREATE TABLE fn AS SELECT wrote_then(" WRITES "," CODES ") AS a"),
	SQL(1, "CREATE INDEX fi ON fw(b,${a|abs(b)})"),
	SQL(1, "DROP INDEX IF EXISTS fi"),
	SQL(1, "DELETE FROM ft"),
	SQL(2, "SELECT changes(),total_changes(),last_insert_rowid()"),
	SQL_END,
};

static const char *const questions[] = {
	"SELECT * FROM ft",
	"SELECT changes()",
	NULL,
};

static const struct run runs[] = {
	{ 2, "INSERT INTO fw VALUES(?,?)" },
	{ 1, "INSERT INTO fg(a) VALUES(?)" },
	{ 1, "INSERT INTO fu(b) VALUES(?)" },
	{ 0, NULL },
};

const struct kind kind_functions = {
	.name = "functions",
	.one_in = 5,
	.weight = 1,
	.schema = schema,
	.templates = templates,
	.questions = questions,
	.runs = runs,
	.prepare = prepare,
};

/* Those that SQLite has for a lock. */
#define LOCK_CODES "${0|5|5|261|517|517|773|6|262|15}"
#define LOCK_WRITES                                                                                                          \
	"'${INSERT INTO lw VALUES($n)|INSERT INTO far.lf VALUES($n)|INSERT INTO temp.lu VALUES($n)|DELETE FROM lw|SELECT 1|" \
	"INSERT INTO lw VALUES($n);INSERT INTO far.lf VALUES($n)|CREATE TABLE IF NOT EXISTS far.ln(a)|nonsense}'"

static const char *const locks_schema[] = {
	"CREATE TABLE lm(a UNIQUE,b)",
	"CREATE TABLE lw(a)",
	"CREATE TEMP TABLE lt(a UNIQUE,b)",
	"CREATE TEMP TABLE lu(a)",
	"ATTACH '$D/far.db' AS far",
	"CREATE TABLE far.lo(a UNIQUE,b)",
	"CREATE TABLE far.lf(a)",
	"CREATE TEMP TRIGGER lm_to_lo AFTER DELETE ON main.lm BEGIN INSERT OR IGNORE INTO lo VALUES(old.a,old.b); END",
	NULL,
};

static const struct template locks_templates[] = {
	SQL(6, "INSERT$O INTO ${lm|lm|far.lo|lt} VALUES$[($k,$n)]$R"),
	SQL(6, "INSERT$O INTO ${lm|far.lo|lt} VALUES($k,wrote_then(" LOCK_WRITES "," LOCK_CODES "))$R"),
	SQL(6, "INSERT$O INTO ${lm|far.lo|lt} VALUES($k,$n),($k,$n) RETURNING wrote_then(" LOCK_WRITES "," LOCK_CODES ")"),
	SQL(3, "INSERT$O INTO ${lm|far.lo|lt} VALUES($k,fail_code(" LOCK_CODES "))$R"),
	SQL(3, "INSERT$O INTO far.lo SELECT a+$n,wrote_then(" LOCK_WRITES "," LOCK_CODES ") FROM lm WHERE a<$k$R"),
	SQL(4, "UPDATE$O ${lm|far.lo|lt} SET b=wrote_then(" LOCK_WRITES "," LOCK_CODES ") WHERE a<$k$R"),
	SQL(3, "DELETE FROM ${lm|far.lo|lt} WHERE a=$k RETURNING wrote_then(" LOCK_WRITES "," LOCK_CODES ")"),
	SQL(3, "DELETE FROM ${lm|far.lo|lt} WHERE a=$k$R"),
	SQL(3, "SELECT wrote_then(" LOCK_WRITES "," LOCK_CODES ")"),
	SQL(2, "SELECT a,fail_code(" LOCK_CODES ") FROM ${lm|far.lo|lt} WHERE a>$n"),
	SQL(1, "PRAGMA ${far.|main.|}user_version=$n"),
	SQL(1, "DROP TABLE IF EXISTS far.ln"),
	SQL(1, "DETACH far"),
	SQL(3, "ATTACH '$D/far.db' AS far"),
	SQL(3, "SELECT changes(),total_changes(),last_insert_rowid()"),
	SQL_END,
};

static const char *const locks_questions[] = {
	"SELECT * FROM lt",
	"SELECT * FROM lu",
	"SELECT changes(),total_changes()",
	NULL,
};

static const struct run locks_runs[] = {
	{ 2, "INSERT INTO lm VALUES(?,?)" },
	{ 0, NULL },
};

const struct kind kind_locks = {
	.name = "locks",
	.one_in = 5,
	.weight = 1,
	.schema = locks_schema,
	.templates = locks_templates,
	.questions = locks_questions,
	.runs = locks_runs,
	.prepare = prepare,
};
