/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/context.h"
#include "bench/pictures.h"

#define PATH_BYTES 1024

static const char bench_style[] =
	"body { margin: 0; background: var(--c0); color: var(--c1); font: 1rem/1.55 system-ui, -apple-system, "
	"\"Segoe UI\", Roboto, \"Noto Sans\", \"DejaVu Sans\", sans-serif; -webkit-text-size-adjust: 100% }\n"
	"main { max-width: 47.5rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }\n"
	"h1 { font-size: 1.6rem; line-height: 1.25; margin: 1rem 0 .25rem }\n"
	"h2 { font-size: 1.2rem; line-height: 1.3; margin: 3rem 0 .5rem }\n"
	"p, ul { margin: .5rem 0 1rem } ul { padding-left: 1.2rem }\n"
	".where, figcaption, summary, th, dt { color: var(--c2) }\n"
	".warning { border-left: 4px solid var(--c6); padding-left: .75rem }\n"
	"figure { margin: 0 } figcaption { font-size: .95rem }\n"
	"svg { display: block; max-width: 100%; height: auto }\n"
	".narrow { display: none }\n"
	"@media (max-width: 40rem) { .narrow { display: block; margin: 0 auto } .wide { display: none } }\n"
	"@media print { details > div { display: block } }\n"
	"details { margin: .5rem 0 0 } summary { cursor: pointer; font-size: .95rem }\n"
	".scroll { overflow-x: auto; margin: .75rem 0 }\n"
	"table { border-collapse: collapse; font-size: .875rem; line-height: 1.35; "
	"font-variant-numeric: tabular-nums }\n"
	"th, td { padding: .4rem .9rem .4rem 0; text-align: right; vertical-align: top; white-space: nowrap; "
	"border-bottom: 1px solid var(--c3) }\n"
	"th { font-weight: 600 } thead th { border-bottom-color: var(--c2) }\n"
	"th:first-child { text-align: left } tbody th { font-weight: 400; color: var(--c1) }\n"
	".targets tbody th { white-space: normal; min-width: 11rem } .targets td:nth-child(2), "
	".targets th:nth-child(2) { text-align: left }\n"
	".line td:last-child { white-space: normal; text-align: left; min-width: 16rem }\n"
	"details th:first-child { position: sticky; left: 0; background: var(--c0); padding-right: 1.2rem }\n"
	".rounds { display: block; color: var(--c2); font-size: .8rem }\n"
	".missed td:nth-child(2) { color: var(--c6); font-weight: 700 } .met td:nth-child(2) { color: var(--c7) }\n"
	"dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 1rem 0 } "
	"dd { margin: 0; overflow-wrap: anywhere } dt::first-letter { text-transform: uppercase }\n"
	"@media (max-width: 40rem) { dl { display: block } dd { margin-bottom: .6rem } }\n"
	"pre { overflow-x: auto; background: var(--c3); padding: .75rem; border-radius: .25rem; font-size: .85rem }\n";

static void bench_paragraph(FILE *page, const char *class, const char *text)
{
	fprintf(page, "<p class=\"%s\">", class);
	bench_print_escaped(page, text);
	fprintf(page, "</p>\n");
}

/* ---- who is ahead of Penstock ---- */

static const struct bench_plot_series *bench_penstock_of(const struct bench_plot *plot)
{
	for (size_t i = 0; i < plot->count; i++) {
		if (strcmp(plot->series[i].name, "penstock") == 0)
			return &plot->series[i];
	}
	return NULL;
}

static const struct bench_spread *bench_at(const struct bench_plot_series *series, double x)
{
	for (size_t i = 0; i < series->count; i++) {
		if (series->points[i].x == x)
			return &series->points[i].y;
	}
	return NULL;
}

/* By which factor this one is better at the place; at most 1: it is not, or there is nothing to compare. */
static double bench_lead(const struct bench_plot_series *penstock, const struct bench_plot_point *point, int better)
{
	const struct bench_spread *own = bench_at(penstock, point->x);

	if (own == NULL || own->median <= 0 || point->y.median <= 0)
		return 0;
	return better > 0 ? point->y.median / own->median : own->median / point->y.median;
}

/* One round says nothing of how far the next one would be off. */
static bool bench_overlaps(const struct bench_spread *a, const struct bench_spread *b)
{
	return a->count < 2 || b->count < 2 || (a->min <= b->max && b->min <= a->max);
}

