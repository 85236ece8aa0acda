/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Storms: producers against every verb at once, with small and large rings, holding and refusing. Afterwards each
 * submission is accounted for: an accepted one has exactly one outcome, an OK one is in the table exactly once (nothing
 * there is UNIQUE), all others are not, tickets are distinct, and a producer's rows are in its order by the numbers a trigger
 * gave them. Some are groups or calls, all of whose rows are there and lie behind one another.
 *
 * PENSTOCK_STORM: rounds of each storm. PENSTOCK_SEED: of the first round; it is printed when a round fails.
 */
#include "tests/kit.h"
#include "tests/random.h"

#include <limits.h>
#include <poll.h>

TestSuite(storm, .init = kit_begin, .fini = harness_end);

#define PRODUCERS 4
#define EACH 600

enum kind { HANDLE, HANDLE_LET_GO, CALLBACK, QUIET, QUEUED, KINDS };
enum form { STATEMENT, GROUP, CALL };

#define PARTS 3 /* rows of a group or call */

/* What became of one submission. */
struct fate {
	int accepted;
	enum kind kind;
	enum form form;
	int producer, number;
	bool wrong;     /* its statement fails */
	bool forgotten; /* nobody will say what became of it */
	bool cancellable, timed;
	bool nothing; /* a cancel was OK, or its deadline had passed before: it has no effect */
	_Atomic unsigned outcomes;
	_Atomic int status;
	uint64_t ticket;
	penstock_handle *handle;
};

struct producer {
	struct storm *storm;
	int index;
	uint64_t random;
	struct fate *fates;
	pthread_t thread;
};

struct storm {
	penstock *db;
	uint64_t seed;
	unsigned pausers;
	bool may_refuse; /* else every timeout is for ever, and everything has to get in */
	struct producer producers[PRODUCERS];
	penstock_completions *queue;
	bool taker_gives_up;
	_Atomic bool taken_no_more; /* it has */
	_Atomic bool over;
	_Atomic unsigned stops_begun, stops_done;
	_Atomic int pausers_inside;
	_Atomic unsigned paused, refused, unpaused_wrong;
};

struct hand {
	struct storm *storm;
	uint64_t random;
	pthread_t thread;
};

static int64_t some_timeout(uint64_t *state)
{
	static const int64_t timeouts[] = { 0, 50, 1000, 5000, PENSTOCK_FOREVER, PENSTOCK_FOREVER };

	return timeouts[random_below(state, COUNT_OF(timeouts))];
}

/* ---- producers --------------------------------------------------------------------------------------------------- */

static void on_outcome(void *arg, const penstock_result *result)
{
	struct fate *fate = result->arg;

	(void)arg;
	fate->ticket = result->ticket;
	fate->status = (int)result->status;
	fate->outcomes++;
}

