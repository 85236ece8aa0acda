/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pingpong.c - one producer that waits for each outcome, beside the raw loop in autocommit
 *
 * pingpong/WRITER/LEVEL: submit, wait until it is committed (under FULL: and synced), and again; the loop does the same
 * with sqlite3_step alone. They take turns, round by round, as in rows.c. What is left is the price of two threads: two
 * wake-ups for each row, unless somebody spins. spin_usec:0 shows what that costs, which is only for reference: the
 * target is for the configuration that everybody has.
 */
#include <stdio.h>
#include <string.h>

#include "bench/rows.h"

#define ROUNDS 15
#define ROUNDS_REFERENCE 2
#define BY_RAW_MAX 1.05

struct bench_pingpong {
	const struct bench_writer *writer;
	const char *synchronous;
	uint64_t rows; /* 0: as many as syncs allow */
	const char *key;
};

static void bench_run_pingpong(struct bench_case *self)
{
	const struct bench_pingpong *pingpong = self->what;
	double rate[ROUNDS], raw[ROUNDS], ratio[ROUNDS], p50[ROUNDS], p99[ROUNDS];
	struct bench_target target = {
		.line = BENCH_LINE_ONE, .limit = BY_RAW_MAX, .at_most = true, .unit = " x", .decimals = 2
	};
	unsigned rounds = bench_rounds(self->has_target ? ROUNDS : ROUNDS_REFERENCE), r;
	uint64_t rows = pingpong->rows == 0 ? bench_raw_autocommits(self) : bench_amount(pingpong->rows);

	if (rows == 0)
		return;
	for (r = 0; r < rounds; r++) {
		struct bench_task task = { .synchronous = pingpong->synchronous,
			                   .producers = 1,
			                   .batch = 1000,
			                   .rows = rows,
			                   .waits = true,
			                   .key = pingpong->key };
		struct bench_task beside = task;
		struct bench_took took = { 0 }, took_raw = { 0 };
		bool whole = true;

		beside.batch = 1;
		if (r % 2 == 1)
			whole = pingpong->writer->write(self, &task, &took);
		whole = whole && bench_raw_writer.write(self, &beside, &took_raw);
		if (r % 2 == 0)
			whole = whole && pingpong->writer->write(self, &task, &took);
		if (!whole)
			return;
		rate[r] = (double)task.rows / took.seconds;
		raw[r] = (double)beside.rows / took_raw.seconds;
		ratio[r] = took.seconds / took_raw.seconds;
		p50[r] = took.outcome_p50 / 1e3;
		p99[r] = took.outcome_p99 / 1e3;
	}
	bench_say_rate(self, bench_spread_of(rate, rounds));
	bench_say(self, "raw_per_second", bench_spread_of(raw, rounds).median);
	target.figure = bench_spread_of(ratio, rounds);
	bench_say_spread(self, "time_by_raw", target.figure);
	if (pingpong->writer == &bench_penstock_writer) {
		bench_say(self, "outcome_p50_us", bench_spread_of(p50, rounds).median);
		bench_say(self, "outcome_p99_us", bench_spread_of(p99, rounds).median);
	}
	if (!self->has_target)
		return;
	snprintf(target.what, sizeof target.what, "waiting, %s, 1 producer: time by raw autocommit", pingpong->synchronous);
	bench_judge(&target);
}

void bench_add_pingpong(void)
{
	static const struct bench_pingpong all[] = {
		{ &bench_penstock_writer, "FULL", 0, NULL },          { &bench_penstock_writer, "NORMAL", 20000, NULL },
		{ &bench_penstock_writer, "FULL", 0, "spin_usec=0" }, { &bench_penstock_writer, "NORMAL", 5000, "spin_usec=0" },
		{ &bench_mutex_queue_writer, "FULL", 0, NULL },       { &bench_mutex_queue_writer, "NORMAL", 5000, NULL },
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct bench_case each = { .run = bench_run_pingpong, .what = &all[i], .line = BENCH_LINE_ONE };

		each.has_target = all[i].writer == &bench_penstock_writer && all[i].key == NULL;
		snprintf(each.name, sizeof each.name, "pingpong/%s/%s%s", all[i].writer->name, all[i].synchronous,
		         all[i].key == NULL ? "" : "/spin_usec:0");
		bench_add(&each);
	}
}
