/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.c - fuzzes the public interface: random sequences of calls on one engine, against a model of the contract
 *
 * The bytes choose a configuration and then one call after the other, all on one thread; the engine's writer is the only other
 * one. The second opinion is the model below, written from core/penstock.h alone:
 *
 *   1. The phase, and with it which statuses each call may answer. Where the writer's speed decides (a short timeout, a ring that
 *      is being emptied) there are several; while the writer is at rest there is one.
 *   2. Every accepted submission, in ticket order, with a table of which rows there are: that is what autocommit would have come
 *      to. Status, code, changes, rowid and rows of each outcome are compared with it, and each outcome comes exactly once.
 *      Some are calls of a function: what it wrote is there whole or not at all, and it must neither commit nor wait. Some are
 *      groups, of which all is there or nothing, and each member's own result is compared.
 *   3. What is held when the engine closes gets SHUTDOWN, and nothing else does.
 *   4. The counters and the queue's depth say the same, whenever the writer has nothing to do.
 *   5. While PAUSED or STOPPED an outsider gets the whole file at once, and may change it.
 *   6. A completion queue gives each of its submissions once, in their order at each level of acknowledgement, also when the engine
 *      is gone; it takes no more than it has places for, its descriptor is readable while there is anything, and it closes only when
 *      all is taken.
 *   7. At the end the file holds the rows that the model holds.
 *
 * Every verb that would wait for ever by contract is given a short timeout; whatever else does not return is a hang, which
 * libFuzzer reports.
 */
#include "tests/fuzz/fuzz.h"

#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/penstock.h"

#define SUBMISSIONS_MAX 512
#define KEYS 64    /* rows of the submissions; row 0 is never there at first */
#define FOREIGN 64 /* rows of the outsider, behind them */
#define BLOB_MAX 9000
#define SHORT 500       /* microseconds */
#define FIRST_GROUP 192 /* whose key's byte is so much or more is a group, where there may be one */
#define MEMBERS_MAX 4

enum kind {
	INSERT,
	INSERT_IGNORE,
	INSERT_REPLACE,
	INSERT_ROLLBACK,
	INSERT_FAIL, /* three rows, of which the first ones stay */
	INSERT_RETURNING,
	INSERT_BLOB,
	DELETE,
	UPDATE,
	COUNT,
	VERSION, /* a pragma, which runs alone */
	VACUUM,
	SYNTAX,
	BEGIN,
	TWO,
	RANGE, /* a value too many */
	CREATE,
	/* Calls of a function, which do this and commit: */
	CALL_TWO,      /* insert two rows */
	CALL_ROLLBACK, /* insert or roll back, and swallow that */
	CALL_COMMIT,   /* insert a row that may be there, and try to commit by itself */
	/* And those that must not: */
	CALL_UNDO, /* the same, and SQLITE_DONE */
	CALL_WAIT, /* the same, and a flush */
	GROUP,     /* of any that stand before CREATE */
	KINDS
};

static const char *const texts[KINDS] = {
	[INSERT] = "INSERT INTO t VALUES(?, ?)", /* plain: registered and with nobody listening it may run as one with others */
	[INSERT_IGNORE] = "INSERT OR IGNORE INTO t VALUES(?1, NULL)",
	[INSERT_REPLACE] = "INSERT OR REPLACE INTO t VALUES(?1, NULL)",
	[INSERT_ROLLBACK] = "INSERT OR ROLLBACK INTO t VALUES(?1, NULL)",
	[INSERT_FAIL] = "INSERT OR FAIL INTO t VALUES(?1, NULL), (?1 + 1, NULL), (?1 + 2, NULL)",
	[INSERT_RETURNING] = "INSERT INTO t VALUES(?1, NULL) RETURNING n, n * 2",
	[INSERT_BLOB] = "INSERT INTO t VALUES(?1, ?2)",
	[DELETE] = "DELETE FROM t WHERE n = ?1",
	[UPDATE] = "UPDATE t SET b = 1 WHERE n < ?1",
	[COUNT] = "SELECT count(*) FROM t WHERE n < ?1",
	[VERSION] = "PRAGMA user_version = 7",
	[VACUUM] = "VACUUM",
	[SYNTAX] = "INSRT INTO t VALUES(?1)",
	[BEGIN] = "BEGIN",
	[TWO] = "DELETE FROM t; DELETE FROM t",
	[RANGE] = "INSERT INTO t VALUES(?1, NULL)",
	[CREATE] = "CREATE TABLE t(n INTEGER PRIMARY KEY, b)",
	[CALL_TWO] = "INSERT INTO t VALUES(%d, NULL); INSERT INTO t VALUES(%d + 1, NULL)",
	[CALL_ROLLBACK] = "INSERT OR ROLLBACK INTO t VALUES(%d, NULL)",
	[CALL_COMMIT] = "INSERT OR IGNORE INTO t VALUES(%d, NULL)",
	[CALL_UNDO] = "INSERT OR IGNORE INTO t VALUES(%d, 'undone')",
	[CALL_WAIT] = "INSERT OR IGNORE INTO t VALUES(%d, 'waited')",
	[GROUP] = "(a group)",
};

enum listener { NOBODY, HANDLE, CALLBACK, QUEUE };

struct submission {
	enum kind kind;
	int64_t key;
	struct member {
		enum kind kind;
		int64_t key;
	} members[MEMBERS_MAX]; /* of a group */
	size_t member_count;
	enum listener listener;
	penstock_handle *handle; /* NULL: released */
	_Atomic unsigned calls;  /* of the callback or the error callback, or takes from the queue */
	_Atomic int status;      /* that those told */
	bool durable;
	bool abandoned; /* with its queue */
	bool compared;
	struct outcome {
		int status;
		int code; /* extended; 0: any */
		int64_t changes;
		int64_t rowid;
		size_t rows, columns;
		int64_t cells[2];
		size_t failed; /* of a group */
	} wanted;              /* when it is compared */
	_Atomic int code;
	bool light;                  /* fits a slot for sure */
	bool cancellable, cancelled; /* and a cancel was answered OK */
	bool late;                   /* its deadline had passed before */
};

static struct {
	const uint8_t *at;
	size_t left;

