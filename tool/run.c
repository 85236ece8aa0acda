/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tool.h"

#include <errno.h>
#include <inttypes.h>
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
#include "tool/columns.h"
#include "tool/producer.h"
#include "tool/rejects.h"
#include "tool/report.h"
#include "tool/setup.h"
#include "tool/signals.h"
#include "tool/source.h"
#include "tool/summary.h"
#include "tool/tally.h"

/* Five times a second. */
#define TICK_MSEC 200

struct run {
	struct arguments arguments;
	struct source *sources;     /* of input_count and then setup_count files, all open while we run */
	struct records *records;    /* as many for CSV, else NULL */
	struct columns *columns;    /* the same */
	const struct batch **first; /* what each begins with: the records' */
	FILE *rejects;
	char *rejects_header; /* or NULL */
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

	run->sources = calloc(count + run->arguments.setup_count, sizeof *run->sources);
	run->threads = calloc((run->arguments.parallel ? count : 1) * run->arguments.common.threads, sizeof *run->threads);
	if (run->sources == NULL || run->threads == NULL || !tally_init(count + run->arguments.setup_count)) {
		report_say("out of memory for %zu files", count);
		return false;
	}
	report_init(run->sources);
	for (i = 0; i < count + run->arguments.setup_count; i++) {
		const char *path = i < count ? run->arguments.inputs[i] : run->arguments.setups[i - count];

		if (!source_open(&run->sources[i], path)) {
			report_say("cannot read '%s': %s; nothing was run", path, source_error(&run->sources[i]));
			good = false;
		}
	}
	return good;
}

static bool open_records(struct run *run)
{
	size_t count = run->arguments.input_count;
	size_t i;

	if (!run->arguments.csv)
		return true;
	run->records = calloc(count, sizeof *run->records);
	run->columns = calloc(count, sizeof *run->columns);
	run->first = calloc(count, sizeof *run->first);
	if (run->records == NULL || run->columns == NULL || run->first == NULL) {
		report_say("out of memory for %zu CSV files", count);
		return false;
	}
	for (i = 0; i < count; i++)
		records_init(&run->records[i], &run->sources[i], &run->arguments.records);
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

static bool open_rejects(struct run *run)
{
	if (run->arguments.rejects != NULL)
		run->rejects = rejects_open(&run->arguments, run->sources);
	return run->arguments.rejects == NULL || run->rejects != NULL;
}

static bool open_engine(struct run *run)
{
	penstock_config *config = &run->arguments.common.config;
	int status;

	config->on_error = producer_outcome;
	config->log = say_log;
	config->log_arg = run;
	status = penstock_open(run->arguments.database, config, &run->db);
	/* autostart may be off, by a file meant for another program. */
	if (status == PENSTOCK_OK)
		status = penstock_start(run->db, PENSTOCK_FOREVER);
	if (status != PENSTOCK_OK)
		report_say("%s", penstock_error_message());
	return status == PENSTOCK_OK;
}

/* The first records of an input tell what it has for columns; where nobody asks, it need not have come yet. */
static bool set_up(struct run *run)
{
	const struct arguments *arguments = &run->arguments;
	bool asks = arguments->records.header || arguments->create != CREATE_NOT;
	size_t i;

	if (!setup_run_files(run->db, run->sources + arguments->input_count, arguments->setup_count, arguments->input_count))
		return false;
	if (!arguments->csv)
		return true;
	for (i = 0; i < arguments->input_count; i++)
		if (asks || run->sources[i].size > 0)
			run->first[i] = records_begin(&run->records[i]);
	return setup_statement(run->db, arguments, run->first, run->columns, &run->statement);
}

/* Once the first records have been looked at. */
static bool begin_rejects(struct run *run)
{
	if (run->rejects == NULL)
		return true;
	if (run->arguments.csv && !rejects_header(&run->arguments, run->first, &run->rejects_header))
		return false;
	report_rejects(run->rejects, run->rejects_header);
	return rejects_begin(run->rejects, run->arguments.rejects);
}

/* Until now the signals had their default effect, which was harmless. */
static bool take_signals(struct run *run)
{
	run->all_done = eventfd(0, EFD_CLOEXEC);
	if (run->all_done >= 0 && signals_take(&run->signals, 0) && source_stop_init())
		return true;
	report_say("cannot watch for signals: %s; %s", strerror(errno), report_nothing());
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
		report_say("out of memory for thread %zu; %s", run->thread_count + 1, report_nothing());
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
		.columns = run->columns,
		.statement = run->statement,
		.waits = run->arguments.bail,
		.keeps = run->rejects != NULL,
	};
	reason = pthread_create(&run->threads[run->thread_count], NULL, produce, job);
	if (reason == 0) {
		run->thread_count++;
		return true;
	}
	free(job);
	report_say("cannot start thread %zu: %s; use fewer --threads, or no --parallel; %s", run->thread_count + 1,
	           strerror(reason), report_nothing());
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
	uint64_t taken = 0, size = 0;
	bool known = true;
	size_t i;

	/* A signal may have cut the tick short, and a rate over so little time says nothing. */
	if (!run->drawing || now - run->drawn < TICK_MSEC / 2e3)
		return;
	for (i = 0; i < run->arguments.input_count; i++) {
		known = known && run->sources[i].size > 0;
		size += run->sources[i].size;
		taken += atomic_load_explicit(&run->sources[i].taken, memory_order_relaxed);
	}
	if (penstock_counters_read(run->db, &counters) == PENSTOCK_OK)
		report_progress(&counters, now, taken, known ? size : 0);
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
	report_flush();
	if (run->drawing)
		report_progress_end();
}

