/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the queue, and the checkpoint thread, on a weak memory: each case as it is, and each ordering weakened on purpose
 *
 * First the memory shows that it is one (shapes.c). As they are, all executions of all cases go well. Then the ordering of each operation is weakened, by one step and to none, and
 * the search must find an error in one of the cases. Where it finds none, the operation is in the list below, with the reason. So a
 * new operation is either shown to need its ordering or explained; and what is listed must not be needed. One line of TAP for
 * each case and each weakening that is found.
 *
 *     test_litmus [NAME]     only the cases whose name holds it
 *
 * A case that goes wrong prints the steps of one execution that does. PENSTOCK_LITMUS=1 also searches what is listed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "tests/litmus/cases.h"

/* The largest case has a million. */
#define EXECUTIONS_MOST 20000000
#define SITES_MOST 200
#define CASES_MOST 40

/* How much of its ordering each of these operations can do without, as far as the cases go. */
static const struct spare {
	const char *function, *kind, *what;
	unsigned nth; /* where the function does it more than once; 0: each */
	enum litmus_strength enough;
	const char *reason;
} spares[] = {
	{ "ps_counters_copy", "load", "&counters->sequence", 2, LITMUS_RELAXED, "the second look: each word acquired" },
	{ "kick", "store", "&ring.attention", 0, LITMUS_RELAXED, "the fence in ps_ring_kick (P3) follows" },
	{ "ps_ring_kick", "cas", "&ring->claim", 0, LITMUS_RELAXED, "behind the fence, and the wake is a system call" },
	{ "ps_ring_head", "load", "&ring->head", 0, LITMUS_RELAXED, "to know that the head has passed is all" },
	{ "ps_ring_tail", "load", "&ring->claim", 0, LITMUS_RELAXED, "a number" },
	{ "ps_ring_claim_in_turn", "load", "&ring->head", 0, LITMUS_RELAXED, "the compare-and-swap follows (see: R4)" },
	{ "ps_ring_claim_in_turn", "load", "&ring->limit", 0, LITMUS_RELAXED, "the compare-and-swap follows (see: R4)" },
	{ "ps_ring_claim_in_turn", "store", "&ring->limit", 0, LITMUS_RELAXED, "the compare-and-swap follows (see: R4)" },
	{ "ps_ring_claim_in_turn", "cas", "&ring->claim", 0, LITMUS_RELAXED, "the loads before it acquire (see: R4)" },
	{ "ps_ring_reserve_bytes", "cas", "&ring->bytes", 0, LITMUS_RELAXED, "a sum; E1 stands before it" },
	{ "ps_ring_return_bytes", "add", "&ring->bytes", 0, LITMUS_RELAXED, "a sum; E2 follows" },
	{ "ps_ring_park", "load", "&ring->attention", 0, LITMUS_RELAXED,
	  "P4 stands before it; what is asked for is under the mutex" },
	{ "ps_ring_park", "load", "&ring->report", 0, LITMUS_RELAXED,
	  "P4 stands before it; the report has a word of its own (X4)" },
	{ "ps_ring_park", "cas", "&ring->claim", 2, LITMUS_RELAXED, "takes the mark back; what it finds is looked at anew" },
	{ "ps_ring_park", "load", "&ring->claim", 0, LITMUS_RELAXED,
	  "whether the mark is gone; the record's own sequence follows" },
	{ "ps_eventcount_wake", "add", "&event->sequence", 0, LITMUS_RELAXED, "E2 stands before it" },
	{ "tell_all", "cas", "&event->asks", 0, LITMUS_BOTH, "takes what E3 has released, no more" },
	{ "ps_eventcount_cancel", "add", "&event->waiters", 0, LITMUS_RELAXED, "a waiter too many costs a wake" },
	{ "wake_consumer", "add", "&ring->wakes", 0, LITMUS_RELAXED, "a counter" },
	{ "penstock_handle_release", "add", "&handle->word", 0, LITMUS_BOTH,
	  "the last to leave frees what the other left, no more" },
	{ "ps_handle_wait_until", "add", "&handle->bell->waiters", 0, LITMUS_RELAXED,
	  "a hint to those that look before they sleep" },
	{ "spin", "load", "&handle->word", 0, LITMUS_RELAXED, "no case looks at the clock; as in ps_handle_wait_until" },
	{ "sleep_until", "cas", "&handle->word", 0, LITMUS_RELAXED, "one word: WAITED is seen by DONE's add" },
	{ "sleep_until", "load", "&handle->word", 0, LITMUS_RELAXED, "the bell acquired it" },
	{ "ps_handle_complete", "add", "&handle->word", 0, LITMUS_BOTH,
	  "the outcome before it, and the bell behind it, no more" },
	{ "ps_bell_ring", "add", "&bell->rung", 0, LITMUS_RELAXED, "behind DONE's add, and the wake is a system call" },
	{ "penstock_handle_cancel", "cas", "&handle->cancel", 0, LITMUS_RELAXED,
	  "the add behind it is a full barrier (see: K1)" },
	{ "penstock_handle_cancel", "add", "&handle->bell->cancels", 0, LITMUS_RELAXED,
	  "the swap before it is a full barrier (see: K1)" },
	{ "ps_cancel_begin", "cas", "&handle->cancel", 0, LITMUS_RELAXED, "one word, and nothing comes with it" },
	{ "ps_cancel_asked", "load", "&handle->cancel", 0, LITMUS_RELAXED, "K2 stands before it" },
	{ "ps_eventcount_ask", "add", "&event->waiters", 0, LITMUS_RELAXED, "E3 follows" },
	{ "ps_completions_take_place", "cas", "&queue->holders", 0, LITMUS_RELAXED, "a number; Q4 stands before it" },
	{ "ps_completions_give_back", "cas", "&queue->wanted", 0, LITMUS_RELAXED, "Q5 stands before it" },
	{ "ps_completions_ask", "cas", "&queue->wanted", 0, LITMUS_RELAXED, "the other one follows (see: Q4)" },
	{ "ps_completions_ask", "cas", "&queue->asking", 0, LITMUS_RELAXED, "the other one stands before it (see: Q4)" },
	{ "ps_completions_ask", "add", "&queue->holders", 0, LITMUS_RELAXED, "a hold more, under the program's" },
	{ "ps_completions_put", "add", "&queue->holders", 0, LITMUS_RELAXED, "a hold more, under a place" },
	{ "ps_completions_put", "cas", "&queue->list", 0, LITMUS_BOTH,
	  "the look at the flag is a full barrier (see: Q1 and Q2)" },
	{ "raise_event", "cas", "&queue->flag", 0, LITMUS_RELAXED, "a full barrier stands before it (see: Q1 and Q2)" },
	{ "tell_of_room", "store", "&queue->asking", 0, LITMUS_RELAXED, "the search has no load behind a later store" },
	{ "take_list", "cas", "&queue->list", 0, LITMUS_BOTH, "Q3 stands before it; and takes what Q1 has released" },
	{ "let_go", "add", "&queue->holders", 0, LITMUS_BOTH, "the last to let go frees what the others left, no more" },
	{ "ps_bell_assign", "add", "&bells_assigned", 0, LITMUS_RELAXED, "a number" },
};

