/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds_words.c - statements that are more, or less, than they look
 *
 * Pragmas that act and return nothing; texts that cannot be prepared, or only later; and all of it written in small letters under a
 * locale whose letters are not C's: SQL's words are ASCII, whatever the process says.
 */
#include "tests/equivalence/generator.h"

static const char *const pragmas_schema[] = {
	"CREATE TABLE pv(a INTEGER PRIMARY KEY,x)",
	NULL,
};

static const struct template pragmas_templates[] = {
	SQL(6,
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 20) INSERT INTO pv(x) SELECT zeroblob(3000) FROM n"),
	SQL(4, "DELETE FROM pv WHERE a%${2|3|5}=0"),
	SQL(2, "DELETE FROM pv"),
	SQL(8, "PRAGMA incremental_vacuum${|(1)|(5)|(50)|=3}"),
	SQL(4, "PRAGMA freelist_count"),
	SQL(2, "PRAGMA page_count"),
	SQL(2,
	    "PRAGMA ${shrink_memory|user_version|cell_size_check=1|cell_size_check|reverse_unordered_selects=0|secure_delete=1|"
	    "secure_delete|case_sensitive_like=0|case_sensitive_like=1|legacy_alter_table=0|auto_vacuum|auto_vacuum=0|"
	    "auto_vacuum=2|page_size|page_size=1024|cache_spill=1|encoding|foreign_key_list(pv)|index_list(pv)|"
	    "automatic_index=1|trusted_schema|hard_heap_limit|threads|table_xinfo(pv)|compile_options}"),
	SQL(1, "PRAGMA main.incremental_vacuum(2)"),
	SQL(2, "PRAGMA ${quick_check|integrity_check(1)|quick_check(pv)}"),
	SQL_AS(1, LOOSE, "PRAGMA ${database_list|collation_list|module_list|function_list|data_version|stats}"),
	SQL(1, "PRAGMA query_only=${0|0|0|1}"),
	SQL(2, "PRAGMA query_only=0"),
	SQL(1, "PRAGMA writable_schema=${0|1|RESET}"),
	SQL(1, "ANALYZE"),
	SQL(1, "EXPLAIN QUERY PLAN SELECT * FROM pv"),
	SQL(1, "VACUUM"),
	SQL(2, "INSERT INTO pv(x) VALUES($k)"),
	SQL(2, "SELECT changes()"),
	SQL_END,
};

static const char *const pragmas_questions[] = { "PRAGMA freelist_count", "PRAGMA query_only", "PRAGMA auto_vacuum", NULL };

static const struct run pragmas_runs[] = {
	{ 1, "INSERT INTO pv(x) VALUES(?)" },
	{ 0, "PRAGMA incremental_vacuum(1)" },
	{ 0, NULL },
};

const struct kind kind_pragmas = {
	.name = "pragmas",
	.one_in = 5,
	.weight = 1,
	.pragma = PENSTOCK_PRAGMA("auto_vacuum", "2"),
	.schema = pragmas_schema,
	.templates = pragmas_templates,
	.questions = pragmas_questions,
	.runs = pragmas_runs,
};

/* More deeply nested than SQLite allows, or just not. */
static void nested(struct draft *draft, const char *text)
{
	unsigned depth = put_chance(draft, 2) ? 400 : 1100, i;

	put(draft, text);
	for (i = 0; i < depth; i++)
		put(draft, "+1");
}

static const char *const unprepared_schema[] = {
	"CREATE TABLE un(a,b)",
	"CREATE TABLE um(a UNIQUE)",
	NULL,
};

static const struct template unprepared_templates[] = {
	SQL(4, "INSERT INTO ${un|um|later|nowhere}(a) VALUES$[($k)]$R"),
	SQL(3, "INSERT INTO un VALUES(${1|1,2,3|a|count(*),1|abs(),1|no_such(1),2})"),
	SQL(3, "SELECT ${a,a FROM un,um|un.c FROM un|sum(sum(a)) FROM un|* FROM un GROUP BY 7|1 ORDER BY 3|* FROM later|a FROM "
	       "un JOIN um}"),
	SQL(3, "UPDATE ${un SET c=1|un SET a=1 WHERE c=2|later SET a=1|un SET (a,b)=(1)|sqlite_schema SET name=1}"),
	SQL(2, "DELETE FROM ${un WHERE c=1|later|sqlite_schema|un ORDER BY a LIMIT 1|un LIMIT 1,2,3}"),
	SQL(3, "CREATE TABLE ${later(a,b)|un(a)|sqlite_x(a)|later(a,a)|later(a) WITHOUT ROWID|later(a NONSENSE(1,2,3,4))}"),
	SQL(2, "DROP TABLE ${later|IF EXISTS later|sqlite_schema|nowhere}"),
	SQL(1, "CREATE INDEX ui ON ${un(c)|un(a)|nowhere(a)}"),
	SQL(1, "DROP INDEX ${ui|sqlite_autoindex_um_1}"),
	SQL(1, "CREATE VIEW uv AS ${SELECT * FROM later|SELEC|SELECT ?}"),
	SQL(1, "${SELECT * FROM uv|DROP VIEW uv}"),
	SQL(1, "CREATE TRIGGER ut AFTER INSERT ON un BEGIN INSERT INTO later VALUES(new.a,new.b); END"),
	SQL(1, "DROP TRIGGER ut"),
	SQL(1, "ALTER TABLE ${un|later|nowhere} ADD COLUMN ${d|d PRIMARY KEY|d NOT NULL}"),
	SQL_BY(1, "SELECT 1", nested),
	SQL_BY(1, "INSERT INTO un(a) SELECT 1", nested),
	SQL(1, "${(|)|SELECT|SELECT (|INSERT|INSERT INTO|WITH|WITH x AS|EXPLAIN|EXPLAIN QUERY PLAN|CREATE|DROP|PRAGMA|ATTACH|"
	       "VACUUM INTO|REPLACE|\"|'|`|[|#|$$|SELECT 1x|SELECT x'0'|SELECT 0x|SELECT 1e|@|SELECT \\}"),
	SQL(1, "SELECT '\xff\xfe', \"un\xff\" FROM un"),
	SQL(2, "SELECT changes()"),
	SQL_AS(1, WRONG_COUNT, "INSERT INTO later VALUES(?,?)"),
	SQL_AS(1, WRONG_COUNT, "INSERT INTO un VALUES(?2,?7)"),
	SQL_AS(1, NO_SINGLE, "SELECT 1; SELECT"),
	SQL_AS(1, NO_SINGLE, "INSERT INTO un VALUES(1,2);;x"),
	SQL_END,
};

