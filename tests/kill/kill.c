/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kill.c - kill -9, again and again, on one file
 *
 * A supervisor forks a child (a "life") that runs an engine with several producers and a thread that pauses, stops and
 * starts it. Each notes what it submits and hears in memory that it shares with the supervisor and that outlives it: a pipe
 * would say the same, but without the tickets of what was still under way. The child is killed by a timer, or kills itself
 * at the n-th passing of a named point (POINT_LIST): seen by a VFS shim, by a SQL function, in a completion callback, at the
 * system call that wakes (the linker wraps syscall and write), between a completion and its being taken, or in the thread that pauses. Then the supervisor looks at the file:
 *
 *   1. lost      what was heard to be OK is there, whole
 *   2. partial   a statement of several rows, a group or a call has left all of them or none; what failed has left none
 *   3. doubled   nothing is there twice (no key is unique), nobody heard twice
 *   4. holes     what is there is a prefix of ticket order, and of each producer's own; rows lie in ticket order
 *   5. corrupt   each row has its checksum, integrity_check says ok, earlier lives and what the pauser wrote are as they were
 *
 * and the next life goes on with the same file. Which connection recovers the WAL is drawn: the supervisor's, with or without
 * a checkpoint, or the next engine's (the supervisor then looks at a copy). A killed process keeps what it has written,
 * synced or not, so every acknowledgement level and every `synchronous` counts here, and nothing is synced in truth; loss of
 * power is another test's.
 *
 * Once per run the check itself is tried: on copies of the file that were tampered with it must find each of the five.
 *
 *     PENSTOCK_KILLS=5000   kills (300 unless set)
 *     PENSTOCK_SEED=1       what is drawn; the threads' interleaving is not
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include "core/penstock.h"
#include "tests/harness.h"
#include "tests/random.h"
#include "tests/shim.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define KILLS_DEFAULT 60
#define SLOWNESS 4
#else
#define KILLS_DEFAULT 300
#define SLOWNESS 1
#endif

#define PRODUCERS 3
#define EACH 1500
#define PARTS_MAX 60
#define PARTS_FEW 7
#define LIVES_KEPT 3 /* before the present one; the engine deletes what is older */
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* X(name, largest n drawn, what has just happened or is about to) */
#define POINT_LIST(X)                                                                     \
	X(TIMER, 1, "any time")                                                           \
	X(CONNECTING, 4, "the database file is open, nothing is set up")                  \
	X(RECOVERING, 3, "a read of the WAL before the first statement")                  \
	X(DEQUEUED, 30, "a batch is taken, its BEGIN is about to ask for the write lock") \
	X(BEGUN, 25, "a statement runs inside a transaction")                             \
	X(REPLAYED, 5, "a statement runs a second time")                                  \
	X(AMID_GROUP, 20, "some members of a group have run, others have not")            \
	X(CALLED, 20, "a call has written some of its rows")                              \
	X(RETURNING, 20, "a call has written all of them, and returns")                   \
	X(COMMITTING, 30, "a frame is about to be written")                               \
	X(COMMIT_FRAME, 20, "the frame header that commits is about to be written")       \
	X(COMMIT_HALF, 20, "that header is written, its page is not")                     \
	X(WRITTEN, 20, "the last page of a commit is written")                            \
	X(SYNC, 8, "the WAL is about to be synced")                                       \
	X(SYNCED, 8, "the WAL was synced")                                                \
	X(COMMITTED, 30, "the write lock is about to be let go")                          \
	X(RELEASED, 30, "the commit is over, no outcome is out")                          \
	X(DELIVERING, 20, "in a completion callback")                                     \
	X(WAKE, 12, "the writer is about to wake somebody")                               \
	X(QUEUED, 12, "handles are in the completion queue, and nobody is told yet")      \
	X(RAISED, 12, "its descriptor is readable, and nobody has taken")                 \
	X(TAKEN, 12, "they are taken, and not noted")                                     \
	X(CHECKPOINTING, 12, "a page is about to be written to the database")             \
	X(CHECKPOINTED, 3, "the database was synced")                                     \
	X(PASSING, 12, "the checkpoint thread is about to write a page to the database")  \
	X(PASSED, 3, "it has synced the database")                                        \
	X(WAL_BEGUN, 3, "the WAL's header is about to be written")                        \
	X(DISCONNECTING, 3, "the database file is about to be closed")                    \
	X(PAUSED, 3, "paused")                                                            \
	X(OUTSIDE, 3, "paused, in a transaction of the pauser's")                         \
	X(STOPPED, 1, "stopped")

enum point {
#define POINT_ENUM(name, most, text) AT_##name,
	POINT_LIST(POINT_ENUM)
#undef POINT_ENUM
		POINTS
};

static const char *const point_names[] = {
#define POINT_NAME(name, most, text) #name,
	POINT_LIST(POINT_NAME)
#undef POINT_NAME
};

static const unsigned point_most[] = {
#define POINT_MOST(name, most, text) most,
	POINT_LIST(POINT_MOST)
#undef POINT_MOST
};

/* ---- what outlives the child -------------------------------------------------------------------------------------- */

enum kind { ONE, ALONE, RETURNING, LARGE, FEW, MANY, GROUP, CALL, WRONG, WRONG_BATCH, WRONG_GROUP, WRONG_CALL, KINDS };
enum heard { BY_NOBODY, BY_CALLBACK, BY_EXECUTE, BY_HANDLE, BY_QUEUE, WAYS };
enum stage { NOT_BEGUN, SUBMITTING, ACCEPTED, REFUSED };

