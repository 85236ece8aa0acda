/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * points.h - the engine's own sources, with a point of the scheduler before every atomic, futex, lock and grace period
 *
 * The compiler includes this before anything else of a file (-include). It stands in for core/atomic.h, core/futex.h,
 * core/rcu.h and core/event.h, whose guards it defines, and gives other names to the few calls of the C library through which a
 * thread can wait or read the clock, and to those of the side file (writer/sqlite/beside.h), where another process is met. Everything
 * else of core, queue and writer is compiled as it stands, so what is scheduled is the code that ships; a new operation in one of the
 * four headers does not compile here until it is added.
 *
 * Each use is a site: file, line, function, what kind of operation, and the operand's text. Sites make the trace of a
 * replayed schedule, and a control (scheduler.h) names the one it disables.
 *
 * No points: ps_bump_u64, and the reading of the clock. Nobody decides anything by a counter.
 */
#ifndef PENSTOCK_SCHEDULE_POINTS_H
#define PENSTOCK_SCHEDULE_POINTS_H

#define PENSTOCK_ATOMIC_H
#define PENSTOCK_FUTEX_H
#define PENSTOCK_RCU_H
#define PENSTOCK_EVENT_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

struct schedule_site {
	const char *file;
	const char *function;
	const char *kind; /* load, store, cas, add, fence, wait, wake, ... */
	const char *what; /* the operand as it is written */
	int line;
	bool disabled; /* by a control */
};

/* The pointer in the section lets the scheduler find every site, also those that no schedule has reached. */
#define SCHEDULE_SITE(kind_, what_)                                                                                  \
	__extension__({                                                                                              \
		static struct schedule_site site_ = { __FILE__, __func__, kind_, what_, __LINE__, false };           \
		static struct schedule_site *const entry_ __attribute__((section("schedule_sites"), used)) = &site_; \
		(void)entry_;                                                                                        \
		&site_;                                                                                              \
	})

/* ---- core/atomic.h ---- */

#define PS_LINE_BYTES 128
#define PS_OWN_LINE __attribute__((aligned(PS_LINE_BYTES)))

uint64_t schedule_load(struct schedule_site *site, const void *word, unsigned bytes);
void schedule_store(struct schedule_site *site, void *word, unsigned bytes, uint64_t value);
bool schedule_cas(struct schedule_site *site, void *word, unsigned bytes, uint64_t *expected, uint64_t desired);
uint64_t schedule_add(struct schedule_site *site, void *word, unsigned bytes, uint64_t value);
void schedule_fence(struct schedule_site *site);
void schedule_stall(struct schedule_site *site);

#define SCHEDULE_OPERATIONS(suffix, type)                                                                              \
	static inline type schedule_load_##suffix(struct schedule_site *site, const type *word)                        \
	{                                                                                                              \
		return (type)schedule_load(site, word, sizeof *word);                                                  \
	}                                                                                                              \
	static inline void schedule_store_##suffix(struct schedule_site *site, type *word, type value)                 \
	{                                                                                                              \
		schedule_store(site, word, sizeof *word, value);                                                       \
	}                                                                                                              \
	static inline bool schedule_cas_##suffix(struct schedule_site *site, type *word, type *expected, type desired) \
	{                                                                                                              \
		uint64_t found = *expected;                                                                            \
		bool swapped = schedule_cas(site, word, sizeof *word, &found, desired);                                \
		*expected = (type)found;                                                                               \
		return swapped;                                                                                        \
	}                                                                                                              \
	static inline type schedule_add_##suffix(struct schedule_site *site, type *word, type value)                   \
	{                                                                                                              \
		return (type)schedule_add(site, word, sizeof *word, value);                                            \
	}

SCHEDULE_OPERATIONS(u32, uint32_t)
SCHEDULE_OPERATIONS(u64, uint64_t)
#undef SCHEDULE_OPERATIONS

