/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/group.h"

#include <string.h>

#include "queue/group.h"
#include "writer/sqlite/inside.h"

static void enter(struct ps_store *store, struct ps_store_group *group, const struct ps_record *record, bool batched)
{
	/* What may never run twice is as if it had done what lasts. */
	*group = (struct ps_store_group){ .sets = store->one_by_one, .lasting = (record->asks & PS_ASKS_ALONE) != 0 };
	store->group = group;
	store->statements.grouped = !batched;
}

/* The transaction has ended. */
static void leave(struct ps_store *store, bool undone)
{
	struct ps_store_group *group = store->group;

	store->group = NULL;
	store->statements.grouped = false;
	if (group->sets || (undone && group->renamed))
		ps_inside_forget_statements(store);
	if (group->sets)
		ps_inside_read_settings(store);
}

static void fail(struct ps_store *store, struct ps_outcome *outcome, penstock_status status)
{
	const char *message;
	int code = ps_store_error(store, &message);

	ps_outcome_fail(outcome, status, code, message);
	outcome->result.changes = 0;
	outcome->result.last_insert_rowid = sqlite3_last_insert_rowid(store->connection);
}

/* Whether the member has failed, by whatever it was; then its outcome says so. */
static bool has_failed(struct ps_store *store, enum ps_verdict verdict, struct ps_outcome *outcome)
{
	if (outcome->result.status != PENSTOCK_OK)
		return true;
	if (verdict == PS_DONE && ps_store_in_transaction(store))
		return false;
	if (verdict == PS_DONE)
		ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_MISUSE,
		                "a SQL function has ended the group's transaction; what it has committed is there");
	else
		ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_NOMEM, "out of memory");
	return true;
}

/* Whether the member of a group in a batch has failed as it would have in a transaction of the group's own. */
static bool is_its_own(struct ps_store *store, const struct ps_outcome *outcome)
{
	int code = outcome->result.extended_code;

	return outcome->result.status == PENSTOCK_ERROR && ps_store_in_transaction(store) && !store->group->meddled &&
	       (code != SQLITE_INTERRUPT || store->deadline.expired) && !ps_inside_may_be_the_batch(code) &&
	       !ps_inside_may_lack_temp(code);
}

/*
 * Runs a member, whose rows go to the memory of the whole. PS_DONE, with the outcome of the member in the whole when it failed; PS_BUSY.
 */
static enum ps_verdict run_member(struct ps_store *store, const struct ps_record *record, bool batched, bool wanted,
                                  uint64_t bytes_max, struct ps_outcome *whole, penstock_result *result)
{
	struct ps_outcome own = { .result = { .message = "", .arg = NULL }, .blocks = whole->blocks };
	enum ps_verdict verdict = ps_store_run(store, record, batched, wanted, bytes_max, &own);

	whole->blocks = own.blocks;
	/* Not run, or what it came to is none of its own: nobody will hear of this run. */
	if ((verdict == PS_BUSY && !store->group->lasting) || verdict == PS_ELSEWHERE ||
	    (batched && verdict == PS_TAKE_OUT && !is_its_own(store, &own))) {
		ps_outcome_drop_rows(whole);
		return verdict;
	}
	if (verdict == PS_DONE_LAST) {
		store->group->last = true;
		verdict = PS_DONE;
	}
	if (!has_failed(store, verdict, &own)) {
		/* From above zero the members behind it may count below, each of which would not by itself. */
		store->group->last |= batched && ps_store_commit_would_fail(store);
		whole->result.changes += own.result.changes;
		whole->result.last_insert_rowid = own.result.last_insert_rowid;
		if (result != NULL)
			*result = own.result;
		return PS_DONE;
	}
	*whole = own;
	whole->result.changes = 0;
	whole->result.last_insert_rowid = sqlite3_last_insert_rowid(store->connection);
	store->lacked_room = whole->result.code == SQLITE_FULL && !store->group->lasting;
	return verdict == PS_BROKEN ? PS_BROKEN : PS_DONE;
}

static enum ps_verdict run_members(struct ps_store *store, const struct ps_record *record, bool batched, bool wanted,
                                   uint64_t bytes_max, struct ps_outcome *outcome)
{
	const unsigned char *data = ps_group_first(record);
	penstock_result *results = NULL;
	enum ps_verdict verdict = PS_DONE;
	struct ps_record member;
	uint32_t i;

	if (wanted) {
		results = ps_outcome_allocate(outcome, record->value_count * sizeof *results);
		if (results == NULL) {
			ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_NOMEM, "out of memory for the members' results");
			return PS_DONE;
		}
	}
	for (i = 0; i < record->value_count && verdict == PS_DONE && outcome->result.status == PENSTOCK_OK; i++) {
		data = ps_group_get(data, &member);
		verdict = run_member(store, &member, batched, wanted, bytes_max, outcome, wanted ? &results[i] : NULL);
	}
	if (outcome->result.status != PENSTOCK_OK)
		outcome->failing = i;
	else
		outcome->result.members = results;
	return verdict;
}

