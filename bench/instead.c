/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instead.c - Penstock beside what people would use instead: same rows, same durability, one run
 *
 * instead/WHO/USE (instead.h has the uses). All take turns, round by round, each for the same time on a fresh file or table, in the
 * same file system; the order moves on by one from round to round, and `penstock_by_this` is taken within a round.
 */
#include "bench/instead.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/plot.h"

#define ROUNDS 3
#define ROUND_NSEC 500000000
#define RATIO_MIN 1.0

static const struct {
	const char *name;
	const char *words;
	unsigned threads;
} uses[BENCH_USES] = {
	[BENCH_ONE] = { "one", "one that waits", 1 },        [BENCH_EIGHT] = { "eight", "8 that wait", 8 },
	[BENCH_MANY] = { "many", "64 that wait", 64 },       [BENCH_IN_FLIGHT] = { "in_flight", "1000 in flight", 1 },
	[BENCH_FORGET] = { "forget", "fire and forget", 1 },
};

const char *bench_use_name(enum bench_use use)
{
	return uses[use].name;
}

unsigned bench_use_threads(enum bench_use use)
{
	return uses[use].threads;
}

/* ---- threads ---- */

struct bench_users {
	struct bench_user of[BENCH_CREW_MAX];
	uint64_t nsec;
	void *context;
};

struct bench_user *bench_user_of(const struct bench_hand *hand)
{
	struct bench_users *users = hand->crew->context;

	return &users->of[hand->number];
}

uint64_t bench_user_until(const struct bench_hand *hand)
{
	const struct bench_users *users = hand->crew->context;

	return hand->crew->started + users->nsec;
}

void *bench_user_context(const struct bench_hand *hand)
{
	const struct bench_users *users = hand->crew->context;

	return users->context;
}

bool bench_use_by_threads(struct bench_case *self, unsigned count, uint64_t nsec, void *context, bench_work *ready,
                          bench_work *work, bench_work *done, struct bench_used *used)
{
	static struct bench_users users;
	static struct bench_histogram all;
	struct bench_crew crew = { .context = &users, .ready = ready, .work = work, .count = count };
	bool whole;

	memset(&users, 0, sizeof users);
	memset(&all, 0, sizeof all);
	users.nsec = nsec;
	users.context = context;
	*used = (struct bench_used){ 0 };
	bench_crew_begin(&crew);
	whole = bench_crew_end(self, &crew);
	for (unsigned i = 0; i < count; i++) {
		if (done != NULL)
			done(&crew.hands[i]);
		bench_histogram_add(&all, &users.of[i].times);
		used->rows += (double)users.of[i].rows;
		if (used->worst < (double)users.of[i].worst)
			used->worst = (double)users.of[i].worst;
	}
	used->seconds = (double)(crew.ended - crew.started) / 1e9;
	used->p50 = bench_histogram_quantile(&all, 0.50);
	used->p99 = bench_histogram_quantile(&all, 0.99);
	used->p999 = bench_histogram_quantile(&all, 0.999);
	return whole;
}

/* ---- programs ---- */

/* timeout(1) */
#define HUNG 124

bool bench_end_command(struct bench_case *self, FILE *child, bool read, const char *what)
{
	int status = child != NULL ? pclose(child) : -1;
	char message[160];

	if (read && status == 0)
		return true;
	if (WIFEXITED(status) && WEXITSTATUS(status) == HUNG) {
		snprintf(message, sizeof message, "hung: %s", what);
		bench_leave_out(self, message);
	} else {
		bench_fail(self, "failed: %.200s", what);
	}
	return false;
}

bool bench_use_by_command(struct bench_case *self, const char *command, struct bench_used *used)
{
	FILE *child = popen(command, "r");
	bool read = child != NULL && fscanf(child, "%lf %lf %lf %lf %lf %lf", &used->rows, &used->seconds, &used->p50,
	                                    &used->p99, &used->p999, &used->worst) == 6;

	return bench_end_command(self, child, read, command);
}

/* ---- Penstock ---- */

struct bench_flight {
	penstock *db;
	const penstock_statement *insert;
	enum bench_use use;
	struct bench_user *user;
	sem_t heard;
	bool failed;
};

/* What a callback gets: its flight, and when it was submitted. Outcomes come in order, so a place is free again in time. */
struct bench_place {
	struct bench_flight *flight;
	uint64_t since;
};

/* On the writer thread, which is the only one to note while it runs. */
static void bench_flown(void *arg, const penstock_result *result)
{
	const struct bench_place *place = arg;
	struct bench_flight *flight = place->flight;

	bench_user_note(flight->user, bench_nsec() - place->since);
	flight->user->rows++;
	if (result->status != PENSTOCK_OK)
		flight->failed = true;
	sem_post(&flight->heard);
}

