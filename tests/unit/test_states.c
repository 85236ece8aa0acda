/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state machine from the outside: each verb in each state, with and without a busy writer, and what submissions come
 * to meanwhile. core/state.h draws it; core/penstock.h says at each verb what it answers.
 */
#include "tests/kit.h"

#include <dlfcn.h>
#include <sys/syscall.h>

#include "core/error.h"

TestSuite(states, .init = kit_begin, .fini = harness_end);

/* ---- verbs on threads of their own ------------------------------------------------------------------------------- */

struct verb {
	int (*call)(penstock *db, int64_t timeout_usec);
	penstock *db;
	int64_t timeout_usec;
	int status;
	char message[256];
	_Atomic bool done;
	pthread_t thread;
};

static void *verb_main(void *arg)
{
	struct verb *verb = arg;

	verb->status = verb->call(verb->db, verb->timeout_usec);
	snprintf(verb->message, sizeof verb->message, "%s", penstock_error_message());
	verb->done = true;
	return NULL;
}

static void verb_begin(struct verb *verb, int (*call)(penstock *, int64_t), penstock *db)
{
	*verb = (struct verb){ .call = call, .db = db, .timeout_usec = PENSTOCK_FOREVER };
	verb->thread = kit_thread(verb_main, verb);
}

static int verb_end(struct verb *verb)
{
	kit_join(verb->thread);
	/* for expect, on this thread */
	if (verb->status != PENSTOCK_OK)
		ps_error(verb->status, "%s", verb->message);
	return verb->status;
}

/* A verb that was seen to have begun sleeps by now: it has let go of the control mutex. */
static void verb_sleeps(penstock *db)
{
	pthread_mutex_lock(&db->control.mutex);
	pthread_mutex_unlock(&db->control.mutex);
}

/* ---- a thread that comes late ------------------------------------------------------------------------------------ */

/*
 * A thread that is woken may get the mutex back long after: any number of verbs may have come and gone. One thread is made
 * so late, by way of pthread_cond_wait, which this program has of its own.
 */
static pthread_t late_thread;
static _Atomic int late_armed, late_entered, late_released;

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	static int (*_Atomic real)(pthread_cond_t *, pthread_mutex_t *);
	int error;

	if (real == NULL) {
		/* Without a version one would get the condition variables of 1998. */
		void *found = dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");

		if (found == NULL || KIT_SANITIZED)
			found = dlsym(RTLD_NEXT, "pthread_cond_wait");
		real = (int (*)(pthread_cond_t *, pthread_mutex_t *))found;
	}
	error = real(condition, mutex);
	if (late_armed && pthread_equal(late_thread, pthread_self())) {
		late_armed = 0;
		pthread_mutex_unlock(mutex);
		late_entered = 1;
		await(late_released);
		pthread_mutex_lock(mutex);
	}
	return error;
}

/* The next time the thread is woken it is late, until let_go. */
static void hold_up(const struct verb *verb)
{
	late_thread = verb->thread;
	late_entered = 0;
	late_released = 0;
	late_armed = 1;
}

static void let_go(void)
{
	await(late_entered);
	late_released = 1;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static int phase(const penstock *db)
{
	return (int)penstock_phase_of(db);
}

static int64_t rows(void)
{
	return kit_ask(harness_path("test.db"), "SELECT count(*) FROM t");
}

static unsigned waiting_pausers(penstock *db)
{
	struct cds_list_head *place;
	unsigned count = 0;

	pthread_mutex_lock(&db->control.mutex);
	cds_list_for_each (place, &db->control.pausers)
		count++;
	pthread_mutex_unlock(&db->control.mutex);
	return count;
}

/* Nobody but an outsider has the file: another journal mode needs it exclusively. */
static void file_is_free(void)
{
	const char *path = harness_path("test.db");
	sqlite3 *connection;
	char *message = NULL;

	cr_assert_eq(kit_open_files(path), 0);
	check(sqlite3_open(path, &connection) == SQLITE_OK);
	sqlite3_busy_timeout(connection, 0);
	check(sqlite3_exec(connection,
	                   "BEGIN EXCLUSIVE; COMMIT; PRAGMA journal_mode=DELETE; CREATE TABLE IF NOT EXISTS outside(a)", NULL,
	                   NULL, &message) == SQLITE_OK,
	      "%s", message);
	check(sqlite3_close(connection) == SQLITE_OK);
	check(access(harness_path("test.db-wal"), F_OK) != 0);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

Test(states, before_the_first_start_submissions_wait)
{
	penstock_config config = kit_config();
	penstock_handle *handles[3];
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
	cr_assert_eq(penstock_is_stopped(db), 1);
	cr_assert_eq(hook_calls, 0);
	expect(kit_submit(db, "CREATE TABLE t(a)", 0, &handles[0]), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, &handles[1]), PENSTOCK_OK);
	expect(kit_insert(db, 2, 0, &handles[2]), PENSTOCK_OK);
	expect(penstock_handle_wait(handles[2], SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_flush(db, 0), PENSTOCK_TIMEOUT);
	cr_assert_eq(penstock_queue_depth(db), 3);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_RUNNING);
	cr_assert_eq(penstock_is_stopped(db), 0);
	for (int i = 0; i < 3; i++) {
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(handles[i]);
	}
	cr_assert_eq(rows(), 2);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, start_of_a_running_engine_changes_nothing)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	pid_t writer = kit_find_writer();

	cr_assert(writer != 0);
	expect(penstock_start(db, 0), PENSTOCK_OK);
	expect_message("running already");
	cr_assert_eq(kit_find_writer(), writer);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, 0), PENSTOCK_OK);
	expect_message("changed");
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
	file_is_free();
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, start_that_times_out_goes_on)
{
	penstock_config config = kit_config();
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	gate_set(&hook_gate, true);
	expect(penstock_start(db, 0), PENSTOCK_TIMEOUT);
	expect(penstock_start(db, SHORT), PENSTOCK_TIMEOUT);
	cr_assert_eq(penstock_is_stopped(db), 0);
	expect(penstock_pause(db, SHORT), PENSTOCK_STOPPED);
	expect(penstock_unpause(db, SHORT), PENSTOCK_STOPPED);
	expect(penstock_stop(db, SHORT), PENSTOCK_TIMEOUT);
	expect(kit_submit(db, "CREATE TABLE t(a)", 0, NULL), PENSTOCK_OK);
	gate_set(&hook_gate, false);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_RUNNING);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, stop_waits_for_a_start_under_way)
{
	penstock_config config = kit_config();
	struct verb start, stop;
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	gate_set(&hook_gate, true);
	verb_begin(&start, penstock_start, db);
	gate_await(&hook_gate);
	verb_begin(&stop, penstock_stop, db);
	kit_sleep_usec(SHORT);
	check(!stop.done);
	gate_set(&hook_gate, false);
	expect(verb_end(&start), PENSTOCK_OK);
	expect(verb_end(&stop), PENSTOCK_OK);
	cr_assert_eq(penstock_is_stopped(db), 1);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, start_that_fails_leaves_the_engine_stopped)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	expect(kit_submit(db, "CREATE TABLE t(a)", 0, &handle), PENSTOCK_OK);
	hook_code = SQLITE_PERM;
	for (int i = 0; i < 3; i++) {
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
		expect_message("connect hook refused");
		cr_assert_eq(penstock_is_stopped(db), 1);
		cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
		cr_assert_eq(kit_open_files(harness_path("test.db")), 0);
	}
	hook_code = SQLITE_OK;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Its thread ends by itself, after the caller has gone: close joins it (TSan tells of a thread that nobody joined). */
Test(states, close_joins_a_writer_whose_start_failed)
{
	for (int stopped = 0; stopped < 2; stopped++) {
		penstock_config config = kit_config();
		penstock *db;

		config.autostart = stopped;
		db = kit_open(&config);
		if (stopped)
			expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		gate_set(&hook_gate, true);
		hook_code = SQLITE_PERM;
		expect(penstock_start(db, SHORT), PENSTOCK_TIMEOUT);
		gate_set(&hook_gate, false);
		await(penstock_is_stopped(db));
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		hook_code = SQLITE_OK;
		harness_end();
	}
}

