/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - what goes to standard error
 *
 * Failures come from the writer's thread (outcomes), from producers (refusals, faulty input) and from the main thread,
 * which also redraws a progress line in between. One lock keeps them apart: a message wipes the progress line, prints
 * itself as one line, and the next tick draws the progress again below it.
 *
 * Lines about an input come in its order. A fault is found while the outcomes of what stands before it are still to come, so it waits
 * for them: each fault notes how many submissions there were before it, and is printed when as many outcomes have been told. Among
 * several threads that share an input, that is only nearly its order.
 *
 * What fails may be written to a file besides (--rejects), from which it can be run again.
 */
#ifndef PENSTOCK_TOOL_REPORT_H
#define PENSTOCK_TOOL_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/penstock.h"
#include "tool/place.h"
#include "tool/source.h"

/* sources[0 … count) must outlive every report; at most PLACE_INPUTS_MAX. */
void report_init(const struct source *sources);
/*
 * The text of what fails goes there, where its place has one; NULL, the default: nowhere. Behind the header, unless that is NULL; it
 * must last.
 */
void report_rejects(FILE *file, const char *header);
/* Reading ends (source_stop) with so many failures; 0, the default: it does not. */
void report_failures_max(uint64_t count);
/* Whether it has. */
bool report_gave_up(void);

/* "nothing was run", to end a message with; "nothing else was run" behind report_something. Static; the main thread's. */
const char *report_nothing(void);
void report_something(void);

/* Before a submission whose outcome will be told; and behind that outcome. */
void report_submitted(void);
void report_done(void);
/* What still waits for outcomes. */
void report_flush(void);

/* FILE:LINE: SQLITE_NAME: message, for an outcome that is not OK; result->arg is the place. */
void report_outcome(const penstock_result *result);
/* FILE:LINE: PENSTOCK_NAME: message, for a submit that returned this status on the calling thread. */
void report_refusal(void *place, int status);
/* FILE:LINE: sentence, for input that could not even be submitted. */
void report_fault(void *place, const char *sentence);
/* How many refusals and faults there were: statements that the engine's counters do not know. */
uint64_t report_faults(void);

/* penstock: the message. */
void report_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Draws a progress line, cut to what fits: for terminals only. */
void report_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* That of a run. read, size: bytes of the inputs; size is 0 where it is not known. */
void report_progress(const penstock_counters *counters, double seconds, uint64_t read, uint64_t size);
/* Wipes it. */
void report_progress_end(void);

#endif
