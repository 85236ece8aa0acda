/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * submit.c - one submit, on a thread that nobody contends with
 *
 * Each sample is one penstock_submit between two readings of the clock; what the two readings cost by themselves is
 * measured in the same rounds and taken off. The variants take turns, round by round:
 *
 *   held     fire-and-forget submits while the writer spins inside one statement on its own processor: nobody else
 *            touches the ring. Then a second burst without a clock in between, divided by its length (loop_ns), in which
 *            the processor's instructions are counted where it can be asked to
 *   running  the same, but the writer is awake and executes what comes
 *   handle   as held, but each submit takes a handle
 *   asleep   each submit finds the writer asleep and wakes it: one system call
 *
 * held by payload: one value of 8, 64, 256 or 4096 bytes to a statement that writes nothing; `row` is the row of all
 * other figures (bench/database.h). A burst is smaller than the ring, so nobody waits for room.
 *
 * Allocations and system calls of held submits are counted by penstock-count (count.c), which stands beside this program,
 * in a process of its own: what counts them would disturb what is timed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/database.h"
#include "bench/instructions.h"
#include "bench/payload.h"
#include "bench/plot.h"
#include "bench/queue.h"

#define BURST 4000
#define ASLEEP_BURST 200
#define ASLEEP_QUIET_NSEC 100000 /* how long after a flush the writer sleeps for certain */
#define ROUNDS 25
#define P50_MAX 40.0
#define PAYLOAD_MAX 4096

enum bench_how { CLOCK, HELD, RUNNING, HANDLE, ASLEEP };

static const struct bench_variant {
	const char *name;
	enum bench_how how;
	unsigned payload; /* bytes; 0: the row */
} bench_variants[] = {
	{ "clock", CLOCK, 0 },       { "row/held", HELD, 0 },     { "row/running", RUNNING, 0 },
	{ "row/handle", HANDLE, 0 }, { "row/asleep", ASLEEP, 0 }, { "8", HELD, 8 },
	{ "64", HELD, 64 },          { "256", HELD, 256 },        { "4096", HELD, PAYLOAD_MAX },
};
#define VARIANTS (sizeof bench_variants / sizeof bench_variants[0])
#define ROW_HELD 1
#define ROW_RUNNING 2

/* Of one variant; ns, over the clock but for CLOCK's own. */
struct bench_submit {
	struct bench_spread p50;
	struct bench_spread p99;
	struct bench_spread loop;         /* HELD */
	struct bench_spread rate;         /* HELD: submits a second, from the loop */
	struct bench_spread instructions; /* HELD; count 0: they cannot be counted */
	double allocations;               /* HELD; a submit; negative: they could not be counted */
	double system_calls;
};

struct bench_submits {
	bool whole;
	struct bench_submit of[VARIANTS];
	struct bench_submits *next; /* of the next repetition */
};

static struct bench_submits *bench_measured;

/* ---- holding the writer ---- */

static uint32_t bench_hold;   /* 1: the SQL function spins */
static uint32_t bench_inside; /* it does */

static void bench_hold_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	__atomic_store_n(&bench_inside, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&bench_hold, __ATOMIC_ACQUIRE) != 0)
		;
	__atomic_store_n(&bench_inside, 0, __ATOMIC_RELEASE);
	sqlite3_result_null(context);
}

static int bench_connect(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "bench_hold", 0, SQLITE_UTF8, NULL, bench_hold_function, NULL, NULL);
}

static void bench_hold_writer(penstock *db)
{
	penstock_submission hold = {
		.struct_size = sizeof hold, .sql_bytes = -1, .sql = "SELECT bench_hold()", .flags = PENSTOCK_RUN_ALONE
	};

	__atomic_store_n(&bench_hold, 1, __ATOMIC_RELEASE);
	penstock_submit(db, &hold, PENSTOCK_FOREVER, NULL);
	while (__atomic_load_n(&bench_inside, __ATOMIC_ACQUIRE) == 0)
		;
}

