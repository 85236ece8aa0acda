/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * summary.h - what goes to standard output: the figures of a run
 *
 * Nearly all of them are the engine's own counters, read after a flush, when every submission has its outcome. Added to
 * them are the statements that never became a submission: refused ones and input that could not be read. Where there are several
 * inputs, each has its own line.
 */
#ifndef PENSTOCK_TOOL_SUMMARY_H
#define PENSTOCK_TOOL_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/penstock.h"
#include "tool/source.h"

struct summary {
	penstock_counters counters;
	uint64_t faults; /* failed without having been submitted */
	double seconds;
	bool interrupted;
	const char *failure; /* why the engine failed, or "" */
	const struct source *sources;
	size_t input_count;
	bool told; /* outcomes were: so changes are known */
};

uint64_t summary_failures(const struct summary *summary);
/* Both return false, with errno, when `out` did not take it. */
bool summary_table(const struct summary *summary, FILE *out);
bool summary_json(const struct summary *summary, FILE *out);

#endif
