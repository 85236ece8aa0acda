/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/probe.h"
#include "writer/engine.h"

/* A hole is 10 ns wide unless its producer was preempted in it: look a few times, offer the processor, then sleep. */
#define HOLE_STALLS 200
#define HOLE_YIELDS 20
#define HOLE_SLEEP_NSEC 50000

/* How long an idle writer may still be in (ps_store_enter), for the next batch; and how often it looks while it is kept out. */
#define IDLE_INSIDE_USEC 20000
#define OUTSIDE_NSEC PS_NSEC_PER_MSEC

/* ---- connecting ---- */

/* With the mutex held: whether there is anything to do that needs the connection. */
static bool wants_store_locked(const penstock *db)
{
	if (db->control.command == PS_RUN)
		return true;
	return db->next < db->control.drain_to && !ps_patience_gives_up(&db->batch.patience);
}

static bool wants_store(penstock *db)
{
	bool wants;

	pthread_mutex_lock(&db->control.mutex);
	wants = wants_store_locked(db);
	pthread_mutex_unlock(&db->control.mutex);
	return wants;
}

/* For busy_limit_ms, unless a command comes that needs no connection. */
static int open_store(penstock *db, enum ps_role role, struct ps_store **store, bool *locked)
{
	struct ps_patience *patience = &db->batch.patience;
	int status;

	ps_patience_renew(patience);
	do {
		status = db->batch.kind->open(store, db->path, &db->options, role, patience, locked);
	} while (*locked && wants_store(db) && ps_patience_retry(patience));
	ps_patience_renew(patience);
	return status;
}

/* With the mutex held, which it lets go of meanwhile: user code runs in the connect hook. */
static int connect_locked(penstock *db, enum ps_role role)
{
	struct ps_control *control = &db->control;
	struct ps_starter *starter;
	struct ps_store *store;
	bool locked;
	int status;

	control->opening = true;
	pthread_mutex_unlock(&control->mutex);
	status = open_store(db, role, &store, &locked);
	if (status == PENSTOCK_OK)
		ps_batch_connect(&db->batch, store);
	pthread_mutex_lock(&control->mutex);
	control->connect_status = status;
	control->connect_met_lock = locked;
	snprintf(control->connect_message, sizeof control->connect_message, "%s",
	         status == PENSTOCK_OK ? "" : penstock_error_message());
	cds_list_for_each_entry (starter, &control->starters, place) {
		if (starter->run == control->run && status == PENSTOCK_OK)
			starter->connected = true;
	}
	control->connecting = false;
	control->opening = false;
	pthread_cond_broadcast(&control->changed);
	return status;
}

static bool beside(penstock *db, enum ps_moment moment)
{
	return db->batch.kind->beside == NULL || db->batch.kind->beside(&db->batch, moment);
}

static void disconnect(penstock *db)
{
	int code = db->batch.broken_code;
	bool well;

	if (db->batch.store == NULL)
		return;
	/* When it was the file that went away there is nothing wrong with the disk. */
	well = beside(db, PS_AT_FAILURE) && (code == 0 || code == SQLITE_READONLY_DBMOVED);
	if (db->batch.kind->close(db->batch.store, well) == PS_COPIED_NOT)
		ps_counters_add(&db->counters, &db->counters.writer.checkpoints_not_allowed, 1);
	ps_batch_connect(&db->batch, NULL);
}

/* ---- working ---- */

static void count_park(penstock *db)
{
	ps_counters_add(&db->counters, &db->counters.writer.parks, 1);
}

static void wait_at_hole(const struct ps_ring *ring, uint64_t next)
{
	struct timespec moment = ps_timespec(HOLE_SLEEP_NSEC);
	unsigned i;

	for (i = 0; i < HOLE_STALLS + HOLE_YIELDS; i++) {
		if (ps_ring_peek(ring, next) != NULL)
			return;
		if (i < HOLE_STALLS)
			ps_stall();
		else
			sched_yield();
	}
	nanosleep(&moment, NULL);
}

