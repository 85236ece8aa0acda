/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract beside the state machine: what a submission may ask for and is refused, where calls are misuse, fork,
 * readers, hooks, the writer's thread, counters, opening. (test_states.c has the verbs, test_handle.c the results.)
 */
#include "queue/record.h"
#include "tests/kit.h"

#include <sys/mman.h>
#include <sys/wait.h>

TestSuite(contract, .init = kit_begin, .fini = harness_end);

static int64_t rows(void)
{
	return kit_ask(harness_path("test.db"), "SELECT count(*) FROM t");
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void open_fails(const char *path, const penstock_config *config, int status, const char *part)
{
	penstock *db = (penstock *)1;

	for (int autostart = 0; autostart <= 1; autostart++) {
		penstock_config own;

		if (config != NULL)
			own = *config;
		else
			penstock_config_init(&own);
		own.autostart = autostart;
		db = (penstock *)1;
		expect(penstock_open(path, &own, &db), status);
		expect_message(part);
		cr_assert_null(db);
	}
}

Test(contract, open_says_what_is_wrong_with_the_path)
{
	char uri[512];
	FILE *file;

	open_fails(harness_path("missing/test.db"), NULL, PENSTOCK_CANTOPEN, "missing");
	expect_message("folder");
	open_fails(harness_make_folder(), NULL, PENSTOCK_CANTOPEN, "is a folder");
	open_fails(":memory:", NULL, PENSTOCK_CANTOPEN, "memory");
	open_fails("file::memory:", NULL, PENSTOCK_CANTOPEN, "file::memory:");
	open_fails("file::memory:?cache=shared", NULL, PENSTOCK_CANTOPEN, "memory");
	snprintf(uri, sizeof uri, "file:%s?cache=shared", harness_path("test.db"));
	open_fails(uri, NULL, PENSTOCK_CANTOPEN, "cache=shared readers");
	open_fails("", NULL, PENSTOCK_MISUSE, "empty");
	open_fails(NULL, NULL, PENSTOCK_MISUSE, "NULL");
	expect(penstock_open("x.db", NULL, NULL), PENSTOCK_MISUSE);
	file = fopen(harness_path("text.db"), "w");
	for (int i = 0; i < 1000; i++)
		fputs("no database at all\n", file);
	fclose(file);
	open_fails(harness_path("text.db"), NULL, PENSTOCK_CANTOPEN, "not an SQLite database");
	open_fails(harness_path("text.db/test.db"), NULL, PENSTOCK_CANTOPEN, "text.db");
	cr_assert_eq(kit_open_files(harness_make_folder()), 0);
	await(kit_find_writer() == 0); /* joined, yet the kernel may list it for a moment */
}

#ifndef PENSTOCK_RQLITE
Test(contract, a_cluster_is_refused_where_it_is_not_built_in)
{
	open_fails("rqlite://127.0.0.1:4001/", NULL, PENSTOCK_CANTOPEN, "Meson option rqlite");
}
#endif

Test(contract, read_only_files_are_refused)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(chmod(harness_path("test.db"), 0400), 0);
	if (access(harness_path("test.db"), W_OK) == 0)
		cr_skip_test("this user (root) may write to read-only files");
	open_fails(harness_path("test.db"), NULL, PENSTOCK_CANTOPEN, "test.db");
}

Test(contract, pragmas_are_checked_at_open)
{
	penstock_pragma slip = PENSTOCK_PRAGMA("chache_size", "-4000"), mode = PENSTOCK_PRAGMA("journal_mode", "delete");
	penstock_pragma slip_first[] = { slip, PENSTOCK_PRAGMA("cache_size", "-4321") };
	penstock_pragma good[] = { PENSTOCK_PRAGMA("page_size", "8192"), PENSTOCK_PRAGMA("cache_size", "-4321"),
		                   PENSTOCK_PRAGMA("journal_mode", "wal") };
	penstock_config config;
	sqlite3 *reader;
	sqlite3_stmt *statement;
	FILE *file;
	penstock *db;

	penstock_config_init(&config);
	config.pragma_count = 1;
	config.pragmas = &slip;
	open_fails(harness_path("test.db"), &config, PENSTOCK_CONFIG, "config: ");
	expect_message("chache_size");
	config.pragmas = slip_first;
	config.pragma_count = COUNT_OF(slip_first);
	open_fails(harness_path("test.db"), &config, PENSTOCK_CONFIG, "chache_size");
	config.pragma_count = 1;
	config.pragmas = &mode;
	open_fails(harness_path("test.db"), &config, PENSTOCK_CONFIG, "journal_mode");
	expect_message("WAL");
	penstock_config_init(&config);
	file = fopen(harness_path("app.ini"), "w");
	fputs("batch_max = 5\n[pragmas]\nchache_size = -4000\n", file);
	fclose(file);
	config.config_file = harness_path("app.ini");
	open_fails(harness_path("test.db"), &config, PENSTOCK_CONFIG, "app.ini:3");
	config.config_file = harness_path("none.ini");
	open_fails(harness_path("test.db"), &config, PENSTOCK_CANTOPEN, "none.ini");
	unlink(harness_path("test.db"));

	penstock_config_init(&config);
	config.pragmas = good;
	config.pragma_count = COUNT_OF(good);
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "PRAGMA page_size"), 8192);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	check(sqlite3_prepare_v2(reader, "PRAGMA cache_size", -1, &statement, NULL) == SQLITE_OK);
	check(sqlite3_step(statement) == SQLITE_ROW);
	cr_assert_eq(sqlite3_column_int(statement, 0), -4321);
	sqlite3_finalize(statement);
	sqlite3_close(reader);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, quoted_pragmas_and_those_that_sqlite_refuses)
{
	penstock_pragma quoted[] = { PENSTOCK_PRAGMA("user_version", "'7'"), PENSTOCK_PRAGMA("Application_ID", "\"9\"") };
	penstock_pragma refused = PENSTOCK_PRAGMA("encoding", "'utf-7'");
	penstock_config config;
	penstock *db;

	penstock_config_init(&config);
	config.pragmas = &refused;
	config.pragma_count = 1;
	open_fails(harness_path("test.db"), &config, PENSTOCK_CONFIG, "config: PRAGMA encoding ");
	config.pragmas = quoted;
	config.pragma_count = COUNT_OF(quoted);
	db = kit_open(&config);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "PRAGMA user_version"), 7);
	cr_assert_eq(kit_ask(harness_path("test.db"), "PRAGMA application_id"), 9);
}

/* ---- pragmas come before anything that reads the file ---- */

/* A VFS that stands for an encryption: what is read before its key is an error. It takes the pragma `vfs_key`. */
static struct {
	const sqlite3_io_methods *real;
	sqlite3_io_methods methods;
	sqlite3_vfs vfs;
	const sqlite3_vfs *below;
	bool key_given;
	unsigned keys, reads;
} locked_file;

static int read_with_key(sqlite3_file *file, void *data, int bytes, sqlite3_int64 offset)
{
	/* But for the file's header, which sqlite3_open looks at. */
	check(locked_file.key_given || (bytes == 100 && offset == 0), "%d bytes at %lld were read before the key", bytes,
	      (long long)offset);
	locked_file.reads++;
	return locked_file.real->xRead(file, data, bytes, offset);
}

static int take_key(sqlite3_file *file, int operation, void *arg)
{
	char *const *arguments = arg;

	if (operation != SQLITE_FCNTL_PRAGMA || sqlite3_stricmp(arguments[1], "vfs_key") != 0)
		return locked_file.real->xFileControl(file, operation, arg);
	/* Without a value it might do something else. */
	check(arguments[2] != NULL, "asked without the value");
	check(strcmp(arguments[2], "secret's") == 0, "%s", arguments[2]);
	locked_file.key_given = true;
	locked_file.keys++;
	return SQLITE_OK;
}

static int open_locked(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	int code = locked_file.below->xOpen((sqlite3_vfs *)(uintptr_t)locked_file.below, name, file, flags, out);

	(void)vfs;
	if (code != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0)
		return code;
	locked_file.key_given = false;
	locked_file.real = file->pMethods;
	locked_file.methods = *file->pMethods;
	locked_file.methods.xRead = read_with_key;
	locked_file.methods.xFileControl = take_key;
	file->pMethods = &locked_file.methods;
	return code;
}

static void lock_files(void)
{
	locked_file.below = sqlite3_vfs_find("unix");
	locked_file.vfs = *locked_file.below;
	locked_file.vfs.zName = "locked";
	locked_file.vfs.pNext = NULL;
	locked_file.vfs.xOpen = open_locked;
	check(sqlite3_vfs_register(&locked_file.vfs, 1) == SQLITE_OK);
}

