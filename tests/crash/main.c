/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/disk.h"
#include "tests/crash/scenario.h"
#include "tests/crash/states.h"

#define JOBS_MAX 64
/* Many traces tell more than every point of a few. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STATES 4000
#define TRACE_STATES 200
#else
#define STATES 30000
#define TRACE_STATES 2000
#endif
#define CONTROL_ROUNDS 40 /* by then a control must have been noticed */

#define BIT(finding) (1u << CRASH_##finding)

/* What must be noticed, and as what: every finding is some control's. */
static const struct control {
	struct scenario scenario;
	unsigned findings; /* all of them, in one round or several */
} controls[] = {
	{ { .name = "normal-claims-durable", .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL, .lie = CLAIMS_DURABLE }, BIT(LOST) },
	{ { .name = "off-claims-durable", .synchronous = PENSTOCK_SYNCHRONOUS_OFF, .lie = CLAIMS_DURABLE, .small_wal = true },
	  BIT(LOST) | BIT(CORRUPT) },
	{ { .name = "early-outcome",
	    .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	    .fault = "early_outcome",
	    .fault_count = UINT64_MAX },
	  BIT(LOST) },
	{ { .name = "skip-sync",
	    .synchronous = PENSTOCK_SYNCHRONOUS_NORMAL,
	    .durable = 40,
	    .fault = "skip_sync",
	    .fault_count = UINT64_MAX },
	  BIT(LOST) },
	{ { .name = "skip-replay",
	    .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	    .failing = 35,
	    .fault = "skip_replay",
	    .fault_count = 1 },
	  BIT(LOST) },
	{ { .name = "drop-slot",
	    .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	    .fault = "drop_slot",
	    .fault_skip = 7,
	    .fault_count = 1 },
	  BIT(LOST) | BIT(HOLE) },
	{ { .name = "skip-repair",
	    .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	    .fail_sync = true,
	    .adrift = true,
	    .fault = "skip_repair",
	    .fault_count = UINT64_MAX },
	  BIT(LOST) },
	{ { .name = "skip-checkpoint-sync",
	    .synchronous = PENSTOCK_SYNCHRONOUS_FULL,
	    .small_wal = true,
	    .fault = "skip_checkpoint_sync",
	    .fault_count = UINT64_MAX },
	  BIT(LOST) },
	{ { .name = "submits-twice", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .lie = SUBMITS_TWICE }, BIT(TWICE) },
	{ { .name = "says-error", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .lie = SAYS_ERROR }, BIT(GHOST) },
	{ { .name = "tears-apart", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .lie = TEARS_APART }, BIT(PARTIAL) },
	{ { .name = "splits-groups", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .groups = 50, .lie = SPLITS_GROUPS },
	  BIT(PARTIAL) },
	{ { .name = "splits-calls", .synchronous = PENSTOCK_SYNCHRONOUS_FULL, .calls = 50, .lie = SPLITS_CALLS },
	  BIT(PARTIAL) },
};

#define CONTROLS (sizeof controls / sizeof controls[0])

static struct {
	uint64_t states;
	uint64_t trace_states;
	uint64_t seed;
	const char *scenario;
	long round; /* -1: as many as it takes */
	unsigned jobs;
	bool controls_only;
	const char *keep;
} options = { .states = STATES, .trace_states = TRACE_STATES, .seed = 7, .round = -1, .jobs = 1 };

/* What a worker hands back. */
struct result {
	struct crash_tally tally;
	uint64_t caught[CONTROLS];
};

void crash_die(const char *format, ...)
{
	va_list arguments;

	fputs("crash_states: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	_exit(2);
}

const char *crash_finding_name(enum crash_finding finding)
{
	static const char *const names[] = {
#define X(upper, lower) #lower,
		CRASH_FINDINGS(X)
#undef X
	};

	return names[finding];
}

static uint64_t states_of(const struct crash_tally *tally)
{
	return tally->exhaustive + tally->sampled;
}

static uint64_t findings_of(const struct crash_tally *tally)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < CRASH_FINDING_COUNT; i++)
		sum += tally->findings[i];
	return sum;
}

/* ---- a worker ---- */

static char folder[4000];
static char path[4096];

