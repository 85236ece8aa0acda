/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scheduler.h - runs threads of the engine's code one at a time, in an order that a seed decides
 *
 * Threads are coroutines of one system thread. Before each operation of points.h the running one asks who is next;
 * only then is the operation carried out. So a schedule is a sequence of whole operations, the same again for the
 * same seed. What waits (futex, mutex, condition, join, sleep, grace period) waits here, and when nobody can go on
 * the schedule is hung.
 *
 * A seed decides everything:
 *   - the strategy: a random walk, more or less reluctant to change threads, that now and then leaves a thread
 *     standing for hundreds of steps (a preempted producer); or PCT (Burckhardt et al., 2010): the thread of the
 *     highest random priority runs, and at a few random steps the one that runs falls behind all others (as does one
 *     that has run for thousands of steps, so that waiting in a loop for another thread ends);
 *   - the memory: sequentially consistent; or total store order, as on x86-64: a store waits in its thread's own
 *     buffer, where only that thread sees it, until it leaves (which is a choice as well), or until the thread's next
 *     fence, read-modify-write or call into the kernel. A grace period empties all buffers, as membarrier does;
 *   - the clock: it stands still but for 200 ns at each look, and jumps to the next deadline when nobody can go on,
 *     or now and then by chance (a thread that was away for long);
 *   - up to two wake-ups without a cause, in every other schedule (in the others, since they hide lost ones, none);
 *   - what a scenario asks for with schedule_random.
 *
 * Memory that was freed is not used again within the schedule, when it is large; an operation on a word of it is found (points.h).
 *
 * Not here: orders weaker than x86-64's; a thread between two plain reads or writes, since only points are
 * interleaved (and a plain read does not look into the buffer: the engine makes none of a word that it stores so, but
 * after a grace period). A futex wakes the longest sleeper first, a condition and a mutex all who may go on.
 *
 * A control disables one site, so that the code is broken there: a store, a fence or a wake is left out, a load finds
 * 0, a compare-and-swap swaps whatever it finds, a grace period ends at once. Then some schedule must fail.
 */
#ifndef PENSTOCK_SCHEDULE_SCHEDULER_H
#define PENSTOCK_SCHEDULE_SCHEDULER_H

#include "tests/schedule/points.h"

struct schedule_scenario {
	const char *name;
	const char *what;  /* for --list */
	void (*run)(void); /* the first thread's; spawns and joins the others */
};

extern const struct schedule_scenario schedule_parts[], schedule_engine[]; /* each ends with an empty one */

enum schedule_verdict { SCHEDULE_FINE, SCHEDULE_HUNG, SCHEDULE_LOST };

struct schedule_control {
	const char *name;
	const char *scenario; /* in which it must be caught */
	const char *function, *kind,
		*what; /* the site; what: "" for a fence or grace period. Or a fault of core/fault.h, "fault", "" */
	unsigned nth;  /* of those in the order of the lines, from 1; 0: every */
};

/* Runs one schedule; the message says what went wrong. With trace each step is printed. */
enum schedule_verdict schedule_run(const struct schedule_scenario *scenario, uint64_t seed, bool trace);
const char *schedule_message(void);
uint64_t schedule_steps(void); /* of all schedules */
/* Disables the control's site, or none (NULL). False: there is no such site. */
bool schedule_break(const struct schedule_control *control);

/* ---- for scenarios, on a thread of the schedule ---- */

/* A number below `bound`. */
unsigned schedule_random(unsigned bound);
/* A thread; returns its number. The name is for the trace. */
unsigned schedule_spawn(const char *name, void (*run)(void *), void *arg);
void schedule_join(unsigned thread);
/*
 * What another process does: runs it on this thread until it is over; or, with points, until it has passed so many of them, and is killed
 * there. True: it is over. What a killed one has in memory stays as it stands, and its locks are the scenario's to take away.
 */
bool schedule_live(void (*run)(void *), void *arg, unsigned points);
/* How often the thread has added to a word. */
unsigned schedule_additions(unsigned thread);
/* A point by itself: anything may happen here. */
#define schedule_point(what) schedule_point_at(SCHEDULE_SITE("point", what))
void schedule_point_at(struct schedule_site *site);
/* Ends the schedule as LOST unless the condition holds. */
#define schedule_check(condition, ...) ((condition) ? (void)0 : schedule_lost(__FILE__, __LINE__, #condition, " " __VA_ARGS__))
void schedule_lost(const char *file, int line, const char *condition, const char *format, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

#endif
