/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_disk.c - a file system that is truly full, truly read-only, a file that may not grow, no descriptor left; a database, a log or
 * an index that is gone; and what the disk is told ahead
 *
 * Other tests let a VFS shim say so; here the kernel does, on a small tmpfs in a mount namespace of the test's own. Without the
 * right to mount, the tests that need it are skipped, and say so. What the disk is told to begin with before it is synced is
 * seen where the linker wraps sync_file_range.
 */
#include "tests/kit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

static bool mounted;

static void end(void)
{
	if (mounted)
		umount2(harness_make_folder(), MNT_DETACH);
	harness_end();
}

TestSuite(disk, .init = kit_begin, .fini = end);

static void mount_sized(const char *size)
{
	const char *folder = harness_make_folder();

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", folder, "tmpfs", 0, size) != 0)
		cr_skip_test("a tmpfs cannot be mounted: %s", strerror(errno));
	mounted = true;
}

static void mount_small(void)
{
	mount_sized("size=2m");
}

static void remount(unsigned long flags)
{
	check(mount("none", harness_make_folder(), NULL, MS_REMOUNT | flags, "size=2m") == 0, "%s", strerror(errno));
}

/* ---- full --------------------------------------------------------------------------------------------------------- */

struct work {
	_Atomic unsigned outcomes;
	penstock_status status;
	int code;
	bool accepted;
	unsigned found;
};

#define WORKS 400

static struct work works[WORKS];

static void on_complete(void *arg, const penstock_result *result)
{
	struct work *work = arg;

	work->status = result->status;
	work->code = result->extended_code;
	work->outcomes++;
}

static void submit_blob(penstock *db, unsigned number, size_t bytes)
{
	static const char data[200000];
	penstock_value values[] = { penstock_int64(number), penstock_blob(data, bytes) };
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(?,?)",
		                           .values = values,
		                           .value_count = 2,
		                           .on_complete = on_complete,
		                           .arg = &works[number] };

	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
}

static void set_ballast(bool there)
{
	const char *path = harness_path("ballast");
	static const char data[100000];
	int file;

	if (!there) {
		check(unlink(path) == 0);
		return;
	}
	file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	check(file >= 0);
	/* More than half: what is in the log then fits the database as well, once this is gone. */
	for (int i = 0; i < 12; i++)
		check(write(file, data, sizeof data) == (ssize_t)sizeof data);
	close(file);
}

/* Both with batches that commit, and with statements larger than what is left. */
static void fill(int64_t wal_bytes_max, size_t bytes)
{
	penstock_config config = kit_config();
	unsigned full = 0, before;
	penstock *db;

	mount_small();
	set_ballast(true);
	config.wal_bytes_max = wal_bytes_max;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(n, data)"), PENSTOCK_OK);
	for (unsigned i = 0; i < WORKS - 10; i++)
		submit_blob(db, i, bytes);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING, "%s", penstock_phase_name(penstock_phase_of(db)));
	for (unsigned i = 0; i < WORKS - 10; i++) {
		check(works[i].outcomes == 1, "%u: %u", i, works[i].outcomes);
		check(works[i].status == PENSTOCK_OK ||
		              (works[i].status == PENSTOCK_ERROR && (works[i].code & 0xff) == SQLITE_FULL),
		      "%u: %s %d", i, penstock_status_name(works[i].status), works[i].code);
		full += works[i].status != PENSTOCK_OK;
	}
	check(full > 0, "it was not full");
	before = WORKS - 10 - full;
	check(before > 0, "nothing went in");
	/* Room again: the same engine goes on. */
	set_ballast(false);
	for (unsigned i = WORKS - 10; i < WORKS; i++)
		submit_blob(db, i, 10);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (unsigned i = WORKS - 10; i < WORKS; i++)
		check(works[i].outcomes == 1 && works[i].status == PENSTOCK_OK, "%u: %s %d", i,
		      penstock_status_name(works[i].status), works[i].code);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == before + 10);
	for (unsigned i = 0; i < WORKS; i++) {
		char sql[64];

		snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE n=%u", i);
		check(kit_ask(harness_path("test.db"), sql) == (works[i].status == PENSTOCK_OK), "%u", i);
	}
}

Test(disk, full_while_the_log_grows)
{
	fill(64 << 20, 20000);
}

Test(disk, full_while_checkpointing)
{
	fill(65536, 20000);
}

Test(disk, full_for_one_statement)
{
	fill(64 << 20, 200000);
}

/* Rows whose updates need room in the log alone. */
static penstock *open_with_rows(penstock_config *config)
{
	penstock *db;

	config->wal_bytes_max = 64 << 20;
	db = kit_open(config);
	expect(kit_execute(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, data)"), PENSTOCK_OK);
	for (int i = 0; i < 100; i++)
		expect(kit_execute(db, "INSERT INTO t(data) VALUES(zeroblob(3000))"), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK); /* the log is in the database now */
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	return db;
}

/* Updates of that many rows; how many went well, the others met the code. */
static unsigned update(penstock *db, unsigned count, int code)
{
	unsigned ok = 0;

	for (unsigned i = 0; i < count; i++) {
		penstock_value value = penstock_int64(1 + i % 100);
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .sql = "UPDATE t SET data=randomblob(3000) WHERE a=?",
			                           .values = &value,
			                           .value_count = 1 };
		penstock_handle *handle;

		if (penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle) == PENSTOCK_OK)
			ok++;
		else
			check(penstock_handle_result(handle)->extended_code == code, "%s", penstock_error_message());
		penstock_handle_release(handle);
	}
	check(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING);
	return ok;
}

