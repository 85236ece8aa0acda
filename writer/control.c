/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/control.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/probe.h"
#include "writer/engine.h"
#include "writer/writer.h"

/* Between two looks whether the engines of other processes have left. */
#define PAUSE_STEP_USEC 1000

bool ps_control_init(struct ps_control *control)
{
	pthread_condattr_t attributes;

	memset(control, 0, sizeof *control);
	CDS_INIT_LIST_HEAD(&control->pausers);
	CDS_INIT_LIST_HEAD(&control->unpausers);
	CDS_INIT_LIST_HEAD(&control->starters);
	if (pthread_mutex_init(&control->mutex, NULL) != 0)
		return false;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (pthread_cond_init(&control->changed, &attributes) != 0) {
		pthread_condattr_destroy(&attributes);
		pthread_mutex_destroy(&control->mutex);
		return false;
	}
	pthread_condattr_destroy(&attributes);
	return true;
}

void ps_control_destroy(struct ps_control *control)
{
	pthread_cond_destroy(&control->changed);
	pthread_mutex_destroy(&control->mutex);
}

bool ps_control_wait(struct ps_control *control, uint64_t deadline)
{
	struct timespec limit;

	if (deadline == PS_NEVER)
		return pthread_cond_wait(&control->changed, &control->mutex) == 0;
	limit = ps_timespec(deadline);
	return pthread_cond_timedwait(&control->changed, &control->mutex, &limit) == 0;
}

static enum ps_phase phase_of(const penstock *db)
{
	return db->state.current->phase;
}

/* With the mutex held: a new phase for the producers, and those that wait for room look again. */
static void move_locked(penstock *db, enum ps_phase phase)
{
	ps_state_move(&db->state, phase);
	ps_eventcount_broadcast(&db->ring.room);
	pthread_cond_broadcast(&db->control.changed);
}

static void command_locked(penstock *db, enum ps_command command, uint64_t drain_to)
{
	struct ps_control *control = &db->control;

	control->command = command;
	control->drain_to = drain_to;
	ps_store_release_u32(&db->ring.attention, command != PS_RUN);
	ps_ring_kick(&db->ring);
	pthread_cond_broadcast(&control->changed);
}

/* A thread that has ended by itself (its first connection failed, and nobody waited for the report) is joined here. */
static void reap_locked(struct ps_control *control)
{
	if (control->thread_exists && control->thread_done) {
		pthread_join(control->thread, NULL);
		control->thread_exists = false;
	}
}

static void end_pause_of_all_locked(penstock *db)
{
	if (db->control.all != NULL)
		db->batch.kind->peers->pause_end(db->control.all);
	db->control.all = NULL;
}

void ps_control_lift_locked(penstock *db)
{
	db->control.pause = 0;
	end_pause_of_all_locked(db);
}

/* ---- start ---- */

static int report_locked(const struct ps_control *control)
{
	if (control->connect_status == PENSTOCK_OK)
		return PENSTOCK_OK;
	return ps_error(control->connect_status, "%s", control->connect_message);
}

static int start_locked(penstock *db, uint64_t deadline)
{
	struct ps_control *control = &db->control;
	struct ps_starter self = { .connected = false };
	bool in_time = true;
	int status;

	for (;;) {
		reap_locked(control);
		if (control->closing)
			return ps_refuse(PENSTOCK_STOPPED);
		if (phase_of(db) == PS_FAILED)
			return ps_error(PENSTOCK_FAILED, "the engine has failed (%s); stop it before starting it again",
			                control->failure_message);
		if (phase_of(db) != PS_STOPPING && !(control->thread_exists && control->connecting))
			break;
		if (!ps_control_wait(control, deadline))
			return ps_refuse(PENSTOCK_TIMEOUT);
	}
	if (phase_of(db) != PS_NEW && phase_of(db) != PS_STOPPED) {
		ps_error(PENSTOCK_OK, "the engine is running already; nothing was changed");
		return PENSTOCK_OK;
	}
	control->failure_code = 0;
	control->failure_message[0] = '\0';
	control->connecting = true;
	ps_patience_set_give_up(&db->batch.patience, false);
	command_locked(db, PS_RUN, 0);
	status = ps_writer_create(db);
	if (status != PENSTOCK_OK) {
		control->connecting = false;
		return status;
	}
	self.run = control->run;
	cds_list_add(&self.place, &control->starters);
	/* With the report the writer has moved to RUNNING, or is about to end. */
	while (in_time && control->run == self.run &&
	       (control->connecting || (control->connect_status != PENSTOCK_OK && !control->thread_done)))
		in_time = ps_control_wait(control, deadline);
	cds_list_del(&self.place);
	if (!in_time)
		return ps_error(PENSTOCK_TIMEOUT, "%s is still being opened; the engine runs when that is done", db->path);
	/* It ran, or a stop was there first; and it has been started again by somebody else meanwhile. */
	if (control->run != self.run)
		return self.connected ? PENSTOCK_OK : ps_refuse(PENSTOCK_STOPPED);
	status = report_locked(control);
	reap_locked(control);
	return status;
}

