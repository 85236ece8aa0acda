/*
 * outcome.h - what a submission came to, and the handle that carries it to whoever waits
 *
 * An outcome is a public result with the memory behind it. The writer fills one per submission that has a listener or
 * failed: in the handle itself when there is one, else in the batch. A replay resets it and fills it again.
 *
 * A handle has two holders, the caller and the writer, and one word that says who is still there:
 *
 *     DONE      the outcome is there (the writer has left)
 *     RELEASED  the caller has let go
 *     WAITED    somebody sleeps on the word
 *
 * Invariants
 *   1. DONE and RELEASED are each set once, by an add; whoever finds the other's bit already set frees the handle.
 *   2. The outcome is written only before DONE and read only after it.
 *   3. After its add the writer touches the handle no more, but for waking its address.
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
};

struct penstock_handle {
	uint32_t word;
	uint32_t fork_generation;
	int64_t default_timeout_usec;
	uint64_t ticket; /* the producer's, before it publishes */
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
/* For one that was never handed over, or that both have left. */
void ps_handle_free(penstock_handle *handle);
/* The writer leaves: the outcome is complete. */
void ps_handle_complete(penstock_handle *handle);
/* Waits until the deadline; false when there is no outcome yet. */
bool ps_handle_wait_until(penstock_handle *handle, uint64_t deadline);

#endif
