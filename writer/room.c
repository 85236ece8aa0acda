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

/* wait_ms: as for ps_store_checkpoint. */
static bool checkpoint(struct ps_batch *batch, int64_t wait_ms, enum ps_copied *copied)
{
	struct ps_counters *counters = batch->counters;
	uint64_t started = ps_clock_nsec(), now;
	enum ps_verdict verdict = ps_store_checkpoint(batch->store, wait_ms, copied);

	now = ps_clock_nsec();
	if (*copied == PS_COPIED_NOT) {
		ps_count(counters, &counters->writer.checkpoints_not_allowed, verdict == PS_DONE ? 1 : 0);
	} else {
		if (wait_ms > 0)
			ps_stall_end(&batch->stall, started, now, *copied == PS_COPIED_AS_READERS_LET);
		ps_count(counters, &counters->writer.checkpoints, 1);
		ps_count(counters, &counters->writer.checkpoint_nsec, now - started);
		ps_count(counters, &counters->writer.checkpoints_blocked, *copied == PS_COPIED_AS_READERS_LET ? 1 : 0);
	}
	ps_attempt_count_wal(batch);
	ps_counters_publish(counters);
	if (*copied != PS_COPIED_NOT)
		PS_PROBE(checkpoint, batch->ring->owner, now - started, counters->writer.wal_bytes,
		         *copied == PS_COPIED_AS_READERS_LET);
	if (verdict == PS_DONE)
		return true;
	ps_attempt_note_broken(batch, "checkpointing");
	return false;
}

enum ps_attempt ps_room_make(struct ps_batch *batch)
{
	enum ps_copied copied;

	batch->lacks_room = true;
	if (!ps_deadline_passed(batch->futile_until))
		return PS_ATTEMPT_COMMITTED;
	if (!checkpoint(batch, -1, &copied))
		return PS_ATTEMPT_BROKEN;
	if (ps_store_made_room(batch->store))
		return PS_ATTEMPT_BEGUN;
	/* The database has no room either: what it took to find that out is not to be had for every statement. */
	if (copied == PS_COPIED_ALL)
		batch->futile_until = ps_deadline(FUTILE_USEC);
	return PS_ATTEMPT_COMMITTED;
}

/*
 * Held up by a reader: not again for every batch, but when it has grown by a part of what it is, or a wait is due. That waits for a batch
 * which writes, since no other can make the log begin anew.
 */
static bool checkpoint_is_due(const struct ps_batch *batch, uint64_t bytes, bool grows)
{
	uint64_t most = (uint64_t)batch->keys.wal_bytes_max;
	uint64_t step = (batch->blocked_at > most ? batch->blocked_at : most) / CHECKPOINT_PART;

	return bytes >= batch->blocked_at + step || (grows && bytes >= most && batch->keys.checkpoint_wait_ms > 0 &&
	                                             ps_stall_is_due(&batch->stall, ps_clock_nsec()));
}

void ps_room_expect_checkpoint(struct ps_batch *batch)
{
	uint64_t bytes = ps_store_wal_bytes(batch->store);

	ps_store_expect_checkpoint(batch->store, batch->last || checkpoint_is_due(batch, bytes + batch->wal_growth, true));
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

bool ps_room_checkpoint(struct ps_batch *batch)
{
	uint64_t bytes = ps_store_wal_bytes(batch->store);
	enum ps_copied copied;
	bool whole;

	note_growth(batch, bytes);
	if (!checkpoint_is_due(batch, bytes, batch->wal_growth > 0)) {
		if (!batch->last)
			ps_store_expect_checkpoint(batch->store, false);
		ps_store_write_out(batch->store);
		return true;
	}
	whole = bytes < (uint64_t)batch->keys.wal_bytes_max ? checkpoint(batch, -1, &copied) : restart(batch, bytes, &copied);
	if (copied == PS_COPIED_NOT)
		tell_not_allowed(batch, bytes);
	else
		batch->blocked_at = copied == PS_COPIED_ALL ? 0 : bytes;
	return whole;
}