/* Of these all are weakened together. */
static const struct {
	const char *name;
	const char *functions; /* with a comma behind each; NULL: of all */
	enum litmus_strength strength;
	bool modifications; /* only cas and add */
} groups[] = {
	{ "R4: whatever a claim does is relaxed", "ps_ring_claim_in_turn,", LITMUS_RELAXED, false },
	{ "K1: the count moves with no barrier behind the handle", "penstock_handle_cancel,", LITMUS_RELAXED, true },
	{ "Q1 and Q2: neither is a full barrier", "ps_completions_put,raise_event,", LITMUS_BOTH, true },
	{ "Q4: no full barrier before the second look", "ps_completions_ask,", LITMUS_BOTH, true },
	{ "lwsync around each read-modify-write", NULL, LITMUS_BOTH, true },
	{ "no fence around any read-modify-write", NULL, LITMUS_RELAXED, true },
};

static const char *const strength_names[] = { "relaxed", "acquiring", "releasing", "acquiring and releasing", "full" };

static struct litmus_site *const *const sites = __start_litmus_sites;
static unsigned site_count;
static bool visited[SITES_MOST][CASES_MOST];
/* The cases from the smallest: most errors are found before the large ones come. */
static unsigned by_size[CASES_MOST];
static unsigned lines, failed;
static bool search_listed;

