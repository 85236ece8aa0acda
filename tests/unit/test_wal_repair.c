/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_wal_repair.c - what is written of a log that was left behind (writer/sqlite/wal_repair.h)
 *
 * A VFS (shim.h) tells what the engine writes to the log. What the disk has of it is read for true in one test; in the others
 * the functions of writer/sqlite/disk.h are wrapped by the linker, and bytes differ, or cannot be read, until they are written.
 */
#include "tests/kit.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "tests/shim.h"
#include "writer/sqlite/disk.h"

#define BLOCK 4096
#define HEADER 32
#define DIFFERING 2

/* ---- the disk ---- */

static struct {
	bool real;
	bool refused;
	int64_t differing[DIFFERING]; /* -1: none */
	int64_t unreadable;           /* -1: none */
	unsigned opened;
} past_cache;

bool __real_ps_disk_open(struct ps_disk *disk, const char *path);
bool __wrap_ps_disk_open(struct ps_disk *disk, const char *path);
size_t __real_ps_disk_read(struct ps_disk *disk, uint64_t offset, unsigned char *piece);
size_t __wrap_ps_disk_read(struct ps_disk *disk, uint64_t offset, unsigned char *piece);

bool __wrap_ps_disk_open(struct ps_disk *disk, const char *path)
{
	past_cache.opened++;
	if (past_cache.real)
		return __real_ps_disk_open(disk, path);
	disk->fd = past_cache.refused ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	return disk->fd >= 0;
}

size_t __wrap_ps_disk_read(struct ps_disk *disk, uint64_t offset, unsigned char *piece)
{
	ssize_t there;

	if (past_cache.real)
		return __real_ps_disk_read(disk, offset, piece);
	there = pread(disk->fd, piece, PS_DISK_PIECE, (off_t)offset);
	check(there >= 0, "%s", strerror(errno));
	for (size_t i = 0; i < DIFFERING; i++) {
		int64_t at = past_cache.differing[i] - (int64_t)offset;

		if (past_cache.differing[i] >= 0 && at >= 0 && at < there)
			piece[at] ^= 1;
	}
	if (past_cache.unreadable >= 0 && past_cache.unreadable < (int64_t)offset + there)
		there = past_cache.unreadable / BLOCK * BLOCK - (int64_t)offset;
	return (size_t)there;
}

/* What disk.c itself reads with. */
static struct {
	unsigned interruptions; /* so many calls to come */
	int64_t bad;            /* the byte that cannot be read; -1: none */
} reading = { .bad = -1 };

ssize_t __real_pread64(int fd, void *into, size_t bytes, off64_t offset);
ssize_t __wrap_pread64(int fd, void *into, size_t bytes, off64_t offset);

ssize_t __wrap_pread64(int fd, void *into, size_t bytes, off64_t offset)
{
	if (reading.interruptions > 0) {
		reading.interruptions--;
		errno = EINTR;
		return -1;
	}
	if (reading.bad >= offset && reading.bad < offset + (int64_t)bytes) {
		errno = EIO;
		return -1;
	}
	return __real_pread64(fd, into, bytes, offset);
}

/* What the system says of reading past the cache. */
static struct {
	bool faked, known;
	uint32_t memory, offset; /* the alignments */
} direct;

int __real_statx(int folder, const char *path, int flags, unsigned mask, struct statx *info);
int __wrap_statx(int folder, const char *path, int flags, unsigned mask, struct statx *info);

int __wrap_statx(int folder, const char *path, int flags, unsigned mask, struct statx *info)
{
	int error = __real_statx(folder, path, flags, mask, info);

#ifdef STATX_DIOALIGN
	if (error == 0 && direct.faked) {
		info->stx_mask = direct.known ? info->stx_mask | STATX_DIOALIGN : info->stx_mask & ~STATX_DIOALIGN;
		info->stx_dio_mem_align = direct.memory;
		info->stx_dio_offset_align = direct.offset;
	}
#endif
	return error;
}

/* ---- the log ---- */

#define WRITES 64

static struct {
	struct {
		int64_t from, to;
	} writes[WRITES]; /* each a row of writes that follow on each other, up to a sync */
	unsigned count;
	unsigned syncs;
	bool synced;                               /* since the last write */
	unsigned fail_read, fail_write, fail_sync; /* the at-th; 0: none */
} log_calls;

