/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outcome.h - what a submission came to, and the handle that carries it to whoever waits
 *
 * An outcome is a public result with the memory behind it. The writer fills one per submission that has a listener or
 * failed: in the handle itself when there is one, else in the batch. A replay resets it and fills it again.
 *
 * A handle has two holders, the caller and the writer, and one word that says who is still there:
 *
 *     DONE      the outcome is there (the writer has left)
 *     RELEASED  the caller has let go (the upper two bits, so that there may be two claims: invariant 1)
 *     WAITED    somebody sleeps, or is about to
 *
 * Waiters do not sleep on that word but on a bell, one word for all waiters of an engine: the writer completes every handle
 * of a batch and then rings once. A system call for each, with 64 waiters on two processors, took the writer 29 % of its
 * time (perf), since each woke an idle processor anew. So that a bell wakes few of those whose turn it is not, a waiter
 * waits for one of 32 bits, chosen by its ticket, and the writer rings for the bits of the batch. Bells are static, since a
 * waiter may look at its bell when the engine is gone already.
 *
 * Invariants
 *   1. DONE and RELEASED are each set once, by an add; whoever finds the other's bit already set frees the handle. A handle of a
 *      completion queue (queue/completions.h) may have two claims, the submitter's and the taker's: then RELEASED begins at minus
 *      one, and the second release makes it one.
 *   2. The outcome is written only before DONE and read only after it.
 *   3. After its add the writer touches the handle no more, unless it goes to a completion queue: until it has put it there, the
 *      taker's claim keeps it.
 *   4. No lost wake-up. Waiter: set WAITED, read the bell (B1), look for DONE, sleep while the bell has not moved. Writer:
 *      add DONE, and if WAITED was set move the bell (B2), then wake. If the waiter read the bell after it moved it sees
 *      DONE; if before, its sleep returns.
 *
 * Handles go to a small cache of the thread that frees them, so that a thread which submits and waits allocates nothing.
 *
 * Failure modes: without memory for a message or rows the outcome says NOMEM in place of them.
 */
#ifndef PENSTOCK_OUTCOME_H
#define PENSTOCK_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/penstock.h"
#include "core/spin.h"

/* One block of an outcome's memory; blocks are chained and freed together. */
struct ps_block {
	struct ps_block *next;
	size_t used;
	size_t size;
	unsigned char bytes[];
};

struct ps_outcome {
	penstock_result result;
	struct ps_block *blocks;
	size_t cell_capacity; /* of result.cells, which is a block's */
	size_t failing;       /* of a group: 1 + the index of the member that failed; 0: none did */
};

/* What the waiters of an engine sleep on. */
struct ps_bell {
	uint32_t rung;
	uint32_t waiters;    /* that wait now, awake or asleep */
	uint32_t cancels;    /* there have been (cancel.h) */
	struct ps_spin spin; /* the waiters', for the time before they sleep */
};

struct penstock_handle {
	uint32_t word;
	struct ps_bell *bell; /* the producer's, before it publishes */
	uint32_t fork_generation;
	uint32_t cancel; /* enum ps_cancel */
	int64_t default_timeout_usec;
	int64_t spin_usec;
	uint64_t ticket;                   /* the producer's, before it publishes */
	penstock_completions *completions; /* where it goes, or NULL */
	uint64_t next;                     /* on its way there: the handle before it, or behind it */
	struct ps_outcome outcome;
};

/* An OK outcome without anything; frees what it had. */
void ps_outcome_reset(struct ps_outcome *outcome);
/* `bytes` of memory that live as long as the outcome, aligned for anything; NULL without memory. */
void *ps_outcome_allocate(struct ps_outcome *outcome, size_t bytes);
/* Drops column names and cells. */
void ps_outcome_drop_rows(struct ps_outcome *outcome);
/* Sets status, codes and (a copy of) the message. */
void ps_outcome_fail(struct ps_outcome *outcome, penstock_status status, int extended_code, const char *message);

/* NULL without memory. The caller's until it is handed over with a submission. */
penstock_handle *ps_handle_new(int64_t default_timeout_usec);
/* Two will let go of it; before it is handed over. */
void ps_handle_add_claim(penstock_handle *handle);
/* For one that was never handed over, or that both have left. */
void ps_handle_free(penstock_handle *handle);
/* The writer leaves: the outcome is complete. Adds to *bits those to ring the handle's bell for, if somebody sleeps. */
void ps_handle_complete(penstock_handle *handle, uint32_t *bits);
/* One of a few, shared by many engines at worst. */
struct ps_bell *ps_bell_assign(void);
/* Wakes the waiters of the completed handles that gave these bits; none: does nothing. */
void ps_bell_ring(struct ps_bell *bell, uint32_t bits);
/* Waits until the deadline; false when there is no outcome yet. */
bool ps_handle_wait_until(penstock_handle *handle, uint64_t deadline);

#endif
