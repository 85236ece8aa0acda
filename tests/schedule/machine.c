/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations of points.h: memory with its store buffers, the futex, read sections and grace periods, mutexes,
 * conditions and the clock.
 */
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "tests/schedule/inside.h"

#define LOOK_NSEC 200

#define KEPT 32
#define KEPT_LEAST 600 /* bytes */

static uint64_t grace_periods;

static struct kept {
	char *memory;
	size_t bytes;
} kept[KEPT];
static unsigned kept_count;

/* ---- memory ---- */

void schedule_free(void *memory)
{
	size_t bytes = memory == NULL ? 0 : malloc_usable_size(memory);

	if (!active || bytes < KEPT_LEAST || kept_count == KEPT) {
		(free)(memory);
		return;
	}
	kept[kept_count++] = (struct kept){ memory, bytes };
}

void free_kept(void)
{
	while (kept_count > 0)
		(free)(kept[--kept_count].memory);
}

static void expect_alive(const struct schedule_site *site, const void *word)
{
	unsigned i;

	for (i = 0; i < kept_count; i++)
		schedule_check((const char *)word < kept[i].memory || (const char *)word >= kept[i].memory + kept[i].bytes,
		               "use after free: %s(%s) in %s, %s:%d", site->kind, site->what, site->function, site->file,
		               site->line);
}

static uint64_t read_word(const void *word, unsigned bytes)
{
	return bytes == 8 ? *(const volatile uint64_t *)word : *(const volatile uint32_t *)word;
}

static void write_word(void *word, unsigned bytes, uint64_t value)
{
	if (bytes == 8)
		*(volatile uint64_t *)word = value;
	else
		*(volatile uint32_t *)word = (uint32_t)value;
}

void flush_one(struct thread *thread)
{
	struct pending oldest = thread->buffer[0];
	unsigned i;

	thread->buffered--;
	memmove(&thread->buffer[0], &thread->buffer[1], thread->buffered * sizeof oldest);
	write_word(oldest.word, oldest.bytes, oldest.value);
	if (oldest.word != (void *)&thread->section)
		return;
	for (i = 0; i < thread_count; i++) {
		if (threads[i].waiting == FOR_GRACE)
			make_ready(&threads[i]);
	}
}

void flush_all(struct thread *thread)
{
	while (thread->buffered > 0)
		flush_one(thread);
}

static void store(void *word, unsigned bytes, uint64_t value)
{
	if (self->buffered == BUFFERED)
		flush_one(self);
	self->buffer[self->buffered++] = (struct pending){ word, bytes, value };
	if (!store_order || !active)
		flush_all(self);
}

/* ---- core/atomic.h ---- */

uint64_t schedule_load(struct schedule_site *site, const void *word, unsigned bytes)
{
	uint64_t value;
	unsigned i;

	point();
	expect_alive(site, word);
	value = read_word(word, bytes);
	for (i = 0; i < self->buffered; i++) {
		if (self->buffer[i].word == word)
			value = self->buffer[i].value;
	}
	if (site->disabled)
		value = 0;
	trace_line(self, site, "-> %llu", (unsigned long long)value);
	return value;
}

void schedule_store(struct schedule_site *site, void *word, unsigned bytes, uint64_t value)
{
	point();
	expect_alive(site, word);
	if (!site->disabled)
		store(word, bytes, value);
	trace_line(self, site, "= %llu%s", (unsigned long long)value, self->buffered > 0 ? " (buffered)" : "");
}

bool schedule_cas(struct schedule_site *site, void *word, unsigned bytes, uint64_t *expected, uint64_t desired)
{
	uint64_t found;

	point();
	expect_alive(site, word);
	flush_all(self);
	found = read_word(word, bytes);
	if (found == *expected || site->disabled) {
		write_word(word, bytes, desired);
		trace_line(self, site, "%llu = %llu", (unsigned long long)found, (unsigned long long)desired);
		return true;
	}
	trace_line(self, site, "fails: %llu, not %llu", (unsigned long long)found, (unsigned long long)*expected);
	*expected = found;
	return false;
}

uint64_t schedule_add(struct schedule_site *site, void *word, unsigned bytes, uint64_t value)
{
	uint64_t before;

	point();
	expect_alive(site, word);
	flush_all(self);
	self->added++;
	before = read_word(word, bytes);
	if (!site->disabled)
		write_word(word, bytes, before + value);
	trace_line(self, site, "%llu + %lld", (unsigned long long)before,
	           (long long)(bytes == 8 ? (int64_t)value : (int32_t)value));
	return before;
}

void schedule_fence(struct schedule_site *site)
{
	point();
	if (!site->disabled)
		flush_all(self);
	trace_line(self, site, "%s", "");
}

void schedule_stall(struct schedule_site *site)
{
	trace_line(self, site, "%s", "");
	self->yielded = true;
	fall_behind();
	point();
}

/* ---- core/futex.h ---- */

void schedule_futex_wait(struct schedule_site *site, const uint32_t *word, uint32_t expected, uint32_t bits, uint64_t deadline)
{
	point();
	flush_all(self);
	if (*(const volatile uint32_t *)word != expected) {
		trace_line(self, site, "returns: %u, not %u", *word, expected);
		return;
	}
	trace_line(self, site, "sleeps at %u", expected);
	self->bits = bits;
	wait_for(FOR_FUTEX, word, deadline);
}

void schedule_futex_wake(struct schedule_site *site, const uint32_t *word, uint32_t count, uint32_t bits)
{
	unsigned woken = 0;

	point();
	flush_all(self);
	if (!site->disabled)
		woken = wake(FOR_FUTEX, word, bits, count);
	trace_line(self, site, "wakes %u", woken);
}

