/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cancel.h - whether a submission begins or is cancelled: one word in its handle decides
 *
 *                +-- begin (writer) --> BEGUN
 *     IDLE ------+
 *                +-- cancel (any) ----> CANCELLED
 *
 * The handle of a submission that did not ask for it stays NEVER, and the writer does not look at it.
 *
 * Invariants
 *   1. One compare-and-swap leads out of IDLE, and nothing leads back. So of begin and cancel one wins, and the outcome follows it:
 *      it is CANCELLED exactly when the word is.
 *   2. The writer begins a submission before it gives it any outcome, also one that says that it will never run. So a cancel behind
 *      the outcome finds the word taken.
 *   3. A writer that waits for another process's lock sees a cancel at its next look: the handle is CANCELLED (K1), then the count of
 *      its bell moves; the writer reads the count (K2), and then looks at the handles if it has moved.
 *
 * Failure modes: engines that share a bell look for each other's cancels.
 */
#ifndef PENSTOCK_CANCEL_H
#define PENSTOCK_CANCEL_H

#include "core/atomic.h"
#include "core/outcome.h"

enum ps_cancel { PS_CANCEL_NEVER = 0, PS_CANCEL_IDLE, PS_CANCEL_BEGUN, PS_CANCEL_CANCELLED };

/* Before the handle is handed over. */
static inline void ps_cancel_allow(penstock_handle *handle)
{
	handle->cancel = PS_CANCEL_IDLE;
}

/* The writer: it begins now. False: it is cancelled. */
static inline bool ps_cancel_begin(penstock_handle *handle)
{
	uint32_t found = PS_CANCEL_IDLE;

	return ps_cas_u32(&handle->cancel, &found, PS_CANCEL_BEGUN);
}

/* The writer, of one that has not begun. */
static inline bool ps_cancel_asked(const penstock_handle *handle)
{
	return ps_load_acquire_u32(&handle->cancel) == PS_CANCEL_CANCELLED;
}

/* It moves with each cancel of the bell's handles. */
static inline uint32_t ps_cancel_count(const struct ps_bell *bell)
{
	/* K2: the count before the handles; pairs with K1 in penstock_handle_cancel. */
	return ps_load_acquire_u32(&bell->cancels);
}

#endif
