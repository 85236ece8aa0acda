/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole engine, its writer thread included, over the store of store.c: producers with every kind of listener and
 * timeout, and the verbs.
 *
 * What must hold in each schedule: every call returns; what was accepted has exactly one outcome, what was refused
 * none; an OK was committed once and before the outcome was out, an ERROR or SHUTDOWN never; what is CANCELLED is what a cancel was
 * answered OK for, it did not run, and nor did what is EXPIRED; each producer's rows are in its order, and all in the order of the tickets; after a pause or stop (of an engine that holds nothing)
 * everything accepted before it has its outcome; the engine keeps away from the file while it is paused. While another process has
 * paused all (others.h) nobody is at work; who is cancelled or too late is told, and a verb that nobody has left anything to do for
 * comes back; behind it everybody goes on. A call of the engine's that the kernel refuses its lock hears SQLITE_BUSY at worst.
 */
#include <string.h>

#include "tests/schedule/others.h"
#include "tests/schedule/scheduler.h"
#include "tests/schedule/store.h"
#include "queue/completions.h"
#include "writer/engine.h"

#define PRODUCERS 2
#define SUBMITS_MAX 4
#define IDS (PRODUCERS * SUBMITS_MAX)

_Static_assert(IDS <= STORE_ROWS, "a row for each");

enum listener { NOBODY, HANDLE, CALLBACK, EXECUTE, LISTENERS };

struct submission {
	bool accepted;
	bool bad;
	bool queued;   /* on its way to a completion queue */
	bool durable;  /* and asks for that */
	bool given_up; /* its completion queue was abandoned */
	bool cancellable, cancelled, timed;
	enum listener listener;
	penstock_handle *handle; /* not released yet */
	unsigned outcomes;       /* that a callback or a handle brought */
	penstock_status status;
	bool lacked_lock; /* what it heard */
	uint64_t ticket;  /* with an outcome */
};

static penstock *db;
static struct submission submissions[IDS];
static unsigned submits, producers, through; /* producers that call no more */
static bool holds, holds_when_paused, excludes, lone_pauser;
static bool among; /* other processes */
static struct others_plan plan;
static bool strangers; /* the first ones are each of a thread of its own */

/* ---- outcomes ---- */

static void hear(struct submission *submission, const penstock_result *result)
{
	const struct store_row *row = &store_world.rows[submission - submissions];

	submission->outcomes++;
	submission->status = result->status;
	submission->lacked_lock = result->status == PENSTOCK_ERROR && result->extended_code == SQLITE_BUSY;
	submission->ticket = result->ticket;
	if (result->status == PENSTOCK_OK)
		schedule_check(row->committed == 1, "an OK that is not committed");
}

static void on_complete(void *arg, const penstock_result *result)
{
	schedule_point("a callback");
	hear(arg, result);
}

/* Of a submission that nobody listens to. */
static void on_error(void *arg, const penstock_result *result)
{
	(void)arg;
	hear(result->arg, result);
}

/* Looks at the handle's outcome and lets go of it. */
static void finish(struct submission *submission)
{
	penstock_handle *handle = submission->handle;
	const penstock_result *result = penstock_handle_result(handle);

	schedule_check(result != NULL, "no outcome");
	hear(submission, result);
	submission->handle = NULL;
	penstock_handle_release(handle);
}

/* No point in it: the handle's own thread may be about to let go of it. */
static bool settled(unsigned id)
{
	const struct submission *submission = &submissions[id];

	/* What a queue may have yet its loop finds out. */
	return submission->queued || store_world.rows[id].committed != 0 || store_world.rows[id].errored != 0 ||
	       submission->outcomes != 0 || (submission->handle != NULL && (submission->handle->word & 1) != 0); /* DONE */
}

static unsigned accepted_now(void)
{
	unsigned set = 0, i;

	for (i = 0; i < IDS; i++)
		set |= submissions[i].accepted ? 1u << i : 0;
	return set;
}

static void expect_settled(unsigned set, const char *after)
{
	unsigned i;

	for (i = 0; i < IDS; i++)
		schedule_check((set & 1u << i) == 0 || settled(i),
		               "submission %u, accepted before the %s, has no outcome after it", i, after);
}

/* ---- threads ---- */

/* Of the same handle again and again, too: the answer never changes but from none to "too late" (or it was OK, and stays so). */
static void cancel(struct submission *submission)
{
	int status = penstock_handle_cancel(submission->handle);

	if (!submission->cancellable) {
		schedule_check(status == PENSTOCK_MISUSE, "cancel: %s", penstock_status_name(status));
		return;
	}
	schedule_check(status == PENSTOCK_OK || status == PENSTOCK_TOO_LATE, "cancel: %s", penstock_status_name(status));
	schedule_check(!submission->cancelled || status == PENSTOCK_OK, "a cancel is taken back");
	schedule_check(status != PENSTOCK_OK || submission->cancelled || penstock_handle_result(submission->handle) == NULL ||
	                       penstock_handle_result(submission->handle)->status == PENSTOCK_CANCELLED,
	               "a cancel is OK behind another outcome");
	submission->cancelled = status == PENSTOCK_OK;
}

static int64_t some_timeout(void)
{
	switch (schedule_random(4)) {
	case 0:
		return 1;
	case 1:
		return 50;
	default:
		return PENSTOCK_FOREVER;
	}
}

