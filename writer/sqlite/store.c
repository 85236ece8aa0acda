/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.c - the store over one SQLite connection in WAL mode
 *
 * What SQLite makes of a statement that fails inside a transaction (checked on 3.40.1):
 *   - a failed constraint (ABORT) undoes that statement alone, and FAIL keeps the rows before the failing one, both as in
 *     autocommit: nothing to do, and no savepoint is needed;
 *   - another failure may leave the rows before it in the transaction, which autocommit would not (may_leave_rows);
 *   - ROLLBACK, an interrupted write, FULL, NOMEM and IOERR may end the whole transaction: the autocommit flag tells,
 *     after every statement;
 *   - FULL, CANTOPEN and IOERR may be of the temporary file that holds what undoes the statement within the transaction, which
 *     autocommit does not need;
 *   - deferred foreign keys are only looked at by COMMIT, but SQLITE_DBSTATUS_DEFERRED_FKS tells after each statement
 *     whether it left a violation, for which it would have failed alone.
 * In the last four cases the batch rolls back, runs the others, and runs the failing one alone, in autocommit, where SQLite
 * itself decides what becomes of it.
 *
 * Invariants
 *   1. Between calls no statement is open, so COMMIT never waits for one and no read transaction blocks a checkpoint.
 *   2. Nothing runs behind a rollback that failed, for lack of memory: it would be undone, whatever its outcome.
 *   3. last_insert_rowid is 0 before each statement; changes() and total_changes() in SQL tell what they would have told in
 *      autocommit, whatever was rolled back and run again in between.
 */
#include "writer/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "writer/sqlite/busy.h"
#include "writer/sqlite/changes.h"
#include "writer/sqlite/connection.h"
#include "writer/sqlite/copies.h"
#include "writer/sqlite/deadline.h"
#include "writer/sqlite/explain.h"
#include "writer/sqlite/file.h"
#include "writer/sqlite/fuse.h"
#include "writer/sqlite/harm.h"
#include "writer/sqlite/rows.h"
#include "writer/sqlite/statements.h"
#include "writer/sqlite/trust.h"

/* Without memory a rollback may fail (end_transaction); so often it is tried, a millisecond apart. */
#define ROLLBACK_ATTEMPTS 10

#define GONE_FORMAT "%s%s was removed or replaced while it was in use"

/* So many runs of a statement are alone when it has met missing room for temporary files in a batch, and went well alone. */
#define APART_RUNS 1000

struct ps_store {
	const char *path;
	const struct ps_options *options;
	sqlite3 *connection;
	struct ps_statements statements;
	struct ps_statement_deadline deadline;
	struct ps_file file;
	struct ps_busy busy;
	struct ps_harm_watch harm;
	struct ps_changes *changes;
	sqlite3_stmt *begin;
	sqlite3_stmt *commit;
	sqlite3_stmt *rollback;
	int synchronous;             /* as it is now; a submitted PRAGMA may change it */
	bool weak_sectors;           /* see raise_synchronous */
	char synchronous_before[32]; /* the pragma that sets it back */
	bool attached;               /* a database beside main and temp */
	bool one_by_one;             /* transactions would show: see read_settings */
	bool deferring;              /* PRAGMA defer_foreign_keys is on, until the next commit */
	bool foreign_keys;           /* as of the last begin */
	bool lacked_room;            /* the last statement alone, or commit */
	bool stuck;                  /* a transaction that must not be committed could not be rolled back */
	uint64_t reprepares;
	uint64_t schema_changes; /* statements run that may have been one, ours or other processes' */
	sqlite3_stmt *savepoint;
	sqlite3_stmt *release;
	sqlite3_stmt *read_cookie;
	int64_t cookie;        /* of the schema of main, and... */
	unsigned data_version; /* ...SQLite's number for what other connections have committed, when it was read */
	struct {
		bool known;
		uint64_t at; /* schema_changes */
		bool deferred_keys;
		bool full_text; /* or another kind of virtual table that may keep writes until later */
	} schema;
	int error_code;
	char error_message[256];
};

/* ---- connection ---- */

