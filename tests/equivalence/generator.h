/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * generator.h - draws random rounds
 *
 * A round is a setup and a list of statements. Everything comes from one 64-bit state, so that a seed draws the same round again.
 * What can be drawn is in kinds.h; here is how: which kinds a round has, which template comes next, which values stand in it, and
 * how the statement is submitted. Some statements come in runs, to which nobody listens or anybody, and in some rounds some are
 * members of groups.
 *
 * PENSTOCK_EQUIVALENCE_ONLY="general;audit"     only these kinds, in every round
 * PENSTOCK_EQUIVALENCE_WITHOUT="VACUUM;ATTACH"  no template that holds one of these texts
 */
#ifndef PENSTOCK_EQUIVALENCE_GENERATOR_H
#define PENSTOCK_EQUIVALENCE_GENERATOR_H

#include "tests/equivalence/oracle.h"

/* Fills in the setup (its way is the caller's choice, and how many groups there are if it is not 0) and the list. */
void draw_round(uint64_t seed, enum way way, size_t count, struct setup *setup, struct list *list);

/* For templates that write themselves: the text so far grows, and values are added. */
void put(struct draft *draft, const char *text);
void put_number(struct draft *draft, int64_t number);
void put_value(struct draft *draft);
void put_expanded(struct draft *draft, const char *text);
unsigned put_chance(struct draft *draft, unsigned below);

#endif