Test(disk, full_of_the_log_until_a_reader_leaves)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;
	unsigned ok;

	mount_small();
	db = open_with_rows(&config);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	check(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK);
	ok = update(db, 500, SQLITE_FULL);
	check(ok > 50 && ok < 500, "%u", ok);
	check(sqlite3_close(reader) == SQLITE_OK);
	cr_assert_eq(update(db, 1000, SQLITE_OK), 1000);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT sum(length(data)) FROM t") == 300000);
}

/* As a file system's largest file, or a quota: SQLite says that the write has failed. */
Test(disk, a_log_that_may_not_grow_begins_anew)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	penstock_config config = kit_config();
	penstock *db = open_with_rows(&config);

	signal(SIGXFSZ, SIG_IGN);
	check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	cr_assert_eq(update(db, 1000, SQLITE_OK), 1000);
	/* What has no room at all fails, and nothing else. */
	expect(kit_execute(db, "INSERT INTO t(data) VALUES(zeroblob(2000000))"), PENSTOCK_ERROR);
	cr_assert_eq(update(db, 100, SQLITE_OK), 100);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT sum(length(data)) FROM t") == 300000);
}

Test(disk, what_vacuum_into_may_not_write_fails_it_alone)
{
	struct rlimit limit = { 200000, 200000 };
	penstock_config config = kit_config();
	char sql[4300];
	penstock *db = open_with_rows(&config);

	signal(SIGXFSZ, SIG_IGN);
	check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	snprintf(sql, sizeof sql, "VACUUM INTO '%s'", harness_path("out.db"));
	for (int i = 0; i < 3; i++) {
		unlink(harness_path("out.db"));
		cr_assert_eq(update(db, 1, SQLITE_OK), 1);
		expect(kit_execute(db, sql), PENSTOCK_ERROR);
		cr_assert_eq(update(db, 1, SQLITE_OK), 1);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static int64_t count_frames(penstock *db)
{
	return (int64_t)kit_counters(db).wal_bytes / (4096 + 24);
}

/* All but so many pages of the file system are taken. */
static void fill_but(int pages)
{
	static const char page[4096];
	int file = open(harness_path("ballast"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), written = 0;

	check(file >= 0);
	while (write(file, page, sizeof page) == (ssize_t)sizeof page)
		written++;
	check(errno == ENOSPC && ftruncate(file, (off_t)(written - pages) * 4096) == 0);
	close(file);
}

/* The log fits, and its index has no room to grow from 32 KiB to 64. */
Test(disk, full_for_the_index_of_the_log)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	int64_t before;
	penstock *db;

	mount_sized("size=48m");
	config.wal_bytes_max = 64 << 20;
	db = kit_open_table(&config);
	while (count_frames(db) < 4062 - 30)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(100000))"), PENSTOCK_OK);
	while (count_frames(db) < 4062 - 2)
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	before = kit_ask(harness_path("test.db"), "SELECT count(*) FROM t");
	fill_but(6);
	expect(kit_submit(db, "INSERT INTO t VALUES(zeroblob(6000))", PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_UNKNOWN);
	cr_assert_eq(penstock_handle_result(handle)->extended_code, SQLITE_IOERR_SHMSIZE);
	penstock_handle_release(handle);
	check(penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING);
	check(unlink(harness_path("ballast")) == 0);
	for (int i = 0; i < 50; i++)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(6000))"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == before + 50);
}

/* ---- read-only ---------------------------------------------------------------------------------------------------- */

Test(disk, read_only_while_paused)
{
	penstock_config config = kit_config();
	penstock *db;

	mount_small();
	db = kit_open_table(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	remount(MS_RDONLY);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	check(penstock_phase_of(db) == PENSTOCK_PHASE_PAUSED);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_PAUSED);
	remount(0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 1);
}

Test(disk, read_only_while_stopped)
{
	penstock_config config = kit_config();
	penstock *db;

	mount_small();
	config.when_stopped = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	remount(MS_RDONLY);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	check(penstock_is_stopped(db));
	remount(0);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 1);
}

/* ---- gone --------------------------------------------------------------------------------------------------------- */

static void move_away(void)
{
	check(rename(harness_path("test.db"), harness_path("away.db")) == 0, "%s", strerror(errno));
}

static void put_back(void)
{
	check(rename(harness_path("away.db"), harness_path("test.db")) == 0, "%s", strerror(errno));
}

Test(disk, gone_while_paused)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	move_away();
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("is gone");
	check(access(harness_path("test.db"), F_OK) != 0, "an empty one in its place");
	check(penstock_phase_of(db) == PENSTOCK_PHASE_PAUSED);
	put_back();
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 1);
}

