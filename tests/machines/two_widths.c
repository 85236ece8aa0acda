/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * two_widths.c - an engine of 32 bits and one of 64 on one file
 *
 * This program as it is built for a machine, and the same built for another width (PENSTOCK_OTHER_WIDTH names it; without it there is
 * nothing to try), each with an engine on one file. When both are at work each writes ROWS rows and waits for each of them. All are there,
 * nobody gave a turn up before its time, and the tickets that were drawn in the side file are as many as both have had turns, at least,
 * and all were served: so both mean the same words. (That the words lie where they should is asserted in peers.c; here they are used.)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "core/penstock.h"
#include "tests/harness.h"
#include "writer/sqlite/beside.h"
#include "writer/sqlite/turns.h"

#define ROWS 2000
#define HANG_SECONDS 300
#define WORDS_AT 128 /* in the side file */

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "widths: %zu bits: not so: %s; %s\n", 8 * sizeof(void *), what, penstock_error_message());
	exit(1);
}

static int64_t ask(sqlite3 *connection, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t answer;

	must(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW,
	     sql);
	answer = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return answer;
}

/* The first so many of: the width, and those. */
static void execute(penstock *db, const char *sql, size_t count, int64_t a, int64_t b, int64_t c)
{
	penstock_value values[] = { penstock_int64(8 * (int64_t)sizeof(void *)), penstock_int64(a), penstock_int64(b),
		                    penstock_int64(c) };
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = sql, .values = values, .value_count = count
	};

	must(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK, sql);
}

static void write_rows(const char *path)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	sqlite3 *reader;
	penstock *db;

	alarm(HANG_SECONDS);
	must(penstock_open(path, NULL, &db) == PENSTOCK_OK, "it opens");
	must(penstock_reader_open(db, &reader) == PENSTOCK_OK, "it is read");
	execute(db, "INSERT INTO ready VALUES(?)", 1, 0, 0, 0);
	while (ask(reader, "SELECT count(*) FROM ready") < 2)
		usleep(1000);
	sqlite3_close(reader);
	for (int64_t i = 0; i < ROWS; i++)
		execute(db, "INSERT INTO t VALUES(?,?)", 2, i, 0, 0);
	penstock_counters_read(db, &counters);
	/* But for one that the machine did not run for as long as a turn is waited for. */
	must(counters.turns_missed * PS_TURNS_LONGEST <= counters.turns_wait_nsec, "it missed no turn");
	execute(db, "INSERT INTO told VALUES(?,?,?,?)", 4, (int64_t)counters.turns, (int64_t)counters.turns_waited,
	        (int64_t)counters.turns_missed);
	must(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "it closes");
}

static pid_t begin(const char *program, const char *path)
{
	pid_t process = fork();

	must(process >= 0, "a process");
	if (process > 0)
		return process;
	if (program == NULL)
		write_rows(path);
	else
		execl(program, program, path, (char *)NULL);
	_exit(program != NULL);
}

static void await_end(pid_t process)
{
	int status;

	must(waitpid(process, &status, 0) == process && status == 0, "both end well");
}

/* With everybody gone. */
static uint32_t drawn_tickets(void)
{
	struct ps_turns_words words;
	int fd = open(harness_path("test.db" PS_BESIDE_SUFFIX), O_RDONLY | O_CLOEXEC);

	must(fd >= 0 && pread(fd, &words, sizeof words, WORDS_AT) == sizeof words, "the side file is there");
	close(fd);
	must(words.tail == words.serving, "no turn stands");
	return words.tail;
}

static void judge(sqlite3 *connection)
{
	int64_t turns = ask(connection, "SELECT sum(turns) FROM told"),
		missed = ask(connection, "SELECT sum(missed) FROM told");

	must(ask(connection, "SELECT count(DISTINCT bits) FROM told") == 2, "they have two widths");
	must(ask(connection, "SELECT count(*) FROM t") == 2 * ROWS, "all rows are there");
	must(ask(connection, "SELECT count(*) FROM (SELECT DISTINCT bits,n FROM t)") == 2 * ROWS, "each is there once");
	must(turns + missed > 2 * ROWS && drawn_tickets() >= turns + missed, "they have drawn from the same tickets");
	must(ask(connection, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1, "the file is whole");
	printf("widths: %d rows by 32 bits and as many by 64, %" PRId64 " and %" PRId64
	       " turns waited for; lost 0, missed %" PRId64 "\n",
	       ROWS, ask(connection, "SELECT waited FROM told WHERE bits=32"),
	       ask(connection, "SELECT waited FROM told WHERE bits=64"), missed);
}

int main(int count, char **arguments)
{
	const char *other = getenv("PENSTOCK_OTHER_WIDTH"), *path;
	pid_t processes[2];
	sqlite3 *connection;

	if (count > 1) {
		write_rows(arguments[1]);
		return 0;
	}
	if (other == NULL) {
		printf("# SKIP machines/two_widths: PENSTOCK_OTHER_WIDTH names no program of another width\n");
		return 77;
	}
	path = harness_path("test.db");
	must(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK &&
	             sqlite3_exec(connection,
	                          "PRAGMA journal_mode=WAL; CREATE TABLE ready(bits); CREATE TABLE t(bits,n);"
	                          "CREATE TABLE told(bits,turns,waited,missed)",
	                          NULL, NULL, NULL) == SQLITE_OK,
	     "the tables");
	/* A child must not have it open. */
	sqlite3_close(connection);
	processes[0] = begin(NULL, path);
	processes[1] = begin(other, path);
	await_end(processes[0]);
	await_end(processes[1]);
	must(sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK, "it opens again");
	judge(connection);
	sqlite3_close(connection);
	harness_end();
	printf("ok machines/two_widths\n");
	return 0;
}
