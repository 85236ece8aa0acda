/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nodes.h - nodes of a real cluster on this machine's loopback, to be killed, stopped and let go
 *
 * rqlited is what PENSTOCK_RQLITED names, or what is in PATH; without either a program that wants it says so and is skipped. All that a
 * node writes lies in a folder of the test's own. A node dies with the thread that started it: so that is the main thread.
 */
#ifndef PENSTOCK_NODES_H
#define PENSTOCK_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define NODES_MAX 3

struct nodes {
	char program[512];
	char folder[256];
	size_t count;
	int ports[NODES_MAX];      /* of HTTP */
	int raft_ports[NODES_MAX]; /* of the nodes among themselves */
	pid_t pids[NODES_MAX];     /* 0: it is down */
	const char *arguments[16]; /* more of them, up to NULL */
	char path[256];            /* rqlite://... of all */
};

/* Skips the program when there is no rqlited. Starts none yet. */
void nodes_begin(struct nodes *nodes, size_t count);
void nodes_start(struct nodes *nodes, size_t which);
/* SIGKILL ends it; SIGSTOP and SIGCONT leave it. */
void nodes_signal(struct nodes *nodes, size_t which, int signal);
/* Ends them, and removes what they have written. */
void nodes_end(struct nodes *nodes);

#endif
