/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outcome.h - an outcome as text
 *
 * Both sides write what a statement came to in the same words, so that comparing is strcmp and a difference can be read:
 * status, codes, message, changes, rowid, column names, rows with the types of their values. A message that is Penstock's own
 * counts only as there or not.
 */
#ifndef PENSTOCK_EQUIVALENCE_OUTCOME_H
#define PENSTOCK_EQUIVALENCE_OUTCOME_H

#include "tests/equivalence/statements.h"

void write_failure(FILE *out, const struct statement *statement, int extended_code, const char *message);
/* What is the same for any of them, and of a group, whose members follow. */
void write_effect(FILE *out, int64_t changes, int64_t rowid);
void write_group(FILE *out, size_t failed);
/* The caller frees it. */
char *text_of_result(const struct statement *statement, const penstock_result *result);

#endif
