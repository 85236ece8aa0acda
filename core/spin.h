/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin.h - whether to look for a while before going to sleep
 *
 * A sleep that is shorter than it takes to wake an idle processor is not worth its while; a look that finds nothing is
 * processor time thrown away. Nobody knows beforehand which it will be, so it is tried, and what came of it decides how
 * soon it is tried again: after n failures in a row the next 2^n - 1 chances are slept through, up to 63; one success and
 * the next chance is taken. (Exponential back-off, as in KVM's halt polling and glibc's adaptive mutex.)
 *
 * Invariants
 *   1. Where looking never pays, it costs one look in 64 chances.
 *   2. It only decides between looking first and sleeping at once; what ends a sleep is not its business.
 *
 * Failure modes: several threads may use one record; a lost update makes a guess worse and nothing else.
 */
#ifndef PENSTOCK_SPIN_H
#define PENSTOCK_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* All zero to begin with. */
struct ps_spin {
	uint32_t misses; /* failures in a row */
	uint32_t skip;   /* chances to sleep through */
};

/* Whether to look this time. */
bool ps_spin_due(struct ps_spin *spin);
/* What came of it. */
void ps_spin_learn(struct ps_spin *spin, bool found);

/* Between two looks at a line that another processor is about to write: longer and longer, since each look takes it away. */
void ps_spin_pause(unsigned *looks);

#endif
