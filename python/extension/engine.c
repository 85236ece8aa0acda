/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/engine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python/extension/call.h"
#include "python/extension/completions.h"
#include "python/extension/counters.h"
#include "python/extension/entries.h"
#include "python/extension/events.h"
#include "python/extension/submit.h"
#include "python/extension/wait.h"

/* What the path of a cluster begins with. */
#define CLUSTER "rqlite://"

PyTypeObject *engine_type;

/* ---- open ---- */

static bool set_key(penstock_config *config, PyObject *key, PyObject *value)
{
	const char *name = PyUnicode_AsUTF8AndSize(key, NULL), *text = PyUnicode_AsUTF8AndSize(value, NULL);

	if (name == NULL || text == NULL)
		return false;
	if (penstock_config_set(config, name, text) == PENSTOCK_OK)
		return true;
	py_raise_last(PENSTOCK_CONFIG);
	return false;
}

static bool set_keys(penstock_config *config, PyObject *keys)
{
	Py_ssize_t place = 0;
	PyObject *key, *value;

	while (PyDict_Next(keys, &place, &key, &value)) {
		if (!set_key(config, key, value))
			return false;
	}
	return true;
}

/* The texts stay as long as the list, which the caller has. */
static penstock_pragma *pragmas_of(PyObject *list, size_t *count)
{
	size_t i;
	penstock_pragma *pragmas;

	*count = (size_t)PyList_Size(list);
	pragmas = calloc(*count + 1, sizeof *pragmas);
	if (pragmas == NULL)
		return PyErr_NoMemory(), NULL;
	for (i = 0; i < *count; i++) {
		pragmas[i].struct_size = sizeof *pragmas;
		if (!PyArg_ParseTuple(PyList_GetItem(list, (Py_ssize_t)i), "ss", &pragmas[i].name, &pragmas[i].value)) {
			free(pragmas);
			return NULL;
		}
	}
	return pragmas;
}

struct opening {
	engine *self;
	const char *path;
	penstock_config config;
};

static int open_engine(struct opening *opening)
{
	penstock *db = NULL;
	int status;

	/* The writer thread may want the GIL meanwhile: extensions that it loads, SQL of the connection's. */
	Py_BEGIN_ALLOW_THREADS;
	status = penstock_open(opening->path, &opening->config, &db);
	Py_END_ALLOW_THREADS;
	opening->self->db = db;
	return status;
}

static PyObject *open_(PyObject *object, PyObject *args)
{
	struct opening opening = { .self = (engine *)object };
	PyObject *keys, *list, *done = NULL;
	penstock_pragma *pragmas;
	const char *config_file;
	size_t count;
	int status;

	if (!PyArg_ParseTuple(args, "sO!O!z:open", &opening.path, &PyDict_Type, &keys, &PyList_Type, &list, &config_file))
		return NULL;
	if (opening.self->db != NULL || opening.self->closing)
		return py_raise(PENSTOCK_MISUSE, "it was opened before", 0, 0);
	pragmas = pragmas_of(list, &count);
	if (pragmas == NULL)
		return NULL;
	done = Py_None;
	penstock_config_init(&opening.config);
	opening.config.config_file = config_file;
	opening.config.pragmas = pragmas;
	opening.config.pragma_count = count;
	/* A cluster takes no hook; one that has something to do is refused, and told why. */
	if (opening.self->entries != NULL || strncmp(opening.path, CLUSTER, strlen(CLUSTER)) != 0)
		opening.config.connect_hook = entries_connect;
	opening.config.connect_arg = object;
	opening.config.log = events_log;
	opening.config.log_arg = object;
	opening.config.on_error = events_error;
	opening.config.on_error_arg = object;
	if (!set_keys(&opening.config, keys)) {
		done = NULL;
	} else if ((status = open_engine(&opening)) != PENSTOCK_OK) {
		done = py_raise_last(status);
	}
	free(pragmas);
	Py_XINCREF(done);
	return done;
}

/* ---- verbs ---- */

struct verb {
	engine *self;
	unsigned flags;
	bool again;
};

