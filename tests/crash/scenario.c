/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/crash/scenario.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/fault.h"

#define STEPS 9
#define STATEMENTS_MAX 9 /* of a batch */
#define QUIET_MAX 24
#define GROUP_MEMBERS_MAX 4
#define FAIL_WITHIN 12      /* the sync that fails is one of the first so many... */
#define FAIL_WITHIN_LATE 40 /* ...or, where the log begins anew now and then, of so many */
#define RACERS 4
#define RACER_STATEMENTS 14

static const struct scenario scenarios[] = {
	{ .name = "plain", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .bare = 40 },
	{ .name = "replay", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .bare = 30, .failing = 35 },
	{ .name = "alone", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .failing = 10, .alone = 40, .maintenance = 15 },
	{ .name = "groups", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .bare = 30, .failing = 12, .alone = 5, .groups = 50 },
	{ .name = "groups-durable",
	  .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL,
	  .failing = 8,
	  .groups = 50,
	  .durable = 40,
	  .restart = 10,
	  .small_wal = true },
	{ .name = "groups-failing-sync",
	  .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	  .failing = 8,
	  .groups = 60,
	  .fail_sync = true },
	{ .name = "calls",
	  .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	  .bare = 30,
	  .failing = 12,
	  .alone = 5,
	  .groups = 10,
	  .calls = 50 },
	{ .name = "calls-durable",
	  .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL,
	  .failing = 8,
	  .calls = 50,
	  .durable = 40,
	  .restart = 10,
	  .small_wal = true },
	{ .name = "calls-failing-sync",
	  .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	  .failing = 8,
	  .calls = 60,
	  .fail_sync = true },
	{ .name = "checkpoint", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .failing = 5, .readers = 30, .small_wal = true },
	{ .name = "raised",
	  .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	  .failing = 5,
	  .readers = 5,
	  .pause = 5,
	  .restart = 5,
	  .small_wal = true,
	  .raised = true },
	{ .name = "pause", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .bare = 20, .failing = 5, .pause = 40 },
	{ .name = "restart", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .bare = 20, .failing = 5, .restart = 40 },
	{ .name = "producers", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .failing = 10, .producers = RACERS },
	{ .name = "durable",
	  .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL,
	  .bare = 30,
	  .failing = 10,
	  .alone = 10,
	  .durable = 40 },
	{ .name = "durable-checkpoint",
	  .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL,
	  .failing = 5,
	  .durable = 30,
	  .maintenance = 5,
	  .readers = 10,
	  .pause = 10,
	  .restart = 10,
	  .small_wal = true },
	{ .name = "durable-pause", .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL, .bare = 20, .durable = 50, .pause = 50 },
	{ .name = "durable-producers",
	  .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL,
	  .failing = 5,
	  .durable = 20,
	  .producers = RACERS },
	{ .name = "failing-sync",
	  .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	  .bare = 20,
	  .failing = 10,
	  .alone = 10,
	  .fail_sync = true },
	{ .name = "failing-durable-sync",
	  .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL,
	  .failing = 10,
	  .durable = 60,
	  .small_wal = true,
	  .fail_sync = true },
	{ .name = "weak-sectors",
	  .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	  .bare = 20,
	  .failing = 5,
	  .small_wal = true,
	  .weak_sectors = true },
	{ .name = "adrift", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .fail_sync = true, .adrift = true },
	{ .name = "adrift-durable",
	  .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL,
	  .durable = 40,
	  .fail_sync = true,
	  .adrift = true },
	{ .name = "adrift-checkpoint",
	  .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	  .readers = 15,
	  .small_wal = true,
	  .fail_sync = true,
	  .adrift = true },
	{ .name = "adrift-pause", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .pause = 50, .fail_sync = true, .adrift = true },
	{ .name = "weak-sectors-durable", .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL, .durable = 40, .weak_sectors = true },
};

const struct scenario *scenario_at(size_t index)
{
	return index < sizeof scenarios / sizeof scenarios[0] ? &scenarios[index] : NULL;
}

struct run {
	const struct scenario *scenario;
	struct crash_deeds *deeds;
	const char *path;
	uint64_t random;
	penstock *db;
	sqlite3 *reader;
	const penstock_statement *registered[2]; /* of this engine: into t, into b */
	size_t flushed;                          /* rows before this one have their outcome */
	bool failed;                             /* the engine has */
	bool mended;                             /* after the sync that failed */
};

