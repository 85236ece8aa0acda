/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * search.h - which configuration, within a budget of time
 *
 *     check of the workload, sample
 *     -> halving: rungs of trials, the better half goes on, for about twice as long   (50 % of the budget)
 *     -> contender: within the noise of the best, the one nearest to the base
 *     -> putting back: each key that it changes by itself to the base's value         (20 %)
 *     -> final: base, contender and the best of the halving, in rounds                (30 %)
 *
 * This is successive halving (Jamieson and Talwalkar, 2016), with the base in every rung. How good a measure is
 * depends on the goal: throughput is rows/s; latency is 1 / p99; balanced is rows/s / p99, which is Kleinrock's
 * power. A measure that misses the bound on p99 is worse than any that keeps it, and the nearer to the bound the
 * better.
 *
 * Of the finalists within the noise of the best one by the medians of the rounds (final.h), the nearest to the
 * base is chosen, which is the base itself unless the best is better than it by more than noise.
 *
 * The noise of the halving is twice the relative standard deviation of the base's trials, of which there are two in
 * every rung, brought to the trial's length; that of the final, twice the deviation of a median of its rounds. It
 * counts as 3 % at least, and as 10 % at most, also when it is not known, so that no tie gives away more than that.
 *
 *   1. The choice is never worse than the base by the final, which comes last; what is not better than the base by
 *      more than noise gives way to it.
 *   2. A key differs from the base in the choice only if putting it back made the contender worse by more than noise,
 *      or there was no time to try; or if the contender was worse by more than noise than a finalist with more
 *      changes.
 *   3. An interruption, or the end of the budget, leaves the best of what was measured until then; at the least the
 *      base.
 *
 * What is measured is a disk at this hour: trials of one rung are one after the other, so a disk that changes within
 * a rung misleads it. The later rungs and the final are there for that.
 */
#ifndef PENSTOCK_TOOL_TUNE_SEARCH_H
#define PENSTOCK_TOOL_TUNE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tool/tune/final.h"
#include "tool/tune/space.h"
#include "tool/tune/trial.h"

struct tune_candidate {
	struct space_point point;
	bool sampled;                /* else made by putting keys back */
	struct tune_measure measure; /* of all its trials */
	double quality;              /* of the measure when it was last ranked: the same rungs for all in a rung */
	bool pareto;                 /* no other one has as many rows/s and as low a p99, and more of one */
};

/* Why a key has its value. */
enum tune_why {
	TUNE_WHY_BASE,      /* no other value was in the best */
	TUNE_WHY_NO_GAIN,   /* another one was, but the base's does as well */
	TUNE_WHY_GAIN,      /* the base's made it worse */
	TUNE_WHY_TOGETHER,  /* the base's does as well by itself, but not together with those of other keys */
	TUNE_WHY_UNCHECKED, /* another one was in the best, and there was no time for more */
};

struct tune_reason {
	enum tune_why why;
	int64_t tried;    /* NO_GAIN: the other value */
	double rate, p99; /* GAIN: with the base's value, as a part of what it is with this one */
};

#define TUNE_NOISE_SAMPLES 32

struct tune_search {
	/* Set by the caller. */
	struct tune_bench *bench;
	const struct space *space;
	const penstock_config *base;
	enum tune_goal goal;
	double bound_usec; /* on p99, or 0 */
	double budget;     /* seconds */
	uint64_t seed;
	bool drawing; /* a progress line */

	/* Found. Candidate 0 is the base. */
	struct tune_candidate *candidates;
	size_t count;
	size_t sampled; /* the first ones */
	size_t chosen;
	struct tune_reason reasons[SPACE_KEYS];
	double noise; /* of what the choice rests on */
	struct tune_final final;
	size_t best_other; /* finalist: the best of those that are not the base */
	double seconds;

	/* Its own. */
	struct space_config config;
	struct timespec began;
	size_t *ranking; /* of the last rung, best first */
	size_t ranked;
	size_t contender;
	double shortest; /* trial of the halving */
	double longest;
	double overhead; /* seconds of a trial that are not measured */
	double base_merit[TUNE_NOISE_SAMPLES], base_seconds[TUNE_NOISE_SAMPLES];
	size_t base_trials;
	const char *phase;
	size_t step, steps;
};

/*
 * GOOD and INTERRUPTED: there is a choice. FAILED: it has been said why. Free in any case; zero what is to be found.
 */
enum tune_end tune_search(struct tune_search *search);
void tune_search_free(struct tune_search *search);
struct tune_figure tune_measure_figure(const struct tune_measure *measure);
/* Of a finalist the medians of its rounds; else of all its trials. */
struct tune_figure tune_search_figure(const struct tune_search *search, size_t number);

#endif
