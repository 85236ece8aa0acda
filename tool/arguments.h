/*
 * arguments.h - the command line of `penstock run`
 *
 * Everything that can be seen to be wrong without opening a file is found here, so that a run that begins has its wits
 * about it: an unknown or incomplete option, options that exclude or need each other, a configuration key or value that
 * the library refuses. Each message names the option, what is wrong with it and what would do.
 */
#ifndef PENSTOCK_TOOL_ARGUMENTS_H
#define PENSTOCK_TOOL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/penstock.h"

struct arguments {
	const char *database;
	const char **inputs; /* SQL files, or CSV files when sql is set */
	size_t input_count;
	const char *sql;
	size_t threads; /* that share one CSV file */
	penstock_ack ack;
	bool json;
	bool quiet;
	penstock_config config;
	penstock_pragma *pragmas; /* what config.pragmas points to */
};

enum arguments_parsed { ARGUMENTS_GOOD, ARGUMENTS_HELPED, ARGUMENTS_WRONG };

/* The strings stay argv's. Says on standard error what is wrong; free in any case. */
enum arguments_parsed arguments_parse(struct arguments *arguments, int argc, char **argv);
void arguments_free(struct arguments *arguments);

#endif