static void bench_fly(struct bench_hand *hand, struct bench_flight *flight, struct bench_row *row)
{
	static struct bench_place places[BENCH_FLIGHT];
	uint64_t until = bench_user_until(hand), submitted = 0, ended = 0;
	int status = PENSTOCK_OK;

	flight->user = bench_user_of(hand);
	row->submission.on_complete = bench_flown;
	while (status == PENSTOCK_OK && (ended < submitted || bench_nsec() < until)) {
		bool on = bench_nsec() < until;

		for (; on && status == PENSTOCK_OK && submitted - ended < BENCH_FLIGHT; submitted++) {
			struct bench_place *place = &places[submitted % BENCH_FLIGHT];

			*place = (struct bench_place){ flight, bench_nsec() };
			bench_row_next(row, submitted);
			row->submission.arg = place;
			status = penstock_submit(flight->db, &row->submission, PENSTOCK_FOREVER, NULL);
		}
		while (sem_wait(&flight->heard) != 0)
			;
		do
			ended++;
		while (ended < submitted && sem_trywait(&flight->heard) == 0);
	}
	if (status != PENSTOCK_OK || flight->failed)
		snprintf(hand->message, sizeof hand->message, "%s", penstock_error_message());
}

static void bench_penstock_use(struct bench_hand *hand)
{
	struct bench_flight *flight = bench_user_context(hand);
	struct bench_user *user = bench_user_of(hand);
	uint64_t until = bench_user_until(hand), now = bench_nsec(), begun;
	struct bench_row row;
	int status = PENSTOCK_OK;

	bench_row_init(&row, flight->insert);
	if (flight->use == BENCH_IN_FLIGHT) {
		bench_fly(hand, flight, &row);
		return;
	}
	for (; now < until && status == PENSTOCK_OK; user->rows++) {
		begun = now;
		bench_row_next(&row, user->rows);
		if (flight->use == BENCH_FORGET)
			status = penstock_submit(flight->db, &row.submission, PENSTOCK_FOREVER, NULL);
		else
			status = penstock_execute(flight->db, &row.submission, PENSTOCK_FOREVER, NULL);
		now = bench_nsec();
		if (flight->use != BENCH_FORGET)
			bench_user_note(user, now - begun);
	}
	if (status == PENSTOCK_OK && flight->use == BENCH_FORGET)
		status = penstock_flush(flight->db, PENSTOCK_FOREVER);
	if (status != PENSTOCK_OK)
		snprintf(hand->message, sizeof hand->message, "%s", penstock_error_message());
}

static bool bench_penstock_run(struct bench_case *self, enum bench_use use, uint64_t nsec, struct bench_used *used)
{
	static const char *const keys[] = { "synchronous=full", NULL };
	struct bench_flight flight = { .db = bench_open(self, bench_database_new(), NULL, keys), .use = use };
	penstock_statement *insert;
	bool whole = flight.db != NULL && bench_prepare(self, flight.db, &insert);

	if (whole) {
		flight.insert = insert;
		sem_init(&flight.heard, 0, 0);
		whole = bench_use_by_threads(self, uses[use].threads, nsec, &flight, NULL, bench_penstock_use, NULL, used);
		sem_destroy(&flight.heard);
	}
	if (flight.db != NULL)
		penstock_close(flight.db, PENSTOCK_FOREVER);
	bench_database_remove();
	return whole;
}

static const struct bench_instead bench_penstock_instead = { .name = "penstock", .run = bench_penstock_run };

/* ---- who there is ---- */

static const struct {
	const struct bench_instead *instead; /* NULL: not built */
	const char *name;
	const char *left_out;
} peers[] = {
	{ &bench_penstock_instead, "penstock", NULL },
	{ &bench_postgresql_instead, "postgresql", "built without libpq-dev" },
	{ &bench_rocksdb_instead, "rocksdb", "built without librocksdb-dev" },
	{ &bench_better_sqlite3_instead, "better_sqlite3", NULL },
	{ &bench_peewee_instead, "peewee", NULL },
};
#define PEERS (sizeof peers / sizeof peers[0])

static const char *bench_peer_left_out(size_t peer)
{
	if (peers[peer].instead == NULL)
		return peers[peer].left_out;
	return peers[peer].instead->left_out == NULL ? NULL : peers[peer].instead->left_out();
}

/* The same of one that is to run now. */
static const char *bench_peer_begin(size_t peer)
{
	const char *reason = bench_peer_left_out(peer);

	return reason != NULL || peers[peer].instead->begin == NULL ? reason : peers[peer].instead->begin();
}

const char *bench_instead_left_out(void)
{
	static char names[400];

	names[0] = '\0';
	for (size_t p = 0; p < PEERS; p++) {
		const char *reason = bench_peer_left_out(p);
		size_t length = strlen(names);

		if (reason != NULL)
			snprintf(names + length, sizeof names - length, "%s%s (%s)", length == 0 ? "" : ", ", peers[p].name,
			         reason);
	}
	return names[0] == '\0' ? "none" : names;
}

