/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h - the parts of an engine, and who may touch them
 *
 *     producers       state (read side), ring (producer side), counters' refusals
 *     writer thread   ring (consumer side), batch, store, counters
 *     control verbs   control, under its mutex; state (swaps)
 *
 * engine.c opens and closes; submit.c submits; control.c has the verbs; writer.c the thread.
 */
#ifndef PENSTOCK_ENGINE_H
#define PENSTOCK_ENGINE_H

#include "core/counters.h"
#include "core/options.h"
#include "core/state.h"
#include "queue/ring.h"
#include "writer/batch.h"
#include "writer/control.h"
#include "writer/registry.h"

struct penstock {
	/* written once, by open */
	char *path PS_OWN_LINE;
	struct ps_options options;
	uint32_t fork_generation;

	struct ps_state_word state;
	struct ps_ring ring;
	struct ps_counters counters;
	struct ps_registry registry PS_OWN_LINE;
	struct ps_control control;

	/* the writer thread's; the closing thread's when there is none */
	struct ps_batch batch PS_OWN_LINE;
	uint64_t next;       /* the ticket to run next */
	uint64_t last_batch; /* the writer's: how many statements were in it */
	struct ps_spin spin; /* the writer's */

	/* calls that are inside and may sleep; close waits for them */
	uint32_t inside PS_OWN_LINE;
};

/*
 * Getting in. A call looks at the engine for the first time in a read section, and either is through with it when it ends the
 * section, or has been counted inside by then. close makes those that are inside return, waits until all have left, and then a
 * grace period for those that only look, before it frees the engine. Nobody can wait for a call that begins as close returns.
 * (Submitting is not counted: it would be two read-modify-writes of one word by all producers.)
 *
 * ps_engine_look begins the section, in any case; false in a forked child. ps_engine_look_away ends it.
 */
static inline bool ps_engine_look(const penstock *db)
{
	ps_rcu_enter();
	return db->fork_generation == ps_fork_generation();
}

static inline void ps_engine_look_away(const penstock *db)
{
	ps_state_leave((struct ps_state_word *)&db->state);
}

/* OK and the caller is inside until ps_engine_leave; FORKED or STOPPED (closed), without a message. */
int ps_engine_try_enter(penstock *db);
/*
 * For every call that sleeps, takes a mutex or takes its time: OK and the caller is inside until ps_engine_leave, or FORKED, STOPPED (closed) or
 * MISUSE (NULL) with the thread's message.
 */
int ps_engine_enter(penstock *db);
void ps_engine_leave(penstock *db);
/* The same for calls that wait for the writer: MISUSE in a callback. */
int ps_engine_enter_to_wait(penstock *db, const char *call);
/* A timeout of the public interface as a deadline. */
uint64_t ps_engine_deadline(penstock *db, int64_t timeout_usec);

#endif
