/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peers.h - the queues that can be measured, a file for each
 *
 * A weak name is one whose file is only built when what it needs is installed; its address is NULL otherwise.
 */
#ifndef PENSTOCK_BENCH_PEERS_H
#define PENSTOCK_BENCH_PEERS_H

#include "bench/queue.h"

#define BENCH_OWN_LINE __attribute__((aligned(128)))
#define BENCH_OPTIONAL __attribute__((weak))

#ifdef __cplusplus
extern "C" {
#endif

extern const struct bench_queue bench_penstock_queue;
extern const struct bench_queue bench_yielding_queue;
extern const struct bench_queue bench_vyukov_queue;
extern const struct bench_queue bench_sleeping_queue;
extern const struct bench_queue bench_locked_queue;
extern const struct bench_queue bench_ck_queue;
extern const struct bench_queue bench_wfcq_queue BENCH_OPTIONAL;
extern const struct bench_queue bench_atomic_queue BENCH_OPTIONAL;
extern const struct bench_queue bench_atomic_push_queue BENCH_OPTIONAL;
extern const struct bench_queue bench_tbb_queue BENCH_OPTIONAL;
extern const struct bench_queue bench_moodycamel_queue BENCH_OPTIONAL;

#ifdef __cplusplus
}
#endif

#endif
