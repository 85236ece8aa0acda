/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * statement.h - whether a statement may be sent to a cluster, and what must be known of it before
 *
 * A node does not check what it is sent as SQLite's own interface does. A text without a statement makes every node spin, for good, since the
 * log has it; two statements in one text make a node hang; BEGIN freezes its reads. So the text is read here, by its tokens, before
 * it leaves: what is not one plain statement is an error that nobody else hears of.
 *
 * Invariants
 *   1. What may be sent has a keyword, ends before any semicolon but those of a trigger's body, and has no quote left open.
 *   2. Places are SQLite's parameters in the order of the text, with the numbers that SQLite gives them.
 *
 * Failure modes: no memory for the places; a refusal says so.
 */
#ifndef PENSTOCK_RQLITE_STATEMENT_H
#define PENSTOCK_RQLITE_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

enum ps_effect {
	PS_EFFECT_READ,   /* SELECT, VALUES, EXPLAIN, a pragma that reads */
	PS_EFFECT_INSERT, /* REPLACE too */
	PS_EFFECT_CHANGE, /* UPDATE, DELETE */
	PS_EFFECT_SCHEMA, /* anything else */
};

struct ps_place {
	size_t at; /* in the text below */
	size_t bytes;
	unsigned number;
};

struct ps_statement {
	const char *text; /* a part of what was given */
	size_t bytes;
	enum ps_effect effect;
	bool returning;
	bool upserts; /* ON CONFLICT: whether it inserted nobody can tell */
	unsigned parameters;
	struct ps_place *places;
	size_t place_count, capacity;
};

/* NULL, or why it must not be sent. Keeps the room of the places; begin with zeros, end with ps_statement_free. */
const char *ps_statement_read(struct ps_statement *statement, const char *sql, size_t bytes);
void ps_statement_free(struct ps_statement *statement);

#endif
