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
	uint64_t number; /* that no other engine of the process ever has */

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
 * Getting in. A call counts itself inside before it looks at anything else of the engine, and close waits until all have left;
 * those that would wait for something are told STOPPED. Only submitting is not counted, since it would be two
 * read-modify-writes of one word by all producers: it looks at the engine in a read section, and close waits a last grace
 * period for that. (A thread's first section takes liburcu's mutex, so its first submit is counted.) Nobody can wait for a
 * call that begins as close returns.
 *
 * ps_engine_look counts, in any case; false in a forked child. Until ps_engine_leave.
 */
bool ps_engine_look(const penstock *db);
/* OK and the caller is inside until ps_engine_leave; FORKED or STOPPED (closed), without a message. */
int ps_engine_try_enter(penstock *db);
/*
 * For every call that sleeps, takes a mutex or takes its time: OK and the caller is inside until ps_engine_leave, or FORKED, STOPPED (closed) or
 * MISUSE (NULL) with the thread's message.
 */
int ps_engine_enter(penstock *db);
void ps_engine_leave(const penstock *db);
/* The same for calls that wait for the writer: MISUSE in a callback. */
int ps_engine_enter_to_wait(penstock *db, const char *call);
/* A timeout of the public interface as a deadline. */
uint64_t ps_engine_deadline(penstock *db, int64_t timeout_usec);

#endif
