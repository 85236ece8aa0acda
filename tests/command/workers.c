/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workers.c - what docs/processes.md shows, in a server of four workers that fork: each inserts a row
 *
 * workers PATH. Exit status 0: each worker has had its row committed.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <penstock.h>

#include "tests/processes_page.h"

static int work(const char *path)
{
	penstock_submission statement = PENSTOCK_SUBMISSION_INIT;

	begin_worker(path);
	statement.sql = "CREATE TABLE IF NOT EXISTS t(worker)";
	if (penstock_execute(db, &statement, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
		return 1;
	statement.sql = "INSERT INTO t VALUES(1)";
	if (penstock_execute(db, &statement, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
		return 1;
	return penstock_close(db, PENSTOCK_FOREVER) != PENSTOCK_OK;
}

int main(int argc, char **argv)
{
	int failed = 0, status, i;

	if (argc != 2)
		return 2;
	for (i = 0; i < 4; i++) {
		pid_t worker = fork();

		if (worker == 0)
			_exit(work(argv[1]));
		failed |= worker < 0;
	}
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed;
}
