/*
 * submit.c - one submit, on a thread that nobody contends with
 *
 * Each sample is one penstock_submit between two readings of the clock; what the two readings cost by themselves is
 * measured in the same rounds and taken off. The variants take turns, round by round:
 *
 *   running  a burst of fire-and-forget submits while the writer is awake and executes what comes
 *   held     the same while the writer spins inside one statement on its own processor: nobody else touches the ring
 *   handle   as held, but each submit takes a handle
 *   asleep   each submit finds the writer asleep and wakes it: one system call
 *   loop     as held, without a clock in between: the whole burst divided by its length
 *
 * A burst is smaller than the ring, so nobody waits for room.
 */
#include <stdio.h>

#include "bench/database.h"

#define BURST 4000
#define ASLEEP_BURST 200
#define ASLEEP_QUIET_NSEC 100000 /* how long after a flush the writer sleeps for certain */
#define ROUNDS 25
#define P50_MAX 60.0

enum bench_variant { CLOCK, RUNNING, HELD, HANDLE, ASLEEP, LOOP, VARIANTS };

static const char *const bench_variants[VARIANTS] = { "clock", "running", "held", "handle", "asleep", "loop" };

static struct {
	bool measured;
	bool whole;
	struct bench_spread p50[VARIANTS]; /* ns; of the clock for CLOCK, over the clock for the others */
	struct bench_spread p99[VARIANTS];
} bench_submits;

/* ---- holding the writer ---- */

static uint32_t bench_hold;   /* 1: the SQL function spins */
static uint32_t bench_inside; /* it does */

static void bench_hold_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	__atomic_store_n(&bench_inside, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&bench_hold, __ATOMIC_ACQUIRE) != 0)
		;
	__atomic_store_n(&bench_inside, 0, __ATOMIC_RELEASE);
	sqlite3_result_null(context);
}

static int bench_connect(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "bench_hold", 0, SQLITE_UTF8, NULL, bench_hold_function, NULL, NULL);
}

static void bench_hold_writer(penstock *db)
{
	penstock_submission hold = { .struct_size = sizeof hold,
		                     .sql = "SELECT bench_hold()",
		                     .flags = PENSTOCK_RUN_ALONE };

	__atomic_store_n(&bench_hold, 1, __ATOMIC_RELEASE);
	penstock_submit(db, &hold, PENSTOCK_FOREVER, NULL);
	while (__atomic_load_n(&bench_inside, __ATOMIC_ACQUIRE) == 0)
		;
}

static void bench_let_go(penstock *db)
{
	__atomic_store_n(&bench_hold, 0, __ATOMIC_RELEASE);
	penstock_flush(db, PENSTOCK_FOREVER);
}

/* ---- bursts ---- */

static double samples[BURST];
static penstock_handle *handles[BURST];

static bool bench_burst(penstock *db, struct bench_row *row, size_t count, bool with_handle)
{
	bool whole = true;

	for (size_t i = 0; i < count; i++) {
		uint64_t before;

		bench_row_next(row, i);
		before = bench_nsec();
		whole &= penstock_submit(db, &row->submission, PENSTOCK_FOREVER, with_handle ? &handles[i] : NULL) ==
		         PENSTOCK_OK;
		samples[i] = (double)(bench_nsec() - before);
	}
	return whole;
}

static void bench_burst_of_nothing(struct bench_row *row, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t before;

		bench_row_next(row, i);
		before = bench_nsec();
		__asm__ __volatile__("" ::: "memory");
		samples[i] = (double)(bench_nsec() - before);
	}
}

