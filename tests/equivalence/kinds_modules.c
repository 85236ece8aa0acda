/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_modules.c - virtual tables: full-text search and R*Tree
 *
 * They keep tables of their own, and write to them when they like: FTS holds its index back to the end of the transaction. How its
 * pages lie and what total_changes() counts may therefore differ (docs/guarantees.md says so); what is found may not.
 *
 * Triggers may use them where the schema is trusted.
 */
#include "tests/equivalence/kinds.h"

#define WORDS "'${apple|pear|plum|apple pear|pear plum plum|quince apple|}'"

static const char *const fts4_schema[] = {
	"CREATE VIRTUAL TABLE f4 USING fts4(a,b)",
	"CREATE TABLE f4c(id INTEGER PRIMARY KEY,a,b UNIQUE)",
	"CREATE VIRTUAL TABLE f4x USING fts4(content=\"f4c\",a)",
	"CREATE TRIGGER f4c_before BEFORE DELETE ON f4c BEGIN DELETE FROM f4x WHERE docid=old.id; END",
	"CREATE TRIGGER f4c_after AFTER INSERT ON f4c BEGIN INSERT INTO f4x(docid,a) VALUES(new.id,new.a); END",
	"CREATE TABLE f4l(n)",
	NULL,
};

static const struct template fts4_templates[] = {
	SQL(8, "INSERT$O INTO f4(docid,a,b) VALUES$[(${$k|$k|NULL}," WORDS "," WORDS ")]"),
	SQL(3, "UPDATE f4 SET a=" WORDS " WHERE docid${=|<}$k"),
	SQL(3, "DELETE FROM f4 WHERE docid${=|>}$k"),
	SQL(1, "DELETE FROM f4"),
	SQL(4, "SELECT docid,a FROM f4 WHERE f4 MATCH '${apple|pear|plum|quince}' ORDER BY docid"),
	SQL(6, "INSERT$O INTO f4c(a,b) VALUES$[(" WORDS ",$k)]$R"),
	SQL(3, "DELETE FROM f4c WHERE b=$k"),
	SQL(3, "SELECT docid FROM f4x WHERE f4x MATCH '${apple|pear|plum}' ORDER BY docid"),
	SQL(1, "INSERT INTO f4(f4) VALUES('${optimize|rebuild|integrity-check|merge=2,2|nonsense}')"),
	SQL(1, "INSERT INTO f4x(f4x) VALUES('${optimize|rebuild}')"),
	SQL(3, "SELECT changes()"),
	SQL(3, "INSERT INTO f4l VALUES(changes())"),
	SQL(2, "SELECT last_insert_rowid()"),
	SQL(2, "INSERT INTO f4l VALUES(last_insert_rowid())"),
	SQL(1, "DROP TABLE IF EXISTS f4"),
	SQL(2, "CREATE VIRTUAL TABLE IF NOT EXISTS f4 USING fts4(a,b)"),
	SQL(1, "ALTER TABLE f4 RENAME TO f4y"),
	SQL(1, "DROP TABLE IF EXISTS f4y"),
	SQL_END,
};

static const char *const fts4_questions[] = {
	"SELECT docid,* FROM f4 WHERE f4 MATCH 'apple' ORDER BY docid",
	"SELECT docid,* FROM f4x WHERE f4x MATCH 'pear' ORDER BY docid",
	"INSERT INTO f4(f4) VALUES('integrity-check')",
	"SELECT changes()",
	NULL,
};

static const struct run fts4_runs[] = {
	{ 2, "INSERT INTO f4(a,b) VALUES(?,?)" },
	{ 2, "INSERT INTO f4c(a,b) VALUES(?,?)" },
	{ 1, "INSERT INTO f4l VALUES(?)" },
	{ 0, NULL },
};

const struct kind kind_fts4 = {
	.name = "fts4",
	.one_in = 8,
	.weight = 1,
	.needs = "ENABLE_FTS4",
	.without = "total_changes",
	.loose_pages = true,
	.pragma = PENSTOCK_PRAGMA("trusted_schema", "1"),
	.schema = fts4_schema,
	.templates = fts4_templates,
	.questions = fts4_questions,
	.runs = fts4_runs,
};