static struct run run;

static void must(int status, const char *what)
{
	if (status != PENSTOCK_OK)
		crash_die("%s: %s: %s", what, penstock_status_name(status), penstock_error_message());
}

/* ---- the gate: holds the writer ---- */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool shut;
	bool inside;
	bool over; /* the statement has its outcome */
} gate = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void gate_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	pthread_mutex_lock(&gate.mutex);
	gate.inside = true;
	pthread_cond_broadcast(&gate.changed);
	while (gate.shut)
		pthread_cond_wait(&gate.changed, &gate.mutex);
	gate.inside = false;
	pthread_mutex_unlock(&gate.mutex);
	sqlite3_result_int(context, 1);
}

static int connect_hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	if (run.scenario->raised)
		sqlite3_exec(connection, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
	return sqlite3_create_function(connection, "gate", 0, SQLITE_UTF8, NULL, gate_function, NULL, NULL);
}

static void gate_over(void *arg, const penstock_result *result)
{
	(void)arg;
	(void)result;
	pthread_mutex_lock(&gate.mutex);
	gate.over = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.mutex);
}

/* True: the writer stands before the gate. False: the engine has failed. */
static bool hold_writer(void)
{
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = "SELECT gate()", .on_complete = gate_over
	};
	bool held;

	pthread_mutex_lock(&gate.mutex);
	gate.shut = true;
	gate.over = false;
	pthread_mutex_unlock(&gate.mutex);
	if (penstock_submit(run.db, &submission, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
		return false;
	pthread_mutex_lock(&gate.mutex);
	while (!gate.inside && !gate.over)
		pthread_cond_wait(&gate.changed, &gate.mutex);
	held = gate.inside;
	pthread_mutex_unlock(&gate.mutex);
	return held;
}

static void let_writer_go(void)
{
	pthread_mutex_lock(&gate.mutex);
	gate.shut = false;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.mutex);
}

/* ---- statements ---- */

enum statement {
	GOOD,
	NULL_SUM,      /* an ordinary failure: the batch goes on */
	NULL_ROLLBACK, /* OR ROLLBACK: the batch replays */
	RAISES,        /* RAISE(ROLLBACK) in a trigger */
	DANGLING,      /* a deferred foreign key */
};

static const char *const schema[] = {
	"CREATE TABLE p(id INTEGER PRIMARY KEY)",
	"CREATE TABLE t(id INTEGER, text, sum INTEGER NOT NULL, p REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
	"CREATE INDEX t_id ON t(id)",
	"CREATE TABLE d(id INTEGER, k INTEGER)",
	"CREATE TABLE n(rows INTEGER)",
	"INSERT INTO n VALUES(0)",
	"CREATE TABLE b(id INTEGER, text, sum INTEGER NOT NULL)",
	"CREATE TRIGGER t_raise BEFORE INSERT ON t WHEN NEW.p = -1 BEGIN SELECT RAISE(ROLLBACK, 'as asked'); END",
	"CREATE TRIGGER t_details AFTER INSERT ON t BEGIN INSERT INTO d VALUES(NEW.id, 1), (NEW.id, 2), (NEW.id, 3); END",
	"CREATE TRIGGER t_counter AFTER INSERT ON t BEGIN UPDATE n SET rows = rows + 1; END",
};

#define INTO_T "INTO t(id, text, sum, p) VALUES(?, ?, ?, ?)"
#define INTO_B "INTO b(id, text, sum) VALUES(?, ?, ?)"

/* One producer's tickets are in the order of its rows, also over several engines and pauses. */
static uint64_t order_of(size_t row, uint64_t ticket)
{
	return run.scenario->producers == 0 ? row : ticket + 1;
}

/* On the writer thread. Of a group its first row, and so of all. */
static void told(void *arg, const penstock_result *result)
{
	size_t row = (size_t)((struct trace_row *)arg - trace.rows), group = trace.rows[row].group;
	bool lies = run.scenario->lie == SAYS_ERROR && row % 8 == 7;

	do
		trace_outcome(row, order_of(row, result->ticket), lies ? PENSTOCK_ERROR : (int)result->status);
	while (++row < trace.row_count && group != 0 && trace.rows[row].group == group && result->member_count > 0);
}

static void told_error(void *arg, const penstock_result *result)
{
	(void)arg;
	if (result->arg != NULL)
		told(result->arg, result);
}

