/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plot.h - points for the report's plots
 *
 * A case hands in points while it runs; with --report DIR they become one plot per family (pictures.c) on one page
 * (page.c). A point is a figure with its rounds' spread. Handing in the same family, series and x again replaces the
 * point.
 *
 * Families whose axes the report knows:
 *
 *   ring                             series = queue, x = producers, y = operations/s
 *   write/<SYNC>/<ack>/producers:N   series = engine, x = batch limit, y = rows/s
 *   latency, latency/...             series = what waits, x = fraction of the samples (0.5 to 0.9999), y = ns
 *
 * Any other family gets axes with what bench_plot_describe says of them. A label of the y axis that ends in "/s" is of
 * a rate: higher is better. One that begins with "ns " is of a time: lower is better, and the rest is shown.
 *
 * The series called "penstock" is the one that the others are compared with in words. A name that begins with
 * "penstock" is a variant of it, one that begins with "raw" the raw loop, and one that begins with "no_" what remains
 * when nobody does the work, which is nobody's peer. A family with a single x is shown as a table.
 */
#ifndef PENSTOCK_BENCH_PLOT_H
#define PENSTOCK_BENCH_PLOT_H

#include "bench/bench.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_PLOT_SERIES_MAX 24
#define BENCH_PLOT_POINTS_MAX 32
#define BENCH_PLOT_PLACES_MAX (BENCH_PLOT_SERIES_MAX * BENCH_PLOT_POINTS_MAX)

struct bench_plot_point {
	double x;
	struct bench_spread y;
};

struct bench_plot_series {
	char name[48];
	struct bench_plot_point points[BENCH_PLOT_POINTS_MAX]; /* by x */
	size_t count;
};

struct bench_plot {
	char family[80];
	const char *x_label; /* the three: NULL unless described */
	const char *y_label;
	const char *note;
	struct bench_plot_series series[BENCH_PLOT_SERIES_MAX]; /* as they came */
	size_t count;
	struct bench_plot *next;
};

void bench_plot_point(const char *family, const char *series, double x, struct bench_spread y);

/* Labels of the axes, and a sentence for the caption that the family's own one lacks. Each may be NULL; the texts are
 * not copied. */
void bench_plot_describe(const char *family, const char *x_label, const char *y_label, const char *note);

/* All families in the order of their first points. */
const struct bench_plot *bench_plots(void);

/* ---- what the report makes of a family ---- */

enum bench_scale {
	BENCH_LINEAR,
	BENCH_LOG,
	BENCH_NINES, /* a fraction p at -log10(1 - p): as far from 0.9 to 0.99 as from 0.99 to 0.999 */
};

struct bench_axes {
	char title[100];
	char slug[90]; /* the family as the name of a file */
	const char *x_label;
	const char *y_label;
	const char *caption; /* "" or sentences */
	enum bench_scale x_scale;
	enum bench_scale y_scale; /* linear ones begin at 0 */
	bool y_nsec;
	int better; /* 1: higher, -1: lower, 0: nobody said */
};

/* All x of the family, each once, in order; how many. */
size_t bench_plot_places(const struct bench_plot *plot, double places[BENCH_PLOT_PLACES_MAX]);

struct bench_axes bench_axes_of(const struct bench_plot *plot);

#define BENCH_NUMBER_BYTES 24

/* Three digits and an SI prefix: "12.3 M", "4.56 Âµs". */
void bench_format(char text[BENCH_NUMBER_BYTES], double value, bool nsec);
/* A place on the x axis: "64", "10000", "p99.9". */
void bench_format_x(char text[BENCH_NUMBER_BYTES], double x, enum bench_scale scale);

#ifdef __cplusplus
}
#endif

#endif
