/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handshake.pml - pause, stop and the drain, with two or three producers and a ring of two
 *
 * A producer reads the phase and publishes inside one read section (pass, writer/submit.c); a verb swaps the phase,
 * waits for a grace period (replace, core/state.c), takes the tail as drain_to and leaves a command
 * (writer/control.c); the writer takes every ticket before drain_to and obeys (work and obey_locked,
 * writer/writer.c). A pause may time out and be withdrawn at any moment, and a stop may overtake it. A producer that
 * finds the ring full waits outside of its section and looks anew.
 *
 * What is shown: when the writer is paused or has ended, everything accepted before the verb was taken (with both
 * refusing policies: everything accepted at all); after a withdrawn pause nothing is lost; the writer never works
 * without its connection, and has none while paused; every verb and every producer returns.
 *
 * Claim and publish are one step (ring.pml), the wait for room ends by itself when there is room or the phase has
 * moved (eventcount.pml), and so does the writer's sleep (park.pml). The swap is sequentially consistent: S1 is
 * followed by the grace period, which is a barrier on every thread.
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  replace without the grace period: a submission slips in behind drain_to
 *   BROKEN=2  pause_locked and ps_control_stop_locked take the tail before the move
 *   BROKEN=3  pass leaves its section between the look at the phase and the claim
 *   BROKEN=4  obey_locked moves to PAUSED before it has disconnected
 *   BROKEN=5  work and obey_locked do not look at drain_to
 */
#define RUNNING 0
#define PAUSING 1
#define PAUSED 2
#define STOPPING 3
#define STOPPED 4

#define RUN 0
#define PAUSE 1
#define STOP 2

#ifndef PRODUCERS
#define PRODUCERS 3
#endif
#define SLOTS 2
#if PRODUCERS == 2
#define SUBMITS 2
#else
#define SUBMITS 1
#endif

#if BROKEN == 1
#define GRACE_PERIOD skip
#elif PRODUCERS == 2
#define GRACE_PERIOD atomic { inside[0] != 1 && inside[1] != 1 }
#else
#define GRACE_PERIOD atomic { inside[0] != 1 && inside[1] != 1 && inside[2] != 1 }
#endif

byte phase = RUNNING;
byte command = RUN;
byte drain_to = 0;
bool attention = false;
byte tail = 0;
byte taken = 0;  /* and released */
bool connected = true;
bool ended = false;
byte inside[PRODUCERS]; /* 1: in a read section begun before the last swap, 2: after it */
bool mutex = false;

inline lock() { atomic { !mutex -> mutex = true } }
inline unlock() { mutex = false }

/* ps_state_move: S1 and the grace period, with the mutex held. */
inline move(to) {
	atomic {
		phase = to;
		inside[0] = (inside[0] > 0 -> 1 : 0);
		inside[1] = (inside[1] > 0 -> 1 : 0);
#if PRODUCERS == 3
		inside[2] = (inside[2] > 0 -> 1 : 0)
#endif
	};
	GRACE_PERIOD
}

/* command_locked; the kick is park.pml's. */
#if BROKEN == 2
#define TAKE_TAIL_BEFORE drain_to = tail;
#define TAKE_TAIL_AFTER skip
#else
#define TAKE_TAIL_BEFORE
#define TAKE_TAIL_AFTER drain_to = tail
#endif

proctype producer(byte me)
{
	byte left = SUBMITS, seen;

	do
	:: left == 0 -> break
	:: else ->
		left--;
again:
		inside[me] = 2; /* ps_rcu_enter */
		seen = phase; /* S2 */
#if BROKEN == 3
		inside[me] = 0;
#endif
		if
		:: seen == RUNNING ->
			if
			:: atomic { tail - taken < SLOTS -> tail++; assert(phase != PAUSED && phase != STOPPED) }
			:: tail - taken == SLOTS -> /* pass_when_room */
				inside[me] = 0;
				(tail - taken < SLOTS || phase != RUNNING);
				goto again
			fi
		:: else -> skip /* refused */
		fi;
		inside[me] = 0 /* ps_state_leave */
	od
}

/* pause_locked, and unpause_locked once paused */
proctype pauser()
{
	lock();
	if
	:: phase == RUNNING ->
		TAKE_TAIL_BEFORE
		move(PAUSING);
		TAKE_TAIL_AFTER;
		command = PAUSE; attention = true;
		unlock(); /* ps_control_wait */
		if
		:: phase != PAUSING -> lock()
		:: lock(); /* the deadline */
			if
			:: phase == PAUSING -> /* withdraw_locked */
				command = RUN; attention = false;
				move(RUNNING)
			:: else -> skip
			fi
		fi;
		if
		:: phase == PAUSED ->
			assert(!connected && taken == tail);
			command = RUN; attention = false;
			unlock();
			(phase != PAUSED);
			lock()
		:: else -> skip
		fi
	:: else -> skip
	fi;
	unlock()
}

/* ps_control_stop_locked; the move to STOPPED is the writer's in C, with the mutex held too */
proctype stopper()
{
	lock();
	if
	:: phase == RUNNING || phase == PAUSING ->
		TAKE_TAIL_BEFORE
		move(STOPPING);
		TAKE_TAIL_AFTER;
		command = STOP; attention = true
	:: phase == PAUSED ->
		move(STOPPING);
		drain_to = 0; command = STOP; attention = true
	fi;
	unlock();
	ended;
	lock();
	move(STOPPED);
	assert(taken == tail && !connected);
	unlock()
}

proctype writer()
{
	do
	:: /* work */
		do
		:: attention ->
			lock();
			if
#if BROKEN == 5
			:: command != RUN -> break
#else
			:: command != RUN && taken >= drain_to -> break /* with the mutex */
#endif
			:: else -> unlock()
			fi;
			if
			:: taken < tail && (command == RUN || taken < drain_to) -> assert(connected); taken++
			:: else -> skip
			fi
		:: !attention && taken < tail -> assert(connected); taken++
		od;
		/* obey_locked */
		do
#if BROKEN == 5
		:: command == RUN ->
#else
		:: command == RUN || taken < drain_to ->
#endif
			if
			:: !connected -> unlock(); connected = true; lock()
			:: else ->
				if
				:: phase == PAUSED -> move(RUNNING)
				:: else -> skip
				fi;
				break
			fi
		:: else ->
			if
			:: command == STOP -> goto out
			:: else ->
				if
				:: connected ->
#if BROKEN == 4
					if
					:: phase == PAUSING -> move(PAUSED)
					:: else -> skip
					fi;
#endif
					unlock(); connected = false; lock() /* disconnect */
				:: else ->
					if
					:: phase == PAUSING -> move(PAUSED)
					:: else -> skip
					fi;
					unlock();
					(command != PAUSE); /* wait_for_command */
					lock()
				fi
			fi
		od;
		unlock()
	od;
out:
	unlock();
	connected = false;
	ended = true
}

init {
	byte i;

	atomic {
		for (i : 0 .. PRODUCERS - 1) { run producer(i) };
		run pauser(); run stopper();
		run writer()
	}
}
