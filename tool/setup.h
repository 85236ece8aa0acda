/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * setup.h - what is there before the first record
 *
 * In this order: the files of --setup, one statement after the other, each waited for; the table of --create; and the statement for the
 * records, which is looked at and registered. Each of them ends the run when it goes wrong, with status 2: nothing else has run.
 */
#ifndef PENSTOCK_TOOL_SETUP_H
#define PENSTOCK_TOOL_SETUP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/penstock.h"
#include "tool/arguments.h"
#include "tool/columns.h"
#include "tool/records.h"
#include "tool/source.h"

/* sources[0 … count) are the setup files; first: the number of the first of them, for place_pack. False: said. */
bool setup_run_files(penstock *db, struct source *sources, size_t count, size_t first);

/*
 * For CSV. records and columns are of all inputs, and first[i] is what records_begin gave for each. Sets *statement, which is the
 * engine's, and fills the columns. False: said.
 */
bool setup_statement(penstock *db, const struct arguments *arguments, const struct batch *const *first, struct columns *columns,
                     const penstock_statement **statement);

#endif