Test(contract, no_byte_is_read_before_the_configured_key)
{
	penstock_pragma pragmas[] = { PENSTOCK_PRAGMA("temp_store", "memory"), PENSTOCK_PRAGMA("VFS_Key", "'secret''s'"),
		                      PENSTOCK_PRAGMA("cache_size", "-4321"), PENSTOCK_PRAGMA("trusted_schema", "0") };
	penstock_pragma slip[] = { PENSTOCK_PRAGMA("vfs_keys", "'secret''s'") };
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;

	lock_files();
	config.pragmas = pragmas;
	config.pragma_count = COUNT_OF(pragmas);
	for (config.autostart = 0; config.autostart <= 1; config.autostart++) {
		db = kit_open(&config);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS t(a)"), PENSTOCK_OK);
		expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
		check(sqlite3_close(reader) == SQLITE_OK);
		expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	cr_assert_eq(locked_file.keys, 7);
	cr_assert_gt(locked_file.reads, 0);
	/* A name that neither SQLite nor the VFS knows is refused, and that does not need the file either. */
	config.pragmas = slip;
	config.pragma_count = COUNT_OF(slip);
	open_fails(harness_path("test.db"), &config, PENSTOCK_CONFIG, "no pragma 'vfs_keys'");
}

static bool codec;

int __wrap_sqlite3_compileoption_used(const char *name);
int __real_sqlite3_compileoption_used(const char *name);

int __wrap_sqlite3_compileoption_used(const char *name)
{
	return codec && strcmp(name, "HAS_CODEC") == 0 ? 1 : __real_sqlite3_compileoption_used(name);
}

/* Its pragmas are not all in its list. */
Test(contract, an_sqlite_with_encryption_has_pragmas_that_it_does_not_list)
{
	penstock_pragma pragma = PENSTOCK_PRAGMA("cipher_compatibility", "4");
	penstock_config config = kit_config();

	config.pragmas = &pragma;
	config.pragma_count = 1;
	open_fails(harness_path("test.db"), &config, PENSTOCK_CONFIG, "no pragma 'cipher_compatibility'");
	codec = true;
	expect(penstock_close(kit_open(&config), PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Each is lost once the file has been read. */
Test(contract, what_only_a_new_database_takes_has_effect)
{
	penstock_pragma pragmas[] = { PENSTOCK_PRAGMA("page_size", "8192"), PENSTOCK_PRAGMA("auto_vacuum", "full"),
		                      PENSTOCK_PRAGMA("encoding", "'UTF-16be'") };
	penstock_config config = kit_config();
	penstock *db;

	config.pragmas = pragmas;
	config.pragma_count = COUNT_OF(pragmas);
	for (config.autostart = 0; config.autostart <= 1; config.autostart++) {
		unlink(harness_path("test.db"));
		db = kit_open(&config);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(kit_ask(harness_path("test.db"), "PRAGMA page_size"), 8192);
		cr_assert_eq(kit_ask(harness_path("test.db"), "PRAGMA auto_vacuum"), 1);
		cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT encoding = 'UTF-16be' FROM pragma_encoding"), 1);
	}
}

/* ---- what the connect hook installs ---- */

static struct {
	unsigned commits, rollbacks, updates, traces, wals, busy;
	bool refuse;
} hooked;

static int on_hooked_commit(void *arg)
{
	(void)arg;
	hooked.commits++;
	return hooked.refuse;
}

static void on_hooked_rollback(void *arg)
{
	(void)arg;
	hooked.rollbacks++;
}

static void on_hooked_update(void *arg, int operation, const char *database, const char *table, sqlite3_int64 rowid)
{
	(void)arg;
	(void)operation;
	(void)database;
	(void)table;
	(void)rowid;
	hooked.updates++;
}

static int on_hooked_trace(unsigned kind, void *arg, void *statement, void *more)
{
	(void)kind;
	(void)arg;
	(void)statement;
	(void)more;
	hooked.traces++;
	return 0;
}

static int on_hooked_wal(void *arg, sqlite3 *connection, const char *database, int frames)
{
	(void)arg;
	(void)connection;
	(void)database;
	(void)frames;
	hooked.wals++;
	return SQLITE_OK;
}

static int on_hooked_busy(void *arg, int times)
{
	(void)arg;
	(void)times;
	hooked.busy++;
	return 0;
}

static int all_hooks(sqlite3 *connection, void *arg)
{
	sqlite3_commit_hook(connection, on_hooked_commit, NULL);
	sqlite3_rollback_hook(connection, on_hooked_rollback, NULL);
	sqlite3_update_hook(connection, on_hooked_update, NULL);
	sqlite3_trace_v2(connection, SQLITE_TRACE_STMT, on_hooked_trace, NULL);
	sqlite3_wal_hook(connection, on_hooked_wal, NULL);
	sqlite3_busy_handler(connection, on_hooked_busy, NULL);
	return kit_hook(connection, arg);
}

/* 65536 is the least that wal_bytes_max may be; a quarter of it makes a checkpoint due. */
static void fill_log(penstock *db)
{
	uint64_t before = kit_counters(db).checkpoints;

	while (kit_counters(db).checkpoints < before + 2)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(30000))"), PENSTOCK_OK);
}

static void write_behind_a_lock(penstock *db)
{
	sqlite3 *outsider;
	penstock_handle *handle;
	uint64_t before = kit_counters(db).busy_retries;

	check(sqlite3_open(harness_path("test.db"), &outsider) == SQLITE_OK);
	check(sqlite3_exec(outsider, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	expect(kit_submit(db, "INSERT INTO t VALUES(1)", 0, &handle), PENSTOCK_OK);
	await(kit_counters(db).busy_retries > before);
	check(sqlite3_exec(outsider, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	check(sqlite3_close(outsider) == SQLITE_OK);
}

/* As the header says: before any checkpoint as well as behind one that makes the log begin anew. */
Test(contract, hooks_of_the_connect_hook_stay_but_for_the_engines_own)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = all_hooks;
	config.wal_bytes_max = 65536;
	config.busy_timeout_ms = 1;
	db = kit_open_table(&config);
	for (unsigned times = 0; times < 2; times++) {
		hooked.commits = hooked.updates = hooked.traces = 0;
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
		cr_assert_eq(hooked.commits, 1);
		cr_assert_eq(hooked.updates, 1);
		cr_assert_gt(hooked.traces, 0);
		write_behind_a_lock(db);
		cr_assert_eq(hooked.busy, 0);
		cr_assert_eq(hooked.wals, 0);
		fill_log(db);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The commit is refused for all, and then for each. */
Test(contract, a_commit_hook_that_refuses_has_each_fail_as_in_autocommit)
{
	penstock_config config = kit_config();
	penstock_handle *handles[3];
	penstock *db;

	config.connect_hook = all_hooks;
	db = kit_open_table(&config);
	kit_block(db);
	for (size_t i = 0; i < COUNT_OF(handles); i++)
		expect(kit_insert(db, (int64_t)i, 0, &handles[i]), PENSTOCK_OK);
	hooked.refuse = true;
	kit_unblock();
	for (size_t i = 0; i < COUNT_OF(handles); i++) {
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), PENSTOCK_ERROR);
		cr_assert_eq(penstock_handle_result(handles[i])->extended_code, SQLITE_CONSTRAINT_COMMITHOOK);
		penstock_handle_release(handles[i]);
	}
	check(hooked.rollbacks >= COUNT_OF(handles));
	hooked.refuse = false;
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
}

/* As a program would give it that was built with an older or a newer header. */
Test(contract, a_submission_of_another_version)
{
	struct {
		penstock_submission submission;
		unsigned char tail[8];
	} newer = { .submission = PENSTOCK_SUBMISSION_INIT };
	struct {
		penstock_submission submission;
		unsigned char tail[8];
	} older;
	size_t older_size = offsetof(penstock_submission, arg) + sizeof(void *);
	penstock *db = kit_open_table(NULL);

	newer.submission.sql = "INSERT INTO t VALUES(1)";
	newer.submission.struct_size = sizeof newer;
	expect(penstock_execute(db, &newer.submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	newer.tail[7] = 1;
	expect(penstock_execute(db, &newer.submission, PENSTOCK_FOREVER, NULL), PENSTOCK_MISUSE);
	memset(&older, 0xff, sizeof older);
	penstock_submission_init_size(&older.submission, older_size);
	cr_assert_eq(((unsigned char *)&older)[older_size], 0xff);
	older.submission.sql = "INSERT INTO t VALUES(2)";
	expect(penstock_execute(db, &older.submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 3);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, open_checks_struct_size)
{
	penstock_config config;

	penstock_config_init(&config);
	config.struct_size = 0;
	open_fails(harness_path("test.db"), &config, PENSTOCK_MISUSE, "struct_size");
	config.struct_size = sizeof config + 1;
	open_fails(harness_path("test.db"), &config, PENSTOCK_MISUSE, "struct_size");
	config.struct_size = 1 << 30;
	open_fails(harness_path("test.db"), &config, PENSTOCK_MISUSE, "struct_size");
	penstock_config_init(&config);
	config.ring_slots = 1;
	open_fails(harness_path("test.db"), &config, PENSTOCK_CONFIG, "ring_slots");
}

/* A database in another mode becomes WAL, also with what a crash left beside it. */
Test(contract, open_switches_to_wal)
{
	sqlite3 *connection;
	penstock *db;

	check(sqlite3_open(harness_path("test.db"), &connection) == SQLITE_OK);
	check(sqlite3_exec(connection, "PRAGMA journal_mode=TRUNCATE; CREATE TABLE t(a)", NULL, NULL, NULL) == SQLITE_OK);
	check(sqlite3_close(connection) == SQLITE_OK);
	db = kit_open(NULL);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"),
	                     "SELECT mode = 'wal' FROM (SELECT journal_mode mode FROM pragma_journal_mode)"),
	             1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* As on a file system without shared memory. */
Test(contract, a_file_that_cannot_have_a_log_is_refused)
{
	char uri[4200];

	snprintf(uri, sizeof uri, "file:%s?vfs=unix-none", harness_path("test.db"));
	open_fails(uri, NULL, PENSTOCK_CANTOPEN, "its journal mode stays 'delete'");
}

Test(contract, relative_paths_survive_chdir)
{
	penstock_config config = kit_config();
	penstock *db;

	cr_assert_eq(chdir(harness_make_folder()), 0);
	db = kit_open_path("test.db", &config);
	cr_assert_eq(chdir("/"), 0);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
}

/* "What went wrong in the last call that did not return OK": a good open is none. */
Test(contract, good_calls_leave_the_message_alone)
{
	penstock_config config = kit_config();
	char before[256];
	penstock *db;

	expect(penstock_pause(NULL, 0), PENSTOCK_MISUSE);
	snprintf(before, sizeof before, "%s", penstock_error_message());
	db = kit_open_table(&config);
	cr_assert_str_eq(penstock_error_message(), before);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_str_eq(penstock_error_message(), before);
}

/* ---- what a submission may ask for ------------------------------------------------------------------------------- */

static void ignore(void *arg, const penstock_result *result)
{
	(void)arg;
	(void)result;
}

Test(contract, wrong_submissions_are_misuse)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config), *other;
	penstock_submission good = { .struct_size = sizeof good, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(1)" };
	penstock_value value = penstock_int64(1);
	penstock_statement *statement, *foreign;
	penstock_submission wrong;
	penstock_handle *handle;

	config.synchronous = PENSTOCK_UNSET;
	other = kit_open_path(harness_path("other.db"), &config);
	expect(penstock_statement_register(db, "SELECT 1", -1, &statement), PENSTOCK_OK);
	expect(penstock_statement_register(other, "SELECT 1", -1, &foreign), PENSTOCK_OK);

#define WRONG(...)                                                                 \
	do {                                                                       \
		wrong = good;                                                      \
		__VA_ARGS__;                                                       \
		handle = (penstock_handle *)1;                                     \
		expect(penstock_submit(db, &wrong, 0, &handle), PENSTOCK_MISUSE);  \
		check(handle == NULL);                                             \
		handle = (penstock_handle *)1;                                     \
		expect(penstock_execute(db, &wrong, 0, &handle), PENSTOCK_MISUSE); \
		check(handle == NULL);                                             \
	} while (0)
	WRONG(wrong.struct_size = 0);
	WRONG(wrong.struct_size = sizeof wrong - 1);
	WRONG(wrong.struct_size = offsetof(penstock_submission, arg));
	WRONG(wrong.struct_size = SIZE_MAX & ~(size_t)7);
	/* A struct that is not begun with PENSTOCK_SUBMISSION_INIT, and an empty text, whose bytes may be nobody's. */
	WRONG(wrong.sql_bytes = 0);
	cr_assert_not_null(strstr(penstock_error_message(), "PENSTOCK_SUBMISSION_INIT"));
	cr_assert_not_null(strstr(penstock_error_message(), "length"));
	WRONG(wrong.sql = (const char *)1; wrong.sql_bytes = 0);
	WRONG(wrong.sql = NULL);
	WRONG(wrong.statement = statement);
	WRONG(wrong.sql = NULL; wrong.statement = foreign);
	WRONG(wrong.value_count = 1);
	WRONG(wrong.ack = (penstock_ack)4);
	WRONG(wrong.ack = (penstock_ack)-1);
	WRONG(wrong.flags = 4);
	WRONG(wrong.on_complete = ignore);
	WRONG(wrong.ack = PENSTOCK_ACK_NONE);
	WRONG(wrong.ack = PENSTOCK_ACK_DURABLE); /* synchronous is off */
	WRONG(wrong.values = &value; wrong.value_count = 1; value.type = (penstock_type)0);
	WRONG(wrong.values = &value; wrong.value_count = 1; value.type = (penstock_type)6);
	WRONG(wrong.values = &value; wrong.value_count = 1; value = penstock_blob(NULL, 3));
	wrong = good;
	wrong.ack = PENSTOCK_ACK_NONE;
	wrong.on_complete = ignore;
	expect(penstock_submit(db, &wrong, 0, NULL), PENSTOCK_MISUSE);
	wrong.ack = PENSTOCK_ACK_DURABLE;
	expect(penstock_submit(db, &wrong, 0, NULL), PENSTOCK_MISUSE);
	expect(penstock_submit(db, NULL, 0, NULL), PENSTOCK_MISUSE);
	expect(penstock_submit(NULL, &good, 0, NULL), PENSTOCK_MISUSE);
	expect(penstock_execute(NULL, &good, 0, NULL), PENSTOCK_MISUSE);
	expect(penstock_statement_register(db, NULL, -1, &statement), PENSTOCK_MISUSE);
	expect(penstock_statement_register(db, "SELECT 1", -1, NULL), PENSTOCK_MISUSE);
	expect(penstock_reader_open(db, NULL), PENSTOCK_MISUSE);
	expect(penstock_reconfigure(db, NULL), PENSTOCK_MISUSE);
	expect(penstock_counters_read(db, NULL), PENSTOCK_MISUSE);
	expect(penstock_handle_wait(NULL, 0), PENSTOCK_MISUSE);
	cr_assert_null(penstock_handle_result(NULL));
	cr_assert_eq(penstock_handle_ticket(NULL), 0);
	cr_assert_eq(penstock_failure(NULL, NULL, 10), 0);
	cr_assert_eq(penstock_histogram_quantile(NULL, 0.5), 0);
	penstock_handle_release(NULL);
	cr_assert_eq(kit_counters(db).accepted, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 0);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
#undef WRONG
}

static _Atomic unsigned heard[16];

static void count_status(void *arg, const penstock_result *result)
{
	check(arg == (void *)heard);
	heard[result->status]++;
}

Test(contract, acknowledgements_combine)
{
	for (int synchronous = PENSTOCK_SYNCHRONOUS_NORMAL; synchronous <= PENSTOCK_SYNCHRONOUS_EXTRA; synchronous++) {
		penstock_config config = kit_config();
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .sql = "INSERT INTO t VALUES(1)" };
		penstock_handle *handles[3];
		penstock *db;

		config.synchronous = synchronous;
		db = kit_open_table(&config);
		heard[PENSTOCK_OK] = 0;
		kit_block(db);
		for (int ack = PENSTOCK_ACK_DEFAULT; ack <= PENSTOCK_ACK_DURABLE; ack++) {
			submission.ack = (penstock_ack)ack;
			submission.on_complete = NULL;
			submission.arg = heard;
			expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK); /* nobody listens */
			if (ack == PENSTOCK_ACK_NONE)
				continue;
			expect(penstock_submit(db, &submission, 0, &handles[ack - (ack > 1)]), PENSTOCK_OK);
			submission.on_complete = count_status;
			expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
		}
		kit_unblock();
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		for (int i = 0; i < 3; i++) {
			expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), PENSTOCK_OK);
			check(penstock_handle_result(handles[i])->changes == 1);
			penstock_handle_release(handles[i]);
		}
		cr_assert_eq(heard[PENSTOCK_OK], 3);
		cr_assert_eq(kit_counters(db).wal_syncs > 0, synchronous == PENSTOCK_SYNCHRONOUS_NORMAL);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(rows(), 10);
		harness_end();
	}
}

static struct {
	_Atomic unsigned count;
	void *arg, *result_arg;
	uint64_t ticket;
	int code;
	char message[200];
} last_error;

static void note_error(void *arg, const penstock_result *result)
{
	check(result->status != PENSTOCK_OK);
	last_error.arg = arg;
	last_error.result_arg = result->arg;
	last_error.ticket = result->ticket;
	last_error.code = result->extended_code;
	snprintf(last_error.message, sizeof last_error.message, "%s", result->message);
	last_error.count++;
}

Test(contract, errors_nobody_listens_to_reach_the_error_callback)
{
	penstock_config config = kit_config();
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
	penstock_handle *handle;
	uint64_t before;
	penstock *db;
	int tag;

	config.on_error = note_error;
	config.on_error_arg = &config;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a UNIQUE)"), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 2, 0, NULL), PENSTOCK_OK);
	submission.sql = "INSERT INTO t VALUES(1)";
	submission.arg = &tag;
	submission.ack = PENSTOCK_ACK_NONE;
	before = kit_counters(db).accepted;
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 3, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(last_error.count, 1);
	check(last_error.arg == &config && last_error.result_arg == &tag);
	cr_assert_eq(last_error.ticket, before);
	cr_assert_eq(last_error.code, SQLITE_CONSTRAINT_UNIQUE);
	check(strstr(last_error.message, "UNIQUE") != NULL, "%s", last_error.message);
	/* not for those that listen */
	submission.ack = PENSTOCK_ACK_DEFAULT;
	submission.arg = heard;
	submission.on_complete = count_status;
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
	submission.on_complete = NULL;
	expect(penstock_submit(db, &submission, 0, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	penstock_handle_release(handle);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(heard[PENSTOCK_ERROR], 1);
	cr_assert_eq(last_error.count, 1);
	cr_assert_eq(kit_counters(db).failed, 3);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 3);
}

Test(contract, too_big_is_refused_before_it_is_looked_at)
{
	penstock_config config = kit_config();
	penstock_value value = penstock_blob("x", (size_t)1 << 31);
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(?)",
		                           .values = &value,
		                           .value_count = 1 };
	penstock_statement *statement;
	penstock *db = kit_open_table(&config);

	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_TOOBIG);
	value = penstock_text_bytes("x", SIZE_MAX);
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_TOOBIG);
	submission.value_count = 0;
	submission.sql_bytes = INT64_MAX;
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_TOOBIG);
	expect(penstock_statement_register(db, "x", INT64_MAX, &statement), PENSTOCK_TOOBIG);
	/* In 32 bits this is 1. */
	submission.sql_bytes = (INT64_C(1) << 32) + 1;
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_TOOBIG);
	expect(penstock_statement_register(db, "x", submission.sql_bytes, &statement), PENSTOCK_TOOBIG);
	cr_assert_eq(kit_counters(db).refused[PENSTOCK_TOOBIG], 4);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Values may share their bytes. These come to 4.5 billion. */
