/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/report.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BITS 48
#define LINE_MASK ((UINT64_C(1) << LINE_BITS) - 1)
/* A progress line that wraps could not be wiped. */
#define PROGRESS_WIDTH 79

_Static_assert(sizeof(void *) == 8, "a place needs a 64-bit pointer");

static const struct source *inputs;
static atomic_uint_fast64_t faults;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int drawn; /* width of the progress line on the screen; under the lock */

void report_init(const struct source *sources)
{
	inputs = sources;
}

void *report_place(size_t input, uint64_t line)
{
	return (void *)(uintptr_t)((uint64_t)input << LINE_BITS | (line & LINE_MASK));
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
	uint64_t packed = (uintptr_t)place;
	char *message, *line;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) < 0)
		message = NULL;
	va_end(arguments);
	if (asprintf(&line, "%s:%" PRIu64 ": %s", inputs[packed >> LINE_BITS].name, packed & LINE_MASK,
	             message != NULL ? message : "failed, and there is no memory to say how") >= 0) {
		print_line(line);
		free(line);
	}
	free(message);
}

void report_outcome(const penstock_result *result)
{
	const char *name = penstock_status_name(result->status);

	if (result->status == PENSTOCK_ERROR) {
		name = penstock_code_name(result->extended_code);
		if (name == NULL)
			name = penstock_code_name(result->code);
	}
	print_at(result->arg, "%s: %s", name != NULL ? name : "SQLITE_?",
	         result->message[0] != '\0' ? result->message : penstock_status_text(result->status));
}

void report_refusal(void *place, int status)
{
	atomic_fetch_add(&faults, 1);
	print_at(place, "%s: %s", penstock_status_name(status), penstock_error_message());
}

void report_fault(void *place, const char *sentence)
{
	atomic_fetch_add(&faults, 1);
	print_at(place, "%s", sentence);
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
	pthread_mutex_lock(&lock);
	/* Blanks behind a line that got shorter, and no wiping before: nothing flickers. */
	fprintf(stderr, "\r%-*s", drawn > width ? drawn : width, line);
	drawn = width;
	pthread_mutex_unlock(&lock);
}

void report_progress(const penstock_counters *counters, double seconds)
{
	static uint64_t last_size, last_batches;
	static double last_seconds;
	static uint64_t last_done;
	uint64_t done = counters->committed + counters->failed + counters->unknown + counters->shutdown;
	uint64_t batches = counters->batch_size.count - last_batches;
	double passed = seconds - last_seconds;

	report_status("%" PRIu64 " statements, %.0f/s, queue %" PRIu64 ", batch %.1f", done,
	              passed > 0 ? (double)(done - last_done) / passed : 0.0, counters->queue_depth,
	              batches > 0 ? (double)(counters->batch_size.sum - last_size) / (double)batches : 0.0);
	last_size = counters->batch_size.sum;
	last_batches = counters->batch_size.count;
	last_seconds = seconds;
	last_done = done;
}

void report_progress_end(void)
{
	pthread_mutex_lock(&lock);
	wipe();
	pthread_mutex_unlock(&lock);
}
