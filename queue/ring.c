/* SPDX-License-Identifier: BSD-2-Clause */
#include "queue/ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/futex.h"
#include "core/probe.h"

#define PARKED UINT64_C(1)

/*
 * Stalls after a claim that was lost to another producer, doubled each time: the winner keeps the line for a few claims,
 * instead of the line changing processors with each (Dice, Hendler and Mirsky, "Lightweight contention management for
 * efficient compare-and-swap operations", 2013). 64 were 1.7 us where this was measured (two virtual processors of an AMD
 * EPYC), and made 2 to 8 producers twice as fast; 16 gained a third of that, and more than 256 nothing.
 */
#define BACK_OFF_LEAST 64
#define BACK_OFF_MOST 256

/*
 * The slot so far ahead of the claim is fetched. The consumer had it last, and without this each claim, being a full
 * barrier, waits for the line of the record before: there one producer alone was 3.5 times as fast, with 2 to 32 slots
 * alike. To fetch it for writing (prefetchw) takes it from the consumer that still reads it: between two caches that was a fifth
 * as fast.
 */
#define FETCH_AHEAD 8

/*
 * A consumer that gives back fewer slots than CLOSE_BEHIND runs right behind a producer: each looks at the line that the other
 * is about to use, and it changes processors several times a record. So it stalls and lets them get ahead; the groups grow, and
 * it stalls no more. Where both processors share a cache (AMD EPYC) one producer was 1.7 to 2 times as fast, and 64 were 1.3 times; where
 * they do not, nothing changed. A group of one is, as a rule, somebody who waits for its outcome.
 */
#define CLOSE_BEHIND 64
#define FALL_BACK 8

bool ps_ring_init(struct ps_ring *ring, uint64_t capacity)
{
	uint64_t bytes = capacity * sizeof(struct ps_slot);
	uint64_t i;

	memset(ring, 0, sizeof *ring);
	if ((size_t)bytes != bytes || !ps_line_init(&ring->line))
		return false;
	ring->slots = aligned_alloc(PS_LINE_BYTES, (size_t)bytes);
	if (ring->slots == NULL) {
		ps_line_destroy(&ring->line);
		return false;
	}
	/* Sequence 0 is published by no ticket, so a fresh slot is empty. One word a slot: touching them all now also keeps
	 * page faults out of the first lap. */
	for (i = 0; i < capacity; i++)
		ring->slots[i].sequence = 0;
	ring->capacity = capacity;
	ring->mask = capacity - 1;
	ring->wake_room = capacity / 10 > 0 ? capacity / 10 : 1;
	ring->limit = capacity;
	ring->wave = 1;
	return true;
}

void ps_ring_destroy(struct ps_ring *ring)
{
	ps_line_destroy(&ring->line);
	free(ring->slots);
	ring->slots = NULL;
}

/* ---- producers ---- */

bool ps_ring_claim(struct ps_ring *ring, struct ps_claim *claim)
{
	return ps_ring_claim_in_turn(ring, NULL, claim);
}

bool ps_ring_claim_in_turn(struct ps_ring *ring, const struct ps_turn *turn, struct ps_claim *claim)
{
	uint64_t word = ps_load_relaxed_u64(&ring->claim);
	uint64_t limit = ps_load_acquire_u64(&ring->limit);
	unsigned back_off = BACK_OFF_LEAST;

	for (;;) {
		uint64_t tail = word >> 1;

		/* Signed: a stale claim word may lie behind the limit by more than a lap. */
		if ((int64_t)(tail - limit) >= 0) {
			/* R4: the head, and with it the slots before it; pairs with R3 in ps_ring_release. Handing the limit
			 * on (release) to a producer that then acquires it keeps that order. */
			limit = ps_load_acquire_u64(&ring->head) + ps_ring_slots_for(ring, turn);
			if ((int64_t)(tail - limit) >= 0) {
				uint64_t now = ps_load_relaxed_u64(&ring->claim);

				if (now == word)
					return false;
				word = now;
				continue;
			}
			/* The first in line keeps the slot that is kept for it to itself. */
			if (turn == NULL)
				ps_store_release_u64(&ring->limit, limit);
		}
		/* P1: clears the mark, if it is set; pairs with P2 in ps_ring_park. */
		if (ps_cas_u64(&ring->claim, &word, (tail + 1) << 1)) {
			claim->ticket = tail;
			claim->record = &ring->slots[tail & ring->mask].record;
			claim->wake = (word & PARKED) != 0;
			ps_ring_prefetch(ring, tail + FETCH_AHEAD);
			return true;
		}
		ps_stalls(back_off);
		if (back_off < BACK_OFF_MOST)
			back_off *= 2;
		word = ps_load_relaxed_u64(&ring->claim);
	}
}

static const uint32_t *claim_low(const struct ps_ring *ring)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (const uint32_t *)(const void *)&ring->claim;
#else
	return (const uint32_t *)(const void *)&ring->claim + 1;
#endif
}

static void wake_consumer(struct ps_ring *ring)
{
	PS_PROBE(wake, ring->owner);
	ps_add_u64(&ring->wakes, 1);
	ps_futex_wake(claim_low(ring), 1, PS_FUTEX_ANY);
}