/*
 * Looks for work for spin_usec before the sleep, when the batch before was of one statement: somebody may be about to submit
 * the next one. After a larger batch many were woken, and the first of them would be found alone; asleep, the writer meets
 * what they have queued meanwhile.
 */
static bool spin(penstock *db, int64_t spin_usec)
{
	unsigned looks = 0;
	uint64_t deadline;
	bool found;

	if (spin_usec == 0 || db->last_batch > 1 || !ps_spin_due(&db->spin))
		return false;
	deadline = ps_deadline(spin_usec);
	while (!(found = ps_ring_peek(&db->ring, db->next) != NULL) && ps_load_acquire_u32(&db->ring.attention) == 0 &&
	       !ps_deadline_passed(deadline))
		ps_spin_pause(&looks);
	ps_spin_learn(&db->spin, found);
	return found;
}

/* Whether the batch may run. */
static enum ps_entry enter_store(penstock *db)
{
	const struct ps_store_peers *peers = db->batch.kind->peers;

	return peers == NULL ? PS_ENTRY_IN : peers->enter(db->batch.store);
}

static bool is_inside(const penstock *db)
{
	const struct ps_store_peers *peers = db->batch.kind->peers;

	return peers != NULL && peers->is_inside(db->batch.store);
}

static enum ps_park park_until(penstock *db, uint64_t deadline)
{
	bool slept;
	enum ps_park park = ps_ring_park(&db->ring, db->next, deadline, &slept);

	if (slept)
		count_park(db);
	return park;
}

/* Before a wait that may be long. */
static void end_turn(penstock *db)
{
	const struct ps_store_peers *peers = db->batch.kind->peers;

	if (peers != NULL)
		peers->end_turn(db->batch.store);
}

/* Nothing is published at `next`: sleeps until that may have changed. */
static void wait_for_work(penstock *db, const struct ps_keys *keys)
{
	enum ps_park park;
	uint64_t deadline;

	if (keys->spin_usec > PS_TURN_SPIN_USEC)
		end_turn(db);
	if (spin(db, keys->spin_usec))
		return;
	end_turn(db);
	deadline = is_inside(db) ? ps_deadline(IDLE_INSIDE_USEC) : PS_NEVER;
	park = park_until(db, deadline);
	if (deadline != PS_NEVER && park == PS_PARK_DEADLINE) {
		db->batch.kind->peers->leave(db->batch.store);
		park = park_until(db, PS_NEVER);
	}
	if (park == PS_PARK_HOLE)
		wait_at_hole(&db->ring, db->next);
}

/*
 * There is work, and the file may not be touched. A pause of all engines may last, and does not count as a wait for a lock; who is
 * cancelled or too late is told meanwhile, and nobody waits for his turn. A lock that is not to be had is waited for as any other is.
 */
static void wait_outside(penstock *db, enum ps_entry entry, uint64_t limit)
{
	struct timespec moment = ps_timespec(OUTSIDE_NSEC);
	uint64_t since = ps_clock_nsec();

	if ((ps_ring_at(&db->ring, db->next)->asks & PS_ASKS_TOLD) != 0) {
		ps_batch_pass_told(&db->batch, &db->next, limit);
		return;
	}
	if (entry == PS_ENTRY_NO_LOCK) {
		ps_batch_wait_for_lock(&db->batch, &db->next, limit);
		return;
	}
	db->batch.entries.base = db->next;
	ps_reaper_reap(&db->batch.reaper);
	nanosleep(&moment, NULL);
	ps_patience_pass_over(&db->batch.patience, ps_clock_nsec() - since);
}

/* An unfilled batch waits up to linger_usec for more. */
static void linger(penstock *db, const struct ps_keys *keys)
{
	uint64_t deadline = ps_deadline(keys->linger_usec);
	uint64_t tail;
	bool slept;

	end_turn(db);
	while ((tail = ps_ring_tail(&db->ring)) - db->next < (uint64_t)keys->batch_max && tail - db->next < db->ring.capacity) {
		enum ps_park park = ps_ring_park(&db->ring, tail, deadline, &slept);

		if (slept)
			count_park(db);
		if (park == PS_PARK_ATTENTION || ps_deadline_passed(deadline))
			return;
	}
}