/* ---- a comparison ---- */

struct bench_standings {
	bool measured;
	unsigned repetition;
	unsigned rounds;
	struct {
		double rate[ROUNDS], ratio[ROUNDS], p50[ROUNDS], p99[ROUNDS], p999[ROUNDS], worst[ROUNDS];
	} of[PEERS];
};

static struct bench_standings standings[BENCH_USES];

static bool bench_compare_round(struct bench_case *self, enum bench_use use, struct bench_standings *all, unsigned r)
{
	for (size_t i = 0; i < PEERS; i++) {
		size_t p = (i + r) % PEERS;
		struct bench_used used = { 0 };

		if (bench_peer_begin(p) != NULL)
			continue;
		if (!peers[p].instead->run(self, use, bench_amount(ROUND_NSEC), &used))
			return false;
		all->of[p].rate[r] = used.rows / used.seconds;
		all->of[p].p50[r] = used.p50 / 1e3;
		all->of[p].p99[r] = used.p99 / 1e3;
		all->of[p].p999[r] = used.p999 / 1e3;
		all->of[p].worst[r] = used.worst / 1e3;
	}
	for (size_t p = 0; p < PEERS; p++)
		all->of[p].ratio[r] = all->of[p].rate[r] > 0 ? all->of[0].rate[r] / all->of[p].rate[r] : 0;
	return true;
}

static struct bench_spread bench_spread_of_rounds(const struct bench_standings *all, const double *values)
{
	double copy[ROUNDS];

	memcpy(copy, values, sizeof copy);
	return bench_spread_of(copy, all->rounds);
}

/* By the best of those that are here; the context names the others. */
static void bench_judge_use(enum bench_use use, const struct bench_standings *all)
{
	struct bench_target target = { .line = BENCH_LINE_INSTEAD, .limit = RATIO_MIN, .unit = " x", .decimals = 2 };
	size_t nearest = 0;

	for (size_t p = 1; p < PEERS; p++) {
		struct bench_spread ratio = bench_spread_of_rounds(all, all->of[p].ratio);

		if (ratio.median > 0 && (nearest == 0 || ratio.median < target.figure.median)) {
			nearest = p;
			target.figure = ratio;
		}
	}
	if (nearest == 0)
		return;
	snprintf(target.what, sizeof target.what, "instead, %s: rows/s by the best (%s)", uses[use].words, peers[nearest].name);
	bench_judge(&target);
}

static bool bench_compare_use(struct bench_case *self, enum bench_use use)
{
	struct bench_standings *all = &standings[use];

	if (all->measured && all->repetition == self->repetition)
		return true;
	memset(all, 0, sizeof *all);
	all->rounds = bench_rounds(ROUNDS);
	for (unsigned r = 0; r < all->rounds; r++) {
		if (!bench_compare_round(self, use, all, r))
			return false;
	}
	all->measured = true;
	all->repetition = self->repetition;
	bench_judge_use(use, all);
	return true;
}

static void bench_run_instead(struct bench_case *self)
{
	size_t p = self->number / BENCH_USES, use = self->number % BENCH_USES;
	const struct bench_standings *all = &standings[use];
	char family[80];

	if (bench_peer_begin(p) != NULL) {
		bench_leave_out(self, bench_peer_begin(p));
		return;
	}
	if (!bench_compare_use(self, use))
		return;
	bench_say_rate(self, bench_spread_of_rounds(all, all->of[p].rate));
	if (p > 0)
		bench_say_spread(self, "penstock_by_this", bench_spread_of_rounds(all, all->of[p].ratio));
	snprintf(family, sizeof family, "instead/%s", uses[use].words);
	bench_plot_point(family, peers[p].name, uses[use].threads, bench_spread_of_rounds(all, all->of[p].rate));
	if (use == BENCH_FORGET)
		return;
	bench_say_spread(self, "p50_us", bench_spread_of_rounds(all, all->of[p].p50));
	bench_say_spread(self, "p99_us", bench_spread_of_rounds(all, all->of[p].p99));
	bench_say_spread(self, "p99.9_us", bench_spread_of_rounds(all, all->of[p].p999));
	bench_say_spread(self, "worst_us", bench_spread_of_rounds(all, all->of[p].worst));
}

void bench_add_instead(void)
{
	for (unsigned use = 0; use < BENCH_USES; use++) {
		for (unsigned p = 0; p < PEERS; p++) {
			struct bench_case each = { .run = bench_run_instead,
				                   .number = p * BENCH_USES + use,
				                   .has_target = p == 0,
				                   .line = BENCH_LINE_INSTEAD };

			snprintf(each.name, sizeof each.name, "instead/%s/%s", peers[p].name, uses[use].name);
			bench_add(&each);
		}
	}
}