/* One submission. Each field is stored once, after what it tells of. */
struct note {
	_Atomic uint8_t stage;
	_Atomic uint8_t outcomes;
	_Atomic int8_t status;
	uint8_t kind;
	uint8_t heard;
	uint8_t marks;           /* how often its SQL ran */
	_Atomic uint64_t ticket; /* plus one; 0: not known */
};

#define OUTSIDE_MAX 64

struct page {
	struct note notes[PRODUCERS][EACH];
	_Atomic unsigned begun[PRODUCERS]; /* how many of the notes are in use */
	_Atomic bool opened;
	_Atomic bool deleting, deleted;
	_Atomic unsigned outside_begun, outside_done;
	_Atomic unsigned died_at; /* enum point */
};

static struct page *page;
static uint64_t seed = 1;

static unsigned draw(uint64_t *state, unsigned below)
{
	*state += 1;
	return (unsigned)(random_mix(*state) % below);
}

static unsigned parts_of(enum kind kind)
{
	return kind == FEW || kind == GROUP || kind == CALL ? PARTS_FEW : kind == MANY ? PARTS_MAX : 1;
}

static bool is_wrong(enum kind kind)
{
	return kind == WRONG || kind == WRONG_BATCH || kind == WRONG_GROUP || kind == WRONG_CALL;
}

/* Positive, with room for a part to be added. */
static int64_t checksum(unsigned life, unsigned producer, unsigned number)
{
	return (int64_t)(random_mix(random_mix(random_mix(seed ^ life) ^ producer) ^ number) >> 2);
}

static unsigned padding_of(enum kind kind, int64_t sum)
{
	return kind == LARGE ? 3000 + (unsigned)(sum % 9000) : kind == MANY ? 150 : (unsigned)(sum % 30);
}

/* ---- the child: points -------------------------------------------------------------------------------------------- */

static enum point wanted;
static _Atomic unsigned to_pass; /* this many more passings */
static unsigned life;
static const char *path;
static _Atomic bool running; /* connected for the first time */

static void at(enum point point)
{
	if (point != wanted || atomic_fetch_sub(&to_pass, 1) != 1)
		return;
	page->died_at = point;
	kill(getpid(), SIGKILL);
	pause();
}

/* On the writer thread, between the frame header that commits and its page. */
static __thread bool commit_frame_out;

static void at_write(const struct shim_event *event)
{
	if (event->file == SHIM_MAIN) {
		if (!event->after)
			at(harness_is_checkpoint_thread() ? AT_PASSING : AT_CHECKPOINTING);
		return;
	}
	if (event->file != SHIM_WAL)
		return;
	if (event->after) {
		if (shim_is_commit_frame(event)) {
			commit_frame_out = true;
			at(AT_COMMIT_HALF);
		} else if (commit_frame_out) {
			commit_frame_out = false;
			at(AT_WRITTEN);
		}
		return;
	}
	if (event->offset == 0)
		at(AT_WAL_BEGUN);
	else
		at(AT_COMMITTING);
	if (shim_is_commit_frame(event))
		at(AT_COMMIT_FRAME);
}

static int on_call(const struct shim_event *event)
{
	/* The first lock of the WAL index is the writer's. */
	bool write_lock = event->offset == 0 && (event->flags & SQLITE_SHM_EXCLUSIVE) != 0;

	switch (event->call) {
	case SHIM_OPEN:
		if (event->after && event->file == SHIM_MAIN)
			at(AT_CONNECTING);
		break;
	case SHIM_READ:
		if (event->file == SHIM_WAL && !running)
			at(AT_RECOVERING);
		break;
	case SHIM_WRITE:
		at_write(event);
		break;
	case SHIM_SYNC:
		if (event->file == SHIM_WAL)
			at(event->after ? AT_SYNCED : AT_SYNC);
		else if (event->file == SHIM_MAIN && event->after)
			at(harness_is_checkpoint_thread() ? AT_PASSED : AT_CHECKPOINTED);
		/* Whatever is written survives the process. */
		return event->after ? SQLITE_OK : SHIM_SKIP;
	case SHIM_SHM_LOCK:
		if (write_lock && !event->after && running)
			at(AT_DEQUEUED);
		break;
	case SHIM_SHM_UNLOCK:
		if (write_lock && running)
			at(event->after ? AT_RELEASED : AT_COMMITTED);
		break;
	case SHIM_CLOSE:
		if (event->file == SHIM_MAIN)
			at(AT_DISCONNECTING);
		break;
	default:
		break;
	}
	return SQLITE_OK;
}

/* Every system call that Penstock makes by number. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static __thread bool is_writer;

long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < COUNT_OF(arguments); i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_futex && is_writer && ((int)arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAKE_BITSET)
		at(AT_WAKE);
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

ssize_t __real_write(int descriptor, const void *data, size_t bytes);
ssize_t __wrap_write(int descriptor, const void *data, size_t bytes);

/* Of eight bytes to an eventfd. */
ssize_t __wrap_write(int descriptor, const void *data, size_t bytes)
{
	bool raises = is_writer && bytes == sizeof(uint64_t);
	ssize_t written;

	if (raises)
		at(AT_QUEUED);
	written = __real_write(descriptor, data, bytes);
	if (raises)
		at(AT_RAISED);
	return written;
}

/* mark(producer, number) is 0: called by the statement as it runs. */
static void mark(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct note *note = &page->notes[sqlite3_value_int(values[0])][sqlite3_value_int(values[1])];

	(void)count;
	if (!sqlite3_get_autocommit(sqlite3_context_db_handle(context)))
		at(AT_BEGUN);
	if (note->marks++ > 0)
		at(AT_REPLAYED);
	sqlite3_result_int(context, 0);
}

