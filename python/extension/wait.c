/* SPDX-License-Identifier: BSD-2-Clause */
#include "python/extension/wait.h"

#include <time.h>

#define LAST_SLICE INT64_C(2000000)

static int64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int py_wait(engine *self, waiting *call, void *arg, int64_t timeout_usec)
{
	return py_wait_from(self, call, arg, timeout_usec, PY_FIRST_USEC);
}

int py_wait_from(engine *self, waiting *call, void *arg, int64_t timeout_usec, int64_t first_usec)
{
	int64_t begun = now_usec(), end = timeout_usec >= 0 ? begun + timeout_usec : INT64_MAX, slice = first_usec, left;
	int status;

	for (;; begun = now_usec()) {
		left = timeout_usec >= 0 ? end - begun : slice;
		if (left < 0)
			left = 0;
		if (self != NULL)
			self->inside++;
		Py_BEGIN_ALLOW_THREADS;
		status = call(arg, left < slice ? left : slice);
		Py_END_ALLOW_THREADS;
		if (self != NULL)
			self->inside--;
		if (status != PENSTOCK_TIMEOUT && status != PENSTOCK_FULL)
			return status;
		if (left <= slice && timeout_usec >= 0)
			return status;
		/* It does not wait for room: when_full=fail, or on the writer thread. */
		if (status == PENSTOCK_FULL && now_usec() - begun < slice / 2)
			return status;
		if (PyErr_CheckSignals() < 0)
			return -1;
		if (self != NULL && self->closing)
			return PENSTOCK_STOPPED;
		if (slice < LAST_SLICE)
			slice *= 2;
	}
}

int64_t py_usec(PyObject *seconds, int64_t none)
{
	double value;

	if (seconds == NULL || seconds == Py_None)
		return none;
	value = PyFloat_AsDouble(seconds);
	if (value == -1.0 && PyErr_Occurred())
		return -1;
	if (!(value >= 0)) {
		PyErr_SetString(PyExc_ValueError, "a time in seconds is not negative");
		return -1;
	}
	return value < 9e12 ? (int64_t)(value * 1e6) : INT64_C(9000000000000000000);
}
