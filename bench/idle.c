/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * idle.c - memory over many submissions, and an engine with nothing to do
 *
 * Each is measured in a child process of its own, since what earlier cases have left in the heap would be counted; the
 * child is this program again, with --child=, and prints NAME VALUE lines.
 *
 * memory: resident kilobytes before penstock_open, and then after every tenth of the submissions. They replace the same
 * thousand rows over and over, so that the file does not grow. "over the ring" is the growth from before the open to
 * the end, less the slots of the ring; "flat" is the growth from the first tenth to the last.
 *
 * burst/penstock/idle: after so much work that there is a checkpoint thread, every thread of the process but the one that
 * measures (it only sleeps) is looked at in /proc twice, three seconds (in quick mode one) apart: context switches of
 * either kind, and nanoseconds on a processor.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/database.h"

#define SUBMISSIONS 10000000
#define PARTS 10
#define ROWS 1000
#define RING_SLOTS 16384
#define SLOT_BYTES 128
#define OVER_RING_MAX_MIB 8.0
#define FLAT_MAX_MIB 0.25 /* a few pages come and go; a byte kept per submission would be 9 MiB */

#define IDLE_SECONDS 3
#define IDLE_SECONDS_QUICK 1
#define SETTLE_NSEC 300000000
#define WORK_MOST 10000 /* times so many rows */

/* ---- in the child ---- */

static long bench_status_kib(const char *key)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[200];
	long value = -1;

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtol(line + strlen(key), NULL, 10);
	}
	if (file != NULL)
		fclose(file);
	return value;
}

static penstock *bench_child_open(penstock_statement **insert)
{
	penstock_submission create = { .struct_size = sizeof create, .sql_bytes = -1, .sql = BENCH_CREATE };
	penstock_config config;
	penstock *db;

	penstock_config_init(&config);
	config.ring_slots = RING_SLOTS;
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	if (penstock_open(bench_database_new(), &config, &db) != PENSTOCK_OK ||
	    penstock_execute(db, &create, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK ||
	    penstock_statement_register(db, "INSERT OR REPLACE INTO t VALUES(?,?,?,?)", -1, insert) != PENSTOCK_OK) {
		fprintf(stderr, "%s\n", penstock_error_message());
		return NULL;
	}
	return db;
}

static int bench_replace_rows(penstock *db, struct bench_row *row, uint64_t count)
{
	int status = PENSTOCK_OK;

	for (uint64_t i = 0; i < count && status == PENSTOCK_OK; i++) {
		row->values[0] = penstock_int64((int64_t)(i % ROWS) + 1);
		bench_row_next(row, i);
		status = penstock_submit(db, &row->submission, PENSTOCK_FOREVER, NULL);
	}
	return status == PENSTOCK_OK ? penstock_flush(db, PENSTOCK_FOREVER) : status;
}

static int bench_child_memory(void)
{
	uint64_t count = bench_amount(SUBMISSIONS) / PARTS;
	long before = bench_status_kib("VmRSS:"), first = 0, last = 0, most = 0;
	penstock_statement *insert;
	penstock *db = bench_child_open(&insert);
	struct bench_row row;

	if (db == NULL)
		return 1;
	bench_row_init(&row, insert);
	for (unsigned part = 0; part < PARTS; part++) {
		if (bench_replace_rows(db, &row, count) != PENSTOCK_OK)
			return 1;
		last = bench_status_kib("VmRSS:");
		first = part == 0 ? last : first;
		most = last > most ? last : most;
	}
	printf("before_kib %ld\nfirst_kib %ld\nlast_kib %ld\nmost_kib %ld\nanonymous_kib %ld\nring_kib "
	       "%ld\nsubmissions %llu\n",
	       before, first, last, most, bench_status_kib("RssAnon:"), (long)RING_SLOTS * SLOT_BYTES / 1024,
	       (unsigned long long)(count * PARTS));
	penstock_close(db, PENSTOCK_FOREVER);
	return 0;
}

struct bench_activity {
	uint64_t switches;
	uint64_t nsec;
	unsigned threads;
};

static void bench_add_thread(struct bench_activity *activity, const char *thread)
{
	char path[300], line[200];
	unsigned long long value;
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &value) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %llu", &value) == 1)
			activity->switches += value;
	}
	if (file != NULL)
		fclose(file);
	snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", thread);
	file = fopen(path, "r");
	if (file != NULL && fscanf(file, "%llu", &value) == 1)
		activity->nsec += value;
	if (file != NULL)
		fclose(file);
	activity->threads++;
}

static struct bench_activity bench_look(void)
{
	struct bench_activity activity = { 0 };
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) != getpid())
			bench_add_thread(&activity, entry->d_name);
	}
	if (folder != NULL)
		closedir(folder);
	return activity;
}

static unsigned bench_idle_seconds(void)
{
	return bench_quick ? IDLE_SECONDS_QUICK : IDLE_SECONDS;
}

