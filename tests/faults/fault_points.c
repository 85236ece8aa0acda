/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault_points.c - the N-th call fails, for every N: calls of the disk, of memory, of threads, of their policy, of sleeping and of a queue's descriptors
 *
 * One life of an engine (open, submissions of every kind, a completion queue, a hook that comes late, a reader, pause, stop, cancels, start,
 * close) runs again and again. Each
 * time the N-th call of one kind (KIND_LIST) fails, once or from then on for ever; N rises until a life ends without having
 * met the fault. After each:
 *
 *   1. every accepted submission has exactly one outcome, a refused one none; OK is in the file once, UNKNOWN at most once,
 *      everything else not at all; of a group or call all rows or none; CANCELLED is what was cancelled
 *   2. UNKNOWN only where the fault met a COMMIT, a writing statement in autocommit or a sync for durable outcomes; and
 *      whenever a write or a sync of the database's own files failed in a COMMIT, unless all in it was undone before (a savepoint's
 *      pages are written all the same). FAILED only where such a file was to be written or
 *      synced outside of a statement's transaction, or could not be read in a checkpoint; and with every UNKNOWN, unless that is of
 *      the log's index or an attached file's. Without an I/O error, and for want of room, nothing is FAILED or UNKNOWN
 *   3. a sleep that ends early, or a policy that is not to be had, changes nothing at all
 *   4. threads, descriptors, SQLite's memory and (without sanitizers) everybody's are as before
 *   5. what the engine knows of its log is true, or else it would let that grow for ever
 *   6. nothing hangs: every step is for ever, and a watchdog ends the program
 *
 * Where calls for the locks of the side file fail in each way that there is (LOCK_KIND_LIST), another process has an engine on the
 * file all the while, which writes, checkpoints and pauses all, and besides:
 *
 *   7. this engine begins no checkpoint without the checkpoint lock
 *   8. each row that the other has acknowledged is there, once, and the file is whole
 *
 * Not tried: a futex wake that fails (the kernel has no such failure for a live address), nanosleep, clock_gettime,
 * pthread_setspecific and pthread_atfork (once per process), unlocking and closing a file (SQLite looks at neither).
 *
 *     PENSTOCK_FAULT_STEP=1   every N instead of every so many
 *     PENSTOCK_FAULT_SPARSE=3 three times as many steps between two N where the writer checkpoints, or another process is beside
 *     PENSTOCK_FAULT_KIND=X   only this kind, with a line for each point that was met
 *     PENSTOCK_HANG=60        seconds without a life's end after which it counts as hung
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
#include "tests/shim.h"
#include "writer/sqlite/beside.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* What a lock of an open file may fail with, to be set and to be looked at (lock_kinds), with another engine on the file. */
#define LOCK_KIND_LIST(X)                   \
	X(set_lock_einval, 4, false, false) \
	X(set_lock_enolck, 4, false, false) \
	X(set_lock_enomem, 4, false, false) \
	X(set_lock_eintr, 4, false, false)  \
	X(set_lock_eio, 4, false, false)    \
	X(get_lock_einval, 4, false, false) \
	X(get_lock_enolck, 4, false, false) \
	X(get_lock_enomem, 4, false, false) \
	X(get_lock_eintr, 4, false, false)  \
	X(get_lock_eio, 4, false, false)

/* X(name, every so many unless told otherwise, of the disk, of no consequence) */
#define KIND_LIST(X)                       \
	X(open, 1, true, false)            \
	X(read, 3, true, false)            \
	X(write, 4, true, false)           \
	X(write_full, 4, false, false)     \
	X(write_quota, 4, false, false)    \
	X(temp_open, 1, true, false)       \
	X(temp_write, 1, true, false)      \
	X(sync, 2, true, false)            \
	X(truncate, 1, true, false)        \
	X(size, 2, true, false)            \
	X(lock, 1, true, false)            \
	X(shm_map, 1, true, false)         \
	X(shm_lock, 3, true, false)        \
	X(delete, 1, true, false)          \
	X(access, 1, true, false)          \
	X(sqlite_memory, 41, false, false) \
	X(memory, 43, false, false)        \
	X(thread_create, 1, false, false)  \
	X(thread_policy, 1, false, true)   \
	X(mutex_init, 1, false, false)     \
	X(cond_init, 1, false, false)      \
	X(cond_wait, 1, false, true)       \
	X(futex_wait, 1, false, true)      \
	X(event_open, 1, false, false)     \
	X(event_dup, 1, false, false)      \
	X(event_read, 1, false, false)     \
	X(event_write, 1, false, false)    \
	X(beside_open, 1, false, false)    \
	X(beside_lock, 1, false, false)    \
	LOCK_KIND_LIST(X)

enum kind {
#define KIND_ENUM(name, step, disk, harmless) KIND_##name,
	KIND_LIST(KIND_ENUM)
#undef KIND_ENUM
		KINDS
};

static const struct {
	const char *name;
	unsigned step;
	bool disk;
	bool harmless;
} kinds[] = {
#define KIND_ROW(name, step, disk, harmless) { #name, step, disk, harmless },
	KIND_LIST(KIND_ROW)
#undef KIND_ROW
};

static const struct {
	int command, error;
} lock_kinds[KINDS] = {
	[KIND_set_lock_einval] = { F_OFD_SETLK, EINVAL }, [KIND_set_lock_enolck] = { F_OFD_SETLK, ENOLCK },
	[KIND_set_lock_enomem] = { F_OFD_SETLK, ENOMEM }, [KIND_set_lock_eintr] = { F_OFD_SETLK, EINTR },
	[KIND_set_lock_eio] = { F_OFD_SETLK, EIO },       [KIND_get_lock_einval] = { F_OFD_GETLK, EINVAL },
	[KIND_get_lock_enolck] = { F_OFD_GETLK, ENOLCK }, [KIND_get_lock_enomem] = { F_OFD_GETLK, ENOMEM },
	[KIND_get_lock_eintr] = { F_OFD_GETLK, EINTR },   [KIND_get_lock_eio] = { F_OFD_GETLK, EIO },
};

static bool has_company(int kind)
{
	return kind >= 0 && lock_kinds[kind].command != 0;
}

/* ---- the fault ---------------------------------------------------------------------------------------------------- */

