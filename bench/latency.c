/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latency.c - how long an outcome takes when submissions come at a given rate, whatever the engine does
 *
 * latency/penstock/LEVEL/load:P. First the capacity: one producer fires as fast as it can, with a callback for each
 * outcome, median of three. Then an open loop at P percent of that: submission i is due at start + i * period, and its
 * latency runs from when it was due until its outcome is delivered, not from when it was submitted. A producer that is
 * held up (by a full ring, by the scheduler) therefore does not hide what it missed ("coordinated omission"): it
 * submits everything that is overdue at once, and each of these has waited since it was due.
 *
 * The producer spins until the next one is due, so that its own sleeping is not measured. `late` is by how much a
 * submit began after it was due: where that is as long as the latency, the scheduler is what was measured, or a ring
 * that was full. Percentiles are those of a stretch (exact, no buckets); their median, least and most over the
 * stretches are shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/database.h"
#include "bench/plot.h"
#include "queue/ring.h"

#define ROUNDS 3
#define CAPACITY_ROWS 300000
#define STRETCH_NSEC 1000000000
#define SAMPLES_MAX (1 << 22)

static const struct bench_percentile {
	const char *name;
	double fraction;
} percentiles[] = { { "p50_us", 0.50 },    { "p90_us", 0.90 },      { "p99_us", 0.99 },
	            { "p99.9_us", 0.999 }, { "p99.99_us", 0.9999 }, { "max_us", 1.0 } };
#define PERCENTILES (sizeof percentiles / sizeof percentiles[0])

struct bench_level {
	const char *name;
	const char *key;
	double capacity; /* rows a second; 0: not known yet */
};

struct bench_load {
	struct bench_level *level;
	unsigned percent;
};

/* Of the stretch under way; the writer's until the flush has returned. */
static double *took;
static size_t took_count;

static void bench_outcome(void *arg, const penstock_result *result)
{
	(void)result;
	took[took_count++] = (double)(bench_nsec() - (uint64_t)(uintptr_t)arg);
}

static int bench_submit_due(penstock *db, struct bench_row *row, uint64_t number, uint64_t due)
{
	bench_row_next(row, number);
	row->submission.arg = (void *)(uintptr_t)due;
	return penstock_submit(db, &row->submission, PENSTOCK_FOREVER, NULL);
}

/* `count` submissions, one every `period` ns; 0: as fast as it goes. */
static int bench_pour(penstock *db, const penstock_statement *insert, uint64_t count, double period, double *late)
{
	struct bench_row row;
	uint64_t start = bench_nsec();
	int status = PENSTOCK_OK;

	bench_row_init(&row, insert);
	row.submission.on_complete = bench_outcome;
	for (uint64_t i = 0; i < count && status == PENSTOCK_OK; i++) {
		uint64_t due = start + (uint64_t)((double)i * period), now = bench_nsec();

		while (now < due) {
			ps_stall();
			now = bench_nsec();
		}
		late[i] = (double)(now - due);
		status = bench_submit_due(db, &row, i, due);
	}
	return status == PENSTOCK_OK ? penstock_flush(db, PENSTOCK_FOREVER) : status;
}

/* A stretch on a fresh file; the time it took, 0: the case failed. */
static double bench_stretch(struct bench_case *self, const struct bench_level *level, uint64_t count, double period,
                            double *late)
{
	const char *keys[] = { level->key, NULL };
	penstock *db = bench_open(self, bench_database_new(), NULL, keys);
	penstock_statement *insert;
	double seconds = 0;
	uint64_t started;

	if (db == NULL)
		return 0;
	took_count = 0;
	if (bench_prepare(self, db, &insert)) {
		started = bench_nsec();
		if (bench_pour(db, insert, count, period, late) == PENSTOCK_OK && took_count == count)
			seconds = (double)(bench_nsec() - started) / 1e9;
		else
			bench_fail(self, "%zu of %llu outcomes: %s", took_count, (unsigned long long)count,
			           penstock_error_message());
	}
	penstock_close(db, PENSTOCK_FOREVER);
	bench_database_remove();
	return seconds;
}

