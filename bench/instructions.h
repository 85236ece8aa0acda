/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instructions.h - instructions of this thread in user space, counted by the processor where perf_event_open allows
 */
#ifndef PENSTOCK_BENCH_INSTRUCTIONS_H
#define PENSTOCK_BENCH_INSTRUCTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* A sentence: that they are counted, or why not. */
const char *bench_instructions_how(void);
/* Begins counting for the calling thread; false: they cannot be counted. */
bool bench_instructions_begin(void);
uint64_t bench_instructions_end(void);

#endif
