/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/engine.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/probe.h"
#include "core/thread.h"
#include "writer/kind.h"
#include "writer/writer.h"

/* How often close looks whether the last caller has left; it has nothing to wait on that would outlive the engine. */
#define LEAVE_POLL_NSEC 50000
/* So often at least: who has been told to leave needs a moment. */
#define LEAVE_LOOKS 20

/* ---- getting in and out ---- */

bool ps_engine_look(const penstock *db)
{
	ps_add_u32((uint32_t *)&db->inside, 1);
	return db->fork_generation == ps_fork_generation();
}

int ps_engine_try_enter(penstock *db)
{
	int status = PENSTOCK_OK;

	if (!ps_engine_look(db)) {
		status = PENSTOCK_FORKED;
	} else {
		/* close waits a grace period after CLOSED, so it sees this thread inside, or this thread CLOSED. */
		ps_rcu_enter();
		if (ps_state_read(&db->state)->phase == PS_CLOSED)
			status = PENSTOCK_STOPPED;
		ps_state_leave(&db->state);
		ps_rcu_note_registered();
	}
	if (status != PENSTOCK_OK)
		ps_engine_leave(db);
	return status;
}

int ps_engine_enter(penstock *db)
{
	int status;

	if (db == NULL)
		return ps_error(PENSTOCK_MISUSE, "the engine is NULL");
	status = ps_engine_try_enter(db);
	return status == PENSTOCK_OK ? PENSTOCK_OK : ps_refuse(status);
}

void ps_engine_leave(const penstock *db)
{
	ps_add_u32((uint32_t *)&db->inside, (uint32_t)-1);
}

int ps_engine_enter_to_wait(penstock *db, const char *call)
{
	if (ps_must_not_wait())
		return ps_error(PENSTOCK_MISUSE, "%s in a callback would wait for the thread it is on", call);
	return ps_engine_enter(db);
}

uint64_t ps_engine_deadline(penstock *db, int64_t timeout_usec)
{
	if (timeout_usec == PENSTOCK_DEFAULT_TIMEOUT) {
		int64_t timeout_ms = ps_state_keys(&db->state).results_timeout_ms;

		timeout_usec = timeout_ms < 0 ? PENSTOCK_FOREVER : timeout_ms * 1000;
	}
	return ps_deadline(timeout_usec);
}

/* ---- open and close ---- */

const char *penstock_version(void)
{
	return PENSTOCK_VERSION;
}

int penstock_version_number(void)
{
	return PENSTOCK_VERSION_NUMBER;
}

int penstock_wal_reset_bug(void)
{
	int version = sqlite3_libversion_number();

	/* sqlite.org/wal.html#walresetbug */
	if (version < 3007000 || version >= 3051003)
		return 0;
	if (version >= 3044006 && version < 3045000)
		return 0;
	return !(version >= 3050007 && version < 3051000);
}

static void say_at_open(const penstock *db)
{
	if (db->options.ring_slots_asked != db->options.keys.ring_slots)
		ps_log(&db->options, PENSTOCK_EVENT_RING_ROUNDED, "%s: ring_slots=%lld is rounded up to %lld, a power of two",
		       db->path, (long long)db->options.ring_slots_asked, (long long)db->options.keys.ring_slots);
	if (db->batch.kind->is_file && penstock_wal_reset_bug())
		ps_log(&db->options, PENSTOCK_EVENT_WAL_RESET_BUG,
		       "SQLite %s has the WAL-reset bug (sqlite.org/wal.html#walresetbug); let no other connection checkpoint %s",
		       sqlite3_libversion(), db->path);
}

/* Without autostart: what is wrong with the file shows now, not at the first start. */
static int probe(penstock *db)
{
	bool locked;
	int status;

	do {
		status = db->batch.kind->probe(db->path, &db->options, &locked);
	} while (locked && ps_patience_retry(&db->batch.patience));
	return status;
}

/* The engine opens the file again at unpause, start and for readers, when the working directory may be another. What is no
 * plain path (":memory:", a URI) is left to SQLite. */
static char *absolute(const char *path)
{
	char *folder, *whole;

	if (path[0] == '/' || path[0] == ':' || strncmp(path, "file:", 5) == 0)
		return strdup(path);
	folder = getcwd(NULL, 0);
	if (folder == NULL)
		return strdup(path);
	if (asprintf(&whole, "%s/%s", folder, path) < 0)
		whole = NULL;
	free(folder);
	return whole;
}

