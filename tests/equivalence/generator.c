#include "tests/equivalence/generator.h"

#include <inttypes.h>

#define TEXT_MAX 8192

bool chance(uint64_t *state, unsigned one_in)
{
	return random_below(state, one_in) == 0;
}

/*
 * In a template:
 *   $O  nothing or OR something          $R  nothing or RETURNING *        $U  nothing or ON CONFLICT ...
 *   $k  a key, 1 to 24                   $n  0 to 9                         $c  for a checked column: some are refused
 *   $s  a short text, often one that is  $v  any value                      $B  a large blob
 *   $x  x0 to x3                         $b  ON or OFF, mostly ON           $D  a folder of the database's own
 *   $[...]  the part one to seven times, with commas
 * The values are literals or parameters.
 */
static const struct {
	unsigned weight;
	enum expected expected;
	const char *text;
} templates[] = {
	/* constraints and conflict clauses */
	{ 30, AS_SQLITE, "INSERT$O INTO t0(b,c,d) VALUES$[($s,$c,$v)]$R" },
	{ 20, AS_SQLITE, "INSERT$O INTO t0 VALUES$[($k,$s,$c,$v)]$U$R" },
	{ 12, AS_SQLITE, "UPDATE$O t0 SET c=$c,b=b||$n WHERE a<$k$R" },
	{ 12, AS_SQLITE, "UPDATE$O t0 SET a=a+$n WHERE a>$k" },
	{ 12, AS_SQLITE, "UPDATE$O t0 SET d=$v WHERE b=$s$R" },
	{ 14, AS_SQLITE, "DELETE FROM t0 WHERE a=$k$R" },
	{ 6, AS_SQLITE, "DELETE FROM t0 WHERE a>$k" },
	{ 2, AS_SQLITE, "DELETE FROM t0" },
	{ 20, AS_SQLITE, "INSERT$O INTO t1 VALUES$[($k,$n,$v)]$R" },
	{ 8, AS_SQLITE, "UPDATE$O t1 SET b=b+1 WHERE a<$k" },
	{ 8, AS_SQLITE, "DELETE FROM t1 WHERE a=$k$R" },
	{ 3, AS_SQLITE, "REPLACE INTO t1 SELECT a+$n,b,c FROM t1" },
	{ 24, AS_SQLITE, "INSERT$O INTO t2(b,c,d,e) VALUES$[($k,$k,$k,$k)]$R" },
	{ 8, AS_SQLITE, "UPDATE$O t2 SET $y=$k WHERE a>$k$R" },
	{ 8, AS_SQLITE, "DELETE FROM t2 WHERE a=$k OR b=$k" },
	{ 3, AS_SQLITE, "INSERT INTO t2(g) VALUES($v)" },
	{ 6, AS_SQLITE, "REPLACE INTO t2(a,b,c,d,e) VALUES($k,$k,$k,$k,$k)$R" },
	/* foreign keys */
	{ 24, AS_SQLITE, "INSERT$O INTO parent VALUES$[($k,$s,$v)]$R" },
	{ 12, AS_SQLITE, "DELETE FROM parent WHERE id=$k" },
	{ 6, AS_SQLITE, "DELETE FROM parent WHERE id>$k" },
	{ 8, AS_SQLITE, "UPDATE$O parent SET id=$k WHERE id=$k$R" },
	{ 4, AS_SQLITE, "UPDATE$O parent SET id=id+1 WHERE id>$k" },
	{ 22, AS_SQLITE, "INSERT$O INTO deferred_child VALUES$[($k,$k,$k)]$R" },
	{ 8, AS_SQLITE, "UPDATE$O deferred_child SET p=$k WHERE id<$k" },
	{ 10, AS_SQLITE, "DELETE FROM deferred_child WHERE id=$k$R" },
	{ 12, AS_SQLITE, "INSERT$O INTO immediate_child VALUES$[($k,$k)]" },
	{ 6, AS_SQLITE, "DELETE FROM immediate_child WHERE p=$k" },
	{ 12, AS_SQLITE, "INSERT$O INTO cascade_child VALUES$[($k,$k,$k)]$R" },
	{ 6, AS_SQLITE, "INSERT$O INTO restrict_child VALUES$[($k,$k)]" },
	{ 6, AS_SQLITE, "DELETE FROM restrict_child WHERE id<$k" },
	{ 6, AS_SQLITE, "INSERT$O INTO tree VALUES$[($k,$k)]" },
	{ 4, AS_SQLITE, "UPDATE$O tree SET up=$k WHERE id=$k$R" },
	{ 4, AS_SQLITE, "DELETE FROM tree WHERE id=$k" },
	/* triggers and views */
	{ 8, AS_SQLITE, "INSERT$O INTO both VALUES$[($k,$c)]$R" },
	{ 4, AS_SQLITE, "UPDATE both SET c=$c WHERE a=$k" },
	{ 4, AS_SQLITE, "DELETE FROM both WHERE a<$k" },
	{ 6, AS_SQLITE, "INSERT INTO chain VALUES($n)" },
	/* WITH, SELECT, rowids */
	{ 6, AS_SQLITE, "WITH w(x) AS (VALUES($k),($k)) INSERT$O INTO t0(b,c) SELECT 'w'||x,x FROM w$R" },
	{ 4, AS_SQLITE, "WITH w(x) AS (SELECT $k) UPDATE$O t1 SET c=$v WHERE a IN w" },
	{ 3, AS_SQLITE, "WITH w(x) AS (SELECT $k) DELETE FROM t2 WHERE b IN w$R" },
	{ 3, AS_SQLITE, "WITH RECURSIVE w(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM w WHERE x<$k) SELECT x,$v FROM w" },
	{ 6, AS_SQLITE, "SELECT *,typeof(d) FROM t0 WHERE a<$k ORDER BY a" },
	{ 3, AS_SQLITE, "SELECT count(*),sum(b) AS s,max(e) FROM t2" },
	{ 3, AS_SQLITE, "SELECT name,type FROM sqlite_schema ORDER BY name" },
	{ 2, AS_SQLITE, "SELECT * FROM no_such_table" },
	{ 2, AS_SQLITE, "SELECT abs(-9223372036854775807-$n)" },
	{ 3, AS_SQLITE, "INSERT$O INTO t1 SELECT a+40,b,abs(-9223372036854775807-b-$n) FROM t1" },
	{ 4, AS_SQLITE, "SELECT last_insert_rowid()" },
	{ 4, AS_SQLITE, "INSERT INTO log(what,n) VALUES('rowid',last_insert_rowid())" },
	{ 3, AS_SQLITE, "SELECT * FROM pragma_table_info('t0')" },
	{ 4, AS_SQLITE, "VALUES($v,$v),($v,$v)" },
	{ 4, AS_SQLITE, "INSERT INTO t1(a,b,c) VALUES($k,$n,$B)" },
	{ 3, AS_SQLITE, "INSERT INTO log(what,n) VALUES($B,$k)$R" },
	{ 3, AS_SQLITE, "DELETE FROM log WHERE id%$n=0" },
	/* changes() and total_changes() tell of the statements before */
	{ 2, AS_SQLITE, "SELECT changes()" },
	{ 1, AS_SQLITE, "INSERT INTO log(what,n) VALUES('changes',changes())" },
	{ 1, AS_SQLITE, "UPDATE t1 SET c=changes() WHERE a<$k$R" },
	{ 1, AS_SQLITE, "SELECT total_changes()" },
	{ 1, AS_SQLITE, "INSERT INTO log(what,n) VALUES('total',total_changes())$R" },
	{ 2, AS_SQLITE, "INSERT INTO defaults(x) VALUES($k)$R" },
	{ 3, AS_SQLITE, "INSERT INTO told(x) VALUES($k)" },
	{ 1, AS_SQLITE,
	  "CREATE TRIGGER IF NOT EXISTS tell AFTER INSERT ON told BEGIN UPDATE told SET n=changes() WHERE "
	  "rowid=new.rowid; END" },
	{ 1, AS_SQLITE, "DROP TRIGGER IF EXISTS tell" },
	/* functions that fail, and interrupts */
	{ 1, AS_SQLITE,
	  "INSERT INTO log(what,n) SELECT 'i',interrupt_now(value) FROM (SELECT 1 AS value UNION ALL SELECT 2 "
	  "UNION ALL SELECT 3)" },
	{ 1, AS_SQLITE, "SELECT interrupt_now(a) FROM t0" },
	{ 2, AS_SQLITE, "INSERT$O INTO t1 SELECT a+30,b,fail_with($n) FROM t1 WHERE a<$k" },
	{ 1, AS_SQLITE, "SELECT fail_with($n)" },
	/* schema */
	{ 6, AS_SQLITE, "CREATE TABLE $x(a INTEGER PRIMARY KEY,b UNIQUE,c)" },
	{ 3, AS_SQLITE, "CREATE TABLE IF NOT EXISTS $x(a,b NOT NULL,PRIMARY KEY(a)) WITHOUT ROWID" },
	{ 2, AS_SQLITE, "CREATE TABLE $x AS SELECT a,b FROM t0" },
	{ 1, AS_SQLITE, "CREATE TABLE $x AS SELECT a,abs(-9223372036854775807-a) FROM t0" },
	{ 5, AS_SQLITE, "DROP TABLE $x" },
	{ 3, AS_SQLITE, "DROP TABLE IF EXISTS $x" },
	{ 2, AS_SQLITE, "ALTER TABLE $x RENAME TO $x" },
	{ 2, AS_SQLITE, "ALTER TABLE $x ADD COLUMN more DEFAULT $n" },
	{ 2, AS_SQLITE, "ALTER TABLE $x RENAME COLUMN b TO bb" },
	{ 2, AS_SQLITE, "ALTER TABLE $x DROP COLUMN c" },
	{ 16, AS_SQLITE, "INSERT$O INTO $x(a,b) VALUES$[($k,$v)]$R" },
	{ 6, AS_SQLITE, "INSERT INTO $x VALUES($k,$v,$v)" },
	{ 6, AS_SQLITE, "SELECT * FROM $x" },
	{ 4, AS_SQLITE, "UPDATE$O $x SET b=$v WHERE a=$k" },
	{ 2, AS_SQLITE, "CREATE UNIQUE INDEX unique_d ON t0(d)" },
	{ 2, AS_SQLITE, "CREATE INDEX IF NOT EXISTS by_c ON t1(c)" },
	{ 3, AS_SQLITE, "DROP INDEX IF EXISTS unique_d" },
	{ 1, AS_SQLITE, "DROP INDEX by_c" },
	{ 1, AS_SQLITE, "CREATE TRIGGER once AFTER DELETE ON t1 BEGIN INSERT INTO t0(b,c) VALUES('once'||old.a,old.b); END" },
	{ 1, AS_SQLITE,
	  "CREATE TRIGGER IF NOT EXISTS stop BEFORE UPDATE ON t2 BEGIN SELECT RAISE(ROLLBACK,'stopped') WHERE "
	  "new.b=7; END" },
	{ 1, AS_SQLITE, "DROP TRIGGER IF EXISTS once" },
	{ 1, AS_SQLITE, "DROP TRIGGER stop" },
	{ 1, AS_SQLITE, "CREATE VIEW seen AS SELECT a,c FROM t0 WHERE c>$n" },
	{ 2, AS_SQLITE, "SELECT count(*) FROM seen" },
	{ 1, AS_SQLITE, "DROP VIEW IF EXISTS seen" },
	{ 1, AS_SQLITE, "DROP TABLE parent" },
	{ 1, AS_SQLITE, "DROP TABLE deferred_child" },
	{ 2, AS_SQLITE, "CREATE TABLE parent(id INTEGER PRIMARY KEY,v UNIQUE,note)" },
	{ 2, AS_SQLITE,
	  "CREATE TABLE deferred_child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) DEFERRABLE INITIALLY "
	  "DEFERRED,x UNIQUE CHECK(x<22))" },
	{ 1, AS_SQLITE, "REINDEX" },
	/* what runs alone */
	{ 2, AS_SQLITE, "PRAGMA foreign_keys=$b" },
	{ 2, AS_SQLITE, "PRAGMA foreign_keys" },
	{ 2, AS_SQLITE, "PRAGMA recursive_triggers=$b" },
	{ 1, AS_SQLITE, "PRAGMA defer_foreign_keys=$b" },
	{ 1, AS_SQLITE, "PRAGMA ignore_check_constraints=$n" },
	{ 2, AS_SQLITE, "PRAGMA ignore_check_constraints=0" },
	{ 1, AS_SQLITE, "PRAGMA count_changes=$n" },
	{ 1, AS_SQLITE, "PRAGMA full_column_names=$n" },
	{ 2, AS_SQLITE, "PRAGMA user_version=$k" },
	{ 1, AS_SQLITE, "PRAGMA user_version" },
	{ 1, AS_SQLITE, "PRAGMA application_id=$k" },
	{ 1, AS_SQLITE, "PRAGMA schema_version" },
	{ 1, AS_SQLITE, "PRAGMA table_info(t$n)" },
	/* in the order of a hash table */
	{ 1, LOOSE, "PRAGMA foreign_key_check" },
	{ 1, LOOSE, "PRAGMA integrity_check" },
	{ 1, AS_SQLITE, "PRAGMA journal_mode" },
	{ 1, AS_SQLITE, "PRAGMA journal_mode=WAL" },
	{ 1, AS_SQLITE, "PRAGMA max_page_count=1" },
	{ 3, AS_SQLITE, "PRAGMA max_page_count=1000000" },
	{ 1, AS_SQLITE, "PRAGMA no_such_pragma" },
	{ 1, LOOSE, "PRAGMA wal_checkpoint(TRUNCATE)" },
	{ 1, AS_SQLITE, "VACUUM" },
	{ 1, AS_SQLITE, "VACUUM INTO '$D/copy$n.db'" },
	{ 2, AS_SQLITE, "ATTACH '$D/other.db' AS other" },
	{ 1, AS_SQLITE, "DETACH other" },
	{ 2, AS_SQLITE, "CREATE TABLE IF NOT EXISTS other.z(a PRIMARY KEY,b CHECK(b<>3))" },
	{ 6, AS_SQLITE, "INSERT$O INTO other.z VALUES$[($k,$n)]" },
	{ 2, AS_SQLITE, "SELECT * FROM other.z" },
	{ 2, AS_SQLITE, "CREATE TEMP TABLE IF NOT EXISTS tt(a UNIQUE,b)" },
	{ 1, AS_SQLITE, "CREATE TEMP TABLE t1(a UNIQUE,b,c)" },
	{ 2, AS_SQLITE, "DROP TABLE IF EXISTS temp.t1" },
	{ 1, AS_SQLITE, "DROP TABLE temp.tt" },
	{ 6, AS_SQLITE, "INSERT$O INTO tt VALUES$[($k,$v)]$R" },
	{ 1, AS_SQLITE,
	  "CREATE TEMP TRIGGER IF NOT EXISTS ttr AFTER INSERT ON t2 BEGIN INSERT INTO tt VALUES(new.a,new.b); "
	  "END" },
	{ 1, AS_SQLITE, "DROP TRIGGER IF EXISTS temp.ttr" },
	{ 1, AS_SQLITE, "CREATE TEMP VIEW IF NOT EXISTS tv AS SELECT a FROM tt" },
	{ 2, LOOSE, "EXPLAIN INSERT INTO t0(b,c) VALUES($s,$c)" },
	{ 1, AS_SQLITE, "EXPLAIN QUERY PLAN SELECT * FROM t0 WHERE b=$s" },
	/* refused, or no statement at all */
	{ 1, REFUSED, "BEGIN" },
	{ 1, REFUSED, "BEGIN IMMEDIATE" },
	{ 1, REFUSED, "COMMIT" },
	{ 1, REFUSED, "  ;; end -- of it" },
	{ 1, REFUSED, "ROLLBACK" },
	{ 1, REFUSED, "SAVEPOINT s" },
	{ 1, REFUSED, "RELEASE s" },
	{ 1, REFUSED, "ROLLBACK TO s" },
	{ 1, REFUSED, "EXPLAIN COMMIT" },
	{ 1, REFUSED, "PRAGMA journal_mode=DELETE" },
	{ 1, REFUSED, "PRAGMA wal_autocheckpoint=10" },
	{ 1, NO_SINGLE, "" },
	{ 1, NO_SINGLE, " /* nothing */ -- at all" },
	{ 1, NO_SINGLE, ";" },
	{ 2, NO_SINGLE, "INSERT INTO log(what) VALUES('one'); INSERT INTO log(what) VALUES('two')" },
	{ 1, NO_SINGLE, "DELETE FROM t0; COMMIT" },
	{ 1, NO_SINGLE, "PRAGMA foreign_keys=OFF; SELECT 1" },
	{ 3, AS_SQLITE, "INSERT INTO t0(b,c VALUES(1,2)" },
	{ 1, AS_SQLITE, "SELEC 1" },
	{ 1, AS_SQLITE, "SELECT 'unfinished" },
	{ 1, AS_SQLITE, "/* before */ ;INSERT INTO log(what) VALUES($s); -- behind" },
	{ 2, AS_SQLITE, "INSERT INTO t0(b,c) VALUES($s)" },
	{ 3, WRONG_COUNT, "INSERT INTO log(what,n) VALUES(?,?)" },
	{ 1, WRONG_COUNT, "DELETE FROM t0" },
	{ 1, WRONG_COUNT, "PRAGMA foreign_keys=OFF" },
	{ 1, WRONG_COUNT, "SELECT * FROM t1 WHERE a=?" },
};

