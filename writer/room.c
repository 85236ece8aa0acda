/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/room.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/probe.h"

/* How long a full disk is left alone, on which a checkpoint has met no room. */
#define FUTILE_USEC 100000

/* A checkpoint is due at this part of wal_bytes_max, so that one that a reader holds up is not yet over the bound. */
#define CHECKPOINT_PART 4

/* So many times wal_bytes_max is what is told, when other engines keep this one from checkpoints. */
#define TOLD_TIMES 4

/* Passes beside the writer before the last one, which it waits for: each leaves what was written during the one before. */
#define ROUNDS_MAX 4

/* The last pass comes when what is left is this part of what makes a checkpoint due. */
#define REST_PART 8

static void count(struct ps_batch *batch, uint64_t nsec, bool blocked)
{
	struct ps_counters *counters = batch->counters;

	ps_count(counters, &counters->writer.checkpoints, 1);
	ps_count(counters, &counters->writer.checkpoint_nsec, nsec);
	ps_count(counters, &counters->writer.checkpoints_blocked, blocked ? 1 : 0);
	ps_attempt_count_wal(batch);
	ps_counters_publish(counters);
	/* gdb knows no register of one byte. */
	PS_PROBE(checkpoint, batch->ring->owner, nsec, counters->writer.wal_bytes, (int)blocked);
}

static void count_not_allowed(struct ps_batch *batch, bool due)
{
	ps_count(batch->counters, &batch->counters->writer.checkpoints_not_allowed, due ? 1 : 0);
	ps_attempt_count_wal(batch);
	ps_counters_publish(batch->counters);
}

/* By the writer itself. wait_ms: as for ps_store_checkpoint. */
static bool checkpoint(struct ps_batch *batch, int64_t wait_ms, enum ps_copied *copied)
{
	uint64_t started = ps_clock_nsec(), now;
	enum ps_verdict verdict = ps_store_checkpoint(batch->store, wait_ms, copied);

	now = ps_clock_nsec();
	if (wait_ms > 0 && *copied != PS_COPIED_NOT)
		ps_stall_end(&batch->stall, started, now, *copied == PS_COPIED_AS_READERS_LET);
	if (*copied == PS_COPIED_NOT)
		count_not_allowed(batch, verdict == PS_DONE);
	else
		count(batch, now - started, *copied == PS_COPIED_AS_READERS_LET);
	if (verdict == PS_DONE)
		return true;
	ps_attempt_note_broken(batch, "checkpointing");
	return false;
}

/* ---- the checkpoint thread ---- */

static uint64_t bytes_due(const struct ps_batch *batch)
{
	return (uint64_t)batch->keys.wal_bytes_max / CHECKPOINT_PART;
}

/* No pass was made. */
static void give_up_thread(struct ps_batch *batch)
{
	const struct ps_log_pass none = { .unfit = true };
	struct ps_log_pass_end end;

	batch->checkpointer.unfit = true;
	batch->checkpointer.round = 0;
	ps_store_end_pass(batch->store, &none, &end);
}

/* Its connection would keep the writer's from having the database to itself. */
static bool has_thread(const struct ps_batch *batch)
{
	return batch->options->keys.checkpoint_thread != 0 && !batch->checkpointer.unfit &&
	       !ps_store_is_exclusive(batch->store);
}

/* False: there is nothing to ask for, or nobody to be asked. */
static bool ask(struct ps_batch *batch, bool last)
{
	if (!has_thread(batch) || ps_store_begin_pass(batch->store) != PS_LOG_PASS_DUE)
		return false;
	if (ps_checkpointer_ask(&batch->checkpointer, last, ps_store_syncs(batch->store)))
		return true;
	give_up_thread(batch);
	ps_log(batch->options, PENSTOCK_EVENT_NO_CHECKPOINT_THREAD,
	       "%s: the checkpoint thread cannot be created; the writer checkpoints by itself", batch->checkpointer.path);
	return false;
}

/* What comes behind a pass that has not copied all, though no reader stood in its way. */
static void go_on(struct ps_batch *batch, const struct ps_log_pass *pass, const struct ps_log_pass_end *end)
{
	struct ps_checkpointer *checkpointer = &batch->checkpointer;

	/* It failed in a way that may pass: when a checkpoint is due, the job begins again. */
	if (pass->code != SQLITE_OK) {
		checkpointer->round = 0;
		return;
	}
	checkpointer->round = end->stuck || pass->last ? ROUNDS_MAX : checkpointer->round + 1;
	if (checkpointer->round < ROUNDS_MAX && end->rest > bytes_due(batch) / REST_PART)
		ask(batch, false);
}