/* A line of the list for a series that is ahead anywhere; whether it is. */
static bool bench_say_ahead(FILE *page, const struct bench_plot *plot, const struct bench_axes *axes,
                            const struct bench_plot_series *series, bool anybody)
{
	const struct bench_plot_series *penstock = bench_penstock_of(plot);
	bool ahead = false;

	for (size_t i = 0; i < series->count; i++) {
		const struct bench_plot_point *point = &series->points[i];
		double lead = bench_lead(penstock, point, axes->better);
		char at[BENCH_NUMBER_BYTES];
		bool overlap;

		if (lead <= 1)
			continue;
		bench_format_x(at, point->x, axes->x_scale);
		if (!ahead && !anybody) {
			fprintf(page, "<p>Ahead of Penstock, as factors of the medians");
			bench_print_escaped(page, axes->x_label[0] == '\0' ? "" : " by ");
			bench_print_escaped(page, axes->x_label);
			fprintf(page, " (in parentheses where the rounds overlap, or there is but one):</p>\n<ul>\n");
		}
		if (!ahead) {
			fprintf(page, "<li><b>");
			bench_print_escaped(page, series->name);
			fprintf(page, "</b>: ");
		}
		overlap = bench_overlaps(&point->y, bench_at(penstock, point->x));
		fprintf(page, overlap ? "%s(%.2f at %s)" : "%s%.2f at %s", ahead ? ", " : "", lead, at);
		ahead = true;
	}
	if (ahead)
		fprintf(page, "</li>\n");
	return ahead;
}

static void bench_print_ahead(FILE *page, const struct bench_plot *plot, const struct bench_axes *axes)
{
	bool anybody = false;

	if (axes->better == 0 || bench_penstock_of(plot) == NULL || plot->count < 2)
		return;
	for (size_t i = 0; i < plot->count; i++) {
		if (&plot->series[i] != bench_penstock_of(plot) && strncmp(plot->series[i].name, "no_", 3) != 0)
			anybody |= bench_say_ahead(page, plot, axes, &plot->series[i], anybody);
	}
	fprintf(page, anybody ? "</ul>\n" : "<p>Nobody is ahead of Penstock at any place that was measured.</p>\n");
}

/* ---- a plot ---- */

static void bench_print_cell(FILE *page, const struct bench_spread *y, const struct bench_axes *axes)
{
	char median[BENCH_NUMBER_BYTES], low[BENCH_NUMBER_BYTES], high[BENCH_NUMBER_BYTES];

	if (y == NULL) {
		fprintf(page, "<td></td>");
		return;
	}
	bench_format(median, y->median, axes->y_nsec);
	bench_format(low, y->min, axes->y_nsec);
	bench_format(high, y->max, axes->y_nsec);
	fprintf(page, "<td>%s", median);
	if (y->count > 1)
		fprintf(page, "<span class=\"rounds\">%s \342\200\223 %s</span>", low, high);
	fprintf(page, "</td>");
}

static void bench_print_table(FILE *page, const struct bench_plot *plot, const struct bench_axes *axes)
{
	double places[BENCH_PLOT_PLACES_MAX];
	size_t count = bench_plot_places(plot, places);
	char at[BENCH_NUMBER_BYTES];

	fprintf(page, "<details%s><summary>The figures", count == 1 ? " open" : "");
	bench_print_escaped(page, axes->y_label[0] == '\0' ? "" : ": ");
	bench_print_escaped(page, axes->y_label);
	fprintf(page, ", median and range of the rounds</summary>\n<div class=\"scroll\"><table>\n<thead><tr><th>");
	bench_print_escaped(page, axes->x_label);
	fprintf(page, "</th>");
	for (size_t i = 0; i < count; i++) {
		bench_format_x(at, places[i], axes->x_scale);
		fprintf(page, "<th>%s</th>", at);
	}
	fprintf(page, "</tr></thead>\n<tbody>\n");
	for (size_t s = 0; s < plot->count; s++) {
		fprintf(page, "<tr><th>");
		bench_print_escaped(page, plot->series[s].name);
		fprintf(page, "</th>");
		for (size_t i = 0; i < count; i++)
			bench_print_cell(page, bench_at(&plot->series[s], places[i]), axes);
		fprintf(page, "</tr>\n");
	}
	fprintf(page, "</tbody></table></div></details>\n");
}

