/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * points.h - the queue's own sources, and the checkpoint thread's, on the weak memory of machine.h
 *
 * The compiler includes this before anything else of a file (-include). It stands in for core/atomic.h, core/futex.h and
 * core/event.h, whose guards it defines; all else is compiled as it stands, so what is searched is the code that ships, with the orderings it
 * asks for. A new operation in one of the three headers does not compile here until it is added.
 */
#ifndef PENSTOCK_LITMUS_POINTS_H
#define PENSTOCK_LITMUS_POINTS_H

#define PENSTOCK_ATOMIC_H
#define PENSTOCK_FUTEX_H
#define PENSTOCK_EVENT_H

#include "tests/litmus/machine.h"

/* The pointer in the section lets the search find every site, also those that no case has reached. */
#define LITMUS_SITE(kind_, what_, strength_)                                                                               \
	__extension__({                                                                                                    \
		static struct litmus_site site_ = { __FILE__, __func__, kind_, what_, __LINE__, strength_, strength_, 0 }; \
		static struct litmus_site *const entry_ __attribute__((section("litmus_sites"), used)) = &site_;           \
		(void)entry_;                                                                                              \
		&site_;                                                                                                    \
	})

/* ---- core/atomic.h ---- */

#define PS_LINE_BYTES 128
#define PS_OWN_LINE __attribute__((aligned(PS_LINE_BYTES)))

#define LITMUS_OPERATIONS(suffix, type)                                                                            \
	static inline type litmus_load_##suffix(struct litmus_site *site, const type *word)                        \
	{                                                                                                          \
		return (type)litmus_load(site, word, sizeof *word);                                                \
	}                                                                                                          \
	static inline void litmus_store_##suffix(struct litmus_site *site, type *word, type value)                 \
	{                                                                                                          \
		litmus_store(site, word, sizeof *word, value);                                                     \
	}                                                                                                          \
	static inline bool litmus_cas_##suffix(struct litmus_site *site, type *word, type *expected, type desired) \
	{                                                                                                          \
		uint64_t found = *expected;                                                                        \
		bool swapped = litmus_cas(site, word, sizeof *word, &found, desired);                              \
		*expected = (type)found;                                                                           \
		return swapped;                                                                                    \
	}                                                                                                          \
	static inline type litmus_add_##suffix(struct litmus_site *site, type *word, type value)                   \
	{                                                                                                          \
		return (type)litmus_add(site, word, sizeof *word, value);                                          \
	}

LITMUS_OPERATIONS(u32, uint32_t)
LITMUS_OPERATIONS(u64, uint64_t)
#undef LITMUS_OPERATIONS

#define ps_load_relaxed_u32(word) litmus_load_u32(LITMUS_SITE("load", #word, LITMUS_RELAXED), word)
#define ps_load_acquire_u32(word) litmus_load_u32(LITMUS_SITE("load", #word, LITMUS_ACQUIRE), word)
#define ps_store_relaxed_u32(word, value) litmus_store_u32(LITMUS_SITE("store", #word, LITMUS_RELAXED), word, value)
#define ps_store_release_u32(word, value) litmus_store_u32(LITMUS_SITE("store", #word, LITMUS_RELEASE), word, value)
#define ps_cas_u32(word, expected, desired) litmus_cas_u32(LITMUS_SITE("cas", #word, LITMUS_FULL), word, expected, desired)
#define ps_add_u32(word, value) litmus_add_u32(LITMUS_SITE("add", #word, LITMUS_FULL), word, value)
#define ps_load_relaxed_u64(word) litmus_load_u64(LITMUS_SITE("load", #word, LITMUS_RELAXED), word)
#define ps_load_acquire_u64(word) litmus_load_u64(LITMUS_SITE("load", #word, LITMUS_ACQUIRE), word)
#define ps_store_relaxed_u64(word, value) litmus_store_u64(LITMUS_SITE("store", #word, LITMUS_RELAXED), word, value)
#define ps_store_release_u64(word, value) litmus_store_u64(LITMUS_SITE("store", #word, LITMUS_RELEASE), word, value)
#define ps_cas_u64(word, expected, desired) litmus_cas_u64(LITMUS_SITE("cas", #word, LITMUS_FULL), word, expected, desired)
#define ps_add_u64(word, value) litmus_add_u64(LITMUS_SITE("add", #word, LITMUS_FULL), word, value)
#define ps_fence_full() litmus_fence(LITMUS_SITE("fence", "", LITMUS_FULL))
#define ps_stall() ((void)0)
#define ps_stalls(count) ((void)(count))
#define ps_bump_u64(word, value) ps_store_relaxed_u64(word, ps_load_relaxed_u64(word) + (value))