/* 0: called by a member of a group that is neither its first nor its last. */
static void amid(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	at(AT_AMID_GROUP);
	sqlite3_result_int(context, 0);
}

static int hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	is_writer = true; /* this program opens no reader */
	sqlite3_create_function(connection, "amid", 0, SQLITE_UTF8, NULL, amid, NULL, NULL);
	return sqlite3_create_function(connection, "mark", 2, SQLITE_UTF8, NULL, mark, NULL, NULL);
}

/* ---- the child: producers ----------------------------------------------------------------------------------------- */

static penstock *db;
static penstock_completions *queue;

#define QUEUE_PLACES 100

static void note_outcome(struct note *note, penstock_status status)
{
	note->status = (int8_t)status;
	note->outcomes++;
}

static void on_complete(void *arg, const penstock_result *result)
{
	struct note *note = arg;

	at(AT_DELIVERING);
	note->ticket = result->ticket + 1;
	note_outcome(note, result->status);
}

/* The queue's loop. */
static void *take(void *arg)
{
	for (;;) {
		struct pollfd look = { .fd = penstock_completions_descriptor(queue), .events = POLLIN };
		penstock_handle *handles[8];
		size_t count;

		poll(&look, 1, -1);
		if (penstock_completions_take(queue, handles, COUNT_OF(handles), &count) != PENSTOCK_OK)
			abort();
		if (count > 0)
			at(AT_TAKEN);
		for (size_t i = 0; i < count; i++) {
			const penstock_result *result = penstock_handle_result(handles[i]);
			struct note *note = result->arg;

			note->ticket = result->ticket + 1;
			note_outcome(note, result->status);
			penstock_handle_release(handles[i]);
		}
	}
	return arg;
}

static enum kind draw_kind(uint64_t *random)
{
	static const enum kind kinds[] = { ONE,   ONE,   ONE,   ONE,         ONE,   ONE,   FEW,       FEW,
		                           FEW,   MANY,  LARGE, RETURNING,   ALONE, WRONG, WRONG,     WRONG_BATCH,
		                           GROUP, GROUP, GROUP, WRONG_GROUP, CALL,  CALL,  WRONG_CALL };

	return kinds[draw(random, COUNT_OF(kinds))];
}

#define WINDOW 12

struct producer {
	unsigned index;
	uint64_t random;
	struct {
		penstock_handle *handle;
		struct note *note;
	} window[WINDOW];
	unsigned waiting;
	bool may_ask_durable;
	pthread_t thread;
};

static void wait_for_all(struct producer *producer)
{
	for (unsigned i = 0; i < producer->waiting; i++) {
		penstock_handle *handle = producer->window[i].handle;

		note_outcome(producer->window[i].note, (penstock_status)penstock_handle_wait(handle, PENSTOCK_FOREVER));
		penstock_handle_release(handle);
	}
	producer->waiting = 0;
}

/* One call: its rows, as FEW has them. */
struct call {
	unsigned producer, number;
	enum kind kind;
	int64_t sum;
};

