/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stall.h - how long a checkpoint may wait for readers, and how long the writer then works before the next may
 *
 * The log begins anew only in a moment when no reader looks into it. While readers overlap there is none, unless the writer
 * stands still: those that come then read past the log, and it is enough to wait for the longest of those that are there. So
 * the longer the log has been held up, the longer one wait: each that was too short is followed by one four times as long, up to
 * checkpoint_wait_ms. And after a wait the writer works for four times as long, so that at most a fifth of the time goes there.
 *
 * With that the log grows to about wal_bytes_max and what is written in four of the longest waits. A reader that stays for longer
 * than checkpoint_wait_ms still makes it grow without end, and the log callback hears of it (WAL_HELD).
 *
 * Failure modes: none.
 */
#ifndef PENSTOCK_STALL_H
#define PENSTOCK_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct ps_stall {
	int64_t wait_ms;    /* for the next one; 0: the first */
	uint64_t rest_till; /* nanoseconds */
};

/* How long a checkpoint that begins now may wait, at most `most_ms`; 0: the writer has to work. */
int64_t ps_stall_begin(struct ps_stall *stall, uint64_t now, int64_t most_ms);
/* Whether that would be more than 0. */
bool ps_stall_is_due(const struct ps_stall *stall, uint64_t now);
/* It took from `began` to `now`, and was not enough (blocked). */
void ps_stall_end(struct ps_stall *stall, uint64_t began, uint64_t now, bool blocked);

#endif
