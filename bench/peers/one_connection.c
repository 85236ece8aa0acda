/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * one_connection.c - a peer: one connection for all threads, under a mutex
 *
 * A thread that does not wait for its rows one by one holds the mutex for a transaction of task->batch rows of its own.
 */
#include <pthread.h>
#include <stdio.h>

#include "bench/crew.h"
#include "bench/rows.h"

struct bench_shared {
	pthread_mutex_t mutex;
	struct bench_inserter inserter;
	const struct bench_task *task;
};

static void bench_shared_work(struct bench_hand *hand)
{
	struct bench_shared *shared = hand->crew->context;
	uint64_t rows = shared->task->rows / shared->task->producers, i, count;
	bool whole = true;

	for (i = 0; i < rows && whole; i += count) {
		count = shared->task->waits ? 1 : shared->task->batch;
		if (count > rows - i)
			count = rows - i;
		pthread_mutex_lock(&shared->mutex);
		whole = bench_inserter_rows(&shared->inserter, i, count);
		if (!whole)
			snprintf(hand->message, sizeof hand->message, "%s", sqlite3_errmsg(shared->inserter.connection));
		pthread_mutex_unlock(&shared->mutex);
	}
}

static bool bench_shared_write(struct bench_case *self, const struct bench_task *task, struct bench_took *took)
{
	sqlite3 *connection = bench_plain_new(self, bench_database_new(), task->synchronous);
	struct bench_shared shared = { .mutex = PTHREAD_MUTEX_INITIALIZER, .task = task };
	struct bench_crew crew = { .context = &shared, .work = bench_shared_work, .count = task->producers };
	uint64_t started;
	bool whole;

	if (connection == NULL)
		return false;
	whole = bench_inserter_init(&shared.inserter, connection, "BEGIN");
	if (!whole)
		bench_fail(self, "%s", sqlite3_errmsg(connection));
	if (whole) {
		bench_crew_begin(&crew);
		whole = bench_crew_end(self, &crew) && bench_plain_arrived(self, connection, task->rows);
	}
	started = bench_nsec();
	bench_inserter_finish(&shared.inserter);
	sqlite3_close(connection);
	took->seconds = (double)(crew.ended - crew.started) / 1e9;
	took->close_seconds = (double)(bench_nsec() - started) / 1e9;
	bench_database_remove();
	return whole;
}

const struct bench_writer bench_one_connection_writer = {
	.name = "one-connection",
	.write = bench_shared_write,
	.own_groups = true,
};
