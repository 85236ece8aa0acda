/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/schedule/coroutine.h"

#include <stdint.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBERS 1
#endif
#endif

#ifdef FIBERS
#include <sanitizer/common_interface_defs.h>
#endif

static struct coroutine *leaving, *entering;

static void leave(struct coroutine *from, struct coroutine *to)
{
	leaving = from;
	entering = to;
#ifdef FIBERS
	__sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->bytes);
#endif
}

static void arrive(void)
{
#ifdef FIBERS
	const void *bottom;
	size_t bytes;

	__sanitizer_finish_switch_fiber(entering->fake_stack, &bottom, &bytes);
	if (leaving->bottom == NULL) {
		leaving->bottom = bottom;
		leaving->bytes = bytes;
	}
#endif
}

static void begin(void)
{
	arrive();
	entering->run(entering->arg);
	abort();
}

#ifdef __x86_64__

void coroutine_jump(void **save, void *stack_pointer);
__asm__(".text\n"
        ".globl coroutine_jump\n"
        ".hidden coroutine_jump\n"
        ".type coroutine_jump, @function\n"
        "coroutine_jump:\n"
        "	pushq %rbp\n"
        "	pushq %rbx\n"
        "	pushq %r12\n"
        "	pushq %r13\n"
        "	pushq %r14\n"
        "	pushq %r15\n"
        "	movq %rsp, (%rdi)\n"
        "	movq %rsi, %rsp\n"
        "	popq %r15\n"
        "	popq %r14\n"
        "	popq %r13\n"
        "	popq %r12\n"
        "	popq %rbx\n"
        "	popq %rbp\n"
        "	ret\n"
        ".size coroutine_jump, .-coroutine_jump\n");

static void prepare(struct coroutine *coroutine, void *stack, size_t bytes)
{
	/* Six registers, the address to return to, and one word so that the stack is aligned as after a call. */
	void **top = (void **)(((uintptr_t)stack + bytes) & ~(uintptr_t)15) - 8;

	for (int i = 0; i < 8; i++)
		top[i] = NULL;
	top[6] = (void *)(uintptr_t)begin;
	coroutine->stack_pointer = top;
}

static void jump(struct coroutine *from, struct coroutine *to)
{
	coroutine_jump(&from->stack_pointer, to->stack_pointer);
}

#else

static void prepare(struct coroutine *coroutine, void *stack, size_t bytes)
{
	getcontext(&coroutine->context);
	coroutine->context.uc_stack.ss_sp = stack;
	coroutine->context.uc_stack.ss_size = bytes;
	coroutine->context.uc_link = NULL;
	makecontext(&coroutine->context, begin, 0);
}

static void jump(struct coroutine *from, struct coroutine *to)
{
	swapcontext(&from->context, &to->context);
}

#endif

void coroutine_make(struct coroutine *coroutine, void *stack, size_t bytes, void (*run)(void *), void *arg)
{
	coroutine->run = run;
	coroutine->arg = arg;
	coroutine->bottom = stack;
	coroutine->bytes = bytes;
	coroutine->fake_stack = NULL;
	prepare(coroutine, stack, bytes);
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
	leave(from, to);
	jump(from, to);
	arrive();
}