/* Takes its argument. */
static int write_rows(sqlite3 *connection, void *arg, char **message)
{
	struct call call = *(struct call *)arg;
	sqlite3_stmt *insert = NULL;
	int rc = sqlite3_prepare_v2(connection, "INSERT INTO t VALUES(?,?,?,?,?,zeroblob(?))", -1, &insert, NULL);

	(void)message;
	free(arg);
	for (unsigned part = 0; rc == SQLITE_OK && part < PARTS_FEW; part++) {
		if (part == PARTS_FEW / 2)
			at(AT_CALLED);
		sqlite3_bind_int64(insert, 1, life);
		sqlite3_bind_int64(insert, 2, call.producer);
		sqlite3_bind_int64(insert, 3, call.number);
		sqlite3_bind_int64(insert, 4, part);
		sqlite3_bind_int64(insert, 5, call.sum + part);
		sqlite3_bind_int64(insert, 6, padding_of(call.kind, call.sum));
		sqlite3_step(insert);
		rc = sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	at(AT_RETURNING);
	return rc == SQLITE_OK && call.kind == WRONG_CALL ? SQLITE_DONE : rc;
}

static int submit_call(const struct call *call, penstock_submission *whole, penstock_handle **handle)
{
	struct call *copy = malloc(sizeof *copy);
	int status;

	if (copy == NULL)
		abort();
	*copy = *call;
	whole->values = NULL;
	whole->value_count = 0;
	status = penstock_call(db, write_rows, copy, whole, PENSTOCK_FOREVER, handle);
	if (status != PENSTOCK_OK)
		free(copy);
	return status;
}

/* The parts of a FEW by several statements, the last of which may be wrong. */
static int submit_group(bool wrong, penstock_submission *whole, penstock_handle **handle)
{
	const char *const texts[] = {
		"INSERT INTO t SELECT ?1,?2,?3,value,?4+value,?5 FROM parts WHERE value<3",
		"INSERT INTO t SELECT ?1,?2,?3,value+amid(),?4+value,?5 FROM parts WHERE value BETWEEN 3 AND 5 RETURNING sum",
		wrong ? "INSERT INTO t VALUES(?1,?2,?3,6,NULL+?4,?5)" : "INSERT INTO t VALUES(?1,?2,?3,6,?4+6,?5)",
	};
	penstock_submission members[COUNT_OF(texts)];

	for (unsigned i = 0; i < COUNT_OF(texts); i++) {
		penstock_submission_init(&members[i]);
		members[i].sql = texts[i];
		members[i].values = whole->values;
		members[i].value_count = whole->value_count;
	}
	whole->values = NULL;
	whole->value_count = 0;
	return penstock_submit_group(db, members, COUNT_OF(texts), whole, PENSTOCK_FOREVER, handle);
}

static int submit(const struct call *call, penstock_submission *submission, penstock_handle **handle)
{
	if (call->kind == CALL || call->kind == WRONG_CALL)
		return submit_call(call, submission, handle);
	if (call->kind == GROUP || call->kind == WRONG_GROUP)
		return submit_group(call->kind == WRONG_GROUP, submission, handle);
	return penstock_submit(db, submission, PENSTOCK_FOREVER, handle);
}

/* As penstock_execute. */
static int execute(const struct call *call, penstock_submission *submission, penstock_handle **handle)
{
	int status;

	if (submission->sql != NULL)
		return penstock_execute(db, submission, PENSTOCK_FOREVER, handle);
	status = submit(call, submission, handle);
	return status == PENSTOCK_OK ? penstock_handle_wait(*handle, PENSTOCK_FOREVER) : status;
}

static void submit_one(struct producer *producer, unsigned number)
{
	static const char *const texts[KINDS] = {
		[ONE] = "INSERT INTO t VALUES(?1,?2,?3,mark(?2,?3),?4,?5)",
		[ALONE] = "INSERT INTO t VALUES(?1,?2,?3,mark(?2,?3),?4,?5)",
		[LARGE] = "INSERT INTO t VALUES(?1,?2,?3,mark(?2,?3),?4,?5)",
		[RETURNING] = "INSERT INTO t VALUES(?1,?2,?3,0,?4,?5) RETURNING rowid,sum",
		[FEW] = "INSERT INTO t SELECT ?1,?2,?3,value,?4+value,?5 FROM parts WHERE value<7",
		[MANY] = "INSERT INTO t SELECT ?1,?2,?3,value,?4+value,?5 FROM parts",
		/* At its last row, after the others. */
		[WRONG] =
			"INSERT INTO t SELECT ?1,?2,?3,value,iif(value=6,abs(-9223372036854775807-1),?4),?5 FROM parts WHERE value<7",
		[WRONG_BATCH] = "INSERT OR ROLLBACK INTO t VALUES(?1,?2,?3,0,NULL+?4,?5)",
	};
	static const char padding[16384];
	struct note *note = &page->notes[producer->index][number];
	enum kind kind = draw_kind(&producer->random);
	int64_t sum = checksum(life, producer->index, number);
	penstock_value values[] = { penstock_int64(life), penstock_int64(producer->index), penstock_int64(number),
		                    penstock_int64(sum), penstock_blob(padding, padding_of(kind, sum)) };
	penstock_submission submission = { .struct_size = sizeof submission,
		                           .sql_bytes = -1,
		                           .sql = texts[kind],
		                           .values = values,
		                           .value_count = COUNT_OF(values),
		                           .flags = kind == ALONE ? PENSTOCK_RUN_ALONE : 0,
		                           .arg = note };
	struct call call = { .producer = producer->index, .number = number, .kind = kind, .sum = sum };
	penstock_handle *handle = NULL;
	int status;

	note->kind = (uint8_t)kind;
	note->heard = (uint8_t)draw(&producer->random, WAYS);
	if (note->heard != BY_NOBODY && producer->may_ask_durable && draw(&producer->random, 3) == 0)
		submission.ack = PENSTOCK_ACK_DURABLE;
	note->stage = SUBMITTING;
	page->begun[producer->index] = number + 1;
	if (note->heard == BY_CALLBACK)
		submission.on_complete = on_complete;
	if (note->heard == BY_QUEUE)
		submission.completions = queue;
	if (note->heard == BY_EXECUTE) {
		status = execute(&call, &submission, &handle);
		if (handle != NULL) {
			note->ticket = penstock_handle_ticket(handle) + 1;
			note->stage = ACCEPTED;
			note_outcome(note, (penstock_status)status);
			penstock_handle_release(handle);
			return;
		}
	} else {
		status = submit(&call, &submission, note->heard == BY_HANDLE ? &handle : NULL);
	}
	if (status != PENSTOCK_OK) {
		note->stage = REFUSED;
		if (status != PENSTOCK_PAUSED && status != PENSTOCK_STOPPED &&
		    !(status == PENSTOCK_FULL && note->heard == BY_QUEUE)) {
			fprintf(stderr, "refused: %s\n", penstock_error_message());
			abort();
		}
		usleep(200);
		return;
	}
	if (handle != NULL) {
		note->ticket = penstock_handle_ticket(handle) + 1;
		producer->window[producer->waiting].handle = handle;
		producer->window[producer->waiting++].note = note;
	}
	note->stage = ACCEPTED;
	if (producer->waiting == WINDOW)
		wait_for_all(producer);
}

static void *produce(void *arg)
{
	struct producer *producer = arg;

	for (unsigned i = 0; i < EACH; i++) {
		submit_one(producer, i);
		if (draw(&producer->random, 40) == 0)
			usleep(draw(&producer->random, 1500));
	}
	wait_for_all(producer);
	return NULL;
}

/* ---- the child: its life ------------------------------------------------------------------------------------------ */

/* While paused the file is the pauser's. */
static void write_outside(void)
{
	unsigned number = page->outside_begun;
	sqlite3 *connection;
	char sql[128];

	if (number == OUTSIDE_MAX)
		return;
	page->outside_begun = number + 1;
	if (sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, "unix") != SQLITE_OK)
		abort();
	if (sqlite3_exec(connection, "PRAGMA synchronous=OFF; BEGIN EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK)
		abort();
	snprintf(sql, sizeof sql, "INSERT INTO outside VALUES(%u,%u)", life, number);
	sqlite3_exec(connection, sql, NULL, NULL, NULL);
	at(AT_OUTSIDE);
	if (sqlite3_exec(connection, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
		page->outside_done = number + 1;
	sqlite3_close(connection);
}

static void must(int status, const char *what)
{
	if (status == PENSTOCK_OK)
		return;
	fprintf(stderr, "life %u: %s: %s\n", life, what, penstock_error_message());
	abort();
}

static void on_deleted(void *arg, const penstock_result *result)
{
	(void)arg;
	if (result->status == PENSTOCK_OK)
		page->deleted = true;
}

static void live(uint64_t random)
{
	static const int64_t slots[] = { 8, 64, 1024 };
	struct producer producers[PRODUCERS];
	penstock_value oldest = penstock_int64((int64_t)life - LIVES_KEPT);
	penstock_submission cleaning = { .struct_size = sizeof cleaning,
		                         .sql_bytes = -1,
		                         .sql = "DELETE FROM t WHERE life<?",
		                         .values = &oldest,
		                         .value_count = 1,
		                         .on_complete = on_deleted };
	penstock_config config;
	pthread_t taker;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shim_install(on_call);
	penstock_config_init(&config);
	config.connect_hook = hook;
	config.synchronous = draw(&random, 3); /* OFF, NORMAL, FULL */
	config.ring_slots = slots[draw(&random, COUNT_OF(slots))];
	config.batch_max = draw(&random, 2) ? 1000 : 1 + draw(&random, 20);
	config.wal_bytes_max = 65536 << draw(&random, 4);
	config.checkpoint_thread = draw(&random, 3) != 0;
	config.leave_wal = draw(&random, 2);
	config.when_paused = draw(&random, 2);
	config.when_stopped = draw(&random, 2);
	config.linger_usec = draw(&random, 4) == 0 ? 200 : 0;
	must(penstock_open(path, &config, &db), "open");
	must(penstock_completions_open(db, QUEUE_PLACES, &queue), "a completion queue");
	if (pthread_create(&taker, NULL, take, NULL) != 0)
		abort();
	running = true;
	page->opened = true;
	page->deleting = true;
	must(penstock_submit(db, &cleaning, PENSTOCK_FOREVER, NULL), "the cleaning");
	for (unsigned i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){ .index = i,
			                          .random = random_mix(random + i),
			                          .may_ask_durable = config.synchronous != PENSTOCK_SYNCHRONOUS_OFF };
		if (pthread_create(&producers[i].thread, NULL, produce, &producers[i]) != 0)
			abort();
	}
	for (;;) {
		usleep(draw(&random, 6000));
		if (draw(&random, 3) != 0) {
			must(penstock_pause(db, PENSTOCK_FOREVER), "pause");
			at(AT_PAUSED);
			write_outside();
			must(penstock_unpause(db, PENSTOCK_FOREVER), "unpause");
		} else {
			must(penstock_stop(db, PENSTOCK_FOREVER), "stop");
			at(AT_STOPPED);
			must(penstock_start(db, PENSTOCK_FOREVER), "start");
		}
	}
}

/* ---- the supervisor: the check ------------------------------------------------------------------------------------ */

enum fault { LOST, PARTIAL, DOUBLED, HOLE, CORRUPT, FAULTS };

static const char *const fault_names[] = { "lost", "partial", "doubled", "holes", "corrupt" };

struct verdict {
	unsigned counts[FAULTS];
	bool silent;
};

static void __attribute__((format(printf, 3, 4))) found(struct verdict *verdict, enum fault fault, const char *format, ...)
{
	va_list arguments;

	if (verdict->counts[fault]++ > 0 || verdict->silent)
		return;
	fprintf(stderr, "kill: life %u (seed %" PRIu64 ", killed at %s), %s: ", life, seed, point_names[page->died_at],
	        fault_names[fault]);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

/* What is in the table of earlier lives, as it was when their own kill had been checked. */
static struct past {
	int64_t rows;
	int64_t sum; /* wraps */
} * pasts;

static sqlite3_stmt *prepare(sqlite3 *connection, const char *sql)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) != SQLITE_OK) {
		fprintf(stderr, "kill: %s: %s\n", sql, sqlite3_errmsg(connection));
		exit(1);
	}
	return statement;
}

static void check_integrity(sqlite3 *connection, struct verdict *verdict)
{
	sqlite3_stmt *statement = prepare(connection, "PRAGMA integrity_check(1)");
	const char *text = NULL;

	if (sqlite3_step(statement) == SQLITE_ROW)
		text = (const char *)sqlite3_column_text(statement, 0);
	if (text == NULL || strcmp(text, "ok") != 0)
		found(verdict, CORRUPT, "%s", text != NULL ? text : sqlite3_errmsg(connection));
	sqlite3_finalize(statement);
}

/* Parts of this life's submissions that are there. */
struct seen {
	uint64_t parts;
	int64_t first_rowid;
};

static void read_rows(sqlite3 *connection, struct verdict *verdict, struct seen (*seen)[EACH], struct past *present)
{
	sqlite3_stmt *statement =
		prepare(connection, "SELECT p,n,part,sum,length(pad),rowid FROM t WHERE life=? ORDER BY rowid");
	int64_t last[PRODUCERS];
	int rc;

	for (unsigned i = 0; i < PRODUCERS; i++)
		last[i] = -1;
	sqlite3_bind_int64(statement, 1, life);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		int64_t p = sqlite3_column_int64(statement, 0), n = sqlite3_column_int64(statement, 1);
		int64_t part = sqlite3_column_int64(statement, 2), sum = sqlite3_column_int64(statement, 3);
		const struct note *note;

		present->rows++;
		present->sum = (int64_t)((uint64_t)present->sum + (uint64_t)sum);
		if (p < 0 || p >= PRODUCERS || n < 0 || n >= page->begun[p] || part < 0 || part >= PARTS_MAX) {
			found(verdict, CORRUPT, "a row that nobody submitted");
			continue;
		}
		note = &page->notes[p][n];
		if (sum != checksum(life, (unsigned)p, (unsigned)n) + part ||
		    sqlite3_column_int64(statement, 4) != padding_of(note->kind, sum - part))
			found(verdict, CORRUPT, "the checksum of submission %" PRId64 " of producer %" PRId64, n, p);
		if ((seen[p][n].parts & UINT64_C(1) << part) != 0)
			found(verdict, DOUBLED, "submission %" PRId64 " of producer %" PRId64, n, p);
		if (seen[p][n].parts == 0)
			seen[p][n].first_rowid = sqlite3_column_int64(statement, 5);
		seen[p][n].parts |= UINT64_C(1) << part;
		if (n < last[p])
			found(verdict, HOLE, "submission %" PRId64 " of producer %" PRId64 " lies behind its %" PRId64, n, p,
			      last[p]);
		last[p] = n;
	}
	if (rc != SQLITE_DONE)
		found(verdict, CORRUPT, "%s", sqlite3_errmsg(connection));
	sqlite3_finalize(statement);
}

