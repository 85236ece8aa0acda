/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - explores the schedules of every scenario, and of code that is broken on purpose
 *
 *     test_schedule [--schedules N] [--seed N] [--scenario NAME] [--no-controls] [--control-schedules N]
 *     test_schedule --scenario NAME --replay SEED [--control NAME]      prints each step of one schedule
 *     test_schedule --list
 *
 * N schedules of each scenario (20000, or PENSTOCK_SCHEDULES of the environment); schedule i has the seed mix(N, i),
 * and a failure names the seed to replay. A control runs in a child, since a broken engine may well crash; a crash
 * counts as caught. One line of TAP for each scenario and control, and one that adds up.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fault.h"
#include "tests/schedule/scheduler.h"

#define SCENARIOS_MAX 32

static const struct schedule_control controls[] = {
	{ "publish does not wake (P1)", "ring", "wake_consumer", "wake", "claim_low(ring)", 0 },
	{ "no second look at the attention word (P4)", "ring", "ps_ring_park", "load", "&ring->attention", 2 },
	{ "no fence in kick (P3)", "ring", "ps_ring_kick", "fence", "", 0 },
	{ "no fence before the look for waiters (E2)", "ring", "ps_eventcount_waited", "fence", "", 0 },
	{ "a waiter is not counted (E1)", "ring", "ps_eventcount_prepare", "add", "&event->waiters", 0 },
	{ "a wake does not move the sequence", "ring", "ps_eventcount_wake", "add", "&event->sequence", 0 },
	{ "no grace period (S1)", "drain", "replace", "grace", "", 0 },
	{ "the bell does not move (B2)", "handles", "ps_bell_ring", "add", "&bell->rung", 0 },
	{ "the bell wakes nobody", "handles", "ps_bell_ring", "wake", "&bell->rung", 0 },
	{ "no fence before the look for waiters (E2)", "submit", "ps_eventcount_waited", "fence", "", 0 },
	{ "no grace period (S1)", "pause", "replace", "grace", "", 0 },
	{ "no grace period (S1)", "stop", "replace", "grace", "", 0 },
	{ "bytes are had without a look at the line", "turn", "ps_line_is_others", "load", "&line->first", 0 },
	{ "a begin takes what is cancelled", "stop", "ps_cancel_begin", "cas", "&handle->cancel", 0 },
	{ "a cancel takes what has begun", "stop", "penstock_handle_cancel", "cas", "&handle->cancel", 0 },
	{ "close frees what others look at", "leave", "wait_until_all_left", "grace", "", 0 },
	{ "close does not count who is inside", "leave", "ps_engine_look", "add", "(uint32_t *)&db->inside", 0 },
	{ "the writer does not say that it has paused", "pause", "obey_locked", "broadcast", "&control->changed", 2 },
	{ "a request for room is not counted (E3)", "completions", "ps_eventcount_ask", "add", "&event->waiters", 0 },
	{ "the flag is not lowered", "completions", "lower_flag", "store", "&queue->flag", 0 },
	{ "no fence behind it (Q3)", "completions", "lower_flag", "fence", "", 0 },
	{ "no second look at the report (P4)", "broken-pass", "ps_ring_park", "load", "&ring->report", 2 },
	{ "a report does not kick", "broken-pass", "checkpointer_main", "store", "&checkpointer->ring->report", 0 },
	{ "a report that is ready wakes nobody", "checkpoints", "checkpointer_main", "wake", "&checkpointer->word", 0 },
	{ "a pass that is asked for wakes nobody", "checkpoints", "tell", "wake", "&checkpointer->word", 0 },
	{ "the descriptor is not raised", "completions", "raise_event", "raise", "&queue->event", 0 },
	{ "who comes in has no lock", "pause-of-all", "share", "share", "PS_BESIDE_PAUSE", 0 },
	{ "who comes in does not look for a pauser", "pause-of-all", "share", "look", "PS_BESIDE_PAUSING", 0 },
	{ "who is in does not look for a pauser", "pause-of-all", "ps_peers_is_asked_to_leave", "load", "&peers->page->pausing",
	  0 },
	{ "who leaves keeps the lock", "pause-of-all", "ps_peers_leave", "unlock", "PS_BESIDE_PAUSE", 0 },
	{ "a pauser does not wait for who is in", "pause-of-all", "ps_peers_pause", "lock", "PS_BESIDE_PAUSE", 0 },
	{ "a pauser keeps nobody out while it waits", "pause-of-all", "ps_peers_pause", "lock", "PS_BESIDE_PAUSING", 0 },
	{ "a pauser asks nobody to leave", "pause-of-all", "ps_peers_pause", "store", "&peers->page->pausing", 0 },
	{ "an unpause keeps the locks", "pause-of-all", "ps_peers_close", "close", "&peers->beside", 0 },
#ifdef PENSTOCK_FAULTS
	{ "who came in leaves before its batch has run", "pause-of-all", "leave_early", "fault", "", 0 },
	{ "who has a pass under way leaves", "standing-pause", "leave_pass", "fault", "", 0 },
	{ "a pass begins outside", "standing-pause", "pass_outside", "fault", "", 0 },
	{ "the flag is lowered before the drain", "completions", "lower_early", "fault", "", 0 },
	{ "the flag is lowered behind the list", "completions", "lower_late", "fault", "", 0 },
	{ "the writer lets go of a queue before it raises", "completions", "let_go_early", "fault", "", 0 },
	{ "a pass begins though all is copied", "checkpoints", "pass_anyway", "fault", "", 0 },
	{ "the log is whole though a commit came", "checkpoints", "whole_early", "fault", "", 0 },
#endif
	{ "the writer does not say that it has ended", "stop", "writer_main", "broadcast", "&control->changed", 2 },
};

