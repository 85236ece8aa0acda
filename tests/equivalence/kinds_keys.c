/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_keys.c - deferred keys over rows that were orphans before
 *
 * Rows that came in while the keys were off may be cured by a statement: SQLite's count of violations then goes below zero, which
 * autocommit forgets with the statement. In a batch it would hide as many violations of the statements behind it.
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
	"INSERT INTO op VALUES(1,1),(5,5),(7,7)",
	"INSERT INTO oc(p) VALUES(1),(5),(5),(2),(2),(2),(3),(4),(9),(10),(10),(11),(12),(13),(14),(20)",
	"INSERT INTO ou(p) VALUES(1),(5),(5),(2),(2),(2),(3),(4),(9),(10),(10),(11),(12),(13),(14),(20)",
	"INSERT INTO od(p) SELECT p FROM oc",
	"INSERT INTO oi(p) VALUES(6),(6),(8)",
	"INSERT INTO os VALUES(1,1),(2,7),(3,8),(4,9),(5,9)",
	"PRAGMA foreign_keys=ON",
	NULL,
};

static const struct template templates[] = {
	SQL(10, "UPDATE$O op SET ${id=$k|u=$k|id=id+1} WHERE ${id=$k|id<$k|u=$k}$R"),
	SQL(10, "INSERT$O INTO op VALUES$[($k,$k)]$R"),
	SQL(10, "DELETE FROM op WHERE ${id=$k|u=$k|id>$k}$R"),
	SQL(6, "INSERT$O INTO ${oc|ou|od|oi}(p) VALUES$[($k)]$R"),
	SQL(8, "UPDATE$O ${oc|ou|od|oi} SET p=$k WHERE ${p=$k|id<$k}"),
	SQL(6, "DELETE FROM ${oc|ou|od|oi} WHERE ${p=$k|id=$k}"),
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