Test(contract, more_values_than_there_are_addresses_are_no_memory)
{
#if SIZE_MAX > UINT32_MAX
	cr_skip_test("there are addresses enough");
#else
	penstock_config config = kit_config();
	const size_t bytes = PS_LENGTH_MAX / 10 * 9;
	void *shared = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	penstock_value values[5];
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "SELECT ?, ?, ?, ?, ?",
		                           .values = values,
		                           .value_count = 5 };
	penstock *db = kit_open_table(&config);

	cr_assert(shared != MAP_FAILED);
	for (int i = 0; i < 5; i++)
		values[i] = penstock_blob(shared, bytes);
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_NOMEM);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
#endif
}

Test(contract, large_texts_and_values_arrive)
{
	penstock_config config = kit_config();
	size_t text_bytes = 10 << 20, blob_bytes = 20 << 20;
	char *sql = malloc(text_bytes + 1), *blob = malloc(blob_bytes);
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
	penstock_statement *statement;
	penstock_value value;
	penstock_handle *handle;
	penstock *db = kit_open_table(&config);
	const char *begin = "INSERT INTO t VALUES('";

	memset(sql, 'x', text_bytes);
	memcpy(sql, begin, strlen(begin));
	memcpy(sql + text_bytes - 2, "')", 3);
	submission.sql = sql;
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_statement_register(db, sql, -1, &statement), PENSTOCK_OK);
	submission.sql = NULL;
	submission.statement = statement;
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	for (size_t i = 0; i < blob_bytes; i++)
		blob[i] = (char)(i * 31 >> 3);
	value = penstock_blob(blob, blob_bytes);
	submission = (penstock_submission){ .struct_size = sizeof submission,
		                            .sql_bytes = -1,
		                            .sql = "INSERT INTO t VALUES(?) RETURNING a",
		                            .values = &value,
		                            .value_count = 1 };
	/* Its rows are over result_bytes_max: an error, and no effect. */
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_ERROR);
	expect_message("result_bytes_max");
	submission.sql = "INSERT INTO t VALUES(?)";
	expect(penstock_submit(db, &submission, 0, &handle), PENSTOCK_OK);
	memset(blob, 0, blob_bytes); /* ours again */
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(penstock_queue_depth(db), 0);
	cr_assert_eq(kit_counters(db).queue_bytes, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 3);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT min(length(a)) FROM t"),
	             (int64_t)(text_bytes - strlen(begin) - 2));
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT length(a) FROM t WHERE typeof(a)='blob'"), (int64_t)blob_bytes);
	for (size_t i = 0; i < blob_bytes; i++)
		blob[i] = (char)(i * 31 >> 3);
	{
		sqlite3 *connection;
		sqlite3_stmt *read;

		check(sqlite3_open(harness_path("test.db"), &connection) == SQLITE_OK);
		check(sqlite3_prepare_v2(connection, "SELECT a FROM t WHERE typeof(a)='blob'", -1, &read, NULL) == SQLITE_OK);
		check(sqlite3_step(read) == SQLITE_ROW);
		check(memcmp(sqlite3_column_blob(read, 0), blob, blob_bytes) == 0);
		sqlite3_finalize(read);
		sqlite3_close(connection);
	}
	free(blob);
	free(sql);
}

static unsigned busy_calls;

static void fail_busy(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	busy_calls++;
	sqlite3_result_error_code(context, SQLITE_BUSY);
}

static int add_fail_busy(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "fail_busy", 0, SQLITE_UTF8, NULL, fail_busy, NULL, NULL);
}

/* It would be tried again for as long as busy_limit_ms. */
Test(contract, a_function_that_says_busy_is_no_lock)
{
	penstock_config config = kit_config();
	penstock_submission fail = { .struct_size = sizeof fail, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(fail_busy())" };
	penstock_handle *handle;
	penstock *db;

	config.connect_hook = add_fail_busy;
	config.busy_limit_ms = 50;
	db = kit_open_table(&config);
	busy_calls = 0;
	expect(penstock_execute(db, &fail, PENSTOCK_FOREVER, &handle), PENSTOCK_ERROR);
	cr_assert_eq(penstock_handle_result(handle)->extended_code, SQLITE_BUSY);
	cr_assert_eq(busy_calls, 1);
	cr_assert_eq(kit_counters(db).busy_retries, 0);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static unsigned row_calls;
static int row_code;

static void fail_row(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	/* Should it be called again and again, the test ends all the same. */
	if (++row_calls > 3)
		return;
	sqlite3_result_error(context, "no row", -1);
	sqlite3_result_error_code(context, row_code);
}

static int add_fail_row(sqlite3 *connection, void *arg)
{
	int rc = sqlite3_create_function(connection, "fail_row", 0, SQLITE_UTF8, NULL, fail_row, NULL, NULL);

	return rc == SQLITE_OK ? kit_hook(connection, arg) : rc;
}

/* SQLite hands on whatever code a function fails with. */
Test(contract, a_function_that_fails_with_row_or_done_fails)
{
	static const char *const texts[] = { "INSERT INTO t VALUES(fail_row())", "SELECT fail_row()",
		                             "INSERT INTO t VALUES(fail_row()) RETURNING a", "SELECT 1 WHERE fail_row()" };
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = add_fail_row;
	db = kit_open_table(&config);
	for (size_t i = 0; i < 6 * COUNT_OF(texts); i++) {
		penstock_submission fail = PENSTOCK_SUBMISSION_INIT;
		penstock_handle *handle;
		bool batched = i % 3 == 2;

		row_code = i % 2 == 0 ? SQLITE_ROW : SQLITE_DONE;
		fail.sql = texts[i / 6];
		fail.flags = i % 3 == 0 ? PENSTOCK_RUN_ALONE : 0;
		row_calls = 0;
		if (batched)
			kit_block(db);
		expect(penstock_submit(db, &fail, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		if (batched) {
			expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
			kit_unblock();
		}
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
		cr_assert_eq(penstock_handle_result(handle)->extended_code, row_code);
		cr_assert_str_eq(penstock_handle_result(handle)->message, "no row");
		cr_assert_eq(penstock_handle_result(handle)->row_count, 0);
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 2 * COUNT_OF(texts));
}

/* ---- what runs once ---- */

static unsigned fail_calls;

/* fail_with(code): 0 is none. */
static void fail_with(sqlite3_context *context, int count, sqlite3_value **values)
{
	int code = sqlite3_value_int(values[0]);

	(void)count;
	fail_calls++;
	if (code != 0)
		sqlite3_result_error_code(context, code);
}

static void fail_silently(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_error(context, "", 0);
}

static int add_fail_with(sqlite3 *connection, void *arg)
{
	(void)arg;
	sqlite3_create_function(connection, "fail_silently", 0, SQLITE_UTF8, NULL, fail_silently, NULL, NULL);
	return sqlite3_create_function(connection, "fail_with", 1, SQLITE_UTF8, NULL, fail_with, NULL, NULL);
}

/* It is not taken for another process's lock, which would be waited for for ever; nor where SQLite itself takes the locks late. */
static void check_busy_functions(bool attached)
{
	static const int codes[] = { SQLITE_BUSY, SQLITE_BUSY_RECOVERY, SQLITE_BUSY_SNAPSHOT, SQLITE_BUSY_TIMEOUT,
		                     SQLITE_PROTOCOL };
	static const char *const texts[] = { "INSERT INTO t VALUES(fail_with(?))", "SELECT fail_with(?)",
		                             "INSERT INTO t VALUES(fail_with(?)) RETURNING a" };
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = add_fail_with;
	config.busy_limit_ms = 0;
	db = kit_open_table(&config);
	if (attached)
		expect(kit_execute(db, "ATTACH ':memory:' AS other"), PENSTOCK_OK);
	for (size_t i = 0; i < 2 * COUNT_OF(texts) * COUNT_OF(codes); i++) {
		penstock_submission fail = PENSTOCK_SUBMISSION_INIT;
		penstock_value code = penstock_int64(codes[i % COUNT_OF(codes)]);
		penstock_handle *handle;
		bool once = i / COUNT_OF(codes) % 2 == 0;

		fail.sql = texts[i / COUNT_OF(codes) / 2];
		fail.values = &code;
		fail.value_count = 1;
		fail.flags = once ? PENSTOCK_RUN_ALONE : 0;
		fail_calls = 0;
		expect(penstock_execute(db, &fail, PENSTOCK_FOREVER, &handle), PENSTOCK_ERROR);
		cr_assert_eq(penstock_handle_result(handle)->extended_code, code.as.integer);
		check(!(once || attached) || fail_calls == 1, "%u times", fail_calls);
		penstock_handle_release(handle);
	}
	cr_assert_eq(kit_counters(db).busy_retries, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 0);
}

Test(contract, whatever_a_function_says_of_busy_is_no_lock)
{
	check_busy_functions(false);
	kit_change(harness_path("test.db"), "DROP TABLE t");
	check_busy_functions(true);
}

/* run_or_fail(sql): fails with the code of what it runs. */
static void run_or_fail(sqlite3_context *context, int count, sqlite3_value **values)
{
	int code =
		sqlite3_exec(sqlite3_context_db_handle(context), (const char *)sqlite3_value_text(values[0]), NULL, NULL, NULL);

	(void)count;
	fail_calls++;
	if (code != SQLITE_OK)
		sqlite3_result_error_code(context, code);
}

static int add_run_or_fail(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "run_or_fail", 1, SQLITE_UTF8, NULL, run_or_fail, NULL, NULL);
}

/* Somebody else's, or its own, of a file that has two names. */
Test(contract, the_lock_that_a_function_meets_is_the_functions)
{
	static const char *const texts[] = { "INSERT INTO t VALUES(run_or_fail('INSERT INTO aux.u VALUES(1)'))",
		                             "INSERT INTO t VALUES(run_or_fail('INSERT INTO again.t VALUES(1)'))",
		                             "SELECT run_or_fail('INSERT INTO aux.u VALUES(1)')",
		                             "INSERT INTO t VALUES(1) RETURNING run_or_fail('INSERT INTO aux.u VALUES(1)')" };
	penstock_config config = kit_config();
	sqlite3 *holder;
	char sql[400];
	penstock *db;

	config.connect_hook = add_run_or_fail;
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 0;
	db = kit_open_table(&config);
	kit_attach_other(db);
	snprintf(sql, sizeof sql, "ATTACH '%s' AS again", harness_path("test.db"));
	expect(kit_execute(db, sql), PENSTOCK_OK);
	check(sqlite3_open(harness_path("other.db"), &holder) == SQLITE_OK);
	check(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	for (size_t i = 0; i < 2 * COUNT_OF(texts); i++) {
		penstock_submission fail = PENSTOCK_SUBMISSION_INIT;
		penstock_handle *handle;
		bool once = i % 2 != 0;

		fail.sql = texts[i / 2];
		fail.flags = once ? PENSTOCK_RUN_ALONE : 0;
		fail_calls = 0;
		expect(penstock_execute(db, &fail, PENSTOCK_FOREVER, &handle), PENSTOCK_ERROR);
		cr_assert_eq(penstock_handle_result(handle)->code, SQLITE_BUSY);
		check(!once || fail_calls == 1, "%u times", fail_calls);
		penstock_handle_release(handle);
	}
	cr_assert_eq(kit_counters(db).busy_retries, 0);
	check(sqlite3_exec(holder, "COMMIT", NULL, NULL, NULL) == SQLITE_OK && sqlite3_close(holder) == SQLITE_OK);
	expect(kit_execute(db, texts[0]), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
}

#define BETWEEN_SQL "INSERT INTO t VALUES(2) RETURNING a"

/* SQLite traces a statement before it opens its transactions. */
static int write_between(unsigned what, void *arg, void *statement, void *text)
{
	(void)what;
	(void)arg;
	(void)statement;
	if (strcmp(text, BETWEEN_SQL) == 0 && fail_calls++ == 0)
		kit_change(harness_path("test.db"), "INSERT INTO t VALUES(1)");
	return 0;
}

static int add_write_between(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_trace_v2(connection, SQLITE_TRACE_STMT, write_between, NULL);
}

/* Then the transaction that is the statement's own, and has read, may not write. */
Test(contract, who_writes_between_a_statement_and_its_transaction_is_waited_for)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.connect_hook = add_write_between;
	db = kit_open_table(&config);
	expect(kit_execute(db, "ATTACH ':memory:' AS other"), PENSTOCK_OK);
	fail_calls = 0;
	expect(kit_submit(db, BETWEEN_SQL, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	cr_assert_eq(fail_calls, 2);
	cr_assert_eq(kit_counters(db).busy_retries, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 2);
}

/* A reader keeps the commit from an attached database that has no log. What has run by then does not run again. */
Test(contract, what_runs_alone_runs_once_whatever_keeps_its_commit)
{
	penstock_config config = kit_config();
	penstock_submission once = PENSTOCK_SUBMISSION_INIT, member = PENSTOCK_SUBMISSION_INIT;
	sqlite3 *reader;
	penstock *db;

	config.connect_hook = add_fail_with;
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 0;
	db = kit_open_table(&config);
	kit_attach_other(db);
	check(sqlite3_open(harness_path("other.db"), &reader) == SQLITE_OK);
	check(sqlite3_exec(reader, "BEGIN; SELECT * FROM u", NULL, NULL, NULL) == SQLITE_OK);
	once.sql = member.sql = "INSERT INTO aux.u VALUES(fail_with(0))";
	once.flags = PENSTOCK_RUN_ALONE;
	for (int grouped = 0; grouped < 2; grouped++) {
		penstock_handle *handle;

		fail_calls = 0;
		if (grouped)
			once.sql = NULL;
		expect(grouped ? penstock_submit_group(db, &member, 1, &once, PENSTOCK_FOREVER, &handle)
		               : penstock_submit(db, &once, PENSTOCK_FOREVER, &handle),
		       PENSTOCK_OK);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
		cr_assert_eq(penstock_handle_result(handle)->code, SQLITE_BUSY);
		cr_assert_eq(fail_calls, 1);
		penstock_handle_release(handle);
	}
	check(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL) == SQLITE_OK && sqlite3_close(reader) == SQLITE_OK);
	expect(kit_execute(db, member.sql), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("other.db"), "SELECT count(*) FROM u"), 1);
}

Test(contract, an_error_has_a_message_even_where_a_function_gave_none)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = add_fail_with;
	db = kit_open_table(&config);
	expect(kit_execute(db, "SELECT fail_silently()"), PENSTOCK_ERROR);
	expect_message(sqlite3_errstr(SQLITE_ERROR));
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* More than the registry has room for at the beginning. */
Test(contract, each_of_many_texts_is_registered_once)
{
	enum { COUNT = 5000 };
	static penstock_statement *statements[COUNT];
	penstock *db = kit_open(NULL);
	char sql[64];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT; i++) {
			penstock_statement *statement;

			snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%d)", i);
			expect(penstock_statement_register(db, sql, -1, &statement), PENSTOCK_OK);
			cr_assert(round == 0 || statement == statements[i]);
			statements[i] = statement;
		}
	}
	for (int i = 1; i < COUNT; i++)
		cr_assert_neq(statements[i], statements[i - 1]);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, same_text_registers_once)
{
	penstock_config config = kit_config();
	penstock_statement *first, *second, *third;
	penstock *db = kit_open_table(&config);

	expect(penstock_statement_register(db, "INSERT INTO t VALUES(1)", -1, &first), PENSTOCK_OK);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(1) -- more", 23, &second), PENSTOCK_OK);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(2)", -1, &third), PENSTOCK_OK);
	check(first == second && first != third);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