#define TEMPLATE_COUNT (sizeof templates / sizeof templates[0])

const char *const prelude[] = {
	"PRAGMA foreign_keys=ON",
	"CREATE TABLE log(id INTEGER PRIMARY KEY,what,n)",
	"CREATE TABLE t0(a INTEGER PRIMARY KEY AUTOINCREMENT,b TEXT UNIQUE,c INT NOT NULL CHECK(c>=0),d)",
	"CREATE TABLE t1(a,b,c,PRIMARY KEY(a,b)) WITHOUT ROWID",
	"CREATE TABLE t2(a INTEGER PRIMARY KEY,b INT UNIQUE ON CONFLICT ROLLBACK,c UNIQUE ON CONFLICT IGNORE,"
	"d UNIQUE ON CONFLICT REPLACE,e UNIQUE ON CONFLICT FAIL,g AS (b+1) STORED,h AS (c||'h'))",
	"CREATE TABLE parent(id INTEGER PRIMARY KEY,v UNIQUE,note)",
	"CREATE TABLE deferred_child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED,"
	"x UNIQUE CHECK(x<22))",
	"CREATE TABLE immediate_child(id INTEGER PRIMARY KEY,p NOT NULL REFERENCES parent(id))",
	"CREATE TABLE cascade_child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) ON DELETE CASCADE ON UPDATE SET NULL,"
	"k UNIQUE)",
	"CREATE TABLE restrict_child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) ON DELETE RESTRICT)",
	"CREATE TABLE tree(id INTEGER PRIMARY KEY,up REFERENCES tree(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE chain(n)",
	"CREATE TABLE told(x,n)",
	"CREATE TABLE defaults(x,n DEFAULT (changes()),m DEFAULT (total_changes()))",
	"CREATE VIEW both AS SELECT a,c FROM t0",
	"CREATE TRIGGER t0_raise AFTER INSERT ON t0 BEGIN SELECT CASE new.c WHEN 91 THEN RAISE(ABORT,'raised abort') WHEN 92 "
	"THEN RAISE(FAIL,'raised fail') WHEN 93 THEN RAISE(ROLLBACK,'raised rollback') WHEN 94 THEN RAISE(IGNORE) END; "
	"INSERT INTO log(what,n) VALUES('t0',new.a); END",
	"CREATE TRIGGER t0_update BEFORE UPDATE ON t0 BEGIN SELECT CASE new.c WHEN 92 THEN RAISE(FAIL,'fail in update') WHEN 94 "
	"THEN RAISE(IGNORE) END; INSERT INTO log(what,n) VALUES('u0',new.a); END",
	"CREATE TRIGGER both_insert INSTEAD OF INSERT ON both BEGIN INSERT INTO t0(b,c) VALUES('v'||new.a,new.c); INSERT INTO "
	"deferred_child(p) SELECT new.a WHERE new.a<4; END",
	"CREATE TRIGGER both_update INSTEAD OF UPDATE ON both BEGIN UPDATE t0 SET c=new.c WHERE a=old.a; END",
	"CREATE TRIGGER both_delete INSTEAD OF DELETE ON both BEGIN SELECT RAISE(FAIL,'kept') WHERE old.a=5; DELETE FROM t0 "
	"WHERE a=old.a; END",
	"CREATE TRIGGER chain_next AFTER INSERT ON chain WHEN new.n>0 BEGIN INSERT INTO chain VALUES(new.n-1); END",
	"CREATE TRIGGER deferred_fail AFTER INSERT ON deferred_child WHEN new.id=13 BEGIN SELECT RAISE(FAIL,'thirteen'); END",
	"CREATE TRIGGER restrict_back AFTER DELETE ON parent WHEN old.id<6 BEGIN INSERT OR IGNORE INTO parent "
	"VALUES(old.id,old.v,'back'); END",
};

