/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.pml - claim, publish, peek and release on a ring of two slots, with the cached limit
 *
 * What is shown: every ticket is taken once and in order, with the record its producer wrote, whole; no slot is
 * written while somebody else has it; a producer's own order is kept. Parking is park.pml's subject, waiting for room
 * eventcount.pml's: a refused producer here comes back when there is room. Stores leave in program order (x86-64), so
 * R1 and R3 cost nothing.
 *
 * The steps are those of queue/ring.c and ring.h, named at each line. A record is two words, so that a torn one shows.
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  ps_ring_claim takes its ticket by a load and a store in place of the compare-and-swap
 *   BROKEN=2  ps_ring_publish without the release of R1: the sequence is out before the record
 *   BROKEN=3  ps_ring_release without the release of R3: the head is out before the last use of the slot
 *   BROKEN=4  ps_ring_peek does not compare the sequence, but takes whatever is claimed
 *   BROKEN=5  ps_ring_claim moves the limit on without a look at the head (R4)
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif
#define SLOTS 2
#if PRODUCERS == 2
#define SUBMITS 3
#define ALL 6
#else
#define SUBMITS (me == 0 -> 2 : 1) /* twice as many would be a search of minutes */
#define ALL 4
#endif

byte claim = 0; /* the tail; the mark is park.pml's */
byte limit = SLOTS;
byte head = 0;
byte sequence[SLOTS];
byte who[SLOTS], number[SLOTS]; /* the record */
bool in_use[SLOTS]; /* for the assertions alone: from a producer's first write to the consumer's last look */

proctype producer(byte me)
{
	byte tail, bound, now, n = 1;

	do
	:: n > (SUBMITS) -> break
	:: else ->
		/* ps_ring_claim */
		tail = claim;
		bound = limit;
look:
		if
		:: tail >= bound ->
#if BROKEN == 5
			bound = bound + SLOTS;
			limit = bound
#else
			bound = head + SLOTS; /* R4 */
			if
			:: tail >= bound ->
				now = claim;
				if
				:: now == tail -> /* refused; pass_when_room */
					(claim - head < SLOTS);
					tail = claim;
					bound = limit
				:: else -> tail = now
				fi;
				goto look
			:: else -> limit = bound /* the store is not serialised: a later one may be of an older head */
			fi
#endif
		:: else -> skip
		fi;
#if BROKEN == 1
		if
		:: claim == tail -> claim = tail + 1
		:: else -> tail = claim; goto look
		fi;
#else
		atomic { /* P1, the compare-and-swap */
			if
			:: claim == tail -> claim = tail + 1
			:: else -> tail = claim; goto look
			fi
		}
#endif
		/* fill (writer/submit.c) and ps_ring_publish */
#if BROKEN == 2
		sequence[tail % SLOTS] = tail + 1;
#endif
		atomic { assert(!in_use[tail % SLOTS]); in_use[tail % SLOTS] = true; who[tail % SLOTS] = me };
		number[tail % SLOTS] = n;
#if BROKEN != 2
		sequence[tail % SLOTS] = tail + 1; /* R1 */
#endif
		n++
	od
}

proctype consumer()
{
	byte next = 0, from, i;
	byte last[PRODUCERS];

	do
	:: next == ALL -> break
	:: else ->
		/* ps_ring_peek: R2 */
#if BROKEN == 4
		(claim > next);
#else
		(sequence[next % SLOTS] == next + 1);
#endif
#if BROKEN == 3
		head = next + 1;
#endif
		from = who[next % SLOTS];
		assert(number[next % SLOTS] == last[from] + 1);
		last[from]++;
		in_use[next % SLOTS] = false;
		next++;
		if
		:: true ->
			assert(head <= claim && claim <= head + SLOTS && limit <= head + SLOTS); /* invariant 1 */
			head = next /* ps_ring_release: R3 */
		:: next < ALL && sequence[next % SLOTS] == next + 1 -> skip /* a batch: released with the next one */
		fi
	od;
	assert(head == ALL && claim == ALL)
}

init {
	byte i;

	atomic {
		for (i : 0 .. PRODUCERS - 1) { run producer(i) };
		run consumer()
	}
}