static void submit(unsigned id)
{
	static const char blob[2500]; /* does not fit a slot; two do not fit the least ring_bytes */
	struct submission *mine = &submissions[id];
	penstock_value values[3];
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = "x",
		.values = values,
		.value_count = 2,
		.arg = mine,
		.ack = schedule_random(4) == 0 ? PENSTOCK_ACK_DURABLE : PENSTOCK_ACK_DEFAULT,
		.flags = schedule_random(6) == 0 ? PENSTOCK_RUN_ALONE : 0,
	};
	int64_t timeout = schedule_random(6) == 0 ? 0 : some_timeout();
	penstock_handle *handle;
	int status;

	mine->bad = schedule_random(6) == 0;
	mine->listener = (enum listener)schedule_random(LISTENERS);
	mine->cancellable = (mine->listener == HANDLE || mine->listener == EXECUTE) && schedule_random(2) == 0;
	if (mine->cancellable)
		submission.flags |= PENSTOCK_CANCELLABLE;
	mine->timed = schedule_random(4) == 0;
	if (mine->timed)
		submission.deadline_usec = schedule_random(3) == 0 ? -1 : penstock_deadline((int64_t)schedule_random(100));
	store_values(values, id, mine->bad);
	if (schedule_random(4) == 0)
		values[submission.value_count++] = penstock_blob(blob, sizeof blob);
	switch (mine->listener) {
	case CALLBACK:
		submission.on_complete = on_complete;
		/* fall through */
	case NOBODY:
		status = penstock_submit(db, &submission, timeout, NULL);
		mine->accepted = status == PENSTOCK_OK;
		break;
	case HANDLE:
		status = penstock_submit(db, &submission, timeout, &handle);
		mine->handle = handle;
		mine->accepted = status == PENSTOCK_OK;
		schedule_check((handle != NULL) == mine->accepted);
		if (mine->accepted && schedule_random(3) == 0)
			cancel(mine);
		if (mine->accepted && schedule_random(3) == 0 &&
		    penstock_handle_wait(handle, some_timeout()) != PENSTOCK_TIMEOUT)
			finish(mine);
		break;
	default:
		status = penstock_execute(db, &submission, timeout == 0 ? 1 : timeout, &handle);
		mine->handle = handle;
		mine->accepted = handle != NULL;
		if (mine->accepted && status != PENSTOCK_TIMEOUT)
			finish(mine);
		break;
	}
}

static void producer(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, i;

	for (i = 0; i < submits; i++)
		submit(me * SUBMITS_MAX + i);
	for (i = me * SUBMITS_MAX; i < me * SUBMITS_MAX + submits; i++) {
		if (submissions[i].handle != NULL && schedule_random(3) == 0)
			cancel(&submissions[i]);
	}
	through++;
	/* The engine may be closed by now. */
	for (i = me * SUBMITS_MAX; i < me * SUBMITS_MAX + submits; i++) {
		if (submissions[i].handle != NULL && schedule_random(4) != 0) {
			if (schedule_random(3) == 0)
				cancel(&submissions[i]);
			penstock_handle_wait(submissions[i].handle, PENSTOCK_FOREVER);
			finish(&submissions[i]);
		}
	}
}

static void (*run)(void *arg) = producer;

static void stand_about(unsigned most)
{
	unsigned i;

	for (i = schedule_random(most); i > 0; i--)
		schedule_point("stands about");
}

/* With the file its own: the engine must not be there, and unless it holds accept nothing. */
static void use_file(bool all)
{
	store_world.excluded = excludes;
	store_world.holds_others = excludes && all;
	schedule_check(!store_world.holds_others || (!store_world.held_by_other && !store_world.other_writes),
	               "all are paused, and another process is at work");
	if (excludes)
		schedule_check(!store_world.connected, "paused, and still connected");
	stand_about(60);
	if (excludes && !holds_when_paused)
		schedule_check(db->next == ps_ring_tail(&db->ring), "accepted while paused");
	store_world.excluded = store_world.holds_others = false;
}

static void pauser(void *arg)
{
	unsigned set, rounds;
	bool all, still = false; /* an unpause that timed out goes on by itself, and meanwhile the pause is this thread's */
	int status;

	(void)arg;
	for (rounds = 1 + schedule_random(2); rounds > 0; rounds--) {
		stand_about(40);
		set = accepted_now();
		all = among && schedule_random(2) == 0;
		status = all ? penstock_pause_all(db, some_timeout()) : penstock_pause(db, some_timeout());
		schedule_check(status == PENSTOCK_OK || status == PENSTOCK_TIMEOUT || status == PENSTOCK_STOPPED ||
		                       status == PENSTOCK_FAILED || (status == PENSTOCK_MISUSE && still) ||
		                       (status == PENSTOCK_CANTOPEN && all && store_world.refuses != 0),
		               "pause: %s", penstock_status_name(status));
		if (status != PENSTOCK_OK)
			continue;
		expect_settled(set, "pause");
		use_file(all);
		/* After a TIMEOUT it may be another's pause, or (cannot_open, refuses) still this one. */
		do {
			status = penstock_unpause(db, some_timeout());
		} while (status == PENSTOCK_CANTOPEN || (status == PENSTOCK_TIMEOUT && lone_pauser));
		still = status == PENSTOCK_TIMEOUT;
	}
}

