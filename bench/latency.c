/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latency.c - how long an outcome takes, down to the slowest: this build, the same without checkpoints, and another build
 *
 * latency/WHO/LEVEL/SHAPE. The shapes:
 *
 *     depth:N  a closed loop, one thread with N in flight
 *     load:P   an open loop at P percent of the capacity of this build, measured before it (rate 0 of drive.c). The time of an outcome
 *              runs from when its submission was due, so that nothing that holds up the producer hides what it missed
 *              ("coordinated omission")
 *
 * WHO is `penstock`; `no_checkpoint`, the same with a wal_bytes_max that the run does not reach, so that what checkpoints cost is seen;
 * and `against`, the driver of another build, if there is one (--against). LEVEL is synchronous; DURABLE is NORMAL with PENSTOCK_ACK_DURABLE.
 *
 * They take turns, round by round, each on a fresh file; ratios are taken within a round. The longest fsync of a round is told beside its
 * longest outcome, because no outcome that is durable can be faster than that.
 */
#include <stdio.h>
#include <string.h>

#include "bench/database.h"
#include "bench/drives.h"
#include "bench/plot.h"

#define ROUNDS 5 /* of what has a target */
#define ROUNDS_FEW 3
#define CAPACITY_ROUNDS 3
#define ROUND_SECONDS 0.7
#define QUICK_SECONDS 0.05

#define TAIL_MAX 3.0         /* p99.9 by that without checkpoints */
#define WORST_MAX_USEC 5000. /* beyond the longest fsync */
#define RATE_MIN 1.4         /* by the other build */

enum { THIS, NO_CHECKPOINT, AGAINST, WHO };

static const char *const whos[WHO] = { "penstock", "no_checkpoint", "against" };

struct bench_level {
	const char *name;
	const char *key;
	bool durable;
	double capacity; /* rows a second; 0: not known yet */
};

/* The figures of one of them, round by round. */
struct bench_latencies {
	double rate[ROUNDS], p50[ROUNDS], p99[ROUNDS], p999[ROUNDS], worst[ROUNDS];
	double sync[ROUNDS], late[ROUNDS];
};

struct bench_shape {
	struct bench_level *level;
	const char *load;
	unsigned number;
	bool has_target;
	/* The comparison: measured by whichever of its cases runs first. */
	bool measured;
	unsigned repetition;
	unsigned rounds;
	struct bench_latencies of[WHO];
};

struct bench_latency {
	struct bench_shape *shape;
	unsigned who;
};

static double bench_seconds(void)
{
	return bench_quick ? QUICK_SECONDS : ROUND_SECONDS;
}

static bool bench_drive_level(struct bench_case *self, const struct bench_level *level, unsigned who, const char *load,
                              uint64_t number, struct bench_driven *driven)
{
	const char *keys[] = { level->key, who == NO_CHECKPOINT ? "wal_bytes_max=1t" : NULL, NULL };
	struct bench_drive drive = { .program = who == AGAINST ? bench_against : NULL,
		                     .durable = level->durable,
		                     .seconds = bench_seconds(),
		                     .load = load,
		                     .number = number,
		                     .keys = keys };

	return bench_drive(self, &drive, driven);
}

static bool bench_find_capacity(struct bench_case *self, struct bench_level *level)
{
	double rates[CAPACITY_ROUNDS];

	for (unsigned r = 0; r < CAPACITY_ROUNDS; r++) {
		struct bench_driven driven;

		if (!bench_drive_level(self, level, THIS, "rate", 0, &driven))
			return false;
		rates[r] = driven.rows / driven.seconds;
	}
	level->capacity = bench_spread_of(rates, CAPACITY_ROUNDS).median;
	return true;
}

/* ---- the targets ---- */

static void bench_judge_one(const struct bench_shape *shape, const char *what, double *values, struct bench_target target)
{
	snprintf(target.what, sizeof target.what,
	         strcmp(shape->load, "rate") == 0 ? "%s, at %u %% of capacity: %s" : "%s, %u in flight: %s", shape->level->name,
	         shape->number, what);
	target.figure = bench_spread_of(values, shape->rounds);
	bench_judge(&target);
}

static void bench_judge_shape(const struct bench_shape *shape)
{
	const struct bench_latencies *own = &shape->of[THIS];
	double tail[ROUNDS], worst[ROUNDS], rate[ROUNDS];

	for (unsigned r = 0; r < shape->rounds; r++) {
		tail[r] = own->p999[r] / shape->of[NO_CHECKPOINT].p999[r];
		worst[r] = (own->worst[r] - own->sync[r]) / 1e3;
		rate[r] = own->rate[r] / shape->of[AGAINST].rate[r];
	}
	if (!shape->level->durable) {
		bench_judge_one(
			shape, "p99.9 by that without checkpoints", tail,
			(struct bench_target){
				.line = BENCH_LINE_TAIL, .limit = TAIL_MAX, .at_most = true, .unit = " x", .decimals = 2 });
		bench_judge_one(shape, "worst less the longest fsync", worst,
		                (struct bench_target){
					.line = BENCH_LINE_TAIL, .limit = WORST_MAX_USEC, .at_most = true, .unit = " us" });
	}
	if (bench_against != NULL && strcmp(shape->load, "depth") == 0)
		bench_judge_one(
			shape, "rate by the other build", rate,
			(struct bench_target){ .line = BENCH_LINE_IN_FLIGHT, .limit = RATE_MIN, .unit = " x", .decimals = 2 });
}