/* Its argument is there until the end. */
static int write_parts(sqlite3 *connection, void *arg, char **message)
{
	const struct fate *fate = arg;
	sqlite3_stmt *insert = NULL;
	int rc = sqlite3_prepare_v2(connection, "INSERT INTO t(p,n) VALUES(?,?)", -1, &insert, NULL);

	(void)message;
	for (int i = 0; rc == SQLITE_OK && i < PARTS; i++) {
		sqlite3_bind_int(insert, 1, fate->producer);
		sqlite3_bind_int(insert, 2, fate->number);
		if (fate->wrong && i == PARTS - 1)
			sqlite3_bind_null(insert, 2);
		sqlite3_step(insert);
		rc = sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	return rc;
}

/* What the submission says stands last, and so fails behind the others if it does. */
static int submit_group(penstock *db, const struct fate *fate, const penstock_submission *submission,
                        const penstock_submission *whole, int64_t timeout, penstock_handle **handle)
{
	penstock_value values[] = { penstock_int64(fate->producer), penstock_int64(fate->number) };
	penstock_submission members[PARTS];

	for (int i = 0; i < PARTS - 1; i++) {
		penstock_submission_init(&members[i]);
		members[i].sql = "INSERT INTO t(p,n) VALUES(?,?)";
		members[i].values = values;
		members[i].value_count = COUNT_OF(values);
	}
	penstock_submission_init(&members[PARTS - 1]);
	members[PARTS - 1].sql = submission->sql;
	members[PARTS - 1].values = submission->values;
	members[PARTS - 1].value_count = submission->value_count;
	return penstock_submit_group(db, members, PARTS, whole, timeout, handle);
}

static int submit_form(penstock *db, struct fate *fate, const penstock_submission *submission, int64_t timeout,
                       penstock_handle **handle)
{
	penstock_submission whole = *submission;

	whole.sql = NULL;
	whole.values = NULL;
	whole.value_count = 0;
	switch (fate->form) {
	case GROUP:
		return submit_group(db, fate, submission, &whole, timeout, handle);
	case CALL:
		return penstock_call(db, write_parts, fate, &whole, timeout, handle);
	default:
		return penstock_submit(db, submission, timeout, handle);
	}
}

/* Beyond its places a queue refuses, as long as nobody takes. Who has to get in asks to be told, and tries again. */
static int submit_to_queue(struct storm *storm, struct fate *fate, penstock_submission *submission, int64_t timeout)
{
	int status;

	submission->completions = storm->queue;
	while ((status = submit_form(storm->db, fate, submission, timeout, NULL)) == PENSTOCK_FULL && !storm->may_refuse) {
		if (storm->taken_no_more) {
			submission->completions = NULL;
			fate->kind = QUIET;
		} else {
			expect(penstock_completions_notify_room(storm->db, storm->queue), PENSTOCK_OK);
			kit_sleep_usec(100);
		}
	}
	return status;
}

static void cancel(struct fate *fate)
{
	int status = penstock_handle_cancel(fate->handle);

	check(status == PENSTOCK_OK || status == PENSTOCK_TOO_LATE, "%s", penstock_status_name(status));
	check(status == PENSTOCK_OK || !fate->nothing || fate->timed);
	if (status == PENSTOCK_OK)
		fate->nothing = true;
}

/* Some of those with a handle can be cancelled, and some of all have a deadline: one that has passed, or is near. */
static void draw_end(struct producer *producer, struct fate *fate, penstock_submission *submission)
{
	bool has_handle = fate->kind == HANDLE || fate->kind == HANDLE_LET_GO;

	fate->cancellable = has_handle && random_below(&producer->random, 3) == 0;
	if (fate->cancellable)
		submission->flags |= PENSTOCK_CANCELLABLE;
	switch (random_below(&producer->random, 16)) {
	case 0:
		fate->timed = fate->nothing = true;
		submission->deadline_usec = 1;
		break;
	case 1:
		/* Nobody would say whether it passed. */
		fate->timed = fate->kind != HANDLE_LET_GO && !(fate->kind == QUEUED && producer->storm->taker_gives_up);
		if (fate->timed)
			submission->deadline_usec = penstock_deadline(random_below(&producer->random, 2000));
		break;
	default:
		break;
	}
}

static void submit_one(struct producer *producer, int number)
{
	struct storm *storm = producer->storm;
	struct fate *fate = &producer->fates[number];
	char padding[200];
	penstock_value values[3] = { penstock_int64(producer->index), penstock_int64(number), penstock_null() };
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = "INSERT INTO t(p,n,x) VALUES(?,?,?)",
		                           .values = values,
		                           .value_count = 3,
		                           .arg = fate };
	int64_t timeout = storm->may_refuse ? some_timeout(&producer->random) : PENSTOCK_FOREVER;
	int status;

	fate->kind = (enum kind)random_below(&producer->random, KINDS);
	fate->form = (enum form)(random_below(&producer->random, 8) < 2 ? 1 + random_below(&producer->random, 2) : 0);
	fate->producer = producer->index;
	fate->number = number;
	fate->status = -1;
	switch (random_below(&producer->random, 16)) {
	case 0:
		fate->wrong = true; /* undone by itself */
		values[1] = penstock_null();
		break;
	case 1:
		fate->wrong = true; /* undoes the batch */
		submission.sql = "INSERT OR ROLLBACK INTO t(p,n,x) VALUES(?,NULL + ?,?)";
		break;
	case 2:
		submission.flags = PENSTOCK_RUN_ALONE;
		break;
	case 3:
		memset(padding, 'p', sizeof padding); /* outside the slot */
		values[2] = penstock_text_bytes(padding, sizeof padding);
		break;
	default:
		break;
	}
	if (fate->kind == CALLBACK)
		submission.on_complete = on_outcome;
	draw_end(producer, fate, &submission);
	if (fate->kind == QUEUED)
		status = submit_to_queue(storm, fate, &submission, timeout);
	else
		status = submit_form(storm->db, fate, &submission, timeout,
		                     fate->kind == HANDLE || fate->kind == HANDLE_LET_GO ? &fate->handle : NULL);
	if (status != PENSTOCK_OK) {
		check(status == PENSTOCK_FULL || status == PENSTOCK_TIMEOUT || status == PENSTOCK_PAUSED ||
		              status == PENSTOCK_STOPPED,
		      "%s: %s", penstock_status_name(status), penstock_error_message());
		check(storm->may_refuse, "%s", penstock_status_name(status));
		check(fate->handle == NULL);
		check(timeout != PENSTOCK_FOREVER ||
		      (status != PENSTOCK_TIMEOUT && (status != PENSTOCK_FULL || fate->kind == QUEUED)));
		storm->refused++;
		return;
	}
	fate->accepted = 1;
	if (fate->kind == HANDLE || fate->kind == HANDLE_LET_GO)
		fate->ticket = penstock_handle_ticket(fate->handle);
	if (fate->cancellable && random_below(&producer->random, 2) == 0)
		cancel(fate);
	if (fate->kind == HANDLE_LET_GO) {
		fate->forgotten = true;
		penstock_handle_release(fate->handle);
		fate->handle = NULL;
	} else if (fate->kind == HANDLE && random_below(&producer->random, 4) == 0) {
		status = penstock_handle_wait(fate->handle,
		                              storm->may_refuse ? some_timeout(&producer->random) : PENSTOCK_FOREVER);
		check(status == PENSTOCK_OK || status == PENSTOCK_ERROR || status == PENSTOCK_TIMEOUT ||
		              (status == PENSTOCK_EXPIRED && fate->timed) || (status == PENSTOCK_CANCELLED && fate->nothing),
		      "%s", penstock_status_name(status));
	}
	/* One of before, which may be about to begin. */
	fate = &producer->fates[random_below(&producer->random, (unsigned)number + 1)];
	if (fate->cancellable && fate->handle != NULL && random_below(&producer->random, 2) == 0)
		cancel(fate);
}