static int64_t read_pragma(struct ps_store *store, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t value = -1;

	if (sqlite3_prepare_v2(store->connection, sql, -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return value;
}

/*
 * Where a write may harm bytes beside it, SQLite fills the last sector of a commit up before it syncs, so that the next commit
 * does not touch it; but only where it syncs every commit. Under NORMAL a durable one, synced by ps_store_sync, could be
 * broken by the one behind it.
 */
static void raise_synchronous(struct ps_store *store)
{
	if (store->weak_sectors && store->synchronous == PENSTOCK_SYNCHRONOUS_NORMAL &&
	    sqlite3_exec(store->connection, "PRAGMA synchronous=FULL", NULL, NULL, NULL) == SQLITE_OK)
		store->synchronous = PENSTOCK_SYNCHRONOUS_FULL;
}

/*
 * What a statement that ran alone may have changed. With a second database attached, BEGIN IMMEDIATE would lock that too
 * (and, were it the same file, wait for itself), and defer_foreign_keys lasts until a commit, which must then be the next
 * statement's own: in both cases every statement runs by itself in autocommit.
 */
static void read_settings(struct ps_store *store)
{
	bool deferring;

	/* The hook, or PRAGMA busy_timeout. */
	ps_busy_install(&store->busy, store->connection);

	/* Without it SQLite answers no pragma. */
	ps_trust_read_schema(store->connection);
	deferring = read_pragma(store, "PRAGMA defer_foreign_keys") == 1;
	store->synchronous = (int)read_pragma(store, "PRAGMA synchronous");
	raise_synchronous(store);
	/* SQLite compiles the flag into a statement, and does not notice when a commit ends it. */
	if (store->deferring && !deferring)
		ps_statements_forget_all(&store->statements);
	store->deferring = deferring;
	store->attached = sqlite3_db_name(store->connection, 2) != NULL;
	store->one_by_one = store->deferring || store->attached;
	/* Another process may make a table in one of them whose name goes before that of another. */
	store->statements.keep = !store->attached;
}

static bool prepare_own(struct ps_store *store)
{
	const struct {
		const char *sql;
		sqlite3_stmt **statement;
	} own[] = { { "BEGIN IMMEDIATE", &store->begin },    { "COMMIT", &store->commit },
		    { "ROLLBACK", &store->rollback },        { "SAVEPOINT penstock", &store->savepoint },
		    { "RELEASE penstock", &store->release }, { "PRAGMA main.schema_version", &store->read_cookie } };

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (sqlite3_prepare_v3(store->connection, own[i].sql, -1, SQLITE_PREPARE_PERSISTENT, own[i].statement, NULL) !=
		    SQLITE_OK)
			return false;
	}
	return true;
}

static void finalize_own(struct ps_store *store)
{
	sqlite3_finalize(store->begin);
	sqlite3_finalize(store->commit);
	sqlite3_finalize(store->rollback);
	sqlite3_finalize(store->savepoint);
	sqlite3_finalize(store->release);
	sqlite3_finalize(store->read_cookie);
}

int ps_store_open(struct ps_store **result, const char *path, const struct ps_options *options, enum ps_role role,
                  struct ps_patience *patience, bool *locked)
{
	struct ps_store *store = calloc(1, sizeof *store);
	enum ps_gone gone = PS_GONE_NOTHING;
	int status;

	*result = NULL;
	*locked = false;
	if (store == NULL)
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	store->path = path;
	store->options = options;
	ps_busy_init(&store->busy, patience, options->keys.busy_timeout_ms);
	status = ps_connection_open(path, options, role, true, &store->busy, &store->harm, &store->connection, locked);
	if (status != PENSTOCK_OK)
		goto err_after_alloc;
	store->changes = ps_changes_new(store->connection);
	if (store->changes == NULL)
		goto err_after_connection;
	if (!ps_statements_init(&store->statements, store->connection, (size_t)options->keys.statement_cache))
		goto err_after_changes;
	/* Behind both of these, for which SQLite would prepare them again. */
	if (!prepare_own(store))
		goto err_after_statements;
	ps_statement_deadline_init(&store->deadline, store->connection, options->keys.statement_timeout_ms);
	status = ps_file_init(&store->file, store->connection, (uint64_t)read_pragma(store, "PRAGMA page_size"), &store->busy,
	                      options->keys.synchronous != PENSTOCK_SYNCHRONOUS_OFF);
	if (status != PENSTOCK_OK)
		goto err_after_deadline;
	gone = ps_file_look(&store->file, true);
	if (gone != PS_GONE_NOTHING) {
		status = ps_error(PENSTOCK_CANTOPEN,
		                  GONE_FORMAT ", and connections of this process still use the old one; close them all", path,
		                  ps_presence_suffix(gone));
		goto err_after_file;
	}
	store->weak_sectors = ps_file_has_weak_sectors(&store->file);
	if (store->weak_sectors && options->keys.synchronous == PENSTOCK_SYNCHRONOUS_NORMAL)
		ps_log(options, PENSTOCK_EVENT_SYNCHRONOUS_RAISED,
		       "%s: synchronous=normal is raised to full, since overwriting is not safe there", path);
	read_settings(store);
	if (role == PS_CREATING_WRITER)
		ps_copies_tell(options, path);
	*result = store;
	return PENSTOCK_OK;

err_after_file:
	ps_file_close(&store->file, false);
err_after_deadline:
	ps_statement_deadline_destroy(store->connection);
err_after_statements:
	finalize_own(store);
	ps_statements_destroy(&store->statements);
err_after_changes:
	ps_changes_release(store->changes);
err_after_connection:
	sqlite3_busy_handler(store->connection, NULL, NULL);
	ps_harm_end_watch(&store->harm);
	sqlite3_close_v2(store->connection);
	if (status == PENSTOCK_OK)
		status = ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
err_after_alloc:
	free(store);
	return status;
}

int ps_store_probe(const char *path, const struct ps_options *options, bool *locked)
{
	sqlite3 *connection;
	int status = ps_connection_open(path, options, PS_CREATING_WRITER, false, NULL, NULL, &connection, locked);

	if (status == PENSTOCK_OK) {
		ps_copies_tell(options, path);
		sqlite3_close(connection);
	}
	return status;
}

int ps_store_open_reader(const char *path, const struct ps_options *options, sqlite3 **connection)
{
	bool locked;

	return ps_connection_open(path, options, PS_READER, true, NULL, NULL, connection, &locked);
}

void ps_store_close(struct ps_store *store, bool checkpoint)
{
	enum ps_gone gone;

	ps_statements_destroy(&store->statements);
	ps_statement_deadline_destroy(store->connection);
	finalize_own(store);
	gone = ps_file_close(&store->file, checkpoint);
	if (gone != PS_GONE_NOTHING)
		ps_log(store->options, PENSTOCK_EVENT_FILE_MOVED, GONE_FORMAT, store->path, ps_presence_suffix(gone));
	ps_changes_release(store->changes);
	sqlite3_busy_handler(store->connection, NULL, NULL);
	ps_harm_end_watch(&store->harm);
	/* _v2: should a function of the connect hook have left a statement open, it goes with that. */
	sqlite3_close_v2(store->connection);
	free(store);
}

/* ---- errors ---- */

/*
 * What the batch, or memory that others took, may have caused; alone it may go well: SQLite keeps what undoes a statement of many
 * rows in a temporary file, which it does not need in autocommit. (The bare IOERR is a SQL function's: no file gives it.)
 */
static bool may_be_the_batch(int extended_code)
{
	int code = extended_code & 0xff;

	return code == SQLITE_FULL || code == SQLITE_NOMEM || ps_connection_met_lock(code) ||
	       (code == SQLITE_IOERR && extended_code != SQLITE_IOERR);
}

static bool is_read_error(int extended_code)
{
	return extended_code == SQLITE_IOERR_READ || extended_code == SQLITE_IOERR_SHORT_READ ||
	       extended_code == SQLITE_IOERR_CORRUPTFS;
}

static void note_error(struct ps_store *store)
{
	store->error_code = sqlite3_extended_errcode(store->connection);
	/* What breaks the engine is told to everybody, so it is not in the words of a function of the program. */
	snprintf(store->error_message, sizeof store->error_message, "%s",
	         ps_harm_is_io_error(store->error_code) ? sqlite3_errstr(store->error_code)
	                                                : sqlite3_errmsg(store->connection));
}

int ps_store_error(const struct ps_store *store, const char **message)
{
	*message = store->error_message;
	return store->error_code;
}

/*
 * Whether a statement that wrote, and failed so within a transaction, may lack the temporary file that would hold what undoes it.
 * Alone it needs none.
 */
static bool may_lack_temp(int extended_code)
{
	int code = extended_code & 0xff;

	return code == SQLITE_FULL || code == SQLITE_CANTOPEN || (code == SQLITE_IOERR && extended_code != SQLITE_IOERR);
}

/* ---- transactions ---- */

static int step_once(sqlite3_stmt *statement)
{
	int rc = sqlite3_step(statement);

	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool ps_store_in_transaction(const struct ps_store *store)
{
	return !sqlite3_get_autocommit(store->connection);
}

/* SQLite may prepare even ROLLBACK again (settings or functions of the connection have changed), for which memory may lack. */
static void end_transaction(struct ps_store *store)
{
	struct timespec pause = ps_timespec(PS_NSEC_PER_MSEC);
	unsigned attempts;

	for (attempts = 0; ps_store_in_transaction(store) && attempts < ROLLBACK_ATTEMPTS; attempts++) {
		if (attempts > 0)
			nanosleep(&pause, NULL);
		step_once(store->rollback);
	}
	store->stuck = ps_store_in_transaction(store);
}

/* Whatever ran now would be rolled back with the transaction that is still there, its OK notwithstanding. */
static bool is_stuck(struct ps_store *store)
{
	if (store->stuck)
		end_transaction(store);
	if (!store->stuck)
		return false;
	store->error_code = SQLITE_NOMEM;
	snprintf(store->error_message, sizeof store->error_message, "out of memory for a ROLLBACK");
	return true;
}

/* What is kept may mean something else now. */
static void forget_statements(struct ps_store *store)
{
	store->schema_changes++;
	store->reprepares += ps_statements_forget_all(&store->statements);
}

/*
 * In a transaction, where nobody else can change the schema. SQLite would prepare statements again by itself; but what is
 * known of them would be of the old ones.
 */
static void look_for_schema_change(struct ps_store *store)
{
	unsigned version = 0;
	int64_t cookie;

	if (sqlite3_file_control(store->connection, "main", SQLITE_FCNTL_DATA_VERSION, &version) == SQLITE_OK &&
	    version == store->data_version)
		return;
	if (sqlite3_step(store->read_cookie) == SQLITE_ROW) {
		cookie = sqlite3_column_int64(store->read_cookie, 0);
		if (cookie != store->cookie)
			forget_statements(store);
		store->cookie = cookie;
		store->data_version = version;
	} else {
		forget_statements(store);
	}
	sqlite3_reset(store->read_cookie);
}

static enum ps_verdict begin(struct ps_store *store, sqlite3_stmt *statement)
{
	int on = 0;

	if (is_stuck(store))
		return PS_BROKEN;
	if (step_once(statement) != SQLITE_OK) {
		note_error(store);
		ps_harm_note(&store->harm, store->error_code);
		return ps_connection_met_lock(store->error_code) ? PS_BUSY : PS_TAKE_OUT;
	}
	sqlite3_db_config(store->connection, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &on);
	store->foreign_keys = on != 0;
	ps_trust_read_schema(store->connection);
	look_for_schema_change(store);
	/* Without memory either may have ended it. */
	if (!ps_store_in_transaction(store)) {
		note_error(store);
		return PS_TAKE_OUT;
	}
	ps_changes_begin(store->changes);
	return PS_DONE;
}

enum ps_verdict ps_store_begin(struct ps_store *store)
{
	return begin(store, store->begin);
}

enum ps_verdict ps_store_begin_own(struct ps_store *store)
{
	sqlite3_stmt *statement;
	enum ps_verdict verdict;

	/* IMMEDIATE locks every attached database; one file may be there under two names. */
	if (!store->attached)
		return ps_store_begin(store);
	if (sqlite3_prepare_v2(store->connection, "BEGIN", -1, &statement, NULL) != SQLITE_OK) {
		note_error(store);
		return PS_TAKE_OUT;
	}
	verdict = begin(store, statement);
	sqlite3_finalize(statement);
	return verdict;
}

void ps_store_rollback(struct ps_store *store)
{
	/* What a statement rolled back was this transaction too. */
	ps_changes_roll_back(store->changes);
	end_transaction(store);
}

bool ps_store_commit_would_fail(const struct ps_store *store)
{
	int violated = 0, unused;

	/* While deferring it must fail in this commit: a rollback would end the deferring before the statement's own. */
	if (!store->foreign_keys || store->deferring)
		return false;
	sqlite3_db_status(store->connection, SQLITE_DBSTATUS_DEFERRED_FKS, &violated, &unused, 0);
	return violated != 0;
}

void ps_store_take_back(struct ps_store *store)
{
	ps_changes_roll_back(store->changes);
}

void ps_store_note_failure(struct ps_store *store, bool in_commit)
{
	ps_changes_fail(store->changes, in_commit ? sqlite3_changes64(store->connection) : 0);
}

/* What a commit that failed may have broken. through_hook: not VACUUM or a pragma. */
static enum ps_harm judge_harm(struct ps_store *store, int extended_code, bool through_hook)
{
	enum ps_harm harm = PS_HARMLESS;

	if (ps_harm_is_io_error(extended_code))
		harm = ps_harm_of(&store->harm, extended_code, through_hook && ps_harm_is_ours(&store->harm));
	else if ((extended_code & 0xff) == SQLITE_FULL)
		harm = PS_NO_ROOM;
	store->lacked_room = harm == PS_NO_ROOM || extended_code == SQLITE_IOERR_SHMSIZE;
	if (through_hook && ps_harm_is_before_commit(&store->harm))
		return PS_HARMLESS;
	/* What lacked room may have been to fill the sector up, behind the frame that ends the commit. */
	return harm == PS_NO_ROOM && store->weak_sectors ? PS_IN_DOUBT : harm;
}

bool ps_store_lacked_room(const struct ps_store *store)
{
	return store->lacked_room;
}

enum ps_verdict ps_store_commit(struct ps_store *store)
{
	enum ps_harm harm;
	int64_t count;

	store->lacked_room = false;
	/* Now, since later it may have to wait for the lock. Without memory, later. */
	ps_changes_put_right(store->changes);
	count = ps_changes_shown(store->changes);
	ps_harm_begin(&store->harm);
	if (step_once(store->commit) == SQLITE_OK) {
		ps_harm_committed(&store->harm);
		/* Full-text tables write in COMMIT, which counts. In autocommit the statement's own count goes over it. */
		ps_changes_correct(store->changes, count);
		return PS_DONE;
	}
	note_error(store);
	if (ps_connection_met_lock(store->error_code) && ps_store_in_transaction(store))
		return PS_BUSY;
	harm = judge_harm(store, store->error_code, true);
	ps_store_rollback(store);
	switch (harm) {
	case PS_HARMFUL:
		return PS_BROKEN;
	case PS_IN_DOUBT:
		return PS_UNSURE;
	default:
		return PS_TAKE_OUT;
	}
}

static enum ps_verdict look(struct ps_store *store, bool now)
{
	enum ps_gone gone = ps_file_look(&store->file, now);

	if (gone == PS_GONE_NOTHING)
		return PS_DONE;
	store->error_code = SQLITE_READONLY_DBMOVED;
	snprintf(store->error_message, sizeof store->error_message, GONE_FORMAT, store->path, ps_presence_suffix(gone));
	/* It may have been one that was loaded since. */
	ps_copies_tell(store->options, store->path);
	return PS_BROKEN;
}

enum ps_verdict ps_store_look_for_file(struct ps_store *store)
{
	return look(store, ps_store_commit_is_durable(store));
}

/* ---- statements ---- */

bool ps_store_must_be_alone(const struct ps_store *store, const struct ps_record *record)
{
	return store->one_by_one || record->alone || ps_statements_act_early(record) ||
	       ps_statements_is_apart(&store->statements, record);
}

/* What is known of a statement that may be prepared now; nothing (all zero) of one that may not, or cannot. */
static struct ps_prepared look_at(struct ps_store *store, const struct ps_record *record)
{
	struct ps_prepared *prepared = NULL, seen = { 0 };
	const char *message;
	int code;

	if (!ps_statements_act_early(record))
		prepared = ps_statements_get(&store->statements, record, &code, &message);
	if (prepared == NULL)
		return seen;
	seen = *prepared;
	ps_statements_done(prepared);
	return seen;
}

bool ps_store_wants_transaction(struct ps_store *store, const struct ps_record *record)
{
	struct ps_prepared seen;

	if (record->alone)
		return false;
	seen = look_at(store, record);
	return seen.dml && seen.columns > 0 && seen.apart == 0 && !seen.may_lack_temp;
}

bool ps_store_needs_lock(struct ps_store *store, const struct ps_record *record)
{
	struct ps_prepared seen = look_at(store, record);

	/* What cannot be prepared fails for that, and not for the lock. */
	return seen.statement != NULL && !seen.read_only;
}

/* SQLite's message, or the key that it does not know of. */
static void fail_from_sqlite(struct ps_store *store, struct ps_outcome *outcome, int code, const char *sqlite_message)
{
	const struct ps_keys *keys = &store->options->keys;
	char message[160] = "";

	if (code == SQLITE_INTERRUPT && store->deadline.expired)
		snprintf(message, sizeof message, "interrupted: the statement ran longer than statement_timeout_ms (%lld)",
		         (long long)keys->statement_timeout_ms);
	else if (code == SQLITE_TOOBIG && (keys->sql_bytes_max < PS_LENGTH_MAX || keys->value_bytes_max < PS_LENGTH_MAX))
		snprintf(message, sizeof message,
		         "too big: SQL text may have %lld bytes (sql_bytes_max), a string, blob or row %lld (value_bytes_max)",
		         (long long)keys->sql_bytes_max, (long long)keys->value_bytes_max);
	ps_outcome_fail(outcome, PENSTOCK_ERROR, code, message[0] != '\0' ? message : sqlite_message);
}

static void fail_running(struct ps_store *store, struct ps_outcome *outcome)
{
	fail_from_sqlite(store, outcome, sqlite3_extended_errcode(store->connection), sqlite3_errmsg(store->connection));
}

static void fail_collecting(struct ps_outcome *outcome, enum ps_collected collected, uint64_t bytes_max)
{
	char message[160];

	if (collected == PS_NO_MEMORY) {
		ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_NOMEM, "out of memory for the rows");
		return;
	}
	snprintf(message, sizeof message,
	         "the rows take more than result_bytes_max (%llu bytes); ask for fewer, raise it, or use a reader connection",
	         (unsigned long long)bytes_max);
	ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_TOOBIG, message);
}

