/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/equivalence/traps.h"

#include "tests/equivalence/shrink.h"

TestSuite(trap, .fini = harness_end);
TestSuite(fused, .fini = harness_end);

/* How eight are submitted that are much the same. */
enum eight { PLAIN, RAGGED, HEARD };

/*
 * Eight of a registered insert: the first value counts from 1, each further one is one more. Nobody listens to them, but to the heard
 * ones: to each third one nobody, too. Ragged: the last two lack a value, as do the third and the fourth.
 */
static void append_eight(struct list *list, const char *text, enum eight how)
{
	static const enum listener listeners[] = { BY_HANDLE, BY_CALLBACK, BY_NOBODY };
	size_t i, j;

	for (i = 0; i < 8; i++) {
		struct statement *statement = plain_statement(text, AS_SQLITE);
		size_t parameters = 0;

		for (j = 0; text[j] != '\0'; j++)
			parameters += text[j] == '?';
		statement->registered = true;
		statement->listener = how == HEARD ? listeners[i % 3] : BY_NOBODY;
		for (j = 0; j < parameters; j++)
			statement->values[j] = penstock_int64((int64_t)(1 + i + j));
		statement->value_count = parameters;
		if (how == RAGGED && i % 4 >= 2) {
			statement->expected = WRONG_COUNT;
			statement->value_count--;
		}
		append(list, statement);
	}
}

static void append_group(struct list *list, const char *text)
{
	struct statement *group = empty_group();
	char *copy = strdup(text), *at = copy;

	while (at != NULL) {
		char *end = strstr(at, "; ");

		if (end != NULL)
			*end = '\0';
		add_member(group, plain_statement(at, AS_SQLITE));
		at = end != NULL ? end + 2 : NULL;
	}
	free(copy);
	append(list, group);
}

/* What the texts come to, queued as one run; each is also tried with other submissions' settings by the random rounds. */
uint64_t expect_equal_with(const struct setup *setup, const char *const *texts)
{
	struct list list = { 0 };
	penstock_counters counters;
	char *found;
	size_t i;

	watch(0);
	for (i = 0; texts[i] != NULL; i++) {
		/* A word before the text says what is expected. */
		if (strncmp(texts[i], "eight:", 6) == 0) {
			append_eight(&list, texts[i] + 6, PLAIN);
			continue;
		}
		if (strncmp(texts[i], "heard:", 6) == 0) {
			append_eight(&list, texts[i] + 6, HEARD);
			continue;
		}
		if (strncmp(texts[i], "ragged:", 7) == 0) {
			append_eight(&list, texts[i] + 7, RAGGED);
			continue;
		}
		if (strncmp(texts[i], "group:", 6) == 0)
			append_group(&list, texts[i] + 6);
		else if (strncmp(texts[i], "refused:", 8) == 0)
			append(&list, plain_statement(texts[i] + 8, REFUSED));
		else if (strncmp(texts[i], "single:", 7) == 0)
			append(&list, plain_statement(texts[i] + 7, NO_SINGLE));
		else if (strncmp(texts[i], "count:", 6) == 0)
			append(&list, plain_statement(texts[i] + 6, WRONG_COUNT));
		else if (strncmp(texts[i], "loose:", 6) == 0)
			append(&list, plain_statement(texts[i] + 6, LOOSE));
		else if (strncmp(texts[i], "alone:", 6) == 0)
			append(&list, plain_statement(texts[i] + 6, AS_SQLITE)),
				list.at[list.count - 1]->flags = PENSTOCK_RUN_ALONE;
		else if (strncmp(texts[i], "timed:", 6) == 0)
			append(&list, plain_statement(texts[i] + 6, AS_SQLITE)), list.at[list.count - 1]->ending = IN_TIME;
		else
			append(&list, plain_statement(texts[i], AS_SQLITE));
		if (list.at[list.count - 1]->expected == WRONG_COUNT) {
			list.at[list.count - 1]->value_count = 1;
			list.at[list.count - 1]->values[0] = penstock_int64(1);
		}
	}
	found = difference(setup, &list, &counters);
	if (found != NULL)
		fail_with_list(setup, &list, found, 0);
	free_list(&list);
	return counters.fused;
}
