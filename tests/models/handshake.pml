/*
 * handshake.pml - pause, stop and the drain, with two producers
 *
 * A producer reads the phase and publishes inside one read section; a verb swaps the phase, waits for a grace period (all
 * sections that were open have ended), takes the tail as drain_to and leaves a command; the writer takes every ticket before
 * drain_to and obeys. A pause may time out and be withdrawn at any moment, and a stop may overtake it.
 *
 * What is shown: when the writer is paused or has ended, everything accepted before the verb was taken (with both refusing
 * policies: everything accepted at all); after a withdrawn pause nothing is lost; every verb returns.
 */
#define RUNNING 0
#define PAUSING 1
#define PAUSED 2
#define STOPPING 3
#define STOPPED 4

#define RUN 0
#define PAUSE 1
#define STOP 2

#define PRODUCERS 2

#ifdef BROKEN /* the control: without the grace period a submission slips in behind drain_to, and spin must find that */
#define GRACE_PERIOD skip
#else
#define GRACE_PERIOD atomic { inside[0] != 1 && inside[1] != 1 }
#endif
#define SUBMITS 2

byte phase = RUNNING;
byte command = RUN;
byte drain_to = 0;
bool attention = false;
byte tail = 0;   /* claimed and published in one step: holes are park.pml's subject */
byte taken = 0;
bool connected = true;
bool ended = false;
byte inside[PRODUCERS]; /* 1: in a read section begun before the last swap, 2: after it */
bool mutex = false;

inline lock() { atomic { !mutex -> mutex = true } }
inline unlock() { mutex = false }

/* Swap and grace period, with the mutex held as the verbs do. */
inline move(to) {
	atomic { phase = to; d_step { inside[0] = (inside[0] > 0 -> 1 : 0); inside[1] = (inside[1] > 0 -> 1 : 0) } };
	GRACE_PERIOD
}

proctype producer(byte me)
{
	byte left = SUBMITS, seen;

	do
	:: left == 0 -> break
	:: else ->
		left--;
		inside[me] = 2;
		seen = phase;
		if
		:: seen == RUNNING -> atomic { tail++; assert(phase != PAUSED && phase != STOPPED) }
		:: else -> skip /* refused */
		fi;
		inside[me] = 0
	od
}

proctype pauser()
{
	lock();
	if
	:: phase == RUNNING ->
		move(PAUSING);
		drain_to = tail; command = PAUSE; attention = true;
		unlock();
		if
		:: phase != PAUSING -> lock()
		:: lock(); /* the deadline */
		   if
		   :: phase == PAUSING -> command = RUN; attention = false; move(RUNNING)
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

proctype stopper()
{
	lock();
	if
	:: phase == RUNNING || phase == PAUSING ->
		move(STOPPING);
		drain_to = tail; command = STOP; attention = true
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
			:: command != RUN && taken >= drain_to -> break /* with the mutex */
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
		:: command == RUN || taken < drain_to ->
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
				:: connected -> unlock(); connected = false; lock()
				:: else ->
					if
					:: phase == PAUSING -> move(PAUSED)
					:: else -> skip
					fi;
					unlock();
					(command != PAUSE); /* the condition */
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
	atomic {
		run producer(0); run producer(1);
		run pauser(); run stopper();
		run writer()
	}
}
