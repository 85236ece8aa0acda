/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/entries.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "python/extension/call.h"
#include "python/extension/gil.h"
#include "python/extension/values.h"
#include "python/extension/wait.h"

/* ---- what SQLite calls ---- */

/* The name of the exception, and its end: no value is told. */
static void tell(sqlite3_context *context, const struct entry *entry)
{
	PyObject *type, *value, *trace, *name;
	const char *text = NULL;
	char *message;

	PyErr_Fetch(&type, &value, &trace);
	name = type != NULL ? PyObject_GetAttrString(type, "__name__") : NULL;
	if (name != NULL)
		text = PyUnicode_AsUTF8AndSize(name, NULL);
	message = sqlite3_mprintf("user-defined function raised exception (%s: %s)", entry->name, text != NULL ? text : "?");
	PyErr_Clear();
	if (message != NULL)
		sqlite3_result_error(context, message, -1);
	else
		sqlite3_result_error_nomem(context);
	sqlite3_free(message);
	Py_XDECREF(name);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
}

static PyObject *arguments_of(int count, sqlite3_value **values)
{
	PyObject *tuple = PyTuple_New(count), *value;
	int i;

	for (i = 0; tuple != NULL && i < count; i++) {
		value = sqlite_to_python(values[i]);
		if (value == NULL || PyTuple_SetItem(tuple, i, value) < 0)
			Py_CLEAR(tuple);
	}
	return tuple;
}

/* With the GIL, or false and the reason told. */
static bool begin(sqlite3_context *context, const struct entry *entry, PyGILState_STATE *state)
{
	char *message;

	if (entry->flags == 0 && !call_runs() && sqlite3_get_autocommit(sqlite3_context_db_handle(context)) == 0) {
		message = sqlite3_mprintf("%s() is not declared deterministic, so it cannot be in a group: it could run twice",
		                          entry->name);
		sqlite3_result_error(context, message != NULL ? message : "", -1);
		sqlite3_free(message);
		return false;
	}
	if (!gil_enter(state)) {
		sqlite3_result_error(context, "Python is at its end", -1);
		return false;
	}
	if (entry->callable != NULL)
		return true;
	gil_leave(*state);
	sqlite3_result_error(context, "the function was dropped", -1);
	return false;
}

static void end(sqlite3_context *context, const struct entry *entry, PyObject *result, bool wanted, PyGILState_STATE state)
{
	if (result == NULL || (wanted && !result_of(context, result)))
		tell(context, entry);
	Py_XDECREF(result);
	gil_leave(state);
}

static void call_function(sqlite3_context *context, int count, sqlite3_value **values)
{
	const struct entry *entry = sqlite3_user_data(context);
	PyObject *arguments, *callable, *result = NULL;
	PyGILState_STATE state;

	if (!begin(context, entry, &state))
		return;
	callable = entry->callable;
	Py_INCREF(callable);
	arguments = arguments_of(count, values);
	if (arguments != NULL)
		result = PyObject_CallObject(callable, arguments);
	Py_XDECREF(arguments);
	Py_DECREF(callable);
	end(context, entry, result, true, state);
}

/* The object of an aggregate, borrowed; made when there is none and `make`. */
static PyObject *aggregate_of(sqlite3_context *context, const struct entry *entry, bool make)
{
	PyObject **place = sqlite3_aggregate_context(context, make ? (int)sizeof *place : 0);

	if (place == NULL)
		return make ? PyErr_NoMemory() : NULL;
	if (*place == NULL && make)
		*place = PyObject_CallObject(entry->callable, NULL);
	return *place;
}

static void call_method(sqlite3_context *context, int count, sqlite3_value **values, const char *name)
{
	const struct entry *entry = sqlite3_user_data(context);
	PyObject *object, *arguments, *method, *result = NULL;
	PyGILState_STATE state;

	if (!begin(context, entry, &state))
		return;
	object = aggregate_of(context, entry, true);
	method = object != NULL ? PyObject_GetAttrString(object, name) : NULL;
	arguments = method != NULL ? arguments_of(count, values) : NULL;
	if (arguments != NULL)
		result = PyObject_CallObject(method, arguments);
	Py_XDECREF(arguments);
	Py_XDECREF(method);
	end(context, entry, result, false, state);
}

static void step(sqlite3_context *context, int count, sqlite3_value **values)
{
	call_method(context, count, values, "step");
}