const char *const epilogue[] = {
	"PRAGMA foreign_keys",    "PRAGMA recursive_triggers", "SELECT type,name,sql FROM sqlite_temp_schema",
	"SELECT * FROM tt",       "SELECT * FROM temp.t1",     "SELECT changes()",
	"SELECT total_changes()",
};

const size_t prelude_count = sizeof prelude / sizeof prelude[0], epilogue_count = sizeof epilogue / sizeof epilogue[0];

/* A statement under construction. */
struct draft {
	uint64_t *random;
	char text[TEXT_MAX];
	size_t used;
	struct statement *statement;
	bool bind; /* values as parameters */
};

static void put(struct draft *draft, const char *text)
{
	size_t bytes = strlen(text);

	if (draft->used + bytes < sizeof draft->text) {
		memcpy(draft->text + draft->used, text, bytes);
		draft->used += bytes;
	}
}

static bool binds(struct draft *draft)
{
	return draft->bind && draft->statement->value_count < VALUES_MAX;
}

static void put_parameter(struct draft *draft, penstock_value value)
{
	draft->statement->values[draft->statement->value_count++] = value;
	put(draft, "?");
}

static void put_number(struct draft *draft, int64_t number)
{
	char text[32];

	if (binds(draft)) {
		put_parameter(draft, penstock_int64(number));
		return;
	}
	snprintf(text, sizeof text, "%" PRId64, number);
	put(draft, text);
}