static enum tool_exit summarize(struct run *run)
{
	struct summary summary = { .counters.struct_size = sizeof summary.counters };
	char failure[1024];
	FILE *out = run->arguments.output == OUTPUT_NONE ? stdout : stderr;
	bool written = fflush(stdout) == 0 && !ferror(stdout);

	summary.seconds = seconds_since(&run->began);
	summary.sources = run->sources;
	summary.input_count = run->arguments.input_count;
	summary.told = run->arguments.common.ack != PENSTOCK_ACK_NONE;
	summary.interrupted = run->interrupted;
	summary.faults = report_faults();
	summary.failure = failure;
	penstock_counters_read(run->db, &summary.counters);
	penstock_failure(run->db, failure, sizeof failure);
	if (failure[0] != '\0')
		report_say("the engine failed, the rest was not run: %s", failure);
	if (run->arguments.common.json)
		written &= summary_json(&summary, out);
	else if (!run->arguments.common.quiet)
		written &= summary_table(&summary, out);
	if (report_gave_up())
		report_say("%" PRIu64 " failures: the rest was not read", summary_failures(&summary));
	if (run->rejects != NULL && (fflush(run->rejects) != 0 || ferror(run->rejects))) {
		report_say("cannot write '%s': %s", run->arguments.rejects, strerror(errno));
		written = false;
	} else if (!written) {
		report_say("cannot write %s: %s", run->arguments.output == OUTPUT_NONE ? "the summary" : "the rows",
		           strerror(errno));
	}
	if (!written)
		return TOOL_CANNOT;
	return summary_failures(&summary) > 0 || failure[0] != '\0' ? TOOL_FAILURES : TOOL_FINE;
}

static enum tool_exit run_all(struct run *run)
{
	if (!open_sources(run) || !open_records(run) || !open_rejects(run) || !open_engine(run) || !set_up(run) ||
	    !take_signals(run) || !begin_rejects(run))
		return TOOL_CANNOT;
	producer_print_rows(run->arguments.output);
	report_failures_max(run->arguments.bail ? 1 : run->arguments.max_errors);
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
	for (i = 0; run->columns != NULL && i < run->arguments.input_count; i++)
		columns_free(&run->columns[i]);
	for (i = 0; run->sources != NULL && i < run->arguments.input_count + run->arguments.setup_count; i++)
		source_close(&run->sources[i]);
	if (run->rejects != NULL)
		fclose(run->rejects);
	sqlite3_free(run->rejects_header);
	tally_free();
	free(run->first);
	free(run->columns);
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
