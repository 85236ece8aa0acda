/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * park.h - event counts: sleeping until a condition may have changed
 *
 * A thread that found its condition false prepares (it is counted as a waiter and takes a key), looks once more, and either
 * cancels or sleeps on the key. Whoever changes the condition calls wake, which costs a fence and a load when nobody
 * waits. Used for room in the ring and for progress of the head (flush).
 *
 * Who cannot sleep (an event loop) leaves a request to be told instead: it counts as a waiter until the next wake, which takes all
 * requests and tells each of them once.
 *
 * Invariants
 *   1. No lost wake-up. Waiter: count itself (E1, full), look at the condition. Waker: change the condition, fence (E2),
 *      look at the count. One of the two sees the other: either the waiter's second look finds the condition true, or the
 *      waker sees the waiter and moves the sequence, which makes a sleep on the old key return at once.
 *      A request is counted before it is there (E3, full), and behind that its owner looks again: a wake that has not found
 *      it came after the condition had changed.
 *   2. A key is only good for one sleep; every return is a reason to look again, never a promise.
 *
 * Failure modes: the 32-bit sequence would have to move 2^32 times between prepare and the futex call to fool a sleeper.
 */
#ifndef PENSTOCK_PARK_H
#define PENSTOCK_PARK_H

#include <stdbool.h>
#include <stdint.h>

struct ps_eventcount {
	uint32_t sequence; /* the futex word */
	uint32_t waiters;
	uint64_t asks; /* struct ps_ask *, the last one first */
};

/* A request. It is its owner's again as it is told. */
struct ps_ask {
	uint64_t next;                    /* struct ps_ask *, of the one before it */
	void (*tell)(struct ps_ask *ask); /* on the thread that wakes, maybe in a read section: does not sleep */
};

/* Counts the caller as a waiter; returns the key. Must be followed by ps_eventcount_cancel or ps_eventcount_wait. */
uint32_t ps_eventcount_prepare(struct ps_eventcount *event);
void ps_eventcount_cancel(struct ps_eventcount *event);
/* Sleeps until a wake after the prepare, or the deadline; the caller is no waiter any more when it returns. */
void ps_eventcount_wait(struct ps_eventcount *event, uint32_t key, uint64_t deadline);

/* Leaves a request, which is nobody else's meanwhile; then the caller looks again. */
void ps_eventcount_ask(struct ps_eventcount *event, struct ps_ask *ask);

/* Whether anybody waits, ordered after all the caller's earlier writes. */
bool ps_eventcount_waited(struct ps_eventcount *event);
/* Wakes up to `count` waiters, the oldest first, and tells all that have asked; call when ps_eventcount_waited said so. */
void ps_eventcount_wake(struct ps_eventcount *event, uint32_t count);
/* Both of the above, for all waiters. */
void ps_eventcount_broadcast(struct ps_eventcount *event);

#endif
