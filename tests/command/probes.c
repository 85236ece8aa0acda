/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probes.c - meets each probe once at least, in a way that is known beforehand; for test_probes.sh
 *
 *   usage: probes
 *
 * It makes probed.db in the working folder, and prints what a debugger is to see: the engine, the
 * numbers of two statuses, and what the counters say at the end.
 */
#include <err.h>
#include <inttypes.h>
#include <penstock.h>
#include <stdio.h>
#include <time.h>

#define BLOB_BYTES 100000

static void must(int status, int wanted)
{
	if (status != wanted)
		errx(1, "%s, not %s: %s", penstock_status_name(status), penstock_status_name(wanted), penstock_error_message());
}

static int submit(penstock *db, const char *sql, penstock_handle **handle)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1, .sql = sql };

	return penstock_submit(db, &submission, 0, handle);
}

/* Submits until that has woken the writer. */
static void submit_to_the_sleeper(penstock *db)
{
	struct timespec moment = { .tv_nsec = 1000000 };
	penstock_counters counters = { .struct_size = sizeof counters };

	do {
		nanosleep(&moment, NULL);
		must(submit(db, "SELECT 1", NULL), PENSTOCK_OK);
		must(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
		must(penstock_counters_read(db, &counters), PENSTOCK_OK);
	} while (counters.wakes == 0);
}

int main(void)
{
	static const char blob[BLOB_BYTES];
	penstock_value value = penstock_blob(blob, sizeof blob);
	penstock_submission large = { .struct_size = sizeof large,
		                      .sql_bytes = -1,
		                      .sql = "INSERT INTO t VALUES(?)",
		                      .values = &value,
		                      .value_count = 1 };
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_handle *handle;
	penstock_config config;
	penstock *db;

	penstock_config_init(&config);
	config.autostart = 0;
	config.ring_slots = 4;
	config.spin_usec = 0;
	config.batch_usec = 0;
	config.wal_bytes_max = 65536;
	must(penstock_open("probed.db", &config, &db), PENSTOCK_OK);
	printf("engine %p\nerror %d\nmisuse %d\n", (void *)db, PENSTOCK_ERROR, PENSTOCK_MISUSE);

	/* Tickets 0 to 3, one batch: 2 takes the transaction with it, so 0 and 1 run again. Then there is no room. */
	must(submit(db, "CREATE TABLE t(a)", NULL), PENSTOCK_OK);
	must(submit(db, "CREATE UNIQUE INDEX u ON t(length(a))", NULL), PENSTOCK_OK);
	must(submit(db, "INSERT OR ROLLBACK INTO t VALUES(1), (2)", &handle), PENSTOCK_OK);
	must(submit(db, "INSERT INTO t VALUES('xyz')", NULL), PENSTOCK_OK);
	must(submit(db, "SELECT 1", NULL), PENSTOCK_FULL);
	must(penstock_start(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	must(penstock_flush(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	must(penstock_handle_wait(handle, 0), PENSTOCK_ERROR);
	penstock_handle_release(handle);

	/* A log that is large enough for a checkpoint. */
	submit_to_the_sleeper(db);
	must(penstock_execute(db, &large, PENSTOCK_FOREVER, NULL), PENSTOCK_OK);

	must(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	must(penstock_pause(db, PENSTOCK_FOREVER), PENSTOCK_MISUSE);
	must(penstock_unpause(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	penstock_config_init(&config);
	config.batch_max = 10;
	must(penstock_reconfigure(db, &config), PENSTOCK_OK);
	must(penstock_stop(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	must(penstock_counters_read(db, &counters), PENSTOCK_OK);
	printf("outcome_nsec %" PRIu64 "\ncommit_nsec %" PRIu64 "\ncheckpoint_nsec %" PRIu64 "\nparks %" PRIu64
	       "\nwakes %" PRIu64 "\n",
	       counters.outcome_nsec.sum, counters.commit_nsec.sum, counters.checkpoint_nsec, counters.parks, counters.wakes);
	must(penstock_close(db, PENSTOCK_FOREVER), PENSTOCK_OK);
	return 0;
}