/* Stops it, and may start it again. */
static void stopper(void *arg)
{
	unsigned set, rounds;

	(void)arg;
	for (rounds = 1 + schedule_random(2); rounds > 0; rounds--) {
		stand_about(60);
		set = accepted_now();
		if (penstock_stop_with(db, some_timeout(), schedule_random(3) == 0 ? PENSTOCK_GIVE_UP : 0) == PENSTOCK_OK &&
		    !holds)
			expect_settled(set, "stop");
		if (schedule_random(2) == 0)
			penstock_start(db, some_timeout());
	}
}

/* Tunes, opens readers and looks at what anybody may look at. */
static void observer(void *arg)
{
	penstock_config config;
	sqlite3 *connection;
	unsigned rounds;
	int status;

	(void)arg;
	for (rounds = 1 + schedule_random(4); rounds > 0; rounds--) {
		switch (schedule_random(3)) {
		case 0:
			penstock_config_init(&config);
			config.ring_bytes = schedule_random(2) == 0 ? 4096 : 65536;
			config.batch_max = 1 + schedule_random(3);
			status = penstock_reconfigure(db, &config);
			schedule_check(status == PENSTOCK_OK, "reconfigure: %s", penstock_status_name(status));
			break;
		case 1:
			status = penstock_reader_open(db, &connection);
			schedule_check(status == PENSTOCK_OK || status == PENSTOCK_PAUSED, "reader: %s",
			               penstock_status_name(status));
			break;
		default:
			schedule_check(penstock_queue_depth(db) <= IDS);
			break;
		}
		stand_about(30);
	}
}

/* ---- the first thread ---- */

enum { PAUSES = 1, STOPS = 2, BREAKS = 4, CANNOT_OPEN = 8, LOOKS = 16, CHECKPOINTS = 32, OTHERS = 64 };

static void configure(penstock_config *config, unsigned what)
{
	static const int64_t lingers[] = { 0, 0, 0, 20 }, spins[] = { 0, 0, 0, 5 };

	penstock_config_init(config);
	config->ring_slots = 2 << schedule_random(2);
	config->ring_bytes = schedule_random(2) == 0 ? 4096 : 65536;
	config->batch_max = schedule_random(2) == 0 ? 2 : 1000;
	config->linger_usec = lingers[schedule_random(4)];
	config->spin_usec = spins[schedule_random(4)];
	config->when_full = schedule_random(4) == 0 ? PENSTOCK_WHEN_FULL_FAIL : PENSTOCK_WHEN_FULL_BLOCK;
	config->when_paused = schedule_random(2) == 0 ? PENSTOCK_HOLD : PENSTOCK_REFUSE;
	config->when_stopped = schedule_random(2) == 0 ? PENSTOCK_HOLD : PENSTOCK_REFUSE;
	config->autostart = schedule_random(4) != 0;
	config->on_error = on_error;
	if ((what & CHECKPOINTS) != 0) {
		config->wal_bytes_max = 65536;
		config->checkpoint_thread = schedule_random(8) != 0;
		config->leave_wal = schedule_random(2);
		config->batch_max = 1 + schedule_random(2);
	}
	if ((what & OTHERS) != 0 && schedule_random(2) == 0)
		config->turns = 0;
	if ((what & OTHERS) != 0 && schedule_random(4) == 0)
		config->busy_limit_ms = 1 + schedule_random(3);
	holds_when_paused = config->when_paused == PENSTOCK_HOLD;
	holds = holds_when_paused || config->when_stopped == PENSTOCK_HOLD || !config->autostart;
	excludes = (what & STOPS) == 0;
}

static void prepare_store(unsigned what)
{
	memset(&store_world, 0, sizeof store_world);
	beside_forget();
	among = (what & OTHERS) != 0;
	store_world.log.read = among && schedule_random(2) == 0;
	store_world.refuses = among && schedule_random(6) == 0 ? 2 + schedule_random(10) : 0;
	store_world.busy = schedule_random(4) == 0 ? 1 + schedule_random(schedule_random(4) == 0 ? 40 : 3) : 0;
	store_world.durable = schedule_random(2) == 0;
	store_world.log.unfit = (what & CHECKPOINTS) != 0 && schedule_random(16) == 0;
	if ((what & CHECKPOINTS) != 0 && (what & BREAKS) != 0) {
		store_world.log.pass_breaks_in = 1 + schedule_random(3);
	} else if ((what & BREAKS) != 0) {
		store_world.breaks_in = 1 + schedule_random(5);
		store_world.breaks_at_commit = schedule_random(2) == 0;
	}
}

/* Whatever the verbs have left behind: on it goes, so that nobody waits in vain. */
static void bring_up(void)
{
	for (;;) {
		switch (penstock_phase_of(db)) {
		case PENSTOCK_PHASE_RUNNING:
			return;
		case PENSTOCK_PHASE_PAUSED:
			penstock_unpause(db, PENSTOCK_FOREVER);
			break;
		case PENSTOCK_PHASE_FAILED:
			if (through == producers)
				return;
			penstock_stop(db, PENSTOCK_FOREVER);
			break;
		case PENSTOCK_PHASE_PAUSING:
			ps_stall();
			break;
		default:
			penstock_start(db, PENSTOCK_FOREVER);
			break;
		}
	}
}

