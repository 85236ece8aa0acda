/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cases.c - the ring, the park, the event counts, the bell, cancels, the completion queues, the counters and the checkpoint thread, with as few threads and steps as can go wrong
 *
 * What is called is the code that ships. Where the engine's own loop around it would bring the whole engine along, the loop
 * is written out here, and named.
 */
#include "tests/litmus/cases.h"

#include <stdlib.h>
#include <string.h>

#include "core/cancel.h"
#include "core/counters.h"
#include "core/outcome.h"
#include "core/thread.h"
#include "queue/completions.h"
#include "queue/ring.h"
#include "writer/checkpointer.h"

#define SLOTS 2

static struct ps_ring ring;
static struct ps_counters counters;
static uint64_t taken[8]; /* the arguments of the records, in the order of the tickets */
static unsigned taken_count;

static void begin_ring(void)
{
	ps_ring_init(&ring, SLOTS);
	taken_count = 0;
}

static void end_ring(void)
{
	ps_ring_destroy(&ring);
}

/* ---- R1 to R4: claim, publish, peek, release ---------------------------------------------------------------------- */

/* submit.c: a claim, the record, its publication. False when the ring is full. */
static bool submit(uint64_t number)
{
	struct ps_claim claim;

	if (!ps_ring_claim(&ring, &claim))
		return false;
	litmus_writes(claim.record);
	claim.record->submit_nsec = number;
	ps_ring_publish(&ring, &claim);
	return true;
}

static void submit_or_await(uint64_t number)
{
	while (!submit(number))
		litmus_await();
}

/* batch.c: takes what is published at `next`, and gives the slot back. */
static bool take(uint64_t next)
{
	const struct ps_record *record = ps_ring_peek(&ring, next);

	if (record == NULL)
		return false;
	litmus_reads(record);
	taken[taken_count++] = record->submit_nsec;
	ps_ring_release(&ring, next + 1);
	return true;
}

static void take_or_await(uint64_t next)
{
	while (!take(next))
		litmus_await();
}

static void submit_three(void)
{
	for (uint64_t number = 1; number <= 3; number++)
		submit_or_await(number);
}

static void take_three(void)
{
	for (uint64_t next = 0; next < 3; next++)
		take_or_await(next);
}

static void submit_one(void)
{
	submit_or_await(1);
}

static void submit_two(void)
{
	submit_or_await(2);
}

static void submit_both(void)
{
	submit_one();
	submit_two();
}

static void check_order(void)
{
	litmus_check(taken_count == 3 && taken[0] == 1 && taken[1] == 2 && taken[2] == 3, "the records are not in order");
}

static void begin_one_submitted(void)
{
	begin_ring();
	submit(3);
}

static void check_all(void)
{
	litmus_check(taken_count == 3 && taken[0] == 3 && taken[1] + taken[2] == 3, "a record is lost, or there twice");
}

/* ---- P1 to P4: the parked mark and the kick ------------------------------------------------------------------------ */

/* writer.c: until `count` records have come. */
static void park_until(uint64_t count)
{
	uint64_t next = 0;
	bool slept;

	while (next < count) {
		if (take(next))
			next++;
		else if (ps_ring_park(&ring, next, PS_NEVER, &slept) == PS_PARK_HOLE)
			litmus_await();
	}
}

static void park_for_one(void)
{
	park_until(1);
}

static void park_for_two(void)
{
	park_until(2);
}

/* control.c: command_locked. */
static void kick(void)
{
	ps_store_release_u32(&ring.attention, 1);
	ps_ring_kick(&ring);
}

static void park_until_kicked(void)
{
	bool slept;

	while (ps_ring_park(&ring, 0, PS_NEVER, &slept) != PS_PARK_ATTENTION)
		continue;
}

