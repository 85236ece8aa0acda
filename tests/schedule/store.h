/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - a store in memory in the place of SQLite (writer/store.h), which judges what it is asked to do
 *
 * A row is a number below STORE_ROWS and whether it is bad (a constraint that it violates). It can be busy, refuse to
 * open, and break with an I/O error, as the scenario says. One store at a time; used while closed, opened twice or
 * while a pauser has the file, the schedule is lost.
 */
#ifndef PENSTOCK_SCHEDULE_STORE_H
#define PENSTOCK_SCHEDULE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/penstock.h"

#define STORE_ROWS 16

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
	/* The log, which each commit makes longer by a frame. */
	struct store_log {
		uint64_t frames, copied; /* as SQLite's index has them */
		unsigned pass_breaks_in; /* passes until an I/O error; 0: never */
		unsigned passes, whole, anew;
		bool running, passing, unfit; /* a pass is under way, and copies; there is no connection for one */
		bool opened;
		uint64_t hurried;
	} log;
};

extern struct store_world store_world;

/* The values of a row's submission. */
void store_values(penstock_value values[2], unsigned row, bool bad);

#endif
