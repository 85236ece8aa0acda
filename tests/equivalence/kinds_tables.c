/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_tables.c - what a table's own definition decides
 *
 * Conflict clauses in the definition act without a word in the statement; types, generated columns and counted keys make rows
 * fail at places of their own; an upsert turns an insert into an update.
 */
#include "tests/equivalence/kinds.h"

static const char *const conflicts_schema[] = {
	"CREATE TABLE cr(a INTEGER PRIMARY KEY ON CONFLICT REPLACE,b UNIQUE ON CONFLICT IGNORE,"
	"c NOT NULL ON CONFLICT REPLACE DEFAULT 7)",
	"CREATE TABLE ci(a PRIMARY KEY ON CONFLICT IGNORE,b NOT NULL ON CONFLICT FAIL,c UNIQUE ON CONFLICT REPLACE) WITHOUT ROWID",
	"CREATE TABLE cf(a INTEGER PRIMARY KEY ON CONFLICT FAIL,b UNIQUE ON CONFLICT ROLLBACK,c NOT NULL ON CONFLICT ABORT "
	"CHECK(c<>3))",
	"CREATE TABLE cb(a INTEGER PRIMARY KEY ON CONFLICT ROLLBACK,b NOT NULL ON CONFLICT IGNORE,c,UNIQUE(b,c) ON CONFLICT FAIL)",
	"CREATE TABLE cp(a INTEGER PRIMARY KEY,b UNIQUE ON CONFLICT REPLACE)",
	"CREATE TABLE cc(a INTEGER PRIMARY KEY,p REFERENCES cp(a) ON DELETE SET NULL,q REFERENCES cp(b) DEFERRABLE INITIALLY "
	"DEFERRED)",
	"CREATE TABLE cl(a INTEGER PRIMARY KEY,what,n)",
	"CREATE TRIGGER cr_gone AFTER DELETE ON cr BEGIN INSERT INTO cl(what,n) VALUES('gone',old.a); END",
	"CREATE TRIGGER ci_new BEFORE INSERT ON ci WHEN new.b=9 BEGIN INSERT INTO cf VALUES(new.a,new.b,new.c); END",
	NULL,
};

static const struct template conflicts_templates[] = {
	SQL(20, "INSERT$O INTO ${cr|ci|cf|cb} VALUES$[($k,${$n|$n|$n|NULL},${$n|$n|$n|NULL})]$R"),
	SQL(8, "UPDATE$O ${cr|ci|cf|cb} SET ${a=a+$n|b=$n|c=$n|b=NULL|c=NULL|a=$k,b=$n} WHERE a<$k$R"),
	SQL(3, "DELETE FROM ${cr|ci|cf|cb} WHERE a<$k$R"),
	SQL(4, "INSERT$O INTO ${cr|ci|cf|cb} SELECT a+$n,b,c FROM ${cr|ci|cf|cb}"),
	SQL(8, "INSERT$O INTO cp VALUES$[($k,$k)]$R"),
	SQL(8, "INSERT$O INTO cc(p,q) VALUES$[($k,$k)]"),
	SQL(4, "UPDATE$O cp SET ${a=$k|b=$k} WHERE a<$k"),
	SQL(4, "DELETE FROM ${cp|cc} WHERE a=$k"),
	SQL(1, "PRAGMA recursive_triggers=$b"),
	SQL(1, "PRAGMA foreign_keys=$b"),
	SQL(2, "SELECT changes()"),
	SQL_END,
};

static const struct run conflicts_runs[] = {
	{ 3, "INSERT INTO cr VALUES(?,?,?)" },    { 3, "INSERT INTO ci VALUES(?,?,?)" },
	{ 3, "INSERT INTO cf VALUES(?,?,?)" },    { 3, "INSERT INTO cb VALUES(?,?,?)" },
	{ 1, "INSERT INTO cl(what) VALUES(?)" },  { 2, "INSERT INTO cp VALUES(?,?)" },
	{ 2, "INSERT INTO cc(p,q) VALUES(?,?)" }, { 0, NULL },
};

const struct kind kind_conflicts = {
	.name = "conflicts",
	.one_in = 5,
	.weight = 1,
	.schema = conflicts_schema,
	.templates = conflicts_templates,
	.runs = conflicts_runs,
};

static const char *const columns_schema[] = {
	"CREATE TABLE st(a INT PRIMARY KEY,b TEXT NOT NULL,c REAL,d ANY) STRICT",
	"CREATE TABLE sw(a TEXT,b INTEGER,c BLOB,PRIMARY KEY(b DESC,a)) STRICT,WITHOUT ROWID",
	"CREATE TABLE ge(a INTEGER PRIMARY KEY,b,c AS (a*2) STORED,d AS (b||'x') UNIQUE,e AS (abs(b)) STORED CHECK(e<20))",
	"CREATE TABLE ai(a INTEGER PRIMARY KEY AUTOINCREMENT,b UNIQUE)",
	"CREATE TABLE af(a INTEGER PRIMARY KEY,b)",
	"CREATE UNIQUE INDEX af_some ON af(b) WHERE a%2",
	"CREATE INDEX ge_abs ON ge(abs(b))",
	NULL,
};

