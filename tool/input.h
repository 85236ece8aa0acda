/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * input.h - an input's bytes into statements and records
 *
 * The two loops that every subcommand reads with: a source through split.h, or a CSV input through records.h. What can
 * be used goes to a function, in order; what cannot is reported as a fault with its line, and reading goes on behind it.
 * Reading ends with the input, when the function says so, or when source_stop was called.
 */
#ifndef PENSTOCK_TOOL_INPUT_H
#define PENSTOCK_TOOL_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/penstock.h"
#include "tool/records.h"
#include "tool/source.h"

/* One statement, or one record as text values; both only until it returns. False: no more. */
typedef bool input_statement(void *arg, uint64_t line, const char *text, size_t bytes);
typedef bool input_record(void *arg, uint64_t line, const penstock_value *values, size_t count);

/* number is the input's, for place_pack. */
void input_read_sql(struct source *source, size_t number, input_statement *function, void *arg);
/* Any number of threads may share the records. */
void input_read_csv(struct records *records, size_t number, input_record *function, void *arg);

/* BEGIN and COMMIT, as dumps have them around everything. What is none to the letter is SQLite's to judge. */
bool input_is_bracket(const char *text, size_t bytes);

#endif
