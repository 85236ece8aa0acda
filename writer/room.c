/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/room.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/probe.h"

/* How long a full disk is left alone, on which a checkpoint has met no room. */
#define FUTILE_USEC 100000

/* A checkpoint is due at this part of wal_bytes_max, so that one that a reader holds up is not yet over the bound. */
#define CHECKPOINT_PART 4

/* wait_ms: as for ps_store_checkpoint. */
static bool checkpoint(struct ps_batch *batch, int64_t wait_ms, bool *blocked)
{
	uint64_t started = ps_clock_nsec(), now;
	enum ps_verdict verdict = ps_store_checkpoint(batch->store, wait_ms, blocked);

	now = ps_clock_nsec();
	if (wait_ms > 0)
		ps_stall_end(&batch->stall, started, now, *blocked);
	ps_count(batch->counters, &batch->counters->writer.checkpoints, 1);
	ps_count(batch->counters, &batch->counters->writer.checkpoint_nsec, now - started);
	ps_count(batch->counters, &batch->counters->writer.checkpoints_blocked, *blocked ? 1 : 0);
	ps_attempt_count_wal(batch);
	ps_counters_publish(batch->counters);
	PS_PROBE(checkpoint, batch->ring->owner, now - started, batch->counters->writer.wal_bytes, *blocked);
	if (verdict == PS_DONE)
		return true;
	ps_attempt_note_broken(batch, "checkpointing");
	return false;
}

enum ps_attempt ps_room_make(struct ps_batch *batch)
{
	bool blocked;

	batch->lacks_room = true;
	if (!ps_deadline_passed(batch->futile_until))
		return PS_ATTEMPT_COMMITTED;
	if (!checkpoint(batch, -1, &blocked))
		return PS_ATTEMPT_BROKEN;
	if (ps_store_made_room(batch->store))
		return PS_ATTEMPT_BEGUN;
	/* The database has no room either: what it took to find that out is not to be had for every statement. */
	if (!blocked)
		batch->futile_until = ps_deadline(FUTILE_USEC);
	return PS_ATTEMPT_COMMITTED;
}

/* Held up by a reader: not again for every batch, but when it has grown by a part of what it is, or a wait is due. */
static bool checkpoint_is_due(const struct ps_batch *batch, uint64_t bytes)
{
	uint64_t most = (uint64_t)batch->keys.wal_bytes_max;
	uint64_t step = (batch->blocked_at > most ? batch->blocked_at : most) / CHECKPOINT_PART;

	return bytes >= batch->blocked_at + step ||
	       (bytes >= most && batch->keys.checkpoint_wait_ms > 0 && ps_stall_is_due(&batch->stall, ps_clock_nsec()));
}

bool ps_room_checkpoint(struct ps_batch *batch)
{
	uint64_t bytes = ps_store_wal_bytes(batch->store);
	bool blocked = false;
	int64_t wait_ms;

	if (!checkpoint_is_due(batch, bytes)) {
		ps_store_write_out(batch->store);
		return true;
	}
	if (!checkpoint(batch, -1, &blocked))
		return false;
	if (bytes >= (uint64_t)batch->keys.wal_bytes_max) {
		wait_ms = ps_stall_begin(&batch->stall, ps_clock_nsec(), batch->keys.checkpoint_wait_ms);
		if (!checkpoint(batch, wait_ms, &blocked))
			return false;
		if (blocked && wait_ms > 0)
			ps_log(batch->options, PENSTOCK_EVENT_WAL_HELD,
			       "the write-ahead log is %llu bytes long: a reader keeps it from beginning anew",
			       (unsigned long long)bytes);
	}
	batch->blocked_at = blocked ? bytes : 0;
	return true;
}
