/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Completion queues: what arrives, in which order, when the descriptor is readable, who lets go of what, and who goes first.
 */
#include "tests/kit.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "core/atomic.h"
#include "core/outcome.h"
#include "queue/completions.h"

TestSuite(completions, .init = kit_begin, .fini = harness_end);

static penstock_completions *queue_of(penstock *db, size_t most)
{
	penstock_completions *queue = NULL;

	expect(penstock_completions_open(db, most, &queue), PENSTOCK_OK);
	check(queue != NULL && penstock_completions_descriptor(queue) >= 0);
	return queue;
}

static bool is_readable(int descriptor)
{
	struct pollfd look = { .fd = descriptor, .events = POLLIN };

	return poll(&look, 1, 0) == 1 && (look.revents & POLLIN) != 0;
}

static bool is_ready(const penstock_completions *queue)
{
	return is_readable(penstock_completions_descriptor(queue));
}

/* Until it is; the watchdog ends it otherwise. */
static void await_ready(const penstock_completions *queue)
{
	struct pollfd look = { .fd = penstock_completions_descriptor(queue), .events = POLLIN };

	while (poll(&look, 1, -1) != 1)
		continue;
}

static int submit_ack(penstock *db, penstock_completions *queue, int64_t number, penstock_ack ack, int64_t timeout_usec,
                      penstock_handle **handle)
{
	penstock_value value = penstock_int64(number);
	penstock_submission insert = PENSTOCK_SUBMISSION_INIT;

	insert.sql = "INSERT INTO t(a) VALUES(?)";
	insert.values = &value;
	insert.value_count = 1;
	insert.ack = ack;
	insert.arg = (void *)(uintptr_t)number;
	insert.completions = queue;
	return penstock_submit(db, &insert, timeout_usec, handle);
}

static int submit(penstock *db, penstock_completions *queue, int64_t number)
{
	return submit_ack(db, queue, number, PENSTOCK_ACK_DEFAULT, PENSTOCK_FOREVER, NULL);
}

/* Takes one, and gives its number; 0: there is none. */
static uintptr_t take_one(penstock_completions *queue, int *status)
{
	const penstock_result *result;
	penstock_handle *handle;
	uintptr_t number;
	size_t count;

	expect(penstock_completions_take(queue, &handle, 1, &count), PENSTOCK_OK);
	if (count == 0)
		return 0;
	result = penstock_handle_result(handle);
	check(result != NULL && result->ticket == penstock_handle_ticket(handle));
	number = (uintptr_t)result->arg;
	if (status != NULL)
		*status = result->status;
	check(penstock_handle_wait(handle, 0) == (int)result->status);
	penstock_handle_release(handle);
	return number;
}

static uintptr_t await_one(penstock_completions *queue, int *status)
{
	uintptr_t number;

	while ((number = take_one(queue, status)) == 0)
		await_ready(queue);
	return number;
}

static void take_all_ok(penstock_completions *queue, unsigned count)
{
	int status;

	while (count-- > 0) {
		await_one(queue, &status);
		check(status == PENSTOCK_OK);
	}
}

/* ---- what arrives ------------------------------------------------------------------------------------------------- */

Test(completions, each_arrives_once_with_its_outcome)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 100);
	penstock_submission bad = PENSTOCK_SUBMISSION_INIT;
	int status;

	check(!is_ready(queue));
	check(take_one(queue, NULL) == 0);
	expect(submit(db, queue, 1), PENSTOCK_OK);
	check(await_one(queue, &status) == 1 && status == PENSTOCK_OK);
	bad.sql = "INSERT INTO nowhere VALUES(1)";
	bad.completions = queue;
	bad.arg = (void *)2;
	expect(penstock_submit(db, &bad, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	check(await_one(queue, &status) == 2 && status == PENSTOCK_ERROR);
	check(take_one(queue, NULL) == 0 && !is_ready(queue));
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 1);
}

