/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h - cases, figures and targets
 *
 * A case is one comparison: it runs everything it compares itself, turn by turn within one stretch of time, since on a
 * shared machine only ratios between neighbours mean anything. google-benchmark selects the cases (--benchmark_filter),
 * runs each once and prints what it found; the statistics (medians with the smallest and the largest round) are made
 * here.
 *
 * Several cases may show parts of one comparison (ring/penstock/producers:8 and ring/mutex/producers:8): whichever runs
 * first measures, the others show what is known. With --benchmark_repetitions each repetition is a measurement of its
 * own: the case's n-th run shows the n-th. A case that fails says why and counts as missed in the report.
 *
 * A target is a figure with a limit. Cases put them on one list, which main.c prints at the end. Nothing here decides
 * an exit code by a time.
 */
#ifndef PENSTOCK_BENCH_H
#define PENSTOCK_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is aimed at, in the order of the report; a target is a part of one, or of none. The words are in targets.c. */
enum bench_line {
	BENCH_NO_LINE,
	BENCH_LINE_FIRE,
	BENCH_LINE_IN_FLIGHT,
	BENCH_LINE_TAIL,
	BENCH_LINE_MANY,
	BENCH_LINE_ONE,
	BENCH_LINE_VERBS,
	BENCH_LINE_PROCESSES,
	BENCH_LINE_RING,
	BENCH_LINE_WORST,
	BENCH_LINE_INSTEAD,
	BENCH_LINE_SUBMIT,
	BENCH_LINE_IDLE,
	BENCH_LINES
};

struct bench_case {
	char name[64];
	void (*setup)(struct bench_case *self);    /* or NULL; not in the time of anything */
	void (*run)(struct bench_case *self);      /* measures, and says what with the calls below */
	void (*teardown)(struct bench_case *self); /* or NULL */
	const void *what;                          /* the case's own */
	unsigned number;                           /* likewise */
	bool has_target;                           /* the report needs it */
	enum bench_line line;                      /* which one misses it when the case fails */
	bool extra;                                /* not run without a filter */
	unsigned repetition;                       /* from 0; counted by shim.cc */
	void *state;                               /* google-benchmark's, while the case runs */
};

extern bool bench_quick;
extern bool bench_only_targets; /* --targets: what is only for reference is left out */

/* How many rounds: `full` of them, fewer in quick mode. */
unsigned bench_rounds(unsigned full);
/* A size (rows, samples), a fraction of it in quick mode. */
uint64_t bench_amount(uint64_t full);

/* Adds a case; the struct is copied. */
void bench_add(const struct bench_case *each);
void bench_add_ring(void);
void bench_add_think(void);
void bench_add_stalled(void);
void bench_add_submit(void);
void bench_add_rows(void);
void bench_add_pingpong(void);
void bench_add_inflight(void);
void bench_add_together(void);
void bench_add_latency(void);
void bench_add_processes(void);
void bench_add_turns(void);
void bench_add_instead(void);
void bench_add_burst(void);
void bench_add_full(void);
void bench_add_verbs(void);
void bench_add_idle(void);
/* What a child process of bench_add_idle's cases does; the exit code. */
int bench_idle_child(const char *what);

/* ---- figures ---- */

struct bench_spread {
	double median;
	double min;
	double max;
	size_t count;
};

/* Sorts the values. */
struct bench_spread bench_spread_of(double *values, size_t count);
/* In units of `unit`. */
struct bench_spread bench_spread_by(struct bench_spread spread, double unit);
/* Of sorted values. */
double bench_quantile(const double *sorted, size_t count, double fraction);
void bench_sort(double *values, size_t count);

/* ---- what a running case says ---- */

/* The time column: of one operation, if the case has such a thing. */
void bench_say_seconds(struct bench_case *self, double seconds);
/* Operations a second: items_per_second, with _min and _max, and the time column from it. Every throughput case's. */
void bench_say_rate(struct bench_case *self, struct bench_spread rate);
void bench_say(struct bench_case *self, const char *name, double value);
/* NAME, NAME_min, NAME_max. */
void bench_say_spread(struct bench_case *self, const char *name, struct bench_spread spread);
/* The case is of something that is not installed here: named, and no failure. */
void bench_leave_out(struct bench_case *self, const char *reason);
/* The case could not be measured. */
void bench_fail(struct bench_case *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of the report. `figure` should be at least (or, with at_most, at most) `limit`; decimals shows that many
 * places. */
struct bench_target {
	char what[80];
	struct bench_spread figure;
	double limit;
	bool at_most;
	const char *unit;
	int decimals;
	bool failed; /* it could not be measured */
	enum bench_line line;
};

void bench_judge(const struct bench_target *target);
void bench_judge_failed(const char *what, enum bench_line line);
void bench_print_targets(FILE *file);

/* The list, NULL behind its last. */
const struct bench_target *bench_target_at(size_t index);
bool bench_target_met(const struct bench_target *target);

#define BENCH_CELL_BYTES 80

/* A target in words. */
struct bench_target_cells {
	char limit[BENCH_CELL_BYTES];
	char median[BENCH_CELL_BYTES];
	char rounds[BENCH_CELL_BYTES];
	char verdict[BENCH_CELL_BYTES];
};

struct bench_target_cells bench_target_cells(const struct bench_target *target);

/* A line, from all targets there are by now. */
struct bench_line_verdict {
	const char *what;
	const char *needs;                  /* or NULL */
	size_t parts;                       /* 0: not measured */
	size_t met;                         /* of them */
	const struct bench_target *hardest; /* nearest to its limit, or farthest beyond it */
};

struct bench_line_cells {
	char verdict[BENCH_CELL_BYTES];
	char parts[BENCH_CELL_BYTES];
	char hardest[5 * BENCH_CELL_BYTES];
};

struct bench_line_verdict bench_line_verdict(enum bench_line line);
struct bench_line_cells bench_line_cells(const struct bench_line_verdict *verdict);
void bench_print_verdicts(FILE *file);

/* How many cases could not be measured. */
size_t bench_failures(void);

/* ---- syncs ---- */

/* Each fsync and fdatasync of this process and of its drivers: ns. */
void bench_note_sync(uint64_t nsec);
uint64_t bench_longest_sync(void);

/* ---- time ---- */

uint64_t bench_nsec(void);
void bench_sleep_nsec(uint64_t nsec);

#ifdef __cplusplus
}
#endif

#endif
