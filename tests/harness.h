/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.h - what every test program includes: Criterion, or the same few words without it
 *
 * ThreadSanitizer and Criterion's sandbox want the same addresses, so a TSan build (PENSTOCK_PLAIN_TESTS) runs the same
 * tests with the runner in plain.c: each in a forked child, in order. Tests therefore keep to the words below, and to
 * TestSuite(name, .init =, .fini =).
 *
 *     Test(suite, name) { cr_assert(condition, "format", ...); cr_assert_eq(a, b); cr_assert_str_eq(a, b); cr_skip_test("why"); }
 *
 * Also here: folders of a test's own, and a check for leaks (Criterion's children leave by _exit, which LeakSanitizer would
 * not see).
 */
#ifndef PENSTOCK_HARNESS_H
#define PENSTOCK_HARNESS_H

#include <stdio.h>
#include <stdlib.h>

#ifdef PENSTOCK_PLAIN_TESTS

struct plain_suite {
	const char *name;
	void (*init)(void);
	void (*fini)(void);
	struct plain_suite *next;
};

struct plain_test {
	const char *suite;
	const char *name;
	void (*run)(void);
	struct plain_test *next;
};

void plain_add_suite(struct plain_suite *suite);
void plain_add_test(struct plain_test *test);
void plain_fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
void plain_fail_condition(const char *file, int line, const char *condition, const char *format, ...)
	__attribute__((noreturn, format(printf, 4, 5)));
void plain_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define TestSuite(suite, ...)                                              \
	__attribute__((constructor)) static void plain_suite_##suite(void) \
	{                                                                  \
		static struct plain_suite entry = { #suite, __VA_ARGS__ }; \
		plain_add_suite(&entry);                                   \
	}                                                                  \
	struct plain_suite
#define Test(suite_, name_, ...)                                                              \
	static void suite_##_##name_(void);                                                   \
	__attribute__((constructor)) static void plain_test_##suite_##_##name_(void)          \
	{                                                                                     \
		static struct plain_test entry = { #suite_, #name_, suite_##_##name_, NULL }; \
		plain_add_test(&entry);                                                       \
	}                                                                                     \
	static void suite_##_##name_(void)

#define cr_assert(condition, ...) \
	((condition) ? (void)0 : plain_fail_condition(__FILE__, __LINE__, #condition, " " __VA_ARGS__))
#define cr_assert_eq(a, b, ...) ((a) == (b) ? (void)0 : plain_fail(__FILE__, __LINE__, "%s == %s does not hold", #a, #b))
#define cr_assert_neq(a, b, ...) ((a) != (b) ? (void)0 : plain_fail(__FILE__, __LINE__, "%s != %s does not hold", #a, #b))
#define cr_assert_str_eq(a, b, ...) \
	(strcmp((a), (b)) == 0 ? (void)0 : plain_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #a, (a), (b)))
#define cr_assert_lt(a, b, ...) ((a) < (b) ? (void)0 : plain_fail(__FILE__, __LINE__, "%s < %s does not hold", #a, #b))
#define cr_assert_gt(a, b, ...) ((a) > (b) ? (void)0 : plain_fail(__FILE__, __LINE__, "%s > %s does not hold", #a, #b))
#define cr_assert_str_neq(a, b, ...) \
	(strcmp(a, b) != 0 ? (void)0 : plain_fail(__FILE__, __LINE__, "%s and %s are one text: %s", #a, #b, (a)))
#define cr_assert_arr_eq(a, b, bytes, ...) \
	(memcmp(a, b, bytes) == 0 ? (void)0 : plain_fail(__FILE__, __LINE__, "%s and %s differ", #a, #b))
#define cr_assert_fail(...) plain_fail(__FILE__, __LINE__, __VA_ARGS__)
#define cr_assert_null(a, ...) ((a) == NULL ? (void)0 : plain_fail(__FILE__, __LINE__, "%s is not NULL", #a))
#define cr_assert_not_null(a, ...) ((a) != NULL ? (void)0 : plain_fail(__FILE__, __LINE__, "%s is NULL", #a))
#define cr_skip_test(...) plain_skip("" __VA_ARGS__)

#else
#include <criterion/criterion.h>
#endif

#include <stdbool.h>
#include <string.h>

/* Whether the calling thread is an engine's checkpoint thread: by its name. */
bool harness_is_checkpoint_thread(void);
/* A new folder for the running test's files, removed by harness_remove_folder; below $TMPDIR or /tmp. */
const char *harness_make_folder(void);
/* A path in it; the text lasts until the test ends. */
const char *harness_path(const char *name);
/* Use as a suite's .fini: removes the folder, and fails the test when memory leaked (in an ASan build). */
void harness_end(void);

#endif
