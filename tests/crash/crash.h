/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crash.h - what a loss of power may leave behind, and whether every promise survives it
 *
 *     scenario.c   runs a real engine on a real file, through a VFS that keeps a trace: every write, truncation, sync,
 *                  creation and deletion, and between them the moments at which outcomes were handed out       (trace.c)
 *     states.c     walks along the trace and makes, at every point, the states that a crash could leave behind
 *     disk.c       a disk in memory that states are laid out on and taken back from, and the VFS over it
 *     check.c      opens a state with SQLite as the next start of the program would, and decides
 *     main.c       options, worker processes, negative controls, and the one line that says what was tried
 *
 * What a crash may do (the model)
 *   1. A sync of a file makes every earlier write and truncation of that file permanent. fsync is taken to be honest.
 *   2. Of the writes and truncations not yet synced any subset may have happened, whatever their order; those that did
 *      take effect in their order.
 *   3. A write may be torn: of the 512-byte sectors it touches any subset may have been written.
 *   4. A sector under an unsynced write may hold garbage, in the bytes that the write covers: bytes beside them stay as
 *      they are, which is what SQLite takes for granted on Unix (SQLITE_IOCAP_POWERSAFE_OVERWRITE). In the scenarios
 *      weak-sectors neither holds: the VFS does not claim it, and the whole sector may be garbage.
 *   5. Names are like writes to their folder: a creation or deletion is permanent after the next sync of the folder, and
 *      before it any subset may have happened. Syncs of the folder are seen where they are made, in fsync and fdatasync,
 *      by SQLite and by the engine alike; those calls do no work here.
 *   6. A sync that fails makes nothing permanent; what was written stays as it was, unsynced. In the scenarios adrift no
 *      later sync makes it permanent either (Linux marks the pages clean), until it is written once more. Where the engine
 *      reads the log past the cache, it finds what is permanent, and of what is adrift nothing, or some, torn or garbage as
 *      above; and what it has found stays so.
 *   The shared-memory file and temporary files do not outlive a crash and are not looked at.
 *
 * What must hold in every state (the invariants)
 *   lost      a row whose outcome was OK at a level that promises durability is there
 *   twice     no row is there twice (the table has no unique key that could hide it)
 *   ghost     no row is there whose statement came to ERROR or SHUTDOWN (UNKNOWN: there or not)
 *   partial   a statement's row, its three detail rows and its part of a counter, written by a trigger, are all there or
 *             none is; and so are all rows of a group, and all that a call has done
 *   hole      no row is missing that comes before a present one in ticket order
 *   corrupt   SQLite opens the file, PRAGMA integrity_check says ok, and each row's text is what its checksum says
 *   Where every write has happened (the program died, the machine did not) each OK row must be there, promised or not; at
 *   the end of the trace silent ones too, and every submission must have had one outcome.
 *
 * Which states are looked at: at a point all subsets of whole writes while no more than ten are unsynced (exhaustive;
 * behind a write only those with that write in them, the others belong to the point before it), and a seeded sample
 * otherwise; torn sectors and garbage are always a sample. Of the points of a trace so many are drawn, by the seed, that it
 * gives about two thousand states (--trace-states); those where all is synced, and the end, are always looked at. States that are equal byte
 * for byte, with equal promises, are looked at and counted once per trace. One in sixteen is also checkpointed, and must
 * hold as before.
 *
 * To read a failure: "--scenario plain --round 3 --seed 7 ..., behind event 214 of 398 (write -wal 4120+24), 11011t: lost:
 * row 17 ..." begins with the options that replay it. The word before the finding has one letter for each write (or
 * creation, or deletion) that was unsynced there, oldest first: 0 did not happen, 1 happened, t torn, g garbage. --keep
 * FOLDER writes the files of the first bad state there, and the trace as text: open them with the sqlite3 shell (on a copy,
 * since opening recovers). In the scenarios with one producer the writer is held while a batch is submitted, so that a seed
 * always gives the same trace. In the scenarios with several the threads race, and a trace is seen once: use --keep.
 */
#ifndef CRASH_H
#define CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/random.h"

/* The harness itself cannot go on: no finding, and no result either. */
__attribute__((format(printf, 1, 2), noreturn)) void crash_die(const char *format, ...);

static inline uint64_t crash_random(uint64_t *state)
{
	*state += RANDOM_GAMMA;
	return random_mix(*state);
}

/* Below n. */
static inline uint64_t crash_below(uint64_t *state, uint64_t n)
{
	return crash_random(state) % n;
}

static inline bool crash_chance(uint64_t *state, unsigned of_100)
{
	return crash_below(state, 100) < of_100;
}

/* ---- findings ---- */

#define CRASH_FINDINGS(X)   \
	X(LOST, lost)       \
	X(TWICE, twice)     \
	X(GHOST, ghost)     \
	X(PARTIAL, partial) \
	X(HOLE, hole)       \
	X(CORRUPT, corrupt)

enum crash_finding {
#define X(upper, lower) CRASH_##upper,
	CRASH_FINDINGS(X) CRASH_FINDING_COUNT
#undef X
};

const char *crash_finding_name(enum crash_finding finding);

/* What the engine must have done in the traces, or they show too little: counters of its own. */
#define CRASH_DEEDS(X) X(batches) X(replayed_batches) X(alone) X(fused) X(checkpoints) X(wal_syncs) X(unknown)

struct crash_deeds {
#define X(deed) uint64_t deed;
	CRASH_DEEDS(X)
#undef X
};

struct crash_tally {
	uint64_t exhaustive;
	uint64_t sampled;
	uint64_t checkpointed;
	uint64_t traces;
	uint64_t findings[CRASH_FINDING_COUNT]; /* states with one */
	struct crash_deeds deeds;
};

#endif