int penstock_start(penstock *db, int64_t timeout_usec)
{
	PS_NO_CANCEL;
	int status = ps_engine_enter_to_wait(db, "penstock_start");

	if (status != PENSTOCK_OK)
		return status;
	pthread_mutex_lock(&db->control.mutex);
	status = start_locked(db, ps_engine_deadline(db, timeout_usec));
	pthread_mutex_unlock(&db->control.mutex);
	PS_PROBE(verb, db, "start", status, db->path);
	ps_engine_leave(db);
	return status;
}

/* ---- stop ---- */

int ps_control_check_flags(unsigned flags)
{
	if ((flags & ~PENSTOCK_GIVE_UP) != 0)
		return ps_error(PENSTOCK_MISUSE, "the flags of a stop or close are none of those there are");
	return PENSTOCK_OK;
}

int ps_control_stop_locked(penstock *db, uint64_t deadline, unsigned flags)
{
	struct ps_control *control = &db->control;
	uint64_t run = control->run;

	/* First for the connection that a start waits for: if it comes to be, nothing has been given up yet. */
	if ((flags & PENSTOCK_GIVE_UP) != 0)
		ps_patience_set_give_up(&db->batch.patience, true);
	/* A start under way is let finish: it either runs or leaves nothing to stop. */
	while (control->run == run && control->thread_exists && control->connecting &&
	       (phase_of(db) == PS_NEW || phase_of(db) == PS_STOPPED)) {
		if (!ps_control_wait(control, deadline)) {
			/* It may run yet. */
			ps_patience_set_give_up(&db->batch.patience, false);
			return ps_refuse(PENSTOCK_TIMEOUT);
		}
	}
	if (control->run != run)
		return PENSTOCK_OK;
	if ((flags & PENSTOCK_GIVE_UP) != 0)
		ps_patience_set_give_up(&db->batch.patience, true);
	switch (phase_of(db)) {
	case PS_RUNNING:
	case PS_PAUSING:
		ps_control_lift_locked(db);
		move_locked(db, PS_STOPPING);
		/* The grace period is over: the tail is everything that was accepted. */
		command_locked(db, PS_STOP, ps_ring_tail(&db->ring));
		break;
	case PS_PAUSED:
		/* The file is the pauser's: what is held stays held. */
		ps_control_lift_locked(db);
		move_locked(db, PS_STOPPING);
		command_locked(db, PS_STOP, 0);
		break;
	case PS_FAILED:
		command_locked(db, PS_STOP, 0);
		break;
	case PS_NEW:
		reap_locked(control);
		move_locked(db, PS_STOPPED);
		return PENSTOCK_OK;
	default:
		break;
	}
	while (control->run == run && control->thread_exists && !control->thread_done) {
		if (!ps_control_wait(control, deadline))
			return ps_refuse(PENSTOCK_TIMEOUT);
	}
	/* Another stop may have been here while this one waited, and even a start. */
	if (control->run == run) {
		reap_locked(control);
		control->connecting = false;
	}
	return PENSTOCK_OK;
}

int penstock_stop(penstock *db, int64_t timeout_usec)
{
	return penstock_stop_with(db, timeout_usec, 0);
}

