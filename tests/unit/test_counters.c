/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_counters.c - the counters, their histograms, and that each counts what penstock.h says
 *
 * A counter is compared before and after something that moves it by a known number; what depends on time is only compared with
 * what it cannot be less than, and more than. Where it matters how much time has passed the writer's clock is the tests' own.
 */
#include "tests/kit.h"

#include <math.h>

#include "core/clock.h"
#include "core/counters.h"

TestSuite(histogram, .init = kit_begin, .fini = harness_end);
TestSuite(counters, .init = kit_begin, .fini = harness_end);

/* ---- histograms -------------------------------------------------------------------------------------------------- */

/* The only bucket that a value is counted in. */
static size_t bucket_of(uint64_t value)
{
	static penstock_histogram histogram;
	size_t found = PENSTOCK_HISTOGRAM_BUCKETS;

	memset(&histogram, 0, sizeof histogram);
	ps_histogram_add(&histogram, value);
	check(histogram.count == 1 && histogram.sum == value && histogram.max == value);
	for (size_t i = 0; i < PENSTOCK_HISTOGRAM_BUCKETS; i++) {
		if (histogram.buckets[i] == 0)
			continue;
		check(histogram.buckets[i] == 1 && found == PENSTOCK_HISTOGRAM_BUCKETS);
		found = i;
	}
	check(found < PENSTOCK_HISTOGRAM_BUCKETS);
	return found;
}

Test(histogram, buckets_follow_each_other_without_a_gap)
{
	cr_assert_eq(penstock_histogram_floor(0), 0);
	for (size_t i = 0; i < PENSTOCK_HISTOGRAM_BUCKETS; i++) {
		uint64_t floor = penstock_histogram_floor(i);

		check(bucket_of(floor) == i, "%zu", i);
		if (i + 1 < PENSTOCK_HISTOGRAM_BUCKETS)
			check(bucket_of(penstock_histogram_floor(i + 1) - 1) == i, "%zu", i);
	}
	/* Eight to a power of two, up to 2^40. */
	for (unsigned power = 3; power < 40; power++)
		check(bucket_of(UINT64_C(2) << power) - bucket_of(UINT64_C(1) << power) == 8 || power == 39, "%u", power);
	check(bucket_of((UINT64_C(1) << 40) - 1) == PENSTOCK_HISTOGRAM_BUCKETS - 1);
	check(bucket_of(UINT64_MAX) == PENSTOCK_HISTOGRAM_BUCKETS - 1);
	/* Behind the last one there is none. */
	cr_assert_eq(penstock_histogram_floor(PENSTOCK_HISTOGRAM_BUCKETS),
	             penstock_histogram_floor(PENSTOCK_HISTOGRAM_BUCKETS - 1));
}

Test(histogram, buckets_are_an_eighth_wide_at_most)
{
	for (size_t i = 8; i + 1 < PENSTOCK_HISTOGRAM_BUCKETS; i++) {
		uint64_t floor = penstock_histogram_floor(i);

		check((penstock_histogram_floor(i + 1) - floor) * 8 <= floor, "%zu", i);
	}
}

Test(histogram, quantiles_are_right_to_the_width_of_a_bucket)
{
	static penstock_histogram histogram;

	cr_assert_eq(penstock_histogram_quantile(&histogram, 0.5), 0);
	for (uint64_t value = 1; value <= 1000; value++)
		ps_histogram_add(&histogram, value);
	for (int percent = 1; percent <= 100; percent++) {
		uint64_t quantile = penstock_histogram_quantile(&histogram, percent / 100.0);
		uint64_t exact = (uint64_t)percent * 10;

		check(quantile >= exact && quantile * 8 <= exact * 9 + 8, "%d %%: %" PRIu64, percent, quantile);
	}
	cr_assert_eq(penstock_histogram_quantile(&histogram, 1), 1000);
	cr_assert_eq(penstock_histogram_quantile(&histogram, 7), 1000);
	cr_assert_eq(penstock_histogram_quantile(&histogram, 0), 1);
	cr_assert_eq(penstock_histogram_quantile(&histogram, -1), 1);
	cr_assert_eq(penstock_histogram_quantile(&histogram, NAN), 1);
}

Test(histogram, quantiles_of_few_and_of_huge_values)
{
	static penstock_histogram histogram;

	ps_histogram_add(&histogram, 0);
	cr_assert_eq(penstock_histogram_quantile(&histogram, 0.5), 0);
	cr_assert_eq(penstock_histogram_quantile(&histogram, 1), 0);
	ps_histogram_add(&histogram, 100);
	cr_assert_eq(penstock_histogram_quantile(&histogram, 0.5), 0);
	/* Never more than the largest value, though its bucket goes on to 103. */
	cr_assert_eq(penstock_histogram_quantile(&histogram, 0.51), 100);
	ps_histogram_add(&histogram, UINT64_C(1) << 50);
	cr_assert_eq(penstock_histogram_quantile(&histogram, 1), UINT64_C(1) << 50);
	cr_assert_eq(penstock_histogram_quantile(&histogram, 0.6), 103);
}

/* ---- what is counted --------------------------------------------------------------------------------------------- */

