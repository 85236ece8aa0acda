/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/pictures.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX BENCH_PLOT_SERIES_MAX
#define TICKS_MAX BENCH_PLOT_PLACES_MAX

/* Lengths in the pictures' units, which are pixels when a picture is shown in its own size. */
#define FONT 13
#define LETTER 8.2 /* the width of one, on average; rather too much, since the fonts differ */
#define LINE 17
#define LEFT 62
#define TOP 34
#define BOTTOM 52
#define MARK 10       /* from the middle of the mark before a name to the name */
#define NAMES_FROM 10 /* gnuplot's number of the first; below it are the axes' labels */

/* ---- colours ---- */

/* gnuplot is told #0102NN for colour NN; the lines above FIRST_LINE are the frame's. */
enum { BACKGROUND, TEXT, MUTED, GRID, PENSTOCK, RAW, FIRST_LINE };

static const struct bench_colour {
	const char *light;
	const char *dark;
} bench_colours[] = {
	[BACKGROUND] = { "#ffffff", "#14171c" },
	[TEXT] = { "#1d2430", "#e4e8ee" },
	[MUTED] = { "#5a6474", "#9aa5b4" },
	[GRID] = { "#e3e7ec", "#2a303a" },
	[PENSTOCK] = { "#0b5fd0", "#62a8ff" },
	[RAW] = { "#1d2430", "#e4e8ee" },
	[FIRST_LINE] = { "#c2500a", "#f0914a" },
	{ "#1a7f4b", "#4cc38a" },
	{ "#8a3fc0", "#c792ea" },
	{ "#b8860b", "#e2c044" },
	{ "#c22660", "#f27aa5" },
	{ "#0f7f8c", "#4fc4d0" },
	{ "#7a5230", "#c9a27e" },
	{ "#5f7d08", "#a9cb45" },
	{ "#4d50b8", "#9da2f7" },
	{ "#6b7280", "#9ca3af" },
};
#define COLOURS (sizeof bench_colours / sizeof bench_colours[0])

void bench_picture_colours(FILE *file, const char *root)
{
	fprintf(file, "%s {", root);
	for (size_t i = 0; i < COLOURS; i++)
		fprintf(file, " --c%zu: %s;", i, bench_colours[i].light);
	fprintf(file, " }\n@media (prefers-color-scheme: dark) { %s {", root);
	for (size_t i = 0; i < COLOURS; i++)
		fprintf(file, " --c%zu: %s;", i, bench_colours[i].dark);
	fprintf(file, " } }\n");
	fprintf(file, "svg text, svg tspan { font-family: system-ui, -apple-system, \"Segoe UI\", Roboto, "
	              "\"Noto Sans\", \"DejaVu Sans\", sans-serif; font-variant-numeric: tabular-nums }\n");
}

/* ---- the scales ---- */

struct bench_ticks {
	double at[TICKS_MAX];
	size_t count;
};

struct bench_range {
	double from; /* in places, as the two below */
	double to;
	struct bench_ticks ticks; /* in values */
};

struct bench_drawing {
	FILE *script;
	const struct bench_plot *plot;
	const struct bench_axes *axes;
	bool narrow;
	struct bench_range x, y;
	size_t order[NAMES_MAX]; /* of the series, the one that ends highest first */
	int width, height;
	double right; /* what is beside the plot */
	double below;
	size_t columns; /* of names below a narrow one */
};

static double bench_place(double value, enum bench_scale scale, double least)
{
	switch (scale) {
	case BENCH_LOG:
		return log10(fmax(value, least));
	case BENCH_NINES:
		return -log10(1 - fmin(value, 0.999999));
	default:
		return value;
	}
}

static void bench_add_tick(struct bench_ticks *ticks, double value)
{
	if (ticks->count < TICKS_MAX)
		ticks->at[ticks->count++] = value;
}

