/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/schedule/store.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "queue/group.h"
#include "tests/schedule/scheduler.h"
#include "writer/batch.h"
#include "writer/kind.h"
#include "writer/registry.h"
#include "writer/room.h"
#include "writer/sqlite/inside.h"

struct store_world store_world;

static struct ps_store the_store;
static bool has_peers;

/* A few commits make a checkpoint due, and a few more reach the bound (wal_bytes_max=65536). */
#define FRAME_BYTES 9000

void store_values(penstock_value values[2], unsigned row, bool bad)
{
	values[0] = penstock_int64(row);
	values[1] = penstock_int64(bad);
}

/* Before anything is done with the file. */
static void touch(void)
{
	schedule_point("the file");
	schedule_check(!store_world.excluded, "the engine uses the file that a pauser has");
}

static void touch_connected(void)
{
	touch();
	schedule_check(store_world.connected, "the store is used while it is closed");
}

static void expect_no_pause(void)
{
	schedule_check(!store_world.held_by_other, "the engine is at work while another process has paused all");
}

/* Before what an engine may do only while it is in. */
static void touch_inside(void)
{
	touch_connected();
	expect_no_pause();
}

/* ---- opening and closing ---- */

/* As ps_connection_open does once it has the file. False: it is kept out. */
static bool come_in(struct ps_peers *peers, const char *path, const struct ps_options *options, struct ps_busy *busy)
{
	ps_peers_open(peers, path, options->keys.turns != 0);
	if (ps_peers_enter(peers) == PS_ENTRY_IN) {
		if (busy != NULL)
			ps_store_take_turn(&the_store);
		expect_no_pause();
		schedule_point("sets up");
		expect_no_pause();
		ps_turns_end(&peers->turns);
		return true;
	}
	return false;
}

static int open_at(const char *path, bool *locked)
{
	*locked = store_world.busy > 0;
	if (*locked) {
		store_world.busy--;
		return ps_error(PENSTOCK_CANTOPEN, "%s is locked", path);
	}
	if (store_world.cannot_open > 0) {
		store_world.cannot_open--;
		return ps_error(PENSTOCK_CANTOPEN, "%s is not there", path);
	}
	return PENSTOCK_OK;
}

int ps_store_open(struct ps_store **store, const char *path, const struct ps_options *options, enum ps_role role,
                  struct ps_patience *patience, bool *locked)
{
	int status;

	(void)role;
	*store = NULL;
	touch();
	schedule_check(!store_world.connected, "the store is opened twice");
	status = open_at(path, locked);
	if (status != PENSTOCK_OK)
		return status;
	memset(&the_store, 0, sizeof the_store);
	the_store.options = options;
	the_store.busy.patience = patience;
	has_peers = strcmp(path, STORE_LONE) != 0;
	the_store.peers.inside = true;
	if (has_peers && !come_in(&the_store.peers, path, options, &the_store.busy)) {
		*locked = ps_peers_is_out(&the_store.peers);
		ps_peers_close(&the_store.peers);
		return ps_error(PENSTOCK_CANTOPEN, "%s: another process has paused all", path);
	}
	store_world.connected = true;
	store_world.in_transaction = false;
	schedule_point("opened");
	*store = &the_store;
	return PENSTOCK_OK;
}

static uint64_t copy_log(uint64_t most);

enum ps_copied ps_store_close(struct ps_store *store, bool checkpoint)
{
	enum ps_copied copied = PS_COPIED_ALL;

	touch_connected();
	schedule_check(!store_world.in_transaction, "the store is closed in a transaction");
	schedule_check(!store_world.log.opened, "the store is closed before the checkpoint thread's connection");
	schedule_point("closing");
	if (has_peers) {
		ps_store_end_turn(store);
		if (checkpoint && ps_peers_enter(&store->peers) != PS_ENTRY_IN)
			copied = PS_COPIED_NOT;
		else if (checkpoint && !store->options->keys.leave_wal)
			copy_log(UINT64_MAX);
		ps_peers_close(&store->peers);
	}
	store_world.connected = false;
	return copied;
}

/* There is no connection to give: a pause keeps whoever opens one away from the file. */
static int visit(void)
{
	touch();
	touch();
	return PENSTOCK_OK;
}

int ps_store_open_reader(const char *path, const struct ps_options *options, sqlite3 **connection)
{
	(void)path;
	(void)options;
	*connection = NULL;
	return visit();
}