Test(counters, transactions_and_statements_in_them)
{
	penstock_config config = kit_config();
	penstock_counters before, after;
	penstock *db;

	db = kit_open_table(&config);
	kit_block(db);
	before = kit_counters(db);
	for (int i = 0; i < 10; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	after = kit_counters(db);
	/* The gate's own transaction is the first. */
	cr_assert_eq(after.batches - before.batches, 2);
	cr_assert_eq(after.batch_size.count - before.batch_size.count, 2);
	cr_assert_eq(after.batch_size.sum - before.batch_size.sum, 11);
	cr_assert_eq(after.batch_size.max, 10);
	cr_assert_eq(after.commit_nsec.count - before.commit_nsec.count, 2);
	cr_assert_eq(after.committed - before.committed, 11);
	cr_assert_eq(after.accepted - before.accepted, 10);
	cr_assert_eq(after.queue_depth_max, 10);
	cr_assert_eq(after.queue_depth, 0);
	cr_assert_eq(after.replayed_batches, 0);
	cr_assert_eq(after.failed, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void take_a_while(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	kit_sleep_usec(2);
	sqlite3_result_int(context, 1);
}

static int hook_with_a_while(sqlite3 *connection, void *arg)
{
	int rc = sqlite3_create_function(connection, "take_a_while", 0, SQLITE_UTF8, NULL, take_a_while, NULL, NULL);

	return rc == SQLITE_OK ? kit_hook(connection, arg) : rc;
}

/* The time is over behind each of them; without a limit they are one transaction. */
Test(counters, a_transaction_ends_after_batch_usec)
{
	for (int64_t batch_usec = 0; batch_usec < 2; batch_usec++) {
		penstock_config config = kit_config();
		penstock_counters before;
		penstock *db;

		config.batch_usec = batch_usec;
		config.connect_hook = hook_with_a_while;
		db = kit_open(&config);
		kit_block(db);
		before = kit_counters(db);
		for (int i = 0; i < 10; i++)
			expect(kit_submit(db, "SELECT take_a_while()", 0, NULL), PENSTOCK_OK);
		kit_unblock();
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		/* The gate's, too. */
		cr_assert_eq(kit_counters(db).batches - before.batches, batch_usec == 0 ? 2 : 11);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
}

Test(counters, two_statements_are_a_transaction)
{
	penstock_config config = kit_config();
	penstock_counters before;
	penstock *db;

	db = kit_open_table(&config);
	kit_block(db);
	before = kit_counters(db);
	for (int i = 0; i < 2; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* The gate's own is the first. */
	cr_assert_eq(kit_counters(db).batches - before.batches, 2);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* How many transactions ten of a statement are. */
static uint64_t batches_of_ten(penstock *db, const char *sql)
{
	uint64_t before;

	kit_block(db);
	before = kit_counters(db).batches;
	for (int i = 0; i < 10; i++)
		expect(kit_submit(db, sql, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* The gate's own is the first. */
	return kit_counters(db).batches - before - 1;
}

/* Only what may leave SQLite's count of violated deferred keys below zero is the last of its transaction. */
Test(counters, transactions_of_changes_of_deferred_keys)
{
	static const char *const tables[] = {
		"PRAGMA foreign_keys=ON",
		"CREATE TABLE parent(id INTEGER PRIMARY KEY,a,b,UNIQUE(a,b))",
		("CREATE TABLE child(id INTEGER PRIMARY KEY,p REFERENCES parent ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,"
		 "a,b,FOREIGN KEY(a,b) REFERENCES parent(a,b) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)"),
		"CREATE TABLE node(id INTEGER PRIMARY KEY,up REFERENCES node DEFERRABLE INITIALLY DEFERRED)",
		"INSERT INTO parent VALUES(1,1,1),(2,2,2)",
		"INSERT INTO child VALUES(1,1,1,1)",
		"INSERT INTO node VALUES(1,1),(2,1)",
	};
	static const char *const stay[] = {
		"UPDATE child SET p=3-p",      "UPDATE child SET a=3-a,b=3-b",
		"UPDATE node SET up=2",        "INSERT OR REPLACE INTO child VALUES(1,1,2,2)",
		"DELETE FROM child WHERE p=2", "DELETE FROM parent WHERE id=2",
	};
	static const char *const end[] = { "UPDATE parent SET id=id+10", "UPDATE parent SET a=a+1",
		                           "INSERT OR REPLACE INTO parent VALUES(7,7,7)",
		                           "INSERT OR IGNORE INTO node VALUES(7,1)" };
	penstock_config config = kit_config();
	penstock *db;

	db = kit_open(&config);
	for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
		expect(kit_execute(db, tables[i]), PENSTOCK_OK);
	for (size_t i = 0; i < sizeof stay / sizeof stay[0]; i++)
		check(batches_of_ten(db, stay[i]) == 1, "%s", stay[i]);
	for (size_t i = 0; i < sizeof end / sizeof end[0]; i++)
		check(batches_of_ten(db, end[i]) == 10, "%s", end[i]);
	cr_assert_eq(kit_counters(db).failed, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, replays)
{
	penstock_config config = kit_config();
	penstock_counters counters;
	penstock *db;

	db = kit_open_table(&config);
	expect(kit_execute(db, "CREATE TABLE u(a UNIQUE)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO u VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).replayed_batches, 0);
	kit_block(db);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 2, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	/* Takes the transaction with it. */
	expect(kit_submit(db, "INSERT OR ROLLBACK INTO u VALUES(1)", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 3, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	counters = kit_counters(db);
	cr_assert_eq(counters.replayed_batches, 1);
	cr_assert_eq(counters.replayed_statements, 2);
	cr_assert_eq(counters.failed, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, statements_that_had_to_be_alone)
{
	penstock_submission alone = {
		.struct_size = sizeof alone, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(1)", .flags = PENSTOCK_RUN_ALONE
	};
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	uint64_t before = kit_counters(db).alone;

	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).alone - before, 0);
	expect(kit_execute(db, "VACUUM"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).alone - before, 1);
	expect(penstock_execute(db, &alone, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).alone - before, 2);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, listeners_are_timed_and_one_in_64_of_the_others)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;
	uint64_t before;

	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	before = kit_counters(db).outcome_nsec.count;
	for (int i = 0; i < 640; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).outcome_nsec.count - before, 10);
	for (int i = 0; i < 5; i++) {
		expect(kit_insert(db, i, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(handle);
	}
	cr_assert_eq(kit_counters(db).outcome_nsec.count - before, 15);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ... whatever there is to remember of them besides: bytes outside of the slot, durability, a failure. */
Test(counters, of_those_that_nobody_listens_to_one_in_64_is_timed)
{
	static const char bytes[200];
	penstock_value value = penstock_blob(bytes, sizeof bytes);
	penstock_submission ways[] = {
		{ .sql = "INSERT INTO t VALUES(?)", .values = &value, .value_count = 1 },
		{ .sql = "INSERT INTO t VALUES(1)", .ack = PENSTOCK_ACK_DURABLE },
		{ .sql = "INSERT INTO nowhere VALUES(1)" },
		{ .sql = "INSERT INTO nowhere VALUES(?)", .values = &value, .value_count = 1, .ack = PENSTOCK_ACK_DURABLE },
	};
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	for (size_t way = 0; way < COUNT_OF(ways); way++) {
		uint64_t before = kit_counters(db).outcome_nsec.count;

		ways[way].struct_size = sizeof ways[way];
		ways[way].sql_bytes = -1;
		for (int i = 0; i < 128; i++)
			expect(penstock_submit(db, &ways[way], PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(kit_counters(db).outcome_nsec.count - before == 2, "way %zu", way);
	}
	cr_assert_eq(kit_counters(db).failed, 256);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Enough to fill the WAL beyond a small wal_bytes_max, which makes the writer checkpoint. */
static void write_much(penstock *db)
{
	for (int i = 0; i < 40; i++)
		expect(kit_execute(db, "INSERT INTO t VALUES(zeroblob(20000))"), PENSTOCK_OK);
}

Test(counters, checkpoints_and_those_that_a_reader_blocks)
{
	penstock_config config = kit_config();
	penstock_counters counters;
	sqlite3 *reader;
	penstock *db;

	config.wal_bytes_max = 65536;
	db = kit_open_table(&config);
	write_much(db);
	counters = kit_counters(db);
	check(counters.checkpoints > 0 && counters.checkpoint_nsec > 0);
	cr_assert_eq(counters.checkpoints_blocked, 0);
	check(counters.wal_bytes <= counters.wal_bytes_peak && counters.wal_bytes_peak >= 20000);
	check(counters.wal_bytes_peak < 400000, "%" PRIu64, counters.wal_bytes_peak);

	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	check(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK);
	write_much(db);
	counters = kit_counters(db);
	check(counters.checkpoints_blocked > 0);
	check(counters.wal_bytes > 400000, "%" PRIu64, counters.wal_bytes);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static sqlite3 *_Atomic in_the_way;

/* Readers that overlap for ever: now and then the next one begins, and only then the one before it ends. */
#define NAPS_OF_A_READER 60 /* a millisecond each, or more */
static sqlite3 *overlapping[2];
static unsigned naps;

static void begin_reading(sqlite3 *reader)
{
	check(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK);
}

static void hand_over(void)
{
	unsigned now = naps / NAPS_OF_A_READER % 2;

	if (++naps % NAPS_OF_A_READER != 0)
		return;
	begin_reading(overlapping[!now]);
	check(sqlite3_exec(overlapping[now], "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
}

/* The writer's clock, in nanoseconds, where it stands still but for the writer's naps and for the test; 0: it goes. */
static _Atomic uint64_t standing_clock;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	if (clock != CLOCK_MONOTONIC || standing_clock == 0 || !ps_in_callback())
		return __real_clock_gettime(clock, now);
	*now = ps_timespec(standing_clock);
	return 0;
}

int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

/* The writer waits, for whoever is in the way. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	if (ps_in_callback() && standing_clock != 0) {
		standing_clock += (uint64_t)time->tv_sec * PS_NSEC_PER_SEC + (uint64_t)time->tv_nsec;
		return 0;
	}
	if (ps_in_callback() && in_the_way != NULL) {
		check(sqlite3_exec(in_the_way, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
		in_the_way = NULL;
	}
	if (ps_in_callback() && overlapping[0] != NULL)
		hand_over();
	return __real_nanosleep(time, left);
}

/* Beyond wal_bytes_max a checkpoint waits for readers, so that the log begins anew. */
Test(counters, a_reader_that_leaves_when_it_is_waited_for_lets_the_wal_begin_anew)
{
	penstock_config config = kit_config();
	penstock_counters counters;
	sqlite3 *reader;
	penstock *db;

	config.wal_bytes_max = 65536;
	db = kit_open_table(&config);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	check(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK);
	in_the_way = reader;
	write_much(db);
	counters = kit_counters(db);
	check(counters.checkpoints_blocked > 0 && counters.wal_bytes < 400000, "%" PRIu64, counters.wal_bytes);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void begin_reading_behind(void *arg, const penstock_result *result)
{
	check(result->status == PENSTOCK_OK);
	begin_reading(arg);
}

/* Between the commit and its checkpoint: all is copied, yet the log does not begin anew. Nobody waits for the reader, but it is counted. */
Test(counters, a_reader_of_the_whole_log_is_in_the_way_of_a_checkpoint_that_does_not_wait)
{
	penstock_config config = kit_config();
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(zeroblob(100000))",
		                           .on_complete = begin_reading_behind };
	sqlite3 *reader;
	penstock *db;

	config.wal_bytes_max = 65536;
	config.checkpoint_wait_ms = 0;
	db = kit_open_table(&config);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	submission.arg = reader;
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	/* What a checkpoint has come to is counted when the batch behind it has its outcome. */
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).checkpoints, 1);
	cr_assert_eq(kit_counters(db).checkpoints_blocked, 1);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static _Atomic int held_times;

static void on_held(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	if (event != PENSTOCK_EVENT_WAL_HELD)
		return;
	check(level == PENSTOCK_LOG_WARNING);
	check(strstr(message, "a reader keeps it") != NULL, "%s", message);
	held_times++;
}

/* It stays for longer than the writer waits. */
Test(counters, the_log_tells_of_a_reader_that_stays)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;

	config.wal_bytes_max = 65536;
	config.checkpoint_wait_ms = 1;
	config.log = on_held;
	db = kit_open_table(&config);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	check(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) == SQLITE_OK);
	cr_assert_eq(held_times, 0);
	write_much(db);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(held_times > 0);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* There is no moment without a reader, and each stays for longer than the first wait. */
Test(counters, readers_that_overlap_let_the_wal_begin_anew_once_the_writer_waits_long_enough)
{
	penstock_config config = kit_config();
	uint64_t peak;
	penstock *db;

	config.wal_bytes_max = 65536;
	config.checkpoint_wait_ms = 3600000;
	db = kit_open_table(&config);
	for (int i = 0; i < 2; i++)
		expect(penstock_reader_open(db, &overlapping[i]), PENSTOCK_OK);
	begin_reading(overlapping[0]);
	write_much(db);
	peak = kit_counters(db).wal_bytes;
	check(peak > 65536, "%" PRIu64, peak);
	/* Or this does not end. */
	while (kit_counters(db).wal_bytes >= peak)
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(sqlite3_close(overlapping[i]), SQLITE_OK);
	overlapping[0] = NULL;
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static _Atomic unsigned told_of_held_logs;

static void count_held_logs(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
	told_of_held_logs += event == PENSTOCK_EVENT_WAL_HELD;
}

static void later(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	standing_clock += PS_NSEC_PER_SEC;
	sqlite3_result_int(context, 1);
}

static int add_later(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "later", 0, SQLITE_UTF8, NULL, later, NULL, NULL);
}

/* How many checkpoints a statement is followed by. */
static uint64_t checkpoints_behind(penstock *db, const char *sql)
{
	uint64_t before;

	/* Those of the batch before have been counted when another one has its outcome. */
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	before = kit_counters(db).checkpoints;
	expect(kit_execute(db, sql), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	return kit_counters(db).checkpoints - before;
}

/* A log that a reader holds up, with waits of wait_ms at most. The clock stands still, so that what is due is by bytes alone. */
static void hold_up_the_log(int64_t wait_ms, int64_t thread)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	uint64_t bytes;
	unsigned told;
	penstock *db;

	standing_clock = PS_NSEC_PER_SEC;
	told_of_held_logs = 0;
	config.wal_bytes_max = 65536;
	config.checkpoint_wait_ms = wait_ms;
	config.checkpoint_thread = thread;
	config.log = count_held_logs;
	config.connect_hook = add_later;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS t(a)"), PENSTOCK_OK);
	expect(penstock_reader_open(db, &reader), PENSTOCK_OK);
	begin_reading(reader);
	write_much(db);
	check(kit_counters(db).checkpoints_blocked > 0 && kit_counters(db).wal_bytes > 400000);
	told = told_of_held_logs;
	cr_assert_eq(told, wait_ms > 0);
	/* Not for every batch, but when the log has grown by a part of itself. */
	while (checkpoints_behind(db, "INSERT INTO t VALUES(zeroblob(20000))") == 0)
		continue;
	bytes = kit_counters(db).wal_bytes;
	for (int i = 0; i < 3; i++)
		check(checkpoints_behind(db, "INSERT INTO t VALUES(1)") == 0, "%d", i);
	while (checkpoints_behind(db, "INSERT INTO t VALUES(zeroblob(20000))") == 0)
		check(kit_counters(db).wal_bytes < 2 * bytes);
	check(kit_counters(db).wal_bytes > bytes + bytes / 8);
	/* The writer has not waited a second time. */
	cr_assert_eq(told_of_held_logs, told);
	/* Which is due in a while, behind what writes. */
	cr_assert_eq(checkpoints_behind(db, "SELECT later()"), 0);
	check((checkpoints_behind(db, "INSERT INTO t VALUES(1)") != 0) == (wait_ms > 0));
	cr_assert_eq(told_of_held_logs, wait_ms > 0 ? told + 1 : told);
	cr_assert_eq(checkpoints_behind(db, "INSERT INTO t VALUES(1)"), 0);
	/* A log that is let go of begins anew, and is a short one then. */
	check(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL) == SQLITE_OK && sqlite3_close(reader) == SQLITE_OK);
	write_much(db);
	write_much(db);
	check(kit_counters(db).wal_bytes < 400000, "%" PRIu64, kit_counters(db).wal_bytes);
	cr_assert_eq(told_of_held_logs, wait_ms > 0 ? told + 1 : told);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	standing_clock = 0;
}

Test(counters, a_log_that_is_held_up_is_not_checkpointed_behind_every_batch)
{
	for (int64_t thread = 0; thread <= 1; thread++) {
		hold_up_the_log(1, thread);
		hold_up_the_log(2, thread);
		hold_up_the_log(0, thread);
	}
}

/*
 * Two batches that a reader keeps from being copied. The small one first: of the large one it is known beforehand that a checkpoint is
 * due behind it. The large one first: it makes one due, and the small one none, but for a wait.
 */
static penstock *fill_log(const char *name, const penstock_config *config, bool small_first, sqlite3 **reader)
{
	static const char small[] = "INSERT INTO t VALUES(zeroblob(30000))", large[] = "INSERT INTO t VALUES(zeroblob(200000))";
	penstock *db = kit_open_path(harness_path(name), config);

	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	expect(penstock_reader_open(db, reader), PENSTOCK_OK);
	begin_reading(*reader);
	expect(kit_execute(db, small_first ? small : large), PENSTOCK_OK);
	expect(kit_execute(db, small_first ? large : small), PENSTOCK_OK);
	/* What a checkpoint has come to is counted when the batch behind it has its outcome. */
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	return db;
}

/* Where the bound is the log's length, or a byte more: the writer waits for the reader at the bound already. */
static void fill_up_to(int64_t wal_bytes, int64_t short_of, bool small_first, int64_t thread)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	char name[32];
	penstock *db;

	told_of_held_logs = 0;
	config.wal_bytes_max = wal_bytes + short_of;
	config.checkpoint_wait_ms = 1;
	config.checkpoint_thread = thread;
	config.log = count_held_logs;
	snprintf(name, sizeof name, "bound%d%d%d.db", (int)thread, (int)short_of, small_first);
	db = fill_log(name, &config, small_first, &reader);
	check(kit_counters(db).wal_bytes == (uint64_t)wal_bytes, "%" PRIu64, kit_counters(db).wal_bytes);
	check(told_of_held_logs == (short_of == 0), "%s", name);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* The checkpoint thread is not asked at the bound. */
	check((kit_counters(db).checkpoints_beside > 0) == (thread != 0 && short_of != 0 && small_first), "%s", name);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, the_writer_waits_for_readers_from_the_bound_of_the_log_on)
{
	penstock_config config = kit_config();
	sqlite3 *reader;
	penstock *db;
	int64_t bytes;

	db = fill_log("measured.db", &config, true, &reader);
	bytes = (int64_t)kit_counters(db).wal_bytes;
	cr_assert_eq(kit_counters(db).checkpoints, 0);
	cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int64_t thread = 0; thread <= 1; thread++) {
		for (int64_t short_of = 0; short_of <= 1; short_of++) {
			fill_up_to(bytes, short_of, true, thread);
			fill_up_to(bytes, short_of, false, thread);
		}
	}
}

/* A sum cannot be more than the time that has passed, since there is one writer, and one who waits for room. */
Test(counters, no_time_is_longer_than_what_has_passed)
{
	uint64_t began = ps_clock_nsec(), passed;
	penstock_config config = kit_config();
	penstock_counters counters;
	penstock *db;

	config.wal_bytes_max = 65536;
	config.ring_slots = 2;
	db = kit_open_table(&config);
	write_much(db);
	kit_block(db);
	for (int i = 0; i < 2; i++)
		kit_insert(db, i, 0, NULL);
	expect(kit_insert(db, 2, SHORT, NULL), PENSTOCK_FULL);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	counters = kit_counters(db);
	passed = ps_clock_nsec() - began;
	check(counters.commit_nsec.sum > 0 && counters.commit_nsec.sum <= passed, "%" PRIu64, counters.commit_nsec.sum);
	check(counters.checkpoint_nsec > 0 && counters.checkpoint_nsec <= passed, "%" PRIu64, counters.checkpoint_nsec);
	check(counters.outcome_nsec.max > 0 && counters.outcome_nsec.max <= passed, "%" PRIu64, counters.outcome_nsec.max);
	check(counters.full_nsec > 0 && counters.full_nsec <= passed, "%" PRIu64, counters.full_nsec);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

#define MSEC UINT64_C(1000000)

Test(counters, the_longer_the_log_is_held_up_the_longer_one_wait_and_the_rest)
{
	struct ps_stall stall = { 0 };
	uint64_t now = 1, total = 0, waited = 0;
	int64_t before = 0;

	/* Each as long as it may be, and in vain. */
	for (int i = 0; i < 10; i++) {
		int64_t wait = ps_stall_begin(&stall, now, 3000);

		cr_assert(wait > before || (wait == before && wait == 3000));
		ps_stall_end(&stall, now, now + (uint64_t)wait * MSEC, true);
		now += (uint64_t)wait * MSEC;
		/* Then it works, for four times as long. */
		cr_assert_eq(ps_stall_begin(&stall, now + 4 * (uint64_t)wait * MSEC - 1, 3000), 0);
		cr_assert(!ps_stall_is_due(&stall, now));
		now += 4 * (uint64_t)wait * MSEC;
		waited += (uint64_t)wait;
		total = now / MSEC;
		before = wait;
	}
	cr_assert_eq(before, 3000);
	cr_assert_eq(waited * 5, total);
	/* One that was enough, or was cut short, is the next one's too; another key counts at once; and 0 is never. */
	ps_stall_end(&stall, now, now + 7 * MSEC, false);
	ps_stall_end(&stall, now, now + 7 * MSEC, true);
	now += 100 * MSEC;
	cr_assert_eq(ps_stall_begin(&stall, now, 1000000), 12000);
	cr_assert_eq(ps_stall_begin(&stall, now, 20), 20);
	cr_assert_eq(ps_stall_begin(&stall, now, 0), 0);
}

Test(counters, the_log_of_an_attached_file_does_not_count)
{
	penstock_config config = kit_config();
	char attach[4200];
	uint64_t before;
	penstock *db;

	kit_change(harness_path("other.db"), "PRAGMA journal_mode=WAL; CREATE TABLE z(a)");
	db = kit_open_table(&config);
	snprintf(attach, sizeof attach, "ATTACH '%s' AS other", harness_path("other.db"));
	expect(kit_execute(db, attach), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	before = kit_counters(db).wal_bytes;
	expect(kit_execute(db, "INSERT INTO other.z VALUES(zeroblob(100000))"), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	cr_assert(before > 0);
	cr_assert_eq(kit_counters(db).wal_bytes, before);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, syncs_of_the_wal_for_durable_outcomes)
{
	penstock_submission durable = {
		.struct_size = sizeof durable, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(1)", .ack = PENSTOCK_ACK_DURABLE
	};
	penstock_config config = kit_config();
	uint64_t before;
	penstock *db;

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	before = kit_counters(db).wal_syncs;
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).wal_syncs - before, 0);
	expect(penstock_execute(db, &durable, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_execute(db, &durable, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).wal_syncs - before, 2);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, statements_prepared_again_for_a_changed_schema)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).schema_reprepares, 0);
	expect(kit_execute(db, "CREATE INDEX i ON t(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).schema_reprepares, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, refusals_a_full_ring_and_its_bytes)
{
	static const char long_text[] =
		"INSERT INTO t VALUES('a text that is longer than the eighty bytes of a slot, for sure, "
		"since it goes on and on')";
	penstock_config config = kit_config();
	penstock_counters counters;
	penstock *db;

	config.ring_slots = 2;
	config.autostart = 0;
	db = kit_open(&config);
	expect(kit_submit(db, "CREATE TABLE t(a)", 0, NULL), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).queue_bytes, 0);
	expect(kit_submit(db, long_text, 0, NULL), PENSTOCK_OK);
	check(kit_counters(db).queue_bytes >= sizeof long_text);
	cr_assert_eq(kit_counters(db).full_events, 0);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_FULL);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_FULL);
	cr_assert_eq(kit_counters(db).full_nsec, 0);
	expect(kit_insert(db, 1, SHORT, NULL), PENSTOCK_FULL);
	counters = kit_counters(db);
	cr_assert_eq(counters.full_events, 3);
	check(counters.full_nsec >= SHORT * UINT64_C(1000));
	cr_assert_eq(counters.refused[PENSTOCK_FULL], 3);
	cr_assert_eq(counters.accepted, 2);
	cr_assert_eq(counters.queue_depth, 2);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).queue_bytes, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, sleeps_of_the_writer_and_wakes)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	/* It sleeps between two, unless the machine is too busy to let it; the count comes behind the sleep. */
	do {
		kit_sleep_usec(2000);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	} while (kit_counters(db).parks == 0 || kit_counters(db).wakes == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A writer that looks for work for spin_usec sleeps behind that. */
Test(counters, sleeps_of_a_writer_that_spins)
{
	penstock_config config = kit_config();
	penstock *db;

	config.spin_usec = 50;
	db = kit_open_table(&config);
	do {
		kit_sleep_usec(2000);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	} while (kit_counters(db).parks == 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Each comes when the writer has had time to go to sleep. */
static uint64_t parks_of_single_ones(penstock *db)
{
	uint64_t before = kit_counters(db).parks;

	for (int i = 0; i < 20; i++) {
		kit_sleep_usec(1000);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	}
	return kit_counters(db).parks - before;
}

/*
 * The lowest bit of the word is set. With a clock that stands still the sleep of an engine that is inside ends at once and begins again: on one
 * processor nobody else runs while the writer is asleep.
 */
static bool has_parked(penstock *db)
{
	return (ps_load_acquire_u64(&db->ring.claim) & 1) != 0;
}

/* While spin_usec is not over the writer does not sleep; behind a batch of several it does at once. Its clock stands still. */
Test(counters, a_writer_that_spins_sleeps_when_its_time_is_over_or_behind_a_larger_batch)
{
	penstock_config config = kit_config();
	pid_t writer;
	penstock *db;

	standing_clock = PS_NSEC_PER_SEC;
	config.spin_usec = 50;
	db = kit_open_table(&config);
	await((writer = kit_find_writer()) != 0);
	cr_assert_eq(parks_of_single_ones(db), 0);
	kit_block(db);
	for (int i = 0; i < 2; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await(has_parked(db));
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	cr_assert_eq(parks_of_single_ones(db), 0);
	/* Again and again, since it may not have begun to look. */
	do {
		standing_clock += PS_NSEC_PER_SEC;
		kit_sleep_usec(1000);
	} while (!kit_thread_sleeps(writer));
	/* It found nothing, so that it lets a chance pass before it looks again; and forgets that when it finds something. */
	cr_assert_eq(ps_load_relaxed_u32(&db->spin.misses), 1);
	while (ps_load_relaxed_u32(&db->spin.misses) != 0)
		parks_of_single_ones(db);
	cr_assert_eq(parks_of_single_ones(db), 0);
	/* A command ends it too. */
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	standing_clock = 0;
}

Test(counters, sleeps_of_a_writer_that_lingers)
{
	penstock_config config = kit_config();
	uint64_t before, rounds = 0;
	penstock *db;

	config.linger_usec = 2000;
	db = kit_open_table(&config);
	before = kit_counters(db).parks;
	/* One sleep in each batch, and mostly one between two. */
	do {
		kit_sleep_usec(2000);
		expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
		check(++rounds < 1000);
	} while (kit_counters(db).parks - before <= rounds + 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* How many of the rows did not run by themselves. */
static uint64_t fused_of(penstock *db, penstock_statement *statement, int rows)
{
	uint64_t before = kit_counters(db).fused;

	kit_block(db);
	for (int i = 0; i < rows; i++)
		expect(kit_submit_by(db, statement, i, PENSTOCK_FOREVER), PENSTOCK_OK);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	return kit_counters(db).fused - before;
}

/* Rows of one INSERT; and no more of them once another process has given the table a trigger. */
Test(counters, inserts_that_run_as_one)
{
	static const char *const between[] = { NULL, NULL,
		                               "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a=-1 WHERE a=-2; END",
		                               NULL };
	static const uint64_t fused[] = { 8, 8, 0, 0 };
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_statement *statement;

	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
	for (size_t round = 0; round < COUNT_OF(between); round++) {
		uint64_t fused_now;

		if (between[round] != NULL) {
			kit_change(harness_path("test.db"), between[round]);
			/* Behind the change it pauses for some rows in any case. */
			for (int i = 0; i < 2000; i++)
				expect(kit_submit_by(db, statement, i, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		}
		fused_now = fused_of(db, statement, 8);
		check(fused_now == fused[round], "round %zu: %" PRIu64, round, fused_now);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* 32, 8, 2, 2, and the last one alone; of 6 a quarter is none. */
Test(counters, inserts_run_as_one_by_the_largest_number_that_fits)
{
	static const struct {
		int64_t most;
		int rows;
		uint64_t fused;
	} ways[] = { { 32, 45, 44 }, { 6, 17, 12 }, { 1, 8, 0 } };

	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		penstock_config config = kit_config();
		penstock_statement *statement;
		penstock *db;

		config.fuse_rows = ways[i].most;
		db = i == 0 ? kit_open_table(&config) : kit_open(&config);
		expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
		cr_assert_eq(fused_of(db, statement, ways[i].rows), ways[i].fused);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
}

Test(counters, inserts_into_a_table_that_was_there_before_run_as_one)
{
	penstock_config config = kit_config();
	penstock_statement *statement;
	penstock *db;

	kit_change(harness_path("test.db"), "CREATE TABLE t(a)");
	db = kit_open(&config);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
	cr_assert_eq(fused_of(db, statement, 8), 8);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, inserts_run_as_one_once_their_table_is_fit)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_statement *statement;

	expect(kit_execute(db, "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a=-1 WHERE a=-2; END"), PENSTOCK_OK);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
	cr_assert_eq(fused_of(db, statement, 8), 0);
	expect(kit_execute(db, "DROP TRIGGER r"), PENSTOCK_OK);
	cr_assert_eq(fused_of(db, statement, 8), 8);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, attempts_that_met_a_lock)
{
	penstock_config config = kit_config();
	sqlite3 *outsider;
	penstock *db;

	config.busy_timeout_ms = 1;
	config.busy_limit_ms = 50;
	db = kit_open_table(&config);
	cr_assert_eq(kit_counters(db).busy_retries, 0);
	cr_assert_eq(sqlite3_open(harness_path("test.db"), &outsider), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(outsider, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_ERROR);
	check(kit_counters(db).busy_retries > 0);
	cr_assert_eq(sqlite3_exec(outsider, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_close(outsider), SQLITE_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Wherever the writer stands as it publishes, be it preempted by this very reader. */
Test(counters, a_reader_does_not_wait_for_a_writer_that_publishes)
{
	static struct ps_counters counters;
	static penstock_counters seen;

	ps_count(&counters, &counters.writer.committed, 7);
	ps_count_in(&counters, &counters.writer.commit_nsec, 1000);
	ps_counters_copy(&counters, &seen, sizeof seen);
	check(seen.committed == 0 && seen.commit_nsec.count == 0, "not published");
	ps_counters_publish(&counters);
	ps_counters_copy(&counters, &seen, sizeof seen);
	check(seen.committed == 7 && seen.commit_nsec.count == 1 && seen.commit_nsec.sum == 1000 &&
	      seen.commit_nsec.max == 1000);
	/* The first copy is half changed, and then the second. */
	for (uint32_t half = 0; half < 2; half++) {
		struct ps_counters torn = counters;

		torn.sequence += 1 + half;
		torn.copies[half].committed++;
		ps_counters_copy(&torn, &seen, sizeof seen);
		check(seen.committed == 7, "%" PRIu32, half);
	}
}

static void *read_on_a_small_stack(void *arg)
{
	static penstock_counters counters;

	counters.struct_size = sizeof counters;
	expect(penstock_counters_read(arg, &counters), PENSTOCK_OK);
	cr_assert_eq(counters.committed, 1);
	return NULL;
}

Test(counters, are_read_on_a_small_stack)
{
	penstock *db = kit_open_table(NULL);
	/* The least that there may be, of which the thread's own variables take some; a sanitizer's frames need more. */
	size_t bytes = KIT_SANITIZED ? 1 << 20 : (size_t)PTHREAD_STACK_MIN;
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	check(pthread_attr_setstacksize(&attributes, bytes) == 0);
	check(pthread_create(&thread, &attributes, read_on_a_small_stack, db) == 0);
	kit_join(thread);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, an_older_program_gets_what_it_knows)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	union {
		penstock_counters counters;
		unsigned char bytes[sizeof(penstock_counters) + 64];
	} room;

	memset(&room, 0xee, sizeof room);
	room.counters.struct_size = offsetof(penstock_counters, refused);
	expect(penstock_counters_read(db, &room.counters), PENSTOCK_OK);
	cr_assert_eq(room.counters.accepted, 1);
	for (size_t i = offsetof(penstock_counters, refused); i < sizeof room; i++)
		check(room.bytes[i] == 0xee, "byte %zu", i);
	/* And a newer one zeroes where this one knows nothing. */
	memset(&room, 0xee, sizeof room);
	room.counters.struct_size = sizeof room;
	expect(penstock_counters_read(db, &room.counters), PENSTOCK_OK);
	cr_assert_eq(room.counters.struct_size, sizeof room);
	cr_assert_eq(room.counters.accepted, 1);
	for (size_t i = sizeof(penstock_counters); i < sizeof room; i++)
		check(room.bytes[i] == 0, "byte %zu", i);
	expect(penstock_counters_read(db, NULL), PENSTOCK_MISUSE);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Each field that an older program may have as its last, with the fields before it as they are today. */
Test(counters, each_length_has_the_same_beginning)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_counters all = { .struct_size = sizeof all };
	union {
		penstock_counters counters;
		unsigned char bytes[sizeof(penstock_counters)];
	} some;

	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* One refusal, so that not only the writer has counted. */
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_STOPPED);
	expect(penstock_counters_read(db, &all), PENSTOCK_OK);
	for (size_t size = sizeof(uint64_t); size < sizeof all; size += sizeof(uint64_t)) {
		memset(&some, 0xee, sizeof some);
		some.counters.struct_size = size;
		expect(penstock_counters_read(db, &some.counters), PENSTOCK_OK);
		cr_assert_eq(some.counters.struct_size, size);
		check(memcmp(&some.bytes[sizeof(uint64_t)], (char *)&all + sizeof(uint64_t), size - sizeof(uint64_t)) == 0,
		      "%zu", size);
		for (size_t i = size; i < sizeof some; i++)
			check(some.bytes[i] == 0xee, "byte %zu of %zu", i, size);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(counters, struct_of_no_version_is_misuse)
{
	static const uint64_t sizes[] = {
		0, 1, 7, 9, sizeof(penstock_counters) - 1, sizeof(penstock_counters) + 1, 1 << 24, UINT64_MAX
	};
	penstock *db = kit_open_table(NULL);
	penstock_counters counters;

	memset(&counters, 0xee, sizeof counters);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		counters.struct_size = sizes[i];
		expect(penstock_counters_read(db, &counters), PENSTOCK_MISUSE);
		cr_assert_eq(counters.accepted, UINT64_C(0xeeeeeeeeeeeeeeee));
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}
