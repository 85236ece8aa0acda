/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread.h - what Penstock remembers of each thread, and of fork
 *
 * One small thread-local struct: whether the thread is inside a callback (where waiting for a writer would deadlock), and
 * where its larger things lie. These are the message of its last error and a few handles kept for reuse. They are on the
 * heap from the first need on, and a pthread key's destructor frees them at thread exit.
 *
 * The struct is small, and of the general dynamic model, so that a plugin can bring Penstock into any host. A library with
 * initial-exec variables needs room in the static TLS block, of which glibc keeps less than 2 KiB for all that is dlopened;
 * where other libraries have used that up, dlopen fails. (liburcu's own variables are of the general model too.) It costs a
 * call of __tls_get_addr, a nanosecond; a program that links the static library pays none.
 *
 * Fork is noticed by a counter that a pthread_atfork child handler raises: an engine (and a handle) remembers the value
 * it was made under. getpid would be a system call per submit.
 *
 * Deferred cancellation never acts inside a call of Penstock's: what might sleep or do I/O, maybe with a mutex held (SQLite and
 * liburcu's grace period do), begins with PS_NO_CANCEL. Submitting needs none: there is no cancellation point in it.
 *
 * Invariants
 *   1. callback_depth > 0 exactly while user code runs that the engine called.
 *   2. The library has no other thread-local variable, and no initial-exec one.
 *
 * Failure modes: without memory a thread keeps no spare handles, and its message is the sentence of the status alone.
 */
#ifndef PENSTOCK_THREAD_H
#define PENSTOCK_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/atomic.h"
#include "core/penstock.h"

#define PS_SPARE_HANDLES 64

/* A message longer than this is cut; SQL text never travels in one. */
#define PS_MESSAGE_BYTES 1024

struct ps_thread_heap {
	unsigned spare_count;
	penstock_handle *spare[PS_SPARE_HANDLES];
	char message[PS_MESSAGE_BYTES];
};

struct ps_thread {
	bool rcu_registered; /* its read sections begin without liburcu's mutex */
	bool wait_refused;   /* a call that would wait was refused in a callback, since whoever asks has set this to false */
	unsigned callback_depth;
	int refused;     /* a status whose own sentence is the message, or 0 */
	uint64_t number; /* 0: none yet */
	struct ps_thread_heap *heap;
};

extern __thread struct ps_thread ps_thread;

extern uint32_t ps_fork_count;

static inline uint32_t ps_fork_generation(void)
{
	return ps_load_relaxed_u32(&ps_fork_count);
}

static inline bool ps_in_callback(void)
{
	return ps_thread.callback_depth != 0;
}

/* For a call that would wait for a writer: whether it must not. */
static inline bool ps_must_not_wait(void)
{
	if (ps_in_callback())
		ps_thread.wait_refused = true;
	return ps_in_callback();
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
/* What the thread has on the heap, from now until it ends; NULL without memory. */
struct ps_thread_heap *ps_thread_heap(void);
/* Frees it, as the thread's end does. */
void ps_thread_clear(void);

#endif
