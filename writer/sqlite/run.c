/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - one statement, in a batch's transaction or alone, or several as one; and what its failure means for the batch
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
 */
#include "writer/sqlite/inside.h"

#include <stdio.h>
#include <string.h>

#include "queue/group.h"
#include "writer/sqlite/fuse.h"
#include "writer/sqlite/rows.h"
#include "writer/sqlite/trust.h"

/* So many runs of a statement are alone when it has met missing room for temporary files in a batch, and went well alone. */
#define APART_RUNS 1000

/*
 * What the batch, or memory that others took, may have caused; alone it may go well: SQLite keeps what undoes a statement of many
 * rows in a temporary file, which it does not need in autocommit. (The bare IOERR is a SQL function's: no file gives it.)
 */
bool ps_inside_may_be_the_batch(int extended_code)
{
	int code = extended_code & 0xff;

	return code == SQLITE_FULL || code == SQLITE_NOMEM || ps_connection_met_lock(code) ||
	       (code == SQLITE_IOERR && extended_code != SQLITE_IOERR);
}

/*
 * Whether a statement that wrote, and failed so within a transaction, may lack the temporary file that would hold what undoes it.
 * Alone it needs none.
 */
bool ps_inside_may_lack_temp(int extended_code)
{
	int code = extended_code & 0xff;

	return code == SQLITE_FULL || code == SQLITE_CANTOPEN || (code == SQLITE_IOERR && extended_code != SQLITE_IOERR);
}

/* Whether one of a group's members must. */
static bool group_must_be_alone(const struct ps_store *store, const struct ps_record *record)
{
	const unsigned char *data = ps_group_first(record);
	struct ps_record member;

	if (store->one_by_one || (record->asks & PS_ASKS_ALONE) != 0)
		return true;
	for (uint32_t i = 0; i < record->value_count; i++) {
		data = ps_group_get(data, &member);
		if (ps_statements_act_early(&member) || ps_statements_is_apart(&store->statements, &member))
			return true;
	}
	return false;
}

bool ps_store_must_be_alone(const struct ps_store *store, const struct ps_record *record)
{
	if (record->kind == PS_KIND_GROUP)
		return group_must_be_alone(store, record);
	return store->one_by_one || record->kind == PS_KIND_ALONE || ps_record_is_function(record) ||
	       ps_statements_act_early(record) || ps_statements_is_apart(&store->statements, record);
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

	if (record->kind != PS_KIND_STATEMENT)
		return false;
	seen = look_at(store, record);
	return seen.dml && seen.columns > 0 && seen.apart == 0 && !seen.may_lack_temp;
}

bool ps_store_needs_lock(struct ps_store *store, const struct ps_record *record)
{
	struct ps_prepared seen;

	if (record->kind == PS_KIND_GROUP)
		return true;
	if (ps_record_is_function(record))
		return record->kind == PS_KIND_CALL;
	seen = look_at(store, record);
	/* What cannot be prepared fails for that, and not for the lock. */
	return seen.statement != NULL && !seen.read_only;
}