static void judge(void)
{
	uint64_t by_place[IDS + 1] = { 0 }, last = 0;
	unsigned i;

	for (i = 0; i < IDS; i++) {
		const struct submission *submission = &submissions[i];
		const struct store_row *row = &store_world.rows[i];
		bool told = submission->outcomes != 0;

		if (i % SUBMITS_MAX == 0 || (strangers && i < SUBMITS_MAX))
			last = 0;
		schedule_check(row->committed + row->errored <= 1, "submission %u ran %u times and failed %u times", i,
		               row->committed, row->errored);
		schedule_check(submission->outcomes <= 1, "submission %u has %u outcomes", i, submission->outcomes);
		if (!submission->accepted) {
			schedule_check(!told && row->committed + row->errored == 0, "submission %u was refused, and ran", i);
			continue;
		}
		if (!submission->given_up && (submission->listener != NOBODY || row->committed == 0))
			schedule_check(told, "submission %u was accepted, and has no outcome", i);
		if (told && submission->status != PENSTOCK_UNKNOWN)
			schedule_check((submission->status == PENSTOCK_OK) == (row->committed == 1),
			               "submission %u is told %s, but %u are committed", i,
			               penstock_status_name(submission->status), row->committed);
		if (told && submission->status == PENSTOCK_ERROR)
			schedule_check(row->errored == 1 || (among && submission->lacked_lock));
		schedule_check((told && submission->status == PENSTOCK_CANCELLED) == submission->cancelled,
		               "submission %u is told %s, and its cancel was %s", i, penstock_status_name(submission->status),
		               submission->cancelled ? "OK" : "too late, or none");
		if (told && submission->status == PENSTOCK_EXPIRED)
			schedule_check(submission->timed, "submission %u has no deadline, and is EXPIRED", i);
		if (told && (submission->status == PENSTOCK_CANCELLED || submission->status == PENSTOCK_EXPIRED))
			schedule_check(row->committed + row->errored == 0, "submission %u came to nothing, and ran", i);
		if (row->place != 0) {
			schedule_check(row->place > last, "submission %u overtook an earlier one of its thread", i);
			last = row->place;
			by_place[row->place] = told ? submission->ticket + 1 : 0;
		}
	}
	last = 0;
	for (i = 1; i <= IDS; i++) {
		schedule_check(by_place[i] == 0 || by_place[i] > last, "a later ticket ran first");
		last = by_place[i] != 0 ? by_place[i] : last;
	}
	schedule_check(!store_world.connected && !store_world.in_transaction, "the store is left open");
}

/* Threads of another process. */
static unsigned spawn_others(unsigned what, const penstock_config *config, unsigned *threads)
{
	unsigned count = 0;
	bool writes = schedule_random(2) == 0;

	if ((what & OTHERS) == 0)
		return 0;
	plan = (struct others_plan){ .most = 0 };
	/* Where it is alone with the pauser, and stays open. */
	if (!writes && store_world.refuses == 0 && (what & (PAUSES | STOPS)) == 0)
		plan.most = (unsigned)config->batch_max;
	threads[count++] = schedule_spawn("other pauser", others_pause, &plan);
	if (writes)
		threads[count++] = schedule_spawn("other writer", others_write, &plan);
	return count;
}

/* Another process may have paused all, or have its turn, or be dead in it. */
static void open_engine(const penstock_config *config)
{
	int status;

	do {
		status = penstock_open(among ? STORE_FILE : STORE_LONE, config, &db);
	} while (status == PENSTOCK_CANTOPEN && among);
	schedule_check(status == PENSTOCK_OK, "open: %s", penstock_status_name(status));
}

static void run_engine(unsigned what)
{
	unsigned threads[8], others[2], verbs = 0, count = 0, others_count = 0, i;
	bool late = schedule_random(2) == 0;
	penstock_config config;
	int status;

	memset(submissions, 0, sizeof submissions);
	configure(&config, what);
	prepare_store(what);
	producers = PRODUCERS;
	strangers = false;
	submits = 1 + schedule_random(SUBMITS_MAX);
	through = 0;
	if (!config.autostart && schedule_random(2) == 0 && (what & CANNOT_OPEN) != 0)
		store_world.cannot_open = 1;
	if (!late)
		others_count = spawn_others(what, &config, others);
	open_engine(&config);
	if (late)
		others_count = spawn_others(what, &config, others);
	if ((what & CANNOT_OPEN) != 0)
		store_world.cannot_open = schedule_random(3);
	if ((what & PAUSES) != 0) {
		threads[count++] = schedule_spawn("pauser", pauser, NULL);
		lone_pauser = (what & CANNOT_OPEN) != 0 || store_world.refuses != 0 || schedule_random(3) != 0;
		if (!lone_pauser)
			threads[count++] = schedule_spawn("pauser 2", pauser, NULL);
	}
	if ((what & STOPS) != 0)
		threads[count++] = schedule_spawn("stopper", stopper, NULL);
	if ((what & LOOKS) != 0)
		threads[count++] = schedule_spawn("observer", observer, NULL);
	verbs = count;
	threads[count++] = schedule_spawn("producer 0", run, (void *)(uintptr_t)0);
	threads[count++] = schedule_spawn("producer 1", run, (void *)(uintptr_t)1);
	for (i = 0; i < verbs; i++)
		schedule_join(threads[i]);
	bring_up();
	while (through < producers) {
		ps_stall();
		if (penstock_phase_of(db) == PENSTOCK_PHASE_FAILED)
			bring_up();
	}
	if (schedule_random(2) == 0) {
		unsigned set = accepted_now();

		/* One that has failed meanwhile may hold something until it is started again. */
		status = penstock_flush(db, (what & BREAKS) != 0 ? 50 : PENSTOCK_FOREVER);
		schedule_check(status == PENSTOCK_OK || (what & BREAKS) != 0, "flush: %s", penstock_status_name(status));
		if (status == PENSTOCK_OK)
			expect_settled(set, "flush");
	}
	status = penstock_close_with(db, PENSTOCK_FOREVER, schedule_random(3) == 0 ? PENSTOCK_GIVE_UP : 0);
	schedule_check(status == PENSTOCK_OK, "close: %s", penstock_status_name(status));
	for (i = verbs; i < count; i++)
		schedule_join(threads[i]);
	for (i = 0; i < others_count; i++)
		schedule_join(others[i]);
	for (i = 0; i < IDS; i++) {
		if (submissions[i].handle != NULL)
			finish(&submissions[i]);
	}
	judge();
}

