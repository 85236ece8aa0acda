/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_audit.c - triggers that log what SQLite tells of the statement
 *
 * changes(), total_changes() and last_insert_rowid() within a trigger tell of the statement before, then of the trigger's own
 * statements, one level deeper of those. Rows that run as one and statements that run a second time must not show there.
 *
 * Where total_changes() may differ (see the header of a kind that leaves it out) the triggers that log it are left out too.
 */
#include "tests/equivalence/kinds.h"

static const char *const schema[] = {
	"CREATE TABLE au(a INTEGER PRIMARY KEY,b UNIQUE)",
	"CREATE TABLE ap(a,b)",
	"CREATE TABLE al(id INTEGER PRIMARY KEY,what,c,r)",
	"CREATE TABLE am(what,n)",
	"CREATE VIEW av AS SELECT a,b FROM au",
	"CREATE TRIGGER au_before BEFORE INSERT ON au BEGIN INSERT INTO al(what,c,r) VALUES('before',changes(),"
	"last_insert_rowid()); END",
	"CREATE TRIGGER au_insert AFTER INSERT ON au BEGIN INSERT INTO al(what,c,r) VALUES('insert',changes(),"
	"last_insert_rowid()); UPDATE ap SET b=new.b WHERE a<new.a; INSERT INTO al(what,c,r) VALUES('deeper',changes(),"
	"last_insert_rowid()); END",
	"CREATE TRIGGER au_update AFTER UPDATE ON au BEGIN INSERT INTO al(what,c,r) VALUES('update',changes(),"
	"last_insert_rowid()); END",
	"CREATE TRIGGER au_delete AFTER DELETE ON au BEGIN DELETE FROM ap WHERE a>old.a; INSERT INTO al(what,c,r) "
	"VALUES('delete',changes(),last_insert_rowid()); END",
	"CREATE TRIGGER ap_update AFTER UPDATE ON ap BEGIN INSERT INTO al(what,c,r) VALUES('inner',changes(),"
	"last_insert_rowid()); END",
	"CREATE TRIGGER av_insert INSTEAD OF INSERT ON av BEGIN INSERT INTO al(what,c,r) VALUES('view',changes(),"
	"last_insert_rowid()); INSERT INTO au VALUES(new.a,new.b); INSERT INTO al(what,c,r) VALUES('behind',changes(),"
	"last_insert_rowid()); END",
	"CREATE TRIGGER al_total AFTER INSERT ON al WHEN new.what<>'inner' BEGIN INSERT INTO am VALUES('total',total_changes()); "
	"END",
	NULL,
};

static const struct template templates[] = {
	SQL(12, "INSERT$O INTO au VALUES$[($k,$k)]$R"),
	SQL(12, "INSERT$O INTO ap VALUES$[($k,$n)]$R"),
	SQL(4, "UPDATE$O ${au|ap} SET b=b+$n WHERE a<$k$R"),
	SQL(4, "DELETE FROM ${au|ap} WHERE a>$k$R"),
	SQL(1, "DELETE FROM ${al|am}"),
	SQL(4, "INSERT$O INTO av VALUES$[($k,$k)]"),
	SQL(2, "REPLACE INTO au SELECT a+1,b FROM au WHERE a<$k"),
	SQL(2, "INSERT INTO am VALUES('rowid',last_insert_rowid()),('changes',changes())"),
	SQL(1, "INSERT INTO am VALUES('total',total_changes())"),
	SQL(2, "SELECT changes(),last_insert_rowid()"),
	SQL(1, "SELECT total_changes()"),
	SQL(1, "DROP TRIGGER IF EXISTS au_before"),
	SQL(1, "CREATE TEMP TRIGGER IF NOT EXISTS ap_temp AFTER INSERT ON ap WHEN new.a=3 BEGIN INSERT INTO am "
	       "VALUES('temp',changes()); END"),
	SQL(1, "DROP TRIGGER IF EXISTS temp.ap_temp"),
	SQL(1, "PRAGMA recursive_triggers=$b"),
	SQL_END,
};

static const char *const questions[] = {
	"SELECT changes()",
	"SELECT total_changes()",
	NULL,
};

static const struct run runs[] = {
	{ 2, "INSERT INTO ap VALUES(?,?)" },
	{ 2, "INSERT INTO au VALUES(?,?)" },
	{ 2, "INSERT INTO am VALUES(?,?)" },
	{ 2, "INSERT INTO av VALUES(?,?)" },
	{ 0, NULL },
};

const struct kind kind_audit = {
	.name = "audit",
	.one_in = 4,
	.weight = 1,
	.schema = schema,
	.templates = templates,
	.runs = runs,
	.questions = questions,
};