#define ps_load_relaxed_u32(word) schedule_load_u32(SCHEDULE_SITE("load", #word), word)
#define ps_load_acquire_u32(word) schedule_load_u32(SCHEDULE_SITE("load", #word), word)
#define ps_store_relaxed_u32(word, value) schedule_store_u32(SCHEDULE_SITE("store", #word), word, value)
#define ps_store_release_u32(word, value) schedule_store_u32(SCHEDULE_SITE("store", #word), word, value)
#define ps_cas_u32(word, expected, desired) schedule_cas_u32(SCHEDULE_SITE("cas", #word), word, expected, desired)
#define ps_add_u32(word, value) schedule_add_u32(SCHEDULE_SITE("add", #word), word, value)
#define ps_load_relaxed_u64(word) schedule_load_u64(SCHEDULE_SITE("load", #word), word)
#define ps_load_acquire_u64(word) schedule_load_u64(SCHEDULE_SITE("load", #word), word)
#define ps_store_relaxed_u64(word, value) schedule_store_u64(SCHEDULE_SITE("store", #word), word, value)
#define ps_store_release_u64(word, value) schedule_store_u64(SCHEDULE_SITE("store", #word), word, value)
#define ps_cas_u64(word, expected, desired) schedule_cas_u64(SCHEDULE_SITE("cas", #word), word, expected, desired)
#define ps_add_u64(word, value) schedule_add_u64(SCHEDULE_SITE("add", #word), word, value)
#define ps_fence_full() schedule_fence(SCHEDULE_SITE("fence", ""))
#define ps_stall() schedule_stall(SCHEDULE_SITE("stall", ""))
#define ps_stalls(count) ((void)(count), schedule_stall(SCHEDULE_SITE("stalls", "")))

static inline void ps_bump_u64(uint64_t *word, uint64_t value)
{
	*word += value;
}

/* ---- core/futex.h ---- */

#define PS_FUTEX_ANY UINT32_MAX

void schedule_futex_wait(struct schedule_site *site, const uint32_t *word, uint32_t expected, uint32_t bits, uint64_t deadline);
void schedule_futex_wake(struct schedule_site *site, const uint32_t *word, uint32_t count, uint32_t bits);

