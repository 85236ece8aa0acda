/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_targets.c - the arithmetic of the benchmarks' report: medians, quantiles, verdicts, and the lines that they add up to
 *
 * The figures are made up, so that nothing is measured.
 */
#include "tests/kit.h"

#include <string.h>

#include "bench/bench.h"
#include "bench/histogram.h"
#include "bench/shim.h"

TestSuite(targets);

/* google-benchmark's side, of which nothing is needed here. */

void bench_shim_seconds(void *state, double seconds)
{
	(void)state;
	(void)seconds;
}

void bench_shim_counter(void *state, const char *name, double value)
{
	(void)state;
	(void)name;
	(void)value;
}

void bench_shim_error(void *state, const char *message)
{
	(void)state;
	(void)message;
}

static struct bench_target target_of(double median, double limit, bool at_most, enum bench_line line)
{
	return (struct bench_target){ .what = "made up",
		                      .figure = { median, median / 2, median * 2, 3 },
		                      .limit = limit,
		                      .at_most = at_most,
		                      .unit = " x",
		                      .decimals = 2,
		                      .line = line };
}

Test(targets, medians)
{
	double odd[] = { 9, 1, 5 }, even[] = { 8, 2, 4, 6 };
	struct bench_spread spread = bench_spread_of(odd, 3);

	cr_expect(spread.median == 5 && spread.min == 1 && spread.max == 9 && spread.count == 3);
	spread = bench_spread_of(even, 4);
	cr_expect(spread.median == 5 && spread.min == 2 && spread.max == 8);
	spread = bench_spread_of(even, 0);
	cr_expect(spread.median == 0 && spread.count == 0);
}

Test(targets, quantiles)
{
	double sorted[1000];
	struct bench_histogram histogram = { { 0 } };

	for (unsigned i = 0; i < 1000; i++) {
		sorted[i] = i;
		bench_histogram_note(&histogram, i);
	}
	cr_expect(bench_quantile(sorted, 1000, 0.5) == 500);
	cr_expect(bench_quantile(sorted, 1000, 0.999) == 999);
	cr_expect(bench_quantile(sorted, 1000, 1) == 999, "the worst is the last, not what lies behind it");
	cr_expect(bench_quantile(sorted, 0, 0.5) == 0);
	/* Never less than it was, and at most an eighth more. */
	cr_expect(bench_histogram_quantile(&histogram, 0.99) >= 989 &&
	          bench_histogram_quantile(&histogram, 0.99) <= 989 * 9 / 8);
}

Test(targets, verdicts)
{
	static const struct {
		double median;
		double limit;
		bool at_most;
		bool met;
		const char *words;
	} rows[] = {
		{ 1.80, 1.8, false, true, "met by 0 %" },
		{ 0.90, 1.8, false, false, "MISSED by 50 %" },
		{ 1.05, 1.05, true, true, "met by 0 %" },
		{ 2.10, 1.05, true, false, "MISSED by 100 %" },
		{ 0, 0, true, true, "met" },
		{ 3, 0, true, false, "MISSED by 3.00 x" },
		{ -1.5, 1.0, true, true, "met by 250 %" }, /* a difference may be below 0 */
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct bench_target target = target_of(rows[i].median, rows[i].limit, rows[i].at_most, BENCH_NO_LINE);
		struct bench_target_cells cells = bench_target_cells(&target);

		cr_expect_eq(bench_target_met(&target), rows[i].met, "row %zu", i);
		cr_expect_str_eq(cells.verdict, rows[i].words, "row %zu: %s", i, cells.verdict);
	}
}

Test(targets, cells)
{
	struct bench_target target = target_of(1.5, 1.8, false, BENCH_NO_LINE);
	struct bench_target_cells cells = bench_target_cells(&target);

	cr_expect_str_eq(cells.limit, ">= 1.80 x");
	cr_expect_str_eq(cells.median, "1.50 x");
	cr_expect_str_eq(cells.rounds, "0.75 to 3.00");
	target.figure.count = 1;
	cells = bench_target_cells(&target);
	cr_expect_str_eq(cells.rounds, "one run");
	target.failed = true;
	cells = bench_target_cells(&target);
	cr_expect(!bench_target_met(&target));
	cr_expect_str_eq(cells.verdict, "MISSED: could not be measured");
}

