/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checkpoint thread: when it is there and when it is not, what it leaves to the writer, and that the log stays short.
 *
 * What the engine does with its reports under every interleaving is for tests/schedule, and what a crash leaves for tests/crash.
 */
#include "tests/kit.h"

#include <stdlib.h>
#include <sched.h>
#include <sys/resource.h>

#include "core/clock.h"
#include "tests/shim.h"
#include "writer/sqlite/log_book.h"

TestSuite(checkpointer, .init = kit_begin, .fini = harness_end);
TestSuite(log_book, .init = kit_begin, .fini = harness_end);

static _Atomic int events[16];

static void note_event(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
	events[event]++;
}

static penstock_config config_with(int64_t wal_bytes_max)
{
	penstock_config config = kit_config();

	config.wal_bytes_max = wal_bytes_max;
	config.checkpoint_thread = 1;
	config.log = note_event;
	memset((void *)events, 0, sizeof events);
	return config;
}

static void write_some(penstock *db)
{
	for (int i = 0; i < 10; i++)
		expect(kit_submit(db, "INSERT INTO t VALUES(zeroblob(3000))", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void until_pass(penstock *db)
{
	uint64_t before = kit_counters(db).checkpoints_beside;

	while (kit_counters(db).checkpoints_beside == before)
		write_some(db);
}

static pid_t thread_of(penstock *db)
{
	char name[32];

	snprintf(name, sizeof name, "pc%u:test.db", (unsigned)db->number);
	return kit_find_thread(name);
}

/* ---- there and not there ----------------------------------------------------------------------------------------- */

/* Where the writer is pinned to a processor. */
Test(checkpointer, it_runs_wherever_the_process_may)
{
	penstock_config config = config_with(1 << 18);
	cpu_set_t whole, its;
	penstock *db;

	check(sched_getaffinity(getpid(), sizeof whole, &whole) == 0);
	for (config.writer_cpu = 0; !CPU_ISSET((size_t)config.writer_cpu, &whole);)
		config.writer_cpu++;
	db = kit_open_table(&config);
	until_pass(db);
	check(sched_getaffinity(thread_of(db), sizeof its, &its) == 0);
	check(CPU_EQUAL(&whole, &its));
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static _Atomic bool copied_as[SCHED_BATCH + 1]; /* by policy */

static int note_policy(const struct shim_event *event)
{
	if (event->call == SHIM_WRITE && event->file == SHIM_MAIN && !event->after && harness_is_checkpoint_thread())
		atomic_store(&copied_as[sched_getscheduler(0)], true);
	return SQLITE_OK;
}

/* Else it takes a processor from the writer, or from a producer, for a whole slice at a time. */
Test(checkpointer, it_gives_way_to_whoever_runs)
{
	penstock_config config = config_with(1 << 18);
	penstock *db;

	if (sched_getscheduler(0) != SCHED_OTHER)
		cr_skip_test("the test itself runs with another policy");
	shim_install(note_policy);
	db = kit_open_table(&config);
	/* The last pass of a job, which the writer waits for, does not. */
	while (!atomic_load(&copied_as[SCHED_BATCH]) || !atomic_load(&copied_as[SCHED_OTHER]))
		until_pass(db);
	cr_assert_eq(sched_getscheduler(kit_find_writer()), SCHED_OTHER);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static _Atomic uint64_t synced; /* the database, by the thread */

static int count_syncs(const struct shim_event *event)
{
	if (event->call == SHIM_SYNC && event->file == SHIM_MAIN && !event->after && harness_is_checkpoint_thread())
		synced++;
	return SQLITE_OK;
}

/* Else a commit that was synced is lost with the copy that was not. */
Test(checkpointer, it_syncs_as_the_writers_connection_does_by_now)
{
	penstock_config config = config_with(1 << 18);
	penstock *db;

	shim_install(count_syncs);
	config.synchronous = PENSTOCK_SYNCHRONOUS_OFF;
	db = kit_open_table(&config);
	until_pass(db);
	cr_assert_eq(synced, 0);
	expect(kit_execute(db, "PRAGMA synchronous=FULL"), PENSTOCK_OK);
	until_pass(db);
	cr_assert_neq(synced, 0);
	/* Nobody else makes a pass of it meanwhile: a statement alone waits for any. */
	expect(kit_execute(db, "PRAGMA synchronous=OFF"), PENSTOCK_OK);
	synced = 0;
	until_pass(db);
	cr_assert_eq(synced, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *open_in_real_time(void *arg)
{
	struct sched_param least = { .sched_priority = sched_get_priority_min(SCHED_RR) };

	return pthread_setschedparam(pthread_self(), SCHED_RR, &least) == 0 ? kit_open_table(arg) : NULL;
}

/* The writer waits for it, so it must not be behind those that the writer is ahead of. */
Test(checkpointer, a_policy_that_the_program_has_chosen_is_its_own_too)
{
	penstock_config config = config_with(1 << 18);
	pthread_t opener;
	void *db;

	check(pthread_create(&opener, NULL, open_in_real_time, &config) == 0 && pthread_join(opener, &db) == 0);
	if (db == NULL)
		cr_skip_test("this user may not choose a real-time policy");
	until_pass(db);
	cr_assert_eq(sched_getscheduler(kit_find_writer()), SCHED_RR);
	cr_assert_eq(sched_getscheduler(thread_of(db)), SCHED_RR);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(checkpointer, it_is_there_from_the_first_pass_until_the_connection_closes)
{
	penstock_config config = config_with(1 << 20);
	penstock *db = kit_open_table(&config);
	char mask[64];

	cr_assert_eq(thread_of(db), 0);
	for (int i = 0; i < 3; i++) {
		until_pass(db);
		check(thread_of(db) != 0);
		kit_thread_status(thread_of(db), "SigBlk", mask, sizeof mask);
		check((strtoull(mask, NULL, 16) >> (SIGUSR1 - 1) & 1) == 1, "%s", mask);
		if (i == 1)
			expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		else
			expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		await(thread_of(db) == 0); /* joined, yet the kernel may list it for a moment */
		cr_assert_eq(kit_open_files(harness_path("test.db")), 0);
		if (i == 1)
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		else
			expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	until_pass(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_open_files(harness_path("test.db")), 0);
	cr_assert_eq(events[PENSTOCK_EVENT_NO_CHECKPOINT_THREAD], 0);
}

Test(checkpointer, a_key_leaves_it_all_to_the_writer)
{
	penstock_config config = config_with(1 << 20);
	penstock *db;

	config.checkpoint_thread = 0;
	db = kit_open_table(&config);
	while (kit_counters(db).checkpoints < 3)
		write_some(db);
	cr_assert_eq(thread_of(db), 0);
	cr_assert_eq(kit_counters(db).checkpoints_beside, 0);
	cr_assert_eq(kit_counters(db).checkpoint_wait_nsec, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static uint64_t switches_of(pid_t thread)
{
	char count[64];

	kit_thread_status(thread, "voluntary_ctxt_switches", count, sizeof count);
	return strtoull(count, NULL, 10);
}

/* Nobody has anything to do: neither thread is ever woken. */
Test(checkpointer, idle_it_sleeps)
{
	penstock_config config = config_with(1 << 20);
	penstock *db = kit_open_table(&config);
	uint64_t switches, writers;
	pid_t writer = kit_find_writer();

	until_pass(db);
	/* A statement alone waits for any pass; behind it nothing is due. */
	expect(kit_execute(db, "PRAGMA wal_checkpoint"), PENSTOCK_OK);
	/* The writer wakes once more, to leave the file to others; where it could not for long, later than its time. */
	do {
		await(kit_thread_sleeps(thread_of(db)) && kit_thread_sleeps(writer));
		switches = switches_of(thread_of(db));
		writers = switches_of(writer);
		kit_sleep_usec(10 * SHORT);
	} while (switches_of(thread_of(db)) != switches || switches_of(writer) != writers);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- what the writer knows of the log (sqlite/log_book.h) --------------------------------------------------------- */

static struct ps_log_pass_end end_pass(struct ps_log_book *book, uint64_t frames, uint64_t copied, int code)
{
	const struct ps_log_pass pass = { .is_known = true, .frames = frames, .copied = copied, .code = code };
	struct ps_log_pass_end end;

	ps_log_book_end_pass(book, &pass, &end);
	return end;
}

Test(log_book, a_pass_is_stuck_that_copies_no_more_than_the_one_before)
{
	struct ps_log_book book = { 0 };
	struct ps_log_pass_end end;

	check(!ps_log_book_is_pass_due(&book));
	ps_log_book_commit(&book, 10);
	check(ps_log_book_is_pass_due(&book));
	ps_log_book_begin_pass(&book);
	end = end_pass(&book, 10, 4, SQLITE_OK);
	check(end.alone && !end.whole && !end.stuck && end.rest == 6 && !book.whole);
	/* Behind what it copied there is more. */
	check(ps_log_book_is_pass_due(&book));
	ps_log_book_begin_pass(&book);
	end = end_pass(&book, 10, 4, SQLITE_OK);
	check(end.alone && !end.whole && end.stuck && end.rest == 6);
	ps_log_book_begin_pass(&book);
	ps_log_book_commit(&book, 12);
	end = end_pass(&book, 10, 10, SQLITE_OK);
	check(!end.alone && !end.whole && !end.stuck && end.rest == 2 && !book.whole && book.frames == 12);
	check(ps_log_book_is_pass_due(&book));
	ps_log_book_begin_pass(&book);
	end = end_pass(&book, 12, 12, SQLITE_OK);
	check(end.alone && end.whole && end.rest == 0 && book.whole && book.frames == 0);
	check(!ps_log_book_is_pass_due(&book));
}

/* It may have begun the log anew, and have been copied. */
Test(log_book, a_commit_that_came_during_a_pass_makes_none_due)
{
	struct ps_log_book book = { 0 };
	struct ps_log_pass_end end;

	ps_log_book_commit(&book, 10);
	ps_log_book_begin_pass(&book);
	ps_log_book_commit(&book, 3);
	end = end_pass(&book, 10, 10, SQLITE_OK);
	check(!end.alone && !end.whole && end.rest == 3 && book.frames == 3);
	check(!ps_log_book_is_pass_due(&book));
	ps_log_book_commit(&book, 4);
	check(ps_log_book_is_pass_due(&book));
	/* As long as the one before. */
	ps_log_book_begin_pass(&book);
	ps_log_book_commit(&book, 10);
	end = end_pass(&book, 10, 10, SQLITE_OK);
	check(!end.whole && end.rest == 10 && !ps_log_book_is_pass_due(&book));
}

Test(log_book, a_pass_that_failed_tells_of_no_whole_log)
{
	const struct ps_log_pass unknown = { .code = SQLITE_IOERR };
	struct ps_log_book book = { 0 };
	struct ps_log_pass_end end;

	ps_log_book_commit(&book, 10);
	ps_log_book_begin_pass(&book);
	end = end_pass(&book, 10, 10, SQLITE_IOERR);
	check(end.alone && !end.whole && !book.whole && book.frames == 10);
	ps_log_book_commit(&book, 12);
	ps_log_book_begin_pass(&book);
	ps_log_book_end_pass(&book, &unknown, &end);
	check(!end.whole && end.stuck && end.rest == 2 && book.frames == 12);
	/* Of nothing. */
	end = end_pass(&book, 0, 0, SQLITE_OK);
	check(!end.whole && !book.whole);
}

Test(log_book, checkpoints_of_the_writer)
{
	static const struct {
		int frames, copied;
		bool blocked, well;
		uint64_t frames_then, copied_then;
		bool whole;
	} ways[] = { { 10, 4, true, true, 10, 4, false },    { 10, 10, true, true, 10, 10, true },
		     { 10, 10, false, true, 0, 0, true },    { 10, 10, false, false, 0, 0, false },
		     { -1, -1, false, false, 10, 0, false }, { 0, 0, false, true, 0, 0, false },
		     { 10, 0, true, true, 10, 0, false },    { -1, -1, true, false, 10, 0, false } };

	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		struct ps_log_book book = { 0 };

		ps_log_book_commit(&book, 10);
		ps_log_book_checkpoint(&book, ways[i].frames, ways[i].copied, ways[i].blocked, ways[i].well);
		check(book.frames == ways[i].frames_then && book.copied == ways[i].copied_then && book.whole == ways[i].whole,
		      "way %zu: %" PRIu64 " %" PRIu64, i, book.frames, book.copied);
		check(ps_log_book_is_pass_due(&book) == (book.frames > book.copied), "way %zu", i);
	}
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

/* A writer that never rests must not keep the log from beginning anew. */
Test(checkpointer, a_log_that_is_written_to_without_end_stays_short)
{
	penstock_config config = config_with(1 << 20);
	penstock *db = kit_open_table(&config);
	uint64_t wal_file;
	struct stat info;

	until_pass(db);
	expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
	for (int i = 0; i < 10000; i++)
		expect(kit_submit(db, "INSERT INTO t VALUES(zeroblob(1000))", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(stat(harness_path("test.db-wal"), &info) == 0);
	wal_file = (uint64_t)info.st_size;
	/* 10 MB went through it; a batch may be of 1.3 MB. */
	check(wal_file < 5 << 20, "%" PRIu64, wal_file);
	check(kit_counters(db).wal_bytes_peak < 5 << 20, "%" PRIu64, kit_counters(db).wal_bytes_peak);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 10000);
}

/* What a burst has left is copied, though what comes behind it would not make a checkpoint due by itself. */
Test(checkpointer, a_burst_is_copied_whole_behind_it)
{
	penstock_config config = config_with(1 << 20);
	penstock *db = kit_open_table(&config);

	for (int round = 0; round < 5; round++) {
		until_pass(db);
		for (int i = 0; kit_counters(db).wal_bytes >= 1 << 18; i++) {
			check(i < 1000, "%" PRIu64, kit_counters(db).wal_bytes);
			expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
		}
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void hold_snapshot(penstock *db, sqlite3 **reader)
{
	expect(penstock_reader_open(db, reader), PENSTOCK_OK);
	check(sqlite3_exec(*reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK);
}

Test(checkpointer, a_reader_in_its_way_is_told_of_and_waited_for_by_the_writer)
{
	penstock_config config = config_with(1 << 20);
	penstock *db = kit_open_table(&config);
	sqlite3 *reader;

	hold_snapshot(db, &reader);
	while (kit_counters(db).checkpoints_blocked == 0 || events[PENSTOCK_EVENT_WAL_HELD] == 0)
		write_some(db);
	check(kit_counters(db).wal_bytes >= 1 << 20);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	while (kit_counters(db).wal_bytes >= 1 << 20)
		write_some(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void shorten_what_was_held_up(int64_t thread)
{
	penstock_config config = config_with(1 << 18);
	penstock *db;
	sqlite3 *reader;

	config.checkpoint_thread = thread;
	config.checkpoint_wait_ms = 0;
	db = kit_open_table(&config);
	hold_snapshot(db, &reader);
	while (kit_counters(db).wal_bytes < 1 << 22)
		write_some(db);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	expect(kit_execute(db, "PRAGMA wal_checkpoint(TRUNCATE)"), PENSTOCK_OK);
	for (int i = 0; i < 100; i++) {
		write_some(db);
		check(kit_counters(db).wal_bytes < 1 << 20, "%" PRIu64, kit_counters(db).wal_bytes);
	}
	expect(kit_execute(db, "DROP TABLE t"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Though it is SQLite that makes it, within a statement. */
Test(checkpointer, a_submitted_checkpoint_makes_the_log_as_short_as_it_is)
{
	penstock_config config = config_with(1 << 20);
	penstock *db = kit_open_table(&config);
	sqlite3 *reader;

	write_some(db);
	hold_snapshot(db, &reader);
	write_some(db);
	expect(kit_execute(db, "PRAGMA wal_checkpoint"), PENSTOCK_OK);
	cr_assert_gt(kit_counters(db).wal_bytes, 0);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	expect(kit_execute(db, "PRAGMA wal_checkpoint"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).wal_bytes, 0);
	write_some(db);
	expect(kit_execute(db, "PRAGMA wal_checkpoint(TRUNCATE)"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).wal_bytes, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* How long it was when a reader held it up means nothing for the log that has begun since. */
Test(checkpointer, a_log_that_has_begun_anew_is_held_up_no_more)
{
	shorten_what_was_held_up(0);
	shorten_what_was_held_up(1);
}

static sqlite3 *overlapping;
static _Atomic bool overlaps;

/* Of a reader's mark, the first of which is never waited for. */
#define FIRST_MARK_LOCK 4

/* Whenever the writer looks whether the reader has left, that has, and the next one is there with the same lock. */
static int hand_over(const struct shim_event *event)
{
	if (event->call == SHIM_SHM_LOCK && !event->after && (event->flags & SQLITE_SHM_EXCLUSIVE) != 0 &&
	    event->offset >= FIRST_MARK_LOCK && overlaps)
		sqlite3_exec(overlapping, "COMMIT; BEGIN; SELECT 1 FROM t LIMIT 1", NULL, NULL, NULL);
	return SQLITE_OK;
}

/* Else the wait ends when a look happens to fall between two of them, or never. */
Test(checkpointer, the_writer_does_not_wait_for_readers_that_came_since)
{
	penstock_config config = config_with(1 << 20);
	penstock *db;

	shim_install(hand_over);
	config.checkpoint_thread = 0;
	config.checkpoint_wait_ms = 3600000;
	db = kit_open_table(&config);
	check(sqlite3_open_v2(harness_path("test.db"), &overlapping, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK);
	check(sqlite3_exec(overlapping, "BEGIN; SELECT 1 FROM t LIMIT 1", NULL, NULL, NULL) == SQLITE_OK);
	overlaps = true;
	for (int round = 0; round < 3; round++) {
		while (kit_counters(db).wal_bytes < 1 << 19)
			write_some(db);
		while (kit_counters(db).wal_bytes >= 1 << 19)
			write_some(db);
	}
	overlaps = false;
	cr_assert_eq(sqlite3_close(overlapping), SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* One thread waits, and one checkpoints at a time. */
Test(checkpointer, its_passes_and_the_waits_for_them_are_no_longer_than_what_has_passed)
{
	uint64_t began = ps_clock_nsec(), passed;
	penstock_config config = config_with(1 << 18);
	penstock *db = kit_open_table(&config);
	penstock_counters counters;

	do {
		write_some(db);
		counters = kit_counters(db);
		passed = ps_clock_nsec() - began;
		check(counters.checkpoint_wait_nsec <= passed, "%" PRIu64 " of %" PRIu64, counters.checkpoint_wait_nsec,
		      passed);
		check(counters.checkpoint_nsec <= passed, "%" PRIu64 " of %" PRIu64, counters.checkpoint_nsec, passed);
	} while (counters.checkpoint_wait_nsec == 0);
	check(counters.checkpoint_nsec > 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static struct gate pass_gate = GATE_INIT;
static int pass_code; /* what it comes to */

/* A pass is held as it begins to copy. */
static int hold_pass(const struct shim_event *event)
{
	if (event->call != SHIM_WRITE || event->file != SHIM_MAIN || event->after || !harness_is_checkpoint_thread())
		return SQLITE_OK;
	gate_pass(&pass_gate);
	return pass_code;
}

/* The second makes a pass due, where the bound is what the log holds behind the third. */
static penstock *fill_log(const char *path, const penstock_config *config)
{
	penstock *db = kit_open_path(path, config);

	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(30000))"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(60000))"), PENSTOCK_OK);
	if (config->checkpoint_thread != 0)
		gate_await(&pass_gate);
	expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(200000))"), PENSTOCK_OK);
	return db;
}

/* At the bound the writer waits for the pass that is under way, and with it whoever comes. */
static void wait_for_pass(int code, int status)
{
	penstock_config config = config_with(16 << 20);
	penstock_handle *handle;
	penstock *db;

	config.checkpoint_thread = 0;
	db = fill_log(harness_path("measured.db"), &config);
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	config.wal_bytes_max = (int64_t)kit_counters(db).wal_bytes;
	config.checkpoint_thread = 1;
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	shim_install(hold_pass);
	gate_set(&pass_gate, true);
	db = fill_log(harness_path("test.db"), &config);
	expect(kit_submit(db, "INSERT INTO t VALUES(1)", PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	await(kit_thread_sleeps(kit_find_writer()));
	expect(penstock_handle_wait(handle, 0), PENSTOCK_TIMEOUT);
	pass_code = code;
	gate_set(&pass_gate, false);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), status);
	/* What it has not copied was overtaken by a commit, and not held up by a reader. */
	cr_assert_eq(kit_counters(db).checkpoints_blocked, 0);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(checkpointer, the_log_waits_at_its_bound_for_a_slow_pass)
{
	wait_for_pass(SQLITE_OK, PENSTOCK_OK);
}

/* What came before is committed, and in the log. */
Test(checkpointer, a_pass_that_is_waited_for_and_fails_fails_the_engine)
{
	wait_for_pass(SQLITE_IOERR_WRITE, PENSTOCK_SHUTDOWN);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 3);
}

/* ---- beside it --------------------------------------------------------------------------------------------------- */

/* A submitted checkpoint answers as on a connection that nobody else uses: not busy, and all of the log is copied. */
Test(checkpointer, a_submitted_checkpoint_never_meets_it)
{
	penstock_config config = config_with(1 << 18);
	penstock *db = kit_open_table(&config);

	until_pass(db);
	for (int i = 0; i < 100; i++) {
		penstock_handle *handle;
		const penstock_result *result;

		write_some(db);
		write_some(db);
		for (int k = 0; k < 20; k++)
			expect(kit_submit(db, "INSERT INTO t VALUES(zeroblob(4000))", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		expect(kit_submit(db, "PRAGMA wal_checkpoint(TRUNCATE)", PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		result = penstock_handle_result(handle);
		cr_assert_eq(result->row_count, 1);
		cr_assert_eq(result->cells[0].as.integer, 0);
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static _Atomic bool called;

/* Answers what the pragma says: whether another connection is at one. */
static void checkpoint_by_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	sqlite3_stmt *pragma;

	(void)count;
	(void)values;
	called = true;
	if (sqlite3_prepare_v2(sqlite3_context_db_handle(context), "PRAGMA wal_checkpoint", -1, &pragma, NULL) == SQLITE_OK &&
	    sqlite3_step(pragma) == SQLITE_ROW)
		sqlite3_result_int(context, sqlite3_column_int(pragma, 0));
	sqlite3_finalize(pragma);
}

static int install_checkpoint(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "checkpoint_by_function", 0, SQLITE_UTF8, NULL, checkpoint_by_function, NULL,
	                               NULL);
}

/* Of a statement that calls it nobody knows that it checkpoints, before it does. */
Test(checkpointer, a_function_that_checkpoints_never_meets_it)
{
	penstock_config config = config_with(1 << 20);
	const penstock_result *result;
	penstock_handle *handle;
	penstock *db;

	config.connect_hook = install_checkpoint;
	shim_install(hold_pass);
	gate_set(&pass_gate, true);
	db = kit_open_table(&config);
	for (int i = 0; i < 2; i++)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(200000))"), PENSTOCK_OK);
	gate_await(&pass_gate);
	expect(kit_submit(db, "SELECT checkpoint_by_function()", PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	await(called);
	kit_sleep_usec(SHORT);
	gate_set(&pass_gate, false);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	result = penstock_handle_result(handle);
	cr_assert_eq(result->cells[0].type, PENSTOCK_INTEGER);
	cr_assert_eq(result->cells[0].as.integer, 0);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static bool refuses;

/* The thread's connection calls no hook: the program's functions stay on the writer and its readers. */
static int count_hook(sqlite3 *connection, void *arg)
{
	(void)connection;
	(void)arg;
	hook_calls++;
	return refuses ? SQLITE_ERROR : SQLITE_OK;
}

Test(checkpointer, its_connection_is_not_the_programs_affair)
{
	penstock_config config = config_with(1 << 20);
	penstock *db;

	config.connect_hook = count_hook;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	refuses = true;
	until_pass(db);
	cr_assert_eq(hook_calls, 1);
	cr_assert_eq(events[PENSTOCK_EVENT_NO_CHECKPOINT_THREAD], 0);
	refuses = false;
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static int64_t user_version(penstock *db)
{
	sqlite3 *reader;
	int64_t version;

	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	version = kit_ask(sqlite3_db_filename(reader, "main"), "PRAGMA user_version");
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	return version;
}

/* Whatever connection comes later: a reader's, the thread's, or one that commits something so that the log may be copied. */
Test(checkpointer, a_pragma_that_writes_is_run_by_the_writer_alone)
{
	penstock_config config = config_with(1 << 20);
	penstock_pragma writes[] = { PENSTOCK_PRAGMA("user_version", "1"), PENSTOCK_PRAGMA("cache_size", "-100") };
	penstock *db;

	config.pragmas = writes;
	config.pragma_count = 2;
	db = kit_open_table(&config);
	cr_assert_eq(user_version(db), 1);
	expect(kit_execute(db, "PRAGMA user_version=2"), PENSTOCK_OK);
	cr_assert_eq(user_version(db), 2);
	expect(kit_execute(db, "PRAGMA wal_checkpoint"), PENSTOCK_OK);
	cr_assert_eq(user_version(db), 2);
	until_pass(db);
	cr_assert_eq(user_version(db), 2);
	cr_assert_eq(events[PENSTOCK_EVENT_NO_CHECKPOINT_THREAD], 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static int lowest_fd;

/* Its connection needs a descriptor. */
static void take_descriptors(bool take)
{
	struct rlimit limit;

	check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (take)
		lowest_fd = (int)limit.rlim_cur;
	limit.rlim_cur = take ? (rlim_t)dup(0) : (rlim_t)lowest_fd;
	check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (take)
		close((int)limit.rlim_cur);
}

/* A connection that cannot be had: the writer goes on as without the thread, and says so once until it connects anew. */
Test(checkpointer, without_it_the_writer_checkpoints)
{
	penstock_config config = config_with(1 << 20);
	penstock *db = kit_open_table(&config);

	for (int round = 1; round <= 2; round++) {
		uint64_t before = kit_counters(db).checkpoints;

		take_descriptors(true);
		/* The thread may come to look for its connection long after the writer had to checkpoint by itself. */
		while (kit_counters(db).checkpoints < before + 3 || events[PENSTOCK_EVENT_NO_CHECKPOINT_THREAD] < round)
			write_some(db);
		take_descriptors(false);
		cr_assert_eq(kit_counters(db).checkpoints_beside, 0);
		cr_assert_eq(events[PENSTOCK_EVENT_NO_CHECKPOINT_THREAD], round);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static int have_it_alone(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_exec(connection, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
}

static void lock_by_statement(penstock *db)
{
	expect(kit_execute(db, "PRAGMA locking_mode=EXCLUSIVE"), PENSTOCK_OK);
}

static void lock_by_group(penstock *db)
{
	penstock_submission members[2] = { PENSTOCK_SUBMISSION_INIT, PENSTOCK_SUBMISSION_INIT };
	penstock_handle *handle;

	members[0].sql = "PRAGMA locking_mode=EXCLUSIVE";
	members[1].sql = "INSERT INTO t VALUES(1)";
	expect(penstock_submit_group(db, members, 2, NULL, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
}

static void lock_by_hook(penstock *db)
{
	expect(penstock_on_connect(db, have_it_alone, NULL), PENSTOCK_OK);
}

/* Its connection must not keep the writer's from what no other connection may then have: as in autocommit, every write is OK. */
static void writer_has_it_alone(void (*lock)(penstock *db))
{
	penstock_config config = config_with(1 << 20);
	penstock *db;
	uint64_t before;

	config.busy_timeout_ms = 10;
	config.busy_limit_ms = 10;
	db = kit_open_table(&config);
	for (int round = 0; round < 2; round++) {
		until_pass(db);
		lock(db);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
		cr_assert_eq(thread_of(db), 0);
		before = kit_counters(db).checkpoints;
		while (kit_counters(db).checkpoints < before + 3)
			write_some(db);
		cr_assert_eq(thread_of(db), 0);
		expect(kit_execute(db, "PRAGMA locking_mode=NORMAL"), PENSTOCK_OK);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	}
	until_pass(db);
	cr_assert_eq(kit_counters(db).failed, 0);
	cr_assert_eq(events[PENSTOCK_EVENT_NO_CHECKPOINT_THREAD], 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(checkpointer, it_is_not_there_while_the_writer_has_the_database_alone)
{
	writer_has_it_alone(lock_by_statement);
}

Test(checkpointer, a_group_that_locks_the_database_ends_it)
{
	writer_has_it_alone(lock_by_group);
}

Test(checkpointer, a_hook_that_locks_the_database_ends_it)
{
	writer_has_it_alone(lock_by_hook);
}

/* ---- verbs ------------------------------------------------------------------------------------------------------- */

static penstock *busy_db;
static _Atomic bool busy_over;
static _Atomic int64_t accepted;

static void *keep_busy(void *arg)
{
	(void)arg;
	while (!busy_over) {
		int status = kit_submit(busy_db, "INSERT INTO t VALUES(zeroblob(2000))", PENSTOCK_FOREVER, NULL);

		accepted += status == PENSTOCK_OK;
		check(status == PENSTOCK_OK || status == PENSTOCK_PAUSED || status == PENSTOCK_STOPPED);
	}
	return NULL;
}

/* With the log left and without, a pass may be under way at any verb. */
static void verbs_meet_passes(int64_t leave_wal)
{
	penstock_config config = config_with(1 << 18);
	penstock *db;
	pthread_t thread;

	config.leave_wal = leave_wal;
	config.ring_slots = 64; /* a verb waits for what is queued */
	db = kit_open_table(&config);
	until_pass(db);
	expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
	busy_db = db;
	busy_over = false;
	accepted = 0;
	check(pthread_create(&thread, NULL, keep_busy, NULL) == 0);
	for (int i = 0; i < 40; i++) {
		uint64_t before = kit_counters(db).batches;

		await(kit_counters(db).batches > before + 3);
		if (i % 4 == 3) {
			expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			cr_assert_eq(kit_open_files(harness_path("test.db")), 0);
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		} else {
			expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			cr_assert_eq(kit_open_files(harness_path("test.db")), 0);
			check(kit_ask(harness_path("test.db"), "PRAGMA quick_check(1)") == 0);
			expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		}
	}
	busy_over = true;
	pthread_join(thread, NULL);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == accepted);
}

Test(checkpointer, verbs_meet_passes)
{
	verbs_meet_passes(0);
}

Test(checkpointer, verbs_that_leave_the_log_meet_passes)
{
	verbs_meet_passes(1);
}

/* ---- two engines ------------------------------------------------------------------------------------------------- */

static void *write_to(void *arg)
{
	for (int i = 0; i < 1500; i++)
		expect(kit_submit(arg, "INSERT INTO t VALUES(zeroblob(2000))", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(arg, PENSTOCK_FOREVER), PENSTOCK_OK);
	return NULL;
}

/* Each begins the other's log anew, and copies what the other has written: one at a time (checkpoint_lock.h). */
Test(checkpointer, two_engines_with_threads_lose_nothing)
{
	penstock_config config = config_with(1 << 18);
	penstock *one, *other;
	pthread_t threads[2];

	config.ring_slots = 64;
	config.busy_limit_ms = 0;
	one = kit_open_table(&config);
	until_pass(one);
	expect(kit_execute(one, "DELETE FROM t"), PENSTOCK_OK);
	other = kit_open(&config);
	check(pthread_create(&threads[0], NULL, write_to, one) == 0 && pthread_create(&threads[1], NULL, write_to, other) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(kit_counters(one).failed + kit_counters(other).failed, 0);
	expect(penstock_close(one, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == 3000);
	check(kit_ask(harness_path("test.db"), "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
}