static const struct template columns_templates[] = {
	SQL(10, "INSERT$O INTO st VALUES$[($k,$s,$n,$v)]$R"),
	SQL(4, "INSERT$O INTO st VALUES$[($v,$v,$v,$v)]$R"),
	SQL(4, "UPDATE$O st SET ${a=a+$n|b=$v|c=$v|a=$v,d=$v} WHERE a<$k$R"),
	SQL(8, "INSERT$O INTO sw VALUES$[($s,${$k|$k|$v},x'01')]$R"),
	SQL(3, "UPDATE$O sw SET ${a=$s|b=b+1|b=$v} WHERE b<$k"),
	SQL(10, "INSERT$O INTO ge(a,b) VALUES$[($k,${$n|$k|$v})]$R"),
	SQL(4, "UPDATE$O ge SET ${a=a+1|b=$k|b=-9223372036854775807-1} WHERE a<$k$R"),
	SQL(1, "INSERT INTO ge(c) VALUES(1)"),
	SQL(10, "INSERT$O INTO ai(b) VALUES$[($v)]$R"),
	SQL(3, "INSERT$O INTO ai VALUES$[(${$k|NULL|NULL},$k)]$R"),
	SQL(1, "INSERT INTO ai VALUES(9223372036854775807,$k)"),
	SQL(2, "DELETE FROM ${ai|af} WHERE a>100"),
	SQL(2, "UPDATE sqlite_sequence SET seq=${$k|0|9223372036854775807|'x'} WHERE name='ai'"),
	SQL(1, "DELETE FROM sqlite_sequence"),
	SQL(6, "INSERT$O INTO af VALUES$[(${$k|NULL},$k)]$R"),
	SQL(3, "UPDATE$O af SET a=a+1 WHERE a<$k"),
	SQL(4, "DELETE FROM ${st|ge|ai|af} WHERE a<$k$R"),
	SQL(2, "SELECT last_insert_rowid(),changes()"),
	SQL_END,
};

static const struct run columns_runs[] = {
	{ 4, "INSERT INTO st VALUES(?,?,?,?)" }, { 2, "INSERT INTO ge(a,b) VALUES(?,?)" }, { 1, "INSERT INTO ai(b) VALUES(?)" },
	{ 2, "INSERT INTO af VALUES(?,?)" },     { 2, "INSERT INTO sw VALUES('t',?,?)" },  { 0, NULL },
};

const struct kind kind_columns = {
	.name = "columns",
	.one_in = 5,
	.weight = 1,
	.schema = columns_schema,
	.templates = columns_templates,
	.runs = columns_runs,
};

static const char *const upserts_schema[] = {
	"CREATE TABLE up(a INTEGER PRIMARY KEY,b UNIQUE,c UNIQUE,n DEFAULT 0,CHECK(n<30))",
	"CREATE TABLE uw(a,b,n NOT NULL DEFAULT 1,PRIMARY KEY(a,b)) WITHOUT ROWID",
	"CREATE TABLE ul(a INTEGER PRIMARY KEY,what,n)",
	"CREATE TRIGGER up_insert AFTER INSERT ON up BEGIN INSERT INTO ul(what,n) VALUES('new',new.a); END",
	"CREATE TRIGGER up_update AFTER UPDATE ON up BEGIN SELECT CASE new.n WHEN 9 THEN RAISE(FAIL,'nine') WHEN 11 THEN "
	"RAISE(IGNORE) WHEN 13 THEN RAISE(ROLLBACK,'thirteen') END; INSERT INTO ul(what,n) VALUES('changed',new.a); END",
	NULL,
};

static const struct template upserts_templates[] = {
	SQL(10,
	    "INSERT$O INTO up(a,b,c) VALUES$[($k,$k,$k)] ON CONFLICT ${DO NOTHING|(a) DO UPDATE SET n=n+1|(b) DO UPDATE SET "
	    "n=n+1,c=excluded.c|(c) DO UPDATE SET b=excluded.b WHERE n<5|(a) DO NOTHING}$R"),
	SQL(6,
	    "INSERT INTO up(a,b,c) VALUES$[($k,$k,$k)] ON CONFLICT(a) DO UPDATE SET n=n+1 ON CONFLICT(b) DO NOTHING ON CONFLICT "
	    "DO UPDATE SET n=n+2$R"),
	SQL(4, "INSERT INTO up(a,b,c) SELECT a+$n,b,c FROM up WHERE a<$k ON CONFLICT DO UPDATE SET c=c+$n$R"),
	SQL(4, "INSERT INTO up(a,b,c) VALUES$[($k,$k,$k)] ON CONFLICT(a) DO UPDATE SET a=excluded.a+1 RETURNING a,n,(SELECT "
	       "count(*) FROM ul)"),
	SQL(6, "INSERT INTO uw(a,b) VALUES$[($k,$n)] ON CONFLICT(a,b) DO UPDATE SET n=${n+1|NULL|excluded.n+n} RETURNING *"),
	SQL(4, "UPDATE$O up SET n=uw.n,c=uw.b FROM uw WHERE up.a=uw.a RETURNING up.a,n"),
	SQL(3, "DELETE FROM ${up|uw} WHERE a<$k RETURNING *,changes(),last_insert_rowid()"),
	SQL(3, "DELETE FROM ul WHERE a%$n=0 RETURNING max(a,n)"),
	SQL(2, "INSERT INTO up(a,b,c) VALUES($k,$k,$k) ON CONFLICT(n) DO NOTHING"),
	SQL(2, "SELECT changes(),last_insert_rowid()"),
	SQL_END,
};

static const struct run upserts_runs[] = {
	{ 3, "INSERT INTO up(a,b,c) VALUES(?,?,?)" },
	{ 2, "INSERT INTO uw(a,b) VALUES(?,?)" },
	{ 3, "INSERT INTO up(a,b,c) VALUES(?,?,?) ON CONFLICT DO UPDATE SET n=n+1" },
	{ 0, NULL },
};

const struct kind kind_upserts = {
	.name = "upserts",
	.one_in = 5,
	.weight = 1,
	.schema = upserts_schema,
	.templates = upserts_templates,
	.runs = upserts_runs,
};
