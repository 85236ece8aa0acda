/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * producer.h - the threads that turn inputs into submissions
 *
 * One thread per SQL file, or several per CSV file. A producer never waits for an outcome: it submits with a completion
 * callback (acknowledgements committed and durable) or leaves failures to the engine's error callback (none), and
 * sleeps only where there is no input yet or no room in the ring. So one file can fill whole batches.
 *
 * It stops between two statements when source_stop was called: by a signal, or by itself once it has learnt that
 * nothing more can be accepted (the engine failed, or refuses this kind of call altogether).
 */
#ifndef PENSTOCK_TOOL_PRODUCER_H
#define PENSTOCK_TOOL_PRODUCER_H

#include "core/penstock.h"
#include "tool/records.h"
#include "tool/source.h"

struct producer {
	penstock *db;
	penstock_ack ack;
	size_t input; /* its number, for report_place */
	struct source *source;
	/* CSV only, else NULL: */
	struct records *records;
	const penstock_statement *statement;
};

/* Reports what did not go well; the error callback of the engine (on_error) and of each submission (on_complete). */
void producer_outcome(void *arg, const penstock_result *result);
/* Reads the input to its end, or until stopped. Failures are reported. */
void producer_run(struct producer *producer);

#endif