static bool all_durable(void)
{
	return run.scenario->lie == CLAIMS_DURABLE || run.scenario->synchronous >= PENSTOCK_SYNCHRONOUS_FULL;
}

struct insert {
	penstock_submission submission;
	penstock_value values[4];
	char text[TRACE_TEXT_MAX];
	size_t row;
};

enum manner { LISTENING, MIXED, QUIET };

static void make_insert(struct insert *insert, uint64_t *random, bool bare, enum manner manner)
{
	static const enum statement failures[] = { NULL_SUM, NULL_ROLLBACK, NULL_ROLLBACK, RAISES, DANGLING };
	const struct scenario *scenario = run.scenario;
	enum statement kind = crash_chance(random, scenario->failing) ? failures[crash_below(random, bare ? 3 : 5)] : GOOD;
	bool durable = crash_chance(random, scenario->durable);
	bool silent = manner == QUIET || (manner == MIXED && !durable && crash_chance(random, 15));
	size_t bytes;

	durable = durable && !silent;
	insert->row = trace_add_row(durable || all_durable(), silent, bare);
	bytes = trace_text(trace.seed, insert->row, insert->text);
	insert->values[0] = penstock_int64((int64_t)insert->row);
	insert->values[1] = penstock_text_bytes(insert->text, bytes);
	insert->values[2] = penstock_int64(trace_sum(insert->text, bytes, insert->row));
	insert->values[3] = penstock_null();
	if (kind == NULL_SUM || kind == NULL_ROLLBACK)
		insert->values[2] = penstock_null();
	else if (kind == RAISES)
		insert->values[3] = penstock_int64(-1);
	else if (kind == DANGLING)
		insert->values[3] = penstock_int64(404);
	insert->submission = (penstock_submission){
		.struct_size = sizeof insert->submission,
		.sql_bytes = -1,
		.values = insert->values,
		.value_count = bare ? 3 : 4,
		.ack = durable  ? PENSTOCK_ACK_DURABLE
		       : silent ? PENSTOCK_ACK_NONE
		                : PENSTOCK_ACK_COMMITTED,
		.flags = crash_chance(random, scenario->alone) ? PENSTOCK_RUN_ALONE : 0,
		.on_complete = silent ? NULL : told,
		.arg = &trace.rows[insert->row],
	};
	if (kind == NULL_ROLLBACK)
		insert->submission.sql = bare ? "INSERT OR ROLLBACK " INTO_B : "INSERT OR ROLLBACK " INTO_T;
	else if (manner == QUIET || crash_chance(random, 50))
		insert->submission.statement = run.registered[bare];
	else
		insert->submission.sql = bare ? "INSERT " INTO_B : "INSERT " INTO_T;
}

/* Refused only when the engine has failed; then the row never was. */
static void refused(size_t row, int status)
{
	if (!run.scenario->fail_sync || status != PENSTOCK_FAILED)
		must(status, "submitting");
	run.failed = true;
	trace_outcome(row, UINT64_MAX, PENSTOCK_SHUTDOWN);
}

/* A second time, or the row's first detail alone. */
static void submit_lie(const struct insert *insert)
{
	penstock_submission submission = insert->submission;

	submission.on_complete = NULL;
	submission.arg = NULL;
	if (run.scenario->lie == TEARS_APART) {
		submission.sql = "INSERT INTO d VALUES(?, 1)";
		submission.statement = NULL;
		submission.value_count = 1;
	}
	must(penstock_submit(run.db, &submission, PENSTOCK_FOREVER, NULL), "lying");
}

/* ---- calls: insert, and fill in what was inserted ---- */

static const char *const call_inserts[] = { "INSERT INTO t(id, text, sum, p) VALUES(?1, '', 0, ?4)",
	                                    "INSERT INTO b(id, text, sum) VALUES(?1, '', 0)" };
static const char *const call_updates[] = { "UPDATE t SET text = ?2, sum = ?3 WHERE id = ?1",
	                                    "UPDATE b SET text = ?2, sum = ?3 WHERE id = ?1" };

/* Of one call: what it needs of its insert. */
struct call {
	size_t row;
	bool bare, wrong, dangling;
};

