/*
 * rows.c - rows a second through the engine, and waiting for outcomes, beside the raw loop
 *
 * rows/LEVEL/N: N producers fire and forget a fixed number of rows in all, registered statement, batch_max 1000; the
 * time runs from the barrier that lets them go to the return of penstock_flush. The raw loop does as many rows in
 * transactions of 1000, from the first row to the last COMMIT. The two take turns, each round on a fresh file; which
 * comes first alternates. Both leave some of their WAL to be checkpointed when they close (Penstock more: it
 * checkpoints every 16 MiB, SQLite every 1000 pages), so the ratio is shown a second time with the closing in both
 * times.
 *
 * wait/LEVEL/N: N producers each submit, wait for the outcome, and again. The raw loop is autocommit: under FULL,
 * except that one producer under NORMAL is compared with autocommit under NORMAL, as nobody syncs there.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/database.h"

#define PRODUCERS_MAX 64
#define ROUNDS 5
#define ROWS 500000
#define PER_TRANSACTION 1000

#define ROWS_MIN 0.95
#define WAIT_MANY_MIN 15.0
#define WAIT_ONE_MAX 1.10

struct bench_kind {
	const char *name;
	const char *key;    /* Penstock's synchronous */
	const char *pragma; /* the raw loop's */
	penstock_ack ack;
	uint64_t outcomes;    /* wait: in all, in a round of the engine */
	uint64_t autocommits; /* wait: in a round of the raw loop */
};

struct bench_job {
	penstock *db;
	const penstock_statement *insert;
	pthread_barrier_t *start;
	uint64_t rows;
	penstock_ack ack;
	bool waits;
	int status;
	char message[200];
	pthread_t id;
};

struct bench_through {
	double seconds;
	double close_seconds;
	double outcome_p50; /* ns, to the width of a bucket */
	double outcome_p99;
};

/* ---- the engine ---- */

static void *bench_produce_rows(void *arg)
{
	struct bench_job *job = arg;
	struct bench_row row;

	bench_row_init(&row, job->insert);
	row.submission.ack = job->ack;
	pthread_barrier_wait(job->start);
	for (uint64_t i = 0; i < job->rows && job->status == PENSTOCK_OK; i++) {
		bench_row_next(&row, i);
		if (job->waits)
			job->status = penstock_execute(job->db, &row.submission, PENSTOCK_FOREVER, NULL);
		else
			job->status = penstock_submit(job->db, &row.submission, PENSTOCK_FOREVER, NULL);
	}
	if (job->status != PENSTOCK_OK)
		snprintf(job->message, sizeof job->message, "%s", penstock_error_message());
	return NULL;
}

static bool bench_produce_all(struct bench_case *self, penstock *db, const penstock_statement *insert,
                              unsigned producers, uint64_t rows, bool waits, penstock_ack ack,
                              struct bench_through *through)
{
	struct bench_job jobs[PRODUCERS_MAX];
	pthread_barrier_t start;
	uint64_t started;
	bool whole = true;

	pthread_barrier_init(&start, NULL, producers + 1);
	for (unsigned i = 0; i < producers; i++) {
		jobs[i] = (struct bench_job){ .db = db,
			                      .insert = insert,
			                      .start = &start,
			                      .rows = rows / producers,
			                      .waits = waits,
			                      .ack = ack };
		if (pthread_create(&jobs[i].id, NULL, bench_produce_rows, &jobs[i]) != 0) {
			fprintf(stderr, "penstock-bench: no thread can be created\n");
			exit(1);
		}
	}
	/* Before the barrier opens: this thread may not get a processor soon after. */
	started = bench_nsec();
	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < producers; i++) {
		pthread_join(jobs[i].id, NULL);
		if (jobs[i].status != PENSTOCK_OK && whole)
			bench_fail(self, "%s", jobs[i].message);
		whole &= jobs[i].status == PENSTOCK_OK;
	}
	penstock_flush(db, PENSTOCK_FOREVER);
	through->seconds = (double)(bench_nsec() - started) / 1e9;
	pthread_barrier_destroy(&start);
	return whole;
}

