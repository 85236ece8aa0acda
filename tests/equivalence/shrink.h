/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shrink.h - few statements that still differ
 *
 * ddmin (Zeller): parts of the list are left out as long as the rest, queued as one, still differs in the same statement or the same
 * part of a file: without that, one fault would shrink into another. What is left is short enough to be read, and to become a trap of
 * its own.
 */
#ifndef PENSTOCK_EQUIVALENCE_SHRINK_H
#define PENSTOCK_EQUIVALENCE_SHRINK_H

#include "tests/equivalence/oracle.h"

extern const char *const way_names[];

/* Fails the test with as few statements as can be found. Takes `found`. */
void fail_with_list(const struct setup *setup, struct list *list, char *found, uint64_t seed);

#endif
