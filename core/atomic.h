/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * atomic.h - every atomic operation of Penstock, over Concurrency Kit's ck_pr
 *
 * Nothing else includes ck_pr.h. ck_pr is inline assembly, which ThreadSanitizer cannot see, and lacks some of the 64-bit
 * operations on 32-bit machines. There the same functions are the compiler's __atomic builtins.
 *
 * Orderings are asked for by name (relaxed, acquire, release) at each call. Read-modify-write operations are full barriers,
 * as if a full fence stood on either side, and P4, E1, E3, B2, H1, Q1 to Q6, T1 and T2 rely on it. On x86 the instruction is one. Elsewhere full
 * fences make it one: ck's fences for acquire and release do not order a store before a later load on POWER (lwsync) and
 * SPARC, nor need a sequentially consistent operation order what is around it (AArch64's stlxr and a later ldr).
 * tests/litmus searches what these orderings allow.
 *
 * The pairs, by label; each end names the other at its line:
 *
 *   R1  ring.c, publish        release: the record's bytes before its sequence
 *   R2  ring.h, peek           acquire: the writer sees the whole record                               pairs with R1
 *   R3  ring.c, release        release: the writer's last use of the slots before the head moves
 *   R4  ring.c, claim          acquire: a producer writes a slot only after the writer let go of it    pairs with R3
 *   P1  ring.c, claim (CAS)    the claim clears the parked mark; whoever cleared it wakes
 *   P2  ring.c, park (CAS)     the mark is set only when nothing is claimed                            pairs with P1
 *   P3  ring.c, kick           full: the attention word before the look at the mark
 *   P4  ring.c, park           full: the mark before the look at the attention word                    pairs with P3
 *   E1  park.c, prepare        full: the waiter is counted before it looks again for room
 *   E2  park.c, wake           full: the room is made before the look for waiters                      pairs with E1
 *   E3  park.c, ask            full: the request is there before its owner looks again for room        pairs with E2
 *   E4  park.c, wake           full: with the request comes what is its owner's                        pairs with E3
 *   H1  outcome.c, complete    full: the outcome is written before the DONE bit
 *   H2  outcome.c, wait        acquire: whoever sees DONE sees the outcome                             pairs with H1
 *   B1  outcome.c, wait        acquire: the bell before the look for DONE
 *   B2  outcome.c, ring        full: DONE before the bell moves                                        pairs with B1
 *   Q1  completions.c, put     full: the outcome, and the handle on the list, before the look at the flag
 *   Q2  completions.c, raise   full: what there is to see before the flag goes up
 *   Q3  completions.c, take    full: the flag is down before the look at the list                      pairs with Q1, Q2
 *   Q4  completions.c, ask     full: the wish is there before its owner looks again for a place
 *   Q5  completions.c, give    full: the places are given back before the look for wishes              pairs with Q4
 *   Q6  completions.c, let_go  full: every use of the queue before its end                             pairs with Q6
 *   K1  cancel.c, cancel       full: a handle is cancelled before the count of cancels moves
 *   K2  cancel.h, count        acquire: the count before the looks at the handles                      pairs with K1
 *   C1  counters.c, hand_on    release: a torn set of counters is never taken for a whole one
 *   C2  counters.c, copy       acquire                                                                 pairs with C1
 *   X1  checkpointer.c, tell   release: what a pass is to do before the word that asks for it
 *   X2  checkpointer.c, main   acquire                                                                 pairs with X1
 *   X3  checkpointer.c, main   release: the report, and its mark in the ring, before the word that hands it over
 *   X4  checkpointer.c, done   acquire                                                                 pairs with X3
 *   X5  checkpointer.c, store  acquire: the thread's store for the writer that hurries it              pairs with X6
 *   X6  checkpointer.c, run    release
 *   F1  fault.c, arm           release: which calls it is about, before the fault                      (fault builds)
 *   F2  fault.c, ps_fault      acquire                                                                 pairs with F1
 *   T1  turns.c, draw          full: the ticket is drawn before the look at whose turn it is
 *   T2  turns.c, pass_on       full: the turn moves before the look for somebody with a ticket         pairs with T1
 *   S1  state.c, swap          release (rcu): the record's fields before its address
 *   S2  state.h, read          consume (rcu)                                                           pairs with S1
 */
#ifndef PENSTOCK_ATOMIC_H
#define PENSTOCK_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define PENSTOCK_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PENSTOCK_UNDER_TSAN 1
#endif
#endif

#if defined(PENSTOCK_UNDER_TSAN) || UINTPTR_MAX < UINT64_MAX
#define PENSTOCK_BUILTIN_ATOMICS 1
#endif

/* Words of different writers are kept this far apart: two lines, because x86 prefetches lines in pairs. */
#define PS_LINE_BYTES 128
#define PS_OWN_LINE __attribute__((aligned(PS_LINE_BYTES)))

#if defined(__x86_64__) || defined(__i386__) || defined(PENSTOCK_UNDER_TSAN)
#define PS_FENCE_AROUND() ((void)0)
#else
#define PS_FENCE_AROUND() ps_fence_full()
#endif

#ifdef PENSTOCK_BUILTIN_ATOMICS

static inline void ps_fence_full(void)
{
#ifdef PENSTOCK_UNDER_TSAN
	/* TSan does not model fences; an operation on a word of its own orders the same on the machine. */
	static uint32_t word;
	__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#define PS_ATOMIC_OPERATIONS(suffix, type)                                                                                 \
	static inline type ps_load_relaxed_##suffix(const type *word)                                                      \
	{                                                                                                                  \
		return __atomic_load_n(word, __ATOMIC_RELAXED);                                                            \
	}                                                                                                                  \
	static inline type ps_load_acquire_##suffix(const type *word)                                                      \
	{                                                                                                                  \
		return __atomic_load_n(word, __ATOMIC_ACQUIRE);                                                            \
	}                                                                                                                  \
	static inline void ps_store_relaxed_##suffix(type *word, type value)                                               \
	{                                                                                                                  \
		__atomic_store_n(word, value, __ATOMIC_RELAXED);                                                           \
	}                                                                                                                  \
	static inline void ps_store_release_##suffix(type *word, type value)                                               \
	{                                                                                                                  \
		__atomic_store_n(word, value, __ATOMIC_RELEASE);                                                           \
	}                                                                                                                  \
	/* On failure *expected is what was found. */                                                                      \
	static inline bool ps_cas_##suffix(type *word, type *expected, type desired)                                       \
	{                                                                                                                  \
		bool swapped;                                                                                              \
		PS_FENCE_AROUND();                                                                                         \
		swapped = __atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
		PS_FENCE_AROUND();                                                                                         \
		return swapped;                                                                                            \
	}                                                                                                                  \
	static inline type ps_add_##suffix(type *word, type value) /* returns the value before */                          \
	{                                                                                                                  \
		type before;                                                                                               \
		PS_FENCE_AROUND();                                                                                         \
		before = __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);                                                \
		PS_FENCE_AROUND();                                                                                         \
		return before;                                                                                             \
	}

PS_ATOMIC_OPERATIONS(u32, uint32_t)
PS_ATOMIC_OPERATIONS(u64, uint64_t)

static inline void ps_stall(void)
{
	__asm__ __volatile__("" ::: "memory");
}

#else

#include <ck_pr.h>

#if !defined(__x86_64__) && !defined(__s390x__) && !defined(__sparc__) && !defined(CK_MD_RMO)
#error "the ck_md.h found is another machine's: its fences are nothing here"
#endif

static inline void ps_fence_full(void)
{
	ck_pr_fence_strict_memory();
}

#define PS_ATOMIC_OPERATIONS(suffix, bits, type)                                                  \
	static inline type ps_load_relaxed_##suffix(const type *word)                             \
	{                                                                                         \
		return ck_pr_load_##bits(word);                                                   \
	}                                                                                         \
	static inline type ps_load_acquire_##suffix(const type *word)                             \
	{                                                                                         \
		type value = ck_pr_load_##bits(word);                                             \
		ck_pr_fence_acquire();                                                            \
		return value;                                                                     \
	}                                                                                         \
	static inline void ps_store_relaxed_##suffix(type *word, type value)                      \
	{                                                                                         \
		ck_pr_store_##bits(word, value);                                                  \
	}                                                                                         \
	static inline void ps_store_release_##suffix(type *word, type value)                      \
	{                                                                                         \
		ck_pr_fence_release();                                                            \
		ck_pr_store_##bits(word, value);                                                  \
	}                                                                                         \
	/* On failure *expected is what was found. */                                             \
	static inline bool ps_cas_##suffix(type *word, type *expected, type desired)              \
	{                                                                                         \
		bool swapped;                                                                     \
		PS_FENCE_AROUND();                                                                \
		swapped = ck_pr_cas_##bits##_value(word, *expected, desired, expected);           \
		PS_FENCE_AROUND();                                                                \
		return swapped;                                                                   \
	}                                                                                         \
	static inline type ps_add_##suffix(type *word, type value) /* returns the value before */ \
	{                                                                                         \
		type before;                                                                      \
		PS_FENCE_AROUND();                                                                \
		before = ck_pr_faa_##bits(word, value);                                           \
		PS_FENCE_AROUND();                                                                \
		return before;                                                                    \
	}

PS_ATOMIC_OPERATIONS(u32, 32, uint32_t)
PS_ATOMIC_OPERATIONS(u64, 64, uint64_t)

static inline void ps_stall(void)
{
	ck_pr_stall();
}

#endif

/* That many stalls between two looks at a word that others are writing: a look takes the line away from them. */
static inline void ps_stalls(unsigned count)
{
	while (count-- > 0)
		ps_stall();
}

#undef PS_ATOMIC_OPERATIONS
#undef PS_FENCE_AROUND

/*
 * A word that one thread writes and others read: no read-modify-write is needed to add to it.
 */
static inline void ps_bump_u64(uint64_t *word, uint64_t value)
{
	ps_store_relaxed_u64(word, ps_load_relaxed_u64(word) + value);
}

#endif
