/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tool.h - the penstock command: its subcommands and exit statuses
 *
 * The command uses the library as any program would: through core/penstock.h alone. A run goes like this:
 *
 *     command line -> all inputs opened -> database opened -> signals taken -> producers -> flush -> figures -> close
 *     \_____________ a fault here ends with status 2 and nothing run ______/
 *
 * The main thread starts the producers (producer.h) and then only watches: it draws the progress line, and on the first
 * signal has the producers stop between two statements. However the reading ends, what was accepted is finished and the
 * figures are printed; the exit status tells whether any statement failed, not whether a signal came. After the first
 * signal the next one has its default effect, so an impatient user gets out at once, as safely as by any crash.
 */
#ifndef PENSTOCK_TOOL_TOOL_H
#define PENSTOCK_TOOL_TOOL_H

enum tool_exit {
	TOOL_FINE = 0,
	TOOL_FAILURES = 1, /* some statement failed */
	TOOL_CANNOT = 2    /* usage, or something could not be opened or written; mostly before anything was run */
};

/* The subcommands; argv[0] is "penstock run" and the like, as for messages. */
int tool_run(int argc, char **argv);
int tool_tune(int argc, char **argv);
int tool_config(int argc, char **argv);

#endif