/* The places are those that were measured: they are few. */
static void bench_x_range(struct bench_drawing *d)
{
	struct bench_ticks *ticks = &d->x.ticks;

	ticks->count = bench_plot_places(d->plot, ticks->at);
	d->x.from = bench_place(ticks->at[0], d->axes->x_scale, ticks->at[0]);
	d->x.to = bench_place(ticks->at[ticks->count - 1], d->axes->x_scale, ticks->at[0]);
	if (d->x.to <= d->x.from) {
		d->x.from -= 0.5;
		d->x.to += 0.5;
	}
}

static void bench_y_ticks(struct bench_drawing *d, double least, double most)
{
	static const double mantissas[] = { 1, 2, 5 };
	size_t step = log10(most / least) > 2 ? 3 : 1;

	if (d->axes->y_scale == BENCH_LOG) {
		for (int decade = (int)floor(log10(least)); decade <= (int)ceil(log10(most)); decade++) {
			for (size_t i = 0; i < 3; i += step) {
				double value = mantissas[i] * pow(10, decade);

				if (value >= least * 0.999 && value <= most * 1.001)
					bench_add_tick(&d->y.ticks, value);
			}
		}
		return;
	}
	{
		double unit = pow(10, floor(log10(most / 5))), each = unit;

		for (size_t i = 0; i < 3 && most / each > 6; i++)
			each = mantissas[i] * unit;
		if (most / each > 6)
			each = 10 * unit;
		for (double value = 0; value <= most * 1.001; value += each)
			bench_add_tick(&d->y.ticks, value);
	}
}

static void bench_y_range(struct bench_drawing *d)
{
	double least = INFINITY, most = 0;

	for (size_t s = 0; s < d->plot->count; s++) {
		for (size_t p = 0; p < d->plot->series[s].count; p++) {
			const struct bench_spread *y = &d->plot->series[s].points[p].y;

			if (y->median > 0)
				least = fmin(least, y->min > 0 ? y->min : y->median);
			most = fmax(most, fmax(y->median, y->max));
		}
	}
	if (most <= 0)
		least = most = 1;
	if (d->axes->y_scale == BENCH_LOG) {
		least /= 1.25;
		most *= 1.25;
		/* Ticks need something to stand at. */
		while (most / least < 10) {
			least /= 1.2;
			most *= 1.2;
		}
		d->y.from = log10(least);
		d->y.to = log10(most);
	} else {
		most *= 1.05;
		d->y.from = 0;
		d->y.to = most;
	}
	bench_y_ticks(d, least, most);
}

static double bench_y_place(const struct bench_drawing *d, double value)
{
	double place = bench_place(value, d->axes->y_scale, 1e-300);

	return place < d->y.from ? d->y.from : place;
}

/* ---- the script ---- */

static bool bench_is(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

static const struct bench_spread *bench_last(const struct bench_plot_series *series)
{
	return &series->points[series->count - 1].y;
}

static void bench_order(struct bench_drawing *d)
{
	for (size_t i = 0; i < d->plot->count; i++) {
		size_t at = i;

		for (;
		     at > 0 && bench_last(&d->plot->series[d->order[at - 1]])->median < bench_last(&d->plot->series[i])->median;
		     at--)
			d->order[at] = d->order[at - 1];
		d->order[at] = i;
	}
}

static void bench_print_quoted(FILE *file, const char *text)
{
	fputc('\'', file);
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			fputc('\'', file);
		fputc(*text, file);
	}
	fputc('\'', file);
}

static size_t bench_longest_name(const struct bench_plot *plot)
{
	size_t longest = 0;

	for (size_t i = 0; i < plot->count; i++) {
		size_t length = strlen(plot->series[i].name);

		longest = length > longest ? length : longest;
	}
	return longest;
}