/* Longer than opening a file takes: see unpause. */
#define FIRST_UNPAUSE_USEC INT64_C(2000000)

static int start(void *arg, int64_t timeout_usec)
{
	return penstock_start(((struct verb *)arg)->self->db, timeout_usec);
}

static int stop(void *arg, int64_t timeout_usec)
{
	struct verb *verb = arg;

	return penstock_stop_with(verb->self->db, timeout_usec, verb->flags);
}

static int pause_(void *arg, int64_t timeout_usec)
{
	return penstock_pause(((struct verb *)arg)->self->db, timeout_usec);
}

/*
 * After a slice it goes on by itself, and may be done when it is asked again. Then the next pauser may have come, whose pause it would end:
 * so the first slice is a long one.
 */
static int unpause(void *arg, int64_t timeout_usec)
{
	struct verb *verb = arg;
	int status = penstock_unpause(verb->self->db, timeout_usec);

	if (status == PENSTOCK_MISUSE && verb->again)
		return PENSTOCK_OK;
	verb->again = true;
	return status;
}

static int flush(void *arg, int64_t timeout_usec)
{
	return penstock_flush(((struct verb *)arg)->self->db, timeout_usec);
}

PyObject *engine_raise(engine *self, int status)
{
	if (status < 0)
		return NULL;
	if (self->closing && status == PENSTOCK_STOPPED)
		return py_raise(status, "the database is closed", 0, 0);
	return py_raise_last(status);
}

bool engine_usable(engine *self)
{
	if (self->db != NULL && !self->closing)
		return true;
	py_raise(PENSTOCK_STOPPED, "the database is closed", 0, 0);
	return false;
}

static PyObject *do_verb(PyObject *object, PyObject *args, waiting *verb, int64_t first_usec)
{
	engine *self = (engine *)object;
	struct verb arg = { .self = self };
	long long timeout_usec;
	int status;

	if (!PyArg_ParseTuple(args, "L|I", &timeout_usec, &arg.flags) || !engine_usable(self))
		return NULL;
	status = py_wait_from(self, verb, &arg, timeout_usec, first_usec);
	if (status != PENSTOCK_OK)
		return engine_raise(self, status);
	Py_RETURN_NONE;
}

static PyObject *do_start(PyObject *self, PyObject *args)
{
	return do_verb(self, args, start, PY_FIRST_USEC);
}

static PyObject *do_stop(PyObject *self, PyObject *args)
{
	return do_verb(self, args, stop, PY_FIRST_USEC);
}

static PyObject *do_pause(PyObject *self, PyObject *args)
{
	return do_verb(self, args, pause_, PY_FIRST_USEC);
}

static PyObject *do_unpause(PyObject *self, PyObject *args)
{
	return do_verb(self, args, unpause, FIRST_UNPAUSE_USEC);
}

static PyObject *do_flush(PyObject *self, PyObject *args)
{
	return do_verb(self, args, flush, PY_FIRST_USEC);
}

/* ---- close ---- */

static int close_now(void *arg, int64_t timeout_usec)
{
	struct verb *verb = arg;

	return penstock_close_with(verb->self->db, timeout_usec, verb->flags);
}

/* Until nobody is inside, and no other close is under way. With the GIL whenever it looks. False with an exception. */
static bool alone(engine *self)
{
	while (self->inside > 0 || self->shutting) {
		Py_BEGIN_ALLOW_THREADS;
		usleep(1000);
		Py_END_ALLOW_THREADS;
		if (PyErr_CheckSignals() < 0)
			return false;
	}
	return true;
}

/*
 * Three steps: stop, so that whoever waits inside comes back; wait until nobody is inside; close. Between them a call can neither begin,
 * since `closing` is set, nor be on its way into the engine. A status, or -1 with an exception.
 */
