/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace.h - what was done to the files, and when outcomes were handed out
 *
 * A VFS over the real one, the default while the program runs. Calls on the database, its -wal and its -journal are
 * recorded behind the real call, and only when that went well; everything else passes through. A file that was created
 * has a number of its own: a -wal that was deleted and created anew is another file under the same name.
 *
 * One trace at a time. Recording is safe from any thread; everything else is for when no engine runs.
 */
#ifndef CRASH_TRACE_H
#define CRASH_TRACE_H

#include "core/penstock.h"
#include "tests/crash/crash.h"

enum trace_name { TRACE_MAIN, TRACE_WAL, TRACE_JOURNAL, TRACE_NAMES };

#define TRACE_FILES 64
#define TRACE_ROWS 2048

enum trace_kind {
	TRACE_WRITE,
	TRACE_TRUNCATE,
	TRACE_SYNC,
	TRACE_CREATE,
	TRACE_DELETE,
	TRACE_SYNC_FOLDER,
	TRACE_SYNC_FAILED,
	TRACE_READ_DISK,
	TRACE_OUTCOME
};

/* A submission, or a row that somebody wrote in a pause. Its id is its place in trace.rows; row 0 stands for the schema. */
struct trace_row {
	uint64_t order; /* ticket order */
	size_t told_at; /* the event */
	int status;     /* of the outcome; -1: none yet */
	unsigned outcomes;
	bool durable; /* OK promises that it survives a loss of power */
	bool silent;  /* fire and forget: OK unless the error callback says otherwise */
	bool bare;    /* of the table without a trigger */
	size_t group; /* the first row of the group that it is a member of, or 0 */
};

struct trace_event {
	enum trace_kind kind;
	enum trace_name name;
	int file;
	uint32_t bytes;
	uint64_t offset; /* or the new size; of READ_DISK a seed: what was found */
	size_t data;     /* into trace.data */
	size_t row;
};

struct trace {
	struct trace_event *events;
	size_t count;
	size_t capacity;
	unsigned char *data;
	size_t data_bytes;
	size_t data_capacity;
	int files;
	uint64_t folder_syncs;
	bool weak_sectors;
	bool adrift;   /* what a failed sync was to make permanent, no later sync does */
	uint64_t seed; /* of the rows' texts */
	struct trace_row rows[TRACE_ROWS];
	size_t row_count;
};

extern struct trace trace;

/* Once per process. */
void trace_install(void);
/* Forgets everything and records what happens to this database from now on; the file must not exist. */
void trace_begin(const char *path, uint64_t seed, bool weak_sectors, bool adrift);
/* Stops recording. */
void trace_end(void);
/* The at-th sync of the -wal from now on fails, once. 0: none. */
void trace_fail_sync(unsigned at);
/* Whether that has happened. */
bool trace_sync_has_failed(void);

/* Somebody reads what a path leads to from the disk itself; the number of the file. */
int trace_read_disk(const char *path);

/* A new row, not yet submitted. Any thread. */
size_t trace_add_row(bool durable, bool silent, bool bare);
/* Its outcome was handed out just now. Any thread. */
void trace_outcome(size_t row, uint64_t order, int status);

/* The text that belongs to a row, and its checksum. */
#define TRACE_TEXT_MAX 8192
size_t trace_text(uint64_t seed, size_t row, char *text);
int64_t trace_sum(const void *text, size_t bytes, size_t row);

/* One line without a newline. */
void trace_describe(const struct trace_event *event, char *text, size_t bytes);
const char *trace_suffix(enum trace_name name);

#endif