static void put_text(struct draft *draft, const char *data, size_t bytes)
{
	size_t i;
	char text[3];

	if (binds(draft)) {
		put_parameter(draft, penstock_text_bytes(copy_of(data, bytes), bytes));
		return;
	}
	put(draft, "CAST(X'");
	for (i = 0; i < bytes; i++) {
		snprintf(text, sizeof text, "%02X", (unsigned char)data[i]);
		put(draft, text);
	}
	put(draft, "' AS TEXT)");
}

static void put_blob(struct draft *draft, size_t bytes)
{
	unsigned char *data;
	size_t i;

	if (!binds(draft)) {
		put(draft, bytes > 40 ? "zeroblob(70000)" : "X'00FF41'");
		return;
	}
	data = malloc(bytes + 1);
	for (i = 0; i < bytes; i++)
		data[i] = (unsigned char)(i * 7 + bytes);
	put_parameter(draft, penstock_blob(data, bytes));
}

static void put_short_text(struct draft *draft)
{
	char text[16];

	if (chance(draft->random, 25)) {
		put_text(draft, "\xff\xfe\x80q", 4);
	} else if (chance(draft->random, 25)) {
		put_text(draft, "a\0b", 3);
	} else {
		snprintf(text, sizeof text, "%c%u", 'a' + (char)random_below(draft->random, 3),
		         random_below(draft->random, 20));
		put_text(draft, text, strlen(text));
	}
}

