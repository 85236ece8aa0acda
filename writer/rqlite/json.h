/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - a JSON text as a tree whose numbers keep their text
 *
 * Whether 12345678901234567890 is an integer, a real or an error is for the reader of the answer to say, so a number is handed on as it
 * stands. yajl reads the text and checks its UTF-8; here its events become nodes of one array. A string has its length, for it may hold
 * NUL bytes.
 *
 * A node writes a blob as an array of numbers, in a row, among rows. With a node of the tree for each byte it would take fifty times its
 * size, so an array in an array in an array is one node, with its bytes for a text.
 *
 * yajl does not look at what its allocations come to. So they are made here, and one that fails leaves yajl behind by a long jump, with
 * all that it had.
 *
 * Invariants
 *   1. Node 0 is the whole text. A node's children are behind it, chained by `next`; 0 ends a chain.
 *   2. All texts lie in one block as long as the input: no decoded text is longer than what it was written as.
 *   3. What is no array of bytes, where one may be, is no PS_JSON_BYTES: it is an ARRAY that begins with what is no byte.
 *   4. yajl never sees an allocation fail, and has no memory when the reading is over.
 *
 * Failure modes: what is no JSON, or more than one value, and no memory: no tree.
 */
#ifndef PENSTOCK_RQLITE_JSON_H
#define PENSTOCK_RQLITE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ps_json_type {
	PS_JSON_NULL,
	PS_JSON_FALSE,
	PS_JSON_TRUE,
	PS_JSON_NUMBER,
	PS_JSON_STRING,
	PS_JSON_ARRAY,
	PS_JSON_OBJECT,
	PS_JSON_BYTES
};

struct ps_json_node {
	enum ps_json_type type;
	uint32_t next;  /* the sibling behind it */
	uint32_t first; /* child */
	uint32_t count; /* of children */
	uint32_t parent;
	uint32_t last;    /* child so far */
	const char *text; /* of a string, a number or bytes, with a NUL behind it */
	size_t bytes;
	const char *name; /* of an object's member */
};

struct ps_json {
	struct ps_json_node *nodes;
	uint32_t count, capacity;
	char *texts;
	size_t used;
	uint32_t open;     /* the array or object that is being read; UINT32_MAX: none */
	const char *name;  /* of the member that comes next */
	bool lacks_memory; /* why it was not read */
};

/* False: there is nothing to free. */
bool ps_json_read(struct ps_json *json, const char *text, size_t bytes);
void ps_json_free(struct ps_json *json);
/* An object's member of that name, or NULL; also of what is no object. The first of two is it. */
const struct ps_json_node *ps_json_member(const struct ps_json *json, const struct ps_json_node *object, const char *name);
/* An array's or object's first child, and the one behind `node`; NULL: none. */
const struct ps_json_node *ps_json_first(const struct ps_json *json, const struct ps_json_node *node);
const struct ps_json_node *ps_json_next(const struct ps_json *json, const struct ps_json_node *node);
/* Whether it is a string of exactly this text. */
bool ps_json_is(const struct ps_json_node *node, const char *text);

#endif
