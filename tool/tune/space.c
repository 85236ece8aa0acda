/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/space.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MiB *(INT64_C(1) << 20)
#define PRAGMAS 2
/* A point that has been drawn before is drawn again so often. */
#define DRAWS_MAX 100

static const struct key {
	const char *name;
	const char *help;
	size_t in_config; /* offset of its int64_t in penstock_config */
	bool pragma;
	bool of_file; /* means nothing in a cluster */
	bool in_bytes;
	bool yes_or_no;
	int64_t levels[SPACE_LEVELS_MAX - 1]; /* up to a 0 behind the first */
} keys[SPACE_KEYS] = {
#define KEY(name_, ...) .name = #name_, .in_config = offsetof(penstock_config, name_), .levels = { __VA_ARGS__ }
	[SPACE_RING_SLOTS] = { KEY(ring_slots, 64, 256, 1024, 4096, 16384, 65536),
	                       .help = "slots of the ring: a short one bounds the wait of what is queued" },
	[SPACE_BATCH_MAX] = { KEY(batch_max, 30, 100, 300, 1000, 3000, 10000), .help = "most statements in one transaction" },
	[SPACE_BATCH_BYTES] = { KEY(batch_bytes, 1 MiB, 4 MiB, 16 MiB, 64 MiB), .in_bytes = true,
	                        .help = "a transaction ends after this much payload" },
	[SPACE_BATCH_USEC] = { KEY(batch_usec, 500, 2000, 10000, 50000),
	                       .help = "a transaction ends after this many microseconds" },
	[SPACE_LINGER_USEC] = { KEY(linger_usec, 0, 50, 200, 1000),
	                        .help = "microseconds that an unfilled batch waits for more" },
	[SPACE_WAL_BYTES_MAX] = { KEY(wal_bytes_max, 4 MiB, 16 MiB, 64 MiB), .of_file = true, .in_bytes = true,
	                          .help = "the WAL is kept below this; a larger one is checkpointed less often" },
	[SPACE_CHECKPOINT_THREAD] = { KEY(checkpoint_thread, 0, 1), .of_file = true, .yes_or_no = true,
	                              .help = "a thread of its own brings the WAL into the database beside the writer" },
	[SPACE_WRITER_CPU] = { KEY(writer_cpu, -1), .help = "processor that the writer is pinned to, on this machine" },
	[SPACE_SPIN_USEC] = { KEY(spin_usec, 0, 100, 400),
	                      .help = "microseconds of looking for work before a sleep; costs processor time" },
	[SPACE_FUSE_ROWS] = { KEY(fuse_rows, 1, 8, 32, 128), .of_file = true,
	                      .help = "most rows of one plain INSERT, each submitted by itself and waited for by nobody, "
	                              "that run as one" },
	[SPACE_PAGE_SIZE] = { .name = "page_size",
	                      .pragma = true,
	                      .of_file = true,
	                      .levels = { 4096, 8192, 16384 },
	                      .help = "bytes of a page; only matters for a new database, an existing one keeps its own" },
	[SPACE_CACHE_SIZE] = { .name = "cache_size",
	                       .pragma = true,
	                       .of_file = true,
	                       .levels = { -64000, -16000, -2000 },
	                       .help = "SQLite's page cache, of every connection; KiB when negative, else pages" },
#undef KEY
};

const char *space_name(enum space_key key)
{
	return keys[key].name;
}

bool space_is_pragma(enum space_key key)
{
	return keys[key].pragma;
}

const char *space_help(enum space_key key)
{
	return keys[key].help;
}

void space_text(enum space_key key, int64_t value, char text[SPACE_TEXT])
{
	if (key == SPACE_WRITER_CPU && value == -1)
		snprintf(text, SPACE_TEXT, "any");
	else if (keys[key].yes_or_no)
		snprintf(text, SPACE_TEXT, "%s", value != 0 ? "yes" : "no");
	else if (keys[key].in_bytes && value % (1 MiB) == 0)
		snprintf(text, SPACE_TEXT, "%" PRId64 " MiB", value / (1 MiB));
	else
		snprintf(text, SPACE_TEXT, "%" PRId64, value);
}

static int64_t *field(enum space_key key, penstock_config *config)
{
	return (int64_t *)((char *)config + keys[key].in_config);
}

int64_t space_value(enum space_key key, const penstock_config *config)
{
	penstock_config copy = *config;

	return *field(key, &copy);
}

int64_t space_default(enum space_key key)
{
	const penstock_config_key *described;
	penstock_config config;
	size_t i;

	penstock_config_init(&config);
	for (i = 0; (described = penstock_config_key_at(i)) != NULL; i++)
		if (strcmp(described->name, keys[key].name) == 0)
			penstock_config_set(&config, described->name, described->default_text);
	return *field(key, &config);
}

/* ---- levels ---- */

