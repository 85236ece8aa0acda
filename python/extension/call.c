/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/call.h"

#include <stdlib.h>

#include "python/extension/gil.h"
#include "python/extension/values.h"

typedef struct connection {
	PyObject_HEAD sqlite3 *db; /* NULL when the function has returned */
} connection;

PyTypeObject *connection_type;
static _Thread_local bool runs;

bool call_runs(void)
{
	return runs;
}

/* ---- the connection ---- */

static PyObject *raise_of(sqlite3 *db)
{
	return py_raise(PENSTOCK_ERROR, sqlite3_errmsg(db), sqlite3_errcode(db) & 0xff, sqlite3_extended_errcode(db));
}

static bool usable(connection *self)
{
	if (self->db != NULL && runs)
		return true;
	py_raise(PENSTOCK_MISUSE, "this connection is good only in its function, on the writer thread", SQLITE_MISUSE,
	         SQLITE_MISUSE);
	return false;
}

static PyObject *row_of(sqlite3_stmt *statement)
{
	int count = sqlite3_column_count(statement), i;
	PyObject *row = PyTuple_New(count), *cell;

	for (i = 0; row != NULL && i < count; i++) {
		cell = column_to_python(statement, i);
		if (cell == NULL || PyTuple_SetItem(row, i, cell) < 0)
			Py_CLEAR(row);
	}
	return row;
}

static PyObject *rows_of(sqlite3 *db, sqlite3_stmt *statement)
{
	PyObject *rows = PyList_New(0), *row;
	int code;

	while (rows != NULL) {
		Py_BEGIN_ALLOW_THREADS;
		code = sqlite3_step(statement);
		Py_END_ALLOW_THREADS;
		if (code == SQLITE_DONE)
			break;
		if (code != SQLITE_ROW) {
			raise_of(db);
			Py_CLEAR(rows);
			break;
		}
		row = row_of(statement);
		if (row == NULL || PyList_Append(rows, row) < 0)
			Py_CLEAR(rows);
		Py_XDECREF(row);
	}
	return rows;
}

static PyObject *execute(PyObject *object, PyObject *args)
{
	connection *self = (connection *)object;
	struct values values;
	PyObject *params = NULL, *rows = NULL;
	const char *sql, *rest;
	sqlite3_stmt *statement = NULL;
	Py_ssize_t bytes;

	if (!PyArg_ParseTuple(args, "s#|O:execute", &sql, &bytes, &params) || !usable(self))
		return NULL;
	values_begin(&values);
	if (values_add(&values, params)) {
		if (sqlite3_prepare_v2(self->db, sql, (int)bytes, &statement, &rest) != SQLITE_OK ||
		    values_bind(statement, &values) != SQLITE_OK)
			raise_of(self->db);
		else if (statement == NULL)
			rows = PyList_New(0);
		else
			rows = rows_of(self->db, statement);
	}
	sqlite3_finalize(statement);
	values_free(&values);
	return rows;
}

static PyObject *get_changes(PyObject *object, void *closure)
{
	(void)closure;
	return usable((connection *)object) ? PyLong_FromLongLong(sqlite3_changes64(((connection *)object)->db)) : NULL;
}

static PyObject *get_rowid(PyObject *object, void *closure)
{
	(void)closure;
	return usable((connection *)object) ? PyLong_FromLongLong(sqlite3_last_insert_rowid(((connection *)object)->db)) : NULL;
}

static void dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);

	PyObject_Free(object);
	Py_DECREF(type);
}

int connection_add(PyObject *module)
{
	static PyMethodDef methods[] = {
		{ "execute", execute, METH_VARARGS,
		  "execute(sql, params=()) -> list of rows\n\nRuns one statement in the call's transaction." },
		{ NULL, NULL, 0, NULL },
	};
	static PyGetSetDef getters[] = {
		{ "changes", get_changes, NULL, "Rows changed by the last INSERT, UPDATE or DELETE.", NULL },
		{ "lastrowid", get_rowid, NULL, "Rowid of the last INSERT.", NULL },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	static PyType_Slot slots[] = {
		{ Py_tp_doc,
		  "The write connection, as a function in a call has it. Good on the writer thread, until the function returns." },
		{ Py_tp_methods, methods },
		{ Py_tp_getset, getters },
		{ Py_tp_dealloc, dealloc },
		{ 0, NULL },
	};
	static PyType_Spec spec = { "_penstock.Connection", sizeof(connection), 0,
		                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots };

	connection_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return connection_type != NULL ? PyModule_AddType(module, connection_type) : -1;
}

/* ---- the call ---- */

struct call *call_new(PyObject *function)
{
	struct call *call = calloc(1, sizeof *call);

	if (call == NULL) {
		PyErr_NoMemory();
		return NULL;
	}
	Py_INCREF(function);
	call->function = function;
	return call;
}

static PyObject *exception_now(void)
{
	PyObject *type, *value, *trace;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	if (value != NULL && trace != NULL)
		PyException_SetTraceback(value, trace);
	Py_XDECREF(type);
	Py_XDECREF(trace);
	return value;
}

int call_run(sqlite3 *db, void *arg, char **message)
{
	struct call *call = arg;
	PyGILState_STATE state;
	connection *given;

	if (!gil_enter(&state)) {
		*message = sqlite3_mprintf("Python is at its end");
		return SQLITE_ABORT;
	}
	given = PyObject_New(connection, connection_type);
	if (given != NULL) {
		given->db = db;
		runs = true;
		call->value = PyObject_CallFunctionObjArgs(call->function, given, NULL);
		runs = false;
		given->db = NULL;
		Py_DECREF(given);
	}
	if (call->value == NULL) {
		call->exception = exception_now();
		*message = sqlite3_mprintf("the function raised an exception");
	}
	gil_leave(state);
	return call->exception == NULL ? SQLITE_OK : SQLITE_ABORT;
}

static void call_free(struct call *call)
{
	penstock_handle_release(call->handle);
	Py_XDECREF(call->function);
	Py_XDECREF(call->value);
	Py_XDECREF(call->exception);
	free(call);
}

void call_release(engine *self, struct call *call, penstock_handle *handle)
{
	if (call == NULL) {
		penstock_handle_release(handle);
		return;
	}
	call->handle = handle;
	if (handle == NULL || self->db == NULL || penstock_handle_result(handle) != NULL) {
		call_free(call);
		return;
	}
	call->next = self->orphans;
	self->orphans = call;
}

void call_sweep(engine *self, bool gone)
{
	struct call *orphans = self->orphans, *call;

	self->orphans = NULL;
	while ((call = orphans) != NULL) {
		orphans = call->next;
		if (gone || penstock_handle_result(call->handle) != NULL) {
			call_free(call);
		} else {
			call->next = self->orphans;
			self->orphans = call;
		}
	}
}