static void put_value(struct draft *draft)
{
	static const double reals[] = { 0.5, -0.0, 1e300, 3.0, 1e-320 };

	switch (random_below(draft->random, 9)) {
	case 0:
		if (binds(draft))
			put_parameter(draft, penstock_null());
		else
			put(draft, "NULL");
		break;
	case 1:
		put_number(draft, (int64_t)random_next(draft->random));
		break;
	case 2:
		if (binds(draft))
			put_parameter(draft, penstock_double(reals[random_below(draft->random, 5)]));
		else
			put(draft, "2.25");
		break;
	case 3:
		put_blob(draft, random_below(draft->random, 30));
		break;
	case 4:
		put_text(draft, "", 0);
		break;
	case 5:
	case 6:
		put_short_text(draft);
		break;
	default:
		put_number(draft, random_below(draft->random, 30));
		break;
	}
}

static void expand(struct draft *draft, const char *text, const char *end);

/* The part behind "$[", so and so many times; returns what is behind its "]". */
static const char *expand_repeated(struct draft *draft, const char *text)
{
	const char *end = strchr(text, ']');
	unsigned count = chance(draft->random, 2) ? 1 : 1 + random_below(draft->random, 7);

	while (count-- > 0) {
		expand(draft, text, end);
		if (count > 0)
			put(draft, ",");
	}
	return end + 1;
}

