/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/result.h"

#include "python/extension/call.h"
#include "python/extension/values.h"
#include "python/extension/wait.h"

typedef struct result {
	PyObject_HEAD engine *engine;
	penstock_handle *handle; /* NULL of a member */
	struct call *call;
	PyObject *group;             /* of a member */
	const penstock_result *view; /* NULL: not looked at yet */
} result;

PyTypeObject *handle_type;

static const penstock_result *outcome(PyObject *object)
{
	result *self = (result *)object;

	if (self->view == NULL)
		self->view = penstock_handle_result(self->handle);
	return self->view;
}

static result *bare(engine *owner)
{
	result *self = PyObject_New(result, handle_type);

	if (self == NULL)
		return NULL;
	Py_INCREF(owner);
	self->engine = owner;
	self->handle = NULL;
	self->call = NULL;
	self->group = NULL;
	self->view = NULL;
	return self;
}

PyObject *result_new(engine *owner, penstock_handle *handle, struct call *call)
{
	result *self = bare(owner);

	if (self == NULL) {
		call_release(owner, call, handle);
		return NULL;
	}
	self->handle = handle;
	self->call = call;
	return (PyObject *)self;
}

penstock_handle *result_handle(PyObject *object)
{
	return ((result *)object)->handle;
}

static void dealloc(PyObject *object)
{
	result *self = (result *)object;
	PyTypeObject *type = Py_TYPE(object);

	call_release(self->engine, self->call, self->handle);
	Py_DECREF(self->engine);
	Py_XDECREF(self->group);
	PyObject_Free(object);
	Py_DECREF(type);
}

/* Of a group's: which member failed. False with an exception. */
static bool set_failed(PyObject *exception, const penstock_result *view)
{
	PyObject *number;
	int status;

	if (view->member_count == 0 || view->failed_member == view->member_count)
		return true;
	number = PyLong_FromSize_t(view->failed_member);
	status = number != NULL ? PyObject_SetAttrString(exception, "failed_member", number) : -1;
	Py_XDECREF(number);
	return status == 0;
}

int result_error(PyObject *object, PyObject **exception)
{
	result *self = (result *)object;
	const penstock_result *view = outcome(object);

	*exception = NULL;
	if (view == NULL || view->status == PENSTOCK_OK)
		return 0;
	if (self->call != NULL && self->call->exception != NULL) {
		*exception = self->call->exception;
		Py_INCREF(*exception);
		return 1;
	}
	*exception = py_exception((int)view->status, view->message, view->code, view->extended_code);
	if (*exception != NULL && !set_failed(*exception, view))
		Py_CLEAR(*exception);
	return *exception != NULL ? 1 : -1;
}

/* ---- methods ---- */

static int wait_handle(void *handle, int64_t timeout_usec)
{
	return penstock_handle_wait(handle, timeout_usec);
}

static PyObject *wait_for(PyObject *object, PyObject *args)
{
	result *self = (result *)object;
	long long timeout_usec;
	int status;

	if (!PyArg_ParseTuple(args, "L:wait", &timeout_usec))
		return NULL;
	if (outcome(object) != NULL)
		Py_RETURN_TRUE;
	status = py_wait(NULL, wait_handle, self->handle, timeout_usec);
	if (status < 0)
		return NULL;
	if (status == PENSTOCK_TIMEOUT)
		Py_RETURN_FALSE;
	if (outcome(object) == NULL)
		return py_raise_last(status);
	Py_RETURN_TRUE;
}

static PyObject *cancel(PyObject *object, PyObject *unused)
{
	int status = penstock_handle_cancel(((result *)object)->handle);

	(void)unused;
	if (status == PENSTOCK_OK)
		Py_RETURN_TRUE;
	if (status == PENSTOCK_TOO_LATE)
		Py_RETURN_FALSE;
	return py_raise_last(status);
}

static PyObject *error(PyObject *object, PyObject *unused)
{
	PyObject *exception;
	int status = result_error(object, &exception);

	(void)unused;
	if (status < 0)
		return NULL;
	if (status == 0)
		Py_RETURN_NONE;
	return exception;
}

/* ---- attributes ---- */

static PyObject *get_status(PyObject *object, void *closure)
{
	const penstock_result *view = outcome(object);

	(void)closure;
	if (view == NULL)
		Py_RETURN_NONE;
	return PyLong_FromLong((long)view->status);
}

static PyObject *get_changes(PyObject *object, void *closure)
{
	const penstock_result *view = outcome(object);

	(void)closure;
	if (view == NULL)
		Py_RETURN_NONE;
	return PyLong_FromLongLong(view->changes);
}

static PyObject *get_rowid(PyObject *object, void *closure)
{
	const penstock_result *view = outcome(object);

	(void)closure;
	if (view == NULL)
		Py_RETURN_NONE;
	return PyLong_FromLongLong(view->last_insert_rowid);
}

static PyObject *get_ticket(PyObject *object, void *closure)
{
	result *self = (result *)object;

	(void)closure;
	return PyLong_FromUnsignedLongLong(self->handle != NULL ? penstock_handle_ticket(self->handle) : self->view->ticket);
}

