/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * together.c - groups and calls: what happens together, or on the writer
 *
 * group/LEVEL/statements:N[/waits]. One producer submits groups of N of the row's INSERT, and waits for each or for the last alone.
 * The raw loop writes as many rows in hand-written transactions of N, by turns, round by round.
 *
 * call/LEVEL[/waits]. A call that steps one prepared INSERT, beside the same INSERT as a statement, run alone
 * (PENSTOCK_RUN_ALONE) as a call is, and as an ordinary one.
 */
#include <stdio.h>
#include <string.h>

#include "bench/database.h"

#define ROUNDS 7
#define ROWS_NORMAL 32000
#define MEMBERS_MAX 16

struct bench_together {
	const char *synchronous;
	unsigned statements; /* of a group; 0: a call */
	bool waits;
};

/* What one round writes, and how. */
struct bench_doer {
	penstock *db;
	struct bench_row rows[MEMBERS_MAX];
	penstock_submission members[MEMBERS_MAX];
	unsigned count;
	sqlite3_stmt *insert; /* the call's own, on the writer's connection */
	int (*submit)(struct bench_doer *doer, uint64_t number, penstock_handle **handle);
};

static int bench_submit_group(struct bench_doer *doer, uint64_t number, penstock_handle **handle)
{
	for (unsigned i = 0; i < doer->count; i++) {
		bench_row_next(&doer->rows[i], number + i);
		doer->members[i] = doer->rows[i].submission;
	}
	return penstock_submit_group(doer->db, doer->members, doer->count, NULL, PENSTOCK_FOREVER, handle);
}

static int bench_insert_one(sqlite3 *connection, void *arg, char **message)
{
	struct bench_row *row = arg;
	sqlite3_stmt *insert;
	int rc = sqlite3_prepare_v2(connection, BENCH_INSERT, -1, &insert, NULL);

	(void)message;
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(insert, 2, row->values[1].as.integer);
	sqlite3_bind_text(insert, 3, row->text, BENCH_TEXT_BYTES, SQLITE_STATIC);
	sqlite3_bind_double(insert, 4, row->values[3].as.real);
	sqlite3_step(insert);
	return sqlite3_finalize(insert);
}

static int bench_submit_call(struct bench_doer *doer, uint64_t number, penstock_handle **handle)
{
	struct bench_row *row = &doer->rows[number % MEMBERS_MAX];

	bench_row_next(row, number);
	return penstock_call(doer->db, bench_insert_one, row, NULL, PENSTOCK_FOREVER, handle);
}

static int bench_submit_alone(struct bench_doer *doer, uint64_t number, penstock_handle **handle)
{
	bench_row_next(&doer->rows[0], number);
	doer->rows[0].submission.flags = PENSTOCK_RUN_ALONE;
	return penstock_submit(doer->db, &doer->rows[0].submission, PENSTOCK_FOREVER, handle);
}

static int bench_submit_one(struct bench_doer *doer, uint64_t number, penstock_handle **handle)
{
	bench_row_next(&doer->rows[0], number);
	return penstock_submit(doer->db, &doer->rows[0].submission, PENSTOCK_FOREVER, handle);
}

static bool bench_do_all(struct bench_doer *doer, uint64_t rows, bool waits)
{
	int status = PENSTOCK_OK;

	for (uint64_t i = 0; i < rows && status == PENSTOCK_OK; i += doer->count) {
		penstock_handle *handle;

		status = doer->submit(doer, i, waits ? &handle : NULL);
		if (status == PENSTOCK_OK && waits) {
			status = penstock_handle_wait(handle, PENSTOCK_FOREVER);
			penstock_handle_release(handle);
		}
	}
	return status == PENSTOCK_OK && penstock_flush(doer->db, PENSTOCK_FOREVER) == PENSTOCK_OK;
}