static void make_folder(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(folder, sizeof folder, "%s/penstock-crash-XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
	if (mkdtemp(folder) == NULL)
		crash_die("%s cannot be made: %s", folder, strerror(errno));
	snprintf(path, sizeof path, "%s/crash.db", folder);
}

static void clean_folder(void)
{
	static const char *const files[] = { "", "-wal", "-shm", "-journal", "-penstock" };
	char file[4200];
	size_t i;

	for (i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(file, sizeof file, "%s%s", path, files[i]);
		unlink(file);
	}
}

static void run_round(const struct scenario *scenario, uint64_t round, unsigned wanted, struct crash_tally *tally)
{
	uint64_t seed = random_mix(options.seed ^ random_mix(round)), byte;
	struct states_options how = { .wanted = wanted, .keep = wanted != 0 ? NULL : options.keep };
	char what[160];
	const char *c;

	for (c = scenario->name; *c != '\0'; c++) {
		byte = (unsigned char)*c;
		seed = random_mix(seed ^ byte);
	}
	snprintf(what, sizeof what, "--scenario %s --round %llu --seed %llu --trace-states %llu", scenario->name,
	         (unsigned long long)round, (unsigned long long)options.seed, (unsigned long long)options.trace_states);
	how.what = what;
	how.states = options.trace_states;
	how.seed = random_mix(seed);
	scenario_run(scenario, path, seed, &tally->deeds);
	states_walk(&how, path, tally);
	clean_folder();
}

static void run_scenario(const struct scenario *scenario, uint64_t budget, unsigned worker, struct crash_tally *tally)
{
	uint64_t before = states_of(tally), round;

	if (options.round >= 0) {
		if (worker == 0)
			run_round(scenario, (uint64_t)options.round, 0, tally);
		return;
	}
	for (round = worker; states_of(tally) - before < budget; round += options.jobs)
		run_round(scenario, round, 0, tally);
}

static uint64_t run_control(const struct control *control)
{
	struct crash_tally tally;
	unsigned found = 0;
	uint64_t round;
	int i;

	for (round = 0; round < CONTROL_ROUNDS && (found & control->findings) != control->findings; round++) {
		memset(&tally, 0, sizeof tally);
		run_round(&control->scenario, round, control->findings & ~found, &tally);
		for (i = 0; i < CRASH_FINDING_COUNT; i++)
			found |= tally.findings[i] > 0 ? 1u << i : 0;
	}
	return (found & control->findings) == control->findings;
}

static bool can_run(const struct control *control)
{
	return control->scenario.fault == NULL || scenario_has_faults();
}

static bool is_chosen(const struct scenario *scenario)
{
	return options.scenario == NULL || strcmp(options.scenario, scenario->name) == 0;
}

static size_t count_chosen(void)
{
	size_t count = 0, i;

	for (i = 0; scenario_at(i) != NULL; i++)
		count += is_chosen(scenario_at(i));
	return count;
}

static void work(unsigned worker, struct result *result)
{
	uint64_t budget = options.states / count_chosen() / options.jobs + 1;
	size_t i;

	/* A state is opened and closed every 200 us: the heap is not to be given back and asked for anew each time. */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	make_folder();
	trace_install();
	disk_install();
	for (i = 0; !options.controls_only && scenario_at(i) != NULL; i++) {
		if (is_chosen(scenario_at(i)))
			run_scenario(scenario_at(i), budget, worker, &result->tally);
	}
	for (i = 0; options.scenario == NULL && i < CONTROLS; i++) {
		if (i % options.jobs == worker && can_run(&controls[i]))
			result->caught[i] = run_control(&controls[i]);
	}
	rmdir(folder);
}

/* ---- all of them ---- */

static void add_tally(struct crash_tally *sum, const struct crash_tally *tally)
{
	int i;

	sum->exhaustive += tally->exhaustive;
	sum->sampled += tally->sampled;
	sum->checkpointed += tally->checkpointed;
	sum->traces += tally->traces;
	for (i = 0; i < CRASH_FINDING_COUNT; i++)
		sum->findings[i] += tally->findings[i];
#define X(deed) sum->deeds.deed += tally->deeds.deed;
	CRASH_DEEDS(X)
#undef X
}

/* One process each: SQLite's settings and the disk are a process's own. False: one of them did not come to an end. */
static bool run_workers(struct result *sum)
{
	int pipes[JOBS_MAX][2];
	bool whole = true;
	unsigned worker;
	int status;

	for (worker = 0; worker < options.jobs; worker++) {
		pid_t child;

		if (pipe(pipes[worker]) != 0 || (child = fork()) < 0)
			crash_die("no process: %s", strerror(errno));
		if (child == 0) {
			static struct result result;

			work(worker, &result);
			_exit(write(pipes[worker][1], &result, sizeof result) == (ssize_t)sizeof result ? 0 : 2);
		}
		close(pipes[worker][1]);
	}
	for (worker = 0; worker < options.jobs; worker++) {
		struct result result;
		size_t i;

		if (read(pipes[worker][0], &result, sizeof result) != (ssize_t)sizeof result) {
			whole = false;
			continue;
		}
		add_tally(&sum->tally, &result.tally);
		for (i = 0; i < CONTROLS; i++)
			sum->caught[i] += result.caught[i];
	}
	while (wait(&status) > 0)
		whole = whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return whole;
}

/* False: something that is to be shown to survive a crash was never done. */
static bool report_deeds(const struct crash_deeds *deeds)
{
	bool whole = true;

#define X(deed)                                                                                 \
	printf(" " #deed " %llu", (unsigned long long)deeds->deed);                             \
	if (deeds->deed == 0) {                                                                 \
		fprintf(stderr, "the counter " #deed " never moved: more states are needed\n"); \
		whole = false;                                                                  \
	}
	CRASH_DEEDS(X)
#undef X
	return whole;
}

static bool report(const struct result *result)
{
	bool whole = true;
	size_t caught = 0, tried = 0, i;

	printf("crash: %llu states (%llu exhaustive, %llu sampled; %llu also checkpointed) of %llu traces in %zu scenarios;",
	       (unsigned long long)states_of(&result->tally), (unsigned long long)result->tally.exhaustive,
	       (unsigned long long)result->tally.sampled, (unsigned long long)result->tally.checkpointed,
	       (unsigned long long)result->tally.traces, options.controls_only ? 0 : count_chosen());
	for (i = 0; i < CRASH_FINDING_COUNT; i++)
		printf("%s %s %llu", i == 0 ? "" : ",", crash_finding_name((enum crash_finding)i),
		       (unsigned long long)result->tally.findings[i]);
	if (options.scenario != NULL) {
		printf("; controls not run");
	} else {
		for (i = 0; i < CONTROLS; i++) {
			tried += can_run(&controls[i]);
			caught += result->caught[i];
		}
		printf("; controls caught %zu/%zu", caught, tried);
		if (tried < CONTROLS)
			printf(" (%zu need a build with -Dfaults=true)", CONTROLS - tried);
	}
	if (options.scenario == NULL && !options.controls_only) {
		printf("; the engine's counters");
		whole = report_deeds(&result->tally.deeds);
	}
	printf("; integrity_check on every state; seed %llu, SQLite %s\n", (unsigned long long)options.seed,
	       sqlite3_libversion());
	for (i = 0; options.scenario == NULL && i < CONTROLS; i++) {
		if (can_run(&controls[i]) && result->caught[i] == 0)
			fprintf(stderr, "the control %s was not noticed\n", controls[i].scenario.name);
	}
	return whole && findings_of(&result->tally) == 0 && caught == tried;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0')
		crash_die("%s is not a number", text);
	return value;
}

static void usage(FILE *to)
{
	size_t i;

	fputs("usage: crash_states [--states N] [--trace-states N] [--seed N] [--jobs N] [--scenario NAME [--round N]]\n"
	      "                    [--controls] [--keep FOLDER]\n"
	      "  --states N     look at this many states or a few more (PENSTOCK_STATES, or 30000), shared out among the scenarios\n"
	      "  --trace-states N  about so many of each trace (2000)\n"
	      "  --seed N       of everything that is drawn (PENSTOCK_SEED, or 7)\n"
	      "  --jobs N       worker processes (1)\n"
	      "  --scenario     only this one, without the controls; --round: only this trace of it\n"
	      "  --controls     the controls alone\n"
	      "  --keep FOLDER  the files and the trace of the first bad state\n"
	      "scenarios:",
	      to);
	for (i = 0; scenario_at(i) != NULL; i++)
		fprintf(to, " %s", scenario_at(i)->name);
	fputc('\n', to);
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "states", required_argument, NULL, 'n' },   { "trace-states", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },     { "jobs", required_argument, NULL, 'j' },
		{ "scenario", required_argument, NULL, 'c' }, { "round", required_argument, NULL, 'r' },
		{ "controls", no_argument, NULL, 'C' },       { "keep", required_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 },
	};
	static struct result result;
	int option;
	bool whole;

	if (getenv("PENSTOCK_STATES") != NULL)
		options.states = number(getenv("PENSTOCK_STATES"));
	if (getenv("PENSTOCK_SEED") != NULL)
		options.seed = number(getenv("PENSTOCK_SEED"));
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'n':
			options.states = number(optarg);
			break;
		case 't':
			options.trace_states = number(optarg);
			break;
		case 's':
			options.seed = number(optarg);
			break;
		case 'j':
			options.jobs = (unsigned)number(optarg);
			break;
		case 'c':
			options.scenario = optarg;
			break;
		case 'r':
			options.round = (long)number(optarg);
			break;
		case 'C':
			options.controls_only = true;
			break;
		case 'k':
			options.keep = optarg;
			break;
		default:
			usage(option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (optind != argc || count_chosen() == 0 || options.jobs < 1 || options.jobs > JOBS_MAX ||
	    (options.controls_only && options.scenario != NULL)) {
		usage(stderr);
		return 2;
	}
	whole = run_workers(&result);
	return report(&result) && whole ? 0 : 1;
}
