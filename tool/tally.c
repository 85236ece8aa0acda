/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool/tally.h"

#include <stdlib.h>

static struct tally *tallies;
static size_t count;

bool tally_init(size_t inputs)
{
	tallies = calloc(inputs, sizeof *tallies);
	count = tallies != NULL ? inputs : 0;
	return tallies != NULL;
}

void tally_free(void)
{
	free(tallies);
	tallies = NULL;
	count = 0;
}

struct tally *tally_at(size_t input)
{
	return input < count ? &tallies[input] : NULL;
}

void tally_read(size_t input)
{
	if (input < count)
		atomic_fetch_add(&tallies[input].statements, 1);
}

void tally_failed(size_t input)
{
	if (input < count)
		atomic_fetch_add(&tallies[input].failures, 1);
}

uint64_t tally_transactions(void)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < count; i++)
		sum += atomic_load(&tallies[i].transactions);
	return sum;
}