/* ---- a comparison ---- */

static bool bench_measure_round(struct bench_case *self, struct bench_shape *shape, uint64_t number, unsigned round)
{
	for (unsigned i = 0; i < WHO; i++) {
		unsigned who = (i + round) % WHO;
		struct bench_latencies *of = &shape->of[who];
		struct bench_driven driven;

		if (who == AGAINST && bench_against == NULL)
			continue;
		if (!bench_drive_level(self, shape->level, who, shape->load, number, &driven))
			return false;
		of->rate[round] = driven.rows / driven.seconds;
		of->p50[round] = driven.p50;
		of->p99[round] = driven.p99;
		of->p999[round] = driven.p999;
		of->worst[round] = driven.worst;
		of->sync[round] = driven.longest_sync;
		of->late[round] = driven.late_p99;
	}
	return true;
}

static bool bench_measure_shape(struct bench_case *self, struct bench_shape *shape)
{
	bool open = strcmp(shape->load, "rate") == 0;

	if (open && shape->level->capacity == 0 && !bench_find_capacity(self, shape->level))
		return false;
	shape->rounds = bench_rounds(shape->has_target ? ROUNDS : ROUNDS_FEW);
	for (unsigned r = 0; r < shape->rounds; r++) {
		uint64_t number = shape->number;

		if (open)
			number = (uint64_t)(shape->level->capacity * shape->number / 100) + 1;
		if (!bench_measure_round(self, shape, number, r))
			return false;
	}
	shape->measured = true;
	shape->repetition = self->repetition;
	if (shape->has_target)
		bench_judge_shape(shape);
	return true;
}

/* In us, and a point in the plot. */
static void bench_say_percentile(struct bench_case *self, const struct bench_shape *shape, const char *who, const char *name,
                                 double fraction, const double *values)
{
	double copy[ROUNDS];
	struct bench_spread spread;
	char family[80];

	memcpy(copy, values, sizeof copy);
	spread = bench_spread_of(copy, shape->rounds);
	bench_say_spread(self, name, bench_spread_by(spread, 1e3));
	if (fraction == 0)
		return;
	snprintf(family, sizeof family, "latency/%s/%s:%u", shape->level->name,
	         strcmp(shape->load, "rate") == 0 ? "load" : "depth", shape->number);
	bench_plot_point(family, who, fraction, spread);
}

static void bench_run_latency(struct bench_case *self)
{
	const struct bench_latency *latency = self->what;
	struct bench_shape *shape = latency->shape;
	const struct bench_latencies *of = &shape->of[latency->who];
	const char *who = whos[latency->who];
	double rate[ROUNDS];

	if ((!shape->measured || shape->repetition != self->repetition) && !bench_measure_shape(self, shape))
		return;
	memcpy(rate, of->rate, sizeof rate);
	bench_say_rate(self, bench_spread_of(rate, shape->rounds));
	bench_say_percentile(self, shape, who, "p50_us", 0.50, of->p50);
	bench_say_percentile(self, shape, who, "p99_us", 0.99, of->p99);
	bench_say_percentile(self, shape, who, "p99.9_us", 0.999, of->p999);
	bench_say_percentile(self, shape, who, "worst_us", 0, of->worst);
	bench_say_percentile(self, shape, who, "longest_fsync_us", 0, of->sync);
	if (strcmp(shape->load, "rate") != 0)
		return;
	bench_say(self, "capacity", shape->level->capacity);
	bench_say_percentile(self, shape, who, "late_p99_us", 0, of->late);
}

/* ---- which there are ---- */

static void bench_add_shape(struct bench_shape *shape)
{
	static struct bench_latency all[64];
	static size_t count;

	for (unsigned who = 0; who < WHO; who++) {
		struct bench_case each = { .run = bench_run_latency, .what = &all[count] };

		if (who == AGAINST && bench_against == NULL)
			continue;
		each.has_target = shape->has_target && who == THIS;
		each.line = shape->level->durable ? BENCH_LINE_IN_FLIGHT : BENCH_LINE_TAIL;
		all[count++] = (struct bench_latency){ shape, who };
		snprintf(each.name, sizeof each.name, "latency/%s/%s/%s:%u", whos[who], shape->level->name,
		         strcmp(shape->load, "rate") == 0 ? "load" : "depth", shape->number);
		bench_add(&each);
	}
}

void bench_add_latency(void)
{
	static struct bench_level levels[] = { { "NORMAL", "synchronous=normal", false, 0 },
		                               { "FULL", "synchronous=full", false, 0 },
		                               { "DURABLE", "synchronous=normal", true, 0 } };
	static const unsigned depths[] = { 1, 64, 1000, 4000 }, loads[] = { 50, 80 };
	static struct bench_shape shapes[3 * 6];
	struct bench_shape *shape = shapes;

	for (size_t l = 0; l < 3; l++) {
		for (size_t d = 0; d < 4; d++, shape++) {
			*shape = (struct bench_shape){ .level = &levels[l], .load = "depth", .number = depths[d] };
			shape->has_target = depths[d] == 1000;
			bench_add_shape(shape);
		}
		for (size_t p = 0; p < 2; p++, shape++) {
			*shape = (struct bench_shape){ .level = &levels[l], .load = "rate", .number = loads[p] };
			shape->has_target = loads[p] == 50 && !levels[l].durable;
			bench_add_shape(shape);
		}
	}
}