static void say(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(bool holds, const char *format, ...)
{
	va_list arguments;

	failed += !holds;
	printf("%sok %u - ", holds ? "" : "not ", ++lines);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

static void search_shapes(void)
{
	for (unsigned i = 0; i < litmus_shape_count; i++) {
		struct litmus_found found = litmus_search(&litmus_shapes[i].what, EXECUTIONS_MOST, false);

		say(found.exhausted && (found.error != NULL) == litmus_shapes[i].allowed, "memory: %s: %s",
		    litmus_shapes[i].what.name, found.error != NULL ? "allowed" : "forbidden");
	}
}

static uint64_t search_as_they_are(const char *name)
{
	uint64_t executions = 0, sizes[CASES_MOST] = { 0 };

	for (unsigned i = 0; i < litmus_case_count; i++) {
		struct litmus_found found;
		unsigned place = i;

		if (strstr(litmus_cases[i].name, name) == NULL)
			continue;
		for (unsigned j = 0; j < site_count; j++)
			sites[j]->visits = 0;
		found = litmus_search(&litmus_cases[i], EXECUTIONS_MOST, true);
		for (unsigned j = 0; j < site_count; j++)
			visited[j][i] = sites[j]->visits != 0;
		executions += found.executions;
		sizes[i] = found.executions + found.cut;
		for (; place > 0 && sizes[by_size[place - 1]] > sizes[i]; place--)
			by_size[place] = by_size[place - 1];
		by_size[place] = i;
		say(found.exhausted && found.error == NULL, "%s: %llu executions%s%s", litmus_cases[i].name,
		    (unsigned long long)found.executions, found.exhausted ? "" : ", and more",
		    found.error != NULL ? found.error : "");
	}
	return executions;
}

/* The case in which the weakened sites are found out, or NULL; *tried: there is one that comes by. */
static const char *found_in(bool *tried)
{
	*tried = false;
	for (unsigned at = 0; at < litmus_case_count; at++) {
		unsigned i = by_size[at];
		bool comes_by = false;

		for (unsigned j = 0; j < site_count; j++)
			comes_by |= visited[j][i] && sites[j]->strength != sites[j]->written;
		if (!comes_by)
			continue;
		*tried = true;
		if (litmus_search(&litmus_cases[i], EXECUTIONS_MOST, false).error != NULL)
			return litmus_cases[i].name;
	}
	return NULL;
}

static void restore(void)
{
	for (unsigned i = 0; i < site_count; i++)
		sites[i]->strength = sites[i]->written;
}

/* The system's own calls are as they are. */
static bool can_be_weaker(const struct litmus_site *site, enum litmus_strength strength)
{
	bool full = site->written == LITMUS_FULL;

	return strstr(site->file, "shapes.c") == NULL && site->written > strength && (full || strength == LITMUS_RELAXED) &&
	       strcmp(site->kind, "wait") != 0 && strcmp(site->kind, "wake") != 0;
}

/* The same operation, also where a header's function was inlined into another file, or a function does it twice. */
static bool same(const struct litmus_site *one, const struct litmus_site *other)
{
	return strcmp(one->function, other->function) == 0 && strcmp(one->kind, other->kind) == 0 &&
	       strcmp(one->what, other->what) == 0 && one->line == other->line;
}

/* By its lines, from 1. */
static unsigned nth(const struct litmus_site *site)
{
	unsigned before = 0;

	for (unsigned i = 0; i < site_count; i++) {
		bool first = sites[i]->line < site->line;

		for (unsigned j = 0; j < i; j++)
			first &= !same(sites[i], sites[j]);
		before += first && strcmp(sites[i]->function, site->function) == 0 && strcmp(sites[i]->kind, site->kind) == 0 &&
		          strcmp(sites[i]->what, site->what) == 0;
	}
	return before + 1;
}

static const struct spare *find_spare(const struct litmus_site *site)
{
	for (unsigned i = 0; i < sizeof spares / sizeof *spares; i++)
		if (strcmp(spares[i].function, site->function) == 0 && strcmp(spares[i].kind, site->kind) == 0 &&
		    strcmp(spares[i].what, site->what) == 0 && (spares[i].nth == 0 || spares[i].nth == nth(site)))
			return &spares[i];
	return NULL;
}

static void weaken_one(const struct litmus_site *site, enum litmus_strength strength, unsigned *found, unsigned *spare)
{
	const struct spare *listed = find_spare(site);
	bool expected = listed != NULL && strength >= listed->enough, tried;
	const char *name;

	if (expected && !search_listed) {
		++*spare;
		return;
	}
	for (unsigned i = 0; i < site_count; i++)
		if (same(sites[i], site))
			sites[i]->strength = strength;
	name = found_in(&tried);
	restore();
	*found += name != NULL;
	*spare += name == NULL && expected;
	if (name != NULL && !expected)
		say(true, "%s, %s %s %s: found in: %s", site->function, site->kind, site->what, strength_names[strength], name);
	else if (name != NULL)
		say(false, "%s, %s %s %s: is listed, but found in: %s", site->function, site->kind, site->what,
		    strength_names[strength], name);
	else if (!expected)
		say(false, "%s:%d, %s, %s %s %s: %s", site->file, site->line, site->function, site->kind, site->what,
		    strength_names[strength], tried ? "nobody misses it" : "no case comes by");
	else
		printf("# %s, %s %s may be %s: %s\n", site->function, site->kind, site->what, strength_names[strength],
		       listed->reason);
}

static void weaken_each(unsigned *found, unsigned *spare)
{
	static const enum litmus_strength strengths[] = { LITMUS_BOTH, LITMUS_RELAXED };

	for (unsigned i = 0; i < site_count; i++) {
		bool first = true;

		for (unsigned j = 0; j < i; j++)
			first &= !same(sites[i], sites[j]);
		for (unsigned j = 0; first && j < 2; j++)
			if (can_be_weaker(sites[i], strengths[j]))
				weaken_one(sites[i], strengths[j], found, spare);
	}
}

static bool is_of(const struct litmus_site *site, const char *functions)
{
	const char *at = functions == NULL ? NULL : strstr(functions, site->function);

	return functions == NULL || (at != NULL && at[strlen(site->function)] == ',' && (at == functions || at[-1] == ','));
}

static void weaken_groups(unsigned *found)
{
	for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++) {
		const char *name;
		bool tried;

		for (unsigned j = 0; j < site_count; j++) {
			bool modifies = strcmp(sites[j]->kind, "cas") == 0 || strcmp(sites[j]->kind, "add") == 0;

			if (is_of(sites[j], groups[i].functions) && (modifies || !groups[i].modifications) &&
			    sites[j]->written > groups[i].strength)
				sites[j]->strength = groups[i].strength;
		}
		name = found_in(&tried);
		restore();
		*found += name != NULL;
		say(name != NULL, "%s: found in: %s", groups[i].name, name != NULL ? name : "none");
	}
}

#ifdef PENSTOCK_FAULTS
/* What is done in the wrong order on purpose (core/fault.h). */
static void break_each(unsigned *found)
{
	static const char *const faults[] = { "lower_early", "lower_late", "let_go_early" };

	for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
		const char *name = NULL;

		ps_fault_arm(faults[i], 0, UINT64_MAX);
		for (unsigned j = 0; j < litmus_case_count && name == NULL; j++)
			if (litmus_search(&litmus_cases[by_size[j]], EXECUTIONS_MOST, false).error != NULL)
				name = litmus_cases[by_size[j]].name;
		ps_fault_disarm();
		*found += name != NULL;
		say(name != NULL, "%s: found in: %s", faults[i], name != NULL ? name : "none");
	}
}
#else
#define break_each(found) ((void)0)
#endif

int main(int argc, char **argv)
{
	unsigned found = 0, spare = 0;
	uint64_t executions;

	search_listed = getenv("PENSTOCK_LITMUS") != NULL;
	site_count = (unsigned)(__stop_litmus_sites - __start_litmus_sites);
	if (site_count > SITES_MOST || litmus_case_count > CASES_MOST)
		return 2;
	if (argc == 1)
		search_shapes();
	executions = search_as_they_are(argc > 1 ? argv[1] : "");
	if (argc == 1) {
		weaken_each(&found, &spare);
		weaken_groups(&found);
		break_each(&found);
		printf("litmus: %u cases, %llu executions, all of them; weakened on purpose %u, found %u, not needed %u%s\n",
		       litmus_case_count, (unsigned long long)executions, found + spare, found, spare,
		       search_listed ? "" : " (as listed)");
	}
	printf("1..%u\n", lines);
	return failed != 0;
}