/* A command that the last batch was run for was withdrawn: it was not the last. */
static bool come_to_rest(penstock *db)
{
	if (!db->batch.last)
		return true;
	db->batch.last = false;
	return db->batch.kind->rest(&db->batch);
}

static void begin_batch(penstock *db)
{
	uint64_t depth = ps_ring_tail(&db->ring) - db->next;

	PS_PROBE(batch_begin, db, db->next, depth);
	ps_count_max(&db->counters, &db->counters.writer.queue_depth_max, depth);
	ps_counters_publish(&db->counters);
}

/* Runs batches until a command is due or an I/O error breaks the batch (false). */
static bool work(penstock *db)
{
	struct ps_control *control = &db->control;

	for (;;) {
		struct ps_keys keys = ps_state_keys(&db->state);
		uint64_t limit = UINT64_MAX, first;
		enum ps_entry entry;
		bool whole;

		if (ps_load_relaxed_u32(&db->ring.report) != 0 && !beside(db, PS_AT_REPORT))
			return false;
		if (ps_load_acquire_u32(&db->ring.attention) != 0) {
			pthread_mutex_lock(&control->mutex);
			if (control->command != PS_RUN)
				limit = wants_store_locked(db) ? control->drain_to : 0;
			pthread_mutex_unlock(&control->mutex);
			if (db->next >= limit)
				return beside(db, PS_AT_END);
		}
		if (ps_ring_peek(&db->ring, db->next) == NULL) {
			beside(db, PS_AT_REST);
			/* What lies before the limit is claimed: its producer is held up (one that a pause holds need not have published
			 * when the grace period was over), and as long as the command stands nothing would sleep on the ring. */
			if (limit != UINT64_MAX)
				wait_at_hole(&db->ring, db->next);
			else if (!come_to_rest(db))
				return false;
			else
				wait_for_work(db, &keys);
			continue;
		}
		entry = enter_store(db);
		if (entry != PS_ENTRY_IN) {
			wait_outside(db, entry, limit);
			continue;
		}
		if (keys.linger_usec != 0 && limit == UINT64_MAX)
			linger(db, &keys);
		begin_batch(db);
		first = db->next;
		db->batch.last = limit != UINT64_MAX;
		whole = ps_batch_run(&db->batch, &db->next, limit, &keys);
		db->last_batch = db->next - first;
		PS_PROBE(batch_end, db, first, db->last_batch);
		if (!whole || !db->batch.kind->rest(&db->batch))
			return false;
	}
}

/* ---- commands ---- */

static void wait_for_command(struct ps_control *control)
{
	pthread_cond_wait(&control->changed, &control->mutex);
}

/* With the mutex held: no new work, every pending submission gets SHUTDOWN, the reason stays readable, and the thread
 * waits for stop. */
static void fail_locked(penstock *db, int code, const char *message)
{
	struct ps_control *control = &db->control;
	uint64_t tail;

	control->failure_code = code;
	snprintf(control->failure_message, sizeof control->failure_message, "%s", message);
	ps_control_lift_locked(db);
	ps_state_move(&db->state, PS_FAILED);
	pthread_cond_broadcast(&control->changed);
	tail = ps_ring_tail(&db->ring);
	pthread_mutex_unlock(&control->mutex);

	ps_log(&db->options, PENSTOCK_EVENT_FAILED, "%s: the engine has failed: %s", db->path, message);
	/* The move's grace period has passed: everything before the tail is published. */
	ps_batch_shut_down(&db->batch, db->next, tail, code, message);
	db->next = tail;
	ps_eventcount_broadcast(&db->ring.room);
	disconnect(db);

	pthread_mutex_lock(&control->mutex);
	while (control->command != PS_STOP)
		wait_for_command(control);
}

