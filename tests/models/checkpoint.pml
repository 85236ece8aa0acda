/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpoint.pml - the checkpoint lock beside SQLite's WAL-reset bug
 *
 * PRODUCERS engines and a plain connection on one log. Whoever commits takes SQLite's write lock; when all of the log is copied, the
 * commit begins it anew. An engine checkpoints as writer/sqlite/checkpoint_lock.h says: under the lock, behind a commit of its own
 * that began later, or with SQLite's write lock. SQLite reads the header of the log's index (`seen`), then how much is copied, and marks
 * as copied what it saw, or as much as readers let it. The plain connection only commits. An engine may die wherever it stands, and
 * the kernel lets go of its locks.
 *
 * What is shown: nothing is marked as copied that nobody has copied (`copied`, which SQLite does not have).
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  the lock keeps nobody out
 *   BROKEN=2  under the lock nothing else is needed
 *   BROKEN=3  a commit counts that had begun before the lock was taken
 *   BROKEN=4  a commit counts for two checkpoints
 *   BROKEN=5  the lock is dropped when the commit has been made
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

/* Of an engine checkpoints, or commits beside those that checkpoints ask for; and commits of the plain connection. */
#if PRODUCERS == 2
#define ROUNDS 2
#else
#define ROUNDS 1
#endif
#define COMMITS 1
#define NOBODY 255

byte frames, marked, copied, anew; /* the log: what is in it, in the index, in truth; and how often it began anew */
byte write_lock = NOBODY, checkpoint_lock = NOBODY /* SQLite's */, lock = NOBODY;
byte killed = NOBODY;

inline commit(me)
{
	d_step {
		write_lock == NOBODY;
		write_lock = me;
	}
	d_step {
		if
		:: frames > 0 && marked == frames ->
			frames = 0;
			marked = 0;
			copied = 0;
			anew++
		:: else
		fi;
		frames++;
		write_lock = NOBODY
	}
}

/* SQLite's checkpoint. */
inline checkpoint(me)
{
	d_step {
		checkpoint_lock == NOBODY;
		checkpoint_lock = me;
	}
	d_step {
		seen = frames;
		log = anew
	}
	from = marked;
	if
	:: from < seen ->
		upto = seen;
		/* Readers may be in the way. */
		if
		:: true
		:: upto > from + 1 -> upto--
		fi;
		d_step {
			if
			:: log == anew && copied < upto -> copied = upto
			:: else
			fi
		}
		d_step {
			marked = upto;
			assert(marked <= copied)
		}
	:: else
	fi;
	d_step {
		checkpoint_lock = NOBODY;
		seen = 0;
		log = 0;
		from = 0;
		upto = 0
	}
}

inline let_go(me)
{
	d_step {
		if
		:: write_lock == me -> write_lock = NOBODY
		:: else
		fi;
		if
		:: checkpoint_lock == me -> checkpoint_lock = NOBODY
		:: else
		fi;
		if
		:: lock == me -> lock = NOBODY
		:: else
		fi
	}
}

inline round(me)
{
#if BROKEN == 3
	commit(me);
#endif
	if
	:: atomic {
		lock == NOBODY || BROKEN == 1 ->
		lock = me
	   }
#if BROKEN != 2 && BROKEN != 3
		if
		:: commit(me);
#if BROKEN == 5
			lock = NOBODY;
#endif
			checkpoint(me);
#if BROKEN == 4
			checkpoint(me)
#endif
		:: atomic {
			write_lock == NOBODY ->
			write_lock = me
		   }
			checkpoint(me);
			write_lock = NOBODY
		fi;
#else
		checkpoint(me);
#endif
		let_go(me)
	:: else
	fi
}

proctype engine(byte me)
{
	byte seen, log, from, upto, rounds;

	{
		do
		:: rounds < ROUNDS ->
			rounds++;
			round(me)
		:: rounds < ROUNDS ->
			rounds++;
			commit(me)
		:: break
		od
	} unless {
		killed == me;
		let_go(me);
		d_step {
			seen = 0;
			log = 0;
			from = 0;
			upto = 0;
			rounds = 0
		}
	}
}

/* Of one engine, at any moment or never. */
proctype killer()
{
	byte whom;

	select(whom : 0 .. PRODUCERS);
	killed = whom
}

proctype plain(byte me)
{
	byte commits;

	do
	:: commits < COMMITS ->
		commits++;
		commit(me)
	:: break
	od
}

init
{
	atomic {
		byte i;

		for (i : 0 .. PRODUCERS - 1) {
			run engine(i)
		}
		run plain(PRODUCERS);
		run killer()
	}
}