static bool bench_burst_asleep(penstock *db, struct bench_row *row, size_t count)
{
	bool whole = true;

	for (size_t i = 0; i < count; i++) {
		uint64_t before, quiet;

		penstock_flush(db, PENSTOCK_FOREVER);
		for (quiet = bench_nsec() + ASLEEP_QUIET_NSEC; bench_nsec() < quiet;)
			;
		bench_row_next(row, i);
		before = bench_nsec();
		whole &= penstock_submit(db, &row->submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK;
		samples[i] = (double)(bench_nsec() - before);
	}
	return whole;
}

static bool bench_burst_loop(penstock *db, struct bench_row *row, size_t count)
{
	uint64_t before = bench_nsec();
	bool whole = true;

	for (size_t i = 0; i < count; i++) {
		bench_row_next(row, i);
		whole &= penstock_submit(db, &row->submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK;
	}
	/* Each sample is the mean: it has no distribution. */
	samples[0] = (double)(bench_nsec() - before) / (double)count;
	for (size_t i = 1; i < count; i++)
		samples[i] = samples[0];
	return whole;
}

/* Fills samples; how many, 0 when a submit failed. */
static size_t bench_sample(penstock *db, struct bench_row *row, enum bench_variant variant)
{
	size_t count = variant == ASLEEP ? (size_t)bench_amount(ASLEEP_BURST) : BURST;
	bool whole = true;

	if (variant == HELD || variant == HANDLE || variant == LOOP)
		bench_hold_writer(db);
	switch (variant) {
	case CLOCK:
		bench_burst_of_nothing(row, count);
		break;
	case ASLEEP:
		whole = bench_burst_asleep(db, row, count);
		break;
	case LOOP:
		whole = bench_burst_loop(db, row, count);
		break;
	default:
		whole = bench_burst(db, row, count, variant == HANDLE);
		break;
	}
	bench_let_go(db);
	for (size_t i = 0; variant == HANDLE && i < count; i++)
		penstock_handle_release(handles[i]);
	return whole ? count : 0;
}

static bool bench_measure_submits(struct bench_case *self, penstock *db, struct bench_row *row)
{
	double p50[VARIANTS][ROUNDS], p99[VARIANTS][ROUNDS];
	unsigned rounds = bench_rounds(ROUNDS), r, v;

	for (r = 0; r < rounds; r++) {
		for (v = 0; v < VARIANTS; v++) {
			size_t count = bench_sample(db, row, (enum bench_variant)v);

			if (count == 0) {
				bench_fail(self, "%s", penstock_error_message());
				return false;
			}
			bench_sort(samples, count);
			p50[v][r] = bench_quantile(samples, count, 0.50);
			p99[v][r] = bench_quantile(samples, count, 0.99);
			if (v != CLOCK && v != LOOP) {
				p50[v][r] -= p50[CLOCK][r];
				p99[v][r] -= p50[CLOCK][r];
			}
		}
	}
	for (v = 0; v < VARIANTS; v++) {
		bench_submits.p50[v] = bench_spread_of(p50[v], rounds);
		bench_submits.p99[v] = bench_spread_of(p99[v], rounds);
	}
	return true;
}

static void bench_compare_submits(struct bench_case *self)
{
	static const char *const keys[] = { "synchronous=normal", NULL };
	penstock_statement *insert;
	struct bench_row row;
	penstock *db;

	bench_submits.measured = true;
	db = bench_open(self, bench_database_new(), bench_connect, keys);
	if (db == NULL)
		return;
	if (bench_prepare(self, db, &insert)) {
		bench_row_init(&row, insert);
		bench_submits.whole = bench_measure_submits(self, db, &row);
	}
	penstock_close(db, PENSTOCK_FOREVER);
	bench_database_remove();
	if (bench_submits.whole) {
		struct bench_target target = { .what = "one submit over the clock, p50, writer running",
			                       .figure = bench_submits.p50[RUNNING],
			                       .limit = P50_MAX,
			                       .at_most = true,
			                       .unit = " ns" };

		bench_judge(&target);
		target.figure = bench_submits.p50[HELD];
		snprintf(target.what, sizeof target.what, "one submit over the clock, p50, writer held in a statement");
		bench_judge(&target);
	}
}

static void bench_run_submit(struct bench_case *self)
{
	if (!bench_submits.measured)
		bench_compare_submits(self);
	if (!bench_submits.whole)
		return;
	bench_say_seconds(self, bench_submits.p50[self->number].median / 1e9);
	bench_say_spread(self, "p50_ns", bench_submits.p50[self->number]);
	if (self->number != LOOP)
		bench_say_spread(self, "p99_ns", bench_submits.p99[self->number]);
}

void bench_add_submit(void)
{
	for (unsigned v = 0; v < VARIANTS; v++) {
		struct bench_case each = { .run = bench_run_submit, .number = v, .has_target = v == RUNNING };

		snprintf(each.name, sizeof each.name, "submit/%s", bench_variants[v]);
		bench_add(&each);
	}
}
