/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Outcomes and the handles that carry them: waiting, letting go, and what a result holds.
 */
#include "tests/kit.h"

#include <malloc.h>

#include "core/futex.h"
#include "core/outcome.h"

TestSuite(handle, .init = kit_begin, .fini = harness_end);

static penstock_handle *submitted(penstock *db, const char *sql)
{
	penstock_handle *handle;

	expect(kit_submit(db, sql, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	check(handle != NULL);
	return handle;
}

/* The result of a statement, waited for; to be released. */
static const penstock_result *result_of(penstock *db, const char *sql, penstock_handle **handle)
{
	const penstock_result *result;
	int status;

	*handle = submitted(db, sql);
	status = penstock_handle_wait(*handle, PENSTOCK_FOREVER);
	result = penstock_handle_result(*handle);
	check(result != NULL && (int)result->status == status);
	check(result->ticket == penstock_handle_ticket(*handle));
	check(result->message != NULL);
	check((status == PENSTOCK_OK) == (result->message[0] == '\0'));
	check((status == PENSTOCK_OK) == (result->extended_code == SQLITE_OK));
	check(result->code == (result->extended_code & 0xff));
	return result;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

Test(handle, wait_that_times_out_neither_cancels_nor_loses)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;
	uint64_t ticket;

	kit_block(db);
	handle = submitted(db, "INSERT INTO t VALUES(1)");
	ticket = penstock_handle_ticket(handle);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_TIMEOUT);
	check(penstock_handle_result(handle) == NULL);
	for (int i = 0; i < 5; i++) {
		errno = EXDEV;
		expect(penstock_handle_wait(handle, SHORT), PENSTOCK_TIMEOUT);
		check(errno == EXDEV, "%s", strerror(errno));
	}
	kit_unblock();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 3; i++)
		expect(penstock_handle_wait(handle, i == 0   ? 0
		                                    : i == 1 ? PENSTOCK_FOREVER
		                                             : PENSTOCK_DEFAULT_TIMEOUT),
		       PENSTOCK_OK);
	cr_assert_eq(penstock_handle_ticket(handle), ticket);
	cr_assert_eq(penstock_handle_result(handle)->ticket, ticket);
	cr_assert_eq(penstock_handle_result(handle)->changes, 1);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 1);
}

