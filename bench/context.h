/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * context.h - what a figure depends on beside the code: machine, kernel, file system, fsync, SQLite, pinning, peers
 *
 * Everything that is known goes to google-benchmark, which prints it before the first case and writes it into "context"
 * of its JSON, and is kept for the report.
 */
#ifndef PENSTOCK_BENCH_CONTEXT_H
#define PENSTOCK_BENCH_CONTEXT_H

#include <stddef.h>
#include <stdio.h>

struct bench_fact {
	const char *name;
	char value[600];
};

/* Remembers the command; before any argument is taken out. */
void bench_context_command(int argc, char **argv);
/* Finds out; measures the sync of a small write in the folder for databases. Call once, when the flags are known. */
void bench_context_find(void);
size_t bench_context_count(void);
const struct bench_fact *bench_context_at(size_t index);
/* The value of a fact; "" when there is none of that name. */
const char *bench_context_value(const char *name);
/* One line each. */
void bench_context_print(FILE *file);

#endif
