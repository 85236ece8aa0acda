/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * address.h - the path of a cluster: its nodes, the user, TLS
 *
 *     rqlite://[USER@]HOST[:PORT][,HOST[:PORT]...]/[?tls=yes&ca=FILE&cert=FILE&key=FILE&timeout_ms=N]
 *
 * Every node is named, as the nodes name themselves to their users (rqlited's -http-adv-addr): the leader is found among them. A port is 4001
 * unless it is said. timeout_ms bounds one request. A node gives a write up after 10 seconds, so less than that only makes outcomes
 * UNKNOWN that would have been known.
 *
 * Invariants
 *   1. No password is in a path, which is shown in logs and metrics; one that has any is refused, and not shown.
 *
 * Failure modes: CANTOPEN, which says what is wrong with the path; NOMEM.
 */
#ifndef PENSTOCK_RQLITE_ADDRESS_H
#define PENSTOCK_RQLITE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define PS_HOSTS_MAX 32

struct ps_address {
	char *copy; /* in which all of these lie */
	const char *user;
	char *hosts[PS_HOSTS_MAX]; /* HOST:PORT */
	size_t host_count;
	bool tls;
	const char *ca, *cert, *key;
	long timeout_ms;
};

/* OK, or a status with the thread's message, and nothing to free. */
int ps_address_read(struct ps_address *address, const char *path);
void ps_address_free(struct ps_address *address);

#endif