static bool bench_print_picture(FILE *page, const char *folder, const struct bench_plot *plot, const struct bench_axes *axes,
                                bool narrow)
{
	struct bench_picture picture;
	char path[PATH_BYTES];
	bool whole = bench_picture_draw(plot, axes, narrow, &picture);

	if (!whole) {
		fprintf(stderr, "penstock-bench: gnuplot could not draw %s\n", plot->family);
		return false;
	}
	bench_picture_inline(page, &picture, axes->title, narrow ? "narrow" : "wide");
	snprintf(path, sizeof path, "%s/%s%s.svg", folder, axes->slug, narrow ? "-narrow" : "");
	whole = bench_picture_write(path, &picture, axes->title);
	if (!whole)
		fprintf(stderr, "penstock-bench: %s: %s\n", path, strerror(errno));
	free(picture.svg);
	return whole;
}

static bool bench_print_plot(FILE *page, const char *folder, const struct bench_plot *plot, bool pictures)
{
	struct bench_axes axes = bench_axes_of(plot);
	double places[BENCH_PLOT_PLACES_MAX];
	bool lines = bench_plot_places(plot, places) > 1, whole = true;

	fprintf(page, "<section class=\"plot\">\n<h2>");
	bench_print_escaped(page, axes.title);
	fprintf(page, "</h2>\n<figure>\n");
	/* What was measured at one place alone is a table. */
	if (pictures && lines)
		whole = bench_print_picture(page, folder, plot, &axes, false) &&
		        bench_print_picture(page, folder, plot, &axes, true);
	fprintf(page, "<figcaption>");
	if (lines) {
		bench_print_escaped(page, axes.caption);
		fprintf(page, " Points are medians, bars reach from the smallest round to the largest. ");
	}
	bench_print_escaped(page, plot->note == NULL ? "" : plot->note);
	fprintf(page, "</figcaption>\n</figure>\n");
	bench_print_ahead(page, plot, &axes);
	bench_print_table(page, plot, &axes);
	fprintf(page, "</section>\n");
	return whole;
}

/* ---- the targets ---- */

static void bench_print_target_row(FILE *page, const struct bench_target *target)
{
	struct bench_target_cells cells = bench_target_cells(target);
	fprintf(page, "<tr class=\"%s\"><th>", bench_target_met(target) ? "met" : "missed");
	bench_print_escaped(page, target->what);
	fprintf(page, "</th><td>%s</td><td>%s</td><td>", cells.verdict, cells.median);
	/* The sign for what the terminal's table writes with two letters. */
	if (cells.limit[0] != '\0')
		fprintf(page, "%s%s", target->at_most ? "\342\211\244" : "\342\211\245", cells.limit + strlen(">="));
	fprintf(page, "</td><td>%s</td></tr>\n", cells.rounds);
}

/* What the targets add up to. */
static void bench_print_line_table(FILE *page)
{
	fprintf(page,
	        "<div class=\"scroll\"><table class=\"targets\">\n<thead><tr><th>line</th><th>verdict</th><th>parts met</th>"
	        "<th>the hardest of them: median (rounds), limit</th></tr></thead>\n<tbody>\n");
	for (int line = BENCH_NO_LINE + 1; line < BENCH_LINES; line++) {
		struct bench_line_verdict verdict = bench_line_verdict(line);
		struct bench_line_cells cells = bench_line_cells(&verdict);

		fprintf(page, "<tr class=\"line %s\"><th>",
		        verdict.parts == 0             ? ""
		        : verdict.met == verdict.parts ? "met"
		                                       : "missed");
		bench_print_escaped(page, verdict.what);
		fprintf(page, "</th><td>%s</td><td>%s</td><td>", cells.verdict, cells.parts);
		bench_print_escaped(page, cells.hardest);
		fprintf(page, "</td></tr>\n");
	}
	fprintf(page, "</tbody></table></div>\n");
}

