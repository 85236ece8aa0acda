/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * statements.h - one statement as it is submitted, and lists of them
 *
 * A statement is its text, its values, how it is submitted (registered or as text, who listens, which flags and level) and
 * what is expected of it. A group is one that has members in place of a text; who listens, flags and level are its own, not theirs. In the text $D stands for the folder of whoever runs it (sides.h).
 *
 * Most are AS_SQLITE: whatever plain SQLite answers, Penstock must answer. The other kinds are those where the contract says
 * something else than SQLite would.
 *
 * A list made by append owns its statements, and free_list frees them; a list that shrink.h cuts out of another owns only its
 * array.
 */
#ifndef PENSTOCK_EQUIVALENCE_STATEMENTS_H
#define PENSTOCK_EQUIVALENCE_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/penstock.h"
#include "tests/harness.h"

#define VALUES_MAX 40

enum expected {
	AS_SQLITE,  /* what SQLite says */
	LOOSE,      /* its status, but the rows tell of the log or of addresses */
	REFUSED,    /* SQLITE_AUTH, no effect */
	NO_SINGLE,  /* SQLITE_ERROR: not exactly one statement; no effect */
	WRONG_COUNT /* SQLITE_RANGE if it can be prepared; no effect */
};

/* What it asks for as to its beginning: it comes to nothing (CANCELLED, EXPIRED) for sure, never, or as it happens. */
enum ending { ALWAYS_BEGINS, IN_TIME, NOT_CANCELLED, TOO_LATE, NEARLY_LATE, CANCELLED };

enum listener { BY_HANDLE, BY_CALLBACK, BY_NOBODY };

struct statement {
	char *sql;
	size_t bytes;
	penstock_value values[VALUES_MAX];
	size_t value_count;
	enum expected expected;
	enum listener listener;
	bool registered;
	unsigned flags;
	enum ending ending;
	penstock_ack ack;
	struct statement **members; /* of a group, or of a call (calls.h) */
	size_t member_count;
	bool is_call;
	bool goes_on;  /* the call: whatever fails */
	bool gives_up; /* in the end */
};

#define MEMBERS_MAX 8

struct list {
	struct statement **at;
	size_t count;
	size_t capacity;
};

/* The list takes the statement. */
void append(struct list *list, struct statement *statement);
/* With its values, and a group's members. */
void free_statement(struct statement *statement);
/* Frees the statements and their values too. */
void free_list(struct list *list);
/* Without values, with a handle. */
struct statement *plain_statement(const char *sql, enum expected expected);
/* A group without members, with a handle; and one more member, which it takes. */
struct statement *empty_group(void);
void add_member(struct statement *group, struct statement *member);
/* With a NUL behind it; the caller frees it. */
void *copy_of(const void *data, size_t bytes);

/* A value as text: its type and what it is, a long one as a hash. `type` is SQLite's. */
void write_value(FILE *out, int type, int64_t integer, double real, const void *data, size_t bytes);
/* The text, the values, and how it is submitted. */
void print_statement(FILE *out, const struct statement *statement);

#endif