static const struct schedule_scenario *scenarios[SCENARIOS_MAX];
static unsigned scenario_count;

static uint64_t schedules = 20000, control_schedules = 200000, first_seed = 1;

/* What runs, for a crash. */
static const char *running = "";
static uint64_t running_seed;

static void add_scenarios(const struct schedule_scenario *list)
{
	for (; list->name != NULL; list++)
		scenarios[scenario_count++] = list;
}

static const struct schedule_scenario *find_scenario(const char *name)
{
	unsigned i;

	for (i = 0; i < scenario_count; i++) {
		if (strcmp(scenarios[i]->name, name) == 0)
			return scenarios[i];
	}
	fprintf(stderr, "there is no scenario \"%s\"; see --list\n", name);
	exit(2);
}

static uint64_t seed_of(uint64_t i)
{
	uint64_t z = first_seed * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xd1342543de82ef95) + 1;

	z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return z ^ (z >> 32);
}

static void on_crash(int signal_number)
{
	char line[256];
	int bytes = snprintf(line, sizeof line, "%s crashed; replay: --scenario %s --replay 0x%" PRIx64 "\n", running, running,
	                     running_seed);

	if (write(STDERR_FILENO, line, (size_t)bytes) < 0)
		_exit(3);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static enum schedule_verdict run_one(const struct schedule_scenario *scenario, uint64_t seed, bool trace)
{
	running = scenario->name;
	running_seed = seed;
	return schedule_run(scenario, seed, trace);
}

/* ---- the code as it is ---- */

static uint64_t explored, hung, lost;
static unsigned lines; /* of TAP */

static void explore(const struct schedule_scenario *scenario)
{
	uint64_t steps = schedule_steps(), failures = 0, i;

	for (i = 0; i < schedules && failures < 3; i++) {
		uint64_t seed = seed_of(i);
		enum schedule_verdict verdict = run_one(scenario, seed, false);

		explored++;
		if (verdict == SCHEDULE_FINE)
			continue;
		failures++;
		*(verdict == SCHEDULE_HUNG ? &hung : &lost) += 1;
		printf("# %s: %s\n#     replay: --scenario %s --replay 0x%" PRIx64 "\n",
		       verdict == SCHEDULE_HUNG ? "hung" : "lost", schedule_message(), scenario->name, seed);
	}
	printf("%s %u - %s: %" PRIu64 " schedules, %" PRIu64 " steps\n", failures == 0 ? "ok" : "not ok", ++lines,
	       scenario->name, i, schedule_steps() - steps);
	fflush(stdout);
}

/* ---- broken on purpose ---- */

/* What a child reports; before each schedule, since that may crash, and after the one that fails. */
struct report {
	uint64_t schedules, seed;
	char message[200];
};

static void send(int out, const struct report *report)
{
	if (write(out, report, sizeof *report) != sizeof *report)
		_exit(3);
}

static void __attribute__((noreturn)) hunt(const struct schedule_control *control, int out)
{
	const struct schedule_scenario *scenario = find_scenario(control->scenario);
	struct report report = { 0 };

	if (strcmp(control->kind, "fault") == 0 ? !ps_fault_arm(control->function, 0, UINT64_MAX) : !schedule_break(control)) {
		strcpy(report.message, "there is no such site any more");
		send(out, &report);
		_exit(0);
	}
	while (report.schedules < control_schedules) {
		report.seed = seed_of(report.schedules++);
		send(out, &report);
		if (run_one(scenario, report.seed, false) != SCHEDULE_FINE) {
			snprintf(report.message, sizeof report.message, "%s", schedule_message());
			send(out, &report);
			_exit(1);
		}
	}
	_exit(0);
}

static bool is_caught(const struct schedule_control *control)
{
	struct report report = { 0 }, next;
	int ends[2], status;
	pid_t child;
	bool caught;

	fflush(stdout);
	if (pipe(ends) != 0 || (child = fork()) < 0) {
		perror("control");
		exit(3);
	}
	if (child == 0) {
		close(ends[0]);
		/* What a crash says of itself (the sanitizers, the C library) is of no interest. */
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(0);
		signal(SIGABRT, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		hunt(control, ends[1]);
	}
	close(ends[1]);
	while (read(ends[0], &next, sizeof next) == sizeof next)
		report = next;
	close(ends[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	/* A sanitizer leaves with a status of its own. */
	caught = report.schedules != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	printf("%s %u - broken on purpose: %s\n", caught ? "ok" : "not ok", ++lines, control->name);
	printf("#     %s after %" PRIu64 " schedules of %s", caught ? "caught" : "NOT CAUGHT", report.schedules,
	       control->scenario);
	if (caught)
		printf(", seed 0x%" PRIx64, report.seed);
	printf(": %s\n", report.message[0] != '\0' ? report.message : caught ? "it crashed" : "no schedule failed");
	return caught;
}

/* ---- the command line ---- */

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (*end != '\0' || end == text) {
		fprintf(stderr, "\"%s\" is no number\n", text);
		exit(2);
	}
	return value;
}

static void list_all(void)
{
	unsigned i;

	for (i = 0; i < scenario_count; i++)
		printf("%-10s %s\n", scenarios[i]->name, scenarios[i]->what);
	for (i = 0; i < sizeof controls / sizeof controls[0]; i++)
		printf("control    %s (%s)\n", controls[i].name, controls[i].scenario);
}

static int replay(const struct schedule_scenario *scenario, uint64_t seed, const char *control)
{
	enum schedule_verdict verdict;
	unsigned i;

	for (i = 0; control != NULL && i < sizeof controls / sizeof controls[0]; i++) {
		if (strcmp(controls[i].name, control) == 0)
			schedule_break(&controls[i]);
	}
	verdict = run_one(scenario, seed, true);
	printf("%s\n", verdict == SCHEDULE_FINE ? "fine" : schedule_message());
	return verdict != SCHEDULE_FINE;
}

int main(int count, char **arguments)
{
	static const struct option options[] = {
		{ "schedules", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ "scenario", required_argument, NULL, 'w' },
		{ "replay", required_argument, NULL, 'r' },
		{ "control", required_argument, NULL, 'c' },
		{ "control-schedules", required_argument, NULL, 'm' },
		{ "no-controls", no_argument, NULL, 'x' },
		{ "list", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	const struct schedule_scenario *only = NULL;
	const char *control = NULL, *replayed = NULL;
	unsigned caught = 0, tried = 0, ran = 0, i;
	bool with_controls = true;
	int option;

	if (getenv("PENSTOCK_SCHEDULES") != NULL)
		schedules = number(getenv("PENSTOCK_SCHEDULES"));
	if (getenv("PENSTOCK_SEED") != NULL)
		first_seed = number(getenv("PENSTOCK_SEED"));
	add_scenarios(schedule_parts);
	add_scenarios(schedule_engine);
	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		switch (option) {
		case 'n':
			schedules = number(optarg);
			break;
		case 's':
			first_seed = number(optarg);
			break;
		case 'm':
			control_schedules = number(optarg);
			break;
		case 'w':
			only = find_scenario(optarg);
			break;
		case 'r':
			replayed = optarg;
			break;
		case 'c':
			control = optarg;
			break;
		case 'x':
			with_controls = false;
			break;
		case 'l':
			list_all();
			return 0;
		default:
			return 2;
		}
	}
	if (replayed != NULL) {
		if (only == NULL) {
			fprintf(stderr, "--replay needs --scenario\n");
			return 2;
		}
		return replay(only, number(replayed), control);
	}
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	for (i = 0; i < scenario_count; i++) {
		if (only == NULL || only == scenarios[i]) {
			explore(scenarios[i]);
			ran++;
		}
	}
	for (i = 0; with_controls && i < sizeof controls / sizeof controls[0]; i++) {
		if (only == NULL || strcmp(controls[i].scenario, only->name) == 0) {
			tried++;
			caught += is_caught(&controls[i]);
		}
	}
	printf("schedules: %" PRIu64 " schedules (%" PRIu64 " steps) of %u scenarios, hung %" PRIu64 ", lost %" PRIu64
	       ", controls caught %u/%u; seed %" PRIu64 "; sequentially consistent or x86-64's store order, by seed\n",
	       explored, schedule_steps(), ran, hung, lost, caught, tried, first_seed);
	return hung + lost != 0 || caught != tried;
}