static void bench_print_target_table(FILE *page)
{
	size_t count = 0, met = 0;

	for (; bench_target_at(count) != NULL; count++)
		met += bench_target_met(bench_target_at(count));
	fprintf(page, "<section>\n<h2>Targets</h2>\n");
	if (count == 0) {
		bench_paragraph(page, "", "No case that has a target was run.");
		fprintf(page, "</section>\n");
		return;
	}
	fprintf(page,
	        "<p><b>%zu of %zu met.</b> What is compared takes turns in one stretch of time, round by round, and each "
	        "ratio is taken within a round; the median of the rounds is judged, and their range says how much to "
	        "believe it. A rate <em>by</em> another's is Penstock's divided by the other's: below 1 the other is "
	        "ahead.</p>\n",
	        met, count);
	bench_print_line_table(page);
	fprintf(page, "<p>The longest fsync seen in this run: %.1f ms.</p>\n", (double)bench_longest_sync() / 1e6);
	fprintf(page, "<div class=\"scroll\"><table class=\"targets\">\n<thead><tr><th>what</th><th>verdict</th>"
	              "<th>median</th><th>limit</th><th>rounds</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < count; i++)
		bench_print_target_row(page, bench_target_at(i));
	fprintf(page, "</tbody></table></div>\n</section>\n");
}

/* ---- the page ---- */

static void bench_print_head(FILE *page)
{
	fprintf(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	              "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Penstock, measured ");
	bench_print_escaped(page, bench_context_value("begun"));
	fprintf(page, "</title>\n<style>\n");
	bench_picture_colours(page, ":root");
	fprintf(page, "%s</style>\n</head>\n<body>\n<main>\n<h1>Penstock, measured</h1>\n<p class=\"where\">", bench_style);
	bench_print_escaped(page, bench_context_value("begun"));
	fprintf(page, ". ");
	bench_print_escaped(page, bench_context_value("machine"));
	fprintf(page, ". <a href=\"#context\">More about where and how</a>.</p>\n");
	if (bench_quick)
		bench_paragraph(page, "warning",
		                "Made with --quick: few and short rounds, which show that everything "
		                "works, not how fast it is.");
	if (bench_failures() > 0)
		fprintf(page, "<p class=\"warning\">%zu cases could not be measured.</p>\n", bench_failures());
}

static void bench_print_context(FILE *page)
{
	fprintf(page, "<section id=\"context\">\n<h2>Where and how</h2>\n<dl>\n");
	for (size_t i = 0; i < bench_context_count(); i++) {
		const struct bench_fact *fact = bench_context_at(i);

		if (strcmp(fact->name, "command") == 0)
			continue;
		fprintf(page, "<dt>");
		for (const char *letter = fact->name; *letter != '\0'; letter++)
			fputc(*letter == '_' ? ' ' : *letter, page);
		fprintf(page, "</dt><dd>");
		bench_print_escaped(page, fact->value);
		fprintf(page, "</dd>\n");
	}
	fprintf(page, "</dl>\n<p>The command:</p>\n<pre id=\"command\"><code>");
	bench_print_escaped(page, bench_context_value("command"));
	fprintf(page, "</code></pre>\n</section>\n</main>\n</body>\n</html>\n");
}

bool bench_page_prepare(const char *folder)
{
	if (strlen(folder) + sizeof((struct bench_axes *)NULL)->slug + 16 > PATH_BYTES) {
		errno = ENAMETOOLONG;
	} else if ((mkdir(folder, 0777) == 0 || errno == EEXIST) && access(folder, W_OK | X_OK) == 0) {
		if (!bench_pictures_possible())
			fprintf(stderr, "penstock-bench: gnuplot is not installed: the report will have its tables, but no "
			                "plots\n");
		return true;
	}
	fprintf(stderr, "penstock-bench: --report %s: %s\n", folder, strerror(errno));
	return false;
}

static bool bench_write_context(const char *folder)
{
	char path[PATH_BYTES];
	FILE *file;

	snprintf(path, sizeof path, "%s/context.txt", folder);
	file = fopen(path, "w");
	if (file != NULL) {
		bool whole;

		bench_context_print(file);
		whole = ferror(file) == 0;
		if (fclose(file) == 0 && whole)
			return true;
	}
	fprintf(stderr, "penstock-bench: %s: %s\n", path, strerror(errno));
	return false;
}

bool bench_page_write(const char *folder)
{
	bool pictures = bench_pictures_possible(), whole = true;
	char path[PATH_BYTES];
	FILE *page;

	snprintf(path, sizeof path, "%s/index.html", folder);
	page = fopen(path, "w");
	if (page == NULL) {
		fprintf(stderr, "penstock-bench: %s: %s\n", path, strerror(errno));
		return false;
	}
	bench_print_head(page);
	if (!pictures)
		bench_paragraph(page, "warning",
		                "gnuplot was not installed where this page was made, so there are no "
		                "plots; their figures are in the tables.");
	bench_print_target_table(page);
	for (const struct bench_plot *plot = bench_plots(); plot != NULL; plot = plot->next)
		whole &= plot->count == 0 || bench_print_plot(page, folder, plot, pictures);
	bench_print_context(page);
	if (ferror(page) != 0 || fclose(page) != 0) {
		fprintf(stderr, "penstock-bench: %s: %s\n", path, strerror(errno));
		return false;
	}
	return bench_write_context(folder) && whole;
}