static void bench_layout(struct bench_drawing *d)
{
	double name = LETTER * (double)bench_longest_name(d->plot);

	d->width = d->narrow ? 360 : 760;
	d->right = d->narrow ? 22 : 24 + MARK + name;
	d->below = BOTTOM;
	d->height = d->narrow ? 300 : 400;
	if (d->narrow && d->plot->count > 1) {
		size_t rows;

		d->columns = name + MARK + 20 < d->width / 2.0 ? 2 : 1;
		rows = (d->plot->count + d->columns - 1) / d->columns;
		d->below += LINE * (double)rows + 6;
		d->height += LINE * (int)rows;
	}
}

static void bench_print_ticks(const struct bench_drawing *d, bool of_x)
{
	const struct bench_range *range = of_x ? &d->x : &d->y;
	double length = d->width - LEFT - d->right, next = -LEFT;

	fprintf(d->script, "set %ctics nomirror scale 0 textcolor rgb '#0102%02x' (", of_x ? 'x' : 'y', MUTED);
	for (size_t i = 0; i < range->ticks.count; i++) {
		double value = range->ticks.at[i], at, half;
		char text[BENCH_NUMBER_BYTES];

		if (of_x)
			bench_format_x(text, value, d->axes->x_scale);
		else
			bench_format(text, value, d->axes->y_nsec);
		at = of_x ? bench_place(value, d->axes->x_scale, value) : bench_y_place(d, value);
		half = LETTER * (double)strlen(text) / 2;
		/* A label that would run into the one before it gives way. */
		if (of_x) {
			double centre = length * (at - range->from) / (range->to - range->from);

			if (centre - half < next)
				text[0] = '\0';
			else
				next = centre + half + LETTER;
		}
		fprintf(d->script, "%s'%s' %.9g", i > 0 ? ", " : "", text, at);
	}
	fprintf(d->script, ")\n");
}

static void bench_print_data(const struct bench_drawing *d)
{
	for (size_t s = 0; s < d->plot->count; s++) {
		fprintf(d->script, "$s%zu << END\n", s);
		for (size_t p = 0; p < d->plot->series[s].count; p++) {
			const struct bench_plot_point *point = &d->plot->series[s].points[p];
			double low = point->y.count > 1 ? point->y.min : point->y.median;
			double high = point->y.count > 1 ? point->y.max : point->y.median;

			fprintf(d->script, "%.9g %.9g %.9g %.9g\n", bench_place(point->x, d->axes->x_scale, point->x),
			        bench_y_place(d, point->y.median), bench_y_place(d, low), bench_y_place(d, high));
		}
		fprintf(d->script, "END\n");
	}
}

struct bench_style {
	size_t colour;
	int shape;
	double width;
	bool dashed;
};

enum bench_kind { OTHER, OURS, VARIANT, YARDSTICK };

/* Without a line of Penstock's that they vary there are no variants. */
static enum bench_kind bench_kind_of(const struct bench_plot *plot, size_t s)
{
	const char *name = plot->series[s].name;

	if (strcmp(name, "penstock") == 0)
		return OURS;
	if (bench_is(name, "raw"))
		return YARDSTICK;
	for (size_t i = 0; bench_is(name, "penstock") && i < plot->count; i++) {
		if (strcmp(plot->series[i].name, "penstock") == 0)
			return VARIANT;
	}
	return OTHER;
}

/* Penstock's own lines are of one colour, and so is the raw loop's, whatever order they come in. */
static struct bench_style bench_style_of(const struct bench_plot *plot, size_t s)
{
	static const int shapes[] = { 5, 9, 11, 13, 4, 8, 10, 12, 6 };
	enum bench_kind kind = bench_kind_of(plot, s);
	struct bench_style style = { .colour = PENSTOCK, .shape = 7, .width = kind == OURS ? 2.6 : 1.4 };
	size_t others = 0;