int ps_store_probe(const char *path, const struct ps_options *options, bool *locked)
{
	struct ps_peers peers;
	bool in = true;

	*locked = false;
	if (strcmp(path, STORE_LONE) != 0) {
		in = come_in(&peers, path, options, NULL);
		*locked = !in && ps_peers_is_out(&peers);
		ps_peers_close(&peers);
	}
	return in ? visit() : ps_error(PENSTOCK_CANTOPEN, "%s: another process has paused all", path);
}

int ps_connection_find_file(const char *path, const struct ps_options *options, char **file)
{
	(void)options;
	*file = strdup(path);
	return *file == NULL ? PENSTOCK_NOMEM : PENSTOCK_OK;
}

struct penstock_statement *ps_store_statement_new(const char *sql, size_t bytes)
{
	(void)sql;
	(void)bytes;
	return calloc(1, sizeof(struct penstock_statement));
}

void ps_store_statement_free(struct penstock_statement *statement)
{
	free(statement);
}

static void values_of(const struct ps_record *record, unsigned *row, bool *bad)
{
	penstock_value value;
	const unsigned char *data = ps_record_decode(ps_record_values(record), &value);

	schedule_check(value.type == PENSTOCK_INTEGER && value.as.integer >= 0 && value.as.integer < STORE_ROWS,
	               "a record that nobody wrote");
	*row = (unsigned)value.as.integer;
	ps_record_decode(data, &value);
	schedule_check(value.type == PENSTOCK_INTEGER && value.as.integer >= 0 && value.as.integer <= 1,
	               "a record that nobody wrote");
	*bad = value.as.integer == 1;
}

/* ---- transactions ---- */

static enum ps_verdict break_now(void)
{
	the_store.error_code = SQLITE_IOERR_WRITE;
	return PS_BROKEN;
}

/* Another process has SQLite's lock. */
static bool is_locked(void)
{
	if (store_world.busy > 0) {
		store_world.busy--;
		return true;
	}
	return store_world.other_writes;
}

enum ps_verdict ps_store_begin(struct ps_store *store)
{
	(void)store;
	touch_inside();
	schedule_check(!store_world.in_transaction, "a transaction begins in another");
	if (is_locked())
		return PS_BUSY;
	store_world.in_transaction = true;
	store_world.pending_count = 0;
	return PS_DONE;
}

enum ps_verdict ps_store_begin_own(struct ps_store *store)
{
	return ps_store_begin(store);
}

enum ps_verdict ps_store_begin_group(struct ps_store *store)
{
	return ps_store_begin(store);
}

/* As SQLite begins a log anew that is copied, and a pass that has looked at the old one then goes wrong. */
static void log_commit(void)
{
	struct store_log *log = &store_world.log;

	schedule_point("before the log");
	if (log->frames > 0 && log->copied == log->frames) {
		log->frames = log->copied = 0;
		log->anew++;
		schedule_point("the log begins anew");
	}
	log->frames++;
	schedule_point("in the log");
	ps_log_book_commit(&the_store.file.book, log->frames);
}

static void commit_row(unsigned row)
{
	expect_no_pause();
	store_world.commits++;
	store_world.rows[row].committed++;
	store_world.rows[row].place = ++store_world.places;
}

enum ps_verdict ps_store_commit(struct ps_store *store)
{
	bool broken = store_world.breaks_in == 1 && store_world.breaks_at_commit;
	unsigned i;

	(void)store;
	touch_inside();
	schedule_check(store_world.in_transaction, "a commit without a transaction");
	store_world.in_transaction = false;
	if (store_world.pending_count > 0 && !broken)
		log_commit();
	/* Broken: committed or not. */
	for (i = 0; i < store_world.pending_count && !(broken && schedule_random(2) == 0); i++)
		commit_row(store_world.pending[i]);
	schedule_point("committed");
	if (broken) {
		store_world.breaks_in = 0;
		return break_now();
	}
	return PS_DONE;
}

enum ps_verdict ps_store_look_for_file(struct ps_store *store)
{
	(void)store;
	touch_connected();
	return PS_DONE;
}

void ps_store_rollback(struct ps_store *store)
{
	(void)store;
	touch_connected();
	store_world.in_transaction = false;
	store_world.pending_count = 0;
}

bool ps_store_in_transaction(const struct ps_store *store)
{
	(void)store;
	return store_world.in_transaction;
}

bool ps_store_commit_would_fail(const struct ps_store *store)
{
	(void)store;
	return false;
}

