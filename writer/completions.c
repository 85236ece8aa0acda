/* SPDX-License-Identifier: BSD-2-Clause */
/* What of the completion queues (queue/completions.h) needs the engine. */
#include "queue/completions.h"

#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "writer/engine.h"

static int open_inside(penstock *db, uint64_t most, penstock_completions **queue)
{
	*queue = ps_completions_new(db->number, most);
	if (*queue != NULL)
		return PENSTOCK_OK;
	if (errno == 0 || errno == ENOMEM)
		return ps_error(PENSTOCK_NOMEM, "out of memory for a completion queue");
	return ps_error(PENSTOCK_NOMEM, "no descriptor for a completion queue: %s", strerror(errno));
}

int penstock_completions_open(penstock *db, size_t most, penstock_completions **queue)
{
	PS_NO_CANCEL;
	int status;

	if (queue == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_completions_open: no place for the queue");
	*queue = NULL;
	if (most == 0 || most > PS_COMPLETIONS_MOST)
		return ps_error(PENSTOCK_MISUSE, "penstock_completions_open: most is %zu; it is from 1 to %llu", most,
		                (unsigned long long)PS_COMPLETIONS_MOST);
	status = ps_engine_enter(db);
	if (status != PENSTOCK_OK)
		return status;
	status = open_inside(db, most, queue);
	ps_engine_leave(db);
	return status;
}

int penstock_completions_notify_room(penstock *db, penstock_completions *queue)
{
	int status;

	if (queue == NULL)
		return ps_error(PENSTOCK_MISUSE, "penstock_completions_notify_room: the queue is NULL");
	status = ps_engine_enter(db);
	if (status != PENSTOCK_OK)
		return status;
	if (queue->engine != db->number)
		status = ps_error(PENSTOCK_MISUSE, "the completion queue belongs to another engine");
	else
		ps_completions_ask(queue, &db->ring.room);
	ps_engine_leave(db);
	return status;
}
