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
	} *settings;
	size_t setting_count;
};

/* How a command line was understood. */
enum options_parsed { OPTIONS_GOOD, OPTIONS_HELPED, OPTIONS_WRONG };

/* WRONG when there is no memory. Free in any case. */
enum options_parsed options_init(struct options *options, int argc, char **argv);
void options_free(struct options *options);

/* Says it on standard error, with where to find help; always WRONG. */
enum options_parsed options_wrong(const struct options *options, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Like it, after getopt has said what. */
enum options_parsed options_unknown(const struct options *options);

/* The values of --ack, --threads and --set; the last cuts its text at the '=' and keeps pointing into it. */
enum options_parsed options_ack(struct options *options, const char *text);
enum options_parsed options_threads(struct options *options, const char *text);
enum options_parsed options_set(struct options *options, char *text);

#endif
