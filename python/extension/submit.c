/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/submit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "python/extension/call.h"
#include "python/extension/engine.h"
#include "python/extension/job.h"
#include "python/extension/result.h"
#include "python/extension/wait.h"

struct order {
	PyObject *what, *params;
	int64_t timeout_usec;
	int flags;
	int64_t deadline_usec;
};

static bool order_of(struct order *order, PyObject *const *args, Py_ssize_t count)
{
	if (count != 5) {
		PyErr_SetString(PyExc_TypeError, "what, params, microseconds, flags and deadline are wanted");
		return false;
	}
	order->what = args[0];
	order->params = args[1];
	order->timeout_usec = PyLong_AsLongLong(args[2]);
	order->flags = (int)PyLong_AsLong(args[3]);
	order->deadline_usec = PyLong_AsLongLong(args[4]);
	return !PyErr_Occurred();
}

static int64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Submits, and gives the handle and the call to a new Result; NULL with an exception. */
static PyObject *submit(engine *self, const struct order *order, int64_t timeout_usec)
{
	struct job job;
	struct call *call;
	penstock_handle *handle = NULL;
	int status = -1;

	if (job_begin(&job, self, order->what, order->params, order->flags, order->deadline_usec)) {
		call = job.call;
		status = job_submit(&job, self, timeout_usec, &handle);
	}
	job_end(&job);
	return status == PENSTOCK_OK ? result_new(self, handle, call) : engine_raise(self, status);
}

PyObject *submit_submit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct order order;

	return order_of(&order, args, count) ? submit((engine *)self, &order, order.timeout_usec) : NULL;
}

static int wait_handle(void *handle, int64_t timeout_usec)
{
	return penstock_handle_wait(handle, timeout_usec);
}

PyObject *submit_execute(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
	struct order order;
	PyObject *result, *exception;
	penstock_handle *handle;
	int64_t left;
	int status = PENSTOCK_OK;

	if (!order_of(&order, args, count))
		return NULL;
	left = order.timeout_usec >= 0 ? now_usec() + order.timeout_usec : 0;
	result = submit((engine *)object, &order, order.timeout_usec);
	if (result == NULL)
		return NULL;
	handle = result_handle(result);
	if (order.timeout_usec >= 0)
		left = left > now_usec() ? left - now_usec() : 0;
	else
		left = PENSTOCK_FOREVER;
	if (penstock_handle_result(handle) == NULL)
		status = py_wait(NULL, wait_handle, handle, left);
	if (penstock_handle_result(handle) == NULL) {
		engine_raise((engine *)object, status);
		Py_DECREF(result);
		return NULL;
	}
	if (result_error(result, &exception) == 0)
		return result;
	if (exception != NULL) {
		PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
		Py_DECREF(exception);
	}
	Py_DECREF(result);
	return NULL;
}

PyObject *submit_post(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
	struct order order;
	PyObject *result;
	struct job job;
	int status = -1;

	if (!order_of(&order, args, count))
		return NULL;
	if (PyCallable_Check(order.what)) {
		/* The function is kept by its handle, which becomes an orphan. */
		result = submit((engine *)object, &order, order.timeout_usec);
		Py_XDECREF(result);
		if (result == NULL)
			return NULL;
		Py_RETURN_NONE;
	}
	if (job_begin(&job, (engine *)object, order.what, order.params, order.flags | JOB_UNHEARD, order.deadline_usec))
		status = job_submit(&job, (engine *)object, order.timeout_usec, NULL);
	job_end(&job);
	if (status != PENSTOCK_OK)
		return engine_raise((engine *)object, status);
	Py_RETURN_NONE;
}

/* ---- many rows ---- */

/*
 * What many rows came to. Two have it: who submits them, and the engine as long as outcomes are missing; the last one frees it. The
 * engine's part runs on the writer thread and does without the GIL.
 */
struct tally {
	pthread_mutex_t guard;
	pthread_cond_t changed;
	uint64_t missing; /* outcomes, and one for who submits */
	uint64_t rows, failed, first_failed;
	int64_t changes;
	int status, code, extended_code;
	char message[512];
};

static struct tally *tally_new(void)
{
	struct tally *tally = calloc(1, sizeof *tally);
	pthread_condattr_t attributes;