/* Where the kick and a claim both want to clear the mark, one of them does. */
static void park_for_one_and_kick(void)
{
	bool kicked = false, taken_one = false, slept;

	while (!kicked || !taken_one) {
		if (!taken_one && take(0))
			taken_one = true;
		else if (kicked)
			litmus_await(); /* the record is on its way */
		else
			switch (ps_ring_park(&ring, taken_one, PS_NEVER, &slept)) {
			case PS_PARK_ATTENTION:
				kicked = true;
				break;
			case PS_PARK_HOLE:
				litmus_await();
				break;
			default:
				break;
			}
	}
}

/* ---- E1 and E2: waiting for room, and for progress ----------------------------------------------------------------- */

static void begin_full(void)
{
	begin_ring();
	submit(1);
	submit(2);
}

/* submit.c: enqueue_when_room. */
static void submit_when_room(uint64_t number)
{
	for (;;) {
		uint32_t key = ps_eventcount_prepare(&ring.room);

		if (submit(number)) {
			ps_eventcount_cancel(&ring.room);
			return;
		}
		ps_eventcount_wait(&ring.room, key, PS_NEVER);
	}
}

static void submit_third_when_room(void)
{
	submit_when_room(3);
}

static void take_one(void)
{
	take_or_await(0);
}

#define BYTES_MOST 100

static void begin_full_of_bytes(void)
{
	begin_ring();
	ps_ring_reserve_bytes(&ring, NULL, BYTES_MOST, BYTES_MOST);
	submit(1);
}

/* submit.c: claim_slot, of a value outside the slot. */
static void submit_bytes_when_room(void)
{
	for (;;) {
		uint32_t key = ps_eventcount_prepare(&ring.room);

		if (ps_ring_has_room(&ring, NULL) && ps_ring_reserve_bytes(&ring, NULL, BYTES_MOST, BYTES_MOST) && submit(2)) {
			ps_eventcount_cancel(&ring.room);
			return;
		}
		ps_eventcount_wait(&ring.room, key, PS_NEVER);
	}
}

/* entries.c: the bytes first, then the slot. */
static void take_bytes(void)
{
	ps_ring_return_bytes(&ring, BYTES_MOST);
	take_or_await(0);
}

/* engine.c: penstock_flush. */
static void flush(void)
{
	for (;;) {
		uint32_t key = ps_eventcount_prepare(&ring.progress);

		if (ps_ring_head(&ring) >= 1) {
			ps_eventcount_cancel(&ring.progress);
			return;
		}
		ps_eventcount_wait(&ring.progress, key, PS_NEVER);
	}
}

/* ---- H1, H2, B1, B2: an outcome and the bell ----------------------------------------------------------------------- */

static struct ps_bell bell;
static penstock_handle *handles[2];
static unsigned handle_count;

static void begin_handles(unsigned count)
{
	memset(&bell, 0, sizeof bell);
	for (handle_count = 0; handle_count < count; handle_count++) {
		handles[handle_count] = ps_handle_new(0);
		handles[handle_count]->bell = &bell;
		handles[handle_count]->ticket = 64 * handle_count; /* a bit of its own */
	}
}

static void begin_one_handle(void)
{
	begin_handles(1);
}

static void begin_two_handles(void)
{
	begin_handles(2);
}

/* Freed by the writer, or kept as a spare one by the thread that let it go. */
static void check_handles(void)
{
	unsigned spare = ps_thread.heap == NULL ? 0 : ps_thread.heap->spare_count;

	/* Each with its message. */
	litmus_check(litmus_frees() + spare == 2 * handle_count, "a handle was not let go once");
}

static void end_handles(void)
{
	ps_thread_clear();
}

static void wait_for(penstock_handle *handle)
{
	penstock_handle_wait(handle, PENSTOCK_FOREVER);
	litmus_reads(handle);
	penstock_handle_release(handle);
}

static void wait_for_first(void)
{
	wait_for(handles[0]);
}

static void wait_for_second(void)
{
	wait_for(handles[1]);
}