bool ps_store_locks_late(struct ps_store *store, const struct ps_record *record)
{
	return store->attached && record->kind != PS_KIND_GROUP && ps_store_needs_lock(store, record);
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
	/* A function may have failed with an empty one. */
	if (sqlite_message[0] == '\0')
		sqlite_message = sqlite3_errstr(code);
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

/* An interrupt (not the engine's own, for the time) may last until the transaction ends. */
static bool lasts(const struct ps_store *store, int extended_code)
{
	return (extended_code & 0xff) == SQLITE_INTERRUPT && !store->deadline.expired;
}

/*
 * What a statement that failed inside a transaction, or in autocommit without harm, means for the batch. locked_out: if it was by BUSY, it
 * met the lock as it began, or was not even prepared.
 */
static enum ps_verdict judge_failure(struct ps_store *store, int extended_code, bool batched, bool wrote, bool locked_out)
{
	ps_harm_note(&store->harm, extended_code);
	/*
	 * A function may have said BUSY, or PROTOCOL: that is the statement's own failure. Behind the beginning it is SQLite's if the
	 * handler was asked, as in a commit.
	 */
	if (!batched && (extended_code & 0xff) == SQLITE_BUSY && (locked_out || store->busy.met))
		return PS_BUSY;
	if (!batched)
		return wrote && ps_store_in_transaction(store) && may_leave_rows(extended_code) ? PS_HALF_DONE : PS_DONE;
	if (!ps_store_in_transaction(store) || ps_inside_may_be_the_batch(extended_code) || lasts(store, extended_code) ||
	    (wrote && may_leave_rows(extended_code)))
		return PS_TAKE_OUT;
	/* OR FAIL keeps rows, unless they violate a deferred key. */
	return ps_store_commit_would_fail(store) ? PS_TAKE_OUT : PS_DONE;
}

/* What a statement that failed in autocommit means for the engine, and what it came to. */
static enum ps_verdict judge_alone(struct ps_store *store, const struct ps_prepared *prepared, const struct ps_record *record,
                                   bool locked_out, struct ps_outcome *outcome)
{
	int code = outcome->result.extended_code;
	enum ps_harm harm = ps_inside_judge_harm(store, code, !prepared->read_only && !ps_statements_act_early(record));
	enum ps_verdict verdict;

	/* A query lacks none in the log; and what its functions wrote is not undone with it. */
	store->lacked_room &= !prepared->read_only;
	if (harm == PS_HARMFUL || (harm == PS_IN_DOUBT && !prepared->read_only))
		outcome->result.status = PENSTOCK_UNKNOWN;
	verdict = harm == PS_HARMFUL ? PS_BROKEN : judge_failure(store, code, false, !prepared->read_only, locked_out);
	/* It has had its locks, and may have called functions. */
	if (verdict == PS_BUSY && record->kind == PS_KIND_ALONE && !locked_out && (prepared->read_only || !store->busy.unbegun))
		verdict = PS_DONE;
	return verdict;
}

/* Whether a statement that went well in a transaction would have gone well alone. */
static bool stands_alone(struct ps_store *store, const struct ps_prepared *prepared)
{
	/* A function it called may have ended the transaction. */
	if (!ps_store_in_transaction(store))
		return false;
	/* A member's violations are looked at behind the last one. */
	if (store->group != NULL)
		return true;
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
		prepared->may_lack_temp = ps_inside_may_lack_temp(extended_code);
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
	uint64_t own_bytes = 0, *row_bytes = store->group != NULL ? &store->group->row_bytes : &own_bytes;
	enum ps_collected collected;
	bool locked_out;
	int rc;

	if (record->value_count != (uint32_t)prepared->parameters) {
		fail_value_count(outcome, prepared, record);
		return PS_DONE;
	}
	if (ps_rows_bind(prepared->statement, record, 1) != SQLITE_OK) {
		fail_running(store, outcome);
		return PS_DONE;
	}
	if (store->group == NULL)
		sqlite3_set_last_insert_rowid(store->connection, 0);
	if (autocommit)
		ps_harm_begin(&store->harm);
	ps_statement_deadline_begin(&store->deadline, prepared->statement);
	rc = ps_rows_collect(prepared->statement, wanted, row_bytes, bytes_max, outcome, &collected);
	ps_statement_deadline_end(&store->deadline);
	if (rc == SQLITE_DONE && collected == PS_COLLECTED) {
		if (batched && !stands_alone(store, prepared))
			return PS_TAKE_OUT;
		if (autocommit && prepared->dml)
			ps_harm_committed(&store->harm);
		if (wanted)
			note_effect(store, prepared, outcome);
		if (!prepared->read_only && store->group == NULL)
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
	/* Where its transactions begin SQLite stays, to be stepped once more; no function has been called. Any other failure ends it. */
	locked_out = sqlite3_stmt_busy(prepared->statement) != 0;
	sqlite3_reset(prepared->statement);
	/* OR FAIL keeps the rows before the failing one, and counts them; where nothing was counted, changes() may be that of the
	 * statement before (this one could not even be prepared again). */
	if (sqlite3_total_changes64(store->connection) != total)
		note_effect(store, prepared, outcome);
	else
		outcome->result.last_insert_rowid = sqlite3_last_insert_rowid(store->connection);
	if (!prepared->read_only && store->group == NULL)
		note_temp(store, prepared, autocommit, outcome->result.extended_code);
	if (autocommit)
		return judge_alone(store, prepared, record, locked_out, outcome);
	if (!batched && prepared->may_lack_temp && store->group == NULL) {
		ps_harm_note(&store->harm, outcome->result.extended_code);
		return PS_TAKE_OUT;
	}
	return judge_failure(store, outcome->result.extended_code, batched, !prepared->read_only, locked_out);
}

/* A submitted PRAGMA may lower synchronous, but not to where durable submissions could not be kept; there are too many ways
 * to write it (no, 0, 7, 256 ...) to refuse them beforehand. What there is no memory to ask for may be that. */
static void refuse_synchronous_off(struct ps_store *store, struct ps_outcome *outcome)
{
	bool unasked = ps_inside_lacks_answer(store, store->synchronous);

	if ((store->synchronous != PENSTOCK_SYNCHRONOUS_OFF && !unasked) ||
	    store->options->keys.synchronous == PENSTOCK_SYNCHRONOUS_OFF)
		return;
	ps_inside_restore_synchronous(store);
	if (unasked) {
		fail_from_sqlite(store, outcome, SQLITE_NOMEM, sqlite3_errstr(SQLITE_NOMEM));
		return;
	}
	ps_outcome_fail(
		outcome, PENSTOCK_ERROR, SQLITE_AUTH,
		"PRAGMA synchronous=OFF is refused: use the key synchronous, so that durable submissions are refused too");
}

/* A function that the statement called has begun a transaction, which nobody would commit. */
static void end_stray_transaction(struct ps_store *store, enum ps_verdict verdict, struct ps_outcome *outcome)
{
	ps_inside_end_transaction(store);
	/* It has met a lock, or says so. */
	if (verdict == PS_BROKEN || outcome->result.code == SQLITE_BUSY)
		return;
	outcome->result.changes = 0;
	ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_MISUSE,
	                "a SQL function has begun a transaction, which is rolled back, and the statement with it");
}

/* Whether what functions did within a statement is another thing in the transaction of a batch than in autocommit. */
static bool differs_in_batch(const struct ps_store *store, const struct ps_prepared *prepared, unsigned meddled,
                             enum ps_verdict verdict, const struct ps_outcome *outcome)
{
	if ((meddled & PS_MEDDLED) != 0)
		return true;
	if ((meddled & PS_WROTE) == 0)
		return false;
	/* A group's transaction has both; but nobody can tell what became of deferred keys. */
	if (store->group != NULL)
		return prepared->read_only;
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
	bool transaction = ps_store_in_transaction(store), own_transaction = !batched && transaction && store->group == NULL,
	     functions_wrote;
	int64_t total;
	enum ps_verdict verdict;
	int rc = ps_changes_put_right(store->changes);

	/* A query that would have to wait for the lock goes on without. */
	if (rc != SQLITE_OK && !(prepared->read_only && ps_connection_met_lock(rc))) {
		fail_running(store, outcome);
		return judge_failure(store, outcome->result.extended_code, batched, false, true);
	}
	/* In autocommit nobody asks for it, and reading would end PRAGMA defer_foreign_keys before the statement. */
	if (transaction)
		ps_behind_look_at_schema(store);
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
		verdict = ps_behind_settle(store, prepared, functions_wrote);
	if (is_lost(store, batched))
		return PS_TAKE_OUT;
	if (sqlite3_total_changes64(store->connection) != total)
		*meddled |= PS_WROTE;
	/* Alone it has its way, as in autocommit... */
	if (batched && verdict != PS_BROKEN && differs_in_batch(store, prepared, *meddled, verdict, outcome))
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

/*
 * A checkpoint that is not allowed tells what SQLite would where another connection is at one. What stands for it is finalized with it:
 * a pragma is prepared for one use.
 */
static void admit_checkpoint(struct ps_store *store, struct ps_prepared *prepared)
{
	static const char busy[] = "SELECT 1 AS busy, -1 AS log, -1 AS checkpointed";
	sqlite3_stmt *statement;

	if (!prepared->checkpoints || ps_store_in_transaction(store) || ps_file_admit_checkpoint(&store->file))
		return;
	if (sqlite3_prepare_v2(store->connection, busy, -1, &statement, NULL) != SQLITE_OK)
		return;
	sqlite3_finalize(prepared->statement);
	prepared->statement = statement;
}

/* Behind what may have set something: at once, or behind the group. */
static void note_settings(struct ps_store *store)
{
	if (store->group != NULL)
		store->group->sets = true;
	else
		ps_inside_read_settings(store);
}

static void note_synchronous(struct ps_store *store, struct ps_outcome *outcome)
{
	ps_inside_read_synchronous(store);
	refuse_synchronous_off(store, outcome);
}

/* A pragma acts as it is prepared, also one that lacks memory behind that. */
static void note_settings_of_unprepared(struct ps_store *store, const struct ps_record *record, int code,
                                        struct ps_outcome *outcome)
{
	note_settings(store);
	if (store->group == NULL && (code & 0xff) == SQLITE_NOMEM && ps_statements_act_early(record))
		note_synchronous(store, outcome);
}

static enum ps_verdict fail_unrun(struct ps_store *store, struct ps_outcome *outcome, int code, const char *message,
                                  bool batched)
{
	fail_from_sqlite(store, outcome, code, message);
	return judge_failure(store, code, batched, false, false);
}

enum ps_verdict ps_store_run(struct ps_store *store, const struct ps_record *record, bool batched, bool wanted,
                             uint64_t result_bytes_max, struct ps_outcome *outcome)
{
	struct ps_prepared *prepared;
	const char *message;
	bool may_set = !batched && (store->one_by_one || ps_statements_act_early(record));
	bool in_transaction = ps_store_in_transaction(store), renames, synchronizes;
	enum ps_verdict verdict = PS_ELSEWHERE;
	unsigned meddled = 0;
	int code;

	store->lacked_room = false;
	if (ps_inside_is_stuck(store)) {
		ps_outcome_fail(outcome, PENSTOCK_SHUTDOWN, store->error_code, store->error_message);
		return PS_BROKEN;
	}
	if (is_lost(store, batched))
		return PS_TAKE_OUT;
	if (!batched && !ps_inside_read_schema(store))
		return fail_unrun(store, outcome, SQLITE_NOMEM, sqlite3_errstr(SQLITE_NOMEM), batched);
	if (may_set) {
		snprintf(store->synchronous_before, sizeof store->synchronous_before, "PRAGMA synchronous=%d",
		         store->synchronous);
		/* A pragma acts when it is prepared: a write behind that would end defer_foreign_keys. */
		ps_changes_put_right(store->changes);
	}
	store->busy.met = false;
	prepared = ps_statements_get(&store->statements, record, &code, &message);
	if (prepared == NULL) {
		verdict = fail_unrun(store, outcome, code, message, batched);
		if (may_set)
			note_settings_of_unprepared(store, record, code, outcome);
		return verdict;
	}
	renames = prepared->renames;
	synchronizes = prepared->synchronizes;
	if (!batched)
		admit_checkpoint(store, prepared);
	if (!batched || !(prepared->alone || prepared->apart > 0))
		verdict = run_watched(store, prepared, record, batched, wanted, result_bytes_max, outcome, &meddled);
	if (!batched)
		store->reprepares += (uint64_t)sqlite3_stmt_status(prepared->statement, SQLITE_STMTSTATUS_REPREPARE, 1);
	ps_statements_done(prepared);
	if (!batched)
		ps_file_release_checkpoint(&store->file);
	if (!in_transaction && ps_store_in_transaction(store))
		end_stray_transaction(store, verdict, outcome);
	renames |= (meddled & PS_RENAMED) != 0;
	if (verdict != PS_ELSEWHERE && renames)
		ps_inside_forget_statements(store);
	if (store->group != NULL) {
		/* Behind the group. */
		store->group->renamed |= renames;
		store->group->lasting |= ps_statements_act_early(record) || (meddled & PS_SET) != 0;
		store->group->meddled |= (meddled & PS_MEDDLED) != 0;
	}
	if (may_set || (meddled & PS_SET) != 0)
		note_settings(store);
	if (store->group != NULL)
		return verdict;
	if (synchronizes)
		note_synchronous(store, outcome);
	return verdict;
}

/* ---- many statements as one (fuse.h) ---- */

/* Whether whoever listens to the record can be told its rowid when it runs as one with others. */
static bool can_be_told(const struct ps_store *store, const struct ps_record *record)
{
	return record->listener_kind == PS_LISTENER_NONE ||
	       (ps_rowids_are_heard(&store->rowids) && !ps_fuse_lacks_rowids(ps_registered_of(record)));
}

unsigned ps_store_fuse_most(struct ps_store *store, const struct ps_record *record)
{
	struct ps_registered *statement = ps_registered_of(record);

	if (statement == NULL || statement->row.bytes == 0 || record->value_count != statement->row.places ||
	    !can_be_told(store, record) || ps_fuse_pauses(statement, store->schema_changes))
		return 0;
	return (unsigned)store->options->keys.fuse_rows;
}

unsigned ps_store_fuse_width(struct ps_store *store, const struct ps_record *record, unsigned count, bool heard)
{
	struct ps_registered *statement = ps_registered_of(record);
	int64_t changes = ps_changes_shown(store->changes);
	unsigned width = ps_fuse_width(&store->statements, statement, (unsigned)store->options->keys.fuse_rows, count,
	                               store->schema_changes);

	/* It may have been explained, which sets changes(). */
	ps_changes_correct(store->changes, changes);
	/* Of the table nothing was known before. */
	return heard && ps_fuse_lacks_rowids(statement) ? 0 : width;
}

bool ps_store_fuses(const struct ps_store *store, const struct ps_record *record, const struct ps_record *next)
{
	return next->statement == record->statement && next->kind == PS_KIND_STATEMENT &&
	       next->value_count == record->value_count && can_be_told(store, next);
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

/* Binds the values of all of them. SQLite's code. */
static int bind_rows(sqlite3_stmt *statement, const struct ps_record *const *records, unsigned count)
{
	int rc = SQLITE_OK;

	for (unsigned i = 0; i < count && rc == SQLITE_OK; i++)
		rc = ps_rows_bind(statement, records[i], 1 + i * records[i]->value_count);
	return rc;
}

/* Steps it. SQLite's code, and how many rows were heard, if rowids are asked for. */
static int step_fused(struct ps_store *store, sqlite3_stmt *statement, int64_t *rowids, unsigned count, unsigned *heard,
                      unsigned *meddled)
{
	int rc;

	sqlite3_set_last_insert_rowid(store->connection, 0);
	ps_statement_deadline_begin(&store->deadline, statement);
	ps_statements_begin_run(&store->statements, true);
	ps_rowids_begin(&store->rowids, rowids, count);
	rc = sqlite3_step(statement);
	*heard = ps_rowids_end(&store->rowids);
	*meddled = ps_statements_end_run(&store->statements);
	ps_statement_deadline_end(&store->deadline);
	if (rc != SQLITE_DONE)
		ps_inside_note_error(store);
	return rc;
}

enum ps_verdict ps_store_run_fused(struct ps_store *store, const struct ps_record *const *records, unsigned count,
                                   int64_t *rowids, unsigned *done)
{
	struct ps_registered *statement = ps_registered_of(records[0]);
	struct ps_prepared *prepared = ps_fuse_get(statement, (unsigned)store->options->keys.fuse_rows, count);
	int64_t total = sqlite3_total_changes64(store->connection), count_before = ps_changes_shown(store->changes);
	unsigned meddled, heard;
	int rc, reprepared;
	enum ps_verdict verdict;

	*done = 0;
	if (is_lost(store, true))
		return PS_TAKE_OUT;
	if (bind_rows(prepared->statement, records, count) != SQLITE_OK) {
		ps_fuse_pause(statement);
		return PS_ELSEWHERE;
	}
	rc = step_fused(store, prepared->statement, rowids, count, &heard, &meddled);
	reprepared = sqlite3_stmt_status(prepared->statement, SQLITE_STMTSTATUS_REPREPARE, 1);
	store->reprepares += (uint64_t)reprepared;
	sqlite3_reset(prepared->statement);
	if (rc == SQLITE_DONE && reprepared == 0 && (meddled & PS_MEDDLED) == 0 && (rowids == NULL || heard == count) &&
	    stands_alone(store, prepared)) {
		/* As after the last of them. */
		ps_changes_correct(store->changes, 1);
		ps_behind_look_at_schema(store);
		verdict = ps_behind_settle(store, prepared, false);
		return is_lost(store, true) ? PS_TAKE_OUT : verdict;
	}
	ps_changes_correct(store->changes, count_before);
	if (reprepared != 0)
		ps_fuse_forget(statement);
	ps_fuse_pause(statement);
	if (rc == SQLITE_DONE)
		return PS_TAKE_OUT;
	ps_harm_note(&store->harm, store->error_code);
	/* The number of an AUTOINCREMENT table is written when the statement ends, which it has not. */
	if (reprepared == 0 && (meddled & (PS_MEDDLED | PS_WROTE)) == 0 && !statement->fuse.numbers)
		*done = count_whole_rows(store, total);
	ps_behind_look_at_schema(store);
	if (*done == 0 || (rowids != NULL && heard != *done) || ps_behind_settle(store, prepared, false) != PS_DONE ||
	    is_lost(store, true)) {
		*done = 0;
		return PS_TAKE_OUT;
	}
	/* As after the last of them. */
	ps_changes_correct(store->changes, 1);
	return PS_ELSEWHERE;
}