int penstock_stop_with(penstock *db, int64_t timeout_usec, unsigned flags)
{
	PS_NO_CANCEL;
	int status = ps_control_check_flags(flags);

	if (status == PENSTOCK_OK)
		status = ps_engine_enter_to_wait(db, "penstock_stop");
	if (status != PENSTOCK_OK)
		return status;
	pthread_mutex_lock(&db->control.mutex);
	status = ps_control_stop_locked(db, ps_engine_deadline(db, timeout_usec), flags);
	pthread_mutex_unlock(&db->control.mutex);
	PS_PROBE(verb, db, "stop", status, db->path);
	ps_engine_leave(db);
	return status;
}

int penstock_is_stopped(const penstock *db)
{
	int stopped;

	if (db == NULL)
		return 1;
	stopped = !ps_engine_look(db) || ps_load_acquire_u32(&db->control.writer_runs) == 0;
	ps_engine_leave(db);
	return stopped;
}

/* ---- pause ---- */

/* What a pauser hears in a phase where it cannot pause; OK where it can. */
static int pausable_locked(penstock *db)
{
	switch (phase_of(db)) {
	case PS_FAILED:
		return ps_refuse(PENSTOCK_FAILED);
	case PS_RUNNING:
	case PS_PAUSING:
	case PS_PAUSED:
		return PENSTOCK_OK;
	default:
		return ps_refuse(PENSTOCK_STOPPED);
	}
}

static int take_turn_locked(penstock *db, uint64_t deadline)
{
	struct ps_control *control = &db->control;
	struct cds_list_head turn;
	int status;

	if (control->pause != 0 && control->pauser == ps_thread_number())
		return ps_error(PENSTOCK_MISUSE, "this thread has paused the engine already; unpause it first");
	cds_list_add_tail(&turn, &control->pausers);
	for (;;) {
		status = pausable_locked(db);
		if (status != PENSTOCK_OK)
			break;
		if (control->pause == 0 && phase_of(db) == PS_RUNNING && control->pausers.next == &turn)
			break;
		if (!ps_control_wait(control, deadline)) {
			status = ps_refuse(PENSTOCK_TIMEOUT);
			break;
		}
	}
	cds_list_del(&turn);
	/* Whoever is first now may have waited for this one to leave. */
	pthread_cond_broadcast(&control->changed);
	return status;
}

/* Whether the caller's pause is still to be waited for. */
static bool pausing_locked(const penstock *db, uint64_t pause)
{
	return db->control.pause == pause && (phase_of(db) == PS_PAUSING || db->control.readers_opening > 0);
}

static void withdraw_locked(penstock *db)
{
	bool paused = phase_of(db) == PS_PAUSED;

	command_locked(db, PS_RUN, 0);
	/* Once PAUSED the writer makes the move itself, when it is connected again. The pause is nobody's until then. */
	db->control.pauser = 0;
	if (!paused) {
		ps_control_lift_locked(db);
		move_locked(db, PS_RUNNING);
	}
}

static int pause_locked(penstock *db, uint64_t deadline)
{
	struct ps_control *control = &db->control;
	int status = take_turn_locked(db, deadline);
	uint64_t pause;

	if (status != PENSTOCK_OK)
		return status;
	pause = ++control->pauses;
	control->pause = pause;
	control->pauser = ps_thread_number();
	move_locked(db, PS_PAUSING);
	/* The grace period is over: the tail is everything that was accepted before this call. */
	command_locked(db, PS_PAUSE, ps_ring_tail(&db->ring));
	while (pausing_locked(db, pause)) {
		if (!ps_control_wait(control, deadline)) {
			if (!pausing_locked(db, pause))
				break;
			withdraw_locked(db);
			return ps_refuse(PENSTOCK_TIMEOUT);
		}
	}
	if (control->pause == pause)
		return PENSTOCK_OK;
	/* Ended by a failure or a stop, whatever has come since. */
	return ps_refuse(phase_of(db) == PS_FAILED ? PENSTOCK_FAILED : PENSTOCK_STOPPED);
}

