/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.c - the list of targets, and the statistics
 *
 * A target is judged by its median. "missed by" and "met by" say how far the median lies from the limit, in percent of
 * the limit, because that is comparable between machines; the spread says how much to believe it.
 */
#include "bench/bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/shim.h"

#define TARGETS_MAX 1024 /* each repetition has lines of its own */

/* Quick mode divides by these; two rounds still show a spread. */
#define QUICK_ROUNDS 2
#define QUICK_PART 20

bool bench_quick;
bool bench_only_targets;

static struct bench_target targets[TARGETS_MAX];
static size_t target_count;
static size_t failures;

unsigned bench_rounds(unsigned full)
{
	return bench_quick && full > QUICK_ROUNDS ? QUICK_ROUNDS : full;
}

uint64_t bench_amount(uint64_t full)
{
	return bench_quick ? full / QUICK_PART : full;
}

/* ---- figures ---- */

static int bench_compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return a < b ? -1 : a > b;
}

void bench_sort(double *values, size_t count)
{
	qsort(values, count, sizeof *values, bench_compare);
}

double bench_quantile(const double *sorted, size_t count, double fraction)
{
	size_t i = (size_t)(fraction * (double)count);

	if (count == 0)
		return 0;
	return sorted[i < count ? i : count - 1];
}

struct bench_spread bench_spread_of(double *values, size_t count)
{
	struct bench_spread spread = { 0 };

	if (count == 0)
		return spread;
	bench_sort(values, count);
	spread.median = count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
	spread.min = values[0];
	spread.max = values[count - 1];
	spread.count = count;
	return spread;
}

struct bench_spread bench_spread_by(struct bench_spread spread, double unit)
{
	spread.median /= unit;
	spread.min /= unit;
	spread.max /= unit;
	return spread;
}

/* ---- what a running case says ---- */

void bench_say_seconds(struct bench_case *self, double seconds)
{
	bench_shim_seconds(self->state, seconds);
}

void bench_say_rate(struct bench_case *self, struct bench_spread rate)
{
	bench_say_seconds(self, rate.median > 0 ? 1 / rate.median : 0);
	bench_say_spread(self, "items_per_second", rate);
}

void bench_say(struct bench_case *self, const char *name, double value)
{
	bench_shim_counter(self->state, name, value);
}

void bench_say_spread(struct bench_case *self, const char *name, struct bench_spread spread)
{
	char longer[64];

	bench_say(self, name, spread.median);
	snprintf(longer, sizeof longer, "%s_min", name);
	bench_say(self, longer, spread.min);
	snprintf(longer, sizeof longer, "%s_max", name);
	bench_say(self, longer, spread.max);
}

void bench_leave_out(struct bench_case *self, const char *reason)
{
	char message[200];

	snprintf(message, sizeof message, "left out: %s", reason);
	fprintf(stderr, "%s: %s\n", self->name, message);
	bench_shim_error(self->state, message);
}

void bench_fail(struct bench_case *self, const char *format, ...)
{
	char message[400];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s: %s\n", self->name, message);
	failures++;
	bench_shim_error(self->state, message);
	if (self->has_target)
		bench_judge_failed(self->name);
}

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

void bench_judge_failed(const char *what)
{
	struct bench_target target = { .unit = "", .failed = true };

	snprintf(target.what, sizeof target.what, "%s", what);
	bench_judge(&target);
}

size_t bench_failures(void)
{
	return failures;
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

/* ---- time ---- */

uint64_t bench_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void bench_sleep_nsec(uint64_t nsec)
{
	struct timespec time = { .tv_sec = (time_t)(nsec / 1000000000), .tv_nsec = (long)(nsec % 1000000000) };

	nanosleep(&time, NULL);
}
