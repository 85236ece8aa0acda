/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - the options that several subcommands take, and how a wrong command line is said
 *
 * Each message begins with the subcommand, names the option, what is wrong with it and what would do.
 */
#ifndef PENSTOCK_TOOL_OPTIONS_H
#define PENSTOCK_TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/penstock.h"

struct options {
	const char *command; /* "penstock run" */
	penstock_ack ack;
	size_t threads; /* 0: not given */
	bool json;
	bool quiet;
	penstock_config config;
	penstock_pragma *pragmas; /* what config.pragmas points to */
	struct options_setting {  /* the keys that --set has put into config, as they were written */
		const char *name;
		const char *value;
	} * settings;
	size_t setting_count;
};

/* How a command line was understood. */
enum options_parsed { OPTIONS_GOOD, OPTIONS_HELPED, OPTIONS_WRONG };

/* WRONG when there is no memory. Free in any case. */
enum options_parsed options_init(struct options *options, int argc, char **argv);
void options_free(struct options *options);

/* Says it on standard error, with where to find help; always WRONG. */
enum options_parsed options_wrong(const struct options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What getopt_long gives for the options here; a subcommand's own are below. */
enum options_common { OPTIONS_THREADS = 256, OPTIONS_ACK, OPTIONS_CONFIG, OPTIONS_SET, OPTIONS_JSON, OPTIONS_QUIET };

/* Their part of a table for getopt_long. */
#define OPTIONS_COMMON                                                                                                  \
	{ "threads", required_argument, NULL, OPTIONS_THREADS }, { "ack", required_argument, NULL, OPTIONS_ACK },       \
		{ "config", required_argument, NULL, OPTIONS_CONFIG }, { "set", required_argument, NULL, OPTIONS_SET }, \
		{ "json", no_argument, NULL, OPTIONS_JSON },                                                            \
	{                                                                                                               \
		"quiet", no_argument, NULL, OPTIONS_QUIET                                                               \
	}

/* Takes one of them, or says that getopt knows no such option. The text is kept, and that of --set cut at its '='. */
enum options_parsed options_take(struct options *options, int option, char *text);

#endif