static PyObject *get_columns(PyObject *object, void *closure)
{
	const penstock_result *view = outcome(object);
	PyObject *columns, *name;
	size_t i;

	(void)closure;
	if (view == NULL)
		Py_RETURN_NONE;
	columns = PyTuple_New((Py_ssize_t)view->column_count);
	for (i = 0; columns != NULL && i < view->column_count; i++) {
		name = py_text(view->column_names[i]);
		if (name == NULL || PyTuple_SetItem(columns, (Py_ssize_t)i, name) < 0)
			Py_CLEAR(columns);
	}
	return columns;
}

static PyObject *row_of(const penstock_result *view, size_t row)
{
	PyObject *tuple = PyTuple_New((Py_ssize_t)view->column_count), *cell;
	size_t i;

	for (i = 0; tuple != NULL && i < view->column_count; i++) {
		cell = value_to_python(&view->cells[row * view->column_count + i]);
		if (cell == NULL || PyTuple_SetItem(tuple, (Py_ssize_t)i, cell) < 0)
			Py_CLEAR(tuple);
	}
	return tuple;
}

static PyObject *get_rows(PyObject *object, void *closure)
{
	const penstock_result *view = outcome(object);
	PyObject *rows, *row;
	size_t i;

	(void)closure;
	if (view == NULL)
		Py_RETURN_NONE;
	rows = PyList_New((Py_ssize_t)view->row_count);
	for (i = 0; rows != NULL && i < view->row_count; i++) {
		row = row_of(view, i);
		if (row == NULL || PyList_SetItem(rows, (Py_ssize_t)i, row) < 0)
			Py_CLEAR(rows);
	}
	return rows;
}

static PyObject *member_of(result *self, size_t index)
{
	result *member = bare(self->engine);

	if (member == NULL)
		return NULL;
	member->view = penstock_result_member(self->view, index);
	Py_INCREF(self);
	member->group = (PyObject *)self;
	return (PyObject *)member;
}

static PyObject *get_members(PyObject *object, void *closure)
{
	const penstock_result *view = outcome(object);
	PyObject *members, *member;
	size_t i;

	(void)closure;
	if (view == NULL)
		Py_RETURN_NONE;
	members = PyList_New((Py_ssize_t)view->member_count);
	for (i = 0; members != NULL && i < view->member_count; i++) {
		member = member_of((result *)object, i);
		if (member == NULL || PyList_SetItem(members, (Py_ssize_t)i, member) < 0)
			Py_CLEAR(members);
	}
	return members;
}

static PyObject *get_failed(PyObject *object, void *closure)
{
	const penstock_result *view = outcome(object);

	(void)closure;
	if (view == NULL || view->member_count == 0 || view->failed_member == view->member_count)
		Py_RETURN_NONE;
	return PyLong_FromSize_t(view->failed_member);
}

static PyObject *get_value(PyObject *object, void *closure)
{
	result *self = (result *)object;
	PyObject *value = outcome(object) != NULL && self->call != NULL ? self->call->value : NULL;

	(void)closure;
	if (value == NULL)
		Py_RETURN_NONE;
	Py_INCREF(value);
	return value;
}

int handle_add(PyObject *module)
{
	static PyMethodDef methods[] = {
		{ "wait", wait_for, METH_VARARGS,
		  "wait(microseconds) -> whether there is an outcome\n\nNegative: for ever. Any thread." },
		{ "cancel", cancel, METH_NOARGS,
		  "cancel() -> whether it will not run\n\nOnly of what was submitted cancellable." },
		{ "error", error, METH_NOARGS, "error() -> the exception that the outcome is, or None" },
		{ NULL, NULL, 0, NULL },
	};
	static PyGetSetDef getters[] = {
		{ "status", get_status, NULL, "The outcome's status, a number of penstock.Status; None: there is none yet.",
		  NULL },
		{ "changes", get_changes, NULL, "Rows changed.", NULL },
		{ "rowcount", get_changes, NULL, "Rows changed.", NULL },
		{ "lastrowid", get_rowid, NULL, "Rowid of the row inserted; 0 when nothing was.", NULL },
		{ "ticket", get_ticket, NULL, "Its place in the order of execution.", NULL },
		{ "columns", get_columns, NULL, "Names of the columns.", NULL },
		{ "rows", get_rows, NULL, "A new list of the rows, tuples.", NULL },
		{ "members", get_members, NULL, "Of a group: the result of each.", NULL },
		{ "failed_member", get_failed, NULL, "Of a group: the index of the one that failed, or None.", NULL },
		{ "value", get_value, NULL, "Of a call: what the function returned.", NULL },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	static PyType_Slot slots[] = {
		{ Py_tp_doc, "What a submission came to. Any thread; it lives as long as it is wanted, after the close too." },
		{ Py_tp_methods, methods },
		{ Py_tp_getset, getters },
		{ Py_tp_dealloc, dealloc },
		{ 0, NULL },
	};
	static PyType_Spec spec = { "_penstock.Result", sizeof(result), 0,
		                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots };

	handle_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return handle_type != NULL ? PyModule_AddType(module, handle_type) : -1;
}
