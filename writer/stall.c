/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/stall.h"

#include "core/clock.h"

#define FIRST_WAIT_MS 50
#define WAIT_TIMES 4 /* soon long enough: one that is too long ends when the readers have left */
#define REST_TIMES 4

bool ps_stall_is_due(const struct ps_stall *stall, uint64_t now)
{
	return now >= stall->rest_till;
}

int64_t ps_stall_begin(struct ps_stall *stall, uint64_t now, int64_t most_ms)
{
	if (!ps_stall_is_due(stall, now))
		return 0;
	if (stall->wait_ms < FIRST_WAIT_MS)
		stall->wait_ms = FIRST_WAIT_MS;
	if (stall->wait_ms > most_ms)
		stall->wait_ms = most_ms;
	return stall->wait_ms;
}

void ps_stall_end(struct ps_stall *stall, uint64_t began, uint64_t now, bool blocked)
{
	stall->rest_till = now + REST_TIMES * (now - began);
	/* Not where a command cut it short. */
	if (blocked && now - began >= (uint64_t)stall->wait_ms * PS_NSEC_PER_MSEC)
		stall->wait_ms *= WAIT_TIMES;
}
