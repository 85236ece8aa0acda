/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deadlines and cancelling: what has not begun comes to nothing, what has begun is not stopped, and each has one outcome.
 */
#include "tests/kit.h"

#include <stddef.h>
#include <sys/wait.h>

#include "core/clock.h"

TestSuite(cancel, .init = kit_begin, .fini = harness_end);

#define PAST INT64_C(1)

static struct gate step_gate = GATE_INIT; /* step(n) in SQL, which notes n */
static _Atomic int step_noted;

static void step_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	step_noted = sqlite3_value_int(values[0]);
	gate_pass(&step_gate);
	sqlite3_result_int(context, 1);
}

static int hook_with_step(sqlite3 *connection, void *arg)
{
	int code = kit_hook(connection, arg);

	if (code != SQLITE_OK)
		return code;
	return sqlite3_create_function(connection, "step", 1, SQLITE_UTF8, NULL, step_function, NULL, NULL);
}

/* What an insert of one number may ask for. */
struct wish {
	unsigned flags;
	int64_t deadline_usec;
	penstock_completion *on_complete;
	const penstock_statement *statement;
	const char *sql;
	void *arg;
};

static int submit(penstock *db, int64_t number, const struct wish *wish, penstock_handle **handle)
{
	penstock_value value = penstock_int64(number);
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

	submission.statement = wish->statement;
	if (wish->statement == NULL)
		submission.sql = wish->sql != NULL ? wish->sql : "INSERT INTO t(a) VALUES(?)";
	submission.values = &value;
	submission.value_count = 1;
	submission.flags = wish->flags;
	submission.deadline_usec = wish->deadline_usec;
	submission.on_complete = wish->on_complete;
	submission.arg = wish->arg;
	return penstock_submit(db, &submission, PENSTOCK_FOREVER, handle);
}

static penstock_handle *cancellable(penstock *db, int64_t number)
{
	struct wish wish = { .flags = PENSTOCK_CANCELLABLE };
	penstock_handle *handle;

	expect(submit(db, number, &wish, &handle), PENSTOCK_OK);
	return handle;
}

static penstock_handle *timed(penstock *db, int64_t number, int64_t deadline_usec)
{
	struct wish wish = { .deadline_usec = deadline_usec };
	penstock_handle *handle;

	expect(submit(db, number, &wish, &handle), PENSTOCK_OK);
	return handle;
}

static void check_message(const penstock_handle *handle, const char *part)
{
	const penstock_result *result = penstock_handle_result(handle);

	cr_assert(strstr(result->message, part) != NULL, "no \"%s\" in \"%s\"", part, result->message);
	cr_assert_eq(result->extended_code, SQLITE_OK);
	cr_assert_eq(result->changes, 0);
	cr_assert_eq(result->last_insert_rowid, 0);
}

static int64_t rows(const char *where)
{
	char sql[200];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE %s", where);
	return kit_ask(harness_path("test.db"), sql);
}

/* All outcomes are there. */
static void check_sum(const penstock *db)
{
	penstock_counters counters = kit_counters(db);

	cr_assert_eq(counters.queue_depth, 0);
	cr_assert_eq(counters.accepted, counters.committed + counters.failed + counters.unknown + counters.shutdown +
	                                        counters.expired + counters.cancelled);
	cr_assert_eq(penstock_queue_depth(db), 0);
}

/* An outsider that keeps a file's write lock. */
static sqlite3 *hold_lock_of(const char *file)
{
	sqlite3 *holder;

	check(sqlite3_open(harness_path(file), &holder) == SQLITE_OK);
	check(sqlite3_busy_timeout(holder, 60000) == SQLITE_OK);
	check(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	return holder;
}

static sqlite3 *hold_lock(void)
{
	return hold_lock_of("test.db");
}

static void let_go(sqlite3 *holder)
{
	check(sqlite3_exec(holder, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
	check(sqlite3_close(holder) == SQLITE_OK);
}

/* An engine with t(a) whose attempts at a lock do not end by themselves before a test would count as hung. */
static penstock *open_patient(void)
{
	penstock_config config = kit_config();

	config.busy_timeout_ms = 1000000;
	config.busy_limit_ms = 0;
	return kit_open_table(&config);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

Test(cancel, what_has_not_begun_has_no_effect)
{
	enum { COUNT = 9 };
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handles[COUNT];

	kit_block(db);
	for (int i = 0; i < COUNT; i++)
		handles[i] = cancellable(db, i);
	for (int i = 0; i < COUNT; i += 2) {
		expect(penstock_handle_cancel(handles[i]), PENSTOCK_OK);
		expect(penstock_handle_cancel(handles[i]), PENSTOCK_OK);
		cr_assert_null(penstock_handle_result(handles[i]));
	}
	kit_unblock();
	for (int i = 0; i < COUNT; i++) {
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), i % 2 == 0 ? PENSTOCK_CANCELLED : PENSTOCK_OK);
		if (i % 2 == 0) {
			expect_message("cancelled before it had begun");
			check_message(handles[i], "cancelled before it had begun");
		}
		/* Behind the outcome the answer stays what it was. */
		expect(penstock_handle_cancel(handles[i]), i % 2 == 0 ? PENSTOCK_OK : PENSTOCK_TOO_LATE);
	}
	check_sum(db);
	cr_assert_eq(kit_counters(db).cancelled, 5);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < COUNT; i++) {
		expect(penstock_handle_cancel(handles[i]), i % 2 == 0 ? PENSTOCK_OK : PENSTOCK_TOO_LATE);
		penstock_handle_release(handles[i]);
	}
	cr_assert_eq(rows("a % 2 = 0"), 0);
	cr_assert_eq(rows("a % 2 = 1"), COUNT / 2);
}

Test(cancel, what_runs_is_not_stopped)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	unsigned flags[] = { PENSTOCK_CANCELLABLE, PENSTOCK_CANCELLABLE | PENSTOCK_RUN_ALONE };

	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		struct wish wish = { .flags = flags[i], .sql = "INSERT INTO t SELECT ?1 WHERE gate()" };
		penstock_handle *handle;

		gate_set(&sql_gate, true);
		expect(submit(db, 1, &wish, &handle), PENSTOCK_OK);
		gate_await(&sql_gate);
		expect(penstock_handle_cancel(handle), PENSTOCK_TOO_LATE);
		kit_unblock();
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_handle_cancel(handle), PENSTOCK_TOO_LATE);
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), 2);
}

