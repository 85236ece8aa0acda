/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * output.h - the rows that statements return, on standard output
 *
 * In the order of the outcomes, each statement's rows together: as CSV (RFC 4180, a header line before each statement's rows), as JSON
 * lines (an object for each row), or as a table with aligned columns. Rows are an outcome's, so the key result_bytes_max bounds those of
 * one statement. A BLOB is its hexadecimal digits; NULL is nothing in CSV and in a table, and null in JSON.
 *
 * They are printed where the outcome is told, by the writer's thread: a reader that is slow holds up the writes.
 */
#ifndef PENSTOCK_TOOL_OUTPUT_H
#define PENSTOCK_TOOL_OUTPUT_H

#include "core/penstock.h"

enum output_format { OUTPUT_NONE, OUTPUT_CSV, OUTPUT_JSON, OUTPUT_TABLE };

/* One thread at a time prints: the callers' lock is inside. */
void output_rows(enum output_format format, const penstock_result *result);

#endif