/* The starter is held up from before the connection is there until the engine was stopped again. */
Test(states, start_returns_although_a_stop_overtook_it)
{
	penstock_config config = kit_config();
	struct verb start;
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	gate_set(&hook_gate, true);
	verb_begin(&start, penstock_start, db);
	gate_await(&hook_gate);
	hold_up(&start);
	gate_set(&hook_gate, false);
	kit_await_phase(db, PENSTOCK_PHASE_RUNNING);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	let_go();
	verb_end(&start);
	check(start.status == PENSTOCK_OK || start.status == PENSTOCK_STOPPED, "%s", penstock_status_name(start.status));
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The starter is held up until the engine has failed to start, and another start went well: that was not its own. */
Test(states, start_that_failed_does_not_claim_the_success_of_the_next)
{
	penstock_config config = kit_config();
	struct verb start;
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	gate_set(&hook_gate, true);
	hook_code = SQLITE_PERM;
	verb_begin(&start, penstock_start, db);
	gate_await(&hook_gate);
	hold_up(&start);
	gate_set(&hook_gate, false);
	await(penstock_is_stopped(db));
	hook_code = SQLITE_OK;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	let_go();
	verb_end(&start);
	check(start.status != PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- stop -------------------------------------------------------------------------------------------------------- */

Test(states, stop_drains_joins_and_refuses)
{
	penstock_config config = kit_config();
	penstock_handle *handles[50];
	struct verb stop;
	penstock *db = kit_open_table(&config);

	kit_block(db);
	for (int i = 0; i < 50; i++)
		expect(kit_insert(db, i, 0, &handles[i]), PENSTOCK_OK);
	verb_begin(&stop, penstock_stop, db);
	kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
	cr_assert_eq(penstock_is_stopped(db), 0);
	expect(kit_insert(db, 1000, PENSTOCK_FOREVER, NULL), PENSTOCK_STOPPED);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_STOPPED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_STOPPED);
	expect(penstock_start(db, SHORT), PENSTOCK_TIMEOUT);
	kit_unblock();
	expect(verb_end(&stop), PENSTOCK_OK);
	cr_assert_eq(penstock_is_stopped(db), 1);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
	await(kit_find_writer() == 0); /* joined, yet the kernel may list it for a moment */
	for (int i = 0; i < 50; i++) {
		expect(penstock_handle_wait(handles[i], 0), PENSTOCK_OK);
		penstock_handle_release(handles[i]);
	}
	cr_assert_eq(rows(), 50);
	file_is_free();
	expect(kit_insert(db, 1000, 0, NULL), PENSTOCK_STOPPED);
	expect(penstock_stop(db, 0), PENSTOCK_OK);
	expect(penstock_pause(db, 0), PENSTOCK_STOPPED);
	expect(penstock_unpause(db, 0), PENSTOCK_STOPPED);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 51, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 51);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, stopped_engine_can_hold)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	struct verb stop;
	penstock *db;

	config.when_stopped = PENSTOCK_HOLD;
	config.ring_slots = 4;
	db = kit_open_table(&config);
	kit_block(db);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	verb_begin(&stop, penstock_stop, db);
	kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
	verb_sleeps(db); /* so that what comes now is behind what it drains */
	expect(kit_insert(db, 2, 0, &handle), PENSTOCK_OK);
	kit_unblock();
	expect(verb_end(&stop), PENSTOCK_OK);
	cr_assert_eq(penstock_is_stopped(db), 1);
	cr_assert_eq(rows(), 1);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_TIMEOUT);
	for (int i = 0; i < 3; i++)
		expect(kit_insert(db, 3 + i, 0, NULL), PENSTOCK_OK);
	cr_assert_eq(penstock_queue_depth(db), 4);
	expect(kit_insert(db, 6, 0, NULL), PENSTOCK_FULL);
	expect(kit_insert(db, 6, SHORT, NULL), PENSTOCK_FULL);
	expect(penstock_flush(db, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 5);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, stop_before_the_first_start_refuses_what_comes_and_keeps_what_came)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	expect(kit_submit(db, "CREATE TABLE t(a)", 0, &handle), PENSTOCK_OK);
	expect(penstock_stop(db, 0), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_STOPPED);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_TIMEOUT);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, stop_that_times_out_stays_stopping)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	kit_block(db);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(penstock_stop(db, 0), PENSTOCK_TIMEOUT);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPING);
	expect(kit_insert(db, 2, 0, NULL), PENSTOCK_STOPPED);
	expect(penstock_stop(db, SHORT), PENSTOCK_TIMEOUT);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPING);
	cr_assert_eq(penstock_is_stopped(db), 0);
	kit_unblock();
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
	cr_assert_eq(rows(), 1);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The stop that timed out is still under way, but nobody may ever call it again: a start has to bring it to its end. */
