/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attempt.h - one attempt at a transaction, step by step: beginning, running an entry, committing, and what each of them came to
 *
 * What batches (batch.c) and entries that run alone (alone.c) have in common. Each step counts what it did, and keeps why the batch is
 * broken when it is.
 *
 * Invariants
 *   1. Behind PS_ATTEMPT_BROKEN the batch has a broken_code, and all entries that had run have their outcomes.
 *   2. A commit that may be there and may not leaves UNKNOWN to each entry that has not failed.
 *
 * For the writer thread alone.
 */
#ifndef PENSTOCK_ATTEMPT_H
#define PENSTOCK_ATTEMPT_H

#include "writer/batch.h"

/* What came of beginning, filling and committing a transaction. */
enum ps_attempt {
	PS_ATTEMPT_BEGUN,        /* or: goes on */
	PS_ATTEMPT_FULL,         /* what has run is to be committed now */
	PS_ATTEMPT_COMMITTED,    /* or else the outcomes are set, and it goes on */
	PS_ATTEMPT_TROUBLE,      /* rolled back because of one entry */
	PS_ATTEMPT_CAREFULLY,    /* the same, of a group; run all of them again, with savepoints */
	PS_ATTEMPT_NOT_TOGETHER, /* rolled back; run each alone */
	PS_ATTEMPT_NO_LOCK,      /* nothing ran: the lock was not to be had */
	PS_ATTEMPT_TOLD,         /* nothing ran: the first has its outcome, as it waited for the lock too long */
	PS_ATTEMPT_BROKEN,       /* an I/O error; outcomes are set */
};

/* The turn among other processes, if there is one to have. False: `first` has come to nothing meanwhile. */
bool ps_attempt_take_turn(struct ps_batch *batch, const struct ps_record *first);
/*
 * Behind the transactions of [first, end), before their outcomes are delivered: ends the turn, unless it goes on for the next one. What is
 * delivered may take its time, or be waited for by the very engine whose turn is next.
 */
void ps_attempt_end_turn(struct ps_batch *batch, uint64_t first, uint64_t end);
/* Takes the turn, which the caller ends. `first` may come to nothing while the lock is waited for; NULL: it has begun before. */
enum ps_attempt ps_attempt_begin(struct ps_batch *batch, enum ps_verdict (*store_begin)(struct ps_store *),
                                 const struct ps_record *first);
/* Runs one entry; its outcome is as if for the first time. */
enum ps_verdict ps_attempt_run(struct ps_batch *batch, uint64_t ticket, bool batched);
enum ps_attempt ps_attempt_commit(struct ps_batch *batch, uint64_t first, uint64_t end);
/* An OK is of a file that was there after the commit. */
enum ps_attempt ps_attempt_look_for_file(struct ps_batch *batch, uint64_t first, uint64_t end);
void ps_attempt_count_commit(struct ps_batch *batch, uint64_t statements, uint64_t started);
/* Not published yet. */
void ps_attempt_count_wal(struct ps_batch *batch);
void ps_attempt_note_broken(struct ps_batch *batch, const char *doing);
void ps_attempt_note_broken_by(struct ps_batch *batch, uint64_t ticket);
/* Without the lock, in autocommit. */
void ps_attempt_fail_without_lock(struct ps_batch *batch, uint64_t ticket);
/* Behind one that was told while it waited: the wait is that of the next one, if there is one. */
void ps_attempt_wait_on(struct ps_batch *batch, uint64_t next);

#endif
