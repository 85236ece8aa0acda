/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - a store in memory in the place of SQLite (writer/store.h), which judges what it is asked to do
 *
 * A row is a number below STORE_ROWS and whether it is bad (a constraint that it violates). It can be busy, refuse to
 * open, and break with an I/O error, as the scenario says. One store at a time; used while closed, opened twice or
 * while a pauser has the file, the schedule is lost. So it is when anything is written, or a checkpoint copies, while another
 * process has paused all.
 *
 * STORE_FILE is a file on which other processes may have engines. How the engine comes in and leaves, takes turns and pauses all
 * is then the code that ships (among.c, peers.c and turns.c of writer/sqlite) over the side file of beside.c; only what the store itself
 * does there as it opens, checkpoints and closes is said here once more. STORE_LONE is for scenarios without other processes: a store
 * without peers, as a cluster is. An engine that has any wakes after 20 ms by itself and looks around, which would hide lost wake-ups.
 */
#ifndef PENSTOCK_SCHEDULE_STORE_H
#define PENSTOCK_SCHEDULE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/penstock.h"

#define STORE_ROWS 16
#define STORE_FILE "/nowhere"
#define STORE_OTHERS "/elsewhere" /* the same, as other processes name it */
#define STORE_LONE "rqlite://nowhere"

struct store_row {
	unsigned committed;
	unsigned errored; /* ran to an error of its own, for good */
	uint64_t place;   /* in the order of all that were committed or errored */
};

struct store_world {
	struct store_row rows[STORE_ROWS];
	uint64_t places;
	bool connected;
	bool excluded; /* a pauser has the file */
	unsigned pending[STORE_ROWS], pending_count;
	bool in_transaction;
	unsigned cannot_open; /* so many of the next openings fail */
	unsigned busy;        /* so many of the next transactions and openings find the lock taken */
	unsigned breaks_in;   /* runs until an I/O error; 0: never */
	bool breaks_at_commit;
	bool durable; /* a commit alone is */
	/* Other processes. */
	bool held_by_other; /* one of them has paused all */
	bool holds_others;  /* this engine has */
	bool other_writes;  /* one has SQLite's lock */
	unsigned refuses;   /* one call in so many for the side file, or for a lock on it, fails; 0: none */
	unsigned commits;
	/* The log, which each commit makes longer by a frame. */
	struct store_log {
		uint64_t frames, copied; /* as SQLite's index has them */
		unsigned pass_breaks_in; /* passes until an I/O error; 0: never */
		unsigned passes, whole, anew;
		bool running, passing, unfit; /* a pass is under way, and copies; there is no connection for one */
		bool opened;
		bool read; /* there are readers now and then */
		uint64_t hurried;
	} log;
};

extern struct store_world store_world;

/* A side file that nobody has opened. */
struct ps_beside;
void beside_forget(void);
/* Whoever has this description is dead. */
void beside_die(struct ps_beside *beside);

/* The values of a row's submission. */
void store_values(penstock_value values[2], unsigned row, bool bad);

#endif