static void run_submit(void)
{
	run_engine(0);
}

static void run_pause(void)
{
	run_engine(PAUSES);
}

static void run_stop(void)
{
	run_engine(STOPS);
}

static void run_verbs(void)
{
	run_engine(PAUSES | STOPS);
}

static void run_failure(void)
{
	run_engine((schedule_random(2) == 0 ? PAUSES : 0) | STOPS | BREAKS);
}

static void run_checkpoints(void)
{
	run_engine(CHECKPOINTS | (schedule_random(3) == 0 ? PAUSES : 0) | (schedule_random(3) == 0 ? STOPS : 0));
}

static void run_failed_checkpoints(void)
{
	run_engine(CHECKPOINTS | BREAKS | STOPS | (schedule_random(2) == 0 ? PAUSES : 0));
}

/* Nothing but the report of a pass that failed wakes the writer, so that the engine is FAILED. */
static void run_broken_pass(void)
{
	penstock_value values[2];
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = "x",
		.values = values,
		.value_count = 2,
	};
	penstock_config config;
	unsigned i, rows = 2 + schedule_random(3);

	memset(submissions, 0, sizeof submissions);
	configure(&config, CHECKPOINTS);
	config.checkpoint_thread = 1;
	config.autostart = 1;
	memset(&store_world, 0, sizeof store_world);
	store_world.log.pass_breaks_in = 1;
	schedule_check(penstock_open(STORE_LONE, &config, &db) == PENSTOCK_OK);
	for (i = 0; i < rows; i++) {
		store_values(values, i, false);
		submission.arg = &submissions[i];
		if (penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
			break;
	}
	while (penstock_phase_of(db) != PENSTOCK_PHASE_FAILED)
		ps_stall();
	schedule_check(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK);
	schedule_check(!store_world.connected && !store_world.log.opened, "the store is left open");
}

static void run_reopen(void)
{
	run_engine(PAUSES | (schedule_random(2) == 0 ? STOPS : 0) | CANNOT_OPEN);
}

static void run_looks(void)
{
	run_engine(LOOKS | (schedule_random(2) == 0 ? PAUSES : 0) | (schedule_random(4) == 0 ? STOPS : 0));
}

/* Another process pauses all, while the engine does whatever an engine does. */
static void run_pause_of_all(void)
{
	run_engine(OTHERS | (schedule_random(2) == 0 ? CHECKPOINTS : 0) | (schedule_random(3) == 0 ? PAUSES : 0) |
	           (schedule_random(3) == 0 ? STOPS : 0));
}

/* ---- a pause of all that stands ---- */

/* Of a thread that calls the engine itself. */
static void put_row(unsigned id)
{
	struct submission *mine = &submissions[id];
	penstock_value values[2];
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = "x",
		.values = values,
		.value_count = 2,
		.arg = mine,
	};
	int status;

	mine->listener = HANDLE;
	mine->cancellable = schedule_random(3) == 0;
	if (mine->cancellable)
		submission.flags = PENSTOCK_CANCELLABLE;
	mine->timed = schedule_random(3) == 0;
	if (mine->timed)
		submission.deadline_usec = penstock_deadline((int64_t)schedule_random(3000));
	store_values(values, id, false);
	status = penstock_submit(db, &submission, 0, &mine->handle);
	mine->accepted = status == PENSTOCK_OK;
}

/* Nobody who may be told waits for the pauser: who is too late, or cancelled in time. */
static void expect_told(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct submission *mine = &submissions[i];

		if (mine->handle == NULL)
			continue;
		if (mine->cancellable && schedule_random(2) == 0)
			cancel(mine);
		if (mine->timed || mine->cancelled) {
			penstock_handle_wait(mine->handle, PENSTOCK_FOREVER);
			finish(mine);
		}
	}
}

