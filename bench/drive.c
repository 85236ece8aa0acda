/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drive.c - penstock-drive: one engine under one load for a while, and how long each outcome took
 *
 *     penstock-drive DATABASE SECONDS ACK LOAD NUMBER [KEY=VALUE]...
 *
 * ACK is `default` or `durable`. LOAD is one of
 *
 *     depth N    closed loop: one thread keeps N in flight (1: it waits for each), and hears of them by a callback
 *     rate R     open loop: submission i is due at start + i / R, and its time runs from there, whatever held it up; so a stretch
 *                in which nothing could be submitted hides nothing. 0: each is due as the one before it was submitted
 *     waiters N  N threads that each wait for their outcomes
 *
 * It says "ready", begins when a line comes on standard input, and then prints one line of numbers (bench_drive_read in drives.c):
 * rows, seconds, p50, p99, p99.9 and the longest in ns, the longest fsync in ns, their number, and by how much the 99th of 100 was
 * submitted late in ns. Percentiles are exact.
 *
 * It uses the public header alone, and of that only what every version since 0.1 has: built with another version's header and
 * library it is that version's driver, to be measured beside this one's (report.sh --against).
 */
#include <penstock.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX (1u << 23)
#define WAITERS_MAX 64
#define TEXT "abcdefghijklmnopqrstuvwxyz012345"

static uint64_t nsec_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- the syncs ---- */

static uint64_t longest_sync, syncs;