Test(states, start_after_a_stop_that_timed_out)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	kit_block(db);
	expect(penstock_stop(db, SHORT), PENSTOCK_TIMEOUT);
	kit_unblock();
	await(penstock_is_stopped(db));
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_RUNNING);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* And so has its phase: no writer runs, which is STOPPED. */
Test(states, phase_after_a_stop_that_timed_out_is_stopped)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	kit_block(db);
	expect(penstock_stop(db, SHORT), PENSTOCK_TIMEOUT);
	kit_unblock();
	await(penstock_is_stopped(db));
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A pause that a stop has ended is not taken for this thread's. */
Test(states, pause_during_a_stop_of_a_paused_engine_hears_stopped)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_stop(db, 0); /* TIMEOUT, unless the writer was quick */
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_STOPPED);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_STOPPED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, stop_works_from_paused_and_keeps_what_is_held)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
	cr_assert_eq(penstock_is_stopped(db), 1);
	cr_assert_eq(penstock_queue_depth(db), 1);
	file_is_free(); /* it was not touched, not even to stop */
	cr_assert_eq(rows(), 0);
	expect(penstock_unpause(db, 0), PENSTOCK_STOPPED);
	expect(kit_insert(db, 2, 0, NULL), PENSTOCK_STOPPED);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	/* The pause is over, and forgotten. */
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, stop_beats_pause)
{
	penstock_config config = kit_config();
	struct verb pause, later, stop;
	penstock *db = kit_open_table(&config);

	kit_block(db);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	verb_begin(&pause, penstock_pause, db);
	kit_await_phase(db, PENSTOCK_PHASE_PAUSING);
	verb_begin(&later, penstock_pause, db);
	await(waiting_pausers(db) == 1);
	verb_begin(&stop, penstock_stop, db);
	kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
	expect(verb_end(&pause), PENSTOCK_STOPPED); /* at once: the writer is still busy */
	expect(verb_end(&later), PENSTOCK_STOPPED);
	kit_unblock();
	expect(verb_end(&stop), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	verb_begin(&later, penstock_pause, db);
	await(waiting_pausers(db) == 1);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(verb_end(&later), PENSTOCK_STOPPED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, several_stops_end_together)
{
	penstock_config config = kit_config();
	struct verb stops[4];
	penstock *db = kit_open_table(&config);

	kit_block(db);
	for (int i = 0; i < 4; i++)
		verb_begin(&stops[i], penstock_stop, db);
	kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
	kit_unblock();
	for (int i = 0; i < 4; i++)
		expect(verb_end(&stops[i]), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* One of two stoppers is held up until the engine was stopped and started again: it has no new stop to wait for. */
Test(states, stop_returns_although_a_start_overtook_it)
{
	penstock_config config = kit_config();
	struct verb late;
	penstock *db = kit_open_table(&config);

	kit_block(db);
	verb_begin(&late, penstock_stop, db);
	kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
	verb_sleeps(db);
	hold_up(&late);
	kit_unblock();
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	let_go();
	expect(verb_end(&late), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- pause ------------------------------------------------------------------------------------------------------- */

Test(states, pause_drains_and_lets_go_of_the_file)
{
	penstock_config config = kit_config();
	penstock_handle *handles[50], *refused;
	struct verb pause;
	penstock *db = kit_open_table(&config);

	kit_block(db);
	for (int i = 0; i < 50; i++)
		expect(kit_insert(db, i, 0, &handles[i]), PENSTOCK_OK);
	verb_begin(&pause, penstock_pause, db);
	kit_await_phase(db, PENSTOCK_PHASE_PAUSING);
	expect(kit_insert(db, 1000, PENSTOCK_FOREVER, &refused), PENSTOCK_PAUSED);
	check(refused == NULL);
	expect(penstock_unpause(db, 0), PENSTOCK_MISUSE);
	check(!pause.done);
	kit_unblock();
	expect(verb_end(&pause), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
	cr_assert_eq(penstock_is_stopped(db), 0);
	for (int i = 0; i < 50; i++) {
		expect(penstock_handle_wait(handles[i], 0), PENSTOCK_OK);
		penstock_handle_release(handles[i]);
	}
	for (int i = 0; i < 10; i++) {
		expect(kit_insert(db, 1000, PENSTOCK_FOREVER, NULL), PENSTOCK_PAUSED);
		file_is_free();
	}
	cr_assert_eq(rows(), 50);
	cr_assert_eq(kit_counters(db).refused[PENSTOCK_PAUSED], 11);
	cr_assert_eq(penstock_queue_depth(db), 0);
	expect(penstock_flush(db, 0), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_RUNNING);
	expect(kit_execute(db, "INSERT INTO outside VALUES(1)"), PENSTOCK_OK); /* the pauser's table; WAL again */
	cr_assert_eq(access(harness_path("test.db-wal"), F_OK), 0);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static off_t size_of(const char *name)
{
	struct stat info;

	return stat(harness_path(name), &info) == 0 ? info.st_size : -1;
}

/* What is in the log, and whether the database has it already. */
static void check_left(int left, const char *doing)
{
	check((size_of("test.db-wal") > 0) == (left == 1), "%s, %d", doing, left);
	/* The table has a page of its own. */
	check((size_of("test.db") <= 4096) == (left == 1), "%s, %d", doing, left);
}

static void leave_the_log(int64_t synchronous, int left)
{
	penstock_config config = kit_config();
	penstock *db;

	config.synchronous = synchronous;
	config.leave_wal = left;
	db = kit_open(&config);
	expect(kit_execute(db, "CREATE TABLE t(a)"), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check_left(left, "pause");
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(2)"), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check_left(left, "stop");
	cr_assert_eq(rows(), 2);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(3)"), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	/* Whoever opens it next has all of it, and the file alone. */
	file_is_free();
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 3);
	expect(kit_execute(db, "INSERT INTO t VALUES(4)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check((size_of("test.db-wal") > 0) == (left == 1), "close, %d", left);
	unlink(harness_path("test.db"));
	unlink(harness_path("test.db-wal"));
	unlink(harness_path("test.db-shm"));
}

Test(states, pause_and_stop_bring_the_log_in_or_leave_it)
{
	for (int left = 0; left <= 1; left++) {
		leave_the_log(PENSTOCK_SYNCHRONOUS_FULL, left);
		leave_the_log(PENSTOCK_SYNCHRONOUS_NORMAL, left);
		leave_the_log(PENSTOCK_SYNCHRONOUS_OFF, left);
	}
}

Test(states, paused_engine_can_hold)
{
	penstock_config config = kit_config();
	penstock_handle *handles[4];
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	config.ring_slots = 4;
	db = kit_open_table(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 4; i++)
		expect(kit_insert(db, i, 0, &handles[i]), PENSTOCK_OK);
	expect(kit_insert(db, 5, 0, NULL), PENSTOCK_FULL);
	expect(kit_insert(db, 5, SHORT, NULL), PENSTOCK_FULL);
	expect(penstock_flush(db, SHORT), PENSTOCK_TIMEOUT);
	file_is_free();
	cr_assert_eq(rows(), 0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 4; i++) {
		expect(penstock_handle_wait(handles[i], PENSTOCK_FOREVER), PENSTOCK_OK);
		penstock_handle_release(handles[i]);
	}
	cr_assert_eq(rows(), 4);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* What is held since PAUSING began is not what the pause waits for. */
Test(states, pause_does_not_wait_for_what_came_later)
{
	penstock_config config = kit_config();
	penstock_handle *before, *after;
	struct verb pause;
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	kit_block(db);
	expect(kit_insert(db, 1, 0, &before), PENSTOCK_OK);
	verb_begin(&pause, penstock_pause, db);
	kit_await_phase(db, PENSTOCK_PHASE_PAUSING);
	verb_sleeps(db);
	expect(kit_insert(db, 2, 0, &after), PENSTOCK_OK);
	kit_unblock();
	expect(verb_end(&pause), PENSTOCK_OK);
	expect(penstock_handle_wait(before, 0), PENSTOCK_OK);
	expect(penstock_handle_wait(after, 0), PENSTOCK_TIMEOUT);
	cr_assert_eq(rows(), 1);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(after, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(before);
	penstock_handle_release(after);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static _Atomic pid_t napper;
static _Atomic unsigned naps;

/* Instead of the C library's: counts those of one thread. */
__attribute__((visibility("default"))) int nanosleep(const struct timespec *time, struct timespec *left)
{
	if (napper != 0 && (pid_t)syscall(SYS_gettid) == napper)
		naps++;
	return clock_nanosleep(CLOCK_MONOTONIC, 0, time, left) == 0 ? 0 : -1;
}

/* A producer was stopped between claim and publish, and the pause has to wait for it: the writer sleeps over that. */
Test(states, pause_sleeps_over_a_producer_that_is_held_up)
{
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t VALUES(1)" };
	penstock_config config = kit_config();
	struct ps_claim claim;
	struct verb pause;
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	kit_block(db); /* asleep on the ring it would be woken by nobody but that producer */
	check(ps_ring_claim(&db->ring, &claim));
	verb_begin(&pause, penstock_pause, db);
	kit_await_phase(db, PENSTOCK_PHASE_PAUSING);
	verb_sleeps(db);
	napper = kit_find_writer();
	kit_unblock();
	await(naps >= 10);
	memset(claim.record, 0, sizeof *claim.record);
	ps_record_encode(claim.record->payload.bytes, &submission, strlen(submission.sql));
	ps_ring_publish(&db->ring, &claim);
	expect(verb_end(&pause), PENSTOCK_OK);
	napper = 0;
	cr_assert_eq(rows(), 1);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static _Atomic unsigned turns;

static void *pauser_main(void *arg)
{
	struct verb *verb = arg;

	expect(penstock_pause(verb->db, PENSTOCK_FOREVER), PENSTOCK_OK);
	verb->status = (int)turns++;
	check(penstock_phase_of(verb->db) == PENSTOCK_PHASE_PAUSED);
	kit_sleep_usec(1000);
	check(penstock_phase_of(verb->db) == PENSTOCK_PHASE_PAUSED);
	expect(penstock_unpause(verb->db, PENSTOCK_FOREVER), PENSTOCK_OK);
	return NULL;
}

Test(states, pausers_take_turns_in_order)
{
	penstock_config config = kit_config();
	struct verb pausers[8];
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (unsigned i = 0; i < 8; i++) {
		pausers[i].db = db;
		pausers[i].thread = kit_thread(pauser_main, &pausers[i]);
		await(waiting_pausers(db) == i + 1);
	}
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	for (int i = 0; i < 8; i++) {
		kit_join(pausers[i].thread);
		cr_assert_eq(pausers[i].status, i);
	}
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, second_pause_of_a_thread_is_misuse)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_MISUSE);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_MISUSE);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, any_thread_ends_a_pause)
{
	penstock_config config = kit_config();
	struct verb verb;
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	verb_begin(&verb, penstock_unpause, db);
	expect(verb_end(&verb), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_RUNNING);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK); /* not "has paused already" */
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* glibc gives a new thread the pthread_t of one that has ended. */
Test(states, pause_by_a_thread_with_a_used_id_waits_its_turn)
{
	penstock_config config = kit_config();
	struct verb first, second;
	penstock *db = kit_open_table(&config);

	verb_begin(&first, penstock_pause, db);
	expect(verb_end(&first), PENSTOCK_OK);
	second = (struct verb){ .call = penstock_pause, .db = db, .timeout_usec = SHORT };
	second.thread = kit_thread(verb_main, &second);
	expect(verb_end(&second), PENSTOCK_TIMEOUT);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, pause_that_times_out_leaves_the_engine_running)
{
	penstock_config config = kit_config();
	struct verb waits;
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	waits = (struct verb){ .call = penstock_pause, .db = db, .timeout_usec = SHORT };
	waits.thread = kit_thread(verb_main, &waits);
	expect(verb_end(&waits), PENSTOCK_TIMEOUT);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED); /* the other's pause */
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);

	kit_block(db);
	for (int i = 0; i < 3; i++) {
		expect(penstock_pause(db, i == 0 ? 0 : SHORT), PENSTOCK_TIMEOUT);
		cr_assert_eq(phase(db), PENSTOCK_PHASE_RUNNING);
		expect(kit_insert(db, i, 0, NULL), PENSTOCK_OK);
		expect(penstock_flush(db, i == 0 ? 0 : SHORT), PENSTOCK_TIMEOUT);
	}
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 3);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	file_is_free();
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* A pauser that gives up lets the next one have its turn. */
Test(states, pause_that_times_out_hands_its_turn_on)
{
	penstock_config config = kit_config();
	struct verb first, second;
	penstock *db = kit_open_table(&config);

	kit_block(db);
	first = (struct verb){ .call = penstock_pause, .db = db, .timeout_usec = 100000 };
	first.thread = kit_thread(verb_main, &first);
	/* On a busy machine it may be over before it is seen. */
	await(phase(db) == PENSTOCK_PHASE_PAUSING || first.done);
	verb_begin(&second, penstock_pause, db);
	expect(verb_end(&first), PENSTOCK_TIMEOUT);
	kit_await_phase(db, PENSTOCK_PHASE_PAUSING);
	kit_unblock();
	expect(verb_end(&second), PENSTOCK_OK);
	file_is_free();
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* Pauses until the writer is found in the middle of disconnecting when the deadline passes. */
static void pause_is_withdrawn_while_disconnecting(penstock *db)
{
	gate_set(&drop_gate, true);
	/* On a busy machine it may be over before the writer has come to the gate. */
	do {
		expect(penstock_pause(db, 200000), PENSTOCK_TIMEOUT);
	} while (!gate_is_taken(&drop_gate));
	cr_assert_eq(phase(db), PENSTOCK_PHASE_RUNNING);
}

Test(states, pause_withdrawn_while_disconnecting_connects_again)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db = kit_open_table(&config);

	pause_is_withdrawn_while_disconnecting(db);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_TIMEOUT);
	gate_set(&drop_gate, false);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	cr_assert_eq(hook_calls, 2);
	cr_assert_eq(rows(), 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, stop_overtakes_a_writer_that_disconnects)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	struct verb pause, stop;
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	gate_set(&drop_gate, true);
	verb_begin(&pause, penstock_pause, db);
	gate_await(&drop_gate);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK); /* held, but not by a pause: stop has to run it */
	verb_begin(&stop, penstock_stop, db);
	expect(verb_end(&pause), PENSTOCK_STOPPED);
	gate_set(&drop_gate, false);
	expect(verb_end(&stop), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_OK);
	penstock_handle_release(handle);
	cr_assert_eq(rows(), 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The pauser is held up until its pause was ended by a stop and the engine runs again: it has not paused anything. */
Test(states, pause_that_a_stop_ended_does_not_claim_success)
{
	penstock_config config = kit_config();
	struct verb pause;
	penstock *db = kit_open_table(&config);

	kit_block(db);
	verb_begin(&pause, penstock_pause, db);
	kit_await_phase(db, PENSTOCK_PHASE_PAUSING);
	verb_sleeps(db);
	hold_up(&pause);
	expect(penstock_stop(db, 0), PENSTOCK_TIMEOUT);
	kit_unblock();
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	let_go();
	expect(verb_end(&pause), PENSTOCK_STOPPED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The same, and by then the engine is another's to pause: two would have the file. */
Test(states, pause_that_a_stop_ended_does_not_share_the_next_one)
{
	penstock_config config = kit_config();
	struct verb pause;
	penstock *db = kit_open_table(&config);

	kit_block(db);
	verb_begin(&pause, penstock_pause, db);
	kit_await_phase(db, PENSTOCK_PHASE_PAUSING);
	verb_sleeps(db);
	hold_up(&pause);
	expect(penstock_stop(db, 0), PENSTOCK_TIMEOUT);
	kit_unblock();
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	let_go();
	expect(verb_end(&pause), PENSTOCK_STOPPED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- unpause ----------------------------------------------------------------------------------------------------- */

Test(states, unpause_of_what_is_not_paused_is_misuse)
{
	penstock_config config = kit_config();
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	expect(penstock_unpause(db, 0), PENSTOCK_STOPPED);
	expect(penstock_pause(db, 0), PENSTOCK_STOPPED);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, 0), PENSTOCK_MISUSE);
	expect_message("not paused");
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, unpause_that_times_out_goes_on)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	gate_set(&hook_gate, true);
	expect(penstock_unpause(db, 0), PENSTOCK_TIMEOUT);
	expect(penstock_unpause(db, SHORT), PENSTOCK_TIMEOUT);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
	expect(penstock_start(db, SHORT), PENSTOCK_TIMEOUT);
	gate_set(&hook_gate, false);
	kit_await_phase(db, PENSTOCK_PHASE_RUNNING);
	expect(penstock_unpause(db, 0), PENSTOCK_MISUSE);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The one that unpaused wakes when the engine has been paused and unpaused once more: its answer is of its own pause. */
Test(states, unpause_answers_for_its_own_pause)
{
	for (int stopped = 0; stopped < 2; stopped++) {
		penstock_config config = kit_config();
		struct verb unpause, stop;
		penstock *db = kit_open(&config);

		expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		gate_set(&hook_gate, true);
		verb_begin(&unpause, penstock_unpause, db);
		gate_await(&hook_gate);
		verb_sleeps(db);
		hold_up(&unpause);
		if (stopped) {
			verb_begin(&stop, penstock_stop, db);
			kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
		}
		gate_set(&hook_gate, false);
		if (stopped) {
			expect(verb_end(&stop), PENSTOCK_OK);
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		}
		await(late_entered);
		expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		let_go();
		expect(verb_end(&unpause), stopped ? PENSTOCK_STOPPED : PENSTOCK_OK);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	}
}

Test(states, stop_overtakes_an_unpause)
{
	penstock_config config = kit_config();
	struct verb unpause, stop;
	penstock_handle *handle;
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);
	gate_set(&hook_gate, true);
	verb_begin(&unpause, penstock_unpause, db);
	gate_await(&hook_gate);
	verb_begin(&stop, penstock_stop, db);
	kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
	gate_set(&hook_gate, false);
	expect(verb_end(&stop), PENSTOCK_OK);
	expect(verb_end(&unpause), PENSTOCK_STOPPED);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_TIMEOUT);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_SHUTDOWN);
	penstock_handle_release(handle);
}

Test(states, several_unpauses_end_together)
{
	penstock_config config = kit_config();
	struct verb unpauses[4];
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	gate_set(&hook_gate, true);
	for (int i = 0; i < 4; i++)
		verb_begin(&unpauses[i], penstock_unpause, db);
	gate_await(&hook_gate);
	kit_sleep_usec(SHORT);
	gate_set(&hook_gate, false);
	for (int i = 0; i < 4; i++) {
		/* One that came when it was done hears so. */
		int status = verb_end(&unpauses[i]);

		check(status == PENSTOCK_OK || status == PENSTOCK_MISUSE, "%s", penstock_status_name(status));
	}
	cr_assert_eq(hook_calls, 2);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, unpause_finds_another_database)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rename(harness_path("test.db"), harness_path("old.db")), 0);
	cr_assert_eq(kit_ask(harness_path("old.db"), "SELECT count(*) FROM t"), 1);
	kit_change(harness_path("test.db"), "PRAGMA page_size=1024; CREATE TABLE t(a); INSERT INTO t VALUES(7)");
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 8, 0, NULL), PENSTOCK_OK);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT sum(a) FROM t"), 15);
	cr_assert_eq(kit_ask(harness_path("old.db"), "SELECT count(*) FROM t"), 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* What a connection may create does not depend on whether it is the first. */
Test(states, attach_creates_a_file_after_unpause_and_start)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	char sql[5000];

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	snprintf(sql, sizeof sql, "ATTACH '%s' AS one", harness_path("one.db"));
	expect(kit_execute(db, sql), PENSTOCK_OK);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	snprintf(sql, sizeof sql, "ATTACH '%s' AS two", harness_path("two.db"));
	expect(kit_execute(db, sql), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	check(file != NULL);
	for (int i = 0; i < 1000; i++)
		fputs(text, file);
	check(fclose(file) == 0);
}

Test(states, unpause_that_cannot_open_stays_paused)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);

	/* not a database */
	cr_assert_eq(rename(harness_path("test.db"), harness_path("old.db")), 0);
	write_file(harness_path("test.db"), "this is no database\n");
	for (int i = 0; i < 2; i++) {
		expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
		expect_message("is not an SQLite database");
		cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
		cr_assert_eq(kit_open_files(harness_path("test.db")), 0);
	}
	/* a folder */
	cr_assert_eq(unlink(harness_path("test.db")), 0);
	cr_assert_eq(mkdir(harness_path("test.db"), 0700), 0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("is a folder");
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
	cr_assert_eq(rmdir(harness_path("test.db")), 0);
	/* a hook that refuses */
	cr_assert_eq(rename(harness_path("old.db"), harness_path("test.db")), 0);
	hook_code = SQLITE_AUTH;
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("connect hook");
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
	hook_code = SQLITE_OK;
	file_is_free();
	expect(penstock_handle_wait(handle, 0), PENSTOCK_TIMEOUT);
	/* still this thread's pause, and others' turn is not yet */
	expect(penstock_pause(db, 0), PENSTOCK_MISUSE);

	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	cr_assert_eq(rows(), 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, unpause_without_a_folder_stays_paused)
{
	penstock_config config = kit_config();
	penstock *db;

	cr_assert_eq(mkdir(harness_path("folder"), 0700), 0);
	db = kit_open_path(harness_path("folder/test.db"), &config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rename(harness_path("folder"), harness_path("away")), 0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	expect_message("folder");
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
	cr_assert_eq(rename(harness_path("away"), harness_path("folder")), 0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* "CANTOPEN when the file cannot be opened any more": a fresh empty database would swallow the writes. */
Test(states, unpause_with_the_file_gone_stays_paused)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rename(harness_path("test.db"), harness_path("away.db")), 0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_PAUSED);
	check(access(harness_path("test.db"), F_OK) != 0);
	cr_assert_eq(rename(harness_path("away.db"), harness_path("test.db")), 0);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- failed ------------------------------------------------------------------------------------------------------ */

static _Atomic unsigned errors_heard;

static void on_error(void *arg, const penstock_result *result)
{
	(void)arg;
	check(result->status == PENSTOCK_SHUTDOWN);
	errors_heard++;
}

/* A writer that cannot connect again after a withdrawn pause. */
Test(states, failed_engine_gives_every_submission_its_outcome)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	struct verb waits;
	penstock *db;
	char reason[200], cut[5];

	errors_heard = 0;
	config.on_error = on_error;
	db = kit_open_table(&config);
	cr_assert_eq(penstock_failure(db, reason, sizeof reason), 0);
	cr_assert_str_eq(reason, "");
	pause_is_withdrawn_while_disconnecting(db);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);
	expect(kit_insert(db, 2, 0, NULL), PENSTOCK_OK);
	verb_begin(&waits, penstock_flush, db);
	hook_code = SQLITE_PERM;
	gate_set(&drop_gate, false);
	kit_await_phase(db, PENSTOCK_PHASE_FAILED);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_SHUTDOWN);
	check(penstock_handle_result(handle)->message[0] != '\0');
	expect(verb_end(&waits), PENSTOCK_OK);
	await(errors_heard == 1);
	cr_assert_eq(penstock_is_stopped(db), 0);
	expect(kit_insert(db, 3, PENSTOCK_FOREVER, NULL), PENSTOCK_FAILED);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_FAILED);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_FAILED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_FAILED);
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert(penstock_failure(db, reason, sizeof reason) != 0);
	check(strstr(reason, "connect hook") != NULL, "%s", reason);
	penstock_failure(db, cut, sizeof cut);
	cr_assert_eq(strlen(cut), 4);
	cr_assert_eq(penstock_failure(NULL, cut, 1), 0);
	cr_assert_str_eq(cut, "");
	cr_assert_eq(kit_counters(db).shutdown, 2);
	hook_code = SQLITE_OK;
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
	cr_assert(penstock_failure(db, reason, sizeof reason) != 0);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(penstock_failure(db, reason, sizeof reason), 0);
	expect(kit_insert(db, 4, 0, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
	penstock_handle_release(handle);
}

static _Atomic pid_t asking_thread;

static void *ask_for_the_failure(void *arg)
{
	asking_thread = gettid();
	check(penstock_failure(arg, NULL, 0) == 0);
	return NULL;
}

/* Or it might read half of it. */
Test(states, who_asks_for_the_failure_waits_while_it_is_written)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	pthread_t thread;

	pthread_mutex_lock(&db->control.mutex);
	thread = kit_thread(ask_for_the_failure, db);
	await(asking_thread != 0);
	await(kit_thread_sleeps(asking_thread));
	pthread_mutex_unlock(&db->control.mutex);
	kit_join(thread);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, failed_engine_can_be_closed)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);

	pause_is_withdrawn_while_disconnecting(db);
	hook_code = SQLITE_PERM;
	gate_set(&drop_gate, false);
	kit_await_phase(db, PENSTOCK_PHASE_FAILED);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* ---- close ------------------------------------------------------------------------------------------------------- */

static _Atomic unsigned completions;

static void on_complete(void *arg, const penstock_result *result)
{
	check(arg == &completions && result->arg == arg);
	check(result->status == PENSTOCK_SHUTDOWN);
	completions++;
}

static void close_with_held(penstock *db, unsigned more_errors)
{
	penstock_submission with_callback = { .struct_size = sizeof with_callback,
		                              .sql_bytes = -1,
		                              .sql = "INSERT INTO t VALUES(2)",
		                              .on_complete = on_complete,
		                              .arg = &completions };
	penstock_handle *handle;
	penstock_counters counters;

	errors_heard = completions = 0;
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);
	expect(penstock_submit(db, &with_callback, 0, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 3, 0, NULL), PENSTOCK_OK);
	counters = kit_counters(db);
	cr_assert_eq(counters.queue_depth, 3 + more_errors);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(completions, 1);
	cr_assert_eq(errors_heard, 1 + more_errors);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_SHUTDOWN);
	check(strstr(penstock_handle_result(handle)->message, "closed") != NULL);
	penstock_handle_release(handle);
}

Test(states, close_before_the_first_start_shuts_down_what_waits)
{
	penstock_config config = kit_config();
	penstock *db;

	config.autostart = 0;
	config.on_error = on_error;
	db = kit_open(&config);
	expect(kit_submit(db, "CREATE TABLE t(a)", 0, NULL), PENSTOCK_OK);
	close_with_held(db, 1);
}

Test(states, close_of_a_paused_engine_shuts_down_what_is_held)
{
	penstock_config config = kit_config();
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	config.on_error = on_error;
	db = kit_open_table(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	close_with_held(db, 0);
	file_is_free();
	cr_assert_eq(rows(), 0);
}

Test(states, close_of_a_stopped_engine_shuts_down_what_is_held)
{
	penstock_config config = kit_config();
	penstock *db;

	config.when_stopped = PENSTOCK_HOLD;
	config.on_error = on_error;
	db = kit_open_table(&config);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	close_with_held(db, 0);
	cr_assert_eq(rows(), 0);
}

Test(states, close_that_times_out_can_be_called_again)
{
	penstock_config config = kit_config();
	penstock_handle *handle;
	penstock *db = kit_open_table(&config);

	kit_block(db);
	expect(kit_insert(db, 1, 0, &handle), PENSTOCK_OK);
	for (int i = 0; i < 3; i++) {
		expect(penstock_close(db, i == 0 ? 0 : SHORT), PENSTOCK_TIMEOUT);
		cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPING);
		expect(kit_insert(db, 2, PENSTOCK_FOREVER, NULL), PENSTOCK_STOPPED);
	}
	kit_unblock();
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_handle_wait(handle, 0), PENSTOCK_OK);
	penstock_handle_release(handle);
	cr_assert_eq(rows(), 1);
	expect(penstock_close(NULL, 0), PENSTOCK_OK);
}