/* What must not wait for the pauser. True: it is closed. *resumes: it goes on by itself, as the call was promised that has timed out. */
static bool call_a_verb(unsigned count, bool *resumes)
{
	unsigned set = accepted_now(), left = 0, i;
	sqlite3 *connection;
	int status;

	for (i = 0; i < count; i++)
		left += submissions[i].handle != NULL && penstock_handle_result(submissions[i].handle) == NULL;
	switch (schedule_random(5)) {
	case 0:
		status = penstock_stop_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP);
		schedule_check(status == PENSTOCK_OK, "stop: %s", penstock_status_name(status));
		expect_settled(set, "stop");
		status = penstock_start(db, PENSTOCK_FOREVER);
		schedule_check(status == PENSTOCK_CANTOPEN, "start: %s", penstock_status_name(status));
		return false;
	case 1:
		status = penstock_close_with(db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP);
		schedule_check(status == PENSTOCK_OK, "close: %s", penstock_status_name(status));
		return true;
	case 2:
		status = penstock_stop(db, left == 0 ? PENSTOCK_FOREVER : 50);
		schedule_check(status == PENSTOCK_OK || (left != 0 && status == PENSTOCK_TIMEOUT), "stop: %s",
		               penstock_status_name(status));
		return false;
	case 3:
		status = penstock_pause(db, left == 0 ? PENSTOCK_FOREVER : 50);
		schedule_check(status == PENSTOCK_OK || (left != 0 && status == PENSTOCK_TIMEOUT), "pause: %s",
		               penstock_status_name(status));
		if (status == PENSTOCK_OK && schedule_random(2) == 0)
			*resumes = penstock_unpause(db, schedule_random(3000)) == PENSTOCK_TIMEOUT && store_world.refuses == 0;
		return false;
	default:
		status = penstock_pause_all(db, 50);
		schedule_check(status == PENSTOCK_TIMEOUT || (store_world.refuses != 0 && status == PENSTOCK_CANTOPEN),
		               "pause all: %s", penstock_status_name(status));
		status = penstock_reader_open(db, &connection);
		schedule_check(status == PENSTOCK_OK || status == PENSTOCK_PAUSED, "reader: %s", penstock_status_name(status));
		return false;
	}
}

static void run_standing_pause(void)
{
	unsigned count = schedule_random(4) == 0 ? schedule_random(IDS) : IDS, thread, i;
	unsigned early = schedule_random(4) == 0 ? schedule_random(count + 1) : count, commits = schedule_random(early + 1);
	penstock_config config;
	bool closed, resumes = false;

	memset(submissions, 0, sizeof submissions);
	configure(&config, CHECKPOINTS | OTHERS);
	config.busy_limit_ms = 1 + schedule_random(2);
	config.ring_slots = IDS;
	config.ring_bytes = 65536;
	config.autostart = 1;
	prepare_store(OTHERS);
	store_world.busy = store_world.refuses = 0;
	strangers = false;
	producers = through = 0;
	plan = (struct others_plan){ .stands = true };
	open_engine(&config);
	for (i = 0; i < early; i++)
		put_row(i);
	while (store_world.commits < commits && db->next < ps_ring_tail(&db->ring))
		ps_stall();
	thread = schedule_spawn("other pauser", others_pause, &plan);
	while (!store_world.held_by_other)
		ps_stall();
	store_world.refuses = schedule_random(2) * (2 + schedule_random(3));
	for (; i < count; i++)
		put_row(i);
	if (schedule_random(2) == 0)
		stand_about(200);
	expect_told(count);
	closed = call_a_verb(count, &resumes);
	schedule_check(store_world.held_by_other, "the pause is over");
	plan.let_go = true;
	while (resumes && penstock_phase_of(db) != PENSTOCK_PHASE_RUNNING)
		ps_stall();
	if (!closed) {
		store_world.refuses = 0;
		bring_up();
		schedule_check(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK);
	}
	schedule_join(thread);
	for (i = 0; i < IDS; i++) {
		if (submissions[i].handle != NULL)
			finish(&submissions[i]);
	}
	judge();
}

/* ---- completion queues ---- */

struct loop {
	penstock_completions *queue;
	unsigned next, outstanding;         /* submissions */
	penstock_handle *kept[SUBMITS_MAX]; /* claims besides */
	uint64_t last[2]; /* tickets behind the last ones, of those that did not ask for durable and that did */
};

static int offer(unsigned me, struct loop *loop)
{
	unsigned id = me * SUBMITS_MAX + loop->next;
	struct submission *mine = &submissions[id];
	bool wants_handle = schedule_random(4) == 0, durable = schedule_random(4) == 0;
	penstock_value values[2];
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;
	int status;

	mine->bad = schedule_random(6) == 0;
	mine->listener = HANDLE;
	mine->queued = true;
	store_values(values, id, mine->bad);
	submission.sql = "x";
	submission.values = values;
	submission.value_count = 2;
	submission.ack = durable ? PENSTOCK_ACK_DURABLE : PENSTOCK_ACK_COMMITTED;
	submission.arg = mine;
	submission.completions = loop->queue;
	status = penstock_submit(db, &submission, schedule_random(2), wants_handle ? &loop->kept[loop->next] : NULL);
	mine->accepted = status == PENSTOCK_OK;
	if (status != PENSTOCK_OK)
		return status;
	mine->durable = durable;
	if (wants_handle && schedule_random(2) == 0) {
		penstock_handle_release(loop->kept[loop->next]);
		loop->kept[loop->next] = NULL;
	}
	loop->outstanding++;
	if (++loop->next == submits)
		through++;
	return status;
}

/* Asks to be told before it looks for the last time. */
static void offer_all(unsigned me, struct loop *loop)
{
	int status = PENSTOCK_OK;

	while (loop->next < submits && (status = offer(me, loop)) == PENSTOCK_OK)
		continue;
	while (loop->next < submits) {
		schedule_check(status != PENSTOCK_MISUSE);
		schedule_check(penstock_completions_notify_room(db, loop->queue) == PENSTOCK_OK);
		status = offer(me, loop);
		if (status != PENSTOCK_OK)
			return;
	}
}