/* As on a plain connection, whose changes() and total_changes() go on. */
static enum ps_verdict commit(struct ps_store *store, struct ps_outcome *outcome)
{
	enum ps_verdict verdict = ps_store_commit(store);

	store->lacked_room &= !store->group->lasting;
	if (verdict == PS_BUSY && store->group->lasting)
		verdict = PS_TAKE_OUT;
	switch (verdict) {
	case PS_DONE:
	case PS_BUSY:
		return verdict;
	case PS_TAKE_OUT:
		fail(store, outcome, PENSTOCK_ERROR);
		return PS_DONE;
	default:
		fail(store, outcome, PENSTOCK_UNKNOWN);
		return verdict == PS_BROKEN ? PS_BROKEN : PS_DONE;
	}
}

enum ps_verdict ps_store_run_group(struct ps_store *store, const struct ps_record *record, bool wanted,
                                   uint64_t result_bytes_max, struct ps_outcome *outcome)
{
	struct ps_store_group group;
	enum ps_verdict verdict;

	store->lacked_room = false;
	sqlite3_set_last_insert_rowid(store->connection, 0);
	verdict = ps_store_begin_group(store);
	if (verdict == PS_BUSY)
		return PS_BUSY;
	if (verdict != PS_DONE) {
		fail(store, outcome, verdict == PS_BROKEN ? PENSTOCK_SHUTDOWN : PENSTOCK_ERROR);
		return verdict == PS_BROKEN ? PS_BROKEN : PS_DONE;
	}
	enter(store, &group, record, false);
	verdict = run_members(store, record, false, wanted, result_bytes_max, outcome);
	if (verdict == PS_DONE && outcome->result.status == PENSTOCK_OK)
		verdict = commit(store, outcome);
	/* To run once more: what was counted is taken back. */
	if (verdict == PS_BUSY)
		ps_store_rollback(store);
	ps_inside_end_transaction(store);
	leave(store, verdict != PS_DONE || outcome->result.status != PENSTOCK_OK);
	return verdict;
}

/* ---- in a batch ---- */

static bool step(struct ps_store *store, sqlite3_stmt *statement)
{
	int64_t count = ps_changes_shown(store->changes);
	bool well = ps_inside_step(statement) == SQLITE_OK;

	/* Full-text tables write what they hold back. */
	ps_changes_correct(store->changes, count);
	return well && ps_store_in_transaction(store);
}

/* What its COMMIT would find. */
static void look_at_keys(struct ps_store *store, struct ps_outcome *outcome)
{
	if (!ps_store_commit_would_fail(store))
		return;
	ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY constraint failed");
	outcome->result.changes = 0;
	outcome->result.last_insert_rowid = sqlite3_last_insert_rowid(store->connection);
}

/* Behind the last member that ran. */
static enum ps_verdict settle(struct ps_store *store, bool careful, enum ps_verdict verdict, struct ps_outcome *outcome)
{
	if (verdict != PS_DONE)
		return verdict;
	if (outcome->result.status == PENSTOCK_OK) {
		if (careful && !step(store, store->release))
			return PS_TAKE_OUT;
		return store->group->last ? PS_DONE_LAST : PS_DONE;
	}
	/* Its own ROLLBACK forgets the schema if it has changed that, which shows where PRAGMA defer_foreign_keys is next. */
	if (!is_its_own(store, outcome) || store->group->renamed)
		return PS_TAKE_OUT;
	if (!careful)
		return PS_CAREFULLY;
	return step(store, store->rollback_to) && step(store, store->release) ? PS_DONE : PS_TAKE_OUT;
}

enum ps_verdict ps_store_run_group_batched(struct ps_store *store, const struct ps_record *record, bool careful, bool wanted,
                                           uint64_t result_bytes_max, struct ps_outcome *outcome)
{
	struct ps_store_group group;
	enum ps_verdict verdict;

	if (careful && !step(store, store->savepoint))
		return PS_TAKE_OUT;
	sqlite3_set_last_insert_rowid(store->connection, 0);
	enter(store, &group, record, true);
	verdict = run_members(store, record, true, wanted, result_bytes_max, outcome);
	if (verdict == PS_DONE && outcome->result.status == PENSTOCK_OK)
		look_at_keys(store, outcome);
	verdict = settle(store, careful, verdict, outcome);
	leave(store, (verdict != PS_DONE && verdict != PS_DONE_LAST) || outcome->result.status != PENSTOCK_OK);
	return verdict;
}