void ps_store_take_back(struct ps_store *store)
{
	(void)store;
}

void ps_store_enter_alone(struct ps_store *store, const struct ps_record *record)
{
	(void)store;
	(void)record;
}

void ps_store_enter_together(struct ps_store *store)
{
	(void)store;
}

void ps_store_defer_again(struct ps_store *store)
{
	(void)store;
}

void ps_store_note_failure(struct ps_store *store, bool in_commit)
{
	(void)store;
	(void)in_commit;
}

int ps_store_error(const struct ps_store *store, const char **message)
{
	*message = "the disk is broken";
	return store->error_code;
}

/* ---- statements ---- */

bool ps_store_must_be_alone(const struct ps_store *store, const struct ps_record *record)
{
	(void)store;
	return record->kind == PS_KIND_ALONE || ps_record_is_function(record);
}

bool ps_store_wants_transaction(struct ps_store *store, const struct ps_record *record)
{
	(void)store;
	return record->value_count % 2 == 1;
}

bool ps_store_needs_lock(struct ps_store *store, const struct ps_record *record)
{
	(void)store;
	(void)record;
	return true;
}

/* As if every third wrote to a database that is attached. */
bool ps_store_locks_late(struct ps_store *store, const struct ps_record *record)
{
	unsigned row;
	bool bad;

	(void)store;
	if (record->kind != PS_KIND_STATEMENT && record->kind != PS_KIND_ALONE)
		return false;
	values_of(record, &row, &bad);
	return row % 3 == 0;
}

static bool (*begin_late)(void *arg);
static void *late_arg;

void ps_store_ask_late(struct ps_store *store, bool (*begin)(void *arg), void *arg)
{
	(void)store;
	begin_late = begin;
	late_arg = arg;
}

/* The I/O error is due. */
static bool breaks(void)
{
	if (store_world.breaks_in == 0 || (store_world.breaks_in == 1 && store_world.breaks_at_commit))
		return false;
	return --store_world.breaks_in == 0;
}

enum ps_verdict ps_store_run(struct ps_store *store, const struct ps_record *record, bool batched, bool wanted,
                             uint64_t result_bytes_max, struct ps_outcome *outcome)
{
	unsigned row;
	bool bad;

	(void)store;
	(void)wanted;
	(void)result_bytes_max;
	touch_inside();
	schedule_check(store_world.in_transaction || !batched, "a batch runs outside of its transaction");
	values_of(record, &row, &bad);
	if (begin_late != NULL) {
		if (is_locked())
			return PS_BUSY;
		if (!begin_late(late_arg)) {
			ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_INTERRUPT, "interrupted");
			return PS_DONE;
		}
		begin_late = NULL;
	}
	if (!store_world.in_transaction && store_world.other_writes)
		return PS_BUSY;
	if (breaks()) {
		ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_IOERR_WRITE, "the disk is broken");
		store_world.rows[row].errored++;
		return break_now();
	}
	if (bad && batched)
		return PS_TAKE_OUT;
	if (bad) {
		ps_outcome_fail(outcome, PENSTOCK_ERROR, SQLITE_CONSTRAINT, "the row is bad");
		store_world.rows[row].errored++;
		store_world.rows[row].place = ++store_world.places;
		return PS_DONE;
	}
	outcome->result.changes = 1;
	outcome->result.last_insert_rowid = row;
	if (store_world.in_transaction)
		store_world.pending[store_world.pending_count++] = row;
	else {
		log_commit();
		commit_row(row);
	}
	schedule_point("ran");
	return PS_DONE;
}

enum ps_verdict ps_store_run_group(struct ps_store *store, const struct ps_record *record, bool wanted,
                                   uint64_t result_bytes_max, struct ps_outcome *outcome)
{
	const unsigned char *data = ps_group_first(record);
	enum ps_verdict verdict = ps_store_begin(store);
	struct ps_record member;

	for (uint32_t i = 0; verdict == PS_DONE && outcome->result.status == PENSTOCK_OK && i < record->value_count; i++) {
		data = ps_group_get(data, &member);
		verdict = ps_store_run(store, &member, false, wanted, result_bytes_max, outcome);
	}
	if (verdict == PS_DONE && outcome->result.status == PENSTOCK_OK)
		verdict = ps_store_commit(store);
	else if (verdict != PS_BUSY)
		ps_store_rollback(store);
	if (verdict == PS_BROKEN && outcome->result.status == PENSTOCK_OK)
		ps_outcome_fail(outcome, PENSTOCK_UNKNOWN, SQLITE_IOERR_WRITE, "the disk is broken");
	return verdict;
}

