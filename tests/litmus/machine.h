/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - a weak memory, and every execution of a few threads on it
 *
 * The memory is that of C11 as RC11 has it, in the operational form of the promising semantics without promises (Kang and
 * others, 2017). A word is the list of its stores, in the order in which they were made. Each thread has a view: of each
 * word the oldest store that it may still read. A load chooses any store from there on, and moves the view. What makes one
 * thread's view another's: an acquiring load takes over the view that the releasing store left in the word; a full fence
 * takes over, and leaves, what all full fences before it have left.
 *
 *     relaxed load         any store in view                    relaxed store    leaves the view of the last fence
 *     acquire              ... and its view                     release          leaves the whole view
 *     read-modify-write    the last store, and its view goes on with the new one; what stands around it is the word's strength
 *
 * Plain accesses (litmus_reads, litmus_writes) are a race when the view does not order them: an error.
 *
 * The search is exhaustive: each order of the threads' operations, and each choice of a load, but for orders that differ
 * only in operations that do not touch each other (sleep sets: Godefroid, 1996). It is bounded in one way: a thread reads at
 * most STALE_READS stores that are not the last one in an execution. Each of the errors known takes two at most.
 *
 * What it does not show: loads that see a store which their own thread has not made yet (load buffering; a race of plain
 * accesses shows those that matter here), and a store that gets before an earlier one of another thread to the same word.
 *
 * Each operation has a site in the source. A search can weaken one: an acquiring or releasing operation to a relaxed one, a
 * full fence (also one around a read-modify-write) to one that acquires and releases, as lwsync, or to none.
 */
#ifndef PENSTOCK_LITMUS_MACHINE_H
#define PENSTOCK_LITMUS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum litmus_strength { LITMUS_RELAXED, LITMUS_ACQUIRE, LITMUS_RELEASE, LITMUS_BOTH, LITMUS_FULL };

struct litmus_site {
	const char *file;
	const char *function;
	const char *kind; /* load, store, cas, add, fence, wait, wake */
	const char *what; /* the operand as it is written */
	int line;
	enum litmus_strength written;
	enum litmus_strength strength; /* in this search */
	uint64_t visits;
};

/* Those of the executable: [begin, end). */
extern struct litmus_site *const __start_litmus_sites[];
extern struct litmus_site *const __stop_litmus_sites[];

/* ---- the operations, by their sites (points.h) ---- */

uint64_t litmus_load(struct litmus_site *site, const void *word, unsigned bytes);
void litmus_store(struct litmus_site *site, void *word, unsigned bytes, uint64_t value);
bool litmus_cas(struct litmus_site *site, void *word, unsigned bytes, uint64_t *expected, uint64_t desired);
uint64_t litmus_add(struct litmus_site *site, void *word, unsigned bytes, uint64_t value);
void litmus_fence(struct litmus_site *site);
void litmus_futex_wait(struct litmus_site *site, const uint32_t *word, uint32_t expected, uint32_t bits);
void litmus_futex_wake(struct litmus_site *site, const uint32_t *word, uint32_t count, uint32_t bits);

/* malloc and free of the sources under test: few and small things, each one plain object, whose use after its end is an error. */
void *litmus_malloc(size_t bytes);
/* The same, of what each part is a plain object of its own. */
void *litmus_malloc_parts(size_t bytes);
/* Of the calling thread, from 1. */
uint64_t litmus_thread_number(void);
void litmus_free(void *memory);

/* ---- what a case is made of ---- */

#define LITMUS_THREADS 4

struct litmus_case {
	const char *name;
	void (*begin)(void); /* makes the data anew, before each execution */
	void (*threads[LITMUS_THREADS])(void);
	void (*check)(void); /* when all have ended; may be NULL */
	void (*end)(void);   /* frees what begin made, whatever came of it */
};

/* Plain accesses of the calling thread to what the pointer stands for. */
void litmus_reads(const void *what);
void litmus_writes(const void *what);
/* Until another thread has stored something. What is in the memory is seen in the end: that is no bound on the search. */
void litmus_await(void);
/* How many things were freed. */
unsigned litmus_frees(void);
/* Ends the execution: it is an error. */
void litmus_check(bool holds, const char *what);

/* ---- the search ---- */

struct litmus_found {
	uint64_t executions;
	uint64_t cut;      /* pruned, since they only differ in what does not matter */
	bool exhausted;    /* every execution was searched, or an error was found */
	const char *error; /* NULL: none */
};

/* trace: prints the steps of the execution with the error. */
struct litmus_found litmus_search(const struct litmus_case *what, uint64_t executions_most, bool trace);

#endif