int penstock_pause(penstock *db, int64_t timeout_usec)
{
	PS_NO_CANCEL;
	int status = ps_engine_enter_to_wait(db, "penstock_pause");

	if (status != PENSTOCK_OK)
		return status;
	pthread_mutex_lock(&db->control.mutex);
	status = pause_locked(db, ps_engine_deadline(db, timeout_usec));
	pthread_mutex_unlock(&db->control.mutex);
	PS_PROBE(verb, db, "pause", status, db->path);
	ps_engine_leave(db);
	return status;
}

/*
 * This engine is paused, and its connection closed. Lets go of the mutex: what is done there looks at the file. The pause may meanwhile be
 * ended by a stop or a failure, but by no unpause.
 */
static int pause_others_locked(penstock *db, uint64_t deadline)
{
	const struct ps_store_peers *peers = db->batch.kind->peers;
	struct ps_control *control = &db->control;
	struct ps_store_pause *all = NULL;
	uint64_t pause = control->pause, next;
	bool paused = false;
	int status;

	control->pausing_all = true;
	pthread_mutex_unlock(&control->mutex);
	status = peers->pause_all(db->path, &db->options, &all);
	if (status == PENSTOCK_OK)
		status = peers->pause_step(all, &paused);
	pthread_mutex_lock(&control->mutex);
	while (status == PENSTOCK_OK && !paused && control->pause == pause) {
		if (ps_deadline_passed(deadline)) {
			status = ps_refuse(PENSTOCK_TIMEOUT);
			break;
		}
		next = ps_deadline(PAUSE_STEP_USEC);
		ps_control_wait(control, next < deadline ? next : deadline);
		pthread_mutex_unlock(&control->mutex);
		status = peers->pause_step(all, &paused);
		pthread_mutex_lock(&control->mutex);
	}
	control->pausing_all = false;
	if (control->pause != pause)
		status = ps_refuse(phase_of(db) == PS_FAILED ? PENSTOCK_FAILED : PENSTOCK_STOPPED);
	else if (status == PENSTOCK_OK)
		control->all = all;
	else
		withdraw_locked(db);
	if (status != PENSTOCK_OK && all != NULL)
		peers->pause_end(all);
	pthread_cond_broadcast(&control->changed);
	return status;
}

int penstock_pause_all(penstock *db, int64_t timeout_usec)
{
	PS_NO_CANCEL;
	int status = ps_engine_enter_to_wait(db, "penstock_pause_all");
	uint64_t deadline;

	if (status != PENSTOCK_OK)
		return status;
	if (db->batch.kind->peers == NULL) {
		ps_engine_leave(db);
		return ps_error(PENSTOCK_CANTOPEN, "penstock_pause_all: %s is no file, whose engines could be paused",
		                db->path);
	}
	deadline = ps_engine_deadline(db, timeout_usec);
	pthread_mutex_lock(&db->control.mutex);
	status = pause_locked(db, deadline);
	if (status == PENSTOCK_OK)
		status = pause_others_locked(db, deadline);
	pthread_mutex_unlock(&db->control.mutex);
	PS_PROBE(verb, db, "pause_all", status, db->path);
	ps_engine_leave(db);
	return status;
}

static int unpause_locked(penstock *db, uint64_t deadline)
{
	struct ps_control *control = &db->control;
	struct ps_unpauser self = { .pause = control->pause };
	bool in_time = true;

	if (phase_of(db) != PS_PAUSED || control->pausing_all) {
		if (pausable_locked(db) != PENSTOCK_OK)
			return pausable_locked(db);
		return ps_error(PENSTOCK_MISUSE, "the engine is not paused");
	}
	/* This engine comes in again, too. */
	end_pause_of_all_locked(db);
	if (!control->connecting) {
		control->connecting = true;
		command_locked(db, PS_RUN, 0);
	}
	cds_list_add(&self.place, &control->unpausers);
	while (in_time && control->pause == self.pause && control->connecting)
		in_time = ps_control_wait(control, deadline);
	cds_list_del(&self.place);
	/* It may have slept over the report, which was left to it. */
	if (control->pause == self.pause && !control->connecting)
		return report_locked(control);
	if (self.resumed)
		return PENSTOCK_OK;
	return ps_refuse(control->pause == self.pause ? PENSTOCK_TIMEOUT : PENSTOCK_STOPPED);
}