	penstock *db;
	penstock_phase phase;
	bool fresh;    /* never started: submissions wait */
	bool settling; /* STOPPING: it may be STOPPED already */
	bool hold_paused, hold_stopped, fail_full;
	int synchronous;
	uint64_t capacity;
	penstock_statement *insert, *remove;

	penstock_completions *queue; /* or NULL */
	size_t most, places;         /* places: taken */

	struct submission list[SUBMISSIONS_MAX];
	size_t count;
	size_t held;    /* from this one on they wait for a start or unpause */
	size_t settled; /* up to this one the outcomes are there and compared */
	bool rows[KEYS + 3 + FOREIGN];
	bool table;
	bool version;
	uint64_t ok, failed, shut, expired, cancelled;
	uint64_t refused[PENSTOCK_STATUS_LIMIT];
	uint64_t first_ticket;
} m;

static char path[256];
static unsigned char blob[BLOB_MAX];

static uint8_t byte(void)
{
	if (m.left == 0)
		return 0;
	m.left--;
	return *m.at++;
}

static const char *name(int status)
{
	return penstock_status_name(status);
}

/* The answer is one of a set of statuses, given as bits; and what is no OK has a message. */
#define IS(status) (UINT64_C(1) << PENSTOCK_##status)
#define answer(call, set)                                                                                  \
	({                                                                                                 \
		int answered_ = (call);                                                                    \
		must(answered_ >= 0 && answered_ < PENSTOCK_STATUS_LIMIT && ((set) >> answered_ & 1) != 0, \
		     "%s is %s in phase %s: %s", #call, name(answered_), penstock_phase_name(m.phase),     \
		     penstock_error_message());                                                            \
		must(answered_ == PENSTOCK_OK || penstock_error_message()[0] != '\0');                     \
		answered_;                                                                                 \
	})

/* ---- what autocommit comes to ------------------------------------------------------------------------------------ */

static int64_t rows_below(int64_t key)
{
	int64_t count = 0;

	for (int64_t i = 0; i < key; i++)
		count += m.rows[i];
	return count;
}

static struct outcome insert(int64_t key)
{
	if (m.rows[key])
		return (struct outcome){ .status = PENSTOCK_ERROR, .code = SQLITE_CONSTRAINT_PRIMARYKEY };
	m.rows[key] = true;
	return (struct outcome){ .status = PENSTOCK_OK, .changes = 1, .rowid = key };
}

static struct outcome run_one(enum kind kind, int64_t key)
{
	struct outcome outcome = { .status = PENSTOCK_OK };

	switch (kind) {
	case INSERT:
	case INSERT_ROLLBACK:
	case INSERT_BLOB:
		return insert(key);
	case INSERT_IGNORE:
		return m.rows[key] ? outcome : insert(key);
	case INSERT_REPLACE:
		m.rows[key] = false;
		return insert(key);
	case INSERT_FAIL:
		for (int i = 0; i < 3; i++) {
			struct outcome one = insert(key + i);

			if (one.status != PENSTOCK_OK)
				return one;
			outcome.changes++;
			outcome.rowid = one.rowid;
		}
		return outcome;
	case INSERT_RETURNING:
		outcome = insert(key);
		if (outcome.status == PENSTOCK_OK) {
			outcome.rows = 1;
			outcome.columns = 2;
			outcome.cells[0] = key;
			outcome.cells[1] = key * 2;
		}
		return outcome;
	case DELETE:
		outcome.changes = m.rows[key];
		m.rows[key] = false;
		return outcome;
	case UPDATE:
		outcome.changes = rows_below(key);
		return outcome;
	case COUNT:
		outcome.rows = 1;
		outcome.columns = 1;
		outcome.cells[0] = rows_below(key);
		return outcome;
	case VERSION:
		m.version = true;
		return outcome;
	case VACUUM:
		return outcome;
	case RANGE:
		return (struct outcome){ .status = PENSTOCK_ERROR, .code = SQLITE_RANGE };
	case CREATE:
		m.table = true;
		return outcome;
	case SYNTAX:
	case BEGIN:
	case TWO:
		return (struct outcome){ .status = PENSTOCK_ERROR };
	case CALL_TWO:
		if (m.rows[key] || m.rows[key + 1])
			return (struct outcome){ .status = PENSTOCK_ERROR, .code = SQLITE_CONSTRAINT_PRIMARYKEY };
		insert(key);
		outcome = insert(key + 1);
		outcome.changes = 2;
		return outcome;
	case CALL_ROLLBACK:
		outcome = insert(key);
		if (outcome.status == PENSTOCK_ERROR)
			outcome.code = SQLITE_MISUSE;
		return outcome;
	case CALL_COMMIT:
		return m.rows[key] ? outcome : insert(key);
	case CALL_UNDO:
		return (struct outcome){ .status = PENSTOCK_ERROR, .code = SQLITE_DONE };
	case CALL_WAIT:
		return (struct outcome){ .status = PENSTOCK_ERROR, .code = SQLITE_MISUSE };
	case GROUP:
	case KINDS:
		break;
	}
	abort();
}

/* All of it or nothing. Members that insert nothing have the rowid of the one before. */
static struct outcome run_group(const struct submission *group, struct outcome members[MEMBERS_MAX])
{
	struct outcome outcome = { .status = PENSTOCK_OK };
	bool rows[sizeof m.rows], version = m.version;
	size_t i;

