/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h - the same statements through Penstock
 *
 * In one of three ways: all of them queued before the engine starts (large batches), live by one producer with a small ring
 * and small batches, or live by several producers, where the tickets tell the order afterwards.
 */
#ifndef PENSTOCK_EQUIVALENCE_ENGINE_H
#define PENSTOCK_EQUIVALENCE_ENGINE_H

#include "tests/equivalence/calls.h"
#include "tests/equivalence/kinds.h"

enum way { QUEUED, LIVE, SEVERAL };

struct setup {
	enum way way;
	int64_t batch_max;
	int64_t statement_cache;
	int64_t synchronous;
	int64_t result_bytes_max;           /* 0: the default */
	bool writer_checkpoints;            /* no checkpoint thread */
	unsigned groups;                    /* of so many statements one is a group; 0: none */
	penstock_pragma pragmas[KINDS_MAX]; /* those of kinds, the encoding, the trust and the version: fewer than KINDS_MAX */
	size_t pragma_count;
	const struct kind *kinds[KINDS_MAX]; /* ends with NULL */
	size_t tables;                       /* so many statements go in before several producers begin */
};

/* One statement on its way. */
struct pending {
	const struct statement *statement;
	penstock_handle *handle;
	uint64_t ticket;
	char *outcome;
	unsigned outcomes;
	struct call_run run; /* of a call */
	bool cancelled;      /* the cancel was answered OK */
};

/* Runs all of them on a new engine and fills in outcomes and tickets. */
void run_penstock(const struct setup *setup, struct pending *pending, size_t count, penstock_counters *counters);

#endif