static void inverse(sqlite3_context *context, int count, sqlite3_value **values)
{
	call_method(context, count, values, "inverse");
}

static void value(sqlite3_context *context)
{
	const struct entry *entry = sqlite3_user_data(context);
	PyObject *object, *result = NULL;
	PyGILState_STATE state;

	if (!begin(context, entry, &state))
		return;
	object = aggregate_of(context, entry, true);
	if (object != NULL)
		result = PyObject_CallMethod(object, "value", NULL);
	end(context, entry, result, true, state);
}

/* SQLite calls it also to get rid of an aggregate that has failed: so whatever was made goes. */
static void finalize(sqlite3_context *context)
{
	const struct entry *entry = sqlite3_user_data(context);
	PyObject **place = sqlite3_aggregate_context(context, 0), *object, *result = NULL;
	PyGILState_STATE state;

	if (!begin(context, entry, &state))
		return;
	object = aggregate_of(context, entry, true);
	if (object != NULL)
		result = PyObject_CallMethod(object, "finalize", NULL);
	place = sqlite3_aggregate_context(context, 0);
	if (place != NULL)
		Py_CLEAR(*place);
	end(context, entry, result, true, state);
}

static int compare(void *arg, int left_bytes, const void *left, int right_bytes, const void *right)
{
	const struct entry *entry = arg;
	PyObject *result = NULL;
	PyGILState_STATE state;
	long order = 0;

	if (!gil_enter(&state))
		return 0;
	if (entry->callable != NULL)
		result = PyObject_CallFunction(entry->callable, "s#s#", left, (Py_ssize_t)left_bytes, right,
		                               (Py_ssize_t)right_bytes);
	if (result != NULL)
		order = PyLong_AsLong(result);
	/* A collation cannot fail. */
	if (PyErr_Occurred()) {
		PyErr_WriteUnraisable(entry->callable);
		order = 0;
	}
	Py_XDECREF(result);
	gil_leave(state);
	return order < 0 ? -1 : order > 0;
}

/* ---- connections ---- */

static int load(sqlite3 *connection, const char *name)
{
	int was = 0, code;

	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, -1, &was);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL);
	code = sqlite3_load_extension(connection, name, NULL, NULL);
	sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, was, NULL);
	return code;
}

static int install(sqlite3 *connection, struct entry *entry)
{
	int flags = SQLITE_UTF8 | entry->flags;
	bool dropped;

	pthread_mutex_lock(&entry->engine->guard);
	dropped = entry->dropped;
	pthread_mutex_unlock(&entry->engine->guard);
	if (dropped)
		return SQLITE_OK;
	entry->on = connection;
	switch (entry->kind) {
	case ENTRY_FUNCTION:
		return sqlite3_create_function_v2(connection, entry->name, entry->arguments, flags, entry, call_function, NULL,
		                                  NULL, NULL);
	case ENTRY_AGGREGATE:
		return sqlite3_create_function_v2(connection, entry->name, entry->arguments, flags, entry, NULL, step, finalize,
		                                  NULL);
	case ENTRY_WINDOW:
		return sqlite3_create_window_function(connection, entry->name, entry->arguments, flags, entry, step, finalize,
		                                      value, inverse, NULL);
	case ENTRY_COLLATION:
		return sqlite3_create_collation_v2(connection, entry->name, SQLITE_UTF8, entry, compare, NULL);
	case ENTRY_EXTENSION:
		return load(connection, entry->name);
	default:
		return sqlite3_exec(connection, entry->name, NULL, NULL, NULL);
	}
}

int entries_connect(sqlite3 *connection, void *arg)
{
	engine *self = arg;
	struct entry *entry, *first;
	int code = SQLITE_OK, depth, i;

	pthread_mutex_lock(&self->guard);
	first = self->entries;
	pthread_mutex_unlock(&self->guard);
	/* Entries never go and never move, so the list from here on may be walked. The oldest comes first. */
	for (depth = 0, entry = first; entry != NULL; entry = entry->next)
		depth++;
	for (; depth > 0 && code == SQLITE_OK; depth--) {
		for (entry = first, i = 1; i < depth; i++)
			entry = entry->next;
		code = install(connection, entry);
	}
	return code;
}

