/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drives.h - loads that run in processes of their own: this build's driver, or another's
 *
 * penstock-drive (drive.c) is one engine under one load. Being a program, it can be another version's too, which has another
 * library and another interface; and several of them can share one database.
 */
#ifndef PENSTOCK_BENCH_DRIVES_H
#define PENSTOCK_BENCH_DRIVES_H

#include <stdio.h>
#include <sys/types.h>

#include "bench/bench.h"

/* --against: the driver of another build, or NULL. */
extern const char *bench_against;

struct bench_drive {
	const char *program; /* NULL: this build's */
	bool durable;        /* PENSTOCK_ACK_DURABLE */
	double seconds;
	const char *load; /* "depth", "rate" or "waiters" */
	uint64_t number;
	const char *const *keys; /* "name=value", a NULL behind the last */
};

/* Times in ns. */
struct bench_driven {
	double rows;
	double seconds;
	double p50, p99, p999, worst;
	double longest_sync;
	double syncs;
	double late_p99; /* "rate": by how much submitting began after it was due */
};

/* A program with its ends of the pipes. */
struct bench_driver {
	pid_t id;
	FILE *to;
	FILE *from;
};

/* Starts a program (a path, its arguments, NULL) with its standard input and output here; false: it cannot be. */
bool bench_spawn(const char *const *arguments, struct bench_driver *driver);

/* Starts one on a database, and waits until it is ready; false: the case failed. */
bool bench_drive_begin(struct bench_case *self, const struct bench_drive *drive, const char *path, struct bench_driver *driver);
/* Lets it go. */
void bench_drive_go(struct bench_driver *driver);
/* Waits for its end; false: the case failed. To be called in any case. */
bool bench_drive_end(struct bench_case *self, struct bench_driver *driver, struct bench_driven *driven);

/* All three, on a fresh file. */
bool bench_drive(struct bench_case *self, const struct bench_drive *drive, struct bench_driven *driven);

#endif