static void *produce(void *arg)
{
	struct producer *producer = arg;

	for (int i = 0; i < EACH; i++) {
		submit_one(producer, i);
		if (random_below(&producer->random, 64) == 0)
			kit_sleep_usec(random_below(&producer->random, 300));
	}
	return NULL;
}

/* ---- the taker ---------------------------------------------------------------------------------------------------- */

static void take_some(struct storm *storm, size_t room)
{
	penstock_handle *handles[16];
	size_t count;

	expect(penstock_completions_take(storm->queue, handles, room, &count), PENSTOCK_OK);
	for (size_t i = 0; i < count; i++) {
		on_outcome(NULL, penstock_handle_result(handles[i]));
		penstock_handle_release(handles[i]);
	}
}

/* Takes when it is told; now and then it does not for a while, and at last maybe never more. */
static void *take_now_and_then(void *arg)
{
	struct hand *hand = arg;
	struct storm *storm = hand->storm;
	unsigned left = storm->taker_gives_up ? random_below(&hand->random, 200) : UINT_MAX;

	while (!storm->over && left-- > 0) {
		struct pollfd look = { .fd = penstock_completions_descriptor(storm->queue), .events = POLLIN };

		poll(&look, 1, -1);
		if (random_below(&hand->random, 20) == 0)
			kit_sleep_usec(random_below(&hand->random, 5000));
		take_some(storm, 1 + random_below(&hand->random, 16));
	}
	storm->taken_no_more = true;
	return NULL;
}

/* The engine is closed, or (a taker that gave up) not yet. */
static void end_queue(struct storm *storm)
{
	if (storm->taker_gives_up) {
		expect(penstock_completions_abandon(storm->queue), PENSTOCK_OK);
		return;
	}
	while (penstock_completions_close(storm->queue) != PENSTOCK_OK)
		take_some(storm, 16);
}

/* ---- verbs ------------------------------------------------------------------------------------------------------- */

