/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/plot.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From this factor between its ends on, an axis that may be either is logarithmic. */
#define LOG_FROM 30

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
		snprintf((*place)->family, sizeof(*place)->family, "%s", family);
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

/* ---- what the report makes of a family ---- */

size_t bench_plot_places(const struct bench_plot *plot, double places[BENCH_PLOT_PLACES_MAX])
{
	size_t count = 0, kept = 0;

	for (size_t s = 0; s < plot->count; s++) {
		for (size_t p = 0; p < plot->series[s].count; p++)
			places[count++] = plot->series[s].points[p].x;
	}
	bench_sort(places, count);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || places[kept - 1] != places[i])
			places[kept++] = places[i];
	}
	return kept;
}

struct bench_family {
	const char *prefix;
	const char *title;
	const char *x_label;
	const char *y_label;
	const char *caption;
	enum bench_scale x_scale;
	enum bench_scale y_scale;
};

static const struct bench_family bench_families[] = {
	{ .prefix = "ring",
	  .title = "The ring by itself",
	  .x_label = "producers",
	  .y_label = "operations/s",
	  .caption = "Producers hand records to one consumer that only looks at them; higher is better, and a line "
	             "that stays level to the right does not mind a crowd.",
	  .x_scale = BENCH_LOG },
	{ .prefix = "write",
	  .title = "Whole writes",
	  .x_label = "most rows in one transaction",
	  .y_label = "rows/s",
	  .caption = "Higher is better; both axes are logarithmic. On the left every row pays for a transaction of its "
	             "own, on the right only for itself.",
	  .x_scale = BENCH_LOG,
	  .y_scale = BENCH_LOG },
	{ .prefix = "ring_think",
	  .title = "The ring with thinking time",
	  .caption = "Each producer hands in a record when it is due, so that the ring is neither full nor empty all the "
	             "time; lower is better.",
	  .x_scale = BENCH_LOG,
	  .y_scale = BENCH_LOG },
	{ .prefix = "submit",
	  .title = "One submit",
	  .caption = "What the caller's thread spends, by the size of what it hands over.",
	  .x_scale = BENCH_LOG,
	  .y_scale = BENCH_LOG },
	{ .prefix = "instead",
	  .title = "What people would use instead",
	  .x_label = "threads",
	  .y_label = "rows/s",
	  .caption = "The same rows, each as safe from a loss of power; higher is better." },
	{ .prefix = "latency",
	  .title = "Latency",
	  .x_label = "percentile",
	  .y_label = "ns from when it was submitted, or due, to its outcome",
	  .caption = "How long the slower ones took: at p99 one of a hundred took longer. Lower is better, and a line "
	             "that stays level to the right has no surprises; both axes are logarithmic.",
	  .x_scale = BENCH_NINES,
	  .y_scale = BENCH_LOG },
};

static const struct bench_family *bench_family_of(const char *family)
{
	size_t length = strcspn(family, "/");

	for (size_t i = 0; i < sizeof bench_families / sizeof bench_families[0]; i++) {
		const struct bench_family *known = &bench_families[i];

		if (strlen(known->prefix) == length && strncmp(known->prefix, family, length) == 0)
			return known;
	}
	return NULL;
}

/* A part of a family's name as the title has it. */
static const char *bench_in_words(const char *part)
{
	static const char *const words[][2] = {
		{ "FULL", "synchronous=FULL" },
		{ "NORMAL", "synchronous=NORMAL" },
		{ "none", "nobody waits" },
		{ "durable", "each waits for its durable outcome" },
		{ "DURABLE", "synchronous=NORMAL and each outcome durable" },
		{ "depth", "in flight" },
		{ "load", "% of capacity" },
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcmp(part, words[i][0]) == 0)
			return words[i][1];
	}
	return part;
}

