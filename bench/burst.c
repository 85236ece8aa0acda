/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * burst.c - bursts with nothing between them: waking the writer, and what a submission costs in all
 *
 * burst/penstock/LEVEL/rows:N. A cycle is a pause of 5 ms, in which the writer has long gone to sleep, and then N
 * submissions from one thread, and a flush. The pause is in the cycle, so whatever an engine does for a while after its
 * last work (looking at the ring before it sleeps) is paid here.
 *
 *   wake        from before the first submit until its statement runs: it calls an SQL function that reads the clock
 *   done        from before the first submit until the flush has returned
 *   futex_*     futex calls of the whole process by submission; the flush's are among them, at most one wait and one
 *               wake for each burst. Counted where they are made: every call that Penstock makes goes through
 *               syscall(), which is wrapped when this program is linked
 *   cpu         processor time of the whole process by submission, pause included
 *
 * That an idle engine does nothing at all is burst/penstock/idle, in idle.c.
 */
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/database.h"

#define CYCLES_MAX 200
#define IDLE_NSEC 5000000

/* ---- futex calls ---- */

static bool counting;
static uint64_t futex_waits, futex_wakes;

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_futex && __atomic_load_n(&counting, __ATOMIC_RELAXED)) {
		long command = b & FUTEX_CMD_MASK;
		bool wait = command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;

		__atomic_fetch_add(wait ? &futex_waits : &futex_wakes, 1, __ATOMIC_RELAXED);
	}
	return __real_syscall(number, a, b, c, d, e, f);
}

static void bench_count_futexes(bool on)
{
	__atomic_store_n(&futex_waits, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&futex_wakes, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&counting, on, __ATOMIC_RELAXED);
}

/* ---- a burst ---- */

/* When the first statement of a burst ran: written by the writer thread. */
static uint64_t ran;

static void bench_clock_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	__atomic_store_n(&ran, bench_nsec(), __ATOMIC_RELEASE);
	sqlite3_result_double(context, 0);
}

static int bench_connected(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function_v2(connection, "bench_clock", 0, SQLITE_UTF8, NULL, bench_clock_function, NULL, NULL,
	                                  NULL);
}

struct bench_burst {
	const char *name;
	const char *key;
	unsigned rows;
	unsigned cycles;
};

static uint64_t bench_cpu_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct bench_bursts {
	penstock *db;
	struct bench_row first;
	struct bench_row others;
	double wake[CYCLES_MAX]; /* us */
	double done[CYCLES_MAX];
};

static bool bench_cycle_burst(struct bench_bursts *bursts, unsigned rows, unsigned cycle)
{
	uint64_t started;
	int status;

	bench_sleep_nsec(IDLE_NSEC);
	started = bench_nsec();
	status = penstock_submit(bursts->db, &bursts->first.submission, PENSTOCK_FOREVER, NULL);
	for (unsigned i = 1; i < rows && status == PENSTOCK_OK; i++) {
		bench_row_next(&bursts->others, i);
		status = penstock_submit(bursts->db, &bursts->others.submission, PENSTOCK_FOREVER, NULL);
	}
	if (status != PENSTOCK_OK || penstock_flush(bursts->db, PENSTOCK_FOREVER) != PENSTOCK_OK)
		return false;
	bursts->done[cycle] = (double)(bench_nsec() - started) / 1e3;
	bursts->wake[cycle] = (double)(__atomic_load_n(&ran, __ATOMIC_ACQUIRE) - started) / 1e3;
	return true;
}

static void bench_say_times(struct bench_case *self, const char *name, double *values, size_t count)
{
	static const struct {
		const char *name;
		double fraction;
	} parts[] = { { "p50", 0.50 }, { "p99", 0.99 }, { "max", 1.0 } };
	char longer[40];

	bench_sort(values, count);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		snprintf(longer, sizeof longer, "%s_%s_us", name, parts[i].name);
		bench_say(self, longer, bench_quantile(values, count, parts[i].fraction));
	}
}

static void bench_measure_bursts(struct bench_case *self, struct bench_bursts *bursts, const struct bench_burst *burst)
{
	unsigned cycles = (unsigned)bench_amount(burst->cycles);
	double submissions = (double)cycles * burst->rows, done;
	uint64_t waits, wakes, cpu;
	bool whole = true;

	bench_count_futexes(true);
	cpu = bench_cpu_nsec();
	for (unsigned i = 0; i < cycles && whole; i++)
		whole = bench_cycle_burst(bursts, burst->rows, i);
	cpu = bench_cpu_nsec() - cpu;
	waits = __atomic_load_n(&futex_waits, __ATOMIC_RELAXED);
	wakes = __atomic_load_n(&futex_wakes, __ATOMIC_RELAXED);
	bench_count_futexes(false);
	if (!whole) {
		bench_fail(self, "%s", penstock_error_message());
		return;
	}
	bench_say_times(self, "wake", bursts->wake, cycles);
	bench_say_times(self, "done", bursts->done, cycles);
	done = bench_quantile(bursts->done, cycles, 0.50) / 1e6;
	bench_say(self, "futex_waits_by_op", (double)waits / submissions);
	bench_say(self, "futex_wakes_by_op", (double)wakes / submissions);
	bench_say(self, "futex_calls_by_op", (double)(waits + wakes) / submissions);
	bench_say(self, "futex_calls_by_burst", (double)(waits + wakes) / cycles);
	bench_say(self, "cpu_ns_by_op", (double)cpu / submissions);
	bench_say(self, "items_per_second", burst->rows / done);
	bench_say_seconds(self, done);
}

static void bench_run_burst(struct bench_case *self)
{
	static struct bench_bursts bursts;
	const struct bench_burst *burst = self->what;
	const char *keys[] = { burst->key, NULL };
	penstock_statement *insert, *clocked;

	bursts.db = bench_open(self, bench_database_new(), bench_connected, keys);
	if (bursts.db == NULL)
		return;
	if (bench_prepare(self, bursts.db, &insert)) {
		bench_row_init(&bursts.others, insert);
		if (penstock_statement_register(bursts.db, "INSERT INTO t VALUES(?,?,?,bench_clock())", -1, &clocked) !=
		    PENSTOCK_OK) {
			bench_fail(self, "%s", penstock_error_message());
		} else {
			bench_row_init(&bursts.first, clocked);
			bursts.first.submission.value_count = 3;
			bench_measure_bursts(self, &bursts, burst);
		}
	}
	penstock_close(bursts.db, PENSTOCK_FOREVER);
	bench_database_remove();
}

void bench_add_burst(void)
{
	static const struct bench_burst all[] = {
		{ "NORMAL", "synchronous=normal", 1, 200 },    { "NORMAL", "synchronous=normal", 100, 200 },
		{ "NORMAL", "synchronous=normal", 10000, 50 }, { "FULL", "synchronous=full", 1, 200 },
		{ "FULL", "synchronous=full", 100, 200 },      { "FULL", "synchronous=full", 10000, 50 },
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct bench_case each = { .run = bench_run_burst, .what = &all[i] };

		snprintf(each.name, sizeof each.name, "burst/penstock/%s/rows:%u", all[i].name, all[i].rows);
		bench_add(&each);
	}
}
