/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trial.h - one measured trial of one configuration
 *
 *     new database -> engine opened -> setup -> | producers -> stop -> drain -> close | -> database removed
 *                                               \________ what is measured __________/
 *
 * The close counts, since it checkpoints what a large WAL has only put off. A workload that ends before the trial does
 * begins again in a new database, as often as it takes; only the measured parts add up.
 *
 * A trial is over soon after its time: when a slow disk and a long ring would make the drain take longer than the trial
 * itself, the figures are those up to then, and the rest is drained with large transactions.
 *
 * Everything runs under the caller's eyes: the main thread watches the signals and draws the progress line. The first
 * signal ends the trial; the next one, and SIGQUIT at once, removes the files and ends the process.
 */
#ifndef PENSTOCK_TOOL_TUNE_TRIAL_H
#define PENSTOCK_TOOL_TUNE_TRIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/penstock.h"
#include "tool/signals.h"
#include "tool/tune/workload.h"

struct tune_measure {
	uint64_t statements;
	double seconds;
	penstock_histogram outcome_nsec;
};

void tune_measure_add(struct tune_measure *into, const struct tune_measure *from);
/* 0 when nothing was measured. */
double tune_measure_rate(const struct tune_measure *measure);
/* Interpolated within the histogram's bucket, so that neighbours can be told apart. */
double tune_measure_p99_usec(const struct tune_measure *measure);

/* What all trials share. */
struct tune_bench {
	const struct workload *workload;
	penstock_ack ack;
	bool wait; /* producers wait for each outcome */
	bool quiet;
	struct signals signals;
	int producers_done; /* eventfd */
	bool interrupted;
	void (*tick)(void *arg); /* now and then; or NULL */
	void *tick_arg;
};

enum tune_end {
	TUNE_GOOD,
	TUNE_INTERRUPTED, /* nothing was measured */
	TUNE_FAILED       /* it has been said why */
};

/* False, with errno. Takes the signals. */
bool tune_bench_init(struct tune_bench *bench);
/* Opens an engine on the scratch database; NULL after saying why not. */
penstock *tune_bench_open(const penstock_config *config);
/*
 * A cluster's scratch table, before the first trial: false after saying why there is none of ours. And its end, when it is ours; says
 * when that goes wrong.
 */
bool tune_bench_make_table(penstock *db);
void tune_bench_drop_table(struct tune_bench *bench, const penstock_config *config);
void tune_bench_close(struct tune_bench *bench, penstock *db);
enum tune_end tune_trial(struct tune_bench *bench, const penstock_config *config, double seconds, struct tune_measure *measure);

/*
 * Runs the workload once, without measuring it or waiting for outcomes, for at most so long: statements that fail are
 * met here, even where no trial would come as far.
 */
enum tune_end tune_check(struct tune_bench *bench, const penstock_config *config, double seconds);

double tune_seconds_since(const struct timespec *began);

#endif
