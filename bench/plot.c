#include "bench/plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench_plot *plots;

static struct bench_plot *bench_plot_of(const char *family)
{
	struct bench_plot **place = &plots;

	while (*place != NULL && strcmp((*place)->family, family) != 0)
		place = &(*place)->next;
	if (*place == NULL) {
		*place = calloc(1, sizeof **place);
		if (*place == NULL)
			abort();
		snprintf((*place)->family, sizeof (*place)->family, "%s", family);
	}
	return *place;
}

static void bench_plot_overflow(const char *family, const char *what)
{
	fprintf(stderr, "penstock-bench: %s: raise %s\n", family, what);
	exit(1);
}

static struct bench_plot_series *bench_series_of(struct bench_plot *plot, const char *name)
{
	struct bench_plot_series *series = plot->series;

	while (series < plot->series + plot->count && strcmp(series->name, name) != 0)
		series++;
	if (series == plot->series + BENCH_PLOT_SERIES_MAX)
		bench_plot_overflow(plot->family, "BENCH_PLOT_SERIES_MAX");
	if (series == plot->series + plot->count) {
		plot->count++;
		snprintf(series->name, sizeof series->name, "%s", name);
	}
	return series;
}

void bench_plot_point(const char *family, const char *name, double x, struct bench_spread y)
{
	struct bench_plot *plot = bench_plot_of(family);
	struct bench_plot_series *series = bench_series_of(plot, name);
	struct bench_plot_point *point = series->points;
	size_t before = 0;

	while (before < series->count && series->points[before].x < x)
		before++;
	point += before;
	if (before == series->count || point->x > x) {
		if (series->count == BENCH_PLOT_POINTS_MAX)
			bench_plot_overflow(family, "BENCH_PLOT_POINTS_MAX");
		memmove(point + 1, point, (series->count - before) * sizeof *point);
		series->count++;
	}
	*point = (struct bench_plot_point){ .x = x, .y = y };
}

void bench_plot_describe(const char *family, const char *x_label, const char *y_label, const char *note)
{
	struct bench_plot *plot = bench_plot_of(family);

	plot->x_label = x_label;
	plot->y_label = y_label;
	plot->note = note;
}

const struct bench_plot *bench_plots(void)
{
	return plots;
}
