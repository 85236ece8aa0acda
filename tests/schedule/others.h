/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * others.h - what another process does to the engine's file: it pauses all, and has an engine there that takes turns
 *
 * Each is a thread with a description of the side file and the code that ships (writer/sqlite/peers.h), and with nothing else of the
 * engine's. It may be killed at any point, and then it holds no lock any more; what it wrote in the page stays.
 *
 * From the moment a pause of all is had until it is let go of, or its process is dead, nobody writes and no checkpoint copies
 * (store.h sees to the engine, the other process to itself). While a pauser waits, each engine that is in finishes one batch at most.
 */
#ifndef PENSTOCK_SCHEDULE_OTHERS_H
#define PENSTOCK_SCHEDULE_OTHERS_H

#include <stdbool.h>

struct others_plan {
	unsigned most; /* rows that the engine may yet commit once a pauser waits; 0: nobody can tell */
	bool stands;   /* the pause stays until `let_go` */
	bool let_go;
};

/* For threads; arg: a struct others_plan. */
void others_pause(void *arg);
void others_write(void *arg);

#endif
