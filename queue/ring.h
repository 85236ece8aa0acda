/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - the bounded ring: many producers, one consumer, one order
 *
 * A power-of-two array of 128-byte slots. A producer claims the next ticket by compare-and-swap on the claim word, fills
 * slot (ticket mod capacity) and publishes it by storing ticket + 1 in the slot's sequence. The consumer takes
 * consecutive published tickets, uses the records where they lie, and releases them in order by moving the head.
 * (ck_ring's mpsc publishes in claim order, so one preempted producer stalls all others; here nobody waits for anybody:
 * a preempted producer is a hole that only the consumer sees, and it takes what lies before it.)
 *
 * Producers compare the tail with a cached limit (as JCTools' MpscArrayQueue does) and read the consumer's head only when
 * they reach it.
 *
 * The claim word is (tail << 1) | parked. The consumer that found the ring empty sets the mark by compare-and-swap, which
 * fails when anything was claimed meanwhile; the claim that clears it obliges that producer to publish and then wake. One
 * word, so no fence, and one system call per sleep (JCTools' MpscBlockingConsumerArrayQueue).
 *
 * Invariants
 *   1. head <= tail <= head + capacity; limit <= head + capacity always, so a stale limit only refuses too early, and a
 *      refusal reads the head itself.
 *   2. Slot (t mod capacity) belongs to the producer of t from its claim to its publish, to the consumer from then to the
 *      release of t, and to the producer of t + capacity after that. Its sequence is t + 1 exactly while the consumer has
 *      it or t is released and not yet reused; no reset is needed, since t + 1 never repeats.
 *   3. Tickets are 64 bits and never wrap in practice: 2^63 tickets are 290 years at a billion a second.
 *   4. While somebody is first in line for bytes (turn.h) the limit that others compute leaves it one slot; it does not hand on
 *      its own. A limit from before is used up once, and then the head moves on past it.
 *   5. The consumer sleeps only with the mark set and the ring empty (P1/P2), or it was told to look (P3/P4).
 *
 * Failure modes: a producer that dies between claim and publish stops the consumer at its hole for ever; there is no
 * cancellation point and no call out in between.
 */
#ifndef PENSTOCK_RING_H
#define PENSTOCK_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/atomic.h"
#include "queue/park.h"
#include "queue/record.h"
#include "queue/turn.h"

struct ps_slot {
	uint64_t sequence;
	struct ps_record record;
} PS_OWN_LINE;

_Static_assert(sizeof(struct ps_slot) == PS_LINE_BYTES, "a slot is one pair of cache lines");

struct ps_ring {
	/* read only after ps_ring_init */
	struct ps_slot *slots PS_OWN_LINE;
	uint64_t mask;
	uint64_t capacity;
	uint64_t wake_room; /* a tenth of the capacity: so many slots are worth a wake */
	const void *owner;  /* the engine whose ring it is, for probes; set by it, or NULL */

	/* producers */
	uint64_t claim PS_OWN_LINE;
	uint64_t limit PS_OWN_LINE;

	/* consumer; read by producers at the limit */
	uint64_t head PS_OWN_LINE;
	uint64_t waved_at;  /* the head at the last wake, or when nobody waited; the consumer's own */
	uint64_t wave;      /* how many are woken at a time; the consumer's own */
	uint32_t attention; /* set by whoever kicks; the consumer looks at it before it sleeps */
	uint32_t report;    /* the same, of another thread that has something for the consumer */

	/* both, on the slow path */
	struct ps_eventcount room PS_OWN_LINE;     /* producers waiting for a slot or for bytes */
	uint64_t bytes;                            /* payload bytes outside the slots */
	uint64_t wakes;                            /* times a sleeping consumer was woken */
	struct ps_line line;                       /* producers that wait for bytes and were passed */
	struct ps_eventcount progress PS_OWN_LINE; /* threads waiting for the head to pass a ticket */
};

struct ps_claim {
	uint64_t ticket;
	struct ps_record *record;
	bool wake; /* the claim cleared the parked mark */
};

/* capacity: a power of two from 2. False: out of memory. */
bool ps_ring_init(struct ps_ring *ring, uint64_t capacity);
void ps_ring_destroy(struct ps_ring *ring);

/* ---- producers: any thread ---- */

/* Takes the next ticket and its slot; false when the ring is full. Every claim must be published, without delay. */
bool ps_ring_claim(struct ps_ring *ring, struct ps_claim *claim);
/* The same for one that is in line, or (NULL) is not. While somebody else is first in line one slot is not to be had. */
bool ps_ring_claim_in_turn(struct ps_ring *ring, const struct ps_turn *turn, struct ps_claim *claim);
void ps_ring_publish(struct ps_ring *ring, const struct ps_claim *claim);
/*
 * Counts payload bytes against the bound; false when they do not fit, or somebody else is first in line for bytes. More than the
 * bound fits when nothing is counted.
 */
bool ps_ring_reserve_bytes(struct ps_ring *ring, const struct ps_turn *turn, uint64_t bytes, uint64_t bound);
void ps_ring_return_bytes(struct ps_ring *ring, uint64_t bytes);
/* Makes a sleeping consumer look at ring->attention or ring->report, which the caller has set. */
void ps_ring_kick(struct ps_ring *ring);

static inline uint64_t ps_ring_tail(const struct ps_ring *ring)
{
	return ps_load_acquire_u64(&ring->claim) >> 1;
}

static inline uint64_t ps_ring_head(const struct ps_ring *ring)
{
	return ps_load_acquire_u64(&ring->head);
}

/* How many slots there are for one in line, or (NULL) not in line. */
static inline uint64_t ps_ring_slots_for(const struct ps_ring *ring, const struct ps_turn *turn)
{
	return ps_line_is_others(&ring->line, turn) ? ring->capacity - 1 : ring->capacity;
}

/* Whether a claim would find room, as far as one can tell. */
static inline bool ps_ring_has_room(const struct ps_ring *ring, const struct ps_turn *turn)
{
	uint64_t tail = ps_ring_tail(ring);

	/* Signed: the head may have passed this tail meanwhile. */
	return (int64_t)(tail - ps_ring_head(ring)) < (int64_t)ps_ring_slots_for(ring, turn);
}

/* Whether a reservation would go well, as far as one can tell. */
static inline bool ps_ring_has_bytes(const struct ps_ring *ring, const struct ps_turn *turn, uint64_t bytes, uint64_t bound)
{
	uint64_t used = ps_load_relaxed_u64(&ring->bytes);

	return !ps_line_is_others(&ring->line, turn) && (used == 0 || used + bytes <= bound);
}

/* ---- both ---- */

static inline void ps_ring_prefetch(const struct ps_ring *ring, uint64_t ticket)
{
	const struct ps_slot *slot = &ring->slots[ticket & ring->mask];

	__builtin_prefetch(slot, 0, 3);
	__builtin_prefetch((const char *)slot + 64, 0, 3);
}

/* ---- the consumer: one thread ---- */

/* The record of a ticket at or behind the head, or NULL when it is not published yet. */
static inline struct ps_record *ps_ring_peek(const struct ps_ring *ring, uint64_t ticket)
{
	struct ps_slot *slot = &ring->slots[ticket & ring->mask];

	/* R2: with the sequence comes the record; pairs with R1 in ps_ring_publish. */
	if (ps_load_acquire_u64(&slot->sequence) != ticket + 1)
		return NULL;
	return &slot->record;
}

/* The record of a ticket that has been peeked before. */
static inline struct ps_record *ps_ring_at(const struct ps_ring *ring, uint64_t ticket)
{
	return &ring->slots[ticket & ring->mask].record;
}

/*
 * Gives back every slot before `head`, and wakes some of the producers that wait, the oldest first, when a tenth of the
 * capacity is free and the head has moved as far since the last wake.
 *
 * How many is learnt: those woken last have filled the ring, then half as many, down to one; they have not filled half of
 * it, then twice as many. Who submits in a loop fills it alone, and the more are woken, the more find it full again and
 * have lost their turn: with one for each tenth freed, of 64 such producers some got nothing in a second (bench/full), and
 * all who wait were a tenth as fast (bench/ring). Where each submits one and waits for its outcome, all are needed.
 *
 * Nobody is forgotten: whoever still waits is woken as the head moves on, or when the consumer finds the ring empty
 * (ps_ring_park).
 */
void ps_ring_release(struct ps_ring *ring, uint64_t head);

enum ps_park { PS_PARK_WORK, PS_PARK_HOLE, PS_PARK_ATTENTION, PS_PARK_DEADLINE };
/*
 * Sleeps until something is published at the head, attention or report is set, or the deadline passes; says which (WORK may be
 * spurious). HOLE: the next ticket is claimed but not published; the caller decides how to pass the time. *slept tells
 * whether it really went to sleep.
 */
enum ps_park ps_ring_park(struct ps_ring *ring, uint64_t next, uint64_t deadline, bool *slept);

#endif
