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
#define QUICK_PART 5

bool bench_quick;
bool bench_only_targets;

static struct bench_target targets[TARGETS_MAX];
static bool failed[TARGETS_MAX];
static size_t target_count;

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

void bench_fail(struct bench_case *self, const char *format, ...)
{
	char message[400];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s: %s\n", self->name, message);
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
	size_t i = bench_next_target();

	snprintf(targets[i].what, sizeof targets[i].what, "%s", what);
	failed[i] = true;
}

static void bench_print_target(FILE *file, const struct bench_target *target)
{
	char limit[40], figure[40], spread[60];
	double off = target->figure.median - target->limit;
	bool met = target->at_most ? off <= 0 : off >= 0;

	snprintf(limit, sizeof limit, "%s %.*f%s", target->at_most ? "<=" : ">=", target->decimals, target->limit,
	         target->unit);
	snprintf(figure, sizeof figure, "%.*f%s", target->decimals, target->figure.median, target->unit);
	if (target->figure.count > 1)
		snprintf(spread, sizeof spread, "%.*f to %.*f", target->decimals, target->figure.min, target->decimals,
		         target->figure.max);
	else
		snprintf(spread, sizeof spread, "one run");
	fprintf(file, "%-66s %13s %13s  %-22s ", target->what, limit, figure, spread);
	if (target->limit == 0)
		fprintf(file, met ? "met\n" : "MISSED by %.*f%s\n", target->decimals, fabs(off), target->unit);
	else
		fprintf(file, "%s by %.0f %%\n", met ? "met" : "MISSED", 100 * fabs(off) / target->limit);
}

void bench_print_targets(FILE *file)
{
	size_t i;

	if (target_count == 0)
		return;
	fprintf(file, "\n%-66s %13s %13s  %-22s %s\n", "target", "limit", "median", "rounds", "verdict");
	for (i = 0; i < target_count; i++) {
		if (failed[i])
			fprintf(file, "%-66s %13s %13s  %-22s MISSED: could not be measured\n", targets[i].what, "", "", "");
		else
			bench_print_target(file, &targets[i]);
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
