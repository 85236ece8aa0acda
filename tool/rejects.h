/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rejects.h - the file of --rejects
 *
 * What failed is to be run again, so the file that a run writes is readily the one that it reads. Therefore nothing is emptied before
 * it is known to be neither an input nor the database, by whatever name, and before there is something to run.
 */
#ifndef PENSTOCK_TOOL_REJECTS_H
#define PENSTOCK_TOOL_REJECTS_H

#include <stdbool.h>
#include <stdio.h>

#include "tool/arguments.h"
#include "tool/source.h"

/* Opens it, and leaves what it holds. sources: all that are read, open. NULL: said, and nothing has changed. */
FILE *rejects_open(const struct arguments *arguments, const struct source *sources);
/* Empties it. False: said. */
bool rejects_begin(FILE *rejects, const char *path);

/* A statement with the end that lets another one follow; free with sqlite3_free. NULL: it has none, or there is no memory. */
char *rejects_statement(const char *text, size_t bytes);
/* A record as one that can be read again, each field in quotes unless the input has none. The same. */
char *rejects_record(const struct records_options *options, const penstock_value *values, size_t count, size_t *bytes);
/*
 * The line that names the columns of all records, for the files begin with one (--header): free with sqlite3_free; else NULL. first: as
 * setup_statement has looked at it. False: said, that two files have different ones, or no memory.
 */
bool rejects_header(const struct arguments *arguments, const struct batch *const *first, char **header);

#endif
