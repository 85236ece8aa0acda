/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shapes.c - the memory itself: the well-known litmus tests, with what C11 allows of each
 *
 * In each, two or more threads store to and load from x and y, and one outcome is in question. Where it is allowed the search must
 * come across it, and where it is forbidden it must not.
 */
#include "tests/litmus/cases.h"

#include "core/atomic.h"
#include "core/futex.h"

static uint32_t x, y;
static uint32_t a, b, c, d; /* what was read */

static void begin(void)
{
	x = y = a = b = c = d = 0;
}

static void end(void)
{
}

/* Store buffering: each stores, then looks at the other's. */
static void buffering_x(void)
{
	ps_store_release_u32(&x, 1);
	a = ps_load_acquire_u32(&y);
}

static void buffering_y(void)
{
	ps_store_release_u32(&y, 1);
	b = ps_load_acquire_u32(&x);
}

static void buffering_fenced_x(void)
{
	ps_store_relaxed_u32(&x, 1);
	ps_fence_full();
	a = ps_load_relaxed_u32(&y);
}

static void buffering_fenced_y(void)
{
	ps_store_relaxed_u32(&y, 1);
	ps_fence_full();
	b = ps_load_relaxed_u32(&x);
}

static void buffering_added_y(void)
{
	ps_add_u32(&y, 1);
	b = ps_load_relaxed_u32(&x);
}

static void neither_sees_the_other(void)
{
	litmus_check(a != 0 || b != 0, "seen");
}

/* Message passing: y says that x is there. */
static void passing(void)
{
	ps_store_relaxed_u32(&x, 1);
	ps_store_release_u32(&y, 1);
}

static void passing_relaxed(void)
{
	ps_store_relaxed_u32(&x, 1);
	ps_store_relaxed_u32(&y, 1);
}

static void passing_added(void)
{
	ps_add_u32(&y, 1);
}

static void receiving(void)
{
	a = ps_load_acquire_u32(&y);
	b = ps_load_relaxed_u32(&x);
}

static void receiving_relaxed(void)
{
	a = ps_load_relaxed_u32(&y);
	b = ps_load_relaxed_u32(&x);
}

static void the_message_is_not_there(void)
{
	litmus_check(a == 0 || b == 1, "seen");
}

static void the_second_message_is_not_there(void)
{
	litmus_check(a != 2 || b == 1, "seen");
}

/* One word: later loads see no earlier store. */
static void reading_twice(void)
{
	a = ps_load_relaxed_u32(&x);
	b = ps_load_relaxed_u32(&x);
}

static void storing_x(void)
{
	ps_store_relaxed_u32(&x, 1);
}

static void storing_y(void)
{
	ps_store_relaxed_u32(&y, 1);
}

static void backwards(void)
{
	litmus_check(a <= b, "seen");
}

/* Two writers, two readers, who do not agree which was first. */
static void reading_x_y(void)
{
	a = ps_load_acquire_u32(&x);
	b = ps_load_acquire_u32(&y);
}

static void reading_y_x(void)
{
	c = ps_load_acquire_u32(&y);
	d = ps_load_acquire_u32(&x);
}

static void reading_fenced_x_y(void)
{
	a = ps_load_acquire_u32(&x);
	ps_fence_full();
	b = ps_load_acquire_u32(&y);
}

static void reading_fenced_y_x(void)
{
	c = ps_load_acquire_u32(&y);
	ps_fence_full();
	d = ps_load_acquire_u32(&x);
}

static void the_readers_disagree(void)
{
	litmus_check(!(a == 1 && b == 0 && c == 1 && d == 0), "seen");
}

/* A sleeper on x, and who stores before it wakes. */
static void sleeping(void)
{
	while (ps_load_relaxed_u32(&x) == 0)
		ps_futex_wait(&x, 0, PS_FUTEX_ANY, PS_NEVER);
}

static void waking(void)
{
	ps_store_relaxed_u32(&x, 1);
	ps_futex_wake(&x, 1, PS_FUTEX_ANY);
}

static void waking_too_soon(void)
{
	ps_futex_wake(&x, 1, PS_FUTEX_ANY);
	ps_store_relaxed_u32(&x, 1);
}

#define SHAPE(name, allowed, check, ...)                              \
	{                                                             \
		{ name, begin, { __VA_ARGS__ }, check, end }, allowed \
	}

const struct litmus_shape litmus_shapes[] = {
	SHAPE("store buffering", true, neither_sees_the_other, buffering_x, buffering_y),
	SHAPE("store buffering, one fence", true, neither_sees_the_other, buffering_fenced_x, buffering_y),
	SHAPE("store buffering, two fences", false, neither_sees_the_other, buffering_fenced_x, buffering_fenced_y),
	SHAPE("store buffering, a fence and an add", false, neither_sees_the_other, buffering_fenced_x, buffering_added_y),
	SHAPE("message passing", false, the_message_is_not_there, passing, receiving),
	SHAPE("message passing, a relaxed store", true, the_message_is_not_there, passing_relaxed, receiving),
	SHAPE("message passing, a relaxed load", true, the_message_is_not_there, passing, receiving_relaxed),
	SHAPE("message passing, on by another's add", false, the_second_message_is_not_there, passing, passing_added,
	      receiving),
	SHAPE("one word backwards", false, backwards, storing_x, reading_twice),
	SHAPE("independent reads", true, the_readers_disagree, storing_x, storing_y, reading_x_y, reading_y_x),
	SHAPE("independent reads, fenced", false, the_readers_disagree, storing_x, storing_y, reading_fenced_x_y,
	      reading_fenced_y_x),
	SHAPE("sleep and wake", false, NULL, sleeping, waking),
	SHAPE("sleep and wake too soon", true, NULL, sleeping, waking_too_soon),
};
const unsigned litmus_shape_count = sizeof litmus_shapes / sizeof *litmus_shapes;