static bool bench_engine_round(struct bench_case *self, const struct bench_kind *kind, unsigned producers,
                               uint64_t rows, bool waits, struct bench_through *through)
{
	const char *keys[] = { kind->key, "batch_max=1000", NULL };
	penstock *db = bench_open(self, bench_database_new(), NULL, keys);
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock_statement *insert;
	uint64_t started;
	bool whole;

	if (db == NULL)
		return false;
	whole = bench_prepare(self, db, &insert) &&
	        bench_produce_all(self, db, insert, producers, rows, waits, kind->ack, through);
	penstock_counters_read(db, &counters);
	if (whole && (counters.failed != 0 || counters.committed != rows / producers * producers + 2)) {
		bench_fail(self, "%llu rows of %llu arrived", (unsigned long long)counters.committed - 2,
		           (unsigned long long)rows);
		whole = false;
	}
	through->outcome_p50 = (double)penstock_histogram_quantile(&counters.outcome_nsec, 0.50);
	through->outcome_p99 = (double)penstock_histogram_quantile(&counters.outcome_nsec, 0.99);
	started = bench_nsec();
	penstock_close(db, PENSTOCK_FOREVER);
	through->close_seconds = (double)(bench_nsec() - started) / 1e9;
	bench_database_remove();
	return whole;
}

/* One of each, which comes first alternating. */
static bool bench_pair(struct bench_case *self, const struct bench_kind *kind, unsigned round, uint64_t rows,
                       bool waits, uint64_t raw_rows, struct bench_through *through, struct bench_raw *raw)
{
	unsigned per_transaction = waits ? 0 : PER_TRANSACTION;

	if (round % 2 == 1)
		return bench_engine_round(self, kind, self->number, rows, waits, through) &&
		       bench_raw_loop(self, kind->pragma, raw_rows, per_transaction, raw);
	return bench_raw_loop(self, kind->pragma, raw_rows, per_transaction, raw) &&
	       bench_engine_round(self, kind, self->number, rows, waits, through);
}

/* ---- rows a second ---- */

static void bench_run_rows(struct bench_case *self)
{
	const struct bench_kind *kind = self->what;
	double engine[ROUNDS], raw[ROUNDS], ratio[ROUNDS], closed[ROUNDS];
	struct bench_target target = { .limit = ROWS_MIN, .unit = " x", .decimals = 2 };
	unsigned rounds = bench_rounds(ROUNDS), r;
	uint64_t rows = bench_amount(ROWS);

	for (r = 0; r < rounds; r++) {
		struct bench_through through;
		struct bench_raw beside;

		if (!bench_pair(self, kind, r, rows, false, rows, &through, &beside))
			return;
		engine[r] = (double)rows / through.seconds;
		raw[r] = (double)rows / beside.seconds;
		ratio[r] = beside.seconds / through.seconds;
		closed[r] = (beside.seconds + beside.close_seconds) / (through.seconds + through.close_seconds);
	}
	target.figure = bench_spread_of(ratio, rounds);
	snprintf(target.what, sizeof target.what, "rows/s, %s, %u producers: by the raw loop", kind->name,
	         self->number);
	bench_judge(&target);
	bench_say_spread(self, "rows_per_s", bench_spread_of(engine, rounds));
	bench_say(self, "raw_rows_per_s", bench_spread_of(raw, rounds).median);
	bench_say_spread(self, "by_raw", target.figure);
	bench_say(self, "by_raw_with_close", bench_spread_of(closed, rounds).median);
	bench_say_seconds(self, 1 / bench_spread_of(engine, rounds).median);
}

/* ---- waiting ---- */

