/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h - opens a state and decides (crash.h has the invariants)
 */
#ifndef CRASH_CHECK_H
#define CRASH_CHECK_H

#include "tests/crash/trace.h"

/* For the trace that has just ended: who comes before whom. */
void check_prepare(void);

enum check_how {
	CHECK_POWER = 0, /* any state */
	CHECK_WHOLE = 1, /* every write has happened: each row that was told OK must be there */
	CHECK_END = 2,   /* and this is the end of the trace: silent ones too */
};

/*
 * Looks at what is on the disk now, after the first `told` events; the disk may be changed by it. The findings as bits, with
 * the first one in words; 0: all well. checkpoint: checkpoints too and looks again.
 */
unsigned check_state(size_t told, enum check_how how, bool checkpoint, char *why, size_t bytes);
/* Every submission had exactly one outcome. */
unsigned check_outcomes(char *why, size_t bytes);

#endif
