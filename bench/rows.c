/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rows.c - rows a second through the engine and its peers, each beside the raw loop
 *
 * write/WRITER/LEVEL/ACK/producers:N/batch:B. LEVEL is synchronous; B the most rows in one transaction.
 *
 *   none      each producer fires and forgets its share of a fixed number of rows; the time runs from the barrier that
 *             lets them go until all are committed (penstock_flush). The raw loop does as many rows in transactions
 *             of B
 *   durable   each producer submits, waits until its row is on the disk, and again. The raw loop is autocommit under
 *             FULL, also beside Penstock under NORMAL (PENSTOCK_ACK_DURABLE); no peer can do that
 *
 * The writer and the raw loop take turns, each round on a fresh file; which comes first alternates, and each ratio is
 * taken within a round. So all writers have been measured beside the same thing, however the machine changed meanwhile.
 * Both leave some of their WAL to be checkpointed when they close (Penstock more or less than SQLite, which checkpoints
 * every 1000 pages), so the ratio is shown a second time with the closing in both times.
 *
 * There are more combinations than anybody wants to wait for: without a filter only a part is run (bench_case.extra).
 */
#include "bench/rows.h"

#include <stdio.h>
#include <string.h>

#include "bench/crew.h"
#include "bench/plot.h"

#define ROUNDS 5     /* of what has a target */
#define ROUNDS_FEW 2 /* of everything else */
#define ROWS_MIN_NORMAL 1.8
#define ROWS_MIN_FULL 1.5
#define WAIT_MANY_MIN 25.0
#define TARGET_BATCH 1000

/* ---- Penstock ---- */

struct bench_penstock_share {
	penstock *db;
	const penstock_statement *insert;
	const struct bench_task *task;
};

static void bench_penstock_work(struct bench_hand *hand)
{
	const struct bench_penstock_share *share = hand->crew->context;
	const struct bench_task *task = share->task;
	int status = PENSTOCK_OK;
	struct bench_row row;

	bench_row_init(&row, share->insert);
	row.submission.ack = task->durable ? PENSTOCK_ACK_DURABLE : PENSTOCK_ACK_DEFAULT;
	for (uint64_t i = 0; i < task->rows / task->producers && status == PENSTOCK_OK; i++) {
		bench_row_next(&row, i);
		if (task->waits)
			status = penstock_execute(share->db, &row.submission, PENSTOCK_FOREVER, NULL);
		else
			status = penstock_submit(share->db, &row.submission, PENSTOCK_FOREVER, NULL);
	}
	if (status != PENSTOCK_OK)
		snprintf(hand->message, sizeof hand->message, "%s", penstock_error_message());
}

static bool bench_penstock_produce(struct bench_case *self, penstock *db, const struct bench_task *task,
                                   struct bench_took *took)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	struct bench_penstock_share share = { .db = db, .task = task };
	struct bench_crew crew = { .context = &share, .work = bench_penstock_work, .count = task->producers };
	penstock_statement *insert;

	if (!bench_prepare(self, db, &insert))
		return false;
	share.insert = insert;
	bench_crew_begin(&crew);
	if (!bench_crew_end(self, &crew))
		return false;
	penstock_flush(db, PENSTOCK_FOREVER);
	took->seconds = (double)(bench_nsec() - crew.started) / 1e9;
	penstock_counters_read(db, &counters);
	/* The table and bench_prepare's row are two more. */
	if (counters.failed != 0 || counters.committed != task->rows + 2) {
		bench_fail(self, "%llu rows of %llu arrived", (unsigned long long)counters.committed - 2,
		           (unsigned long long)task->rows);
		return false;
	}
	took->outcome_p50 = (double)penstock_histogram_quantile(&counters.outcome_nsec, 0.50);
	took->outcome_p99 = (double)penstock_histogram_quantile(&counters.outcome_nsec, 0.99);
	return true;
}