static int run_text(sqlite3 *connection, const char *sql, const struct call *call)
{
	static char text[TRACE_TEXT_MAX];
	size_t bytes = trace_text(trace.seed, call->row, text);
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)call->row);
	sqlite3_bind_text(statement, 2, text, (int)bytes, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, trace_sum(text, bytes, call->row));
	if (call->dangling)
		sqlite3_bind_int64(statement, 4, 404);
	sqlite3_step(statement);
	return sqlite3_finalize(statement);
}

/* On the writer thread. Takes its argument. */
static int insert_and_fill(sqlite3 *connection, void *arg, char **message)
{
	struct call call = *(struct call *)arg;
	int code;

	(void)message;
	free(arg);
	code = run_text(connection, call_inserts[call.bare], &call);
	if (code == SQLITE_OK)
		code = run_text(connection, call_updates[call.bare], &call);
	return code == SQLITE_OK && call.wrong ? SQLITE_DONE : code;
}

static int submit_call(const struct insert *insert, bool bare)
{
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;
	struct call *call = malloc(sizeof *call);
	int status;

	if (call == NULL)
		crash_die("no memory");
	*call = (struct call){ .row = insert->row,
		               .bare = bare,
		               .wrong = insert->values[2].type == PENSTOCK_NULL,
		               .dangling = insert->values[3].type != PENSTOCK_NULL };
	whole.ack = insert->submission.ack;
	whole.on_complete = insert->submission.on_complete;
	whole.arg = insert->submission.arg;
	status = penstock_call(run.db, insert_and_fill, call, &whole, PENSTOCK_FOREVER, NULL);
	if (status != PENSTOCK_OK)
		free(call);
	return status;
}

/* The first one tells of both. */
static int submit_split_call(const struct insert *insert, bool bare)
{
	penstock_submission submission = insert->submission;

	submission.statement = NULL;
	submission.sql = call_inserts[bare];
	submission.value_count = bare ? 1 : 4;
	must(penstock_submit(run.db, &submission, PENSTOCK_FOREVER, NULL), "splitting");
	submission.on_complete = NULL;
	submission.arg = NULL;
	submission.ack = PENSTOCK_ACK_NONE;
	submission.sql = call_updates[bare];
	submission.value_count = 3;
	return penstock_submit(run.db, &submission, PENSTOCK_FOREVER, NULL);
}

static void submit_insert(uint64_t *random, bool bare, enum manner manner)
{
	struct insert insert;
	int status;

	make_insert(&insert, random, bare, manner);
	if (run.scenario->calls == 0 || manner == QUIET || !crash_chance(random, run.scenario->calls))
		status = penstock_submit(run.db, &insert.submission, PENSTOCK_FOREVER, NULL);
	else if (run.scenario->lie == SPLITS_CALLS)
		status = submit_split_call(&insert, bare);
	else
		status = submit_call(&insert, bare);
	if (status != PENSTOCK_OK)
		refused(insert.row, status);
	if ((run.scenario->lie == SUBMITS_TWICE || run.scenario->lie == TEARS_APART) && insert.row % 8 == 7)
		submit_lie(&insert);
}

/* Several rows, which are there together or not at all. Only where one thread submits. */
static void submit_group(uint64_t *random, bool bare)
{
	struct insert inserts[GROUP_MEMBERS_MAX];
	penstock_submission members[GROUP_MEMBERS_MAX], whole = PENSTOCK_SUBMISSION_INIT;
	size_t count = 2 + crash_below(random, GROUP_MEMBERS_MAX - 1), i;
	bool splits = run.scenario->lie == SPLITS_GROUPS && crash_chance(random, 30);
	int status = PENSTOCK_OK;

	for (i = 0; i < count; i++) {
		struct trace_row *row;

		make_insert(&inserts[i], random, bare, MIXED);
		penstock_submission_init(&members[i]);
		members[i].sql = inserts[i].submission.sql;
		members[i].statement = inserts[i].submission.statement;
		members[i].values = inserts[i].values;
		members[i].value_count = inserts[i].submission.value_count;
		row = &trace.rows[inserts[i].row];
		row->group = inserts[0].row;
		row->durable = trace.rows[row->group].durable;
		row->silent = trace.rows[row->group].silent;
	}
	whole.ack = inserts[0].submission.ack;
	whole.flags = inserts[0].submission.flags;
	whole.on_complete = inserts[0].submission.on_complete;
	whole.arg = inserts[0].submission.arg;
	if (!splits)
		status = penstock_submit_group(run.db, members, count, &whole, PENSTOCK_FOREVER, NULL);
	for (i = 0; i < count; i++) {
		if (splits)
			status = penstock_submit(run.db, &inserts[i].submission, PENSTOCK_FOREVER, NULL);
		if (status != PENSTOCK_OK)
			refused(inserts[i].row, status);
	}
}

