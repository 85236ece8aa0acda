/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * states.h - from a trace to the states that a crash could have left behind (crash.h has the model)
 */
#ifndef CRASH_STATES_H
#define CRASH_STATES_H

#include "tests/crash/crash.h"

struct states_options {
	const char *what; /* for messages: scenario, round, seed */
	const char *keep; /* a folder for the files of the first bad state, or NULL */
	uint64_t seed;    /* of the sample */
	uint64_t states;  /* to look at, about */
	unsigned wanted;  /* of a control: findings (as bits) at the first of which to stop, without a message; or 0 */
};

/* Looks at the states of the trace that has just ended; folder has the real files as the engine left them. */
void states_walk(const struct states_options *options, const char *path, struct crash_tally *tally);

#endif
