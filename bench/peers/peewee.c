/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peewee.c - a peer: Peewee's SqliteQueueDatabase, in a process of its own
 *
 * peewee_rows.py (a number of rows), peewee_uses.py (a time) and peewee_turns.py (from a word to another) do the work and measure it, so
 * that starting the interpreter is in no time. Every statement is a transaction there; a batch limit means nothing to it. It runs under Debian's Python, for which Debian has the
 * package.
 */
#include "bench/peers/peewee.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/instead.h"
#include "bench/rows.h"

#define PYTHON "/usr/bin/python3"

/* SqliteQueueDatabase has been seen to hang as it stops. No round takes that long. */
#define HANG_SECONDS 120
#define TEXT_OF(number) #number
#define IN_TIME(seconds) "exec timeout " TEXT_OF(seconds) " "

const char *bench_peewee_left_out(void)
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
	snprintf(command, sizeof command, IN_TIME(HANG_SECONDS) PYTHON " '%s/peewee_rows.py' '%s' %s %u %llu %s", BENCH_PEERS,
	         path, task->synchronous, task->producers, (unsigned long long)task->rows, task->waits ? "wait" : "none");
	child = popen(command, "r");
	whole = child != NULL && fscanf(child, "%lf", &took->seconds) == 1;
	whole = bench_end_command(self, child, whole, "peewee_rows.py");
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
	snprintf(command, sizeof command, IN_TIME(HANG_SECONDS) PYTHON " '" BENCH_PEERS "/peewee_uses.py' '%s' %s %u %llu",
	         path, bench_use_name(use), bench_use_threads(use), (unsigned long long)nsec);
	whole = bench_use_by_command(self, command, used);
	bench_database_remove();
	return whole;
}

const struct bench_instead bench_peewee_instead = {
	.name = "peewee",
	.left_out = bench_peewee_left_out,
	.run = bench_peewee_run,
};

/* ---- among other processes ---- */

static void bench_peewee_become(char *const arguments[], int in, int out)
{
	/* Of whatever it becomes. */
	alarm(HANG_SECONDS);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execv(PYTHON, arguments);
	_exit(127);
}

bool bench_peewee_begin(struct bench_peewee *peewee, const char *path, const char *synchronous, unsigned threads)
{
	char count[16], word[16] = "";
	char *arguments[] = { PYTHON, BENCH_PEERS "/peewee_turns.py", (char *)path, (char *)synchronous, count, NULL };
	int in[2], out[2];

	snprintf(count, sizeof count, "%u", threads);
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		return false;
	peewee->pid = fork();
	if (peewee->pid == 0)
		bench_peewee_become(arguments, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	peewee->to = fdopen(in[1], "w");
	peewee->from = fdopen(out[0], "r");
	return peewee->pid > 0 && peewee->to != NULL && peewee->from != NULL &&
	       fgets(word, sizeof word, peewee->from) != NULL && strcmp(word, "ready\n") == 0;
}

void bench_peewee_go(struct bench_peewee *peewee)
{
	fputs("go\n", peewee->to);
	fflush(peewee->to);
}

bool bench_peewee_end(struct bench_peewee *peewee, uint64_t *rows, uint64_t *worst_nsec)
{
	bool whole;
	int status;

	fclose(peewee->to);
	whole = fscanf(peewee->from, "%" SCNu64 " %" SCNu64, rows, worst_nsec) == 2;
	fclose(peewee->from);
	return waitpid(peewee->pid, &status, 0) == peewee->pid && status == 0 && whole;
}
