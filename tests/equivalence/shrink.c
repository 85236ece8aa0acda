/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/shrink.h"

#include <inttypes.h>

#define SHRINK_TRIES 400

const char *const way_names[] = { "queued before start", "live", "several producers" };

static struct list without(const struct list *list, size_t from, size_t count)
{
	struct list rest = { 0 };
	size_t i;

	for (i = 0; i < list->count; i++) {
		if (i < from || i >= from + count)
			append(&rest, list->at[i]);
	}
	return rest;
}

/* Whether the same statement, or the same part of a file, differs. Its number is another one in a shorter list. */
static bool is_same(const char *one, const char *other)
{
	const char *of_one = strstr(one, ": "), *of_other = strstr(other, ": ");
	size_t bytes = strcspn(of_one, "\n");

	return strncmp(of_one, of_other, bytes + 1) == 0;
}

/* Fewer statements of which the same one still differs when queued (ddmin, Zeller); their difference replaces *found. */
static struct list shrink(const struct setup *setup, const struct list *list, char **found)
{
	struct list best = without(list, 0, 0);
	size_t part = best.count / 2, from;
	unsigned tries = 0;
	penstock_counters counters;

	while (part > 0 && tries < SHRINK_TRIES) {
		bool smaller = false;

		for (from = 0; from < best.count && tries < SHRINK_TRIES;) {
			struct list rest = without(&best, from, part);
			char *text = rest.count == 0 ? NULL : difference(setup, &rest, &counters);

			tries++;
			if (text == NULL || !is_same(text, *found)) {
				free(text);
				free(rest.at);
				from += part;
				continue;
			}
			free(*found);
			*found = text;
			free(best.at);
			best = rest;
			smaller = true;
		}
		if (!smaller || part > best.count)
			part /= 2;
	}
	return best;
}

/* Fails the test with as few statements as can be found. */
void fail_with_list(const struct setup *setup, struct list *list, char *found, uint64_t seed)
{
	struct setup queued = *setup;
	penstock_counters counters;
	char *text, *again;
	size_t bytes, i;
	FILE *out = open_memstream(&text, &bytes);
	struct list few = { 0 };

	fprintf(out, "seed %" PRIu64 ", %s, batch_max %" PRId64 ", checkpoints by the %s, %zu statements: %s", seed,
	        way_names[setup->way], setup->batch_max, setup->writer_checkpoints ? "writer" : "thread", list->count, found);
	queued.way = QUEUED;
	again = difference(&queued, list, &counters);
	if (again != NULL) {
		few = shrink(&queued, list, &again);
		fprintf(out, "these, queued, are enough:\n");
		for (i = 0; i < few.count; i++) {
			fprintf(out, "  %zu  ", i);
			print_statement(out, few.at[i]);
			fprintf(out, "\n");
		}
		fprintf(out, "%s", again);
	} else {
		fprintf(out, "(queued they do not differ)\n");
	}
	fclose(out);
	cr_assert(false, "%s", text);
}