/* It has come to nothing: what is not served then is held, as configured. */
Test(states, close_that_times_out_leaves_the_configuration)
{
	penstock_config config = kit_config();
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	config.when_stopped = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	kit_block(db);
	expect(penstock_close(db, 0), PENSTOCK_TIMEOUT);
	kit_unblock();
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 2, 0, NULL), PENSTOCK_OK);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 2);
}

Test(states, calls_during_close_are_refused)
{
	penstock_config config = kit_config(), change;
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_statement *statement;
	sqlite3 *reader;
	struct verb close;
	penstock *db;

	config.when_paused = PENSTOCK_HOLD;
	config.when_stopped = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	penstock_config_init(&change);
	change.batch_max = 5;
	change.when_stopped = PENSTOCK_HOLD;
	kit_block(db);
	verb_begin(&close, penstock_close, db);
	kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
	/* The writer stands still, so close is inside until the end of this. */
	expect(kit_insert(db, 2, PENSTOCK_FOREVER, NULL), PENSTOCK_STOPPED); /* hold or not */
	expect(kit_execute(db, "SELECT 1"), PENSTOCK_STOPPED);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_STOPPED);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_STOPPED);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_STOPPED);
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	expect(kit_insert(db, 2, PENSTOCK_FOREVER, NULL), PENSTOCK_STOPPED);
	expect(penstock_reader_open(db, &reader), PENSTOCK_STOPPED);
	check(reader == NULL);
	expect(penstock_close(db, 0), PENSTOCK_MISUSE);
	expect(penstock_statement_register(db, "SELECT 1", -1, &statement), PENSTOCK_OK);
	expect(penstock_flush(db, 0), PENSTOCK_TIMEOUT);
	expect(penstock_counters_read(db, &counters), PENSTOCK_OK);
	cr_assert_eq(penstock_is_stopped(db), 0);
	kit_unblock();
	expect(verb_end(&close), PENSTOCK_OK);
}