	for (size_t i = 0; i < s; i++)
		others += bench_kind_of(plot, i) == OTHER;
	if (kind != OURS)
		style.shape = shapes[s % (sizeof shapes / sizeof shapes[0])];
	style.dashed = kind == VARIANT || kind == YARDSTICK;
	if (kind == YARDSTICK)
		style.colour = RAW;
	else if (kind == OTHER)
		style.colour = FIRST_LINE + others % (COLOURS - FIRST_LINE);
	return style;
}

static void bench_print_style(const struct bench_drawing *d, size_t s, bool points)
{
	struct bench_style style = bench_style_of(d->plot, s);

	fprintf(d->script, "lc rgb '#0102%02zx' lw %g", style.colour, style.width);
	if (points)
		fprintf(d->script, " pt %d ps %g", style.shape, style.width > 2 ? 0.7 : 0.6);
	else
		fprintf(d->script, style.dashed ? " dt (8,5)" : " dt solid");
}

/* A name behind the mark of its line, at a distance from the left and the top. */
static void bench_print_name(const struct bench_drawing *d, size_t s, size_t number, double left, double top)
{
	struct bench_style style = bench_style_of(d->plot, s);
	double x = left / d->width, y = 1 - top / d->height;

	fprintf(d->script, "set label %zu ", number);
	bench_print_quoted(d->script, d->plot->series[s].name);
	fprintf(d->script, " at screen %.6f,%.6f left textcolor rgb '#0102%02zx'\n", x + (double)MARK / d->width, y,
	        style.colour);
	fprintf(d->script, "set label %zu '' at screen %.6f,%.6f point ", number + NAMES_MAX, x, y);
	bench_print_style(d, s, true);
	fputc('\n', d->script);
}

/* At the ends of their lines, moved apart where they would run into each other. */
static void bench_print_names_beside(const struct bench_drawing *d)
{
	double plot_height = d->height - TOP - d->below, at[NAMES_MAX];
	size_t n = d->plot->count;

	for (size_t i = 0; i < n; i++) {
		double place = bench_y_place(d, bench_last(&d->plot->series[d->order[i]])->median);

		at[i] = plot_height * (d->y.to - place) / (d->y.to - d->y.from);
	}
	for (size_t i = 1; i < n; i++)
		at[i] = fmax(at[i], at[i - 1] + LINE);
	for (size_t i = n; i-- > 0;)
		at[i] = fmin(at[i], i + 1 < n ? at[i + 1] - LINE : plot_height);
	for (size_t i = 0; i < n; i++)
		bench_print_name(d, d->order[i], NAMES_FROM + i, d->width - d->right + 14, TOP + at[i]);
}

static void bench_print_names_below(const struct bench_drawing *d)
{
	size_t n = d->plot->count, rows = (n + d->columns - 1) / d->columns;

	for (size_t i = 0; i < n; i++)
		bench_print_name(d, d->order[i], NAMES_FROM + i, 16 + (double)(i / rows) * (d->width - 10.0) / 2,
		                 d->height - LINE * (double)(rows - i % rows) + 4);
}

static void bench_print_line(const struct bench_drawing *d, size_t s, bool first)
{
	fprintf(d->script, "%s $s%zu using 1:3:(0):($4-$3) with vectors nohead lc rgb '#0102%02zx' lw 1 notitle",
	        first ? "plot" : ",", s, bench_style_of(d->plot, s).colour);
	fprintf(d->script, ", $s%zu using 1:2 with lines ", s);
	bench_print_style(d, s, false);
	fprintf(d->script, " notitle, $s%zu using 1:2 with points ", s);
	bench_print_style(d, s, true);
	fprintf(d->script, " notitle");
}

/* Penstock's line lies over the others. */
static void bench_print_lines(const struct bench_drawing *d)
{
	size_t count = d->plot->count, last = 0;

	while (last < count - 1 && strcmp(d->plot->series[last].name, "penstock") != 0)
		last++;
	for (size_t s = 0, printed = 0; s < count; s++) {
		if (s != last)
			bench_print_line(d, s, printed++ == 0);
	}
	bench_print_line(d, last, count == 1);
	fputc('\n', d->script);
}