/* With a handle: the outcome is when the waiting thread has it. (By then the writer may be checkpointing, so not where it
 * often does: a seed is to give the same trace.) */
static void execute_insert(void)
{
	penstock_handle *handle;
	struct insert insert;
	int status;

	make_insert(&insert, &run.random, crash_chance(&run.random, run.scenario->bare), LISTENING);
	insert.submission.on_complete = NULL;
	status = penstock_execute(run.db, &insert.submission, PENSTOCK_FOREVER, &handle);
	if (handle == NULL) {
		refused(insert.row, status);
		return;
	}
	told(insert.submission.arg, penstock_handle_result(handle));
	penstock_handle_release(handle);
}

/* Then every silent statement has its outcome too: OK, unless the error callback was told. */
static void flush(void)
{
	must(penstock_flush(run.db, PENSTOCK_FOREVER), "flushing");
	for (; run.scenario->producers == 0 && run.flushed < trace.row_count; run.flushed++) {
		if (trace.rows[run.flushed].silent && trace.rows[run.flushed].status < 0)
			trace_outcome(run.flushed, run.flushed, PENSTOCK_OK);
	}
}

/* ---- steps ---- */

static void open_engine(void)
{
	static const char *const sizes[] = { "512", "1024", "4096" };
	penstock_pragma pragmas[] = { PENSTOCK_PRAGMA("page_size", sizes[crash_below(&run.random, 3)]),
		                      PENSTOCK_PRAGMA("foreign_keys", "1") };
	penstock_statement *statements[2];
	penstock_config config;

	penstock_config_init(&config);
	config.synchronous = run.scenario->raised ? PENSTOCK_SYNCHRONOUS_OFF : run.scenario->synchronous;
	config.batch_usec = 0;
	config.ring_slots = 64;
	config.connect_hook = connect_hook;
	config.on_error = told_error;
	config.pragmas = pragmas;
	config.pragma_count = 2;
	if (run.scenario->small_wal)
		config.wal_bytes_max = 65536;
	config.checkpoint_thread = run.scenario->fault != NULL || crash_below(&run.random, 4) != 0;
	config.leave_wal = crash_below(&run.random, 3) == 0;
	if (crash_chance(&run.random, 25))
		config.batch_max = 3;
	must(penstock_open(run.path, &config, &run.db), "opening");
	must(penstock_statement_register(run.db, "INSERT " INTO_T, -1, &statements[0]), "registering");
	must(penstock_statement_register(run.db, "INSERT " INTO_B, -1, &statements[1]), "registering");
	run.registered[0] = statements[0];
	run.registered[1] = statements[1];
}

static void close_engine(void)
{
	penstock_counters counters = { .struct_size = sizeof counters };

	must(penstock_counters_read(run.db, &counters), "counting");
#define X(deed) run.deeds->deed += counters.deed;
	CRASH_DEEDS(X)
#undef X
	must(penstock_close(run.db, PENSTOCK_FOREVER), "closing");
}

static void create_tables(void)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
	size_t row = trace_add_row(true, false, false), i;

	/* Each at a level that promises durability, where there is one. */
	submission.ack =
		run.scenario->synchronous == PENSTOCK_SYNCHRONOUS_NORMAL ? PENSTOCK_ACK_DURABLE : PENSTOCK_ACK_COMMITTED;
	for (i = 0; i < sizeof schema / sizeof schema[0]; i++) {
		submission.sql = schema[i];
		must(penstock_execute(run.db, &submission, PENSTOCK_FOREVER, NULL), schema[i]);
	}
	trace_outcome(row, 0, PENSTOCK_OK);
}

/*
 * A batch of a known size: submitted while the writer is held. Many quiet ones of one registered statement into the table
 * without a trigger are what the engine fuses.
 */
static void submit_batch(void)
{
	bool bare = crash_chance(&run.random, run.scenario->bare);
	enum manner manner = bare && crash_chance(&run.random, 60) ? QUIET : MIXED;
	size_t statements = 1 + crash_below(&run.random, manner == QUIET ? QUIET_MAX : STATEMENTS_MAX), i;

	if (!hold_writer()) {
		run.failed = true;
		return;
	}
	for (i = 0; i < statements; i++) {
		if (run.scenario->groups > 0 && crash_chance(&run.random, run.scenario->groups))
			submit_group(&run.random, bare);
		else
			submit_insert(&run.random, bare, manner);
	}
	let_writer_go();
}

