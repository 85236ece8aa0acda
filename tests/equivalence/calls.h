/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.h - a call of a function that runs several statements, and the same on a plain connection
 *
 * Both sides run one function: it prepares, runs and finalizes the members of a call one after the other, and writes down what each
 * came to. At the first that fails it gives up, or goes on regardless; at the end it commits, or says SQLITE_DONE. The reference has
 * BEGIN IMMEDIATE before it, and COMMIT or ROLLBACK behind it. changes() begins with 0 there too, by a DELETE of nothing.
 */
#ifndef PENSTOCK_EQUIVALENCE_CALLS_H
#define PENSTOCK_EQUIVALENCE_CALLS_H

#include "tests/equivalence/statements.h"

/* One run of it. */
struct call_run {
	const struct statement *call;
	char side;
	char *log; /* malloc */
	unsigned times;
};

/* A penstock_function; arg: a struct call_run. */
int run_parts(sqlite3 *connection, void *arg, char **message);
/* As reference_outcome, for a call. */
char *reference_call(sqlite3 *connection, const struct statement *statement);
/* Whether a part may have this text: what a call is refused, and what acts on the connection, is for test_call.c. */
bool may_be_part(const struct statement *statement);

#endif