/* What the writer's connection was doing, and so what a fault met. */
/* NOTHING: a checkpoint, a sync for a durable outcome; or a statement that SQLite prepared anew meanwhile, and did not tell of again. */
enum doing { NOTHING, STATEMENT, AUTOCOMMIT, COMMIT };

static __thread enum doing doing;
static __thread bool undone; /* a savepoint was rolled back to, in this transaction */

static struct {
	_Atomic int kind; /* -1: none */
	unsigned at;
	bool for_ever;
	_Atomic unsigned seen, failed;
	_Atomic enum doing met; /* where the first one was */
	_Atomic bool met_wal, met_ours, met_undone;
} fault = { .kind = -1 };

/* file: that it is of, of those that are ours, or 0. */
static bool fails(enum kind kind, unsigned file)
{
	unsigned number;

	if (fault.kind != (int)kind)
		return false;
	number = atomic_fetch_add(&fault.seen, 1) + 1;
	if (number != fault.at && !(fault.for_ever && number > fault.at))
		return false;
	if (atomic_fetch_add(&fault.failed, 1) == 0) {
		fault.met = doing;
		fault.met_undone = undone;
		fault.met_ours = file != 0;
		fault.met_wal = file == SHIM_WAL;
	}
	return true;
}

static void arm(int kind, unsigned n, bool for_ever)
{
	fault.kind = -1;
	fault.at = n;
	fault.for_ever = for_ever;
	fault.seen = 0;
	fault.failed = 0;
	fault.met = NOTHING;
	fault.met_wal = false;
	fault.met_ours = false;
	shim_errno = kind == KIND_write_quota ? EDQUOT : EIO;
	fault.kind = kind;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text);

	return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* The database or its log, or 0. */
static unsigned ours(const struct shim_event *event)
{
	if (event->name == NULL || !(ends_with(event->name, "faults.db") || ends_with(event->name, "faults.db-wal")))
		return 0;
	return event->file;
}

/* sqlite.org/walformat.html */
#define CHECKPOINT_LOCK 1

static _Atomic bool licensed; /* this process has the checkpoint lock */
static _Atomic unsigned unlicensed;

/* Who makes the index anew, since nobody has it, takes that lock with others. */
static void note_checkpoint(const struct shim_event *event)
{
	if (has_company(fault.kind) && event->call == SHIM_SHM_LOCK && event->offset == CHECKPOINT_LOCK && event->bytes == 1 &&
	    (event->flags & SQLITE_SHM_EXCLUSIVE) != 0 && !licensed)
		unlicensed++;
}

static int on_call(const struct shim_event *event)
{
	static const int kind_of[SHIM_CALLS] = {
		[SHIM_OPEN] = KIND_open,         [SHIM_READ] = KIND_read,
		[SHIM_WRITE] = KIND_write,       [SHIM_SYNC] = KIND_sync,
		[SHIM_TRUNCATE] = KIND_truncate, [SHIM_SIZE] = KIND_size,
		[SHIM_LOCK] = KIND_lock,         [SHIM_UNLOCK] = -1,
		[SHIM_SHM_MAP] = KIND_shm_map,   [SHIM_SHM_LOCK] = KIND_shm_lock,
		[SHIM_SHM_UNLOCK] = -1,          [SHIM_DELETE] = KIND_delete,
		[SHIM_ACCESS] = KIND_access,     [SHIM_CLOSE] = -1,
	};

	note_checkpoint(event);
	if (event->after || kind_of[event->call] < 0)
		return SQLITE_OK;
	if (fails((enum kind)kind_of[event->call], ours(event)))
		return shim_natural_code(event->call);
	if (event->call == SHIM_WRITE && fails(KIND_write_full, ours(event)))
		return SQLITE_FULL;
	if (event->call == SHIM_WRITE && fails(KIND_write_quota, ours(event)))
		return SQLITE_IOERR_WRITE;
	if (event->call == SHIM_OPEN && event->file == SHIM_TEMP && fails(KIND_temp_open, 0))
		return SQLITE_IOERR_GETTEMPPATH;
	if (event->call == SHIM_WRITE && event->file == SHIM_TEMP && fails(KIND_temp_write, 0))
		return SQLITE_IOERR_WRITE;
	/* Nothing here loses power. */
	return event->call == SHIM_SYNC ? SHIM_SKIP : SQLITE_OK;
}

/* ---- SQLite's memory, and everybody's */

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int bytes)
{
	return fails(KIND_sqlite_memory, 0) ? NULL : sqlite_memory.xMalloc(bytes);
}

static void *sqlite_realloc(void *old, int bytes)
{
	return fails(KIND_sqlite_memory, 0) ? NULL : sqlite_memory.xRealloc(old, bytes);
}

static _Atomic long live_blocks;

#if !SANITIZED
#define VISIBLE __attribute__((visibility("default")))

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *block);

static void *counted(void *block)
{
	if (block != NULL)
		atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
	return block;
}

VISIBLE void *malloc(size_t bytes)
{
	return fails(KIND_memory, 0) ? NULL : counted(__libc_malloc(bytes));
}

VISIBLE void *calloc(size_t count, size_t bytes)
{
	return fails(KIND_memory, 0) ? NULL : counted(__libc_calloc(count, bytes));
}

VISIBLE void *realloc(void *old, size_t bytes)
{
	if (fails(KIND_memory, 0))
		return NULL;
	return old == NULL ? counted(__libc_malloc(bytes)) : __libc_realloc(old, bytes);
}

VISIBLE void *aligned_alloc(size_t alignment, size_t bytes)
{
	return fails(KIND_memory, 0) ? NULL : counted(__libc_memalign(alignment, bytes));
}

VISIBLE void free(void *block)
{
	if (block != NULL)
		atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
	__libc_free(block);
}
#endif

/* ---- what the linker wraps */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __real_pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *param);
int __wrap_pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *param);
int __real_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int __real_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *limit);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *limit);

long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < COUNT_OF(arguments); i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_futex && ((int)arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && fails(KIND_futex_wait, 0)) {
		errno = EINTR;
		return -1;
	}
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
	return fails(KIND_thread_create, 0) ? EAGAIN : __real_pthread_create(thread, attributes, run, arg);
}