static void expand_one(struct draft *draft, char what)
{
	static const char *const conflicts[] = {
		"", "", "", " OR ABORT", " OR FAIL", " OR FAIL", " OR ROLLBACK", " OR IGNORE", " OR REPLACE"
	};
	static const char *const upserts[] = { "", "", " ON CONFLICT DO NOTHING",
		                               " ON CONFLICT(b) DO UPDATE SET c=excluded.c,d=b||'u'",
		                               " ON CONFLICT(a) DO UPDATE SET b=excluded.b WHERE c<5" };
	uint64_t *random = draft->random;
	unsigned number;
	char text[24];

	switch (what) {
	case 'O':
		/* OR ROLLBACK ends the batch: seldom, so that batches stay large. */
		number = random_below(random, 9);
		put(draft, conflicts[number == 6 && !chance(random, 4) ? 0 : number]);
		break;
	case 'R':
		put(draft, chance(random, 3) ? " RETURNING *" : "");
		break;
	case 'U':
		put(draft, upserts[random_below(random, 5)]);
		break;
	case 'k':
		put_number(draft, 1 + random_below(random, 24));
		break;
	case 'n':
		snprintf(text, sizeof text, "%u", random_below(random, 10));
		put(draft, text);
		break;
	case 'c':
		number = random_below(random, 60);
		if (number == 0)
			put(draft, "NULL");
		else
			put_number(draft, number == 1 ? -1 : number < 8 ? 90 + (int)number : (int)number % 10);
		break;
	case 's':
		put_short_text(draft);
		break;
	case 'v':
		put_value(draft);
		break;
	case 'B':
		put_blob(draft, 1000 + random_below(random, 60000));
		break;
	case 'x':
		snprintf(text, sizeof text, "x%u", random_below(random, 4));
		put(draft, text);
		break;
	case 'y':
		snprintf(text, sizeof text, "%c", "bcde"[random_below(random, 4)]);
		put(draft, text);
		break;
	case 'b':
		put(draft, chance(random, 4) ? "OFF" : "ON");
		break;
	case 'D':
		put(draft, "$D"); /* when it is run */
		break;
	default:
		abort();
	}
}

