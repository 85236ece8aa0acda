/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/final.h"

#include <math.h>
#include <stdlib.h>

#define NOISE_MIN 0.03
#define NOISE_MAX 0.10

double tune_merit(enum tune_goal goal, double rate, double p99_usec)
{
	double p99 = fmax(p99_usec, 1e-3);

	switch (goal) {
	case TUNE_THROUGHPUT:
		return rate;
	case TUNE_LATENCY:
		return 1 / p99;
	case TUNE_BALANCED:
		break;
	}
	return rate / p99;
}

bool tune_keeps_bound(double bound_usec, double p99_usec)
{
	return bound_usec <= 0 || p99_usec <= bound_usec;
}

double tune_noise(double noise)
{
	return fmin(fmax(noise, NOISE_MIN), NOISE_MAX);
}

size_t tune_final_find(const struct tune_final *final, size_t number)
{
	size_t i = 0;

	while (i < final->count && final->finalists[i].number != number)
		i++;
	return i;
}

void tune_final_enter(struct tune_final *final, size_t number)
{
	if (final->count < TUNE_FINALISTS_MAX && tune_final_find(final, number) == final->count)
		final->finalists[final->count++].number = number;
}

static int compare_values(const void *left, const void *right)
{
	double one = *(const double *)left;
	double other = *(const double *)right;

	return (one > other) - (one < other);
}

/* Sorts them. */
static double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare_values);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

struct tune_figure tune_final_figure(const struct tune_final *final, size_t finalist)
{
	struct tune_figure figure = { .seconds = 0 };
	double rates[TUNE_ROUNDS_MAX], p99s[TUNE_ROUNDS_MAX];
	size_t i;

	for (i = 0; i < final->rounds; i++) {
		const struct tune_figure *one = &final->finalists[finalist].rounds[i];

		figure.seconds += one->seconds;
		rates[i] = one->rate;
		p99s[i] = one->p99_usec;
	}
	figure.rate = median(rates, final->rounds);
	figure.p99_usec = median(p99s, final->rounds);
	return figure;
}

static struct tune_ratio ratio_of(double *ratios, size_t count)
{
	struct tune_ratio ratio = { .middle = median(ratios, count) };

	ratio.least = ratios[0];
	ratio.most = ratios[count - 1];
	return ratio;
}

double tune_divide(double one, double other)
{
	return other > 0 ? one / other : 1;
}

struct tune_ratios tune_final_ratios(const struct tune_final *final, size_t finalist)
{
	double rates[TUNE_ROUNDS_MAX], p99s[TUNE_ROUNDS_MAX];
	size_t i;

	for (i = 0; i < final->rounds; i++) {
		const struct tune_figure *one = &final->finalists[finalist].rounds[i];
		const struct tune_figure *base = &final->finalists[0].rounds[i];

		rates[i] = tune_divide(one->rate, base->rate);
		p99s[i] = tune_divide(one->p99_usec, base->p99_usec);
	}
	return (struct tune_ratios){ ratio_of(rates, final->rounds), ratio_of(p99s, final->rounds) };
}

/* The merits by the base's, by round. */
static void take_merits(const struct tune_final *final, size_t finalist, double merits[TUNE_ROUNDS_MAX])
{
	size_t i;

	for (i = 0; i < final->rounds; i++) {
		const struct tune_figure *one = &final->finalists[finalist].rounds[i];
		const struct tune_figure *base = &final->finalists[0].rounds[i];

		/* Of a base that came to nothing in a round, anything is a gain. */
		merits[i] = tune_merit(final->goal, one->rate, one->p99_usec) /
		            fmax(tune_merit(final->goal, base->rate, base->p99_usec), 1e-12);
	}
}

double tune_final_worth(const struct tune_final *final, size_t finalist)
{
	double p99 = tune_final_figure(final, finalist).p99_usec;
	double merits[TUNE_ROUNDS_MAX];

	if (!tune_keeps_bound(final->bound_usec, p99))
		return -p99 / final->bound_usec;
	take_merits(final, finalist, merits);
	return median(merits, final->rounds);
}

/*
 * From the median distance to the finalist's median, which a hiccup does not change: 1.48 of it is a standard
 * deviation, and 1.25 of that by the root of the rounds is the deviation of their median.
 */
double tune_final_noise(const struct tune_final *final)
{
	double distances[TUNE_FINALISTS_MAX * TUNE_ROUNDS_MAX];
	double merits[TUNE_ROUNDS_MAX];
	size_t count = 0;
	size_t i, j;

	for (i = 1; i < final->count; i++) {
		double middle;

		take_merits(final, i, merits);
		middle = fmax(median(merits, final->rounds), 1e-9);
		for (j = 0; j < final->rounds; j++)
			distances[count++] = fabs(merits[j] / middle - 1);
	}
	return tune_noise(2 * 1.25 * 1.48 * median(distances, count) / sqrt((double) final->rounds));
}
