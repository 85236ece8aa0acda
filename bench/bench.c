/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.c - the statistics, what a case says, and the clock
 */
#include "bench/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/shim.h"

/* Quick mode divides by these; two rounds still show a spread. */
#define QUICK_ROUNDS 2
#define QUICK_PART 20

bool bench_quick;
bool bench_only_targets;

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
		bench_judge_failed(self->name, self->line);
}

size_t bench_failures(void)
{
	return failures;
}

/* ---- syncs ---- */

static uint64_t longest_sync;

void bench_note_sync(uint64_t nsec)
{
	uint64_t longest = __atomic_load_n(&longest_sync, __ATOMIC_RELAXED);

	while (nsec > longest &&
	       !__atomic_compare_exchange_n(&longest_sync, &longest, nsec, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

uint64_t bench_longest_sync(void)
{
	return __atomic_load_n(&longest_sync, __ATOMIC_RELAXED);
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
