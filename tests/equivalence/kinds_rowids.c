/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_rowids.c - rowids of every sort, and who hears of them
 *
 * Rowids that are given, that count on, that come to their end, and none at all; and rows that fail in the middle of a run. From
 * 2^63 - 1 on SQLite draws rowids at random, of at most 2^62: the table rh takes none of these, so that both sides do the same. In two
 * kinds the program has an update hook of its own, from the start or from some statement on.
 */
#include <stdlib.h>

#include "tests/equivalence/kinds.h"

static const char *const schema[] = {
	"CREATE TABLE rp(id INTEGER PRIMARY KEY,v UNIQUE)",
	"CREATE TABLE rn(v,w UNIQUE,x DEFAULT 7)",
	"CREATE TABLE ra(id INTEGER PRIMARY KEY AUTOINCREMENT,v CHECK(v IS NOT 3))",
	"CREATE TABLE rw(id PRIMARY KEY,v) WITHOUT ROWID",
	"CREATE TABLE rd(id INTEGER PRIMARY KEY DESC,v)",
	"CREATE TABLE rg(without INTEGER PRIMARY KEY,v,g AS (v+1) UNIQUE)",
	"CREATE TABLE rs(id INT,v TEXT NOT NULL) STRICT",
	NULL,
};

static const struct template templates[] = {
	SQL(4, "INSERT$O INTO ${rp|rd|rw|rg(without,v)} VALUES$[($k,$v)]$R"),
	SQL(2, "INSERT$O INTO ${rn(v,w)|ra|rs} VALUES($k,$s)$R"),
	SQL(2, "DELETE FROM ${rp|rn|ra|rd|rg} WHERE rowid>$k$R"),
	SQL(1, "UPDATE$O rp SET id=id+$n WHERE id<$k"),
	SQL(3, "SELECT changes(),total_changes(),last_insert_rowid()"),
	SQL(1, "SELECT * FROM sqlite_sequence"),
	SQL(1, "${CREATE|DROP} INDEX rn_v${ ON rn(v)|}"),
	SQL(1, "ALTER TABLE rn ADD COLUMN x$n"),
	SQL(1, "PRAGMA count_changes=${0|0|0|0|1}"),
	SQL_END,
};

static const struct run runs[] = {
	{ 2, "INSERT INTO rp VALUES(?,?)" },
	{ 1, "INSERT INTO rp(id) VALUES(?)" },
	{ 1, "INSERT INTO rn(w) VALUES(?)" },
	{ 2, "INSERT INTO rn(w,v) VALUES(?,?)" },
	{ 2, "INSERT INTO ra VALUES(?,?)" },
	{ 1, "INSERT INTO ra(v) VALUES(?)" },
	{ 2, "INSERT INTO rw VALUES(?,?)" },
	{ 2, "INSERT INTO rd VALUES(?,?)" },
	{ 2, "INSERT INTO rg(without,v) VALUES(?,?)" },
	{ 2, "INSERT INTO rs VALUES(?,?)" },
	{ 0, NULL },
};

const struct kind kind_rowids = {
	.name = "rowids",
	.one_in = 3,
	.weight = 1,
	.schema = schema,
	.templates = templates,
	.runs = runs,
};

/* ---- the last ones there are ------------------------------------------------------------------------------------- */

static const char *const ends_schema[] = {
	"CREATE TABLE re(id INTEGER PRIMARY KEY AUTOINCREMENT,v)",
	"CREATE TABLE rh(id INTEGER PRIMARY KEY CHECK(id>9223372036854770000),v)",
	"INSERT INTO re VALUES(9223372036854775757,0)",
	NULL,
};

static const struct template ends_templates[] = {
	SQL(2, "INSERT$O INTO ${rh|re} VALUES(NULL,$v)$R"),
	SQL(1, "DELETE FROM rh WHERE id>9223372036854775807-$k"),
	SQL(1, "DELETE FROM rh WHERE v IS NOT $v"),
	SQL(1, "SELECT * FROM sqlite_sequence"),
	SQL_END,
};

static const struct run ends_runs[] = {
	{ 2, "INSERT INTO rh VALUES(?,?)" },
	{ 1, "INSERT INTO rh(id) VALUES(?)" },
	{ 1, "INSERT INTO re VALUES(NULL,?)" },
	{ 0, NULL },
};

