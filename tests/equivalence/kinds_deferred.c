/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_deferred.c - statements that fail at their commit
 *
 * A key that is deferred, by its table or by PRAGMA defer_foreign_keys, is looked at when the statement is over: behind its triggers,
 * its rows (RETURNING) and what OR FAIL, OR IGNORE and RAISE have made of it. What its outcome then holds (rowid, changes, code) is
 * not what the same statement holds that fails as it runs. The pragma is for one statement, and ends with whatever reads: so the
 * schema changes often, which makes the engine look.
 */
#include "tests/equivalence/kinds.h"

static const char *const schema[] = {
	"PRAGMA foreign_keys=ON",
	"CREATE TABLE dp(id INTEGER PRIMARY KEY,u UNIQUE)",
	"CREATE TABLE dc(id INTEGER PRIMARY KEY,p REFERENCES dp(id) DEFERRABLE INITIALLY DEFERRED,x UNIQUE CHECK(x<>5))",
	"CREATE TABLE di(id INTEGER PRIMARY KEY,p REFERENCES dp(id),x UNIQUE ON CONFLICT IGNORE)",
	"CREATE TABLE dw(a,b,p REFERENCES dp(u) DEFERRABLE INITIALLY DEFERRED,PRIMARY KEY(a,b)) WITHOUT ROWID",
	"CREATE TABLE da(id INTEGER PRIMARY KEY AUTOINCREMENT,p REFERENCES dp(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,"
	"x UNIQUE ON CONFLICT FAIL)",
	"CREATE TABLE dr(id INTEGER PRIMARY KEY,p REFERENCES dp(id) ON DELETE RESTRICT ON UPDATE RESTRICT)",
	"CREATE TABLE dt(id INTEGER PRIMARY KEY,p)",
	"CREATE TABLE dl(what,n)",
	"CREATE VIEW dv AS SELECT id,p FROM dc",
	"CREATE TRIGGER dt_child AFTER INSERT ON dt BEGIN INSERT INTO dc(p) VALUES(new.p); SELECT CASE new.id WHEN 3 THEN "
	"RAISE(FAIL,'three') WHEN 4 THEN RAISE(IGNORE) WHEN 5 THEN RAISE(ABORT,'five') WHEN 6 THEN RAISE(ROLLBACK,'six') END; "
	"INSERT INTO dl VALUES('dt',new.id); END",
	"CREATE TRIGGER dc_cure AFTER INSERT ON dc WHEN new.p%4=3 BEGIN INSERT OR IGNORE INTO dp VALUES(new.p,new.p); END",
	"CREATE TRIGGER dp_back AFTER DELETE ON dp WHEN old.id<9 BEGIN INSERT INTO dp VALUES(old.id,old.u); END",
	"CREATE TRIGGER dv_insert INSTEAD OF INSERT ON dv BEGIN INSERT INTO di(p) VALUES(new.p); END",
	"INSERT INTO dp VALUES(1,1),(2,2),(3,3),(4,4),(5,5),(6,6),(8,8),(12,12),(14,14)",
	"INSERT INTO dr(p) VALUES(1),(2),(3),(12)",
	NULL,
};

static const struct template templates[] = {
	SQL(16, "INSERT$O INTO dc VALUES$[($k,$k,$k)]$R"),
	SQL(8, "INSERT$O INTO dc(p,x) VALUES$[($k,$k)]$R"),
	SQL(12, "INSERT$O INTO di VALUES$[($k,$k,$k)]$R"),
	SQL(8, "INSERT$O INTO di(p,x) VALUES$[($k,$n)]$R"),
	SQL(8, "INSERT$O INTO dw VALUES$[($n,$n,$k)]$R"),
	SQL(8, "INSERT$O INTO da(p,x) VALUES$[($k,$k)]$R"),
	SQL(8, "INSERT$O INTO dt VALUES$[(${NULL|$k},$k)]$R"),
	SQL(4, "INSERT$O INTO dv VALUES$[($k,$k)]$R"),
	SQL(4, "INSERT INTO dc VALUES$[($k,$k,$k)] ON CONFLICT(id) DO UPDATE SET p=${p+1|excluded.p}$R"),
	SQL(4, "INSERT$O INTO ${dc|di}(p,x) SELECT id+$n,fail_with(id%$n) FROM dp$R"),
	SQL(8, "UPDATE$O ${dc|di|dw|da} SET p=${$k|p+1|NULL} WHERE p${=|<}$k$R"),
	SQL(4, "UPDATE$O ${dc|di|da} SET id=id+$n,x=$k WHERE id${=|<}$k$R"),
	SQL(8, "UPDATE$O dp SET ${id=$k|id=id+20|u=u+1} WHERE id${=|<}$k$R"),
	SQL(10, "DELETE FROM dp WHERE id${=|<|>}$k$R"),
	SQL(6, "INSERT$O INTO dp VALUES$[($k,$k)]$R"),
	SQL(4, "DELETE FROM ${dc|di|da} WHERE id${=|<}$k$R"),
	SQL(2, "DELETE FROM dr WHERE p=$k"),
	SQL(24, "PRAGMA defer_foreign_keys=ON"),
	SQL(1, "PRAGMA defer_foreign_keys=OFF"),
	SQL(1, "PRAGMA ${defer_foreign_keys|foreign_keys|user_version|table_info(dc)}"),
	SQL(3, "DROP INDEX IF EXISTS dx"),
	SQL(3, "CREATE INDEX IF NOT EXISTS dx ON ${dc|di|da}(p)"),
	SQL(2, "DROP TABLE IF EXISTS dz"),
	SQL(2, "CREATE TABLE IF NOT EXISTS dz(a)"),
	SQL(2, "SELECT changes(),last_insert_rowid()"),
	SQL(1, "SELECT total_changes()"),
	SQL_END,
};

static const struct run runs[] = {
	{ 2, "INSERT INTO dc(p,x) VALUES(?,?)" },
	{ 2, "INSERT INTO di(p,x) VALUES(?,?)" },
	{ 2, "INSERT OR FAIL INTO da(p,x) VALUES(?,?)" },
	{ 2, "INSERT INTO dt(p,id) VALUES(?,?)" },
	{ 0, NULL },
};

const struct kind kind_deferred = {
	.name = "deferred",
	.one_in = 4,
	.weight = 1,
	.schema = schema,
	.templates = templates,
	.runs = runs,
};
