/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a submit costs: no allocation and no system call on the inline path, a flat heap in the long run, and nothing at all
 * while nobody submits.
 *
 * Allocations are counted by functions of this program in place of malloc's, which then call glibc's own; the sanitizers
 * have theirs, and so those tests are skipped there.
 */
#include "tests/kit.h"

#include <malloc.h>

TestSuite(memory, .init = kit_begin, .fini = harness_end);

static _Atomic bool counting;
static __thread bool mine; /* this thread's are counted */
static _Atomic uint64_t allocations;

#if !KIT_SANITIZED
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static void note(void)
{
	if (counting && mine)
		allocations++;
}

void *malloc(size_t bytes)
{
	note();
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	note();
	return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
	note();
	return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	note();
	return __libc_memalign(alignment, bytes);
}
#endif

static void skip_with_sanitizers(void)
{
	if (KIT_SANITIZED)
		cr_skip_test("the sanitizers allocate by themselves");
}

static void count_from_here(void)
{
	allocations = 0;
	mine = true;
	counting = true;
}

static uint64_t counted(void)
{
	counting = false;
	return allocations;
}

/* The 80 bytes of a slot to the last one. */
static int submit_inline(penstock *db, const penstock_statement *statement, int64_t number, penstock_handle **handle)
{
	penstock_value values[] = { penstock_int64(number), penstock_double(0.5), penstock_null(),
		                    penstock_text("fifty-six bytes of text, to fill the slot to its very en") };
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .statement = statement, .values = values, .value_count = 4
	};

	check(9 + 9 + 1 + 5 + values[3].bytes == 80);
	return penstock_submit(db, &submission, PENSTOCK_FOREVER, handle);
}

static penstock *open_wide(penstock_statement **statement)
{
	penstock_config config = kit_config();
	penstock *db = kit_open(&config);

	expect(kit_execute(db, "CREATE TABLE t(a, b, c, d)"), PENSTOCK_OK);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?,?,?,?)", -1, statement), PENSTOCK_OK);
	return db;
}

Test(memory, counting_works)
{
	void *volatile block;

	skip_with_sanitizers();
	count_from_here();
	block = malloc(10);
	block = realloc(block, 20);
	free(block);
	block = calloc(1, 10);
	free(block);
	cr_assert_eq(counted(), 3);
}

Test(memory, inline_submits_allocate_nothing)
{
	penstock_statement *statement;
	penstock *db;

	skip_with_sanitizers();
	db = open_wide(&statement);
	expect(submit_inline(db, statement, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	count_from_here();
	for (int i = 0; i < 100000; i++)
		expect(submit_inline(db, statement, i, NULL), PENSTOCK_OK); /* awake, and waiting for room */
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 200; i++) {
		expect(submit_inline(db, statement, i, NULL), PENSTOCK_OK);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK); /* asleep at the next */
		kit_sleep_usec(100);
	}
	cr_assert_eq(counted(), 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 100201);
}

