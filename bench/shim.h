/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shim.h - what shim.cc offers to C: google-benchmark
 */
#ifndef PENSTOCK_BENCH_SHIM_H
#define PENSTOCK_BENCH_SHIM_H

#include "bench/bench.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes google-benchmark's own arguments out; false, with a word printed, when one is left that it does not know. */
bool bench_shim_begin(int argc, char **argv);
/* A line of what google-benchmark prints first, and of "context" in its JSON. */
void bench_shim_context(const char *name, const char *value);
/* The case must live until bench_shim_run has returned. */
void bench_shim_register(struct bench_case *each);
/* Runs what the filter selects; silent: with no output of google-benchmark's own but a file. How many cases ran. */
size_t bench_shim_run(bool silent);

/* Whether standard output is for people, not for programs (--benchmark_format). */
bool bench_shim_prints_text(void);

void bench_shim_seconds(void *state, double seconds);
void bench_shim_counter(void *state, const char *name, double value);
void bench_shim_error(void *state, const char *message);

#ifdef __cplusplus
}
#endif

#endif
