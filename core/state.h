/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.h - the state word: an immutable record behind an RCU pointer
 *
 *             start                pause              (drained, disconnected)
 *  STOPPED ----------> RUNNING -----------> PAUSING ----------------> PAUSED
 *     ^                  |  ^                  |                        |  |
 *     |   (drained)      |  +--- unpause ------+------------------------+  |
 *     +---- STOPPING <---+-------------------- stop -----------------------+
 *  any state --- unrecoverable I/O failure ---> FAILED --- stop, close ---> STOPPED
 *
 * NEW is STOPPED before the first start, when submissions are accepted and wait; CLOSED is STOPPED while a close waits for the calls
 * that are inside, and then for good.
 *
 * A producer reads the record and publishes its slot inside one read-side section. A control verb swaps in a new record
 * and waits one grace period; from then on no producer can still be between "saw RUNNING" and "published", so the ring's
 * tail covers everything that was accepted under the old record. Limits and policies live in the record too, so tuning a
 * running engine is the same swap.
 *
 * Invariants
 *   1. A record is never written while it is published or a reader may still see it.
 *   2. Swaps are serialised by the engine's control mutex, which no reader takes.
 *   3. Every move is one of the table in state.c.
 *
 *   4. There are two records, both allocated at open: after the grace period the old one is the next one's memory. A move
 *      allocates nothing and cannot fail, which the move to FAILED needs.
 *
 * Failure modes: none; a reader that never ends its section would hold up every verb, and none here can.
 */
#ifndef PENSTOCK_STATE_H
#define PENSTOCK_STATE_H

#include "core/options.h"
#include "core/rcu.h"

enum ps_phase { PS_NEW, PS_STOPPED, PS_RUNNING, PS_PAUSING, PS_PAUSED, PS_STOPPING, PS_FAILED, PS_CLOSED };
#define PS_PHASES 8

struct ps_state {
	enum ps_phase phase;
	struct ps_keys keys;
	int admit; /* what a submit comes to: PENSTOCK_OK, or the status it is refused with */
};

struct ps_state_word {
	struct ps_state *current PS_OWN_LINE;
	struct ps_state *reserve; /* under the control mutex */
};

bool ps_state_init(struct ps_state_word *word, const struct ps_keys *keys);
void ps_state_destroy(struct ps_state_word *word);

/*
 * Moves to a phase: the new record is in place and a grace period has passed when this returns. With the control mutex
 * held, outside of read sections.
 */
void ps_state_move(struct ps_state_word *word, enum ps_phase phase);
/* The same for the keys. */
void ps_state_retune(struct ps_state_word *word, const struct ps_keys *keys);

/* Inside a section (ps_rcu_enter). */
static inline const struct ps_state *ps_state_read(const struct ps_state_word *word)
{
	/* S2: the fields come with the address; pairs with S1 in replace (state.c). */
#ifdef PENSTOCK_UNDER_TSAN
	return __atomic_load_n(&word->current, __ATOMIC_ACQUIRE);
#else
	return rcu_dereference(word->current);
#endif
}

/* Ends the section. (The annotation is kept apart from `current`: a release store to that would make TSan forget it.) */
static inline void ps_state_leave(struct ps_state_word *word)
{
	ps_rcu_leave(&word->reserve);
}

/* A copy of the keys. */
struct ps_keys ps_state_keys(struct ps_state_word *word);

#endif