static bool is_time(unsigned *counter)
{
	return *counter != 0 && --*counter == 0;
}

static void note_write(int64_t from, int64_t to)
{
	if (log_calls.count > 0 && !log_calls.synced && log_calls.writes[log_calls.count - 1].to == from) {
		log_calls.writes[log_calls.count - 1].to = to;
	} else {
		check(log_calls.count < WRITES);
		log_calls.writes[log_calls.count].from = from;
		log_calls.writes[log_calls.count++].to = to;
	}
	log_calls.synced = false;
	for (size_t i = 0; i < DIFFERING; i++) {
		if (past_cache.differing[i] >= from && past_cache.differing[i] < to)
			past_cache.differing[i] = -1;
	}
	if (past_cache.unreadable >= from && past_cache.unreadable < to)
		past_cache.unreadable = -1;
}

static int watch_log(const struct shim_event *event)
{
	if (event->file != SHIM_WAL)
		return SQLITE_OK;
	if (!event->after) {
		/* SQLite itself reads one frame at a time. */
		if ((event->call == SHIM_READ && event->bytes > 2 * BLOCK && is_time(&log_calls.fail_read)) ||
		    (event->call == SHIM_WRITE && is_time(&log_calls.fail_write)) ||
		    (event->call == SHIM_SYNC && is_time(&log_calls.fail_sync)))
			return shim_natural_code(event->call);
	} else if (event->call == SHIM_WRITE) {
		note_write(event->offset, event->offset + event->bytes);
	} else if (event->call == SHIM_SYNC) {
		log_calls.synced = true;
		log_calls.syncs++;
	}
	return SQLITE_OK;
}

static void forget(void)
{
	memset(&log_calls, 0, sizeof log_calls);
	memset(&past_cache, 0, sizeof past_cache);
	for (size_t i = 0; i < DIFFERING; i++)
		past_cache.differing[i] = -1;
	past_cache.unreadable = -1;
	direct.faked = false;
	reading.interruptions = 0;
	reading.bad = -1;
}

static void expect_written(size_t index, int64_t from, int64_t to)
{
	check(log_calls.count > index, "%u writes", log_calls.count);
	check(log_calls.writes[index].from == from && log_calls.writes[index].to == to, "%lld to %lld, not %lld to %lld",
	      (long long)log_calls.writes[index].from, (long long)log_calls.writes[index].to, (long long)from, (long long)to);
}

static void expect_calls(unsigned writes, unsigned syncs)
{
	check(log_calls.count == writes && log_calls.syncs == syncs, "%u writes, %u syncs", log_calls.count, log_calls.syncs);
}

static void begin(void)
{
	kit_begin();
	shim_install(watch_log);
	forget();
}

TestSuite(wal_repair, .init = begin, .fini = harness_end);

/* ---- what is left behind ---- */

static penstock_config make_config(void)
{
	penstock_config config = kit_config();

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	return config;
}

static int64_t size_of_log(void)
{
	struct stat info;

	return stat(harness_path("test.db-wal"), &info) == 0 ? (int64_t)info.st_size : -1;
}

