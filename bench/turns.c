/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turns.c - what turns do for several processes that write to one file
 *
 * turns/LEVEL/HOW/P:T. P processes of T threads are let go together and write for a second. HOW is `waits` (each thread writes a row
 * and waits until it is there), or `fires` (Penstock's threads submit and go on; others write a hundred rows in a transaction). By turns,
 * round by round, on a fresh file each:
 *
 *   penstock   an engine in each process
 *   off        the same with turns=no
 *   timeout    a connection for each thread, busy_timeout, BEGIN IMMEDIATE
 *   poll       the same with a busy handler that looks each millisecond, as Rails does
 *   peewee     a queue of Peewee's in each process; only where they wait, and where it is installed (the context says so)
 *
 * rows/s, and by each of the others; the least of the processes' rows by the most; the longest that any thread waited for a row (or, where
 * it fires, for a submit or a transaction). A peer that fails (its busy timeout, a minute) fails the case.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/crew.h"
#include "bench/database.h"
#include "bench/peers/peewee.h"

#define ROUNDS 3
#define SECONDS 1.0
#define SECONDS_QUICK 0.2
#define PROCESSES_MAX 8
#define BATCH 100

struct bench_company {
	const char *synchronous;
	bool waits;
	unsigned processes, threads;
};

enum bench_way { PENSTOCK, OFF, TIMEOUT, POLL, PEEWEE, WAYS };
static const char *const way_names[WAYS] = { "penstock", "off", "timeout", "poll", "peewee" };

/* What the processes share. */
struct bench_member {
	_Atomic uint64_t rows, worst_nsec;
	_Atomic bool ready, failed;
	char message[200];
};

static struct bench_shared {
	_Atomic bool go, over;
	struct bench_member members[PROCESSES_MAX];
} * shared;

/* ---- in a process ------------------------------------------------------------------------------------------------- */

struct bench_self {
	const struct bench_company *company;
	enum bench_way way;
	const char *path;
	struct bench_member *member;
	penstock *db;
	penstock_statement *insert;
};

static void bench_note_wait(struct bench_member *member, uint64_t nsec)
{
	uint64_t worst = member->worst_nsec;

	while (nsec > worst && !atomic_compare_exchange_weak(&member->worst_nsec, &worst, nsec))
		;
}

static void bench_await_go(void)
{
	while (!shared->go)
		bench_sleep_nsec(100000);
}

static int bench_poll(void *arg, int count)
{
	(void)arg;
	bench_sleep_nsec(1000000);
	return count < 60000;
}

static void bench_submit_on(struct bench_self *self, struct bench_row *row)
{
	bool waits = self->company->waits;
	int status = PENSTOCK_OK;

	for (uint64_t i = 0; status == PENSTOCK_OK && !shared->over; i++) {
		uint64_t began = bench_nsec();

		bench_row_next(row, i);
		status = waits ? penstock_execute(self->db, &row->submission, PENSTOCK_FOREVER, NULL)
		               : penstock_submit(self->db, &row->submission, PENSTOCK_FOREVER, NULL);
		bench_note_wait(self->member, bench_nsec() - began);
		if (waits)
			self->member->rows++;
	}
	if (status != PENSTOCK_OK && !self->member->failed) {
		snprintf(self->member->message, sizeof self->member->message, "%s", penstock_error_message());
		self->member->failed = true;
	}
}

static void *bench_penstock_thread(void *arg)
{
	struct bench_self *self = arg;
	struct bench_row row;

	bench_row_init(&row, self->insert);
	bench_await_go();
	bench_submit_on(self, &row);
	return NULL;
}

static void *bench_plain_thread(void *arg)
{
	struct bench_self *self = arg;
	struct bench_member *member = self->member;
	uint64_t count = self->company->waits ? 1 : BATCH;
	struct bench_inserter inserter;
	sqlite3 *connection = bench_plain_open(self->path, self->company->synchronous, member->message, sizeof member->message);
	bool whole = connection != NULL && bench_inserter_init(&inserter, connection, "BEGIN IMMEDIATE");

	if (whole && self->way == POLL)
		sqlite3_busy_handler(connection, bench_poll, NULL);
	bench_await_go();
	for (uint64_t i = 0; whole && !shared->over; i += count) {
		uint64_t began = bench_nsec();

		whole = bench_inserter_rows(&inserter, i, count);
		bench_note_wait(member, bench_nsec() - began);
		member->rows += count;
	}
	if (!whole) {
		if (connection != NULL)
			snprintf(member->message, sizeof member->message, "%s", sqlite3_errmsg(connection));
		member->failed = true;
	}
	if (connection != NULL)
		bench_inserter_finish(&inserter);
	sqlite3_close(connection);
	return NULL;
}

