/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_keys.c - deferred keys over rows that were orphans before
 *
 * Rows that came in while the keys were off may be cured by a statement: SQLite's count of violations then goes below zero, which
 * autocommit forgets with the statement. In a batch it would hide as many violations of the statements behind it. Which programs can do
 * so depends on the shape of the keys: of several columns (ok, ow), to the own table (os, ox), over several tables (om, ot), of which a
 * parent has no more than one child (ow, o1), with an index or without.
 */
#include "tests/equivalence/kinds.h"

static const char *const schema[] = {
	"PRAGMA foreign_keys=OFF",
	"CREATE TABLE op(id INTEGER PRIMARY KEY,u UNIQUE ON CONFLICT REPLACE)",
	"CREATE TABLE oc(id INTEGER PRIMARY KEY,p REFERENCES op(id) DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE ou(id INTEGER PRIMARY KEY,p REFERENCES op(u) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE od(id INTEGER PRIMARY KEY,p DEFAULT 3 REFERENCES op(id) ON DELETE SET DEFAULT ON UPDATE SET NULL DEFERRABLE "
	"INITIALLY DEFERRED)",
	"CREATE TABLE oi(id INTEGER PRIMARY KEY,p REFERENCES op(id))",
	"CREATE TABLE os(id INTEGER PRIMARY KEY,up REFERENCES os(id) DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE ol(id INTEGER PRIMARY KEY,p)",
	"CREATE TRIGGER ol_child AFTER INSERT ON ol BEGIN INSERT INTO oc(p) VALUES(new.p); DELETE FROM op WHERE id=new.p+1; END",
	"CREATE TABLE om(id INTEGER PRIMARY KEY,p REFERENCES op(id) ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY "
	"DEFERRED)",
	"CREATE TABLE ot(id INTEGER PRIMARY KEY,p REFERENCES om(id) ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY "
	"DEFERRED,q REFERENCES op(u) DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE o1(id INTEGER PRIMARY KEY REFERENCES op(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,p INTEGER UNIQUE "
	"REFERENCES op(id) ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE oq(a,b,v,PRIMARY KEY(a,b)) WITHOUT ROWID",
	"CREATE TABLE ok(id INTEGER PRIMARY KEY,a,b,v,FOREIGN KEY(a,b) REFERENCES oq DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE ow(a,b,v,PRIMARY KEY(a,b),FOREIGN KEY(a,b) REFERENCES oq ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED) "
	"WITHOUT ROWID",
	"CREATE TABLE ox(a,b,c,d,PRIMARY KEY(a,b),FOREIGN KEY(c,d) REFERENCES ox ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED) "
	"WITHOUT ROWID",
	"CREATE INDEX oc_p ON oc(p)",
	"INSERT INTO op VALUES(1,1),(5,5),(7,7)",
	"INSERT INTO oc(p) VALUES(1),(5),(5),(2),(2),(2),(3),(4),(9),(10),(10),(11),(12),(13),(14),(20)",
	"INSERT INTO ou(p) VALUES(1),(5),(5),(2),(2),(2),(3),(4),(9),(10),(10),(11),(12),(13),(14),(20)",
	"INSERT INTO od(p) SELECT p FROM oc",
	"INSERT INTO oi(p) VALUES(6),(6),(8)",
	"INSERT INTO os VALUES(1,1),(2,7),(3,8),(4,9),(5,9)",
	"INSERT INTO om SELECT id,p FROM oc",
	"INSERT INTO ot SELECT id,p+id%3,p FROM oc",
	"INSERT INTO o1 VALUES(1,2),(2,3),(5,6),(9,7),(11,11),(14,1)",
	"INSERT INTO oq VALUES(1,1,0),(1,2,0),(3,3,0)",
	"INSERT INTO ok(a,b) VALUES(1,1),(1,2),(2,2),(2,2),(2,3),(2,3),(3,1),(3,1),(3,1)",
	"INSERT INTO ow VALUES(1,1,0),(2,2,0),(2,3,0),(3,1,0)",
	"INSERT INTO ox VALUES(1,1,1,1),(1,2,2,2),(1,3,2,2),(3,1,2,2),(3,2,3,3),(3,3,4,4)",
	"PRAGMA foreign_keys=ON",
	NULL,
};

