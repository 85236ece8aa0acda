/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/module.h"

#include "python/extension/counters.h"
#include "python/extension/gil.h"

_Atomic bool py_finalizing;
static PyObject *error_of, *adapt;

/* ---- errors ---- */

PyObject *py_text(const char *text)
{
	return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

PyObject *py_exception(int status, const char *message, int code, int extended_code)
{
	PyObject *text;

	if (error_of == NULL) {
		PyErr_SetString(PyExc_RuntimeError, "_penstock is a part of the package penstock, which begins it");
		return NULL;
	}
	text = py_text(message);
	return text != NULL ? PyObject_CallFunction(error_of, "iNii", status, text, code, extended_code) : NULL;
}

PyObject *py_raise(int status, const char *message, int code, int extended_code)
{
	PyObject *exception = py_exception(status, message, code, extended_code);

	if (exception != NULL)
		PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	Py_XDECREF(exception);
	return NULL;
}

PyObject *py_raise_last(int status)
{
	return py_raise(status, penstock_error_message(), 0, 0);
}

PyObject *py_adapter(void)
{
	return adapt;
}

/* ---- functions ---- */

static PyObject *begin(PyObject *module, PyObject *args)
{
	PyObject *error, *adapter;

	(void)module;
	if (!PyArg_ParseTuple(args, "OO:begin", &error, &adapter))
		return NULL;
	Py_INCREF(error);
	Py_XDECREF(error_of);
	error_of = error;
	Py_INCREF(adapter);
	Py_XDECREF(adapt);
	adapt = adapter;
	Py_RETURN_NONE;
}

static PyObject *finalize(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	py_finalizing = true;
	Py_RETURN_NONE;
}

static _Thread_local int seen;

static int see(sqlite3 *connection, char **message, const void *routines)
{
	(void)connection;
	(void)message;
	(void)routines;
	seen++;
	return SQLITE_OK;
}

/* same_sqlite(connect) -> bool: whether connect(), which opens a connection, does so with the SQLite that is linked here. */
static PyObject *same_sqlite(PyObject *module, PyObject *connect)
{
	PyObject *opened;

	(void)module;
	seen = 0;
	/* The type of an extension's entry is another one than SQLite declares here, by SQLite's own rule. */
	sqlite3_auto_extension((void (*)(void))see);
	opened = PyObject_CallObject(connect, NULL);
	sqlite3_cancel_auto_extension((void (*)(void))see);
	if (opened == NULL)
		return NULL;
	Py_DECREF(opened);
	return PyBool_FromLong(seen > 0);
}

static PyObject *inside(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyBool_FromLong(gil_inside());
}

static PyObject *deadline(PyObject *module, PyObject *arg)
{
	long long usec = PyLong_AsLongLong(arg);

	(void)module;
	return usec == -1 && PyErr_Occurred() ? NULL : PyLong_FromLongLong(penstock_deadline(usec));
}

static PyObject *sqlite_version(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return Py_BuildValue("(ss)", sqlite3_libversion(), sqlite3_sourceid());
}

static PyObject *keys(PyObject *module, PyObject *unused)
{
	PyObject *list = PyList_New(0), *one;
	const penstock_config_key *key;
	size_t i;

	(void)module;
	(void)unused;
	for (i = 0; list != NULL && (key = penstock_config_key_at(i)) != NULL; i++) {
		one = Py_BuildValue("(ssssN)", key->name, key->default_text, key->range_text, key->help,
		                    PyBool_FromLong(key->live));
		if (one == NULL || PyList_Append(list, one) < 0)
			Py_CLEAR(list);
		Py_XDECREF(one);
	}
	return list;
}

static PyObject *code_name(PyObject *module, PyObject *arg)
{
	long code = PyLong_AsLong(arg);
	const char *name;

	(void)module;
	if (code == -1 && PyErr_Occurred())
		return NULL;
	name = penstock_code_name((int)code);
	return Py_BuildValue("z", name);
}

/* ---- the module ---- */

static int add_statuses(PyObject *module)
{
	PyObject *statuses = PyDict_New(), *events = PyDict_New(), *number;
	int bad = statuses == NULL || events == NULL;

#define ADD_STATUS(name, value, sentence)                                           \
	number = PyLong_FromLong(value);                                            \
	bad |= number == NULL || PyDict_SetItemString(statuses, #name, number) < 0; \
	Py_XDECREF(number);
	if (!bad) {
		PENSTOCK_STATUS_LIST(ADD_STATUS)
	}
#define ADD_EVENT(name, value, level, sentence)                                   \
	number = PyLong_FromLong(value);                                          \
	bad |= number == NULL || PyDict_SetItemString(events, #name, number) < 0; \
	Py_XDECREF(number);
	if (!bad) {
		PENSTOCK_EVENT_LIST(ADD_EVENT)
	}
	bad |= PyModule_AddObjectRef(module, "STATUSES", statuses) < 0 || PyModule_AddObjectRef(module, "EVENTS", events) < 0;
	Py_XDECREF(statuses);
	Py_XDECREF(events);
	return bad ? -1 : 0;
}

/* One GIL, and one interpreter with it: the writer thread takes that one. */
static int refuse(void)
{
	PyObject *enabled;

	if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
		PyErr_SetString(PyExc_ImportError, "penstock works in the main interpreter alone, not in a subinterpreter");
		return -1;
	}
	enabled = PySys_GetObject("_is_gil_enabled");
	enabled = enabled != NULL ? PyObject_CallObject(enabled, NULL) : NULL;
	if (enabled != NULL && !PyObject_IsTrue(enabled)) {
		Py_DECREF(enabled);
		PyErr_SetString(PyExc_ImportError, "penstock needs the GIL: it is not made for a free-threaded Python");
		return -1;
	}
	Py_XDECREF(enabled);
	PyErr_Clear();
	return 0;
}

static int execute(PyObject *module)
{
	if (refuse() < 0)
		return -1;
	if (engine_add(module) < 0 || handle_add(module) < 0 || completions_add(module) < 0 || connection_add(module) < 0 ||
	    add_statuses(module) < 0)
		return -1;
	return PyModule_AddStringConstant(module, "version", penstock_version());
}

PyMODINIT_FUNC PyInit__penstock(void);
PyMODINIT_FUNC PyInit__penstock(void)
{
	static PyMethodDef methods[] = {
		{ "begin", begin, METH_VARARGS, "begin(error, adapt): what makes exceptions, and values of other objects" },
		{ "finalize", finalize, METH_NOARGS, "finalize(): from now on nothing of Python is called" },
		{ "same_sqlite", same_sqlite, METH_O,
		  "same_sqlite(connect) -> whether connect() uses the SQLite that is linked here" },
		{ "inside", inside, METH_NOARGS, "inside() -> whether an engine called the function that runs on this thread" },
		{ "deadline", deadline, METH_O, "deadline(microseconds) -> a point in time" },
		{ "sqlite_version", sqlite_version, METH_NOARGS,
		  "sqlite_version() -> (version, source id) of the SQLite that is linked here" },
		{ "keys", keys, METH_NOARGS, "keys() -> list of (name, default, range, help, live)" },
		{ "code_name", code_name, METH_O, "code_name(code) -> SQLite's name of a result code, or None" },
		{ "metrics", counters_metrics, METH_VARARGS, "metrics(engines, names) -> str, for Prometheus" },
		{ NULL, NULL, 0, NULL },
	};
	static PyModuleDef_Slot slots[] = { { Py_mod_exec, (void *)execute }, { 0, NULL } };
	static struct PyModuleDef definition = {
		PyModuleDef_HEAD_INIT, "_penstock", "What penstock is made of.", 0, methods, slots, NULL, NULL, NULL
	};

	return PyModuleDef_Init(&definition);
}
