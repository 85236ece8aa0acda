/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arguments.h - the command line of `penstock tune`
 *
 * As in arguments.h, whatever can be seen to be wrong without opening a file is found here. Durations have a unit: a
 * bound of 2 could be meant as milliseconds or seconds, and nobody would notice before a minute has passed.
 */
#ifndef PENSTOCK_TOOL_TUNE_ARGUMENTS_H
#define PENSTOCK_TOOL_TUNE_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tool/options.h"
#include "tool/tune/search.h"
#include "tool/tune/workload.h"

struct tune_arguments {
	struct options common;
	const char *folder; /* or a cluster's path */
	bool cluster;
	const char *out;
	struct workload_files files; /* its sql_files are ours */
	const char **workloads;
	enum tune_goal goal;
	double bound_usec; /* 0: none */
	double budget;     /* seconds */
	uint64_t seed;
	bool wait;
};

/* The strings stay argv's. Says on standard error what is wrong; free in any case. */
enum options_parsed tune_arguments_parse(struct tune_arguments *arguments, int argc, char **argv);
void tune_arguments_free(struct tune_arguments *arguments);
const char *tune_goal_name(enum tune_goal goal);

#endif
