/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpointer.pml - the log, the writer, the checkpoint thread's passes, and commits of other processes
 *
 * What is shown: with any interleaving nobody takes a log that was begun anew for the old one (SQLite's WAL-reset bug), no frame is
 * overwritten before its page is synced in the database, and the log is taken for copied whole only when all that the writer has
 * committed is. The steps are those of SQLite's checkpoint and of its commit, of writer/sqlite/log_book.c, and of
 * writer/checkpointer.c as far as they share words.
 *
 * SQLite's checkpoint looks at the log (how many frames), then at how many are copied; copies; syncs the database when no commit has come
 * since; and only then says how many are copied. Its commit begins the log anew when all of it is copied. The futex is modelled by
 * what it promises.
 *
 * Broken on purpose, which spin must find:
 *   BROKEN=1  a pass begins though nothing was committed (ps_log_book_is_pass_due)
 *   BROKEN=2  the log is whole though a commit came (ps_log_book_end_pass)
 *   BROKEN=3  a pass that no commit has overtaken does not sync the database
 *   BROKEN=4  a commit that came during a pass counts as one behind it (commits_had)
 *   BROKEN=5  the writer checkpoints while a pass is under way (ps_room_settle)
 */
#ifndef PRODUCERS
#define PRODUCERS 3
#endif

#define OWN (PRODUCERS + 2) /* commits of the writer's */
#define OTHERS PRODUCERS    /* and of other processes */

mtype = { IDLE, ASKED, DONE };
mtype word = IDLE;

/* The log, as the index and the disk have it. */
byte frames = 0, copied = 0;
byte written = 0, synced = 0; /* of its frames, in the database */
byte own = 0;                 /* the last of the writer's in it */
bool committing = false;      /* the write lock */
bool checkpointing = false;   /* the checkpoint lock of SQLite's */
byte anew = 0;                /* times that it was begun anew */

/* The report of a pass. */
byte seen, told;

/* The writer's book. */
byte commits = 0, commits_had = 0, commits_at_pass = 0, known = 0, known_copied = 0;

inline begin_commit()
{
	atomic { !committing -> committing = true }
	if
	:: frames > 0 && copied == frames ->
		atomic {
			assert(synced >= frames); /* or what is overwritten is nowhere */
			frames = 0; copied = 0; written = 0; synced = 0; own = 0;
			anew++
		}
	:: else -> skip
	fi
}

inline checkpoint(look)
{
	look = frames;
	if
	:: copied < look ->
		if
		:: written < look -> written = look
		:: else -> skip
		fi;
		if
#if BROKEN != 3
		:: look == frames -> synced = written
#endif
		:: else -> skip
		fi;
		atomic {
			copied = look;
			assert(copied <= frames) /* or it was of the log before */
		}
	:: else -> skip
	fi
}

inline due(result)
{
#if BROKEN == 1
	result = true
#elif BROKEN == 4
	result = commits != commits_at_pass || known > known_copied
#else
	result = commits != commits_had || known > known_copied
#endif
}

/* ps_log_book_end_pass */
inline take()
{
	atomic {
		word == DONE;
		if
#if BROKEN == 2
		:: seen > 0 && told == seen ->
#else
		:: seen > 0 && told == seen && commits == commits_at_pass ->
#endif
			assert(copied >= own);
			known = 0; known_copied = 0
		:: else ->
			known_copied = told
		fi;
		commits_had = commits;
		word = IDLE
	}
}

active proctype writer()
{
	bool is_due;
	byte mine, look;

	do
	:: mine < OWN ->
		begin_commit();
		atomic { frames++; own = frames; look = frames; committing = false }
		atomic { known = look; commits++; mine++ } /* the hook, a moment later: others may have committed */
	:: word == DONE -> take()
	:: word == IDLE ->
		due(is_due);
		if
		:: is_due -> atomic { commits_at_pass = commits; word = ASKED }
		:: else -> skip
		fi
#if BROKEN == 5
	:: word == ASKED && commits != commits_had ->
#else
	:: word == IDLE && commits != commits_had ->
#endif
		/* The writer's own checkpoint. */
		checkpoint(look);
		atomic {
			if
			:: copied >= own -> known = 0; known_copied = 0
			:: else -> known_copied = copied
			fi;
			commits_had = commits
		}
	:: mine == OWN && word == IDLE -> break
	od
}

active proctype others()
{
	byte theirs;

	do
	:: theirs < OTHERS ->
		begin_commit();
		atomic { frames++; committing = false; theirs++ }
	:: break
	od
}

active proctype thread()
{
	byte look;

end:
	do
	:: word == ASKED ->
		checkpoint(look);
		/* The pass was overtaken: its own sync. */
		synced = written;
		atomic { seen = look; told = copied; word = DONE }
	od
}