static void take_some(struct loop *loop)
{
	penstock_handle *handles[3];
	size_t count, i;

	schedule_check(penstock_completions_take(loop->queue, handles, 1 + schedule_random(3), &count) == PENSTOCK_OK);
	loop->outstanding -= (unsigned)count;
	for (i = 0; i < count; i++) {
		const penstock_result *result = penstock_handle_result(handles[i]);
		struct submission *submission = result->arg;
		uint64_t *last = &loop->last[submission->durable];

		schedule_check(result->ticket >= *last, "not in the order of the tickets");
		*last = result->ticket + 1;
		hear(submission, result);
		penstock_handle_release(handles[i]);
	}
}

/* What is outstanding nobody hears of, and what has not been submitted never is. */
static void give_up_loop(unsigned me, const struct loop *loop)
{
	unsigned i;

	schedule_check(penstock_completions_abandon(loop->queue) == PENSTOCK_OK);
	for (i = 0; i < submits; i++)
		submissions[me * SUBMITS_MAX + i].given_up = true;
	if (loop->next < submits)
		through++;
}

/* An event loop: sleeps only in poll. The engine may be closed when all is submitted. */
static void loop_main(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, i;
	struct loop loop = { .outstanding = 0 };
	bool abandons = schedule_random(4) == 0;

	schedule_check(penstock_completions_open(db, 1 + schedule_random(3), &loop.queue) == PENSTOCK_OK);
	for (;;) {
		offer_all(me, &loop);
		if (loop.next == submits && loop.outstanding == 0)
			break;
		if (abandons && schedule_random(3) == 0)
			break;
		ps_futex_wait(&loop.queue->event.raised, 0, PS_FUTEX_ANY, PS_NEVER);
		take_some(&loop);
	}
	if (loop.next < submits || loop.outstanding > 0)
		give_up_loop(me, &loop);
	else
		schedule_check(penstock_completions_close(loop.queue) == PENSTOCK_OK);
	for (i = 0; i < submits; i++)
		penstock_handle_release(loop.kept[i]);
}

static void run_completions(void)
{
	run = loop_main;
	run_engine((schedule_random(3) == 0 ? PAUSES : 0) | (schedule_random(3) == 0 ? STOPS : 0));
	run = producer;
}

/* ---- close, with a producer that waits for room ---- */

static void lone_producer(void *arg)
{
	penstock_value values[2];
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = "x",
		.values = values,
		.value_count = 2,
	};

	store_values(values, 0, false);
	submission.arg = &submissions[0];
	*(int *)arg = penstock_submit(db, &submission, PENSTOCK_FOREVER, NULL);
	through++;
}

static void run_close(void)
{
	penstock_config config;
	penstock_value values[2];
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = "x",
		.values = values,
		.value_count = 2,
	};
	unsigned thread, i;
	int status, told = -1;

	memset(submissions, 0, sizeof submissions);
	memset(&store_world, 0, sizeof store_world);
	through = 0;
	penstock_config_init(&config);
	config.ring_slots = 2;
	config.autostart = 0;
	config.on_error = on_error;
	schedule_check(penstock_open(STORE_LONE, &config, &db) == PENSTOCK_OK);
	for (i = 1; i <= 2; i++) {
		store_values(values, i, false);
		submission.arg = &submissions[i];
		schedule_check(penstock_submit(db, &submission, 0, NULL) == PENSTOCK_OK);
	}
	thread = schedule_spawn("producer", lone_producer, &told);
	if (schedule_random(2) == 0) {
		status = penstock_start(db, 1);
		schedule_check(status == PENSTOCK_OK || status == PENSTOCK_TIMEOUT);
	}
	/* No call may begin once close has returned: it is inside, or back. */
	while (through == 0 && ps_load_acquire_u32(&db->inside) == 0)
		ps_stall();
	schedule_check(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK);
	schedule_join(thread);
	schedule_check(told == PENSTOCK_OK || told == PENSTOCK_STOPPED, "the one that waits is told %s",
	               penstock_status_name(told));
	for (i = 0; i <= 2; i++) {
		unsigned times = store_world.rows[i].committed + submissions[i].outcomes;

		schedule_check(times == (i == 0 && told != PENSTOCK_OK ? 0 : 1), "submission %u has %u outcomes", i, times);
	}
}

/* ---- the line of those that wait for bytes ---- */

static int put_blob(unsigned id, size_t bytes, int64_t timeout)
{
	static const char blob[5000];
	penstock_value values[3];
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = "x",
		.values = values,
		.value_count = 3,
		.arg = &submissions[id],
	};
	int status;

	store_values(values, id, false);
	values[2] = penstock_blob(blob, bytes);
	status = penstock_submit(db, &submission, timeout, NULL);
	submissions[id].accepted = status == PENSTOCK_OK;
	return status;
}

/* Each waits once, so that an address is in line once. */
static void large_producer(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	int status = put_blob(id, id == 0 ? 5000 : 3000, some_timeout());

	schedule_check(status == PENSTOCK_OK || status == PENSTOCK_FULL, "%s", penstock_status_name(status));
}

/* Does not wait, so it never is in line itself. */
static void trying_producer(void *arg)
{
	unsigned id;

	(void)arg;
	for (id = SUBMITS_MAX; id < 2 * SUBMITS_MAX; id++) {
		uint64_t first = db->ring.line.first;
		int status = put_blob(id, 1500, 0);

		schedule_check(status != PENSTOCK_OK || first == 0 || db->ring.line.first != first,
		               "submission %u took bytes while another was first in line", id);
		stand_about(4);
	}
}

