/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * count.c - what can be counted instead of timed: instructions (callgrind.sh), allocations, system calls
 *
 *   penstock-count submit N          N inline submits into an engine that was never started: all lie in the ring when
 *                                    the program ends
 *   penstock-count fill N            fills the row N times and submits nothing: what the loop itself costs
 *   penstock-count run N             as submit, then the engine starts, executes them, and stops
 *   penstock-count raw N             N rows of the raw loop in transactions of 1000
 *   penstock-count calls N [BYTES]   allocations and system calls that N submits make, of the row or of one value of so
 *                                    many bytes; no valgrind needed
 *
 * The first four are for callgrind: two runs that differ only in N differ by what the additional submissions cost, so
 * start-up and shut-down cancel out, and nothing depends on the clock. batch_usec is 0: a batch must not end earlier
 * because valgrind is slow.
 *
 * `calls` counts what the submitting thread does, whoever does it for it. Allocations: this program defines malloc and its
 * kin (over glibc's), so those of the C library and of SQLite are seen too. System calls: the submits run in a child
 * process under ptrace, and a getppid before and after them marks what is counted. Before that as many submits have been
 * made, executed and freed, so that the allocator has what it needs.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>
#include <sqlite3.h>

#include "bench/database.h"
#include "bench/payload.h"

#define RING_SLOTS 16384

static char folder[500], path[520];

/* ---- allocations ---- */

static __thread unsigned long allocations;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

#define EVERYBODY __attribute__((visibility("default")))

EVERYBODY void *malloc(size_t bytes)
{
	allocations++;
	return __libc_malloc(bytes);
}

EVERYBODY void *calloc(size_t count, size_t bytes)
{
	allocations++;
	return __libc_calloc(count, bytes);
}

EVERYBODY void *realloc(void *memory, size_t bytes)
{
	allocations++;
	return __libc_realloc(memory, bytes);
}

EVERYBODY void *memalign(size_t alignment, size_t bytes)
{
	allocations++;
	return __libc_memalign(alignment, bytes);
}

EVERYBODY void *aligned_alloc(size_t alignment, size_t bytes)
{
	allocations++;
	return __libc_memalign(alignment, bytes);
}

EVERYBODY int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
	allocations++;
	*memory = __libc_memalign(alignment, bytes);
	return *memory == NULL ? ENOMEM : 0;
}

/* ---- the engine ---- */

static void bench_remove(void)
{
	static const char *const endings[] = { "", "-wal", "-shm", "-penstock" };
	char file[600];

	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
		snprintf(file, sizeof file, "%s%s", path, endings[i]);
		unlink(file);
	}
}

static void bench_die(const char *doing, const char *message)
{
	fprintf(stderr, "penstock-count: %s: %s\n", doing, message);
	bench_remove();
	rmdir(folder);
	exit(1);
}