/*
 * An engine that has a batch run up to its last but one entry, which stands before step(), and has noted there how many rows the ones
 * before it have left; the last one will undo them all. Before it are `count` of this wish, by a registered statement or not.
 */
static penstock *stop_within(struct wish wish, bool registered, int count, penstock_handle **handle)
{
	penstock_config config = kit_config();
	struct wish second = { .sql = "INSERT INTO t SELECT ?1 WHERE step((SELECT count(*) FROM t))" };
	struct wish third = { .sql = "INSERT OR ROLLBACK INTO u VALUES(?)" };
	penstock_statement *statement;
	penstock *db;

	config.connect_hook = hook_with_step;
	db = kit_open_table(&config);
	expect(kit_execute(db, "CREATE TABLE u(a UNIQUE)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO u VALUES(7)"), PENSTOCK_OK);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
	if (registered)
		wish.statement = statement;
	gate_set(&step_gate, true);
	kit_block(db);
	for (int i = 0; i < count; i++)
		expect(submit(db, 1, &wish, handle), PENSTOCK_OK);
	expect(submit(db, 2, &second, NULL), PENSTOCK_OK);
	expect(submit(db, 7, &third, NULL), PENSTOCK_OK);
	kit_unblock();
	gate_await(&step_gate);
	return db;
}

Test(cancel, what_runs_again_has_begun)
{
	struct wish wish = { .flags = PENSTOCK_CANCELLABLE };
	penstock_handle *handle;
	penstock *db = stop_within(wish, false, 1, &handle);

	expect(penstock_handle_cancel(handle), PENSTOCK_TOO_LATE);
	gate_set(&step_gate, false);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_cancel(handle), PENSTOCK_TOO_LATE);
	penstock_handle_release(handle);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_gt(kit_counters(db).replayed_statements, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), 2);
}

/*
 * The deadline passes between the first run and the second, of ones that ran as one too. On a machine so slow that it passes before
 * the first, later and later ones.
 */
static void check_second_run(bool registered, int count)
{
	int64_t timeout_usec = SHORT;
	bool begun;

	do {
		struct wish wish = { .deadline_usec = penstock_deadline(timeout_usec) };
		penstock *db = stop_within(wish, registered, count, NULL);

		begun = step_noted == count;
		while (penstock_deadline(0) <= wish.deadline_usec)
			kit_sleep_usec(1000);
		gate_set(&step_gate, false);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_gt(kit_counters(db).replayed_statements, 0);
		if (begun)
			cr_assert_eq(kit_counters(db).expired, 0);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		if (begun)
			cr_assert_eq(rows("a = 1"), count);
		cr_assert_eq(rows("a = 2"), 1);
		kit_change(harness_path("test.db"), "DROP TABLE t; DROP TABLE u");
		timeout_usec *= 2;
	} while (!begun);
}

Test(cancel, a_deadline_counts_for_the_first_run)
{
	check_second_run(false, 1);
	check_second_run(true, 5);
}

/* From several threads at once, while the writer begins them: who hears OK has cancelled it, and nobody else. */
struct crew {
	penstock *db;
	_Atomic(penstock_handle *) shared;
	_Atomic unsigned taken, done;
	_Atomic bool ok;
	_Atomic bool over;
};

static void *cancel_shared(void *arg)
{
	struct crew *crew = arg;
	unsigned seen = 0;

	while (!crew->over) {
		int status;

		if (crew->taken == seen) {
			/* Or one that spins would have the processor to itself, under valgrind. */
			sched_yield();
			continue;
		}
		seen = crew->taken;
		status = penstock_handle_cancel(crew->shared);
		check(status == PENSTOCK_OK || status == PENSTOCK_TOO_LATE, "%s", penstock_status_name(status));
		if (status == PENSTOCK_OK)
			crew->ok = true;
		crew->done++;
	}
	return NULL;
}

Test(cancel, of_begin_and_cancel_one_wins)
{
	enum { ROUNDS = 1000, CANCELLERS = 2 };
	struct crew crew = { .shared = NULL };
	pthread_t threads[CANCELLERS];
	penstock_config config = kit_config();
	unsigned cancelled = 0;

	crew.db = kit_open_table(&config);
	for (int i = 0; i < CANCELLERS; i++)
		threads[i] = kit_thread(cancel_shared, &crew);
	for (int i = 0; i < ROUNDS; i++) {
		penstock_handle *handle = cancellable(crew.db, i);
		int status;

		crew.ok = false;
		crew.done = 0;
		crew.shared = handle;
		crew.taken++;
		status = penstock_handle_wait(handle, PENSTOCK_FOREVER);
		await(crew.done == CANCELLERS);
		check(status == PENSTOCK_OK || status == PENSTOCK_CANCELLED);
		check((status == PENSTOCK_CANCELLED) == crew.ok, "%s", penstock_status_name(status));
		cancelled += status == PENSTOCK_CANCELLED;
		penstock_handle_release(handle);
	}
	crew.over = true;
	for (int i = 0; i < CANCELLERS; i++)
		kit_join(threads[i]);
	check_sum(crew.db);
	cr_assert_eq(kit_counters(crew.db).cancelled, cancelled);
	expect(penstock_close(crew.db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), ROUNDS - cancelled);
}

static void never_called(void *arg, const penstock_result *result)
{
	(void)arg;
	(void)result;
	check(false, "called");
}

static int do_nothing(sqlite3 *connection, void *arg, char **message)
{
	(void)connection;
	(void)arg;
	(void)message;
	return SQLITE_OK;
}

