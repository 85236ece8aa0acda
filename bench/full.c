/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * full.c - a writer that cannot keep up: producers on a full ring
 *
 * full/penstock/producers:N. Every statement calls an SQL function that spins for 5 us, so the ring (1024 slots) is
 * full all the time, and what is left for the producers is what the writer leaves them.
 *
 * First part, they wait for room for as long as it takes:
 *
 *   writer_share    the writer's processor time by the time that went by: 1 is a processor of its own
 *   producers_share the same of everybody else in the process: what waiting costs
 *   least_by_most   the count of the producer with the fewest submissions by that of the one with the most
 *   jain            Jain's index of the counts: 1 when all are equal, 1/N when one has everything
 *
 * Second part, the writer is held in a statement that does not end, and every submit has a deadline 2 ms away, which it
 * cannot but miss: `late` is by how much a submit returned after its deadline, `early` counts those that returned
 * before it.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/crew.h"
#include "bench/database.h"
#include "queue/ring.h"

#define SPIN_NSEC 5000
#define RING_SLOTS "1024"
#define SETTLE_NSEC 100000000
#define SHARE_NSEC 1000000000
#define SHARE_QUICK_NSEC 200000000 /* shorter, and a ring's worth of rows is all there is to share */
#define DEADLINE_NSEC 500000000
#define DEADLINE_QUICK_NSEC 100000000
#define DEADLINE_USEC 2000
#define LOOK_NSEC 1000000
#define LATE_MAX 4096 /* of each producer */

enum bench_part {
	SHARING,
	HURRYING, /* with deadlines already, which may be met */
	HELD,
	ENDING,
};

struct bench_seat {
	uint64_t count;
	uint32_t part;         /* what it knows of the flood's */
	double late[LATE_MAX]; /* us */
	size_t late_count;
	uint64_t early;
} __attribute__((aligned(128)));

struct bench_flood {
	penstock *db;
	const penstock_statement *spinning;
	uint32_t part; /* enum bench_part */
	struct bench_seat seats[BENCH_CREW_MAX];
};

/* The writer of the engine that was opened last, and its being held in a statement. */
static pthread_t writer;
static enum bench_hold { HOLD_ASKED, HOLD_BEGUN, HOLD_OVER } held;

static void bench_spin_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	uint64_t until = bench_nsec() + SPIN_NSEC;

	(void)count;
	(void)values;
	while (bench_nsec() < until)
		ps_stall();
	sqlite3_result_double(context, 0);
}

static void bench_hold_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	__atomic_store_n(&held, HOLD_BEGUN, __ATOMIC_RELEASE);
	while (__atomic_load_n(&held, __ATOMIC_ACQUIRE) != HOLD_OVER)
		ps_stall();
	sqlite3_result_double(context, 0);
}

/* On the writer thread: no reader is opened here. */
static int bench_connected(sqlite3 *connection, void *arg)
{
	int status = sqlite3_create_function_v2(connection, "bench_spin", 0, SQLITE_UTF8, NULL, bench_spin_function, NULL, NULL,
	                                        NULL);

	(void)arg;
	writer = pthread_self();
	if (status == SQLITE_OK)
		status = sqlite3_create_function_v2(connection, "bench_hold", 0, SQLITE_UTF8, NULL, bench_hold_function, NULL,
		                                    NULL, NULL);
	return status;
}

/* ---- the producers ---- */

/* One whose deadline passes. */
static int bench_submit_in_time(struct bench_flood *flood, struct bench_row *row, struct bench_seat *seat)
{
	uint64_t deadline = bench_nsec() + DEADLINE_USEC * 1000;
	int status = penstock_submit(flood->db, &row->submission, DEADLINE_USEC, NULL);
	uint64_t returned = bench_nsec();

	if (status != PENSTOCK_FULL)
		return status;
	if (seat->part != HELD)
		return PENSTOCK_OK;
	if (returned < deadline)
		seat->early++;
	else if (seat->late_count < LATE_MAX)
		seat->late[seat->late_count++] = (double)(returned - deadline) / 1e3;
	return PENSTOCK_OK;
}

