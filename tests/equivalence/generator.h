/*
 * generator.h - draws random statements
 *
 * Everything comes from one 64-bit state, so that a seed draws the same statements again. What can be drawn is in three lists
 * at the top of generator.c: the tables that are there first (`prelude`), the statements with their weights (`templates`), and
 * the inserts that are submitted in runs (`runs`). The last statements of a round (`epilogue`) ask what a dump of the file
 * cannot show: pragmas and temporary tables.
 *
 * PENSTOCK_EQUIVALENCE_WITHOUT="VACUUM;ATTACH" draws no template that holds one of these texts.
 */
#ifndef PENSTOCK_EQUIVALENCE_GENERATOR_H
#define PENSTOCK_EQUIVALENCE_GENERATOR_H

#include "tests/equivalence/oracle.h"
#include "tests/random.h"

extern const char *const prelude[];
extern const size_t prelude_count;
extern const char *const epilogue[];
extern const size_t epilogue_count;

bool chance(uint64_t *state, unsigned one_in);

/* One statement. Without the templates that hold `without`; durable: some ask for that level. */
struct statement *draw(uint64_t *random, enum way way, bool durable, const char *without);
/* A run of one statement that nobody listens to, now and then broken by one that somebody does, or that has other values. */
void append_run(struct list *list, uint64_t *random);

#endif