static void fail_value_count(struct ps_outcome *outcome, const struct ps_prepared *prepared, const struct ps_record *record)
{
	char message[96];

	snprintf(message, sizeof message, PS_VALUE_COUNT_FORMAT, prepared->parameters, record->value_count);
	ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_RANGE, message);
}

/*
 * Whether rows that a statement has written before it failed may be left in the transaction. SQLite undoes them only where it
 * has foreseen the failure, as with a constraint: not the wrong type for a STRICT table, a row that is too long, or a
 * virtual table that cannot be read on. (In autocommit all is rolled back with the transaction.)
 */
static bool may_leave_rows(int extended_code)
{
	return (extended_code & 0xff) != SQLITE_CONSTRAINT || extended_code == SQLITE_CONSTRAINT_DATATYPE;
}

/* What a statement that failed inside a transaction, or in autocommit without harm, means for the batch. */
static enum ps_verdict judge_failure(struct ps_store *store, int extended_code, bool batched, bool wrote)
{
	ps_harm_note(&store->harm, extended_code);
	/* A function may have said BUSY, or PROTOCOL: that is the statement's own failure. SQLite asks the handler, or says more. */
	if (!batched && (extended_code & 0xff) == SQLITE_BUSY && (store->busy.met || extended_code != SQLITE_BUSY))
		return PS_BUSY;
	if (!batched)
		return wrote && ps_store_in_transaction(store) && may_leave_rows(extended_code) ? PS_HALF_DONE : PS_DONE;
	if (!ps_store_in_transaction(store) || may_be_the_batch(extended_code) || (wrote && may_leave_rows(extended_code)))
		return PS_TAKE_OUT;
	/* OR FAIL keeps rows, unless they violate a deferred key. */
	return ps_store_commit_would_fail(store) ? PS_TAKE_OUT : PS_DONE;
}