static void check_outcome(struct verdict *verdict, const struct note *note, bool present, unsigned p, unsigned n)
{
	if (note->outcomes > 1)
		found(verdict, DOUBLED, "%u outcomes", note->outcomes);
	if (present && note->stage == REFUSED)
		found(verdict, PARTIAL, "a refused submission is there");
	if (note->outcomes == 0)
		return;
	if (note->stage == REFUSED)
		found(verdict, DOUBLED, "a refused submission has an outcome");
	if (note->status != (is_wrong(note->kind) ? PENSTOCK_ERROR : PENSTOCK_OK))
		found(verdict, PARTIAL, "kind %u came to %s", note->kind, penstock_status_name(note->status));
	if (note->status == PENSTOCK_OK && !present)
		found(verdict, LOST, "submission %u of producer %u (kind %u, ticket %" PRIu64 ") was OK", n, p, note->kind,
		      (uint64_t)note->ticket - 1);
}

struct place {
	uint64_t ticket;
	int64_t rowid;
	bool present;
};

static int compare_places(const void *one, const void *other)
{
	const struct place *a = one, *b = other;

	return a->ticket < b->ticket ? -1 : a->ticket > b->ticket;
}

static void check_prefix(struct verdict *verdict, struct place *places, size_t count)
{
	size_t last = 0;

	qsort(places, count, sizeof *places, compare_places);
	for (size_t i = 0; i < count; i++) {
		if (places[i].present)
			last = i;
		if (i > 0 && places[i].ticket == places[i - 1].ticket)
			found(verdict, DOUBLED, "ticket %" PRIu64, places[i].ticket);
	}
	for (size_t i = 0; i < last; i++) {
		if (!places[i].present)
			found(verdict, HOLE, "ticket %" PRIu64 " is missing, %" PRIu64 " is there", places[i].ticket,
			      places[last].ticket);
		else if (places[i + 1].present && places[i + 1].rowid < places[i].rowid)
			found(verdict, HOLE, "ticket %" PRIu64 " lies behind the next", places[i].ticket);
	}
}