void ps_ring_publish(struct ps_ring *ring, const struct ps_claim *claim)
{
	struct ps_slot *slot = &ring->slots[claim->ticket & ring->mask];

	/* R1: the record before its sequence; pairs with R2 in ps_ring_peek. */
	ps_store_release_u64(&slot->sequence, claim->ticket + 1);
	if (claim->wake)
		wake_consumer(ring);
}

bool ps_ring_reserve_bytes(struct ps_ring *ring, const struct ps_turn *turn, uint64_t bytes, uint64_t bound)
{
	uint64_t used = ps_load_relaxed_u64(&ring->bytes);

	if (ps_line_is_others(&ring->line, turn))
		return false;
	do {
		if (used != 0 && used + bytes > bound)
			return false;
	} while (!ps_cas_u64(&ring->bytes, &used, used + bytes));
	return true;
}

void ps_ring_return_bytes(struct ps_ring *ring, uint64_t bytes)
{
	ps_add_u64(&ring->bytes, -bytes);
}

void ps_ring_kick(struct ps_ring *ring)
{
	uint64_t word;

	/* P3: the attention word or the report, set by the caller, before the look at the mark; pairs with P4 in ps_ring_park.
	 * Either the consumer's second look sees the word, or this look sees the mark. */
	ps_fence_full();
	word = ps_load_relaxed_u64(&ring->claim);
	while (word & PARKED) {
		if (ps_cas_u64(&ring->claim, &word, word & ~PARKED)) {
			wake_consumer(ring);
			return;
		}
	}
}

/* ---- the consumer ---- */

/* After the head has moved on, with producers waiting. */
static void wake_producers(struct ps_ring *ring, uint64_t before, uint64_t head)
{
	uint64_t tail = ps_ring_tail(ring);
	uint64_t free_slots = ring->capacity - (tail - head);
	uint64_t taken = tail - before; /* before the head moved, but for what was claimed since */

	if (free_slots < ring->wake_room || head - ring->waved_at < ring->wake_room)
		return;
	if (taken + ring->wake_room > ring->capacity)
		ring->wave = ring->wave > 1 ? ring->wave / 2 : 1;
	else if (taken < ring->capacity / 2 && ring->wave < ring->capacity)
		ring->wave *= 2;
	ps_eventcount_wake(&ring->room, ring->wave < free_slots ? (uint32_t)ring->wave : (uint32_t)free_slots);
	ring->waved_at = head;
}

void ps_ring_release(struct ps_ring *ring, uint64_t head)
{
	uint64_t before = ring->head;
	bool chases = head - before > 1 && head - before < CLOSE_BEHIND;

	/* R3: the consumer's last use of the slots comes before; pairs with R4 in ps_ring_claim. */
	ps_store_release_u64(&ring->head, head);
	/* E2 for both: the room, and the progress, before the look for waiters; pairs with E1 in ps_eventcount_prepare. */
	if (ps_eventcount_waited(&ring->room)) /* only then: a look at the tail takes its line away from the producers */
		wake_producers(ring, before, head);
	else
		ring->waved_at = head;
	if (ps_load_relaxed_u32(&ring->progress.waiters) != 0)
		ps_eventcount_wake(&ring->progress, UINT32_MAX);
	if (chases)
		ps_stalls(FALL_BACK);
}

enum ps_park ps_ring_park(struct ps_ring *ring, uint64_t next, uint64_t deadline, bool *slept)
{
	uint64_t empty = next << 1;
	uint64_t word = empty;

	*slept = false;
	if (ps_load_acquire_u32(&ring->attention) != 0 || ps_load_acquire_u32(&ring->report) != 0)
		return PS_PARK_ATTENTION;
	/*
	 * Producers that were woken may have left without using their room (a deadline), and no release will follow: all who
	 * still wait get a look at the empty ring. Who prepares later sees it empty (E1/E2).
	 */
	ps_eventcount_broadcast(&ring->room);
	/*
	 * P2: the mark, only if nothing is claimed behind what was consumed; pairs with P1 in ps_ring_claim. P4: and, being a
	 * full barrier, before the second look at the attention word and the report; pairs with P3 in ps_ring_kick.
	 *
	 * No lost wake-up: after this swap the word is `empty | PARKED` until a claim or a kick changes it, and whoever changes
	 * it wakes. If that happened before the futex call, the low half differs and the call returns at once: only the
	 * consumer sets the mark, so the same value cannot come back.
	 */
	if (!ps_cas_u64(&ring->claim, &word, empty | PARKED))
		return ps_ring_peek(ring, next) != NULL ? PS_PARK_WORK : PS_PARK_HOLE;
	if (ps_load_acquire_u32(&ring->attention) == 0 && ps_load_acquire_u32(&ring->report) == 0) {
		*slept = true;
		PS_PROBE(park, ring->owner, next);
		while (ps_load_acquire_u64(&ring->claim) == (empty | PARKED) && !ps_deadline_passed(deadline))
			ps_futex_wait(claim_low(ring), (uint32_t)(empty | PARKED), PS_FUTEX_ANY, deadline);
	}
	word = empty | PARKED;
	ps_cas_u64(&ring->claim, &word, empty); /* take the mark back, unless somebody did */
	if (ps_load_acquire_u32(&ring->attention) != 0 || ps_load_acquire_u32(&ring->report) != 0)
		return PS_PARK_ATTENTION;
	if (ps_ring_peek(ring, next) != NULL)
		return PS_PARK_WORK;
	return ps_ring_tail(ring) != next ? PS_PARK_HOLE : PS_PARK_DEADLINE;
}