Test(contract, full_ring_refuses_or_waits)
{
	penstock_config config = kit_config(), change;
	penstock_handle *handle;
	penstock *db;

	config.ring_slots = 3; /* rounded up to 4 */
	db = kit_open_table(&config);
	cr_assert_eq(penstock_queue_capacity(db), 4);
	kit_block(db);
	for (int i = 0; i < 3; i++)
		expect(kit_insert(db, i, 0, NULL), PENSTOCK_OK);
	cr_assert_eq(penstock_queue_depth(db), 4);
	expect(kit_insert(db, 3, 0, &handle), PENSTOCK_FULL);
	check(handle == NULL);
	expect(kit_insert(db, 3, SHORT, &handle), PENSTOCK_FULL);
	check(handle == NULL);
	{
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .sql = "INSERT INTO t VALUES(3)" };

		expect(penstock_execute(db, &submission, 0, &handle), PENSTOCK_FULL);
		check(handle == NULL);
		expect(penstock_execute(db, &submission, SHORT, &handle), PENSTOCK_FULL);
		check(handle == NULL);
		expect(penstock_try_submit(db, &submission, &handle), PENSTOCK_FULL);
	}
	penstock_config_init(&change);
	change.when_full = PENSTOCK_WHEN_FULL_FAIL;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	expect(kit_insert(db, 3, PENSTOCK_FOREVER, NULL), PENSTOCK_FULL);
	cr_assert_eq(kit_counters(db).refused[PENSTOCK_FULL], 6);
	cr_assert_eq(kit_counters(db).full_events, 6);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(penstock_queue_depth(db), 0);
	expect(kit_insert(db, 3, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 4);
}

struct producer {
	penstock *db;
	int64_t begin, end;
	size_t bytes;
	int status;
};

static void *insert_many(void *arg)
{
	struct producer *producer = arg;

	for (int64_t i = producer->begin; i < producer->end; i++)
		expect(kit_insert(producer->db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	return NULL;
}

Test(contract, two_slots_serve_many_producers)
{
	enum { PRODUCERS = 16, EACH = 100 };
	penstock_config config = kit_config();
	struct producer producers[PRODUCERS];
	pthread_t threads[PRODUCERS];
	penstock *db;

	config.ring_slots = 2;
	db = kit_open_table(&config);
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){ .db = db, .begin = i * EACH, .end = (i + 1) * EACH };
		threads[i] = kit_thread(insert_many, &producers[i]);
	}
	for (int i = 0; i < PRODUCERS; i++)
		kit_join(threads[i]);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), PRODUCERS * EACH);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(DISTINCT a) FROM t"), PRODUCERS * EACH);
}

static int insert_bytes(penstock *db, size_t bytes, int64_t timeout_usec)
{
	char *data = calloc(1, bytes);
	penstock_value value = penstock_blob(data, bytes);
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t(a) VALUES(?)",
		                           .values = &value,
		                           .value_count = 1 };
	int status = penstock_submit(db, &submission, timeout_usec, NULL);

	free(data);
	return status;
}

static void *insert_one(void *arg)
{
	struct producer *producer = arg;

	producer->status = insert_bytes(producer->db, producer->bytes, PENSTOCK_FOREVER);
	return NULL;
}

Test(contract, queued_bytes_are_bounded)
{
	penstock_config config = kit_config(), change;
	struct producer producer;
	pthread_t thread;
	penstock *db;

	config.ring_bytes = 10000;
	db = kit_open_table(&config);
	kit_block(db);
	expect(insert_bytes(db, 4000, 0), PENSTOCK_OK);
	expect(insert_bytes(db, 4000, 0), PENSTOCK_OK);
	expect(insert_bytes(db, 4000, 0), PENSTOCK_FULL);
	expect(insert_bytes(db, 4000, SHORT), PENSTOCK_FULL);
	expect(insert_bytes(db, 20000, 0), PENSTOCK_FULL);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK); /* inline: counts nothing */
	check(kit_counters(db).queue_bytes >= 8000 && kit_counters(db).queue_bytes <= 10000);
	/* One waits, and a larger bound is room for it. */
	producer = (struct producer){ .db = db, .bytes = 4000 };
	thread = kit_thread(insert_one, &producer);
	await(ps_load_relaxed_u32(&db->ring.room.waiters) == 1);
	penstock_config_init(&change);
	change.ring_bytes = 20000;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	kit_join(thread);
	expect(producer.status, PENSTOCK_OK);
	/* One waits, and bytes given back are room for it. */
	producer = (struct producer){ .db = db, .bytes = 50000 };
	thread = kit_thread(insert_one, &producer);
	await(ps_load_relaxed_u32(&db->ring.room.waiters) == 1);
	kit_unblock();
	kit_join(thread);
	expect(producer.status, PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).queue_bytes, 0);
	/* Larger than the bound, alone. */
	kit_block(db);
	expect(insert_bytes(db, 1000000, 0), PENSTOCK_OK);
	expect(insert_bytes(db, 100, 0), PENSTOCK_FULL);
	kit_unblock();
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 6);
}

/* ---- reconfigure ------------------------------------------------------------------------------------------------- */

static uint64_t largest_batch_of(penstock *db, int count)
{
	penstock_counters before = kit_counters(db), after;

	kit_block(db);
	for (int i = 0; i < count; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	after = kit_counters(db);
	for (size_t i = PENSTOCK_HISTOGRAM_BUCKETS; i-- > 0;) {
		if (after.batch_size.buckets[i] != before.batch_size.buckets[i])
			return penstock_histogram_floor(i);
	}
	return 0;
}

/* The batch is full with the first rows that are taken as one; one of them fails, and so they run one by one. */
Test(contract, batch_that_is_full_runs_all_that_it_took)
{
	penstock_config config = kit_config();
	penstock_statement *statement;
	penstock *db;

	config.autostart = 0;
	config.batch_bytes = 1024;
	db = kit_open(&config);
	expect(kit_submit(db, "CREATE TABLE t(a UNIQUE)", 0, NULL), PENSTOCK_OK);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
	for (int i = 0; i < 64; i++)
		expect(kit_submit_by(db, statement, i == 20 ? 3 : i, 0), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).failed, 1);
	cr_assert_eq(kit_counters(db).committed, 64);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 63);
}

Test(contract, live_keys_take_effect)
{
	penstock_config config = kit_config(), change;
	penstock_submission rows_wanted = { .struct_size = sizeof rows_wanted, .sql_bytes = -1, .sql = "SELECT 1, 2, 3" };
	penstock_handle *handle;
	penstock *db;

	db = kit_open_table(&config);
	penstock_config_init(&change);
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK); /* nothing */
	check(largest_batch_of(db, 100) >= 96);
	change.batch_max = 7;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	check(largest_batch_of(db, 100) == 7);
	change.batch_max = 1;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	check(largest_batch_of(db, 100) == 1);
	penstock_config_init(&change);
	change.batch_max = 1000;
	change.batch_bytes = 1024;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	check(largest_batch_of(db, 100) < 20);

	penstock_config_init(&change);
	change.results_timeout_ms = 10;
	change.result_bytes_max = 10;
	change.when_paused = PENSTOCK_HOLD;
	change.when_stopped = PENSTOCK_HOLD;
	change.linger_usec = 1000;
	change.spin_usec = 100;
	change.wal_bytes_max = 65536;
	change.busy_limit_ms = 1;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	expect(penstock_execute(db, &rows_wanted, PENSTOCK_FOREVER, NULL), PENSTOCK_ERROR);
	for (int i = 0; i < 50; i++)
		expect(insert_bytes(db, 10000, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_counters(db).checkpoints > 0);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_DEFAULT_TIMEOUT), PENSTOCK_TIMEOUT);
	expect(penstock_flush(db, PENSTOCK_DEFAULT_TIMEOUT), PENSTOCK_TIMEOUT);
	/* Policies change while they matter: what is held stays, what comes is refused. */
	penstock_config_init(&change);
	change.when_paused = PENSTOCK_REFUSE;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	expect(kit_insert(db, 2, 0, NULL), PENSTOCK_PAUSED);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 3, 0, NULL), PENSTOCK_OK); /* when_stopped=hold */
	change.when_stopped = PENSTOCK_REFUSE;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	expect(kit_insert(db, 4, 0, NULL), PENSTOCK_STOPPED);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 400 + 50 + 2);
}

Test(contract, other_keys_cannot_change)
{
	penstock_config config = kit_config(), change;
	penstock *db = kit_open_table(&config);
	const penstock_config_key *key;
	unsigned fixed = 0, live = 0;

	for (size_t i = 0; (key = penstock_config_key_at(i)) != NULL; i++) {
		penstock_config_init(&change);
		change.batch_max = 3;
		if (strcmp(key->name, "results_timeout_ms") != 0)
			expect(penstock_config_set(&change, key->name, key->default_text), PENSTOCK_OK);
		if (key->live) {
			live++;
			continue;
		}
		fixed++;
		expect(penstock_reconfigure(db, &change), PENSTOCK_CONFIG);
		expect_message(key->name);
		check(db->state.current->keys.batch_max == 1000, "changed with %s", key->name);
	}
	check(fixed >= 5 && live >= 10);
	penstock_config_init(&change);
	change.batch_max = 0;
	expect(penstock_reconfigure(db, &change), PENSTOCK_CONFIG);
	penstock_config_init(&change);
	change.batch_max = 3;
	change.connect_hook = kit_hook;
	expect(penstock_reconfigure(db, &change), PENSTOCK_CONFIG);
	change.struct_size = 1;
	expect(penstock_reconfigure(db, &change), PENSTOCK_MISUSE);
	check(db->state.current->keys.batch_max == 1000);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *retune(void *arg)
{
	struct producer *producer = arg;
	penstock_config change;

	for (int i = 0; i < 300; i++) {
		penstock_config_init(&change);
		change.batch_max = 1 + i % 9;
		change.spin_usec = i % 2 * 20;
		change.when_full = PENSTOCK_WHEN_FULL_BLOCK;
		expect(penstock_reconfigure(producer->db, &change), PENSTOCK_OK);
	}
	return NULL;
}

Test(contract, retuning_under_load_loses_nothing)
{
	enum { PRODUCERS = 3, EACH = 3000 };
	penstock_config config = kit_config();
	struct producer producers[PRODUCERS];
	pthread_t threads[PRODUCERS], tuner;
	penstock *db;

	config.ring_slots = 64;
	db = kit_open_table(&config);
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){ .db = db, .begin = i * EACH, .end = (i + 1) * EACH };
		threads[i] = kit_thread(insert_many, &producers[i]);
	}
	tuner = kit_thread(retune, &producers[0]);
	for (int i = 0; i < PRODUCERS; i++)
		kit_join(threads[i]);
	kit_join(tuner);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(DISTINCT a) FROM t"), PRODUCERS * EACH);
	cr_assert_eq(rows(), PRODUCERS * EACH);
}