static int timed_sync(long call, int fd)
{
	uint64_t begun = nsec_now(), took, longest = __atomic_load_n(&longest_sync, __ATOMIC_RELAXED);
	int result = (int)syscall(call, fd);

	took = nsec_now() - begun;
	while (took > longest &&
	       !__atomic_compare_exchange_n(&longest_sync, &longest, took, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	__atomic_fetch_add(&syncs, 1, __ATOMIC_RELAXED);
	return result;
}

/* SQLite's calls, too, come here: what a program exports goes before what its libraries would find elsewhere. */
#pragma GCC visibility push(default)

int fsync(int fd)
{
	return timed_sync(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return timed_sync(SYS_fdatasync, fd);
}

#pragma GCC visibility pop

/* ---- the row ---- */

struct row {
	penstock_submission submission;
	penstock_value values[4];
	char text[sizeof TEXT];
};

static penstock *db;
static penstock_statement *insert;
static penstock_ack ack;
static uint64_t until; /* when the load ends */

static void die(const char *what)
{
	fprintf(stderr, "penstock-drive: %s: %s\n", what, penstock_error_message());
	exit(1);
}

static void row_init(struct row *row)
{
	memset(row, 0, sizeof *row);
	memcpy(row->text, TEXT, sizeof TEXT);
	row->values[0] = penstock_null();
	row->values[1] = penstock_int64(0);
	row->values[2] = penstock_text_bytes(row->text, sizeof TEXT - 1);
	row->values[3] = penstock_double(0);
	row->submission.struct_size = sizeof row->submission;
	row->submission.statement = insert;
	row->submission.values = row->values;
	row->submission.value_count = 4;
	row->submission.ack = ack;
}

/* Never the same text twice in a row. */
static void row_next(struct row *row, uint64_t number)
{
	for (unsigned i = 0; i < 8; i++)
		row->text[i] = (char)('a' + (number >> (4 * i) & 15));
	row->values[1].as.integer = (int64_t)number;
	row->values[3].as.real = (double)number;
}

/* ---- what is noted: ns ---- */

struct samples {
	uint32_t *took;
	size_t count;
};

static struct samples outcomes, lates;
static uint64_t rows; /* with an outcome */
static sem_t heard;
static bool listening, failed;

static void samples_init(struct samples *samples)
{
	samples->took = malloc(SAMPLES_MAX * sizeof *samples->took);
	if (samples->took == NULL)
		die("no memory");
	/* Page faults belong to nobody's time. */
	memset(samples->took, 0, SAMPLES_MAX * sizeof *samples->took);
}

static void note(struct samples *samples, uint64_t nsec)
{
	if (samples->count < SAMPLES_MAX)
		samples->took[samples->count++] = nsec < UINT32_MAX ? (uint32_t)nsec : UINT32_MAX;
}

static int compare(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

static uint32_t quantile(const struct samples *sorted, double fraction)
{
	size_t i = (size_t)(fraction * (double)sorted->count);

	if (sorted->count == 0)
		return 0;
	return sorted->took[i < sorted->count ? i : sorted->count - 1];
}

/* The argument is when it was submitted, or due. */
static void outcome(void *arg, const penstock_result *result)
{
	note(&outcomes, nsec_now() - (uint64_t)(uintptr_t)arg);
	rows++;
	if (result->status != PENSTOCK_OK)
		failed = true;
	if (listening)
		sem_post(&heard);
}

static void submit(struct row *row, uint64_t number, uint64_t since)
{
	row_next(row, number);
	row->submission.arg = (void *)(uintptr_t)since;
	if (penstock_submit(db, &row->submission, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
		die("submit");
}

/* ---- the loads ---- */

static void execute_until(struct row *row, struct samples *samples, uint64_t *count)
{
	uint64_t now = nsec_now();

	while (now < until) {
		uint64_t begun = now;

		row_next(row, (*count)++);
		if (penstock_execute(db, &row->submission, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
			die("execute");
		now = nsec_now();
		note(samples, now - begun);
	}
}

static void run_depth(uint64_t depth)
{
	struct row row;
	uint64_t submitted = 0, ended = 0, now;

	row_init(&row);
	if (depth == 1) {
		execute_until(&row, &outcomes, &rows);
		return;
	}
	row.submission.on_complete = outcome;
	listening = true;
	for (now = nsec_now(); now < until; now = nsec_now()) {
		for (; submitted - ended < depth; submitted++)
			submit(&row, submitted, nsec_now());
		while (sem_wait(&heard) != 0)
			;
		do
			ended++;
		while (ended < submitted && sem_trywait(&heard) == 0);
	}
}

static void run_rate(uint64_t rate)
{
	struct row row;
	uint64_t start = nsec_now(), due = start, now = start;

	row_init(&row);
	row.submission.on_complete = outcome;
	for (uint64_t i = 0; due < until; i++) {
		due = rate == 0 ? now : start + (uint64_t)((double)i * 1e9 / (double)rate);
		while (now < due)
			now = nsec_now();
		note(&lates, now - due);
		submit(&row, i, due);
		now = nsec_now();
	}
}

struct waiter {
	pthread_t id;
	struct row row;
	struct samples samples;
	uint64_t count;
};

static void *waiter_main(void *arg)
{
	struct waiter *waiter = arg;

	execute_until(&waiter->row, &waiter->samples, &waiter->count);
	return NULL;
}

static void run_waiters(uint64_t count)
{
	static struct waiter waiters[WAITERS_MAX];

	for (uint64_t i = 0; i < count; i++) {
		row_init(&waiters[i].row);
		/* As many as fit; each has a part of the whole. */
		waiters[i].samples.took = outcomes.took + i * (SAMPLES_MAX / WAITERS_MAX);
		if (pthread_create(&waiters[i].id, NULL, waiter_main, &waiters[i]) != 0)
			die("no thread can be created");
	}
	for (uint64_t i = 0; i < count; i++) {
		pthread_join(waiters[i].id, NULL);
		memmove(outcomes.took + outcomes.count, waiters[i].samples.took,
		        waiters[i].samples.count * sizeof *outcomes.took);
		outcomes.count += waiters[i].samples.count;
		rows += waiters[i].count;
	}
}

/* ---- and the rest ---- */

static void open_engine(const char *path, char *const *keys)
{
	penstock_submission create = { .struct_size = sizeof create, .sql_bytes = -1 };
	penstock_config config;
	struct row row;

	penstock_config_init(&config);
	for (; *keys != NULL; keys++) {
		char key[64];
		size_t length = strcspn(*keys, "=");

		snprintf(key, sizeof key, "%.*s", (int)length, *keys);
		if (penstock_config_set(&config, key, *keys + length + 1) != PENSTOCK_OK)
			die(*keys);
	}
	create.sql = "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT(32), c REAL)";
	if (penstock_open(path, &config, &db) != PENSTOCK_OK ||
	    penstock_execute(db, &create, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK ||
	    penstock_statement_register(db, "INSERT INTO t VALUES(?,?,?,?)", -1, &insert) != PENSTOCK_OK)
		die(path);
	/* Prepared by the writer, and this thread known to the engine, before anything is measured. */
	row_init(&row);
	if (penstock_execute(db, &row.submission, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
		die("the first row");
}

static void run(const char *load, uint64_t number)
{
	if (strcmp(load, "depth") == 0)
		run_depth(number);
	else if (strcmp(load, "rate") == 0)
		run_rate(number);
	else
		run_waiters(number < WAITERS_MAX ? number : WAITERS_MAX);
	if (penstock_flush(db, PENSTOCK_FOREVER) != PENSTOCK_OK)
		die("flush");
}

int main(int argc, char **argv)
{
	uint64_t started;
	double seconds;
	char line[8];

	if (argc < 6) {
		fprintf(stderr,
		        "usage: penstock-drive DATABASE SECONDS default|durable depth|rate|waiters NUMBER [KEY=VALUE]...\n");
		return 2;
	}
	ack = strcmp(argv[3], "durable") == 0 ? PENSTOCK_ACK_DURABLE : PENSTOCK_ACK_DEFAULT;
	samples_init(&outcomes);
	samples_init(&lates);
	sem_init(&heard, 0, 0);
	open_engine(argv[1], argv + 6);
	puts("ready");
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		return 1;
	syncs = longest_sync = 0;
	started = nsec_now();
	until = started + (uint64_t)(1e9 * strtod(argv[2], NULL));
	run(argv[4], strtoull(argv[5], NULL, 10));
	seconds = (double)(nsec_now() - started) / 1e9;
	if (failed)
		die("an outcome was not OK");
	qsort(outcomes.took, outcomes.count, sizeof *outcomes.took, compare);
	qsort(lates.took, lates.count, sizeof *lates.took, compare);
	printf("%llu %.9f %u %u %u %u %llu %llu %u\n", (unsigned long long)rows, seconds, quantile(&outcomes, 0.50),
	       quantile(&outcomes, 0.99), quantile(&outcomes, 0.999), quantile(&outcomes, 1), (unsigned long long)longest_sync,
	       (unsigned long long)syncs, quantile(&lates, 0.99));
	return penstock_close(db, PENSTOCK_FOREVER) != PENSTOCK_OK;
}
