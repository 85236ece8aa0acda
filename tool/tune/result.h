/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * result.h - what tuning has found: for people, for programs, and as a configuration file
 *
 * The table and the JSON go to standard output. The file is put together in memory, so that it is written whole or not
 * at all; it names every tuned key, with its default and why it has its value, and takes over every other setting of
 * the base, so that it can stand in its place.
 */
#ifndef PENSTOCK_TOOL_TUNE_RESULT_H
#define PENSTOCK_TOOL_TUNE_RESULT_H

#include <stdbool.h>
#include <stddef.h>

#include "tool/tune/arguments.h"
#include "tool/tune/base.h"
#include "tool/tune/search.h"
#include "tool/tune/workload.h"

struct tune_result {
	const struct tune_arguments *arguments;
	const struct workload *workload;
	const struct tune_base *base;
	const struct tune_search *search;
	bool interrupted;
};

/* Both return false, with errno, when standard output did not take it. */
bool tune_result_table(const struct tune_result *result);
bool tune_result_json(const struct tune_result *result);
/* The file's text, to be freed; NULL when there is no memory. */
char *tune_result_file(const struct tune_result *result, size_t *bytes);

#endif
