/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex.h - the futex calls Penstock makes (glibc has no wrapper)
 *
 * ps_futex_wait returns for any reason (woken, the word differed, a signal, the deadline): callers loop on their own
 * condition. Waking an address that nobody waits on, or that is gone, does nothing.
 */
#ifndef PENSTOCK_FUTEX_H
#define PENSTOCK_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"

/* On 32-bit machines the kernel's older call reads a timespec of 32-bit times, whatever the C library's has. */
#ifdef SYS_futex_time64
#define PS_SYS_FUTEX (sizeof(time_t) > sizeof(long) ? SYS_futex_time64 : SYS_futex)
#else
#define PS_SYS_FUTEX SYS_futex
#endif

/* Of those that sleep on one word, a wake can mean some: both sides give a set of bits, and they meet if it overlaps. */
#define PS_FUTEX_ANY FUTEX_BITSET_MATCH_ANY

static inline void ps_futex_wait_by(int operation, const uint32_t *word, uint32_t expected, uint32_t bits, uint64_t deadline)
{
	struct timespec limit;
	int saved = errno;

	if (deadline != PS_NEVER)
		limit = ps_timespec(deadline);
	syscall(PS_SYS_FUTEX, word, operation, expected, deadline == PS_NEVER ? NULL : &limit, NULL, bits);
	errno = saved;
}

/* Sleeps while *word == expected, until the absolute monotonic deadline. */
static inline void ps_futex_wait(const uint32_t *word, uint32_t expected, uint32_t bits, uint64_t deadline)
{
	ps_futex_wait_by(FUTEX_WAIT_BITSET_PRIVATE, word, expected, bits, deadline);
}

static inline void ps_futex_wake_by(int operation, const uint32_t *word, uint32_t count, uint32_t bits)
{
	int saved = errno;

	syscall(PS_SYS_FUTEX, word, operation, count > INT32_MAX ? INT32_MAX : (int)count, NULL, NULL, bits);
	errno = saved;
}

/* Wakes up to `count` of those that sleep on the word, the longest sleeper first (the kernel queues them in order). */
static inline void ps_futex_wake(const uint32_t *word, uint32_t count, uint32_t bits)
{
	ps_futex_wake_by(FUTEX_WAKE_BITSET_PRIVATE, word, count, bits);
}

/* The same of a word in memory that several processes have mapped, at whatever address. */
static inline void ps_futex_wait_shared(const uint32_t *word, uint32_t expected, uint32_t bits, uint64_t deadline)
{
	ps_futex_wait_by(FUTEX_WAIT_BITSET, word, expected, bits, deadline);
}

static inline void ps_futex_wake_shared(const uint32_t *word, uint32_t count, uint32_t bits)
{
	ps_futex_wake_by(FUTEX_WAKE_BITSET, word, count, bits);
}

#endif
