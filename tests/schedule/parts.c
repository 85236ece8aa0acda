/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts by themselves: the ring with its sleepers, handles and their bell, the state word's grace period. Short
 * schedules, so that many of them are tried.
 */
#include <stdlib.h>
#include <string.h>

#include "core/outcome.h"
#include "core/state.h"
#include "queue/ring.h"
#include "tests/schedule/scheduler.h"

#define PRODUCERS_MAX 3
#define SUBMITS_MAX 3

static struct ps_ring ring;
static unsigned producers, submits;
static unsigned accepted[PRODUCERS_MAX], taken[PRODUCERS_MAX];
static uint64_t next;

static uint64_t some_deadline(unsigned one_in)
{
	return schedule_random(one_in) == 0 ? ps_deadline(1 + schedule_random(50)) : PS_NEVER;
}

static void begin(void)
{
	producers = 2 + schedule_random(2);
	submits = 1 + schedule_random(SUBMITS_MAX);
	memset(accepted, 0, sizeof accepted);
	memset(taken, 0, sizeof taken);
	next = 0;
	schedule_check(ps_ring_init(&ring, 2));
}

static bool put(unsigned me)
{
	struct ps_claim claim;

	if (!ps_ring_claim(&ring, &claim))
		return false;
	claim.record->arg = (void *)(uintptr_t)me;
	schedule_point("half a record");
	claim.record->value_count = ++accepted[me];
	ps_ring_publish(&ring, &claim);
	return true;
}

/* What the writer does with one batch: looks, uses, gives back. */
static void take_batch(unsigned most)
{
	const struct ps_record *record;
	uint64_t first = next;

	while (next - first < most && (record = ps_ring_peek(&ring, next)) != NULL) {
		uintptr_t from = (uintptr_t)record->arg;

		schedule_point("uses a record");
		schedule_check(from < producers && record->arg == (void *)from);
		taken[from]++;
		schedule_check(record->value_count == taken[from], "ticket %llu of producer %u is %u, not %u",
		               (unsigned long long)next, (unsigned)from, record->value_count, taken[from]);
		next++;
	}
	if (next != first)
		ps_ring_release(&ring, next);
}

/* Until it is told to end and has drained. */
static void consumer(void *arg)
{
	unsigned most = 1 + schedule_random(3);
	bool slept;

	(void)arg;
	for (;;) {
		if (ps_load_acquire_u32(&ring.attention) != 0 && ps_ring_tail(&ring) == next)
			return;
		if (ps_ring_peek(&ring, next) != NULL)
			take_batch(most);
		else if (ps_ring_park(&ring, next, some_deadline(8), &slept) == PS_PARK_HOLE)
			ps_stall();
	}
}

static void end(void)
{
	unsigned i;

	for (i = 0; i < producers; i++)
		schedule_check(taken[i] == accepted[i], "producer %u: %u accepted, %u taken", i, accepted[i], taken[i]);
	schedule_check(ring.bytes == 0 && ps_ring_head(&ring) == ps_ring_tail(&ring));
	ps_ring_destroy(&ring);
}

static void tell_consumer(void)
{
	ps_store_release_u32(&ring.attention, 1);
	ps_ring_kick(&ring);
}

/* ---- ring: claims, holes, waiting for room, parking ---- */

/* As pass_when_room does. */
static void submit_when_room(unsigned me)
{
	uint64_t deadline = some_deadline(4);

	if (put(me))
		return;
	for (;;) {
		uint32_t key = ps_eventcount_prepare(&ring.room);

		if (put(me) || ps_deadline_passed(deadline)) {
			ps_eventcount_cancel(&ring.room);
			return;
		}
		ps_eventcount_wait(&ring.room, key, deadline);
	}
}

static void producer(void *arg)
{
	unsigned i;

	for (i = 0; i < submits; i++)
		submit_when_room((unsigned)(uintptr_t)arg);
}

/* As penstock_flush does. */
static void flusher(void *arg)
{
	uint64_t target = ps_ring_tail(&ring);

	(void)arg;
	for (;;) {
		uint32_t key = ps_eventcount_prepare(&ring.progress);

		if (ps_ring_head(&ring) >= target) {
			ps_eventcount_cancel(&ring.progress);
			return;
		}
		ps_eventcount_wait(&ring.progress, key, PS_NEVER);
	}
}

static void spawn_producers(unsigned *threads, void (*run)(void *))
{
	static const char *const names[] = { "producer 0", "producer 1", "producer 2" };
	unsigned i;

	for (i = 0; i < producers; i++)
		threads[i] = schedule_spawn(names[i], run, (void *)(uintptr_t)i);
}

