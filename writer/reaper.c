/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/reaper.h"

#include "core/cancel.h"
#include "core/clock.h"

void ps_reaper_init(struct ps_reaper *reaper, struct ps_entries *entries)
{
	*reaper = (struct ps_reaper){ .entries = entries, .earliest = PS_NEVER };
}

static void learn(struct ps_reaper *reaper, const struct ps_record *record)
{
	uint64_t deadline = ps_record_deadline(record);

	if (deadline < reaper->earliest)
		reaper->earliest = deadline;
	if ((record->asks & PS_ASKS_CANCELLABLE) != 0)
		reaper->cancellable = true;
}

bool ps_reaper_is_due(struct ps_reaper *reaper)
{
	const struct ps_ring *ring = reaper->entries->ring;
	uint64_t head = ps_ring_head(ring);
	uint32_t cancels = ps_cancel_count(reaper->entries->bell);
	const struct ps_record *record;

	if (cancels != reaper->cancels && reaper->cancellable)
		reaper->due = true;
	reaper->cancels = cancels;
	if (reaper->seen < head)
		reaper->seen = head;
	for (; (record = ps_ring_peek(ring, reaper->seen)) != NULL; reaper->seen++) {
		if ((record->asks & PS_ASKS_TO_BEGIN) == 0)
			continue;
		learn(reaper, record);
		if ((record->asks & PS_ASKS_CANCELLABLE) != 0 && ps_cancel_asked(record->listener.handle))
			reaper->due = true;
	}
	if (ps_deadline_passed(reaper->earliest))
		reaper->due = true;
	return reaper->due;
}

void ps_reaper_reap(struct ps_reaper *reaper)
{
	struct ps_entries *entries = reaper->entries;
	uint64_t ticket, end;

	if (!ps_reaper_is_due(reaper))
		return;
	reaper->due = false;
	reaper->earliest = PS_NEVER;
	reaper->cancellable = false;
	ticket = ps_ring_head(entries->ring);
	end = ps_entries_reach(entries, ticket);
	if (reaper->seen > end)
		reaper->seen = end;
	for (end = reaper->seen; ticket < end; ticket++) {
		if (ps_entries_may_begin(entries, ticket) && !ps_entries_tell(entries, ticket))
			learn(reaper, ps_ring_at(entries->ring, ticket));
	}
}