/* The report of a pass that is over. False: broken. */
static bool take_report(struct ps_batch *batch)
{
	struct ps_checkpointer *checkpointer = &batch->checkpointer;
	const struct ps_log_pass *pass = ps_checkpointer_take(checkpointer);
	struct ps_log_pass_end end;
	enum ps_verdict verdict;
	bool blocked;

	if (pass->unfit) {
		give_up_thread(batch);
		ps_log(batch->options, PENSTOCK_EVENT_NO_CHECKPOINT_THREAD,
		       "%s: the checkpoint thread has no connection (%s); the writer checkpoints by itself", checkpointer->path,
		       pass->message);
		return true;
	}
	verdict = ps_store_end_pass(batch->store, pass, &end);
	/* Else it may have been the writer's own transaction that it stopped at. */
	blocked = pass->met_lock || (end.alone && pass->is_known && !end.whole && pass->frames > 0);
	ps_count(batch->counters, &batch->counters->writer.checkpoints_beside, 1);
	count(batch, pass->nsec, blocked);
	if (verdict != PS_DONE) {
		ps_attempt_note_broken(batch, "checkpointing");
		return false;
	}
	if (end.whole || blocked) {
		batch->checkpointer.round = 0;
		batch->blocked_at = blocked ? ps_store_wal_bytes(batch->store) : 0;
	} else {
		go_on(batch, pass, &end);
	}
	return true;
}

static bool look(struct ps_batch *batch)
{
	struct ps_checkpointer *checkpointer = &batch->checkpointer;

	return !checkpointer->asked || !ps_checkpointer_is_done(checkpointer) || take_report(batch);
}

static void wait_for_pass(struct ps_batch *batch)
{
	uint64_t started;

	if (ps_checkpointer_is_done(&batch->checkpointer))
		return;
	ps_store_end_turn(batch->store);
	started = ps_clock_nsec();
	ps_checkpointer_wait(&batch->checkpointer);
	ps_count(batch->counters, &batch->counters->writer.checkpoint_wait_nsec, ps_clock_nsec() - started);
}

bool ps_room_settle(struct ps_batch *batch)
{
	while (batch->checkpointer.asked) {
		wait_for_pass(batch);
		if (!take_report(batch))
			return false;
	}
	return true;
}

static void ask_for_rest(struct ps_batch *batch)
{
	if (batch->checkpointer.round > 0 && !batch->checkpointer.asked && !ask(batch, true))
		batch->checkpointer.round = 0;
}

static bool end(struct ps_batch *batch)
{
	bool whole;

	if (batch->options->keys.leave_wal)
		ps_checkpointer_hurry(&batch->checkpointer);
	/* Nothing more is asked for behind the last one. */
	batch->checkpointer.round = ROUNDS_MAX;
	whole = ps_room_settle(batch);
	batch->checkpointer.round = 0;
	ps_checkpointer_end(&batch->checkpointer);
	return whole;
}

bool ps_room_hold(struct ps_batch *batch)
{
	struct ps_checkpointer *checkpointer = &batch->checkpointer;

	if (checkpointer->exists && !has_thread(batch))
		return end(batch);
	if (checkpointer->asked && checkpointer->last)
		wait_for_pass(batch);
	return look(batch);
}

static bool abandon(struct ps_batch *batch)
{
	struct ps_checkpointer *checkpointer = &batch->checkpointer;
	const struct ps_log_pass *pass = NULL;
	struct ps_log_pass_end ended;

	if (checkpointer->asked) {
		ps_checkpointer_hurry(checkpointer);
		ps_checkpointer_wait(checkpointer);
		pass = ps_checkpointer_take(checkpointer);
		ps_store_end_pass(batch->store, pass, &ended);
	}
	ps_checkpointer_end(checkpointer);
	return pass == NULL || !pass->broken;
}

/* A job is under way, for which the checkpoint lock is kept. */
static bool is_at_work(const struct ps_batch *batch)
{
	return batch->checkpointer.asked || batch->checkpointer.round > 0;
}

bool ps_room_beside(struct ps_batch *batch, enum ps_moment moment)
{
	switch (moment) {
	case PS_AT_REPORT:
		return look(batch);
	case PS_AT_REST:
		ask_for_rest(batch);
		/* Others may checkpoint now. */
		if (!is_at_work(batch) && !batch->last)
			ps_store_expect_checkpoint(batch->store, false);
		return true;
	case PS_AT_END:
		return end(batch);
	default:
		return abandon(batch);
	}
}

/* ---- room on a full disk ---- */

enum ps_attempt ps_room_make(struct ps_batch *batch)
{
	enum ps_copied copied;

	batch->lacks_room = true;
	if (!ps_room_settle(batch))
		return PS_ATTEMPT_BROKEN;
	if (!ps_deadline_passed(batch->futile_until))
		return PS_ATTEMPT_COMMITTED;
	batch->checkpointer.round = 0;
	if (!checkpoint(batch, -1, &copied))
		return PS_ATTEMPT_BROKEN;
	if (ps_store_made_room(batch->store))
		return PS_ATTEMPT_BEGUN;
	/* The database has no room either: what it took to find that out is not to be had for every statement. */
	if (copied == PS_COPIED_ALL)
		batch->futile_until = ps_deadline(FUTILE_USEC);
	return PS_ATTEMPT_COMMITTED;
}

/* ---- the length of the log ---- */

/*
 * Held up by a reader: not again for every batch, but when it has grown by a part of what it is, or a wait is due. That waits for a batch
 * which writes, since no other can make the log begin anew. A log that has begun anew since is held up no more.
 */