/* What a statement that failed in autocommit means for the engine, and what it came to. */
static enum ps_verdict judge_alone(struct ps_store *store, const struct ps_prepared *prepared, const struct ps_record *record,
                                   struct ps_outcome *outcome)
{
	int code = outcome->result.extended_code;
	enum ps_harm harm = judge_harm(store, code, !prepared->read_only && !ps_statements_act_early(record));

	/* A query lacks none in the log; and what its functions wrote is not undone with it. */
	store->lacked_room &= !prepared->read_only;
	if (harm == PS_HARMFUL || (harm == PS_IN_DOUBT && !prepared->read_only))
		outcome->result.status = PENSTOCK_UNKNOWN;
	return harm == PS_HARMFUL ? PS_BROKEN : judge_failure(store, code, false, !prepared->read_only);
}

/* Whether a statement that went well in a transaction would have gone well alone. */
static bool stands_alone(struct ps_store *store, const struct ps_prepared *prepared)
{
	/* A function it called may have ended the transaction. */
	if (!ps_store_in_transaction(store))
		return false;
	return prepared->read_only || !ps_store_commit_would_fail(store);
}

/* changes() keeps its value over statements that are no INSERT, UPDATE or DELETE. */
static void note_effect(struct ps_store *store, const struct ps_prepared *prepared, struct ps_outcome *outcome)
{
	outcome->result.changes = prepared->dml ? sqlite3_changes64(store->connection) : 0;
	outcome->result.last_insert_rowid = sqlite3_last_insert_rowid(store->connection);
}

