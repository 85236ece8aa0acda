/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prometheus.h - the Prometheus text exposition format, version 0.0.4, into memory that is there
 *
 *     # HELP penstock_parks_total Times the writer went to sleep.
 *     # TYPE penstock_parks_total counter
 *     penstock_parks_total{engine="app.db"} 7
 *
 * A text is made twice by the same calls: once without memory, which counts its bytes, then into as many. Between the two
 * the figures go on counting, so who counts gives each number at its longest.
 *
 * Invariants
 *   1. A label's value is valid UTF-8, whatever bytes it is made of: one that is none becomes U+FFFD. Backslash, quote
 *      and line feed are escaped.
 *   2. A number is the same in every locale, and exact: nanoseconds are written as seconds with nine digits.
 *   3. No call allocates. A count that would not fit a size_t stays SIZE_MAX.
 *
 * Failure modes: none; the caller sees to the room.
 */
#ifndef PENSTOCK_PROMETHEUS_H
#define PENSTOCK_PROMETHEUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ps_exposition {
	char *text;  /* NULL: only counted */
	size_t used; /* without a NUL, of which there is none */
};

/* Before the samples of a metric. help: needs no escapes. */
void ps_exposition_head(struct ps_exposition *to, const char *name, const char *type, const char *help);
/* A sample: of the metric, or (suffix) a part of it; then further labels; then its value. */
void ps_exposition_sample(struct ps_exposition *to, const char *name, const char *suffix, const char *engine);
void ps_exposition_label(struct ps_exposition *to, const char *key, const char *value);
/* nsec: the number is nanoseconds, and written as seconds. */
void ps_exposition_value(struct ps_exposition *to, uint64_t number, bool nsec);

/* The same number as text, for a label. */
#define PS_EXPOSITION_NUMBER_BYTES 24
void ps_exposition_format(char text[PS_EXPOSITION_NUMBER_BYTES], uint64_t number, bool nsec);

/* Whether two labels' values would be written alike. */
bool ps_exposition_same(const char *value, const char *other);

#endif