static void run_turn(void)
{
	penstock_config config;
	unsigned threads[4], i;

	memset(submissions, 0, sizeof submissions);
	strangers = true;
	prepare_store(0);
	penstock_config_init(&config);
	config.ring_slots = 2 << schedule_random(3);
	config.ring_bytes = 4096;
	config.on_error = on_error;
	schedule_check(penstock_open(STORE_LONE, &config, &db) == PENSTOCK_OK);
	threads[0] = schedule_spawn("trier", trying_producer, NULL);
	for (i = 0; i < 3; i++)
		threads[1 + i] = schedule_spawn("large", large_producer, (void *)(uintptr_t)i);
	for (i = 0; i < 4; i++)
		schedule_join(threads[i]);
	schedule_check(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK);
	judge();
}

/* ---- close, with others that look ---- */

enum look {
	TRY_SUBMIT,
	MISUSE,
	UNCOUNTED_LOOKS,
	DEPTH = UNCOUNTED_LOOKS,
	PHASE,
	IS_STOPPED,
	FAILURE,
	SUBMIT_AND_WAIT,
	FLUSH,
	LOOKS_THERE_ARE
};

static unsigned to_look;

static void look(enum look what)
{
	penstock_value values[2];
	penstock_submission submission = {
		.struct_size = sizeof submission,
		.sql_bytes = -1,
		.sql = "x",
		.values = values,
		.value_count = 2,
		.arg = &submissions[0],
	};
	penstock_handle *handle = NULL;
	char text[8];

	store_values(values, 0, false);
	switch (what) {
	case DEPTH:
		penstock_queue_depth(db);
		break;
	case PHASE:
		penstock_phase_of(db);
		break;
	case IS_STOPPED:
		penstock_is_stopped(db);
		break;
	case TRY_SUBMIT:
		penstock_try_submit(db, &submission, NULL);
		break;
	case MISUSE:
		submission.struct_size = 0;
		schedule_check(penstock_try_submit(db, &submission, NULL) == PENSTOCK_MISUSE);
		break;
	case FAILURE:
		schedule_check(penstock_failure(db, text, sizeof text) == 0);
		break;
	case SUBMIT_AND_WAIT:
		penstock_execute(db, &submission, some_timeout(), &handle);
		penstock_handle_release(handle);
		break;
	default:
		penstock_flush(db, some_timeout());
		break;
	}
}

/* A submit that is not counted: in a section, as its own that has begun before close came to its last grace period. */
static void looker(void *arg)
{
	bool counted = (uintptr_t)arg >= UNCOUNTED_LOOKS;

	if (!counted) {
		ps_rcu_enter();
		ps_rcu_note_registered();
		if (--to_look == 0)
			ps_engine_leave(db);
	}
	look((enum look)(uintptr_t)arg);
	if (!counted)
		ps_rcu_leave(NULL);
	through++;
}

static void run_leave(void)
{
	unsigned lookers[2], looks[2], i;
	penstock_config config;
	int status;

	memset(submissions, 0, sizeof submissions);
	memset(&store_world, 0, sizeof store_world);
	through = to_look = 0;
	penstock_config_init(&config);
	config.ring_slots = 2;
	config.autostart = schedule_random(4) != 0;
	schedule_check(penstock_open(STORE_LONE, &config, &db) == PENSTOCK_OK);
	for (i = 0; i < 2; i++) {
		looks[i] = schedule_random(LOOKS_THERE_ARE);
		to_look += looks[i] < UNCOUNTED_LOOKS;
	}
	if (to_look > 0)
		schedule_check(ps_engine_look(db));
	for (i = 0; i < 2; i++)
		lookers[i] = schedule_spawn(i == 0 ? "looker 0" : "looker 1", looker, (void *)(uintptr_t)looks[i]);
	for (i = 0; i < 2; i++) {
		while (looks[i] >= UNCOUNTED_LOOKS && through < 2 && schedule_additions(lookers[i]) == 0)
			ps_stall();
	}
	do {
		status = penstock_close(db, some_timeout());
		schedule_check(status == PENSTOCK_OK || status == PENSTOCK_TIMEOUT, "close: %s", penstock_status_name(status));
	} while (status != PENSTOCK_OK);
	for (i = 0; i < 2; i++) {
		schedule_join(lookers[i]);
		schedule_check(looks[i] < UNCOUNTED_LOOKS || schedule_additions(lookers[i]) > 0,
		               "it looks without being counted");
	}
}

const struct schedule_scenario schedule_engine[] = {
	{ "submit", "two producers with every kind of listener", run_submit },
	{ "pause", "and pausers, one or two", run_pause },
	{ "stop", "and one that stops and starts", run_stop },
	{ "verbs", "and both", run_verbs },
	{ "failure", "and an I/O error", run_failure },
	{ "checkpoints", "and a log that is to be copied", run_checkpoints },
	{ "failed-checkpoints", "and an I/O error in that", run_failed_checkpoints },
	{ "broken-pass", "an I/O error in a pass, behind which nothing comes", run_broken_pass },
	{ "reopen", "and a file that cannot be opened again", run_reopen },
	{ "looks", "and one that tunes, opens readers and looks", run_looks },
	{ "pause-of-all", "and another process that pauses all, and may die of it", run_pause_of_all },
	{ "standing-pause", "and what does not wait until that is over", run_standing_pause },
	{ "completions", "event loops, and one or the other verb", run_completions },
	{ "close", "close, while a producer waits for room", run_close },
	{ "turn", "large submissions, and one that tries to pass them", run_turn },
	{ "leave", "close, while others are in a call", run_leave },
	{ NULL, NULL, NULL },
};
