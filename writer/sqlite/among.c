/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * among.c - the store among the engines of other processes: coming in, the passes of the checkpoint thread, which keep it from
 * leaving, turns, and pausing all of them
 */
#include "writer/sqlite/inside.h"

#include <stdlib.h>

#include "core/error.h"
#include "core/fault.h"

/* A pass of the checkpoint thread's is at work, and cannot leave. */
static bool must_stay(const struct ps_store *store)
{
	return store->passing && !ps_fault(PS_FAULT_LEAVE_PASS);
}

enum ps_entry ps_store_enter(struct ps_store *store)
{
	enum ps_entry entry;

	/* Nothing more begins, or there might always be one. */
	if (must_stay(store) && store->peers.inside)
		return ps_peers_is_asked_to_leave(&store->peers) ? PS_ENTRY_PAUSED : PS_ENTRY_IN;
	entry = ps_peers_enter(&store->peers);
	if (ps_fault(PS_FAULT_LEAVE_EARLY))
		ps_peers_leave(&store->peers);
	return entry;
}

void ps_store_leave(struct ps_store *store)
{
	/* Its report wakes the writer, which comes to leave again. */
	if (!must_stay(store))
		ps_peers_leave(&store->peers);
}

bool ps_store_is_inside(const struct ps_store *store)
{
	return store->peers.inside;
}

enum ps_log_pass_due ps_store_begin_pass(struct ps_store *store)
{
	enum ps_log_pass_due due = PS_LOG_PASS_NOTHING;

	/* One that had to leave begins none. */
	if (store->peers.inside || ps_fault(PS_FAULT_PASS_OUTSIDE))
		due = ps_file_begin_pass(&store->file);
	store->passing = due == PS_LOG_PASS_DUE;
	return due;
}

/* Somebody is to be told; or everybody. */
static bool waits_on(void *arg)
{
	struct ps_patience *patience = arg;

	return !ps_patience_gives_up(patience) && !ps_patience_is_interrupted(patience);
}

bool ps_store_take_turn(struct ps_store *store)
{
	struct ps_peers *peers = &store->peers;

	if (!peers->takes_turns || peers->turns.held)
		return true;
	store->busy.at_turn = ps_turns_take(&peers->turns, waits_on, store->busy.patience);
	return store->busy.at_turn;
}

bool ps_store_is_turn_over(const struct ps_store *store)
{
	return ps_turns_is_over(&store->peers.turns);
}

void ps_store_end_turn(struct ps_store *store)
{
	store->busy.at_turn = false;
	ps_turns_end(&store->peers.turns);
}

struct ps_turn_counts ps_store_take_turn_counts(struct ps_store *store)
{
	struct ps_turn_counts counts = store->peers.turns.counts;

	store->peers.turns.counts = (struct ps_turn_counts){ 0 };
	return counts;
}

struct ps_store_pause {
	struct ps_peers peers;
};

int ps_store_pause_all(const char *path, const struct ps_options *options, struct ps_store_pause **result)
{
	struct ps_store_pause *pause = malloc(sizeof *pause);
	char *file;
	int status;

	*result = NULL;
	if (pause == NULL)
		return ps_error(PENSTOCK_NOMEM, "out of memory pausing %s", path);
	status = ps_connection_find_file(path, options, &file);
	if (status != PENSTOCK_OK) {
		free(pause);
		return status;
	}
	ps_peers_open(&pause->peers, file, false);
	free(file);
	*result = pause;
	return PENSTOCK_OK;
}

int ps_store_pause_step(struct ps_store_pause *pause, bool *paused)
{
	enum ps_peers_pause came_to = ps_peers_pause(&pause->peers);

	*paused = came_to == PS_PEERS_PAUSED;
	if (came_to != PS_PEERS_NO_LOCKS)
		return PENSTOCK_OK;
	return ps_error(
		PENSTOCK_CANTOPEN,
		"the engines of other processes cannot be paused: there is no %s, it is foreign, or no lock of it is to be had "
		"(F_OFD_SETLK)",
		pause->peers.beside.name != NULL ? pause->peers.beside.name : "side file");
}

void ps_store_pause_end(struct ps_store_pause *pause)
{
	if (pause != NULL)
		ps_peers_close(&pause->peers);
	free(pause);
}