static const struct template templates[] = {
	SQL(10, "UPDATE$O op SET ${id=$k|u=$k|id=id+1} WHERE ${id=$k|id<$k|u=$k}$R"),
	SQL(10, "INSERT$O INTO op VALUES$[($k,$k)]$R"),
	SQL(10, "DELETE FROM op WHERE ${id=$k|u=$k|id>$k}$R"),
	SQL(6, "INSERT$O INTO ${oc|ou|od|oi}(p) VALUES$[($k)]$R"),
	SQL(8, "UPDATE$O ${oc|ou|od|oi} SET p=$k WHERE ${p=$k|id<$k}"),
	SQL(8, "UPDATE$O ${oc|ou|od|om|o1|ot} SET ${p=$k|p=p+1|p=NULL|id=$k} WHERE id${=|=|<}$k$R"),
	SQL(6, "DELETE FROM ${oc|ou|od|oi|om|ot|o1} WHERE ${p=$k|id=$k}"),
	SQL(6, "INSERT$O INTO ${oc|om|o1} VALUES$[($k,$k)]$R"),
	SQL(3, "INSERT INTO ${oc|om} VALUES$[($k,$k)] ON CONFLICT(id) DO UPDATE SET p=${$k|p+1|excluded.p}"),
	SQL(3, "INSERT$O INTO ot VALUES$[($k,$k,$k)]"),
	SQL(3, "UPDATE$O ot SET ${q=$k|p=q,q=p} WHERE ${q=$k|id<$k}"),
	SQL(4, "INSERT$O INTO oq VALUES$[(${1|2|3},${1|2|3},$n)]"),
	SQL(4, "UPDATE$O oq SET ${a=a+1|b=1|b=3|v=$n} WHERE ${a=1|a=2|b=3|b<3}"),
	SQL(3, "DELETE FROM oq WHERE a=${1|2|3} AND b${=|<}${1|2|3}"),
	SQL(5, "INSERT$O INTO ${ok(a,b,v)|ow} VALUES$[(${1|2|3},${1|2|3},$n)]"),
	SQL(8, "UPDATE$O ${ok|ow} SET ${a=1|a=3|a=4|b=b+1|b=1|b=2|v=$n} WHERE ${a=1|a=2|a=3|b=1|b=2|b<3}"),
	SQL(3, "DELETE FROM ${ok|ow} WHERE a=${1|2|3} AND b${=|<}${1|2|3}"),
	SQL(4, "INSERT$O INTO ox VALUES$[(${1|2|3},${1|2|3},${1|2|3},${1|2|3})]"),
	SQL(6, "UPDATE$O ox SET ${a=2|b=b+1|c=1|c=2|c=4|d=1|d=3|d=d+1} WHERE ${a=1|a=2|a=3|c=2|c=3|d<3}"),
	SQL(3, "DELETE FROM ox WHERE ${a|c}=${1|2|3} AND ${b|d}${=|<}${1|2|3}"),
	SQL(4, "INSERT$O INTO os VALUES$[($k,$k)]"),
	SQL(4, "UPDATE$O os SET ${id=$k|up=$k} WHERE id=$k"),
	SQL(3, "DELETE FROM os WHERE ${id=$k|id>$k}"),
	SQL(3, "INSERT INTO ol(p) VALUES$[($k)]$R"),
	SQL(1, "PRAGMA foreign_keys=${OFF|ON|ON|ON}"),
	SQL(1, "PRAGMA defer_foreign_keys=$b"),
	SQL_AS(1, LOOSE, "PRAGMA foreign_key_check"),
	SQL_END,
};

static const struct run runs[] = {
	{ 2, "INSERT INTO op VALUES(?,?)" },
	{ 1, "INSERT INTO oc(p) VALUES(?)" },
	{ 1, "INSERT INTO ol(p) VALUES(?)" },
	{ 0, NULL },
};

const struct kind kind_orphans = {
	.name = "orphans",
	.one_in = 4,
	.weight = 1,
	.schema = schema,
	.templates = templates,
	.runs = runs,
};
