/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * producer.h - the threads that turn inputs into submissions
 *
 * A producer is a thread. It goes through its inputs in order, alone for SQL, with others (--threads) for CSV. In order
 * means: the first submission of an input comes after the last one of the input before. Tickets do the rest, so nobody
 * waits for an outcome in between. Threads that share CSV inputs wait for each other between two of them, since one may
 * still submit records of the first when another finds its end. With --parallel each input has producers of its own, and
 * what they read mixes.
 *
 * A producer never waits for an outcome: it submits with a completion callback (acknowledgements committed and durable)
 * or leaves failures to the engine's error callback (none), and sleeps only where there is no input yet, no room in the
 * ring, or another thread has not finished the input. So one file can fill whole batches.
 *
 * With --bail it does wait: then nothing runs behind a statement that failed.
 *
 * BEGIN and COMMIT are passed over and counted: each statement is a transaction of its own, which is what a dump needs.
 *
 * It stops between two statements when source_stop was called: by a signal, or by itself once it has learnt that
 * nothing more can be accepted (the engine failed, or refuses this kind of call altogether).
 */
#ifndef PENSTOCK_TOOL_PRODUCER_H
#define PENSTOCK_TOOL_PRODUCER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/penstock.h"
#include "tool/columns.h"
#include "tool/output.h"
#include "tool/records.h"
#include "tool/source.h"

struct producer {
	penstock *db;
	penstock_ack ack;
	size_t input;               /* the number of the one it is at, for place_pack */
	size_t end;                 /* that of the first one that is not its own */
	pthread_barrier_t *barrier; /* of the threads that share these inputs; or NULL: there is one input */
	struct source *sources;     /* of all inputs */
	bool waits;                 /* for each outcome */
	bool keeps;                 /* the text, for --rejects */
	/* CSV only, else NULL: */
	struct records *records; /* of all inputs */
	const penstock_statement *statement;
	struct columns *columns; /* of all inputs */
	penstock_value *placed;  /* its own: producer_run's */
};

/* Reports what did not go well; the error callback of the engine (on_error) and of each submission (on_complete). */
void producer_outcome(void *arg, const penstock_result *result);
/* What to do with rows; before any producer runs. */
void producer_print_rows(enum output_format format);
/* Reads the inputs to their ends, or until stopped. Failures are reported. */
void producer_run(struct producer *producer);

#endif
