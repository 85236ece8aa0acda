/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.c - a small library, to be changed on purpose: the comparison of ABIs must tell what may be from what may not
 *
 * Each way of changing it is a macro. abi.py knows them by their first word: GROWN_... may be within a SONAME, BROKEN_... not.
 */
#include <stddef.h>
#include <stdint.h>

/* Of the names that docs/abi.md lets grow. */
typedef struct penstock_submission {
	size_t struct_size;
#ifdef BROKEN_MEMBER_GONE
	int64_t other;
#else
	int64_t first;
#endif
#ifdef BROKEN_MEMBER_BETWEEN
	int64_t between;
#endif
#ifdef BROKEN_MEMBER_RETYPED
	uint64_t second;
#else
	int64_t second;
#endif
#ifdef BROKEN_MEMBER_WIDER
	int64_t third;
#else
	int32_t third;
	int32_t reserved;
#endif
#if defined(GROWN_MEMBER) || defined(BROKEN_BOTH)
	int64_t fourth;
#endif
#ifdef GROWN_MEMBERS
	int64_t fourth;
	void *fifth;
#endif
} penstock_submission;

/* Of the others. */
typedef struct penstock_value {
	int type;
	int reserved;
	union {
		int64_t integer;
		const void *data;
	} as;
#ifdef BROKEN_FIXED_STRUCT
	int64_t more;
#endif
} penstock_value;

typedef enum penstock_status {
	PENSTOCK_OK = 0,
#ifdef BROKEN_ENUMERATOR_RENUMBERED
	PENSTOCK_ERROR = 2,
#else
	PENSTOCK_ERROR = 1,
#endif
#ifndef BROKEN_ENUMERATOR_GONE
	PENSTOCK_FULL = 16,
#endif
#ifdef GROWN_ENUMERATOR
	PENSTOCK_EXPIRED = 4,
#endif
	PENSTOCK_FAILED = 19
} penstock_status;

#ifdef BROKEN_CALLBACK
typedef int penstock_completion(void *arg, penstock_status status);
#else
typedef void penstock_completion(void *arg, penstock_status status);
#endif

#define API __attribute__((visibility("default")))

API int penstock_submit(const penstock_submission *submission, const penstock_value *values, penstock_completion *completion);
API int penstock_submit(const penstock_submission *submission, const penstock_value *values, penstock_completion *completion)
{
	completion(NULL, PENSTOCK_OK);
	return submission->struct_size != 0 && values->as.integer != 0;
}

#ifdef BROKEN_ARGUMENT
API uint64_t penstock_depth(int which);
API uint64_t penstock_depth(int which)
{
	return (uint64_t)which;
}
#elif defined(BROKEN_RESULT)
API uint32_t penstock_depth(void);
API uint32_t penstock_depth(void)
{
	return 1;
}
#elif !defined(BROKEN_FUNCTION_GONE) && !defined(BROKEN_BOTH)
API uint64_t penstock_depth(void);
API uint64_t penstock_depth(void)
{
	return 1;
}
#endif

#ifdef GROWN_FUNCTION
API int penstock_more(void);
API int penstock_more(void)
{
	return 1;
}
#endif
