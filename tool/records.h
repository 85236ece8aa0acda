/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * records.h - a CSV input that several threads share
 *
 * A thread that wants records takes the input's lock, reads one chunk, parses it with libcsv into records of its own,
 * lets go and submits them, while the next thread is already reading. What the chunk holds of a record that is not yet
 * whole is left behind in the input for the next thread; libcsv itself keeps the field that is under way. Nobody leaves
 * with nothing: a thread reads on until it has a record or the input ends.
 *
 * libcsv knows no positions, so it is fed line by line, quoted newlines included, and the lines are counted here: as newlines,
 * although a lone carriage return ends a line of libcsv's too. Its
 * rules are those of RFC 4180, strictly: a quote inside an unquoted field, or anything behind a closing quote but a
 * comma or the end of the line, makes the record a faulty one. A faulty record comes out with a sentence instead of
 * fields, and reading goes on behind the line of the fault. Fields are bytes: blanks around them and NUL bytes in them
 * are kept. Blank lines are no records.
 */
#ifndef PENSTOCK_TOOL_RECORDS_H
#define PENSTOCK_TOOL_RECORDS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <csv.h>

#include "tool/source.h"

/* How an input is read. All zero: commas, quotes as RFC 4180 has them, no header. */
struct records_options {
	char delimiter; /* 0: a comma */
	bool unquoted;  /* a quote is a byte like others, so no field can hold a delimiter, a line's end or a NUL */
	bool header;    /* the first record names the columns */
	uint64_t skip;  /* lines before the first record */
};

struct record {
	uint64_t line;     /* where it begins, from 1 */
	const char *fault; /* why it cannot be used, or NULL; static */
	size_t first;      /* of its fields in the batch */
	size_t fields;
	bool header; /* it names the columns, and is none of the others */
};

struct field {
	size_t offset; /* in the batch's bytes */
	size_t bytes;
};

/* What one thread took; all its own. Zero it before the first use. */
struct batch {
	struct record *records;
	size_t record_count, record_room;
	struct field *fields;
	size_t field_count, field_room;
	char *bytes;
	size_t byte_count, byte_room;
};

#define RECORDS_CHUNK 65536

struct records {
	pthread_mutex_t lock;
	struct source *source;
	struct records_options options;
	struct csv_parser parser;
	struct batch *into;  /* whose callbacks they are, while somebody reads */
	struct batch behind; /* fields of the record under way, between two readers */
	struct batch first;  /* what records_begin has read, until somebody takes it */
	uint64_t line;       /* of the next byte */
	uint64_t at_line;    /* where the record under way begins */
	uint64_t skipped;    /* lines that were passed over */
	bool behind_return;  /* the last byte of them is a carriage return */
	bool under_way;
	bool skipping; /* to the end of a line with a fault */
	bool begun;    /* a record has come out */
	bool no_memory;
	bool ended;
	char chunk[RECORDS_CHUNK];
};

enum records_got { RECORDS_SOME, RECORDS_END, RECORDS_NO_MEMORY };

/* The struct must be zeroed; the source must outlive it. options: NULL for the defaults. */
void records_init(struct records *records, struct source *source, const struct records_options *options);
void records_free(struct records *records);
/*
 * Fills the batch, whose former content is gone. END at the end and when reading was stopped. A failing read and a
 * field past SQLite's limit end the input with a faulty record that says so. NO_MEMORY ends it too, and is told to one
 * caller.
 */
enum records_got records_take(struct records *records, struct batch *batch);
/*
 * Reads the first records before anybody takes them, and lets the caller look: the batch stays the input's. NULL: there is none, or
 * there is no memory for it. Once, before the first records_take.
 */
const struct batch *records_begin(struct records *records);
void batch_free(struct batch *batch);

#endif