static void bench_run_wait(struct bench_case *self)
{
	const struct bench_kind *kind = self->what;
	double engine[ROUNDS], raw[ROUNDS], ratio[ROUNDS], p50[ROUNDS], p99[ROUNDS];
	struct bench_target target = { .decimals = 2, .unit = " x" };
	unsigned rounds = bench_rounds(ROUNDS), r;
	uint64_t rows = bench_amount(kind->outcomes), autocommits = bench_amount(kind->autocommits);

	rows = rows / self->number * self->number;
	for (r = 0; r < rounds; r++) {
		struct bench_through through;
		struct bench_raw beside;

		if (!bench_pair(self, kind, r, rows, true, autocommits, &through, &beside))
			return;
		engine[r] = (double)rows / through.seconds;
		raw[r] = (double)autocommits / beside.seconds;
		/* One producer: its time by the raw loop's. Many: their throughput by the raw loop's. */
		ratio[r] = self->number == 1 ? raw[r] / engine[r] : engine[r] / raw[r];
		p50[r] = through.outcome_p50 / 1e3;
		p99[r] = through.outcome_p99 / 1e3;
	}
	target.figure = bench_spread_of(ratio, rounds);
	target.at_most = self->number == 1;
	target.limit = self->number == 1 ? WAIT_ONE_MAX : WAIT_MANY_MIN;
	snprintf(target.what, sizeof target.what, "waiting, %s, %u producers: %s by raw autocommit %s", kind->name,
	         self->number, self->number == 1 ? "time" : "rate", kind->pragma);
	bench_judge(&target);
	bench_say_spread(self, "outcomes_per_s", bench_spread_of(engine, rounds));
	bench_say(self, "raw_per_s", bench_spread_of(raw, rounds).median);
	bench_say_spread(self, self->number == 1 ? "time_by_raw" : "rate_by_raw", target.figure);
	bench_say(self, "outcome_p50_us", bench_spread_of(p50, rounds).median);
	bench_say(self, "outcome_p99_us", bench_spread_of(p99, rounds).median);
	bench_say_seconds(self, 1 / bench_spread_of(engine, rounds).median);
}

void bench_add_rows(void)
{
	static const struct bench_kind fire[] = {
		{ .name = "NORMAL", .key = "synchronous=normal", .pragma = "NORMAL" },
		{ .name = "FULL", .key = "synchronous=full", .pragma = "FULL" },
	};
	static const struct bench_kind many[] = {
		{ .name = "FULL", .key = "synchronous=full", .pragma = "FULL", .outcomes = 25600, .autocommits = 2000 },
		{ .name = "NORMAL_durable",
		  .key = "synchronous=normal",
		  .pragma = "FULL",
		  .ack = PENSTOCK_ACK_DURABLE,
		  .outcomes = 25600,
		  .autocommits = 2000 },
	};
	static const struct bench_kind one[] = {
		{ .name = "FULL", .key = "synchronous=full", .pragma = "FULL", .outcomes = 2000, .autocommits = 2000 },
		{ .name = "NORMAL",
		  .key = "synchronous=normal",
		  .pragma = "NORMAL",
		  .outcomes = 20000,
		  .autocommits = 20000 },
	};
	static const unsigned counts[] = { 1, 2, 4, 8, 16, 32, 64 };

	for (size_t k = 0; k < 2; k++) {
		for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
			struct bench_case each = {
				.run = bench_run_rows, .what = &fire[k], .number = counts[c], .has_target = true
			};

			snprintf(each.name, sizeof each.name, "rows/%s/%u", fire[k].name, counts[c]);
			bench_add(&each);
		}
	}
	for (size_t k = 0; k < 2; k++) {
		struct bench_case each = { .run = bench_run_wait, .what = &many[k], .number = 64, .has_target = true };
		struct bench_case alone = { .run = bench_run_wait, .what = &one[k], .number = 1, .has_target = true };

		snprintf(each.name, sizeof each.name, "wait/%s/64", many[k].name);
		snprintf(alone.name, sizeof alone.name, "wait/%s/1", one[k].name);
		bench_add(&each);
		bench_add(&alone);
	}
}