static struct bench_line_cells line_of(enum bench_line line, struct bench_line_verdict *verdict)
{
	*verdict = bench_line_verdict(line);
	return bench_line_cells(verdict);
}

Test(targets, a_line_without_parts_is_neither_met_nor_missed)
{
	struct bench_line_verdict verdict;
	struct bench_line_cells cells = line_of(BENCH_LINE_RING, &verdict);

	cr_expect_eq(verdict.parts, 0);
	cr_expect_str_eq(cells.verdict, "not measured");
	cells = line_of(BENCH_LINE_IN_FLIGHT, &verdict);
	cr_expect_str_eq(cells.hardest, "needs --against");
}

Test(targets, a_line_is_missed_with_one_of_its_parts)
{
	struct bench_target near = target_of(1.9, 1.8, false, BENCH_LINE_FIRE), far = target_of(9, 1.5, false, BENCH_LINE_FIRE),
			    other = target_of(0, 1, false, BENCH_LINE_RING),
			    missed = target_of(1.4, 1.5, false, BENCH_LINE_FIRE);
	struct bench_line_verdict verdict;
	struct bench_line_cells cells;

	snprintf(near.what, sizeof near.what, "near");
	snprintf(missed.what, sizeof missed.what, "missed");
	bench_judge(&far);
	bench_judge(&near);
	bench_judge(&other);
	cells = line_of(BENCH_LINE_FIRE, &verdict);
	cr_expect_str_eq(cells.verdict, "met");
	cr_expect_str_eq(cells.parts, "2 of 2");
	cr_expect_str_eq(cells.hardest, "near: 1.90 x (0.95 to 3.80), to be >= 1.80 x");
	bench_judge(&missed);
	cells = line_of(BENCH_LINE_FIRE, &verdict);
	cr_expect_str_eq(cells.verdict, "MISSED");
	cr_expect_str_eq(cells.parts, "2 of 3");
	cr_expect_str_eq(cells.hardest, "missed: 1.40 x (0.70 to 2.80), to be >= 1.50 x");
}

Test(targets, the_hardest_part_is_told_by_the_part_of_its_limit)
{
	/* 2 % inside against 5 % inside, though more in its unit. */
	struct bench_target usec = target_of(4900, 5000, true, BENCH_LINE_TAIL),
			    times = target_of(2.85, 3, true, BENCH_LINE_TAIL);
	struct bench_line_verdict verdict;

	snprintf(usec.what, sizeof usec.what, "usec");
	bench_judge(&usec);
	bench_judge(&times);
	verdict = bench_line_verdict(BENCH_LINE_TAIL);
	cr_expect_str_eq(verdict.hardest->what, "usec");
	/* Nothing is harder than what could not be measured. */
	bench_judge_failed("gone", BENCH_LINE_TAIL);
	verdict = bench_line_verdict(BENCH_LINE_TAIL);
	cr_expect_str_eq(verdict.hardest->what, "gone");
	cr_expect_eq(verdict.met, 2);
	cr_expect_eq(verdict.parts, 3);
}

/* bench_fail of a case with a target makes its line a missed one, not one that was not measured. */
Test(targets, a_case_that_fails_misses_its_line)
{
	struct bench_case failing = { .name = "made/up", .has_target = true, .line = BENCH_LINE_IDLE };
	struct bench_line_verdict verdict;
	struct bench_line_cells cells;

	bench_fail(&failing, "on purpose");
	cells = line_of(BENCH_LINE_IDLE, &verdict);
	cr_expect_str_eq(cells.verdict, "MISSED");
	cr_expect_str_eq(cells.parts, "0 of 1");
	cr_expect_str_eq(cells.hardest, "made/up could not be measured");
	cr_expect_eq(bench_failures(), 1);
}

Test(targets, every_line_has_words)
{
	char text[8192] = "";
	FILE *file = fmemopen(text, sizeof text, "w");
	size_t lines = 0;

	bench_print_verdicts(file);
	fclose(file);
	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	cr_expect_eq(lines, 2 + BENCH_LINES - 1);
	cr_expect(strstr(text, "(null)") == NULL);
}