/* Until a statement has begun; then RESTRICT is looked at in its commit. */
Test(cancel, what_comes_to_nothing_does_not_end_defer_foreign_keys)
{
	penstock_config config = kit_config();
	penstock_submission late = PENSTOCK_SUBMISSION_INIT, removal = PENSTOCK_SUBMISSION_INIT;
	penstock_handle *handle;
	penstock *db;

	config.pragmas = &(penstock_pragma)PENSTOCK_PRAGMA("foreign_keys", "1");
	config.pragma_count = 1;
	db = kit_open_table(&config);
	expect(kit_execute(db, "CREATE TABLE p(a PRIMARY KEY)"), PENSTOCK_OK);
	expect(kit_execute(db, "CREATE TABLE c(a REFERENCES p ON DELETE RESTRICT)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO p VALUES(1)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO c VALUES(1)"), PENSTOCK_OK);
	late.deadline_usec = 1;
	removal.sql = "DELETE FROM p";
	for (int called = 0; called <= 1; called++) {
		expect(kit_execute(db, "PRAGMA defer_foreign_keys=ON"), PENSTOCK_OK);
		if (called) {
			expect(penstock_call(db, do_nothing, NULL, &late, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
			penstock_handle_release(handle);
		} else {
			struct wish wish = { .deadline_usec = 1 };

			expect(submit(db, 1, &wish, &handle), PENSTOCK_OK);
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
			penstock_handle_release(handle);
		}
		expect(penstock_execute(db, &removal, PENSTOCK_FOREVER, &handle), PENSTOCK_ERROR);
		cr_assert_eq(penstock_handle_result(handle)->extended_code, SQLITE_CONSTRAINT_FOREIGNKEY);
		penstock_handle_release(handle);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(cancel, needs_its_flag_and_a_handle)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	struct wish with_flag = { .flags = PENSTOCK_CANCELLABLE }, without = { 0 };
	struct wish with_callback = { .flags = PENSTOCK_CANCELLABLE, .on_complete = never_called };
	penstock_handle *handle;

	expect(submit(db, 1, &with_flag, NULL), PENSTOCK_MISUSE);
	expect_message("needs a handle");
	expect(submit(db, 1, &with_callback, NULL), PENSTOCK_MISUSE);
	expect_message("needs a handle");
	expect(penstock_handle_cancel(NULL), PENSTOCK_MISUSE);
	expect(submit(db, 1, &without, &handle), PENSTOCK_OK);
	expect(penstock_handle_cancel(handle), PENSTOCK_MISUSE);
	expect_message("PENSTOCK_CANCELLABLE");
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_cancel(handle), PENSTOCK_MISUSE);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), 1);
}

Test(cancel, belongs_to_the_parent_of_a_fork)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_handle *handle;
	int status;
	pid_t child;

	kit_block(db);
	handle = cancellable(db, 1);
	child = fork();
	if (child == 0)
		_exit(penstock_handle_cancel(handle) == PENSTOCK_FORKED ? 0 : 1);
	check(waitpid(child, &status, 0) == child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	kit_unblock();
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static penstock_handle *known;

static void cancel_known(void *arg, const penstock_result *result)
{
	(void)arg;
	check(result->status == PENSTOCK_OK);
	expect(penstock_handle_cancel(known), PENSTOCK_OK);
}

Test(cancel, works_in_a_callback)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	/* Alone, so that what it cancels is in the batch behind it. */
	struct wish wish = { .on_complete = cancel_known, .flags = PENSTOCK_RUN_ALONE };

	kit_block(db);
	expect(submit(db, 1, &wish, NULL), PENSTOCK_OK);
	known = cancellable(db, 2);
	kit_unblock();
	expect(penstock_handle_wait(known, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	penstock_handle_release(known);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("a = 1"), 1);
	cr_assert_eq(rows("1"), 1);
}

/* The writer has its hold on the handle until then. */
Test(cancel, is_forgotten_by_who_lets_go)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	kit_block(db);
	for (int i = 0; i < 4; i++) {
		penstock_handle *handle = cancellable(db, i);

		if (i % 2 == 0)
			expect(penstock_handle_cancel(handle), PENSTOCK_OK);
		penstock_handle_release(handle);
	}
	kit_unblock();
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("a % 2 = 1"), 2);
	cr_assert_eq(rows("1"), 2);
}

/* ---- deadlines --------------------------------------------------------------------------------------------------- */

Test(cancel, a_deadline_is_made_from_a_timeout)
{
	int64_t before = (int64_t)(ps_clock_nsec() / 1000), now = penstock_deadline(0);

	cr_assert(now >= before && now <= (int64_t)(ps_clock_nsec() / 1000));
	cr_assert(penstock_deadline(5000000) >= before + 5000000);
	cr_assert_eq(penstock_deadline(PENSTOCK_FOREVER), 0);
	cr_assert_eq(penstock_deadline(PENSTOCK_DEFAULT_TIMEOUT), 0);
	cr_assert_eq(penstock_deadline(INT64_MAX), INT64_MAX);
}

