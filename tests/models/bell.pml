/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bell.pml - handles: complete, wait, release, and the one bell that all waiters sleep on
 *
 * Each producer has a handle. It waits for the outcome or gives up, and lets go of the handle. The writer completes
 * the handles in two batches and rings once after each, for the bits of those that sleep. Handles 0 and 2 share a
 * bit.
 *
 * What is shown: nobody who waits for an outcome sleeps for ever; whoever sees DONE sees the outcome; each handle is
 * freed once, by the last to leave, and not touched after that. The adds and compare-and-swaps are full barriers (H1,
 * B2), and the waiter only loads after its own (x86-64 keeps loads in order), so no store buffer matters here.
 *
 * The steps are those of core/outcome.c.
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  ps_bell_ring before ps_handle_complete (B2)
 *   BROKEN=2  sleep_until looks for DONE before it reads the bell (B1)
 *   BROKEN=3  sleep_until does not set WAITED
 *   BROKEN=4  ps_handle_complete sets DONE by a load and a store in place of the add
 *   BROKEN=5  ps_handle_complete sets DONE before the outcome is written (H1)
 *   BROKEN=6  ps_bell_ring wakes without moving the bell
 *   BROKEN=7  ps_handle_complete looks at the handle again after its add (invariant 3)
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif
#define DONE 1
#define RELEASED 2
#define WAITED 4

byte word[PRODUCERS];
bool outcome[PRODUCERS];
byte freed[PRODUCERS];
byte rung = 0;
bool sleeping[PRODUCERS]; /* in the kernel, for the bit of the handle */
byte spurious = 1;
byte through = 0; /* waiters, and the writer */

#define BIT(handle) ((handle) % 2)

proctype waiter(byte me)
{
	byte seen, bell;
	bool released;

	/* ps_handle_wait_until, and sleep_until from the mark on */
	seen = word[me]; /* H2 */
	do
	:: (seen & (DONE | WAITED)) == 0 ->
#if BROKEN == 3
		break
#else
		atomic {
			if
			:: word[me] == seen -> word[me] = seen | WAITED; break
			:: else -> seen = word[me]
			fi
		}
#endif
	:: else -> break
	od;
	do
	:: true ->
#if BROKEN != 2
		bell = rung; /* B1 */
#endif
		seen = word[me];
		if
		:: seen & DONE -> assert(outcome[me]); break
		:: else -> skip
		fi;
		if
		:: true -> skip
		:: true -> break /* the deadline */
		fi;
#if BROKEN == 2
		bell = rung;
#endif
		atomic { /* ps_futex_wait */
			if
			:: rung == bell -> sleeping[me] = true
			:: else -> skip
			fi
		}
		if
		:: !sleeping[me]
		:: atomic { sleeping[me] && spurious > 0 -> spurious--; sleeping[me] = false }
		fi
	od;
	/* penstock_handle_release */
	assert(freed[me] == 0);
	atomic { seen = word[me]; assert((seen & RELEASED) == 0); word[me] = seen | RELEASED };
	if
	:: seen & DONE -> freed[me]++ /* recycle */
	:: else -> skip
	fi;
	through++
}

inline complete(handle) {
	/* ps_handle_complete */
	assert(freed[handle] == 0);
#if BROKEN != 5
	outcome[handle] = true;
#endif
#if BROKEN == 4
	before = word[handle];
	word[handle] = before | DONE;
#else
	atomic { before = word[handle]; word[handle] = before | DONE }; /* H1 */
#endif
#if BROKEN == 5
	outcome[handle] = true;
#endif
#if BROKEN == 7
	before = word[handle];
	assert(freed[handle] == 0);
#endif
	if
	:: before & RELEASED -> freed[handle]++
	:: (before & (RELEASED | WAITED)) == WAITED -> bits = bits | (1 << BIT(handle))
	:: else -> skip
	fi
}

inline ring_bell() {
	/* ps_bell_ring */
	if
	:: bits != 0 ->
#if BROKEN != 6
		rung++; /* B2 */
#endif
		atomic {
			for (i : 0 .. PRODUCERS - 1) {
				if
				:: bits & (1 << BIT(i)) -> sleeping[i] = false
				:: else -> skip
				fi
			}
			bits = 0; i = 0
		}
	:: else -> skip
	fi
}

/* ps_entries_deliver (writer/entries.c), twice */
proctype writer()
{
	byte before, bits, i;

#if BROKEN == 1
	bits = 3;
	ring_bell();
	complete(0);
	complete(1);
#else
	complete(0);
	complete(1);
	ring_bell();
#endif
#if PRODUCERS > 2
#if BROKEN == 1
	bits = 3;
	ring_bell();
	complete(2);
#else
	complete(2);
	ring_bell();
#endif
#endif
	through++
}

/* At the end both have left every handle, and it was freed once. */
proctype judge()
{
	byte i;

	(through == PRODUCERS + 1);
	for (i : 0 .. PRODUCERS - 1) { assert(freed[i] == 1 && word[i] & DONE) }
}

init {
	byte i;

	atomic {
		for (i : 0 .. PRODUCERS - 1) { run waiter(i) };
		run writer();
		run judge()
	}
}
