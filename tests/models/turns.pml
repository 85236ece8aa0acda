/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turns.pml - processes that take turns at one file, with deaths, processes that stop, and tickets that are left
 *
 * Each draws a ticket and waits until it is served (writer/sqlite/turns.c). At any moment one may be killed, one may be stopped (and
 * go on at any time later), and one may leave its ticket. Whoever waits sleeps on the word, with the value that it has seen; it is woken
 * when its ticket is served. A sleep also ends by the clock, but only where that is what the protocol relies on: when whose turn it is is
 * dead, has left, or has stopped. So a wake that is lost shows as a process that sleeps for ever.
 *
 * What is shown: everybody who is alive has its turns and comes to the end. Unless a stopped one was skipped no two have their turn at
 * once, and `serving` passes nobody who is alive and waits.
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  the turn ends by a store, not a CAS: a late holder takes the turn of another
 *   BROKEN=2  whoever goes to sleep does not look whether `serving` is still as it was seen
 *   BROKEN=3  who ends its turn looks for somebody with a ticket before it moves `serving`
 *   BROKEN=4  a skip moves `serving` on by two when two skip at once (no CAS)
 *   BROKEN=5  a ticket that was left is not passed over
 *   BROKEN=6  the dead are not succeeded
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif
#if PRODUCERS == 2
#define TURNS 2
#else
#define TURNS 1
#endif
#define TICKETS 12
#define NOBODY 15

/* What of a ticket can be seen by others. */
#define UNDRAWN 0
#define WAITS 1
#define LEFT 2
#define DONE 3

byte tail = 0;
byte serving = 0;
byte owner[TICKETS] = NOBODY;
byte noted[TICKETS] = UNDRAWN;
byte asleep_with[PRODUCERS] = NOBODY; /* a ticket */
bool stopped[PRODUCERS];
bool dead[PRODUCERS];
byte inside = 0;
bool skips = false; /* there was one: turns may overlap */
byte kills = 1, stops = 1, leaves = 1;
byte ended = 0;

/* The next point of a process: it may be killed here, or stop for a while. */
inline point() {
	if
	:: true
	:: atomic { kills > 0 -> kills--; dead[me] = true; if :: holds -> inside-- :: else fi; ended++ }; goto killed
	:: atomic { stops > 0 -> stops--; stopped[me] = true }; atomic { true -> stopped[me] = false }
	fi
}

inline wake(ticket) {
	atomic {
		for (who : 0 .. PRODUCERS - 1) {
			if
			:: asleep_with[who] == ticket -> asleep_with[who] = NOBODY
			:: else
			fi
		};
		who = 0
	}
}

/* pass_on */
inline pass_on(ticket) {
	next = ticket;
	do
	:: true ->
#if BROKEN == 3
		found = (tail != next + 1);
#endif
#if BROKEN == 1
		serving = next + 1;
#else
		atomic {
			if
			:: serving == next ->
				assert(noted[next] == LEFT || noted[next] == DONE || dead[owner[next]] || skips);
				serving = next + 1
			:: else -> break
			fi
		};
#endif
		next++;
#if BROKEN != 3
		found = (tail != next);
#endif
		if
		:: found && noted[next] == LEFT -> skip
		:: found && noted[next] != LEFT -> wake(next); break
		:: else -> break
		fi
	od;
	next = 0; found = false
}

proctype process(byte me)
{
	byte n = 0, ticket, seen, next, who;
	bool holds = false, found = false;

	do
	:: n == TURNS -> break
	:: else ->
		n++;
again:
		point();
		atomic { ticket = tail; tail++; owner[ticket] = me };
		noted[ticket] = WAITS;
		point();
		seen = serving;
		do
		:: seen == ticket ->
			atomic { holds = true; inside++; assert(inside <= 1 || skips) };
			break
		:: seen > ticket -> goto again
		:: seen < ticket ->
			if
			:: atomic { leaves > 0 -> leaves-- };
				noted[ticket] = LEFT;
				pass_on(ticket);
				break
			/* It does not move: it is seen to be over, or its process stands still. */
			:: atomic { serving == seen && owner[seen] != NOBODY && (noted[seen] == LEFT || dead[owner[seen]]) };
				if
#if BROKEN == 5
				:: noted[seen] == LEFT -> false
#endif
#if BROKEN == 6
				:: dead[owner[seen]] -> false
#endif
				:: else -> pass_on(seen)
				fi
			:: atomic { serving == seen && owner[seen] != NOBODY && stopped[owner[seen]] -> skips = true };
#if BROKEN == 4
				found = (serving == seen);
				if
				:: found -> found = false; serving = serving + 1; assert(noted[serving - 1] != WAITS || owner[serving - 1] == NOBODY || serving - 1 == seen); wake(serving)
				:: else
				fi
#else
				pass_on(seen)
#endif
#if BROKEN == 2
			:: asleep_with[me] = ticket;
#else
			:: atomic { serving == seen -> asleep_with[me] = ticket };
#endif
				if
				:: asleep_with[me] == NOBODY
				:: atomic { asleep_with[me] != NOBODY && owner[serving] != NOBODY &&
					(noted[serving] == LEFT || dead[owner[serving]] || stopped[owner[serving]]) ->
					asleep_with[me] = NOBODY }
				fi
			:: serving != seen
			fi;
			seen = serving
		od;
		if
		:: holds ->
			point();
			atomic { holds = false; inside-- };
			noted[ticket] = DONE;
			pass_on(ticket)
		:: else
		fi;
		point()
	od;
	ended++;
killed:
	skip
}

init {
	byte i;

	atomic {
		for (i : 0 .. PRODUCERS - 1) { run process(i) }
	};
	(ended == PRODUCERS)
}
