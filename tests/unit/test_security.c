/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What others on the machine can do to a database of Penstock's, and what one statement can do to everybody else's.
 *
 * The clock is the tests' own (the linker gives clock_gettime to them): the SQL function later(HOURS) moves it, so no
 * verdict depends on the machine's speed.
 */
#include "tests/kit.h"

TestSuite(security, .init = kit_begin, .fini = harness_end);

static mode_t mode_of(const char *path)
{
	struct stat info;

	check(lstat(path, &info) == 0, "%s: %s", path, strerror(errno));
	return info.st_mode & 07777;
}

static void open_fails(const char *path, const penstock_config *config, const char *part)
{
	penstock *db;

	expect(penstock_open(path, config, &db), PENSTOCK_CANTOPEN);
	expect_message(path);
	expect_message(part);
}

static void submission_fails(penstock *db, const penstock_submission *submission, int code, const char *part)
{
	const penstock_result *result;
	penstock_handle *handle;

	expect(penstock_execute(db, submission, PENSTOCK_FOREVER, &handle), PENSTOCK_ERROR);
	result = penstock_handle_result(handle);
	check(result->code == code && strstr(result->message, part) != NULL, "%s: %d %s", submission->sql, result->code,
	      result->message);
	penstock_handle_release(handle);
}

static void statement_fails(penstock *db, const char *sql, int code, const char *part)
{
	submission_fails(db, &(penstock_submission){ .struct_size = sizeof(penstock_submission), .sql_bytes = -1, .sql = sql },
	                 code, part);
}

/* ---- the file's mode --------------------------------------------------------------------------------------------- */

static bool nothing_is_created;

int __wrap_mknod(const char *path, mode_t mode, dev_t device);
int __real_mknod(const char *path, mode_t mode, dev_t device);

int __wrap_mknod(const char *path, mode_t mode, dev_t device)
{
	if (!nothing_is_created)
		return __real_mknod(path, mode, device);
	errno = EPERM;
	return -1;
}

/* SQLite would, and leave it to the umask who may read it. */
Test(security, a_database_that_cannot_be_created_as_this_users_own_is_not_created)
{
	penstock_config config = kit_config();
	penstock *db = NULL;

	nothing_is_created = true;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	nothing_is_created = false;
	expect_message("cannot be created in");
	expect_message(strerror(EPERM));
	cr_assert(access(harness_path("test.db"), F_OK) != 0);
}

