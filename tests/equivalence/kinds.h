/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds.h - what can be drawn: kinds of statements, each with the tables they need
 *
 * A kind is a schema, and the statements that go with it. A round takes the general kind, and by chance some of the others
 * (generator.h), so that their statements meet. To add a statement is one line in a kind's list of templates; to add a kind is one
 * struct kind, and its name in kinds.c.
 *
 * In a template:
 *   $O  nothing or OR something          $R  nothing or RETURNING *        $U  nothing or ON CONFLICT ...
 *   $k  a key, 1 to 24                   $n  0 to 9                         $c  for a checked column: some are refused
 *   $s  a short text, often one that is  $v  any value                      $B  a large blob
 *   $x  x0 to x3                         $y  one of the columns b to e      $b  ON or OFF, mostly ON
 *   $D  a folder of the database's own   $[...]  the part one to seven times, with commas
 *   ${...|...}  one of the parts; a part has no braces and no || of SQL's
 * The values are literals or parameters. Where that is not enough, a template has a function that writes the statement.
 *
 * Names of tables are the kind's own, except where they are to get in each other's way.
 */
#ifndef PENSTOCK_EQUIVALENCE_KINDS_H
#define PENSTOCK_EQUIVALENCE_KINDS_H

#include "tests/equivalence/statements.h"

struct draft;

struct template
{
	unsigned weight;
	enum expected expected;
	const char *text;
	void (*write)(struct draft * draft, const char *text); /* NULL: expands the text */
};

#define SQL(weight, text) SQL_AS(weight, AS_SQLITE, text)
#define SQL_AS(weight, expected, text)       \
	{                                    \
		weight, expected, text, NULL \
	}
#define SQL_BY(weight, text, write)            \
	{                                      \
		weight, AS_SQLITE, text, write \
	}
#define SQL_END                          \
	{                                \
		0, AS_SQLITE, NULL, NULL \
	}

/* A registered insert that is submitted many times in a row. */
struct run {
	size_t parameters;
	const char *text;
};

struct kind {
	const char *name;
	unsigned one_in;        /* of so many rounds, one has it; 0: every round */
	unsigned weight;        /* of its statements, beside those of the round's other kinds */
	const char *needs;      /* a compile option that SQLite must have, or NULL */
	const char *locale;     /* that the process must have, or NULL */
	const char *without;    /* no template of the round may hold this, or NULL */
	bool ends;              /* the first values of its runs are the last rowids there are; else they rise */
	bool loose_pages;       /* how many pages there are depends on the batches, and may (FTS) */
	penstock_pragma pragma; /* in the configuration; no name: none */
	/* Lists that end with NULL or an empty one; or NULL. */
	const char *const *schema;
	const struct template *templates;
	const struct run *runs;
	const char *const *questions;         /* what is asked at the end: what a dump of the file cannot show */
	void (*prepare)(sqlite3 *connection); /* registers functions on each side's connection, or NULL */
};

extern const struct kind kind_general, kind_conflicts, kind_columns, kind_upserts, kind_orphans, kind_deferred, kind_views,
	kind_shadows, kind_existence, kind_audit, kind_fts4, kind_fts5, kind_rtree, kind_temporary, kind_functions,
	kind_pragmas, kind_unprepared, kind_locale, kind_rowids, kind_ends, kind_heard, kind_taken, kind_locks;

/* All of them; ends with NULL. */
extern const struct kind *const kinds[];
#define KINDS_MAX 32

#endif