static bool checkpoint_is_due(const struct ps_batch *batch, uint64_t bytes, bool grows)
{
	uint64_t most = (uint64_t)batch->keys.wal_bytes_max;
	uint64_t blocked_at = bytes < batch->blocked_at ? 0 : batch->blocked_at;
	uint64_t step = (blocked_at > most ? blocked_at : most) / CHECKPOINT_PART;

	return bytes >= blocked_at + step || (grows && bytes >= most && batch->keys.checkpoint_wait_ms > 0 &&
	                                      ps_stall_is_due(&batch->stall, ps_clock_nsec()));
}

/* It is about to be closed, and copies the log then. */
static bool closes(const struct ps_batch *batch)
{
	return batch->last && !batch->options->keys.leave_wal;
}

void ps_room_expect_checkpoint(struct ps_batch *batch)
{
	uint64_t bytes = ps_store_wal_bytes(batch->store);

	ps_store_expect_checkpoint(batch->store, is_at_work(batch) || closes(batch) ||
	                                                 checkpoint_is_due(batch, bytes + batch->wal_growth, true));
}

static void note_growth(struct ps_batch *batch, uint64_t bytes)
{
	batch->wal_growth = bytes > batch->wal_before ? bytes - batch->wal_before : 0;
	batch->wal_before = bytes;
}

/* Said once while connected: what others hold up for a moment is not worth it. */
static void tell_not_allowed(struct ps_batch *batch, uint64_t bytes)
{
	if (bytes < TOLD_TIMES * (uint64_t)batch->keys.wal_bytes_max || batch->not_allowed)
		return;
	batch->not_allowed = true;
	ps_log(batch->options, PENSTOCK_EVENT_CHECKPOINT_NOT_ALLOWED,
	       "the write-ahead log is %llu bytes long, and others keep this engine from copying it: one that is stopped while it "
	       "checkpoints, or in a transaction",
	       (unsigned long long)bytes);
}

/* The log is over its bound: it is to begin anew. */
static bool restart(struct ps_batch *batch, uint64_t bytes, enum ps_copied *copied)
{
	int64_t wait_ms = ps_stall_begin(&batch->stall, ps_clock_nsec(), batch->keys.checkpoint_wait_ms);

	if (!checkpoint(batch, wait_ms, copied))
		return false;
	if (*copied == PS_COPIED_AS_READERS_LET && wait_ms > 0)
		ps_log(batch->options, PENSTOCK_EVENT_WAL_HELD,
		       "the write-ahead log is %llu bytes long: a reader keeps it from beginning anew",
		       (unsigned long long)bytes);
	return true;
}

void ps_room_committed(struct ps_batch *batch)
{
	struct ps_checkpointer *checkpointer = &batch->checkpointer;
	uint64_t bytes;

	if (!has_thread(batch) || checkpointer->asked)
		return;
	bytes = ps_store_wal_bytes(batch->store);
	if (checkpointer->round > 0) {
		/* It has begun anew: the pass before had copied all, though a commit came that hid it. */
		if (bytes < bytes_due(batch))
			batch->checkpointer.round = 0;
		else
			ask_for_rest(batch);
		return;
	}
	if (bytes < (uint64_t)batch->keys.wal_bytes_max && checkpoint_is_due(batch, bytes, true) && ask(batch, false))
		checkpointer->round = 1;
}

/* By the writer, which waits for readers beyond the bound. */
static bool checkpoint_here(struct ps_batch *batch, uint64_t bytes)
{
	enum ps_copied copied;
	bool whole;

	ps_store_end_turn(batch->store);
	whole = bytes < (uint64_t)batch->keys.wal_bytes_max ? checkpoint(batch, -1, &copied) : restart(batch, bytes, &copied);
	if (copied == PS_COPIED_NOT)
		tell_not_allowed(batch, bytes);
	else
		batch->blocked_at = copied == PS_COPIED_ALL ? 0 : bytes;
	return whole;
}

bool ps_room_checkpoint(struct ps_batch *batch)
{
	uint64_t passes = batch->counters->writer.checkpoints_beside, bytes;
	bool due;

	note_growth(batch, ps_store_wal_bytes(batch->store));
	if (!look(batch))
		return false;
	ps_room_committed(batch);
	/* The passes are too slow, or readers are in the way. */
	if (ps_store_wal_bytes(batch->store) >= (uint64_t)batch->keys.wal_bytes_max) {
		if (!ps_room_settle(batch))
			return false;
		batch->checkpointer.round = 0;
	}
	if (!is_at_work(batch)) {
		bytes = ps_store_wal_bytes(batch->store);
		due = checkpoint_is_due(batch, bytes, batch->wal_growth > 0);
		/* Behind a pass it is best made behind another commit (checkpoint_lock.h). */
		if (due && batch->counters->writer.checkpoints_beside == passes)
			return checkpoint_here(batch, bytes);
		if (!due && !batch->last)
			ps_store_expect_checkpoint(batch->store, false);
	}
	ps_store_write_out(batch->store);
	return true;
}
