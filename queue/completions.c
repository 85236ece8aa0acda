/* SPDX-License-Identifier: BSD-2-Clause */
#include "queue/completions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/fault.h"
#include "core/outcome.h"
#include "core/thread.h"

/* holders */
#define HOLD (UINT64_C(1) << 32)
#define PLACES(word) ((word) & (HOLD - 1))

/* list: no handle's address */
#define ABANDONED UINT64_C(1)

/* wanted: no thread's number */
#define SEVERAL UINT64_MAX

static void tell_of_room(struct ps_ask *ask);

penstock_completions *ps_completions_new(uint64_t engine, uint64_t most)
{
	penstock_completions *queue = aligned_alloc(PS_LINE_BYTES, sizeof *queue);
	int error;

	errno = 0;
	if (queue == NULL)
		return NULL;
	memset(queue, 0, sizeof *queue);
	if (!ps_event_open(&queue->event)) {
		error = errno;
		free(queue);
		errno = error;
		return NULL;
	}
	if (pthread_mutex_init(&queue->mutex, NULL) != 0) {
		ps_event_close_reader(&queue->event);
		ps_event_close_raiser(&queue->event);
		free(queue);
		errno = 0;
		return NULL;
	}
	queue->engine = engine;
	queue->most = most;
	queue->fork_generation = ps_fork_generation();
	queue->holders = HOLD;
	queue->ask.tell = tell_of_room;
	return queue;
}

/* Places and holds; who lets go of the last ones frees it. */
static void let_go(penstock_completions *queue, uint64_t what)
{
	/* Q6: all that was done with the queue before it is freed (the add is a full barrier); pairs with itself. */
	if (ps_add_u64(&queue->holders, -what) != what)
		return;
	ps_event_close_raiser(&queue->event);
	pthread_mutex_destroy(&queue->mutex);
	free(queue);
}

static void raise_event(penstock_completions *queue)
{
	uint32_t down = 0;

	/* Q2: after what there is to see (the swap is a full barrier); pairs with Q3 in take_list. */
	if (!ps_cas_u32(&queue->flag, &down, 1))
		return;
	if (!ps_event_raise(&queue->event))
		ps_store_relaxed_u32(&queue->flag, 0);
}

/* ---- producers ---- */

int ps_completions_take_place(penstock_completions *queue)
{
	uint64_t word;

	if (queue->fork_generation != ps_fork_generation())
		return ps_refuse(PENSTOCK_FORKED);
	word = ps_load_relaxed_u64(&queue->holders);
	do {
		if (PLACES(word) >= queue->most)
			return ps_error(PENSTOCK_FULL, "the completion queue's %llu places are taken; take what has completed",
			                (unsigned long long)queue->most);
	} while (!ps_cas_u64(&queue->holders, &word, word + 1));
	return PENSTOCK_OK;
}

void ps_completions_give_back(penstock_completions *queue, uint64_t count)
{
	/* Q5: the places before the look (the add is a full barrier); pairs with Q4 in ps_completions_ask. */
	uint64_t before = ps_add_u64(&queue->holders, -count), wanted;

	if (PLACES(before) < queue->most)
		return;
	wanted = ps_load_relaxed_u64(&queue->wanted);
	while (wanted != 0 && wanted != ps_thread_number()) {
		if (ps_cas_u64(&queue->wanted, &wanted, 0)) {
			raise_event(queue);
			return;
		}
	}
}

void ps_completions_ask(penstock_completions *queue, struct ps_eventcount *event)
{
	uint64_t wanted = 0, self = ps_thread_number();
	uint32_t down = 0;

	/* Q4: before the caller looks again (the swap is a full barrier); pairs with Q5 in ps_completions_give_back. */
	while (!ps_cas_u64(&queue->wanted, &wanted, wanted == 0 || wanted == self ? self : SEVERAL))
		continue;
	/* Where the last request is still there, or has just been taken up, the descriptor is raised behind this. */
	if (!ps_cas_u32(&queue->asking, &down, 1))
		return;
	ps_add_u64(&queue->holders, HOLD);
	ps_eventcount_ask(event, &queue->ask);
}

/* Any thread that makes room, or changes the state. */
static void tell_of_room(struct ps_ask *ask)
{
	penstock_completions *queue = (penstock_completions *)((char *)ask - offsetof(penstock_completions, ask));

	/* Before the raise: who is woken by that may ask again. With release, since the request is its owner's then. */
	ps_store_release_u32(&queue->asking, 0);
	raise_event(queue);
	let_go(queue, HOLD);
}

/* ---- the writer ---- */

void ps_completions_put(penstock_completions *queue, penstock_handle *handle, penstock_completions **told)
{
	uint64_t top;

	/* Its place keeps the queue until it can be taken. */
	if (!queue->to_be_told) {
		queue->to_be_told = true;
		queue->next_told = *told;
		*told = queue;
		ps_add_u64(&queue->holders, HOLD);
	}
	top = ps_load_relaxed_u64(&queue->list);
	do {
		if (top == ABANDONED) {
			penstock_handle_release(handle);
			let_go(queue, 1);
			return;
		}
		ps_store_relaxed_u64(&handle->next, top);
		/* Q1: the outcome and next before the handle is seen (the swap is a full barrier); pairs with Q3 in take_list. */
	} while (!ps_cas_u64(&queue->list, &top, (uintptr_t)handle));
}