/* ---- in callbacks ------------------------------------------------------------------------------------------------ */

static penstock *callback_db;
static _Atomic unsigned callbacks_tried;
static penstock_handle *_Atomic pending; /* of an engine that does not run */

static void waiting_calls_are_misuse(void)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT 1" };
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_config change;
	penstock_handle *handle;
	penstock_statement *statement;
	sqlite3 *reader;
	penstock *db = callback_db, *another;

	if (db == NULL)
		return;
	penstock_config_init(&change);
	for (int i = 0; i < 2; i++) {
		int64_t timeout = i == 0 ? PENSTOCK_FOREVER : 1000;

		expect(penstock_flush(db, timeout), PENSTOCK_MISUSE);
		expect(penstock_start(db, timeout), PENSTOCK_MISUSE);
		expect(penstock_stop(db, timeout), PENSTOCK_MISUSE);
		expect(penstock_pause(db, timeout), PENSTOCK_MISUSE);
		expect(penstock_unpause(db, timeout), PENSTOCK_MISUSE);
		expect(penstock_close(db, timeout), PENSTOCK_MISUSE);
		expect(penstock_execute(db, &submission, timeout, &handle), PENSTOCK_MISUSE);
		check(handle == NULL);
		if (pending != NULL)
			expect(penstock_handle_wait(pending, timeout), PENSTOCK_MISUSE);
	}
	expect(penstock_reconfigure(db, &change), PENSTOCK_MISUSE);
	expect(penstock_reader_open(db, &reader), PENSTOCK_MISUSE);
	expect(penstock_open(harness_path("another.db"), NULL, &another), PENSTOCK_MISUSE);
	check(another == NULL);
	/* These are allowed. */
	expect(penstock_counters_read(db, &counters), PENSTOCK_OK);
	penstock_queue_depth(db);
	penstock_phase_of(db);
	penstock_is_stopped(db);
	expect(penstock_statement_register(db, "SELECT 2", -1, &statement), PENSTOCK_OK);
	if (pending != NULL)
		expect(penstock_handle_wait(pending, 0), PENSTOCK_TIMEOUT);
	callbacks_tried++;
}

static void try_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	waiting_calls_are_misuse();
	sqlite3_result_int(context, 1);
}

static int try_hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	waiting_calls_are_misuse();
	return sqlite3_create_function_v2(connection, "try", 0, SQLITE_UTF8, NULL, try_function, NULL, NULL, NULL);
}

static void try_completion(void *arg, const penstock_result *result)
{
	(void)arg;
	(void)result;
	waiting_calls_are_misuse();
}

static void try_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	(void)event;
	(void)message;
	waiting_calls_are_misuse();
}

Test(contract, waiting_in_a_callback_is_misuse)
{
	penstock_config config = kit_config();
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT 1", .on_complete = try_completion
	};
	penstock_handle *handle;
	sqlite3 *reader, *blocker;
	penstock *db, *idle;

	config.autostart = 0;
	idle = kit_open_path(harness_path("idle.db"), &config);
	expect(kit_submit(idle, "SELECT 1", 0, &handle), PENSTOCK_OK);
	pending = handle;
	penstock_config_init(&config);
	config.connect_hook = try_hook;
	config.on_error = try_completion;
	config.log = try_log;
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 50;
	db = kit_open(&config);
	callback_db = db;
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(callbacks_tried, 1);
	expect(kit_execute(db, "SELECT try()"), PENSTOCK_OK);
	cr_assert_eq(callbacks_tried, 2);
	expect(kit_submit(db, "nonsense", 0, NULL), PENSTOCK_OK); /* the error callback */
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(callbacks_tried, 3);
	/* the hook for a reader, on this thread; and after it this thread may wait again */
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	cr_assert_eq(callbacks_tried, 4);
	check(sqlite3_close(reader) == SQLITE_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* the hook on the writer's thread */
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(callbacks_tried, 5);
	/* the log callback: somebody else has the lock */
	check(sqlite3_open(harness_path("test.db"), &blocker) == SQLITE_OK);
	check(sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_ERROR);
	check(sqlite3_close(blocker) == SQLITE_OK);
	cr_assert_eq(callbacks_tried, 6);
	/* completions at close, on the closing thread */
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	callback_db = NULL;
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	callback_db = idle;
	expect(penstock_submit(idle, &submission, 0, NULL), PENSTOCK_OK);
	pending = NULL;
	{
		/* Close runs the completion when the engine is closed already: every call says so or is misuse. */
		callback_db = NULL;
		expect(penstock_close(idle, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	expect(penstock_handle_wait(handle, 0), PENSTOCK_SHUTDOWN);
	penstock_handle_release(handle);
}

static struct {
	_Atomic unsigned accepted, full, done;
} chain;

static void submit_more(void *arg, const penstock_result *result)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(1)" };
	penstock *db = arg;

	check(result->status == PENSTOCK_OK);
	for (int i = 0; i < 20; i++) {
		int status = penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL);

		if (status == PENSTOCK_OK)
			chain.accepted++;
		else if (status == PENSTOCK_FULL)
			chain.full++;
		else
			check(false, "%s", penstock_status_name(status));
	}
	chain.done++;
}

Test(contract, submit_in_a_callback_never_blocks)
{
	penstock_config config = kit_config();
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(0)", .on_complete = submit_more
	};
	penstock *db;

	config.ring_slots = 4;
	db = kit_open_table(&config);
	submission.arg = db;
	for (int i = 0; i < 10; i++) {
		expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	cr_assert_eq(chain.done, 10);
	check(chain.full > 0 && chain.accepted > 0 && chain.full + chain.accepted == 200);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 10 + chain.accepted);
}

/* ---- what is prepared ------------------------------------------------------------------------------------------- */

static int prepared_inserts;

static void count_prepared(sqlite3_context *context, int count, sqlite3_value **values)
{
	sqlite3 *connection = sqlite3_context_db_handle(context);

	(void)count;
	(void)values;
	prepared_inserts = 0;
	for (sqlite3_stmt *at = sqlite3_next_stmt(connection, NULL); at != NULL; at = sqlite3_next_stmt(connection, at))
		prepared_inserts += strncmp(sqlite3_sql(at), "INSERT", strlen("INSERT")) == 0;
}

static int add_count_prepared(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "count_prepared", 0, SQLITE_UTF8, NULL, count_prepared, NULL, NULL);
}

Test(contract, what_is_prepared_outlasts_a_pragma)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = add_count_prepared;
	db = kit_open_table(&config);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(kit_execute(db, "PRAGMA user_version=1"), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT count_prepared()"), PENSTOCK_OK);
	cr_assert_eq(prepared_inserts, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- transactions of the program's ------------------------------------------------------------------------------- */

static void run_text(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	sqlite3_result_int(context, sqlite3_exec(sqlite3_context_db_handle(context),
	                                         (const char *)sqlite3_value_text(values[0]), NULL, NULL, NULL));
}

static int leave_a_transaction(sqlite3 *connection, void *arg)
{
	const char *begin = arg;

	sqlite3_create_function(connection, "run_text", 1, SQLITE_UTF8, NULL, run_text, NULL, NULL);
	return begin == NULL ? SQLITE_OK : sqlite3_exec(connection, begin, NULL, NULL, NULL);
}

/* In it every outcome would be OK, and nothing there. */
Test(contract, a_hook_that_leaves_a_transaction_open_is_refused)
{
	static char *const begins[] = { "BEGIN", "SAVEPOINT s" };
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = leave_a_transaction;
	for (size_t i = 0; i < COUNT_OF(begins); i++) {
		config.connect_arg = begins[i];
		expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
		expect_message("left a transaction open");
	}
}

Test(contract, a_function_that_begins_a_transaction_fails_its_statement)
{
	static const char *const texts[] = { "SELECT run_text('BEGIN')", "INSERT INTO t VALUES(run_text('BEGIN'))",
		                             "SELECT run_text('SAVEPOINT s')",
		                             "SELECT abs(-9223372036854775807-1-run_text('BEGIN'))" };
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = leave_a_transaction;
	db = kit_open_table(&config);
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		expect(kit_execute(db, texts[i]), PENSTOCK_ERROR);
		expect_message("begun a transaction");
		expect(kit_insert(db, (int)i, 0, NULL), PENSTOCK_OK);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(rows(), 1 + (int)i);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), (int)COUNT_OF(texts));
}

static void begin_and_fail(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	sqlite3_exec(sqlite3_context_db_handle(context), "BEGIN", NULL, NULL, NULL);
	sqlite3_result_error_code(context, sqlite3_value_int(values[0]));
}

static int add_begin_and_fail(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "begin_and_fail", 1, SQLITE_UTF8, NULL, begin_and_fail, NULL, NULL);
}

/* The lock that it has met is told; alone and in a batch, which a BEGIN does not excuse. What looks like the disk's refusal is not. */
Test(contract, a_function_that_begins_a_transaction_and_fails_is_told_so_or_of_its_lock)
{
	for (int batched = 0; batched <= 1; batched++) {
		penstock_config config = kit_config();
		penstock_handle *handle;
		penstock *db;

		config.connect_hook = add_begin_and_fail;
		config.when_stopped = PENSTOCK_HOLD;
		config.busy_limit_ms = 1;
		db = batched == 0 ? kit_open_table(&config) : kit_open(&config);
		for (int code = 0; code <= 1; code++) {
			char text[64];

			snprintf(text, sizeof text, "SELECT begin_and_fail(%d)",
			         code == 0 ? SQLITE_BUSY_SNAPSHOT : SQLITE_IOERR_READ);
			expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(kit_submit(db, text, 0, &handle), PENSTOCK_OK);
			if (batched)
				expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
			cr_assert_eq(penstock_handle_result(handle)->extended_code,
			             code == 0 ? SQLITE_BUSY_SNAPSHOT : SQLITE_MISUSE);
			penstock_handle_release(handle);
			expect(kit_execute(db, "INSERT INTO t VALUES(2)"), PENSTOCK_OK);
		}
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	cr_assert_eq(rows(), 6);
}

/* Those before it in the batch would be committed with it, or lost. */
Test(contract, a_function_cannot_end_the_transaction_of_others)
{
	static const struct {
		const char *text;
		int status, more;
	} ways[] = {
		{ "SELECT run_text('COMMIT')", PENSTOCK_OK, 0 },
		{ "SELECT run_text('ROLLBACK')", PENSTOCK_OK, 0 },
		{ "SELECT run_text('COMMIT; BEGIN IMMEDIATE')", PENSTOCK_OK, 0 },
		{ "INSERT INTO t SELECT 1 WHERE run_text('ROLLBACK; BEGIN IMMEDIATE') < 0", PENSTOCK_OK, 0 },
		{ "SELECT run_text('SAVEPOINT s; ROLLBACK TO s')", PENSTOCK_ERROR, 0 },
		{ "SELECT run_text('BEGIN; INSERT INTO t VALUES(100); COMMIT')", PENSTOCK_OK, 1 },
	};
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.connect_hook = leave_a_transaction;
	config.when_stopped = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
		expect(kit_submit(db, ways[i].text, 0, &handle), PENSTOCK_OK);
		expect(kit_insert(db, 2, 0, NULL), PENSTOCK_OK);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check((int)penstock_handle_wait(handle, PENSTOCK_FOREVER) == ways[i].status, "%s: %s", ways[i].text,
		      penstock_handle_result(handle)->message);
		penstock_handle_release(handle);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(rows() == 2 + ways[i].more, "%s: %lld rows", ways[i].text, (long long)rows());
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* With another database a transaction would hold both. */
Test(contract, behind_what_a_function_attaches_each_statement_runs_alone)
{
	penstock_config config = kit_config();
	penstock *db;

	config.connect_hook = leave_a_transaction;
	db = kit_open_table(&config);
	expect(kit_execute(db, "SELECT run_text('ATTACH '':memory:'' AS other')"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).alone, 0);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).alone, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A commit without its sync would be told as durable. */
Test(contract, a_function_cannot_change_how_commits_are_kept)
{
	static const char *const texts[] = { "SELECT run_text('PRAGMA synchronous=OFF')",
		                             "SELECT run_text('PRAGMA synchronous=NORMAL')",
		                             "SELECT run_text('PRAGMA journal_mode=DELETE')",
		                             "SELECT run_text('PRAGMA wal_autocheckpoint=1')" };
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.connect_hook = leave_a_transaction;
	db = kit_open_table(&config);
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		expect(kit_submit(db, texts[i], 0, &handle), PENSTOCK_OK);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(penstock_handle_result(handle)->cells[0].as.integer == SQLITE_AUTH, "%s", texts[i]);
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- run alone --------------------------------------------------------------------------------------------------- */

static int times_run;

static void count_call(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int(context, ++times_run);
}

static int add_count_call(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "count_call", 0, SQLITE_UTF8, NULL, count_call, NULL, NULL);
}

/* Not even one that fails in its commit, and whose rows are wanted. */
Test(contract, what_runs_alone_never_runs_twice)
{
	static const char *const texts[] = { "INSERT INTO child VALUES(count_call()) RETURNING a",
		                             "INSERT INTO child VALUES(count_call())" };
	penstock_pragma pragma = PENSTOCK_PRAGMA("foreign_keys", "1");
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.pragmas = &pragma;
	config.pragma_count = 1;
	config.connect_hook = add_count_call;
	db = kit_open_table(&config);
	expect(kit_execute(db, "CREATE TABLE parent(a PRIMARY KEY)"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE child(a REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"), PENSTOCK_OK);
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		penstock_submission submission = {
			.struct_size = sizeof submission, .sql_bytes = -1, .sql = texts[i], .flags = PENSTOCK_RUN_ALONE
		};

		times_run = 0;
		expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_ERROR);
		expect_message("FOREIGN KEY constraint failed");
		check(penstock_handle_result(handle)->extended_code == SQLITE_CONSTRAINT_FOREIGNKEY);
		check(times_run == 1, "it ran %d times", times_run);
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

/* Runs in a child, which leaves with _exit: its own failures are heard by its status. */
#define CHILD(...)                                                                                                     \
	do {                                                                                                           \
		pid_t child_ = fork();                                                                                 \
		int status_;                                                                                           \
		check(child_ >= 0);                                                                                    \
		if (child_ == 0) {                                                                                     \
			alarm(60);                                                                                     \
			__VA_ARGS__;                                                                                   \
			_exit(0);                                                                                      \
		}                                                                                                      \
		check(waitpid(child_, &status_, 0) == child_);                                                         \
		check(WIFEXITED(status_) && WEXITSTATUS(status_) == 0, "the child ended with %#x", (unsigned)status_); \
	} while (0)

static void forked_child(penstock *db, penstock_handle *waiting, penstock_handle *done, penstock_statement *registered)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(99)" };
	penstock_submission with_statement = { .struct_size = sizeof submission, .statement = registered };
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_statement *statement;
	penstock_handle *handle;
	penstock_config change;
	sqlite3 *reader;
	char text[10] = "x";

	penstock_config_init(&change);
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_FORKED);
	expect(penstock_submit(db, &submission, 0, &handle), PENSTOCK_FORKED);
	check(handle == NULL);
	expect(penstock_submit(db, &with_statement, 0, NULL), PENSTOCK_FORKED);
	expect(penstock_try_submit(db, &submission, NULL), PENSTOCK_FORKED);
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_FORKED);
	check(handle == NULL);
	expect(penstock_statement_register(db, "SELECT 1", -1, &statement), PENSTOCK_FORKED);
	expect(penstock_handle_wait(waiting, PENSTOCK_FOREVER), PENSTOCK_FORKED);
	expect(penstock_handle_wait(waiting, 0), PENSTOCK_FORKED);
	check(penstock_handle_result(waiting) == NULL);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_FORKED);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_FORKED);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_FORKED);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_FORKED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_FORKED);
	expect(penstock_reconfigure(db, &change), PENSTOCK_FORKED);
	expect(penstock_reader_open(db, &reader), PENSTOCK_FORKED);
	check(reader == NULL);
	expect(penstock_counters_read(db, &counters), PENSTOCK_FORKED);
	check(penstock_queue_depth(db) == 0);
	check(penstock_is_stopped(db) == 1);
	check(penstock_phase_of(db) == PENSTOCK_PHASE_STOPPED);
	check(penstock_failure(db, text, sizeof text) == 0 && text[0] == '\0');
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_FORKED);
	/* What is done can be read and let go of. */
	expect(penstock_handle_wait(done, 0), PENSTOCK_OK);
	check(penstock_handle_result(done) != NULL);
	penstock_handle_release(done);
	penstock_handle_release(waiting);
}

