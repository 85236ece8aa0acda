/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/schedule/others.h"

#include <limits.h>
#include <time.h>

#include "tests/schedule/scheduler.h"
#include "tests/schedule/store.h"
#include "writer/sqlite/peers.h"

/* A step of a pauser with which its word and its lock are out for certain. */
#define KNOWN_STEP 2

static struct ps_peers pauser, writer;

static void sleep_a_moment(void)
{
	struct timespec moment = ps_timespec(PS_NSEC_PER_MSEC);

	nanosleep(&moment, NULL);
}

static void stand_about(unsigned most)
{
	for (unsigned i = schedule_random(most); i > 0; i--)
		schedule_point("stands about");
}

/* Points to its death; 0: it lives. */
static unsigned some_life(unsigned most)
{
	return schedule_random(2) == 0 ? 1 + schedule_random(most) : 0;
}

/* ---- the pauser ---- */

static void hold(const struct others_plan *plan)
{
	schedule_check(!store_world.in_transaction && !store_world.log.running && !store_world.log.passing &&
	                       !store_world.other_writes,
	               "all are paused, and somebody is at work");
	schedule_check(!store_world.holds_others, "two have paused all");
	store_world.held_by_other = true;
	if (!plan->stands)
		stand_about(60);
	while (plan->stands && !plan->let_go)
		ps_stall();
	store_world.held_by_other = false;
}

static void pause_once(void *arg)
{
	const struct others_plan *plan = arg;
	unsigned steps_most = plan->stands || schedule_random(3) != 0 ? UINT_MAX : 1 + schedule_random(4), steps, before = 0;
	enum ps_peers_pause came_to;

	ps_peers_open(&pauser, STORE_OTHERS, false);
	for (steps = 1; (came_to = ps_peers_pause(&pauser)) == PS_PEERS_WAITS && steps < steps_most; steps++) {
		if (steps == KNOWN_STEP)
			before = store_world.commits;
		schedule_check(steps <= KNOWN_STEP || plan->most == 0 || store_world.commits - before <= plan->most,
		               "an engine goes on while a pauser waits");
		sleep_a_moment();
	}
	schedule_check(came_to != PS_PEERS_NO_LOCKS, "there are no locks");
	if (came_to == PS_PEERS_PAUSED)
		hold(plan);
	ps_peers_close(&pauser);
}

void others_pause(void *arg)
{
	const struct others_plan *plan = arg;
	unsigned rounds;

	for (rounds = plan->stands ? 1 : 1 + schedule_random(2); rounds > 0; rounds--) {
		stand_about(plan->stands ? 10 : 60);
		if (schedule_live(pause_once, arg, plan->stands ? 0 : some_life(120)))
			continue;
		store_world.held_by_other = false;
		beside_die(&pauser.beside);
	}
}

/* ---- another engine ---- */

static bool waits_on(void *arg)
{
	(void)arg;
	return true;
}

/* SQLite's lock is what matters: there may be no turn, or it may be skipped. */
static void write_something(void)
{
	if (store_world.in_transaction)
		return;
	store_world.other_writes = true;
	for (unsigned i = schedule_random(8); i > 0; i--) {
		schedule_check(!store_world.held_by_other && !store_world.holds_others,
		               "another engine writes though all are paused");
		schedule_point("another engine writes");
	}
	store_world.other_writes = false;
}

static void work(void *arg)
{
	unsigned rounds;

	(void)arg;
	ps_peers_open(&writer, STORE_OTHERS, true);
	for (rounds = 1 + schedule_random(5); rounds > 0; rounds--) {
		if (ps_peers_enter(&writer) != PS_ENTRY_IN) {
			sleep_a_moment();
			continue;
		}
		ps_turns_take(&writer.turns, waits_on, NULL);
		write_something();
		ps_turns_end(&writer.turns);
		stand_about(20);
		if (schedule_random(2) == 0)
			ps_peers_leave(&writer);
	}
	ps_peers_close(&writer);
}

void others_write(void *arg)
{
	stand_about(40);
	if (schedule_live(work, arg, some_life(150)))
		return;
	store_world.other_writes = false;
	beside_die(&writer.beside);
}