static bool bench_penstock_write(struct bench_case *self, const struct bench_task *task, struct bench_took *took)
{
	char batch[40];
	bool full = strcmp(task->synchronous, "FULL") == 0;
	const char *keys[] = { full ? "synchronous=full" : "synchronous=normal", batch, task->key, NULL };
	uint64_t started;
	penstock *db;
	bool whole;

	snprintf(batch, sizeof batch, "batch_max=%u", task->batch);
	db = bench_open(self, bench_database_new(), NULL, keys);
	if (db == NULL)
		return false;
	whole = bench_penstock_produce(self, db, task, took);
	started = bench_nsec();
	penstock_close(db, PENSTOCK_FOREVER);
	took->close_seconds = (double)(bench_nsec() - started) / 1e9;
	bench_database_remove();
	return whole;
}

const struct bench_writer bench_penstock_writer = {
	.name = "penstock",
	.write = bench_penstock_write,
	.groups = true,
	.own_groups = true,
};

/* ---- the raw loop ---- */

static bool bench_raw_write(struct bench_case *self, const struct bench_task *task, struct bench_took *took)
{
	struct bench_raw raw;

	if (!bench_raw_loop(self, task->synchronous, task->rows, task->batch, &raw))
		return false;
	*took = (struct bench_took){ .seconds = raw.seconds, .close_seconds = raw.close_seconds };
	return true;
}

const struct bench_writer bench_raw_writer = { .name = "raw", .write = bench_raw_write, .own_groups = true };

/* ---- one comparison ---- */

struct bench_write {
	const struct bench_writer *writer;
	struct bench_task task; /* rows: to be found out */
};

static const unsigned batches[] = { 1, 10, 100, 1000, 10000 };
#define BATCHES (sizeof batches / sizeof batches[0])

/* About half a second of the raw loop; half a million where there is a target. */
static uint64_t bench_rows_to_fire(const struct bench_task *task, uint64_t autocommits)
{
	static const uint64_t rows[BATCHES] = { 20000, 150000, 300000, 500000, 500000 };
	uint64_t most;
	size_t b = 0;

	while (b < BATCHES - 1 && batches[b] < task->batch)
		b++;
	most = bench_amount(rows[b]);
	if (strcmp(task->synchronous, "FULL") == 0 && task->batch < TARGET_BATCH && most > autocommits * task->batch)
		most = autocommits * task->batch;
	return most;
}

/* As many as get done in about as long as the raw loop's autocommits. */
static uint64_t bench_rows_to_wait_for(const struct bench_write *write, uint64_t autocommits)
{
	unsigned together = write->task.batch < write->task.producers ? write->task.batch : write->task.producers;

	/* Of 64 that wait, a fifth share a commit, or more. */
	return write->writer->groups && together > 5 ? autocommits * together / 5 : autocommits;
}

struct bench_figures {
	double rate[ROUNDS], raw[ROUNDS], ratio[ROUNDS], closed[ROUNDS], p50[ROUNDS], p99[ROUNDS];
	unsigned rounds;
};

static bool bench_round(struct bench_case *self, const struct bench_write *write, uint64_t autocommits,
                        struct bench_figures *figures, unsigned round)
{
	const struct bench_task *task = &write->task;
	struct bench_task beside = *task;
	struct bench_took took = { 0 }, raw = { 0 };
	bool whole;

	if (task->waits) {
		beside.synchronous = "FULL";
		beside.batch = 1;
		beside.rows = autocommits;
	}
	if (round % 2 == 1)
		whole = write->writer->write(self, task, &took) && bench_raw_writer.write(self, &beside, &raw);
	else
		whole = bench_raw_writer.write(self, &beside, &raw) && write->writer->write(self, task, &took);
	if (!whole)
		return false;
	figures->rate[round] = (double)task->rows / took.seconds;
	figures->raw[round] = (double)beside.rows / raw.seconds;
	figures->ratio[round] = figures->rate[round] / figures->raw[round];
	figures->closed[round] = (double)task->rows / (took.seconds + took.close_seconds) /
	                         ((double)beside.rows / (raw.seconds + raw.close_seconds));
	figures->p50[round] = took.outcome_p50 / 1e3;
	figures->p99[round] = took.outcome_p99 / 1e3;
	return true;
}

