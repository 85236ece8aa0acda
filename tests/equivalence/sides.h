/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sides.h - two folders with the same files
 *
 * Penstock works in the folder of side 'p', the reference in that of side 'r'. The names are equally long, since SQL text and
 * messages hold them.
 */
#ifndef PENSTOCK_EQUIVALENCE_SIDES_H
#define PENSTOCK_EQUIVALENCE_SIDES_H

#include "tests/equivalence/statements.h"

/* The path of a file there, or of the folder (""); lasts for the next seven calls on this thread. */
const char *side_path(char side, const char *name);
/* An empty folder. */
void clear_side(char side);
/* The SQL with $D filled in; the caller frees it. */
char *text_for(const struct statement *statement, char side, size_t *bytes);

#endif