static void expand(struct draft *draft, const char *text, const char *end)
{
	char letter[2] = "";

	while (text < end) {
		if (text[0] != '$') {
			letter[0] = *text++;
			put(draft, letter);
		} else if (text[1] == '[') {
			text = expand_repeated(draft, text + 2);
		} else {
			expand_one(draft, text[1]);
			text += 2;
		}
	}
}

/* PENSTOCK_EQUIVALENCE_WITHOUT: for known differences, while they are looked into. */
static bool left_out(const char *text, const char *round_without)
{
	const char *without = getenv("PENSTOCK_EQUIVALENCE_WITHOUT");
	char words[1000], *word, *rest = words;

	snprintf(words, sizeof words, "%s;%s", without != NULL ? without : "", round_without);
	while ((word = strsep(&rest, ";")) != NULL) {
		if (word[0] != '\0' && strstr(text, word) != NULL)
			return true;
	}
	return false;
}

struct statement *draw(uint64_t *random, enum way way, bool durable, const char *without)
{
	struct draft draft = { .random = random, .statement = calloc(1, sizeof *draft.statement) };
	struct statement *statement = draft.statement;
	static unsigned total;
	unsigned place;
	size_t i;

	if (total == 0) {
		for (i = 0; i < TEMPLATE_COUNT; i++)
			total += templates[i].weight;
	}
	do {
		place = random_below(random, total);
		for (i = 0; place >= templates[i].weight; i++)
			place -= templates[i].weight;
	} while (left_out(templates[i].text, without));
	statement->expected = templates[i].expected;
	draft.bind = chance(random, 2) && statement->expected != WRONG_COUNT && strncmp(templates[i].text, "CREATE", 6) != 0 &&
	             strncmp(templates[i].text, "PRAGMA", 6) != 0;
	expand(&draft, templates[i].text, templates[i].text + strlen(templates[i].text));
	if (statement->expected == WRONG_COUNT) {
		statement->value_count = random_below(random, 2) == 0 && strchr(templates[i].text, '?') != NULL ? 0 : 3;
		for (i = 0; i < statement->value_count; i++)
			statement->values[i] = penstock_int64((int64_t)i);
	}
	statement->sql = copy_of(draft.text, draft.used);
	statement->bytes = draft.used;
	/* With several producers the ticket is known from an outcome only. */
	statement->listener =
		(enum listener)(random_below(random, 10) < 6 ? BY_HANDLE : 1 + random_below(random, way == SEVERAL ? 1 : 2));
	statement->registered = chance(random, 4);
	statement->flags = chance(random, 40) ? PENSTOCK_RUN_ALONE : 0;
	if (statement->listener == BY_NOBODY)
		statement->ack = chance(random, 2) ? PENSTOCK_ACK_NONE : PENSTOCK_ACK_DEFAULT;
	else if (durable && chance(random, 20))
		statement->ack = PENSTOCK_ACK_DURABLE;
	else
		statement->ack = chance(random, 2) ? PENSTOCK_ACK_COMMITTED : PENSTOCK_ACK_DEFAULT;
	return statement;
}

