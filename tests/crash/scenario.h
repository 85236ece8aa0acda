/*
 * scenario.h - what the engine is made to do while it is watched
 */
#ifndef CRASH_SCENARIO_H
#define CRASH_SCENARIO_H

#include "tests/crash/trace.h"

struct scenario {
	const char *name;
	int synchronous;       /* enum penstock_synchronous */
	unsigned failing;      /* of 100 statements; most of them make the batch replay */
	unsigned alone;        /* of 100 statements */
	unsigned durable;      /* of 100 statements; the others committed or fire and forget */
	unsigned maintenance;  /* of 100 steps: VACUUM, a checkpoint by pragma, an index */
	unsigned pause;        /* of 100 steps */
	unsigned restart;      /* of 100 steps */
	unsigned producers;    /* 0: one, with the writer held while it submits */
	bool small_wal;        /* checkpoints often */
	bool fail_sync;        /* a sync of the -wal fails once */
	bool weak_sectors;
	bool claim_durable;    /* a lie, for the control: every OK counts as durable */
	const char *fault;     /* the engine's, for a control */
	uint64_t fault_skip, fault_count;
};

/* The scenario at an index, NULL behind the last. */
const struct scenario *scenario_at(size_t index);
/* Whether the engine is built with -Dfaults=true. */
bool scenario_has_faults(void);
/* Leaves a trace of one run behind. folder is empty before and has the database `crash.db` after. */
void scenario_run(const struct scenario *scenario, const char *path, uint64_t seed);

#endif
