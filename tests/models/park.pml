/*
 * park.pml - the claim word: claim, publish, park and kick, for three producers and a control verb
 *
 * What is shown: with any interleaving the consumer takes every ticket in order, stops only when told, and never sleeps
 * with something published or the attention word set (no lost wake-up). Spurious wake-ups are included. Steps are atomic
 * and in program order: the model is about the protocol; the orderings of the machine are argued at the labels.
 *
 * claim = tail * 2 + parked, as in queue/ring.c. The futex is modelled by what it promises: wait returns at once when the
 * word differs; wake wakes whoever waits.
 */
#define PRODUCERS 3

#ifdef BROKEN /* the control: without the second look a kick can be missed, and spin must find that */
#define LOOK_AGAIN true
#else
#define LOOK_AGAIN !attention
#endif

byte claim = 0;
bool published[PRODUCERS];
bool attention = false;
bool sleeping = false; /* in the kernel */
byte taken = 0;
byte spurious = 1; /* wake-ups without a cause that may still come: were they free, they would hide a lost one */
bool finished = false;

proctype producer()
{
	byte word, ticket;
	bool woken_by_me;

again:
	word = claim;
	ticket = word / 2;
	atomic { /* P1: compare and swap */
		if
		:: claim == word -> claim = (ticket + 1) * 2
		:: else -> goto again
		fi
	}
	woken_by_me = word % 2;
	published[ticket] = true; /* R1 */
	if
	:: woken_by_me -> sleeping = false /* futex wake */
	:: else -> skip
	fi
}

proctype verb()
{
	byte word;

	attention = true;
	/* P3 */
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
		:: word == 255 -> sleeping = false; break
		:: else -> skip
		fi
	od
}

proctype consumer()
{
	bool swapped;

	do
	:: taken < PRODUCERS && published[taken] ->
		taken++
	:: taken == PRODUCERS && attention -> break
	:: else ->
		if
		:: attention && claim / 2 == taken -> /* would obey; the model goes on until all is taken */
			(taken < PRODUCERS -> published[taken] : true)
		:: else ->
			atomic { /* P2: compare and swap */
				if
				:: claim == taken * 2 -> claim = taken * 2 + 1; swapped = true
				:: else -> swapped = false
				fi
			}
			if
			:: swapped && LOOK_AGAIN -> /* P4 */
				do
				:: claim == taken * 2 + 1 ->
					atomic { /* futex wait looks at the word and queues in one step */
						if
						:: claim == taken * 2 + 1 -> sleeping = true
						:: else -> skip
						fi
					}
					if
					:: !sleeping
					:: sleeping && spurious > 0 -> spurious--; sleeping = false
					fi
				:: else -> break
				od
			:: else -> skip
			fi
			atomic { /* takes the mark back */
				if
				:: claim == taken * 2 + 1 -> claim = taken * 2
				:: else -> skip
				fi
			}
		fi
	od;
	assert(claim / 2 == PRODUCERS && !sleeping);
	finished = true
}

init {
	atomic {
		run producer(); run producer(); run producer();
		run verb();
		run consumer()
	}
}