Test(cancel, what_is_too_late_has_no_effect)
{
	/* The clock began before the machine did: all of these have passed. */
	int64_t deadlines[] = { PAST, -1, INT64_MIN, penstock_deadline(SHORT), penstock_deadline(0) };
	int64_t later[] = { 0, INT64_MAX, INT64_MAX / 1000, penstock_deadline(INT64_C(1000000000000)) };
	penstock_handle *late[COUNT_OF(deadlines)], *early[COUNT_OF(later)];
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	kit_block(db);
	for (size_t i = 0; i < COUNT_OF(deadlines); i++) {
		late[i] = timed(db, (int64_t)i, deadlines[i]);
		if (i < COUNT_OF(later))
			early[i] = timed(db, 10 + (int64_t)i, later[i]);
	}
	while (penstock_deadline(0) <= deadlines[3])
		kit_sleep_usec(1000);
	kit_unblock();
	for (size_t i = 0; i < COUNT_OF(deadlines); i++) {
		expect(penstock_handle_wait(late[i], PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
		expect_message("its deadline passed");
		check_message(late[i], "its deadline passed before it had begun");
		penstock_handle_release(late[i]);
	}
	for (size_t i = 0; i < COUNT_OF(later); i++) {
		expect(penstock_handle_wait(early[i], PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(early[i]);
	}
	check_sum(db);
	cr_assert_eq(kit_counters(db).expired, COUNT_OF(deadlines));
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("a >= 10"), COUNT_OF(later));
	cr_assert_eq(rows("1"), COUNT_OF(later));
}

/* Around the size of a slot, where the deadline takes the payload to the heap. */
Test(cancel, a_deadline_leaves_the_values_as_they_are)
{
	enum { MOST = 120 };
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_statement *statement;
	char text[MOST];

	memset(text, 'x', sizeof text);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
	for (size_t bytes = 0; bytes < MOST; bytes++) {
		penstock_value value = penstock_text_bytes(text, bytes);
		penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

		submission.statement = statement;
		submission.values = &value;
		submission.value_count = 1;
		submission.deadline_usec = INT64_MAX;
		expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		submission.statement = NULL;
		submission.sql = "INSERT INTO t VALUES(?)";
		expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
		submission.deadline_usec = PAST;
		expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_EXPIRED);
		expect_message("its deadline passed");
	}
	cr_assert_eq(kit_counters(db).queue_bytes, 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), 2 * MOST);
	for (int bytes = 0; bytes < MOST; bytes++) {
		char where[100];

		snprintf(where, sizeof where, "a = printf('%%.*c', %d, 'x') AND length(a) = %d", bytes, bytes);
		cr_assert_eq(rows(bytes == 0 ? "a = ''" : where), 2, "%d", bytes);
	}
}

static _Atomic unsigned errors_heard, completions_heard;

static void hear_error(void *arg, const penstock_result *result)
{
	(void)arg;
	check(result->status == PENSTOCK_EXPIRED, "%s", penstock_status_name((int)result->status));
	check(result->arg == &errors_heard);
	errors_heard++;
}

static void hear_completion(void *arg, const penstock_result *result)
{
	check(result->status == PENSTOCK_EXPIRED && result->arg == arg && arg == &completions_heard);
	completions_heard++;
}

Test(cancel, every_listener_hears_that_it_is_too_late)
{
	penstock_config config = kit_config();
	penstock *db;
	struct wish forgotten = { .deadline_usec = PAST, .arg = &errors_heard };
	struct wish called = { .deadline_usec = PAST, .on_complete = hear_completion, .arg = &completions_heard };

	config.on_error = hear_error;
	db = kit_open_table(&config);
	for (int together = 0; together < 2; together++) {
		errors_heard = completions_heard = 0;
		if (together)
			kit_block(db);
		for (int i = 0; i < 3; i++) {
			expect(submit(db, 1, &forgotten, NULL), PENSTOCK_OK);
			expect(submit(db, 1, &called, NULL), PENSTOCK_OK);
		}
		kit_unblock();
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(errors_heard, 3);
		cr_assert_eq(completions_heard, 3);
	}
	check_sum(db);
	cr_assert_eq(kit_counters(db).expired, 12);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), 0);
}

/* Registered statements that nobody waits for run as one; those that are too late fall out. */
Test(cancel, what_is_too_late_falls_out_of_a_fused_run)
{
	enum { COUNT = 200 };
	penstock_config config = kit_config();
	struct wish wish = { .arg = &errors_heard };
	penstock_statement *statement;
	unsigned late = 0;
	penstock *db;

	config.on_error = hear_error;
	db = kit_open_table(&config);
	expect(penstock_statement_register(db, "INSERT INTO t VALUES(?)", -1, &statement), PENSTOCK_OK);
	wish.statement = statement;
	errors_heard = 0;
	kit_block(db);
	for (int i = 0; i < COUNT; i++) {
		/* Runs of all lengths from 0, of which some have a deadline that does not pass. */
		wish.deadline_usec = i % 23 == 0 || i % 31 == 0 ? PAST : i % 3 == 0 ? INT64_MAX : 0;
		late += wish.deadline_usec == PAST;
		expect(submit(db, i, &wish, NULL), PENSTOCK_OK);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(errors_heard, late);
	cr_assert_eq(kit_counters(db).expired, late);
	cr_assert_gt(kit_counters(db).fused, COUNT / 2);
	check_sum(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("a % 23 = 0 OR a % 31 = 0"), 0);
	cr_assert_eq(rows("1"), COUNT - late);
}

/* ---- behind another process's lock ------------------------------------------------------------------------------- */

/* What the one in question may be, among plain ones. */
static const struct wish kinds[] = {
	{ 0 },
	{ .flags = PENSTOCK_RUN_ALONE },
	{ .sql = "INSERT INTO t VALUES(?) RETURNING a" },
};

/* One of three is cancelled, or its deadline passes: it hears so while the lock is still held, and the others run afterwards. */
static void check_behind_lock(const struct wish *kind, int others_before, int others_behind, bool cancels)
{
	penstock *db = open_patient();
	penstock_handle *others[4], *handle;
	struct wish wish = *kind;
	sqlite3 *holder;
	int count = 0;

	holder = hold_lock();
	if (cancels)
		wish.flags |= PENSTOCK_CANCELLABLE;
	else
		wish.deadline_usec = penstock_deadline(SHORT);
	while (count < others_before)
		expect(kit_insert(db, 100, PENSTOCK_FOREVER, &others[count++]), PENSTOCK_OK);
	expect(submit(db, 1, &wish, &handle), PENSTOCK_OK);
	while (count < others_before + others_behind)
		expect(kit_insert(db, 100, PENSTOCK_FOREVER, &others[count++]), PENSTOCK_OK);
	if (cancels)
		expect(penstock_handle_cancel(handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), cancels ? PENSTOCK_CANCELLED : PENSTOCK_EXPIRED);
	if (cancels)
		expect(penstock_handle_cancel(handle), PENSTOCK_OK);
	cr_assert_eq(kit_counters(db).queue_depth, (uint64_t)count);
	cr_assert_eq(penstock_queue_depth(db), (uint64_t)count);
	for (int i = 0; i < count; i++)
		cr_assert_null(penstock_handle_result(others[i]));
	if (count == 0)
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	let_go(holder);
	for (int i = 0; i < count; i++) {
		expect(penstock_handle_wait(others[i], PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(others[i]);
	}
	penstock_handle_release(handle);
	check_sum(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("a = 1"), 0);
	cr_assert_eq(rows("1"), count);
	kit_change(harness_path("test.db"), "DROP TABLE t");
}

Test(cancel, is_seen_behind_a_lock)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		for (int before = 0; before < 3; before++) {
			for (int behind = 0; behind < 3; behind++)
				check_behind_lock(&kinds[i], before, behind, true);
		}
	}
}

Test(cancel, a_deadline_is_seen_behind_a_lock)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		for (int before = 0; before < 3; before++) {
			for (int behind = 0; behind < 3; behind++)
				check_behind_lock(&kinds[i], before, behind, false);
		}
	}
}