int __wrap_pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *param)
{
	return fails(KIND_thread_policy, 0) ? EPERM : __real_pthread_setschedparam(thread, policy, param);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
	return fails(KIND_mutex_init, 0) ? ENOMEM : __real_pthread_mutex_init(mutex, attributes);
}

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
	return fails(KIND_cond_init, 0) ? ENOMEM : __real_pthread_cond_init(condition, attributes);
}

/* Woken for nothing. The lock is let go of meanwhile: whoever must change the condition needs it. */
static void wake_for_nothing(pthread_mutex_t *mutex)
{
	pthread_mutex_unlock(mutex);
	sched_yield();
	pthread_mutex_lock(mutex);
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	if (!fails(KIND_cond_wait, 0))
		return __real_pthread_cond_wait(condition, mutex);
	wake_for_nothing(mutex);
	return 0;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *limit)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec > limit->tv_sec || (now.tv_sec == limit->tv_sec && now.tv_nsec >= limit->tv_nsec) ||
	    !fails(KIND_cond_wait, 0))
		return __real_pthread_cond_timedwait(condition, mutex, limit);
	wake_for_nothing(mutex);
	return 0;
}

int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);
int __real_fcntl64(int descriptor, int command, ...);
int __wrap_fcntl64(int descriptor, int command, ...);
int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __real_read(int descriptor, void *data, size_t bytes);
ssize_t __wrap_read(int descriptor, void *data, size_t bytes);
ssize_t __real_write(int descriptor, const void *data, size_t bytes);
ssize_t __wrap_write(int descriptor, const void *data, size_t bytes);

int __wrap_eventfd(unsigned count, int flags)
{
	if (!fails(KIND_event_open, 0))
		return __real_eventfd(count, flags);
	errno = EMFILE;
	return -1;
}

/* The library has no other calls of it. */
/* Who could not unlock it has let go of it all the same. */
static void note_license(int command, const struct flock *lock, bool well)
{
	if (command == F_OFD_SETLK && lock->l_start == PS_BESIDE_CHECKPOINT && (well || lock->l_type == F_UNLCK))
		licensed = lock->l_type != F_UNLCK;
}

int __wrap_fcntl64(int descriptor, int command, ...)
{
	long argument;
	va_list list;
	int result;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	if (command == F_OFD_SETLK && fails(KIND_beside_lock, 0)) {
		errno = ENOLCK;
		return -1;
	}
	if (has_company(fault.kind) && lock_kinds[fault.kind].command == command && fails((enum kind)fault.kind, 0)) {
		note_license(command, (const struct flock *)argument, false);
		errno = lock_kinds[fault.kind].error;
		return -1;
	}
	if (command == F_DUPFD_CLOEXEC && fails(KIND_event_dup, 0)) {
		errno = EMFILE;
		return -1;
	}
	result = __real_fcntl64(descriptor, command, argument);
	if (result == 0)
		note_license(command, (const struct flock *)argument, true);
	return result;
}

static bool is_beside(const char *path)
{
	size_t length = strlen(path), suffix = strlen(PS_BESIDE_SUFFIX);

	return length > suffix && strcmp(path + length - suffix, PS_BESIDE_SUFFIX) == 0;
}

int __wrap_open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list list;

	va_start(list, flags);
	mode = va_arg(list, mode_t);
	va_end(list);
	if (!is_beside(path) || !fails(KIND_beside_open, 0))
		return __real_open64(path, flags, mode);
	errno = EMFILE;
	return -1;
}

/* An eventfd's are of eight bytes. */
ssize_t __wrap_read(int descriptor, void *data, size_t bytes)
{
	if (bytes != sizeof(uint64_t) || !fails(KIND_event_read, 0))
		return __real_read(descriptor, data, bytes);
	errno = EIO;
	return -1;
}

ssize_t __wrap_write(int descriptor, const void *data, size_t bytes)
{
	if (bytes != sizeof(uint64_t) || !fails(KIND_event_write, 0))
		return __real_write(descriptor, data, bytes);
	errno = EIO;
	return -1;
}

/* ---- one life ----------------------------------------------------------------------------------------------------- */

enum heard { BY_NOBODY, BY_CALLBACK, BY_HANDLE, BY_EXECUTE, BY_QUEUE };

struct work {
	bool begun;
	bool inserts;     /* one row, when OK... */
	unsigned members; /* ...or of a group or call so many */
	bool fails;       /* a call, at its end */
	bool cancelled;   /* which was answered OK */
	enum heard heard;
	int submitted; /* what submit said */
	unsigned outcomes;
	penstock_status status;
	int code;
	penstock_handle *handle;
};

#define WORKS_MAX 64

static struct life {
	struct work works[WORKS_MAX];
	unsigned count;
	int opened, hooked, paused, unpaused, stopped, started, read;
	_Atomic unsigned failures; /* moves to FAILED, from the log */
	char reason[200];
	uint64_t fused; /* inserts that ran as one */
	int queue_opened;
	penstock_completions *queue;
} life;

#define INSERT "INSERT INTO t VALUES(?)"
#define INSERT_LATE "INSERT INTO t SELECT ?1 WHERE late()"
#define INSERT_LARGE "INSERT INTO t SELECT ?1 WHERE length(?2)>0"

static void on_complete(void *arg, const penstock_result *result)
{
	struct work *work = arg;

	work->outcomes++;
	work->status = result->status;
	work->code = result->extended_code;
}

static void on_error(void *arg, const penstock_result *result)
{
	(void)arg;
	on_complete(result->arg, result);
}

static void take_result(struct work *work)
{
	const penstock_result *result = penstock_handle_result(work->handle);

	if (result != NULL)
		on_complete(work, result);
	penstock_handle_release(work->handle);
	work->handle = NULL;
}

