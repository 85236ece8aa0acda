/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps.h - the known traps of batching, one by one
 *
 * A trap is a short list of statements that runs as one batch and must come to what autocommit makes of it; each stands for a
 * fault that was there once, or would be easy to make. A word before a text says more about it:
 *
 *     refused: single: count:   expected to be refused: by the authorizer, as not one statement, for the number of values
 *     loose:                    only the status is compared
 *     alone:                    with PENSTOCK_RUN_ALONE
 *     group:                    what follows is its members, each behind a "; "
 *     eight: ragged: heard:     eight times, registered, with values that count on, heard by nobody; the ragged ones lack a value, and
 *                               some of the heard ones are heard by a callback or by a handle
 */
#ifndef PENSTOCK_EQUIVALENCE_TRAPS_H
#define PENSTOCK_EQUIVALENCE_TRAPS_H

#include <inttypes.h>

#include "tests/equivalence/oracle.h"

/* Fails the test when they differ; the number of inserts that ran as one. */
uint64_t expect_equal_with(const struct setup *setup, const char *const *texts);

#define TRAP_SETUP(...)                                                                                              \
	(const struct setup)                                                                                         \
	{                                                                                                            \
		.batch_max = 1000, .statement_cache = 128, .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL, ##__VA_ARGS__ \
	}

#define EXPECT_EQUAL_WITH(setup_, ...)                                     \
	do {                                                               \
		static const char *const texts_[] = { __VA_ARGS__, NULL }; \
		const struct setup used_ = setup_;                         \
		expect_equal_with(&used_, texts_);                         \
	} while (0)

#define EXPECT_EQUAL(...) EXPECT_EQUAL_WITH(TRAP_SETUP(), __VA_ARGS__)

/* The same, and whether inserts ran as one. */
#define EXPECT_EQUAL_FUSED(fused_, ...) EXPECT_EQUAL_FUSED_WITH(TRAP_SETUP(), fused_, __VA_ARGS__)

#define EXPECT_EQUAL_FUSED_WITH(setup_, fused_, ...)                                        \
	do {                                                                                \
		static const char *const texts_[] = { __VA_ARGS__, NULL };                  \
		const struct setup used_ = setup_;                                          \
		uint64_t ran_ = expect_equal_with(&used_, texts_);                          \
		cr_assert((ran_ != 0) == (fused_), "%" PRIu64 " inserts ran as one", ran_); \
	} while (0)

#define T_UNIQUE "CREATE TABLE t(a INTEGER PRIMARY KEY,b UNIQUE)"
#define FAMILY                                                                   \
	"PRAGMA foreign_keys=ON", "CREATE TABLE parent(id INTEGER PRIMARY KEY)", \
		"CREATE TABLE child(id INTEGER PRIMARY KEY,p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)"

#endif
