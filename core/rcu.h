/*
 * rcu.h - userspace RCU, and why this flavour
 *
 * liburcu's memb flavour unless built with -Drcu_flavour=bp. A reader is any thread that submits; memb wants each one
 * registered, which ps_rcu_enter does on a thread's first submit and a thread-exit destructor undoes (core/thread.c). bp registers
 * by itself but its grace period polls in steps of 10 ms once a reader was preempted in its section.
 *
 * @RCU_NUMBERS@
 *
 * A read section here covers one state look-up, one claim and one publish; nothing in it sleeps or calls out. A host
 * program may use the same flavour: a thread it has registered itself is left alone.
 *
 * Failure modes: a host thread that registers itself after it has submitted trips liburcu's assertion of double
 * registration; register first. Under TSan liburcu's inline assembly is out of sight: there the out-of-line functions
 * are called, and the two annotations below tell TSan what a grace period orders.
 */
#ifndef PENSTOCK_RCU_H
#define PENSTOCK_RCU_H

#include "core/atomic.h"

#ifndef PENSTOCK_BUILTIN_ATOMICS
#define _LGPL_SOURCE /* inline read side; what is inlined may be used by any program (urcu/static headers) */
#endif

#ifdef PENSTOCK_RCU_BP
#include <urcu/urcu-bp.h>
#define PS_RCU(name) urcu_bp_##name
#else
#include <urcu/urcu-memb.h>
#define PS_RCU(name) urcu_memb_##name
#endif

#include "core/thread.h"

#ifdef PENSTOCK_BUILTIN_ATOMICS
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#endif

static inline void ps_rcu_enter(void)
{
#ifndef PENSTOCK_RCU_BP
	if (__builtin_expect(!ps_thread.rcu_ready, 0))
		ps_thread_rcu_register();
#endif
	PS_RCU(read_lock)();
}

static inline void ps_rcu_leave(void *annotation)
{
#ifdef PENSTOCK_BUILTIN_ATOMICS
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
#ifdef PENSTOCK_BUILTIN_ATOMICS
	__tsan_acquire(annotation);
#else
	(void)annotation;
#endif
}

#endif