static void check_submissions(struct verdict *verdict, struct seen (*seen)[EACH])
{
	static struct place places[PRODUCERS * EACH];
	size_t count = 0;

	for (unsigned p = 0; p < PRODUCERS; p++) {
		bool ended = false;

		for (unsigned n = 0; n < page->begun[p]; n++) {
			const struct note *note = &page->notes[p][n];
			unsigned parts = parts_of(note->kind);
			bool present = seen[p][n].parts != 0;

			if (present && (is_wrong(note->kind) || seen[p][n].parts != (UINT64_MAX >> (64 - parts))))
				found(verdict, PARTIAL, "submission %u of producer %u (kind %u) has left parts %" PRIx64, n, p,
				      note->kind, seen[p][n].parts);
			check_outcome(verdict, note, present, p, n);
			if (is_wrong(note->kind) || note->stage == REFUSED)
				continue;
			if (present && ended)
				found(verdict, HOLE, "submission %u of producer %u is there, one before is not", n, p);
			ended = ended || !present;
			if (note->ticket != 0)
				places[count++] = (struct place){ note->ticket - 1, seen[p][n].first_rowid, present };
		}
	}
	check_prefix(verdict, places, count);
}

static void check_past(sqlite3 *connection, struct verdict *verdict)
{
	sqlite3_stmt *statement = prepare(connection, "SELECT count(*),ifnull(sum(sum/65536),0) FROM t WHERE life=?");
	unsigned first = life > LIVES_KEPT + 3 ? life - LIVES_KEPT - 3 : 0;
	bool gone = false, there = false;

	for (unsigned i = first; i < life; i++) {
		int64_t rows;

		sqlite3_bind_int64(statement, 1, i);
		if (sqlite3_step(statement) != SQLITE_ROW) {
			found(verdict, CORRUPT, "%s", sqlite3_errmsg(connection));
			break;
		}
		rows = sqlite3_column_int64(statement, 0);
		if ((rows != 0 || pasts[i].rows != 0) &&
		    (rows != pasts[i].rows || sqlite3_column_int64(statement, 1) != pasts[i].sum)) {
			if (i + LIVES_KEPT < life && page->deleting && rows == 0)
				gone = true;
			else
				found(verdict, CORRUPT, "life %u has %" PRId64 " rows, not %" PRId64, i, rows, pasts[i].rows);
		} else if (rows != 0 && i + LIVES_KEPT < life) {
			there = true;
			if (page->deleted)
				found(verdict, LOST, "life %u was deleted", i);
		}
		sqlite3_reset(statement);
	}
	if (gone && there)
		found(verdict, PARTIAL, "a DELETE has left rows");
	sqlite3_finalize(statement);
	if (gone) {
		for (unsigned i = first; i + LIVES_KEPT < life; i++)
			pasts[i] = (struct past){ 0, 0 };
	}
}