/* In autocommit a reset would commit; what is interrupted is rolled back. */
static void undo_alone(struct ps_store *store, const struct ps_prepared *prepared)
{
	int64_t count = ps_changes_shown(store->changes);

	sqlite3_interrupt(store->connection);
	sqlite3_step(prepared->statement);
	ps_changes_correct(store->changes, count);
}

/* Behind a run of a statement that writes. Those of a batch that need a temporary file are not rolled back each time for it. */
static void note_temp(struct ps_store *store, struct ps_prepared *prepared, bool autocommit, int extended_code)
{
	if (!autocommit) {
		prepared->may_lack_temp = may_lack_temp(extended_code);
		return;
	}
	if (prepared->apart > 0)
		prepared->apart--;
	if (prepared->may_lack_temp && extended_code == SQLITE_OK) {
		prepared->apart = APART_RUNS;
		store->statements.any_apart = true;
	}
	prepared->may_lack_temp = false;
}

static enum ps_verdict run_prepared(struct ps_store *store, struct ps_prepared *prepared, const struct ps_record *record,
                                    bool batched, bool wanted, uint64_t bytes_max, struct ps_outcome *outcome)
{
	bool autocommit = !ps_store_in_transaction(store);
	int64_t total = sqlite3_total_changes64(store->connection);
	enum ps_collected collected;
	int rc;

	if (record->value_count != (uint32_t)prepared->parameters) {
		fail_value_count(outcome, prepared, record);
		return PS_DONE;
	}
	if (ps_rows_bind(prepared->statement, record, 1) != SQLITE_OK) {
		fail_running(store, outcome);
		return PS_DONE;
	}
	sqlite3_set_last_insert_rowid(store->connection, 0);
	if (autocommit)
		ps_harm_begin(&store->harm);
	ps_statement_deadline_begin(&store->deadline, prepared->statement);
	rc = ps_rows_collect(prepared->statement, wanted, bytes_max, outcome, &collected);
	ps_statement_deadline_end(&store->deadline);
	if (rc == SQLITE_DONE && collected == PS_COLLECTED) {
		if (batched && !stands_alone(store, prepared))
			return PS_TAKE_OUT;
		if (autocommit && prepared->dml)
			ps_harm_committed(&store->harm);
		if (wanted)
			note_effect(store, prepared, outcome);
		if (!prepared->read_only)
			note_temp(store, prepared, autocommit, SQLITE_OK);
		return PS_DONE;
	}
	if (collected != PS_COLLECTED) {
		if (autocommit && !prepared->read_only)
			undo_alone(store, prepared);
		fail_collecting(outcome, collected, bytes_max);
		return prepared->read_only ? PS_DONE : PS_TOO_LONG;
	}
	fail_running(store, outcome);
	sqlite3_reset(prepared->statement);
	/* OR FAIL keeps the rows before the failing one, and counts them; where nothing was counted, changes() may be that of the
	 * statement before (this one could not even be prepared again). */
	if (sqlite3_total_changes64(store->connection) != total)
		note_effect(store, prepared, outcome);
	else
		outcome->result.last_insert_rowid = sqlite3_last_insert_rowid(store->connection);
	if (!prepared->read_only)
		note_temp(store, prepared, autocommit, outcome->result.extended_code);
	if (autocommit)
		return judge_alone(store, prepared, record, outcome);
	if (!batched && prepared->may_lack_temp) {
		ps_harm_note(&store->harm, outcome->result.extended_code);
		return PS_TAKE_OUT;
	}
	return judge_failure(store, outcome->result.extended_code, batched, !prepared->read_only);
}