static struct work *submit(penstock *db, const char *sql, enum heard heard, penstock_ack ack)
{
	static const char bytes[3000];
	struct work *work = &life.works[life.count];
	penstock_value values[] = { penstock_int64(life.count), penstock_blob(bytes, sizeof bytes) };
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .sql = sql, .values = values, .ack = ack, .arg = work
	};

	life.count++;
	submission.value_count = strstr(sql, "?2") != NULL ? 2 : strchr(sql, '?') != NULL ? 1 : 0;
	work->begun = true;
	work->inserts = strncmp(sql, "INSERT INTO t", 13) == 0 && strstr(sql, "abs(") == NULL;
	work->heard = heard;
	if (heard == BY_QUEUE && life.queue == NULL)
		work->heard = BY_CALLBACK;
	if (work->heard == BY_QUEUE)
		submission.completions = life.queue;
	if (work->heard == BY_CALLBACK)
		submission.on_complete = on_complete;
	if (heard == BY_EXECUTE) {
		work->submitted = penstock_execute(db, &submission, PENSTOCK_FOREVER, &work->handle);
		if (work->handle != NULL) {
			work->submitted = PENSTOCK_OK;
			take_result(work);
		}
	} else {
		work->submitted = penstock_submit(db, &submission, PENSTOCK_FOREVER, heard == BY_HANDLE ? &work->handle : NULL);
	}
	return work;
}

static void must(bool condition, const char *what);

/* Of the log: a page, and what stands before it (sqlite.org/fileformat2.html#walformat). */
#define FRAME_BYTES (4096 + 24)

/* Whatever its descriptor says: what has completed is there. */
static void take_completions(void)
{
	penstock_handle *handles[2];
	size_t count = 1;

	while (life.queue != NULL && count > 0) {
		must(penstock_completions_take(life.queue, handles, 2, &count) == PENSTOCK_OK, "take");
		for (size_t i = 0; i < count; i++) {
			on_complete(penstock_handle_result(handles[i])->arg, penstock_handle_result(handles[i]));
			penstock_handle_release(handles[i]);
		}
	}
}

static void open_queue(penstock *db)
{
	life.queue_opened = penstock_completions_open(db, WORKS_MAX, &life.queue);
	must((life.queue != NULL) == (life.queue_opened == PENSTOCK_OK), "a queue, or a reason");
	if (life.queue == NULL)
		must(life.queue_opened == PENSTOCK_NOMEM && penstock_error_message()[0] != '\0', "a queue, or a reason");
	else
		must(penstock_completions_notify_room(db, life.queue) == PENSTOCK_OK, "a request for room");
}

#define MEMBERS 3

/* A row, what is to be between, a row with its id in the result, another row. Those of one group have one id. */
static void submit_group(penstock *db, const char *between, enum heard heard)
{
	static const char bytes[3000];
	struct work *work = &life.works[life.count];
	penstock_value values[] = { penstock_int64(life.count), penstock_blob(bytes, sizeof bytes) };
	const char *const texts[] = { INSERT, between, INSERT " RETURNING id,'text'", INSERT_LARGE };
	penstock_submission members[COUNT_OF(texts)], whole = PENSTOCK_SUBMISSION_INIT;

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		penstock_submission_init(&members[i]);
		members[i].sql = texts[i];
		members[i].values = values;
		members[i].value_count = strstr(texts[i], "?2") != NULL ? 2 : strchr(texts[i], '?') != NULL ? 1 : 0;
	}
	life.count++;
	*work = (struct work){ .begun = true, .inserts = strstr(between, "abs(") == NULL, .members = MEMBERS, .heard = heard };
	whole.arg = work;
	if (heard == BY_CALLBACK)
		whole.on_complete = on_complete;
	work->submitted = penstock_submit_group(db, members, COUNT_OF(texts), &whole, PENSTOCK_FOREVER,
	                                        heard == BY_HANDLE ? &work->handle : NULL);
}

#define CALL_ROWS 2

/* Some rows with the work's id, in one transaction that the engine ends. */
static int write_rows(sqlite3 *connection, void *arg, char **message)
{
	const struct work *work = arg;
	sqlite3_stmt *insert = NULL;
	int rc = sqlite3_prepare_v2(connection, INSERT, -1, &insert, NULL);

	for (unsigned i = 0; rc == SQLITE_OK && i < CALL_ROWS; i++) {
		sqlite3_bind_int64(insert, 1, work - life.works);
		sqlite3_step(insert);
		rc = sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	if (rc == SQLITE_OK && work->fails) {
		*message = sqlite3_mprintf("as work %d wants it", (int)(work - life.works));
		rc = SQLITE_ABORT;
	}
	return rc;
}

static void submit_call(penstock *db, bool wrong, enum heard heard, penstock_ack ack)
{
	struct work *work = &life.works[life.count++];
	penstock_submission whole = PENSTOCK_SUBMISSION_INIT;

	if (heard == BY_QUEUE && life.queue == NULL)
		heard = BY_CALLBACK;
	*work = (struct work){ .begun = true, .inserts = !wrong, .members = CALL_ROWS, .fails = wrong, .heard = heard };
	whole.ack = ack;
	whole.arg = work;
	if (heard == BY_CALLBACK)
		whole.on_complete = on_complete;
	if (heard == BY_QUEUE)
		whole.completions = life.queue;
	work->submitted =
		penstock_call(db, write_rows, work, &whole, PENSTOCK_FOREVER, heard == BY_HANDLE ? &work->handle : NULL);
}

/* One row, unless it is cancelled at once or its deadline has passed. */
static void submit_conditional(penstock *db, unsigned flags, bool cancels, int64_t deadline)
{
	struct work *work = &life.works[life.count];
	penstock_value value = penstock_int64(life.count);
	penstock_submission submission = PENSTOCK_SUBMISSION_INIT;

	life.count++;
	*work = (struct work){ .begun = true, .inserts = true, .heard = BY_HANDLE };
	submission.sql = INSERT;
	submission.values = &value;
	submission.value_count = 1;
	submission.flags = flags;
	submission.deadline_usec = deadline;
	submission.arg = work;
	work->submitted = penstock_submit(db, &submission, PENSTOCK_FOREVER, &work->handle);
	if (cancels && work->handle != NULL)
		work->cancelled = penstock_handle_cancel(work->handle) == PENSTOCK_OK;
}

static void late(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	sqlite3_result_int(context, 1);
}

/* Of the writer's connections, of this life and those behind a pause and a stop, and of readers. */
static int late_hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_create_function(connection, "late", 0, SQLITE_UTF8, NULL, late, NULL, NULL);
}

static void look(penstock *db)
{
	penstock_counters counters = { .struct_size = sizeof counters };
	char reason[200] = "";

	must(penstock_counters_read(db, &counters) == PENSTOCK_OK, "counters");
	must(counters.wal_bytes % FRAME_BYTES == 0, "the log is as long as so many frames");
	if (penstock_phase_of(db) == PENSTOCK_PHASE_FAILED)
		must(penstock_failure(db, reason, sizeof reason) != 0 && reason[0] != '\0', "FAILED for a reason");
}