static void bench_print_frame(const struct bench_drawing *d)
{
	double w = d->width, h = d->height, pad = 0.03 * (d->x.to - d->x.from);

	fprintf(d->script,
	        "set encoding utf8\n"
	        "set terminal svg noenhanced dynamic size %d,%d font 'sans-serif,%d' background rgb '#0102%02x'\n"
	        "set lmargin at screen %.6f\nset rmargin at screen %.6f\n"
	        "set tmargin at screen %.6f\nset bmargin at screen %.6f\n"
	        "set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n"
	        "set border 1 lc rgb '#0102%02x' lw 1\n"
	        "unset key\n"
	        "set grid ytics lt 1 lc rgb '#0102%02x' lw 1\n",
	        d->width, d->height, FONT, BACKGROUND, LEFT / w, 1 - d->right / w, 1 - TOP / h, d->below / h, d->x.from - pad,
	        d->x.to + pad, d->y.from, d->y.to, MUTED, GRID);
	fprintf(d->script, "set label 1 ");
	bench_print_quoted(d->script, d->axes->y_label);
	fprintf(d->script, " at screen %.6f,%.6f left textcolor rgb '#0102%02x'\n", 10 / w, 1 - 16 / h, MUTED);
	fprintf(d->script, "set label 2 ");
	bench_print_quoted(d->script, d->axes->x_label);
	fprintf(d->script, " at screen %.6f,%.6f center textcolor rgb '#0102%02x'\n", (LEFT + (w - LEFT - d->right) / 2) / w,
	        (d->below - 38) / h, MUTED);
}

/* ---- what gnuplot makes of it ---- */

bool bench_pictures_possible(void)
{
	return system("command -v gnuplot >/dev/null 2>&1") == 0;
}

static bool bench_print_script(FILE *script, const struct bench_plot *plot, const struct bench_axes *axes, bool narrow,
                               struct bench_picture *picture)
{
	struct bench_drawing *d = calloc(1, sizeof *d);
	bool whole;

	if (d == NULL)
		return false;
	d->script = script;
	d->plot = plot;
	d->axes = axes;
	d->narrow = narrow;
	bench_x_range(d);
	bench_y_range(d);
	bench_order(d);
	bench_layout(d);
	bench_print_frame(d);
	bench_print_ticks(d, true);
	bench_print_ticks(d, false);
	if (plot->count > 1 && narrow)
		bench_print_names_below(d);
	else if (plot->count > 1)
		bench_print_names_beside(d);
	bench_print_data(d);
	bench_print_lines(d);
	picture->width = d->width;
	picture->height = d->height;
	whole = ferror(script) == 0;
	free(d);
	return whole;
}

/* The colour that stands at `text`, in one of gnuplot's two ways to write it; how long it is, 0: none stands there. */
static size_t bench_colour_at(const char *text, unsigned *colour)
{
	unsigned red, green;
	int length = 0;

	if (sscanf(text, "rgb(%u,%u,%u)%n", &red, &green, colour, &length) == 3 && length > 0 && red == 1 && green == 2)
		return (size_t)length;
	if (sscanf(text, "#0102%2x%n", colour, &length) == 1 && length == 7)
		return 7;
	return 0;
}

static void bench_translate(FILE *to, const char *svg, const char *slug)
{
	static const char *const names[] = { "id=\"", "id='", "href='#" };

	while (*svg != '\0') {
		unsigned colour;
		size_t length = bench_colour_at(svg, &colour);

		if (length > 0) {
			fprintf(to, "var(--c%u)", colour);
			svg += length;
			continue;
		}
		/* The titles of lines would be shown as what they are called in gnuplot. */
		if (bench_is(svg, "<title>") && strstr(svg, "</title>") != NULL) {
			svg = strstr(svg, "</title>") + strlen("</title>");
			continue;
		}
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
			if (bench_is(svg, names[i])) {
				fprintf(to, "%s%s-", names[i], slug);
				svg += strlen(names[i]);
			}
		}
		fputc(*svg++, to);
	}
}