/* Looks once, and lets go. */
static void glance_at_first(void)
{
	if (penstock_handle_result(handles[0]) != NULL)
		litmus_reads(handles[0]);
	penstock_handle_release(handles[0]);
}

/* batch.c: the outcomes of a batch, and then the bell. */
static void complete(void)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < handle_count; i++) {
		litmus_writes(handles[i]);
		ps_outcome_fail(&handles[i]->outcome, PENSTOCK_ERROR, SQLITE_ERROR, "");
		ps_handle_complete(handles[i], &bits);
	}
	ps_bell_ring(&bell, bits);
}

/* ---- K1 and K2: cancels --------------------------------------------------------------------------------------------- */

static bool begun, cancelled;

static void begin_cancellable(unsigned count)
{
	begin_handles(count);
	for (unsigned i = 0; i < count; i++)
		ps_cancel_allow(handles[i]);
	begun = cancelled = false;
}

static void begin_one_cancellable(void)
{
	begin_cancellable(1);
}

static void begin_two_cancellable(void)
{
	begin_cancellable(2);
}

/* entries.c: ps_entries_begin, and the outcome that follows. */
static void begin_and_complete(void)
{
	begun = ps_cancel_begin(handles[0]);
	complete();
}

static void cancel_and_wait(void)
{
	cancelled = penstock_handle_cancel(handles[0]) == PENSTOCK_OK;
	wait_for_first();
	litmus_check(begun != cancelled, "neither the begin nor the cancel has won, or both");
}

static void cancel_first(void)
{
	penstock_handle_cancel(handles[0]);
}

static void cancel_second(void)
{
	penstock_handle_cancel(handles[1]);
}

/* reaper.c: looks at the handles when the count has moved, until all of them are cancelled. */
static void look_for_cancels(void)
{
	uint32_t seen = 0;
	unsigned left = handle_count;

	while (left > 0) {
		uint32_t count = ps_cancel_count(&bell);

		if (count == seen) {
			litmus_await();
			continue;
		}
		seen = count;
		left = 0;
		for (unsigned i = 0; i < handle_count; i++)
			left += !ps_cancel_asked(handles[i]);
	}
}

static void end_cancelled(void)
{
	for (unsigned i = 0; i < handle_count; i++)
		ps_handle_free(handles[i]);
}

/* ---- Q1 to Q6, E3 and E4: completion queues ------------------------------------------------------------------------- */

static penstock_completions *queue;
static unsigned queue_taken; /* handles */

/* With so many submissions, that are not complete yet. */
static void begin_queue(unsigned count, unsigned most)
{
	begin_handles(count);
	queue = ps_completions_new(1, most);
	queue_taken = 0;
	for (unsigned i = 0; i < count; i++) {
		ps_completions_take_place(queue);
		handles[i]->completions = queue;
	}
}

static void begin_queue_of_one(void)
{
	begin_queue(1, 1);
}

/* As after somebody was told of room: the flag is up, and nothing is there. */
static void begin_raised_queue_of_one(void)
{
	begin_queue(1, 1);
	queue->flag = 1;
	ps_event_raise(&queue->event);
}

static void begin_queue_of_two(void)
{
	begin_queue(2, 2);
}

/* entries.c: ps_entries_deliver, of a batch. */
static void deliver(unsigned first, unsigned end)
{
	penstock_completions *told = NULL;
	uint32_t bits = 0;

	for (unsigned i = first; i < end; i++) {
		litmus_writes(handles[i]);
		ps_handle_complete(handles[i], &bits);
		ps_completions_put(queue, handles[i], &told);
	}
	ps_completions_tell(told);
}

static void deliver_one(void)
{
	deliver(0, 1);
}

static void deliver_together(void)
{
	deliver(0, 2);
}

static void deliver_each(void)
{
	deliver(0, 1);
	deliver(1, 2);
}