static void check_outside(sqlite3 *connection, struct verdict *verdict)
{
	sqlite3_stmt *statement = prepare(connection, "SELECT count(*),count(DISTINCT n) FROM outside WHERE life=?");
	unsigned rows, distinct;

	sqlite3_bind_int64(statement, 1, life);
	sqlite3_step(statement);
	rows = (unsigned)sqlite3_column_int64(statement, 0);
	distinct = (unsigned)sqlite3_column_int64(statement, 1);
	if (rows < page->outside_done || rows > page->outside_begun || rows != distinct)
		found(verdict, CORRUPT, "%u rows of the pauser's, not %u to %u", rows, page->outside_done, page->outside_begun);
	sqlite3_finalize(statement);
}

static void remember(sqlite3 *connection)
{
	sqlite3_stmt *statement = prepare(connection, "SELECT count(*),ifnull(sum(sum/65536),0) FROM t WHERE life=?");

	sqlite3_bind_int64(statement, 1, life);
	if (sqlite3_step(statement) == SQLITE_ROW)
		pasts[life] = (struct past){ sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1) };
	sqlite3_finalize(statement);
}

/* tampering: SQL that runs first, in a transaction that is rolled back in the end. */
static void check_file(const char *file, bool checkpoint, const char *tampering, struct verdict *verdict)
{
	static struct seen seen[PRODUCERS][EACH];
	struct past present = { 0, 0 };
	sqlite3 *connection;

	memset(seen, 0, sizeof seen);
	if (sqlite3_open_v2(file, &connection, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		found(verdict, LOST, "the file cannot be opened: %s", sqlite3_errmsg(connection));
		sqlite3_close(connection);
		return;
	}
	sqlite3_wal_autocheckpoint(connection, 0);
	sqlite3_exec(connection, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
	if (!checkpoint)
		sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (tampering != NULL && sqlite3_exec(connection, tampering, NULL, NULL, NULL) != SQLITE_OK) {
		fprintf(stderr, "kill: %s: %s\n", tampering, sqlite3_errmsg(connection));
		exit(1);
	}
	check_integrity(connection, verdict);
	read_rows(connection, verdict, seen, &present);
	check_submissions(verdict, seen);
	check_outside(connection, verdict);
	if (tampering == NULL) {
		check_past(connection, verdict);
		remember(connection);
	} else {
		sqlite3_exec(connection, "ROLLBACK", NULL, NULL, NULL);
	}
	sqlite3_close(connection);
}

/* ---- the supervisor: trying the check ------------------------------------------------------------------------------ */

/* An acknowledged submission of one row with others after it, and one of several; false: this life has none. */
static bool find_victims(unsigned *one, unsigned *few)
{
	bool have_one = false, have_few = false;

	for (unsigned n = 0; n + 20 < page->begun[0]; n++) {
		const struct note *note = &page->notes[0][n];

		if (note->outcomes != 1 || note->status != PENSTOCK_OK)
			continue;
		if (!have_one && note->kind == ONE) {
			*one = n;
			have_one = true;
		} else if (!have_few && note->kind == FEW) {
			*few = n;
			have_few = true;
		}
	}
	return have_one && have_few;
}

static void try_the_check(unsigned one, unsigned few)
{
	static const struct {
		const char *sql;
		enum fault fault;
	} cases[] = {
		{ "BEGIN; DELETE FROM t WHERE life=%u AND p=0 AND n=%u", LOST },
		{ "BEGIN; DELETE FROM t WHERE life=%u AND p=0 AND n=%u", HOLE },
		{ "BEGIN; INSERT INTO t SELECT * FROM t WHERE life=%u AND p=0 AND n=%u", DOUBLED },
		{ "BEGIN; UPDATE t SET sum=sum+1 WHERE life=%u AND p=0 AND n=%u", CORRUPT },
		{ "BEGIN; DELETE FROM t WHERE life=%u AND p=0 AND n=%u AND part=3", PARTIAL },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct verdict verdict = { .silent = true };
		char sql[256];

		snprintf(sql, sizeof sql, cases[i].sql, life, cases[i].fault == PARTIAL ? few : one);
		check_file(path, false, sql, &verdict);
		if (verdict.counts[cases[i].fault] == 0) {
			fprintf(stderr, "kill: the check did not see that something is %s: %s\n", fault_names[cases[i].fault],
			        sql);
			exit(1);
		}
	}
}

/* ---- the supervisor: kills ---------------------------------------------------------------------------------------- */

static uint64_t environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void copy_file(const char *from, const char *to)
{
	static char buffer[1 << 16];
	FILE *source = fopen(from, "rb"), *target;
	size_t bytes;

	unlink(to);
	if (source == NULL)
		return;
	target = fopen(to, "wb");
	if (target == NULL) {
		perror(to);
		exit(1);
	}
	while ((bytes = fread(buffer, 1, sizeof buffer, source)) > 0) {
		if (fwrite(buffer, 1, bytes, target) != bytes) {
			perror(to);
			exit(1);
		}
	}
	fclose(source);
	if (fclose(target) != 0) {
		perror(to);
		exit(1);
	}
}

static void create_file(void)
{
	sqlite3 *connection;

	if (sqlite3_open(path, &connection) != SQLITE_OK ||
	    sqlite3_exec(
		    connection,
		    "PRAGMA journal_mode=WAL; CREATE TABLE t(life, p, n, part, sum NOT NULL, pad); CREATE INDEX i ON t(life);"
		    "CREATE TABLE outside(life, n); CREATE TABLE parts(value INTEGER PRIMARY KEY);"
		    "WITH r(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM r WHERE n<59) INSERT INTO parts SELECT n FROM r",
		    NULL, NULL, NULL) != SQLITE_OK) {
		fprintf(stderr, "kill: %s: %s\n", path, sqlite3_errmsg(connection));
		exit(1);
	}
	sqlite3_close(connection);
}

static void forget_page(void)
{
	for (unsigned p = 0; p < PRODUCERS; p++)
		memset(page->notes[p], 0, sizeof page->notes[p][0] * page->begun[p]);
	memset((char *)page + sizeof page->notes, 0, sizeof *page - sizeof page->notes);
}

static void run_a_life(uint64_t random)
{
	unsigned limit_usec = wanted != AT_TIMER      ? 60000
	                      : draw(&random, 5) == 0 ? draw(&random, 4000)
	                                              : 4000 + draw(&random, 26000);
	struct timespec limit = { .tv_nsec = (long)limit_usec * 1000 * SLOWNESS };
	sigset_t child_ends;
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	if (child == 0)
		live(random_mix(random));
	if (child < 0) {
		perror("fork");
		exit(1);
	}
	sigemptyset(&child_ends);
	sigaddset(&child_ends, SIGCHLD);
	while (sigtimedwait(&child_ends, NULL, &limit) < 0 && errno == EINTR)
		;
	kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0)
		;
	/* It may have ended between the timeout and the kill. */
	limit = (struct timespec){ 0 };
	while (sigtimedwait(&child_ends, NULL, &limit) >= 0)
		;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		fprintf(stderr, "kill: life %u (seed %" PRIu64 ") ended by itself: status %#x\n", life, seed, (unsigned)status);
		exit(1);
	}
}