static atomic_bool allocating;

static void *allocate(void *arg)
{
	(void)arg;
	while (atomic_load(&allocating)) {
		sqlite3_free(sqlite3_malloc(100));
		/* A fork waits for that mutex; on one processor, who lets go of it and takes it at once lets nobody in for long. */
		sched_yield();
	}
	return NULL;
}

/* A mutex of SQLite's that another thread has at the fork would stay locked in the child. */
Test(contract, a_forked_child_may_use_sqlite_for_what_is_its_own)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	pthread_t threads[2];

#ifdef __SANITIZE_THREAD__
	cr_skip_test("TSan does not follow a fork of a program with threads");
#endif
	atomic_store(&allocating, true);
	for (int i = 0; i < 2; i++)
		check(pthread_create(&threads[i], NULL, allocate, NULL) == 0);
	for (int i = 0; i < 200; i++)
		CHILD(sqlite3_free(sqlite3_malloc(100)));
	atomic_store(&allocating, false);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, forked_child_is_refused_and_leaves_the_file_alone)
{
	penstock_config config = kit_config();
	penstock_handle *waiting, *done;
	penstock_statement *statement;
	struct stat before, after;
	penstock *db = kit_open_table(&config);

	expect(penstock_statement_register(db, "INSERT INTO t VALUES(98)", -1, &statement), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, &done), PENSTOCK_OK);
	expect(penstock_handle_wait(done, PENSTOCK_FOREVER), PENSTOCK_OK);
	kit_block(db);
	expect(kit_insert(db, 2, 0, &waiting), PENSTOCK_OK);
	cr_assert_eq(stat(harness_path("test.db-wal"), &before), 0);
	CHILD(forked_child(db, waiting, done, statement));
	cr_assert_eq(stat(harness_path("test.db-wal"), &after), 0);
	check(before.st_size == after.st_size && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	kit_unblock();
	expect(penstock_handle_wait(waiting, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(waiting);
	penstock_handle_release(done);
	/* While paused and while stopped too. */
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	CHILD(expect(penstock_unpause(db, 0), PENSTOCK_FORKED); expect(penstock_close(db, 0), PENSTOCK_FORKED));
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	CHILD(expect(penstock_start(db, 0), PENSTOCK_FORKED); expect(penstock_close(db, 0), PENSTOCK_FORKED));
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 3, 0, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 3);
}

static _Atomic bool enough;

static void *insert_until_enough(void *arg)
{
	struct producer *producer = arg;

	while (!enough) {
		penstock_handle *handle;

		expect(kit_insert(producer->db, 1, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		if (producer->begin++ % 16 == 0)
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(handle);
	}
	return NULL;
}

static void child_has_its_own(int i)
{
	char name[32];
	penstock *own;

	snprintf(name, sizeof name, "child%d.db", i);
	expect(penstock_open(harness_path(name), NULL, &own), PENSTOCK_OK);
	expect(kit_execute(own, "CREATE TABLE t(a)"), PENSTOCK_OK);
	expect(penstock_pause(own, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(own, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(own, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The child may not use this engine; nothing says that it may not have another. */
Test(contract, forked_child_may_have_an_engine_of_its_own)
{
	penstock_config config = kit_config();
	penstock *db;

#ifdef __SANITIZE_THREAD__
	cr_skip_test("TSan does not follow a fork of a program with threads");
#endif
	db = kit_open_table(&config);
	CHILD(child_has_its_own(0));
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void child_is_refused_the_file(const char *refused)
{
	penstock *own;

	expect(penstock_open(harness_path(refused), NULL, &own), PENSTOCK_CANTOPEN);
	expect_message("was open in the parent when this process was forked");
	check(own == NULL);
	/* Under another name too. */
	check(link(harness_path(refused), harness_path("other.db")) == 0);
	expect(penstock_open(harness_path("other.db"), NULL, &own), PENSTOCK_CANTOPEN);
	check(unlink(harness_path("other.db")) == 0);
	/* It neither goes away in a grandchild. */
	CHILD(expect(penstock_open(harness_path(refused), NULL, &own), PENSTOCK_CANTOPEN));
}

static void child_writes(void)
{
	penstock *own;

	expect(penstock_open(harness_path("test.db"), NULL, &own), PENSTOCK_OK);
	expect(kit_insert(own, 7, 0, NULL), PENSTOCK_OK);
	expect(penstock_close(own, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/*
 * SQLite in the child takes the parent's locks for its own: the parent's close would delete the log with what the child has
 * committed. Where the file was closed at the fork the child may have it.
 */
Test(contract, forked_child_is_refused_a_file_that_was_open)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;

#ifdef __SANITIZE_THREAD__
	cr_skip_test("TSan does not follow a fork of a program with threads");
#endif
	db = kit_open_table(&config);
	CHILD(child_is_refused_the_file("test.db"));
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	CHILD(child_is_refused_the_file("test.db"));
	sqlite3_close(reader);
	CHILD(child_writes());
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	CHILD(child_writes());
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	CHILD(child_is_refused_the_file("test.db"));
	expect(kit_insert(db, 8, 0, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	CHILD(child_writes());
	cr_assert_eq(rows(), 4);
}

/* Forked at any moment, among busy producers: the child's calls return. */
Test(contract, fork_at_any_moment)
{
	penstock_config config = kit_config();
	struct producer producers[3];
	pthread_t threads[3];
	penstock *db;

#ifdef __SANITIZE_THREAD__
	cr_skip_test("TSan does not follow a fork of a program with threads");
#endif
	config.ring_slots = 64;
	db = kit_open_table(&config);
	for (int i = 0; i < 3; i++) {
		producers[i] = (struct producer){ .db = db };
		threads[i] = kit_thread(insert_until_enough, &producers[i]);
	}
	for (int i = 0; i < 40; i++)
		CHILD(expect(kit_insert(db, 7, PENSTOCK_FOREVER, NULL), PENSTOCK_FORKED);
		      expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_FORKED));
	enough = true;
	for (int i = 0; i < 3; i++)
		kit_join(threads[i]);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t WHERE a = 7"), 0);
}

/* ---- readers and hooks ------------------------------------------------------------------------------------------- */

static int64_t reader_asks(sqlite3 *reader, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t number;

	check(sqlite3_prepare_v2(reader, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(reader));
	check(sqlite3_step(statement) == SQLITE_ROW, "%s", sqlite3_errmsg(reader));
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

Test(contract, reader_sees_what_is_committed_and_cannot_write)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	unsigned calls = hook_calls;
	sqlite3 *reader;

	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	cr_assert_eq(hook_calls, calls + 1);
	cr_assert_eq(reader_asks(reader, "SELECT gate()"), 1); /* the hook's function */
	cr_assert_eq(reader_asks(reader, "PRAGMA query_only"), 1);
	cr_assert_eq(reader_asks(reader, "PRAGMA busy_timeout"), 5000);
	cr_assert_eq(sqlite3_exec(reader, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), SQLITE_READONLY);
	for (int i = 0; i < 200; i++) {
		penstock_handle *handle;

		expect(kit_insert(db, i, 0, &handle), PENSTOCK_OK);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(handle);
		cr_assert_eq(reader_asks(reader, "SELECT count(*) FROM t"), i + 1);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(reader_asks(reader, "SELECT count(*) FROM t"), 200); /* it is the caller's */
	check(sqlite3_close(reader) == SQLITE_OK);
}

Test(contract, reader_never_checkpoints)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	struct stat before, after;
	sqlite3 *reader;

	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	cr_assert_eq(reader_asks(reader, "SELECT count(*) FROM t"), 0);
	check(sqlite3_exec(reader, "BEGIN; SELECT * FROM t", NULL, NULL, NULL) == SQLITE_OK); /* the writer cannot either */
	for (int i = 0; i < 100; i++)
		expect(insert_bytes(db, 5000, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	cr_assert_eq(reader_asks(reader, "SELECT count(*) FROM t"), 100);
	cr_assert_eq(stat(harness_path("test.db"), &before), 0);
	check(sqlite3_close(reader) == SQLITE_OK); /* the last connection */
	cr_assert_eq(stat(harness_path("test.db"), &after), 0);
	check(before.st_size == after.st_size && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	cr_assert_eq(access(harness_path("test.db-wal"), F_OK), 0);
	cr_assert_eq(rows(), 100);
}

/* Copies all pages at once, as docs/guide.md does: SQLite's code. */
static int back_up(sqlite3 *from, const char *path)
{
	sqlite3 *to;
	sqlite3_backup *backup;
	int rc;

	check(sqlite3_open(path, &to) == SQLITE_OK);
	backup = sqlite3_backup_init(to, "main", from, "main");
	check(backup != NULL, "%s", sqlite3_errmsg(to));
	sqlite3_backup_step(backup, -1);
	rc = sqlite3_backup_finish(backup);
	check(sqlite3_close(to) == SQLITE_OK);
	return rc;
}

static int vacuum_into(sqlite3 *connection, const char *name)
{
	char sql[512];

	snprintf(sql, sizeof sql, "VACUUM INTO '%s'", harness_path(name));
	return sqlite3_exec(connection, sql, NULL, NULL, NULL);
}

static int back_up_in_a_call(sqlite3 *connection, void *arg, char **message)
{
	(void)message;
	*(int *)arg = back_up(connection, harness_path("call.db"));
	check(vacuum_into(connection, "call-statement.db") == SQLITE_ERROR);
	return SQLITE_OK;
}

Test(contract, backups_are_made_by_a_statement_or_a_reader)
{
	penstock *db = kit_open_table(NULL);
	penstock_value path = penstock_text(harness_path("statement.db"));
	penstock_submission vacuum = PENSTOCK_SUBMISSION_INIT;
	penstock_handle *handle;
	sqlite3 *reader;
	int rc = SQLITE_OK;

	vacuum.sql = "VACUUM INTO ?";
	vacuum.values = &path;
	vacuum.value_count = 1;
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_execute(db, &vacuum, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("statement.db"), "SELECT sum(a) FROM t"), 1);
	expect(penstock_execute(db, &vacuum, PENSTOCK_FOREVER, NULL), PENSTOCK_ERROR);
	expect_message("output file already exists");
	expect(penstock_submit_group(db, &vacuum, 1, NULL, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	penstock_handle_release(handle);

	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	cr_assert_eq(back_up(reader, harness_path("reader.db")), SQLITE_OK);
	cr_assert_eq(kit_ask(harness_path("reader.db"), "SELECT sum(a) FROM t"), 1);
	cr_assert_eq(vacuum_into(reader, "reader-statement.db"), SQLITE_READONLY);
	sqlite3_close(reader);

	expect(penstock_call(db, back_up_in_a_call, &rc, NULL, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	cr_assert_eq(rc, SQLITE_BUSY);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, a_backup_in_steps_begins_anew_behind_each_write)
{
	penstock *db = kit_open_table(NULL);
	sqlite3 *reader, *to;

	expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(100000))"), PENSTOCK_OK);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	for (int within = 0; within <= 1; within++) { /* a transaction of the reader's */
		sqlite3_backup *backup;
		int left;

		cr_assert_eq(sqlite3_open(harness_path(within ? "within.db" : "steps.db"), &to), SQLITE_OK);
		if (within)
			cr_assert_eq(sqlite3_exec(reader, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
		backup = sqlite3_backup_init(to, "main", reader, "main");
		cr_assert_eq(sqlite3_backup_step(backup, 4), SQLITE_OK);
		left = sqlite3_backup_remaining(backup);
		expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(sqlite3_backup_step(backup, 4), SQLITE_OK);
		cr_assert_eq(sqlite3_backup_remaining(backup) < left, within, "%d left, then %d", left,
		             sqlite3_backup_remaining(backup));
		while (sqlite3_backup_step(backup, 4) == SQLITE_OK)
			continue;
		cr_assert_eq(sqlite3_backup_finish(backup), SQLITE_OK);
		if (within)
			cr_assert_eq(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(to);
	}
	sqlite3_close(reader);
	cr_assert_eq(kit_ask(harness_path("steps.db"), "SELECT count(*) FROM t"), 2);
	cr_assert_eq(kit_ask(harness_path("within.db"), "SELECT count(*) FROM t"), 2);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, reader_is_refused_while_the_file_is_a_pausers)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	unsigned calls = hook_calls;
	sqlite3 *reader;

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	reader = (sqlite3 *)1;
	expect(penstock_reader_open(db, &reader), PENSTOCK_PAUSED);
	cr_assert_null(reader);
	cr_assert_eq(hook_calls, calls);
	cr_assert_eq(kit_open_files(harness_path("test.db")), 0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	hook_code = SQLITE_AUTH;
	expect(penstock_reader_open(db, &reader), PENSTOCK_CANTOPEN);
	cr_assert_null(reader);
	hook_code = SQLITE_OK;
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

struct pauser {
	penstock *db;
	_Atomic bool done;
};

static void *pause_main(void *arg)
{
	struct pauser *pauser = arg;

	expect(penstock_pause(pauser->db, PENSTOCK_FOREVER), PENSTOCK_OK);
	pauser->done = true;
	return NULL;
}

static void *reader_main(void *arg)
{
	sqlite3 *reader;

	expect(penstock_reader_open(arg, &reader), PENSTOCK_OK);
	check(sqlite3_close(reader) == SQLITE_OK);
	return NULL;
}

Test(contract, pause_waits_for_a_reader_that_is_being_opened)
{
	penstock_config config = kit_config();
	struct pauser pauser = { 0 };
	pthread_t reader, thread;
	penstock *db = kit_open_table(&config);

	gate_set(&hook_gate, true);
	reader = kit_thread(reader_main, db);
	gate_await(&hook_gate);
	pauser.db = db;
	thread = kit_thread(pause_main, &pauser);
	await(penstock_phase_of(db) == PENSTOCK_PHASE_PAUSING || penstock_phase_of(db) == PENSTOCK_PHASE_PAUSED);
	kit_sleep_usec(SHORT);
	check(!pauser.done);
	/* A pause that gives up over it leaves the engine running. */
	gate_set(&hook_gate, false);
	kit_join(reader);
	kit_join(thread);
	cr_assert_eq(penstock_phase_of(db), PENSTOCK_PHASE_PAUSED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);

	gate_set(&hook_gate, true);
	reader = kit_thread(reader_main, db);
	gate_await(&hook_gate);
	expect(penstock_pause(db, 200000), PENSTOCK_TIMEOUT);
	gate_set(&hook_gate, false);
	kit_join(reader);
	kit_await_phase(db, PENSTOCK_PHASE_RUNNING);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *refused_reader_main(void *arg)
{
	sqlite3 *reader;

	expect(penstock_reader_open(arg, &reader), PENSTOCK_CANTOPEN);
	return NULL;
}

/* The same, and the writer cannot connect again: nobody holds this pause, so it must not stay PAUSED (control.h). */
Test(contract, pause_withdrawn_over_a_reader_does_not_stay_paused)
{
	penstock_config config = kit_config();
	pthread_t reader;
	penstock *db = kit_open_table(&config);

	gate_set(&hook_gate, true);
	reader = kit_thread(refused_reader_main, db);
	gate_await(&hook_gate);
	hook_code = SQLITE_PERM;
	expect(penstock_pause(db, 200000), PENSTOCK_TIMEOUT);
	gate_set(&hook_gate, false);
	kit_join(reader);
	await(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING || penstock_phase_of(db) == PENSTOCK_PHASE_FAILED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A pause that timed out is over for its thread: it may try again at once. */
Test(contract, pause_withdrawn_over_a_reader_can_be_tried_again)
{
	penstock_config config = kit_config();
	pthread_t reader;
	penstock *db = kit_open_table(&config);

	gate_set(&hook_gate, true);
	reader = kit_thread(reader_main, db);
	gate_await(&hook_gate);
	expect(penstock_pause(db, 200000), PENSTOCK_TIMEOUT);
	expect(penstock_pause(db, SHORT), PENSTOCK_TIMEOUT);
	gate_set(&hook_gate, false);
	kit_join(reader);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, hook_runs_on_every_connection)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db = kit_open_table(&config);

	cr_assert_eq(hook_calls, 1);
	expect(kit_execute(db, "SELECT gate()"), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(hook_calls, 2);
	expect(kit_execute(db, "SELECT gate()"), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	cr_assert_eq(hook_calls, 3);
	check(sqlite3_close(reader) == SQLITE_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(hook_calls, 4);
	expect(kit_execute(db, "SELECT gate()"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	hook_code = SQLITE_AUTH;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	expect_message("connect hook");
	cr_assert_null(db);
	await(kit_find_writer() == 0); /* joined, yet the kernel may list it for a moment */
}

/* ---- the writer's thread ----------------------------------------------------------------------------------------- */

static _Atomic unsigned signals_on_writer;
static _Atomic pid_t writer_thread;

static void note_signal(int number)
{
	(void)number;
	if (gettid() == writer_thread)
		signals_on_writer++;
}

Test(contract, writer_has_a_name_and_takes_no_signals)
{
	const int numbers[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGRTMIN + 3 };
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	char mask[64];
	uint64_t bits;

	await(kit_find_writer() != 0);
	writer_thread = kit_find_writer();
	kit_thread_status(writer_thread, "SigBlk", mask, sizeof mask);
	bits = strtoull(mask, NULL, 16);
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		check(bits >> (numbers[i] - 1) & 1, "signal %d is not blocked", numbers[i]);
	signal(SIGUSR2, note_signal);
	for (int i = 0; i < 200; i++) {
		check(kill(getpid(), SIGUSR2) == 0);
		expect(kit_insert(db, i, 0, NULL), PENSTOCK_OK);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(signals_on_writer, 0);
	/* The opener's own mask is as it was. */
	{
		sigset_t now;

		check(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0);
		check(!sigismember(&now, SIGUSR2));
	}
}

/* Opens an engine on the file, stops and starts it, and expects its writer to be called "psN:" and `shown` then. */
static penstock *open_named(const char *path, const char *shown)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_path(path, &config);
	char name[32];

	snprintf(name, sizeof name, "ps%u:%s", (unsigned)db->number, shown);
	check(strlen(name) < 16, "%s", name);
	await(kit_find_thread(name) != 0); /* it names itself */
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await(kit_find_thread(name) == 0); /* joined, yet the kernel may list it for a moment */
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await(kit_find_thread(name) != 0);
	return db;
}

Test(contract, each_writer_has_a_name_of_its_own)
{
	const struct {
		const char *file, *shown;
	} of[] = {
		{ "app.db", "app.db" },
		{ "east/app.db", "app.db" },
		{ "west/app.db", "app.db" },
		{ "eleven-byte", "eleven-byte" },
		{ "twelve-bytes", "twelve-byte" },
		{ "a database with a long name.db", "a database " },
		{ "Z\u00fcrich-\u00e9t\u00e9.db", "Z\u00fcrich-\u00e9t" },
		{ "\u6570\u636e\u5e93\u6570\u636e\u5e93.db", "\u6570\u636e\u5e93" },
		{ "two\nlines", "two?lines" },
	};
	penstock *engines[COUNT_OF(of)];

	check(mkdir(harness_path("east"), 0700) == 0);
	check(mkdir(harness_path("west"), 0700) == 0);
	for (size_t i = 0; i < COUNT_OF(of); i++)
		engines[i] = open_named(harness_path(of[i].file), of[i].shown);
	for (size_t i = 0; i < COUNT_OF(of); i++) {
		for (size_t other = 0; other < i; other++)
			check(engines[i]->number != engines[other]->number);
	}
	for (size_t i = 0; i < COUNT_OF(of); i++)
		expect(penstock_close(engines[i], PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, uri_gives_its_file_to_the_name_of_the_writer)
{
	char uri[512];

	snprintf(uri, sizeof uri, "file:%s?of=east/west", harness_path("test.db"));
	expect(penstock_close(open_named(uri, "test.db"), PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(open_named(harness_path("what?.db"), "what?.db"), PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* What a very large number leaves room for: nothing may be written behind the name's end. */
Test(contract, name_of_the_writer_keeps_a_large_number_whole)
{
	penstock_config config = kit_config();
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	db->number = UINT32_MAX;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await(kit_find_thread("ps4294967295:te") != 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, writer_can_be_pinned)
{
	penstock_config config = kit_config();
	char list[64], wanted[16];
	cpu_set_t allowed;
	int cpu = 0;
	penstock *db;

	check(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &allowed))
			cpu = i; /* the last */
	}
	config.writer_cpu = cpu;
	db = kit_open_table(&config);
	kit_thread_status(kit_find_writer(), "Cpus_allowed_list", list, sizeof list);
	snprintf(wanted, sizeof wanted, "%d", cpu);
	cr_assert_str_eq(list, wanted);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.writer_cpu = 1023;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CONFIG);
	expect_message("writer_cpu");
	expect_message("1023");
	cr_assert_null(db);
}

static char log_text[4096];
static _Atomic size_t log_bytes;

static void collect_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	check(arg == log_text);
	log_bytes += (size_t)snprintf(log_text + log_bytes, sizeof log_text - log_bytes, "%d %s %s\n", (int)level,
	                              penstock_event_name((int)event), message);
}

Test(contract, log_events_have_names)
{
	unsigned known = 0;

	for (int number = -1; number < 1000; number++) {
		const char *name = penstock_event_name(number);

		check(strncmp(name, "PENSTOCK_EVENT_", strlen("PENSTOCK_EVENT_")) == 0, "%d: %s", number, name);
		known += strcmp(name, "PENSTOCK_EVENT_?") != 0;
	}
#define ONE_MORE(name, number, level, sentence) +1
	cr_assert_eq(known, 0 PENSTOCK_EVENT_LIST(ONE_MORE));
#undef ONE_MORE
	cr_assert_str_eq(penstock_event_name(PENSTOCK_EVENT_LOCKED), "PENSTOCK_EVENT_LOCKED");
}

Test(contract, log_tells_of_rounding_and_of_the_wal_reset_bug)
{
	penstock_config config = kit_config();
	penstock *db;

	config.ring_slots = 100;
	config.log = collect_log;
	config.log_arg = log_text;
	db = kit_open_table(&config);
	cr_assert_eq(penstock_queue_capacity(db), 128);
	check(strstr(log_text, "2 PENSTOCK_EVENT_RING_ROUNDED ") == log_text, "%s", log_text);
	check(strstr(log_text, "ring_slots=100 is rounded up to 128") != NULL, "%s", log_text);
	cr_assert_eq(strstr(log_text, "1 PENSTOCK_EVENT_WAL_RESET_BUG ") != NULL, penstock_wal_reset_bug() != 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(penstock_wal_reset_bug() != 0,
	             sqlite3_libversion_number() < 3051003 &&
	                     !(sqlite3_libversion_number() >= 3044006 && sqlite3_libversion_number() < 3045000) &&
	                     !(sqlite3_libversion_number() >= 3050007 && sqlite3_libversion_number() < 3051000));
}

/* ---- flush, depth, counters -------------------------------------------------------------------------------------- */

Test(contract, flush_waits_for_what_was_accepted_before)
{
	penstock_config config = kit_config();
	penstock_handle *handles[100];
	penstock *db = kit_open_table(&config);

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 100; i++)
			expect(kit_insert(db, i, PENSTOCK_FOREVER, &handles[i]), PENSTOCK_OK);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(penstock_queue_depth(db), 0);
		for (int i = 0; i < 100; i++) {
			check(penstock_handle_result(handles[i]) != NULL);
			penstock_handle_release(handles[i]);
		}
		cr_assert_eq(rows(), 100 * (round + 1));
	}
	expect(penstock_flush(db, 0), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* "Accepted submissions without an outcome yet", and a slot is free again when its outcome is there. */
Test(contract, depth_does_not_count_what_has_its_outcome)
{
	penstock_config config = kit_config();
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(1)" };
	penstock *db;

	config.ring_slots = 2;
	db = kit_open_table(&config);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 2000; i++) {
		expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		cr_assert_eq(penstock_queue_depth(db), 0);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void sums_agree(const penstock_counters *counters)
{
	check(counters->accepted == counters->committed + counters->failed + counters->unknown + counters->shutdown +
	                                    counters->expired + counters->cancelled + counters->queue_depth,
	      "%" PRIu64 " accepted, %" PRIu64 " deep", counters->accepted, counters->queue_depth);
}

static void *read_counters(void *arg)
{
	penstock_counters before = { 0 }, now;

	while (!enough) {
		now = kit_counters(arg);
		sums_agree(&now);
		check(now.accepted >= before.accepted && now.committed >= before.committed && now.failed >= before.failed);
		check(now.accepted < UINT64_MAX / 2 && now.queue_depth < UINT64_MAX / 2);
		check(now.batch_size.count >= before.batch_size.count);
		before = now;
	}
	return NULL;
}

Test(contract, counters_agree_at_all_times)
{
	enum { PRODUCERS = 3, EACH = 4000 };
	penstock_config config = kit_config();
	struct producer producers[PRODUCERS];
	pthread_t threads[PRODUCERS], reader;
	penstock_counters counters;
	uint64_t bucket_sum = 0;
	penstock *db;

	config.ring_slots = 256;
	config.on_error = ignore;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a CHECK (a % 10 <> 3))"), PENSTOCK_OK);
	reader = kit_thread(read_counters, db);
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){ .db = db, .begin = i * EACH, .end = (i + 1) * EACH };
		threads[i] = kit_thread(insert_many, &producers[i]);
	}
	for (int i = 0; i < PRODUCERS; i++)
		kit_join(threads[i]);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	enough = true;
	kit_join(reader);
	counters = kit_counters(db);
	sums_agree(&counters);
	cr_assert_eq(counters.accepted, PRODUCERS * EACH + 1);
	cr_assert_eq(counters.failed, PRODUCERS * EACH / 10);
	cr_assert_eq(counters.committed, PRODUCERS * EACH + 1 - PRODUCERS * EACH / 10);
	cr_assert_eq(counters.queue_depth, 0);
	for (size_t i = 0; i < PENSTOCK_HISTOGRAM_BUCKETS; i++)
		bucket_sum += counters.batch_size.buckets[i];
	cr_assert_eq(bucket_sum, counters.batch_size.count);
	check(counters.queue_depth_max <= 256);
	{
		/* An older program's struct is filled as far as it goes. */
		struct {
			penstock_counters counters;
		} guarded;

		memset(&guarded, 0x5a, sizeof guarded);
		guarded.counters.struct_size = 3 * sizeof(uint64_t);
		expect(penstock_counters_read(db, &guarded.counters), PENSTOCK_OK);
		cr_assert_eq(guarded.counters.accepted, counters.accepted);
		cr_assert_eq(guarded.counters.struct_size, 3 * sizeof(uint64_t));
		cr_assert_eq(((const uint64_t *)&guarded.counters)[3], UINT64_C(0x5a5a5a5a5a5a5a5a));
		guarded.counters.struct_size = 0;
		expect(penstock_counters_read(db, &guarded.counters), PENSTOCK_MISUSE);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, statements_that_would_end_the_batch_are_refused)
{
	static const char *const refused[] = { "BEGIN",
		                               "COMMIT",
		                               "END",
		                               "ROLLBACK",
		                               "SAVEPOINT s",
		                               "RELEASE s",
		                               "ROLLBACK TO s",
		                               "/* */ begin immediate",
		                               "SELECT 1; SELECT 2",
		                               "",
		                               " -- nothing",
		                               ";",
		                               "PRAGMA journal_mode=DELETE" };
	penstock_config config = kit_config();
	penstock_handle *handles[COUNT_OF(refused)];
	penstock *db = kit_open_table(&config);

	kit_block(db);
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		expect(kit_submit(db, refused[i], 0, &handles[i]), PENSTOCK_OK);
		expect(kit_insert(db, (int64_t)i, 0, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		check(penstock_handle_wait(handles[i], PENSTOCK_FOREVER) == PENSTOCK_ERROR, "%s", refused[i]);
		check(penstock_handle_result(handles[i])->message[0] != '\0');
		check(penstock_handle_result(handles[i])->code != SQLITE_OK);
		penstock_handle_release(handles[i]);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), (int64_t)COUNT_OF(refused));
}

/* What it defined would be of no use to anybody else's connection. */
Test(contract, no_schema_can_rely_on_the_function_that_marks_a_connection)
{
	penstock_pragma pragma = PENSTOCK_PRAGMA("trusted_schema", "1");
	penstock_config config = kit_config();
	penstock *db;

	config.pragmas = &pragma;
	config.pragma_count = 1;
	db = kit_open_table(&config);
	expect(kit_execute(db, "SELECT penstock_open_files()"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE VIEW v AS SELECT penstock_open_files()"), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT * FROM v"), PENSTOCK_ERROR);
	expect_message("unsafe use");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, synchronous_off_is_refused_again_and_again)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	for (int times = 0; times < 3; times++)
		expect(kit_execute(db, "PRAGMA synchronous=no"), PENSTOCK_ERROR);
	expect(kit_submit(db, "PRAGMA synchronous", 0, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(penstock_handle_result(handle)->cells[0].as.integer, PENSTOCK_SYNCHRONOUS_NORMAL);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(contract, a_registered_statement_that_is_refused_is_refused_again)
{
	static const char *const refused[] = { "COMMIT", "SELECT 1; SELECT 2", "" };
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
		penstock_statement *statement;

		expect(penstock_statement_register(db, refused[i], -1, &statement), PENSTOCK_OK);
		submission.statement = statement;
		for (int times = 0; times < 3; times++)
			expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_ERROR);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- exactly one outcome when the disk refuses a sync ------------------------------------------------------------- */

static _Atomic bool syncs_fail;

static int failing_sync(int fd)
{
	(void)fd;
	errno = EIO;
	return -1;
}

/* SQLite's syncs come by here. */
int fdatasync(int fd)
{
	return syncs_fail ? failing_sync(fd) : 0;
}

int fsync(int fd)
{
	return syncs_fail ? failing_sync(fd) : 0;
}

static _Atomic unsigned outcomes[64], statuses[64];

static void count_outcome(void *arg, const penstock_result *result)
{
	size_t i = (size_t)((_Atomic unsigned *)arg - outcomes);

	check(i < 64);
	outcomes[i]++;
	statuses[i] = (unsigned)result->status;
}

/* A durable statement in a batch that is replayed, because of a later one, and the sync behind it fails. */
Test(contract, failed_sync_in_a_replay_gives_one_outcome_each)
{
	penstock_config config = kit_config();
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .on_complete = count_outcome };
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a UNIQUE)"), PENSTOCK_OK);
	expect(kit_insert(db, 3, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	kit_block(db);
	for (int i = 0; i < 8; i++) {
		char sql[64];

		snprintf(sql, sizeof sql, i == 5 ? "INSERT OR ROLLBACK INTO t VALUES(3)" : "INSERT INTO t VALUES(%d)", 10 + i);
		submission.sql = sql;
		submission.arg = (void *)&outcomes[i];
		submission.ack = i == 2 ? PENSTOCK_ACK_DURABLE : PENSTOCK_ACK_COMMITTED;
		expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
	}
	syncs_fail = true;
	kit_unblock();
	kit_await_phase(db, PENSTOCK_PHASE_FAILED);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	syncs_fail = false;
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 8; i++)
		check(outcomes[i] == 1, "submission %d has %u outcomes", i, outcomes[i]);
	cr_assert_eq(statuses[2], PENSTOCK_UNKNOWN);
	for (int i = 0; i < 5; i++)
		check(i == 2 || statuses[i] == PENSTOCK_OK, "%u", statuses[i]);
}

/* ---- SQLite's versions -------------------------------------------------------------------------------------------- */

static int sqlite_version;

int __wrap_sqlite3_libversion_number(void);
int __real_sqlite3_libversion_number(void);

int __wrap_sqlite3_libversion_number(void)
{
	return sqlite_version != 0 ? sqlite_version : __real_sqlite3_libversion_number();
}

static bool sqlite_without_threads;

int __wrap_sqlite3_threadsafe(void);
int __real_sqlite3_threadsafe(void);

int __wrap_sqlite3_threadsafe(void)
{
	return sqlite_without_threads ? 0 : __real_sqlite3_threadsafe();
}

static void refused_for_its_threads(const char *message)
{
	penstock *db;

	for (int autostart = 0; autostart < 2; autostart++) {
		penstock_config config = kit_config();

		config.autostart = autostart;
		expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
		expect_message(message);
		check(access(harness_path("test.db"), F_OK) != 0);
	}
}

/* An SQLite without mutexes would fail later, and somewhere else. */
Test(contract, sqlite_for_one_thread_is_refused)
{
	static const int safe[] = { SQLITE_CONFIG_MULTITHREAD, SQLITE_CONFIG_SERIALIZED };
	penstock_config config = kit_config();

	sqlite_without_threads = true;
	refused_for_its_threads("SQLITE_THREADSAFE=0");
	sqlite_without_threads = false;
	check(sqlite3_shutdown() == SQLITE_OK && sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) == SQLITE_OK);
	refused_for_its_threads("SQLITE_CONFIG_SINGLETHREAD");
	for (size_t i = 0; i < COUNT_OF(safe); i++) {
		penstock *db;

		check(sqlite3_shutdown() == SQLITE_OK && sqlite3_config(safe[i]) == SQLITE_OK);
		db = kit_open(&config);
		expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS t(a)"), PENSTOCK_OK);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
}

/* The first and the last that have it, and those between in which it was mended (sqlite.org/wal.html#walresetbug). */
Test(contract, the_versions_with_the_wal_reset_bug_are_known)
{
	static const struct {
		int version, has_it;
	} cases[] = { { 3006999, 0 }, { 3007000, 1 }, { 3044005, 1 }, { 3044006, 0 }, { 3044999, 0 }, { 3045000, 1 },
		      { 3050006, 1 }, { 3050007, 0 }, { 3050999, 0 }, { 3051000, 1 }, { 3051002, 1 }, { 3051003, 0 } };

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		sqlite_version = cases[i].version;
		check(penstock_wal_reset_bug() == cases[i].has_it, "%d", sqlite_version);
	}
	sqlite_version = 0;
}

/* ---- the caller's memory is slow to come ------------------------------------------------------------------------- */

/* A page that its reader gets only when the test says so, as one that is swapped out or lies on a network. */
static unsigned char *slow_page;
static long page_bytes;
static int slow_pipe[2];
static _Atomic bool page_awaited;

static void on_slow_page(int number, siginfo_t *info, void *context)
{
	unsigned char *address = info->si_addr;
	char byte;

	(void)context;
	if (address < slow_page || address >= slow_page + page_bytes) {
		signal(number, SIG_DFL);
		return;
	}
	page_awaited = true;
	while (read(slow_pipe[0], &byte, 1) != 1)
		;
	mprotect(slow_page, (size_t)page_bytes, PROT_READ | PROT_WRITE);
}

struct slow_submission {
	penstock *db;
	const penstock_submission *submission;
};

static void *submit_slowly(void *arg)
{
	struct slow_submission *slow = arg;

	expect(penstock_submit(slow->db, slow->submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	return NULL;
}

/* Nobody else notices that one waits for its page. */
static void others_go_on(penstock *db, const penstock_submission *submission)
{
	struct slow_submission slow = { db, submission };
	pthread_t thread;

	page_awaited = false;
	mprotect(slow_page, (size_t)page_bytes, PROT_NONE);
	thread = kit_thread(submit_slowly, &slow);
	await(page_awaited);
	expect(kit_execute(db, "INSERT INTO t VALUES('other')"), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(write(slow_pipe[1], "", 1) == 1);
	kit_join(thread);
}

Test(contract, nobody_waits_for_a_slow_page_of_a_caller)
{
	static const char text[] = "INSERT INTO t VALUES('slow')";
	struct sigaction action = { .sa_sigaction = on_slow_page, .sa_flags = SA_SIGINFO };
	penstock *db = kit_open_table(NULL);
	penstock_statement *statement;
	penstock_value *values, value;
	penstock_submission *whole, submission = { .struct_size = sizeof submission, .value_count = 1 };

	page_bytes = sysconf(_SC_PAGESIZE);
	slow_page = mmap(NULL, (size_t)page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(slow_page != MAP_FAILED && pipe(slow_pipe) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
	submission.statement = statement;

	/* a value's bytes, in the slot and outside of it */
	submission.values = &value;
	memcpy(slow_page, "slow", 4);
	value = penstock_text_bytes((const char *)slow_page, 4);
	others_go_on(db, &submission);
	value = penstock_text_bytes((const char *)slow_page, 1000);
	others_go_on(db, &submission);
	/* the values */
	submission.values = values = (penstock_value *)(void *)slow_page;
	values[0] = penstock_text("slow");
	others_go_on(db, &submission);
	/* the submission itself */
	submission.values = &value;
	value = penstock_text("slow");
	whole = (penstock_submission *)(void *)slow_page;
	*whole = submission;
	others_go_on(db, whole);
	/* the SQL text */
	memcpy(slow_page, text, sizeof text);
	submission = (penstock_submission){ .struct_size = sizeof submission,
		                            .sql = (const char *)slow_page,
		                            .sql_bytes = sizeof text - 1 };
	others_go_on(db, &submission);

	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t WHERE a LIKE 'slow%'"), 5);
	munmap(slow_page, (size_t)page_bytes);
}
