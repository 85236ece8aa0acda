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

void ps_eventcount_ask(struct ps_eventcount *event, struct ps_ask *ask)
{
	uint64_t first;

	/* First, so that a wake which takes the request does not count down for somebody who sleeps. */
	ps_add_u32(&event->waiters, 1);
	first = ps_load_relaxed_u64(&event->asks);
	do {
		ps_store_relaxed_u64(&ask->next, first);
		/* E3: the request before the caller looks again (the swap is a full barrier); pairs with E2 and E4. */
	} while (!ps_cas_u64(&event->asks, &first, (uintptr_t)ask));
}

static void tell_all(struct ps_eventcount *event)
{
	uint64_t first = ps_load_relaxed_u64(&event->asks);
	struct ps_ask *ask, *next;

	/* E4: next, and what is its owner's (the swap is a full barrier); pairs with E3 in ps_eventcount_ask. */
	while (first != 0 && !ps_cas_u64(&event->asks, &first, 0))
		continue;
	for (ask = (struct ps_ask *)(uintptr_t)first; ask != NULL; ask = next) {
		next = (struct ps_ask *)(uintptr_t)ps_load_relaxed_u64(&ask->next);
		ps_eventcount_cancel(event);
		ask->tell(ask);
	}
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
	if (ps_load_relaxed_u64(&event->asks) != 0)
		tell_all(event);
}

void ps_eventcount_broadcast(struct ps_eventcount *event)
{
	if (ps_eventcount_waited(event))
		ps_eventcount_wake(event, UINT32_MAX);
}
