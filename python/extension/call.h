/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.h - a Python function that runs on the writer thread, and the connection that it is given
 *
 * Its own exception is what the caller gets, and its value is the value of the result. The struct is the engine's as long as the function
 * may still run. So who lets go of it before there is an outcome leaves it among the engine's orphans, with the handle.
 */
#ifndef PENSTOCK_PYTHON_CALL_H
#define PENSTOCK_PYTHON_CALL_H

#include "python/extension/module.h"

struct call {
	PyObject *function;
	PyObject *value;         /* what it returned, or NULL */
	PyObject *exception;     /* what it raised, or NULL */
	penstock_handle *handle; /* of an orphan */
	struct call *next;
};

/* NULL with an exception. */
struct call *call_new(PyObject *function);
/* For penstock_call. */
int call_run(sqlite3 *connection, void *call, char **message);
/* Whether a call runs on this thread: then a transaction is nobody else's. */
bool call_runs(void);
/* Frees it, or leaves it with a handle that has no outcome yet. Takes both. With the GIL. */
void call_release(engine *self, struct call *call, penstock_handle *handle);
/* Frees the orphans that have their outcome; all of them when the engine is gone. With the GIL. */
void call_sweep(engine *self, bool gone);

#endif
