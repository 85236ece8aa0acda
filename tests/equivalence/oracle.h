/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oracle.h - whether anybody can see the batching
 *
 * The list runs through Penstock, then, in ticket order, in plain autocommit on a fresh file (autocommit.h). Each outcome must
 * be equal: status, codes, message, changes, rowid, column names, rows with types, and how often it was told. So must what the
 * files hold in the end: pragmas, schema, every row with its rowid, also of the file that may be attached. At last the engine's
 * counters must add up.
 */
#ifndef PENSTOCK_EQUIVALENCE_ORACLE_H
#define PENSTOCK_EQUIVALENCE_ORACLE_H

#include "tests/equivalence/engine.h"

/* A hang ends the test, after PENSTOCK_HANG seconds or ten minutes, and more_seconds; nothing else is timed. */
void watch(unsigned more_seconds);

/*
 * NULL when nobody can see the batching, or how they differ; the caller frees it. With several producers the list is in ticket
 * order afterwards.
 */
char *difference(const struct setup *setup, const struct list *list, penstock_counters *counters);

#endif
