/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/schedule/inside.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/outcome.h"
#include "tests/random.h"

#define STACK_BYTES (256u << 10)
#define GUARD_BYTES 4096
#define STEPS_MAX 200000 /* a schedule that takes longer never ends */
#define SPURIOUS_MAX 2
#define CHANGES_MAX 4
#define CHANCE_OF_TIME 64 /* one point in so many, with somebody waiting for a deadline, the clock jumps */
#define CHANCE_OF_STALL 48
#define TURN_MAX 2000 /* points that one thread passes before all others that may run get a turn */

struct thread threads[THREADS];
unsigned thread_count;
struct thread *self;
static struct coroutine explorer;

static uint64_t random_state;
static uint64_t step, steps_before, turn_began, sleeps;
uint64_t now_nsec;
bool active, store_order;
static bool tracing, pct;
static unsigned spurious, switch_chance, flush_chance, stall_chance;
static uint64_t changes[CHANGES_MAX];
static unsigned change_count;
static int lowest;
static enum schedule_verdict verdict;
static char message[512];

/* ---- chance ---- */

unsigned schedule_random(unsigned bound)
{
	return (unsigned)((random_next(&random_state) >> 32) * bound >> 32);
}

static bool one_in(unsigned chance)
{
	return chance != 0 && schedule_random(chance) == 0;
}

/* ---- the end of a schedule ---- */