static void bench_let_go(penstock *db)
{
	__atomic_store_n(&bench_hold, 0, __ATOMIC_RELEASE);
	penstock_flush(db, PENSTOCK_FOREVER);
}

/* ---- bursts ---- */

/* What is submitted: the row, or one value. */
struct bench_thing {
	struct bench_row row;
	unsigned payload;
	penstock_submission one;
	penstock_value value;
	char bytes[PAYLOAD_MAX];
};

static double samples[BURST];
static penstock_handle *handles[BURST];

static inline const penstock_submission *bench_thing_next(struct bench_thing *thing, uint64_t number)
{
	if (thing->payload != 0) {
		memcpy(thing->bytes, &number, sizeof number);
		return &thing->one;
	}
	bench_row_next(&thing->row, number);
	return &thing->row.submission;
}

static bool bench_burst(penstock *db, struct bench_thing *thing, bool with_handle)
{
	bool whole = true;

	for (size_t i = 0; i < BURST; i++) {
		const penstock_submission *submission = bench_thing_next(thing, i);
		uint64_t before = bench_nsec();

		whole &= penstock_submit(db, submission, PENSTOCK_FOREVER, with_handle ? &handles[i] : NULL) == PENSTOCK_OK;
		samples[i] = (double)(bench_nsec() - before);
	}
	return whole;
}

static void bench_burst_of_nothing(struct bench_thing *thing)
{
	for (size_t i = 0; i < BURST; i++) {
		uint64_t before;

		bench_thing_next(thing, i);
		before = bench_nsec();
		__asm__ __volatile__("" ::: "memory");
		samples[i] = (double)(bench_nsec() - before);
	}
}

static bool bench_burst_asleep(penstock *db, struct bench_thing *thing, size_t count)
{
	bool whole = true;

	for (size_t i = 0; i < count; i++) {
		const penstock_submission *submission;
		uint64_t before, quiet;

		penstock_flush(db, PENSTOCK_FOREVER);
		for (quiet = bench_nsec() + ASLEEP_QUIET_NSEC; bench_nsec() < quiet;)
			;
		submission = bench_thing_next(thing, i);
		before = bench_nsec();
		whole &= penstock_submit(db, submission, PENSTOCK_FOREVER, NULL) == PENSTOCK_OK;
		samples[i] = (double)(bench_nsec() - before);
	}
	return whole;
}

/* The burst without a clock: ns and instructions a submit, less what filling the thing costs in instructions. */
struct bench_loop {
	double nsec;
	double instructions;
	bool counted;
};

static bool bench_burst_loop(penstock *db, struct bench_thing *thing, struct bench_loop *loop)
{
	uint64_t before, filling = 0, all = 0;
	bool whole = true;

	loop->counted = bench_instructions_begin();
	for (size_t i = 0; i < BURST; i++) {
		const penstock_submission *submission = bench_thing_next(thing, i);

		__asm__ __volatile__("" : : "r"(submission) : "memory");
	}
	if (loop->counted)
		filling = bench_instructions_end();
	loop->counted = loop->counted && bench_instructions_begin();
	before = bench_nsec();
	for (size_t i = 0; i < BURST; i++)
		whole &= penstock_submit(db, bench_thing_next(thing, i), PENSTOCK_FOREVER, NULL) == PENSTOCK_OK;
	loop->nsec = (double)(bench_nsec() - before) / BURST;
	if (loop->counted)
		all = bench_instructions_end();
	loop->instructions = ((double)all - (double)filling) / BURST;
	return whole;
}

/* Fills samples and, if HELD, the loop; how many samples, 0 when a submit failed. */
static size_t bench_sample(penstock *db, struct bench_thing *thing, enum bench_how how, struct bench_loop *loop)
{
	size_t count = how == ASLEEP ? (size_t)bench_amount(ASLEEP_BURST) : BURST;
	bool whole = true;

	if (how == CLOCK)
		bench_burst_of_nothing(thing);
	if (how == ASLEEP)
		return bench_burst_asleep(db, thing, count) ? count : 0;
	if (how == HELD || how == HANDLE)
		bench_hold_writer(db);
	if (how != CLOCK)
		whole = bench_burst(db, thing, how == HANDLE);
	bench_let_go(db);
	for (size_t i = 0; how == HANDLE && i < count; i++)
		penstock_handle_release(handles[i]);
	if (how == HELD) {
		bench_hold_writer(db);
		whole &= bench_burst_loop(db, thing, loop);
		bench_let_go(db);
	}
	return whole ? count : 0;
}

