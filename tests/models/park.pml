/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * park.pml - the claim word: claim, publish, park and kick, for two or three producers and a control verb
 *
 * What is shown: with any interleaving the consumer takes every ticket in order, stops only when told, and never
 * sleeps with something published or the attention word set (no lost wake-up). A spurious wake-up is included. The
 * steps are those of queue/ring.c, in program order, with one thing the machine (x86-64) may do: the verb's store of
 * the attention word waits in its store buffer until a full barrier or until it leaves by itself. The other stores
 * that matter are compare-and-swaps, or the publication (R1), which an owing producer's wake (a system call) follows.
 *
 * claim = tail * 2 + parked. The futex is modelled by what it promises: wait returns at once when the word differs;
 * wake wakes whoever waits.
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  ps_ring_park without the second look at the attention word (P4)
 *   BROKEN=2  ps_ring_kick without the fence (P3)
 *   BROKEN=3  ps_ring_publish without the wake that clearing the mark obliges to (P1)
 *   BROKEN=4  ps_ring_park sets the mark by a look and a store in place of the compare-and-swap (P2)
 *   BROKEN=5  ps_ring_park sleeps on whatever the word is by then (the futex's own comparison left out)
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif

#if BROKEN == 1
#define SECOND_LOOK true
#else
#define SECOND_LOOK !attention
#endif

byte claim = 0;
bool published[PRODUCERS];
bool attention = false;
bool buffered = false; /* the verb's store of it, on its way */
bool sleeping = false; /* in the kernel */
byte taken = 0;
byte spurious = 1; /* wake-ups without a cause that may still come: were they free, they would hide a lost one */

/* penstock_submit as far as it matters here: ps_ring_claim, ps_ring_publish */
proctype producer()
{
	byte word, ticket;
	bool owes;

again:
	word = claim;
	ticket = word / 2;
	atomic { /* P1 */
		if
		:: claim == word -> claim = (ticket + 1) * 2
		:: else -> goto again
		fi
	}
	owes = word % 2;
	published[ticket] = true; /* R1 */
#if BROKEN != 3
	if
	:: owes -> sleeping = false /* wake_consumer */
	:: else -> skip
	fi
#endif
}

/* command_locked (writer/control.c): the attention word, then ps_ring_kick */
proctype verb()
{
	byte word;

	buffered = true;
#if BROKEN != 2
	(!buffered); /* P3 */
#endif
	word = claim;
	do
	:: word % 2 == 0 -> break
	:: else ->
		atomic {
			if
			:: claim == word -> claim = word - 1; word = 255
			:: else -> word = claim
			fi
		}
		if
		:: word == 255 -> sleeping = false; break /* wake_consumer */
		:: else -> skip
		fi
	od
}

proctype buffer_of_verb()
{
	buffered;
	atomic { attention = true; buffered = false }
}

/* work and wait_for_work (writer/writer.c), with ps_ring_peek and ps_ring_park */
proctype consumer()
{
	bool swapped;

	do
	:: taken < PRODUCERS && published[taken] -> /* R2 */
		taken++
	:: taken == PRODUCERS && attention -> break
	:: else ->
		if
		:: attention && claim / 2 == taken -> /* would obey; the model goes on until all is taken */
			(taken < PRODUCERS -> published[taken] : true)
		:: else ->
#if BROKEN == 4
			if
			:: claim == taken * 2 -> claim = taken * 2 + 1; swapped = true
			:: else -> swapped = false
			fi;
#else
			atomic { /* P2 */
				if
				:: claim == taken * 2 -> claim = taken * 2 + 1; swapped = true
				:: else -> swapped = false /* WORK or HOLE: looks again */
				fi
			}
#endif
			if
			:: swapped && SECOND_LOOK -> /* P4 */
				do
				:: claim == taken * 2 + 1 ->
					atomic { /* ps_futex_wait looks at the word and queues in one step */
						if
#if BROKEN == 5
						:: true -> sleeping = true
#else
						:: claim == taken * 2 + 1 -> sleeping = true
						:: else -> skip
#endif
						fi
					}
					if
					:: !sleeping
					:: sleeping && spurious > 0 -> spurious--; sleeping = false
					fi
				:: else -> break
				od
			:: else -> skip
			fi;
			atomic { /* takes the mark back */
				if
				:: claim == taken * 2 + 1 -> claim = taken * 2
				:: else -> skip
				fi
			}
		fi
	od;
	assert(claim / 2 == PRODUCERS && !sleeping)
}

init {
	byte i;

	atomic {
		for (i : 1 .. PRODUCERS) { run producer() };
		run verb(); run buffer_of_verb();
		run consumer()
	}
}