int main(void)
{
	unsigned kills = (unsigned)environment("PENSTOCK_KILLS", KILLS_DEFAULT);
	unsigned at_points[POINTS] = { 0 }, named = 0, reached = 0, opened = 0, bad = 0;
	uint64_t submissions = 0, acknowledged = 0;
	struct verdict verdict = { .silent = false };
	bool check_tried = false;
	const char *copy, *copy_wal, *wal;
	sigset_t child_ends;

	seed = environment("PENSTOCK_SEED", 1);
	path = harness_path("kill.db");
	wal = harness_path("kill.db-wal");
	copy = harness_path("copy.db");
	copy_wal = harness_path("copy.db-wal");
	page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pasts = calloc(kills + 1, sizeof *pasts);
	if (page == MAP_FAILED || pasts == NULL) {
		perror("memory");
		return 1;
	}
	sigemptyset(&child_ends);
	sigaddset(&child_ends, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_ends, NULL);
	create_file();
	for (life = 0; life < kills; life++) {
		uint64_t random = random_mix(seed) + random_mix(life);
		unsigned one = 0, few = 0, way;

		forget_page();
		/* Each named point in turn, and the timer for every third life. */
		wanted = life % 3 == 2 ? AT_TIMER : (enum point)(1 + (life - life / 3) % (POINTS - 1));
		to_pass = 1 + draw(&random, point_most[wanted]);
		run_a_life(random);
		at_points[page->died_at]++;
		opened += page->opened;
		way = draw(&random, 3);
		if (way == 2) {
			copy_file(path, copy);
			copy_file(wal, copy_wal);
		}
		check_file(way == 2 ? copy : path, way == 1, NULL, &verdict);
		for (unsigned p = 0; p < PRODUCERS; p++) {
			submissions += page->begun[p];
			for (unsigned n = 0; n < page->begun[p]; n++)
				acknowledged += page->notes[p][n].outcomes;
		}
		for (unsigned i = 0; i < FAULTS; i++)
			bad += verdict.counts[i];
		if (bad != 0) {
			life++;
			break;
		}
		if (!check_tried && way != 2 && find_victims(&one, &few)) {
			try_the_check(one, few);
			check_tried = true;
		}
	}
	for (unsigned i = AT_TIMER + 1; i < POINTS; i++) {
		named += at_points[i];
		reached += at_points[i] != 0;
	}
	printf("kill: %u kills (%u at %u named points), %" PRIu64 " submissions, %" PRIu64 " outcomes; ", life, named, reached,
	       submissions, acknowledged);
	for (unsigned i = 0; i < FAULTS; i++)
		printf("%s %u%s", fault_names[i], verdict.counts[i], i + 1 < FAULTS ? ", " : "; ");
	printf("seed %" PRIu64 ", SQLite %s\n", seed, sqlite3_libversion());
	free(pasts);
	if (bad != 0) {
		fprintf(stderr, "kill: the files are left in %s\n", harness_make_folder());
		return 1;
	}
	if (life >= 2000) {
		for (unsigned i = AT_TIMER + 1; i < POINTS; i++) {
			if (at_points[i] == 0) {
				fprintf(stderr, "kill: nobody was killed at %s\n", point_names[i]);
				bad++;
			}
		}
	}
	if (!check_tried || opened < kills / 2 || (kills >= 50 && reached < 5)) {
		fprintf(stderr, "kill: %u of %u lives came to open the file, %u points were met; the check was %stried\n",
		        opened, kills, reached, check_tried ? "" : "not ");
		bad++;
	}
	harness_end();
	printf("%s kill/what_was_acknowledged_survives\n", bad == 0 ? "ok" : "not ok");
	return bad != 0;
}