static void bench_open_engine(struct bench_self *self)
{
	penstock_config config;
	struct bench_row row;

	penstock_config_init(&config);
	config.synchronous =
		strcmp(self->company->synchronous, "FULL") == 0 ? PENSTOCK_SYNCHRONOUS_FULL : PENSTOCK_SYNCHRONOUS_NORMAL;
	config.turns = self->way == PENSTOCK;
	if (penstock_open(self->path, &config, &self->db) == PENSTOCK_OK &&
	    penstock_statement_register(self->db, BENCH_INSERT, -1, &self->insert) == PENSTOCK_OK) {
		bench_row_init(&row, self->insert);
		if (penstock_execute(self->db, &row.submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK)
			return;
	}
	snprintf(self->member->message, sizeof self->member->message, "%s", penstock_error_message());
	self->member->failed = true;
}

static void bench_be_a_queue_of_peewee(struct bench_self *self)
{
	struct bench_member *member = self->member;
	uint64_t rows = 0, worst_nsec = 0;
	struct bench_peewee peewee;

	if (!bench_peewee_begin(&peewee, self->path, self->company->synchronous, self->company->threads)) {
		snprintf(member->message, sizeof member->message, "peewee_turns.py did not begin");
		member->failed = true;
	}
	member->ready = true;
	if (member->failed)
		_exit(1);
	bench_await_go();
	bench_peewee_go(&peewee);
	while (!shared->over)
		bench_sleep_nsec(1000000);
	if (!bench_peewee_end(&peewee, &rows, &worst_nsec)) {
		snprintf(member->message, sizeof member->message, "peewee_turns.py failed");
		member->failed = true;
	}
	member->rows = rows;
	member->worst_nsec = worst_nsec;
	_exit(0);
}

static void bench_be_a_process(struct bench_self *self)
{
	bool engine = self->way == PENSTOCK || self->way == OFF;
	penstock_counters before = { .struct_size = sizeof before }, after = { .struct_size = sizeof after };
	pthread_t threads[BENCH_CREW_MAX];

	if (self->way == PEEWEE)
		bench_be_a_queue_of_peewee(self);
	if (engine)
		bench_open_engine(self);
	if (!self->member->failed) {
		if (engine)
			penstock_counters_read(self->db, &before);
		for (unsigned i = 0; i < self->company->threads; i++) {
			if (pthread_create(&threads[i], NULL, engine ? bench_penstock_thread : bench_plain_thread, self) != 0)
				_exit(1);
		}
	}
	self->member->ready = true;
	if (self->member->failed)
		_exit(1);
	while (!shared->over)
		bench_sleep_nsec(1000000);
	if (engine)
		penstock_counters_read(self->db, &after);
	if (!self->company->waits && engine)
		self->member->rows = after.committed - before.committed;
	for (unsigned i = 0; i < self->company->threads; i++)
		pthread_join(threads[i], NULL);
	penstock_close_with(self->db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP);
	_exit(0);
}

/* ---- a round ------------------------------------------------------------------------------------------------------ */

struct bench_came {
	double rate, least_by_most, worst_ms;
};

static bool bench_judge_members(struct bench_case *self, const struct bench_company *company, enum bench_way way,
                                double seconds, struct bench_came *came)
{
	uint64_t sum = 0, least = UINT64_MAX, most = 0, worst = 0;

	for (unsigned i = 0; i < company->processes; i++) {
		const struct bench_member *member = &shared->members[i];

		if (member->failed) {
			bench_fail(self, "%s: %s", way_names[way], member->message);
			return false;
		}
		sum += member->rows;
		least = member->rows < least ? member->rows : least;
		most = member->rows > most ? member->rows : most;
		worst = member->worst_nsec > worst ? member->worst_nsec : worst;
	}
	*came = (struct bench_came){ .rate = (double)sum / seconds,
		                     .least_by_most = most > 0 ? (double)least / (double)most : 0,
		                     .worst_ms = (double)worst / 1e6 };
	return true;
}

static bool bench_company_round(struct bench_case *self, const struct bench_company *company, enum bench_way way,
                                struct bench_came *came)
{
	const char *path = bench_database_new();
	sqlite3 *first = bench_plain_new(self, path, company->synchronous);
	struct bench_self process = { .company = company, .way = way, .path = path };
	pid_t children[PROCESSES_MAX];
	uint64_t began;
	double seconds;
	bool ready;

	if (first == NULL)
		return false;
	/* No child may have it open. */
	sqlite3_close(first);
	memset(shared, 0, sizeof *shared);
	for (unsigned i = 0; i < company->processes; i++) {
		process.member = &shared->members[i];
		children[i] = fork();
		if (children[i] == 0)
			bench_be_a_process(&process);
		if (children[i] < 0) {
			perror("penstock-bench: fork");
			exit(1);
		}
	}
	do {
		bench_sleep_nsec(1000000);
		ready = true;
		for (unsigned i = 0; i < company->processes; i++)
			ready = ready && shared->members[i].ready;
	} while (!ready);
	began = bench_nsec();
	shared->go = true;
	bench_sleep_nsec((uint64_t)((bench_quick ? SECONDS_QUICK : SECONDS) * 1e9));
	shared->over = true;
	seconds = (double)(bench_nsec() - began) / 1e9;
	for (unsigned i = 0; i < company->processes; i++)
		waitpid(children[i], NULL, 0);
	bench_database_remove();
	return bench_judge_members(self, company, way, seconds, came);
}

static bool bench_takes_part(const struct bench_company *company, enum bench_way way)
{
	return way != PEEWEE || (company->waits && bench_peewee_left_out() == NULL);
}

static void bench_run_company(struct bench_case *self)
{
	const struct bench_company *company = self->what;
	double rate[WAYS][ROUNDS], least[WAYS][ROUNDS], worst[WAYS][ROUNDS], by[WAYS][ROUNDS];
	unsigned rounds = bench_rounds(ROUNDS);
	struct bench_spread figure;
	char name[64];

	if (shared == NULL)
		shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		exit(1);
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned w = 0; w < WAYS; w++) {
			unsigned way = (w + r) % WAYS;
			struct bench_came came;

			if (!bench_takes_part(company, (enum bench_way)way))
				continue;
			if (!bench_company_round(self, company, (enum bench_way)way, &came))
				return;
			rate[way][r] = came.rate;
			least[way][r] = came.least_by_most;
			worst[way][r] = came.worst_ms;
		}
		for (unsigned w = OFF; w < WAYS; w++)
			by[w][r] = bench_takes_part(company, w) && rate[w][r] > 0 ? rate[PENSTOCK][r] / rate[w][r] : 0;
	}
	bench_say_rate(self, bench_spread_of(rate[PENSTOCK], rounds));
	for (unsigned w = 0; w < WAYS; w++) {
		if (!bench_takes_part(company, w))
			continue;
		figure = bench_spread_of(least[w], rounds);
		snprintf(name, sizeof name, "least_by_most_%s", way_names[w]);
		bench_say(self, name, figure.median);
		figure = bench_spread_of(worst[w], rounds);
		snprintf(name, sizeof name, "worst_ms_%s", way_names[w]);
		bench_say(self, name, figure.max);
		if (w == PENSTOCK)
			continue;
		snprintf(name, sizeof name, "by_%s", way_names[w]);
		bench_say_spread(self, name, bench_spread_of(by[w], rounds));
	}
}

void bench_add_turns(void)
{
	static const unsigned processes[] = { 1, 2, 4, 8 }, threads[] = { 2, 8 };
	static const char *const levels[] = { "FULL", "NORMAL" };
	static struct bench_company all[2 * 2 * 4 * 2];
	struct bench_company *company = all;

	for (size_t l = 0; l < 2; l++) {
		for (unsigned waits = 2; waits-- > 0;) {
			for (size_t p = 0; p < 4; p++) {
				for (size_t t = 0; t < 2; t++, company++) {
					struct bench_case each = { .run = bench_run_company, .what = company };

					*company = (struct bench_company){ levels[l], waits != 0, processes[p], threads[t] };
					/* Of processes, which are beside another build, there is more in processes.c. */
					each.extra = l != 0 || t == 0 || p == 3;
					snprintf(each.name, sizeof each.name, "turns/%s/%s/%u:%u", levels[l],
					         waits != 0 ? "waits" : "fires", processes[p], threads[t]);
					bench_add(&each);
				}
			}
		}
	}
}