static void bench_flood_work(struct bench_hand *hand)
{
	struct bench_flood *flood = hand->crew->context;
	struct bench_seat *seat = &flood->seats[hand->number];
	int status = PENSTOCK_OK;
	struct bench_row row;
	uint32_t part;

	bench_row_init(&row, flood->spinning);
	row.submission.value_count = 3;
	for (uint64_t i = 0; status == PENSTOCK_OK; i++) {
		part = __atomic_load_n(&flood->part, __ATOMIC_ACQUIRE);
		__atomic_store_n(&seat->part, part, __ATOMIC_RELEASE);
		if (part == ENDING)
			return;
		bench_row_next(&row, i);
		if (part != SHARING) {
			status = bench_submit_in_time(flood, &row, seat);
		} else {
			status = penstock_submit(flood->db, &row.submission, PENSTOCK_FOREVER, NULL);
			__atomic_store_n(&seat->count, seat->count + 1, __ATOMIC_RELAXED);
		}
	}
	snprintf(hand->message, sizeof hand->message, "%s", penstock_error_message());
}

/* ---- sharing ---- */

struct bench_look {
	uint64_t time;
	uint64_t writer;
	uint64_t process;
	uint64_t counts[BENCH_CREW_MAX];
};

static uint64_t bench_clock_nsec(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void bench_look_around(struct bench_flood *flood, struct bench_look *look)
{
	clockid_t clock = CLOCK_MONOTONIC;

	pthread_getcpuclockid(writer, &clock);
	look->time = bench_nsec();
	look->writer = bench_clock_nsec(clock);
	look->process = bench_clock_nsec(CLOCK_PROCESS_CPUTIME_ID);
	for (unsigned i = 0; i < BENCH_CREW_MAX; i++)
		look->counts[i] = __atomic_load_n(&flood->seats[i].count, __ATOMIC_RELAXED);
}

static void bench_say_shares(struct bench_case *self, const struct bench_look *before, const struct bench_look *after)
{
	double time = (double)(after->time - before->time), mine = (double)(after->writer - before->writer);
	double sum = 0, squares = 0, least = INFINITY, most = 0;

	for (unsigned i = 0; i < self->number; i++) {
		double count = (double)(after->counts[i] - before->counts[i]);

		sum += count;
		squares += count * count;
		least = fmin(least, count);
		most = fmax(most, count);
	}
	bench_say(self, "items_per_second", sum / time * 1e9);
	bench_say(self, "writer_share", mine / time);
	bench_say(self, "producers_share", ((double)(after->process - before->process) - mine) / time);
	bench_say(self, "least_by_most", most > 0 ? least / most : 0);
	bench_say(self, "jain", squares > 0 ? sum * sum / (self->number * squares) : 0);
	bench_say_seconds(self, sum > 0 ? time / 1e9 / sum : 0);
}

/* ---- deadlines ---- */

static void bench_say_late(struct bench_case *self, const struct bench_flood *flood)
{
	double *late = malloc(sizeof *late * LATE_MAX * self->number);
	uint64_t early = 0;
	size_t count = 0;

	if (late == NULL)
		abort();
	for (unsigned i = 0; i < self->number; i++) {
		for (size_t j = 0; j < flood->seats[i].late_count; j++)
			late[count++] = flood->seats[i].late[j];
		early += flood->seats[i].early;
	}
	bench_sort(late, count);
	bench_say(self, "deadlines", (double)count);
	bench_say(self, "early", (double)early);
	bench_say(self, "late_p50_us", bench_quantile(late, count, 0.50));
	bench_say(self, "late_p99_us", bench_quantile(late, count, 0.99));
	bench_say(self, "late_max_us", bench_quantile(late, count, 1.0));
	free(late);
}

static bool bench_hold_writer(struct bench_flood *flood, unsigned producers)
{
	penstock_submission hold = { .struct_size = sizeof hold,
		                     .sql_bytes = -1,
		                     .sql = "INSERT INTO t VALUES(NULL,0,'',bench_hold())" };
	penstock_handle *handle;

	__atomic_store_n(&held, HOLD_ASKED, __ATOMIC_RELEASE);
	__atomic_store_n(&flood->part, HURRYING, __ATOMIC_RELEASE);
	/* One that still waits for ever for room would not have a deadline. */
	for (unsigned i = 0; i < producers; i++) {
		while (__atomic_load_n(&flood->seats[i].part, __ATOMIC_ACQUIRE) == SHARING &&
		       penstock_phase_of(flood->db) == PENSTOCK_PHASE_RUNNING)
			bench_sleep_nsec(LOOK_NSEC);
	}
	if (penstock_submit(flood->db, &hold, PENSTOCK_FOREVER, &handle) != PENSTOCK_OK)
		return false;
	while (__atomic_load_n(&held, __ATOMIC_ACQUIRE) == HOLD_ASKED && penstock_handle_result(handle) == NULL)
		bench_sleep_nsec(LOOK_NSEC);
	penstock_handle_release(handle);
	__atomic_store_n(&flood->part, HELD, __ATOMIC_RELEASE);
	return __atomic_load_n(&held, __ATOMIC_ACQUIRE) == HOLD_BEGUN;
}

static void bench_release(struct bench_flood *flood)
{
	__atomic_store_n(&flood->part, ENDING, __ATOMIC_RELEASE);
	__atomic_store_n(&held, HOLD_OVER, __ATOMIC_RELEASE);
}

/* ---- both parts ---- */

static void bench_measure_flood(struct bench_case *self, struct bench_flood *flood)
{
	struct bench_crew crew = { .context = flood, .work = bench_flood_work, .count = self->number };
	struct bench_look before, after;
	bool whole;

	bench_crew_begin(&crew);
	bench_sleep_nsec(SETTLE_NSEC);
	bench_look_around(flood, &before);
	bench_sleep_nsec(bench_quick ? SHARE_QUICK_NSEC : SHARE_NSEC);
	bench_look_around(flood, &after);
	whole = bench_hold_writer(flood, self->number);
	if (!whole)
		bench_fail(self, "the writer cannot be held");
	bench_sleep_nsec(bench_quick ? DEADLINE_QUICK_NSEC : DEADLINE_NSEC);
	bench_release(flood);
	if (!bench_crew_end(self, &crew) || !whole)
		return;
	bench_say_shares(self, &before, &after);
	bench_say_late(self, flood);
}

static void bench_run_full(struct bench_case *self)
{
	const char *keys[] = { "synchronous=normal", "ring_slots=" RING_SLOTS, NULL };
	struct bench_flood *flood = aligned_alloc(128, sizeof *flood);
	penstock_statement *insert, *spinning;

	if (flood == NULL)
		abort();
	*flood = (struct bench_flood){ .part = SHARING };
	flood->db = bench_open(self, bench_database_new(), bench_connected, keys);
	if (flood->db != NULL && bench_prepare(self, flood->db, &insert)) {
		if (penstock_statement_register(flood->db, "INSERT INTO t VALUES(?,?,?,bench_spin())", -1, &spinning) ==
		    PENSTOCK_OK) {
			flood->spinning = spinning;
			bench_measure_flood(self, flood);
		} else {
			bench_fail(self, "%s", penstock_error_message());
		}
	}
	penstock_close(flood->db, PENSTOCK_FOREVER);
	bench_database_remove();
	free(flood);
}

void bench_add_full(void)
{
	static const unsigned counts[] = { 8, 16, 32, 64 };

	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		struct bench_case each = { .run = bench_run_full, .number = counts[i] };

		snprintf(each.name, sizeof each.name, "full/penstock/producers:%u", counts[i]);
		bench_add(&each);
	}
}
