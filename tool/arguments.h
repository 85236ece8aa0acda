/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arguments.h - the command line of `penstock run`
 *
 * Everything that can be seen to be wrong without opening a file is found here, so that a run that begins has its wits
 * about it: an unknown or incomplete option, options that exclude or need each other, a configuration key or value that
 * the library refuses. common.threads is how many share one CSV file.
 */
#ifndef PENSTOCK_TOOL_ARGUMENTS_H
#define PENSTOCK_TOOL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tool/options.h"
#include "tool/output.h"
#include "tool/records.h"

struct arguments {
	struct options common;
	const char *database;
	const char **inputs; /* SQL files, or CSV files where csv is set */
	size_t input_count;
	const char *sql;
	bool parallel;       /* each input has producers of its own */
	const char **setups; /* SQL files that run before all */
	size_t setup_count;
	uint64_t max_errors; /* 0: any number */
	bool bail;
	enum output_format output;
	const char *rejects; /* a file to be written, or NULL */
	/* for CSV: */
	bool csv;
	struct records_options records;
	const char *null_text;
	const char *table;
	enum create { CREATE_NOT, CREATE_TEXT, CREATE_GUESS } create;
	bool lax;
};

/* The strings stay argv's. Says on standard error what is wrong; free in any case. */
enum options_parsed arguments_parse(struct arguments *arguments, int argc, char **argv);
void arguments_free(struct arguments *arguments);

#endif
