/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.c - the store over one SQLite connection in WAL mode: opening, transactions, durability
 *
 * run.c runs the statements.
 *
 * Invariants
 *   1. Between calls no statement is open, so COMMIT never waits for one and no read transaction blocks a checkpoint.
 *   2. Nothing runs behind a rollback that failed, for lack of memory: it would be undone, whatever its outcome.
 *   3. last_insert_rowid is 0 before each statement; changes() and total_changes() in SQL tell what they would have told in
 *      autocommit, whatever was rolled back and run again in between.
 */
#include "writer/sqlite/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/atomic.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "writer/sqlite/copies.h"
#include "writer/sqlite/trust.h"

/* Without memory a rollback may fail (ps_inside_end_transaction); so often it is tried, a millisecond apart. */
#define ROLLBACK_ATTEMPTS 10

#define GONE_FORMAT "%s%s was removed or replaced while it was in use"

/* ---- connection ---- */

/* -1 without memory. */
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

bool ps_inside_lacks_answer(const struct ps_store *store, int64_t answer)
{
	return answer < 0 && sqlite3_errcode(store->connection) == SQLITE_NOMEM;
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

void ps_inside_read_synchronous(struct ps_store *store)
{
	store->synchronous = (int)read_pragma(store, "PRAGMA synchronous");
	raise_synchronous(store);
}

void ps_inside_restore_synchronous(struct ps_store *store)
{
	int rc = sqlite3_exec(store->connection, store->synchronous_before, NULL, NULL, NULL);

	ps_inside_read_synchronous(store);
	store->owes_synchronous = rc == SQLITE_NOMEM || ps_inside_lacks_answer(store, store->synchronous);
}

/* In a transaction, since it may read the schema. Anew, for it is of use only as long as SQLite need not do that itself. */
static void prepare_any_write(struct ps_store *store)
{
	sqlite3_finalize(store->any_write);
	if (sqlite3_prepare_v3(store->connection, "DELETE FROM penstock_changes WHERE rows = 0", -1, SQLITE_PREPARE_PERSISTENT,
	                       &store->any_write, NULL) != SQLITE_OK)
		store->any_write = NULL;
	store->any_write_stale = false;
}

bool ps_inside_read_schema(struct ps_store *store)
{
	if (!ps_trust_read_schema(store->connection))
		store->owes_deferring = true;
	if (store->owes_deferring && ps_trust_defer_again(store->connection))
		store->owes_deferring = false;
	return !store->owes_deferring;
}

/*
 * What a statement that ran alone may have changed. With a second database attached, BEGIN IMMEDIATE would lock that too
 * (and, were it the same file, wait for itself), and defer_foreign_keys lasts until a commit, which must then be the next
 * statement's own: in both cases every statement runs by itself in autocommit.
 */
void ps_inside_read_settings(struct ps_store *store)
{
	int64_t asked;
	bool deferring;

	/* The hook, or PRAGMA busy_timeout. */
	ps_busy_install(&store->busy, store->connection);

	/* Without it SQLite answers no pragma. */
	asked = ps_inside_read_schema(store) ? read_pragma(store, "PRAGMA defer_foreign_keys") : 1;
	/* Without memory for an answer it may be; the next statement asks again. */
	store->unasked = ps_inside_lacks_answer(store, asked);
	deferring = asked == 1 || store->unasked;
	/* SQLite compiles the flag into a statement, and does not notice when a commit ends it. */
	if (store->deferring && !deferring)
		ps_statements_forget_all(&store->statements);
	store->deferring = deferring;
	store->attached = sqlite3_db_name(store->connection, 2) != NULL;
	store->one_by_one = store->deferring || store->attached;
	store->exclusive = ps_call_is_exclusive(store->connection);
	/* Another process may make a table in one of them whose name goes before that of another. */
	store->statements.keep = !store->attached;
	store->any_write_stale = true;
}

static bool prepare_own(struct ps_store *store)
{
	const struct {
		const char *sql;
		sqlite3_stmt **statement;
	} own[] = { { "BEGIN IMMEDIATE", &store->begin },
		    { "COMMIT", &store->commit },
		    { "ROLLBACK", &store->rollback },
		    { "SAVEPOINT penstock", &store->savepoint },
		    { "RELEASE penstock", &store->release },
		    { "ROLLBACK TO penstock", &store->rollback_to },
		    { "PRAGMA main.schema_version", &store->read_cookie } };

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
	sqlite3_finalize(store->rollback_to);
	sqlite3_finalize(store->any_write);
	sqlite3_finalize(store->read_cookie);
}

/* A pass is waited for before a statement that is known to checkpoint; what a function does is known only now. */
static void wait_for_pass(struct ps_store *store)
{
	struct timespec moment = ps_timespec(PS_NSEC_PER_MSEC);

	if (!store->passing)
		return;
	while (ps_load_relaxed_u32(&store->busy.patience->ring->report) == 0)
		nanosleep(&moment, NULL);
	/* It may have copied what was committed since the lock was taken. */
	ps_checkpoint_lock_use(&store->file.lock);
}

static bool admit_function(void *arg)
{
	struct ps_store *store = arg;

	wait_for_pass(store);
	return ps_file_admit_checkpoint(&store->file);
}

int ps_store_open(struct ps_store **result, const char *path, const struct ps_options *options, enum ps_role role,
                  struct ps_patience *patience, bool *locked)
{
	struct ps_store *store = calloc(1, sizeof *store);
	enum ps_gone gone = PS_GONE_NOTHING;
	int64_t page_bytes;
	int status;

	*result = NULL;
	*locked = false;
	if (store == NULL)
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	store->path = path;
	store->options = options;
	ps_busy_init(&store->busy, patience, options->keys.busy_timeout_ms);
	status = ps_connection_open(path, options, role, true, &store->busy, &store->harm, &store->rowids, &store->peers,
	                            &store->connection, locked);
	if (status != PENSTOCK_OK)
		goto err_after_peers;
	store->changes = ps_changes_new(store->connection);
	if (store->changes == NULL)
		goto err_after_connection;
	if (!ps_statements_init(&store->statements, store->connection, (size_t)options->keys.statement_cache))
		goto err_after_changes;
	/* Behind both of these, for which SQLite would prepare them again. */
	if (!prepare_own(store))
		goto err_after_statements;
	ps_statement_deadline_init(&store->deadline, store->connection, options->keys.statement_timeout_ms);
	page_bytes = read_pragma(store, "PRAGMA page_size");
	if (page_bytes < 0)
		goto err_after_deadline;
	status = ps_file_init(&store->file, store->connection, path, options, (uint64_t)page_bytes, &store->busy);
	if (status != PENSTOCK_OK)
		goto err_after_deadline;
	store->statements.admit = admit_function;
	store->statements.admit_arg = store;
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
	ps_inside_read_settings(store);
	ps_inside_read_synchronous(store);
	if (role == PS_CREATING_WRITER)
		ps_copies_tell(options, path);
	*result = store;
	return PENSTOCK_OK;

err_after_file:
	ps_file_close(&store->file, PS_LOG_KEPT, NULL);
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
	ps_rowids_end_watch(&store->rowids);
	sqlite3_close_v2(store->connection);
	if (status == PENSTOCK_OK)
		status = ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
err_after_peers:
	ps_peers_close(&store->peers);
	free(store);
	return status;
}

int ps_store_probe(const char *path, const struct ps_options *options, bool *locked)
{
	sqlite3 *connection;
	struct ps_peers peers;
	int status =
		ps_connection_open(path, options, PS_CREATING_WRITER, false, NULL, NULL, NULL, &peers, &connection, locked);

	if (status == PENSTOCK_OK) {
		ps_copies_tell(options, path);
		sqlite3_close(connection);
	}
	ps_peers_close(&peers);
	return status;
}

int ps_store_open_reader(const char *path, const struct ps_options *options, sqlite3 **connection)
{
	bool locked;

	return ps_connection_open(path, options, PS_READER, true, NULL, NULL, NULL, NULL, connection, &locked);
}

/* What is left in the log is as durable as it would be in the database. */
static enum ps_log_end settle_end(struct ps_store *store, bool checkpoint)
{
	if (!checkpoint)
		return PS_LOG_KEPT;
	if (!store->options->keys.leave_wal)
		return PS_LOG_COPIED;
	if (store->synchronous == PENSTOCK_SYNCHRONOUS_NORMAL && ps_store_sync(store) != PS_DONE &&
	    store->error_code != SQLITE_READONLY_DBMOVED)
		return PS_LOG_KEPT;
	return PS_LOG_LEFT;
}

enum ps_copied ps_store_close(struct ps_store *store, bool checkpoint)
{
	enum ps_log_end end = settle_end(store, checkpoint);
	enum ps_copied copied = PS_COPIED_ALL;
	enum ps_gone gone;

	ps_statements_destroy(&store->statements);
	ps_statement_deadline_destroy(store->connection);
	ps_call_destroy(&store->call);
	finalize_own(store);
	ps_store_end_turn(store);
	/* While another process has paused all, the log stays as it is. */
	if (end != PS_LOG_KEPT && ps_peers_enter(&store->peers) != PS_ENTRY_IN) {
		end = PS_LOG_KEPT;
		copied = PS_COPIED_NOT;
	}
	gone = ps_file_close(&store->file, end, &copied);
	if (gone != PS_GONE_NOTHING)
		ps_log(store->options, PENSTOCK_EVENT_FILE_MOVED, GONE_FORMAT, store->path, ps_presence_suffix(gone));
	ps_changes_release(store->changes);
	sqlite3_busy_handler(store->connection, NULL, NULL);
	ps_harm_end_watch(&store->harm);
	ps_rowids_end_watch(&store->rowids);
	/* _v2: should a function of the connect hook have left a statement open, it goes with that. */
	sqlite3_close_v2(store->connection);
	ps_peers_close(&store->peers);
	free(store);
	return copied;
}

/* ---- errors ---- */

void ps_inside_note_error(struct ps_store *store)
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

/* ---- transactions ---- */

int ps_inside_step(sqlite3_stmt *statement)
{
	int rc = sqlite3_step(statement);

	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool ps_store_in_transaction(const struct ps_store *store)
{
	return !sqlite3_get_autocommit(store->connection);
}

/*
 * An interrupt lasts as long as anything runs, and an R-tree keeps a blob open until the transaction ends: then it meets ROLLBACK too.
 * When it meets a write, that ends the transaction.
 */
static void write_nothing(struct ps_store *store)
{
	int64_t count = ps_changes_shown(store->changes);

	ps_inside_step(store->any_write);
	ps_changes_correct(store->changes, count);
}

bool ps_inside_end_interrupted(struct ps_store *store)
{
	if (!ps_store_in_transaction(store) || ps_inside_step(store->read_cookie) != SQLITE_INTERRUPT)
		return false;
	write_nothing(store);
	return true;
}

/*
 * An interrupt may meet it (see write_nothing).
 *
 * SQLite may prepare even ROLLBACK again (settings or functions of the connection have changed), for which memory may lack.
 */
void ps_inside_end_transaction(struct ps_store *store)
{
	struct timespec pause = ps_timespec(PS_NSEC_PER_MSEC);
	unsigned attempts;

	for (attempts = 0; ps_store_in_transaction(store) && attempts < ROLLBACK_ATTEMPTS; attempts++) {
		if (attempts > 0)
			nanosleep(&pause, NULL);
		if (ps_inside_step(store->rollback) == SQLITE_INTERRUPT)
			write_nothing(store);
	}
	store->stuck = ps_store_in_transaction(store);
}

/* Whatever ran now would be rolled back with the transaction that is still there, its OK notwithstanding. Or it would not be synced. */
bool ps_inside_is_stuck(struct ps_store *store)
{
	if (store->stuck)
		ps_inside_end_transaction(store);
	if (store->owes_synchronous)
		ps_inside_restore_synchronous(store);
	if (!store->stuck && !store->owes_synchronous)
		return false;
	store->error_code = SQLITE_NOMEM;
	snprintf(store->error_message, sizeof store->error_message, "out of memory for a %s",
	         store->stuck ? "ROLLBACK" : "PRAGMA synchronous");
	return true;
}

/* What is kept may mean something else now. */
void ps_inside_forget_statements(struct ps_store *store)
{
	store->schema_changes++;
	store->any_write_stale = true;
	if (ps_store_in_transaction(store))
		prepare_any_write(store);
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
			ps_inside_forget_statements(store);
		store->cookie = cookie;
		store->data_version = version;
	} else {
		ps_inside_forget_statements(store);
	}
	sqlite3_reset(store->read_cookie);
}

static enum ps_verdict begin(struct ps_store *store, sqlite3_stmt *statement)
{
	bool unbegun = store->busy.unbegun;
	int on = 0, rc;

	if (ps_inside_is_stuck(store))
		return PS_BROKEN;
	store->busy.unbegun = true;
	rc = ps_inside_step(statement);
	store->busy.unbegun = unbegun;
	if (rc != SQLITE_OK) {
		ps_inside_note_error(store);
		ps_harm_note(&store->harm, store->error_code);
		return ps_connection_met_lock(store->error_code) ? PS_BUSY : PS_TAKE_OUT;
	}
	sqlite3_db_config(store->connection, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &on);
	store->foreign_keys = on != 0;
	ps_inside_read_schema(store);
	look_for_schema_change(store);
	if (store->any_write_stale && !store->deferring)
		prepare_any_write(store);
	/* Without memory either may have ended it. */
	if (!ps_store_in_transaction(store)) {
		ps_inside_note_error(store);
		return PS_TAKE_OUT;
	}
	ps_changes_begin(store->changes);
	return PS_DONE;
}

enum ps_verdict ps_store_begin(struct ps_store *store)
{
	return begin(store, store->begin);
}

/* With a BEGIN of its own where databases are attached, which the one that is kept does not know of. */
static enum ps_verdict begin_attached(struct ps_store *store, const char *sql)
{
	sqlite3_stmt *statement;
	enum ps_verdict verdict;

	if (!store->attached)
		return ps_store_begin(store);
	if (sqlite3_prepare_v2(store->connection, sql, -1, &statement, NULL) != SQLITE_OK) {
		ps_inside_note_error(store);
		return PS_TAKE_OUT;
	}
	verdict = begin(store, statement);
	sqlite3_finalize(statement);
	return verdict;
}

enum ps_verdict ps_store_begin_own(struct ps_store *store)
{
	/* IMMEDIATE locks every attached database; one file may be there under two names. */
	return begin_attached(store, "BEGIN");
}

enum ps_verdict ps_store_begin_group(struct ps_store *store)
{
	return begin_attached(store, "BEGIN IMMEDIATE");
}

/* It has its locks. */
static bool begin_late(void *arg)
{
	struct ps_store *store = arg;

	store->busy.unbegun = !store->late.ask(store->late.arg);
	return !store->busy.unbegun;
}

void ps_store_ask_late(struct ps_store *store, bool (*ask)(void *arg), void *arg)
{
	store->late.ask = ask;
	store->late.arg = arg;
	store->busy.unbegun = ask != NULL;
	ps_statement_deadline_ask(&store->deadline, ask != NULL ? begin_late : NULL, store);
}

/* Behind a statement's own transaction, which has ended the deferring; what is compiled in must not outlast it. */
static void note_end(struct ps_store *store)
{
	if (store->deferring)
		ps_inside_read_settings(store);
}

void ps_store_rollback(struct ps_store *store)
{
	/* What a statement rolled back was this transaction too. */
	ps_changes_roll_back(store->changes);
	ps_inside_end_transaction(store);
	note_end(store);
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

/* It is not behind VACUUM, nor where a transaction that changed it was rolled back. */
static bool has_schema(sqlite3 *connection)
{
	int bytes = 0, unused;

	return sqlite3_db_status(connection, SQLITE_DBSTATUS_SCHEMA_USED, &bytes, &unused, 0) != SQLITE_OK || bytes > 0;
}

static void read_schema(sqlite3 *connection)
{
	sqlite3_table_column_metadata(connection, "main", "sqlite_schema", NULL, NULL, NULL, NULL, NULL, NULL);
}

/*
 * In autocommit, a statement that needs the schema reads it where it is not in memory, and that ends the deferring. So it must be
 * there where it is in autocommit, and nowhere else.
 */
void ps_store_enter_alone(struct ps_store *store, const struct ps_record *record)
{
	bool sets = ps_statements_act_early(record), together = store->together;

	store->together = false;
	if (store->unasked)
		ps_inside_read_settings(store);
	/* For what comes behind a pragma: only the rollback of several statements has forgotten the schema. */
	if (sets && together && !has_schema(store->connection))
		read_schema(store->connection);
	/* In a transaction of its own, or for a look at the lock, this one would read it without an end. A group and a call do. */
	if (!sets && store->deferring && record->kind == PS_KIND_STATEMENT && !has_schema(store->connection)) {
		read_schema(store->connection);
		ps_inside_read_settings(store);
	}
	store->deferred_alone = store->deferring;
	ps_changes_begin(store->changes);
}

void ps_store_enter_together(struct ps_store *store)
{
	store->together = true;
}

void ps_store_defer_again(struct ps_store *store)
{
	if (!store->deferred_alone)
		return;
	/* Before the run it would end the deferring again. */
	ps_changes_put_right(store->changes);
	(void)ps_trust_defer_again(store->connection);
	ps_inside_read_settings(store);
}

void ps_store_note_failure(struct ps_store *store, bool in_commit)
{
	ps_changes_fail(store->changes, in_commit ? sqlite3_changes64(store->connection) : 0);
}

/* What a commit that failed may have broken. through_hook: not VACUUM or a pragma. */
enum ps_harm ps_inside_judge_harm(struct ps_store *store, int extended_code, bool through_hook)
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
	if (ps_inside_step(store->commit) == SQLITE_OK) {
		ps_harm_committed(&store->harm);
		/* Full-text tables write in COMMIT, which counts. In autocommit the statement's own count goes over it. */
		if (store->group == NULL)
			ps_changes_correct(store->changes, count);
		note_end(store);
		return PS_DONE;
	}
	ps_inside_note_error(store);
	if (ps_connection_met_lock(store->error_code) && ps_store_in_transaction(store))
		return PS_BUSY;
	harm = ps_inside_judge_harm(store, store->error_code, true);
	if (store->group == NULL)
		ps_changes_roll_back(store->changes);
	ps_inside_end_transaction(store);
	note_end(store);
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
	return store->file.book.whole;
}

bool ps_store_syncs(const struct ps_store *store)
{
	return store->options->keys.synchronous != PENSTOCK_SYNCHRONOUS_OFF || store->synchronous != PENSTOCK_SYNCHRONOUS_OFF;
}

bool ps_store_is_exclusive(const struct ps_store *store)
{
	return store->exclusive;
}

void ps_store_expect_checkpoint(struct ps_store *store, bool expected)
{
	ps_file_expect_checkpoint(&store->file, expected);
}

enum ps_verdict ps_store_checkpoint(struct ps_store *store, int64_t wait_ms, enum ps_copied *copied)
{
	int rc;

	/* One that had to leave makes none. */
	*copied = PS_COPIED_NOT;
	if (!store->peers.inside)
		return PS_DONE;
	ps_harm_begin(&store->harm);
	rc = ps_file_checkpoint(&store->file, wait_ms, copied);
	if (rc == SQLITE_OK || ps_connection_met_lock(rc))
		return PS_DONE;
	if (rc == SQLITE_READONLY_DBMOVED)
		return look(store, true);
	ps_inside_note_error(store);
	return ps_harm_breaks_checkpoint(&store->harm, store->error_code) ? PS_BROKEN : PS_DONE;
}

enum ps_verdict ps_store_end_pass(struct ps_store *store, const struct ps_log_pass *pass, struct ps_log_pass_end *end)
{
	enum ps_gone gone = ps_file_end_pass(&store->file, pass, end);

	store->passing = false;
	/* A log that is not the index's any more cannot be read either: that is nothing of the disk's. */
	if (pass->broken && (gone == PS_GONE_NOTHING || pass->code != SQLITE_IOERR_SHORT_READ)) {
		store->error_code = pass->code;
		snprintf(store->error_message, sizeof store->error_message, "%s", pass->message);
		return PS_BROKEN;
	}
	return gone == PS_GONE_NOTHING ? PS_DONE : look(store, true);
}
