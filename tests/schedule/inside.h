/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inside.h - what scheduler.c (who runs) and machine.c (what an operation does) share
 */
#ifndef PENSTOCK_SCHEDULE_INSIDE_H
#define PENSTOCK_SCHEDULE_INSIDE_H

#include <setjmp.h>

#include "tests/schedule/coroutine.h"
#include "tests/schedule/scheduler.h"

#define THREADS 16
#define BUFFERED 16 /* stores that a buffer holds, at most */

enum waiting { FOR_NOTHING, FOR_FUTEX, FOR_CONDITION, FOR_MUTEX, FOR_THREAD, FOR_GRACE, FOR_TIME };

struct pending {
	void *word;
	unsigned bytes;
	uint64_t value;
};

struct thread {
	struct coroutine coroutine;
	const char *name;
	void (*run)(void *);
	void *(*run_pthread)(void *);
	void *arg;
	bool done, joined; /* joined: another may have its place */
	enum waiting waiting;
	const void *address; /* what it waits on */
	uint32_t bits;
	uint64_t deadline;
	bool expired;     /* its deadline ended the last wait */
	uint64_t since;   /* the order of sleepers */
	bool yielded;     /* runs again when another has */
	unsigned stalled; /* points that it lets pass */
	int priority, buffer_priority;
	uint64_t section; /* of the read section it is in, 0: none; stored through the buffer */
	unsigned depth;   /* of nested sections */
	unsigned added;   /* additions to a word */
	unsigned life;    /* points to the death of what runs there, 0: none */
	jmp_buf *death;
	struct pending buffer[BUFFERED];
	unsigned buffered;
	struct ps_thread local; /* the engine's own, while another runs */
};

extern struct thread threads[THREADS];
extern unsigned thread_count;
extern struct thread *self;
extern bool active; /* a schedule runs; outside of one an operation is just carried out */
extern bool store_order;
extern uint64_t now_nsec;

/* ---- scheduler.c ---- */

/* Before each operation: anybody may run now. */
void point(void);
/* Sleeps until woken; everything that the thread did is out then. */
void wait_for(enum waiting what, const void *address, uint64_t deadline);
/* Up to `count` of those that wait for it, the longest first; returns how many. */
unsigned wake(enum waiting what, const void *address, uint32_t bits, uint32_t count);
void make_ready(struct thread *thread);
/* With priorities: behind all others. */
void fall_behind(void);
void join(struct thread *thread);
void trace_line(const struct thread *thread, const struct schedule_site *site, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- machine.c ---- */

/* At the end of a schedule: frees what was kept. */
void free_kept(void);
/* The oldest store leaves the buffer; all of them do. */
void flush_one(struct thread *thread);
void flush_all(struct thread *thread);

#endif
