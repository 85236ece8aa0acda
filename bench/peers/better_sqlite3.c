/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * better_sqlite3.c - a peer: better-sqlite3 under Node, in a process of its own (better_sqlite3_rows.js)
 *
 * It is no package of Debian's: it takes part where Node finds it (NODE_PATH, say), and is named as missing otherwise.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/instead.h"

static const char *bench_better_sqlite3_left_out(void)
{
	static int there = -1;

	if (there < 0)
		there = system("node -e 'new (require(\"better-sqlite3\"))(\":memory:\")' >/dev/null 2>&1") == 0;
	return there ? NULL : "node does not find better-sqlite3";
}

static bool bench_better_sqlite3_run(struct bench_case *self, enum bench_use use, uint64_t nsec, struct bench_used *used)
{
	char command[1500];
	bool whole;

	snprintf(command, sizeof command, "exec node '" BENCH_PEERS "/better_sqlite3_rows.js' '%s' %s %u %llu",
	         bench_database_new(), bench_use_name(use), bench_use_threads(use), (unsigned long long)nsec);
	whole = bench_use_by_command(self, command, used);
	bench_database_remove();
	return whole;
}

const struct bench_instead bench_better_sqlite3_instead = {
	.name = "better_sqlite3",
	.left_out = bench_better_sqlite3_left_out,
	.run = bench_better_sqlite3_run,
};