/* A late entry, on the connection that is there. Later ones have it by the hook above, which runs before this one. */
static int install_late(sqlite3 *connection, void *arg)
{
	struct entry *entry = arg;

	return entry->on == connection ? SQLITE_OK : install(connection, entry);
}

struct late {
	engine *self;
	struct entry *entry;
	int status;
};

/* Once: called again it would be one hook more. */
static int connect_late(void *arg, int64_t timeout_usec)
{
	struct late *late = arg;

	(void)timeout_usec;
	late->status = penstock_on_connect(late->self->db, install_late, late->entry);
	return PENSTOCK_OK;
}

static bool same(const struct entry *entry, const struct entry *other)
{
	bool by_text = entry->kind == ENTRY_SQL || entry->kind == ENTRY_EXTENSION;

	return entry->kind == other->kind && entry->arguments == other->arguments && entry->flags == other->flags &&
	       (by_text ? strcmp(entry->name, other->name) : strcasecmp(entry->name, other->name)) == 0;
}

/* What stands behind the entry's name already is replaced: 1; a new one: 0. Takes the entry then. */
static bool replaced(engine *self, struct entry *entry)
{
	struct entry *old;
	PyObject *callable;

	/* The newest of a name is what a connection has: an older one of another kind would come back with the next connection only. */
	for (old = self->entries; old != NULL; old = old->next) {
		if (same(old, entry))
			break;
		if (strcasecmp(old->name, entry->name) == 0 && old->arguments == entry->arguments)
			return false;
	}
	if (old == NULL || old->dropped)
		return false;
	callable = old->callable;
	old->callable = entry->callable;
	Py_XDECREF(callable);
	free(entry);
	return true;
}

static struct entry *entry_new(engine *self, PyObject *args)
{
	struct entry *entry;
	const char *name;
	Py_ssize_t bytes;
	int kind, arguments, deterministic;
	PyObject *callable;

	if (!PyArg_ParseTuple(args, "is#ipO:register", &kind, &name, &bytes, &arguments, &deterministic, &callable))
		return NULL;
	entry = calloc(1, sizeof *entry + (size_t)bytes + 1);
	if (entry == NULL) {
		PyErr_NoMemory();
		return NULL;
	}
	memcpy(entry->name, name, (size_t)bytes);
	entry->engine = self;
	entry->kind = (enum entry_kind)kind;
	entry->arguments = arguments;
	entry->flags = deterministic ? SQLITE_DETERMINISTIC : 0;
	if (callable != Py_None) {
		Py_INCREF(callable);
		entry->callable = callable;
	}
	return entry;
}

static void drop(struct entry *entry)
{
	pthread_mutex_lock(&entry->engine->guard);
	entry->dropped = true;
	pthread_mutex_unlock(&entry->engine->guard);
}

PyObject *entries_register(PyObject *object, PyObject *args)
{
	engine *self = (engine *)object;
	struct entry *entry = entry_new(self, args);
	struct late late = { self, entry, PENSTOCK_OK };

	if (entry == NULL)
		return NULL;
	if (replaced(self, entry))
		Py_RETURN_NONE;
	pthread_mutex_lock(&self->guard);
	entry->next = self->entries;
	self->entries = entry;
	pthread_mutex_unlock(&self->guard);
	if (self->db == NULL)
		Py_RETURN_NONE;
	py_wait(self, connect_late, &late, PENSTOCK_FOREVER);
	if (late.status == PENSTOCK_OK)
		Py_RETURN_NONE;
	if (late.status != PENSTOCK_TIMEOUT)
		drop(entry);
	return py_raise_last(late.status);
}

PyObject *entries_drop(PyObject *object, PyObject *args)
{
	engine *self = (engine *)object;
	struct entry *entry;
	const char *name;
	int kind;

	if (!PyArg_ParseTuple(args, "is:drop", &kind, &name))
		return NULL;
	for (entry = self->entries; entry != NULL; entry = entry->next) {
		if (entry->kind == (enum entry_kind)kind && strcasecmp(entry->name, name) == 0) {
			drop(entry);
			Py_CLEAR(entry->callable);
		}
	}
	Py_RETURN_NONE;
}

void entries_free(engine *self)
{
	struct entry *entry;

	while ((entry = self->entries) != NULL) {
		self->entries = entry->next;
		Py_XDECREF(entry->callable);
		free(entry);
	}
}
