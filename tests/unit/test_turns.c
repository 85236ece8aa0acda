/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Turns by themselves, in memory that forked processes share: order, skips, successions, tickets that are left, and that any content
 * of the words lets everybody go on.
 */
#include "tests/kit.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/atomic.h"
#include "writer/sqlite/turns.h"

TestSuite(turns, .init = kit_begin, .fini = harness_end);

#define PROCESSES 4

static struct shared {
	struct ps_turns_words words;
	uint32_t dead[PS_TURNS_PLACES + 2]; /* by place */
	uint32_t order[16], ordered;        /* the places of those that had their turn */
	uint32_t inside, overlaps, skipped, stop;
} * shared;

static bool lives(void *arg, unsigned place)
{
	(void)arg;
	return ps_load_relaxed_u32(&shared->dead[place]) == 0;
}

static bool for_ever(void *arg)
{
	(void)arg;
	return true;
}

/* So many times. */
static bool so_often(void *arg)
{
	unsigned *left = arg;

	return (*left)-- > 0;
}

static void share(void)
{
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED);
}

static struct ps_turns engine(unsigned place)
{
	struct ps_turns turns = { .words = &shared->words, .place = place, .lives = lives };

	return turns;
}

static pid_t process(void (*run)(unsigned place), unsigned place)
{
	pid_t child = fork();

	check(child >= 0);
	if (child == 0) {
		alarm(100);
		run(place);
		_exit(0);
	}
	return child;
}