int penstock_unpause(penstock *db, int64_t timeout_usec)
{
	PS_NO_CANCEL;
	int status = ps_engine_enter_to_wait(db, "penstock_unpause");

	if (status != PENSTOCK_OK)
		return status;
	pthread_mutex_lock(&db->control.mutex);
	status = unpause_locked(db, ps_engine_deadline(db, timeout_usec));
	pthread_mutex_unlock(&db->control.mutex);
	PS_PROBE(verb, db, "unpause", status, db->path);
	ps_engine_leave(db);
	return status;
}

/* ---- looking and tuning ---- */

penstock_phase penstock_phase_of(const penstock *db)
{
	static const penstock_phase shown[PS_PHASES] = {
		[PS_NEW] = PENSTOCK_PHASE_STOPPED,     [PS_STOPPED] = PENSTOCK_PHASE_STOPPED,
		[PS_RUNNING] = PENSTOCK_PHASE_RUNNING, [PS_PAUSING] = PENSTOCK_PHASE_PAUSING,
		[PS_PAUSED] = PENSTOCK_PHASE_PAUSED,   [PS_STOPPING] = PENSTOCK_PHASE_STOPPING,
		[PS_FAILED] = PENSTOCK_PHASE_FAILED,   [PS_CLOSED] = PENSTOCK_PHASE_STOPPED,
	};

	penstock_phase phase = PENSTOCK_PHASE_STOPPED;

	if (db == NULL)
		return phase;
	if (ps_engine_look(db)) {
		ps_rcu_enter();
		phase = shown[ps_state_read(&db->state)->phase];
		ps_state_leave((struct ps_state_word *)&db->state);
	}
	ps_engine_leave(db);
	return phase;
}

const char *penstock_phase_name(penstock_phase phase)
{
	static const char *const names[] = { "STOPPED", "RUNNING", "PAUSING", "PAUSED", "STOPPING", "FAILED" };

	return (unsigned)phase < sizeof names / sizeof names[0] ? names[phase] : "?";
}

int penstock_failure(const penstock *db, char *text, size_t bytes)
{
	struct ps_control *control;
	int code;

	if (text == NULL)
		bytes = 0;
	if (bytes > 0)
		text[0] = '\0';
	if (db == NULL || ps_engine_try_enter((penstock *)db) != PENSTOCK_OK)
		return 0;
	control = (struct ps_control *)&db->control;
	pthread_mutex_lock(&control->mutex);
	code = control->failure_code;
	snprintf(text, bytes, "%s", control->failure_message);
	pthread_mutex_unlock(&control->mutex);
	ps_engine_leave(db);
	return code;
}

int penstock_reconfigure(penstock *db, const penstock_config *config)
{
	PS_NO_CANCEL;
	int status = ps_engine_enter_to_wait(db, "penstock_reconfigure");
	struct ps_control *control;
	struct ps_keys keys;

	if (status != PENSTOCK_OK)
		return status;
	if (config == NULL) {
		ps_engine_leave(db);
		return ps_error(PENSTOCK_MISUSE, "penstock_reconfigure: the config is NULL");
	}
	control = &db->control;
	pthread_mutex_lock(&control->mutex);
	keys = db->state.current->keys;
	if (control->closing) {
		keys.when_paused = control->when_paused;
		keys.when_stopped = control->when_stopped;
	}
	status = ps_options_overlay(&keys, config);
	if (status == PENSTOCK_OK) {
		if (control->closing) {
			control->when_paused = keys.when_paused;
			control->when_stopped = keys.when_stopped;
			keys.when_paused = PENSTOCK_REFUSE;
			keys.when_stopped = PENSTOCK_REFUSE;
		}
		ps_state_retune(&db->state, &keys);
		/* A larger ring_bytes may be room for somebody. */
		ps_eventcount_broadcast(&db->ring.room);
	}
	pthread_mutex_unlock(&db->control.mutex);
	PS_PROBE(verb, db, "reconfigure", status, db->path);
	ps_engine_leave(db);
	return status;
}