Test(completions, rows_arrive_with_the_handle)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1);
	penstock_submission select = PENSTOCK_SUBMISSION_INIT;
	const penstock_result *result;
	penstock_handle *handle;
	size_t count;

	select.sql = "SELECT 'seven', 7";
	select.completions = queue;
	expect(penstock_submit(db, &select, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	await_ready(queue);
	expect(penstock_completions_take(queue, &handle, 1, &count), PENSTOCK_OK);
	check(count == 1);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* They live as long as the handle. */
	result = penstock_handle_result(handle);
	cr_assert_eq(result->row_count, 1);
	cr_assert_str_eq((const char *)penstock_result_cell(result, 0, 0)->as.data, "seven");
	penstock_handle_release(handle);
}

Test(completions, the_order_is_that_of_the_tickets)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1000);
	uint64_t last = 0;

	for (int round = 0; round < 3; round++) {
		kit_block(db);
		for (int i = 1; i <= 300; i++)
			expect(submit(db, queue, i), PENSTOCK_OK);
		kit_unblock();
		for (uintptr_t i = 1; i <= 300;) {
			penstock_handle *handles[7];
			size_t count;

			await_ready(queue);
			expect(penstock_completions_take(queue, handles, 7, &count), PENSTOCK_OK);
			for (size_t j = 0; j < count; j++, i++) {
				check((uintptr_t)penstock_handle_result(handles[j])->arg == i);
				check(penstock_handle_ticket(handles[j]) > last);
				last = penstock_handle_ticket(handles[j]);
				penstock_handle_release(handles[j]);
			}
		}
	}
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Of one batch those that did not ask for durable come first. */
Test(completions, the_order_is_kept_within_one_level_of_acknowledgement)
{
	penstock_config config = kit_config();
	penstock_completions *queue;
	penstock *db;
	uintptr_t seen[20];

	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	db = kit_open_table(&config);
	queue = queue_of(db, 100);
	kit_block(db);
	for (int i = 1; i <= 20; i++)
		expect(submit_ack(db, queue, i, i % 2 != 0 ? PENSTOCK_ACK_DURABLE : PENSTOCK_ACK_COMMITTED, PENSTOCK_FOREVER,
		                  NULL),
		       PENSTOCK_OK);
	kit_unblock();
	for (int i = 0; i < 20; i++)
		seen[i] = await_one(queue, NULL);
	for (uintptr_t i = 0; i < 10; i++)
		check(seen[i] == 2 * i + 2 && seen[10 + i] == 2 * i + 1);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void submit_in_callback(void *arg, const penstock_result *result)
{
	penstock_completions *queue = result->arg;
	penstock *db = *(penstock **)arg;
	penstock_handle *handle;
	size_t count;

	(void)db;
	expect(penstock_completions_take(queue, &handle, 1, &count), PENSTOCK_OK);
	check(count == 1);
	penstock_handle_release(handle);
	expect(submit(db, queue, 2), PENSTOCK_OK);
	expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
}

/* on_error, of a failing statement that nobody listens to. */
Test(completions, a_callback_may_use_one)
{
	penstock_config config = kit_config();
	penstock_completions *queue;
	penstock *db;
	penstock_submission bad = PENSTOCK_SUBMISSION_INIT;

	config.on_error = submit_in_callback;
	config.on_error_arg = &db;
	db = kit_open_table(&config);
	queue = queue_of(db, 1);
	expect(submit(db, queue, 1), PENSTOCK_OK);
	await_ready(queue);
	bad.sql = "INSERT INTO nowhere VALUES(1)";
	bad.arg = queue;
	expect(penstock_submit(db, &bad, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(await_one(queue, NULL) == 2);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- the descriptor ----------------------------------------------------------------------------------------------- */

Test(completions, it_stays_readable_while_anything_remains)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 10);
	penstock_handle *handle;
	size_t count;

	for (int i = 1; i <= 3; i++)
		expect(submit(db, queue, i), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 3; i++) {
		await_ready(queue);
		/* No room at all takes nothing, and leaves it so. */
		expect(penstock_completions_take(queue, NULL, 0, &count), PENSTOCK_OK);
		check(count == 0 && is_ready(queue));
		expect(penstock_completions_take(queue, &handle, 1, &count), PENSTOCK_OK);
		check(count == 1);
		penstock_handle_release(handle);
	}
	check(!is_ready(queue));
	/* And is once more for what comes behind. */
	expect(submit(db, queue, 4), PENSTOCK_OK);
	check(await_one(queue, NULL) == 4);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* How often it was raised: what the eventfd has counted, which then is as before. */
static uint64_t raised(const penstock_completions *queue)
{
	uint64_t count = 0;

	if (read(penstock_completions_descriptor(queue), &count, sizeof count) == (ssize_t)sizeof count)
		check(write(penstock_completions_descriptor(queue), &count, sizeof count) == (ssize_t)sizeof count);
	return count;
}

Test(completions, one_write_for_all_until_it_is_taken)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1000);

	for (int round = 0; round < 5; round++) {
		for (int batch = 0; batch < 4; batch++) {
			kit_block(db);
			for (int i = 1; i <= 50; i++)
				expect(submit(db, queue, i), PENSTOCK_OK);
			kit_unblock();
			expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			check(raised(queue) == 1, "%llu writes", (unsigned long long)raised(queue));
		}
		/* What is taken one by one is no reason to write more than once for what remains. */
		take_all_ok(queue, 199);
		check(raised(queue) == 1);
		take_all_ok(queue, 1);
		check(raised(queue) == 0);
	}
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* It is the program's to wait on: neither inherited by what it starts, nor is it to block who takes. */
Test(completions, the_descriptor_is_not_inherited_and_does_not_block)
{
	penstock_config config = kit_config();
	int before = kit_open_files("anon_inode:[eventfd]");
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1);
	int descriptor = penstock_completions_descriptor(queue);

	check((fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(queue->event.raiser, F_GETFD) & FD_CLOEXEC) != 0);
	check((fcntl(descriptor, F_GETFL) & O_NONBLOCK) != 0);
	check(kit_open_files("anon_inode:[eventfd]") == before + 2);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	check(kit_open_files("anon_inode:[eventfd]") == before);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* As a program does that closes all descriptors above 2, to become a daemon. */
Test(completions, a_write_that_fails_loses_nothing)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 10);
	int kept = fcntl(queue->event.raiser, F_DUPFD_CLOEXEC, 0), other = open("/dev/null", O_RDONLY | O_CLOEXEC);

	check(kept >= 0 && other >= 0);
	check(dup2(other, queue->event.raiser) == queue->event.raiser); /* a write fails there */
	expect(submit(db, queue, 1), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(!is_ready(queue));
	check(dup2(kept, queue->event.raiser) == queue->event.raiser);
	expect(submit(db, queue, 2), PENSTOCK_OK);
	await_ready(queue);
	check(take_one(queue, NULL) == 1 && take_one(queue, NULL) == 2);
	/* Who writes to it, up to the brim, does not hold up the writer. */
	check(write(penstock_completions_descriptor(queue), &(uint64_t){ UINT64_MAX - 1 }, 8) == 8);
	expect(submit(db, queue, 3), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(take_one(queue, NULL) == 3);
	check(!is_ready(queue));
	close(kept);
	close(other);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- places -------------------------------------------------------------------------------------------------------- */

Test(completions, most_bounds_what_is_not_taken)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 3), *other = queue_of(db, 1);
	penstock_handle *handle;

	for (int round = 0; round < 3; round++) {
		for (int i = 1; i <= 3; i++)
			expect(submit(db, queue, i), PENSTOCK_OK);
		/* At once: who waited here might be who is to take. */
		expect(submit_ack(db, queue, 4, PENSTOCK_ACK_DEFAULT, PENSTOCK_FOREVER, &handle), PENSTOCK_FULL);
		check(handle == NULL);
		expect_message("3 places");
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(submit(db, queue, 4), PENSTOCK_FULL);
		/* Another queue and other listeners have nothing to do with it. */
		expect(submit(db, other, 5), PENSTOCK_OK);
		expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
		check(await_one(queue, NULL) == 1);
		expect(submit(db, queue, 4), PENSTOCK_OK);
		expect(submit(db, queue, 5), PENSTOCK_FULL);
		check(await_one(queue, NULL) == 2 && await_one(queue, NULL) == 3 && await_one(queue, NULL) == 4);
		check(await_one(other, NULL) == 5);
	}
	check(kit_counters(db).refused[PENSTOCK_FULL] == 9);
	check(kit_counters(db).full_events == 0);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_completions_close(other), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static int submit_whatever(penstock *db, penstock_completions *queue, const penstock_statement *statement,
                           const penstock_value *value, penstock_ack ack)
{
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

	submission.sql = statement == NULL ? "SELECT ?" : NULL;
	submission.statement = statement;
	submission.values = value;
	submission.value_count = value != NULL;
	submission.completions = queue;
	submission.ack = ack;
	return penstock_submit(db, &submission, 0, NULL);
}

/* Whatever it is refused for, also after it had its place. */
Test(completions, a_refused_one_gives_its_place_back)
{
	penstock_config config = kit_config();
	penstock *other = kit_open_path(harness_path("other.db"), &config), *db;
	penstock_value text = penstock_text_bytes("", PS_LENGTH_MAX + 1), none = { .type = (penstock_type)77 };
	penstock_statement *strange;
	penstock_completions *queue;

	config.ring_slots = 2;
	db = kit_open_table(&config);
	queue = queue_of(db, 1);
	expect(penstock_statement_register(other, "SELECT 1", -1, &strange), PENSTOCK_OK);
	for (int round = 0; round < 2; round++) {
		expect(submit_whatever(db, queue, NULL, &text, PENSTOCK_ACK_DEFAULT), PENSTOCK_TOOBIG);
		expect(submit_whatever(db, queue, NULL, &none, PENSTOCK_ACK_DEFAULT), PENSTOCK_MISUSE);
		expect(submit_whatever(db, queue, strange, NULL, PENSTOCK_ACK_DEFAULT), PENSTOCK_MISUSE);
		expect(submit_whatever(db, queue, NULL, NULL, PENSTOCK_ACK_DURABLE), PENSTOCK_MISUSE); /* synchronous is off */
		expect(submit(other, queue, 1), PENSTOCK_MISUSE);
		expect_message("another engine");
		kit_block(db);
		expect(kit_submit(db, "SELECT 1", 0, NULL), PENSTOCK_OK);
		expect(submit_ack(db, queue, 1, PENSTOCK_ACK_DEFAULT, 0, NULL), PENSTOCK_FULL);
		expect(submit_ack(db, queue, 1, PENSTOCK_ACK_DEFAULT, 1000, NULL), PENSTOCK_FULL);
		kit_unblock();
		expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(submit(db, queue, 1), PENSTOCK_PAUSED);
		expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(submit(db, queue, 1), PENSTOCK_STOPPED);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(!is_ready(queue) && take_one(queue, NULL) == 0);
		/* It is the only one. */
		expect(submit(db, queue, 1), PENSTOCK_OK);
		expect(submit(db, queue, 2), PENSTOCK_FULL);
		check(await_one(queue, NULL) == 1);
	}
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(other, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- misuse --------------------------------------------------------------------------------------------------------- */

static void never(void *arg, const penstock_result *result)
{
	(void)arg;
	(void)result;
	check(false);
}

Test(completions, misuse_says_what_to_do)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 2), *none = queue;
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;
	penstock_handle *handle;
	size_t count = 77;

	expect(penstock_completions_open(db, 0, &none), PENSTOCK_MISUSE);
	check(none == NULL);
	expect(penstock_completions_open(db, PS_COMPLETIONS_MOST + 1, &none), PENSTOCK_MISUSE);
	expect_message("1073741824");
	expect(penstock_completions_open(db, 1, NULL), PENSTOCK_MISUSE);
	expect(penstock_completions_open(NULL, 1, &none), PENSTOCK_MISUSE);
	expect(penstock_completions_take(NULL, &handle, 1, &count), PENSTOCK_MISUSE);
	check(count == 0);
	expect(penstock_completions_take(queue, NULL, 1, &count), PENSTOCK_MISUSE);
	expect(penstock_completions_take(queue, &handle, 1, NULL), PENSTOCK_MISUSE);
	expect(penstock_completions_notify_room(db, NULL), PENSTOCK_MISUSE);
	expect(penstock_completions_notify_room(NULL, queue), PENSTOCK_MISUSE);
	check(penstock_completions_descriptor(NULL) == -1);
	expect(penstock_completions_close(NULL), PENSTOCK_OK);
	expect(penstock_completions_abandon(NULL), PENSTOCK_OK);

	submission.sql = "SELECT 1";
	submission.completions = queue;
	expect(penstock_execute(db, &submission, PENSTOCK_FOREVER, &handle), PENSTOCK_MISUSE);
	expect_message("penstock_submit");
	check(handle == NULL);
	submission.on_complete = never;
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_MISUSE);
	expect_message("not both");
	submission.on_complete = NULL;
	submission.ack = PENSTOCK_ACK_NONE;
	expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_MISUSE);
	expect_message("nobody listens");
	check(kit_counters(db).refused[PENSTOCK_MISUSE] == 3);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Also where it lies where the one before was. */
Test(completions, a_queue_is_of_one_engine)
{
	penstock_config config = kit_config();
	penstock_completions *queue;
	penstock *db = kit_open_table(&config);

	queue = queue_of(db, 2);
	for (int i = 0; i < 5; i++) {
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		db = kit_open(&config);
		expect(submit(db, queue, 1), PENSTOCK_MISUSE);
		expect_message("another engine");
		expect(penstock_completions_notify_room(db, queue), PENSTOCK_MISUSE);
		expect_message("another engine");
	}
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A program that was built before there were queues. */
Test(completions, a_submission_may_be_older)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	struct {
		unsigned char bytes[offsetof(penstock_submission, completions)];
		uint64_t behind;
	} old = { .behind = UINT64_MAX };
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

	submission.sql = "INSERT INTO t VALUES(1)";
	submission.struct_size = sizeof old.bytes;
	memcpy(old.bytes, &submission, sizeof old.bytes);
	expect(penstock_execute(db, (const penstock_submission *)(const void *)&old, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- deadlines, cancelling, groups ----------------------------------------------------------------------------------- */

static int submit_cancellable(penstock *db, penstock_completions *queue, uintptr_t number, penstock_handle **handle)
{
	penstock_submission insert = PENSTOCK_SUBMISSION_INIT;

	insert.sql = "INSERT INTO t VALUES(1)";
	insert.flags = PENSTOCK_CANCELLABLE;
	insert.arg = (void *)number;
	insert.completions = queue;
	return penstock_submit(db, &insert, PENSTOCK_FOREVER, handle);
}

/* What was cancelled arrives, once; with its outcome it is too late, taken or not. */
Test(completions, cancelling_before_and_after_it_arrives)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 2);
	penstock_handle *cancelled, *done;
	int status;

	kit_block(db);
	expect(submit_cancellable(db, queue, 1, &cancelled), PENSTOCK_OK);
	expect(submit_cancellable(db, queue, 2, &done), PENSTOCK_OK);
	expect(penstock_handle_cancel(cancelled), PENSTOCK_OK);
	kit_unblock();
	check(penstock_flush(db, PENSTOCK_FOREVER) == PENSTOCK_OK);
	expect(penstock_handle_cancel(done), PENSTOCK_TOO_LATE);
	check(await_one(queue, &status) == 1 && status == PENSTOCK_CANCELLED);
	check(await_one(queue, &status) == 2 && status == PENSTOCK_OK);
	expect(penstock_handle_cancel(done), PENSTOCK_TOO_LATE);
	check(take_one(queue, NULL) == 0);
	penstock_handle_release(cancelled);
	penstock_handle_release(done);
	/* Nobody could cancel it; and it gives its place back. */
	for (int i = 0; i < 3; i++)
		expect(submit_cancellable(db, queue, 3, NULL), PENSTOCK_MISUSE);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(completions, what_is_expired_arrives)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1);
	penstock_submission insert = PENSTOCK_SUBMISSION_INIT;
	int status;

	insert.sql = "INSERT INTO t VALUES(1)";
	insert.deadline_usec = 1;
	insert.arg = (void *)1;
	insert.completions = queue;
	expect(penstock_submit(db, &insert, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	check(await_one(queue, &status) == 1 && status == PENSTOCK_EXPIRED);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A group is one submission: it takes one place, and arrives once. */
/* Behind another process's lock what is too late does not wait for those before it, which keep their order. */
Test(completions, what_expires_behind_a_lock_arrives_before_what_waits_for_it)
{
	penstock_config config = kit_config();
	penstock_completions *queue;
	penstock_submission insert = PENSTOCK_SUBMISSION_INIT;
	sqlite3 *holder;
	penstock *db;
	int status;

	config.busy_timeout_ms = 1000000;
	config.busy_limit_ms = 0;
	db = kit_open_table(&config);
	queue = queue_of(db, 5);
	check(sqlite3_open(harness_path("test.db"), &holder) == SQLITE_OK);
	check(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	insert.sql = "INSERT INTO t VALUES(1)";
	insert.completions = queue;
	for (uintptr_t i = 1; i <= 5; i++) {
		insert.deadline_usec = i == 3 ? 1 : 0;
		insert.arg = (void *)i;
		expect(penstock_submit(db, &insert, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	}
	check(await_one(queue, &status) == 3 && status == PENSTOCK_EXPIRED);
	check(sqlite3_exec(holder, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK && sqlite3_close(holder) == SQLITE_OK);
	for (uintptr_t i = 1; i <= 5; i++)
		check(i == 3 || (await_one(queue, &status) == i && status == PENSTOCK_OK));
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(completions, a_group_arrives_once)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1);
	penstock_submission members[3] = { PENSTOCK_SUBMISSION_INIT, PENSTOCK_SUBMISSION_INIT, PENSTOCK_SUBMISSION_INIT };
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
	penstock_handle *handle;
	size_t count;
	int status;

	for (int i = 0; i < 3; i++)
		members[i].sql = "INSERT INTO t VALUES(1)";
	whole.arg = (void *)1;
	whole.completions = queue;
	expect(penstock_submit_group(db, members, 3, &whole, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	expect(penstock_submit_group(db, members, 3, &whole, PENSTOCK_FOREVER, NULL), PENSTOCK_FULL);
	await_ready(queue);
	expect(penstock_completions_take(queue, &handle, 1, &count), PENSTOCK_OK);
	check(count == 1 && penstock_handle_result(handle)->member_count == 3);
	check(penstock_result_member(penstock_handle_result(handle), 2)->changes == 1);
	penstock_handle_release(handle);
	/* A refused one gives its place back, and a member has no queue of its own. */
	members[1].completions = queue;
	expect(penstock_submit_group(db, members, 3, &whole, PENSTOCK_FOREVER, NULL), PENSTOCK_MISUSE);
	members[1].completions = NULL;
	members[1].sql = "INSERT INTO nowhere VALUES(1)";
	expect(penstock_submit_group(db, members, 3, &whole, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	check(await_one(queue, &status) == 1 && status == PENSTOCK_ERROR);
	check(penstock_handle_result(handle)->failed_member == 1);
	penstock_handle_release(handle);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 3);
}

/* ---- who lets go of what --------------------------------------------------------------------------------------------- */

/* The handle that submit gives, and the one that arrives, are a claim each: in every order. */
Test(completions, a_handle_has_two_claims)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 2);
	penstock_handle *given, *taken;
	size_t count;

	for (int order = 0; order < 4; order++) {
		kit_block(db);
		expect(submit_ack(db, queue, order + 1, PENSTOCK_ACK_DEFAULT, PENSTOCK_FOREVER, &given), PENSTOCK_OK);
		check(given != NULL && penstock_handle_result(given) == NULL);
		if (order == 0) /* before the outcome */
			penstock_handle_release(given);
		kit_unblock();
		if (order != 0)
			expect(penstock_handle_wait(given, PENSTOCK_FOREVER), PENSTOCK_OK);
		if (order == 1) /* before it is taken */
			penstock_handle_release(given);
		await_ready(queue);
		expect(penstock_completions_take(queue, &taken, 1, &count), PENSTOCK_OK);
		check(count == 1 && (order < 2 || taken == given));
		check((uintptr_t)penstock_handle_result(taken)->arg == (uintptr_t)order + 1);
		if (order == 2)
			penstock_handle_release(given);
		penstock_handle_release(taken);
		if (order == 3) {
			check(penstock_handle_result(given)->status == PENSTOCK_OK);
			penstock_handle_release(given);
		}
	}
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(completions, closing_the_engine_loses_none)
{
	penstock_config config = kit_config();
	penstock_completions *queue;
	penstock *db;
	int status;

	config.when_stopped = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	queue = queue_of(db, 10);
	expect(submit(db, queue, 1), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(submit(db, queue, 2), PENSTOCK_OK);
	expect(submit(db, queue, 3), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* It is gone. */
	check(is_ready(queue));
	expect(penstock_completions_close(queue), PENSTOCK_MISUSE);
	expect_message("3 submissions");
	check(take_one(queue, &status) == 1 && status == PENSTOCK_OK);
	check(take_one(queue, &status) == 2 && status == PENSTOCK_SHUTDOWN);
	expect(penstock_completions_close(queue), PENSTOCK_MISUSE);
	expect_message("1 submission");
	check(take_one(queue, &status) == 3 && status == PENSTOCK_SHUTDOWN);
	check(!is_ready(queue));
	expect(penstock_completions_close(queue), PENSTOCK_OK);
}

/* What a close with a flag gives up arrives as well. */
Test(completions, what_is_given_up_arrives)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 100);
	unsigned ok = 0, shut_down = 0;
	int status;

	kit_block(db);
	for (int i = 1; i <= 100; i++)
		expect(submit(db, queue, i), PENSTOCK_OK);
	expect(penstock_stop_with(db, SHORT, PENSTOCK_GIVE_UP), PENSTOCK_TIMEOUT);
	kit_unblock();
	expect(penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
	for (int i = 1; i <= 100; i++) {
		check(take_one(queue, &status) == (uintptr_t)i);
		ok += status == PENSTOCK_OK;
		shut_down += status == PENSTOCK_SHUTDOWN;
	}
	check(ok + shut_down == 100);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	cr_assert_eq((unsigned)kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), ok);
}

Test(completions, close_with_work_outstanding_is_refused)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 10);

	kit_block(db);
	expect(submit(db, queue, 1), PENSTOCK_OK);
	expect(submit(db, queue, 2), PENSTOCK_OK);
	expect(penstock_completions_close(queue), PENSTOCK_MISUSE);
	expect_message("2 submissions");
	expect_message("penstock_completions_abandon");
	kit_unblock();
	/* It is as it was. */
	check(await_one(queue, NULL) == 1);
	expect(penstock_completions_close(queue), PENSTOCK_MISUSE);
	check(await_one(queue, NULL) == 2);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Taken by halves, arrived, and to come; with and without a claim of the submitter's. */
Test(completions, abandon_releases_what_comes)
{
	penstock_config config = kit_config();
	int before = kit_open_files("anon_inode:[eventfd]");
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 10);
	penstock_handle *kept[2];

	for (int i = 1; i <= 3; i++)
		expect(submit(db, queue, i), PENSTOCK_OK);
	expect(submit_ack(db, queue, 4, PENSTOCK_ACK_DEFAULT, PENSTOCK_FOREVER, &kept[0]), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(await_one(queue, NULL) == 1);
	kit_block(db);
	expect(submit(db, queue, 5), PENSTOCK_OK);
	expect(submit_ack(db, queue, 6, PENSTOCK_ACK_DEFAULT, PENSTOCK_FOREVER, &kept[1]), PENSTOCK_OK);
	expect(penstock_completions_abandon(queue), PENSTOCK_OK);
	kit_unblock();
	for (int i = 0; i < 2; i++) {
		expect(penstock_handle_wait(kept[i], PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(kept[i]);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_open_files("anon_inode:[eventfd]") == before);
	/* All have run. */
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t"), 6);
}

/* And of an engine that is gone. */
Test(completions, abandon_after_the_engine)
{
	penstock_config config = kit_config();
	int before = kit_open_files("anon_inode:[eventfd]");
	penstock_completions *queue;
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	queue = queue_of(db, 10);
	expect(submit(db, queue, 1), PENSTOCK_OK);
	expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_completions_abandon(queue), PENSTOCK_OK);
	check(kit_open_files("anon_inode:[eventfd]") == before);
}

/* The writer has put on the last handle, and is held up: that is taken, the queue closed, and the descriptor's number another file's. */
static void write_late(bool asks)
{
	int before = kit_open_files("anon_inode:[eventfd]"), descriptor, stranger;
	struct ps_eventcount room = { .waiters = 0 };
	penstock_completions *queue = ps_completions_new(1, 1), *told = NULL;
	penstock_handle *handle = ps_handle_new(0);
	uint32_t bits = 0;

	check(queue != NULL && handle != NULL);
	descriptor = penstock_completions_descriptor(queue);
	expect(ps_completions_take_place(queue), PENSTOCK_OK);
	handle->completions = queue;
	handle->outcome.result.arg = (void *)1;
	if (asks)
		ps_completions_ask(queue, &room);
	ps_handle_complete(handle, &bits);
	ps_completions_put(queue, handle, &told);
	check(take_one(queue, NULL) == 1);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	stranger = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	check(stranger == descriptor);
	ps_completions_tell(told);
	ps_eventcount_broadcast(&room);
	check(!is_readable(stranger), "a write into another file");
	close(stranger);
	check(kit_open_files("anon_inode:[eventfd]") == before);
}

Test(completions, a_late_write_does_not_go_into_another_file)
{
	write_late(false);
	/* And so who makes room, for one that has asked. */
	write_late(true);
}

/*
 * Who has taken the last one closes, and opens something else, which gets the descriptor's number: what the writer writes, late, must
 * not go there.
 */
Test(completions, close_does_not_race_with_the_last_write)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	for (int round = 0; round < 1000; round++) {
		penstock_completions *queue = queue_of(db, 1);
		int descriptor = penstock_completions_descriptor(queue), stranger;

		expect(submit(db, queue, 1), PENSTOCK_OK);
		while (take_one(queue, NULL) == 0)
			ps_stall();
		expect(penstock_completions_close(queue), PENSTOCK_OK);
		stranger = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		check(stranger == descriptor);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		check(!is_readable(stranger), "a write into another file, in round %d", round);
		close(stranger);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- fork ------------------------------------------------------------------------------------------------------------- */

Test(completions, a_child_does_not_eat_the_wake_up)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 2);
	int state;
	pid_t child;

	expect(submit(db, queue, 1), PENSTOCK_OK);
	await_ready(queue);
	child = fork();
	if (child == 0) {
		penstock_handle *handle;
		size_t count = 1;

		expect(penstock_completions_take(queue, &handle, 1, &count), PENSTOCK_FORKED);
		check(count == 0 && penstock_completions_descriptor(queue) == -1);
		expect(submit(db, queue, 2), PENSTOCK_FORKED);
		expect(submit(db, queue, 2), PENSTOCK_FORKED);
		expect(submit(db, queue, 2), PENSTOCK_FORKED);
		expect(penstock_completions_notify_room(db, queue), PENSTOCK_FORKED);
		expect(penstock_completions_close(queue), PENSTOCK_FORKED);
		expect(penstock_completions_abandon(queue), PENSTOCK_FORKED);
		_exit(0);
	}
	check(child > 0 && waitpid(child, &state, 0) == child && WIFEXITED(state) && WEXITSTATUS(state) == 0);
	check(is_ready(queue));
	check(take_one(queue, NULL) == 1);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- room --------------------------------------------------------------------------------------------------------------- */

/* As a loop does it: ask, look again, and only then sleep. */
static void submit_when_room(penstock *db, penstock_completions *queue, int64_t number)
{
	for (;;) {
		int status = submit_ack(db, queue, number, PENSTOCK_ACK_DEFAULT, 0, NULL);

		if (status == PENSTOCK_OK)
			return;
		expect(status, PENSTOCK_FULL);
		expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
		status = submit_ack(db, queue, number, PENSTOCK_ACK_DEFAULT, 0, NULL);
		if (status == PENSTOCK_OK)
			return;
		expect(status, PENSTOCK_FULL);
		await_ready(queue);
		while (take_one(queue, NULL) != 0)
			continue;
	}
}

Test(completions, who_asks_is_told_of_room_in_the_ring)
{
	penstock_config config = kit_config();
	penstock_completions *queue;
	penstock *db;

	config.ring_slots = 4;
	db = kit_open_table(&config);
	queue = queue_of(db, 100);
	for (int round = 0; round < 20; round++) {
		kit_block(db);
		while (kit_submit(db, "SELECT 1", 0, NULL) == PENSTOCK_OK)
			continue;
		expect(submit_ack(db, queue, 1, PENSTOCK_ACK_DEFAULT, 0, NULL), PENSTOCK_FULL);
		expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
		expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
		expect(submit_ack(db, queue, 1, PENSTOCK_ACK_DEFAULT, 0, NULL), PENSTOCK_FULL);
		check(!is_ready(queue));
		kit_unblock();
		await_ready(queue);
		check(take_one(queue, NULL) == 0);
		submit_when_room(db, queue, 1);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		while (take_one(queue, NULL) != 0)
			continue;
	}
	/* Once: who has not asked again is not told again. */
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_OK);
	while (take_one(queue, NULL) != 0)
		continue;
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(!is_ready(queue));
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *take_one_main(void *arg)
{
	return (void *)take_one(arg, NULL);
}

/* When another thread takes: who takes knows. */
Test(completions, who_asks_is_told_of_places)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1);

	for (int round = 0; round < 10; round++) {
		expect(submit(db, queue, 1), PENSTOCK_OK);
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		/* Whenever the writer goes to sleep it tells whoever has asked for room; at the gate it cannot. */
		kit_block(db);
		expect(submit(db, queue, 2), PENSTOCK_FULL);
		expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
		expect(submit(db, queue, 2), PENSTOCK_FULL);
		if (round % 2 == 0) {
			check(take_one(queue, NULL) == 1);
			check(!is_ready(queue));
		} else {
			void *taken;

			check(pthread_join(kit_thread(take_one_main, queue), &taken) == 0 && taken == (void *)1);
			/* Nothing is there to take, but places are. */
			check(is_ready(queue));
		}
		check(take_one(queue, NULL) == 0 && !is_ready(queue));
		expect(submit(db, queue, 2), PENSTOCK_OK);
		kit_unblock();
		check(await_one(queue, NULL) == 2);
	}
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(completions, who_asks_is_told_when_the_state_changes)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1);

	expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await_ready(queue);
	take_one(queue, NULL);
	expect(submit(db, queue, 1), PENSTOCK_PAUSED);
	expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await_ready(queue);
	take_one(queue, NULL);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
	check(!is_ready(queue));
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	await_ready(queue);
	take_one(queue, NULL);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(is_ready(queue));
	expect(penstock_completions_close(queue), PENSTOCK_OK);
}

/* The writer thread makes that move itself, as it ends. */
Test(completions, who_asks_is_told_when_the_engine_has_stopped)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	penstock_completions *queue = queue_of(db, 1);
	int64_t number = 1;

	cr_assert_eq(unlink(harness_path("test.db")), 0);
	/* One that comes at once may be told OK still. */
	while (kit_insert(db, number++, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK)
		continue;
	kit_await_phase(db, PENSTOCK_PHASE_FAILED);
	expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(is_ready(queue));
	take_one(queue, NULL);
	expect(penstock_completions_close(queue), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Who has asked may be gone as it would be told. */
Test(completions, a_queue_may_be_closed_that_has_asked)
{
	penstock_config config = kit_config();
	int before = kit_open_files("anon_inode:[eventfd]");
	penstock *db = kit_open_table(&config);

	for (int i = 0; i < 3; i++) {
		penstock_completions *queue = queue_of(db, 1);

		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_completions_notify_room(db, queue), PENSTOCK_OK);
		expect(i % 2 == 0 ? penstock_completions_close(queue) : penstock_completions_abandon(queue), PENSTOCK_OK);
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_open_files("anon_inode:[eventfd]") == before);
}

/* ---- threads --------------------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define EACH 2000

struct crowd {
	penstock *db;
	penstock_completions *queue;
	_Atomic unsigned heard[THREADS * EACH], left;
};

static void *submit_many(void *arg)
{
	struct crowd *crowd = arg;
	static _Atomic unsigned threads;
	unsigned me = threads++;

	for (unsigned i = 0; i < EACH; i++) {
		penstock_value value = penstock_int64(i);
		penstock_submission insert = PENSTOCK_SUBMISSION_INIT;
		penstock_handle *handle = NULL;
		int status;

		insert.sql = "INSERT INTO t(a) VALUES(?)";
		insert.values = &value;
		insert.value_count = 1;
		insert.arg = (void *)&crowd->heard[me % THREADS * EACH + i];
		insert.completions = crowd->queue;
		while ((status = penstock_submit(crowd->db, &insert, PENSTOCK_FOREVER, i % 3 == 0 ? &handle : NULL)) ==
		       PENSTOCK_FULL)
			sched_yield();
		expect(status, PENSTOCK_OK);
		penstock_handle_release(handle);
	}
	return NULL;
}

/* Sleeps in poll whenever nothing is to be had: a lost wake-up hangs it. */
static void *take_many(void *arg)
{
	struct crowd *crowd = arg;

	while (crowd->left != 0) {
		struct pollfd look = { .fd = penstock_completions_descriptor(crowd->queue), .events = POLLIN };
		penstock_handle *handles[16];
		size_t count;

		expect(penstock_completions_take(crowd->queue, handles, 16, &count), PENSTOCK_OK);
		for (size_t i = 0; i < count; i++) {
			++*(_Atomic unsigned *)penstock_handle_result(handles[i])->arg;
			penstock_handle_release(handles[i]);
		}
		/* The last one wakes the others. */
		if (count != 0 && atomic_fetch_sub(&crowd->left, (unsigned)count) == count)
			check(write(look.fd, &(uint64_t){ 1 }, 8) == 8);
		if (count == 0 && crowd->left != 0)
			poll(&look, 1, -1);
	}
	check(write(penstock_completions_descriptor(crowd->queue), &(uint64_t){ 1 }, 8) == 8);
	return NULL;
}

Test(completions, many_submit_and_many_take)
{
	static struct crowd crowd;
	penstock_config config = kit_config();
	pthread_t threads[THREADS + 2];

	config.ring_slots = 64;
	crowd.db = kit_open_table(&config);
	crowd.queue = queue_of(crowd.db, 100);
	crowd.left = THREADS * EACH;
	for (int i = 0; i < THREADS + 2; i++)
		threads[i] = kit_thread(i < THREADS ? submit_many : take_many, &crowd);
	for (int i = 0; i < THREADS + 2; i++)
		kit_join(threads[i]);
	for (int i = 0; i < THREADS * EACH; i++)
		check(crowd.heard[i] == 1, "%d: %u", i, crowd.heard[i]);
	expect(penstock_completions_close(crowd.queue), PENSTOCK_OK);
	expect(penstock_close(crowd.db, PENSTOCK_FOREVER), PENSTOCK_OK);
}
