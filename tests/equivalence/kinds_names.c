/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_names.c - names that come to mean something else
 *
 * A statement that was prepared before keeps what its names meant. Views keep the columns of tables that are gone; a temporary or
 * attached table takes a name over, or gives it back; what is only to be done IF something exists does once nothing, then something.
 */
#include "tests/equivalence/kinds.h"

static const char *const views_schema[] = {
	"CREATE TABLE vt(a,b,c)",
	"INSERT INTO vt VALUES(1,2,3),(4,5,6)",
	"CREATE VIEW vv AS SELECT * FROM vt",
	"CREATE VIEW vw AS SELECT x.a AS first,x.* FROM vv AS x",
	"CREATE TABLE vl(what,n)",
	NULL,
};

static const struct template views_templates[] = {
	SQL(6, "DROP TABLE ${vt|IF EXISTS vt}"),
	SQL(10, "CREATE TABLE ${vt|IF NOT EXISTS vt}${(a,b,c)|(x)|(c,a,b,d)|(a PRIMARY KEY,b,c) WITHOUT ROWID}"),
	SQL(1, "CREATE TABLE vt AS SELECT 1 AS a,2 AS b"),
	SQL(8, "INSERT INTO vt VALUES${(1)|(1,2,3)|(4,5,6)|($k,$n,$n,$n)}"),
	SQL(8, "SELECT * FROM ${vv|vw}"),
	SQL(4, "SELECT ${a|x|c|first} FROM ${vv|vw}"),
	SQL(4, "${DELETE FROM vv|DELETE FROM vw|UPDATE vv SET a=$n|INSERT INTO vv VALUES(1,2,3)}"),
	SQL(2, "SELECT name FROM pragma_table_info('${vv|vw|vt}')"),
	SQL(2, "INSERT INTO vl SELECT 'seen',${a|x|count(*)} FROM vv"),
	SQL(2, "CREATE TABLE vn AS SELECT * FROM ${vv|vw}"),
	SQL(2, "SELECT * FROM vn"),
	SQL(2, "DROP TABLE ${vn|IF EXISTS vn}"),
	SQL(2, "DROP VIEW ${vv|IF EXISTS vv|vw}"),
	SQL(4, "CREATE VIEW ${vv|IF NOT EXISTS vv} AS SELECT ${*|a|*,1 AS one} FROM vt"),
	SQL(1, "CREATE VIEW IF NOT EXISTS vw AS SELECT x.a AS first,x.* FROM vv AS x"),
	SQL(2, "CREATE TRIGGER IF NOT EXISTS vi INSTEAD OF DELETE ON vv BEGIN INSERT INTO vl VALUES('del',old.a); END"),
	SQL(1, "DROP TRIGGER ${vi|IF EXISTS vi}"),
	SQL(2, "ALTER TABLE vt ${ADD COLUMN e|RENAME TO vz|RENAME COLUMN a TO x|DROP COLUMN c}"),
	SQL(2, "${DROP TABLE IF EXISTS vz|ALTER TABLE vz RENAME TO vt|SELECT * FROM vz}"),
	SQL(1, "CREATE TEMP VIEW IF NOT EXISTS vv AS SELECT 9 AS a"),
	SQL(1, "DROP VIEW IF EXISTS temp.vv"),
	SQL_END,
};

static const char *const views_questions[] = {
	"SELECT * FROM vv",
	"SELECT * FROM vw",
	"SELECT name FROM pragma_table_info('vv')",
	NULL,
};

const struct kind kind_views = {
	.name = "views",
	.one_in = 4,
	.weight = 1,
	.schema = views_schema,
	.templates = views_templates,
	.questions = views_questions,
};

static const char *const shadows_schema[] = {
	"CREATE TABLE sh(a UNIQUE,b)",
	"CREATE TABLE sk(a,b)",
	"CREATE TRIGGER sk_to_sh AFTER INSERT ON sk BEGIN INSERT OR IGNORE INTO sh VALUES(new.a,'trigger'); END",
	"CREATE VIEW sv AS SELECT a FROM sh",
	NULL,
};

