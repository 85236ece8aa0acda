/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - what a node's answer says of each statement, and of all of them
 *
 *     {"results":[{"last_insert_id":7,"rows_affected":1},{"error":"no such table: t"},
 *                 {"columns":["a"],"types":["integer"],"values":[[1]]}]}
 *
 * Most that goes wrong in a cluster comes as HTTP 200 with an error beside the results, or instead of them. A few of these texts mean that
 * nothing was applied, and are known by heart here. Behind any other text, and behind an answer that is not as it should be, the batch may
 * be applied, now or later.
 *
 * Invariants
 *   1. Before an answer is believed it has as many results as there were statements.
 *   2. A value is what SQLite would have given, or an error. A node rewrites what is declared DATE, DATETIME, TIMESTAMP or BOOLEAN.
 *
 * Failure modes: of a statement that has written, a result that cannot be told leaves UNKNOWN; an ERROR would mean that it had no effect.
 */
#ifndef PENSTOCK_RQLITE_ANSWER_H
#define PENSTOCK_RQLITE_ANSWER_H

#include <locale.h>

#include "core/outcome.h"
#include "writer/rqlite/json.h"
#include "writer/rqlite/statement.h"

enum ps_answer_kind {
	PS_ANSWER_RESULTS,     /* one for each statement */
	PS_ANSWER_NOT_APPLIED, /* for sure: it may be sent again */
	PS_ANSWER_FAILED,      /* a group's COMMIT, for a reason of its own: not applied */
	PS_ANSWER_UNKNOWN,
};

struct ps_answer {
	struct ps_json json;
	const struct ps_json_node *result; /* of the statement that comes next */
	locale_t locale;                   /* in which a number has a point */
	size_t failing;                    /* of a group: 1 + the index of the member that failed */
	char reason[200];                  /* of all but RESULTS */
};

/* `expected` statements were sent; grouped: in one transaction. Free it whatever it says. */
enum ps_answer_kind ps_answer_read(struct ps_answer *answer, const char *text, size_t bytes, size_t expected, bool grouped);
/*
 * The next statement's result. Fills *outcome (reset by the caller): with rows, changes and rowid when `wanted`, with codes and message
 * when it failed.
 */
void ps_answer_take(struct ps_answer *answer, const struct ps_statement *statement, bool wanted, uint64_t bytes_max,
                    struct ps_outcome *outcome);
void ps_answer_free(struct ps_answer *answer);
/* SQLite's extended code for what a node says a statement failed with. */
int ps_answer_code(const char *message);
/* Whether such an error, instead of results, means that nothing was applied. */
bool ps_answer_is_not_applied(const char *error);

#endif
