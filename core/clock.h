/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - monotonic time and deadlines
 *
 * A deadline is an absolute number of nanoseconds of CLOCK_MONOTONIC, PS_NEVER for none. A timeout becomes a deadline
 * once, when the call begins, so that waits in several steps end together.
 */
#ifndef PENSTOCK_CLOCK_H
#define PENSTOCK_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PS_NEVER UINT64_MAX
#define PS_NSEC_PER_USEC UINT64_C(1000)
#define PS_NSEC_PER_MSEC UINT64_C(1000000)
#define PS_NSEC_PER_SEC UINT64_C(1000000000)

static inline uint64_t ps_clock_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * PS_NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* From a timeout in microseconds; negative is for ever. */
static inline uint64_t ps_deadline(int64_t timeout_usec)
{
	uint64_t now;

	if (timeout_usec < 0)
		return PS_NEVER;
	now = ps_clock_nsec();
	if ((uint64_t)timeout_usec > (PS_NEVER - 1 - now) / PS_NSEC_PER_USEC)
		return PS_NEVER;
	return now + (uint64_t)timeout_usec * PS_NSEC_PER_USEC;
}

/* From a point in time in microseconds; one before the clock began has passed. */
static inline uint64_t ps_deadline_at(int64_t usec)
{
	if (usec < 0)
		return 0;
	return (uint64_t)usec > (PS_NEVER - 1) / PS_NSEC_PER_USEC ? PS_NEVER : (uint64_t)usec * PS_NSEC_PER_USEC;
}

static inline struct timespec ps_timespec(uint64_t nsec)
{
	struct timespec time = {
		.tv_sec = (time_t)(nsec / PS_NSEC_PER_SEC),
		.tv_nsec = (long)(nsec % PS_NSEC_PER_SEC),
	};
	return time;
}

static inline bool ps_deadline_passed(uint64_t deadline)
{
	return deadline != PS_NEVER && ps_clock_nsec() >= deadline;
}

#endif
