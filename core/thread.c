/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/thread.h"

#include <pthread.h>

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
}

static void after_fork_in_parent(void)
{
#ifndef PENSTOCK_RCU_MEMB
	urcu_bp_after_fork_parent();
#endif
}

static void after_fork_in_child(void)
{
#ifndef PENSTOCK_RCU_MEMB
	urcu_bp_after_fork_child();
#endif
	ps_store_relaxed_u32(&ps_fork_count, ps_load_relaxed_u32(&ps_fork_count) + 1);
}

/* Runs again if another destructor of this thread submits after it, which arms the key anew. */
static void leave(void *value)
{
	(void)value;
	while (ps_thread.spare_count > 0)
		ps_handle_free(ps_thread.spare[--ps_thread.spare_count]);
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

void ps_thread_arm(void)
{
	/* Fails only without memory for the key's table; the thread then stays registered after its end, and its handles leak. */
	pthread_setspecific(key, &ps_thread);
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
	ps_thread_arm();
}
#endif
