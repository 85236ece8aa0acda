/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peewee.c - a peer: Peewee's SqliteQueueDatabase, in a process of its own
 *
 * peewee_rows.py (a number of rows) and peewee_uses.py (a time) do the work and measure it, so that starting the interpreter is in no
 * time. Every statement is a transaction there; a batch limit means nothing to it. It runs under Debian's Python, for which Debian has the
 * package.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/instead.h"
#include "bench/rows.h"

#define PYTHON "/usr/bin/python3"

static const char *bench_peewee_left_out(void)
{
	static int there = -1;

	if (there < 0)
		there = access(PYTHON, X_OK) == 0 && system(PYTHON " -c 'import playhouse.sqliteq' 2>/dev/null") == 0;
	return there ? NULL : "the package python3-peewee is not installed";
}

static bool bench_peewee_write(struct bench_case *self, const struct bench_task *task, struct bench_took *took)
{
	const char *path = bench_database_new();
	sqlite3 *connection = bench_plain_new(self, path, task->synchronous);
	char command[1500];
	FILE *child;
	bool whole;

	if (connection == NULL)
		return false;
	sqlite3_close(connection);
	snprintf(command, sizeof command, "exec " PYTHON " '%s/peewee_rows.py' '%s' %s %u %llu %s", BENCH_PEERS, path,
	         task->synchronous, task->producers, (unsigned long long)task->rows, task->waits ? "wait" : "none");
	child = popen(command, "r");
	whole = child != NULL && fscanf(child, "%lf", &took->seconds) == 1;
	if (child != NULL && pclose(child) != 0)
		whole = false;
	if (!whole)
		bench_fail(self, "peewee_rows.py failed");
	bench_database_remove();
	return whole;
}

const struct bench_writer bench_peewee_writer = {
	.name = "peewee",
	.left_out = bench_peewee_left_out,
	.write = bench_peewee_write,
};

/* ---- for a while ---- */

static bool bench_peewee_run(struct bench_case *self, enum bench_use use, uint64_t nsec, struct bench_used *used)
{
	const char *path = bench_database_new();
	sqlite3 *connection = bench_plain_new(self, path, "FULL");
	char command[1500];
	bool whole;

	if (connection == NULL)
		return false;
	sqlite3_close(connection);
	snprintf(command, sizeof command, "exec " PYTHON " '" BENCH_PEERS "/peewee_uses.py' '%s' %s %u %llu", path,
	         bench_use_name(use), bench_use_threads(use), (unsigned long long)nsec);
	whole = bench_use_by_command(self, command, used);
	bench_database_remove();
	return whole;
}

const struct bench_instead bench_peewee_instead = {
	.name = "peewee",
	.left_out = bench_peewee_left_out,
	.run = bench_peewee_run,
};
