/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * final.h - what the rounds of a final say
 *
 * In a round each finalist has one trial, and is compared with the base within the round, so that a disk that becomes
 * slower hits all alike; what counts is the median of the rounds, so that one hiccup does not decide.
 *
 * The noise of such a median is estimated from how far rounds lie from theirs, again by a median.
 */
#ifndef PENSTOCK_TOOL_TUNE_FINAL_H
#define PENSTOCK_TOOL_TUNE_FINAL_H

#include <stdbool.h>
#include <stddef.h>

enum tune_goal { TUNE_THROUGHPUT, TUNE_LATENCY, TUNE_BALANCED };

/* How good it is for the goal, whatever the bound. */
double tune_merit(enum tune_goal goal, double rate, double p99_usec);
/* Whether there is no bound, or the p99 keeps it. */
bool tune_keeps_bound(double bound_usec, double p99_usec);
/* Neither so small that chance may pass for more, nor so large that a tie could give away what matters. */
double tune_noise(double noise);

/* What is known of a candidate. */
struct tune_figure {
	double seconds;
	double rate, p99_usec;
};

#define TUNE_FINALISTS_MAX 4
#define TUNE_ROUNDS_MAX 15

struct tune_final {
	enum tune_goal goal;
	double bound_usec; /* on p99, or 0 */
	struct tune_finalist {
		size_t number; /* of the candidate */
		struct tune_figure rounds[TUNE_ROUNDS_MAX];
	} finalists[TUNE_FINALISTS_MAX]; /* the base first */
	size_t count;
	size_t rounds; /* that each of them has had */
};

/* The median of the rounds, and their ends. */
struct tune_ratio {
	double middle, least, most;
};

struct tune_ratios {
	struct tune_ratio rate, p99;
};

/* What one has by what the other has; 1 by nothing. */
double tune_divide(double one, double other);

/* Nothing when the candidate is there, or there is no room. */
void tune_final_enter(struct tune_final *final, size_t number);
/* The finalist that is this candidate, or count. */
size_t tune_final_find(const struct tune_final *final, size_t number);

/* These want a round. The medians: */
struct tune_figure tune_final_figure(const struct tune_final *final, size_t finalist);
/* By the base's, within each round: */
struct tune_ratios tune_final_ratios(const struct tune_final *final, size_t finalist);
/* The merit by the base's; negative when the bound is not kept, and the nearer to it the better. */
double tune_final_worth(const struct tune_final *final, size_t finalist);
/* The relative difference that worths may show by chance; from three rounds on it says something. */
double tune_final_noise(const struct tune_final *final);

#endif
