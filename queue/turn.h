/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.h - a turn for a payload that smaller ones would pass for ever
 *
 * Bytes that are given back are had by whoever looks first. A large payload, which needs many of them at once (or all), may
 * look as often as it likes: there are always some smaller ones in. So a producer that waits for bytes, and is still not in
 * when everything that was in the ring as it first asked is done, gets in line; as long as somebody is first in line, nobody
 * else takes bytes, and one slot is kept for that one.
 *
 * Why nobody starves
 *   - The first in line gets in: the bytes that are taken only become fewer (but for one submission of each producer that looked
 *     before the line began), so at last all are free; and when the head moves on there is a free slot that nobody else claims.
 *   - Whoever is in line becomes the first: each before it gets in, or leaves at its deadline.
 *   - Whoever waits for bytes and is passed gets in line, whatever its size, so it waits for those that were there before it,
 *     and then for the line.
 *   - Payloads that fit the slot never look at the line (submitting stays lock-free): they have all slots but one. Nor can they
 *     starve the first in line: they take no bytes, and not its slot.
 *
 * Invariants
 *   1. first is the first of the list, or 0; both are changed under the mutex, which is never held over a sleep and never
 *      taken in a read section.
 *   2. Who leaves the line wakes all who wait, since any may have been turned away for it.
 *
 * Failure modes: none; a first in line that is not scheduled holds up those that want bytes, but nobody else.
 */
#ifndef PENSTOCK_TURN_H
#define PENSTOCK_TURN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

#include "core/atomic.h"

struct ps_turn {
	struct cds_list_head place;
};

struct ps_line {
	pthread_mutex_t mutex;
	struct cds_list_head waiting;
	uint64_t first; /* the address of its turn; 0: nobody */
};

/* False: out of memory. */
bool ps_line_init(struct ps_line *line);
void ps_line_destroy(struct ps_line *line);
/* Once per turn; then the caller looks again. */
void ps_line_join(struct ps_line *line, struct ps_turn *turn);
/* The caller wakes all who wait for room. */
void ps_line_leave(struct ps_line *line, struct ps_turn *turn);

/* Whether somebody else is first. turn: NULL for whoever is not in line. */
static inline bool ps_line_is_others(const struct ps_line *line, const struct ps_turn *turn)
{
	uint64_t first = ps_load_relaxed_u64(&line->first);

	return first != 0 && first != (uintptr_t)turn;
}

#endif
