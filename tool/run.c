/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tool/arguments.h"
#include "tool/producer.h"
#include "tool/report.h"
#include "tool/signals.h"
#include "tool/source.h"
#include "tool/summary.h"

/* Five times a second. */
#define TICK_MSEC 200

struct run {
	struct arguments arguments;
	struct source *sources;  /* input_count of them, all open while we run */
	struct records *records; /* as many for CSV, else NULL */
	penstock *db;
	const penstock_statement *statement;

	pthread_t *threads;
	size_t thread_count;
	pthread_barrier_t barrier; /* between two inputs, unless they are read in parallel */
	pthread_mutex_t gate;      /* held until all threads are there */
	atomic_size_t producing;   /* threads that have not ended */
	int all_done;              /* eventfd, raised by the last of them */

	struct signals signals; /* that end the reading */
	struct timespec began;
	bool drawing; /* the progress line */
	double drawn; /* when, in seconds since we began */
	bool interrupted;
};

/* What a producer thread gets, and frees. */
struct job {
	struct run *run;
	struct producer producer;
};

static double seconds_since(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* ---- before the first write ---- */

static bool open_sources(struct run *run)
{
	size_t count = run->arguments.input_count;
	bool good = true;
	size_t i;

	run->sources = calloc(count, sizeof *run->sources);
	run->threads = calloc((run->arguments.parallel ? count : 1) * run->arguments.common.threads, sizeof *run->threads);
	if (run->sources == NULL || run->threads == NULL) {
		report_say("out of memory for %zu files", count);
		return false;
	}
	report_init(run->sources);
	for (i = 0; i < count; i++)
		if (!source_open(&run->sources[i], run->arguments.inputs[i])) {
			report_say("cannot read '%s': %s; nothing was run", run->arguments.inputs[i],
			           source_error(&run->sources[i]));
			good = false;
		}
	return good;
}

static bool open_records(struct run *run)
{
	size_t count = run->arguments.input_count;
	size_t i;

	if (run->arguments.sql == NULL)
		return true;
	run->records = calloc(count, sizeof *run->records);
	if (run->records == NULL) {
		report_say("out of memory for %zu CSV files", count);
		return false;
	}
	for (i = 0; i < count; i++)
		records_init(&run->records[i], &run->sources[i]);
	return true;
}

static void say_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	const struct run *run = arg;

	/*
	 * Errors are said where they are met: from a call's status, or from penstock_failure at the end. And what is
	 * true of every run on this machine would drown what is true of this one: --version tells it.
	 */
	if (level == PENSTOCK_LOG_WARNING && !run->arguments.common.quiet && event != PENSTOCK_EVENT_WAL_RESET_BUG)
		report_say("warning: %s", message);
}

static bool open_engine(struct run *run)
{
	penstock_config *config = &run->arguments.common.config;
	penstock_statement *statement = NULL;
	int status;

	config->on_error = producer_outcome;
	config->log = say_log;
	config->log_arg = run;
	status = penstock_open(run->arguments.database, config, &run->db);
	/* autostart may be off, by a file meant for another program. */
	if (status == PENSTOCK_OK)
		status = penstock_start(run->db, PENSTOCK_FOREVER);
	if (status == PENSTOCK_OK && run->arguments.sql != NULL)
		status = penstock_statement_register(run->db, run->arguments.sql, -1, &statement);
	run->statement = statement;
	if (status != PENSTOCK_OK)
		report_say("%s", penstock_error_message());
	return status == PENSTOCK_OK;
}

/* Until now the signals had their default effect, which was harmless. */
static bool take_signals(struct run *run)
{
	run->all_done = eventfd(0, EFD_CLOEXEC);
	if (run->all_done >= 0 && signals_take(&run->signals, 0) && source_stop_init())
		return true;
	report_say("cannot watch for signals: %s; nothing was run", strerror(errno));
	return false;
}

/* ---- the run ---- */

static void *produce(void *arg)
{
	struct job *job = arg;
	struct run *run = job->run;

	pthread_mutex_lock(&run->gate);
	pthread_mutex_unlock(&run->gate);
	producer_run(&job->producer);
	free(job);
	if (atomic_fetch_sub(&run->producing, 1) == 1)
		eventfd_write(run->all_done, 1);
	return NULL;
}

/* For the inputs [first … end). */
static bool start_producer(struct run *run, size_t first, size_t end)
{
	struct job *job = malloc(sizeof *job);
	int reason;

	if (job == NULL) {
		report_say("out of memory for thread %zu; nothing was run", run->thread_count + 1);
		return false;
	}
	job->run = run;
	job->producer = (struct producer){
		.db = run->db,
		.ack = run->arguments.common.ack,
		.input = first,
		.end = end,
		.barrier = run->arguments.parallel ? NULL : &run->barrier,
		.sources = run->sources,
		.records = run->records,
		.statement = run->statement,
	};
	reason = pthread_create(&run->threads[run->thread_count], NULL, produce, job);
	if (reason == 0) {
		run->thread_count++;
		return true;
	}
	free(job);
	report_say("cannot start thread %zu: %s; use fewer --threads, or no --parallel; nothing was run", run->thread_count + 1,
	           strerror(reason));
	return false;
}

