/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source.h - an input that can be told to stop
 *
 * A producer may sleep for hours in a FIFO whose other end says nothing, and must still notice that the run is to end.
 * So no read here blocks: every one is preceded by a poll on the descriptor and on a stop event that is raised once and
 * never lowered. A FIFO is opened O_NONBLOCK, which returns before anybody writes into it; Linux then reports neither
 * data nor a hang-up until a first writer has come, so the end of the input is the end of the last writer. Standard
 * input belongs to others too and keeps its flags: after poll has announced something, one read of it returns at once.
 *
 * The byte order mark that some editors put in front of a text is dropped here, since neither SQL nor CSV wants it. What is no text
 * is told by its first bytes: a file's when it is opened, a pipe's when it is first read.
 */
#ifndef PENSTOCK_TOOL_SOURCE_H
#define PENSTOCK_TOOL_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

struct source {
	const char *name; /* as in messages: the path, or <stdin> */
	int descriptor;
	bool begun;                 /* the byte order mark has been looked for */
	uint64_t size;              /* of a file, from where reading begins; 0 where that is not known */
	atomic_uint_fast64_t taken; /* bytes that have been read */
	const char *foreign;        /* why it cannot be read (format.h), or NULL */
};

/* The event that ends all reading. False, with errno, when the system has no descriptor left. */
bool source_stop_init(void);
/* Any thread, any number of times. */
void source_stop(void);
bool source_stopped(void);

/* path "-" is standard input. False when it cannot be opened, is a folder or no text (source_error). Close it in any case. */
bool source_open(struct source *source, const char *path);
/* A zeroed source needs no closing but bears it; standard input is left alone. */
void source_close(struct source *source);

#define SOURCE_MARK "\xEF\xBB\xBF" /* the byte order mark, U+FEFF in UTF-8 */

#define SOURCE_STOPPED ((ssize_t)-2)
/*
 * Reads up to `room` bytes, which must be at least 3, as soon as there are some. 0 at the end, -1 (source_error), or
 * SOURCE_STOPPED. One thread at a time per source.
 */
ssize_t source_read(struct source *source, char *bytes, size_t room);
/* Why opening or reading has just failed. Static. */
const char *source_error(const struct source *source);

#endif
