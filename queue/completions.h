/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * completions.h - finished submissions on their way to an event loop
 *
 * A submission may name a completion queue. When its outcome is there, the writer puts its handle on the queue's list, and the
 * descriptor of the queue is readable until somebody takes. As the completion side of io_uring is: one descriptor for thousands in
 * flight.
 *
 *     submit     a place is taken (of `most`)
 *     writer     the outcome; DONE; the handle onto the list                     ... for each of a batch
 *                behind the batch: if the flag was down, up with it, and the descriptor is raised
 *     take       drains the descriptor; the flag down; takes the whole list; gives the places back
 *
 * The list is a stack, by one word: put on by compare-and-swap, taken whole, so no element is ever taken from the midst (no
 * ABA). Taking turns it round: handles come in the order in which they were put on, which is that of the tickets within one level of
 * acknowledgement. What take has no room for waits in a list of the takers' own, under their mutex, which the writer never takes.
 *
 * One word, `holders`, says who still needs the memory: in its lower half the places that are taken, in its upper half a hold
 * for each of: the program; the writer, from its first handle of a batch until it has raised the descriptor; a request to be told of
 * room. Who makes it zero frees the queue. So the writer's last touch, its write to the descriptor included, is within its hold.
 *
 * Invariants
 *   1. places taken = refused soon + in the ring + in the list or the takers' own. At most `most`.
 *   2. No lost wake-up. Writer: put the handle on (Q1, full), look at the flag (Q2). Taker: drain, lower the flag, fence (Q3), look at
 *      the list. If the taker does not see the handle, the writer sees the flag down, and raises the descriptor behind the drain.
 *      In another order it fails: lowered before the drain, a raise is drained while the flag is up again; lowered behind the list,
 *      what came in between has met the flag up.
 *   3. The descriptor is readable whenever take would find something (and sometimes, after a race, when it would not): take raises it
 *      again for what it leaves.
 *   4. A handle on the list is a claim, the taker's; a handle that submit gave is another one. Each is let go of once.
 *   5. An abandoned queue has ABANDONED for a list: the writer lets go of what it would put there.
 *   6. A flag that is up without a raise that worked does not stay up.
 *
 * Being told of room: a request lies with the ring's event count (park.h) and holds the queue. Places are room too: who gives back
 * some of a queue that had none looks whether anybody wants them (Q4, Q5). A thread is not told of what it gives back itself: it knows,
 * and a submit that looks again, and is refused for the ring's sake, would wake itself for ever.
 *
 * Failure modes: no memory and no descriptor, when it is opened. A raise that fails (the program has closed descriptors that are not
 * its own) is tried again with the next batch.
 */
#ifndef PENSTOCK_COMPLETIONS_H
#define PENSTOCK_COMPLETIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/atomic.h"
#include "core/event.h"
#include "core/penstock.h"
#include "queue/park.h"

/* Of one queue. */
#define PS_COMPLETIONS_MOST (UINT64_C(1) << 30)

struct penstock_completions {
	/* written once */
	uint64_t engine; /* its number; the engine may be gone */
	uint64_t most;
	uint32_t fork_generation;
	struct ps_event event;

	/* producers, writer, takers */
	uint64_t holders PS_OWN_LINE;
	uint64_t list;     /* the handle put on last, or ABANDONED */
	uint32_t flag;     /* 1: the descriptor is raised, or about to be */
	uint64_t wanted;   /* the number of the thread that wants to be told of places; 0: none */
	uint32_t asking;   /* 1: the request is with the event count */
	struct ps_ask ask; /* of room in the ring */

	/* the takers' */
	pthread_mutex_t mutex PS_OWN_LINE;
	penstock_handle *first, *last; /* taken from the list, and not by anybody yet; last: where there is a first */

	/* the writer's, of the batch that it delivers */
	struct penstock_completions *next_told PS_OWN_LINE;
	bool to_be_told;
};

/* NULL: out of memory, or errno says which descriptor was not to be had. With a hold, the program's. */
penstock_completions *ps_completions_new(uint64_t engine, uint64_t most);

/* ---- producers ---- */

/* OK, FULL or FORKED, with the thread's message. */
int ps_completions_take_place(penstock_completions *queue);
/* Of one that was refused after all, or of `count` that are taken. */
void ps_completions_give_back(penstock_completions *queue, uint64_t count);
/* Asks to be told once when there may be room: event is what those that wait for it wait on. Then the caller looks again. */
void ps_completions_ask(penstock_completions *queue, struct ps_eventcount *event);

/* ---- the writer, or whoever delivers ---- */

/* Puts on a handle that is complete, and holds the queue (which is then in *told) until ps_completions_tell. */
void ps_completions_put(penstock_completions *queue, penstock_handle *handle, penstock_completions **told);
/* Raises the descriptors of those in the list, if need be, and lets go of them. */
void ps_completions_tell(penstock_completions *told);

#endif
