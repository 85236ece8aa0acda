/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tally.h - what became of each input
 *
 * Producers count what they read, and whoever gets an outcome counts that. Any thread; each number is right once all have ended.
 */
#ifndef PENSTOCK_TOOL_TALLY_H
#define PENSTOCK_TOOL_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tally {
	atomic_uint_fast64_t statements; /* accepted, refused (but not for a failed engine) and faulty ones */
	atomic_uint_fast64_t failures;
	atomic_uint_fast64_t changes;      /* rows, of those whose outcome is told */
	atomic_uint_fast64_t transactions; /* BEGIN and COMMIT that were passed over */
};

/* False: no memory. */
bool tally_init(size_t inputs);
void tally_free(void);
/* NULL for a number that is none. */
struct tally *tally_at(size_t input);
void tally_read(size_t input);
void tally_failed(size_t input);
/* Of all inputs. */
uint64_t tally_transactions(void);

#endif
