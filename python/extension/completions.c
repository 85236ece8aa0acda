/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/completions.h"

#include <stdlib.h>
#include <unistd.h>

#include "python/extension/call.h"
#include "python/extension/engine.h"
#include "python/extension/job.h"
#include "python/extension/result.h"

#define AT_ONCE 256

/* What is out: a link of the ring list of its queue. */
struct out {
	struct out *next, *previous;
	PyObject *object;
	struct call *call;
	penstock_handle *handle; /* a second claim, of what may be cancelled or is a call; or NULL */
	bool submitting;         /* on its way, without the GIL: who submits frees it */
	bool taken;              /* meanwhile it has arrived */
};

typedef struct completions {
	PyObject_HEAD engine *engine;
	penstock_completions *queue; /* NULL: closed */
	struct out out;
	unsigned submitting; /* on their way */
} completions;

PyTypeObject *completions_type;

PyObject *completions_open(PyObject *object, PyObject *most)
{
	engine *engine_ = (engine *)object;
	size_t number = PyLong_AsSize_t(most);
	penstock_completions *queue;
	completions *self;
	int status;

	if (number == (size_t)-1 && PyErr_Occurred())
		return NULL;
	if (!engine_usable(engine_))
		return NULL;
	engine_->inside++;
	Py_BEGIN_ALLOW_THREADS;
	status = penstock_completions_open(engine_->db, number, &queue);
	Py_END_ALLOW_THREADS;
	engine_->inside--;
	if (status != PENSTOCK_OK)
		return engine_raise(engine_, status);
	self = PyObject_New(completions, completions_type);
	if (self == NULL) {
		penstock_completions_close(queue);
		return NULL;
	}
	Py_INCREF(engine_);
	self->engine = engine_;
	self->queue = queue;
	self->out.next = self->out.previous = &self->out;
	self->submitting = 0;
	return (PyObject *)self;
}

static void unlink_(struct out *out)
{
	out->next->previous = out->previous;
	out->previous->next = out->next;
}

/* ---- submit ---- */

static struct out *out_new(completions *self, PyObject *object)
{
	struct out *out = calloc(1, sizeof *out);

	if (out == NULL) {
		PyErr_NoMemory();
		return NULL;
	}
	Py_INCREF(object);
	out->object = object;
	out->next = self->out.next;
	out->previous = &self->out;
	out->next->previous = out;
	self->out.next = out;
	return out;
}

static void out_free(struct out *out)
{
	Py_DECREF(out->object);
	free(out);
}

/* Asks for room when there is none, and looks once more: see penstock_completions_notify_room. */
static int submit_or_ask(struct job *job, completions *self, penstock_handle **handle)
{
	int status = job_submit(job, self->engine, 0, handle);

	if (status != PENSTOCK_FULL)
		return status;
	penstock_completions_notify_room(self->engine->db, self->queue);
	return job_submit(job, self->engine, 0, handle);
}

/* It may arrive, and be taken by another thread, before the submit has the GIL again. */
static int submit_out(struct job *job, completions *self, struct out *out, int64_t timeout_usec)
{
	penstock_handle *handle = NULL;
	bool claimed = job->call != NULL || (job->whole.flags & PENSTOCK_CANCELLABLE) != 0;
	int status;

	job->whole.completions = self->queue;
	job->whole.arg = out;
	out->call = job->call;
	out->submitting = true;
	self->submitting++;
	if (timeout_usec == 0)
		status = submit_or_ask(job, self, claimed ? &handle : NULL);
	else
		status = job_submit(job, self->engine, timeout_usec, claimed ? &handle : NULL);
	self->submitting--;
	out->submitting = false;
	out->handle = handle;
	return status;
}

/* submit(object, what, params, microseconds, flags, deadline) -> True, or None: no room. */
static PyObject *submit(PyObject *object, PyObject *args)
{
	completions *self = (completions *)object;
	struct job job;
	struct out *out;
	PyObject *given, *what, *params;
	long long timeout_usec, deadline;
	int flags, status = -1;

	if (!PyArg_ParseTuple(args, "OOOLiL:submit", &given, &what, &params, &timeout_usec, &flags, &deadline))
		return NULL;
	if (self->queue == NULL)
		return py_raise(PENSTOCK_STOPPED, "the completion queue is closed", 0, 0);
	out = out_new(self, given);
	if (out == NULL)
		return NULL;
	if (job_begin(&job, self->engine, what, params, flags, deadline) && self->queue != NULL)
		status = submit_out(&job, self, out, timeout_usec);
	job_end(&job);
	if (status == PENSTOCK_OK && !out->taken)
		Py_RETURN_TRUE;
	if (!out->taken)
		unlink_(out);
	penstock_handle_release(out->handle);
	out_free(out);
	if (status == PENSTOCK_OK)
		Py_RETURN_TRUE;
	if (status == PENSTOCK_FULL)
		Py_RETURN_NONE;
	return engine_raise(self->engine, status);
}