static void maintain(void)
{
	static const char *const statements[] = {
		"VACUUM",
		"PRAGMA wal_checkpoint(TRUNCATE)",
		"PRAGMA wal_checkpoint(PASSIVE)",
		"REINDEX",
	};

	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = statements[crash_below(&run.random, 4)] };

	must(penstock_submit(run.db, &submission, PENSTOCK_FOREVER, NULL), submission.sql);
}

/* False: its sync failed. */
static bool run_outside(sqlite3 *connection, sqlite3_stmt *insert, bool durable)
{
	static char text[TRACE_TEXT_MAX];
	size_t row, bytes;

	row = trace_add_row(durable, false, false);
	bytes = trace_text(trace.seed, row, text);
	sqlite3_bind_int64(insert, 1, (sqlite3_int64)row);
	sqlite3_bind_text(insert, 2, text, (int)bytes, SQLITE_STATIC);
	sqlite3_bind_int64(insert, 3, trace_sum(text, bytes, row));
	sqlite3_step(insert);
	if (sqlite3_reset(insert) == SQLITE_OK) {
		trace_outcome(row, row, PENSTOCK_OK);
		return true;
	}
	if (!trace_sync_has_failed() || run.mended)
		crash_die("writing in a pause: %s", sqlite3_errmsg(connection));
	run.mended = true;
	trace_outcome(row, row, PENSTOCK_UNKNOWN);
	return false;
}

/*
 * While the engine is paused the file is the pauser's, who writes with a connection of its own. A careless one syncs nothing
 * and leaves a -wal behind, whose very name may not survive until somebody syncs the folder. One whose sync fails leaves it
 * behind too.
 */
static void pause_engine(void)
{
	size_t statements = crash_below(&run.random, 3), i;
	bool careless = crash_chance(&run.random, 40), leave = false;
	sqlite3_stmt *insert;
	sqlite3 *connection;

	must(penstock_pause(run.db, PENSTOCK_FOREVER), "pausing");
	if (statements > 0) {
		if (sqlite3_open(run.path, &connection) != SQLITE_OK ||
		    sqlite3_exec(connection, careless ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL", NULL, NULL,
		                 NULL) != SQLITE_OK ||
		    sqlite3_prepare_v2(connection, "INSERT " INTO_T, -1, &insert, NULL) != SQLITE_OK)
			crash_die("opening in a pause: %s", sqlite3_errmsg(connection));
		if (run.scenario->fail_sync && !run.mended)
			trace_fail_sync(1 + (unsigned)crash_below(&run.random, 3));
		for (i = 0; i < statements && !leave; i++)
			leave = !run_outside(connection, insert, !careless);
		trace_fail_sync(0);
		sqlite3_finalize(insert);
		sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)(careless || leave), NULL);
		sqlite3_close(connection);
	}
	must(penstock_unpause(run.db, PENSTOCK_FOREVER), "unpausing");
}

static void end_reader(void)
{
	if (sqlite3_close(run.reader) != SQLITE_OK)
		crash_die("a reader cannot be closed");
	run.reader = NULL;
}

static void read_or_stop(void)
{
	if (run.reader != NULL) {
		end_reader();
		return;
	}
	must(penstock_reader_open(run.db, &run.reader), "opening a reader");
	if (sqlite3_exec(run.reader, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL) != SQLITE_OK)
		crash_die("reading: %s", sqlite3_errmsg(run.reader));
}

static void restart_engine(void)
{
	if (crash_chance(&run.random, 50)) {
		must(penstock_stop(run.db, PENSTOCK_FOREVER), "stopping");
		must(penstock_start(run.db, PENSTOCK_FOREVER), "starting");
	} else {
		close_engine();
		open_engine();
	}
}