	if (tally == NULL)
		return NULL;
	pthread_mutex_init(&tally->guard, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&tally->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	tally->missing = 1;
	return tally;
}

/* With the guard, which it lets go. */
static void tally_drop(struct tally *tally)
{
	bool last = --tally->missing == 0;

	pthread_cond_signal(&tally->changed);
	pthread_mutex_unlock(&tally->guard);
	if (!last)
		return;
	pthread_cond_destroy(&tally->changed);
	pthread_mutex_destroy(&tally->guard);
	free(tally);
}

/* Outcomes come in the order of the rows. */
static void tally_add(void *arg, const penstock_result *result)
{
	struct tally *tally = arg;

	pthread_mutex_lock(&tally->guard);
	if (result->status == PENSTOCK_OK) {
		tally->changes += result->changes;
	} else if (tally->failed++ == 0) {
		tally->first_failed = tally->rows;
		tally->status = (int)result->status;
		tally->code = result->code;
		tally->extended_code = result->extended_code;
		strncpy(tally->message, result->message, sizeof tally->message - 1);
	}
	tally->rows++;
	tally_drop(tally);
}

static int tally_wait(void *arg, int64_t timeout_usec)
{
	struct tally *tally = arg;
	int64_t end = now_usec() + timeout_usec;
	struct timespec until = { .tv_sec = end / 1000000, .tv_nsec = end % 1000000 * 1000 };
	int status = 0;

	pthread_mutex_lock(&tally->guard);
	while (tally->missing > 1 && status == 0)
		status = pthread_cond_timedwait(&tally->changed, &tally->guard, &until);
	status = tally->missing > 1 ? PENSTOCK_TIMEOUT : PENSTOCK_OK;
	pthread_mutex_unlock(&tally->guard);
	return status;
}

#define ROWS_AT_ONCE 1024

/* One row; the tally counts it before it can have an outcome. */
static int submit_row(struct job *job, engine *self, PyObject *row, int64_t timeout_usec, struct tally *tally)
{
	int status = -1;

	values_free(&job->values);
	values_begin(&job->values);
	if (values_add(&job->values, row)) {
		job->whole.values = job->values.all;
		job->whole.value_count = job->values.count;
		if (tally != NULL) {
			pthread_mutex_lock(&tally->guard);
			tally->missing++;
			pthread_mutex_unlock(&tally->guard);
		}
		status = job_submit(job, self, timeout_usec, NULL);
		if (status != PENSTOCK_OK && tally != NULL) {
			pthread_mutex_lock(&tally->guard);
			tally_drop(tally);
		}
	}
	return status;
}

/* Others get the GIL, and signals their turn, now and then. */
static int breathe(size_t rows)
{
	if (rows % ROWS_AT_ONCE != 0)
		return PENSTOCK_OK;
	Py_BEGIN_ALLOW_THREADS;
	Py_END_ALLOW_THREADS;
	return PyErr_CheckSignals() < 0 ? -1 : PENSTOCK_OK;
}

/* All rows of the iterable: a status, or -1 with an exception; *count says how many were accepted. */
static int submit_rows(engine *self, const struct order *order, struct tally *tally, size_t *count)
{
	struct job job;
	PyObject *rows = PyObject_GetIter(order->params), *row;
	int status = -1;

	*count = 0;
	if (rows == NULL)
		return -1;
	if (!PyUnicode_Check(order->what)) {
		PyErr_SetString(PyExc_TypeError, "many rows are of one statement, a str");
	} else if (job_begin(&job, self, order->what, NULL, tally == NULL ? order->flags | JOB_UNHEARD : order->flags,
	                     order->deadline_usec)) {
		job.whole.on_complete = tally != NULL ? tally_add : NULL;
		job.whole.arg = tally;
		status = PENSTOCK_OK;
		while (status == PENSTOCK_OK && (row = PyIter_Next(rows)) != NULL) {
			status = self->closing ? PENSTOCK_STOPPED : submit_row(&job, self, row, order->timeout_usec, tally);
			Py_DECREF(row);
			if (status == PENSTOCK_OK)
				status = breathe(++*count);
		}
		if (status == PENSTOCK_OK && PyErr_Occurred())
			status = -1;
		job_end(&job);
	}
	Py_DECREF(rows);
	return status;
}

PyObject *submit_post_many(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
	struct order order;
	size_t rows;
	int status;

	if (!order_of(&order, args, count))
		return NULL;
	status = submit_rows((engine *)object, &order, NULL, &rows);
	return status == PENSTOCK_OK ? PyLong_FromSize_t(rows) : engine_raise((engine *)object, status);
}

PyObject *submit_run_many(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
	struct order order;
	struct tally *tally;
	PyObject *answer = NULL, *exception = NULL;
	size_t rows;
	int status;

	if (!order_of(&order, args, count))
		return NULL;
	tally = tally_new();
	if (tally == NULL)
		return PyErr_NoMemory();
	status = submit_rows((engine *)object, &order, tally, &rows);
	if (status == PENSTOCK_OK)
		status = py_wait(NULL, tally_wait, tally, order.timeout_usec);
	pthread_mutex_lock(&tally->guard);
	if (status == PENSTOCK_OK && tally->failed > 0)
		exception = py_exception(tally->status, tally->message, tally->code, tally->extended_code);
	if (status == PENSTOCK_OK && (tally->failed == 0 || exception != NULL))
		answer =
			Py_BuildValue("(nLKKO)", (Py_ssize_t)rows, (long long)tally->changes, (unsigned long long)tally->failed,
		                      (unsigned long long)tally->first_failed, exception != NULL ? exception : Py_None);
	tally_drop(tally);
	Py_XDECREF(exception);
	if (status == PENSTOCK_TIMEOUT)
		return py_raise(status, "the rows are accepted and will still run", 0, 0);
	return status == PENSTOCK_OK ? answer : engine_raise((engine *)object, status);
}
