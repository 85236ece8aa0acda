/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inflight.c - one thread with many submissions in flight, by each of the ways that an outcome can reach it
 *
 * inflight/WAY/LEVEL/depth:N. The thread keeps N submissions in flight: it submits until there are N, and then waits until some of
 * them have their outcomes. The ways:
 *
 *     handles      it waits on the oldest handle, in turn
 *     callback     a callback posts a semaphore, on which it waits: the least that a hand-made queue can do
 *     completions  it polls the descriptor of a completion queue, and takes what is there
 *     loop         the same as a libuv loop does it (left out where libuv is not installed)
 *
 * The raw loop in autocommit takes its turn before or behind each round, round by round. Latency runs from before the submit to where
 * the thread hears of the outcome; with `callback` to the callback, which is on the writer thread. Percentiles are exact, of a round.
 */
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/database.h"

#ifdef BENCH_LIBUV
#include <uv.h>
#endif

#define ROUNDS 5
#define ROWS_NORMAL 20000
#define DEPTH_MAX 4096

struct bench_run {
	penstock *db;
	struct bench_row row;
	uint64_t rows;
	unsigned depth;
	uint64_t submitted;
	uint64_t heard;
	double *took; /* by the order in which they were heard of */
	bool failed;
};

struct bench_way {
	const char *name;
	void (*run)(struct bench_run *run); /* NULL: libuv is not installed */
};

struct bench_inflight {
	const struct bench_way *way;
	const char *synchronous;
	unsigned depth;
};

/* The argument of a submission is the time before it. */
static void bench_hear(struct bench_run *run, const penstock_result *result)
{
	if (result == NULL || result->status != PENSTOCK_OK)
		run->failed = true;
	else
		run->took[run->heard] = (double)(bench_nsec() - (uint64_t)(uintptr_t)result->arg);
	run->heard++;
}

static void bench_submit_next(struct bench_run *run, penstock_handle **handle)
{
	bench_row_next(&run->row, run->submitted);
	run->row.submission.arg = (void *)(uintptr_t)bench_nsec();
	if (penstock_submit(run->db, &run->row.submission, PENSTOCK_FOREVER, handle) == PENSTOCK_OK)
		run->submitted++;
	else
		run->failed = true;
}

static bool bench_may_submit(const struct bench_run *run, uint64_t ended)
{
	return !run->failed && run->submitted < run->rows && run->submitted - ended < run->depth;
}