/* A failed engine gives what it has the outcome SHUTDOWN or UNKNOWN, and is started again. */
static void start_failed_engine(void)
{
	must(penstock_stop(run.db, PENSTOCK_FOREVER), "stopping the failed engine");
	run.failed = false;
	run.mended = true;
	/* Now and then a sync fails there too: of what is dirty, or of what was written anew. */
	if (run.scenario->adrift && crash_chance(&run.random, 50)) {
		trace_fail_sync(1 + (unsigned)crash_below(&run.random, 3));
		if (penstock_start(run.db, PENSTOCK_FOREVER) == PENSTOCK_OK) {
			trace_fail_sync(0);
			return;
		}
	}
	must(penstock_start(run.db, PENSTOCK_FOREVER), "starting the failed engine");
}

/* Whether the engine has failed, once the writer is done with what lies behind the outcomes: a checkpoint, or failing. */
static bool has_failed(void)
{
	penstock_submission nothing = { .struct_size = sizeof nothing, .sql_bytes = -1, .sql = "SELECT 1" };
	struct timespec moment = { .tv_nsec = 1000000 };
	int looks;

	if (run.failed || !run.scenario->fail_sync || run.mended)
		return run.failed;
	penstock_execute(run.db, &nothing, PENSTOCK_FOREVER, NULL);
	if (!trace_sync_has_failed())
		return false;
	for (looks = 0; penstock_phase_of(run.db) != PENSTOCK_PHASE_FAILED; looks++) {
		if (looks == 60000)
			crash_die("a sync has failed, and the engine has not");
		nanosleep(&moment, NULL);
	}
	return true;
}

static void step(void)
{
	const struct scenario *scenario = run.scenario;
	bool reaped = false;

	if (crash_chance(&run.random, scenario->readers))
		read_or_stop();
	if (scenario->restart > 0 && crash_chance(&run.random, 30)) {
		/* A restart with work still there. */
		submit_batch();
		reaped = true;
	}
	if (crash_chance(&run.random, scenario->restart)) {
		restart_engine();
	} else if (crash_chance(&run.random, scenario->pause)) {
		pause_engine();
	} else if (crash_chance(&run.random, scenario->maintenance)) {
		maintain();
	} else if (!scenario->small_wal && crash_chance(&run.random, 20)) {
		if (reaped)
			flush();
		execute_insert();
	} else if (!reaped) {
		submit_batch();
	}
	flush();
	if (has_failed())
		start_failed_engine();
}

static void *race(void *arg)
{
	uint64_t random = *(uint64_t *)arg;
	int i;

	for (i = 0; i < RACER_STATEMENTS; i++)
		submit_insert(&random, i % 3 == 0, i % 6 == 3 ? QUIET : MIXED);
	return NULL;
}

static void race_all(unsigned producers)
{
	pthread_t threads[RACERS];
	uint64_t seeds[RACERS];
	unsigned i;

	for (i = 0; i < producers; i++) {
		seeds[i] = crash_random(&run.random);
		if (pthread_create(&threads[i], NULL, race, &seeds[i]) != 0)
			crash_die("no thread");
	}
	for (i = 0; i < producers; i++)
		pthread_join(threads[i], NULL);
	flush();
}

bool scenario_has_faults(void)
{
#ifdef PENSTOCK_FAULTS
	return true;
#else
	return false;
#endif
}

static void arm(const struct scenario *scenario)
{
	if (scenario->fault == NULL)
		return;
#ifdef PENSTOCK_FAULTS
	if (ps_fault_arm(scenario->fault, scenario->fault_skip, scenario->fault_count))
		return;
#endif
	crash_die("no fault is named %s in this build", scenario->fault);
}

static void disarm(void)
{
#ifdef PENSTOCK_FAULTS
	ps_fault_disarm();
#endif
}

void scenario_run(const struct scenario *scenario, const char *path, uint64_t seed, struct crash_deeds *deeds)
{
	int i;

	memset(&run, 0, sizeof run);
	run.scenario = scenario;
	run.path = path;
	run.deeds = deeds;
	run.random = seed;
	trace_begin(path, seed, scenario->weak_sectors, scenario->adrift);
	open_engine();
	create_tables();
	/* Where there are pauses it is the pauser's. */
	if (scenario->fail_sync && scenario->pause == 0)
		trace_fail_sync(1 + (unsigned)crash_below(&run.random, scenario->small_wal ? FAIL_WITHIN_LATE : FAIL_WITHIN));
	arm(scenario);
	if (scenario->producers > 0)
		race_all(scenario->producers);
	else
		for (i = 0; i < STEPS; i++)
			step();
	if (run.reader != NULL)
		end_reader();
	close_engine();
	disarm();
	trace_end();
}
