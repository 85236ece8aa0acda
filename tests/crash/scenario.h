/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scenario.h - what the engine is made to do while it is watched
 */
#ifndef CRASH_SCENARIO_H
#define CRASH_SCENARIO_H

#include "tests/crash/trace.h"

/* What the harness itself does wrong, for a control of the checker. */
enum lie {
	HONEST,
	CLAIMS_DURABLE, /* every OK counts as durable */
	SUBMITS_TWICE,  /* some rows are written twice */
	SAYS_ERROR,     /* some outcomes are told as ERROR */
	TEARS_APART,    /* some rows are written behind the trigger's back */
	SPLITS_GROUPS,  /* the members of some groups are submitted by themselves */
	SPLITS_CALLS    /* what some calls do is submitted statement by statement */
};

struct scenario {
	const char *name;
	int synchronous;      /* enum penstock_synchronous */
	unsigned bare;        /* of 100 batches: all into the table without a trigger */
	unsigned failing;     /* of 100 statements; most of them make the batch replay */
	unsigned alone;       /* of 100 statements */
	unsigned groups;      /* of 100 times that a batch gets a statement: it gets a group */
	unsigned calls;       /* of 100 statements: a call does the same in two steps */
	unsigned durable;     /* of 100 statements; the others committed or fire and forget */
	unsigned maintenance; /* of 100 steps: VACUUM, a checkpoint by pragma, REINDEX */
	unsigned readers;     /* of 100 steps: a reader begins, or ends, that keeps checkpoints from finishing */
	unsigned pause;       /* of 100 steps */
	unsigned restart;     /* of 100 steps */
	unsigned producers;   /* 0: one, with the writer held while it submits */
	bool small_wal;       /* checkpoints often */
	bool raised;          /* the key synchronous is OFF, and the connect hook makes it FULL */
	bool fail_sync;       /* a sync of the -wal fails once; where there are pauses, the pauser's */
	bool weak_sectors;    /* crash.h, point 4 of the model */
	bool adrift;          /* crash.h, point 6; and a sync may fail again in the start that follows */
	enum lie lie;
	const char *fault; /* the engine's, for a control */
	uint64_t fault_skip, fault_count;
};

/* The scenario at an index, NULL behind the last. */
const struct scenario *scenario_at(size_t index);
/* Whether the engine is built with -Dfaults=true. */
bool scenario_has_faults(void);
/* Leaves a trace of one run behind, and the database at path, which was not there before. Adds to *deeds. */
void scenario_run(const struct scenario *scenario, const char *path, uint64_t seed, struct crash_deeds *deeds);

#endif
