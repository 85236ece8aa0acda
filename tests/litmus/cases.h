/* SPDX-License-Identifier: BSD-2-Clause */
/* cases.h - the programs that are searched: each about some of the labelled pairs of core/atomic.h, and the memory's own */
#ifndef PENSTOCK_LITMUS_CASES_H
#define PENSTOCK_LITMUS_CASES_H

#include "tests/litmus/machine.h"

extern const struct litmus_case litmus_cases[];
extern const unsigned litmus_case_count;

/* Whether the outcome that its check calls an error is allowed. */
struct litmus_shape {
	struct litmus_case what;
	bool allowed;
};

extern const struct litmus_shape litmus_shapes[];
extern const unsigned litmus_shape_count;

#endif