static bool is_unpause_awaited_locked(const struct ps_control *control)
{
	const struct ps_unpauser *unpauser;

	cds_list_for_each_entry (unpauser, &control->unpausers, place) {
		if (unpauser->pause == control->pause)
			return true;
	}
	return false;
}

/*
 * With the mutex held. The file could not be opened again. True: the engine has not failed, and whoever unpaused hears why. A lock is tried
 * again when there is nobody to hear it: the pauser has withdrawn, whoever unpaused waits no more, or a stop came as the writer disconnected.
 */
static bool stay_paused_locked(penstock *db)
{
	struct ps_control *control = &db->control;
	bool paused = db->state.current->phase == PS_PAUSED;

	if (control->connect_met_lock && (!paused || control->pauser == 0 || !is_unpause_awaited_locked(control)))
		return true;
	/* Nobody would mend the file and unpause. */
	if (!paused || control->pauser == 0) {
		fail_locked(db, SQLITE_CANTOPEN, control->connect_message);
		return false;
	}
	if (control->command == PS_RUN) {
		control->command = PS_PAUSE;
		control->drain_to = db->next;
		ps_store_release_u32(&db->ring.attention, 1);
	}
	return true;
}

/* With the mutex held, which it lets go of meanwhile: what a stop would have waited for, and gives up. */
static void give_up_locked(penstock *db)
{
	struct ps_control *control = &db->control;
	uint64_t end = control->drain_to;

	pthread_mutex_unlock(&control->mutex);
	while (db->next < end) {
		if (ps_ring_peek(&db->ring, db->next) == NULL)
			wait_at_hole(&db->ring, db->next);
		else
			db->next = ps_batch_shut_down(&db->batch, db->next, end, SQLITE_OK, PS_GIVEN_UP);
	}
	pthread_mutex_lock(&control->mutex);
}

static void end_pause_locked(penstock *db)
{
	struct ps_control *control = &db->control;
	struct ps_unpauser *unpauser;

	cds_list_for_each_entry (unpauser, &control->unpausers, place) {
		if (unpauser->pause == control->pause)
			unpauser->resumed = true;
	}
	ps_control_lift_locked(db);
}

/*
 * With the mutex held: carries out the command. True: connected, go on working. False: the thread ends. The mutex is let go
 * of over connecting and disconnecting, so each round looks at everything anew: a pause may have been withdrawn, asked for
 * again, or overtaken by a stop.
 */
static bool obey_locked(penstock *db)
{
	struct ps_control *control = &db->control;

	for (;;) {
		if (wants_store_locked(db)) {
			if (db->batch.store == NULL) {
				if (connect_locked(db, PS_WRITER) != PENSTOCK_OK && wants_store_locked(db) &&
				    !stay_paused_locked(db))
					return false;
				continue;
			}
			if (db->state.current->phase == PS_PAUSED) {
				end_pause_locked(db);
				ps_state_move(&db->state, PS_RUNNING);
				ps_eventcount_broadcast(&db->ring.room);
			}
			pthread_cond_broadcast(&control->changed);
			return true;
		}
		if (control->command == PS_STOP && db->next < control->drain_to) {
			give_up_locked(db);
			continue;
		}
		if (control->command == PS_STOP)
			return false;
		if (db->batch.store != NULL) {
			pthread_mutex_unlock(&control->mutex);
			disconnect(db);
			pthread_mutex_lock(&control->mutex);
			continue;
		}
		if (db->state.current->phase == PS_PAUSING) {
			ps_state_move(&db->state, PS_PAUSED);
			pthread_cond_broadcast(&control->changed);
			ps_eventcount_broadcast(&db->ring.room);
		}
		wait_for_command(control);
	}
}

/* Only as the engine is opened is a missing file created: later an empty database in its place would look like loss. */
static enum ps_role role_at_start(const penstock *db)
{
	return db->options.keys.autostart && db->control.run == 1 ? PS_CREATING_WRITER : PS_WRITER;
}