const struct kind kind_ends = {
	.name = "ends",
	.one_in = 6,
	.weight = 1,
	.schema = ends_schema,
	.templates = ends_templates,
	.runs = ends_runs,
	.without = "ignore_check_constraints",
	.ends = true,
};

/* ---- a hook of the program's own --------------------------------------------------------------------------------- */

#define HEARD_MAX 4096

/* Whether a row of this rowid, of any table, was ever told to the hook; what the hook cannot hold counts as told. */
struct hearing {
	bool rows[HEARD_MAX];
};

static void hear(void *arg, int operation, const char *database, const char *table, sqlite3_int64 rowid)
{
	struct hearing *hearing = arg;

	(void)operation;
	(void)database;
	(void)table;
	if (rowid >= 0 && rowid < HEARD_MAX)
		hearing->rows[rowid] = true;
}

static void was_heard(sqlite3_context *context, int count, sqlite3_value **values)
{
	const struct hearing *hearing = sqlite3_user_data(context);
	int64_t rowid = sqlite3_value_int64(values[0]);

	(void)count;
	sqlite3_result_int(context, rowid < 0 || rowid >= HEARD_MAX || hearing->rows[rowid]);
}

/* From here on it hears. */
static void take_hook(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_update_hook(sqlite3_context_db_handle(context), hear, sqlite3_user_data(context));
}

static void prepare_taking(sqlite3 *connection)
{
	struct hearing *hearing;

	/* Another kind of the round may have done so. */
	if (sqlite3_exec(connection, "SELECT was_heard(0)", NULL, NULL, NULL) == SQLITE_OK)
		return;
	hearing = calloc(1, sizeof *hearing);
	sqlite3_create_function_v2(connection, "was_heard", 1, SQLITE_UTF8, hearing, was_heard, NULL, NULL, free);
	sqlite3_create_function_v2(connection, "take_hook", 0, SQLITE_UTF8, hearing, take_hook, NULL, NULL, NULL);
}

static void prepare_hearing(sqlite3 *connection)
{
	prepare_taking(connection);
	sqlite3_exec(connection, "SELECT take_hook()", NULL, NULL, NULL);
}

static const char *const heard_schema[] = {
	"CREATE TABLE hp(id INTEGER PRIMARY KEY,v UNIQUE)",
	"CREATE TABLE ha(id INTEGER PRIMARY KEY AUTOINCREMENT,v)",
	NULL,
};

static const struct template heard_templates[] = {
	SQL(3, "INSERT$O INTO ${hp|ha} VALUES$[(NULL,$v)]"),
	SQL(1, "DELETE FROM ${hp|ha} WHERE id<$k"),
	SQL(1, "SELECT count(*) FROM hp WHERE NOT was_heard(id)"),
	SQL_END,
};

static const struct run heard_runs[] = {
	{ 2, "INSERT INTO hp VALUES(?,?)" },
	{ 1, "INSERT INTO hp(v) VALUES(?)" },
	{ 1, "INSERT INTO ha(v) VALUES(?)" },
	{ 0, NULL },
};

static const char *const heard_questions[] = {
	"SELECT * FROM hp WHERE NOT was_heard(id)",
	"SELECT * FROM ha WHERE NOT was_heard(id)",
	NULL,
};

const struct kind kind_heard = {
	.name = "heard",
	.one_in = 8,
	.weight = 1,
	.schema = heard_schema,
	.templates = heard_templates,
	.runs = heard_runs,
	.questions = heard_questions,
	.prepare = prepare_hearing,
};

/* ---- one that comes later ---------------------------------------------------------------------------------------- */

static const char *const taken_schema[] = {
	"CREATE TABLE kt(id INTEGER PRIMARY KEY,v)",
	NULL,
};

/* When the engine's has been heard before. */
static const struct template taken_templates[] = {
	SQL(12, "INSERT$O INTO kt VALUES$[(NULL,$v)]$R"),
	SQL(1, "SELECT take_hook()"),
	SQL_END,
};

static const struct run taken_runs[] = {
	{ 2, "INSERT INTO kt VALUES(?,?)" },
	{ 1, "INSERT INTO kt(v) VALUES(?)" },
	{ 0, NULL },
};

const struct kind kind_taken = {
	.name = "taken",
	.one_in = 8,
	.weight = 1,
	.schema = taken_schema,
	.templates = taken_templates,
	.runs = taken_runs,
	.prepare = prepare_taking,
};