	memcpy(rows, m.rows, sizeof rows);
	for (i = 0; i < group->member_count; i++) {
		const struct member *member = &group->members[i];

		members[i] = member->kind == VACUUM ? (struct outcome){ .status = PENSTOCK_ERROR }
		                                    : run_one(member->kind, member->key);
		if (members[i].status != PENSTOCK_OK) {
			memcpy(m.rows, rows, sizeof rows);
			m.version = version;
			members[i].failed = i;
			return members[i];
		}
		if (members[i].changes == 0 || member->kind == DELETE || member->kind == UPDATE)
			members[i].rowid = outcome.rowid;
		outcome.rowid = members[i].rowid;
		outcome.changes += members[i].changes;
	}
	outcome.failed = i;
	return outcome;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static void compare_cells(const penstock_result *result, const struct outcome *wanted, size_t number, enum kind kind)
{
	must(result->changes == wanted->changes, "submission %zu (%s): %jd changes, not %jd", number, texts[kind],
	     (intmax_t)result->changes, (intmax_t)wanted->changes);
	must(result->last_insert_rowid == wanted->rowid, "submission %zu (%s): rowid %jd, not %jd", number, texts[kind],
	     (intmax_t)result->last_insert_rowid, (intmax_t)wanted->rowid);
	must(result->row_count == wanted->rows && (wanted->rows == 0 || result->column_count == wanted->columns));
	for (size_t i = 0; i < wanted->rows * wanted->columns; i++)
		must(result->cells[i].type == PENSTOCK_INTEGER && result->cells[i].as.integer == wanted->cells[i],
		     "submission %zu (%s): cell %zu is %jd, not %jd", number, texts[kind], i,
		     (intmax_t)result->cells[i].as.integer, (intmax_t)wanted->cells[i]);
}

/* Of a group that went well, whose members' outcomes are wanted. */
static void compare_members(const struct submission *group, const struct outcome *wanted)
{
	const penstock_result *result = penstock_handle_result(group->handle);

	for (size_t i = 0; i < group->member_count; i++)
		compare_cells(penstock_result_member(result, i), &wanted[i], (size_t)(group - m.list), group->members[i].kind);
}

static void compare_handle(const struct submission *submission, const struct outcome *wanted)
{
	const penstock_result *result = penstock_handle_result(submission->handle);
	size_t number = (size_t)(submission - m.list);

	must(result != NULL, "submission %zu (%s) has no outcome", number, texts[submission->kind]);
	must((int)result->status == wanted->status, "submission %zu (%s) is %s, not %s: %s", number, texts[submission->kind],
	     name(result->status), name(wanted->status), result->message);
	must(penstock_handle_wait(submission->handle, 0) == wanted->status);
	must(result->ticket == m.first_ticket + number && penstock_handle_ticket(submission->handle) == result->ticket);
	must(result->arg == submission);
	must(result->member_count == submission->member_count);
	must(penstock_result_member(result, result->member_count) == NULL);
	/* Of a group that never ran none has failed. */
	must(result->failed_member == (wanted->status == PENSTOCK_OK || wanted->status == PENSTOCK_ERROR
	                                       ? wanted->failed
	                                       : result->member_count),
	     "submission %zu: member %zu failed, not %zu", number, result->failed_member, wanted->failed);
	if (wanted->status == PENSTOCK_OK) {
		must(result->code == SQLITE_OK && result->extended_code == SQLITE_OK && result->message[0] == '\0');
		compare_cells(result, wanted, number, submission->kind);
	} else {
		must(result->message[0] != '\0');
		must(wanted->status != PENSTOCK_ERROR || result->code == (result->extended_code & 0xff));
		must(wanted->code == 0 || result->extended_code == wanted->code, "submission %zu (%s): %s", number,
		     texts[submission->kind], penstock_code_name(result->extended_code));
		must(result->row_count == 0);
	}
}

static void compare_told(const struct submission *submission, const struct outcome *wanted)
{
	must(submission->status == wanted->status, "submission %zu (%s) is %s, not %s", (size_t)(submission - m.list),
	     texts[submission->kind], name(submission->status), name(wanted->status));
	must(wanted->code == 0 || submission->code == wanted->code);
}

static void compare(struct submission *submission, const struct outcome *wanted)
{
	size_t number = (size_t)(submission - m.list);
	/* The error callback hears of what failed and has no other listener. */
	unsigned calls = submission->listener == CALLBACK || (submission->listener == NOBODY && wanted->status != PENSTOCK_OK);

	submission->compared = true;
	submission->wanted = *wanted;
	if (submission->handle != NULL)
		compare_handle(submission, wanted);
	/* Taken, or yet to be taken. */
	if (submission->listener == QUEUE)
		calls = submission->calls != 0;
	must(submission->calls == calls, "submission %zu (%s): %u calls, not %u", number, texts[submission->kind],
	     submission->calls, calls);
	if (calls == 1)
		compare_told(submission, wanted);
}

/* What does not begin; false: it does. */
static bool comes_to_nothing(const struct submission *submission, struct outcome *outcome)
{
	*outcome = (struct outcome){ .status = submission->cancelled ? PENSTOCK_CANCELLED : PENSTOCK_EXPIRED };
	return submission->cancelled || submission->late;
}

/* Everything that is not held has its outcome. */
static void settle(void)
{
	for (; m.settled < m.held && m.settled < m.count; m.settled++) {
		struct submission *submission = &m.list[m.settled];
		struct outcome members[MEMBERS_MAX], outcome;

		if (!comes_to_nothing(submission, &outcome))
			outcome = submission->kind == GROUP ? run_group(submission, members)
			                                    : run_one(submission->kind, submission->key);
		compare(submission, &outcome);
		if (submission->kind == GROUP && submission->handle != NULL && outcome.status == PENSTOCK_OK)
			compare_members(submission, members);
		if (outcome.status == PENSTOCK_CANCELLED)
			m.cancelled++;
		else if (outcome.status == PENSTOCK_EXPIRED)
			m.expired++;
		else if (outcome.status == PENSTOCK_OK)
			m.ok++;
		else
			m.failed++;
	}
}

static void settle_shut_down(void)
{
	struct outcome outcome = { .status = PENSTOCK_SHUTDOWN };

	settle();
	for (; m.settled < m.count; m.settled++) {
		struct outcome nothing;

		compare(&m.list[m.settled], comes_to_nothing(&m.list[m.settled], &nothing) ? &nothing : &outcome);
	}
}

/* What is told to a listener other than a handle. */
static void heard(void *arg, const penstock_result *result)
{
	struct submission *submission = result->arg;

	must(arg == NULL || arg == submission);
	submission->status = (int)result->status;
	submission->code = result->extended_code;
	submission->calls++;
}

static bool at_rest(void)
{
	return m.fresh || m.phase == PENSTOCK_PHASE_PAUSED || (m.phase == PENSTOCK_PHASE_STOPPED && !m.settling);
}

/* The text for Prometheus has the same, in the room that it asked for and in no byte less. */
static void check_metrics(void)
{
	const char *engine = "x";
	size_t room, length;
	char *text, line[80];

	answer(penstock_metrics_prometheus(&m.db, &engine, 1, NULL, 0, &room), IS(OK));
	text = malloc(room);
	answer(penstock_metrics_prometheus(&m.db, &engine, 1, text, room - 1, &length), IS(MISUSE));
	must(length == room && text[0] == '\0');
	answer(penstock_metrics_prometheus(&m.db, &engine, 1, text, room, &length), IS(OK));
	must(length < room && strlen(text) == length);
	snprintf(line, sizeof line, "\npenstock_accepted_total{engine=\"x\"} %zu\n", m.count);
	must(strstr(text, line) != NULL, "no line%s", line);
	free(text);
}

/* After this everything not held has its outcome, and the counters say so. */
static void check_counters(void)
{
	penstock_counters counters = { .struct_size = sizeof counters };

	answer(penstock_counters_read(m.db, &counters), IS(OK));
	must(counters.accepted == m.count, "%ju accepted, not %zu", (uintmax_t)counters.accepted, m.count);
	must(counters.committed == m.ok && counters.failed == m.failed && counters.unknown == 0 && counters.shutdown == 0,
	     "committed %ju failed %ju unknown %ju shutdown %ju, not %ju %ju 0 0", (uintmax_t)counters.committed,
	     (uintmax_t)counters.failed, (uintmax_t)counters.unknown, (uintmax_t)counters.shutdown, (uintmax_t)m.ok,
	     (uintmax_t)m.failed);
	must(counters.expired == m.expired && counters.cancelled == m.cancelled);
	must(counters.queue_depth == m.count - m.settled && penstock_queue_depth(m.db) == m.count - m.settled);
	for (int i = 0; i < PENSTOCK_STATUS_LIMIT; i++)
		must(counters.refused[i] == m.refused[i], "%ju refused with %s, not %ju", (uintmax_t)counters.refused[i],
		     name(i), (uintmax_t)m.refused[i]);
	check_metrics();
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

static int admission(void)
{
	if (m.phase == PENSTOCK_PHASE_PAUSED && !m.hold_paused)
		return PENSTOCK_PAUSED;
	if ((m.phase == PENSTOCK_PHASE_STOPPED || m.phase == PENSTOCK_PHASE_STOPPING) && !m.fresh && !m.hold_stopped)
		return PENSTOCK_STOPPED;
	return PENSTOCK_OK;
}

static bool heavy_held(void)
{
	for (size_t i = m.held; i < m.count; i++)
		if (!m.list[i].light)
			return true;
	return false;
}

/* The statuses that a submit may answer. */
static uint64_t may_answer(const struct submission *submission, penstock_ack ack)
{
	int admitted = admission();

	if (submission->listener == QUEUE && m.places == m.most)
		return IS(FULL);
	if (admitted != PENSTOCK_OK)
		return UINT64_C(1) << admitted;
	if (ack == PENSTOCK_ACK_DURABLE && m.synchronous == PENSTOCK_SYNCHRONOUS_OFF)
		return IS(MISUSE);
	if (!at_rest())
		return IS(OK) | IS(FULL);
	if (m.count - m.held == m.capacity)
		return IS(FULL);
	return submission->light || !heavy_held() ? IS(OK) : IS(OK) | IS(FULL);
}

/* On the writer thread. */
static int call_function(sqlite3 *connection, void *arg, char **message)
{
	const struct submission *submission = arg;
	char *text = sqlite3_mprintf(texts[submission->kind], (int)submission->key, (int)submission->key);
	int rc;

	(void)message;
	must(text != NULL);
	rc = sqlite3_exec(connection, text, NULL, NULL, NULL);
	sqlite3_free(text);
	switch (submission->kind) {
	case CALL_ROLLBACK:
		return SQLITE_OK;
	case CALL_COMMIT:
		must(sqlite3_exec(connection, "COMMIT", NULL, NULL, NULL) == SQLITE_AUTH);
		return rc;
	case CALL_UNDO:
		return SQLITE_DONE;
	case CALL_WAIT:
		must(penstock_flush(m.db, PENSTOCK_FOREVER) == PENSTOCK_MISUSE);
		return rc;
	default:
		return rc;
	}
}

/* In place of some statements, which are wrong anyway. */
static enum kind call_for(enum kind kind)
{
	switch (kind) {
	case SYNTAX:
		return CALL_TWO;
	case BEGIN:
		return CALL_ROLLBACK;
	case TWO:
		return CALL_COMMIT;
	case RANGE:
		return CALL_UNDO;
	case VACUUM:
		return CALL_WAIT;
	default:
		return kind;
	}
}

/* What counts for the whole of a call or group. */
static penstock_submission envelope(const penstock_submission *call)
{
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;

	whole.ack = call->ack;
	whole.flags = call->flags;
	whole.on_complete = call->on_complete;
	whole.arg = call->arg;
	whole.completions = call->completions;
	whole.deadline_usec = call->deadline_usec;
	return whole;
}

static void draw_group(struct submission *group)
{
	group->kind = GROUP;
	group->light = false;
	group->member_count = 1 + byte() % MEMBERS_MAX;
	for (size_t i = 0; i < group->member_count; i++) {
		group->members[i].kind = byte() % CREATE;
		group->members[i].key = byte() % KEYS;
	}
}

static int submit_group(const struct submission *group, const penstock_submission *whole, int64_t timeout,
                        penstock_handle **handle)
{
	penstock_value values[MEMBERS_MAX][2];
	penstock_submission members[MEMBERS_MAX];

	for (size_t i = 0; i < group->member_count; i++) {
		const struct member *member = &group->members[i];

		penstock_submission_init(&members[i]);
		values[i][0] = penstock_int64(member->key);
		values[i][1] = penstock_null();
		members[i].values = values[i];
		if (member->kind == INSERT || member->kind == INSERT_BLOB || member->kind == RANGE)
			members[i].value_count = 2;
		else
			members[i].value_count = strstr(texts[member->kind], "?1") != NULL;
		if (member->kind == INSERT && (member->key & 1) != 0)
			members[i].statement = m.insert;
		else
			members[i].sql = texts[member->kind];
	}
	return penstock_submit_group(m.db, members, group->member_count, whole, timeout, handle);
}

static int submit_any(const penstock_submission *call, struct submission *submission, int64_t timeout, penstock_handle **handle)
{
	penstock_submission whole = envelope(call);

	if (submission->kind == GROUP)
		return submit_group(submission, &whole, timeout, handle);
	if (submission->kind >= CALL_TWO)
		return penstock_call(m.db, call_function, submission, &whole, timeout, handle);
	return penstock_submit(m.db, call, timeout, handle);
}

static void submit(bool execute)
{
	static const penstock_ack acks[] = { PENSTOCK_ACK_DEFAULT, PENSTOCK_ACK_DEFAULT, PENSTOCK_ACK_COMMITTED,
		                             PENSTOCK_ACK_DURABLE };
	struct submission *submission = &m.list[m.count];
	uint8_t choice = byte(), how = byte(), key = byte();
	penstock_value values[3] = { penstock_null(), penstock_null(), penstock_null() };
	penstock_submission call = { .struct_size = sizeof call, .sql_bytes = -1, .values = values, .arg = submission };
	bool running = m.phase == PENSTOCK_PHASE_RUNNING;
	int64_t timeout = how & 1 ? SHORT : 0;
	penstock_handle *handle = NULL;
	uint64_t set;
	int status;

	if (m.count == SUBMISSIONS_MAX)
		return;
	memset(submission, 0, sizeof *submission);
	submission->kind = choice % CREATE;
	submission->key = key % KEYS;
	submission->listener = execute ? HANDLE : (enum listener)(how >> 1 & 3);
	if (submission->listener == QUEUE && m.queue == NULL)
		submission->listener = NOBODY;
	call.ack = submission->listener == NOBODY ? PENSTOCK_ACK_DEFAULT : acks[how >> 3 & 3];
	call.flags = how & 0x20 ? PENSTOCK_RUN_ALONE : 0;
	submission->cancellable = submission->listener == HANDLE && choice / CREATE % 2 == 1;
	if (submission->cancellable)
		call.flags |= PENSTOCK_CANCELLABLE;
	submission->late = choice / CREATE % 8 == 6;
	call.deadline_usec = submission->late ? 1 : choice / CREATE % 8 == 5 ? INT64_MAX : 0;
	call.sql = texts[submission->kind];
	if (how & 0x40 && (submission->kind == INSERT || submission->kind == DELETE)) {
		call.statement = submission->kind == INSERT ? m.insert : m.remove;
		call.sql = NULL;
		submission->light = true;
	}
	if (how & 0x40 && !execute)
		submission->kind = call_for(submission->kind);
	submission->light |= submission->kind >= CALL_TWO;
	if (!execute && key >= FIRST_GROUP)
		draw_group(submission);
	if (strstr(texts[submission->kind], "?1") != NULL)
		call.value_count = 1;
	values[0] = penstock_int64(submission->key);
	if (submission->kind == INSERT_BLOB) {
		values[1] = penstock_blob(blob, (size_t)byte() * BLOB_MAX / 255);
		call.value_count = 2;
	} else if (submission->kind == RANGE || submission->kind == INSERT) {
		call.value_count = 2;
	}
	submission->durable = call.ack == PENSTOCK_ACK_DURABLE;
	if (submission->listener == CALLBACK)
		call.on_complete = heard;
	if (submission->listener == QUEUE)
		call.completions = m.queue;
	/* Where it is sure to be done, for ever is allowed. */
	if (running && how & 0x80)
		timeout = PENSTOCK_FOREVER;
	if (execute && timeout == 0)
		timeout = SHORT;
	set = may_answer(submission, call.ack);
	if (timeout == PENSTOCK_FOREVER && !m.fail_full && set != IS(FULL))
		set &= ~IS(FULL);

	if (execute) {
		/* A refusal, or an outcome, or a timeout with or without a handle. */
		uint64_t outcomes = (set & IS(OK)) == 0 ? 0 : submission->late ? IS(EXPIRED) : IS(OK) | IS(ERROR);

		if (timeout != PENSTOCK_FOREVER && set & IS(OK))
			outcomes |= IS(TIMEOUT);
		if (at_rest())
			outcomes &= IS(TIMEOUT);
		status = answer(penstock_execute(m.db, &call, timeout, &handle), (set & ~IS(OK)) | outcomes);
		must(handle != NULL || !(status == PENSTOCK_OK || status == PENSTOCK_ERROR || status == PENSTOCK_EXPIRED));
		must(status != PENSTOCK_ERROR ||
		     strcmp(penstock_error_message(), penstock_handle_result(handle)->message) == 0);
		if (handle != NULL)
			must((set & IS(OK)) != 0);
		else
			m.refused[status]++;
		if (handle == NULL)
			return;
	} else if (submission->listener == HANDLE || (submission->listener == QUEUE && how & 1)) {
		status = timeout == 0 && how & 0x80 && submission->kind < CALL_TWO
		                 ? answer(penstock_try_submit(m.db, &call, &handle), set)
		                 : answer(submit_any(&call, submission, timeout, &handle), set);
		must((handle != NULL) == (status == PENSTOCK_OK));
	} else {
		status = answer(submit_any(&call, submission, timeout, NULL), set);
	}
	if (handle == NULL && status != PENSTOCK_OK) {
		m.refused[status]++;
		return;
	}
	if (running)
		must(m.held == m.count);
	if (handle != NULL) {
		must(penstock_handle_ticket(handle) == m.first_ticket + m.count, "ticket %ju is not the next one",
		     (uintmax_t)penstock_handle_ticket(handle));
		if (at_rest())
			must(penstock_handle_result(handle) == NULL);
	}
	submission->handle = handle;
	m.places += submission->listener == QUEUE;
	m.count++;
	if (running)
		m.held = m.count;
}

/* Calls that are wrong by themselves: refused as MISUSE, whatever the phase. */
static void misuse(void)
{
	penstock_handle *handle = (penstock_handle *)&m;
	penstock_value value = penstock_int64(1);
	penstock_submission call = {
		.struct_size = sizeof call, .sql_bytes = -1, .sql = texts[INSERT], .values = &value, .value_count = 1
	};

	switch (byte() % 6) {
	case 0:
		call.struct_size--;
		break;
	case 1:
		call.sql = NULL;
		break;
	case 2:
		call.statement = m.insert;
		break;
	case 3:
		call.values = NULL;
		break;
	case 4:
		call.flags = 0x80;
		break;
	default:
		call.on_complete = heard;
		break;
	}
	answer(penstock_submit(m.db, &call, 0, &handle), IS(MISUSE));
	must(handle == NULL);
	m.refused[PENSTOCK_MISUSE]++;
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

static struct submission *pick(void)
{
	uint8_t back = byte();

	return m.count == 0 ? NULL : &m.list[m.count - 1 - back % m.count];
}

/* Without a close; compare has the one that it must be. */
#define ANY_OUTCOME (IS(OK) | IS(ERROR) | IS(EXPIRED) | IS(CANCELLED))

/* The answer is for ever; and known, where the writer cannot have begun it or must have. */
static void cancel_one(void)
{
	struct submission *submission = pick();
	size_t number;
	uint64_t set;

	if (submission == NULL || submission->handle == NULL)
		return;
	number = (size_t)(submission - m.list);
	if (!submission->cancellable)
		set = IS(MISUSE);
	else if (submission->cancelled || (number >= m.held && at_rest()))
		set = IS(OK);
	else
		set = number < m.settled ? IS(TOO_LATE) : IS(OK) | IS(TOO_LATE);
	submission->cancelled = answer(penstock_handle_cancel(submission->handle), set) == PENSTOCK_OK;
}

static void wait_for_one(void)
{
	struct submission *submission = pick();
	bool forever = byte() & 1;
	size_t number;

	if (submission == NULL || submission->handle == NULL)
		return;
	number = (size_t)(submission - m.list);
	if (number < m.settled) {
		answer(penstock_handle_wait(submission->handle, forever ? PENSTOCK_FOREVER : 0), ANY_OUTCOME);
	} else if (number >= m.held) {
		answer(penstock_handle_wait(submission->handle, SHORT), IS(TIMEOUT));
		must(penstock_handle_result(submission->handle) == NULL);
	} else {
		answer(penstock_handle_wait(submission->handle, forever ? PENSTOCK_FOREVER : SHORT),
		       ANY_OUTCOME | (forever ? 0 : IS(TIMEOUT)));
	}
}

static void release_one(void)
{
	struct submission *submission = pick();

	if (submission == NULL)
		return;
	penstock_handle_release(submission->handle);
	submission->handle = NULL;
}

/* ---- the completion queue ---------------------------------------------------------------------------------------- */

static bool is_in_queue(const struct submission *submission)
{
	return submission->listener == QUEUE && !submission->abandoned && submission->calls == 0;
}

static void take_result(const penstock_result *result)
{
	struct submission *submission = result->arg;

	must(is_in_queue(submission), "submission %zu is taken twice", (size_t)(submission - m.list));
	for (const struct submission *before = m.list; before < submission; before++)
		must(!is_in_queue(before) || before->durable != submission->durable, "submission %zu is taken before %zu",
		     (size_t)(submission - m.list), (size_t)(before - m.list));
	must(result->ticket == m.first_ticket + (uint64_t)(submission - m.list));
	heard(submission, result);
	if (submission->compared)
		compare_told(submission, &submission->wanted);
	m.places--;
}

/* How many must be there. */
static size_t arrived(void)
{
	size_t count = 0;

	for (size_t i = 0; i < m.settled; i++)
		count += is_in_queue(&m.list[i]);
	return count;
}

static bool is_readable(void)
{
	struct pollfd look = { .fd = penstock_completions_descriptor(m.queue), .events = POLLIN };

	return poll(&look, 1, 0) == 1;
}

static void take(size_t room)
{
	penstock_handle *handles[8];
	size_t least = arrived(), most = m.settled == m.held ? least : m.places, count;

	must(least == 0 || is_readable());
	answer(penstock_completions_take(m.queue, handles, room, &count), IS(OK));
	must(count <= room && count <= most && (count == room || count >= least), "%zu are taken, of %zu to %zu", count, least,
	     most);
	for (size_t i = 0; i < count; i++) {
		take_result(penstock_handle_result(handles[i]));
		penstock_handle_release(handles[i]);
	}
	must(least <= count || is_readable());
}

static void abandon(void)
{
	answer(penstock_completions_abandon(m.queue), IS(OK));
	for (size_t i = 0; i < m.count; i++)
		m.list[i].abandoned |= is_in_queue(&m.list[i]);
	m.queue = NULL;
	m.places = 0;
}

static void queue_call(void)
{
	uint8_t what = byte();

	if (m.queue == NULL) {
		m.most = what % 8;
		answer(penstock_completions_open(m.db, m.most, &m.queue), m.most == 0 ? IS(MISUSE) : IS(OK));
		return;
	}
	switch (what % 8) {
	case 0:
		if (answer(penstock_completions_close(m.queue), m.places > 0 ? IS(MISUSE) : IS(OK)) == PENSTOCK_OK)
			m.queue = NULL;
		break;
	case 1:
		abandon();
		break;
	case 2:
		answer(penstock_completions_notify_room(m.db, m.queue), IS(OK));
		break;
	default:
		take(what % 8);
		break;
	}
}

/* The engine is gone. */
static void end_queue(void)
{
	if (m.queue == NULL)
		return;
	if (byte() & 1) {
		abandon();
		return;
	}
	while (m.places > 0)
		take(8);
	answer(penstock_completions_close(m.queue), IS(OK));
}

/* ---- verbs ------------------------------------------------------------------------------------------------------- */

static void runs(void)
{
	m.phase = PENSTOCK_PHASE_RUNNING;
	m.fresh = false;
	m.settling = false;
	m.held = m.count;
}

static void stops(void)
{
	m.phase = PENSTOCK_PHASE_STOPPED;
	m.fresh = false;
	m.settling = false;
	settle();
}

static int64_t choose_timeout(void)
{
	uint8_t choice = byte();

	return choice < 128 ? PENSTOCK_FOREVER : choice < 192 ? SHORT : 0;
}

static void start(void)
{
	int64_t timeout = choose_timeout();
	uint64_t late = timeout == PENSTOCK_FOREVER || (m.phase != PENSTOCK_PHASE_STOPPED && m.phase != PENSTOCK_PHASE_STOPPING)
	                        ? 0
	                        : IS(TIMEOUT);

	if (answer(penstock_start(m.db, timeout), IS(OK) | late) == PENSTOCK_TIMEOUT)
		answer(penstock_start(m.db, PENSTOCK_FOREVER), IS(OK));
	if (m.phase != PENSTOCK_PHASE_PAUSED)
		runs();
}

static void stop(void)
{
	int64_t timeout = choose_timeout();
	uint64_t late = timeout == PENSTOCK_FOREVER || m.phase == PENSTOCK_PHASE_STOPPED ? 0 : IS(TIMEOUT);

	if (answer(penstock_stop(m.db, timeout), IS(OK) | late) == PENSTOCK_OK) {
		stops();
		return;
	}
	m.phase = PENSTOCK_PHASE_STOPPING;
	m.settling = true;
}

static void pause_engine(void)
{
	int64_t timeout = choose_timeout();

	if (m.phase == PENSTOCK_PHASE_PAUSED) {
		answer(penstock_pause(m.db, timeout), IS(MISUSE));
	} else if (m.phase != PENSTOCK_PHASE_RUNNING) {
		answer(penstock_pause(m.db, timeout), IS(STOPPED));
	} else if (answer(penstock_pause(m.db, timeout), IS(OK) | (timeout == PENSTOCK_FOREVER ? 0 : IS(TIMEOUT))) ==
	           PENSTOCK_OK) {
		m.phase = PENSTOCK_PHASE_PAUSED;
		settle();
	}
}

static void unpause(void)
{
	int64_t timeout = choose_timeout();

	if (m.phase == PENSTOCK_PHASE_RUNNING) {
		answer(penstock_unpause(m.db, timeout), IS(MISUSE));
	} else if (m.phase != PENSTOCK_PHASE_PAUSED) {
		answer(penstock_unpause(m.db, timeout), IS(STOPPED));
	} else {
		if (answer(penstock_unpause(m.db, timeout), IS(OK) | (timeout == PENSTOCK_FOREVER ? 0 : IS(TIMEOUT))) ==
		    PENSTOCK_TIMEOUT)
			/* It may be done with it meanwhile. */
			answer(penstock_unpause(m.db, PENSTOCK_FOREVER), IS(OK) | IS(MISUSE));
		runs();
	}
}

static void flush(void)
{
	if (m.held < m.count) {
		answer(penstock_flush(m.db, SHORT), IS(TIMEOUT));
		return;
	}
	answer(penstock_flush(m.db, PENSTOCK_FOREVER), IS(OK));
	settle();
	check_counters();
}

static void reconfigure(void)
{
	penstock_config config;
	uint8_t value;

	penstock_config_init(&config);
	switch (byte() % 8) {
	case 0:
		config.batch_max = byte() % 8 + 1;
		config.batch_bytes = 1024 + byte() * 16;
		break;
	case 1:
		config.batch_usec = byte();
		config.linger_usec = byte() % 4 * 50;
		break;
	case 2:
		value = byte();
		config.when_paused = value & 1;
		config.when_stopped = value >> 1 & 1;
		config.when_full = value >> 2 & 1;
		break;
	case 3:
		config.ring_bytes = 4096 + byte() * 64;
		break;
	case 4:
		config.spin_usec = byte();
		config.results_timeout_ms = byte();
		break;
	case 5:
		config.batch_max = 0; /* out of range, and then nothing changes */
		config.when_paused = m.hold_paused ? PENSTOCK_REFUSE : PENSTOCK_HOLD;
		answer(penstock_reconfigure(m.db, &config), IS(CONFIG));
		return;
	case 6:
		config.ring_slots = 8; /* not live */
		config.when_stopped = m.hold_stopped ? PENSTOCK_REFUSE : PENSTOCK_HOLD;
		answer(penstock_reconfigure(m.db, &config), IS(CONFIG));
		return;
	default:
		answer(penstock_reconfigure(m.db, NULL), IS(MISUSE));
		return;
	}
	answer(penstock_reconfigure(m.db, &config), IS(OK));
	if (config.when_paused != PENSTOCK_UNSET) {
		m.hold_paused = config.when_paused == PENSTOCK_HOLD;
		m.hold_stopped = config.when_stopped == PENSTOCK_HOLD;
		m.fail_full = config.when_full == PENSTOCK_WHEN_FULL_FAIL;
	}
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static int64_t ask(sqlite3 *connection, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int64_t number;

	must(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(connection));
	must(sqlite3_step(statement) == SQLITE_ROW, "%s: %s", sql, sqlite3_errmsg(connection));
	number = sqlite3_column_int64(statement, 0);
	must(sqlite3_step(statement) == SQLITE_DONE);
	sqlite3_finalize(statement);
	return number;
}

/* All rows, each with its weight: another set of rows has another sum, but for a collusion of 2^-31. */
static void compare_rows(sqlite3 *connection)
{
	int64_t sum = 0;

	must(ask(connection, "SELECT count(*) FROM sqlite_schema WHERE name = 't'") == m.table);
	must(ask(connection, "PRAGMA user_version") == (m.version ? 7 : 0));
	if (!m.table)
		return;
	for (int64_t i = 0; i < (int64_t)COUNT_OF(m.rows); i++)
		sum += m.rows[i] ? (i + 1) * (i + 1) * 7919 % 1000003 + 1000003 : 0;
	must(ask(connection, "SELECT coalesce(sum((n + 1) * (n + 1) * 7919 % 1000003 + 1000003), 0) FROM t") == sum);
}

static void look(void)
{
	int stopped = penstock_is_stopped(m.db);
	penstock_phase phase = penstock_phase_of(m.db);

	if (m.settling) {
		must(phase == PENSTOCK_PHASE_STOPPING || phase == PENSTOCK_PHASE_STOPPED);
	} else {
		must(phase == m.phase, "phase %s, not %s", penstock_phase_name(phase), penstock_phase_name(m.phase));
		must(stopped == (m.phase == PENSTOCK_PHASE_STOPPED));
	}
	must(penstock_queue_capacity(m.db) == m.capacity);
	must(penstock_queue_depth(m.db) <= m.count - m.settled && penstock_queue_depth(m.db) >= m.count - m.held);
	must(penstock_failure(m.db, NULL, 0) == 0);
	if (at_rest())
		check_counters();
}

static void read_rows(void)
{
	sqlite3 *connection = NULL;

	if (m.phase == PENSTOCK_PHASE_PAUSED) {
		answer(penstock_reader_open(m.db, &connection), IS(PAUSED));
		must(connection == NULL);
		return;
	}
	answer(penstock_reader_open(m.db, &connection), IS(OK));
	if (m.settled == m.held)
		compare_rows(connection);
	must(sqlite3_exec(connection, "CREATE TABLE no(a)", NULL, NULL, NULL) == SQLITE_READONLY);
	must(sqlite3_close(connection) == SQLITE_OK);
}

/* An outsider takes the file while the engine leaves it alone, and may leave a row. */
static void outsider(void)
{
	uint8_t key = byte() % FOREIGN;
	sqlite3 *connection = NULL;
	char sql[64];

	if (!at_rest())
		return;
	must(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
	must(sqlite3_exec(connection, "PRAGMA synchronous=OFF; BEGIN EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK, "%s",
	     sqlite3_errmsg(connection));
	compare_rows(connection);
	if (m.table) {
		snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO t VALUES(%d, NULL)", KEYS + 3 + key);
		must(sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK);
		m.rows[KEYS + 3 + key] = true;
	}
	must(sqlite3_exec(connection, "COMMIT", NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(connection));
	must(sqlite3_close(connection) == SQLITE_OK);
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static void open_engine(void)
{
	penstock_config config;
	uint8_t policies = byte(), sizes = byte();

	penstock_config_init(&config);
	config.autostart = policies & 1;
	config.when_paused = policies >> 1 & 1;
	config.when_stopped = policies >> 2 & 1;
	config.when_full = policies >> 3 & 1;
	config.synchronous = policies & 0x10 ? PENSTOCK_SYNCHRONOUS_NORMAL : PENSTOCK_SYNCHRONOUS_OFF;
	config.ring_slots = INT64_C(2) << (sizes & 7);
	config.ring_bytes = sizes & 8 ? 4096 : PENSTOCK_UNSET;
	config.batch_max = sizes & 0x10 ? (sizes >> 5) + 1 : PENSTOCK_UNSET;
	config.batch_bytes = policies & 0x80 ? 1024 : PENSTOCK_UNSET;
	config.statement_cache = policies & 0x20 ? 1 : PENSTOCK_UNSET;
	config.wal_bytes_max = policies & 0x40 ? 65536 : PENSTOCK_UNSET;
	config.checkpoint_thread = sizes & 0x10 ? PENSTOCK_UNSET : sizes >> 5 & 1;
	config.on_error = heard;
	m.hold_paused = config.when_paused;
	m.hold_stopped = config.when_stopped;
	m.fail_full = config.when_full;
	m.synchronous = (int)config.synchronous;
	m.capacity = (uint64_t)config.ring_slots;
	m.phase = config.autostart ? PENSTOCK_PHASE_RUNNING : PENSTOCK_PHASE_STOPPED;
	m.fresh = !config.autostart;
	answer(penstock_open(path, &config, &m.db), IS(OK));
	answer(penstock_statement_register(m.db, texts[INSERT], -1, &m.insert), IS(OK));
	answer(penstock_statement_register(m.db, texts[DELETE], (int64_t)strlen(texts[DELETE]), &m.remove), IS(OK));
}

/* Everything else needs the table; it is waited for where that is possible. */
static void create_table(void)
{
	struct submission *submission = &m.list[0];
	penstock_submission call = { .struct_size = sizeof call, .sql_bytes = -1, .sql = texts[CREATE], .arg = submission };

	submission->kind = CREATE;
	submission->listener = HANDLE;
	answer(penstock_submit(m.db, &call, 0, &submission->handle), IS(OK));
	m.first_ticket = penstock_handle_ticket(submission->handle);
	m.count = 1;
	m.held = m.fresh ? 0 : 1;
}

static void close_engine(void)
{
	int64_t timeout = choose_timeout();
	sqlite3 *connection = NULL;

	if (answer(penstock_close(m.db, timeout), IS(OK) | (timeout == PENSTOCK_FOREVER ? 0 : IS(TIMEOUT))) ==
	    PENSTOCK_TIMEOUT) {
		penstock_submission call = { .struct_size = sizeof call, .sql_bytes = -1, .sql = texts[VACUUM] };

		/* Like a stop that timed out. What would be held is not tried: it would have to be counted. */
		if (!m.hold_stopped)
			answer(penstock_submit(m.db, &call, 0, NULL), IS(STOPPED));
		answer(penstock_close(m.db, PENSTOCK_FOREVER), IS(OK));
	}
	settle_shut_down();
	must(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
	compare_rows(connection);
	must(ask(connection, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'") == 0);
	must(sqlite3_close(connection) == SQLITE_OK);
}

/* The database's folder, made once; on a file system in memory, where there is one. */
static void make_path(void)
{
	static char folder[128] = "/dev/shm/penstock-fuzz-XXXXXX";

	if (path[0] != '\0')
		return;
	if (mkdtemp(folder) == NULL) {
		strcpy(folder, "/tmp/penstock-fuzz-XXXXXX");
		must(mkdtemp(folder) != NULL);
	}
	snprintf(path, sizeof path, "%s/fuzz.db", folder);
}

static void remove_files(void)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal", "-penstock" };
	char file[sizeof path + 16];

	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		snprintf(file, sizeof file, "%s%s", path, ends[i]);
		unlink(file);
	}
}

static void remove_folder(void)
{
	remove_files();
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (path[0] == '\0') {
		make_path();
		atexit(remove_folder);
	}
	remove_files();
	memset(&m, 0, sizeof m);
	m.at = data;
	m.left = size;
	open_engine();
	create_table();
	while (m.left > 0) {
		uint8_t call = byte();

		if (call >= 240) {
			queue_call();
			continue;
		}
		switch (call % 16) {
		case 0:
			start();
			break;
		case 1:
			stop();
			break;
		case 2:
			pause_engine();
			break;
		case 3:
			unpause();
			break;
		case 4:
			flush();
			break;
		case 5:
			reconfigure();
			break;
		case 6:
			look();
			break;
		case 7:
			read_rows();
			break;
		case 8:
			outsider();
			break;
		case 9:
			wait_for_one();
			break;
		case 10:
			release_one();
			break;
		case 11:
			misuse();
			break;
		case 12:
			submit(true);
			break;
		case 13:
			cancel_one();
			break;
		default:
			submit(false);
			break;
		}
	}
	close_engine();
	end_queue();
	for (size_t i = 0; i < m.count; i++)
		penstock_handle_release(m.list[i].handle);
	return 0;
}
