/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.pml - bytes of the ring, and the line of those that were passed
 *
 * Producers of one byte each that submit again and again, and one or two that want more than the bound, which they get only when
 * nothing is counted. Whoever waits looks as enqueue_when_room (writer/submit.c) does; a large one that lacked bytes gets in line
 * (queue/turn.c), and a small one may. The consumer takes what is there, gives the bytes back, and wakes all when it finds the
 * ring empty (ps_ring_park). One large one may give up at any moment (its deadline).
 *
 * What is shown: once one is first in line each other producer gets in at most once before it, having looked at the line before;
 * and nobody sleeps for ever. Waking by ps_ring_release is left out (eventcount.pml): without it the wakes here must do.
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  ps_ring_reserve_bytes does not look at the line
 *   BROKEN=2  who leaves the line does not wake the others
 *   BROKEN=3  who leaves the line does not make the next one the first, though it is in line
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif
#if PRODUCERS == 2
#define SMALLS 2
#else
#define SMALLS 1 /* and two that want all */
#endif
#define ALL 3
#define SUBMITS 2
#define BOUND 2
#define MORE 3 /* than the bound */
#define NOBODY 255

byte used = 0;
byte first = NOBODY;
chan line = [ALL] of { byte };
chan ring = [ALL] of { byte }; /* sizes; never full: only bytes are lacking here */
byte passes[ALL]; /* how often each got in since the first in line is first */

/* As in eventcount.pml: a waiter that has its key and does not sleep yet is PREPARED, and MOVED once the key is old. */
#define AWAKE 0
#define PREPARED 1
#define MOVED 2
#define ASLEEP 3
byte state[ALL];
byte leaving = 0;
byte give_ups = 1;

inline wake_all() {
	atomic {
		for (who : 0 .. ALL - 1) {
			state[who] = (state[who] == PREPARED -> MOVED : (state[who] == ASLEEP -> AWAKE : state[who]))
		};
		who = 0
	}
}

inline note_first() {
	if
	:: nempty(line) -> line ? <first>
	:: else -> first = NOBODY
	fi;
	for (who : 0 .. ALL - 1) { passes[who] = 0 };
	who = 0
}

proctype producer(byte me; byte size)
{
	byte n = 0, who;
	bool in_line, may;

	do
	:: n == SUBMITS || (size == MORE && n == 1) -> break
	:: else ->
		n++;
		in_line = false;
		do
		:: true ->
			state[me] = PREPARED; /* E1 */
#if BROKEN == 1
			may = true;
#else
			may = (first == NOBODY || first == me);
#endif
			if
			:: atomic {
				may && (used == 0 || used + size <= BOUND) ->
				used = used + size; ring ! size; state[me] = AWAKE;
				if
				:: first != NOBODY && first != me -> passes[me]++; assert(passes[me] <= 1)
				:: else -> skip
				fi
			}; break
			:: atomic { !(may && (used == 0 || used + size <= BOUND)) -> skip }
			fi;
			if
			:: atomic { size == MORE && give_ups > 0 -> give_ups--; state[me] = AWAKE }; break
			:: !in_line ->
				state[me] = AWAKE;
				atomic { line ! me; in_line = true; if :: first == NOBODY -> note_first() :: else -> skip fi }
			:: in_line || size != MORE ->
				atomic {
					if
					:: state[me] == PREPARED -> state[me] = ASLEEP
					:: else -> state[me] = AWAKE
					fi
				};
				(state[me] == AWAKE)
			fi
		od;
		if
		:: in_line ->
			atomic {
				line ?? eval(me);
#if BROKEN == 3
				first = NOBODY;
				if
				:: nempty(line) -> first = me
				:: else -> skip
				fi
#else
				if
				:: first == me -> note_first()
				:: else -> skip
				fi
#endif
			};
#if BROKEN != 2
			wake_all()
#endif
		:: else -> skip
		fi
	od;
	leaving++
}

proctype consumer()
{
	byte size, who;

	do
	:: atomic { nempty(ring) -> ring ? size; used = used - size; size = 0 }
	:: empty(ring) ->
		wake_all(); /* ps_ring_park */
		if
		:: nempty(ring)
		:: empty(ring) && leaving == ALL -> break
		fi
	od;
	assert(used == 0 && first == NOBODY)
}

init {
	byte i;

	atomic {
		for (i : 0 .. SMALLS - 1) { run producer(i, 1) };
		for (i : SMALLS .. ALL - 1) { run producer(i, MORE) };
		run consumer()
	}
}