/* ---- allocations and system calls ---- */

static void bench_count_held(struct bench_case *self, struct bench_submit *submit, unsigned payload)
{
	char program[400], command[500], answer[200] = "";
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	unsigned long submits, allocations, calls;
	FILE *counting = NULL;
	int found;

	submit->allocations = submit->system_calls = -1;
	program[length < 0 ? 0 : length] = '\0';
	if (strrchr(program, '/') != NULL)
		strrchr(program, '/')[0] = '\0';
	snprintf(command, sizeof command, "exec '%s/penstock-count' calls %d ", program, BURST);
	if (payload != 0)
		snprintf(command + strlen(command), sizeof command - strlen(command), "%u", payload);
	counting = popen(command, "r");
	if (counting == NULL || fgets(answer, sizeof answer, counting) == NULL)
		snprintf(answer, sizeof answer, "no answer from %s", command);
	if (counting != NULL)
		pclose(counting);
	found = sscanf(answer, "%lu submits made %lu allocations and %lu system calls", &submits, &allocations, &calls);
	if (found >= 2)
		submit->allocations = (double)allocations / (double)submits;
	if (found == 3)
		submit->system_calls = (double)calls / (double)submits;
	else
		fprintf(stderr, "%s: not counted: %s\n", self->name, answer);
}

/* ---- all of them ---- */

static bool bench_measure_submits(struct bench_case *self, penstock *db, struct bench_thing *thing,
                                  struct bench_submits *submits)
{
	static double p50[VARIANTS][ROUNDS], p99[VARIANTS][ROUNDS];
	static double loops[VARIANTS][ROUNDS], rates[VARIANTS][ROUNDS], instructions[VARIANTS][ROUNDS];
	unsigned rounds = bench_rounds(ROUNDS), r, v;
	struct bench_loop loop = { 0 };

	for (r = 0; r < rounds; r++) {
		for (v = 0; v < VARIANTS; v++) {
			size_t count;

			thing->payload = bench_variants[v].payload;
			thing->value = penstock_blob(thing->bytes, thing->payload);
			count = bench_sample(db, thing, bench_variants[v].how, &loop);
			if (count == 0) {
				bench_fail(self, "%s", penstock_error_message());
				return false;
			}
			bench_sort(samples, count);
			p50[v][r] = bench_quantile(samples, count, 0.50);
			p99[v][r] = bench_quantile(samples, count, 0.99);
			if (bench_variants[v].how != CLOCK) {
				p50[v][r] -= p50[0][r];
				p99[v][r] -= p50[0][r];
			}
			loops[v][r] = loop.nsec;
			rates[v][r] = 1e9 / loop.nsec;
			instructions[v][r] = loop.instructions;
		}
	}
	for (v = 0; v < VARIANTS; v++) {
		struct bench_submit *submit = &submits->of[v];

		submit->p50 = bench_spread_of(p50[v], rounds);
		submit->p99 = bench_spread_of(p99[v], rounds);
		if (bench_variants[v].how != HELD)
			continue;
		submit->loop = bench_spread_of(loops[v], rounds);
		submit->rate = bench_spread_of(rates[v], rounds);
		submit->instructions = bench_spread_of(instructions[v], loop.counted ? rounds : 0);
		bench_count_held(self, submit, bench_variants[v].payload);
	}
	return true;
}

static void bench_judge_count(const char *what, double figure)
{
	struct bench_target target = {
		.line = BENCH_LINE_SUBMIT, .figure = { figure, figure, figure, 1 }, .at_most = true, .unit = "", .decimals = 4
	};

	snprintf(target.what, sizeof target.what, "one submit, %s", what);
	if (figure < 0)
		bench_judge_failed(target.what, target.line);
	else
		bench_judge(&target);
}

