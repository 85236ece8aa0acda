/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * coroutine.h - threads of control that are switched by hand
 *
 * On x86-64 a switch saves the six registers that a call preserves and takes over the other stack: a few nanoseconds.
 * (glibc's swapcontext, which other processors use here, makes a system call for the signal mask each time.)
 * AddressSanitizer is told which stack is in use.
 */
#ifndef PENSTOCK_SCHEDULE_COROUTINE_H
#define PENSTOCK_SCHEDULE_COROUTINE_H

#include <stddef.h>

#ifndef __x86_64__
#include <ucontext.h>
#endif

struct coroutine {
#ifdef __x86_64__
	void *stack_pointer;
#else
	ucontext_t context;
#endif
	void (*run)(void *); /* never returns */
	void *arg;
	/* for AddressSanitizer; the first thread's are found out when it is left */
	const void *bottom;
	size_t bytes;
	void *fake_stack;
};

/* To begin with run(arg) at the first switch to it. */
void coroutine_make(struct coroutine *coroutine, void *stack, size_t bytes, void (*run)(void *), void *arg);
/* Leaves one, which goes on here when somebody switches back to it. */
void coroutine_switch(struct coroutine *from, struct coroutine *to);

#endif