/* A loop: sleeps until the descriptor is readable, and takes; in order; and closes. */
static void take_by(size_t room)
{
	while (queue_taken < handle_count) {
		penstock_handle *taken_now[2];
		size_t count;

		litmus_poll(&queue->event);
		penstock_completions_take(queue, taken_now, room, &count);
		for (size_t i = 0; i < count; i++) {
			litmus_check(taken_now[i] == handles[queue_taken++], "not in order");
			litmus_reads(taken_now[i]);
			penstock_handle_release(taken_now[i]);
		}
	}
	litmus_check(penstock_completions_close(queue) == PENSTOCK_OK, "not closed");
}

static void take_and_close(void)
{
	take_by(2);
}

static void take_one_by_one_and_close(void)
{
	take_by(1);
}

static void take_once(void)
{
	penstock_handle *handle;
	size_t count;

	penstock_completions_take(queue, &handle, 1, &count);
	queue_taken += (unsigned)count;
}

/* Else nobody would hear of what is there, or of what comes. */
static void check_raised(void)
{
	litmus_check(queue->event.raised != 0 || (queue->flag == 0 && queue->list == 0), "not readable, and the flag is up");
}

static void end_abandoned(void)
{
	penstock_completions_abandon(queue);
	if (queue_taken != 0)
		penstock_handle_release(handles[0]);
	end_handles();
}

static void abandon_queue(void)
{
	penstock_completions_abandon(queue);
}

/* The handles' memory with their spare ones, and the queue's. */
static void check_queue(void)
{
	unsigned spare = ps_thread.heap == NULL ? 0 : ps_thread.heap->spare_count;

	litmus_check(litmus_frees() + spare == handle_count + 1, "a handle or the queue was not let go once");
}

/* Two claims, of which one is let go of meanwhile. */
static void begin_queue_of_one_and_its_handle(void)
{
	begin_queue(1, 1);
	ps_handle_add_claim(handles[0]);
}

static void begin_full_and_asking(void)
{
	begin_full();
	begin_queue(0, 1);
}

/* A loop: asks for room, looks again, and sleeps until the descriptor is readable. */
static void submit_when_told(void)
{
	size_t count;

	while (!submit(3)) {
		ps_completions_ask(queue, &ring.room);
		if (submit(3))
			break;
		litmus_poll(&queue->event);
		penstock_completions_take(queue, NULL, 0, &count);
	}
	penstock_completions_close(queue);
}

/* Two queues of one loop, which asks for both. */
static penstock_completions *queues[2];

static void begin_two_asking(void)
{
	begin_ring();
	for (unsigned i = 0; i < 2; i++)
		queues[i] = ps_completions_new(1, 1);
}

static void ask_twice(void)
{
	ps_completions_ask(queues[0], &ring.room);
	ps_completions_ask(queues[1], &ring.room);
	if (ps_ring_head(&ring) == 0) {
		litmus_poll(&queues[0]->event);
		litmus_poll(&queues[1]->event);
	}
	penstock_completions_close(queues[0]);
	penstock_completions_close(queues[1]);
}

static void make_room(void)
{
	ps_store_relaxed_u64(&ring.head, 1);
	ps_eventcount_broadcast(&ring.room);
}

/* Who has asked, and was not told since, is told now: all queues are closed. */
static void check_asking(void)
{
	ps_eventcount_broadcast(&ring.room);
	litmus_check(litmus_frees() == 1, "a queue is left");
}

static void check_two_asking(void)
{
	ps_eventcount_broadcast(&ring.room);
	litmus_check(litmus_frees() == 2, "a queue is left");
}

/* The same, for a place. */
static void place_when_told(void)
{
	size_t count;

	while (ps_completions_take_place(queue) != PENSTOCK_OK) {
		ps_completions_ask(queue, &ring.room);
		if (ps_completions_take_place(queue) == PENSTOCK_OK)
			break;
		litmus_poll(&queue->event);
		penstock_completions_take(queue, NULL, 0, &count);
	}
}

static void give_place_back(void)
{
	ps_completions_give_back(queue, 1);
}

