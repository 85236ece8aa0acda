/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peewee.h - Peewee in one of several processes that write to one file
 *
 * The calling process has an interpreter of its own: begun, it has the file open and waits; from go to end each of its threads writes
 * rows, and waits for each.
 */
#ifndef PENSTOCK_BENCH_PEEWEE_H
#define PENSTOCK_BENCH_PEEWEE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct bench_peewee {
	pid_t pid;
	FILE *to, *from;
};

/* Why it is not to be had here, or NULL. */
const char *bench_peewee_left_out(void);
/* False: it could not. */
bool bench_peewee_begin(struct bench_peewee *peewee, const char *path, const char *synchronous, unsigned threads);
void bench_peewee_go(struct bench_peewee *peewee);
/* False: a row has failed. */
bool bench_peewee_end(struct bench_peewee *peewee, uint64_t *rows, uint64_t *worst_nsec);

#endif
