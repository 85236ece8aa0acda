/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/patience.h"

#include <time.h>

#include "core/clock.h"
#include "writer/reaper.h"

/* Between two attempts (with busy_timeout_ms=0 each is only a look). */
#define PAUSE_NSEC PS_NSEC_PER_MSEC

void ps_patience_set_give_up(struct ps_patience *patience, bool give_up)
{
	ps_store_release_u32(&patience->give_up, give_up);
}

bool ps_patience_gives_up(const struct ps_patience *patience)
{
	return ps_load_acquire_u32(&patience->give_up) != 0;
}

void ps_patience_go_on(struct ps_patience *patience)
{
	patience->goes_on = true;
}

uint64_t ps_patience_begin(struct ps_patience *patience, uint64_t first, uint64_t limit)
{
	if (patience->spent && first < patience->spent_before)
		return limit < patience->spent_before ? limit : patience->spent_before;
	if (!patience->goes_on)
		patience->since = 0;
	patience->goes_on = false;
	patience->spent = false;
	return limit;
}

void ps_patience_pass_over(struct ps_patience *patience, uint64_t nsec)
{
	if (patience->since != 0)
		patience->since += nsec;
}

bool ps_patience_is_tried(const struct ps_patience *patience)
{
	return patience->since != 0 || patience->said;
}

void ps_patience_renew(struct ps_patience *patience)
{
	patience->since = 0;
	patience->spent = false;
	patience->said = false;
}

bool ps_patience_lasts(struct ps_patience *patience)
{
	int64_t limit_ms;

	if (ps_patience_gives_up(patience) || patience->spent)
		return false;
	if (patience->since == 0)
		patience->since = ps_clock_nsec();
	limit_ms = ps_state_keys(patience->state).busy_limit_ms;
	if (limit_ms == 0 || ps_clock_nsec() - patience->since < (uint64_t)limit_ms * PS_NSEC_PER_MSEC)
		return true;
	patience->spent = true;
	patience->spent_before = ps_ring_tail(patience->ring);
	return false;
}

bool ps_patience_is_interrupted(struct ps_patience *patience)
{
	return ps_reaper_is_due(patience->reaper);
}

bool ps_patience_retry(struct ps_patience *patience)
{
	struct timespec pause = ps_timespec(PAUSE_NSEC);

	ps_counters_add(patience->counters, &patience->counters->writer.busy_retries, 1);
	if (!patience->said) {
		patience->said = true;
		patience->say_away(patience->options);
	}
	if (!ps_patience_lasts(patience))
		return false;
	nanosleep(&pause, NULL);
	ps_reaper_reap(patience->reaper);
	return true;
}

bool ps_patience_lasts_for_readers(const struct ps_patience *patience)
{
	return ps_load_acquire_u32(&patience->ring->attention) == 0;
}