static void run_ring(void)
{
	unsigned threads[PRODUCERS_MAX], eater, flush = 0, i;
	bool flushes = schedule_random(2) == 0;

	begin();
	eater = schedule_spawn("consumer", consumer, NULL);
	spawn_producers(threads, producer);
	if (flushes)
		flush = schedule_spawn("flusher", flusher, NULL);
	for (i = 0; i < producers; i++)
		schedule_join(threads[i]);
	if (flushes)
		schedule_join(flush);
	tell_consumer();
	schedule_join(eater);
	end();
}

/* ---- drain: the state word, its grace period, and the tail that is taken after it ---- */

static struct ps_state_word word;
static uint64_t drain_to;

static void gated_producer(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg, i;

	for (i = 0; i < submits; i++) {
		const struct ps_state *state;
		bool full = false;

		ps_rcu_enter();
		state = ps_state_read(&word);
		schedule_check(state->phase == PS_RUNNING || state->phase == PS_STOPPING, "a record is used again too early");
		if (state->admit == PENSTOCK_OK)
			full = !put(me);
		ps_state_leave(&word);
		if (full)
			ps_stall();
	}
}

/* Drains up to drain_to, and then nothing more may come. */
static void draining_consumer(void *arg)
{
	bool slept;

	(void)arg;
	for (;;) {
		if (ps_load_acquire_u32(&ring.attention) != 0 && next >= drain_to)
			return;
		if (ps_ring_peek(&ring, next) != NULL)
			take_batch(1 + schedule_random(2));
		else if (ps_ring_park(&ring, next, PS_NEVER, &slept) == PS_PARK_HOLE)
			ps_stall();
	}
}

static void run_drain(void)
{
	struct ps_keys keys = { .when_paused = PENSTOCK_REFUSE, .when_stopped = PENSTOCK_REFUSE };
	unsigned threads[PRODUCERS_MAX], eater, i;

	begin();
	schedule_check(ps_state_init(&word, &keys));
	ps_state_move(&word, PS_RUNNING);
	eater = schedule_spawn("consumer", draining_consumer, NULL);
	spawn_producers(threads, gated_producer);
	for (i = schedule_random(40); i > 0; i--)
		schedule_point("before the stop");
	ps_state_move(&word, PS_STOPPING);
	drain_to = ps_ring_tail(&ring);
	tell_consumer();
	schedule_join(eater);
	schedule_check(ps_ring_tail(&ring) == drain_to, "accepted behind the drain");
	for (i = 0; i < producers; i++)
		schedule_join(threads[i]);
	ps_state_destroy(&word);
	end();
}

/* ---- handles: complete, wait, release, and the bell ---- */

static struct ps_bell *bell;
static penstock_handle *handles[PRODUCERS_MAX];
static unsigned completed;

static void waiter(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	penstock_handle *handle = handles[me];

	if (ps_handle_wait_until(handle, some_deadline(2))) {
		const penstock_result *result = penstock_handle_result(handle);

		schedule_check(result != NULL && result->changes == me + 1 && strcmp(result->message, "done") == 0);
	}
	penstock_handle_release(handle);
}

static void completing_writer(void *arg)
{
	unsigned i;
	uint32_t bits = 0;

	(void)arg;
	for (i = 0; i < producers; i++) {
		struct ps_outcome *outcome = &handles[i]->outcome;

		ps_outcome_fail(outcome, PENSTOCK_ERROR, 1, "done");
		outcome->result.changes = i + 1;
		completed++;
		ps_handle_complete(handles[i], &bits);
		if (i + 1 == producers || schedule_random(2) == 0) {
			ps_bell_ring(bell, bits);
			bits = 0;
		}
	}
}

static void run_handles(void)
{
	static const int64_t spins[] = { 0, 0, 5 };
	unsigned threads[PRODUCERS_MAX], writer, i;

	if (bell == NULL)
		bell = ps_bell_assign();
	*bell = (struct ps_bell){ 0 };
	producers = 2 + schedule_random(2);
	completed = 0;
	for (i = 0; i < producers; i++) {
		handles[i] = ps_handle_new(0);
		schedule_check(handles[i] != NULL);
		handles[i]->bell = bell;
		handles[i]->ticket = 64 * schedule_random(2);
		handles[i]->spin_usec = spins[schedule_random(3)];
	}
	spawn_producers(threads, waiter);
	writer = schedule_spawn("writer", completing_writer, NULL);
	for (i = 0; i < producers; i++)
		schedule_join(threads[i]);
	schedule_join(writer);
	schedule_check(bell->waiters == 0 && completed == producers);
}

const struct schedule_scenario schedule_parts[] = {
	{ "ring", "two or three producers on a ring of two, room, parking, a flush", run_ring },
	{ "drain", "the state word's grace period and the tail behind it", run_drain },
	{ "handles", "complete, wait, release, and the bell", run_handles },
	{ NULL, NULL, NULL },
};
