/* SPDX-License-Identifier: BSD-2-Clause */
#include "writer/checkpointer.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "core/atomic.h"
#include "core/futex.h"

enum { IDLE, ASKED, DONE, LEAVE };

/* ---- the thread ---- */

static struct ps_log_pass_store *store_of(const struct ps_checkpointer *checkpointer)
{
	/* X5: the store before its address, for whoever hurries it; pairs with X6. */
	return (struct ps_log_pass_store *)(uintptr_t)ps_load_acquire_u64(&checkpointer->store);
}

static void run(struct ps_checkpointer *checkpointer)
{
	struct ps_log_pass_store *store = store_of(checkpointer);

	if (store == NULL) {
		ps_log_pass_open(&store, checkpointer->path, checkpointer->options, &checkpointer->pass);
		/* X6: pairs with X5 in store_of. */
		ps_store_release_u64(&checkpointer->store, (uintptr_t)store);
	}
	if (store != NULL)
		ps_log_pass_run(store, &checkpointer->pass);
}

/*
 * As SCHED_BATCH it takes no processor from a thread that runs when it wakes; else the writer, or a producer, would wait for a whole slice
 * of copying. A nice value does not do it, and SCHED_IDLE starves the pass. The last pass is the writer's way, which waits for it, and gives
 * way to nobody. A policy that the program has chosen stays, as that of a real-time writer, which everybody would be ahead of here. A
 * failure is of no consequence: outcomes may then be later.
 */
static bool may_give_way(void)
{
	struct sched_param inherited;
	int policy;

	return pthread_getschedparam(pthread_self(), &policy, &inherited) == 0 && policy == SCHED_OTHER;
}

static void set_policy(int policy)
{
	struct sched_param none = { .sched_priority = 0 };

	pthread_setschedparam(pthread_self(), policy, &none);
}

static void *checkpointer_main(void *arg)
{
	struct ps_checkpointer *checkpointer = arg;
	uint32_t word;
	bool may, gives_way;

	pthread_setname_np(pthread_self(), checkpointer->name);
	may = may_give_way();
	/* X2: with the word comes what is asked for; pairs with X1 in ps_checkpointer_ask. */
	while ((word = ps_load_acquire_u32(&checkpointer->word)) != LEAVE) {
		if (word != ASKED) {
			ps_futex_wait(&checkpointer->word, word, PS_FUTEX_ANY, PS_NEVER);
			continue;
		}
		gives_way = may && !checkpointer->pass.last;
		if (gives_way)
			set_policy(SCHED_BATCH);
		run(checkpointer);
		if (gives_way)
			set_policy(SCHED_OTHER);
		ps_store_relaxed_u32(&checkpointer->ring->report, 1);
		/* X3: the report, and its mark, before the word; pairs with X4 in ps_checkpointer_is_done. */
		ps_store_release_u32(&checkpointer->word, DONE);
		ps_futex_wake(&checkpointer->word, 1, PS_FUTEX_ANY);
		ps_ring_kick(checkpointer->ring);
	}
	ps_log_pass_close(store_of(checkpointer));
	return NULL;
}

/* ---- the writer ---- */

/* The writer may be pinned: this thread may run wherever the process may. */
static void set_free(pthread_attr_t *attributes)
{
	cpu_set_t set;

	if (sched_getaffinity(getpid(), sizeof set, &set) == 0)
		pthread_attr_setaffinity_np(attributes, sizeof set, &set);
}

static bool create(struct ps_checkpointer *checkpointer)
{
	pthread_attr_t attributes;
	int error;

	pthread_attr_init(&attributes);
	if (checkpointer->options->keys.writer_cpu >= 0)
		set_free(&attributes);
	ps_store_relaxed_u32(&checkpointer->word, IDLE);
	ps_store_relaxed_u64(&checkpointer->store, 0);
	/* The writer's signal mask is inherited. */
	error = pthread_create(&checkpointer->thread, &attributes, checkpointer_main, checkpointer);
	pthread_attr_destroy(&attributes);
	checkpointer->exists = error == 0;
	return checkpointer->exists;
}

static void tell(struct ps_checkpointer *checkpointer, uint32_t word)
{
	/* X1: what is asked for before the word; pairs with X2 in checkpointer_main. */
	ps_store_release_u32(&checkpointer->word, word);
	ps_futex_wake(&checkpointer->word, 1, PS_FUTEX_ANY);
}

bool ps_checkpointer_ask(struct ps_checkpointer *checkpointer, bool last, bool syncs)
{
	if (!checkpointer->exists && !create(checkpointer))
		return false;
	memset(&checkpointer->pass, 0, sizeof checkpointer->pass);
	checkpointer->pass.last = last;
	checkpointer->pass.syncs = syncs;
	checkpointer->last = last;
	checkpointer->asked = true;
	tell(checkpointer, ASKED);
	return true;
}

bool ps_checkpointer_is_done(const struct ps_checkpointer *checkpointer)
{
	/* X4: with the word comes the report; pairs with X3 in checkpointer_main. */
	return ps_load_acquire_u32(&checkpointer->word) == DONE;
}

void ps_checkpointer_wait(const struct ps_checkpointer *checkpointer)
{
	while (!ps_checkpointer_is_done(checkpointer))
		ps_futex_wait(&checkpointer->word, ASKED, PS_FUTEX_ANY, PS_NEVER);
}

const struct ps_log_pass *ps_checkpointer_take(struct ps_checkpointer *checkpointer)
{
	checkpointer->asked = false;
	/* Down before the next pass can put it up. */
	ps_store_relaxed_u32(&checkpointer->ring->report, 0);
	ps_store_relaxed_u32(&checkpointer->word, IDLE);
	return &checkpointer->pass;
}

void ps_checkpointer_hurry(struct ps_checkpointer *checkpointer)
{
	struct ps_log_pass_store *store = checkpointer->exists ? store_of(checkpointer) : NULL;

	if (store != NULL)
		ps_log_pass_interrupt(store);
}

void ps_checkpointer_end(struct ps_checkpointer *checkpointer)
{
	if (!checkpointer->exists)
		return;
	if (checkpointer->asked) {
		ps_checkpointer_wait(checkpointer);
		ps_checkpointer_take(checkpointer);
	}
	tell(checkpointer, LEAVE);
	pthread_join(checkpointer->thread, NULL);
	checkpointer->exists = false;
}
