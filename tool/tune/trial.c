/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tune/trial.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tool/report.h"
#include "tool/tune/files.h"

#define TICK_MSEC 200
#define REPORTS_MAX 5
/* How long a drain may take at least, whatever the trial takes. */
#define PATIENCE 0.5

/* How many seconds a trial without a single outcome is made again. */
#define STANDSTILL_MAX 10.0

struct trial {
	struct tune_bench *bench;
	penstock *db;
	penstock_statement *statement;
	pthread_mutex_t gate; /* held until all producers are there */
	atomic_size_t producing;
	pthread_t *threads;
	struct timespec began;
	bool hurried;       /* drains with large transactions */
	char failure[1024]; /* why the engine failed, or "" */
};

/* A producer's share: items or rows first, first + step, ... */
struct share {
	struct trial *trial;
	const struct workload_part *part; /* NULL: rows */
	size_t first, step;
};

/*
 * What the outcomes of the trial under way came to. A submission's argument is its place in the workload, and there is
 * one trial at a time.
 */
static atomic_bool stopping;
static atomic_uint failures;
static atomic_bool disk_failed;

/* Whether the cluster's scratch table is ours. */
static bool has_table;

double tune_seconds_since(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* ---- measures ---- */

static void add_histogram(penstock_histogram *into, const penstock_histogram *from, const penstock_histogram *less)
{
	size_t i;

	into->count += from->count - less->count;
	into->sum += from->sum - less->sum;
	if (from->max > into->max)
		into->max = from->max;
	for (i = 0; i < PENSTOCK_HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i] - less->buckets[i];
}

void tune_measure_add(struct tune_measure *into, const struct tune_measure *from)
{
	static const penstock_histogram nothing;

	into->statements += from->statements;
	into->seconds += from->seconds;
	add_histogram(&into->outcome_nsec, &from->outcome_nsec, &nothing);
}

double tune_measure_rate(const struct tune_measure *measure)
{
	return measure->seconds > 0 ? (double)measure->statements / measure->seconds : 0.0;
}

double tune_measure_p99_usec(const struct tune_measure *measure)
{
	const penstock_histogram *histogram = &measure->outcome_nsec;
	double rank = (double)histogram->count * 0.99;
	double before = 0;
	size_t i;

	for (i = 0; i + 1 < PENSTOCK_HISTOGRAM_BUCKETS; i++) {
		double here = (double)histogram->buckets[i];

		if (here > 0 && before + here >= rank) {
			double floor = (double)penstock_histogram_floor(i);
			double width = (double)penstock_histogram_floor(i + 1) - floor;

			return (floor + width * (rank - before) / here) / 1e3;
		}
		before += here;
	}
	/* No outcome was timed: all that is known is that it took longer than the trial. */
	return histogram->count > 0 ? (double)histogram->max / 1e3 : measure->seconds * 1e6;
}

/* ---- producers ---- */

static void on_outcome(void *arg, const penstock_result *result)
{
	(void)arg;
	if (result->status == PENSTOCK_OK)
		return;
	atomic_store(&stopping, true);
	if (result->status != PENSTOCK_ERROR)
		return; /* the engine failed, and tells why */
	if (result->code == SQLITE_FULL || result->code == SQLITE_IOERR)
		atomic_store(&disk_failed, true);
	else if (atomic_fetch_add(&failures, 1) < REPORTS_MAX)
		report_outcome(result);
}

static bool submit(struct trial *trial, penstock_submission *submission)
{
	penstock_handle *handle = NULL;
	int status;

	submission->struct_size = sizeof *submission;
	submission->ack = trial->bench->ack;
	if (trial->bench->wait) {
		status = penstock_execute(trial->db, submission, PENSTOCK_FOREVER, &handle);
		if (handle != NULL)
			on_outcome(NULL, penstock_handle_result(handle));
		penstock_handle_release(handle);
		if (status <= PENSTOCK_UNKNOWN)
			return status == PENSTOCK_OK;
	} else {
		submission->on_complete = submission->ack == PENSTOCK_ACK_NONE ? NULL : on_outcome;
		status = penstock_submit(trial->db, submission, PENSTOCK_FOREVER, NULL);
		if (status == PENSTOCK_OK)
			return true;
	}
	atomic_store(&stopping, true);
	if (status != PENSTOCK_FAILED && status != PENSTOCK_STOPPED && atomic_fetch_add(&failures, 1) < REPORTS_MAX)
		report_refusal(submission->arg, status);
	return false;
}

static bool submit_item(struct trial *trial, const struct workload_part *part, const struct workload_item *item, bool is_text)
{
	penstock_submission submission = { .arg = place_pack(part->input, item->line) };

	if (is_text) {
		submission.sql = item->data;
		submission.sql_bytes = (int64_t)item->count;
	} else {
		submission.statement = trial->statement;
		submission.values = item->data;
		submission.value_count = item->count;
	}
	return submit(trial, &submission);
}

static bool submit_row(struct trial *trial, uint64_t row)
{
	penstock_value values[WORKLOAD_ROW_VALUES];
	char text[WORKLOAD_ROW_TEXT + 1];
	penstock_submission submission = {
		.statement = trial->statement,
		.values = values,
		.value_count = WORKLOAD_ROW_VALUES,
		.arg = place_pack(WORKLOAD_ROWS_INPUT, row),
	};

	workload_row(row, values, text);
	return submit(trial, &submission);
}

static void *produce(void *arg)
{
	struct share *share = arg;
	struct trial *trial = share->trial;
	bool is_text = trial->statement == NULL;
	size_t i;

	pthread_mutex_lock(&trial->gate);
	pthread_mutex_unlock(&trial->gate);
	for (i = share->first; !atomic_load_explicit(&stopping, memory_order_relaxed); i += share->step) {
		if (share->part == NULL) {
			if (!submit_row(trial, i))
				break;
		} else if (i >= share->part->count || !submit_item(trial, share->part, &share->part->items[i], is_text)) {
			break;
		}
	}
	free(share);
	if (atomic_fetch_sub(&trial->producing, 1) == 1)
		eventfd_write(trial->bench->producers_done, 1);
	return NULL;
}

static bool start_producer(struct trial *trial, size_t number)
{
	const struct workload *workload = trial->bench->workload;
	struct share *share = malloc(sizeof *share);
	int reason = ENOMEM;

	if (share != NULL) {
		bool shared = workload->endless || workload->statement != NULL;

		share->trial = trial;
		share->part = workload->endless ? NULL : &workload->parts[shared ? 0 : number];
		share->first = shared ? number : 0;
		share->step = shared ? workload->producers : 1;
		reason = pthread_create(&trial->threads[number], NULL, produce, share);
	}
	if (reason == 0)
		return true;
	free(share);
	report_say("cannot start producer %zu: %s; use fewer --threads or files", number + 1, strerror(reason));
	return false;
}

/* All of them, or none that submits anything. */
static bool start_producers(struct trial *trial, size_t *started)
{
	size_t count = trial->bench->workload->producers;

	*started = 0;
	trial->threads = calloc(count, sizeof *trial->threads);
	if (trial->threads == NULL) {
		report_say("out of memory for %zu producers", count);
		return false;
	}
	pthread_mutex_lock(&trial->gate);
	while (*started < count && start_producer(trial, *started))
		++*started;
	if (*started < count)
		atomic_store(&stopping, true);
	atomic_store(&trial->producing, *started);
	clock_gettime(CLOCK_MONOTONIC, &trial->began);
	pthread_mutex_unlock(&trial->gate);
	return *started == count;
}

/* ---- the main thread ---- */

bool tune_bench_init(struct tune_bench *bench)
{
	bench->producers_done = eventfd(0, EFD_CLOEXEC);
	return bench->producers_done >= 0 && signals_take(&bench->signals, SIGQUIT);
}

/* Sleeps so long, or until all producers have ended, or a signal came. True when the producers have. */
static bool tick(struct tune_bench *bench, int milliseconds)
{
	struct pollfd ends[2] = {
		{ .fd = bench->producers_done, .events = POLLIN },
		{ .fd = bench->signals.descriptor, .events = POLLIN },
	};
	int number;

	poll(ends, 2, milliseconds);
	number = ends[1].revents != 0 ? signals_next(&bench->signals) : 0;
	if (number == SIGQUIT || (number != 0 && bench->interrupted)) {
		tune_files_remove();
		signals_release(&bench->signals);
		raise(number);
	} else if (number != 0) {
		bench->interrupted = true;
		if (!bench->quiet)
			report_say("SIG%s: taking the best so far; once more ends at once", sigabbrev_np(number));
	}
	if (bench->tick != NULL)
		bench->tick(bench->tick_arg);
	return ends[0].revents != 0;
}

/* After a failed open or a failed engine: what the user can do about it. */
static void say_disk(const char *reason)
{
	if (tune_files_disk_full())
		report_say(
			"the disk of the scratch database '%s' is full: %s; free some space, or name a folder on another disk",
			tune_files_database(), reason);
	else
		report_say("the %s '%s' cannot be used: %s", tune_files_are_cluster() ? "cluster" : "scratch database",
		           tune_files_database(), reason);
}

penstock *tune_bench_open(const penstock_config *config)
{
	penstock_config ours = *config;
	penstock *db = NULL;
	int status;

	/* A file meant for a program may want these otherwise, but here they decide nothing but whether we can measure. */
	ours.autostart = 1;
	ours.when_full = PENSTOCK_WHEN_FULL_BLOCK;
	ours.on_error = on_outcome;
	status = penstock_open(tune_files_database(), &ours, &db);
	if (status == PENSTOCK_OK)
		return db;
	if (status == PENSTOCK_CONFIG)
		report_say("%s", penstock_error_message());
	else
		say_disk(penstock_error_message());
	tune_files_clear();
	return NULL;
}

bool tune_bench_make_table(penstock *db)
{
	penstock_submission create = { .struct_size = sizeof create, .sql = WORKLOAD_TABLE_MAKE, .sql_bytes = -1 };

	has_table = penstock_execute(db, &create, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK;
	if (!has_table)
		report_say("the table " WORKLOAD_TABLE
		           " cannot be made: %s; it is dropped at the end, so if it is there, another "
		           "tuning is under way or was killed: then drop it",
		           penstock_error_message());
	return has_table;
}

void tune_bench_drop_table(struct tune_bench *bench, const penstock_config *config)
{
	penstock_submission drop = { .struct_size = sizeof drop, .sql = WORKLOAD_TABLE_DROP, .sql_bytes = -1 };
	penstock *db = has_table ? tune_bench_open(config) : NULL;

	if (db == NULL)
		return;
	if (penstock_execute(db, &drop, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
		report_say("the table " WORKLOAD_TABLE " is left in the cluster: %s", penstock_error_message());
	tune_bench_close(bench, db);
}

void tune_bench_close(struct tune_bench *bench, penstock *db)
{
	while (penstock_close(db, TICK_MSEC * 1000) == PENSTOCK_TIMEOUT)
		tick(bench, 0);
}

/* From now on as fast as it goes: for what is not measured any more. */
static void hurry(struct trial *trial)
{
	penstock_config fast;

	penstock_config_init(&fast);
	fast.batch_max = 1 << 20;
	fast.batch_bytes = INT64_C(1) << 30;
	fast.batch_usec = 0;
	fast.linger_usec = 0;
	if (!trial->hurried)
		penstock_reconfigure(trial->db, &fast);
	trial->hurried = true;
}

static void snapshot(const struct trial *trial, penstock_counters *counters)
{
	counters->struct_size = sizeof *counters;
	penstock_counters_read(trial->db, counters);
}

static bool goes_on(const struct trial *trial)
{
	return !trial->bench->interrupted && !atomic_load(&stopping);
}

static bool set_up(struct trial *trial)
{
	const struct workload_part *setup = &trial->bench->workload->setup;
	size_t i;

	for (i = 0; i < setup->count && goes_on(trial); i++) {
		if (i % 1024 == 0)
			tick(trial->bench, 0);
		if (!submit_item(trial, setup, &setup->items[i], true))
			break;
	}
	while (penstock_flush(trial->db, TICK_MSEC * 1000) == PENSTOCK_TIMEOUT)
		tick(trial->bench, 0);
	return goes_on(trial);
}

/*
 * Until the producers have ended and everything has its outcome. True when that was soon enough to be measured; else the
 * counters and the time are those of the moment when patience ended.
 */
static bool drain(struct trial *trial, double deadline, penstock_counters *counters, double *seconds)
{
	bool ended = false;
	bool in_time = true;

	do {
		if (trial->bench->interrupted) {
			hurry(trial);
		} else if (in_time && tune_seconds_since(&trial->began) > deadline) {
			snapshot(trial, counters);
			*seconds = tune_seconds_since(&trial->began);
			in_time = false;
			hurry(trial);
		}
		/* Not before they have all ended: later submissions are not waited for. */
		if (!ended)
			ended = tick(trial->bench, TICK_MSEC / 4);
		else
			tick(trial->bench, 0);
	} while (!ended || penstock_flush(trial->db, TICK_MSEC * 1000 / 4) == PENSTOCK_TIMEOUT);
	if (in_time)
		snapshot(trial, counters);
	return in_time;
}

/* With the closing of the engine. False when it was for nothing. */
static bool measure_producers(struct trial *trial, double seconds, struct tune_measure *measure)
{
	struct tune_bench *bench = trial->bench;
	penstock_counters before, after;
	double passed = 0, left;
	bool good, in_time = true;
	size_t started, i;
	eventfd_t ended;

	snapshot(trial, &before);
	good = start_producers(trial, &started);
	while (good && goes_on(trial) && (left = seconds - tune_seconds_since(&trial->began)) > 0)
		if (tick(bench, left > TICK_MSEC / 1e3 ? TICK_MSEC : (int)(left * 1e3) + 1))
			break;
	atomic_store(&stopping, true);
	if (started > 0) {
		in_time = drain(trial, seconds * 2 > PATIENCE ? seconds * 2 : PATIENCE, &after, &passed);
		eventfd_read(bench->producers_done, &ended);
	}
	for (i = 0; i < started; i++)
		pthread_join(trial->threads[i], NULL);
	free(trial->threads);
	penstock_failure(trial->db, trial->failure, sizeof trial->failure);
	tune_bench_close(bench, trial->db);
	trial->db = NULL;
	if (!good)
		return false;
	measure->statements += after.committed - before.committed;
	add_histogram(&measure->outcome_nsec, &after.outcome_nsec, &before.outcome_nsec);
	measure->seconds += in_time ? tune_seconds_since(&trial->began) : passed;
	return true;
}

/* Says what went wrong, if anything did. */
static enum tune_end judge(const struct trial *trial, bool good)
{
	if (trial->failure[0] != '\0' || atomic_load(&disk_failed)) {
		say_disk(trial->failure[0] != '\0' ? trial->failure : "SQLite could not write it");
		return TUNE_FAILED;
	}
	if (atomic_load(&failures) > 0) {
		report_say("the workload cannot be measured: its statements must succeed in an empty database, or one that "
		           "--setup has filled");
		return TUNE_FAILED;
	}
	if (trial->bench->interrupted)
		return TUNE_INTERRUPTED;
	return good ? TUNE_GOOD : TUNE_FAILED;
}

/* Once through a new database. */
static enum tune_end run_once(struct tune_bench *bench, const penstock_config *config, double seconds,
                              struct tune_measure *measure)
{
	struct trial trial = { .bench = bench, .gate = PTHREAD_MUTEX_INITIALIZER };
	const char *statement = bench->workload->statement;
	enum tune_end end;
	bool good = true;

	atomic_store(&stopping, false);
	trial.db = tune_bench_open(config);
	if (trial.db == NULL)
		return TUNE_FAILED;
	if (statement != NULL && penstock_statement_register(trial.db, statement, -1, &trial.statement) != PENSTOCK_OK) {
		report_say("--sql: %s", penstock_error_message());
		good = false;
	}
	good = good && set_up(&trial) && measure_producers(&trial, seconds, measure);
	if (trial.db != NULL) {
		penstock_failure(trial.db, trial.failure, sizeof trial.failure);
		tune_bench_close(bench, trial.db);
	}
	/* While the database still takes its room on the disk. */
	end = judge(&trial, good);
	tune_files_clear();
	return end;
}

/* The second limit is for workloads whose setup takes longer than they do. */
static bool is_short(const struct tune_measure *measure, double seconds, double passed)
{
	if (measure->statements == 0)
		return measure->seconds == 0 || passed < STANDSTILL_MAX;
	return measure->seconds < seconds && passed < 2 * seconds;
}

enum tune_end tune_trial(struct tune_bench *bench, const penstock_config *config, double seconds, struct tune_measure *measure)
{
	enum tune_end end = bench->interrupted ? TUNE_INTERRUPTED : TUNE_GOOD;
	struct timespec began;

	memset(measure, 0, sizeof *measure);
	clock_gettime(CLOCK_MONOTONIC, &began);
	while (end == TUNE_GOOD && is_short(measure, seconds, tune_seconds_since(&began))) {
		/* Nothing had an outcome: the machine stood still, which says nothing of the configuration. */
		if (measure->statements == 0)
			memset(measure, 0, sizeof *measure);
		end = run_once(bench, config, seconds - measure->seconds, measure);
	}
	return end;
}

enum tune_end tune_check(struct tune_bench *bench, const penstock_config *config, double seconds)
{
	bool wait = bench->wait;
	struct tune_measure measure = { 0 };
	enum tune_end end;

	bench->wait = false;
	end = run_once(bench, config, seconds, &measure);
	bench->wait = wait;
	return end;
}