/* False: somebody else holds the lock. */
static bool outsider_gets_the_lock(void)
{
	sqlite3 *connection;
	int rc;

	check(sqlite3_open_v2(harness_path("storm.db"), &connection, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_busy_timeout(connection, 0);
	rc = sqlite3_exec(connection, "BEGIN EXCLUSIVE; UPDATE c SET outside = outside + 1; COMMIT", NULL, NULL, NULL);
	check(sqlite3_close(connection) == SQLITE_OK);
	return rc == SQLITE_OK;
}

static void *pause_now_and_then(void *arg)
{
	struct hand *hand = arg;
	struct storm *storm = hand->storm;
	bool unpausing = false; /* the unpause before is still under way */

	while (!storm->over) {
		unsigned stops = storm->stops_begun;
		bool quiet = stops == storm->stops_done;
		int status = penstock_pause(storm->db, some_timeout(&hand->random));

		if (status == PENSTOCK_OK) {
			int others = storm->pausers_inside++;
			penstock_phase phase = penstock_phase_of(storm->db);
			bool locked = outsider_gets_the_lock();

			/*
			 * A stop ends a pause; without one the file was this thread's all the while. With other pausers it is not, after
			 * any stop: one whose pause was ended by it unpauses later, and ends another's.
			 */
			if (quiet && storm->stops_begun == stops && (storm->pausers == 1 || stops == 0)) {
				storm->paused++;
				check(others == 0, "%d others have paused it", others);
				check(phase == PENSTOCK_PHASE_PAUSED, "%s", penstock_phase_name(phase));
				check(locked);
			}
			storm->pausers_inside--;
			/* After a TIMEOUT it goes on by itself, and the pause that a second call ends may be another's. */
			do {
				status = penstock_unpause(storm->db, some_timeout(&hand->random));
			} while (status == PENSTOCK_TIMEOUT && storm->pausers == 1);
			unpausing = status == PENSTOCK_TIMEOUT;
			/* MISUSE: it went on after a TIMEOUT, or a stop and a start came between. */
			check(status == PENSTOCK_OK || status == PENSTOCK_STOPPED || status == PENSTOCK_MISUSE ||
			              (unpausing && storm->pausers > 1),
			      "%s", penstock_status_name(status));
		} else {
			check(status == PENSTOCK_TIMEOUT || status == PENSTOCK_STOPPED ||
			              (status == PENSTOCK_MISUSE && unpausing),
			      "%s: %s", penstock_status_name(status), penstock_error_message());
		}
		kit_sleep_usec(random_below(&hand->random, 1000));
	}
	return NULL;
}

static void *stop_now_and_then(void *arg)
{
	struct hand *hand = arg;
	struct storm *storm = hand->storm;

	while (!storm->over) {
		int status;

		kit_sleep_usec(random_below(&hand->random, 2000));
		storm->stops_begun++;
		status = penstock_stop(storm->db, some_timeout(&hand->random));
		check(status == PENSTOCK_OK || status == PENSTOCK_TIMEOUT, "%s", penstock_status_name(status));
		kit_sleep_usec(random_below(&hand->random, 300));
		status = penstock_start(storm->db, some_timeout(&hand->random));
		check(status == PENSTOCK_OK || status == PENSTOCK_TIMEOUT, "%s: %s", penstock_status_name(status),
		      penstock_error_message());
		storm->stops_done++;
	}
	return NULL;
}

static void *look_now_and_then(void *arg)
{
	struct hand *hand = arg;
	struct storm *storm = hand->storm;
	penstock_config change;
	penstock_counters counters;
	sqlite3 *reader;
	int status;

	while (!storm->over) {
		switch (random_below(&hand->random, 4)) {
		case 0:
			status = penstock_flush(storm->db, some_timeout(&hand->random) == 0 ? 0 : 2000);
			check(status == PENSTOCK_OK || status == PENSTOCK_TIMEOUT, "%s", penstock_status_name(status));
			break;
		case 1:
			penstock_config_init(&change);
			change.batch_max = 1 + random_below(&hand->random, 200);
			change.ring_bytes = 4096 + random_below(&hand->random, 10000);
			change.spin_usec = random_below(&hand->random, 2) * 20;
			change.linger_usec = random_below(&hand->random, 4) == 0 ? 100 : 0;
			change.wal_bytes_max = random_below(&hand->random, 2) ? 65536 : 1 << 20;
			expect(penstock_reconfigure(storm->db, &change), PENSTOCK_OK);
			break;
		case 2:
			counters = kit_counters(storm->db);
			check(counters.accepted == counters.committed + counters.failed + counters.unknown + counters.shutdown +
			                                   counters.expired + counters.cancelled + counters.queue_depth);
			check(counters.queue_depth < 1u << 20);
			break;
		default:
			status = penstock_reader_open(storm->db, &reader);
			check(status == PENSTOCK_OK || status == PENSTOCK_PAUSED, "%s: %s", penstock_status_name(status),
			      penstock_error_message());
			if (status == PENSTOCK_OK)
				check(sqlite3_close(reader) == SQLITE_OK);
			break;
		}
		kit_sleep_usec(random_below(&hand->random, 500));
	}
	return NULL;
}

/* ---- the account ------------------------------------------------------------------------------------------------- */

static int compare_tickets(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return a < b ? -1 : a > b;
}

/* What it came to is what it may have come to. */
static void check_status(const struct fate *fate, int status)
{
	bool expired = status == PENSTOCK_EXPIRED && fate->timed, cancelled = status == PENSTOCK_CANCELLED && fate->cancellable;

	if (fate->nothing)
		check(expired || cancelled, "%s", penstock_status_name(status));
	else
		check(expired || status == (fate->wrong ? PENSTOCK_ERROR : PENSTOCK_OK), "%s", penstock_status_name(status));
}

static void rows_are_accounted_for(struct storm *storm)
{
	unsigned(*found)[EACH] = calloc(PRODUCERS, sizeof *found);
	int last[PRODUCERS], before = -1;
	sqlite3 *connection;
	sqlite3_stmt *statement;

	for (int i = 0; i < PRODUCERS; i++)
		last[i] = -1;
	check(sqlite3_open(harness_path("storm.db"), &connection) == SQLITE_OK);
	check(sqlite3_prepare_v2(connection, "SELECT p, n FROM t ORDER BY place", -1, &statement, NULL) == SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		int producer = sqlite3_column_int(statement, 0), number = sqlite3_column_int(statement, 1);

		check(producer >= 0 && producer < PRODUCERS && number >= 0 && number < EACH);
		/* Those of one group or call with nothing between them. */
		check(number > last[producer] || (number == last[producer] && producer == before), "producer %d: %d after %d",
		      producer, number, last[producer]);
		last[producer] = number;
		before = producer;
		found[producer][number]++;
	}
	sqlite3_finalize(statement);
	check(sqlite3_close(connection) == SQLITE_OK);
	for (int i = 0; i < PRODUCERS; i++) {
		for (int k = 0; k < EACH; k++) {
			struct fate *fate = &storm->producers[i].fates[k];
			unsigned wanted = fate->accepted && !fate->wrong && !fate->nothing &&
			                  fate->status != PENSTOCK_SHUTDOWN && fate->status != PENSTOCK_EXPIRED;

			if (fate->form != STATEMENT)
				wanted *= PARTS;
			check(found[i][k] == wanted, "producer %d, submission %d (kind %d, form %d, status %d): %u rows", i, k,
			      (int)fate->kind, (int)fate->form, fate->status, found[i][k]);
		}
	}
	free(found);
}

static void outcomes_are_accounted_for(struct storm *storm, uint64_t accepted)
{
	uint64_t *tickets = calloc(PRODUCERS * EACH, sizeof *tickets);
	size_t count = 0, submitted = 0;

	for (int i = 0; i < PRODUCERS; i++) {
		uint64_t before = 0;

		for (int k = 0; k < EACH; k++) {
			struct fate *fate = &storm->producers[i].fates[k];

			if (!fate->accepted) {
				check(fate->outcomes == 0);
				continue;
			}
			submitted++;
			if (fate->kind == HANDLE) {
				const penstock_result *result = penstock_handle_result(fate->handle);

				check(result != NULL);
				check_status(fate, (int)result->status);
				fate->status = (int)result->status;
				check(result->ticket == fate->ticket && result->arg == fate);
				penstock_handle_release(fate->handle);
			} else if (fate->kind == CALLBACK) {
				check(fate->outcomes == 1, "%u outcomes", fate->outcomes);
				check_status(fate, fate->status);
			} else if (fate->kind == QUEUED) {
				check(fate->outcomes == 1 || (storm->taker_gives_up && fate->outcomes == 0), "%u outcomes",
				      fate->outcomes);
				if (fate->outcomes == 0)
					continue; /* and its ticket is unknown */
				check_status(fate, fate->status);
			} else if (fate->kind == QUIET) {
				check_status(fate, fate->outcomes != 0 ? fate->status : PENSTOCK_OK);
				if (fate->outcomes == 0)
					continue; /* its ticket is unknown */
				check(fate->outcomes == 1 && fate->status != PENSTOCK_OK, "%u errors", fate->outcomes);
			} else {
				check(fate->outcomes == 0);
			}
			check(k == 0 || fate->ticket > before, "ticket %" PRIu64 " after %" PRIu64, fate->ticket, before);
			before = fate->ticket;
			tickets[count++] = fate->ticket;
		}
	}
	qsort(tickets, count, sizeof *tickets, compare_tickets);
	for (size_t i = 1; i < count; i++)
		check(tickets[i] != tickets[i - 1], "ticket %" PRIu64 " twice", tickets[i]);
	check(accepted == submitted, "%" PRIu64 " accepted, %zu counted", accepted, submitted);
	free(tickets);
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

static uint64_t environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t rounds(void)
{
	return environment("PENSTOCK_STORM", KIT_SANITIZED ? 3 : 8);
}

static _Atomic uint64_t seed_of_round;

static void tell_seed(int number)
{
	char text[64];
	int length = snprintf(text, sizeof text, "PENSTOCK_SEED=%" PRIu64 "\n", (uint64_t)seed_of_round);

	(void)!write(2, text, (size_t)length);
	signal(number, SIG_DFL);
	raise(number);
}

static void storm_round(uint64_t seed, int64_t slots, bool may_refuse, unsigned pausers, unsigned stoppers)
{
	struct storm storm = { .seed = seed, .pausers = pausers, .may_refuse = may_refuse };
	penstock_config config = kit_config();
	struct hand hands[8], taker;
	uint64_t random = seed, before;
	unsigned hand_count = 0;

	seed_of_round = seed;
	config.checkpoint_thread = random_below(&random, 4) != 0;
	config.leave_wal = random_below(&random, 2);
	signal(SIGABRT, tell_seed);
	signal(SIGALRM, tell_seed);
	kit_begin();
	config.ring_slots = slots;
	config.on_error = on_outcome;
	config.when_paused = may_refuse ? (int64_t)random_below(&random, 2) : PENSTOCK_HOLD;
	config.when_stopped = may_refuse ? (int64_t)random_below(&random, 2) : PENSTOCK_HOLD;
	storm.db = kit_open_path(harness_path("storm.db"), &config);
	expect(kit_execute(storm.db, "CREATE TABLE t(p, n NOT NULL, x, place)"), PENSTOCK_OK);
	expect(kit_execute(storm.db, "CREATE TABLE c(next, outside)"), PENSTOCK_OK);
	expect(kit_execute(storm.db, "INSERT INTO c VALUES(0, 0)"), PENSTOCK_OK);
	expect(kit_execute(storm.db, "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE c SET next = next + 1; "
	                             "UPDATE t SET place = (SELECT next FROM c) WHERE rowid = new.rowid; END"),
	       PENSTOCK_OK);
	before = kit_counters(storm.db).accepted;
	storm.taker_gives_up = random_below(&random, 4) == 0;
	expect(penstock_completions_open(storm.db, 1 + random_below(&random, 100), &storm.queue), PENSTOCK_OK);
	taker = (struct hand){ .storm = &storm, .random = random_next(&random) };
	taker.thread = kit_thread(take_now_and_then, &taker);
	for (unsigned i = 0; i < pausers + stoppers + 2; i++) {
		hands[i] = (struct hand){ .storm = &storm, .random = random_next(&random) };
		hands[i].thread = kit_thread(i < pausers              ? pause_now_and_then
		                             : i < pausers + stoppers ? stop_now_and_then
		                                                      : look_now_and_then,
		                             &hands[i]);
		hand_count++;
	}
	for (int i = 0; i < PRODUCERS; i++) {
		storm.producers[i] = (struct producer){ .storm = &storm, .index = i, .random = random_next(&random) };
		storm.producers[i].fates = calloc(EACH, sizeof(struct fate));
		storm.producers[i].thread = kit_thread(produce, &storm.producers[i]);
	}
	for (int i = 0; i < PRODUCERS; i++)
		kit_join(storm.producers[i].thread);
	storm.over = true;
	for (unsigned i = 0; i < hand_count; i++)
		kit_join(hands[i].thread);
	check(write(penstock_completions_descriptor(storm.queue), &(uint64_t){ 1 }, 8) == 8);
	kit_join(taker.thread);
	/* What it leaves is not lost. */
	if (storm.taker_gives_up)
		end_queue(&storm);
	/* Whatever state it was left in: run what is held. */
	expect(penstock_start(storm.db, PENSTOCK_FOREVER), PENSTOCK_OK);
	if (penstock_phase_of(storm.db) == PENSTOCK_PHASE_PAUSED) {
		int status = penstock_unpause(storm.db, PENSTOCK_FOREVER);

		/* MISUSE: an unpause that had timed out came to its end meanwhile. */
		check(status == PENSTOCK_OK || status == PENSTOCK_MISUSE, "%s", penstock_status_name(status));
	}
	expect(penstock_flush(storm.db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(penstock_queue_depth(storm.db) == 0);
	check(kit_counters(storm.db).queue_bytes == 0);
	before = kit_counters(storm.db).accepted - before;
	expect(penstock_close(storm.db, PENSTOCK_FOREVER), PENSTOCK_OK);
	if (!storm.taker_gives_up)
		end_queue(&storm);
	outcomes_are_accounted_for(&storm, before);
	rows_are_accounted_for(&storm);
	check(pausers == 0 || stoppers > 0 || storm.paused > 0);
	for (int i = 0; i < PRODUCERS; i++)
		free(storm.producers[i].fates);
	signal(SIGABRT, SIG_DFL);
	harness_end();
}

static void storm_rounds(bool may_refuse, unsigned pausers, unsigned stoppers)
{
	static const int64_t slots[] = { 2, 16, 1024 };
	uint64_t seed = environment("PENSTOCK_SEED", 1);

	for (uint64_t i = 0; i < rounds(); i++)
		storm_round(seed + i, slots[(seed + i) % COUNT_OF(slots)], may_refuse, pausers, stoppers);
}

Test(storm, pauses_while_holding)
{
	storm_rounds(false, 3, 0);
}

Test(storm, pauses_while_refusing)
{
	storm_rounds(true, 3, 0);
}

Test(storm, stops_while_holding)
{
	storm_rounds(false, 0, 1);
}

Test(storm, everything_while_holding)
{
	storm_rounds(false, 1, 1);
}

Test(storm, everything_while_refusing)
{
	storm_rounds(true, 1, 1);
}

Test(storm, several_stoppers)
{
	storm_rounds(true, 2, 3);
}

/* ---- producers held up anywhere ---------------------------------------------------------------------------------- */

/* A signal stops a producer wherever it is, often between its look at the state and its publish, and for long. */
static void hold_up(int number)
{
	int saved = errno;

	(void)number;
	kit_sleep_usec(400);
	errno = saved;
}

struct held_up {
	penstock *db;
	_Atomic bool over;
	_Atomic uint64_t accepted;
	pthread_t threads[3];
};

static void *submit_all_the_time(void *arg)
{
	struct held_up *held_up = arg;

	while (!held_up->over) {
		int status = kit_insert(held_up->db, 1, 0, NULL); /* not asleep for room: there it could not be held up */

		if (status == PENSTOCK_OK)
			held_up->accepted++;
		else
			check(status == PENSTOCK_FULL || status == PENSTOCK_PAUSED || status == PENSTOCK_STOPPED, "%s",
			      penstock_status_name(status));
	}
	return NULL;
}

static void *hold_producers_up(void *arg)
{
	struct held_up *held_up = arg;

	for (unsigned i = 0; !held_up->over; i++) {
		pthread_kill(held_up->threads[i % COUNT_OF(held_up->threads)], SIGUSR2);
		kit_sleep_usec(150);
	}
	return NULL;
}

/* Refused or before the pause (or stop): nothing is accepted by a verb that has returned. */
static void verbs_cover_held_up_producers(int (*verb)(penstock *, int64_t), int (*back)(penstock *, int64_t))
{
	struct sigaction action = { .sa_handler = hold_up, .sa_flags = SA_RESTART };
	struct held_up held_up = { 0 };
	penstock_config config = kit_config();
	pthread_t disturber;

	check(sigaction(SIGUSR2, &action, NULL) == 0);
	config.ring_slots = 64;
	held_up.db = kit_open_table(&config);
	for (size_t i = 0; i < COUNT_OF(held_up.threads); i++)
		held_up.threads[i] = kit_thread(submit_all_the_time, &held_up);
	disturber = kit_thread(hold_producers_up, &held_up);
	for (uint64_t round = 0; round < rounds() * 5; round++) {
		expect(verb(held_up.db, PENSTOCK_FOREVER), PENSTOCK_OK);
		for (int i = 0; i < 5; i++) {
			check(penstock_queue_depth(held_up.db) == 0);
			kit_sleep_usec(200);
		}
		expect(back(held_up.db, PENSTOCK_FOREVER), PENSTOCK_OK);
		kit_sleep_usec(200);
	}
	held_up.over = true;
	kit_join(disturber);
	for (size_t i = 0; i < COUNT_OF(held_up.threads); i++)
		kit_join(held_up.threads[i]);
	expect(penstock_close(held_up.db, PENSTOCK_FOREVER), PENSTOCK_OK);
	check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == (int64_t)held_up.accepted);
}

Test(storm, pause_covers_producers_that_are_held_up)
{
	verbs_cover_held_up_producers(penstock_pause, penstock_unpause);
}

Test(storm, stop_covers_producers_that_are_held_up)
{
	verbs_cover_held_up_producers(penstock_stop, penstock_start);
}

/* ---- submitting up to the close ---------------------------------------------------------------------------------- */

struct last {
	penstock *db;
	penstock_handle *handles[256];
	unsigned count, quiet;
	int status;
	pthread_t thread;
};

static void *submit_until_stopped(void *arg)
{
	struct last *last = arg;

	for (;;) {
		bool keep = last->count < COUNT_OF(last->handles);
		int status = kit_insert(last->db, 1, PENSTOCK_FOREVER, keep ? &last->handles[last->count] : NULL);

		if (status != PENSTOCK_OK) {
			last->status = status;
			return NULL;
		}
		if (keep)
			last->count++;
		else
			last->quiet++;
	}
}

static void *close_main(void *arg)
{
	expect(penstock_close(arg, PENSTOCK_FOREVER), PENSTOCK_OK);
	return NULL;
}

/*
 * No call may begin once close has returned, so a producer must hear STOPPED before: while the writer stands before the
 * gate, close cannot return.
 */
Test(storm, submitting_up_to_the_close)
{
	for (uint64_t round = 0; round < rounds() * 10; round++) {
		penstock_config config = kit_config();
		struct last producers[4];
		uint64_t rows = 0;
		pthread_t closer;
		penstock *db;

		kit_begin();
		config.ring_slots = round % 2 ? 4 : 512;
		config.when_stopped = PENSTOCK_HOLD;
		db = kit_open_table(&config);
		for (int i = 0; i < 4; i++) {
			memset(&producers[i], 0, sizeof producers[i]);
			producers[i].db = db;
			producers[i].thread = kit_thread(submit_until_stopped, &producers[i]);
		}
		kit_sleep_usec((long)(round % 7) * 300);
		kit_block(db);
		closer = kit_thread(close_main, db);
		for (int i = 0; i < 4; i++)
			kit_join(producers[i].thread);
		kit_unblock();
		kit_join(closer);
		for (int i = 0; i < 4; i++) {
			check(producers[i].status == PENSTOCK_STOPPED, "%s", penstock_status_name(producers[i].status));
			rows += producers[i].count + producers[i].quiet;
			for (unsigned k = 0; k < producers[i].count; k++) {
				int status = penstock_handle_wait(producers[i].handles[k], 0);

				check(status == PENSTOCK_OK, "%s", penstock_status_name(status));
				penstock_handle_release(producers[i].handles[k]);
			}
		}
		check(kit_ask(harness_path("test.db"), "SELECT count(*) FROM t") == (int64_t)rows);
		harness_end();
	}
}
