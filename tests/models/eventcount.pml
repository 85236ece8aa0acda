/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * eventcount.pml - waiting for room in a ring of two, and for progress of the head
 *
 * Producers claim, or wait for room as pass_when_room (writer/submit.c) does; one thread flushes; the consumer takes
 * what is there, releases, and wakes some producers, at most one for each free slot (ps_ring_release), all of them when it
 * finds the ring empty (ps_ring_park). A producer that waits may give up at any moment (its deadline), even when it
 * was just woken for a slot.
 *
 * What is shown: no producer sleeps for ever while there is room, and no flush sleeps for ever once the head has
 * passed. The consumer's store of the head waits in its store buffer (x86-64) until the fence E2 or until it leaves
 * by itself; the other stores that matter are full barriers (E1, the adds of queue/park.c). Claim and publish are one
 * step here (ring.pml), and so is the consumer's own sleep (park.pml).
 *
 * The futex is a queue, oldest first; with two producers a wake-up without a cause is included, and the thread that
 * flushes. (That ps_ring_release wakes at all is for speed: without it the broadcast of ps_ring_park would do.)
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  ps_eventcount_waited without the fence (E2)
 *   BROKEN=2  pass_when_room sleeps without the second look after ps_eventcount_prepare (E1)
 *   BROKEN=3  ps_eventcount_wake does not move the sequence
 *   BROKEN=4  ps_ring_park without its broadcast: those that gave up took the wakes of those that did not
 *   BROKEN=5  ps_ring_release without the look at those who wait for progress
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif
#define SLOTS 2
#define SUBMITS 1
#if PRODUCERS == 2
#define FLUSHES /* with three it would be a search of minutes */
#endif

byte tail = SLOTS; /* it begins full */
byte head = 0;
byte head_buffered = 0; /* the consumer's store of it, on its way; 0: none */

byte room_waiters = 0;
chan room = [PRODUCERS] of { byte }; /* who sleeps in the kernel */
byte progress_waiters = 0;

/*
 * Instead of the sequence and the key, which would make a new state of each move: a waiter that has its key and does
 * not sleep yet is PREPARED, and MOVED once the sequence is no longer its key.
 */
#define AWAKE 0
#define PREPARED 1
#define MOVED 2
#define ASLEEP 3
byte state[PRODUCERS], flusher_state = AWAKE;

byte leaving = 0; /* producers that are through */
#ifdef FLUSHES
byte give_ups = 1;
byte spurious = 1;
#else
byte give_ups = 2;
byte spurious = 0;
#endif

proctype producer(byte me)
{
	byte n = 0;

	do
	:: n == SUBMITS -> break
	:: else ->
		n++;
		if
		:: atomic { tail - head < SLOTS -> tail++ } /* pass */
		:: tail - head >= SLOTS -> /* pass_when_room */
			do
			:: true ->
				room_waiters++; /* ps_eventcount_prepare: E1 */
				state[me] = PREPARED;
				if
#if BROKEN != 2
				:: atomic { tail - head < SLOTS -> tail++; state[me] = AWAKE }; room_waiters--; break
#endif
#if BROKEN == 2
				:: true -> skip
#else
				:: tail - head >= SLOTS -> skip
#endif
				fi;
				/* ps_eventcount_wait */
				atomic {
					if
					:: state[me] == PREPARED -> state[me] = ASLEEP; room ! me
					:: else -> state[me] = AWAKE
					fi
				}
				if
				:: state[me] == AWAKE
				:: atomic {
					state[me] == ASLEEP && spurious > 0 ->
					spurious--; room ?? eval(me); state[me] = AWAKE
				}
				fi;
				room_waiters--; /* ps_eventcount_cancel */
				/* The deadline, even if it was woken: in C one more pass comes first, which may fail. */
				if
				:: atomic { give_ups > 0 -> give_ups-- }; break
				:: true -> skip
				fi
#if BROKEN == 2
				;
				if
				:: atomic { tail - head < SLOTS -> tail++ }; break
				:: tail - head >= SLOTS -> skip
				fi
#endif
			od
		fi
	od;
	leaving++
}

#ifdef FLUSHES
/* penstock_flush */
proctype flusher()
{
	byte target;

	target = tail;
	do
	:: true ->
		progress_waiters++; /* ps_eventcount_prepare: E1 */
		flusher_state = PREPARED;
		if
		:: head >= target -> flusher_state = AWAKE; progress_waiters--; break
		:: else -> skip
		fi;
		atomic {
			if
			:: flusher_state == PREPARED -> flusher_state = ASLEEP
			:: else -> flusher_state = AWAKE
			fi
		}
		(flusher_state == AWAKE);
		progress_waiters--
	od
}
#endif

#if BROKEN == 1
#define E2 skip
#else
#define E2 (head_buffered == 0)
#endif

inline wake_room() {
	/* ps_eventcount_wake, the oldest first */
#if BROKEN != 3
	atomic {
		for (who : 0 .. PRODUCERS - 1) { state[who] = (state[who] == PREPARED -> MOVED : state[who]) }
	};
#endif
	atomic {
		do
		:: count > 0 && nempty(room) -> room ? who; state[who] = AWAKE; count--
		:: else -> break
		od;
		count = 0; who = 0
	}
}

proctype consumer()
{
	byte next = 0, waved_at = 0, free, count, who;

	do
	:: atomic { next < tail -> next++ }; /* ps_ring_peek, the batch */
		if
		:: true -> skip
		:: atomic { next < tail -> next++ }
		fi;
		/* ps_ring_release: R3 */
		atomic { head_buffered == 0 -> head_buffered = next };
		E2;
		if
		:: room_waiters != 0 ->
			atomic { free = SLOTS - (tail - next) };
			if
			:: free > 0 && next != waved_at ->
				/* ring->wave, which is learnt: any number */
				if
				:: count = 1
				:: count = free
				fi;
				wake_room();
				waved_at = next
			:: else -> skip
			fi;
			count = 0; free = 0
		:: else -> waved_at = next
		fi;
#if BROKEN != 5
		if
		:: progress_waiters != 0 ->
			/* ps_eventcount_wake */
			flusher_state = (flusher_state == PREPARED -> MOVED : flusher_state);
			flusher_state = (flusher_state == ASLEEP -> AWAKE : flusher_state)
		:: else -> skip
		fi
#endif
	:: next == tail ->
		/* ps_ring_park: ps_eventcount_broadcast */
#if BROKEN != 4
		E2;
		if
		:: room_waiters != 0 -> count = PRODUCERS; wake_room()
		:: else -> skip
		fi;
#endif
		if
		:: atomic { next == tail && leaving == PRODUCERS && head_buffered == 0 -> break }
		:: next != tail -> skip
		fi
	od;
	assert(head == tail)
}

proctype buffer_of_consumer()
{
end:	do
	:: atomic { head_buffered != 0 -> head = head_buffered; head_buffered = 0 }
	od
}

init {
	byte i;

	atomic {
		for (i : 0 .. PRODUCERS - 1) { run producer(i) };
#ifdef FLUSHES
		run flusher();
#endif
		run consumer(); run buffer_of_consumer()
	}
}
