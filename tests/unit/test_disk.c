/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_disk.c - a file system that is truly full, truly read-only, a database file that is gone; and what the disk is told ahead
 *
 * Other tests let a VFS shim say so; here the kernel does, on a small tmpfs in a mount namespace of the test's own. Without the
 * right to mount, the tests that need it are skipped, and say so. What the disk is told to begin with before it is synced is
 * seen where the linker wraps sync_file_range.
 */
#include "tests/kit.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

static bool mounted;

static void end(void)
{
	if (mounted)
		umount2(harness_make_folder(), MNT_DETACH);
	harness_end();
}

TestSuite(disk, .init = kit_begin, .fini = end);

static void mount_small(void)
{
	const char *folder = harness_make_folder();

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", folder, "tmpfs", 0, "size=2m") != 0)
		cr_skip_test("a tmpfs cannot be mounted: %s", strerror(errno));
	mounted = true;
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

/* ---- written out ahead of the sync --------------------------------------------------------------------------------- */

#define TOLD_MAX 64

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
	check(told.count < TOLD_MAX);
	told.ranges[told.count].from = from;
	told.ranges[told.count++].bytes = bytes;
	return 0;
}

/* About 4 MiB of log, and a checkpoint for each MiB when it may have 4. */
static penstock *grow_log(int64_t synchronous, int64_t wal_bytes_max)
{
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = synchronous;
	config.wal_bytes_max = wal_bytes_max;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(n, data)"), PENSTOCK_OK);
	for (unsigned i = 0; i < 40; i++) {
		submit_blob(db, i, 100000);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	return db;
}

Test(disk, a_growing_log_is_written_out_ahead_of_its_sync)
{
	penstock *db = grow_log(PENSTOCK_SYNCHRONOUS_NORMAL, 64 << 20);
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

Test(disk, a_log_that_begins_anew_is_written_out_from_its_beginning)
{
	penstock *db = grow_log(PENSTOCK_SYNCHRONOUS_NORMAL, 4 << 20);
	unsigned begun = 0;

	for (unsigned i = 0; i < told.count; i++) {
		begun += told.ranges[i].from == 0;
		check(told.ranges[i].from == 0 || told.ranges[i].from == told.ranges[i - 1].from + told.ranges[i - 1].bytes,
		      "%u", i);
	}
	check(begun >= 3, "%u", begun);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(disk, a_log_that_every_commit_syncs_or_nothing_does_is_left_to_that)
{
	expect(penstock_close(grow_log(PENSTOCK_SYNCHRONOUS_FULL, 64 << 20), PENSTOCK_FOREVER), PENSTOCK_OK);
	check(told.count == 0, "full: %u", told.count);
	kit_change(harness_path("test.db"), "DROP TABLE t");
	expect(penstock_close(grow_log(PENSTOCK_SYNCHRONOUS_OFF, 64 << 20), PENSTOCK_FOREVER), PENSTOCK_OK);
	check(told.count == 0, "off: %u", told.count);
}

Test(disk, a_log_in_a_file_that_cannot_be_opened_by_name_is_left_to_its_sync)
{
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	/* Under its own name there is nothing any more; SQLite goes on with the file it has open. */
	check(unlink(harness_path("test.db-wal")) == 0);
	for (unsigned i = 0; i < 10; i++)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(100000))"), PENSTOCK_OK);
	check(told.count == 0, "%u", told.count);
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
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql = "INSERT INTO t VALUES(1)",
		                           .ack = PENSTOCK_ACK_DURABLE };
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
