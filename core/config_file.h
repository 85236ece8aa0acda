/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_file.h - the configuration file, line by line
 *
 * An INI file, parsed by inih. Engine keys stand at the top or under [penstock], SQLite's pragmas under [pragmas], and the
 * password for a cluster, which no path may have, under [cluster]:
 *
 *     ring_slots = 65536         ; a comment, after white space
 *     [pragmas]
 *     cache_size = -65536
 *
 * This part knows lines and sections; what a key means is up to the caller's function, called once per setting.
 *
 *   1. Each error names FILE:LINE, and it is the first one of the file. A file that cannot be read, or is larger than
 *      1 MiB, is named without a line.
 *   2. Nothing is cut or skipped: a line too long for inih, text behind a section's bracket, a byte that is not text
 *      and an unknown section, even an empty one, are errors.
 *   3. A setting is one line. Indentation means nothing, so inih's continuation lines do not exist here: an indented
 *      line is a setting of its own, or an error.
 *
 * Failures: CANTOPEN (missing, unreadable, a folder, a pipe), CONFIG (malformed), NOMEM, or whatever the caller's function
 * said. On Debian inih's switches are variables of the process (ini_max_line and so on); Penstock leaves them alone,
 * and a host that changes them changes what a comment is and how long a line may be.
 */
#ifndef PENSTOCK_CONFIG_FILE_H
#define PENSTOCK_CONFIG_FILE_H

#include <stdbool.h>

struct ps_setting {
	bool pragma;  /* from [pragmas] */
	bool cluster; /* from [cluster] */
	const char *name;
	const char *value;
	const char *origin; /* "FILE:LINE" */
	int line;
};

/* Judges one setting, whose strings end with the call. A status other than OK, its message set, ends the reading. */
typedef int ps_setting_function(void *context, const struct ps_setting *setting);

/* Hands on every setting in the order of the file. Returns OK, or a status with the thread's message set. */
int ps_config_file_read(const char *path, ps_setting_function *function, void *context);

#endif