/* cancel(object) -> whether it will not run: of what is out. */
static PyObject *cancel(PyObject *object, PyObject *given)
{
	completions *self = (completions *)object;
	struct out *out;

	for (out = self->out.next; out != &self->out; out = out->next) {
		if (out->object == given && out->handle != NULL)
			return PyBool_FromLong(penstock_handle_cancel(out->handle) == PENSTOCK_OK);
	}
	Py_RETURN_FALSE;
}

/* ---- take ---- */

static PyObject *pair_of(completions *self, penstock_handle *handle)
{
	struct out *out = penstock_handle_result(handle)->arg;
	PyObject *result = result_new(self->engine, handle, out->call), *pair = NULL;

	out->call = NULL;
	if (result != NULL) {
		pair = PyTuple_Pack(2, out->object, result);
		Py_DECREF(result);
	}
	unlink_(out);
	if (out->submitting) {
		out->taken = true;
		return pair;
	}
	penstock_handle_release(out->handle);
	out_free(out);
	return pair;
}

static PyObject *take(PyObject *object, PyObject *unused)
{
	completions *self = (completions *)object;
	penstock_handle *handles[AT_ONCE];
	PyObject *list = PyList_New(0), *pair;
	size_t count = 0, i;

	(void)unused;
	if (list == NULL || self->queue == NULL)
		return list;
	penstock_completions_take(self->queue, handles, AT_ONCE, &count);
	for (i = 0; i < count; i++) {
		pair = pair_of(self, handles[i]);
		if (pair == NULL || (list != NULL && PyList_Append(list, pair) < 0))
			Py_CLEAR(list);
		Py_XDECREF(pair);
	}
	return list;
}

static PyObject *fileno_(PyObject *object, PyObject *unused)
{
	(void)unused;
	return PyLong_FromLong(penstock_completions_descriptor(((completions *)object)->queue));
}

static PyObject *outstanding(PyObject *object, PyObject *unused)
{
	completions *self = (completions *)object;

	(void)unused;
	return PyBool_FromLong(self->out.next != &self->out);
}

/* What is out goes on; nobody hears of it. */
static void abandon(completions *self)
{
	struct out *out;

	if (self->queue == NULL)
		return;
	/* Nobody may name the queue meanwhile. Who does holds a reference, so there is nobody when it is freed. */
	while (self->submitting > 0) {
		Py_BEGIN_ALLOW_THREADS;
		usleep(1000);
		Py_END_ALLOW_THREADS;
	}
	if (self->queue == NULL)
		return;
	if (penstock_completions_abandon(self->queue) != PENSTOCK_OK)
		return; /* a forked child: the parent's */
	self->queue = NULL;
	while ((out = self->out.next) != &self->out) {
		unlink_(out);
		call_release(self->engine, out->call, out->handle);
		out_free(out);
	}
}

static PyObject *close_(PyObject *object, PyObject *unused)
{
	(void)unused;
	abandon((completions *)object);
	Py_RETURN_NONE;
}

static void dealloc(PyObject *object)
{
	completions *self = (completions *)object;
	PyTypeObject *type = Py_TYPE(object);

	abandon(self);
	Py_DECREF(self->engine);
	PyObject_Free(object);
	Py_DECREF(type);
}

int completions_add(PyObject *module)
{
	static PyMethodDef methods[] = {
		{ "submit", submit, METH_VARARGS,
		  "submit(object, what, params, microseconds, flags, deadline) -> True\n\nNone: there is no room; with 0 microseconds the descriptor tells when there may be." },
		{ "cancel", cancel, METH_O, "cancel(object) -> whether what was submitted with it will not run" },
		{ "take", take, METH_NOARGS, "take() -> list of (object, Result)\n\nNever waits." },
		{ "fileno", fileno_, METH_NOARGS,
		  "The descriptor: readable when there is something to take, or room. Only poll it." },
		{ "outstanding", outstanding, METH_NOARGS, "outstanding() -> whether something was submitted and not taken" },
		{ "close", close_, METH_NOARGS, "close()\n\nWhat is out goes on, and nobody hears of it." },
		{ NULL, NULL, 0, NULL },
	};
	static PyType_Slot slots[] = {
		{ Py_tp_doc, "A completion queue, for one event loop." },
		{ Py_tp_methods, methods },
		{ Py_tp_dealloc, dealloc },
		{ 0, NULL },
	};
	static PyType_Spec spec = { "_penstock.Completions", sizeof(completions), 0,
		                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots };

	completions_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return completions_type != NULL ? PyModule_AddType(module, completions_type) : -1;
}