Test(handle, default_timeout_is_that_of_the_submit)
{
	penstock_config config = kit_config(), change;
	penstock_handle *before, *after;
	penstock *db;

	config.results_timeout_ms = 5;
	db = kit_open_table(&config);
	kit_block(db);
	before = submitted(db, "INSERT INTO t VALUES(1)");
	expect(penstock_handle_wait(before, PENSTOCK_DEFAULT_TIMEOUT), PENSTOCK_TIMEOUT);
	{
		penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT 1" };

		expect(penstock_execute(db, &submission, PENSTOCK_DEFAULT_TIMEOUT, NULL), PENSTOCK_TIMEOUT);
	}
	expect(penstock_flush(db, PENSTOCK_DEFAULT_TIMEOUT), PENSTOCK_TIMEOUT);
	expect(penstock_pause(db, PENSTOCK_DEFAULT_TIMEOUT), PENSTOCK_TIMEOUT);
	penstock_config_init(&change);
	change.results_timeout_ms = -1;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	after = submitted(db, "INSERT INTO t VALUES(2)");
	expect(penstock_handle_wait(before, PENSTOCK_DEFAULT_TIMEOUT), PENSTOCK_TIMEOUT);
	kit_unblock();
	expect(penstock_handle_wait(after, PENSTOCK_DEFAULT_TIMEOUT), PENSTOCK_OK);
	expect(penstock_handle_wait(before, PENSTOCK_DEFAULT_TIMEOUT), PENSTOCK_OK);
	penstock_handle_release(before);
	penstock_handle_release(after);
	/* For ever: it is waited for. */
	for (int i = 0; i < 20; i++) {
		penstock_submission submission = { .struct_size = sizeof submission,
			                           .sql_bytes = -1,
			                           .sql = "INSERT INTO t VALUES(3)" };

		expect(penstock_execute(db, &submission, PENSTOCK_DEFAULT_TIMEOUT, NULL), PENSTOCK_OK);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Who waits looks for the outcome before it sleeps, but no longer than it may wait. */
Test(handle, a_wait_does_not_look_for_longer_than_it_may)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;

	kit_block(db);
	handle = submitted(db, "INSERT INTO t VALUES(1)");
	handle->spin_usec = INT64_MAX;
	handle->bell->spin = (struct ps_spin){ .skip = 0 }; /* whatever the waits before have taught */
	expect(penstock_handle_wait(handle, SHORT), PENSTOCK_TIMEOUT);
	handle->spin_usec = 0;
	kit_unblock();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *wait_main(void *arg)
{
	expect(penstock_handle_wait(arg, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(penstock_handle_result(arg)->changes == 1);
	return NULL;
}

static _Atomic pid_t waiting_thread;

static void *tell_and_wait(void *arg)
{
	waiting_thread = gettid();
	return wait_main(arg);
}

Test(handle, who_waits_sleeps)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;
	pthread_t thread;

	kit_block(db);
	handle = submitted(db, "INSERT INTO t VALUES(1)");
	thread = kit_thread(tell_and_wait, handle);
	await(waiting_thread != 0);
	await(kit_thread_sleeps(waiting_thread));
	kit_unblock();
	kit_join(thread);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(handle, several_threads_wait_on_one)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	for (int round = 0; round < 20; round++) {
		penstock_handle *handle;
		pthread_t threads[8];

		kit_block(db);
		handle = submitted(db, "INSERT INTO t VALUES(1)");
		for (int i = 0; i < 8; i++)
			threads[i] = kit_thread(wait_main, handle);
		if (round % 2)
			kit_sleep_usec(2000);
		kit_unblock();
		for (int i = 0; i < 8; i++)
			kit_join(threads[i]);
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

struct waiter {
	penstock *db;
	int number;
};

static void *submit_and_wait(void *arg)
{
	const struct waiter *waiter = arg;

	for (int i = 0; i < 400; i++) {
		penstock_handle *handle;

		expect(kit_insert(waiter->db, waiter->number, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(penstock_handle_result(handle)->last_insert_rowid > 0);
		penstock_handle_release(handle);
	}
	return NULL;
}

/* More waiters than processors, on two engines: everybody is woken. */
Test(handle, every_waiter_is_woken)
{
	penstock_config config = kit_config();
	penstock *dbs[2] = { kit_open_table(&config), kit_open_path(harness_path("other.db"), &config) };
	struct waiter waiters[24];
	pthread_t threads[24];

	expect(kit_execute(dbs[1], "CREATE TABLE t(a)"), PENSTOCK_OK);
	for (int i = 0; i < 24; i++) {
		waiters[i] = (struct waiter){ .db = dbs[i % 2], .number = i };
		threads[i] = kit_thread(submit_and_wait, &waiters[i]);
	}
	for (int i = 0; i < 24; i++)
		kit_join(threads[i]);
	for (int i = 0; i < 2; i++)
		expect(penstock_close(dbs[i], PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 12 * 400);
}

/* A waiter is counted as long as it waits: only a lone one looks before it sleeps. */
Test(handle, waiters_are_counted_while_they_wait)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.spin_usec = 1000;
	db = kit_open_table(&config);
	kit_block(db);
	for (int i = 0; i < 3; i++) {
		handle = submitted(db, "INSERT INTO t VALUES(1)");
		expect(penstock_handle_wait(handle, SHORT), PENSTOCK_TIMEOUT);
		check(ps_load_acquire_u32(&handle->bell->waiters) == 0);
		penstock_handle_release(handle);
	}
	kit_unblock();
	handle = submitted(db, "INSERT INTO t VALUES(1)");
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(ps_load_acquire_u32(&handle->bell->waiters) == 0);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The bell is a system call of the writer's. */
Test(handle, without_a_waiter_no_bell_is_rung)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	struct ps_bell *bell = db->batch.entries.bell;
	penstock_handle *handle;
	uint32_t rung;

	/* The table's may be rung when its outcome has long been seen. */
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	rung = ps_load_acquire_u32(&bell->rung);
	handle = submitted(db, "INSERT INTO t VALUES(1)");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(ps_load_acquire_u32(&bell->rung) == rung);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_OK);
	penstock_handle_release(handle);
}

/* The deadline is given to the kernel whole, in the form that this machine's call reads. */
Test(handle, sleep_that_nobody_ends_lasts_until_its_deadline)
{
	uint64_t deadline = ps_deadline(SHORT);
	uint32_t word = 0;

	ps_futex_wait(&word, 0, PS_FUTEX_ANY, deadline);
	check(ps_deadline_passed(deadline));
}

/* What looks before it sleeps gives up quickly where that does not pay, and begins again at the first success. */
Test(handle, looks_that_find_nothing_are_few)
{
	struct ps_spin spin = { 0 };
	unsigned looks = 0;

	for (int i = 0; i < 6400; i++) {
		if (ps_spin_due(&spin)) {
			looks++;
			ps_spin_learn(&spin, false);
		}
	}
	check(looks > 6400 / 64 && looks < 6400 / 64 + 8);
	while (!ps_spin_due(&spin))
		continue;
	ps_spin_learn(&spin, true);
	for (int i = 0; i < 100; i++) {
		check(ps_spin_due(&spin));
		ps_spin_learn(&spin, true);
	}
}

/* Waits for the last of many at once: what shares its bit may be woken for nothing, but it is not left asleep. */
Test(handle, waiters_of_one_batch_are_woken_together)
{
	enum { WAITERS = 40 };
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	for (int round = 0; round < 10; round++) {
		penstock_handle *handles[WAITERS];
		pthread_t threads[WAITERS];

		kit_block(db);
		for (int i = 0; i < WAITERS; i++) {
			for (int k = 0; k < 30; k++)
				expect(kit_insert(db, k, PENSTOCK_FOREVER, NULL), PENSTOCK_OK); /* so that tickets lie apart */
			expect(kit_insert(db, i, PENSTOCK_FOREVER, &handles[i]), PENSTOCK_OK);
			threads[i] = kit_thread(wait_main, handles[i]);
		}
		kit_sleep_usec(2000);
		kit_unblock();
		for (int i = 0; i < WAITERS; i++) {
			kit_join(threads[i]);
			penstock_handle_release(handles[i]);
		}
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void hold_up(int number)
{
	int saved = errno;

	(void)number;
	kit_sleep_usec(300);
	errno = saved;
}

/*
 * A thread whose sleep is interrupted by a handler does not hear a wake meanwhile; the kernel then begins the same sleep
 * again (SA_RESTART), and only the word it sleeps on can tell that it is too late.
 */
Test(handle, waiters_in_a_signal_handler_miss_nothing)
{
	enum { WAITERS = 8 };
	struct sigaction action = { .sa_handler = hold_up, .sa_flags = SA_RESTART };
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	check(sigaction(SIGUSR2, &action, NULL) == 0);
	for (int round = 0; round < 40; round++) {
		penstock_handle *handle;
		pthread_t threads[WAITERS];

		kit_block(db);
		expect(kit_insert(db, 1, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		for (int i = 0; i < WAITERS; i++)
			threads[i] = kit_thread(wait_main, handle);
		kit_sleep_usec(1000);
		for (int i = 0; i < WAITERS; i++)
			check(pthread_kill(threads[i], SIGUSR2) == 0);
		kit_unblock();
		for (int i = 0; i < WAITERS; i++)
			kit_join(threads[i]);
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- letting go -------------------------------------------------------------------------------------------------- */

static void *release_soon(void *arg)
{
	struct waiter *waiter = arg;
	uint64_t random = (uint64_t)waiter->number;

	for (int i = 0; i < 2000; i++) {
		penstock_handle *handle;

		expect(kit_insert(waiter->db, i, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		switch (random >> 60) {
		case 0:
		case 1:
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
			break;
		case 2:
			penstock_handle_wait(handle, 10);
			break;
		case 3:
			kit_sleep_usec((long)(random >> 40 & 63));
			break;
		default:
			break;
		}
		penstock_handle_release(handle);
	}
	return NULL;
}

/* Before, at and after completion; ASan and the leak check tell. */
Test(handle, release_at_any_moment)
{
	penstock_config config = kit_config();
	struct waiter waiters[4];
	pthread_t threads[4];
	penstock *db;

	config.ring_slots = 64;
	db = kit_open_table(&config);
	for (int i = 0; i < 4; i++) {
		waiters[i] = (struct waiter){ .db = db, .number = i };
		threads[i] = kit_thread(release_soon, &waiters[i]);
	}
	for (int i = 0; i < 4; i++)
		kit_join(threads[i]);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 8000);
}

/* A wait that timed out leaves its mark on the handle, which must not harm the next user of its memory. */
Test(handle, used_handles_start_afresh)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	for (int i = 0; i < 200; i++) {
		penstock_handle *handle;

		kit_block(db);
		handle = submitted(db, i % 2 ? "INSERT INTO t VALUES(1) RETURNING a" : "nonsense");
		expect(penstock_handle_wait(handle, 0), PENSTOCK_TIMEOUT);
		expect(penstock_handle_wait(handle, 50), PENSTOCK_TIMEOUT);
		check(penstock_handle_result(handle) == NULL);
		kit_unblock();
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), i % 2 ? PENSTOCK_OK : PENSTOCK_ERROR);
		check(penstock_handle_result(handle)->row_count == (size_t)(i % 2));
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *use_one_handle(void *arg)
{
	penstock_handle *handle = submitted(arg, "SELECT 1");

	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	return NULL;
}

/* Each thread keeps released handles for its next submits, until it ends. (A sanitizer's malloc counts for itself: 0.) */
Test(handle, threads_that_end_leave_no_handles_behind)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	size_t before;

	for (int i = 0; i < 20; i++)
		kit_join(kit_thread(use_one_handle, db));
	before = mallinfo2().uordblks;
	for (int i = 0; i < 500; i++)
		kit_join(kit_thread(use_one_handle, db));
	check(mallinfo2().uordblks < before + 100 * sizeof(penstock_handle), "%zu bytes more", mallinfo2().uordblks - before);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(handle, results_outlive_the_engine)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *rows, *error, *let_go;

	rows = submitted(db, "INSERT INTO t VALUES('kept') RETURNING a AS word");
	error = submitted(db, "SELECT * FROM missing");
	let_go = submitted(db, "INSERT INTO t VALUES(2)");
	penstock_handle_release(let_go);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(rows, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_str_eq(penstock_handle_result(rows)->column_names[0], "word");
	cr_assert_str_eq((const char *)penstock_result_cell(penstock_handle_result(rows), 0, 0)->as.data, "kept");
	expect(penstock_handle_wait(error, 0), PENSTOCK_ERROR);
	check(strstr(penstock_handle_result(error)->message, "missing") != NULL);
	penstock_handle_release(rows);
	penstock_handle_release(error);
}

static void *release_elsewhere(void *arg)
{
	penstock_handle_release(arg);
	return NULL;
}

Test(handle, another_thread_may_let_go)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	for (int i = 0; i < 100; i++) {
		penstock_handle *handle = submitted(db, "INSERT INTO t VALUES(1) RETURNING a");

		if (i % 2)
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		kit_join(kit_thread(release_elsewhere, handle));
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- execute ----------------------------------------------------------------------------------------------------- */

Test(handle, execute_returns_the_outcome)
{
	penstock_config config = kit_config();
	penstock *db = kit_open(&config);
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "INSERT INTO t VALUES(1)", .arg = &config
	};
	penstock_handle *handle;

	expect(kit_execute(db, "CREATE TABLE t(a UNIQUE)"), PENSTOCK_OK);
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	check(penstock_handle_result(handle)->arg == &config);
	penstock_handle_release(handle);
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_ERROR);
	cr_assert_str_eq(penstock_error_message(), penstock_handle_result(handle)->message);
	cr_assert_str_eq(penstock_error_message(), "UNIQUE constraint failed: t.a");
	penstock_handle_release(handle);
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_ERROR);
	expect_message("UNIQUE");
	/* accepted, and not done in time: the handle is the caller's */
	kit_block(db);
	submission.sql = "INSERT INTO t VALUES(2)";
	expect(penstock_execute(db, &submission, SHORT, &handle), PENSTOCK_TIMEOUT);
	check(handle != NULL && penstock_handle_result(handle) == NULL);
	submission.sql = "INSERT INTO t VALUES(3)";
	expect(penstock_execute(db, &submission, 0, NULL), PENSTOCK_TIMEOUT);
	kit_unblock();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 6);
}

/* The message of the last call that did not return OK is that call's. */
Test(handle, wait_for_an_error_leaves_its_message)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle = submitted(db, "SELECT * FROM missing");

	expect(penstock_unpause(db, 0), PENSTOCK_MISUSE);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	expect_message("missing");
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

Test(handle, rows_are_typed_and_named)
{
	static const char *const names[] = { "i", "f", "s", "b", "n", "long name" };
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;
	const penstock_result *result;
	const penstock_value *cell;

	result = result_of(db,
	                   "SELECT -9223372036854775808 AS i, 1.5 AS f, 'a' || char(0) || 'b' AS s, x'00ff' AS b, NULL AS n, "
	                   "'' AS \"long name\" UNION ALL SELECT 7, -2.0, 'x', x'', NULL, 'é'",
	                   &handle);
	expect(result->status, PENSTOCK_OK);
	cr_assert_eq(result->row_count, 2);
	cr_assert_eq(result->column_count, 6);
	for (size_t i = 0; i < 6; i++)
		cr_assert_str_eq(result->column_names[i], names[i]);
	cell = result->cells;
	check(cell[0].type == PENSTOCK_INTEGER && cell[0].as.integer == INT64_MIN);
	check(cell[1].type == PENSTOCK_FLOAT && cell[1].as.real == 1.5);
	check(cell[2].type == PENSTOCK_TEXT && cell[2].bytes == 3 && memcmp(cell[2].as.data, "a\0b", 4) == 0);
	check(cell[3].type == PENSTOCK_BLOB && cell[3].bytes == 2 && memcmp(cell[3].as.data, "\0\xff", 2) == 0);
	check(cell[4].type == PENSTOCK_NULL);
	check(cell[5].type == PENSTOCK_TEXT && cell[5].bytes == 0 && cell[5].as.data != NULL);
	cell = &result->cells[6];
	check(cell[0].as.integer == 7 && cell[1].as.real == -2.0 && cell[3].type == PENSTOCK_BLOB && cell[3].bytes == 0);
	check(penstock_result_cell(result, 1, 5)->bytes == 2);
	check(penstock_result_cell(result, 2, 0) == NULL && penstock_result_cell(result, 0, 6) == NULL);
	check(result->changes == 0 && result->last_insert_rowid == 0);
	penstock_handle_release(handle);

	result = result_of(db, "INSERT INTO t VALUES(10),(20) RETURNING rowid, a * 2 AS twice", &handle);
	check(result->status == PENSTOCK_OK && result->row_count == 2 && result->changes == 2 &&
	      result->last_insert_rowid == 2);
	check(penstock_result_cell(result, 1, 1)->as.integer == 40);
	cr_assert_str_eq(result->column_names[1], "twice");
	penstock_handle_release(handle);

	result = result_of(db, "PRAGMA table_info(t)", &handle);
	check(result->status == PENSTOCK_OK && result->row_count == 1);
	cr_assert_str_eq(result->column_names[1], "name");
	cr_assert_str_eq((const char *)penstock_result_cell(result, 0, 1)->as.data, "a");
	penstock_handle_release(handle);

	result = result_of(db, "SELECT a AS empty FROM t WHERE 0", &handle);
	check(result->status == PENSTOCK_OK && result->row_count == 0 && result->column_count == 1, "%d %zu %zu %s",
	      (int)result->status, result->row_count, result->column_count, result->message);
	cr_assert_str_eq(result->column_names[0], "empty");
	penstock_handle_release(handle);

	result = result_of(db, "UPDATE t SET a = a + 1", &handle);
	check(result->status == PENSTOCK_OK && result->changes == 2 && result->last_insert_rowid == 0 &&
	      result->column_count == 0);
	penstock_handle_release(handle);
	result = result_of(db, "CREATE TABLE u(a)", &handle);
	check(result->status == PENSTOCK_OK && result->changes == 0);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(handle, many_rows_arrive_whole)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;
	const penstock_result *result =
		result_of(db,
	                  "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999) "
	                  "SELECT i, printf('row %d', i) AS word FROM n",
	                  &handle);

	expect(result->status, PENSTOCK_OK);
	cr_assert_eq(result->row_count, 20000);
	for (size_t i = 0; i < 20000; i++) {
		char word[32];

		snprintf(word, sizeof word, "row %zu", i);
		check(penstock_result_cell(result, i, 0)->as.integer == (int64_t)i);
		check(strcmp(penstock_result_cell(result, i, 1)->as.data, word) == 0);
	}
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Alone and in a batch, RETURNING that is too long takes its rows back with it; SELECT simply fails. */
Test(handle, too_many_bytes_of_rows_leave_no_effect)
{
	penstock_config config = kit_config();
	penstock_handle *handles[6];
	penstock *db;

	config.result_bytes_max = 200;
	db = kit_open_table(&config);
	for (int batched = 0; batched < 2; batched++) {
		if (batched)
			kit_block(db);
		handles[0] = submitted(db, "INSERT INTO t VALUES(1)");
		handles[1] = submitted(db, "INSERT INTO t VALUES(zeroblob(300)) RETURNING a");
		handles[2] = submitted(db, "INSERT INTO t VALUES(2) RETURNING a");
		handles[3] = submitted(db, "SELECT zeroblob(300)");
		handles[4] = submitted(db, "UPDATE t SET a = zeroblob(300) RETURNING a");
		handles[5] = submitted(db, "INSERT INTO t VALUES(3)");
		if (batched)
			kit_unblock();
		for (int i = 0; i < 6; i++) {
			bool fails = i == 1 || i == 3 || i == 4;

			expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), fails ? PENSTOCK_ERROR : PENSTOCK_OK);
			if (fails) {
				const penstock_result *result = penstock_handle_result(handles[i]);

				check(strstr(result->message, "result_bytes_max") != NULL, "%s", result->message);
				check(result->code == SQLITE_TOOBIG && result->row_count == 0 && result->changes == 0);
			}
			penstock_handle_release(handles[i]);
		}
		cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 3 * (batched + 1));
		cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 6 * (batched + 1));
	}
	/* Nobody asked for the rows of this one. */
	expect(kit_submit(db, "INSERT INTO t VALUES(zeroblob(300)) RETURNING a", PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 7);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(handle, errors_carry_sqlites_codes_and_message)
{
	static const struct {
		const char *sql;
		int extended_code;
		const char *message;
	} cases[] = {
		{ "INSERT INTO t VALUES(1)", SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE constraint failed: t.a" },
		{ "INSERT INTO t VALUES(5, 6)", SQLITE_ERROR, "table t has 1 columns but 2 values were supplied" },
		{ "SELECT * FROM missing", SQLITE_ERROR, "no such table: missing" },
		{ "INSERT INTO t VALUES('x')", SQLITE_MISMATCH, "datatype mismatch" },
		{ "SELEC 1", SQLITE_ERROR, "near \"SELEC\": syntax error" },
		{ "SELECT ?", SQLITE_RANGE, "takes 1 values, not 0" },
		{ "BEGIN", SQLITE_AUTH, "refused" },
	};
	penstock_config config = kit_config();
	penstock *db = kit_open(&config);

	expect(kit_execute(db, "CREATE TABLE t(a INTEGER PRIMARY KEY)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	for (int batched = 0; batched < 2; batched++) {
		for (size_t i = 0; i < COUNT_OF(cases); i++) {
			penstock_handle *handle, *after;
			const penstock_result *result;

			if (batched)
				kit_block(db);
			handle = submitted(db, cases[i].sql);
			after = submitted(db, "SELECT 1");
			if (batched)
				kit_unblock();
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_ERROR);
			result = penstock_handle_result(handle);
			check(result->extended_code == cases[i].extended_code, "%s: %d", cases[i].sql, result->extended_code);
			check(strstr(result->message, cases[i].message) != NULL, "%s: %s", cases[i].sql, result->message);
			expect(penstock_handle_wait(after, PENSTOCK_FOREVER), PENSTOCK_OK);
			penstock_handle_release(handle);
			penstock_handle_release(after);
		}
	}
	cr_assert_str_eq(penstock_code_name(SQLITE_CONSTRAINT_PRIMARYKEY), "SQLITE_CONSTRAINT_PRIMARYKEY");
	cr_assert_null(penstock_code_name(99999));
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

struct heard {
	penstock_status status;
	int64_t cell;
	unsigned calls;
	char name[16];
};

static void hear(void *arg, const penstock_result *result)
{
	struct heard *heard = arg;

	check(result->arg == arg && result->message != NULL);
	heard->calls++;
	heard->status = result->status;
	if (result->row_count > 0) {
		heard->cell = result->cells[0].as.integer;
		snprintf(heard->name, sizeof heard->name, "%s", result->column_names[0]);
	}
}

Test(handle, callbacks_hear_results_in_ticket_order)
{
	penstock_config config = kit_config();
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .on_complete = hear };
	struct heard heard[100];
	penstock *db = kit_open_table(&config);

	memset(heard, 0, sizeof heard);
	kit_block(db);
	for (int i = 0; i < 100; i++) {
		char sql[64];

		snprintf(sql, sizeof sql, i % 10 == 7 ? "nonsense" : "INSERT INTO t VALUES(%d) RETURNING a AS n", i);
		submission.sql = sql;
		submission.arg = &heard[i];
		expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 100; i++) {
		check(heard[i].calls == 1);
		check(heard[i].status == (i % 10 == 7 ? PENSTOCK_ERROR : PENSTOCK_OK));
		check(i % 10 == 7 || (heard[i].cell == i && strcmp(heard[i].name, "n") == 0));
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(handle, statuses_have_names)
{
	cr_assert_str_eq(penstock_status_name(PENSTOCK_OK), "PENSTOCK_OK");
	cr_assert_str_eq(penstock_status_name(PENSTOCK_CANTOPEN), "PENSTOCK_CANTOPEN");
	cr_assert_str_eq(penstock_status_name(PENSTOCK_STATUS_LIMIT), "PENSTOCK_?");
	for (int i = 0; i < PENSTOCK_STATUS_LIMIT; i++)
		check(strlen(penstock_status_text(i)) > 3);
	cr_assert_str_eq(penstock_version(), PENSTOCK_VERSION);
	cr_assert_eq(penstock_version_number(), PENSTOCK_VERSION_NUMBER);
}
