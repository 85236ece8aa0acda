/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/sqlite/turns.h"

#include "core/atomic.h"
#include "core/fault.h"
#include "core/futex.h"

/* Between two looks of the first who waits; the others look less often. */
#define LOOK_NSEC PS_NSEC_PER_MSEC
#define LOOKS_MOST 4

/* A new ticket for each that was passed; more often only garbage makes it necessary. */
#define TICKETS_MOST (PS_TURNS_FAR + 1)

_Static_assert((PS_TURNS_HOLDERS & (PS_TURNS_HOLDERS - 1)) == 0, "tickets go round");
_Static_assert(PS_TURNS_LEFT < 1 << PS_TURNS_PLACE_BITS, "a place has room beside its ticket");

/* One wait. */
struct wait {
	uint32_t seen;     /* `serving`, */
	uint64_t moved_at; /* and when it was first seen so */
	uint64_t now, limit;
};

static uint32_t bit_of(uint32_t ticket)
{
	return UINT32_C(1) << ticket % 32;
}

static uint32_t *holder_of(struct ps_turns *turns, uint32_t ticket)
{
	return &turns->words->holders[ticket % PS_TURNS_HOLDERS];
}

static void note_holder(struct ps_turns *turns, uint32_t ticket, unsigned place)
{
	ps_store_relaxed_u32(holder_of(turns, ticket), ticket << PS_TURNS_PLACE_BITS | place);
}

/* PS_TURNS_NO_PLACE also when another ticket is noted there. */
static unsigned place_of(struct ps_turns *turns, uint32_t ticket)
{
	uint32_t noted = ps_load_relaxed_u32(holder_of(turns, ticket));

	return noted >> PS_TURNS_PLACE_BITS == ticket << PS_TURNS_PLACE_BITS >> PS_TURNS_PLACE_BITS
	               ? noted & ((1 << PS_TURNS_PLACE_BITS) - 1)
	               : PS_TURNS_NO_PLACE;
}

static uint32_t draw(struct ps_turns *turns)
{
	uint32_t ticket = ps_add_u32(&turns->words->tail, 1); /* T1, full; pairs with T2 */

	note_holder(turns, ticket, turns->place);
	return ticket;
}

/* From `ticket`, whose turn is over, to the next one that was not left. False: it was over already. */
static bool pass_on(struct ps_turns *turns, uint32_t ticket)
{
	uint32_t expected = ticket;

	if (!ps_cas_u32(&turns->words->serving, &expected, ticket + 1)) /* T2, full; pairs with T1 */
		return false;
	ticket++;
	while (ps_load_relaxed_u32(&turns->words->tail) != ticket) {
		expected = ticket;
		if (place_of(turns, ticket) != PS_TURNS_LEFT) {
			ps_futex_wake_shared(&turns->words->serving, INT32_MAX, bit_of(ticket));
			break;
		}
		if (!ps_cas_u32(&turns->words->serving, &expected, ticket + 1))
			break;
		ticket++;
	}
	return true;
}

static bool is_over(struct ps_turns *turns, uint32_t ticket)
{
	unsigned place = place_of(turns, ticket);

	if (place == PS_TURNS_LEFT)
		return true;
	return place != PS_TURNS_NO_PLACE && place != turns->place && !turns->lives(turns->arg, place);
}

/* It stands still, or nobody is there. True: moved on, by whomever. */
static bool move_on(struct ps_turns *turns, struct wait *wait)
{
	uint64_t unmoved = wait->now - wait->moved_at;

	if (unmoved < LOOK_NSEC)
		return false;
	if (is_over(turns, wait->seen)) {
		if (pass_on(turns, wait->seen))
			turns->counts.succeeded++;
		/* Others may have been killed with it: the next one is looked at now. */
		wait->seen++;
		wait->moved_at = wait->now - LOOK_NSEC;
		return true;
	}
	if (unmoved < PS_TURNS_UNMOVED)
		return false;
	if (pass_on(turns, wait->seen))
		turns->counts.skipped++;
	return true;
}

static void sleep_until_moved(struct ps_turns *turns, const struct wait *wait)
{
	uint32_t ahead = turns->ticket - wait->seen;
	uint64_t until = wait->now + (ahead < LOOKS_MOST ? ahead : LOOKS_MOST) * LOOK_NSEC;

	ps_futex_wait_shared(&turns->words->serving, wait->seen, bit_of(turns->ticket), until);
}

enum progress { WAITS, SERVED, PASSED };

static enum progress look(struct ps_turns *turns, struct wait *wait)
{
	uint32_t serving = ps_load_relaxed_u32(&turns->words->serving);
	uint32_t ahead = turns->ticket - serving, behind = serving - turns->ticket;

	if (ahead == 0)
		return SERVED;
	if (behind <= PS_TURNS_FAR)
		return PASSED;
	if (ahead > PS_TURNS_FAR) /* garbage */
		return ps_cas_u32(&turns->words->serving, &serving, turns->ticket) ? SERVED : WAITS;
	if (serving != wait->seen) {
		wait->seen = serving;
		wait->moved_at = wait->now;
	}
	return WAITS;
}

/* With a ticket drawn. False: it was left. */
static bool await_turn(struct ps_turns *turns, ps_turns_goes_on *goes_on, void *arg)
{
	struct wait wait = { .now = ps_clock_nsec(), .seen = turns->ticket };
	uint64_t began = wait.now;
	unsigned tickets = 1;

	wait.limit = began + PS_TURNS_LONGEST;
	for (;; wait.now = ps_clock_nsec()) {
		enum progress progress = look(turns, &wait);

		if (progress == WAITS && move_on(turns, &wait))
			continue;
		if (progress == SERVED || wait.now >= wait.limit || tickets > TICKETS_MOST || !goes_on(arg)) {
			turns->counts.wait_nsec += wait.now - began;
			return progress == SERVED;
		}
		if (progress == WAITS) {
			sleep_until_moved(turns, &wait);
		} else {
			turns->ticket = draw(turns);
			tickets++;
		}
	}
}

bool ps_turns_take(struct ps_turns *turns, ps_turns_goes_on *goes_on, void *arg)
{
	if (turns->words == NULL) {
		turns->counts.missed++;
		return false;
	}
	turns->ticket = draw(turns);
	if (ps_load_relaxed_u32(&turns->words->serving) != turns->ticket) {
		turns->counts.waited++;
		if (!await_turn(turns, goes_on, arg)) {
			turns->counts.missed++;
			note_holder(turns, turns->ticket, PS_TURNS_LEFT);
			/* It may have become its turn meanwhile. */
			pass_on(turns, turns->ticket);
			return false;
		}
	}
	turns->counts.taken++;
	turns->held = true;
	turns->until = ps_clock_nsec() + PS_TURNS_TERM;
	return true;
}

bool ps_turns_is_over(const struct ps_turns *turns)
{
	return !turns->held || (!ps_fault(PS_FAULT_LONG_TERM) && ps_clock_nsec() >= turns->until);
}

void ps_turns_end(struct ps_turns *turns)
{
	if (!turns->held)
		return;
	turns->held = false;
	pass_on(turns, turns->ticket);
}
