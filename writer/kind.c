/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/kind.h"

#include <string.h>

#include "core/log.h"
#include "writer/batch.h"
#include "writer/room.h"

#define CLUSTER "rqlite://"

/* The path and the options are looked at as the file is opened. */
static int check(const char *path, const struct ps_options *options)
{
	(void)path;
	(void)options;
	return PENSTOCK_OK;
}

static void say_locked(const struct ps_options *options)
{
	ps_log(options, PENSTOCK_EVENT_LOCKED,
	       "another process holds the database's lock; the writer keeps trying (busy_limit_ms)");
}

static const struct ps_store_peers by_side_file = {
	.enter = ps_store_enter,
	.leave = ps_store_leave,
	.is_inside = ps_store_is_inside,
	.end_turn = ps_store_end_turn,
	.pause_all = ps_store_pause_all,
	.pause_step = ps_store_pause_step,
	.pause_end = ps_store_pause_end,
};

const struct ps_store_kind ps_store_sqlite = {
	.check = check,
	.open = ps_store_open,
	.probe = ps_store_probe,
	.open_reader = ps_store_open_reader,
	.close = ps_store_close,
	.run = ps_batch_run_transactions,
	.rest = ps_room_checkpoint,
	.beside = ps_room_beside,
	.is_file = true,
	.say_away = say_locked,
	.peers = &by_side_file,
};

const struct ps_store_kind *ps_store_kind_of(const char *path)
{
	return strncmp(path, CLUSTER, strlen(CLUSTER)) == 0 ? &ps_store_rqlite : &ps_store_sqlite;
}