/* All of them, or none that reads anything. */
static bool start_producers(struct run *run)
{
	size_t count = run->arguments.input_count;
	size_t step = run->arguments.parallel ? 1 : count;
	bool good = true;
	size_t i, j;

	pthread_mutex_lock(&run->gate);
	for (i = 0; good && i < count; i += step)
		for (j = 0; good && j < run->arguments.common.threads; j++)
			good = start_producer(run, i, i + step);
	if (!good)
		source_stop();
	/* Of those that are there. None of them has come to it yet. */
	if (run->thread_count > 0)
		pthread_barrier_init(&run->barrier, NULL, (unsigned)run->thread_count);
	atomic_store(&run->producing, run->thread_count);
	pthread_mutex_unlock(&run->gate);
	return good;
}

static void join_producers(struct run *run)
{
	size_t i;

	for (i = 0; i < run->thread_count; i++)
		pthread_join(run->threads[i], NULL);
	if (run->thread_count > 0)
		pthread_barrier_destroy(&run->barrier);
}

/* The first signal ends the reading; from then on each has its default effect again. */
static void heed_signal(struct run *run)
{
	int number = signals_next(&run->signals);

	if (number == 0)
		return;
	run->interrupted = true;
	source_stop();
	if (!run->arguments.common.quiet)
		report_say("SIG%s: finishing what has been read; once more ends at once", sigabbrev_np(number));
	signals_release(&run->signals);
}

static void draw(struct run *run)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	double now = seconds_since(&run->began);

	/* A signal may have cut the tick short, and a rate over so little time says nothing. */
	if (!run->drawing || now - run->drawn < TICK_MSEC / 2e3)
		return;
	if (penstock_counters_read(run->db, &counters) == PENSTOCK_OK)
		report_progress(&counters, now);
	run->drawn = now;
}

/* Sleeps up to a tick, or until all producers have ended: then true. */
static bool tick(struct run *run, int milliseconds)
{
	struct pollfd ends[2] = {
		{ .fd = run->all_done, .events = POLLIN },
		{ .fd = run->signals.descriptor, .events = POLLIN },
	};

	poll(ends, 2, milliseconds);
	if (ends[1].revents != 0)
		heed_signal(run);
	draw(run);
	return ends[0].revents != 0;
}

/* Until every submission has its outcome. */
static void produce_and_drain(struct run *run)
{
	while (!tick(run, run->drawing ? TICK_MSEC : -1))
		;
	join_producers(run);
	while (penstock_flush(run->db, TICK_MSEC * 1000) == PENSTOCK_TIMEOUT)
		tick(run, 0);
	if (run->drawing)
		report_progress_end();
}

static enum tool_exit summarize(struct run *run)
{
	struct summary summary = { .counters.struct_size = sizeof summary.counters };
	char failure[1024];
	bool written = true;

	summary.seconds = seconds_since(&run->began);
	summary.interrupted = run->interrupted;
	summary.faults = report_faults();
	summary.failure = failure;
	penstock_counters_read(run->db, &summary.counters);
	penstock_failure(run->db, failure, sizeof failure);
	if (failure[0] != '\0')
		report_say("the engine failed, the rest was not run: %s", failure);
	if (run->arguments.common.json)
		written = summary_json(&summary);
	else if (!run->arguments.common.quiet)
		written = summary_table(&summary);
	if (!written) {
		report_say("cannot write the summary: %s", strerror(errno));
		return TOOL_CANNOT;
	}
	return summary_failures(&summary) > 0 || failure[0] != '\0' ? TOOL_FAILURES : TOOL_FINE;
}

static enum tool_exit run_all(struct run *run)
{
	if (!open_sources(run) || !open_records(run) || !open_engine(run) || !take_signals(run))
		return TOOL_CANNOT;
	run->drawing = !run->arguments.common.quiet && isatty(STDERR_FILENO);
	clock_gettime(CLOCK_MONOTONIC, &run->began);
	if (!start_producers(run)) {
		join_producers(run);
		return TOOL_CANNOT;
	}
	produce_and_drain(run);
	return summarize(run);
}

static void release(struct run *run)
{
	size_t i;

	for (i = 0; run->records != NULL && i < run->arguments.input_count; i++)
		records_free(&run->records[i]);
	for (i = 0; run->sources != NULL && i < run->arguments.input_count; i++)
		source_close(&run->sources[i]);
	free(run->records);
	free(run->sources);
	free(run->threads);
	arguments_free(&run->arguments);
}

int tool_run(int argc, char **argv)
{
	struct run run = { .gate = PTHREAD_MUTEX_INITIALIZER };
	enum tool_exit result = TOOL_CANNOT;

	/* A reader of our output that goes away must not take down what is half done. */
	signal(SIGPIPE, SIG_IGN);
	switch (arguments_parse(&run.arguments, argc, argv)) {
	case OPTIONS_GOOD:
		result = run_all(&run);
		break;
	case OPTIONS_HELPED:
		result = TOOL_FINE;
		break;
	case OPTIONS_WRONG:
		break;
	}
	if (penstock_close(run.db, PENSTOCK_FOREVER) != PENSTOCK_OK) {
		report_say("cannot close '%s': %s", run.arguments.database, penstock_error_message());
		if (result == TOOL_FINE)
			result = TOOL_FAILURES;
	}
	release(&run);
	return (int)result;
}
