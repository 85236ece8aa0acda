/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request.h - statements and their values as the JSON text that a node takes
 *
 *     [["INSERT INTO t VALUES(?,?)",7,"seven"],["DELETE FROM t WHERE a=x'00ff'"]]
 *
 * Numbers keep what they are: a real has a point or an exponent, with the digits to be the same again. A node has no blob parameter that
 * SQLite would take for a blob, so blobs stand in the text as x'' literals; then each place of the text gets a value of its own.
 *
 * Invariants
 *   1. What was refused has left nothing behind.
 *   2. A statement has as many values as parameters: a node ignores what is too much.
 *
 * Failure modes: what JSON cannot carry (text that is no UTF-8, infinity, NaN) and no memory are refused, before anything is sent.
 */
#ifndef PENSTOCK_RQLITE_REQUEST_H
#define PENSTOCK_RQLITE_REQUEST_H

#include "queue/record.h"
#include "writer/rqlite/statement.h"

struct ps_request {
	char *text;
	size_t bytes;
	size_t capacity;
	bool lacks_memory;
	size_t count; /* of statements */
	penstock_value *values;
	size_t value_capacity;
	char refusal[160];
};

/* Begin with zeros; free when all is done. */
void ps_request_begin(struct ps_request *request);
/* A statement that has been read, with the record's values. NULL: it is in; or why not, and *code for SQLite's. */
const char *ps_request_add(struct ps_request *request, const struct ps_statement *statement, const struct ps_record *record,
                           int *code);
/* False: no memory. */
bool ps_request_end(struct ps_request *request);
void ps_request_free(struct ps_request *request);

#endif
