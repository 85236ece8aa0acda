/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * functions.h - the SQL functions that both connections have
 *
 *     interrupt_now(x)   interrupts the connection, and gives x
 *     fail_with(n)       fails in one of several ways, or gives n
 *     fail_code(code)    fails with this code
 *     run_sql(text)      runs SQL on the connection, and gives the code
 *     keep_sql()         prepares one insert, which run_kept() runs and drop_kept() finalizes: no batch sees it coming
 */
#ifndef PENSTOCK_EQUIVALENCE_FUNCTIONS_H
#define PENSTOCK_EQUIVALENCE_FUNCTIONS_H

#include "tests/equivalence/kinds.h"

/* A connect hook: registers them and those of the kinds, and sets a limit for the length of rows. `arg`: a list of kinds. */
int prepare_connection(sqlite3 *connection, void *arg);

#endif
