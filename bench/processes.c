/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * processes.c - several processes, each with an engine of its own, write to one database
 *
 * processes/WHO/FULL/processes:P/threads:T. Each process has T threads that wait for their outcomes; all begin together and go on for a
 * while. WHO is `penstock`, or `against`, the driver of another build, which takes turns with it if there is one (--against).
 *
 *     least_by_most  rows of the process that made least by those of the one that made most: 0, it got nothing
 *     worst_us       the longest wait of any thread
 */
#include <math.h>
#include <stdio.h>

#include "bench/database.h"
#include "bench/drives.h"

#define ROUNDS 3
#define PROCESSES_MAX 8
#define ROUND_SECONDS 1.5
#define QUICK_SECONDS 0.1

#define WORST_MAX_USEC 50000.
#define LEAST_MIN 0.8
#define RATE_MIN 1.0

struct bench_crowd {
	double rate[ROUNDS], least[ROUNDS], worst[ROUNDS];
};

struct bench_processes {
	unsigned processes;
	unsigned threads;
	bool measured;
	unsigned repetition;
	unsigned rounds;
	struct bench_crowd of[2]; /* this build, and the other */
};

struct bench_which {
	struct bench_processes *processes;
	bool against;
};

static bool bench_crowd_round(struct bench_case *self, const struct bench_processes *processes, bool against, unsigned round,
                              struct bench_crowd *crowd)
{
	static const char *const keys[] = { "synchronous=full", NULL };
	const struct bench_drive drive = { .program = against ? bench_against : NULL,
		                           .seconds = bench_quick ? QUICK_SECONDS : ROUND_SECONDS,
		                           .load = "waiters",
		                           .number = processes->threads,
		                           .keys = keys };
	struct bench_driver drivers[PROCESSES_MAX] = { 0 };
	const char *path = bench_database_new();
	double rows = 0, least = INFINITY, most = 0, seconds = 0, worst = 0;
	bool whole = true;

	for (unsigned i = 0; i < processes->processes && whole; i++)
		whole = bench_drive_begin(self, &drive, path, &drivers[i]);
	for (unsigned i = 0; i < processes->processes && whole; i++)
		bench_drive_go(&drivers[i]);
	for (unsigned i = 0; i < processes->processes; i++) {
		struct bench_driven driven = { 0 };

		whole = bench_drive_end(self, &drivers[i], &driven) && whole;
		rows += driven.rows;
		least = fmin(least, driven.rows);
		most = fmax(most, driven.rows);
		seconds = fmax(seconds, driven.seconds);
		worst = fmax(worst, driven.worst);
	}
	bench_database_remove();
	crowd->rate[round] = rows / seconds;
	crowd->least[round] = least / most;
	crowd->worst[round] = worst / 1e3;
	return whole;
}

static void bench_judge_crowd(struct bench_processes *processes)
{
	struct bench_target target = { .line = BENCH_LINE_PROCESSES, .limit = WORST_MAX_USEC, .at_most = true, .unit = " us" };
	struct bench_crowd *own = &processes->of[0];
	double ratio[ROUNDS];

	for (unsigned r = 0; r < processes->rounds; r++)
		ratio[r] = own->rate[r] / processes->of[1].rate[r];
	snprintf(target.what, sizeof target.what, "%u processes of %u that wait: worst wait", processes->processes,
	         processes->threads);
	target.figure = bench_spread_of(own->worst, processes->rounds);
	bench_judge(&target);
	target.limit = LEAST_MIN;
	target.at_most = false;
	target.unit = "";
	target.decimals = 2;
	snprintf(target.what, sizeof target.what, "%u processes of %u that wait: least by most", processes->processes,
	         processes->threads);
	target.figure = bench_spread_of(own->least, processes->rounds);
	bench_judge(&target);
	if (bench_against == NULL)
		return;
	target.limit = RATE_MIN;
	target.unit = " x";
	snprintf(target.what, sizeof target.what, "%u processes of %u that wait: rows/s by the other build",
	         processes->processes, processes->threads);
	target.figure = bench_spread_of(ratio, processes->rounds);
	bench_judge(&target);
}

static bool bench_measure_crowds(struct bench_case *self, struct bench_processes *processes)
{
	processes->rounds = bench_rounds(ROUNDS);
	for (unsigned r = 0; r < processes->rounds; r++) {
		for (unsigned i = 0; i < 2; i++) {
			bool against = (i + r) % 2 == 1;

			if (against && bench_against == NULL)
				continue;
			if (!bench_crowd_round(self, processes, against, r, &processes->of[against]))
				return false;
		}
	}
	processes->measured = true;
	processes->repetition = self->repetition;
	bench_judge_crowd(processes);
	return true;
}

static void bench_run_processes(struct bench_case *self)
{
	const struct bench_which *which = self->what;
	struct bench_processes *processes = which->processes;
	struct bench_crowd crowd;

	if ((!processes->measured || processes->repetition != self->repetition) && !bench_measure_crowds(self, processes))
		return;
	crowd = processes->of[which->against];
	bench_say_rate(self, bench_spread_of(crowd.rate, processes->rounds));
	bench_say_spread(self, "least_by_most", bench_spread_of(crowd.least, processes->rounds));
	bench_say_spread(self, "worst_us", bench_spread_of(crowd.worst, processes->rounds));
}

void bench_add_processes(void)
{
	static struct bench_processes all[] = { { .processes = 2, .threads = 4 }, { .processes = 4, .threads = 8 } };
	static struct bench_which whichs[2 * sizeof all / sizeof all[0]];

	for (size_t i = 0; i < sizeof whichs / sizeof whichs[0]; i++) {
		struct bench_case each = { .run = bench_run_processes, .what = &whichs[i], .line = BENCH_LINE_PROCESSES };

		if (i % 2 == 1 && bench_against == NULL)
			continue;
		whichs[i] = (struct bench_which){ &all[i / 2], i % 2 == 1 };
		each.has_target = i % 2 == 0;
		snprintf(each.name, sizeof each.name, "processes/%s/FULL/processes:%u/threads:%u",
		         i % 2 == 1 ? "against" : "penstock", all[i / 2].processes, all[i / 2].threads);
		bench_add(&each);
	}
}