/* Also when the file was gone before the first start. */
Test(disk, gone_while_stopped)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	int autostart;

	for (autostart = 1; autostart >= 0; autostart--) {
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		move_away();
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
		expect_message("is gone");
		check(access(harness_path("test.db"), F_OK) != 0, "an empty one in its place");
		check(penstock_is_stopped(db));
		put_back();
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		config.autostart = 0;
		if (autostart)
			db = kit_open(&config);
	}
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 2);
}

/* Inserts 1, 2, ... until the engine has noticed; the number of the last one that was OK. */
static int64_t insert_until_failed(penstock *db)
{
	char reason[300];
	int64_t number = 0;
	int status;

	do {
		penstock_handle *handle;

		number++;
		expect(kit_insert(db, number, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		status = penstock_handle_wait(handle, PENSTOCK_FOREVER);
		penstock_handle_release(handle);
	} while (status == PENSTOCK_OK);
	check(status == PENSTOCK_UNKNOWN, "%s", penstock_status_name(status));
	kit_await_phase(db, PENSTOCK_PHASE_FAILED);
	check(penstock_failure(db, reason, sizeof reason) == SQLITE_READONLY_DBMOVED);
	check(strstr(reason, "removed or replaced") != NULL, "%s", reason);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	return number - 1;
}

/* SQLite would write on to the file without a name, and its COMMIT would not fail. */
Test(disk, removed_while_running)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	check(unlink(harness_path("test.db")) == 0);
	insert_until_failed(db);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("is gone");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Another database comes in its place. */
static void replace(void)
{
	kit_change(harness_path("other.db"), "CREATE TABLE other(a); INSERT INTO other VALUES(7)");
	move_away();
	check(rename(harness_path("other.db"), harness_path("test.db")) == 0);
}

static void nothing_of_ours_is_in_the_other(void)
{
	check(kit_ask(harness_path("test.db"), "SELECT a FROM other") == 7);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM sqlite_schema") == 1);
}

/* What was OK is in the file that was moved away, and nothing of it gets into the one that came in its place. */
Test(disk, replaced_while_running)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	int64_t last;

	expect(kit_execute(db, "INSERT INTO t VALUES(0)"), PENSTOCK_OK);
	replace();
	last = insert_until_failed(db);
	check(kit_ask(harness_path("away.db"), "SELECT count(DISTINCT a) FROM t") >= last + 1);
	nothing_of_ours_is_in_the_other();
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO other VALUES(8)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM other") == 15);
}

/* The engine had nothing to write, so it finds out as it closes: the log is not deleted by a name that is another's. */
Test(disk, replaced_before_a_stop)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	replace();
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(access(harness_path("test.db-wal"), F_OK) == 0, "deleted by its name");
	check(kit_ask(harness_path("away.db"), "SELECT count(*) FROM t") == 1);
	nothing_of_ours_is_in_the_other();
}

/* ---- the log or its index gone ------------------------------------------------------------------------------------- */

static void rename_to(const char *from, const char *to)
{
	char old[512];

	snprintf(old, sizeof old, "%s", harness_path(from));
	check(rename(old, harness_path(to)) == 0, "%s: %s", from, strerror(errno));
}

