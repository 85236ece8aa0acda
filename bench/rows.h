/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rows.h - whole writes: what is to be written, and who writes it
 *
 * Every writer inserts the same rows (database.h) into the same table of a fresh file, with WAL, from as many threads
 * as the task says; the raw loop alone has one thread whatever it says. Penstock's and the raw loop's writers are in
 * rows.c; the peers' each in a file of its own under peers/.
 */
#ifndef PENSTOCK_BENCH_ROWS_H
#define PENSTOCK_BENCH_ROWS_H

#include "bench/database.h"

struct bench_task {
	const char *synchronous; /* "NORMAL" or "FULL" */
	unsigned producers;
	unsigned batch;  /* most rows in a transaction; 1: autocommit */
	uint64_t rows;   /* in all, a multiple of the producers */
	bool waits;      /* each producer for each outcome, before its next row */
	bool durable;    /* it waits until the row is on the disk, whatever `synchronous` says; Penstock alone can do
	                 * that under NORMAL */
	const char *key; /* another of Penstock's, "name=value", or NULL */
};

struct bench_took {
	double seconds;       /* until the last row is committed */
	double close_seconds; /* and then closing, with its checkpoint; 0: not known */
	double outcome_p50;   /* ns, to the width of a bucket; 0: not known */
	double outcome_p99;
};

struct bench_writer {
	const char *name;
	/* Why it cannot be measured here, or NULL; no function: it always can. */
	const char *(*left_out)(void);
	/* Writes all of it to a fresh file; false: the case failed. */
	bool (*write)(struct bench_case *self, const struct bench_task *task, struct bench_took *took);
	bool groups;     /* many producers' rows share a transaction, also when they wait */
	bool contends;   /* its threads slow each other down where each row is synced: a tenth of the rows there */
	bool own_groups; /* a producer that does not wait can put its own rows into transactions of task->batch */
};

/* The peers that are not measured here, and why; or "none". */
const char *bench_writers_left_out(void);

extern const struct bench_writer bench_penstock_writer;
extern const struct bench_writer bench_raw_writer;
extern const struct bench_writer bench_one_connection_writer;
extern const struct bench_writer bench_connections_writer;
extern const struct bench_writer bench_mutex_queue_writer;
extern const struct bench_writer bench_peewee_writer;

#endif