void ps_completions_tell(penstock_completions *told)
{
	while (told != NULL) {
		penstock_completions *queue = told;

		told = queue->next_told;
		queue->to_be_told = false;
		if (ps_fault(PS_FAULT_LET_GO_EARLY)) {
			let_go(queue, HOLD);
			raise_event(queue);
			continue;
		}
		raise_event(queue);
		let_go(queue, HOLD);
	}
}

/* ---- takers ---- */

static penstock_handle *next_of(const penstock_handle *handle)
{
	return (penstock_handle *)(uintptr_t)ps_load_relaxed_u64(&handle->next);
}

/* The list, the first one put on first; in its place what is given. */
static penstock_handle *take_list(penstock_completions *queue, uint64_t instead)
{
	uint64_t top = ps_load_relaxed_u64(&queue->list);
	penstock_handle *handle, *next, *turned = NULL;

	while (top != instead && !ps_cas_u64(&queue->list, &top, instead))
		continue;
	for (handle = (penstock_handle *)(uintptr_t)top; handle != NULL; handle = next) {
		next = next_of(handle);
		ps_store_relaxed_u64(&handle->next, (uintptr_t)turned);
		turned = handle;
	}
	return turned;
}

static void lower_flag(penstock_completions *queue)
{
	ps_store_relaxed_u32(&queue->flag, 0);
	/* Q3: the flag is down before the look at the list; pairs with Q1 and Q2. */
	ps_fence_full();
}

/* Behind what the takers have already. */
static void append_locked(penstock_completions *queue, penstock_handle *list)
{
	if (list == NULL)
		return;
	if (queue->first == NULL)
		queue->first = list;
	else
		ps_store_relaxed_u64(&queue->last->next, (uintptr_t)list);
	for (queue->last = list; next_of(queue->last) != NULL; queue->last = next_of(queue->last))
		continue;
}

/* With the mutex held: everything that is there is then in the takers' own list. */
static void gather_locked(penstock_completions *queue)
{
	bool early = ps_fault(PS_FAULT_LOWER_EARLY), late = ps_fault(PS_FAULT_LOWER_LATE);

	if (early)
		lower_flag(queue);
	ps_event_drain(&queue->event);
	if (!early && !late)
		lower_flag(queue);
	append_locked(queue, take_list(queue, 0));
	if (late)
		lower_flag(queue);
}

static size_t take_locked(penstock_completions *queue, penstock_handle **handles, size_t room)
{
	size_t count = 0;

	gather_locked(queue);
	while (count < room && queue->first != NULL) {
		handles[count] = queue->first;
		queue->first = next_of(handles[count++]);
	}
	if (queue->first != NULL)
		raise_event(queue);
	return count;
}

int penstock_completions_take(penstock_completions *queue, penstock_handle **handles, size_t room, size_t *count)
{
	PS_NO_CANCEL;

	if (count != NULL)
		*count = 0;
	if (queue == NULL || count == NULL || (handles == NULL && room != 0))
		return ps_error(PENSTOCK_MISUSE, "penstock_completions_take: the queue or a place for what it gives is NULL");
	if (queue->fork_generation != ps_fork_generation())
		return ps_refuse(PENSTOCK_FORKED);
	pthread_mutex_lock(&queue->mutex);
	*count = take_locked(queue, handles, room);
	pthread_mutex_unlock(&queue->mutex);
	if (*count != 0)
		ps_completions_give_back(queue, *count);
	return PENSTOCK_OK;
}

int penstock_completions_descriptor(const penstock_completions *queue)
{
	if (queue == NULL || queue->fork_generation != ps_fork_generation())
		return -1;
	return queue->event.reader;
}

/* OK, FORKED or MISUSE. */
static int check_last_call(const penstock_completions *queue)
{
	if (queue == NULL)
		return PENSTOCK_OK;
	return queue->fork_generation == ps_fork_generation() ? PENSTOCK_OK : ps_refuse(PENSTOCK_FORKED);
}

int penstock_completions_close(penstock_completions *queue)
{
	PS_NO_CANCEL;
	int status = check_last_call(queue);
	uint64_t places;

	if (status != PENSTOCK_OK || queue == NULL)
		return status;
	places = PLACES(ps_load_relaxed_u64(&queue->holders));
	if (places != 0)
		return ps_error(PENSTOCK_MISUSE,
		                "penstock_completions_close: %llu submissions have not been taken; take them first, or call"
		                " penstock_completions_abandon",
		                (unsigned long long)places);
	ps_event_close_reader(&queue->event);
	let_go(queue, HOLD);
	return PENSTOCK_OK;
}

int penstock_completions_abandon(penstock_completions *queue)
{
	PS_NO_CANCEL;
	int status = check_last_call(queue);
	penstock_handle *handle, *next;
	uint64_t released = 0;

	if (status != PENSTOCK_OK || queue == NULL)
		return status;
	append_locked(queue, take_list(queue, ABANDONED));
	for (handle = queue->first; handle != NULL; handle = next) {
		next = next_of(handle);
		penstock_handle_release(handle);
		released++;
	}
	ps_event_close_reader(&queue->event);
	let_go(queue, HOLD + released);
	return PENSTOCK_OK;
}