static void copy_file(const char *from, const char *to)
{
	static char data[1 << 20];
	int file = open(harness_path(from), O_RDONLY | O_CLOEXEC);
	ssize_t bytes;

	check(file >= 0, "%s: %s", from, strerror(errno));
	bytes = read(file, data, sizeof data);
	close(file);
	/* In place: the same file with other content. */
	file = open(harness_path(to), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	check(file >= 0 && write(file, data, (size_t)bytes) == bytes);
	close(file);
}

/* other.db-wal, with rows in it. */
static void make_other_log(void)
{
	sqlite3 *other;

	check(sqlite3_open(harness_path("other.db"), &other) == SQLITE_OK);
	sqlite3_db_config(other, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	check(sqlite3_exec(other, "PRAGMA journal_mode=WAL; CREATE TABLE o(a); INSERT INTO o VALUES(zeroblob(50000))", NULL,
	                   NULL, NULL) == SQLITE_OK);
	check(sqlite3_close(other) == SQLITE_OK);
}

static void remove_log(void)
{
	check(unlink(harness_path("test.db-wal")) == 0);
}

static void remove_index(void)
{
	check(unlink(harness_path("test.db-shm")) == 0);
}

static void remove_both(void)
{
	remove_log();
	remove_index();
}

static void replace_log(void)
{
	make_other_log();
	rename_to("other.db-wal", "test.db-wal");
}

static void replace_index(void)
{
	copy_file("test.db-shm", "copy");
	rename_to("copy", "test.db-shm");
}

static void rename_log_and_back_a_copy(void)
{
	copy_file("test.db-wal", "copy");
	rename_to("copy", "test.db-wal");
}

static void empty_log(void)
{
	check(truncate(harness_path("test.db-wal"), 0) == 0);
}

static void cut_log(off_t bytes)
{
	check(truncate(harness_path("test.db-wal"), bytes) == 0);
}

static off_t size_of(const char *name)
{
	struct stat file;

	check(stat(harness_path(name), &file) == 0, "%s", name);
	return file.st_size;
}

static void cut_log_in_the_middle(void)
{
	cut_log(size_of("test.db-wal") / 2);
}

static void cut_last_frame_off(void)
{
	cut_log(size_of("test.db-wal") - 24 - 4096);
}

static void empty_database(void)
{
	check(truncate(harness_path("test.db"), 0) == 0);
}

static void overwrite_log(void)
{
	make_other_log();
	copy_file("other.db-wal", "test.db-wal");
}

/* A second name keeps the file, and its count of links, but the first is gone. */
static void link_log_elsewhere(void)
{
	char old[512];

	snprintf(old, sizeof old, "%s", harness_path("test.db-wal"));
	check(link(old, harness_path("kept")) == 0);
	check(unlink(old) == 0);
}

static const struct loss {
	const char *what;
	void (*happen)(void);
	const char *suffix;
	bool kept; /* what was OK before can still be brought to where it is found */
} losses[] = {
	{ "the log is removed", remove_log, "-wal", true },
	{ "the index is removed", remove_index, "-shm", true },
	{ "both are removed", remove_both, "-wal", true },
	{ "the log is kept by another name", link_log_elsewhere, "-wal", true },
	{ "the index is replaced", replace_index, "-shm", true },
	{ "the log is replaced by a copy", rename_log_and_back_a_copy, "-wal", true },
	{ "the log is replaced by another's", replace_log, "-wal", false },
	{ "the log is emptied", empty_log, "-wal", false },
	{ "the log is cut short", cut_log_in_the_middle, "-wal", false },
	{ "the log's last frame is cut off", cut_last_frame_off, "-wal", false },
	{ "the log is written over", overwrite_log, "-wal", false },
	{ "the database is emptied", empty_database, "", false },
};

static void start_afresh(void)
{
	static const char *const names[] = { "test.db", "test.db-wal", "test.db-shm",  "copy",
		                             "kept",    "other.db",    "other.db-shm", "other.db-wal" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		unlink(harness_path(names[i]));
}

static int insert(penstock *db, penstock_ack ack)
{
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(1)", .ack = ack
	};

	return penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL);
}

static void has_failed_for(penstock *db, const char *suffix)
{
	char reason[300], name[64];

	kit_await_phase(db, PENSTOCK_PHASE_FAILED);
	check(penstock_failure(db, reason, sizeof reason) == SQLITE_READONLY_DBMOVED, "%s", reason);
	snprintf(name, sizeof name, "test.db%s was removed or replaced", suffix);
	check(strstr(reason, name) != NULL, "%s", reason);
}

/* Three rows are OK, the file is lost, and the very next statement is not. */
static void lose(const struct loss *loss, int64_t synchronous, penstock_ack ack)
{
	penstock_config config = kit_config();
	off_t size = 0;
	penstock *db;

	start_afresh();
	config.synchronous = synchronous;
	db = kit_open_table(&config);
	for (int i = 0; i < 3; i++)
		expect(insert(db, ack), PENSTOCK_OK);
	loss->happen();
	check(insert(db, ack) == PENSTOCK_UNKNOWN, "%s", loss->what);
	has_failed_for(db, loss->suffix);
	if (access(harness_path("test.db-wal"), F_OK) == 0)
		size = size_of("test.db-wal");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* What has come in its place is not the engine's to delete or to copy. */
	if (size != 0)
		check(size_of("test.db-wal") == size, "%s", loss->what);
	if (loss->kept)
		check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") >= 3, "%s", loss->what);
}

Test(disk, no_durable_outcome_is_ok_once_the_log_or_its_index_is_gone)
{
	for (size_t i = 0; i < COUNT_OF(losses); i++) {
		lose(&losses[i], PENSTOCK_SYNCHRONOUS_FULL, PENSTOCK_ACK_COMMITTED);
		lose(&losses[i], PENSTOCK_SYNCHRONOUS_NORMAL, PENSTOCK_ACK_DURABLE);
	}
}

/* What a page takes decides where a frame is. */
Test(disk, a_log_of_any_page_size_that_is_cut_short_is_noticed)
{
	for (int page = 512; page <= 65536; page *= 2) {
		penstock_config config = kit_config();
		char sql[100];
		penstock *db;

		start_afresh();
		snprintf(sql, sizeof sql, "PRAGMA page_size=%d; CREATE TABLE t(a)", page);
		kit_change(harness_path("test.db"), sql);
		config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
		db = kit_open(&config);
		for (int i = 0; i < 5; i++)
			expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
		cut_log(size_of("test.db-wal") - 24 - page);
		check(insert(db, PENSTOCK_ACK_COMMITTED) == PENSTOCK_UNKNOWN, "%d", page);
		has_failed_for(db, "-wal");
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 4, "%d", page);
	}
}

/* With nothing in the log its statements fail before they commit. */
Test(disk, an_engine_whose_database_is_emptied_behind_a_checkpoint_fails)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	empty_database();
	while (penstock_phase_of(db) == PENSTOCK_PHASE_RUNNING)
		check(insert(db, PENSTOCK_ACK_COMMITTED) != PENSTOCK_OK);
	has_failed_for(db, "");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void on_plain_outcome(void *arg, const penstock_result *result)
{
	(void)arg;
	check(result->status == PENSTOCK_OK, "%s", result->message);
	remove_log();
}

