/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.h - what a trial submits
 *
 * A workload is read once, into memory, and submitted again in every trial, so no trial waits for a disk or a pipe that
 * the database does not use. There are three kinds: SQL files, each of them one producer that keeps its order; CSV
 * records for one statement, shared by several producers; and, when nothing is given, rows of 32 bytes without end.
 * Before each trial the statements of the setup file are run, one after the other and unmeasured, in the new database.
 *
 * At most WORKLOAD_BYTES_MAX are kept, which is more than a trial gets through; the rest is left out, and that is said.
 */
#ifndef PENSTOCK_TOOL_TUNE_WORKLOAD_H
#define PENSTOCK_TOOL_TUNE_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/penstock.h"
#include "tool/source.h"

#define WORKLOAD_BYTES_MAX ((size_t)256 << 20)

/* Of the rows made up. */
#define WORKLOAD_TABLE "penstock_tune"
#define WORKLOAD_TABLE_MAKE "CREATE TABLE " WORKLOAD_TABLE "(number INTEGER, text TEXT)"
#define WORKLOAD_TABLE_DROP "DROP TABLE IF EXISTS " WORKLOAD_TABLE

struct workload_item {
	const void *data; /* SQL text, or penstock_value[count] for the workload's statement */
	size_t count;     /* bytes of the text, or values */
	uint64_t line;
};

/* The items of one file. */
struct workload_part {
	size_t input; /* its number, for place_pack */
	struct workload_item *items;
	size_t count, room;
};

struct workload_chunk;

struct workload {
	const char *name;      /* for people */
	const char *statement; /* that the items are values of; NULL: they are SQL text */
	bool endless;          /* rows made up; no parts */
	size_t producers;
	struct workload_part *parts;
	size_t part_count;
	struct workload_part setup;

	struct source *sources; /* setup, then the parts' files or the rows; for messages */
	size_t source_count;
	struct workload_chunk *chunks; /* the items' bytes */
	size_t bytes;
	bool cut;
};

/* The files of a workload, as the command line has them. */
struct workload_files {
	const char *const *sql_files;
	size_t sql_file_count;
	const char *csv; /* or NULL */
	const char *statement;
	const char *setup; /* or NULL */
	size_t threads;    /* of CSV and of the rows made up */
	bool cluster;      /* where a trial does not begin with a new database */
};

/* False after saying why: a file cannot be read, holds faults or nothing. Free in any case. */
bool workload_read(struct workload *workload, const struct workload_files *files);
void workload_free(struct workload *workload);

/* For place_pack. */
#define WORKLOAD_ROWS_INPUT 1
#define WORKLOAD_ROW_VALUES 2
#define WORKLOAD_ROW_TEXT 24
/* Row number `row` of those without end: a number and a text of WORKLOAD_ROW_TEXT bytes, for which there is room. */
void workload_row(uint64_t row, penstock_value values[WORKLOAD_ROW_VALUES], char text[WORKLOAD_ROW_TEXT + 1]);

#endif