/* "write/FULL/none/producers:8" is titled "Whole writes: synchronous=FULL, nobody waits, 8 producers". */
static void bench_title(char *title, size_t bytes, const char *family, const struct bench_family *known)
{
	char words[sizeof plots->family], *next = words, *word;
	const char *before = "";

	snprintf(words, sizeof words, "%s", family);
	title[0] = '\0';
	while ((word = strsep(&next, "/")) != NULL) {
		char *number = strchr(word, ':');
		size_t length = strlen(title);

		if (word == words && known != NULL) {
			snprintf(title, bytes, "%s", known->title);
			before = ": ";
			continue;
		}
		if (number != NULL)
			*number++ = '\0';
		if (number != NULL && strcmp(number, "1") == 0 && word[strlen(word) - 1] == 's')
			word[strlen(word) - 1] = '\0';
		snprintf(title + length, bytes - length, "%s%s%s%s", before, number == NULL ? "" : number,
		         number == NULL ? "" : " ", bench_in_words(word));
		before = ", ";
	}
}

static void bench_slug(char *slug, size_t bytes, const char *family)
{
	snprintf(slug, bytes, "%s", family);
	for (; *slug != '\0'; slug++) {
		if (!isalnum((unsigned char)*slug) && *slug != '_')
			*slug = '-';
	}
}

/* Logarithmic where a linear axis would crowd most points into a corner. */
static enum bench_scale bench_scale_for(const struct bench_plot *plot, bool of_x)
{
	double least = INFINITY, most = 0;

	for (size_t s = 0; s < plot->count; s++) {
		for (size_t p = 0; p < plot->series[s].count; p++) {
			const struct bench_plot_point *point = &plot->series[s].points[p];
			double value = of_x ? point->x : point->y.median;

			least = fmin(least, value);
			most = fmax(most, value);
		}
	}
	return least > 0 && most > LOG_FROM * least ? BENCH_LOG : BENCH_LINEAR;
}

/* What the label says: a rate ends in "/s", a time begins with "ns". */
static void bench_unit(struct bench_axes *axes)
{
	size_t length = strlen(axes->y_label);

	if (length > 2 && strcmp(axes->y_label + length - 2, "/s") == 0)
		axes->better = 1;
	if (strncmp(axes->y_label, "ns ", 3) == 0) {
		axes->y_label += 3;
		axes->y_nsec = true;
		axes->better = -1;
	}
}

struct bench_axes bench_axes_of(const struct bench_plot *plot)
{
	const struct bench_family *known = bench_family_of(plot->family);
	struct bench_axes axes = { .x_label = "", .y_label = "", .caption = "" };

	if (known != NULL) {
		axes.x_label = known->x_label == NULL ? "" : known->x_label;
		axes.y_label = known->y_label == NULL ? "" : known->y_label;
		axes.caption = known->caption;
		axes.x_scale = known->x_scale;
		axes.y_scale = known->y_scale;
	} else {
		axes.x_scale = bench_scale_for(plot, true);
		axes.y_scale = bench_scale_for(plot, false);
	}
	if (plot->x_label != NULL)
		axes.x_label = plot->x_label;
	if (plot->y_label != NULL)
		axes.y_label = plot->y_label;
	bench_unit(&axes);
	bench_title(axes.title, sizeof axes.title, plot->family, known);
	bench_slug(axes.slug, sizeof axes.slug, plot->family);
	return axes;
}

void bench_format(char text[BENCH_NUMBER_BYTES], double value, bool nsec)
{
	static const struct {
		double unit;
		const char *name, *of_time;
	} prefixes[] = { { 1e9, "\302\240G", "\302\240s" },
		         { 1e6, "\302\240M", "\302\240ms" },
		         { 1e3, "\302\240k", "\302\240\302\265s" },
		         { 1, "", "\302\240ns" } };
	size_t i = 0;

	/* 999.5 of one is 1000 when it is rounded, so it belongs to the next. */
	while (i < 3 && fabs(value) < 0.9995 * prefixes[i].unit)
		i++;
	value /= prefixes[i].unit;
	snprintf(text, BENCH_NUMBER_BYTES, fabs(value) >= 100 ? "%.0f%s" : "%.3g%s", value,
	         nsec ? prefixes[i].of_time : prefixes[i].name);
}

void bench_format_x(char text[BENCH_NUMBER_BYTES], double x, enum bench_scale scale)
{
	if (scale == BENCH_NINES)
		snprintf(text, BENCH_NUMBER_BYTES, "p%.10g", 100 * x);
	else
		snprintf(text, BENCH_NUMBER_BYTES, "%.10g", x);
}
