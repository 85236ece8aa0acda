/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/report.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tool/tally.h"

/* A progress line that wraps could not be wiped. */
#define PROGRESS_WIDTH 79

static const struct source *inputs;
static atomic_uint_fast64_t faults;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int drawn; /* width of the progress line on the screen; under the lock */

static FILE *rejects;
static const char *rejects_header; /* until it has been written; under the lock */
static uint64_t failures_max;
static atomic_uint_fast64_t failures;
static atomic_bool gave_up;
static bool something; /* of the setup has been run */

/* Faults that wait for outcomes, the first ones first. */
struct waiting {
	uint64_t after; /* so many outcomes */
	void *place;    /* its own */
	const char *sentence;
};
static struct waiting *waiting; /* under the lock */
static size_t waiting_first, waiting_end, waiting_room;
static atomic_size_t waiting_count; /* W1: raised before `done` is read */
static atomic_uint_fast64_t submitted, done;

void report_init(const struct source *sources)
{
	inputs = sources;
}

static void wipe(void)
{
	if (drawn > 0)
		fprintf(stderr, "\r%*s\r", drawn, "");
	drawn = 0;
}

/* Text from a database or a file name must neither break the line nor command the terminal. */
static void print_line(char *line)
{
	char *at;

	for (at = line; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = ' ';
	pthread_mutex_lock(&lock);
	wipe();
	fprintf(stderr, "%s\n", line);
	pthread_mutex_unlock(&lock);
}

static void __attribute__((format(printf, 2, 3))) print_at(void *place, const char *format, ...)
{
	char *message, *line;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) < 0)
		message = NULL;
	va_end(arguments);
	if (asprintf(&line, "%s:%" PRIu64 ": %s", inputs[place_input(place)].name, place_line(place),
	             message != NULL ? message : "failed, and there is no memory to say how") >= 0) {
		print_line(line);
		free(line);
	}
	free(message);
}

void report_rejects(FILE *file, const char *header)
{
	rejects = file;
	rejects_header = header;
}

void report_failures_max(uint64_t count)
{
	failures_max = count;
}

bool report_gave_up(void)
{
	return atomic_load(&gave_up);
}

const char *report_nothing(void)
{
	return something ? "nothing else was run" : "nothing was run";
}

void report_something(void)
{
	something = true;
}

/* Of what has been counted as read. */
static void count_failure(const void *place)
{
	tally_failed(place_input(place));
	if (atomic_fetch_add(&failures, 1) + 1 == failures_max) {
		atomic_store(&gave_up, true);
		source_stop();
	}
}

static void write_reject(const void *place)
{
	size_t bytes;
	const char *text = place_text(place, &bytes);

	if (rejects == NULL || text == NULL)
		return;
	pthread_mutex_lock(&lock);
	if (rejects_header != NULL)
		fputs(rejects_header, rejects);
	rejects_header = NULL;
	fwrite(text, 1, bytes, rejects);
	pthread_mutex_unlock(&lock);
}

/* How much of the message is for the command's user: what an embedder could do about it is not. */
static size_t without_advice(const char *message)
{
	const char *advice = strstr(message, "; put the changes into one statement");

	return advice != NULL ? (size_t)(advice - message) : strlen(message);
}

/* What the user can do. */
static const char *advice(const char *message)
{
	if (strstr(message, "sqlite_master may not be modified") != NULL)
		return " (a dump makes virtual tables so; --set defensive=no lets it)";
	return "";
}

void report_outcome(const penstock_result *result)
{
	const char *message = result->message[0] != '\0' ? result->message : penstock_status_text(result->status);
	const char *name = penstock_status_name(result->status);

	if (result->status == PENSTOCK_ERROR) {
		name = penstock_code_name(result->extended_code);
		if (name == NULL)
			name = penstock_code_name(result->code);
	}
	print_at(result->arg, "%s: %.*s%s", name != NULL ? name : "SQLITE_?", (int)without_advice(message), message,
	         advice(message));
	write_reject(result->arg);
	count_failure(result->arg);
}

void report_refusal(void *place, int status)
{
	atomic_fetch_add(&faults, 1);
	print_at(place, "%s: %s", penstock_status_name(status), penstock_error_message());
	write_reject(place);
	count_failure(place);
}

/* False: no memory. Under the lock. */
static bool wait_for_outcomes(uint64_t after, void *place, const char *sentence)
{
	if (waiting_end == waiting_room) {
		size_t room = waiting_room * 2 + 16;
		struct waiting *grown = reallocarray(waiting, room, sizeof *grown);

		if (grown == NULL)
			return false;
		waiting = grown;
		waiting_room = room;
	}
	waiting[waiting_end++] = (struct waiting){ after, place, sentence };
	return true;
}

void report_fault(void *place, const char *sentence)
{
	bool waits;

	atomic_fetch_add(&faults, 1);
	pthread_mutex_lock(&lock);
	/*
	 * Whoever gives the last outcome raises `done` and then looks at W1. Here W1 is raised first. Both are sequentially consistent,
	 * so either that one sees W1, and takes the lock to print, or `done` is seen here, and nothing needs to wait.
	 */
	atomic_fetch_add(&waiting_count, 1);
	waits = atomic_load(&done) < atomic_load(&submitted) &&
	        wait_for_outcomes(atomic_load(&submitted), place_copy(place), sentence);
	if (!waits)
		atomic_fetch_sub(&waiting_count, 1);
	pthread_mutex_unlock(&lock);
	if (!waits) {
		print_at(place, "%s", sentence);
		write_reject(place);
	}
	tally_read(place_input(place));
	count_failure(place);
}

