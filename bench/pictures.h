/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pictures.h - a plot as SVG
 *
 * gnuplot draws; it gets places (logarithms taken, ticks chosen and written out here) and colours that stand for
 * variables. What it prints is gone through once: colours become var(--cN), which bench_picture_colours defines for
 * light and for dark, and ids get the picture's name in front, since several pictures share a page.
 *
 * Each plot is drawn twice, since letters in a picture that is scaled to a telephone are too small to read: wide, with
 * each name at the end of its line, and narrow, with the names below.
 */
#ifndef PENSTOCK_BENCH_PICTURES_H
#define PENSTOCK_BENCH_PICTURES_H

#include <stdio.h>

#include "bench/plot.h"

struct bench_picture {
	char *svg; /* what is between <svg ...> and </svg>; to be freed */
	int width;
	int height;
};

/* Can pictures be drawn at all? */
bool bench_pictures_possible(void);

/* False: gnuplot failed, and said why. */
bool bench_picture_draw(const struct bench_plot *plot, const struct bench_axes *axes, bool narrow,
                        struct bench_picture *picture);

/* Onto a page that has the colours. */
void bench_picture_inline(FILE *page, const struct bench_picture *picture, const char *title, const char *class);
/* A file by itself, with its colours; false: errno. */
bool bench_picture_write(const char *path, const struct bench_picture *picture, const char *title);

/* The rules of style that the pictures need. */
void bench_picture_colours(FILE *file, const char *root);

/* Text in HTML or XML. */
void bench_print_escaped(FILE *file, const char *text);

#endif