#define ps_futex_wait(word, expected, bits, deadline) \
	schedule_futex_wait(SCHEDULE_SITE("wait", #word), word, expected, bits, deadline)
#define ps_futex_wake(word, count, bits) schedule_futex_wake(SCHEDULE_SITE("wake", #word), word, count, bits)

#define ps_futex_wait_shared(word, expected, bits, deadline) ps_futex_wait(word, expected, bits, deadline)
#define ps_futex_wake_shared(word, count, bits) ps_futex_wake(word, count, bits)

/* ---- core/event.h ---- */

struct ps_event {
	int reader;
	uint32_t raised; /* whoever polls sleeps on it */
};

void schedule_raise(struct schedule_site *site, uint32_t *raised);
void schedule_drain(struct schedule_site *site, uint32_t *raised);

#define ps_event_open(event) ((event)->reader = 0, (event)->raised = 0, true)
#define ps_event_close_reader(event) ((void)((event)->reader = -1))
#define ps_event_close_raiser(event) ((void)((event)->raised = 0))
#define ps_event_raise(event) (schedule_raise(SCHEDULE_SITE("raise", #event), &(event)->raised), true)
#define ps_event_drain(event) schedule_drain(SCHEDULE_SITE("drain", #event), &(event)->raised)

/* ---- core/rcu.h, and what core/state.[ch] take from liburcu ---- */

void schedule_rcu_enter(struct schedule_site *site);
void schedule_rcu_leave(struct schedule_site *site);
void schedule_rcu_synchronize(struct schedule_site *site);

#define ps_rcu_enter() schedule_rcu_enter(SCHEDULE_SITE("enter", ""))
#define ps_rcu_leave(annotation) ((void)(annotation), schedule_rcu_leave(SCHEDULE_SITE("leave", "")))
#define ps_rcu_synchronize(annotation) ((void)(annotation), schedule_rcu_synchronize(SCHEDULE_SITE("grace", "")))
#define rcu_dereference(pointer) \
	((__typeof__(pointer))(uintptr_t)schedule_load(SCHEDULE_SITE("load", #pointer), &(pointer), sizeof(pointer)))
#define rcu_set_pointer(place, value) schedule_store(SCHEDULE_SITE("store", #place), place, sizeof *(place), (uintptr_t)(value))
#define urcu_bp_before_fork() ((void)0)
#define urcu_bp_after_fork_parent() ((void)0)
#define urcu_bp_after_fork_child() ((void)0)

/* ---- the C library ---- */

int schedule_mutex_init(pthread_mutex_t *mutex);
int schedule_mutex_lock(struct schedule_site *site, pthread_mutex_t *mutex);
int schedule_mutex_unlock(struct schedule_site *site, pthread_mutex_t *mutex);
int schedule_mutex_destroy(pthread_mutex_t *mutex);
int schedule_cond_wait(struct schedule_site *site, pthread_cond_t *condition, pthread_mutex_t *mutex,
                       const struct timespec *limit);
int schedule_cond_wake(struct schedule_site *site, pthread_cond_t *condition, uint32_t count);
int schedule_cond_destroy(pthread_cond_t *condition);
int schedule_create(pthread_t *thread, void *(*run)(void *), void *arg);
int schedule_pthread_join(struct schedule_site *site, pthread_t thread);
int schedule_sleep(struct schedule_site *site, const struct timespec *time);
int schedule_clock(struct timespec *now);

#define pthread_mutex_init(mutex, attributes) schedule_mutex_init(mutex)
#define pthread_mutex_destroy(mutex) schedule_mutex_destroy(mutex)
#define pthread_mutex_lock(mutex) schedule_mutex_lock(SCHEDULE_SITE("lock", #mutex), mutex)
#define pthread_mutex_unlock(mutex) schedule_mutex_unlock(SCHEDULE_SITE("unlock", #mutex), mutex)
#define pthread_cond_init(condition, attributes) ((void)(condition), (void)(attributes), 0)
#define pthread_cond_destroy(condition) schedule_cond_destroy(condition)
#define pthread_cond_wait(condition, mutex) schedule_cond_wait(SCHEDULE_SITE("cond_wait", #condition), condition, mutex, NULL)
#define pthread_cond_timedwait(condition, mutex, limit) \
	schedule_cond_wait(SCHEDULE_SITE("cond_wait", #condition), condition, mutex, limit)
#define pthread_cond_broadcast(condition) schedule_cond_wake(SCHEDULE_SITE("broadcast", #condition), condition, UINT32_MAX)
#define pthread_cond_signal(condition) schedule_cond_wake(SCHEDULE_SITE("signal", #condition), condition, 1)
#define pthread_create(thread, attributes, run, arg) ((void)(attributes), schedule_create(thread, run, arg))
#define pthread_join(thread, result) schedule_pthread_join(SCHEDULE_SITE("join", #thread), thread)
#define pthread_setname_np(thread, name) ((void)0)
#define nanosleep(time, left) schedule_sleep(SCHEDULE_SITE("sleep", ""), time)
#define sched_yield() schedule_stall(SCHEDULE_SITE("yield", ""))
#define clock_gettime(clock, now) schedule_clock(now)

/* ---- writer/sqlite/beside.h: one side file in memory, and its locks (beside.c) ---- */

#include "writer/sqlite/beside.h"

#define SCHEDULE_BESIDE_FD 1000000 /* none of the system's */

int schedule_open_beside(struct schedule_site *site, struct ps_beside *beside, const char *database);
void schedule_close_beside(struct schedule_site *site, struct ps_beside *beside);
bool schedule_is_current(const struct ps_beside *beside);
enum ps_beside_lock schedule_lock(struct schedule_site *site, struct ps_beside *beside, off_t byte, bool shared);
enum ps_beside_lock schedule_look(struct schedule_site *site, const struct ps_beside *beside, off_t byte);
bool schedule_unlock(struct schedule_site *site, struct ps_beside *beside, off_t byte);
void *schedule_page(void);

#define ps_beside_open(beside, database) schedule_open_beside(SCHEDULE_SITE("open", #beside), beside, database)
#define ps_beside_reopen(beside) schedule_open_beside(SCHEDULE_SITE("reopen", #beside), beside, NULL)
#define ps_beside_close(beside) schedule_close_beside(SCHEDULE_SITE("close", #beside), beside)
#define ps_beside_is_current(beside) schedule_is_current(beside)
#define ps_beside_lock(beside, byte) schedule_lock(SCHEDULE_SITE("lock", #byte), beside, byte, false)
#define ps_beside_share(beside, byte) schedule_lock(SCHEDULE_SITE("share", #byte), beside, byte, true)
#define ps_beside_unlock(beside, byte) schedule_unlock(SCHEDULE_SITE("unlock", #byte), beside, byte)
#define ps_beside_would_lock(beside, byte) schedule_look(SCHEDULE_SITE("look", #byte), beside, byte)
#define ps_beside_is_locked(beside, byte) (schedule_look(SCHEDULE_SITE("look", #byte), beside, byte) == PS_BESIDE_BUSY)
#define mmap(address, bytes, protection, flags, fd, offset) \
	((fd) == SCHEDULE_BESIDE_FD ? schedule_page() : (mmap)(address, bytes, protection, flags, fd, offset))
#define munmap(address, bytes) ((void)(address))
#define madvise(address, bytes, advice) ((void)(address))
#define fstat(fd, info) \
	((fd) == SCHEDULE_BESIDE_FD ? (*(info) = (struct stat){ .st_size = PS_BESIDE_PAGE_BYTES }, 0) : (fstat)(fd, info))

/* What is large (an engine, its ring) is kept until the schedule's end, and an operation on a word of it is a use after free. */
void schedule_free(void *memory);

#define free(memory) schedule_free(memory)

/* The three headers bring these. */
#include "core/clock.h"
#include "core/thread.h"

static inline bool ps_rcu_is_registered(void)
{
	return ps_thread.rcu_registered;
}

static inline void ps_rcu_note_registered(void)
{
	ps_thread.rcu_registered = true;
}

#endif