static void bench_fill(struct bench_run *run, uint64_t ended)
{
	while (bench_may_submit(run, ended))
		bench_submit_next(run, NULL);
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

static void bench_by_handles(struct bench_run *run)
{
	static penstock_handle *handles[DEPTH_MAX];

	while (run->heard < run->submitted || bench_may_submit(run, run->heard)) {
		while (bench_may_submit(run, run->heard))
			bench_submit_next(run, &handles[run->submitted % run->depth]);
		if (run->heard < run->submitted) {
			penstock_handle *oldest = handles[run->heard % run->depth];

			penstock_handle_wait(oldest, PENSTOCK_FOREVER);
			bench_hear(run, penstock_handle_result(oldest));
			penstock_handle_release(oldest);
		}
	}
}

/* ---- a callback and a semaphore ---------------------------------------------------------------------------------- */

static struct bench_run *called_back;
static sem_t outcomes;

static void bench_called_back(void *arg, const penstock_result *result)
{
	(void)arg;
	bench_hear(called_back, result);
	sem_post(&outcomes);
}

static void bench_by_callback(struct bench_run *run)
{
	uint64_t ended = 0;

	called_back = run;
	sem_init(&outcomes, 0, 0);
	run->row.submission.on_complete = bench_called_back;
	while (ended < run->submitted || bench_may_submit(run, ended)) {
		bench_fill(run, ended);
		if (ended < run->submitted) {
			while (sem_wait(&outcomes) != 0)
				;
			do
				ended++;
			while (ended < run->submitted && sem_trywait(&outcomes) == 0);
		}
	}
	sem_destroy(&outcomes);
}

/* ---- a completion queue ------------------------------------------------------------------------------------------ */

#define TAKEN_AT_ONCE 256

static void bench_take(struct bench_run *run, penstock_completions *queue)
{
	penstock_handle *handles[TAKEN_AT_ONCE];
	size_t count;

	do {
		if (penstock_completions_take(queue, handles, TAKEN_AT_ONCE, &count) != PENSTOCK_OK) {
			run->failed = true;
			return;
		}
		for (size_t i = 0; i < count; i++) {
			bench_hear(run, penstock_handle_result(handles[i]));
			penstock_handle_release(handles[i]);
		}
	} while (count == TAKEN_AT_ONCE);
}

static void bench_by_completions(struct bench_run *run)
{
	penstock_completions *queue;

	if (penstock_completions_open(run->db, run->depth, &queue) != PENSTOCK_OK) {
		run->failed = true;
		return;
	}
	run->row.submission.completions = queue;
	while (run->heard < run->submitted || bench_may_submit(run, run->heard)) {
		struct pollfd readable = { .fd = penstock_completions_descriptor(queue), .events = POLLIN };

		bench_fill(run, run->heard);
		if (run->heard < run->submitted && poll(&readable, 1, -1) == 1)
			bench_take(run, queue);
	}
	penstock_completions_close(queue);
}

/* ---- and a loop -------------------------------------------------------------------------------------------------- */

#ifdef BENCH_LIBUV
struct bench_loop {
	struct bench_run *run;
	penstock_completions *queue;
};

static void bench_loop_readable(uv_poll_t *poll, int status, int events)
{
	struct bench_loop *loop = poll->data;
	struct bench_run *run = loop->run;

	(void)events;
	if (status < 0)
		run->failed = true;
	else
		bench_take(run, loop->queue);
	bench_fill(run, run->heard);
	if (run->heard == run->submitted)
		uv_poll_stop(poll);
}

static void bench_by_loop(struct bench_run *run)
{
	struct bench_loop own = { .run = run };
	uv_loop_t loop;
	uv_poll_t poll;

	if (penstock_completions_open(run->db, run->depth, &own.queue) != PENSTOCK_OK || uv_loop_init(&loop) != 0) {
		run->failed = true;
		return;
	}
	run->row.submission.completions = own.queue;
	uv_poll_init(&loop, &poll, penstock_completions_descriptor(own.queue));
	poll.data = &own;
	uv_poll_start(&poll, UV_READABLE, bench_loop_readable);
	bench_loop_readable(&poll, 0, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	penstock_completions_close(own.queue);
}
#else
#define bench_by_loop NULL
#endif

/* ---- the cases --------------------------------------------------------------------------------------------------- */

/* A round on a fresh file; its seconds, 0: the case failed. */
static double bench_inflight_round(struct bench_case *self, const struct bench_inflight *what, uint64_t rows, double *took)
{
	char key[32];
	const char *keys[] = { key, NULL };
	struct bench_run run = { .rows = rows, .depth = what->depth, .took = took };
	penstock_statement *insert;
	uint64_t started;
	double seconds = 0;

	snprintf(key, sizeof key, "synchronous=%s", what->synchronous);
	run.db = bench_open(self, bench_database_new(), NULL, keys);
	if (run.db == NULL)
		return 0;
	if (bench_prepare(self, run.db, &insert)) {
		bench_row_init(&run.row, insert);
		started = bench_nsec();
		what->way->run(&run);
		seconds = (double)(bench_nsec() - started) / 1e9;
		if (run.failed || run.heard != rows) {
			bench_fail(self, "%llu of %llu outcomes: %s", (unsigned long long)run.heard, (unsigned long long)rows,
			           penstock_error_message());
			seconds = 0;
		}
	}
	penstock_close(run.db, PENSTOCK_FOREVER);
	bench_database_remove();
	return seconds;
}

static void bench_measure_inflight(struct bench_case *self, const struct bench_inflight *what, uint64_t raw_rows, uint64_t rows,
                                   double *took)
{
	double rate[ROUNDS], ratio[ROUNDS], p50[ROUNDS], p99[ROUNDS], p999[ROUNDS], worst[ROUNDS];
	unsigned rounds = bench_rounds(ROUNDS), r;

	for (r = 0; r < rounds; r++) {
		struct bench_raw raw;
		double seconds;

		if (r % 2 == 1 && !bench_raw_loop(self, what->synchronous, raw_rows, 1, &raw))
			return;
		seconds = bench_inflight_round(self, what, rows, took);
		if (seconds == 0 || (r % 2 == 0 && !bench_raw_loop(self, what->synchronous, raw_rows, 1, &raw)))
			return;
		rate[r] = (double)rows / seconds;
		ratio[r] = rate[r] / ((double)raw_rows / raw.seconds);
		bench_sort(took, rows);
		p50[r] = bench_quantile(took, rows, 0.50) / 1e3;
		p99[r] = bench_quantile(took, rows, 0.99) / 1e3;
		p999[r] = bench_quantile(took, rows, 0.999) / 1e3;
		worst[r] = took[rows - 1] / 1e3;
	}
	bench_say_rate(self, bench_spread_of(rate, rounds));
	bench_say_spread(self, "by_raw", bench_spread_of(ratio, rounds));
	bench_say_spread(self, "p50_us", bench_spread_of(p50, rounds));
	bench_say_spread(self, "p99_us", bench_spread_of(p99, rounds));
	bench_say_spread(self, "p99.9_us", bench_spread_of(p999, rounds));
	bench_say_spread(self, "worst_us", bench_spread_of(worst, rounds));
}

static void bench_run_inflight(struct bench_case *self)
{
	const struct bench_inflight *what = self->what;
	uint64_t raw_rows, rows;
	double *took;

	if (what->way->run == NULL) {
		bench_leave_out(self, "libuv is not installed");
		return;
	}
	raw_rows = strcmp(what->synchronous, "FULL") == 0 ? bench_raw_autocommits(self) : bench_amount(ROWS_NORMAL);
	if (raw_rows == 0)
		return;
	/* Enough to fill the depth many times, and no more than the loop alone does in about the same time. */
	rows = raw_rows * (what->depth < 16 ? 1 : 16);
	if (rows < 8 * (uint64_t)what->depth)
		rows = 8 * (uint64_t)what->depth;
	took = calloc(rows, sizeof *took);
	if (took == NULL)
		abort();
	bench_measure_inflight(self, what, raw_rows, rows, took);
	free(took);
}

void bench_add_inflight(void)
{
	static const struct bench_way ways[] = { { "handles", bench_by_handles },
		                                 { "callback", bench_by_callback },
		                                 { "completions", bench_by_completions },
		                                 { "loop", bench_by_loop } };
	static const unsigned depths[] = { 1, 8, 64, 1000, 4000 };
	static const char *const levels[] = { "NORMAL", "FULL" };
	static struct bench_inflight all[sizeof ways / sizeof *ways * 5 * 2];
	struct bench_inflight *each = all;

	for (size_t l = 0; l < 2; l++) {
		for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
			for (size_t w = 0; w < sizeof ways / sizeof *ways; w++, each++) {
				struct bench_case one = { .run = bench_run_inflight, .what = each };

				*each = (struct bench_inflight){ &ways[w], levels[l], depths[d] };
				snprintf(one.name, sizeof one.name, "inflight/%s/%s/depth:%u", ways[w].name, levels[l],
				         depths[d]);
				bench_add(&one);
			}
		}
	}
}