/* What may run as one (writer/sqlite/fuse.h), and what only looks like it. */
static const struct {
	size_t parameters;
	const char *text;
} runs[] = {
	{ 3, "INSERT INTO t0(b,c,d) VALUES(?,?,?)" },
	{ 4, "INSERT INTO t0 VALUES(?,?,?,?)" },
	{ 3, "INSERT INTO t1 VALUES(?, ?, ?)" },
	{ 1, "insert into \"t1\"(a,b) values(?,NULL);" },
	{ 4, "INSERT INTO t2(b,c,d,e) VALUES(?,?,?,?)" },
	{ 3, "INSERT INTO parent VALUES(?,?,?)" },
	{ 3, "INSERT INTO deferred_child VALUES(?,?,?)" },
	{ 2, "INSERT INTO immediate_child VALUES(?,?)" },
	{ 2, "INSERT INTO tree VALUES(?,?)" },
	{ 2, "INSERT INTO both VALUES(?,?)" },
	{ 2, "INSERT INTO log(what,n) VALUES(?,?)" },
	{ 1, "INSERT INTO defaults(x) VALUES(?)" },
	{ 1, "INSERT INTO told(x) VALUES(?)" },
	{ 2, "INSERT INTO x0(a,b) VALUES(?,?)" },
	{ 2, "INSERT INTO x1 VALUES(?,?,3)" },
	{ 1, "INSERT INTO x2(b) VALUES(?)" },
	{ 3, "INSERT OR FAIL INTO t1 VALUES(?,?,?)" },
	{ 1, "INSERT INTO t1 VALUES(?1,?1,?1)" },
};

#define RUN_MAX 80

void append_run(struct list *list, uint64_t *random)
{
	size_t which = random_below(random, sizeof runs / sizeof runs[0]), length = 1 + random_below(random, RUN_MAX), i, j;

	for (i = 0; i < length; i++) {
		struct statement *statement = plain_statement(runs[which].text, AS_SQLITE);
		struct draft draft = { .random = random, .statement = statement, .bind = true };

		statement->registered = !chance(random, 60);
		statement->listener = chance(random, 60) ? BY_HANDLE : BY_NOBODY;
		statement->flags = chance(random, 200) ? PENSTOCK_RUN_ALONE : 0;
		for (j = 0; j < runs[which].parameters; j++) {
			if (j == 0 && chance(random, 3))
				put_parameter(&draft, penstock_null());
			else if (j == 0 || chance(random, 2))
				/* Rising, so that most are new, and some are not. */
				put_number(&draft, (int64_t)(100 + list->count + random_below(random, 3)));
			else
				put_value(&draft);
		}
		append(list, statement);
	}
}
