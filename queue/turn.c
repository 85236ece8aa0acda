/* SPDX-License-Identifier: BSD-2-Clause */
#include "queue/turn.h"

bool ps_line_init(struct ps_line *line)
{
	CDS_INIT_LIST_HEAD(&line->waiting);
	line->first = 0;
	return pthread_mutex_init(&line->mutex, NULL) == 0;
}

void ps_line_destroy(struct ps_line *line)
{
	pthread_mutex_destroy(&line->mutex);
}

static void note_first_locked(struct ps_line *line)
{
	uint64_t first = 0;

	if (!cds_list_empty(&line->waiting))
		first = (uintptr_t)cds_list_first_entry(&line->waiting, struct ps_turn, place);
	/* Only an address to compare. Who leaves wakes those who wait, and E1 and E2 (park.h) order that. */
	ps_store_relaxed_u64(&line->first, first);
}

void ps_line_join(struct ps_line *line, struct ps_turn *turn)
{
	pthread_mutex_lock(&line->mutex);
	cds_list_add_tail(&turn->place, &line->waiting);
	note_first_locked(line);
	pthread_mutex_unlock(&line->mutex);
}

void ps_line_leave(struct ps_line *line, struct ps_turn *turn)
{
	pthread_mutex_lock(&line->mutex);
	cds_list_del(&turn->place);
	note_first_locked(line);
	pthread_mutex_unlock(&line->mutex);
}