static void bench_check(int status, const char *doing)
{
	if (status != PENSTOCK_OK)
		bench_die(doing, penstock_error_message());
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

static penstock *bench_engine_open(const char *sql, penstock_statement **statement)
{
	penstock_config config;
	penstock *db;

	penstock_config_init(&config);
	config.autostart = 0;
	config.when_stopped = PENSTOCK_HOLD;
	config.ring_slots = RING_SLOTS;
	config.batch_usec = 0;
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	bench_check(penstock_open(path, &config, &db), "opening");
	bench_check(penstock_statement_register(db, sql, -1, statement), "registering");
	return db;
}

static void bench_row_values(penstock_value *values, const char *text)
{
	values[0] = penstock_null();
	values[1] = penstock_int64(0);
	values[2] = penstock_text_bytes(text, BENCH_TEXT_BYTES);
	values[3] = penstock_double(0);
}

/* ---- for callgrind ---- */

static void bench_engine(unsigned long count, bool submit, bool run)
{
	penstock_value values[4];
	char text[BENCH_TEXT_BYTES + 1] = BENCH_TEXT_START;
	penstock_submission row = { .struct_size = sizeof row, .sql_bytes = -1, .values = values, .value_count = 4 };
	penstock_statement *insert;
	penstock *db = bench_engine_open(BENCH_INSERT, &insert);

	bench_row_values(values, text);
	row.statement = insert;
	/* This thread's first: it becomes known to the engine. */
	bench_check(penstock_submit(db, &row, 0, NULL), "submitting");
	for (unsigned long i = 0; i < count; i++) {
		bench_text(text, i);
		values[1].as.integer = (int64_t)i;
		if (submit)
			bench_check(penstock_submit(db, &row, 0, NULL), "submitting");
		else
			__asm__ __volatile__("" : : "r"(text), "r"(values) : "memory");
	}
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

/* ---- allocations and system calls ---- */

/* Of one process and its child. */
struct bench_counted {
	unsigned long allocations;
	unsigned long system_calls;
	int trace_error; /* errno: system calls could not be counted */
};

/* Once: `count` submits, between two marks. */
static void bench_count_submits(penstock *db, const penstock_submission *submission, unsigned long count, bool marks,
                                struct bench_counted *counted)
{
	unsigned long before;

	if (marks)
		getppid();
	before = allocations;
	for (unsigned long i = 0; i < count; i++)
		bench_check(penstock_submit(db, submission, 0, NULL), "submitting");
	counted->allocations = allocations - before;
	if (marks)
		getppid();
}

static void bench_counted_child(unsigned long count, size_t bytes, struct bench_counted *counted)
{
	penstock_value values[4];
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .values = values, .value_count = bytes > 0 ? 1 : 4
	};
	penstock_statement *statement;
	penstock *db = bench_engine_open(bytes > 0 ? BENCH_PAYLOAD_INSERT : BENCH_INSERT, &statement);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	submission.statement = statement;
	bench_row_values(values, BENCH_TEXT_START);
	if (bytes > 0)
		values[0] = penstock_blob(calloc(1, bytes), bytes);
	bench_count_submits(db, &submission, count, false, counted);
	bench_check(penstock_start(db, PENSTOCK_FOREVER), "starting");
	bench_check(penstock_stop(db, PENSTOCK_FOREVER), "stopping");
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
		raise(SIGSTOP);
	else
		counted->trace_error = errno;
	bench_count_submits(db, &submission, count, true, counted);
	_exit(0);
}

/* Lets the child run to its end and counts its calls between the marks. Its exit code. */
static int bench_trace(pid_t child, struct bench_counted *counted)
{
	bool between = false;
	int status = 0, deliver = 0;

	while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
		struct __ptrace_syscall_info call = { 0 };

		deliver = WSTOPSIG(status);
		if (deliver == SIGSTOP) {
			deliver = 0;
			if (ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
				counted->trace_error = errno;
		} else if (deliver == (SIGTRAP | 0x80)) {
			deliver = 0;
			if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call) <= 0)
				counted->trace_error = errno;
			else if (call.op == PTRACE_SYSCALL_INFO_ENTRY && call.entry.nr == SYS_getppid)
				between = !between;
			else if (call.op == PTRACE_SYSCALL_INFO_ENTRY && between)
				counted->system_calls++;
		}
		if (ptrace(PTRACE_SYSCALL, child, NULL, deliver) != 0)
			counted->trace_error = errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void bench_count_calls(unsigned long count, size_t bytes)
{
	struct bench_counted *counted = mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	if (counted == MAP_FAILED)
		bench_die("counting", strerror(errno));
	if (count >= RING_SLOTS)
		bench_die("counting", "so many submits do not fit into the ring");
	fflush(stdout);
	child = fork();
	if (child == 0)
		bench_counted_child(count, bytes, counted);
	if (child < 0)
		bench_die("counting", strerror(errno));
	if (bench_trace(child, counted) != 0)
		bench_die("counting", "the child process failed");
	printf("%lu submits made %lu allocations and ", count, counted->allocations);
	if (counted->trace_error == 0)
		printf("%lu system calls\n", counted->system_calls);
	else
		printf("an unknown number of system calls (ptrace: %s)\n", strerror(counted->trace_error));
}

/* ---- the raw loop ---- */

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

	if (argc != 3 && !(argc == 4 && strcmp(argv[1], "calls") == 0)) {
		fprintf(stderr, "usage: penstock-count submit|fill|run|raw|calls N [BYTES]\n");
		return 2;
	}
	count = strtoul(argv[2], NULL, 10);
	snprintf(folder, sizeof folder, "%s/penstock-count-XXXXXX", parent != NULL && parent[0] != '\0' ? parent : "/tmp");
	if (mkdtemp(folder) == NULL)
		bench_die(folder, "cannot be made; set TMPDIR to a folder for databases");
	snprintf(path, sizeof path, "%s/count.db", folder);
	bench_create_table();
	if (strcmp(argv[1], "raw") == 0)
		bench_raw_rows(count);
	else if (strcmp(argv[1], "calls") == 0)
		bench_count_calls(count, argc == 4 ? strtoul(argv[3], NULL, 10) : 0);
	else
		bench_engine(count, strcmp(argv[1], "fill") != 0, strcmp(argv[1], "run") == 0);
	bench_remove();
	rmdir(folder);
	return 0;
}
