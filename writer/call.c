/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.c - functions of the program for the writer thread: calls, and connect hooks that come late
 *
 * Both are records in the ring, and have their turn there (sqlite/call.h says what is done with them). A late hook also has an engine
 * to meet that has no connection, and no turn to give: then it is only put on the list (core/hooks.h). No connection is being opened
 * at that moment, so the next one has it.
 */
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/hooks.h"
#include "core/thread.h"
#include "writer/engine.h"
#include "writer/submit.h"

int penstock_call(penstock *db, penstock_function *function, void *arg, const penstock_submission *whole, int64_t timeout_usec,
                  penstock_handle **handle)
{
	struct ps_record record;

	if (handle != NULL)
		*handle = NULL;
	if (db == NULL || function == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_call: the %s is NULL", db == NULL ? "engine" : "function");
	if (db->batch.kind->no_functions != NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_call: %s", db->batch.kind->no_functions);
	record.kind = PS_KIND_CALL;
	record.payload.call.function = function;
	record.payload.call.arg = arg;
	return ps_submit_record(db, &record, whole, timeout_usec, handle);
}

/* ---- late hooks ---- */

/* What to do about a hook, as the engine is. */
enum place {
	AT_ITS_TURN, /* the writer has a connection */
	ON_THE_LIST, /* it has none, and opens none */
	LATER,       /* it is about to have one, or none */
	NOWHERE,
};

static enum place place_locked(penstock *db, int *status)
{
	if (db->control.closing) {
		*status = ps_refuse(PENSTOCK_STOPPED);
		return NOWHERE;
	}
	if (db->control.opening)
		return LATER;
	switch (db->state.current->phase) {
	case PS_RUNNING:
		return AT_ITS_TURN;
	case PS_NEW:
	case PS_PAUSED:
	case PS_STOPPED:
		return ON_THE_LIST;
	case PS_FAILED:
		*status = ps_refuse(PENSTOCK_FAILED);
		return NOWHERE;
	default:
		return LATER;
	}
}

static bool is_paused_locked(const penstock *db)
{
	return db->state.current->phase == PS_PAUSING || db->state.current->phase == PS_PAUSED;
}

static int put_on_list(penstock *db, penstock_connect_hook *function, void *arg)
{
	struct ps_hook *hook = ps_hook_new(function, arg);

	if (hook == NULL)
		return ps_error(PENSTOCK_NOMEM, "out of memory for a connect hook");
	ps_hooks_add(db->options.hooks, hook);
	return PENSTOCK_OK;
}

/* True: it is decided, and *status says how. False: it is to have its turn. */
static bool settle(penstock *db, penstock_connect_hook *function, void *arg, uint64_t deadline, int *status)
{
	struct ps_control *control = &db->control;
	enum place place;

	pthread_mutex_lock(&control->mutex);
	while ((place = place_locked(db, status)) == LATER) {
		if (!ps_control_wait(control, deadline)) {
			/* Not TIMEOUT: it will not run. */
			*status = ps_refuse(is_paused_locked(db) ? PENSTOCK_PAUSED : PENSTOCK_STOPPED);
			place = NOWHERE;
			break;
		}
	}
	if (place == ON_THE_LIST)
		*status = put_on_list(db, function, arg);
	pthread_mutex_unlock(&control->mutex);
	return place != AT_ITS_TURN;
}

/* At its turn. PAUSED, STOPPED: it had none. */
static int take_turn(penstock *db, penstock_connect_hook *function, void *arg, uint64_t deadline)
{
	uint64_t now = ps_clock_nsec();
	int64_t left_usec = deadline == PS_NEVER ? PENSTOCK_FOREVER : deadline <= now ? 0 : (int64_t)((deadline - now) / 1000);
	struct ps_record record;
	penstock_handle *handle;
	int status;

	record.kind = PS_KIND_HOOK;
	record.payload.hook.hook = function;
	record.payload.hook.arg = arg;
	status = ps_submit_record(db, &record, NULL, left_usec, &handle);
	if (status != PENSTOCK_OK)
		return status;
	if (!ps_handle_wait_until(handle, deadline))
		status = ps_error(PENSTOCK_TIMEOUT, "the connect hook has not had its turn yet; it will");
	else
		status = penstock_handle_wait(handle, 0);
	penstock_handle_release(handle);
	return status;
}

int penstock_on_connect(penstock *db, penstock_connect_hook *hook, void *arg)
{
	PS_NO_CANCEL;
	uint64_t deadline;
	int status;

	if (hook == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_on_connect: the hook is NULL");
	status = ps_engine_enter_to_wait(db, "penstock_on_connect");
	if (status != PENSTOCK_OK)
		return status;
	if (db->batch.kind->no_functions != NULL) {
		ps_engine_leave(db);
		return ps_error(PENSTOCK_MISUSE, "penstock_on_connect: %s", db->batch.kind->no_functions);
	}
	deadline = ps_engine_deadline(db, PENSTOCK_DEFAULT_TIMEOUT);
	/* It may have come to another state in between. */
	while (!settle(db, hook, arg, deadline, &status)) {
		status = take_turn(db, hook, arg, deadline);
		if (status != PENSTOCK_PAUSED && status != PENSTOCK_STOPPED)
			break;
	}
	ps_engine_leave(db);
	return status;
}