/* Seconds on a fresh file; 0: the case failed. */
static double bench_together_round(struct bench_case *self, const struct bench_together *what,
                                   int (*submit)(struct bench_doer *, uint64_t, penstock_handle **), uint64_t rows)
{
	static struct bench_doer doer;
	char key[32];
	const char *keys[] = { key, NULL };
	penstock_statement *insert;
	double seconds = 0;

	snprintf(key, sizeof key, "synchronous=%s", what->synchronous);
	memset(&doer, 0, sizeof doer);
	doer.submit = submit;
	doer.count = what->statements == 0 ? 1 : what->statements;
	doer.db = bench_open(self, bench_database_new(), NULL, keys);
	if (doer.db == NULL)
		return 0;
	if (bench_prepare(self, doer.db, &insert)) {
		uint64_t started;

		for (unsigned i = 0; i < MEMBERS_MAX; i++)
			bench_row_init(&doer.rows[i], insert);
		started = bench_nsec();
		if (bench_do_all(&doer, rows, what->waits))
			seconds = (double)(bench_nsec() - started) / 1e9;
		else
			bench_fail(self, "%s", penstock_error_message());
	}
	penstock_close(doer.db, PENSTOCK_FOREVER);
	bench_database_remove();
	return seconds;
}

static uint64_t bench_together_rows(struct bench_case *self, const struct bench_together *what)
{
	uint64_t rows = bench_amount(ROWS_NORMAL);

	/* As many transactions of the raw loop as syncs allow. */
	if (strcmp(what->synchronous, "FULL") == 0)
		rows = bench_raw_autocommits(self) * (what->statements == 0 ? 1 : what->statements);
	return rows / MEMBERS_MAX * MEMBERS_MAX;
}

static void bench_run_group(struct bench_case *self)
{
	const struct bench_together *what = self->what;
	double rate[ROUNDS], ratio[ROUNDS];
	unsigned rounds = bench_rounds(ROUNDS), r;
	uint64_t rows = bench_together_rows(self, what);

	if (rows == 0)
		return;
	for (r = 0; r < rounds; r++) {
		struct bench_raw raw;
		double seconds;

		if (r % 2 == 1 && !bench_raw_loop(self, what->synchronous, rows, what->statements, &raw))
			return;
		seconds = bench_together_round(self, what, bench_submit_group, rows);
		if (seconds == 0 || (r % 2 == 0 && !bench_raw_loop(self, what->synchronous, rows, what->statements, &raw)))
			return;
		rate[r] = (double)rows / seconds;
		ratio[r] = raw.seconds / seconds;
	}
	bench_say_rate(self, bench_spread_of(rate, rounds));
	bench_say_spread(self, "by_raw", bench_spread_of(ratio, rounds));
}

static void bench_run_call(struct bench_case *self)
{
	const struct bench_together *what = self->what;
	double rate[ROUNDS], alone[ROUNDS], ordinary[ROUNDS];
	unsigned rounds = bench_rounds(ROUNDS), r;
	uint64_t rows = bench_together_rows(self, what);

	if (rows == 0)
		return;
	for (r = 0; r < rounds; r++) {
		double call = bench_together_round(self, what, bench_submit_call, rows);
		double by_itself = bench_together_round(self, what, bench_submit_alone, rows);
		double one = bench_together_round(self, what, bench_submit_one, rows);

		if (call == 0 || by_itself == 0 || one == 0)
			return;
		rate[r] = (double)rows / call;
		alone[r] = call / by_itself;
		ordinary[r] = call / one;
	}
	bench_say_rate(self, bench_spread_of(rate, rounds));
	bench_say_spread(self, "time_by_alone", bench_spread_of(alone, rounds));
	bench_say_spread(self, "time_by_statement", bench_spread_of(ordinary, rounds));
}

void bench_add_together(void)
{
	static const unsigned counts[] = { 1, 4, 16, 0 };
	static const char *const levels[] = { "NORMAL", "FULL" };
	static struct bench_together all[sizeof counts / sizeof *counts * 4];
	struct bench_together *each = all;

	for (size_t l = 0; l < 2; l++) {
		for (unsigned waits = 0; waits < 2; waits++) {
			for (size_t c = 0; c < sizeof counts / sizeof *counts; c++, each++) {
				struct bench_case one = { .run = counts[c] == 0 ? bench_run_call : bench_run_group,
					                  .what = each };
				char statements[32] = "";

				*each = (struct bench_together){ levels[l], counts[c], waits == 1 };
				if (counts[c] != 0)
					snprintf(statements, sizeof statements, "/statements:%u", counts[c]);
				snprintf(one.name, sizeof one.name, "%s/%s%s%s", counts[c] == 0 ? "call" : "group", levels[l],
				         statements, waits == 1 ? "/waits" : "");
				bench_add(&one);
			}
		}
	}
}