static void say(enum schedule_verdict what, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(enum schedule_verdict what, const char *format, ...)
{
	va_list arguments;

	verdict = what;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
}

/* To the explorer, for good: the coroutines are left where they stand. */
static void __attribute__((noreturn)) abandon(void)
{
	coroutine_switch(&self->coroutine, &explorer);
	abort();
}

void schedule_lost(const char *file, int line, const char *condition, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	char more[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(more, sizeof more, format, arguments);
	va_end(arguments);
	say(SCHEDULE_LOST, "%s:%d: %s does not hold.%s", name != NULL ? name + 1 : file, line, condition, more);
	abandon();
}

static void __attribute__((noreturn)) hung(void)
{
	static const char *const names[] = {
		"nothing", "a futex", "a condition", "a mutex", "a thread", "readers", "time",
	};
	size_t used = 0;
	unsigned i;

	say(SCHEDULE_HUNG, "%s", step > STEPS_MAX ? "it does not end:" : "nobody can go on:");
	used = strlen(message);
	for (i = 0; i < thread_count && used < sizeof message - 1; i++) {
		if (!threads[i].done)
			used += (size_t)snprintf(message + used, sizeof message - used, " %s waits for %s;", threads[i].name,
			                         names[threads[i].waiting]);
	}
	abandon();
}

/* ---- the trace ---- */

void trace_line(const struct thread *thread, const struct schedule_site *site, const char *format, ...)
{
	const char *file = site == NULL ? "" : strrchr(site->file, '/') ? strrchr(site->file, '/') + 1 : site->file;
	va_list arguments;

	if (!tracing)
		return;
	printf("%6llu %-10s ", (unsigned long long)step, thread->name);
	if (site != NULL)
		printf("%s:%d %s: %s %s%s", file, site->line, site->function, site->kind, site->what,
		       site->what[0] != '\0' ? " " : "");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	puts(site != NULL && site->disabled ? "  [left out]" : "");
}

/* ---- who is next ---- */

void make_ready(struct thread *thread)
{
	thread->waiting = FOR_NOTHING;
	thread->yielded = false;
}

static bool may_run(const struct thread *thread)
{
	return !thread->done && thread->waiting == FOR_NOTHING;
}

/* The thread whose deadline comes first, or NULL. */
static struct thread *next_deadline(void)
{
	struct thread *first = NULL;
	unsigned i;

	for (i = 0; i < thread_count; i++) {
		struct thread *thread = &threads[i];

		if (!thread->done && thread->waiting != FOR_NOTHING && thread->deadline != PS_NEVER &&
		    (first == NULL || thread->deadline < first->deadline))
			first = thread;
	}
	return first;
}

static void expire(struct thread *thread)
{
	if (now_nsec < thread->deadline)
		now_nsec = thread->deadline;
	trace_line(thread, NULL, "(the time has come)");
	make_ready(thread);
	thread->expired = true;
}

static void wake_without_cause(void)
{
	unsigned first = schedule_random(thread_count), i;

	for (i = 0; i < thread_count; i++) {
		struct thread *thread = &threads[(first + i) % thread_count];

		if (thread->waiting == FOR_FUTEX || thread->waiting == FOR_CONDITION) {
			spurious--;
			trace_line(thread, NULL, "(wakes without a cause)");
			make_ready(thread);
			return;
		}
	}
}

static struct thread *some_buffer(void)
{
	unsigned first = schedule_random(thread_count), i;

	for (i = 0; i < thread_count; i++) {
		if (threads[(first + i) % thread_count].buffered > 0)
			return &threads[(first + i) % thread_count];
	}
	return NULL;
}

/* Of those that may run: not one that stands still or has yielded, unless there is no other. */
static unsigned candidates(struct thread **list)
{
	unsigned count = 0, level, i;

	for (level = 0; level < 3 && count == 0; level++) {
		for (i = 0; i < thread_count; i++) {
			struct thread *thread = &threads[i];

			if (may_run(thread) && (level > 0 || thread->stalled == 0) && (level > 1 || !thread->yielded))
				list[count++] = thread;
		}
	}
	return count;
}

static struct thread *walk(void)
{
	struct thread *list[THREADS], *buffer;
	unsigned count, i;

	if (store_order && one_in(flush_chance) && (buffer = some_buffer()) != NULL)
		flush_one(buffer);
	for (i = 0; i < thread_count; i++)
		threads[i].stalled -= threads[i].stalled > 0;
	if (one_in(stall_chance))
		self->stalled = schedule_random(300);
	count = candidates(list);
	if (count == 0)
		return NULL;
	if (!one_in(switch_chance)) {
		for (i = 0; i < count; i++) {
			if (list[i] == self)
				return self;
		}
	}
	return list[schedule_random(count)];
}

void fall_behind(void)
{
	self->priority = --lowest;
}

static struct thread *by_priority(void)
{
	unsigned i;

	for (i = 0; i < change_count; i++) {
		if (changes[i] == step)
			fall_behind();
	}
	if (step - turn_began > TURN_MAX) {
		turn_began = step;
		fall_behind();
	}
	for (;;) {
		struct thread *best = NULL, *buffer = NULL;

		for (i = 0; i < thread_count; i++) {
			if (may_run(&threads[i]) && (best == NULL || threads[i].priority > best->priority))
				best = &threads[i];
			if (threads[i].buffered > 0 && (buffer == NULL || threads[i].buffer_priority > buffer->buffer_priority))
				buffer = &threads[i];
		}
		if (best == NULL || buffer == NULL || buffer->buffer_priority < best->priority)
			return best;
		flush_one(buffer);
	}
}

static struct thread *choose(void)
{
	struct thread *next, *timer;

	if (spurious > 0 && one_in(128))
		wake_without_cause();
	if (one_in(CHANCE_OF_TIME) && (timer = next_deadline()) != NULL)
		expire(timer);
	for (;;) {
		next = pct ? by_priority() : walk();
		if (next != NULL)
			return next;
		/* Those in a buffer leave in the end, and may end somebody's wait for readers. */
		if ((next = some_buffer()) != NULL)
			flush_one(next);
		else if ((timer = next_deadline()) != NULL)
			expire(timer);
		else
			return NULL;
	}
}

static void switch_to(struct thread *next)
{
	struct thread *before = self;
	unsigned i;

	for (i = 0; i < thread_count; i++)
		threads[i].yielded = false;
	if (next == before)
		return;
	turn_began = step;
	/* The engine's thread-local struct goes with its thread. */
	before->local = ps_thread;
	ps_thread = next->local;
	self = next;
	coroutine_switch(&before->coroutine, &next->coroutine);
}

static void go_on(void)
{
	struct thread *next = choose();

	if (next == NULL)
		hung();
	if (next != self)
		switch_to(next);
}

void point(void)
{
	if (!active)
		return;
	if (++step > STEPS_MAX)
		hung();
	go_on();
	if (self->life > 0 && --self->life == 0) {
		flush_all(self);
		trace_line(self, NULL, "is killed");
		longjmp(*self->death, 1);
	}
}

void wait_for(enum waiting what, const void *address, uint64_t deadline)
{
	flush_all(self);
	self->waiting = what;
	self->address = address;
	self->deadline = deadline;
	self->expired = false;
	self->since = ++sleeps;
	go_on();
	self->deadline = PS_NEVER;
}

unsigned wake(enum waiting what, const void *address, uint32_t bits, uint32_t count)
{
	unsigned woken = 0, i;

	while (woken < count) {
		struct thread *first = NULL;

		for (i = 0; i < thread_count; i++) {
			struct thread *thread = &threads[i];

			if (!thread->done && thread->waiting == what && thread->address == address &&
			    (thread->bits & bits) != 0 && (first == NULL || thread->since < first->since))
				first = thread;
		}
		if (first == NULL)
			break;
		make_ready(first);
		woken++;
	}
	return woken;
}

/* ---- threads ---- */

void schedule_point_at(struct schedule_site *site)
{
	point();
	trace_line(self, site, "%s", "");
}

/* What a coroutine does for ever: a thread in each schedule. */
static void thread_main(void *arg)
{
	struct thread *thread = arg;

	for (;;) {
		struct thread *next;

		if (thread->run_pthread != NULL)
			thread->run_pthread(thread->arg);
		else
			thread->run(thread->arg);
		ps_thread_clear(); /* as the destructor in core/thread.c does */
		schedule_check(thread->depth == 0, "a thread ends inside a read section");
		flush_all(thread);
		thread->done = true;
		trace_line(thread, NULL, "ends");
		wake(FOR_THREAD, thread, 1, UINT32_MAX);
		if (thread == &threads[0]) {
			/* The first one has joined all others. */
			coroutine_switch(&thread->coroutine, &explorer);
			continue;
		}
		next = choose();
		if (next == NULL)
			hung();
		switch_to(next);
	}
}

static unsigned add_thread(const char *name, void (*run)(void *), void *(*run_pthread)(void *), void *arg)
{
	struct thread *thread;
	struct coroutine coroutine;
	unsigned place = 0;

	while (place < thread_count && !threads[place].joined)
		place++;
	if (place == THREADS) {
		fprintf(stderr, "more than %d threads\n", THREADS);
		abort();
	}
	thread = &threads[place];
	coroutine = thread->coroutine;
	memset(thread, 0, offsetof(struct thread, buffer));
	thread->coroutine = coroutine;
	thread->buffered = 0;
	thread->local = (struct ps_thread){ 0 };
	thread->name = name;
	thread->run = run;
	thread->run_pthread = run_pthread;
	thread->arg = arg;
	thread->deadline = PS_NEVER;
	thread->priority = (int)schedule_random(1 << 20);
	thread->buffer_priority = (int)schedule_random(1 << 20);
	thread_count += place == thread_count;
	return place;
}

unsigned schedule_spawn(const char *name, void (*run)(void *), void *arg)
{
	return add_thread(name, run, NULL, arg);
}

bool schedule_live(void (*run)(void *), void *arg, unsigned points)
{
	jmp_buf death;

	if (setjmp(death) != 0)
		return false;
	self->death = &death;
	self->life = points;
	run(arg);
	self->life = 0;
	return true;
}

void join(struct thread *thread)
{
	self->bits = 1;
	while (!thread->done)
		wait_for(FOR_THREAD, thread, PS_NEVER);
}

void schedule_join(unsigned thread)
{
	point();
	join(&threads[thread]);
}

unsigned schedule_additions(unsigned thread)
{
	return threads[thread].added;
}

int schedule_create(pthread_t *thread, void *(*run)(void *), void *arg)
{
	point();
	flush_all(self);
	*thread = add_thread("writer", NULL, run, arg);
	return 0;
}

int schedule_pthread_join(struct schedule_site *site, pthread_t thread)
{
	point();
	join(&threads[thread]);
	threads[thread].joined = true;
	trace_line(self, site, "%s", threads[thread].name);
	return 0;
}

/* ---- a schedule ---- */

static const struct schedule_scenario *current;

static void first_thread(void *arg)
{
	(void)arg;
	current->run();
}

static void make_coroutines(void)
{
	static unsigned char(*stacks)[STACK_BYTES];
	unsigned i;

	if (stacks == NULL) {
		stacks = mmap(NULL, THREADS * sizeof *stacks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (stacks == MAP_FAILED) {
			perror("mmap");
			abort();
		}
		for (i = 0; i < THREADS; i++)
			mprotect(stacks[i], GUARD_BYTES, PROT_NONE);
	}
	for (i = 0; i < THREADS; i++)
		coroutine_make(&threads[i].coroutine, stacks[i] + GUARD_BYTES, STACK_BYTES - GUARD_BYTES, thread_main,
		               &threads[i]);
}

static void draw_strategy(void)
{
	static const unsigned switches[] = { 1, 2, 8, 32 }, flushes[] = { 2, 8, 64 };
	uint64_t horizon;
	unsigned i;

	store_order = schedule_random(2) == 0;
	spurious = schedule_random(2) == 0 ? SPURIOUS_MAX : 0;
	pct = schedule_random(2) == 0;
	switch_chance = switches[schedule_random(4)];
	flush_chance = flushes[schedule_random(3)];
	stall_chance = schedule_random(2) == 0 ? CHANCE_OF_STALL : 0;
	/* How long the schedule will be is not known: any length up to a few thousand steps. */
	horizon = UINT64_C(16) << schedule_random(9);
	change_count = schedule_random(CHANGES_MAX + 1);
	for (i = 0; i < change_count; i++)
		changes[i] = 1 + schedule_random((unsigned)horizon);
}

enum schedule_verdict schedule_run(const struct schedule_scenario *scenario, uint64_t seed, bool trace)
{
	static bool made;

	if (!made || verdict != SCHEDULE_FINE)
		make_coroutines();
	made = true;
	current = scenario;
	random_state = seed;
	tracing = trace;
	verdict = SCHEDULE_FINE;
	message[0] = '\0';
	step = turn_began = sleeps = 0;
	lowest = 0;
	thread_count = 0;
	now_nsec = 1000 * PS_NSEC_PER_SEC;
	draw_strategy();
	if (tracing)
		printf("seed 0x%llx: %s, %s, up to %u wakes without a cause\n", (unsigned long long)seed,
		       pct ? "priorities" : "random walk", store_order ? "total store order" : "sequentially consistent",
		       spurious);
	self = &threads[add_thread("main", first_thread, NULL, NULL)];
	ps_thread = (struct ps_thread){ 0 };
	active = true;
	coroutine_switch(&explorer, &self->coroutine);
	active = false;
	free_kept();
	steps_before += step;
	return verdict;
}

const char *schedule_message(void)
{
	return message;
}

uint64_t schedule_steps(void)
{
	return steps_before;
}

/* ---- controls ---- */

extern struct schedule_site *const __start_schedule_sites[];
extern struct schedule_site *const __stop_schedule_sites[];

static bool names(const struct schedule_control *control, const struct schedule_site *site)
{
	return strcmp(site->function, control->function) == 0 && strcmp(site->kind, control->kind) == 0 &&
	       strcmp(site->what, control->what) == 0;
}

/* How many sites of the control there are at or before this one; a header's occur once per file that includes it. */
static unsigned place_of(const struct schedule_control *control, const struct schedule_site *site)
{
	struct schedule_site *const *other;
	int lines[32];
	unsigned count = 0, i;

	for (other = __start_schedule_sites; other < __stop_schedule_sites; other++) {
		if (!names(control, *other) || (*other)->line > site->line)
			continue;
		for (i = 0; i < count && lines[i] != (*other)->line; i++)
			continue;
		if (i == count && count < 32)
			lines[count++] = (*other)->line;
	}
	return count;
}

bool schedule_break(const struct schedule_control *control)
{
	struct schedule_site *const *site;
	bool found = false;

	for (site = __start_schedule_sites; site < __stop_schedule_sites; site++) {
		(*site)->disabled = control != NULL && names(control, *site) &&
		                    (control->nth == 0 || place_of(control, *site) == control->nth);
		found = found || (*site)->disabled;
	}
	return found || control == NULL;
}