static void begin_no_places(void)
{
	begin_ring();
	begin_queue(0, 1);
	ps_completions_take_place(queue);
	/* It has asked before, and been told of a place. */
	ps_completions_ask(queue, &ring.room);
	queue->wanted = 0;
}

static void end_no_places(void)
{
	penstock_completions_abandon(queue);
	ps_eventcount_broadcast(&ring.room);
	end_ring();
}

/* ---- C1 and C2: the counters ---------------------------------------------------------------------------------------- */

static void begin_counters(void)
{
	memset(&counters, 0, sizeof counters);
}

static void count(void)
{
	for (int i = 0; i < 2; i++) {
		ps_count(&counters, &counters.writer.committed, 1);
		ps_count(&counters, &counters.writer.failed, 1);
		ps_counters_publish(&counters);
	}
}

static void read_counters(void)
{
	const size_t bytes = offsetof(penstock_counters, failed) + sizeof counters.writer.failed;
	penstock_counters all;

	ps_counters_copy(&counters, &all, bytes);
	litmus_check(all.committed == all.failed, "a torn set of counters");
}

static void end_counters(void)
{
}

/* ---- X1 to X6: the checkpoint thread -------------------------------------------------------------------------------- */

struct litmus_created litmus_created;

struct ps_log_pass_store {
	int content;
};

static struct ps_checkpointer checkpointer;
static struct ps_options options;
static struct ps_log_pass_store log_store;
static unsigned passes;

void ps_log_pass_open(struct ps_log_pass_store **store, const char *path, const struct ps_options *given,
                      struct ps_log_pass *pass)
{
	(void)path;
	(void)given;
	litmus_reads(pass);
	litmus_writes(&log_store);
	*store = &log_store;
}

void ps_log_pass_run(struct ps_log_pass_store *store, struct ps_log_pass *pass)
{
	litmus_reads(store);
	litmus_writes(pass);
	passes++;
}

void ps_log_pass_interrupt(struct ps_log_pass_store *store)
{
	litmus_reads(store);
}

void ps_log_pass_close(struct ps_log_pass_store *store)
{
	litmus_writes(store);
}

/* The thread is made, and asked for a first pass. */
static void begin_asked(void)
{
	begin_ring();
	memset(&checkpointer, 0, sizeof checkpointer);
	options.keys.writer_cpu = -1;
	checkpointer.ring = &ring;
	checkpointer.options = &options;
	passes = 0;
	ps_checkpointer_ask(&checkpointer, false, true);
}

/* As if that were over, and its report not taken. */
static void begin_done(void)
{
	begin_asked();
	ring.report = 1;
	for (checkpointer.word = 0; !ps_checkpointer_is_done(&checkpointer); checkpointer.word++)
		continue;
}

static void run_checkpoint_thread(void)
{
	litmus_run_created();
}

static void take_report(void)
{
	litmus_reads(ps_checkpointer_take(&checkpointer));
}

/* writer.c: an idle writer sleeps on the ring until there is a report. */
static void park_until_report(void)
{
	bool slept;

	while (ps_ring_park(&ring, 0, PS_NEVER, &slept) != PS_PARK_ATTENTION)
		continue;
	while (!ps_checkpointer_is_done(&checkpointer))
		litmus_await(); /* the mark is there, the word is on its way */
	take_report();
	ps_checkpointer_end(&checkpointer);
}

/* room.c: ps_room_hold. */
static void take_and_ask_and_wait(void)
{
	take_report();
	litmus_writes(&checkpointer.pass);
	ps_checkpointer_ask(&checkpointer, true, true);
	ps_checkpointer_wait(&checkpointer);
	take_report();
	ps_checkpointer_end(&checkpointer);
}

/* room.c: abandon, and end. */
static void hurry_and_end(void)
{
	ps_checkpointer_hurry(&checkpointer);
	ps_checkpointer_end(&checkpointer);
}