static void bench_judge_submits(const struct bench_submits *submits)
{
	struct bench_target target = { .what = "one submit over the clock, p50, writer running",
		                       .figure = submits->of[ROW_RUNNING].p50,
		                       .line = BENCH_LINE_SUBMIT,
		                       .limit = P50_MAX,
		                       .at_most = true,
		                       .unit = " ns" };

	bench_judge(&target);
	target.figure = submits->of[ROW_HELD].p50;
	snprintf(target.what, sizeof target.what, "one submit over the clock, p50, writer held in a statement");
	bench_judge(&target);
	bench_judge_count("allocations", submits->of[ROW_HELD].allocations);
	bench_judge_count("system calls", submits->of[ROW_HELD].system_calls);
}

static struct bench_submits *bench_submit_now(struct bench_case *self)
{
	static const char *const keys[] = { "synchronous=normal", NULL };
	static struct bench_thing thing;
	struct bench_submits *submits = bench_allocate(sizeof *submits);
	penstock_statement *insert, *payload;
	penstock *db = bench_open(self, bench_database_new(), bench_connect, keys);

	if (db == NULL)
		return submits;
	if (!bench_prepare(self, db, &insert)) {
		/* it said so */
	} else if (penstock_statement_register(db, BENCH_PAYLOAD_INSERT, -1, &payload) != PENSTOCK_OK) {
		bench_fail(self, "%s", penstock_error_message());
	} else {
		bench_row_init(&thing.row, insert);
		thing.one = (penstock_submission){
			.struct_size = sizeof thing.one, .statement = payload, .values = &thing.value, .value_count = 1
		};
		submits->whole = bench_measure_submits(self, db, &thing, submits);
	}
	penstock_close(db, PENSTOCK_FOREVER);
	bench_database_remove();
	if (!submits->whole)
		return submits;
	bench_judge_submits(submits);
	for (unsigned v = 0; v < VARIANTS; v++) {
		if (bench_variants[v].payload == 0)
			continue;
		bench_plot_point("submit", "p50 over the clock", bench_variants[v].payload, submits->of[v].p50);
		bench_plot_point("submit", "p99 over the clock", bench_variants[v].payload, submits->of[v].p99);
		bench_plot_point("submit", "mean of a loop", bench_variants[v].payload, submits->of[v].loop);
	}
	bench_plot_describe("submit", "bytes of the value", "ns a submit, uncontended", NULL);
	return submits;
}

static void bench_run_submit(struct bench_case *self)
{
	struct bench_submits **place = &bench_measured;
	const struct bench_submit *submit;

	for (unsigned past = 0; *place != NULL && past < self->repetition; past++)
		place = &(*place)->next;
	if (*place == NULL)
		*place = bench_submit_now(self);
	if (!(*place)->whole)
		return;
	submit = &(*place)->of[self->number];
	bench_say_seconds(self, submit->p50.median / 1e9);
	bench_say_spread(self, "p50_ns", submit->p50);
	bench_say_spread(self, "p99_ns", submit->p99);
	if (bench_variants[self->number].how != HELD)
		return;
	bench_say_spread(self, "items_per_second", submit->rate);
	bench_say_spread(self, "loop_ns", submit->loop);
	if (submit->instructions.count > 0)
		bench_say_spread(self, "instructions", submit->instructions);
	if (submit->allocations >= 0)
		bench_say(self, "allocations", submit->allocations);
	if (submit->system_calls >= 0)
		bench_say(self, "system_calls", submit->system_calls);
}

void bench_add_submit(void)
{
	for (unsigned v = 0; v < VARIANTS; v++) {
		struct bench_case each = {
			.run = bench_run_submit, .number = v, .has_target = v == ROW_RUNNING, .line = BENCH_LINE_SUBMIT
		};

		snprintf(each.name, sizeof each.name, "submit/%s", bench_variants[v].name);
		bench_add(&each);
	}
}
