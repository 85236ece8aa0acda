/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cluster.c - rows a second into three nodes on this machine: by clients with a request for each row, and by one engine
 *
 *   penstock-cluster [SECONDS [ROUNDS]]
 *
 *     cluster/one           a connection that sends a row, waits, and sends the next
 *     cluster/clients:64    64 of them, a thread each
 *     cluster/waiting:64    64 threads that submit a row to one engine and wait for its outcome
 *     cluster/inflight:1000 one thread with 1000 rows under way in one engine
 *
 * They take turns, round by round, for SECONDS each (3). The ratios are taken within a round; what is printed is the median of the rounds (5),
 * with the smallest and the largest. Everything is sent to the node that leads. The nodes and who loads them share the processors, so only the
 * ratios mean something. Without an rqlited (tests/cluster/nodes.h) nothing is measured.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/penstock.h"
#include "tests/cluster/nodes.h"
#include "writer/rqlite/cluster.h"

#define CLIENTS 64
#define FLIGHT 1000
#define ROUNDS_MAX 99
#define ROW "INSERT INTO b(a) VALUES(?)"
#define REQUEST "[[\"" ROW "\",7]]"

enum way { ONE, MANY, WAITING, INFLIGHT, WAYS };

static const char *const names[WAYS] = { "cluster/one", "cluster/clients:64", "cluster/waiting:64", "cluster/inflight:1000" };

static struct nodes nodes;
static penstock *db;
static const penstock_statement *row;
static uint64_t until; /* of the round */
static _Atomic uint64_t rows;

static void end(const char *what, const char *why)
{
	fprintf(stderr, "penstock-cluster: %s: %s\n", what, why);
	nodes_end(&nodes);
	exit(1);
}

/* ---- the ways ---- */

static void *client(void *arg)
{
	struct ps_cluster cluster;

	(void)arg;
	if (ps_cluster_init(&cluster, nodes.path, NULL) != PENSTOCK_OK || !ps_cluster_find(&cluster))
		end("a client", cluster.reason);
	while (!ps_deadline_passed(until)) {
		if (ps_cluster_ask(&cluster, "/db/execute", REQUEST, strlen(REQUEST)) != PS_HTTP_ANSWERED)
			end("a client's row", cluster.reason);
		rows++;
	}
	ps_cluster_destroy(&cluster);
	return NULL;
}

static penstock_handle *submit(void)
{
	penstock_value value = penstock_int64(7);
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;
	penstock_handle *handle;

	submission.statement = row;
	submission.values = &value;
	submission.value_count = 1;
	if (penstock_submit(db, &submission, PENSTOCK_FOREVER, &handle) != PENSTOCK_OK)
		end("a submit", penstock_error_message());
	return handle;
}

static void hear(penstock_handle *handle)
{
	if (penstock_handle_wait(handle, PENSTOCK_FOREVER) != PENSTOCK_OK)
		end("a row", penstock_error_message());
	penstock_handle_release(handle);
	rows++;
}

static void *wait_for_each(void *arg)
{
	(void)arg;
	while (!ps_deadline_passed(until))
		hear(submit());
	return NULL;
}

static void *keep_in_flight(void *arg)
{
	penstock_handle *flight[FLIGHT];
	uint64_t submitted = 0, told = 0;

	(void)arg;
	while (!ps_deadline_passed(until)) {
		if (submitted - told == FLIGHT)
			hear(flight[told++ % FLIGHT]);
		flight[submitted++ % FLIGHT] = submit();
	}
	while (told < submitted)
		hear(flight[told++ % FLIGHT]);
	return NULL;
}

/* Rows a second. */
static double measure(enum way way, int seconds)
{
	static void *(*const run[WAYS])(void *) = { client, client, wait_for_each, keep_in_flight };
	size_t count = way == MANY || way == WAITING ? CLIENTS : 1, i;
	pthread_t threads[CLIENTS];
	uint64_t began = ps_clock_nsec();

	rows = 0;
	until = began + (uint64_t)seconds * PS_NSEC_PER_SEC;
	for (i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, run[way], NULL) != 0)
			end("a thread", "there is none");
	}
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return (double)rows * 1e9 / (double)(ps_clock_nsec() - began);
}

/* ---- the table ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_ratio(const char *name, double figures[WAYS][ROUNDS_MAX], enum way above, enum way below, int rounds,
                        double target)
{
	double ratios[ROUNDS_MAX];
	int i;

	for (i = 0; i < rounds; i++)
		ratios[i] = figures[above][i] / figures[below][i];
	qsort(ratios, (size_t)rounds, sizeof *ratios, compare);
	printf("%-44s %8.1f  (%.1f to %.1f)  target %.0f: %s\n", name, ratios[rounds / 2], ratios[0], ratios[rounds - 1],
	       target, ratios[rounds / 2] >= target ? "met" : "MISSED");
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 3, rounds = argc > 2 ? atoi(argv[2]) : 5, round;
	static double figures[WAYS][ROUNDS_MAX];
	penstock_submission create = PENSTOCK_SUBMISSION_INIT;
	penstock_statement *statement;
	size_t i;

	if (seconds < 1 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: penstock-cluster [SECONDS [ROUNDS]]\n");
		return 2;
	}
	nodes_begin(&nodes, NODES_MAX);
	for (i = 0; i < nodes.count; i++)
		nodes_start(&nodes, i);
	create.sql = "CREATE TABLE b(a INTEGER)";
	if (penstock_open(nodes.path, NULL, &db) != PENSTOCK_OK ||
	    penstock_execute(db, &create, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK ||
	    penstock_statement_register(db, ROW, -1, &statement) != PENSTOCK_OK)
		end("the cluster", penstock_error_message());
	row = statement;
	for (round = 0; round < rounds; round++) {
		for (enum way way = ONE; way < WAYS; way++)
			figures[way][round] = measure(way, seconds);
	}
	for (enum way way = ONE; way < WAYS; way++) {
		double sorted[ROUNDS_MAX];

		memcpy(sorted, figures[way], sizeof sorted);
		qsort(sorted, (size_t)rounds, sizeof *sorted, compare);
		printf("%-44s %8.0f rows a second  (%.0f to %.0f)\n", names[way], sorted[rounds / 2], sorted[0],
		       sorted[rounds - 1]);
	}
	print_ratio("inflight:1000 by one", figures, INFLIGHT, ONE, rounds, 25);
	print_ratio("inflight:1000 by clients:64", figures, INFLIGHT, MANY, rounds, 4);
	print_ratio("waiting:64 by clients:64", figures, WAITING, MANY, rounds, 2);
	penstock_close(db, PENSTOCK_FOREVER);
	nodes_end(&nodes);
	return 0;
}