static void end(pid_t child)
{
	int status;

	check(waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

static void take_once(unsigned place)
{
	struct ps_turns turns = engine(place);

	check(ps_turns_take(&turns, for_ever, NULL));
	shared->order[ps_add_u32(&shared->ordered, 1)] = place;
	ps_add_u32(&shared->skipped, (uint32_t)turns.counts.skipped);
	ps_turns_end(&turns);
}

/* Everybody sleeps who has a ticket and has not its turn. */
static pid_t waiter(unsigned place)
{
	uint32_t before = ps_load_relaxed_u32(&shared->words.tail);
	pid_t child = process(take_once, place);

	await(ps_load_relaxed_u32(&shared->words.tail) != before);
	return child;
}

Test(turns, alone_nobody_waits)
{
	share();
	shared->words.tail = shared->words.serving = UINT32_MAX - 5;
	struct ps_turns turns = engine(3);
	for (unsigned i = 0; i < 2000; i++) {
		check(ps_turns_take(&turns, for_ever, NULL) && turns.held);
		ps_turns_end(&turns);
		ps_turns_end(&turns);
	}
	check(turns.counts.taken == 2000 && turns.counts.waited == 0 && turns.counts.missed == 0);
	check(shared->words.tail == shared->words.serving && shared->words.tail == 2000 - 6);
}

Test(turns, one_is_over_at_the_end_of_its_term)
{
	share();
	struct ps_turns turns = engine(3);

	check(ps_turns_is_over(&turns));
	check(ps_turns_take(&turns, for_ever, NULL));
	check(turns.until > ps_clock_nsec() - 100 * PS_TURNS_LONGEST && turns.until <= ps_clock_nsec() + PS_TURNS_TERM);
	turns.until = ps_clock_nsec() + PS_TURNS_LONGEST;
	check(!ps_turns_is_over(&turns));
	turns.until = ps_clock_nsec();
	check(ps_turns_is_over(&turns) && turns.held);
	turns.until = PS_NEVER;
	ps_turns_end(&turns);
	check(ps_turns_is_over(&turns));
}

Test(turns, there_need_not_be_any)
{
	struct ps_turns turns = { .words = NULL };

	check(!ps_turns_take(&turns, for_ever, NULL));
	ps_turns_end(&turns);
	check(turns.counts.missed == 1 && turns.counts.taken == 0);
}

Test(turns, the_order_is_that_of_the_tickets)
{
	pid_t children[PROCESSES];
	unsigned i;

	share();
	for (unsigned round = 0; round < 20; round++) {
		struct ps_turns turns = engine(9);

		shared->ordered = shared->skipped = 0;
		check(ps_turns_take(&turns, for_ever, NULL));
		for (i = 0; i < PROCESSES; i++)
			children[i] = waiter(i);
		ps_turns_end(&turns);
		for (i = 0; i < PROCESSES; i++)
			end(children[i]);
		check(shared->ordered == PROCESSES);
		/* On a busy machine a process may sleep so long that it is skipped. */
		for (i = 0; i < PROCESSES && shared->skipped == 0; i++)
			check(shared->order[i] == i, "%u is %u's", i, shared->order[i]);
	}
}

static void take_many(unsigned place)
{
	struct ps_turns turns = engine(place);

	for (unsigned i = 0; i < 3000; i++) {
		uint64_t waited = turns.counts.wait_nsec;

		/* On a busy machine a process may not run for so long that it gives up. */
		if (!ps_turns_take(&turns, for_ever, NULL)) {
			check(turns.counts.wait_nsec - waited >= PS_TURNS_LONGEST);
			continue;
		}
		if (ps_add_u32(&shared->inside, 1) != 0)
			ps_add_u32(&shared->overlaps, 1);
		ps_add_u32(&shared->inside, UINT32_MAX);
		ps_turns_end(&turns);
	}
	ps_add_u32(&shared->skipped, (uint32_t)turns.counts.skipped);
	check(turns.counts.taken + turns.counts.missed == 3000 && turns.counts.succeeded == 0);
}

Test(turns, one_at_a_time)
{
	pid_t children[PROCESSES];
	unsigned i;

	share();
	shared->words.tail = shared->words.serving = UINT32_MAX - 5000;
	/* They begin together, or one is done before the next one is there. */
	struct ps_turns first = engine(PROCESSES);
	check(ps_turns_take(&first, for_ever, NULL));
	for (i = 0; i < PROCESSES; i++)
		children[i] = process(take_many, i);
	await(ps_load_relaxed_u32(&shared->words.tail) - first.ticket > PROCESSES);
	ps_turns_end(&first);
	for (i = 0; i < PROCESSES; i++)
		end(children[i]);
	check(shared->skipped > 0 || shared->overlaps == 0, "%u overlaps", shared->overlaps);
	check(shared->words.serving == shared->words.tail);
}

Test(turns, who_stands_still_is_skipped_once_for_all)
{
	pid_t children[PROCESSES];
	unsigned i;

	share();
	struct ps_turns stopped = engine(9);
	check(ps_turns_take(&stopped, for_ever, NULL));
	for (i = 0; i < PROCESSES; i++)
		children[i] = waiter(i);
	for (i = 0; i < PROCESSES; i++)
		end(children[i]);
	check(shared->ordered == PROCESSES && shared->skipped > 0);
	check(shared->words.serving == shared->words.tail);
	/* Late. */
	ps_turns_end(&stopped);
	check(shared->words.serving == shared->words.tail);
	check(ps_turns_take(&stopped, for_ever, NULL) && stopped.counts.waited == 0);
	ps_turns_end(&stopped);
}

Test(turns, the_dead_are_succeeded)
{
	share();
	for (unsigned dead = 1; dead < 30; dead++) {
		struct ps_turns heir = engine(100);

		/* Killed with its turn, and others in line behind it. */
		for (unsigned i = 0; i < dead; i++) {
			struct ps_turns killed = engine(i);

			shared->dead[i] = 1;
			killed.ticket = ps_add_u32(&shared->words.tail, 1);
			shared->words.holders[killed.ticket % PS_TURNS_HOLDERS] = killed.ticket << PS_TURNS_PLACE_BITS | i;
		}
		check(ps_turns_take(&heir, for_ever, NULL));
		check(heir.counts.succeeded == dead && heir.counts.skipped == 0 && heir.counts.waited == 1);
		ps_turns_end(&heir);
		check(shared->words.serving == shared->words.tail);
	}
}

/* Another process has seen to it. */
static bool dies_and_is_succeeded(void *arg, unsigned place)
{
	(void)arg;
	(void)place;
	ps_add_u32(&shared->words.serving, 1);
	return false;
}

Test(turns, one_whom_another_has_succeeded_is_not_counted)
{
	share();
	struct ps_turns dead = engine(1), heir = engine(2);
	check(ps_turns_take(&dead, for_ever, NULL));
	heir.lives = dies_and_is_succeeded;
	check(ps_turns_take(&heir, for_ever, NULL));
	check(heir.counts.succeeded == 0 && heir.counts.skipped == 0 && heir.counts.waited == 1);
	ps_turns_end(&heir);
	check(shared->words.serving == shared->words.tail);
}

/* On a busy machine the time to sleep may be over before that has begun: once more, then. */
Test(turns, who_waits_sleeps)
{
	struct rusage before, after;

	share();
	do {
		struct ps_turns holder = engine(1), next = engine(2);

		check(ps_turns_take(&holder, for_ever, NULL));
		check(getrusage(RUSAGE_THREAD, &before) == 0);
		check(ps_turns_take(&next, for_ever, NULL) && next.counts.waited == 1);
		check(getrusage(RUSAGE_THREAD, &after) == 0);
		ps_turns_end(&next);
		ps_turns_end(&holder);
	} while (after.ru_nvcsw == before.ru_nvcsw);
}

Test(turns, a_ticket_that_is_left_holds_nobody_up)
{
	pid_t child;

	share();
	struct ps_turns holder = engine(1), leaver = engine(2);
	check(ps_turns_take(&holder, for_ever, NULL));
	for (unsigned i = 0; i < 3; i++) {
		unsigned looks = 0;

		check(!ps_turns_take(&leaver, so_often, &looks) && !leaver.held);
	}
	child = waiter(3);
	ps_turns_end(&holder);
	end(child);
	check(leaver.counts.missed == 3 && shared->words.serving == shared->words.tail);
	/* On a busy machine the holder may be. */
	check(shared->ordered == 1 && shared->skipped <= 1);
}

Test(turns, a_ticket_that_was_passed_is_void)
{
	share();
	struct ps_turns turns = engine(1);
	shared->words.tail = 1000;
	shared->words.serving = 1003;
	check(ps_turns_take(&turns, for_ever, NULL) && turns.ticket == 1003);
	check(turns.counts.skipped == 0 && turns.counts.taken == 1);
	ps_turns_end(&turns);
	check(shared->words.serving == 1004 && shared->words.tail == 1004);
}

/* Left at the moment in which it is served. */
static struct ps_turns *serving_now;

static bool serve_and_give_up(void *arg)
{
	(void)arg;
	ps_turns_end(serving_now);
	return false;
}

Test(turns, one_that_is_left_too_late_is_passed_on)
{
	share();
	struct ps_turns holder = engine(1), leaver = engine(2);
	serving_now = &holder;
	check(ps_turns_take(&holder, for_ever, NULL));
	check(!ps_turns_take(&leaver, serve_and_give_up, NULL));
	check(shared->words.serving == shared->words.tail);
}

Test(turns, no_wait_is_longer_than_the_longest)
{
	share();
	struct ps_turns turns = engine(1);
	uint32_t i;

	/* A line of living ones that never end, each skipped after a while. */
	for (i = 0; i < 500; i++)
		shared->words.holders[i] = i << PS_TURNS_PLACE_BITS | 7;
	shared->words.tail = 500;
	check(!ps_turns_take(&turns, for_ever, NULL) && turns.counts.missed == 1);
	check(turns.counts.wait_nsec >= PS_TURNS_LONGEST && turns.counts.skipped > 1);
}

static void take_some(unsigned place)
{
	struct ps_turns turns = engine(place);

	while (ps_load_relaxed_u32(&shared->stop) == 0) {
		unsigned looks = 5;

		if (ps_turns_take(&turns, so_often, &looks))
			ps_turns_end(&turns);
	}
	check(turns.counts.taken > 0);
}

Test(turns, any_content_is_legal)
{
	pid_t children[PROCESSES];
	uint64_t random = 1;
	unsigned i;

	share();
	for (i = 0; i < PROCESSES; i++)
		children[i] = process(take_some, i);
	for (i = 0; i < 300; i++) {
		struct ps_turns turns = engine(100);
		uint32_t *words = (uint32_t *)&shared->words;

		for (size_t j = 0; j < sizeof shared->words / sizeof *words; j++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			if (i % 3 != 0 || j % 32 == 0)
				ps_store_relaxed_u32(&words[j],
				                     i % 3 == 2 ? (uint32_t)(random >> 62) : (uint32_t)(random >> 32));
		}
		check(ps_turns_take(&turns, for_ever, NULL) || turns.counts.missed == 1);
		ps_turns_end(&turns);
	}
	ps_store_relaxed_u32(&shared->stop, 1);
	for (i = 0; i < PROCESSES; i++)
		end(children[i]);
}

Test(turns, garbage_at_rest_costs_nobody_more_than_a_moment)
{
	static const uint32_t apart[] = { 1, 5, 1023, 1024, 1025, 70000, UINT32_C(1) << 31, UINT32_MAX - 1024, UINT32_MAX };

	share();
	for (size_t i = 0; i < COUNT_OF(apart); i++) {
		struct ps_turns turns = engine(1);
		unsigned took = 0;

		shared->words.tail = 1000;
		shared->words.serving = 1000 + apart[i];
		/* Each either waits its turn or, where nobody ahead moves, skips. */
		while (took < 3) {
			if (ps_turns_take(&turns, for_ever, NULL))
				took++;
			ps_turns_end(&turns);
		}
		check(shared->words.tail == shared->words.serving);
	}
}