/* Invariant 5. The number stands first, so that the cut falls on the file's name; it never splits a character. */
static void make_name(const penstock *db, const char *kind, char name[PS_THREAD_NAME_BYTES])
{
	/* The parameters of a URI, or of a cluster's path, are not of the name. */
	bool plain = db->batch.kind->is_file && strncmp(db->path, "file:", 5) != 0;
	const char *base = db->path, *end = base + strcspn(base, plain ? "" : "?");
	size_t length = (size_t)snprintf(name, PS_THREAD_NAME_BYTES, "%s%" PRIu64 ":", kind, db->number), most, i;

	while (!db->batch.kind->is_file && end[-1] == '/')
		end--;
	for (i = 0; db->path + i < end; i++) {
		if (db->path[i] == '/')
			base = db->path + i + 1;
	}
	most = PS_THREAD_NAME_BYTES - 1 - length;
	if ((size_t)(end - base) > most) {
		while (most > 0 && ((unsigned char)base[most] & 0xC0) == 0x80)
			most--;
		end = base + most;
	}
	snprintf(name + length, PS_THREAD_NAME_BYTES - length, "%.*s", (int)(end - base), base);
	for (i = 0; name[i] != '\0'; i++) {
		if ((unsigned char)name[i] < ' ')
			name[i] = '?';
	}
}

static void name_threads(penstock *db)
{
	char name[PS_THREAD_NAME_BYTES];

	make_name(db, "ps", name);
	pthread_setname_np(pthread_self(), name);
	make_name(db, "pc", db->batch.checkpointer.name);
	db->batch.checkpointer.path = db->path;
}

static void *writer_main(void *arg)
{
	penstock *db = arg;
	struct ps_control *control = &db->control;

	name_threads(db);
	/* All user code on this thread is called by the engine: hooks, callbacks, SQL functions. */
	ps_callback_begin();
	pthread_mutex_lock(&control->mutex);
	if (connect_locked(db, role_at_start(db)) == PENSTOCK_OK) {
		ps_patience_set_give_up(&db->batch.patience, false);
		ps_state_move(&db->state, PS_RUNNING);
		pthread_cond_broadcast(&control->changed);
		ps_eventcount_broadcast(&db->ring.room);
		do {
			pthread_mutex_unlock(&control->mutex);
			if (!work(db)) {
				pthread_mutex_lock(&control->mutex);
				fail_locked(db, db->batch.broken_code, db->batch.broken_message);
				break;
			}
			pthread_mutex_lock(&control->mutex);
		} while (obey_locked(db));
		pthread_mutex_unlock(&control->mutex);
		disconnect(db);
		pthread_mutex_lock(&control->mutex);
	}
	/* Here, since a stop whose deadline passed does not wait for it any more. */
	if (db->state.current->phase == PS_STOPPING || db->state.current->phase == PS_FAILED) {
		ps_state_move(&db->state, PS_STOPPED);
		ps_eventcount_broadcast(&db->ring.room);
	}
	control->thread_done = true;
	control->connecting = false; /* a stop may have overtaken an unpause */
	ps_store_relaxed_u32(&control->writer_runs, 0);
	pthread_cond_broadcast(&control->changed);
	pthread_mutex_unlock(&control->mutex);
	return NULL;
}

int ps_writer_create(penstock *db)
{
	struct ps_control *control = &db->control;
	int64_t cpu = db->options.keys.writer_cpu;
	pthread_attr_t attributes;
	sigset_t every, before;
	int error;

	pthread_attr_init(&attributes);
	if (cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((int)cpu, &set);
		pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
	}
	/* The mask is inherited: blocked from its first instruction on. */
	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	error = pthread_create(&control->thread, &attributes, writer_main, db);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error == EINVAL && cpu >= 0)
		return ps_error(PENSTOCK_CONFIG, "writer_cpu=%lld: this process may not use that processor", (long long)cpu);
	if (error != 0)
		return ps_error(PENSTOCK_NOMEM, "the writer thread cannot be created: %s", strerror(error));
	control->thread_exists = true;
	control->thread_done = false;
	control->run++;
	ps_store_relaxed_u32(&control->writer_runs, 1);
	return PENSTOCK_OK;
}