/* A plain outcome comes before the sync. */
Test(disk, a_log_that_is_gone_before_its_sync_makes_no_outcome_durable)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(1)" };
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	expect(insert(db, PENSTOCK_ACK_DURABLE), PENSTOCK_OK);
	kit_block(db);
	submission.on_complete = on_plain_outcome;
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
	submission.on_complete = NULL;
	submission.ack = PENSTOCK_ACK_DURABLE;
	expect(penstock_submit(db, &submission, 0, &handle), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_UNKNOWN);
	penstock_handle_release(handle);
	has_failed_for(db, "-wal");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Where nobody is promised that, it is noticed a moment later. */
Test(disk, an_engine_whose_log_or_index_is_gone_fails)
{
	for (size_t i = 0; i < COUNT_OF(losses); i++) {
		penstock_config config = kit_config();
		penstock *db;
		int status;

		start_afresh();
		db = kit_open_table(&config);
		for (int j = 0; j < 3; j++)
			expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
		/* So long after the last look there is one behind each. */
		for (int j = 0; j < 2; j++) {
			kit_sleep_usec(1500);
			expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
		}
		losses[i].happen();
		do {
			status = insert(db, PENSTOCK_ACK_COMMITTED);
		} while (status == PENSTOCK_OK);
		check(status == PENSTOCK_UNKNOWN, "%s: %s", losses[i].what, penstock_status_name(status));
		has_failed_for(db, losses[i].suffix);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		if (losses[i].kept)
			check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") >= 3, "%s", losses[i].what);
	}
}

#define LOSERS 3
#define LOSER_EACH 3000

/* By number: what became of it. */
static struct work lost_works[LOSERS * LOSER_EACH];
static _Atomic unsigned ok_works;

static void on_lost_work(void *arg, const penstock_result *result)
{
	on_complete(arg, result);
	if (result->status == PENSTOCK_OK)
		ok_works++;
}

struct loser {
	penstock *db;
	unsigned first;
};

static void *submit_until_refused(void *arg)
{
	const struct loser *loser = arg;

	for (unsigned i = loser->first; i < loser->first + LOSER_EACH; i++) {
		penstock_value value = penstock_int64(i);
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .sql = "INSERT INTO t VALUES(?)",
			                           .values = &value,
			                           .value_count = 1,
			                           .on_complete = on_lost_work,
			                           .arg = &lost_works[i] };
		int status = penstock_submit(loser->db, &submission, PENSTOCK_FOREVER, NULL);

		if (status == PENSTOCK_FAILED)
			break;
		expect(status, PENSTOCK_OK);
		lost_works[i].accepted = true;
	}
	return NULL;
}

static void lose_among_producers(const struct loss *loss, int64_t synchronous)
{
	penstock_config config = kit_config();
	struct loser losers[LOSERS];
	pthread_t threads[LOSERS];
	penstock *db;

	start_afresh();
	memset(lost_works, 0, sizeof lost_works);
	ok_works = 0;
	config.synchronous = synchronous;
	config.batch_max = 20;
	config.wal_bytes_max = 65536;
	db = kit_open_table(&config);
	for (unsigned i = 0; i < LOSERS; i++) {
		losers[i] = (struct loser){ .db = db, .first = i * LOSER_EACH };
		threads[i] = kit_thread(submit_until_refused, &losers[i]);
	}
	await(ok_works > LOSER_EACH / 4);
	loss->happen();
	for (unsigned i = 0; i < LOSERS; i++)
		kit_join(threads[i]);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (unsigned i = 0; i < COUNT_OF(lost_works); i++) {
		const struct work *work = &lost_works[i];

		check(work->outcomes == work->accepted, "%s: %u has %u outcomes", loss->what, i, work->outcomes);
		check(!work->accepted || work->status == PENSTOCK_OK || work->status == PENSTOCK_UNKNOWN ||
		              work->status == PENSTOCK_SHUTDOWN,
		      "%s", penstock_status_name(work->status));
	}
}