/* Text that fits beside its values. */
Test(memory, short_texts_allocate_nothing)
{
	penstock *db;

	skip_with_sanitizers();
	{
		penstock_config config = kit_config();

		db = kit_open_table(&config);
	}
	expect(kit_insert(db, 0, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	count_from_here();
	for (int i = 0; i < 10000; i++)
		expect(kit_insert(db, i, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	cr_assert_eq(counted(), 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A payload that lies outside of the slot is refused before it is copied, as far as that can be told. */
static void expect_refused_uncopied(penstock *db, int64_t timeout_usec, int refusal)
{
	static char bytes[100000];
	penstock_value value = penstock_blob(bytes, sizeof bytes);
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;
	penstock_counters before = { .struct_size = sizeof before }, after = { .struct_size = sizeof after };

	submission.sql = "INSERT INTO t VALUES(NULL, ?)";
	submission.values = &value;
	submission.value_count = 1;
	for (int grouped = 0; grouped < 2; grouped++) {
		expect(penstock_counters_read(db, &before), PENSTOCK_OK);
		count_from_here();
		expect(grouped ? penstock_submit_group(db, &submission, 1, NULL, timeout_usec, NULL)
		               : penstock_submit(db, &submission, timeout_usec, NULL),
		       refusal);
		cr_assert_eq(counted(), 0);
		expect(penstock_counters_read(db, &after), PENSTOCK_OK);
		cr_assert_eq(after.refused[refusal], before.refused[refusal] + 1);
		cr_assert_eq(after.full_events, before.full_events + (refusal == PENSTOCK_FULL));
	}
}

Test(memory, what_is_refused_is_not_copied)
{
	penstock_config config = kit_config();
	penstock *db;

	skip_with_sanitizers();
	config.ring_slots = 2;
	config.ring_bytes = 4096;
	db = kit_open_table(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect_refused_uncopied(db, PENSTOCK_FOREVER, PENSTOCK_PAUSED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect_refused_uncopied(db, PENSTOCK_FOREVER, PENSTOCK_STOPPED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	config.autostart = 0;
	for (config.when_full = PENSTOCK_WHEN_FULL_BLOCK; config.when_full <= PENSTOCK_WHEN_FULL_FAIL; config.when_full++) {
		int64_t timeout_usec = config.when_full == PENSTOCK_WHEN_FULL_FAIL ? PENSTOCK_FOREVER : 0;
		static const char bytes[4000];
		penstock_value value = penstock_blob(bytes, sizeof bytes);
		penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

		db = kit_open(&config);
		submission.sql = "INSERT INTO t VALUES(NULL, ?)";
		submission.values = &value;
		submission.value_count = 1;
		/* No bytes are left, and then no slot. */
		expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
		expect_refused_uncopied(db, timeout_usec, PENSTOCK_FULL);
		expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
		expect_refused_uncopied(db, timeout_usec, PENSTOCK_FULL);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
}

Test(memory, handles_are_used_again)
{
	penstock_statement *statement;
	penstock_handle *handles[32];
	penstock *db;

	skip_with_sanitizers();
	db = open_wide(&statement);
	for (int round = 0; round < 200; round++) {
		if (round == 1)
			count_from_here();
		for (int i = 0; i < 32; i++)
			expect(submit_inline(db, statement, i, &handles[i]), PENSTOCK_OK);
		for (int i = 0; i < 32; i++) {
			expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), PENSTOCK_OK);
			penstock_handle_release(handles[i]);
		}
	}
	cr_assert_eq(counted(), 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static size_t heap_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void load(penstock *db, int from, int count)
{
	for (int i = from; i < from + count; i++) {
		char sql[160], padding[120];
		penstock_value value;
		penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = sql };
		penstock_handle *handle;

		switch (i % 3) {
		case 0: /* a text of its own */
			snprintf(sql, sizeof sql,
			         "INSERT OR REPLACE INTO t VALUES(%d, 'text that lies outside of the slot') -- %d", i % 1000,
			         i);
			break;
		case 1:
			memset(padding, 'p', sizeof padding);
			snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO t VALUES(1, ?)");
			value = penstock_blob(padding, sizeof padding);
			submission.values = &value;
			submission.value_count = 1;
			break;
		default:
			snprintf(sql, sizeof sql, i % 2 ? "nonsense" : "SELECT a, b FROM t LIMIT 3");
			break;
		}
		if (i % 8 == 0) {
			expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
			if (i % 16 == 0)
				penstock_handle_wait(handle, PENSTOCK_FOREVER);
			penstock_handle_release(handle);
		} else {
			expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		}
	}
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* 100,000 distinct texts, values in and outside of slots, handles, errors, rows. */
Test(memory, heap_stays_flat)
{
	penstock_config config = kit_config();
	size_t before, after;
	penstock *db;

	skip_with_sanitizers();
	config.ring_slots = 256;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)"), PENSTOCK_OK);
	load(db, 0, 60000);
	before = heap_in_use();
	load(db, 60000, 300000);
	after = heap_in_use();
	check(after < before + 300000, "%zu bytes in use, then %zu", before, after);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A wake is a system call: there are no more of them than sleeps of the writer. (The rest would need ptrace.) */
Test(memory, submits_wake_only_a_writer_that_sleeps)
{
	penstock_statement *statement;
	penstock_counters counters;
	penstock *db = open_wide(&statement);

	kit_block(db);
	counters = kit_counters(db);
	for (int i = 0; i < 10000; i++)
		expect(submit_inline(db, statement, i, NULL), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).wakes, counters.wakes); /* awake all the while */
	kit_unblock();
	for (int i = 0; i < 50000; i++)
		expect(submit_inline(db, statement, i, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	counters = kit_counters(db);
	/* A sleep is counted when it is over. */
	check(counters.wakes <= counters.parks + 1, "%" PRIu64 " wakes, %" PRIu64 " parks", counters.wakes, counters.parks);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void writer_switches(char *voluntary, char *involuntary, size_t bytes)
{
	pid_t writer = kit_find_writer();

	check(writer != 0);
	kit_thread_status(writer, "voluntary_ctxt_switches", voluntary, bytes);
	kit_thread_status(writer, "nonvoluntary_ctxt_switches", involuntary, bytes);
}

/* A busy machine lets it go to bed late. One that looks about itself once a second rests in none of the attempts. */
static void writer_rests(void)
{
	char before[2][32], after[2][32];
	bool same = false;

	for (int i = 0; i < 10 && !same; i++) {
		kit_sleep_usec(100000);
		writer_switches(before[0], before[1], sizeof before[0]);
		kit_sleep_usec(1000000);
		writer_switches(after[0], after[1], sizeof after[0]);
		check(before[0][0] != '\0');
		same = strcmp(before[0], after[0]) == 0 && strcmp(before[1], after[1]) == 0;
	}
	check(same, "%s and %s switches have become %s and %s within a second", before[0], before[1], after[0], after[1]);
}

Test(memory, idle_writer_does_nothing)
{
	penstock_statement *statement;
	penstock *db = open_wide(&statement);

	writer_rests();
	expect(submit_inline(db, statement, 1, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	writer_rests();
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	writer_rests();
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}
