/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connections.c - a peer: a connection for each thread, SQLite's own locks, busy_timeout and BEGIN IMMEDIATE
 *
 * The timeout is a minute (database.c). Who gets the lock is left to SQLite's busy handler, which sleeps ever longer:
 * so few threads do most of the work while the others sleep, and a thread may run into the timeout; then the case
 * fails.
 */
#include <stdio.h>

#include "bench/crew.h"
#include "bench/rows.h"

struct bench_each {
	struct bench_inserter inserters[BENCH_CREW_MAX];
	const struct bench_task *task;
	const char *path;
};

static void bench_each_ready(struct bench_hand *hand)
{
	struct bench_each *each = hand->crew->context;
	struct bench_inserter *inserter = &each->inserters[hand->number];
	sqlite3 *connection = bench_plain_open(each->path, each->task->synchronous, hand->message, sizeof hand->message);

	if (connection != NULL && !bench_inserter_init(inserter, connection, "BEGIN IMMEDIATE"))
		snprintf(hand->message, sizeof hand->message, "%s", sqlite3_errmsg(connection));
}

static void bench_each_work(struct bench_hand *hand)
{
	struct bench_each *each = hand->crew->context;
	struct bench_inserter *inserter = &each->inserters[hand->number];
	uint64_t rows = each->task->rows / each->task->producers, i, count;
	bool whole = true;

	for (i = 0; i < rows && whole; i += count) {
		count = each->task->waits ? 1 : each->task->batch;
		if (count > rows - i)
			count = rows - i;
		whole = bench_inserter_rows(inserter, i, count);
	}
	if (!whole)
		snprintf(hand->message, sizeof hand->message, "%s", sqlite3_errmsg(inserter->connection));
}

static bool bench_each_write(struct bench_case *self, const struct bench_task *task, struct bench_took *took)
{
	const char *path = bench_database_new();
	sqlite3 *first = bench_plain_new(self, path, task->synchronous);
	struct bench_each each = { .task = task, .path = path };
	struct bench_crew crew = {
		.context = &each, .ready = bench_each_ready, .work = bench_each_work, .count = task->producers
	};
	uint64_t started;
	bool whole;

	if (first == NULL)
		return false;
	bench_crew_begin(&crew);
	whole = bench_crew_end(self, &crew) && bench_plain_arrived(self, first, task->rows);
	started = bench_nsec();
	for (unsigned i = 0; i < task->producers; i++) {
		bench_inserter_finish(&each.inserters[i]);
		sqlite3_close(each.inserters[i].connection);
	}
	sqlite3_close(first);
	took->seconds = (double)(crew.ended - crew.started) / 1e9;
	took->close_seconds = (double)(bench_nsec() - started) / 1e9;
	bench_database_remove();
	return whole;
}

const struct bench_writer bench_connections_writer = {
	.name = "connections",
	.write = bench_each_write,
	.contends = true,
	.own_groups = true,
};
