/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/thread.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/fork.h"
#include "core/outcome.h"
#include "core/rcu.h"

__thread struct ps_thread ps_thread;
uint32_t ps_fork_count;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool ready;

static void before_fork(void)
{
#ifndef PENSTOCK_RCU_MEMB
	urcu_bp_before_fork();
#endif
	ps_fork_lock_sqlite();
}

static void after_fork_in_parent(void)
{
	ps_fork_unlock_sqlite();
#ifndef PENSTOCK_RCU_MEMB
	urcu_bp_after_fork_parent();
#endif
}

static void after_fork_in_child(void)
{
	ps_fork_unlock_sqlite();
#ifndef PENSTOCK_RCU_MEMB
	urcu_bp_after_fork_child();
#endif
	ps_store_relaxed_u32(&ps_fork_count, ps_load_relaxed_u32(&ps_fork_count) + 1);
}

void ps_thread_clear(void)
{
	struct ps_thread_heap *heap = ps_thread.heap;

	if (heap == NULL)
		return;
	ps_thread.heap = NULL;
	while (heap->spare_count > 0)
		ps_handle_free(heap->spare[--heap->spare_count]);
	free(heap);
}

/* Runs again if another destructor of this thread calls Penstock after it, which arms the key anew. */
static void leave(void *value)
{
	(void)value;
	ps_thread_clear();
#ifdef PENSTOCK_RCU_MEMB
	if (ps_thread.rcu_registered)
		urcu_memb_unregister_thread();
	ps_thread.rcu_registered = false;
#endif
}

static void setup(void)
{
	if (pthread_key_create(&key, leave) != 0)
		return;
	if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
		pthread_key_delete(key);
		return;
	}
	ready = true;
}

bool ps_thread_setup(void)
{
	pthread_once(&once, setup);
	return ready;
}

/* Arranges for the destructor to run when the thread ends. */
static bool arm(void)
{
	return pthread_setspecific(key, &ps_thread) == 0;
}

struct ps_thread_heap *ps_thread_heap(void)
{
	struct ps_thread_heap *heap = ps_thread.heap;

	if (heap != NULL)
		return heap;
	if (!ps_thread_setup())
		return NULL;
	heap = malloc(sizeof *heap);
	if (heap == NULL)
		return NULL;
	if (!arm()) {
		free(heap);
		return NULL;
	}
	heap->spare_count = 0;
	heap->message[0] = '\0';
	ps_thread.heap = heap;
	return heap;
}

uint64_t ps_thread_number(void)
{
	static uint64_t last;

	if (ps_thread.number == 0)
		ps_thread.number = ps_add_u64(&last, 1) + 1;
	return ps_thread.number;
}

#ifdef PENSTOCK_RCU_MEMB
void ps_thread_rcu_register(void)
{
	urcu_memb_register_thread();
	ps_thread.rcu_registered = true;
	arm(); /* fails only without memory for the key's table: the thread then stays registered after its end */
}
#endif
