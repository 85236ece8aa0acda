/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * targets.c - the list of targets, each with its verdict, and the lines that they are parts of
 *
 * A target is judged by its median. "missed by" and "met by" say how far the median lies from the limit, in percent of
 * the limit, because that is comparable between machines; the spread says how much to believe it.
 *
 * A line (enum bench_line) is what is aimed at in words. It is met when all of its parts are, and missed when one is not; beside the
 * verdict stands the part that is nearest to its limit, or farthest beyond it. A line without parts was not measured, which is
 * neither.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define TARGETS_MAX 1024 /* each repetition has lines of its own */

static struct bench_target targets[TARGETS_MAX];
static size_t target_count;

static const struct {
	const char *what;
	const char *needs; /* what it takes to measure it, beside a run of everything */
} lines[BENCH_LINES] = {
	[BENCH_LINE_FIRE] = { "fire and forget, batch 1000, 1 to 64 producers, by the raw loop", NULL },
	[BENCH_LINE_IN_FLIGHT] = { "one thread, 1000 in flight, by the other build", "--against" },
	[BENCH_LINE_TAIL] = { "p99.9 and worst outcome, 1000 in flight and at 50 % of capacity", NULL },
	[BENCH_LINE_MANY] = { "durable, 64 threads that wait, by raw autocommit FULL", NULL },
	[BENCH_LINE_ONE] = { "one thread that waits, by raw autocommit", NULL },
	[BENCH_LINE_VERBS] = { "pause and stop beyond the backlog and the disk, p99, 8 busy", NULL },
	[BENCH_LINE_PROCESSES] = { "several processes: worst wait, least by most, rows/s", NULL },
	[BENCH_LINE_RING] = { "ring, every number of producers, by the best bounded peer", NULL },
	[BENCH_LINE_WORST] = { "worst enqueue with a full ring", NULL },
	[BENCH_LINE_INSTEAD] = { "what people would use instead, same rows and durability", NULL },
	[BENCH_LINE_SUBMIT] = { "one submit: time, malloc, system calls", NULL },
	[BENCH_LINE_IDLE] = { "idle: context switches, processor time", NULL },
};

static size_t bench_next_target(void)
{
	if (target_count == TARGETS_MAX) {
		fprintf(stderr, "penstock-bench: raise TARGETS_MAX\n");
		exit(1);
	}
	return target_count++;
}

void bench_judge(const struct bench_target *target)
{
	targets[bench_next_target()] = *target;
}

void bench_judge_failed(const char *what, enum bench_line line)
{
	struct bench_target target = { .line = line, .unit = "", .failed = true };

	snprintf(target.what, sizeof target.what, "%s", what);
	bench_judge(&target);
}

const struct bench_target *bench_target_at(size_t index)
{
	return index < target_count ? &targets[index] : NULL;
}

bool bench_target_met(const struct bench_target *target)
{
	double off = target->figure.median - target->limit;

	return !target->failed && (target->at_most ? off <= 0 : off >= 0);
}

struct bench_target_cells bench_target_cells(const struct bench_target *target)
{
	struct bench_target_cells cells = { .verdict = "MISSED: could not be measured" };
	double off = fabs(target->figure.median - target->limit);
	const char *verdict = bench_target_met(target) ? "met" : "MISSED";
	int decimals = target->decimals;

	if (target->failed)
		return cells;
	snprintf(cells.limit, sizeof cells.limit, "%s %.*f%s", target->at_most ? "<=" : ">=", decimals, target->limit,
	         target->unit);
	snprintf(cells.median, sizeof cells.median, "%.*f%s", decimals, target->figure.median, target->unit);
	if (target->figure.count > 1)
		snprintf(cells.rounds, sizeof cells.rounds, "%.*f to %.*f", decimals, target->figure.min, decimals,
		         target->figure.max);
	else
		snprintf(cells.rounds, sizeof cells.rounds, "one run");
	if (target->limit != 0)
		snprintf(cells.verdict, sizeof cells.verdict, "%s by %.0f %%", verdict, 100 * off / target->limit);
	else if (off == 0)
		snprintf(cells.verdict, sizeof cells.verdict, "%s", verdict);
	else
		snprintf(cells.verdict, sizeof cells.verdict, "%s by %.*f%s", verdict, decimals, off, target->unit);
	return cells;
}

void bench_print_targets(FILE *file)
{
	if (target_count == 0)
		return;
	fprintf(file, "\n%-66s %13s %13s  %-22s %s\n", "target", "limit", "median", "rounds", "verdict");
	for (size_t i = 0; i < target_count; i++) {
		struct bench_target_cells cells = bench_target_cells(&targets[i]);

		fprintf(file, "%-66s %13s %13s  %-22s %s\n", targets[i].what, cells.limit, cells.median, cells.rounds,
		        cells.verdict);
	}
}

/* ---- the lines ---- */

/* How far inside its limit, as a part of it; below 0: missed. */
static double bench_margin(const struct bench_target *target)
{
	double off = target->at_most ? target->limit - target->figure.median : target->figure.median - target->limit;

	if (target->failed)
		return -INFINITY;
	return target->limit == 0 ? off : off / target->limit;
}

struct bench_line_verdict bench_line_verdict(enum bench_line line)
{
	struct bench_line_verdict verdict = { .what = lines[line].what, .needs = lines[line].needs };

	for (size_t i = 0; i < target_count; i++) {
		const struct bench_target *target = &targets[i];

		if (target->line != line)
			continue;
		verdict.parts++;
		verdict.met += bench_target_met(target);
		if (verdict.hardest == NULL || bench_margin(target) < bench_margin(verdict.hardest))
			verdict.hardest = target;
	}
	return verdict;
}

struct bench_line_cells bench_line_cells(const struct bench_line_verdict *verdict)
{
	struct bench_line_cells cells = { .verdict = "not measured" };
	struct bench_target_cells hardest;

	if (verdict->parts == 0) {
		if (verdict->needs != NULL)
			snprintf(cells.hardest, sizeof cells.hardest, "needs %s", verdict->needs);
		return cells;
	}
	hardest = bench_target_cells(verdict->hardest);
	snprintf(cells.verdict, sizeof cells.verdict, "%s", verdict->met == verdict->parts ? "met" : "MISSED");
	snprintf(cells.parts, sizeof cells.parts, "%zu of %zu", verdict->met, verdict->parts);
	if (verdict->hardest->failed)
		snprintf(cells.hardest, sizeof cells.hardest, "%s could not be measured", verdict->hardest->what);
	else
		snprintf(cells.hardest, sizeof cells.hardest, "%s: %s (%s), to be %s", verdict->hardest->what, hardest.median,
		         hardest.rounds, hardest.limit);
	return cells;
}

void bench_print_verdicts(FILE *file)
{
	fprintf(file, "\n%-66s %-13s %-9s  %s\n", "line", "verdict", "parts met",
	        "the hardest of them: median (rounds), limit");
	for (int line = BENCH_NO_LINE + 1; line < BENCH_LINES; line++) {
		struct bench_line_verdict verdict = bench_line_verdict(line);
		struct bench_line_cells cells = bench_line_cells(&verdict);

		fprintf(file, "%-66s %-13s %-9s  %s\n", verdict.what, cells.verdict, cells.parts, cells.hardest);
	}
}