/* What was OK is there once, what is UNKNOWN at most once, nothing else at all. */
static void compare_with_outcomes(const char *what)
{
	sqlite3 *connection;
	sqlite3_stmt *statement;

	check(sqlite3_open(harness_path("test.db"), &connection) == SQLITE_OK);
	check(sqlite3_prepare_v2(connection, "SELECT a FROM t", -1, &statement, NULL) == SQLITE_OK, "%s: %s", what,
	      sqlite3_errmsg(connection));
	while (sqlite3_step(statement) == SQLITE_ROW)
		lost_works[sqlite3_column_int(statement, 0)].found++;
	check(sqlite3_finalize(statement) == SQLITE_OK, "%s: %s", what, sqlite3_errmsg(connection));
	check(sqlite3_close(connection) == SQLITE_OK);
	for (unsigned i = 0; i < COUNT_OF(lost_works); i++) {
		const struct work *work = &lost_works[i];

		if (work->accepted && work->status == PENSTOCK_OK)
			check(work->found == 1, "%s: %u was OK and is there %u times", what, i, work->found);
		else
			check(work->found <= (work->accepted && work->status == PENSTOCK_UNKNOWN), "%s: %u %s", what, i,
			      penstock_status_name(work->status));
	}
	check(kit_ask(harness_path("test.db"), "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1, "%s", what);
}

Test(disk, producers_lose_the_log_or_its_index)
{
	for (size_t i = 0; i < COUNT_OF(losses); i++) {
		for (int64_t synchronous = PENSTOCK_SYNCHRONOUS_OFF; synchronous <= PENSTOCK_SYNCHRONOUS_FULL; synchronous++) {
			lose_among_producers(&losses[i], synchronous);
			if (losses[i].kept && losses[i].happen != rename_log_and_back_a_copy)
				compare_with_outcomes(losses[i].what);
		}
	}
}

static _Atomic unsigned told_of_loss;

static void on_loss(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)level;
	if (event != PENSTOCK_EVENT_FILE_MOVED)
		return;
	check(strstr(message, arg) != NULL, "%s", message);
	told_of_loss++;
}

/* Nothing was written since, so it is noticed when the engine lets go of the file. */
Test(disk, what_was_lost_before_a_pause_is_told)
{
	penstock_config config = kit_config();
	penstock *db;

	config.log = on_loss;
	config.log_arg = "test.db-wal was removed";
	db = kit_open_table(&config);
	expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
	remove_log();
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(told_of_loss, 1);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 1);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 2);
	cr_assert_eq(told_of_loss, 1);
}

Test(disk, what_was_cut_off_before_a_stop_is_told)
{
	penstock_config config = kit_config();
	penstock *db;
	off_t left;

	config.log = on_loss;
	config.log_arg = "test.db-wal was removed";
	db = kit_open_table(&config);
	for (int i = 0; i < 3; i++)
		expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
	/* In the midst of the last page. */
	left = size_of("test.db-wal") - 100;
	cut_log(left);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(told_of_loss, 1);
	cr_assert_eq(size_of("test.db-wal"), left);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 2);
}

/* Somebody has changed the database since: the old log must not come over that. */
Test(disk, a_lost_log_is_not_copied_over_what_others_wrote)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	sqlite3 *connection;

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
	remove_both();
	/* A VFS without locks stands for another program, since this process holds the engine's. */
	check(sqlite3_open_v2(harness_path("test.db"), &connection, SQLITE_OPEN_READWRITE, "unix-none") == SQLITE_OK);
	check(sqlite3_exec(connection, "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(100)", NULL, NULL, NULL) ==
	              SQLITE_OK,
	      "%s", sqlite3_errmsg(connection));
	check(sqlite3_close(connection) == SQLITE_OK);
	/* Until the next look, which on a fast disk is several statements later. */
	while (insert(db, PENSTOCK_ACK_COMMITTED) == PENSTOCK_OK)
		continue;
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t") == 100);
}

/* This process's readers hold on to the index of the lost log, which a new log would be taken for. */
Test(disk, an_engine_begins_no_log_beside_an_index_of_another)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
	for (unsigned both = 0; both < 2; both++) {
		start_afresh();
		db = kit_open_table(&config);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
		expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
		remove_log();
		if (both)
			remove_index();
		expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_UNKNOWN);
		kit_await_phase(db, PENSTOCK_PHASE_FAILED);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
		expect_message("close them all");
		check(sqlite3_close(reader) == SQLITE_OK);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		if (!both)
			check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") >= 2);
	}
}

/* Other processes may empty the log by a checkpoint, and begin it anew. */
Test(disk, a_log_that_others_begin_anew_is_not_lost)
{
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
	db = kit_open_table(&config);
	for (int i = 0; i < 20; i++) {
		expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
		kit_change(harness_path("test.db"), i % 2 ? "PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(2)"
		                                          : "PRAGMA wal_checkpoint(TRUNCATE)");
		expect(kit_execute(db, "PRAGMA wal_checkpoint(TRUNCATE)"), PENSTOCK_OK);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 30);
}

/* ---- a second copy of SQLite -------------------------------------------------------------------------------------- */