/* A submitted PRAGMA may lower synchronous, but not to where durable submissions could not be kept; there are too many ways
 * to write it (no, 0, 7, 256 ...) to refuse them beforehand. */
static void refuse_synchronous_off(struct ps_store *store, struct ps_outcome *outcome)
{
	if (store->synchronous != PENSTOCK_SYNCHRONOUS_OFF || store->options->keys.synchronous == PENSTOCK_SYNCHRONOUS_OFF)
		return;
	sqlite3_exec(store->connection, store->synchronous_before, NULL, NULL, NULL);
	read_settings(store);
	ps_outcome_fail(
		outcome, PENSTOCK_ERROR, SQLITE_AUTH,
		"PRAGMA synchronous=OFF is refused: use the key synchronous, so that durable submissions are refused too");
}

/* ---- what must be committed behind a statement ---- */

static bool contains(const char *text, const char *word)
{
	char pattern[64];

	snprintf(pattern, sizeof pattern, "%%%s%%", word);
	return sqlite3_strlike(pattern, text, 0) == 0;
}

static void note_table(struct ps_store *store, const char *name, const char *sql)
{
	store->schema.deferred_keys |= contains(sql, "deferred");
	if (!contains(sql, "virtual table"))
		return;
	ps_statements_add_virtual(&store->statements, name);
	/* The one kind that is known to write at once. */
	store->schema.full_text |= !contains(sql, "rtree");
}

/* Once after each change of the schema. What cannot be read counts as there. */
static void look_at_schema(struct ps_store *store)
{
	sqlite3_stmt *statement = NULL;
	int rc;

	if (store->schema.known && store->schema.at == store->schema_changes)
		return;
	store->schema.known = true;
	store->schema.at = store->schema_changes;
	store->schema.deferred_keys = store->schema.full_text = false;
	ps_statements_forget_virtual(&store->statements);
	rc = sqlite3_prepare_v2(store->connection,
	                        "SELECT name, sql FROM main.sqlite_schema WHERE type='table' "
	                        "UNION ALL SELECT name, sql FROM temp.sqlite_schema WHERE type='table'",
	                        -1, &statement, NULL);
	while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(statement, 0);
		const char *sql = (const char *)sqlite3_column_text(statement, 1);

		rc = SQLITE_OK;
		if (name != NULL && sql != NULL)
			note_table(store, name, sql);
	}
	sqlite3_finalize(statement);
	if (rc != SQLITE_DONE)
		store->schema.deferred_keys = store->schema.full_text = true;
}

static void ask(struct ps_store *store, struct ps_prepared *prepared)
{
	int64_t count = ps_changes_shown(store->changes);
	const char *sql = sqlite3_sql(prepared->statement);

	if (prepared->asked)
		return;
	prepared->asked = true;
	prepared->hides_violations =
		store->foreign_keys && store->schema.deferred_keys && ps_explain_may_hide_violations(store->connection, sql);
	prepared->writes_virtual = store->schema.full_text && ps_explain_writes_virtual(store->connection, sql);
	/* To explain a statement sets changes(). */
	ps_changes_correct(store->changes, count);
}

/*
 * A full-text table holds back what is written to it, for the COMMIT or whatever needs its index first; that would then set
 * changes() and count in total_changes(), and its index would not be that of autocommit. A savepoint has it write at once.
 */
static bool write_held_back(struct ps_store *store)
{
	int64_t count = ps_changes_shown(store->changes);
	bool written = step_once(store->savepoint) == SQLITE_OK && step_once(store->release) == SQLITE_OK;

	ps_changes_correct(store->changes, count);
	return written;
}

/*
 * After a write in a batch that went well: PS_DONE, or PS_DONE_LAST when what it has left behind would show in the statements behind
 * it, until the commit. functions_wrote: nobody can tell what.
 */
static enum ps_verdict leave_nothing_behind(struct ps_store *store, struct ps_prepared *prepared, bool functions_wrote)
{
	bool deferred_keys = store->foreign_keys && store->schema.deferred_keys;

	if ((prepared->read_only && !functions_wrote) || !(store->schema.full_text || deferred_keys))
		return PS_DONE;
	ask(store, prepared);
	if (store->schema.full_text && (functions_wrote || prepared->writes_virtual) && !write_held_back(store))
		return PS_TAKE_OUT;
	return deferred_keys && (functions_wrote || prepared->hides_violations) ? PS_DONE_LAST : PS_DONE;
}

/* A function that the statement called has begun a transaction, which nobody would commit. */
static void end_stray_transaction(struct ps_store *store, enum ps_verdict verdict, struct ps_outcome *outcome)
{
	end_transaction(store);
	if (verdict == PS_BROKEN || verdict == PS_BUSY)
		return;
	outcome->result.changes = 0;
	ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_MISUSE,
	                "a SQL function has begun a transaction, which is rolled back, and the statement with it");
}

