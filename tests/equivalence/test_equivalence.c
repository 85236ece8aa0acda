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
 *     PENSTOCK_SEED=1               of the first round; the following ones count on
 *     PENSTOCK_EQUIVALENCE_SEED=42  only the round with this seed (in each of the ways to submit)
 *     PENSTOCK_EQUIVALENCE_WITHOUT="VACUUM;ATTACH"  no template that holds one of these texts
 */
#include <inttypes.h>

#include "tests/equivalence/generator.h"
#include "tests/equivalence/shrink.h"

TestSuite(equivalence, .fini = harness_end);

#define STATEMENTS_DEFAULT 36000
#define STATEMENTS_PER_ROUND 400

static long long number_from(const char *variable, long long otherwise)
{
	const char *text = getenv(variable);

	return text == NULL ? otherwise : atoll(text);
}

static uint64_t fused; /* statements, in all rounds */

static void random_round(enum way way, uint64_t seed, size_t count)
{
	uint64_t random = seed * 3 + (uint64_t)way;
	struct setup setup = { .way = way, .tables = prelude_count };
	struct list list = { 0 };
	penstock_counters counters;
	const char *without;
	char *found;
	size_t i;

	/* total_changes() counts what a violation of a deferred key undid, or not, depending on where SQLite noticed it. */
	without = chance(&random, 2) ? "total_changes" : "defer_foreign_keys";
	setup.batch_max = way == LIVE          ? 1 + random_below(&random, 8)
	                  : chance(&random, 3) ? 2 + random_below(&random, 30)
	                                       : 1048576;
	setup.statement_cache = chance(&random, 3) ? random_below(&random, 4) : 128;
	setup.synchronous = random_below(&random, 20) == 0 ? PENSTOCK_SYNCHRONOUS_FULL
	                    : chance(&random, 8)           ? PENSTOCK_SYNCHRONOUS_NORMAL
	                                                   : PENSTOCK_SYNCHRONOUS_OFF;
	setup.utf16 = chance(&random, 10);
	for (i = 0; i < prelude_count; i++)
		append(&list, plain_statement(prelude[i], AS_SQLITE));
	while (list.count < count) {
		/* Of one who is not heard of with several producers the ticket is not known. */
		if (way != SEVERAL && chance(&random, 12))
			append_run(&list, &random);
		append(&list, draw(&random, way, setup.synchronous != PENSTOCK_SYNCHRONOUS_OFF, without));
	}
	for (i = 0; i < epilogue_count; i++) {
		if (strstr(epilogue[i], without) == NULL)
			append(&list, plain_statement(epilogue[i], AS_SQLITE));
	}
	found = difference(&setup, &list, &counters);
	if (found != NULL)
		fail_with_list(&setup, &list, found, seed);
	if (way == QUEUED && setup.batch_max > 1000)
		cr_assert(counters.batches < list.count, "nothing was batched");
	fused += counters.fused;
	free_list(&list);
}

static void random_rounds(enum way way)
{
	long long only = number_from("PENSTOCK_EQUIVALENCE_SEED", -1);
	long long count = number_from("PENSTOCK_EQUIVALENCE", STATEMENTS_DEFAULT) / 3;
	uint64_t first = (uint64_t)number_from("PENSTOCK_SEED", 1), seed = first;
	long long tried = 0;

	watch((unsigned)(count / 50));
	if (only >= 0) {
		random_round(way, (uint64_t)only, STATEMENTS_PER_ROUND);
		return;
	}
	for (; tried < count; tried += STATEMENTS_PER_ROUND)
		random_round(way, seed++, STATEMENTS_PER_ROUND);
	/* A few rounds may have none. */
	cr_assert(way != QUEUED || fused != 0 || seed - first < 11, "no inserts ran as one");
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