static const char *const fts5_schema[] = {
	"CREATE VIRTUAL TABLE f5 USING fts5(a,b)",
	"CREATE TABLE f5c(id INTEGER PRIMARY KEY,a,b UNIQUE)",
	"CREATE VIRTUAL TABLE f5x USING fts5(a,content='f5c',content_rowid='id')",
	"CREATE TRIGGER f5c_insert AFTER INSERT ON f5c BEGIN INSERT INTO f5x(rowid,a) VALUES(new.id,new.a); END",
	"CREATE TRIGGER f5c_delete AFTER DELETE ON f5c BEGIN INSERT INTO f5x(f5x,rowid,a) VALUES('delete',old.id,old.a); END",
	"CREATE TRIGGER f5c_update AFTER UPDATE ON f5c BEGIN INSERT INTO f5x(f5x,rowid,a) VALUES('delete',old.id,old.a); INSERT "
	"INTO f5x(rowid,a) VALUES(new.id,new.a); END",
	"CREATE TABLE f5l(n)",
	NULL,
};

static const struct template fts5_templates[] = {
	SQL(8, "INSERT$O INTO f5(rowid,a,b) VALUES$[(${$k|$k|NULL}," WORDS "," WORDS ")]"),
	SQL(3, "UPDATE f5 SET a=" WORDS " WHERE rowid${=|<}$k"),
	SQL(3, "DELETE FROM f5 WHERE rowid${=|>}$k"),
	SQL(1, "DELETE FROM f5"),
	SQL(4, "SELECT rowid,a FROM f5 WHERE f5 MATCH '${apple|pear|plum|quince|AND nonsense}' ORDER BY rowid"),
	SQL(8, "INSERT$O INTO f5c(a,b) VALUES$[(" WORDS ",$k)]$R"),
	SQL(3, "UPDATE$O f5c SET a=" WORDS ",b=b+$n WHERE b${=|<}$k"),
	SQL(3, "DELETE FROM f5c WHERE b=$k"),
	SQL(3, "SELECT rowid FROM f5x WHERE f5x MATCH '${apple|pear|plum}' ORDER BY rowid"),
	SQL(1, "INSERT INTO f5(f5) VALUES('${optimize|rebuild|integrity-check|delete-all|nonsense}')"),
	SQL(1, "INSERT INTO f5x(f5x) VALUES('${optimize|rebuild|integrity-check}')"),
	SQL(1, "INSERT INTO f5(f5,rank) VALUES('${pgsz|merge|automerge|usermerge}',${64|4|2})"),
	SQL(3, "SELECT changes()"),
	SQL(3, "INSERT INTO f5l VALUES(changes())"),
	SQL(2, "SELECT last_insert_rowid()"),
	SQL(2, "INSERT INTO f5l VALUES(last_insert_rowid())"),
	SQL(1, "DROP TABLE IF EXISTS f5"),
	SQL(2, "CREATE VIRTUAL TABLE IF NOT EXISTS f5 USING fts5(a,b)"),
	SQL_END,
};

static const char *const fts5_questions[] = {
	"SELECT rowid,* FROM f5 WHERE f5 MATCH 'apple' ORDER BY rowid",
	"SELECT rowid,* FROM f5x WHERE f5x MATCH 'pear' ORDER BY rowid",
	"INSERT INTO f5(f5) VALUES('integrity-check')",
	"INSERT INTO f5x(f5x) VALUES('integrity-check')",
	"SELECT changes()",
	NULL,
};

static const struct run fts5_runs[] = {
	{ 2, "INSERT INTO f5(a,b) VALUES(?,?)" },
	{ 2, "INSERT INTO f5c(a,b) VALUES(?,?)" },
	{ 1, "INSERT INTO f5l VALUES(?)" },
	{ 0, NULL },
};

const struct kind kind_fts5 = {
	.name = "fts5",
	.one_in = 8,
	.weight = 1,
	.needs = "ENABLE_FTS5",
	.without = "total_changes",
	.loose_pages = true,
	.pragma = PENSTOCK_PRAGMA("trusted_schema", "1"),
	.schema = fts5_schema,
	.templates = fts5_templates,
	.questions = fts5_questions,
	.runs = fts5_runs,
};

/* What is temporary hides what is not, and another temp_store drops all of it. */
static const char *const temporary_schema[] = {
	"CREATE TABLE tt(a)",
	"CREATE TABLE tl(n)",
	NULL,
};