/* Whether what functions did within a statement is another thing in the transaction of a batch than in autocommit. */
static bool differs_in_batch(const struct ps_prepared *prepared, unsigned meddled, enum ps_verdict verdict,
                             const struct ps_outcome *outcome)
{
	if ((meddled & PS_MEDDLED) != 0)
		return true;
	if ((meddled & PS_WROTE) == 0)
		return false;
	/* In autocommit a write within a reader is a transaction of its own; and any is undone with a statement that fails. */
	return prepared->read_only ||
	       ((verdict == PS_DONE || verdict == PS_DONE_LAST) && outcome->result.status != PENSTOCK_OK);
}

/* Without memory even a look at the schema may have ended the batch's transaction: nothing runs as if that were still there. */
static bool is_lost(const struct ps_store *store, bool batched)
{
	return batched && !ps_store_in_transaction(store);
}

/* Around the run of what has been prepared: what functions do meanwhile, and changes() as it should be. */
static enum ps_verdict run_watched(struct ps_store *store, struct ps_prepared *prepared, const struct ps_record *record,
                                   bool batched, bool wanted, uint64_t bytes_max, struct ps_outcome *outcome, unsigned *meddled)
{
	bool transaction = ps_store_in_transaction(store), own_transaction = !batched && transaction, functions_wrote;
	int64_t total;
	enum ps_verdict verdict;
	int rc = ps_changes_put_right(store->changes);

	/* A query that would have to wait for the lock goes on without. */
	if (rc != SQLITE_OK && !(prepared->read_only && ps_connection_met_lock(rc))) {
		fail_running(store, outcome);
		return judge_failure(store, outcome->result.extended_code, batched, false);
	}
	look_at_schema(store);
	store->busy.met = false;
	/* A query of the engine's own that fails for lack of memory, or of the disk, may end the transaction. */
	if ((batched || transaction) && !ps_store_in_transaction(store))
		return PS_TAKE_OUT;
	if (!transaction)
		ps_changes_begin(store->changes);
	total = sqlite3_total_changes64(store->connection);
	ps_statements_begin_run(&store->statements, batched);
	verdict = run_prepared(store, prepared, record, batched, wanted, bytes_max, outcome);
	*meddled = ps_statements_end_run(&store->statements);
	functions_wrote = (*meddled & PS_WROTE) != 0;
	if (batched && verdict == PS_DONE)
		verdict = leave_nothing_behind(store, prepared, functions_wrote);
	if (is_lost(store, batched))
		return PS_TAKE_OUT;
	if (sqlite3_total_changes64(store->connection) != total)
		*meddled |= PS_WROTE;
	/* Alone it has its way, as in autocommit... */
	if (batched && verdict != PS_BROKEN && differs_in_batch(prepared, *meddled, verdict, outcome))
		return PS_TAKE_OUT;
	/*
	 * ...but in a transaction of its own what a function wrote to another database would stay when it fails. Run again as in
	 * autocommit it is right. (What may never run twice has no transaction of its own.)
	 */
	if (own_transaction && outcome->result.status != PENSTOCK_OK && (*meddled & PS_WROTE) != 0 &&
	    (verdict == PS_DONE || (verdict == PS_HALF_DONE && functions_wrote)))
		return PS_TAKE_OUT;
	return verdict;
}

enum ps_verdict ps_store_run(struct ps_store *store, const struct ps_record *record, bool batched, bool wanted,
                             uint64_t result_bytes_max, struct ps_outcome *outcome)
{
	struct ps_prepared *prepared;
	const char *message;
	bool may_set = !batched && (store->one_by_one || ps_statements_act_early(record));
	bool in_transaction = ps_store_in_transaction(store), renames;
	enum ps_verdict verdict = PS_ELSEWHERE;
	unsigned meddled = 0;
	int code;

	store->lacked_room = false;
	if (is_stuck(store)) {
		ps_outcome_fail(outcome, PENSTOCK_SHUTDOWN, store->error_code, store->error_message);
		return PS_BROKEN;
	}
	if (is_lost(store, batched))
		return PS_TAKE_OUT;
	if (!batched)
		ps_trust_read_schema(store->connection);
	if (may_set)
		snprintf(store->synchronous_before, sizeof store->synchronous_before, "PRAGMA synchronous=%d",
		         store->synchronous);
	prepared = ps_statements_get(&store->statements, record, &code, &message);
	if (prepared == NULL) {
		fail_from_sqlite(store, outcome, code, message);
		return judge_failure(store, code, batched, false);
	}
	renames = prepared->renames;
	if (!batched || !(prepared->alone || prepared->apart > 0))
		verdict = run_watched(store, prepared, record, batched, wanted, result_bytes_max, outcome, &meddled);
	if (!batched)
		store->reprepares += (uint64_t)sqlite3_stmt_status(prepared->statement, SQLITE_STMTSTATUS_REPREPARE, 1);
	ps_statements_done(prepared);
	if (!in_transaction && ps_store_in_transaction(store))
		end_stray_transaction(store, verdict, outcome);
	if (verdict != PS_ELSEWHERE && (renames || (meddled & PS_RENAMED) != 0))
		forget_statements(store);
	if (may_set || (meddled & PS_SET) != 0)
		read_settings(store);
	if (may_set)
		refuse_synchronous_off(store, outcome);
	return verdict;
}

/* ---- many statements as one (fuse.h) ---- */

unsigned ps_store_fuse_most(struct ps_store *store, const struct ps_record *record)
{
	struct ps_registered *statement = ps_registered_of(record);

	if (statement == NULL || statement->row.bytes == 0 || record->listener_kind != PS_LISTENER_NONE ||
	    record->value_count != statement->row.places || ps_fuse_pauses(statement, store->schema_changes))
		return 0;
	return (unsigned)store->options->keys.fuse_rows;
}

unsigned ps_store_fuse_width(struct ps_store *store, const struct ps_record *record, unsigned count)
{
	int64_t changes = ps_changes_shown(store->changes);
	unsigned width = ps_fuse_width(&store->statements, ps_registered_of(record), (unsigned)store->options->keys.fuse_rows,
	                               count, store->schema_changes);

	/* It may have been explained, which sets changes(). */
	ps_changes_correct(store->changes, changes);
	return width;
}