/* In the callback of what was held: close has let go of everything else by then. */
static void hear_the_end(void *arg, const penstock_result *result)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock *db = *(penstock **)arg;
	penstock_statement *statement;

	cr_assert_eq(result->status, PENSTOCK_SHUTDOWN);
	expect(penstock_counters_read(db, &counters), PENSTOCK_STOPPED);
	expect(penstock_statement_register(db, "SELECT 1", -1, &statement), PENSTOCK_STOPPED);
	check(statement == NULL);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_STOPPED);
	*(penstock **)arg = NULL;
}

Test(states, calls_in_the_last_callbacks_are_refused)
{
	penstock_config config = kit_config();
	penstock *db, *seen;
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT 1", .on_complete = hear_the_end, .arg = &seen
	};

	config.autostart = 0;
	db = seen = kit_open(&config);
	expect(penstock_submit(db, &submission, 0, NULL), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_null(seen);
}

/* Those that sleep inside when close begins hear it, and close waits for them. */
Test(states, close_sends_the_waiting_away)
{
	penstock_config config = kit_config();
	struct verb flush, close, pause;
	penstock *db;
	int status;

	config.when_paused = PENSTOCK_HOLD;
	config.ring_slots = 2;
	db = kit_open_table(&config);
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	expect(kit_insert(db, 2, 0, NULL), PENSTOCK_OK);
	verb_begin(&flush, penstock_flush, db);
	verb_begin(&pause, penstock_pause, db);
	await(waiting_pausers(db) == 1);
	await(ps_load_acquire_u32(&db->ring.progress.waiters) == 1);
	verb_begin(&close, penstock_close, db);
	expect(verb_end(&pause), PENSTOCK_STOPPED);
	status = verb_end(&flush);
	check(status == PENSTOCK_OK || status == PENSTOCK_STOPPED, "%s", penstock_status_name(status));
	expect(verb_end(&close), PENSTOCK_OK);
}

