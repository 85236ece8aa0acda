/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/values.h"

#include <stdlib.h>
#include <string.h>

static bool text_of(penstock_value *value, PyObject *object)
{
	Py_ssize_t bytes;
	const char *text = PyUnicode_AsUTF8AndSize(object, &bytes);

	if (text == NULL)
		return false;
	*value = penstock_text_bytes(text, (size_t)bytes);
	return true;
}

/* What needs no other object: 1, 0 when it is none of these, -1 with an exception. */
static int plain_of(penstock_value *value, PyObject *object)
{
	if (object == Py_None) {
		*value = penstock_null();
	} else if (PyLong_Check(object)) {
		*value = penstock_int64(PyLong_AsLongLong(object));
		if (value->as.integer == -1 && PyErr_Occurred())
			return -1;
	} else if (PyUnicode_Check(object)) {
		return text_of(value, object) ? 1 : -1;
	} else if (PyFloat_Check(object)) {
		*value = penstock_double(PyFloat_AsDouble(object));
	} else if (PyBytes_Check(object)) {
		*value = penstock_blob(PyBytes_AsString(object), (size_t)PyBytes_Size(object));
	} else {
		return 0;
	}
	return 1;
}

/* A plain object in place of another one: a new reference, or NULL with an exception. */
static PyObject *plain_for(PyObject *object)
{
	PyObject *plain;

	if (PyByteArray_Check(object) || PyMemoryView_Check(object))
		return PyBytes_FromObject(object);
	plain = PyObject_CallFunctionObjArgs(py_adapter(), object, NULL);
	if (plain != NULL || PyErr_ExceptionMatches(PyExc_MemoryError))
		return plain;
	/* What sqlite3 takes as it is: an object with a buffer. */
	PyErr_Clear();
	if (!PyList_Check(object) && !PyTuple_Check(object) && (plain = PyBytes_FromObject(object)) != NULL)
		return plain;
	PyErr_Clear();
	return PyErr_Format(PyExc_TypeError, "%R is of no type that SQLite has, and sqlite3 has no adapter for it",
	                    Py_TYPE(object));
}

/* Steals the object. */
static bool keep(struct values *values, PyObject *object)
{
	int kept;

	if (values->kept == NULL)
		values->kept = PyList_New(0);
	kept = values->kept != NULL ? PyList_Append(values->kept, object) : -1;
	Py_DECREF(object);
	return kept == 0;
}

static bool value_of(struct values *values, penstock_value *value, PyObject *object)
{
	int done = plain_of(value, object);
	PyObject *plain;

	if (done != 0)
		return done > 0;
	plain = plain_for(object);
	if (plain == NULL || !keep(values, plain))
		return false;
	done = plain_of(value, plain);
	if (done == 0)
		PyErr_Format(PyExc_TypeError, "the adapter made %R, which SQLite does not have", Py_TYPE(plain));
	return done > 0;
}

void values_begin(struct values *values)
{
	values->all = values->at_hand;
	values->count = 0;
	values->room = VALUES_AT_HAND;
	values->tuple = NULL;
	values->kept = NULL;
}

static bool make_room(struct values *values, size_t more)
{
	size_t room = values->room;
	penstock_value *all;

	if (values->count + more <= room)
		return true;
	while (room < values->count + more)
		room *= 2;
	all = realloc(values->all != values->at_hand ? values->all : NULL, room * sizeof *all);
	if (all == NULL) {
		PyErr_NoMemory();
		return false;
	}
	if (values->all == values->at_hand)
		memcpy(all, values->at_hand, values->count * sizeof *all);
	values->all = all;
	values->room = room;
	return true;
}

bool values_add(struct values *values, PyObject *params)
{
	PyObject *tuple;
	Py_ssize_t count, i;

	if (params == NULL || params == Py_None)
		return true;
	/* Of a list somebody could take objects away meanwhile. */
	tuple = PySequence_Tuple(params);
	if (tuple == NULL)
		return false;
	if (values->tuple == NULL)
		values->tuple = tuple;
	else if (!keep(values, tuple))
		return false;
	count = PyTuple_Size(tuple);
	if (!make_room(values, (size_t)count))
		return false;
	for (i = 0; i < count; i++) {
		if (!value_of(values, &values->all[values->count], PyTuple_GetItem(tuple, i)))
			return false;
		values->count++;
	}
	return true;
}

void values_free(struct values *values)
{
	if (values->all != values->at_hand)
		free(values->all);
	values->all = values->at_hand;
	values->count = 0;
	Py_CLEAR(values->tuple);
	Py_CLEAR(values->kept);
}