/* Nobody is left who needs the lock, so nobody waits for it. */
Test(cancel, a_stop_needs_no_lock_for_what_came_to_nothing)
{
	enum { COUNT = 20 };
	penstock *db = open_patient();
	sqlite3 *holder = hold_lock();
	penstock_handle *handles[COUNT];
	uint64_t batches = kit_counters(db).batches;

	for (int i = 0; i < COUNT; i++)
		handles[i] = i % 2 == 0 ? cancellable(db, i) : timed(db, i, penstock_deadline(SHORT));
	for (int i = 0; i < COUNT; i += 2)
		expect(penstock_handle_cancel(handles[i]), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < COUNT; i++) {
		expect(penstock_handle_wait(handles[i], 0), i % 2 == 0 ? PENSTOCK_CANCELLED : PENSTOCK_EXPIRED);
		penstock_handle_release(handles[i]);
	}
	check_sum(db);
	cr_assert_eq(kit_counters(db).batches, batches);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	let_go(holder);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), 0);
}

/* Each is cancelled when the writer has looked at all of them before. */
Test(cancel, is_seen_when_it_comes_later)
{
	enum { COUNT = 12 };
	penstock *db = open_patient();
	sqlite3 *holder = hold_lock();
	penstock_handle *handles[COUNT];

	for (int i = 0; i < COUNT; i++)
		handles[i] = cancellable(db, i);
	for (int i = 0; i < COUNT; i += i % 3 + 1) {
		expect(penstock_handle_cancel(handles[i]), PENSTOCK_OK);
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	}
	let_go(holder);
	for (int i = 0; i < COUNT; i++) {
		penstock_handle_wait(handles[i], PENSTOCK_FOREVER);
		penstock_handle_release(handles[i]);
	}
	check_sum(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The wait goes on over those that leave: it is no longer for those behind them than busy_limit_ms. */
Test(cancel, who_leaves_does_not_prolong_the_wait_of_others)
{
	enum { COUNT = 60 };
	penstock_config config = kit_config();
	penstock_handle *handles[COUNT], *waiting;
	sqlite3 *holder;
	penstock *db;
	int left = 0;

	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 300;
	db = kit_open_table(&config);
	holder = hold_lock();
	for (int i = 0; i < COUNT; i++)
		handles[i] = cancellable(db, i);
	expect(kit_insert(db, 1, PENSTOCK_FOREVER, &waiting), PENSTOCK_OK);
	/* The first in the queue leaves, ten times in a busy_limit_ms. */
	for (; left < COUNT && penstock_handle_cancel(handles[left]) == PENSTOCK_OK; left++) {
		expect(penstock_handle_wait(handles[left], PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
		kit_sleep_usec(30000);
	}
	cr_assert_lt(left, COUNT);
	expect(penstock_handle_wait(waiting, PENSTOCK_FOREVER), PENSTOCK_ERROR);
	cr_assert_eq(penstock_handle_result(waiting)->code, SQLITE_BUSY);
	let_go(holder);
	for (int i = 0; i < COUNT; i++)
		penstock_handle_release(handles[i]);
	penstock_handle_release(waiting);
	check_sum(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* What was told while the lock was waited for is no statement of the batch that did not get it. */
Test(cancel, what_was_told_is_not_run_when_the_wait_is_over)
{
	penstock_config config = kit_config();
	penstock_handle *handles[5];
	uint64_t batches;
	sqlite3 *holder;
	penstock *db;

	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 200;
	db = kit_open_table(&config);
	batches = kit_counters(db).batches;
	kit_block(db);
	batches++;
	for (int i = 0; i < 5; i++)
		handles[i] = i == 0 ? NULL : cancellable(db, i);
	expect(kit_insert(db, 0, PENSTOCK_FOREVER, &handles[0]), PENSTOCK_OK);
	holder = hold_lock();
	kit_unblock();
	expect(penstock_handle_cancel(handles[2]), PENSTOCK_OK);
	for (int i = 0; i < 5; i++) {
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), i == 2 ? PENSTOCK_CANCELLED : PENSTOCK_ERROR);
		penstock_handle_release(handles[i]);
	}
	cr_assert_eq(kit_counters(db).batches, batches);
	check_sum(db);
	let_go(holder);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), 0);
}

/* A cancel that was answered with OK stays one, whatever becomes of the others. */
Test(cancel, giving_up_leaves_what_was_cancelled_as_it_is)
{
	for (int closing = 0; closing < 2; closing++) {
		penstock *db = open_patient();
		sqlite3 *holder = hold_lock();
		penstock_handle *handles[6];

		for (int i = 0; i < 6; i++)
			handles[i] = i % 3 == 2 ? timed(db, i, PAST) : cancellable(db, i);
		expect(penstock_handle_cancel(handles[0]), PENSTOCK_OK);
		expect(penstock_handle_cancel(handles[4]), PENSTOCK_OK);
		expect(closing ? penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP)
		               : penstock_stop_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP),
		       PENSTOCK_OK);
		for (int i = 0; i < 6; i++) {
			expect(penstock_handle_wait(handles[i], 0), i == 0 || i == 4 ? PENSTOCK_CANCELLED
			                                            : i % 3 == 2     ? PENSTOCK_EXPIRED
			                                                             : PENSTOCK_SHUTDOWN);
			if (i % 3 != 2)
				expect(penstock_handle_cancel(handles[i]), i == 0 || i == 4 ? PENSTOCK_OK : PENSTOCK_TOO_LATE);
			penstock_handle_release(handles[i]);
		}
		let_go(holder);
		if (!closing) {
			check_sum(db);
			expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		}
		cr_assert_eq(rows("1"), 0);
		kit_change(harness_path("test.db"), "DROP TABLE t");
	}
}