static void on_log(void *arg, enum penstock_log_level level, enum penstock_event event, const char *message)
{
	(void)arg;
	if (level != PENSTOCK_LOG_ERROR || event != PENSTOCK_EVENT_FAILED)
		return;
	life.failures++;
	snprintf(life.reason, sizeof life.reason, "%s", message);
}

static int trace(unsigned what, void *arg, void *subject, void *text)
{
	static __thread sqlite3_stmt *outermost; /* DDL runs statements of its own inside */
	sqlite3_stmt *statement = subject;

	(void)arg;
	(void)text;
	if (what == SQLITE_TRACE_PROFILE) {
		if (statement == outermost) {
			outermost = NULL;
			doing = NOTHING;
		}
		return 0;
	}
	if (outermost != NULL)
		return 0;
	outermost = statement;
	if (strcmp(sqlite3_sql(statement), "ROLLBACK TO penstock") == 0)
		undone = true;
	else if (strcmp(sqlite3_sql(statement), "BEGIN IMMEDIATE") == 0)
		undone = false;
	if (strcmp(sqlite3_sql(statement), "COMMIT") == 0)
		doing = COMMIT;
	else if (sqlite3_get_autocommit(sqlite3_db_handle(statement)) && !sqlite3_stmt_readonly(statement))
		doing = AUTOCOMMIT;
	else
		doing = STATEMENT;
	return 0;
}

static int hook(sqlite3 *connection, void *arg)
{
	(void)arg;
	return sqlite3_trace_v2(connection, SQLITE_TRACE_STMT | SQLITE_TRACE_PROFILE, trace, NULL);
}

static penstock_statement *registered;

/* One of those that may run as one with others. */
static void submit_registered(penstock *db, enum heard heard)
{
	struct work *work = &life.works[life.count];
	penstock_value value = penstock_int64(life.count);
	penstock_submission submission = {
		.struct_size = sizeof submission, .sql_bytes = -1, .values = &value, .value_count = 1, .arg = work
	};

	if (registered == NULL && penstock_statement_register(db, INSERT, -1, &registered) != PENSTOCK_OK)
		return;
	submission.statement = registered;
	if (heard == BY_CALLBACK)
		submission.on_complete = on_complete;
	*work = (struct work){ .begun = true, .inserts = true, .heard = heard };
	life.count++;
	work->submitted = penstock_submit(db, &submission, PENSTOCK_FOREVER, heard == BY_HANDLE ? &work->handle : NULL);
}