/* One that fails is always taken out. */
enum ps_verdict ps_store_run_group_batched(struct ps_store *store, const struct ps_record *record, bool careful, bool wanted,
                                           uint64_t result_bytes_max, struct ps_outcome *outcome)
{
	const unsigned char *data = ps_group_first(record);
	enum ps_verdict verdict = PS_DONE;
	struct ps_record member;

	for (uint32_t i = 0; verdict == PS_DONE && i < record->value_count; i++) {
		data = ps_group_get(data, &member);
		verdict = ps_store_run(store, &member, true, wanted, result_bytes_max, outcome);
	}
	return verdict == PS_TAKE_OUT && !careful ? PS_CAREFULLY : verdict;
}

void ps_store_expect_call(struct ps_store *store)
{
	(void)store;
	touch_connected();
}

void ps_store_call(struct ps_store *store, penstock_function *function, void *arg, struct ps_outcome *outcome)
{
	int rc;

	(void)store;
	touch_inside();
	schedule_check(store_world.in_transaction, "a call outside of a transaction");
	rc = function(NULL, arg, NULL);
	if (rc != SQLITE_OK)
		ps_outcome_fail(outcome, PENSTOCK_ERROR, rc, "the function says so");
	schedule_point("called");
}

void ps_store_leave_call(struct ps_store *store)
{
	(void)store;
	touch_connected();
	schedule_check(!store_world.in_transaction, "a call leaves a transaction");
}

enum ps_verdict ps_store_add_hook(struct ps_store *store, penstock_connect_hook *hook, void *arg, struct ps_outcome *outcome)
{
	(void)store;
	(void)outcome;
	touch_connected();
	hook(NULL, arg);
	return PS_DONE;
}

unsigned ps_store_fuse_most(struct ps_store *store, const struct ps_record *record)
{
	(void)store;
	return record->kind == PS_KIND_STATEMENT ? 4 : 0;
}

bool ps_store_fuses(const struct ps_store *store, const struct ps_record *record, const struct ps_record *next)
{
	(void)store;
	(void)record;
	return next->kind == PS_KIND_STATEMENT;
}

unsigned ps_store_fuse_width(struct ps_store *store, const struct ps_record *record, unsigned count, bool heard)
{
	(void)store;
	(void)record;
	(void)heard;
	return count >= 2 ? count : 0;
}

enum ps_verdict ps_store_run_fused(struct ps_store *store, const struct ps_record *const *records, unsigned count,
                                   int64_t *rowids, unsigned *done)
{
	unsigned row, i;
	bool bad;

	(void)store;
	touch_inside();
	*done = 0;
	for (i = 0; i < count; i++) {
		values_of(records[i], &row, &bad);
		if (bad && i > 0 && schedule_random(2) == 0) {
			*done = i;
			return PS_ELSEWHERE;
		}
		if (bad)
			return PS_TAKE_OUT;
		store_world.pending[store_world.pending_count++] = row;
		if (rowids != NULL)
			rowids[i] = row;
	}
	return PS_DONE;
}

/* ---- the log ---- */

bool ps_store_commit_is_durable(const struct ps_store *store)
{
	(void)store;
	return store_world.durable;
}

enum ps_verdict ps_store_sync(struct ps_store *store)
{
	(void)store;
	touch_inside();
	return PS_DONE;
}

void ps_store_write_out(struct ps_store *store)
{
	(void)store;
}

uint64_t ps_store_wal_bytes(const struct ps_store *store)
{
	return store->file.book.frames * FRAME_BYTES;
}

bool ps_store_made_room(const struct ps_store *store)
{
	(void)store;
	return false;
}

bool ps_store_syncs(const struct ps_store *store)
{
	(void)store;
	return true;
}

bool ps_store_is_exclusive(const struct ps_store *store)
{
	(void)store;
	return false;
}

bool ps_store_lacked_room(const struct ps_store *store)
{
	(void)store;
	return false;
}

/* The look at the log, the copying, and the end of it: what a writer may do between them is SQLite's bug, or is not. */
static uint64_t copy_log(uint64_t most)
{
	struct store_log *log = &store_world.log;
	uint64_t seen = log->frames;

	schedule_check(!log->passing, "two checkpoints at once");
	expect_no_pause();
	log->passing = true;
	schedule_point("looked at the log");
	if (log->copied < seen) {
		schedule_point("copying");
		if (log->copied < (seen < most ? seen : most))
			log->copied = seen < most ? seen : most;
	}
	schedule_check(log->copied <= log->frames, "a log that was begun anew is taken for the old one");
	schedule_point("copied");
	expect_no_pause();
	log->passing = false;
	return seen;
}