/* ---- behind the lock of an attached database ---------------------------------------------------------------------- */

/* With other.db, which has a table u(a), attached as aux. */
static penstock *open_attached(const char *journal_mode)
{
	penstock *db = open_patient();
	char sql[300];

	snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s; DROP TABLE IF EXISTS u; CREATE TABLE u(a)", journal_mode);
	kit_change(harness_path("other.db"), sql);
	snprintf(sql, sizeof sql, "ATTACH '%s' AS aux", harness_path("other.db"));
	expect(kit_execute(db, sql), PENSTOCK_OK);
	return db;
}

static void close_attached(penstock *db)
{
	check_sum(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	kit_change(harness_path("test.db"), "DROP TABLE t");
}

/* Each writes to the attached database, by itself or besides. */
static const struct wish attached_kinds[] = {
	{ .sql = "INSERT INTO aux.u VALUES(?)" },
	{ .sql = "INSERT INTO aux.u VALUES(?)", .flags = PENSTOCK_RUN_ALONE },
	{ .sql = "INSERT INTO aux.u VALUES(?) RETURNING a" },
	{ .sql = "INSERT INTO aux.u SELECT ? WHERE NOT EXISTS (SELECT 1 FROM t WHERE a = 7)" },
	{ .sql = "INSERT INTO tr VALUES(?)" },
	{ .sql = "INSERT INTO tr VALUES(?) RETURNING a" },
};

#define TEMP_TRIGGER                                                                          \
	"CREATE TEMP TRIGGER both AFTER INSERT ON main.tr BEGIN INSERT INTO u VALUES(new.a);" \
	" END"

/* Its own lock is held, or main's, which it needs too if it is one with a trigger. */
static void check_behind_attached_lock(const struct wish *kind, const char *journal_mode, const char *locked, bool cancels)
{
	penstock *db = open_attached(journal_mode);
	penstock_handle *handle, *behind;
	struct wish wish = *kind, plain = *kind;
	sqlite3 *holder;

	expect(kit_execute(db, "CREATE TABLE IF NOT EXISTS tr(a)"), PENSTOCK_OK);
	expect(kit_execute(db, TEMP_TRIGGER), PENSTOCK_OK);
	holder = hold_lock_of(locked);
	if (cancels)
		wish.flags |= PENSTOCK_CANCELLABLE;
	else
		wish.deadline_usec = penstock_deadline(SHORT);
	expect(submit(db, 1, &wish, &handle), PENSTOCK_OK);
	expect(submit(db, 2, &plain, &behind), PENSTOCK_OK);
	if (cancels)
		expect(penstock_handle_cancel(handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), cancels ? PENSTOCK_CANCELLED : PENSTOCK_EXPIRED);
	cr_assert_null(penstock_handle_result(behind));
	let_go(holder);
	expect(penstock_handle_wait(behind, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	penstock_handle_release(behind);
	cr_assert_eq(kit_ask(harness_path("other.db"), "SELECT sum(a) FROM u"), 2);
	expect(kit_execute(db, "DROP TABLE tr"), PENSTOCK_OK);
	close_attached(db);
}

Test(cancel, is_seen_behind_the_lock_of_an_attached_database)
{
	for (size_t i = 0; i < COUNT_OF(attached_kinds); i++) {
		for (int wal = 0; wal < 2; wal++) {
			for (int cancels = 0; cancels < 2; cancels++) {
				check_behind_attached_lock(&attached_kinds[i], wal ? "WAL" : "DELETE", "other.db", cancels);
				if (strstr(attached_kinds[i].sql, "INTO tr") != NULL)
					check_behind_attached_lock(&attached_kinds[i], wal ? "WAL" : "DELETE", "test.db",
					                           cancels);
			}
		}
	}
}

/* What was cancelled meanwhile has done nothing when the lock comes; and neither has it before: no function was called. */
Test(cancel, nothing_is_done_before_the_lock_of_an_attached_database_is_had)
{
	penstock_config config = kit_config();
	struct wish wish = { .sql = "INSERT INTO aux.u SELECT step(?)", .flags = PENSTOCK_CANCELLABLE };
	penstock_handle *handles[2];
	sqlite3 *holder;
	penstock *db;

	config.busy_timeout_ms = 1000000;
	config.busy_limit_ms = 0;
	config.connect_hook = hook_with_step;
	db = kit_open_table(&config);
	kit_attach_other(db);
	step_noted = 0;
	gate_set(&step_gate, true);
	holder = hold_lock_of("other.db");
	for (int i = 0; i < 2; i++)
		expect(submit(db, 1 + i, &wish, &handles[i]), PENSTOCK_OK);
	expect(penstock_handle_cancel(handles[0]), PENSTOCK_OK);
	expect(penstock_handle_wait(handles[0], PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	cr_assert_eq(step_noted, 0);
	let_go(holder);
	/* It has the lock, and has begun. */
	gate_await(&step_gate);
	cr_assert_eq(step_noted, 2);
	expect(penstock_handle_cancel(handles[1]), PENSTOCK_TOO_LATE);
	gate_set(&step_gate, false);
	expect(penstock_handle_wait(handles[1], PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 2; i++)
		penstock_handle_release(handles[i]);
	check_sum(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("other.db"), "SELECT sum(a) FROM u"), 1);
}

static int64_t changes_told(penstock *db)
{
	struct wish wish = { .sql = "SELECT changes() + 0 * ?" };
	penstock_handle *handle;
	int64_t told;

	expect(submit(db, 1, &wish, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	told = penstock_result_cell(penstock_handle_result(handle), 0, 0)->as.integer;
	penstock_handle_release(handle);
	return told;
}

/* What SQLite counts of the attempts, nobody sees. */
Test(cancel, attempts_at_the_lock_of_an_attached_database_change_no_changes)
{
	static const char two[] = "INSERT INTO t VALUES(1), (2)";
	penstock_config config = kit_config();
	struct wish wish = { .sql = "INSERT INTO aux.u SELECT 10 * changes() + ?" };
	penstock *db;

	config.busy_timeout_ms = 0;
	config.busy_limit_ms = 0;
	db = kit_open_table(&config);
	kit_attach_other(db);
	for (int way = 0; way < 4; way++) {
		sqlite3 *holder = way == 2 ? NULL : hold_lock_of("other.db");
		uint64_t retries = kit_counters(db).busy_retries;
		penstock_handle *handle;

		expect(kit_execute(db, two), PENSTOCK_OK);
		wish.flags = way % 2 == 1 ? PENSTOCK_CANCELLABLE : 0;
		wish.deadline_usec = way == 2 ? PAST : 0;
		expect(submit(db, 1, &wish, &handle), PENSTOCK_OK);
		if (way != 2)
			await(kit_counters(db).busy_retries > retries + 2);
		if (way == 3)
			expect(penstock_handle_cancel(handle), PENSTOCK_OK);
		if (way == 3)
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
		if (holder != NULL)
			let_go(holder);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), way < 2    ? PENSTOCK_OK
		                                                       : way == 2 ? PENSTOCK_EXPIRED
		                                                                  : PENSTOCK_CANCELLED);
		penstock_handle_release(handle);
		cr_assert_eq(changes_told(db), way < 2 ? 1 : 2);
		/* It has seen the two rows of the statement before it. */
		cr_assert_eq(kit_ask(harness_path("other.db"), "SELECT count(*) FROM u WHERE a <> 21"), 0);
	}
	check_sum(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("other.db"), "SELECT count(*) FROM u"), 2);
}

/* What fails before it has its locks, or writes nothing, has one outcome too. */
Test(cancel, what_needs_no_lock_of_an_attached_database_has_its_outcome)
{
	static const struct {
		const char *sql;
		int status;
	} given[] = {
		{ "INSERT INTO aux.u VALUES(?, ?)", PENSTOCK_ERROR }, { "CREATE TABLE IF NOT EXISTS aux.u(a)", PENSTOCK_ERROR },
		{ "INSERT INTO aux.none VALUES(?)", PENSTOCK_ERROR }, { "SELECT a + ? FROM aux.u", PENSTOCK_OK },
		{ "DELETE FROM aux.u WHERE a = ?", PENSTOCK_OK },     { "INSERT INTO aux.u VALUES(max(?, 1))", PENSTOCK_OK },
	};
	penstock *db = open_attached("WAL");

	for (size_t i = 0; i < COUNT_OF(given); i++) {
		struct wish wish = { .sql = given[i].sql, .flags = PENSTOCK_CANCELLABLE };
		penstock_handle *handle;

		for (int timed = 0; timed < 3; timed++) {
			wish.deadline_usec = timed == 0 ? 0 : timed == 1 ? INT64_MAX : PAST;
			expect(submit(db, 5, &wish, &handle), PENSTOCK_OK);
			expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), timed == 2 ? PENSTOCK_EXPIRED : given[i].status);
			expect(penstock_handle_cancel(handle), PENSTOCK_TOO_LATE);
			penstock_handle_release(handle);
		}
	}
	close_attached(db);
	cr_assert_eq(kit_ask(harness_path("other.db"), "SELECT count(*) FROM u"), 2);
}

/* A group takes every database's lock. */
Test(cancel, groups_are_cancelled_and_expire_behind_the_lock_of_an_attached_database)
{
	for (int cancels = 0; cancels < 2; cancels++) {
		penstock *db = open_attached("WAL");
		penstock_submission members[2] = { PENSTOCK_SUBMISSION_INIT, PENSTOCK_SUBMISSION_INIT };
		penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
		sqlite3 *holder = hold_lock_of("other.db");
		penstock_handle *handle;

		members[0].sql = "INSERT INTO t VALUES(1)";
		members[1].sql = "INSERT INTO aux.u VALUES(2)";
		whole.flags = cancels ? PENSTOCK_CANCELLABLE : 0;
		whole.deadline_usec = cancels ? 0 : penstock_deadline(SHORT);
		expect(penstock_submit_group(db, members, 2, &whole, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
		if (cancels)
			expect(penstock_handle_cancel(handle), PENSTOCK_OK);
		expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), cancels ? PENSTOCK_CANCELLED : PENSTOCK_EXPIRED);
		penstock_handle_release(handle);
		let_go(holder);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(rows("1"), 0);
		close_attached(db);
		cr_assert_eq(kit_ask(harness_path("other.db"), "SELECT count(*) FROM u"), 0);
	}
}

/* ---- held -------------------------------------------------------------------------------------------------------- */

/* What a pause or a stop holds has its outcome, and its slot is free, at its turn. */
Test(cancel, what_is_held_comes_to_nothing_at_its_turn)
{
	for (int how = 0; how < 4; how++) {
		penstock_config config = kit_config();
		penstock_handle *handles[4];
		sqlite3 *holder = NULL;
		penstock *db;

		config.when_paused = config.when_stopped = PENSTOCK_HOLD;
		config.busy_limit_ms = 0;
		config.ring_slots = 4;
		db = kit_open_table(&config);
		expect(how < 2 ? penstock_pause(db, PENSTOCK_FOREVER) : penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		handles[0] = cancellable(db, 0);
		handles[1] = timed(db, 1, PAST);
		handles[2] = cancellable(db, 2);
		handles[3] = timed(db, 3, PAST); /* takes the ring's last place */
		expect(penstock_handle_cancel(handles[0]), PENSTOCK_OK);
		for (int i = 0; i < 4; i++)
			expect(penstock_handle_wait(handles[i], 0), PENSTOCK_TIMEOUT);
		cr_assert_eq(penstock_queue_depth(db), 4);
		switch (how) {
		case 0:
			expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			break;
		case 1:
			/* Also while the lock keeps it from running on. */
			holder = hold_lock();
			expect(penstock_unpause(db, 0), PENSTOCK_TIMEOUT);
			break;
		case 2:
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			break;
		default:
			expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		}
		expect(penstock_handle_wait(handles[0], PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
		expect(penstock_handle_wait(handles[1], PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
		expect(penstock_handle_wait(handles[3], PENSTOCK_FOREVER), PENSTOCK_EXPIRED);
		if (holder != NULL)
			let_go(holder);
		expect(penstock_handle_wait(handles[2], PENSTOCK_FOREVER), how == 3 ? PENSTOCK_SHUTDOWN : PENSTOCK_OK);
		expect(penstock_handle_cancel(handles[2]), PENSTOCK_TOO_LATE);
		for (int i = 0; i < 4; i++)
			penstock_handle_release(handles[i]);
		if (how != 3) {
			check_sum(db);
			expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		}
		cr_assert_eq(rows("a = 2"), how != 3);
		cr_assert_eq(rows("1"), how != 3);
		kit_change(harness_path("test.db"), "DROP TABLE t");
	}
}

/* Nobody has the handle by which it would be cancelled. */
Test(cancel, execute_without_a_handle_is_not_cancellable)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;
	penstock_handle *handle;

	submission.sql = "INSERT INTO t VALUES(1)";
	submission.flags = PENSTOCK_CANCELLABLE;
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_MISUSE);
	expect_message("PENSTOCK_CANCELLABLE needs a handle");
	cr_assert_eq(kit_counters(db).refused[PENSTOCK_MISUSE], 1);
	cr_assert_eq(rows("1"), 0);
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	penstock_handle_release(handle);
	check_sum(db);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- programs of before ------------------------------------------------------------------------------------------ */

Test(cancel, a_program_that_knows_no_deadlines_is_as_before)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_counters all, before;
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

	submission.sql = "INSERT INTO t VALUES(1)";
	submission.deadline_usec = PAST;
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_EXPIRED);
	/* What is behind its struct is not its own. */
	submission.struct_size = offsetof(penstock_submission, completions);
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	all = kit_counters(db);
	memset(&before, 0, sizeof before);
	before.struct_size = offsetof(penstock_counters, expired);
	expect(penstock_counters_read(db, &before), PENSTOCK_OK);
	cr_assert_eq(all.expired, 1);
	cr_assert_eq(before.expired, 0);
	cr_assert_eq(before.queue_depth, 0);
	cr_assert_eq(all.queue_depth, 0);
	cr_assert_eq(before.accepted, all.accepted);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows("1"), 1);
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

/* A group begins, or comes to nothing, as a whole; also while the lock is waited for. */
Test(cancel, groups_are_cancelled_and_expire_as_a_whole)
{
	for (int locked = 0; locked < 2; locked++) {
		penstock *db = open_patient();
		sqlite3 *holder = NULL;
		penstock_submission members[2] = { PENSTOCK_SUBMISSION_INIT, PENSTOCK_SUBMISSION_INIT };
		penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
		penstock_handle *handles[6];

		members[0].sql = "INSERT INTO t VALUES(1)";
		members[1].sql = "INSERT INTO t VALUES(2)";
		if (locked)
			holder = hold_lock();
		else
			kit_block(db);
		for (int i = 0; i < 6; i++) {
			whole.flags = i % 3 != 1 ? PENSTOCK_CANCELLABLE : 0;
			whole.deadline_usec = i % 3 == 1 ? PAST : 0;
			expect(penstock_submit_group(db, members, 2, &whole, PENSTOCK_FOREVER, &handles[i]), PENSTOCK_OK);
		}
		for (int i = 0; i < 6; i += 3)
			expect(penstock_handle_cancel(handles[i]), PENSTOCK_OK);
		if (!locked)
			kit_unblock();
		for (int i = 0; i < 6; i++) {
			if (i % 3 == 2)
				continue;
			expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER),
			       i % 3 == 0 ? PENSTOCK_CANCELLED : PENSTOCK_EXPIRED);
			check_message(handles[i], "before it had begun");
		}
		if (locked) {
			cr_assert_eq(kit_counters(db).queue_depth, 2);
			let_go(holder);
		}
		for (int i = 2; i < 6; i += 3) {
			expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(penstock_handle_cancel(handles[i]), PENSTOCK_TOO_LATE);
		}
		for (int i = 0; i < 6; i++)
			penstock_handle_release(handles[i]);
		check_sum(db);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(rows("1"), 4);
		kit_change(harness_path("test.db"), "DROP TABLE t");
	}
}

Test(cancel, what_comes_to_nothing_under_query_only_leaves_nothing_for_the_next)
{
	static const char *const texts[] = { "CREATE TABLE t(a,b,c,PRIMARY KEY(a,b)) WITHOUT ROWID",
		                             "CREATE TABLE pv(a INTEGER PRIMARY KEY,x)", "ATTACH ':memory:' AS other",
		                             "INSERT INTO pv(x) VALUES(22)", "PRAGMA query_only=1" };
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT, ask = PENSTOCK_SUBMISSION_INIT;
	penstock_config config = kit_config();
	penstock_handle *cancelled, *question;
	penstock_statement *statement;
	penstock *db;

	harness_make_folder();
	config.autostart = 0;
	config.batch_usec = 0;
	db = kit_open(&config);
	expect(penstock_statement_register(db, "PRAGMA foreign_keys", -1, &statement), PENSTOCK_OK);
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		submission.sql = texts[i];
		expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	cancelled = cancellable(db, 1);
	expect(penstock_handle_cancel(cancelled), PENSTOCK_OK);
	ask.statement = statement;
	expect(penstock_submit(db, &ask, PENSTOCK_FOREVER, &question), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(cancelled, PENSTOCK_FOREVER), PENSTOCK_CANCELLED);
	expect(penstock_handle_wait(question, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(cancelled);
	penstock_handle_release(question);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}
