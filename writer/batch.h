/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * batch.h - many submissions in one transaction, each with the outcome of its own autocommit
 *
 * A batch is the run of submissions that are there: BEGIN IMMEDIATE, the statements one after the other without
 * savepoints, COMMIT, and only then their outcomes. It ends when the ring is empty, at batch_max statements, at batch_bytes
 * of payload, at batch_usec, or before a statement that must run alone. A single submission runs in plain autocommit.
 *
 * When a statement takes the transaction with it, or would have failed alone, everything is rolled back: the ones before
 * it run again as a transaction, the failing one alone in autocommit, and the batch goes on behind it. First-run outcomes are
 * dropped. When it was a group, all of it runs once more before that, with a savepoint around each group, for that may be all it takes
 * (sqlite/group.h). So each statement's last run is in ticket order, on exactly the database that autocommit would have given it.
 *
 * Invariants
 *   1. Outcomes are delivered only after the COMMIT that covers them; those that asked for more (durable under
 *      synchronous=NORMAL) only after the sync that follows, for which nobody else waits.
 *   2. Each record is delivered once, then retired, then its slot released, in ticket order at the level of batches.
 *   3. A replay covers fewer statements than the run before it, or is the batch's first with savepoints, so it ends.
 *
 * What may be cancelled, or has a deadline, is looked at when it begins: its first step in a transaction that has the lock. One that must
 * run alone begins when the lock was had a moment before; or within its run, when SQLite has taken the locks of attached databases. So a
 * lone one has a transaction, which plain ones do without. What another
 * process's lock keeps from beginning is looked at meanwhile (reaper.h).
 *
 * A stop that gives up ends a batch early: what has run is committed, and what has not begun, or waits for another process's
 * lock, gets SHUTDOWN.
 *
 * Failure modes: an I/O error before COMMIT is rolled back like any other failure: the others run again, the failing one alone. In
 * COMMIT or the sync behind it nobody can tell what is there (UNKNOWN), and the batch is broken where what was committed before may be
 * concerned; nothing of what has not run will be there (SHUTDOWN). The caller then moves the engine to FAILED.
 */
#ifndef PENSTOCK_BATCH_H
#define PENSTOCK_BATCH_H

#include "core/counters.h"
#include "core/options.h"
#include "queue/ring.h"
#include "writer/checkpointer.h"
#include "writer/entries.h"
#include "writer/patience.h"
#include "writer/reaper.h"
#include "writer/stall.h"
#include "writer/store.h"

/* What a submission hears that a stop gave up. */
#define PS_GIVEN_UP "a stop gave it up before it had begun"

struct ps_batch {
	const struct ps_store_kind *kind;
	struct ps_ring *ring;
	struct ps_counters *counters;
	const struct ps_options *options;
	struct ps_store *store; /* while connected */
	struct ps_keys keys;    /* of this batch */
	struct ps_entries entries;
	struct ps_patience patience;
	struct ps_reaper reaper;
	uint64_t fused;        /* entries of the transaction under way that ran as one with others */
	uint64_t members;      /* of groups in it, but the first of each */
	bool careful;          /* groups run with a savepoint each, since one has failed */
	bool lacks_room;       /* a write has met none, and none has gone well since */
	uint64_t futile_until; /* a deadline: before it a checkpoint for that is not tried */
	uint64_t blocked_at;   /* the WAL size at which a reader last kept a checkpoint from finishing, or 0 */
	bool last;             /* behind the batch the connection is likely to be closed, which checkpoints anyhow */
	uint64_t wal_before;   /* the WAL size behind the batch before */
	uint64_t wal_growth;   /* and what the last one added */
	bool not_allowed;      /* that checkpoints are not allowed is said already */
	struct ps_stall stall;
	struct ps_checkpointer checkpointer;
	int broken_code; /* the I/O error that ended it all, or 0 */
	char broken_message[320];
};

bool ps_batch_init(struct ps_batch *batch, const struct ps_store_kind *kind, struct ps_ring *ring, struct ps_counters *counters,
                   const struct ps_options *options, struct ps_state_word *state);
void ps_batch_destroy(struct ps_batch *batch);
/* A new connection, or none. */
void ps_batch_connect(struct ps_batch *batch, struct ps_store *store);

/*
 * Runs a batch from ticket `first`, which is published, taking nothing from `limit` on, and delivers its outcomes. Returns
 * the ticket behind the last one delivered. False: broken.
 */
bool ps_batch_run(struct ps_batch *batch, uint64_t *first, uint64_t limit, const struct ps_keys *keys);
/* How it is run in a store that has transactions (store.h). */
bool ps_batch_run_transactions(struct ps_batch *batch, uint64_t *next, uint64_t limit, uint64_t *entered);
/* Passes over those at *next that have been told before their turn, and gives their slots back. */
void ps_batch_pass_told(struct ps_batch *batch, uint64_t *next, uint64_t limit);
/*
 * A lock that the store needs to be touched at all was not to be had: waits a moment. Whoever has waited too long hears of it, and is
 * passed over.
 */
void ps_batch_wait_for_lock(struct ps_batch *batch, uint64_t *next, uint64_t limit);
/*
 * Gives every published submission from `first` on, but none behind a hole and none from `limit` on, the outcome SHUTDOWN. Returns
 * the ticket behind the last of them. Any thread that owns the consumer's side.
 */
uint64_t ps_batch_shut_down(struct ps_batch *batch, uint64_t first, uint64_t limit, int code, const char *reason);

#endif
