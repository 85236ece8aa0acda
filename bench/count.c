/*
 * count.c - what callgrind.sh counts: N submissions, or N rows of the raw loop, and nothing that depends on the clock
 *
 *   penstock-count submit N    N inline submits into an engine that was never started: all lie in the ring
 *                              when the program ends
 *   penstock-count fill N      fills the row N times and submits nothing: what the loop itself costs
 *   penstock-count run N       as submit, then the engine starts, executes them, and stops
 *   penstock-count raw N       N rows of the raw loop in transactions of 1000
 *   penstock-count calls N     allocations and system calls that N submits make; no valgrind needed
 *
 * Two runs that differ only in N differ by what the additional submissions cost, so start-up and shut-down cancel out.
 * batch_usec is 0: a batch must not end earlier because valgrind is slow.
 *
 * Allocations are seen by wrapping the allocator's functions at link time, system calls by wrapping syscall(), through
 * which Penstock makes its futex calls; the program is linked with the library's objects, not the shared library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "bench/database.h"

static unsigned long allocations, system_calls;
static char folder[500], path[520];

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

void *__wrap_malloc(size_t bytes)
{
	allocations++;
	return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	allocations++;
	return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	allocations++;
	return __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	allocations++;
	return __real_aligned_alloc(alignment, bytes);
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	system_calls++;
	return __real_syscall(number, a, b, c, d, e, f);
}

static void bench_die(const char *doing, const char *message)
{
	fprintf(stderr, "penstock-count: %s: %s\n", doing, message);
	exit(1);
}

static void bench_check(int status, const char *doing)
{
	if (status != PENSTOCK_OK)
		bench_die(doing, penstock_error_message());
}

static void bench_remove(void)
{
	static const char *const endings[] = { "", "-wal", "-shm" };
	char file[600];

	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
		snprintf(file, sizeof file, "%s%s", path, endings[i]);
		unlink(file);
	}
}

static void bench_create_table(void)
{
	sqlite3 *connection;

	bench_remove();
	if (sqlite3_open(path, &connection) != SQLITE_OK ||
	    sqlite3_exec(connection, BENCH_CREATE, NULL, NULL, NULL) != SQLITE_OK)
		bench_die("creating the table", sqlite3_errmsg(connection));
	sqlite3_close(connection);
}

static void bench_engine(unsigned long count, bool submit, bool run, bool calls)
{
	char text[BENCH_TEXT_BYTES + 1] = BENCH_TEXT_START;
	penstock_value values[4] = { penstock_null(), penstock_int64(0), penstock_text_bytes(text, BENCH_TEXT_BYTES),
		                     penstock_double(0) };
	penstock_submission row = { .struct_size = sizeof row, .values = values, .value_count = 4 };
	penstock_statement *insert;
	penstock_config config;
	unsigned long before_allocations, before_calls;
	penstock *db;

	penstock_config_init(&config);
	config.autostart = 0;
	config.ring_slots = 16384;
	config.batch_usec = 0;
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	bench_check(penstock_open(path, &config, &db), "opening");
	bench_check(penstock_statement_register(db, BENCH_INSERT, -1, &insert), "registering");
	row.statement = insert;
	/* This thread's first: it becomes known to the engine. */
	bench_check(penstock_submit(db, &row, 0, NULL), "submitting");
	before_allocations = allocations;
	before_calls = system_calls;
	for (unsigned long i = 0; i < count; i++) {
		bench_text(text, i);
		values[1].as.integer = (int64_t)i;
		if (submit)
			bench_check(penstock_submit(db, &row, 0, NULL), "submitting");
		else
			__asm__ __volatile__("" : : "r"(text), "r"(values) : "memory");
	}
	if (calls)
		printf("%lu submits made %lu allocations and %lu system calls\n", count,
		       allocations - before_allocations, system_calls - before_calls);
	if (!run) {
		/* Closing would give each an outcome (SHUTDOWN), which is not what is counted. */
		bench_remove();
		rmdir(folder);
		fflush(stdout);
		_exit(0);
	}
	bench_check(penstock_start(db, PENSTOCK_FOREVER), "starting");
	bench_check(penstock_stop(db, PENSTOCK_FOREVER), "stopping");
	bench_check(penstock_close(db, PENSTOCK_FOREVER), "closing");
}

static void bench_raw_rows(unsigned long count)
{
	char text[BENCH_TEXT_BYTES + 1] = BENCH_TEXT_START;
	sqlite3 *connection;
	sqlite3_stmt *insert, *begin, *commit;

	sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	sqlite3_exec(connection, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
	sqlite3_prepare_v2(connection, BENCH_INSERT, -1, &insert, NULL);
	sqlite3_prepare_v2(connection, "BEGIN", -1, &begin, NULL);
	sqlite3_prepare_v2(connection, "COMMIT", -1, &commit, NULL);
	for (unsigned long i = 0; i < count; i++) {
		if (i % 1000 == 0) {
			sqlite3_step(begin);
			sqlite3_reset(begin);
		}
		bench_text(text, i);
		sqlite3_bind_null(insert, 1);
		sqlite3_bind_int64(insert, 2, (sqlite3_int64)i);
		sqlite3_bind_text(insert, 3, text, BENCH_TEXT_BYTES, SQLITE_STATIC);
		sqlite3_bind_double(insert, 4, 0);
		if (sqlite3_step(insert) != SQLITE_DONE)
			bench_die("the raw loop", sqlite3_errmsg(connection));
		sqlite3_reset(insert);
		if (i % 1000 == 999 || i == count - 1) {
			sqlite3_step(commit);
			sqlite3_reset(commit);
		}
	}
	sqlite3_finalize(insert);
	sqlite3_finalize(begin);
	sqlite3_finalize(commit);
	sqlite3_close(connection);
}

int main(int argc, char **argv)
{
	const char *parent = getenv("TMPDIR");
	unsigned long count;

	if (argc != 3) {
		fprintf(stderr, "usage: penstock-count submit|fill|run|raw|calls N\n");
		return 2;
	}
	count = strtoul(argv[2], NULL, 10);
	snprintf(folder, sizeof folder, "%s/penstock-count-XXXXXX",
	         parent != NULL && parent[0] != '\0' ? parent : "/tmp");
	if (mkdtemp(folder) == NULL)
		bench_die(folder, "cannot be made; set TMPDIR to a folder for databases");
	snprintf(path, sizeof path, "%s/count.db", folder);
	bench_create_table();
	if (strcmp(argv[1], "raw") == 0)
		bench_raw_rows(count);
	else
		bench_engine(count, strcmp(argv[1], "fill") != 0, strcmp(argv[1], "run") == 0,
		             strcmp(argv[1], "calls") == 0);
	bench_remove();
	rmdir(folder);
	return 0;
}
