/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cluster.h - which node to ask: the leader, as long as it leads
 *
 * Any node takes a write and hands it to the leader, at 0.7 of the rate and with one more way not to hear of it. So the nodes are asked
 * who leads (GET /nodes), and requests go there until one of them fails; then the nodes are asked again. A leader that goes by a name
 * which is not in the path is reached through the node that told.
 *
 * While another leader is elected a node may tell of one that leads no more, or hangs. What is sent there comes to UNKNOWN. So a leader is
 * asked a question first, which does no harm wherever it ends.
 *
 * Invariants
 *   1. Nothing is sent twice here: each request is asked once, of one node, and its verdict handed on.
 *   2. Who is to be asked has answered: the question, or everything since.
 *
 * Failure modes: no node answers, or none knows a leader: `reason` has what the last one said.
 */
#ifndef PENSTOCK_RQLITE_CLUSTER_H
#define PENSTOCK_RQLITE_CLUSTER_H

#include "writer/rqlite/http.h"

struct ps_cluster {
	struct ps_address address;
	struct ps_http http;
	size_t host;  /* to ask */
	bool led;     /* it leads, or knows who does, and has answered */
	bool refused; /* a node answered, and will not have this user */
	char reason[512];
};

/* OK, or a status with the thread's message, and nothing to free. Does not connect yet. */
int ps_cluster_init(struct ps_cluster *cluster, const char *path, const char *password);
void ps_cluster_destroy(struct ps_cluster *cluster);
/* Whether there is a leader to ask: at once when the last request went well, else by asking every node once. */
bool ps_cluster_find(struct ps_cluster *cluster);
/* Asks it. The body of the answer is in http, and why there is none in `reason`. */
enum ps_http_verdict ps_cluster_ask(struct ps_cluster *cluster, const char *target, const char *text, size_t bytes);
/* What it answered was of no use: another node is asked next. why: or NULL, when `reason` says it already. */
void ps_cluster_lose(struct ps_cluster *cluster, const char *why);

#endif