static size_t add_level(struct space_levels *levels, int64_t value)
{
	size_t at = 0;

	while (at < levels->count && levels->values[at] < value)
		at++;
	if (at == levels->count || levels->values[at] != value) {
		memmove(&levels->values[at + 1], &levels->values[at], (levels->count - at) * sizeof *levels->values);
		levels->values[at] = value;
		levels->count++;
	}
	return at;
}

/* The first and the last of those that we may run on: the ends are the likeliest to be different. */
static void add_processors(struct space_levels *levels)
{
	int last = CPU_SETSIZE - 1;
	cpu_set_t allowed;
	int first = 0;

	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)
		return;
	while (!CPU_ISSET(first, &allowed))
		first++;
	while (!CPU_ISSET(last, &allowed))
		last--;
	add_level(levels, first);
	add_level(levels, last);
}

bool space_has(const struct space *space, enum space_key key)
{
	return !space->cluster || !keys[key].of_file;
}

void space_init(struct space *space, const int64_t values[SPACE_KEYS], bool fuses, bool cluster)
{
	size_t key, i;

	memset(space, 0, sizeof *space);
	space->cluster = cluster;
	for (key = 0; key < SPACE_KEYS; key++) {
		struct space_levels *levels = &space->keys[key];
		bool varies = (key != SPACE_FUSE_ROWS || fuses) && space_has(space, key);

		for (i = 0; varies && i < SPACE_LEVELS_MAX - 1 && (i == 0 || keys[key].levels[i] != 0); i++)
			add_level(levels, keys[key].levels[i]);
		if (key == SPACE_WRITER_CPU)
			add_processors(levels);
		levels->base = add_level(levels, values[key]);
	}
}

bool space_varies(const struct space *space, enum space_key key)
{
	return space->keys[key].count > 1;
}

struct space_point space_base(const struct space *space)
{
	struct space_point point;
	size_t key;

	for (key = 0; key < SPACE_KEYS; key++)
		point.levels[key] = (unsigned char)space->keys[key].base;
	return point;
}

int64_t space_at(const struct space *space, const struct space_point *point, enum space_key key)
{
	return space->keys[key].values[point->levels[key]];
}

size_t space_distance(const struct space *space, const struct space_point *point)
{
	size_t changes = 0;
	size_t steps = 0;
	size_t key;

	for (key = 0; key < SPACE_KEYS; key++) {
		size_t base = space->keys[key].base;
		size_t level = point->levels[key];

		changes += level != base;
		steps += level > base ? level - base : base - level;
	}
	return changes * SPACE_KEYS * SPACE_LEVELS_MAX + steps;
}

/* ---- the sample ---- */

/* SplitMix64. */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static struct space_point draw_point(const struct space *space, uint64_t *state)
{
	struct space_point point = space_base(space);
	size_t changes = 1 + draw(state) % SPACE_CHANGES_MAX;

	while (changes-- > 0) {
		size_t key = draw(state) % SPACE_KEYS;
		const struct space_levels *levels = &space->keys[key];
		uint64_t level;

		if (levels->count < 2)
			continue;
		level = draw(state) % (levels->count - 1);
		point.levels[key] = (unsigned char)(level + (level >= levels->base));
	}
	return point;
}

static bool is_among(const struct space_point *point, const struct space_point *points, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (memcmp(point, &points[i], sizeof *point) == 0)
			return true;
	return false;
}

size_t space_sample(const struct space *space, uint64_t seed, struct space_point *points, size_t count)
{
	size_t found = 1;
	int draws = 0;

	points[0] = space_base(space);
	while (found < count && draws++ < DRAWS_MAX) {
		points[found] = draw_point(space, &seed);
		if (!is_among(&points[found], points, found)) {
			found++;
			draws = 0;
		}
	}
	return found;
}

/* ---- configurations ---- */

bool space_config_init(struct space_config *made, const penstock_config *base)
{
	memset(made, 0, sizeof *made);
	made->config = *base;
	made->pragmas = calloc(base->pragma_count + PRAGMAS, sizeof *made->pragmas);
	if (made->pragmas == NULL)
		return false;
	if (base->pragma_count > 0)
		memcpy(made->pragmas + PRAGMAS, base->pragmas, base->pragma_count * sizeof *made->pragmas);
	made->config.pragmas = made->pragmas;
	made->config.pragma_count = base->pragma_count + PRAGMAS;
	return true;
}

void space_config_set(struct space_config *made, const struct space *space, const struct space_point *point)
{
	size_t pragma = 0;
	size_t key;

	for (key = 0; key < SPACE_KEYS; key++) {
		int64_t value = space_at(space, point, key);

		if (!space_has(space, key))
			continue;
		if (keys[key].pragma) {
			space_text(key, value, made->texts[key]);
			made->pragmas[pragma++] = (penstock_pragma)PENSTOCK_PRAGMA(keys[key].name, made->texts[key]);
		} else {
			*field(key, &made->config) = value;
		}
	}
	if (space->cluster)
		made->config.pragma_count = 0;
}

void space_config_free(struct space_config *made)
{
	free(made->pragmas);
}