struct producer {
	penstock *db;
	int64_t value;
	int status;
	_Atomic bool done;
	size_t bytes;
	int64_t timeout_usec; /* 0: for ever */
};

static void *waiting_producer(void *arg)
{
	struct producer *producer = arg;

	producer->status = kit_insert(producer->db, producer->value, PENSTOCK_FOREVER, NULL);
	return NULL;
}

/* Producers that wait for room hear each change of state. */
static void room_waiters(int (*verb)(penstock *, int64_t), int wanted)
{
	penstock_config config = kit_config();
	struct producer producers[4];
	pthread_t threads[4];
	struct verb call;
	penstock *db;

	config.ring_slots = 2;
	db = kit_open_table(&config);
	kit_block(db);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
	for (int i = 0; i < 4; i++) {
		producers[i] = (struct producer){ .db = db, .value = 100 + i };
		threads[i] = kit_thread(waiting_producer, &producers[i]);
	}
	await(ps_load_relaxed_u32(&db->ring.room.waiters) == 4);
	verb_begin(&call, verb, db);
	for (int i = 0; i < 4; i++) {
		kit_join(threads[i]); /* while the writer is still busy */
		expect(producers[i].status, wanted);
	}
	kit_unblock();
	expect(verb_end(&call), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
	if (verb != penstock_close)
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

Test(states, pause_sends_those_that_wait_for_room_away)
{
	room_waiters(penstock_pause, PENSTOCK_PAUSED);
}

Test(states, stop_sends_those_that_wait_for_room_away)
{
	room_waiters(penstock_stop, PENSTOCK_STOPPED);
}

Test(states, close_sends_those_that_wait_for_room_away)
{
	room_waiters(penstock_close, PENSTOCK_STOPPED);
}

/* With hold they wait on, and get their room when the engine runs again. */
Test(states, those_that_wait_for_room_outlast_a_pause_that_holds)
{
	penstock_config config = kit_config();
	struct producer producers[4];
	pthread_t threads[4];
	penstock *db;

	config.ring_slots = 2;
	config.when_paused = PENSTOCK_HOLD;
	config.when_stopped = PENSTOCK_HOLD;
	db = kit_open_table(&config);
	for (int round = 0; round < 2; round++) {
		if (round == 0)
			expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		else
			expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		expect(kit_insert(db, 1, 0, NULL), PENSTOCK_OK);
		expect(kit_insert(db, 2, 0, NULL), PENSTOCK_OK);
		for (int i = 0; i < 4; i++) {
			producers[i] = (struct producer){ .db = db, .value = 100 + i };
			threads[i] = kit_thread(waiting_producer, &producers[i]);
		}
		await(ps_load_relaxed_u32(&db->ring.room.waiters) == 4);
		if (round == 0)
			expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		else
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		for (int i = 0; i < 4; i++) {
			kit_join(threads[i]);
			expect(producers[i].status, PENSTOCK_OK);
		}
		expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		cr_assert_eq(rows(), 6 * (round + 1));
	}
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

static void *large_producer(void *arg)
{
	struct producer *producer = arg;
	void *data = calloc(1, producer->bytes);
	penstock_value value = penstock_blob(data, producer->bytes);
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t(a) VALUES(?)",
		                           .values = &value,
		                           .value_count = 1 };

	producer->status = penstock_submit(producer->db, &submission,
	                                   producer->timeout_usec != 0 ? producer->timeout_usec : PENSTOCK_FOREVER, NULL);
	producer->done = true;
	free(data);
	return NULL;
}

struct crowd {
	penstock *db;
	_Atomic bool large_is_in;
};

static void *submit_small_ones(void *arg)
{
	struct crowd *crowd = arg;
	static const char bytes[300];
	penstock_value value = penstock_blob(bytes, sizeof bytes);
	/* It takes its time, so that the ring is always full. */
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 1000) INSERT INTO t SELECT ? FROM c WHERE x=1000",
		.values = &value,
		.value_count = 1,
	};

	while (!crowd->large_is_in)
		expect(penstock_submit(crowd->db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
	return NULL;
}

/* One that needs all bytes to be free, while others want them too: it gets in, or this does not end. */
Test(states, a_large_submission_gets_its_turn)
{
	penstock_config config = kit_config();
	struct producer producer = { .bytes = 1000000 };
	struct crowd crowd = { 0 };
	pthread_t threads[3];

	config.ring_bytes = 500000;
	config.ring_slots = 64;
	config.batch_max = 4;
	crowd.db = producer.db = kit_open_table(&config);
	for (int i = 0; i < 3; i++)
		threads[i] = kit_thread(submit_small_ones, &crowd);
	for (int i = 0; i < 3; i++) {
		large_producer(&producer);
		expect(producer.status, PENSTOCK_OK);
	}
	crowd.large_is_in = true;
	for (int i = 0; i < 3; i++)
		kit_join(threads[i]);
	expect(penstock_close(crowd.db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t WHERE length(a) = 1000000"), 3);
}

static void *named_large_producer(void *arg)
{
	pthread_setname_np(pthread_self(), "large");
	return large_producer(arg);
}

static void pass_gate(void *arg, const penstock_result *result)
{
	(void)result;
	gate_pass(arg);
}

static int submit_bytes(penstock *db, size_t count)
{
	static const char bytes[200000];
	penstock_value value = penstock_blob(bytes, count);
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t(a) VALUES(?)",
		                           .values = &value,
		                           .value_count = 1 };

	return penstock_try_submit(db, &submission, NULL);
}

/* Holds the writer up behind what was submitted before. */
static void submit_gate(penstock *db, struct gate *gate)
{
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT 1", .on_complete = pass_gate, .arg = gate
	};

	gate_set(gate, true);
	expect(penstock_try_submit(db, &submission, NULL), PENSTOCK_OK);
}

/* Batches of one, and 500,000 bytes, of which 200,000 are taken; the writer is at the gate. */
static penstock *open_half_full(struct gate *gate)
{
	penstock_config config = kit_config();
	penstock *db;

	config.ring_bytes = 500000;
	config.ring_slots = 16;
	config.batch_max = 1;
	db = kit_open_table(&config);
	submit_gate(db, gate);
	gate_await(gate);
	expect(submit_bytes(db, 200000), PENSTOCK_OK);
	return db;
}

/*
 * One that waits for bytes lets others have those that there are, until all that was there before it is done. From then on it is in
 * line, and nobody else gets bytes before it; what lies in the slots is not concerned.
 */
Test(states, a_large_submission_is_passed_by_others_for_as_long_as_what_was_before_it)
{
	static struct gate gates[3] = { GATE_INIT, GATE_INIT, GATE_INIT };
	struct producer large = { .bytes = 400000 }, small[3];
	pthread_t threads[4];
	penstock *db;

	db = large.db = open_half_full(&gates[0]);
	threads[0] = kit_thread(named_large_producer, &large);
	await(ps_load_relaxed_u32(&db->ring.room.waiters) == 1 && kit_thread_sleeps(kit_find_thread("large")));
	submit_gate(db, &gates[1]);
	expect(submit_bytes(db, 200000), PENSTOCK_OK);
	submit_gate(db, &gates[2]);

	gate_set(&gates[0], false);
	gate_await(&gates[1]);
	await(ps_load_relaxed_u64(&db->ring.line.first) != 0);
	expect(submit_bytes(db, 1000), PENSTOCK_FULL);
	expect(submit_bytes(db, 1), PENSTOCK_OK);
	for (int i = 0; i < 3; i++) {
		small[i] = (struct producer){ .db = db, .bytes = 1000 };
		threads[1 + i] = kit_thread(large_producer, &small[i]);
	}
	await(ps_load_relaxed_u32(&db->ring.room.waiters) == 4);
	check(!large.done && !small[0].done && !small[1].done && !small[2].done);

	/* All get in while the writer is still busy. */
	gate_set(&gates[1], false);
	for (int i = 0; i < 4; i++)
		kit_join(threads[i]);
	gate_await(&gates[2]);
	expect(large.status, PENSTOCK_OK);
	cr_assert_eq(ps_load_relaxed_u64(&db->ring.line.first), 0);
	gate_set(&gates[2], false);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 7);
	cr_assert_eq(kit_ask(harness_path("test.db"), "SELECT min(rowid) FROM t WHERE length(a)=1000"), 5);
}

/* ... nor after it has left the line, be the writer busy for ever. */
Test(states, a_large_submission_that_leaves_lets_others_in)
{
	static struct gate gates[2] = { GATE_INIT, GATE_INIT };
	struct producer large = { .bytes = 400000, .timeout_usec = 15 * SHORT }, small[3];
	pthread_t threads[4];
	penstock *db;

	db = large.db = open_half_full(&gates[0]);
	threads[0] = kit_thread(large_producer, &large);
	await(ps_load_relaxed_u32(&db->ring.room.waiters) == 1 || large.done);
	submit_gate(db, &gates[1]);
	expect(submit_bytes(db, 200000), PENSTOCK_OK);
	gate_set(&gates[0], false);
	await(ps_load_relaxed_u64(&db->ring.line.first) != 0 || large.done);
	for (int i = 0; i < 3; i++) {
		small[i] = (struct producer){ .db = db, .bytes = 1000 };
		threads[1 + i] = kit_thread(large_producer, &small[i]);
	}
	for (int i = 0; i < 4; i++)
		kit_join(threads[i]);
	expect(large.status, PENSTOCK_FULL);
	gate_set(&gates[1], false);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 5);
}