struct second {
	int (*open)(const char *, sqlite3 **);
	int (*exec)(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
	int (*close)(sqlite3 *);
};

static int find_sqlite(struct dl_phdr_info *object, size_t size, void *arg)
{
	(void)size;
	if (strstr(object->dlpi_name, "libsqlite3") == NULL)
		return 0;
	snprintf(arg, 512, "%s", object->dlpi_name);
	return 1;
}

/* Another file with the same content is another object to the loader. */
static void load_second(struct second *second, int flags)
{
	char path[512], command[1200];
	void *library;

	if (dl_iterate_phdr(find_sqlite, path) == 0)
		cr_skip_test("SQLite is no shared library here");
	snprintf(command, sizeof command, "cp %s %s", path, harness_path("libsecond.so"));
	check(system(command) == 0);
	library = dlopen(harness_path("libsecond.so"), RTLD_NOW | RTLD_LOCAL | flags);
	check(library != NULL, "%s", dlerror());
	second->open = (int (*)(const char *, sqlite3 **))dlsym(library, "sqlite3_open");
	second->exec = (int (*)(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **))dlsym(
		library, "sqlite3_exec");
	second->close = (int (*)(sqlite3 *))dlsym(library, "sqlite3_close");
}

static _Atomic unsigned told_of_second;
static char second_message[1024];

static void on_second(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	if (event != PENSTOCK_EVENT_SECOND_SQLITE)
		return;
	check(level == PENSTOCK_LOG_WARNING);
	snprintf(second_message, sizeof second_message, "%s", message);
	told_of_second++;
}

Test(disk, a_second_copy_of_sqlite_is_told_at_open)
{
	penstock_config config = kit_config();
	struct second second;
	char path[512];
	penstock *db;

	config.log = on_second;
	db = kit_open_table(&config);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(told_of_second, 0);
	load_second(&second, 0);
	check(dl_iterate_phdr(find_sqlite, path) == 1);
	for (config.autostart = 1; config.autostart >= 0; config.autostart--) {
		told_of_second = 0;
		db = kit_open(&config);
		cr_assert_eq(told_of_second, 1);
		check(strstr(second_message, "libsecond.so") != NULL && strstr(second_message, path) != NULL, "%s",
		      second_message);
		/* Once. */
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(told_of_second, 1);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
}

/* It does not see the locks of the first, so it takes itself for the last user of the file, and removes the log. */
Test(disk, a_second_copy_of_sqlite_that_closes_the_file_voids_no_durable_outcome)
{
	penstock_config config = kit_config();
	struct second second;
	sqlite3 *other;
	penstock *db;

#if KIT_SANITIZED
	cr_skip_test("a sanitizer does not let a library be bound to itself");
#endif
	config.synchronous = PENSTOCK_SYNCHRONOUS_FULL;
	config.log = on_second;
	db = kit_open_table(&config);
	for (int i = 0; i < 3; i++)
		expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
	load_second(&second, RTLD_DEEPBIND);
	check(second.open(harness_path("test.db"), &other) == SQLITE_OK);
	check(second.exec(other, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK);
	expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_OK);
	check(second.close(other) == SQLITE_OK);
	check(access(harness_path("test.db-wal"), F_OK) != 0, "it did not");
	expect(insert(db, PENSTOCK_ACK_COMMITTED), PENSTOCK_UNKNOWN);
	has_failed_for(db, "-wal");
	cr_assert_eq(told_of_second, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") >= 5);
}

/* ---- written out ahead of the sync --------------------------------------------------------------------------------- */

#define TOLD_MAX 1000

static struct {
	unsigned count;
	struct {
		off_t from;
		off_t bytes;
	} ranges[TOLD_MAX];
} told;

int __wrap_sync_file_range(int fd, off_t from, off_t bytes, unsigned flags);

int __wrap_sync_file_range(int fd, off_t from, off_t bytes, unsigned flags)
{
	struct stat file;

	check(flags == SYNC_FILE_RANGE_WRITE, "it would wait");
	check(fstat(fd, &file) == 0 && from + bytes <= file.st_size, "behind the end of the log");
	check(from >= 0 && bytes > 0, "%lld bytes from %lld on", (long long)bytes, (long long)from);
	check(told.count < TOLD_MAX);
	told.ranges[told.count].from = from;
	told.ranges[told.count++].bytes = bytes;
	return 0;
}

/* The disk is told behind the outcomes, and ahead of the next statement. */
static void grow_log_more(penstock *db, unsigned rows)
{
	for (unsigned i = 0; i < rows; i++) {
		submit_blob(db, i, 100000);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
}

/* About 4 MiB of log, and a checkpoint for each MiB when it may have 4. */
static penstock *grow_log(int64_t synchronous, int64_t wal_bytes_max, bool by_thread)
{
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = synchronous;
	config.wal_bytes_max = wal_bytes_max;
	config.checkpoint_thread = by_thread;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(n, data)"), PENSTOCK_OK);
	grow_log_more(db, 40);
	return db;
}

Test(disk, a_growing_log_is_written_out_ahead_of_its_sync)
{
	penstock *db = grow_log(PENSTOCK_SYNCHRONOUS_NORMAL, 64 << 20, true);
	off_t end = 0;

	check(told.count >= 8, "%u", told.count);
	for (unsigned i = 0; i < told.count; i++) {
		check(told.ranges[i].from == end, "%u: from %lld, not %lld", i, (long long)told.ranges[i].from, (long long)end);
		check(told.ranges[i].bytes > 0 && told.ranges[i].bytes % 4096 == 0, "%u: %lld bytes", i,
		      (long long)told.ranges[i].bytes);
		end += told.ranges[i].bytes;
	}
	check(kit_counters(db).wal_bytes - (uint64_t)end < 512 * 1024, "%lld", (long long)end);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* How often the log has begun anew, from which on it was written out in order. */
static unsigned count_beginnings(void)
{
	unsigned begun = 0;

	for (unsigned i = 0; i < told.count; i++) {
		begun += told.ranges[i].from == 0;
		check(told.ranges[i].from == 0 || told.ranges[i].from == told.ranges[i - 1].from + told.ranges[i - 1].bytes,
		      "%u", i);
	}
	return begun;
}

Test(disk, a_log_that_begins_anew_is_written_out_from_its_beginning)
{
	penstock *db = grow_log(PENSTOCK_SYNCHRONOUS_NORMAL, 4 << 20, false);
	unsigned begun = count_beginnings();

	check(begun >= 3, "%u", begun);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* When it begins anew is a matter of how fast the thread is. */
Test(disk, a_log_that_the_checkpoint_thread_copies_is_written_out_from_its_beginning)
{
	penstock *db = grow_log(PENSTOCK_SYNCHRONOUS_NORMAL, 4 << 20, true);

	while (count_beginnings() < 3)
		grow_log_more(db, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(disk, a_log_that_every_commit_syncs_or_nothing_does_is_left_to_that)
{
	expect(penstock_close(grow_log(PENSTOCK_SYNCHRONOUS_FULL, 64 << 20, true), PENSTOCK_FOREVER), PENSTOCK_OK);
	check(told.count == 0, "full: %u", told.count);
	kit_change(harness_path("test.db"), "DROP TABLE t");
	expect(penstock_close(grow_log(PENSTOCK_SYNCHRONOUS_OFF, 64 << 20, true), PENSTOCK_FOREVER), PENSTOCK_OK);
	check(told.count == 0, "off: %u", told.count);
}

Test(disk, a_log_in_a_file_that_cannot_be_opened_by_name_is_left_to_its_sync)
{
	penstock_config config = kit_config();
	struct rlimit limit;
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	/* SQLite goes on with the file that it has open. */
	check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	check(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max }) == 0);
	for (unsigned i = 0; i < 10; i++)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(100000))"), PENSTOCK_OK);
	/* Behind the last outcome it is told when there is a descriptor again. */
	check(told.count == 0, "%u", told.count);
	check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- the folder --------------------------------------------------------------------------------------------------- */

static unsigned folder_syncs; /* by the engine itself: SQLite's calls are its library's */

int __wrap_fsync(int fd);
int __real_fsync(int fd);

int __wrap_fsync(int fd)
{
	struct stat file;

	check(fstat(fd, &file) == 0 && S_ISDIR(file.st_mode));
	folder_syncs++;
	return __real_fsync(fd);
}

/* The name of the log is as durable as what is in it, and stays so. */
Test(disk, the_folder_is_synced_with_the_first_durable_statement_alone)
{
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(1)", .ack = PENSTOCK_ACK_DURABLE
	};
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	cr_assert_eq(folder_syncs, 0);
	for (int i = 0; i < 3; i++) {
		expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		cr_assert_eq(folder_syncs, 1);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- no descriptor left ------------------------------------------------------------------------------------------- */

static int held[100];
static unsigned held_count;

/* Leaves so many. */
static void take_descriptors(unsigned left)
{
	struct rlimit limit = { 100, 100 };

	check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (held_count = 0; (held[held_count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0; held_count++)
		;
	check(errno == EMFILE && held_count > left);
	for (; left > 0; left--)
		close(held[--held_count]);
}

static void give_descriptors(void)
{
	while (held_count > 0)
		close(held[--held_count]);
}

static void insert_durable(penstock *db)
{
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(1)", .ack = PENSTOCK_ACK_DURABLE
	};

	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
}

Test(disk, a_durable_statement_needs_no_descriptor)
{
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	take_descriptors(0);
	/* Nor does a log that grows. */
	for (int i = 0; i < 10; i++)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(100000))"), PENSTOCK_OK);
	cr_assert_eq(told.count, 0);
	for (int i = 0; i < 3; i++)
		insert_durable(db);
	cr_assert_eq(folder_syncs, 1);
	give_descriptors();
	/* When there is one again the disk is told. */
	for (int i = 0; i < 10; i++)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(100000))"), PENSTOCK_OK);
	cr_assert(told.count > 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 23);
}

/* With however few it connects, or says why not; and when it has, a durable statement is that. */
Test(disk, a_connection_that_lacks_a_descriptor_is_none)
{
	unsigned connected = 0, refused = 0;

	for (unsigned left = 0; left < 10; left++) {
		penstock_config config = kit_config();
		penstock *db;
		int status;

		config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
		db = kit_open(&config);
		expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS t(a)"), PENSTOCK_OK);
		expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		take_descriptors(left);
		folder_syncs = 0;
		status = penstock_unpause(db, PENSTOCK_FOREVER);
		if (status == PENSTOCK_OK) {
			connected++;
			insert_durable(db);
			check(folder_syncs == 1, "%u left: %u", left, folder_syncs);
		} else {
			refused++;
			cr_assert_eq(status, PENSTOCK_CANTOPEN);
			check(penstock_phase_of(db) == PENSTOCK_PHASE_PAUSED);
		}
		give_descriptors();
		if (status != PENSTOCK_OK) {
			expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			insert_durable(db);
			cr_assert_eq(folder_syncs, 1);
		}
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	check(connected > 0 && refused > 3, "%u connected, %u refused", connected, refused);
}
