/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.h - the configurations that can be tried
 *
 * Each key that is tuned has a few levels, one of them the base's: what --config and --set give, else the default. A
 * point is one level for each key. Which keys there are, their levels, and in words what each of them does, stands in one
 * table.
 *
 *   1. The base is a point, and the first of every sample.
 *   2. The sample depends on the seed and the space alone, and a shorter one is the beginning of a longer one.
 *   3. No point sets anything but the tuned keys: synchronous is none of them.
 *   4. A key that nothing could come of has only the base's level: fuse_rows where the workload is SQL text, since only a
 *      registered INSERT is run with others.
 *   5. In a cluster there are no pragmas, no WAL and no fused rows: no point sets these.
 *
 * A point differs from the base in one to SPACE_CHANGES_MAX keys: where the base is good, points far away from it
 * rarely are better, and they are harder to explain.
 */
#ifndef PENSTOCK_TOOL_TUNE_SPACE_H
#define PENSTOCK_TOOL_TUNE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/penstock.h"

/* In the order in which they are listed. */
enum space_key {
	SPACE_RING_SLOTS,
	SPACE_BATCH_MAX,
	SPACE_BATCH_BYTES,
	SPACE_BATCH_USEC,
	SPACE_LINGER_USEC,
	SPACE_WAL_BYTES_MAX,
	SPACE_CHECKPOINT_THREAD,
	SPACE_WRITER_CPU,
	SPACE_SPIN_USEC,
	SPACE_FUSE_ROWS,
	SPACE_PAGE_SIZE,
	SPACE_CACHE_SIZE,
	SPACE_KEYS
};

#define SPACE_LEVELS_MAX 8
#define SPACE_CHANGES_MAX 6
#define SPACE_TEXT 32

struct space {
	struct space_levels {
		int64_t values[SPACE_LEVELS_MAX]; /* ascending */
		size_t count;
		size_t base;
	} keys[SPACE_KEYS];
	bool cluster;
};

struct space_point {
	unsigned char levels[SPACE_KEYS];
};

/* A configuration with room for what a point sets. The pragmas of the space come first; the base must not repeat them. */
struct space_config {
	penstock_config config;
	penstock_pragma *pragmas;
	char texts[SPACE_KEYS][SPACE_TEXT];
};

const char *space_name(enum space_key key);
bool space_is_pragma(enum space_key key);
/* What it is, in a few words. */
const char *space_help(enum space_key key);
/* "16 MiB": as a configuration file takes it. */
void space_text(enum space_key key, int64_t value, char text[SPACE_TEXT]);
/* The value in a configuration, or PENSTOCK_UNSET; not for pragmas. */
int64_t space_value(enum space_key key, const penstock_config *config);
/* The library's, as a number; not for pragmas. */
int64_t space_default(enum space_key key);

/* values: those of the base. fuses: whether fuse_rows matters. */
void space_init(struct space *space, const int64_t values[SPACE_KEYS], bool fuses, bool cluster);
/* Whether the key means anything there. */
bool space_has(const struct space *space, enum space_key key);
/* Whether the key has more than one level. */
bool space_varies(const struct space *space, enum space_key key);
struct space_point space_base(const struct space *space);
/* Different points, the base first; how many were found, at most count. */
size_t space_sample(const struct space *space, uint64_t seed, struct space_point *points, size_t count);
/* 0 for the base; otherwise a point with fewer changed keys is always nearer. */
size_t space_distance(const struct space *space, const struct space_point *point);
int64_t space_at(const struct space *space, const struct space_point *point, enum space_key key);

/* base is copied, its pragmas too; false when there is no memory. Free in any case. */
bool space_config_init(struct space_config *made, const penstock_config *base);
void space_config_set(struct space_config *made, const struct space *space, const struct space_point *point);
void space_config_free(struct space_config *made);

#endif