PyObject *value_to_python(const penstock_value *value)
{
	switch (value->type) {
	case PENSTOCK_INTEGER:
		return PyLong_FromLongLong(value->as.integer);
	case PENSTOCK_FLOAT:
		return PyFloat_FromDouble(value->as.real);
	case PENSTOCK_TEXT:
		return PyUnicode_DecodeUTF8(value->as.data, (Py_ssize_t)value->bytes, NULL);
	case PENSTOCK_BLOB:
		return PyBytes_FromStringAndSize(value->as.data, (Py_ssize_t)value->bytes);
	default:
		Py_RETURN_NONE;
	}
}

PyObject *sqlite_to_python(sqlite3_value *value)
{
	const void *data;

	switch (sqlite3_value_type(value)) {
	case SQLITE_INTEGER:
		return PyLong_FromLongLong(sqlite3_value_int64(value));
	case SQLITE_FLOAT:
		return PyFloat_FromDouble(sqlite3_value_double(value));
	case SQLITE_TEXT:
		data = sqlite3_value_text(value);
		return data != NULL ? PyUnicode_DecodeUTF8(data, sqlite3_value_bytes(value), NULL) : PyErr_NoMemory();
	case SQLITE_BLOB:
		data = sqlite3_value_blob(value);
		return PyBytes_FromStringAndSize(data, sqlite3_value_bytes(value));
	default:
		Py_RETURN_NONE;
	}
}

PyObject *column_to_python(sqlite3_stmt *statement, int column)
{
	const void *data;

	switch (sqlite3_column_type(statement, column)) {
	case SQLITE_INTEGER:
		return PyLong_FromLongLong(sqlite3_column_int64(statement, column));
	case SQLITE_FLOAT:
		return PyFloat_FromDouble(sqlite3_column_double(statement, column));
	case SQLITE_TEXT:
		data = sqlite3_column_text(statement, column);
		return data != NULL ? PyUnicode_DecodeUTF8(data, sqlite3_column_bytes(statement, column), NULL)
		                    : PyErr_NoMemory();
	case SQLITE_BLOB:
		data = sqlite3_column_blob(statement, column);
		return PyBytes_FromStringAndSize(data, sqlite3_column_bytes(statement, column));
	default:
		Py_RETURN_NONE;
	}
}

static void give(sqlite3_context *context, const penstock_value *value)
{
	switch (value->type) {
	case PENSTOCK_INTEGER:
		sqlite3_result_int64(context, value->as.integer);
		break;
	case PENSTOCK_FLOAT:
		sqlite3_result_double(context, value->as.real);
		break;
	case PENSTOCK_TEXT:
		sqlite3_result_text64(context, value->as.data, value->bytes, SQLITE_TRANSIENT, SQLITE_UTF8);
		break;
	case PENSTOCK_BLOB:
		sqlite3_result_blob64(context, value->as.data, value->bytes, SQLITE_TRANSIENT);
		break;
	default:
		sqlite3_result_null(context);
	}
}

bool result_of(sqlite3_context *context, PyObject *object)
{
	struct values one;
	bool good;

	values_begin(&one);
	good = value_of(&one, &one.at_hand[0], object);

	if (good)
		give(context, &one.at_hand[0]);
	values_free(&one);
	return good;
}

static int bind(sqlite3_stmt *statement, int number, const penstock_value *value)
{
	switch (value->type) {
	case PENSTOCK_INTEGER:
		return sqlite3_bind_int64(statement, number, value->as.integer);
	case PENSTOCK_FLOAT:
		return sqlite3_bind_double(statement, number, value->as.real);
	case PENSTOCK_TEXT:
		return sqlite3_bind_text64(statement, number, value->as.data, value->bytes, SQLITE_STATIC, SQLITE_UTF8);
	case PENSTOCK_BLOB:
		/* A blob of no bytes has no address, and would be NULL. */
		return value->bytes > 0 ? sqlite3_bind_blob64(statement, number, value->as.data, value->bytes, SQLITE_STATIC)
		                        : sqlite3_bind_zeroblob(statement, number, 0);
	default:
		return sqlite3_bind_null(statement, number);
	}
}

int values_bind(sqlite3_stmt *statement, const struct values *values)
{
	size_t i;
	int code = (size_t)sqlite3_bind_parameter_count(statement) == values->count ? SQLITE_OK : SQLITE_RANGE;

	for (i = 0; i < values->count && code == SQLITE_OK; i++)
		code = bind(statement, (int)i + 1, &values->all[i]);
	return code;
}
