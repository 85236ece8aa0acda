/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_equivalence.c - batching is invisible
 *
 * Random statements (generator.h) go through Penstock; then the same ones, in ticket order, through the plain SQLite interface
 * in autocommit. Nobody may see a difference (oracle.h). One that is seen is shrunk to few statements before it is printed, with
 * its seed (shrink.h). The known traps are tested one by one in traps_*.c.
 *
 *     PENSTOCK_HANG=60              seconds after which a test counts as hung
 *     PENSTOCK_EQUIVALENCE=200000   so many statements instead of the default
 *     PENSTOCK_GROUPS=100000        so many groups, beside those that are among the statements
 *     PENSTOCK_SEED=1               of the first round; the following ones count on
 *     PENSTOCK_EQUIVALENCE_SEED=42  only the round with this seed (in each of the ways to submit)
 *     PENSTOCK_EQUIVALENCE_ONLY="general;audit"     only these kinds (kinds.h), in every round
 *     PENSTOCK_EQUIVALENCE_WITHOUT="VACUUM;ATTACH"  no template that holds one of these texts
 */
#include <inttypes.h>

#include "tests/equivalence/generator.h"
#include "tests/equivalence/shrink.h"

TestSuite(equivalence, .fini = harness_end);

#define STATEMENTS_DEFAULT 36000
#define STATEMENTS_PER_ROUND 400
#define GROUPS_DEFAULT 3000

static long long number_from(const char *variable, long long otherwise)
{
	const char *text = getenv(variable);

	return text == NULL ? otherwise : atoll(text);
}

static uint64_t fused; /* statements, in all rounds */

/* How many groups there are. */
static long long count_groups(const struct list *list)
{
	long long groups = 0;
	size_t i;

	for (i = 0; i < list->count; i++)
		groups += list->at[i]->member_count > 0;
	return groups;
}

/* A round in which one of so many is a group, if not 0; how many groups there were. */
static long long random_round(enum way way, uint64_t seed, unsigned groups)
{
	struct setup setup = { .groups = groups };
	long long tried;
	struct list list = { 0 };
	penstock_counters counters;
	char *found;

	draw_round(seed, way, STATEMENTS_PER_ROUND, &setup, &list);
	found = difference(&setup, &list, &counters);
	if (found != NULL)
		fail_with_list(&setup, &list, found, seed);
	if (way == QUEUED && setup.batch_max > 1000)
		cr_assert(counters.batches < list.count, "nothing was batched");
	fused += counters.fused;
	tried = count_groups(&list);
	free_list(&list);
	return tried;
}

static void random_rounds(enum way way)
{
	long long only = number_from("PENSTOCK_EQUIVALENCE_SEED", -1);
	long long count = number_from("PENSTOCK_EQUIVALENCE", STATEMENTS_DEFAULT) / 3;
	uint64_t first = (uint64_t)number_from("PENSTOCK_SEED", 1), seed = first;
	long long tried = 0;

	watch((unsigned)(count / 50));
	if (only >= 0) {
		random_round(way, (uint64_t)only, 0);
		return;
	}
	for (; tried < count; tried += STATEMENTS_PER_ROUND)
		random_round(way, seed++, 0);
	/* A few rounds may have none. */
	cr_assert(getenv("PENSTOCK_EQUIVALENCE_ONLY") != NULL || way != QUEUED || fused != 0 || seed - first < 11,
	          "no inserts ran as one");
	printf("equivalence: %lld statements, %s, %" PRIu64 " of them in runs; unlike autocommit 0; seeds %" PRIu64
	       " to %" PRIu64 ", SQLite %s\n",
	       tried, way_names[way], fused, first, seed - 1, sqlite3_libversion());
	fflush(stdout);
}

Test(equivalence, what_is_queued_before_start)
{
	random_rounds(QUEUED);
}

Test(equivalence, one_producer_and_small_batches)
{
	random_rounds(LIVE);
}

Test(equivalence, several_producers)
{
	random_rounds(SEVERAL);
}

/* Each second one is a group. */
Test(equivalence, groups)
{
	long long only = number_from("PENSTOCK_EQUIVALENCE_SEED", -1), count = number_from("PENSTOCK_GROUPS", GROUPS_DEFAULT),
		  tried = 0;
	uint64_t first = (uint64_t)number_from("PENSTOCK_SEED", 1), seed = first;

	watch((unsigned)(count / 20));
	for (; tried < count && only < 0; seed++)
		tried += random_round((enum way)(seed % 3), seed, 2);
	for (unsigned way = QUEUED; only >= 0 && way <= SEVERAL; way++)
		tried += random_round((enum way)way, (uint64_t)only, 2);
	if (only >= 0)
		return;
	printf("equivalence: %lld groups; unlike BEGIN IMMEDIATE to COMMIT 0; seeds %" PRIu64 " to %" PRIu64 "\n", tried, first,
	       seed - 1);
	fflush(stdout);
}
