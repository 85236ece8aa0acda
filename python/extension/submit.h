/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * submit.h - the ways to submit: and wait, and wait later, and forget, and many rows
 *
 * All take (what, params, microseconds, flags, deadline). what: see job.h. microseconds: how long to wait for room, and in execute for the
 * outcome too; negative: for ever.
 */
#ifndef PENSTOCK_PYTHON_SUBMIT_H
#define PENSTOCK_PYTHON_SUBMIT_H

#include "python/extension/module.h"

PyObject *submit_execute(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *submit_submit(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *submit_post(PyObject *self, PyObject *const *args, Py_ssize_t count);
/* Rows of an iterable, each a submission. */
PyObject *submit_post_many(PyObject *self, PyObject *const *args, Py_ssize_t count);
/* The same, and waits until each has its outcome. */
PyObject *submit_run_many(PyObject *self, PyObject *const *args, Py_ssize_t count);

#endif