static const struct template temporary_templates[] = {
	SQL(4, "CREATE VIRTUAL TABLE IF NOT EXISTS ${tf|temp.tf|temp.tt} USING fts4(a)"),
	SQL(3, "CREATE TEMP TABLE IF NOT EXISTS ${tf|tt}(a)"),
	SQL(4, "DROP TABLE IF EXISTS ${tf|temp.tf|temp.tt}"),
	SQL(4, "PRAGMA temp_store=${0|1|2}"),
	SQL(16, "INSERT INTO ${tf|tt} VALUES('${apple|pear}')"),
	SQL(2, "INSERT$O INTO ${tf|tt} VALUES$[(" WORDS ")]"),
	SQL(2, "DELETE FROM ${tf|tt}"),
	SQL(2, "SELECT count(*) FROM ${tf|tt}"),
	SQL(6, "SELECT changes()"),
	SQL(6, "INSERT INTO tl VALUES(changes())"),
	SQL(2, "SELECT last_insert_rowid()"),
	SQL(2, "INSERT INTO tl VALUES(last_insert_rowid())"),
	SQL_END,
};

static const char *const temporary_questions[] = {
	"SELECT a FROM tf ORDER BY a",
	"SELECT a FROM tt ORDER BY a",
	"SELECT changes()",
	NULL,
};

static const struct run temporary_runs[] = {
	{ 1, "INSERT INTO tt VALUES(?)" },
	{ 1, "INSERT INTO tl VALUES(?)" },
	{ 0, NULL },
};

const struct kind kind_temporary = {
	.name = "temporary",
	.one_in = 8,
	.weight = 1,
	.needs = "ENABLE_FTS4",
	.without = "total_changes",
	.loose_pages = true,
	.schema = temporary_schema,
	.templates = temporary_templates,
	.questions = temporary_questions,
	.runs = temporary_runs,
};

static const char *const rtree_schema[] = {
	"CREATE VIRTUAL TABLE rt USING rtree(id,x0,x1,y0,y1,+note)",
	"CREATE TABLE rc(id INTEGER PRIMARY KEY,x,w CHECK(w<20))",
	"CREATE VIRTUAL TABLE rx USING rtree_i32(id,x0,x1)",
	"CREATE TRIGGER rc_insert AFTER INSERT ON rc BEGIN INSERT INTO rx VALUES(new.id,new.x,new.x+new.w); END",
	"CREATE TRIGGER rc_delete AFTER DELETE ON rc BEGIN DELETE FROM rx WHERE id=old.id; END",
	"CREATE TABLE rl(n)",
	NULL,
};

static const struct template rtree_templates[] = {
	SQL(10, "INSERT$O INTO rt VALUES$[(${$k|$k|NULL},$n,$n,$n,$n,$v)]"),
	SQL(4, "UPDATE$O rt SET ${x1=x1+$n|x0=$n|id=id+1|note=$v} WHERE id<$k"),
	SQL(3, "DELETE FROM rt WHERE id${=|>}$k"),
	SQL(3, "SELECT id,x0,note FROM rt WHERE x0>=$n AND x1<=9 ORDER BY id"),
	SQL(8, "INSERT$O INTO rc(x,w) VALUES$[($k,${$n|$k|-$n})]$R"),
	SQL(3, "DELETE FROM rc WHERE x=$k"),
	SQL(2, "SELECT id,x0,x1 FROM rx WHERE x0<$k ORDER BY id"),
	SQL(2, "SELECT changes(),last_insert_rowid()"),
	SQL(2, "INSERT INTO rl VALUES(changes()),(last_insert_rowid())"),
	SQL(1, "SELECT total_changes()"),
	SQL(1, "DROP TABLE IF EXISTS rt"),
	SQL(2, "CREATE VIRTUAL TABLE IF NOT EXISTS rt USING rtree(id,x0,x1,y0,y1,+note)"),
	SQL(1, "SELECT rtreecheck('rt')"),
	SQL_END,
};

static const struct run rtree_runs[] = {
	{ 1, "INSERT INTO rt VALUES(?,1,2,3,4,'n')" },
	{ 2, "INSERT INTO rc(x,w) VALUES(?,?)" },
	{ 1, "INSERT INTO rl VALUES(?)" },
	{ 0, NULL },
};

const struct kind kind_rtree = {
	.name = "rtree",
	.one_in = 8,
	.weight = 1,
	.needs = "ENABLE_RTREE",
	.pragma = PENSTOCK_PRAGMA("trusted_schema", "1"),
	.schema = rtree_schema,
	.templates = rtree_templates,
	.runs = rtree_runs,
};