static void check_one_pass(void)
{
	litmus_check(passes == 1 && ring.report == 0, "a pass or its report is lost, or there twice");
}

const struct litmus_case litmus_cases[] = {
	{ "one producer, around the ring", begin_ring, { submit_three, take_three }, check_order, end_ring },
	{ "two producers", begin_one_submitted, { submit_one, submit_two, take_three }, check_all, end_ring },
	{ "park, and a record", begin_ring, { submit_one, park_for_one }, NULL, end_ring },
	{ "park, and two records", begin_ring, { submit_both, park_for_two }, NULL, end_ring },
	{ "park, and a kick", begin_ring, { kick, park_until_kicked }, NULL, end_ring },
	{ "park, a record and a kick", begin_ring, { submit_one, kick, park_for_one_and_kick }, NULL, end_ring },
	{ "room", begin_full, { submit_third_when_room, take_one }, NULL, end_ring },
	{ "room for bytes", begin_full_of_bytes, { submit_bytes_when_room, take_bytes }, NULL, end_ring },
	{ "progress", begin_full, { flush, take_one }, NULL, end_ring },
	{ "an outcome", begin_one_handle, { wait_for_first, complete }, check_handles, end_handles },
	{ "two outcomes, one bell",
	  begin_two_handles,
	  { wait_for_first, wait_for_second, complete },
	  check_handles,
	  end_handles },
	{ "an outcome that nobody waits for", begin_one_handle, { glance_at_first, complete }, check_handles, end_handles },
	{ "a cancel, and a begin", begin_one_cancellable, { cancel_and_wait, begin_and_complete }, check_handles, end_handles },
	{ "a cancel, and who looks for it", begin_one_cancellable, { cancel_first, look_for_cancels }, NULL, end_cancelled },
	{ "two cancels, and who looks for them",
	  begin_two_cancellable,
	  { cancel_first, cancel_second, look_for_cancels },
	  NULL,
	  end_cancelled },
	{ "completions of a batch", begin_queue_of_two, { deliver_together, take_and_close }, check_queue, end_handles },
	{ "completions that are taken one by one",
	  begin_queue_of_two,
	  { deliver_together, take_one_by_one_and_close },
	  check_queue,
	  end_handles },
	{ "a completion, and the flag is up",
	  begin_raised_queue_of_one,
	  { deliver_one, take_and_close },
	  check_queue,
	  end_handles },
	{ "completions of two batches", begin_queue_of_two, { deliver_each, take_and_close }, check_queue, end_handles },
	{ "a completion, and a take", begin_raised_queue_of_one, { deliver_one, take_once }, check_raised, end_abandoned },
	{ "a completion, and the queue is abandoned",
	  begin_queue_of_one,
	  { deliver_one, abandon_queue },
	  check_queue,
	  end_handles },
	{ "a completion with a handle besides",
	  begin_queue_of_one_and_its_handle,
	  { deliver_one, take_and_close, glance_at_first },
	  check_queue,
	  end_handles },
	{ "room, and who asks for it", begin_full_and_asking, { submit_when_told, take_one }, check_asking, end_ring },
	{ "room, and two who ask for it", begin_two_asking, { ask_twice, make_room }, check_two_asking, end_ring },
	{ "a place, and who asks for it", begin_no_places, { place_when_told, give_place_back }, NULL, end_no_places },
	{ "a pass, and a writer that sleeps",
	  begin_asked,
	  { park_until_report, run_checkpoint_thread },
	  check_one_pass,
	  end_ring },
	{ "a pass behind another", begin_done, { take_and_ask_and_wait, run_checkpoint_thread }, check_one_pass, end_ring },
	{ "a pass that is hurried", begin_asked, { hurry_and_end, run_checkpoint_thread }, check_one_pass, end_ring },
	{ "counters", begin_counters, { count, read_counters }, NULL, end_counters },
};
const unsigned litmus_case_count = sizeof litmus_cases / sizeof *litmus_cases;