static bool bench_find_capacity(struct bench_case *self, struct bench_level *level, double *late)
{
	double rates[ROUNDS];
	unsigned r;

	for (r = 0; r < ROUNDS; r++) {
		uint64_t rows = bench_amount(CAPACITY_ROWS);
		double seconds = bench_stretch(self, level, rows, 0, late);

		if (seconds == 0)
			return false;
		rates[r] = (double)rows / seconds;
	}
	level->capacity = bench_spread_of(rates, ROUNDS).median;
	return true;
}

static void bench_say_latency(struct bench_case *self, const struct bench_load *load, double values[PERCENTILES][ROUNDS],
                              unsigned rounds)
{
	char series[64];

	snprintf(series, sizeof series, "penstock %s at %u %%", load->level->name, load->percent);
	for (size_t p = 0; p < PERCENTILES; p++) {
		struct bench_spread spread = bench_spread_of(values[p], rounds);

		bench_say_spread(self, percentiles[p].name, bench_spread_by(spread, 1e3));
		if (percentiles[p].fraction < 1)
			bench_plot_point("latency", series, percentiles[p].fraction, spread);
	}
	bench_say_seconds(self, bench_spread_of(values[0], rounds).median / 1e9);
}

static void bench_measure_latency(struct bench_case *self, const struct bench_load *load, double *late)
{
	double values[PERCENTILES][ROUNDS], rates[ROUNDS], late_p99[ROUNDS], late_max[ROUNDS];
	unsigned rounds = bench_rounds(ROUNDS), r;
	double rate = load->level->capacity * load->percent / 100;
	uint64_t count = (uint64_t)(rate * (double)bench_amount(STRETCH_NSEC) / 1e9);

	if (count > SAMPLES_MAX)
		count = SAMPLES_MAX;
	for (r = 0; r < rounds; r++) {
		double seconds = bench_stretch(self, load->level, count, 1e9 / rate, late);

		if (seconds == 0)
			return;
		rates[r] = (double)count / seconds;
		bench_sort(took, count);
		for (size_t p = 0; p < PERCENTILES; p++)
			values[p][r] = bench_quantile(took, count, percentiles[p].fraction);
		bench_sort(late, count);
		late_p99[r] = bench_quantile(late, count, 0.99) / 1e3;
		late_max[r] = late[count - 1] / 1e3;
	}
	bench_say_spread(self, "items_per_second", bench_spread_of(rates, rounds));
	bench_say(self, "capacity", load->level->capacity);
	bench_say_latency(self, load, values, rounds);
	bench_say_spread(self, "late_p99_us", bench_spread_of(late_p99, rounds));
	bench_say_spread(self, "late_max_us", bench_spread_of(late_max, rounds));
}

static void bench_run_latency(struct bench_case *self)
{
	const struct bench_load *load = self->what;
	double *late = malloc(SAMPLES_MAX * sizeof *late);

	took = malloc(SAMPLES_MAX * sizeof *took);
	if (late == NULL || took == NULL)
		abort();
	/* Page faults belong to nobody's latency. */
	memset(late, 0, SAMPLES_MAX * sizeof *late);
	memset(took, 0, SAMPLES_MAX * sizeof *took);
	if (load->level->capacity > 0 || bench_find_capacity(self, load->level, late))
		bench_measure_latency(self, load, late);
	free(late);
	free(took);
}

void bench_add_latency(void)
{
	static struct bench_level levels[] = { { "NORMAL", "synchronous=normal", 0 }, { "FULL", "synchronous=full", 0 } };
	static const unsigned percents[] = { 50, 80, 95 };
	static struct bench_load loads[2][3];

	for (size_t l = 0; l < 2; l++) {
		for (size_t p = 0; p < 3; p++) {
			struct bench_case each = { .run = bench_run_latency, .what = &loads[l][p] };

			loads[l][p] = (struct bench_load){ &levels[l], percents[p] };
			snprintf(each.name, sizeof each.name, "latency/penstock/%s/load:%u", levels[l].name, percents[p]);
			bench_add(&each);
		}
	}
}