/* ---- core/event.h ---- */

void schedule_raise(struct schedule_site *site, uint32_t *raised)
{
	point();
	flush_all(self);
	expect_alive(site, raised);
	if (!site->disabled) {
		++*raised;
		wake(FOR_FUTEX, raised, PS_FUTEX_ANY, UINT32_MAX);
	}
	trace_line(self, site, "%u", *raised);
}

void schedule_drain(struct schedule_site *site, uint32_t *raised)
{
	point();
	flush_all(self);
	expect_alive(site, raised);
	trace_line(self, site, "%u", *raised);
	if (!site->disabled)
		*raised = 0;
}

/* ---- core/rcu.h ---- */

void schedule_rcu_enter(struct schedule_site *site)
{
	point();
	if (self->depth++ == 0)
		store(&self->section, sizeof self->section, grace_periods + 1);
	trace_line(self, site, "%s", "");
}

void schedule_rcu_leave(struct schedule_site *site)
{
	point();
	if (--self->depth == 0)
		store(&self->section, sizeof self->section, 0);
	trace_line(self, site, "%s", "");
}

static void flush_everybody(void)
{
	unsigned i;

	for (i = 0; i < thread_count; i++)
		flush_all(&threads[i]);
}

static bool in_older_section(uint64_t period)
{
	unsigned i;

	for (i = 0; i < thread_count; i++) {
		if (!threads[i].done && threads[i].section != 0 && threads[i].section <= period)
			return true;
	}
	return false;
}

void schedule_rcu_synchronize(struct schedule_site *site)
{
	uint64_t period;

	point();
	schedule_check(self->depth == 0, "a grace period inside a read section");
	trace_line(self, site, "begins");
	flush_all(self);
	if (!site->disabled) {
		flush_everybody();
		period = ++grace_periods;
		while (in_older_section(period))
			wait_for(FOR_GRACE, NULL, PS_NEVER);
		flush_everybody();
	}
	trace_line(self, site, "ends");
}

/* ---- the C library ---- */

struct mutex {
	const struct thread *owner;
};

_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "kept in the mutex's own memory");

int schedule_mutex_init(pthread_mutex_t *mutex)
{
	((struct mutex *)(void *)mutex)->owner = NULL;
	return 0;
}

int schedule_mutex_destroy(pthread_mutex_t *mutex)
{
	schedule_check(((struct mutex *)(void *)mutex)->owner == NULL, "a locked mutex is destroyed");
	return 0;
}

static void take(struct mutex *mutex)
{
	schedule_check(mutex->owner != self, "a mutex is locked twice by one thread");
	self->bits = 1;
	while (mutex->owner != NULL)
		wait_for(FOR_MUTEX, mutex, PS_NEVER);
	mutex->owner = self;
}

static void let_go(struct mutex *mutex)
{
	schedule_check(mutex->owner == self, "a mutex is unlocked by a thread that does not hold it");
	flush_all(self);
	mutex->owner = NULL;
	wake(FOR_MUTEX, mutex, 1, UINT32_MAX);
}

int schedule_mutex_lock(struct schedule_site *site, pthread_mutex_t *mutex)
{
	point();
	expect_alive(site, mutex);
	flush_all(self);
	take((struct mutex *)(void *)mutex);
	trace_line(self, site, "%s", "");
	return 0;
}

int schedule_mutex_unlock(struct schedule_site *site, pthread_mutex_t *mutex)
{
	point();
	expect_alive(site, mutex);
	let_go((struct mutex *)(void *)mutex);
	trace_line(self, site, "%s", "");
	return 0;
}

int schedule_cond_destroy(pthread_cond_t *condition)
{
	unsigned i;

	for (i = 0; i < thread_count; i++)
		schedule_check(threads[i].done || threads[i].waiting != FOR_CONDITION || threads[i].address != condition,
		               "a condition is destroyed that somebody waits for");
	return 0;
}

int schedule_cond_wait(struct schedule_site *site, pthread_cond_t *condition, pthread_mutex_t *mutex,
                       const struct timespec *limit)
{
	uint64_t deadline = PS_NEVER;
	bool expired;

	if (limit != NULL)
		deadline = (uint64_t)limit->tv_sec * PS_NSEC_PER_SEC + (uint64_t)limit->tv_nsec;
	point();
	trace_line(self, site, "%s", "");
	let_go((struct mutex *)(void *)mutex);
	self->bits = 1;
	wait_for(FOR_CONDITION, condition, deadline);
	expired = self->expired;
	take((struct mutex *)(void *)mutex);
	return expired ? ETIMEDOUT : 0;
}

int schedule_cond_wake(struct schedule_site *site, pthread_cond_t *condition, uint32_t count)
{
	unsigned woken = 0;

	point();
	expect_alive(site, condition);
	flush_all(self);
	if (!site->disabled)
		woken = wake(FOR_CONDITION, condition, 1, count);
	trace_line(self, site, "wakes %u", woken);
	return 0;
}

int schedule_sleep(struct schedule_site *site, const struct timespec *time)
{
	point();
	trace_line(self, site, "%s", "");
	fall_behind();
	wait_for(FOR_TIME, NULL, now_nsec + (uint64_t)time->tv_sec * PS_NSEC_PER_SEC + (uint64_t)time->tv_nsec);
	return 0;
}

int schedule_clock(struct timespec *now)
{
	now_nsec += LOOK_NSEC;
	*now = ps_timespec(now_nsec);
	return 0;
}
