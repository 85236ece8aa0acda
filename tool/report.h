/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - what goes to standard error
 *
 * Failures come from the writer's thread (outcomes), from producers (refusals, faulty input) and from the main thread,
 * which also redraws a progress line in between. One lock keeps them apart: a message wipes the progress line, prints
 * itself as one line, and the next tick draws the progress again below it.
 *
 * A submission carries its place, the input's number and the line, inside its `arg` pointer: 16 bits for the one, 48
 * for the other. So nothing is allocated per statement and nothing needs freeing when an outcome never comes.
 */
#ifndef PENSTOCK_TOOL_REPORT_H
#define PENSTOCK_TOOL_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/penstock.h"
#include "tool/source.h"

#define REPORT_INPUTS_MAX 65535

/* sources[0 … count) must outlive every report; at most REPORT_INPUTS_MAX. */
void report_init(const struct source *sources);
void *report_place(size_t input, uint64_t line);

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
/* That of a run. */
void report_progress(const penstock_counters *counters, double seconds);
/* Wipes it. */
void report_progress_end(void);

#endif
