/* SPDX-License-Identifier: BSD-2-Clause */
#include "queue/park.h"

#include "core/atomic.h"
#include "core/futex.h"

uint32_t ps_eventcount_prepare(struct ps_eventcount *event)
{
	/* E1: the add is a full barrier: counted before the caller looks again; pairs with E2 in ps_eventcount_waited. */
	ps_add_u32(&event->waiters, 1);
	return ps_load_acquire_u32(&event->sequence);
}

void ps_eventcount_cancel(struct ps_eventcount *event)
{
	ps_add_u32(&event->waiters, (uint32_t)-1);
}

void ps_eventcount_wait(struct ps_eventcount *event, uint32_t key, uint64_t deadline)
{
	ps_futex_wait(&event->sequence, key, PS_FUTEX_ANY, deadline);
	ps_eventcount_cancel(event);
}

bool ps_eventcount_waited(struct ps_eventcount *event)
{
	/* E2: what the caller changed is out before the look; pairs with E1 in ps_eventcount_prepare. */
	ps_fence_full();
	return ps_load_relaxed_u32(&event->waiters) != 0;
}

void ps_eventcount_wake(struct ps_eventcount *event, uint32_t count)
{
	ps_add_u32(&event->sequence, 1);
	ps_futex_wake(&event->sequence, count, PS_FUTEX_ANY);
}

void ps_eventcount_broadcast(struct ps_eventcount *event)
{
	if (ps_eventcount_waited(event))
		ps_eventcount_wake(event, UINT32_MAX);
}