/* A submit that began before close has time to copy its values, and close waits for it (it is inside). */
Test(states, close_waits_for_a_submit_that_has_begun)
{
	for (int i = 0; i < 8; i++) {
		penstock_config config = kit_config();
		/* A sanitizer copies a tenth as fast. */
		struct producer producer = { .bytes = KIT_SANITIZED ? 5000000 : 50000000 };
		penstock *db = kit_open(&config);
		pthread_t thread;

		producer.db = db;
		thread = kit_thread(large_producer, &producer);
		/* No call may begin once close has returned, so it must be seen inside; it takes its time to copy. */
		await(ps_load_acquire_u32(&db->inside) != 0 || producer.done);
		kit_sleep_usec(1000 * i);
		expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		kit_join(thread);
		check(producer.status == PENSTOCK_OK || producer.status == PENSTOCK_STOPPED, "%s",
		      penstock_status_name(producer.status));
		harness_end();
	}
}

/* ---- is_stopped -------------------------------------------------------------------------------------------------- */

static void stopped_is(const penstock *db, int stopped)
{
	cr_assert_eq(penstock_is_stopped(db), stopped);
	/* It names itself, and the kernel lists it for a moment after it was joined. */
	await((kit_find_writer() == 0) == stopped);
}

Test(states, is_stopped_says_whether_there_is_a_writer)
{
	penstock_config config = kit_config();
	penstock *db;

	config.autostart = 0;
	db = kit_open(&config);
	stopped_is(db, 1);
	for (int i = 0; i < 3; i++) {
		expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		await(kit_find_writer() != 0); /* it names itself */
		stopped_is(db, 0);
		expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		stopped_is(db, 0);
		expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		stopped_is(db, 0);
		expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		stopped_is(db, 1);
	}
	cr_assert_eq(penstock_is_stopped(NULL), 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}

/* The program's own destructors on the writer's thread run as it ends. */
static pthread_key_t of_the_thread;
static _Atomic unsigned threads_begun, threads_ended;
static _Atomic bool may_end;

static void end_slowly(void *value)
{
	(void)value;
	await(may_end);
	kit_sleep_usec(30000);
	threads_ended++;
}

static int note_thread(sqlite3 *connection, void *arg)
{
	if (ps_in_callback() && pthread_getspecific(of_the_thread) == NULL) {
		check(pthread_setspecific(of_the_thread, &threads_begun) == 0);
		threads_begun++;
	}
	return kit_hook(connection, arg);
}

/* An engine whose writer has ended by itself, and nobody has heard of that. */
static penstock *open_with_writer_that_ended(void)
{
	penstock_config config = kit_config();
	penstock *db;

	may_end = false;
	threads_begun = threads_ended = 0;
	config.connect_hook = note_thread;
	config.autostart = 0;
	db = kit_open(&config);
	hook_code = SQLITE_PERM;
	gate_set(&hook_gate, true);
	expect(penstock_start(db, SHORT), PENSTOCK_TIMEOUT);
	gate_set(&hook_gate, false);
	await(penstock_is_stopped(db));
	hook_code = SQLITE_OK;
	cr_assert_eq(threads_begun, 1);
	cr_assert_eq(threads_ended, 0);
	may_end = true;
	return db;
}

/* Whoever hears that there is no writer any more may unload what it called. */
Test(states, no_thread_outlasts_the_verb_that_ends_it)
{
	penstock_config config = kit_config();
	penstock *db;

	check(pthread_key_create(&of_the_thread, end_slowly) == 0);
	db = open_with_writer_that_ended();
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(threads_ended, 1);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);

	db = open_with_writer_that_ended();
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(threads_ended, 1);
	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(threads_ended, 2);
	/* A start that fails. */
	hook_code = SQLITE_PERM;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_CANTOPEN);
	cr_assert_eq(threads_ended, 3);
	hook_code = SQLITE_OK;
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(threads_ended, 4);

	db = open_with_writer_that_ended();
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(threads_ended, 1);

	config.connect_hook = note_thread;
	hook_code = SQLITE_PERM;
	expect(penstock_open(harness_path("test.db"), &config, &db), PENSTOCK_CANTOPEN);
	cr_assert_eq(threads_begun, 2);
	cr_assert_eq(threads_ended, 2);
	hook_code = SQLITE_OK;
	pthread_key_delete(of_the_thread);
}

Test(states, phases_have_names)
{
	static const char *const names[] = { "STOPPED", "RUNNING", "PAUSING", "PAUSED", "STOPPING", "FAILED" };

	for (int i = 0; i < 6; i++)
		cr_assert_str_eq(penstock_phase_name((penstock_phase)i), names[i]);
	cr_assert_str_eq(penstock_phase_name((penstock_phase)6), "?");
	cr_assert_str_eq(penstock_phase_name((penstock_phase)-1), "?");
	cr_assert_eq(penstock_phase_of(NULL), PENSTOCK_PHASE_STOPPED);
}

/* ---- close, while a call is inside ------------------------------------------------------------------------------- */

static __thread bool slow_to_lock; /* is preempted before its next mutex */
static _Atomic bool locking, may_lock;
static __thread bool counts_naps;
static _Atomic unsigned naps;

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (slow_to_lock) {
		slow_to_lock = false;
		locking = true;
		await(may_lock);
	}
	return __real_pthread_mutex_lock(mutex);
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	naps += counts_naps;
	return __real_nanosleep(time, left);
}

static void *ask_for_failure(void *arg)
{
	char text[100];

	slow_to_lock = true;
	check(penstock_failure(arg, text, sizeof text) == 0 && text[0] == '\0');
	return NULL;
}

static int close_and_count_naps(penstock *db, int64_t timeout_usec)
{
	counts_naps = true;
	return penstock_close(db, timeout_usec);
}

