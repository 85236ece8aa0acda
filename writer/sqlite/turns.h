/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turns.h - engines of several processes take turns at one file
 *
 * SQLite's lock decides who writes, and is unfair: who lets go of it is awake and takes it again, while the others sleep between
 * two looks. So before an engine asks for that lock it waits for its turn, and behind the commit it ends it. Turns are courtesy,
 * never correctness: whoever has none goes on as if there were no turns, and counts that.
 *
 * A turn may cover several transactions of one engine, for PS_TURNS_TERM: another process must be woken for its turn, and what it has
 * read of the database before is of no use to it then, which costs as much as a short transaction. store.h says when it goes on.
 *
 * Two words in memory that all processes map (beside.h): `tail`, the next ticket, and `serving`, the one whose turn it is.
 *
 *     take    t = tail++; wait until serving == t
 *     end     serving: t -> t + 1 (CAS), and wake that ticket alone
 *     skip    serving has not moved for 20 ms: any of those that wait moves it on, once for all of them
 *     succeed whose turn it is does not live any more: moved on at once
 *     leave   who does not want its ticket any more says so beside it, and is passed over
 *
 * Who has a ticket is noted in `holders`: the ticket's upper bits, and the number of the byte of which its process holds a lock
 * (an OFD lock, gone with the process). A stopped process lives, so its turn is skipped.
 *
 * Invariants
 *   1. Any content of the words is legal, and may change under whoever waits. A ticket from which `serving` is further away than
 *      PS_TURNS_FAR is served now; one that `serving` has passed is void, and another is taken.
 *   2. A wait ends: when nothing moves for 20 ms somebody moves it, and at the latest after PS_TURNS_LONGEST it is given up.
 *   3. As long as nothing was skipped or reset one engine at a time has its turn. A skip moves `serving` by one, whoever does it.
 *   4. Nobody sleeps through its turn: tickets are drawn before the look at `serving`, and `serving` moves before the look at `tail`.
 *   5. There is no pthread object in the file: each C library lays them out in its own way, and a robust mutex would have pointers there.
 *      Words of 32 bits and the futex are the same for every process of the machine.
 *
 * Failure modes
 *   - A holder that is stopped within its transaction holds everybody up, as SQLite has it: the others' turns are skipped in order,
 *     and all of them ask for the lock each millisecond.
 *   - A late holder, whose turn was skipped, may overlap with the next. SQLite's lock decides.
 *   - A ticket whose process was killed between drawing and noting it is taken for a stopped one. So is one whose byte another
 *     process has by now.
 *   - Memory that was cut off ends the process with SIGBUS, as of SQLite's -shm.
 */
#ifndef PENSTOCK_TURNS_H
#define PENSTOCK_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"
#include "writer/store.h"

#define PS_TURNS_UNMOVED (20 * PS_NSEC_PER_MSEC)
#define PS_TURNS_LONGEST (2 * PS_NSEC_PER_SEC)
/*
 * Measured with 2 to 8 processes whose threads wait, without syncs: with 200 us they write as much as without turns (0.7 to 1.0 of it
 * with a turn for each transaction), with half of that nearly so; with more nothing is gained, and who has much to write gets
 * more than others.
 */
#define PS_TURNS_TERM (200 * PS_NSEC_PER_USEC)
#define PS_TURNS_FAR 1024

#define PS_TURNS_HOLDERS 512
#define PS_TURNS_PLACE_BITS 10
/* Places are below this. */
#define PS_TURNS_PLACES 1022
#define PS_TURNS_NO_PLACE 1022 /* its process has no lock to show that it lives */
#define PS_TURNS_LEFT 1023     /* nobody waits with that ticket any more */

/* In the file; each word that is written by all on a line of its own. */
struct ps_turns_words {
	uint32_t tail;
	uint32_t unused_1[31];
	uint32_t serving;
	uint32_t unused_2[31];
	uint32_t holders[PS_TURNS_HOLDERS]; /* by ticket */
};

struct ps_turns {
	struct ps_turns_words *words; /* NULL: there are no turns */
	unsigned place;
	bool (*lives)(void *arg, unsigned place); /* whether a process has that byte's lock, as far as can be told */
	void *arg;
	bool held;
	uint32_t ticket; /* while held, or waited for */
	uint64_t until;  /* while held: when its term is over */
	struct ps_turn_counts counts;
};

/* Asked each few milliseconds of a wait: false gives it up. */
typedef bool ps_turns_goes_on(void *arg);

/* Waits for the turn. False: none, and nothing is to be ended. Not while it is held. */
bool ps_turns_take(struct ps_turns *turns, ps_turns_goes_on *goes_on, void *arg);
/* Without a turn it does nothing. */
void ps_turns_end(struct ps_turns *turns);
/* Whether another transaction is to wait for another turn. */
bool ps_turns_is_over(const struct ps_turns *turns);

#endif