/* What stands between the tags of the whole, the title and the description left out; cuts it off in `text`. */
static const char *bench_inside_of(char *text)
{
	char *start = strstr(text, "</desc>"), *end = strstr(text, "</svg>");

	if (start == NULL || end == NULL || end < start)
		return NULL;
	*end = '\0';
	return start + strlen("</desc>");
}

static char *bench_run_gnuplot(const char *script)
{
	FILE *output = tmpfile(), *gnuplot;
	char command[80], *text = NULL;
	size_t room = 0;

	if (output == NULL)
		return NULL;
	snprintf(command, sizeof command, "exec gnuplot >/dev/fd/%d", fileno(output));
	gnuplot = popen(command, "w");
	if (gnuplot != NULL) {
		/* One that fails may be gone before it has read everything; its status says so. */
		void (*before)(int) = signal(SIGPIPE, SIG_IGN);

		fputs(script, gnuplot);
		if (pclose(gnuplot) != 0 || getdelim(&text, &room, '\0', output) < 0) {
			free(text);
			text = NULL;
		}
		signal(SIGPIPE, before);
	}
	fclose(output);
	return text;
}

bool bench_picture_draw(const struct bench_plot *plot, const struct bench_axes *axes, bool narrow,
                        struct bench_picture *picture)
{
	char *script = NULL, *output = NULL, slug[sizeof axes->slug + 8];
	const char *inside = NULL;
	size_t bytes;
	FILE *file = open_memstream(&script, &bytes);
	bool whole;

	picture->svg = NULL;
	if (file == NULL)
		return false;
	whole = bench_print_script(file, plot, axes, narrow, picture);
	fclose(file);
	if (whole)
		output = bench_run_gnuplot(script);
	if (output != NULL)
		inside = bench_inside_of(output);
	file = inside == NULL ? NULL : open_memstream(&picture->svg, &bytes);
	if (file != NULL) {
		snprintf(slug, sizeof slug, "%s%s", axes->slug, narrow ? "-narrow" : "");
		bench_translate(file, inside, slug);
		fclose(file);
	}
	free(output);
	free(script);
	return picture->svg != NULL;
}

void bench_print_escaped(FILE *file, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '&')
			fputs("&amp;", file);
		else if (*text == '<')
			fputs("&lt;", file);
		else if (*text == '>')
			fputs("&gt;", file);
		else if (*text == '"')
			fputs("&quot;", file);
		else
			fputc(*text, file);
	}
}

static void bench_print_size(FILE *file, const struct bench_picture *picture)
{
	fprintf(file, "viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\"", picture->width, picture->height, picture->width,
	        picture->height);
}

void bench_picture_inline(FILE *page, const struct bench_picture *picture, const char *title, const char *class)
{
	fprintf(page, "<svg class=\"%s\" role=\"img\" ", class);
	bench_print_size(page, picture);
	fprintf(page, " aria-label=\"");
	bench_print_escaped(page, title);
	fprintf(page, "\">%s</svg>\n", picture->svg);
}

bool bench_picture_write(const char *path, const struct bench_picture *picture, const char *title)
{
	FILE *file = fopen(path, "w");
	bool whole;

	if (file == NULL)
		return false;
	fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" ");
	bench_print_size(file, picture);
	fprintf(file, ">\n<title>");
	bench_print_escaped(file, title);
	fprintf(file, "</title>\n<style>\n");
	bench_picture_colours(file, "svg");
	fprintf(file, "</style>%s</svg>\n", picture->svg);
	whole = ferror(file) == 0;
	return fclose(file) == 0 && whole;
}