/* As the end of a program without a close leaves it: all of it in the log, nothing in the database. It is of three pieces. */
static int64_t leave_a_log(const char *sql)
{
	sqlite3 *connection;

	check(sqlite3_open_v2(harness_path("test.db"), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") ==
	      SQLITE_OK);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	check(sqlite3_exec(connection, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0", NULL, NULL, NULL) == SQLITE_OK);
	check(sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(connection));
	check(sqlite3_close(connection) == SQLITE_OK);
	check(size_of_log() > 2 * PS_DISK_PIECE && size_of_log() % BLOCK != 0, "%lld", (long long)size_of_log());
	return size_of_log();
}

static int64_t leave_a_new_log(void)
{
	static const char *const names[] = { "test.db", "test.db-wal", "test.db-shm" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		unlink(harness_path(names[i]));
	return leave_a_log("CREATE TABLE t(a, b); INSERT INTO t VALUES(1, randomblob(150000))");
}

static void open_and_close(void)
{
	penstock_config config = make_config();
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* Besides, as the connection is closed, SQLite syncs it once before it copies it into the database. */
	log_calls.syncs--;
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 1);
}

/* ---- tests ---- */

Test(wal_repair, after_a_kill_nothing_is_written)
{
	penstock_config config = make_config();
	int64_t size;
	int status, probe;
	pid_t child;

	harness_make_folder();
	child = fork();
	check(child >= 0);
	if (child == 0) {
		penstock *db = kit_open(&config);

		expect(kit_execute(db, "CREATE TABLE t(a, b)"), PENSTOCK_OK);
		expect(kit_execute(db, "INSERT INTO t VALUES(1, randomblob(150000))"), PENSTOCK_OK);
		kill(getpid(), SIGKILL);
	}
	check(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	size = size_of_log();
	check(size > 0);
	forget();
	past_cache.real = true;
	probe = open(harness_path("test.db-wal"), O_RDONLY | O_DIRECT);
	if (probe >= 0)
		close(probe);
	open_and_close();
	check(past_cache.opened > 0);
	if (probe >= 0) {
		expect_calls(0, 1);
	} else {
		/* A file system that cannot be read past its cache: all of it. */
		expect_written(0, 0, HEADER);
		expect_written(1, HEADER, size);
	}
}

Test(wal_repair, it_is_written_from_the_first_byte_that_is_missing)
{
	static const int64_t places[] = { HEADER,        HEADER + 1,        BLOCK - 1,
		                          BLOCK,         3 * BLOCK + 7,     PS_DISK_PIECE - 1,
		                          PS_DISK_PIECE, PS_DISK_PIECE + 1, 2 * PS_DISK_PIECE };

	for (size_t i = 0; i <= COUNT_OF(places); i++) {
		int64_t size = leave_a_new_log();
		int64_t place = i < COUNT_OF(places) ? places[i] : size - 1;

		forget();
		past_cache.differing[0] = place;
		past_cache.differing[1] = place < size - 1 ? size - 1 : -1;
		open_and_close();
		expect_calls(1, 2);
		expect_written(0, place, size);
	}
}

/* Synced before what lies behind it, since an older log's may be there. */
Test(wal_repair, the_header_is_written_by_itself)
{
	static const int64_t places[] = { 0, 15, HEADER - 1 };

	for (size_t i = 0; i < COUNT_OF(places); i++) {
		int64_t size = leave_a_new_log();

		forget();
		past_cache.differing[0] = places[i];
		open_and_close();
		expect_calls(1, 2);
		expect_written(0, places[i], HEADER);

		size = leave_a_new_log();
		forget();
		past_cache.differing[0] = places[i];
		past_cache.differing[1] = 2 * BLOCK;
		open_and_close();
		expect_calls(2, 3);
		expect_written(0, places[i], HEADER);
		expect_written(1, 2 * BLOCK, size);
	}
}

/* Of a log that ends in its header nothing is written behind that end. */
Test(wal_repair, half_a_header_stays_half_a_header)
{
	penstock_config config = make_config();
	penstock *db;

	leave_a_new_log();
	check(truncate(harness_path("test.db-wal"), 10) == 0);
	forget();
	past_cache.differing[0] = 1;
	config.autostart = 0;
	db = kit_open(&config);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(log_calls.count == 1, "%u writes", log_calls.count);
	expect_written(0, 1, 10);
}

Test(wal_repair, what_cannot_be_read_is_missing)
{
	int64_t size = leave_a_new_log();

	forget();
	past_cache.unreadable = PS_DISK_PIECE + 5 * BLOCK + 1;
	open_and_close();
	expect_calls(1, 2);
	expect_written(0, PS_DISK_PIECE + 5 * BLOCK, size);
}

Test(wal_repair, where_the_disk_cannot_be_read_all_of_it_is_written)
{
	int64_t size = leave_a_new_log();

	forget();
	past_cache.refused = true;
	open_and_close();
	expect_calls(2, 3);
	expect_written(0, 0, HEADER);
	expect_written(1, HEADER, size);
}

/* Whoever wrote to the file meanwhile may have left a log, and his sync may have failed. Without a log it costs nothing. */
Test(wal_repair, after_a_pause_too)
{
	penstock_config config = make_config();
	penstock *db;
	int64_t size;

	leave_a_new_log();
	db = kit_open(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	size = leave_a_log("INSERT INTO t VALUES(2, randomblob(150000))");
	forget();
	past_cache.differing[0] = BLOCK;
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect_calls(1, 2);
	expect_written(0, BLOCK, size);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(size_of_log() < 0);
	forget();
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect_calls(0, 0);
	check(past_cache.opened == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 2);
}

/* Each call that can fail; whether a reader is there makes no difference. */
Test(wal_repair, an_open_that_cannot_repair_the_log_leaves_it_alone)
{
	for (unsigned i = 0; i < 24; i++) {
		penstock_config config = make_config();
		int64_t size = leave_a_new_log();
		unsigned at = i / 2;
		sqlite3 *reader = NULL;
		penstock *db;

		if (i % 2 == 0) {
			check(sqlite3_open_v2(harness_path("test.db"), &reader, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK);
			check(sqlite3_exec(reader, "BEGIN; SELECT * FROM t", NULL, NULL, NULL) == SQLITE_OK);
		}
		forget();
		past_cache.differing[0] = 1;
		past_cache.differing[1] = BLOCK;
		/* the header and three pieces; three syncs; a piece looked at and read again, twice, and the two behind it */
		if (at < 3)
			log_calls.fail_write = at + 1;
		else if (at < 6)
			log_calls.fail_sync = at - 2;
		else
			log_calls.fail_read = at - 5;
		check(penstock_open(harness_path("test.db"), &config, &db) == PENSTOCK_CANTOPEN, "%u: opened", i);
		expect_message("anew");
		check(size_of_log() == size, "%u: checkpointed at close", i);
		forget();
		open_and_close();
		sqlite3_close(reader);
	}
}

/* ---- reading the disk ---- */

/* Three blocks, of which so many bytes are read as they are. */
static void expect_read(size_t bytes)
{
	static unsigned char piece[PS_DISK_PIECE], written[3 * BLOCK];
	const char *path = harness_path("blocks");
	struct ps_disk disk = { .align = BLOCK };
	FILE *file = fopen(path, "w");

	for (size_t i = 0; i < sizeof written; i++)
		written[i] = (unsigned char)(i % 251);
	check(file != NULL && fwrite(written, sizeof written, 1, file) == 1 && fclose(file) == 0);
	disk.fd = open(path, O_RDONLY | O_CLOEXEC);
	check(disk.fd >= 0);
	cr_assert_eq(__real_ps_disk_read(&disk, 0, piece), bytes);
	cr_assert(memcmp(piece, written, bytes) == 0);
	ps_disk_close(&disk);
}

Test(wal_repair, a_disk_is_read_up_to_the_block_that_cannot_be)
{
	reading.bad = 2 * BLOCK + 5;
	expect_read(2 * BLOCK);
	reading.bad = 0;
	expect_read(0);
}

Test(wal_repair, a_signal_does_not_end_the_reading_of_a_disk)
{
	reading.interruptions = 2;
	expect_read(3 * BLOCK);
}

#ifdef STATX_DIOALIGN
/* The alignment that the disk is read with; 0: it is not. */
static size_t align_of(bool known, uint32_t memory, uint32_t offset)
{
	struct ps_disk disk;

	direct.faked = true;
	direct.known = known;
	direct.memory = memory;
	direct.offset = offset;
	if (!__real_ps_disk_open(&disk, harness_path("aligned")))
		return 0;
	ps_disk_close(&disk);
	return disk.align;
}

Test(wal_repair, a_disk_is_read_by_the_alignment_that_the_system_tells)
{
	int probe = open(harness_path("aligned"), O_RDONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);

	if (probe < 0)
		cr_skip_test("the file system cannot be read past its cache");
	close(probe);
	cr_assert_eq(align_of(true, 512, 8192), 8192);
	cr_assert_eq(align_of(true, 8192, 512), 8192);
	cr_assert_eq(align_of(false, 512, 8192), BLOCK);
	/* It would read from its cache, or more than a piece at a time. */
	cr_assert_eq(align_of(true, 0, 0), 0);
	cr_assert_eq(align_of(true, 512, 2 * PS_DISK_PIECE), 0);
	cr_assert_eq(kit_open_files(harness_path("aligned")), 0);
}
#endif