/* Those for which `outcomes` are enough. */
static void print_waiting(uint64_t outcomes)
{
	for (;;) {
		struct waiting next = { 0 };

		pthread_mutex_lock(&lock);
		if (waiting_first < waiting_end && waiting[waiting_first].after <= outcomes) {
			next = waiting[waiting_first++];
			atomic_fetch_sub(&waiting_count, 1);
		}
		if (waiting_first == waiting_end)
			waiting_first = waiting_end = 0;
		pthread_mutex_unlock(&lock);
		if (next.sentence == NULL)
			return;
		print_at(next.place, "%s", next.sentence);
		write_reject(next.place);
		place_free(next.place);
	}
}

void report_submitted(void)
{
	atomic_fetch_add(&submitted, 1);
}

void report_done(void)
{
	uint64_t outcomes = atomic_fetch_add(&done, 1) + 1;

	if (atomic_load(&waiting_count) > 0)
		print_waiting(outcomes);
}

void report_flush(void)
{
	print_waiting(UINT64_MAX);
	free(waiting);
	waiting = NULL;
	waiting_room = 0;
}

uint64_t report_faults(void)
{
	return atomic_load(&faults);
}

void report_say(const char *format, ...)
{
	char *message, *line;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) < 0)
		message = NULL;
	va_end(arguments);
	if (message != NULL && asprintf(&line, "penstock: %s", message) >= 0) {
		print_line(line);
		free(line);
	}
	free(message);
}

static int terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : PROGRESS_WIDTH;
}

void report_status(const char *format, ...)
{
	char line[PROGRESS_WIDTH + 1];
	va_list arguments;
	int width;

	va_start(arguments, format);
	width = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (width >= (int)sizeof line)
		width = (int)sizeof line - 1;
	/* One that wraps could not be wiped. */
	if (width > terminal_width())
		width = terminal_width();
	line[width] = '\0';
	pthread_mutex_lock(&lock);
	/* Blanks behind a line that got shorter, and no wiping before: nothing flickers. */
	fprintf(stderr, "\r%-*s", drawn > width ? drawn : width, line);
	drawn = width;
	pthread_mutex_unlock(&lock);
}

/* "1234", "12.3k", "4.56M": five characters at most, below 10^12. */
static const char *brief(char *text, size_t size, double number)
{
	static const char units[] = " kMG";
	size_t unit = 0;

	if (number < 10000) {
		snprintf(text, size, "%.0f", number);
		return text;
	}
	for (; number >= 999.5 && unit + 2 < sizeof units; unit++)
		number /= 1000;
	snprintf(text, size, "%.*f%c", number < 9.995 ? 2 : number < 99.95 ? 1 : 0, number, units[unit]);
	return text;
}

static const char *clock_text(char *text, size_t size, double seconds)
{
	unsigned whole = seconds < 359999 ? (unsigned)seconds : 359999;

	if (whole < 3600)
		snprintf(text, size, "%u:%02u", whole / 60, whole % 60);
	else
		snprintf(text, size, "%uh%02u", whole / 3600, whole / 60 % 60);
	return text;
}

void report_progress(const penstock_counters *counters, double seconds, uint64_t read, uint64_t size)
{
	static uint64_t last_done, last_size, last_batches;
	static double last_seconds;
	uint64_t done_now = counters->committed + counters->failed + counters->unknown + counters->shutdown;
	uint64_t batches = counters->batch_size.count - last_batches;
	double passed = seconds - last_seconds, rate = passed > 0 ? (double)(done_now - last_done) / passed : 0.0;
	double batch = batches > 0 ? (double)(counters->batch_size.sum - last_size) / (double)batches : 0.0;
	double share = size > 0 && read > 0 ? (double)(read < size ? read : size) / (double)size : 0.0;
	char percent[8] = "", left[16] = "", number[16], speed[16], failed[16], elapsed[16];

	if (share > 0) {
		snprintf(percent, sizeof percent, "%.0f%% ", share * 100);
		clock_text(left, sizeof left, seconds / share - seconds);
	}
	clock_text(elapsed, sizeof elapsed, seconds);
	brief(failed, sizeof failed, (double)atomic_load(&failures));
	if (terminal_width() < PROGRESS_WIDTH)
		report_status("%s%s %s/s %s failed %s%s%s", percent, brief(number, sizeof number, (double)done_now),
		              brief(speed, sizeof speed, rate), failed, elapsed, left[0] != '\0' ? " of " : "",
		              left[0] != '\0' ? clock_text(left, sizeof left, seconds / share) : "");
	else
		report_status("%s%" PRIu64 " statements, %.0f/s, %s failed, %s%s%s, queue %" PRIu64 ", batch %.1f", percent,
		              done_now, rate, failed, elapsed, left[0] != '\0' ? ", left " : "", left, counters->queue_depth,
		              batch);
	last_size = counters->batch_size.sum;
	last_batches = counters->batch_size.count;
	last_seconds = seconds;
	last_done = done_now;
}

void report_progress_end(void)
{
	pthread_mutex_lock(&lock);
	wipe();
	pthread_mutex_unlock(&lock);
}