static const struct run unprepared_runs[] = {
	{ 2, "INSERT INTO later VALUES(?,?)" },
	{ 1, "INSERT INTO nowhere VALUES(?)" },
	{ 1, "INSERT INTO un VALUES(?)" },
	{ 2, "INSERT INTO un VALUES(?,?)" },
	{ 0, NULL },
};

const struct kind kind_unprepared = {
	.name = "unprepared",
	.one_in = 5,
	.weight = 1,
	.schema = unprepared_schema,
	.templates = unprepared_templates,
	.runs = unprepared_runs,
};

static const char *const locale_schema[] = {
	"create table if not exists ti(id integer primary key,i unique)",
	"create table tj(i,j)",
	"create trigger tj_insert after insert on tj begin insert or ignore into ti(i) values(changes()); end",
	NULL,
};

static const struct template locale_templates[] = {
	SQL(10,
	    "${insert|INSERT|Insert|iNSERT}${ into | INTO | or ignore into | or replace into } ti values$[(${$k|null},$k)]${| "
	    "returning *| RETURNING ID}"),
	SQL(6, "insert into tj values$[($k,$n)]"),
	SQL(3, "replace into ti(id,i) values($k,$k)"),
	SQL(4, "with w as (select $k as i) insert into ${ti(i)|tj(i)} select i from w"),
	SQL(3, "update ${ti|tj|TI} set i=i+$n where ${i|I}<$k"),
	SQL(3, "delete from ${ti|tj|TJ} where i=$k"),
	SQL(2, "select changes(),last_insert_rowid() from (select 1) where 'I' like 'i'"),
	SQL(2, "create index if not exists tx on ti(i,id)"),
	SQL(2, "drop index if exists tx"),
	SQL(1, "drop table if exists tk"),
	SQL(1, "create table tk as select i from ti"),
	SQL(1, "${vacuum|Vacuum}"),
	SQL(1, "pragma ${foreign_keys=on|FOREIGN_KEYS=ON|INTEGRITY_CHECK|user_version=3|USER_VERSION|INCREMENTAL_VACUUM|"
	       "ignore_check_constraints=0|IGNORE_CHECK_CONSTRAINTS=0|defer_foreign_keys=0|DEFER_FOREIGN_KEYS=0|QUERY_ONLY=0}"),
	SQL_AS(1, LOOSE, "${explain|EXPLAIN|Explain} select i from ti"),
	SQL_AS(1, LOOSE, "pragma ${wal_checkpoint(truncate)|WAL_CHECKPOINT(PASSIVE)}"),
	SQL_AS(1, REFUSED, "${begin|Begin|BEGIN IMMEDIATE|begin immediate|commit|rollback|end|release i|savepoint i}"),
	SQL_AS(1, REFUSED, "pragma ${wal_autocheckpoint=1|WAL_AUTOCHECKPOINT=1|journal_mode=delete|JOURNAL_MODE=MEMORY}"),
	SQL(1, "attach ':memory:' as ti2"),
	SQL(1, "detach TI2"),
	SQL(1, "create temp table if not exists tt2(i)"),
	SQL_END,
};

static const struct run locale_runs[] = {
	{ 2, "insert into ti(id,i) values(?,?)" },
	{ 2, "INSERT INTO ti(id,i) VALUES(?,?)" },
	{ 2, "insert INTO tj values(?,?)" },
	{ 1, "Insert Into tI(I) Values(?)" },
	{ 0, NULL },
};

const struct kind kind_locale = {
	.name = "locale",
	.one_in = 10,
	.weight = 1,
	.locale = "tr_TR.UTF-8",
	.schema = locale_schema,
	.templates = locale_templates,
	.runs = locale_runs,
};