/* Until the checkpoint thread is there, and has made a pass. */
static int bench_work(penstock *db, struct bench_row *row)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	int status = PENSTOCK_OK;

	for (unsigned i = 0; status == PENSTOCK_OK && counters.checkpoints_beside == 0; i++) {
		status = i < WORK_MOST ? bench_replace_rows(db, row, ROWS) : PENSTOCK_ERROR;
		if (status == PENSTOCK_OK)
			status = penstock_counters_read(db, &counters);
	}
	return status;
}

static int bench_child_idle(void)
{
	struct bench_activity before, after;
	penstock_statement *insert;
	penstock *db = bench_child_open(&insert);
	struct bench_row row;

	if (db == NULL)
		return 1;
	bench_row_init(&row, insert);
	if (bench_work(db, &row) != PENSTOCK_OK)
		return 1;
	bench_sleep_nsec(SETTLE_NSEC);
	before = bench_look();
	bench_sleep_nsec(bench_idle_seconds() * UINT64_C(1000000000));
	after = bench_look();
	printf("switches %llu\nnsec %llu\nthreads %u\n", (unsigned long long)(after.switches - before.switches),
	       (unsigned long long)(after.nsec - before.nsec), after.threads);
	penstock_close(db, PENSTOCK_FOREVER);
	return 0;
}

int bench_idle_child(const char *what)
{
	const char *quick = getenv("PENSTOCK_BENCH_QUICK");

	bench_quick = quick != NULL && quick[0] != '\0' && quick[0] != '0';
	return strcmp(what, "memory") == 0 ? bench_child_memory() : bench_child_idle();
}

/* ---- in the parent ---- */

struct bench_answer {
	char name[32];
	double value;
};

/* The child's lines; 0: it failed. */
static size_t bench_ask(struct bench_case *self, const char *what, struct bench_answer *answers, size_t most)
{
	char command[600], program[500];
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	size_t count = 0;
	FILE *child;

	if (length < 0)
		return 0;
	program[length] = '\0';
	setenv("PENSTOCK_BENCH_QUICK", bench_quick ? "1" : "0", 1);
	snprintf(command, sizeof command, "exec '%s' --child=%s", program, what);
	child = popen(command, "r");
	while (child != NULL && count < most && fscanf(child, "%31s %lf", answers[count].name, &answers[count].value) == 2)
		count++;
	if (child == NULL || pclose(child) != 0)
		count = 0;
	if (count == 0)
		bench_fail(self, "the child process that measures %s failed", what);
	for (size_t i = 0; i < count; i++)
		bench_say(self, answers[i].name, answers[i].value);
	return count;
}

static double bench_answer_of(const struct bench_answer *answers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(answers[i].name, name) == 0)
			return answers[i].value;
	}
	return -1;
}

static void bench_judge_one(enum bench_line line, const char *what, double value, double limit, const char *unit, int decimals)
{
	struct bench_target target = { .line = line,
		                       .figure = { value, value, value, 1 },
		                       .limit = limit,
		                       .at_most = true,
		                       .unit = unit,
		                       .decimals = decimals };

	snprintf(target.what, sizeof target.what, "%s", what);
	bench_judge(&target);
}

static void bench_run_memory(struct bench_case *self)
{
	struct bench_answer answers[16];
	size_t count = bench_ask(self, "memory", answers, 16);
	double over, grown;

	if (count == 0)
		return;
	over = (bench_answer_of(answers, count, "most_kib") - bench_answer_of(answers, count, "before_kib") -
	        bench_answer_of(answers, count, "ring_kib")) /
	       1024;
	grown = (bench_answer_of(answers, count, "last_kib") - bench_answer_of(answers, count, "first_kib")) / 1024;
	bench_say(self, "over_ring_MiB", over);
	bench_say(self, "grown_MiB", grown);
	bench_judge_one(BENCH_NO_LINE, "memory: resident over the ring's slots", over, OVER_RING_MAX_MIB, " MiB", 2);
	bench_judge_one(BENCH_NO_LINE, "memory: growth from the 1st to the 10th tenth of submissions", grown, FLAT_MAX_MIB,
	                " MiB", 2);
}

static void bench_run_idle(struct bench_case *self)
{
	struct bench_answer answers[16];
	size_t count = bench_ask(self, "idle", answers, 16);
	char what[80];

	if (count == 0)
		return;
	snprintf(what, sizeof what, "idle engine: context switches in %u s", bench_idle_seconds());
	bench_judge_one(BENCH_LINE_IDLE, what, bench_answer_of(answers, count, "switches"), 0, "", 0);
	snprintf(what, sizeof what, "idle engine: processor time in %u s", bench_idle_seconds());
	bench_judge_one(BENCH_LINE_IDLE, what, bench_answer_of(answers, count, "nsec"), 0, " ns", 0);
}

void bench_add_idle(void)
{
	struct bench_case memory = { .name = "memory/penstock/submissions:10000000",
		                     .run = bench_run_memory,
		                     .has_target = true };
	struct bench_case idle = {
		.name = "burst/penstock/idle", .run = bench_run_idle, .has_target = true, .line = BENCH_LINE_IDLE
	};

	bench_add(&memory);
	bench_add(&idle);
}