/* ---- core/futex.h ---- */

#define PS_FUTEX_ANY UINT32_MAX

#define ps_futex_wait(word, expected, bits, deadline) \
	((void)(deadline), litmus_futex_wait(LITMUS_SITE("wait", #word, LITMUS_FULL), word, expected, bits))
#define ps_futex_wake(word, count, bits) litmus_futex_wake(LITMUS_SITE("wake", #word, LITMUS_FULL), word, count, bits)

/* ---- the C library ---- */

#include <stdlib.h>
#define malloc(bytes) litmus_malloc(bytes)
#define aligned_alloc(alignment, bytes) ((void)(alignment), litmus_malloc_parts(bytes))
#define free(memory) litmus_free(memory)

/* One thread at a time, which a case begins with (litmus_run_created) and whose end is the end of the execution. */
#include <pthread.h>
#include <sched.h>

struct litmus_created {
	void *(*run)(void *);
	void *arg;
};

extern struct litmus_created litmus_created;

static inline int litmus_create(void *(*run)(void *), void *arg)
{
	litmus_created = (struct litmus_created){ run, arg };
	return 0;
}

static inline void litmus_run_created(void)
{
	litmus_created.run(litmus_created.arg);
}

#define pthread_create(thread, attributes, run, arg) ((void)(thread), (void)(attributes), litmus_create(run, arg))
#define pthread_join(thread, result) ((void)(thread), (void)(result))
/* The process's only thread stays as it is. */
#define pthread_setname_np(thread, name) ((void)(thread), (void)(name))
#define pthread_setschedparam(thread, policy, param) ((void)(thread), (void)(policy), (void)(param))

/* core/futex.h brings this. */
#include "core/clock.h"

/* ---- core/event.h ---- */

/* The kernel has a lock around each of them. Which descriptor is whose is plain memory. */
struct ps_event {
	int reader;
	uint32_t raised;
};

static inline bool ps_event_open(struct ps_event *event)
{
	event->reader = 0;
	event->raised = 0;
	return true;
}

static inline void ps_event_close_reader(struct ps_event *event)
{
	event->reader = -1;
}

static inline void ps_event_close_raiser(struct ps_event *event)
{
	litmus_reads(event);
}

static inline bool ps_event_raise(struct ps_event *event)
{
	litmus_reads(event);
	litmus_add_u32(LITMUS_SITE("wake", "raised", LITMUS_FULL), &event->raised, 1);
	litmus_futex_wake(LITMUS_SITE("wake", "raised", LITMUS_FULL), &event->raised, UINT32_MAX, PS_FUTEX_ANY);
	return true;
}

static inline void ps_event_drain(struct ps_event *event)
{
	uint32_t raised = litmus_add_u32(LITMUS_SITE("wait", "raised", LITMUS_FULL), &event->raised, 0);

	if (raised != 0)
		litmus_add_u32(LITMUS_SITE("wait", "raised", LITMUS_FULL), &event->raised, -raised);
}

/* As poll does: until it is readable. */
static inline void litmus_poll(const struct ps_event *event)
{
	litmus_futex_wait(LITMUS_SITE("wait", "raised", LITMUS_FULL), &event->raised, 0, PS_FUTEX_ANY);
}

/* Threads are coroutines of one. */
#include "core/thread.h"
#define ps_thread_number() litmus_thread_number()

#endif