Test(states, close_waits_for_one_that_asks_for_the_failure)
{
	penstock *db = kit_open(NULL);
	pthread_t asker = kit_thread(ask_for_failure, db);
	struct verb close;

	await(locking);
	verb_begin(&close, close_and_count_naps, db);
	/* It looks again and again whether all have left, or is back without that. */
	await(naps >= 3 || close.done);
	check(!close.done);
	may_lock = true;
	kit_join(asker);
	expect(verb_end(&close), PENSTOCK_OK);
}

static void *open_a_reader(void *arg)
{
	sqlite3 *reader;

	expect(penstock_reader_open(arg, &reader), PENSTOCK_OK);
	sqlite3_close(reader);
	return NULL;
}

Test(states, close_does_not_wait_longer_than_it_may_for_a_reader_that_is_opened)
{
	penstock_config config = kit_config();
	penstock *db = kit_open_table(&config);
	pthread_t opener;

	gate_set(&hook_gate, true);
	opener = kit_thread(open_a_reader, db);
	gate_await(&hook_gate);
	/* It stands in its hook until this has come back. */
	expect(penstock_close(db, SHORT), PENSTOCK_TIMEOUT);
	expect(penstock_close(db, 0), PENSTOCK_TIMEOUT);
	/* On a busy machine the writer may take longer than that, too. */
	await(phase(db) == PENSTOCK_PHASE_STOPPED);
	expect(kit_insert(db, 1, 0, NULL), PENSTOCK_STOPPED);
	gate_set(&hook_gate, false);
	kit_join(opener);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
}

/* ---- behind another process's lock, and giving up ---------------------------------------------------------------- */

static bool is_closing(penstock *db)
{
	bool closing;

	pthread_mutex_lock(&db->control.mutex);
	closing = db->control.closing;
	pthread_mutex_unlock(&db->control.mutex);
	return closing;
}

static sqlite3 *lock_file(void)
{
	sqlite3 *connection;

	check(sqlite3_open(harness_path("test.db"), &connection) == SQLITE_OK);
	check(sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(connection));
	return connection;
}

static void unlock_file(sqlite3 *connection)
{
	check(sqlite3_exec(connection, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(connection);
}

static _Atomic unsigned ends[PENSTOCK_STATUS_LIMIT];
static _Atomic int64_t retries_at_first_end;

static void count_end(void *arg, const penstock_result *result)
{
	if (retries_at_first_end < 0)
		retries_at_first_end = (int64_t)kit_counters(arg).busy_retries;
	ends[result->status]++;
}

static void submit_counted(penstock *db, const char *sql, unsigned times)
{
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = sql, .on_complete = count_end, .arg = db
	};

	while (times-- > 0)
		expect(penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);
}

/* A table, in batches of ten. */
static penstock *open_for_lock(int64_t busy_timeout_ms, int64_t busy_limit_ms)
{
	penstock_config config = kit_config();

	config.batch_max = 10;
	config.busy_timeout_ms = busy_timeout_ms;
	config.busy_limit_ms = busy_limit_ms;
	config.when_paused = PENSTOCK_HOLD;
	memset(ends, 0, sizeof ends);
	retries_at_first_end = -1;
	return kit_open_table(&config);
}

Test(states, a_lock_that_is_never_let_go_of_costs_all_one_limit)
{
	penstock *db = open_for_lock(0, 30);
	penstock_config change;
	penstock_handle *handle;
	sqlite3 *holder;
	uint64_t before;

	kit_block(db);
	holder = lock_file();
	submit_counted(db, "INSERT INTO t VALUES(1)", 100);
	kit_unblock();
	expect(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(ends[PENSTOCK_ERROR], 100);
	/* The first batch has waited for all: each of the others only looks once. */
	check(kit_counters(db).busy_retries - (uint64_t)retries_at_first_end <= 9, "%" PRIu64 " and then %" PRIu64,
	      (uint64_t)retries_at_first_end, kit_counters(db).busy_retries);
	/* Whoever comes later waits anew. */
	penstock_config_init(&change);
	change.busy_limit_ms = 0;
	expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
	before = kit_counters(db).busy_retries;
	expect(kit_insert(db, 2, PENSTOCK_FOREVER, &handle), PENSTOCK_OK);
	await(kit_counters(db).busy_retries >= before + 3);
	unlock_file(holder);
	expect(penstock_handle_wait(handle, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_handle_release(handle);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	cr_assert_eq(rows(), 1);
}

Test(states, busy_limit_is_live_while_it_stops_or_closes)
{
	penstock_config change;

	penstock_config_init(&change);
	change.busy_limit_ms = 1;
	for (int closes = 0; closes <= 1; closes++) {
		/* One attempt would take an hour. */
		penstock *db = open_for_lock(3600000, 0);
		sqlite3 *holder = lock_file();
		struct verb end;

		submit_counted(db, "INSERT INTO t VALUES(1)", 100);
		expect(penstock_stop(db, SHORT), PENSTOCK_TIMEOUT);
		verb_begin(&end, closes ? penstock_close : penstock_stop, db);
		kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
		if (closes)
			await(is_closing(db));
		expect(penstock_reconfigure(db, &change), PENSTOCK_OK);
		expect(verb_end(&end), PENSTOCK_OK);
		cr_assert_eq(ends[PENSTOCK_ERROR], 100);
		if (!closes)
			expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		unlock_file(holder);
		harness_end();
	}
}

static int stop_giving_up(penstock *db, int64_t timeout_usec)
{
	return penstock_stop_with(db, timeout_usec, PENSTOCK_GIVE_UP);
}

Test(states, what_waits_for_a_lock_is_given_up)
{
	for (int round = 0; round < 3; round++) {
		penstock *db = open_for_lock(3600000, 0);
		sqlite3 *holder = lock_file();
		struct verb close;

		submit_counted(db, "INSERT INTO t VALUES(1)", 100);
		switch (round) {
		case 0:
			expect(penstock_stop_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
			cr_assert_eq(phase(db), PENSTOCK_PHASE_STOPPED);
			unlock_file(holder);
			/* What comes after the next start is not given up. */
			expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			expect(kit_execute(db, "DELETE FROM t"), PENSTOCK_OK);
			holder = lock_file();
			expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
			break;
		case 1:
			expect(penstock_close(db, SHORT), PENSTOCK_TIMEOUT);
			expect(penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
			break;
		default:
			/* While another thread waits in a close that does not give up. */
			verb_begin(&close, penstock_close, db);
			await(is_closing(db));
			stop_giving_up(db, 0);
			expect(verb_end(&close), PENSTOCK_OK);
			break;
		}
		cr_assert_eq(ends[PENSTOCK_SHUTDOWN], 100);
		unlock_file(holder);
		cr_assert_eq(rows(), 0);
		harness_end();
	}
}

Test(states, what_has_begun_is_finished_and_the_rest_given_up)
{
	penstock *db = open_for_lock(3600000, 0);
	struct verb stop;

	/* A batch, held until it is there. */
	expect(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	submit_counted(db, "INSERT INTO t VALUES(1)", 3);
	submit_counted(db, "INSERT INTO t SELECT gate()", 1);
	submit_counted(db, "INSERT INTO t VALUES(2)", 30);
	gate_set(&sql_gate, true);
	expect(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	gate_await(&sql_gate);
	verb_begin(&stop, stop_giving_up, db);
	kit_await_phase(db, PENSTOCK_PHASE_STOPPING);
	verb_sleeps(db); /* until then the writer goes on, one by one */
	kit_unblock();
	expect(verb_end(&stop), PENSTOCK_OK);
	cr_assert_eq(ends[PENSTOCK_OK], 4);
	cr_assert_eq(ends[PENSTOCK_SHUTDOWN], 30);
	cr_assert_eq(rows(), 4);
	expect(penstock_stop_with(db, 0, 8), PENSTOCK_MISUSE);
	expect(penstock_close_with(db, 0, 8), PENSTOCK_MISUSE);
	expect(penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
}

Test(states, a_start_behind_a_lock_is_given_up)
{
	penstock *db = open_for_lock(3600000, 0);
	struct verb start;
	sqlite3 *holder;

	expect(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	holder = lock_file();
	verb_begin(&start, penstock_start, db);
	await(!penstock_is_stopped(db));
	expect(penstock_stop_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP), PENSTOCK_OK);
	expect(verb_end(&start), PENSTOCK_CANTOPEN);
	unlock_file(holder);
	expect(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	expect(kit_execute(db, "INSERT INTO t VALUES(1)"), PENSTOCK_OK);
	expect(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
}