static const struct template shadows_templates[] = {
	SQL(4, "CREATE ${TABLE|TEMP TABLE|TABLE IF NOT EXISTS|TEMP TABLE IF NOT EXISTS} sh(a UNIQUE,b)"),
	SQL(4, "CREATE TABLE ${main|temp|near|mem}.sh(a UNIQUE,b)"),
	SQL(4, "DROP TABLE ${sh|IF EXISTS sh|temp.sh|main.sh|near.sh|IF EXISTS temp.sh|IF EXISTS mem.sh}"),
	SQL(2, "CREATE TEMP VIEW sh AS SELECT 1 AS a,2 AS b"),
	SQL(2, "DROP VIEW IF EXISTS temp.sh"),
	SQL(12, "INSERT$O INTO ${sh|sh|sh|main.sh|temp.sh|near.sh} VALUES($k,$n)$R"),
	SQL(3, "INSERT INTO sh VALUES(1,1)"),
	SQL(3, "UPDATE$O sh SET b=$n WHERE a<$k"),
	SQL(3, "DELETE FROM sh WHERE a=$k"),
	SQL(3, "DELETE FROM sh"),
	SQL(4, "SELECT * FROM ${sh|sv|main.sh|temp.sh|near.sh}"),
	SQL(4, "INSERT INTO sk VALUES($k,$n)"),
	SQL(2, "CREATE ${TEMP TRIGGER|TRIGGER} IF NOT EXISTS st AFTER INSERT ON ${sk|main.sh} BEGIN DELETE FROM sh WHERE "
	       "a=new.a-1; END"),
	SQL(2, "DROP TRIGGER IF EXISTS ${st|temp.st}"),
	SQL(2, "CREATE ${INDEX|UNIQUE INDEX} IF NOT EXISTS ${si|main.si|temp.si} ON sh(b)"),
	SQL(2, "DROP INDEX IF EXISTS ${si|main.si|temp.si}"),
	SQL(2, "ATTACH ${'$D/near.db' AS near|'$D/near.db' AS near|':memory:' AS mem}"),
	SQL(3, "DETACH ${near|near|mem}"),
	SQL(2, "ALTER TABLE ${sk|sh|main.sh} RENAME TO ${sk|sh|sz}"),
	SQL(2, "DROP TABLE IF EXISTS sz"),
	SQL_END,
};

static const char *const shadows_questions[] = {
	"SELECT * FROM sh",
	"SELECT * FROM temp.sh",
	"SELECT * FROM main.sh",
	"SELECT * FROM mem.sh",
	"SELECT type,name,sql FROM sqlite_temp_schema",
	NULL,
};

static const struct run shadows_runs[] = {
	{ 2, "INSERT INTO sh VALUES(?,?)" },
	{ 2, "INSERT INTO sk VALUES(?,?)" },
	{ 0, NULL },
};

const struct kind kind_shadows = {
	.name = "shadows",
	.one_in = 5,
	.weight = 1,
	.schema = shadows_schema,
	.templates = shadows_templates,
	.questions = shadows_questions,
	.runs = shadows_runs,
};

static const char *const existence_schema[] = {
	"CREATE TABLE xl(n)",
	NULL,
};

static const struct template existence_templates[] = {
	SQL(6, "CREATE TABLE IF NOT EXISTS ${xa(a UNIQUE,b)|xb(a)}"),
	SQL(6, "DROP TABLE IF EXISTS ${xa|xb}"),
	SQL(2, "CREATE TABLE xa(a,b,c)"),
	/* These fail where a is the smallest number, or -1 in the table. */
	SQL(3, "CREATE TABLE IF NOT EXISTS xb AS SELECT a,abs(-9223372036854775807+a) AS far FROM xa"),
	SQL(3, "CREATE INDEX IF NOT EXISTS xj ON xa(abs(a))"),
	SQL(2, "DROP INDEX IF EXISTS xj"),
	SQL(2, "INSERT INTO xa(a) VALUES(${-1|-9223372036854775807-1})"),
	SQL(2, "DELETE FROM xa WHERE a<0"),
	SQL(4, "CREATE INDEX IF NOT EXISTS xi ON xa(b)"),
	SQL(4, "DROP INDEX IF EXISTS xi"),
	SQL(4, "CREATE VIEW IF NOT EXISTS xv AS SELECT count(*) FROM xa"),
	SQL(4, "DROP VIEW IF EXISTS xv"),
	SQL(4, "CREATE TRIGGER IF NOT EXISTS xt AFTER INSERT ON xa BEGIN INSERT INTO xl VALUES(new.a); END"),
	SQL(4, "DROP TRIGGER IF EXISTS xt"),
	SQL(3, "CREATE TEMP TABLE IF NOT EXISTS xa(a)"),
	SQL(3, "DROP TABLE IF EXISTS temp.xa"),
	SQL(1, "CREATE VIRTUAL TABLE IF NOT EXISTS xr USING rtree(id,x,y)"),
	SQL(1, "DROP TABLE IF EXISTS xr"),
	SQL(10, "INSERT$O INTO xa(a) VALUES$[($k)]$R"),
	SQL(4, "INSERT INTO xl VALUES(changes())"),
	SQL(3, "DELETE FROM xl WHERE n>$n"),
	SQL(3, "SELECT changes()"),
	SQL(3, "SELECT * FROM ${xa|xv|xl}"),
	SQL(1, "ANALYZE"),
	SQL(1, "REINDEX"),
	SQL_END,
};

static const char *const existence_questions[] = {
	"SELECT * FROM temp.xa",
	"SELECT changes()",
	NULL,
};

static const struct run existence_runs[] = {
	{ 1, "INSERT INTO xa(a) VALUES(?)" },
	{ 1, "INSERT INTO xl VALUES(?)" },
	{ 0, NULL },
};

const struct kind kind_existence = {
	.name = "existence",
	.one_in = 4,
	.weight = 1,
	.schema = existence_schema,
	.templates = existence_templates,
	.questions = existence_questions,
	.runs = existence_runs,
};