void ps_store_expect_checkpoint(struct ps_store *store, bool expected)
{
	(void)store;
	touch_connected();
	schedule_check(expected || !store_world.log.running, "others may checkpoint while a pass is under way");
}

enum ps_verdict ps_store_checkpoint(struct ps_store *store, int64_t wait_ms, enum ps_copied *copied)
{
	uint64_t seen;

	(void)wait_ms;
	*copied = PS_COPIED_NOT;
	touch_connected();
	schedule_check(!store_world.in_transaction, "a checkpoint in a transaction");
	if (!store->peers.inside)
		return PS_DONE;
	*copied = PS_COPIED_ALL;
	seen = copy_log(UINT64_MAX);
	ps_log_book_checkpoint(&store->file.book, (int)seen, (int)seen, false, true);
	return PS_DONE;
}

enum ps_log_pass_due ps_file_begin_pass(struct ps_file *file)
{
	touch_connected();
	schedule_check(!store_world.in_transaction, "a pass is asked for in a transaction");
	if (!ps_log_book_is_pass_due(&file->book))
		return PS_LOG_PASS_NOTHING;
	ps_log_book_begin_pass(&file->book);
	return PS_LOG_PASS_DUE;
}

enum ps_verdict ps_store_end_pass(struct ps_store *store, const struct ps_log_pass *pass, struct ps_log_pass_end *end)
{
	touch_connected();
	schedule_check(!store_world.in_transaction, "a report is taken in a transaction");
	ps_log_book_end_pass(&store->file.book, pass, end);
	store->passing = false;
	end->rest *= FRAME_BYTES;
	schedule_check(!end->whole || store_world.log.copied == store_world.log.frames,
	               "the log is taken for whole and is not");
	store_world.log.whole += end->whole;
	if (!pass->broken)
		return PS_DONE;
	store->error_code = pass->code;
	return PS_BROKEN;
}

void ps_log_pass_open(struct ps_log_pass_store **store, const char *path, const struct ps_options *options,
                      struct ps_log_pass *pass)
{
	(void)path;
	(void)options;
	touch_inside();
	pass->unfit = store_world.log.unfit;
	store_world.log.opened = !pass->unfit;
	*store = pass->unfit ? NULL : (struct ps_log_pass_store *)(void *)&store_world;
}

void ps_log_pass_run(struct ps_log_pass_store *store, struct ps_log_pass *pass)
{
	struct store_log *log = &store_world.log;
	/* It may stop at the transaction of the writer's, or at what a reader reads. */
	uint64_t most = store_world.in_transaction && schedule_random(2) == 0 ? log->frames : UINT64_MAX;

	if (log->read && schedule_random(2) == 0)
		most = log->copied;
	(void)store;
	touch_inside();
	log->passes++;
	log->running = true;
	if (log->pass_breaks_in > 0 && --log->pass_breaks_in == 0) {
		pass->broken = true;
		pass->code = SQLITE_IOERR_FSYNC;
		log->running = false;
		return;
	}
	pass->frames = copy_log(most);
	pass->copied = log->copied;
	pass->is_known = true;
	touch_connected();
	log->running = false;
}

void ps_log_pass_interrupt(struct ps_log_pass_store *store)
{
	(void)store;
	touch_connected();
	store_world.log.hurried++;
}

void ps_log_pass_close(struct ps_log_pass_store *store)
{
	if (store == NULL)
		return;
	touch_connected();
	store_world.log.opened = false;
}

uint64_t ps_store_take_reprepares(struct ps_store *store)
{
	(void)store;
	return 0;
}

/* ---- a store that no other process has ---- */

static int check(const char *path, const struct ps_options *options)
{
	(void)path;
	(void)options;
	return PENSTOCK_OK;
}

static void say_away(const struct ps_options *options)
{
	(void)options;
}

const struct ps_store_kind ps_store_rqlite = {
	.check = check,
	.open = ps_store_open,
	.probe = ps_store_probe,
	.open_reader = ps_store_open_reader,
	.close = ps_store_close,
	.run = ps_batch_run_transactions,
	.rest = ps_room_checkpoint,
	.beside = ps_room_beside,
	.say_away = say_away,
};
