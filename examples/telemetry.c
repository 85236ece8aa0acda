/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * telemetry.c - a logger that never makes its program wait
 *
 *     telemetry DATABASE [READINGS]       how many readings each thread takes; 100000 by default
 *
 * Eight threads take readings. penstock_try_submit queues a reading, or answers FULL at once. A reading that finds no room is
 * dropped and counted. So a slow disk costs readings, never time, and the end of the run accounts for each of them:
 * stored + dropped = produced. The exit status is 0 when that holds.
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <penstock.h>

#define SENSORS 8

struct sensor {
	pthread_t thread;
	penstock *db;
	const penstock_statement *insert;
	int number;
	long readings;
	long dropped; /* this thread's own until it is joined */
};

/* The time is a value: a SQL function would tell the writer's time, and another one when the statement runs twice. */
static int64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Copies the values and returns. Nobody listens for the outcome, so it allocates nothing: the values fit a slot. */
static void log_reading(struct sensor *sensor, long sequence, double value)
{
	penstock_value values[] = { penstock_int64(now_usec()), penstock_int64(sensor->number), penstock_int64(sequence),
		                    penstock_double(value) };
	penstock_submission reading = PENSTOCK_SUBMISSION_INIT;

	reading.statement = sensor->insert;
	reading.values = values;
	reading.value_count = sizeof values / sizeof *values;
	if (penstock_try_submit(sensor->db, &reading, NULL) != PENSTOCK_OK)
		sensor->dropped++;
}

static void *take_readings(void *arg)
{
	struct sensor *sensor = arg;
	double value = 20;
	long i;

	for (i = 0; i < sensor->readings; i++) {
		value += (double)(i % 7 - 3) / 8;
		log_reading(sensor, i, value);
	}
	return NULL;
}

/* Statements that were queued and then failed. Runs on the writer thread; read again once that has ended. */
static void count_failure(void *arg, const penstock_result *result)
{
	if ((*(long *)arg)++ == 0)
		warnx("not stored: %s", result->message);
}

static void create_table(penstock *db)
{
	penstock_submission create = PENSTOCK_SUBMISSION_INIT;

	create.sql = "CREATE TABLE IF NOT EXISTS readings(usec INTEGER, sensor INTEGER, sequence INTEGER, value REAL)";
	if (penstock_execute(db, &create, PENSTOCK_FOREVER, NULL) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
}

static long count_rows(penstock *db)
{
	sqlite3 *reader;
	sqlite3_stmt *count = NULL;
	long rows = -1;

	if (penstock_reader_open(db, &reader) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	if (sqlite3_prepare_v2(reader, "SELECT count(*) FROM readings", -1, &count, NULL) == SQLITE_OK &&
	    sqlite3_step(count) == SQLITE_ROW)
		rows = (long)sqlite3_column_int64(count, 0);
	else
		warnx("%s", sqlite3_errmsg(reader));
	sqlite3_finalize(count);
	sqlite3_close(reader);
	return rows;
}

int main(int argc, char **argv)
{
	struct sensor sensors[SENSORS];
	long produced = 0, dropped = 0, failed = 0, before, stored;
	penstock_config config;
	penstock_statement *insert;
	penstock *db;
	int i;

	if (argc < 2 || argc > 3)
		errx(2, "usage: telemetry DATABASE [READINGS]");
	penstock_config_init(&config);
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL; /* a power loss may cost the last readings, never the database */
	config.ring_slots = 4096;                         /* how many readings may wait: this bounds the memory */
	config.on_error = count_failure;
	config.on_error_arg = &failed;
	if (penstock_open(argv[1], &config, &db) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	create_table(db);
	before = count_rows(db);
	if (penstock_statement_register(db, "INSERT INTO readings VALUES(?, ?, ?, ?)", -1, &insert) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());

	for (i = 0; i < SENSORS; i++) {
		sensors[i] = (struct sensor){
			.db = db, .insert = insert, .number = i, .readings = argc > 2 ? atol(argv[2]) : 100000
		};
		if (pthread_create(&sensors[i].thread, NULL, take_readings, &sensors[i]) != 0)
			errx(1, "no thread for sensor %d", i);
	}
	for (i = 0; i < SENSORS; i++) {
		pthread_join(sensors[i].thread, NULL);
		produced += sensors[i].readings;
		dropped += sensors[i].dropped;
	}

	/* What is queued is not lost: wait for it, and then look. */
	penstock_flush(db, PENSTOCK_FOREVER);
	stored = count_rows(db) - before;
	if (penstock_close(db, PENSTOCK_FOREVER) != PENSTOCK_OK)
		errx(1, "%s", penstock_error_message());
	printf("produced %ld, stored %ld, dropped %ld, failed %ld\n", produced, stored, dropped, failed);
	return stored + dropped == produced ? 0 : 1;
}
