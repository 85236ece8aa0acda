/*
 * shim.h - what shim.cc offers to C: google-benchmark, and peers that are C++ templates
 */
#ifndef PENSTOCK_BENCH_SHIM_H
#define PENSTOCK_BENCH_SHIM_H

#include "bench/bench.h"
#include "bench/queue.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes google-benchmark's own arguments out; false, with a word printed, when one is left that it does not know. */
bool bench_shim_begin(int *argc, char **argv);
/* The case must live until bench_shim_run has returned. */
void bench_shim_register(struct bench_case *each);
/* Runs what the filter selects; silent: with no output of google-benchmark's own. How many cases ran. */
size_t bench_shim_run(bool silent);

void bench_shim_seconds(void *state, double seconds);
void bench_shim_counter(void *state, const char *name, double value);
void bench_shim_error(void *state, const char *message);

/* NULL when it was built without the peer's header. */
const struct bench_queue *bench_atomic_queue(void);
const struct bench_queue *bench_moodycamel(void);

#ifdef __cplusplus
}
#endif

#endif