/* What goes to other files: a journal of many rows, a copy, an attached database. */
static void submit_elsewhere(penstock *db)
{
	char sql[4300];

	submit(db,
	       "INSERT INTO u WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i+1 FROM n WHERE i<140)"
	       " SELECT i,zeroblob(3000) FROM n",
	       BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, "UPDATE u SET a=-a", BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_HANDLE, PENSTOCK_ACK_COMMITTED);
	snprintf(sql, sizeof sql, "VACUUM INTO '%s'", harness_path("out.db"));
	submit(db, sql, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	snprintf(sql, sizeof sql, "ATTACH '%s' AS o", harness_path("other.db"));
	submit(db, sql, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, "CREATE TABLE o.x(a)", BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, "INSERT INTO o.x VALUES(1)", BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, "DETACH o", BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
}

static void submit_all(penstock *db)
{
	penstock_config change;

	submit(db, "CREATE TABLE IF NOT EXISTS t(id)", BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_HANDLE, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_NOBODY, PENSTOCK_ACK_NONE);
	submit(db, "INSERT INTO t SELECT abs(-9223372036854775807-1-?*0)", BY_HANDLE, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_EXECUTE, PENSTOCK_ACK_DURABLE);
	submit(db, INSERT, BY_QUEUE, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_QUEUE, PENSTOCK_ACK_DURABLE);
	submit(db, "INSERT INTO t SELECT abs(-9223372036854775807-1-?*0)", BY_QUEUE, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT " RETURNING id,'text'", BY_HANDLE, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT_LARGE, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit_group(db, "SELECT changes()", BY_HANDLE);
	submit(db, INSERT, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit_group(db, "SELECT abs(-9223372036854775807-1)", BY_CALLBACK);
	submit_group(db, "SELECT abs(-9223372036854775807-1)", BY_NOBODY);
	submit_group(db, "PRAGMA user_version=3", BY_CALLBACK);
	submit_call(db, false, BY_HANDLE, PENSTOCK_ACK_COMMITTED);
	submit_call(db, true, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_NOBODY, PENSTOCK_ACK_NONE);
	submit_call(db, true, BY_NOBODY, PENSTOCK_ACK_NONE);
	submit_call(db, false, BY_QUEUE, PENSTOCK_ACK_DURABLE);
	submit_conditional(db, PENSTOCK_CANCELLABLE, false, 0);
	submit_conditional(db, 0, false, INT64_MAX);
	life.hooked = penstock_on_connect(db, late_hook, NULL);
	submit(db, INSERT_LATE, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, "CREATE TABLE IF NOT EXISTS u(a UNIQUE, b)", BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, "INSERT OR ROLLBACK INTO u SELECT 1,? FROM (SELECT 1 UNION ALL SELECT 2)", BY_CALLBACK,
	       PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, "INSERT INTO u SELECT ?,zeroblob(70000)", BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	submit(db, INSERT, BY_HANDLE, PENSTOCK_ACK_DURABLE);
	submit_elsewhere(db);
	penstock_config_init(&change);
	change.batch_max = 4;
	penstock_reconfigure(db, &change);
	submit_registered(db, BY_CALLBACK);
}

static bool by_thread; /* who checkpoints */

/* Longer than an idle engine stays in (writer.c). */
#define IDLE_USEC 30000

static void live(void)
{
	penstock_config config;
	penstock_counters counters = { .struct_size = sizeof counters };
	penstock *db = NULL;
	sqlite3 *reader = NULL;

	penstock_config_init(&config);
	config.connect_hook = hook;
	config.on_error = on_error;
	config.log = on_log;
	config.ring_slots = 8; /* what is held, while a start fails, fits */
	config.wal_bytes_max = 65536;
	config.checkpoint_thread = by_thread;
	config.busy_timeout_ms = 0;
	config.busy_limit_ms = has_company(fault.kind) ? 50 : 5;
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	config.when_stopped = PENSTOCK_HOLD;
	registered = NULL;
	life.opened = penstock_open(harness_path("faults.db"), &config, &db);
	if (life.opened != PENSTOCK_OK) {
		must(db == NULL && penstock_error_message()[0] != '\0', "no engine, and a reason");
		return;
	}
	open_queue(db);
	submit_all(db);
	life.read = penstock_reader_open(db, &reader);
	if (life.read == PENSTOCK_OK) {
		sqlite3_exec(reader, "SELECT * FROM t", NULL, NULL, NULL);
		must(sqlite3_close(reader) == SQLITE_OK, "the reader closes");
	}
	must(penstock_flush(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "flush");
	take_completions();
	look(db);
	life.paused = penstock_pause(db, PENSTOCK_FOREVER);
	if (life.paused == PENSTOCK_OK)
		life.unpaused = penstock_unpause(db, PENSTOCK_FOREVER);
	/* As a rule it has left meanwhile, and must come in again. */
	if (has_company(fault.kind) || fault.kind == KIND_beside_lock)
		usleep(IDLE_USEC);
	submit(db, INSERT, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	look(db);
	life.stopped = penstock_stop(db, PENSTOCK_FOREVER);
	must(life.stopped == PENSTOCK_OK && penstock_is_stopped(db), "stop");
	submit(db, INSERT, BY_CALLBACK, PENSTOCK_ACK_DURABLE); /* held, as are those behind it */
	submit_conditional(db, PENSTOCK_CANCELLABLE, true, 0);
	submit_conditional(db, 0, false, 1);
	submit(db, INSERT, BY_QUEUE, PENSTOCK_ACK_COMMITTED);
	submit_registered(db, BY_CALLBACK);
	submit_registered(db, BY_HANDLE);
	submit_registered(db, BY_NOBODY);
	life.started = penstock_start(db, PENSTOCK_FOREVER);
	submit(db, INSERT_LATE, BY_CALLBACK, PENSTOCK_ACK_COMMITTED);
	if (life.started == PENSTOCK_OK)
		must(penstock_flush(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "flush");
	look(db);
	must(penstock_counters_read(db, &counters) == PENSTOCK_OK, "counters");
	life.fused = counters.fused;
	must(counters.accepted == counters.committed + counters.failed + counters.unknown + counters.shutdown +
	                                  counters.cancelled + counters.expired + counters.queue_depth,
	     "the counters add up");
	must(penstock_close(db, PENSTOCK_FOREVER) == PENSTOCK_OK, "close");
	take_completions();
	must(penstock_completions_close(life.queue) == PENSTOCK_OK, "nothing is left in the queue");
	for (unsigned i = 0; i < life.count; i++) {
		if (life.works[i].handle != NULL)
			take_result(&life.works[i]);
	}
}

static _Atomic bool armed;

static void *live_main(void *arg)
{
	while (!armed)
		sched_yield();
	live();
	return arg;
}

/* ---- an engine of another process -------------------------------------------------------------------------------- */

static struct {
	_Atomic bool ending;
	_Atomic uint32_t rows; /* that it has acknowledged */
} * other;

static void other_must(int status)
{
	if (status == PENSTOCK_OK)
		return;
	fprintf(stderr, "faults: the other engine: %s\n", penstock_error_message());
	_exit(1);
}

#define ROWS_BETWEEN_PAUSES 64

static void pause_now_and_then(penstock *db)
{
	other_must(penstock_pause_all(db, PENSTOCK_FOREVER));
	other_must(penstock_unpause(db, PENSTOCK_FOREVER));
}

_Noreturn static void be_other(bool pauses)
{
	penstock_submission submission = { .struct_size = sizeof submission, .sql_bytes = -1 };
	penstock_config config;
	penstock *db;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	penstock_config_init(&config);
	config.wal_bytes_max = 65536;
	config.synchronous = PENSTOCK_SYNCHRONOUS_NORMAL;
	other_must(penstock_open(harness_path("faults.db"), &config, &db));
	submission.sql = "CREATE TABLE other(a, b)";
	other_must(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL));
	submission.sql = "INSERT INTO other VALUES(1, zeroblob(3000))";
	while (!other->ending) {
		other_must(penstock_execute(db, &submission, PENSTOCK_FOREVER, NULL));
		if (++other->rows % ROWS_BETWEEN_PAUSES == 0 && pauses)
			pause_now_and_then(db);
	}
	other_must(penstock_close(db, PENSTOCK_FOREVER));
	_exit(0);
}

/*
 * It has the file open, and has written to it. Beside one that seems to have no such locks it stays: as it comes back from a pause, it would
 * not be seen.
 */
static pid_t begin_other(int kind)
{
	pid_t process;

	other->ending = false;
	other->rows = 0;
	process = fork();
	if (process < 0)
		abort();
	if (process == 0)
		be_other(kind != KIND_set_lock_einval);
	for (;;) {
		siginfo_t ended = { 0 };

		if (other->rows != 0 || waitid(P_PID, (id_t)process, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
		    ended.si_pid != 0)
			return process;
		usleep(100);
	}
}

static int64_t ask(sqlite3 *connection, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t answer;

	must(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW,
	     sql);
	answer = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return answer;
}

static void end_other(pid_t process)
{
	sqlite3 *connection;
	int status;

	other->ending = true;
	must(waitpid(process, &status, 0) == process && status == 0, "the other engine went on");
	must(sqlite3_open_v2(harness_path("faults.db"), &connection, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK,
	     "the file opens");
	must(ask(connection, "SELECT count(*) FROM other") == other->rows, "the other's rows are there once");
	must(ask(connection, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1, "the file is whole");
	sqlite3_close(connection);
}

/* ---- afterwards --------------------------------------------------------------------------------------------------- */

static const char *point_text = "no fault";
static unsigned missing, doubled, leaked;

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fault.kind = -1;
	fprintf(stderr, "faults: %s (met at %d): not so: %s; %s\n", point_text, (int)fault.met, what, life.reason);
	abort();
}

static unsigned entries_of(const char *folder)
{
	DIR *entries = opendir(folder);
	unsigned count = 0;

	if (entries == NULL)
		abort();
	while (readdir(entries) != NULL)
		count++;
	closedir(entries);
	return count;
}

struct balance {
	unsigned files, threads;
	long long sqlite_bytes;
	long blocks;
};

static struct balance balance_now(void)
{
	return (struct balance){ .files = entries_of("/proc/self/fd"),
		                 .threads = entries_of("/proc/self/task"),
		                 .sqlite_bytes = sqlite3_memory_used(),
		                 .blocks = live_blocks };
}

static int times_of(sqlite3_stmt *statement, unsigned id)
{
	int times;

	if (statement == NULL)
		return 0; /* not even the table */
	sqlite3_bind_int(statement, 1, (int)id);
	must(sqlite3_step(statement) == SQLITE_ROW, "the file can be read");
	times = sqlite3_column_int(statement, 0);
	sqlite3_reset(statement);
	return times;
}

static void check_work(const struct work *work, int times)
{
	if (work->members != 0) {
		must(times == 0 || times == (int)work->members, "of a group or call all rows or none are there");
		times /= (int)work->members;
	}
	if (work->submitted != PENSTOCK_OK) {
		must(work->outcomes == 0 && times == 0, "refused is refused");
		return;
	}
	/* Who told nobody hears of errors only. */
	if (work->outcomes == 0 && work->heard == BY_NOBODY) {
		must(times == 1, "fire and forget without an error is there");
		return;
	}
	missing += work->outcomes == 0;
	doubled += work->outcomes > 1;
	must(work->outcomes == 1, "one outcome");
	must((work->status == PENSTOCK_CANCELLED) == work->cancelled, "CANCELLED is what was cancelled, and nothing else");
	switch (work->status) {
	case PENSTOCK_OK:
		must(times == (work->inserts ? 1 : 0), "OK is there once");
		break;
	case PENSTOCK_UNKNOWN:
		must(times <= 1, "UNKNOWN is there at most once");
		break;
	case PENSTOCK_ERROR:
	case PENSTOCK_SHUTDOWN:
	case PENSTOCK_CANCELLED:
	case PENSTOCK_EXPIRED:
		must(times == 0, "what is not OK or UNKNOWN has no effect");
		break;
	default:
		must(false, "an outcome is one of six");
	}
}

static unsigned check_works(void)
{
	sqlite3 *connection;
	sqlite3_stmt *statement = NULL;
	unsigned unknown = 0;

	must(sqlite3_open_v2(harness_path("faults.db"), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix") ==
	             SQLITE_OK,
	     "the file opens");
	sqlite3_exec(connection, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
	sqlite3_prepare_v2(connection, "SELECT count(*) FROM t WHERE id=?", -1, &statement, NULL);
	for (unsigned i = 0; i < life.count; i++) {
		if (!life.works[i].begun)
			continue;
		check_work(&life.works[i], times_of(statement, i));
		unknown += life.works[i].status == PENSTOCK_UNKNOWN;
	}
	sqlite3_finalize(statement);
	sqlite3_close(connection);
	return unknown;
}

/* Where FAILED may be. */
static bool may_fail(enum kind kind, bool for_ever)
{
	switch (kind) {
	case KIND_write:
	case KIND_sync:
	case KIND_truncate:
		/* For ever: the first fault may have been met and survived before a later one. */
		return for_ever || (fault.met_ours && fault.met != STATEMENT);
	case KIND_read:
		return for_ever || (fault.met_ours && fault.met == NOTHING);
	default:
		return false;
	}
}

/* Where UNKNOWN may be. */
static bool may_be_unknown(enum kind kind, bool for_ever)
{
	if (kind == KIND_temp_open || kind == KIND_temp_write)
		return false;
	return for_ever || fault.met != STATEMENT;
}

/* Where UNKNOWN and FAILED may be, and must be. */
static void check_places(enum kind kind, bool for_ever, unsigned unknown)
{
	bool in_commit = fault.met == COMMIT && fault.met_ours && (kind == KIND_write || kind == KIND_sync);

	if (!kinds[kind].disk) {
		/* Nor can it go on inside a transaction that should not be there any more. */
		bool no_rollback = for_ever && (strstr(life.reason, "beginning a transaction: out of memory") != NULL ||
		                                strstr(life.reason, "running a statement: out of memory") != NULL);

		must(unknown == 0, "without an I/O error nothing is UNKNOWN");
		must(life.failures == 0 || no_rollback, "without an I/O error nothing is FAILED");
		return;
	}
	must(life.failures == 0 || may_fail(kind, for_ever), "FAILED only where what was promised may be broken");
	must(unknown == 0 || may_be_unknown(kind, for_ever), "UNKNOWN only where a commit or its sync met the fault");
	must(!in_commit || unknown > 0 || fault.met_undone, "a commit that could not write or sync is UNKNOWN");
	must(unknown == 0 || life.failures > 0 || kind == KIND_shm_map || !fault.met_ours || for_ever,
	     "with UNKNOWN the engine is FAILED");
}

/* Whether two lives came to the same. */
static bool same_life(const struct life *a, const struct life *b)
{
	if (a->count != b->count || a->opened != b->opened || a->hooked != b->hooked || a->paused != b->paused ||
	    a->unpaused != b->unpaused || a->stopped != b->stopped || a->started != b->started || a->read != b->read ||
	    a->queue_opened != b->queue_opened || a->failures != b->failures)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		if (a->works[i].submitted != b->works[i].submitted || a->works[i].outcomes != b->works[i].outcomes ||
		    a->works[i].status != b->works[i].status || a->works[i].code != b->works[i].code)
			return false;
	}
	return true;
}

static void new_file(void)
{
	static const char *const names[] = { "faults.db", "faults.db-wal", "faults.db-shm",    "faults.db-journal",
		                             "out.db",    "other.db",      "other.db-journal", "faults.db-penstock" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		unlink(harness_path(names[i]));
}

/* Returns how many calls failed. */
static unsigned run_a_life(int kind, unsigned n, bool for_ever)
{
	pid_t process = 0;
	pthread_t thread;
	unsigned failed;

	new_file();
	if (has_company(kind))
		process = begin_other(kind);
	life = (struct life){ .count = 0 };
	armed = false;
	/* A thread of its own: what the library keeps for a thread goes with it. */
	if (__real_pthread_create(&thread, NULL, live_main, NULL) != 0)
		abort();
	arm(kind, n, for_ever);
	armed = true;
	pthread_join(thread, NULL);
	failed = fault.failed;
	fault.kind = -1;
	if (process != 0)
		end_other(process);
	return failed;
}

static unsigned hang_seconds(void)
{
	const char *seconds = getenv("PENSTOCK_HANG");

	return seconds != NULL ? (unsigned)atoi(seconds) : 120;
}

static void hung(int number)
{
	char text[256];
	int length = snprintf(text, sizeof text, "faults: hung at %s\n", point_text);

	(void)!write(2, text, (size_t)length);
	signal(number, SIG_DFL);
	raise(number);
}

static struct life clean;
static struct balance before;

static bool is_balanced(const struct balance *after)
{
	return after->files == before.files && after->threads == before.threads && after->sqlite_bytes <= before.sqlite_bytes &&
	       after->blocks <= before.blocks;
}

/* What is made once for the whole process (by libc, on an error's path) is no leak: the same point must lose each time. */
static bool leaks(enum kind kind, unsigned n, bool for_ever)
{
	struct balance after = balance_now();

	for (int again = 0; again < 3; again++) {
		if (is_balanced(&after))
			return false;
		before = after;
		run_a_life((int)kind, n, for_ever);
		after = balance_now();
	}
	if (is_balanced(&after))
		return false;
	fprintf(stderr, "faults: %s: %d files, %d threads, %lld bytes of SQLite's, %ld blocks too many\n", point_text,
	        (int)(after.files - before.files), (int)(after.threads - before.threads),
	        after.sqlite_bytes - before.sqlite_bytes, after.blocks - before.blocks);
	before = after;
	return true;
}

static unsigned fail_each(enum kind kind, bool for_ever, unsigned step, bool tell)
{
	char text[96];
	unsigned n, points = 0;

	point_text = text;
	for (n = 1;; n += step) {
		unsigned failed, unknown;

		snprintf(text, sizeof text, "%s %u %s", kinds[kind].name, n, for_ever ? "for ever" : "once");
		alarm(hang_seconds());
		failed = run_a_life((int)kind, n, for_ever);
		unknown = check_works();
		check_places(kind, for_ever, unknown);
		must(unlicensed == 0, "no checkpoint without its lock");
		if (kinds[kind].harmless || (failed == 0 && !has_company((int)kind)))
			must(same_life(&life, &clean), "as without the fault");
		leaked += leaks(kind, n, for_ever);
		if (failed == 0)
			break;
		points++;
		if (tell)
			printf("%s: met at %d, %u unknown, %u failures, open %d\n", text, (int)fault.met, unknown,
			       life.failures, life.opened);
	}
	point_text = "no fault";
	return points;
}

static void set_up_sqlite(void)
{
	sqlite3_mem_methods counting;

	sqlite3_initialize();
	sqlite3_shutdown();
	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
	counting = sqlite_memory;
	counting.xMalloc = sqlite_malloc;
	counting.xRealloc = sqlite_realloc;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &counting);
	/* Without it an allocation may come out of a connection's own small store. */
	sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
	sqlite3_initialize();
	shim_install(on_call);
}

/*
 * As many steps again between two of them where the writer checkpoints: most of that life is the same. asked: of all kinds, or (0) none is;
 * not for those lives, nor for those beside another process, which take long.
 */
static unsigned step_of(unsigned kind, unsigned asked)
{
	const char *text = getenv("PENSTOCK_FAULT_SPARSE");
	unsigned sparse = text != NULL && atoi(text) > 0 && (!by_thread || has_company((int)kind)) ? (unsigned)atoi(text) : 1;

	if (asked != 0 && by_thread && !has_company((int)kind))
		return asked;
	return kinds[kind].step * sparse * (SANITIZED ? 3 : 1) * (by_thread ? 1 : 2);
}

static unsigned fail_each_kind(const char *only, unsigned step, unsigned *tried)
{
	unsigned points = 0;

	/* What is made once per process, and what a life without a fault comes to. */
	for (int i = 0; i < 3; i++)
		run_a_life(-1, 0, false);
	must(check_works() == 0, "nothing is UNKNOWN");
	must(life.fused > 0, "inserts ran as one");
	clean = life;
	before = balance_now();
	for (unsigned i = 0; i < KINDS; i++) {
		unsigned each = step != 0 && only != NULL ? step : step_of(i, step), once, for_ever;

		if (only != NULL && strcmp(only, kinds[i].name) != 0)
			continue;
		if (i == KIND_memory && SANITIZED) {
			printf("# SKIP faults/memory: the sanitizer's malloc\n");
			continue;
		}
		if (i == KIND_thread_policy && !by_thread)
			continue;
		once = fail_each(i, false, each, only != NULL);
		for_ever = fail_each(i, true, each, only != NULL);
		printf("# %s: %u once, %u for ever\n", kinds[i].name, once, for_ever);
		must(once > 0 && for_ever > 0, "the kind was met");
		points += once + for_ever;
		*tried += by_thread;
	}
	return points;
}

int main(void)
{
	const char *only = getenv("PENSTOCK_FAULT_KIND"), *step_text = getenv("PENSTOCK_FAULT_STEP");
	unsigned step = step_text != NULL ? (unsigned)atoi(step_text) : 0, points = 0, tried = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, hung);
	set_up_sqlite();
	other = mmap(NULL, sizeof *other, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(other != MAP_FAILED, "memory that processes share");
	for (int way = 0; way < 2; way++) {
		unsigned before_it = points;

		by_thread = way == 0;
		points += fail_each_kind(only, step, &tried);
		printf("# %u with checkpoints by %s\n", points - before_it, by_thread ? "the thread" : "the writer");
	}
	printf("faults: %u fault points in %u kinds, once and for ever; outcomes missing %u, doubled %u, leaked %u; SQLite %s\n",
	       points, tried, missing, doubled, leaked, sqlite3_libversion());
	harness_end();
	printf("%s faults/any_call_may_fail\n", leaked == 0 ? "ok" : "not ok");
	return leaked != 0;
}
