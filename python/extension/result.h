/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * result.h - what a submission came to, or will come to
 *
 * One type for the handle and its outcome: before there is an outcome its attributes are None. Rows become Python's objects when they are
 * asked for. A member of a group holds on to the group's.
 */
#ifndef PENSTOCK_PYTHON_RESULT_H
#define PENSTOCK_PYTHON_RESULT_H

#include "python/extension/module.h"

/* Takes the handle and the call, which may be NULL, also when it fails. */
PyObject *result_new(engine *owner, penstock_handle *handle, struct call *call);
/* The exception that an outcome is: 1; none: 0, and *exception is NULL; -1 with an exception of Python's. */
int result_error(PyObject *result, PyObject **exception);
penstock_handle *result_handle(PyObject *result);

#endif
