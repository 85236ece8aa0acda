/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rcu.h - userspace RCU, and why this flavour
 *
 * liburcu's bp flavour. It registers readers by itself, does not mind a host program that uses it too, and survives fork:
 * a forked child may open an engine of its own (with memb, whose registry still names the parent's threads, that crashed).
 * What bp is feared for is its grace period, which sleeps 10 ms when a reader stays in its section for 100 looks.
 *
 * Measured (bench verbs/grace, a grace period with 8 threads submitting on 2 processors, 2000 of them, four runs each):
 *
 *              p99              worst
 *     memb     0.12 - 0.15 ms   0.5 - 0.8 ms
 *     bp       0.07 - 0.19 ms   0.1, 10.1, 10.1, 11.6 ms
 *
 * So the 10 ms come less than once in a hundred times, beside a pause or stop that takes milliseconds to close the file; a
 * crash in a forked child would be for good.
 *
 * A read section here covers one state look-up, one claim and one publish; nothing in it sleeps or calls out. -Drcu_flavour=memb
 * builds with the other one, to measure again.
 *
 * Failure modes: a host that calls bp's three fork hooks itself deadlocks in fork, since core/thread.c does; with Penstock in
 * the process it must leave them out. A sanitizer build (PENSTOCK_RCU_CALLS) calls liburcu's functions instead of
 * inlining them: TSan cannot see through their assembly, and gets two annotations of what a grace period orders; UBSan
 * objects to the alignment of bp's reader structs (0.13.2), which liburcu itself carves out of an arena.
 */
#ifndef PENSTOCK_RCU_H
#define PENSTOCK_RCU_H

#include "core/atomic.h"

#ifndef PENSTOCK_RCU_CALLS
#define _LGPL_SOURCE /* inline read side; what is inlined may be used by any program (urcu/static headers) */
#endif

#ifdef PENSTOCK_RCU_MEMB
#include <urcu/urcu-memb.h>
#define PS_RCU(name) urcu_memb_##name
#else
#include <urcu/urcu-bp.h>
#define PS_RCU(name) urcu_bp_##name
#endif

#include "core/thread.h"

#ifdef PENSTOCK_UNDER_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#endif

static inline void ps_rcu_enter(void)
{
#ifdef PENSTOCK_RCU_MEMB
	if (__builtin_expect(!ps_thread.rcu_registered, 0))
		ps_thread_rcu_register();
#endif
	PS_RCU(read_lock)();
}

/* Whether the thread's next section begins without the mutex under which liburcu registers it; and that it does from now on. */
static inline bool ps_rcu_is_registered(void)
{
	return ps_thread.rcu_registered;
}

static inline void ps_rcu_note_registered(void)
{
	ps_thread.rcu_registered = true;
}

static inline void ps_rcu_leave(void *annotation)
{
#ifdef PENSTOCK_UNDER_TSAN
	__tsan_release(annotation);
#else
	(void)annotation;
#endif
	PS_RCU(read_unlock)();
}

/* Waits until every section that may have seen what the caller replaced has ended. Not inside a section. */
static inline void ps_rcu_synchronize(void *annotation)
{
	PS_RCU(synchronize_rcu)();
#ifdef PENSTOCK_UNDER_TSAN
	__tsan_acquire(annotation);
#else
	(void)annotation;
#endif
}

#endif
