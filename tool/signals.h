/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signals.h - the signals that ask for an end: SIGINT, SIGTERM and SIGHUP
 *
 * One that our parent had us ignore stays ignored, as for any job in the background; the others are blocked, in the
 * calling thread and so in every thread that it starts from then on, and read from a descriptor. Whoever has heeded the
 * first one gives all of them back their default effect, so that an impatient user gets out at once.
 */
#ifndef PENSTOCK_TOOL_SIGNALS_H
#define PENSTOCK_TOOL_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

struct signals {
	sigset_t ending;
	int descriptor; /* readable when one is there */
};

/* False, with errno. `besides`: one more that is wanted, or 0. */
bool signals_take(struct signals *signals, int besides);
/* The number of the next one, or 0 when none is there. */
int signals_next(const struct signals *signals);
/* Back to their default effect, on this thread: one that is pending has it now. */
void signals_release(const struct signals *signals);

#endif