static int close_in_steps(engine *self, int64_t timeout_usec, unsigned flags)
{
	struct verb verb = { .self = self, .flags = flags };
	int status;

	self->closing = true;
	self->inside++;
	status = py_wait(NULL, stop, &verb, timeout_usec);
	self->inside--;
	if (status != PENSTOCK_OK)
		return status;
	if (!alone(self))
		return -1;
	if (self->db == NULL)
		return PENSTOCK_OK;
	self->shutting = true;
	status = py_wait(NULL, close_now, &verb, timeout_usec);
	if (status == PENSTOCK_OK)
		self->db = NULL;
	self->shutting = false;
	return status;
}

static PyObject *close_(PyObject *object, PyObject *args)
{
	engine *self = (engine *)object;
	long long timeout_usec;
	unsigned flags = 0;
	int status;

	if (!PyArg_ParseTuple(args, "L|I:close", &timeout_usec, &flags))
		return NULL;
	if (self->db == NULL) {
		self->closing = true;
		Py_RETURN_NONE;
	}
	status = close_in_steps(self, timeout_usec, flags);
	if (status < 0)
		return NULL;
	if (status != PENSTOCK_OK)
		return py_raise_last(status);
	call_sweep(self, true);
	Py_RETURN_NONE;
}

static PyObject *new_(PyTypeObject *type, PyObject *args, PyObject *named)
{
	engine *self;
	long long timeout_usec = PENSTOCK_FOREVER;

	(void)named;
	if (!PyArg_ParseTuple(args, "|L:Engine", &timeout_usec))
		return NULL;
	self = (engine *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
	if (self == NULL)
		return NULL;
	self->timeout_usec = timeout_usec;
	if (!events_begin(&self->events)) {
		Py_DECREF(self);
		return NULL;
	}
	pthread_mutex_init(&self->guard, NULL);
	return (PyObject *)self;
}

/* What nobody closed is closed here. An engine that cannot be closed, as in a forked child, keeps what it points to. */
static void dealloc(PyObject *object)
{
	engine *self = (engine *)object;
	PyTypeObject *type = Py_TYPE(object);
	int status = PENSTOCK_OK;

	if (self->db != NULL) {
		Py_BEGIN_ALLOW_THREADS;
		status = penstock_close_with(self->db, PENSTOCK_FOREVER, PENSTOCK_GIVE_UP);
		Py_END_ALLOW_THREADS;
	}
	if (status != PENSTOCK_OK)
		return;
	self->db = NULL;
	call_sweep(self, true);
	entries_free(self);
	events_end(&self->events);
	pthread_mutex_destroy(&self->guard);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
	Py_DECREF(type);
}

/* ---- what it tells ---- */

static PyObject *phase(PyObject *object, PyObject *unused)
{
	engine *self = (engine *)object;

	(void)unused;
	return PyUnicode_FromString(self->db != NULL ? penstock_phase_name(penstock_phase_of(self->db)) : "CLOSED");
}

static PyObject *is_stopped(PyObject *object, PyObject *unused)
{
	engine *self = (engine *)object;

	(void)unused;
	return PyBool_FromLong(self->db == NULL || penstock_is_stopped(self->db));
}

static PyObject *failure(PyObject *object, PyObject *unused)
{
	engine *self = (engine *)object;
	char text[1024] = "";
	int code = self->db != NULL ? penstock_failure(self->db, text, sizeof text) : 0;

	(void)unused;
	if (code == 0)
		Py_RETURN_NONE;
	return Py_BuildValue("(iN)", code, py_text(text));
}

static PyObject *queue_depth(PyObject *object, PyObject *unused)
{
	engine *self = (engine *)object;

	(void)unused;
	return PyLong_FromUnsignedLongLong(self->db != NULL ? penstock_queue_depth(self->db) : 0);
}

static PyObject *queue_capacity(PyObject *object, PyObject *unused)
{
	engine *self = (engine *)object;

	(void)unused;
	return PyLong_FromUnsignedLongLong(self->db != NULL ? penstock_queue_capacity(self->db) : 0);
}

static PyObject *reconfigure(PyObject *object, PyObject *keys)
{
	engine *self = (engine *)object;
	penstock_config config;
	int status;

	penstock_config_init(&config);
	if (!PyDict_Check(keys)) {
		PyErr_SetString(PyExc_TypeError, "the keys are a dict");
		return NULL;
	}
	if (!engine_usable(self) || !set_keys(&config, keys))
		return NULL;
	/* It may wait for a verb, and that for the writer, and that for the GIL. */
	self->inside++;
	Py_BEGIN_ALLOW_THREADS;
	status = penstock_reconfigure(self->db, &config);
	Py_END_ALLOW_THREADS;
	self->inside--;
	if (status != PENSTOCK_OK)
		return engine_raise(self, status);
	Py_RETURN_NONE;
}

#define METHOD(name, call, how, text)                                \
	{                                                            \
		name, (PyCFunction)(void (*)(void))(call), how, text \
	}

int engine_add(PyObject *module)
{
	static PyMethodDef methods[] = {
		METHOD("open", open_, METH_VARARGS, "open(path, keys, pragmas, config_file)"),
		METHOD("close", close_, METH_VARARGS, "close(microseconds, give_up=0)"),
		METHOD("start", do_start, METH_VARARGS, "start(microseconds)"),
		METHOD("stop", do_stop, METH_VARARGS, "stop(microseconds, give_up=0)"),
		METHOD("pause", do_pause, METH_VARARGS, "pause(microseconds)"),
		METHOD("unpause", do_unpause, METH_VARARGS, "unpause(microseconds)"),
		METHOD("flush", do_flush, METH_VARARGS, "flush(microseconds)"),
		METHOD("execute", submit_execute, METH_FASTCALL,
		       "execute(what, params, microseconds, flags, deadline) -> Result with an outcome"),
		METHOD("submit", submit_submit, METH_FASTCALL, "submit(what, params, microseconds, flags, deadline) -> Result"),
		METHOD("post", submit_post, METH_FASTCALL,
		       "post(what, params, microseconds, flags, deadline): fire and forget"),
		METHOD("post_many", submit_post_many, METH_FASTCALL,
		       "post_many(sql, rows, microseconds, flags, deadline) -> rows accepted"),
		METHOD("run_many", submit_run_many, METH_FASTCALL,
		       "run_many(sql, rows, microseconds, flags, deadline) -> (rows, changes, failed, first)"),
		METHOD("register", entries_register, METH_VARARGS, "register(kind, name, arguments, deterministic, callable)"),
		METHOD("drop", entries_drop, METH_VARARGS, "drop(kind, name)"),
		METHOD("completions", completions_open, METH_O, "completions(most) -> Completions"),
		METHOD("phase", phase, METH_NOARGS, "phase() -> str"),
		METHOD("is_stopped", is_stopped, METH_NOARGS, "is_stopped() -> bool"),
		METHOD("failure", failure, METH_NOARGS, "failure() -> (code, text) or None"),
		METHOD("queue_depth", queue_depth, METH_NOARGS, "queue_depth() -> int"),
		METHOD("queue_capacity", queue_capacity, METH_NOARGS, "queue_capacity() -> int"),
		METHOD("reconfigure", reconfigure, METH_O, "reconfigure(keys)"),
		METHOD("counters", counters_read, METH_NOARGS, "counters() -> dict"),
		METHOD("events", events_take, METH_NOARGS,
		       "events() -> list of (kind, level or status, event or code, message)"),
		METHOD("events_fileno", events_fileno, METH_NOARGS, "A descriptor, readable when there are events."),
		{ NULL, NULL, 0, NULL },
	};
	static PyType_Slot slots[] = {
		{ Py_tp_doc, "One engine, opened once. Times are in microseconds; negative: for ever." },
		{ Py_tp_new, new_ },
		{ Py_tp_methods, methods },
		{ Py_tp_dealloc, dealloc },
		{ 0, NULL },
	};
	static PyType_Spec spec = { "_penstock.Engine", sizeof(engine), 0, Py_TPFLAGS_DEFAULT, slots };

	engine_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return engine_type != NULL ? PyModule_AddType(module, engine_type) : -1;
}
