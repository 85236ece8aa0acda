/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * room.h - checkpoints: before the log is too long, and when the disk has no room
 *
 * The log is brought into the database when a part of wal_bytes_max is in it. A reader may hold that up: then it is tried again when the
 * log has grown by as much, or when a wait for readers is due (stall.h). The checkpoint thread does it beside the writer
 * (checkpointer.h), up to wal_bytes_max; beyond it, and with checkpoint_thread=no, the writer itself.
 *
 * When the disk is full for a statement alone, the log may be what fills it: it is brought into the database, and the statement runs
 * once more. If a reader is in the way, that is tried before each of the next ones. Where the database has no room either, it is not
 * tried again for a while.
 *
 * With several engines on the database one checkpoints at a time, and copies what all of them have written. One that may not now tries
 * again behind its next batch.
 *
 * Failure modes: an I/O error of a checkpoint breaks the batch. An engine that is stopped while it checkpoints keeps the others from
 * it: their log grows, which is counted, and said once.
 *
 * For the writer thread alone.
 */
#ifndef PENSTOCK_ROOM_H
#define PENSTOCK_ROOM_H

#include "writer/attempt.h"

/* There is none for a write. PS_ATTEMPT_BEGUN: now there may be some. */
enum ps_attempt ps_room_make(struct ps_batch *batch);
/* Before a batch: behind it a checkpoint may be due, which is best made behind a commit that was begun for it (checkpoint_lock.h). */
void ps_room_expect_checkpoint(struct ps_batch *batch);
/* Behind a batch: checkpoints when the WAL has grown enough. False: broken. */
bool ps_room_checkpoint(struct ps_batch *batch);

/* ---- the checkpoint thread ---- */

/* Right behind a COMMIT: asks for a pass, if one is due. */
void ps_room_committed(struct ps_batch *batch);
/* Before a batch: waits for the last pass of a job. False: broken. */
bool ps_room_hold(struct ps_batch *batch);
/* Between transactions: waits until no pass is under way. False: broken. */
bool ps_room_settle(struct ps_batch *batch);
/*
 * The thread's reports and its end. At rest what is left of a job is copied, since it costs nobody anything. False: broken; at a
 * failure: the disk has failed in a pass, too.
 */
bool ps_room_beside(struct ps_batch *batch, enum ps_moment moment);

#endif
