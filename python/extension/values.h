/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * values.h - Python's values and SQLite's
 *
 * None, int (64 bits, otherwise OverflowError), float, str (UTF-8) and bytes have a value each. bytearray and memoryview are copied
 * into bytes first. Anything else goes through sqlite3.adapt, once. Back come None, int, float, str and bytes.
 */
#ifndef PENSTOCK_PYTHON_VALUES_H
#define PENSTOCK_PYTHON_VALUES_H

#include "python/extension/module.h"

#define VALUES_AT_HAND 16

/*
 * The values of one statement, or of the members of a group, one behind the other. They point into objects that are held here, so they
 * outlive a release of the GIL.
 */
struct values {
	penstock_value at_hand[VALUES_AT_HAND];
	penstock_value *all;
	size_t count, room;
	PyObject *tuple; /* of the first statement, or NULL */
	PyObject *kept;  /* a list of everything else, or NULL */
};

void values_begin(struct values *values);
/* Adds those of a statement, from a sequence or None. False with an exception. `all` may move. */
bool values_add(struct values *values, PyObject *params);
void values_free(struct values *values);
/* New references; NULL with an exception. */
PyObject *value_to_python(const penstock_value *value);
PyObject *sqlite_to_python(sqlite3_value *value);
PyObject *column_to_python(sqlite3_stmt *statement, int column);
/* The result of a SQL function. False with an exception. */
bool result_of(sqlite3_context *context, PyObject *object);
/* Binds values to all parameters of a statement: an SQLite code. */
int values_bind(sqlite3_stmt *statement, const struct values *values);

#endif
