/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plain.c - the runner of a TSan build: each test in a forked child, in the order they stand
 *
 * With arguments only the tests whose SUITE/NAME contains one of them. The last line counts.
 *
 *     PENSTOCK_TESTS_TOGETHER=1   all of them in one process, which ends with the first that fails: for valgrind, which
 *                                 translates the program anew and looks for leaks in every child
 */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#define SKIPPED 77

static struct plain_suite *suites;
static struct plain_test *tests, **last = &tests;
static int together;
static jmp_buf skipping; /* how a test that is skipped ends, when they are together */

void plain_add_suite(struct plain_suite *suite)
{
	suite->next = suites;
	suites = suite;
}

void plain_add_test(struct plain_test *test)
{
	*last = test;
	last = &test->next;
}

void plain_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

void plain_fail_condition(const char *file, int line, const char *condition, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s:%d: %s does not hold.", file, line, condition);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

void plain_skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	if (together)
		longjmp(skipping, 1);
	exit(SKIPPED);
}

static void run(const struct plain_test *test)
{
	const struct plain_suite *suite = suites;

	while (suite != NULL && strcmp(suite->name, test->suite) != 0)
		suite = suite->next;
	if (suite != NULL && suite->init != NULL)
		suite->init();
	test->run();
	if (suite != NULL && suite->fini != NULL)
		suite->fini();
}

/* What waitpid says of it. */
static int run_in_child(const struct plain_test *test)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		run(test);
		exit(0);
	}
	waitpid(child, &status, 0);
	return status;
}

static int run_here(const struct plain_test *test)
{
	if (setjmp(skipping) != 0)
		return W_EXITCODE(SKIPPED, 0);
	printf("# %s/%s\n", test->suite, test->name);
	run(test);
	return 0;
}

static int wanted(const struct plain_test *test, int count, char **patterns)
{
	char name[256];
	int i;

	snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
	for (i = 1; i < count; i++) {
		if (strstr(name, patterns[i]) != NULL)
			return 1;
	}
	return count == 1;
}

int main(int count, char **patterns)
{
	const struct plain_test *test;
	int passed = 0, failed = 0, skipped = 0, status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	together = getenv("PENSTOCK_TESTS_TOGETHER") != NULL;
	for (test = tests; test != NULL; test = test->next) {
		if (!wanted(test, count, patterns))
			continue;
		status = together ? run_here(test) : run_in_child(test);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
			passed++;
		} else if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
			printf("SKIP %s/%s\n", test->suite, test->name);
			skipped++;
		} else {
			printf("FAIL %s/%s\n", test->suite, test->name);
			failed++;
		}
	}
	printf("Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: 0 | Skipped: %d\n", passed + failed, passed,
	       failed, skipped);
	return failed != 0;
}