static void bench_plot_write(const struct bench_write *write, const char *series, struct bench_spread rate)
{
	char family[64];

	snprintf(family, sizeof family, "write/%s/%s/producers:%u", write->task.synchronous,
	         write->task.waits ? "durable" : "none", write->task.producers);
	bench_plot_point(family, series, write->task.batch, rate);
	if (write->task.waits)
		bench_plot_describe(family, NULL, NULL,
		                    "The raw loop beside it is autocommit under synchronous=FULL, whatever the limit.");
}

static void bench_say_write(struct bench_case *self, const struct bench_write *write, struct bench_figures *figures)
{
	struct bench_spread rate = bench_spread_of(figures->rate, figures->rounds);
	struct bench_spread raw = bench_spread_of(figures->raw, figures->rounds);
	struct bench_spread ratio = bench_spread_of(figures->ratio, figures->rounds);
	struct bench_target target = { .figure = ratio, .unit = " x", .decimals = 2 };
	bool full = strcmp(write->task.synchronous, "FULL") == 0;

	bench_say_rate(self, rate);
	bench_say(self, "raw_per_second", raw.median);
	bench_say_spread(self, "by_raw", ratio);
	if (!write->task.waits && write->writer != &bench_peewee_writer)
		bench_say(self, "by_raw_with_close", bench_spread_of(figures->closed, figures->rounds).median);
	if (write->task.waits && write->writer == &bench_penstock_writer) {
		bench_say(self, "outcome_p50_us", bench_spread_of(figures->p50, figures->rounds).median);
		bench_say(self, "outcome_p99_us", bench_spread_of(figures->p99, figures->rounds).median);
	}
	bench_plot_write(write, write->writer->name, rate);
	if (write->writer == &bench_penstock_writer)
		bench_plot_write(write, bench_raw_writer.name, raw);
	if (!self->has_target)
		return;
	target.line = self->line;
	target.limit = write->task.waits ? WAIT_MANY_MIN : full ? ROWS_MIN_FULL : ROWS_MIN_NORMAL;
	if (write->task.waits)
		snprintf(target.what, sizeof target.what, "durable, %s, %u producers: rate by raw autocommit FULL",
		         write->task.synchronous, write->task.producers);
	else
		snprintf(target.what, sizeof target.what, "rows/s, %s, %u producers: by the raw loop", write->task.synchronous,
		         write->task.producers);
	bench_judge(&target);
}

static void bench_run_write(struct bench_case *self)
{
	struct bench_write write = *(const struct bench_write *)self->what;
	struct bench_figures figures = { .rounds = self->has_target ? bench_rounds(ROUNDS) : bench_quick ? 1 : ROUNDS_FEW };
	uint64_t autocommits;
	const char *left_out = write.writer->left_out == NULL ? NULL : write.writer->left_out();

	if (left_out != NULL) {
		bench_leave_out(self, left_out);
		return;
	}
	autocommits = bench_raw_autocommits(self);
	if (autocommits == 0)
		return;
	write.task.rows =
		write.task.waits ? bench_rows_to_wait_for(&write, autocommits) : bench_rows_to_fire(&write.task, autocommits);
	if (write.writer->contends && write.task.producers > 1 && write.task.batch == 1 &&
	    strcmp(write.task.synchronous, "FULL") == 0)
		write.task.rows /= 10;
	write.task.rows -= write.task.rows % write.task.producers;
	if (write.task.rows == 0)
		write.task.rows = write.task.producers;
	for (unsigned r = 0; r < figures.rounds; r++) {
		if (!bench_round(self, &write, autocommits, &figures, r))
			return;
	}
	bench_say_write(self, &write, &figures);
}