static uint64_t next_number(void)
{
	static uint64_t engines;

	return ps_add_u64(&engines, 1) + 1;
}

int penstock_open(const char *path, const penstock_config *config, penstock **result)
{
	PS_NO_CANCEL;
	const struct ps_store_kind *kind;
	penstock *db;
	int status;

	if (result == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_open: no place for the engine");
	*result = NULL;
	if (path == NULL || path[0] == '\0')
		return ps_error(PENSTOCK_MISUSE, "penstock_open: the path is %s; name a database file",
		                path == NULL ? "NULL" : "empty");
	if (ps_must_not_wait())
		return ps_error(PENSTOCK_MISUSE, "penstock_open in a callback would wait for another engine's writer");
	if (!ps_thread_setup())
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	db = aligned_alloc(PS_LINE_BYTES, sizeof *db);
	if (db == NULL)
		return ps_error(PENSTOCK_NOMEM, "out of memory opening %s", path);
	memset(db, 0, sizeof *db);
	db->fork_generation = ps_fork_generation();
	db->number = next_number();
	status = ps_options_resolve(&db->options, config);
	if (status != PENSTOCK_OK)
		goto err_after_alloc;
	kind = ps_store_kind_of(path);
	status = kind->check(path, &db->options);
	if (status != PENSTOCK_OK)
		goto err_after_options;
	status = PENSTOCK_NOMEM;
	db->path = kind->is_file ? absolute(path) : strdup(path);
	if (db->path == NULL)
		goto err_after_options;
	if (!ps_state_init(&db->state, &db->options.keys))
		goto err_after_path;
	if (!ps_ring_init(&db->ring, (uint64_t)db->options.keys.ring_slots))
		goto err_after_state;
	db->ring.owner = db;
	if (!ps_batch_init(&db->batch, kind, &db->ring, &db->counters, &db->options, &db->state))
		goto err_after_ring;
	if (!ps_control_init(&db->control))
		goto err_after_batch;
	if (!ps_registry_init(&db->registry))
		goto err_after_control;
	say_at_open(db);
	status = db->options.keys.autostart ? penstock_start(db, PENSTOCK_FOREVER) : probe(db);
	if (status != PENSTOCK_OK)
		goto err_after_registry;
	*result = db;
	PS_PROBE(verb, db, "open", status, db->path);
	return PENSTOCK_OK;

err_after_registry:
	ps_registry_destroy(&db->registry);
err_after_control:
	ps_control_destroy(&db->control);
err_after_batch:
	ps_batch_destroy(&db->batch);
err_after_ring:
	ps_ring_destroy(&db->ring);
err_after_state:
	ps_state_destroy(&db->state);
err_after_path:
	free(db->path);
err_after_options:
	if (status == PENSTOCK_NOMEM)
		ps_error(PENSTOCK_NOMEM, "out of memory opening %s (ring_slots=%lld)", path,
		         (long long)db->options.keys.ring_slots);
	ps_options_free(&db->options);
err_after_alloc:
	free(db);
	return status;
}

/* What a submit does while paused and while stopped: as long as somebody closes it is refused, hold or not. */
static void begin_closing_locked(penstock *db)
{
	struct ps_keys keys = db->state.current->keys;

	db->control.closing = true;
	db->control.when_paused = keys.when_paused;
	db->control.when_stopped = keys.when_stopped;
	keys.when_paused = PENSTOCK_REFUSE;
	keys.when_stopped = PENSTOCK_REFUSE;
	ps_state_retune(&db->state, &keys);
}

/* It may be started again instead. */
static void end_closing_locked(penstock *db)
{
	struct ps_keys keys = db->state.current->keys;

	keys.when_paused = db->control.when_paused;
	keys.when_stopped = db->control.when_stopped;
	db->control.closing = false;
	ps_state_retune(&db->state, &keys);
}

/* Until the closing thread alone is inside; false when the deadline has passed. */
static bool wait_until_all_left(penstock *db, uint64_t deadline)
{
	struct timespec moment = ps_timespec(LEAVE_POLL_NSEC);
	unsigned looks = 0;

	while (ps_load_acquire_u32(&db->inside) != 1) {
		if (looks++ >= LEAVE_LOOKS && ps_deadline_passed(deadline))
			return false;
		ps_eventcount_broadcast(&db->ring.room);
		ps_eventcount_broadcast(&db->ring.progress);
		nanosleep(&moment, NULL);
	}
	/* And those that submit. */
	ps_rcu_synchronize(&db->state.reserve);
	return true;
}

static void destroy(penstock *db)
{
	/* Loops that have asked for room: the state has changed for the last time. */
	ps_eventcount_broadcast(&db->ring.room);
	ps_registry_destroy(&db->registry);
	ps_control_destroy(&db->control);
	ps_batch_destroy(&db->batch);
	ps_ring_destroy(&db->ring);
	ps_state_destroy(&db->state);
	free(db->path);
	ps_options_free(&db->options);
	free(db);
}

static int close_inside(penstock *db, uint64_t deadline, unsigned flags)
{
	struct ps_control *control = &db->control;
	uint64_t tail;
	int status;

	pthread_mutex_lock(&control->mutex);
	if (control->closing) {
		pthread_mutex_unlock(&control->mutex);
		return ps_error(PENSTOCK_MISUSE, "another thread is closing the engine");
	}
	begin_closing_locked(db);
	status = ps_control_stop_locked(db, deadline, flags);
	if (status != PENSTOCK_OK) {
		end_closing_locked(db);
		pthread_mutex_unlock(&control->mutex);
		return status;
	}
	ps_state_move(&db->state, PS_CLOSED);
	pthread_cond_broadcast(&control->changed);
	tail = ps_ring_tail(&db->ring);
	pthread_mutex_unlock(&control->mutex);

	/* No writer runs and no submit gets in: what is held in the ring is this thread's. */
	if (tail != db->next)
		db->next = ps_batch_shut_down(&db->batch, db->next, tail, SQLITE_OK, "the engine was closed before running it");
	if (wait_until_all_left(db, deadline))
		return PENSTOCK_OK;
	pthread_mutex_lock(&control->mutex);
	ps_state_move(&db->state, PS_STOPPED);
	end_closing_locked(db);
	pthread_mutex_unlock(&control->mutex);
	return ps_refuse(PENSTOCK_TIMEOUT);
}

int penstock_close(penstock *db, int64_t timeout_usec)
{
	return penstock_close_with(db, timeout_usec, 0);
}

int penstock_close_with(penstock *db, int64_t timeout_usec, unsigned flags)
{
	PS_NO_CANCEL;
	int status = ps_control_check_flags(flags);

	if (status != PENSTOCK_OK || db == NULL)
		return status;
	status = ps_engine_enter_to_wait(db, "penstock_close");
	if (status != PENSTOCK_OK)
		return status;
	status = close_inside(db, ps_engine_deadline(db, timeout_usec), flags);
	PS_PROBE(verb, db, "close", status, db->path);
	if (status == PENSTOCK_OK)
		destroy(db);
	else
		ps_engine_leave(db);
	return status;
}

/* ---- the queue ---- */

int penstock_flush(penstock *db, int64_t timeout_usec)
{
	uint64_t target, deadline;
	int status = ps_engine_enter_to_wait(db, "penstock_flush");

	if (status != PENSTOCK_OK)
		return status;
	/* Submissions that are accepted on this thread, or on another before it called this one's attention, are before it. */
	target = ps_ring_tail(&db->ring);
	deadline = ps_engine_deadline(db, timeout_usec);
	for (;;) {
		uint32_t key = ps_eventcount_prepare(&db->ring.progress);

		if (ps_ring_head(&db->ring) >= target || ps_deadline_passed(deadline)) {
			ps_eventcount_cancel(&db->ring.progress);
			break;
		}
		ps_eventcount_wait(&db->ring.progress, key, deadline);
	}
	status = ps_ring_head(&db->ring) >= target ? PENSTOCK_OK : ps_refuse(PENSTOCK_TIMEOUT);
	ps_engine_leave(db);
	return status;
}

uint64_t penstock_queue_depth(const penstock *db)
{
	uint64_t depth = 0;

	if (db == NULL)
		return 0;
	if (ps_engine_look(db)) {
		/* Before the tail, which then is never behind. Not the head: that moves after the listeners have heard. */
		uint64_t resolved = ps_load_acquire_u64(&db->counters.resolved);

		depth = ps_ring_tail(&db->ring) - resolved;
	}
	ps_engine_leave(db);
	return depth;
}

uint64_t penstock_queue_capacity(const penstock *db)
{
	uint64_t capacity;

	if (db == NULL)
		return 0;
	ps_engine_look(db);
	capacity = db->ring.capacity;
	ps_engine_leave(db);
	return capacity;
}

/* ---- reading ---- */

/* Counts the caller among those that open a connection, which a pause waits for; refused while the file is a pauser's. */
static int reader_begin(penstock *db)
{
	int status = PENSTOCK_OK;

	pthread_mutex_lock(&db->control.mutex);
	if (db->control.closing)
		status = ps_refuse(PENSTOCK_STOPPED);
	else if (db->state.current->phase == PS_PAUSING || db->state.current->phase == PS_PAUSED)
		status = ps_refuse(PENSTOCK_PAUSED);
	else
		db->control.readers_opening++;
	pthread_mutex_unlock(&db->control.mutex);
	return status;
}

static void reader_end(penstock *db)
{
	pthread_mutex_lock(&db->control.mutex);
	db->control.readers_opening--;
	pthread_cond_broadcast(&db->control.changed);
	pthread_mutex_unlock(&db->control.mutex);
}

int penstock_reader_open(penstock *db, sqlite3 **connection)
{
	PS_NO_CANCEL;
	int status;

	if (connection == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_reader_open: no place for the connection");
	*connection = NULL;
	status = ps_engine_enter_to_wait(db, "penstock_reader_open");
	if (status != PENSTOCK_OK)
		return status;
	status = reader_begin(db);
	if (status == PENSTOCK_OK) {
		status = db->batch.kind->open_reader(db->path, &db->options, connection);
		reader_end(db);
	}
	ps_engine_leave(db);
	return status;
}

/* ---- counters ---- */

/* No version of the struct will be larger: it is memory that nobody initialized. */
#define COUNTERS_BYTES_MAX (1 << 20)

/* What others than the writer count; `bytes` of *all are there. */
static void gather(const penstock *db, penstock_counters *all, size_t bytes)
{
	uint64_t accepted;
	size_t i;

	/* After the outcomes: never fewer than they are. */
	accepted = ps_ring_tail(&db->ring);
#define PUT(field, value)                                                           \
	do {                                                                        \
		if (bytes >= offsetof(penstock_counters, field) + sizeof(uint64_t)) \
			all->field = value;                                         \
	} while (0)
	PUT(accepted, accepted);
	for (i = 0; i < PENSTOCK_STATUS_LIMIT; i++)
		PUT(refused[i], ps_load_relaxed_u64(&db->counters.refused[i]));
	PUT(full_events, ps_load_relaxed_u64(&db->counters.full_events));
	PUT(full_nsec, ps_load_relaxed_u64(&db->counters.full_nsec));
	PUT(queue_bytes, ps_load_relaxed_u64(&db->ring.bytes));
	PUT(wakes, ps_load_relaxed_u64(&db->ring.wakes));
	/* It holds the outcomes of all kinds, also of those that a caller of an earlier version does not know. */
	PUT(queue_depth, accepted - all->queue_depth);
#undef PUT
}

int penstock_counters_read(const penstock *db, penstock_counters *counters)
{
	size_t bytes;
	int status;

	if (counters == NULL || counters->struct_size < sizeof counters->struct_size ||
	    counters->struct_size > COUNTERS_BYTES_MAX || counters->struct_size % _Alignof(penstock_counters) != 0)
		return ps_error(PENSTOCK_MISUSE, "set penstock_counters.struct_size to sizeof the struct");
	status = ps_engine_enter((penstock *)db);
	if (status != PENSTOCK_OK)
		return status;
	/* What a later version has more stays zero. Straight into the caller's memory: the threads of a program may have small stacks. */
	bytes = (size_t)counters->struct_size;
	memset((char *)counters + sizeof counters->struct_size, 0, bytes - sizeof counters->struct_size);
	if (bytes > sizeof *counters)
		bytes = sizeof *counters;
	ps_counters_copy(&db->counters, counters, bytes);
	gather(db, counters, bytes);
	ps_engine_leave(db);
	return PENSTOCK_OK;
}