bool ps_store_fuses(const struct ps_record *record, const struct ps_record *next)
{
	return next->statement == record->statement && next->listener_kind == PS_LISTENER_NONE && !next->alone &&
	       next->value_count == record->value_count;
}

/*
 * How many rows of a fused statement that failed are in, each of them whole, and nothing of the others; 0: that cannot be told.
 * They are counted where OR FAIL decided what becomes of them; where something else did, as a function's own error, none is.
 */
static unsigned count_whole_rows(struct ps_store *store, int64_t total_before)
{
	int64_t counted = sqlite3_total_changes64(store->connection) - total_before;

	if (!ps_store_in_transaction(store) || may_leave_rows(store->error_code) ||
	    counted != sqlite3_changes64(store->connection) || ps_store_commit_would_fail(store))
		return 0;
	return (unsigned)counted;
}

enum ps_verdict ps_store_run_fused(struct ps_store *store, const struct ps_record *const *records, unsigned count,
                                   unsigned *done)
{
	struct ps_registered *statement = ps_registered_of(records[0]);
	struct ps_prepared *prepared = ps_fuse_get(statement, (unsigned)store->options->keys.fuse_rows, count);
	int64_t total = sqlite3_total_changes64(store->connection), count_before = ps_changes_shown(store->changes);
	int rc = SQLITE_OK, reprepared;
	unsigned meddled = 0, i;
	enum ps_verdict verdict;

	*done = 0;
	if (is_lost(store, true))
		return PS_TAKE_OUT;
	for (i = 0; i < count && rc == SQLITE_OK; i++)
		rc = ps_rows_bind(prepared->statement, records[i], 1 + i * records[i]->value_count);
	if (rc != SQLITE_OK) {
		ps_fuse_pause(statement);
		return PS_ELSEWHERE;
	}
	sqlite3_set_last_insert_rowid(store->connection, 0);
	ps_statement_deadline_begin(&store->deadline, prepared->statement);
	ps_statements_begin_run(&store->statements, true);
	rc = sqlite3_step(prepared->statement);
	meddled = ps_statements_end_run(&store->statements);
	ps_statement_deadline_end(&store->deadline);
	if (rc != SQLITE_DONE)
		note_error(store);
	reprepared = sqlite3_stmt_status(prepared->statement, SQLITE_STMTSTATUS_REPREPARE, 1);
	store->reprepares += (uint64_t)reprepared;
	sqlite3_reset(prepared->statement);
	if (rc == SQLITE_DONE && reprepared == 0 && (meddled & PS_MEDDLED) == 0 && stands_alone(store, prepared)) {
		/* As after the last of them. */
		ps_changes_correct(store->changes, 1);
		look_at_schema(store);
		verdict = leave_nothing_behind(store, prepared, false);
		return is_lost(store, true) ? PS_TAKE_OUT : verdict;
	}
	ps_changes_correct(store->changes, count_before);
	if (reprepared != 0)
		ps_fuse_forget(statement);
	ps_fuse_pause(statement);
	if (rc == SQLITE_DONE)
		return PS_TAKE_OUT;
	ps_harm_note(&store->harm, store->error_code);
	if (reprepared == 0 && (meddled & (PS_MEDDLED | PS_WROTE)) == 0)
		*done = count_whole_rows(store, total);
	look_at_schema(store);
	if (*done == 0 || leave_nothing_behind(store, prepared, false) != PS_DONE || is_lost(store, true)) {
		*done = 0;
		return PS_TAKE_OUT;
	}
	/* As after the last of them. */
	ps_changes_correct(store->changes, 1);
	return PS_ELSEWHERE;
}

uint64_t ps_store_take_reprepares(struct ps_store *store)
{
	uint64_t count = store->reprepares;

	store->reprepares = 0;
	return count;
}

/* ---- durability ---- */

bool ps_store_commit_is_durable(const struct ps_store *store)
{
	return store->synchronous >= PENSTOCK_SYNCHRONOUS_FULL;
}

enum ps_verdict ps_store_sync(struct ps_store *store)
{
	const char *doing;
	int rc = ps_file_sync(&store->file, &doing);

	/* What was synced may have lost its name meanwhile. */
	if (rc == SQLITE_OK)
		return look(store, true);
	store->error_code = rc;
	snprintf(store->error_message, sizeof store->error_message, "%s: %s", doing, sqlite3_errstr(rc));
	return PS_BROKEN;
}

void ps_store_write_out(struct ps_store *store)
{
	if (store->synchronous == PENSTOCK_SYNCHRONOUS_NORMAL)
		ps_file_write_out(&store->file);
}

/* ---- checkpoints ---- */

uint64_t ps_store_wal_bytes(const struct ps_store *store)
{
	return ps_file_wal_bytes(&store->file);
}

bool ps_store_made_room(const struct ps_store *store)
{
	return store->file.log_is_copied;
}

enum ps_verdict ps_store_checkpoint(struct ps_store *store, int64_t wait_ms, bool *blocked)
{
	int rc;

	ps_harm_begin(&store->harm);
	rc = ps_file_checkpoint(&store->file, wait_ms, blocked);
	if (rc == SQLITE_OK || ps_connection_met_lock(rc))
		return PS_DONE;
	if (rc == SQLITE_READONLY_DBMOVED)
		return look(store, true);
	note_error(store);
	/* No room (or no memory) leaves the WAL as it is; it is tried again later. */
	if (!ps_harm_is_io_error(store->error_code))
		return PS_DONE;
	switch (ps_harm_of(&store->harm, store->error_code, true)) {
	case PS_HARMFUL:
		return PS_BROKEN;
	case PS_HARMLESS:
		/* A lock, or what was committed cannot be read any more. */
		return is_read_error(store->error_code) ? PS_BROKEN : PS_DONE;
	default:
		return PS_DONE;
	}
}
