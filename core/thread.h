/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread.h - what Penstock remembers of each thread, and of fork
 *
 * One thread-local struct: whether the thread is inside a callback (where waiting for a writer would deadlock), and a few
 * handles kept for reuse, which a pthread key's destructor frees at thread exit.
 *
 * Fork is noticed by a counter that a pthread_atfork child handler raises: an engine (and a handle) remembers the value
 * it was made under. getpid would be a system call per submit.
 *
 * Deferred cancellation never acts inside a call of Penstock's: what might sleep or do I/O, maybe with a mutex held (SQLite and
 * liburcu's grace period do), begins with PS_NO_CANCEL. Submitting needs none: there is no cancellation point in it.
 *
 * Invariants
 *   1. callback_depth > 0 exactly while user code runs that the engine called.
 */
#ifndef PENSTOCK_THREAD_H
#define PENSTOCK_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/atomic.h"
#include "core/penstock.h"

#define PS_SPARE_HANDLES 64

struct ps_thread {
	bool rcu_registered; /* its read sections begin without liburcu's mutex */
	unsigned callback_depth;
	uint64_t number; /* 0: none yet */
	unsigned spare_count;
	penstock_handle *spare[PS_SPARE_HANDLES];
};

/* initial-exec: one instruction to reach, no call; the library may then be dlopened as long as a few hundred bytes of
 * static TLS are free (glibc keeps more for this). */
extern __thread struct ps_thread ps_thread __attribute__((tls_model("initial-exec")));

extern uint32_t ps_fork_count;

static inline uint32_t ps_fork_generation(void)
{
	return ps_load_relaxed_u32(&ps_fork_count);
}

static inline bool ps_in_callback(void)
{
	return ps_thread.callback_depth != 0;
}

static inline void ps_callback_begin(void)
{
	ps_thread.callback_depth++;
}

static inline void ps_callback_end(void)
{
	ps_thread.callback_depth--;
}

static inline int ps_cancel_disable(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void ps_cancel_restore(const int *before)
{
	int unused;

	pthread_setcancelstate(*before, &unused);
}

/* A declaration: a cancellation of this thread waits until the block is left. */
#define PS_NO_CANCEL __attribute__((cleanup(ps_cancel_restore), unused)) int cancel_state_ = ps_cancel_disable()

/* Installs the fork handler and the thread-exit destructor; once per process. False: out of memory or keys. */
bool ps_thread_setup(void);
#ifdef PENSTOCK_RCU_MEMB
/* Makes the calling thread an RCU reader for the rest of its life. */
void ps_thread_rcu_register(void);
#endif
/* A number that no other thread of the process ever has (a pthread_t is used again). */
uint64_t ps_thread_number(void);
/* Arranges for the destructor to run when the thread ends. */
void ps_thread_arm(void);

#endif