/* ---- which there are ---- */

#define WRITES_MAX 320

static void bench_add_write(const struct bench_write *write, bool has_target, bool extra)
{
	static struct bench_write writes[WRITES_MAX];
	static size_t count;
	struct bench_case each = { .run = bench_run_write, .has_target = has_target, .extra = extra };

	if (count == WRITES_MAX) {
		fprintf(stderr, "penstock-bench: raise WRITES_MAX\n");
		return;
	}
	writes[count] = *write;
	each.line = write->task.waits ? BENCH_LINE_MANY : BENCH_LINE_FIRE;
	each.what = &writes[count++];
	snprintf(each.name, sizeof each.name, "write/%s/%s/%s/producers:%u/batch:%u", write->writer->name,
	         write->task.synchronous, write->task.waits ? "durable" : "none", write->task.producers, write->task.batch);
	bench_add(&each);
}

static void bench_add_penstock(const char *synchronous, unsigned producers, bool few)
{
	struct bench_write write = { &bench_penstock_writer, { .synchronous = synchronous, .producers = producers } };

	for (size_t b = 0; b < BATCHES; b++) {
		bool target = batches[b] == TARGET_BATCH;

		write.task.batch = batches[b];
		write.task.waits = write.task.durable = false;
		bench_add_write(&write, target, few && !target);
		write.task.waits = write.task.durable = true;
		target = target && producers == BENCH_CREW_MAX;
		if (!few || target)
			bench_add_write(&write, target, producers != BENCH_CREW_MAX && batches[b] != TARGET_BATCH);
	}
}

static void bench_add_peer(const struct bench_writer *writer, const char *synchronous, unsigned producers)
{
	bool full = strcmp(synchronous, "FULL") == 0;
	struct bench_write write = { writer, { .synchronous = synchronous, .producers = producers } };

	for (size_t b = 0; b < BATCHES; b++) {
		write.task.batch = batches[b];
		write.task.waits = write.task.durable = false;
		if (batches[b] == 1 || writer->own_groups)
			bench_add_write(&write, false, writer->own_groups && batches[b] != TARGET_BATCH);
		write.task.waits = write.task.durable = true;
		if (full && (batches[b] == 1 || writer->groups) && writer != &bench_raw_writer)
			bench_add_write(&write, false, writer->groups && batches[b] != TARGET_BATCH);
	}
}

static const struct bench_writer *const peers[] = { &bench_one_connection_writer, &bench_connections_writer,
	                                            &bench_mutex_queue_writer, &bench_peewee_writer };

const char *bench_writers_left_out(void)
{
	static char names[200];

	names[0] = '\0';
	for (size_t w = 0; w < sizeof peers / sizeof peers[0]; w++) {
		const char *reason = peers[w]->left_out == NULL ? NULL : peers[w]->left_out();

		if (reason != NULL)
			snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s (%s)", names[0] == '\0' ? "" : ", ",
			         peers[w]->name, reason);
	}
	return names[0] == '\0' ? "none" : names;
}

void bench_add_rows(void)
{
	static const char *const levels[] = { "NORMAL", "FULL" };
	static const unsigned whole[] = { 1, 8, 64 }, few[] = { 2, 4, 16, 32 };

	for (size_t l = 0; l < 2; l++) {
		for (size_t p = 0; p < 3; p++)
			bench_add_penstock(levels[l], whole[p], false);
		for (size_t p = 0; p < 4; p++)
			bench_add_penstock(levels[l], few[p], true);
		bench_add_peer(&bench_raw_writer, levels[l], 1);
		for (size_t w = 0; w < sizeof peers / sizeof peers[0]; w++) {
			for (size_t p = 0; p < 3; p++)
				bench_add_peer(peers[w], levels[l], whole[p]);
		}
	}
}