static void create_under(mode_t mask, const char *name, int autostart)
{
	static const char *const beside[] = { "", "-wal", "-shm" };
	penstock_config config = kit_config();
	char path[512];
	penstock *db;

	config.autostart = autostart;
	umask(mask);
	db = kit_open_path(harness_path(name), &config);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	umask(022);
	for (size_t i = 0; i < COUNT_OF(beside); i++) {
		snprintf(path, sizeof path, "%s%s", harness_path(name), beside[i]);
		check(mode_of(path) == 0600, "%s has mode %o under umask %o", path, mode_of(path), mask);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(security, a_new_database_is_its_users_alone_whatever_the_umask)
{
	create_under(0, "open.db", 1);
	create_under(022, "usual.db", 1);
	create_under(077, "strict.db", 0);
	create_under(0777, "strictest.db", 1);
}

static sqlite3_vfs watching, *below;

/* From here on SQLite asks `watching`, whose functions are those below but for what the test puts in their place. */
static void watch_files(void)
{
	below = sqlite3_vfs_find(NULL);
	watching = *below;
	watching.zName = "watching";
	check(sqlite3_vfs_register(&watching, 1) == SQLITE_OK);
}

static mode_t mode_when_opened;

static int watch_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	(void)vfs;
	if (flags & SQLITE_OPEN_MAIN_DB)
		mode_when_opened = mode_of(name);
	return below->xOpen(below, name, file, flags, out);
}

Test(security, at_no_time_is_a_new_database_more_open)
{
	penstock_config config = kit_config();

	watch_files();
	watching.xOpen = watch_open;
	umask(0);
	expect(penstock_close(kit_open(&config), PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(mode_when_opened, 0600);
}

Test(security, the_mode_of_a_database_that_is_there_stays)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(chmod(harness_path("test.db"), 0640) == 0);
	db = kit_open(&config);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(mode_of(harness_path("test.db")), 0640);
	cr_assert_eq(mode_of(harness_path("test.db-wal")), 0640);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- symbolic links ---------------------------------------------------------------------------------------------- */

static const char *link_to(const char *target, const char *name)
{
	check(symlink(target, harness_path(name)) == 0, "%s", strerror(errno));
	return harness_path(name);
}

Test(security, a_symbolic_link_is_refused_and_so_is_one_that_leads_nowhere)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	open_fails(link_to("test.db", "link.db"), &config, "follow_symlinks=yes");
	open_fails(link_to("created.db", "nowhere.db"), &config, "follow_symlinks=yes");
	cr_assert_neq(access(harness_path("created.db"), F_OK), 0);
	config.autostart = 0;
	open_fails(harness_path("link.db"), &config, "is a symbolic link");
}

/* Between the look at the path and SQLite's open. */
static int link_appears(sqlite3_vfs *vfs, const char *name, int bytes, char *whole)
{
	(void)vfs;
	if (strcmp(name, harness_path("new.db")) == 0) {
		check(unlink(name) == 0);
		link_to("test.db", "new.db");
	}
	return below->xFullPathname(below, name, bytes, whole);
}

Test(security, a_symbolic_link_that_appears_at_the_last_moment_is_refused)
{
	penstock_config config = kit_config();

	expect(penstock_close(kit_open_table(&config), PENSTOCK_FOREVER), PENSTOCK_OK);
	watch_files();
	watching.xFullPathname = link_appears;
	open_fails(harness_path("new.db"), &config, "is a symbolic link");
}

Test(security, a_link_that_takes_the_place_of_the_file_is_refused_to_readers_and_at_unpause)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	sqlite3 *reader;

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(rename(harness_path("test.db"), harness_path("moved.db")) == 0);
	link_to("moved.db", "test.db");
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("is a symbolic link");
	check(unlink(harness_path("test.db")) == 0 && rename(harness_path("moved.db"), harness_path("test.db")) == 0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(rename(harness_path("test.db"), harness_path("moved.db")) == 0);
	link_to("moved.db", "test.db");
	expect(penstock_reader_open(db, &reader), PENSTOCK_CANTOPEN);
	expect_message("is a symbolic link");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(security, links_among_the_folders_are_followed)
{
	penstock_config config = kit_config();
	penstock *db;
	sqlite3 *reader;

	check(mkdir(harness_path("real"), 0700) == 0);
	link_to("real", "alias");
	db = kit_open_path(harness_path("alias/test.db"), &config);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	check(sqlite3_close(reader) == SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("real/test.db"), "SELECT count(*) FROM t"), 0);
}

Test(security, follow_symlinks_leads_to_the_file)
{
	penstock_config config = kit_config();
	penstock *db;

	expect(penstock_close(kit_open_table(&config), PENSTOCK_FOREVER), PENSTOCK_OK);
	config.follow_symlinks = 1;
	db = kit_open_path(link_to("test.db", "link.db"), &config);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 1);
	open_fails(link_to("created.db", "nowhere.db"), &config, "leads nowhere");
	expect(penstock_close(kit_open_path(harness_path("fresh.db"), &config), PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(mode_of(harness_path("fresh.db")), 0600);
}

Test(security, a_uri_leads_through_no_symbolic_link)
{
	penstock_config config = kit_config();
	char uri[512];

	check(mkdir(harness_path("real"), 0700) == 0);
	link_to("real", "alias");
	link_to("real/test.db", "link.db");
	snprintf(uri, sizeof uri, "file:%s?psow=1", harness_path("link.db"));
	open_fails(uri, &config, "is a symbolic link");
	snprintf(uri, sizeof uri, "file:%s", harness_path("alias/test.db"));
	open_fails(uri, &config, "is a symbolic link");
	config.follow_symlinks = 1;
	expect(penstock_close(kit_open_path(uri, &config), PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(access(harness_path("real/test.db"), F_OK), 0);
}

Test(security, attach_leads_through_no_symbolic_link)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	char attach[512];

	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	snprintf(attach, sizeof attach, "ATTACH '%s' AS other", link_to("test.db", "link.db"));
	db = kit_open_path(harness_path("main.db"), &config);
	statement_fails(db, attach, SQLITE_CANTOPEN, "link.db");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.follow_symlinks = 1;
	db = kit_open_path(harness_path("main.db"), &config);
	expect(kit_execute(db, attach), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

#define STRANGER 65534

static void need_root(void)
{
	if (geteuid() != 0)
		cr_skip_test("only root can give a file to another user");
}

static void set_folder(uid_t user, gid_t group, mode_t mode)
{
	const char *folder = harness_make_folder();

	check(chown(folder, user, group) == 0, "%s", strerror(errno));
	check(chmod(folder, mode) == 0);
}

static void folder_is_refused(const char *part)
{
	penstock_config config = kit_config();

	open_fails(harness_path("test.db"), &config, part);
	expect_message("shared_folder=yes");
	cr_assert_neq(access(harness_path("test.db"), F_OK), 0);
	config.shared_folder = 1;
	expect(penstock_close(kit_open(&config), PENSTOCK_FOREVER), PENSTOCK_OK);
	check(unlink(harness_path("test.db")) == 0);
}

static void folder_is_taken(void)
{
	penstock_config config = kit_config();

	expect(penstock_close(kit_open(&config), PENSTOCK_FOREVER), PENSTOCK_OK);
	check(unlink(harness_path("test.db")) == 0);
}

Test(security, a_folder_that_everybody_can_write_to_is_refused_but_for_a_sticky_one)
{
	set_folder(geteuid(), getegid(), 0777);
	folder_is_refused("everybody");
	set_folder(geteuid(), getegid(), 01777);
	folder_is_taken();
	set_folder(geteuid(), getegid(), 0755);
	folder_is_taken();
}

Test(security, a_folder_that_another_group_can_write_to_is_refused_but_not_for_ones_own)
{
	set_folder(geteuid(), getegid(), 0775);
	folder_is_taken();
	need_root();
	set_folder(geteuid(), STRANGER, 0775);
	folder_is_refused("another group");
	set_folder(geteuid(), STRANGER, 0755);
	folder_is_taken();
	check(setegid(STRANGER) == 0);
	set_folder(geteuid(), STRANGER, 0775);
	folder_is_taken();
	check(setegid(0) == 0);
}

Test(security, a_folder_of_another_user_is_refused_but_not_roots)
{
	penstock_config config = kit_config();

	need_root();
	set_folder(STRANGER, getegid(), 0755);
	folder_is_refused("another user");
	set_folder(0, 0, 01777);
	check(setegid(STRANGER) == 0 && seteuid(STRANGER) == 0);
	folder_is_taken();
	check(seteuid(0) == 0 && setegid(0) == 0);
	set_folder(STRANGER + 1, STRANGER, 0777);
	check(setegid(STRANGER) == 0 && seteuid(STRANGER) == 0);
	open_fails(harness_path("test.db"), &config, "another user");
	check(seteuid(0) == 0 && setegid(0) == 0);
}

Test(security, a_file_that_another_user_has_put_into_a_sticky_folder_is_refused)
{
	static const char *const names[] = { "test.db", "test.db-wal", "test.db-shm", "test.db-journal" };
	penstock_config config = kit_config();

	need_root();
	set_folder(0, 0, 01777);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		FILE *file = fopen(harness_path(names[i]), "w");

		check(file != NULL && fclose(file) == 0 && chown(harness_path(names[i]), STRANGER, STRANGER) == 0);
		open_fails(harness_path("test.db"), &config, names[i]);
		expect_message("belongs to another user");
		check(unlink(harness_path(names[i])) == 0);
	}
	folder_is_taken();
}

Test(security, a_folder_opened_to_everybody_is_refused_to_readers_and_at_unpause)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	sqlite3 *reader;

	set_folder(geteuid(), getegid(), 0777);
	expect(penstock_reader_open(db, &reader), PENSTOCK_CANTOPEN);
	expect_message("everybody");
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("everybody");
	set_folder(geteuid(), getegid(), 0700);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(security, the_folder_of_a_uri_is_looked_at_too)
{
	penstock_config config = kit_config();
	char uri[512];

	snprintf(uri, sizeof uri, "file:%s", harness_path("test.db"));
	set_folder(geteuid(), getegid(), 0777);
	open_fails(uri, &config, "everybody");
	set_folder(geteuid(), getegid(), 0700);
	expect(penstock_close(kit_open_path(uri, &config), PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- a file that is not trusted ---------------------------------------------------------------------------------- */

/* As the hook finds them, on the connection opened last. */
static struct settings {
	int defensive, trusted_schema, load_extension;
} found;

static int look_hook(sqlite3 *connection, void *arg)
{
	sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, -1, &found.defensive);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, -1, &found.trusted_schema);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, -1, &found.load_extension);
	return kit_hook(connection, arg);
}

Test(security, writer_and_readers_distrust_the_file_as_far_as_is_configured)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;
	int trusted;

	config.connect_hook = look_hook;
	for (trusted = 1; trusted >= 0; trusted--) {
		config.trusted_schema = trusted ? PENSTOCK_UNSET : 0;
		found = (struct settings){ -1, -1, -1 };
		db = kit_open(&config);
		cr_assert(found.defensive == 1 && found.trusted_schema == trusted && found.load_extension == 0);
		found = (struct settings){ -1, -1, -1 };
		expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
		cr_assert(found.defensive == 1 && found.trusted_schema == trusted && found.load_extension == 0);
		check(sqlite3_close(reader) == SQLITE_OK);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
}

Test(security, the_schema_cannot_be_written_unless_defensive_is_off)
{
	static const char corrupt[] = "UPDATE sqlite_schema SET sql = 'CREATE TABLE t(b)' WHERE name = 't'";
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(kit_execute(db, "PRAGMA writable_schema = ON"), PENSTOCK_OK);
	statement_fails(db, corrupt, SQLITE_ERROR, "may not be modified");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.defensive = 0;
	db = kit_open(&config);
	expect(kit_execute(db, "PRAGMA writable_schema = ON"), PENSTOCK_OK);
	expect(kit_execute(db, corrupt), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(b) FROM t"), 0);
}

static int trusting_hook(sqlite3 *connection, void *arg)
{
	sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1, NULL);
	return kit_hook(connection, arg);
}

Test(security, a_trigger_calls_no_function_of_the_program_where_the_schema_is_not_trusted)
{
	static const char insert[] = "INSERT INTO t VALUES(1)";
	const penstock_pragma trust = PENSTOCK_PRAGMA("trusted_schema", "1"), distrust = PENSTOCK_PRAGMA("trusted_schema", "0");
	penstock_config config = kit_config();
	penstock *db;

	config.trusted_schema = 0;
	db = kit_open_table(&config);
	expect(kit_execute(db, "CREATE TRIGGER planted AFTER INSERT ON t BEGIN SELECT gate(); END"), PENSTOCK_OK);
	statement_fails(db, insert, SQLITE_ERROR, "unsafe use of gate()");
	cr_assert_eq(sql_gate.entered, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.pragmas = &trust;
	config.pragma_count = 1;
	db = kit_open(&config);
	expect(kit_execute(db, insert), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.pragma_count = 0;
	config.connect_hook = trusting_hook;
	db = kit_open(&config);
	expect(kit_execute(db, insert), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.connect_hook = kit_hook;
	config.trusted_schema = PENSTOCK_UNSET;
	db = kit_open(&config);
	expect(kit_execute(db, insert), PENSTOCK_OK);
	cr_assert_eq(sql_gate.entered, 3);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.pragmas = &distrust;
	config.pragma_count = 1;
	db = kit_open(&config);
	statement_fails(db, insert, SQLITE_ERROR, "unsafe use of gate()");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* What people have in their schemas, and a statement that uses it. */
static const struct schema {
	const char *ddl, *use;
} schemas[] = {
	{ "CREATE TABLE e(doc TEXT CHECK(json_valid(doc)))", "INSERT INTO e VALUES('{}')" },
	{ "CREATE TABLE e(doc TEXT, a AS (doc->>'a'))", "INSERT INTO e VALUES('{\"a\":1}')" },
	{ "CREATE TABLE e(doc TEXT, a AS (json_extract(doc, '$.a')) STORED)", "INSERT INTO e VALUES('{\"a\":1}')" },
	{ "CREATE TABLE e(doc TEXT); CREATE INDEX ei ON e(json_extract(doc, '$.a'))", "INSERT INTO e VALUES('{\"a\":1}')" },
	{ "CREATE TABLE e(doc TEXT); CREATE UNIQUE INDEX ei ON e(doc) WHERE json_valid(doc)", "INSERT INTO e VALUES('{}')" },
	{ "CREATE TABLE e(doc TEXT, a DEFAULT (json_object('b', 1)))", "INSERT INTO e(doc) VALUES('{}')" },
	{ "CREATE TABLE e(doc TEXT); CREATE VIEW v AS SELECT json_extract(doc, '$.a') FROM e", "SELECT * FROM v" },
	{ "CREATE TABLE e(doc TEXT); CREATE VIEW v AS SELECT value FROM e, json_each(e.doc)", "SELECT * FROM v" },
	{ "CREATE TABLE e(doc TEXT); CREATE TABLE l(a); CREATE TRIGGER r AFTER INSERT ON e BEGIN INSERT INTO l VALUES(NEW.doc->>'a'); END",
	  "INSERT INTO e VALUES('{\"a\":1}')" },
	{ "CREATE TABLE doc(id INTEGER PRIMARY KEY, b);"
	  "CREATE VIRTUAL TABLE ftx USING fts5(b, content='doc', content_rowid='id');"
	  "CREATE TRIGGER ai AFTER INSERT ON doc BEGIN INSERT INTO ftx(rowid, b) VALUES(NEW.id, NEW.b); END;"
	  "CREATE TRIGGER ad AFTER DELETE ON doc BEGIN INSERT INTO ftx(ftx, rowid, b) VALUES('delete', OLD.id, OLD.b); END",
	  "INSERT INTO doc(b) VALUES('one two')" },
	{ "CREATE TABLE doc(b); CREATE VIRTUAL TABLE f4 USING fts4(b);"
	  "CREATE TRIGGER ai AFTER INSERT ON doc BEGIN INSERT INTO f4(docid, b) VALUES(NEW.rowid, NEW.b); END",
	  "INSERT INTO doc(b) VALUES('one two')" },
	{ "CREATE TABLE place(id INTEGER PRIMARY KEY, x, y); CREATE VIRTUAL TABLE rt USING rtree(id, x0, x1, y0, y1);"
	  "CREATE TRIGGER ai AFTER INSERT ON place BEGIN INSERT INTO rt VALUES(NEW.id, NEW.x, NEW.x, NEW.y, NEW.y); END",
	  "INSERT INTO place(x, y) VALUES(1, 2)" },
};

static void forget_database(void)
{
	static const char *const names[] = { "test.db", "test.db-wal", "test.db-shm", "test.db-journal" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		unlink(harness_path(names[i]));
}

static void make_schema(const char *ddl)
{
	forget_database();
	kit_change(harness_path("test.db"), ddl);
	kit_change(harness_path("test.db"), "CREATE TABLE other(a)");
}

/* Opened in every way that the engine opens a file. */
Test(security, ordinary_schemas_open_and_work)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;

	for (size_t i = 0; i < COUNT_OF(schemas); i++) {
		for (config.autostart = 1; config.autostart >= 0; config.autostart--) {
			make_schema(schemas[i].ddl);
			db = kit_open(&config);
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(kit_execute(db, schemas[i].use), PENSTOCK_OK);
			expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
			check(sqlite3_exec(reader, "SELECT * FROM other", NULL, NULL, NULL) == SQLITE_OK);
			check(sqlite3_close(reader) == SQLITE_OK);
			expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(kit_execute(db, "DELETE FROM other"), PENSTOCK_OK);
			expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		}
		check(kit_ask(harness_path("test.db"), "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1, "%s",
		      schemas[i].ddl);
	}
}

/* By the key or by the pragma, whatever of it fails in this version. */
Test(security, ordinary_schemas_open_where_they_are_not_trusted)
{
	const penstock_pragma distrust = PENSTOCK_PRAGMA("Trusted_Schema", "off");
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;

	config.pragmas = &distrust;
	for (size_t i = 0; i < COUNT_OF(schemas); i++) {
		make_schema(schemas[i].ddl);
		for (config.pragma_count = 0; config.pragma_count <= 1; config.pragma_count++) {
			config.trusted_schema = config.pragma_count == 1 ? PENSTOCK_UNSET : 0;
			db = kit_open(&config);
			expect(kit_execute(db, "INSERT INTO other VALUES(1)"), PENSTOCK_OK);
			expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
			check(sqlite3_exec(reader, "SELECT * FROM other", NULL, NULL, NULL) == SQLITE_OK);
			check(sqlite3_close(reader) == SQLITE_OK);
			expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		}
	}
}

static void sound(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int(context, 1);
}

/* It is not innocuous. (Of one that is not deterministic either, some versions do not ask that in a CHECK.) */
static int sound_hook(sqlite3 *connection, void *arg)
{
	sqlite3_create_function(connection, "sound", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sound, NULL, NULL);
	return kit_hook(connection, arg);
}

/* Whatever the schema calls, only what uses it fails. */
static void distrusted_but_read(penstock *db)
{
	penstock_handle *handles[3];

	expect(kit_execute(db, "INSERT INTO other VALUES(1)"), PENSTOCK_OK);
	statement_fails(db, "INSERT INTO checked VALUES(1)", SQLITE_ERROR, "unsafe use of sound()");
	/* A transaction that changed the schema is rolled back, by a neighbour... */
	kit_block(db);
	expect(kit_submit(db, "CREATE TABLE made(a)", 0, &handles[0]), PENSTOCK_OK);
	expect(kit_submit(db, "INSERT OR ROLLBACK INTO other VALUES(NULL)", 0, &handles[1]), PENSTOCK_OK);
	expect(kit_submit(db, "INSERT INTO other VALUES(2)", 0, &handles[2]), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_handle_wait(handles[0], PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handles[1], PENSTOCK_FOREVER), PENSTOCK_ERROR);
	check(penstock_handle_result(handles[1])->code == SQLITE_CONSTRAINT, "%s", penstock_handle_result(handles[1])->message);
	expect(penstock_handle_wait(handles[2], PENSTOCK_FOREVER), PENSTOCK_OK);
	for (size_t i = 0; i < COUNT_OF(handles); i++)
		penstock_handle_release(handles[i]);
	/* ...or by itself, alone... */
	statement_fails(db, "CREATE TABLE failed AS SELECT abs(-9223372036854775808) AS a", SQLITE_ERROR, "overflow");
	expect(kit_execute(db, "INSERT INTO other VALUES(3)"), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT count(*) FROM other"), PENSTOCK_OK);
	expect(kit_execute(db, "PRAGMA user_version"), PENSTOCK_OK);
	/* ...and another process changes it. */
	kit_change(harness_path("test.db"), "CREATE TABLE theirs(a)");
	expect(kit_execute(db, "INSERT INTO theirs VALUES(4)"), PENSTOCK_OK);
	kit_change(harness_path("test.db"), "DROP TABLE theirs");
	kit_block(db);
	expect(kit_submit(db, "INSERT INTO other VALUES(4)", 0, &handles[0]), PENSTOCK_OK);
	expect(kit_submit(db, "INSERT INTO other VALUES(5)", 0, &handles[1]), PENSTOCK_OK);
	kit_unblock();
	for (size_t i = 0; i < 2; i++) {
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(handles[i]);
	}
	statement_fails(db, "INSERT INTO checked VALUES(1)", SQLITE_ERROR, "unsafe use of sound()");
	expect(kit_execute(db, "DROP TABLE made"), PENSTOCK_OK);
}

Test(security, a_schema_that_is_not_trusted_is_read_again_and_again)
{
	penstock_submission durable = { .struct_size = sizeof durable,
		                        .sql_bytes = -1,
		                        .sql = "DELETE FROM other WHERE a > 100",
		                        .ack = PENSTOCK_ACK_DURABLE };
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = sound_hook;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE checked(a CHECK(sound(a)))"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE other(a NOT NULL)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.trusted_schema = 0;
	config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
	db = kit_open(&config);
	distrusted_but_read(db);
	/* SQLite forgets the schema, and the engine reads its settings behind that: a commit is durable by itself. */
	statement_fails(db, "VACUUM", SQLITE_ERROR, "unsafe use of sound()");
	expect(penstock_execute(db, &durable, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).wal_syncs, 0);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	distrusted_but_read(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM other"), 10);
	cr_assert_eq(sql_gate.entered, 4);
}

static int loading_hook(sqlite3 *connection, void *arg)
{
	check(sqlite3_enable_load_extension(connection, 1) == SQLITE_OK);
	return kit_hook(connection, arg);
}

Test(security, no_extension_is_loaded_unless_the_hook_allows_it)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	char *message = NULL;
	sqlite3 *reader;

	statement_fails(db, "SELECT load_extension('nowhere')", SQLITE_ERROR, "not authorized");
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	cr_assert_eq(sqlite3_load_extension(reader, "nowhere", NULL, &message), SQLITE_ERROR);
	cr_assert_str_eq(message, "not authorized");
	sqlite3_free(message);
	check(sqlite3_close(reader) == SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.connect_hook = loading_hook;
	db = kit_open(&config);
	statement_fails(db, "SELECT load_extension('nowhere')", SQLITE_ERROR, "nowhere");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- a deadline for each statement ------------------------------------------------------------------------------- */

#define HOUR_MS 3600000
#define ENDLESS "WITH RECURSIVE c(x) AS (SELECT later(1) UNION ALL SELECT later(1) FROM c) SELECT count(*) FROM c"

static _Atomic time_t hours, minutes;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __real_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = __real_clock_gettime(clock, now);

	now->tv_sec += hours * 3600 + minutes * 60;
	return result;
}

static void later(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	hours += sqlite3_value_int(values[0]);
	sqlite3_result_int(context, 1);
}

/* Comparing takes an hour. */
static int compare_late(void *arg, int a_bytes, const void *a, int b_bytes, const void *b)
{
	(void)arg;
	hours++;
	return a_bytes != b_bytes ? a_bytes - b_bytes : memcmp(a, b, (size_t)a_bytes);
}

static int clock_hook(sqlite3 *connection, void *arg)
{
	int code = sqlite3_create_function_v2(connection, "later", 1, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, later, NULL, NULL,
	                                      NULL);

	if (code == SQLITE_OK)
		code = sqlite3_create_collation(connection, "late", SQLITE_UTF8, NULL, compare_late);
	return code == SQLITE_OK ? kit_hook(connection, arg) : code;
}

/* Five hours for a statement. */
static penstock_config clock_config(void)
{
	penstock_config config = kit_config();

	config.connect_hook = clock_hook;
	config.statement_timeout_ms = 5 * HOUR_MS;
	return config;
}

static struct heard {
	_Atomic unsigned outcomes;
	penstock_status status;
	int code;
	char message[128];
} heard[300];

static void on_outcome(void *arg, const penstock_result *result)
{
	struct heard *one = arg;

	one->status = result->status;
	one->code = result->extended_code;
	snprintf(one->message, sizeof one->message, "%s", result->message);
	one->outcomes++;
}

static void submit_heard(penstock *db, size_t number, const char *sql)
{
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = sql, .on_complete = on_outcome, .arg = &heard[number]
	};

	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
}

static void expect_interrupted(size_t number)
{
	check(heard[number].outcomes == 1, "%zu: %u", number, heard[number].outcomes);
	check(heard[number].status == PENSTOCK_ERROR && heard[number].code == SQLITE_INTERRUPT, "%zu: %d", number,
	      heard[number].code);
	check(strstr(heard[number].message, "statement_timeout_ms (18000000)") != NULL, "%s", heard[number].message);
}

Test(security, a_statement_that_never_ends_is_interrupted_alone)
{
	penstock_config config = clock_config();
	penstock *db = kit_open_table(&config);
	penstock_counters counters;

	statement_fails(db, ENDLESS, SQLITE_INTERRUPT, "statement_timeout_ms (18000000)");
	statement_fails(db, "INSERT INTO t " ENDLESS, SQLITE_INTERRUPT, "statement_timeout_ms (18000000)");
	statement_fails(db, "INSERT INTO t " ENDLESS " RETURNING a", SQLITE_INTERRUPT, "statement_timeout_ms (18000000)");
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	counters = kit_counters(db);
	cr_assert(counters.failed == 3 && counters.committed == 2);
	cr_assert_eq(penstock_phase_of(db), PENSTOCK_PHASE_RUNNING);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 1);
}

/* Reads and writes among ten others, all in one batch. */
Test(security, a_statement_that_never_ends_is_interrupted_in_a_batch_and_the_others_are_untouched)
{
	penstock_config config = clock_config();
	penstock *db = kit_open_table(&config);
	penstock_counters counters;

	kit_block(db);
	for (size_t i = 0; i < 12; i++)
		submit_heard(db, i, i == 3 ? "INSERT INTO t " ENDLESS : i == 8 ? ENDLESS : "INSERT INTO t VALUES(1)");
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (size_t i = 0; i < 12; i++) {
		if (i == 3 || i == 8)
			expect_interrupted(i);
		else
			check(heard[i].outcomes == 1 && heard[i].status == PENSTOCK_OK, "%zu: %s", i, heard[i].message);
	}
	counters = kit_counters(db);
	cr_assert(counters.failed == 2 && counters.committed == 12 && counters.replayed_batches > 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 10);
}

/* Each takes four hours of its five, also those that run again because of a neighbour. */
Test(security, every_statement_of_a_batch_has_the_whole_time)
{
	static const char slow[] =
		"INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400) "
		"SELECT count(*) FROM c WHERE x % 100 = 0 AND later(1)";
	penstock_config config = clock_config();
	penstock *db = kit_open_table(&config);

	kit_block(db);
	for (size_t i = 0; i < 12; i++)
		submit_heard(db, i, i == 8 ? "INSERT INTO t " ENDLESS : slow);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (size_t i = 0; i < 12; i++) {
		if (i == 8)
			expect_interrupted(i);
		else
			check(heard[i].outcomes == 1 && heard[i].status == PENSTOCK_OK, "%zu: %s", i, heard[i].message);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t WHERE a = 4"), 11);
}

/* Each row takes an hour; 256 of them are one INSERT. */
Test(security, inserts_that_are_too_slow_as_one_run_one_by_one)
{
	const size_t rows = 256;
	penstock_config config = clock_config();
	penstock_statement *insert;
	penstock_counters counters;
	penstock *db;

	config.fuse_rows = (int64_t)rows;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a CHECK(a = 'one' COLLATE late))"), PENSTOCK_OK);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &insert), PENSTOCK_OK);
	kit_block(db);
	for (size_t i = 0; i < rows; i++) {
		penstock_value value = penstock_text("one");
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .statement = insert,
			                           .values = &value,
			                           .value_count = 1 };

		expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	counters = kit_counters(db);
	check(counters.failed == 0 && counters.fused == 0 && counters.replayed_batches == 1,
	      "%" PRIu64 " failed, %" PRIu64 " fused, %" PRIu64 " replayed", counters.failed, counters.fused,
	      counters.replayed_batches);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq((size_t)kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), rows);
}

static int slow_commit(void *arg)
{
	(void)arg;
	hours += 6;
	return 0;
}

static int slow_commit_hook(sqlite3 *connection, void *arg)
{
	sqlite3_commit_hook(connection, slow_commit, NULL);
	return clock_hook(connection, arg);
}

/*
 * Each commit takes six hours, and the number of steps of the statements moves through all that the handler's thousand
 * may fall on, the last of the statement and those of COMMIT among them.
 */
Test(security, a_commit_is_not_interrupted)
{
	static const char insert[] =
		"INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 60) "
		"SELECT max(x) FROM c";
	penstock_config config = clock_config();
	penstock_counters counters;
	penstock *db;

	config.connect_hook = slow_commit_hook;
	config.batch_max = 3;
	config.wal_bytes_max = 65536;
	db = kit_open_table(&config);
	for (size_t i = 0; i < 2000; i++)
		expect(kit_execute(db, insert), PENSTOCK_OK);
	for (size_t i = 0; i < 6000; i++)
		expect(kit_submit(db, insert, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	counters = kit_counters(db);
	check(counters.failed == 0 && counters.replayed_batches == 0 && counters.checkpoints > 0,
	      "%" PRIu64 " failed, %" PRIu64 " replayed, %" PRIu64 " checkpoints", counters.failed, counters.replayed_batches,
	      counters.checkpoints);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 8000);
}

static sqlite3 *_Atomic outsider;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __real_nanosleep(const struct timespec *time, struct timespec *left);

/* The lock is to be had after half an hour, in which the writer sleeps. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	if (ps_in_callback() && outsider != NULL) {
		minutes += 30;
		check(sqlite3_exec(outsider, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
		check(sqlite3_close(outsider) == SQLITE_OK);
		outsider = NULL;
	}
	return __real_nanosleep(time, left);
}

Test(security, the_time_spent_waiting_for_a_lock_does_not_count)
{
	penstock_config config = clock_config();
	sqlite3 *connection;
	penstock *db;

	config.statement_timeout_ms = 20 * 60 * 1000;
	config.busy_timeout_ms = 60 * 60 * 1000;
	config.busy_limit_ms = 0;
	db = kit_open_table(&config);
	check(sqlite3_open(harness_path("test.db"), &connection) == SQLITE_OK);
	check(sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	outsider = connection;
	expect(kit_execute(db, "INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400) "
	                       "SELECT count(*) FROM c"),
	       PENSTOCK_OK);
	cr_assert_eq(minutes, 30);
	cr_assert_eq(kit_counters(db).busy_retries, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static int interrupt_all(void *arg)
{
	(void)arg;
	return 1;
}

static int interrupting_hook(sqlite3 *connection, void *arg)
{
	sqlite3_progress_handler(connection, 1, interrupt_all, NULL);
	return kit_hook(connection, arg);
}

Test(security, the_progress_handler_of_the_hook_gives_way_to_the_engines)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = interrupting_hook;
	db = kit_open_table(&config);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static sqlite3_stmt *left_open[2];
static int left_count;

/* Prepares the text that it is given. */
static void leave_open(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	check(sqlite3_prepare_v2(sqlite3_context_db_handle(context), (const char *)sqlite3_value_text(values[0]), -1,
	                         &left_open[left_count++], NULL) == SQLITE_OK);
	sqlite3_result_int(context, 1);
}

static int leaving_hook(sqlite3 *connection, void *arg)
{
	left_count = 0;
	sqlite3_create_function(connection, "leave_open", 1, SQLITE_UTF8, NULL, leave_open, NULL, NULL);
	return clock_hook(connection, arg);
}

/* SQLite keeps the connection for it; the engine is gone (AddressSanitizer would tell). */
Test(security, a_statement_that_a_function_left_open_has_no_deadline_after_the_engine_is_closed)
{
	penstock_config config = clock_config();
	penstock *db;

	config.connect_hook = leaving_hook;
	db = kit_open(&config);
	expect(kit_execute(db,
	                   "SELECT leave_open('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400) "
	                   "SELECT count(*) FROM c')"),
	       PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(sqlite3_step(left_open[0]), SQLITE_ROW);
	cr_assert_eq(sqlite3_column_int(left_open[0], 0), 400);
	cr_assert_eq(sqlite3_finalize(left_open[0]), SQLITE_OK);
}

/* What the engine has put in place of SQLite's is there as long as the connection (AddressSanitizer would tell). */
Test(security, statements_that_a_function_left_open_outlive_the_engine)
{
	penstock_config config = clock_config();
	sqlite3_stmt *counting, *writing;
	sqlite3 *holder;
	penstock *db;

	config.connect_hook = leaving_hook;
	db = kit_open_table(&config);
	expect(kit_execute(db, "INSERT INTO t VALUES(1), (2), (3)"), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT leave_open('SELECT changes(), total_changes()'), leave_open('INSERT INTO t VALUES(5)')"),
	       PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	counting = left_open[0];
	writing = left_open[1];
	cr_assert_eq(sqlite3_step(counting), SQLITE_ROW);
	cr_assert_eq(sqlite3_column_int(counting, 0), 3);
	cr_assert_eq(sqlite3_column_int(counting, 1), 3);
	cr_assert_eq(sqlite3_reset(counting), SQLITE_OK);
	check(sqlite3_open(harness_path("test.db"), &holder) == SQLITE_OK);
	check(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	cr_assert_eq(sqlite3_step(writing), SQLITE_BUSY);
	cr_assert_eq(sqlite3_reset(writing), SQLITE_BUSY);
	check(sqlite3_close(holder) == SQLITE_OK);
	cr_assert_eq(sqlite3_step(writing), SQLITE_DONE);
	cr_assert_eq(sqlite3_step(counting), SQLITE_ROW);
	cr_assert_eq(sqlite3_column_int(counting, 1), 4);
	cr_assert_eq(sqlite3_finalize(counting), SQLITE_OK);
	cr_assert_eq(sqlite3_finalize(writing), SQLITE_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 4);
}

static int refusing_hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	check(sqlite3_prepare_v2(connection, "SELECT 1", -1, &left_open[0], NULL) == SQLITE_OK);
	return SQLITE_ERROR;
}

Test(security, refused_connection_ends_with_the_statement_that_its_hook_left_open)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = refusing_hook;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	cr_assert_eq(sqlite3_finalize(left_open[0]), SQLITE_OK);
	cr_assert_eq(kit_open_files(harness_path("test.db")), 0);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static penstock_submission with_value(const char *sql, const penstock_value *value)
{
	return (penstock_submission){
		.struct_size = sizeof(penstock_submission), .sql_bytes = -1, .sql = sql, .values = value, .value_count = 1
	};
}

static int execute_value(penstock *db, const char *sql, penstock_value value)
{
	penstock_submission submission = with_value(sql, &value);

	return penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL);
}

static void value_fails(penstock *db, const char *sql, penstock_value value, int code, const char *part)
{
	penstock_submission submission = with_value(sql, &value);

	submission_fails(db, &submission, code, part);
}

Test(security, a_text_longer_than_sql_bytes_max_is_refused)
{
	static const char insert[] = "INSERT INTO t VALUES(1)";
	penstock_config config = kit_config();
	char text[2050];
	sqlite3 *reader;
	penstock *db;

	config.sql_bytes_max = 2048;
	db = kit_open_table(&config);
	snprintf(text, sizeof text, "%s%*s", insert, (int)(2048 - strlen(insert)), "");
	expect(kit_execute(db, text), PENSTOCK_OK);
	snprintf(text, sizeof text, "%s%*s", insert, (int)(2049 - strlen(insert)), "");
	statement_fails(db, text, SQLITE_TOOBIG, "sql_bytes_max");
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	cr_assert_eq(sqlite3_limit(reader, SQLITE_LIMIT_SQL_LENGTH, -1), 2048);
	check(sqlite3_close(reader) == SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 1);
}

Test(security, a_value_longer_than_value_bytes_max_is_refused)
{
	static const char insert[] = "INSERT INTO t VALUES(?)", data[2000];
	penstock_config config = kit_config();
	penstock *db;
	sqlite3 *reader;

	config.value_bytes_max = 1500;
	db = kit_open_table(&config);
	expect(execute_value(db, insert, penstock_blob(data, 1400)), PENSTOCK_OK);
	value_fails(db, insert, penstock_blob(data, 1501), SQLITE_TOOBIG, "value_bytes_max");
	value_fails(db, insert, penstock_text_bytes(data, 1501), SQLITE_TOOBIG, "value_bytes_max");
	value_fails(db, "INSERT INTO t VALUES(zeroblob(?))", penstock_int64(1501), SQLITE_TOOBIG, "value_bytes_max");
	{
		penstock_value values[] = { penstock_blob(data, 1501), penstock_int64(1) };
		penstock_submission submission = with_value("INSERT INTO t SELECT ? WHERE ?", values);

		submission.value_count = COUNT_OF(values);
		submission_fails(db, &submission, SQLITE_TOOBIG, "value_bytes_max");
	}
	value_fails(db, "INSERT INTO t SELECT a || a FROM t WHERE ?", penstock_int64(1), SQLITE_TOOBIG, "value_bytes_max");
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	cr_assert_eq(sqlite3_limit(reader, SQLITE_LIMIT_LENGTH, -1), 1500);
	check(sqlite3_close(reader) == SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 1);
}

Test(security, one_value_that_is_too_long_fails_alone_among_inserts_that_run_as_one)
{
	static const char data[2000];
	penstock_config config = kit_config();
	penstock_statement *insert;
	penstock *db;

	config.value_bytes_max = 1500;
	db = kit_open_table(&config);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &insert), PENSTOCK_OK);
	kit_block(db);
	for (size_t i = 0; i < 64; i++) {
		penstock_value value = penstock_blob(data, i == 40 ? 1501 : 1000);
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .statement = insert,
			                           .values = &value,
			                           .value_count = 1 };

		expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).failed, 1);
	cr_assert(kit_counters(db).fused > 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 63);
}

/* ---- what messages tell ------------------------------------------------------------------------------------------ */

#define SECRET "hunter2-correct-horse"

static _Atomic unsigned told; /* messages that were looked at */

static void tells_nothing(const char *message)
{
	told++;
	check(strstr(message, SECRET) == NULL, "%s", message);
}

static void on_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	(void)event;
	tells_nothing(message);
}

static void on_secret_error(void *arg, const penstock_result *result)
{
	(void)arg;
	/* Of the statement that broke the engine: in the words of the function. */
	if (result->status != PENSTOCK_UNKNOWN)
		tells_nothing(result->message);
}

/* Fails as a disk would, and says with what; the database's file has a failure to tell of, too. */
static void babble(sqlite3_context *context, int count, sqlite3_value **values)
{
	sqlite3_file *file;

	(void)count;
	sqlite3_file_control(sqlite3_context_db_handle(context), "main", SQLITE_FCNTL_FILE_POINTER, &file);
	cr_assert_neq(file->pMethods->xTruncate(file, -1), SQLITE_OK);
	sqlite3_result_error(context, (const char *)sqlite3_value_text(values[0]), -1);
	sqlite3_result_error_code(context, SQLITE_IOERR_WRITE);
}

static int allow_commit(void *arg)
{
	(void)arg;
	return 0;
}

static int babble_hook(sqlite3 *connection, void *arg)
{
	/* So that nobody can tell whether the commit had begun. */
	sqlite3_commit_hook(connection, allow_commit, NULL);
	sqlite3_create_function(connection, "babble", 1, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, babble, NULL, NULL);
	return clock_hook(connection, arg);
}

static penstock_config secret_config(void)
{
	penstock_config config = clock_config();

	config.connect_hook = babble_hook;
	config.log = on_log;
	config.on_error = on_secret_error;
	return config;
}

Test(security, no_message_and_no_log_tells_a_value)
{
	static const struct {
		const char *sql;
		int code;
	} failing[] = {
		{ "INSERT INTO s(u) VALUES(?)", SQLITE_CONSTRAINT },
		{ "INSERT INTO s(u, c) VALUES(1, ?)", SQLITE_CONSTRAINT },
		{ "INSERT INTO s(u, n) SELECT ?, NULL", SQLITE_CONSTRAINT },
		{ "INSERT INTO s(u, i) VALUES(2, ?)", SQLITE_CONSTRAINT },
		{ "INSERT INTO s(u, f) VALUES(3, ? || '!')", SQLITE_CONSTRAINT },
		{ "INSERT INTO s(rowid) VALUES(?)", SQLITE_MISMATCH },
		{ "INSERT INTO r(a) VALUES(?)", SQLITE_CONSTRAINT },
		{ "INSERT INTO s(u) SELECT abs(-9223372036854775808) WHERE ? <> ''", SQLITE_ERROR },
		{ "INSERT INTO s(u) SELECT ? || zeroblob(2000)", SQLITE_TOOBIG },
		{ "INSERT INTO nowhere VALUES(?)", SQLITE_ERROR },
		{ "SELECT ?, ?", SQLITE_RANGE },
		{ "BEGIN -- ?", SQLITE_AUTH },
		{ "INSERT INTO s(u) SELECT ? FROM (" ENDLESS ")", SQLITE_INTERRUPT },
	};
	penstock_config config = secret_config();
	penstock *db;

	config.value_bytes_max = 1500;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE s(u UNIQUE DEFAULT 'u', c TEXT CHECK(length(c) < 3), n TEXT NOT NULL "
	                       "DEFAULT '', i INT CHECK(typeof(i) = 'integer') DEFAULT 1, f REFERENCES s(u))"),
	       PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE r(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TRIGGER no BEFORE INSERT ON r BEGIN SELECT RAISE(ABORT, 'no'); END"), PENSTOCK_OK);
	expect(kit_execute(db, "PRAGMA foreign_keys = ON"), PENSTOCK_OK);
	expect(execute_value(db, "INSERT INTO s(u) VALUES(?)", penstock_text(SECRET)), PENSTOCK_OK);
	told = 0;
	/* Alone, and among others. */
	for (size_t i = 0; i < COUNT_OF(failing); i++) {
		value_fails(db, failing[i].sql, penstock_text(SECRET), failing[i].code, "");
		tells_nothing(penstock_error_message());
	}
	kit_block(db);
	for (size_t i = 0; i < COUNT_OF(failing); i++) {
		penstock_value value = penstock_text(SECRET);
		penstock_submission submission = with_value(failing[i].sql, &value);

		expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(told, 2 * COUNT_OF(failing));
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The failure of the engine is everybody's to read, and the log's. */
Test(security, the_failure_of_the_engine_tells_no_value_when_a_statement_brought_it_about)
{
	enum { COUNT = 2 };
	static const char insert[] = "INSERT INTO t VALUES(?)";
	penstock_config config = secret_config();
	char failure[300];
	penstock *db;

	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a CHECK(a = 1 OR babble(a)))"), PENSTOCK_OK);
	told = 0;
	kit_block(db);
	for (size_t i = 0; i < COUNT; i++) {
		penstock_value value = i + 1 == COUNT ? penstock_text(SECRET) : penstock_int64(1);
		penstock_submission submission = {
			.struct_size = sizeof submission, .sql_bytes = -1, .sql = insert, .values = &value, .value_count = 1
		};

		submission.on_complete = on_outcome;
		submission.arg = &heard[i];
		expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	kit_await_phase(db, PENSTOCK_PHASE_FAILED);
	cr_assert_eq(penstock_failure(db, failure, sizeof failure), SQLITE_IOERR_WRITE);
	tells_nothing(failure);
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_FAILED);
	tells_nothing(penstock_error_message());
	/* Its own outcome is in the words of the function. */
	check(strstr(heard[COUNT - 1].message, SECRET) != NULL, "%s", heard[COUNT - 1].message);
	for (size_t i = 0; i + 1 < COUNT; i++)
		tells_nothing(heard[i].message);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert(told > 2);
}

Test(security, the_value_of_a_pragma_is_not_told)
{
	const penstock_pragma pragma = PENSTOCK_PRAGMA("encoding", "'" SECRET "'");
	penstock_config config = kit_config();
	penstock *db;

	config.pragmas = &pragma;
	config.pragma_count = 1;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CONFIG);
	expect_message("encoding");
	tells_nothing(penstock_error_message());
}
